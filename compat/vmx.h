/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels for the VMX module: the way to the NMI handler,
 * and names of the manual's that came or changed.
 */
#ifndef KVM_COMPAT_VMX_H
#define KVM_COMPAT_VMX_H

#include <linux/version.h>

/*
 * An NMI that ended a guest is handed to the kernel by a call; the entry made
 * for that got another name in 6.12.
 */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define VMX_COMPAT_NMI_ENTRY	asm_exc_nmi_kvm_vmx
#else
#define VMX_COMPAT_NMI_ENTRY	asm_exc_nmi_noist
#endif

#ifndef __ASSEMBLY__

#include <asm/vmx.h>

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

#ifndef VMX_BASIC_TRUE_CTLS
#define VMX_BASIC_TRUE_CTLS		BIT_ULL(55)
#endif

#endif /* !__ASSEMBLY__ */
#endif
