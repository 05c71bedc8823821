// SPDX-License-Identifier: GPL-2.0-only
/* Slots: made, changed and deleted, their logs of dirty pages, and the kernel's memory. */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "mmu.h"

#define SLOTS		500
#define SLOT_SIZE	(2 * MB)

/* ---- The log ---- */

static void get_log(struct bench *b, void *bitmap)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bitmap };

	if (ioctl(b->vm.fd, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
}

static void clear_log(struct bench *b, void *bitmap)
{
	struct kvm_clear_dirty_log log = {
		.slot = 1, .num_pages = b->size / PAGE, .dirty_bitmap = bitmap,
	};

	if (ioctl(b->vm.fd, KVM_CLEAR_DIRTY_LOG, &log))
		die("KVM_CLEAR_DIRTY_LOG");
}

/* Writes a hundredth of the pages, another one each round. */
static u64 dirty_some(struct bench *b, int round)
{
	u64 pages = b->size / PAGE;

	return walk(b, WRITE, (round % 100) * PAGE, 100 * PAGE, pages / 100);
}

static void expect_some(struct bench *b, const u8 *bitmap)
{
	u64 pages = b->size / PAGE, n = 0;

	for (u64 i = 0; i < pages / 8; i++)
		n += __builtin_popcount(bitmap[i]);
	if (n != pages / 100)
		die("%llu pages are in the log, and %llu were written", (unsigned long long)n,
		    (unsigned long long)pages / 100);
}

static void log_start(struct bench *b)
{
	bench_start(b, scaled(256 * MB), SMALL, is_nested() ? GUEST_2M : GUEST_4K);
	walk(b, WRITE, 0, PAGE, b->size / PAGE);
}

static void log_4k(void)
{
	struct bench b;
	u8 *bitmap;

	log_start(&b);
	bitmap = calloc(1, b.size / PAGE / 8);
	emit("on", COST_SETTLED(bench_slot(&b, KVM_MEM_LOG_DIRTY_PAGES)));
	get_log(&b, bitmap);
	for (int i = 0; i < 5; i++) {
		emit("writes", (double)dirty_some(&b, i) / (b.size / PAGE / 100));
		emit("get", COST(get_log(&b, bitmap)));
		expect_some(&b, bitmap);
		emit("get-none", COST(get_log(&b, bitmap)));
	}
	emit("off", COST_SETTLED(bench_slot(&b, 0)));
	emit("retouch", (double)walk(&b, WRITE, 0, PAGE, b.size / PAGE) / (b.size / PAGE));
	bench_end(&b);
	free(bitmap);
}

/* KVM_GET_DIRTY_LOG that only tells, and KVM_CLEAR_DIRTY_LOG. */
static void log_manual(void)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	struct bench b;
	u8 *bitmap;

	log_start(&b);
	if (ioctl(b.vm.fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	bitmap = calloc(1, b.size / PAGE / 8);
	bench_slot(&b, KVM_MEM_LOG_DIRTY_PAGES);
	for (int i = 0; i < 5; i++) {
		dirty_some(&b, i);
		emit("get", COST(get_log(&b, bitmap)));
		expect_some(&b, bitmap);
		emit("clear", COST(clear_log(&b, bitmap)));
	}
	bench_end(&b);
	free(bitmap);
}

/* ---- One slot ---- */

static void create(void)
{
	struct bench b;

	bench_open(&b, BASE, GB, GUEST_2M);
	b.mem = map_memory(b.size, ABSENT);
	for (int i = 0; i < 5; i++) {
		emit("1g", COST_SETTLED(bench_slot(&b, 0)));
		bench_slot_gone(&b);
	}
	bench_end(&b);
}

static void delete_one(void)
{
	struct bench b;

	bench_start(&b, scaled(GB), REPEATED, GUEST_2M);
	walk(&b, WRITE, 0, PAGE, b.size / PAGE);
	emit("1", COST_SETTLED(bench_slot_gone(&b)));
	bench_end(&b);
}

/* ---- Many slots ---- */

/* The slots from 1 on lie side by side. */
static void slot_of_many(struct bench *b, u32 i, u32 flags)
{
	u64 at = i * SLOT_SIZE;

	if (vm_slot(&b->vm, i + 1, flags, b->base + at, SLOT_SIZE, b->mem + at))
		die("slot %u", i + 1);
}

static void delete_of_many(struct bench *b, u32 i)
{
	if (vm_slot(&b->vm, i + 1, 0, 0, 0, NULL))
		die("slot %u's end", i + 1);
}

static void many_start(struct bench *b, u32 slots, enum backing backing)
{
	bench_open(b, BASE, SLOTS * SLOT_SIZE, GUEST_2M);
	b->mem = map_memory(GB, backing);
	for (u32 i = 0; i < slots; i++)
		slot_of_many(b, i, 0);
	touch(b, GPA_DATA, 0, 10);
}

static void delete_all(struct bench *b)
{
	for (u32 i = 0; i < SLOTS; i++)
		delete_of_many(b, i);
}

static void delete_500(void)
{
	struct bench b;

	many_start(&b, SLOTS, REPEATED);
	walk(&b, WRITE, 0, PAGE, b.size / PAGE);
	emit("500", COST_SETTLED(delete_all(&b)));
	bench_end(&b);
}

static void delete_mapped(void)
{
	delete_one();
	delete_500();
}

static void add_499th(void)
{
	struct bench b;

	many_start(&b, 498, ABSENT);
	for (int i = 0; i < 9; i++) {
		emit("add", COST_SETTLED(slot_of_many(&b, 498, 0)));
		delete_of_many(&b, 498);
	}
	slot_of_many(&b, 498, 0);
	slot_of_many(&b, 499, 0);
	emit("delete", COST_SETTLED(delete_all(&b)) / (double)SLOTS);
	bench_end(&b);
}

/* How long a change of flags takes right after the slot was added: time, waiting included. */
static void latency(void)
{
	struct bench b;
	u64 since;

	stop_counting();
	bench_open(&b, BASE, 64 * MB, GUEST_2M);
	b.mem = map_memory(b.size, ABSENT);
	for (int i = 0; i < 15; i++) {
		bench_slot(&b, 0);
		since = __rdtsc();
		bench_slot(&b, KVM_MEM_LOG_DIRTY_PAGES);
		emit("add-flags", __rdtsc() - since);
		bench_slot_gone(&b);
		settle();
	}
	bench_end(&b);
	start_counting();
}

/* ---- Memory ---- */

/* Bytes: all that is not free, each processor's own free pages aside. */
static u64 used(void)
{
	return number_in("/proc/meminfo", "MemTotal:") * 1024 - number_in("/proc/meminfo", "MemFree:") * 1024 -
	       number_in("/proc/zoneinfo", "count:") * PAGE;
}

static u64 page_tables(void)
{
	return number_in("/proc/meminfo", "SecPageTables:") * 1024;
}

static void memory(void)
{
	u64 all, tables;
	struct bench b;

	bench_open(&b, BASE, scaled(512 * MB), GUEST_2M);
	b.mem = map_memory(b.size, REPEATED);
	touch(&b, GPA_DATA, 0, 10);
	settle();
	all = used();
	tables = page_tables();
	bench_slot(&b, 0);
	walk(&b, WRITE, 0, PAGE, b.size / PAGE);
	settle();
	emit("all", used() - all);
	emit("tables", page_tables() - tables);
	bench_end(&b);
}

const struct group slot_groups[] = {
	{ "log-4k", log_4k, 2 },
	{ "log-manual", log_manual, 1 },
	{ "create", create, 1 },
	{ "delete", delete_mapped, 1 },
	{ "slots", add_499th, 1 },
	{ "latency", latency, 1 },
	{ "memory", memory, 3 },
	{ }
};
