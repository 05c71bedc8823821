// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eight vcpus fault on the same memory at once, each in an order of its own, while the VMM
 * takes the memory away from under them. What a vcpu writes to a page tells the page and the
 * vcpu: each word is that or 0, in memory as for the guest.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define VCPUS	8
#define AT	0x10000000ULL
#define PAGE	4096UL
#define PAGES	2048UL
#define BIG	0x200000UL

/*
 * rdi: the vcpu; r9: its stride, odd; r8: the page.  The stop byte is at GPA_DATA, how many
 * pages were written at GPA_DATA + 0x100 + 64 * vcpu.
 */
GUEST(storm, 64,
	"sti\n"
	"mov %rdi, %r10; shl $6, %r10\n"
	"1: add %r9, %r8; and $2047, %r8\n"
	"mov %r8, %rbx; shl $12, %rbx; lea 0x10000000(%rbx,%rdi,8), %rbx\n"
	"mov %r8, %rdx; shl $16, %rdx; lea 0x5a00(%rdx,%rdi), %rdx\n"
	"mov (%rbx), %rax; test %rax, %rax; jz 2f; cmp %rdx, %rax; jne 3f\n"
	"2: mov %rdx, (%rbx); incq 0x20100(%r10)\n"
	"cmpb $0, 0x20000; je 1b\n"
	"out %al, $0x10; jmp 1b\n"
	"3: out %al, $0x11; jmp 3b\n");

static u64 word_of(u64 page, int vcpu)
{
	return (page << 16) + 0x5a00 + vcpu;
}

FIXTURE(storm) {
	struct vm vm;
	struct vcpu vcpu[VCPUS];
	pthread_t thread[VCPUS];
	u8 *p;
	unsigned int seed;
};

FIXTURE_VARIANT(storm) {
	bool huge;
};

FIXTURE_VARIANT_ADD(storm, small) { .huge = false };
FIXTURE_VARIANT_ADD(storm, huge) { .huge = true };

#define storm_self FIXTURE_DATA(storm)

static int set_slot(storm_self *self, u32 flags, u64 size)
{
	return vm_slot(&self->vm, 1, flags, AT, size, self->p);
}

