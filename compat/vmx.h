/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels for the VMX module: the way to the NMI handler,
 * and names of the manual's that came or changed.
 */
#ifndef KVM_COMPAT_VMX_H
#define KVM_COMPAT_VMX_H

#ifdef __ASSEMBLY__

#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>

/*
 * Before VM entry: the host's data in the CPU's buffers is not for the guest.  From 6.19
 * on there are three features: CLEAR_CPU_BUF is what the way to user mode needs, _VM what
 * a guest does, _VM_MMIO what one does that reaches the host's MMIO, as any may here
 * whose VMM maps a device into its memory.
 */
.macro VMX_CLEAR_CPU_BUFFERS
#ifdef VM_CLEAR_CPU_BUFFERS
	CLEAR_CPU_BUFFERS
#else
	/* ALTERNATIVE_3, which assembles in C only */
	__ALTERNATIVE(__ALTERNATIVE(__ALTERNATIVE(, VERW, X86_FEATURE_CLEAR_CPU_BUF),
				    VERW, X86_FEATURE_CLEAR_CPU_BUF_VM),
		      VERW, X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO)
#endif
.endm

/*
 * An NMI that ended a guest is handed to the kernel by a call; the entry made for that
 * got another name in 6.11, and a function around it in 7.1.
 */
#ifdef HAVE_NMI_KVM_VMX
#define VMX_COMPAT_NMI_ENTRY	asm_exc_nmi_kvm_vmx
#else
#define VMX_COMPAT_NMI_ENTRY	asm_exc_nmi_noist
#endif

#else /* !__ASSEMBLY__ */

#include <linux/hardirq.h>
#include <linux/kconfig.h>
#include <asm/cpufeatures.h>
#include <asm/nospec-branch.h>
#include <asm/vmx.h>

#ifdef HAVE_ENTRY_FROM_KVM
#include <linux/entry-common.h>
#include <asm/trapnr.h>

/* NMIs are blocked until the kernel's handler has returned, on hosts with FRED, too. */
static __always_inline void vmx_call_nmi(void)
{
	x86_entry_from_kvm(EVENT_TYPE_NMI, NMI_VECTOR);
}
#else
void vmx_call_nmi(void);
#endif

/*
 * Processors that leak nothing but what MMIO left in their buffers (CPUs without MDS):
 * a key of the kernel's says so, where it is no feature for the macro above yet.
 */
static __always_inline void vmx_compat_clear_stale_mmio(void)
{
#ifndef X86_FEATURE_CLEAR_CPU_BUF_VM_MMIO
	if (static_branch_unlikely(&mmio_stale_data_clear))
		x86_clear_cpu_buffers();
#endif
}

/*
 * Whether an interrupt came on this CPU since it was last asked for: the kernel notes that
 * for its own kvm_intel.  Interrupts off.
 */
static __always_inline bool vmx_compat_l1d_interrupted(void)
{
#if defined(HAVE_IRQ_CACHE_FLAG) && IS_ENABLED(CONFIG_KVM_INTEL)
	bool interrupted = kvm_get_cpu_l1tf_flush_l1d();

	kvm_clear_cpu_l1tf_flush_l1d();
	return interrupted;
#else
	return true;
#endif
}

#ifndef SECONDARY_EXEC_ENABLE_XSAVES
#define SECONDARY_EXEC_ENABLE_XSAVES	SECONDARY_EXEC_XSAVES
#endif

/* SDM 3D "VMX Basic Exit Reasons"; the header has only those that the kernel uses. */
#ifndef EXIT_REASON_GETSEC
#define EXIT_REASON_GETSEC		11
#endif
#ifndef EXIT_REASON_RSM
#define EXIT_REASON_RSM			17
#endif

#ifndef EXIT_REASON_ENCLV
#define EXIT_REASON_ENCLV		70
#endif
#ifndef EXIT_REASON_SEAMCALL
#define EXIT_REASON_SEAMCALL		76
#endif
#ifndef EXIT_REASON_TDCALL
#define EXIT_REASON_TDCALL		77
#endif

/* SDM 3D "Secondary Processor-Based VM-Execution Controls", "Field Encoding in VMCS" */
#ifndef SECONDARY_EXEC_ENCLV_EXITING
#define SECONDARY_EXEC_ENCLV_EXITING	BIT(28)
#define ENCLV_EXITING_BITMAP		0x2036
#endif

#ifndef VMX_BASIC_TRUE_CTLS
#define VMX_BASIC_TRUE_CTLS		BIT_ULL(55)
#endif

#endif /* !__ASSEMBLY__ */
#endif
