// SPDX-License-Identifier: GPL-2.0-only
/*
 * Eventfds: irqfd, whose signal is an interrupt, and ioeventfd, which a guest's write
 * signals.
 */
#include "kvm_host.h"
#include "kvm_irq.h"
#include "kvm_request.h"

#include <linux/eventfd.h>
#include <linux/file.h>
#include <linux/poll.h>
#include <linux/wait.h>
#include <linux/workqueue.h>


#define MAX_IRQFDS	(2 * KVM_MAX_GSI)

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
	struct list_head link;		/* kvm->irqfds; empty: being shut down */
	struct kvm_irqfd_resampler *resampler;	/* NULL: edge-triggered */
	struct list_head resampler_link;
	struct eventfd_ctx *resamplefd;
	struct work_struct shutdown;
};

static struct kvm_irqfd_resampler *find_resampler(struct kvm *kvm, u32 gsi)
{
	struct kvm_irqfd_resampler *rs;

	list_for_each_entry_rcu(rs, &kvm->resamplers, link, lockdep_is_held(&kvm->irq_lock))
		if (rs->gsi == gsi)
			return rs;
	return NULL;
}

/** kvm_irqfd_resample - the guest has acknowledged the interrupt of a GSI; in an RCU read section.
 * Lowers the line and signals the resamplefds: a device that still asserts it raises it again.
 */
void kvm_irqfd_resample(struct kvm *kvm, u32 gsi)
{
	struct kvm_irqfd_resampler *rs = find_resampler(kvm, gsi);
	struct kvm_irqfd_line *irqfd;

	if (!rs)
		return;
	kvm_set_irq(kvm, KVM_IRQ_SOURCE_RESAMPLE, gsi, false);
	list_for_each_entry_rcu(irqfd, &rs->irqfds, resampler_link)
		kvm_eventfd_signal(irqfd->resamplefd);
}

/** kvm_irqfd_has_resampler - does kvm_irqfd_resample() do anything for a GSI?  RCU held */
bool kvm_irqfd_has_resampler(struct kvm *kvm, u32 gsi)
{
	return find_resampler(kvm, gsi);
}

/*
 * ---- irqfd ----
 *
 * An eventfd's signal is an edge of its GSI or, with a resampler, asserts the GSI
 * until the guest acknowledges the interrupt.  This happens in the wait queue's
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
	kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
}

/* Runs once for each irqfd, after it was taken off kvm->irqfds. */
static void irqfd_shutdown(struct work_struct *work)
{
	struct kvm_irqfd_line *irqfd = container_of(work, struct kvm_irqfd_line, shutdown);
	u64 count;

	/* After this no callback runs. */
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

/* irqfd_lock held.  The wait queue's lock may be held, too, so a work does the rest. */
static void deactivate(struct kvm_irqfd_line *irqfd)
	__kvm_must_hold(irqfd_lock)
{
	lockdep_assert_held(&irqfd->kvm->irqfd_lock);
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
	/* Before all other waiters: what becomes an interrupt is not left for readers. */
	add_wait_queue_priority(wqh, &irqfd->wait);
}

/* irq_lock held. */
static int join_resampler(struct kvm_irqfd_line *irqfd)
	__kvm_must_hold(irq_lock)
{
	struct kvm *kvm = irqfd->kvm;
	struct kvm_irqfd_resampler *rs = find_resampler(kvm, irqfd->gsi);

	lockdep_assert_held(&kvm->irq_lock);
	if (!rs) {
		rs = kzalloc(sizeof(*rs), GFP_KERNEL_ACCOUNT);
		if (!rs)
			return -ENOMEM;
		rs->gsi = irqfd->gsi;
		INIT_LIST_HEAD(&rs->irqfds);
		list_add_rcu(&rs->link, &kvm->resamplers);
		kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
	}
	list_add_rcu(&irqfd->resampler_link, &rs->irqfds);
	irqfd->resampler = rs;
	return 0;
}

/* An eventfd can be assigned to one GSI of a VM only. */
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

/* A signal from before the irqfd was assigned. */
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
 * The caller holds the file, so EPOLLHUP comes only after all is set up, and irq_lock
 * keeps KVM_IRQFD_FLAG_DEASSIGN out until then.
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

/* All, or those of an eventfd and a GSI.  On return they cause no interrupt any more. */
static void deactivate_all(struct kvm *kvm, const struct eventfd_ctx *eventfd, u32 gsi)
{
	struct kvm_irqfd_line *irqfd, *next;

	mutex_lock(&kvm->irq_lock);
	spin_lock_irq(&kvm->irqfd_lock);
	list_for_each_entry_safe(irqfd, next, &kvm->irqfds, link)
		if (!eventfd || (irqfd->eventfd == eventfd && irqfd->gsi == gsi))
			deactivate(irqfd);
	spin_unlock_irq(&kvm->irqfd_lock);
	mutex_unlock(&kvm->irq_lock);
	flush_workqueue(irqfd_wq);
}

static long irqfd_deassign(struct kvm *kvm, const struct kvm_irqfd *args)
{
	struct eventfd_ctx *eventfd = eventfd_ctx_fdget(args->fd);

	if (IS_ERR(eventfd))
		return PTR_ERR(eventfd);
	deactivate_all(kvm, eventfd, args->gsi);
	eventfd_ctx_put(eventfd);
	return 0;
}

/** kvm_irqfd - KVM_IRQFD: 0, -EINVAL, -EBADF, -EBUSY, -ENOSPC, -ENOMEM */
long kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args)
{
	if (args->flags & ~(KVM_IRQFD_FLAG_DEASSIGN | KVM_IRQFD_FLAG_RESAMPLE))
		return -EINVAL;
	if (kvm->irqchip_mode == KVM_IRQCHIP_USER || args->gsi >= KVM_MAX_GSI)
		return -EINVAL;
	if (args->flags & KVM_IRQFD_FLAG_DEASSIGN)
		return irqfd_deassign(kvm, args);
	/* With the I/O APIC in userspace the acknowledge does not come here. */
	if ((args->flags & KVM_IRQFD_FLAG_RESAMPLE) && kvm->irqchip_mode != KVM_IRQCHIP_FULL)
		return -EINVAL;
	return irqfd_assign(kvm, args);
}

