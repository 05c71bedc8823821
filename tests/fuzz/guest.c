// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fuzzer of what guests can do: random programs in random states of random machines,
 * in all modes, with several vcpus.  Nothing of it may reach the host.
 *
 * A case is one VM; each of its vcpus lives through some episodes, each with a state
 * and a program of its own, made from the seed, the case's number and the vcpu's.  A case
 * fails if
 *
 * - KVM_RUN ends in a way that is neither an exit that a VMM knows nor one of the
 *   errors below;
 * - a vcpu's thread takes more of the processor's time for a KVM_RUN than the guest was
 *   given and one exit may need (see late());
 * - state that was got cannot be set again;
 * - afterwards the VM does not run a guest in good order;
 * - it does not end.
 *
 * What the host's kernel has to say of it, the lab looks for.  timeout: 600
 */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "guest.h"

#define EPISODES	6
#define MAX_RUNS	160		/* of KVM_RUN in an episode */
#define SLICE_US	2000		/* of a guest that does not exit */

static u64 seed = 1, case_nr;
static int only_case = -1, verbose;
static double seconds = 12;
static FILE *kmsg;

/*
 * ---- counts ----
 */

#define MAX_REASONS	40
#define MAX_STATS	64
#define MAX_NOTES	32

struct counts {
	u64 cases, episodes, refused, runs, restarts;
	u64 exits[MAX_REASONS], errors[134], suberrors[8];
	u64 modes[F_MODES];
	u64 late_once;
	double slowest;			/* KVM_RUN, in seconds of its thread */
	u64 stats[MAX_STATS];
	struct note { char text[64]; u64 n; } note[MAX_NOTES];
};

static struct counts counts;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char stat_names[MAX_STATS][48];
static u32 nr_stats;
static u64 failures;

static const char *const mode_names[F_MODES] = {
	"real", "unreal", "16-bit", "32-bit", "v86", "paged", "PSE", "PAE", "v86 paged",
	"compat 16", "compat 32", "64-bit",
};

/* Things that happen seldom and are told by name. */
static void note(const char *fmt, ...)
{
	char text[64];
	va_list ap;
	u32 i;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&lock);
	for (i = 0; i < MAX_NOTES - 1; i++)
		if (!counts.note[i].n || !strcmp(counts.note[i].text, text))
			break;
	strcpy(counts.note[i].text, text);
	counts.note[i].n++;
	pthread_mutex_unlock(&lock);
}

static void failed(int v, const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	failures++;
	printf("# FAILED: --seed %lu --case %lu, vcpu %d: ", seed, case_nr, v);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

/*
 * ---- bounded work ----
 *
 * Once the slice is over, a signal makes the vcpu leave: at once if it is in the guest,
 * else when the exit that is handled is done.  So a KVM_RUN that took much more than its
 * slice of the processor spent that in one exit.  How long a handler may take follows from
 * how fast the processor is, which is measured (in Bochs, whose clock counts
 * instructions, it is always the same), and again when a limit was exceeded, as the
 * machine below the lab may just have become slow.  A case that is late counts if it is
 * late again when it is repeated.
 */
#define WORK		4000000			/* rounds of the loop in work_seconds() */
#define LIMIT_WORKS	30

static double work, limit;
static u64 late_runs;

static double thread_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double wall_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double work_seconds(void)
{
	double begin = thread_seconds();

	for (volatile u32 i = 0; i < WORK; i++)
		;
	return thread_seconds() - begin;
}

static void measure(void)
{
	double now = work_seconds();

	if (now > work)
		work = now;
	limit = SLICE_US / 1e6 + LIMIT_WORKS * work;
}

static bool late(double took)
{
	double now;

	if (took < limit)
		return false;
	now = work_seconds();
	return took > SLICE_US / 1e6 + LIMIT_WORKS * (now > work ? now : work);
}

/*
 * ---- a vcpu's thread ----
 */

struct runner {
	struct machine *m;
	int v;
	pthread_t thread;
	struct episode e;
	double slowest;
	u64 runs;
};

static __thread struct kvm_run *my_run;

static void on_slice(int sig)
{
	if (my_run)
		my_run->immediate_exit = 1;	/* also if KVM_RUN is only about to be called */
}

static timer_t slice_timer(void)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	timer_t t;

	ev._sigev_un._tid = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &ev, &t))
		die("timer_create");
	return t;
}

