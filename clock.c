// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest's time: its TSC, its paravirtual clock (kvmclock), and KVM_GET_CLOCK,
 * KVM_SET_CLOCK.
 *
 * The VM's clock is the host's raw monotonic time plus an offset.  If the host's
 * clocksource is the TSC, one pair of a TSC value and a time, taken once, gives the
 * time of any other TSC value.  All vcpus get the same pair, so none is ever ahead of
 * another: the clock is stable.  Otherwise each vcpu gets a pair of its own, and a
 * new one on each CPU that it moves to.
 */
#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_guest_mem.h"
#include "kvm_lapic.h"
#include "kvm_pv.h"
#include "kvm_vm.h"
#include "kvm_request.h"

#include <linux/clocksource.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/kvm_para.h>
#include <linux/math64.h>
#include <linux/module.h>
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

/* The host's clocksource is the TSC.  Written by the timekeeper's notifier. */
static bool host_uses_tsc;

/*
 * ---- the host's time-stamp counter ----
 *
 * It may begin again while the machine sleeps.  All that is kept here, vcpus' offsets
 * too, is relative to one that goes on from where it was: the host's, and what it lost.
 */

/* Written at a resume, when nothing else runs. */
static u64 tsc_lost, suspend_tsc;
static unsigned int resumes;

static u64 host_tsc(void)
{
	return rdtsc() + tsc_lost;
}

/** kvm_clock_suspend - the last CPU goes to sleep; interrupts off, all tasks frozen */
void kvm_clock_suspend(void)
{
	suspend_tsc = host_tsc();
}

/** kvm_clock_resume - the first CPU is awake again; as kvm_clock_suspend() */
void kvm_clock_resume(void)
{
	s64 lost = suspend_tsc - host_tsc();

	if (lost > 0)
		tsc_lost += lost;
	/* Every vcpu sees it when it is loaded the next time. */
	resumes++;
}

/* For tests: as if the host had slept, and its TSC lost so much. */
static int lose_tsc(const char *text, const struct kernel_param *kp)
{
	u64 ticks;
	int r = kstrtou64(text, 0, &ticks);

	if (r)
		return r;
	local_irq_disable();
	suspend_tsc = host_tsc() + ticks;
	kvm_clock_resume();
	local_irq_enable();
	return 0;
}

static const struct kernel_param_ops lose_tsc_ops = { .set = lose_tsc };
module_param_cb(resume_tsc_offset, &lose_tsc_ops, NULL, 0200);
__MODULE_PARM_TYPE(resume_tsc_offset, "ulong");
MODULE_PARM_DESC(resume_tsc_offset, "for tests: resume as if the host's TSC had lost so many ticks");

/*
 * ---- ticks to nanoseconds ----
 */

/*
 * As <asm/pvclock-abi.h> has it: ticks shifted by *shift (right if negative), times
 * *mul, over 2^32.  *mul is normalized: 2^31 at least.
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

/* One moment by all clocks.  False: the host's clocksource is not the TSC. */
static bool take_snapshot(struct system_time_snapshot *now)
{
	bool by_tsc = READ_ONCE(host_uses_tsc);
	unsigned long flags;
	u64 tsc;

	if (by_tsc) {
		tsc = rdtsc();
		ktime_get_snapshot_id(CLOCK_REALTIME, now);
		/* The clocksource may have changed just now: then cycles is not a TSC value. */
		if (now->cycles - tsc < (u64)tsc_khz * MSEC_PER_SEC) {
			now->cycles += tsc_lost;
			return true;
		}
	}
	local_irq_save(flags);
	now->cycles = rdtsc_ordered() + tsc_lost;
	now->monoraw = ktime_get_raw();
	now->systime = ktime_get_real();
	local_irq_restore(flags);
	return false;
}

/* The VM's time at a moment.  tsc_lock held. */
static u64 clock_at(const struct kvm *kvm, const struct system_time_snapshot *now)
	__kvm_must_hold(tsc_lock)
{
	lockdep_assert_held(&kvm->tsc_lock);
	if (kvm->clock.master)
		return kvm->clock.ns + kvm->kvmclock_offset +
		       ticks_to_ns(kvm, now->cycles - kvm->clock.tsc);
	return ktime_to_ns(now->monoraw) + kvm->kvmclock_offset;
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

/* All vcpus have the same pair, and the same TSC offset. */
static bool clock_is_stable(const struct kvm *kvm)
{
	return READ_ONCE(kvm->clock.master) && !READ_ONCE(kvm->tsc_unequal);
}

static void update_all_vcpus(struct kvm *kvm)
{
	kvm_make_all_vcpus_request(kvm, KVM_REQ_CLOCK_UPDATE);
}

/* The host's clocksource changed: the VM's clock goes on from where it is. */
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
		kvm->clock.ns = ktime_to_ns(now.monoraw);
		kvm->kvmclock_offset = ns - kvm->clock.ns;
	}
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	if (changed)
		update_all_vcpus(kvm);
}

