// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's registers: control and debug registers, EFER, XCR0, RFLAGS and
 * the FPU, as the guest changes them and as userspace reads and writes them.
 *
 * The rule of this file: a value is checked whole before anything is changed.
 * "SDM" is Intel's manual, "APM 2" AMD's second volume; sections by title.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_handlers.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "kvm_regs.h"

#include <linux/export.h>
#include <asm/debugreg.h>
#include <asm/fpu/xcr.h>
#include <asm/msr.h>
#include <asm/tlbflush.h>

#define CR0_DEFINED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
			 X86_CR0_PG)
#define CR0_LMSW	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

/* What the page walk depends on. */
#define CR0_MMU		(X86_CR0_PG | X86_CR0_WP)
#define CR4_MMU		(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | \
			 X86_CR4_SMAP | X86_CR4_LA57 | X86_CR4_PKE)

/* SDM 3A "PDPTE Registers": a change of these under PAE paging loads them. */
#define CR0_PDPTRS	(X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_PDPTRS	(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

/* SDM 3A "Operations that Invalidate TLBs and Paging-Structure Caches". */
#define CR4_TLB		(X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_SMEP | \
			 X86_CR4_LA57 | X86_CR4_PCIDE)

#define CR8_MAX		15UL

/* The flags that exist; the others read as 0, but for bit 1. */
#define RFLAGS_DEFINED	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |  \
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |  \
			 X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF | \
			 X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP | \
			 X86_EFLAGS_ID)

/* SDM 3B "Debug Registers".  RTM's bits exist with the feature only. */
#define DR6_BD		BIT(13)		/* a MOV DR was caught by DR7.GD */
#define DR6_RTM		BIT(16)		/* 0 says: inside a transaction */
#define DR6_WRITABLE	0xe00fUL
#define DR7_GD		BIT(13)
#define DR7_RTM		BIT(11)
#define DR7_ALWAYS_1	0x400UL
#define DR7_WRITABLE	0xffff23ffUL

static bool upper_half(unsigned long val)
{
	return (u64)val >> 32;
}

static bool cs_is_64bit(struct kvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
	return cs.l;
}

bool is_64bit_code(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu) && cs_is_64bit(vcpu);
}
EXPORT_SYMBOL_GPL(is_64bit_code);

/**
 * kvm_reset_segments - segments and descriptor tables as RESET and INIT leave them
 * @vcpu: the vcpu, loaded
 *
 * SDM 3A "Processor State After Reset", APM 2 "Processor Initialization State".
 */
void kvm_reset_segments(struct kvm_vcpu *vcpu)
{
	static const struct kvm_segment data = { .limit = 0xffff, .type = 0x3, .s = 1, .present = 1 };
	static const struct kvm_segment ldtr = { .limit = 0xffff, .type = 0x2, .present = 1 };
	static const struct kvm_segment tr = { .limit = 0xffff, .type = 0xb, .present = 1 };
	static const struct kvm_segment cs = {
		.selector = 0xf000, .base = 0xffff0000, .limit = 0xffff,
		.type = 0xb, .s = 1, .present = 1,
	};
	static const struct kvm_dtable dt = { .limit = 0xffff };
	int seg;

	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_GS; seg++)
		kvm_ops.set_segment(vcpu, seg == VCPU_SREG_CS ? &cs : &data, seg);
	kvm_ops.set_segment(vcpu, &ldtr, VCPU_SREG_LDTR);
	kvm_ops.set_segment(vcpu, &tr, VCPU_SREG_TR);
	kvm_ops.set_dtable(vcpu, &dt, VCPU_SREG_GDTR);
	kvm_ops.set_dtable(vcpu, &dt, VCPU_SREG_IDTR);
}
EXPORT_SYMBOL_GPL(kvm_reset_segments);

/*
 * ---- control registers ----
 */

/* SDM 2B "MOV—Move to/from Control Registers": what no mode allows. */
static bool cr0_possible(unsigned long cr0)
{
	if (upper_half(cr0))
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/* SDM 3A "Initializing IA-32e Mode"; it is left from compatibility mode only. */
static bool may_switch_paging(struct kvm_vcpu *vcpu, bool on)
{
	if (!on)
		return !is_64bit_code(vcpu);
	return !(vcpu->efer & EFER_LME) || (is_pae(vcpu) && !cs_is_64bit(vcpu));
}

/**
 * kvm_hw_cr4 - what the processor has in CR4 while the guest runs
 * @vcpu: the vcpu, its CR0 set
 * @cr4: as the guest has it
 *
 * Return: the guest's, with MCE of the host's, without which the host's machine
 * checks would shut the processor down.  Under shadow paging with PAE, the format
 * of our tables, and without SMEP and SMAP while the guest does not page, since
 * all its pages are user pages then.
 */
unsigned long kvm_hw_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	cr4 |= cr4_read_shadow() & X86_CR4_MCE;
	if (kvm_ops.nested_paging)
		return cr4;
	if (!(vcpu->cr0 & X86_CR0_PG))
		cr4 &= ~(X86_CR4_SMEP | X86_CR4_SMAP);
	return cr4 | X86_CR4_PAE;
}
EXPORT_SYMBOL_GPL(kvm_hw_cr4);

