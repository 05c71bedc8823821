// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paravirtual features: the clock, steal time, EOI by a flag, hypercalls.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define MSR_WALL	0x4b564d00
#define MSR_TIME	0x4b564d01
#define MSR_STEAL	0x4b564d03
#define MSR_EOI		0x4b564d04
#define MSR_POLL	0x4b564d05

#define GPA_TIME	GPA_FREE
#define GPA_WALL	(GPA_FREE + 0x100)
#define GPA_STEAL	(GPA_FREE + 0x200)
#define GPA_EOI		(GPA_FREE + 0x300)

struct pv_time {
	u32 version, pad;
	u64 tsc, ns;
	u32 mul;
	int8_t shift;
	u8 flags, pad2[2];
};

struct pv_wall {
	u32 version, sec, nsec;
};

struct pv_steal {
	u64 steal;
	u32 version, flags;
	u8 preempted;
};

/* RDMSR-free: the guest reads the TSC and leaves, again and again. */
GUEST(tsc, 64,
	"1:	rdtsc\n"
	"	shl $32, %rdx\n"
	"	or %rdx, %rax\n"
	"	mov %rax, %rbx\n"
	"	out %al, $0x10\n"
	"	jmp 1b\n");

/* VMMCALL or VMCALL, by rdi, number and arguments as userspace set them. */
GUEST(call, 64,
	"	test %rdi, %rdi\n"
	"	jnz 1f\n"
	"	vmmcall\n"
	"	jmp 2f\n"
	"1:	vmcall\n"
	"2:	out %al, $0x10\n");

FIXTURE(pv) {
	struct vm vm;
	struct vcpu *v;
	u8 *mem;
};

FIXTURE_SETUP(pv)
{
	vm_create_split(&self->vm);
	self->v = &self->vm.vcpu;
	self->mem = self->vm.mem;
	vm_mode(&self->vm, self->v, LONG);
	GUEST_LOAD(&self->vm, tsc);
}

FIXTURE_TEARDOWN(pv)
{
	vm_destroy(&self->vm);
}

static bool amd(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx != 0x756e6547;
}

static u64 host_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

/* The guest's time by its page. */
static u64 guest_ns(const volatile struct pv_time *t, u64 tsc)
{
	u64 ticks = tsc - t->tsc;

	ticks = t->shift < 0 ? ticks >> -t->shift : ticks << t->shift;
	return t->ns + (u64)((unsigned __int128)ticks * t->mul >> 32);
}

static u64 tick(struct vm *vm)
{
	if (vm_run(vm) != KVM_EXIT_IO)
		die("the guest did not leave");
	return vcpu_regs(&vm->vcpu).rbx;
}

static struct kvm_clock_data get_clock(struct vm *vm)
{
	struct kvm_clock_data c;

	if (ioctl(vm->fd, KVM_GET_CLOCK, &c))
		die("KVM_GET_CLOCK");
	return c;
}

#define MS	1000000ULL

TEST_F(pv, clock)
{
	volatile struct pv_time *t = (void *)(self->mem + GPA_TIME);
	u64 before, after, real, last = 0;

	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, GPA_TIME | 1));
	real = host_ns(CLOCK_MONOTONIC_RAW);
	for (int i = 0; i < 50; i++) {
		u64 tsc, ns;

		before = get_clock(&self->vm).clock;
		tsc = tick(&self->vm);
		after = get_clock(&self->vm).clock;
		ns = guest_ns(t, tsc);
		ASSERT_EQ(0, t->version & 1);
		ASSERT_LE(before, ns + MS);
		ASSERT_LE(ns, after + MS);
		ASSERT_LE(last, ns + MS);
		last = ns;
		usleep(1000);
	}
	real = host_ns(CLOCK_MONOTONIC_RAW) - real;
	EXPECT_LE(real, last + 100 * MS);
	EXPECT_EQ(GPA_TIME | 1, vcpu_msr(self->v, MSR_TIME));
	EXPECT_EQ(GPA_TIME | 1, vcpu_msr(self->v, 0x12));
}

TEST_F(pv, set_clock)
{
	volatile struct pv_time *t = (void *)(self->mem + GPA_TIME);
	struct kvm_clock_data c = { .clock = 5000000000000ULL };
	u64 ns;

	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, GPA_TIME | 1));
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_CLOCK, &c));
	ns = guest_ns(t, tick(&self->vm));
	ns = guest_ns(t, tick(&self->vm));
	EXPECT_LE(c.clock, ns);
	EXPECT_LE(ns, c.clock + 1000 * MS);
	/* an hour ago: it goes on by that hour */
	c.flags = KVM_CLOCK_REALTIME;
	c.realtime = host_ns(CLOCK_REALTIME) - 3600000 * MS;
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_CLOCK, &c));
	EXPECT_LE(c.clock + 3600000 * MS, get_clock(&self->vm).clock);
	EXPECT_GE(c.clock + 3610000 * MS, get_clock(&self->vm).clock);
	c.flags = 1 << 10;
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_SET_CLOCK, &c)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_SET_CLOCK, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_GET_CLOCK, BAD_PTR)));
}

