// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 82093AA I/O APIC, 24 pins, version 0x11.
 *
 * "82093AA" is Intel's data sheet of the I/O Advanced Programmable Interrupt
 * Controller.
 */
#include "kvm_host.h"
#include "kvm_irq.h"

#include <linux/nospec.h>
#include <asm/apicdef.h>

#define PINS		KVM_IRQCHIP_NR_IOAPIC_PINS
#define WINDOW_SIZE	0x100
#define IOREGSEL	0x00
#define IOWIN		0x10
#define REG_ID		0x00
#define REG_VERSION	0x01
#define REG_ARBITRATION	0x02
#define REG_TABLE	0x10
#define VERSION		0x11

#define ENTRY_DELIVERY_STATUS	BIT_ULL(12)
#define ENTRY_REMOTE_IRR	BIT_ULL(14)
#define ENTRY_LEVEL		BIT_ULL(15)
#define ENTRY_MASKED		BIT_ULL(16)
#define ENTRY_READ_ONLY		(ENTRY_DELIVERY_STATUS | ENTRY_REMOTE_IRR)
#define ENTRY_BITS		(0xff00000000000000ULL | 0x1ffffULL)
/* Bits 14:8 of the destination, by KVM_FEATURE_MSI_EXT_DEST_ID, with 32-bit ids only. */
#define ENTRY_EXT_DEST_ID	0x00fe000000000000ULL

struct kvm_ioapic {
	struct kvm_io_device dev;
	struct kvm *kvm;
	spinlock_t lock;		/* all below; inside an eventfd's wait queue lock */
	u8 ioregsel __kvm_guarded_by(ioapic_lock);
	u8 id __kvm_guarded_by(ioapic_lock);
	u32 lines __kvm_guarded_by(ioapic_lock);	/* pins that are asserted */
	u32 edges __kvm_guarded_by(ioapic_lock);	/* of them: the edge was delivered */
	/* KVM_IRQ_SOURCE_* bits that assert a pin. */
	u8 sources[PINS] __kvm_guarded_by(ioapic_lock);
	u64 entry[PINS] __kvm_guarded_by(ioapic_lock);
};

/*
 * ---- pins ----
 */

static u64 entry_bits(const struct kvm *kvm)
{
	return ENTRY_BITS | (kvm->x2apic_format ? ENTRY_EXT_DEST_ID : 0);
}

static u32 entry_dest(u64 entry)
{
	return (entry >> 56) | (entry & ENTRY_EXT_DEST_ID) >> 49 << 8;
}

/* Lock held.  Returns as kvm_ioapic_set_irq() does. */
static int deliver(struct kvm_ioapic *ioapic, int pin)
	__kvm_must_hold(ioapic_lock)
{
	u64 *entry = &ioapic->entry[pin];
	struct kvm_lapic_irq irq = kvm_make_lapic_irq(*entry, entry_dest(*entry));
	int r;

	lockdep_assert_held(&ioapic->lock);
	if (*entry & ENTRY_MASKED)
		return -1;
	if ((*entry & ENTRY_LEVEL) && (*entry & ENTRY_REMOTE_IRR))
		return 0;
	r = kvm_irq_deliver(ioapic->kvm, NULL, &irq);
	if (!(*entry & ENTRY_LEVEL) && r >= 0)
		ioapic->edges |= BIT(pin);
	/* Until the EOI.  If no APIC accepted it, it is tried again when the pin is asserted again. */
	if ((*entry & ENTRY_LEVEL) && r >= 0)
		*entry |= ENTRY_REMOTE_IRR;
	return r;
}

/** kvm_ioapic_set_irq - a source asserts or deasserts a pin, in any context but NMI
 * @source: KVM_IRQ_SOURCE_*; the pin is asserted while one of them asserts it
 * @level: true: assert; the entry's polarity is ignored
 * Returns -1 if it is masked or addresses no APIC, 0 if it was pending already (coalesced), else
 * how many APICs accepted it.
 */
