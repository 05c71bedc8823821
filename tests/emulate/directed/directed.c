// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a program cannot run natively: real mode, privileged and far control
 * transfers, devices behind memory and ports, restarts, batches.  A machine of
 * 2 MiB whose bytes at MMIO belong to a device that only "userspace" answers.
 */
#include <stdlib.h>

#include "../tap.h"
#include "../machine.h"

#define MEM_SIZE 0x200000
#define MMIO 0xd0000
#define MMIO_END 0xe0000
#define CODE 0x10000
#define DATA 0x20000
#define STACK 0x30000
#define GDT 0x1000
#define IDT 0
#define TSS 0x3000

static u8 *mem;
static u64 msr_value;
static struct x86_emulate_ctxt ctxt;

/* The device: values it answers, writes it saw. */
static unsigned int mmio_reads, mmio_writes, device_next;
static bool mmio_answer_by_op, mmio_answered;
static struct { u64 addr, val; unsigned int bytes; } mmio_log[64];
static unsigned int pio_calls, pio_count, pio_size, pio_port;
static bool pio_ready;
static u8 pio_data[4096];
static unsigned int nmi_unblocked, halted;

static bool is_mmio(u64 addr)
{
	return addr >= MMIO && addr < MMIO_END;
}

static int check(u64 addr, unsigned int bytes, unsigned int access)
{
	/* The last page is not present. */
	if (addr + bytes > MEM_SIZE - 4096)
		return x86_emulate_page_fault(&ctxt, addr > MEM_SIZE - 4096 ? addr :
					      MEM_SIZE - 4096,
					      access & X86EMUL_ACC_WRITE ? 2 : 0);
	return X86EMUL_CONTINUE;
}

static int op_read(struct x86_emulate_ctxt *c, u64 addr, void *val,
		   unsigned int bytes, unsigned int access)
{
	int rc = check(addr, bytes, access);

	(void)c;
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (is_mmio(addr)) {
		mmio_reads++;
		if (!mmio_answered)
			return X86EMUL_IO_NEEDED;
		mmio_answered = false;
		memset(val, ++device_next, bytes);
		return X86EMUL_CONTINUE;
	}
	memcpy(val, mem + addr, bytes);
	return X86EMUL_CONTINUE;
}

static int op_write(struct x86_emulate_ctxt *c, u64 addr, const void *val,
		    unsigned int bytes, unsigned int access)
{
	int rc = check(addr, bytes, access | X86EMUL_ACC_WRITE);

	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (is_mmio(addr)) {
		mmio_log[mmio_writes % 64].addr = addr;
		mmio_log[mmio_writes % 64].bytes = bytes;
		mmio_log[mmio_writes % 64].val = 0;
		memcpy(&mmio_log[mmio_writes % 64].val, val, bytes > 8 ? 8 : bytes);
		mmio_writes++;
		c->posted = true;
		return X86EMUL_CONTINUE;
	}
	memcpy(mem + addr, val, bytes);
	return X86EMUL_CONTINUE;
}

static int op_fetch(struct x86_emulate_ctxt *c, u64 addr, void *val, unsigned int bytes)
{
	int rc = check(addr, bytes, 0);

	(void)c;
	if (rc == X86EMUL_CONTINUE)
		memcpy(val, mem + addr, bytes);
	return rc;
}

static int op_probe(struct x86_emulate_ctxt *c, u64 addr, unsigned int bytes,
		    unsigned int access)
{
	int rc = check(addr, bytes, access);

	(void)c;
	if (rc == X86EMUL_CONTINUE && is_mmio(addr))
		return X86EMUL_IO_NEEDED;
	return rc;
}

static bool cmpxchg_loses;

static int op_cmpxchg(struct x86_emulate_ctxt *c, u64 addr, const void *old,
		      const void *new, unsigned int bytes)
{
	if (is_mmio(addr))
		return op_write(c, addr, new, bytes, 0);
	if (cmpxchg_loses || memcmp(mem + addr, old, bytes))
		return X86EMUL_RETRY_INSTR;
	memcpy(mem + addr, new, bytes);
	return X86EMUL_CONTINUE;
}

static int op_pio_in(struct x86_emulate_ctxt *c, unsigned int size, u16 port,
		     void *buf, unsigned int count)
{
	(void)c;
	pio_calls++;
	pio_size = size;
	pio_port = port;
	pio_count = count;
	if (!pio_ready)
		return X86EMUL_IO_NEEDED;
	pio_ready = false;
	memcpy(buf, pio_data, size * count);
	return X86EMUL_CONTINUE;
}

