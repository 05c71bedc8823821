// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the processor does for a guest's local APIC (SDM 3C "APIC Virtualization
 * and Virtual Interrupts"): the task priority, by CR8 and by memory, without an
 * exit; accesses to the other registers, each with its offset, so that the most
 * frequent needs no decoding; and where it can, reads, EOIs and the delivery of
 * what waits, all without an exit.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "quirks.h"
#include "vmx.h"

#include <asm/apicdef.h>

/* SDM 3C "Exit Qualification for APIC-Access VM Exits ..." */
#define ACCESS_OFFSET(q)	((q) & 0xfff)
#define ACCESS_TYPE(q)		(((q) >> 12) & 0xf)
#define ACCESS_LINEAR_WRITE	1

#define INSN_LEN_MAX		15

/*
 * ---- the APIC-access page ----
 *
 * It holds nothing: accesses through it exit as APIC accesses, or the processor
 * answers them.  It is mapped while all the VM's APICs have their registers at one
 * address.  Otherwise nothing is mapped there, and accesses are MMIO.
 */

/** vmx_apic_init_vm - the VM's APIC-access page, if it needs one: 0, or -ENOMEM */
int vmx_apic_init_vm(struct kvm *kvm)
{
	struct kvm_vmx *kvm_vmx = to_kvm_vmx(kvm);

	if (!vmx_apicv)
		return 0;
	kvm_vmx->apic_access = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	return kvm_vmx->apic_access ? 0 : -ENOMEM;
}

/** vmx_apic_destroy_vm - undo vmx_apic_init_vm() */
void vmx_apic_destroy_vm(struct kvm *kvm)
{
	if (to_kvm_vmx(kvm)->apic_access)
		__free_page(to_kvm_vmx(kvm)->apic_access);
}

/** vmx_apic_map - map the APIC-access page, if gpa is its: true if it is mapped now */
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

	vmx->cpu2_ctl &= ~VMX_VID_CTLS;
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
	/* Until vmx_apic_update(), which the core asks for after a reset. */
	vmx->vcpu.lapic->virtual_delivery = false;
	if (vmx_vid)
		vmcs_write16(GUEST_INTR_STATUS, 0);
}

/** vmx_apic_update - choose the controls by the APIC's mode and state; vcpu loaded */
void vmx_apic_update(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;
	bool on, x2apic;

	if (!apic || !vmx_vid)
		return;
	/* The processor does not look at the APIC's software enable bit. */
	on = kvm_lapic_enabled(apic) && !kvm_lapic_tpr_watched(apic);
	x2apic = on && apic->x2apic;
	vmx_set_cpu2_ctl(vmx, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, !x2apic);
	vmx_set_cpu2_ctl(vmx, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, x2apic);
	vmx_set_cpu2_ctl(vmx, SECONDARY_EXEC_APIC_REGISTER_VIRT |
			 SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, on);
	if (on && !apic->virtual_delivery)
		vmcs_write16(GUEST_INTR_STATUS, 0);
	apic->virtual_delivery = on;
	apic->regs_changed = true;
	kvm_make_request(KVM_REQ_EVENT, &vmx->vcpu);
}

/*
 * ---- the registers in the virtual-APIC page ----
 *
 * While the guest runs they are the processor's.  Otherwise IRR and ISR there are
 * clear and struct kvm_lapic has them: vapic_load() copies them at an entry and
 * vapic_sync() back at the exit, which is nothing unless an interrupt is pending or
 * in service.
 */

static u32 *reg(struct vcpu_vmx *vmx, u32 offset)
{
	return (u32 *)(vmx->vapic + offset);
}

/* 32 vectors, of which each register has one bit. */
#define LAPIC_WORDS	(LAPIC_VECTORS / 32)

static u32 *word(unsigned long *bitmap, int i)
{
	return (u32 *)bitmap + i;
}

static bool is_bitmap(u32 offset)
{
	return (offset >= APIC_ISR && offset < APIC_ISR + 0x80) ||
	       (offset >= APIC_IRR && offset < APIC_IRR + 0x80);
}

/* What the guest reads without an exit, and which vectors' EOIs exit for the I/O APICs. */
static void show_registers(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;
	u64 exits[LAPIC_VECTORS / 64];
	u32 offset;

	/* Cleared before the reads: another CPU may set it again meanwhile. */
	xchg(&apic->regs_changed, false);
	for (offset = 0; offset <= APIC_TDCR; offset += 0x10)
		if (!is_bitmap(offset))
			*reg(vmx, offset) = kvm_lapic_read_reg(apic, offset);
	bitmap_to_arr64(exits, kvm_lapic_eoi_exits(apic), LAPIC_VECTORS);
	vmcs_write64(EOI_EXIT_BITMAP0, exits[0]);
	vmcs_write64(EOI_EXIT_BITMAP1, exits[1]);
	vmcs_write64(EOI_EXIT_BITMAP2, exits[2]);
	vmcs_write64(EOI_EXIT_BITMAP3, exits[3]);
}

/* Vectors of exceptions stay: they would never be delivered (SDM "Valid Interrupt Vectors"). */
#define EXCEPTIONS	0xffffU

static bool irr_waits(const struct kvm_lapic *apic)
{
	unsigned long any = READ_ONCE(apic->irr[0]) & ~(unsigned long)EXCEPTIONS;
	int i;

	for (i = 1; i < LAPIC_LONGS; i++)
		any |= READ_ONCE(apic->irr[i]);
	return any;
}

