/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Nested page tables, shadows of the guest's, walks of the guest's own (mmu.c,
 * mmu_nx.c, mmu_rmap.c, mmu_shadow.c).
 */
#ifndef KVM_MMU_H
#define KVM_MMU_H

#include "kvm_host.h"

#include <linux/jump_label.h>

int  kvm_mmu_module_init(void);
void kvm_mmu_module_exit(void);
int  kvm_mmu_init_vm(struct kvm *kvm)
	__kvm_unshared;
void kvm_mmu_destroy_vm(struct kvm *kvm)
	__kvm_unshared;
int  kvm_mmu_create(struct kvm_vcpu *vcpu);
void kvm_mmu_destroy(struct kvm_vcpu *vcpu);

/* Roots, and what the guest does to its paging. */
int  kvm_mmu_load(struct kvm_vcpu *vcpu);
void kvm_mmu_unload(struct kvm_vcpu *vcpu);
void kvm_mmu_drop_zapped_roots(struct kvm_vcpu *vcpu);
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu);
void kvm_mmu_new_cr3(struct kvm_vcpu *vcpu);
void kvm_mmu_sync_roots(struct kvm_vcpu *vcpu);
void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva);
void kvm_mmu_guest_tlb_flush(struct kvm_vcpu *vcpu);
bool kvm_mmu_load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3);
bool kvm_mmu_set_pdptrs(struct kvm_vcpu *vcpu, const u64 *pdptrs);

/* What kvm_mmu_page_fault() answers, besides -errno. */
enum kvm_pf {
	PF_RETRY = 1,		/* overtaken: if it is not over the guest faults again */
	PF_FIXED,		/* the guest may go on */
	PF_EMULATE,		/* MMIO, or what no mapping can allow */
	PF_WRITE_TRACKED,	/* the guest writes to a page table that is shadowed: gfn */
	PF_EXCEPTION,		/* the guest's own tables forbid it: ex */
	PF_WAIT,		/* the host would have to wait for the page: gfn, hva */
	PF_INTR,		/* a signal came first */
	PF_HWPOISON,		/* the host has lost the page: hva */
};

int  kvm_mmu_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault);
long kvm_vcpu_pre_fault(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range);
void kvm_mmu_clear_mmio(struct kvm_vcpu *vcpu, gpa_t gpa);
void kvm_mmu_unprotect_gfn(struct kvm *kvm, gfn_t gfn);
void kvm_mmu_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, int bytes);

/* Pages that the vendor owns until the VM goes, in no slot. */
int  kvm_mmu_map_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page);
bool kvm_mmu_map_apic_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page);
void kvm_mmu_unmap_page(struct kvm *kvm, gpa_t gpa);

/* The guest's walk. */
struct kvm_walk_trace {
	gpa_t gpa;
	gpa_t gpte_gpa[5];
	u64 gpte[5];
};

gpa_t kvm_mmu_gva_to_gpa(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_exception *ex);
int  kvm_mmu_trace_walk(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_walk_trace *trace);

/* Memory types. */
void kvm_mmu_set_noncoherent_dma(struct kvm *kvm, bool on)
	__kvm_must_hold(kvm_lock);

/* Large pages that are not executable. */
void kvm_mmu_update_nx(struct kvm *kvm);
void kvm_mmu_disable_nx(struct kvm *kvm);
bool kvm_mmu_page_size_safe(void);

/* Slots. */
int  kvm_mmu_slot_alloc(struct kvm_memory_slot *slot) __kvm_unshared;
void kvm_mmu_slot_free(struct kvm_memory_slot *slot) __kvm_unshared;
void kvm_mmu_zap_slot(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_mmu_zap_shadows(struct kvm *kvm, gfn_t base, unsigned long npages);
void kvm_mmu_zap_all(struct kvm *kvm);
void kvm_mmu_set_limit(struct kvm *kvm, unsigned long npages)
	__kvm_must_hold(mmu_lock);
int  kvm_mmu_set_nr_pages(struct kvm *kvm, unsigned long npages);
void kvm_mmu_slot_merge(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_mmu_slot_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot);

/* Under mmu_lock: for the mmu notifier and dirty logs. */
void kvm_mmu_write_protect_masked(struct kvm *kvm, struct kvm_memory_slot *slot,
				  gfn_t gfn_offset, unsigned long mask)
	__kvm_must_hold(mmu_lock);
bool kvm_mmu_unmap_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
			 bool may_yield)
	__kvm_must_hold(mmu_lock);
bool kvm_mmu_age_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
		       bool clear)
	__kvm_must_hold(mmu_lock);
void kvm_mmu_flush(struct kvm *kvm, bool needed)
	__kvm_must_hold(mmu_lock);
bool kvm_mmu_resched(struct kvm *kvm)
	__kvm_must_hold(mmu_lock);

#ifdef KVM_AUDIT
DECLARE_STATIC_KEY_FALSE(kvm_mmu_audit_key);
void kvm_mmu_audit(struct kvm *kvm)
	__kvm_must_hold(mmu_lock);
#define kvm_mmu_audit_enabled()	static_branch_unlikely(&kvm_mmu_audit_key)
#else
#define kvm_mmu_audit_enabled()	false
static inline void kvm_mmu_audit(struct kvm *kvm) { }
#endif

/* For kvm_mmu_unlock(): tables were cut off. */
void nested_unlock(struct kvm *kvm)
	__kvm_releases(mmu_lock);

/* mmu_lock is released by this. */
static inline void kvm_mmu_unlock(struct kvm *kvm)
	__kvm_releases(mmu_lock)
{
	if (unlikely(kvm->dead_tables)) {
		nested_unlock(kvm);
		return;
	}
	if (kvm_mmu_audit_enabled())
		kvm_mmu_audit(kvm);
	write_unlock(&kvm->mmu_lock);
}

#endif