/**
 * kvm_hw_efer - what the processor has in EFER while the guest runs
 * @efer: as the guest has it
 *
 * Return: the guest's; under shadow paging with NXE, which our tables use, and
 * without LME, which hardware paging would take for long mode, before the guest
 * pages.
 */
u64 kvm_hw_efer(u64 efer)
{
	if (kvm_ops.nested_paging)
		return efer;
	if (!(efer & EFER_LMA))
		efer &= ~EFER_LME;
	return kvm_ops.has_nx ? efer | EFER_NX : efer;
}
EXPORT_SYMBOL_GPL(kvm_hw_efer);

static void store_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	vcpu->cr0 = cr0;
	vcpu->regs_avail |= BIT(VCPU_EXREG_CR0);
	kvm_ops.set_cr0(vcpu, cr0);
}

static void store_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	vcpu->cr3 = cr3;
	vcpu->regs_avail |= BIT(VCPU_EXREG_CR3);
	kvm_ops.set_cr3(vcpu, cr3);
}

static void store_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	vcpu->cr4 = cr4;
	vcpu->regs_avail |= BIT(VCPU_EXREG_CR4);
	kvm_ops.set_cr4(vcpu, cr4);
}

static void store_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	vcpu->efer = efer;
	kvm_ops.set_efer(vcpu, efer);
}

/*
 * PAE paging keeps its four top entries in registers, which MOV CR loads and
 * checks.  With nested paging AMD's processors have none of those and read the
 * entries at each walk (APM 2 "Legacy PAE Mode" of "Nested Paging").
 */
static bool load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	bool registers = !kvm_ops.nested_paging || kvm_ops.nested_pdptrs;

	return kvm_mmu_load_pdptrs(vcpu, cr3) || !registers;
}

/**
 * kvm_set_cr0 - MOV to CR0
 * @vcpu: the vcpu, loaded
 * @cr0: any value
 *
 * Turning paging on or off with EFER.LME set enters or leaves long mode.
 * Returns 0, or 1 with nothing changed: the guest gets #GP.
 */
int kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	unsigned long changed;

	if (!cr0_possible(cr0))
		return 1;
	cr0 = (cr0 & CR0_DEFINED) | X86_CR0_ET;
	changed = cr0 ^ kvm_read_cr0(vcpu);
	if ((changed & X86_CR0_PG) && !may_switch_paging(vcpu, cr0 & X86_CR0_PG))
		return 1;
	if ((changed & CR0_PDPTRS) && (cr0 & X86_CR0_PG) && is_pae(vcpu) &&
	    !(vcpu->efer & EFER_LME) && !load_pdptrs(vcpu, kvm_read_cr3(vcpu)))
		return 1;

	if ((changed & X86_CR0_PG) && (vcpu->efer & EFER_LME))
		store_efer(vcpu, vcpu->efer ^ EFER_LMA);
	store_cr0(vcpu, cr0);
	if (changed & CR0_MMU)
		kvm_mmu_reset_context(vcpu);
	if (changed & X86_CR0_PG)
		kvm_mmu_guest_tlb_flush(vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_set_cr0);

/** kvm_lmsw - LMSW: four bits of CR0, of which PE can be set but not cleared */
void kvm_lmsw(struct kvm_vcpu *vcpu, unsigned long msw)
{
	unsigned long cr0 = kvm_read_cr0(vcpu);

	kvm_set_cr0(vcpu, (cr0 & ~(CR0_LMSW & ~X86_CR0_PE)) | (msw & CR0_LMSW));
}
EXPORT_SYMBOL_GPL(kvm_lmsw);

/** kvm_set_cr3 - MOV to CR3: 0, or 1 for reserved bits in it or in the PDPTEs */
int kvm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	if (is_long_mode(vcpu) && (cr3 & vcpu->rsvd_gpa_bits))
		return 1;
	if (is_pae_paging(vcpu) && !load_pdptrs(vcpu, cr3))
		return 1;
	store_cr3(vcpu, cr3);
	/* A new shadow root is flushed with its load; the hardware's guest CR3 is not. */
	if (is_paging(vcpu))
		kvm_mmu_new_cr3(vcpu);
	if (kvm_ops.nested_paging)
		kvm_mmu_guest_tlb_flush(vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_set_cr3);

/** kvm_set_cr4 - MOV to CR4: 0, or 1 with nothing changed */
int kvm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	unsigned long changed = cr4 ^ kvm_read_cr4(vcpu);

	if (cr4 & vcpu->cr4_guest_rsvd)
		return 1;
	/* The depth of the tables cannot change under long mode's feet. */
	if (is_long_mode(vcpu) && (!(cr4 & X86_CR4_PAE) || (changed & X86_CR4_LA57)))
		return 1;
	if ((changed & CR4_PDPTRS) && (cr4 & X86_CR4_PAE) && is_paging(vcpu) &&
	    !is_long_mode(vcpu) && !load_pdptrs(vcpu, kvm_read_cr3(vcpu)))
		return 1;

	store_cr4(vcpu, cr4);
	if (changed & CR4_MMU)
		kvm_mmu_reset_context(vcpu);
	if (changed & CR4_TLB)
		kvm_mmu_guest_tlb_flush(vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_set_cr4);

/** kvm_set_cr8 - MOV to CR8: the task priority of our APIC, or one that userspace's will see */
int kvm_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8)
{
	if (cr8 > CR8_MAX)
		return 1;
	if (vcpu->lapic)
		kvm_lapic_set_cr8(vcpu, cr8);
	else
		vcpu->cr8 = cr8;
	return 0;
}

