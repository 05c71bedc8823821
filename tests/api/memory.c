// SPDX-License-Identifier: GPL-2.0-only
/* KVM_SET_USER_MEMORY_REGION and its successor, and guest memory as a view of userspace's. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define AT	0x10000000ULL	/* where the tests put slots of their own */
#define PAGE	4096UL

/* RBX: address; RAX: value; RCX: 0 reads into RAX, else writes. */
GUEST(peek_poke, 64,
	"1: test %ecx, %ecx; jnz 2f\n"
	"mov (%rbx), %rax; hlt; jmp 1b\n"
	"2: mov %rax, (%rbx); hlt; jmp 1b\n");

FIXTURE(mem) {
	struct vm vm;
	u8 *p;			/* 16 pages */
};

FIXTURE_SETUP(mem)
{
	vm_start(&self->vm, LONG, peek_poke);
	self->p = xmmap(16 * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

FIXTURE_TEARDOWN(mem)
{
	vm_destroy(&self->vm);
}

/* One access; the exit it ends with. */
static int access_at(struct vm *vm, u64 gva, bool write, u64 *value)
{
	struct kvm_regs r = vcpu_regs(&vm->vcpu);
	int exit;

	r.rip = GPA_CODE;
	r.rbx = gva;
	r.rcx = write;
	r.rax = *value;
	vcpu_set_regs(&vm->vcpu, &r);
	exit = vm_run(vm);
	if (exit == KVM_EXIT_HLT)
		*value = vcpu_regs(&vm->vcpu).rax;
	return exit;
}

/* What the guest reads; ~exit where it cannot. */
static u64 peek(struct vm *vm, u64 gva)
{
	u64 v = 0;
	int exit = access_at(vm, gva, false, &v);

	if (exit == KVM_EXIT_MMIO) {
		memset(vm->vcpu.run->mmio.data, 0xff, 8);
		if (vm_run(vm) != KVM_EXIT_HLT)
			return ~1ULL;
		return ~(u64)KVM_EXIT_MMIO;
	}
	return exit == KVM_EXIT_HLT ? v : ~(u64)exit;
}

static int poke(struct vm *vm, u64 gva, u64 v)
{
	int exit = access_at(vm, gva, true, &v);

	if (exit == KVM_EXIT_MMIO && vm_run(vm) != KVM_EXIT_HLT)
		return -1;
	return exit;
}

#define NO_MEMORY	(~(u64)KVM_EXIT_MMIO)

/* Of the hosts only newer ones' own modules have it. */
static bool has_region2(struct vm *vm)
{
	return !on_stock() || check_cap(vm->fd, KVM_CAP_USER_MEMORY2);
}

TEST_F(mem, bad_regions)
{
	struct vm *vm = &self->vm;
	u8 *p = self->p;
	u32 slots = check_cap(vm->sys, KVM_CAP_NR_MEMSLOTS);
	const struct {
		const char *name;
		u32 slot, flags;
		u64 gpa, size;
		void *mem;
		int err;
	} bad[] = {
		{ "size of no page", 1, 0, AT, 100, p, EINVAL },
		{ "size of a page and a half", 1, 0, AT, PAGE + 2048, p, EINVAL },
		{ "misaligned gpa", 1, 0, AT + 1, PAGE, p, EINVAL },
		{ "misaligned gpa by half a page", 1, 0, AT + 2048, PAGE, p, EINVAL },
		{ "misaligned address", 1, 0, AT, PAGE, p + 1, EINVAL },
		{ "misaligned address by half a page", 1, 0, AT, PAGE, p + 2048, EINVAL },
		{ "wraps", 1, 0, -PAGE, 2 * PAGE, p, EINVAL },
		{ "ends at 2^64", 1, 0, -PAGE, PAGE, p, EINVAL },
		{ "size 2^63", 1, 0, 0, BIT(63), p, EINVAL },
		{ "size of almost all", 1, 0, AT, -PAGE, p, EINVAL },
		{ "address wraps", 1, 0, AT, 2 * PAGE, (void *)-PAGE, EINVAL },
		{ "kernel address", 1, 0, AT, PAGE, (void *)0xffffffff81000000, EINVAL },
		{ "address not canonical", 1, 0, AT, PAGE, (void *)0x8000000000000000, EINVAL },
		{ "slot past the last", slots, 0, AT, PAGE, p, EINVAL },
		{ "slot 32767", 32767, 0, AT, PAGE, p, EINVAL },
		{ "slot 2^31", 0x80000000, 0, AT, PAGE, p, EINVAL },
		{ "slot ~0", ~0, 0, AT, PAGE, p, EINVAL },
		{ "flag 4", 1, 4, AT, PAGE, p, EINVAL },
		{ "flag 2^15", 1, 0x8000, AT, PAGE, p, EINVAL },
		{ "flag 2^16", 1, 0x10000, AT, PAGE, p, EINVAL },
		{ "all flags", 1, ~0, AT, PAGE, p, EINVAL },
		{ "overlaps: the same", 1, 0, 0, MEM_SIZE, p, EEXIST },
		{ "overlaps: within", 1, 0, 0x8000, PAGE, p, EEXIST },
		{ "overlaps: the first page", 1, 0, 0, PAGE, p, EEXIST },
		{ "overlaps: the last page", 1, 0, MEM_SIZE - PAGE, 2 * PAGE, p, EEXIST },
		{ "resized down", 0, 0, 0, MEM_SIZE / 2, vm->mem, EINVAL },
		{ "resized up", 0, 0, 0, MEM_SIZE * 2, vm->mem, EINVAL },
		{ "another address", 0, 0, 0, MEM_SIZE, p, EINVAL },
		{ "made read-only in place", 0, KVM_MEM_READONLY, 0, MEM_SIZE, vm->mem, EINVAL },
		{ "nothing there to delete", 5, 0, AT, 0, p, EINVAL },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct kvm_userspace_memory_region2 r = {
			.slot = bad[i].slot, .flags = bad[i].flags, .guest_phys_addr = bad[i].gpa,
			.memory_size = bad[i].size, .userspace_addr = (uintptr_t)bad[i].mem,
		};
		int e = err(vm_slot(vm, bad[i].slot, bad[i].flags, bad[i].gpa,
				    bad[i].size, bad[i].mem));

		if (has_region2(vm)) {
			EXPECT_EQ(e, err(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r)))
				TH_LOG("%s, by the other call", bad[i].name);
		}
		/* deleting nothing: stock says EINVAL, its callers expect 0 or that */
		if (!bad[i].size && !e)
			continue;
		EXPECT_EQ(bad[i].err, e) TH_LOG("%s", bad[i].name);
		EXPECT_EQ(0, peek(vm, GPA_DATA)) TH_LOG("after %s", bad[i].name);
	}
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, BAD_PTR)));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT));
}

