// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC in the kernel: interrupts to oneself and to others, priorities,
 * EOI, timers, INIT and SIPI, as xAPIC and as x2APIC.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define IF		BIT(9)
#define APIC_BASE	0xfee00000
#define BASE_EN		BIT(11)
#define BASE_X2		BIT(10)
#define MSR_BASE	0x1b
#define MSR_DEADLINE	0x6e0
#define MSR_X2(reg)	(0x800 + ((reg) >> 4))
#define REG_ID		0x20
#define REG_TPR		0x80
#define REG_PPR		0xa0
#define REG_EOI		0xb0
#define REG_LDR		0xd0
#define REG_SVR		0xf0
#define REG_ISR		0x100
#define REG_IRR		0x200
#define REG_ESR		0x280
#define REG_ICR		0x300
#define REG_LVTT	0x320
#define REG_TMICT	0x380
#define REG_TMCCT	0x390
#define REG_TDCR	0x3e0
#define REG_SELF	0x3f0

/* ---- A guest that does what a list says ---- */

/*
 * One operation: 0 end (HLT), 1 write, 2 read to val, 3 HLT, 4 STI; NOP; CLI,
 * 5 spin val times, 6 wait for mem[reg] == val, 7 store val to mem[reg],
 * 8 RDTSC + val to MSR reg, 9 val to CR8, 10 nothing.  The guest's APIC access is by r15: 0 by memory,
 * else by MSR.
 */
enum { END, WRITE, READ, HALT, WINDOW, SPIN, WAIT, STORE, TSC_PLUS, MOV_CR8, NOP };
struct op { u64 what, reg, val; };

#define GPA_OPS		GPA_FREE
#define GPA_OPS1	(GPA_FREE + 0x4000)
#define GPA_FLAGS	(GPA_FREE + 0x8000)

GUEST(ops, 64,
	"1:	mov (%rsi), %rax\n"
	"	mov 8(%rsi), %rcx\n"
	"	mov 16(%rsi), %rdi\n"
	"	add $24, %rsi\n"
	"	cmp $1, %eax\n	je 11f\n"
	"	cmp $2, %eax\n	je 12f\n"
	"	cmp $3, %eax\n	je 13f\n"
	"	cmp $4, %eax\n	je 14f\n"
	"	cmp $5, %eax\n	je 15f\n"
	"	cmp $6, %eax\n	je 16f\n"
	"	cmp $7, %eax\n	je 17f\n"
	"	cmp $8, %eax\n	je 18f\n"
	"	cmp $9, %eax\n	je 19f\n"
	"	cmp $10, %eax\n	je 1b\n"
	"	out %al, $0x10\n"
	"	jmp 1b\n"
	"11:	test %r15, %r15\n	jnz 2f\n"
	"	mov $0xfee00000, %eax\n"
	"	add %rcx, %rax\n"
	"	mov %edi, (%rax)\n"
	"	jmp 1b\n"
	"2:	cmp $0x400, %ecx\n	jae 3f\n"
	"	shr $4, %ecx\n"
	"	add $0x800, %ecx\n"
	"3:	mov %edi, %eax\n"
	"	mov %rdi, %rdx\n"
	"	shr $32, %rdx\n"
	"	wrmsr\n"
	"	jmp 1b\n"
	"12:	test %r15, %r15\n	jnz 2f\n"
	"	mov $0xfee00000, %eax\n"
	"	add %rcx, %rax\n"
	"	mov (%rax), %eax\n"
	"	mov %rax, -8(%rsi)\n"
	"	jmp 1b\n"
	"2:	shr $4, %ecx\n"
	"	add $0x800, %ecx\n"
	"	rdmsr\n"
	"	shl $32, %rdx\n"
	"	or %rdx, %rax\n"
	"	mov %rax, -8(%rsi)\n"
	"	jmp 1b\n"
	"13:	sti\n	hlt\n	cli\n	jmp 1b\n"
	"14:	sti\n	nop\n	nop\n	cli\n	sti\n	nop\n	nop\n	cli\n	jmp 1b\n"
	"15:	sti\n"
	"2:	pause\n	dec %rdi\n	jnz 2b\n	cli\n	jmp 1b\n"
	"16:	sti\n"
	"2:	pause\n	cmp %rdi, (%rcx)\n	jne 2b\n	cli\n	jmp 1b\n"
	"17:	mov %rdi, (%rcx)\n	jmp 1b\n"
	"18:	rdtsc\n"
	"	shl $32, %rdx\n	or %rdx, %rax\n	add %rdi, %rax\n"
	"	mov %rax, %rdx\n	shr $32, %rdx\n	wrmsr\n	jmp 1b\n"
	"19:	mov %rdi, %cr8\n	mov %cr8, %rax\n	mov %rax, -8(%rsi)\n	jmp 1b\n");

FIXTURE(apic) {
	struct vm vm;
	struct op *ops;
	int n;
};

FIXTURE_VARIANT(apic) {
	bool x2;
};

