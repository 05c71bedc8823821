// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exceptions, interrupts and NMIs: how they are raised, requeued after an exit
 * that interrupted their delivery, and injected; how userspace saves and restores
 * them; and how an instruction that exited ends: skipped, single-stepped, halted.
 *
 * An event is pending once it is raised, and injected once it is in the
 * hardware for the next entry.  If that entry's exit interrupts the delivery, it
 * is requeued: it stays injected, and comes first at the next entry.
 */
#include "kvm_host.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_lapic.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "trace.h"

#include <linux/export.h>
#include <linux/static_call.h>

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
 * An exception while another is being delivered: both are delivered in turn, or
 * a double fault, or the processor shuts down (APM 2 "#DF—Double-Fault Exception",
 * SDM 3A "Interrupt 8—Double Fault Exception (#DF)").
 */
static void raise_exception(struct kvm_vcpu *vcpu, const struct kvm_queued_exception *ex)
{
	struct kvm_queued_exception *cur = &vcpu->events.exception;
	static const struct kvm_queued_exception df = {
		.vector = X86_TRAP_DF, .has_error_code = true,
	};
	enum exception_class first, second;

	/* Of INT n: it is executed again after this. */
	vcpu->events.soft.injected = false;
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
	/* The first one is raised again when its instruction is restarted. */
	cur->injected = false;
	set_exception(vcpu, ex);
}

/** kvm_queue_exception - raise an exception without an error code.  It becomes pending, or, with
 * one pending or injected already, what the two make together: a double fault, or shutdown.
 */
void kvm_queue_exception(struct kvm_vcpu *vcpu, u8 vector)
{
	raise_exception(vcpu, &(struct kvm_queued_exception){ .vector = vector });
}
EXPORT_SYMBOL_GPL(kvm_queue_exception);

/** kvm_queue_exception_e - raise an exception with an error code */
void kvm_queue_exception_e(struct kvm_vcpu *vcpu, u8 vector, u32 error_code)
{
	raise_exception(vcpu, &(struct kvm_queued_exception){
		.vector = vector, .has_error_code = true, .error_code = error_code });
}

/** kvm_queue_exception_p - raise #DB; @payload: bits that it sets in DR6 when delivered */
void kvm_queue_exception_p(struct kvm_vcpu *vcpu, u8 vector, unsigned long payload)
{
	raise_exception(vcpu, &(struct kvm_queued_exception){
		.vector = vector, .has_payload = true, .payload = payload });
}
EXPORT_SYMBOL_GPL(kvm_queue_exception_p);

/** kvm_inject_gp - raise #GP; the error code is a selector, or 0 */
void kvm_inject_gp(struct kvm_vcpu *vcpu, u32 error_code)
{
	kvm_queue_exception_e(vcpu, X86_TRAP_GP, error_code);
}

/** kvm_inject_page_fault - raise what a walk of the guest's tables found: #PF, which sets CR2 when
 * it is delivered, or #GP and #SS from segment and canonical checks
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

#define NMIS_PENDING	2

/** kvm_inject_nmi - raise an NMI.  One may be pending while another is handled; with none handled,
 * a second one is latched behind the first (SDM 3A "Handling Multiple NMIs").  More are lost.
 */
