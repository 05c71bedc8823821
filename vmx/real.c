// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guests' real mode on processors, or by choice, without unrestricted guests.
 *
 * VMX there demands a guest with protection and paging on.  Real mode is then
 * run as virtual-8086 mode with IOPL 3: the same instructions with the same
 * segments, 64 kB from 16 times the selector on.  What it does not have faults
 * and is emulated: HLT, MOV CR, LGDT and their like; IN and OUT, by a TSS too
 * short to allow a port; INT n, by an IDT that has no vector.  Every exception
 * is intercepted, and events are delivered through the guest's vector table by
 * the emulator.
 *
 * Real mode with segments elsewhere (right after a mode switch) is emulated until
 * they are such as virtual-8086 mode has, but for longer ones ("big" real mode):
 * only what goes beyond 64 kB is.  Protected mode is emulated until its segments
 * are such as VM entry allows.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_mmu.h"
#include "vmx.h"

#include <linux/sched.h>
#include <linux/sched/signal.h>

/* Segments in virtual-8086 mode (SDM 3C "Checks on Guest Segment Registers"). */
#define VM86_AR		0xf3
#define VM86_LIMIT	0xffff
#define REAL_DATA_AR	0x93	/* as a reset sets it */
#define AR_TYPE_EXPAND_DOWN	4	/* of data */
/* A TSS that a 16-bit I/O map base does not fit in. */
#define NO_PORTS_AR	(VMX_AR_P_MASK | VMX_AR_TYPE_BUSY_32_TSS)

/* At most so many instructions are emulated in a row. */
#define EMULATE_BATCH	128

#define VM86_FLAGS	(X86_EFLAGS_VM | X86_EFLAGS_IOPL)

/*
 * ---- the identity map ----
 */

/* 1024 pages of 4M, supervisor's and user's, writable, accessed, dirty. */
#define IDENTITY_ENTRY	(_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | \
			 _PAGE_DIRTY | _PAGE_PSE)
#define IDENTITY_SHIFT	22

static u64 identity_gpa(struct kvm *kvm)
{
	return kvm->identity_map_addr ?: VMX_EPT_IDENTITY_PAGETABLE_ADDR;
}

/** vmx_real_init_vm - the VM's identity map, if it needs one: 0, or -ENOMEM */
int vmx_real_init_vm(struct kvm *kvm)
{
	struct kvm_vmx *kvm_vmx = to_kvm_vmx(kvm);
	u32 *table, i;

	if (!vmx_ept || vmx_unrestricted)
		return 0;
	kvm_vmx->identity = alloc_page(GFP_KERNEL_ACCOUNT);
	if (!kvm_vmx->identity)
		return -ENOMEM;
	table = page_address(kvm_vmx->identity);
	for (i = 0; i < PAGE_SIZE / sizeof(*table); i++)
		table[i] = i << IDENTITY_SHIFT | IDENTITY_ENTRY;
	return 0;
}

/** vmx_real_destroy_vm - undo vmx_real_init_vm() */
void vmx_real_destroy_vm(struct kvm *kvm)
{
	if (to_kvm_vmx(kvm)->identity)
		__free_page(to_kvm_vmx(kvm)->identity);
}

/** vmx_real_map_identity - map the identity map, if gpa is its: true, and *r is to be returned */
bool vmx_real_map_identity(struct vcpu_vmx *vmx, gpa_t gpa, int *r)
{
	struct kvm *kvm = vmx->vcpu.kvm;

	if (gpa_to_gfn(gpa) != gpa_to_gfn(identity_gpa(kvm)))
		return false;
	*r = kvm_mmu_map_page(&vmx->vcpu, gpa, to_kvm_vmx(kvm)->identity) ?: 1;
	return true;
}

/*
 * ---- registers ----
 */

