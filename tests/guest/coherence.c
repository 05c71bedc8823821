// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory stays the VMM's, whatever the host does to its pages: four vcpus write and verify
 * all of it, while pages are merged (KSM), collapsed to huge ones and split, moved between nodes
 * and compacted, swapped out, withheld by userfaultfd, and punched out of a memfd. For
 * COHERENCE_SECONDS, 6 if it is not set.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT	21
#endif

#define VCPUS	4
#define PAGE	4096UL
#define BIG	0x200000UL
#define AT	0x10000000ULL	/* PAGES that the guest writes: half private, half of a memfd */
#define PAGES	2048UL
#define GIVEN_AT 0x20000000ULL	/* GIVEN pages that the VMM writes: half by userfaultfd */
#define GIVEN	128UL
#define PUBLISHED 0x40000	/* what the pages given had at least, a word each */
#define DONE	0x20100		/* rounds that each vcpu has done, 64 bytes each */

/*
 * edi: the vcpu; r9: its stride, odd; r8: the page; esi: the round; r12: its neighbour's DONE.
 * In round N a vcpu finds its own word of each page to be N - 1, makes it N, and finds its
 * neighbour's to be what that has done at least.  Between two of them it looks at a page that is
 * given.  The stop byte is at GPA_DATA.  Port 0x10: stopped; 0x11: a word of its own is not what
 * it wrote; 0x12: another's is too old; 0x13: so is one that is given; rax has what was found,
 * rdx what was wanted, rbx where.
 */
GUEST(keeper, 64,
	"sti\n"
	"mov %rdi, %r10; shl $6, %r10\n"
	"lea 1(%rdi), %r11; and $3, %r11\n"
	"mov %r11, %r12; shl $6, %r12\n"
	"xor %esi, %esi\n"
	"1: inc %rsi; xor %ecx, %ecx\n"
	"2: add %r9, %r8; and $2047, %r8\n"
	"mov %r8, %rbx; shl $12, %rbx; add $0x10000000, %rbx\n"
	"lea -1(%rsi), %rdx; mov (%rbx,%rdi,8), %rax; cmp %rdx, %rax; jne 11f\n"
	"mov %rsi, (%rbx,%rdi,8)\n"
	"mov 0x20100(%r12), %rdx; mov (%rbx,%r11,8), %rax; cmp %rdx, %rax; jb 12f\n"
	"mov %r8, %rbp; and $127, %rbp\n"
	"mov %rbp, %rbx; shl $12, %rbx; add $0x20000000, %rbx\n"
	"mov 0x40000(,%rbp,8), %rdx; mov (%rbx), %rax\n"
	/* a hole reads as 0, until its page is written again */
	"cmp $64, %rbp; jb 3f; test %rax, %rax; jz 4f\n"
	"3: cmp %rdx, %rax; jb 13f\n"
	"4: cmpb $0, 0x20000; jne 10f\n"
	"inc %ecx; cmp $2048, %ecx; jb 2b\n"
	"mov %rsi, 0x20100(%r10)\n"
	"jmp 1b\n"
	"10: out %al, $0x10; jmp 10b\n"
	"11: out %al, $0x11; jmp 11b\n"
	"12: out %al, $0x12; jmp 12b\n"
	"13: out %al, $0x13; jmp 13b\n");

enum act {
	COLLAPSE, SPLIT, MOVE, COMPACT, PAGEOUT, PROTECT, FORK, COLD, LOG, REMAP, WITHHOLD, PUNCH, ACTS,
};

static const char *const names[ACTS] = {
	"collapse", "split", "move_pages", "compact", "pageout", "mprotect", "fork", "cold", "log",
	"mremap", "userfaultfd", "punch",
};

FIXTURE(coherence) {
	struct vm vm;
	struct vcpu vcpu[VCPUS];
	pthread_t thread[VCPUS];
	pthread_t giver;
	u8 *p, *given;
	int memfd, holes, uffd;
	bool nodes, swap;
	u64 value[GIVEN];		/* what a page is given next */
	pthread_mutex_t giving;
	u64 times[ACTS], served;
	unsigned int seed;
	bool over, ended;		/* by the test; by a vcpu */
};

#define coherence_self FIXTURE_DATA(coherence)

/* ---- what the host has ---- */

static bool put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

static bool start_ksm(void)
{
	put_file("/sys/kernel/mm/ksm/pages_to_scan", "500");
	put_file("/sys/kernel/mm/ksm/sleep_millisecs", "20");
	return put_file("/sys/kernel/mm/ksm/run", "1");
}

