// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of 2007 that newer kernels dropped: memory that the kernel
 * provides, mapped through the VM fd, and aliases of it.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define PAGE	4096UL
#define WINDOW	0xa0000UL	/* an alias for the video window */
#define TARGET	0x40000UL

FIXTURE(legacy) {
	int sys, fd;
	struct vcpu v;
	u8 *mem;
};

static int region(int fd, u32 slot, u32 flags, u64 gpa, u64 size)
{
	struct kvm_memory_region r = {
		.slot = slot, .flags = flags, .guest_phys_addr = gpa, .memory_size = size,
	};

	return ioctl(fd, KVM_SET_MEMORY_REGION, &r);
}

static int alias(int fd, u32 slot, u64 gpa, u64 size, u64 target)
{
	struct kvm_memory_alias a = {
		.slot = slot, .guest_phys_addr = gpa, .memory_size = size,
		.target_phys_addr = target,
	};

	return ioctl(fd, KVM_SET_MEMORY_ALIAS, &a);
}

/* Newer kernels answer the number with EINVAL or ENOTTY. */
static bool offered(int fd)
{
	if (!region(fd, 0, 0, 0, 0xa0000))
		return true;
	return errno != EINVAL && errno != ENOTTY;
}

FIXTURE_SETUP(legacy)
{
	self->sys = open("/dev/kvm", O_RDWR);
	ASSERT_GE(self->sys, 0);
	self->fd = ioctl(self->sys, KVM_CREATE_VM, 0L);
	ASSERT_GE(self->fd, 0);
	self->mem = NULL;
	if (!offered(self->fd))
		return;
	self->mem = mmap(NULL, 0xa0000, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	if (self->mem == MAP_FAILED)
		self->mem = NULL;
	ASSERT_NE(NULL, self->mem);
	self->v.fd = ioctl(self->fd, KVM_CREATE_VCPU, 0L);
	ASSERT_GE(self->v.fd, 0);
	self->v.run = xmmap(ioctl(self->sys, KVM_GET_VCPU_MMAP_SIZE, 0L), MAP_SHARED, self->v.fd);
}

FIXTURE_TEARDOWN(legacy)
{
	close(self->fd);
	close(self->sys);
}

#define NEEDS_IT							\
	if (!self->mem)							\
		SKIP(return, "KVM_SET_MEMORY_REGION is not offered")

/* Runs CODE at 1000:0 in real mode, DS 4000h, ES a000h; the exit. */
static int run(struct vcpu *v, u8 *mem, const void *code, size_t len)
{
	struct kvm_sregs s = vcpu_sregs(v);
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2 };

	s.cs.selector = 0x1000;
	s.cs.base = 0x10000;
	s.ds.selector = 0x4000;
	s.ds.base = 0x40000;
	s.es.selector = 0xa000;
	s.es.base = 0xa0000;
	vcpu_set_sregs(v, &s);
	vcpu_set_regs(v, &r);
	memcpy(mem + 0x10000, code, len);
	return vcpu_run(v);
}

/* What the guest does, userspace sees through the VM fd, and the other way. */
TEST_F(legacy, region_and_mmap)
{
	/* mov ax,[0]; inc ax; mov [2],ax; hlt */
	static const u8 code[] = "\xa1\x00\x00\x40\xa3\x02\x00\xf4";

	NEEDS_IT;
	*(u16 *)(self->mem + TARGET) = 41;
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->v, self->mem, code, sizeof(code)));
	EXPECT_EQ(42, *(u16 *)(self->mem + TARGET + 2));
	EXPECT_EQ(42, vcpu_regs(&self->v).rax & 0xffff);
	/* fresh memory is zeroed */
	EXPECT_EQ(0, *(u16 *)(self->mem + TARGET + 0x1000));
}

TEST_F(legacy, region_rules)
{
	NEEDS_IT;
	EXPECT_EQ(EINVAL, err(region(self->fd, 0, 0, 0, 0x50000)));	/* resized */
	EXPECT_EQ(EINVAL, err(region(self->fd, 1, 0, 0x100001, PAGE)));
	EXPECT_EQ(EINVAL, err(region(self->fd, 1, 0, 0x100000, 100)));
	EXPECT_EQ(EINVAL, err(region(self->fd, 1, 8, 0x100000, PAGE)));
	EXPECT_EQ(EINVAL, err(region(self->fd, ~0, 0, 0x100000, PAGE)));
	EXPECT_NE(0, err(region(self->fd, 1, 0, 0x5000, PAGE)));	/* overlaps */
	EXPECT_EQ(EFAULT, err(ioctl(self->fd, KVM_SET_MEMORY_REGION, BAD_PTR)));
	/* flags may change, and it may move */
	EXPECT_EQ(0, region(self->fd, 1, 0, 0x100000, PAGE));
	EXPECT_EQ(0, region(self->fd, 1, KVM_MEM_LOG_DIRTY_PAGES, 0x100000, PAGE));
	EXPECT_EQ(0, region(self->fd, 1, 0, 0x200000, PAGE));
	EXPECT_EQ(0, region(self->fd, 1, 0, 0, 0));
}

