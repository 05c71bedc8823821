// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APIC, as xAPIC and as x2APIC: acceptance, priorities, and its
 * registers as guest and userspace see them.
 *
 * "SDM" is Intel's manual, volume 3A, chapter "Advanced Programmable Interrupt
 * Controller (APIC)"; sections are named by their titles.
 */
#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_irq.h"
#include "kvm_lapic.h"
#include "kvm_request.h"

#include <linux/export.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>

#define APIC_VERSION		0x14
#define APIC_PAGE_SIZE		0x1000
#define ICR_BUSY		((u64)APIC_ICR_BUSY)
#define NMI_QUEUE_MAX		2
#define ICR_SHORTHAND		(APIC_DEST_SELF | APIC_DEST_ALLINC)

/* What of each LVT register can be written (SDM "Local Vector Table"). */
#define LVT_COMMON	(APIC_VECTOR_MASK | APIC_LVT_MASKED)
#define LVT_LINT	(LVT_COMMON | APIC_MODE_MASK | APIC_INPUT_POLARITY | APIC_LVT_LEVEL_TRIGGER)

static u32 lvt_writable(const struct kvm_lapic *apic, int which)
{
	static const u32 writable[LVT_NR] = {
		[LVT_TIMER]	= LVT_COMMON | LVT_TIMER_MODES,
		[LVT_THERMAL]	= LVT_COMMON | APIC_MODE_MASK,
		[LVT_PERF]	= LVT_COMMON | APIC_MODE_MASK,
		[LVT_LINT0]	= LVT_LINT,
		[LVT_LINT1]	= LVT_LINT,
		[LVT_ERROR]	= LVT_COMMON,
	};

	if (which == LVT_TIMER && !kvm_guest_has(apic->vcpu, X86_FEATURE_TSC_DEADLINE_TIMER))
		return writable[which] & ~APIC_LVT_TIMER_TSCDEADLINE;
	return writable[which];
}

/*
 * ---- acceptance ----
 */

static void apic_error(struct kvm_lapic *apic, u32 bit);

static int accept_fixed(struct kvm_lapic *apic, u8 vector, bool level)
{
	struct kvm_vcpu *vcpu = apic->vcpu;

	if (unlikely(!apic->sw_enabled))
		return -1;
	if (unlikely(vector < 16)) {
		apic_error(apic, APIC_ESR_RECVILL);
		return -1;
	}
	if (test_bit(vector, apic->tmr) != level) {
		if (level)
			set_bit(vector, apic->tmr);
		else
			clear_bit(vector, apic->tmr);
		WRITE_ONCE(apic->regs_changed, true);
	}
	if (test_and_set_bit(vector, apic->irr))
		return 0;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	kvm_vcpu_kick(vcpu);
	return 1;
}

static int accept_nmi(struct kvm_vcpu *vcpu)
{
	if (atomic_inc_return(&vcpu->nmi_queued) > NMI_QUEUE_MAX)
		atomic_dec(&vcpu->nmi_queued);
	kvm_make_request(KVM_REQ_NMI, vcpu);
	kvm_vcpu_kick(vcpu);
	return 1;
}

/* INIT forgets a SIPI that came before it. */
static int accept_init(struct kvm_lapic *apic)
{
	WRITE_ONCE(apic->pending_events, BIT(LAPIC_INIT));
	kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
	kvm_vcpu_kick(apic->vcpu);
	return 1;
}

static int accept_sipi(struct kvm_lapic *apic, u8 vector)
{
	apic->sipi_vector = vector;
	/* The vector before the event. */
	smp_wmb();
	set_bit(LAPIC_SIPI, &apic->pending_events);
	kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
	kvm_vcpu_kick(apic->vcpu);
	return 1;
}

int kvm_lapic_accept(struct kvm_lapic *apic, const struct kvm_lapic_irq *irq)
{
	switch (irq->delivery_mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		return accept_fixed(apic, irq->vector, irq->trigger_level);
	case APIC_DM_NMI:
		return accept_nmi(apic->vcpu);
	case APIC_DM_INIT:
		/* The level de-assert of old only set arbitration ids. */
		return !irq->trigger_level || irq->level ? accept_init(apic) : 0;
	case APIC_DM_STARTUP:
		return accept_sipi(apic, irq->vector);
	default:
		/* SMI: there is no system management mode; ExtINT comes by LINT0. */
		return -1;
	}
}

