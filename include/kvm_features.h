/* SPDX-License-Identifier: GPL-2.0-only */
/* Names of CPUID bits beyond the kernel's, and which of all guests may have (cpuid.c). */
#ifndef KVM_FEATURES_H
#define KVM_FEATURES_H

#include <linux/types.h>
#include <asm/cpufeature.h>

/* Registers of CPUID that are no word of the kernel's, behind its own (X86_FEATURE_*). */
enum {
	KVM_CPUID_7_1_EDX = NCAPINTS,
	KVM_CPUID_7_2_EDX,
	KVM_CPUID_8000_0021_ECX,
	KVM_NR_CPUID_WORDS
};

#define KVM_FEATURE_AVX10	(KVM_CPUID_7_1_EDX * 32 + 19)
#define KVM_FEATURE_PSFD	(KVM_CPUID_7_2_EDX * 32 + 0)
#define KVM_FEATURE_IPRED_CTRL	(KVM_CPUID_7_2_EDX * 32 + 1)
#define KVM_FEATURE_RRSBA_CTRL	(KVM_CPUID_7_2_EDX * 32 + 2)
#define KVM_FEATURE_DDPD_U	(KVM_CPUID_7_2_EDX * 32 + 3)
#define KVM_FEATURE_TSA_SQ_NO	(KVM_CPUID_8000_0021_ECX * 32 + 1)
#define KVM_FEATURE_TSA_L1_NO	(KVM_CPUID_8000_0021_ECX * 32 + 2)
#define KVM_FEATURE_BHI_CTRL	(KVM_CPUID_7_2_EDX * 32 + 4)

bool kvm_cpu_cap_has(unsigned int feature);

#endif
