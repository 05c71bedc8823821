// SPDX-License-Identifier: GPL-2.0-only
/* Modes, segments, control registers, MSRs, and what else is the system's. */
#include "pc.h"

void test_mode_switch(void)
{
	int rc;

	reset(REAL);
	CODE_BYTES("\x66\x0f\x01\x16\x00\x01");
	memcpy(mem + DATA + 0x100, "\x27\x00\x00\x20\x03\x12", 6);
	rc = run();
	tap_ok(!rc && tables[X86EMUL_GDT].limit == 0x27 &&
	       tables[X86EMUL_GDT].base == 0x12032000, "lgdtd in real mode");
	reset(REAL);
	CODE_BYTES("\x0f\x01\x16\x00\x01");
	memcpy(mem + DATA + 0x100, "\x27\x00\x00\x20\x03\x12", 6);
	rc = run();
	tap_ok(!rc && tables[X86EMUL_GDT].base == 0x032000, "lgdt with 24 bits of base");

	reset(REAL);
	CODE_BYTES("\x0f\x22\xc0");
	ctxt.regs[0] = 0x60000011;
	rc = run();
	tap_ok(!rc && crs[0] == 0x60000011 && ctxt.rip == 3, "mov cr0, eax");

	/* As setup code does: PE is set, CS is still real mode's. */
	reset(REAL);
	crs[0] = 1;
	ctxt.mode = P16;
	put_desc(0x10, 0x00cf9a000000ffffull);
	CODE_BYTES("\x66\xea\x00\x00\x01\x00\x10\x00");
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x10000 && segs[X86_SEG_CS].selector == 0x10 &&
	       segs[X86_SEG_CS].limit == 0xffffffff && segs[X86_SEG_CS].db &&
	       mem[GDT + 0x15] == 0x9b, "jmp far into a 32-bit segment");

	reset(P32);
	efer = 0x500;
	put_desc(0x10, 0x00af9a000000ffffull);
	CODE_BYTES("\xcb");
	memcpy(mem + STACK + 0x1000, "\x00\x02\x00\x00\x10\x00\x00\x00", 8);
	rc = run();
	tap_ok(!rc && segs[X86_SEG_CS].l && ctxt.rip == 0x200 &&
	       ctxt.regs[X86_RSP] == STACK + 0x1008, "lret into a 64-bit segment");

	reset(P32);
	put_desc(0x18, 0x00cf92000000ffffull);
	CODE_BYTES("\x8e\xd8");
	ctxt.regs[0] = 0x18;
	rc = run();
	tap_ok(!rc && segs[X86_SEG_DS].selector == 0x18 && !segs[X86_SEG_DS].unusable,
	       "mov ds, ax");
	put_desc(0x18, 0x00cf12000000ffffull);
	ctxt.rip = CODE;
	tap_ok(fault(run(), EXC_NP, 0x18), "of a segment not present: #NP");
	put_desc(0x18, 0x00cf98000000ffffull);
	tap_ok(fault(run(), EXC_GP, 0x18), "of one that is execute-only: #GP");
	ctxt.regs[0] = 0x88;
	tap_ok(fault(run(), EXC_GP, 0x88), "of one beyond the GDT: #GP");
	ctxt.regs[0] = 0;
	rc = run();
	tap_ok(!rc && segs[X86_SEG_DS].unusable, "of null: unusable");
	CODE_BYTES("\xa1\0\0\0\0");
	ctxt.rip = CODE;
	tap_ok(fault(run(), EXC_GP, 0), "and its use: #GP(0)");
	reset(P32);
	CODE_BYTES("\x8e\xd0");
	tap_ok(fault(run(), EXC_GP, 0), "mov ss, null: #GP(0)");

	reset(P64);
	put_desc(0x18, 0x0000890030000067ull);
	memset(mem + GDT + 0x20, 0, 8);
	CODE_BYTES("\x0f\x00\xd8");
	ctxt.regs[0] = 0x18;
	rc = run();
	tap_ok(!rc && segs[X86_SEG_TR].type == 11 && segs[X86_SEG_TR].base == 0x3000 &&
	       mem[GDT + 0x1d] == 0x8b, "ltr makes the TSS busy");

	reset(P32);
	segs[X86_SEG_DS].type = 7;
	segs[X86_SEG_DS].limit = 0xfff;
	CODE_BYTES("\xa1\xfc\x0f\0\0");
	tap_ok(fault(run(), EXC_GP, 0), "expand-down: below the limit is #GP");
	CODE_BYTES("\xa1\x00\x10\0\0");
	tap_ok(run() == X86EMUL_CONTINUE, "expand-down: above it is not");
	reset(P32);
	segs[X86_SEG_DS].type = 1;
	CODE_BYTES("\xa3\x00\x10\0\0");
	tap_ok(fault(run(), EXC_GP, 0), "a store to a read-only segment is #GP");
}

