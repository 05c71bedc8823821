// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CAP_DIRTY_LOG_RING: what a vcpu writes comes as entries of its ring, in the order of
 * the first writes, until KVM_RESET_DIRTY_RINGS protects the pages again.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define AT	0x10000000ULL
#define PAGES	3000UL			/* no multiple of 64, and more than a ring of a page has */
#define PAGE	4096UL
#define RING_AT	(KVM_DIRTY_LOG_PAGE_OFFSET * PAGE)
#define MAX	(1UL << 20)
#define DIRTY	KVM_DIRTY_GFN_F_DIRTY
#define RESET	KVM_DIRTY_GFN_F_RESET

#define MSR_WALL_CLOCK	0x4b564d00
#define MSR_SYSTEM_TIME	0x4b564d01

/*
 * A list of 8-byte entries at GPA_FREE: a gpa to write to (bit 0 set: to read; bit 1: by INS),
 * ended by 0.
 */
GUEST(writer, 64,
	"sti\n"
	"mov $0x40000, %esi\n"
	"mov $0x10, %edx\n"
	"1: lodsq; test %rax, %rax; jz 4f\n"
	"btr $0, %rax; jc 2f\n"
	"btr $1, %rax; jc 3f\n"
	"incq (%rax); jmp 1b\n"
	"2: mov (%rax), %rcx; jmp 1b\n"
	"3: mov %rax, %rdi; insb; jmp 1b\n"
	"4: hlt\n");

/* Writes to one page after the other, for ever: r8 pages from AT on, r9 of them at each step. */
GUEST(runner, 64,
	"sti\n"
	"1: xor %ecx, %ecx\n"
	"2: mov %rcx, %rbx; shl $12, %rbx; incq 0x10000000(%rbx,%rdi,8)\n"
	"add %r9, %rcx; cmp %r8, %rcx; jb 2b\n"
	"cmpb $0, 0x20000; je 1b\n"
	"out %al, $0x11\n");

struct ring {
	volatile struct kvm_dirty_gfn *entry;
	u32 next;		/* to harvest */
};

FIXTURE(ring) {
	struct vm vm;
	u8 *p;
	u32 entries;
	struct ring ring;
};

FIXTURE_VARIANT(ring) {
	bool huge;		/* the slot's memory may be huge pages */
};

FIXTURE_VARIANT_ADD(ring, small) { .huge = false };
FIXTURE_VARIANT_ADD(ring, huge) { .huge = true };

#define ring_self FIXTURE_DATA(ring)

static int enable_cap(int fd, u32 which, u64 bytes)
{
	struct kvm_enable_cap cap = { .cap = which, .args = { bytes } };

	return err(ioctl(fd, KVM_ENABLE_CAP, &cap));
}

static int enable(int fd, u64 bytes)
{
	return enable_cap(fd, KVM_CAP_DIRTY_LOG_RING, bytes);
}

/* The smallest ring that there is: a page, or more where the processor logs writes itself. */
static u32 enable_smallest(int fd)
{
	u64 bytes = PAGE;

	while (bytes < MAX && enable(fd, bytes))
		bytes *= 2;
	return bytes / sizeof(struct kvm_dirty_gfn);
}

static void map_ring(struct vcpu *vcpu, struct ring *ring, u32 entries)
{
	ring->next = 0;
	ring->entry = mmap(NULL, entries * sizeof(struct kvm_dirty_gfn), PROT_READ | PROT_WRITE,
			   MAP_SHARED, vcpu->fd, RING_AT);
	if (ring->entry == MAP_FAILED)
		die("mmap of the ring");
}

static int set_slot(ring_self *self, u32 flags, u64 pages)
{
	return vm_slot(&self->vm, 1, flags, AT, pages * PAGE, self->p);
}

FIXTURE_SETUP(ring)
{
	size_t size = 16 << 20;

	vm_open(&self->vm);
	self->entries = enable_smallest(self->vm.fd);
	vcpu_create(&self->vm, &self->vm.vcpu, 0);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	GUEST_LOAD(&self->vm, writer);
	map_ring(&self->vm.vcpu, &self->ring, self->entries);
	self->p = xmmap(size + (2 << 20), MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->p = (u8 *)(((uintptr_t)self->p + (2 << 20) - 1) & -(2UL << 20));
	madvise(self->p, size, variant->huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES));
}

