// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the processor does for a guest's local APIC (SDM 3C "APIC Virtualization
 * and Virtual Interrupts"): the task priority, by CR8 and by memory, without an
 * exit; and accesses to the other registers, each with its offset, so that the
 * most frequent needs no decoding.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "kvm_lapic.h"
#include "vmx.h"

#include <asm/apicdef.h>

/* SDM 3C "Exit Qualification for APIC-Access VM Exits ..." */
#define ACCESS_OFFSET(q)	((q) & 0xfff)
#define ACCESS_TYPE(q)		(((q) >> 12) & 0xf)
#define ACCESS_LINEAR_WRITE	1

#define INSN_LEN_MAX		15

/*
 * ---- the page by which the processor knows the registers ----
 *
 * It is nobody's memory: while it is mapped where all the VM's APICs have their
 * registers, the processor exits there or answers itself.  Where they do not
 * have them at one place, or in no page at all, nothing is mapped, and accesses
 * are those to any device.
 */

int vmx_apic_init_vm(struct kvm *kvm)
{
	struct kvm_vmx *kvm_vmx = to_kvm_vmx(kvm);

	if (!vmx_apicv)
		return 0;
	kvm_vmx->apic_access = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return kvm_vmx->apic_access ? 0 : -ENOMEM;
}

void vmx_apic_destroy_vm(struct kvm *kvm)
{
	if (to_kvm_vmx(kvm)->apic_access)
		__free_page(to_kvm_vmx(kvm)->apic_access);
}

/** vmx_apic_map - an access to what was not mapped: to the registers?  True: it is mapped now */
bool vmx_apic_map(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct page *page = to_kvm_vmx(vcpu->kvm)->apic_access;
	gpa_t registers = READ_ONCE(vcpu->kvm->apic_page);

	if (likely(gpa_to_gfn(gpa) != gpa_to_gfn(registers)) || !registers || !page)
		return false;
	return kvm_mmu_map_apic_page(vcpu, gpa, page);
}

/** vmx_apic_init - controls, before they are written, and fields of a vcpu that is reset */
void vmx_apic_init(struct vcpu_vmx *vmx)
{
	struct page *page = to_kvm_vmx(vmx->vcpu.kvm)->apic_access;

	if (!vmx->vapic) {
		vmx->cpu_ctl &= ~CPU_BASED_TPR_SHADOW;
		vmx->cpu2_ctl &= ~SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
		return;
	}
	vmx->cpu_ctl &= ~(CPU_BASED_CR8_LOAD_EXITING | CPU_BASED_CR8_STORE_EXITING);
	vmcs_write64(VIRTUAL_APIC_PAGE_ADDR, __pa(vmx->vapic));
	vmx->tpr_threshold = 0;
	vmcs_write32(TPR_THRESHOLD, 0);
	if (vmx->cpu2_ctl & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)
		vmcs_write64(APIC_ACCESS_ADDR, page_pa(page));
}

/*
 * ---- the task priority ----
 */

/*
 * CR8 and the register are the task priority of the virtual-APIC page (SDM 3C
 * "Virtualizing CR8-Based TPR Accesses").  If an interrupt waits for a lower
 * one, anything below what it is now exits.
 */
void vmx_apic_load_tpr(struct vcpu_vmx *vmx)
{
	u32 threshold = vmx->watch_cr8 ? vmx->vcpu.cr8 : 0;

	vmx->vapic[APIC_TASKPRI] = vmx->vcpu.lapic->tpr;
	if (unlikely(vmx->tpr_threshold != threshold)) {
		vmx->tpr_threshold = threshold;
		vmcs_write32(TPR_THRESHOLD, threshold);
	}
}

void vmx_apic_save_tpr(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;
	u8 tpr = vmx->vapic[APIC_TASKPRI];

	if (unlikely(apic->tpr != tpr))
		kvm_lapic_set_tpr(apic, tpr);
}

/*
 * ---- exits ----
 */

/*
 * An EOI is written once an interrupt, whatever the value, by a simple MOV.  The
 * manual does not promise the instruction's length here, but processors give it.
 */
int vmx_apic_access_exit(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	gpa_t page = vcpu->apic_base & MSR_IA32_APICBASE_BASE;

	if (likely(ACCESS_TYPE(qual) == ACCESS_LINEAR_WRITE && ACCESS_OFFSET(qual) == APIC_EOI) &&
	    vmcs_read32(VM_EXIT_INSTRUCTION_LEN) - 1 < INSN_LEN_MAX) {
		kvm_lapic_eoi(vcpu->lapic);
		return kvm_skip_emulated_instruction(vcpu);
	}
	vmx_drop_false_step(to_vmx(vcpu));
	return kvm_mmu_mmio_fault(vcpu, page | ACCESS_OFFSET(qual));
}
