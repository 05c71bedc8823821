// SPDX-License-Identifier: GPL-2.0-only
/* The 8259 pair and the I/O APIC: as the guest sees them, and their states. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>
#include "ops.h"
#include "kselftest_harness.h"

#define IOAPIC		0xfec00000ULL
#define APIC		0xfee00000ULL
#define LEVEL		0x8000
#define MASKED		0x10000

FIXTURE(irqchip) {
	struct vm vm;
};

FIXTURE_SETUP(irqchip)
{
	vm_create_full(&self->vm);
	ops_begin(&self->vm);
}

FIXTURE_TEARDOWN(irqchip)
{
	vm_destroy(&self->vm);
}

static int line(struct vm *vm, u32 gsi, u32 level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE_STATUS, &l))
		die("KVM_IRQ_LINE_STATUS");
	return l.status;
}

static struct kvm_irqchip get(struct vm *vm, u32 id)
{
	struct kvm_irqchip c = { .chip_id = id };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &c))
		die("KVM_GET_IRQCHIP");
	return c;
}

TEST_F(irqchip, create)
{
	int fd = ioctl(self->vm.sys, KVM_CREATE_VM, 0L);
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_irq_level l = { .irq = 1, .level = 1 };
	struct kvm_irqchip c = { 0 };

	EXPECT_EQ(EEXIST, err(ioctl(self->vm.fd, KVM_CREATE_IRQCHIP)));
	EXPECT_EQ(EEXIST, err(ioctl(self->vm.fd, KVM_ENABLE_CAP, &split)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_GET_IRQCHIP, &c)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_SET_IRQCHIP, &c)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_IRQ_LINE, &l)));
	/* too late for a VM with a vcpu */
	ASSERT_LE(0, ioctl(fd, KVM_CREATE_VCPU, 0L));
	EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_CREATE_IRQCHIP)));
	EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_ENABLE_CAP, &split)));
	close(fd);
	fd = ioctl(self->vm.sys, KVM_CREATE_VM, 0L);
	split.args[0] = 5000;
	EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_ENABLE_CAP, &split)));
	split.args[0] = ~0ULL;
	EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_ENABLE_CAP, &split)));
	split.args[0] = 24;
	EXPECT_EQ(0, err(ioctl(fd, KVM_ENABLE_CAP, &split)));
	EXPECT_EQ(EEXIST, err(ioctl(fd, KVM_CREATE_IRQCHIP)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_GET_IRQCHIP, &c)));
	close(fd);
}

TEST_F(irqchip, wrong_calls)
{
	struct vm *vm = &self->vm;
	struct kvm_irqchip c = { .chip_id = 3 };
	struct kvm_irq_level l = { .irq = 1000000, .level = 1 };

	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_GET_IRQCHIP, &c)));
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c.chip_id = ~0U;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_GET_IRQCHIP, &c)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_GET_IRQCHIP, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_SET_IRQCHIP, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_IRQ_LINE, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_IRQ_LINE_STATUS, BAD_PTR)));
	if (!on_stock())
		EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_IRQ_LINE, &l)));
	/* a GSI without a route */
	EXPECT_GT(0, line(vm, 4000, 1));
}

#define ICWS(port, base, icw3, icw4) \
	{ OUT1, port, 0x11 }, { OUT1, (port) + 1, base }, { OUT1, (port) + 1, icw3 }, { OUT1, (port) + 1, icw4 }

static void pics_on(struct vm *vm, u8 icw4)
{
	RUN(vm, ICWS(0x20, 0x20, 4, icw4), ICWS(0xa0, 0x28, 2, icw4), { OUT1, 0x21, 0 }, { OUT1, 0xa1, 0 });
	taken(vm);
}

