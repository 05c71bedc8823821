// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random instructions with random state, run by the emulator and by the CPU this
 * stands on: 64-bit code, 32-bit code through the compatibility segment, and
 * 16-bit code through segments of an LDT.  Registers, defined flags, memory and
 * faults are compared.
 *
 *	differential [cases for each mode] [seed] [processes] [what to plant]
 *	differential emit|check FILE 32-bit|16-bit CASES SEED
 *
 * The second form is for 32- and 16-bit code where the CPU at hand does not run it:
 * it writes the cases to a disk for another machine (cases.S), then compares what
 * that has said of them (see stand-in).
 *
 * A process that makes no progress is ended, and its case named.  A mode that this
 * machine has no way into is skipped.
 *
 * First come all one-byte and 0F opcodes with all ModRM bytes and the prefixes
 * that choose among them, then random ones.  A divergence is printed with a row
 * for regressions.h, whose cases are run before all others.
 *
 * Where the manuals leave a choice, the rules of latitude.c say what else is right. A case that
 * differs is run three times more: one that then agrees each time was interrupted, and a machine
 * that is itself virtual may not return to it as it was. It is told, and more than three, and one
 * more in each million, fail.
 *
 * A test's code lies in a sea of INT3, so that wherever it goes on, a signal
 * says where.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "differential.h"

struct shared *shared;
struct progress *progress;
struct stats *stats;
struct outcome cpu, emu;
u8 pattern[DATA_SIZE];
u8 *code_alias;
bool amd;

/* A hypervisor may hide from CPUID what the CPU executes all the same. */
static bool cpu_has(const char *bytes, unsigned int n)
{
	static struct state in;

	machine = &machines[0];
	in.rip = START;
	in.rflags = 0x202;
	in.regs[X86_RAX] = in.regs[X86_RSP] = DATA;
	fill_pattern(1);
	media_state(&in);
	memcpy(code_alias + (START - CODE), bytes, n);
	run_cpu(&in);
	memset(code_alias, 0xcc, CODE_SIZE);
	return cpu.trap != EXC_UD;
}

/* Something of each, with RAX as the address; no #UD: it is there. */
static const struct {
	u8 feature, len;
	const char *bytes;
} tried[] = {
	{ X86EMUL_FEAT_MOVDIRI, 4, "\x0f\x38\xf9\x00" },
	{ X86EMUL_FEAT_MOVDIR64B, 5, "\x66\x0f\x38\xf8\x00" },
	{ X86EMUL_FEAT_RDRAND, 3, "\x0f\xc7\xf0" },
	{ X86EMUL_FEAT_RDSEED, 3, "\x0f\xc7\xf8" },
	{ X86EMUL_FEAT_RDPID, 4, "\xf3\x0f\xc7\xf8" },
	{ X86EMUL_FEAT_INVPCID, 5, "\x66\x0f\x38\x82\x00" },
	{ X86EMUL_FEAT_CLFLUSHOPT, 4, "\x66\x0f\xae\x38" },
	{ X86EMUL_FEAT_CLWB, 4, "\x66\x0f\xae\x30" },
	{ X86EMUL_FEAT_CLZERO, 3, "\x0f\x01\xfc" },
	{ X86EMUL_FEAT_SERIALIZE, 3, "\x0f\x01\xe8" },
	{ X86EMUL_FEAT_RTM, 3, "\x0f\x01\xd6" },
	{ X86EMUL_FEAT_CMPCCXADD, 5, "\xc4\xe2\x71\xe0\x00" },
	{ X86EMUL_FEAT_3DNOW, 2, "\x0f\x0e" },
};

/*
 * Is there a way into machines[i]?  Not into 32-bit code where the kernel has been
 * told to do without, nor into 16-bit code where it has no modify_ldt.
 */
static void try_mode(unsigned int i)
{
	u64 far = (u64)native_enter_far, far_end = (u64)native_entered_far;
	char *why = shared->modes[i].why_not;
	static struct state in;

	machine = &machines[i];
	progress->mode = machine->name;
	progress->list = "trying to enter";
	progress->count++;
	if (is_planted(machine->name))
		machines[i].cs = UNUSED_SELECTOR;
	if (machine->mode == X86EMUL_MODE_PROT16 && make_ldt()) {
		snprintf(why, sizeof(shared->modes[i].why_not), "this kernel has no modify_ldt");
		return;
	}
	in.rip = START - machine->code_base;
	in.rflags = 0x202;
	in.regs[X86_RSP] = DATA - machine->data_base + 0x400;
	fill_pattern(1);
	media_state(&in);
	code_alias[START - CODE] = 0x90;
	run_cpu(&in);
	memset(code_alias, 0xcc, CODE_SIZE);
	if (cpu.trap == 3 && cpu.s.rip == in.rip + 1)
		shared->modes[i].entered = true;
	else if (machine->mode != X86EMUL_MODE_PROT64 && cpu.s.rip - far < far_end - far)
		snprintf(why, sizeof(shared->modes[i].why_not),
			 "this kernel lets no program run it: exception %d, error code %x on the way in",
			 cpu.trap, cpu.error);
	else
		printf("# %s: exception %d, error code %x at %llx from the first instruction\n",
		       machine->name, cpu.trap, cpu.error, (unsigned long long)cpu.s.rip);
}

