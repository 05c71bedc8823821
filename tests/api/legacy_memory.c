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

/*
 * A whole VMM of 2007: memory that the kernel provides and that is mapped once,
 * holes included, aliases, and nothing newer.  The guest starts at the reset
 * vector, which is an alias of the BIOS below 1 MB.
 */
#define BIOS	0xf0000UL

GUEST(bios, 16,
      "mov $0xa000, %ax\n mov %ax, %es\n"	/* the window */
      "mov $0x4000, %ax\n mov %ax, %ds\n"	/* what is behind it */
      "xor %di, %di\n mov $'A', %al\n mov $26, %cx\n cld\n"
      "1: stosb\n inc %al\n loop 1b\n"
      "xor %si, %si\n mov $26, %cx\n mov $0xe9, %dx\n"
      "rep outsb\n"
      "movw $0x4321, (0x100)\n mov %es:(0x100), %bx\n"
      "hlt\n");

FIXTURE(old_vmm) {
	int sys, fd;
	struct vcpu v;
	u8 *mem;
};

FIXTURE_SETUP(old_vmm)
{
	self->sys = open("/dev/kvm", O_RDWR);
	ASSERT_GE(self->sys, 0);
	self->fd = ioctl(self->sys, KVM_CREATE_VM, 0L);
	ASSERT_GE(self->fd, 0);
	self->mem = NULL;
	if (!offered(self->fd))
		return;
	/* before there is anything at most of it */
	self->mem = mmap(NULL, 0x1000000, PROT_READ | PROT_WRITE, MAP_SHARED, self->fd, 0);
	ASSERT_NE(MAP_FAILED, self->mem);
	ASSERT_EQ(0, region(self->fd, 1, 0, 0xc0000, 0x40000));
	ASSERT_EQ(0, region(self->fd, 2, 0, 0x100000, 0xf00000));
	self->v.fd = ioctl(self->fd, KVM_CREATE_VCPU, 0L);
	ASSERT_GE(self->v.fd, 0);
	self->v.run = xmmap(ioctl(self->sys, KVM_GET_VCPU_MMAP_SIZE, 0L), MAP_SHARED, self->v.fd);
}

FIXTURE_TEARDOWN(old_vmm)
{
	close(self->fd);
	close(self->sys);
}

TEST_F(old_vmm, boots_from_an_alias)
{
	static const u8 reset[] = { 0xea, 0x00, 0x00, 0x00, 0xf0 };	/* jmp f000:0 */
	struct kvm_run *run = self->v.run;
	char out[27] = "";
	int n = 0, r;

	NEEDS_IT;
	memcpy(self->mem + BIOS, guest_bios, guest_bios_end - guest_bios);
	memcpy(self->mem + BIOS + 0xfff0, reset, sizeof(reset));
	ASSERT_EQ(0, alias(self->fd, 0, WINDOW, 0x10000, TARGET));
	ASSERT_EQ(0, alias(self->fd, 1, 0xffff0000, 0x10000, BIOS));
	while ((r = vcpu_run(&self->v)) == KVM_EXIT_IO) {
		ASSERT_EQ(0xe9, run->io.port);
		for (u32 i = 0; i < run->io.count && n < 26; i++)
			out[n++] = ((char *)run)[run->io.data_offset + i];
	}
	EXPECT_EQ(KVM_EXIT_HLT, r);
	EXPECT_STREQ("ABCDEFGHIJKLMNOPQRSTUVWXYZ", out);
	EXPECT_EQ(0x4321, vcpu_regs(&self->v).rbx & 0xffff);
	EXPECT_EQ(0, memcmp(self->mem + TARGET, out, 26));
	/* and the window shows it to userspace, too */
	EXPECT_EQ(0, memcmp(self->mem + WINDOW, out, 26));
}

/* Reads, writes and fetches of userspace's mapping follow a slot that moves or goes. */
TEST_F(old_vmm, mapping_follows_slots)
{
	int fds[2];

	NEEDS_IT;
	self->mem[0x200000] = 0x11;
	self->mem[0x5000] = 0x55;
	ASSERT_EQ(0, region(self->fd, 3, 0, 0x10000000, PAGE));
	ASSERT_EQ(0, region(self->fd, 1, 0, 0x20000000, 0x40000));	/* moved away */
	ASSERT_EQ(0, pipe(fds));
	EXPECT_EQ(EFAULT, err(write(fds[1], self->mem + 0xc0000, 1)));
	EXPECT_EQ(1, write(fds[1], self->mem + 0x200000, 1));
	ASSERT_EQ(0, region(self->fd, 2, 0, 0, 0));
	EXPECT_EQ(EFAULT, err(write(fds[1], self->mem + 0x200000, 1)));
	EXPECT_EQ(0x55, self->mem[0x5000]);
	/* new memory in the same place */
	ASSERT_EQ(0, region(self->fd, 2, 0, 0x200000, PAGE));
	EXPECT_EQ(0, self->mem[0x200000]);
	EXPECT_EQ(EINVAL, err(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, self->fd, 0) == MAP_FAILED ? -1 : 0));
}