/* The larger structure makes, changes and deletes slots as the other does. */
TEST_F(mem, region2)
{
	struct vm *vm = &self->vm;
	struct kvm_userspace_memory_region2 r = {
		.slot = 1, .guest_phys_addr = AT, .memory_size = 2 * PAGE,
		.userspace_addr = (uintptr_t)self->p,
		/* means nothing without the flag: some VMMs put -1 there */
		.guest_memfd = -1, .guest_memfd_offset = 1,
	}, bad;
	u64 bits = 0;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	if (!has_region2(vm))
		SKIP(return, "no KVM_CAP_USER_MEMORY2");
	EXPECT_EQ(1, check_cap(vm->sys, KVM_CAP_USER_MEMORY2));
	EXPECT_EQ(1, check_cap(vm->fd, KVM_CAP_USER_MEMORY2));
	*(u64 *)self->p = 0x1111;
	bad = r;
	bad.flags = KVM_MEM_GUEST_MEMFD;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &bad)));
	bad.guest_memfd = vm->fd;
	bad.guest_memfd_offset = 0;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &bad)));
	for (size_t i = 0; i < 1 + ARRAY_LEN(r.pad2) && !on_stock(); i++) {
		bad = r;
		*(i ? &bad.pad2[i - 1] : &bad.guest_memfd_offset) = BIT(63);
		bad.pad1 = i ? 0 : 1;
		EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &bad)))
			TH_LOG("padding %zu", i);
	}
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, BAD_PTR)));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT));

	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
	EXPECT_EQ(0x1111, peek(vm, AT));
	EXPECT_EQ(EEXIST, err(vm_slot(vm, 2, 0, AT, PAGE, self->p)));
	/* moved, made read-only as another slot, logged */
	r.guest_phys_addr = AT + 4 * PAGE;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT));
	EXPECT_EQ(0x1111, peek(vm, AT + 4 * PAGE));
	bad = r;
	bad.slot = 2;
	bad.flags = KVM_MEM_READONLY;
	bad.guest_phys_addr = AT;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &bad));
	EXPECT_EQ(KVM_EXIT_MMIO, poke(vm, AT, 1));
	r.flags = KVM_MEM_LOG_DIRTY_PAGES;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
	EXPECT_EQ(KVM_EXIT_HLT, poke(vm, AT + 5 * PAGE, 0x2222));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(2, bits);
	r.memory_size = 0;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &r));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT + 4 * PAGE));
	EXPECT_EQ(0x1111, peek(vm, AT));
}

