// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port and memory-mapped I/O: the buses in the kernel with ioeventfds and
 * coalesced zones on them, and the way to userspace and back, kvm_run packing
 * and completion.
 */
#include "kvm_host.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_io.h"
#include "kvm_irq.h"
#include "trace.h"

#include <linux/eventfd.h>
#include <linux/module.h>

#include "compat/eventfd.h"

/*
 * ---- the buses ----
 *
 * Ranges sorted by address, replaced whole under kvm->io_lock, read under RCU.
 */
struct kvm_io_range {
	u64 addr;
	u64 last;		/* address; for any length at addr: addr itself */
	u64 reach;		/* the highest last of all ranges up to here */
	bool any_len;
	struct kvm_io_device *dev;	/* NULL: gone */
};

struct kvm_io_bus {
	struct rcu_head rcu;
	int nr;
	struct kvm_io_range range[];
};

static struct kvm_io_bus *bus_locked(struct kvm *kvm, enum kvm_bus which)
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

/**
 * kvm_io_register - put a device on a bus
 * @kvm: the VM, with io_lock held
 * @which: the bus
 * @addr: the first address
 * @len: of the range, or 0: accesses at @addr, however long
 * @dev: may have several ranges
 *
 * Of devices that overlap the one that begins last is asked first.  Returns 0,
 * -ENOSPC, -ENOMEM.
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

/* Without memory for a shorter array the ranges stay in the old one, nobody's. */
static void strike_out(struct kvm_io_bus *bus, struct kvm_io_device *dev)
{
	int i;

	for (i = 0; i < bus->nr; i++)
		if (bus->range[i].dev == dev)
			WRITE_ONCE(bus->range[i].dev, NULL);
}

/**
 * kvm_io_unregister - take a device off its bus
 * @kvm: the VM, with io_lock held; on return no vcpu is in the device
 * @which: the bus
 * @dev: with all its ranges
 */
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

/* How many ranges begin at or below an address. */
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

/**
 * kvm_io_read - ask the kernel's devices for a read
 * @vcpu: the vcpu, in its own thread
 * @which: the bus
 * @addr: a port, or a gpa
 * @len: 1 to 8
 * @val: the answer
 * Returns false if it is userspace's.
 */
bool kvm_io_read(struct kvm_vcpu *vcpu, enum kvm_bus which, u64 addr, int len, void *val)
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
		if (dev && dev->ops->read && covers(&bus->range[i], addr, len))
			done = dev->ops->read(vcpu, dev, addr, len, val);
	}
	rcu_read_unlock();
	return done;
}

/** kvm_io_write - likewise for a write */
bool kvm_io_write(struct kvm_vcpu *vcpu, enum kvm_bus which, u64 addr, int len, const void *val)
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
		if (dev && dev->ops->write && covers(&bus->range[i], addr, len))
			done = dev->ops->write(vcpu, dev, addr, len, val);
	}
	rcu_read_unlock();
	return done;
}

/* Strings: all units of a port that the kernel takes; the rest are userspace's. */
unsigned int kvm_pio_read_units(struct kvm_vcpu *vcpu, u16 port, int size, void *val,
				unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!kvm_io_read(vcpu, KVM_PIO_BUS, port, size, val + i * size))
			break;
	/* A device that went amid a string: what is left of it reads as nothing. */
	if (i && i < count)
		memset(val + i * size, 0xff, (count - i) * size);
	return i ? count : 0;
}

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
 * ---- ioeventfd: a write that is an eventfd's signal ----
 */

struct kvm_ioeventfd_dev {
	struct kvm_io_device dev;
	struct list_head link;		/* kvm->ioeventfds */
	struct eventfd_ctx *eventfd;
	enum kvm_bus bus;
	u64 addr;
	u32 len;			/* 0: any */
	bool wildcard;			/* any data */
	u64 datamatch;
};

static u64 get_data(const u8 *val, int len)
{
	__le64 data = 0;

	memcpy(&data, val, len);
	return le64_to_cpu(data);
}

