// SPDX-License-Identifier: GPL-2.0-only
/*
 * The run loop: requests, event injection, entry, and what exits share.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_handlers.h"
#include "kvm_lapic.h"
#include "kvm_main.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_vcpu.h"
#include "trace.h"

#include <linux/cpu.h>
#include <linux/entry-kvm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <linux/vtime.h>
#include <asm/debugreg.h>

#define DR7_GD		BIT(13)		/* general detect: MOV DR traps */
#define DR7_RESET	0x400UL		/* bit 10 reads as 1 */

/*
 * ---- raising events ----
 */

enum exception_class { EXC_BENIGN, EXC_CONTRIBUTORY, EXC_PAGE_FAULT };

static enum exception_class exception_class(u8 vector)
{
	switch (vector) {
	case X86_TRAP_DE:
	case X86_TRAP_TS:
	case X86_TRAP_NP:
	case X86_TRAP_SS:
	case X86_TRAP_GP:
		return EXC_CONTRIBUTORY;
	case X86_TRAP_PF:
		return EXC_PAGE_FAULT;
	default:
		return EXC_BENIGN;
	}
}

static void set_exception(struct kvm_vcpu *vcpu, const struct kvm_queued_exception *ex)
{
	vcpu->events.exception = *ex;
	vcpu->events.exception.pending = true;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/*
 * An exception while another is being delivered: both in turn, a double
 * fault, or shutdown (APM 2 "#DF—Double-Fault Exception", SDM 3A
 * "Interrupt 8—Double Fault Exception (#DF)").
 */
static void raise_exception(struct kvm_vcpu *vcpu, const struct kvm_queued_exception *ex)
{
	struct kvm_queued_exception *cur = &vcpu->events.exception;
	static const struct kvm_queued_exception df = {
		.vector = X86_TRAP_DF, .has_error_code = true,
	};
	enum exception_class first, second;

	if (!cur->pending && !cur->injected) {
		set_exception(vcpu, ex);
		return;
	}
	if (cur->vector == X86_TRAP_DF) {
		memset(cur, 0, sizeof(*cur));
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return;
	}
	first = exception_class(cur->vector);
	second = exception_class(ex->vector);
	if ((first == EXC_CONTRIBUTORY && second == EXC_CONTRIBUTORY) ||
	    (first == EXC_PAGE_FAULT && second != EXC_BENIGN)) {
		cur->injected = false;
		set_exception(vcpu, &df);
		return;
	}
	/* The first one's instruction will raise it again. */
	cur->injected = false;
	set_exception(vcpu, ex);
}

/** kvm_queue_exception - the guest gets an exception without an error code */
void kvm_queue_exception(struct kvm_vcpu *vcpu, u8 vector)
{
	raise_exception(vcpu, &(struct kvm_queued_exception){ .vector = vector });
}
EXPORT_SYMBOL_GPL(kvm_queue_exception);

/** kvm_queue_exception_e - the guest gets an exception with an error code */
void kvm_queue_exception_e(struct kvm_vcpu *vcpu, u8 vector, u32 error_code)
{
	raise_exception(vcpu, &(struct kvm_queued_exception){
		.vector = vector, .has_error_code = true, .error_code = error_code });
}
EXPORT_SYMBOL_GPL(kvm_queue_exception_e);

/** kvm_queue_exception_p - #DB with the DR6 bits that it sets when delivered */
void kvm_queue_exception_p(struct kvm_vcpu *vcpu, u8 vector, unsigned long payload)
{
	raise_exception(vcpu, &(struct kvm_queued_exception){
		.vector = vector, .has_payload = true, .payload = payload });
}
EXPORT_SYMBOL_GPL(kvm_queue_exception_p);

void kvm_inject_gp(struct kvm_vcpu *vcpu, u32 error_code)
{
	kvm_queue_exception_e(vcpu, X86_TRAP_GP, error_code);
}
EXPORT_SYMBOL_GPL(kvm_inject_gp);

/**
 * kvm_inject_page_fault - the guest gets the exception that a walk found
 * @vcpu: the vcpu, loaded
 * @ex: #PF, or #GP and #SS from segment and canonical checks
 */
void kvm_inject_page_fault(struct kvm_vcpu *vcpu, const struct kvm_exception *ex)
{
	struct kvm_queued_exception q = {
		.vector = ex->vector,
		.has_error_code = ex->error_code_valid,
		.error_code = ex->error_code,
	};

	if (ex->vector == X86_TRAP_PF) {
		vcpu->stat.pf_guest++;
		q.has_payload = true;
		q.payload = ex->address;
	}
	raise_exception(vcpu, &q);
}
EXPORT_SYMBOL_GPL(kvm_inject_page_fault);

/* One NMI waits, one more is latched behind the one being handled. */
void kvm_inject_nmi(struct kvm_vcpu *vcpu)
{
	unsigned int limit = kvm_ops.get_nmi_mask(vcpu) || vcpu->events.nmi_injected ? 1 : 2;

	vcpu->events.nmi_pending = min(vcpu->events.nmi_pending + 1, limit);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/*
 * ---- what an exit interrupted ----
 */

/** kvm_clear_injected - after an exit: the events put in at entry are delivered,
 * but for what the vendor requeues next */
void kvm_clear_injected(struct kvm_vcpu *vcpu)
{
	vcpu->events.exception.injected = false;
	vcpu->events.irq.injected = false;
	vcpu->events.irq.again = false;
	vcpu->events.nmi_injected = false;
}
EXPORT_SYMBOL_GPL(kvm_clear_injected);

void kvm_requeue_exception(struct kvm_vcpu *vcpu, u8 vector, bool has_error, u32 error_code)
{
	vcpu->events.exception = (struct kvm_queued_exception){
		.injected = true,
		.vector = vector,
		.has_error_code = has_error,
		.error_code = error_code,
	};
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_requeue_exception);

void kvm_requeue_irq(struct kvm_vcpu *vcpu, u8 nr, bool soft)
{
	vcpu->events.irq.injected = true;
	vcpu->events.irq.again = true;
	vcpu->events.irq.nr = nr;
	vcpu->events.irq.soft = soft;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_requeue_irq);

void kvm_requeue_nmi(struct kvm_vcpu *vcpu)
{
	vcpu->events.nmi_injected = true;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_requeue_nmi);

/*
 * ---- injection policy ----
 */

/* DR6 and CR2 change when the exception is delivered, not when it is found. */
static void deliver_payload(struct kvm_vcpu *vcpu, struct kvm_queued_exception *ex)
{
	if (!ex->has_payload)
		return;
	if (ex->vector == X86_TRAP_PF) {
		vcpu->cr2 = ex->payload;
	} else if (ex->vector == X86_TRAP_DB) {
		vcpu->dr6 &= ~DR_TRAP_BITS;
		vcpu->dr6 |= DR6_RESERVED | ex->payload;
	}
	ex->has_payload = false;
}

/* Faults restart their instruction with RF set, so that breakpoints do not. */
static bool is_fault(u8 vector)
{
	return vector != X86_TRAP_DB && vector != X86_TRAP_BP && vector != X86_TRAP_OF &&
	       vector != X86_TRAP_NMI;
}

static void inject_exception(struct kvm_vcpu *vcpu)
{
	struct kvm_queued_exception *ex = &vcpu->events.exception;

	if (ex->pending) {
		if (is_fault(ex->vector))
			kvm_set_rflags(vcpu, kvm_get_rflags(vcpu) | X86_EFLAGS_RF);
		deliver_payload(vcpu, ex);
		if (ex->vector == X86_TRAP_DB && (vcpu->dr7 & DR7_GD)) {
			vcpu->dr7 &= ~DR7_GD;
			kvm_update_dr7(vcpu);
		}
		/* Real mode pushes no error codes. */
		if (!is_protmode(vcpu))
			ex->has_error_code = false;
	}
	ex->pending = false;
	ex->injected = true;
	kvm_ops.inject_exception(vcpu);
}

/*
 * Interrupts come from KVM_INTERRUPT, which is the 8259 of userspace, from our
 * 8259, and from the local APIC.
 */
static bool pic_waits(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;

	return kvm->irqchip_mode == KVM_IRQCHIP_FULL && kvm_pic_output(kvm) &&
	       kvm_lapic_accepts_pic(vcpu);
}

/** kvm_irq_waits - is there an interrupt to deliver, if the guest allows any? */
bool kvm_irq_waits(struct kvm_vcpu *vcpu)
{
	if (vcpu->events.irq.pending)
		return true;
	return vcpu->lapic && (kvm_lapic_pending(vcpu->lapic) >= 0 || pic_waits(vcpu));
}

/* One that is to be put in: the APIC's own the processor may deliver by itself. */
static bool irq_to_inject(struct kvm_vcpu *vcpu)
{
	if (vcpu->lapic && vcpu->lapic->virtual_delivery)
		return vcpu->events.irq.pending || pic_waits(vcpu);
	return kvm_irq_waits(vcpu);
}

/* Acknowledge the one to deliver: false, there is none after all. */
static bool take_irq(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;
	int vector;

	if (ev->irq.pending) {
		ev->irq.pending = false;
		return true;
	}
	if (pic_waits(vcpu)) {
		vector = kvm_pic_read_irq(vcpu->kvm);
	} else {
		vector = kvm_lapic_pending(vcpu->lapic);
		if (vector < 0)
			return false;
		kvm_lapic_ack(vcpu->lapic, vector);
		if (unlikely(vcpu->pv.eoi))
			kvm_pv_eoi_offer(vcpu, vector);
	}
	if (vector < 0)
		return false;
	ev->irq.nr = vector;
	return true;
}

/*
 * With the 8259 in the kernel userspace has no interrupts to wait with, nor
 * while LINT0 does not let its own through.
 */
static bool userspace_wants_irq(struct kvm_vcpu *vcpu)
{
	return unlikely(READ_ONCE(vcpu->run->request_interrupt_window)) &&
	       vcpu->kvm->irqchip_mode != KVM_IRQCHIP_FULL &&
	       (!vcpu->lapic || kvm_lapic_accepts_pic(vcpu));
}

/* An interrupt held back by the task priority: the guest must not lower that unseen. */
static void watch_cr8(struct kvm_vcpu *vcpu)
{
	bool watch = !vcpu->lapic->virtual_delivery && kvm_lapic_tpr_masks(vcpu->lapic);

	if (watch == vcpu->cr8_watched)
		return;
	vcpu->cr8_watched = watch;
	kvm_ops.update_cr8_intercept(vcpu, watch);
}

static void inject_irq(struct kvm_vcpu *vcpu, bool busy)
{
	struct kvm_events *ev = &vcpu->events;

	if (busy || !kvm_call(irq_allowed)(vcpu)) {
		kvm_ops.enable_irq_window(vcpu);
		return;
	}
	if (!take_irq(vcpu))
		return;
	ev->irq.injected = true;
	ev->irq.soft = false;
	vcpu->stat.irq_injections++;
	kvm_ops.inject_irq(vcpu);
	/* A second, of another source, waits for this one's delivery. */
	if (unlikely(ev->irq.pending || (vcpu->lapic && irq_to_inject(vcpu))))
		kvm_ops.enable_irq_window(vcpu);
}

/*
 * One event an entry.  First what an exit interrupted, then exceptions (they
 * belong to the instruction just executed), NMI, interrupt; for what must
 * wait, a window.
 */
static void inject_events(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;
	bool busy = true;

	if (ev->exception.injected)
		kvm_ops.inject_exception(vcpu);
	else if (ev->nmi_injected)
		kvm_ops.inject_nmi(vcpu);
	else if (ev->irq.injected)
		kvm_ops.inject_irq(vcpu);
	else if (ev->exception.pending)
		inject_exception(vcpu);
	else
		busy = false;

	if (ev->nmi_pending) {
		if (!busy && kvm_ops.nmi_allowed(vcpu)) {
			ev->nmi_pending--;
			ev->nmi_injected = true;
			vcpu->stat.nmi_injections++;
			kvm_ops.inject_nmi(vcpu);
			busy = true;
		}
		if (ev->nmi_pending)
			kvm_ops.enable_nmi_window(vcpu);
	}
	if (irq_to_inject(vcpu))
		inject_irq(vcpu, busy);
	if (userspace_wants_irq(vcpu))
		kvm_ops.enable_irq_window(vcpu);
	if (vcpu->lapic)
		watch_cr8(vcpu);
}

/* Would KVM_INTERRUPT's vector be taken at once? */
static bool ready_for_interrupt(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;

	/* kvm_run's answer is for userspace's 8259. */
	if (vcpu->lapic && !kvm_lapic_accepts_pic(vcpu))
		return false;
	return !ev->irq.pending && !ev->irq.injected && !ev->exception.pending &&
	       !ev->exception.injected && !ev->nmi_injected && kvm_call(irq_allowed)(vcpu);
}

/*
 * ---- exits that end in userspace, shared by both vendors ----
 */

/**
 * kvm_internal_error - KVM_EXIT_INTERNAL_ERROR
 * @vcpu: the vcpu, loaded
 * @data: what userspace gets with it
 * @suberror: KVM_INTERNAL_ERROR_*
 * @ndata: entries in @data, 16 at most
 * Returns 0: to userspace.
 */
int kvm_internal_error(struct kvm_vcpu *vcpu, u32 suberror, int ndata, const u64 *data)
{
	struct kvm_run *run = vcpu->run;

	ndata = min_t(int, ndata, ARRAY_SIZE(run->internal.data));
	run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	run->internal.suberror = suberror;
	run->internal.ndata = ndata;
	if (ndata)
		memcpy(run->internal.data, data, ndata * sizeof(*data));
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_internal_error);

int kvm_handle_unexpected_exit(struct kvm_vcpu *vcpu, u64 reason)
{
	u64 data[] = { reason, vcpu->cpu };

	return kvm_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
				  ARRAY_SIZE(data), data);
}
EXPORT_SYMBOL_GPL(kvm_handle_unexpected_exit);

int kvm_fail_entry(struct kvm_vcpu *vcpu, u64 reason)
{
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = reason;
	vcpu->run->fail_entry.cpu = vcpu->cpu;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_fail_entry);

/** kvm_debug_exit - KVM_EXIT_DEBUG: a #DB or #BP that the VMM's debugger asked for */
int kvm_debug_exit(struct kvm_vcpu *vcpu, u8 vector, unsigned long dr6)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
	struct kvm_segment cs;

	kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	arch->exception = vector;
	arch->pad = 0;
	arch->pc = cs.base + kvm_rip_read(vcpu);
	arch->dr6 = dr6 | DR6_RESERVED;
	arch->dr7 = vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->guest_debug_dr7 : vcpu->dr7;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_debug_exit);