FIXTURE_VARIANT_ADD(apic, xapic) { .x2 = false };
FIXTURE_VARIANT_ADD(apic, x2apic) { .x2 = true };

static void begin(struct vcpu *vcpu, u64 ops, u64 stack, bool x2)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = stack, .rflags = 2, .rsi = ops, .r15 = x2 };

	vcpu_set_regs(vcpu, &r);
}

static void run_ops(struct vm *vm, struct op *ops, int n, bool x2)
{
	memset(vm->mem + GPA_OPS, 0, 0x4000);
	memcpy(vm->mem + GPA_OPS, ops, n * sizeof(*ops));
	begin(&vm->vcpu, GPA_OPS, GPA_STACK, x2);
	if (vm_run(vm) != KVM_EXIT_IO) {
		vcpu_dump(&vm->vcpu, "ops");
		die("the guest did not end");
	}
}

#define RUN(...) do {							\
	struct op list[] = { __VA_ARGS__ };				\
	run_ops(&self->vm, list, ARRAY_LEN(list), variant->x2);		\
} while (0)
#define RESULT(i)	(((struct op *)(self->vm.mem + GPA_OPS))[i].val)

static void set_x2(struct vcpu *vcpu)
{
	if (vcpu_set_msr(vcpu, MSR_BASE, vcpu_msr(vcpu, MSR_BASE) | BASE_X2) != 1)
		die("x2APIC mode");
}

#define BEGIN_GUEST() do {						\
	vm_mode(&self->vm, &self->vm.vcpu, LONG);			\
	GUEST_LOAD(&self->vm, ops);					\
	if (variant->x2)						\
		set_x2(&self->vm.vcpu);					\
	RUN({ WRITE, REG_SVR, 0x1ff });					\
} while (0)

FIXTURE_SETUP(apic)
{
	vm_create_split(&self->vm);
	BEGIN_GUEST();
}

FIXTURE_TEARDOWN(apic)
{
	vm_destroy(&self->vm);
}

#define SELF(vector)	{ WRITE, REG_ICR, 0x40000 | (vector) }

/* Interrupts taken since asked last; the emulator may give one twice. */
static u64 taken(struct vm *vm)
{
	u64 n = trap(vm)->count;

	trap(vm)->count = 0;
	return n;
}

static struct kvm_lapic_state lapic(struct vcpu *vcpu)
{
	struct kvm_lapic_state s;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &s))
		die("KVM_GET_LAPIC");
	return s;
}

static u32 reg(struct vcpu *vcpu, u32 offset)
{
	struct kvm_lapic_state s = lapic(vcpu);
	u32 v;

	memcpy(&v, s.regs + offset, 4);
	return v;
}

/* ---- One processor ---- */

TEST_F(apic, self_ipi_every_vector)
{
	for (u32 v = 32; v < 256; v++) {
		RUN(SELF(v), { WINDOW }, { READ, REG_ISR + (v / 32) * 16 }, { WRITE, REG_EOI, 0 },
		    { READ, REG_ISR + (v / 32) * 16 });
		ASSERT_LE(1, taken(&self->vm));
		ASSERT_EQ(v, trap(&self->vm)->vector);
		ASSERT_EQ(1U << (v % 32), RESULT(2));
		ASSERT_EQ(0, RESULT(4));
	}
}

TEST_F(apic, self_ipi_register)
{
	if (!variant->x2)
		SKIP(return, "x2APIC's");
	RUN({ WRITE, REG_SELF, 0x77 }, { WINDOW }, { WRITE, REG_EOI, 0 });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x77, trap(&self->vm)->vector);
	RUN({ WRITE, REG_SELF, 5 }, { WINDOW }, { WRITE, REG_ESR, 0 }, { READ, REG_ESR });
	EXPECT_EQ(0, taken(&self->vm));
	EXPECT_EQ(0x20, RESULT(3));
}

/* Of two that wait the higher comes first, and the lower only after its EOI. */
TEST_F(apic, priorities)
{
	RUN(SELF(0x41), SELF(0x61), { WINDOW }, { READ, REG_PPR }, { READ, REG_IRR + 2 * 16 },
	    { WINDOW });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x61, trap(&self->vm)->vector);
	EXPECT_EQ(0x60, RESULT(3));
	EXPECT_EQ(2, RESULT(4));
	RUN({ WRITE, REG_EOI, 0 }, { WINDOW }, { WRITE, REG_EOI, 0 }, { READ, REG_PPR });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x41, trap(&self->vm)->vector);
	EXPECT_EQ(0, RESULT(3));
}

