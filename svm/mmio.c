// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested entries for what is no memory.  Nothing here touches the processor:
 * tests/unit/mmio_entry.c runs it.
 */
#include "mmio.h"

/** svm_mmio_entry - a present entry with a reserved bit set, which every access meets: a nested page
 * fault that says so (APM 2 "Nested Paging")
 * @phys_bits: of a physical address; fewer than CPUID says where memory is encrypted, and those
 *	in between are reserved, too (APM 2 "Secure Memory Encryption")
 * @c_bit: says that a page is encrypted, and is never reserved; 0: there is none
 * Returns 0 if no bit is reserved.
 */
u64 svm_mmio_entry(int phys_bits, int c_bit)
{
	int bit = 51;

	if (bit == c_bit)
		bit--;
	if (bit < phys_bits)
		return 0;
	return BIT_ULL(bit) | MMIO_ENTRY_RIGHTS;
}