static int try_modes(void)
{
	unsigned int i;

	progress = &shared->progress[0];
	stats = &shared->stats[0][0];
	if (set_up())
		return 2;
	for (i = 0; i < MODES; i++)
		try_mode(i);
	return 0;
}

static int work(unsigned long cases, unsigned int worker, unsigned int workers)
{
	unsigned int i;

	progress = &shared->progress[worker];
	stats = &shared->stats[0][worker];
	if (set_up())
		return 2;
	progress->mode = machines[0].name;
	progress->list = "looking for features";
	for (i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		progress->count++;
		features[tried[i].feature] = cpu_has(tried[i].bytes, tried[i].len);
	}
	seed += (u64)worker << 32;
	for (i = 0; i < MODES; i++) {
		if (!shared->modes[i].entered)
			continue;
		machine = &machines[i];
		if (machine->mode == X86EMUL_MODE_PROT16 && make_ldt())
			return 3;
		stats = &shared->stats[i][worker];
		run_cases(cases / workers, worker, workers);
	}
	return 0;
}

/* ---- the process that watches the others ---- */

/* Processor time counts, not time: the machine may be busy with something else. */
#define STUCK_CPU_SECONDS 5
#define STUCK_SECONDS 300

struct watched {
	pid_t pid;
	unsigned long count;
	double cpu, since;
};

static double seconds(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_seconds(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) ? 0 : seconds(clock);
}

static bool is_stuck(struct watched *w, const struct progress *p)
{
	double cpu = cpu_seconds(w->pid), now = seconds(CLOCK_MONOTONIC);
	unsigned long count = __atomic_load_n(&p->count, __ATOMIC_RELAXED);

	if (count != w->count) {
		w->count = count;
		w->cpu = cpu;
		w->since = now;
	}
	return cpu - w->cpu > STUCK_CPU_SECONDS || now - w->since > STUCK_SECONDS;
}

static void name_case(const struct progress *p, unsigned int worker, const char *what)
{
	unsigned int i;

	printf("# process %u %s: seed %llu, %s, %s %lu:", worker, what,
	       (unsigned long long)seed, p->mode ? p->mode : "not begun",
	       p->list ? p->list : "", p->index);
	for (i = 0; i < 15; i++)
		printf(" %02x", p->row.insn[i]);
	printf("\n");
	print_row(&p->row);
}

static pid_t start(int (*fn)(void *), void *arg)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	/* Whatever ends the parent, and however, ends its children. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(2);
	exit(fn(arg));		/* not _exit(): gcov has its say */
}

/* Until all have ended, by themselves or from here; returns how many did not well. */
static unsigned int watch(struct watched *w, unsigned int n)
{
	unsigned int i, left = n, broken = 0;
	char what[80];
	int status;

	while (left) {
		usleep(20000);
		for (i = 0; i < n; i++) {
			if (w[i].pid <= 0)
				continue;
			if (waitpid(w[i].pid, &status, WNOHANG) == 0) {
				if (!is_stuck(&w[i], &shared->progress[i]))
					continue;
				name_case(&shared->progress[i], i, "makes no progress and is ended");
				kill(w[i].pid, SIGKILL);
				waitpid(w[i].pid, &status, 0);
			} else if (status) {
				snprintf(what, sizeof(what), "ended with status %x, signal %d at %llx",
					 status, shared->progress[i].signal,
					 (unsigned long long)shared->progress[i].signal_rip);
				name_case(&shared->progress[i], i, what);
			}
			broken += status != 0;
			w[i].pid = 0;
			left--;
		}
	}
	return broken;
}

