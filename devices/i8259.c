// SPDX-License-Identifier: GPL-2.0-only
/*
 * The pair of 8259A interrupt controllers of a PC (PIC), with the edge/level control
 * registers (ELCR) of the 82371SB.
 *
 * "8259A" is Intel's data sheet of the Programmable Interrupt Controller.  Other than
 * there, an edge stays latched if its line is deasserted before the acknowledge, as
 * edge-triggered sources here pulse their lines.
 */
#include "kvm_host.h"
#include "kvm_irq.h"

#include <linux/nospec.h>

#define LINES		8
#define CASCADE		2		/* the master's line for the slave */
#define SPURIOUS	7

#define ICW1_INIT	0x10
#define ICW1_SINGLE	0x02
#define ICW1_ICW4	0x01
#define ICW4_SFNM	0x10
#define ICW4_AEOI	0x02
#define OCW3		0x08
#define OCW3_POLL	0x04

/* chip->init_state: which command word is next */
enum { READY, EXPECT_ICW2, EXPECT_ICW3, EXPECT_ICW4, INIT_STATES };

enum { MASTER, SLAVE, CHIPS };

struct pic_chip {
	struct kvm_pic_state s;		/* last_irr: the lines' levels */
	u8 sources[LINES];		/* KVM_IRQ_SOURCE_* bits that assert a line */
	bool single;			/* by ICW1: no ICW3 follows */
};

struct kvm_pic {
	struct kvm_io_device dev;
	struct kvm *kvm;
	spinlock_t lock;		/* all below; inside an eventfd's wait queue lock */
	bool output __kvm_written_under(pic_lock);	/* INTR; read without the lock */
	bool rose __kvm_guarded_by(pic_lock);	/* output, since the lock was taken */
	u16 acked __kvm_guarded_by(pic_lock);	/* likewise: lines whose interrupt was ended */
	u16 unmasked __kvm_guarded_by(pic_lock);
	struct pic_chip chip[CHIPS] __kvm_guarded_by(pic_lock);
};

/*
 * ---- the lock, and notifications when it is released ----
 */

static unsigned long pic_lock(struct kvm_pic *pic)
	__kvm_acquires(pic_lock)
{
	unsigned long flags;

	spin_lock_irqsave(&pic->lock, flags);
	return flags;
}

static u32 line_chip(int line)
{
	return line < LINES ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE;
}

/* Notifications may signal eventfds that are irqfds of this PIC: never under the lock. */
static void pic_unlock(struct kvm_pic *pic, unsigned long flags)
	__kvm_releases(pic_lock)
{
	unsigned long acked = pic->acked, unmasked = pic->unmasked;
	bool rose = pic->rose;
	int line;

	pic->acked = pic->unmasked = 0;
	pic->rose = false;
	spin_unlock_irqrestore(&pic->lock, flags);
	if (rose)
		kvm_pic_output_changed(pic->kvm);
	for_each_set_bit(line, &acked, CHIPS * LINES)
		kvm_notify_acked_irq(pic->kvm, line_chip(line), line % LINES);
	for_each_set_bit(line, &unmasked, CHIPS * LINES)
		kvm_notify_unmasked_irq(pic->kvm, line_chip(line), line % LINES);
}

/*
 * ---- priorities ----
 */

/* The priority of the line in @mask with the highest: 0 is the highest, 8: none. */
static int top_priority(const struct pic_chip *chip, u8 mask)
{
	u16 twice = mask | mask << LINES;

	return mask ? __ffs(twice >> chip->s.priority_add) : LINES;
}

static int line_at(const struct pic_chip *chip, int priority)
{
	return (priority + chip->s.priority_add) % LINES;
}

