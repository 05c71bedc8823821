/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's fault injection (Documentation/fault-injection/ there): the Nth
 * allocation or copy from and to userspace that this thread makes fails.
 */
#ifndef TESTS_INJECT_H
#define TESTS_INJECT_H

#include <stdbool.h>

/* A place where something was made to fail: our function, and the kernel's that it called. */
struct inject_site {
	char what;			/* s: slab, p: page, c: copy */
	char ours[48], called[48];
	unsigned int n;
};

#define INJECT_MAX_SITES	512
#define INJECT_MAX_POINTS	8192

/* Prepares all; NULL, or why there can be no injection here. */
const char *inject_begin(void);
/* Until here nothing fails that is not asked for. */
void inject_end(void);

/*
 * Make the call; what it returned, or -errno.  The nth thing that can fail in it does,
 * with @after all allocations that come later, too.  *injected: there was an nth.
 */
long inject_call(unsigned int nth, bool after, long (*call)(void *arg), void *arg, bool *injected);

/* The number of things that can fail in the call. */
unsigned int inject_count(long (*call)(void *arg), void *arg, long *result);

struct inject_plan {
	unsigned int points;		/* what can fail in a call */
	unsigned int copies;		/* of these are copies */
	unsigned int nr, n[INJECT_MAX_POINTS];
};

/*
 * Plan the failures of a call: where the same way through the kernel comes time and
 * again, the first two and the last.  False if the trace has lost some.
 */
bool inject_plan(long (*call)(void *arg), void *arg, struct inject_plan *plan, long *result);

/*
 * Add where something failed since it was asked last; returns the number of sites.
 * *first: what it was that failed first, 0 if that is not known.
 */
int inject_sites(struct inject_site *sites, int n, char *first);

#endif
