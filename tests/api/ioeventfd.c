// SPDX-License-Identifier: GPL-2.0-only
/* KVM_IOEVENTFD: which write signals which eventfd, on ports and in memory. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "ops.h"
#include "kselftest_harness.h"

#define PORT	0x5680

FIXTURE(ioeventfd) {
	struct vm vm;
	int efd;
};

FIXTURE_SETUP(ioeventfd)
{
	vm_create(&self->vm);
	ops_begin(&self->vm);
	self->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

FIXTURE_TEARDOWN(ioeventfd)
{
	close(self->efd);
	vm_destroy(&self->vm);
}

static u64 signalled(int fd)
{
	u64 n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int set(struct vm *vm, int fd, u64 addr, u32 len, u32 flags, u64 match)
{
	struct kvm_ioeventfd e = {
		.addr = addr, .len = len, .fd = fd, .flags = flags, .datamatch = match,
	};

	return err(ioctl(vm->fd, KVM_IOEVENTFD, &e));
}

#define PIO	KVM_IOEVENTFD_FLAG_PIO
#define MATCH	KVM_IOEVENTFD_FLAG_DATAMATCH
#define GONE	KVM_IOEVENTFD_FLAG_DEASSIGN

/* Does one write of a size signal the eventfd, or go to userspace? */
static bool hits(struct vm *vm, int fd, u64 what, u64 addr, u64 val)
{
	struct op op = { what, addr, val };
	int i;

	ops_start(vm, &op, 1);
	for (i = 0; !ops_ended(vm) && i < 3; i++)
		vm_run(vm);
	if (!ops_ended(vm))
		die("no end");
	return signalled(fd) == 1 && i == 0;
}

TEST_F(ioeventfd, pio_lengths)
{
	static const u64 out[] = { OUT1, OUT2, OUT4 };
	struct vm *vm = &self->vm;

	for (int len = 0; len < 3; len++) {
		ASSERT_EQ(0, set(vm, self->efd, PORT, 1 << len, PIO, 0));
		for (int i = 0; i < 3; i++)
			EXPECT_EQ(i == len, hits(vm, self->efd, out[i], PORT, 0x1234567));
		EXPECT_FALSE(hits(vm, self->efd, out[len], PORT + 1, 0));
		EXPECT_FALSE(hits(vm, self->efd, out[len], PORT - 1, 0));
		ASSERT_EQ(0, set(vm, self->efd, PORT, 1 << len, PIO | GONE, 0));
		EXPECT_FALSE(hits(vm, self->efd, out[len], PORT, 0));
	}
	/* any length */
	ASSERT_EQ(0, set(vm, self->efd, PORT, 0, PIO, 0));
	for (int i = 0; i < 3; i++)
		EXPECT_TRUE(hits(vm, self->efd, out[i], PORT, 7));
}

TEST_F(ioeventfd, mmio_lengths)
{
	static const u64 wr[] = { WR1, WR2, WR4, WR8 };
	struct vm *vm = &self->vm;

	for (int len = 0; len < 4; len++) {
		ASSERT_EQ(0, set(vm, self->efd, GPA_MMIO + 0x100, 1 << len, 0, 0));
		for (int i = 0; i < 4; i++)
			EXPECT_EQ(i == len, hits(vm, self->efd, wr[i], GPA_MMIO + 0x100, ~0ULL));
		ASSERT_EQ(0, set(vm, self->efd, GPA_MMIO + 0x100, 1 << len, GONE, 0));
	}
	ASSERT_EQ(0, set(vm, self->efd, GPA_MMIO + 0x100, 0, 0, 0));
	for (int i = 0; i < 4; i++)
		EXPECT_TRUE(hits(vm, self->efd, wr[i], GPA_MMIO + 0x100, 1));
	EXPECT_FALSE(hits(vm, self->efd, WR1, GPA_MMIO + 0x101, 1));
}