TEST_F(irqchip, pic_every_line)
{
	struct vm *vm = &self->vm;

	pics_on(vm, 1);
	for (int i = 1; i < 16; i++) {
		if (i == 2)
			continue;
		EXPECT_EQ(1, line(vm, i, 1));
		EXPECT_EQ(0, line(vm, i, 1));
		line(vm, i, 0);
		/* requested, taken, in service, and over */
		RUN(vm, { OUT1, 0x20, 0x0a }, { OUT1, 0xa0, 0x0a }, { IN1, 0x20 }, { IN1, 0xa0 },
		    { WINDOW }, { OUT1, 0x20, 0x0b }, { OUT1, 0xa0, 0x0b }, { IN1, 0x20 }, { IN1, 0xa0 },
		    { OUT1, 0xa0, 0x20 }, { OUT1, 0x20, 0x20 }, { IN1, 0x20 }, { IN1, 0xa0 });
		EXPECT_LE(1, taken(vm));
		EXPECT_EQ(0x20 + i, trap(vm)->vector);
		EXPECT_EQ(i < 8 ? 1 << i : 4, RESULT(vm, 2));
		EXPECT_EQ(i < 8 ? 0 : 1 << (i - 8), RESULT(vm, 3));
		EXPECT_EQ(i < 8 ? 1 << i : 4, RESULT(vm, 7));
		EXPECT_EQ(i < 8 ? 0 : 1 << (i - 8), RESULT(vm, 8));
		EXPECT_EQ(0, RESULT(vm, 11));
		EXPECT_EQ(0, RESULT(vm, 12));
	}
}

TEST_F(irqchip, pic_priorities)
{
	struct vm *vm = &self->vm;

	pics_on(vm, 1);
	/* 5 in service holds back 6, not 3 */
	line(vm, 5, 1), line(vm, 5, 0);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0x25, trap(vm)->vector);
	line(vm, 6, 1), line(vm, 6, 0);
	taken(vm);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	line(vm, 3, 1), line(vm, 3, 0);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0x23, trap(vm)->vector);
	/* specific EOIs of both let 6 come */
	RUN(vm, { OUT1, 0x20, 0x63 }, { OUT1, 0x20, 0x65 }, { WINDOW }, { OUT1, 0x20, 0x66 });
	EXPECT_EQ(0x26, trap(vm)->vector);
	/* with 4 the lowest, 5 comes before 3 */
	RUN(vm, { OUT1, 0x20, 0xc4 });
	line(vm, 3, 1), line(vm, 3, 0), line(vm, 5, 1), line(vm, 5, 0);
	RUN(vm, { WINDOW }, { OUT1, 0x20, 0x65 });
	EXPECT_EQ(0x25, trap(vm)->vector);
	RUN(vm, { WINDOW }, { OUT1, 0x20, 0x63 });
	EXPECT_EQ(0x23, trap(vm)->vector);
}