FIXTURE_TEARDOWN(ring)
{
	vm_destroy(&self->vm);
}

static volatile struct kvm_dirty_gfn *entry_at(ring_self *self, struct ring *ring, u32 i)
{
	return &ring->entry[i % self->entries];
}

/* The next entry, marked as seen; false: there is none. */
static bool harvest_one(ring_self *self, struct ring *ring, struct kvm_dirty_gfn *out)
{
	volatile struct kvm_dirty_gfn *e = entry_at(self, ring, ring->next);

	if (__atomic_load_n(&e->flags, __ATOMIC_ACQUIRE) != DIRTY)
		return false;
	*out = (struct kvm_dirty_gfn){ e->flags, e->slot, e->offset };
	__atomic_store_n(&e->flags, RESET, __ATOMIC_RELEASE);
	ring->next++;
	return true;
}

static u32 harvest(ring_self *self, struct ring *ring, u64 *pages, u32 max)
{
	struct kvm_dirty_gfn e;
	u32 n = 0;

	while (n < max && harvest_one(self, ring, &e)) {
		if (e.slot != 1)
			die("an entry of slot %#x", e.slot);
		pages[n++] = e.offset;
	}
	return n;
}

static int reset(ring_self *self)
{
	int r = ioctl(self->vm.fd, KVM_RESET_DIRTY_RINGS);

	return r < 0 ? -errno : r;
}

/* The guest's list: what page, and how. */
#define READ	1
#define INS	2

static u64 place(u64 page, u64 how)
{
	return (AT + page * PAGE + page % 500 * 8) | how;
}

static void set_list(ring_self *self, const u64 *list, u32 n)
{
	u64 *to = (u64 *)(self->vm.mem + GPA_FREE);
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	memcpy(to, list, n * sizeof(*to));
	to[n] = 0;
	vcpu_set_regs(&self->vm.vcpu, &r);
}

static int run(ring_self *self)
{
	int reason;

	while ((reason = vm_run(&self->vm)) == KVM_EXIT_IO)
		*((u8 *)self->vm.vcpu.run + self->vm.vcpu.run->io.data_offset) = 0x77;
	return reason;
}

/* Runs the guest over a list of at most so many pages as fit into the ring. */
static void touch(struct __test_metadata *_metadata, ring_self *self, const u64 *list, u32 n)
{
	set_list(self, list, n);
	ASSERT_EQ(KVM_EXIT_HLT, run(self));
}

static void touch_pages(struct __test_metadata *_metadata, ring_self *self, const u64 *page, u32 n,
			u64 how)
{
	u64 list[n];

	for (u32 i = 0; i < n; i++)
		list[i] = place(page[i], how);
	touch(_metadata, self, list, n);
}

/* These entries, in this order, and no more. */
static void expect_entries(struct __test_metadata *_metadata, ring_self *self, const u64 *page, u32 n)
{
	u64 got[n + 1];

	ASSERT_EQ(n, harvest(self, &self->ring, got, n + 1));
	for (u32 i = 0; i < n; i++) {
		EXPECT_EQ(page[i], got[i]) TH_LOG("entry %u", i);
	}
}

/* ---- to enable it ---- */

