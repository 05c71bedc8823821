// SPDX-License-Identifier: GPL-2.0-only
/*
 * Paravirtual features that a guest switches on by MSRs of their own.  The
 * numbers and structures are those of <asm/kvm_para.h>; the clock is clock.c's,
 * hypercalls are in handlers.c.
 */
#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_guest_mem.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_pv.h"

#include <linux/kvm_para.h>
#include <linux/sched.h>
#include <linux/sched/stat.h>
#include <linux/uaccess.h>

#define STEAL_ENABLED		KVM_MSR_ENABLED
#define PV_EOI_RESERVED		2ULL	/* the flag's word is aligned to 4 bytes */

/*
 * ---- which features the guest has ----
 */

/* KVM_CPUID_FEATURES follows our signature, at whatever base userspace has put that. */
static u32 find_features(struct kvm_vcpu *vcpu)
{
	const struct kvm_cpuid_entry2 *e;
	u32 base;

	for (base = KVM_CPUID_SIGNATURE; base < KVM_CPUID_SIGNATURE + 0x1000; base += 0x100) {
		e = kvm_find_cpuid(vcpu, base, 0);
		if (!e || memcmp(&e->ebx, KVM_SIGNATURE, 4) || e->eax < base + 1)
			continue;
		e = kvm_find_cpuid(vcpu, base + 1, 0);
		return e ? e->eax : 0;
	}
	return 0;
}

/** kvm_pv_derive - the guest's CPUID was set: note the paravirtual features in it */
void kvm_pv_derive(struct kvm_vcpu *vcpu)
{
	vcpu->pv.features = find_features(vcpu);
}

/* All of them, unless KVM_CAP_ENFORCE_PV_FEATURE_CPUID is enabled. */
bool kvm_pv_has(struct kvm_vcpu *vcpu, unsigned int feature)
{
	/* A HLT that does not exit could miss the kick. */
	if (feature == KVM_FEATURE_PV_UNHALT && kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT))
		return false;
	return !vcpu->pv.enforce || (vcpu->pv.features & BIT(feature));
}

/*
 * ---- guest memory ----
 */

/** kvm_pv_write_versioned - write a structure that the guest reads without a lock
 * @data: the structure as read from @gpa, with new values
 * @len: how many bytes of it are written
 * @version: its version field; odd while the rest is written
 * The protocol is that of <asm/pvclock-abi.h> and <asm/kvm_para.h>.  Nothing is written if the
 * guest has given an address without memory.
 */
void kvm_pv_write_versioned(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len,
			    u32 *version)
{
	gpa_t version_gpa = gpa + ((void *)version - data);

	*version = (*version + 1) | 1;
	if (kvm_write_guest(vcpu, version_gpa, version, sizeof(*version)))
		return;
	smp_wmb();
	kvm_write_guest(vcpu, gpa, data, len);
	smp_wmb();
	(*version)++;
	kvm_write_guest(vcpu, version_gpa, version, sizeof(*version));
}

/* Where nothing may sleep: fails if the page is not there. */
static int write_atomic(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len)
{
	gfn_t gfn = kvm_unalias_gfn(vcpu->kvm, gpa_to_gfn(gpa));
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_slot(vcpu, gfn);

	if (!slot || (slot->flags & KVM_MEM_READONLY))
		return -EFAULT;
	if (copy_to_user_nofault((void __user *)(kvm_slot_hva(slot, gfn) + offset_in_page(gpa)),
				 data, len))
		return -EFAULT;
	kvm_mark_page_dirty(vcpu, slot, gfn);
	return 0;
}

/*
 * ---- steal time, and TLB flushes while preempted ----
 */

static gpa_t steal_gpa(const struct kvm_vcpu *vcpu)
{
	return vcpu->msr.steal_time & KVM_STEAL_VALID_BITS;
}

/* How long this thread was ready and did not run. */
#ifdef CONFIG_SCHED_INFO
static u64 run_delay(void)
{
	return current->sched_info.run_delay;
}
#else
static u64 run_delay(void)
{
	return 0;
}
#endif