void print_results(const struct machine *m, const struct stats *all,
		   unsigned int workers, unsigned long cases)
{
	static struct stats zero;
	const struct stats *first = NULL;
	struct stats sum = zero;
	unsigned int rows = 0, w, i;

	for (w = 0; w < workers; w++) {
		sum.compared += all[w].compared;
		sum.faults += all[w].faults;
		sum.skipped += all[w].skipped;
		sum.lacking += all[w].lacking;
		sum.diverged += all[w].diverged;
		sum.interrupted += all[w].interrupted;
		sum.bad_returns += all[w].bad_returns;
		sum.unanswered += all[w].unanswered;
		sum.allowed += all[w].allowed;
		for (i = 0; i < LIBERTIES; i++)
			sum.liberties[i] += all[w].liberties[i];
		if (all[w].diverged)
			first = &all[w];
		for (i = 0; i < sizeof(sum.rows); i++)
			((u8 *)sum.rows)[i] |= ((const u8 *)all[w].rows)[i];
	}
	for (i = 0; i < sizeof(sum.rows); i++)
		rows += ((u8 *)sum.rows)[i];
	if (sum.unanswered)
		printf("# %lu cases are without an answer\n", sum.unanswered);
	if (sum.bad_returns)
		printf("# %lu times the case's stack pointer was returned with\n", sum.bad_returns);
	if (sum.interrupted)
		printf("# %s: %lu differed once, and not again\n", m->name, sum.interrupted);
	print_liberties(m->name, &sum);
	if (first)
		print_first(m->name, first);
	tap_ok(sum.diverged == 0 && sum.bad_returns == 0 && sum.unanswered == 0 &&
	       sum.interrupted <= 3 + sum.compared / 1000000 && sum.compared > cases / 4,
	       "%s: %lu cases compared, %lu of them faults, %u opcodes, %lu differ as the manual allows, %lu divergences (%lu not covered, %lu skipped)",
	       m->name, sum.compared, sum.faults, rows, sum.allowed, sum.diverged,
	       sum.lacking, sum.skipped);
}

static void find_features(void)
{
	static u8 image[512] __attribute__((aligned(16)));
	u32 low, high;

	__asm__ volatile("fxsave64 %0" : "=m"(image));
	memcpy(&mxcsr_mask, image + IMAGE_MXCSR + 4, 4);
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	xcr0 = (u64)high << 32 | low;
	memset(features, true, sizeof(features));
	features[X86EMUL_FEAT_BMI1] = __builtin_cpu_supports("bmi");
	features[X86EMUL_FEAT_BMI2] = __builtin_cpu_supports("bmi2");
	features[X86EMUL_FEAT_AVX] = __builtin_cpu_supports("avx");
	features[X86EMUL_FEAT_AVX2] = __builtin_cpu_supports("avx2");
}

static bool is_amd(void)
{
	u32 a = 0, b, c, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	return c == 0x444d4163;		/* AuthenticAMD */
}

struct job {
	unsigned long cases;
	unsigned int worker, workers;
};

static int work_of(void *arg)
{
	const struct job *j = arg;

	return work(j->cases, j->worker, j->workers);
}

static int try_modes_of(void *arg)
{
	(void)arg;
	return try_modes();
}

static unsigned int find_modes(void)
{
	struct watched w = { .since = seconds(CLOCK_MONOTONIC), .pid = start(try_modes_of, NULL) };
	unsigned int broken = w.pid < 0 ? 1 : watch(&w, 1);

	memset(shared->progress, 0, sizeof(shared->progress));
	memset(shared->stats, 0, sizeof(shared->stats));
	return broken;
}

static unsigned int run_workers(unsigned long cases, unsigned int workers)
{
	struct watched w[MAX_WORKERS] = { 0 };
	struct job job = { .cases = cases, .workers = workers };
	unsigned int broken = 0;

	for (job.worker = 0; job.worker < workers; job.worker++) {
		w[job.worker].since = seconds(CLOCK_MONOTONIC);
		w[job.worker].pid = start(work_of, &job);
		broken += w[job.worker].pid < 0;
	}
	return broken + watch(w, workers);
}

int main(int argc, char **argv)
{
	unsigned long cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 300000;
	long workers = argc > 3 ? atol(argv[3]) : sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int i, broken;

	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	planted = argc > 4 ? argv[4] : "";
	amd = is_amd();
	find_features();
	if (workers < 1 || workers > MAX_WORKERS)
		workers = workers < 1 ? 1 : MAX_WORKERS;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	if (argc > 1 && (!strcmp(argv[1], "emit") || !strcmp(argv[1], "check")))
		return run_stand_in(argc, argv);
	broken = find_modes();
	broken += run_workers(cases, workers);
	tap_ok(!broken, "%ld processes, %u of them broken", workers, broken);
	for (i = 0; i < MODES; i++) {
		if (shared->modes[i].why_not[0])
			tap_skip(machines[i].name, "%s; Bochs stands in for it (tests/emulate/stand-in)",
				 shared->modes[i].why_not);
		else
			print_results(&machines[i], shared->stats[i], workers, cases);
	}
	return tap_done();
}