static u64 number_in(const char *path)
{
	FILE *f = fopen(path, "r");
	unsigned long long n = 0;

	if (f && fscanf(f, "%llu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n;
}

/* Swap in compressed memory, where the kernel has it. */
static bool start_swap(void)
{
	if (access("/dev/zram0", F_OK) && system("modprobe zram 2>/dev/null"))
		return false;
	for (int tries = 0; access("/dev/zram0", F_OK) && tries < 100; tries++)
		usleep(10000);
	return !system("echo 64M >/sys/block/zram0/disksize 2>/dev/null && "
		       "mkswap /dev/zram0 >/dev/null 2>&1") && !swapon("/dev/zram0", 0);
}

static void stop_swap(void)
{
	swapoff("/dev/zram0");
	put_file("/sys/block/zram0/reset", "1");
}

static u64 counter(const char *name)
{
	FILE *f = fopen("/proc/vmstat", "r");
	char word[64];
	unsigned long long n;

	while (f && fscanf(f, "%63s %llu", word, &n) == 2)
		if (!strcmp(word, name)) {
			fclose(f);
			return n;
		}
	if (f)
		fclose(f);
	return 0;
}

/* ---- userfaultfd ---- */

static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	return fd >= 0 && !ioctl(fd, UFFDIO_API, &api) ? fd : -1;
}

/* Gives each page that is missed what it is to have. */
static void *give(void *arg)
{
	static u64 page[PAGE / 8];
	coherence_self *self = arg;
	struct pollfd poll_fd = { .fd = self->uffd, .events = POLLIN };
	struct uffd_msg msg;

	while (!__atomic_load_n(&self->over, __ATOMIC_ACQUIRE)) {
		if (poll(&poll_fd, 1, 100) <= 0 || read(self->uffd, &msg, sizeof(msg)) != sizeof(msg))
			continue;
		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		u8 *at = (u8 *)(msg.arg.pagefault.address & -PAGE);
		struct uffdio_copy copy = { .dst = (u64)at, .src = (u64)page, .len = PAGE };

		pthread_mutex_lock(&self->giving);
		page[0] = self->value[(at - self->given) / PAGE];
		if (!ioctl(self->uffd, UFFDIO_COPY, &copy))
			self->served++;
		pthread_mutex_unlock(&self->giving);
	}
	return NULL;
}

/* ---- setting up ---- */

static u8 *aligned_map(size_t size)
{
	u8 *p = xmmap(size + BIG, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	return (u8 *)(((uintptr_t)p + BIG - 1) & -BIG);
}

static u64 *published(coherence_self *self, u64 i)
{
	return (u64 *)(self->vm.mem + PUBLISHED) + i;
}

static void publish(coherence_self *self, u64 i)
{
	__atomic_store_n(published(self, i), self->value[i], __ATOMIC_RELEASE);
}

FIXTURE_SETUP(coherence)
{
	const size_t half = PAGES / 2 * PAGE, given = GIVEN / 2 * PAGE;
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2, .rsp = GPA_STACK };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	vm_start(&self->vm, LONG, keeper);
	pthread_mutex_init(&self->giving, NULL);
	self->seed = 1;
	self->p = aligned_map(2 * half);
	self->given = aligned_map(2 * given);
	self->memfd = memfd_create("coherence", 0);
	self->holes = memfd_create("holes", 0);
	ASSERT_EQ(0, ftruncate(self->memfd, half));
	ASSERT_EQ(0, ftruncate(self->holes, given));
	ASSERT_EQ(self->p + half, mmap(self->p + half, half, PROT_READ | PROT_WRITE,
				       MAP_SHARED | MAP_FIXED, self->memfd, 0));
	ASSERT_EQ(self->given + given, mmap(self->given + given, given, PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_FIXED, self->holes, 0));
	madvise(self->p, half, MADV_MERGEABLE);
	self->uffd = open_uffd();
	ASSERT_LE(0, self->uffd);
	reg.range.start = (u64)self->given;
	reg.range.len = given;
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &reg));
	for (u64 i = 0; i < GIVEN; i++)
		self->value[i] = 1;
	for (u64 i = GIVEN / 2; i < GIVEN; i++)
		*(u64 *)(self->given + i * PAGE) = 1;
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGES * PAGE, self->p));
	ASSERT_EQ(0, vm_slot(&self->vm, 2, 0, GIVEN_AT, GIVEN * PAGE, self->given));
	self->nodes = !access("/sys/devices/system/node/node1", F_OK);
	self->swap = start_swap();
	self->vcpu[0] = self->vm.vcpu;
	for (int i = 1; i < VCPUS; i++) {
		vcpu_create(&self->vm, &self->vcpu[i], i);
		vm_mode(&self->vm, &self->vcpu[i], LONG);
	}
	for (int i = 0; i < VCPUS; i++) {
		r.rdi = i;
		r.r9 = 1 + 2 * (i * 37 + i * i * 113);
		r.r8 = i * 500;
		vcpu_set_regs(&self->vcpu[i], &r);
	}
}