/*
 * The bits of EFER that may be set: what we support and, if it is the guest
 * that writes, its CPUID has.
 */
static u64 efer_allowed(struct kvm_vcpu *vcpu, bool host_initiated)
{
	static const struct { u64 bits; unsigned int feature; } features[] = {
		{ EFER_SCE, X86_FEATURE_SYSCALL },
		{ EFER_LME | EFER_LMA, X86_FEATURE_LM },
		{ EFER_NX, X86_FEATURE_NX },
		{ EFER_FFXSR, X86_FEATURE_FXSR_OPT },
	};
	u64 allowed = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(features); i++) {
		unsigned int feature = features[i].feature;

		if (kvm_cpu_cap_has(feature) && (host_initiated || kvm_guest_has(vcpu, feature)))
			allowed |= features[i].bits;
	}
	return allowed;
}

/**
 * kvm_set_efer - WRMSR to EFER
 * @vcpu: the vcpu, loaded
 * @efer: any value; its LMA is not looked at, CR0.PG sets that
 * @host_initiated: KVM_SET_MSRS
 *
 * Returns 0, or 1 with nothing changed.
 */
int kvm_set_efer(struct kvm_vcpu *vcpu, u64 efer, bool host_initiated)
{
	u64 changed;

	if (efer & ~efer_allowed(vcpu, host_initiated))
		return 1;
	efer = (efer & ~(u64)EFER_LMA) | (vcpu->efer & EFER_LMA);
	changed = efer ^ vcpu->efer;
	if ((changed & EFER_LME) && is_paging(vcpu))
		return 1;
	store_efer(vcpu, efer);
	if (changed & EFER_NX)
		kvm_mmu_reset_context(vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_set_efer);

/*
 * ---- MOV CR and MOV DR exits ----
 */

/* Outside 64-bit code only the lower halves of registers take part. */
static unsigned long read_operand(struct kvm_vcpu *vcpu, int reg)
{
	unsigned long val = kvm_reg_read(vcpu, reg);

	return is_64bit_code(vcpu) ? val : (u32)val;
}

static void write_operand(struct kvm_vcpu *vcpu, int reg, unsigned long val)
{
	kvm_reg_write(vcpu, reg, is_64bit_code(vcpu) ? val : (u32)val);
}

/*
 * A lower task priority may let in an interrupt that userspace's APIC holds
 * back, so it must hear of it.
 */
static int mov_to_cr8(struct kvm_vcpu *vcpu, unsigned long val)
{
	unsigned long old = vcpu->cr8;
	int r;

	if (kvm_set_cr8(vcpu, val)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	r = kvm_skip_emulated_instruction(vcpu);
	if (r <= 0 || vcpu->cr8 >= old || vcpu->lapic)
		return r;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

/**
 * kvm_handle_mov_to_cr - the exit of MOV to CR, its CPL checked by hardware
 * @vcpu: the vcpu, loaded
 * @cr: the control register's number
 * @reg: the general register's
 */
int kvm_handle_mov_to_cr(struct kvm_vcpu *vcpu, int cr, int reg)
{
	unsigned long val = read_operand(vcpu, reg);
	int bad;

	vcpu->stat.cr_exits++;
	switch (cr) {
	case 0:
		bad = kvm_set_cr0(vcpu, val);
		break;
	case 3:
		bad = kvm_set_cr3(vcpu, val);
		break;
	case 4:
		bad = kvm_set_cr4(vcpu, val);
		break;
	case 8:
		return mov_to_cr8(vcpu, val);
	default:
		return kvm_handle_ud(vcpu);
	}
	if (bad) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_to_cr);

int kvm_handle_mov_from_cr(struct kvm_vcpu *vcpu, int cr, int reg)
{
	unsigned long val;

	vcpu->stat.cr_exits++;
	switch (cr) {
	case 0:
		val = kvm_read_cr0(vcpu);
		break;
	case 2:
		val = vcpu->cr2;
		break;
	case 3:
		val = kvm_read_cr3(vcpu);
		break;
	case 4:
		val = kvm_read_cr4(vcpu);
		break;
	case 8:
		val = vcpu->cr8;
		break;
	default:
		return kvm_handle_ud(vcpu);
	}
	write_operand(vcpu, reg, val);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_from_cr);

/**
 * kvm_handle_mov_dr - the exit of MOV to or from a debug register
 * @vcpu: the vcpu, loaded
 * @dr: 0..7; 4 and 5 are 6 and 7 unless CR4.DE is set
 * @reg: the general register's number
 * @to_dr: the direction
 */
int kvm_handle_mov_dr(struct kvm_vcpu *vcpu, int dr, int reg, bool to_dr)
{
	vcpu->stat.dr_exits++;
	if ((dr == 4 || dr == 5) && (kvm_read_cr4(vcpu) & X86_CR4_DE))
		return kvm_handle_ud(vcpu);
	if (kvm_ops.get_cpl(vcpu)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	if (vcpu->dr7 & DR7_GD) {
		kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR6_BD);
		return 1;
	}
	if (!to_dr) {
		write_operand(vcpu, reg, kvm_get_dr(vcpu, dr));
	} else if (kvm_set_dr(vcpu, dr, read_operand(vcpu, reg))) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_dr);

/*
 * ---- debug registers ----
 */

static unsigned long dr6_value(struct kvm_vcpu *vcpu, unsigned long val)
{
	unsigned long writable = DR6_WRITABLE, fixed = DR6_RESERVED;

	if (vcpu->guest_caps & KVM_GUEST_HAS_RTM) {
		writable |= DR6_RTM;
		fixed &= ~DR6_RTM;
	}
	return (val & writable) | fixed;
}

static unsigned long dr7_value(struct kvm_vcpu *vcpu, unsigned long val)
{
	unsigned long writable = DR7_WRITABLE;

	if (vcpu->guest_caps & KVM_GUEST_HAS_RTM)
		writable |= DR7_RTM;
	return (val & writable) | DR7_ALWAYS_1;
}

unsigned long kvm_get_dr(struct kvm_vcpu *vcpu, int dr)
{
	switch (dr) {
	case 0 ... 3:
		return vcpu->db[dr];
	case 4:
	case 6:
		return vcpu->dr6;
	default:
		return vcpu->dr7;
	}
}
EXPORT_SYMBOL_GPL(kvm_get_dr);

/** kvm_set_dr - 0, or 1 for DR6 or DR7 with a bit of the upper half: #GP */
int kvm_set_dr(struct kvm_vcpu *vcpu, int dr, unsigned long val)
{
	if (dr > 3 && upper_half(val))
		return 1;
	switch (dr) {
	case 0 ... 3:
		vcpu->db[dr] = val;
		break;
	case 4:
	case 6:
		vcpu->dr6 = dr6_value(vcpu, val);
		return 0;
	default:
		vcpu->dr7 = dr7_value(vcpu, val);
		break;
	}
	kvm_update_dr7(vcpu);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_set_dr);

/**
 * kvm_update_dr7 - what the processor gets while the guest runs
 * @vcpu: the vcpu, loaded
 *
 * The VMM's debugger has the breakpoints to itself when it uses any: the
 * guest's then only read back.
 */
void kvm_update_dr7(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)) {
		kvm_ops.set_dr7(vcpu, vcpu->guest_debug_dr7);
		return;
	}
	memcpy(vcpu->eff_db, vcpu->db, sizeof(vcpu->eff_db));
	kvm_ops.set_dr7(vcpu, vcpu->dr7);
}
EXPORT_SYMBOL_GPL(kvm_update_dr7);

/*
 * ---- RFLAGS ----
 */

/*
 * While the VMM's debugger steps, the hardware's TF is its own, and the guest's
 * is kept aside.  Only an instruction of the guest's clears what we set: then
 * it has cleared its own.  (One that sets it cannot be told apart.)
 */
unsigned long kvm_get_rflags(struct kvm_vcpu *vcpu)
{
	unsigned long rflags = kvm_ops.get_rflags(vcpu);

	if (likely(!(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)))
		return rflags;
	if (!(rflags & X86_EFLAGS_TF))
		vcpu->guest_tf = false;
	return vcpu->guest_tf ? rflags : rflags & ~X86_EFLAGS_TF;
}
EXPORT_SYMBOL_GPL(kvm_get_rflags);

void kvm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)) {
		vcpu->guest_tf = rflags & X86_EFLAGS_TF;
		rflags |= X86_EFLAGS_TF;
	}
	kvm_ops.set_rflags(vcpu, rflags);
}
EXPORT_SYMBOL_GPL(kvm_set_rflags);

