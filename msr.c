// SPDX-License-Identifier: GPL-2.0-only
/*
 * Model-specific registers: a table of those that are the core's, the lists
 * and calls of userspace, the guest's time-stamp counter, machine checks.
 *
 * The table also checks what is the vendor's, as it lives in the VMCB or VMCS.  "SDM" is Intel's manual, "APM 2" AMD's second volume.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_events.h"
#include "kvm_lapic.h"
#include "kvm_msr.h"
#include "kvm_pv.h"
#include "kvm_regs.h"

#include <linux/export.h>
#include <linux/kvm_para.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr.h>
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
#define MSR_MTRR_VAR_FIRST	0x200
#define MSR_MTRR_VAR_LAST	(MSR_MTRR_VAR_FIRST + 2 * KVM_NR_VAR_MTRR - 1)

/* APM 2 "Hardware Configuration Register (HWCR)" in the processor manuals. */
#define HWCR_TLB_CACHE_DIS	BIT_ULL(3)
#define HWCR_IGNNE_EM		BIT_ULL(6)
#define HWCR_FF_DIS		BIT_ULL(8)
#define HWCR_MC_STATUS_WR_EN	BIT_ULL(18)
#define HWCR_TSC_FREQ_SEL	BIT_ULL(24)

/* Of MISC_ENABLE: all that Intel defines, and what only firmware's setting changes. */
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

/* What of the host's ARCH_CAPABILITIES is as true for a guest: nothing that is a control. */
#define ARCH_CAP_FOR_GUESTS						\
	(ARCH_CAP_RDCL_NO | ARCH_CAP_IBRS_ALL | ARCH_CAP_RSBA |		\
	 ARCH_CAP_SKIP_VMENTRY_L1DFLUSH | ARCH_CAP_SSB_NO |		\
	 ARCH_CAP_MDS_NO | ARCH_CAP_PSCHANGE_MC_NO | ARCH_CAP_TAA_NO |	\
	 ARCH_CAP_SBDR_SSDP_NO | ARCH_CAP_FBSDP_NO | ARCH_CAP_PSDP_NO |	\
	 ARCH_CAP_FB_CLEAR | ARCH_CAP_RRSBA | ARCH_CAP_BHI_NO |		\
	 ARCH_CAP_PBRSB_NO | ARCH_CAP_GDS_NO | ARCH_CAP_RFDS_NO |	\
	 ARCH_CAP_RFDS_CLEAR)

static u64 arch_capabilities __read_mostly;	/* 0: no such register */
static u64 ucode_rev __read_mostly;

/*
 * ---- the table ----
 */

/*
 * Consecutive registers of one kind.  Without get, set they are memory: an u64
 * each from offset in struct kvm_vcpu on.  valid, if there, guards what is written.
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
#define ROW_AMD		BIT(1)	/* on AMD's and Hygon's processors only */
#define ROW_INTEL	BIT(2)	/* not on those */
#define ROW_GUEST_RO	BIT(3)	/* WRMSR is #GP */
#define ROW_HOST_ONLY	BIT(4)	/* RDMSR and WRMSR are #GP */

/* Read as 0; what is written is forgotten. */
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

#define MEMTYPE_UC	0
#define MEMTYPE_WC	1
#define MEMTYPE_WT	4
#define MEMTYPE_WP	5
#define MEMTYPE_WB	6
#define MEMTYPE_UC_MINUS 7	/* PAT only */

#define MTRR_TYPES	(BIT(MEMTYPE_UC) | BIT(MEMTYPE_WC) | BIT(MEMTYPE_WT) | \
			 BIT(MEMTYPE_WP) | BIT(MEMTYPE_WB))
#define PAT_TYPES	(MTRR_TYPES | BIT(MEMTYPE_UC_MINUS))

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

u64 kvm_read_guest_tsc(struct kvm_vcpu *vcpu)
{
	return rdtsc() + vcpu->tsc_offset;
}

void kvm_set_tsc_offset(struct kvm_vcpu *vcpu, u64 offset)
{
	vcpu->tsc_offset = offset;
	kvm_ops.set_tsc_offset(vcpu, offset);
	kvm_clock_tsc_written(vcpu);
}

