// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: a table of those that are the core's, and the lists
 * and calls of userspace.
 *
 * The table also checks what the vendor keeps in its VMCB or VMCS.  "SDM" is Intel's
 * manual, "APM 2" AMD's second volume.
 */
#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_fpu.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_speculation.h"

#include <linux/export.h>
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/mtrr.h>
#include <asm/nospec-branch.h>
#include <asm/tsc.h>

static bool ignore_msrs;
module_param(ignore_msrs, bool, 0644);
MODULE_PARM_DESC(ignore_msrs, "unknown MSRs read as 0 and writes to them are ignored");

/* What a reset leaves in them. */
#define PAT_RESET		0x0007040600070406ULL	/* SDM 3A "Page Attribute Table (PAT)" */
#define SMBASE_RESET		0x30000
#define MISC_ENABLE_RESET	MSR_IA32_MISC_ENABLE_FAST_STRING

#define MTRRCAP_FIX		BIT(8)
#define MTRRCAP_WC		BIT(10)
#define MTRRCAP			(KVM_NR_VAR_MTRR | MTRRCAP_FIX | MTRRCAP_WC)
#define MTRR_DEF_E		BIT(11)
#define MTRR_DEF_FE		BIT(10)
#define MTRR_MASK_VALID		BIT(11)

/* APM 2 "Hardware Configuration Register (HWCR)" in the processor manuals. */
#define HWCR_TLB_CACHE_DIS	BIT_ULL(3)
#define HWCR_IGNNE_EM		BIT_ULL(6)
#define HWCR_FF_DIS		BIT_ULL(8)
#define HWCR_TSC_FREQ_SEL	BIT_ULL(24)

/* IA32_MISC_ENABLE: all bits that Intel defines, and those that a guest cannot change. */
#define MISC_ENABLE_READ_ONLY	(MSR_IA32_MISC_ENABLE_EMON |		\
				 MSR_IA32_MISC_ENABLE_BTS_UNAVAIL |	\
				 MSR_IA32_MISC_ENABLE_PEBS_UNAVAIL)
#define MISC_ENABLE_DEFINED						\
	(MISC_ENABLE_READ_ONLY |					\
	 MSR_IA32_MISC_ENABLE_FAST_STRING | MSR_IA32_MISC_ENABLE_TCC |	\
	 MSR_IA32_MISC_ENABLE_X87_COMPAT | MSR_IA32_MISC_ENABLE_TM1 |	\
	 MSR_IA32_MISC_ENABLE_SPLIT_LOCK_DISABLE |			\
	 MSR_IA32_MISC_ENABLE_L3CACHE_DISABLE |				\
	 MSR_IA32_MISC_ENABLE_SUPPRESS_LOCK |				\
	 MSR_IA32_MISC_ENABLE_PREFETCH_DISABLE | MSR_IA32_MISC_ENABLE_FERR | \
	 MSR_IA32_MISC_ENABLE_TM2 | MSR_IA32_MISC_ENABLE_ENHANCED_SPEEDSTEP | \
	 MSR_IA32_MISC_ENABLE_MWAIT | MSR_IA32_MISC_ENABLE_ADJ_PREF_DISABLE | \
	 MSR_IA32_MISC_ENABLE_SPEEDSTEP_LOCK | MSR_IA32_MISC_ENABLE_LIMIT_CPUID | \
	 MSR_IA32_MISC_ENABLE_XTPR_DISABLE | MSR_IA32_MISC_ENABLE_L1D_CONTEXT | \
	 MSR_IA32_MISC_ENABLE_XD_DISABLE | MSR_IA32_MISC_ENABLE_DCU_PREF_DISABLE | \
	 MSR_IA32_MISC_ENABLE_TURBO_DISABLE | MSR_IA32_MISC_ENABLE_IP_PREF_DISABLE)

static u64 arch_capabilities __read_mostly;
static u64 ucode_rev __read_mostly;

/*
 * ---- the table ----
 */

/*
 * Consecutive registers of one kind.  Without get or without set they are memory
 * for that direction: a u64 each from offset in struct kvm_vcpu on; valid, where
 * it is given, says which values may be written.
 */
struct msr_row {
	u32 first, last;
	u32 flags;
	u16 features[6];	/* guests with any of these in their CPUID have them; {}: all do */
	size_t offset;
	bool (*valid)(struct kvm_vcpu *vcpu, const struct msr_data *msr);
	int (*get)(struct kvm_vcpu *vcpu, struct msr_data *msr);
	int (*set)(struct kvm_vcpu *vcpu, const struct msr_data *msr);
};

#define ROW_LISTED	BIT(0)	/* in KVM_GET_MSR_INDEX_LIST */
#define ROW_AMD		BIT(1)	/* guests of which CPUID says AMD or Hygon have them */
#define ROW_INTEL	BIT(2)	/* the other guests have them */
#define ROW_GUEST_RO	BIT(3)	/* WRMSR is #GP */
#define ROW_HOST_ONLY	BIT(4)	/* RDMSR and WRMSR are #GP */
#define ROW_VIRTUAL	BIT(5)	/* need nothing of the host: features are the guest's alone */

/* Reads as 0; writes are ignored. */
static int get_zero(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = 0;
	return 0;
}