TEST_F(mem, slot_life)
{
	struct vm *vm = &self->vm;
	u8 *p = self->p;

	*(u64 *)p = 0x1111;
	*(u64 *)(p + PAGE) = 0x2222;
	EXPECT_EQ(NO_MEMORY, peek(vm, AT));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 2 * PAGE, p));
	EXPECT_EQ(0x1111, peek(vm, AT));
	EXPECT_EQ(0x2222, peek(vm, AT + PAGE));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT + 2 * PAGE));
	/* the same again is no change */
	EXPECT_EQ(0, vm_slot(vm, 1, 0, AT, 2 * PAGE, p));
	/* moved */
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT + PAGE, 2 * PAGE, p));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT));
	EXPECT_EQ(0x1111, peek(vm, AT + PAGE));
	EXPECT_EQ(0x2222, peek(vm, AT + 2 * PAGE));
	/* a neighbour on each side, one memory in two slots */
	ASSERT_EQ(0, vm_slot(vm, 2, 0, AT, PAGE, p));
	ASSERT_EQ(0, vm_slot(vm, 3, 0, AT + 3 * PAGE, PAGE, p + 2 * PAGE));
	EXPECT_EQ(0x1111, peek(vm, AT));
	EXPECT_EQ(KVM_EXIT_HLT, poke(vm, AT, 0x3333));
	EXPECT_EQ(0x3333, peek(vm, AT + PAGE));
	EXPECT_EQ(0x3333, *(u64 *)p);
	/* may not be moved onto a neighbour, and stays where it is */
	EXPECT_EQ(EEXIST, err(vm_slot(vm, 1, 0, AT + 2 * PAGE, 2 * PAGE, p)));
	EXPECT_EQ(0x3333, peek(vm, AT + PAGE));
	/* deleted, with any address in the call */
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT + PAGE));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT + 2 * PAGE));
	EXPECT_EQ(0x3333, peek(vm, AT));
	/* and created anew with another size and another memory */
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT + PAGE, PAGE, p + PAGE));
	EXPECT_EQ(0x2222, peek(vm, AT + PAGE));
}

TEST_F(mem, many_slots)
{
	struct vm *vm = &self->vm;
	const u32 n = 500;

	ASSERT_GE(check_cap(vm->sys, KVM_CAP_NR_MEMSLOTS), 509);
	/* every other page of one memory, the later slots at lower addresses */
	for (u32 i = 1; i <= n; i++) {
		*(u64 *)(self->p + i % 16 * PAGE) = i % 16 + 100;
		ASSERT_EQ(0, vm_slot(vm, i, 0, AT + (n - i) * 2 * PAGE, PAGE,
				     self->p + i % 16 * PAGE)) TH_LOG("slot %u", i);
	}
	for (u32 i = 1; i <= n; i += 7) {
		ASSERT_EQ(i % 16 + 100, peek(vm, AT + (n - i) * 2 * PAGE)) TH_LOG("slot %u", i);
		ASSERT_EQ(NO_MEMORY, peek(vm, AT + (n - i) * 2 * PAGE + PAGE)) TH_LOG("slot %u", i);
	}
	for (u32 i = 1; i <= n; i += 2)
		ASSERT_EQ(0, vm_slot(vm, i, 0, 0, 0, NULL));
	EXPECT_EQ(NO_MEMORY, peek(vm, AT + (n - 1) * 2 * PAGE));
	EXPECT_EQ(102, peek(vm, AT + (n - 2) * 2 * PAGE));
}

/* A write exits as MMIO and changes nothing; a read is memory. */
/* A limit of 64 shadow pages, and a guest that wants 300: slow, and right. */
TEST_F(mem, nr_mmu_pages)
{
	const u64 step = 2UL << 20, n = 300;
	int before = ioctl(self->vm.fd, KVM_GET_NR_MMU_PAGES);
	u8 *p = xmmap(n * step, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);

	madvise(p, n * step, MADV_NOHUGEPAGE);
	EXPECT_LE(1, check_cap(self->vm.fd, KVM_CAP_MMU_SHADOW_CACHE_CONTROL));
	EXPECT_LT(64, before);
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_SET_NR_MMU_PAGES, 63L)));
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_SET_NR_MMU_PAGES, 1L << 31)));
	EXPECT_EQ(before, ioctl(self->vm.fd, KVM_GET_NR_MMU_PAGES));
	for (int limited = 0; limited < 2; limited++) {
		ASSERT_EQ(0, vm_slot(&self->vm, 5, 0, AT, n * step, p));
		for (u64 i = 0; i < n; i++)
			ASSERT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT + i * step, i ^ 0x5555));
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_NR_MMU_PAGES, 64L));
		EXPECT_EQ(64, ioctl(self->vm.fd, KVM_GET_NR_MMU_PAGES));
		for (u64 i = 0; i < n; i++)
			ASSERT_EQ(i ^ 0x5555, peek(&self->vm, AT + i * step));
		ASSERT_EQ(0, vm_slot(&self->vm, 5, 0, AT, 0, NULL));
		EXPECT_EQ(64, ioctl(self->vm.fd, KVM_GET_NR_MMU_PAGES));
	}
	munmap(p, n * step);
}