/* Would data, now, be within a second of what the last write of the VM has become? */
static bool continues_last_write(struct kvm *kvm, u64 data, u64 now)
{
	u64 ticks = mul_u64_u32_div(now - kvm->tsc_write_ns, tsc_khz, USEC_PER_SEC);
	s64 distance = data - (kvm->tsc_write_data + ticks);
	s64 second = (s64)tsc_khz * MSEC_PER_SEC;

	return kvm->tsc_write_ns && distance > -second && distance < second;
}

/**
 * kvm_write_guest_tsc - the guest's TSC becomes a value
 * @vcpu: the vcpu, loaded
 * @tsc: the value, as of now
 * @host_initiated: KVM_SET_MSRS, or the vcpu's creation
 *
 * Userspace writes the same value to all vcpus of a VM, one after the other,
 * and means that they shall count alike: a write that is close to what another
 * vcpu's last one has become takes that one's offset.  A vcpu that has that
 * offset already is set anew.  The guest gets what it writes.
 */
void kvm_write_guest_tsc(struct kvm_vcpu *vcpu, u64 tsc, bool host_initiated)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long flags;
	u64 offset, now;

	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	offset = tsc - rdtsc();
	if (host_initiated) {
		now = ktime_get_ns();
		if (vcpu->tsc_offset != kvm->tsc_write_offset &&
		    continues_last_write(kvm, tsc, now)) {
			offset = kvm->tsc_write_offset;
		} else {
			kvm->tsc_write_data = tsc;
			kvm->tsc_write_ns = now;
			kvm->tsc_write_offset = offset;
		}
	}
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	kvm_set_tsc_offset(vcpu, offset);
}

/* A new vcpu counts as the VM's others do; the first from 0. */
static void reset_tsc(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long flags;
	bool first;

	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	first = !kvm->tsc_write_ns;
	vcpu->tsc_offset = kvm->tsc_write_offset;
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	if (first)
		kvm_write_guest_tsc(vcpu, 0, true);
	else
		kvm_set_tsc_offset(vcpu, vcpu->tsc_offset);
}

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

static int get_tsc_adjust(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = vcpu->msr.tsc_adjust;
	return 0;
}

/* Userspace that restores it restores the TSC itself. */
static int set_tsc_adjust(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!msr->host_initiated)
		kvm_set_tsc_offset(vcpu, vcpu->tsc_offset + (msr->data - vcpu->msr.tsc_adjust));
	vcpu->msr.tsc_adjust = msr->data;
	return 0;
}

/*
 * ---- machine checks ----
 */

/* Of 4 registers a bank, in vcpu->msr.mce_banks. */
enum { MCI_CTL, MCI_STATUS, MCI_ADDR, MCI_MISC, MCI_NR };

#define MCG_STATUS_DEFINED \
	(MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP | MCG_STATUS_LMCES)

static u32 nr_mce_banks(struct kvm_vcpu *vcpu)
{
	return vcpu->msr.mcg_cap & MCG_BANKCNT_MASK;
}

u64 kvm_mce_cap_supported(void)
{
	return MCG_CTL_P | MCG_SER_P;
}

/* KVM_X86_SETUP_MCE: how many banks, and which of the capabilities. */
long kvm_vcpu_setup_mce(struct kvm_vcpu *vcpu, u64 mcg_cap)
{
	u32 banks = mcg_cap & MCG_BANKCNT_MASK, i;

	if (!banks || banks > KVM_NR_MCE_BANKS)
		return -EINVAL;
	if (mcg_cap & ~(kvm_mce_cap_supported() | MCG_BANKCNT_MASK))
		return -EINVAL;
	vcpu->msr.mcg_cap = mcg_cap;
	if (mcg_cap & MCG_CTL_P)
		vcpu->msr.mcg_ctl = ~0ULL;
	for (i = 0; i < banks; i++)
		vcpu->msr.mce_banks[MCI_NR * i + MCI_CTL] = ~0ULL;
	return 0;
}

/* Is an uncorrected error of this bank reported at all? */
static bool mce_reported(struct kvm_vcpu *vcpu, const u64 *bank)
{
	if ((vcpu->msr.mcg_cap & MCG_CTL_P) && vcpu->msr.mcg_ctl != ~0ULL)
		return false;
	return bank[MCI_CTL] == ~0ULL;
}

