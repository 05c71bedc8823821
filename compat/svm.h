/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels for the SVM module: the mitigations that a
 * kernel has for the way out of a guest.
 */
#ifndef KVM_COMPAT_SVM_H
#define KVM_COMPAT_SVM_H

#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

#ifdef __ASSEMBLY__

/*
 * Before VMRUN: the host's data in the CPU's buffers is not for the guest.  Kernels
 * of 6.19 and later have the feature, but no macro any more.
 */
#ifdef VM_CLEAR_CPU_BUFFERS
#define SVM_CLEAR_CPU_BUFFERS	VM_CLEAR_CPU_BUFFERS
#else
#define SVM_CLEAR_CPU_BUFFERS	ALTERNATIVE "", __CLEAR_CPU_BUFFERS, X86_FEATURE_CLEAR_CPU_BUF_VM
#endif

/*
 * Before the first RET after a guest: return predictions that the guest left
 * in the processor are made harmless.  Kernels since 6.2 have a macro for VM exits
 * (UNTRAIN_RET_VM); earlier ones have only that of kernel entries, and leave the
 * barrier of IBPB_ON_VMEXIT to the hypervisor.
 */
.macro SVM_UNTRAIN_RET
#ifdef UNTRAIN_RET_VM
	UNTRAIN_RET_VM
#else
	UNTRAIN_RET
	ALTERNATIVE "", "call entry_ibpb", X86_FEATURE_IBPB_ON_VMEXIT
#endif
.endm

#else /* !__ASSEMBLY__ */

#include <linux/sched.h>
#include <linux/smp.h>
#include <linux/mm_types.h>
#include <asm/msr.h>
#include <asm/cpufeature.h>
#include <asm/svm.h>

/*
 * Speculative return stack overflow: processors that have BP_SPEC_REDUCE
 * guard the host by it while guests may run on this CPU.
 */
static inline void svm_compat_predictor_guard(bool on)
{
#ifdef X86_FEATURE_SRSO_BP_SPEC_REDUCE
	u64 cfg;

	if (!cpu_feature_enabled(X86_FEATURE_SRSO_BP_SPEC_REDUCE))
		return;
	rdmsrq(MSR_ZEN4_BP_CFG, cfg);
	if (on)
		cfg |= BIT_ULL(MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	else
		cfg &= ~BIT_ULL(MSR_ZEN4_BP_CFG_BP_SPEC_REDUCE_BIT);
	wrmsrq(MSR_ZEN4_BP_CFG, cfg);
#endif
}

/* The thread has an LDT: its register may change by an IPI, not only by a switch. */
static inline bool svm_compat_host_ldt(void)
{
#ifdef CONFIG_MODIFY_LDT_SYSCALL
	return unlikely(READ_ONCE(current->mm->context.ldt));
#else
	return false;
#endif
}

/* The control of nested paging was called by what it does first, until 7.1. */
#ifndef HAVE_SVM_MISC_CTL
#define misc_ctl		nested_ctl
#define SVM_MISC_ENABLE_NP	SVM_NESTED_CTL_NP_ENABLE
#endif

/* VM_CR's bits, for kernels that keep them elsewhere. */
#ifndef SVM_VM_CR_SVM_DIS_MASK
#define SVM_VM_CR_SVM_DIS_MASK	0x0010ULL
#endif

#endif /* __ASSEMBLY__ */
#endif
