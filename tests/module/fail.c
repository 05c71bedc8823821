// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fault injection: for each call of the module each allocation and each copy from and
 * to userspace in it fails once, and each once with all allocations that follow.
 *
 * fail [REGEX]: in each call, or those whose names match; a line of TAP for each
 * fail --list: which those are
 * fail --load FILE OPTIONS STEP: in the loading of a module, each STEPth of its own
 *
 * After a failure the call has returned an errno, and what can be read back is as it
 * was; after the last one the same call succeeds, and the guest runs.
 */
#include <fcntl.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "fail.h"
#include "fail-inject.h"

static const char * const tables[] = { "dev", "vm", "vcpu", "other" };

struct env *e;
const struct call *now;

/*
 * ---- one failure ----
 */

static struct tally {
	unsigned int failed, nomem, fault, other, served, bad;
	struct inject_plan plan;
} *t;

/* Of all calls. */
static struct {
	int n;
	struct inject_site site[INJECT_MAX_SITES];
} *sites;

static long call_ioctl(void *arg)
{
	int fd = now->table == DEV ? e->vm.sys : now->table == VM ? e->vm.fd : e->vm.vcpu.fd;

	return ioctl(fd, now->cmd, e->arg);
}

static long (*call_fn(void))(void *arg)
{
	return now->fn ?: call_ioctl;
}

static void fill(void)
{
	if (!now->fn) {
		int size = _IOC_SIZE(now->cmd);

		e->arg = size || now->get || (now->fill && now->cmd != KVM_CREATE_VCPU) ? (long)e->buf : 0;
	}
	if (now->fill)
		now->fill();
	if (now->get && ioctl(now->table == VM ? e->vm.fd : e->vm.vcpu.fd, now->get, e->buf))
		die("what %s sets cannot be read", now->name);
}

static bool is_up;			/* there is a VM for the call */

static void set_up(void)
{
	if (is_up)
		return;
	e->efd = e->resample = e->fd = -1;
	e->arg = 0;
	now->setup();
	/* A page fault of our own never ends while all allocations fail. */
	if (e->vm.vcpu.run)
		*(volatile u8 *)e->vm.vcpu.run;
	is_up = true;
}

/* The guest runs, as ever. */
static bool alive(void)
{
	return e->vm.vcpu.fd < 0 || e->vm.fd <= 0 || (now->flags & RUNS) ||
	       PROBE_OUT(PORT_DEV + 16) == EXIT_OUT(PORT_DEV + 16);
}

static void take_down(void)
{
	if (now->setup == run_async_pf)
		end_async_pf();
	teardown();
	is_up = false;
}

static bool good(long r)
{
	return now->want ? r == now->want : r >= 0;
}

static void complain(unsigned int n, bool after, const char *fmt, ...)
{
	va_list ap;

	t->bad++;
	printf("# failure %u%s: ", n, after ? " and all after it" : "");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

/* The call can be done, and does what it is for; the guest runs. */
static void do_it(unsigned int n, bool after)
{
	long r;

	fill();
	r = call_fn()(NULL);
	if (!good(r))
		complain(n, after, "the same once more: %ld, errno %d", r, errno);
	if ((now->flags & MAKES_FD) && r >= 0)
		close(r);
	if (now->check && !now->check())
		complain(n, after, "the same once more does not do what it is for");
}

/* It failed: nothing has changed. */
static void judge_failure(unsigned int n, bool after, long r, const struct state *before)
{
	static struct state s;
	const char *what;

	if (r == -ENOMEM)
		t->nomem++;
	else if (r == -EFAULT)
		t->fault++;
	else
		t->other++;
	if ((now->flags & ALWAYS_OK) || (r != -ENOMEM && r != -EFAULT && !now->want &&
					 !(now->flags & RUNS) && !((now->flags & MAPS) && r == -ENOSPC)))
		complain(n, after, "it returned %ld", r);
	if (now->flags & RUNS)
		return;
	read_state(&s);
	if (after && (now->flags & MAPS))
		s.mappings = before->mappings;
	what = difference(before, &s);
	if (what)
		complain(n, after, "%s changed", what);
}

/*
 * One failure.  Nothing has changed by it, so the next one meets the same VM, unless the
 * call was done all the same, or the guest has gone on.
 */
static void inject_one(unsigned int n, bool after)
{
	static struct state before;
	unsigned int bad = t->bad;
	bool injected;
	char what;
	long r;

	set_up();
	fill();
	if (!(now->flags & RUNS))
		read_state(&before);
	r = inject_call(n, after, call_fn(), NULL, &injected);
	sites->n = inject_sites(sites->site, sites->n, &what);
	t->failed += injected;
	if (!good(r)) {
		judge_failure(n, after, r, &before);
	} else {
		t->served += injected;
		if (now->flags & MAKES_FD)
			close(r);
		/* A copy that fails looks to a guest as if there were no memory. */
		if (now->check && !((now->flags & RUNS) && what == 'c') && !now->check())
			complain(n, after, "it does not do what it is for");
	}
	if ((now->flags & RUNS) && !good(r) && what != 'c')
		do_it(n, after);
	if (!(now->flags & REPEATS) && (good(r) || (now->flags & RUNS) || t->bad > bad)) {
		if (!(now->flags & NEVER_RAN) && !alive())
			complain(n, after, "the guest does not run");
		take_down();
	}
}

static bool in_child(void (*fn)(unsigned int n, bool after), unsigned int n, bool after)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn(n, after);
		fflush(stdout);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) == pid && !status)
		return true;
	complain(n, after, "the process ended with status %#x", status);
	return false;
}