/*
 * ---- XCR0 ----
 */

/* SDM 1 "XSAVE-Supported Features and State-Component Bitmaps". */
static bool xcr0_possible(struct kvm_vcpu *vcpu, u64 xcr0)
{
	if (!(xcr0 & XFEATURE_MASK_FP) || (xcr0 & ~vcpu->guest_supported_xcr0))
		return false;
	if ((xcr0 & XFEATURE_MASK_YMM) && !(xcr0 & XFEATURE_MASK_SSE))
		return false;
	if (!(xcr0 & XFEATURE_MASK_AVX512))
		return true;
	return (xcr0 & XFEATURE_MASK_AVX512) == XFEATURE_MASK_AVX512 &&
	       (xcr0 & XFEATURE_MASK_YMM);
}

/** kvm_set_xcr - XSETBV: 0, or 1 for a register or a value that the guest has not */
int kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr)
{
	if (index != XCR_XFEATURE_ENABLED_MASK || !xcr0_possible(vcpu, xcr))
		return 1;
	vcpu->xcr0 = xcr;
	return 0;
}

/* The host's IA32_XSS: the same on all CPUs since boot. */
static u64 host_xss __read_mostly;

void kvm_switch_to_guest_xcr0(struct kvm_vcpu *vcpu)
{
	if (vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->xcr0);
	if (unlikely(vcpu->xss != host_xss))
		wrmsrl(MSR_IA32_XSS, vcpu->xss);
}

void kvm_switch_to_host_xcr0(struct kvm_vcpu *vcpu)
{
	if (vcpu->xcr0 != vcpu->host_xcr0)
		xsetbv(XCR_XFEATURE_ENABLED_MASK, vcpu->host_xcr0);
	if (unlikely(vcpu->xss != host_xss))
		wrmsrl(MSR_IA32_XSS, host_xss);
}