FIXTURE_TEARDOWN(coherence)
{
	put_file("/sys/kernel/mm/ksm/run", "2");
	put_file("/sys/kernel/mm/ksm/run", "0");
	vm_destroy(&self->vm);
	munmap(self->p, PAGES * PAGE);
	if (self->swap)
		stop_swap();
}

/* Whether a vcpu has stopped. */
static bool *ended;

static void *run(void *arg)
{
	struct vcpu *v = arg;
	int reason;

	/* While a page is not there, or not to be written, the VMM has to try again. */
	while ((reason = vcpu_run(v)) == -EFAULT)
		usleep(50);
	__atomic_store_n(ended, true, __ATOMIC_RELEASE);
	return (void *)(long)(reason == KVM_EXIT_IO ? v->run->io.port : reason + 0x1000);
}

/* ---- disturbing ---- */

static void fork_once(u8 *at, size_t size)
{
	pid_t pid = fork();

	if (!pid) {
		/* copies, of which the guest must see nothing */
		for (size_t i = 0; i < size; i += PAGE)
			*(volatile u64 *)(at + i) = ~0ULL;
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void move_pages_of(u8 *at, u64 n, int node)
{
	static void *pages[PAGES];
	static int nodes[PAGES], status[PAGES];

	for (u64 i = 0; i < n; i++) {
		pages[i] = at + i * PAGE;
		nodes[i] = node;
	}
	syscall(SYS_move_pages, 0, n, pages, nodes, status, 2 /* MPOL_MF_MOVE */);
}

/* Elsewhere, and back: what the guest does meanwhile has to wait. */
static void remap(u8 *at)
{
	u8 *other = mremap(at, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			   xmmap(PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1));

	if (other == MAP_FAILED || mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at) != at)
		die("mremap");
}

static void withhold(coherence_self *self)
{
	u64 i = rand_r(&self->seed) % (GIVEN / 2);

	pthread_mutex_lock(&self->giving);
	self->value[i]++;
	madvise(self->given + i * PAGE, PAGE, MADV_DONTNEED);
	publish(self, i);
	pthread_mutex_unlock(&self->giving);
}

static void punch(coherence_self *self)
{
	u64 i = GIVEN / 2 + rand_r(&self->seed) % (GIVEN / 2);

	if (fallocate(self->holes, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (i - GIVEN / 2) * PAGE,
		      PAGE))
		die("fallocate");
	self->value[i]++;
	*(volatile u64 *)(self->given + i * PAGE) = self->value[i];
	publish(self, i);
}

static bool possible(const coherence_self *self, enum act act)
{
	switch (act) {
	case MOVE:
		return self->nodes;
	case PAGEOUT:
		return self->swap;
	default:
		return true;
	}
}

static void disturb(coherence_self *self, enum act act)
{
	u64 first = rand_r(&self->seed) % PAGES, n = 1 + rand_r(&self->seed) % 256;
	u8 *at = self->p + first * PAGE, *big = (u8 *)((uintptr_t)at & -BIG);
	static u64 bits[PAGES / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };

	n = first + n > PAGES ? PAGES - first : n;
	self->times[act]++;
	switch (act) {
	case COLLAPSE:
		madvise(big, BIG, MADV_COLLAPSE);
		break;
	case SPLIT:
		/* Part of a huge page with other rights: it is in small ones from there on. */
		mprotect(at, PAGE, PROT_READ);
		mprotect(at, PAGE, PROT_READ | PROT_WRITE);
		break;
	case MOVE:
		move_pages_of(at, n, rand_r(&self->seed) & 1);
		break;
	case COMPACT:
		put_file("/proc/sys/vm/compact_memory", "1");
		break;
	case PAGEOUT:
		madvise(at, n * PAGE, MADV_PAGEOUT);
		break;
	case PROTECT:
		mprotect(at, n * PAGE, PROT_READ);
		mprotect(at, n * PAGE, PROT_READ | PROT_WRITE);
		break;
	case FORK:
		/* Only what is private is the child's own. */
		if (first < PAGES / 2)
			fork_once(at, (first + n > PAGES / 2 ? PAGES / 2 - first : n) * PAGE);
		break;
	case COLD:
		madvise(at, n * PAGE, MADV_COLD);
		break;
	case LOG:
		vm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, PAGES * PAGE, self->p);
		ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &log);
		vm_slot(&self->vm, 1, 0, AT, PAGES * PAGE, self->p);
		break;
	case REMAP:
		remap(at);
		break;
	case WITHHOLD:
		withhold(self);
		break;
	case PUNCH:
		punch(self);
		break;
	case ACTS:
		break;
	}
}