/* In a process of its own. */
static void from_scratch(unsigned int n, bool after)
{
	inject_one(n, after);
	if (is_up) {
		do_it(n, after);
		take_down();
	}
}

static void plan(unsigned int unused, bool unused_too)
{
	struct inject_plan *p = &t->plan;
	long r;

	set_up();
	fill();
	if (!inject_plan(call_fn(), NULL, p, &r))
		complain(0, false, "the trace has lost some of the %u that can fail", p->points);
	if (!good(r))
		complain(0, false, "without any it returned %ld", r);
	if ((now->flags & MAKES_FD) && r >= 0)
		close(r);
	if ((now->flags & PURE) && p->points != p->copies)
		complain(0, false, "it is said to allocate nothing, and does, %u times", p->points - p->copies);
	if (!(now->flags & (PURE | NESTED)) && p->points == p->copies)
		complain(0, false, "it is said to allocate, and does not");
	if (!(now->flags & REPEATS))
		take_down();
}

/* FAIL_PERCENT: so many of the failures, for machines that have not the time for all. */
static unsigned int percent = 100;

static bool skipped(unsigned int i)
{
	return i * percent / 100 == (i + 1) * percent / 100;
}

/* All failures one by one, or each with all that follow. */
static void inject_all(bool after)
{
	for (unsigned int i = 0; i < t->plan.nr && t->bad < 8; i++) {
		if (skipped(i))
			continue;
		if (now->flags & NEW_MM)
			in_child(from_scratch, t->plan.n[i], after);
		else
			inject_one(t->plan.n[i], after);
	}
	if (is_up && !(now->flags & NEW_MM))
		do_it(0, after);
	if (is_up && !(now->flags & REPEATS)) {
		if (!(now->flags & NEVER_RAN) && !alive())
			complain(0, after, "the guest does not run");
		take_down();
	}
}

static void run_call(unsigned int unused, bool unused_too)
{
	if (now->flags & NEW_MM)
		in_child(plan, 0, false);
	else
		plan(0, false);
	inject_all(false);
	if (!(now->flags & (PURE | NO_ALL)))
		inject_all(true);
}

/*
 * ---- all of them ----
 */

static struct {
	int number, failed;
} *tests;

static void test(void)
{
	const struct inject_plan *p = &t->plan;
	struct timespec a, b;
	int known = sites->n;
	double seconds;

	memset(t, 0, sizeof(*t));
	clock_gettime(CLOCK_MONOTONIC, &a);
	/* What repeats has its VM in this process already. */
	if (is_up)
		run_call(0, false);
	else
		in_child(run_call, 0, false);
	clock_gettime(CLOCK_MONOTONIC, &b);
	seconds = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
	tests->failed += !!t->bad;
	printf("%s %d %s %s%s%s: %u allocations, %u copies; %u failed: ENOMEM %u, EFAULT %u, else %u, done anyhow %u; %d new sites; %.1f s\n",
	       t->bad ? "not ok" : "ok", ++tests->number, tables[now->table], now->name,
	       now->about ? " " : "", now->about ?: "", p->points - p->copies, p->copies, t->failed,
	       t->nomem, t->fault, t->other, t->served, sites->n - known, seconds);
	fflush(stdout);
}

static const regex_t *only;

static bool wanted(const struct call *c)
{
	char name[128];

	snprintf(name, sizeof(name), "%s %s %s", tables[c->table], c->name, c->about ?: "");
	return !only || !regexec(only, name, 0, NULL, 0);
}

static bool shares(const struct call *c)
{
	return (c->flags & REPEATS) && !(c->flags & NEW_MM);
}

/* One VM for all calls that change nothing of one set up like that. */
static void test_sharers(unsigned int first, bool unused)
{
	for (unsigned int i = first; i < nr_calls; i++) {
		if (calls[i].setup != calls[first].setup || !shares(&calls[i]) || !wanted(&calls[i]))
			continue;
		now = &calls[i];
		set_up();
		test();
	}
	if (!alive()) {
		printf("# the guest does not run\n");
		tests->failed++;
	}
	take_down();
}

