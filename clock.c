// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's paravirtual clock (kvmclock), and KVM_GET_CLOCK, KVM_SET_CLOCK.
 *
 * The VM's clock is the host's raw monotonic time with an offset.  Where the
 * host itself keeps time by the TSC, one pair of both, taken once, gives the
 * time of any TSC value, and the clock is stable: every vcpu gets the same
 * line, and none is ever ahead of another.  Where it does not, each vcpu gets a
 * pair of its own, anew on each CPU that it moves to.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_guest_mem.h"
#include "kvm_vm.h"
#include "kvm_request.h"

#include <linux/clocksource.h>
#include <linux/jiffies.h>
#include <linux/kvm_para.h>
#include <linux/math64.h>
#include <linux/pvclock_gtod.h>
#include <linux/timekeeper_internal.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>
#include <asm/msr.h>
#include <asm/pvclock-abi.h>
#include <asm/tsc.h>
#include <vdso/clocksource.h>

#define SYSTEM_TIME_ENABLED	1ULL
#define DRIFT_JIFFIES		(60 * HZ)

/* Does the host keep time by the TSC?  Written by the timekeeper's notifier. */
static bool host_uses_tsc;

/*
 * ---- ticks to nanoseconds ----
 */

/*
 * As the guest will do it: ticks shifted by *shift (right if negative), times
 * *mul, over 2^32.  The quotient without the shift is kept in [1/2, 1).
 */
static void find_scale(u64 hz, s8 *shift, u32 *mul)
{
	u64 num = NSEC_PER_SEC, den = hz;

	*shift = 0;
	for (; num >= den; den <<= 1)
		(*shift)++;
	for (; num * 2 < den; num <<= 1)
		(*shift)--;
	*mul = mul_u64_u64_div_u64(num, 1ULL << 32, den);
}

static u64 ticks_to_ns(const struct kvm *kvm, u64 ticks)
{
	ticks = kvm->clock.shift < 0 ? ticks >> -kvm->clock.shift : ticks << kvm->clock.shift;
	return mul_u64_u32_shr(ticks, kvm->clock.mul, 32);
}

/*
 * ---- the VM's clock ----
 */

/* One moment by all clocks.  False: the TSC is not the host's time. */
static bool take_snapshot(struct system_time_snapshot *now)
{
	bool by_tsc = READ_ONCE(host_uses_tsc);
	unsigned long flags;
	u64 tsc;

	if (by_tsc) {
		tsc = rdtsc();
		ktime_get_snapshot(now);
		/* The clock may have changed that very moment. */
		if (now->cycles - tsc < (u64)tsc_khz * MSEC_PER_SEC)
			return true;
	}
	local_irq_save(flags);
	now->cycles = rdtsc_ordered();
	now->raw = ktime_get_raw();
	now->real = ktime_get_real();
	local_irq_restore(flags);
	return false;
}

/* The VM's time at a moment.  tsc_lock held. */
static u64 clock_at(const struct kvm *kvm, const struct system_time_snapshot *now)
{
	if (kvm->clock.master)
		return kvm->clock.ns + kvm->kvmclock_offset +
		       ticks_to_ns(kvm, now->cycles - kvm->clock.tsc);
	return ktime_to_ns(now->raw) + kvm->kvmclock_offset;
}

static u64 clock_now(struct kvm *kvm, struct system_time_snapshot *now, bool *by_tsc)
{
	unsigned long flags;
	u64 ns;

	*by_tsc = take_snapshot(now);
	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	ns = clock_at(kvm, now);
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	return ns;
}

/* The guest has one line for all vcpus: by the TSC, which counts alike on all. */
static bool clock_is_stable(const struct kvm *kvm)
{
	return READ_ONCE(kvm->clock.master) && !READ_ONCE(kvm->tsc_unequal);
}

static void update_all_vcpus(struct kvm *kvm)
{
	kvm_make_all_vcpus_request(kvm, KVM_REQ_CLOCK_UPDATE);
}

/* The host's time is kept by another clock than before: the VM's goes on from where it is. */
static void change_master(struct kvm *kvm)
{
	struct system_time_snapshot now;
	bool master = take_snapshot(&now), changed;
	unsigned long flags;
	u64 ns;

	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	changed = master != kvm->clock.master;
	if (changed) {
		ns = clock_at(kvm, &now);
		kvm->clock.master = master;
		kvm->clock.tsc = now.cycles;
		kvm->clock.ns = ktime_to_ns(now.raw);
		kvm->kvmclock_offset = ns - kvm->clock.ns;
	}
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	if (changed)
		update_all_vcpus(kvm);
}