/* Short of memory, the host takes tables that the guest has not used lately; it has them back. */
TEST_F(mem, tables_reclaimed)
{
	const u64 step = 2UL << 20, n = 400;
	struct vm *vm = &self->vm;
	u64 recycled, *pdpt = (u64 *)(vm->mem + GPA_PDPT), *pd = (u64 *)(vm->mem + GPA_FREE);
	u8 *p = xmmap(n * step, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (on_stock())
		SKIP(return, "newer ones have no shrinker");
	if (fd < 0)
		SKIP(return, "only root may have the host reclaim memory");
	madvise(p, n * step, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 1UL << 30, n * step, p));
	/* the guest has it at 1 GB in 4k pages: each step has a table of its own */
	pdpt[1] = GPA_FREE | PTE_P | PTE_W;
	for (u64 i = 0; i < n; i++) {
		u64 *pt = (u64 *)(vm->mem + 0x100000 + i * PAGE);

		pd[i] = (0x100000 + i * PAGE) | PTE_P | PTE_W;
		pt[0] = ((1UL << 30) + i * step) | PTE_P | PTE_W;
	}
	for (u64 i = 0; i < n; i++)
		ASSERT_EQ(KVM_EXIT_HLT, poke(vm, (1UL << 30) + i * step, i + 1));
	recycled = stat_of(vm->fd, "mmu_recycled");
	for (int i = 0; i < 4; i++)
		ASSERT_EQ(1, write(fd, "2", 1));
	recycled = stat_of(vm->fd, "mmu_recycled") - recycled;
	TH_LOG("%llu of %llu tables", (unsigned long long)recycled, (unsigned long long)n);
	EXPECT_LT(n / 4, recycled);
	for (u64 i = 0; i < n; i++) {
		ASSERT_EQ(i + 1, peek(vm, (1UL << 30) + i * step));
		ASSERT_EQ(i + 1, *(u64 *)(p + i * step));
	}
	close(fd);
	munmap(p, n * step);
}

TEST_F(mem, readonly)
{
	struct vm *vm = &self->vm;
	struct kvm_run *run = vm->vcpu.run;
	u64 v = 0x5555;

	if (!check_cap(vm->sys, KVM_CAP_READONLY_MEM))
		SKIP(return, "KVM_CAP_READONLY_MEM is not offered");
	*(u64 *)self->p = 0x1111;
	ASSERT_EQ(0, vm_slot(vm, 1, KVM_MEM_READONLY, AT, PAGE, self->p));
	for (int i = 0; i < 2; i++) {
		EXPECT_EQ(0x1111, peek(vm, AT));
		ASSERT_EQ(KVM_EXIT_MMIO, access_at(vm, AT + 8, true, &v));
		EXPECT_EQ(AT + 8, run->mmio.phys_addr);
		EXPECT_EQ(8, run->mmio.len);
		EXPECT_EQ(1, run->mmio.is_write);
		EXPECT_EQ(0, memcmp(run->mmio.data, &v, 8));
		EXPECT_EQ(KVM_EXIT_HLT, vm_run(vm));
		EXPECT_EQ(0, *(u64 *)(self->p + 8));
	}
	/* userspace's own writes show */
	*(u64 *)self->p = 0x2222;
	EXPECT_EQ(0x2222, peek(vm, AT));
	/* read-only and back by way of deletion */
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGE, self->p));
	EXPECT_EQ(KVM_EXIT_HLT, poke(vm, AT, 0x4444));
	EXPECT_EQ(0x4444, *(u64 *)self->p);
	/* logged and read-only at once */
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	ASSERT_EQ(0, vm_slot(vm, 1, KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES, AT, PAGE, self->p));
	EXPECT_EQ(0x4444, peek(vm, AT));
}

/* ---- What the memory is made of ---- */

