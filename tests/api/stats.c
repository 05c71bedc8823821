// SPDX-License-Identifier: GPL-2.0-only
/* KVM_GET_STATS_FD, and the same counters in debugfs. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define DEBUGFS	"/sys/kernel/debug/kvm"

GUEST(exits, 64, "1: cpuid\n out %al, $0x10\n jmp 1b");

FIXTURE(stats) {
	struct vm vm;
};

FIXTURE_SETUP(stats)
{
	vm_start(&self->vm, LONG, exits);
	if (!check_cap(self->vm.fd, KVM_CAP_BINARY_STATS_FD))
		SKIP(return, "KVM_CAP_BINARY_STATS_FD is not offered");
}

FIXTURE_TEARDOWN(stats)
{
	vm_destroy(&self->vm);
}

/* The file as KVM's document describes it; -1: no such counter. */
static long long counter(int fd, const char *name)
{
	struct kvm_stats_header h;
	struct { struct kvm_stats_desc d; char name[256]; } e;
	u64 val;

	if (pread(fd, &h, sizeof(h), 0) != sizeof(h) || h.name_size > 256)
		die("no header");
	for (u32 i = 0; i < h.num_desc; i++) {
		size_t size = sizeof(e.d) + h.name_size;

		if (pread(fd, &e, size, h.desc_offset + i * size) != (ssize_t)size)
			die("no descriptor %u", i);
		if (strcmp(e.name, name))
			continue;
		if (pread(fd, &val, 8, h.data_offset + e.d.offset) != 8)
			die("no value of %s", name);
		return val;
	}
	return -1;
}

static long long file(const char *dir, const char *name)
{
	char path[512];
	long long val = -1;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "r");
	if (!f)
		return -1;
	if (fscanf(f, "%lld", &val) != 1)
		val = -1;
	fclose(f);
	return val;
}

TEST_F(stats, vcpu)
{
	int fd = ioctl(self->vm.vcpu.fd, KVM_GET_STATS_FD, 0L);
	struct kvm_stats_header h;
	void *volatile bad = BAD_PTR;
	char id[64];

	ASSERT_LE(0, fd);
	ASSERT_EQ(sizeof(h), pread(fd, &h, sizeof(h), 0));
	EXPECT_EQ(0, h.flags);
	ASSERT_LE(h.name_size, sizeof(id));
	ASSERT_EQ(h.name_size, pread(fd, id, h.name_size, h.id_offset));
	EXPECT_EQ(0, strncmp(id, "kvm-", 4));
	EXPECT_NE(NULL, strstr(id, "/vcpu-0"));
	EXPECT_EQ(0, counter(fd, "exits"));
	for (int i = 0; i < 10; i++)
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_LE(20, counter(fd, "exits"));
	EXPECT_EQ(10, counter(fd, "io_exits"));
	EXPECT_EQ(-1, counter(fd, "no_such_counter"));
	/* past its end there is nothing; and it cannot be written */
	EXPECT_EQ(0, pread(fd, id, 1, 1 << 20));
	EXPECT_EQ(EBADF, err(write(fd, id, 1)));
	EXPECT_EQ(EFAULT, err(pread(fd, bad, 8, 0)));
	close(fd);
}

TEST_F(stats, vm)
{
	int fd = ioctl(self->vm.fd, KVM_GET_STATS_FD, 0L);
	char whole[65536], piece[65536];
	ssize_t n, m, r;

	ASSERT_LE(0, fd);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_LE(0, counter(fd, "remote_tlb_flush"));
	/* read in pieces it is the same */
	n = pread(fd, whole, sizeof(whole), 0);
	for (m = 0; (r = read(fd, piece + m, 13)) > 0; m += r)
		;
	EXPECT_EQ(0, r);
	EXPECT_EQ(n, m);
	EXPECT_EQ(0, memcmp(whole, piece, n));
	close(fd);
}

/* INVLPG of a large page that the host has in small ones: all that a TLB has of it goes. */
GUEST(invlpg, 64,
	"mov 0x205000, %eax; mov 0x206000, %eax; out %al, $0x10\n"
	"invlpg 0x205000; out %al, $0x10\n");

TEST_F(stats, invlpg_of_a_large_page)
{
	struct vm *vm = &self->vm;
	int fd = ioctl(vm->vcpu.fd, KVM_GET_STATS_FD, 0L);
	long long flushes;

	ASSERT_LE(0, fd);
	GUEST_LOAD(vm, invlpg);
	madvise(vm->mem, MEM_SIZE, MADV_NOHUGEPAGE);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	flushes = counter(fd, "tlb_flush");
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	if (!counter(fd, "invlpg"))
		SKIP(goto out, "under nested paging INVLPG is the guest's own");
	EXPECT_LT(flushes, counter(fd, "tlb_flush"));
out:
	close(fd);
}

/* EBX: where; EDX: the last. */
GUEST(touch, 64,
	"1: mov (%rbx), %rax; add $0x200000, %rbx; cmp %rdx, %rbx; jb 1b\n"
	"out %al, $0x10\n");