/** vmx_real_get_seg - a segment as the guest has it, in real mode */
void vmx_real_get_seg(struct vcpu_vmx *vmx, int seg, struct vmx_seg *s)
{
	if (seg == VCPU_SREG_TR) {
		*s = vmx->real.seg[seg];
		return;
	}
	vmx_read_seg(vmx, seg, s);
	if (seg == VCPU_SREG_LDTR)
		return;
	/* Loading a segment changes only these two, in real mode as in ours. */
	s->limit = vmx->real.seg[seg].limit;
	s->ar = vmx->real.seg[seg].ar;
}

/** vmx_real_set_seg - the same, set; the hardware gets what it can hold */
void vmx_real_set_seg(struct vcpu_vmx *vmx, int seg, const struct vmx_seg *s)
{
	struct vmx_seg hw = *s;

	vmx->real.seg[seg] = *s;
	if (seg == VCPU_SREG_TR)
		return;
	if (seg != VCPU_SREG_LDTR) {
		hw.limit = VM86_LIMIT;
		hw.ar = VM86_AR;
	}
	vmx_write_seg(vmx, seg, &hw);
}

/** vmx_real_rflags - the guest's flags, of the hardware's */
unsigned long vmx_real_rflags(struct vcpu_vmx *vmx, unsigned long hw)
{
	return (hw & ~VM86_FLAGS) | vmx->real.iopl;
}

/** vmx_real_set_rflags - what the hardware gets for the guest's flags */
unsigned long vmx_real_set_rflags(struct vcpu_vmx *vmx, unsigned long rflags)
{
	vmx->real.check = true;
	if (!vmx->real.vm86)
		return rflags;
	vmx->real.iopl = rflags & X86_EFLAGS_IOPL;
	return rflags | VM86_FLAGS;
}

/*
 * CR4 for the hardware, which would be hw otherwise.  Without VME, INT n looks at the
 * IDT and not at a TSS of ours.  Under EPT a guest that does not page has tables of
 * ours, of 4-byte entries, all a user's.
 */
unsigned long vmx_real_cr4(struct vcpu_vmx *vmx, unsigned long hw)
{
	if (vmx->real.vm86)
		hw &= ~X86_CR4_VME;
	if (vmx_ept && !is_paging(&vmx->vcpu))
		hw = (hw & ~(X86_CR4_PAE | X86_CR4_SMEP | X86_CR4_SMAP)) | X86_CR4_PSE;
	return hw;
}

/*
 * MSR_IA32_SYSENTER_CS as the guest has it.  SYSENTER is for virtual-8086 mode, too,
 * and leaves it; in real mode it is #GP, as it is without a selector.
 */
u32 vmx_real_sysenter_cs(struct vcpu_vmx *vmx)
{
	return vmx->real.vm86 ? vmx->real.sysenter_cs : vmcs_read32(GUEST_SYSENTER_CS);
}

/** vmx_real_set_sysenter_cs - the same, set */
void vmx_real_set_sysenter_cs(struct vcpu_vmx *vmx, u32 val)
{
	if (vmx->real.vm86)
		vmx->real.sysenter_cs = val;
	else
		vmcs_write32(GUEST_SYSENTER_CS, val);
}

/* Real mode has no unusable segments; what a null selector leaves is undefined. */
static void make_usable(struct vmx_seg *s)
{
	s->base = (unsigned long)s->selector << 4;
	s->limit = VM86_LIMIT;
	s->ar = REAL_DATA_AR;
}

static void enter_vm86(struct vcpu_vmx *vmx)
{
	static const struct vmx_seg no_ports = { .ar = NO_PORTS_AR };
	unsigned long rflags = hw_rflags(vmx);
	struct vmx_seg s;
	int seg;

	vmx->real.idt.base = vmcs_read(GUEST_IDTR_BASE);
	vmx->real.idt.limit = vmcs_read32(GUEST_IDTR_LIMIT);
	vmx->real.sysenter_cs = vmcs_read32(GUEST_SYSENTER_CS);
	vmx->real.vm86 = true;
	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_TR; seg++) {
		vmx_read_seg(vmx, seg, &s);
		if (seg <= VCPU_SREG_GS && (s.ar & VMX_AR_UNUSABLE_MASK))
			make_usable(&s);
		vmx_real_set_seg(vmx, seg, &s);
	}
	vmx_write_seg(vmx, VCPU_SREG_TR, &no_ports);
	vmcs_write32(GUEST_IDTR_LIMIT, 0);
	vmcs_write32(GUEST_SYSENTER_CS, 0);
	vmx_write_rflags(vmx, vmx_real_set_rflags(vmx, rflags));
}

