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
#include <linux/nospec.h>
#include <asm/apicdef.h>
#include <asm/cpufeature.h>

#define APIC_VERSION		0x14
#define APIC_PAGE_SIZE		0x1000
#define ICR_BUSY		((u64)APIC_ICR_BUSY)
#define NMI_QUEUE_MAX		2
#define ICR_SHORTHAND		(APIC_DEST_SELF | APIC_DEST_ALLINC)

/* The writable bits of each LVT register (SDM "Local Vector Table"). */
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

/* SDM "Error Handling".  An illegal vector in LVT_ERROR would be an error in itself. */
static void apic_error(struct kvm_lapic *apic, u32 bit)
{
	set_bit(__ffs(bit), &apic->esr_pending);
	if ((READ_ONCE(apic->lvt[LVT_ERROR]) & APIC_VECTOR_MASK) >= 16)
		kvm_lapic_deliver_local(apic, LVT_ERROR);
}

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

/* INIT cancels a SIPI that came before it. */
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
	/* The vector is in place before the event is seen. */
	smp_wmb();
	set_bit(LAPIC_SIPI, &apic->pending_events);
	kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
	kvm_vcpu_kick(apic->vcpu);
	return 1;
}

/** kvm_lapic_accept - deliver a message to one APIC that it addresses; as kvm_irq_deliver() */
int kvm_lapic_accept(struct kvm_lapic *apic, const struct kvm_lapic_irq *irq)
{
	switch (irq->delivery_mode) {
	case APIC_DM_FIXED:
	case APIC_DM_LOWEST:
		return accept_fixed(apic, irq->vector, irq->trigger_level);
	case APIC_DM_NMI:
		return accept_nmi(apic->vcpu);
	case APIC_DM_INIT:
		/* INIT level de-assert only synchronizes arbitration ids. */
		return !irq->trigger_level || irq->level ? accept_init(apic) : 0;
	case APIC_DM_STARTUP:
		return accept_sipi(apic, irq->vector);
	default:
		/* No SMI, as there is no system management mode; ExtINT comes by LINT0 only. */
		return -1;
	}
}

/** kvm_lapic_deliver_local - an interrupt of a local source, by its LVT entry: LVT_* */
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

/*
 * ---- priorities and EOI ----
 */

/** kvm_lapic_ack - acknowledge an interrupt that kvm_lapic_pending() returned */
void kvm_lapic_ack(struct kvm_lapic *apic, u8 vector)
{
	clear_bit(vector, apic->irr);
	__set_bit(vector, apic->isr);
	apic->highest_isr = vector;
}

/** kvm_lapic_tpr_masks - is the task priority all that holds an interrupt back? */
bool kvm_lapic_tpr_masks(const struct kvm_lapic *apic)
{
	int vector = lapic_highest(apic->irr);

	return vector >= 16 && (vector >> 4) <= (apic->tpr >> 4) &&
	       (apic->highest_isr < 0 || vector >> 4 > apic->highest_isr >> 4);
}

/* Priorities changed: a pending interrupt may be deliverable now. */
static void recheck_pending(struct kvm_lapic *apic)
{
	if (lapic_highest(apic->irr) >= 0)
		kvm_make_request(KVM_REQ_EVENT, apic->vcpu);
}

/** kvm_lapic_set_tpr - write the TPR, of which CR8 is the upper half */
void kvm_lapic_set_tpr(struct kvm_lapic *apic, u8 tpr)
{
	apic->tpr = tpr;
	apic->vcpu->cr8 = tpr >> 4;
	recheck_pending(apic);
}
EXPORT_SYMBOL_GPL(kvm_lapic_set_tpr);

/** kvm_lapic_set_cr8 - write CR8 */
void kvm_lapic_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8)
{
	kvm_lapic_set_tpr(vcpu->lapic, cr8 << 4);
}
EXPORT_SYMBOL_GPL(kvm_lapic_set_cr8);

/* To the I/O APIC, in the kernel or in userspace, unless the guest uses directed EOIs. */
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

/** kvm_lapic_eoi - the guest's EOI (SDM "Signaling Interrupt Servicing Completion") */
void kvm_lapic_eoi(struct kvm_lapic *apic)
{
	int vector = apic->highest_isr;

	if (unlikely(vector < 0))
		return;
	__clear_bit(vector, apic->isr);
	apic->highest_isr = lapic_highest(apic->isr);
	if (unlikely(test_bit(vector, kvm_lapic_eoi_exits(apic))))
		broadcast_eoi(apic, vector);
	recheck_pending(apic);
}
EXPORT_SYMBOL_GPL(kvm_lapic_eoi);

/** kvm_lapic_eoi_done - the processor has virtualized an EOI: broadcast it */
void kvm_lapic_eoi_done(struct kvm_lapic *apic, u8 vector)
{
	if (test_bit(vector, kvm_lapic_eoi_exits(apic)))
		broadcast_eoi(apic, vector);
}
EXPORT_SYMBOL_GPL(kvm_lapic_eoi_done);

