// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: the guest runs another task while the host fetches a
 * page of its memory.
 *
 * "Page not present" is a #PF with a token in CR2 and a flag in the guest's memory;
 * "page ready" is the token in its memory and an interrupt, which the guest
 * acknowledges before it gets the next one (<asm/kvm_para.h>).
 */
#include "kvm_host.h"
#include "kvm_events.h"
#include "kvm_guest_mem.h"
#include "kvm_lapic.h"
#include "kvm_pv.h"
#include "kvm_request.h"

#include <linux/kvm_para.h>
#include <linux/sched/mm.h>
#include <linux/workqueue.h>
#include <asm/apicdef.h>

#define EN_RESERVED	0x30ULL
#define EN_FLAGS	0x3fULL
#define EN_WANTED	((u64)(KVM_ASYNC_PF_ENABLED | KVM_ASYNC_PF_DELIVERY_AS_INT))
#define TOKEN_ALL	0xffffffffU	/* wakes all tasks that wait */
#define ID_SHIFT	12		/* of a token; a vcpu's id is below */

/*
 * Limits of pages being fetched.  The one for all VMs is below the number of works
 * that the queue runs at a time, so a VM whose pages never come does not hold up
 * others: beyond the limits a fault is waited for synchronously.
 */
#define MAX_PER_VCPU	64
#define MAX_TOTAL	384
#define MAX_ACTIVE	512

static_assert(KVM_MAX_VCPU_ID < 1 << ID_SHIFT);

static struct workqueue_struct *apf_wq;
static atomic_t nr_total = ATOMIC_INIT(0);

/*
 * The pages that a vcpu waits for.  Each work holds a reference: userspace may
 * withhold a page (userfaultfd) until after the VM is gone, and the VM's end does not
 * wait for it.
 */
struct kvm_apf {
	refcount_t users;
	spinlock_t lock;		/* vcpu, lists, nr */
	struct kvm_vcpu *vcpu __kvm_guarded_by(apf_lock);	/* NULL once it is destroyed */
	struct list_head fetching __kvm_guarded_by(apf_lock);
	struct list_head ready __kvm_guarded_by(apf_lock);
	unsigned int nr __kvm_guarded_by(apf_lock);	/* in both */
	/* The vcpu thread's own. */
	u32 id;
	bool unacked;			/* a "page ready" is not acknowledged yet */
	bool wake_all;			/* after migration: TOKEN_ALL is to be sent */
};

struct apf_work {
	struct work_struct work;
	struct list_head link;
	struct kvm_apf *apf;
	struct mm_struct *mm;
	gfn_t gfn;
	hva_t hva;
	bool write, dropped;
	u32 token;
};

/*
 * ---- the host's side: fetch a page ----
 */

static void put_apf(struct kvm_apf *apf)
{
	if (refcount_dec_and_test(&apf->users))
		kfree(apf);
}

/* The page is there, or could not be had: the guest's next access finds out. */
static void finish(struct apf_work *w)
{
	struct kvm_apf *apf = w->apf;
	struct kvm_vcpu *vcpu;

	atomic_dec(&nr_total);
	spin_lock(&apf->lock);
	list_del(&w->link);
	vcpu = apf->vcpu;
	if (vcpu && !w->dropped) {
		list_add_tail(&w->link, &apf->ready);
		kvm_make_request(KVM_REQ_APF_READY, vcpu);
		kvm_vcpu_kick(vcpu);
		w = NULL;
	} else {
		apf->nr--;
	}
	spin_unlock(&apf->lock);
	kfree(w);
	put_apf(apf);
}

/*
 * One fault, as the VMM's own access would raise it.  Not get_user_pages(): while a
 * userfaultfd is being closed it retries without end and holds mmap_lock, for which
 * the closing task waits; and a work, unlike a task, cannot be killed.
 */
static void fetch(struct work_struct *work)
{
	struct apf_work *w = container_of(work, struct apf_work, work);
	struct mm_struct *mm = w->mm;
	bool unlocked = false;

	mmap_read_lock(mm);
	/* What is at the address by now may be another's than the VM's that ended. */
	if (!READ_ONCE(w->dropped))
		fixup_user_fault(mm, w->hva, w->write ? FAULT_FLAG_WRITE : 0, &unlocked);
	mmap_read_unlock(mm);
	finish(w);
	mmput(mm);
}

/* False: the same page is being fetched already, or too many are. */
static bool enlist(struct kvm_apf *apf, struct apf_work *w)
{
	struct apf_work *other;
	bool ok;

	spin_lock(&apf->lock);
	ok = apf->nr < MAX_PER_VCPU;
	list_for_each_entry(other, &apf->fetching, link)
		ok &= other->dropped || other->gfn != w->gfn;
	if (ok) {
		list_add_tail(&w->link, &apf->fetching);
		apf->nr++;
	}
	spin_unlock(&apf->lock);
	return ok;
}

