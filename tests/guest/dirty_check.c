// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is each page that changes reported?  Several vcpus write to a slot, each by a random sequence of
 * its own, while a harvester takes the log again and again, as a VMM does that moves its guest:
 * what is reported it copies.  At times all vcpus stop, the rest of the log is taken, and then
 * the copy must be equal to the slot.  A page that differs was lost.
 *
 * Taken by bitmap, by bitmaps that are cleared in pieces, and from rings. Besides the guest's
 * own writes there are those of instructions that are emulated, of its clock, and of walks
 * through page tables in the slot.
 *
 * DIRTY_PAGES=N harvests N pages in each way, 10^6 for instance.  In QEMU a flush that is left
 * out shows only if the lab's processors run at once (--threads multi): those that take turns
 * leave the guest, and so flush, before others go on.
 * timeout: 300
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define VCPUS	4
#define AT	0x10000000ULL
#define PAGE	4096UL
#define PAGES	2048UL			/* as the guest has it in its mask */
#define WORDS	(PAGES / 64)
#define BIG	0x200000UL
#define ENTRIES	1024U			/* few, so that rings are full at times */

#define MSR_SYSTEM_TIME	0x4b564d01

/* In each vcpu's own page of the slot, at PAGES - 1 - its number: a page table, and its clock. */
#define OWN(vcpu)	(PAGES - 1 - (vcpu))
#define CLOCK_AT	0x800
#define TABLE_MAPS	0x600000ULL	/* and 2M more for each vcpu */

/*
 * rdi: the vcpu; r8: the last random number; r9, r10: how the next one is made of it; r11: what
 * its page table maps; r15 counts.  Long bursts of writes go to 8 pages of its own and to nothing
 * else, without an exit but the host's, so that a TLB which was not flushed goes on being used.
 * Where the bits of r12 are all clear in r15 they go to all pages; among them it writes by INS, or
 * takes accessed and dirty bits out of its table and writes by that.
 */
GUEST(writer, 64,
	"sti\n"
	"mov %rdi, %r13\n"
	"mov $2047, %r14d; sub %rdi, %r14; shl $12, %r14; add $0x10000000, %r14\n"
	"1: imul %r9, %r8; add %r10, %r8\n"
	"mov %r8, %rbx; shr $33, %rbx\n"
	"inc %r15; test %r12, %r15; jz 2f\n"
	"and $7, %ebx; lea (%rbx,%r13,8), %ebx; shl $12, %ebx\n"
	"mov %r8, 0x10000000(%rbx,%r13,8); jmp 1b\n"
	"2: and $2047, %ebx; shl $12, %ebx\n"
	"cmp $0x7fc000, %ebx; jae 1b\n"
	"lea 0x10000000(%rbx,%r13,8), %rbx\n"
	"mov %r8, (%rbx)\n"
	"mov %r8, %rax; shr $20, %rax; and $0x7f, %eax; jz 3f\n"
	"cmp $1, %eax; je 4f\n"
	"jmp 1b\n"
	"3: lea 0x100(%rbx), %rdi; mov $0x10, %edx; insb; jmp 1b\n"
	"4: andq $~0x60, (%r14); invlpg (%r11); mov %r8, (%r11); jmp 1b\n");

enum way { BITMAP, CLEAR, RING };

static const char *const way_name[] = { "bitmap", "clear", "ring" };

struct check_vcpu {
	struct vcpu v;
	pthread_t thread;
	volatile struct kvm_dirty_gfn *ring;
	u32 next;
	unsigned int seed;
};

static struct check {
	struct vm vm;
	enum way way;
	struct check_vcpu vcpu[VCPUS];
	int n;				/* vcpus */
	u8 *p, *copy;
	u64 bits[WORDS];
	u64 harvested, rounds, full;
	unsigned int seed;
	/* Taking the log: the harvester, or a vcpu whose ring is full. */
	pthread_mutex_t taking;
	/* All stop, and go on. */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool pause, end;
	int paused;
	int bad;			/* an exit that cannot be */
} c;

static void on_kick(int sig)
{
}

/* ---- taking the log ---- */

static void copy_page(u64 page)
{
	memcpy(c.copy + page * PAGE, c.p + page * PAGE, PAGE);
	c.harvested++;
}

static void copy_marked(const u64 *bits)
{
	for (u64 i = 0; i < PAGES; i++)
		if (bits[i / 64] >> i % 64 & 1)
			copy_page(i);
}

