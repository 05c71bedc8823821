// SPDX-License-Identifier: GPL-2.0-only
/* Faults: of all kinds of memory, with the log of dirty pages, and after the notifier. */
#include <stdio.h>
#include <sys/mman.h>

#include "mmu.h"

static enum guest_pages guest_pages(void)
{
	return is_nested() ? GUEST_2M : GUEST_4K;
}

static void touch_new(const char *name, u64 size, enum backing backing, enum guest_pages pages,
		      enum access access)
{
	struct bench b;

	bench_start(&b, size, backing, pages);
	emit(name, (double)walk(&b, access, 0, PAGE, size / PAGE) / (size / PAGE));
	bench_end(&b);
}

static void fault_4k(void)
{
	touch_new("write", scaled(64 * MB), FRESH, guest_pages(), WRITE);
	touch_new("read", scaled(64 * MB), FRESH, guest_pages(), READ);
	touch_new("again", scaled(64 * MB), SMALL, guest_pages(), WRITE);
}

static void fault_memfd(void)
{
	touch_new("write", scaled(64 * MB), SHARED, GUEST_2M, WRITE);
	if (!is_nested())
		touch_new("write-4k", scaled(64 * MB), SHARED, GUEST_4K, WRITE);
}

/* Whether the guest's 4K pages are all there once it has touched each large page. */
static void expect_large(struct bench *b, const char *what)
{
	if (walk(b, WRITE, 0, PAGE, b->size / PAGE) / (b->size / PAGE) > 50)
		die("no large pages: %s", what);
}

static void fault_large(const char *name, enum backing backing)
{
	struct bench b;

	bench_start(&b, scaled(256 * MB), backing, GUEST_2M);
	emit(name, (double)walk(&b, WRITE, 0, LARGE, b.size / LARGE) / (b.size / LARGE));
	expect_large(&b, name);
	bench_end(&b);
}

static void fault_2m(void)
{
	fault_large("thp", FRESH_THP);
	fault_large("hugetlb", HUGETLB);
}

/*
 * Large pages in which single 4K pages are logged: the write of every hundredth, a read
 * of all, and back.
 */
static void log_2m(void)
{
	struct bench b;
	u64 pages;

	bench_start(&b, scaled(256 * MB), THP, GUEST_2M);
	pages = b.size / PAGE;
	walk(&b, WRITE, 0, LARGE, b.size / LARGE);
	expect_large(&b, "log");
	emit("on", COST_SETTLED(bench_slot(&b, KVM_MEM_LOG_DIRTY_PAGES)));
	emit("writes", (double)walk(&b, WRITE, 0, 100 * PAGE, pages / 100) / (pages / 100));
	emit("reads", (double)walk(&b, READ, 0, PAGE, pages) / pages);
	emit("off", COST_SETTLED(bench_slot(&b, 0)));
	emit("retouch", (double)walk(&b, WRITE, 0, LARGE, b.size / LARGE) / (b.size / LARGE));
	bench_end(&b);
}

GUEST(write32, 32,
	"1:	incl (%edi)\n	add %esi, %edi\n	dec %ecx\n	jnz 1b\n	out %al, $0x10\n");

static void touch_unpaged(const char *name, enum backing backing)
{
	const u64 size = scaled(64 * MB);
	struct bench b;

	bench_open(&b, LOW, size, GUEST_2M);
	b.mem = map_memory(size, backing);
	bench_slot(&b, 0);
	vm_mode(&b.vm, &b.vm.vcpu, PROT);
	RUN_GUEST(&b, write32, .rdi = GPA_DATA, .rsi = 0, .rcx = 10);
	emit(name, (double)RUN_GUEST(&b, write32, .rdi = LOW, .rsi = PAGE, .rcx = size / PAGE) / (size / PAGE));
	bench_end(&b);
}

static void unpaged(void)
{
	touch_unpaged("write", FRESH);
	touch_unpaged("again", SMALL);
}

/* The host takes the memory away, gives nothing back, and the guest touches it again. */
static void notifier(void)
{
	const u64 size = scaled(64 * MB);
	u64 with, without;
	struct bench b;

	bench_start(&b, size, SMALL, guest_pages());
	walk(&b, WRITE, 0, PAGE, size / PAGE);
	with = COST_SETTLED(madvise(b.mem, size, MADV_DONTNEED));
	emit("refault", (double)walk(&b, WRITE, 0, PAGE, size / PAGE) / (size / PAGE));
	bench_slot_gone(&b);
	without = COST_SETTLED(madvise(b.mem, size, MADV_DONTNEED));
	emit("madvise", (double)with - without);
	bench_end(&b);
}

/* Eight clusters of 512 pages each, as far from each other as the slot is large. */
#define CLUSTERS	8

static double fault_in(u64 size)
{
	struct bench b;
	u64 cost = 0;

	bench_open(&b, BASE, size, GUEST_2M);
	b.mem = map_memory(size, ABSENT);
	bench_slot(&b, 0);
	for (u64 i = 0; i < CLUSTERS; i++)
		for (u64 at = 0; at < LARGE; at += PAGE)
			b.mem[i * (size / CLUSTERS) + at] = 1;
	touch(&b, GPA_DATA, 0, 10);
	for (u64 i = 0; i < CLUSTERS; i++)
		cost += walk(&b, WRITE, i * (size / CLUSTERS), PAGE, LARGE / PAGE);
	bench_end(&b);
	return (double)cost / (CLUSTERS * LARGE / PAGE);
}

static void flat(void)
{
	emit("16m", fault_in(16 * MB));
	emit("256m", fault_in(256 * MB));
	emit("4g", fault_in(4 * GB));
	emit("16g", fault_in(16 * GB));
}

/* Modules that were built with bench/mmu-exclusive.h count it. */
#define EXCLUSIVE	"/sys/module/kvm/parameters/exclusive"

static void exclusive_of(const char *name, u64 size, enum backing backing, u64 step)
{
	struct bench b;
	u64 before;

	bench_start(&b, size, backing, GUEST_2M);
	before = number_in(EXCLUSIVE, NULL);
	walk(&b, WRITE, 0, step, size / step);
	emit(name, (double)(number_in(EXCLUSIVE, NULL) - before) / (size / step));
	bench_end(&b);
}

static void exclusive(void)
{
	exclusive_of("4k", scaled(64 * MB), SMALL, PAGE);
	exclusive_of("2m", scaled(256 * MB), THP, LARGE);
}

const struct group fault_groups[] = {
	{ "fault-4k", fault_4k, 3 },
	{ "fault-2m", fault_2m, 2 },
	{ "log-2m", log_2m, 2 },
	{ "memfd", fault_memfd, 3 },
	{ "unpaged", unpaged, 3 },
	{ "notifier", notifier, 3 },
	{ "flat", flat, 3 },
	{ "exclusive", exclusive, 2 },
	{ }
};