static void test_all(void)
{
	for (unsigned int i = 0; i < nr_calls; i++) {
		bool first = true;

		if (!wanted(&calls[i]))
			continue;
		for (unsigned int j = 0; j < i; j++)
			first &= !(shares(&calls[j]) && wanted(&calls[j]) && calls[j].setup == calls[i].setup);
		now = &calls[i];
		if (!shares(now))
			test();
		else if (first && !in_child(test_sharers, i, false))
			printf("not ok %d calls from %s on\n", ++tests->failed, now->name);
	}
}

static int by_name(const void *a, const void *b)
{
	const struct inject_site *x = a, *y = b;
	int r = strcmp(x->ours, y->ours);

	return r ?: strcmp(x->called, y->called) ?: x->what - y->what;
}

static void print_sites(void)
{
	const struct inject_site *s = sites->site;

	qsort(sites->site, sites->n, sizeof(*s), by_name);
	printf("# what failed (s: slab, p: page, c: copy), in which function of ours, by which of the kernel's:\n");
	for (int i = 0; i < sites->n; i++, s++)
		printf("# %6u %c %s: %s\n", s->n, s->what, s->ours[0] ? s->ours : "-", s->called);
}

/*
 * ---- a module's loading ----
 *
 * What its functions allocate comes last, so go from the end on until there is no more.
 */

static struct {
	int fd;
	const char *options;
	char name[32];
} module;

static long load(void *arg)
{
	return syscall(SYS_finit_module, module.fd, module.options, 0);
}

static void unload(long loaded)
{
	if (!loaded && syscall(SYS_delete_module, module.name, O_NONBLOCK))
		die("%s does not unload", module.name);
}

/* Was it in the module itself that something failed just now? */
static bool was_ours(void)
{
	static struct inject_site here[INJECT_MAX_SITES];
	int n = inject_sites(here, 0, NULL);
	bool ours = false;

	for (int i = 0; i < n; i++) {
		if (!here[i].ours[0])
			continue;
		ours = true;
		if (sites->n < INJECT_MAX_SITES)
			sites->site[sites->n++] = here[i];
	}
	return ours;
}

static bool fail_load(const char *file, const char *options, int step)
{
	unsigned int n, failed = 0, refused = 0, others = 0;
	bool injected, ok = true;
	long r;

	snprintf(module.name, sizeof(module.name), "%s", strrchr(file, '/') + 1);
	*strchrnul(module.name, '.') = 0;
	for (char *c = module.name; *c; c++)
		*c = *c == '-' ? '_' : *c;
	module.options = options;
	module.fd = open(file, O_RDONLY | O_CLOEXEC);
	n = inject_count(load, NULL, &r);
	unload(r);
	was_ours();
	for (; n > 0 && others < 8 && ok; n = n > step ? n - step : 0) {
		r = inject_call(n, false, load, NULL, &injected);
		unload(r);
		if (!was_ours()) {
			others += !!failed;
			continue;
		}
		failed++;
		refused += r == -ENOMEM;
		ok = !r || r == -ENOMEM;
		if (!ok)
			printf("# failure %u: it returned %ld\n", n, r);
	}
	ok &= failed > 8 && refused > 4;
	printf("%s 1 %s: %u failed, ENOMEM %u, loaded anyhow %u\n", ok ? "ok" : "not ok", module.name,
	       failed, refused, failed - refused);
	return ok;
}

static void *shared(size_t size)
{
	return xmmap(size, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1);
}

int main(int argc, char **argv)
{
	bool loading = argc == 5 && !strcmp(argv[1], "--load");
	const char *why;
	regex_t regex;

	if (argc > 1 && !strcmp(argv[1], "--list")) {
		for (size_t i = 0; i < nr_calls; i++)
			printf("%s %s\n", tables[calls[i].table], calls[i].name);
		return 0;
	}
	if (!loading && argc > 1) {
		if (regcomp(&regex, argv[1], REG_EXTENDED | REG_NOSUB))
			die("no regular expression: %s", argv[1]);
		only = &regex;
	}
	if (getenv("FAIL_PERCENT"))
		percent = atoi(getenv("FAIL_PERCENT"));
	why = inject_begin();
	if (why) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	e = shared(sizeof(*e));
	t = shared(sizeof(*t));
	sites = shared(sizeof(*sites));
	tests = shared(sizeof(*tests));
	if (loading)
		tests->failed = !fail_load(argv[2], argv[3], atoi(argv[4]));
	else
		test_all();
	inject_end();
	print_sites();
	return !!tests->failed;
}
