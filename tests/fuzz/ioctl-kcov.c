// SPDX-License-Identifier: GPL-2.0-only
/*
 * What code a call reaches, by KCOV: each thread has a buffer into which the kernel
 * writes the place of every basic block that it enters.  Those of our modules count,
 * and the pairs that follow each other.  The maps of what was seen are shared.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "ioctl.h"

#define KCOV_INIT_TRACE	_IOR('c', 1, unsigned long)
#define KCOV_ENABLE	_IO('c', 100)
#define KCOV_TRACE_PC	0
#define KCOV_WORDS	(256 << 10)

#define MODULE_SPACE	(16UL << 20)	/* all modules together, from the first one's address */
#define RESULT_BITS	(1UL << 20)

static struct {
	int fd;
	u64 *buf;
} kcov[MAX_THREADS];

static u64 base, end;
static u8 *seen_pc, *seen_edge, *seen_result;

static void *shared_memory(size_t size)
{
	return xmmap(size, MAP_SHARED | MAP_ANONYMOUS, -1);
}

/* KCOV takes the random part of the kernel's address out of those it reports. */
static u64 kaslr_offset(void)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	unsigned long addr = 0;
	char type, name[256];

	if (!f)
		return 0;
	while (fscanf(f, "%lx %c %255s%*[^\n]", &addr, &type, name) == 3)
		if (!strcmp(name, "_text"))
			break;
	fclose(f);
	return addr ? addr - 0xffffffff81000000UL : 0;
}

/* Sets base and end to all of kvm, kvm_amd and kvm_intel. */
static bool find_modules(void)
{
	FILE *f = fopen("/proc/modules", "r");
	char line[512], name[64];
	unsigned long size, addr;

	base = ~0UL;
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %lu %*s %*s %*s %lx", name, &size, &addr) != 3 ||
		    strncmp(name, "kvm", 3))
			continue;
		base = addr < base ? addr : base;
		end = addr + size > end ? addr + size : end;
	}
	if (f)
		fclose(f);
	if (!end || end - base > MODULE_SPACE)
		return false;
	base -= kaslr_offset();
	end -= kaslr_offset();
	return true;
}

bool kcov_open(void)
{
	for (u32 i = 0; i < MAX_THREADS; i++) {
		kcov[i].fd = open("/sys/kernel/debug/kcov", O_RDWR | O_CLOEXEC);
		if (kcov[i].fd < 0 || ioctl(kcov[i].fd, KCOV_INIT_TRACE, KCOV_WORDS)) {
			printf("# no coverage: this kernel has no KCOV\n");
			return false;
		}
		kcov[i].buf = xmmap(KCOV_WORDS * sizeof(u64), MAP_SHARED, kcov[i].fd);
	}
	if (!find_modules()) {
		printf("# no coverage: the modules' addresses are not to be had\n");
		return false;
	}
	seen_pc = shared_memory(MODULE_SPACE / 8);
	seen_edge = shared_memory((1UL << EDGES_LOG2) / 8);
	return true;
}

void results_open(void)
{
	seen_result = shared_memory(RESULT_BITS / 8);
}

static bool mark(u8 *map, u64 bit)
{
	u8 mask = 1 << (bit & 7);

	if (map[bit / 8] & mask)
		return false;
	return !(__atomic_fetch_or(&map[bit / 8], mask, __ATOMIC_RELAXED) & mask);
}

static u64 hash(u64 x)
{
	return rnd(&(struct rng){ x });
}

void note_result(u32 row, long result)
{
	if (mark(seen_result, hash(row * 1000003ULL + result) % RESULT_BITS))
		__atomic_fetch_add(&shared->new_results, 1, __ATOMIC_RELAXED);
}

void kcov_enable(u32 thread)
{
	if (seen_pc && ioctl(kcov[thread].fd, KCOV_ENABLE, KCOV_TRACE_PC))
		complain("KCOV_ENABLE: %s", strerror(errno));
}

void kcov_begin(u32 thread)
{
	if (seen_pc)
		__atomic_store_n(kcov[thread].buf, 0, __ATOMIC_RELAXED);
}

void kcov_end(u32 thread)
{
	u64 *buf = kcov[thread].buf, n, last = 0;

	if (!seen_pc)
		return;
	n = __atomic_load_n(buf, __ATOMIC_RELAXED);
	for (u64 i = 1; i <= n && i < KCOV_WORDS; i++) {
		u64 pc = buf[i];

		if (pc < base || pc >= end)
			continue;
		if (mark(seen_pc, pc - base)) {
			__atomic_fetch_add(&shared->new_pcs, 1, __ATOMIC_RELAXED);
			__atomic_fetch_add(&shared->pcs, 1, __ATOMIC_RELAXED);
		}
		if (mark(seen_edge, hash(last * 31 + pc) >> (64 - EDGES_LOG2)))
			__atomic_fetch_add(&shared->new_edges, 1, __ATOMIC_RELAXED);
		last = pc;
	}
	__atomic_store_n(buf, 0, __ATOMIC_RELAXED);
}