TEST(sizes)
{
	struct vm vm;
	static const u64 wrong[] = {
		0, 1, 16, 2048, PAGE - 1, PAGE + 1, 3 * PAGE, MAX - 1, MAX / 2 + 16,
	};
	static const u32 cap[] = { KVM_CAP_DIRTY_LOG_RING, KVM_CAP_DIRTY_LOG_RING_ACQ_REL };

	for (size_t c = 0; c < ARRAY_LEN(cap); c++) {
		vm_open(&vm);
		EXPECT_EQ((int)MAX, check_cap(vm.fd, cap[c]));
		EXPECT_EQ((int)MAX, check_cap(vm.sys, cap[c]));
		for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
			EXPECT_EQ(EINVAL, enable_cap(vm.fd, cap[c], wrong[i])) TH_LOG("%zu", i);
		}
		EXPECT_EQ(E2BIG, enable_cap(vm.fd, cap[c], 2 * MAX));
		EXPECT_EQ(E2BIG, enable_cap(vm.fd, cap[c], BIT(63)));
		EXPECT_EQ(E2BIG, enable_cap(vm.fd, cap[c], BIT(32) + PAGE));
		EXPECT_EQ(0, enable_cap(vm.fd, cap[c], MAX));
		/* once */
		EXPECT_EQ(EINVAL, enable_cap(vm.fd, cap[c], MAX));
		vcpu_create(&vm, &vm.vcpu, 0);
		vm_destroy(&vm);
	}
	/* x86 writes nothing without a vcpu, so there is no bitmap beside the rings. */
	vm_open(&vm);
	EXPECT_EQ(0, check_cap(vm.fd, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP));
	EXPECT_EQ(EINVAL, enable_cap(vm.fd, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP, 0));
	vcpu_create(&vm, &vm.vcpu, 0);
	/* too late */
	EXPECT_EQ(EINVAL, enable(vm.fd, 65536));
	EXPECT_EQ(EINVAL, err(ioctl(vm.fd, KVM_RESET_DIRTY_RINGS)));
	/* and still a VM with bitmaps */
	EXPECT_EQ(0, vm_slot(&vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, 16 * PAGE, vm.mem));
	EXPECT_EQ(0, ioctl(vm.fd, KVM_GET_DIRTY_LOG, &(struct kvm_dirty_log){ .slot = 1, .dirty_bitmap = vm.mem }));
	vm_destroy(&vm);
}

static int try_map(int fd, u64 size, int prot, int flags, u64 offset)
{
	void *p = mmap(NULL, size, prot, flags, fd, offset);

	if (p == MAP_FAILED)
		return errno;
	munmap(p, size);
	return 0;
}

TEST(mapping)
{
	const u64 size = 64 * 1024;
	const int rw = PROT_READ | PROT_WRITE;
	struct vm vm;
	u64 *p;
	int fd, r;

	vm_open(&vm);
	ASSERT_EQ(0, enable(vm.fd, size));
	vcpu_create(&vm, &vm.vcpu, 0);
	fd = vm.vcpu.fd;
	EXPECT_EQ((int)vm.run_size, ioctl(vm.sys, KVM_GET_VCPU_MMAP_SIZE, 0L));
	EXPECT_EQ(0, try_map(fd, size, rw, MAP_SHARED, RING_AT));
	EXPECT_EQ(0, try_map(fd, size, PROT_READ, MAP_SHARED, RING_AT));
	EXPECT_EQ(0, try_map(fd, size / 2, rw, MAP_SHARED, RING_AT + size / 2));
	EXPECT_EQ(0, try_map(fd, PAGE, rw, MAP_SHARED, RING_AT + size - PAGE));
	/* too long, beside it, far away */
	EXPECT_EQ(EINVAL, try_map(fd, size + PAGE, rw, MAP_SHARED, RING_AT));
	EXPECT_EQ(EINVAL, try_map(fd, size, rw, MAP_SHARED, RING_AT + PAGE));
	EXPECT_EQ(EINVAL, try_map(fd, size, rw, MAP_SHARED, RING_AT - PAGE));
	EXPECT_EQ(EINVAL, try_map(fd, PAGE, rw, MAP_SHARED, RING_AT - PAGE));
	EXPECT_EQ(EINVAL, try_map(fd, RING_AT + size, rw, MAP_SHARED, 0));
	EXPECT_EQ(EINVAL, try_map(fd, PAGE, rw, MAP_SHARED, RING_AT + size));
	EXPECT_EQ(EINVAL, try_map(fd, PAGE, rw, MAP_SHARED, BIT(62)));
	/* a private copy would never show anything; nobody executes it */
	EXPECT_EQ(EINVAL, try_map(fd, size, rw, MAP_PRIVATE, RING_AT));
	EXPECT_EQ(EINVAL, try_map(fd, size, PROT_READ, MAP_PRIVATE, RING_AT));
	/* newer kernels let nobody execute such files, and say so first */
	r = try_map(fd, size, PROT_READ | PROT_EXEC, MAP_SHARED, RING_AT);
	EXPECT_TRUE(r == EINVAL || r == EPERM) TH_LOG("errno %d", r);
	p = mmap(NULL, size, rw, MAP_SHARED, fd, RING_AT);
	ASSERT_NE(MAP_FAILED, p);
	for (u64 i = 0; i < size / 8; i++)
		ASSERT_EQ(0, p[i]);
	EXPECT_EQ(EACCES, err(mprotect(p, size, PROT_READ | PROT_EXEC)));
	EXPECT_TRUE(mremap(p, size, 2 * size, MREMAP_MAYMOVE) == MAP_FAILED);
	/* it lives as long as the mapping */
	munmap(vm.vcpu.run, vm.run_size);
	close(fd);
	close(vm.fd);
	p[0] = p[size / 8 - 1] = 1;
	munmap(p, size);
	close(vm.sys);
	/* no rings, no mapping */
	vm_create(&vm);
	EXPECT_EQ(EINVAL, try_map(vm.vcpu.fd, PAGE, rw, MAP_SHARED, RING_AT));
	vm_destroy(&vm);
}