/* One of the local sources: the timer, LINT0, LINT1, errors. */
int kvm_lapic_deliver_local(struct kvm_lapic *apic, int which)
{
	u32 lvt = READ_ONCE(apic->lvt[which]);

	if (!apic->hw_enabled || (lvt & APIC_LVT_MASKED))
		return -1;
	switch (which == LVT_TIMER || which == LVT_ERROR ? APIC_MODE_FIXED : GET_APIC_DELIVERY_MODE(lvt)) {
	case APIC_MODE_FIXED:
		return accept_fixed(apic, lvt & APIC_VECTOR_MASK, lvt & APIC_LVT_LEVEL_TRIGGER);
	case APIC_MODE_NMI:
		return accept_nmi(apic->vcpu);
	default:
		return -1;
	}
}

/* SDM "Error Handling".  An error interrupt with an impossible vector is none. */
static void apic_error(struct kvm_lapic *apic, u32 bit)
{
	set_bit(__ffs(bit), &apic->esr_pending);
	if ((READ_ONCE(apic->lvt[LVT_ERROR]) & APIC_VECTOR_MASK) >= 16)
		kvm_lapic_deliver_local(apic, LVT_ERROR);
}

/*
 * ---- priorities: what the processor gets, and its EOI ----
 */

void kvm_lapic_ack(struct kvm_lapic *apic, u8 vector)
{
	clear_bit(vector, apic->irr);
	__set_bit(vector, apic->isr);
	apic->highest_isr = vector;
}

bool kvm_lapic_tpr_masks(const struct kvm_lapic *apic)
{
	int vector = lapic_highest(apic->irr);

	return vector >= 16 && (vector >> 4) <= (apic->tpr >> 4) &&
	       (apic->highest_isr < 0 || vector >> 4 > apic->highest_isr >> 4);
}

/* Priorities changed: what waited may be delivered now. */
static void recheck_pending(struct kvm_lapic *apic)
{
	if (lapic_highest(apic->irr) >= 0)
		kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
}

void kvm_lapic_set_tpr(struct kvm_lapic *apic, u8 tpr)
{
	apic->tpr = tpr;
	apic->vcpu->cr8 = tpr >> 4;
	recheck_pending(apic);
}
EXPORT_SYMBOL_GPL(kvm_lapic_set_tpr);

void kvm_lapic_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8)
{
	kvm_lapic_set_tpr(vcpu->lapic, cr8 << 4);
}
EXPORT_SYMBOL_GPL(kvm_lapic_set_cr8);

/* Someone outside waits for the EOI of this vector. */
static void broadcast_eoi(struct kvm_lapic *apic, u8 vector)
{
	struct kvm_vcpu *vcpu = apic->vcpu;
	bool level = test_bit(vector, apic->tmr);

	if (level && (apic->svr & APIC_SPIV_DIRECTED_EOI))
		return;
	if (vcpu->kvm->irqchip_mode == KVM_IRQCHIP_SPLIT) {
		vcpu->eoi_vector = vector;
		kvm_make_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu);
	} else {
		kvm_ioapic_eoi(vcpu, vector, level);
	}
}

/** kvm_lapic_eoi - SDM "Signaling Interrupt Servicing Completion" */
void kvm_lapic_eoi(struct kvm_lapic *apic)
{
	int vector = apic->highest_isr;

	if (unlikely(vector < 0))
		return;
	__clear_bit(vector, apic->isr);
	apic->highest_isr = lapic_highest(apic->isr);
	if (unlikely(test_bit(vector, apic->eoi_exits)))
		broadcast_eoi(apic, vector);
	recheck_pending(apic);
}
EXPORT_SYMBOL_GPL(kvm_lapic_eoi);

