// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts on their way to a chip or a local APIC: GSIs and their routes, and
 * messages.
 */
#include "kvm_host.h"
#include "kvm_irq.h"
#include "kvm_request.h"

#include <linux/nospec.h>
#include <linux/uaccess.h>

#define PIC_PINS	8

/*
 * ---- routes ----
 *
 * One table for each VM, replaced as a whole, read under RCU in any context.
 */
struct kvm_route {
	u32 type;			/* KVM_IRQ_ROUTING_* */
	u32 chip, pin;
	u64 address;
	u32 data;
	int next;			/* of the same GSI; -1: the last */
};

struct kvm_irq_routes {
	struct rcu_head rcu;
	/* The GSI of a chip's pin, for acknowledges; -1: none. */
	s16 pin_gsi[KVM_NR_IRQCHIPS][KVM_IRQCHIP_NR_IOAPIC_PINS];
	u32 nr;
	int first[KVM_MAX_GSI];		/* by GSI: into route[]; -1: none */
	struct kvm_route route[];
};

static struct kvm_irq_routes *alloc_routes(u32 nr)
{
	struct kvm_irq_routes *routes = kvzalloc(struct_size(routes, route, nr),
						 GFP_KERNEL_ACCOUNT);

	if (!routes)
		return NULL;
	memset(routes->pin_gsi, 0xff, sizeof(routes->pin_gsi));
	memset(routes->first, 0xff, sizeof(routes->first));
	return routes;
}

static bool msi_valid(const struct kvm *kvm, u32 address_hi)
{
	/* With KVM_X2APIC_API_USE_32BIT_IDS: the upper 24 bits of the destination. */
	return !kvm->x2apic_format || !(address_hi & 0xff);
}

static bool set_chip_route(struct kvm *kvm, struct kvm_route *route,
			   const struct kvm_irq_routing_irqchip *in)
{
	u32 pins = in->irqchip == KVM_IRQCHIP_IOAPIC ? KVM_IRQCHIP_NR_IOAPIC_PINS : PIC_PINS;

	/* Not only FULL: default_routes() comes before the mode. */
	if (kvm->irqchip_mode == KVM_IRQCHIP_SPLIT || in->irqchip >= KVM_NR_IRQCHIPS ||
	    in->pin >= pins)
		return false;
	route->chip = array_index_nospec(in->irqchip, KVM_NR_IRQCHIPS);
	route->pin = array_index_nospec(in->pin, pins);
	return true;
}

/* A GSI can be routed to one pin of each chip, or be one MSI. */
static bool route_fits(const struct kvm_irq_routes *routes, const struct kvm_route *new, u32 gsi)
{
	int i;

	for (i = routes->first[gsi]; i >= 0; i = routes->route[i].next) {
		const struct kvm_route *old = &routes->route[i];

		if (old->type != KVM_IRQ_ROUTING_IRQCHIP || new->type != old->type ||
		    new->chip == old->chip)
			return false;
	}
	return true;
}

static int add_route(struct kvm *kvm, struct kvm_irq_routes *routes,
		     const struct kvm_irq_routing_entry *in)
{
	struct kvm_route *route = &routes->route[routes->nr];
	u32 gsi;

	if (in->gsi >= KVM_MAX_GSI || in->flags)
		return -EINVAL;
	gsi = array_index_nospec(in->gsi, KVM_MAX_GSI);
	route->type = in->type;
	switch (in->type) {
	case KVM_IRQ_ROUTING_IRQCHIP:
		if (!set_chip_route(kvm, route, &in->u.irqchip))
			return -EINVAL;
		break;
	case KVM_IRQ_ROUTING_MSI:
		if (!msi_valid(kvm, in->u.msi.address_hi))
			return -EINVAL;
		route->address = in->u.msi.address_lo | (u64)in->u.msi.address_hi << 32;
		route->data = in->u.msi.data;
		break;
	default:
		return -EINVAL;
	}
	if (!route_fits(routes, route, gsi))
		return -EINVAL;
	if (in->type == KVM_IRQ_ROUTING_IRQCHIP)
		routes->pin_gsi[route->chip][route->pin] = gsi;
	route->next = routes->first[gsi];
	routes->first[gsi] = routes->nr++;
	return 0;
}

