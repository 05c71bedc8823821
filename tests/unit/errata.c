// SPDX-License-Identifier: GPL-2.0-only
/* svm/errata.c: erratum 383 is recognised, made harmless, and nothing else is taken for it. */
#include "mock.h"
#include "../../svm/errata.c"

int tlb_flushes;
void __flush_tlb_all(void) { tlb_flushes++; }

static void banks(u64 status)
{
	memset(&cpu, 0, sizeof(cpu));
	has_383 = false;
	cpu.msr[0].index = MSR_IA32_MC0_STATUS;
	cpu.msr[0].value = status;
	cpu.msr[1].index = MSR_IA32_MCG_STATUS;
	cpu.msr[1].value = MCG_STATUS_MCIP | 1;
	cpu.msr[2].index = MSR_AMD64_DC_CFG;
	cpu.msr[2].value = 5;
	cpu.msr[3].index = MSR_IA32_MCx_STATUS(4);
	cpu.msr[3].value = 0x77;
}

static void osvw(u64 length, u64 status)
{
	cpu.has[X86_FEATURE_OSVW] = true;
	cpu.msr[4].index = MSR_AMD64_OSVW_ID_LENGTH;
	cpu.msr[4].value = length;
	cpu.msr[5].index = MSR_AMD64_OSVW_STATUS;
	cpu.msr[5].value = status;
}

int main(void)
{
	banks(MC0_STATUS_383);
	svm_errata_enable(0x10);
	is(cpu.msr[2].value, 5 | 1ULL << 47, "family 10h: DC_CFG's bit 47");
	ok(svm_guest_machine_check(), "its machine check is the guest's");
	ok(!cpu.msr[0].value && !cpu.msr[3].value, "the banks are cleared");
	is(cpu.msr[1].value, 1, "no machine check is in progress any more");
	ok(tlb_flushes == 1, "and the TLB is flushed");

	banks(MC0_STATUS_383 | 1ULL << 62);
	svm_errata_enable(0x10);
	ok(svm_guest_machine_check(), "with another lost behind it, too");

	banks(0xb600000000000135);
	svm_errata_enable(0x10);
	ok(!svm_guest_machine_check(), "another machine check is the host's");
	is(cpu.msr[0].value, 0xb600000000000135, "and its bank is left alone");

	banks(MC0_STATUS_383);
	svm_errata_enable(0x17);
	ok(cpu.msr[2].value == 5 && !svm_guest_machine_check(), "family 17h: nothing of it");

	banks(MC0_STATUS_383);
	osvw(4, 0);
	svm_errata_enable(0x10);
	ok(cpu.msr[2].value == 5 && !svm_guest_machine_check(), "not concerned by OSVW");
	banks(MC0_STATUS_383);
	osvw(4, 8);
	svm_errata_enable(0x10);
	ok(svm_guest_machine_check(), "concerned by OSVW");
	banks(MC0_STATUS_383);
	osvw(3, 0);
	svm_errata_enable(0x10);
	ok(svm_guest_machine_check(), "OSVW knows nothing of it: concerned");
	printf("1..%d\n", number);
	return failed;
}