void kvm_inject_nmi(struct kvm_vcpu *vcpu)
{
	unsigned int limit = kvm_ops.get_nmi_mask(vcpu) || vcpu->events.nmi_injected ?
			     1 : NMIS_PENDING;

	vcpu->events.nmi_pending = min(vcpu->events.nmi_pending + 1, limit);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/*
 * ---- events whose delivery an exit interrupted ----
 *
 * For ops->run and ops->cancel_injection.
 */

/** kvm_clear_injected - after an exit: what was injected is delivered; what is not is requeued */
void kvm_clear_injected(struct kvm_vcpu *vcpu)
{
	vcpu->events.exception.injected = false;
	vcpu->events.irq.injected = false;
	vcpu->events.irq.reinjected = false;
	vcpu->events.soft.injected = false;
	vcpu->events.nmi_injected = false;
}
EXPORT_SYMBOL_GPL(kvm_clear_injected);

/** kvm_requeue_exception - inject an exception again, with @error_code if it @has_error */
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

/** kvm_requeue_soft_exception - inject #BP of INT3, #OF of INTO, #DB of INT1 again
 * @insn_len: of the instruction, which RIP is at; the handler returns behind it
 */
void kvm_requeue_soft_exception(struct kvm_vcpu *vcpu, u8 vector, u8 insn_len)
{
	kvm_requeue_exception(vcpu, vector, false, 0);
	vcpu->events.exception.insn_len = insn_len;
}
EXPORT_SYMBOL_GPL(kvm_requeue_soft_exception);

/** kvm_requeue_irq - an interrupt is to be injected again
 * @nr: its vector; it was acknowledged when it was injected first
 */
void kvm_requeue_irq(struct kvm_vcpu *vcpu, u8 nr)
{
	vcpu->events.irq.injected = true;
	vcpu->events.irq.reinjected = true;
	vcpu->events.irq.nr = nr;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_requeue_irq);

/** kvm_requeue_soft_irq - inject the interrupt of INT n again, which RIP is at.  To execute it
 * again would not be the same: its shadow, if STI or MOV SS came before, may be over, and
 * another event come first.
 * @insn_len: of the instruction
 */
void kvm_requeue_soft_irq(struct kvm_vcpu *vcpu, u8 nr, u8 insn_len)
{
	vcpu->events.soft.injected = true;
	vcpu->events.soft.nr = nr;
	vcpu->events.soft.insn_len = insn_len;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_requeue_soft_irq);

/** kvm_forget_soft_event - the instruction at RIP is emulated: it makes its event itself */
void kvm_forget_soft_event(struct kvm_vcpu *vcpu)
{
	vcpu->events.soft.injected = false;
	if (vcpu->events.exception.insn_len)
		vcpu->events.exception.injected = false;
}
EXPORT_SYMBOL_GPL(kvm_forget_soft_event);

/** kvm_requeue_nmi - an NMI is to be injected again */
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

/* What the exception does to the vcpu's state before it is delivered. */
static void begin_delivery(struct kvm_vcpu *vcpu, struct kvm_queued_exception *ex)
{
	if (is_fault(ex->vector))
		kvm_set_rflags(vcpu, kvm_get_rflags(vcpu) | X86_EFLAGS_RF);
	deliver_payload(vcpu, ex);
	if (ex->vector == X86_TRAP_DB && (vcpu->dr7 & DR7_GD)) {
		vcpu->dr7 &= ~DR7_GD;
		kvm_update_dr7(vcpu);
	}
}

/* Outside of real mode, the vector says whether there is an error code (SDM 3A "Error Code"). */
#define WITH_ERROR_CODE	(BIT(X86_TRAP_DF) | BIT(X86_TRAP_TS) | BIT(X86_TRAP_NP) |	\
			 BIT(X86_TRAP_SS) | BIT(X86_TRAP_GP) | BIT(X86_TRAP_PF) | BIT(X86_TRAP_AC))

/*
 * VM entry fails with one too many or too few (SDM 3C "VM-Entry Controls for
 * Event Injection"), so what userspace says of that in KVM_SET_VCPU_EVENTS does not count.
 */
static void inject_exception(struct kvm_vcpu *vcpu)
{
	struct kvm_queued_exception *ex = &vcpu->events.exception;

	if (ex->pending)
		begin_delivery(vcpu, ex);
	if (!ex->has_error_code)
		ex->error_code = 0;
	ex->has_error_code = is_protmode(vcpu) && (WITH_ERROR_CODE & BIT(ex->vector));
	ex->pending = false;
	ex->injected = true;
	kvm_ops.inject_exception(vcpu);
}

/*
 * Interrupts come from KVM_INTERRUPT, which stands for userspace's 8259, from the
 * 8259 in the kernel, and from the local APIC.
 */
static bool pic_irq_pending(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;

	return kvm->irqchip_mode == KVM_IRQCHIP_FULL && kvm_pic_output(kvm) &&
	       kvm_lapic_accepts_pic(vcpu);
}

/** kvm_irq_pending - is there an interrupt to deliver, if the guest allows any?  The APIC's counts
 * if the processor priority allows it.
 */
bool kvm_irq_pending(struct kvm_vcpu *vcpu)
{
	if (vcpu->events.irq.pending)
		return true;
	return vcpu->lapic && (kvm_lapic_pending(vcpu->lapic) >= 0 || pic_irq_pending(vcpu));
}

/* One to inject: those of the APIC the processor may deliver by itself. */
static bool irq_to_inject(struct kvm_vcpu *vcpu)
{
	if (vcpu->lapic && vcpu->lapic->virtual_delivery)
		return vcpu->events.irq.pending || pic_irq_pending(vcpu);
	return kvm_irq_pending(vcpu);
}