static int set_ignored(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return 0;
}

static int set_zero_only(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return msr->data ? -EINVAL : 0;
}

static bool valid_zero(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !msr->data;
}

/*
 * ---- memory types: PAT and MTRRs ----
 */

#define MTRR_TYPES	(BIT(MTRR_TYPE_UNCACHABLE) | BIT(MTRR_TYPE_WRCOMB) | \
			 BIT(MTRR_TYPE_WRTHROUGH) | BIT(MTRR_TYPE_WRPROT) | BIT(MTRR_TYPE_WRBACK))
#define PAT_TYPES	(MTRR_TYPES | BIT(7))	/* 7: UC- */

static bool type_in(u8 type, unsigned long types)
{
	return type < 8 && (types & BIT(type));
}

static bool all_types_in(u64 data, unsigned long types)
{
	int i;

	for (i = 0; i < 8; i++, data >>= 8)
		if (!type_in(data, types))
			return false;
	return true;
}

static bool valid_pat(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return all_types_in(msr->data, PAT_TYPES);
}

static bool valid_mtrr_fixed(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return all_types_in(msr->data, MTRR_TYPES);
}

static bool valid_mtrr_def(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~(u64)(MTRR_DEF_E | MTRR_DEF_FE | 0xff)) &&
	       type_in(msr->data, MTRR_TYPES);
}

/* SDM 3A "Variable Range MTRRs": even indices are bases, odd ones masks. */
static bool valid_mtrr_var(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & vcpu->rsvd_gpa_bits)
		return false;
	if (msr->index & 1)
		return !(msr->data & (MTRR_MASK_VALID - 1));
	return !(msr->data & 0xf00) && type_in(msr->data, MTRR_TYPES);
}

/* The hardware may have a copy: ops->update_intercepts. */
static int set_pat(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	vcpu->msr.pat = msr->data;
	if (kvm_guest_caching_matters(vcpu->kvm))
		kvm_make_request(KVM_REQ_INTERCEPTS, vcpu);
	return 0;
}

static int get_mtrrcap(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = MTRRCAP;
	return 0;
}

static int set_mtrrcap(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return msr->data == MTRRCAP ? 0 : -EINVAL;
}

/*
 * ---- the time-stamp counter ----
 */

static int get_tsc(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = kvm_read_guest_tsc(vcpu);
	return 0;
}

/* SDM 3B "IA32_TSC_ADJUST Register Support": the two registers move together. */
static int set_tsc(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	u64 old = vcpu->tsc_offset;

	kvm_write_guest_tsc(vcpu, msr->data, msr->host_initiated);
	if (!msr->host_initiated)
		vcpu->msr.tsc_adjust += vcpu->tsc_offset - old;
	return 0;
}

/* Userspace that restores this register restores the TSC separately. */
static int set_tsc_adjust(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!msr->host_initiated)
		kvm_set_tsc_offset(vcpu, kvm_get_tsc_offset(vcpu) + (msr->data - vcpu->msr.tsc_adjust));
	vcpu->msr.tsc_adjust = msr->data;
	return 0;
}

/*
 * ---- the others ----
 */

static int set_apic_base(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return kvm_set_apic_base(vcpu, msr->data, msr->host_initiated);
}

/*
 * Userspace may save and restore IA32_TSC_DEADLINE even if the guest does not have
 * it, and write its reset value even without a local APIC in the kernel.
 */
static bool has_tscdeadline(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->host_initiated)
		return vcpu->lapic || !msr->data;
	return vcpu->lapic && kvm_guest_has(vcpu, X86_FEATURE_TSC_DEADLINE_TIMER);
}

static int get_tscdeadline(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = 0;
	if (!has_tscdeadline(vcpu, msr))
		return -EINVAL;
	msr->data = kvm_lapic_get_tscdeadline(vcpu);
	return 0;
}

static int set_tscdeadline(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	/* The APIC timer is in TSC-deadline mode only if the guest has the feature. */
	if (likely(kvm_lapic_set_tscdeadline(vcpu, msr->data)))
		return 0;
	if (!has_tscdeadline(vcpu, msr))
		return -EINVAL;
	return 0;
}

static int set_efer(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return kvm_set_efer(vcpu, msr->data, msr->host_initiated) ? -EINVAL : 0;
}

/* Without KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT its MWAIT bit is also CPUID's (cpuid.c). */
static bool valid_misc_enable(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & ~MISC_ENABLE_DEFINED)
		return false;
	return msr->host_initiated ||
	       !((msr->data ^ vcpu->msr.misc_enable) & MISC_ENABLE_READ_ONLY);
}

/* Firmware and systems write 0 before they read the revision (SDM 3A "Microcode Update Facilities"). */
static int set_ucode_rev(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->host_initiated)
		vcpu->msr.ucode_rev = msr->data;
	return 0;
}

/* What a guest may be told.  Where no large page is executable no change of page size is unsafe. */
static u64 guest_arch_capabilities(void)
{
	return arch_capabilities | (kvm_mmu_page_size_safe() ? ARCH_CAP_PSCHANGE_MC_NO : 0);
}

static bool valid_arch_capabilities(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~guest_arch_capabilities());
}

