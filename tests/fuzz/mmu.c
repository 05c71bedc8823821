// SPDX-License-Identifier: GPL-2.0-only
/*
 * The MMU fuzzer: guests of every paging mode and their VMM change page tables, slots
 * and the host's pages, and each translation is compared with a model's (mmu.h).
 *
 *	mmu [--seed N] [--seconds N] [--case N] [--rounds N] [--sequential] [--trace]
 *
 * FUZZ_SEED and FUZZ_SECONDS do the same for `make check`.  timeout: 300
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include "mmu.h"

struct fuzz fz;
struct counts counts[N_MODES];
bool trace;

static int rounds = 40;
static bool sequential;
static time_t end;

static const char * const mode_names[] = {
	"unpaged", "32-bit", "32-bit with 4M pages", "PAE", "64-bit"
};

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f)
		return;
	fputs(text, f);
	fclose(f);
}

static bool file_says(const char *path, const char *what)
{
	char line[64] = "";
	FILE *f = fopen(path, "r");

	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		line[0] = 0;
	fclose(f);
	return strchr(what, line[0]) && line[0];
}

static void look_at_cpu(void)
{
	struct vm vm;
	u32 phys;

	vm_create(&vm);
	fz.smep = has_smep(vm.sys);
	fz.smap = has_smap(vm.sys);
	fz.nx = has_nx(vm.sys);
	fz.gb = cpuid_reg(vm.sys, 0x80000001, 0, 3) & BIT(26);
	fz.tcg = on_tcg();
	fz.shadow = !nested_paging();
	phys = cpuid_reg(vm.sys, 0x80000008, 0, 0) & 0xff ?: 36;
	if (phys > 40)
		phys = 40;
	if (!(cpuid_reg(vm.sys, 1, 0, 3) & BIT(17)))
		phys = 32;
	fz.rsvd32 = 0x3fe000 & ~((1u << (phys - 19)) - 1);
	vm_destroy(&vm);
}

static void choose_mode(struct rnd *r)
{
	/* each mode soon, and more of those where more can go wrong */
	static const u8 modes[] = { P64, PPAE, P32E, P32, UNPAGED, P64, PPAE, P64, PPAE, P64 };
	static const u8 levels[] = { 0, 2, 2, 3, 4 };

	fz.mode = modes[fz.case_nr % ARRAY_LEN(modes)];
	fz.levels = levels[fz.mode];
	fz.esize = fz.mode >= PPAE ? 8 : 4;
	fz.index_bits = fz.mode >= PPAE ? 9 : 10;
	fz.window_large = fz.mode != P32 && percent(r, 50);
	fz.concurrent = !sequential && (fz.case_nr / ARRAY_LEN(modes) + fz.case_nr) % 2;
}

static void run_case(void)
{
	struct rnd r = rnd_of(fz.seed, fz.case_nr, ~0ull);
	int n;

	choose_mode(&r);
	plan_choice(&r);
	n = fz.concurrent ? rounds : 10 * rounds;
	fz.failed = 0;
	if (trace)
		printf("# case %d: %s, %s\n", fz.case_nr, mode_names[fz.mode],
		       fz.concurrent ? "concurrent" : "sequential");
	guest_begin(&r);
	model_reset();
	run_reset();
	for (fz.round_nr = 0; fz.round_nr < n && !fz.failed && time(NULL) < end; fz.round_nr++) {
		fz.r.check = fz.concurrent && fz.round_nr % 2;
		round_run(&fz.r);
	}
	guest_end();
	COUNT(cases);
}

static void result(int nr, int mode, bool failed, const char *why_not)
{
	struct counts *c = &counts[mode];

	if (!c->cases) {
		printf("ok %d %s # SKIP %s\n", nr, mode_names[mode], why_not);
		return;
	}
	printf("%sok %d %s: %lu cases, %lu rounds; %lu accesses, %lu of one result only, %lu faults, %lu MMIO, %lu unsure; %lu entries set, %lu flushes; %lu by the VMM, %lu of them slots\n",
	       failed ? "not " : "", nr, mode_names[mode], c->cases, c->rounds, c->accesses, c->exact,
	       c->faults, c->mmio, c->unsure, c->sets, c->flushes, c->vmm, c->slots);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", 1, NULL, 's' }, { "seconds", 1, NULL, 't' }, { "case", 1, NULL, 'c' },
		{ "rounds", 1, NULL, 'r' }, { "sequential", 0, NULL, '1' }, { "trace", 0, NULL, 'v' },
		{ }
	};
	const char *env_seed = getenv("FUZZ_SEED"), *env_seconds = getenv("FUZZ_SECONDS");
	int opt, only = -1, seconds = env_seconds ? atoi(env_seconds) : on_bochs() ? 12 : 20, failed_mode = -1;
	time_t said;

	if (env_seed && *env_seed)
		fz.seed = strtoull(env_seed, NULL, 0);
	else if (getrandom(&fz.seed, sizeof(fz.seed), 0) != sizeof(fz.seed))
		fz.seed = time(NULL);
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (opt) {
		case 's': fz.seed = strtoull(optarg, NULL, 0); break;
		case 't': seconds = atoi(optarg); break;
		case 'c': only = atoi(optarg); break;
		case 'r': rounds = atoi(optarg); break;
		case '1': sequential = true; break;
		case 'v': trace = true; break;
		default: return 2;
		}
	}
	signal(SIGCHLD, SIG_IGN);
	put_file("/sys/kernel/mm/ksm/pages_to_scan", "64");
	put_file("/sys/kernel/mm/ksm/sleep_millisecs", "50");
	put_file("/sys/kernel/mm/ksm/run", "1");
	look_at_cpu();
	printf("TAP version 13\n1..%d\n", N_MODES);
	printf("# --seed %#lx, %d seconds, %s paging, kvm.audit %s\n", fz.seed, seconds,
	       fz.shadow ? "shadow" : "nested",
	       access("/sys/module/kvm/parameters/audit", R_OK) ? "not built" :
	       file_says("/sys/module/kvm/parameters/audit", "123456789") ? "on" : "off");
	fflush(stdout);
	fz.begin = said = time(NULL);
	end = said + seconds;
	for (fz.case_nr = only < 0 ? 0 : only; time(NULL) < end; fz.case_nr++) {
		run_case();
		if (fz.failed) {
			failed_mode = fz.mode;
			break;
		}
		if (only >= 0)
			break;
		if (time(NULL) - said >= 60) {
			said = time(NULL);
			printf("# %ld s left, case %d\n", (long)(end - said), fz.case_nr);
			fflush(stdout);
		}
	}
	put_file("/sys/kernel/mm/ksm/run", "2");
	for (int i = 0; i < N_MODES; i++)
		result(i + 1, i, i == failed_mode, failed_mode >= 0 ? "a difference ended the run before" :
		       only >= 0 ? "another case was asked for" : "the time was up before");
	return failed_mode >= 0;
}