static void set_slice(timer_t t, u32 us)
{
	struct itimerspec it = { .it_value.tv_nsec = us * 1000, .it_interval.tv_nsec = us * 1000 };

	timer_settime(t, 0, &it, NULL);
}

/* What userspace's devices and registers answer. */
static void answer(struct kvm_run *run, struct rng *r)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.direction == KVM_EXIT_IO_IN)
			for (u32 i = 0; i < run->io.size * run->io.count; i++)
				((u8 *)run)[run->io.data_offset + i] = rnd(r);
		break;
	case KVM_EXIT_MMIO:
		if (!run->mmio.is_write)
			*(u64 *)run->mmio.data = rnd(r);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		run->msr.error = one_in(r, 3);
		run->msr.data = rnd(r);
		break;
	case KVM_EXIT_HYPERCALL:
		run->hypercall.ret = rnd(r);
		break;
	}
}

/* What a VMM does beside, while its guest runs. */
static void interfere(struct machine *m, int v, struct rng *r)
{
	struct kvm_irq_level l = { .irq = below(r, 24), .level = below(r, 2) };
	struct kvm_msi msi = { .address_lo = GPA_APIC | below(r, 5) << 12, .data = 0x20 + below(r, 0xe0) };
	struct kvm_interrupt irq = { 0x20 + below(r, 0xe0) };

	switch (below(r, 5)) {
	case 0:
		ioctl(m->vcpu[v].fd, KVM_NMI);
		break;
	case 1:
		ioctl(m->vm.fd, KVM_IRQ_LINE, &l);
		break;
	case 2:
		ioctl(m->vm.fd, KVM_SIGNAL_MSI, &msi);
		break;
	case 3:
		ioctl(m->vcpu[v].fd, KVM_INTERRUPT, &irq);
		break;
	default:
		m->vcpu[v].run->request_interrupt_window = one_in(r, 2);
	}
}

/*
 * What can be got can be set, whatever the guest has made of it.  SREGS2, as a PAE guest
 * may spoil the table in memory that its PDPTEs came from, and KVM_SET_SREGS loads them anew.
 */
static void save_and_restore(struct machine *m, int v)
{
	static const struct { const char *name; unsigned long get, set; } all[] = {
		{ "sregs", KVM_GET_SREGS2, KVM_SET_SREGS2 },
		{ "regs", KVM_GET_REGS, KVM_SET_REGS },
		{ "events", KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS },
		{ "debugregs", KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS },
		{ "fpu", KVM_GET_FPU, KVM_SET_FPU },
		{ "xcrs", KVM_GET_XCRS, KVM_SET_XCRS },
		{ "xsave", KVM_GET_XSAVE, KVM_SET_XSAVE },
		{ "lapic", KVM_GET_LAPIC, KVM_SET_LAPIC },
	};
	u8 state[4096];

	for (u32 i = 0; i < ARRAY_LEN(all); i++) {
		if (!strcmp(all[i].name, "lapic") && !m->irqchip)
			continue;
		memset(state, 0, sizeof(state));
		if (ioctl(m->vcpu[v].fd, all[i].get, state))
			failed(v, "its %s cannot be got: %s", all[i].name, strerror(errno));
		else if (ioctl(m->vcpu[v].fd, all[i].set, state))
			failed(v, "its %s cannot be set as they were got: %s", all[i].name, strerror(errno));
	}
}

static void tell(struct runner *u, int ret, int err, double took)
{
	struct kvm_run *run = u->m->vcpu[u->v].run;
	struct kvm_regs regs = vcpu_regs(&u->m->vcpu[u->v]);

	printf("#   vcpu %d: %s %s, rip %llx, %.6f s\n", u->v,
	       ret ? "errno" : "exit", ret ? strerror(err) : exit_name(run->exit_reason), regs.rip, took);
	fflush(stdout);
}

static void judge_error(struct runner *u, int err)
{
	switch (err) {
	case EINTR:
	case EAGAIN:		/* it waited for INIT, or SIPI */
	case EFAULT:		/* memory of the slot at GPA_ODD that is not there */
		break;
	default:
		failed(u->v, "KVM_RUN: %s", strerror(err));
	}
}