static int add_routes(struct kvm *kvm, struct kvm_irq_routes *routes,
		      const struct kvm_irq_routing_entry *in, u32 nr)
{
	u32 i;
	int r;

	for (i = 0; i < nr; i++) {
		r = add_route(kvm, routes, &in[i]);
		if (r)
			return r;
	}
	return 0;
}

static void publish_routes(struct kvm *kvm, struct kvm_irq_routes *routes)
	__kvm_must_hold(irq_lock)
{
	struct kvm_irq_routes *old;

	lockdep_assert_held(&kvm->irq_lock);
	old = rcu_replace_pointer(kvm->irq_routes, routes, true);
	if (old)
		kvfree_rcu(old, rcu);
	kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
}

/* VMMs that set no routes rely on these: GSIs to the I/O APIC, the first 16 also to the PIC. */
static struct kvm_irq_routes *default_routes(struct kvm *kvm)
{
	struct kvm_irq_routes *routes = alloc_routes(2 * PIC_PINS + KVM_IRQCHIP_NR_IOAPIC_PINS);
	struct kvm_irq_routing_entry e = { .type = KVM_IRQ_ROUTING_IRQCHIP };
	int r = 0;

	if (!routes)
		return ERR_PTR(-ENOMEM);
	for (e.gsi = 0; e.gsi < KVM_IRQCHIP_NR_IOAPIC_PINS && !r; e.gsi++) {
		e.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
		e.u.irqchip.pin = e.gsi;
		r = add_route(kvm, routes, &e);
		if (r || e.gsi >= 2 * PIC_PINS)
			continue;
		e.u.irqchip.irqchip = e.gsi < PIC_PINS ? KVM_IRQCHIP_PIC_MASTER :
							 KVM_IRQCHIP_PIC_SLAVE;
		e.u.irqchip.pin = e.gsi % PIC_PINS;
		r = add_route(kvm, routes, &e);
	}
	if (!r)
		return routes;
	kvfree(routes);
	return ERR_PTR(r);
}

/** kvm_set_gsi_routing - KVM_SET_GSI_ROUTING: 0, -EFAULT, -ENOMEM, -EINVAL with nothing changed */
long kvm_set_gsi_routing(struct kvm *kvm, const struct kvm_irq_routing __user *arg)
{
	struct kvm_irq_routing_entry *entries = NULL;
	struct kvm_irq_routes *routes;
	struct kvm_irq_routing head;
	long r;

	if (copy_from_user(&head, arg, sizeof(head)))
		return -EFAULT;
	if (kvm->irqchip_mode == KVM_IRQCHIP_USER || head.flags || head.nr > KVM_MAX_GSI)
		return -EINVAL;
	if (head.nr) {
		entries = vmemdup_user(arg->entries, array_size(head.nr, sizeof(*entries)));
		if (IS_ERR(entries))
			return PTR_ERR(entries);
	}
	r = -ENOMEM;
	routes = alloc_routes(head.nr);
	if (!routes)
		goto out;
	r = add_routes(kvm, routes, entries, head.nr);
	if (r) {
		kvfree(routes);
		goto out;
	}
	mutex_lock(&kvm->irq_lock);
	publish_routes(kvm, routes);
	mutex_unlock(&kvm->irq_lock);
out:
	kvfree(entries);
	return r;
}

/*
 * ---- delivery ----
 */

static int deliver_msi(struct kvm *kvm, u64 address, u32 data)
{
	struct kvm_lapic_irq irq;

	kvm_msi_to_irq(kvm, address, data, &irq);
	return kvm_irq_deliver(kvm, NULL, &irq);
}

static int deliver_route(struct kvm *kvm, const struct kvm_route *route, int source, bool level)
{
	if (route->type == KVM_IRQ_ROUTING_MSI)
		return level ? deliver_msi(kvm, route->address, route->data) : -1;
	switch (route->chip) {
	case KVM_IRQCHIP_PIC_MASTER:
		return kvm_pic_set_irq(kvm, route->pin, source, level);
	case KVM_IRQCHIP_PIC_SLAVE:
		return kvm_pic_set_irq(kvm, route->pin + PIC_PINS, source, level);
	default:
		return kvm_ioapic_set_irq(kvm, route->pin, source, level);
	}
}

/** kvm_set_irq - a source asserts or deasserts a GSI; without a route nothing happens.
 * Any context but NMI, but not under a chip's lock.  Returns < 0 if it is masked or has no route,
 * 0 if it was pending already (coalesced), else how many accepted it.
 */
