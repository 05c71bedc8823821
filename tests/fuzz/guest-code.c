// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions for the guest fuzzer: biased to those that exit, and to operands that
 * make them exit.  A unit is one such instruction with what loads its registers; the
 * fuzzer goes on with the next one after each that ended somewhere else.
 */
#include "guest.h"

struct emit {
	struct machine *m;
	struct rng *r;
	struct episode *e;
	int v, bits;
	u8 *at, *end;
};

static void b1(struct emit *c, u8 x)
{
	if (c->at < c->end)
		*c->at++ = x;
}

static void bytes(struct emit *c, const void *p, u32 n)
{
	for (u32 i = 0; i < n; i++)
		b1(c, ((const u8 *)p)[i]);
}

#define B(c, ...)	bytes(c, (u8[]){ __VA_ARGS__ }, sizeof((u8[]){ __VA_ARGS__ }))

static void imm(struct emit *c, u64 x, u32 n)
{
	bytes(c, &x, n);
}

enum { AX, CX, DX, BX, SP, BP, SI, DI };

/* MOV reg, x: as much of x as the mode's registers have. */
static void mov(struct emit *c, int reg, u64 x)
{
	if (c->bits == 64 && x >> 32) {
		B(c, 0x48, 0xb8 + reg);
		imm(c, x, 8);
		return;
	}
	if (c->bits == 16)
		b1(c, 0x66);
	b1(c, 0xb8 + reg);
	imm(c, x, 4);
}

/* The address of a page of the region, or of what a guest finds elsewhere. */
static u64 address(struct emit *c)
{
	u64 gpa = pick_gpa(c->r, c->v);

	if (c->bits != 16 || one_in(c->r, 4))
		return gpa;
	return rnd(c->r) & 0xffff;	/* within a segment */
}

/* ModRM of a memory operand, its address loaded into a register before. */
struct mem { int reg; bool a32; u32 disp; };

static struct mem mem_load(struct emit *c, u64 addr)
{
	static const int bases[] = { BX, SI, DI };
	struct mem m = { .reg = PICK(c->r, bases), .a32 = c->bits != 16 || one_in(c->r, 2) };

	m.disp = one_in(c->r, 4) ? below(c->r, 256) : 0;
	mov(c, m.reg, addr - m.disp);
	return m;
}

static struct mem mem(struct emit *c)
{
	return mem_load(c, address(c));
}

static void modrm(struct emit *c, struct mem m, int reg)
{
	static const u8 rm16[] = { [BX] = 7, [SI] = 4, [DI] = 5 };
	int rm = m.a32 ? m.reg : rm16[m.reg];

	b1(c, (m.disp ? 0x80 : 0) | reg << 3 | rm);
	if (m.disp)
		imm(c, m.disp, m.a32 ? 4 : 2);
}