TEST_F(ioeventfd, datamatch)
{
	struct vm *vm = &self->vm;
	int other = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(0, set(vm, self->efd, PORT, 2, PIO | MATCH, 0x1234));
	ASSERT_EQ(0, set(vm, other, PORT, 2, PIO | MATCH, 0x1235));
	EXPECT_TRUE(hits(vm, self->efd, OUT2, PORT, 0x1234));
	EXPECT_EQ(0, signalled(other));
	EXPECT_TRUE(hits(vm, other, OUT2, PORT, 0x1235));
	EXPECT_EQ(0, signalled(self->efd));
	EXPECT_FALSE(hits(vm, other, OUT2, PORT, 0x1236));
	ASSERT_EQ(0, set(vm, self->efd, GPA_MMIO, 8, MATCH, 0x123456789abcdef0));
	EXPECT_TRUE(hits(vm, self->efd, WR8, GPA_MMIO, 0x123456789abcdef0));
	EXPECT_FALSE(hits(vm, self->efd, WR8, GPA_MMIO, 0x3456789abcdef0));
	close(other);
}

/* A read is never an eventfd's, and a string's units are. */
TEST_F(ioeventfd, read)
{
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, set(vm, self->efd, PORT, 1, PIO, 0));
	EXPECT_FALSE(hits(vm, self->efd, IN1, PORT, 0));
	EXPECT_EQ(0, signalled(self->efd));
}

GUEST(strings, 64, "mov $0x5680, %edx; mov $0x20000, %esi; mov $100, %ecx; cld; rep outsb; out %al, $0x10");

TEST_F(ioeventfd, string)
{
	struct vm *vm = &self->vm;
	struct kvm_regs r;
	int exits = 0;
	u64 n;

	GUEST_LOAD(vm, strings);
	for (int i = 0; i < 100; i++)
		vm->mem[GPA_DATA + i] = i;
	ASSERT_EQ(0, set(vm, self->efd, PORT, 1, PIO, 0));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	ASSERT_TRUE(ops_ended(vm));
	EXPECT_EQ(0, read(self->efd, &n, 8) - 8);
	EXPECT_EQ(100, n);
	/* one that matches some units only: all the others come here */
	ASSERT_EQ(0, set(vm, self->efd, PORT, 1, PIO | GONE, 0));
	ASSERT_EQ(0, set(vm, self->efd, PORT, 1, PIO | MATCH, 0));
	r = vcpu_regs(&vm->vcpu);
	r.rip = GPA_CODE;
	vcpu_set_regs(&vm->vcpu, &r);
	while (vm_run(vm) == KVM_EXIT_IO && !ops_ended(vm))
		exits += vm->vcpu.run->io.count;
	EXPECT_LE(99, exits);
	EXPECT_GE(100, exits);
}

TEST_F(ioeventfd, wrong)
{
	struct vm *vm = &self->vm;
	int plain = open("/dev/null", O_RDWR);

	EXPECT_EQ(EINVAL, set(vm, self->efd, PORT, 3, PIO, 0));
	EXPECT_EQ(EINVAL, set(vm, self->efd, PORT, 16, PIO, 0));
	EXPECT_EQ(EINVAL, set(vm, self->efd, PORT, ~0U, PIO, 0));
	EXPECT_EQ(EINVAL, set(vm, self->efd, PORT, 0, PIO | MATCH, 0));
	EXPECT_EQ(EINVAL, set(vm, self->efd, PORT, 1, 1 << 5, 0));
	EXPECT_EQ(EINVAL, set(vm, self->efd, PORT, 1, 1U << 31, 0));
	EXPECT_EQ(EINVAL, set(vm, self->efd, ~0ULL, 2, 0, 0));
	EXPECT_EQ(EINVAL, set(vm, plain, PORT, 1, PIO, 0));
	EXPECT_EQ(EBADF, set(vm, 999, PORT, 1, PIO, 0));
	EXPECT_EQ(EBADF, set(vm, -1, PORT, 1, PIO, 0));
	EXPECT_EQ(ENOENT, set(vm, self->efd, PORT, 1, PIO | GONE, 0));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_IOEVENTFD, BAD_PTR)));
	if (!on_stock()) {
		EXPECT_EQ(EINVAL, set(vm, self->efd, 0x10000, 1, PIO, 0));
		EXPECT_EQ(EINVAL, set(vm, self->efd, 0xffff, 2, PIO, 0));
	}
	close(plain);
}

