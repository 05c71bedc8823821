/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory slots: gfn to hva, dirty logs (memslot.c).
 */
#ifndef KVM_MEMSLOT_H
#define KVM_MEMSLOT_H

#include "kvm_host.h"

#include <linux/nospec.h>

int  kvm_slots_init(struct kvm *kvm)
	__kvm_unshared;
void kvm_slots_stop(struct kvm *kvm);
void kvm_slots_destroy(struct kvm *kvm)
	__kvm_unshared;
int  kvm_set_user_memory_region(struct kvm *kvm, const struct kvm_userspace_memory_region *mem);
int  kvm_set_user_memory_region2(struct kvm *kvm, const struct kvm_userspace_memory_region2 *mem);
int  kvm_set_memory_region(struct kvm *kvm, const struct kvm_memory_region *mem);
int  kvm_set_memory_alias(struct kvm *kvm, const struct kvm_memory_alias *alias);
int  kvm_vm_mmap(struct kvm *kvm, struct vm_area_struct *vma);
int  kvm_get_dirty_log(struct kvm *kvm, const struct kvm_dirty_log *log);
int  kvm_clear_dirty_log(struct kvm *kvm, const struct kvm_clear_dirty_log *log);
void kvm_mark_page_dirty(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn);
void kvm_mark_gpa_dirty(struct kvm_vcpu *vcpu, gpa_t gpa);
void kvm_set_dirty(struct kvm_memory_slot *slot, unsigned long i);
bool kvm_take_dirty(struct kvm_memory_slot *slot, unsigned long *from);

/*
 * Lookups: in a read section (request.c), a vcpu's or one of kvm->srcu, either of which is
 * what "srcu held" says of other functions; or with slots_lock, or mmu_lock.  Everything
 * that takes a slot and a gfn takes the frame that aliases lead to:
 * kvm_unalias_gfn() comes first.
 */
struct kvm_memory_slot *kvm_gfn_to_slot(struct kvm *kvm, gfn_t gfn);
struct kvm_memory_slot *kvm_slot_by_id(struct kvm *kvm, u16 id)
	__kvm_must_hold(slots_lock);
struct kvm_memory_slot *kvm_find_vcpu_slot(struct kvm_vcpu *vcpu, gfn_t gfn);
gfn_t kvm_find_alias(const struct kvm_memslots *slots, gfn_t gfn);

static inline struct kvm_memslots *kvm_memslots(struct kvm *kvm)
{
	return srcu_dereference_check(kvm->memslots, &kvm->srcu,
				      kvm_vcpu_read_lock_held() ||
				      lockdep_is_held(&kvm->slots_lock) ||
				      lockdep_is_held(&kvm->mmu_lock) ||
				      !refcount_read(&kvm->users));
}

/** kvm_slots_generation - changes with each update of the slots; never 0. */
static inline u64 kvm_slots_generation(struct kvm *kvm)
{
	return kvm_memslots(kvm)->generation;
}

static inline bool kvm_has_aliases(struct kvm *kvm)
{
	return kvm_memslots(kvm)->has_aliases;
}

static inline bool kvm_slot_has(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	return gfn - slot->base_gfn < slot->npages;
}

static inline hva_t kvm_slot_hva(const struct kvm_memory_slot *slot, gfn_t gfn)
{
	unsigned long i = array_index_nospec(gfn - slot->base_gfn, slot->npages);

	return slot->userspace_addr + (i << PAGE_SHIFT);
}

/** kvm_unalias_gfn - where API 12's aliases lead, or the frame itself: what slots and
 * reverse maps know.
 */
static inline gfn_t kvm_unalias_gfn(struct kvm *kvm, gfn_t gfn)
{
	const struct kvm_memslots *slots = kvm_memslots(kvm);

	return likely(!slots->has_aliases) ? gfn : kvm_find_alias(slots, gfn);
}

/** kvm_vcpu_gfn_to_slot - as kvm_gfn_to_slot(), by the vcpu's own thread: begins with
 * the slot found last.
 */
static inline struct kvm_memory_slot *kvm_vcpu_gfn_to_slot(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	const struct kvm_memslots *slots = kvm_memslots(vcpu->kvm);
	int i = vcpu->last_slot;

	/* The hint may come from another version of the array. */
	if (likely(i < slots->nr && kvm_slot_has(slots->slot[i], gfn)))
		return slots->slot[i];
	return kvm_find_vcpu_slot(vcpu, gfn);
}

#endif
