// SPDX-License-Identifier: GPL-2.0-only
/* Lengths, limits and addresses: what is found out before an instruction does anything. */
#include <stdio.h>

#include "pc.h"

void test_lengths(void)
{
	/* What follows the text are zeroes. */
	static const struct {
		u8 mode, len;
		u8 bytes[16];
	} table[] = {
		{ REAL, 1, "\x90" }, { REAL, 3, "\xb8" }, { REAL, 6, "\x66\xb8" },
		{ REAL, 4, "\x8b\x87" }, { REAL, 4, "\x8b\x16" },
		{ REAL, 5, "\x67\x8b\x44\x24" }, { REAL, 5, "\xea" },
		{ REAL, 8, "\x66\xea" }, { REAL, 3, "\xe8" },
		{ REAL, 7, "\x2e\x66\x0f\x01\x16" }, { REAL, 3, "\xa1" },
		{ REAL, 4, "\xc8" }, { P32, 5, "\xb8" }, { P32, 4, "\x66\xb8" },
		{ P32, 7, "\x8b\x04\x8d" }, { P32, 2, "\xe4" }, { P32, 1, "\xec" },
		{ P32, 2, "\x0f\xa2" }, { P32, 2, "\x0f\x32" }, { P32, 1, "\xf4" },
		{ P32, 10, "\xf7\x05" }, { P32, 6, "\xf7\x1d" }, { P32, 7, "\xea" },
		{ P32, 3, "\x0f\x20\xc0" }, { P32, 3, "\x0f\x22\x05" },
		{ P32, 3, "\x67\xe3" }, { P64, 10, "\x48\xb8" }, { P64, 7, "\x48\x8b\x05" },
		{ P64, 9, "\xa1" }, { P64, 6, "\x67\xa1" }, { P64, 6, "\x0f\x84" },
		{ P64, 7, "\x48\xc7\xc0" }, { P64, 4, "\x66\x68" }, { P64, 5, "\x68" },
		{ P64, 3, "\x0f\x01\xd9" }, { P64, 5, "\xf3\x48\x0f\xb8\xc0" },
		{ P64, 9, "\x64\x48\xc7\x43\x08" }, { P64, 4, "\xf3\x0f\x1e\xfa" },
		{ P64, 6, "\x66\x0f\x38\x2a\x40" }, { P64, 7, "\x67\xf3\x48\x0f\xb8\x04" },
		{ P64, 3, "\x0f\x01\xd1" }, { P64, 3, "\x0f\x01\xc8" },
		{ P64, 5, "\xc5\xf8\x10\x40" }, { P64, 3, "\xc5\xf8\x77" },
		{ P64, 6, "\xc4\xe3\x7d\x39" }, { P32, 6, "\x67\xc4\xe1\x78\x10" },
		{ P64, 8, "\x67\x8b\x84\x24" }, { P64, 5, "\x66\xc7\xf8\x01\x02" },
	};
	unsigned int i, j, good = 0, shorter = 0, sum = 0, n = sizeof(table) / sizeof(table[0]);
	int len, rc;

	for (i = 0; i < n; i++) {
		len = x86_insn_length(table[i].mode, table[i].bytes, 15);
		reset(table[i].mode);
		memcpy(mem + CODE, table[i].bytes, 15);
		rc = decode();
		if (rc != X86EMUL_CONTINUE || ctxt.d.len != table[i].len)
			len = -1;
		if (len == table[i].len)
			good++;
		else
			printf("# row %u: %d, not %d\n", i, len, table[i].len);
		sum += table[i].len;
		for (j = 0; j < table[i].len; j++)
			shorter += x86_insn_length(table[i].mode, table[i].bytes, j) == -ENODATA;
	}
	tap_ok(good == n, "lengths of %u instructions", n);
	tap_ok(shorter == sum, "of each, none without its last bytes");
	tap_ok(x86_insn_length(P64, "\x0f\x22\x85", 3) == 3, "mov to cr0 has no displacement");
	tap_ok(x86_insn_length(P64, "\xc4\xe4\x78\x10\x00", 5) == -EINVAL,
	       "length in a map there is not");
	tap_ok(x86_insn_length(P64, "\x0f\x0b", 2) == -EINVAL, "length of an undefined one");
	tap_ok(x86_insn_length(P64, "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66"
			       "\x66\x66\x90", 16) == -EINVAL, "length of more than 15 bytes");
	reset(P64);
	memset(mem + CODE, 0x66, 15);
	tap_ok(fault(run(), EXC_GP, 0), "more than 15 bytes: #GP(0)");
}

void test_canonical(void)
{
	reset(P64);
	CODE_BYTES("\x48\x8b\x03");
	ctxt.regs[X86_RBX] = 0x800000000000;
	tap_ok(fault(run(), EXC_GP, 0), "64-bit: non-canonical is #GP(0)");
	CODE_BYTES("\x48\x8b\x45\x00");
	ctxt.regs[X86_RBP] = 0x7fffffffffff;
	tap_ok(fault(run(), EXC_SS, 0), "64-bit: by rbp it is #SS(0), at the last byte too");
	CODE_BYTES("\x49\x8b\x45\x00");
	ctxt.regs[X86_R13] = 0x800000000000;
	tap_ok(fault(run(), EXC_GP, 0), "64-bit: by r13 it is #GP(0)");
	CODE_BYTES("\x50");
	ctxt.regs[X86_RSP] = 0x800000000008;
	tap_ok(fault(run(), EXC_SS, 0), "64-bit: push is #SS(0)");
	ctxt.va_bits = 57;
	CODE_BYTES("\x48\x8b\x03");
	tap_ok(fault(run(), EXC_PF, 0), "57 address bits: it is a page fault");
}

void test_fetch(void)
{
	int rc;

	reset(P64);
	ctxt.rip = MEM_SIZE - 4096 - 2;
	memcpy(mem + ctxt.rip, "\x48\x8b", 2);
	rc = run();
	tap_ok(fault(rc, EXC_PF, 0) && ctxt.exception.address == MEM_SIZE - 4096,
	       "an instruction that goes on in a page not there");
	memcpy(mem + ctxt.rip, "\x90", 1);
	tap_ok(!run(), "one that ends before it");
	reset(P64);
	ctxt.regs[X86_RBX] = DATA;
	rc = x86_decode_insn(&ctxt, "\x89\x03\xcc", 3);
	ctxt.regs[0] = 0x11223344;
	tap_ok(!rc && ctxt.d.len == 2 && !x86_emulate_insn(&ctxt) &&
	       word(DATA) == 0x3344, "bytes from the hardware");
	reset(REAL);
	segs[X86_SEG_CS].limit = 1;
	CODE_BYTES("\xb8\x01\x00");
	tap_ok(fault(run(), EXC_GP, 0), "one that crosses CS's limit");
	tap_ok(RUN(P64, "\xc5\xf8\x77") == X86EMUL_UNHANDLEABLE, "AVX is not covered");
	tap_ok(RUN(P64, "\x0f\x58\xc0") == X86EMUL_UNHANDLEABLE, "SSE arithmetic is not covered");
}