/* The hardware refused a state: which, to be told apart from what we should have refused. */
static void refused_entry(struct runner *u, struct kvm_run *run)
{
	struct kvm_sregs s;

	note("FAIL_ENTRY %#llx in %s mode", run->fail_entry.hardware_entry_failure_reason,
	     mode_names[u->e.mode]);
	if (ioctl(u->m->vcpu[u->v].fd, KVM_GET_SREGS, &s))
		return;
	pthread_mutex_lock(&lock);
	printf("# FAIL_ENTRY: --seed %lu --case %lu, vcpu %d, %s: cr0 %llx cr3 %llx cr4 %llx efer %llx",
	       seed, case_nr, u->v, mode_names[u->e.mode], s.cr0, s.cr3, s.cr4, s.efer);
	printf(" cs %x type %x dpl %x l %x db %x p %x", s.cs.selector, s.cs.type, s.cs.dpl, s.cs.l, s.cs.db,
	       s.cs.present);
	printf(" ss %x type %x dpl %x p %x u %x", s.ss.selector, s.ss.type, s.ss.dpl, s.ss.present,
	       s.ss.unusable);
	printf(" tr %x type %x p %x flags %llx\n", s.tr.selector, s.tr.type, s.tr.present,
	       vcpu_regs(&u->m->vcpu[u->v]).rflags);
	fflush(stdout);
	pthread_mutex_unlock(&lock);
	if (verbose)
		vcpu_dump(&u->m->vcpu[u->v], "FAIL_ENTRY");
}

static void judge_exit(struct runner *u, struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		if (run->internal.suberror < ARRAY_LEN(counts.suberrors))
			__sync_fetch_and_add(&counts.suberrors[run->internal.suberror], 1);
		if (run->internal.suberror == KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON)
			failed(u->v, "an exit without a handler: %#llx", run->internal.data[0]);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		refused_entry(u, run);
		break;
	case KVM_EXIT_IO:
	case KVM_EXIT_HYPERCALL:
	case KVM_EXIT_DEBUG:
	case KVM_EXIT_HLT:
	case KVM_EXIT_MMIO:
	case KVM_EXIT_IRQ_WINDOW_OPEN:
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_SET_TPR:
	case KVM_EXIT_TPR_ACCESS:
	case KVM_EXIT_IOAPIC_EOI:
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		break;
	default:
		failed(u->v, "exit %u, which no guest should cause", run->exit_reason);
	}
}

static bool is_end(const struct kvm_run *run)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		return run->io.port == PORT_TRAP;
	case KVM_EXIT_SHUTDOWN:
	case KVM_EXIT_FAIL_ENTRY:
	case KVM_EXIT_INTERNAL_ERROR:
		return true;
	}
	return false;
}

/* One KVM_RUN, judged.  false: the program goes on at its next unit. */
static bool run_once(struct runner *u, struct rng *r)
{
	struct kvm_run *run = u->m->vcpu[u->v].run;
	double begin = thread_seconds(), took;
	int ret, err;

	if (verbose && kmsg) {		/* what survives the host */
		struct kvm_regs regs = vcpu_regs(&u->m->vcpu[u->v]);

		fprintf(kmsg, "<6>fuzz/guest: vcpu %d, rip %llx\n", u->v, regs.rip);
		fflush(kmsg);
	}
	run->immediate_exit = 0;
	ret = ioctl(u->m->vcpu[u->v].fd, KVM_RUN, 0L);
	err = errno;
	took = thread_seconds() - begin;
	u->runs++;
	if (took > u->slowest)
		u->slowest = took;
	if (late(took)) {
		__sync_fetch_and_add(&late_runs, 1);
		printf("# late: --seed %lu --case %lu, vcpu %d: %.3f s of %.3f, then %s\n", seed, case_nr,
		       u->v, took, limit, ret ? strerror(err) : exit_name(run->exit_reason));
		fflush(stdout);
	}
	if (verbose)
		tell(u, ret, err, took);
	if (ret) {
		__sync_fetch_and_add(&counts.errors[err < 134 ? err : 133], 1);
		judge_error(u, err);
		return false;
	}
	if (run->exit_reason < MAX_REASONS)
		__sync_fetch_and_add(&counts.exits[run->exit_reason], 1);
	judge_exit(u, run);
	if (is_end(run))
		return false;
	answer(run, r);
	return true;
}

static void dump_episode(struct runner *u)
{
	struct episode *e = &u->e;

	pthread_mutex_lock(&lock);
	printf("# vcpu %d: %s mode, CPL %u, code at %lx, rip %lx, cr0 %llx cr3 %llx cr4 %llx efer %llx\n",
	       u->v, mode_names[e->mode], e->cpl, e->code_gpa, e->code_rip,
	       e->sregs.cr0, e->sregs.cr3, e->sregs.cr4, e->sregs.efer);
	for (u32 i = 0; i < e->units; i++) {
		printf("#  +%03x:", e->start[i]);
		for (u32 k = e->start[i]; k < e->start[i + 1]; k++)
			printf(" %02x", e->code[k]);
		printf("\n");
	}
	fflush(stdout);
	pthread_mutex_unlock(&lock);
}