void test_privilege(void)
{
	reset(P64);
	segs[X86_SEG_SS].dpl = 3;
	CODE_BYTES("\xf4");
	tap_ok(fault(run(), EXC_GP, 0) && !halted, "hlt in ring 3: #GP(0)");
	segs[X86_SEG_SS].dpl = 0;
	tap_ok(!run() && halted == 1 && ctxt.rip == CODE + 1, "hlt in ring 0");
	reset(P64);
	CODE_BYTES("\x0f\x32");
	ctxt.regs[X86_RCX] = 0xdead;
	tap_ok(fault(run(), EXC_GP, 0), "rdmsr of what is not there");
	ctxt.regs[X86_RCX] = 0xffffffff00000010;
	msr_value = 0x1122334455667788;
	tap_ok(!run() && ctxt.regs[X86_RAX] == 0x55667788 && ctxt.regs[X86_RDX] == 0x11223344,
	       "rdmsr");
	reset(P64);
	CODE_BYTES("\x0f\xa2");
	ctxt.regs[X86_RAX] = 0xffffffff00000000;
	ctxt.regs[X86_RCX] = 4;
	tap_ok(!run() && ctxt.regs[X86_RAX] == 1 && ctxt.regs[X86_RCX] == 7 &&
	       (ctxt.regs_dirty & 0xf) == 0xf, "cpuid");
	reset(P32);
	segs[X86_SEG_SS].dpl = 3;
	CODE_BYTES("\xe4\x60");
	mem[TSS + 0x66] = 0x68;
	tap_ok(fault(run(), EXC_GP, 0) && !pio_calls, "in without permission map: #GP(0)");
	segs[X86_SEG_TR].limit = 0x100;
	pio_ready = true;
	tap_ok(!run() && pio_port == 0x60 && pio_calls == 1, "in with the map's leave");
	ctxt.rip = CODE;
	mem[TSS + 0x68 + 12] = 1;
	tap_ok(fault(run(), EXC_GP, 0), "in against the map: #GP(0)");
}

static int invpcid(u64 type, u64 pcid, u64 address)
{
	memcpy(mem + DATA, &pcid, 8);
	memcpy(mem + DATA + 8, &address, 8);
	ctxt.regs[X86_RBX] = DATA;
	ctxt.regs[X86_RAX] = type;
	ctxt.rip = CODE;
	CODE_BYTES("\x66\x0f\x38\x82\x03");
	return run();
}

void test_invpcid(void)
{
	reset(P64);
	tap_ok(!invpcid(0, 0, 0x1000) && !invpcid(1, 0, 0) && !invpcid(2, 5, 0) &&
	       !invpcid(3, 0, 1ull << 63) && flushes == 4, "invpcid, all types");
	tap_ok(fault(invpcid(4, 0, 0), EXC_GP, 0), "another type: #GP(0)");
	tap_ok(fault(invpcid(2, 0x1000, 0), EXC_GP, 0), "reserved bits: #GP(0)");
	tap_ok(fault(invpcid(1, 1, 0), EXC_GP, 0), "a PCID without CR4.PCIDE: #GP(0)");
	crs[4] |= 1 << 17;
	tap_ok(!invpcid(1, 1, 0), "and with it");
	tap_ok(fault(invpcid(0, 0, 1ull << 63), EXC_GP, 0), "no canonical address: #GP(0)");
	segs[X86_SEG_SS].dpl = 3;
	tap_ok(fault(invpcid(2, 0, 0), EXC_GP, 0), "in CPL 3: #GP(0)");
	CODE_BYTES("\x66\x0f\x38\x82\xc3");
	tap_ok(fault(run(), EXC_UD, -1), "with a register: #UD");
}

void test_mwait(void)
{
	reset(P64);
	CODE_BYTES("\x0f\x01\xc8");
	ctxt.regs[X86_RAX] = MMIO;
	tap_ok(!run() && !mmio_reads && ctxt.rip == CODE + 3, "monitor of a device reads nothing");
	ctxt.rip = CODE;
	ctxt.regs[X86_RAX] = MEM_SIZE - 4096;
	tap_ok(fault(run(), EXC_PF, 0), "of what is not there: #PF");
	ctxt.regs[X86_RCX] = 1;
	tap_ok(fault(run(), EXC_GP, 0), "with an extension: #GP(0), before memory is looked at");
	segs[X86_SEG_SS].dpl = 3;
	tap_ok(fault(run(), EXC_UD, -1), "in CPL 3: #UD");
	reset(P64);
	CODE_BYTES("\x0f\x01\xc9");
	ctxt.regs[X86_RCX] = 1;
	tap_ok(!run() && ctxt.rip == CODE + 3, "mwait does not wait");
	ctxt.rip = CODE;
	ctxt.regs[X86_RCX] = 2;
	tap_ok(fault(run(), EXC_GP, 0), "mwait with an extension there is not: #GP(0)");
	lacking = X86EMUL_FEAT_MWAIT;
	tap_ok(fault(run(), EXC_UD, -1), "a guest without mwait: #UD");
}

void test_fsgsbase(void)
{
	reset(P64);
	CODE_BYTES("\xf3\x48\x0f\xae\xd8");
	ctxt.regs[0] = 0x123456789ab;
	tap_ok(fault(run(), EXC_UD, -1), "wrgsbase without CR4.FSGSBASE: #UD");
	crs[4] |= 1 << 16;
	tap_ok(!run() && msr_value == 0x123456789ab, "and with it");
	ctxt.regs[0] = 1ull << 63;
	ctxt.rip = CODE;
	tap_ok(fault(run(), EXC_GP, 0), "of what is not canonical: #GP(0)");
	CODE_BYTES("\xf3\x48\x0f\xae\xd0");
	ctxt.regs[0] = 0x42;
	tap_ok(!run() && msr_value == 0x42, "wrfsbase");
	CODE_BYTES("\xf3\x0f\xae\xc1");
	ctxt.rip = CODE;
	msr_value = 0x1122334455;
	tap_ok(!run() && ctxt.regs[X86_RCX] == 0x22334455, "rdfsbase ecx");
	CODE_BYTES("\xf3\x48\x0f\xae\xc9");
	ctxt.rip = CODE;
	tap_ok(!run() && ctxt.regs[X86_RCX] == 0x1122334455, "rdgsbase rcx");
	CODE_BYTES("\xf3\x0f\xc7\xfa");
	ctxt.rip = CODE;
	tap_ok(!run() && ctxt.regs[X86_RDX] == 0x1122334455, "rdpid rdx");
}
