/* SPDX-License-Identifier: GPL-2.0-only */
/* FPU and extended state, XCR0 (fpu.c). */
#ifndef KVM_FPU_H
#define KVM_FPU_H

#include "kvm_host.h"

int  kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr);
long kvm_vcpu_get_fpu(struct kvm_vcpu *vcpu, struct kvm_fpu *fpu);
long kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu);
long kvm_vcpu_get_xsave(struct kvm_vcpu *vcpu, struct kvm_xsave __user *user);
long kvm_vcpu_get_xsave2(struct kvm_vcpu *vcpu, void __user *user);
long kvm_vcpu_set_xsave(struct kvm_vcpu *vcpu, const void __user *user);
long kvm_vcpu_get_xcrs(struct kvm_vcpu *vcpu, struct kvm_xcrs *xcrs);
long kvm_vcpu_set_xcrs(struct kvm_vcpu *vcpu, const struct kvm_xcrs *xcrs);
void kvm_switch_to_guest_xstate(struct kvm_vcpu *vcpu);
void kvm_switch_to_host_xstate(struct kvm_vcpu *vcpu);

/*
 * Before an entry and after an exit, interrupts off.  Without CR4.OSXSAVE no guest
 * instruction uses XCR0 or IA32_XSS, and without CR4.PKE none but XSAVE and its kin uses
 * PKRU.  A guest cannot change these bits without an exit, so vcpu->cr4 always has them.
 */
static inline void kvm_load_guest_xstate(struct kvm_vcpu *vcpu)
{
	if (vcpu->cr4 & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		kvm_switch_to_guest_xstate(vcpu);
}

static inline void kvm_load_host_xstate(struct kvm_vcpu *vcpu)
{
	if (vcpu->cr4 & (X86_CR4_OSXSAVE | X86_CR4_PKE))
		kvm_switch_to_host_xstate(vcpu);
}

int  kvm_get_xfd_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
int  kvm_set_xfd_msr(struct kvm_vcpu *vcpu, const struct msr_data *msr);
void kvm_save_xfd_err(struct kvm_vcpu *vcpu);
void kvm_fpu_reset(struct kvm_vcpu *vcpu);
int  kvm_fpu_create(struct kvm_vcpu *vcpu);
void kvm_fpu_destroy(struct kvm_vcpu *vcpu);

#endif