static u32 next_token(struct kvm_vcpu *vcpu)
{
	u32 token;

	/* 0 and TOKEN_ALL are reserved. */
	do {
		token = ++vcpu->apf->id << ID_SHIFT | vcpu->vcpu_id;
	} while (!token || token == TOKEN_ALL);
	return token;
}

static struct apf_work *new_work(struct kvm_vcpu *vcpu, gfn_t gfn, hva_t hva, bool write)
{
	struct apf_work *w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);

	if (!w)
		return NULL;
	w->apf = vcpu->apf;
	w->mm = vcpu->kvm->mm;
	w->gfn = gfn;
	w->hva = hva;
	w->write = write;
	w->token = next_token(vcpu);
	INIT_WORK(&w->work, fetch);
	return w;
}

/*
 * ---- the guest's side ----
 */

static gpa_t data_gpa(const struct kvm_vcpu *vcpu)
{
	return vcpu->pv.apf_en & ~EN_FLAGS;
}

static bool enabled(const struct kvm_vcpu *vcpu)
{
	return vcpu->apf && (vcpu->pv.apf_en & EN_WANTED) == EN_WANTED;
}

/* The guest must be able to switch tasks, and to take the #PF at once, as the next event. */
static bool guest_can_take(struct kvm_vcpu *vcpu)
{
	const struct kvm_events *ev = &vcpu->events;
	u32 flags;

	if (!enabled(vcpu) || !vcpu->lapic)
		return false;
	if (ev->exception.pending || ev->exception.injected || ev->nmi_injected || ev->irq.injected ||
	    ev->soft.injected)
		return false;
	if (!(vcpu->pv.apf_en & KVM_ASYNC_PF_SEND_ALWAYS) && !kvm_ops.get_cpl(vcpu))
		return false;
	if (!is_paging(vcpu) || !kvm_lapic_enabled(vcpu->lapic) || !kvm_call(irq_allowed)(vcpu))
		return false;
	/* Nonzero: the guest has not handled the last one yet. */
	return !kvm_read_guest(vcpu, data_gpa(vcpu), &flags, sizeof(flags)) && !flags;
}

static bool tell_not_present(struct kvm_vcpu *vcpu, u32 token)
{
	struct kvm_exception ex = {
		.vector = X86_TRAP_PF, .error_code_valid = true, .address = token,
	};
	u32 flags = KVM_PV_REASON_PAGE_NOT_PRESENT;

	if (kvm_write_guest(vcpu, data_gpa(vcpu), &flags, sizeof(flags)))
		return false;
	kvm_inject_page_fault(vcpu, &ex);
	return true;
}

/** kvm_async_pf_start - fetch a page in the background; the vcpu has vcpu->apf
 * @write: the guest's access is a write
 * Returns true if the guest gets a "page not present" #PF, false if the caller has to wait for
 * the page itself.
 */
bool kvm_async_pf_start(struct kvm_vcpu *vcpu, gfn_t gfn, hva_t hva, bool write)
{
	struct apf_work *w;

	if (!guest_can_take(vcpu))
		return false;
	if (atomic_inc_return(&nr_total) > MAX_TOTAL)
		goto out_count;
	w = new_work(vcpu, gfn, hva, write);
	if (!w)
		goto out_count;
	if (!mmget_not_zero(w->mm))
		goto out_work;
	if (!enlist(vcpu->apf, w))
		goto out_mm;
	if (!tell_not_present(vcpu, w->token)) {
		spin_lock(&vcpu->apf->lock);
		list_del(&w->link);
		vcpu->apf->nr--;
		spin_unlock(&vcpu->apf->lock);
		goto out_mm;
	}
	refcount_inc(&vcpu->apf->users);
	queue_work(apf_wq, &w->work);
	return true;

out_mm:
	mmput(vcpu->kvm->mm);
out_work:
	kfree(w);
out_count:
	atomic_dec(&nr_total);
	return false;
}

/* Free what is ready; what is being fetched is dropped when it is done. */
static void drop_all(struct kvm_apf *apf)
{
	struct apf_work *w, *next;

	spin_lock(&apf->lock);
	list_for_each_entry(w, &apf->fetching, link)
		WRITE_ONCE(w->dropped, true);
	list_for_each_entry_safe(w, next, &apf->ready, link) {
		list_del(&w->link);
		apf->nr--;
		kfree(w);
	}
	spin_unlock(&apf->lock);
	apf->unacked = false;
	apf->wake_all = false;
}

static struct apf_work *first_ready(struct kvm_apf *apf)
{
	struct apf_work *w;

	spin_lock(&apf->lock);
	w = list_first_entry_or_null(&apf->ready, struct apf_work, link);
	spin_unlock(&apf->lock);
	return w;
}

static void ready_sent(struct kvm_apf *apf, struct apf_work *w)
{
	apf->unacked = true;
	if (!w) {
		apf->wake_all = false;
		return;
	}
	spin_lock(&apf->lock);
	list_del(&w->link);
	apf->nr--;
	spin_unlock(&apf->lock);
	kfree(w);
}