static void check_vma(struct __test_metadata *_metadata, struct vm *vm, u8 *p, const char *what)
{
	*(volatile u64 *)p = 0xa1;
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 2 * PAGE, p)) TH_LOG("%s", what);
	EXPECT_EQ(0xa1, peek(vm, AT)) TH_LOG("%s", what);
	EXPECT_EQ(KVM_EXIT_HLT, poke(vm, AT, 0xb2)) TH_LOG("%s", what);
	EXPECT_EQ(0xb2, *(volatile u64 *)p) TH_LOG("%s", what);
	/* never touched by userspace: the guest's access brings it in */
	EXPECT_EQ(KVM_EXIT_HLT, poke(vm, AT + PAGE, 0xc3)) TH_LOG("%s", what);
	EXPECT_EQ(0xc3, *(volatile u64 *)(p + PAGE)) TH_LOG("%s", what);
	*(volatile u64 *)(p + PAGE) = 0xd4;
	EXPECT_EQ(0xd4, peek(vm, AT + PAGE)) TH_LOG("%s", what);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL)) TH_LOG("%s", what);
}

TEST_F(mem, anonymous_and_shared)
{
	check_vma(_metadata, &self->vm, self->p, "anonymous");
	check_vma(_metadata, &self->vm, xmmap(2 * PAGE, MAP_SHARED | MAP_ANONYMOUS, -1), "shared");
}

TEST_F(mem, file)
{
	char name[] = "/tmp/kvm-memory.XXXXXX";
	int fd = mkstemp(name);
	u64 v;

	ASSERT_GE(fd, 0);
	unlink(name);
	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE));
	check_vma(_metadata, &self->vm, xmmap(2 * PAGE, MAP_PRIVATE, fd), "private file");
	ASSERT_EQ(8, pread(fd, &v, 8, 0));
	EXPECT_EQ(0, v);
	check_vma(_metadata, &self->vm, xmmap(2 * PAGE, MAP_SHARED, fd), "shared file");
	ASSERT_EQ(8, pread(fd, &v, 8, 0));
	EXPECT_EQ(0xb2, v);
	close(fd);
}

TEST_F(mem, memfd)
{
	int fd = memfd_create("guest", 0);

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, ftruncate(fd, 2 * PAGE));
	check_vma(_metadata, &self->vm, xmmap(2 * PAGE, MAP_SHARED, fd), "memfd");
	close(fd);
}

static int set_hugepages(int n)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "r+");
	int got = -1;

	if (!f)
		return -1;
	fprintf(f, "%d", n);
	fflush(f);
	rewind(f);
	if (fscanf(f, "%d", &got) != 1)
		got = -1;
	fclose(f);
	return got;
}

TEST_F(mem, hugetlb)
{
	u8 *p;

	if (set_hugepages(4) < 2)
		SKIP(return, "the host has no free 2M pages");
	p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	ASSERT_NE(MAP_FAILED, p);
	check_vma(_metadata, &self->vm, p, "hugetlb");
	/* aligned as the guest's pages are, askew, and with an edge inside */
	for (u64 skew = 0; skew <= 3 * PAGE; skew += PAGE) {
		ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT + skew, (2 << 20) + PAGE, p));
		EXPECT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT + skew + 0x1ff000, 0x77 + skew));
		EXPECT_EQ(0x77 + skew, *(u64 *)(p + 0x1ff000));
		EXPECT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT + skew + 0x200000, 0x99 + skew));
		EXPECT_EQ(0x99 + skew, *(u64 *)(p + 0x200000));
		EXPECT_EQ(NO_MEMORY, peek(&self->vm, AT + skew + 0x201000));
		ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, 0, 0, NULL));
	}
	munmap(p, 4 << 20);
	set_hugepages(0);
}

/* KVM_RUN has failed: kvm_run says for which page. */
#define EXPECT_MEMORY_FAULT(vm, where) do {						\
	const struct kvm_run *run_ = (vm)->vcpu.run;					\
											\
	if (on_stock() && !check_cap((vm)->fd, KVM_CAP_MEMORY_FAULT_INFO))		\
		break;									\
	EXPECT_EQ(1, check_cap((vm)->fd, KVM_CAP_MEMORY_FAULT_INFO));			\
	EXPECT_EQ(KVM_EXIT_MEMORY_FAULT, run_->exit_reason);				\
	EXPECT_EQ(0, run_->memory_fault.flags);						\
	EXPECT_EQ(where, run_->memory_fault.gpa);					\
	EXPECT_EQ(PAGE, run_->memory_fault.size);					\
} while (0)

/* Memory that userspace may only read: the guest reads; its write is MMIO
 * or KVM_RUN fails, but does not come through.
 */
TEST_F(mem, prot_read)
{
	u64 v = 0x66;
	int exit;

	*(u64 *)self->p = 0x55;
	ASSERT_EQ(0, mprotect(self->p, PAGE, PROT_READ));
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGE, self->p));
	EXPECT_EQ(0x55, peek(&self->vm, AT));
	exit = access_at(&self->vm, AT, true, &v);
	EXPECT_TRUE(exit == -EFAULT || exit == KVM_EXIT_MMIO || exit == KVM_EXIT_INTERNAL_ERROR)
		TH_LOG("exit %d", exit);
	if (exit == -EFAULT)
		EXPECT_MEMORY_FAULT(&self->vm, AT);
	EXPECT_EQ(0x55, *(u64 *)self->p);
}