/* Prefixes ahead of an opcode with that operand; w: in 64-bit code REX.W may be set. */
static void prefixes(struct emit *c, struct mem m, bool lock, bool w)
{
	static const u8 segs[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	if (one_in(c->r, 8))
		b1(c, PICK(c->r, segs));
	if (c->bits == 16 && m.a32)
		b1(c, 0x67);
	if (one_in(c->r, 4))
		b1(c, 0x66);
	if (lock)
		b1(c, 0xf0);
	if (w && c->bits == 64 && one_in(c->r, 2))
		b1(c, 0x48);
}

/*
 * ---- units ----
 */

static const u16 ports[] = {
	0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61, 0x70, 0x71, 0x80,
	0xcf8, 0xcfc, 0x3f8, 0x60, 0x64, 0x92, 0xb2, 0x510, 0x511, 0x1f0, 0xffff, 0xfffe, 0xfffd, 0,
};

static u16 pick_port(struct rng *r)
{
	return one_in(r, 8) ? rnd(r) : PICK(r, ports);
}

static void u_io(struct emit *c)
{
	u8 op = PICK(c->r, ((u8[]){ 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef }));

	mov(c, DX, pick_port(c->r));
	if (one_in(c->r, 2))
		mov(c, AX, pick_value(c->r, c->v));
	if (one_in(c->r, 4))
		b1(c, 0x66);
	if (one_in(c->r, 16))
		b1(c, PICK(c->r, ((u8[]){ 0xf0, 0xf3, 0xf2 })));
	b1(c, op);
	if (op < 0xe8)
		b1(c, pick_port(c->r));
}

static void string_prefixes(struct emit *c, bool rep)
{
	static const u8 segs[] = { 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

	if (rep)
		b1(c, one_in(c->r, 4) ? 0xf2 : 0xf3);
	if (one_in(c->r, 8))
		b1(c, PICK(c->r, segs));
	if (one_in(c->r, 4))
		b1(c, 0x66);
	if (c->bits == 16 ? one_in(c->r, 2) : one_in(c->r, 8))
		b1(c, 0x67);
	if (c->bits == 64 && one_in(c->r, 4))
		b1(c, 0x48);
}

static void string_registers(struct emit *c)
{
	u64 count = one_in(c->r, 8) ? pick_value(c->r, c->v) : below(c->r, 64);

	mov(c, CX, count);
	if (!one_in(c->r, 4))
		mov(c, DI, address(c));
	if (!one_in(c->r, 4))
		mov(c, SI, address(c));
	if (one_in(c->r, 6))
		b1(c, one_in(c->r, 2) ? 0xfd : 0xfc);	/* STD, CLD */
}

static void u_string_io(struct emit *c)
{
	string_registers(c);
	mov(c, DX, pick_port(c->r));
	string_prefixes(c, !one_in(c->r, 4));
	b1(c, 0x6c + below(c->r, 4));
}

static void u_string(struct emit *c)
{
	static const u8 ops[] = { 0xa4, 0xa5, 0xa6, 0xa7, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf };

	string_registers(c);
	string_prefixes(c, !one_in(c->r, 3));
	b1(c, PICK(c->r, ops));
}

static void u_msr(struct emit *c)
{
	bool write = one_in(c->r, 2);
	u32 index = pick_msr(c->r);

	mov(c, CX, index);
	if (write) {
		u64 val = pick_value(c->r, c->v);

		if (index == 0xc0000080 && spare_long_mode())
			val &= ~(u64)EFER_LME;
		mov(c, AX, (u32)val);
		mov(c, DX, one_in(c->r, 3) ? val >> 32 : 0);
	}
	B(c, 0x0f, write ? 0x30 : 0x32);
}

/* Paravirtual MSRs with addresses that are odd, cross pages, or are no memory. */
static void u_pv_msr(struct emit *c)
{
	static const u32 msrs[] = { 0x11, 0x12, 0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03,
				    0x4b564d04, 0x4b564d05, 0x4b564d06, 0x4b564d07, 0x4b564d08 };
	u64 gpa = pick_gpa(c->r, c->v);

	switch (below(c->r, 4)) {
	case 0:
		gpa |= 0xfff - below(c->r, 64);
		break;
	case 1:
		gpa &= ~63ULL;
		break;
	}
	mov(c, CX, PICK(c->r, msrs));
	mov(c, AX, gpa | (one_in(c->r, 4) ? 0 : 1) | (one_in(c->r, 3) ? rnd(c->r) & 0x3f : 0));
	mov(c, DX, gpa >> 32);
	B(c, 0x0f, 0x30);
}

static u64 control_bits(struct emit *c, int cr)
{
	u64 now = cr == 0 ? c->e->sregs.cr0 : c->e->sregs.cr4;

	if (cr == 3)
		return one_in(c->r, 2) ? c->e->sregs.cr3 ^ (rnd(c->r) & 0x18) : pick_gpa(c->r, c->v);
	if (cr == 8)
		return below(c->r, one_in(c->r, 8) ? 256 : 16);
	if (cr)
		return now ^ BIT(below(c->r, 26));
	return now ^ BIT(PICK(c->r, ((u8[]){ 0, 0, 1, 2, 3, 5, 16, 18, 29, 30, 31, 31 })));
}

static void u_cr(struct emit *c)
{
	int cr = PICK(c->r, ((u8[]){ 0, 0, 2, 3, 3, 4, 4, 8, 8, 1, 5, 15 }));
	bool write = !one_in(c->r, 3);
	u64 val = one_in(c->r, 8) ? pick_value(c->r, c->v) : control_bits(c, cr);

	if (cr == 0 && (c->e->sregs.efer & EFER_LME) && spare_long_mode())
		val |= CR0_PE | CR0_PG;
	if (write)
		mov(c, AX, val);
	if (c->bits == 64 && cr >= 8)
		b1(c, 0x44);
	else if (cr >= 8)
		b1(c, 0xf0);		/* AMD's way to CR8 */
	B(c, 0x0f, write ? 0x22 : 0x20, 0xc0 | (cr & 7) << 3);
}

static void u_dr(struct emit *c)
{
	int dr = below(c->r, 8);
	u64 val = dr == 7 ? rnd(c->r) & 0xffff07ff : dr == 6 ? rnd(c->r) & 0xffff :
		  c->e->code_rip + below(c->r, 256);

	mov(c, AX, one_in(c->r, 8) ? pick_value(c->r, c->v) : val);
	B(c, 0x0f, one_in(c->r, 3) ? 0x21 : 0x23, 0xc0 | dr << 3);
}

static void u_msw(struct emit *c)
{
	struct mem m = mem(c);

	switch (below(c->r, 4)) {
	case 0:
		B(c, 0x0f, 0x06);			/* CLTS */
		break;
	case 1:
		mov(c, AX, control_bits(c, 0));
		B(c, 0x0f, 0x01, 0xf0);			/* LMSW AX */
		break;
	case 2:
		prefixes(c, m, false, true);
		B(c, 0x0f, 0x01);
		modrm(c, m, 6);				/* LMSW */
		break;
	default:
		prefixes(c, m, false, true);
		B(c, 0x0f, 0x01);
		modrm(c, m, 4);				/* SMSW */
	}
}

static void u_cpuid(struct emit *c)
{
	mov(c, AX, PICK(c->r, ((u32[]){ 0, 1, 2, 4, 7, 0xb, 0xd, 0x14, 0x1f, 0x40000000, 0x40000001,
					0x80000000, 0x80000001, 0x80000008, 0x8000001d, 0xffffffff })));
	mov(c, CX, below(c->r, 4));
	B(c, 0x0f, 0xa2);
}

static void u_halt(struct emit *c)
{
	if (one_in(c->r, 2))
		b1(c, 0xfb);
	b1(c, 0xf4);
}

static void u_mwait(struct emit *c)
{
	mov(c, AX, address(c));
	mov(c, CX, one_in(c->r, 4) ? rnd(c->r) : 0);
	mov(c, DX, one_in(c->r, 4) ? rnd(c->r) : 0);
	if (!one_in(c->r, 3))
		B(c, 0x0f, 0x01, 0xc8);
	if (!one_in(c->r, 3))
		B(c, 0x0f, 0x01, 0xc9);
}

static void u_xcr(struct emit *c)
{
	static const u32 values[] = { 1, 3, 7, 0, 2, 5, 0x1b, 0xe7, 0x207, 0xffffffff };

	if (one_in(c->r, 3)) {				/* CR4.OSXSAVE first */
		mov(c, AX, c->e->sregs.cr4 | CR4_OSXSAVE | CR4_OSFXSR);
		B(c, 0x0f, 0x22, 0xe0);
	}
	mov(c, CX, one_in(c->r, 8) ? rnd(c->r) : below(c->r, 4) / 3);
	mov(c, AX, PICK(c->r, values));
	mov(c, DX, one_in(c->r, 8) ? rnd(c->r) : 0);
	B(c, 0x0f, 0x01, one_in(c->r, 4) ? 0xd0 : 0xd1);
}

static void u_invalidate(struct emit *c)
{
	struct mem m = mem(c);

	switch (below(c->r, 6)) {
	case 0:
	case 1:
	case 2:
		prefixes(c, m, false, false);
		B(c, 0x0f, 0x01);
		modrm(c, m, 7);				/* INVLPG */
		break;
	case 3:
		B(c, 0x0f, 0x08 + below(c->r, 2));	/* INVD, WBINVD */
		break;
	case 4:
		mov(c, AX, below(c->r, 6));
		B(c, 0x66, 0x0f, 0x38, 0x82);
		modrm(c, m, 0);				/* INVPCID */
		break;
	default:
		B(c, 0x0f, 0xae);
		modrm(c, m, 7);				/* CLFLUSH */
	}
}

/* RDTSC, RDPMC, RSM, RDTSCP, RDPID, RDRAND, RDSEED, CLAC, STAC, SWAPGS, MONITORX, … */
static void u_odd(struct emit *c)
{
	static const struct { u8 n, b[4]; } odd[] = {
		{ 2, { 0x0f, 0x31 } }, { 2, { 0x0f, 0x33 } }, { 2, { 0x0f, 0xaa } },
		{ 3, { 0x0f, 0x01, 0xf9 } }, { 4, { 0xf3, 0x0f, 0xc7, 0xf8 } },
		{ 3, { 0x0f, 0xc7, 0xf0 } }, { 3, { 0x0f, 0xc7, 0xf8 } },
		{ 3, { 0x0f, 0x01, 0xca } }, { 3, { 0x0f, 0x01, 0xcb } },
		{ 3, { 0x0f, 0x01, 0xf8 } }, { 3, { 0x0f, 0x01, 0xfa } }, { 3, { 0x0f, 0x01, 0xfb } },
		{ 3, { 0x0f, 0x01, 0xfc } }, { 2, { 0xf3, 0x90 } }, { 3, { 0x0f, 0x01, 0xee } },
		{ 3, { 0x0f, 0x01, 0xef } }, { 4, { 0xf3, 0x0f, 0xae, 0xc0 } },
		{ 4, { 0xf3, 0x0f, 0xae, 0xd0 } }, { 2, { 0x0f, 0x0b } }, { 3, { 0x0f, 0x0d, 0x06 } },
		{ 1, { 0xfa } }, { 1, { 0xfb } }, { 1, { 0x9b } }, { 2, { 0x0f, 0x77 } },
		{ 1, { 0x9d } }, { 1, { 0x9c } }, { 1, { 0x17 } }, { 1, { 0x1f } },
		{ 2, { 0x8e, 0xd0 } }, { 2, { 0x8e, 0xd8 } }, { 1, { 0x61 } }, { 1, { 0x60 } },
		{ 1, { 0xc9 } }, { 4, { 0xc8, 0x10, 0x00, 0x1f } }, { 2, { 0x0f, 0xa1 } },
		{ 2, { 0x0f, 0xa9 } }, { 1, { 0xd6 } }, { 2, { 0xd4, 0x00 } }, { 1, { 0x27 } },
	};
	u32 i = below(c->r, ARRAY_LEN(odd));

	if (one_in(c->r, 2))
		mov(c, CX, below(c->r, 8));
	bytes(c, odd[i].b, odd[i].n);
}

static u16 selector(struct emit *c)
{
	u16 sel = one_in(c->r, 4) ? below(c->r, D_END) : 1 + below(c->r, D_NOISE);

	return sel << 3 | (one_in(c->r, 3) ? below(c->r, 8) : c->e->cpl);
}

/* Far JMP and CALL, RETF, IRET: to code, gates and tasks. */
static void u_far(struct emit *c)
{
	u64 to = c->e->code_rip + below(c->r, 512);
	u16 sel = selector(c);
	struct mem m;

	if (c->bits == 16 && !(c->e->sregs.cr0 & CR0_PE))
		sel = rnd(c->r);
	switch (below(c->r, 5)) {
	case 0:
		if (c->bits == 64)
			return;
		if (one_in(c->r, 4))
			b1(c, 0x66);
		b1(c, one_in(c->r, 2) ? 0x9a : 0xea);
		imm(c, to, c->bits / 8);
		imm(c, sel, 2);
		break;
	case 1:
		m = mem(c);
		if (one_in(c->r, 2)) {			/* a pointer that leads somewhere */
			m = mem_load(c, GPA_REGION(c->v) + R_DATA);
			m.disp = 0;
			prefixes(c, m, false, false);
			b1(c, 0xc7);
			modrm(c, m, 0);
			imm(c, to, c->bits == 16 ? 2 : 4);
			m.disp = c->bits == 16 ? 2 : 4;
			B(c, 0x66, 0xc7);
			modrm(c, m, 0);
			imm(c, sel, c->bits == 16 ? 4 : 2);
			m.disp = 0;
		}
		prefixes(c, m, false, true);
		b1(c, 0xff);
		modrm(c, m, one_in(c->r, 2) ? 3 : 5);
		break;
	case 2:
	case 3:						/* PUSH flags, CS, IP; IRET, RETF */
		mov(c, AX, rnd(c->r) & 0x277fd7);
		b1(c, 0x50);
		mov(c, AX, sel);
		b1(c, 0x50);
		mov(c, AX, to);
		b1(c, 0x50);
		if (c->bits == 64 && one_in(c->r, 2))
			b1(c, 0x48);
		b1(c, PICK(c->r, ((u8[]){ 0xcf, 0xcf, 0xcb })));
		break;
	default:
		b1(c, PICK(c->r, ((u8[]){ 0xcf, 0xcb, 0xca, 0xc3, 0xc2 })));
		imm(c, below(c->r, 64), 2);
	}
}

static void u_interrupt(struct emit *c)
{
	switch (below(c->r, 6)) {
	case 0:
		b1(c, 0xcc);
		break;
	case 1:
		b1(c, 0xce);
		break;
	case 2:
		b1(c, 0xf1);
		break;
	default:
		B(c, 0xcd, one_in(c->r, 2) ? below(c->r, 32) : rnd(c->r));
	}
}

static void u_syscall(struct emit *c)
{
	mov(c, CX, c->e->code_rip + below(c->r, 512));
	mov(c, DX, c->e->code_rip + below(c->r, 512));
	if (c->bits == 64 && one_in(c->r, 4))
		b1(c, 0x48);
	B(c, 0x0f, PICK(c->r, ((u8[]){ 0x05, 0x07, 0x34, 0x35 })));
}

/* Descriptor tables, segment registers, tasks. */
static void u_segment(struct emit *c)
{
	struct mem m;

	switch (below(c->r, 6)) {
	case 0:
		m = mem_load(c, one_in(c->r, 2) ? address(c) : GPA_REGION(c->v) + R_DATA + below(c->r, 64));
		prefixes(c, m, false, false);
		B(c, 0x0f, 0x01);
		modrm(c, m, below(c->r, 4));		/* SGDT, SIDT, LGDT, LIDT */
		break;
	case 1:
		mov(c, AX, selector(c) | (on_tcg() ? 0x10 : 0));
		B(c, 0x0f, 0x00, 0xc0 | below(c->r, 6) << 3);	/* SLDT … VERW */
		break;
	case 2:
		m = mem(c);
		prefixes(c, m, false, true);
		B(c, 0x0f, 0x00);
		modrm(c, m, below(c->r, 6));
		break;
	case 3:
		mov(c, AX, selector(c));
		B(c, 0x8e, 0xc0 | below(c->r, 6) << 3);	/* MOV sreg */
		break;
	case 4:
		mov(c, AX, selector(c));
		B(c, 0x0f, 0x02 + below(c->r, 2), 0xc0);	/* LAR, LSL */
		break;
	default:
		m = mem(c);
		prefixes(c, m, false, true);
		switch (below(c->r, 3)) {
		case 0:
			b1(c, 0x0f);
			b1(c, PICK(c->r, ((u8[]){ 0xb2, 0xb4, 0xb5 })));	/* LSS, LFS, LGS */
			break;
		case 1:
			b1(c, PICK(c->r, ((u8[]){ 0xc4, 0xc5, 0x62, 0x63 })));	/* LES, LDS, BOUND, ARPL */
			break;
		default:
			b1(c, 0x8e);
		}
		modrm(c, m, below(c->r, 8));
	}
}

/* Instructions with a memory operand: opcode bytes, bytes of immediates, may be locked. */
static const struct { u8 n, op[3], imm; bool lock; } memory_ops[] = {
	{ 1, { 0x88 } }, { 1, { 0x89 } }, { 1, { 0x8a } }, { 1, { 0x8b } }, { 1, { 0xc6 }, 1 },
	{ 1, { 0x00 }, 0, true }, { 1, { 0x01 }, 0, true }, { 1, { 0x09 }, 0, true },
	{ 1, { 0x11 }, 0, true }, { 1, { 0x19 }, 0, true }, { 1, { 0x21 }, 0, true },
	{ 1, { 0x29 }, 0, true }, { 1, { 0x31 }, 0, true }, { 1, { 0x39 } }, { 1, { 0x3b } },
	{ 1, { 0x80 }, 1, true }, { 1, { 0x83 }, 1, true }, { 1, { 0x84 } }, { 1, { 0x85 } },
	{ 1, { 0x86 }, 0, true }, { 1, { 0x87 }, 0, true }, { 1, { 0x8c } }, { 1, { 0x8d } },
	{ 1, { 0x8f } }, { 1, { 0xc0 }, 1 }, { 1, { 0xc1 }, 1 }, { 1, { 0xd0 } }, { 1, { 0xd3 } },
	{ 1, { 0xf6 }, 1, true }, { 1, { 0xf7 }, 4, true }, { 1, { 0xfe }, 0, true },
	{ 1, { 0xff }, 0, true }, { 1, { 0xd7 } }, { 1, { 0x69 }, 4 }, { 1, { 0x6b }, 1 },
	{ 2, { 0x0f, 0xb0 }, 0, true }, { 2, { 0x0f, 0xb1 }, 0, true }, { 2, { 0x0f, 0xc0 }, 0, true },
	{ 2, { 0x0f, 0xc1 }, 0, true }, { 2, { 0x0f, 0xc7 }, 0, true }, { 2, { 0x0f, 0xab }, 0, true },
	{ 2, { 0x0f, 0xb3 }, 0, true }, { 2, { 0x0f, 0xbb }, 0, true }, { 2, { 0x0f, 0xba }, 1, true },
	{ 2, { 0x0f, 0xa3 } }, { 2, { 0x0f, 0xa4 }, 1 }, { 2, { 0x0f, 0xa5 } }, { 2, { 0x0f, 0xac }, 1 },
	{ 2, { 0x0f, 0xaf } }, { 2, { 0x0f, 0xb6 } }, { 2, { 0x0f, 0xb7 } }, { 2, { 0x0f, 0xbe } },
	{ 2, { 0x0f, 0xbf } }, { 2, { 0x0f, 0xbc } }, { 2, { 0x0f, 0xbd } }, { 2, { 0x0f, 0x94 } },
	{ 2, { 0x0f, 0x44 } }, { 2, { 0x0f, 0x4f } }, { 2, { 0x0f, 0xc3 } }, { 2, { 0x0f, 0x18 } },
	{ 2, { 0x0f, 0x10 } }, { 2, { 0x0f, 0x11 } }, { 2, { 0x0f, 0x28 } }, { 2, { 0x0f, 0x29 } },
	{ 2, { 0x0f, 0x2b } }, { 2, { 0x0f, 0x6e } }, { 2, { 0x0f, 0x6f } }, { 2, { 0x0f, 0x7e } },
	{ 2, { 0x0f, 0x7f } }, { 2, { 0x0f, 0xd6 } }, { 2, { 0x0f, 0xe7 } }, { 2, { 0x0f, 0xae } },
	{ 2, { 0x0f, 0xc7 } }, { 2, { 0x0f, 0x58 } }, { 2, { 0x0f, 0xef } }, { 2, { 0x0f, 0x13 } },
	{ 3, { 0x0f, 0x38, 0xf0 } }, { 3, { 0x0f, 0x38, 0xf1 } }, { 3, { 0x0f, 0x38, 0x2a } },
	{ 1, { 0xd8 } }, { 1, { 0xd9 } }, { 1, { 0xda } }, { 1, { 0xdb } }, { 1, { 0xdc } },
	{ 1, { 0xdd } }, { 1, { 0xde } }, { 1, { 0xdf } },
};

static void u_memory(struct emit *c)
{
	u32 i = below(c->r, ARRAY_LEN(memory_ops));
	bool lock = memory_ops[i].lock ? one_in(c->r, 3) : one_in(c->r, 64);
	struct mem m;

	if (one_in(c->r, 2))
		mov(c, AX, pick_value(c->r, c->v));
	m = mem(c);
	if (one_in(c->r, 16))
		b1(c, one_in(c->r, 2) ? 0xf3 : 0xf2);
	prefixes(c, m, lock, true);
	bytes(c, memory_ops[i].op, memory_ops[i].n);
	modrm(c, m, one_in(c->r, 2) ? below(c->r, 8) : 1);
	imm(c, rnd(c->r), memory_ops[i].imm);
}

/* VEX-coded loads and stores, BMI: C5 and C4. */
static void u_vex(struct emit *c)
{
	static const u8 map1[] = { 0x10, 0x11, 0x28, 0x29, 0x6f, 0x7f, 0xe7, 0x77, 0xae };
	static const u8 maps[] = { 0x18, 0x2c, 0x2e, 0x8c, 0x8e, 0xf2, 0xf3, 0xf5, 0xf7 };
	struct mem m = mem(c);

	if (c->bits == 16)
		m.a32 = false;
	if (one_in(c->r, 2)) {
		B(c, 0xc5, 0xf8 | below(c->r, 8), PICK(c->r, map1));
	} else {
		B(c, 0xc4, 0xe0 | (1 + below(c->r, 3)), rnd(c->r), PICK(c->r, maps));
	}
	modrm(c, m, below(c->r, 8));
	b1(c, rnd(c->r));
}

/* The vendors' own, which no guest has: #UD. */
static void u_virtualization(struct emit *c)
{
	static const u8 svm[] = { 0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf };
	static const u8 vmx[] = { 0xc1, 0xc2, 0xc3, 0xc4, 0xd4, 0xcf, 0xd7, 0xc0 };
	struct mem m;

	switch (below(c->r, 5)) {
	case 0:
		mov(c, AX, address(c));
		B(c, 0x0f, 0x01, PICK(c->r, svm));
		break;
	case 1:
		B(c, 0x0f, 0x01, PICK(c->r, vmx));
		break;
	case 2:
		m = mem(c);
		if (one_in(c->r, 2))
			b1(c, one_in(c->r, 2) ? 0x66 : 0xf3);
		B(c, 0x0f, 0xc7);
		modrm(c, m, 6 + below(c->r, 2));	/* VMPTRLD, VMCLEAR, VMXON, VMPTRST */
		break;
	case 3:
		m = mem(c);
		B(c, 0x0f, 0x78 + below(c->r, 2));	/* VMREAD, VMWRITE */
		modrm(c, m, 0);
		break;
	default:
		m = mem(c);
		B(c, 0x66, 0x0f, 0x38, 0x80 + below(c->r, 2));	/* INVEPT, INVVPID */
		modrm(c, m, 0);
	}
}

static void u_hypercall(struct emit *c)
{
	mov(c, AX, one_in(c->r, 8) ? pick_value(c->r, c->v) : below(c->r, 14));
	mov(c, BX, pick_value(c->r, c->v));
	mov(c, CX, one_in(c->r, 2) ? below(c->r, 8) : pick_value(c->r, c->v));
	mov(c, DX, one_in(c->r, 2) ? below(c->r, 8) : pick_value(c->r, c->v));
	mov(c, SI, one_in(c->r, 2) ? below(c->r, 0x1000) : pick_value(c->r, c->v));
	B(c, 0x0f, 0x01, one_in(c->r, 2) ? 0xc1 : 0xd9);
}

/* A command for the ICR: INIT, SIPI, NMI, fixed and the odd ones, to some or all. */
static u32 icr(struct rng *r)
{
	static const u16 modes[] = { 0x000, 0x000, 0x100, 0x200, 0x300, 0x400, 0x500, 0x600, 0x700 };
	u32 mode = PICK(r, modes);
	u8 vector = mode == 0x600 ? 8 + below(r, 8) : one_in(r, 4) ? rnd(r) : 0x20 + below(r, 0xe0);

	return mode | vector | below(r, 4) << 18 | (one_in(r, 4) ? rnd(r) & 0xc800 : 0x4000);
}

static u32 apic_value(struct rng *r, u32 reg)
{
	switch (reg) {
	case 0x300:
		return icr(r);
	case 0x310:
		return one_in(r, 4) ? rnd(r) : below(r, 5) << 24;
	case 0xf0:
		return 0x1ff;
	case 0x320:
		return below(r, 8) << 16 | 0x20 | below(r, 0xe0);
	case 0x380:
		return one_in(r, 4) ? rnd(r) : below(r, 1000);
	}
	return one_in(r, 3) ? 0 : rnd(r);
}

static void u_apic(struct emit *c)
{
	static const u16 regs[] = { 0x20, 0x30, 0x80, 0x90, 0xa0, 0xb0, 0xb0, 0xc0, 0xd0, 0xe0, 0xf0, 0xf0,
				    0x100, 0x170, 0x200, 0x270, 0x280, 0x2f0, 0x300, 0x300, 0x300, 0x300,
				    0x310, 0x320, 0x320, 0x330, 0x350, 0x360, 0x370, 0x380, 0x380, 0x390,
				    0x3e0, 0x3f0 };
	u32 reg = one_in(c->r, 16) ? below(c->r, 0x1000) : PICK(c->r, regs);
	u32 val = apic_value(c->r, reg);
	bool write = !one_in(c->r, 4);
	struct mem m;

	if (one_in(c->r, 3)) {				/* by x2APIC's MSRs */
		if (one_in(c->r, 3)) {
			mov(c, CX, 0x1b);
			mov(c, AX, GPA_APIC | PICK(c->r, ((u32[]){ 0xd00, 0xc00, 0x900, 0x800, 0x400, 0 })));
			mov(c, DX, 0);
			B(c, 0x0f, 0x30);
		}
		mov(c, CX, 0x800 + reg / 16);
		mov(c, AX, val);
		mov(c, DX, one_in(c->r, 4) ? rnd(c->r) : below(c->r, 5));
		B(c, 0x0f, write ? 0x30 : 0x32);
		return;
	}
	mov(c, AX, val);
	m = mem_load(c, GPA_APIC + reg);
	prefixes(c, m, false, true);
	b1(c, write ? 0x89 : 0x8b);
	modrm(c, m, AX);
}

static void u_ioapic(struct emit *c)
{
	struct mem m = mem_load(c, GPA_IOAPIC);

	m.a32 = true, m.disp = 0;
	mov(c, AX, one_in(c->r, 8) ? rnd(c->r) : below(c->r, 0x42));
	if (c->bits == 16)
		B(c, 0x67, 0x66);
	b1(c, 0x89);
	modrm(c, m, AX);
	mov(c, AX, one_in(c->r, 2) ? rnd(c->r) : icr(c->r) & 0x1ffff);
	if (c->bits == 16)
		B(c, 0x67, 0x66);
	m.disp = one_in(c->r, 16) ? 0x40 : 0x10;
	b1(c, one_in(c->r, 4) ? 0x8b : 0x89);
	modrm(c, m, AX);
}

/* The 8259 pair and the 8254: command words in their order. */
static void u_legacy(struct emit *c)
{
	u16 base = one_in(c->r, 2) ? 0x20 : 0xa0;

	switch (below(c->r, 4)) {
	case 0:
		for (int i = 0; i < 4; i++)
			B(c, 0xb0, (u8[]){ 0x11, 0x20, 4, 1 }[i] ^ (one_in(c->r, 8) ? rnd(c->r) : 0),
			  0xe6, base + (i > 0));
		break;
	case 1:
		B(c, 0xb0, rnd(c->r), 0xe6, base + below(c->r, 2));
		break;
	case 2:
		B(c, 0xb0, rnd(c->r), 0xe6, 0x43, 0xb0, rnd(c->r), 0xe6, 0x40 + below(c->r, 3));
		B(c, 0xb0, one_in(c->r, 2) ? 0 : rnd(c->r), 0xe6, 0x40 + below(c->r, 3));
		break;
	default:
		B(c, 0xb0, rnd(c->r), 0xe6, 0x61, 0xe4, 0x61, 0xe4, 0x40 + below(c->r, 4));
	}
}

/* The guest's own page tables, by itself; then what makes it notice, or not. */
static void u_page_table(struct emit *c)
{
	u64 gpa = GPA_REGION(c->v) + R_PT + below(c->r, 7) * 0x1000;
	struct mem m = mem_load(c, gpa + (one_in(c->r, 2) ? below(c->r, 8) : below(c->r, 512)) * 8);

	mov(c, AX, (pick_gpa(c->r, c->v) & ~0xfffULL) | (rnd(c->r) & 0x1ff) | PTE_P);
	prefixes(c, m, false, true);
	b1(c, 0x89);
	modrm(c, m, AX);
	switch (below(c->r, 4)) {
	case 0:
		u_invalidate(c);
		break;
	case 1:
		B(c, 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8);	/* CR3 again */
		break;
	}
}

/* The code behind this unit, changed. */
static void u_self_modify(struct emit *c)
{
	u64 rip = c->e->code_rip + (c->at - c->e->code) + below(c->r, 32);
	struct mem m = mem_load(c, rip);

	prefixes(c, m, one_in(c->r, 8), false);
	b1(c, PICK(c->r, ((u8[]){ 0xc6, 0x80 })));
	modrm(c, m, 0);
	b1(c, rnd(c->r));
}

static void u_jump(struct emit *c)
{
	u64 to = one_in(c->r, 2) ? address(c) : c->e->code_rip + below(c->r, 512);
	struct mem m;

	switch (below(c->r, 4)) {
	case 0:
		B(c, 0xeb, below(c->r, 16));
		break;
	case 1:
		m = mem(c);
		prefixes(c, m, false, false);
		b1(c, 0xff);
		modrm(c, m, 2 + 2 * below(c->r, 2));
		break;
	case 2:						/* a stack in MMIO or so */
		mov(c, SP, address(c));
		b1(c, PICK(c->r, ((u8[]){ 0x50, 0x58, 0x9c, 0x9d, 0x60, 0x61, 0xc9, 0xc3, 0xcf })));
		break;
	default:
		mov(c, AX, to);
		B(c, 0xff, 0xe0 - 0x10 * below(c->r, 2));
	}
}

static void u_noise(struct emit *c)
{
	u32 n = 1 + below(c->r, 12);

	if (one_in(c->r, 2))
		b1(c, 0x0f);
	while (n--)
		b1(c, rnd(c->r));
}

static const struct { u8 weight; void (*make)(struct emit *c); } kinds[] = {
	{ 10, u_io }, { 8, u_string_io }, { 10, u_string }, { 14, u_msr }, { 6, u_pv_msr }, { 12, u_cr },
	{ 4, u_dr }, { 3, u_msw }, { 2, u_cpuid }, { 2, u_halt }, { 2, u_mwait }, { 4, u_xcr },
	{ 5, u_invalidate }, { 6, u_odd }, { 10, u_far }, { 6, u_interrupt }, { 4, u_syscall },
	{ 10, u_segment }, { 24, u_memory }, { 4, u_vex }, { 4, u_virtualization }, { 5, u_hypercall },
	{ 10, u_apic }, { 4, u_ioapic }, { 4, u_legacy }, { 6, u_page_table }, { 4, u_self_modify },
	{ 6, u_jump }, { 8, u_noise },
};

static void unit(struct emit *c)
{
	u32 sum = 0, n, i;

	for (i = 0; i < ARRAY_LEN(kinds); i++)
		sum += kinds[i].weight;
	n = below(c->r, sum);
	for (i = 0; n >= kinds[i].weight; i++)
		n -= kinds[i].weight;
	kinds[i].make(c);
}

/* A bit of what was made, now and then: neighbours of what makes sense. */
static void flip(struct emit *c, u8 *start)
{
	if (c->at > start && one_in(c->r, 24))
		start[below(c->r, c->at - start)] ^= BIT(below(c->r, 8));
}

/*
 * What ends QEMU (7.2; Documentation/fuzzing.rst has the whole list) is taken out where
 * it can be seen: not what a program makes of itself, or of the middle of instructions.
 *
 * MOV to DR7, which is DR5, too: with breakpoints for data it ends with a segmentation
 * fault, as VMRUN and #VMEXIT change DR7 without QEMU's list of them, and the next MOV takes
 * one out as what it is not.
 *
 * LTR of a null selector, which is #GP, loads TR there, and the next switch of stacks ends QEMU
 * with "invalid tss": so LTR is of AX only, which u_segment() loads with another.
 */
static void spare_the_emulator(struct emit *c)
{
	for (u8 *p = c->e->code; on_tcg() && p + 2 < c->at; p++) {
		if (p[0] == 0x0f && p[1] == 0x23 && (p[2] & 0x28) == 0x28)
			p[2] &= ~0x28;
		if (p[0] == 0x0f && p[1] == 0x00 && (p[2] & 0x38) == 0x18 && p[2] != 0xd8)
			p[2] &= ~0x08;
	}
}

/* The program of an episode, whose mode and place are decided: into e->code and the guest. */
void code_make(struct machine *m, int v, struct rng *r, struct episode *e)
{
	struct emit c = { .m = m, .r = r, .e = e, .v = v, .bits = e->bits, .at = e->code,
			  .end = e->code + sizeof(e->code) - 16 };
	u8 *to;

	for (e->units = 0; e->units < MAX_UNITS && c.end - c.at > 80; e->units++) {
		u8 *start = c.at;

		e->start[e->units] = c.at - e->code;
		unit(&c);
		flip(&c, start);
		/* so that what follows need not be this one's tail */
		if (!one_in(r, 4))
			b1(&c, 0x90);
	}
	e->start[e->units] = c.at - e->code;
	B(&c, 0xe6, PORT_TRAP, 0xeb, 0xfc);
	spare_the_emulator(&c);
	to = machine_mem(m, e->code_gpa, c.at - e->code);
	if (to)
		memcpy(to, e->code, c.at - e->code);
}

/*
 * ---- operands ----
 */

u32 pick_msr(struct rng *r)
{
	static const struct { u32 first, n; } ranges[] = {
		{ 0x10, 3 }, { 0x17, 1 }, { 0x1b, 1 }, { 0x2a, 1 }, { 0x3a, 2 }, { 0x48, 2 }, { 0x79, 1 },
		{ 0x8b, 1 }, { 0x9b, 4 }, { 0xc1, 8 }, { 0xce, 1 }, { 0xe7, 2 }, { 0xfe, 1 }, { 0x10a, 2 },
		{ 0x140, 1 }, { 0x174, 3 }, { 0x179, 3 }, { 0x186, 8 }, { 0x198, 3 }, { 0x1a0, 1 },
		{ 0x1d9, 6 }, { 0x1fc, 1 }, { 0x200, 0x10 }, { 0x250, 1 }, { 0x258, 2 }, { 0x268, 8 },
		{ 0x277, 1 }, { 0x2ff, 1 }, { 0x309, 3 }, { 0x38d, 3 }, { 0x400, 0x28 }, { 0x480, 0x12 },
		{ 0x6e0, 1 }, { 0x6e0, 1 }, { 0x800, 0x40 }, { 0x800, 0x100 }, { 0xda0, 1 },
		{ 0x4b564d00, 9 }, { 0x4b564d00, 0x100 }, { 0x40000000, 0x10 },
		{ 0xc0000080, 5 }, { 0xc0000080, 1 }, { 0xc0000100, 4 }, { 0xc0010000, 8 },
		{ 0xc0010010, 0x10 }, { 0xc0010030, 0x30 }, { 0xc0010110, 0x10 }, { 0xc001011f, 1 },
		{ 0xc0010140, 2 }, { 0xc0011020, 0x10 },
	};
	u32 i = below(r, ARRAY_LEN(ranges));

	if (one_in(r, 32))
		return rnd(r);
	return ranges[i].first + below(r, ranges[i].n);
}

u64 pick_value(struct rng *r, int v)
{
	static const u64 odd[] = { 0, 1, 2, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
				   0x80000000, 0xffffffff, 0x100000000, 0x7fffffffffff, 0x800000000000,
				   0xffff7fffffffffff, 0xffff800000000000, 1ULL << 63, ~0ULL };

	switch (below(r, 5)) {
	case 0:
		return rnd(r);
	case 1:
		return BIT(below(r, 64));
	case 2:
		return pick_gpa(r, v) | (one_in(r, 2) ? 1 : 0);
	case 3:
		return below(r, 256);
	}
	return PICK(r, odd);
}
