// SPDX-License-Identifier: GPL-2.0-only
/* What must be the same, and what is said where it is not. */
#include <stdio.h>

#include "differential.h"

/* Flags that the manual leaves undefined for what was just decoded. */
u32 undefined_flags(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	const struct x86_operand *op = ctxt.d.op;
	unsigned int bits = op[0].bytes * 8, n;

	if (IS(and) || IS(or) || IS(xor))
		return X86_FLAG_AF;
	if (IS(mul) || IS(imul) || IS(imul_2) || IS(imul_3))
		return X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_AF | X86_FLAG_PF;
	if (IS(div) || IS(idiv))
		return X86_FLAGS_STATUS;
	if (IS(bit))
		return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
	if (IS(bsf) || IS(bsr))
		return X86_FLAGS_STATUS & ~X86_FLAG_ZF;
	if (IS(tzcnt) || IS(lzcnt))
		return X86_FLAGS_STATUS & ~(X86_FLAG_ZF | X86_FLAG_CF);
	if (IS(aaa))
		return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_PF;
	if (IS(daa))
		return X86_FLAG_OF;
	if (IS(aam) || IS(aad))
		return X86_FLAG_OF | X86_FLAG_AF | X86_FLAG_CF;
	if (IS(shld) || IS(shrd)) {
		n = op[2].val & (bits == 64 ? 63 : 31);
		return (n ? X86_FLAG_AF : 0) | (n > 1 ? X86_FLAG_OF : 0);
	}
	if (IS(rol) || IS(ror) || IS(rcl) || IS(rcr)) {
		n = op[1].val & (bits == 64 ? 63 : 31);
		return n > 1 ? X86_FLAG_OF : 0;
	}
	if (IS(andn) || IS(blsr) || IS(blsmsk) || IS(blsi) || IS(bzhi))
		return X86_FLAG_AF | X86_FLAG_PF;
	if (IS(bextr))
		return X86_FLAG_AF | X86_FLAG_PF | X86_FLAG_SF;
	if (IS(shl) || IS(shr) || IS(sar)) {
		n = op[1].val & (bits == 64 ? 63 : 31);
		return (n ? X86_FLAG_AF : 0) | (n > 1 ? X86_FLAG_OF : 0) |
		       (n > bits && !IS(sar) ? X86_FLAG_CF : 0);
	}
	return 0;
}

bool undefined_result(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	const struct x86_operand *op = ctxt.d.op;

	if (IS(bswap) && op[0].bytes == 2)
		return true;
	return (IS(shld) || IS(shrd)) && op[0].bytes == 2 && (op[2].val & 31) > 16;
}

u32 ignored_flags;

static bool same_media(void)
{
	const u8 *a = cpu.s.media, *b = emu.s.media;
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (memcmp(a + IMAGE_ST(i), b + IMAGE_ST(i), 10))
			return false;
	return !memcmp(a, b, IMAGE_TAGS + 1) &&
	       !memcmp(a + IMAGE_MXCSR, b + IMAGE_MXCSR, 4) &&
	       !memcmp(a + IMAGE_XMM(0), b + IMAGE_XMM(0), 256) &&
	       !memcmp(a + IMAGE_YMM_HIGH(0), b + IMAGE_YMM_HIGH(0), 256);
}

void print_row(const struct regression *r)
{
	unsigned int i;

	printf("# { %u, {", r->mode);
	for (i = 0; i < 15; i++)
		printf(" 0x%02x,", r->insn[i]);
	printf(" },\n#   0x%llx, 0x%llx, 0x%llx, {", (unsigned long long)r->rip,
	       (unsigned long long)r->rflags, (unsigned long long)r->pattern);
	for (i = 0; i < 16; i++)
		printf(" 0x%llx,", (unsigned long long)r->regs[i]);
	printf(" } },\n");
}

static void report_media(const struct state *in)
{
	unsigned int i;

	for (i = 0; i < XSAVE_BYTES; i += 16)
		if (memcmp(cpu.s.media + i, emu.s.media + i, 16))
			printf("#   media[%u]: was %016llx%016llx, cpu %016llx%016llx emulator %016llx%016llx\n",
			       i, *(const unsigned long long *)(in->media + i + 8),
			       *(const unsigned long long *)(in->media + i),
			       *(const unsigned long long *)(cpu.s.media + i + 8),
			       *(const unsigned long long *)(cpu.s.media + i),
			       *(const unsigned long long *)(emu.s.media + i + 8),
			       *(const unsigned long long *)(emu.s.media + i));
}