TEST_F(ring, no_bitmaps)
{
	u64 bits[PAGES / 64 + 1];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_clear_dirty_log clear = { .slot = 1, .num_pages = 64, .dirty_bitmap = bits };
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
		.args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET },
	};

	EXPECT_EQ(ENXIO, err(ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &log)));
	EXPECT_EQ(ENXIO, err(ioctl(self->vm.fd, KVM_CLEAR_DIRTY_LOG, &clear)));
	log.slot = ~0;
	EXPECT_EQ(ENXIO, err(ioctl(self->vm.fd, KVM_GET_DIRTY_LOG, &log)));
	/* what begins as set in a bitmap does not in a ring */
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap));
	ASSERT_EQ(0, set_slot(self, 0, PAGES));
	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES));
	touch_pages(_metadata, self, (u64[]){ 7 }, 1, 0);
	expect_entries(_metadata, self, (u64[]){ 7 }, 1);
}

/* ---- what becomes an entry ---- */

TEST_F(ring, known_writes)
{
	static const u64 page[] = { 5, 4, 900, PAGES - 1, 0, 64, 63, 128 };
	const u32 n = ARRAY_LEN(page);

	/* nothing yet */
	EXPECT_EQ(0, reset(self));
	expect_entries(_metadata, self, NULL, 0);
	for (int round = 0; round < 3; round++) {
		/* reads dirty nothing */
		touch_pages(_metadata, self, page, n, READ);
		expect_entries(_metadata, self, NULL, 0);
		touch_pages(_metadata, self, page, n, 0);
		/* a second write is of a page that is known */
		touch_pages(_metadata, self, page, n, 0);
		expect_entries(_metadata, self, page, n);
		/* nor is one before it is reset */
		touch_pages(_metadata, self, page, n, 0);
		expect_entries(_metadata, self, NULL, 0);
		ASSERT_EQ((int)n, reset(self));
		ASSERT_EQ(0, reset(self));
		for (u32 i = 0; i < self->entries; i++)
			ASSERT_EQ(0, self->ring.entry[i].flags);
	}
}

TEST_F(ring, not_logged)
{
	u64 page[] = { 3, 9 };

	ASSERT_EQ(0, set_slot(self, 0, PAGES));
	touch_pages(_metadata, self, page, 2, 0);
	expect_entries(_metadata, self, NULL, 0);
	/* mapped and writable already */
	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES));
	touch_pages(_metadata, self, page, 2, 0);
	expect_entries(_metadata, self, page, 2);
	ASSERT_EQ(2, reset(self));
}

/* Bit 1 of flags is what counts, and entries go in sequence. */
TEST_F(ring, in_sequence)
{
	static const u64 page[] = { 10, 11, 12, 13 };
	volatile struct kvm_dirty_gfn *e = self->ring.entry;

	touch_pages(_metadata, self, page, 4, 0);
	for (u32 i = 0; i < 4; i++)
		ASSERT_EQ(DIRTY, e[i].flags);
	/* seen, but not marked */
	e[0].flags = 0;
	EXPECT_EQ(0, reset(self));
	e[0].flags = ~(u32)RESET;
	EXPECT_EQ(0, reset(self));
	/* the second before the first */
	e[0].flags = DIRTY;
	e[1].flags = RESET;
	EXPECT_EQ(0, reset(self));
	EXPECT_EQ(RESET, e[1].flags);
	e[0].flags = DIRTY | RESET;
	EXPECT_EQ(2, reset(self));
	EXPECT_EQ(0, e[0].flags);
	EXPECT_EQ(0, e[1].flags);
	EXPECT_EQ(DIRTY, e[2].flags);
	/* those two are seen again, the others not yet */
	touch_pages(_metadata, self, page, 4, 0);
	EXPECT_EQ(DIRTY, e[4].flags);
	EXPECT_EQ(10, e[4].offset);
	EXPECT_EQ(DIRTY, e[5].flags);
	EXPECT_EQ(11, e[5].offset);
	EXPECT_EQ(0, e[6].flags);
	e[2].flags = e[3].flags = ~0;
	EXPECT_EQ(2, reset(self));
}

