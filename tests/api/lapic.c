// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's state and modes as userspace gets and sets them: round
 * trips, and values that no APIC has.
 */
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define REG_ID		0x20
#define REG_LVR		0x30
#define REG_TPR		0x80
#define REG_LDR		0xd0
#define REG_DFR		0xe0
#define REG_SVR		0xf0
#define REG_ISR		0x100
#define REG_TMR		0x180
#define REG_IRR		0x200
#define REG_ICR		0x300
#define REG_ICR2	0x310
#define REG_LVTT	0x320
#define REG_LVT0	0x350
#define REG_TMICT	0x380
#define REG_TMCCT	0x390
#define REG_TDCR	0x3e0

#define MSR_BASE	0x1b
#define BASE_EN		BIT(11)
#define BASE_X2		BIT(10)
#define BASE_BSP	BIT(8)
#define BASE_ADDR	0xfee00000ULL

FIXTURE(lapic) {
	struct vm vm;
	int fd;
	struct kvm_lapic_state s;
};

FIXTURE_SETUP(lapic)
{
	vm_create_split(&self->vm);
	self->fd = self->vm.vcpu.fd;
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_LAPIC, &self->s));
}

FIXTURE_TEARDOWN(lapic)
{
	vm_destroy(&self->vm);
}

static u32 reg(const struct kvm_lapic_state *s, u32 offset)
{
	u32 v;

	memcpy(&v, s->regs + offset, 4);
	return v;
}

static void put(struct kvm_lapic_state *s, u32 offset, u32 v)
{
	memcpy(s->regs + offset, &v, 4);
}

#define SET(s)	ioctl(self->fd, KVM_SET_LAPIC, s)
#define GET(s)	ioctl(self->fd, KVM_GET_LAPIC, s)

/* SDM 3A "Local APIC State After Power-Up or Reset", and LINT0 as firmware wants it. */
TEST_F(lapic, reset_state)
{
	EXPECT_EQ(0, reg(&self->s, REG_ID));
	EXPECT_EQ(0x14, reg(&self->s, REG_LVR) & 0xff);
	EXPECT_EQ(5, reg(&self->s, REG_LVR) >> 16 & 0xff);
	EXPECT_EQ(~0U, reg(&self->s, REG_DFR));
	EXPECT_EQ(0xff, reg(&self->s, REG_SVR));
	EXPECT_EQ(0x10000, reg(&self->s, REG_LVTT));
	EXPECT_EQ(0x700, reg(&self->s, REG_LVT0));
	EXPECT_EQ(BASE_ADDR | BASE_EN | BASE_BSP, vcpu_msr(&self->vm.vcpu, MSR_BASE));
}

TEST_F(lapic, round_trip)
{
	struct kvm_lapic_state s = self->s, out;

	put(&s, REG_ID, 0x5a000000);
	put(&s, REG_TPR, 0x23);
	put(&s, REG_LDR, 0x40000000);
	put(&s, REG_DFR, 0x0fffffff);
	put(&s, REG_SVR, 0x1fe);
	put(&s, REG_ISR + 0x30, 0x00010000);
	put(&s, REG_TMR + 0x30, 0x00010000);
	put(&s, REG_IRR + 0x70, 0x80000000);
	put(&s, REG_ICR, 0x000c4055);
	put(&s, REG_ICR2, 0x77000000);
	put(&s, REG_LVTT, 0x30055);
	put(&s, REG_TDCR, 0xb);
	ASSERT_EQ(0, SET(&s));
	ASSERT_EQ(0, GET(&out));
	/* the priority follows from the others */
	put(&s, 0xa0, 0x70);
	put(&s, 0x90, 0x70);
	for (u32 i = 0; i < sizeof(s.regs); i += 16)
		EXPECT_EQ(reg(&s, i), reg(&out, i));
	EXPECT_EQ(2, vcpu_sregs(&self->vm.vcpu).cr8);
}

