// SPDX-License-Identifier: GPL-2.0-only
/*
 * State structures with each of their bytes set to what it cannot be, and with
 * noise: refused with EINVAL and nothing changed, or the device's own answer.
 * The guest runs on now and then; nothing of it may reach the host.
 */
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

GUEST(spin, 64, "sti\n 1: pause\n in $0x21, %al\n in $0x40, %al\n mov %cr8, %rbx\n jmp 1b\n");

#define MAX_GSI	4096

FIXTURE(bad) {
	struct vm vm;
};

static void on_alarm(int sig)
{
}

static void begin(struct vm *vm)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	vm_mode(vm, &vm->vcpu, LONG);
	vcpu_set_regs(&vm->vcpu, &r);
}

FIXTURE_SETUP(bad)
{
	struct sigaction sa = { .sa_handler = on_alarm };

	sigaction(SIGALRM, &sa, NULL);
	vm_create_full(&self->vm);
	GUEST_LOAD(&self->vm, spin);
	begin(&self->vm);
}

FIXTURE_TEARDOWN(bad)
{
	vm_destroy(&self->vm);
}

/* A guest in any state whatever ends its run by a signal, or in a way that a VMM knows. */
static bool run_a_while(struct vm *vm)
{
	struct itimerval soon = { .it_value.tv_usec = 2000, .it_interval.tv_usec = 2000 }, off = {};
	int r, e;

	setitimer(ITIMER_REAL, &soon, NULL);
	r = ioctl(vm->vcpu.fd, KVM_RUN, 0L);
	e = errno;
	setitimer(ITIMER_REAL, &off, NULL);
	if (!r || e == EINTR)
		return true;
	fprintf(stderr, "# KVM_RUN: %s\n", strerror(e));
	return false;
}

static const u8 values[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 0xf, 0x10, 0x1f, 0x20, 0x3f, 0x40, 0x55,
			     0x7f, 0x80, 0xaa, 0xc0, 0xf0, 0xfe, 0xff };

/*
 * Each byte of a structure that GET gave, in turn, to each value (where all is
 * slow to every fourth, the next byte to the next ones).  What is refused is as
 * before, and what is taken can be got and set again.
 */
struct subject {
	int fd;
	unsigned long get, set;
	size_t size, from;		/* bytes before from say what it is */
};

static int one_state(struct vm *vm, const struct subject *s, u8 *state)
{
	u8 before[4096], after[4096];
	int bad = 0;

	memcpy(before, state, s->from);
	memcpy(after, state, s->from);
	bad += ioctl(s->fd, s->get, before) != 0;
	if (ioctl(s->fd, s->set, state)) {
		bad += errno != EINVAL;
		return bad;
	}
	bad += ioctl(s->fd, s->get, after) != 0;
	bad += ioctl(s->fd, s->set, after) != 0;
	if (bad)
		fprintf(stderr, "# what was taken could not be got or set again\n");
	return bad;
}

static int every_byte(struct vm *vm, const struct subject *s, int runs_every)
{
	u8 good[4096] = {}, state[4096];
	u32 step = is_slow() ? 8 : 1;
	int bad = 0, n = 0;

	memset(state, 0, sizeof(state));
	if (s->from)
		memcpy(good, &(u32){ 2 }, 4);
	if (ioctl(s->fd, s->get, good))
		die("the good state");
	for (size_t i = s->from; i < s->size; i++) {
		for (u32 v = i % step; v < ARRAY_LEN(values); v += step) {
			memcpy(state, good, s->size);
			state[i] = values[v];
			bad += one_state(vm, s, state);
			if (++n % runs_every == 0) {
				bad += !run_a_while(vm);
				begin(vm);
			}
		}
	}
	return bad;
}

static int noise(struct vm *vm, const struct subject *s, int rounds)
{
	u8 good[4096] = {}, state[4096];
	int bad = 0;

	if (s->from)
		memcpy(good, &(u32){ 2 }, 4);
	if (ioctl(s->fd, s->get, good))
		die("the good state");
	srandom(1);
	for (int n = 0; n < rounds; n++) {
		memcpy(state, good, s->size);
		/* a few bytes, or all */
		for (size_t i = s->from; i < s->size; i++)
			if (n % 2 || random() % 16 == 0)
				state[i] = random();
		bad += one_state(vm, s, state);
		if (n % 16 == 0) {
			bad += !run_a_while(vm);
			begin(vm);
		}
	}
	return bad;
}