TEST_F(ring, wrap_around)
{
	u64 page[50], got = 0;

	for (u64 round = 0; round < self->entries / 10; round++) {
		for (u32 i = 0; i < 50; i++)
			page[i] = (round * 53 + i * 7) % PAGES;
		touch_pages(_metadata, self, page, 50, 0);
		expect_entries(_metadata, self, page, 50);
		ASSERT_EQ(50, reset(self));
		got += 50;
	}
	EXPECT_GT(got, 4 * self->entries);
}

/* ---- full rings ---- */

TEST_F(ring, soft_full)
{
	u64 list[PAGES], got[2 * PAGES], next = 0;
	struct kvm_regs before, after;
	u32 n = 0, full = 0, k;
	int reason;

	for (u32 i = 0; i < PAGES; i++)
		list[i] = place(i, 0);
	set_list(self, list, PAGES);
	while ((reason = run(self)) == KVM_EXIT_DIRTY_RING_FULL) {
		full++;
		/* no further, as long as there is no room */
		before = vcpu_regs(&self->vm.vcpu);
		for (int i = 0; i < 3; i++)
			ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, run(self));
		after = vcpu_regs(&self->vm.vcpu);
		ASSERT_EQ(0, memcmp(&before, &after, sizeof(before)));
		/* seen, but not reset: no room either */
		k = harvest(self, &self->ring, got + n, 2 * PAGES - n);
		ASSERT_GE(k, self->entries / 8);
		ASSERT_LT(k, self->entries);
		ASSERT_EQ(KVM_EXIT_DIRTY_RING_FULL, run(self));
		ASSERT_EQ((int)k, reset(self));
		n += k;
	}
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	EXPECT_GE(full, PAGES / self->entries);
	n += harvest(self, &self->ring, got + n, 2 * PAGES - n);
	/* In order; the page of a write that waited for room may come again. */
	for (u32 i = 0; i < n; i++) {
		if (i && got[i] == got[i - 1] && full)
			full--;
		else
			ASSERT_EQ(next++, got[i]);
	}
	EXPECT_EQ(PAGES, next);
}

/*
 * More than the ring has, written while the vcpu does not run: nothing is lost, it comes
 * when there is room.
 */
TEST_F(ring, written_without_running)
{
	static u8 seen[PAGES];
	u32 n = self->entries + 300, rounds = 0;
	struct kvm_dirty_gfn e;
	int reason;

	if (on_stock())
		SKIP(return, "the distribution's module loses them");
	ASSERT_LT(n, PAGES);
	memset(seen, 0, sizeof(seen));
	for (u32 i = 0; i < n; i++)
		ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_WALL_CLOCK, AT + i * PAGE));
	set_list(self, NULL, 0);
	do {
		u32 k = 0;

		reason = run(self);
		while (harvest_one(self, &self->ring, &e)) {
			ASSERT_LT(e.offset, n);
			seen[e.offset] = 1;
			k++;
		}
		ASSERT_EQ((int)k, reset(self));
	} while (reason == KVM_EXIT_DIRTY_RING_FULL && ++rounds < 100);
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	EXPECT_GE(rounds, 1);
	for (u32 i = 0; i < n; i++) {
		ASSERT_EQ(1, seen[i]) TH_LOG("page %u", i);
	}
}

/* They wait in the slot, which moves. */
TEST_F(ring, left_in_a_slot_that_moves)
{
	u32 n = self->entries + 50, k = 0;
	struct kvm_dirty_gfn e;
	int reason;

	if (on_stock())
		SKIP(return, "the distribution's module loses them");
	for (u32 i = 0; i < n; i++)
		ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_WALL_CLOCK, AT + i * PAGE));
	ASSERT_EQ(0, vm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 2 * AT, PAGES * PAGE, self->p));
	set_list(self, NULL, 0);
	do {
		u32 before = k;

		reason = run(self);
		while (harvest_one(self, &self->ring, &e))
			ASSERT_EQ(k++, e.offset);
		ASSERT_EQ((int)(k - before), reset(self));
	} while (reason == KVM_EXIT_DIRTY_RING_FULL && k < 2 * n);
	ASSERT_EQ(KVM_EXIT_HLT, reason);
	EXPECT_EQ(n, k);
}