/** kvm_clock_init_vm - start the VM's clock at 0 */
void kvm_clock_init_vm(struct kvm *kvm)
{
	struct system_time_snapshot now;

	find_scale((u64)max(tsc_khz, 1U) * MSEC_PER_SEC, &kvm->clock.shift, &kvm->clock.mul);
	kvm->clock.master = take_snapshot(&now);
	kvm->clock.tsc = now.cycles;
	kvm->clock.ns = ktime_to_ns(now.monoraw);
	kvm->kvmclock_offset = -kvm->clock.ns;
}

/** kvm_clock_tsc_written - a vcpu's TSC offset changed: find out whether all are still equal */
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
 * ---- the guest's time-stamp counter ----
 */

/** kvm_read_guest_tsc - the guest's TSC, as of now */
u64 kvm_read_guest_tsc(struct kvm_vcpu *vcpu)
{
	return host_tsc() + vcpu->tsc_offset;
}

static void load_offset(struct kvm_vcpu *vcpu)
{
	vcpu->hw_tsc_offset = vcpu->tsc_offset + tsc_lost;
	kvm_ops.set_tsc_offset(vcpu, vcpu->hw_tsc_offset);
	kvm_clock_tsc_written(vcpu);
}

static void set_offset(struct kvm_vcpu *vcpu, u64 offset)
{
	vcpu->tsc_offset = offset;
	load_offset(vcpu);
}

/** kvm_get_tsc_offset - the guest's TSC relative to the host's as it is now: KVM_VCPU_TSC_OFFSET */
u64 kvm_get_tsc_offset(const struct kvm_vcpu *vcpu)
{
	return vcpu->tsc_offset + tsc_lost;
}

/** kvm_set_tsc_offset - set it; vcpu loaded */
void kvm_set_tsc_offset(struct kvm_vcpu *vcpu, u64 offset)
{
	set_offset(vcpu, offset - tsc_lost);
}

/** kvm_clock_tsc_moved - KVM_REQ_TSC_MOVED: what is derived from the host's TSC; vcpu loaded */
void kvm_clock_tsc_moved(struct kvm_vcpu *vcpu)
{
	load_offset(vcpu);
	if (vcpu->lapic)
		kvm_lapic_restart_deadline(vcpu->lapic);
}

/* Is data within a second of what the value of the VM's last write would be now? */
static bool continues_last_write(struct kvm *kvm, u64 data, u64 now)
	__kvm_must_hold(tsc_lock)
{
	u64 ticks = mul_u64_u32_div(now - kvm->tsc_write_ns, tsc_khz, USEC_PER_SEC);
	s64 distance = data - (kvm->tsc_write_data + ticks);
	s64 second = (s64)tsc_khz * MSEC_PER_SEC;

	return kvm->tsc_write_ns && distance > -second && distance < second;
}

/** kvm_write_guest_tsc - write the guest's TSC
 * @tsc: the value, as of now
 * @host_initiated: KVM_SET_MSRS, or the vcpu's creation
 * Userspace writes the same value to the vcpus of a VM one after the other and means their TSCs
 * to be synchronized.  So a write close to the value that another vcpu's last write would have
 * now takes over that vcpu's offset.  A vcpu that has this offset already is set anew.  A write
 * by the guest is always exact.
 */
void kvm_write_guest_tsc(struct kvm_vcpu *vcpu, u64 tsc, bool host_initiated)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long flags;
	u64 offset, now;

	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	offset = tsc - host_tsc();
	if (host_initiated) {
		now = ktime_get_ns();
		if (vcpu->tsc_offset != kvm->tsc_write_offset &&
		    continues_last_write(kvm, tsc, now)) {
			offset = kvm->tsc_write_offset;
		} else {
			kvm->tsc_write_data = tsc;
			kvm->tsc_write_ns = now;
			kvm->tsc_write_offset = offset;
		}
	}
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	set_offset(vcpu, offset);
}