/* The current count goes on; one that a VMM does not keep is a whole one. */
TEST_F(lapic, timer_goes_on)
{
	struct kvm_lapic_state s = self->s, out;

	put(&s, REG_SVR, 0x1ff);
	put(&s, REG_TDCR, 0xb);
	put(&s, REG_LVTT, 0x10055);
	put(&s, REG_TMICT, 4000000000U);
	put(&s, REG_TMCCT, 3000000000U);
	ASSERT_EQ(0, SET(&s));
	ASSERT_EQ(0, GET(&out));
	EXPECT_GE(3000000000U, reg(&out, REG_TMCCT));
	EXPECT_LE(2000000000U, reg(&out, REG_TMCCT));
	put(&s, REG_TMCCT, 0);
	ASSERT_EQ(0, SET(&s));
	ASSERT_EQ(0, GET(&out));
	EXPECT_LE(3000000001U, reg(&out, REG_TMCCT));
	for (int i = 0; i < 100; i++) {
		put(&s, REG_TMICT, i % 3);
		put(&s, REG_TMCCT, i % 2 ? ~0U : 1);
		put(&s, REG_LVTT, i % 5 ? 0x20055 : 0x55);
		ASSERT_EQ(0, SET(&s));
	}
}

static int set_bus_cycle(struct vm *vm, u64 ns)
{
	struct kvm_enable_cap c = { .cap = KVM_CAP_X86_APIC_BUS_CYCLES_NS, .args = { ns } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &c);
}

/* The timer's clock is the VM's choice, before there is a vcpu. */
TEST(bus_cycles)
{
	static const u64 bad[] = { 0, BIT(22) + 1, BIT(31), BIT(32), BIT(32) + 1, BIT(63), ~0ULL };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_lapic_state s;
	u32 before, after;
	struct vm vm;

	vm_open(&vm);
	if (on_stock() && !check_cap(vm.sys, KVM_CAP_X86_APIC_BUS_CYCLES_NS))
		SKIP(return, "no KVM_CAP_X86_APIC_BUS_CYCLES_NS");
	EXPECT_EQ(1, check_cap(vm.sys, KVM_CAP_X86_APIC_BUS_CYCLES_NS));
	/* no APIC in the kernel, no timer */
	EXPECT_EQ(ENXIO, err(set_bus_cycle(&vm, 40)));
	ASSERT_EQ(0, ioctl(vm.fd, KVM_ENABLE_CAP, &split));
	for (size_t i = 0; i < ARRAY_LEN(bad) && !on_stock(); i++) {
		EXPECT_EQ(EINVAL, err(set_bus_cycle(&vm, bad[i]))) TH_LOG("%#lx", bad[i]);
	}
	ASSERT_EQ(0, set_bus_cycle(&vm, 40));
	ASSERT_EQ(0, set_bus_cycle(&vm, 1000));
	EXPECT_EQ(1, check_cap(vm.fd, KVM_CAP_X86_APIC_BUS_CYCLES_NS));
	vcpu_create(&vm, &vm.vcpu, 0);
	EXPECT_EQ(EINVAL, err(set_bus_cycle(&vm, 1)));
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_GET_LAPIC, &s));
	put(&s, REG_SVR, 0x1ff);
	put(&s, REG_TDCR, 0xb);
	put(&s, REG_LVTT, 0x10055);
	put(&s, REG_TMICT, 4000000000U);
	put(&s, REG_TMCCT, 3000000000U);
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_SET_LAPIC, &s));
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_GET_LAPIC, &s));
	before = reg(&s, REG_TMCCT);
	EXPECT_GE(3000000000U, before);
	usleep(20000);
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_GET_LAPIC, &s));
	after = reg(&s, REG_TMCCT);
	/* 20 ms at least; of nanoseconds it would be 20 million */
	EXPECT_LE(20000, before - after);
	EXPECT_GE(15000000, before - after);
	vm_destroy(&vm);

	/* the longest count there can be is no negative time */
	vm_open(&vm);
	ASSERT_EQ(0, ioctl(vm.fd, KVM_ENABLE_CAP, &split));
	if (!on_stock())
		ASSERT_EQ(0, set_bus_cycle(&vm, BIT(22)));
	vcpu_create(&vm, &vm.vcpu, 0);
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_GET_LAPIC, &s));
	put(&s, REG_SVR, 0x1ff);
	put(&s, REG_TDCR, 0xa);		/* by 128 */
	put(&s, REG_LVTT, 0x55);
	put(&s, REG_TMICT, ~0U);
	put(&s, REG_TMCCT, 0);
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_SET_LAPIC, &s));
	usleep(1000);
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(0, reg(&s, REG_IRR + (0x55 >> 5) * 16));
	if (!on_stock())
		EXPECT_LE(~0U - 1000, reg(&s, REG_TMCCT));
	vm_destroy(&vm);
}

