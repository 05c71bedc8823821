// SPDX-License-Identifier: GPL-2.0-only
/* Another machine that stands in for the CPU: Bochs, by cases.S. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "differential.h"

enum standing_in standing_in;
static struct batch batch;
static FILE *batch_answers;
static struct batch_result answer;

/* What that machine cannot be asked for: it has something else there than Linux. */
bool is_beyond_stand_in(void)
{
	u64 rip = emu.s.rip + machine->code_base;

	/* MOVDIRI's opcode with a prefix that makes it none: Bochs goes on right behind it. */
	if (emu.trap == EXC_UD && ctxt.d.map == 2 && ctxt.d.opcode == 0xf9)
		return true;
	if (emu.trap == 14)
		return emu.cr2 - WAY_IN < 0x1000 + 64 || emu.cr2 - FIRMWARE < 0x400000 + 64;
	if (emu.trap != 3)
		return false;
	return rip - DATA < DATA_SIZE || rip - WAY_IN < 0x1000 || rip - FIRMWARE < 0x400000;
}

/* With a memory operand: x87's stores, environments and ten bytes. */
static bool bochs_differs_in_x87(void)
{
	const struct x86_decode *d = &ctxt.d;
	bool memory = d->modrm < 0xc0, fault = emu.trap >= 12 && emu.trap <= 14;

	if (d->map || d->opcode < 0xd8 || d->opcode > 0xdf)
		return false;
	/* Where among its many accesses the fault is; C1 has been cleared by then. */
	if (memory && fault && cpu.trap == emu.trap && (is_environment() || d->op[0].bytes == 10))
		return true;
	/*
	 * SDM 1 "Numeric Overflow Exception (#O)": with the exception unmasked, what FSCALE makes
	 * too large even for an adjusted exponent is infinite.  There the exponent wraps.
	 */
	if (!memory && d->opcode == 0xd9 && d->modrm == 0xfd && !(emu.s.media[0] & 8) &&
	    emu.s.media[IMAGE_ST(0) + 8] == 0xff && (emu.s.media[IMAGE_ST(0) + 9] & 0x7f) == 0x7f)
		return true;
	/* Transcendental functions are what each maker makes them. */
	return !memory && d->opcode == 0xd9 &&
	       (d->modrm <= 0xf3 ? d->modrm >= 0xf0 : d->modrm == 0xf9 || d->modrm == 0xfb ||
		d->modrm >= 0xfe);
}

static bool has_64bit_vex(void)
{
	unsigned int i;

	/* Prefixes before it are not C4. */
	for (i = 0; i < 13; i++)
		if (insn[i] == 0xc4)
			return (insn[i + 2] & 0x80) || !(insn[i + 2] & 0x40);
	return false;
}

/*
 * Where Bochs 2.7 departs from the manual, and no processor does: latitude.c has the
 * rest.  All of this is compared wherever a processor runs such code.
 */
bool bochs_differs(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	const struct x86_decode *d = &ctxt.d;

	/* ARPL's read is one for writing, of a page as of a code segment. */
	if (IS(arpl) && ((cpu.trap == 14 && emu.trap == 14 && cpu.error == (emu.error | 2)) ||
			 (cpu.trap == 13 && d->seg == X86_SEG_CS)))
		return true;
	/* Flags are not put back when a repeated comparison, CMPS or SCAS, faults. */
	if (IS(string) && (d->opcode & 0xf6) == 0xa6 && d->rep && cpu.trap == emu.trap && emu.trap != 3)
		return true;
	/* VEX.W and VEX.vvvv's highest bit, which count in 64-bit code only. */
	if (d->vex && has_64bit_vex())
		return true;
	/* FXRSTOR loads x87's part before it looks at MXCSR. */
	if (IS(fxrstor) && emu.trap == EXC_GP && cpu.trap == EXC_GP)
		return true;
	/* ADOX's carry is taken for an overflow. */
	if (IS(adx) && d->rep && !((cpu.s.rflags ^ emu.s.rflags) & ~(u64)(X86_FLAG_OF | X86_FLAG_RF)))
		return true;
	return bochs_differs_in_x87();
}