/* The line that the chip requests an interrupt for, -1: none. */
static int requested(const struct kvm_pic *pic, int which)
	__kvm_must_hold(pic_lock)
{
	const struct pic_chip *chip = &pic->chip[which];
	u8 in_service = chip->s.isr;
	int top = top_priority(chip, chip->s.irr & ~chip->s.imr);

	/* 8259A "Special Mask Mode": a masked level does not inhibit others. */
	if (chip->s.special_mask)
		in_service &= ~chip->s.imr;
	/* 8259A "Special Fully Nested Mode": the slave does not inhibit itself. */
	if (chip->s.special_fully_nested_mode && which == MASTER)
		in_service &= ~BIT(CASCADE);
	return top < top_priority(chip, in_service) ? line_at(chip, top) : -1;
}

/* Returns as kvm_pic_set_irq() does. */
static int set_line(struct pic_chip *chip, int line, bool level)
{
	u8 bit = BIT(line);
	bool was_requested = chip->s.irr & bit;

	if (level && ((chip->s.elcr & bit) || !(chip->s.last_irr & bit)))
		chip->s.irr |= bit;
	if (!level && (chip->s.elcr & bit))
		chip->s.irr &= ~bit;
	if (level)
		chip->s.last_irr |= bit;
	else
		chip->s.last_irr &= ~bit;
	if (chip->s.imr & bit)
		return -1;
	return level && !was_requested && (chip->s.irr & bit);
}

/* The slave's output is a line of the master, whose output is INTR. */
static void update_output(struct kvm_pic *pic)
	__kvm_must_hold(pic_lock)
{
	bool output;

	lockdep_assert_held(&pic->lock);
	set_line(&pic->chip[MASTER], CASCADE, requested(pic, SLAVE) >= 0);
	output = requested(pic, MASTER) >= 0;
	if (output && !pic->output)
		pic->rose = true;
	WRITE_ONCE(pic->output, output);
}

static void note_acked(struct kvm_pic *pic, int which, int line)
	__kvm_must_hold(pic_lock)
{
	if (which == SLAVE || line != CASCADE)
		pic->acked |= BIT(which * LINES + line);
}

/* The acknowledge cycle of one chip. */
static void acknowledge(struct kvm_pic *pic, int which, int line)
	__kvm_must_hold(pic_lock)
{
	struct pic_chip *chip = &pic->chip[which];

	if (!(chip->s.elcr & BIT(line)))
		chip->s.irr &= ~BIT(line);
	/* Its output is deasserted, so that the next request is an edge for the master. */
	if (which == SLAVE)
		set_line(&pic->chip[MASTER], CASCADE, false);
	if (!chip->s.auto_eoi) {
		chip->s.isr |= BIT(line);
		return;
	}
	if (chip->s.rotate_on_auto_eoi)
		chip->s.priority_add = (line + 1) % LINES;
	note_acked(pic, which, line);
}

/* If the request has gone it is a spurious interrupt: line 7, without being in service. */
static int acknowledge_top(struct kvm_pic *pic, int which)
	__kvm_must_hold(pic_lock)
{
	int line = requested(pic, which);

	if (line < 0)
		return SPURIOUS;
	acknowledge(pic, which, line);
	return line;
}

/** kvm_pic_read_irq - the processor's interrupt acknowledge cycle: the vector, of line 7 if the
 * request has gone (spurious interrupt)
 */
int kvm_pic_read_irq(struct kvm *kvm)
{
	struct kvm_pic *pic = kvm->pic;
	unsigned long flags = pic_lock(pic);
	int line, vector;

	line = requested(pic, MASTER);
	if (line == CASCADE) {
		acknowledge(pic, MASTER, line);
		vector = pic->chip[SLAVE].s.irq_base + acknowledge_top(pic, SLAVE);
	} else {
		vector = pic->chip[MASTER].s.irq_base + acknowledge_top(pic, MASTER);
	}
	update_output(pic);
	pic_unlock(pic, flags);
	return vector;
}

/** kvm_pic_output - is INTR asserted?  Without the lock */
bool kvm_pic_output(struct kvm *kvm)
{
	return READ_ONCE(kvm->pic->output);
}

