// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC's timer: Intel's SDM, volume 3A, "APIC Timer".
 *
 * The bus clock is 1 GHz unless KVM_CAP_X86_APIC_BUS_CYCLES_NS says otherwise: a count
 * is a nanosecond before the divider.
 */
#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_lapic.h"

#include <linux/math64.h>
#include <linux/module.h>
#include <asm/apicdef.h>

/* With much less the host would do nothing but handle the guest's timer. */
static unsigned int min_timer_period_us = 200;
module_param(min_timer_period_us, uint, 0644);
MODULE_PARM_DESC(min_timer_period_us, "shortest period of a guest's APIC timer");

/* A later deadline is clamped. */
#define TIMER_MAX_NS		(365ULL * 24 * 3600 * NSEC_PER_SEC)

static u32 timer_mode(const struct kvm_lapic *apic)
{
	return READ_ONCE(apic->lvt[LVT_TIMER]) & LVT_TIMER_MODES;
}

static enum hrtimer_restart lapic_timer_fires(struct hrtimer *timer)
{
	struct kvm_lapic *apic = container_of(timer, struct kvm_lapic, timer);
	u32 mode = timer_mode(apic);

	if (mode == APIC_LVT_TIMER_TSCDEADLINE)
		WRITE_ONCE(apic->tscdeadline, 0);
	kvm_lapic_deliver_local(apic, LVT_TIMER);
	if (mode != APIC_LVT_TIMER_PERIODIC || !apic->period)
		return HRTIMER_NORESTART;
	/* Ticks that were missed are skipped. */
	hrtimer_forward_now(timer, ns_to_ktime(apic->period));
	WRITE_ONCE(apic->expires, hrtimer_get_expires(timer));
	return HRTIMER_RESTART;
}

/* Pinned to the CPU that the vcpu runs on, as that is where it interrupts. */
static void arm_timer(struct kvm_lapic *apic, u64 delta_ns)
{
	apic->expires = ktime_add_ns(ktime_get(), delta_ns);
	hrtimer_start(&apic->timer, apic->expires, HRTIMER_MODE_ABS_PINNED_HARD);
}

/** kvm_lapic_timer_stop - stop the hrtimer; on return its handler does not run */
void kvm_lapic_timer_stop(struct kvm_lapic *apic)
{
	if (hrtimer_active(&apic->timer))
		hrtimer_cancel(&apic->timer);
}

/** kvm_lapic_migrate_timer - KVM_REQ_MIGRATE_TIMER: to the CPU that the vcpu runs on now */
void kvm_lapic_migrate_timer(struct kvm_lapic *apic)
{
	if (hrtimer_active(&apic->timer) && hrtimer_cancel(&apic->timer))
		hrtimer_start_expires(&apic->timer, HRTIMER_MODE_ABS_PINNED_HARD);
}

static u64 count_to_ns(const struct kvm_lapic *apic, u32 count)
{
	return count * apic->count_ns;
}

/* Count down from @count, then, if periodic, from the initial count. */
static void start_count(struct kvm_lapic *apic, u32 count)
{
	u64 shortest = (u64)READ_ONCE(min_timer_period_us) * NSEC_PER_USEC;
	bool periodic = timer_mode(apic) == APIC_LVT_TIMER_PERIODIC;
	u64 ns = count_to_ns(apic, count);

	kvm_lapic_timer_stop(apic);
	apic->period = 0;
	if (!apic->tmict)
		return;
	if (periodic) {
		apic->period = max(count_to_ns(apic, apic->tmict), shortest);
		ns = max(ns, shortest);
	}
	arm_timer(apic, ns);
}

/** kvm_lapic_timer_count - APIC_TMCCT */
u32 kvm_lapic_timer_count(const struct kvm_lapic *apic)
{
	s64 left;

	if (!apic->tmict || timer_mode(apic) == APIC_LVT_TIMER_TSCDEADLINE)
		return 0;
	left = ktime_to_ns(ktime_sub(READ_ONCE(apic->expires), ktime_get()));
	/* The period is over and the hrtimer has not fired yet: the next one has begun. */
	if (left < 0 && apic->period)
		left = apic->period - 1 - (u64)(-left - 1) % apic->period;
	if (left <= 0)
		return 0;
	return min_t(u64, div_u64(left, apic->count_ns), apic->tmict);
}

static void start_deadline(struct kvm_lapic *apic)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	u64 deadline = apic->tscdeadline, now, ns;
	u32 khz = vcpu->virtual_tsc_khz;

	if (!deadline)
		return;
	now = kvm_read_guest_tsc(vcpu);
	if (deadline <= now) {
		apic->tscdeadline = 0;
		kvm_lapic_deliver_local(apic, LVT_TIMER);
		return;
	}
	/* Clamped before the conversion, which would overflow. */
	ns = TIMER_MAX_NS;
	if (deadline - now < (u64)khz * (TIMER_MAX_NS / NSEC_PER_MSEC))
		ns = mul_u64_u32_div(deadline - now, NSEC_PER_MSEC, khz);
	arm_timer(apic, ns);
}