/** kvm_lapic_eoi_done - the processor has ended an interrupt by itself */
void kvm_lapic_eoi_done(struct kvm_lapic *apic, u8 vector)
{
	if (test_bit(vector, apic->eoi_exits))
		broadcast_eoi(apic, vector);
}
EXPORT_SYMBOL_GPL(kvm_lapic_eoi_done);

void kvm_lapic_scan(struct kvm_lapic *apic)
{
	bitmap_zero(apic->eoi_exits, LAPIC_VECTORS);
	kvm_ioapic_scan(apic->vcpu, apic->eoi_exits);
	apic->regs_changed = true;
}

/*
 * ---- LINT0 and the 8259 ----
 */

bool kvm_lapic_accepts_pic(struct kvm_vcpu *vcpu)
{
	const struct kvm_lapic *apic = vcpu->lapic;
	u32 lvt = READ_ONCE(apic->lvt[LVT_LINT0]);

	if (!apic->hw_enabled)
		return vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id;
	return !(lvt & APIC_LVT_MASKED) && GET_APIC_DELIVERY_MODE(lvt) == APIC_MODE_EXTINT;
}

/** kvm_pic_output_changed - the 8259's INTR rose: to whoever takes it */
void kvm_pic_output_changed(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	rcu_read_lock();
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!vcpu->lapic || !kvm_lapic_accepts_pic(vcpu))
			continue;
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		kvm_vcpu_kick(vcpu);
	}
	rcu_read_unlock();
}

/** kvm_lapic_pit_tick_nmi - the 8254's tick, for those that use LINT0 as NMI watchdog */
void kvm_lapic_pit_tick_nmi(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	rcu_read_lock();
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->lapic &&
		    GET_APIC_DELIVERY_MODE(READ_ONCE(vcpu->lapic->lvt[LVT_LINT0])) == APIC_MODE_NMI)
			kvm_lapic_deliver_local(vcpu->lapic, LVT_LINT0);
	rcu_read_unlock();
}

/*
 * ---- registers ----
 */

static bool directed_eoi_offered(const struct kvm_lapic *apic)
{
	/* The I/O APIC in the kernel has no EOI register that would replace the broadcast. */
	return apic->vcpu->kvm->irqchip_mode == KVM_IRQCHIP_SPLIT &&
	       kvm_guest_has(apic->vcpu, X86_FEATURE_X2APIC);
}

static u32 version(const struct kvm_lapic *apic)
{
	return APIC_VERSION | (LVT_NR - 1) << 16 |
	       (directed_eoi_offered(apic) ? APIC_LVR_DIRECTED_EOI : 0);
}

/* 32 bits of a bitmap, as the n-th of its registers. */
static u32 bitmap_reg(const unsigned long *bits, u32 n)
{
	return READ_ONCE(bits[n * 32 / BITS_PER_LONG]) >> (n * 32 % BITS_PER_LONG);
}

/* True, and *val: there is a readable register at this offset. */
static bool read_reg(const struct kvm_lapic *apic, u32 offset, u32 *val)
{
	switch (offset) {
	case APIC_ID:
		*val = apic->x2apic ? (u32)apic->vcpu->vcpu_id : apic->id << 24;
		break;
	case APIC_LVR:
		*val = version(apic);
		break;
	case APIC_TASKPRI:
		*val = apic->tpr;
		break;
	case APIC_ARBPRI:
	case APIC_PROCPRI:
		*val = lapic_ppr(apic);
		break;
	case APIC_LDR:
		*val = apic->ldr;
		break;
	case APIC_DFR:
		*val = apic->dfr;
		break;
	case APIC_SPIV:
		*val = apic->svr;
		break;
	case APIC_ISR ... APIC_ISR + 0x70:
		*val = bitmap_reg(apic->isr, (offset - APIC_ISR) >> 4);
		break;
	case APIC_TMR ... APIC_TMR + 0x70:
		*val = bitmap_reg(apic->tmr, (offset - APIC_TMR) >> 4);
		break;
	case APIC_IRR ... APIC_IRR + 0x70:
		*val = bitmap_reg(apic->irr, (offset - APIC_IRR) >> 4);
		break;
	case APIC_ESR:
		*val = apic->esr;
		break;
	case APIC_ICR:
		*val = apic->icr;
		break;
	case APIC_ICR2:
		*val = apic->icr >> 32;
		break;
	case APIC_LVTT ... APIC_LVTERR:
		*val = apic->lvt[(offset - APIC_LVTT) >> 4];
		break;
	case APIC_TMICT:
		*val = apic->tmict;
		break;
	case APIC_TMCCT:
		*val = kvm_lapic_timer_count(apic);
		break;
	case APIC_TDCR:
		*val = apic->tdcr;
		break;
	default:
		*val = 0;
		return false;
	}
	return true;
}

