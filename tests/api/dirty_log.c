// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_DIRTY_LOG and KVM_CLEAR_DIRTY_LOG against known writes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define AT	0x10000000ULL
#define PAGES	300UL			/* no multiple of 64 */
#define PAGE	4096UL
#define WORDS	((PAGES + 63) / 64)

/*
 * A list of 8-byte entries at GPA_FREE: a gpa to write to (bit 0 set: to
 * read), ended by 0.
 */
GUEST(writer, 64,
	"mov $0x40000, %esi\n"
	"1: lodsq; test %rax, %rax; jz 3f\n"
	"btr $0, %rax; jc 2f\n"
	"incq (%rax); jmp 1b\n"
	"2: mov (%rax), %rcx; jmp 1b\n"
	"3: hlt\n");

FIXTURE(log) {
	struct vm vm;
	u8 *p;
	u64 bits[WORDS + 1];
};

FIXTURE_VARIANT(log) {
	bool huge;		/* the slot's memory may be huge pages */
};

FIXTURE_VARIANT_ADD(log, small) { .huge = false };
FIXTURE_VARIANT_ADD(log, huge) { .huge = true };

FIXTURE_SETUP(log)
{
	size_t size = 4 << 20;

	vm_start(&self->vm, LONG, writer);
	self->p = xmmap(2 * size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->p = (u8 *)(((uintptr_t)self->p + size - 1) & -size);
	madvise(self->p, size, variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, PAGES * PAGE, self->p));
}

FIXTURE_TEARDOWN(log)
{
	vm_destroy(&self->vm);
}

#define log_self FIXTURE_DATA(log)

static int get_log(log_self *self, u32 slot)
{
	struct kvm_dirty_log l = { .slot = slot, .dirty_bitmap = self->bits };

	memset(self->bits, 0x5a, sizeof(self->bits));
	return ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l);
}

/* Runs the guest over the pages of the set, read or written. */
static void touch(struct __test_metadata *_metadata, log_self *self, const u64 *set, bool read)
{
	u64 *list = (u64 *)(self->vm.mem + GPA_FREE);
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);

	for (u64 i = 0; i < PAGES; i++)
		if (set[i / 64] >> i % 64 & 1)
			*list++ = (AT + i * PAGE + i % 500 * 8) | read;
	*list = 0;
	r.rip = GPA_CODE;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

static void random_set(u64 *set, unsigned int seed)
{
	srand(seed);
	memset(set, 0, WORDS * 8);
	for (u64 i = 0; i < PAGES; i++)
		if (rand() % 3 == 0)
			set[i / 64] |= BIT(i % 64);
}

TEST_F(log, bad_calls)
{
	struct kvm_dirty_log l = { .slot = 1, .dirty_bitmap = BAD_PTR };

	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, BAD_PTR)));
	/* not logged, absent, past the last */
	EXPECT_EQ(ENOENT, err(get_log(self, 0)));
	EXPECT_EQ(ENOENT, err(get_log(self, 7)));
	EXPECT_EQ(EINVAL, err(get_log(self, 0x7fff)));
	EXPECT_EQ(EINVAL, err(get_log(self, ~0)));
	EXPECT_EQ(0, get_log(self, 1));
}

TEST_F(log, clean_at_first)
{
	ASSERT_EQ(0, get_log(self, 1));
	for (size_t i = 0; i < WORDS; i++)
		EXPECT_EQ(0, self->bits[i]);
	/* no byte past the bitmap */
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, self->bits[WORDS]);
}

TEST_F(log, known_writes)
{
	u64 set[WORDS], all[WORDS];

	memset(all, 0xff, sizeof(all));
	for (unsigned int round = 0; round < 20; round++) {
		random_set(set, round);
		touch(_metadata, self, all, true);	/* reads dirty nothing */
		touch(_metadata, self, set, false);
		ASSERT_EQ(0, get_log(self, 1));
		EXPECT_EQ(0, memcmp(set, self->bits, sizeof(set))) TH_LOG("round %u", round);
		/* reading the log emptied it */
		ASSERT_EQ(0, get_log(self, 1));
		memset(set, 0, sizeof(set));
		EXPECT_EQ(0, memcmp(set, self->bits, sizeof(set))) TH_LOG("round %u", round);
	}
}

