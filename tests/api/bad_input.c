// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every call with every kind of bad argument, from 64-bit and from 32-bit code:
 * each ends with an errno that says why, changes nothing then, and leaves the VM
 * running.
 * timeout: 400
 */
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define PAGE	4096UL

enum where { SYS, VM, VCPU };

/* count_at: where a 32-bit count lies that may be count_max at most; 0 max: none */
struct call {
	const char *name;
	u32 cmd;
	enum where on;
	u32 count_at, count_max;
};

#define C(cmd, on)			{ #cmd, (u32)cmd, on, 0, 0 }
#define N(cmd, on, at, max)		{ #cmd, (u32)cmd, on, at, max }

static const struct call calls[] = {
	C(KVM_GET_API_VERSION, SYS),
	C(KVM_CREATE_VM, SYS),
	N(KVM_GET_MSR_INDEX_LIST, SYS, 0, 256),
	N(KVM_GET_MSR_FEATURE_INDEX_LIST, SYS, 0, 256),
	C(KVM_CHECK_EXTENSION, SYS),
	C(KVM_GET_VCPU_MMAP_SIZE, SYS),
	N(KVM_GET_SUPPORTED_CPUID, SYS, 0, 256),
	N(KVM_GET_EMULATED_CPUID, SYS, 0, 256),
	C(KVM_X86_GET_MCE_CAP_SUPPORTED, SYS),
	N(KVM_GET_MSRS, SYS, 0, 256),
	C(KVM_GET_DEVICE_ATTR, SYS), C(KVM_HAS_DEVICE_ATTR, SYS),

	C(KVM_SET_MEMORY_REGION, VM),
	C(KVM_CREATE_VCPU, VM),
	C(KVM_GET_DIRTY_LOG, VM),
	C(KVM_CLEAR_DIRTY_LOG, VM),
	C(KVM_RESET_DIRTY_RINGS, VM),
	C(KVM_SET_MEMORY_ALIAS, VM),
	C(KVM_SET_NR_MMU_PAGES, VM), C(KVM_GET_NR_MMU_PAGES, VM),
	C(KVM_SET_USER_MEMORY_REGION, VM), C(KVM_SET_USER_MEMORY_REGION2, VM),
	C(KVM_SET_TSS_ADDR, VM),
	C(KVM_SET_IDENTITY_MAP_ADDR, VM),
	C(KVM_CHECK_EXTENSION, VM),
	C(KVM_CREATE_IRQCHIP, VM), C(KVM_IRQ_LINE, VM), C(KVM_IRQ_LINE_STATUS, VM),
	C(KVM_GET_IRQCHIP, VM), C(KVM_SET_IRQCHIP, VM),
	C(KVM_CREATE_PIT, VM), C(KVM_CREATE_PIT2, VM),
	C(KVM_GET_PIT, VM), C(KVM_SET_PIT, VM), C(KVM_GET_PIT2, VM), C(KVM_SET_PIT2, VM),
	C(KVM_REINJECT_CONTROL, VM),
	C(KVM_REGISTER_COALESCED_MMIO, VM), C(KVM_UNREGISTER_COALESCED_MMIO, VM),
	N(KVM_SET_GSI_ROUTING, VM, 0, 4096),
	C(KVM_IRQFD, VM), C(KVM_IOEVENTFD, VM), C(KVM_SIGNAL_MSI, VM),
	C(KVM_SET_BOOT_CPU_ID, VM),
	C(KVM_SET_CLOCK, VM), C(KVM_GET_CLOCK, VM),
	C(KVM_ENABLE_CAP, VM),
	C(KVM_X86_SET_MSR_FILTER, VM),
	C(KVM_GET_STATS_FD, VM),
	C(KVM_SET_DEVICE_ATTR, VM), C(KVM_GET_DEVICE_ATTR, VM), C(KVM_HAS_DEVICE_ATTR, VM),

	C(KVM_RUN, VCPU),
	C(KVM_GET_REGS, VCPU), C(KVM_SET_REGS, VCPU),
	C(KVM_GET_SREGS, VCPU), C(KVM_SET_SREGS, VCPU),
	C(KVM_GET_SREGS2, VCPU), C(KVM_SET_SREGS2, VCPU),
	C(KVM_TRANSLATE, VCPU), C(KVM_PRE_FAULT_MEMORY, VCPU),
	C(KVM_INTERRUPT, VCPU), C(KVM_NMI, VCPU), C(KVM_SMI, VCPU),
	C(KVM_DEBUG_GUEST, VCPU), C(KVM_SET_GUEST_DEBUG, VCPU),
	N(KVM_GET_MSRS, VCPU, 0, 256), N(KVM_SET_MSRS, VCPU, 0, 256),
	C(KVM_GET_ONE_REG, VCPU), C(KVM_SET_ONE_REG, VCPU),
	N(KVM_SET_CPUID, VCPU, 0, 256), N(KVM_SET_CPUID2, VCPU, 0, 256),
	N(KVM_GET_CPUID2, VCPU, 0, 256),
	N(KVM_SET_SIGNAL_MASK, VCPU, 0, 8),
	C(KVM_GET_FPU, VCPU), C(KVM_SET_FPU, VCPU),
	C(KVM_GET_XSAVE, VCPU), C(KVM_GET_XSAVE2, VCPU), C(KVM_SET_XSAVE, VCPU),
	C(KVM_GET_XCRS, VCPU), N(KVM_SET_XCRS, VCPU, 0, KVM_MAX_XCRS),
	C(KVM_GET_LAPIC, VCPU), C(KVM_SET_LAPIC, VCPU),
	C(KVM_TPR_ACCESS_REPORTING, VCPU), C(KVM_SET_VAPIC_ADDR, VCPU),
	C(KVM_GET_MP_STATE, VCPU), C(KVM_SET_MP_STATE, VCPU),
	C(KVM_X86_SETUP_MCE, VCPU), C(KVM_X86_SET_MCE, VCPU),
	C(KVM_GET_VCPU_EVENTS, VCPU), C(KVM_SET_VCPU_EVENTS, VCPU),
	C(KVM_GET_DEBUGREGS, VCPU), C(KVM_SET_DEBUGREGS, VCPU),
	C(KVM_SET_TSC_KHZ, VCPU), C(KVM_GET_TSC_KHZ, VCPU),
	C(KVM_ENABLE_CAP, VCPU), C(KVM_KVMCLOCK_CTRL, VCPU),
	C(KVM_GET_STATS_FD, VCPU),
	C(KVM_SET_DEVICE_ATTR, VCPU), C(KVM_GET_DEVICE_ATTR, VCPU), C(KVM_HAS_DEVICE_ATTR, VCPU),
};

