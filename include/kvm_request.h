/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests, kicks and remote flushes: what every file may call (request.c). */
#ifndef KVM_REQUEST_H
#define KVM_REQUEST_H

#include "kvm_host.h"

#include <linux/smp.h>

void kvm_flush_remote_tlbs(struct kvm *kvm);
void kvm_make_all_vcpus_request(struct kvm *kvm, int req);
void kvm_vcpu_kick(struct kvm_vcpu *vcpu);
void kvm_vcpu_read_lock(struct kvm_vcpu *vcpu);
void kvm_vcpu_read_unlock(struct kvm_vcpu *vcpu);
void kvm_vcpu_read_pass(struct kvm_vcpu *vcpu);
void kvm_wait_for_readers(struct kvm *kvm);
void kvm_vm_dead(struct kvm *kvm, const char *reason);

/* An interrupt of the host's own, so that the next guest exits at once.  Interrupts off. */
static inline void kvm_self_interrupt(void)
{
	/* What smp_send_reschedule() is made of, in kernels with its tracepoint and without. */
	(smp_ops.smp_send_reschedule)(smp_processor_id());
}

/*
 * For invariants of ours and impossible states of the hardware, never for what a
 * guest or userspace can bring about: if @cond holds, the VM dies.  Its value is
 * @cond's, so that the caller can give up.
 */
#define kvm_vm_bug_on(kvm, cond)			\
({							\
	bool bug_ = (cond);				\
							\
	if (unlikely(bug_))				\
		kvm_vm_dead(kvm, #cond);		\
	unlikely(bug_);					\
})

#endif