/*
 * ---- exit handlers that need nothing of the vendor's ----
 */

/*
 * The trap after an instruction with TF set: the VMM's debugger takes it, or
 * the guest.  @rflags: as they were before the instruction.
 */
static noinline int singlestep_trap(struct kvm_vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return kvm_debug_exit(vcpu, X86_TRAP_DB, DR_STEP);
	kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR_STEP);
	return 1;
}

/**
 * kvm_skip_emulated_instruction - go past the instruction that exited
 * @vcpu: the vcpu, loaded
 *
 * The one way to skip: RIP, the interrupt shadow, and the single-step trap.
 * Returns as an exit handler; an instruction that cannot be decoded is an
 * internal error.
 */
int kvm_skip_emulated_instruction(struct kvm_vcpu *vcpu)
{
	unsigned long rflags = kvm_call(get_rflags)(vcpu);

	if (!kvm_call(skip_insn)(vcpu))
		return kvm_internal_error(vcpu, KVM_INTERNAL_ERROR_EMULATION, 0, NULL);
	if (unlikely(rflags & X86_EFLAGS_TF))
		return singlestep_trap(vcpu);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_skip_emulated_instruction);

/*
 * The vcpu halts, RIP past its HLT: here until an interrupt comes, or to
 * userspace, unless something wakes it at once.
 */
