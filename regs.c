// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's registers: general and control registers, EFER and RFLAGS, as the
 * guest changes them and as userspace reads and writes them.
 *
 * Everywhere here a value is checked completely before anything is changed.
 * "SDM" is Intel's manual, "APM 2" AMD's second volume; sections by title.
 */
#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_events.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "kvm_regs.h"

#include <linux/export.h>
#include <asm/tlbflush.h>

#define CR0_DEFINED	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | \
			 X86_CR0_NE | X86_CR0_WP | X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | \
			 X86_CR0_PG)
#define CR0_LMSW	(X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS)

/* The bits that the guest's paging mode and permission checks depend on. */
#define CR0_MMU		(X86_CR0_PG | X86_CR0_WP)
#define CR4_MMU		(X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_SMEP | \
			 X86_CR4_SMAP | X86_CR4_LA57 | X86_CR4_PKE)

/* SDM 3A "PDPTE Registers": changing one of these under PAE paging loads the PDPTEs. */
#define CR0_PDPTRS	(X86_CR0_PG | X86_CR0_CD | X86_CR0_NW)
#define CR4_PDPTRS	(X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP)

/* SDM 3A "Operations that Invalidate TLBs and Paging-Structure Caches". */
#define CR4_TLB		(X86_CR4_PGE | X86_CR4_PAE | X86_CR4_PSE | X86_CR4_SMEP | \
			 X86_CR4_LA57 | X86_CR4_PCIDE)

/* Of CR3: the PCID; of MOV to CR3 with PCIDs: "do not flush" (SDM 3A "Process-Context Identifiers") */
#define CR3_PCID	0xfffUL
#define CR3_NOFLUSH	BIT_ULL(63)

#define CR8_MAX		15UL

/* The flags that exist; all others are 0, but for bit 1, which is 1. */
#define RFLAGS_DEFINED	(X86_EFLAGS_CF | X86_EFLAGS_PF | X86_EFLAGS_AF | X86_EFLAGS_ZF |  \
			 X86_EFLAGS_SF | X86_EFLAGS_TF | X86_EFLAGS_IF | X86_EFLAGS_DF |  \
			 X86_EFLAGS_OF | X86_EFLAGS_IOPL | X86_EFLAGS_NT | X86_EFLAGS_RF | \
			 X86_EFLAGS_VM | X86_EFLAGS_AC | X86_EFLAGS_VIF | X86_EFLAGS_VIP | \
			 X86_EFLAGS_ID)

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

/** is_64bit_code - is the vcpu in 64-bit mode: long mode with CS.L set? */
bool is_64bit_code(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu) && cs_is_64bit(vcpu);
}
EXPORT_SYMBOL_GPL(is_64bit_code);

/** kvm_reset_segments - segments and descriptor tables as RESET and INIT leave them: SDM 3A
 * "Processor State After Reset", APM 2 "Processor Initialization State"
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

/* SDM 2B "MOV—Move to/from Control Registers": combinations that are #GP in every mode. */
static bool cr0_valid(unsigned long cr0)
{
	if (upper_half(cr0))
		return false;
	if ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD))
		return false;
	return !(cr0 & X86_CR0_PG) || (cr0 & X86_CR0_PE);
}

/* SDM 3A "Initializing IA-32e Mode"; that mode is left from compatibility mode only. */
static bool paging_switch_valid(struct kvm_vcpu *vcpu, bool on)
{
	if (!on)
		return !is_64bit_code(vcpu);
	return !(vcpu->efer & EFER_LME) || (is_pae(vcpu) && !cs_is_64bit(vcpu));
}

/** kvm_hw_cr4 - what the processor has in CR4 while the guest runs, its CR0 set.
 * The guest's, with MCE of the host's, without which the host's machine checks would shut the
 * processor down.  Under shadow paging with PAE, the format of our tables, and without SMEP and
 * SMAP while the guest does not page, since all its pages are user pages then.
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

/** kvm_hw_efer - what the processor has in EFER while the guest runs.
 * The guest's; under shadow paging with NXE, which our tables use, and without LME, which
 * hardware paging would take for long mode, before the guest pages.
 */
u64 kvm_hw_efer(u64 efer)
{
	if (kvm_ops.nested_paging)
		return efer;
	if (!(efer & EFER_LMA))
		efer &= ~EFER_LME;
	return boot_cpu_has(X86_FEATURE_NX) ? efer | EFER_NX : efer;
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
 * Under PAE paging MOV CR loads the four PDPTEs into registers and checks them.
 * AMD's processors with nested paging have no such registers and read the PDPTEs
 * at each walk (APM 2 "Nested Paging", "Legacy PAE Mode").
 */
static bool load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	bool registers = !kvm_ops.nested_paging || kvm_ops.nested_pdptrs;

	return kvm_mmu_load_pdptrs(vcpu, cr3) || !registers;
}

