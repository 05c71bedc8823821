/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC of a vcpu.
 *
 * "SDM" is Intel's manual, volume 3A, chapter "Advanced Programmable Interrupt
 * Controller (APIC)".
 */
#ifndef KVM_LAPIC_H
#define KVM_LAPIC_H

#include <linux/hrtimer.h>
#include "kvm_host.h"
#include "kvm_irq.h"

#define LAPIC_VECTORS	256
#define LAPIC_LONGS	(LAPIC_VECTORS / BITS_PER_LONG)

/* The local vector table, in the order of its registers from APIC_LVTT on. */
enum { LVT_TIMER, LVT_THERMAL, LVT_PERF, LVT_LINT0, LVT_LINT1, LVT_ERROR, LVT_NR };
#define LVT_TIMER_MODES	(APIC_LVT_TIMER_PERIODIC | APIC_LVT_TIMER_TSCDEADLINE)

/* lapic->pending_events */
enum { LAPIC_INIT, LAPIC_SIPI };

/*
 * Any thread sets bits of irr, tmr, pending_events and esr_pending, atomically, and
 * then requests KVM_REQ_EVENT; all else only the vcpu's own thread accesses, but for
 * expires and tscdeadline, which the timer's handler writes, too.
 */
struct kvm_lapic {
	struct kvm_vcpu *vcpu;
	unsigned long irr[LAPIC_LONGS];
	unsigned long isr[LAPIC_LONGS];
	unsigned long tmr[LAPIC_LONGS];
	unsigned long eoi_exits[LAPIC_LONGS];	/* see kvm_lapic_eoi_exits() */
	int highest_isr;			/* -1: none */
	u8 tpr;					/* its upper half is also vcpu->cr8 */
	bool hw_enabled, sw_enabled, x2apic;
	/*
	 * virtual_delivery, which the vendor sets: while the guest runs the processor
	 * delivers from irr and virtualizes EOIs.  regs_changed: eoi_exits, tmr or
	 * registers differ from those that the vendor has given to it.
	 */
	bool virtual_delivery, regs_changed;
	unsigned long pending_events;
	unsigned long esr_pending;
	u8 sipi_vector;

	u32 id;					/* xAPIC: as written, 8 bits */
	u32 ldr, dfr, svr, esr;
	u64 icr;
	u32 lvt[LVT_NR];

	struct hrtimer timer;
	u32 tmict, tdcr;
	u64 count_ns;				/* of a count, the divider's included */
	u64 period;				/* ns, at least min_timer_period_us */
	ktime_t expires;
	u64 tscdeadline;

	bool report_tpr_access;			/* KVM_TPR_ACCESS_REPORTING */
};

#define APIC_BUS_CYCLE_NS	1U
/* The longest count, with the longest divider, is still far from the end of ktime_t. */
#define APIC_BUS_CYCLE_NS_MAX	(1U << 22)

static inline int lapic_highest(const unsigned long *bits)
{
	int i;

	for (i = LAPIC_LONGS - 1; i >= 0; i--)
		if (READ_ONCE(bits[i]))
			return i * BITS_PER_LONG + __fls(READ_ONCE(bits[i]));
	return -1;
}

/* SDM "Task and Processor Priorities" */
static inline u8 lapic_ppr(const struct kvm_lapic *apic)
{
	u8 isr = apic->highest_isr < 0 ? 0 : apic->highest_isr & 0xf0;

	return (apic->tpr & 0xf0) >= isr ? apic->tpr : isr;
}

/* The vector that can be delivered now, -1: none. */
static inline int kvm_lapic_pending(const struct kvm_lapic *apic)
{
	int vector = lapic_highest(apic->irr);

	if (likely(vector < 0) || (vector & 0xf0) <= (lapic_ppr(apic) & 0xf0))
		return -1;
	return vector;
}

/* Userspace, or the code that it patches into the guest, has to see each TPR access. */
static inline bool kvm_lapic_tpr_watched(const struct kvm_lapic *apic)
{
	return apic->report_tpr_access || apic->vcpu->pv.vapic_addr;
}

