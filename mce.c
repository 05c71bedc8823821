// SPDX-License-Identifier: GPL-2.0-only
/*
 * Machine checks: a vcpu's banks, and the errors that userspace reports in them.
 *
 * "SDM" is Intel's manual; sections by title.
 */
#include "kvm_host.h"
#include "kvm_events.h"
#include "kvm_msr.h"

#include <asm/mce.h>

/* A bank's registers in vcpu->msr.mce_banks, in the order of their MSRs. */
enum { MCI_CTL, MCI_STATUS, MCI_ADDR, MCI_MISC };

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
		vcpu->msr.mce_banks[i][MCI_CTL] = ~0ULL;
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
	bank = vcpu->msr.mce_banks[mce->bank];
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

int kvm_get_mcg_ctl(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	if (!(vcpu->msr.mcg_cap & MCG_CTL_P))
		return -EINVAL;
	msr->data = vcpu->msr.mcg_ctl;
	return 0;
}

int kvm_set_mcg_ctl(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!(vcpu->msr.mcg_cap & MCG_CTL_P))
		return -EINVAL;
	if (msr->data && msr->data != ~0ULL)
		return -EINVAL;
	vcpu->msr.mcg_ctl = msr->data;
	return 0;
}

/* KVM_X86_SETUP_MCE sets it; what was read may be written back. */
bool kvm_valid_mcg_cap(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return msr->data == vcpu->msr.mcg_cap;
}

bool kvm_valid_mcg_status(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	return !(msr->data & ~MCG_STATUS_DEFINED);
}

static u64 *mce_register(struct kvm_vcpu *vcpu, u32 index)
{
	u32 i = index - MSR_IA32_MC0_CTL;

	return i < KVM_NR_MCI_REGS * nr_mce_banks(vcpu) ? &vcpu->msr.mce_banks[0][i] : NULL;
}

int kvm_get_mce_bank(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const u64 *reg = mce_register(vcpu, msr->index);

	if (!reg)
		return -EINVAL;
	msr->data = *reg;
	return 0;
}

/* A guest may only clear a status, unless HWCR says otherwise; CTL may have holes. */
int kvm_set_mce_bank(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	bool status = (msr->index - MSR_IA32_MC0_CTL) % KVM_NR_MCI_REGS == MCI_STATUS;
	u64 *reg = mce_register(vcpu, msr->index);

	if (!reg)
		return -EINVAL;
	if (status && msr->data && !msr->host_initiated &&
	    !(vcpu->msr.k7_hwcr & HWCR_MC_STATUS_WR_EN))
		return -EINVAL;
	*reg = msr->data;
	return 0;
}