/* No feature that IA32_FEATURE_CONTROL enables is offered, so there is only the lock bit. */
static bool valid_feature_control(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & ~(u64)FEAT_CTL_LOCKED)
		return false;
	return msr->host_initiated || !(vcpu->msr.feature_control & FEAT_CTL_LOCKED);
}

static int get_platform_info(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	if (!msr->host_initiated && vcpu->kvm->no_platform_info)
		return -EINVAL;
	msr->data = vcpu->msr.platform_info;
	return 0;
}

/* Userspace describes the machine; CPUID faulting is not supported. */
static int set_platform_info(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & MSR_PLATFORM_INFO_CPUID_FAULT)
		return -EINVAL;
	vcpu->msr.platform_info = msr->data;
	return 0;
}

/* The bits of workarounds that systems enable are accepted and have no effect. */
static int set_hwcr(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	u64 data = msr->data & ~(HWCR_TLB_CACHE_DIS | HWCR_IGNNE_EM | HWCR_FF_DIS);

	if (data & ~(HWCR_MC_STATUS_WR_EN | HWCR_TSC_FREQ_SEL))
		return -EINVAL;
	vcpu->msr.k7_hwcr = data;
	return 0;
}

/* Machine specifics of a processor that does nothing with them but serialize LFENCE. */
static int get_de_cfg(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = MSR_AMD64_DE_CFG_LFENCE_SERIALIZE;
	return 0;
}

static bool valid_de_cfg(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~MSR_AMD64_DE_CFG_LFENCE_SERIALIZE);
}

/*
 * ---- registers that are switched with the guest ----
 */

/* By the VMCB, the VMCS or the vendor's module, which need not check anything. */
static int get_switched(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = kvm_ops.get_msr(vcpu, msr->index);
	return 0;
}

static int set_switched(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	kvm_ops.set_msr(vcpu, msr->index, msr->data);
	return 0;
}

static bool valid_canonical(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !is_noncanonical(msr->data, vcpu_virt_bits(vcpu));
}

/* AMD's processors have SYSENTER in 32-bit code only and do not check (APM 2 "SYSENTER"). */
static bool valid_sysenter(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return kvm_ops.isa == KVM_ISA_SVM || valid_canonical(vcpu, msr);
}

static bool valid_upper_half_zero(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data >> 32);
}

/* Intel reserves the upper half of IA32_FMASK (SDM 4). */
static bool valid_syscall_mask(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return kvm_ops.isa == KVM_ISA_SVM || valid_upper_half_zero(vcpu, msr);
}

/* Branch recording and stepping by branches are not virtualized: the bits only read back. */
static bool valid_debugctl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~(u64)(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF));
}

static DEFINE_PER_CPU(u32, host_tsc_aux);

/** kvm_save_host_tsc_aux - on each CPU, before guests run on it: the host's never changes */
void kvm_save_host_tsc_aux(void)
{
	u64 aux;

	if (!kvm_ops.has_tsc_aux)
		return;
	rdmsrq(MSR_TSC_AUX, aux);
	__this_cpu_write(host_tsc_aux, aux);
}

/** kvm_load_guest_tsc_aux - the guest's TSC_AUX, which the kernel itself does without, until
 * kvm_put_guest_tsc_aux(); preemption off
 */
void kvm_load_guest_tsc_aux(struct kvm_vcpu *vcpu)
{
	if (!kvm_ops.has_tsc_aux)
		return;
	if ((u32)vcpu->msr.tsc_aux != __this_cpu_read(host_tsc_aux))
		wrmsrq(MSR_TSC_AUX, vcpu->msr.tsc_aux);
	vcpu->tsc_aux_loaded = true;
}
EXPORT_SYMBOL_GPL(kvm_load_guest_tsc_aux);

/** kvm_put_guest_tsc_aux - undo kvm_load_guest_tsc_aux(), if it was done; preemption off */
void kvm_put_guest_tsc_aux(struct kvm_vcpu *vcpu)
{
	if (!vcpu->tsc_aux_loaded)
		return;
	vcpu->tsc_aux_loaded = false;
	if ((u32)vcpu->msr.tsc_aux != __this_cpu_read(host_tsc_aux))
		wrmsrq(MSR_TSC_AUX, __this_cpu_read(host_tsc_aux));
}
EXPORT_SYMBOL_GPL(kvm_put_guest_tsc_aux);

static int set_tsc_aux(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	preempt_disable();
	vcpu->msr.tsc_aux = msr->data;
	if (vcpu->tsc_aux_loaded)
		wrmsrq(MSR_TSC_AUX, msr->data);
	preempt_enable();
	return 0;
}

static u64 spec_ctrl_bits __read_mostly, pred_cmd_bits __read_mostly;	/* what guests may set */

static bool valid_spec_ctrl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~spec_ctrl_bits);
}

/* Once used it is used at every turn of the guest's kernel: no more exits then. */
static int set_spec_ctrl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	vcpu->spec_ctrl.guest = msr->data;
	if (msr->data && !vcpu->spec_ctrl.passthrough) {
		vcpu->spec_ctrl.passthrough = true;
		kvm_make_request(KVM_REQ_INTERCEPTS, vcpu);
	}
	return 0;
}

