// SPDX-License-Identifier: GPL-2.0-only
/*
 * The machine slept while virtual machines existed, and its TSC began again: the lab
 * host cannot, as its file system does not survive that, so it is made believe by
 * a parameter.  The host's TSC seems to have lost AWAY, and what the guest sees has
 * to make up for that, no less and no more than by the time that passed.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <x86intrin.h>
#include "vm.h"
#include "kselftest_harness.h"

#define PARAMETER	"/sys/module/kvm/parameters/resume_tsc_offset"
#define AWAY		(1ULL << 42)
#define GPA_TIME	GPA_FREE
#define MSR_TIME	0x4b564d01

struct pv_time {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	int8_t shift;
	u8 flags, pad2[2];
};

GUEST(tsc, 64,
	"1:	rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %rbx\n"
	"	out %al, $0x10\n"
	"	jmp 1b\n");

/* Sleeps until the TSC is RSI further on, by the x2APIC's timer. */
GUEST(deadline, 64,
	"	mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
	"	mov $0x832, %ecx; mov $0x40040, %eax; wrmsr\n"
	"	rdtsc; shl $32, %rdx; or %rdx, %rax; add %rsi, %rax\n"
	"	mov %rax, %rdx; shr $32, %rdx; mov $0x6e0, %ecx; wrmsr\n"
	"	out %al, $0x11\n"
	"	sti; hlt\n"
	"	cli; out %al, $0x10\n");

static bool lose_tsc(u64 ticks)
{
	int fd = open(PARAMETER, O_WRONLY);
	bool ok = fd >= 0 && dprintf(fd, "%llu", (unsigned long long)ticks) > 0;

	close(fd);
	return ok;
}

#define CAN_LOSE_TSC() do {						\
	if (access(PARAMETER, W_OK))					\
		SKIP(return, "the module cannot make believe a lost TSC"); \
} while (0)

FIXTURE(suspend) {
	struct vm vm;
	struct vcpu *v;
	volatile struct pv_time *time;
};

FIXTURE_SETUP(suspend)
{
	vm_create_split(&self->vm);
	self->v = &self->vm.vcpu;
	vm_mode(&self->vm, self->v, LONG);
	self->time = (void *)(self->vm.mem + GPA_TIME);
}

FIXTURE_TEARDOWN(suspend)
{
	vm_destroy(&self->vm);
}

static u64 tick(struct vm *vm)
{
	if (vm_run(vm) != KVM_EXIT_IO)
		die("the guest did not leave");
	return vcpu_regs(&vm->vcpu).rbx;
}

static u64 to_ns(const volatile struct pv_time *t, u64 ticks)
{
	ticks = t->shift < 0 ? ticks >> -t->shift : ticks << t->shift;
	return (unsigned __int128)ticks * t->mul >> 32;
}

static struct kvm_clock_data get_clock(struct vm *vm)
{
	struct kvm_clock_data c;

	if (ioctl(vm->fd, KVM_GET_CLOCK, &c))
		die("KVM_GET_CLOCK");
	return c;
}

/* What the guest sees goes on by what was lost, and by no more than what passed here. */
static void goes_on(struct __test_metadata *_metadata, struct vm *vm,
		    const volatile struct pv_time *t, u64 away)
{
	u64 host = __rdtsc(), tsc = tick(vm), ns = t->ns + to_ns(t, tsc - t->tsc);
	struct kvm_clock_data c = get_clock(vm);
	u64 clock = c.clock, passed, most, away_ns, tsc2, ns2, clock2;

	ASSERT_TRUE(lose_tsc(away));
	tsc2 = tick(vm);
	ns2 = t->ns + to_ns(t, tsc2 - t->tsc);
	clock2 = get_clock(vm).clock;
	passed = __rdtsc() - host;
	/* The emulator may be off the processor between the TSC and another clock. */
	most = to_ns(t, passed) + 1000000000;
	/* The clock counts by the TSC if the host's does; else it has lost nothing. */
	away_ns = c.flags & KVM_CLOCK_HOST_TSC ? to_ns(t, away) : 0;

	ASSERT_LT(passed, AWAY / 8);
	EXPECT_LE(tsc + away, tsc2 + passed);
	EXPECT_LE(tsc2, tsc + away + passed);
	EXPECT_LE(ns + away_ns, ns2 + most);
	EXPECT_LE(ns2, ns + away_ns + most);
	EXPECT_LE(clock + away_ns, clock2 + most);
	EXPECT_LE(clock2, clock + away_ns + most);
	/* The two clocks are one: they differ by no more than this took. */
	EXPECT_LE(ns2, clock2 + most);
	EXPECT_LE(clock2, ns2 + most);
}

/* The TSC counts on while the machine sleeps. */
TEST_F_TIMEOUT(suspend, nonstop, 120)
{
	CAN_LOSE_TSC();
	GUEST_LOAD(&self->vm, tsc);
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, GPA_TIME | 1));
	tick(&self->vm);
	goes_on(_metadata, &self->vm, self->time, 0);
}

/* It began again, twice. */
TEST_F_TIMEOUT(suspend, restarted, 180)
{
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET };
	u64 offset, before, after;

	CAN_LOSE_TSC();
	GUEST_LOAD(&self->vm, tsc);
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, GPA_TIME | 1));
	tick(&self->vm);
	goes_on(_metadata, &self->vm, self->time, AWAY);
	goes_on(_metadata, &self->vm, self->time, AWAY);
	/* The offset that userspace reads and sets is to the host's TSC as it is. */
	attr.addr = (unsigned long)&offset;
	ASSERT_EQ(0, ioctl(self->v->fd, KVM_GET_DEVICE_ATTR, &attr));
	before = __rdtsc() + offset;
	after = tick(&self->vm);
	EXPECT_LE(before, after);
	EXPECT_GE(__rdtsc() + offset, after);
	offset += AWAY;
	ASSERT_EQ(0, ioctl(self->v->fd, KVM_SET_DEVICE_ATTR, &attr));
	before = __rdtsc() + offset;
	after = tick(&self->vm);
	EXPECT_LE(before, after);
	EXPECT_GE(__rdtsc() + offset, after);
}

static void on_signal(int sig)
{
}

static void *run_vcpu(void *vm)
{
	return (void *)(long)vm_run(vm);
}

/* A deadline that has passed by the guest's TSC is not waited for. */
TEST_F_TIMEOUT(suspend, deadline, 120)
{
	struct kvm_regs r;
	pthread_t thread;
	void *reason;

	CAN_LOSE_TSC();
	GUEST_LOAD(&self->vm, deadline);
	r = vcpu_regs(self->v);
	r.rsi = AWAY / 2;
	r.rflags = 2;
	vcpu_set_regs(self->v, &r);
	ASSERT_EQ(1, vcpu_set_msr(self->v, 0x1b, 0xfee00000 | BIT(8) | BIT(10) | BIT(11)));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	ASSERT_EQ(0x11, self->v->run->io.port);
	signal(SIGUSR1, on_signal);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_vcpu, &self->vm));
	usleep(100000);
	ASSERT_TRUE(lose_tsc(AWAY));
	/* A suspend makes every thread leave the kernel. */
	ASSERT_EQ(0, pthread_kill(thread, SIGUSR1));
	ASSERT_EQ(0, pthread_join(thread, &reason));
	EXPECT_EQ(KVM_EXIT_IO, (long)reason);
	EXPECT_EQ(0x10, self->v->run->io.port);
}

TEST_HARNESS_MAIN
