// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine checks: a vcpu's banks, and the errors that userspace reports in them.
 *
 * "SDM" is Intel's manual; sections by title.
 */
#include "kvm_host.h"
#include "kvm_events.h"
#include "kvm_msr.h"

#include <linux/nospec.h>
#include <asm/mce.h>

/* A bank's registers in vcpu->msr.mce_banks, in the order of their MSRs. */
enum { MCI_CTL, MCI_STATUS, MCI_ADDR, MCI_MISC };

#define MCG_STATUS_DEFINED \
	(MCG_STATUS_RIPV | MCG_STATUS_EIPV | MCG_STATUS_MCIP | MCG_STATUS_LMCES)

static u32 nr_mce_banks(struct kvm_vcpu *vcpu)
{
	return vcpu->msr.mcg_cap & MCG_BANKCNT_MASK;
}

/** kvm_mce_cap_supported - KVM_X86_GET_MCE_CAP_SUPPORTED: bits that MCG_CAP may have */
u64 kvm_mce_cap_supported(void)
{
	return MCG_CTL_P | MCG_SER_P;
}

/** kvm_vcpu_setup_mce - KVM_X86_SETUP_MCE: number of banks and capabilities; 0 or -EINVAL */
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
		vcpu->msr.mce_banks[i][MCI_CTL] = ~0ULL;
	return 0;
}

/* Uncorrected errors are reported only where all bits of the bank's CTL are set, and of MCG_CTL. */
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

/** kvm_vcpu_set_mce - KVM_X86_SET_MCE: log an error, and report it if it is uncorrected: 0, or
 * -EINVAL for a bank that the vcpu has not, or a status without VAL.  SDM 3B "Machine-Check
 * Architecture".
 */
long kvm_vcpu_set_mce(struct kvm_vcpu *vcpu, const struct kvm_x86_mce *mce)
{
	bool logged;
	u64 *bank;

	if (mce->bank >= nr_mce_banks(vcpu) || !(mce->status & MCI_STATUS_VAL))
		return -EINVAL;
	bank = vcpu->msr.mce_banks[array_index_nospec(mce->bank, KVM_NR_MCE_BANKS)];
	logged = bank[MCI_STATUS] & MCI_STATUS_VAL;

	if (!(mce->status & MCI_STATUS_UC)) {
		/* A corrected error does not overwrite an uncorrected one. */
		if (logged && (bank[MCI_STATUS] & MCI_STATUS_UC))
			bank[MCI_STATUS] |= MCI_STATUS_OVER;
		else
			log_mce(bank, mce, logged);
		return 0;
	}
	if (!mce_reported(vcpu, bank))
		return 0;
	/* While another is being handled, or with CR4.MCE clear, the processor shuts down. */
	if ((vcpu->msr.mcg_status & MCG_STATUS_MCIP) || !(kvm_read_cr4(vcpu) & X86_CR4_MCE)) {
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return 0;
	}
	log_mce(bank, mce, logged);
	vcpu->msr.mcg_status = mce->mcg_status;
	kvm_queue_exception(vcpu, X86_TRAP_MC);
	return 0;
}

/* NULL: the guest does not have it.  The index may be the guest's choice. */
static u64 *mce_register(struct kvm_vcpu *vcpu, u32 index)
{
	u32 i = index - MSR_IA32_MC0_CTL, end = KVM_NR_MCI_REGS * nr_mce_banks(vcpu);

	switch (index) {
	case MSR_IA32_MCG_CAP:
		return &vcpu->msr.mcg_cap;
	case MSR_IA32_MCG_STATUS:
		return &vcpu->msr.mcg_status;
	case MSR_IA32_MCG_CTL:
		return vcpu->msr.mcg_cap & MCG_CTL_P ? &vcpu->msr.mcg_ctl : NULL;
	default:
		if (i >= end)
			return NULL;
		i = array_index_nospec(i, end);
		return &vcpu->msr.mce_banks[i / KVM_NR_MCI_REGS][i % KVM_NR_MCI_REGS];
	}
}

static bool value_valid(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	switch (msr->index) {
	case MSR_IA32_MCG_CAP:
		/* KVM_X86_SETUP_MCE sets it; what was read may be written back. */
		return msr->data == vcpu->msr.mcg_cap;
	case MSR_IA32_MCG_STATUS:
		return !(msr->data & ~MCG_STATUS_DEFINED);
	case MSR_IA32_MCG_CTL:
		return !msr->data || msr->data == ~0ULL;
	}
	/* A guest may only clear a status, unless HWCR says otherwise; CTL may have holes. */
	return (msr->index - MSR_IA32_MC0_CTL) % KVM_NR_MCI_REGS != MCI_STATUS || !msr->data ||
	       msr->host_initiated || (vcpu->msr.k7_hwcr & HWCR_MC_STATUS_WR_EN);
}

/** kvm_mce_get_msr - read MCG_CAP, MCG_STATUS, MCG_CTL or a bank's register: 0 or -EINVAL */
int kvm_mce_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const u64 *reg = mce_register(vcpu, msr->index);

	if (!reg)
		return -EINVAL;
	msr->data = *reg;
	return 0;
}

/** kvm_mce_set_msr - write one of them: 0, or -EINVAL with nothing changed */
int kvm_mce_set_msr(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	u64 *reg = mce_register(vcpu, msr->index);

	if (!reg || !value_valid(vcpu, msr))
		return -EINVAL;
	*reg = msr->data;
	return 0;
}
