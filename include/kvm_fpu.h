/* SPDX-License-Identifier: GPL-2.0-only */
/* FPU and extended state, XCR0 (fpu.c). */
#ifndef KVM_FPU_H
#define KVM_FPU_H

#include "kvm_host.h"

int  kvm_set_xcr(struct kvm_vcpu *vcpu, u32 index, u64 xcr);
long kvm_vcpu_get_fpu(struct kvm_vcpu *vcpu, struct kvm_fpu *fpu);
long kvm_vcpu_set_fpu(struct kvm_vcpu *vcpu, const struct kvm_fpu *fpu);
long kvm_vcpu_get_xsave(struct kvm_vcpu *vcpu, struct kvm_xsave *xsave);
long kvm_vcpu_set_xsave(struct kvm_vcpu *vcpu, const struct kvm_xsave *xsave);
long kvm_vcpu_get_xcrs(struct kvm_vcpu *vcpu, struct kvm_xcrs *xcrs);
long kvm_vcpu_set_xcrs(struct kvm_vcpu *vcpu, const struct kvm_xcrs *xcrs);
void kvm_switch_to_guest_xcr0(struct kvm_vcpu *vcpu);
void kvm_switch_to_host_xcr0(struct kvm_vcpu *vcpu);

/*
 * Before an entry and after an exit, interrupts off.  Without CR4.OSXSAVE no guest
 * instruction uses XCR0 or IA32_XSS.  A guest cannot change that bit without an exit,
 * so vcpu->cr4 always has it.
 */
static inline void kvm_load_guest_xcr0(struct kvm_vcpu *vcpu)
{
	if (vcpu->cr4 & X86_CR4_OSXSAVE)
		kvm_switch_to_guest_xcr0(vcpu);
}

static inline void kvm_load_host_xcr0(struct kvm_vcpu *vcpu)
{
	if (vcpu->cr4 & X86_CR4_OSXSAVE)
		kvm_switch_to_host_xcr0(vcpu);
}

int  kvm_fpu_create(struct kvm_vcpu *vcpu);
void kvm_fpu_destroy(struct kvm_vcpu *vcpu);

#endif