static u64 rounds_of(coherence_self *self, int i)
{
	return *(volatile u64 *)(self->vm.mem + DONE + 64 * i);
}

static bool all_rounds(coherence_self *self, u64 wanted)
{
	for (int i = 0; i < VCPUS; i++)
		if (rounds_of(self, i) < wanted)
			return false;
	return true;
}

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static u64 seconds(void)
{
	const char *text = getenv("COHERENCE_SECONDS");

	return text ? strtoull(text, NULL, 0) : 6;
}

/* What a vcpu has stopped for, if it was not told to. */
static void tell(struct vcpu *vcpu, int i, long end)
{
	struct kvm_regs r = vcpu_regs(vcpu);

	printf("# vcpu %d ended with %#lx: rbx %#llx, rax %#llx, rdx %#llx, round %llu\n", i, end,
	       r.rbx, r.rax, r.rdx, r.rsi);
}

/* The words of the VMM's own mapping: of this round, or the one before. */
static u64 wrong_words(coherence_self *self)
{
	u64 wrong = 0;

	for (u64 page = 0; page < PAGES; page++)
		for (int i = 0; i < VCPUS; i++) {
			u64 word = ((u64 *)(self->p + page * PAGE))[i], done = rounds_of(self, i);

			wrong += word != done && word != done + 1;
		}
	return wrong;
}

TEST_F_TIMEOUT(coherence, whatever_the_host_does, 1200)
{
	u64 collapsed = counter("thp_collapse_alloc"), moved = counter("pgmigrate_success");
	u64 swapped = counter("pswpin"), scans = number_in("/sys/kernel/mm/ksm/full_scans");
	u64 end = now() + seconds(), merged = 0;
	bool ksm = start_ksm();
	void *exit;

	ended = &self->ended;
	ASSERT_EQ(0, pthread_create(&self->giver, NULL, give, self));
	for (u64 i = 0; i < GIVEN; i++)
		publish(self, i);
	for (int i = 0; i < VCPUS; i++)
		ASSERT_EQ(0, pthread_create(&self->thread[i], NULL, run, &self->vcpu[i]));
	/* However slow, each vcpu has been round twice. */
	while (!__atomic_load_n(&self->ended, __ATOMIC_ACQUIRE) &&
	       (now() < end || (!all_rounds(self, 2) && now() < end + 300))) {
		enum act act = rand_r(&self->seed) % ACTS;

		if (possible(self, act) && (act != COMPACT || rand_r(&self->seed) % 8 == 0))
			disturb(self, act);
		if (number_in("/sys/kernel/mm/ksm/pages_sharing") > merged)
			merged = number_in("/sys/kernel/mm/ksm/pages_sharing");
		usleep(is_slow() ? 2000 : 200);
	}
	EXPECT_TRUE(all_rounds(self, 2));
	self->vm.mem[GPA_DATA] = 1;
	for (int i = 0; i < VCPUS; i++) {
		ASSERT_EQ(0, pthread_join(self->thread[i], &exit));
		if ((long)exit != 0x10)
			tell(&self->vcpu[i], i, (long)exit);
		EXPECT_EQ(0x10, (long)exit);
	}
	__atomic_store_n(&self->over, true, __ATOMIC_RELEASE);
	ASSERT_EQ(0, pthread_join(self->giver, NULL));
	EXPECT_EQ(0, wrong_words(self));

	for (int i = 0; i < ACTS; i++) {
		if (possible(self, i))
			TH_LOG("%s: %llu", names[i], (unsigned long long)self->times[i]);
		else
			TH_LOG("%s: not on this host", names[i]);
	}
	collapsed = counter("thp_collapse_alloc") - collapsed;
	moved = counter("pgmigrate_success") - moved;
	swapped = counter("pswpin") - swapped;
	scans = number_in("/sys/kernel/mm/ksm/full_scans") - scans;
	TH_LOG("rounds %llu, pages given %llu, merged %llu (%llu scans), moved %llu, swapped in %llu, collapsed %llu",
	       (unsigned long long)rounds_of(self, 0), (unsigned long long)self->served,
	       (unsigned long long)merged, (unsigned long long)scans, (unsigned long long)moved,
	       (unsigned long long)swapped, (unsigned long long)collapsed);
	EXPECT_LT(0, self->served);
	if (!is_slow()) {
		EXPECT_TRUE(!ksm || merged);
		EXPECT_LT(0, collapsed);
		EXPECT_LT(0, moved);
		EXPECT_TRUE(!self->swap || swapped);
	}
}

TEST_HARNESS_MAIN