static void touch(struct vm *vm, u64 from, u64 n)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2, .rbx = from, .rdx = from + (n << 21) };

	vcpu_set_regs(&vm->vcpu, &r);
	if (vm_run(vm) != KVM_EXIT_IO)
		die("the guest cannot read at %#lx", from);
}

/*
 * 64 shadow pages for a guest that reads here and there in 500M: what it reads
 * again and again stays mapped, and never does all of the VM go for one page.
 */
TEST_F(stats, recycling)
{
	const u64 at = 0x10000000, step = 2UL << 20, n = 250;
	struct vm *vm = &self->vm;
	int fd = ioctl(vm->vcpu.fd, KVM_GET_STATS_FD, 0L);
	u8 *p = xmmap(n * step, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	bool ept = module_parameter("kvm_intel", "ept") == 'Y';
	bool nested = nested_paging();
	long long before, worst = 0;

	if (ept && module_parameter("kvm_intel", "eptad") == 'N')
		SKIP(return, "without accessed bits nothing tells which pages were used");
	ASSERT_LE(0, fd);
	GUEST_LOAD(vm, touch);
	madvise(p, n * step, MADV_NOHUGEPAGE);
	ASSERT_EQ(0, vm_slot(vm, 5, 0, at, n * step, p));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_NR_MMU_PAGES, 64L));
	touch(vm, at, n);
	before = counter(fd, "pf_fixed");
	touch(vm, at + (n - 4) * step, 4);
	EXPECT_EQ(before, counter(fd, "pf_fixed"));
	for (u64 i = 0; i < n - 20; i++) {
		before = counter(fd, "pf_fixed");
		touch(vm, at + i * step, 1);
		touch(vm, at + (n - 4) * step, 4);
		if (worst < counter(fd, "pf_fixed") - before)
			worst = counter(fd, "pf_fixed") - before;
	}
	/* one for the new page, one or two for what got no second chance, and their tables */
	EXPECT_GE(nested ? 7 : 3, worst);
	ASSERT_EQ(0, vm_slot(vm, 5, 0, at, 0, NULL));
	munmap(p, n * step);
	close(fd);
}

/* The file outlives all else of the VM. */
TEST_F(stats, outlives_vm)
{
	int fd = ioctl(self->vm.vcpu.fd, KVM_GET_STATS_FD, 0L), vm = ioctl(self->vm.fd, KVM_GET_STATS_FD, 0L);

	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	vm_destroy(&self->vm);
	EXPECT_EQ(1, counter(fd, "io_exits"));
	EXPECT_LE(0, counter(vm, "remote_tlb_flush"));
	close(fd);
	close(vm);
	vm_create(&self->vm);
}

TEST_F(stats, debugfs)
{
	long long before = file(DEBUGFS, "io_exits");
	char dir[300];

	if (before < 0)
		SKIP(return, "no debugfs here");
	snprintf(dir, sizeof(dir), DEBUGFS "/%d-%d", getpid(), self->vm.fd);
	EXPECT_EQ(0, file(dir, "io_exits"));
	for (int i = 0; i < 5; i++)
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(5, file(dir, "io_exits"));
	EXPECT_LE(5, file(dir, "pf_fixed") + 5);
	EXPECT_EQ(before + 5, file(DEBUGFS, "io_exits"));
	/* the VM goes, its counts stay */
	vm_destroy(&self->vm);
	EXPECT_EQ(-1, file(dir, "io_exits"));
	EXPECT_EQ(before + 5, file(DEBUGFS, "io_exits"));
	vm_create(&self->vm);
}

/* Every counter that the classic driver had. */
TEST_F(stats, classic_names)
{
	static const char *const names[] = {
		"pf_fixed", "pf_guest", "tlb_flush", "invlpg", "exits", "io_exits",
		"mmio_exits", "signal_exits", "irq_exits", "halt_exits", "irq_window_exits",
		"request_irq_exits", "host_state_reload", "fpu_reload", "insn_emulation",
		"mmu_shadow_zapped", "mmu_pte_write", "mmu_cache_miss", "mmu_flooded",
		"mmu_recycled", "remote_tlb_flush", "hypercalls", "nmi_window_exits",
	};
	int vcpu = ioctl(self->vm.vcpu.fd, KVM_GET_STATS_FD, 0L);
	int vm = ioctl(self->vm.fd, KVM_GET_STATS_FD, 0L);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		/* those of today's kernel that have no like there, or another kind */
		if (!on_stock())
			EXPECT_LE(0, file(DEBUGFS, names[i])) TH_LOG("%s", names[i]);
		EXPECT_TRUE(counter(vcpu, names[i]) >= 0 || counter(vm, names[i]) >= 0 || on_stock())
			TH_LOG("%s", names[i]);
	}
	close(vcpu);
	close(vm);
}

TEST_HARNESS_MAIN