/* Special mask mode: the line in service, masked, holds nothing back. */
TEST_F(irqchip, pic_special_mask)
{
	struct vm *vm = &self->vm;

	pics_on(vm, 1);
	line(vm, 1, 1), line(vm, 1, 0);
	RUN(vm, { WINDOW });
	line(vm, 6, 1), line(vm, 6, 0);
	taken(vm);
	RUN(vm, { OUT1, 0x21, 0x02 }, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	RUN(vm, { OUT1, 0x20, 0x68 }, { WINDOW });
	EXPECT_LE(1, taken(vm));
	EXPECT_EQ(0x26, trap(vm)->vector);
}

/* Poll: the read acknowledges.  Level: the line itself.  A request that went: line 7. */
TEST_F(irqchip, pic_poll_level_spurious)
{
	struct vm *vm = &self->vm;

	pics_on(vm, 1);
	line(vm, 4, 1), line(vm, 4, 0);
	RUN(vm, { OUT1, 0x20, 0x0c }, { IN1, 0x20 }, { OUT1, 0x20, 0x20 }, { OUT1, 0x20, 0x0c }, { IN1, 0x20 },
	    { OUT1, 0x4d0, 0xff }, { OUT1, 0x4d1, 0xff }, { IN2, 0x4d0 }, { OUT2, 0x4d0, 0x0010 });
	EXPECT_EQ(0x84, RESULT(vm, 1));
	EXPECT_EQ(0, RESULT(vm, 4));
	EXPECT_EQ(0xdef8, RESULT(vm, 7));
	line(vm, 4, 1);
	taken(vm);
	RUN(vm, { WINDOW }, { OUT1, 0x20, 0x20 }, { WINDOW }, { OUT1, 0x20, 0x20 });
	EXPECT_LE(2, taken(vm));
	EXPECT_EQ(0x24, trap(vm)->vector);
	line(vm, 4, 0);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
}

TEST_F(irqchip, pic_auto_eoi)
{
	struct vm *vm = &self->vm;

	pics_on(vm, 3);
	/* both of the slave's, one after the other: the cascade has an edge for each */
	line(vm, 9, 1), line(vm, 9, 0), line(vm, 12, 1), line(vm, 12, 0);
	RUN(vm, { WINDOW });
	EXPECT_LE(1, taken(vm));
	RUN(vm, { WINDOW }, { OUT1, 0x20, 0x0b }, { IN1, 0x20 }, { OUT1, 0xa0, 0x0b }, { IN1, 0xa0 },
	    { OUT1, 0x20, 0x0a }, { IN1, 0x20 });
	EXPECT_EQ(0, RESULT(vm, 2));
	EXPECT_EQ(0, RESULT(vm, 4));
	EXPECT_EQ(0, RESULT(vm, 6));
}

TEST_F_TIMEOUT(irqchip, pic_state, 200)
{
	struct vm *vm = &self->vm;
	struct kvm_irqchip c, good = get(vm, 0), back;

	good.chip.pic.irq_base = 0x40;
	good.chip.pic.imr = 0x55;
	good.chip.pic.priority_add = 3;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_IRQCHIP, &good));
	back = get(vm, 0);
	EXPECT_EQ(0, memcmp(&good.chip.pic, &back.chip.pic, sizeof(good.chip.pic)));
	if (on_stock())
		return;
	for (size_t i = 0; i < sizeof(c.chip.pic); i++) {
		for (int v = 0; v < 256; v++) {
			c = good;
			((u8 *)&c.chip.pic)[i] = v;
			ioctl(vm->fd, KVM_SET_IRQCHIP, &c);
			RUN(vm, { OUT1, 0x20, 0x0c }, { IN1, 0x20 });
		}
	}
	c = good, c.chip.pic.priority_add = 8;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.pic.init_state = 4;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.pic.irq_base = 0x41;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.pic.elcr = 1;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.pic.auto_eoi = 2;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
}

/* ---- the I/O APIC ---- */

#define REG_WRITE(reg, val)	{ WR4, IOAPIC, reg }, { WR4, IOAPIC + 0x10, val }
#define REG_READ(reg)		{ WR4, IOAPIC, reg }, { RD4, IOAPIC + 0x10 }
#define EOI			{ WR4, APIC + 0xb0, 0 }

static void apic_on(struct vm *vm)
{
	/* the local APIC, and no more of the 8259s */
	RUN(vm, { OUT1, 0x21, 0xff }, { OUT1, 0xa1, 0xff }, { WR4, APIC + 0xf0, 0x1ff });
	taken(vm);
}

TEST_F(irqchip, ioapic_registers)
{
	struct vm *vm = &self->vm;

	RUN(vm, REG_READ(1), REG_WRITE(0, 0xffffffff), REG_READ(0), REG_READ(2), REG_READ(0x10),
	    REG_WRITE(0x12, 0xffffffff), REG_READ(0x12), REG_WRITE(0x13, 0xffffffff), REG_READ(0x13),
	    { RD4, IOAPIC }, { RD4, IOAPIC + 0x40 }, REG_READ(0x40), REG_READ(0xff));
	EXPECT_EQ(0x11, RESULT(vm, 1) & 0xff);
	EXPECT_EQ(23, (RESULT(vm, 1) >> 16) & 0xff);
	EXPECT_EQ(0x0f000000, RESULT(vm, 5));
	EXPECT_EQ(0x0f000000, RESULT(vm, 7));
	EXPECT_EQ(MASKED, RESULT(vm, 9));
	/* delivery status and remote IRR cannot be written, nor what is reserved */
	if (!on_stock()) {
		EXPECT_EQ(0x1afff, RESULT(vm, 13));
		EXPECT_EQ(0xff000000, RESULT(vm, 17));
	}
	EXPECT_EQ(0x13, RESULT(vm, 18));
	EXPECT_EQ(0, RESULT(vm, 19));
}