/* What the processor does of this by itself is the vendor's to find out. */
static void mode_changed(struct kvm_lapic *apic)
{
	apic->regs_changed = true;
	kvm_make_request(KVM_REQ_INTERCEPTS, apic->vcpu);
}

static void set_svr(struct kvm_lapic *apic, u32 val)
{
	u32 defined = APIC_VECTOR_MASK | APIC_SPIV_APIC_ENABLED;

	if (directed_eoi_offered(apic))
		defined |= APIC_SPIV_DIRECTED_EOI;
	apic->svr = val & defined;
	if (apic->sw_enabled != !!(apic->svr & APIC_SPIV_APIC_ENABLED))
		mode_changed(apic);
	apic->sw_enabled = apic->svr & APIC_SPIV_APIC_ENABLED;
	recheck_pending(apic);
}

/* SDM "Local APIC State After It Has Been Software Disabled" */
static void mask_lvts(struct kvm_lapic *apic)
{
	int i;

	for (i = 0; i < LVT_NR; i++)
		WRITE_ONCE(apic->lvt[i], apic->lvt[i] | APIC_LVT_MASKED);
}

static void set_lvt(struct kvm_lapic *apic, int which, u32 val)
{
	val &= lvt_writable(apic, which);
	if (!apic->sw_enabled)
		val |= APIC_LVT_MASKED;
	if (which == LVT_TIMER) {
		kvm_lapic_timer_set_lvt(apic, val);
		return;
	}
	WRITE_ONCE(apic->lvt[which], val);
	/* The 8259 may have waited for this. */
	if (which == LVT_LINT0)
		kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
}

/* SDM "Interrupt Command Register (ICR)" */
static void send_ipi(struct kvm_lapic *apic)
{
	u64 icr = apic->icr;
	struct kvm_lapic_irq irq = kvm_make_lapic_irq(icr, apic->x2apic ? icr >> 32 : icr >> 56);

	irq.level = icr & APIC_INT_ASSERT;
	irq.shorthand = icr & ICR_SHORTHAND;
	if (irq.delivery_mode <= APIC_DM_LOWEST && irq.vector < 16) {
		apic_error(apic, APIC_ESR_SENDILL);
		return;
	}
	/* What is sent is edge-triggered, whatever the bit says; INIT's de-assert is none. */
	if (irq.delivery_mode != APIC_DM_INIT)
		irq.trigger_level = false;
	kvm_irq_deliver(apic->vcpu->kvm, apic->vcpu, &irq);
}

static void self_ipi(struct kvm_lapic *apic, u32 val)
{
	struct kvm_lapic_irq irq = {
		.vector = val & APIC_VECTOR_MASK, .shorthand = APIC_DEST_SELF, .level = true,
	};

	if (irq.vector < 16)
		apic_error(apic, APIC_ESR_SENDILL);
	else
		kvm_lapic_accept(apic, &irq);
}

/* Registers that both modes have and write alike; false: there is none. */
static bool write_common(struct kvm_lapic *apic, u32 offset, u32 val)
{
	switch (offset) {
	case APIC_TASKPRI:
		kvm_lapic_set_tpr(apic, val);
		break;
	case APIC_EOI:
		kvm_lapic_eoi(apic);
		break;
	case APIC_SPIV:
		if (apic->sw_enabled && !(val & APIC_SPIV_APIC_ENABLED))
			mask_lvts(apic);
		set_svr(apic, val);
		break;
	case APIC_ESR:
		/* A write brings in what has happened since the last. */
		apic->esr = xchg(&apic->esr_pending, 0);
		break;
	case APIC_LVTT ... APIC_LVTERR:
		set_lvt(apic, (offset - APIC_LVTT) >> 4, val);
		break;
	case APIC_TMICT:
		kvm_lapic_timer_write_count(apic, val);
		break;
	case APIC_TDCR:
		kvm_lapic_timer_set_divide(apic, val);
		break;
	default:
		return false;
	}
	return true;
}