/* Halts for ever, whatever interrupts it. */
GUEST(halts, 64, "1: hlt\n jmp 1b");
/* Leaves with input on its way, by a port and by memory. */
GUEST(asks, 64, "1: in $0x10, %eax\n mov (%rbx), %rax\n mov %rax, (%rbx)\n out %al, $0x11\n jmp 1b");

FIXTURE(bad) {
	struct vm vm;
	u8 *buf;		/* in the lower 4 GB, with nothing behind it */
	size_t size;
	unsigned long cases, failed;
};

FIXTURE_VARIANT(bad) {
	bool compat;
};

FIXTURE_VARIANT_ADD(bad, from_64_bit) { .compat = false };
FIXTURE_VARIANT_ADD(bad, from_32_bit) { .compat = true };

static void on_alarm(int sig)
{
}

FIXTURE_SETUP(bad)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &sa, NULL);
	vm_start(&self->vm, LONG, halts);
	self->size = 64 * PAGE;
	self->buf = mmap(NULL, self->size + PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, self->buf);
	ASSERT_EQ(0, munmap(self->buf + self->size, PAGE));
	self->cases = self->failed = 0;
}

FIXTURE_TEARDOWN(bad)
{
	printf("# %lu cases tried, %lu refused\n", self->cases, self->failed);
	fflush(stdout);
	vm_destroy(&self->vm);
	munmap(self->buf, self->size);
}