static void leave_vm86(struct vcpu_vmx *vmx)
{
	unsigned long rflags = vmx_real_rflags(vmx, hw_rflags(vmx));
	struct vmx_seg s;
	int seg;

	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_TR; seg++) {
		vmx_real_get_seg(vmx, seg, &s);
		vmx_write_seg(vmx, seg, &s);
	}
	vmx->real.vm86 = false;
	vmcs_write32(GUEST_SYSENTER_CS, vmx->real.sysenter_cs);
	vmcs_write(GUEST_IDTR_BASE, vmx->real.idt.base);
	vmcs_write32(GUEST_IDTR_LIMIT, vmx->real.idt.limit);
	vmx_write_rflags(vmx, vmx_real_set_rflags(vmx, rflags));
}

/*
 * Under EPT the guest's tables take part in each translation, and it has none
 * yet: one of ours maps addresses to themselves.  The guest's own CR3 waits.
 */
static void switch_paging(struct vcpu_vmx *vmx, bool identity)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;

	if (vmx->real.identity == identity)
		return;
	kvm_read_cr3(vcpu);
	vmx->real.identity = identity;
	vmcs_write(GUEST_CR3, identity ? identity_gpa(vcpu->kvm) : vcpu->cr3);
	vmx_set_cpu_ctl(vmx, CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING, identity);
}

/*
 * CR0 is about to become another.  True if virtual-8086 mode was entered or left, so
 * that other exceptions are to be intercepted.
 */
bool vmx_real_switch(struct vcpu_vmx *vmx, unsigned long cr0)
{
	bool real = !(cr0 & X86_CR0_PE);

	if (vmx_ept)
		switch_paging(vmx, !(cr0 & X86_CR0_PG));
	if (vmx->real.vm86 == real)
		return false;
	if (real)
		enter_vm86(vmx);
	else
		leave_vm86(vmx);
	return true;
}

/*
 * ---- what VMX holds: SDM 3C "Checks on Guest Segment Registers" ----
 */

static bool vm86_base(const struct vmx_seg *s)
{
	return s->base == (unsigned long)s->selector << 4;
}

static bool expands_down(const struct vmx_seg *s)
{
	return (s->ar & (VMX_AR_TYPE_CODE_MASK | AR_TYPE_EXPAND_DOWN)) == AR_TYPE_EXPAND_DOWN;
}

/*
 * Real mode, and what is left in it of protected mode.  A segment of more than
 * 64 kB may be entered with: what is beyond faults, and is emulated.
 */
static bool real_state_allowed(struct vcpu_vmx *vmx)
{
	struct vmx_seg s;
	int seg;

	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_GS; seg++) {
		vmx_real_get_seg(vmx, seg, &s);
		if (!vm86_base(&s) || s.limit < VM86_LIMIT || expands_down(&s) ||
		    (s.ar & VMX_AR_UNUSABLE_MASK))
			return false;
		if ((seg == VCPU_SREG_CS || seg == VCPU_SREG_SS) && (s.ar & VMX_AR_DB_MASK))
			return false;
	}
	return true;
}

static unsigned int rpl(const struct vmx_seg *s)
{
	return s->selector & 3;
}

static bool present(const struct vmx_seg *s, u32 system)
{
	return (s->ar & (VMX_AR_P_MASK | VMX_AR_S_MASK)) ==
	       (VMX_AR_P_MASK | (system ? 0 : VMX_AR_S_MASK));
}