static bool ioeventfd_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len,
			    const u8 *val)
{
	struct kvm_ioeventfd_dev *p = container_of(dev, struct kvm_ioeventfd_dev, dev);

	if (addr != p->addr || (p->len && len != p->len))
		return false;
	if (!p->wildcard && get_data(val, len) != p->datamatch)
		return false;
	kvm_eventfd_signal(p->eventfd);
	return true;
}

static const struct kvm_io_ops ioeventfd_ops = {
	.write = ioeventfd_write,
};

#define IOEVENTFD_FLAGS \
	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)

static bool ioeventfd_valid(const struct kvm_ioeventfd *args)
{
	u64 top = args->flags & KVM_IOEVENTFD_FLAG_PIO ? 0xffff : ~0ULL;

	if (args->flags & ~IOEVENTFD_FLAGS)
		return false;
	if (args->len > 8 || (args->len & (args->len - 1)))
		return false;
	/* Data of any length match nothing. */
	if (!args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
		return false;
	return args->addr <= top && (!args->len || args->len - 1 <= top - args->addr);
}

static bool same_place(const struct kvm_ioeventfd_dev *a, const struct kvm_ioeventfd_dev *b)
{
	return a->bus == b->bus && a->addr == b->addr;
}

/* Could one write be both's? */
static bool ioeventfd_collides(const struct kvm_ioeventfd_dev *a, const struct kvm_ioeventfd_dev *b)
{
	if (!same_place(a, b))
		return false;
	if (!a->len || !b->len)
		return true;
	return a->len == b->len && (a->wildcard || b->wildcard || a->datamatch == b->datamatch);
}

/* io_lock held. */
static long ioeventfd_install(struct kvm *kvm, struct kvm_ioeventfd_dev *p)
{
	struct kvm_ioeventfd_dev *other;
	long r;

	list_for_each_entry(other, &kvm->ioeventfds, link)
		if (ioeventfd_collides(other, p))
			return -EEXIST;
	r = kvm_io_register(kvm, p->bus, p->addr, p->len, &p->dev);
	if (!r)
		list_add_tail(&p->link, &kvm->ioeventfds);
	return r;
}

/* io_lock held. */
static void ioeventfd_remove(struct kvm *kvm, struct kvm_ioeventfd_dev *p)
{
	list_del(&p->link);
	kvm_io_unregister(kvm, p->bus, &p->dev);
	eventfd_ctx_put(p->eventfd);
	kfree(p);
}

static long ioeventfd_deassign(struct kvm *kvm, const struct kvm_ioeventfd_dev *args)
{
	struct kvm_ioeventfd_dev *p;

	list_for_each_entry(p, &kvm->ioeventfds, link) {
		if (!same_place(p, args) || p->len != args->len || p->eventfd != args->eventfd ||
		    p->wildcard != args->wildcard || p->datamatch != args->datamatch)
			continue;
		ioeventfd_remove(kvm, p);
		return 0;
	}
	return -ENOENT;
}

long kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args)
{
	struct kvm_ioeventfd_dev *p;
	long r;

	if (!ioeventfd_valid(args))
		return -EINVAL;
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	p->eventfd = eventfd_ctx_fdget(args->fd);
	if (IS_ERR(p->eventfd)) {
		r = PTR_ERR(p->eventfd);
		kfree(p);
		return r;
	}
	p->dev.ops = &ioeventfd_ops;
	p->bus = args->flags & KVM_IOEVENTFD_FLAG_PIO ? KVM_PIO_BUS : KVM_MMIO_BUS;
	p->addr = args->addr;
	p->len = args->len;
	p->wildcard = !(args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH);
	p->datamatch = p->wildcard ? 0 : args->datamatch;

	mutex_lock(&kvm->io_lock);
	if (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)
		r = ioeventfd_deassign(kvm, p);
	else
		r = ioeventfd_install(kvm, p);
	mutex_unlock(&kvm->io_lock);
	if (r || (args->flags & KVM_IOEVENTFD_FLAG_DEASSIGN)) {
		eventfd_ctx_put(p->eventfd);
		kfree(p);
	}
	return r;
}

/*
 * ---- coalesced zones: writes that wait in a ring until the next exit ----
 */