/* Write-only. */
static int get_pred_cmd(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = 0;
	return msr->host_initiated ? 0 : -EINVAL;
}

static bool valid_pred_cmd(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~pred_cmd_bits);
}

static int set_pred_cmd(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data && !msr->host_initiated)
		wrmsrq(MSR_IA32_PRED_CMD, msr->data);
	return 0;
}

static bool valid_flush_cmd(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~(u64)L1D_FLUSH);
}

static int set_flush_cmd(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data && !msr->host_initiated)
		wrmsrq(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	return 0;
}

/* SDM 4 "IA32_TSX_CTRL": there if ARCH_CAPABILITIES says so. */
static bool has_tsx_ctrl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return (msr->host_initiated ? arch_capabilities : vcpu->msr.arch_capabilities) &
	       ARCH_CAP_TSX_CTRL_MSR;
}

static int get_tsx_ctrl(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = vcpu->msr.tsx_ctrl;
	return msr->host_initiated || has_tsx_ctrl(vcpu, msr) ? 0 : -EINVAL;
}

static int set_tsx_ctrl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!has_tsx_ctrl(vcpu, msr))
		return msr->host_initiated && !msr->data ? 0 : -EINVAL;
	if (msr->data & ~(u64)(TSX_CTRL_RTM_DISABLE | TSX_CTRL_CPUID_CLEAR))
		return -EINVAL;
	vcpu->msr.tsx_ctrl = msr->data;
	kvm_ops.set_msr(vcpu, msr->index, msr->data);
	return 0;
}

/* SDM 4 "IA32_UMWAIT_CONTROL" */
static bool valid_umwait_control(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data >> 32) && !(msr->data & BIT(1));
}

static int set_umwait_control(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	vcpu->msr.umwait_control = msr->data;
	kvm_ops.set_msr(vcpu, msr->index, msr->data);
	return 0;
}

static DEFINE_PER_CPU(u64, last_vcpu);	/* unique_id of the vcpu that ran last */

/** kvm_isolate_predictors - on the way into a vcpu, preemption off: no other's branch predictions.
 * Two guests are no closer to each other than two processes, though both may be one process's.
 */
void kvm_isolate_predictors(struct kvm_vcpu *vcpu)
{
	if (likely(__this_cpu_read(last_vcpu) == vcpu->unique_id))
		return;
	__this_cpu_write(last_vcpu, vcpu->unique_id);
	indirect_branch_prediction_barrier();
}
EXPORT_SYMBOL_GPL(kvm_isolate_predictors);

static bool valid_virt_spec_ctrl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~SPEC_CTRL_SSBD);
}

#define ONE(index)	index, index
#define MEM(field)	.offset = offsetof(struct kvm_vcpu, field)
#define SWITCHED	.get = get_switched, .set = set_switched
#define MCE		.get = kvm_mce_get_msr, .set = kvm_mce_set_msr
#define PV		.get = kvm_pv_get_msr, .set = kvm_pv_set_msr
#define ZERO_ONLY	.get = get_zero, .set = set_zero_only
#define IGNORED		.get = get_zero, .set = set_ignored

