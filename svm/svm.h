/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the SVM module share: a vcpu's own part and its VMCB.
 */
#ifndef KVM_SVM_H
#define KVM_SVM_H

#include "kvm_host.h"
#include "kvm_entry.h"

#include <linux/io.h>
#include <linux/mem_encrypt.h>
#include <asm/svm.h>

/* VMCB clean bits, APM 2 "VMCB Clean Bits Field": set, the CPU may use its copy. */
enum {
	CLEAN_INTERCEPTS,	/* and TSC offset, PAUSE filter */
	CLEAN_PERM_MAPS,	/* addresses of IOPM and MSRPM */
	CLEAN_ASID,
	CLEAN_INTR,		/* int_ctl, int_vector */
	CLEAN_NPT,		/* nested CR3, g_pat */
	CLEAN_CR,		/* CR0, CR3, CR4, EFER */
	CLEAN_DR,		/* DR6, DR7 */
	CLEAN_DT,		/* GDTR, IDTR */
	CLEAN_SEG,		/* CS, DS, SS, ES, CPL */
	CLEAN_CR2,
	CLEAN_NR
};

/* Attributes of struct vmcb_seg: the descriptor's bits 40-47 and 52-55. */
#define SEG_TYPE_MASK		0x00f
#define SEG_TSS_BUSY		0x002
#define SEG_S_SHIFT		4
#define SEG_DPL_SHIFT		5
#define SEG_P_SHIFT		7
#define SEG_AVL_SHIFT		8
#define SEG_L_SHIFT		9
#define SEG_DB_SHIFT		10
#define SEG_G_SHIFT		11

/* EXITINFO1 of CR accesses, APM 2 "MOV CRx/DRx Intercepts" (decode assists). */
#define CR_INFO_MOV		BIT_ULL(63)
#define CR_INFO_GPR		0xf

struct vcpu_svm {
	struct kvm_vcpu vcpu;		/* first: the core allocates us by it */
	struct vmcb *vmcb;
	unsigned long vmcb_pa;
	unsigned long host_pa;		/* this CPU's VMCB for its FS, GS, TR, LDTR, syscall MSRs */
	u64 asid_generation;		/* of the CPU it ran on last; 0: take a new ASID */
	int last_cpu;
	bool host_saved;		/* this CPU's host state is in host_pa's VMCB */

	/* INT n, #BP or #OF injected as an event: its length, 0: none; RIP before it. */
	u8 soft_len;
	unsigned long soft_rip;

	/* NMI window: RIP of the intercepted IRET, and a step by TF (see below). */
	unsigned long iret_rip;
	unsigned long step_rip;
	bool stepping;
	bool step_iret;			/* ... over that IRET */
	bool step_guest_tf;
	bool force_exit;			/* right after the injected event is delivered */
	bool virq;			/* the injected interrupt is V_IRQ, not EVENTINJ */
	bool intercept_cr8;		/* the core waits for a lower task priority */
};

/* A CPU's share; touched on that CPU only, preemption off. */
struct svm_cpu {
	u64 asid_generation;
	u32 next_asid;
	struct page *hsave;		/* VMRUN's own, MSR_VM_HSAVE_PA */
	struct page *host;		/* a VMCB for the host's VMSAVE and VMLOAD */
};

static inline struct vcpu_svm *to_svm(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct vcpu_svm, vcpu);
}

static inline void mark_dirty(struct vcpu_svm *svm, int bit)
{
	svm->vmcb->control.clean &= ~BIT(bit);
}

static inline bool intercepted(struct vcpu_svm *svm, int bit)
{
	return svm->vmcb->control.intercepts[bit / 32] & BIT(bit % 32);
}

static inline void set_intercept(struct vcpu_svm *svm, int bit, bool on)
{
	u32 *word = &svm->vmcb->control.intercepts[bit / 32];
	u32 val = on ? *word | BIT(bit % 32) : *word & ~BIT(bit % 32);

	if (*word != val) {
		*word = val;
		mark_dirty(svm, CLEAN_INTERCEPTS);
	}
}

static inline void set_exception_intercept(struct vcpu_svm *svm, int vector, bool on)
{
	set_intercept(svm, INTERCEPT_EXCEPTION_OFFSET + vector, on);
}

static inline unsigned long page_pa(struct page *page)
{
	return __sme_set(page_to_phys(page));
}

/* entry.S */
void svm_enter_guest(struct kvm_vcpu *vcpu, unsigned long guest_pa, unsigned long host_pa);

/* svm.c */
extern bool svm_npt;

void svm_tlb_flush(struct kvm_vcpu *vcpu);

/* intercepts.c */
int  svm_alloc_maps(void);
void svm_free_maps(void);
void svm_init_intercepts(struct vcpu_svm *svm);
void svm_set_cr8_intercepts(struct vcpu_svm *svm);
void svm_update_cr8_intercept(struct kvm_vcpu *vcpu, bool on);
void svm_update_intercepts(struct kvm_vcpu *vcpu);
void svm_set_dr_intercepts(struct vcpu_svm *svm, bool on);

/* regs.c */
void svm_cache_reg(struct kvm_vcpu *vcpu, int reg);
void svm_get_segment(struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg);
void svm_set_segment(struct kvm_vcpu *vcpu, const struct kvm_segment *var, int seg);
int  svm_get_cpl(struct kvm_vcpu *vcpu);
void svm_get_dtable(struct kvm_vcpu *vcpu, struct kvm_dtable *dt, int seg);
void svm_set_dtable(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt, int seg);
void svm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
void svm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3);
void svm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
void svm_set_efer(struct kvm_vcpu *vcpu, u64 efer);
unsigned long svm_get_rflags(struct kvm_vcpu *vcpu);
void svm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags);
void svm_set_dr7(struct kvm_vcpu *vcpu, unsigned long dr7);
void svm_sync_debug_regs(struct kvm_vcpu *vcpu);

#endif
