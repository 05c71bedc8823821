// SPDX-License-Identifier: GPL-2.0-only
/*
 * Interrupts on their way to a chip or a local APIC: GSIs and their routes,
 * messages, and the eventfds that stand for interrupt lines.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_irq.h"
#include "kvm_request.h"

#include <linux/file.h>
#include <linux/poll.h>
#include <linux/uaccess.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "compat/eventfd.h"

#define PIC_PINS	8
#define MAX_IRQFDS	(2 * KVM_MAX_GSI)

/*
 * ---- routes ----
 *
 * One table for a VM, replaced whole, read under RCU from any context.
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
	/* With ids of 32 bits the upper half holds 24 of them, and no more. */
	return !kvm->x2apic_format || !(address_hi & 0xff);
}

static bool set_chip_route(struct kvm *kvm, struct kvm_route *route,
			   const struct kvm_irq_routing_irqchip *in)
{
	u32 pins = in->irqchip == KVM_IRQCHIP_IOAPIC ? KVM_IRQCHIP_NR_IOAPIC_PINS : PIC_PINS;

	if (kvm->irqchip_mode != KVM_IRQCHIP_FULL || in->irqchip >= KVM_NR_IRQCHIPS ||
	    in->pin >= pins)
		return false;
	route->chip = in->irqchip;
	route->pin = in->pin;
	return true;
}

/* A GSI may go to one pin of each chip, or be one message. */
static bool goes_with(const struct kvm_irq_routes *routes, const struct kvm_route *new, u32 gsi)
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

	if (in->gsi >= KVM_MAX_GSI || in->flags)
		return -EINVAL;
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
	if (!goes_with(routes, route, in->gsi))
		return -EINVAL;
	if (in->type == KVM_IRQ_ROUTING_IRQCHIP)
		routes->pin_gsi[route->chip][route->pin] = in->gsi;
	route->next = routes->first[in->gsi];
	routes->first[in->gsi] = routes->nr++;
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

/* The vcpus look anew whose EOI of what is waited for. */
static void request_scan(struct kvm *kvm)
{
	kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
}

/* irq_lock held, or nobody else knows the VM's interrupt controllers. */
static void publish_routes(struct kvm *kvm, struct kvm_irq_routes *routes)
{
	struct kvm_irq_routes *old = rcu_replace_pointer(kvm->irq_routes, routes, true);

	if (old)
		kvfree_rcu(old, rcu);
	request_scan(kvm);
}

/* The first 16 to both chips, pin by pin: what VMMs count on that set no routes. */
static int default_routes(struct kvm *kvm)
{
	struct kvm_irq_routes *routes = alloc_routes(2 * PIC_PINS + KVM_IRQCHIP_NR_IOAPIC_PINS);
	struct kvm_irq_routing_entry e = { .type = KVM_IRQ_ROUTING_IRQCHIP };
	int r = 0;

	if (!routes)
		return -ENOMEM;
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
	if (r) {
		kvfree(routes);
		return r;
	}
	publish_routes(kvm, routes);
	return 0;
}

/**
 * kvm_set_gsi_routing - KVM_SET_GSI_ROUTING: a new table in place of the old
 * @kvm: the VM
 * @arg: a struct kvm_irq_routing and its entries
 */
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

/**
 * kvm_set_irq - a source raises or lowers a GSI
 * @kvm: the VM
 * @source: KVM_IRQ_SOURCE_*
 * @gsi: any number; without a route nothing happens
 * @level: up
 *
 * Any context but NMI, but not under a chip's lock.  Returns < 0 if it is
 * masked or goes nowhere, 0 if it was pending already, else how many took it.
 */
int kvm_set_irq(struct kvm *kvm, int source, u32 gsi, bool level)
{
	const struct kvm_irq_routes *routes;
	int i, one, r = -1;

	rcu_read_lock();
	routes = rcu_dereference(kvm->irq_routes);
	i = routes && gsi < KVM_MAX_GSI ? routes->first[gsi] : -1;
	for (; i >= 0; i = routes->route[i].next) {
		one = deliver_route(kvm, &routes->route[i], source, level);
		if (one >= 0)
			r = max(r, 0) + one;
	}
	rcu_read_unlock();
	return r;
}

