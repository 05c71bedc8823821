/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of CPUID bits that only later kernels give, or give another number.
 * The numbers are words of boot_cpu_data.x86_capability, which hold the
 * processor's registers whether or not each bit has a name.
 */
#ifndef KVM_COMPAT_REGS_H
#define KVM_COMPAT_REGS_H

#include <asm/cpufeatures.h>

/* CPUID leaf 7.1, EAX */
#ifndef X86_FEATURE_CMPCCXADD
#define X86_FEATURE_CMPCCXADD		(12 * 32 + 7)
#endif
#ifndef X86_FEATURE_FZRM
#define X86_FEATURE_FZRM		(12 * 32 + 10)
#define X86_FEATURE_FSRS		(12 * 32 + 11)
#define X86_FEATURE_FSRC		(12 * 32 + 12)
#endif
#ifndef X86_FEATURE_AVX_IFMA
#define X86_FEATURE_AVX_IFMA		(12 * 32 + 23)
#endif

/* CPUID leaf 0x80000008, EBX */
#ifndef X86_FEATURE_AMD_PSFD
#define X86_FEATURE_AMD_PSFD		(13 * 32 + 28)
#endif

/* Bits of SPEC_CTRL; those of other privilege levels go together. */
#define KVM_SPEC_CTRL_IPRED_DIS		(BIT_ULL(3) | BIT_ULL(4))
#define KVM_SPEC_CTRL_RRSBA_DIS		(BIT_ULL(5) | BIT_ULL(6))
#define KVM_SPEC_CTRL_PSFD		BIT_ULL(7)
#define KVM_SPEC_CTRL_DDPD_U		BIT_ULL(8)

/* CPUID leaf 0x80000021, EAX; "LFENCE serializes" was a word of Linux's own once. */
#define KVM_FEATURE_BIT_NO_NESTED_DATA_BP	(20 * 32 + 0)
#define KVM_FEATURE_BIT_LFENCE_SERIALIZES	(20 * 32 + 2)
#define KVM_FEATURE_BIT_VERW_CLEAR		(20 * 32 + 5)
#define KVM_FEATURE_BIT_NULL_SEL_CLR_BASE	(20 * 32 + 6)
#define KVM_FEATURE_BIT_NO_SMM_CTL_MSR		(20 * 32 + 9)
#define KVM_FEATURE_BIT_SRSO_NO			(20 * 32 + 29)

#endif