/* Acknowledge the interrupt to inject.  False: there is none after all. */
static bool ack_irq(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;
	int vector;

	if (ev->irq.pending) {
		ev->irq.pending = false;
		return true;
	}
	if (pic_irq_pending(vcpu)) {
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
 * With the 8259 in the kernel userspace has no pending interrupts, nor while
 * LINT0 does not let its own through.
 */
static bool userspace_wants_irq(struct kvm_vcpu *vcpu)
{
	return unlikely(READ_ONCE(vcpu->run->request_interrupt_window)) &&
	       vcpu->kvm->irqchip_mode != KVM_IRQCHIP_FULL &&
	       (!vcpu->lapic || kvm_lapic_accepts_pic(vcpu));
}

/* While the task priority masks an interrupt, the guest's lowering of it must exit. */
static void update_cr8_intercept(struct kvm_vcpu *vcpu)
{
	bool on = !vcpu->lapic->virtual_delivery && kvm_lapic_tpr_masks(vcpu->lapic);

	if (on == vcpu->cr8_intercepted)
		return;
	vcpu->cr8_intercepted = on;
	kvm_ops.update_cr8_intercept(vcpu, on);
}

static void inject_irq(struct kvm_vcpu *vcpu, bool busy)
{
	struct kvm_events *ev = &vcpu->events;

	if (busy || !kvm_call(irq_allowed)(vcpu)) {
		kvm_ops.enable_irq_window(vcpu);
		return;
	}
	if (!ack_irq(vcpu))
		return;
	ev->irq.injected = true;
	vcpu->stat.irq_injections++;
	kvm_ops.inject_irq(vcpu);
	/* A second one, of another source, is injected once this one is delivered. */
	if (unlikely(ev->irq.pending || (vcpu->lapic && irq_to_inject(vcpu))))
		kvm_ops.enable_irq_window(vcpu);
}

/* False: there is another instruction at RIP by now, or none: it is executed. */
static bool know_insn_len(struct kvm_vcpu *vcpu, u8 vector, u8 *len)
{
	int r;

	if (likely(*len != KVM_INSN_LEN_UNKNOWN))
		return true;
	r = kvm_software_int_length(vcpu, vector);
	if (r <= 0)
		return false;
	*len = r;
	return true;
}

/* An exit interrupted its delivery.  False: nothing was injected. */
static bool inject_again(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;

	if (ev->exception.injected) {
		ev->exception.injected = know_insn_len(vcpu, ev->exception.vector,
						       &ev->exception.insn_len);
		if (ev->exception.injected)
			inject_exception(vcpu);
		return ev->exception.injected;
	}
	if (ev->nmi_injected) {
		kvm_ops.inject_nmi(vcpu);
		return true;
	}
	if (ev->soft.injected)
		ev->soft.injected = know_insn_len(vcpu, ev->soft.nr, &ev->soft.insn_len);
	if (ev->soft.injected || ev->irq.injected)
		kvm_ops.inject_irq(vcpu);
	return ev->soft.injected || ev->irq.injected;
}

/** kvm_inject_events - what the next entry delivers; preemption and interrupts on, as locks are
 * taken.  One event an entry: first what was requeued, then an exception, which belongs to the
 * instruction just executed, then NMI, then interrupt (SDM 3A "Prioritization of Concurrent
 * Events").  For those that cannot be injected now a window is requested: an exit as soon as the
 * guest can take them.
 */
void kvm_inject_events(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;
	bool busy = false;

	lockdep_assert_preemption_enabled();
	if (ev->exception.injected || ev->nmi_injected || ev->soft.injected || ev->irq.injected)
		busy = inject_again(vcpu);
	if (!busy && ev->exception.pending) {
		inject_exception(vcpu);
		busy = true;
	}

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
		update_cr8_intercept(vcpu);
	if (trace_kvm_inj_virq_enabled() && ev->soft.injected)
		trace_kvm_inj_virq(ev->soft.nr, true, true);
	else if (trace_kvm_inj_virq_enabled() && ev->irq.injected)
		trace_kvm_inj_virq(ev->irq.nr, false, ev->irq.reinjected);
}

/** kvm_ready_for_interrupt - would userspace's KVM_INTERRUPT be taken at once? */
bool kvm_ready_for_interrupt(struct kvm_vcpu *vcpu)
{
	struct kvm_events *ev = &vcpu->events;

	if (vcpu->lapic && !kvm_lapic_accepts_pic(vcpu))
		return false;
	return !ev->irq.pending && !ev->irq.injected && !ev->soft.injected && !ev->exception.pending &&
	       !ev->exception.injected && !ev->nmi_injected && kvm_call(irq_allowed)(vcpu);
}

/** kvm_irq_window_exit - is the interrupt window that userspace asked for in kvm_run open? */
bool kvm_irq_window_exit(struct kvm_vcpu *vcpu)
{
	if (!userspace_wants_irq(vcpu) || !kvm_ready_for_interrupt(vcpu))
		return false;
	vcpu->run->exit_reason = KVM_EXIT_IRQ_WINDOW_OPEN;
	vcpu->stat.request_irq_exits++;
	return true;
}

/*
 * ---- the end of an instruction that exited ----
 */

/** kvm_internal_error - KVM_EXIT_INTERNAL_ERROR; @ndata: entries in @data, 16 at most; returns 0 */
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

/* The trap after an instruction that began with TF set: the VMM's debugger takes it, or the guest. */
static noinline int singlestep_trap(struct kvm_vcpu *vcpu)
{
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP)
		return kvm_debug_exit(vcpu, X86_TRAP_DB, DR_STEP);
	kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR_STEP);
	return 1;
}