int kvm_halt_exit(struct kvm_vcpu *vcpu)
{
	const struct kvm_events *ev = &vcpu->events;

	if (vcpu->lapic) {
		vcpu->stat.halt_exits++;
		vcpu->mp_state = KVM_MP_STATE_HALTED;
		return 1;
	}
	if (ev->exception.pending || (ev->nmi_pending && kvm_ops.nmi_allowed(vcpu)) ||
	    (ev->irq.pending && kvm_call(irq_allowed)(vcpu)))
		return 1;
	vcpu->stat.halt_exits++;
	vcpu->run->exit_reason = KVM_EXIT_HLT;
	return 0;
}

/* The halt of a HLT that was single-stepped, unless userspace moved the vcpu. */
static int complete_halt_step(struct kvm_vcpu *vcpu)
{
	return kvm_rip_read(vcpu) == vcpu->complete_rip ? kvm_halt_exit(vcpu) : 1;
}

/* A HLT that ends in KVM_EXIT_DEBUG: the debugger first; then the vcpu halts. */
void kvm_halt_behind_step(struct kvm_vcpu *vcpu)
{
	vcpu->complete_rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = complete_halt_step;
}

/*
 * HLT.  Without an interrupt controller in the kernel only userspace knows
 * what wakes the vcpu, but for a vector that it has queued already.
 */