/* ---- who writes ---- */

/* The module itself: for an instruction, for the guest's clock, from a call. */
TEST_F(ring, written_by_the_module)
{
	struct kvm_dirty_gfn e;
	u32 n = 0;

	touch_pages(_metadata, self, (u64[]){ 21, 22 }, 2, INS);
	expect_entries(_metadata, self, (u64[]){ 21, 22 }, 2);
	ASSERT_EQ(2, reset(self));
	EXPECT_EQ(0x77, self->p[21 * PAGE + 21 * 8]);
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_WALL_CLOCK, AT + 30 * PAGE));
	/* version, time, version: one page */
	expect_entries(_metadata, self, (u64[]){ 30 }, 1);
	ASSERT_EQ(1, reset(self));
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_SYSTEM_TIME, (AT + 31 * PAGE) | 1));
	touch(_metadata, self, NULL, 0);
	while (harvest_one(self, &self->ring, &e)) {
		EXPECT_EQ(31, e.offset);
		n++;
	}
	EXPECT_GE(n, 1);
	ASSERT_EQ((int)n, reset(self));
}

/* A walk's accessed and dirty bits in a page table that is logged. */
TEST_F(ring, page_table_in_slot)
{
	u64 *pt = (u64 *)(self->p + 5 * PAGE), *pd = (u64 *)(self->vm.mem + GPA_PD);
	u64 list = 0x600000;

	pt[0] = GPA_DATA | PTE_P | PTE_W;
	pd[3] = (AT + 5 * PAGE) | PTE_P | PTE_W;
	touch(_metadata, self, &list, 1);
	EXPECT_EQ(PTE_A | PTE_D, pt[0] & (PTE_A | PTE_D));
	if (walks_write_unseen()) {
		/* The page is not writable, as a write of another kind shows. */
		expect_entries(_metadata, self, NULL, 0);
		list = AT + 5 * PAGE + 0x800;
		touch(_metadata, self, &list, 1);
	}
	expect_entries(_metadata, self, (u64[]){ 5 }, 1);
}

TEST_F(ring, two_vcpus)
{
	struct vcpu second;
	struct ring ring = { .entry = NULL };
	struct kvm_regs r;
	u64 got[4];

	vcpu_create(&self->vm, &second, 1);
	vm_mode(&self->vm, &second, LONG);
	map_ring(&second, &ring, self->entries);
	touch_pages(_metadata, self, (u64[]){ 1, 2 }, 2, 0);
	set_list(self, (u64[]){ place(40, 0) }, 1);
	r = vcpu_regs(&self->vm.vcpu);
	vcpu_set_regs(&second, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&second));
	ASSERT_EQ(1, harvest(self, &ring, got, 4));
	EXPECT_EQ(40, got[0]);
	/* one call is for all rings */
	ASSERT_EQ(2, harvest(self, &self->ring, got, 4));
	EXPECT_EQ(1, got[0]);
	EXPECT_EQ(2, got[1]);
	EXPECT_EQ(3, reset(self));
	/* the page of the second's by the first */
	touch_pages(_metadata, self, (u64[]){ 40 }, 1, 0);
	expect_entries(_metadata, self, (u64[]){ 40 }, 1);
	EXPECT_EQ(0, harvest(self, &ring, got, 4));
}

/* ---- slots that change, and entries that were never the kernel's ---- */

TEST_F(ring, slot_goes)
{
	u64 page[] = { 100, 101, PAGES - 1 };

	touch_pages(_metadata, self, page, 3, 0);
	ASSERT_EQ(0, set_slot(self, 0, 0));
	expect_entries(_metadata, self, page, 3);
	EXPECT_EQ(3, reset(self));
	/* a shorter one, which has not all of the pages */
	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES));
	touch_pages(_metadata, self, page, 3, 0);
	ASSERT_EQ(0, set_slot(self, 0, 0));
	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, 101));
	touch_pages(_metadata, self, page, 1, 0);
	expect_entries(_metadata, self, (u64[]){ 100, 101, PAGES - 1, 100 }, 4);
	EXPECT_EQ(4, reset(self));
	touch_pages(_metadata, self, page, 1, 0);
	expect_entries(_metadata, self, page, 1);
	EXPECT_EQ(1, reset(self));
	/* no log any more */
	touch_pages(_metadata, self, page, 1, 0);
	ASSERT_EQ(0, set_slot(self, 0, 101));
	expect_entries(_metadata, self, page, 1);
	EXPECT_EQ(1, reset(self));
}