/** kvm_pic_set_irq - a source asserts or deasserts a line, in any context but NMI
 * @source: KVM_IRQ_SOURCE_*; the line is asserted while one of them asserts it
 * Returns -1 if it is masked, 0 if it was requested already (coalesced), else 1.
 */
int kvm_pic_set_irq(struct kvm *kvm, int pin, int source, bool level)
{
	struct kvm_pic *pic = kvm->pic;
	struct pic_chip *chip;
	int line = pin % LINES, r;
	unsigned long flags;

	/* The cascade line is not connected to anything else. */
	if (pin == CASCADE)
		return -1;
	flags = pic_lock(pic);
	chip = &pic->chip[pin / LINES];
	chip->sources[line] = kvm_irq_sources(chip->sources[line], source, level);
	r = set_line(chip, line, chip->sources[line]);
	update_output(pic);
	pic_unlock(pic, flags);
	return r;
}

/*
 * ---- the guest's registers ----
 */

/* 8259A "Initialization Command Word 1" */
static void write_icw1(struct pic_chip *chip, u8 val)
{
	/* Edge detection is reset: a line that is asserted makes no request. */
	chip->s.irr &= chip->s.elcr;
	chip->s.imr = 0;
	chip->s.isr = 0;
	chip->s.priority_add = 0;
	chip->s.special_mask = 0;
	chip->s.read_reg_select = 0;
	chip->s.poll = 0;
	chip->s.auto_eoi = 0;
	chip->s.rotate_on_auto_eoi = 0;
	chip->s.special_fully_nested_mode = 0;
	chip->s.init4 = val & ICW1_ICW4;
	chip->s.init_state = EXPECT_ICW2;
	chip->single = val & ICW1_SINGLE;
}

static void end_of_interrupt(struct kvm_pic *pic, int which, int line, bool rotate)
	__kvm_must_hold(pic_lock)
{
	struct pic_chip *chip = &pic->chip[which];

	if (chip->s.isr & BIT(line))
		note_acked(pic, which, line);
	chip->s.isr &= ~BIT(line);
	if (rotate)
		chip->s.priority_add = (line + 1) % LINES;
}

/* 8259A "Operation Command Word 2": rotate, specific, EOI */
static void write_ocw2(struct kvm_pic *pic, int which, u8 val)
	__kvm_must_hold(pic_lock)
{
	struct pic_chip *chip = &pic->chip[which];
	u8 in_service = chip->s.isr;
	int line = val & 7, top;

	/* In special mask mode a non-specific EOI does not end a masked level. */
	if (chip->s.special_mask)
		in_service &= ~chip->s.imr;
	switch (val >> 5) {
	case 0:
	case 4:
		chip->s.rotate_on_auto_eoi = val >> 7;
		break;
	case 1:
	case 5:
		top = top_priority(chip, in_service);
		if (top < LINES)
			end_of_interrupt(pic, which, line_at(chip, top), val >> 7);
		break;
	case 3:
	case 7:
		end_of_interrupt(pic, which, line, val >> 7);
		break;
	case 6:
		chip->s.priority_add = (line + 1) % LINES;
		break;
	}
}

static void write_ocw3(struct pic_chip *chip, u8 val)
{
	if (val & OCW3_POLL)
		chip->s.poll = 1;
	if (val & 2)
		chip->s.read_reg_select = val & 1;
	if (val & 0x40)
		chip->s.special_mask = (val >> 5) & 1;
}

static void write_imr(struct kvm_pic *pic, int which, u8 val)
	__kvm_must_hold(pic_lock)
{
	struct pic_chip *chip = &pic->chip[which];

	pic->unmasked |= (u8)(chip->s.imr & ~val) << (which * LINES);
	chip->s.imr = val;
}

