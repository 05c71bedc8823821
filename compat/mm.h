/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between kernels for guest memory. */
#ifndef KVM_COMPAT_MM_H
#define KVM_COMPAT_MM_H

#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/version.h>

/* Let any signal, not only a fatal one, end a wait for a page: since 6.2. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define KVM_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define KVM_FOLL_INTERRUPTIBLE	0
#endif

/* vm_flags is const and has an accessor since 6.3. */
static inline void kvm_vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
	vm_flags_set(vma, flags);
#else
	vma->vm_flags |= flags;
#endif
}

/*
 * May page tables be read in place?  Not where they may lie in high memory;
 * pte_offset_map() would know, but is not there for modules since 6.5.
 */
#define KVM_HOST_TABLES_MAPPED	(!IS_ENABLED(CONFIG_HIGHPTE))

#endif