static void log_mce(u64 *bank, const struct kvm_x86_mce *mce, bool overflow)
{
	bank[MCI_STATUS] = mce->status | (overflow ? MCI_STATUS_OVER : 0);
	bank[MCI_ADDR] = mce->addr;
	bank[MCI_MISC] = mce->misc;
}

/*
 * KVM_X86_SET_MCE: an error, as the hardware would log it and report it (SDM
 * 3B "Machine-Check Architecture").
 */
long kvm_vcpu_set_mce(struct kvm_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	bool logged;
	u64 *bank;

	if (mce->bank >= nr_mce_banks(vcpu) || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = &vcpu->msr.mce_banks[MCI_NR * mce->bank];
	logged = bank[MCI_STATUS] & MCI_STATUS_VAL;

	if (!(mce->status & MCI_STATUS_UC)) {
		/* What is uncorrected is not overwritten by what is corrected. */
		if (logged && (bank[MCI_STATUS] & MCI_STATUS_UC))
			bank[MCI_STATUS] |= MCI_STATUS_OVER;
		else
			log_mce(bank, mce, logged);
		return 0;
	}
	if (!mce_reported(vcpu, bank))
		return 0;
	/* One that comes while another is handled, or cannot be: shutdown. */
	if ((vcpu->msr.mcg_status & MCG_STATUS_MCIP) || !(kvm_read_cr4(vcpu) & X86_CR4_MCE)) {
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return 0;
	}
	log_mce(bank, mce, logged);
	vcpu->msr.mcg_status = mce->mcg_status;
	kvm_queue_exception(vcpu, X86_TRAP_MC);
	return 0;
}

static int get_mcg_ctl(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	if (!(vcpu->msr.mcg_cap & MCG_CTL_P))
		return -EINVAL;
	msr->data = vcpu->msr.mcg_ctl;
	return 0;
}

static int set_mcg_ctl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!(vcpu->msr.mcg_cap & MCG_CTL_P))
		return -EINVAL;
	if (msr->data && msr->data != ~0ULL)
		return -EINVAL;
	vcpu->msr.mcg_ctl = msr->data;
	return 0;
}

/* KVM_X86_SETUP_MCE sets it; what was read may be written back. */
static bool valid_mcg_cap(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return msr->data == vcpu->msr.mcg_cap;
}

static bool valid_mcg_status(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~MCG_STATUS_DEFINED);
}

static u64 *mce_register(struct kvm_vcpu *vcpu, u32 index)
{
	u32 i = index - MSR_IA32_MC0_CTL;

	return i < MCI_NR * nr_mce_banks(vcpu) ? &vcpu->msr.mce_banks[i] : NULL;
}

static int get_mce_bank(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const u64 *reg = mce_register(vcpu, msr->index);

	if (!reg)
		return -EINVAL;
	msr->data = *reg;
	return 0;
}

/* A guest may only clear a status, unless HWCR says otherwise; CTL may have holes. */
static int set_mce_bank(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	bool status = (msr->index - MSR_IA32_MC0_CTL) % MCI_NR == MCI_STATUS;
	u64 *reg = mce_register(vcpu, msr->index);

	if (!reg)
		return -EINVAL;
	if (status && msr->data && !msr->host_initiated &&
	    !(vcpu->msr.k7_hwcr & HWCR_MC_STATUS_WR_EN))
		return -EINVAL;
	*reg = msr->data;
	return 0;
}

/*
 * ---- the others ----
 */

/* Without a controller in the kernel there is no x2APIC mode; nor is it one that is off. */
bool kvm_apic_base_valid(struct kvm_vcpu *vcpu, u64 base)
{
	u64 flags = MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_BSP;

	if (vcpu->lapic && (base & MSR_IA32_APICBASE_ENABLE) &&
	    kvm_guest_has(vcpu, X86_FEATURE_X2APIC))
		flags |= X2APIC_ENABLE;
	return !(base & vcpu->rsvd_gpa_bits) && !(base & ~PAGE_MASK & ~flags);
}

/** kvm_set_apic_base - 0, or -EINVAL with nothing changed */
int kvm_set_apic_base(struct kvm_vcpu *vcpu, u64 base, bool host_initiated)
{
	if (!kvm_apic_base_valid(vcpu, base))
		return -EINVAL;
	if (vcpu->lapic)
		return kvm_lapic_set_base(vcpu, base, host_initiated);
	vcpu->apic_base = base;
	return 0;
}

