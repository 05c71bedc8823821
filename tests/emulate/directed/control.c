// SPDX-License-Identifier: GPL-2.0-only
/* Far and privileged control transfers: real mode, INT, IRET, call gates, virtual-8086 mode. */
#include "pc.h"

void test_real_mode(void)
{
	int rc;

	reset(REAL);
	CODE_BYTES("\xea\x34\x12\x00\xf0");
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x1234 && segs[X86_SEG_CS].selector == 0xf000 &&
	       segs[X86_SEG_CS].base == 0xf0000, "real: jmp far");

	reset(REAL);
	CODE_BYTES("\x9a\x34\x12\x00\x20");
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x1234 && segs[X86_SEG_CS].selector == 0x2000 &&
	       ctxt.regs[X86_RSP] == 0xffc && word(STACK + 0xffc) == 5 &&
	       word(STACK + 0xffe) == CODE >> 4, "real: call far");

	reset(REAL);
	CODE_BYTES("\xcd\x10");
	ctxt.rflags = 0x302;
	memcpy(mem + 0x40, "\x65\x01\x00\xc0", 4);
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x165 && segs[X86_SEG_CS].base == 0xc0000 &&
	       ctxt.rflags == 2 && word(STACK + 0xffe) == 0x302 &&
	       word(STACK + 0xffa) == 2, "real: int 10h");
	mem[0xc0165] = 0xcf;
	rc = run();
	tap_ok(!rc && ctxt.rip == 2 && segs[X86_SEG_CS].base == CODE &&
	       ctxt.rflags == 0x302 && ctxt.regs[X86_RSP] == 0x1000 && nmi_unblocked == 1,
	       "real: iret goes back");

	rc = RUN(REAL, "\x8e\xd0");
	tap_ok(!rc && ctxt.interruptibility == X86EMUL_SHADOW_MOV_SS &&
	       segs[X86_SEG_SS].base == 0, "real: mov ss, ax holds interrupts off");
	rc = RUN(REAL, "\xfb");
	tap_ok(!rc && ctxt.interruptibility == X86EMUL_SHADOW_STI &&
	       ctxt.rflags == 0x202, "real: sti holds interrupts off");
	reset(REAL);
	CODE_BYTES("\xfb");
	ctxt.rflags = 0x202;
	rc = run();
	tap_ok(!rc && !ctxt.interruptibility, "real: sti with IF set does not");

	reset(REAL);
	CODE_BYTES("\xa1\xff\xff");
	tap_ok(fault(run(), EXC_GP, 0), "real: a word at FFFF is #GP");
	reset(REAL);
	CODE_BYTES("\x8b\x46\x00");
	ctxt.regs[X86_RBP] = 0xffff;
	tap_ok(fault(run(), EXC_SS, 0), "real: a word at BP=FFFF is #SS");
	reset(REAL);
	CODE_BYTES("\x67\x66\x8b\x03");
	ctxt.regs[X86_RBX] = 0x100000;
	tap_ok(fault(run(), EXC_GP, 0), "real: beyond 64 KiB is #GP");
	segs[X86_SEG_DS].limit = 0xffffffff;
	memcpy(mem + DATA + 0x100000, "\x78\x56\x34\x12", 4);
	rc = run();
	tap_ok(!rc && ctxt.regs[0] == 0x12345678, "big real mode: it is not");

	reset(REAL);
	CODE_BYTES("\x8b\x40\x10");
	ctxt.regs[X86_RBX] = 0xfff8;
	ctxt.regs[X86_RSI] = 0x10;
	memcpy(mem + DATA + 0x18, "\x21\x43", 2);
	rc = run();
	tap_ok(!rc && ctxt.regs[0] == 0x4321, "real: bx+si+10h wraps at 64 KiB");

	reset(REAL);
	CODE_BYTES("\x60");
	ctxt.regs[X86_RAX] = 0x1111;
	ctxt.regs[X86_RDI] = 0x2222;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RSP] == 0xff0 && word(STACK + 0xffe) == 0x1111 &&
	       word(STACK + 0xff0) == 0x2222 && word(STACK + 0xff6) == 0x1000, "real: pusha");
	code("\x61", 1);
	ctxt.rip = 0;
	ctxt.regs[X86_RDI] = 0;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RDI] == 0x2222 && ctxt.regs[X86_RSP] == 0x1000,
	       "real: popa");
	tap_ok(fault(RUN(REAL, "\x0f\x00\xd8"), EXC_UD, -1), "real: ltr is #UD");
	tap_ok(fault(RUN(REAL, "\xf0\x90"), EXC_UD, -1), "lock nop is #UD");
}