/*
 * ---- KVM_GET_REGS, KVM_SET_REGS ----
 */

/* struct kvm_regs has the general registers in an order of its own. */
#define FOR_EACH_GPR(X)							\
	X(rax, RAX) X(rbx, RBX) X(rcx, RCX) X(rdx, RDX)			\
	X(rsi, RSI) X(rdi, RDI) X(rsp, RSP) X(rbp, RBP)			\
	X(r8, R8) X(r9, R9) X(r10, R10) X(r11, R11)			\
	X(r12, R12) X(r13, R13) X(r14, R14) X(r15, R15)

long kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *regs)
{
#define GET_GPR(field, REG) regs->field = kvm_reg_read(vcpu, VCPU_REGS_##REG);
	FOR_EACH_GPR(GET_GPR)
#undef GET_GPR
	regs->rip = kvm_rip_read(vcpu);
	regs->rflags = kvm_get_rflags(vcpu);
	return 0;
}

long kvm_vcpu_set_regs(struct kvm_vcpu *vcpu, const struct kvm_regs *regs)
{
	/* An exception of the instruction that userspace leaves behind is gone. */
	if (regs->rip != kvm_rip_read(vcpu))
		vcpu->events.exception.pending = false;

#define SET_GPR(field, REG) kvm_reg_write(vcpu, VCPU_REGS_##REG, regs->field);
	FOR_EACH_GPR(SET_GPR)
#undef SET_GPR
	kvm_rip_write(vcpu, regs->rip);
	kvm_set_rflags(vcpu, (regs->rflags & RFLAGS_DEFINED) | X86_EFLAGS_FIXED);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/*
 * ---- KVM_GET_SREGS, KVM_SET_SREGS ----
 */

#define FOR_EACH_SEGMENT(X)						\
	X(cs, CS) X(ds, DS) X(es, ES) X(fs, FS) X(gs, GS) X(ss, SS) X(tr, TR) X(ldt, LDTR)

long kvm_vcpu_get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs)
{
	const struct kvm_events *ev = &vcpu->events;

	memset(sregs, 0, sizeof(*sregs));
#define GET_SEGMENT(field, SEG) kvm_ops.get_segment(vcpu, &sregs->field, VCPU_SREG_##SEG);
	FOR_EACH_SEGMENT(GET_SEGMENT)
#undef GET_SEGMENT
	kvm_ops.get_dtable(vcpu, &sregs->gdt, VCPU_SREG_GDTR);
	kvm_ops.get_dtable(vcpu, &sregs->idt, VCPU_SREG_IDTR);
	sregs->cr0 = kvm_read_cr0(vcpu);
	sregs->cr2 = vcpu->cr2;
	sregs->cr3 = kvm_read_cr3(vcpu);
	sregs->cr4 = kvm_read_cr4(vcpu);
	sregs->cr8 = vcpu->cr8;
	sregs->efer = vcpu->efer;
	sregs->apic_base = vcpu->apic_base;
	if ((ev->irq.pending || ev->irq.injected) && !ev->irq.soft)
		sregs->interrupt_bitmap[ev->irq.nr / 64] |= BIT_ULL(ev->irq.nr % 64);
	return 0;
}

/* The vector whose bit is set, -1: none, -EINVAL: more than one. */
static int bitmap_vector(const struct kvm_sregs *sregs)
{
	int vector = -1, i;

	for (i = 0; i < ARRAY_SIZE(sregs->interrupt_bitmap); i++) {
		u64 word = sregs->interrupt_bitmap[i];

		if (!word)
			continue;
		if (vector >= 0 || (word & (word - 1)))
			return -EINVAL;
		vector = i * 64 + __ffs64(word);
	}
	return vector;
}

/* Could a processor be in this state, and would we let the guest get there? */
static bool sregs_valid(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	bool active = (sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG);

	if (sregs->cr0 >> 32 || !cr0_possible(sregs->cr0))
		return false;
	if (sregs->cr4 >> 32 || (sregs->cr4 & vcpu->cr4_guest_rsvd))
		return false;
	if (sregs->efer & ~efer_allowed(vcpu, true))
		return false;
	if (active != !!(sregs->efer & EFER_LMA) || (active && !(sregs->cr4 & X86_CR4_PAE)))
		return false;
	if ((sregs->cr3 & vcpu->rsvd_gpa_bits) || sregs->cr8 > CR8_MAX)
		return false;
	return kvm_apic_base_valid(vcpu, sregs->apic_base) && bitmap_vector(sregs) != -EINVAL;
}

/*
 * A vector in the bitmap has been acknowledged; like KVM_INTERRUPT's it waits
 * for IF.  One that is being delivered already goes on as it did.
 */
static void set_bitmap_vector(struct kvm_vcpu *vcpu, int vector)
{
	struct kvm_events *ev = &vcpu->events;

	if (vector < 0) {
		ev->irq.pending = false;
		ev->irq.injected = false;
	} else if (!(ev->irq.pending || ev->irq.injected) || ev->irq.nr != vector) {
		ev->irq.pending = true;
		ev->irq.injected = false;
		ev->irq.soft = false;
		ev->irq.nr = vector;
	}
}

