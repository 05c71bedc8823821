// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's registers in the VMCS, and what the hardware gets for them: the
 * operations of these names in kvm_arch_ops.h.
 */
#include "kvm_regs.h"
#include "vmx.h"

#include <asm/debugreg.h>

void vmx_cache_reg(struct kvm_vcpu *vcpu, int reg)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vcpu->regs_avail |= BIT(reg);
	switch (reg) {
	case VCPU_REGS_RSP:
		vcpu->regs[VCPU_REGS_RSP] = vmcs_read(GUEST_RSP);
		break;
	case VCPU_REGS_RIP:
		vcpu->regs[VCPU_REGS_RIP] = vmcs_read(GUEST_RIP);
		break;
	case VCPU_EXREG_CR0:
		vcpu->cr0 = (vcpu->cr0 & ~CR0_OWNED) | (vmcs_read(GUEST_CR0) & CR0_OWNED);
		break;
	case VCPU_EXREG_CR3:
		if (likely(!vmx->real.identity))
			vcpu->cr3 = vmcs_read(GUEST_CR3);
		break;
	case VCPU_EXREG_CR4:
		vcpu->cr4 = (vcpu->cr4 & ~vmx->cr4_owned) |
			    (vmcs_read(GUEST_CR4) & vmx->cr4_owned);
		break;
	case VCPU_EXREG_PDPTR:
		if (!vmx_ept || !is_pae_paging(vcpu))
			break;
		vcpu->mmu.pdptrs[0] = vmcs_read64(GUEST_PDPTR0);
		vcpu->mmu.pdptrs[1] = vmcs_read64(GUEST_PDPTR1);
		vcpu->mmu.pdptrs[2] = vmcs_read64(GUEST_PDPTR2);
		vcpu->mmu.pdptrs[3] = vmcs_read64(GUEST_PDPTR3);
		break;
	}
}

void vmx_get_segment(struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct vmx_seg s;

	if (unlikely(vmx->real.vm86))
		vmx_real_get_seg(vmx, seg, &s);
	else
		vmx_read_seg(vmx, seg, &s);
	var->base = s.base;
	var->limit = s.limit;
	var->selector = s.selector;
	var->type = s.ar & VMX_AR_TYPE_MASK;
	var->s = !!(s.ar & VMX_AR_S_MASK);
	var->dpl = VMX_AR_DPL(s.ar);
	var->unusable = !!(s.ar & VMX_AR_UNUSABLE_MASK);
	var->present = !!(s.ar & VMX_AR_P_MASK) && !var->unusable;
	var->avl = (s.ar >> 12) & 1;
	var->l = !!(s.ar & VMX_AR_L_MASK);
	var->db = !!(s.ar & VMX_AR_DB_MASK);
	var->g = !!(s.ar & VMX_AR_G_MASK);
}

/*
 * VM entry is strict about what is loaded: a loaded segment is accessed, a
 * loaded TSS busy, and a limit is one that its granularity can say (SDM 3C
 * "Checks on Guest Segment Registers").
 */
static u32 make_ar(const struct kvm_segment *var, int seg, bool long_mode)
{
	u32 ar = (var->type & 0xf) | (var->s & 1) << 4 | (var->dpl & 3) << VMX_AR_DPL_SHIFT |
		 (var->avl & 1) << 12 | (var->l ? VMX_AR_L_MASK : 0) |
		 (var->db ? VMX_AR_DB_MASK : 0);

	if (var->unusable || !var->present)
		return ar | VMX_AR_UNUSABLE_MASK;
	ar |= VMX_AR_P_MASK;
	if (var->limit > 0xfffff || (var->g && (var->limit & 0xfff) == 0xfff))
		ar |= VMX_AR_G_MASK;
	if (var->s)
		ar |= VMX_AR_TYPE_ACCESSES_MASK;
	else if (seg == VCPU_SREG_TR)
		ar |= long_mode ? VMX_AR_TYPE_BUSY_64_TSS : VMX_AR_TYPE_BUSY_16_TSS;
	return ar;
}

void vmx_set_segment(struct kvm_vcpu *vcpu, const struct kvm_segment *var, int seg)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct vmx_seg s = {
		.selector = var->selector,
		.base = var->base,
		.limit = var->limit,
		.ar = make_ar(var, seg, is_long_mode(vcpu)),
	};

	vmx->real.check = true;
	if (unlikely(vmx->real.vm86))
		vmx_real_set_seg(vmx, seg, &s);
	else
		vmx_write_seg(vmx, seg, &s);
}

int vmx_get_cpl(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(vmx->real.vm86))
		return 0;
	return VMX_AR_DPL(vmx_read_ar(vmx, VCPU_SREG_SS));
}

void vmx_get_dtable(struct kvm_vcpu *vcpu, struct kvm_dtable *dt, int seg)
{
	if (seg == VCPU_SREG_GDTR) {
		dt->base = vmcs_read(GUEST_GDTR_BASE);
		dt->limit = vmcs_read32(GUEST_GDTR_LIMIT);
	} else if (unlikely(to_vmx(vcpu)->real.vm86)) {
		*dt = to_vmx(vcpu)->real.idt;
	} else {
		dt->base = vmcs_read(GUEST_IDTR_BASE);
		dt->limit = vmcs_read32(GUEST_IDTR_LIMIT);
	}
}