/* L and D at once are no state of a guest's own making: the entry is to fail. */
static bool cs_allowed(const struct vmx_seg *cs, const struct vmx_seg *ss)
{
	if ((cs->ar & VMX_AR_UNUSABLE_MASK) || !present(cs, false) || (u64)cs->base >> 32)
		return false;
	switch (cs->ar & VMX_AR_TYPE_MASK) {
	case 9:
	case 11:
		return VMX_AR_DPL(cs->ar) == VMX_AR_DPL(ss->ar);
	case 13:
	case 15:
		return VMX_AR_DPL(cs->ar) <= VMX_AR_DPL(ss->ar);
	default:
		return false;
	}
}

static bool ss_allowed(const struct vmx_seg *ss, const struct vmx_seg *cs)
{
	u32 type = ss->ar & VMX_AR_TYPE_MASK;

	if (rpl(ss) != rpl(cs) || rpl(ss) != VMX_AR_DPL(ss->ar))
		return false;
	if (ss->ar & VMX_AR_UNUSABLE_MASK)
		return true;
	return (type == 3 || type == 7) && present(ss, false) && !((u64)ss->base >> 32);
}

static bool data_allowed(const struct vmx_seg *s, int seg)
{
	u32 type = s->ar & VMX_AR_TYPE_MASK;

	if (s->ar & VMX_AR_UNUSABLE_MASK)
		return true;
	if (!present(s, false) || !(type & VMX_AR_TYPE_ACCESSES_MASK))
		return false;
	if ((type & VMX_AR_TYPE_CODE_MASK) && !(type & VMX_AR_TYPE_READABLE_MASK))
		return false;
	if (type <= 11 && VMX_AR_DPL(s->ar) < rpl(s))
		return false;
	return seg >= VCPU_SREG_FS || !((u64)s->base >> 32);
}

static bool system_allowed(struct vcpu_vmx *vmx)
{
	struct vmx_seg s;
	u32 type;

	vmx_read_seg(vmx, VCPU_SREG_TR, &s);
	type = s.ar & VMX_AR_TYPE_MASK;
	if ((s.ar & VMX_AR_UNUSABLE_MASK) || (s.selector & 4) || !present(&s, true) ||
	    (type != VMX_AR_TYPE_BUSY_32_TSS &&
	     (type != VMX_AR_TYPE_BUSY_16_TSS || is_long_mode(&vmx->vcpu))))
		return false;
	vmx_read_seg(vmx, VCPU_SREG_LDTR, &s);
	return (s.ar & VMX_AR_UNUSABLE_MASK) ||
	       (!(s.selector & 4) && present(&s, true) &&
		(s.ar & VMX_AR_TYPE_MASK) == VMX_AR_TYPE_LDT);
}

static bool protected_state_allowed(struct vcpu_vmx *vmx)
{
	struct vmx_seg cs, ss, s;
	int seg;

	vmx_read_seg(vmx, VCPU_SREG_CS, &cs);
	vmx_read_seg(vmx, VCPU_SREG_SS, &ss);
	if (!cs_allowed(&cs, &ss) || !ss_allowed(&ss, &cs) || !system_allowed(vmx))
		return false;
	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_GS; seg++) {
		if (seg == VCPU_SREG_CS || seg == VCPU_SREG_SS)
			continue;
		vmx_read_seg(vmx, seg, &s);
		if (!data_allowed(&s, seg))
			return false;
	}
	return true;
}

/* A guest in virtual-8086 mode of its own: the processor has loaded what it allows. */
static bool own_vm86_allowed(struct vcpu_vmx *vmx)
{
	struct vmx_seg s;
	int seg;

	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_GS; seg++) {
		vmx_read_seg(vmx, seg, &s);
		if (!vm86_base(&s) || s.limit != VM86_LIMIT || s.ar != VM86_AR)
			return false;
	}
	return true;
}