/** kvm_lapic_restart_deadline - the guest's TSC does not relate to the timer's clock as it did */
void kvm_lapic_restart_deadline(struct kvm_lapic *apic)
{
	if (timer_mode(apic) != APIC_LVT_TIMER_TSCDEADLINE)
		return;
	kvm_lapic_timer_stop(apic);
	start_deadline(apic);
}

/** kvm_lapic_get_tscdeadline - IA32_TSC_DEADLINE; 0: not armed, or not in that mode */
u64 kvm_lapic_get_tscdeadline(struct kvm_vcpu *vcpu)
{
	const struct kvm_lapic *apic = vcpu->lapic;

	if (!apic || timer_mode(apic) != APIC_LVT_TIMER_TSCDEADLINE)
		return 0;
	return READ_ONCE(apic->tscdeadline);
}

/** kvm_lapic_set_tscdeadline - arm, or disarm with 0; false, with nothing done: not in that mode */
bool kvm_lapic_set_tscdeadline(struct kvm_vcpu *vcpu, u64 data)
{
	struct kvm_lapic *apic = vcpu->lapic;

	if (!apic || timer_mode(apic) != APIC_LVT_TIMER_TSCDEADLINE)
		return false;
	kvm_lapic_timer_stop(apic);
	apic->tscdeadline = data;
	start_deadline(apic);
	return true;
}

/** kvm_lapic_timer_set_lvt - APIC_LVTT: a value with writable bits only */
void kvm_lapic_timer_set_lvt(struct kvm_lapic *apic, u32 val)
{
	u32 old = timer_mode(apic), new = val & LVT_TIMER_MODES;

	/* Changing to or from TSC-deadline mode disarms the timer. */
	if ((old ^ new) & APIC_LVT_TIMER_TSCDEADLINE) {
		kvm_lapic_timer_stop(apic);
		apic->tscdeadline = 0;
		apic->tmict = 0;
		apic->period = 0;
	}
	WRITE_ONCE(apic->lvt[LVT_TIMER], val);
	/* A running count continues in the new mode. */
	if (old != new && apic->tmict && hrtimer_active(&apic->timer))
		start_count(apic, kvm_lapic_timer_count(apic));
}

static void set_divider(struct kvm_lapic *apic, unsigned int shift)
{
	apic->count_ns = (u64)(apic->vcpu->kvm->apic_bus_cycle_ns ?: APIC_BUS_CYCLE_NS) << shift;
}

/** kvm_lapic_timer_set_divide - APIC_TDCR */
void kvm_lapic_timer_set_divide(struct kvm_lapic *apic, u32 val)
{
	u32 count = kvm_lapic_timer_count(apic);
	bool running = hrtimer_active(&apic->timer);
	u32 code = (val & 3) | ((val & 8) >> 1);

	apic->tdcr = val & APIC_TDR_DIV_1;
	set_divider(apic, (code + 1) & 7);
	if (running && timer_mode(apic) != APIC_LVT_TIMER_TSCDEADLINE)
		start_count(apic, count);
}

/** kvm_lapic_timer_load - KVM_SET_LAPIC, after APIC_LVTT and APIC_TDCR are set
 * @tmcct: current count; 0, or above @tmict, if the VMM does not keep it
 * In TSC-deadline mode the deadline is restored by its MSR.
 */
void kvm_lapic_timer_load(struct kvm_lapic *apic, u32 tmict, u32 tmcct)
{
	apic->tmict = timer_mode(apic) == APIC_LVT_TIMER_TSCDEADLINE ? 0 : tmict;
	start_count(apic, tmcct && tmcct <= tmict ? tmcct : tmict);
}

/** kvm_lapic_timer_write_count - APIC_TMICT */
void kvm_lapic_timer_write_count(struct kvm_lapic *apic, u32 val)
{
	if (timer_mode(apic) == APIC_LVT_TIMER_TSCDEADLINE)
		return;
	apic->tmict = val;
	start_count(apic, val);
}

/** kvm_lapic_timer_reset - RESET, INIT */
void kvm_lapic_timer_reset(struct kvm_lapic *apic)
{
	kvm_lapic_timer_stop(apic);
	apic->tmict = 0;
	apic->tdcr = 0;
	set_divider(apic, 1);
	apic->period = 0;
	apic->tscdeadline = 0;
}

/** kvm_lapic_timer_init - a new APIC's hrtimer */
void kvm_lapic_timer_init(struct kvm_lapic *apic)
{
	hrtimer_setup(&apic->timer, lapic_timer_fires, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_PINNED_HARD);
}