/** kvm_signal_msi - KVM_SIGNAL_MSI: as kvm_set_irq(), or -EINVAL */
long kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi)
{
	int r;

	if (kvm->irqchip_mode == KVM_IRQCHIP_USER || msi->flags ||
	    !msi_valid(kvm, msi->address_hi))
		return -EINVAL;
	r = deliver_msi(kvm, msi->address_lo | (u64)msi->address_hi << 32, msi->data);
	/* The call's own way to say that nobody took it. */
	return max(r, 0);
}

/*
 * ---- acknowledges, on the way back ----
 */

struct kvm_irqfd_resampler {
	u32 gsi;
	struct list_head link;		/* kvm->resamplers */
	struct list_head irqfds;	/* irq_lock; read under RCU */
};

struct kvm_irqfd_line {
	struct kvm *kvm;
	u32 gsi;
	struct eventfd_ctx *eventfd;
	wait_queue_entry_t wait;
	wait_queue_head_t *wqh;
	poll_table pt;
	struct list_head link;		/* kvm->irqfds; empty: on its way out */
	struct kvm_irqfd_resampler *resampler;	/* NULL: edges */
	struct list_head resampler_link;
	struct eventfd_ctx *resamplefd;
	struct work_struct shutdown;
};

/* RCU held.  -1: none. */
static int gsi_of_pin(struct kvm *kvm, u32 chip, u32 pin)
{
	const struct kvm_irq_routes *routes = rcu_dereference(kvm->irq_routes);

	return routes ? routes->pin_gsi[chip][pin] : -1;
}

static struct kvm_irqfd_resampler *find_resampler(struct kvm *kvm, u32 gsi)
{
	struct kvm_irqfd_resampler *rs;

	list_for_each_entry_rcu(rs, &kvm->resamplers, link, lockdep_is_held(&kvm->irq_lock))
		if (rs->gsi == gsi)
			return rs;
	return NULL;
}

/* The line goes down; who still wants it raises it again. */
static void resample(struct kvm *kvm, struct kvm_irqfd_resampler *rs)
{
	struct kvm_irqfd_line *irqfd;

	kvm_set_irq(kvm, KVM_IRQ_SOURCE_RESAMPLE, rs->gsi, false);
	list_for_each_entry_rcu(irqfd, &rs->irqfds, resampler_link)
		kvm_eventfd_signal(irqfd->resamplefd);
}

/* The 8254 is on GSI 0. */
static struct kvm_pit *pit_of_gsi(struct kvm *kvm, int gsi)
{
	return gsi == 0 ? smp_load_acquire(&kvm->pit) : NULL;
}

/**
 * kvm_notify_acked_irq - the guest is done with the interrupt of a chip's pin
 * @kvm: the VM
 * @irqchip: KVM_IRQCHIP_*
 * @pin: of that chip
 *
 * A vcpu's thread, without a chip's lock: an eventfd that is signalled here may
 * be another pin's irqfd.
 */
void kvm_notify_acked_irq(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_irqfd_resampler *rs;
	struct kvm_pit *pit;
	int gsi;

	rcu_read_lock();
	gsi = gsi_of_pin(kvm, irqchip, pin);
	if (gsi >= 0) {
		pit = pit_of_gsi(kvm, gsi);
		if (pit)
			kvm_pit_acked(pit);
		rs = find_resampler(kvm, gsi);
		if (rs)
			resample(kvm, rs);
	}
	rcu_read_unlock();
}

/** kvm_notify_unmasked_irq - a chip's pin is no longer masked; as above */
void kvm_notify_unmasked_irq(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_pit *pit;

	rcu_read_lock();
	pit = pit_of_gsi(kvm, gsi_of_pin(kvm, irqchip, pin));
	if (pit)
		kvm_pit_unmasked(pit);
	rcu_read_unlock();
}

/** kvm_irq_has_ack_listener - must the EOI of a pin be heard, edge or not? */
bool kvm_irq_has_ack_listener(struct kvm *kvm, u32 irqchip, u32 pin)
{
	struct kvm_pit *pit;
	bool r = false;
	int gsi;

	rcu_read_lock();
	gsi = gsi_of_pin(kvm, irqchip, pin);
	if (gsi >= 0) {
		pit = pit_of_gsi(kvm, gsi);
		r = (pit && kvm_pit_wants_acks(pit)) || find_resampler(kvm, gsi);
	}
	rcu_read_unlock();
	return r;
}