int kvm_handle_halt(struct kvm_vcpu *vcpu)
{
	int r = kvm_skip_emulated_instruction(vcpu);

	if (r == 0 && vcpu->run->exit_reason == KVM_EXIT_DEBUG)
		kvm_halt_behind_step(vcpu);
	return r <= 0 ? r : kvm_halt_exit(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_halt);

int kvm_handle_cpuid(struct kvm_vcpu *vcpu)
{
	u32 eax = kvm_rax_read(vcpu), ebx, ecx = kvm_rcx_read(vcpu), edx;
	u32 function = eax, index = ecx;

	vcpu->stat.cpuid_exits++;
	kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	kvm_rax_write(vcpu, eax);
	kvm_rbx_write(vcpu, ebx);
	kvm_rcx_write(vcpu, ecx);
	kvm_rdx_write(vcpu, edx);
	if (trace_kvm_cpuid_enabled())
		trace_kvm_cpuid(function, index, eax, ebx, ecx, edx,
				kvm_find_cpuid(vcpu, function, index));
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_cpuid);

int kvm_handle_rdtsc(struct kvm_vcpu *vcpu)
{
	kvm_edx_eax_write(vcpu, kvm_read_guest_tsc(vcpu));
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_rdtsc);

/* No performance counters are offered: no ECX is valid. */
int kvm_handle_rdpmc(struct kvm_vcpu *vcpu)
{
	kvm_inject_gp(vcpu, 0);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_rdpmc);

int kvm_handle_xsetbv(struct kvm_vcpu *vcpu)
{
	if (kvm_ops.get_cpl(vcpu) ||
	    kvm_set_xcr(vcpu, kvm_rcx_read(vcpu), kvm_edx_eax_read(vcpu))) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_xsetbv);

/* Guest memory is cache-coherent and no device is assigned: nothing to write back. */
int kvm_handle_wbinvd(struct kvm_vcpu *vcpu)
{
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_wbinvd);

int kvm_handle_nop(struct kvm_vcpu *vcpu)
{
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_nop);

/* Without CPUID's leave they are #UD, unless the VMM counts on the quirk that they do nothing. */
int kvm_handle_mwait(struct kvm_vcpu *vcpu)
{
	if ((vcpu->kvm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !kvm_guest_has_mwait(vcpu))
		return kvm_handle_ud(vcpu);
	return kvm_handle_nop(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mwait);

int kvm_handle_ud(struct kvm_vcpu *vcpu)
{
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_ud);

/* Shutdown: what was being delivered is gone with it. */
int kvm_handle_triple_fault(struct kvm_vcpu *vcpu)
{
	kvm_clear_injected(vcpu);
	vcpu->events.exception.pending = false;
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_handle_triple_fault);

/* The guest can take an interrupt now: the queued one, or userspace is told. */
int kvm_handle_irq_window(struct kvm_vcpu *vcpu)
{
	vcpu->stat.irq_window_exits++;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_irq_window);

/*
 * ---- the loop ----
 */

static void handle_slots_request(struct kvm_vcpu *vcpu)
{
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
}

static void handle_nmi_request(struct kvm_vcpu *vcpu)
{
	int n = atomic_xchg(&vcpu->nmi_queued, 0);

	while (n-- > 0)
		kvm_inject_nmi(vcpu);
}

static int ioapic_eoi_exit(struct kvm_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
	vcpu->run->eoi.vector = vcpu->eoi_vector;
	return 0;
}

/* The interrupt controllers' requests.  As exit handlers. */
static int handle_apic_requests(struct kvm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->lapic->pending_events)) {
		kvm_vcpu_accept_init_sipi(vcpu);
		if (vcpu->mp_state != KVM_MP_STATE_RUNNABLE)
			return 1;
	}
	if (kvm_check_request(KVM_REQ_SCAN_IOAPIC, vcpu))
		kvm_lapic_scan(vcpu->lapic);
	if (kvm_check_request(KVM_REQ_APF_READY, vcpu))
		kvm_async_pf_ready(vcpu);
	if (kvm_check_request(KVM_REQ_MIGRATE_TIMER, vcpu))
		kvm_lapic_migrate_timer(vcpu->lapic);
	if (kvm_check_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu))
		return ioapic_eoi_exit(vcpu);
	if (kvm_check_request(KVM_REQ_TPR_ACCESS, vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_TPR_ACCESS;
		return 0;
	}
	return 1;
}

/* Everything in vcpu->requests but events.  As exit handlers. */
static int handle_requests(struct kvm_vcpu *vcpu)
{
	if (kvm_check_request(KVM_REQ_VM_DEAD, vcpu))
		return -EIO;
	if (kvm_check_request(KVM_REQ_NMI, vcpu))
		handle_nmi_request(vcpu);
	if (kvm_check_request(KVM_REQ_SLOTS, vcpu))
		handle_slots_request(vcpu);
	if (kvm_check_request(KVM_REQ_MMU_RELOAD, vcpu))
		kvm_mmu_unload(vcpu);
	if (kvm_check_request(KVM_REQ_MMU_SYNC, vcpu))
		kvm_mmu_sync_roots(vcpu);
	/* Which may want a TLB flush. */
	if (kvm_check_request(KVM_REQ_STEAL_UPDATE, vcpu))
		kvm_pv_update_steal_time(vcpu);
	if (kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu)) {
		vcpu->stat.tlb_flush++;
		kvm_ops.tlb_flush(vcpu);
	}
	if (kvm_check_request(KVM_REQ_TRIPLE_FAULT, vcpu))
		return kvm_handle_triple_fault(vcpu);
	if (kvm_check_request(KVM_REQ_INTERCEPTS, vcpu))
		kvm_ops.update_intercepts(vcpu);
	kvm_check_request(KVM_REQ_OUTSIDE_GUEST, vcpu);
	if (kvm_check_request(KVM_REQ_CLOCK_UPDATE, vcpu))
		kvm_clock_update_guest(vcpu);
	kvm_check_request(KVM_REQ_UNBLOCK, vcpu);
	return vcpu->lapic ? handle_apic_requests(vcpu) : 1;
}