struct kvm_coalesced_dev {
	struct kvm_io_device dev;
	struct list_head link;		/* kvm->coalesced_zones */
	struct kvm *kvm;
	struct kvm_coalesced_mmio_zone zone;
};

/* The ring is userspace's to spoil: its numbers are read once and looked at. */
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
	/* Full: this one goes to userspace, which empties the ring first. */
	room = last < KVM_COALESCED_MMIO_MAX && next != READ_ONCE(ring->first);
	if (room) {
		slot = &ring->coalesced_mmio[last];
		slot->phys_addr = addr;
		slot->len = len;
		slot->pio = p->zone.pio;
		memcpy(slot->data, val, len);
		/* The slot before the number that gives it to userspace. */
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
{
	list_del(&p->link);
	kvm_io_unregister(kvm, zone_bus(&p->zone), &p->dev);
	kfree(p);
}

/* All zones that the given one lies in; there need not be any. */
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

int kvm_io_init_vm(struct kvm *kvm)
{
	mutex_init(&kvm->io_lock);
	spin_lock_init(&kvm->ring_lock);
	INIT_LIST_HEAD(&kvm->ioeventfds);
	INIT_LIST_HEAD(&kvm->coalesced_zones);
	kvm->coalesced_ring = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return kvm->coalesced_ring ? 0 : -ENOMEM;
}

/* No vcpu runs any more, nor a call: nobody is in a device, none need be waited for. */
void kvm_io_stop_vm(struct kvm *kvm)
{
	int i;

	mutex_lock(&kvm->io_lock);
	for (i = 0; i < KVM_NR_BUSES; i++)
		kvfree(rcu_replace_pointer(kvm->bus[i], NULL, true));
	mutex_unlock(&kvm->io_lock);
}

void kvm_io_destroy_vm(struct kvm *kvm)
{
	struct kvm_ioeventfd_dev *p, *next;
	struct kvm_coalesced_dev *zone, *next_zone;

	mutex_lock(&kvm->io_lock);
	list_for_each_entry_safe(p, next, &kvm->ioeventfds, link)
		ioeventfd_remove(kvm, p);
	list_for_each_entry_safe(zone, next_zone, &kvm->coalesced_zones, link)
		coalesced_remove(kvm, zone);
	mutex_unlock(&kvm->io_lock);
	free_page((unsigned long)kvm->coalesced_ring);
}

/**
 * kvm_vm_coalesced_mmio - KVM_REGISTER_COALESCED_MMIO, KVM_UNREGISTER_COALESCED_MMIO
 * @kvm: the VM
 * @zone: where writes are kept in the ring
 * @add: or no longer
 *
 * Return: 0, -EINVAL, or what registering a device says.
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

/**
 * kvm_pio_to_userspace - KVM_EXIT_IO
 * @vcpu: the vcpu, loaded
 * @pio: the access; the data of an output are in vcpu->pio.data
 * @count: units of pio->size bytes, a page at most
 * Returns 0: to userspace.
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

/* The single step of an OUT that went to userspace first. */
static int complete_out_step(struct kvm_vcpu *vcpu)
{
	return kvm_debug_exit(vcpu, X86_TRAP_DB, BIT(14));
}

/*
 * OUT is over when it leaves: RIP is past it at the exit, so that userspace
 * may save, reset or migrate the vcpu there.
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

/* If userspace moved RIP meanwhile (reset, restore), the IN is gone. */
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

/**
 * kvm_handle_pio - an IN, OUT, INS or OUTS exited
 * @vcpu: the vcpu, loaded
 * @pio: as the vendor decoded it; strings go through the emulator
 * Returns as exit handlers do.
 */
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

/**
 * kvm_mmio_to_userspace - KVM_EXIT_MMIO for the current fragment
 * @vcpu: the vcpu, loaded
 * Returns 0: to userspace.
 */
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

/* Userspace has taken one fragment: the next, until there is none. */
int kvm_mmio_complete_writes(struct kvm_vcpu *vcpu)
{
	if (++vcpu->mmio.cur >= vcpu->mmio.nr) {
		vcpu->mmio.nr = 0;
		return 1;
	}
	vcpu->complete_userspace_io = kvm_mmio_complete_writes;
	return kvm_mmio_to_userspace(vcpu);
}
