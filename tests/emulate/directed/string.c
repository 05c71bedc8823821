// SPDX-License-Identifier: GPL-2.0-only
/* Strings: batches, restarts, devices, ports. */
#include "pc.h"

void test_strings(void)
{
	u32 val = 0xabcd;
	unsigned int i;
	int rc;

	reset(P64);
	CODE_BYTES("\xf3\xa4");
	ctxt.regs[X86_RCX] = 3000;
	ctxt.regs[X86_RSI] = DATA;
	ctxt.regs[X86_RDI] = DATA + 0x4000;
	memset(mem + DATA, 0x5a, 3000);
	rc = run();
	tap_ok(!rc && ctxt.more && ctxt.rip == CODE &&
	       ctxt.regs[X86_RCX] == 3000 - X86EMUL_BATCH_ITERS, "rep movsb: one batch");
	for (i = 0; !rc && ctxt.more && i < 10; i++)
		rc = run();
	tap_ok(!rc && !ctxt.regs[X86_RCX] && ctxt.rip == CODE + 2 &&
	       !memcmp(mem + DATA, mem + DATA + 0x4000, 3001), "and all of them");

	reset(P64);
	CODE_BYTES("\xf3\xab");
	ctxt.regs[X86_RCX] = 10;
	ctxt.regs[X86_RDI] = MEM_SIZE - 4096 - 16;
	rc = run();
	tap_ok(fault(rc, EXC_PF, 2) && ctxt.exception.address == MEM_SIZE - 4096 &&
	       ctxt.regs[X86_RCX] == 6 && ctxt.regs[X86_RDI] == MEM_SIZE - 4096 &&
	       ctxt.rip == CODE, "rep stosd stops at a fault, with what it did");

	reset(P64);
	CODE_BYTES("\xf3\xa5");
	ctxt.regs[X86_RCX] = 4;
	ctxt.regs[X86_RSI] = DATA;
	ctxt.regs[X86_RDI] = MMIO;
	rc = run();
	tap_ok(!rc && ctxt.more && mmio_writes == 1 && ctxt.regs[X86_RCX] == 3,
	       "rep movsd to a device: a write at a time");
	reset(P64);
	CODE_BYTES("\xf3\xa5");
	ctxt.regs[X86_RCX] = 3;
	ctxt.regs[X86_RSI] = MMIO;
	ctxt.regs[X86_RDI] = DATA;
	rc = run();
	while (rc == X86EMUL_IO_NEEDED && val < 0xabe0) {
		val++;
		x86_emulate_read_done(&ctxt, &val, 4);
		rc = x86_emulate_insn(&ctxt);
	}
	tap_ok(!rc && mmio_reads == 3 && !ctxt.regs[X86_RCX] &&
	       word(DATA) == 0xabce && word(DATA + 8) == 0xabd0, "rep movsd from a device");
	reset(REAL);
	CODE_BYTES("\xf2\xae");
	ctxt.regs[X86_RCX] = 0x100;
	mem[DATA + 5] = 0x40;
	ctxt.regs[X86_RAX] = 0x40;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RCX] == 0xfa && ctxt.regs[X86_RDI] == 6 &&
	       (ctxt.rflags & X86_FLAG_ZF), "repne scasb finds it");
}

void test_io_strings(void)
{
	unsigned int i;
	int rc;

	for (i = 0; i < sizeof(pio_data); i++)
		pio_data[i] = i * 7;
	reset(P64);
	CODE_BYTES("\xf3\x6d");
	ctxt.regs[X86_RCX] = 2000;
	ctxt.regs[X86_RDX] = 0x1f0;
	ctxt.regs[X86_RDI] = DATA + 0x800;
	rc = run();
	tap_ok(rc == X86EMUL_IO_NEEDED && pio_count == 512 && pio_size == 4 &&
	       pio_port == 0x1f0 && ctxt.regs[X86_RCX] == 2000,
	       "rep insd asks for what is left of the page");
	pio_ready = true;
	rc = x86_emulate_insn(&ctxt);
	tap_ok(rc == X86EMUL_IO_NEEDED && ctxt.regs[X86_RCX] == 2000 - 512 &&
	       pio_count == 1024 && !memcmp(mem + DATA + 0x800, pio_data, 2048),
	       "then has it, and asks for a page");
	pio_ready = true;
	rc = x86_emulate_insn(&ctxt);
	tap_ok(!rc && ctxt.more && ctxt.regs[X86_RCX] == 2000 - 512 - 1024,
	       "and gives others a turn");

	reset(P64);
	CODE_BYTES("\xf3\x6c");
	ctxt.regs[X86_RCX] = 10;
	ctxt.regs[X86_RDI] = MEM_SIZE - 4096 - 4;
	ctxt.rflags |= X86_FLAG_DF;
	pio_ready = true;
	rc = run();
	tap_ok(rc == X86EMUL_IO_NEEDED && pio_count == 1 && ctxt.regs[X86_RCX] == 9 &&
	       ctxt.regs[X86_RDI] == MEM_SIZE - 4096 - 5, "rep insb downwards: one by one");
	reset(P64);
	CODE_BYTES("\x6c");
	ctxt.regs[X86_RDI] = MEM_SIZE - 4096;
	tap_ok(fault(run(), EXC_PF, 2) && !pio_calls,
	       "insb to where there is no page asks no device");

	reset(REAL);
	CODE_BYTES("\xf3\x6e");
	ctxt.regs[X86_RCX] = 100;
	ctxt.regs[X86_RDX] = 0x402;
	ctxt.regs[X86_RSI] = 0x10;
	memset(mem + DATA + 0x10, 0x33, 100);
	rc = run();
	tap_ok(!rc && pio_count == 100 && pio_data[99] == 0x33 && !ctxt.regs[X86_RCX] &&
	       ctxt.regs[X86_RSI] == 0x74 && ctxt.posted, "rep outsb in one batch");
	reset(REAL);
	CODE_BYTES("\xf3\x6e");
	ctxt.regs[X86_RCX] = 0x200;
	ctxt.regs[X86_RSI] = 0xff80;
	rc = run();
	tap_ok(!rc && pio_count <= 0x80, "rep outsb ends its batch where SI wraps");
	reset(REAL);
	CODE_BYTES("\xe7\x80");
	ctxt.regs[X86_RAX] = 0x12345678;
	tap_ok(!run() && pio_size == 2 && word(0) == 0 && pio_data[0] == 0x78 &&
	       pio_data[1] == 0x56, "out 80h, ax");
	reset(REAL);
	CODE_BYTES("\x66\xed");
	ctxt.regs[X86_RDX] = 0xcfc;
	rc = run();
	memcpy(pio_data, "\x86\x80\x37\x12", 4);
	pio_ready = true;
	tap_ok(rc == X86EMUL_IO_NEEDED && !x86_emulate_insn(&ctxt) &&
	       ctxt.regs[0] == 0x12378086, "in eax, dx by way of userspace");
}