/* The guest's FPU registers and XCR0, whatever the thread did since. */
static void load_guest_fpu(struct kvm_vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD)) {
		vcpu->stat.fpu_reload++;
		switch_fpu_return();
	}
	kvm_load_guest_xcr0(vcpu);
}

/* Breakpoints of the guest or its debugger in the hardware, only while it runs. */
static void load_guest_debug_regs(struct kvm_vcpu *vcpu)
{
	if (likely(!(vcpu->dr7 & DR_GLOBAL_ENABLE_MASK) && !(vcpu->dr7 & DR_LOCAL_ENABLE_MASK) &&
		   !(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) && !vcpu->dr_in_guest))
		return;
	set_debugreg(0, 7);
	set_debugreg(vcpu->eff_db[0], 0);
	set_debugreg(vcpu->eff_db[1], 1);
	set_debugreg(vcpu->eff_db[2], 2);
	set_debugreg(vcpu->eff_db[3], 3);
}

static void put_guest_debug_regs(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->dr_in_guest)) {
		get_debugreg(vcpu->db[0], 0);
		get_debugreg(vcpu->db[1], 1);
		get_debugreg(vcpu->db[2], 2);
		get_debugreg(vcpu->db[3], 3);
		vcpu->dr_in_guest = false;
		kvm_ops.sync_debug_regs(vcpu);
		kvm_update_dr7(vcpu);
	}
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

static bool entry_called_off(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) || xfer_to_guest_mode_work_pending();
}