static void live_episode(struct runner *u, u32 n, timer_t timer)
{
	struct rng r = rng_for(seed, case_nr, 1 + u->v, n);
	struct episode *e = &u->e;
	u32 unit = 0, slices = 0;

	episode_make(u->m, u->v, &r, e);
	__sync_fetch_and_add(&counts.episodes, 1);
	__sync_fetch_and_add(&counts.modes[e->mode], 1);
	if (verbose)
		dump_episode(u);
	if (episode_enter(u->m, u->v, &r, e)) {
		__sync_fetch_and_add(&counts.refused, 1);
		return;
	}
	for (u32 runs = 0; runs < MAX_RUNS && unit < e->units; runs++) {
		if (one_in(&r, 24))
			interfere(u->m, u->v, &r);
		set_slice(timer, SLICE_US);
		if (run_once(u, &r)) {
			if (one_in(&r, 64))
				save_and_restore(u->m, u->v);
			continue;
		}
		if (one_in(&r, 16))
			save_and_restore(u->m, u->v);
		slices += u->m->vcpu[u->v].run->immediate_exit;
		unit += 1 + slices / 8;		/* one that halts or loops is soon left */
		if (unit < e->units)
			episode_restart(u->m, u->v, &r, e, unit);
	}
	set_slice(timer, 0);
}

static void *vcpu_thread(void *arg)
{
	struct runner *u = arg;
	timer_t timer = slice_timer();

	my_run = u->m->vcpu[u->v].run;
	for (u32 n = 0; n < EPISODES; n++)
		live_episode(u, n, timer);
	timer_delete(timer);
	my_run = NULL;
	return NULL;
}

/*
 * ---- statistics: KVM_GET_STATS_FD ----
 */

static void add_stats(int fd)
{
	struct kvm_stats_header h;
	struct { struct kvm_stats_desc d; char name[48]; } row;
	u64 val;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.name_size > sizeof(row.name))
		return;
	for (u32 i = 0; i < h.num_desc && i < MAX_STATS; i++) {
		u32 size = sizeof(row.d) + h.name_size;

		if (i >= nr_stats) {
			if (pread(fd, &row, size, h.desc_offset + i * size) != size)
				return;
			strcpy(stat_names[i], row.name);
			nr_stats = i + 1;
		}
		if (pread(fd, &val, 8, h.data_offset + i * 8) == 8)
			counts.stats[i] += val;
	}
}

/*
 * ---- cases ----
 */

static void join_or_die(struct runner *u)
{
	struct timespec until;
	const char *factor = getenv("LAB_FACTOR");

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 90 * (factor ? atoi(factor) : 100) / 100;
	if (!pthread_timedjoin_np(u->thread, NULL, &until))
		return;
	printf("not ok 1 --seed %lu --case %lu: vcpu %d does not end\n", seed, case_nr, u->v);
	fflush(stdout);
	_exit(1);
}

static void one_case(void)
{
	struct runner *u = calloc(MAX_VCPUS, sizeof(*u));
	struct rng r = rng_for(seed, case_nr, 0, 0);
	struct machine m;

	if (kmsg) {
		fprintf(kmsg, "<6>fuzz/guest: --seed %lu --case %lu\n", seed, case_nr);
		fflush(kmsg);
	}
	machine_create(&m, &r);
	for (int v = 0; v < m.nr; v++) {
		u[v].m = &m;
		u[v].v = v;
		if (pthread_create(&u[v].thread, NULL, vcpu_thread, &u[v]))
			die("pthread_create");
	}
	for (int v = 0; v < m.nr; v++) {
		join_or_die(&u[v]);
		counts.runs += u[v].runs;
		if (u[v].slowest > counts.slowest)
			counts.slowest = u[v].slowest;
		add_stats(m.stats_fd[v]);
	}
	if (!machine_settle(&m))
		failed(0, "the VM is of no use any more");
	machine_destroy(&m);
	counts.cases++;
	free(u);
}