TEST_F(lapic, impossible)
{
	struct kvm_lapic_state s;

#define REFUSED(offset, v) do {						\
	s = self->s;							\
	put(&s, offset, v);						\
	EXPECT_EQ(EINVAL, err(SET(&s)));				\
} while (0)
	REFUSED(REG_ISR, 1);
	REFUSED(REG_ISR, 0x8000);
	REFUSED(REG_ISR, 0x100);
	REFUSED(REG_LVTT, 0x60020);
	EXPECT_EQ(EFAULT, err(SET(BAD_PTR)));
	EXPECT_EQ(EFAULT, err(GET(BAD_PTR)));
	ASSERT_EQ(0, GET(&s));
	EXPECT_EQ(0, memcmp(&s, &self->s, sizeof(s)));
}

/* Whatever else is in the page, nothing breaks, and what is got can be set. */
TEST_F(lapic, noise)
{
	struct kvm_lapic_state s;

	srand(1);
	for (int i = 0; i < 300; i++) {
		for (u32 j = 0; j < sizeof(s.regs); j++)
			s.regs[j] = rand();
		put(&s, REG_ISR, 0);
		put(&s, REG_LVTT, reg(&s, REG_LVTT) & ~0x40000);
		ASSERT_EQ(0, SET(&s));
		ASSERT_EQ(0, GET(&s));
		ASSERT_EQ(0, SET(&s));
	}
}

TEST_F(lapic, base)
{
	struct vcpu *v = &self->vm.vcpu;
	struct kvm_lapic_state s;

	/* off with x2APIC, reserved bits, an address beyond the processor's */
	EXPECT_EQ(0, vcpu_set_msr(v, MSR_BASE, BASE_ADDR | BASE_X2));
	EXPECT_EQ(0, vcpu_set_msr(v, MSR_BASE, BASE_ADDR | BASE_EN | 1));
	EXPECT_EQ(0, vcpu_set_msr(v, MSR_BASE, BASE_EN | BIT(60)));
	ASSERT_EQ(1, vcpu_set_msr(v, MSR_BASE, BASE_ADDR | BASE_EN | BASE_X2));
	ASSERT_EQ(0, GET(&s));
	EXPECT_EQ(1, reg(&s, REG_LDR));
	/* its id is its own there */
	put(&s, REG_ID, 7 << 24);
	EXPECT_EQ(EINVAL, err(SET(&s)));
	ASSERT_EQ(1, vcpu_set_msr(v, MSR_BASE, BASE_ADDR));
	ASSERT_EQ(1, vcpu_set_msr(v, MSR_BASE, BASE_ADDR | BASE_EN));
	EXPECT_EQ(BASE_ADDR | BASE_EN, vcpu_msr(v, MSR_BASE));
}