/* Taken away under the guest: KVM_RUN fails until it is back. */
TEST_F(mem, munmap_and_back)
{
	struct vm *vm = &self->vm;
	u64 v = 0;
	void *p;

	*(u64 *)self->p = 0x55;
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGE, self->p));
	EXPECT_EQ(0x55, peek(vm, AT));
	EXPECT_EQ(KVM_EXIT_HLT, vm->vcpu.run->exit_reason);
	ASSERT_EQ(0, munmap(self->p, PAGE));
	EXPECT_EQ(-EFAULT, access_at(vm, AT, false, &v));
	EXPECT_MEMORY_FAULT(vm, AT);
	vm->vcpu.run->exit_reason = 0;
	memset(&vm->vcpu.run->memory_fault, 0x55, sizeof(vm->vcpu.run->memory_fault));
	EXPECT_EQ(-EFAULT, vm_run(vm));
	EXPECT_MEMORY_FAULT(vm, AT);
	p = mmap(self->p, PAGE, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_EQ(self->p, p);
	*(u64 *)self->p = 0x77;
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(vm));
	EXPECT_EQ(0x77, vcpu_regs(&vm->vcpu).rax);
	/* PROT_NONE is as good as absent */
	ASSERT_EQ(0, mprotect(self->p, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, access_at(vm, AT, false, &v));
	EXPECT_MEMORY_FAULT(vm, AT);
	ASSERT_EQ(0, mprotect(self->p, PAGE, PROT_READ | PROT_WRITE));
	EXPECT_EQ(0x77, peek(vm, AT));
}

/* The gpa is that of the page, wherever in it the access was, and whatever address led there. */
TEST_F(mem, memory_fault_of_a_page)
{
	struct vm *vm = &self->vm;
	u64 v = 0, *pd = (u64 *)(vm->mem + GPA_PD);
	int last = 15;

	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 16 * PAGE, self->p));
	ASSERT_EQ(0, munmap(self->p + last * PAGE, PAGE));
	EXPECT_EQ(-EFAULT, access_at(vm, AT + last * PAGE + 0x888, true, &v));
	EXPECT_MEMORY_FAULT(vm, AT + last * PAGE);
	/* the 2 MB at 0x600000 are those at AT */
	pd[3] = AT | PTE_PS | PTE_P | PTE_W | PTE_U;
	EXPECT_EQ(-EFAULT, access_at(vm, 0x600000 + last * PAGE + 8, false, &v));
	EXPECT_MEMORY_FAULT(vm, AT + last * PAGE);
	EXPECT_EQ(0, peek(vm, AT + (last - 1) * PAGE));
	EXPECT_EQ(KVM_EXIT_HLT, vm->vcpu.run->exit_reason);
}

TEST_F(mem, madvise_dontneed)
{
	*(u64 *)self->p = 0x55;
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGE, self->p));
	EXPECT_EQ(0x55, peek(&self->vm, AT));
	ASSERT_EQ(0, madvise(self->p, PAGE, MADV_DONTNEED));
	EXPECT_EQ(0, peek(&self->vm, AT));
	EXPECT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT, 0x99));
	EXPECT_EQ(0x99, *(u64 *)self->p);
}

/* A page in few slots, and in more than the notifier finds at once. */
TEST_F(mem, one_page_in_many_slots)
{
	struct vm *vm = &self->vm;

	for (u32 n = 2; n <= 20; n += 6) {
		*(u64 *)self->p = n;
		for (u32 i = 1; i <= n; i++)
			ASSERT_EQ(0, vm_slot(vm, i, 0, AT + 3 * i * PAGE, 2 * PAGE, self->p));
		for (u32 i = 1; i <= n; i++)
			EXPECT_EQ(n, peek(vm, AT + 3 * i * PAGE));
		ASSERT_EQ(0, madvise(self->p, PAGE, MADV_DONTNEED));
		for (u32 i = 1; i <= n; i++)
			EXPECT_EQ(0, peek(vm, AT + 3 * i * PAGE));
		/* One goes, one moves: the notifier finds neither where it was. */
		ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
		ASSERT_EQ(0, vm_slot(vm, 2, 0, AT, 2 * PAGE, self->p));
		EXPECT_EQ(0, peek(vm, AT));
		*(u64 *)self->p = 0x77;
		ASSERT_EQ(0, madvise(self->p, PAGE, MADV_DONTNEED));
		EXPECT_EQ(0, peek(vm, AT));
		for (u32 i = 2; i <= n; i++)
			ASSERT_EQ(0, vm_slot(vm, i, 0, 0, 0, NULL));
	}
}