/** kvm_set_cr0 - MOV to CR0: 0, or 1 with nothing changed: the guest gets #GP.  Turning paging on
 * or off with EFER.LME set enters or leaves long mode.
 */
int kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	unsigned long changed;

	if (!cr0_valid(cr0))
		return 1;
	cr0 = (cr0 & CR0_DEFINED) | X86_CR0_ET;
	changed = cr0 ^ kvm_read_cr0(vcpu);
	if ((changed & X86_CR0_PG) && !paging_switch_valid(vcpu, cr0 & X86_CR0_PG))
		return 1;
	if (!(cr0 & X86_CR0_PG) && (kvm_read_cr4(vcpu) & X86_CR4_PCIDE))
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

/** kvm_set_cr3 - MOV to CR3: 0, or 1 with nothing changed for reserved bits in it or in the
 * PDPTEs: the guest gets #GP
 */
int kvm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	/* To flush more than is asked for does no harm. */
	if (kvm_read_cr4(vcpu) & X86_CR4_PCIDE)
		cr3 &= ~CR3_NOFLUSH;
	if (is_long_mode(vcpu) && (cr3 & vcpu->rsvd_gpa_bits))
		return 1;
	if (is_pae_paging(vcpu) && !load_pdptrs(vcpu, cr3))
		return 1;
	store_cr3(vcpu, cr3);
	/* Loading a new shadow root flushes; loading a guest CR3 under nested paging does not. */
	if (is_paging(vcpu))
		kvm_mmu_new_cr3(vcpu);
	if (kvm_ops.nested_paging)
		kvm_mmu_guest_tlb_flush(vcpu);
	return 0;
}

/** kvm_set_cr4 - MOV to CR4: 0, or 1 with nothing changed: the guest gets #GP */
int kvm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	unsigned long changed = cr4 ^ kvm_read_cr4(vcpu);

	if (cr4 & vcpu->cr4_guest_rsvd)
		return 1;
	/* In long mode the number of paging levels cannot change. */
	if (is_long_mode(vcpu) && (!(cr4 & X86_CR4_PAE) || (changed & X86_CR4_LA57)))
		return 1;
	if ((changed & cr4 & X86_CR4_PCIDE) &&
	    (!is_long_mode(vcpu) || (kvm_read_cr3(vcpu) & CR3_PCID)))
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

/** kvm_set_cr8 - MOV to CR8; for userspace's local APIC it goes out in kvm_run.  Returns 0, or 1
 * with nothing changed for a reserved bit: the guest gets #GP.
 */
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

/* A guest may set the bits that its CPUID has, userspace all that are supported. */
static u64 efer_allowed(struct kvm_vcpu *vcpu, bool host_initiated)
{
	static const struct { u64 bits; unsigned int feature; } features[] = {
		{ EFER_SCE, X86_FEATURE_SYSCALL },
		{ EFER_LME | EFER_LMA, X86_FEATURE_LM },
		{ EFER_NX, X86_FEATURE_NX },
		{ EFER_FFXSR, X86_FEATURE_FXSR_OPT },
		{ EFER_AUTOIBRS, X86_FEATURE_AUTOIBRS },
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

/** kvm_set_efer - WRMSR to EFER: 0, or 1 with nothing changed: the guest gets #GP
 * @efer: any value; its LMA is ignored, as CR0.PG decides on that
 * @host_initiated: KVM_SET_MSRS
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

/*
 * ---- RFLAGS ----
 */

/** kvm_get_rflags - the guest's RFLAGS.
 * Under KVM_GUESTDBG_SINGLESTEP TF is set in the hardware for the VMM's sake, and vcpu->guest_tf
 * has the guest's.  If TF is clear nevertheless, then an instruction of the guest has cleared it.
 * (One that sets it cannot be recognised.)
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

/** kvm_set_rflags - set the guest's RFLAGS, as kvm_get_rflags() returns them */
void kvm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)) {
		vcpu->guest_tf = rflags & X86_EFLAGS_TF;
		rflags |= X86_EFLAGS_TF;
	}
	kvm_ops.set_rflags(vcpu, rflags);
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

/** kvm_vcpu_get_regs - KVM_GET_REGS; returns 0 */
long kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *regs)
{
#define GET_GPR(field, REG) regs->field = kvm_reg_read(vcpu, VCPU_REGS_##REG);
	FOR_EACH_GPR(GET_GPR)
#undef GET_GPR
	regs->rip = kvm_rip_read(vcpu);
	regs->rflags = kvm_get_rflags(vcpu);
	return 0;
}