/*
 * C1 is what the maker makes it where an empty source meets a full destination, and
 * where comparisons set EFLAGS: Intel's clear it, AMD's leave it.
 */
static bool is_c1_undefined(void)
{
	const struct x86_decode *d = &ctxt.d;

	if (emu.s.media[IMAGE_SW] & cpu.s.media[IMAGE_SW] & 0x40)
		return true;
	return !d->map && (d->opcode == 0xdb || d->opcode == 0xdf) && d->modrm >= 0xe8 &&
	       d->modrm <= 0xf7;
}

void same_c1(void)
{
	u8 *a = emu.s.media + IMAGE_SW + 1, *b = cpu.s.media + IMAGE_SW + 1;

	if ((*a ^ *b) == 2 && is_c1_undefined())
		*a ^= 2;
}

static bool emit(const struct state *in)
{
	struct batch_case c = { .eip = in->rip, .eflags = in->rflags };
	unsigned int i;

	c.code_at = in->rip + machine->code_base - CODE;
	memcpy(c.code, code_alias + c.code_at, sizeof(c.code));
	for (i = 0; i < 8; i++)
		c.regs[i] = in->regs[i];
	if (!batch_add(&batch, machine->mode == X86EMUL_MODE_PROT16, pattern, in->media, &c))
		exit(2);
	stats->compared++;
	return false;
}

/* What that machine says of the same case; false: it says no more. */
bool stand_in(const struct state *in)
{
	unsigned int i;

	if (standing_in == EMIT)
		return emit(in);
	if (!batch_answers || !batch_next(batch_answers, &answer)) {
		stats->unanswered++;
		return false;
	}
	cpu.s = *in;
	for (i = 0; i < 8; i++)
		cpu.s.regs[i] = answer.regs[i];
	cpu.s.rip = answer.eip;
	cpu.s.rflags = answer.eflags;
	cpu.trap = answer.trap;
	cpu.error = answer.error;
	cpu.cr2 = answer.cr2;
	memcpy(cpu.data, pattern, DATA_SIZE);
	for (i = 0; i < answer.count; i++) {
		u32 at = answer.changed[i].nr * 4;

		if (at < DATA_SIZE)
			memcpy(cpu.data + at, &answer.changed[i].val, 4);
		else if (at - DATA_SIZE < XSAVE_BYTES)
			memcpy(cpu.s.media + (at - DATA_SIZE), &answer.changed[i].val, 4);
	}
	understand_trap(in);
	return true;
}

/* Bochs' corei7_skylake_x: what it has of all that there is. */
static void stand_in_features(void)
{
	memset(features, true, sizeof(features));
	features[X86EMUL_FEAT_MOVDIRI] = features[X86EMUL_FEAT_MOVDIR64B] = false;
	features[X86EMUL_FEAT_RDPID] = features[X86EMUL_FEAT_CLZERO] = false;
	features[X86EMUL_FEAT_SERIALIZE] = features[X86EMUL_FEAT_RTM] = false;
	features[X86EMUL_FEAT_CMPCCXADD] = features[X86EMUL_FEAT_3DNOW] = false;
	ctxt.amd = false;
	mxcsr_mask = 0xffff;
	xcr0 = 7;
}

/* Half of the cases are enumerated ones, from all of them alike. */
int run_stand_in(int argc, char **argv)
{
	unsigned long cases = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	unsigned int i = 1 + (argc > 3 && !strcmp(argv[3], machines[2].name));

	standing_in = !strcmp(argv[1], "emit") ? EMIT : CHECK;
	if (argc != 6 || strcmp(argv[3], machines[i].name) || !cases || set_up())
		return 2;
	seed = strtoull(argv[5], NULL, 0);
	progress = &shared->progress[0];
	stats = &shared->stats[i][0];
	stand_in_features();
	machine = &machines[i];
	if (standing_in == EMIT && !batch_create(&batch, argv[2]))
		return 2;
	if (standing_in == CHECK)
		batch_answers = batch_results(argv[2]);
	run_cases(cases, 0, ENUMERATED / (cases / 2 + 1) | 1);
	if (standing_in == EMIT)
		return batch_close(&batch) ? 0 : 2;
	print_results(machine, stats, 1, cases);
	return tap_done();
}