/** kvm_tsc_reset - RESET: the VM's first vcpu counts from 0, the others as that one does */
void kvm_tsc_reset(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	unsigned long flags;
	bool first;

	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	first = !kvm->tsc_write_ns;
	vcpu->tsc_offset = kvm->tsc_write_offset;
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	if (first)
		kvm_write_guest_tsc(vcpu, 0, true);
	else
		set_offset(vcpu, vcpu->tsc_offset);
}

/** kvm_vcpu_set_tsc_khz - KVM_SET_TSC_KHZ: 0, or -EINVAL unless it is the host's rate, or close
 * enough for NTP: TSC scaling is not supported
 */
long kvm_vcpu_set_tsc_khz(struct kvm_vcpu *vcpu, unsigned long khz)
{
	unsigned long slack = tsc_khz / 4000;		/* 250 ppm */

	if (khz && (khz + slack < tsc_khz || khz > tsc_khz + slack))
		return -EINVAL;
	return 0;
}

/*
 * ---- what the guest reads ----
 */

/* *pvti is as the guest has it: all but the version is written anew. */
static void fill_time(struct kvm_vcpu *vcpu, struct pvclock_vcpu_time_info *pvti)
{
	u8 stopped = pvti->flags & PVCLOCK_GUEST_STOPPED;
	struct kvm *kvm = vcpu->kvm;
	struct system_time_snapshot now;
	unsigned long flags;

	*pvti = (struct pvclock_vcpu_time_info) { .version = pvti->version, .flags = stopped };
	/* Needed or not: the host's clocksource may change just now. */
	take_snapshot(&now);
	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	if (kvm->clock.master) {
		pvti->tsc_timestamp = kvm->clock.tsc + vcpu->tsc_offset;
		pvti->system_time = kvm->clock.ns + kvm->kvmclock_offset;
	} else {
		pvti->tsc_timestamp = now.cycles + vcpu->tsc_offset;
		pvti->system_time = ktime_to_ns(now.monoraw) + kvm->kvmclock_offset;
	}
	/* Of the same pair as the times. */
	if (clock_is_stable(kvm))
		pvti->flags |= PVCLOCK_TSC_STABLE_BIT;
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	pvti->tsc_to_system_mul = kvm->clock.mul;
	pvti->tsc_shift = kvm->clock.shift;
	if (vcpu->pv.guest_stopped)
		pvti->flags |= PVCLOCK_GUEST_STOPPED;
	vcpu->pv.guest_stopped = false;
}

/** kvm_clock_update_guest - KVM_REQ_CLOCK_UPDATE: write the vcpu's time structure; vcpu loaded */
void kvm_clock_update_guest(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = vcpu->msr.system_time & ~SYSTEM_TIME_ENABLED;
	struct pvclock_vcpu_time_info pvti;

	if (!(vcpu->msr.system_time & SYSTEM_TIME_ENABLED) ||
	    kvm_read_guest(vcpu, gpa, &pvti, sizeof(pvti)))
		return;
	vcpu->pv.clock_jiffies = jiffies;
	fill_time(vcpu, &pvti);
	kvm_pv_write_versioned(vcpu, gpa, &pvti, sizeof(pvti), &pvti.version);
}

/* The TSC of this CPU is behind that of the last one: the guest's does not go back. */
static void catch_up(struct kvm_vcpu *vcpu)
{
	s64 behind = vcpu->put_tsc - host_tsc();

	if (behind <= 0)
		return;
	vcpu->tsc_offset += behind;
	kvm_make_request(KVM_REQ_TSC_MOVED, vcpu);
}

/** kvm_clock_sched_in - the vcpu was loaded; preemption off
 * @moved: to another CPU than before, whose TSC may differ
 * If the host's clocksource is not the TSC the two drift apart, so the pair has to be taken again
 * from time to time.
 */
