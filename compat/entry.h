/* SPDX-License-Identifier: GPL-2.0-only */
/* Work that a task has to do before it enters a guest. */
#ifndef KVM_COMPAT_ENTRY_H
#define KVM_COMPAT_ENTRY_H

/* The header was renamed in 6.19.  In quotes, as linux is a macro of the compiler. */
#ifdef HAVE_ENTRY_VIRT
#define KVM_ENTRY_HEADER	"linux/entry-virt.h"
#else
#define KVM_ENTRY_HEADER	"linux/entry-kvm.h"
#endif

#endif