/* The odd port: the mask, or the next initialization command word. */
static void write_odd(struct kvm_pic *pic, int which, u8 val)
	__kvm_must_hold(pic_lock)
{
	struct pic_chip *chip = &pic->chip[which];
	u8 after_icw3 = chip->s.init4 ? EXPECT_ICW4 : READY;

	switch (chip->s.init_state) {
	case READY:
		write_imr(pic, which, val);
		break;
	case EXPECT_ICW2:
		chip->s.irq_base = val & 0xf8;
		chip->s.init_state = chip->single ? after_icw3 : EXPECT_ICW3;
		break;
	case EXPECT_ICW3:
		chip->s.init_state = after_icw3;
		break;
	case EXPECT_ICW4:
		chip->s.special_fully_nested_mode = !!(val & ICW4_SFNM);
		chip->s.auto_eoi = !!(val & ICW4_AEOI);
		chip->s.init_state = READY;
		break;
	}
}

static void write_even(struct kvm_pic *pic, int which, u8 val)
	__kvm_must_hold(pic_lock)
{
	struct pic_chip *chip = &pic->chip[which];

	if (val & ICW1_INIT)
		write_icw1(chip, val);
	else if (val & OCW3)
		write_ocw3(chip, val);
	else
		write_ocw2(pic, which, val);
}

static void write_elcr(struct pic_chip *chip, u8 val)
{
	u8 now_level;

	val &= chip->s.elcr_mask;
	now_level = val & ~chip->s.elcr;
	chip->s.elcr = val;
	/* A level-triggered line requests while it is asserted. */
	chip->s.irr = (chip->s.irr & ~now_level) | (chip->s.last_irr & now_level);
}

/* 8259A "Poll Command": the read acknowledges the interrupt. */
static u8 read_poll(struct kvm_pic *pic, int which)
	__kvm_must_hold(pic_lock)
{
	int line = requested(pic, which);

	pic->chip[which].s.poll = 0;
	if (line < 0)
		return 0;
	acknowledge(pic, which, line);
	return 0x80 | line;
}

static u8 read_byte(struct kvm_pic *pic, u16 port)
	__kvm_must_hold(pic_lock)
{
	int which = port & 0x80 ? SLAVE : MASTER;
	struct pic_chip *chip = &pic->chip[which];
	u8 val;

	if (port >> 8)
		return pic->chip[port & 1].s.elcr;
	if (chip->s.poll) {
		val = read_poll(pic, which);
		update_output(pic);
		return val;
	}
	if (port & 1)
		return chip->s.imr;
	return chip->s.read_reg_select ? chip->s.isr : chip->s.irr;
}

static void write_byte(struct kvm_pic *pic, u16 port, u8 val)
	__kvm_must_hold(pic_lock)
{
	int which = port & 0x80 ? SLAVE : MASTER;

	if (port >> 8)
		write_elcr(&pic->chip[port & 1], val);
	else if (port & 1)
		write_odd(pic, which, val);
	else
		write_even(pic, which, val);
}

/* The ports are 8 bits wide: wider accesses are split, as on the ISA bus. */
static bool pic_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 port, int len, u8 *val)
{
	struct kvm_pic *pic = container_of(dev, struct kvm_pic, dev);
	unsigned long flags = pic_lock(pic);
	int i;

	for (i = 0; i < len; i++)
		val[i] = read_byte(pic, port + i);
	pic_unlock(pic, flags);
	return true;
}

static bool pic_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 port, int len,
		      const u8 *val)
{
	struct kvm_pic *pic = container_of(dev, struct kvm_pic, dev);
	unsigned long flags = pic_lock(pic);
	int i;

	for (i = 0; i < len; i++)
		write_byte(pic, port + i, val[i]);
	update_output(pic);
	pic_unlock(pic, flags);
	return true;
}

static const struct kvm_io_ops pic_ops = {
	.read = pic_read,
	.write = pic_write,
};

/*
 * ---- userspace's view ----
 */

/** kvm_pic_get_state - KVM_GET_IRQCHIP of the master (0) or the slave (1); returns 0 */
int kvm_pic_get_state(struct kvm *kvm, int chip, struct kvm_pic_state *state)
{
	unsigned long flags = pic_lock(kvm->pic);

	*state = kvm->pic->chip[array_index_nospec(chip, CHIPS)].s;
	pic_unlock(kvm->pic, flags);
	return 0;
}