/** kvm_vcpu_set_regs - KVM_SET_REGS; bits of RFLAGS that do not exist are dropped; returns 0 */
long kvm_vcpu_set_regs(struct kvm_vcpu *vcpu, const struct kvm_regs *regs)
{
	/* An exception that is pending belongs to the instruction at the old RIP; so does INT n. */
	if (regs->rip != kvm_rip_read(vcpu)) {
		vcpu->events.exception.pending = false;
		kvm_forget_soft_event(vcpu);
	}

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

/** kvm_vcpu_get_sregs - KVM_GET_SREGS; returns 0 */
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
	if (ev->irq.pending || ev->irq.injected)
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

/* Could the guest itself bring its processor into this state? */
static bool sregs_valid(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	bool active = (sregs->efer & EFER_LME) && (sregs->cr0 & X86_CR0_PG);

	if (sregs->cr0 >> 32 || !cr0_valid(sregs->cr0))
		return false;
	if (sregs->cr4 >> 32 || (sregs->cr4 & vcpu->cr4_guest_rsvd))
		return false;
	if (sregs->efer & ~efer_allowed(vcpu, true))
		return false;
	if (active != !!(sregs->efer & EFER_LMA) || (active && !(sregs->cr4 & X86_CR4_PAE)))
		return false;
	if ((sregs->cr4 & X86_CR4_PCIDE) && !active)
		return false;
	if ((sregs->cr3 & vcpu->rsvd_gpa_bits) || sregs->cr8 > CR8_MAX)
		return false;
	return kvm_apic_base_valid(vcpu, sregs->apic_base) && bitmap_vector(sregs) != -EINVAL;
}

/*
 * An interrupt in the bitmap was acknowledged before; like KVM_INTERRUPT's it is
 * injected once IF allows.  One that is being injected already stays as it is.
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
	/* The APIC's TPR has more bits than CR8: they stay if the upper four do. */
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
	/* Userspace may have written guest tables, too, which only this tells. */
	kvm_mmu_zap_shadows(vcpu->kvm, 0, ULONG_MAX);
	kvm_mmu_guest_tlb_flush(vcpu);
}

static bool load_new_pdptrs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!(sregs->cr0 & X86_CR0_PG) || !(sregs->cr4 & X86_CR4_PAE) || (sregs->efer & EFER_LMA))
		return true;
	return load_pdptrs(vcpu, sregs->cr3);
}

/* All but the pending interrupt; the PDPTEs were loaded before. */
static void set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	kvm_ops.set_dtable(vcpu, &sregs->gdt, VCPU_SREG_GDTR);
	kvm_ops.set_dtable(vcpu, &sregs->idt, VCPU_SREG_IDTR);
	set_control_registers(vcpu, sregs);
	kvm_set_apic_base(vcpu, sregs->apic_base, true);
	/* The vendors interpret them by the mode, which is set above. */
#define SET_SEGMENT(field, SEG) kvm_ops.set_segment(vcpu, &sregs->field, VCPU_SREG_##SEG);
	FOR_EACH_SEGMENT(SET_SEGMENT)
#undef SET_SEGMENT
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/** kvm_vcpu_set_sregs - KVM_SET_SREGS: 0, or -EINVAL with nothing changed */
long kvm_vcpu_set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs)
{
	if (!sregs_valid(vcpu, sregs) || !load_new_pdptrs(vcpu, sregs))
		return -EINVAL;
	set_sregs(vcpu, sregs);
	set_bitmap_vector(vcpu, bitmap_vector(sregs));
	return 0;
}

/*
 * struct kvm_sregs2 begins as struct kvm_sregs does, and has the PDPTEs, where the
 * processor keeps them in registers, in place of the pending interrupt.
 */
#define SREGS_COMMON	offsetof(struct kvm_sregs, interrupt_bitmap)
static_assert(SREGS_COMMON == offsetof(struct kvm_sregs2, flags));

static bool pdptrs_in_registers(const struct kvm_sregs *sregs)
{
	return (sregs->cr0 & X86_CR0_PG) && (sregs->cr4 & X86_CR4_PAE) &&
	       !(sregs->efer & EFER_LMA) && (!kvm_ops.nested_paging || kvm_ops.nested_pdptrs);
}

/** kvm_vcpu_get_sregs2 - KVM_GET_SREGS2; returns 0 */
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

/** kvm_vcpu_set_sregs2 - KVM_SET_SREGS2: 0, or -EINVAL with nothing changed */
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
 * ---- KVM_TRANSLATE ----
 */

static gpa_t translate(struct kvm_vcpu *vcpu, gva_t gva, u64 access)
{
	struct kvm_exception ex;

	if (is_long_mode(vcpu) && is_noncanonical(gva, vcpu_virt_bits(vcpu)))
		return INVALID_GPA;
	return kvm_mmu_gva_to_gpa(vcpu, gva, access, &ex);
}

/** kvm_vcpu_translate - KVM_TRANSLATE; returns 0.
 * Tried as a user's read, then as a supervisor's: under SMAP neither can read all.  A write
 * would set dirty bits, so "writeable" says no more than "valid".
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
