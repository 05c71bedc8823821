/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The ioctl fuzzer (Documentation/fuzzing.rst): what its parts share.
 *
 * A program is a list of calls on a new VM, each made by one of a few threads.  The
 * fuzzer, a process without threads, runs every program in a child of its own, and
 * learns through memory that both share what the program reached.
 */
#ifndef TESTS_FUZZ_IOCTL_H
#define TESTS_FUZZ_IOCTL_H

#include <pthread.h>
#include <setjmp.h>
#include "vm.h"

#define MAX_THREADS	4
#define MAX_CALLS	48
#define MAX_ROWS	160
#define MAX_OBJS	96
#define FEW_ROUNDS	8
#define MANY_ROUNDS	40
#define BUF_SIZE	(64 << 10)	/* the largest argument */
#define EDGES_LOG2	20

/* ---- random numbers: the same for the same seed (splitmix64) ---- */

struct rng {
	u64 s;
};

static inline u64 rnd(struct rng *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static inline u32 below(struct rng *r, u32 n)
{
	return rnd(r) % n;
}

static inline bool one_in(struct rng *r, u32 n)
{
	return !below(r, n);
}

/* A boundary, a power of two and its neighbours, or anything. */
u64 odd_value(struct rng *r);
/* Change one to three fields of @len bytes. */
void perturb(struct rng *r, void *buf, size_t len);

/* ---- programs ---- */

enum {
	F_MEET = 1,		/* all threads meet before this call */
	F_COMPAT = 2,		/* by a 32-bit system call */
	F_WRONG = 4,		/* on another descriptor, or with a changed number */
	F_AGAIN = 8,		/* eight times */
	F_ALL = 15,
};

/* Where the argument lies. */
enum place { AT_END, RACING, ACROSS, READ_ONLY, FAULTING, BAD, NR_PLACES };

enum setup { NOTHING, BARE_VM, VCPUS, SPLIT, FULL, NR_SETUPS };

struct call {
	u8 thread, flags, place;
	u16 row;
	u32 seed;		/* of its arguments */
};

struct program {
	u8 threads, setup, mode;
	u8 perturbed;		/* priorities change all the time; see schedule() */
	u8 rounds;
	u32 seed;
	u32 n;
	struct call call[MAX_CALLS];
};

/* ---- the calls: ioctl-calls.c, and what a process does besides: ioctl-acts.c ---- */

enum kind { DEV, VM, VCPU, DEVICE, STATS, EVENT, NR_KINDS, ACT };

/* What calls work on the same; races are tried among these first. */
enum subject { ANY, IRQ, MEM, STATE, TIME, MSR, LIFE };

struct arg {
	int fd;
	u64 value;		/* with no buffer */
	size_t len;
	u8 *buf;		/* of BUF_SIZE */
};

struct row {
	u8 on;			/* enum kind */
	u8 subject;
	u32 cmd, get;		/* get: the call that reads what this one sets */
	const char *name;
	void (*make)(struct rng *r, const struct row *row, struct arg *arg);
	long (*act)(struct rng *r);
};

extern const struct row rows[];
extern const u32 nr_rows;
const char *row_name(u32 row, char *buf, size_t size);

/* ---- what the fuzzer and its child share ---- */

struct row_count {
	u64 made, succeeded;
};

struct shared {
	struct row_count count[MAX_ROWS];
	struct {
		int row;	/* -1: in none */
		u64 since;	/* ns */
	} now[MAX_THREADS];
	u64 calls, new_pcs, new_edges, new_results, pcs;
	u64 met;		/* two calls depended on each other */
	u64 guests_left;	/* KVM_RUNs that a guest's exit ended */
	char complaint[256];	/* a result that cannot be */
};

extern struct shared *shared;

/* How much longer everything takes on this machine than on an ordinary one. */
static inline u32 percent(void)
{
	const char *factor = getenv("LAB_FACTOR");

	return factor && atoi(factor) > 100 ? atoi(factor) : 100;
}

u64 now_ns(void);
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- the child: ioctl-run.c ---- */

struct obj {
	int fd;
	u8 kind;
};

struct mapping {
	u8 *p;
	size_t size;
};

/* All that a round of a program has; its threads race for it, on purpose. */
struct world {
	struct vm vm;
	struct obj obj[MAX_OBJS];
	u32 nr_objs;
	struct mapping map[16];	/* of vcpus' files */
	u32 nr_maps;
	u8 *arena;		/* ARENA_SIZE of memory of all kinds */
	u8 *racing;		/* BUF_SIZE that a thread scribbles on */
	pid_t tid[MAX_THREADS];
	u32 threads;
};

#define ARENA_SIZE	(4 << 20)

extern struct world world;
extern __thread u32 this_thread;
extern bool say_calls;
void run_program(const struct program *p) __attribute__((noreturn));
void add_obj(int fd, enum kind kind);
int some_fd(struct rng *r, enum kind kind);
u64 some_address(struct rng *r);
/* Run @touch, which may touch what is not mapped (any more). */
void touch(struct rng *r, void (*touch)(struct rng *r));

/* ---- coverage: ioctl-kcov.c ---- */

bool kcov_open(void);		/* by the fuzzer; false: there is none, it says why */
void kcov_enable(u32 thread);
void kcov_begin(u32 thread);
void kcov_end(u32 thread);	/* counts what was new in `shared` */
/* A result that was not seen before is as good as a new place in the code. */
void note_result(u32 row, long result);
void results_open(void);

#endif