TEST_F(legacy, alias)
{
	/* mov word es:[10h],1234h; mov ax,[10h]; mov word [20h],5678h; mov bx,es:[20h]; hlt */
	static const u8 code[] = "\x26\xc7\x06\x10\x00\x34\x12\xa1\x10\x00"
				 "\xc7\x06\x20\x00\x78\x56\x26\x8b\x1e\x20\x00\xf4";
	struct kvm_regs r;

	NEEDS_IT;
	/* without it the window is a device */
	ASSERT_EQ(KVM_EXIT_MMIO, run(&self->v, self->mem, code, sizeof(code)));
	ASSERT_EQ(0, alias(self->fd, 0, WINDOW, 0x10000, TARGET));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->v, self->mem, code, sizeof(code)));
	r = vcpu_regs(&self->v);
	EXPECT_EQ(0x1234, r.rax & 0xffff);
	EXPECT_EQ(0x5678, r.rbx & 0xffff);
	EXPECT_EQ(0x1234, *(u16 *)(self->mem + TARGET + 0x10));
	/* another target, as a bank switch does */
	*(u16 *)(self->mem + 0x60020) = 0x9abc;
	ASSERT_EQ(0, alias(self->fd, 0, WINDOW, 0x10000, 0x60000));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->v, self->mem, code, sizeof(code)));
	EXPECT_EQ(0x9abc, vcpu_regs(&self->v).rbx & 0xffff);
	EXPECT_EQ(0x1234, *(u16 *)(self->mem + 0x60010));
	/* gone again */
	ASSERT_EQ(0, alias(self->fd, 0, 0, 0, 0));
	EXPECT_EQ(KVM_EXIT_MMIO, run(&self->v, self->mem, code, sizeof(code)));
}

TEST_F(legacy, alias_rules)
{
	NEEDS_IT;
	EXPECT_EQ(EINVAL, err(alias(self->fd, 0, WINDOW + 1, 0x10000, TARGET)));
	EXPECT_EQ(EINVAL, err(alias(self->fd, 0, WINDOW, 0x10001, TARGET)));
	EXPECT_EQ(EINVAL, err(alias(self->fd, 0, WINDOW, 0x10000, TARGET + 1)));
	EXPECT_EQ(EINVAL, err(alias(self->fd, 4, WINDOW, 0x10000, TARGET)));
	EXPECT_EQ(EINVAL, err(alias(self->fd, ~0, WINDOW, 0x10000, TARGET)));
	EXPECT_EQ(EINVAL, err(alias(self->fd, 0, -PAGE, 2 * PAGE, TARGET)));
	EXPECT_EQ(EINVAL, err(alias(self->fd, 0, WINDOW, 2 * PAGE, -PAGE)));
	EXPECT_EQ(EFAULT, err(ioctl(self->fd, KVM_SET_MEMORY_ALIAS, BAD_PTR)));
}

/* A write through the alias dirties its target. */
TEST_F(legacy, alias_dirty_log)
{
	static const u8 code[] = "\x26\xc7\x06\x10\x20\x34\x12\xf4";	/* es:[2010h] */
	u64 bits[4] = { 0 };
	struct kvm_dirty_log l = { .slot = 0, .dirty_bitmap = bits };

	NEEDS_IT;
	ASSERT_EQ(0, region(self->fd, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, 0xa0000));
	ASSERT_EQ(0, alias(self->fd, 0, WINDOW, 0x10000, TARGET));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_DIRTY_LOG, &l));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->v, self->mem, code, sizeof(code)));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_DIRTY_LOG, &l));
	EXPECT_EQ(BIT((TARGET >> 12 & 63) + 2), bits[TARGET >> 18] & ~BIT(0x10));
}

/* The VM fd has no memory where there is no region of the kernel's. */
TEST_F(legacy, mmap_limits)
{
	u8 *p;

	NEEDS_IT;
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0x10000000);
	if (p != MAP_FAILED) {
		/* then an access to it is a fault of the kernel's copy, too */
		int fds[2];

		ASSERT_EQ(0, pipe(fds));
		EXPECT_EQ(EFAULT, err(write(fds[1], p, 1)));
		munmap(p, PAGE);
	}
	/* mapped again, what was written is still there */
	self->mem[0x1234] = 0x77;
	munmap(self->mem, 0xa0000);
	self->mem = mmap(NULL, 0xa0000, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	EXPECT_EQ(0x77, self->mem[0x1234]);
}

TEST_HARNESS_MAIN
