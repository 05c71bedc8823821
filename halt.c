// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vcpu that does not run: halted, or waiting for INIT and SIPI; what wakes
 * it, polling before sleeping, and yielding to others.
 *
 * Only with local APICs in the kernel: without them userspace knows what to wait for.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_events.h"
#include "kvm_lapic.h"
#include "kvm_request.h"
#include "kvm_vcpu.h"

#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>

static unsigned int halt_poll_ns = 200000;
module_param(halt_poll_ns, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns, "ns that a halted vcpu polls for an interrupt before it sleeps, at most");

static unsigned int halt_poll_ns_grow = 2;
module_param(halt_poll_ns_grow, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow, "factor by which a vcpu's polling time grows after a short sleep");

static unsigned int halt_poll_ns_grow_start = 10000;
module_param(halt_poll_ns_grow_start, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_grow_start, "ns to which it grows from 0");

static unsigned int halt_poll_ns_shrink;
module_param(halt_poll_ns_shrink, uint, 0644);
MODULE_PARM_DESC(halt_poll_ns_shrink, "divisor by which it shrinks after a long sleep; 0: to nothing");

/*
 * ---- what ends a wait ----
 */

static bool wakes_from_halt(struct kvm_vcpu *vcpu)
{
	const struct kvm_events *ev = &vcpu->events;

	return READ_ONCE(vcpu->pv_unhalted) || ev->exception.pending ||
	       ev->exception.injected || (ev->nmi_pending && kvm_ops.nmi_allowed(vcpu)) ||
	       (kvm_irq_pending(vcpu) && kvm_ops.irq_allowed(vcpu));
}

/* Requests that cannot wait until the vcpu runs again. */
#define URGENT	(BIT(KVM_REQ_NMI) | BIT(KVM_REQ_VM_DEAD) | BIT(KVM_REQ_TRIPLE_FAULT) | \
		 BIT(KVM_REQ_IOAPIC_EOI_EXIT) | BIT(KVM_REQ_TPR_ACCESS) | BIT(KVM_REQ_APF_READY) | \
		 BIT(KVM_REQ_TSC_MOVED))

static bool has_work(struct kvm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->requests) & URGENT)
		return true;
	if (READ_ONCE(vcpu->lapic->pending_events))
		return true;
	return vcpu->mp_state == KVM_MP_STATE_HALTED && wakes_from_halt(vcpu);
}

/*
 * ---- waiting ----
 */

/* The VM's own, or the module's for all. */
static unsigned int poll_limit(const struct kvm *kvm)
{
	return smp_load_acquire(&kvm->own_halt_poll_limit) ? READ_ONCE(kvm->halt_poll_limit) :
	       READ_ONCE(halt_poll_ns);
}

/* True: something came. */
static bool poll_for_work(struct kvm_vcpu *vcpu, ktime_t begin)
{
	ktime_t stop = ktime_add_ns(begin, vcpu->halt_poll_ns);

	vcpu->stat.halt_attempted_poll++;
	do {
		if (has_work(vcpu)) {
			vcpu->stat.halt_successful_poll++;
			return true;
		}
		cpu_relax();
	} while (!need_resched() && single_task_running() && !signal_pending(current) &&
		 ktime_before(ktime_get(), stop));
	return false;
}

static void sleep_until_work(struct kvm_vcpu *vcpu)
{
	prepare_to_rcuwait(&vcpu->wait);
	for (;;) {
		/* Pairs with the barrier in kvm_vcpu_kick(). */
		set_current_state(TASK_INTERRUPTIBLE);
		if (has_work(vcpu) || signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME))
			break;
		schedule();
	}
	finish_rcuwait(&vcpu->wait);
	vcpu->stat.halt_wakeup++;
}

