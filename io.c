// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port and memory-mapped I/O: the buses in the kernel, coalesced zones, and exits
 * to userspace with their completion.
 */
#include "kvm_host.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_io.h"
#include "kvm_irq.h"
#include "trace.h"

#include <linux/export.h>
#include <linux/nospec.h>

/*
 * ---- the buses ----
 *
 * Ranges sorted by address; replaced as a whole under kvm->io_lock, read under RCU.
 */
struct kvm_io_range {
	u64 addr;
	u64 last;		/* address, inclusive */
	u64 reach;		/* the highest last of all ranges up to this one */
	bool any_len;		/* accesses of any length, at addr only */
	struct kvm_io_device *dev;	/* NULL: unregistered */
};

struct kvm_io_bus {
	struct rcu_head rcu;
	int nr;
	struct kvm_io_range range[];
};

static struct kvm_io_bus *bus_locked(struct kvm *kvm, enum kvm_bus which)
	__kvm_must_hold(io_lock)
{
	return rcu_dereference_protected(kvm->bus[which], lockdep_is_held(&kvm->io_lock));
}

static void set_reach(struct kvm_io_bus *bus)
{
	u64 reach = 0;
	int i;

	for (i = 0; i < bus->nr; i++) {
		reach = max(reach, bus->range[i].last);
		bus->range[i].reach = reach;
	}
}

/** kvm_io_register - register a range of a device on a bus, io_lock held: 0, -ENOSPC or -ENOMEM
 * @len: of the range; 0: accesses of any length at @addr
 * @dev: the device, which may have several ranges
 * Where ranges overlap the one that begins last is tried first.
 */
int kvm_io_register(struct kvm *kvm, enum kvm_bus which, u64 addr, u64 len,
		    struct kvm_io_device *dev)
{
	struct kvm_io_bus *old = bus_locked(kvm, which), *bus;
	int nr = old ? old->nr : 0, i = 0;

