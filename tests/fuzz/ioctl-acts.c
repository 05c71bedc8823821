// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a process does to its descriptors and its memory between its ioctls.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "ioctl.h"

long act_close(struct rng *r)
{
	return close(some_fd(r, one_in(r, 3) ? EVENT : below(r, NR_KINDS)));
}

long act_dup(struct rng *r)
{
	enum kind kind = below(r, NR_KINDS);
	int fd = fcntl(some_fd(r, kind), one_in(r, 2) ? F_DUPFD : F_DUPFD_CLOEXEC, 0);

	add_obj(fd, kind);
	return fd;
}

/* Another process has no VM of ours, but may hold it, and map it. */
static void in_other_process(struct rng *r)
{
	u8 buf[4096];
	void *p;

	alarm(2);
	for (u32 i = 0; i < 4; i++) {
		const struct row *row = &rows[below(r, nr_rows)];

		if (row->on <= VCPU)
			ioctl(some_fd(r, row->on), row->cmd, one_in(r, 2) ? buf : NULL);
	}
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, some_fd(r, VCPU), 0);
	if (p != MAP_FAILED)
		*(volatile u8 *)p = 1;
	p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, some_fd(r, VM), 0);
	_exit(0);
}

long act_fork(struct rng *r)
{
	pid_t pid = fork();

	if (!pid)
		in_other_process(r);
	return pid;
}

/* A program that knows nothing of them inherits the descriptors that are not close-on-exec. */
long act_exec(struct rng *r)
{
	bool of_this = one_in(r, 8);
	pid_t pid = of_this ? 0 : fork();

	if (!pid) {
		execl("/proc/self/exe", "ioctl", "--exit", NULL);
		_exit(1);
	}
	return pid;
}

/* The end of the process while other threads are in their calls. */
long act_end(struct rng *r)
{
	switch (below(r, 24)) {
	case 0:
		_exit(0);
	case 1:
		kill(getpid(), SIGKILL);
	}
	return 0;
}

long act_map_vcpu(struct rng *r)
{
	u32 i = __atomic_fetch_add(&world.nr_maps, 1, __ATOMIC_RELAXED) % ARRAY_LEN(world.map);
	size_t size = one_in(r, 3) ? 0x1000 << below(r, 4) : world.vm.run_size;
	int prot = one_in(r, 4) ? below(r, 8) : PROT_READ | PROT_WRITE;
	off_t offset = one_in(r, 4) ? below(r, 5) << 12 : 0;
	u8 *p = mmap(NULL, size, prot, one_in(r, 8) ? MAP_PRIVATE : MAP_SHARED, some_fd(r, VCPU), offset);

	if (p == MAP_FAILED)
		return -1;
	world.map[i] = (struct mapping){ p, size };
	return 0;
}

/* A vcpu's dirty ring, or a part of it, or what is beside it. */
long act_map_ring(struct rng *r)
{
	u32 i = __atomic_fetch_add(&world.nr_maps, 1, __ATOMIC_RELAXED) % ARRAY_LEN(world.map);
	size_t size = 0x1000 << (one_in(r, 2) ? 0 : below(r, 10));
	off_t at = KVM_DIRTY_LOG_PAGE_OFFSET + (one_in(r, 3) ? (off_t)below(r, 8) - 2 : 0);
	int prot = one_in(r, 8) ? below(r, 8) : PROT_READ | PROT_WRITE;
	u8 *p = mmap(NULL, size, prot, one_in(r, 8) ? MAP_PRIVATE : MAP_SHARED, some_fd(r, VCPU), at << 12);

	if (p == MAP_FAILED)
		return -1;
	world.map[i] = (struct mapping){ p, size };
	return 0;
}

static struct mapping some_map(struct rng *r)
{
	return world.map[below(r, ARRAY_LEN(world.map))];
}

long act_unmap(struct rng *r)
{
	struct mapping m = some_map(r);

	if (!m.p)
		return -1;
	return munmap(m.p, one_in(r, 2) ? m.size : 0x1000);
}

long act_protect(struct rng *r)
{
	struct mapping m = some_map(r);
	int prot = one_in(r, 2) ? PROT_READ | PROT_WRITE : below(r, 8);

	if (one_in(r, 4) && m.p)
		return mprotect(m.p, m.size, prot);
	return mprotect(world.vm.mem + below(r, MEM_SIZE >> 12) * 4096UL, 4096, prot | PROT_READ);
}

/* Marks entries from the first one on, as they are or with another page. */
static void write_ring(struct rng *r)
{
	volatile struct kvm_dirty_gfn *e = (void *)some_map(r).p;

	if (!e)
		return;
	for (u32 i = 0, n = below(r, 256); i < n; i++) {
		if (one_in(r, 8))
			e[i].slot = one_in(r, 4) ? odd_value(r) : below(r, 6);
		if (one_in(r, 8))
			e[i].offset = one_in(r, 4) ? odd_value(r) : below(r, 1100);
		e[i].flags = one_in(r, 16) ? odd_value(r) : KVM_DIRTY_GFN_F_RESET;
	}
}

long act_write_ring(struct rng *r)
{
	touch(r, write_ring);
	return 0;
}

