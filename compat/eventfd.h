/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between kernels for eventfds. */
#ifndef KVM_COMPAT_EVENTFD_H
#define KVM_COMPAT_EVENTFD_H

#include <linux/eventfd.h>
#include <linux/version.h>

/* The count to add is always one since 6.8. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define kvm_eventfd_signal(ctx)	eventfd_signal(ctx)
#else
#define kvm_eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#endif

#endif