	if (nr >= KVM_MAX_IO_RANGES)
		return -ENOSPC;
	bus = kvmalloc(struct_size(bus, range, nr + 1), GFP_KERNEL_ACCOUNT);
	if (!bus)
		return -ENOMEM;
	while (i < nr && old->range[i].addr <= addr)
		i++;
	if (nr) {
		memcpy(bus->range, old->range, i * sizeof(bus->range[0]));
		memcpy(bus->range + i + 1, old->range + i, (nr - i) * sizeof(bus->range[0]));
	}
	bus->range[i] = (struct kvm_io_range){
		.addr = addr, .last = len ? addr + len - 1 : addr, .any_len = !len, .dev = dev,
	};
	bus->nr = nr + 1;
	set_reach(bus);
	rcu_assign_pointer(kvm->bus[which], bus);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

/* Without memory for a new array the ranges stay in the old one, without a device. */
static void strike_out(struct kvm_io_bus *bus, struct kvm_io_device *dev)
{
	int i;

	for (i = 0; i < bus->nr; i++)
		if (bus->range[i].dev == dev)
			WRITE_ONCE(bus->range[i].dev, NULL);
}

/** kvm_io_unregister - all ranges of a device; io_lock held.  On return no vcpu is in it */
void kvm_io_unregister(struct kvm *kvm, enum kvm_bus which, struct kvm_io_device *dev)
{
	struct kvm_io_bus *old = bus_locked(kvm, which), *bus;
	int i;

	if (!old)
		return;
	bus = kvmalloc(struct_size(bus, range, old->nr), GFP_KERNEL_ACCOUNT);
	if (bus) {
		bus->nr = 0;
		for (i = 0; i < old->nr; i++)
			if (old->range[i].dev && old->range[i].dev != dev)
				bus->range[bus->nr++] = old->range[i];
		set_reach(bus);
		rcu_assign_pointer(kvm->bus[which], bus);
	} else {
		strike_out(old, dev);
	}
	synchronize_rcu_expedited();
	if (bus)
		kvfree(old);
}

/* The number of ranges that begin at or below an address. */
static int ranges_up_to(const struct kvm_io_bus *bus, u64 addr)
{
	unsigned int low = 0, high = bus->nr;

	while (low < high) {
		unsigned int mid = (low + high) / 2;

		if (bus->range[mid].addr <= addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool covers(const struct kvm_io_range *range, u64 addr, int len)
{
	if (range->any_len)
		return range->addr == addr;
	return len - 1 <= range->last - addr && addr <= range->last;
}

static __always_inline bool bus_access(struct kvm_vcpu *vcpu, enum kvm_bus which, u64 addr,
				       int len, void *val, bool write)
{
	const struct kvm_io_bus *bus;
	struct kvm_io_device *dev;
	bool done = false;
	int i;

	rcu_read_lock();
	bus = rcu_dereference(vcpu->kvm->bus[which]);
	i = bus ? ranges_up_to(bus, addr) : 0;
	while (!done && --i >= 0 && bus->range[i].reach >= addr) {
		dev = READ_ONCE(bus->range[i].dev);
		if (!dev || !(write ? !!dev->ops->write : !!dev->ops->read) ||
		    !covers(&bus->range[i], addr, len))
			continue;
		done = write ? dev->ops->write(vcpu, dev, addr, len, val) :
			       dev->ops->read(vcpu, dev, addr, len, val);
	}
	rcu_read_unlock();
	return done;
}

/** kvm_io_read - try to read from a device in the kernel, 1 to 8 bytes at a port or a gpa; false
 * if none answers: the access is userspace's.  The vcpu need not be loaded.
 */
bool kvm_io_read(struct kvm_vcpu *vcpu, enum kvm_bus which, u64 addr, int len, void *val)
{
	return bus_access(vcpu, which, addr, len, val, false);
}

/** kvm_io_write - as kvm_io_read(), for a write */
bool kvm_io_write(struct kvm_vcpu *vcpu, enum kvm_bus which, u64 addr, int len, const void *val)
{
	return bus_access(vcpu, which, addr, len, (void *)val, true);
}

/** kvm_pio_read_units - read the units of a string instruction from a port.
 * Returns @count, or 0 if no device in the kernel answers.  If a device is unregistered in
 * between, the remaining units read as all ones.
 */
unsigned int kvm_pio_read_units(struct kvm_vcpu *vcpu, u16 port, int size, void *val,
				unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!kvm_io_read(vcpu, KVM_PIO_BUS, port, size, val + i * size))
			break;
	if (i && i < count)
		memset(val + i * size, 0xff, (count - i) * size);
	return i ? count : 0;
}

/** kvm_pio_write_units - write them; returns how many were taken, the others are userspace's */
unsigned int kvm_pio_write_units(struct kvm_vcpu *vcpu, u16 port, int size, const void *val,
				 unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!kvm_io_write(vcpu, KVM_PIO_BUS, port, size, val + i * size))
			break;
	return i;
}

/*
 * ---- coalesced zones: writes are kept in a ring until the next exit ----
 */

struct kvm_coalesced_dev {
	struct kvm_io_device dev;
	struct list_head link;		/* kvm->coalesced_zones */
	struct kvm *kvm;
	struct kvm_coalesced_mmio_zone zone;
};

/* Userspace may write anything to the ring: its indices are read once and checked. */
static bool coalesced_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len,
			    const u8 *val)
{
	struct kvm_coalesced_dev *p = container_of(dev, struct kvm_coalesced_dev, dev);
	struct kvm_coalesced_mmio_ring *ring = p->kvm->coalesced_ring;
	struct kvm_coalesced_mmio *slot;
	u32 last, next;
	bool room;

	spin_lock(&p->kvm->ring_lock);
	last = READ_ONCE(ring->last);
	next = (last + 1) % KVM_COALESCED_MMIO_MAX;
	/* If it is full this write exits, and userspace empties the ring first. */
	room = last < KVM_COALESCED_MMIO_MAX && next != READ_ONCE(ring->first);
	if (room) {
		slot = &ring->coalesced_mmio[array_index_nospec(last, KVM_COALESCED_MMIO_MAX)];
		slot->phys_addr = addr;
		slot->len = len;
		slot->pio = p->zone.pio;
		memcpy(slot->data, val, len);
		/* The slot is complete before the index says so. */
		smp_wmb();
		WRITE_ONCE(ring->last, next);
	}
	spin_unlock(&p->kvm->ring_lock);
	return room;
}

static const struct kvm_io_ops coalesced_ops = {
	.write = coalesced_write,
};

static enum kvm_bus zone_bus(const struct kvm_coalesced_mmio_zone *zone)
{
	return zone->pio ? KVM_PIO_BUS : KVM_MMIO_BUS;
}

static bool zone_valid(const struct kvm_coalesced_mmio_zone *zone)
{
	u64 top = zone->pio ? 0xffff : ~0ULL;

	return zone->pio <= 1 && zone->size && zone->addr <= top &&
	       zone->size - 1 <= top - zone->addr;
}

static long coalesced_register(struct kvm *kvm, const struct kvm_coalesced_mmio_zone *zone)
{
	struct kvm_coalesced_dev *p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	long r;

	if (!p)
		return -ENOMEM;
	p->dev.ops = &coalesced_ops;
	p->kvm = kvm;
	p->zone = *zone;
	mutex_lock(&kvm->io_lock);
	r = kvm_io_register(kvm, zone_bus(zone), zone->addr, zone->size, &p->dev);
	if (!r)
		list_add_tail(&p->link, &kvm->coalesced_zones);
	mutex_unlock(&kvm->io_lock);
	if (r)
		kfree(p);
	return r;
}

static void coalesced_remove(struct kvm *kvm, struct kvm_coalesced_dev *p)
	__kvm_must_hold(io_lock)
{
	list_del(&p->link);
	kvm_io_unregister(kvm, zone_bus(&p->zone), &p->dev);
	kfree(p);
}

/* All zones that contain the given one; it is no error if there is none. */
static long coalesced_unregister(struct kvm *kvm, const struct kvm_coalesced_mmio_zone *zone)
{
	u64 last = zone->addr + zone->size - 1;
	struct kvm_coalesced_dev *p, *next;

	mutex_lock(&kvm->io_lock);
	list_for_each_entry_safe(p, next, &kvm->coalesced_zones, link)
		if (p->zone.pio == zone->pio && p->zone.addr <= zone->addr &&
		    last <= p->zone.addr + p->zone.size - 1)
			coalesced_remove(kvm, p);
	mutex_unlock(&kvm->io_lock);
	return 0;
}

/*
 * ---- a VM's buses ----
 */

/** kvm_io_init_vm - a new VM's buses and ring: 0 or -ENOMEM */
int kvm_io_init_vm(struct kvm *kvm)
{
	mutex_init(&kvm->io_lock);
	spin_lock_init(&kvm->ring_lock);
	INIT_LIST_HEAD(&kvm->ioeventfds);
	INIT_LIST_HEAD(&kvm->coalesced_zones);
	kvm->coalesced_ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return kvm->coalesced_ring ? 0 : -ENOMEM;
}

/** kvm_io_stop_vm - drop all ranges of a VM, which runs no vcpu and no ioctl any more, so that no
 * device is in use: the devices are unregistered without waiting for a grace period
 */
void kvm_io_stop_vm(struct kvm *kvm)
{
	int i;

	mutex_lock(&kvm->io_lock);
	for (i = 0; i < KVM_NR_BUSES; i++)
		kvfree(rcu_replace_pointer(kvm->bus[i], NULL, true));
	mutex_unlock(&kvm->io_lock);
}

/** kvm_io_destroy_vm - free ioeventfds, coalesced zones and the ring */
void kvm_io_destroy_vm(struct kvm *kvm)
{
	struct kvm_coalesced_dev *zone, *next_zone;

	kvm_ioeventfd_release_all(kvm);
	mutex_lock(&kvm->io_lock);
	list_for_each_entry_safe(zone, next_zone, &kvm->coalesced_zones, link)
		coalesced_remove(kvm, zone);
	mutex_unlock(&kvm->io_lock);
	free_page((unsigned long)kvm->coalesced_ring);
}

/** kvm_vm_coalesced_mmio - KVM_REGISTER_COALESCED_MMIO, or KVM_UNREGISTER_COALESCED_MMIO unless
 * @add: 0, -EINVAL, or what registering a device says
 */
long kvm_vm_coalesced_mmio(struct kvm *kvm, const struct kvm_coalesced_mmio_zone *zone, bool add)
{
	if (!zone_valid(zone))
		return -EINVAL;
	return add ? coalesced_register(kvm, zone) : coalesced_unregister(kvm, zone);
}

/*
 * ---- ports ----
 */

/** kvm_pio_to_userspace - KVM_EXIT_IO; an output's data is in vcpu->pio.data; returns 0
 * @count: units of pio->size bytes, a page at most
 */
int kvm_pio_to_userspace(struct kvm_vcpu *vcpu, const struct kvm_pio *pio, unsigned int count)
{
	struct kvm_run *run = vcpu->run;

	vcpu->pio.req = *pio;
	vcpu->pio.count = count;
	vcpu->stat.io_exits++;
	if (!pio->in)
		trace_kvm_pio(KVM_TRACE_PIO_OUT, pio->port, pio->size, count, vcpu->pio.data);
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = pio->in ? KVM_EXIT_IO_IN : KVM_EXIT_IO_OUT;
	run->io.size = pio->size;
	run->io.port = pio->port;
	run->io.count = count;
	run->io.data_offset = KVM_PIO_PAGE_OFFSET * PAGE_SIZE;
	return 0;
}

/* The single-step trap of an OUT that userspace has emulated. */
static int complete_out_step(struct kvm_vcpu *vcpu)
{
	return kvm_debug_exit(vcpu, X86_TRAP_DB, DR_STEP);
}

/*
 * RIP is past the OUT at the exit already, so that userspace may save, reset or
 * migrate the vcpu then.
 */
static int pio_out(struct kvm_vcpu *vcpu, const struct kvm_pio *pio)
{
	unsigned long rax = kvm_rax_read(vcpu);
	int r;

	if (kvm_io_write(vcpu, KVM_PIO_BUS, pio->port, pio->size, &rax)) {
		trace_kvm_pio(KVM_TRACE_PIO_OUT, pio->port, pio->size, 1, &rax);
		return kvm_skip_emulated_instruction(vcpu);
	}
	r = kvm_skip_emulated_instruction(vcpu);
	if (r < 0 || (r == 0 && vcpu->run->exit_reason != KVM_EXIT_DEBUG))
		return r;
	if (r == 0)
		vcpu->complete_userspace_io = complete_out_step;
	memcpy(vcpu->pio.data, &rax, pio->size);
	return kvm_pio_to_userspace(vcpu, pio, 1);
}

static int finish_pio_in(struct kvm_vcpu *vcpu, const void *data, u16 port, int size)
{
	/* A 32-bit IN clears the upper half, as all 32-bit writes do. */
	unsigned long rax = size < 4 ? kvm_rax_read(vcpu) : 0;

	memcpy(&rax, data, size);
	trace_kvm_pio(KVM_TRACE_PIO_IN, port, size, 1, data);
	kvm_rax_write(vcpu, rax);
	return kvm_skip_emulated_instruction(vcpu);
}

/* If userspace has changed RIP (reset, restore), the IN is abandoned. */
static int complete_pio_in(struct kvm_vcpu *vcpu)
{
	if (kvm_rip_read(vcpu) != vcpu->complete_rip)
		return 1;
	return finish_pio_in(vcpu, vcpu->pio.data, vcpu->pio.req.port, vcpu->pio.req.size);
}

static int pio_in(struct kvm_vcpu *vcpu, const struct kvm_pio *pio)
{
	u32 val;

	if (kvm_io_read(vcpu, KVM_PIO_BUS, pio->port, pio->size, &val))
		return finish_pio_in(vcpu, &val, pio->port, pio->size);
	vcpu->complete_rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = complete_pio_in;
	return kvm_pio_to_userspace(vcpu, pio, 1);
}

/** kvm_handle_pio - IN, OUT, INS, OUTS, as the vendor decoded it; strings go to the emulator */
int kvm_handle_pio(struct kvm_vcpu *vcpu, const struct kvm_pio *pio)
{
	if (pio->string)
		return kvm_emulate_insn(vcpu, 0, 0, NULL, 0);
	return pio->in ? pio_in(vcpu, pio) : pio_out(vcpu, pio);
}
EXPORT_SYMBOL_GPL(kvm_handle_pio);

/*
 * ---- memory-mapped I/O ----
 */

/** kvm_mmio_to_userspace - KVM_EXIT_MMIO for the current fragment; returns 0 */
int kvm_mmio_to_userspace(struct kvm_vcpu *vcpu)
{
	const struct kvm_mmio_fragment *frag = &vcpu->mmio.frag[vcpu->mmio.cur];
	struct kvm_run *run = vcpu->run;

	vcpu->stat.mmio_exits++;
	trace_kvm_mmio(vcpu->mmio.is_write ? KVM_TRACE_MMIO_WRITE : KVM_TRACE_MMIO_READ_UNSATISFIED,
		       frag->len, frag->gpa, vcpu->mmio.is_write ? frag->data : NULL);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = frag->gpa;
	run->mmio.len = frag->len;
	run->mmio.is_write = vcpu->mmio.is_write;
	memset(run->mmio.data, 0, sizeof(run->mmio.data));
	if (vcpu->mmio.is_write)
		memcpy(run->mmio.data, frag->data, frag->len);
	return 0;
}

/** kvm_mmio_queue_write - add a write of 1 to 8 bytes to userspace's fragments; false: no room */
bool kvm_mmio_queue_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	struct kvm_mmio_fragment *frag = &vcpu->mmio.frag[vcpu->mmio.nr];

	if (vcpu->mmio.nr == ARRAY_SIZE(vcpu->mmio.frag))
		return false;
	frag->gpa = gpa;
	frag->len = len;
	memcpy(frag->data, data, len);
	vcpu->mmio.nr++;
	return true;
}

/** kvm_mmio_complete_writes - userspace has emulated one fragment: exit with the next, if any */
int kvm_mmio_complete_writes(struct kvm_vcpu *vcpu)
{
	if (++vcpu->mmio.cur >= vcpu->mmio.nr) {
		vcpu->mmio.nr = 0;
		return 1;
	}
	vcpu->complete_userspace_io = kvm_mmio_complete_writes;
	return kvm_mmio_to_userspace(vcpu);
}