TEST_F(irqchip, ioapic_edge)
{
	struct vm *vm = &self->vm;

	apic_on(vm);
	for (int pin = 0; pin < 24; pin++) {
		RUN(vm, REG_WRITE(0x10 + 2 * pin, 0x40 + pin));
		EXPECT_EQ(1, line(vm, pin, 1));
		/* no new edge; then one, but the vector is requested still */
		EXPECT_EQ(0, line(vm, pin, 1));
		line(vm, pin, 0);
		EXPECT_EQ(0, line(vm, pin, 1));
		line(vm, pin, 0);
		RUN(vm, { WINDOW }, EOI);
		EXPECT_LE(1, taken(vm));
		EXPECT_EQ(0x40 + pin, trap(vm)->vector);
		/* an edge on a masked pin is lost */
		RUN(vm, REG_WRITE(0x10 + 2 * pin, MASKED | (0x40 + pin)));
		EXPECT_EQ(-1, line(vm, pin, 1));
		line(vm, pin, 0);
		RUN(vm, REG_WRITE(0x10 + 2 * pin, 0x40 + pin), { WINDOW });
		EXPECT_EQ(0, taken(vm));
	}
}

TEST_F(irqchip, ioapic_level)
{
	struct vm *vm = &self->vm;

	apic_on(vm);
	RUN(vm, REG_WRITE(0x20, LEVEL | MASKED | 0x50));
	EXPECT_EQ(-1, line(vm, 8, 1));
	/* unmasked, the level that is there interrupts */
	RUN(vm, REG_WRITE(0x20, LEVEL | 0x50), REG_READ(0x20), { WINDOW });
	EXPECT_EQ(LEVEL | 0x4000 | 0x50, RESULT(vm, 3));
	EXPECT_LE(1, taken(vm));
	EXPECT_EQ(0x50, trap(vm)->vector);
	/* not again before the EOI, and again after it */
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	RUN(vm, EOI, { WINDOW });
	EXPECT_LE(1, taken(vm));
	line(vm, 8, 0);
	RUN(vm, EOI, { WINDOW }, REG_READ(0x20));
	EXPECT_EQ(0, taken(vm));
	EXPECT_EQ(LEVEL | 0x50, RESULT(vm, 3));
	/* to edge and back: a stuck remote IRR goes */
	line(vm, 8, 1);
	line(vm, 8, 0);
	RUN(vm, REG_WRITE(0x20, MASKED | 0x50), REG_WRITE(0x20, LEVEL | MASKED | 0x50), REG_READ(0x20));
	EXPECT_EQ(LEVEL | MASKED | 0x50, RESULT(vm, 5));
}

/* Vectors below 16, delivery modes, destinations that nobody is: no interrupt, no harm. */
TEST_F(irqchip, ioapic_impossible)
{
	struct vm *vm = &self->vm;

	apic_on(vm);
	for (u32 mode = 0; mode < 8; mode++) {
		for (u32 vector = 0; vector < 16; vector++) {
			/* but NMI, INIT and ExtINT, which mean something */
			if (mode == 2 || mode == 4 || mode == 5 || mode == 7)
				continue;
			RUN(vm, REG_WRITE(0x20, LEVEL | mode << 8 | vector));
			line(vm, 8, 1);
			line(vm, 8, 0);
			RUN(vm, { WINDOW }, REG_WRITE(0x20, mode << 8 | vector));
			line(vm, 8, 1);
			line(vm, 8, 0);
			RUN(vm, { WINDOW });
		}
	}
	EXPECT_EQ(0, taken(vm));
	RUN(vm, REG_WRITE(0x21, 0x77000000), REG_WRITE(0x20, 0x50));
	EXPECT_EQ(-1, line(vm, 8, 1));
	line(vm, 8, 0);
	/* EOIs of what never was */
	RUN(vm, EOI, EOI, EOI);
	EXPECT_EQ(0, taken(vm));
}

