/* SPDX-License-Identifier: GPL-2.0-only */
/* CPUID (cpuid.c). */
#ifndef KVM_CPUID_H
#define KVM_CPUID_H

#include "kvm_host.h"
#include "kvm_features.h"

void kvm_cpuid_module_init(void);
extern u64 kvm_supported_xcr0;		/* that guests may set */
extern u32 kvm_host_maxphyaddr;
u32  kvm_xsave_size(void);
long kvm_get_supported_cpuid(struct kvm_cpuid2 __user *cpuid, bool emulated);
long kvm_vcpu_set_cpuid(struct kvm_vcpu *vcpu, const struct kvm_cpuid __user *cpuid);
long kvm_vcpu_set_cpuid2(struct kvm_vcpu *vcpu, const struct kvm_cpuid2 __user *cpuid);
long kvm_vcpu_get_cpuid2(struct kvm_vcpu *vcpu, struct kvm_cpuid2 __user *cpuid);
const struct kvm_cpuid_entry2 *kvm_find_cpuid(struct kvm_vcpu *vcpu, u32 function, u32 index);
void kvm_cpuid(struct kvm_vcpu *vcpu, u32 *eax, u32 *ebx, u32 *ecx, u32 *edx);
void kvm_derive_from_cpuid(struct kvm_vcpu *vcpu);
void kvm_cpuid_free(struct kvm_vcpu *vcpu);
bool kvm_guest_has(struct kvm_vcpu *vcpu, unsigned int feature);
bool kvm_guest_has_mwait(struct kvm_vcpu *vcpu);
bool kvm_guest_has_ibpb(struct kvm_vcpu *vcpu);

#endif