/* In order of index. */
static const struct msr_row rows[] = {
	{ ONE(MSR_IA32_TSC), ROW_LISTED, .get = get_tsc, .set = set_tsc },
	{ MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, ROW_LISTED, PV },
	{ ONE(MSR_IA32_PLATFORM_ID), ROW_INTEL | ROW_GUEST_RO, ZERO_ONLY },
	{ ONE(MSR_IA32_APICBASE), MEM(apic_base), .set = set_apic_base },
	{ ONE(MSR_IA32_EBL_CR_POWERON), ROW_INTEL, ZERO_ONLY },
	{ ONE(MSR_IA32_FEAT_CTL), ROW_INTEL,
	  MEM(msr.feature_control), .valid = valid_feature_control },
	{ ONE(MSR_IA32_TSC_ADJUST), ROW_LISTED, { X86_FEATURE_TSC_ADJUST },
	  MEM(msr.tsc_adjust), .set = set_tsc_adjust },
	{ ONE(MSR_IA32_SPEC_CTRL), ROW_LISTED,
	  { X86_FEATURE_SPEC_CTRL, X86_FEATURE_INTEL_STIBP, X86_FEATURE_SPEC_CTRL_SSBD,
	    X86_FEATURE_AMD_IBRS, X86_FEATURE_AMD_STIBP, X86_FEATURE_AMD_SSBD },
	  MEM(spec_ctrl.guest), .valid = valid_spec_ctrl, .set = set_spec_ctrl },
	{ ONE(MSR_IA32_PRED_CMD), 0, { X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBPB },
	  .valid = valid_pred_cmd, .get = get_pred_cmd, .set = set_pred_cmd },
	{ ONE(MSR_IA32_UCODE_REV), ROW_LISTED, MEM(msr.ucode_rev), .set = set_ucode_rev },
	{ ONE(MSR_IA32_SMBASE), ROW_HOST_ONLY, MEM(msr.smbase) },
	{ ONE(MSR_PLATFORM_INFO), ROW_GUEST_RO,
	  .get = get_platform_info, .set = set_platform_info },
	{ ONE(MSR_IA32_UMWAIT_CONTROL), ROW_LISTED, { X86_FEATURE_WAITPKG },
	  MEM(msr.umwait_control), .valid = valid_umwait_control, .set = set_umwait_control },
	{ ONE(MSR_MTRRcap), ROW_GUEST_RO, .get = get_mtrrcap, .set = set_mtrrcap },
	{ ONE(MSR_IA32_ARCH_CAPABILITIES),
	  ROW_LISTED | ROW_GUEST_RO, { X86_FEATURE_ARCH_CAPABILITIES },
	  MEM(msr.arch_capabilities), .valid = valid_arch_capabilities },
	{ ONE(MSR_IA32_FLUSH_CMD), 0, { X86_FEATURE_FLUSH_L1D },
	  .valid = valid_flush_cmd, .get = get_pred_cmd, .set = set_flush_cmd },
	{ ONE(MSR_IA32_TSX_CTRL), ROW_LISTED | ROW_INTEL, { X86_FEATURE_ARCH_CAPABILITIES },
	  .get = get_tsx_ctrl, .set = set_tsx_ctrl },
	{ ONE(MSR_MISC_FEATURES_ENABLES), ROW_INTEL,
	  MEM(msr.misc_features), .valid = valid_zero },
	{ ONE(MSR_IA32_SYSENTER_CS), ROW_LISTED, SWITCHED },
	{ MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, ROW_LISTED,
	  .valid = valid_sysenter, SWITCHED },
	{ ONE(MSR_IA32_MCG_CAP), ROW_GUEST_RO, MCE },
	{ ONE(MSR_IA32_MCG_STATUS), ROW_LISTED, MCE },
	{ ONE(MSR_IA32_MCG_CTL), MCE },
	{ ONE(MSR_IA32_MISC_ENABLE), ROW_LISTED,
	  MEM(msr.misc_enable), .valid = valid_misc_enable },
	{ ONE(MSR_IA32_DEBUGCTLMSR), MEM(msr.debugctl), .valid = valid_debugctl },
	{ MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, ROW_AMD, ZERO_ONLY },
	/* Power management is the host's: the guest's value has no effect. */
	{ MSR_IA32_XFD, MSR_IA32_XFD_ERR, ROW_LISTED, { X86_FEATURE_XFD },
	  .get = kvm_get_xfd_msr, .set = kvm_set_xfd_msr },
	{ ONE(MSR_IA32_POWER_CTL), ROW_LISTED, MEM(msr.power_ctl) },
	{ MTRRphysBase_MSR(0), MTRRphysMask_MSR(KVM_NR_VAR_MTRR - 1), ROW_LISTED,
	  MEM(msr.mtrr_var), .valid = valid_mtrr_var },
	{ ONE(MSR_MTRRfix64K_00000), ROW_LISTED,
	  MEM(msr.mtrr_fixed[0]), .valid = valid_mtrr_fixed },
	{ MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, ROW_LISTED,
	  MEM(msr.mtrr_fixed[1]), .valid = valid_mtrr_fixed },
	{ MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000, ROW_LISTED,
	  MEM(msr.mtrr_fixed[3]), .valid = valid_mtrr_fixed },
	{ ONE(MSR_IA32_CR_PAT), ROW_LISTED, MEM(msr.pat), .valid = valid_pat, .set = set_pat },
	{ ONE(MSR_MTRRdefType), ROW_LISTED, MEM(msr.mtrr_def_type), .valid = valid_mtrr_def },
	{ MSR_IA32_MC0_CTL, MSR_IA32_MCx_MISC(KVM_NR_MCE_BANKS - 1), MCE },
	/* These two are written by kvm_set_msr() itself. */
	{ ONE(MSR_IA32_TSC_DEADLINE), ROW_LISTED,
	  .get = get_tscdeadline, .set = set_tscdeadline },
	{ APIC_BASE_MSR, APIC_BASE_MSR + 0xff, .get = kvm_x2apic_read, .set = kvm_x2apic_write },
	{ ONE(MSR_IA32_XSS), ROW_LISTED, { X86_FEATURE_XSAVES }, MEM(xss), .valid = valid_zero },
	{ MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_MIGRATION_CONTROL, ROW_LISTED, PV },
	{ ONE(MSR_EFER), MEM(efer), .set = set_efer },
	{ ONE(MSR_STAR), ROW_LISTED, SWITCHED },
	{ MSR_LSTAR, MSR_CSTAR, ROW_LISTED, .valid = valid_canonical, SWITCHED },
	{ ONE(MSR_SYSCALL_MASK), ROW_LISTED, .valid = valid_syscall_mask, SWITCHED },
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, ROW_LISTED, .valid = valid_canonical, SWITCHED },
	{ ONE(MSR_TSC_AUX), ROW_LISTED, { X86_FEATURE_RDTSCP, X86_FEATURE_RDPID },
	  MEM(msr.tsc_aux), .valid = valid_upper_half_zero, .set = set_tsc_aux },
	/* Performance counters that count nothing. */
	{ MSR_K7_EVNTSEL0, MSR_K7_PERFCTR3, ROW_AMD, ZERO_ONLY },
	/* This, and VM_CR and VM_HSAVE_PA: a machine without memory encryption or SVM. */
	{ ONE(MSR_AMD64_SYSCFG), ROW_AMD, ZERO_ONLY },
	{ ONE(MSR_K7_HWCR), ROW_LISTED | ROW_AMD, MEM(msr.k7_hwcr), .set = set_hwcr },
	/* Configuration of the host's chipset and workarounds, which the guest does not get at. */
	{ ONE(MSR_AMD64_NB_CFG), ROW_AMD, IGNORED },
	{ ONE(MSR_AMD64_PATCH_LOADER), ROW_AMD, IGNORED },
	{ ONE(MSR_K8_INT_PENDING_MSG), ROW_AMD, IGNORED },
	{ ONE(MSR_FAM10H_MMIO_CONF_BASE), ROW_AMD, ZERO_ONLY },
	{ ONE(MSR_VM_CR), ROW_AMD, ZERO_ONLY },
	{ ONE(MSR_VM_HSAVE_PA), ROW_AMD, ZERO_ONLY },
	{ ONE(MSR_AMD64_VIRT_SPEC_CTRL), ROW_LISTED | ROW_AMD,
	  { X86_FEATURE_VIRT_SSBD }, MEM(msr.virt_spec_ctrl), .valid = valid_virt_spec_ctrl },
	/* OS-visible workarounds: none is needed, of all that have a number. */
	{ ONE(MSR_AMD64_OSVW_ID_LENGTH),
	  ROW_LISTED | ROW_AMD | ROW_GUEST_RO | ROW_VIRTUAL, { X86_FEATURE_OSVW }, MEM(msr.osvw_length) },
	{ ONE(MSR_AMD64_OSVW_STATUS),
	  ROW_LISTED | ROW_AMD | ROW_GUEST_RO | ROW_VIRTUAL, { X86_FEATURE_OSVW }, MEM(msr.osvw_status) },
	{ MSR_F15H_IC_CFG, MSR_AMD64_DC_CFG, ROW_AMD, IGNORED },
	{ ONE(MSR_AMD64_DE_CFG), ROW_AMD,
	  .valid = valid_de_cfg, .get = get_de_cfg, .set = set_ignored },
	{ ONE(MSR_AMD64_BU_CFG2), ROW_AMD, IGNORED },
};

