// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_GET_SUPPORTED_CPUID offers, a line for each register that is not 0:
 * "LEAF.SUBLEAF REGISTER VALUE", in hexadecimal.  lab/t/cpuid.sh compares two of these.
 */
#include <fcntl.h>
#include <stdio.h>
#include "vm.h"

int main(void)
{
	static const char *const regs[] = { "eax", "ebx", "ecx", "edx" };
	int sys = open("/dev/kvm", O_RDWR);
	struct kvm_cpuid2 *c;

	if (sys < 0)
		die("/dev/kvm: %m");
	c = supported_cpuid(sys);
	for (u32 i = 0; i < c->nent; i++)
		for (int r = 0; r < 4; r++) {
			u32 v = (&c->entries[i].eax)[r];

			if (v)
				printf("%x.%x %s %08x\n", c->entries[i].function, c->entries[i].index,
				       regs[r], v);
		}
	return 0;
}