/* What has no meaning yet is zero, whatever was there before. */
TEST_F(pv, padding)
{
	volatile struct pv_time *t = (void *)(self->mem + GPA_TIME);

	memset((void *)t, 0xff, sizeof(*t));
	t->version = 2;
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, GPA_TIME | 1));
	tick(&self->vm);
	EXPECT_EQ(4, t->version);
	EXPECT_EQ(0, t->pad);
	EXPECT_EQ(0, t->pad2[0] | t->pad2[1]);
	EXPECT_EQ(0, t->flags & ~3);
}

TEST_F(pv, stopped)
{
	volatile struct pv_time *t = (void *)(self->mem + GPA_TIME);

	EXPECT_EQ(EINVAL, err(ioctl(self->v->fd, KVM_KVMCLOCK_CTRL, 0L)));
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, GPA_TIME | 1));
	tick(&self->vm);
	EXPECT_EQ(0, t->flags & 2);
	ASSERT_EQ(0, ioctl(self->v->fd, KVM_KVMCLOCK_CTRL, 0L));
	tick(&self->vm);
	EXPECT_EQ(2, t->flags & 2);
}

TEST_F(pv, wall_clock)
{
	struct pv_wall *w = (void *)(self->mem + GPA_WALL);
	u64 zero, now;

	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_WALL, GPA_WALL));
	zero = w->sec * 1000000000ULL + w->nsec;
	now = zero + get_clock(&self->vm).clock;
	EXPECT_EQ(2, w->version);
	EXPECT_LE(host_ns(CLOCK_REALTIME), now + 1000 * MS);
	EXPECT_LE(now, host_ns(CLOCK_REALTIME) + 1000 * MS);
}

/* Pages that are not there, or lie across two: nothing happens to the host. */
TEST_F(pv, nowhere)
{
	static const u64 where[] = { GPA_MMIO | 1, ~0ULL, 0xffffffffff000001ULL,
				     MEM_SIZE - 8 + 1, GPA_FREE + 0xff1 };

	for (u32 i = 0; i < ARRAY_LEN(where); i++) {
		vcpu_set_msr(self->v, MSR_TIME, where[i]);
		vcpu_set_msr(self->v, MSR_WALL, where[i]);
		vcpu_set_msr(self->v, MSR_STEAL, where[i] & ~0x3eULL);
		vcpu_set_msr(self->v, MSR_EOI, where[i] & ~2ULL);
		tick(&self->vm);
		tick(&self->vm);
	}
}

TEST_F(pv, values)
{
	EXPECT_EQ(0, vcpu_set_msr(self->v, MSR_STEAL, GPA_STEAL | 3));
	EXPECT_EQ(0, vcpu_set_msr(self->v, MSR_EOI, GPA_EOI | 3));
	EXPECT_EQ(0, vcpu_set_msr(self->v, MSR_POLL, 2));
	EXPECT_EQ(1, vcpu_msr(self->v, MSR_POLL));
	EXPECT_EQ(1, vcpu_set_msr(self->v, MSR_POLL, 0));
	EXPECT_EQ(0, vcpu_msr(self->v, MSR_POLL));
}

TEST_F(pv, steal)
{
	volatile struct pv_steal *st = (void *)(self->mem + GPA_STEAL);

	if (!(cpuid_reg(self->vm.sys, 0x40000001, 0, 0) & BIT(5)))
		SKIP(return, "the host keeps no run delays");
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_STEAL, GPA_STEAL | 1));
	for (int i = 0; i < 10; i++)
		tick(&self->vm);
	EXPECT_NE(0, st->version);
	EXPECT_EQ(0, st->version & 1);
	/* out of the guest it is preempted, and what was asked for meanwhile is done */
	EXPECT_EQ(1, st->preempted);
	st->preempted |= 2;
	tick(&self->vm);
	EXPECT_EQ(1, st->preempted);
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_STEAL, 0));
}

/* How long this thread has waited for a processor, by the host's own account. */
static u64 run_delay(void)
{
	unsigned long long ran, waited = 0;
	FILE *f = fopen("/proc/thread-self/schedstat", "r");

	if (!f || fscanf(f, "%llu %llu", &ran, &waited) != 2)
		die("schedstat");
	fclose(f);
	return waited;
}