void vmx_set_dtable(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt, int seg)
{
	if (seg == VCPU_SREG_GDTR) {
		vmcs_write(GUEST_GDTR_BASE, dt->base);
		vmcs_write32(GUEST_GDTR_LIMIT, dt->limit);
	} else if (unlikely(to_vmx(vcpu)->real.vm86)) {
		to_vmx(vcpu)->real.idt = *dt;
	} else {
		vmcs_write(GUEST_IDTR_BASE, dt->base);
		vmcs_write32(GUEST_IDTR_LIMIT, dt->limit);
	}
}

void vmx_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	/* VMXE, and what else VMX insists on. */
	unsigned long hw = kvm_hw_cr4(vcpu, cr4) | vmx_caps.cr4_fixed0;

	if (!vmx_unrestricted)
		hw = vmx_real_cr4(vmx, hw);
	vmcs_write(GUEST_CR4, hw);
	vmcs_write(CR4_READ_SHADOW, cr4);
}

/* Without the VMCS field EFER goes by the MSR areas, if it differs from the host's. */
static void switch_efer(struct vcpu_vmx *vmx, u64 efer)
{
	const u64 mode = EFER_LME | EFER_LMA;

	/* These two follow the entry and exit controls (SDM 3C "Loading Guest Control ..."). */
	if (!((efer ^ vmx_caps.host_efer) & ~mode))
		efer = vmx_caps.host_efer;
	if (vmx_area_switch(&vmx->area, MSR_EFER, efer, vmx_caps.host_efer))
		vmx_write_area_counts(vmx);
}

void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool long_mode = efer & EFER_LMA;
	struct kvm_segment tr;

	efer = kvm_hw_efer(efer);
	/* VM entry wants the two alike wherever it loads a paging CR0. */
	if (!long_mode && !vmx_unrestricted)
		efer &= ~EFER_LME;
	vmx_set_ctl(&vmx->entry_ctl, VM_ENTRY_CONTROLS, VM_ENTRY_IA32E_MODE, long_mode);
	if (vmx->entry_ctl & VM_ENTRY_LOAD_IA32_EFER)
		vmcs_write64(GUEST_IA32_EFER, efer);
	else
		switch_efer(vmx, efer);
	vmx->real.check = true;
	if (!long_mode)
		return;
	/* The guest may have any TSS until it loads one; VM entry allows one kind. */
	vmx_get_segment(vcpu, &tr, VCPU_SREG_TR);
	if (tr.type != VMX_AR_TYPE_BUSY_64_TSS)
		vmx_set_segment(vcpu, &tr, VCPU_SREG_TR);
}

/*
 * The guest's CR0 but for NE, which VMX insists on (an external FPU interrupt
 * is userspace's loss); under shadow paging also PG and WP, which our tables
 * need, and without unrestricted guests PE and PG.  CD and NW are not loaded.
 */
void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long fixed = vmx_caps.cr0_fixed0, hw;

	if (vmx_unrestricted)
		fixed &= ~(X86_CR0_PE | X86_CR0_PG);
	else if (vmx_real_switch(vmx, cr0))
		vmx_update_intercepts(vcpu);
	hw = (cr0 | fixed) & vmx_caps.cr0_fixed1;
	if (!vmx_ept)
		hw |= X86_CR0_PG | X86_CR0_WP;
	/* Alignment is checked at CPL 3: not in real mode, but in what stands for it. */
	if (vmx->real.vm86)
		hw &= ~X86_CR0_AM;
	vmcs_write(GUEST_CR0, hw);
	vmcs_write(CR0_READ_SHADOW, cr0);
	vmx->real.check = true;
	if (!vmx_ept || !vmx_unrestricted) {
		vmx_set_cr4(vcpu, kvm_read_cr4(vcpu));
		vmx_set_efer(vcpu, vcpu->efer);
	}
}

void vmx_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx_ept)
		return;
	if (likely(!vmx->real.identity))
		vmcs_write(GUEST_CR3, cr3);
}

unsigned long vmx_get_rflags(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long rflags = hw_rflags(vmx);

	return unlikely(vmx->real.vm86) ? vmx_real_rflags(vmx, rflags) : rflags;
}

void vmx_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(!vmx_unrestricted))
		rflags = vmx_real_set_rflags(vmx, rflags);
	vmx_write_rflags(vmx, rflags);
}

void vmx_set_dr7(struct kvm_vcpu *vcpu, unsigned long dr7)
{
	vmcs_write(GUEST_DR7, dr7);
}

void vmx_sync_debug_regs(struct kvm_vcpu *vcpu)
{
	get_debugreg(vcpu->dr6, 6);
	set_debugreg(DR6_RESERVED, 6);
	vcpu->dr7 = vmcs_read(GUEST_DR7);
	vmx_set_dr_intercepts(to_vmx(vcpu), true);
}