/* Seen before the slot went: the same page of the next one's is another. */
TEST_F(ring, slot_is_another)
{
	touch_pages(_metadata, self, (u64[]){ 8 }, 1, 0);
	expect_entries(_metadata, self, (u64[]){ 8 }, 1);
	ASSERT_EQ(0, set_slot(self, 0, 0));
	ASSERT_EQ(0, set_slot(self, KVM_MEM_LOG_DIRTY_PAGES, PAGES));
	touch_pages(_metadata, self, (u64[]){ 8 }, 1, 0);
	expect_entries(_metadata, self, (u64[]){ 8 }, 1);
	EXPECT_EQ(2, reset(self));
}

TEST_F(ring, slot_moves)
{
	u64 list = 2 * AT + 6 * PAGE;

	touch_pages(_metadata, self, (u64[]){ 6 }, 1, 0);
	ASSERT_EQ(0, vm_slot(&self->vm, 1, KVM_MEM_LOG_DIRTY_PAGES, 2 * AT, PAGES * PAGE, self->p));
	expect_entries(_metadata, self, (u64[]){ 6 }, 1);
	EXPECT_EQ(1, reset(self));
	touch(_metadata, self, &list, 1);
	expect_entries(_metadata, self, (u64[]){ 6 }, 1);
	EXPECT_EQ(1, reset(self));
}

TEST_F(ring, bad_entries)
{
	static const struct { u32 slot; u64 offset; } bad[] = {
		{ 0, 5 },			/* not logged */
		{ 2, 5 }, { 511, 0 },		/* none */
		{ 1024, 0 }, { 0x7fff, 0 }, { ~0, 0 },
		{ 0x10001, 5 },			/* another address space */
		{ 1, PAGES }, { 1, PAGES + 60 }, { 1, PAGES + 64 }, { 1, BIT(52) },
		{ 1, BIT(63) }, { 1, ~0ULL }, { 1, ~63ULL }, { ~0, ~0ULL },
	};
	u64 page[ARRAY_LEN(bad) + 1];
	volatile struct kvm_dirty_gfn *e = self->ring.entry;
	const u32 n = ARRAY_LEN(bad) + 1;

	for (u32 i = 0; i < n; i++)
		page[i] = 200 + i;
	touch_pages(_metadata, self, page, n, 0);
	for (u32 i = 0; i < n - 1; i++) {
		e[i].slot = bad[i].slot;
		e[i].offset = bad[i].offset;
		e[i].flags = RESET;
	}
	e[n - 1].flags = ~0;
	EXPECT_EQ((int)n, reset(self));
	/* only the last one was what the kernel wrote */
	touch_pages(_metadata, self, page, n, 0);
	self->ring.next = n;
	expect_entries(_metadata, self, page + n - 1, 1);
	EXPECT_EQ(1, reset(self));
	/* a page that is in no entry may be named, too */
	e[n + 1].slot = 1;
	e[n + 1].offset = 201;
	e[n + 1].flags = RESET;
	EXPECT_EQ(0, reset(self));
	touch_pages(_metadata, self, (u64[]){ 300 }, 1, 0);
	e[n + 1].offset = 201;
	e[n + 1].flags = RESET;
	EXPECT_EQ(1, reset(self));
	touch_pages(_metadata, self, (u64[]){ 201 }, 1, 0);
	self->ring.next = n + 2;
	expect_entries(_metadata, self, (u64[]){ 201 }, 1);
}

/* ---- while the guest runs ---- */

static void start_runner(ring_self *self, struct vcpu *vcpu, u64 pages, u64 step)
{
	struct kvm_regs r = {
		.rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .r8 = pages, .r9 = step,
	};

	GUEST_LOAD(&self->vm, runner);
	vcpu_set_regs(vcpu, &r);
}

static volatile bool stop;

static void *run_vcpu(void *arg)
{
	struct vcpu *vcpu = arg;
	int reason;

	while ((reason = vcpu_run(vcpu)) == KVM_EXIT_DIRTY_RING_FULL && !stop)
		sched_yield();
	return (void *)(long)reason;
}