static int get_apic_base(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = vcpu->apic_base;
	return 0;
}

static int set_apic_base(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return kvm_set_apic_base(vcpu, msr->data, msr->host_initiated);
}

/*
 * Userspace may save and restore it where the guest has no such timer, and
 * without a controller in the kernel write its reset value.
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
	/* The timer's mode is only there with the feature. */
	if (likely(kvm_lapic_set_tscdeadline(vcpu, msr->data)))
		return 0;
	if (!has_tscdeadline(vcpu, msr))
		return -EINVAL;
	return 0;
}

static int get_efer(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = vcpu->efer;
	return 0;
}

static int set_efer(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return kvm_set_efer(vcpu, msr->data, msr->host_initiated) ? -EINVAL : 0;
}

/* The MWAIT bit is CPUID's, too (cpuid.c), where that quirk is off. */
static bool valid_misc_enable(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & ~MISC_ENABLE_DEFINED)
		return false;
	return msr->host_initiated ||
	       !((msr->data ^ vcpu->msr.misc_enable) & MISC_ENABLE_READ_ONLY);
}

/* Written by BIOSes and systems before they ask for the revision: forgotten. */
static int get_ucode_rev(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = vcpu->msr.ucode_rev;
	return 0;
}

static int set_ucode_rev(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->host_initiated)
		vcpu->msr.ucode_rev = msr->data;
	return 0;
}

static bool valid_arch_capabilities(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~arch_capabilities);
}

/* Nothing that it could enable is offered; once locked it stays. */
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

/* What userspace says of the machine; there is no CPUID faulting. */
static int set_platform_info(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & MSR_PLATFORM_INFO_CPUID_FAULT)
		return -EINVAL;
	vcpu->msr.platform_info = msr->data;
	return 0;
}

static int get_hwcr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	msr->data = vcpu->msr.k7_hwcr;
	return 0;
}

/* Workarounds that systems switch on are accepted, and not needed here. */
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
	rdmsrl(MSR_TSC_AUX, aux);
	__this_cpu_write(host_tsc_aux, aux);
}

/**
 * kvm_load_guest_tsc_aux - the guest's TSC_AUX, until kvm_put_guest_tsc_aux()
 * @vcpu: the vcpu; preemption off
 *
 * The kernel itself does without the register.
 */
void kvm_load_guest_tsc_aux(struct kvm_vcpu *vcpu)
{
	if (!kvm_ops.has_tsc_aux)
		return;
	if ((u32)vcpu->msr.tsc_aux != __this_cpu_read(host_tsc_aux))
		wrmsrl(MSR_TSC_AUX, vcpu->msr.tsc_aux);
	vcpu->tsc_aux_loaded = true;
}
EXPORT_SYMBOL_GPL(kvm_load_guest_tsc_aux);

/**
 * kvm_put_guest_tsc_aux - undo kvm_load_guest_tsc_aux(), if it was done
 * @vcpu: the vcpu; preemption off
 */
void kvm_put_guest_tsc_aux(struct kvm_vcpu *vcpu)
{
	if (!vcpu->tsc_aux_loaded)
		return;
	vcpu->tsc_aux_loaded = false;
	if ((u32)vcpu->msr.tsc_aux != __this_cpu_read(host_tsc_aux))
		wrmsrl(MSR_TSC_AUX, __this_cpu_read(host_tsc_aux));
}
EXPORT_SYMBOL_GPL(kvm_put_guest_tsc_aux);

static int set_tsc_aux(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	preempt_disable();
	vcpu->msr.tsc_aux = msr->data;
	if (vcpu->tsc_aux_loaded)
		wrmsrl(MSR_TSC_AUX, msr->data);
	preempt_enable();
	return 0;
}

static u64 spec_ctrl_bits __read_mostly;	/* what guests may set */

static u64 find_spec_ctrl_bits(void)
{
	u64 bits = 0;

	if (boot_cpu_has(X86_FEATURE_IBRS))
		bits |= SPEC_CTRL_IBRS;
	if (boot_cpu_has(X86_FEATURE_STIBP))
		bits |= SPEC_CTRL_STIBP;
	if (boot_cpu_has(X86_FEATURE_SPEC_CTRL_SSBD) || boot_cpu_has(X86_FEATURE_AMD_SSBD))
		bits |= SPEC_CTRL_SSBD;
	return bits;
}

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
	return !(msr->data & ~PRED_CMD_IBPB);
}