/* What was written before a move is there after it. */
TEST_F(old_vmm, contents_move)
{
	u8 *p;

	NEEDS_IT;
	self->mem[0xc0123] = 0x99;
	ASSERT_EQ(0, region(self->fd, 1, 0, 0x20000000, 0x40000));
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0x20000000);
	ASSERT_NE(MAP_FAILED, p);
	EXPECT_EQ(0x99, p[0x123]);
	ASSERT_EQ(0, region(self->fd, 1, 0, 0xc0000, 0x40000));
	EXPECT_EQ(0x99, self->mem[0xc0123]);
}

/* The two kinds of memory do not mix in one slot. */
TEST_F(old_vmm, not_mixed_with_user_memory)
{
	struct kvm_userspace_memory_region u = {
		.slot = 2, .guest_phys_addr = 0x100000, .memory_size = 0xf00000,
	};

	NEEDS_IT;
	u.userspace_addr = (u64)mmap(NULL, 0xf00000, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_USER_MEMORY_REGION, &u)));
	u.slot = 5;
	u.guest_phys_addr = 0x10000000;
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_USER_MEMORY_REGION, &u));
	EXPECT_EQ(EINVAL, err(region(self->fd, 5, 0, 0x10000000, 0xf00000)));
	/* but either call deletes */
	u.memory_size = 0;
	u.slot = 2;
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_USER_MEMORY_REGION, &u));
	EXPECT_EQ(0, region(self->fd, 5, 0, 0, 0));
	/* more than there is, and more than there can be */
	EXPECT_NE(0, err(region(self->fd, 6, 0, 0x100000000, 1ULL << 42)));
	EXPECT_NE(0, err(region(self->fd, 6, 0, 0x100000000, ~0xfffULL)));
}

/*
 * Page tables of the guest's behind an alias, and an address that they map to a
 * second alias: the walk and the access follow both.
 */
GUEST(paged, 32,
      "mov $0x800000, %ebx\n"		/* linear: mapped to the window */
      "movl $0x600d, (%ebx)\n"
      "mov %cr3, %eax\n mov %eax, %cr3\n"
      "mov (%ebx), %eax\n"
      "hlt\n"
      /* another page there: the entry is changed through the table's own address */
      "movl $0x41007, (0x302000)\n"
      "invlpg (%ebx)\n"
      "movl $0x600e, (%ebx)\n"
      "hlt\n");

TEST_F(old_vmm, page_walks_follow)
{
	u32 *dir = (u32 *)(self->mem + 0x300000), *low = dir + 1024, *high = dir + 2048;
	struct kvm_sregs s;
	struct kvm_regs r = { .rip = 0x10000, .rflags = 2 };

	NEEDS_IT;
	/* the tables lie at 3 MB; the guest knows them at 512 MB */
	ASSERT_EQ(0, alias(self->fd, 0, 0x20000000, 0x10000, 0x300000));
	ASSERT_EQ(0, alias(self->fd, 1, WINDOW, 0x10000, TARGET));
	for (u32 i = 0; i < 1024; i++)
		low[i] = i << 12 | 7;
	high[0] = WINDOW | 7;
	dir[0] = 0x20001000 | 7;
	dir[2] = 0x20002000 | 7;
	memcpy(self->mem + 0x10000, guest_paged, guest_paged_end - guest_paged);
	s = vcpu_sregs(&self->v);
	s.cs = (struct kvm_segment){ .limit = ~0u, .selector = 8, .type = 11, .present = 1,
				     .s = 1, .db = 1, .g = 1 };
	s.ds = s.es = s.ss = (struct kvm_segment){ .limit = ~0u, .selector = 16, .type = 3,
						   .present = 1, .s = 1, .db = 1, .g = 1 };
	s.cr0 = CR0_PE | CR0_PG | CR0_ET;
	s.cr3 = 0x20000000;
	vcpu_set_sregs(&self->v, &s);
	vcpu_set_regs(&self->v, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&self->v));
	EXPECT_EQ(0x600d, vcpu_regs(&self->v).rax);
	EXPECT_EQ(0x600d, *(u32 *)(self->mem + TARGET));
	/* accessed and dirty bits are where the tables are */
	EXPECT_EQ(0x60, high[0] & 0x60);
	EXPECT_EQ(0x20, dir[2] & 0x20);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&self->v));
	EXPECT_EQ(0x600d, *(u32 *)(self->mem + TARGET));
	EXPECT_EQ(0x600e, *(u32 *)(self->mem + TARGET + PAGE));
}

/* An alias of no memory is a device. */
TEST_F(old_vmm, alias_of_nothing_is_mmio)
{
	static const u8 code[] = "\x26\xc7\x06\x10\x00\x34\x12\xf4";	/* mov word es:[10h],1234h; hlt */

	NEEDS_IT;
	ASSERT_EQ(0, alias(self->fd, 0, WINDOW, 0x10000, 0x40000000));
	ASSERT_EQ(KVM_EXIT_MMIO, run(&self->v, self->mem, code, sizeof(code)));
	EXPECT_EQ(1, self->v.run->mmio.is_write);
	EXPECT_EQ(2, self->v.run->mmio.len);
	EXPECT_EQ(WINDOW + 0x10, self->v.run->mmio.phys_addr);
	EXPECT_EQ(KVM_EXIT_HLT, vcpu_run(&self->v));
}

TEST_HARNESS_MAIN