void test_iret(void)
{
	static const u32 outer[] = { 0x400, 0x1b, 0x3246, 0x5000, 0x23 };
	u64 frame[5] = { 0x400, 8, 0x246, STACK, 0 };
	int rc;

	reset(P32);
	put_desc(0x18, 0x00cffa000000ffffull);
	put_desc(0x20, 0x00cff2000000ffffull);
	memcpy(mem + STACK + 0x1000, outer, sizeof(outer));
	CODE_BYTES("\xcf");
	rc = run();
	tap_ok(!rc && ring() == 3 && ctxt.rip == 0x400 && ctxt.rflags == 0x3246 &&
	       ctxt.regs[X86_RSP] == 0x5000 && segs[X86_SEG_SS].selector == 0x23 &&
	       segs[X86_SEG_DS].unusable, "iret to ring 3");
	reset(P64);
	put_desc(8, 0x00af9a000000ffffull);
	memcpy(mem + STACK + 0x1000, frame, sizeof(frame));
	CODE_BYTES("\x48\xcf");
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x400 && ctxt.regs[X86_RSP] == STACK &&
	       segs[X86_SEG_SS].unusable && ctxt.rflags == 0x246, "iretq to ring 0, null SS");
}

void test_int(void)
{
	int rc;

	reset_gates(P32, 0);
	CODE_BYTES("\xcd\x41");
	put_idt(0x41, 8, gate(0x08, 0x12345, 0x8e, 0));
	ctxt.rflags = 0x302;
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x12345 && ctxt.rflags == 2 &&
	       ctxt.regs[X86_RSP] == STACK + 0xff4 && dword(STACK + 0xff4) == CODE + 2 &&
	       dword(STACK + 0xff8) == 8 && dword(STACK + 0xffc) == 0x302,
	       "int n through a 32-bit gate, same level");

	reset_gates(P32, 3);
	CODE_BYTES("\xcc");
	put_idt(3, 8, gate(0x08, 0x12345, 0xef, 0));
	ctxt.rflags = 0x202;
	rc = run();
	tap_ok(!rc && ring() == 0 && ctxt.rip == 0x12345 && ctxt.rflags == 0x202 &&
	       segs[X86_SEG_CS].selector == 8 && segs[X86_SEG_SS].selector == 0x10 &&
	       ctxt.regs[X86_RSP] == 0x40000 - 20 && dword(0x40000 - 4) == 0x2b &&
	       dword(0x40000 - 8) == STACK + 0x1000 && dword(0x40000 - 16) == 0x23,
	       "int3 through a trap gate, to CPL 0's stack");
	CODE_BYTES("\xcf");
	ctxt.rip = CODE;
	rc = run();
	tap_ok(!rc && ring() == 3 && ctxt.rip == CODE + 1 && ctxt.regs[X86_RSP] == STACK + 0x1000,
	       "and iret, back");
	put_idt(3, 8, gate(0x08, 0x12345, 0x8f, 0));
	ctxt.rip = CODE;
	CODE_BYTES("\xcc");
	tap_ok(fault(run(), EXC_GP, 3 * 8 + 2), "int3: the gate's DPL");
	put_idt(3, 8, gate(0x08, 0x12345, 0x6f, 0));
	tap_ok(fault(run(), EXC_NP, 3 * 8 + 2), "the gate is not present");
	put_idt(3, 8, gate(0x08, 0x12345, 0xef, 0));
	put_dword(TSS + 8, 0);
	tap_ok(fault(run(), EXC_TS, 0) && ring() == 3, "the inner stack is null: #TS");
	put_dword(TSS + 8, 0x2b);
	tap_ok(fault(run(), EXC_TS, 0x28) && ctxt.regs[X86_RSP] == STACK + 0x1000,
	       "the inner stack is an outer one: #TS");
	tables[X86EMUL_IDT].limit = 20;
	tap_ok(fault(run(), EXC_GP, 3 * 8 + 2), "beyond the IDT");
	reset_gates(P32, 3);
	CODE_BYTES("\xf1");
	put_idt(1, 8, gate(0x08, 0x12345, 0x8e, 0));
	tap_ok(!run() && ctxt.rip == 0x12345 && ring() == 0, "int1 needs no DPL");

	reset_gates(P64, 3);
	CODE_BYTES("\xcd\x41");
	put_idt(0x41, 16, gate(0x08, 0x12345, 0xee, 0));
	ctxt.regs[X86_RSP] = STACK + 0xffc;
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x12345 && ring() == 0 && segs[X86_SEG_SS].unusable &&
	       ctxt.regs[X86_RSP] == 0x40000 - 40 && dword(0x40000 - 8) == 0x2b &&
	       dword(0x40000 - 16) == STACK + 0xffc, "64-bit: int n to CPL 0");
	reset_gates(P64, 0);
	put_idt(0x41, 16, gate(0x08, 0x12345, 0x8e, 2));
	put_dword(TSS + 44, 0x50008);
	CODE_BYTES("\xcd\x41");
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RSP] == 0x50000 - 40 && dword(0x50000 - 16) == STACK + 0x1000,
	       "64-bit: int n with an IST's stack, aligned");
	put_idt(0x41, 16, gate(0x08, 0x12345, 0x85, 0));
	ctxt.rip = CODE;
	tap_ok(fault(run(), EXC_GP, 0x41 * 8 + 2), "64-bit: there are no task gates");
}