/* The vcpu is no longer preempted; a TLB flush that others requested meanwhile is done now. */
static void take_preempted(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = steal_gpa(vcpu) + offsetof(struct kvm_steal_time, preempted);
	u8 old, zero = 0;
	int r;

	if (kvm_read_guest(vcpu, gpa, &old, sizeof(old)))
		return;
	while (old) {
		r = kvm_cmpxchg_guest(vcpu, gpa, &old, &zero, sizeof(old));
		if (r < 0)
			return;
		if (!r)
			break;
	}
	if (old & KVM_VCPU_FLUSH_TLB)
		kvm_mmu_guest_tlb_flush(vcpu);
}

/** kvm_pv_update_steal_time - KVM_REQ_STEAL_UPDATE: the vcpu's thread was scheduled in again */
void kvm_pv_update_steal_time(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = steal_gpa(vcpu);
	u64 delay = run_delay();
	struct kvm_steal_time st;

	if (!(vcpu->msr.steal_time & STEAL_ENABLED))
		return;
	take_preempted(vcpu);
	if (kvm_read_guest(vcpu, gpa, &st, offsetof(struct kvm_steal_time, preempted)))
		return;
	st.steal += delay - vcpu->pv.last_run_delay;
	vcpu->pv.last_run_delay = delay;
	kvm_pv_write_versioned(vcpu, gpa, &st, sizeof(st.steal), &st.version);
}

/** kvm_pv_sched_in - the vcpu was loaded; preemption off */
void kvm_pv_sched_in(struct kvm_vcpu *vcpu)
{
	if (vcpu->msr.steal_time & STEAL_ENABLED)
		kvm_make_request(KVM_REQ_STEAL_UPDATE, vcpu);
}

/** kvm_pv_sched_out - tell the guest that the vcpu is preempted; preemption off */
void kvm_pv_sched_out(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = steal_gpa(vcpu) + offsetof(struct kvm_steal_time, preempted);
	u8 preempted = KVM_VCPU_PREEMPTED;
	int idx;

	/* The last close of a file may happen in any process: only the VMM's has the memory mapped. */
	if (!(vcpu->msr.steal_time & STEAL_ENABLED) || current->mm != vcpu->kvm->mm ||
	    (READ_ONCE(vcpu->requests) & BIT(KVM_REQ_STEAL_UPDATE)))
		return;
	idx = srcu_read_lock(&vcpu->kvm->srcu);
	write_atomic(vcpu, gpa, &preempted, sizeof(preempted));
	srcu_read_unlock(&vcpu->kvm->srcu, idx);
}

static int set_steal_time(struct kvm_vcpu *vcpu, u64 data)
{
	if (data & KVM_STEAL_RESERVED_MASK)
		return -EINVAL;
	vcpu->msr.steal_time = data;
	vcpu->pv.last_run_delay = run_delay();
	kvm_pv_sched_in(vcpu);
	return 0;
}

/*
 * ---- PV EOI ----
 *
 * The guest clears a flag in its memory in place of the EOI of the one interrupt in
 * service, if that EOI is not broadcast and no other interrupt is pending.
 */

static gpa_t eoi_gpa(const struct kvm_vcpu *vcpu)
{
	return vcpu->pv.eoi & ~(u64)KVM_MSR_ENABLED;
}

/** kvm_pv_eoi_offer - set the flag for an interrupt about to be injected; does not sleep */
void kvm_pv_eoi_offer(struct kvm_vcpu *vcpu, u8 vector)
{
	const struct kvm_lapic *apic = vcpu->lapic;
	u8 flag = KVM_PV_EOI_ENABLED;

	if (!(vcpu->pv.eoi & KVM_MSR_ENABLED) || test_bit(vector, kvm_lapic_eoi_exits(apic)) ||
	    lapic_highest(apic->irr) >= 0 || bitmap_weight(apic->isr, LAPIC_VECTORS) != 1)
		return;
	vcpu->pv.eoi_offered = !write_atomic(vcpu, eoi_gpa(vcpu), &flag, sizeof(flag));
}

/** kvm_pv_eoi_collect - after an exit, or an entry that was called off: do the EOI if the guest
 * cleared the flag, or clear it.  Userspace never finds it set: it would move with the guest's
 * memory, and be taken for an EOI that nobody collects.  While there is no memory, as a slot is
 * being replaced, the flag stays to be collected.
 */
