/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: frames, reads and writes by guest physical address (guest_mem.c).
 */
#ifndef KVM_GUEST_MEM_H
#define KVM_GUEST_MEM_H

#include "kvm_host.h"

/*
 * The host frame behind gfn of slot, faulted in; *writable says if it may be
 * mapped for writing.  The page is NOT referenced on return: the caller must
 * check kvm->notifier_seq under mmu_lock before it installs an spte.
 * *level_host: the size (PG_LEVEL_*) of the host mapping there.  nowait:
 * KVM_PFN_ERR_WAIT rather than wait for it.
 */
kvm_pfn_t kvm_slot_gfn_to_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
			      bool write, bool nowait, bool *writable, int *level_host);
/* The same if the host has it mapped now; under mmu_lock with no invalidation under way. */
bool kvm_slot_gfn_to_pfn_atomic(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
				bool write, kvm_pfn_t *pfn, bool *writable, int *level_host);
/* 0 or -EFAULT (no slot, hva not accessible, read-only); in the VMM's context, srcu held. */
int  kvm_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len);
int  kvm_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned long len);
/* Does not sleep; within one page. */
int  kvm_read_guest_atomic(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len);
int  kvm_read_gpte(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 *gpte);
/* For accessed and dirty bits: 0 done, 1 the entry is another now, -EFAULT. */
int  kvm_cmpxchg_gpte(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 old, u64 new);
/* Atomic on the guest's memory: 0 done, 1 *old differed (and is updated), -EFAULT. */
int  kvm_cmpxchg_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *old, const void *new, unsigned int bytes);
const void __user *kvm_gpa_to_user(struct kvm_vcpu *vcpu, gpa_t gpa);
bool kvm_gpa_is_ram(struct kvm_vcpu *vcpu, gpa_t gpa, bool write);

#endif