void test_vm86(void)
{
	int rc;

	reset_gates(P32, 0);
	ctxt.mode = X86EMUL_MODE_VM86;
	ctxt.rflags = 0x23202;
	segs[X86_SEG_SS].dpl = 3;
	set_seg(X86_SEG_CS, CODE >> 4, CODE, 0xffff, 3, false);
	set_seg(X86_SEG_SS, STACK >> 4, STACK, 0xffff, 3, false);
	segs[X86_SEG_FS].selector = 0x1234;
	ctxt.rip = 0;
	ctxt.regs[X86_RSP] = 0x1000;
	CODE_BYTES("\xcd\x41");
	put_idt(0x41, 8, gate(0x08, CODE, 0xee, 0));
	rc = run();
	tap_ok(!rc && ring() == 0 && ctxt.rip == CODE && !(ctxt.rflags & 0x20000) &&
	       ctxt.regs[X86_RSP] == 0x40000 - 36 && dword(0x40000 - 8) == 0x1234 &&
	       segs[X86_SEG_FS].unusable && dword(0x40000 - 20) == STACK >> 4,
	       "int n out of virtual-8086 mode");
	ctxt.mode = P32;
	CODE_BYTES("\xcf");
	rc = run();
	tap_ok(!rc && ctxt.rip == 2 && ctxt.rflags == 0x23202 && ctxt.regs[X86_RSP] == 0x1000 &&
	       segs[X86_SEG_CS].base == CODE && segs[X86_SEG_FS].base == 0x12340 &&
	       segs[X86_SEG_CS].dpl == 3, "iret back into it");
	reset_gates(P32, 0);
	ctxt.mode = X86EMUL_MODE_VM86;
	ctxt.rflags = 0x20202;
	CODE_BYTES("\xcd\x41");
	set_seg(X86_SEG_CS, CODE >> 4, CODE, 0xffff, 3, false);
	ctxt.rip = 0;
	tap_ok(fault(run(), EXC_GP, 0), "int n with IOPL below 3: #GP(0)");
}

void test_call_gates(void)
{
	int rc;

	reset_gates(P32, 3);
	put_desc(0x30, gate(0x08, 0x12345, 0xec, 2));
	put_dword(STACK + 0x1000, 0x1111);
	put_dword(STACK + 0x1004, 0x2222);
	CODE_BYTES("\x9a\0\0\0\0\x33\0");
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x12345 && ring() == 0 && ctxt.regs[X86_RSP] == 0x40000 - 24 &&
	       dword(0x40000 - 24) == CODE + 7 && dword(0x40000 - 20) == 0x23 &&
	       dword(0x40000 - 16) == 0x1111 && dword(0x40000 - 12) == 0x2222 &&
	       dword(0x40000 - 8) == STACK + 0x1000, "call through a gate, with parameters");
	CODE_BYTES("\xca\x08\x00");
	ctxt.rip = CODE;
	rc = run();
	tap_ok(!rc && ring() == 3 && ctxt.rip == CODE + 7 && ctxt.regs[X86_RSP] == STACK + 0x1008,
	       "ret far n to the outer level");
	ctxt.rip = CODE;
	CODE_BYTES("\xea\0\0\0\0\x33\0");
	tap_ok(fault(run(), EXC_GP, 8), "jmp through a gate cannot gain privilege");
	put_desc(0x30, gate(0x23, 0x12345, 0xec, 0));
	tap_ok(!run() && ctxt.rip == 0x12345 && ring() == 3, "but stays at its level");
	put_desc(0x30, gate(0x08, 0x12345, 0x8c, 0));
	ctxt.rip = CODE;
	tap_ok(fault(run(), EXC_GP, 0x30), "the gate's DPL");
	put_desc(0x30, gate(0x08, 0x12345, 0x6c, 0));
	tap_ok(fault(run(), EXC_NP, 0x30), "the gate is not present");
	put_desc(0x30, gate(0x08, 0x12345, 0xe2, 0));
	tap_ok(fault(run(), EXC_GP, 0x30), "jmp to an LDT: #GP");
	reset_gates(P64, 3);
	put_desc(0x30, gate(0x08, 0x12345, 0xec, 0));
	CODE_BYTES("\xff\x1b");
	ctxt.regs[X86_RBX] = DATA;
	memcpy(mem + DATA, "\0\0\0\0\x30\0", 6);
	rc = run();
	tap_ok(!rc && ring() == 0 && ctxt.rip == 0x12345 && ctxt.regs[X86_RSP] == 0x40000 - 32 &&
	       segs[X86_SEG_SS].unusable && dword(0x40000 - 32) == CODE + 2,
	       "64-bit: call through a gate");
}