int kvm_set_irq(struct kvm *kvm, int source, u32 gsi, bool level)
{
	const struct kvm_irq_routes *routes;
	int i = -1, one, r = -1;

	rcu_read_lock();
	routes = rcu_dereference(kvm->irq_routes);
	if (routes && gsi < KVM_MAX_GSI)
		i = routes->first[array_index_nospec(gsi, KVM_MAX_GSI)];
	for (; i >= 0; i = routes->route[i].next) {
		one = deliver_route(kvm, &routes->route[i], source, level);
		if (one >= 0)
			r = max(r, 0) + one;
	}
	rcu_read_unlock();
	return r;
}

/** kvm_signal_msi - KVM_SIGNAL_MSI: how many APICs accepted it, or -EINVAL */
long kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi)
{
	int r;

	if (kvm->irqchip_mode == KVM_IRQCHIP_USER || msi->flags ||
	    !msi_valid(kvm, msi->address_hi))
		return -EINVAL;
	r = deliver_msi(kvm, msi->address_lo | (u64)msi->address_hi << 32, msi->data);
	/* Here 0 also says that it addresses no APIC. */
	return max(r, 0);
}

/*
 * ---- acknowledges ----
 */

/* RCU held.  -1: none. */
static int gsi_of_pin(struct kvm *kvm, u32 chip, u32 pin)
	__kvm_must_hold_shared(rcu)
{
	const struct kvm_irq_routes *routes = rcu_dereference(kvm->irq_routes);

	return routes ? routes->pin_gsi[chip][pin] : -1;
}

/* The 8254 is on GSI 0. */
static struct kvm_pit *pit_of_gsi(struct kvm *kvm, int gsi)
{
	return gsi == 0 ? smp_load_acquire(&kvm->pit) : NULL;
}

/** kvm_notify_acked_irq - the guest has ended the interrupt of a chip's pin.  In a vcpu's thread,
 * without a chip's lock: an eventfd that is signalled here may be another pin's irqfd.
 */
void kvm_notify_acked_irq(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_pit *pit;
	int gsi;

	rcu_read_lock();
	gsi = gsi_of_pin(kvm, irqchip, pin);
	if (gsi >= 0) {
		pit = pit_of_gsi(kvm, gsi);
		if (pit)
			kvm_pit_acked(pit);
		kvm_irqfd_resample(kvm, gsi);
	}
	rcu_read_unlock();
}

/** kvm_notify_unmasked_irq - a chip's pin was unmasked; context as kvm_notify_acked_irq() */
void kvm_notify_unmasked_irq(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_pit *pit;

	rcu_read_lock();
	pit = pit_of_gsi(kvm, gsi_of_pin(kvm, irqchip, pin));
	if (pit)
		kvm_pit_unmasked(pit);
	rcu_read_unlock();
}

/** kvm_irq_has_ack_listener - does kvm_notify_acked_irq() do anything for a pin? */
bool kvm_irq_has_ack_listener(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_pit *pit;
	bool r = false;
	int gsi;

	rcu_read_lock();
	gsi = gsi_of_pin(kvm, irqchip, pin);
	if (gsi >= 0) {
		pit = pit_of_gsi(kvm, gsi);
		r = (pit && kvm_pit_wants_acks(pit)) || kvm_irqfd_has_resampler(kvm, gsi);
	}
	rcu_read_unlock();
	return r;
}

/*
 * ---- a VM's interrupt controllers ----
 */

static bool chips_valid(struct kvm *kvm, long *r)
{
	if (kvm->irqchip_mode != KVM_IRQCHIP_USER)
		*r = -EEXIST;
	else if (atomic_read(&kvm->online_vcpus))
		*r = -EINVAL;
	else
		*r = 0;
	return !*r;
}

