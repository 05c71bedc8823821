/* SPDX-License-Identifier: GPL-2.0-only */
/* Work queues: whether workers belong to a CPU is said by all since 6.18. */
#ifndef KVM_COMPAT_WORKQUEUE_H
#define KVM_COMPAT_WORKQUEUE_H

#ifndef HAVE_WQ_PERCPU
#define WQ_PERCPU	0
#endif

#ifndef HAVE_SYSTEM_DFL_WQ
#define system_dfl_wq	system_unbound_wq
#endif

#endif