FIXTURE_SETUP(storm)
{
	size_t size = PAGES * PAGE;
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2, .rsp = GPA_STACK };

	vm_start(&self->vm, LONG, storm);
	self->p = xmmap(size + BIG, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->p = (u8 *)(((uintptr_t)self->p + BIG - 1) & -BIG);
	madvise(self->p, size, variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	ASSERT_EQ(0, set_slot(self, 0, size));
	self->vcpu[0] = self->vm.vcpu;
	for (int i = 1; i < VCPUS; i++) {
		vcpu_create(&self->vm, &self->vcpu[i], i);
		vm_mode(&self->vm, &self->vcpu[i], LONG);
	}
	for (int i = 0; i < VCPUS; i++) {
		r.rdi = i;
		r.r9 = 1 + 2 * i * i * 37;
		r.r8 = i * 1000;
		vcpu_set_regs(&self->vcpu[i], &r);
	}
	self->seed = 1;
}

FIXTURE_TEARDOWN(storm)
{
	vm_destroy(&self->vm);
}

/* Where there is no slot just now it reads as 0, and a write is lost. */
static void *run(void *arg)
{
	struct vcpu *v = arg;
	int reason;

	while ((reason = vcpu_run(v)) == KVM_EXIT_MMIO)
		memset(v->run->mmio.data, 0, sizeof(v->run->mmio.data));
	return (void *)(long)(reason == KVM_EXIT_IO ? v->run->io.port : reason + 0x1000);
}

static void fork_once(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

/* One thing that a VMM, or its host, does to memory. */
static int disturb(storm_self *self)
{
	u64 first = rand_r(&self->seed) % PAGES, n = 1 + rand_r(&self->seed) % 700;
	static u64 bits[PAGES / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	u8 *at = self->p + first * PAGE;

	n = first + n > PAGES ? PAGES - first : n;
	switch (rand_r(&self->seed) % 8) {
	case 0:
	case 1:
		return madvise(at, n * PAGE, MADV_DONTNEED);
	case 2:
		return set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE);
	case 3:
		return set_slot(self, 0, PAGES * PAGE);
	case 4:
		ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &log);
		return 0;
	case 5:
		return set_slot(self, 0, 0) ?: set_slot(self, rand_r(&self->seed) & 1, PAGES * PAGE);
	case 6:
		fork_once();
		return 0;
	default:
		/* writable again at once: a write meanwhile waits, or comes again */
		madvise(at, n * PAGE, MADV_COLD);
		return 0;
	}
}

static u64 written(storm_self *self, int i)
{
	return *(volatile u64 *)(self->vm.mem + GPA_DATA + 0x100 + 64 * i);
}

/* All vcpus have gone on. */
static bool all_go_on(storm_self *self)
{
	u64 before[VCPUS];
	int i, tries;

	for (i = 0; i < VCPUS; i++)
		before[i] = written(self, i);
	for (i = 0, tries = 0; i < VCPUS && tries < 3000; tries++) {
		if (written(self, i) > before[i] + 10)
			i++;
		else
			usleep(10000);
	}
	return i == VCPUS;
}

static u64 wrong_words(storm_self *self)
{
	u64 wrong = 0, *word;

	for (u64 page = 0; page < PAGES; page++) {
		word = (u64 *)(self->p + page * PAGE);
		for (int i = 0; i < VCPUS; i++)
			wrong += word[i] && word[i] != word_of(page, i);
	}
	return wrong;
}

TEST_F_TIMEOUT(storm, all_at_once, 180)
{
	int rounds = is_slow() ? 20 : 150;
	void *end;

	for (int i = 0; i < VCPUS; i++)
		ASSERT_EQ(0, pthread_create(&self->thread[i], NULL, run, &self->vcpu[i]));
	EXPECT_TRUE(all_go_on(self));
	for (int i = 0; i < rounds; i++) {
		ASSERT_EQ(0, disturb(self)) TH_LOG("round %d, errno %d", i, errno);
	}
	/* The last of these may have taken the slot's memory, and none is in the way of it now. */
	ASSERT_EQ(0, set_slot(self, 0, PAGES * PAGE));
	EXPECT_TRUE(all_go_on(self));
	EXPECT_EQ(0, wrong_words(self));
	self->vm.mem[GPA_DATA] = 1;
	for (int i = 0; i < VCPUS; i++) {
		ASSERT_EQ(0, pthread_join(self->thread[i], &end));
		EXPECT_EQ(0x10L, (long)end) TH_LOG("vcpu %d", i);
	}
}

/*
 * Nobody disturbs: in the end each word of each page has been written, and so is in the dirty
 * log that began when nothing was mapped.
 */
TEST_F_TIMEOUT(storm, first_touch, 180)
{
	u64 bits[PAGES / 64] = { 0 };
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	bool done = false;
	void *end;

	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES * PAGE));
	for (int i = 0; i < VCPUS; i++)
		ASSERT_EQ(0, pthread_create(&self->thread[i], NULL, run, &self->vcpu[i]));
	for (int tries = 0; tries < 6000 && !done; tries++) {
		usleep(10000);
		done = true;
		for (int i = 0; i < VCPUS; i++)
			done &= written(self, i) >= PAGES;
	}
	EXPECT_TRUE(done);
	self->vm.mem[GPA_DATA] = 1;
	for (int i = 0; i < VCPUS; i++) {
		ASSERT_EQ(0, pthread_join(self->thread[i], &end));
		EXPECT_EQ(0x10L, (long)end) TH_LOG("vcpu %d", i);
	}
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &log));
	for (u64 page = 0; page < PAGES; page++) {
		u64 *word = (u64 *)(self->p + page * PAGE);

		ASSERT_TRUE(bits[page / 64] >> page % 64 & 1);
		for (int i = 0; i < VCPUS; i++)
			ASSERT_EQ(word_of(page, i), word[i]);
	}
}

TEST_HARNESS_MAIN