/** kvm_create_irqchip - KVM_CREATE_IRQCHIP: 0, -EEXIST, -EINVAL once there is a vcpu, -ENOMEM */
int kvm_create_irqchip(struct kvm *kvm)
{
	struct kvm_irq_routes *routes;
	long r;

	mutex_lock(&kvm->lock);
	if (!chips_valid(kvm, &r))
		goto out;
	routes = default_routes(kvm);
	r = PTR_ERR_OR_ZERO(routes);
	if (r)
		goto out;
	r = kvm_pic_create(kvm);
	if (r)
		goto out_routes;
	r = kvm_ioapic_create(kvm);
	if (r)
		goto out_pic;
	/* Nothing can fail any more: from the mode on, others use the chips and the routes. */
	mutex_lock(&kvm->irq_lock);
	publish_routes(kvm, routes);
	smp_store_release(&kvm->irqchip_mode, KVM_IRQCHIP_FULL);
	mutex_unlock(&kvm->irq_lock);
	goto out;

out_pic:
	kvm_pic_destroy(kvm);
out_routes:
	kvfree(routes);
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/** kvm_enable_split_irqchip - KVM_CAP_SPLIT_IRQCHIP, the VM's lock held
 * @nr_pins: of the I/O APIC in userspace, which is told of the EOI of each level-triggered vector
 * Returns 0, -EEXIST, -EINVAL, also once there is a vcpu.
 */
int kvm_enable_split_irqchip(struct kvm *kvm, u64 nr_pins)
{
	long r;

	lockdep_assert_held(&kvm->lock);
	if (nr_pins > KVM_MAX_GSI)
		return -EINVAL;
	if (!chips_valid(kvm, &r))
		return r;
	smp_store_release(&kvm->irqchip_mode, KVM_IRQCHIP_SPLIT);
	return 0;
}

/** kvm_irq_init_vm - a new VM's locks and lists; returns 0 */
int kvm_irq_init_vm(struct kvm *kvm)
{
	mutex_init(&kvm->irq_lock);
	spin_lock_init(&kvm->irqfd_lock);
	INIT_LIST_HEAD(&kvm->irqfds);
	INIT_LIST_HEAD(&kvm->resamplers);
	return 0;
}

/** kvm_irq_stop_vm - before the vcpus are destroyed: stop what raises interrupts by itself */
void kvm_irq_stop_vm(struct kvm *kvm)
{
	kvm_irqfd_release_all(kvm);
	kvm_pit_destroy(kvm);
}

/** kvm_irq_destroy_vm - free the interrupt controllers; the vcpus are gone */
void kvm_irq_destroy_vm(struct kvm *kvm)
{
	kvm_ioapic_destroy(kvm);
	kvm_pic_destroy(kvm);
	kvfree(rcu_dereference_protected(kvm->irq_routes, true));
}

/*
 * ---- the VM's calls ----
 */

/** kvm_vm_irq_line - KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS: 0, -ENXIO without an interrupt controller
 * in the kernel, -EINVAL; @level, out: what became of it, as kvm_set_irq() says
 */
long kvm_vm_irq_line(struct kvm *kvm, struct kvm_irq_level *level)
{
	if (kvm->irqchip_mode == KVM_IRQCHIP_USER)
		return -ENXIO;
	if (level->irq >= KVM_MAX_GSI)
		return -EINVAL;
	level->status = kvm_set_irq(kvm, KVM_IRQ_SOURCE_USERSPACE, level->irq, level->level);
	return 0;
}

/** kvm_vm_irqchip_state - KVM_GET_IRQCHIP, KVM_SET_IRQCHIP: 0, -ENXIO unless all chips are in the
 * kernel, -EFAULT, -ENOMEM, -EINVAL
 */
long kvm_vm_irqchip_state(struct kvm *kvm, struct kvm_irqchip __user *arg, bool set)
{
	struct kvm_irqchip *chip;
	long r;

	if (smp_load_acquire(&kvm->irqchip_mode) != KVM_IRQCHIP_FULL)
		return -ENXIO;
	chip = memdup_user(arg, sizeof(*chip));
	if (IS_ERR(chip))
		return PTR_ERR(chip);
	if (!set)
		memset(&chip->chip, 0, sizeof(chip->chip));
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		r = set ? kvm_pic_set_state(kvm, chip->chip_id, &chip->chip.pic) :
			  kvm_pic_get_state(kvm, chip->chip_id, &chip->chip.pic);
		break;
	case KVM_IRQCHIP_IOAPIC:
		r = set ? kvm_ioapic_set_state(kvm, &chip->chip.ioapic) :
			  kvm_ioapic_get_state(kvm, &chip->chip.ioapic);
		break;
	default:
		r = -EINVAL;
	}
	if (!set && !r && copy_to_user(arg, chip, sizeof(*chip)))
		r = -EFAULT;
	kfree(chip);
	return r;
}