/* The task priority holds back its class and below; lowering it lets them in. */
TEST_F(apic, task_priority)
{
	RUN({ WRITE, REG_TPR, 0x50 }, SELF(0x5f), { WINDOW }, { READ, REG_PPR });
	EXPECT_EQ(0, taken(&self->vm));
	EXPECT_EQ(0x50, RESULT(3));
	RUN({ WRITE, REG_TPR, 0x40 }, { WINDOW }, { WRITE, REG_EOI, 0 });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x5f, trap(&self->vm)->vector);
	/* CR8 is its upper half */
	RUN({ MOV_CR8, 0, 9 }, { READ, REG_TPR }, SELF(0x90), { WINDOW });
	EXPECT_EQ(9, RESULT(0));
	EXPECT_EQ(0x90, RESULT(1));
	EXPECT_EQ(0, taken(&self->vm));
	RUN({ MOV_CR8, 0, 8 }, { WINDOW }, { WRITE, REG_EOI, 0 }, { WRITE, REG_TPR, 0x35 },
	    { MOV_CR8, 0, 2 }, { READ, REG_TPR });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x90, trap(&self->vm)->vector);
	EXPECT_EQ(0x20, RESULT(5));
	EXPECT_EQ(2, self->vm.vcpu.run->cr8);
}

/* And while what waits for the interrupt flag is to be told of it. */
TEST_F(apic, task_priority_in_window)
{
	RUN(SELF(0x71), { MOV_CR8, 0, 7 }, { WINDOW });
	EXPECT_EQ(0, taken(&self->vm));
	RUN({ MOV_CR8, 0, 6 }, { WINDOW }, { WRITE, REG_EOI, 0 });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x71, trap(&self->vm)->vector);
}

/* The priority in memory, and userspace that wants to know of each access to the register. */
TEST_F(apic, task_priority_in_memory)
{
	struct kvm_tpr_access_ctl ctl = { .enabled = 1 };
	struct kvm_vapic_addr addr = { GPA_FLAGS + 0x100 };
	struct kvm_run *run = self->vm.vcpu.run;
	struct op list[] = { { WRITE, REG_TPR, 0x20 }, { READ, REG_TPR }, { END } };

	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_VAPIC_ADDR, &addr));
	RUN({ WRITE, REG_TPR, 0x50 }, SELF(0x5f), { WAIT, GPA_FLAGS + 0x100, 0x5f000050 },
	    { STORE, GPA_FLAGS + 0x100, 0x5f000040 }, { READ, REG_PPR }, { WINDOW },
	    { WRITE, REG_EOI, 0 }, { READ, REG_TPR });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_EQ(0x5f, trap(&self->vm)->vector);
	EXPECT_EQ(0x40, RESULT(7));
	addr.vapic_addr = 0;
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_VAPIC_ADDR, &addr));

	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_TPR_ACCESS_REPORTING, &ctl));
	memcpy(self->vm.mem + GPA_OPS, list, sizeof(list));
	begin(&self->vm.vcpu, GPA_OPS, GPA_STACK, variant->x2);
	for (int write = 1; !variant->x2 && write >= 0; write--) {
		ASSERT_EQ(KVM_EXIT_TPR_ACCESS, vm_run(&self->vm));
		EXPECT_EQ(write, run->tpr_access.is_write);
		EXPECT_LE(GPA_CODE, run->tpr_access.rip);
	}
	EXPECT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(0x20, RESULT(1));
}

/* An EOI for nothing; vectors that are exceptions. */
TEST_F(apic, errors)
{
	RUN({ WRITE, REG_EOI, 0 }, { WRITE, REG_ESR, 0 }, { READ, REG_ESR });
	EXPECT_EQ(0, RESULT(2));
	RUN(SELF(15), { WRITE, REG_ESR, 0 }, { READ, REG_ESR }, { WRITE, REG_ESR, 0 },
	    { READ, REG_ESR });
	EXPECT_EQ(0x20, RESULT(2));
	EXPECT_EQ(0, RESULT(4));
	EXPECT_EQ(0, taken(&self->vm));
}

/* Switched off by software it takes nothing, and its LVTs are masked. */
TEST_F(apic, software_disabled)
{
	RUN({ WRITE, REG_LVTT, 0x40 }, { WRITE, REG_SVR, 0xff }, { READ, REG_LVTT }, SELF(0x40),
	    { WRITE, REG_LVTT, 0x40 }, { READ, REG_LVTT }, { WINDOW }, { WRITE, REG_SVR, 0x1ff });
	EXPECT_EQ(0x10040, RESULT(2));
	EXPECT_EQ(0x10040, RESULT(5));
	EXPECT_EQ(0, taken(&self->vm));
}

/* ---- Timers ---- */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

TEST_F(apic, timer_one_shot)
{
	double t = now();

	RUN({ WRITE, REG_TDCR, 0xb }, { WRITE, REG_LVTT, 0x40 }, { WRITE, REG_TMICT, 20000000 },
	    { READ, REG_TMCCT }, { HALT }, { WRITE, REG_EOI, 0 }, { READ, REG_TMCCT });
	t = now() - t;
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_LE(0.02, t);
	EXPECT_GE(20000000, RESULT(3));
	EXPECT_NE(0, RESULT(3));
	EXPECT_EQ(0, RESULT(6));
	/* divided by 16: longer; masked: never */
	t = now();
	RUN({ WRITE, REG_TDCR, 3 }, { WRITE, REG_TMICT, 2000000 }, { HALT }, { WRITE, REG_EOI, 0 },
	    { WRITE, REG_LVTT, 0x10040 }, { WRITE, REG_TMICT, 1 }, { WINDOW });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_LE(0.032, now() - t);
}