/* Poll longer after a sleep that this would have spared; less after a long one, where it was in vain. */
static void adjust_polling(struct kvm_vcpu *vcpu, u64 slept_ns)
{
	unsigned int max = poll_limit(vcpu->kvm), shrink = READ_ONCE(halt_poll_ns_shrink);
	u64 now = vcpu->halt_poll_ns;

	if (slept_ns <= max)
		now = max_t(u64, now * READ_ONCE(halt_poll_ns_grow),
			    READ_ONCE(halt_poll_ns_grow_start));
	else
		now = shrink ? now / shrink : 0;
	vcpu->halt_poll_ns = min_t(u64, now, max);
}

static bool polling_allowed(struct kvm_vcpu *vcpu)
{
	return vcpu->mp_state == KVM_MP_STATE_HALTED && poll_limit(vcpu->kvm) &&
	       (vcpu->msr.poll_control & 1);
}

static void block(struct kvm_vcpu *vcpu)
{
	bool poll = polling_allowed(vcpu);
	ktime_t begin = 0;

	if (poll) {
		begin = ktime_get();
		if (vcpu->halt_poll_ns && poll_for_work(vcpu, begin))
			return;
	}
	/* Whoever changes memory slots need not wait for this vcpu. */
	kvm_vcpu_read_unlock(vcpu);
	sleep_until_work(vcpu);
	kvm_vcpu_read_lock(vcpu);
	if (poll)
		adjust_polling(vcpu, ktime_to_ns(ktime_sub(ktime_get(), begin)));
}

/** kvm_vcpu_wait - the vcpu, in the run loop, its APIC in the kernel, does not run now: wait until
 * there is work, or a signal.  It may still not run: the loop looks at requests and signals.
 */
void kvm_vcpu_wait(struct kvm_vcpu *vcpu)
{
	if (!has_work(vcpu))
		block(vcpu);
	if (vcpu->mp_state == KVM_MP_STATE_HALTED && wakes_from_halt(vcpu)) {
		vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
		WRITE_ONCE(vcpu->pv_unhalted, false);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
	}
}

/*
 * ---- yielding ----
 */

/** kvm_vcpu_yield_to - let @target's thread have the rest of this thread's time: did it? */
bool kvm_vcpu_yield_to(struct kvm_vcpu *vcpu, struct kvm_vcpu *target)
{
	struct task_struct *task = NULL;
	struct pid *pid;
	int r;

	vcpu->stat.directed_yield_attempted++;
	rcu_read_lock();
	pid = rcu_dereference(target->pid);
	if (pid)
		task = get_pid_task(pid, PIDTYPE_PID);
	rcu_read_unlock();
	if (!task)
		return false;
	r = yield_to(task, true);
	put_task_struct(task);
	vcpu->stat.directed_yield_successful += r > 0;
	return r > 0;
}

/* Yield to one of the preempted vcpus, each in turn: of those that spin, or that do not. */
static bool boost_another(struct kvm_vcpu *vcpu, bool spinning)
{
	struct kvm *kvm = vcpu->kvm;
	int n = atomic_read(&kvm->online_vcpus), i, at = READ_ONCE(kvm->last_boosted);

	for (i = 1; i <= n; i++) {
		int idx = (at + i) % n;
		struct kvm_vcpu *other = xa_load(&kvm->vcpus, idx);

		if (!other || other == vcpu || !READ_ONCE(other->preempted) ||
		    READ_ONCE(other->spinning) != spinning)
			continue;
		if (kvm_vcpu_yield_to(vcpu, other)) {
			WRITE_ONCE(kvm->last_boosted, idx);
			return true;
		}
	}
	return false;
}

/** kvm_vcpu_on_spin - PAUSE exited: the guest spins on what another vcpu holds.  More likely that
 * is one that was preempted at work than one that yielded here, as that spins itself.
 */
void kvm_vcpu_on_spin(struct kvm_vcpu *vcpu)
{
	vcpu->stat.pause_exits++;
	WRITE_ONCE(vcpu->spinning, true);
	if (!boost_another(vcpu, false))
		boost_another(vcpu, true);
	WRITE_ONCE(vcpu->spinning, false);
}