static void write_xapic(struct kvm_lapic *apic, u32 offset, u32 val)
{
	switch (offset) {
	case APIC_ID:
		if (apic->id == val >> 24)
			break;
		apic->id = val >> 24;
		kvm_lapic_update_map(apic->vcpu->kvm);
		break;
	case APIC_LDR:
		apic->ldr = val & APIC_LDR_MASK;
		kvm_lapic_update_map(apic->vcpu->kvm);
		break;
	case APIC_DFR:
		apic->dfr = val | APIC_DFR_CLUSTER;
		kvm_lapic_update_map(apic->vcpu->kvm);
		break;
	case APIC_ICR:
		apic->icr = (apic->icr & ~0xffffffffULL) | (val & ~ICR_BUSY);
		send_ipi(apic);
		break;
	case APIC_ICR2:
		apic->icr = (u32)apic->icr | (u64)(val & 0xff000000) << 32;
		break;
	default:
		if (!write_common(apic, offset, val))
			apic_error(apic, APIC_ESR_ILLREGA);
	}
}

/*
 * ---- the register page ----
 */

static bool in_page(const struct kvm_lapic *apic, gpa_t gpa)
{
	return apic && apic->hw_enabled && !apic->x2apic &&
	       (gpa & ~(gpa_t)(APIC_PAGE_SIZE - 1)) ==
	       (apic->vcpu->apic_base & MSR_IA32_APICBASE_BASE);
}

static void report_tpr(struct kvm_lapic *apic, u32 offset, bool write)
{
	struct kvm_vcpu *vcpu = apic->vcpu;

	if (likely(!apic->report_tpr_access) || offset != APIC_TASKPRI)
		return;
	vcpu->run->tpr_access.rip = kvm_rip_read(vcpu);
	vcpu->run->tpr_access.is_write = write;
	kvm_make_request(KVM_REQ_TPR_ACCESS, vcpu);
}

/** kvm_lapic_mmio_read - a read in the APIC's page is answered; false: it is elsewhere */
bool kvm_lapic_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset = gpa & (APIC_PAGE_SIZE - 1), val = 0;
	u8 out[16] = {};

	if (likely(!in_page(apic, gpa)))
		return false;
	if (!read_reg(apic, offset & ~0xfU, &val))
		apic_error(apic, APIC_ESR_ILLREGA);
	report_tpr(apic, offset & ~0xfU, false);
	memcpy(out, &val, sizeof(val));
	memset(data, 0, len);
	memcpy(data, out + (offset & 0xf), min(len, 16 - (offset & 0xf)));
	return true;
}

/* SDM "The Local APIC Block Diagram": 32 bits, aligned to 16 bytes; others do nothing. */
bool kvm_lapic_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset = gpa & (APIC_PAGE_SIZE - 1), val;

	if (likely(!in_page(apic, gpa)))
		return false;
	if (len < sizeof(val) || (offset & 0xf))
		return true;
	memcpy(&val, data, sizeof(val));
	report_tpr(apic, offset, true);
	write_xapic(apic, offset, val);
	apic->regs_changed = true;
	return true;
}

/** kvm_lapic_read_reg - a register of the page, for the processor that answers reads itself */
u32 kvm_lapic_read_reg(const struct kvm_lapic *apic, u32 offset)
{
	u32 val;

	read_reg(apic, offset, &val);
	return val;
}
EXPORT_SYMBOL_GPL(kvm_lapic_read_reg);