static int op_pio_out(struct x86_emulate_ctxt *c, unsigned int size, u16 port,
		      const void *buf, unsigned int count)
{
	pio_calls++;
	pio_size = size;
	pio_port = port;
	pio_count = count;
	memcpy(pio_data, buf, size * count);
	c->posted = true;
	return X86EMUL_CONTINUE;
}

static int op_get_msr(struct x86_emulate_ctxt *c, u32 msr, u64 *val)
{
	if (msr == 0xdead)
		return x86_emulate_fault_code(c, EXC_GP, 0);
	*val = msr == 0xc0000080 ? efer : msr_value;
	return X86EMUL_CONTINUE;
}

static int op_set_msr(struct x86_emulate_ctxt *c, u32 msr, u64 val)
{
	(void)c;
	(void)msr;
	msr_value = val;
	return X86EMUL_CONTINUE;
}

static int op_cpuid(struct x86_emulate_ctxt *c, u32 *a, u32 *b, u32 *cx, u32 *d)
{
	(void)c;
	*a += 1;
	*b = 2;
	*cx += 3;
	*d = 4;
	return X86EMUL_CONTINUE;
}

static int op_halt(struct x86_emulate_ctxt *c)
{
	(void)c;
	halted++;
	return X86EMUL_CONTINUE;
}

static void op_unblock_nmi(struct x86_emulate_ctxt *c)
{
	(void)c;
	nmi_unblocked++;
}

static u8 xmm[16][16];

static int op_get_vec(struct x86_emulate_ctxt *c, unsigned int nr, void *val, unsigned int bytes)
{
	(void)c;
	memcpy(val, xmm[nr], bytes);
	return X86EMUL_CONTINUE;
}

static int op_put_vec(struct x86_emulate_ctxt *c, unsigned int nr, const void *val,
		      unsigned int bytes)
{
	(void)c;
	memcpy(xmm[nr], val, bytes);
	return X86EMUL_CONTINUE;
}

/* x87's environment as the processor has it in protected mode, and its registers. */
static struct { u32 field[7]; u8 registers[80]; } x87;
static u16 x87_sw;

static int op_x87(struct x86_emulate_ctxt *c, u8 opcode, u8 modrm, void *mem_operand)
{
	unsigned int bytes = opcode == 0xd9 ? 28 : 108;

	(void)c;
	switch (modrm >> 3 & 7) {
	case 4:
		memcpy(&x87, mem_operand, bytes);
		break;
	case 6:
		memcpy(mem_operand, &x87, bytes);
		break;
	default:
		memcpy(mem_operand, &x87_sw, 2);
		break;
	}
	return X86EMUL_CONTINUE;
}

static u8 fx_image[512];

static int op_fxsave(struct x86_emulate_ctxt *c, void *image, bool rex_w)
{
	(void)c;
	(void)rex_w;
	memcpy(image, fx_image, sizeof(fx_image));
	return X86EMUL_CONTINUE;
}

static int op_fxrstor(struct x86_emulate_ctxt *c, const void *image, bool rex_w)
{
	(void)c;
	(void)rex_w;
	memcpy(fx_image, image, sizeof(fx_image));
	return X86EMUL_CONTINUE;
}

static unsigned int flushes;
static bool random_fails;
static enum x86emul_feature lacking;

static void op_flush_tlb(struct x86_emulate_ctxt *c)
{
	(void)c;
	flushes++;
}

static bool op_random(struct x86_emulate_ctxt *c, bool seed, u64 *val)
{
	(void)c;
	*val = seed ? 0x5eed5eed5eed5eed : 0x1234567812345678;
	return !random_fails;
}

static bool op_has_feature(struct x86_emulate_ctxt *c, enum x86emul_feature f)
{
	(void)c;
	return f != lacking;
}

static const struct x86_emulate_ops ops = {
	.read = op_read, .write = op_write, .fetch = op_fetch, .probe = op_probe,
	.cmpxchg = op_cmpxchg, .pio_in = op_pio_in, .pio_out = op_pio_out,
	MACHINE_OPS,
	.get_msr = op_get_msr, .set_msr = op_set_msr, .cpuid = op_cpuid,
	.halt = op_halt, .unblock_nmi = op_unblock_nmi,
	.get_vec = op_get_vec, .put_vec = op_put_vec, .x87 = op_x87,
	.fxsave = op_fxsave, .fxrstor = op_fxrstor,
	.flush_tlb = op_flush_tlb, .random = op_random, .has_feature = op_has_feature,
};