/* Entry and exit proper, preemption off.  False: called off, nothing was run. */
static bool enter_guest(struct kvm_vcpu *vcpu)
{
	kvm_call(prepare_guest_switch)(vcpu);
	local_irq_disable();
	WRITE_ONCE(vcpu->mode, IN_GUEST_MODE);
	/*
	 * Whoever makes a request reads the mode after it: either it sees
	 * IN_GUEST_MODE and interrupts us, or we see the request here.
	 */
	smp_mb();
	if (entry_called_off(vcpu) || !__this_cpu_read(kvm_hw_enabled)) {
		WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
		local_irq_enable();
		return false;
	}
	load_guest_fpu(vcpu);
	load_guest_debug_regs(vcpu);

	trace_kvm_entry(vcpu);
	vtime_account_guest_enter();
	kvm_call(run)(vcpu);
	WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
	vcpu->stat.exits++;
	trace_kvm_exit(vcpu);

	put_guest_debug_regs(vcpu);
	kvm_load_host_xcr0(vcpu);
	kvm_call(handle_exit_irqoff)(vcpu);
	/* Let the tick that ended this guest time be accounted to the guest. */
	local_irq_enable();
	local_irq_disable();
	vtime_account_guest_exit();
	local_irq_enable();
	return true;
}

/* Halted, or waiting for SIPI.  As exit handlers. */
static int vcpu_wait(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_wait(vcpu);
	return READ_ONCE(vcpu->requests) ? handle_requests(vcpu) : 1;
}

static int vcpu_enter_guest(struct kvm_vcpu *vcpu)
{
	bool ran;
	int r;

	if (READ_ONCE(vcpu->requests)) {
		r = handle_requests(vcpu);
		if (r <= 0 || unlikely(vcpu->mp_state != KVM_MP_STATE_RUNNABLE))
			return r;
	}
	if (unlikely(vcpu->mmu.root_hpa == INVALID_PAGE)) {
		r = kvm_mmu_load(vcpu);
		if (r < 0)
			return r;
	}
	if (unlikely(vcpu->pv.vapic_addr))
		kvm_vapic_to_guest(vcpu);
	preempt_disable();
	if (kvm_check_request(KVM_REQ_EVENT, vcpu)) {
		inject_events(vcpu);
		if (trace_kvm_inj_virq_enabled() && vcpu->events.irq.injected)
			trace_kvm_inj_virq(vcpu->events.irq.nr, vcpu->events.irq.soft,
					   vcpu->events.irq.again);
	}
	ran = enter_guest(vcpu);
	if (unlikely(!ran)) {
		kvm_ops.cancel_injection(vcpu);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		r = __this_cpu_read(kvm_hw_enabled) ? 1 : -EIO;
		preempt_enable();
		return r;
	}
	preempt_enable();
	if (unlikely(vcpu->pv.eoi_offered))
		kvm_pv_eoi_collect(vcpu);
	if (unlikely(vcpu->pv.vapic_addr))
		kvm_vapic_from_guest(vcpu);
	return kvm_call(handle_exit)(vcpu);
}

/*
 * Signals, rescheduling, and work on the way to user mode.  The kernel's own
 * helper for this writes into its struct kvm_vcpu, which ours is not; nor does
 * it export how to do a task's work from a module.  So for that KVM_RUN goes
 * the way of a system call that a signal without a handler interrupted: out,
 * where the work is done, and in again, unseen by userspace (-EINTR if a
 * handler did come between).
 */
static int handle_thread_work(struct kvm_vcpu *vcpu)
{
	if (signal_pending(current)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stat.signal_exits++;
		return -EINTR;
	}
	if (test_thread_flag(TIF_NOTIFY_RESUME)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -ERESTARTNOHAND;
	}
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	cond_resched();
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	return 1;
}

static bool userspace_wants_window(struct kvm_vcpu *vcpu)
{
	return userspace_wants_irq(vcpu) && ready_for_interrupt(vcpu);
}

static int run_loop(struct kvm_vcpu *vcpu)
{
	int r;

	for (;;) {
		if (likely(vcpu->mp_state == KVM_MP_STATE_RUNNABLE))
			r = vcpu_enter_guest(vcpu);
		else
			r = vcpu_wait(vcpu);
		if (r <= 0)
			return r;
		if (unlikely(userspace_wants_window(vcpu))) {
			vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
			vcpu->stat.request_irq_exits++;
			return 0;
		}
		if (unlikely(__xfer_to_guest_mode_work_pending())) {
			r = handle_thread_work(vcpu);
			if (r <= 0)
				return r;
		}
	}
}

