/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shadow and nested page tables, walks of the guest's own (mmu.c).
 */
#ifndef KVM_MMU_H
#define KVM_MMU_H

#include "kvm_host.h"

int  kvm_mmu_module_init(void);
void kvm_mmu_module_exit(void);
int  kvm_mmu_init_vm(struct kvm *kvm);
void kvm_mmu_destroy_vm(struct kvm *kvm);	/* all shadow pages, no vcpu left running */
int  kvm_mmu_create(struct kvm_vcpu *vcpu);
void kvm_mmu_destroy(struct kvm_vcpu *vcpu);
/* Paging mode (CR0.PG/WP, CR4.*, EFER, CPUID) may have changed. */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu);
/* The guest loaded CR3 (already in vcpu->cr3): shadow paging takes another root. */
void kvm_mmu_new_cr3(struct kvm_vcpu *vcpu);
/* Before entry: allocate and load a root if there is none.  0 or -errno.  May sleep. */
int  kvm_mmu_load(struct kvm_vcpu *vcpu);
void kvm_mmu_unload(struct kvm_vcpu *vcpu);
void kvm_mmu_sync_roots(struct kvm_vcpu *vcpu);

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
void kvm_mmu_clear_mmio(struct kvm_vcpu *vcpu, gpa_t gpa);
void kvm_mmu_unprotect_gfn(struct kvm *kvm, gfn_t gfn);
struct kvm_walk_trace {
	gpa_t gpa;
	gpa_t gpte_gpa[5];
	u64 gpte[5];
};
int  kvm_mmu_trace_walk(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_walk_trace *trace);
/* Nested paging: map a page that the vendor owns until the VM goes, in no slot. */
int  kvm_mmu_map_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page);
bool kvm_mmu_map_apic_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page);
void kvm_mmu_unmap_page(struct kvm *kvm, gpa_t gpa);
void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva);
/* The guest flushes its TLB (MOV CR3, CR4.PGE, INVPCID): sync and flush. */
void kvm_mmu_guest_tlb_flush(struct kvm_vcpu *vcpu);
/* access: PFERR_WRITE/USER/FETCH_MASK, PFERR_IMPLICIT_ACCESS.  INVALID_GPA and *ex on a fault. */
gpa_t kvm_mmu_gva_to_gpa(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_exception *ex);
/* Something wrote guest memory at gpa other than through an spte. */
void kvm_mmu_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *new, int bytes);
/* load the PDPTEs of a PAE guest: false, nothing loaded, if reserved bits are set */
bool kvm_mmu_load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3);
bool kvm_mmu_set_pdptrs(struct kvm_vcpu *vcpu, const u64 *pdptrs);
/* Slots.  slots_lock held; they take mmu_lock and flush what they must. */
int  kvm_mmu_slot_alloc(struct kvm_memory_slot *slot);
void kvm_mmu_slot_free(struct kvm_memory_slot *slot);
void kvm_mmu_zap_slot(struct kvm *kvm, struct kvm_memory_slot *slot);
/* The shadows of guest page tables in these frames. */
void kvm_mmu_zap_shadows(struct kvm *kvm, gfn_t base, unsigned long npages);
void kvm_mmu_zap_all(struct kvm *kvm);
/* So many guest pages are there: how many shadow pages may be. */
void kvm_mmu_set_limit(struct kvm *kvm, unsigned long npages);
int  kvm_mmu_set_nr_pages(struct kvm *kvm, unsigned long npages);
/* Logging is off: small pages may become large again. */
void kvm_mmu_slot_merge(struct kvm *kvm, struct kvm_memory_slot *slot);
void kvm_mmu_slot_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot);
/* Those 64 pages of slot from gfn_offset whose mask bit is set; mmu_lock held, caller flushes. */
void kvm_mmu_write_protect_masked(struct kvm *kvm, struct kvm_memory_slot *slot,
				  gfn_t gfn_offset, unsigned long mask);
/* mmu notifier: frames [start, end) of slot; mmu_lock held; true: the caller flushes. */
bool kvm_mmu_unmap_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end);
bool kvm_mmu_age_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end, bool clear);
/* mmu_lock held: flush all vcpus' TLBs if needed, or if an earlier change was left unflushed. */
void kvm_mmu_flush(struct kvm *kvm, bool needed);

#endif