/* A slot whose log has several units of 64 words (memslot.c), the last one shorter. */
#define LARGE		10007UL
#define LARGE_AT	0x20000000ULL
#define LARGE_WORDS	((LARGE + 63) / 64)

static void write_page(struct __test_metadata *_metadata, log_self *self, u64 page)
{
	u64 *list = (u64 *)(self->vm.mem + GPA_FREE);
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);

	list[0] = LARGE_AT + page * PAGE;
	list[1] = 0;
	r.rip = GPA_CODE;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

TEST_F(log, units)
{
	static const u64 page[] = { 0, 4095, 4096, 8191, 8192, LARGE - 1 };
	u64 bits[LARGE_WORDS], wanted[LARGE_WORDS];
	struct kvm_enable_cap cap = { .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args[0] = 1 };
	struct kvm_dirty_log l = { .slot = 2, .dirty_bitmap = bits };
	u8 *p = xmmap(LARGE * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	for (int manual = 0; manual < 2; manual++) {
		if (manual)
			ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap));
		ASSERT_EQ(0, vm_slot(&self->vm, 2, KVM_MEM_LOG_DIRTY_PAGES, LARGE_AT, LARGE * PAGE, p));
		for (size_t i = 0; i < ARRAY_LEN(page); i++) {
			memset(wanted, 0, sizeof(wanted));
			wanted[page[i] / 64] = BIT(page[i] % 64);
			/* twice: the second time it is mapped already */
			for (int times = 0; times < 2; times++) {
				struct kvm_clear_dirty_log clear = {
					.slot = 2, .num_pages = LARGE, .dirty_bitmap = wanted,
				};

				write_page(_metadata, self, page[i]);
				memset(bits, 0x5a, sizeof(bits));
				ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l));
				ASSERT_EQ(0, memcmp(bits, wanted, sizeof(bits))) TH_LOG("%zu", i);
				if (manual) {
					/* still there, until it is cleared */
					ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l));
					ASSERT_EQ(0, memcmp(bits, wanted, sizeof(bits)));
					ASSERT_EQ(0, ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG, &clear));
				}
				memset(bits, 0x5a, sizeof(bits));
				ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l));
				for (size_t w = 0; w < LARGE_WORDS; w++)
					ASSERT_EQ(0, bits[w]);
			}
		}
		/* what userspace cannot take stays in the log, of all units */
		for (size_t i = 0; i < ARRAY_LEN(page); i++)
			write_page(_metadata, self, page[i]);
		l.dirty_bitmap = BAD_PTR;
		EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l)));
		l.dirty_bitmap = bits;
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &l));
		for (size_t i = 0; i < ARRAY_LEN(page); i++)
			EXPECT_TRUE(bits[page[i] / 64] >> page[i] % 64 & 1);
		ASSERT_EQ(0, vm_slot(&self->vm, 2, 0, LARGE_AT, 0, NULL));
	}
	munmap(p, LARGE * PAGE);
}

/* Logging on and off over pages that the guest has mapped writable. */
TEST_F(log, toggled)
{
	u64 set[WORDS], none[WORDS] = { 0 }, all[WORDS];

	memset(all, 0xff, sizeof(all));
	for (int round = 0; round < 5; round++) {
		ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGES * PAGE, self->p));
		EXPECT_EQ(ENOENT, err(get_log(self, 1)));
		touch(_metadata, self, all, false);
		ASSERT_EQ(0, vm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, PAGES * PAGE, self->p));
		ASSERT_EQ(0, get_log(self, 1));
		EXPECT_EQ(0, memcmp(none, self->bits, sizeof(none)));
		random_set(set, 100 + round);
		touch(_metadata, self, set, false);
		ASSERT_EQ(0, get_log(self, 1));
		EXPECT_EQ(0, memcmp(set, self->bits, sizeof(set)));
	}
}