void kvm_pv_eoi_collect(struct kvm_vcpu *vcpu)
{
	u8 flag = 0, zero = 0;

	if (kvm_read_guest(vcpu, eoi_gpa(vcpu), &flag, sizeof(flag)))
		return;
	vcpu->pv.eoi_offered = false;
	if (flag & KVM_PV_EOI_MASK)
		kvm_write_guest(vcpu, eoi_gpa(vcpu), &zero, sizeof(zero));
	else
		kvm_lapic_eoi(vcpu->lapic);
}

static int set_pv_eoi(struct kvm_vcpu *vcpu, u64 data)
{
	if (data & PV_EOI_RESERVED)
		return -EINVAL;
	/* With userspace's local APIC the flag stays clear, so that the guest writes its EOI. */
	vcpu->pv.eoi = data;
	vcpu->pv.eoi_offered = false;
	return 0;
}

/*
 * ---- the TPR in guest memory (KVM_SET_VAPIC_ADDR) ----
 *
 * 32-bit guests have no CR8 and write the TPR by MMIO, some of them often.  Userspace
 * may patch such a guest to use a word of its memory in place of that: the TPR, the
 * priority of the interrupt in service, and the highest one pending, by which the
 * guest decides whether it has to exit.
 */

/** kvm_vapic_to_guest - before an entry: write the word */
void kvm_vapic_to_guest(struct kvm_vcpu *vcpu)
{
	const struct kvm_lapic *apic = vcpu->lapic;
	int irr = lapic_highest(apic->irr);
	u32 word = apic->tpr | (max(apic->highest_isr, 0) & 0xf0) << 8 | (u32)max(irr, 0) << 24;

	kvm_write_guest(vcpu, vcpu->pv.vapic_addr, &word, sizeof(word));
}

/** kvm_vapic_from_guest - after an exit: the word's lowest byte is the new TPR */
void kvm_vapic_from_guest(struct kvm_vcpu *vcpu)
{
	u8 tpr;

	if (!kvm_read_guest(vcpu, vcpu->pv.vapic_addr, &tpr, sizeof(tpr)) &&
	    tpr != vcpu->lapic->tpr)
		kvm_lapic_set_tpr(vcpu->lapic, tpr);
}

/** kvm_vcpu_set_vapic_addr - KVM_SET_VAPIC_ADDR: where the word is, 0: nowhere; 0 or -EINVAL */
long kvm_vcpu_set_vapic_addr(struct kvm_vcpu *vcpu, const struct kvm_vapic_addr *arg)
{
	if (!vcpu->lapic || (arg->vapic_addr & (sizeof(u32) - 1)))
		return -EINVAL;
	vcpu->pv.vapic_addr = arg->vapic_addr;
	kvm_lapic_update_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_INTERCEPTS, vcpu);
	return 0;
}

/** kvm_vcpu_tpr_access - KVM_TPR_ACCESS_REPORTING: exit after each TPR access; 0 or -EINVAL */
long kvm_vcpu_tpr_access(struct kvm_vcpu *vcpu, struct kvm_tpr_access_ctl *arg)
{
	if (!vcpu->lapic || arg->flags)
		return -EINVAL;
	vcpu->lapic->report_tpr_access = arg->enabled;
	kvm_lapic_update_map(vcpu->kvm);
	kvm_make_request(KVM_REQ_INTERCEPTS, vcpu);
	return 0;
}

/*
 * ---- MSRs ----
 */