/* With the I/O APIC in userspace: the EOIs of its level-triggered pins, which are messages here. */
static void scan_split(struct kvm_vcpu *vcpu, unsigned long *eoi_exits)
{
	const struct kvm_irq_routes *routes;
	struct kvm *kvm = vcpu->kvm;
	struct kvm_lapic_irq irq;
	u32 gsi;
	int i;

	rcu_read_lock();
	routes = rcu_dereference(kvm->irq_routes);
	for (gsi = 0; routes && gsi < kvm->nr_split_pins; gsi++) {
		for (i = routes->first[gsi]; i >= 0; i = routes->route[i].next) {
			kvm_msi_to_irq(kvm, routes->route[i].address, routes->route[i].data, &irq);
			if (irq.trigger_level && kvm_lapic_matches(vcpu, &irq))
				__set_bit(irq.vector, eoi_exits);
		}
	}
	rcu_read_unlock();
}

/**
 * kvm_ioapic_scan - whose EOI must be heard of outside the local APIC
 * @vcpu: the vcpu, in its own thread
 * @eoi_exits: 256 bits, clear
 */
void kvm_ioapic_scan(struct kvm_vcpu *vcpu, unsigned long *eoi_exits)
{
	if (vcpu->kvm->irqchip_mode == KVM_IRQCHIP_SPLIT)
		scan_split(vcpu, eoi_exits);
	else
		kvm_ioapic_scan_pins(vcpu, eoi_exits);
}

/*
 * ---- irqfd ----
 *
 * An eventfd's signal is an edge of its GSI, or, with a resampler, holds the
 * GSI up until the guest's acknowledge.  All happens in the wait queue's
 * callback, under the wait queue's lock.
 */

static struct workqueue_struct *irqfd_wq;

/* irq_lock held. */
static void leave_resampler(struct kvm_irqfd_line *irqfd)
{
	struct kvm_irqfd_resampler *rs = irqfd->resampler;
	struct kvm *kvm = irqfd->kvm;

	list_del_rcu(&irqfd->resampler_link);
	if (!list_empty(&rs->irqfds)) {
		synchronize_rcu_expedited();
		return;
	}
	list_del_rcu(&rs->link);
	synchronize_rcu_expedited();
	kvm_set_irq(kvm, KVM_IRQ_SOURCE_RESAMPLE, rs->gsi, false);
	kfree(rs);
	request_scan(kvm);
}

/* Exactly once for an irqfd, after it left kvm->irqfds. */
static void irqfd_shutdown(struct work_struct *work)
{
	struct kvm_irqfd_line *irqfd = container_of(work, struct kvm_irqfd_line, shutdown);
	u64 count;

	/* From here on no callback is running, nor will any. */
	eventfd_ctx_remove_wait_queue(irqfd->eventfd, &irqfd->wait, &count);
	if (irqfd->resampler) {
		mutex_lock(&irqfd->kvm->irq_lock);
		leave_resampler(irqfd);
		mutex_unlock(&irqfd->kvm->irq_lock);
		eventfd_ctx_put(irqfd->resamplefd);
	}
	eventfd_ctx_put(irqfd->eventfd);
	kfree(irqfd);
}

/* irqfd_lock held.  The wait queue's lock may be held, so the rest is work's. */
static void deactivate(struct kvm_irqfd_line *irqfd)
{
	if (list_empty(&irqfd->link))
		return;
	list_del_init(&irqfd->link);
	irqfd->kvm->nr_irqfds--;
	queue_work(irqfd_wq, &irqfd->shutdown);
}

static void irqfd_inject(struct kvm_irqfd_line *irqfd)
{
	if (irqfd->resampler) {
		kvm_set_irq(irqfd->kvm, KVM_IRQ_SOURCE_RESAMPLE, irqfd->gsi, true);
		return;
	}
	kvm_set_irq(irqfd->kvm, KVM_IRQ_SOURCE_USERSPACE, irqfd->gsi, true);
	kvm_set_irq(irqfd->kvm, KVM_IRQ_SOURCE_USERSPACE, irqfd->gsi, false);
}

static int irqfd_wakeup(wait_queue_entry_t *wait, unsigned int mode, int sync, void *key)
{
	struct kvm_irqfd_line *irqfd = container_of(wait, struct kvm_irqfd_line, wait);
	__poll_t events = key_to_poll(key);
	unsigned long flags;
	int taken = 0;
	u64 count;

	if (events & EPOLLIN) {
		eventfd_ctx_do_read(irqfd->eventfd, &count);
		irqfd_inject(irqfd);
		taken = 1;
	}
	if (events & EPOLLHUP) {
		spin_lock_irqsave(&irqfd->kvm->irqfd_lock, flags);
		deactivate(irqfd);
		spin_unlock_irqrestore(&irqfd->kvm->irqfd_lock, flags);
	}
	return taken;
}

