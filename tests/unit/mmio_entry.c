// SPDX-License-Identifier: GPL-2.0-only
/* svm/mmio.c: which bit of a nested entry every access fails by, and where there is none. */
#include "mock.h"
#include "../../svm/mmio.c"

static bool reserved(int bit, int phys_bits, int c_bit)
{
	return bit >= phys_bits && bit < 52 && bit != c_bit;
}

/* Of each width and each C-bit that a processor may have. */
static void all(void)
{
	bool right = true, given = true;

	for (int phys_bits = 32; phys_bits <= 52; phys_bits++) {
		for (int c_bit = 0; c_bit <= 51; c_bit = c_bit ? c_bit + 1 : 32) {
			u64 entry = svm_mmio_entry(phys_bits, c_bit);
			bool any = false;

			for (int bit = 50; bit < 52; bit++)
				any |= reserved(bit, phys_bits, c_bit);
			given &= any == !!entry;
			if (!entry)
				continue;
			right &= (entry & 7) == 7;
			entry &= ~7ULL;
			right &= !(entry & (entry - 1)) &&
				 reserved(__builtin_ctzll(entry), phys_bits, c_bit);
		}
	}
	ok(right, "one reserved bit, and all rights");
	ok(given, "wherever one of the two highest is reserved");
}

int main(void)
{
	all();
	ok(svm_mmio_entry(48, 0) == (BIT_ULL(51) | 7), "48 bits, no encryption: bit 51");
	ok(svm_mmio_entry(48, 47) == (BIT_ULL(51) | 7), "family 17h, C-bit 47: bit 51");
	ok(svm_mmio_entry(46, 51) == (BIT_ULL(50) | 7), "52 bits, 6 of them taken by encryption, C-bit 51: bit 50");
	ok(!svm_mmio_entry(52, 0), "52 bits: none");
	ok(!svm_mmio_entry(52, 51), "52 bits, encryption there, and off: none");
	printf("1..%d\n", number);
	return failed;
}