static u32 take_irr(struct kvm_lapic *apic, int i)
{
	u32 *irr = word(apic->irr, i), mask = i ? ~0U : ~EXCEPTIONS;

	if (!(READ_ONCE(*irr) & mask))
		return 0;
	return atomic_fetch_and(~mask, (atomic_t *)irr) & mask;
}

static void vapic_load(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;
	u8 rvi = 0, svi = max(apic->highest_isr, 0);
	u32 irr;
	int i;

	if (likely(apic->highest_isr < 0 && !irr_waits(apic)))
		return;
	for (i = 0; i < LAPIC_WORDS; i++) {
		*reg(vmx, APIC_ISR + i * 0x10) = *word(apic->isr, i);
		irr = take_irr(apic, i);
		if (!irr)
			continue;
		*reg(vmx, APIC_IRR + i * 0x10) = irr;
		rvi = i * 32 + __fls(irr);
	}
	vmcs_write16(GUEST_INTR_STATUS, svi << 8 | rvi);
}

static void vapic_sync(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;
	u16 status = vmcs_read16(GUEST_INTR_STATUS);
	u32 *irr, *isr;
	int i;

	/* The status has the highest vector of each. */
	if (likely(!status && apic->highest_isr < 0))
		return;
	for (i = 0; i < LAPIC_WORDS; i++) {
		irr = reg(vmx, APIC_IRR + i * 0x10);
		isr = reg(vmx, APIC_ISR + i * 0x10);
		if (*irr)
			atomic_or(*irr, (atomic_t *)word(apic->irr, i));
		*word(apic->isr, i) = *isr;
		*irr = *isr = 0;
	}
	apic->highest_isr = lapic_highest(apic->isr);
	vmcs_write16(GUEST_INTR_STATUS, 0);
}

/* The processor sends self-IPIs without an exit, and stores the upper half. */
static void take_icr(struct vcpu_vmx *vmx)
{
	vmx->vcpu.lapic->icr = (*reg(vmx, APIC_ICR) & ~APIC_ICR_BUSY) |
			       (u64)(*reg(vmx, APIC_ICR2) & 0xff000000) << 32;
}

/*
 * CR8 and the register are the task priority of the virtual-APIC page (SDM 3C
 * "Virtualizing CR8-Based TPR Accesses").  If an interrupt waits for a lower
 * one, anything below what it is now exits.
 */
static void load_tpr(struct vcpu_vmx *vmx)
{
	u32 threshold = vmx->intercept_cr8 ? vmx->vcpu.cr8 : 0;

	vmx->vapic[APIC_TASKPRI] = vmx->vcpu.lapic->tpr;
	if (unlikely(vmx->tpr_threshold != threshold)) {
		vmx->tpr_threshold = threshold;
		vmcs_write32(TPR_THRESHOLD, threshold);
	}
}

static void save_tpr(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;
	u8 tpr = vmx->vapic[APIC_TASKPRI];

	if (unlikely(apic->tpr != tpr))
		kvm_lapic_set_tpr(apic, tpr);
}

/** vmx_apic_before_entry - interrupts off, requests checked */
void vmx_apic_before_entry(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;

	load_tpr(vmx);
	if (!apic->virtual_delivery)
		return;
	vapic_load(vmx);
	/* After it: what it took from IRR has set this before. */
	if (unlikely(READ_ONCE(apic->regs_changed)))
		show_registers(vmx);
}

/** vmx_apic_after_exit - undo vmx_apic_before_entry(), also after a failed entry */
void vmx_apic_after_exit(struct vcpu_vmx *vmx)
{
	struct kvm_lapic *apic = vmx->vcpu.lapic;

	if (apic->virtual_delivery) {
		vapic_sync(vmx);
		if (!apic->x2apic)
			take_icr(vmx);
	}
	save_tpr(vmx);
}

/*
 * ---- exits ----
 */

/*
 * An EOI is written once an interrupt, whatever the value, by a simple MOV.  The
 * manual does not promise the instruction's length here, but processors give it.
 */
int vmx_handle_apic_access(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	gpa_t page = vcpu->apic_base & MSR_IA32_APICBASE_BASE;

	if (likely(ACCESS_TYPE(qual) == ACCESS_LINEAR_WRITE && ACCESS_OFFSET(qual) == APIC_EOI) &&
	    vmcs_read32(VM_EXIT_INSTRUCTION_LEN) - 1 < INSN_LEN_MAX) {
		kvm_lapic_eoi(vcpu->lapic);
		return kvm_skip_emulated_instruction(vcpu);
	}
	vmx_drop_false_step(to_vmx(vcpu));
	return kvm_handle_mmio_fault(vcpu, page | ACCESS_OFFSET(qual));
}

/* After the EOI of a vector that the I/O APICs or the PIT wait for; RIP is past it. */
int vmx_handle_eoi_induced(struct kvm_vcpu *vcpu)
{
	kvm_lapic_eoi_done(vcpu->lapic, vmcs_read(EXIT_QUALIFICATION));
	return 1;
}

/* After a write to the page; what the guest reads there is what the register became. */
int vmx_handle_apic_write(struct kvm_vcpu *vcpu)
{
	u32 offset = ACCESS_OFFSET(vmcs_read(EXIT_QUALIFICATION)) & ~0xfU;
	u32 *val = reg(to_vmx(vcpu), offset);

	kvm_lapic_reg_written(vcpu->lapic, offset, *val);
	*val = kvm_lapic_read_reg(vcpu->lapic, offset);
	return 1;
}