int kvm_ioapic_set_irq(struct kvm *kvm, int pin, int source, bool level)
{
	struct kvm_ioapic *ioapic = kvm->ioapic;
	bool was_up, up;
	unsigned long flags;
	int r = 0;

	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->sources[pin] = kvm_irq_sources(ioapic->sources[pin], source, level);
	was_up = ioapic->lines & BIT(pin);
	up = ioapic->sources[pin];
	ioapic->lines = (ioapic->lines & ~BIT(pin)) | (up ? BIT(pin) : 0);
	if (!up)
		ioapic->edges &= ~BIT(pin);
	/* Edge-triggered: only when it changes.  Level-triggered: each time that it is asserted. */
	if (up && ((ioapic->entry[pin] & ENTRY_LEVEL) || !was_up))
		r = deliver(ioapic, pin);
	else if (ioapic->entry[pin] & ENTRY_MASKED)
		r = -1;
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return r;
}

/* Lock held.  Clears remote IRR of the pins with this vector, and returns the pins. */
static u32 end_of_interrupt(struct kvm_ioapic *ioapic, u8 vector, bool trigger_level)
	__kvm_must_hold(ioapic_lock)
{
	u32 ended = 0;
	int pin;

	for (pin = 0; pin < PINS; pin++) {
		u64 *entry = &ioapic->entry[pin];

		if ((*entry & 0xff) != vector)
			continue;
		if (!(*entry & ENTRY_LEVEL)) {
			ended |= BIT(pin);
		} else if (trigger_level && (*entry & ENTRY_REMOTE_IRR)) {
			*entry &= ~ENTRY_REMOTE_IRR;
			ended |= BIT(pin);
		}
	}
	return ended;
}

/** kvm_ioapic_eoi - a local APIC broadcasts an EOI.  Resampling irqfds are notified first; a
 * level-triggered pin that is still asserted then is the next interrupt.
 */
