// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fail-inject.h"
#include "vm.h"

#define FAIL	"/sys/kernel/debug/"
#define TRACE	"/sys/kernel/tracing/"
#define PROBE	TRACE "events/kprobes/kvm_inject/"
#define NEVER	(1U << 30)

static int trace_fd = -1, marker_fd = -1;

static bool put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/*
 * ---- where it failed ----
 *
 * A probe at the return of the function that decides.  What it decided to fail leaves
 * a stack in the trace.
 */

static bool trace_begin(void)
{
	put(TRACE "events/kprobes/enable", "0");
	put(TRACE "kprobe_events", "");
	if (!put(TRACE "kprobe_events", "r:kvm_inject should_fail_ex ret=$retval:u8\n") ||
	    !put(PROBE "filter", "ret!=0") || !put(TRACE "buffer_size_kb", "2048") ||
	    !put(TRACE "options/stacktrace", "1") || !put(PROBE "enable", "1"))
		return false;
	put(TRACE "tracing_on", "1");
	trace_fd = open(TRACE "trace_pipe", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	marker_fd = open(TRACE "trace_marker", O_WRONLY | O_CLOEXEC);
	return trace_fd >= 0 && marker_fd >= 0;
}

static void trace_end(void)
{
	if (trace_fd < 0)
		return;
	close(trace_fd);
	close(marker_fd);
	trace_fd = -1;
	put(PROBE "enable", "0");
	put(TRACE "options/stacktrace", "0");
	put(TRACE "kprobe_events", "");
}

/* One stack, from the innermost function outwards. */
struct stack {
	char what, ours[48], called[48], last[48], before[48];
	u64 hash;			/* of all its functions */
	bool open;
};

static struct inject_site *sites;
static int nr_sites;
static char first_what;
static u64 *hashes;			/* or in place of sites, of each stack */
static char *whats;
static unsigned int nr_hashes, nr_marked;

#define MARK_BEGIN	"kvm_inject_begins"
#define MARK_END	"kvm_inject_ends"

static void add_site(const struct stack *st)
{
	int i;

	first_what = first_what ?: st->what;
	for (i = 0; i < nr_sites; i++)
		if (sites[i].what == st->what && !strcmp(sites[i].ours, st->ours) &&
		    !strcmp(sites[i].called, st->called))
			break;
	if (i == INJECT_MAX_SITES)
		return;
	if (i == nr_sites) {
		sites[i] = (struct inject_site){ .what = st->what };
		strcpy(sites[i].ours, st->ours);
		strcpy(sites[i].called, st->called);
		nr_sites++;
	}
	sites[i].n++;
}

static void end_stack(struct stack *st)
{
	if (!st->open)
		return;
	st->open = false;
	if (!hashes) {
		add_site(st);
	} else if (nr_hashes < INJECT_MAX_POINTS) {
		whats[nr_hashes] = st->what;
		hashes[nr_hashes++] = st->hash;
	}
}

/* The functions of the modules, sorted; the trace does not tell them from the kernel's. */
static char (*functions)[48];
static size_t nr_functions;

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void read_functions(void)
{
	char line[512], name[48], module[48];
	FILE *f = fopen("/proc/kallsyms", "re");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%*s %*c %47s [%47[^]]]", name, module) != 2 || strncmp(module, "kvm", 3))
			continue;
		functions = realloc(functions, (nr_functions + 1) * sizeof(*functions));
		strcpy(functions[nr_functions++], name);
	}
	if (f)
		fclose(f);
	qsort(functions, nr_functions, sizeof(*functions), compare);
}

static char kind_of(const char *name)
{
	if (!strcmp(name, "should_failslab"))
		return 's';
	return strstr(name, "user") ? 'c' : 'p';
}

/* " => function" */
static void add_frame(struct stack *st, const char *frame)
{
	char name[48];
	bool init;

	if (sscanf(frame, " => %47s", name) != 1)
		return;
	for (const char *c = name; *c; c++)
		st->hash = (st->hash ^ *c) * 0x100000001b3;
	if (!st->what)
		st->what = kind_of(name);
	/* While a module is loaded its functions are in no list yet. */
	init = !strcmp(name, "do_one_initcall");
	if (!st->ours[0] && (init || bsearch(name, functions, nr_functions, sizeof(*functions), compare))) {
		strcpy(st->ours, init ? st->last : name);
		strcpy(st->called, init ? st->before : st->last);
	}
	strcpy(st->before, st->last);
	strcpy(st->last, name);
}

static void read_trace(void)
{
	static char text[1 << 16];
	struct stack st = {};
	size_t kept = 0;
	ssize_t got;

	while (trace_fd >= 0 && (got = read(trace_fd, text + kept, sizeof(text) - 1 - kept)) > 0) {
		char *line = text, *end;

		text[kept + got] = 0;
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = 0;
			if (strstr(line, MARK_BEGIN)) {
				end_stack(&st);
				nr_hashes = 0;
			} else if (strstr(line, MARK_END)) {
				end_stack(&st);
				nr_marked = nr_hashes;
			} else if (strstr(line, "<stack trace>")) {
				end_stack(&st);
				st = (struct stack){ .open = true };
			} else if (!strncmp(line, " => ", 4)) {
				add_frame(&st, line);
			}
		}
		kept = strlen(line);
		memmove(text, line, kept);
	}
	end_stack(&st);
}

int inject_sites(struct inject_site *to, int n, char *first)
{
	sites = to;
	nr_sites = n;
	first_what = 0;
	read_trace();
	if (first)
		*first = first_what;
	return nr_sites;
}

/*
 * ---- injecting ----
 */