/* As a 32-bit process calls the kernel; it takes the same way there. */
static long ioctl32(int fd, u32 cmd, unsigned long arg)
{
	long r;

	asm volatile("int $0x80" : "=a"(r) : "a"(54), "b"((long)fd), "c"((long)cmd), "d"(arg)
		     : "memory", "r8", "r9", "r10", "r11");
	r = (int)r;
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

static bool errno_is_clear(int e)
{
	static const int clear[] = {
		EFAULT, EINVAL, ENOENT, ENXIO, ENOTTY, E2BIG, EEXIST, ENOMEM, EPERM, EBUSY,
		ENODEV, EINTR, EBADF, ENOSPC, EOPNOTSUPP,
	};

	for (size_t i = 0; i < ARRAY_LEN(clear); i++)
		if (clear[i] == e)
			return true;
	return false;
}

static bool gives_fd(u32 cmd)
{
	return cmd == KVM_CREATE_VM || cmd == KVM_CREATE_VCPU || cmd == KVM_GET_STATS_FD;
}

/* Let it run for a moment, wherever it has been sent. */
static int run_for_a_moment(struct vcpu *vcpu)
{
	struct itimerval t = { .it_value.tv_usec = 5000, .it_interval.tv_usec = 5000 }, off = { };
	int r;

	setitimer(ITIMER_REAL, &t, NULL);
	r = ioctl(vcpu->fd, KVM_RUN, 0L);
	setitimer(ITIMER_REAL, &off, NULL);
	return r;
}

/* Not from a state of noise where a guest's shutdown, or its single step, ends the host. */
static bool may_run(u32 cmd)
{
	static const u32 noise[] = {
		(u32)KVM_SET_REGS, (u32)KVM_SET_SREGS, (u32)KVM_SET_SREGS2, (u32)KVM_SET_GUEST_DEBUG,
		(u32)KVM_SET_DEBUGREGS, (u32)KVM_SET_VCPU_EVENTS, (u32)KVM_SET_USER_MEMORY_REGION,
		(u32)KVM_SET_USER_MEMORY_REGION2,
	};

	for (size_t i = 0; i < ARRAY_LEN(noise); i++)
		if (cmd == noise[i])
			return !on_bochs_svm();
	return true;
}

static void start_again(struct vm *vm)
{
	vm_destroy(vm);
	vm_start(vm, LONG, halts);
}

#define try(which, arg, what) do {							\
	const struct call *c_ = (which);							\
	unsigned long arg_ = (unsigned long)(arg);					\
	int fd_ = c_->on == SYS ? self->vm.sys : c_->on == VM ? self->vm.fd :		\
		  self->vm.vcpu.fd;							\
	long r_;									\
	errno = 0;									\
	r_ = variant->compat ? ioctl32(fd_, c_->cmd, arg_) : ioctl(fd_, c_->cmd, arg_);	\
	self->cases++;									\
	if (r_ < 0) {									\
		self->failed++;								\
		EXPECT_TRUE(errno_is_clear(errno))					\
			TH_LOG("%s, %s: errno %d", c_->name, what, errno);		\
		/* refused, so nothing has changed */					\
		EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm))				\
			TH_LOG("%s, %s: the VM does not run", c_->name, what);		\
	} else {									\
		if (gives_fd(c_->cmd))							\
			close(r_);							\
		if (may_run(c_->cmd))							\
			run_for_a_moment(&self->vm.vcpu);				\
		if (_IOC_DIR(c_->cmd) != _IOC_READ && c_->cmd != KVM_CHECK_EXTENSION)	\
			start_again(&self->vm);						\
	}										\
} while (0)

/*
 * What calls read or write, at both ends of the buffer: no more than an ioctl's number
 * can say but for the longest lists, and to write all of it takes longer than the call.
 */
static void fill(u8 *buf, size_t size, u8 value, u32 count)
{
	size_t part = count > 256 ? size / 2 : 4 * PAGE;

	memset(buf, value, part);
	memset(buf + size - part, value, part);
}

#define FILL(value, count)	fill(self->buf, self->size, value, count)

static size_t arg_size(const struct call *c)
{
	return _IOC_SIZE(c->cmd);
}