static void get_log(void)
{
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = c.bits };

	if (ioctl(c.vm.fd, KVM_GET_DIRTY_LOG, &log))
		die("KVM_GET_DIRTY_LOG");
}

static void take_bitmap(void)
{
	get_log();
	copy_marked(c.bits);
}

/* In pieces, of some of the pages that are dirty; all: of all of them. */
static void take_and_clear(bool all)
{
	u64 piece[WORDS];

	get_log();
	for (u64 at = 0, n; at < WORDS; at += n) {
		struct kvm_clear_dirty_log clear = {
			.slot = 1, .first_page = at * 64, .dirty_bitmap = piece,
		};

		n = 1 + rand_r(&c.seed) % 7;
		n = at + n > WORDS ? WORDS - at : n;
		memset(piece, 0, sizeof(piece));
		for (u64 i = 0; i < n; i++)
			piece[i] = c.bits[at + i] & (all || rand_r(&c.seed) % 4 ? ~0ULL : rand_r(&c.seed));
		clear.num_pages = n * 64;
		if (ioctl(c.vm.fd, KVM_CLEAR_DIRTY_LOG, &clear))
			die("KVM_CLEAR_DIRTY_LOG");
		for (u64 i = 0; i < n * 64; i++)
			if (piece[i / 64] >> i % 64 & 1)
				copy_page(at * 64 + i);
	}
}

/* Of one ring: the pages of what is marked now. */
static u32 harvest(struct check_vcpu *v, u64 *bits)
{
	u32 n;

	for (n = 0; n < ENTRIES; n++, v->next++) {
		volatile struct kvm_dirty_gfn *e = &v->ring[v->next % ENTRIES];

		if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != KVM_DIRTY_GFN_F_DIRTY)
			break;
		if (e->slot != 1 || e->offset >= PAGES)
			die("an entry of slot %#x, page %#llx", e->slot, (long long)e->offset);
		bits[e->offset / 64] |= BIT(e->offset % 64);
		__atomic_store_n(&e->flags, KVM_DIRTY_GFN_F_RESET, __ATOMIC_RELEASE);
	}
	return n;
}

static void take_rings(void)
{
	u64 bits[WORDS] = { 0 };
	u32 n = 0;

	for (int i = 0; i < c.n; i++)
		n += harvest(&c.vcpu[i], bits);
	if (ioctl(c.vm.fd, KVM_RESET_DIRTY_RINGS) != (int)n)
		die("KVM_RESET_DIRTY_RINGS did not reset %u", n);
	copy_marked(bits);
}

static void take_log(bool all)
{
	pthread_mutex_lock(&c.taking);
	if (c.way == BITMAP)
		take_bitmap();
	else if (c.way == CLEAR)
		take_and_clear(all);
	else
		take_rings();
	pthread_mutex_unlock(&c.taking);
}

/* ---- vcpus ---- */

static void wait_while_paused(void)
{
	pthread_mutex_lock(&c.lock);
	c.paused++;
	pthread_cond_broadcast(&c.changed);
	while (c.pause)
		pthread_cond_wait(&c.changed, &c.lock);
	c.paused--;
	pthread_mutex_unlock(&c.lock);
}

static void *run(void *arg)
{
	struct check_vcpu *v = arg;
	struct kvm_run *run = v->v.run;

	while (!c.end && !c.bad) {
		/* Set from outside, too, before the kick. */
		__atomic_store_n(&run->immediate_exit, c.pause, __ATOMIC_SEQ_CST);
		if (c.pause)
			run->immediate_exit = 1;
		if (ioctl(v->v.fd, KVM_RUN, 0L) < 0) {
			if (errno != EINTR)
				c.bad = -errno;
			else if (c.pause)
				wait_while_paused();
			continue;
		}
		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			*((u8 *)run + run->io.data_offset) = rand_r(&v->seed);
			break;
		case KVM_EXIT_DIRTY_RING_FULL:
			__atomic_fetch_add(&c.full, 1, __ATOMIC_RELAXED);
			take_log(false);
			break;
		default:
			c.bad = run->exit_reason;
			vcpu_dump(&v->v, "dirty_check");
		}
	}
	/* Who waits for all of them does not wait for this one. */
	pthread_mutex_lock(&c.lock);
	c.paused++;
	pthread_cond_broadcast(&c.changed);
	pthread_mutex_unlock(&c.lock);
	return NULL;
}

