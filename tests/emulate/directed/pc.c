// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine that the directed tests run in: 2 MiB of memory, a device in them that
 * only "userspace" answers, ports, MSRs, and what is set up before a test.
 */
#include <stdlib.h>

#include "pc.h"

#define IDT 0

u8 *mem;
u64 msr_value;
struct x86_emulate_ctxt ctxt;

/* The device: values it answers, writes it saw. */
unsigned int mmio_reads, mmio_writes;
bool mmio_answered;
struct mmio_write mmio_log[64];
static unsigned int device_next;
unsigned int pio_calls, pio_count, pio_size, pio_port;
bool pio_ready;
u8 pio_data[4096];
unsigned int nmi_unblocked, halted;

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

bool cmpxchg_loses;

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

u8 xmm[16][16];

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
struct x87_image x87;
u16 x87_sw;

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

u8 fx_image[512];

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

unsigned int flushes;
bool random_fails;
enum x86emul_feature lacking;

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

unsigned int ring(void)
{
	return machine_get_cpl(&ctxt);
}

/* ---- set-up ---- */

void set_seg(unsigned int nr, u16 selector, u64 base, u32 limit, u8 type, bool db)
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

void reset(enum x86emul_mode mode)
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
	mmio_answered = false;
	pio_calls = 0;
	pio_ready = false;
	nmi_unblocked = halted = 0;
	cmpxchg_loses = false;
	x87_sw = 0;
	flushes = 0;
	random_fails = false;
	lacking = 0;
}

void put_desc(unsigned int selector, u64 raw)
{
	memcpy(mem + GDT + (selector & ~7u), &raw, 8);
}

void code(const char *bytes, unsigned int n)
{
	memcpy(mem + CODE, bytes, n);
}

int decode(void)
{
	return x86_decode_insn(&ctxt, NULL, 0);
}

int run(void)
{
	int rc = decode();

	return rc == X86EMUL_CONTINUE ? x86_emulate_insn(&ctxt) : rc;
}

bool fault(int rc, u8 vector, int error)
{
	return rc == X86EMUL_PROPAGATE_FAULT && ctxt.exception.valid &&
	       ctxt.exception.vector == vector &&
	       (error < 0 ? !ctxt.exception.has_error_code :
		ctxt.exception.has_error_code &&
		ctxt.exception.error_code == (u32)error);
}

u16 word(u64 addr)
{
	u16 v;

	memcpy(&v, mem + addr, 2);
	return v;
}

/* ---- gates ---- */

u64 gate(u16 selector, u64 offset, u8 attributes, u8 count)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)count << 32 |
	       (u64)attributes << 40 | (offset >> 16 & 0xffff) << 48;
}

u32 dword(u64 addr)
{
	u32 v;

	memcpy(&v, mem + addr, 4);
	return v;
}

void put_dword(u64 addr, u32 val)
{
	memcpy(mem + addr, &val, 4);
}

void put_idt(unsigned int vector, unsigned int entry, u64 raw)
{
	memcpy(mem + IDT + vector * entry, &raw, 8);
}

/* GDT: 8, 10: CPL 0; 20, 28: CPL 3; 18: the TSS; its stack for CPL 0 is at 40000 */
void reset_gates(enum x86emul_mode mode, unsigned int from)
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
