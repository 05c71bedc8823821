// SPDX-License-Identifier: GPL-2.0-only
/* One case after another. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "differential.h"

u8 insn[X86_MAX_INSN_LEN + 1];
u64 start_rip;

/* Where the emulator sees nothing, this process may have its stack or libc. */
static bool mapped_here(u64 addr)
{
	unsigned char present;

	/* A stack grows to where it is touched. */
	if (addr >= 0x7ff000000000 && addr < 0x7ffffffff000)
		return true;
	return addr < 0x7ffffffff000 &&
	       mincore((void *)(addr & ~0xfffull), 1, &present) == 0;
}

bool is_environment(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;

	return IS(fnstenv) || IS(fldenv);
}

void note_case(const struct state *in, const char *list, unsigned long index)
{
	struct regression *r = &progress->row;

	r->mode = machine->mode;
	memcpy(r->insn, insn, 15);
	r->rip = in->rip;
	r->rflags = in->rflags;
	r->pattern = pattern_seed;
	memcpy(r->regs, in->regs, sizeof(r->regs));
	progress->mode = machine->name;
	progress->list = list;
	progress->index = index;
	progress->count++;
}

/* The case in insn, in and start_rip, with memory from the pattern. */
static void one_case(struct state *in, unsigned int tries)
{
	unsigned int len;
	int rc;

	media_state(in);
	memset(code_alias + 0x1fc0, 0xcc, 0x100);
	memcpy(code_alias + (start_rip + machine->code_base - CODE), insn, 15);
	memcpy((void *)DATA, pattern, DATA_SIZE);
	rc = run_emulator(in);
	memcpy(emu.data, (void *)DATA, DATA_SIZE);
	if (rc == X86EMUL_UNHANDLEABLE) {
		stats->lacking++;
		return;
	}
	len = rc == X86EMUL_CONTINUE || ctxt.d.len ? ctxt.d.len : 0;
	if (rc == X86EMUL_CONTINUE) {
		/* Into itself: it would not end. */
		if (emu.s.rip - start_rip < len || undefined_result()) {
			stats->skipped++;
			return;
		}
		/* Jumping to outside of the sea of INT3 must fault at once. */
		if (emu.s.rip + machine->code_base >= 0x12000000 &&
		    emu.s.rip - start_rip > 64 && emu.s.rip < 0x7ffffffff000) {
			stats->skipped++;
			return;
		}
	}
	/* The CPU at hand leaves what POPA had popped before the fault. */
	if (rc != X86EMUL_CONTINUE && ctxt.d.len && ctxt.d.row->exec == em_popa) {
		stats->skipped++;
		return;
	}
	/* The CPU at hand takes LOCK VERW for VERW; we hold with the manual. */
	if (ctxt.d.lock && ctxt.d.map == 1 && ctxt.d.opcode == 0) {
		stats->skipped++;
		return;
	}
	/* EFER.SVME is set where there are virtual machines in virtual machines. */
	if (ctxt.d.map == 1 && ctxt.d.opcode == 1 && ctxt.d.modrm >= 0xd8 &&
	    ctxt.d.modrm <= 0xdf) {
		stats->skipped++;
		return;
	}
	/* Ten bytes that wrap at 4 GiB: the CPU at hand looks at eight of them first. */
	if (rc != X86EMUL_CONTINUE && ctxt.d.len && ctxt.d.op[0].bytes == 10 &&
	    emu.trap != 14) {
		stats->skipped++;
		return;
	}
	/* In which order FXSAVE's microcode looks at its image's ends and alignment. */
	if (rc != X86EMUL_CONTINUE && (emu.trap == 12 || emu.trap == 13) && ctxt.d.len &&
	    (ctxt.d.row->exec == em_fxsave || ctxt.d.row->exec == em_fxrstor)) {
		stats->skipped++;
		return;
	}
	/* x87's environment is many accesses to the CPU, and one to us. */
	if (rc != X86EMUL_CONTINUE && emu.trap != 14 && ctxt.d.len && is_environment() &&
	    (u32)(ctxt.d.ea + 107) < (u32)ctxt.d.ea) {
		stats->skipped++;
		return;
	}
	if (emu.trap == 14 && (mapped_here(emu.cr2) || mapped_here(emu.cr2 + 63))) {
		stats->skipped++;
		return;
	}
	ignored_flags = rc == X86EMUL_CONTINUE ? undefined_flags() : 0;
	if (standing_in) {
		if (is_beyond_stand_in()) {
			stats->skipped++;
			return;
		}
		if (!stand_in(in))
			return;
	} else {
		memcpy((void *)DATA, pattern, DATA_SIZE);
		run_cpu(in);
		memcpy(cpu.data, (void *)DATA, DATA_SIZE);
	}
	if (rc == X86EMUL_CONTINUE &&
	    ctxt.d.row->exec == em_random)
		same_random();
	/*
	 * Where the last x87 instruction was need not outlive a context switch, on
	 * either side.
	 */
	if (tries && is_environment() && !same()) {
		one_case(in, tries - 1);
		return;
	}
	if (standing_in) {
		same_push_of_segment();
		same_c1();
	}
	if (standing_in && ctxt.d.len && !same() && bochs_differs()) {
		stats->skipped++;
		return;
	}
	stats->compared++;
	stats->faults += rc != X86EMUL_CONTINUE;
	/* VEX has no other maps. */
	if (!ctxt.d.vex || (ctxt.d.map && ctxt.d.map < 4))
		stats->rows[(ctxt.d.map & 3) | (ctxt.d.vex ? 4 : 0)][ctxt.d.opcode] = 1;
	if (same())
		return;
	if (stats->diverged++ < 10)
		report(in);
}

static const struct regression regressions[] = {
#include "regressions.h"
};

static void run_regressions(void)
{
	struct state in;
	unsigned int i;

	for (i = 0; i < sizeof(regressions) / sizeof(regressions[0]); i++) {
		const struct regression *r = &regressions[i];

		if (r->mode != machine->mode)
			continue;
		memset(&in, 0, sizeof(in));
		memcpy(in.regs, r->regs, sizeof(in.regs));
		memcpy(insn, r->insn, 15);
		in.rflags = r->rflags;
		in.rip = start_rip = r->rip;
		fill_pattern(r->pattern);
		note_case(&in, "regression", i);
		one_case(&in, standing_in ? 0 : 3);
	}
}

const char *planted = "";

bool is_planted(const char *what)
{
	return strstr(planted, what);
}

static void run_planted(const struct state *in)
{
	if (is_planted("hang")) {
		insn[0] = 0xeb;		/* JMP to itself */
		insn[1] = 0xfe;
		note_case(in, "case", PLANT_AT);
		memcpy(code_alias + (start_rip + machine->code_base - CODE), insn, 15);
		run_cpu(in);
	}
	if (is_planted("signal"))
		raise(SIGSEGV);
}

void run_cases(unsigned long cases, unsigned int worker, unsigned int workers)
{
	unsigned long n, enumerated = worker;
	static struct state in;

	run_regressions();
	for (n = 0; n < cases; n++) {
		if (n % 64 == 0) {
			fill_pattern(rnd());
			/* At a page's end every few rounds. */
			start_rip = START - machine->code_base - (chance(4) ? rnd() % 16 : 0);
		}
		random_insn(enumerated);
		enumerated += workers;
		random_state(&in);
		note_case(&in, "case", n);
		if (n == PLANT_AT && worker == 0)
			run_planted(&in);
		one_case(&in, standing_in ? 0 : 3);
	}
}