/** kvm_clock_init_vm - the VM's clock begins, at 0 */
void kvm_clock_init_vm(struct kvm *kvm)
{
	struct system_time_snapshot now;

	find_scale((u64)max(tsc_khz, 1U) * MSEC_PER_SEC, &kvm->clock.shift, &kvm->clock.mul);
	kvm->clock.master = take_snapshot(&now);
	kvm->clock.tsc = now.cycles;
	kvm->clock.ns = ktime_to_ns(now.raw);
	kvm->kvmclock_offset = -kvm->clock.ns;
}

/** kvm_clock_tsc_written - a vcpu's TSC offset changed: do they all still count alike? */
void kvm_clock_tsc_written(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_vcpu *other;
	bool unequal = false, changed;
	unsigned long i, flags;

	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	kvm_for_each_vcpu(i, other, kvm)
		unequal |= other->tsc_offset != vcpu->tsc_offset;
	changed = unequal != kvm->tsc_unequal;
	WRITE_ONCE(kvm->tsc_unequal, unequal);
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
	if (changed)
		update_all_vcpus(kvm);
}

/*
 * ---- what the guest reads ----
 */

static void fill_time(struct kvm_vcpu *vcpu, struct pvclock_vcpu_time_info *pvti)
{
	struct kvm *kvm = vcpu->kvm;
	struct system_time_snapshot now;
	unsigned long flags;

	if (!READ_ONCE(kvm->clock.master))
		take_snapshot(&now);
	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	if (kvm->clock.master) {
		pvti->tsc_timestamp = kvm->clock.tsc + vcpu->tsc_offset;
		pvti->system_time = kvm->clock.ns + kvm->kvmclock_offset;
	} else {
		pvti->tsc_timestamp = now.cycles + vcpu->tsc_offset;
		pvti->system_time = ktime_to_ns(now.raw) + kvm->kvmclock_offset;
	}
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	pvti->tsc_to_system_mul = kvm->clock.mul;
	pvti->tsc_shift = kvm->clock.shift;
	pvti->flags &= PVCLOCK_GUEST_STOPPED;
	if (clock_is_stable(kvm))
		pvti->flags |= PVCLOCK_TSC_STABLE_BIT;
	if (vcpu->pv.guest_stopped)
		pvti->flags |= PVCLOCK_GUEST_STOPPED;
	vcpu->pv.guest_stopped = false;
}

/**
 * kvm_clock_update_guest - KVM_REQ_CLOCK_UPDATE: write the vcpu's time page
 * @vcpu: the vcpu, loaded
 *
 * The version is odd while the rest is written (<asm/pvclock-abi.h>).
 */
void kvm_clock_update_guest(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = vcpu->msr.system_time & ~SYSTEM_TIME_ENABLED;
	struct pvclock_vcpu_time_info pvti;

	if (!(vcpu->msr.system_time & SYSTEM_TIME_ENABLED) ||
	    kvm_read_guest(vcpu, gpa, &pvti, sizeof(pvti)))
		return;
	vcpu->pv.clock_jiffies = jiffies;
	pvti.version = (pvti.version + 1) | 1;
	if (kvm_write_guest(vcpu, gpa, &pvti.version, sizeof(pvti.version)))
		return;
	smp_wmb();
	fill_time(vcpu, &pvti);
	kvm_write_guest(vcpu, gpa, &pvti, sizeof(pvti));
	smp_wmb();
	pvti.version++;
	kvm_write_guest(vcpu, gpa, &pvti.version, sizeof(pvti.version));
}

/**
 * kvm_clock_sched_in - the vcpu was loaded; no sleeping
 * @vcpu: the vcpu
 * @moved: on another CPU than before, whose TSC may be another
 *
 * Without the TSC as the host's clock the two drift apart in time.
 */