TEST_F(ioeventfd, collisions)
{
	struct vm *vm = &self->vm;
	int other = eventfd(0, 0);

	ASSERT_EQ(0, set(vm, self->efd, PORT, 4, PIO | MATCH, 1));
	EXPECT_EQ(EEXIST, set(vm, other, PORT, 4, PIO | MATCH, 1));
	EXPECT_EQ(EEXIST, set(vm, other, PORT, 4, PIO, 0));
	EXPECT_EQ(EEXIST, set(vm, other, PORT, 0, PIO, 0));
	EXPECT_EQ(0, set(vm, other, PORT, 4, PIO | MATCH, 2));
	EXPECT_EQ(0, set(vm, other, PORT, 2, PIO, 0));
	EXPECT_EQ(0, set(vm, other, PORT, 4, 0, 0));
	/* only as it was made is it taken away */
	EXPECT_EQ(ENOENT, set(vm, other, PORT, 4, PIO | MATCH | GONE, 1));
	EXPECT_EQ(ENOENT, set(vm, self->efd, PORT, 4, PIO | MATCH | GONE, 3));
	EXPECT_EQ(ENOENT, set(vm, self->efd, PORT, 4, PIO | GONE, 0));
	EXPECT_EQ(0, set(vm, self->efd, PORT, 4, PIO | MATCH | GONE, 1));
	close(other);
}

/* As many as there may be, then ENOSPC; all of them answer. */
TEST_F(ioeventfd, many)
{
	struct vm *vm = &self->vm;
	int n, r = 0;

	for (n = 0; n < 5000 && !r; n++)
		r = set(vm, self->efd, GPA_MMIO + (n * 7919) % 8192 * 8, 4, 0, 0);
	EXPECT_EQ(ENOSPC, r);
	EXPECT_LE(900, n);
	for (int i = 0; i < n - 1; i += 50)
		EXPECT_TRUE(hits(vm, self->efd, WR4, GPA_MMIO + (i * 7919) % 8192 * 8, 0));
	EXPECT_FALSE(hits(vm, self->efd, WR4, GPA_MMIO + (n * 7919) % 8192 * 8 + 4, 0));
}

GUEST(storm, 64, "mov $0x5680, %edx; 1: out %al, %dx; jmp 1b");

struct storm {
	struct vm vm;
	pthread_t thread;
	int fd;			/* PIO at PORT while it is there */
};

static void *run_storm(void *arg)
{
	struct storm *s = arg;

	/* An immediate exit ends it. */
	while (!__atomic_load_n(&s->vm.vcpu.run->immediate_exit, __ATOMIC_RELAXED))
		ioctl(s->vm.vcpu.fd, KVM_RUN, 0);
	return NULL;
}

/* Taken away and put back while the guest writes there. timeout: 600 */
TEST_F_TIMEOUT(ioeventfd, storm, 300)
{
	struct storm s = { .vm = self->vm };

	GUEST_LOAD(&self->vm, storm);
	pthread_create(&s.thread, NULL, run_storm, &s);
	for (int i = 0; i < (is_slow() ? 600 : 2000); i++) {
		ASSERT_EQ(0, set(&s.vm, self->efd, PORT, 1, PIO, 0));
		ASSERT_EQ(0, set(&s.vm, self->efd, PORT, 1, PIO | GONE, 0));
	}
	s.vm.vcpu.run->immediate_exit = 1;
	pthread_join(s.thread, NULL);
}

/* The VM goes with eventfds on its buses, closed before or after. timeout: 600 */
TEST_F_TIMEOUT(ioeventfd, close_orders, 300)
{
	for (int i = 0; i < (is_slow() ? 120 : 400); i++) {
		int sys = open("/dev/kvm", O_RDWR), efd = eventfd(0, 0);
		struct vm vm = { .fd = ioctl(sys, KVM_CREATE_VM, 0L) };

		ASSERT_LE(0, vm.fd);
		for (int k = 0; k < 4; k++)
			ASSERT_EQ(0, set(&vm, efd, PORT + k, 1, k & 1 ? PIO : 0, 0));
		if (i & 1)
			close(efd);
		close(vm.fd);
		if (!(i & 1))
			close(efd);
		close(sys);
	}
}

TEST_HARNESS_MAIN
