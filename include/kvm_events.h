/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exceptions, interrupts, NMIs: raise, requeue, inject; how an instruction that
 * exited ends (events.c).
 */
#ifndef KVM_EVENTS_H
#define KVM_EVENTS_H

#include "kvm_host.h"

/* Of an INT n, INT3 or INTO: to be decoded when it is injected. */
#define KVM_INSN_LEN_UNKNOWN	0xff

/* Raise. */
void kvm_queue_exception(struct kvm_vcpu *vcpu, u8 vector);
void kvm_queue_exception_e(struct kvm_vcpu *vcpu, u8 vector, u32 error_code);
void kvm_queue_exception_p(struct kvm_vcpu *vcpu, u8 vector, unsigned long payload);
void kvm_inject_gp(struct kvm_vcpu *vcpu, u32 error_code);
void kvm_inject_page_fault(struct kvm_vcpu *vcpu, const struct kvm_exception *ex);
void kvm_inject_nmi(struct kvm_vcpu *vcpu);

/* Requeue. */
void kvm_clear_injected(struct kvm_vcpu *vcpu);
void kvm_requeue_exception(struct kvm_vcpu *vcpu, u8 vector, bool has_error, u32 error_code);
void kvm_requeue_soft_exception(struct kvm_vcpu *vcpu, u8 vector, u8 insn_len);
void kvm_requeue_irq(struct kvm_vcpu *vcpu, u8 nr);
void kvm_requeue_soft_irq(struct kvm_vcpu *vcpu, u8 nr, u8 insn_len);
void kvm_forget_soft_event(struct kvm_vcpu *vcpu);
void kvm_requeue_nmi(struct kvm_vcpu *vcpu);

/* Inject. */
/* An exception is yet to be delivered, for the first time or again. */
static inline bool kvm_exception_waits(const struct kvm_vcpu *vcpu)
{
	return vcpu->events.exception.pending || vcpu->events.exception.injected;
}

bool kvm_irq_pending(struct kvm_vcpu *vcpu);
void kvm_inject_events(struct kvm_vcpu *vcpu);
bool kvm_ready_for_interrupt(struct kvm_vcpu *vcpu);
bool kvm_irq_window_exit(struct kvm_vcpu *vcpu);

/* End an instruction.  As exit handlers. */
int  kvm_internal_error(struct kvm_vcpu *vcpu, u32 suberror, int ndata, const u64 *data);
int  kvm_skip_emulated_instruction(struct kvm_vcpu *vcpu);
int  kvm_halt_exit(struct kvm_vcpu *vcpu);
void kvm_halt_behind_step(struct kvm_vcpu *vcpu);

long kvm_vcpu_get_events(struct kvm_vcpu *vcpu, struct kvm_vcpu_events *out);
long kvm_vcpu_set_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *in);
long kvm_vcpu_interrupt(struct kvm_vcpu *vcpu, const struct kvm_interrupt *irq);
long kvm_vcpu_nmi(struct kvm_vcpu *vcpu);

#endif