/** kvm_lapic_reg_written - the processor has taken a write, of 32 bits, whose effect is ours */
void kvm_lapic_reg_written(struct kvm_lapic *apic, u32 offset, u32 val)
{
	/* As x2APIC: only an IPI to itself, of a vector that there is not. */
	if (apic->x2apic) {
		self_ipi(apic, val);
		return;
	}
	write_xapic(apic, offset, val);
	/* These change others. */
	if (offset == APIC_SPIV || offset == APIC_LVTT)
		apic->regs_changed = true;
}
EXPORT_SYMBOL_GPL(kvm_lapic_reg_written);

/*
 * ---- x2APIC: MSRs 0x800-0x8ff ----
 */

static bool x2apic_msr_exists(u32 offset)
{
	return offset != APIC_DFR && offset != APIC_ICR2 && offset != APIC_ARBPRI;
}

int kvm_x2apic_read(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset = (msr->index - APIC_BASE_MSR) << 4, val;

	if (!apic || !apic->x2apic || !x2apic_msr_exists(offset))
		return -EINVAL;
	if (offset == APIC_ICR) {
		msr->data = apic->icr;
		return 0;
	}
	if (!read_reg(apic, offset, &val))
		return -EINVAL;
	msr->data = val;
	return 0;
}

static bool x2apic_value_valid(u32 offset, u64 data)
{
	switch (offset) {
	case APIC_EOI:
	case APIC_ESR:
		return !data;
	case APIC_TASKPRI:
	case APIC_SELF_IPI:
		return !(data & ~0xffULL);
	default:
		return !(data >> 32);
	}
}

/** kvm_x2apic_write - WRMSR of a register; those that guests write often come first */
int kvm_x2apic_write(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset = (msr->index - APIC_BASE_MSR) << 4;

	if (unlikely(!apic || !apic->x2apic))
		return -EINVAL;
	if (offset == APIC_ICR) {
		apic->icr = msr->data & ~ICR_BUSY;
		send_ipi(apic);
		return 0;
	}
	if (!x2apic_value_valid(offset, msr->data))
		return -EINVAL;
	if (offset == APIC_EOI) {
		kvm_lapic_eoi(apic);
		return 0;
	}
	if (offset == APIC_SELF_IPI) {
		self_ipi(apic, msr->data);
		return 0;
	}
	return write_common(apic, offset, msr->data) ? 0 : -EINVAL;
}

/*
 * ---- modes: IA32_APIC_BASE ----
 */

static void set_x2apic_ids(struct kvm_lapic *apic)
{
	u32 id = apic->vcpu->vcpu_id;

	apic->ldr = (id >> 4 << 16) | BIT(id & 0xf);
}

static void reset_registers(struct kvm_lapic *apic)
{
	int i;

	kvm_lapic_timer_reset(apic);
	bitmap_zero(apic->irr, LAPIC_VECTORS);
	bitmap_zero(apic->isr, LAPIC_VECTORS);
	bitmap_zero(apic->tmr, LAPIC_VECTORS);
	apic->highest_isr = -1;
	apic->tpr = 0;
	apic->vcpu->cr8 = 0;
	apic->ldr = 0;
	apic->dfr = APIC_DFR_FLAT;
	apic->svr = 0xff;
	apic->sw_enabled = false;
	apic->esr = 0;
	apic->esr_pending = 0;
	apic->icr = 0;
	for (i = 0; i < LVT_NR; i++)
		WRITE_ONCE(apic->lvt[i], APIC_LVT_MASKED);
	apic->vcpu->pv.eoi_offered = false;
	if (apic->x2apic)
		set_x2apic_ids(apic);
	mode_changed(apic);
}

/* SDM "x2APIC State Transitions": off, xAPIC, x2APIC; back only by off. */
static bool transition_allowed(u64 old, u64 new)
{
	const u64 mask = MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE;

	if ((old & mask) == mask)
		return (new & mask) != MSR_IA32_APICBASE_ENABLE;
	if (!(old & mask))
		return (new & mask) != mask;
	return true;
}

/**
 * kvm_lapic_set_base - write IA32_APIC_BASE
 * @vcpu: the vcpu, loaded, with its APIC in the kernel
 * @base: the value, whose bits kvm_apic_base_valid() has found possible
 * @host_initiated: userspace's, which may go from any mode to any
 * Returns 0, or -EINVAL with nothing changed.
 */
