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

/* Can the CPU run it, and so that this process finds what came of it? */
static bool is_fit_to_run(int rc)
{
	unsigned int len = rc == X86EMUL_CONTINUE || ctxt.d.len ? ctxt.d.len : 0;

	if (emu.trap == EXC_PF && (mapped_here(emu.cr2) || mapped_here(emu.cr2 + 63)))
		return false;
	if (rc != X86EMUL_CONTINUE)
		return true;
	/* Into itself: it would not end. */
	if (emu.s.rip - start_rip < len || undefined_result())
		return false;
	/* Jumping to outside of the sea of INT3 must fault at once. */
	return emu.s.rip + machine->code_base < 0x12000000 || emu.s.rip - start_rip <= 64 ||
	       emu.s.rip >= 0x7ffffffff000;
}

/* What the CPU, or what stands in for it, makes of the case; false: it says nothing. */
static bool run_other_side(const struct state *in)
{
	if (standing_in)
		return stand_in(in);
	memcpy((void *)DATA, pattern, DATA_SIZE);
	run_cpu(in);
	memcpy(cpu.data, (void *)DATA, DATA_SIZE);
	return true;
}

/* Planted: results that are not the CPU's, so many from now on. */
static unsigned int spoiled;

static void note_divergence(const struct state *in)
{
	if (!stats->diverged) {
		stats->first = progress->row;
		stats->first_outcomes[0] = cpu;
		stats->first_outcomes[1] = emu;
	}
	if (stats->diverged++ < 10)
		report(in);
}

enum verdict { AGREE, DIFFER, LACKING, SKIPPED, UNANSWERED };

/* The case in insn, in and start_rip, with memory from the pattern, on both sides. */
static enum verdict run_both(const struct state *in, int *rc)
{
	memset(code_alias + 0x1fc0, 0xcc, 0x100);
	memcpy(code_alias + (start_rip + machine->code_base - CODE), insn, 15);
	memcpy((void *)DATA, pattern, DATA_SIZE);
	*rc = run_emulator(in);
	memcpy(emu.data, (void *)DATA, DATA_SIZE);
	if (*rc == X86EMUL_UNHANDLEABLE)
		return LACKING;
	if (!is_fit_to_run(*rc) || (standing_in && is_beyond_stand_in()))
		return SKIPPED;
	ignored_flags = *rc == X86EMUL_CONTINUE ? undefined_flags() : 0;
	if (!run_other_side(in))
		return UNANSWERED;
	if (spoiled) {
		emu.s.regs[X86_RBX] ^= 1;
		spoiled--;
	}
	if (*rc == X86EMUL_CONTINUE && ctxt.d.row->exec == em_random)
		same_random();
	if (standing_in)
		same_c1();
	return same() || is_allowed(in) ? AGREE : DIFFER;
}

/*
 * Whether the CPU differs whenever it is asked again: one agreement will do where a context switch
 * may change the result. Else it takes three: then the case was interrupted, and who virtualizes
 * this machine did not return to it as it was (NT cleared, #UD at an INT3: one in millions).
 */
static bool differs_again(const struct state *in, int *rc)
{
	bool environment = ctxt.d.len && is_environment();
	static struct outcome first[2];
	unsigned int i, agreed = 0;

	first[0] = cpu;
	first[1] = emu;
	for (i = 0; i < 3; i++) {
		agreed += run_both(in, rc) == AGREE;
		if (environment ? agreed : !agreed)
			break;
	}
	if (environment)
		return !agreed;
	if (agreed < 3)
		return true;
	if (stats->interrupted++ < 10) {
		cpu = first[0];
		emu = first[1];
		report(in);
		printf("# and three times not so\n");
	}
	return false;
}

static void one_case(struct state *in, bool again)
{
	enum verdict verdict;
	int rc;

	media_state(in);
	verdict = run_both(in, &rc);
	if (verdict == LACKING)
		stats->lacking++;
	if (verdict == SKIPPED)
		stats->skipped++;
	if (verdict != AGREE && verdict != DIFFER)
		return;
	if (verdict == DIFFER && again && !standing_in && !differs_again(in, &rc))
		verdict = AGREE;
	if (verdict == DIFFER && standing_in && ctxt.d.len && bochs_differs()) {
		stats->skipped++;
		return;
	}
	stats->compared++;
	stats->faults += rc != X86EMUL_CONTINUE;
	/* VEX has no other maps. */
	if (!ctxt.d.vex || (ctxt.d.map && ctxt.d.map < 4))
		stats->rows[(ctxt.d.map & 3) | (ctxt.d.vex ? 4 : 0)][ctxt.d.opcode] = 1;
	if (verdict == DIFFER)
		note_divergence(in);
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
		one_case(&in, true);
	}
}

const char *planted = "";

bool is_planted(const char *what)
{
	return strstr(planted, what);
}

static void run_planted(struct state *in)
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
	if (is_planted("wrong") || is_planted("once")) {
		spoiled = is_planted("once") ? 1 : 4;
		insn[0] = 0x90;
		note_case(in, "case", PLANT_AT);
		one_case(in, true);
		spoiled = 0;
	}
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
		one_case(&in, true);
	}
}