TEST_F(apic, timer_periodic)
{
	RUN({ WRITE, REG_TDCR, 0xb }, { WRITE, REG_LVTT, 0x20040 }, { WRITE, REG_TMICT, 5000000 },
	    { HALT }, { WRITE, REG_EOI, 0 }, { HALT }, { WRITE, REG_EOI, 0 },
	    { HALT }, { WRITE, REG_EOI, 0 }, { WRITE, REG_TMICT, 0 }, { READ, REG_TMCCT });
	EXPECT_LE(3, taken(&self->vm));
	EXPECT_EQ(0, RESULT(10));
}

/* What the guest counts is the cycles that the VMM set, in each mode. */
TEST_F(apic, timer_bus_cycles)
{
	struct kvm_enable_cap cycle = { .cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { 100 } };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	double t;

	if (on_stock() && !check_cap(self->vm.sys, KVM_CAP_X86_APIC_BUS_CYCLES_NS))
		SKIP(return, "no KVM_CAP_X86_APIC_BUS_CYCLES_NS");
	vm_destroy(&self->vm);
	vm_open(&self->vm);
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &split));
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cycle));
	vcpu_create(&self->vm, &self->vm.vcpu, 0);
	BEGIN_GUEST();
	t = now();
	RUN({ WRITE, REG_TDCR, 0xb }, { WRITE, REG_LVTT, 0x40 }, { WRITE, REG_TMICT, 200000 },
	    { READ, REG_TMCCT }, { HALT }, { WRITE, REG_EOI, 0 }, { READ, REG_TMCCT });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_LE(0.02, now() - t);
	EXPECT_GE(200000, RESULT(3));
	EXPECT_NE(0, RESULT(3));
	EXPECT_EQ(0, RESULT(6));
	/* the divider comes on top, and a period is as long */
	t = now();
	RUN({ WRITE, REG_TDCR, 3 }, { WRITE, REG_LVTT, 0x20040 }, { WRITE, REG_TMICT, 10000 },
	    { HALT }, { WRITE, REG_EOI, 0 }, { HALT }, { WRITE, REG_EOI, 0 },
	    { WRITE, REG_TMICT, 0 }, { READ, REG_TMCCT });
	EXPECT_LE(2, taken(&self->vm));
	EXPECT_LE(0.032, now() - t);
	EXPECT_EQ(0, RESULT(8));
}

static void set_halt_poll(struct vm *vm, u64 ns)
{
	struct kvm_enable_cap c = { .cap = KVM_CAP_HALT_POLL, .args = { ns } };

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &c))
		die("KVM_CAP_HALT_POLL");
}

#define HALTS()	RUN({ WRITE, REG_TDCR, 0xb }, { WRITE, REG_LVTT, 0x40 },		\
		    { WRITE, REG_TMICT, 5000000 }, { HALT }, { WRITE, REG_EOI, 0 },	\
		    { WRITE, REG_TMICT, 5000000 }, { HALT }, { WRITE, REG_EOI, 0 },	\
		    { WRITE, REG_TMICT, 5000000 }, { HALT }, { WRITE, REG_EOI, 0 })
#define POLLS()	stat_of(self->vm.vcpu.fd, "halt_attempted_poll")

/* A vcpu that halts polls first, as long as its VM may: never, as it likes, never again. */
TEST_F(apic, halt_poll)
{
	u64 polls;

	set_halt_poll(&self->vm, 0);
	HALTS();
	EXPECT_EQ(0, POLLS());
	/* a sleep that is shorter has the next one polled */
	set_halt_poll(&self->vm, 1000000000);
	HALTS();
	polls = POLLS();
	EXPECT_LT(0, polls);
	set_halt_poll(&self->vm, 0);
	HALTS();
	EXPECT_EQ(polls, POLLS());
	/* no sleep is as short as this: where it begins, it ends again */
	set_halt_poll(&self->vm, 1);
	HALTS();
	EXPECT_GE(polls + 1, POLLS());
}

/* A period of a nanosecond costs the host no more than its shortest. */
TEST_F(apic, timer_of_a_nanosecond)
{
	/*
	 * The software emulation may take the interrupt between STI and HLT (lab.rst);
	 * the guest then halts with EOI still to come, and so for good.
	 */
	const struct op wait = { on_tcg() ? SPIN : HALT, 0, 100000 };
	double t = now();

	RUN({ WRITE, REG_TDCR, 0xb }, { WRITE, REG_LVTT, 0x20040 }, { WRITE, REG_TMICT, 1 },
	    wait, { WRITE, REG_EOI, 0 }, wait, { WRITE, REG_EOI, 0 },
	    wait, { WRITE, REG_EOI, 0 }, wait, { WRITE, REG_EOI, 0 },
	    { WRITE, REG_TMICT, 0 });
	EXPECT_LE(4, taken(&self->vm));
	EXPECT_LE(0.0006, now() - t);
	RUN({ WRITE, REG_LVTT, 0x10040 }, { WINDOW }, { WRITE, REG_EOI, 0 });
}

