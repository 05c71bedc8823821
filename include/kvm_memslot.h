/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory slots: gfn to hva, dirty logs (memslot.c).
 */
#ifndef KVM_MEMSLOT_H
#define KVM_MEMSLOT_H

#include "kvm_host.h"

int  kvm_slots_init(struct kvm *kvm);
void kvm_slots_stop(struct kvm *kvm);	/* no mmu notifier calls any more */
void kvm_slots_destroy(struct kvm *kvm);
int  kvm_set_user_memory_region(struct kvm *kvm, const struct kvm_userspace_memory_region *mem);
int  kvm_set_memory_region(struct kvm *kvm, const struct kvm_memory_region *mem);
int  kvm_set_memory_alias(struct kvm *kvm, const struct kvm_memory_alias *alias);
int  kvm_vm_mmap(struct kvm *kvm, struct vm_area_struct *vma);
int  kvm_get_dirty_log(struct kvm *kvm, const struct kvm_dirty_log *log);
int  kvm_clear_dirty_log(struct kvm *kvm, const struct kvm_clear_dirty_log *log);
/*
 * Slots: kvm->srcu held for reading, or slots_lock, or mmu_lock.  Everything
 * that takes a slot and a gfn takes the frame that aliases lead to:
 * kvm_unalias_gfn() comes first.
 */
u64  kvm_slots_generation(struct kvm *kvm);
bool kvm_has_aliases(struct kvm *kvm);
struct kvm_memory_slot *kvm_gfn_to_slot(struct kvm *kvm, gfn_t gfn);
struct kvm_memory_slot *kvm_vcpu_gfn_to_slot(struct kvm_vcpu *vcpu, gfn_t gfn);
gfn_t kvm_unalias_gfn(struct kvm *kvm, gfn_t gfn);
void kvm_mark_page_dirty(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn);
void kvm_mark_gpa_dirty(struct kvm_vcpu *vcpu, gpa_t gpa);

static inline hva_t kvm_slot_hva(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return slot->userspace_addr + ((hva_t)(gfn - slot->base_gfn) << PAGE_SHIFT);
}

#endif