static void kick_all(void)
{
	for (int i = 0; i < c.n; i++) {
		c.vcpu[i].v.run->immediate_exit = 1;
		pthread_kill(c.vcpu[i].thread, SIGUSR1);
	}
}

/* All have left the guest, with what they had on their way done. */
static void pause_all(void)
{
	struct timespec ts;

	pthread_mutex_lock(&c.lock);
	c.pause = true;
	while (c.paused < c.n) {
		kick_all();
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += 50000000;
		ts.tv_sec += ts.tv_nsec / 1000000000;
		ts.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&c.changed, &c.lock, &ts);
	}
	pthread_mutex_unlock(&c.lock);
}

static void resume_all(void)
{
	pthread_mutex_lock(&c.lock);
	c.pause = false;
	pthread_cond_broadcast(&c.changed);
	/* Nobody counts twice. */
	while (c.paused && !c.bad) {
		pthread_mutex_unlock(&c.lock);
		usleep(100);
		pthread_mutex_lock(&c.lock);
	}
	pthread_mutex_unlock(&c.lock);
}

/* ---- the check ---- */

static u64 differing_pages(struct __test_metadata *_metadata)
{
	u64 n = 0;

	for (u64 i = 0; i < PAGES; i++) {
		if (!memcmp(c.copy + i * PAGE, c.p + i * PAGE, PAGE))
			continue;
		if (!n++)
			TH_LOG("round %llu: page %llu changed and was not reported",
			       (long long)c.rounds, (long long)i);
	}
	return n;
}

/* The last processor is the first vcpu's alone: it is in the guest while a log is taken. */
static void place_thread(pthread_t thread, bool alone)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);
	cpu_set_t set;

	if (n < 2)
		return;
	CPU_ZERO(&set);
	if (alone)
		CPU_SET(n - 1, &set);
	for (long i = 0; i < n - 1 && !alone; i++)
		CPU_SET(i, &set);
	pthread_setaffinity_np(thread, sizeof(set), &set);
}

static void start_vcpu(struct __test_metadata *_metadata, int i)
{
	struct check_vcpu *v = &c.vcpu[i];
	u64 own = AT + OWN(i) * PAGE, maps = TABLE_MAPS + i * BIG;
	struct kvm_regs r = {
		.rip = GPA_CODE, .rsp = GPA_STACK - i * 0x100, .rflags = 2, .rdi = i,
		.r8 = 88172645463325252ULL * (i + 1), .r9 = 6364136223846793005ULL,
		.r10 = 1442695040888963407ULL, .r11 = maps, .r15 = i * 0x1000,
		/* the first one has bursts for all of a harvest, the others more pages */
		.r12 = i ? 0x7c00 : 0xfffc00,
	};

	/* The directory is all vcpus': its entries for the tables are in place before any runs. */
	((u64 *)(c.vm.mem + GPA_PD))[maps / BIG] = own | PTE_P | PTE_W;
	*(u64 *)(c.p + OWN(i) * PAGE) = (GPA_DATA + i * PAGE) | PTE_P | PTE_W;
	vcpu_set_regs(&v->v, &r);
	ASSERT_EQ(1, vcpu_set_msr(&v->v, MSR_SYSTEM_TIME, (own + CLOCK_AT) | 1));
	v->seed = i;
}