TEST_F(apic, timer_deadline)
{
	u64 khz = ioctl(self->vm.vcpu.fd, KVM_GET_TSC_KHZ, 0L);
	double t = now();

	if (!variant->x2)
		SKIP(return, "one of the two will do");
	RUN({ WRITE, REG_LVTT, 0x40040 }, { TSC_PLUS, MSR_DEADLINE, khz * 20 }, { HALT },
	    { WRITE, REG_EOI, 0 });
	EXPECT_LE(1, taken(&self->vm));
	EXPECT_LE(0.02, now() - t);
	EXPECT_EQ(0, vcpu_msr(&self->vm.vcpu, MSR_DEADLINE));
	/* past: at once */
	RUN({ WRITE, MSR_DEADLINE, 1 }, { HALT }, { WRITE, REG_EOI, 0 });
	EXPECT_LE(1, taken(&self->vm));
	/* as far away as there is, and disarmed */
	RUN({ WRITE, MSR_DEADLINE, ~0ULL }, { WINDOW }, { SPIN, 0, 1000 });
	EXPECT_EQ(0, taken(&self->vm));
	EXPECT_EQ(~0ULL, vcpu_msr(&self->vm.vcpu, MSR_DEADLINE));
	RUN({ TSC_PLUS, MSR_DEADLINE, khz * 10000 }, { WRITE, MSR_DEADLINE, 0 }, { SPIN, 0, 100000 });
	EXPECT_EQ(0, taken(&self->vm));
	/* another mode: the register is nothing */
	RUN({ WRITE, REG_LVTT, 0x40 }, { WRITE, MSR_DEADLINE, 5 }, { WINDOW });
	EXPECT_EQ(0, taken(&self->vm));
	EXPECT_EQ(0, vcpu_msr(&self->vm.vcpu, MSR_DEADLINE));
}

/* ---- Two processors ---- */

static void *run_thread(void *arg)
{
	return (void *)(long)vcpu_run(arg);
}

struct second {
	struct vcpu vcpu;
	pthread_t thread;
};

static void second_begin(struct vm *vm, struct second *s, struct op *ops, int n, bool x2)
{
	vcpu_create(vm, &s->vcpu, 1);
	vm_mode(vm, &s->vcpu, LONG);
	GUEST_LOAD(vm, ops);
	if (x2)
		set_x2(&s->vcpu);
	if (ioctl(s->vcpu.fd, KVM_SET_MP_STATE, &(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE }))
		die("KVM_SET_MP_STATE");
	memcpy(vm->mem + GPA_OPS1, ops, n * sizeof(*ops));
	begin(&s->vcpu, GPA_OPS1, GPA_STACK - 0x2000, x2);
	pthread_create(&s->thread, NULL, run_thread, &s->vcpu);
}

static long second_end(struct vm *vm, struct second *s)
{
	void *r;

	pthread_join(s->thread, &r);
	munmap(s->vcpu.run, vm->run_size);
	close(s->vcpu.fd);
	return (long)r;
}

#define FLAG(n)		(GPA_FLAGS + 8 * (n))
#define ICR_TO_1(x)	{ WRITE, REG_ICR, (variant->x2 ? 1ULL << 32 : 0) | (x) }
#define ICR2_TO_1	{ variant->x2 ? NOP : WRITE, 0x310, 1 << 24 }

/* To one that runs, and to one that is halted. */
TEST_F(apic, ipi)
{
	struct op other[] = {
		{ WRITE, REG_SVR, 0x1ff }, { STORE, FLAG(0), 1 }, { WAIT, GPA_TRAP, 1 },
		{ WRITE, REG_EOI, 0 }, { STORE, FLAG(1), 1 }, { HALT }, { WRITE, REG_EOI, 0 },
		{ STORE, FLAG(2), 1 }, { HALT }, { STORE, FLAG(3), 1 }, { END },
	};
	struct second s;

	second_begin(&self->vm, &s, other, ARRAY_LEN(other), variant->x2);
	RUN({ WAIT, FLAG(0), 1 }, ICR2_TO_1, ICR_TO_1(0x4055), { WAIT, FLAG(1), 1 },
	    { SPIN, 0, 100000 }, ICR_TO_1(0x4056), { WAIT, FLAG(2), 1 }, { SPIN, 0, 100000 },
	    /* NMI */
	    ICR_TO_1(0x4400), { WAIT, FLAG(3), 1 });
	EXPECT_EQ(KVM_EXIT_IO, second_end(&self->vm, &s));
	EXPECT_EQ(2, trap(&self->vm)->vector);
	EXPECT_LE(3, trap(&self->vm)->count);
}