/* kvm_run's inputs.  They are userspace's: read once, checked, then used. */
static int read_run_inputs(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 apic_base = READ_ONCE(run->apic_base), cr8 = READ_ONCE(run->cr8);

	if (!kvm_sync_regs_valid(vcpu))
		return -EINVAL;
	if (unlikely(READ_ONCE(run->kvm_dirty_regs))) {
		int r = kvm_sync_regs_load(vcpu);

		if (r)
			return r;
	}
	/* Our own APIC's priority is not undone by what lay in kvm_run before. */
	if ((!vcpu->lapic || cr8 != vcpu->run_cr8) && kvm_set_cr8(vcpu, cr8))
		return -EINVAL;
	if (apic_base != vcpu->run_apic_base) {
		struct msr_data msr = {
			.host_initiated = true, .index = MSR_IA32_APICBASE, .data = apic_base,
		};

		if (kvm_set_msr(vcpu, &msr))
			return -EINVAL;
	}
	return 0;
}

static void write_run_outputs(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(kvm_get_rflags(vcpu) & X86_EFLAGS_IF);
	run->cr8 = vcpu->run_cr8 = vcpu->cr8;
	run->apic_base = vcpu->run_apic_base = vcpu->apic_base;
	run->ready_for_interrupt_injection = vcpu->kvm->irqchip_mode == KVM_IRQCHIP_FULL ||
					     ready_for_interrupt(vcpu);
	run->flags = 0;
	if (unlikely(READ_ONCE(run->kvm_valid_regs)))
		kvm_sync_regs_store(vcpu);
}

static int complete_io_and_run(struct kvm_vcpu *vcpu)
{
	int (*complete)(struct kvm_vcpu *vcpu) = vcpu->complete_userspace_io;
	int r = 1;

	if (complete) {
		vcpu->complete_userspace_io = NULL;
		r = complete(vcpu);
		if (r <= 0)
			return r;
	}
	/* The last exit stays in kvm_run: userspace may complete it before it looks. */
	if (READ_ONCE(vcpu->run->immediate_exit))
		return -EINTR;
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	return run_loop(vcpu);
}

/**
 * kvm_vcpu_run - KVM_RUN: the guest runs until userspace must act
 * @vcpu: loaded, its mutex held
 *
 * Returns 0 with kvm_run filled in, -EINTR for a signal or immediate_exit,
 * -EINVAL for impossible inputs in kvm_run, -EFAULT for guest memory without
 * a mapping, -EIO for a dead VM.
 */
int kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
	sigset_t saved;
	int r;

	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &saved);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	fpu_swap_kvm_fpstate(&vcpu->guest_fpu, true);
	vcpu->launched = true;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	/* What the guest popped into its flags must not end the debugger's steps. */
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		kvm_set_rflags(vcpu, kvm_get_rflags(vcpu));
	r = read_run_inputs(vcpu);
	if (!r)
		r = complete_io_and_run(vcpu);
	write_run_outputs(vcpu);
	fpu_swap_kvm_fpstate(&vcpu->guest_fpu, false);
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &saved, NULL);
	/* Last: a change of the mask clears the flag if there is no signal. */
	if (r == -ERESTARTNOHAND)
		set_thread_flag(TIF_SIGPENDING);
	return r;
}

/*
 * ---- reset and event state ----
 */

/**
 * kvm_vcpu_reset - architectural state after RESET or INIT
 * @vcpu: the vcpu, loaded
 * @init_event: INIT rather than RESET
 * Source: APM 2 "Processor Initialization State"
 */
void kvm_vcpu_reset(struct kvm_vcpu *vcpu, bool init_event)
{
	int i;

	memset(&vcpu->events, 0, sizeof(vcpu->events));
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs_avail = ~0UL;
	vcpu->regs_dirty = ~0UL;
	vcpu->hflags = 0;
	vcpu->complete_userspace_io = NULL;
	vcpu->pio.count = 0;
	vcpu->mmio.nr = 0;
	for (i = 0; i < ARRAY_SIZE(vcpu->db); i++)
		vcpu->db[i] = 0;
	vcpu->dr6 = DR6_RESERVED;
	vcpu->dr7 = DR7_RESET;
	vcpu->dr_in_guest = false;
	vcpu->cr2 = 0;
	vcpu->cr3 = 0;
	vcpu->cr8 = 0;
	if (!init_event) {
		vcpu->xcr0 = XFEATURE_MASK_FP;
		vcpu->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
			(vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id ? MSR_IA32_APICBASE_BSP : 0);
	}
	kvm_msr_reset(vcpu, init_event);
	kvm_lapic_reset(vcpu, init_event);
	vcpu->cr0 = X86_CR0_ET | X86_CR0_NW | X86_CR0_CD;
	vcpu->cr4 = 0;
	vcpu->efer = 0;
	kvm_rip_write(vcpu, 0xfff0);
	kvm_rdx_write(vcpu, 0x600);
	kvm_ops.vcpu_reset(vcpu, init_event);
	kvm_ops.set_efer(vcpu, vcpu->efer);
	kvm_ops.set_cr0(vcpu, vcpu->cr0);
	kvm_ops.set_cr4(vcpu, vcpu->cr4);
	kvm_ops.set_rflags(vcpu, X86_EFLAGS_FIXED);
	kvm_update_dr7(vcpu);
	kvm_ops.update_intercepts(vcpu);
	/* The vendor's reset forgot the root that is loaded, of whatever mode. */
	kvm_mmu_unload(vcpu);
	kvm_mmu_reset_context(vcpu);
	kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

static void get_exception(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct kvm_queued_exception *ex = &vcpu->events.exception;

	if (vcpu->kvm->exception_payload) {
		out->exception.injected = ex->injected;
		out->exception.pending = ex->pending;
		out->exception_has_payload = ex->has_payload;
		out->exception_payload = ex->payload;
		out->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	} else {
		/* A raised exception counts as injected, with its side effects. */
		if (ex->pending)
			deliver_payload(vcpu, ex);
		out->exception.injected = ex->injected || ex->pending;
	}
	out->exception.nr = ex->vector;
	out->exception.has_error_code = ex->has_error_code;
	out->exception.error_code = ex->error_code;
}

/*
 * A vector of KVM_INTERRUPT's that waits for IF counts as injected, too: that
 * is all that the structure can say of it, and nothing is lost so.  Setting
 * brings it back as one that waits; whatever was being delivered when it was
 * saved still finds IF set.
 */
long kvm_vcpu_get_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct kvm_events *ev = &vcpu->events;

	memset(out, 0, sizeof(*out));
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	get_exception(vcpu, out);
	out->interrupt.injected = ev->irq.injected || ev->irq.pending;
	out->interrupt.nr = ev->irq.nr;
	out->interrupt.soft = ev->irq.soft;
	out->interrupt.shadow = kvm_ops.get_interrupt_shadow(vcpu);
	out->nmi.injected = ev->nmi_injected;
	out->nmi.pending = ev->nmi_pending != 0;
	out->nmi.masked = kvm_ops.get_nmi_mask(vcpu);
	if (vcpu->kvm->triple_fault_event) {
		out->triple_fault.pending = test_bit(KVM_REQ_TRIPLE_FAULT, &vcpu->requests);
		out->flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	}
	return 0;
}