static void set_up(struct __test_metadata *_metadata, enum way way, bool huge)
{
	struct kvm_enable_cap manual = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	struct kvm_enable_cap ring = {
		.cap = KVM_CAP_DIRTY_LOG_RING, .args = { ENTRIES * sizeof(struct kvm_dirty_gfn) },
	};
	struct sigaction sa = { .sa_handler = on_kick };

	memset(&c, 0, sizeof(c));
	pthread_mutex_init(&c.taking, NULL);
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.changed, NULL);
	sigaction(SIGUSR1, &sa, NULL);
	c.way = way;
	c.n = on_bochs() ? 2 : VCPUS;
	vm_open(&c.vm);
	if (way == CLEAR)
		ASSERT_EQ(0, ioctl(c.vm.fd, KVM_ENABLE_CAP, &manual));
	if (way == RING)
		ASSERT_EQ(0, ioctl(c.vm.fd, KVM_ENABLE_CAP, &ring));
	c.p = xmmap(PAGES * PAGE + BIG, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	c.p = (u8 *)(((uintptr_t)c.p + BIG - 1) & -BIG);
	madvise(c.p, PAGES * PAGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	c.copy = xmmap(PAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	for (int i = 0; i < c.n; i++) {
		struct check_vcpu *v = &c.vcpu[i];

		vcpu_create(&c.vm, &v->v, i);
		vm_mode(&c.vm, &v->v, LONG);
		if (way != RING)
			continue;
		v->ring = mmap(NULL, ring.args[0], PROT_READ | PROT_WRITE, MAP_SHARED, v->v.fd,
			       KVM_DIRTY_LOG_PAGE_OFFSET * PAGE);
		ASSERT_NE(MAP_FAILED, (void *)v->ring);
	}
	c.vm.vcpu = c.vcpu[0].v;
	GUEST_LOAD(&c.vm, writer);
	/* They run before there is a log, too, and have pages mapped when it begins. */
	ASSERT_EQ(0, vm_slot(&c.vm, 1, 0, AT, PAGES * PAGE, c.p));
	for (int i = 0; i < c.n; i++)
		start_vcpu(_metadata, i);
	for (int i = 0; i < c.n; i++) {
		ASSERT_EQ(0, pthread_create(&c.vcpu[i].thread, NULL, run, &c.vcpu[i]));
		place_thread(c.vcpu[i].thread, i == 0);
	}
	place_thread(pthread_self(), false);
	usleep(20000);
	ASSERT_EQ(0, vm_slot(&c.vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, PAGES * PAGE, c.p));
	/* The first copy is of all. */
	memcpy(c.copy, c.p, PAGES * PAGE);
}

static void tear_down(void)
{
	c.end = true;
	for (int i = 0; i < c.n; i++) {
		while (pthread_tryjoin_np(c.vcpu[i].thread, NULL)) {
			kick_all();
			usleep(1000);
		}
	}
	for (int i = 1; i < c.n; i++)
		close(c.vcpu[i].v.fd);
	vm_destroy(&c.vm);
}

/* Until the first vcpu writes, which tells that it is in the guest just now. */
static void await_write(u64 us)
{
	volatile u64 *hot = (u64 *)c.p, before = *hot;
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (*hot == before && (now.tv_sec - begin.tv_sec) * 1000000000LL +
	       now.tv_nsec - begin.tv_nsec < (long long)us * 1000);
}

static u64 wanted(void)
{
	const char *pages = getenv("DIRTY_PAGES");

	return pages ? strtoull(pages, NULL, 0) : is_slow() ? 2500 : 12000;
}

static void check(struct __test_metadata *_metadata, enum way way, bool huge)
{
	time_t begin = time(NULL);
	u64 lost = 0;

	set_up(_metadata, way, huge);
	while ((c.harvested < wanted() || c.rounds < 5) && !lost && !c.bad) {
		for (int i = rand_r(&c.seed) % 8 / 2; i >= 0; i -= 2) {
			if (rand_r(&c.seed) % 2)
				usleep(rand_r(&c.seed) % 3000);
			take_log(false);
		}
		/* What is written by an old TLB is lost if the vcpu leaves the guest only to stop. */
		await_write(5000);
		take_log(false);
		await_write(500);
		pause_all();
		take_log(true);
		/* What is reported once is not lost by being copied before. */
		lost = differing_pages(_metadata);
		c.rounds++;
		resume_all();
	}
	EXPECT_EQ(0, c.bad);
	EXPECT_EQ(0, lost);
	tear_down();
	printf("# %s: %llu pages in %llu rounds, %ld s, %llu times a ring was full\n", way_name[way],
	       (long long)c.harvested, (long long)c.rounds, (long)(time(NULL) - begin),
	       (long long)c.full);
	fflush(stdout);
}

FIXTURE(dirty) {
	int unused;
};

FIXTURE_VARIANT(dirty) {
	bool huge;
};

FIXTURE_VARIANT_ADD(dirty, small) { .huge = false };
FIXTURE_VARIANT_ADD(dirty, huge) { .huge = true };

FIXTURE_SETUP(dirty)
{
}

FIXTURE_TEARDOWN(dirty)
{
}

TEST_F_TIMEOUT(dirty, bitmap, 3000)
{
	check(_metadata, BITMAP, variant->huge);
}

TEST_F_TIMEOUT(dirty, clear, 3000)
{
	check(_metadata, CLEAR, variant->huge);
}

TEST_F_TIMEOUT(dirty, ring, 3000)
{
	check(_metadata, RING, variant->huge);
}

TEST_HARNESS_MAIN