/* Repeated where it was late; most of the three decide. */
static void one_case_judged(void)
{
	int n = 0;

	for (int i = 0; i < 3; i++) {
		late_runs = 0;
		one_case();
		n += late_runs > 0;
		if (!n)
			return;
	}
	if (n >= 2)
		failed(-1, "an exit takes too long, in %d of 3 times", n);
	else
		counts.late_once++;
}

static void in_case(void)
{
	if (only_case != -2)
		printf("# this was --seed %lu --case %lu\n", seed, case_nr);
}

/* Those that the library has no name for are seldom anywhere else. */
static const char *exit_word(int reason)
{
	switch (reason) {
	case KVM_EXIT_HYPERCALL:
		return "HYPERCALL";
	case KVM_EXIT_TPR_ACCESS:
		return "TPR_ACCESS";
	case KVM_EXIT_IOAPIC_EOI:
		return "IOAPIC_EOI";
	case KVM_EXIT_X86_RDMSR:
		return "X86_RDMSR";
	case KVM_EXIT_X86_WRMSR:
		return "X86_WRMSR";
	}
	return exit_name(reason);
}

static void print_counts(double took)
{
	printf("# seed %lu: %lu cases, %lu episodes (%lu refused), %lu KVM_RUN, in %.0f s\n", seed,
	       counts.cases, counts.episodes, counts.refused, counts.runs, took);
	printf("# the slowest KVM_RUN took %.1f ms of its thread, the limit is %.1f ms; late once: %lu\n",
	       counts.slowest * 1e3, limit * 1e3, counts.late_once);
	printf("# modes:");
	for (int i = 0; i < F_MODES; i++)
		printf(" %s %lu%s", mode_names[i], counts.modes[i], i < F_MODES - 1 ? "," : "\n");
	printf("# to userspace:");
	for (int i = 0; i < MAX_REASONS; i++)
		if (counts.exits[i])
			printf(" %s %lu", exit_word(i), counts.exits[i]);
	for (int i = 0; i < 134; i++)
		if (counts.errors[i])
			printf(" %s %lu", strerrorname_np(i), counts.errors[i]);
	printf("\n# internal errors by suberror:");
	for (u32 i = 0; i < ARRAY_LEN(counts.suberrors); i++)
		printf(" %lu", counts.suberrors[i]);
	printf("\n# statistics:");
	for (u32 i = 0; i < nr_stats; i++)
		if (counts.stats[i])
			printf(" %s %lu", stat_names[i], counts.stats[i]);
	printf("\n");
	for (int i = 0; i < MAX_NOTES && counts.note[i].n; i++)
		printf("# %s: %lu\n", counts.note[i].text, counts.note[i].n);
	fflush(stdout);
}

static void fuzz(u64 first)
{
	double begin = wall_seconds(), told = begin;

	for (case_nr = first; wall_seconds() - begin < seconds; case_nr++) {
		one_case_judged();
		if (wall_seconds() - told >= 30) {
			told = wall_seconds();
			printf("# case %lu, %.0f s: %lu cases, %lu episodes, %lu KVM_RUN, %lu failed\n",
			       case_nr, told - begin, counts.cases, counts.episodes, counts.runs, failures);
			fflush(stdout);
		}
	}
	only_case = -2;
	print_counts(wall_seconds() - begin);
}

static void parse(int argc, char **argv, u64 *first)
{
	static const struct option options[] = {
		{ "seed", 1, NULL, 's' }, { "case", 1, NULL, 'c' }, { "from", 1, NULL, 'f' },
		{ "seconds", 1, NULL, 't' }, { "verbose", 0, NULL, 'v' }, {},
	};
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			only_case = atoi(optarg);
			break;
		case 'f':
			*first = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = atof(optarg);
			break;
		case 'v':
			verbose = 1;
			break;
		default:
			fprintf(stderr, "usage: guest [--seed N] [--case K | --from K --seconds S] "
					"[--verbose]\n");
			exit(2);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_slice };
	u64 first = 0;

	parse(argc, argv, &first);
	sigaction(SIGUSR1, &sa, NULL);
	kmsg = fopen("/dev/kmsg", "w");
	measure();
	printf("TAP version 13\n1..1\n# --seed %lu\n", seed);
	fflush(stdout);
	atexit(in_case);
	if (only_case >= 0) {
		case_nr = only_case;
		one_case_judged();
		print_counts(0);
	} else {
		fuzz(first);
	}
	printf("%s 1 whatever a guest does, its host is none the worse\n", failures ? "not ok" : "ok");
	return failures != 0;
}
