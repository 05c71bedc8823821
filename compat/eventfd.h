/* SPDX-License-Identifier: GPL-2.0-only */
/* eventfds. */
#ifndef KVM_COMPAT_EVENTFD_H
#define KVM_COMPAT_EVENTFD_H

/* The count to add is always one since 6.8. */
#ifdef HAVE_EVENTFD_SIGNAL_ONE
#define kvm_eventfd_signal(ctx)	eventfd_signal(ctx)
#else
#define kvm_eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#endif

#endif