static void irqfd_queue(struct file *file, wait_queue_head_t *wqh, poll_table *pt)
{
	struct kvm_irqfd_line *irqfd = container_of(pt, struct kvm_irqfd_line, pt);

	irqfd->wqh = wqh;
	/* Before all readers: what becomes an interrupt they do not see. */
	add_wait_queue_priority(wqh, &irqfd->wait);
}

/* irq_lock held. */
static int join_resampler(struct kvm_irqfd_line *irqfd)
{
	struct kvm *kvm = irqfd->kvm;
	struct kvm_irqfd_resampler *rs = find_resampler(kvm, irqfd->gsi);

	if (!rs) {
		rs = kzalloc(sizeof(*rs), GFP_KERNEL_ACCOUNT);
		if (!rs)
			return -ENOMEM;
		rs->gsi = irqfd->gsi;
		INIT_LIST_HEAD(&rs->irqfds);
		list_add_rcu(&rs->link, &kvm->resamplers);
		request_scan(kvm);
	}
	list_add_rcu(&irqfd->resampler_link, &rs->irqfds);
	irqfd->resampler = rs;
	return 0;
}

/* One eventfd is one line of a VM. */
static int irqfd_enlist(struct kvm_irqfd_line *irqfd)
{
	struct kvm *kvm = irqfd->kvm;
	struct kvm_irqfd_line *other;
	int r = 0;

	spin_lock_irq(&kvm->irqfd_lock);
	if (kvm->nr_irqfds >= MAX_IRQFDS)
		r = -ENOSPC;
	list_for_each_entry(other, &kvm->irqfds, link)
		if (other->eventfd == irqfd->eventfd)
			r = -EBUSY;
	if (!r) {
		list_add_tail(&irqfd->link, &kvm->irqfds);
		kvm->nr_irqfds++;
	}
	spin_unlock_irq(&kvm->irqfd_lock);
	return r;
}

/* What was signalled before anyone listened. */
static void irqfd_take_pending(struct kvm_irqfd_line *irqfd, struct file *file)
{
	__poll_t events = vfs_poll(file, &irqfd->pt);
	u64 count;

	if (!(events & EPOLLIN))
		return;
	spin_lock_irq(&irqfd->wqh->lock);
	eventfd_ctx_do_read(irqfd->eventfd, &count);
	spin_unlock_irq(&irqfd->wqh->lock);
	if (count)
		irqfd_inject(irqfd);
}

static struct kvm_irqfd_line *irqfd_alloc(struct kvm *kvm, u32 gsi)
{
	struct kvm_irqfd_line *irqfd = kzalloc(sizeof(*irqfd), GFP_KERNEL_ACCOUNT);

	if (!irqfd)
		return NULL;
	irqfd->kvm = kvm;
	irqfd->gsi = gsi;
	INIT_LIST_HEAD(&irqfd->link);
	INIT_WORK(&irqfd->shutdown, irqfd_shutdown);
	init_waitqueue_func_entry(&irqfd->wait, irqfd_wakeup);
	init_poll_funcptr(&irqfd->pt, irqfd_queue);
	return irqfd;
}

/*
 * The file is held to the end, so its EPOLLHUP comes after all is set up; and
 * irq_lock keeps KVM_IRQFD_FLAG_DEASSIGN out till then.
 */
static long irqfd_attach(struct kvm_irqfd_line *irqfd, const struct kvm_irqfd *args,
			 struct file *file)
{
	struct kvm *kvm = irqfd->kvm;
	long r;

	irqfd->eventfd = eventfd_ctx_fileget(file);
	if (IS_ERR(irqfd->eventfd))
		return PTR_ERR(irqfd->eventfd);
	if (args->flags & KVM_IRQFD_FLAG_RESAMPLE) {
		irqfd->resamplefd = eventfd_ctx_fdget(args->resamplefd);
		r = PTR_ERR(irqfd->resamplefd);
		if (IS_ERR(irqfd->resamplefd))
			goto out_eventfd;
	}
	mutex_lock(&kvm->irq_lock);
	r = irqfd_enlist(irqfd);
	if (!r && irqfd->resamplefd) {
		r = join_resampler(irqfd);
		if (r)
			goto out_enlisted;
	}
	if (r)
		goto out_unlock;
	irqfd_take_pending(irqfd, file);
	mutex_unlock(&kvm->irq_lock);
	return 0;

out_enlisted:
	spin_lock_irq(&kvm->irqfd_lock);
	list_del(&irqfd->link);
	kvm->nr_irqfds--;
	spin_unlock_irq(&kvm->irqfd_lock);
out_unlock:
	mutex_unlock(&kvm->irq_lock);
	if (irqfd->resamplefd)
		eventfd_ctx_put(irqfd->resamplefd);
out_eventfd:
	eventfd_ctx_put(irqfd->eventfd);
	return r;
}