/* All but oneself, all, logical destinations, lowest priority. */
TEST_F(apic, ipi_to_many)
{
	struct op other[] = {
		{ WRITE, REG_SVR, 0x1ff },
		{ variant->x2 ? NOP : WRITE, REG_LDR, 2 << 24 },
		{ STORE, FLAG(0), 1 },
		{ HALT }, { WRITE, REG_EOI, 0 }, { STORE, FLAG(1), 1 },
		{ HALT }, { WRITE, REG_EOI, 0 }, { STORE, FLAG(2), 1 },
		{ HALT }, { WRITE, REG_EOI, 0 }, { STORE, FLAG(3), 1 }, { END },
	};
	/*
	 * Before each, some time for the other to halt: between its STI and HLT the
	 * software emulation may take an interrupt (lab.rst), and halts behind it.
	 */
	u64 logical = variant->x2 ? 3ULL << 32 : 0;
	struct second s;

	second_begin(&self->vm, &s, other, ARRAY_LEN(other), variant->x2);
	RUN({ variant->x2 ? NOP : WRITE, REG_LDR, 1 << 24 },
	    { WAIT, FLAG(0), 1 }, { SPIN, 0, 100 }, { WRITE, REG_ICR, 0xc4041 }, { WAIT, FLAG(1), 1 }, { SPIN, 0, 100 },
	    { WRITE, REG_ICR, 0x84042 }, { WINDOW }, { WRITE, REG_EOI, 0 }, { WAIT, FLAG(2), 1 },
	    { SPIN, 0, 100 },
	    { variant->x2 ? NOP : WRITE, 0x310, 3 << 24 },
	    { WRITE, REG_ICR, 0x4843 | logical }, { WINDOW }, { WRITE, REG_EOI, 0 },
	    { WAIT, FLAG(3), 1 },
	    /* of the two one: by the vector oneself */
	    { WRITE, REG_ICR, 0x4944 | logical }, { WINDOW }, { WRITE, REG_EOI, 0 });
	EXPECT_EQ(KVM_EXIT_IO, second_end(&self->vm, &s));
	EXPECT_LE(6, trap(&self->vm)->count);
}

/* To nobody, to everyone in a loop: nothing but time is lost. */
TEST_F(apic, ipi_to_nobody)
{
	u64 far = variant->x2 ? 0x12345ULL << 32 : 0;

	for (u64 mode = 0; mode < 8; mode++)
		RUN({ variant->x2 ? NOP : WRITE, 0x310, 0x77 << 24 },
		    { WRITE, REG_ICR, mode << 8 | 0x4033 | far },
		    { WRITE, REG_ICR, mode << 8 | 0x4833 | far },
		    { WRITE, REG_ICR, mode << 8 | 0xc4033 }, { WINDOW });
	EXPECT_EQ(0, taken(&self->vm));
}

/* Each in its own loop sends to all others and to all: no vcpu is out of its VMM's reach. */
GUEST(ipi_storm, 64,
	"	sti\n"
	"1:	mov $0x830, %ecx\n"
	"	xor %edx, %edx\n"
	"	mov $0xc4041, %eax\n	wrmsr\n"
	"	mov $0x84042, %eax\n	wrmsr\n"
	"	mov $0x80b, %ecx\n	xor %eax, %eax\n	wrmsr\n"
	"	jmp 1b\n");

static void nothing(int sig)
{
}

#define STORMING	8

static volatile bool calm;

static void *storm(void *arg)
{
	struct vcpu *v = arg;

	while (!calm)
		if (ioctl(v->fd, KVM_RUN, 0L) && errno != EINTR)
			return (void *)(long)errno;
	return NULL;
}

TEST_F_TIMEOUT(apic, ipi_storm, 60)
{
	pthread_t thread[STORMING];
	struct sigaction sa = { .sa_handler = nothing };
	struct vcpu v[STORMING];
	void *r;

	if (!variant->x2)
		return;
	calm = false;
	sigaction(SIGALRM, &sa, NULL);
	v[0] = self->vm.vcpu;
	for (int i = 0; i < STORMING; i++) {
		struct kvm_regs regs = { .rip = GPA_CODE, .rsp = GPA_STACK - 0x400 * i, .rflags = 2 };

		if (i) {
			vcpu_create(&self->vm, &v[i], i);
			vm_mode(&self->vm, &v[i], LONG);
			set_x2(&v[i]);
			ASSERT_EQ(1, vcpu_set_msr(&v[i], MSR_X2(REG_SVR), 0x1ff));
			ASSERT_EQ(0, ioctl(v[i].fd, KVM_SET_MP_STATE,
					   &(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE }));
		}
		vcpu_set_regs(&v[i], &regs);
	}
	GUEST_LOAD(&self->vm, ipi_storm);
	for (int i = 0; i < STORMING; i++)
		pthread_create(&thread[i], NULL, storm, &v[i]);
	sleep(on_bochs() ? 1 : 3);
	calm = true;
	for (int i = 0; i < STORMING; i++)
		v[i].run->immediate_exit = 1;
	for (int i = 0; i < STORMING; i++) {
		pthread_kill(thread[i], SIGALRM);
		pthread_join(thread[i], &r);
		EXPECT_EQ(NULL, r);
	}
	for (int i = 1; i < STORMING; i++) {
		munmap(v[i].run, self->vm.run_size);
		close(v[i].fd);
	}
	v[0].run->immediate_exit = 0;
}

