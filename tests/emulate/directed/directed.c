// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program cannot run natively: real mode, privileged and far control
 * transfers, devices behind memory and ports, restarts, batches.
 */
#include <stdlib.h>

#include "pc.h"

int main(void)
{
	mem = malloc(MEM_SIZE);
	if (!mem)
		return 2;
	test_lengths();
	test_real_mode();
	test_mode_switch();
	test_iret();
	test_privilege();
	test_int();
	test_vm86();
	test_call_gates();
	test_tasks();
	test_mmio();
	test_strings();
	test_io_strings();
	test_features();
	test_random();
	test_invpcid();
	test_mwait();
	test_transactions();
	test_vendors();
	test_newer();
	test_cmpxchg8b();
	test_fsgsbase();
	test_environment();
	test_fxrstor();
	test_canonical();
	test_fetch();
	free(mem);
	return tap_done();
}