static long irqfd_assign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	struct kvm_irqfd_line *irqfd;
	struct file *file = fget(args->fd);
	long r = -ENOMEM;

	if (!file)
		return -EBADF;
	irqfd = irqfd_alloc(kvm, args->gsi);
	if (!irqfd)
		goto out;
	r = irqfd_attach(irqfd, args, file);
	if (r)
		kfree(irqfd);
out:
	fput(file);
	return r;
}

static long irqfd_deassign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);
	struct kvm_irqfd_line *irqfd, *next;

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	mutex_lock(&kvm->irq_lock);
	spin_lock_irq(&kvm->irqfd_lock);
	list_for_each_entry_safe(irqfd, next, &kvm->irqfds, link)
		if (irqfd->eventfd == eventfd && irqfd->gsi == args->gsi)
			deactivate(irqfd);
	spin_unlock_irq(&kvm->irqfd_lock);
	mutex_unlock(&kvm->irq_lock);
	eventfd_ctx_put(eventfd);
	/* No interrupt of it after the call. */
	flush_workqueue(irqfd_wq);
	return 0;
}

/** kvm_irqfd - KVM_IRQFD */
long kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (kvm->irqchip_mode == KVM_IRQCHIP_USER || args->gsi >= KVM_MAX_GSI)
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(kvm, args);
	/* Without chips of ours there is no acknowledge to wait for. */
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && kvm->irqchip_mode != KVM_IRQCHIP_FULL)
		return -EINVAL;
	return irqfd_assign(kvm, args);
}

/** kvm_irqfd_release_all - the VM goes: no eventfd knows it any more on return */
void kvm_irqfd_release_all(struct kvm *kvm)
{
	struct kvm_irqfd_line *irqfd, *next;

	mutex_lock(&kvm->irq_lock);
	spin_lock_irq(&kvm->irqfd_lock);
	list_for_each_entry_safe(irqfd, next, &kvm->irqfds, link)
		deactivate(irqfd);
	spin_unlock_irq(&kvm->irqfd_lock);
	mutex_unlock(&kvm->irq_lock);
	flush_workqueue(irqfd_wq);
}

