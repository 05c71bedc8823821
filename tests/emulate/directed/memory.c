// SPDX-License-Identifier: GPL-2.0-only
/* Devices in memory, and atomic accesses. */
#include "pc.h"

void test_mmio(void)
{
	u64 val = 0x0807060504030201;
	int rc;

	reset(P64);
	CODE_BYTES("\x48\x8b\x03");
	ctxt.regs[X86_RBX] = MMIO;
	rc = run();
	tap_ok(rc == X86EMUL_IO_NEEDED && ctxt.rip == CODE && ctxt.rc.pending == 8 &&
	       ctxt.rc.pending_addr == MMIO, "mov rax, [mmio] asks userspace");
	x86_emulate_read_done(&ctxt, &val, 8);
	rc = x86_emulate_insn(&ctxt);
	tap_ok(!rc && ctxt.regs[0] == val && ctxt.rip == CODE + 3 && mmio_reads == 1,
	       "and goes on with the answer, without asking again");
	reset(P64);
	CODE_BYTES("\x48\x8b\x03");
	ctxt.regs[X86_RBX] = MMIO;
	rc = run();
	mmio_answered = true;
	tap_ok(rc == X86EMUL_IO_NEEDED && !x86_emulate_insn(&ctxt) &&
	       ctxt.regs[0] == 0x0101010101010101, "or the op answers when asked again");

	/* Two device reads and a push: the first is not read twice. */
	reset(P32);
	CODE_BYTES("\xa7");
	ctxt.regs[X86_RSI] = MMIO;
	ctxt.regs[X86_RDI] = MMIO + 8;
	rc = run();
	val = 5;
	x86_emulate_read_done(&ctxt, &val, 4);
	tap_ok(rc == X86EMUL_IO_NEEDED && x86_emulate_insn(&ctxt) == X86EMUL_IO_NEEDED &&
	       ctxt.regs[X86_RSI] == MMIO && ctxt.rc.pending_addr == MMIO + 8,
	       "cmpsd between devices: the second read");
	x86_emulate_read_done(&ctxt, &val, 4);
	rc = x86_emulate_insn(&ctxt);
	tap_ok(!rc && mmio_reads == 2 && (ctxt.rflags & X86_FLAG_ZF) &&
	       ctxt.regs[X86_RSI] == MMIO + 4 && ctxt.regs[X86_RDI] == MMIO + 12,
	       "each was read once");

	reset(P64);
	CODE_BYTES("\x83\x03\x01");
	ctxt.regs[X86_RBX] = MMIO + 4;
	rc = run();
	val = 0xffffffff;
	x86_emulate_read_done(&ctxt, &val, 4);
	tap_ok(rc == X86EMUL_IO_NEEDED && !x86_emulate_insn(&ctxt) && mmio_writes == 1 &&
	       mmio_log[0].val == 0 && mmio_log[0].bytes == 4 && ctxt.posted &&
	       (ctxt.rflags & (X86_FLAG_CF | X86_FLAG_ZF)) == (X86_FLAG_CF | X86_FLAG_ZF),
	       "add [mmio], 1: read, then a posted write");
	reset(P64);
	CODE_BYTES("\xff\x33");
	ctxt.regs[X86_RBX] = MMIO;
	rc = run();
	tap_ok(rc == X86EMUL_IO_NEEDED && ctxt.regs[X86_RSP] == STACK + 0x1000,
	       "push [mmio] leaves rsp while it waits");
	reset(P64);
	CODE_BYTES("\x0f\x29\x03");
	ctxt.regs[X86_RBX] = MMIO;
	memset(xmm[0], 0x77, 16);
	rc = run();
	tap_ok(!rc && mmio_writes == 1 && mmio_log[0].bytes == 16, "movaps [mmio], xmm0");
	ctxt.rip = CODE;
	ctxt.regs[X86_RBX] = MMIO + 8;
	tap_ok(fault(run(), EXC_GP, 0), "and misaligned: #GP(0)");
	reset(P64);
	CODE_BYTES("\xf0\x0f\xb1\x0b");
	ctxt.regs[X86_RBX] = DATA;
	cmpxchg_loses = true;
	tap_ok(run() == X86EMUL_RETRY_INSTR && ctxt.rip == CODE && ctxt.rflags == 2,
	       "lock cmpxchg that lost a race: again");
}

void test_cmpxchg8b(void)
{
	unsigned int i;
	int rc;

	for (i = 0; i < 2; i++) {
		reset(P64);
		if (i)
			CODE_BYTES("\xf0\x0f\xc7\x0e");
		else
			CODE_BYTES("\x0f\xc7\x0e");
		ctxt.regs[X86_RSI] = DATA;
		ctxt.regs[X86_RAX] = 1;
		ctxt.regs[X86_RDX] = 2;
		ctxt.regs[X86_RBX] = 3;
		ctxt.regs[X86_RCX] = 4;
		put_dword(DATA, 1);
		put_dword(DATA + 4, 2);
		rc = run();
		tap_ok(!rc && dword(DATA) == 3 && dword(DATA + 4) == 4 && (ctxt.rflags & X86_FLAG_ZF),
		       "cmpxchg8b of what is equal%s", i ? ", locked" : "");
	}
	CODE_BYTES("\x48\x0f\xc7\x0e");
	ctxt.rip = CODE;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RAX] == 0x400000003 && !ctxt.regs[X86_RDX] &&
	       !(ctxt.rflags & X86_FLAG_ZF), "cmpxchg16b of what is not");
	ctxt.rip = CODE;
	lacking = X86EMUL_FEAT_CX16;
	tap_ok(fault(run(), EXC_UD, -1), "in a guest without: #UD");
}