int kvm_lapic_set_base(struct kvm_vcpu *vcpu, u64 base, bool host_initiated)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u64 old = vcpu->apic_base, changed = old ^ base;

	if (!host_initiated && !transition_allowed(old, base))
		return -EINVAL;
	vcpu->apic_base = base;
	if (!(changed & (MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE))) {
		if (changed & MSR_IA32_APICBASE_BASE)
			kvm_lapic_update_map(vcpu->kvm);
		return 0;
	}
	apic->hw_enabled = base & MSR_IA32_APICBASE_ENABLE;
	apic->x2apic = base & X2APIC_ENABLE;
	if (changed & MSR_IA32_APICBASE_ENABLE) {
		reset_registers(apic);
		apic->id = vcpu->vcpu_id & 0xff;
	} else if (apic->x2apic) {
		set_x2apic_ids(apic);
	}
	mode_changed(apic);
	kvm_lapic_update_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/* Without a controller in the kernel there is no x2APIC mode; nor is it one that is off. */
bool kvm_apic_base_valid(struct kvm_vcpu *vcpu, u64 base)
{
	u64 flags = MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_BSP;

	if (vcpu->lapic && (base & MSR_IA32_APICBASE_ENABLE) &&
	    kvm_guest_has(vcpu, X86_FEATURE_X2APIC))
		flags |= X2APIC_ENABLE;
	return !(base & vcpu->rsvd_gpa_bits) && !(base & ~PAGE_MASK & ~flags);
}

/** kvm_set_apic_base - 0, or -EINVAL with nothing changed */
int kvm_set_apic_base(struct kvm_vcpu *vcpu, u64 base, bool host_initiated)
{
	if (!kvm_apic_base_valid(vcpu, base))
		return -EINVAL;
	if (vcpu->lapic)
		return kvm_lapic_set_base(vcpu, base, host_initiated);
	vcpu->apic_base = base;
	return 0;
}

/*
 * ---- KVM_GET_LAPIC, KVM_SET_LAPIC ----
 */

static void put_reg(struct kvm_lapic_state *state, u32 offset, u32 val)
{
	memcpy(state->regs + offset, &val, sizeof(val));
}

static u32 get_reg(const struct kvm_lapic_state *state, u32 offset)
{
	u32 val;

	memcpy(&val, state->regs + offset, sizeof(val));
	return val;
}

/* In x2APIC mode the whole id, if userspace knows that format, or its 8 bits. */
static u32 state_id(const struct kvm_lapic *apic)
{
	u32 id = apic->vcpu->vcpu_id;

	if (!apic->x2apic)
		return apic->id << 24;
	return apic->vcpu->kvm->x2apic_format ? id : id << 24;
}

long kvm_vcpu_get_lapic(struct kvm_vcpu *vcpu, struct kvm_lapic_state *state)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset, val;

	if (!apic)
		return -EINVAL;
	memset(state, 0, sizeof(*state));
	for (offset = 0; offset < sizeof(state->regs); offset += 0x10)
		if (read_reg(apic, offset, &val))
			put_reg(state, offset, val);
	put_reg(state, APIC_ID, state_id(apic));
	return 0;
}

static void load_bitmap(unsigned long *bits, const struct kvm_lapic_state *state, u32 offset)
{
	int i;

	bitmap_zero(bits, LAPIC_VECTORS);
	for (i = 0; i < LAPIC_VECTORS / 32; i++)
		bits[i * 32 / BITS_PER_LONG] |=
			(unsigned long)get_reg(state, offset + i * 0x10) << (i * 32 % BITS_PER_LONG);
}

static bool state_valid(const struct kvm_lapic *apic, const struct kvm_lapic_state *state)
{
	u32 id = get_reg(state, APIC_ID);

	if (apic->x2apic && id != state_id(apic))
		return false;
	if (apic->vcpu->kvm->x2apic_format && !apic->x2apic && id << 8)
		return false;
	/* Vectors below 16 are the processor's exceptions: in IRR they never get through. */
	if (get_reg(state, APIC_ISR) & 0xffff)
		return false;
	return (get_reg(state, APIC_LVTT) & LVT_TIMER_MODES) != LVT_TIMER_MODES;
}