TEST_F_TIMEOUT(bad, pointers, 300)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		const struct call *c = &calls[i];
		size_t size = arg_size(c) ? arg_size(c) : 8;
		u8 *end = self->buf + self->size;

		FILL(0, 0);
		try(c, 0, "no argument");
		try(c, 0x10, "bad pointer");
		try(c, variant->compat ? 0xfffff000UL : 0xffff888000000000UL, "the kernel's address");
		try(c, ~0UL, "address -1");
		try(c, end, "unmapped page");
		try(c, end - size / 2, "straddling an unmapped page, zeros");
		FILL(0xff, 0);
		try(c, end - size / 2, "straddling an unmapped page, ones");
		try(c, end - 1, "one byte");
	}
}

TEST_F_TIMEOUT(bad, contents, 300)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		const struct call *c = &calls[i];

		FILL(0, 0);
		try(c, self->buf, "zeros");
		FILL(0xff, 0);
		try(c, self->buf, "ones");
		for (int n = 0; n < (is_slow() ? 1 : 4); n++) {
			for (size_t j = 0; j < arg_size(c) + 64; j++)
				self->buf[j] = rand() >> 7;
			try(c, self->buf, "noise");
		}
		/* small numbers, so that more of the checks are passed */
		FILL(0, 0);
		for (size_t j = 0; j + 8 < arg_size(c); j += 4)
			self->buf[j] = rand() & 3;
		try(c, self->buf, "small numbers");
	}
}

TEST_F_TIMEOUT(bad, counts, 300)
{
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		const struct call *c = &calls[i];
		u8 *end = self->buf + self->size;
		u32 counts[] = { 0, 1, c->count_max, c->count_max + 1, 1U << 31, ~0U, 0x0fffffff,
				 0x10000001, 0x20000001 };

		if (!c->count_max)
			continue;
		for (size_t j = 0; j < ARRAY_LEN(counts); j++) {
			FILL(0, c->count_max);
			*(u32 *)(self->buf + c->count_at) = counts[j];
			try(c, self->buf, "count");
			FILL(0xff, c->count_max);
			*(u32 *)(self->buf + c->count_at) = counts[j];
			try(c, self->buf, "count, ones behind");
			/* nothing mapped behind the head */
			memset(end - 64, 0, 64);
			*(u32 *)(end - arg_size(c) + c->count_at) = counts[j];
			try(c, end - arg_size(c), "count, nothing behind");
		}
	}
}

/* Every number there could be, on every kind of file. */
TEST_F_TIMEOUT(bad, numbers, 300)
{
	for (int on = SYS; on <= VCPU; on++) {
		for (u32 nr = 0; nr < 256; nr++) {
			struct call c = { "_IO", _IO(KVMIO, nr), on, 0, 0 };

			FILL(0xff, 0);
			try(&c, self->buf + self->size - 8, "number");
			c.cmd = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, nr, 0x3fff);
			try(&c, self->buf, "large");
		}
	}
}