/* Harvested and reset by another thread, long enough for each page to have come many times. */
TEST_F_TIMEOUT(ring, reset_while_running, 120)
{
	static u32 times[PAGES];
	u64 got[512], total = 0, want = is_slow() ? 2000 : 12000;
	pthread_t thread;
	u32 n, seen = 0;
	void *end;

	stop = false;
	memset(times, 0, sizeof(times));
	start_runner(self, &self->vm.vcpu, PAGES, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, &self->vm.vcpu));
	/* and each at least once, which takes as long as it takes */
	while (total < want || (seen < PAGES && total < 100 * want)) {
		n = harvest(self, &self->ring, got, 512);
		for (u32 i = 0; i < n; i++)
			seen += !times[got[i]]++;
		ASSERT_EQ((int)n, reset(self));
		total += n;
		if (!n)
			usleep(100);
	}
	self->vm.mem[GPA_DATA] = 1;
	/* its last pages may need room */
	while (pthread_tryjoin_np(thread, &end)) {
		harvest(self, &self->ring, got, 512);
		reset(self);
		usleep(100);
	}
	EXPECT_EQ(KVM_EXIT_IO, (long)end);
	EXPECT_EQ(PAGES, seen);
}

static void *scribble(void *arg)
{
	ring_self *self = arg;
	unsigned int seed = 1;

	while (!stop) {
		volatile u32 *word = (u32 *)self->ring.entry + rand_r(&seed) % (self->entries * 4);

		*word = rand_r(&seed) & 1 ? rand_r(&seed) : rand_r(&seed) & 3;
	}
	return NULL;
}

/* Whatever userspace writes, and when: only its own entries suffer. */
TEST_F_TIMEOUT(ring, scribbled, 60)
{
	pthread_t runner, writer;
	int r;

	stop = false;
	start_runner(self, &self->vm.vcpu, PAGES, 1);
	ASSERT_EQ(0, pthread_create(&runner, NULL, run_vcpu, &self->vm.vcpu));
	ASSERT_EQ(0, pthread_create(&writer, NULL, scribble, self));
	for (int i = 0; i < (is_slow() ? 40 : 800); i++) {
		r = reset(self);
		ASSERT_GE(r, 0);
		ASSERT_LE(r, (int)self->entries);
	}
	stop = true;
	ASSERT_EQ(0, pthread_join(writer, NULL));
	self->vm.mem[GPA_DATA] = 1;
	/* all entries are to be reset, whatever is in them */
	while (pthread_tryjoin_np(runner, NULL)) {
		for (u32 i = 0; i < self->entries; i++)
			self->ring.entry[i].flags = RESET;
		reset(self);
		usleep(100);
	}
}

/* A slot comes, goes and moves under the vcpu and the resets. */
TEST_F_TIMEOUT(ring, slots_change_while_running, 120)
{
	pthread_t thread;
	u64 got[512];

	stop = false;
	/* in memory that stays; the other slot is never touched by the guest, but reset */
	ASSERT_EQ(0, vm_slot(&self->vm, 2, KVM_MEM_LOG_DIRTY_PAGES, 4 * AT, 64 * PAGE, self->p));
	start_runner(self, &self->vm.vcpu, 1000, 1);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, &self->vm.vcpu));
	for (int i = 0; i < (is_slow() ? 8 : 80); i++) {
		u32 n = harvest(self, &self->ring, got, 512);

		for (u32 k = 0; k < n; k++)
			if (i & 1)
				entry_at(self, &self->ring, self->ring.next - 1 - k)->slot = 1 + k % 2;
		ASSERT_EQ(0, vm_slot(&self->vm, 2, i % 3 ? KVM_MEM_LOG_DIRTY_PAGES : 0, (4 + i % 2) * AT,
				     64 * PAGE, self->p));
		ASSERT_EQ((int)n, reset(self));
		ASSERT_EQ(0, set_slot(self, i & 4 ? 0 : KVM_MEM_LOG_DIRTY_PAGES, PAGES));
	}
	stop = true;
	self->vm.mem[GPA_DATA] = 1;
	while (pthread_tryjoin_np(thread, NULL)) {
		harvest(self, &self->ring, got, 512);
		reset(self);
		usleep(100);
	}
}

TEST_HARNESS_MAIN