static int set_pred_cmd(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data && !msr->host_initiated)
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

static DEFINE_PER_CPU(u64, last_vcpu);	/* unique_id of the vcpu that ran last */

/**
 * kvm_isolate_predictors - on the way into a vcpu: no other's branch predictions
 * @vcpu: the vcpu, being loaded; preemption off
 *
 * Two guests are no closer to each other than two processes, though both may be
 * one process's.
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

#define MEM(field)	.offset = offsetof(struct kvm_vcpu, field)

/* In order of index. */
static const struct msr_row rows[] = {
	{ MSR_IA32_TSC, MSR_IA32_TSC, ROW_LISTED, .get = get_tsc, .set = set_tsc },
	{ MSR_KVM_WALL_CLOCK, MSR_KVM_SYSTEM_TIME, ROW_LISTED,
	  .get = kvm_pv_get_msr, .set = kvm_pv_set_msr },
	{ MSR_IA32_PLATFORM_ID, MSR_IA32_PLATFORM_ID, ROW_INTEL | ROW_GUEST_RO,
	  .get = get_zero, .set = set_zero_only },
	{ MSR_IA32_APICBASE, MSR_IA32_APICBASE,
	  .get = get_apic_base, .set = set_apic_base },
	{ MSR_IA32_EBL_CR_POWERON, MSR_IA32_EBL_CR_POWERON, ROW_INTEL,
	  .get = get_zero, .set = set_zero_only },
	{ MSR_IA32_FEAT_CTL, MSR_IA32_FEAT_CTL, ROW_INTEL,
	  MEM(msr.feature_control), .valid = valid_feature_control },
	{ MSR_IA32_TSC_ADJUST, MSR_IA32_TSC_ADJUST, ROW_LISTED, { X86_FEATURE_TSC_ADJUST },
	  .get = get_tsc_adjust, .set = set_tsc_adjust },
	{ MSR_IA32_SPEC_CTRL, MSR_IA32_SPEC_CTRL, ROW_LISTED,
	  { X86_FEATURE_SPEC_CTRL, X86_FEATURE_INTEL_STIBP, X86_FEATURE_SPEC_CTRL_SSBD,
	    X86_FEATURE_AMD_IBRS, X86_FEATURE_AMD_STIBP, X86_FEATURE_AMD_SSBD },
	  MEM(spec_ctrl.guest), .valid = valid_spec_ctrl, .set = set_spec_ctrl },
	{ MSR_IA32_PRED_CMD, MSR_IA32_PRED_CMD, 0, { X86_FEATURE_SPEC_CTRL, X86_FEATURE_AMD_IBPB },
	  .valid = valid_pred_cmd, .get = get_pred_cmd, .set = set_pred_cmd },
	{ MSR_IA32_UCODE_REV, MSR_IA32_UCODE_REV, ROW_LISTED,
	  .get = get_ucode_rev, .set = set_ucode_rev },
	{ MSR_IA32_SMBASE, MSR_IA32_SMBASE, ROW_HOST_ONLY, MEM(msr.smbase) },
	{ MSR_PLATFORM_INFO, MSR_PLATFORM_INFO, ROW_GUEST_RO,
	  .get = get_platform_info, .set = set_platform_info },
	{ MSR_MTRRcap, MSR_MTRRcap, ROW_GUEST_RO, .get = get_mtrrcap, .set = set_mtrrcap },
	{ MSR_IA32_ARCH_CAPABILITIES, MSR_IA32_ARCH_CAPABILITIES,
	  ROW_LISTED | ROW_GUEST_RO, { X86_FEATURE_ARCH_CAPABILITIES },
	  MEM(msr.arch_capabilities), .valid = valid_arch_capabilities },
	{ MSR_MISC_FEATURES_ENABLES, MSR_MISC_FEATURES_ENABLES, ROW_INTEL,
	  MEM(msr.misc_features), .valid = valid_zero },
	{ MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_CS, ROW_LISTED,
	  .get = get_switched, .set = set_switched },
	{ MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP, ROW_LISTED,
	  .valid = valid_sysenter, .get = get_switched, .set = set_switched },
	{ MSR_IA32_MCG_CAP, MSR_IA32_MCG_CAP, ROW_GUEST_RO,
	  MEM(msr.mcg_cap), .valid = valid_mcg_cap },
	{ MSR_IA32_MCG_STATUS, MSR_IA32_MCG_STATUS, ROW_LISTED,
	  MEM(msr.mcg_status), .valid = valid_mcg_status },
	{ MSR_IA32_MCG_CTL, MSR_IA32_MCG_CTL, .get = get_mcg_ctl, .set = set_mcg_ctl },
	{ MSR_IA32_MISC_ENABLE, MSR_IA32_MISC_ENABLE, ROW_LISTED,
	  MEM(msr.misc_enable), .valid = valid_misc_enable },
	{ MSR_IA32_DEBUGCTLMSR, MSR_IA32_DEBUGCTLMSR, MEM(msr.debugctl), .valid = valid_debugctl },
	{ MSR_IA32_LASTBRANCHFROMIP, MSR_IA32_LASTINTTOIP, ROW_AMD,
	  .get = get_zero, .set = set_zero_only },
	/* Of the processor's power management nothing is the guest's. */
	{ MSR_IA32_POWER_CTL, MSR_IA32_POWER_CTL, ROW_LISTED, MEM(msr.power_ctl) },
	{ MSR_MTRR_VAR_FIRST, MSR_MTRR_VAR_LAST, ROW_LISTED,
	  MEM(msr.mtrr_var), .valid = valid_mtrr_var },
	{ MSR_MTRRfix64K_00000, MSR_MTRRfix64K_00000, ROW_LISTED,
	  MEM(msr.mtrr_fixed[0]), .valid = valid_mtrr_fixed },
	{ MSR_MTRRfix16K_80000, MSR_MTRRfix16K_A0000, ROW_LISTED,
	  MEM(msr.mtrr_fixed[1]), .valid = valid_mtrr_fixed },
	{ MSR_MTRRfix4K_C0000, MSR_MTRRfix4K_F8000, ROW_LISTED,
	  MEM(msr.mtrr_fixed[3]), .valid = valid_mtrr_fixed },
	{ MSR_IA32_CR_PAT, MSR_IA32_CR_PAT, ROW_LISTED, MEM(msr.pat), .valid = valid_pat },
	{ MSR_MTRRdefType, MSR_MTRRdefType, ROW_LISTED,
	  MEM(msr.mtrr_def_type), .valid = valid_mtrr_def },
	{ MSR_IA32_MC0_CTL, MSR_IA32_MCx_MISC(KVM_NR_MCE_BANKS - 1),
	  .get = get_mce_bank, .set = set_mce_bank },
	/* These two are written by kvm_set_msr() itself. */
	{ MSR_IA32_TSC_DEADLINE, MSR_IA32_TSC_DEADLINE, ROW_LISTED,
	  .get = get_tscdeadline, .set = set_tscdeadline },
	{ APIC_BASE_MSR, APIC_BASE_MSR + 0xff, .get = kvm_x2apic_read, .set = kvm_x2apic_write },
	{ MSR_IA32_XSS, MSR_IA32_XSS, ROW_LISTED, { X86_FEATURE_XSAVES },
	  MEM(xss), .valid = valid_zero },
	{ MSR_KVM_WALL_CLOCK_NEW, MSR_KVM_MIGRATION_CONTROL, ROW_LISTED,
	  .get = kvm_pv_get_msr, .set = kvm_pv_set_msr },
	{ MSR_EFER, MSR_EFER, .get = get_efer, .set = set_efer },
	{ MSR_STAR, MSR_STAR, ROW_LISTED, .get = get_switched, .set = set_switched },
	{ MSR_LSTAR, MSR_CSTAR, ROW_LISTED,
	  .valid = valid_canonical, .get = get_switched, .set = set_switched },
	{ MSR_SYSCALL_MASK, MSR_SYSCALL_MASK, ROW_LISTED,
	  .valid = valid_syscall_mask, .get = get_switched, .set = set_switched },
	{ MSR_FS_BASE, MSR_KERNEL_GS_BASE, ROW_LISTED,
	  .valid = valid_canonical, .get = get_switched, .set = set_switched },
	{ MSR_TSC_AUX, MSR_TSC_AUX, ROW_LISTED, { X86_FEATURE_RDTSCP, X86_FEATURE_RDPID },
	  MEM(msr.tsc_aux), .valid = valid_upper_half_zero, .set = set_tsc_aux },
	/* Performance counters that count nothing. */
	{ MSR_K7_EVNTSEL0, MSR_K7_PERFCTR0 + 3, ROW_AMD, .get = get_zero, .set = set_zero_only },
	/* This, and VM_CR and VM_HSAVE_PA: a machine without memory encryption or SVM. */
	{ MSR_AMD64_SYSCFG, MSR_AMD64_SYSCFG, ROW_AMD, .get = get_zero, .set = set_zero_only },
	{ MSR_K7_HWCR, MSR_K7_HWCR, ROW_LISTED | ROW_AMD, .get = get_hwcr, .set = set_hwcr },
	/* Chipset and workaround bits of the machine below, which is not the guest's. */
	{ MSR_AMD64_NB_CFG, MSR_AMD64_NB_CFG, ROW_AMD, .get = get_zero, .set = set_ignored },
	{ MSR_AMD64_PATCH_LOADER, MSR_AMD64_PATCH_LOADER, ROW_AMD,
	  .get = get_zero, .set = set_ignored },
	{ MSR_K8_INT_PENDING_MSG, MSR_K8_INT_PENDING_MSG, ROW_AMD,
	  .get = get_zero, .set = set_ignored },
	{ MSR_FAM10H_MMIO_CONF_BASE, MSR_FAM10H_MMIO_CONF_BASE, ROW_AMD,
	  .get = get_zero, .set = set_zero_only },
	{ MSR_VM_CR, MSR_VM_CR, ROW_AMD, .get = get_zero, .set = set_zero_only },
	{ MSR_VM_HSAVE_PA, MSR_VM_HSAVE_PA, ROW_AMD, .get = get_zero, .set = set_zero_only },
	{ MSR_AMD64_VIRT_SPEC_CTRL, MSR_AMD64_VIRT_SPEC_CTRL, ROW_LISTED | ROW_AMD,
	  { X86_FEATURE_VIRT_SSBD }, MEM(msr.virt_spec_ctrl), .valid = valid_virt_spec_ctrl },
	/* Errata that a system must know of: none, of all that have a number. */
	{ MSR_AMD64_OSVW_ID_LENGTH, MSR_AMD64_OSVW_ID_LENGTH,
	  ROW_LISTED | ROW_AMD | ROW_GUEST_RO, { X86_FEATURE_OSVW }, MEM(msr.osvw_length) },
	{ MSR_AMD64_OSVW_STATUS, MSR_AMD64_OSVW_STATUS,
	  ROW_LISTED | ROW_AMD | ROW_GUEST_RO, { X86_FEATURE_OSVW }, MEM(msr.osvw_status) },
	{ MSR_F15H_IC_CFG, MSR_AMD64_DC_CFG, ROW_AMD, .get = get_zero, .set = set_ignored },
	{ MSR_AMD64_DE_CFG, MSR_AMD64_DE_CFG, ROW_AMD,
	  .valid = valid_de_cfg, .get = get_de_cfg, .set = set_ignored },
	{ MSR_AMD64_BU_CFG2, MSR_AMD64_BU_CFG2, ROW_AMD, .get = get_zero, .set = set_ignored },
};