void kvm_clock_sched_in(struct kvm_vcpu *vcpu, bool moved)
{
	if (likely(READ_ONCE(vcpu->kvm->clock.master)) ||
	    !(vcpu->msr.system_time & SYSTEM_TIME_ENABLED))
		return;
	if (moved || time_after(jiffies, vcpu->pv.clock_jiffies + DRIFT_JIFFIES))
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

void kvm_clock_set_system_time(struct kvm_vcpu *vcpu, u64 data)
{
	vcpu->msr.system_time = data;
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

/** kvm_clock_set_wall_clock - the wall-clock time at which the VM's clock was 0, to the guest */
void kvm_clock_set_wall_clock(struct kvm_vcpu *vcpu, u64 gpa)
{
	struct system_time_snapshot now;
	struct pvclock_wall_clock wc;
	struct timespec64 ts;
	bool by_tsc;
	u64 ns;

	vcpu->msr.wall_clock = gpa;
	if (!gpa || kvm_read_guest(vcpu, gpa, &wc, sizeof(wc)))
		return;
	wc.version = (wc.version + 1) | 1;
	if (kvm_write_guest(vcpu, gpa, &wc.version, sizeof(wc.version)))
		return;
	smp_wmb();
	ns = clock_now(vcpu->kvm, &now, &by_tsc);
	ts = ns_to_timespec64(ktime_to_ns(now.real) - ns);
	wc.sec = ts.tv_sec;
	wc.nsec = ts.tv_nsec;
	kvm_write_guest(vcpu, gpa, &wc, sizeof(wc));
	smp_wmb();
	wc.version++;
	kvm_write_guest(vcpu, gpa, &wc.version, sizeof(wc.version));
}

/** kvm_clock_pairing - KVM_HC_CLOCK_PAIRING: wall clock and guest TSC of one moment; or -KVM_E* */
long kvm_clock_pairing(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned long type)
{
	struct kvm_clock_pairing pair = {};
	struct system_time_snapshot now;
	struct timespec64 ts;

	if (type != KVM_CLOCK_PAIRING_WALLCLOCK || !take_snapshot(&now))
		return -KVM_EOPNOTSUPP;
	ts = ktime_to_timespec64(now.real);
	pair.sec = ts.tv_sec;
	pair.nsec = ts.tv_nsec;
	pair.tsc = now.cycles + vcpu->tsc_offset;
	return kvm_write_guest(vcpu, gpa, &pair, sizeof(pair)) ? -KVM_EFAULT : 0;
}

/*
 * ---- KVM_GET_CLOCK, KVM_SET_CLOCK, KVM_KVMCLOCK_CTRL ----
 */

#define CLOCK_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

long kvm_vm_get_clock(struct kvm *kvm, struct kvm_clock_data *data)
{
	struct system_time_snapshot now;
	bool by_tsc;

	memset(data, 0, sizeof(*data));
	data->clock = clock_now(kvm, &now, &by_tsc);
	if (by_tsc) {
		data->flags |= KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		data->realtime = ktime_to_ns(now.real);
		data->host_tsc = now.cycles;
	}
	if (clock_is_stable(kvm))
		data->flags |= KVM_CLOCK_TSC_STABLE;
	return 0;
}

/* With KVM_CLOCK_REALTIME the clock also goes on by the time that has passed since. */
long kvm_vm_set_clock(struct kvm *kvm, const struct kvm_clock_data *data)
{
	struct system_time_snapshot now;
	u64 clock = data->clock;
	unsigned long flags;

	if (data->flags & ~CLOCK_FLAGS)
		return -EINVAL;
	take_snapshot(&now);
	if ((data->flags & KVM_CLOCK_REALTIME) && ktime_to_ns(now.real) > (s64)data->realtime)
		clock += ktime_to_ns(now.real) - data->realtime;
	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	kvm->kvmclock_offset += clock - clock_at(kvm, &now);
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	update_all_vcpus(kvm);
	return 0;
}

/* The guest is told once that it was stopped, so that its watchdogs need not bark. */
long kvm_vcpu_kvmclock_ctrl(struct kvm_vcpu *vcpu)
{
	if (!(vcpu->msr.system_time & SYSTEM_TIME_ENABLED))
		return -EINVAL;
	vcpu->pv.guest_stopped = true;
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
	return 0;
}

/*
 * ---- the host's timekeeper ----
 */

static void clock_changed(struct work_struct *work)
{
	kvm_for_each_vm(change_master);
}
static DECLARE_WORK(clock_changed_work, clock_changed);

/* At every tick, with the timekeeper's lock held. */
static int timekeeper_update(struct notifier_block *nb, unsigned long was_set, void *data)
{
	const struct timekeeper *tk = data;
	bool tsc = tk->tkr_mono.clock->vdso_clock_mode == VDSO_CLOCKMODE_TSC;

	if (unlikely(tsc != host_uses_tsc)) {
		WRITE_ONCE(host_uses_tsc, tsc);
		queue_work(system_long_wq, &clock_changed_work);
	}
	return 0;
}

static struct notifier_block timekeeper_notifier = {
	.notifier_call = timekeeper_update,
};

void kvm_clock_module_init(void)
{
	/* Calls it once, too. */
	pvclock_gtod_register_notifier(&timekeeper_notifier);
}

void kvm_clock_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&timekeeper_notifier);
	cancel_work_sync(&clock_changed_work);
}