void kvm_clock_sched_in(struct kvm_vcpu *vcpu, bool moved)
{
	if (unlikely(vcpu->resumes != resumes)) {
		vcpu->resumes = resumes;
		kvm_make_request(KVM_REQ_TSC_MOVED, vcpu);
	}
	/* A TSC that is the host's clocksource is the same on all CPUs. */
	if (likely(READ_ONCE(vcpu->kvm->clock.master)))
		return;
	if (moved && check_tsc_unstable())
		catch_up(vcpu);
	if (!(vcpu->msr.system_time & SYSTEM_TIME_ENABLED))
		return;
	if (moved || time_after(jiffies, vcpu->pv.clock_jiffies + DRIFT_JIFFIES))
		kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

/** kvm_clock_sched_out - the vcpu is put, and has no master clock; preemption off */
void kvm_clock_sched_out(struct kvm_vcpu *vcpu)
{
	vcpu->put_tsc = host_tsc();
}

/** kvm_clock_set_system_time - MSR_KVM_SYSTEM_TIME: where the time structure is, bit 0: enabled */
void kvm_clock_set_system_time(struct kvm_vcpu *vcpu, u64 data)
{
	vcpu->msr.system_time = data;
	kvm_make_request(KVM_REQ_CLOCK_UPDATE, vcpu);
}

/** kvm_clock_set_wall_clock - MSR_KVM_WALL_CLOCK: write the time at which the VM's clock was 0 */
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
	ns = clock_now(vcpu->kvm, &now, &by_tsc);
	ts = ns_to_timespec64(ktime_to_ns(now.systime) - ns);
	wc.sec = ts.tv_sec;
	wc.nsec = ts.tv_nsec;
	kvm_pv_write_versioned(vcpu, gpa, &wc, sizeof(wc), &wc.version);
}

/** kvm_clock_pairing - KVM_HC_CLOCK_PAIRING: wall-clock time and guest TSC of one moment, to @gpa.
 * Returns the hypercall's 0, -KVM_EOPNOTSUPP, -KVM_EFAULT.
 */
long kvm_clock_pairing(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned long type)
{
	struct kvm_clock_pairing pair = {};
	struct system_time_snapshot now;
	struct timespec64 ts;

	if (type != KVM_CLOCK_PAIRING_WALLCLOCK || !take_snapshot(&now))
		return -KVM_EOPNOTSUPP;
	ts = ktime_to_timespec64(now.systime);
	pair.sec = ts.tv_sec;
	pair.nsec = ts.tv_nsec;
	pair.tsc = now.cycles + vcpu->tsc_offset;
	return kvm_write_guest(vcpu, gpa, &pair, sizeof(pair)) ? -KVM_EFAULT : 0;
}

/*
 * ---- KVM_GET_CLOCK, KVM_SET_CLOCK, KVM_KVMCLOCK_CTRL ----
 */

#define CLOCK_FLAGS	(KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC)

/** kvm_vm_get_clock - KVM_GET_CLOCK; returns 0 */
long kvm_vm_get_clock(struct kvm *kvm, struct kvm_clock_data *data)
{
	struct system_time_snapshot now;
	bool by_tsc;

	memset(data, 0, sizeof(*data));
	data->clock = clock_now(kvm, &now, &by_tsc);
	if (by_tsc) {
		data->flags |= KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
		data->realtime = ktime_to_ns(now.systime);
		data->host_tsc = now.cycles - tsc_lost;
	}
	if (clock_is_stable(kvm))
		data->flags |= KVM_CLOCK_TSC_STABLE;
	return 0;
}

/** kvm_vm_set_clock - KVM_SET_CLOCK: 0, or -EINVAL for an unknown flag; with KVM_CLOCK_REALTIME
 * what has passed since is added
 */
long kvm_vm_set_clock(struct kvm *kvm, const struct kvm_clock_data *data)
{
	struct system_time_snapshot now;
	u64 clock = data->clock;
	unsigned long flags;

	if (data->flags & ~CLOCK_FLAGS)
		return -EINVAL;
	take_snapshot(&now);
	if ((data->flags & KVM_CLOCK_REALTIME) && ktime_to_ns(now.systime) > (s64)data->realtime)
		clock += ktime_to_ns(now.systime) - data->realtime;
	raw_spin_lock_irqsave(&kvm->tsc_lock, flags);
	kvm->kvmclock_offset += clock - clock_at(kvm, &now);
	raw_spin_unlock_irqrestore(&kvm->tsc_lock, flags);
	update_all_vcpus(kvm);
	return 0;
}

/** kvm_vcpu_kvmclock_ctrl - KVM_KVMCLOCK_CTRL: tell the guest once that it was paused */
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
		/* Freezable, as it must not run across a change of tsc_lost. */
		queue_work(system_freezable_wq, &clock_changed_work);
	}
	return 0;
}

static struct notifier_block timekeeper_notifier = {
	.notifier_call = timekeeper_update,
};

/** kvm_clock_module_init - watch the host's clocksource */
void kvm_clock_module_init(void)
{
	/* This also calls it once. */
	pvclock_gtod_register_notifier(&timekeeper_notifier);
}

/** kvm_clock_module_exit - undo kvm_clock_module_init() */
void kvm_clock_module_exit(void)
{
	pvclock_gtod_unregister_notifier(&timekeeper_notifier);
	cancel_work_sync(&clock_changed_work);
}