TEST_F(mem, mremap_over)
{
	u8 *other = xmmap(PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	*(u64 *)self->p = 0x11;
	*(u64 *)other = 0x22;
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGE, self->p));
	EXPECT_EQ(0x11, peek(&self->vm, AT));
	ASSERT_EQ(self->p, mremap(other, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, self->p));
	EXPECT_EQ(0x22, peek(&self->vm, AT));
}

/* The zero page is mapped for a read, and replaced at the guest's write. */
TEST_F(mem, zero_page)
{
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, 2 * PAGE, self->p));
	EXPECT_EQ(0, peek(&self->vm, AT));
	EXPECT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT, 0x12));
	EXPECT_EQ(0x12, *(u64 *)self->p);
	EXPECT_EQ(0, peek(&self->vm, AT + PAGE));
	EXPECT_EQ(0, *(u64 *)(self->p + PAGE));
	*(u64 *)(self->p + PAGE) = 0x34;
	EXPECT_EQ(0x34, peek(&self->vm, AT + PAGE));
}

/* After fork() the pages are shared: each side's writes stay its own. */
TEST_F(mem, fork_cow)
{
	int to[2], from[2], status;
	u64 v = 0;
	char c;
	pid_t pid;

	ASSERT_EQ(0, pipe(to));
	ASSERT_EQ(0, pipe(from));
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGE, self->p));
	EXPECT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT, 0x11));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (read(to[0], &c, 1) != 1)
			_exit(1);
		v = *(volatile u64 *)self->p;
		*(volatile u64 *)self->p = 0x33;
		if (write(from[1], &v, 8) != 8)
			_exit(1);
		_exit(0);
	}
	/* the guest writes first, the child then sees the old value */
	EXPECT_EQ(KVM_EXIT_HLT, poke(&self->vm, AT, 0x22));
	EXPECT_EQ(0x22, *(u64 *)self->p);
	ASSERT_EQ(1, write(to[1], "x", 1));
	ASSERT_EQ(8, read(from[0], &v, 8));
	EXPECT_EQ(0x11, v);
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(0x22, peek(&self->vm, AT));
}

/* ---- Changed while a vcpu runs ---- */

/* Counts at GPA_DATA, and reads AT all the time, whatever is there. */
GUEST(reader, 64,
	"mov $" "0x20000" ", %ebx; mov $0x10000000, %esi\n"
	"sti; 1: mov (%rsi), %rax; incq (%rbx); cmpq $0, 8(%rbx); je 1b; hlt\n");

static void *run_reader(void *arg)
{
	struct vm *vm = arg;
	int exit;

	while ((exit = vm_run(vm)) == KVM_EXIT_MMIO)
		memset(vm->vcpu.run->mmio.data, 0, 8);
	return (void *)(long)exit;
}

TEST_F_TIMEOUT(mem, changed_while_running, 90)
{
	struct vm *vm = &self->vm;
	volatile u64 *data = (volatile u64 *)(vm->mem + GPA_DATA);
	pthread_t thread;
	void *exit;
	u64 count;

	GUEST_LOAD(vm, reader);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_reader, vm));
	while (!data[0])
		usleep(100);
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 4 * PAGE, self->p));
		if (i % 3 == 0)
			ASSERT_EQ(0, vm_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, 4 * PAGE, self->p));
		if (i % 3 == 1)
			ASSERT_EQ(0, vm_slot(vm, 1, 0, AT + PAGE, 4 * PAGE, self->p));
		if (i % 5 == 0)
			ASSERT_EQ(0, madvise(self->p, 4 * PAGE, MADV_DONTNEED));
		ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	}
	count = data[0];
	for (int i = 0; i < 50000 && data[0] == count; i++)
		usleep(100);
	EXPECT_GT(data[0], count);
	data[1] = 1;
	ASSERT_EQ(0, pthread_join(thread, &exit));
	EXPECT_EQ(KVM_EXIT_HLT, (long)exit);
}

/* Interrupts so far that one processor sent to another, number @cpu. */
static u64 kicks_of(int cpu)
{
	FILE *f = fopen("/proc/interrupts", "r");
	char line[4096], *at;
	u64 sum = 0;

	if (!f)
		die("/proc/interrupts");
	while (fgets(line, sizeof(line), f)) {
		if (!strstr(line, "RES:") && !strstr(line, "CAL:"))
			continue;
		at = strchr(line, ':') + 1;
		for (int i = 0; i < cpu; i++)
			strtoull(at, &at, 10);
		sum += strtoull(at, NULL, 10);
	}
	fclose(f);
	return sum;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity");
}

