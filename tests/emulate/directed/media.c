// SPDX-License-Identifier: GPL-2.0-only
/* x87 environments and FXSAVE images. */
#include "pc.h"

static void put_x87(void)
{
	static const u32 field[7] = {
		0xffff037f, 0xffff3800, 0xffff4fff, 0x00012345, 0x01d90f00, 0x00006789, 0xffff2000,
	};
	unsigned int i;

	memcpy(x87.field, field, sizeof(field));
	for (i = 0; i < sizeof(x87.registers); i++)
		x87.registers[i] = i;
}

/* Real mode: CS F00, IP 12345; DS 2000, DP 6789 */
static const u32 real_env[7] = {
	0xffff037f, 0xffff3800, 0xffff4fff, 0xffff1345, 0x000021d9, 0xffff6789, 0x00002000,
};

void test_environment(void)
{
	u16 val;
	unsigned int i, good;
	int rc;

	put_x87();
	reset(P32);
	CODE_BYTES("\xd9\x33");
	ctxt.regs[X86_RBX] = DATA;
	rc = run();
	tap_ok(!rc && !memcmp(mem + DATA, x87.field, 28) && !dword(DATA + 28),
	       "fnstenv, 32-bit protected mode");
	reset(P32);
	CODE_BYTES("\x66\xdd\x33");
	ctxt.regs[X86_RBX] = DATA;
	rc = run();
	tap_ok(!rc && word(DATA + 6) == 0x2345 && word(DATA + 8) == 0xf00 &&
	       word(DATA + 10) == 0x6789 && word(DATA + 12) == 0x2000 &&
	       !memcmp(mem + DATA + 14, x87.registers, 80), "fnsave, 16-bit protected mode");
	reset(REAL);
	CODE_BYTES("\x66\xd9\x37");
	rc = run();
	tap_ok(!rc && !memcmp(mem + DATA, real_env, 28), "fnstenv, 32-bit real mode");
	reset(REAL);
	CODE_BYTES("\xd9\x37");
	rc = run();
	for (i = good = 0; i < 7; i++) {
		val = real_env[i];
		good += !memcmp(mem + DATA + 2 * i, &val, 2);
	}
	tap_ok(!rc && good == 7 && !word(DATA + 14), "fnstenv, 16-bit real mode");
	CODE_BYTES("\xd9\x27");
	ctxt.rip = 0;
	memset(&x87, 0, sizeof(x87));
	rc = run();
	tap_ok(!rc && x87.field[0] == 0x37f && x87.field[3] == 0x21345 &&
	       x87.field[4] == 0x01d90000 && x87.field[5] == 0x26789, "fldenv, 16-bit real mode");

	put_x87();
	reset(P32);
	CODE_BYTES("\xdd\x23");
	ctxt.regs[X86_RBX] = DATA;
	memset(mem + DATA, 0x77, 108);
	rc = run();
	tap_ok(!rc && x87.field[6] == 0x77777777 && x87.registers[79] == 0x77, "frstor");
	x87_sw = 0x8081;
	ctxt.rip = CODE;
	crs[0] |= 1 << 5;
	tap_ok(fault(run(), EXC_MF, -1), "which looks for exceptions that wait");
	CODE_BYTES("\xdd\x33");
	tap_ok(!run(), "as fnsave does not");
	crs[0] |= CR0_TS;
	ctxt.rip = CODE;
	ctxt.regs[X86_RBX] = MEM_SIZE - 4096 - 16;
	tap_ok(fault(run(), EXC_NM, -1), "with CR0.TS: #NM");
	crs[0] &= ~(u64)CR0_TS;
	tap_ok(fault(run(), EXC_PF, 2) && !dword(MEM_SIZE - 4096 - 16),
	       "into a page that is not there: nothing is stored");
	reset(P32);
	CODE_BYTES("\xdd\x33");
	ctxt.regs[X86_RBX] = MMIO;
	tap_ok(!run() && mmio_writes == 2 && mmio_log[0].bytes == 64 && mmio_log[1].bytes == 44,
	       "fnsave to a device");
}

/* An image of 11s, into a state of 22s; what is behind the registers stays. */
static int fxrstor(enum x86emul_mode mode, u32 mxcsr)
{
	reset(mode);
	memset(mem + DATA, 0x11, 512);
	put_dword(DATA + 24, mxcsr);
	memset(fx_image, 0x22, 512);
	memcpy(fx_image + 28, "\xff\xff\0\0", 4);
	CODE_BYTES("\x0f\xae\x0b");
	ctxt.regs[X86_RBX] = DATA;
	return run();
}

void test_fxrstor(void)
{
	int rc;

	rc = fxrstor(P32, 0x1f80);
	tap_ok(!rc && fx_image[0] == 0x11 && fx_image[287] == 0x11 && fx_image[288] == 0x22,
	       "fxrstor");
	rc = fxrstor(P64, 0x1f80);
	tap_ok(!rc && fx_image[415] == 0x11 && fx_image[416] == 0x22, "fxrstor, 64-bit");
	tap_ok(fault(fxrstor(P64, 0x10000), EXC_GP, 0) && fx_image[0] == 0x22,
	       "of an MXCSR there is not: #GP(0)");
	ctxt.regs[X86_RBX] = DATA + 8;
	tap_ok(fault(run(), EXC_GP, 0), "of a misaligned image: #GP(0)");
}