TEST_F(irqchip, ioapic_state)
{
	struct vm *vm = &self->vm;
	struct kvm_irqchip c, good = get(vm, 2), back;

	EXPECT_EQ(IOAPIC, good.chip.ioapic.base_address);
	apic_on(vm);
	good.chip.ioapic.redirtbl[7].bits = LEVEL | 0x61;
	good.chip.ioapic.redirtbl[9].bits = 0x62;
	good.chip.ioapic.id = 5;
	good.chip.ioapic.ioregsel = 0x23;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_IRQCHIP, &good));
	back = get(vm, 2);
	EXPECT_EQ(0, memcmp(&good.chip, &back.chip, sizeof(good.chip.ioapic)));
	/* a line that is up interrupts at once */
	c = good;
	c.chip.ioapic.irr = 1 << 7;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_IRQCHIP, &c));
	RUN(vm, { WINDOW });
	EXPECT_LE(1, taken(vm));
	EXPECT_EQ(0x61, trap(vm)->vector);
	line(vm, 7, 0);
	RUN(vm, EOI, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	if (on_stock())
		return;
	c = good, c.chip.ioapic.ioregsel = 0x100;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.ioapic.id = 16;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.ioapic.irr = 1 << 24;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
	c = good, c.chip.ioapic.base_address = 0;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_IRQCHIP, &c)));
}

/* Registers of the chips, all of them, with what a careless guest writes. */
TEST_F(irqchip, fuzz)
{
	struct vm *vm = &self->vm;
	struct op ops[256];

	srandom(1);
	for (int round = 0; round < 40; round++) {
		for (int i = 0; i < 256; i++) {
			static const u16 ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1, 0x40, 0x41, 0x42, 0x43, 0x61 };
			u64 r = random();

			if (r & 1)
				ops[i] = (struct op){ r & 2 ? OUT1 : IN1, ports[(r >> 2) % ARRAY_LEN(ports)], random() };
			else
				ops[i] = (struct op){ WR4, IOAPIC + (r & 2 ? 0x10 : 0), r & 2 ? random() & 0xff00f8ff : random() % 64 };
		}
		ops_run(vm, ops, 256);
		for (int gsi = 0; gsi < 24; gsi++)
			line(vm, gsi, random() & 1);
	}
}

/*
 * KVM_CREATE_IRQCHIP brings routes of its own, KVM_SET_GSI_ROUTING replaces
 * them: whoever comes last, each old table is freed once, and some table is there.
 */
struct race {
	int vm;
	atomic_int stop;
	int replaced;
};

static void *keep_routing(void *arg)
{
	struct race *race = arg;
	struct { struct kvm_irq_routing head; struct kvm_irq_routing_entry e[1]; } r = {
		.head.nr = 1,
		.e[0] = { .gsi = 5, .type = KVM_IRQ_ROUTING_MSI, .u.msi.address_lo = APIC },
	};

	while (!race->stop)
		race->replaced += !ioctl(race->vm, KVM_SET_GSI_ROUTING, &r);
	return NULL;
}

TEST_F_TIMEOUT(irqchip, create_while_routing, 120)
{
	int sys = self->vm.sys, replaced = 0;

	for (int i = 0; i < (on_bochs() ? 10 : 60); i++) {
		struct race race = { .vm = ioctl(sys, KVM_CREATE_VM, 0L) };
		pthread_t thread;

		ASSERT_LE(0, race.vm);
		ASSERT_EQ(0, pthread_create(&thread, NULL, keep_routing, &race));
		usleep(i % 8 * 100);
		EXPECT_EQ(0, ioctl(race.vm, KVM_CREATE_IRQCHIP));
		usleep(200);
		race.stop = 1;
		ASSERT_EQ(0, pthread_join(thread, NULL));
		replaced += race.replaced;
		close(race.vm);
	}
	EXPECT_LT(0, replaced);
}

TEST_HARNESS_MAIN