/* The second processor waits in the kernel for INIT and SIPI. */
TEST_F(apic, init_sipi)
{
	/* at 0x8000 in real mode: mov $0x1234, %eax; mov %ax, 0x9008; sti; jmp . */
	static const u8 code[] = { 0xb8, 0x34, 0x12, 0x31, 0xdb, 0x8e, 0xdb, 0xa3, 0x08, 0x90,
				   0xfb, 0xeb, 0xfe };
	struct kvm_mp_state mp;
	struct vcpu second;
	pthread_t thread;
	void *r;

	vcpu_create(&self->vm, &second, 1);
	ASSERT_EQ(0, ioctl(second.fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_UNINITIALIZED, mp.mp_state);
	vm_load(&self->vm, 0x8000, code, code + sizeof(code));
	if (variant->x2)
		set_x2(&second);
	pthread_create(&thread, NULL, run_thread, &second);
	/* a SIPI alone means nothing */
	RUN(ICR2_TO_1, ICR_TO_1(0x4600), { SPIN, 0, 100000 }, ICR_TO_1(0xc500), ICR_TO_1(0x8500),
	    { SPIN, 0, 100000 }, ICR_TO_1(0x4608), { WAIT, 0x9008, 0x1234 }, ICR_TO_1(0x4608),
	    /* and once more, from where it is by then: an endless loop */
	    { STORE, 0x9008, 0 }, ICR_TO_1(0xc500), ICR_TO_1(0x8500), { SPIN, 0, 100000 },
	    ICR_TO_1(0x4608), { WAIT, 0x9008, 0x1234 }, ICR_TO_1(0xc500), { SPIN, 0, 100000 },
	    { STORE, 0x8008, 0xf410e69090909090 }, ICR_TO_1(0x4608), { SPIN, 0, 100000 });
	pthread_join(thread, &r);
	EXPECT_EQ(KVM_EXIT_IO, (long)r);
	EXPECT_EQ(0x800, vcpu_sregs(&second).cs.selector);
	ASSERT_EQ(0, ioctl(second.fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	munmap(second.run, self->vm.run_size);
	close(second.fd);
}

/* A signal ends the wait in a HLT, which goes on with the next KVM_RUN. */
TEST_F(apic, signal_in_halt)
{
	struct op list[] = { { HALT }, { END } };
	struct kvm_mp_state mp;
	struct sigaction sa = { .sa_handler = nothing };

	sigaction(SIGALRM, &sa, NULL);
	memset(self->vm.mem + GPA_OPS, 0, 0x1000);
	memcpy(self->vm.mem + GPA_OPS, list, sizeof(list));
	begin(&self->vm.vcpu, GPA_OPS, GPA_STACK, variant->x2);
	ualarm(50000, 0);
	EXPECT_EQ(EINTR, err(ioctl(self->vm.vcpu.fd, KVM_RUN, 0L)));
	EXPECT_EQ(KVM_EXIT_INTR, self->vm.vcpu.run->exit_reason);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_GET_MP_STATE, &mp));
	EXPECT_EQ(KVM_MP_STATE_HALTED, mp.mp_state);
	ualarm(50000, 0);
	EXPECT_EQ(EINTR, err(ioctl(self->vm.vcpu.fd, KVM_RUN, 0L)));
	/* userspace's 8259, by LINT0 */
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_INTERRUPT, &(struct kvm_interrupt){ 0x30 }));
	EXPECT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(0x30, trap(&self->vm)->vector);
	alarm(0);
}

/*
 * ---- where the registers are ----
 */

/* At rbx: an id is read, a task priority written and read again. */
GUEST(look, 64,
	"mov 0x20(%rbx), %eax\n"
	"movl $0x53, 0x80(%rbx)\n"
	"mov 0x80(%rbx), %ecx\n"
	"out %al, $0x10\n");

/* How many of the three reached userspace; those that did are answered. */
static int look(struct vcpu *vcpu, u64 at)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rbx = at };
	int exit, n = 0;

	vcpu_set_regs(vcpu, &r);
	while ((exit = vcpu_run(vcpu)) == KVM_EXIT_MMIO) {
		memset(vcpu->run->mmio.data, 0x77, 4);
		n++;
	}
	if (exit != KVM_EXIT_IO) {
		vcpu_dump(vcpu, "look");
		die("no end");
	}
	r = vcpu_regs(vcpu);
	if ((u32)r.rcx != (n ? 0x77777777 : r.rax == ~0U ? ~0U : 0x53))
		die("the task priority reads as %llx", r.rcx);
	return n;
}