static_assert(MSR_F15H_IC_CFG + 1 == MSR_AMD64_DC_CFG);
static_assert(sizeof_field(struct kvm_vcpu, msr.mtrr_var) == 2 * KVM_NR_VAR_MTRR * sizeof(u64));

static_assert(MSR_IA32_XFD + 1 == MSR_IA32_XFD_ERR);
static_assert(MSR_LSTAR + 1 == MSR_CSTAR);
static_assert(MSR_FS_BASE + 2 == MSR_KERNEL_GS_BASE);

/* Does the guest, or without one what we support, have one of the row's features? */
static bool has_feature(struct kvm_vcpu *vcpu, const struct msr_row *row)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(row->features) && row->features[i]; i++)
		if (vcpu ? kvm_guest_has(vcpu, row->features[i]) :
			   kvm_cpu_cap_has(row->features[i]))
			return true;
	return !row->features[0];
}

/* Can this host have the row's registers?  Which vendor's a guest has, its CPUID says. */
static bool row_exists(const struct msr_row *row)
{
	return (row->flags & ROW_VIRTUAL) || has_feature(NULL, row);
}

static const struct msr_row *find_row(u32 index)
{
	unsigned int low = 0, high = ARRAY_SIZE(rows);

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (index > rows[mid].last)
			low = mid + 1;
		else if (index < rows[mid].first)
			high = mid;
		else
			return row_exists(&rows[mid]) ? &rows[mid] : NULL;
	}
	return NULL;
}

/* The row that the vcpu used last is tried first: guests use few of those that exit. */
static const struct msr_row *find_row_of(struct kvm_vcpu *vcpu, u32 index)
{
	const struct msr_row *row = vcpu->msr_row;

	if (likely(row && index >= row->first && index <= row->last))
		return row;
	row = find_row(index);
	if (row)
		vcpu->msr_row = row;
	return row;
}

/* Userspace may also access registers that the guest's CPUID hides, or the other vendor's. */
static bool accessible(struct kvm_vcpu *vcpu, const struct msr_row *row,
		       const struct msr_data *msr, bool write)
{
	if (msr->host_initiated)
		return true;
	if ((row->flags & ROW_HOST_ONLY) || (write && (row->flags & ROW_GUEST_RO)))
		return false;
	if (row->flags & (vcpu->guest_caps & KVM_GUEST_IS_AMD ? ROW_INTEL : ROW_AMD))
		return false;
	return has_feature(vcpu, row);
}

static u64 *row_memory(struct kvm_vcpu *vcpu, const struct msr_row *row, u32 index)
{
	u32 i = 0;

	if (row->first != row->last)
		i = array_index_nospec(index - row->first, row->last - row->first + 1);
	return (u64 *)((char *)vcpu + row->offset) + i;
}

