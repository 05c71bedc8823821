// SPDX-License-Identifier: GPL-2.0-only
/* Random and enumerated instructions, and state for them. */
#include "differential.h"

u64 seed;

u64 rnd(void)
{
	/* splitmix64 */
	u64 z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Of memory and media registers: their own, so that a case can be named by it. */
u64 pattern_seed;

bool chance(unsigned int one_in)
{
	return rnd() % one_in == 0;
}

u64 random_value(void)
{
	static const u64 edges[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
		0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff, 0x0000800000000000, 0x00007fffffffffff,
		0xffff800000000000, 0x99, 0x0a, 0xfffffffffffffff8,
	};

	switch (rnd() % 8) {
	case 0:
		return edges[rnd() % (sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return rnd() % 300;
	case 2:
		return 0 - rnd() % 300;
	case 3:
	case 4:
	case 5:
		return DATA - machine->data_base + rnd() % (DATA_SIZE + 64) - 32;
	default:
		return rnd() >> (rnd() % 64);
	}
}

void random_state(struct state *s)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		s->regs[i] = random_value();
	if (!chance(16))
		s->regs[X86_RSP] = DATA - machine->data_base + 0x400 + rnd() % 0x1000;
	if (!chance(4))
		s->regs[X86_RSP] &= ~7ull;
	if (!chance(4))
		s->regs[X86_RCX] = rnd() % 40;
	/* As FXRSTOR and aligned moves want it. */
	if (chance(8))
		for (i = X86_RDX; i < 16; i++)
			s->regs[i] &= ~15ull;
	if (machine->mode != X86EMUL_MODE_PROT64)
		for (i = 0; i < 16; i++)
			s->regs[i] = i < 8 ? (u32)s->regs[i] : 0;
	s->rflags = 0x202 | (rnd() & (X86_FLAGS_STATUS | X86_FLAG_DF));
	if (!chance(4))
		s->rflags &= ~(u64)X86_FLAG_DF;
	s->rip = start_rip;
}

u32 mxcsr_mask;

/* What registers the pattern fills. */
void media_state(struct state *s)
{
	const u8 *p = pattern + 0x100;
	u16 cw = 0x37f, sw = 0;
	unsigned int i;
	u64 bv = 7;

	memset(s->media, 0, sizeof(s->media));
	memcpy(s->media + IMAGE_ST(0), p, IMAGE_XMM(16) - IMAGE_ST(0));
	memcpy(s->media + IMAGE_YMM_HIGH(0), p + 0x200, 256);
	for (i = 0; i < 8; i++)
		memset(s->media + IMAGE_ST(i) + 10, 0, 6);
	if (machine->mode != X86EMUL_MODE_PROT64) {
		memset(s->media + IMAGE_XMM(8), 0, 128);
		memset(s->media + IMAGE_YMM_HIGH(8), 0, 128);
	}
	/* Sometimes exceptions are unmasked, or waiting, or the top is elsewhere. */
	if (p[0x300] < 64)
		cw = 0x40 | (p[0x301] >> 3 & 0x1f) | (p[0x308] & 0x20) | (p[0x302] >> 3 & 15) << 8;
	if (p[0x303] < 64)
		sw = p[0x304] >> 3 | (p[0x308] & 0x60) | (p[0x305] >> 3) << 8 | (p[0x309] & 0x60) << 8;
	if (p[0x303] >= 16)
		sw &= ~(0x3f & ~cw);
	if (sw & ~cw & 0x3f)
		sw |= 0x8080;
	memcpy(s->media, &cw, 2);
	memcpy(s->media + IMAGE_SW, &sw, 2);
	memcpy(s->media + IMAGE_IP, p + 0x310, 4);
	memcpy(s->media + IMAGE_DP, p + 0x318, 4);
	s->media[IMAGE_OPCODE] = p[0x314];
	s->media[IMAGE_OPCODE + 1] = p[0x315] & 7;
	s->media[IMAGE_TAGS] = p[0x306] < 64 ? 0xff : p[0x306] < 128 ? 0 : p[0x307];
	s->media[IMAGE_MXCSR] = 0x80;
	s->media[IMAGE_MXCSR + 1] = 0x1f;
	memcpy(s->media + IMAGE_MXCSR + 4, &mxcsr_mask, 4);
	memcpy(s->media + IMAGE_XSTATE_BV, &bv, 8);
}

/* Values that x87 makes something of: floating-point ones of middling size. */
static void tame_x87(void)
{
	unsigned int i, exponent;

	for (i = 0; i < 8; i++) {
		exponent = 0x3fff - 40 + rnd() % 80;
		if (chance(3))
			continue;
		pattern[0x100 + i * 16 + 7] |= 0x80;
		pattern[0x100 + i * 16 + 8] = exponent;
		pattern[0x100 + i * 16 + 9] = exponent >> 8 | (rnd() & 0x80);
	}
}

static const u8 choosing[] = { 0, 0x66, 0xf3, 0xf2, 0x48 };

_Static_assert(ENUMERATED == sizeof(choosing) * 3 * 65536ul, "of each of these");

/* All of one-byte, 0F and 0F 38 opcode, ModRM and choosing prefix; returns the length. */
static unsigned int enumerated_insn(unsigned long nr)
{
	unsigned int n = 0, map = nr >> 16, which = map / 3;

	map %= 3;
	if (choosing[which] && !(choosing[which] == 0x48 &&
				 machine->mode != X86EMUL_MODE_PROT64))
		insn[n++] = choosing[which];
	if (map)
		insn[n++] = 0x0f;
	if (map == 2)
		insn[n++] = 0x38;
	insn[n++] = nr >> 8;
	insn[n++] = nr;
	return n;
}

/* Opcodes of VEX that are covered, in the maps from 1 on. */
static const u8 vex_opcodes[3][26] = {
	{ 0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x28, 0x29, 0x2b, 0x6e, 0x6f, 0x77, 0x7e,
	  0x7f, 0xae, 0xd6, 0xe7, 0xf0, 0xf7 },
	{ 0x18, 0x19, 0x1a, 0x2a, 0x2c, 0x2d, 0x2e, 0x2f, 0x58, 0x59, 0x5a, 0x78, 0x79,
	  0x8c, 0x8e, 0xf2, 0xf3, 0xf3, 0xf5, 0xf5, 0xf5, 0xf6, 0xf7, 0xf7, 0xf7, 0xf7 },
	{ 0x19, 0x39, 0xf0 },
};

static unsigned int random_vex(unsigned int n)
{
	static const u8 counts[3] = { 19, 26, 3 };
	bool mode64 = machine->mode == X86EMUL_MODE_PROT64, two = chance(3);
	unsigned int map = two ? 0 : rnd() % 3;
	/* Often without other prefixes, without vvvv, and of 128 bits. */
	u8 last = rnd() & 3;

	if (!chance(8))
		n = 0;
	last |= (chance(2) ? 15 : rnd() & 15) << 3 | (chance(3) ? 4 : 0);
	if (two) {
		insn[n++] = 0xc5;
		insn[n++] = last | (mode64 ? rnd() & 0x80 : 0xc0);
	} else {
		insn[n++] = 0xc4;
		insn[n++] = (map + 1) | (mode64 ? rnd() & 0xe0 : 0xc0 | (rnd() & 0x20));
		insn[n++] = last | (rnd() & 0x80);
	}
	insn[n++] = chance(64) ? rnd() : vex_opcodes[map][rnd() % counts[map]];
	return n;
}

static unsigned int random_prefixes(void)
{
	unsigned int n = 0;

	if (chance(4))
		insn[n++] = 0x66;
	if (chance(6))
		insn[n++] = 0x67;
	if (chance(12))
		insn[n++] = chance(2) ? 0xf2 : 0xf3;
	if (chance(16))
		insn[n++] = 0xf0;
	if (chance(16))
		insn[n++] = 0x65;
	if (chance(24))
		insn[n++] = 0x26 | (rnd() & 0x18);
	if (machine->mode == X86EMUL_MODE_PROT64 && chance(2))
		insn[n++] = 0x40 | (rnd() & 15);
	switch (rnd() % 16) {
	case 0 ... 5:
		break;
	case 6 ... 12:
		insn[n++] = 0x0f;
		break;
	case 13:
		insn[n++] = 0x0f;
		insn[n++] = 0x38;
		insn[n++] = 0xf0 | (rnd() & 7);
		break;
	case 14:
		n = random_vex(n);
		break;
	default:
		insn[n++] = 0xd8 | (rnd() & 7);
		break;
	}
	return n;
}

void random_insn(unsigned long nr)
{
	unsigned int n, i;

	n = nr < ENUMERATED ? enumerated_insn(nr) : random_prefixes();
	for (i = n; i < sizeof(insn); i++)
		insn[i] = rnd();
	/* After the opcode and ModRM, often a small displacement. */
	if (chance(2))
		for (i = n + 3; i < n + 6 && i < sizeof(insn); i++)
			insn[i] = 0;
	/* FS is the C library's. */
	for (i = 0; i < sizeof(insn); i++)
		if (insn[i] == 0x64)
			insn[i] = 0x65;
	insn[15] = 0xcc;
}

void fill_pattern(u64 from)
{
	u64 saved = seed;
	unsigned int i;

	pattern_seed = seed = from;
	for (i = 0; i < DATA_SIZE; i += 8) {
		u64 val = rnd();

		memcpy(pattern + i, &val, 8);
	}
	/* Here and there, addresses for what returns and jumps. */
	for (i = 0; i < DATA_SIZE; i += 8 << rnd() % 6) {
		u64 val = random_value();

		if (chance(2))
			val = START - machine->code_base + rnd() % 64 + 16;
		memcpy(pattern + i, &val, 8);
	}
	tame_x87();
	/* In one of eight, all that may be FXRSTOR's MXCSR is good. */
	for (i = 8; i < DATA_SIZE && !(from & 7); i += 16)
		pattern[i + 2] = pattern[i + 3] = 0;
	/* POPF would take AC from the stack, and signal handlers would then fault. */
	for (i = 2; i < DATA_SIZE; i++)
		pattern[i] &= ~4;
	seed = saved;
}
