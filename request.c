// SPDX-License-Identifier: GPL-2.0-only
/*
 * Requests, kicks and remote flushes: what every other file may call.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_request.h"

#include <linux/cpumask.h>
#include <linux/printk.h>
#include <linux/smp.h>
#include <trace/events/ipi.h>	/* smp_send_reschedule()'s tracepoint since 6.4 */

static void ack_kick(void *unused)
{
}

/* True if the vcpu was in guest mode, and so must get an interrupt to leave it. */
static bool vcpu_should_kick(struct kvm_vcpu *vcpu)
{
	return cmpxchg(&vcpu->mode, IN_GUEST_MODE, EXITING_GUEST_MODE) != OUTSIDE_GUEST_MODE;
}

/** kvm_make_all_vcpus_request - make a request of every vcpu, and those in guest mode leave it.
 * On return no vcpu runs guest code that has not seen the request.  May be called under mmu_lock;
 * interrupts must be on.
 */
void kvm_make_all_vcpus_request(struct kvm *kvm, int req)
{
	struct kvm_vcpu *vcpu;
	cpumask_var_t mask;
	unsigned long i;
	bool have_mask, called = false;
	int me, cpu;

	have_mask = zalloc_cpumask_var(&mask, GFP_ATOMIC | __GFP_NOWARN);
	me = get_cpu();
	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(req, vcpu);
		/* Pairs with the barrier after mode = IN_GUEST_MODE. */
		smp_mb__after_atomic();
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu < 0 || cpu == me || !vcpu_should_kick(vcpu))
			continue;
		called = true;
		if (have_mask)
			__cpumask_set_cpu(cpu, mask);
	}
	if (called)
		smp_call_function_many(have_mask ? mask : cpu_online_mask, ack_kick, NULL, true);
	put_cpu();
	if (have_mask)
		free_cpumask_var(mask);
}

/** kvm_flush_remote_tlbs - flush the TLBs of all vcpus: on return none uses a stale translation
 * any more.  mmu_lock may be held; interrupts must be on.
 */
void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	kvm->stat.remote_tlb_flush++;
	kvm_make_all_vcpus_request(kvm, KVM_REQ_TLB_FLUSH);
}

/** kvm_vcpu_kick - make a vcpu look at its requests soon, in any context but NMI: one in guest
 * mode gets an interrupt, one that sleeps is woken, one in between looks before it does either
 */
void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
	int me, cpu;

	/* Between the request and what tells where the vcpu is. */
	smp_mb();
	if (READ_ONCE(vcpu->mode) == OUTSIDE_GUEST_MODE) {
		if (rcuwait_active(&vcpu->wait))
			rcuwait_wake_up(&vcpu->wait);
		return;
	}
	me = get_cpu();
	cpu = READ_ONCE(vcpu->cpu);
	if (cpu >= 0 && cpu != me && vcpu_should_kick(vcpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

/*
 * ---- read sections ----
 *
 * A vcpu is in one nearly as long as it is in KVM_RUN, in guest mode too, and says in
 * vcpu->reading as of which epoch it reads.  Whoever has replaced something begins another
 * epoch, and waits until each vcpu reads as of that one, or not at all: a request and one
 * kick each.  All other readers are in short sections of kvm->srcu.
 */

#ifdef CONFIG_DEBUG_LOCK_ALLOC
struct lockdep_map kvm_vcpu_read_map = STATIC_LOCKDEP_MAP_INIT("kvm_vcpu_read_section",
							       &kvm_vcpu_read_map);
#endif

static void note_passed(struct kvm *kvm)
{
	/* Who waits is in the queue before he looks at vcpu->reading. */
	if (unlikely(waitqueue_active(&kvm->readers_wait)))
		wake_up_all(&kvm->readers_wait);
}

/** kvm_vcpu_read_pass - a vcpu, in its read section and using nothing of what that protects, goes
 * on in a new one.  By the thread that has the vcpu.
 */
void kvm_vcpu_read_pass(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	u64 epoch;

	do {
		epoch = atomic64_read(&kvm->read_epoch);
		smp_store_release(&vcpu->reading, epoch);
		/*
		 * Before anything is read.  And who begins an epoch looks at vcpu->reading after
		 * that: either we see his here, or he sees ours, and makes a request.
		 */
		smp_mb();
	} while (unlikely(atomic64_read(&kvm->read_epoch) != epoch));
	note_passed(kvm);
}

/** kvm_vcpu_read_lock - begin a vcpu's read section, of memory slots and the MSR filter.  By the
 * thread that has the vcpu; it may sleep inside, but others wait for it.
 */
void kvm_vcpu_read_lock(struct kvm_vcpu *vcpu)
{
	lock_map_acquire_read(&kvm_vcpu_read_map);
	kvm_vcpu_read_pass(vcpu);
}

/** kvm_vcpu_read_unlock - end a vcpu's read section */
void kvm_vcpu_read_unlock(struct kvm_vcpu *vcpu)
{
	smp_store_release(&vcpu->reading, 0);
	smp_mb();
	note_passed(vcpu->kvm);
	lock_map_release(&kvm_vcpu_read_map);
}

static bool reads_as_before(struct kvm_vcpu *vcpu, u64 epoch)
{
	u64 reading = smp_load_acquire(&vcpu->reading);

	return reading && reading < epoch;
}

static bool all_passed(struct kvm *kvm, u64 epoch)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (reads_as_before(vcpu, epoch))
			return false;
	/* Their accesses to what was replaced are behind us. */
	smp_mb();
	return true;
}

/** kvm_wait_for_readers - wait until nobody uses what was replaced before the call: memory slots,
 * the MSR filter.  Not in a read section, nor with a lock that is taken in one.  Sleeps.
 */
void kvm_wait_for_readers(struct kvm *kvm)
{
	/* A full barrier: what was replaced is so for who does not see the epoch. */
	u64 epoch = atomic64_inc_return(&kvm->read_epoch);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	might_sleep();
	lock_map_acquire(&kvm_vcpu_read_map);
	lock_map_release(&kvm_vcpu_read_map);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!reads_as_before(vcpu, epoch))
			continue;
		kvm_make_request(KVM_REQ_READ_PASS, vcpu);
		kvm_vcpu_kick(vcpu);
	}
	synchronize_srcu_expedited(&kvm->srcu);
	wait_event(kvm->readers_wait, all_passed(kvm, epoch));
}

/** kvm_vm_dead - an internal error: this VM never runs again, the host goes on.
 * The first @reason is logged, with the caller.
 * Any context but NMI, with any locks.  Does not wait: vcpus are told to leave guest mode, and
 * none enters it again.  KVM_RUN and all other calls on the VM and its vcpus fail with EIO from
 * now on; closing them works.
 */
void kvm_vm_dead(struct kvm *kvm, const char *reason)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (xchg(&kvm->dead, true))
		return;
	pr_err_ratelimited("the VM of process %d is dead, %pS: %s\n", kvm->creator,
			   __builtin_return_address(0), reason);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(KVM_REQ_VM_DEAD, vcpu);
		kvm_vcpu_kick(vcpu);
	}
}