/** kvm_get_msr - RDMSR, KVM_GET_MSRS: 0, -ENOENT: no such register, -EINVAL: not for this guest */
int kvm_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const struct msr_row *row = find_row_of(vcpu, msr->index);

	if (!row) {
		msr->data = 0;
		return READ_ONCE(ignore_msrs) ? 0 : -ENOENT;
	}
	if (!accessible(vcpu, row, msr, false))
		return -EINVAL;
	if (row->get)
		return row->get(vcpu, msr);
	msr->data = *row_memory(vcpu, row, msr->index);
	return 0;
}

/** kvm_set_msr - WRMSR, or KVM_SET_MSRS: 0, or -EINVAL, -ENOENT with nothing changed */
int kvm_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const struct msr_row *row;

	/* First those that guests write at every interrupt. */
	if (msr->index - APIC_BASE_MSR < 0x100)
		return kvm_x2apic_write(vcpu, msr);
	if (msr->index == MSR_IA32_TSC_DEADLINE)
		return set_tscdeadline(vcpu, msr);
	row = find_row_of(vcpu, msr->index);
	if (!row)
		return READ_ONCE(ignore_msrs) ? 0 : -ENOENT;
	if (!accessible(vcpu, row, msr, true))
		return -EINVAL;
	if (row->valid && !row->valid(vcpu, msr))
		return -EINVAL;
	if (row->set)
		return row->set(vcpu, msr);
	*row_memory(vcpu, row, msr->index) = msr->data;
	return 0;
}

/*
 * ---- lists, and the calls of userspace ----
 */

static u32 index_list[128] __read_mostly;
static u32 nr_indices __read_mostly;
static u32 feature_list[2] __read_mostly;
static u32 nr_features __read_mostly;

static void list_index(u32 index)
{
	if (nr_indices < ARRAY_SIZE(index_list))
		index_list[nr_indices++] = index;
}

static void make_lists(void)
{
	u32 index;
	int i;

	nr_indices = nr_features = 0;
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(rows[i].flags & ROW_LISTED) || !row_exists(&rows[i]))
			continue;
		for (index = rows[i].first; index <= rows[i].last; index++)
			list_index(index);
	}
	feature_list[nr_features++] = MSR_IA32_UCODE_REV;
	if (kvm_cpu_cap_has(X86_FEATURE_ARCH_CAPABILITIES))
		feature_list[nr_features++] = MSR_IA32_ARCH_CAPABILITIES;
}

/** kvm_msr_module_init - list the MSRs; after hardware_setup and kvm_cpuid_module_init() */
void kvm_msr_module_init(void)
{
	arch_capabilities = kvm_arch_capabilities();
	spec_ctrl_bits = kvm_spec_ctrl_bits();
	pred_cmd_bits = kvm_pred_cmd_bits();
	ucode_rev = (u64)boot_cpu_data.microcode << kvm_ops.microcode_shift;
	make_lists();
}

static long copy_list(struct kvm_msr_list __user *list, const u32 *indices, u32 n)
{
	u32 room;

	if (get_user(room, &list->nmsrs) || put_user(n, &list->nmsrs))
		return -EFAULT;
	if (room < n)
		return -E2BIG;
	return copy_to_user(list->indices, indices, n * sizeof(*indices)) ? -EFAULT : 0;
}

/** kvm_get_msr_index_list - KVM_GET_MSR_INDEX_LIST: 0, -E2BIG with the number in nmsrs, -EFAULT */
long kvm_get_msr_index_list(struct kvm_msr_list __user *list)
{
	return copy_list(list, index_list, nr_indices);
}

/** kvm_get_msr_feature_index_list - KVM_GET_MSR_FEATURE_INDEX_LIST: likewise */
long kvm_get_msr_feature_index_list(struct kvm_msr_list __user *list)
{
	return copy_list(list, feature_list, nr_features);
}

static int get_one(struct kvm_vcpu *vcpu, struct kvm_msr_entry *entry)
{
	struct msr_data msr = { .host_initiated = true, .index = entry->index };
	int r = kvm_get_msr(vcpu, &msr);

	if (!r)
		entry->data = msr.data;
	return r;
}

static int set_one(struct kvm_vcpu *vcpu, struct kvm_msr_entry *entry)
{
	struct msr_data msr = {
		.host_initiated = true, .index = entry->index, .data = entry->data,
	};

	return kvm_set_msr(vcpu, &msr);
}

/* The system's KVM_GET_MSRS: the MSRs that describe features, as the host supports them. */
static int get_feature(struct kvm_vcpu *unused, struct kvm_msr_entry *entry)
{
	switch (entry->index) {
	case MSR_IA32_UCODE_REV:
		entry->data = ucode_rev;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		if (!kvm_cpu_cap_has(X86_FEATURE_ARCH_CAPABILITIES))
			return -EINVAL;
		entry->data = guest_arch_capabilities();
		return 0;
	default:
		return -EINVAL;
	}
}

/*
 * Entry by entry up to the first that fails.  Returns how many succeeded, -E2BIG,
 * -EFAULT or -ENOMEM.
 */