void kvm_ioapic_eoi(struct kvm_vcpu *vcpu, u8 vector, bool trigger_level)
{
	struct kvm_ioapic *ioapic = vcpu->kvm->ioapic;
	unsigned long ended, flags;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	ended = end_of_interrupt(ioapic, vector, trigger_level);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	for_each_set_bit(pin, &ended, PINS)
		kvm_notify_acked_irq(vcpu->kvm, KVM_IRQCHIP_IOAPIC, pin);

	spin_lock_irqsave(&ioapic->lock, flags);
	for_each_set_bit(pin, &ended, PINS)
		if ((ioapic->entry[pin] & ENTRY_LEVEL) && (ioapic->lines & BIT(pin)))
			deliver(ioapic, pin);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

/* Does this vcpu have to broadcast the EOI of the pin's vector? */
static bool wants_eoi(struct kvm_vcpu *vcpu, int pin, u64 entry)
{
	struct kvm_lapic_irq irq = kvm_make_lapic_irq(entry, entry_dest(entry));

	/* It was accepted already, perhaps by a vcpu that the entry no longer addresses. */
	if (entry & ENTRY_REMOTE_IRR)
		return true;
	if (!(entry & ENTRY_LEVEL) &&
	    !kvm_irq_has_ack_listener(vcpu->kvm, KVM_IRQCHIP_IOAPIC, pin))
		return false;
	return kvm_lapic_matches(vcpu, &irq);
}

/** kvm_ioapic_scan - set the bits of the vectors whose EOI a vcpu has to broadcast */
void kvm_ioapic_scan(struct kvm_vcpu *vcpu, unsigned long *eoi_exits)
{
	struct kvm_ioapic *ioapic = vcpu->kvm->ioapic;
	unsigned long flags;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	for (pin = 0; pin < PINS; pin++)
		if (wants_eoi(vcpu, pin, ioapic->entry[pin]))
			__set_bit(ioapic->entry[pin] & 0xff, eoi_exits);
	spin_unlock_irqrestore(&ioapic->lock, flags);
}

/*
 * ---- registers ----
 */

/* Lock held: all vcpus see the new entry before the next interrupt by it. */
static void request_scan(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	rcu_read_lock();
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
	rcu_read_unlock();
}

static u32 read_table(const struct kvm_ioapic *ioapic, u8 reg)
	__kvm_must_hold(ioapic_lock)
{
	int pin = (reg - REG_TABLE) / 2;

	if (reg < REG_TABLE || pin >= PINS)
		return ~0U;
	return ioapic->entry[array_index_nospec(pin, PINS)] >> (reg & 1 ? 32 : 0);
}

static u32 read_register(const struct kvm_ioapic *ioapic)
	__kvm_must_hold(ioapic_lock)
{
	switch (ioapic->ioregsel) {
	case REG_ID:
	case REG_ARBITRATION:
		return ioapic->id << 24;
	case REG_VERSION:
		return VERSION | (PINS - 1) << 16;
	default:
		return read_table(ioapic, ioapic->ioregsel);
	}
}

/* Lock held.  True: the pin was unmasked. */
static bool write_entry(struct kvm_ioapic *ioapic, int pin, bool high, u32 val)
	__kvm_must_hold(ioapic_lock)
{
	u64 old = ioapic->entry[pin], new;

	if (high)
		new = (u32)old | (u64)val << 32;
	else
		new = (old & ~0xffffffffULL) | val;
	new = (new & entry_bits(ioapic->kvm) & ~ENTRY_READ_ONLY) | (old & ENTRY_READ_ONLY);
	/* Guests switch an entry to edge-triggered and back to clear a stuck remote IRR. */
	if (!(new & ENTRY_LEVEL))
		new &= ~ENTRY_REMOTE_IRR;
	ioapic->entry[pin] = new;
	request_scan(ioapic->kvm);
	if ((new & ENTRY_LEVEL) && (ioapic->lines & BIT(pin)))
		deliver(ioapic, pin);
	return (old & ENTRY_MASKED) && !(new & ENTRY_MASKED);
}

/* Lock held.  Returns the pin that was unmasked, -1: none. */
static int write_register(struct kvm_ioapic *ioapic, u32 val)
	__kvm_must_hold(ioapic_lock)
{
	u8 reg = ioapic->ioregsel;
	int pin = (reg - REG_TABLE) / 2;

	if (reg == REG_ID)
		ioapic->id = (val >> 24) & 0xf;
	if (reg < REG_TABLE || pin >= PINS)
		return -1;
	pin = array_index_nospec(pin, PINS);
	return write_entry(ioapic, pin, reg & 1, val) ? pin : -1;
}

static bool ioapic_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len,
			u8 *val)
{
	struct kvm_ioapic *ioapic = container_of(dev, struct kvm_ioapic, dev);
	unsigned int offset = addr & (WINDOW_SIZE - 1);
	unsigned long flags;
	__le64 data = 0;

	spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == IOREGSEL)
		data = cpu_to_le64(ioapic->ioregsel);
	else if (offset == IOWIN)
		data = cpu_to_le64(read_register(ioapic));
	spin_unlock_irqrestore(&ioapic->lock, flags);
	memcpy(val, &data, len);
	return true;
}

/* Registers are 32 bits wide; narrower writes are zero-extended. */
static bool ioapic_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len,
			 const u8 *val)
{
	struct kvm_ioapic *ioapic = container_of(dev, struct kvm_ioapic, dev);
	unsigned int offset = addr & (WINDOW_SIZE - 1);
	unsigned long flags;
	int unmasked = -1;
	__le32 data = 0;

	memcpy(&data, val, min_t(int, len, sizeof(data)));
	spin_lock_irqsave(&ioapic->lock, flags);
	if (offset == IOREGSEL)
		ioapic->ioregsel = le32_to_cpu(data);
	else if (offset == IOWIN)
		unmasked = write_register(ioapic, le32_to_cpu(data));
	spin_unlock_irqrestore(&ioapic->lock, flags);
	if (unmasked >= 0)
		kvm_notify_unmasked_irq(ioapic->kvm, KVM_IRQCHIP_IOAPIC, unmasked);
	return true;
}

static const struct kvm_io_ops ioapic_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

/*
 * ---- userspace's view ----
 */

/** kvm_ioapic_get_state - KVM_GET_IRQCHIP; returns 0.  A pin whose edge was delivered counts as
 * deasserted: setting would deliver it once more.
 */