static_assert(MSR_F15H_IC_CFG + 1 == MSR_AMD64_DC_CFG);
static_assert(sizeof_field(struct kvm_vcpu, msr.mtrr_var) == 2 * KVM_NR_VAR_MTRR * sizeof(u64));

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

/* Does this host have the row's registers? */
static bool row_exists(const struct msr_row *row)
{
	if ((row->flags & ROW_AMD) && kvm_ops.isa != KVM_ISA_SVM)
		return false;
	if ((row->flags & ROW_INTEL) && kvm_ops.isa != KVM_ISA_VMX)
		return false;
	return has_feature(NULL, row);
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

/* Userspace saves and restores a register that the guest's CPUID hides all the same. */
static bool accessible(struct kvm_vcpu *vcpu, const struct msr_row *row,
		       const struct msr_data *msr, bool write)
{
	if (msr->host_initiated)
		return true;
	if ((row->flags & ROW_HOST_ONLY) || (write && (row->flags & ROW_GUEST_RO)))
		return false;
	return has_feature(vcpu, row);
}

static u64 *row_memory(struct kvm_vcpu *vcpu, const struct msr_row *row, u32 index)
{
	return (u64 *)((char *)vcpu + row->offset) + (index - row->first);
}

/**
 * kvm_get_msr - RDMSR, or KVM_GET_MSRS
 * @vcpu: the vcpu, loaded
 * @msr: index and host_initiated in, data out
 *
 * Returns 0; -ENOENT: no such register; -EINVAL: not for this guest.
 */
int kvm_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const struct msr_row *row = find_row(msr->index);

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

	/* What guests write at every interrupt. */
	if (msr->index - APIC_BASE_MSR < 0x100)
		return kvm_x2apic_write(vcpu, msr);
	if (msr->index == MSR_IA32_TSC_DEADLINE)
		return set_tscdeadline(vcpu, msr);
	row = find_row(msr->index);
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

/** kvm_msr_module_init - after the vendor's setup and CPUID's: which MSRs there are */
void kvm_msr_module_init(void)
{
	arch_capabilities = 0;
	if (kvm_cpu_cap_has(X86_FEATURE_ARCH_CAPABILITIES) &&
	    !rdmsrl_safe(MSR_IA32_ARCH_CAPABILITIES, &arch_capabilities))
		arch_capabilities &= ARCH_CAP_FOR_GUESTS;
	spec_ctrl_bits = find_spec_ctrl_bits();
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

long kvm_get_msr_index_list(struct kvm_msr_list __user *list)
{
	return copy_list(list, index_list, nr_indices);
}

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

/* What this machine can do, by the registers that tell guests; no vcpu. */
static int get_feature(struct kvm_vcpu *unused, struct kvm_msr_entry *entry)
{
	switch (entry->index) {
	case MSR_IA32_UCODE_REV:
		entry->data = ucode_rev;
		return 0;
	case MSR_IA32_ARCH_CAPABILITIES:
		if (!kvm_cpu_cap_has(X86_FEATURE_ARCH_CAPABILITIES))
			return -EINVAL;
		entry->data = arch_capabilities;
		return 0;
	default:
		return -EINVAL;
	}
}

/*
 * Entry by entry up to the first that fails.  Returns how many were done,
 * -E2BIG, -EFAULT or -ENOMEM.
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

long kvm_dev_get_msrs(struct kvm_msrs __user *msrs)
{
	return for_each_entry(NULL, msrs, true, get_feature);
}

long kvm_vcpu_get_msrs(struct kvm_vcpu *vcpu, struct kvm_msrs __user *msrs)
{
	return for_each_entry(vcpu, msrs, true, get_one);
}

long kvm_vcpu_set_msrs(struct kvm_vcpu *vcpu, struct kvm_msrs __user *msrs)
{
	return for_each_entry(vcpu, msrs, false, set_one);
}

/*
 * ---- a vcpu's beginning ----
 */

int kvm_msr_create(struct kvm_vcpu *vcpu)
{
	static atomic64_t ids = ATOMIC64_INIT(0);

	vcpu->unique_id = atomic64_inc_return(&ids);
	vcpu->msr.mce_banks = kcalloc(KVM_NR_MCE_BANKS * MCI_NR, sizeof(u64), GFP_KERNEL_ACCOUNT);
	if (!vcpu->msr.mce_banks)
		return -ENOMEM;
	vcpu->msr.mcg_cap = KVM_NR_MCE_BANKS;
	vcpu->msr.ucode_rev = ucode_rev;
	vcpu->msr.arch_capabilities = arch_capabilities;
	/* The errata that have numbers so far; none of them is the guest's affair. */
	vcpu->msr.osvw_length = 4;
	vcpu->virtual_tsc_khz = tsc_khz;
	return 0;
}

void kvm_msr_destroy(struct kvm_vcpu *vcpu)
{
	kfree(vcpu->msr.mce_banks);
}

/*
 * RESET; INIT leaves all of these as they are (SDM 3A "Processor State After
 * Reset").  Machine-check banks survive both.  The tasks that wait for pages
 * survive neither.
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
	vcpu->msr.virt_spec_ctrl = 0;
	vcpu->spec_ctrl.guest = 0;
	vcpu->spec_ctrl.passthrough = false;
	kvm_pv_reset(vcpu);
	vcpu->xss = 0;
	reset_tsc(vcpu);
}