/** kvm_lapic_scan - KVM_REQ_SCAN_IOAPIC: find out which vectors' EOIs are to be broadcast */
void kvm_lapic_scan(struct kvm_lapic *apic)
{
	if (apic->vcpu->kvm->irqchip_mode != KVM_IRQCHIP_FULL)
		return;
	bitmap_zero(apic->eoi_exits, LAPIC_VECTORS);
	kvm_ioapic_scan(apic->vcpu, apic->eoi_exits);
	apic->regs_changed = true;
}

/*
 * ---- LINT0 and the 8259 ----
 */

/** kvm_lapic_accepts_pic - does the 8259's INTR reach it: LINT0 is ExtINT, or the APIC off? */
bool kvm_lapic_accepts_pic(struct kvm_vcpu *vcpu)
{
	const struct kvm_lapic *apic = vcpu->lapic;
	u32 lvt = READ_ONCE(apic->lvt[LVT_LINT0]);

	if (!apic->hw_enabled)
		return vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id;
	return !(lvt & APIC_LVT_MASKED) && GET_APIC_DELIVERY_MODE(lvt) == APIC_MODE_EXTINT;
}

/** kvm_pic_output_changed - the 8259's INTR was asserted: kick the vcpus that accept it */
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

/** kvm_lapic_pit_tick_nmi - a tick of the 8254 for vcpus whose LINT0 is an NMI watchdog */
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
	/* The I/O APIC in the kernel is of a version without EOI register. */
	return apic->vcpu->kvm->irqchip_mode == KVM_IRQCHIP_SPLIT &&
	       kvm_guest_has(apic->vcpu, X86_FEATURE_X2APIC);
}

static u32 version(const struct kvm_lapic *apic)
{
	return APIC_VERSION | (LVT_NR - 1) << 16 |
	       (directed_eoi_offered(apic) ? APIC_LVR_DIRECTED_EOI : 0);
}

/* The n-th 32-bit register of a bitmap. */
static u32 bitmap_reg(const unsigned long *bits, u32 n)
{
	n = array_index_nospec(n, LAPIC_VECTORS / 32);
	return READ_ONCE(bits[n * 32 / BITS_PER_LONG]) >> (n * 32 % BITS_PER_LONG);
}

static u32 lvt_index(u32 offset)
{
	return array_index_nospec((offset - APIC_LVTT) >> 4, LVT_NR);
}

/* False, and 0: there is no readable register at this offset. */
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
		*val = apic->lvt[lvt_index(offset)];
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

/* The vendor decides anew how much of the APIC the processor virtualizes. */
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
	/* INTR of the 8259 may be accepted now. */
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
	/* The trigger mode is used only by INIT level de-assert: all that is sent is an edge. */
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

/* Writes that are the same in xAPIC and x2APIC mode; false: no such register. */
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
		/* A write loads the errors since the last write. */
		apic->esr = xchg(&apic->esr_pending, 0);
		break;
	case APIC_LVTT ... APIC_LVTERR:
		set_lvt(apic, lvt_index(offset), val);
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
 * ---- the APIC-access page ----
 */

/*
 * While the APIC is off or in x2APIC mode the page has no registers.  It is still not
 * userspace's, which may take a write to it for an MSI, unless that wants it.
 */
static bool in_page(const struct kvm_lapic *apic, gpa_t gpa)
{
	return apic && (gpa & ~(gpa_t)(APIC_PAGE_SIZE - 1)) ==
		       (apic->vcpu->apic_base & MSR_IA32_APICBASE_BASE) &&
	       ((apic->hw_enabled && !apic->x2apic) ||
		!(apic->vcpu->kvm->disabled_quirks & KVM_X86_QUIRK_LAPIC_MMIO_HOLE));
}

static bool page_is_hole(const struct kvm_lapic *apic)
{
	return !apic->hw_enabled || apic->x2apic;
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

/** kvm_lapic_mmio_read - a read of up to 8 bytes; false: not in this vcpu's APIC page */
bool kvm_lapic_mmio_read(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, void *data)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset = gpa & (APIC_PAGE_SIZE - 1), val = 0;
	u8 out[16] = {};

	if (likely(!in_page(apic, gpa)))
		return false;
	if (page_is_hole(apic)) {
		memset(data, 0xff, len);
		return true;
	}
	if (!read_reg(apic, offset & ~0xfU, &val))
		apic_error(apic, APIC_ESR_ILLREGA);
	report_tpr(apic, offset & ~0xfU, false);
	memcpy(out, &val, sizeof(val));
	memset(data, 0, len);
	memcpy(data, out + (offset & 0xf), min(len, 16 - (offset & 0xf)));
	return true;
}

/** kvm_lapic_mmio_write - a write of up to 8 bytes; false: not in this vcpu's APIC page.  What is
 * not a whole register of 32 bits, aligned to 16 bytes, is ignored (SDM "The Local APIC Block
 * Diagram").
 */