int kvm_ioapic_get_state(struct kvm *kvm, struct kvm_ioapic_state *state)
{
	struct kvm_ioapic *ioapic = kvm->ioapic;
	unsigned long flags;
	int pin;

	spin_lock_irqsave(&ioapic->lock, flags);
	state->base_address = IO_APIC_DEFAULT_PHYS_BASE;
	state->ioregsel = ioapic->ioregsel;
	state->id = ioapic->id;
	state->irr = ioapic->lines & ~ioapic->edges;
	for (pin = 0; pin < PINS; pin++)
		state->redirtbl[pin].bits = ioapic->entry[pin];
	spin_unlock_irqrestore(&ioapic->lock, flags);
	return 0;
}

static bool state_valid(const struct kvm_ioapic_state *state)
{
	return state->base_address == IO_APIC_DEFAULT_PHYS_BASE && state->ioregsel <= 0xff &&
	       state->id <= 0xf && !(state->irr & ~GENMASK(PINS - 1, 0));
}

/** kvm_ioapic_set_state - KVM_SET_IRQCHIP: 0, or -EINVAL with nothing changed
 * @state: pins that are asserted in it are so until their source lowers them, and interrupt
 */
int kvm_ioapic_set_state(struct kvm *kvm, const struct kvm_ioapic_state *state)
{
	struct kvm_ioapic *ioapic = kvm->ioapic;
	unsigned long flags;
	int pin;

	if (!state_valid(state))
		return -EINVAL;
	spin_lock_irqsave(&ioapic->lock, flags);
	ioapic->ioregsel = state->ioregsel;
	ioapic->id = state->id;
	ioapic->lines = state->irr;
	ioapic->edges = 0;
	for (pin = 0; pin < PINS; pin++) {
		ioapic->entry[pin] = state->redirtbl[pin].bits & entry_bits(kvm) &
				     ~ENTRY_DELIVERY_STATUS;
		ioapic->sources[pin] = state->irr & BIT(pin) ? BIT(KVM_IRQ_SOURCE_RESTORED) : 0;
	}
	request_scan(kvm);
	for (pin = 0; pin < PINS; pin++)
		if (state->irr & BIT(pin))
			deliver(ioapic, pin);
	spin_unlock_irqrestore(&ioapic->lock, flags);
	for (pin = 0; pin < PINS; pin++)
		kvm_notify_unmasked_irq(kvm, KVM_IRQCHIP_IOAPIC, pin);
	return 0;
}

/*
 * ---- creation and end ----
 */

static struct kvm_ioapic *new_ioapic(struct kvm *kvm)
	__kvm_unshared
{
	struct kvm_ioapic *ioapic = kzalloc(sizeof(*ioapic), GFP_KERNEL_ACCOUNT);
	int pin;

	if (!ioapic)
		return NULL;
	spin_lock_init(&ioapic->lock);
	ioapic->kvm = kvm;
	ioapic->dev.ops = &ioapic_ops;
	for (pin = 0; pin < PINS; pin++)
		ioapic->entry[pin] = ENTRY_MASKED;
	return ioapic;
}

/** kvm_ioapic_create - a VM's I/O APIC: 0, -ENOMEM, -ENOSPC */
int kvm_ioapic_create(struct kvm *kvm)
{
	struct kvm_ioapic *ioapic = new_ioapic(kvm);
	int r;

	if (!ioapic)
		return -ENOMEM;
	kvm->ioapic = ioapic;
	mutex_lock(&kvm->io_lock);
	r = kvm_io_register(kvm, KVM_MMIO_BUS, IO_APIC_DEFAULT_PHYS_BASE, WINDOW_SIZE,
			    &ioapic->dev);
	mutex_unlock(&kvm->io_lock);
	if (!r)
		return 0;
	kvm->ioapic = NULL;
	kfree(ioapic);
	return r;
}

/** kvm_ioapic_destroy - undo kvm_ioapic_create(), if it was done */
void kvm_ioapic_destroy(struct kvm *kvm)
{
	if (!kvm->ioapic)
		return;
	mutex_lock(&kvm->io_lock);
	kvm_io_unregister(kvm, KVM_MMIO_BUS, &kvm->ioapic->dev);
	mutex_unlock(&kvm->io_lock);
	kfree(kvm->ioapic);
	kvm->ioapic = NULL;
}