#define EXPECT_APIC(vcpu, at, id) do {					\
	EXPECT_EQ(0, look(vcpu, at));					\
	EXPECT_EQ((u64)(id) << 24, vcpu_regs(vcpu).rax);		\
} while (0)

/* Nothing is there: it reads as ones. */
#define EXPECT_HOLE(vcpu, at) do {					\
	EXPECT_EQ(0, look(vcpu, at));					\
	EXPECT_EQ(~0U, vcpu_regs(vcpu).rax);				\
} while (0)

/* An access to the APIC's page while the APIC is off, or in x2APIC mode. */
static void look_at_hole(struct __test_metadata *_metadata, bool userspace)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_DISABLE_QUIRKS2,
				      .args = { KVM_X86_QUIRK_LAPIC_MMIO_HOLE } };
	static const u64 modes[] = { 0, BASE_EN | BASE_X2 };
	struct vm vm;

	vm_create_full(&vm);
	if (userspace)
		ASSERT_EQ(0, ioctl(vm.fd, KVM_ENABLE_CAP, &cap));
	vm_mode(&vm, &vm.vcpu, LONG);
	GUEST_LOAD(&vm, look);
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		u64 base = vcpu_msr(&vm.vcpu, MSR_BASE) & ~(BASE_EN | BASE_X2);

		EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);
		ASSERT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_BASE, base | modes[i]));
		if (userspace) {
			EXPECT_EQ(3, look(&vm.vcpu, APIC_BASE));
		} else {
			EXPECT_HOLE(&vm.vcpu, APIC_BASE);
		}
		EXPECT_EQ(i ? 0x50 : 0, reg(&vm.vcpu, REG_TPR) & 0xf0);
		ASSERT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_BASE, base));
		ASSERT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_BASE, base | BASE_EN));
	}
	vm_destroy(&vm);
}

TEST(mmio_hole)
{
	look_at_hole(_metadata, false);
}

TEST(mmio_hole_for_userspace)
{
	look_at_hole(_metadata, true);
}

TEST(page_moves)
{
	struct kvm_mp_state run = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct vcpu second;
	struct vm vm;
	u32 *mem = xmmap(0x1000, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	vm_create_full(&vm);
	vcpu_create(&vm, &second, 1);
	vm_mode(&vm, &vm.vcpu, LONG);
	vm_mode(&vm, &second, LONG);
	GUEST_LOAD(&vm, look);
	ASSERT_EQ(0, ioctl(second.fd, KVM_SET_MP_STATE, &run));
	EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);
	EXPECT_APIC(&second, APIC_BASE, 1);

	/* each has them where it has them */
	ASSERT_EQ(1, vcpu_set_msr(&second, MSR_BASE, APIC_BASE | BASE_EN | BASE_X2));
	EXPECT_HOLE(&second, APIC_BASE);
	EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);
	ASSERT_EQ(1, vcpu_set_msr(&second, MSR_BASE, APIC_BASE));
	EXPECT_HOLE(&second, APIC_BASE);
	EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);
	ASSERT_EQ(1, vcpu_set_msr(&second, MSR_BASE, (APIC_BASE + 0x1000) | BASE_EN));
	EXPECT_EQ(3, look(&second, APIC_BASE));
	EXPECT_APIC(&second, APIC_BASE + 0x1000, 1);
	EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);

	/* all elsewhere, and all back */
	ASSERT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_BASE, (APIC_BASE + 0x1000) | BASE_EN));
	EXPECT_EQ(3, look(&vm.vcpu, APIC_BASE));
	EXPECT_APIC(&vm.vcpu, APIC_BASE + 0x1000, 0);
	EXPECT_APIC(&second, APIC_BASE + 0x1000, 1);
	ASSERT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_BASE, APIC_BASE | BASE_EN));
	ASSERT_EQ(1, vcpu_set_msr(&second, MSR_BASE, APIC_BASE | BASE_EN));
	EXPECT_EQ(3, look(&vm.vcpu, APIC_BASE + 0x1000));
	EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);
	EXPECT_APIC(&second, APIC_BASE, 1);

	/* memory hides them as long as it is there */
	mem[0x20 / 4] = 0x1234;
	ASSERT_EQ(0, vm_slot(&vm, 1, 0, APIC_BASE, 0x1000, mem));
	EXPECT_EQ(0, look(&vm.vcpu, APIC_BASE));
	EXPECT_EQ(0x1234, vcpu_regs(&vm.vcpu).rax);
	EXPECT_EQ(0x53, mem[0x80 / 4]);
	ASSERT_EQ(0, vm_slot(&vm, 1, 0, 0, 0, NULL));
	EXPECT_APIC(&second, APIC_BASE, 1);
	EXPECT_APIC(&vm.vcpu, APIC_BASE, 0);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