const char *inject_begin(void)
{
	static const char * const dirs[] = { "failslab", "fail_page_alloc", "fail_usercopy" };
	static const char * const knobs[][2] = {
		{ "verbose", "0" }, { "probability", "0" }, { "interval", "1" }, { "times", "-1" },
		{ "space", "0" }, { "task-filter", "Y" },
	};
	char path[96];

	if (access("/proc/self/fail-nth", W_OK))
		return "this kernel has no fault injection";
	for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
		for (size_t j = 0; j < ARRAY_LEN(knobs); j++) {
			snprintf(path, sizeof(path), FAIL "%s/%s", dirs[i], knobs[j][0]);
			if (!put(path, knobs[j][1]))
				return "fault injection cannot be set up here";
		}
	}
	put(FAIL "failslab/ignore-gfp-wait", "N");
	put(FAIL "fail_page_alloc/ignore-gfp-wait", "N");
	put(FAIL "fail_page_alloc/ignore-gfp-highmem", "N");
	/* Of tasks that ask for it in make-it-fail; copies only by number. */
	put(FAIL "failslab/probability", "100");
	put(FAIL "fail_page_alloc/probability", "100");
	put(FAIL "failslab/cache-filter", "N");
	put(FAIL "fail_page_alloc/min-order", "0");
	read_functions();
	if (!trace_begin())
		return "there can be no probe of should_fail_ex() here";
	return NULL;
}

void inject_end(void)
{
	trace_end();
	put(FAIL "failslab/probability", "0");
	put(FAIL "fail_page_alloc/probability", "0");
	put(FAIL "failslab/ignore-gfp-wait", "Y");
	put(FAIL "fail_page_alloc/ignore-gfp-wait", "Y");
	put(FAIL "fail_page_alloc/ignore-gfp-highmem", "Y");
	put(FAIL "fail_page_alloc/min-order", "1");
}

static int open_own(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/thread-self/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("%s", path);
	return fd;
}

/*
 * Between arming and disarming nothing but the call and what reads the count, which
 * is a copy to userspace itself: if that one failed, the call had fewer.
 */
static long armed_call(int nth_fd, int all_fd, const char *nth, bool after,
		       long (*call)(void *arg), void *arg, unsigned int *left)
{
	char text[16] = "";
	ssize_t got;
	long r;
	int e;

	if (after && pwrite(all_fd, "1", 1, 0) != 1)
		die("make-it-fail");
	if (pwrite(nth_fd, nth, strlen(nth), 0) < 0)
		die("fail-nth");
	errno = 0;
	r = call(arg);
	e = errno;
	got = pread(nth_fd, text, sizeof(text) - 1, 0);
	if (pwrite(nth_fd, "0", 1, 0) != 1 && pwrite(nth_fd, "0", 1, 0) != 1)
		die("fail-nth stays");
	if (after && pwrite(all_fd, "0", 1, 0) != 1)
		die("make-it-fail stays");
	*left = got > 0 ? strtoul(text, NULL, 10) : 1;
	return r < 0 ? -e : r;
}

static long nothing(void *arg)
{
	return 0;
}

long inject_call(unsigned int nth, bool after, long (*call)(void *arg), void *arg, bool *injected)
{
	int nth_fd = open_own("fail-nth"), all_fd = open_own("make-it-fail");
	unsigned int left;
	char text[16];
	long r;

	snprintf(text, sizeof(text), "%u", nth);
	/* All that is touched here is there before anything fails. */
	armed_call(nth_fd, all_fd, "0", false, nothing, NULL, &left);
	r = armed_call(nth_fd, all_fd, text, after, call, arg, &left);
	*injected = !left;
	close(nth_fd);
	close(all_fd);
	return r;
}

/* The n of which each way to a failure has its first two, and its last. */
static unsigned int choose(const u64 *hash, unsigned int points, unsigned int *plan)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < points; i++) {
		unsigned int before = 0, after = 0;

		for (unsigned int j = 0; j < points; j++)
			if (hash[j] == hash[i])
				*(j < i ? &before : &after) += 1;
		if (before < 2 || after == 1)
			plan[n++] = i + 1;
	}
	return n;
}

static unsigned int count_copies(const char *what, unsigned int points)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < points; i++)
		n += what[i] == 'c';
	return n;
}

bool inject_plan(long (*call)(void *arg), void *arg, struct inject_plan *plan, long *result)
{
	static u64 seen[INJECT_MAX_POINTS];
	static char what[INJECT_MAX_POINTS];
	unsigned int first;
	char filter[64];

	snprintf(filter, sizeof(filter), "common_pid==%d", gettid());
	read_trace();
	hashes = seen;
	whats = what;
	nr_hashes = 0;
	if (!put(PROBE "filter", filter))
		die("the trace's filter");
	nr_marked = 0;
	plan->points = inject_count(call, arg, result);
	put(PROBE "filter", "ret!=0");
	read_trace();
	hashes = NULL;
	/* What marks and arms comes first; what reads the number and disarms, last. */
	first = nr_marked - 2 - plan->points;
	if (nr_marked < plan->points + 3 || first > 2)
		return false;
	plan->copies = count_copies(what + first, plan->points);
	plan->nr = choose(seen + first, plan->points, plan->n);
	return true;
}

static void mark(const char *text)
{
	if (write(marker_fd, text, strlen(text)) < 0)
		die("trace_marker");
}

unsigned int inject_count(long (*call)(void *arg), void *arg, long *result)
{
	int nth_fd = open_own("fail-nth");
	unsigned int left;
	char text[16];

	snprintf(text, sizeof(text), "%u", NEVER);
	armed_call(nth_fd, -1, "0", false, nothing, NULL, &left);
	mark(MARK_BEGIN "\n");
	*result = armed_call(nth_fd, -1, text, false, call, arg, &left);
	mark(MARK_END "\n");
	close(nth_fd);
	return NEVER - left;
}
