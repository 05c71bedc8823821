// SPDX-License-Identifier: GPL-2.0-only
/* speculation.c on processors that the lab does not have. */
#include "mock.h"
#include "../../speculation.c"

bool kvm_cpu_cap_has(unsigned int feature) { return cpu.given[feature]; }

/* A processor with these features, of which guests get all, and an ARCH_CAPABILITIES or none (0). */
static void processor(u64 arch, const unsigned int *features, int n)
{
	memset(&cpu, 0, sizeof(cpu));
	for (int i = 0; i < n; i++)
		cpu.has[features[i]] = cpu.given[features[i]] = true;
	cpu.has[X86_FEATURE_ARCH_CAPABILITIES] = arch;
	cpu.msr[0].index = MSR_IA32_ARCH_CAPABILITIES;
	cpu.msr[0].value = arch;
}
#define PROCESSOR(arch, ...) do {					\
	const unsigned int list[] = { __VA_ARGS__ };			\
	processor(arch, list, ARRAY_SIZE(list));			\
} while (0)

#define OLD_BUGS X86_BUG_CPU_MELTDOWN, X86_BUG_SPEC_STORE_BYPASS, X86_BUG_MDS, X86_BUG_TAA, \
	X86_BUG_GDS, X86_BUG_RFDS, X86_BUG_ITS

static void controls(void)
{
	/* one by one: SDM 4, APM 2 */
	static const struct { unsigned int feature; u64 bits; const char *name; } one[] = {
		{ X86_FEATURE_SPEC_CTRL, 1, "IBRS" },
		{ X86_FEATURE_AMD_IBRS, 1, "AMD's IBRS" },
		{ X86_FEATURE_INTEL_STIBP, 2, "STIBP" },
		{ X86_FEATURE_AMD_STIBP, 2, "AMD's STIBP" },
		{ X86_FEATURE_SPEC_CTRL_SSBD, 4, "SSBD" },
		{ X86_FEATURE_AMD_SSBD, 4, "AMD's SSBD" },
		{ KVM_FEATURE_IPRED_CTRL, 0x18, "IPRED_CTRL" },
		{ KVM_FEATURE_RRSBA_CTRL, 0x60, "RRSBA_CTRL" },
		{ KVM_FEATURE_PSFD, 0x80, "PSFD" },
		{ X86_FEATURE_AMD_PSFD, 0x80, "AMD's PSFD" },
		{ KVM_FEATURE_DDPD_U, 0x100, "DDPD_U" },
		{ KVM_FEATURE_BHI_CTRL, 0x400, "BHI_CTRL" },
	};
	char name[80];

	for (int i = 0; i < ARRAY_SIZE(one); i++) {
		PROCESSOR(0, one[i].feature);
		snprintf(name, sizeof(name), "SPEC_CTRL's bits of %s", one[i].name);
		is(kvm_spec_ctrl_bits(), one[i].bits, name);
	}
	PROCESSOR(0, X86_FEATURE_FPU);
	is(kvm_spec_ctrl_bits(), 0, "nothing offered: no bit of SPEC_CTRL");
	is(kvm_pred_cmd_bits(), 0, "nothing offered: no bit of PRED_CMD");
	PROCESSOR(0, X86_FEATURE_SPEC_CTRL);
	is(kvm_pred_cmd_bits(), 1, "Intel's SPEC_CTRL has IBPB");
	PROCESSOR(0, X86_FEATURE_AMD_IBPB);
	is(kvm_pred_cmd_bits(), 1, "AMD's IBPB");
	PROCESSOR(0, X86_FEATURE_AMD_IBPB, X86_FEATURE_SBPB);
	is(kvm_pred_cmd_bits(), 0x81, "and SBPB");
}

static void capabilities(void)
{
	u64 all;

	PROCESSOR(0, OLD_BUGS);
	is(kvm_arch_capabilities(), 0, "no register, all faults: nothing");
	PROCESSOR(0, X86_BUG_SPEC_STORE_BYPASS);
	is(kvm_arch_capabilities(), ARCH_CAP_RDCL_NO | ARCH_CAP_MDS_NO | ARCH_CAP_TAA_NO |
	   ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO | ARCH_CAP_ITS_NO, "no register, one fault: the others' NO");
	/* Cascade Lake: RDCL_NO, IBRS_ALL, SKIP_VMENTRY_L1DFLUSH, MDS_NO, TSX_CTRL */
	PROCESSOR(0xab, X86_BUG_SPEC_STORE_BYPASS, X86_BUG_TAA, X86_BUG_GDS, X86_BUG_RFDS,
		  X86_BUG_ITS, X86_FEATURE_RTM);
	is(kvm_arch_capabilities(), 0xab, "Cascade Lake with TSX: TSX_CTRL, not TAA_NO");
	PROCESSOR(0xab, X86_BUG_SPEC_STORE_BYPASS, X86_BUG_TAA, X86_BUG_GDS, X86_BUG_RFDS,
		  X86_BUG_ITS);
	is(kvm_arch_capabilities(), 0x2b, "with TSX switched off: no TSX_CTRL");
	PROCESSOR(ARCH_CAP_GDS_CTRL, OLD_BUGS);
	cpu.msr[1].index = MSR_IA32_MCU_OPT_CTRL;
	is(kvm_arch_capabilities(), ARCH_CAP_GDS_NO, "GDS mitigated by the microcode: GDS_NO, no GDS_CTRL");
	cpu.msr[1].value = GDS_MITG_DIS;
	is(kvm_arch_capabilities(), 0, "GDS's mitigation off: neither");
	PROCESSOR(ARCH_CAP_ITS_NO | ARCH_CAP_BHI_NO | ARCH_CAP_RFDS_CLEAR, OLD_BUGS);
	is(kvm_arch_capabilities(), ARCH_CAP_ITS_NO | ARCH_CAP_BHI_NO | ARCH_CAP_RFDS_CLEAR,
	   "ITS_NO, BHI_NO and RFDS_CLEAR are passed on");
	PROCESSOR(~0ULL, OLD_BUGS);
	all = kvm_arch_capabilities();
	ok(!(all & (ARCH_CAP_FB_CLEAR_CTRL | ARCH_CAP_XAPIC_DISABLE | ARCH_CAP_GDS_CTRL | BIT(10) |
		    BIT(11) | BIT(12) | BIT_ULL(63))), "no control that guests do not have, no unknown bit");
}

int main(void)
{
	controls();
	capabilities();
	printf("1..%d\n", number);
	return failed;
}
