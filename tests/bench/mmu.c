// SPDX-License-Identifier: GPL-2.0-only
/*
 * mmu [-r ROUNDS] GROUP...: for `make bench-mmu`, in a lab host whose TSC counts
 * instructions: what guest memory costs, on any KVM.  For each row of a group a line
 * "GROUP/ROW COUNT", the median of several rounds after one to warm up.
 */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "mmu.h"

#define MAX_ROWS	32
#define MAX_VALUES	512

/* ---- Counting ---- */

/* Runs whenever nothing else does: the time that it gets is the machine's idle time. */
static pid_t spinner;
static clockid_t spinner_clock;
static double ticks_per_ns;
static u64 cost_of_settling;

static u64 ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t))
		die("clock_gettime");
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void start_counting(void)
{
	struct sched_param none = { 0 };

	spinner = fork();
	if (spinner < 0)
		die("fork");
	if (!spinner) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (sched_setscheduler(0, SCHED_IDLE, &none))
			_exit(1);
		for (;;)
			__asm__ volatile("" : : : "memory");
	}
	if (clock_getcpuclockid(spinner, &spinner_clock))
		die("clock_getcpuclockid");
}

void stop_counting(void)
{
	kill(spinner, SIGKILL);
	waitpid(spinner, NULL, 0);
}

u64 busy(void)
{
	return __rdtsc() - (u64)(ns(spinner_clock) * ticks_per_ns);
}

/* The emulators' counters have 1000 and 100 million ticks a second. */
static void find_tick(void)
{
	u64 tsc = __rdtsc(), begin = ns(CLOCK_MONOTONIC_RAW), now;

	do
		now = ns(CLOCK_MONOTONIC_RAW);
	while (now - begin < 20000000);
	ticks_per_ns = (double)(__rdtsc() - tsc) / (now - begin);
	ticks_per_ns = ticks_per_ns > 0.5 ? 1 : 0.1;
}

void settle(void)
{
	usleep(20000);
}

u64 settle_cost(void)
{
	return cost_of_settling;
}

static int compare_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void find_settle_cost(void)
{
	u64 cost[9];

	for (size_t i = 0; i < ARRAY_LEN(cost); i++)
		cost[i] = COST(settle());
	qsort(cost, ARRAY_LEN(cost), sizeof(cost[0]), compare_u64);
	cost_of_settling = cost[ARRAY_LEN(cost) / 2];
}

/* ---- Results ---- */

static struct row {
	const char *name;
	double value[MAX_VALUES];
	int values;
} rows[MAX_ROWS];

void emit(const char *name, double value)
{
	struct row *r = rows;

	while (r->name && strcmp(r->name, name))
		if (++r == rows + MAX_ROWS)
			die("too many rows");
	r->name = name;
	if (r->values == MAX_VALUES)
		die("too many counts of %s", name);
	r->value[r->values++] = value;
}

static int compare_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void print_rows(const char *group)
{
	for (struct row *r = rows; r < rows + MAX_ROWS && r->name; r++) {
		qsort(r->value, r->values, sizeof(r->value[0]), compare_double);
		printf("%s/%s %.2f\n", group, r->name, r->value[r->values / 2]);
	}
}

/* A process of its own: what one group leaves behind is not the next one's. */
static bool run_group(const struct group *g, int rounds)
{
	pid_t pid;
	int status;

	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		start_counting();
		find_settle_cost();
		if (!rounds)
			rounds = g->rounds;
		for (int i = 0; i <= rounds; i++) {
			if (i == 1)
				memset(rows, 0, sizeof(rows));
			g->round();
		}
		stop_counting();
		print_rows(g->name);
		exit(0);
	}
	if (waitpid(pid, &status, 0) != pid)
		die("waitpid");
	if (status)
		fprintf(stderr, "# %s failed, status %#x\n", g->name, status);
	return !status;
}

static const struct group *find_group(const char *name)
{
	static const struct group *const all[] = { fault_groups, slot_groups, shadow_groups };

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		for (const struct group *g = all[i]; g->name; g++)
			if (!strcmp(g->name, name))
				return g;
	die("no group %s", name);
}

/* ---- The host ---- */