/*
 * ---- a VM's chips ----
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

/** kvm_create_irqchip - KVM_CREATE_IRQCHIP: before the first vcpu */
int kvm_create_irqchip(struct kvm *kvm)
{
	long r;

	mutex_lock(&kvm->lock);
	if (!chips_valid(kvm, &r))
		goto out;
	r = kvm_pic_create(kvm);
	if (r)
		goto out;
	r = kvm_ioapic_create(kvm);
	if (r)
		goto out_pic;
	/* After the chips, which whoever sees the mode uses. */
	smp_store_release(&kvm->irqchip_mode, KVM_IRQCHIP_FULL);
	r = default_routes(kvm);
	if (!r)
		goto out;
	smp_store_release(&kvm->irqchip_mode, KVM_IRQCHIP_USER);
	kvm_ioapic_destroy(kvm);
out_pic:
	kvm_pic_destroy(kvm);
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/** kvm_enable_split_irqchip - KVM_CAP_SPLIT_IRQCHIP: before the first vcpu; kvm->lock held */
int kvm_enable_split_irqchip(struct kvm *kvm, u64 nr_pins)
{
	long r;

	if (nr_pins > KVM_MAX_GSI)
		return -EINVAL;
	if (!chips_valid(kvm, &r))
		return r;
	kvm->nr_split_pins = nr_pins;
	smp_store_release(&kvm->irqchip_mode, KVM_IRQCHIP_SPLIT);
	return 0;
}

int kvm_irq_init_vm(struct kvm *kvm)
{
	mutex_init(&kvm->irq_lock);
	spin_lock_init(&kvm->irqfd_lock);
	INIT_LIST_HEAD(&kvm->irqfds);
	INIT_LIST_HEAD(&kvm->resamplers);
	return 0;
}

/* Whatever brings interrupts by itself, before the vcpus go. */
void kvm_irq_stop_vm(struct kvm *kvm)
{
	kvm_irqfd_release_all(kvm);
	kvm_pit_destroy(kvm);
}

/* The vcpus are gone. */
void kvm_irq_destroy_vm(struct kvm *kvm)
{
	kvm_ioapic_destroy(kvm);
	kvm_pic_destroy(kvm);
	kvfree(rcu_dereference_protected(kvm->irq_routes, true));
}

int kvm_irq_module_init(void)
{
	irqfd_wq = alloc_workqueue("kvm-irqfd", 0, 0);
	return irqfd_wq ? 0 : -ENOMEM;
}

void kvm_irq_module_exit(void)
{
	destroy_workqueue(irqfd_wq);
}

/*
 * ---- the VM's calls ----
 */

/**
 * kvm_vm_irq_line - KVM_IRQ_LINE, KVM_IRQ_LINE_STATUS
 * @kvm: the VM
 * @level: the GSI and its level in; out: what became of it, as kvm_set_irq() says
 *
 * Return: 0, -ENXIO without an interrupt controller in the kernel, -EINVAL.
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

static long chip_get(struct kvm *kvm, struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		return kvm_pic_get_state(kvm, chip->chip_id, &chip->chip.pic);
	case KVM_IRQCHIP_IOAPIC:
		return kvm_ioapic_get_state(kvm, &chip->chip.ioapic);
	default:
		return -EINVAL;
	}
}

static long chip_set(struct kvm *kvm, const struct kvm_irqchip *chip)
{
	switch (chip->chip_id) {
	case KVM_IRQCHIP_PIC_MASTER:
	case KVM_IRQCHIP_PIC_SLAVE:
		return kvm_pic_set_state(kvm, chip->chip_id, &chip->chip.pic);
	case KVM_IRQCHIP_IOAPIC:
		return kvm_ioapic_set_state(kvm, &chip->chip.ioapic);
	default:
		return -EINVAL;
	}
}

/**
 * kvm_vm_irqchip_state - KVM_GET_IRQCHIP, KVM_SET_IRQCHIP
 * @kvm: the VM
 * @arg: which chip, and its state
 * @set: userspace's state is taken
 *
 * Return: 0, -ENXIO unless all chips are in the kernel, -EFAULT, -ENOMEM, -EINVAL.
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
	if (set) {
		r = chip_set(kvm, chip);
	} else {
		memset(&chip->chip, 0, sizeof(chip->chip));
		r = chip_get(kvm, chip);
		if (!r && copy_to_user(arg, chip, sizeof(*chip)))
			r = -EFAULT;
	}
	kfree(chip);
	return r;
}

long kvm_vm_create_pit(struct kvm *kvm, const struct kvm_pit_config *config)
{
	long r;

	mutex_lock(&kvm->lock);
	if (kvm->pit)
		r = -EEXIST;
	else if (kvm->irqchip_mode != KVM_IRQCHIP_FULL)
		r = -ENOENT;
	else
		r = kvm_pit_create(kvm, config);
	mutex_unlock(&kvm->lock);
	return r;
}

long kvm_vm_create_pit2(struct kvm *kvm, const void __user *arg)
{
	struct kvm_pit_config config;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	return kvm_vm_create_pit(kvm, &config);
}

/* The old call's state is the beginning of the new one's; the flags stay. */
long kvm_vm_pit_state(struct kvm *kvm, void __user *arg, unsigned int size, bool set)
{
	struct kvm_pit_state2 state;
	long r;

	if (!smp_load_acquire(&kvm->pit))
		return -ENXIO;
	r = kvm_pit_get_state(kvm, &state);
	if (r)
		return r;
	if (!set)
		return copy_to_user(arg, &state, size) ? -EFAULT : 0;
	if (copy_from_user(&state, arg, size))
		return -EFAULT;
	return kvm_pit_set_state(kvm, &state);
}

long kvm_vm_reinject_control(struct kvm *kvm, const void __user *arg)
{
	struct kvm_reinject_control control;

	if (copy_from_user(&control, arg, sizeof(control)))
		return -EFAULT;
	if (!smp_load_acquire(&kvm->pit))
		return -ENXIO;
	return kvm_pit_reinject_control(kvm, &control);
}