static void *run_reader_on_1(void *vm)
{
	stay_on(1);
	return run_reader(vm);
}

/* Who changes slots interrupts a vcpu in guest mode once for each grace period. */
TEST_F_TIMEOUT(mem, one_kick_for_a_change, 90)
{
	struct vm *vm = &self->vm;
	volatile u64 *data = (volatile u64 *)(vm->mem + GPA_DATA);
	const u64 changes = 200;
	pthread_t thread;
	void *exit;
	u64 kicks;

	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		SKIP(return, "needs two processors");
	stay_on(0);
	GUEST_LOAD(vm, reader);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 4 * PAGE, self->p));
	ASSERT_EQ(0, vm_slot(vm, 2, 0, AT + 16 * PAGE, 4 * PAGE, self->p));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_reader_on_1, vm));
	while (!data[0])
		usleep(100);
	kicks = kicks_of(1);
	for (u64 i = 0; i < changes; i++)
		ASSERT_EQ(0, vm_slot(vm, 2, i % 2 ? 0 : KVM_MEM_LOG_DIRTY_PAGES, AT + 16 * PAGE,
				     4 * PAGE, self->p));
	kicks = kicks_of(1) - kicks;
	TH_LOG("%llu changes, %llu kicks", (unsigned long long)changes, (unsigned long long)kicks);
	/* The host's own need some, too, a debugging kernel's more. */
	EXPECT_LE(kicks, is_slow() ? 5 * changes / 2 : changes + changes / 5);
	data[1] = 1;
	ASSERT_EQ(0, pthread_join(thread, &exit));
	EXPECT_EQ(KVM_EXIT_HLT, (long)exit);
}

/* The page the guest runs from and its page tables, swapped for copies. */
TEST_F_TIMEOUT(mem, memory_replaced_while_running, 90)
{
	struct vm *vm = &self->vm;
	volatile u64 *data = (volatile u64 *)(vm->mem + GPA_DATA);
	pthread_t thread;
	void *exit;

	GUEST_LOAD(vm, reader);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 4 * PAGE, self->p));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_reader, vm));
	for (int i = 0; i < 100; i++) {
		u64 count = data[0];
		u8 *copy = xmmap(MEM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		/* everything but the page that the guest writes */
		memcpy(copy, vm->mem, GPA_DATA);
		ASSERT_EQ(vm->mem, mremap(copy, GPA_DATA, GPA_DATA,
					  MREMAP_MAYMOVE | MREMAP_FIXED, vm->mem));
		munmap(copy + GPA_DATA, MEM_SIZE - GPA_DATA);
		for (int k = 0; k < 50000 && data[0] == count; k++)
			usleep(100);
		ASSERT_GT(data[0], count);
	}
	data[1] = 1;
	ASSERT_EQ(0, pthread_join(thread, &exit));
	EXPECT_EQ(KVM_EXIT_HLT, (long)exit);
}

/* Loads CR3 from two pages in turn. */
GUEST(roots, 64,
	"sti; mov $0x20000, %ebx; mov $0x10202000, %esi; mov $0x10203000, %edi\n"
	"1: mov %rsi, %cr3; mov %rdi, %cr3; incq (%rbx); cmpq $0, 8(%rbx); je 1b; hlt\n");

/*
 * A slot of page tables, which moves by half its size while they are in use.  It might have
 * large pages, so nothing but these tables forbids them.
 */
TEST_F_TIMEOUT(mem, moved_onto_itself, 90)
{
	struct vm *vm = &self->vm;
	volatile u64 *data = (volatile u64 *)(vm->mem + GPA_DATA);
	pthread_t thread;
	const u64 half = 2UL << 20;
	u8 *raw = xmmap(3 * half, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	u8 *p = (u8 *)(((uintptr_t)raw + half - 1) & ~(half - 1));
	void *exit;
	u64 count;

	GUEST_LOAD(vm, roots);
	for (int i = 0; i < 4; i++)
		memcpy(p + i / 2 * half + (2 + i % 2) * PAGE, vm->mem + GPA_PML4, PAGE);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 2 * half, p));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_reader, vm));
	while (!data[0])
		usleep(100);
	for (int i = 0; i < 300; i++) {
		count = data[0];
		ASSERT_EQ(0, vm_slot(vm, 1, 0, AT + (i % 2 ? 0 : half), 2 * half, p));
		for (int k = 0; k < 50000 && data[0] == count; k++)
			usleep(10);
		ASSERT_GT(data[0], count);
	}
	data[1] = 1;
	ASSERT_EQ(0, pthread_join(thread, &exit));
	EXPECT_EQ(KVM_EXIT_HLT, (long)exit);
}

TEST_HARNESS_MAIN