u64 number_in(const char *path, const char *key)
{
	FILE *f = fopen(path, "r");
	u64 sum = 0;
	char line[256], *at;

	if (!f)
		die("%s", path);
	while (fgets(line, sizeof(line), f)) {
		at = line + strspn(line, " ");
		if (key && strncmp(at, key, strlen(key)))
			continue;
		sum += strtoull(at + (key ? strlen(key) : 0), NULL, 0);
	}
	fclose(f);
	return sum;
}

bool is_nested(void)
{
	static const char *const files[] = {
		"/sys/module/kvm_amd/parameters/npt", "/sys/module/kvm_intel/parameters/ept",
	};

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		FILE *f = fopen(files[i], "r");
		int c = f ? getc(f) : EOF;

		if (f)
			fclose(f);
		if (c != EOF)
			return c == 'Y' || c == '1';
	}
	die("which kind of paging?");
}

u64 scaled(u64 size)
{
	return on_bochs() ? size / 4 : size;
}

/* ---- Memory for slots ---- */

static u8 *map_aligned(u64 size, int flags)
{
	u64 at = (u64)xmmap(size + LARGE, flags | MAP_PRIVATE | MAP_ANONYMOUS, -1);
	u64 start = (at + LARGE - 1) & ~(LARGE - 1);

	/* what is before and after the aligned part */
	if (start > at)
		munmap((void *)at, start - at);
	munmap((void *)(start + size), at + LARGE - start);
	return (u8 *)start;
}

static u8 *map_hugetlb(u64 size)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");

	if (!f || fprintf(f, "%lu\n", size / LARGE) < 0 || fclose(f))
		die("nr_hugepages");
	return xmmap(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1);
}

static u8 *map_repeated(u64 size)
{
	u64 chunk = size < CHUNK ? size : CHUNK;
	u8 *mem = xmmap(size, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, chunk) || size % chunk)
		die("memory of %llu bytes", (unsigned long long)size);
	for (u64 at = 0; at < size; at += chunk)
		if (mmap(mem + at, chunk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
			die("mmap");
	close(fd);
	return mem;
}

static u8 *map_shared(u64 size)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);
	u8 *mem;

	if (fd < 0 || ftruncate(fd, size))
		die("memfd");
	mem = xmmap(size, MAP_SHARED, fd);
	close(fd);
	for (u64 at = 0; at < size; at += PAGE)
		(void)*(volatile u8 *)(mem + at);
	return mem;
}

static void populate(u8 *mem, u64 size)
{
	for (u64 at = 0; at < size; at += PAGE)
		mem[at] = 1;
}

static u8 *map_new(u64 size, enum backing backing)
{
	u8 *mem;

	switch (backing) {
	case SHARED:
		return map_shared(size);
	case REPEATED:
		return map_repeated(size);
	case HUGETLB:
		return map_hugetlb(size);
	default:
		mem = map_aligned(size, MAP_NORESERVE);
		if (madvise(mem, size, backing == THP || backing == FRESH_THP ? MADV_HUGEPAGE : MADV_NOHUGEPAGE))
			die("madvise");
		return mem;
	}
}

/* To clear memory takes longer than most rows: what the next round can use again stays. */
static bool is_kept(enum backing backing)
{
	return backing == SMALL || backing == THP || backing == REPEATED;
}

static struct memory {
	u8 *mem;
	u64 size;
	enum backing backing;
	bool used;
} kept[16];

static struct memory *find_kept(u64 size, enum backing backing)
{
	for (struct memory *m = kept; m < kept + ARRAY_LEN(kept); m++)
		if (m->mem && !m->used && m->size == size && m->backing == backing)
			return m;
	for (struct memory *m = kept; m < kept + ARRAY_LEN(kept); m++)
		if (!m->mem)
			return m;
	die("too much memory");
}

u8 *map_memory(u64 size, enum backing backing)
{
	struct memory *m = find_kept(size, backing);

	if (!m->mem)
		*m = (struct memory){ map_new(size, backing), size, backing };
	m->used = true;
	if (backing != SHARED && backing != REPEATED && backing != ABSENT)
		populate(m->mem, size);
	return m->mem;
}

void unmap_memory(u8 *mem)
{
	for (struct memory *m = kept; m < kept + ARRAY_LEN(kept); m++) {
		if (m->mem != mem)
			continue;
		m->used = false;
		if (is_kept(m->backing))
			return;
		munmap(m->mem, m->size);
		m->mem = NULL;
		return;
	}
}

