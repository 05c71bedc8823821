// SPDX-License-Identifier: GPL-2.0-only
/*
 * Faults of AMD's processors that a guest could use against its host.
 *
 * "Revision Guide" is AMD's Revision Guide for AMD Family 10h Processors.
 */
#include "errata.h"

#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/msr.h>
#include <asm/msr-index.h>
#include <asm/tlbflush.h>

/* Revision Guide, erratum 383 "CPU Core May Machine Check When System Software Changes Page Tables
 * Dynamically": a guest with nested paging can have two translations of one address in the TLB.
 */
#define OSVW_383		3		/* its bit among the OS-visible workarounds */
#define DC_CFG_383		BIT_ULL(47)	/* makes it report what happened, as below */
#define MC0_STATUS_383		0xb600000000010015ULL
#define FAMILY_10H		0x10
#define NR_BANKS		6

static bool has_383;

/* The processor may say that it is not concerned (APM 2 "OS-Visible Workarounds"). */
static bool affected_by_383(unsigned int family)
{
	u64 length, status;

	if (family != FAMILY_10H)
		return false;
	if (!boot_cpu_has(X86_FEATURE_OSVW) || rdmsrq_safe(MSR_AMD64_OSVW_ID_LENGTH, &length) ||
	    length <= OSVW_383 || rdmsrq_safe(MSR_AMD64_OSVW_STATUS, &status))
		return true;
	return status & BIT_ULL(OSVW_383);
}

/** svm_errata_enable - on each CPU, before guests run on it
 * @family: the processor's
 */
void svm_errata_enable(unsigned int family)
{
	u64 cfg;

	if (!affected_by_383(family))
		return;
	has_383 = true;
	/* In a guest of another hypervisor's there may be no such register. */
	if (!rdmsrq_safe(MSR_AMD64_DC_CFG, &cfg))
		wrmsrq_safe(MSR_AMD64_DC_CFG, cfg | DC_CFG_383);
}

/**
 * svm_guest_machine_check - is this machine check the guest's own doing?
 *
 * Interrupts off, right after the exit.  If so it is cleared from the processor, and the
 * guest is to be shut down: the host has nothing to fear from it any more, and would
 * otherwise have to panic.
 */
bool svm_guest_machine_check(void)
{
	u64 status;
	int i;

	/* Another may have been lost behind it. */
	if (!has_383 || rdmsrq_safe(MSR_IA32_MC0_STATUS, &status) ||
	    (status & ~MCI_STATUS_OVER) != MC0_STATUS_383)
		return false;
	for (i = 0; i < NR_BANKS; i++)
		wrmsrq_safe(MSR_IA32_MCx_STATUS(i), 0);
	if (!rdmsrq_safe(MSR_IA32_MCG_STATUS, &status))
		wrmsrq_safe(MSR_IA32_MCG_STATUS, status & ~MCG_STATUS_MCIP);
	/* Both translations go. */
	__flush_tlb_all();
	return true;
}