/*
 * The vectors whose EOI is broadcast.  An I/O APIC in userspace waits for that of each
 * level-triggered interrupt that was accepted, whatever its pin does meanwhile.
 */
static inline const unsigned long *kvm_lapic_eoi_exits(const struct kvm_lapic *apic)
{
	return apic->vcpu->kvm->irqchip_mode == KVM_IRQCHIP_SPLIT ? apic->tmr : apic->eoi_exits;
}

static inline bool kvm_lapic_enabled(const struct kvm_lapic *apic)
{
	return apic->hw_enabled && apic->sw_enabled;
}

void kvm_lapic_ack(struct kvm_lapic *apic, u8 vector);
bool kvm_lapic_tpr_masks(const struct kvm_lapic *apic);
bool kvm_lapic_accepts_pic(struct kvm_vcpu *vcpu);
void kvm_lapic_set_tpr(struct kvm_lapic *apic, u8 tpr);
void kvm_lapic_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8);
void kvm_lapic_scan(struct kvm_lapic *apic);
void kvm_lapic_eoi(struct kvm_lapic *apic);
void kvm_lapic_eoi_done(struct kvm_lapic *apic, u8 vector);
void kvm_lapic_reg_written(struct kvm_lapic *apic, u32 offset, u32 val);
u32  kvm_lapic_read_reg(const struct kvm_lapic *apic, u32 offset);
bool kvm_apic_base_valid(struct kvm_vcpu *vcpu, u64 base);
int  kvm_set_apic_base(struct kvm_vcpu *vcpu, u64 base, bool host_initiated);
int  kvm_x2apic_read(struct kvm_vcpu *vcpu, struct msr_data *msr);
int  kvm_x2apic_write(struct kvm_vcpu *vcpu, const struct msr_data *msr);
bool kvm_lapic_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data);
bool kvm_lapic_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data);

long kvm_vcpu_get_lapic(struct kvm_vcpu *vcpu, struct kvm_lapic_state *state);
long kvm_vcpu_set_lapic(struct kvm_vcpu *vcpu, const struct kvm_lapic_state *state);
int  kvm_lapic_accept(struct kvm_lapic *apic, const struct kvm_lapic_irq *irq);
int  kvm_lapic_deliver_local(struct kvm_lapic *apic, int which);

/* ---- lapic_map.c; see also kvm_irq.h ---- */
void kvm_lapic_destroy_vm(struct kvm *kvm)
	__kvm_unshared;
void kvm_lapic_update_map(struct kvm *kvm);
int  kvm_lapic_send_to_bitmap(struct kvm_vcpu *vcpu, const unsigned long *bitmap, unsigned int bits,
			      u32 min_id, unsigned long icr);
struct kvm_vcpu *kvm_lapic_vcpu_by_id(struct kvm *kvm, u32 apic_id);

/* ---- lapic_timer.c ---- */
void kvm_lapic_timer_init(struct kvm_lapic *apic);
void kvm_lapic_timer_reset(struct kvm_lapic *apic);
void kvm_lapic_timer_stop(struct kvm_lapic *apic);
u32  kvm_lapic_timer_count(const struct kvm_lapic *apic);
void kvm_lapic_timer_write_count(struct kvm_lapic *apic, u32 val);
void kvm_lapic_timer_set_lvt(struct kvm_lapic *apic, u32 val);
void kvm_lapic_timer_set_divide(struct kvm_lapic *apic, u32 val);
void kvm_lapic_timer_load(struct kvm_lapic *apic, u32 tmict, u32 tmcct);
void kvm_lapic_restart_deadline(struct kvm_lapic *apic);
void kvm_lapic_migrate_timer(struct kvm_lapic *apic);
u64  kvm_lapic_get_tscdeadline(struct kvm_vcpu *vcpu);
bool kvm_lapic_set_tscdeadline(struct kvm_vcpu *vcpu, u64 data);

#endif