static bool state_valid(const struct kvm_pic_state *s, u8 elcr_mask)
{
	return s->priority_add < LINES && !(s->irq_base & 7) && s->init_state < INIT_STATES &&
	       !(s->elcr & ~elcr_mask) &&
	       (s->read_reg_select | s->poll | s->special_mask | s->auto_eoi |
		s->rotate_on_auto_eoi | s->special_fully_nested_mode | s->init4) <= 1;
}

/** kvm_pic_set_state - KVM_SET_IRQCHIP: 0, or -EINVAL with nothing changed
 * @which: 0: master, 1: slave
 * @state: lines that are asserted in it are so until their source lowers them
 */
int kvm_pic_set_state(struct kvm *kvm, int which, const struct kvm_pic_state *state)
{
	struct kvm_pic *pic = kvm->pic;
	struct pic_chip *chip;
	unsigned long flags;
	u8 elcr_mask;
	int i;

	flags = pic_lock(pic);
	chip = &pic->chip[array_index_nospec(which, CHIPS)];
	elcr_mask = chip->s.elcr_mask;
	if (!state_valid(state, elcr_mask)) {
		pic_unlock(pic, flags);
		return -EINVAL;
	}
	chip->s = *state;
	chip->s.elcr_mask = elcr_mask;
	chip->single = false;
	for (i = 0; i < LINES; i++)
		chip->sources[i] = state->last_irr & BIT(i) ? BIT(KVM_IRQ_SOURCE_RESTORED) : 0;
	update_output(pic);
	pic->unmasked = 0xffff;
	pic_unlock(pic, flags);
	return 0;
}

/*
 * ---- creation and end ----
 */

static int register_ports(struct kvm *kvm, struct kvm_pic *pic)
{
	static const u16 ports[] = { 0x20, 0xa0, 0x4d0 };
	int i, r = 0;

	mutex_lock(&kvm->io_lock);
	for (i = 0; i < ARRAY_SIZE(ports) && !r; i++)
		r = kvm_io_register(kvm, KVM_PIO_BUS, ports[i], 2, &pic->dev);
	if (r)
		kvm_io_unregister(kvm, KVM_PIO_BUS, &pic->dev);
	mutex_unlock(&kvm->io_lock);
	return r;
}

static struct kvm_pic *new_pic(struct kvm *kvm)
	__kvm_unshared
{
	struct kvm_pic *pic = kzalloc(sizeof(*pic), GFP_KERNEL_ACCOUNT);

	if (!pic)
		return NULL;
	spin_lock_init(&pic->lock);
	pic->kvm = kvm;
	pic->dev.ops = &pic_ops;
	/* Lines 0, 1, 2, 8 and 13 are always edge-triggered (82371SB, ELCR). */
	pic->chip[MASTER].s.elcr_mask = 0xf8;
	pic->chip[SLAVE].s.elcr_mask = 0xde;
	return pic;
}

/** kvm_pic_create - a VM's PIC: 0, -ENOMEM, -ENOSPC */
int kvm_pic_create(struct kvm *kvm)
{
	struct kvm_pic *pic = new_pic(kvm);
	int r;

	if (!pic)
		return -ENOMEM;
	kvm->pic = pic;
	r = register_ports(kvm, pic);
	if (!r)
		return 0;
	kvm->pic = NULL;
	kfree(pic);
	return r;
}

/** kvm_pic_destroy - undo kvm_pic_create(), if it was done */
void kvm_pic_destroy(struct kvm *kvm)
{
	if (!kvm->pic)
		return;
	mutex_lock(&kvm->io_lock);
	kvm_io_unregister(kvm, KVM_PIO_BUS, &kvm->pic->dev);
	mutex_unlock(&kvm->io_lock);
	kfree(kvm->pic);
	kvm->pic = NULL;
}