/* Ids of 32 bits, where userspace asks for them. */
TEST_F(lapic, x2apic_api)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X2APIC_API, .args = { 4 } };
	struct kvm_lapic_state s;
	struct vcpu v;

	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap)));
	vcpu_create(&self->vm, &v, 300);
	ASSERT_EQ(1, vcpu_set_msr(&v, MSR_BASE, BASE_ADDR | BASE_EN | BASE_X2));
	ASSERT_EQ(0, ioctl(v.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(300U << 24, reg(&s, REG_ID));
	EXPECT_EQ(300 / 16 << 16 | 1 << 300 % 16, reg(&s, REG_LDR));
	cap.args[0] = 3;
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap));
	ASSERT_EQ(0, ioctl(v.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(300, reg(&s, REG_ID));
	ASSERT_EQ(0, ioctl(v.fd, KVM_SET_LAPIC, &s));
	munmap(v.run, self->vm.run_size);
	close(v.fd);
}

TEST_F(lapic, mp_state)
{
	static const struct { u32 state; int err; } rows[] = {
		{ KVM_MP_STATE_HALTED, 0 }, { KVM_MP_STATE_UNINITIALIZED, 0 },
		{ KVM_MP_STATE_INIT_RECEIVED, 0 }, { KVM_MP_STATE_RUNNABLE, 0 },
		{ KVM_MP_STATE_STOPPED, EINVAL }, { KVM_MP_STATE_AP_RESET_HOLD, EINVAL },
		{ KVM_MP_STATE_SUSPENDED, EINVAL }, { ~0U, EINVAL },
	};
	struct kvm_mp_state mp;

	for (u32 i = 0; i < ARRAY_LEN(rows); i++) {
		mp.mp_state = rows[i].state;
		EXPECT_EQ(rows[i].err, err(ioctl(self->fd, KVM_SET_MP_STATE, &mp)));
		if (rows[i].err)
			continue;
		ASSERT_EQ(0, ioctl(self->fd, KVM_GET_MP_STATE, &mp));
		EXPECT_EQ(rows[i].state, mp.mp_state);
	}
}

TEST_F(lapic, vapic)
{
	struct kvm_vapic_addr addr = { 0 };
	struct kvm_tpr_access_ctl ctl = { .enabled = 1 };

	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_VAPIC_ADDR, &addr));
	addr.vapic_addr = 0x40002;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VAPIC_ADDR, &addr)));
	EXPECT_EQ(0, ioctl(self->fd, KVM_TPR_ACCESS_REPORTING, &ctl));
	ctl.flags = 1;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_TPR_ACCESS_REPORTING, &ctl)));
}

/* Without an APIC in the kernel there is none to get. */
TEST(no_lapic)
{
	struct kvm_lapic_state s = {};
	struct vm vm;

	vm_create(&vm);
	EXPECT_EQ(EINVAL, err(ioctl(vm.vcpu.fd, KVM_GET_LAPIC, &s)));
	EXPECT_EQ(EINVAL, err(ioctl(vm.vcpu.fd, KVM_SET_LAPIC, &s)));
	EXPECT_EQ(0, vcpu_set_msr(&vm.vcpu, MSR_BASE, BASE_ADDR | BASE_EN | BASE_X2));
	EXPECT_EQ(1, vcpu_set_msr(&vm.vcpu, 0x6e0, 0));
	EXPECT_EQ(0, vcpu_set_msr(&vm.vcpu, 0x6e0, 5));
	EXPECT_EQ(0, vcpu_set_msr(&vm.vcpu, 0x80b, 0));
	vm_destroy(&vm);
}

TEST(boot_cpu)
{
	struct vm vm;
	struct vcpu v;
	int fd, one;

	vm_create(&vm);
	EXPECT_EQ(EBUSY, err(ioctl(vm.fd, KVM_SET_BOOT_CPU_ID, 1L)));
	fd = ioctl(vm.sys, KVM_CREATE_VM, 0L);
	ASSERT_LE(0, fd);
	EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_SET_BOOT_CPU_ID, 1L << 20)));
	ASSERT_EQ(0, ioctl(fd, KVM_SET_BOOT_CPU_ID, 3L));
	one = ioctl(fd, KVM_CREATE_VCPU, 3L);
	ASSERT_LE(0, one);
	v.fd = one;
	EXPECT_EQ(BASE_BSP, vcpu_msr(&v, MSR_BASE) & BASE_BSP);
	close(one);
	close(fd);
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