/* Only the CPU knows what it came to: the emulator's bits of it are made the same. */
void same_random(void)
{
	const struct x86_operand *op = &ctxt.d.op[0];
	u64 mask = x86_mask(op->bytes), val = cpu.s.regs[op->reg] & mask;

	emu.s.regs[op->reg] = (emu.s.regs[op->reg] & ~mask) | val;
	if (!val)
		emu.s.rflags ^= (emu.s.rflags ^ cpu.s.rflags) & X86_FLAG_CF;
}

bool same(void)
{
	u32 ignore = ignored_flags | X86_FLAG_RF;
	unsigned int i, n = machine->mode == X86EMUL_MODE_PROT64 ? 16 : 8;
	u64 mask = machine->mode == X86EMUL_MODE_PROT64 ? ~0ull : 0xffffffff;

	for (i = 0; i < n; i++)
		if ((cpu.s.regs[i] ^ emu.s.regs[i]) & mask)
			return false;
	if (cpu.trap != emu.trap || cpu.error != emu.error || cpu.cr2 != emu.cr2)
		return false;
	if (cpu.s.rip != emu.s.rip || ((cpu.s.rflags ^ emu.s.rflags) & ~(u64)ignore))
		return false;
	if (!same_media())
		return false;
	return !memcmp(cpu.data, emu.data, DATA_SIZE);
}

/* In one line: what is said last is what is seen first. */
void print_first(const char *mode, const struct stats *s)
{
	const struct outcome *c = &s->first_outcomes[0], *e = &s->first_outcomes[1];
	unsigned int i;

	printf("# %s, the first to diverge:", mode);
	for (i = 0; i < 15; i++)
		printf(" %02x", s->first.insn[i]);
	printf(", trap %d/%d error %x/%x cr2 %llx/%llx rip %llx/%llx flags %llx/%llx (cpu/emulator)\n",
	       c->trap, e->trap, c->error, e->error,
	       (unsigned long long)c->cr2, (unsigned long long)e->cr2,
	       (unsigned long long)c->s.rip, (unsigned long long)e->s.rip,
	       (unsigned long long)c->s.rflags, (unsigned long long)e->s.rflags);
	print_row(&s->first);
}

void report(const struct state *in)
{
	static const char *const names[16] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	unsigned int i, shown = 0;

	printf("# %s:", machine->name);
	for (i = 0; i < 15; i++)
		printf(" %02x", insn[i]);
	printf(" (len %u)\n# trap %d/%d error %x/%x cr2 %llx/%llx (cpu/emulator)\n",
	       ctxt.d.len, cpu.trap, emu.trap, cpu.error, emu.error,
	       (unsigned long long)cpu.cr2, (unsigned long long)emu.cr2);
	for (i = 0; i < 16; i++)
		printf("%s%s=%llx%s", i % 8 ? " " : "#   ", names[i],
		       (unsigned long long)in->regs[i], i % 8 == 7 ? "\n" : "");
	for (i = 0; i < 16; i++)
		if (cpu.s.regs[i] != emu.s.regs[i])
			printf("#   %s: cpu %llx emulator %llx\n", names[i],
			       (unsigned long long)cpu.s.regs[i],
			       (unsigned long long)emu.s.regs[i]);
	printf("#   rip %llx/%llx/%llx flags %llx/%llx/%llx (in/cpu/emulator)\n",
	       (unsigned long long)in->rip, (unsigned long long)cpu.s.rip,
	       (unsigned long long)emu.s.rip, (unsigned long long)in->rflags,
	       (unsigned long long)cpu.s.rflags, (unsigned long long)emu.s.rflags);
	if (!same_media())
		report_media(in);
	for (i = 0; i < DATA_SIZE && shown < 8; i++)
		if (cpu.data[i] != emu.data[i]) {
			printf("#   data[%x]: was %02x, cpu %02x emulator %02x\n", i,
			       pattern[i], cpu.data[i], emu.data[i]);
			shown++;
		}
	print_row(&progress->row);
}