/** kvm_irqfd_release_all - deassign all irqfds of a VM; on return none can raise an interrupt */
void kvm_irqfd_release_all(struct kvm *kvm)
{
	deactivate_all(kvm, NULL, 0);
}

/** kvm_irqfd_module_init - make the workqueue: 0 or -ENOMEM */
int kvm_irqfd_module_init(void)
{
	irqfd_wq = alloc_workqueue("kvm-irqfd", WQ_PERCPU, 0);
	return irqfd_wq ? 0 : -ENOMEM;
}

/** kvm_irqfd_module_exit - undo kvm_irqfd_module_init() */
void kvm_irqfd_module_exit(void)
{
	destroy_workqueue(irqfd_wq);
}

/*
 * ---- ioeventfd ----
 */

struct kvm_ioeventfd_dev {
	struct kvm_io_device dev;
	struct kvm_io_device fast;	/* on KVM_FAST_MMIO_BUS too, if any length does */
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

static bool fast_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len,
		       const u8 *val)
{
	struct kvm_ioeventfd_dev *p = container_of(dev, struct kvm_ioeventfd_dev, fast);

	if (addr != p->addr)
		return false;
	kvm_eventfd_signal(p->eventfd);
	return true;
}

static const struct kvm_io_ops fast_ops = {
	.write = fast_write,
};

static bool is_fast(const struct kvm_ioeventfd_dev *p)
{
	return p->bus == KVM_MMIO_BUS && !p->len;
}

#define IOEVENTFD_FLAGS \
	(KVM_IOEVENTFD_FLAG_DATAMATCH | KVM_IOEVENTFD_FLAG_PIO | KVM_IOEVENTFD_FLAG_DEASSIGN)

static bool ioeventfd_valid(const struct kvm_ioeventfd *args)
{
	u64 top = args->flags & KVM_IOEVENTFD_FLAG_PIO ? 0xffff : ~0ULL;

	if (args->flags & ~IOEVENTFD_FLAGS)
		return false;
	if (args->len > 8 || (args->len & (args->len - 1)))
		return false;
	/* For accesses of any length there is no data to compare with. */
	if (!args->len && (args->flags & KVM_IOEVENTFD_FLAG_DATAMATCH))
		return false;
	return args->addr <= top && (!args->len || args->len - 1 <= top - args->addr);
}

static bool same_place(const struct kvm_ioeventfd_dev *a, const struct kvm_ioeventfd_dev *b)
{
	return a->bus == b->bus && a->addr == b->addr;
}

/* Could one write signal both? */
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
	__kvm_must_hold(io_lock)
{
	struct kvm_ioeventfd_dev *other;
	long r;

	list_for_each_entry(other, &kvm->ioeventfds, link)
		if (ioeventfd_collides(other, p))
			return -EEXIST;
	r = kvm_io_register(kvm, p->bus, p->addr, p->len, &p->dev);
	if (r)
		return r;
	if (is_fast(p))
		r = kvm_io_register(kvm, KVM_FAST_MMIO_BUS, p->addr, 0, &p->fast);
	if (r)
		kvm_io_unregister(kvm, p->bus, &p->dev);
	else
		list_add_tail(&p->link, &kvm->ioeventfds);
	return r;
}

/* io_lock held. */
static void ioeventfd_remove(struct kvm *kvm, struct kvm_ioeventfd_dev *p)
	__kvm_must_hold(io_lock)
{
	list_del(&p->link);
	if (is_fast(p))
		kvm_io_unregister(kvm, KVM_FAST_MMIO_BUS, &p->fast);
	kvm_io_unregister(kvm, p->bus, &p->dev);
	eventfd_ctx_put(p->eventfd);
	kfree(p);
}

static long ioeventfd_deassign(struct kvm *kvm, const struct kvm_ioeventfd_dev *args)
	__kvm_must_hold(io_lock)
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

/** kvm_ioeventfd - KVM_IOEVENTFD: 0, -EINVAL, -EBADF, -EEXIST, -ENOENT, -ENOSPC, -ENOMEM */
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
	p->fast.ops = &fast_ops;
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

/** kvm_ioeventfd_release_all - deassign all ioeventfds of a VM */
void kvm_ioeventfd_release_all(struct kvm *kvm)
{
	struct kvm_ioeventfd_dev *p, *next;

	mutex_lock(&kvm->io_lock);
	list_for_each_entry_safe(p, next, &kvm->ioeventfds, link)
		ioeventfd_remove(kvm, p);
	mutex_unlock(&kvm->io_lock);
}