static void set_control_registers(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	unsigned long cr0 = (sregs->cr0 & CR0_DEFINED) | X86_CR0_ET;
	bool new_mode = ((cr0 ^ kvm_read_cr0(vcpu)) & CR0_MMU) ||
			((sregs->cr4 ^ kvm_read_cr4(vcpu)) & CR4_MMU) ||
			((sregs->efer ^ vcpu->efer) & (EFER_NX | EFER_LMA));
	bool new_cr3 = sregs->cr3 != kvm_read_cr3(vcpu);

	vcpu->cr2 = sregs->cr2;
	/* The APIC's own register has more bits: kept if these are its upper ones. */
	if (vcpu->cr8 != sregs->cr8)
		kvm_set_cr8(vcpu, sregs->cr8);
	store_efer(vcpu, sregs->efer);
	store_cr0(vcpu, cr0);
	store_cr4(vcpu, sregs->cr4);
	store_cr3(vcpu, sregs->cr3);
	if (new_mode)
		kvm_mmu_reset_context(vcpu);
	if (new_cr3)
		kvm_mmu_new_cr3(vcpu);
	if (new_mode || new_cr3)
		kvm_mmu_guest_tlb_flush(vcpu);
}

static bool load_new_pdptrs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!(sregs->cr0 & X86_CR0_PG) || !(sregs->cr4 & X86_CR4_PAE) || (sregs->efer & EFER_LMA))
		return true;
	return load_pdptrs(vcpu, sregs->cr3);
}

/* All but what is pending; the PDPTEs are loaded. */
static void set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	kvm_ops.set_dtable(vcpu, &sregs->gdt, VCPU_SREG_GDTR);
	kvm_ops.set_dtable(vcpu, &sregs->idt, VCPU_SREG_IDTR);
	set_control_registers(vcpu, sregs);
	kvm_set_apic_base(vcpu, sregs->apic_base, true);
	/* After the mode, by which a vendor reads them. */
#define SET_SEGMENT(field, SEG) kvm_ops.set_segment(vcpu, &sregs->field, VCPU_SREG_##SEG);
	FOR_EACH_SEGMENT(SET_SEGMENT)
#undef SET_SEGMENT
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

long kvm_vcpu_set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!sregs_valid(vcpu, sregs) || !load_new_pdptrs(vcpu, sregs))
		return -EINVAL;
	set_sregs(vcpu, sregs);
	set_bitmap_vector(vcpu, bitmap_vector(sregs));
	return 0;
}

/*
 * The second kind begins as the first, and has the PDPTEs, where the processor
 * keeps them in registers, in place of the interrupt.
 */
#define SREGS_COMMON	offsetof(struct kvm_sregs, interrupt_bitmap)
static_assert(SREGS_COMMON == offsetof(struct kvm_sregs2, flags));

static bool pdptrs_in_registers(const struct kvm_sregs *sregs)
{
	return (sregs->cr0 & X86_CR0_PG) && (sregs->cr4 & X86_CR4_PAE) &&
	       !(sregs->efer & EFER_LMA) && (!kvm_ops.nested_paging || kvm_ops.nested_pdptrs);
}

long kvm_vcpu_get_sregs2(struct kvm_vcpu *vcpu, struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs;

	kvm_vcpu_get_sregs(vcpu, &sregs);
	memset(sregs2, 0, sizeof(*sregs2));
	memcpy(sregs2, &sregs, SREGS_COMMON);
	if (pdptrs_in_registers(&sregs)) {
		memcpy(sregs2->pdptrs, kvm_read_pdptrs(vcpu), sizeof(sregs2->pdptrs));
		sregs2->flags |= KVM_SREGS2_FLAGS_PDPTRS_VALID;
	}
	return 0;
}

long kvm_vcpu_set_sregs2(struct kvm_vcpu *vcpu, const struct kvm_sregs2 *sregs2)
{
	struct kvm_sregs sregs = {};

	memcpy(&sregs, sregs2, SREGS_COMMON);
	if ((sregs2->flags & ~(u64)KVM_SREGS2_FLAGS_PDPTRS_VALID) || !sregs_valid(vcpu, &sregs))
		return -EINVAL;
	if (!(sregs2->flags & KVM_SREGS2_FLAGS_PDPTRS_VALID)) {
		if (!load_new_pdptrs(vcpu, &sregs))
			return -EINVAL;
	} else if (!pdptrs_in_registers(&sregs) || !kvm_mmu_set_pdptrs(vcpu, sregs2->pdptrs)) {
		return -EINVAL;
	}
	set_sregs(vcpu, &sregs);
	return 0;
}

/*
 * ---- KVM_CAP_SYNC_REGS: registers that travel in kvm_run ----
 *
 * What lies there is userspace's, which may change it at any moment: it is
 * copied first.
 */

bool kvm_sync_regs_valid(struct kvm_vcpu *vcpu)
{
	u64 asked = READ_ONCE(vcpu->run->kvm_valid_regs) | READ_ONCE(vcpu->run->kvm_dirty_regs);

	return !(asked & ~(u64)KVM_SYNC_X86_VALID_FIELDS);
}