static unsigned int ring(void)
{
	return op_get_cpl(&ctxt);
}

/* ---- set-up ---- */

static void set_seg(unsigned int nr, u16 selector, u64 base, u32 limit, u8 type, bool db)
{
	struct x86_seg *s = &segs[nr];

	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->base = base;
	s->limit = limit;
	s->type = type;
	s->s = s->present = 1;
	s->db = db;
}

static void reset(enum x86emul_mode mode)
{
	bool prot = mode >= X86EMUL_MODE_PROT16, wide = mode >= X86EMUL_MODE_PROT32;
	unsigned int i;

	memset(mem, 0, MEM_SIZE);
	x86_emulate_init(&ctxt);
	ctxt.ops = &ops;
	ctxt.mode = mode;
	ctxt.rflags = 2;
	crs[0] = prot;
	crs[4] = 0x200;
	efer = mode == X86EMUL_MODE_PROT64 ? 0x500 : 0;
	for (i = 0; i <= X86_SEG_GS; i++)
		set_seg(i, prot ? 0x10 : DATA >> 4, prot ? 0 : DATA,
			prot ? 0xffffffff : 0xffff, 3, wide);
	set_seg(X86_SEG_CS, prot ? 8 : CODE >> 4, prot ? 0 : CODE,
		prot ? 0xffffffff : 0xffff, 0xb, wide);
	segs[X86_SEG_CS].l = mode == X86EMUL_MODE_PROT64;
	set_seg(X86_SEG_SS, prot ? 0x10 : STACK >> 4, prot ? 0 : STACK,
		prot ? 0xffffffff : 0xffff, 3, wide);
	set_seg(X86_SEG_TR, 0x18, TSS, 0x67, 0xb, false);
	segs[X86_SEG_LDTR].unusable = 1;
	ctxt.rip = prot ? CODE : 0;
	ctxt.regs[X86_RSP] = prot ? STACK + 0x1000 : 0x1000;
	tables[X86EMUL_GDT].base = GDT;
	tables[X86EMUL_GDT].limit = 0x7f;
	tables[X86EMUL_IDT].base = IDT;
	tables[X86EMUL_IDT].limit = 0x3ff;
	mmio_reads = mmio_writes = device_next = 0;
	mmio_answered = mmio_answer_by_op = false;
	pio_calls = 0;
	pio_ready = false;
	nmi_unblocked = halted = 0;
	cmpxchg_loses = false;
	x87_sw = 0;
	flushes = 0;
	random_fails = false;
	lacking = 0;
}

static void put_desc(unsigned int selector, u64 raw)
{
	memcpy(mem + GDT + (selector & ~7u), &raw, 8);
}

static void code(const char *bytes, unsigned int n)
{
	memcpy(mem + CODE, bytes, n);
}

static int decode(void)
{
	return x86_decode_insn(&ctxt, NULL, 0);
}

static int run(void)
{
	int rc = decode();

	return rc == X86EMUL_CONTINUE ? x86_emulate_insn(&ctxt) : rc;
}

/* CODE("\x90") */
#define CODE_BYTES(s) code(s, sizeof(s) - 1)
#define RUN(mode, s) (reset(mode), CODE_BYTES(s), run())

static bool fault(int rc, u8 vector, int error)
{
	return rc == X86EMUL_PROPAGATE_FAULT && ctxt.exception.valid &&
	       ctxt.exception.vector == vector &&
	       (error < 0 ? !ctxt.exception.has_error_code :
		ctxt.exception.has_error_code &&
		ctxt.exception.error_code == (u32)error);
}

static u16 word(u64 addr)
{
	u16 v;

	memcpy(&v, mem + addr, 2);
	return v;
}

#define REAL X86EMUL_MODE_REAL
#define P16 X86EMUL_MODE_PROT16
#define P32 X86EMUL_MODE_PROT32
#define P64 X86EMUL_MODE_PROT64

/* ---- the tests ---- */

static void test_lengths(void)
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

static void test_real_mode(void)
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

static void test_mode_switch(void)
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

static void test_iret(void)
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

static void test_privilege(void)
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

#define TASK 0x5000

static u64 gate(u16 selector, u64 offset, u8 attributes, u8 count)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)count << 32 |
	       (u64)attributes << 40 | (offset >> 16 & 0xffff) << 48;
}

static u32 dword(u64 addr)
{
	u32 v;

	memcpy(&v, mem + addr, 4);
	return v;
}

static void put_dword(u64 addr, u32 val)
{
	memcpy(mem + addr, &val, 4);
}

