/* SPDX-License-Identifier: GPL-2.0-only */
/* The run loop and halted vcpus (vcpu.c, halt.c). */
#ifndef KVM_VCPU_H
#define KVM_VCPU_H

#include "kvm_host.h"

int  kvm_vcpu_module_init(void);
void kvm_vcpu_module_exit(void);
struct kvm_vcpu *kvm_vcpu_create(struct kvm *kvm, u32 id);
void kvm_vcpu_destroy(struct kvm_vcpu *vcpu) __kvm_unshared;
void kvm_vcpu_load(struct kvm_vcpu *vcpu);
void kvm_vcpu_put(struct kvm_vcpu *vcpu);
int  kvm_vcpu_run(struct kvm_vcpu *vcpu)
	__kvm_must_hold(vcpu_mutex);
void kvm_vcpu_reset(struct kvm_vcpu *vcpu, bool init_event);
void kvm_vcpu_settle(struct kvm_vcpu *vcpu);
long kvm_vcpu_set_signal_mask(struct kvm_vcpu *vcpu, const void __user *arg);
long kvm_vcpu_get_mp_state(struct kvm_vcpu *vcpu, struct kvm_mp_state *mp);
long kvm_vcpu_set_mp_state(struct kvm_vcpu *vcpu, const struct kvm_mp_state *mp);

void kvm_vcpu_wait(struct kvm_vcpu *vcpu);
void kvm_vcpu_on_spin(struct kvm_vcpu *vcpu);
bool kvm_vcpu_yield_to(struct kvm_vcpu *vcpu, struct kvm_vcpu *target);

#endif