/** kvm_sync_regs_load - take what userspace marked dirty: 0, -EINVAL, -ENOMEM */
int kvm_sync_regs_load(struct kvm_vcpu *vcpu)
{
	struct kvm_sync_regs *in = kmemdup(&vcpu->run->s.regs, sizeof(*in), GFP_KERNEL_ACCOUNT);
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);
	int r = 0;

	if (!in)
		return -ENOMEM;
	if (dirty & KVM_SYNC_X86_REGS)
		kvm_vcpu_set_regs(vcpu, &in->regs);
	if (dirty & KVM_SYNC_X86_SREGS)
		r = kvm_vcpu_set_sregs(vcpu, &in->sregs);
	if (!r && (dirty & KVM_SYNC_X86_EVENTS))
		r = kvm_vcpu_set_events(vcpu, &in->events);
	kfree(in);
	if (!r)
		vcpu->run->kvm_dirty_regs = 0;
	return r;
}

void kvm_sync_regs_store(struct kvm_vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);
	struct kvm_sync_regs *out = &vcpu->run->s.regs;

	if (valid & KVM_SYNC_X86_REGS)
		kvm_vcpu_get_regs(vcpu, &out->regs);
	if (valid & KVM_SYNC_X86_SREGS)
		kvm_vcpu_get_sregs(vcpu, &out->sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		kvm_vcpu_get_events(vcpu, &out->events);
}

/*
 * ---- FPU and extended state ----
 *
 * Between two KVM_RUNs the guest's state lies in vcpu->guest_fpu, perhaps
 * compacted and without what is in its initial state; the kernel's functions
 * turn that into the format of KVM_GET_XSAVE and back.
 */

static u64 uabi_xfeatures(void)
{
	return kvm_supported_xcr0 | XFEATURE_MASK_FPSSE;
}

static void export_fpu(struct kvm_vcpu *vcpu, struct kvm_xsave *xsave)
{
	fpu_copy_guest_fpstate_to_uabi(&vcpu->guest_fpu, xsave, sizeof(*xsave),
				       uabi_xfeatures(), 0);
}

/* -EINVAL: components that are not offered, a malformed header, a reserved MXCSR bit. */
static int import_fpu(struct kvm_vcpu *vcpu, const struct kvm_xsave *xsave)
{
	u32 pkru;

	return fpu_copy_uabi_to_guest_fpstate(&vcpu->guest_fpu, xsave, uabi_xfeatures(), &pkru);
}

long kvm_vcpu_get_xsave(struct kvm_vcpu *vcpu, struct kvm_xsave *xsave)
{
	memset(xsave, 0, sizeof(*xsave));
	export_fpu(vcpu, xsave);
	return 0;
}

long kvm_vcpu_set_xsave(struct kvm_vcpu *vcpu, const struct kvm_xsave *xsave)
{
	return import_fpu(vcpu, xsave);
}

long kvm_vcpu_get_fpu(struct kvm_vcpu *vcpu, struct kvm_fpu *fpu)
{
	struct kvm_xsave *xsave = kzalloc(sizeof(*xsave), GFP_KERNEL_ACCOUNT);
	const struct fxregs_state *fx = (void *)xsave;

	if (!xsave)
		return -ENOMEM;
	export_fpu(vcpu, xsave);
	memset(fpu, 0, sizeof(*fpu));
	memcpy(fpu->fpr, fx->st_space, sizeof(fpu->fpr));
	fpu->fcw = fx->cwd;
	fpu->fsw = fx->swd;
	fpu->ftwx = fx->twd;
	fpu->last_opcode = fx->fop;
	fpu->last_ip = fx->rip;
	fpu->last_dp = fx->rdp;
	memcpy(fpu->xmm, fx->xmm_space, sizeof(fpu->xmm));
	fpu->mxcsr = fx->mxcsr;
	kfree(xsave);
	return 0;
}

/* The upper parts of vector registers and all that is newer stay as they are. */
long kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu)
{
	struct kvm_xsave *xsave = kzalloc(sizeof(*xsave), GFP_KERNEL_ACCOUNT);
	struct xregs_state *xregs = (void *)xsave;
	struct fxregs_state *fx = &xregs->i387;
	int r;

	if (!xsave)
		return -ENOMEM;
	export_fpu(vcpu, xsave);
	memcpy(fx->st_space, fpu->fpr, sizeof(fpu->fpr));
	fx->cwd = fpu->fcw;
	fx->swd = fpu->fsw;
	fx->twd = fpu->ftwx;
	fx->fop = fpu->last_opcode;
	fx->rip = fpu->last_ip;
	fx->rdp = fpu->last_dp;
	memcpy(fx->xmm_space, fpu->xmm, sizeof(fpu->xmm));
	fx->mxcsr = fpu->mxcsr;
	xregs->header.xfeatures |= XFEATURE_MASK_FPSSE;
	r = import_fpu(vcpu, xsave);
	kfree(xsave);
	return r;
}

long kvm_vcpu_get_xcrs(struct kvm_vcpu *vcpu, struct kvm_xcrs *xcrs)
{
	memset(xcrs, 0, sizeof(*xcrs));
	if (!kvm_supported_xcr0)
		return 0;
	xcrs->nr_xcrs = 1;
	xcrs->xcrs[0].xcr = XCR_XFEATURE_ENABLED_MASK;
	xcrs->xcrs[0].value = vcpu->xcr0;
	return 0;
}

