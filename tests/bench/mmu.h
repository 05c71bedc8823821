/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For the parts of bench/mmu: how a row is counted, and a VM with a slot 1 that its
 * guest walks over.
 */
#ifndef BENCH_MMU_H
#define BENCH_MMU_H

#include "vm.h"

#define PAGE	4096UL
#define LARGE	(2UL << 20)
#define MB	(1UL << 20)
#define GB	(1UL << 30)

#define BASE	(4 * GB)	/* of slot 1, guest virtual and physical */
#define LOW	GB		/* the same for a guest without 64 bits */
#define TABLES	0x100000	/* the guest's for it, in slot 0, as far as PRIVATE */
#define PRIVATE	0x380000	/* the row's own */

/* ---- Counting ---- */

/* Instructions so far of all processes and of the kernel, without idle ones. */
u64 busy(void);

/* One round's count under a name; the median of all rounds is printed. */
void emit(const char *name, double value);

/* What others have to do after a call is done when this returns. */
void settle(void);
u64 settle_cost(void);

#define COST(call) ({							\
	u64 since_ = busy();						\
									\
	call;								\
	busy() - since_;						\
})

/* With what the call leaves to others: to RCU, to a worker. */
#define COST_SETTLED(call) ({						\
	u64 cost_;							\
									\
	settle();							\
	cost_ = COST(({ call; settle(); }));				\
	cost_ > settle_cost() ? cost_ - settle_cost() : 0;		\
})

/* Without the process that makes idle time countable: for latency, in ticks. */
void stop_counting(void);
void start_counting(void);

/* What a row is about in one emulator may be smaller in the other: bytes of memory. */
u64 scaled(u64 size);

bool is_nested(void);

/* A number that the kernel keeps in a file; what begins with key, if that is not NULL. */
u64 number_in(const char *path, const char *key);

/* ---- Memory for slots ---- */

enum backing {
	SMALL,		/* anonymous, in 4K pages, which a VM may have had before */
	FRESH,		/* the same, and no VM had them: not yet active for the host, either */
	THP,
	FRESH_THP,
	HUGETLB,
	SHARED,		/* a memfd's 4K pages, populated by reads */
	REPEATED,	/* one chunk of a memfd over and over */
	ABSENT,		/* nothing there yet */
};

#define CHUNK	(64 * MB)

u8 *map_memory(u64 size, enum backing backing);
void unmap_memory(u8 *mem);

/* ---- The VM ---- */

struct bench {
	struct vm vm;
	u64 base, size;
	u8 *mem;
};

/* 4K or 2M: the pages of the guest's own tables. */
enum guest_pages { GUEST_2M, GUEST_4K };

void bench_open(struct bench *b, u64 base, u64 size, enum guest_pages pages);
void bench_start(struct bench *b, u64 size, enum backing backing, enum guest_pages pages);
void bench_end(struct bench *b);
void bench_slot(struct bench *b, u32 flags);	/* slot 1: all of the memory */
void bench_slot_gone(struct bench *b);

/* Runs a guest's code from start to end; what it took. */
u64 run_guest(struct bench *b, const u8 *start, const u8 *end, struct kvm_regs r);
#define RUN_GUEST(b, name, ...) \
	run_guest(b, guest_##name, guest_##name##_end, (struct kvm_regs){ __VA_ARGS__ })

enum access { READ, WRITE };

/* The same anywhere, for a vcpu's first run, which is no fault's cost. */
u64 touch(struct bench *b, u64 addr, u64 step, u64 count);

/* One access to each of count addresses of slot 1, step bytes apart. */
u64 walk(struct bench *b, enum access access, u64 from, u64 step, u64 count);

/* ---- Rows ---- */

struct group {
	const char *name;
	void (*round)(void);
	int rounds;
};

extern const struct group fault_groups[], slot_groups[], shadow_groups[];

#endif