static long for_each_entry(struct kvm_vcpu *vcpu, struct kvm_msrs __user *user, bool write_back,
			   int (*one)(struct kvm_vcpu *vcpu, struct kvm_msr_entry *entry))
{
	struct kvm_msr_entry *entries;
	struct kvm_msrs head;
	size_t size;
	u32 i;

	if (copy_from_user(&head, user, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs > KVM_MAX_MSR_ENTRIES)
		return -E2BIG;
	if (!head.nmsrs)
		return 0;
	size = array_size(head.nmsrs, sizeof(*entries));
	entries = memdup_user(user->entries, size);
	if (IS_ERR(entries))
		return PTR_ERR(entries);
	for (i = 0; i < head.nmsrs; i++)
		if (one(vcpu, &entries[i]))
			break;
	if (write_back && copy_to_user(user->entries, entries, size)) {
		kfree(entries);
		return -EFAULT;
	}
	kfree(entries);
	return i;
}

/** kvm_dev_get_msrs - KVM_GET_MSRS of /dev/kvm: the number read, -E2BIG, -EFAULT, -ENOMEM */
long kvm_dev_get_msrs(struct kvm_msrs __user *msrs)
{
	return for_each_entry(NULL, msrs, true, get_feature);
}

/** kvm_vcpu_get_msrs - KVM_GET_MSRS: the number read, -E2BIG, -EFAULT, -ENOMEM */
long kvm_vcpu_get_msrs(struct kvm_vcpu *vcpu, struct kvm_msrs __user *msrs)
{
	return for_each_entry(vcpu, msrs, true, get_one);
}

/** kvm_vcpu_set_msrs - KVM_SET_MSRS: the number written, -E2BIG, -EFAULT, -ENOMEM */
long kvm_vcpu_set_msrs(struct kvm_vcpu *vcpu, struct kvm_msrs __user *msrs)
{
	return for_each_entry(vcpu, msrs, false, set_one);
}

/*
 * ---- KVM_GET_ONE_REG, KVM_SET_ONE_REG ----
 *
 * MSRs, whose ids have the index in the lower half.  The one register that has no
 * MSR is the shadow stack's pointer, and guests have no shadow stacks (cpuid.c).
 */

static bool is_msr_id(u64 id)
{
	return id == KVM_X86_REG_MSR((u32)id);
}

/** kvm_vcpu_get_one_reg - KVM_GET_ONE_REG: 0, -EFAULT, -EINVAL for what does not exist */
long kvm_vcpu_get_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg)
{
	struct kvm_msr_entry entry = { .index = (u32)reg->id };

	if (!is_msr_id(reg->id) || get_one(vcpu, &entry))
		return -EINVAL;
	return put_user(entry.data, (u64 __user *)(unsigned long)reg->addr);
}

/** kvm_vcpu_set_one_reg - KVM_SET_ONE_REG: likewise, and -EINVAL for a value that is refused */
long kvm_vcpu_set_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg)
{
	struct kvm_msr_entry entry = { .index = (u32)reg->id };

	if (!is_msr_id(reg->id))
		return -EINVAL;
	if (get_user(entry.data, (u64 __user *)(unsigned long)reg->addr))
		return -EFAULT;
	return set_one(vcpu, &entry) ? -EINVAL : 0;
}

/*
 * ---- creation and reset ----
 */

/** kvm_msr_create - a new vcpu's MSRs, as far as RESET does not set them */
void kvm_msr_create(struct kvm_vcpu *vcpu)
{
	static atomic64_t ids = ATOMIC64_INIT(0);

	vcpu->unique_id = atomic64_inc_return(&ids);
	vcpu->msr.mcg_cap = KVM_NR_MCE_BANKS;
	vcpu->msr.ucode_rev = ucode_rev;
	vcpu->msr.arch_capabilities = guest_arch_capabilities();
	/* So many errata have numbers. */
	vcpu->msr.osvw_length = 4;
	vcpu->virtual_tsc_khz = tsc_khz;
}

/** kvm_msr_reset - MSRs after RESET or INIT, which leaves the architectural ones as they are.
 * SDM 3A "Processor State After Reset".  Machine-check banks survive both; asynchronous page
 * faults are switched off by both.
 */
void kvm_msr_reset(struct kvm_vcpu *vcpu, bool init_event)
{
	kvm_async_pf_reset(vcpu);
	if (init_event)
		return;
	vcpu->msr.pat = PAT_RESET;
	vcpu->msr.mtrr_def_type = 0;
	memset(vcpu->msr.mtrr_fixed, 0, sizeof(vcpu->msr.mtrr_fixed));
	memset(vcpu->msr.mtrr_var, 0, sizeof(vcpu->msr.mtrr_var));
	vcpu->msr.misc_enable = MISC_ENABLE_RESET;
	vcpu->msr.tsc_adjust = 0;
	vcpu->msr.smbase = SMBASE_RESET;
	vcpu->msr.feature_control = 0;
	vcpu->msr.mcg_status = 0;
	vcpu->msr.k7_hwcr = 0;
	vcpu->msr.misc_features = 0;
	vcpu->msr.power_ctl = 0;
	vcpu->msr.debugctl = 0;
	vcpu->msr.tsx_ctrl = 0;
	vcpu->msr.umwait_control = 0;
	vcpu->msr.virt_spec_ctrl = 0;
	vcpu->spec_ctrl.guest = 0;
	vcpu->spec_ctrl.passthrough = false;
	kvm_pv_reset(vcpu);
	vcpu->xss = 0;
	kvm_tsc_reset(vcpu);
}