/** kvm_async_pf_ready - KVM_REQ_APF_READY: send "page ready" if the guest can take it */
void kvm_async_pf_ready(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = data_gpa(vcpu) + offsetof(struct kvm_vcpu_pv_apf_data, token);
	struct kvm_lapic_irq irq = {
		.shorthand = APIC_DEST_SELF, .vector = vcpu->pv.apf_int, .level = true,
	};
	struct kvm_apf *apf = vcpu->apf;
	struct apf_work *w = NULL;
	u32 token;

	if (!enabled(vcpu) || apf->unacked)
		return;
	if (!apf->wake_all) {
		w = first_ready(apf);
		if (!w)
			return;
	}
	if (kvm_read_guest(vcpu, gpa, &token, sizeof(token)) || token)
		return;
	token = w ? w->token : TOKEN_ALL;
	if (kvm_write_guest(vcpu, gpa, &token, sizeof(token)))
		return;
	ready_sent(apf, w);
	kvm_irq_deliver(vcpu->kvm, vcpu, &irq);
}

/*
 * ---- MSRs ----
 */

static struct kvm_apf *new_apf(struct kvm_vcpu *vcpu)
	__kvm_unshared
{
	struct kvm_apf *apf = kzalloc(sizeof(*apf), GFP_KERNEL_ACCOUNT);

	if (!apf)
		return NULL;
	refcount_set(&apf->users, 1);
	spin_lock_init(&apf->lock);
	INIT_LIST_HEAD(&apf->fetching);
	INIT_LIST_HEAD(&apf->ready);
	apf->vcpu = vcpu;
	return apf;
}

/** kvm_async_pf_set_en - MSR_KVM_ASYNC_PF_EN: 0, -EINVAL for a reserved bit, -ENOMEM for userspace.
 * After migration userspace writes it, and tasks of the guest may wait for tokens of the old
 * host, which only we can wake.  Without a local APIC in the kernel all faults are synchronous;
 * if the guest's own write finds no memory they are, too.
 */
int kvm_async_pf_set_en(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (msr->data & EN_RESERVED)
		return -EINVAL;
	if (!vcpu->apf && vcpu->lapic && (msr->data & KVM_ASYNC_PF_ENABLED)) {
		vcpu->apf = new_apf(vcpu);
		if (!vcpu->apf && msr->host_initiated)
			return -ENOMEM;
	}
	if (vcpu->apf)
		drop_all(vcpu->apf);
	vcpu->pv.apf_en = msr->data;
	if (msr->host_initiated && enabled(vcpu)) {
		vcpu->apf->wake_all = true;
		kvm_make_request(KVM_REQ_APF_READY, vcpu);
	}
	return 0;
}

/** kvm_async_pf_set_int - MSR_KVM_ASYNC_PF_INT: the vector of "page ready"; 0 or -EINVAL */
int kvm_async_pf_set_int(struct kvm_vcpu *vcpu, u64 data)
{
	if (data & ~(u64)KVM_ASYNC_PF_VEC_MASK)
		return -EINVAL;
	vcpu->pv.apf_int = data;
	return 0;
}

/** kvm_async_pf_ack - MSR_KVM_ASYNC_PF_ACK: the guest can take the next one; 0 or -EINVAL */
int kvm_async_pf_ack(struct kvm_vcpu *vcpu, u64 data)
{
	if (data & ~1ULL)
		return -EINVAL;
	if (data && vcpu->apf) {
		vcpu->apf->unacked = false;
		kvm_make_request(KVM_REQ_APF_READY, vcpu);
	}
	return 0;
}

/** kvm_async_pf_reset - RESET, INIT: asynchronous page faults are off */
void kvm_async_pf_reset(struct kvm_vcpu *vcpu)
{
	vcpu->pv.apf_en = 0;
	vcpu->pv.apf_int = 0;
	if (vcpu->apf)
		drop_all(vcpu->apf);
}

/** kvm_async_pf_destroy - the vcpu is destroyed; works that still run end by themselves */
void kvm_async_pf_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_apf *apf = vcpu->apf;

	if (!apf)
		return;
	drop_all(apf);
	spin_lock(&apf->lock);
	apf->vcpu = NULL;
	spin_unlock(&apf->lock);
	put_apf(apf);
}

/** kvm_async_pf_module_init - make the workqueue: 0 or -ENOMEM */
int kvm_async_pf_module_init(void)
{
	apf_wq = alloc_workqueue("kvm-async-pf", WQ_UNBOUND, MAX_ACTIVE);
	return apf_wq ? 0 : -ENOMEM;
}

/** kvm_async_pf_module_exit - undo kvm_async_pf_module_init(); waits for the works */
void kvm_async_pf_module_exit(void)
{
	destroy_workqueue(apf_wq);
}