bool kvm_lapic_mmio_write(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int len, const void *data)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u32 offset = gpa & (APIC_PAGE_SIZE - 1), val;

	if (likely(!in_page(apic, gpa)))
		return false;
	if (page_is_hole(apic) || len < sizeof(val) || (offset & 0xf))
		return true;
	memcpy(&val, data, sizeof(val));
	report_tpr(apic, offset, true);
	write_xapic(apic, offset, val);
	apic->regs_changed = true;
	return true;
}

/** kvm_lapic_read_reg - a register as the guest reads it, for the virtual-APIC page; 0: none */
u32 kvm_lapic_read_reg(const struct kvm_lapic *apic, u32 offset)
{
	u32 val;

	read_reg(apic, offset, &val);
	return val;
}
EXPORT_SYMBOL_GPL(kvm_lapic_read_reg);

/** kvm_lapic_reg_written - a write to the virtual-APIC page whose effect is to be emulated */
void kvm_lapic_reg_written(struct kvm_lapic *apic, u32 offset, u32 val)
{
	/* In x2APIC mode only a self IPI with an illegal vector exits. */
	if (apic->x2apic) {
		self_ipi(apic, val);
		return;
	}
	write_xapic(apic, offset, val);
	/* These change other registers. */
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

/** kvm_x2apic_read - RDMSR of a register: 0, or -EINVAL: #GP */
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

/** kvm_x2apic_write - WRMSR of a register: 0, or -EINVAL: #GP */
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
 * ---- IA32_APIC_BASE ----
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

/* SDM "x2APIC State Transitions": disabled, xAPIC, x2APIC; back only to disabled. */
static bool transition_allowed(u64 old, u64 new)
{
	const u64 mask = MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE;

	if ((old & mask) == mask)
		return (new & mask) != MSR_IA32_APICBASE_ENABLE;
	if (!(old & mask))
		return (new & mask) != mask;
	return true;
}

/** kvm_apic_base_valid - no reserved bits; x2APIC mode only if enabled, and in the kernel */
bool kvm_apic_base_valid(struct kvm_vcpu *vcpu, u64 base)
{
	u64 flags = MSR_IA32_APICBASE_ENABLE | MSR_IA32_APICBASE_BSP;

	if (vcpu->lapic && (base & MSR_IA32_APICBASE_ENABLE) &&
	    kvm_guest_has(vcpu, X86_FEATURE_X2APIC))
		flags |= X2APIC_ENABLE;
	return !(base & vcpu->rsvd_gpa_bits) && !(base & ~PAGE_MASK & ~flags);
}

/** kvm_set_apic_base - write IA32_APIC_BASE: 0, or -EINVAL with nothing changed
 * @host_initiated: by userspace, which may change from any mode to any other
 */
int kvm_set_apic_base(struct kvm_vcpu *vcpu, u64 base, bool host_initiated)
{
	struct kvm_lapic *apic = vcpu->lapic;
	u64 old = vcpu->apic_base, changed = old ^ base;

	if (!kvm_apic_base_valid(vcpu, base) ||
	    (apic && !host_initiated && !transition_allowed(old, base)))
		return -EINVAL;
	vcpu->apic_base = base;
	if (!apic)
		return 0;
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

/* In x2APIC mode the whole id, if userspace has enabled that format, else 8 bits of it. */
static u32 state_id(const struct kvm_lapic *apic)
{
	u32 id = apic->vcpu->vcpu_id;

	if (!apic->x2apic)
		return apic->id << 24;
	return apic->vcpu->kvm->x2apic_format ? id : id << 24;
}

/** kvm_vcpu_get_lapic - KVM_GET_LAPIC: 0, or -EINVAL without a local APIC in the kernel */
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
	/* No vector below 16 can be in service; in IRR such a vector has no effect. */
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

/** kvm_vcpu_set_lapic - KVM_SET_LAPIC, after IA32_APIC_BASE: 0, or -EINVAL with nothing changed */
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
 * ---- creation, reset, end ----
 */

/** kvm_lapic_reset - RESET, or INIT, which keeps the id, the mode and the base address */
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
	/* Virtual wire mode (MultiProcessor Specification): the 8259's INTR goes to the BSP. */
	if (!init_event && vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id)
		apic->lvt[LVT_LINT0] = APIC_DM_EXTINT;
	kvm_lapic_update_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_SCAN_IOAPIC, vcpu);
}

/** kvm_lapic_create - a new vcpu's APIC, unless userspace has it: 0 or -ENOMEM */
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

/** kvm_lapic_destroy - undo kvm_lapic_create() */
void kvm_lapic_destroy(struct kvm_vcpu *vcpu)
{
	if (!vcpu->lapic)
		return;
	hrtimer_cancel(&vcpu->lapic->timer);
	kfree(vcpu->lapic);
	vcpu->lapic = NULL;
}