/* A page walk's accessed and dirty bits. */
TEST_F(log, page_table_in_slot)
{
	u64 *pt = (u64 *)(self->p + 5 * PAGE);
	u64 *pd = (u64 *)(self->vm.mem + GPA_PD);
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	u64 *list = (u64 *)(self->vm.mem + GPA_FREE);

	pt[0] = GPA_DATA | PTE_P | PTE_W;
	pd[3] = (AT + 5 * PAGE) | PTE_P | PTE_W;
	ASSERT_EQ(0, get_log(self, 1));
	list[0] = 0x600000;
	list[1] = 0;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(1, *(u64 *)(self->vm.mem + GPA_DATA));
	EXPECT_EQ(PTE_A | PTE_D, pt[0] & (PTE_A | PTE_D));
	ASSERT_EQ(0, get_log(self, 1));
	if (walks_write_unseen()) {
		/* The page is not writable, as a write of another kind shows. */
		EXPECT_EQ(0, self->bits[0]);
		list[0] = AT + 5 * PAGE + 0x800;
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		ASSERT_EQ(0, get_log(self, 1));
	}
	/* the walk's own writes are writes to memory */
	EXPECT_EQ(BIT(5), self->bits[0]);
}

static void *run_thread(void *arg)
{
	log_self *self = arg;

	return (void *)(long)vm_run(&self->vm);
}

/* Read while the guest writes: what one reading misses, the next has. */
TEST_F(log, while_running)
{
	u64 *list = (u64 *)(self->vm.mem + GPA_FREE), sum[WORDS] = { 0 }, want[WORDS] = { 0 };
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	pthread_t thread;
	void *exit;

	for (u64 i = 0; i < 20000; i++) {
		u64 page = i * 7 % PAGES;

		*list++ = AT + page * PAGE;
		want[page / 64] |= BIT(page % 64);
	}
	*list = 0;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_thread, self));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, get_log(self, 1));
		for (size_t k = 0; k < WORDS; k++)
			sum[k] |= self->bits[k];
	}
	ASSERT_EQ(0, pthread_join(thread, &exit));
	EXPECT_EQ(KVM_EXIT_HLT, (long)exit);
	ASSERT_EQ(0, get_log(self, 1));
	for (size_t k = 0; k < WORDS; k++)
		sum[k] |= self->bits[k];
	EXPECT_EQ(0, memcmp(want, sum, sizeof(want)));
}

TEST_F(log, manual_clear)
{
	int caps = check_cap(self->vm.fd, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE },
	};
	struct kvm_clear_dirty_log c = { .slot = 1, .num_pages = 128, .first_page = 64 };
	u64 set[WORDS], clear[2] = { ~0ULL, 0xff };

	if (!caps)
		SKIP(return, "KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 is not offered");
	EXPECT_EQ(3, caps);
	c.dirty_bitmap = clear;
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap));
	random_set(set, 7);
	touch(_metadata, self, set, false);
	for (int i = 0; i < 2; i++) {		/* the reading clears nothing */
		ASSERT_EQ(0, get_log(self, 1));
		EXPECT_EQ(0, memcmp(set, self->bits, sizeof(set)));
	}
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG, &c));
	set[1] = 0;
	set[2] &= ~0xffULL;
	ASSERT_EQ(0, get_log(self, 1));
	EXPECT_EQ(0, memcmp(set, self->bits, sizeof(set)));
	c.first_page = 1;
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG, &c)));
	c.first_page = 64;
	c.num_pages = 63;
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG, &c)));
	c.num_pages = ~63U;
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG, &c)));
}

TEST_HARNESS_MAIN