#define NONE_OF(what, runs_every) do {					\
	struct subject s_ = what;					\
	EXPECT_EQ(0, every_byte(&self->vm, &s_, runs_every));		\
	EXPECT_EQ(0, noise(&self->vm, &s_, 1000));			\
} while (0)
#define SUBJECT(...)	((struct subject){ __VA_ARGS__ })

TEST_F_TIMEOUT(bad, ioapic, 120)
{
	NONE_OF(SUBJECT(self->vm.fd, KVM_GET_IRQCHIP, KVM_SET_IRQCHIP,
			8 + sizeof(struct kvm_ioapic_state), 8), 50);
}

TEST_F_TIMEOUT(bad, pit, 120)
{
	NONE_OF(SUBJECT(self->vm.fd, KVM_GET_PIT2, KVM_SET_PIT2, sizeof(struct kvm_pit_state2), 0), 50);
}

TEST_F_TIMEOUT(bad, lapic, 180)
{
	NONE_OF(SUBJECT(self->vm.vcpu.fd, KVM_GET_LAPIC, KVM_SET_LAPIC,
			sizeof(struct kvm_lapic_state), 0), 200);
}

TEST_F_TIMEOUT(bad, events, 120)
{
	struct kvm_enable_cap payload = { .cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = { 1 } };
	struct kvm_enable_cap triple = { .cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args = { 1 } };
	struct subject s = { self->vm.vcpu.fd, KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS,
			     sizeof(struct kvm_vcpu_events), 0 };

	/* an NMI in an interrupt shadow waits by a step */
	EXITS_WHILE_STEPPING();
	NONE_OF(s, 10);
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &payload));
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &triple));
	NONE_OF(s, 10);
}

TEST_F(bad, mp_state)
{
	for (u64 v = 0; v < 32; v++) {
		struct kvm_mp_state mp = { v };
		int e = err(ioctl(self->vm.vcpu.fd, KVM_SET_MP_STATE, &mp));

		EXPECT_EQ(v < 5 ? 0 : EINVAL, e);
		EXPECT_TRUE(run_a_while(&self->vm));
	}
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.vcpu.fd, KVM_SET_MP_STATE, &(struct kvm_mp_state){ ~0U })));
}

TEST_F(bad, clock)
{
	static const u64 times[] = { 0, 1, 1ULL << 31, 1ULL << 62, 1ULL << 63, ~0ULL - 1, ~0ULL };
	struct kvm_clock_data c;
	int known = KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;

	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x4b564d01, GPA_FREE | 1));
	for (int bit = 0; bit < 32; bit++) {
		c = (struct kvm_clock_data){ .flags = 1U << bit };
		EXPECT_EQ(c.flags & known ? 0 : EINVAL, err(ioctl(self->vm.fd, KVM_SET_CLOCK, &c)));
	}
	for (u32 i = 0; i < ARRAY_LEN(times); i++) {
		for (u32 j = 0; j < ARRAY_LEN(times); j++) {
			c = (struct kvm_clock_data){ .clock = times[i], .realtime = times[j],
						     .flags = KVM_CLOCK_REALTIME };
			EXPECT_EQ(0, ioctl(self->vm.fd, KVM_SET_CLOCK, &c));
			EXPECT_EQ(0, ioctl(self->vm.fd, KVM_GET_CLOCK, &c));
			EXPECT_TRUE(run_a_while(&self->vm));
		}
	}
}

/* ---- routes ---- */

static int set_routes(struct vm *vm, const struct kvm_irq_routing_entry *e, u32 nr, u32 flags)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + (nr < 8192 ? nr : 0) * sizeof(*e));
	int ret;

	r->nr = nr;
	r->flags = flags;
	if (nr < 8192)
		memcpy(r->entries, e, nr * sizeof(*e));
	ret = err(ioctl(vm->fd, KVM_SET_GSI_ROUTING, r));
	free(r);
	return ret;
}

static struct kvm_irq_routing_entry pin_route(u32 gsi, u32 chip, u32 pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { chip, pin },
	};
}