static void load_lvts(struct kvm_lapic *apic, const struct kvm_lapic_state *state)
{
	int i;

	for (i = 0; i < LVT_NR; i++) {
		u32 val = get_reg(state, APIC_LVTT + 0x10 * i);

		WRITE_ONCE(apic->lvt[i], val & lvt_writable(apic, i));
	}
}

/**
 * kvm_vcpu_set_lapic - KVM_SET_LAPIC
 * @vcpu: the vcpu, loaded
 * @state: the register page; the mode is IA32_APIC_BASE's, set before
 * Returns 0, or -EINVAL for a state that no APIC has; nothing is changed then.
 */
long kvm_vcpu_set_lapic(struct kvm_vcpu *vcpu, const struct kvm_lapic_state *state)
{
	struct kvm_lapic *apic = vcpu->lapic;

	if (!apic || !state_valid(apic, state))
		return -EINVAL;
	kvm_lapic_timer_stop(apic);
	if (!apic->x2apic) {
		apic->id = get_reg(state, APIC_ID) >> 24;
		apic->ldr = get_reg(state, APIC_LDR) & APIC_LDR_MASK;
		apic->dfr = get_reg(state, APIC_DFR) | APIC_DFR_CLUSTER;
	}
	load_bitmap(apic->irr, state, APIC_IRR);
	load_bitmap(apic->isr, state, APIC_ISR);
	load_bitmap(apic->tmr, state, APIC_TMR);
	apic->highest_isr = lapic_highest(apic->isr);
	apic->tpr = get_reg(state, APIC_TASKPRI);
	vcpu->cr8 = apic->tpr >> 4;
	apic->esr = get_reg(state, APIC_ESR) & 0xff;
	apic->esr_pending = 0;
	apic->icr = (get_reg(state, APIC_ICR) & ~ICR_BUSY) | (u64)get_reg(state, APIC_ICR2) << 32;
	apic->tscdeadline = 0;
	load_lvts(apic, state);
	set_svr(apic, get_reg(state, APIC_SPIV));
	kvm_lapic_timer_set_divide(apic, get_reg(state, APIC_TDCR));
	kvm_lapic_timer_load(apic, get_reg(state, APIC_TMICT), get_reg(state, APIC_TMCCT));
	vcpu->pv.eoi_offered = false;
	apic->regs_changed = true;
	kvm_lapic_update_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/*
 * ---- a vcpu's APIC: life ----
 */

/** kvm_lapic_reset - after RESET, or INIT, which keeps the id, the mode and its base */
void kvm_lapic_reset(struct kvm_vcpu *vcpu, bool init_event)
{
	struct kvm_lapic *apic = vcpu->lapic;

	if (!apic)
		return;
	if (!init_event) {
		apic->hw_enabled = true;
		apic->x2apic = false;
		apic->id = vcpu->vcpu_id & 0xff;
		WRITE_ONCE(apic->pending_events, 0);
	}
	reset_registers(apic);
	/* As firmware that knows no APIC would have it: the 8259 reaches the first processor. */
	if (!init_event && vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id)
		apic->lvt[LVT_LINT0] = APIC_DM_EXTINT;
	kvm_lapic_update_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
}

/** kvm_lapic_create - with an interrupt controller in the kernel: 0 or -ENOMEM */
int kvm_lapic_create(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic;

	if (vcpu->kvm->irqchip_mode == KVM_IRQCHIP_USER)
		return 0;
	apic = kzalloc(sizeof(*apic), GFP_KERNEL_ACCOUNT);
	if (!apic)
		return -ENOMEM;
	apic->vcpu = vcpu;
	apic->highest_isr = -1;
	kvm_lapic_timer_init(apic);
	vcpu->lapic = apic;
	return 0;
}

void kvm_lapic_destroy(struct kvm_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return;
	hrtimer_cancel(&vcpu->lapic->timer);
	kfree(vcpu->lapic);
	vcpu->lapic = NULL;
}