static void put_idt(unsigned int vector, unsigned int entry, u64 raw)
{
	memcpy(mem + IDT + vector * entry, &raw, 8);
}

/* GDT: 8, 10: CPL 0; 20, 28: CPL 3; 18: the TSS; its stack for CPL 0 is at 40000 */
static void reset_gates(enum x86emul_mode mode, unsigned int from)
{
	bool lm = mode == P64;

	reset(mode);
	crs[0] = 1;
	tables[X86EMUL_IDT].limit = 0xfff;
	put_desc(0x08, lm ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull);
	put_desc(0x10, 0x00cf93000000ffffull);
	put_desc(0x18, 0x00008b0030000067ull);
	put_desc(0x20, lm ? 0x00affb000000ffffull : 0x00cffb000000ffffull);
	put_desc(0x28, 0x00cff3000000ffffull);
	put_dword(TSS + 4, 0x40000);
	put_dword(TSS + 8, lm ? 0 : 0x10);
	segs[X86_SEG_SS].dpl = from;
	if (from) {
		segs[X86_SEG_CS].selector = 0x23;
		segs[X86_SEG_CS].dpl = segs[X86_SEG_SS].dpl = 3;
		segs[X86_SEG_SS].selector = 0x2b;
	}
}

static void test_int(void)
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

static void test_vm86(void)
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

static void test_call_gates(void)
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

static void test_tasks(void)
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

static void test_mmio(void)
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

static void test_strings(void)
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

static void test_io_strings(void)
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

/* A guest without a feature: #UD, whatever else were wrong. */
static void test_features(void)
{
	static const struct {
		enum x86emul_feature feature;
		const char *bytes;
	} table[] = {
		{ X86EMUL_FEAT_MOVBE, "\x0f\x38\xf0\x03" },
		{ X86EMUL_FEAT_MOVDIRI, "\x0f\x38\xf9\x03" },
		{ X86EMUL_FEAT_MOVDIR64B, "\x66\x0f\x38\xf8\x03" },
		{ X86EMUL_FEAT_SSE42, "\xf2\x0f\x38\xf1\x03" },
		{ X86EMUL_FEAT_POPCNT, "\xf3\x0f\xb8\x03" },
		{ X86EMUL_FEAT_ADX, "\x66\x0f\x38\xf6\x03" },
		{ X86EMUL_FEAT_BMI1, "\xc4\xe2\x70\xf2\x03" },
		{ X86EMUL_FEAT_BMI2, "\xc4\xe2\x73\xf6\x03" },
		{ X86EMUL_FEAT_INVPCID, "\x66\x0f\x38\x82\x03" },
		{ X86EMUL_FEAT_CMPCCXADD, "\xc4\xe2\x71\xe4\x03" },
	};
	unsigned int i, absent = 0, present = 0, n = sizeof(table) / sizeof(table[0]);

	for (i = 0; i < n; i++) {
		reset(P64);
		ctxt.regs[X86_RBX] = ctxt.regs[X86_RAX] = MEM_SIZE - 4096;
		code(table[i].bytes, 5);
		if (table[i].feature == X86EMUL_FEAT_INVPCID)
			ctxt.regs[X86_RAX] = 0;
		present += fault(run(), EXC_PF, table[i].feature == X86EMUL_FEAT_MOVDIRI ||
				 table[i].feature == X86EMUL_FEAT_CMPCCXADD ? 2 : 0);
		lacking = table[i].feature;
		absent += fault(run(), EXC_UD, -1);
	}
	tap_ok(present == n && absent == n, "%u features: #UD without, before memory is touched", n);
}

static void test_random(void)
{
	int rc;

	reset(P64);
	CODE_BYTES("\x48\x0f\xc7\xf0");
	ctxt.rflags |= X86_FLAGS_STATUS;
	rc = run();
	tap_ok(!rc && ctxt.regs[0] == 0x1234567812345678 && ctxt.rflags == (2 | X86_FLAG_CF),
	       "rdrand rax");
	reset(P64);
	CODE_BYTES("\x66\x0f\xc7\xff");
	ctxt.regs[X86_RDI] = ~0ull;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RDI] == 0xffffffffffff5eed, "rdseed di");
	reset(P64);
	CODE_BYTES("\x0f\xc7\xf7");
	ctxt.regs[X86_RDI] = ~0ull;
	random_fails = true;
	rc = run();
	tap_ok(!rc && !ctxt.regs[X86_RDI] && ctxt.rflags == 2, "rdrand edi without success: 0");
	lacking = X86EMUL_FEAT_RDRAND;
	tap_ok(fault(RUN(P64, "\xf3\x0f\xc7\xf0"), EXC_UD, -1), "rdrand with F3: #UD");
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