/* The feature that a register needs, and where its value is. */
static const struct pv_msr {
	u32 index;
	unsigned int feature;
	size_t offset;			/* of a u64 in struct kvm_vcpu; 0: reads as 0 */
} pv_msrs[] = {
#define PV_MSR(index, feature, field) { index, feature, offsetof(struct kvm_vcpu, field) }
	PV_MSR(MSR_KVM_WALL_CLOCK, KVM_FEATURE_CLOCKSOURCE, msr.wall_clock),
	PV_MSR(MSR_KVM_SYSTEM_TIME, KVM_FEATURE_CLOCKSOURCE, msr.system_time),
	PV_MSR(MSR_KVM_WALL_CLOCK_NEW, KVM_FEATURE_CLOCKSOURCE2, msr.wall_clock),
	PV_MSR(MSR_KVM_SYSTEM_TIME_NEW, KVM_FEATURE_CLOCKSOURCE2, msr.system_time),
	PV_MSR(MSR_KVM_ASYNC_PF_EN, KVM_FEATURE_ASYNC_PF, pv.apf_en),
	PV_MSR(MSR_KVM_STEAL_TIME, KVM_FEATURE_STEAL_TIME, msr.steal_time),
	PV_MSR(MSR_KVM_PV_EOI_EN, KVM_FEATURE_PV_EOI, pv.eoi),
	PV_MSR(MSR_KVM_POLL_CONTROL, KVM_FEATURE_POLL_CONTROL, msr.poll_control),
	PV_MSR(MSR_KVM_ASYNC_PF_INT, KVM_FEATURE_ASYNC_PF_INT, pv.apf_int),
	PV_MSR(MSR_KVM_MIGRATION_CONTROL, KVM_FEATURE_MIGRATION_CONTROL, pv.migration_control),
	{ MSR_KVM_ASYNC_PF_ACK, KVM_FEATURE_ASYNC_PF_INT },
};

static const struct pv_msr *find_msr(struct kvm_vcpu *vcpu, u32 index)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(pv_msrs); i++)
		if (pv_msrs[i].index == index)
			return kvm_pv_has(vcpu, pv_msrs[i].feature) ? &pv_msrs[i] : NULL;
	return NULL;
}

/** kvm_pv_get_msr - read a paravirtual MSR: 0, or -EINVAL without its feature */
int kvm_pv_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	const struct pv_msr *m = find_msr(vcpu, msr->index);

	if (!m)
		return -EINVAL;
	msr->data = m->offset ? *(u64 *)((char *)vcpu + m->offset) : 0;
	return 0;
}

/** kvm_pv_set_msr - write one: 0, or -EINVAL for a reserved bit, or without its feature */
int kvm_pv_set_msr(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!find_msr(vcpu, msr->index))
		return -EINVAL;
	switch (msr->index) {
	case MSR_KVM_WALL_CLOCK:
	case MSR_KVM_WALL_CLOCK_NEW:
		kvm_clock_set_wall_clock(vcpu, msr->data);
		return 0;
	case MSR_KVM_SYSTEM_TIME:
	case MSR_KVM_SYSTEM_TIME_NEW:
		kvm_clock_set_system_time(vcpu, msr->data);
		return 0;
	case MSR_KVM_STEAL_TIME:
		return set_steal_time(vcpu, msr->data);
	case MSR_KVM_PV_EOI_EN:
		return set_pv_eoi(vcpu, msr->data);
	case MSR_KVM_POLL_CONTROL:
		if (msr->data & ~1ULL)
			return -EINVAL;
		vcpu->msr.poll_control = msr->data;
		return 0;
	case MSR_KVM_MIGRATION_CONTROL:
		if (msr->data & ~(u64)KVM_MIGRATION_READY)
			return -EINVAL;
		vcpu->pv.migration_control = msr->data;
		return 0;
	case MSR_KVM_ASYNC_PF_EN:
		return kvm_async_pf_set_en(vcpu, msr);
	case MSR_KVM_ASYNC_PF_INT:
		return kvm_async_pf_set_int(vcpu, msr->data);
	default:
		return kvm_async_pf_ack(vcpu, msr->data);
	}
}

/** kvm_pv_reset - RESET: all paravirtual features are off */
void kvm_pv_reset(struct kvm_vcpu *vcpu)
{
	vcpu->msr.wall_clock = 0;
	vcpu->msr.system_time = 0;
	vcpu->msr.steal_time = 0;
	vcpu->msr.poll_control = 1;
	vcpu->pv.eoi = 0;
	vcpu->pv.eoi_offered = false;
	vcpu->pv.migration_control = 0;
	vcpu->pv.vapic_addr = 0;
	vcpu->pv_unhalted = false;
}