/* kvm_run is userspace's: noise in it, with input on its way and without. */
TEST_F_TIMEOUT(bad, kvm_run, 300)
{
	const int rounds = is_slow() ? 20 : 300;
	struct kvm_regs r;

	MAY_SHUT_DOWN();
	for (int i = 0; i < rounds; i++) {
		u8 *run = (u8 *)self->vm.vcpu.run;

		if (i % 20 == 0) {
			start_again(&self->vm);
			GUEST_LOAD(&self->vm, asks);
			run = (u8 *)self->vm.vcpu.run;
			r = vcpu_regs(&self->vm.vcpu);
			r.rbx = GPA_MMIO;
			vcpu_set_regs(&self->vm.vcpu, &r);
		}
		if (i % 3)
			run_for_a_moment(&self->vm.vcpu);
		for (size_t j = 0; j < self->vm.run_size; j += 4)
			*(u32 *)(run + j) = i % 5 ? mrand48() : ~0;
		if (i % 2) {
			struct kvm_run *kr = self->vm.vcpu.run;

			/* what would be refused at once */
			kr->kvm_valid_regs = kr->kvm_dirty_regs = i & 7;
			kr->cr8 = i & 15;
			kr->apic_base = 0xfee00900;
			kr->immediate_exit = i & 1;
		}
		run_for_a_moment(&self->vm.vcpu);
		self->cases++;
	}
	start_again(&self->vm);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* mmap() of each file with each size and place. */
TEST_F_TIMEOUT(bad, mmap, 300)
{
	static const u64 offsets[] = { 0, PAGE, 2 * PAGE, 3 * PAGE, 64 * PAGE, 1ULL << 40, ~0ULL << 12 };
	static const size_t sizes[] = { PAGE, 2 * PAGE, 3 * PAGE, 4 * PAGE, 1 << 20, 1UL << 30 };
	int fds[] = { self->vm.sys, self->vm.fd, self->vm.vcpu.fd }, out[2];

	ASSERT_EQ(0, pipe(out));
	for (size_t f = 0; f < ARRAY_LEN(fds); f++)
	for (size_t o = 0; o < ARRAY_LEN(offsets); o++)
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
	for (int flags = MAP_SHARED; flags <= MAP_PRIVATE; flags++) {
		u8 *p = mmap(NULL, sizes[s], PROT_READ | PROT_WRITE, flags, fds[f], offsets[o]);

		self->cases++;
		if (p == MAP_FAILED)
			continue;
		/* the kernel's copy, so that no signal comes of it */
		if (write(out[1], p, 1) == 1)
			ASSERT_EQ(1, read(out[0], self->buf, 1));
		if (write(out[1], p + sizes[s] - 1, 1) == 1)
			ASSERT_EQ(1, read(out[0], self->buf, 1));
		munmap(p, sizes[s]);
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	close(out[0]);
	close(out[1]);
}

/* Where a 32-bit process's structures are others, or leave half a field undefined. */
TEST(compat_structures)
{
	struct {
		u32 flags;
		struct { u32 flags, nmsrs, base, bitmap; } ranges[KVM_MSR_FILTER_MAX_RANGES];
	} *filter;
	struct kvm_dirty_log *log;
	struct kvm_clear_dirty_log *clear;
	struct kvm_signal_mask *mask;
	struct vm vm;
	u8 *low = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	u32 cmd = _IOW(KVMIO, 0xc6, typeof(*filter));

	ASSERT_NE(MAP_FAILED, low);
	vm_start(&vm, LONG, halts);
	log = (void *)low;
	*log = (struct kvm_dirty_log){ .slot = 0 };
	log->padding2 = 0xdead00000000ULL << 16 | (u32)(unsigned long)(low + PAGE);
	ASSERT_EQ(0, vm_slot(&vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MEM_SIZE, vm.mem));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&vm));
	EXPECT_EQ(0, ioctl32(vm.fd, KVM_GET_DIRTY_LOG, (unsigned long)log));
	clear = (void *)low;
	*clear = (struct kvm_clear_dirty_log){ .num_pages = 64 };
	clear->padding2 = log->padding2 | 0xbeefULL << 48 | (u32)(unsigned long)(low + PAGE);
	EXPECT_EQ(0, ioctl32(vm.fd, KVM_CLEAR_DIRTY_LOG, (unsigned long)clear));
	if (check_cap(vm.fd, KVM_CAP_X86_MSR_FILTER)) {
		filter = (void *)low;
		memset(low, 0, PAGE);
		filter->ranges[0].flags = KVM_MSR_FILTER_READ;
		filter->ranges[0].nmsrs = 8;
		filter->ranges[0].bitmap = (u32)(unsigned long)(low + PAGE);
		EXPECT_EQ(0, ioctl32(vm.fd, cmd, (unsigned long)filter));
		filter->ranges[0].bitmap = 0x10;
		EXPECT_EQ(-1, ioctl32(vm.fd, cmd, (unsigned long)filter));
		EXPECT_EQ(EFAULT, errno);
	}
	mask = (void *)low;
	memset(low, 0, PAGE);
	mask->len = 8;
	EXPECT_EQ(0, ioctl32(vm.vcpu.fd, KVM_SET_SIGNAL_MASK, (unsigned long)mask));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&vm));
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
