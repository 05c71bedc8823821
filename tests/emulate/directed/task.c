// SPDX-License-Identifier: GPL-2.0-only
/* Task switches. */
#include "pc.h"

#define TASK 0x5000

/* Another task: eip 12345, eax 77, esp 60000, flat segments of CPL 0 */
static void put_task(void)
{
	unsigned int i;

	put_desc(0x38, 0x0000890000000067ull | (u64)TASK << 16);
	put_dword(TASK + 32, 0x12345);
	put_dword(TASK + 36, 2);
	put_dword(TASK + 40, 0x77);
	put_dword(TASK + 56, 0x60000);
	for (i = 0; i < 6; i++)
		put_dword(TASK + 72 + 4 * i, i == X86_SEG_CS ? 8 : 0x10);
}

void test_tasks(void)
{
	u32 error_code = 0x55;
	int rc;

	reset_gates(P32, 0);
	put_task();
	CODE_BYTES("\xea\0\0\0\0\x38\0");
	ctxt.regs[X86_RDI] = 0xd1;
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x12345 && ctxt.regs[0] == 0x77 && (crs[0] & 8) &&
	       segs[X86_SEG_TR].selector == 0x38 && dword(TSS + 32) == CODE + 7 &&
	       dword(TSS + 68) == 0xd1 && mem[GDT + 0x1d] == 0x89 && mem[GDT + 0x3d] == 0x8b &&
	       ctxt.regs_dirty == 0xff, "jmp to a TSS");

	reset_gates(P32, 0);
	put_task();
	CODE_BYTES("\x9a\0\0\0\0\x38\0");
	rc = run();
	tap_ok(!rc && ctxt.rflags == 0x4002 && word(TASK) == 0x18 &&
	       mem[GDT + 0x1d] == 0x8b && mem[GDT + 0x3d] == 0x8b, "call to a TSS nests");
	CODE_BYTES("\xcf");
	ctxt.rip = CODE;
	rc = run();
	tap_ok(!rc && ctxt.rip == CODE + 7 && segs[X86_SEG_TR].selector == 0x18 &&
	       mem[GDT + 0x3d] == 0x89 && ctxt.regs[X86_RSP] == STACK + 0x1000 &&
	       !(dword(TASK + 36) & 0x4000), "iret goes back");
	CODE_BYTES("\xea\0\0\0\0\x18\0");
	ctxt.rip = CODE;
	tap_ok(fault(run(), EXC_GP, 0x18), "jmp to a busy TSS: #GP");
	put_desc(0x38, 0x0000890000000066ull | (u64)TASK << 16);
	CODE_BYTES("\xea\0\0\0\0\x38\0");
	tap_ok(fault(run(), EXC_TS, 0x38) && !ctxt.switched, "jmp to a short TSS: #TS");
	put_task();
	put_dword(TASK + 84, 0x28);
	put_dword(TASK + 76, 0x23);
	tap_ok(fault(run(), EXC_TS, 0x10) && ctxt.switched && ctxt.rip == 0x12345 &&
	       segs[X86_SEG_TR].selector == 0x38, "SS of another level: #TS, in the new task");

	reset_gates(P32, 0);
	put_task();
	put_dword(TASK + 96, 0x40);
	put_desc(0x40, 0x000082005000000full);
	CODE_BYTES("\xea\0\0\0\0\x38\0");
	rc = run();
	tap_ok(!rc && segs[X86_SEG_LDTR].selector == 0x40 && segs[X86_SEG_LDTR].base == 0x5000 &&
	       segs[X86_SEG_LDTR].limit == 15, "jmp to a task with an LDT");
	reset_gates(P32, 0);
	put_task();
	put_dword(TASK + 96, 0x40);
	put_desc(0x40, 0x000002005000000full);
	CODE_BYTES("\xea\0\0\0\0\x38\0");
	tap_ok(fault(run(), EXC_TS, 0x40) && ctxt.switched, "whose LDT is not present: #TS");
	reset_gates(P32, 0);
	put_task();
	put_dword(TASK + 96, 0x44);
	CODE_BYTES("\xea\0\0\0\0\x38\0");
	tap_ok(fault(run(), EXC_TS, 0x44) && ctxt.switched, "whose LDT is in an LDT: #TS");

	reset_gates(P32, 3);
	put_task();
	put_idt(0x41, 8, gate(0x38, 0, 0xe5, 0));
	CODE_BYTES("\xcd\x41");
	rc = run();
	tap_ok(!rc && ring() == 0 && ctxt.rip == 0x12345 && word(TASK) == 0x18 &&
	       dword(TSS + 32) == CODE + 2 && dword(TSS + 76) == 0x23, "int n through a task gate");

	reset_gates(P32, 0);
	put_task();
	put_dword(TASK + 36, 0x23002);
	CODE_BYTES("\xea\0\0\0\0\x38\0");
	rc = run();
	tap_ok(!rc && segs[X86_SEG_SS].base == 0x100 && (ctxt.rflags & 0x20000),
	       "jmp to a task of virtual-8086 mode");

	reset_gates(P32, 0);
	put_task();
	rc = x86_emulate_task_switch(&ctxt, 0x38, X86EMUL_TASK_GATE, &error_code);
	tap_ok(!rc && ctxt.rip == 0x12345 && dword(0x5fffc) == 0x55 && dword(TSS + 32) == CODE,
	       "an intercepted switch, with an error code");

	reset_gates(P16, 0);
	put_task();
	put_desc(0x18, 0x000083003000002bull);
	segs[X86_SEG_TR].type = 3;
	segs[X86_SEG_TR].limit = 0x2b;
	put_desc(0x38, 0x000081000000002bull | (u64)TASK << 16);
	memset(mem + TASK, 0, 0x2c);
	memcpy(mem + TASK + 14, "\x34\x12\x02\x00\x99\x00", 6);
	memcpy(mem + TASK + 34, "\x10\0\x08\0\x10\0\x10", 7);
	CODE_BYTES("\xea\0\0\x38\0");
	rc = run();
	tap_ok(!rc && ctxt.rip == 0x1234 && ctxt.regs[0] == 0x99 &&
	       word(TSS + 14) == (u16)(CODE + 5), "jmp to a 16-bit TSS");
}
