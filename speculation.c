// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guests are told of the processor's faults of speculation, and which controls they
 * have: the bits of SPEC_CTRL, PRED_CMD and ARCH_CAPABILITIES that go with the CPUID that is
 * supported (cpuid_table.h).
 *
 * Each bit that CPUID offers can be set: its first use would be #GP otherwise.  It depends
 * on nothing but the host's features, bugs and MSRs, so tests/unit/speculation.c runs it
 * with those of processors that the lab does not have.
 *
 * "SDM 4" is the fourth volume of Intel's manual, "Model-Specific Registers".
 */
#include "kvm_speculation.h"

#include "kvm_features.h"

#include <linux/bits.h>
#include <linux/kernel.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/msr-index.h>

#include "compat/regs.h"

/** kvm_spec_ctrl_bits - of SPEC_CTRL, what guests may set: SDM 4, APM 2 "SPEC_CTRL" */
u64 kvm_spec_ctrl_bits(void)
{
	static const struct { u64 bits; unsigned int feature; } map[] = {
		{ SPEC_CTRL_IBRS, X86_FEATURE_SPEC_CTRL },
		{ SPEC_CTRL_IBRS, X86_FEATURE_AMD_IBRS },
		{ SPEC_CTRL_STIBP, X86_FEATURE_INTEL_STIBP },
		{ SPEC_CTRL_STIBP, X86_FEATURE_AMD_STIBP },
		{ SPEC_CTRL_SSBD, X86_FEATURE_SPEC_CTRL_SSBD },
		{ SPEC_CTRL_SSBD, X86_FEATURE_AMD_SSBD },
		/* both vendors' */
		{ KVM_SPEC_CTRL_PSFD, X86_FEATURE_AMD_PSFD },
		{ KVM_SPEC_CTRL_PSFD, KVM_FEATURE_PSFD },
		{ KVM_SPEC_CTRL_IPRED_DIS, KVM_FEATURE_IPRED_CTRL },
		{ KVM_SPEC_CTRL_RRSBA_DIS, KVM_FEATURE_RRSBA_CTRL },
		{ KVM_SPEC_CTRL_DDPD_U, KVM_FEATURE_DDPD_U },
		{ SPEC_CTRL_BHI_DIS_S, KVM_FEATURE_BHI_CTRL },
	};
	u64 bits = 0;
	int i;

	for (i = 0; i < ARRAY_SIZE(map); i++)
		if (kvm_cpu_cap_has(map[i].feature))
			bits |= map[i].bits;
	return bits;
}

/** kvm_pred_cmd_bits - of PRED_CMD, what guests may write */
u64 kvm_pred_cmd_bits(void)
{
	u64 bits = 0;

	if (kvm_cpu_cap_has(X86_FEATURE_SPEC_CTRL) || kvm_cpu_cap_has(X86_FEATURE_AMD_IBPB))
		bits |= PRED_CMD_IBPB;
	if (kvm_cpu_cap_has(X86_FEATURE_SBPB))
		bits |= PRED_CMD_SBPB;
	return bits;
}

/*
 * The bits of the host's ARCH_CAPABILITIES that hold for a guest, too.  None that offers a
 * control that guests do not have, or something that depends on what the host chose.
 */
#define ARCH_CAP_FOR_GUESTS						\
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA |		\
	 ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | ARCH_CAP_SSB_NO |		\
	 ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |	\
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO |	\
	 ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO |		\
	 ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |	\
	 ARCH_CAP_RFDS_CLEAR | ARCH_CAP_ITS_NO)

/* Faults that the kernel knows the processor not to have, whether or not it says so itself. */
static const struct { u64 no; u16 bug; } absent[] = {
	{ ARCH_CAP_RDCL_NO, X86_BUG_CPU_MELTDOWN },
	{ ARCH_CAP_SSB_NO, X86_BUG_SPEC_STORE_BYPASS },
	{ ARCH_CAP_MDS_NO, X86_BUG_MDS },
	{ ARCH_CAP_TAA_NO, X86_BUG_TAA },
	{ ARCH_CAP_GDS_NO, X86_BUG_GDS },
	{ ARCH_CAP_RFDS_NO, X86_BUG_RFDS },
	{ ARCH_CAP_ITS_NO, X86_BUG_ITS },
};

/*
 * Gather data sampling is off in the microcode, unless that was told otherwise, which a guest
 * cannot.  SDM 4 "IA32_MCU_OPT_CTRL".
 */
static bool gds_mitigated(u64 host)
{
	u64 ctrl;

	return (host & ARCH_CAP_GDS_CTRL) && !rdmsrq_safe(MSR_IA32_MCU_OPT_CTRL, &ctrl) &&
	       !(ctrl & GDS_MITG_DIS);
}

/** kvm_arch_capabilities - ARCH_CAPABILITIES as guests may have it, whether or not the host has
 * the register.  What depends on how memory is mapped is msr.c's.
 */
u64 kvm_arch_capabilities(void)
{
	u64 host = 0, caps;
	int i;

	if (boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES))
		rdmsrq_safe(MSR_IA32_ARCH_CAPABILITIES, &host);
	caps = host & ARCH_CAP_FOR_GUESTS;
	for (i = 0; i < ARRAY_SIZE(absent); i++)
		if (!boot_cpu_has_bug(absent[i].bug))
			caps |= absent[i].no;
	if (gds_mitigated(host))
		caps |= ARCH_CAP_GDS_NO;
	/* Without TSX, which the host may have switched off, there is nothing to control. */
	if ((host & ARCH_CAP_TSX_CTRL_MSR) && boot_cpu_has(X86_FEATURE_RTM))
		caps |= ARCH_CAP_TSX_CTRL_MSR;
	return caps;
}