TEST_F(bad, routes)
{
	static const u32 numbers[] = { 0, 1, 2, 3, 7, 8, 15, 16, 23, 24, 255, 4095, 4096, 1000000,
				       0x7fffffff, 0x80000000, 0xffffffff };
	struct vm *vm = &self->vm;

	for (u32 i = 0; i < ARRAY_LEN(numbers); i++) {
		u32 n = numbers[i];
		struct kvm_irq_routing_entry e = pin_route(n, 2, 3);

		EXPECT_EQ(n < MAX_GSI ? 0 : EINVAL, set_routes(vm, &e, 1, 0));
		e = pin_route(5, n, 3);
		EXPECT_EQ(n < 3 ? 0 : EINVAL, set_routes(vm, &e, 1, 0));
		for (u32 chip = 0; chip < 3; chip++) {
			e = pin_route(5, chip, n);
			EXPECT_EQ(n < (chip < 2 ? 8 : 24) ? 0 : EINVAL, set_routes(vm, &e, 1, 0));
		}
		e = pin_route(5, 2, 3), e.type = n;
		if (n != KVM_IRQ_ROUTING_IRQCHIP && n != KVM_IRQ_ROUTING_MSI)
			EXPECT_EQ(EINVAL, set_routes(vm, &e, 1, 0));
		e = pin_route(5, 2, 3), e.flags = n;
		EXPECT_EQ(n ? EINVAL : 0, set_routes(vm, &e, 1, 0));
		EXPECT_EQ(n ? EINVAL : 0, set_routes(vm, &(struct kvm_irq_routing_entry){}, 0, n));
		if (n > MAX_GSI)
			EXPECT_NE(0, set_routes(vm, NULL, n, 0));
	}
}

/* Messages of any kind: to nobody, of no vector, of no mode. */
TEST_F(bad, messages)
{
	srandom(1);
	for (int i = 0; i < 3000; i++) {
		struct kvm_irq_routing_entry e = {
			.gsi = 30, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = random() * 3, .address_hi = i % 3 ? 0 : random(),
				   .data = random() * 3 },
		};
		struct kvm_msi m = { .address_lo = e.u.msi.address_lo, .address_hi = e.u.msi.address_hi,
				     .data = e.u.msi.data };
		struct kvm_irq_level l = { .irq = 30, .level = 1 };
		int r = set_routes(&self->vm, &e, 1, 0);

		EXPECT_TRUE(r == 0 || r == EINVAL);
		ioctl(self->vm.fd, KVM_IRQ_LINE_STATUS, &l);
		EXPECT_GE(1, ioctl(self->vm.fd, KVM_SIGNAL_MSI, &m));
		m.flags = 1 << (i % 32);
		EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_SIGNAL_MSI, &m)));
		if (i % 50 == 0) {
			EXPECT_TRUE(run_a_while(&self->vm));
			begin(&self->vm);
		}
	}
}

/* Every line to the same pin, and one line to all: no more work than there are entries. */
TEST_F(bad, crowded_routes)
{
	struct kvm_irq_routing_entry *e = calloc(MAX_GSI + 1, sizeof(*e));
	struct kvm_irq_level l = {};
	int r;

	for (u32 i = 0; i <= MAX_GSI; i++)
		e[i] = pin_route(i, 2, 3);
	EXPECT_EQ(0, set_routes(&self->vm, e, MAX_GSI, 0));
	EXPECT_NE(0, set_routes(&self->vm, e, MAX_GSI + 1, 0));
	for (l.irq = 0; l.irq < MAX_GSI; l.irq++)
		for (l.level = 0; l.level < 2; l.level++)
			EXPECT_EQ(0, ioctl(self->vm.fd, KVM_IRQ_LINE, &l));
	for (u32 i = 0; i < MAX_GSI; i++)
		e[i] = (struct kvm_irq_routing_entry){ .gsi = 9, .type = KVM_IRQ_ROUTING_MSI,
						       .u.msi = { .address_lo = 0xfee00000, .data = 0x40 } };
	r = set_routes(&self->vm, e, MAX_GSI, 0);
	EXPECT_TRUE(r == 0 || r == EINVAL);
	l.irq = 9;
	for (int i = 0; i < 100; i++)
		EXPECT_EQ(0, ioctl(self->vm.fd, KVM_IRQ_LINE, &l));
	EXPECT_TRUE(run_a_while(&self->vm));
	free(e);
}

TEST_HARNESS_MAIN