/* With another process on its only processor a vcpu waits, and its guest is told how long. */
TEST_F(pv, steal_counts)
{
	volatile struct pv_steal *st = (void *)(self->mem + GPA_STEAL);
	u64 begin, end = host_ns(CLOCK_MONOTONIC) + 600 * MS, steal = 0;
	cpu_set_t one;
	pid_t pid;

	/* the capability and the guest's bit are one */
	EXPECT_EQ(!!check_cap(self->vm.sys, KVM_CAP_STEAL_TIME),
		  !!(cpuid_reg(self->vm.sys, 0x40000001, 0, 0) & BIT(5)));
	if (!check_cap(self->vm.sys, KVM_CAP_STEAL_TIME))
		SKIP(return, "the host keeps no run delays");
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	begin = run_delay();
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_STEAL, GPA_STEAL | 1));
	pid = fork();
	ASSERT_LE(0, pid);
	if (!pid)
		for (;;)
			;
	while (host_ns(CLOCK_MONOTONIC) < end) {
		tick(&self->vm);
		EXPECT_LE(steal, st->steal);	/* it never goes back */
		steal = st->steal;
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	/* that of a third at least, and no more than there was */
	EXPECT_LT(100 * MS, run_delay() - begin);
	EXPECT_LE(steal, run_delay() - begin);
	EXPECT_LT((run_delay() - begin) / 3, steal);
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_STEAL, 0));
}

static void enforce(struct vcpu *v, bool on)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = { on } };

	if (ioctl(v->fd, KVM_ENABLE_CAP, &cap))
		die("KVM_CAP_ENFORCE_PV_FEATURE_CPUID");
}

TEST_F(pv, enforced)
{
	struct kvm_cpuid2 *c = supported_cpuid(self->vm.sys);

	for (u32 i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0x40000001)
			c->entries[i].eax = BIT(0);
	ASSERT_EQ(0, ioctl(self->v->fd, KVM_SET_CPUID2, c));
	EXPECT_EQ(1, vcpu_set_msr(self->v, MSR_TIME, 0));
	enforce(self->v, true);
	EXPECT_EQ(0, vcpu_set_msr(self->v, MSR_TIME, 0));
	EXPECT_EQ(0, vcpu_set_msr(self->v, MSR_EOI, 0));
	EXPECT_EQ(1, vcpu_set_msr(self->v, 0x12, 0));
	free(c);
}

static long call(struct vm *vm, u64 nr, u64 a0, u64 a1, u64 a2, u64 a3)
{
	struct kvm_regs r = {
		.rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rax = nr,
		.rbx = a0, .rcx = a1, .rdx = a2, .rsi = a3, .rdi = !amd(),
	};

	vcpu_set_regs(&vm->vcpu, &r);
	if (vm_run(vm) != KVM_EXIT_IO)
		die("the guest did not leave");
	return vcpu_regs(&vm->vcpu).rax;
}

/* The other vendor's instruction is made ours, but for a VMM that says no; nor in user mode. */
TEST_F(pv, other_vendors_call)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_DISABLE_QUIRKS2, .args = { KVM_X86_QUIRK_FIX_HYPERCALL_INSN },
	};
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rax = 4711, .rdi = amd() };
	u32 at = GPA_CODE + (amd() ? 10 : 5);
	u8 *third = self->mem + at + 2;

	GUEST_LOAD(&self->vm, call);
	ASSERT_EQ(amd() ? 0xc1 : 0xd9, *third);
	vcpu_set_regs(self->v, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(-1000, (long)vcpu_regs(self->v).rax);
	EXPECT_EQ(amd() ? 0xd9 : 0xc1, *third);
	EXPECT_EQ(0, trap(&self->vm)->count);

	GUEST_LOAD(&self->vm, call);
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap));
	vcpu_set_regs(self->v, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(6, trap(&self->vm)->vector);
	EXPECT_EQ(at, trap(&self->vm)->rip);
	EXPECT_EQ(amd() ? 0xc1 : 0xd9, *third);
}

TEST_F(pv, hypercalls)
{
	GUEST_LOAD(&self->vm, call);
	EXPECT_EQ(-1000, call(&self->vm, 4711, 0, 0, 0, 0));
	EXPECT_EQ(0, call(&self->vm, 1, 0, 0, 0, 0));
	/* kick and yield to processors that are not there */
	EXPECT_EQ(0, call(&self->vm, 5, 0, 77777, 0, 0));
	EXPECT_EQ(0, call(&self->vm, 11, ~0ULL, 0, 0, 0));
	/* IPIs to nobody, to everyone from an id that wraps; with a destination in the ICR */
	EXPECT_EQ(0, call(&self->vm, 10, ~1ULL, ~0ULL, 0, 0x40));
	EXPECT_EQ(0, call(&self->vm, 10, ~0ULL, ~0ULL, 0xffffffc0, 0x40));
	EXPECT_GT(0, call(&self->vm, 10, 1, 0, 0, 0xc0040));
}

TEST_HARNESS_MAIN