static u32 events_flags(struct kvm *kvm)
{
	return KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW |
	       KVM_VCPUEVENT_VALID_SIPI_VECTOR |
	       (kvm->exception_payload ? KVM_VCPUEVENT_VALID_PAYLOAD : 0) |
	       (kvm->triple_fault_event ? KVM_VCPUEVENT_VALID_TRIPLE_FAULT : 0);
}

static bool events_valid(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	bool pending = (in->flags & KVM_VCPUEVENT_VALID_PAYLOAD) && in->exception.pending;

	if (in->flags & ~events_flags(vcpu->kvm))
		return false;
	if ((in->exception.injected || pending) &&
	    (in->exception.nr > 31 || in->exception.nr == X86_TRAP_NMI))
		return false;
	return !(in->flags & KVM_VCPUEVENT_VALID_SHADOW) ||
	       !(in->interrupt.shadow & ~(KVM_X86_SHADOW_INT_MOV_SS | KVM_X86_SHADOW_INT_STI));
}

static void set_exception_state(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct kvm_queued_exception *ex = &vcpu->events.exception;

	memset(ex, 0, sizeof(*ex));
	ex->injected = in->exception.injected;
	ex->vector = in->exception.nr;
	ex->has_error_code = in->exception.has_error_code;
	ex->error_code = in->exception.error_code;
	if (!(in->flags & KVM_VCPUEVENT_VALID_PAYLOAD) || !in->exception.pending)
		return;
	ex->injected = false;
	ex->pending = true;
	ex->has_payload = in->exception_has_payload;
	ex->payload = in->exception_payload;
}

long kvm_vcpu_set_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct kvm_events *ev = &vcpu->events;

	if (!events_valid(vcpu, in))
		return -EINVAL;
	set_exception_state(vcpu, in);
	ev->irq.pending = in->interrupt.injected && !in->interrupt.soft;
	ev->irq.injected = in->interrupt.injected && in->interrupt.soft;
	ev->irq.nr = in->interrupt.nr;
	ev->irq.soft = in->interrupt.soft;
	if (vcpu->lapic && (in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR))
		vcpu->lapic->sipi_vector = in->sipi_vector;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW)
		kvm_ops.set_interrupt_shadow(vcpu, in->interrupt.shadow);
	ev->nmi_injected = in->nmi.injected;
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		ev->nmi_pending = !!in->nmi.pending;
	kvm_ops.set_nmi_mask(vcpu, in->nmi.masked);
	if (in->flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT) {
		if (in->triple_fault.pending)
			kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		else
			clear_bit(KVM_REQ_TRIPLE_FAULT, &vcpu->requests);
	}
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

long kvm_vcpu_interrupt(struct kvm_vcpu *vcpu, const struct kvm_interrupt *irq)
{
	if (irq->irq > 255)
		return -EINVAL;
	if (vcpu->kvm->irqchip_mode == KVM_IRQCHIP_FULL)
		return -ENXIO;
	if (vcpu->events.irq.pending || vcpu->events.irq.injected)
		return -EEXIST;
	vcpu->events.irq.pending = true;
	vcpu->events.irq.nr = irq->irq;
	vcpu->events.irq.soft = false;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}