static bool invalid_guest_state(struct vcpu_vmx *vmx)
{
	bool allowed;

	if (!vmx->real.check)
		return vmx->real.invalid_guest_state;
	if (vmx->real.vm86)
		allowed = real_state_allowed(vmx);
	else if (hw_rflags(vmx) & X86_EFLAGS_VM)
		allowed = own_vm86_allowed(vmx);
	else
		allowed = protected_state_allowed(vmx);
	vmx->real.check = false;
	vmx->real.invalid_guest_state = !allowed;
	return !allowed;
}

/*
 * ---- running ----
 */

/** vmx_real_no_entry - must software act in place of an entry?  Sets the exit reason */
bool vmx_real_no_entry(struct vcpu_vmx *vmx)
{
	if (vmx->real.event.valid) {
		vmx->exit_reason = EXIT_REASON_REAL_EVENT;
		return true;
	}
	if (likely(!invalid_guest_state(vmx)))
		return false;
	vmx->exit_reason = EXIT_REASON_INVALID_GUEST;
	return true;
}

/** vmx_real_emulate - the guest goes on by emulation; as exit handlers */
int vmx_real_emulate(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;
	int i, r;

	for (i = 0; i < EMULATE_BATCH; i++) {
		r = kvm_emulate_insn(vcpu, 0, 0, NULL, 0);
		if (r <= 0)
			return r;
		if (!invalid_guest_state(vmx) || READ_ONCE(vcpu->requests) || need_resched() ||
		    signal_pending(current))
			break;
	}
	return 1;
}

/** vmx_real_inject - the next entry is to deliver an event in real mode */
void vmx_real_inject(struct vcpu_vmx *vmx, u8 vector, unsigned int insn_len)
{
	vmx->real.event.valid = true;
	vmx->real.event.vector = vector;
	vmx->real.event.insn_len = insn_len;
}

/** vmx_real_deliver - deliver the event of vmx_real_inject(); may sleep; as exit handlers */
int vmx_real_deliver(struct vcpu_vmx *vmx)
{
	vmx->real.event.valid = false;
	return kvm_emulate_real_interrupt(&vmx->vcpu, vmx->real.event.vector,
					  vmx->real.event.insn_len);
}

/** vmx_real_can_inject - can an event be delivered now? */
bool vmx_real_can_inject(struct vcpu_vmx *vmx)
{
	return vmx_unrestricted || vmx->real.vm86 || !invalid_guest_state(vmx);
}

static bool has_long_segment(struct vcpu_vmx *vmx)
{
	int seg;

	for (seg = VCPU_SREG_ES; seg <= VCPU_SREG_GS; seg++)
		if (vmx->real.seg[seg].limit > VM86_LIMIT)
			return true;
	return false;
}

/*
 * What faulted may be real mode's all the same.  Of what the emulator lacks that
 * is only what goes beyond 64 kB, and then the VMM is told.
 */
static int emulate_faulted(struct vcpu_vmx *vmx, u8 vector)
{
	bool tell = has_long_segment(vmx);
	int r = kvm_emulate_insn(&vmx->vcpu, 0, tell ? 0 : EMULTYPE_NO_ERROR, NULL, 0);

	if (r != -EOPNOTSUPP)
		return r;
	kvm_queue_exception(&vmx->vcpu, vector);
	return 1;
}

/*
 * An exception in the virtual-8086 mode that stands for real mode.  What real mode
 * allows and virtual-8086 mode does not is #GP, or #SS behind a limit; INT3 and INTO
 * are executed as real mode does it.  The rest is the guest's own fault.
 */
int vmx_real_exception(struct vcpu_vmx *vmx, u8 vector)
{
	switch (vector) {
	case X86_TRAP_GP:
	case X86_TRAP_SS:
		return emulate_faulted(vmx, vector);
	case X86_TRAP_BP:
	case X86_TRAP_OF:
		return kvm_emulate_insn(&vmx->vcpu, 0, 0, NULL, 0);
	default:
		kvm_queue_exception(&vmx->vcpu, vector);
		return 1;
	}
}