long kvm_vcpu_set_xcrs(struct kvm_vcpu *vcpu, const struct kvm_xcrs *xcrs)
{
	u64 xcr0 = vcpu->xcr0;
	u32 i;

	if (xcrs->flags || xcrs->nr_xcrs > KVM_MAX_XCRS)
		return -EINVAL;
	for (i = 0; i < xcrs->nr_xcrs; i++) {
		if (xcrs->xcrs[i].xcr != XCR_XFEATURE_ENABLED_MASK ||
		    !xcr0_possible(vcpu, xcrs->xcrs[i].value))
			return -EINVAL;
		xcr0 = xcrs->xcrs[i].value;
	}
	vcpu->xcr0 = xcr0;
	return 0;
}

/* First of a vcpu's parts: what it may do by CPUID depends on the FPU's permissions. */
int kvm_fpu_create(struct kvm_vcpu *vcpu)
{
	if (!fpu_alloc_guest_fpstate(&vcpu->guest_fpu))
		return -ENOMEM;
	if (boot_cpu_has(X86_FEATURE_XSAVE))
		vcpu->host_xcr0 = xgetbv(XCR_XFEATURE_ENABLED_MASK);
	if (boot_cpu_has(X86_FEATURE_XSAVES))
		rdmsrl(MSR_IA32_XSS, host_xss);
	vcpu->xcr0 = XFEATURE_MASK_FP;
	kvm_derive_from_cpuid(vcpu);
	return 0;
}

void kvm_fpu_destroy(struct kvm_vcpu *vcpu)
{
	fpu_free_guest_fpstate(&vcpu->guest_fpu);
}

/*
 * ---- KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_SET_GUEST_DEBUG ----
 */

long kvm_vcpu_get_debugregs(struct kvm_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	int i;

	memset(dbg, 0, sizeof(*dbg));
	for (i = 0; i < ARRAY_SIZE(dbg->db); i++)
		dbg->db[i] = vcpu->db[i];
	dbg->dr6 = vcpu->dr6;
	dbg->dr7 = vcpu->dr7;
	return 0;
}

long kvm_vcpu_set_debugregs(struct kvm_vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	int i;

	if (dbg->flags || memchr_inv(dbg->reserved, 0, sizeof(dbg->reserved)))
		return -EINVAL;
	if (dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(dbg->db); i++)
		vcpu->db[i] = dbg->db[i];
	vcpu->dr6 = dr6_value(vcpu, dbg->dr6);
	vcpu->dr7 = dr7_value(vcpu, dbg->dr7);
	kvm_update_dr7(vcpu);
	return 0;
}


/* The debugger's breakpoints: GD would catch the guest's own MOV DR, so it is left out. */
static void set_debugger_breakpoints(struct kvm_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vcpu->eff_db); i++)
		vcpu->eff_db[i] = dbg->arch.debugreg[i];
	vcpu->guest_debug_dr7 = (dbg->arch.debugreg[7] & DR7_WRITABLE & ~DR7_GD) | DR7_ALWAYS_1;
}

/*
 * Padding and registers that the flags do not ask for are not looked at: QEMU
 * leaves them uninitialised.
 */
long kvm_vcpu_set_guest_debug(struct kvm_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	unsigned long rflags;

	if (dbg->control & ~KVM_GUESTDBG_FLAGS)
		return -EINVAL;
	if ((dbg->control & KVM_GUESTDBG_USE_HW_BP) && dbg->arch.debugreg[7] >> 32)
		return -EINVAL;
	if ((dbg->control & KVM_GUESTDBG_INJECT) && vcpu->events.exception.pending)
		return -EBUSY;
	if (dbg->control & KVM_GUESTDBG_INJECT_DB)
		kvm_queue_exception(vcpu, X86_TRAP_DB);
	else if (dbg->control & KVM_GUESTDBG_INJECT_BP)
		kvm_queue_exception(vcpu, X86_TRAP_BP);

	/* Read as the debugger so far showed them, written as it wants them now. */
	rflags = kvm_get_rflags(vcpu);
	vcpu->guest_debug = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control & ~KVM_GUESTDBG_INJECT : 0;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		set_debugger_breakpoints(vcpu, dbg);
	kvm_update_dr7(vcpu);
	kvm_set_rflags(vcpu, rflags);
	kvm_ops.update_intercepts(vcpu);
	return 0;
}

/*
 * ---- KVM_TRANSLATE ----
 */

static gpa_t translate(struct kvm_vcpu *vcpu, gva_t gva, u64 access)
{
	struct kvm_exception ex;

	if (is_long_mode(vcpu) && is_noncanonical(gva, vcpu_virt_bits(vcpu)))
		return INVALID_GPA;
	return kvm_mmu_gva_to_gpa(vcpu, gva, access, &ex);
}

/*
 * As a user reads it, or else the kernel: by SMAP neither can read all.  Never
 * as a write, which would set dirty bits: "writeable" says no more than "valid".
 */
long kvm_vcpu_translate(struct kvm_vcpu *vcpu, struct kvm_translation *tr)
{
	gva_t gva = tr->linear_address;
	gpa_t user = translate(vcpu, gva, PFERR_USER_MASK);
	gpa_t gpa = user != INVALID_GPA ? user : translate(vcpu, gva, 0);

	memset(tr, 0, sizeof(*tr));
	tr->linear_address = gva;
	tr->physical_address = gpa;
	tr->valid = gpa != INVALID_GPA;
	tr->writeable = tr->valid;
	tr->usermode = user != INVALID_GPA;
	return 0;
}