static void write_run(struct rng *r)
{
	struct kvm_run *run = (void *)some_map(r).p;

	if (!run)
		return;
	switch (below(r, 6)) {
	case 0:
		run->immediate_exit = below(r, 3);
		break;
	case 1:
		run->request_interrupt_window = below(r, 2);
		break;
	case 2:
		run->kvm_valid_regs = one_in(r, 8) ? odd_value(r) : below(r, 8);
		run->kvm_dirty_regs = one_in(r, 8) ? odd_value(r) : below(r, 8);
		break;
	case 3:
		perturb(r, &run->s.regs, sizeof(run->s.regs));
		break;
	case 4:
		run->cr8 = below(r, 18);
		break;
	default:
		perturb(r, run, one_in(r, 3) ? 0x3000 : sizeof(*run));
	}
}

long act_write_run(struct rng *r)
{
	touch(r, write_run);
	return 0;
}

static void write_guest(struct rng *r)
{
	static const u16 at[] = { GPA_GDT, GPA_IDT, GPA_PML4, GPA_PDPT, GPA_PD, GPA_PT0 };
	u8 *mem = world.vm.mem;

	if (!mem)
		return;
	if (one_in(r, 2))
		perturb(r, mem + at[below(r, ARRAY_LEN(at))], 4096);
	else
		memset(mem + below(r, MEM_SIZE - 4096), rnd(r), below(r, 4096));
}

long act_write_guest(struct rng *r)
{
	touch(r, write_guest);
	return 0;
}

/* A range of pages of the guest's memory, or of the arena. */
static u8 *some_pages(struct rng *r, size_t *size)
{
	bool arena = one_in(r, 2) || !world.vm.mem;
	size_t all = arena ? ARENA_SIZE : MEM_SIZE, at = below(r, all >> 12) * 4096UL;

	*size = (1 + below(r, one_in(r, 4) ? 512 : 8)) * 4096UL;
	if (*size > all - at)
		*size = all - at;
	return (arena ? world.arena : world.vm.mem) + at;
}

long act_advise(struct rng *r)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_DONTNEED, MADV_FREE, MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_COLD,
		MADV_PAGEOUT, MADV_MERGEABLE, MADV_POPULATE_WRITE, MADV_POPULATE_READ,
		25 /* MADV_COLLAPSE */,
	};
	size_t size;
	u8 *p = some_pages(r, &size);

	return madvise(p, size, advice[below(r, ARRAY_LEN(advice))]);
}

/* Other memory in the place of some of the arena, or none. */
long act_arena(struct rng *r)
{
	int prot = one_in(r, 3) ? below(r, 8) : PROT_READ | PROT_WRITE;
	size_t size;
	u8 *p;

	do
		p = some_pages(r, &size);
	while (p < world.arena || p >= world.arena + ARENA_SIZE);
	switch (below(r, 5)) {
	case 0:
		return munmap(p, size);
	case 1:
		return mprotect(p, size, prot);
	case 2:
		return mmap(p, size, PROT_READ, MAP_SHARED | MAP_FIXED, some_fd(r, VCPU), 0) == MAP_FAILED ? -1 : 0;
	case 3:
		return mmap(p, size, prot, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0;
	}
	return mmap(p, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0;
}

/* Memory of KVM_SET_MEMORY_REGION. */
long act_map_vm(struct rng *r)
{
	off_t offset = one_in(r, 8) ? (off_t)(odd_value(r) & ~0xfffULL) : (off_t)below(r, 64) << 16;
	u32 i = below(r, ARRAY_LEN(world.map));
	u8 *p = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, some_fd(r, VM), offset);

	if (p == MAP_FAILED)
		return -1;
	if (!world.map[i].p)
		world.map[i] = (struct mapping){ p, 0x4000 };
	return 0;
}

long act_eventfd(struct rng *r)
{
	int fd = eventfd(below(r, 2), EFD_NONBLOCK | (one_in(r, 4) ? EFD_SEMAPHORE : 0));

	add_obj(fd, EVENT);
	return fd;
}

long act_signal_event(struct rng *r)
{
	u64 v = one_in(r, 8) ? ~1ULL : 1;
	int fd = some_fd(r, EVENT);

	return one_in(r, 4) ? read(fd, &v, sizeof(v)) : write(fd, &v, sizeof(v));
}

long act_read(struct rng *r)
{
	static __thread u8 buf[8192];
	enum kind kind = one_in(r, 6) ? below(r, NR_KINDS) : STATS;
	size_t size = one_in(r, 4) ? 8192 : below(r, 8192);
	int fd = some_fd(r, kind);

	if (kind == EVENT)
		return -1;
	switch (below(r, 4)) {
	case 0:
		return lseek(fd, odd_value(r), below(r, 3));
	case 1:
		return read(fd, buf, size);
	case 2:
		return pread(fd, buf, size, odd_value(r));
	}
	return pread(fd, one_in(r, 8) ? (void *)(uintptr_t)some_address(r) : buf, size, below(r, 4096));
}

long act_poll(struct rng *r)
{
	struct pollfd p[4];

	for (u32 i = 0; i < ARRAY_LEN(p); i++)
		p[i] = (struct pollfd){ some_fd(r, below(r, NR_KINDS)), POLLIN | POLLOUT, 0 };
	return poll(p, ARRAY_LEN(p), below(r, 3));
}

long act_signal(struct rng *r)
{
	return syscall(SYS_tgkill, getpid(), world.tid[below(r, world.threads)],
		       one_in(r, 2) ? SIGUSR1 : SIGUSR2);
}

long act_move(struct rng *r)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(below(r, sysconf(_SC_NPROCESSORS_ONLN)), &set);
	return sched_setaffinity(world.tid[below(r, world.threads)], sizeof(set), &set);
}

long act_wait(struct rng *r)
{
	if (one_in(r, 2))
		return sched_yield();
	return usleep(below(r, 500));
}