static void test_invpcid(void)
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

static void test_mwait(void)
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

static void test_transactions(void)
{
	int rc;

	reset(P32);
	CODE_BYTES("\xc7\xf8\x10\x00\x00\x00");
	ctxt.regs[0] = ~0u;
	rc = run();
	tap_ok(!rc && ctxt.rip == CODE + 0x16 && !ctxt.regs[0], "xbegin aborts at once");
	reset(P64);
	CODE_BYTES("\x66\xc7\xf8\xf0\xff");
	rc = run();
	tap_ok(!rc && ctxt.rip == CODE - 0xb, "64-bit xbegin with 16 bits of offset");
	tap_ok(!RUN(P64, "\xc6\xf8\x01") && ctxt.rip == CODE + 3, "xabort of none");
	tap_ok(fault(RUN(P64, "\x0f\x01\xd5"), EXC_GP, 0), "xend of none: #GP(0)");
	tap_ok(!RUN(P64, "\x0f\x01\xd6") && ctxt.rflags == (2 | X86_FLAG_ZF), "xtest: there is none");
}

static void test_newer(void)
{
	/* What no guest can enable. */
	static const char *const undefined[] = {
		"\x0f\xaa\x90\x90", "\x0f\x37\x90\x90", "\x0f\x01\xc2\x90", "\x0f\x01\xd8\x90",
		"\x0f\x01\xd4\x90", "\x0f\x01\xee\x90", "\xf3\x0f\xc7\x33", "\x0f\x78\xc0\x90",
		"\x0f\x04\x90\x90", "\xf3\x0f\x01\xe8",
	};
	unsigned int i, good = 0, n = sizeof(undefined) / sizeof(undefined[0]);
	int rc;

	for (i = 0; i < n; i++) {
		reset(P64);
		code(undefined[i], 4);
		good += fault(run(), EXC_UD, -1);
	}
	tap_ok(good == n, "%u instructions of SMM, SMX, VMX, SVM, CET and others: #UD", n);

	reset(P64);
	CODE_BYTES("\x0f\x01\xfc");
	ctxt.regs[0] = MMIO + 0x7f;
	rc = run();
	tap_ok(!rc && mmio_writes == 1 && mmio_log[0].addr == MMIO + 0x40 && mmio_log[0].bytes == 64,
	       "clzero writes a line");
	tap_ok(!RUN(P64, "\x0f\x01\xe8"), "serialize");

	/* CMPZXADD [RBX], EAX, ECX */
	reset(P64);
	CODE_BYTES("\xc4\xe2\x71\xe4\x03");
	ctxt.regs[X86_RBX] = DATA;
	ctxt.regs[X86_RAX] = 7;
	ctxt.regs[X86_RCX] = 5;
	put_dword(DATA, 7);
	rc = run();
	tap_ok(!rc && dword(DATA) == 12 && ctxt.regs[0] == 7 && (ctxt.rflags & X86_FLAG_ZF),
	       "cmpzxadd of what is equal");
	ctxt.rip = CODE;
	rc = run();
	tap_ok(!rc && dword(DATA) == 12 && ctxt.regs[0] == 12 && !(ctxt.rflags & X86_FLAG_ZF),
	       "and of what is not");
	cmpxchg_loses = true;
	ctxt.rip = CODE;
	tap_ok(run() == X86EMUL_RETRY_INSTR && ctxt.regs[0] == 12, "which lost a race: again");
	tap_ok(fault(RUN(P32, "\xc4\xe2\x71\xe4\x03"), EXC_UD, -1), "outside of 64-bit mode: #UD");
}

static void test_cmpxchg8b(void)
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

static void test_fsgsbase(void)
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

static void test_environment(void)
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

static void test_fxrstor(void)
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

static void test_canonical(void)
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

static void test_fetch(void)
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

int main(void)
{
	mem = malloc(MEM_SIZE);
	if (!mem)
		return 2;
	test_lengths();
	test_real_mode();
	test_mode_switch();
	test_iret();
	test_privilege();
	test_int();
	test_vm86();
	test_call_gates();
	test_tasks();
	test_mmio();
	test_strings();
	test_io_strings();
	test_features();
	test_random();
	test_invpcid();
	test_mwait();
	test_transactions();
	test_newer();
	test_cmpxchg8b();
	test_fsgsbase();
	test_environment();
	test_fxrstor();
	test_canonical();
	test_fetch();
	free(mem);
	return tap_done();
}