/** kvm_skip_emulated_instruction - go past the instruction that exited, as an exit handler.
 * The one way to skip: RIP, the interrupt shadow, and the single-step trap.  An instruction that
 * cannot be decoded is an internal error, and RIP stays.
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

/** kvm_halt_exit - the vcpu halts, RIP behind its HLT; as an exit handler.
 * With a local APIC in the kernel it waits here.  Without one, only userspace knows what wakes
 * it, unless an event that is pending does at once.
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

/** kvm_halt_behind_step - a HLT that was single-stepped, RIP behind it: the debugger comes first,
 * KVM_EXIT_DEBUG is in kvm_run; the next KVM_RUN halts the vcpu
 */
void kvm_halt_behind_step(struct kvm_vcpu *vcpu)
{
	vcpu->complete_rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = complete_halt_step;
}

/*
 * ---- KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_INTERRUPT, KVM_NMI ----
 */

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

/** kvm_vcpu_get_events - KVM_GET_VCPU_EVENTS; returns 0.
 * A pending vector of KVM_INTERRUPT's counts as injected: that is all that the structure can say
 * of it, and nothing is lost by it.  Setting makes it pending again; one whose delivery was
 * interrupted when it was saved finds IF still set.
 */
long kvm_vcpu_get_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *out)
{
	struct kvm_events *ev = &vcpu->events;

	memset(out, 0, sizeof(*out));
	out->flags = KVM_VCPUEVENT_VALID_NMI_PENDING | KVM_VCPUEVENT_VALID_SHADOW;
	get_exception(vcpu, out);
	out->interrupt.injected = ev->irq.injected || ev->irq.pending || ev->soft.injected;
	/* With both INT n is executed again: RIP is at it. */
	out->interrupt.soft = ev->soft.injected && !ev->irq.pending;
	out->interrupt.nr = out->interrupt.soft ? ev->soft.nr : ev->irq.nr;
	out->interrupt.shadow = kvm_ops.get_interrupt_shadow(vcpu);
	out->nmi.injected = ev->nmi_injected;
	out->nmi.pending = ev->nmi_pending;
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

/** kvm_vcpu_set_events - KVM_SET_VCPU_EVENTS: 0, or -EINVAL with nothing changed */
long kvm_vcpu_set_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *in)
{
	struct kvm_events *ev = &vcpu->events;

	if (!events_valid(vcpu, in))
		return -EINVAL;
	set_exception_state(vcpu, in);
	ev->irq.pending = in->interrupt.injected && !in->interrupt.soft;
	ev->irq.injected = false;
	ev->irq.nr = in->interrupt.nr;
	ev->soft.injected = in->interrupt.injected && in->interrupt.soft;
	ev->soft.nr = in->interrupt.nr;
	ev->soft.insn_len = KVM_INSN_LEN_UNKNOWN;
	if (vcpu->lapic && (in->flags & KVM_VCPUEVENT_VALID_SIPI_VECTOR))
		vcpu->lapic->sipi_vector = in->sipi_vector;
	if (in->flags & KVM_VCPUEVENT_VALID_SHADOW)
		kvm_ops.set_interrupt_shadow(vcpu, in->interrupt.shadow);
	ev->nmi_injected = in->nmi.injected;
	if (in->flags & KVM_VCPUEVENT_VALID_NMI_PENDING)
		ev->nmi_pending = min_t(unsigned int, in->nmi.pending, NMIS_PENDING);
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

/** kvm_vcpu_interrupt - KVM_INTERRUPT: userspace's 8259 raises an interrupt.  Returns 0, -EINVAL
 * above 255, -ENXIO with the 8259 in the kernel, -EEXIST while one is pending.
 */
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
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/** kvm_vcpu_nmi - KVM_NMI; returns 0 */
long kvm_vcpu_nmi(struct kvm_vcpu *vcpu)
{
	kvm_inject_nmi(vcpu);
	return 0;
}
