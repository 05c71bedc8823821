// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's registers in the VMCB, and what the hardware gets for them: the
 * operations of these names in kvm_arch_ops.h.
 */
#include "kvm_regs.h"
#include "quirks.h"
#include "svm.h"

#include <asm/debugreg.h>

/* Nothing is ever out of regs_avail. */
void svm_cache_reg(struct kvm_vcpu *vcpu, int reg)
{
	vcpu->regs_avail |= BIT(reg);
}

static struct vmcb_seg *vmcb_seg(struct vcpu_svm *svm, int seg)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	switch (seg) {
	case VCPU_SREG_CS:	return &save->cs;
	case VCPU_SREG_DS:	return &save->ds;
	case VCPU_SREG_ES:	return &save->es;
	case VCPU_SREG_FS:	return &save->fs;
	case VCPU_SREG_GS:	return &save->gs;
	case VCPU_SREG_TR:	return &save->tr;
	case VCPU_SREG_LDTR:	return &save->ldtr;
	case VCPU_SREG_GDTR:	return &save->gdtr;
	case VCPU_SREG_IDTR:	return &save->idtr;
	default:		return &save->ss;
	}
}

void svm_get_segment(struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb_seg *s = vmcb_seg(svm, seg);

	var->base = s->base;
	var->limit = s->limit;
	var->selector = s->selector;
	var->type = s->attrib & SEG_TYPE_MASK;
	var->s = (s->attrib >> SEG_S_SHIFT) & 1;
	var->dpl = (s->attrib >> SEG_DPL_SHIFT) & 3;
	var->present = (s->attrib >> SEG_P_SHIFT) & 1;
	var->avl = (s->attrib >> SEG_AVL_SHIFT) & 1;
	var->l = (s->attrib >> SEG_L_SHIFT) & 1;
	var->db = (s->attrib >> SEG_DB_SHIFT) & 1;
	/* The limit is in bytes here, and CS.G is not kept by every processor. */
	var->g = s->limit > 0xfffff;
	var->unusable = !var->present;

	if (seg == VCPU_SREG_TR) {
		/* Processors differ in what they save; a loaded TSS is busy. */
		var->type |= SEG_TSS_BUSY;
	} else if (seg == VCPU_SREG_SS) {
		/* The VMCB keeps CPL apart; elsewhere it is SS.DPL. */
		var->dpl = svm->vmcb->save.cpl;
		if (var->unusable)
			var->db = 0;
	} else if (seg != VCPU_SREG_LDTR && var->present) {
		/* Loaded means accessed. */
		var->type |= 1;
	}
}

void svm_set_segment(struct kvm_vcpu *vcpu, const struct kvm_segment *var, int seg)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_seg *s = vmcb_seg(svm, seg);

	s->base = var->base;
	s->limit = var->limit;
	s->selector = var->selector;
	s->attrib = (var->type & SEG_TYPE_MASK) | (var->s & 1) << SEG_S_SHIFT |
		    (var->dpl & 3) << SEG_DPL_SHIFT |
		    (var->present & !var->unusable & 1) << SEG_P_SHIFT |
		    (var->avl & 1) << SEG_AVL_SHIFT | (var->l & 1) << SEG_L_SHIFT |
		    (var->db & 1) << SEG_DB_SHIFT | (var->g & 1) << SEG_G_SHIFT;
	if (seg == VCPU_SREG_SS)
		svm->vmcb->save.cpl = var->dpl & 3;
	if (seg == VCPU_SREG_TR)
		s->attrib = svm_tr_attrib(s->attrib);
	mark_dirty(svm, CLEAN_SEG);
}

int svm_get_cpl(struct kvm_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->save.cpl;
}

void svm_get_dtable(struct kvm_vcpu *vcpu, struct kvm_dtable *dt, int seg)
{
	const struct vmcb_seg *s = vmcb_seg(to_svm(vcpu), seg);

	dt->base = s->base;
	dt->limit = s->limit;
}

void svm_set_dtable(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt, int seg)
{
	struct vmcb_seg *s = vmcb_seg(to_svm(vcpu), seg);

	s->base = dt->base;
	s->limit = dt->limit;
	mark_dirty(to_svm(vcpu), CLEAN_DT);
}

/* What MOV to a control register flushes, VMRUN with another value keeps. */
static void load_hw_cr(struct vcpu_svm *svm, u64 *hw, u64 val)
{
	if (*hw == val)
		return;
	*hw = val;
	mark_dirty(svm, CLEAN_CR);
	svm_tlb_flush(&svm->vcpu);
}

void svm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned long hw = kvm_hw_cr4(vcpu, cr4);

	load_hw_cr(svm, &svm->vmcb->save.cr4, hw);
	set_intercept(svm, INTERCEPT_CR4_READ, hw != cr4);
}

/* VMRUN insists on SVME. */
void svm_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	load_hw_cr(svm, &svm->vmcb->save.efer, kvm_hw_efer(efer) | EFER_SVME);
}

/*
 * The guest's CR0 but for the cache controls, which would slow down memory
 * that others use; under shadow paging also PG and WP, which our tables need
 * ("paged real mode" is legal in a VMCB).  While the two differ every access
 * exits; otherwise only writes that change more than TS and MP.
 */
void svm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned long hw = cr0 & ~(X86_CR0_CD | X86_CR0_NW);

	if (!svm_npt)
		hw |= X86_CR0_PG | X86_CR0_WP;
	load_hw_cr(svm, &svm->vmcb->save.cr0, hw);
	set_intercept(svm, INTERCEPT_CR0_READ, hw != cr0);
	set_intercept(svm, INTERCEPT_CR0_WRITE, hw != cr0);
	if (!svm_npt) {
		svm_set_cr4(vcpu, vcpu->cr4);
		svm_set_efer(vcpu, vcpu->efer);
	}
}

void svm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (!svm_npt)
		return;
	svm->vmcb->save.cr3 = cr3;
	mark_dirty(svm, CLEAN_CR);
	svm_tlb_flush(vcpu);
}

/* TF as the guest knows it, not as the NMI window needs it. */
unsigned long svm_get_rflags(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned long rflags = svm->vmcb->save.rflags;

	if (unlikely(svm->stepping && !svm->step_guest_tf))
		rflags &= ~X86_EFLAGS_TF;
	return rflags;
}

void svm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (unlikely(svm->stepping)) {
		svm->step_guest_tf = rflags & X86_EFLAGS_TF;
		rflags |= X86_EFLAGS_TF;
	}
	svm->vmcb->save.rflags = rflags;
}

void svm_set_dr7(struct kvm_vcpu *vcpu, unsigned long dr7)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm->vmcb->save.dr7 != dr7) {
		svm->vmcb->save.dr7 = dr7;
		mark_dirty(svm, CLEAN_DR);
	}
}

void svm_sync_debug_regs(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	vcpu->dr6 = svm->vmcb->save.dr6;
	vcpu->dr7 = svm->vmcb->save.dr7;
	svm_set_dr_intercepts(svm, true);
}