/* ---- The VM ---- */

/* Each ends by an exit to port 0x10. */
GUEST(write, 64,
	"1:	incq (%rdi)\n	add %rsi, %rdi\n	dec %rcx\n	jnz 1b\n	out %al, $0x10\n");
GUEST(read, 64,
	"1:	mov (%rdi), %rax\n	add %rsi, %rdi\n	dec %rcx\n	jnz 1b\n	out %al, $0x10\n");

static void make_tables(struct bench *b, enum guest_pages pages)
{
	const u64 rw = PTE_P | PTE_W | PTE_A | PTE_D;
	u64 *pdpt = (u64 *)(b->vm.mem + GPA_PDPT), table = TABLES;

	for (u64 at = 0; at < b->size; at += GB) {
		u64 *pd = (u64 *)(b->vm.mem + table);

		pdpt[(b->base + at) >> 30] = table | rw;
		table += PAGE;
		for (u64 i = 0; i < 512; i++)
			pd[i] = (b->base + at + i * LARGE) | rw | PTE_PS;
		for (u64 i = 0; i < 512 && pages == GUEST_4K && at + i * LARGE < b->size; i++, table += PAGE) {
			u64 *pt = (u64 *)(b->vm.mem + table);

			pd[i] = table | rw;
			for (u64 j = 0; j < 512; j++)
				pt[j] = (b->base + at + i * LARGE + j * PAGE) | rw;
		}
	}
	if (table > PRIVATE)
		die("no room for the guest's tables");
}

/* The slot's place, but not the slot. */
void bench_open(struct bench *b, u64 base, u64 size, enum guest_pages pages)
{
	b->base = base;
	b->size = size;
	b->mem = NULL;
	vm_create(&b->vm);
	vm_mode(&b->vm, &b->vm.vcpu, LONG);
	make_tables(b, pages);
}

void bench_start(struct bench *b, u64 size, enum backing backing, enum guest_pages pages)
{
	bench_open(b, BASE, size, pages);
	b->mem = map_memory(size, backing);
	bench_slot(b, 0);
	touch(b, GPA_DATA, 0, 10);
}

void bench_end(struct bench *b)
{
	vm_destroy(&b->vm);
	if (b->mem)
		unmap_memory(b->mem);
}

void bench_slot(struct bench *b, u32 flags)
{
	if (vm_slot(&b->vm, 1, flags, b->base, b->size, b->mem))
		die("slot 1");
}

void bench_slot_gone(struct bench *b)
{
	if (vm_slot(&b->vm, 1, 0, 0, 0, NULL))
		die("slot 1's end");
}

u64 run_guest(struct bench *b, const u8 *start, const u8 *end, struct kvm_regs r)
{
	int reason;
	u64 cost;

	vm_load(&b->vm, GPA_CODE, start, end);
	r.rip = GPA_CODE;
	r.rsp = GPA_STACK;
	r.rflags = 0x202;
	vcpu_set_regs(&b->vm.vcpu, &r);
	cost = COST(reason = vm_run(&b->vm));
	if (reason != KVM_EXIT_IO || b->vm.vcpu.run->io.port != 0x10) {
		vcpu_dump(&b->vm.vcpu, "bench");
		die("the guest");
	}
	return cost;
}

u64 touch(struct bench *b, u64 addr, u64 step, u64 count)
{
	return RUN_GUEST(b, write, .rdi = addr, .rsi = step, .rcx = count);
}

u64 walk(struct bench *b, enum access access, u64 from, u64 step, u64 count)
{
	if (access == WRITE)
		return touch(b, b->base + from, step, count);
	return RUN_GUEST(b, read, .rdi = b->base + from, .rsi = step, .rcx = count);
}

int main(int argc, char **argv)
{
	int opt, rounds = 0;
	bool good = true;

	while ((opt = getopt(argc, argv, "r:")) != -1) {
		if (opt != 'r')
			die("usage: mmu [-r ROUNDS] GROUP...");
		rounds = atoi(optarg);
	}
	find_tick();
	for (int i = optind; i < argc; i++)
		good = run_group(find_group(argv[i]), rounds) && good;
	return !good;
}
