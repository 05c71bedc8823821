// SPDX-License-Identifier: GPL-2.0-only
/*
 * The local APICs that an interrupt message addresses, and its delivery to them.
 *
 * "SDM" is Intel's manual, volume 3A, chapter "Advanced Programmable Interrupt
 * Controller (APIC)"; sections are named by their titles.
 */
#include "kvm_host.h"
#include "kvm_irq.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "kvm_request.h"

#include <linux/nospec.h>
#include <asm/apicdef.h>

#define X2APIC_BROADCAST	0xffffffffU
#define XAPIC_BROADCAST		0xffU
/* SDM "Message Address Register Format" */
#define MSI_DEST_SHIFT		12
/* Bits 11:5 are bits 14:8 of the destination, by KVM_FEATURE_MSI_EXT_DEST_ID. */
#define MSI_EXT_DEST_ID		0xfe0
#define MSI_EXT_DEST_SHIFT	3
/* "Interrupt Request Formats On Intel 64 Platforms": the other bits are of an IOMMU's table */
#define MSI_REMAPPABLE		BIT(4)
#define MSI_REDIRECTION_HINT	BIT(3)
#define MSI_DEST_LOGICAL	BIT(2)

/*
 * The VM's APICs that are enabled, by their ids: replaced as a whole when an id, a
 * mode or a logical destination changes, and read under RCU.
 */
struct kvm_lapic_map {
	struct rcu_head rcu;
	bool unique;			/* no id twice */
	bool all_x2apic;
	u32 max_id;
	struct kvm_lapic *by_id[];	/* max_id + 1 of them */
};

/* An id that does not fit into 8 bits is valid even in xAPIC mode, or the vcpu could never be started. */
static u32 physical_id(const struct kvm_lapic *apic)
{
	u32 vcpu_id = apic->vcpu->vcpu_id;

	return apic->x2apic || vcpu_id > 0xff ? vcpu_id : apic->id;
}

static u32 highest_id(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u32 max = 0;

	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->lapic)
			max = max(max, physical_id(vcpu->lapic));
	return max;
}

static void fill_map(struct kvm *kvm, struct kvm_lapic_map *map)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	map->unique = true;
	map->all_x2apic = true;
	kvm_for_each_vcpu(i, vcpu, kvm) {
		struct kvm_lapic *apic = vcpu->lapic, **slot;
		u32 id;

		if (!apic || !apic->hw_enabled)
			continue;
		id = physical_id(apic);
		map->all_x2apic &= apic->x2apic;
		/* An xAPIC's id is the guest's choice, and may have changed since it was counted. */
		slot = &map->by_id[array_index_nospec(id, (size_t)map->max_id + 1)];
		if (id > map->max_id || *slot)
			map->unique = false;
		else
			*slot = apic;
	}
}

/* The address of the APIC-access page, if it is the same for all vcpus, else 0. */
static gpa_t common_page(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	gpa_t page, common = 0;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		const struct kvm_lapic *apic = vcpu->lapic;

		if (!apic || !apic->hw_enabled || apic->x2apic || kvm_lapic_tpr_watched(apic))
			return 0;
		page = READ_ONCE(vcpu->apic_base) & MSR_IA32_APICBASE_BASE;
		if (common && page != common)
			return 0;
		common = page;
	}
	return common;
}

/* The vcpu whose APIC page moves runs no guest code until the old mapping is gone. */
static void update_page(struct kvm *kvm)
	__kvm_must_hold(lapic_map_lock)
{
	gpa_t old = kvm->apic_page, new = common_page(kvm);
	int idx;

	lockdep_assert_held(&kvm->lapic_map_lock);
	if (old == new)
		return;
	WRITE_ONCE(kvm->apic_page, new);
	if (!old)
		return;
	idx = srcu_read_lock(&kvm->srcu);
	kvm_mmu_unmap_page(kvm, old);
	srcu_read_unlock(&kvm->srcu, idx);
}

/** kvm_lapic_update_map - ids, modes, addresses or the set of vcpus changed; may sleep.  Without
 * memory for a map each delivery searches all APICs.
 */
void kvm_lapic_update_map(struct kvm *kvm)
{
	struct kvm_lapic_map *map, *old;
	u32 max;

	mutex_lock(&kvm->lapic_map_lock);
	max = highest_id(kvm);
	map = kvzalloc(struct_size(map, by_id, max + 1), GFP_KERNEL_ACCOUNT);
	if (map) {
		map->max_id = max;
		fill_map(kvm, map);
	}
	old = rcu_dereference_protected(kvm->lapic_map, lockdep_is_held(&kvm->lapic_map_lock));
	rcu_assign_pointer(kvm->lapic_map, map);
	update_page(kvm);
	mutex_unlock(&kvm->lapic_map_lock);
	if (old)
		kvfree_rcu(old, rcu);
	if (kvm->irqchip_mode == KVM_IRQCHIP_FULL)
		kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
}

/** kvm_lapic_destroy_vm - free the map */
void kvm_lapic_destroy_vm(struct kvm *kvm)
{
	kvfree(rcu_dereference_protected(kvm->lapic_map, true));
}

/* A device's 0xff is a broadcast, even in x2APIC mode, unless userspace has disabled that quirk. */
static bool is_broadcast(const struct kvm_lapic *apic, const struct kvm_vcpu *source, u32 dest)
{
	if (dest == X2APIC_BROADCAST)
		return true;
	if (dest != XAPIC_BROADCAST)
		return false;
	if (source)
		return !source->lapic->x2apic;
	return !apic->x2apic || !apic->vcpu->kvm->x2apic_no_broadcast;
}

/* SDM "Logical Destination Mode", "Logical Destination Mode in x2APIC Mode" */
static bool matches_logical(const struct kvm_lapic *apic, u32 dest)
{
	u32 ldr = apic->ldr;

	if (apic->x2apic)
		return (dest >> 16) == (ldr >> 16) && (dest & ldr & 0xffff);
	ldr >>= 24;
	if (apic->dfr == (u32)APIC_DFR_FLAT)
		return dest & ldr & 0xff;
	if (apic->dfr == APIC_DFR_CLUSTER)
		return (dest >> 4) == (ldr >> 4) && (dest & ldr & 0xf);
	return false;
}

static bool matches(const struct kvm_lapic *apic, const struct kvm_vcpu *source,
		    const struct kvm_lapic_irq *irq)
{
	if (!apic->hw_enabled)
		return false;
	switch (irq->shorthand) {
	case APIC_DEST_SELF:
		return apic->vcpu == source;
	case APIC_DEST_ALLINC:
		return true;
	case APIC_DEST_ALLBUT:
		return apic->vcpu != source;
	}
	if (is_broadcast(apic, source, irq->dest_id))
		return true;
	if (irq->logical)
		return matches_logical(apic, irq->dest_id);
	return irq->dest_id == physical_id(apic);
}

/** kvm_lapic_matches - does a device's message address the vcpu? */
bool kvm_lapic_matches(struct kvm_vcpu *vcpu, const struct kvm_lapic_irq *irq)
{
	return vcpu->lapic && matches(vcpu->lapic, NULL, irq);
}

/*
 * ---- delivery ----
 */

static bool is_lowest(const struct kvm_lapic_irq *irq)
{
	return irq->delivery_mode == APIC_DM_LOWEST ||
	       (irq->msi_redir_hint && irq->delivery_mode == APIC_DM_FIXED);
}

/*
 * Lowest priority: to one of the enabled APICs addressed, chosen by the vector, so
 * that interrupts are spread and each stays where its handler is cached.
 */
static int deliver_lowest(struct kvm *kvm, struct kvm_vcpu *source, const struct kvm_lapic_irq *irq)
{
	unsigned int n = 0, chosen;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm)
		n += matches(vcpu->lapic, source, irq) && vcpu->lapic->sw_enabled;
	if (!n)
		return -1;
	chosen = irq->vector % n;
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (matches(vcpu->lapic, source, irq) && vcpu->lapic->sw_enabled && !chosen--)
			return kvm_lapic_accept(vcpu->lapic, irq);
	return -1;
}

static int deliver_slowly(struct kvm *kvm, struct kvm_vcpu *source, const struct kvm_lapic_irq *irq)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r = -1, one;

	if (is_lowest(irq))
		return deliver_lowest(kvm, source, irq);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!matches(vcpu->lapic, source, irq))
			continue;
		one = kvm_lapic_accept(vcpu->lapic, irq);
		if (one >= 0)
			r = max(r, 0) + one;
	}
	return r;
}

static struct kvm_lapic *map_lookup(const struct kvm_lapic_map *map, u32 id)
{
	if (id > map->max_id)
		return NULL;
	return READ_ONCE(map->by_id[array_index_nospec(id, (size_t)map->max_id + 1)]);
}

/* An x2APIC cluster: up to 16 APICs with consecutive ids. */
static int deliver_cluster(const struct kvm_lapic_map *map, const struct kvm_lapic_irq *irq)
{
	unsigned long members = irq->dest_id & 0xffff;
	u32 first = irq->dest_id >> 16 << 4;
	int r = -1, one, bit;

	for_each_set_bit(bit, &members, 16) {
		struct kvm_lapic *apic = map_lookup(map, first + bit);

		one = apic ? kvm_lapic_accept(apic, irq) : -1;
		if (one >= 0)
			r = max(r, 0) + one;
	}
	return r;
}

/* The usual destinations, by the map; false: all APICs have to be searched. */
static bool deliver_fast(const struct kvm_lapic_map *map, const struct kvm_lapic_irq *irq, int *r)
{
	struct kvm_lapic *apic;

	if (unlikely(!map || !map->unique) || irq->shorthand || irq->dest_id == X2APIC_BROADCAST ||
	    irq->dest_id == XAPIC_BROADCAST)
		return false;
	if (!irq->logical) {
		apic = map_lookup(map, irq->dest_id);
		*r = apic ? kvm_lapic_accept(apic, irq) : -1;
		return true;
	}
	if (!map->all_x2apic)
		return false;
	if (is_lowest(irq) && (irq->dest_id & 0xffff & ((irq->dest_id & 0xffff) - 1)))
		return false;
	*r = deliver_cluster(map, irq);
	return true;
}

/** kvm_irq_deliver - deliver an interrupt message to all APICs that it addresses
 * @source: the sending vcpu, or NULL for a device
 * Any context but NMI.  Returns how many accepted it; 0: none, as it was pending there already
 * (coalesced); -1: none is addressed, or it is masked there.
 */
int kvm_irq_deliver(struct kvm *kvm, struct kvm_vcpu *source, const struct kvm_lapic_irq *irq)
{
	int r;

	if (irq->shorthand == APIC_DEST_SELF)
		return kvm_lapic_accept(source->lapic, irq);
	rcu_read_lock();
	if (!deliver_fast(rcu_dereference(kvm->lapic_map), irq, &r))
		r = deliver_slowly(kvm, source, irq);
	rcu_read_unlock();
	return r;
}

/** kvm_msi_to_irq - an MSI as an interrupt message: SDM "Message Address Register Format",
 * "Message Data Register Format".  With KVM_X2APIC_API_USE_32BIT_IDS the upper half of the
 * address has the upper bits of the destination, where userspace has put them, or its lower
 * half has, where the guest has.
 */
void kvm_msi_to_irq(struct kvm *kvm, u64 address, u32 data, struct kvm_lapic_irq *irq)
{
	*irq = kvm_make_lapic_irq(data, (address >> MSI_DEST_SHIFT) & 0xff);
	irq->logical = address & MSI_DEST_LOGICAL;
	irq->msi_redir_hint = address & MSI_REDIRECTION_HINT;
	if (!kvm->x2apic_format)
		return;
	irq->dest_id |= (address >> 32) & 0xffffff00;
	if (!(address & MSI_REMAPPABLE))
		irq->dest_id |= (address & MSI_EXT_DEST_ID) << MSI_EXT_DEST_SHIFT;
}

/* The APIC with a physical id, or NULL.  RCU held. */
static struct kvm_lapic *find_apic(struct kvm *kvm, u32 id)
	__kvm_must_hold_shared(rcu)
{
	const struct kvm_lapic_map *map = rcu_dereference(kvm->lapic_map);
	struct kvm_vcpu *vcpu;
	unsigned long i;

	if (likely(map))
		return map_lookup(map, id);
	kvm_for_each_vcpu(i, vcpu, kvm)
		if (vcpu->lapic && vcpu->lapic->hw_enabled && physical_id(vcpu->lapic) == id)
			return vcpu->lapic;
	return NULL;
}

/** kvm_lapic_send_to_bitmap - KVM_HC_SEND_IPI: how many APICs accepted it
 * @bitmap: bit n is the APIC with the id @min_id + n
 * @icr: vector, delivery mode and trigger mode, as in the ICR
 */
int kvm_lapic_send_to_bitmap(struct kvm_vcpu *vcpu, const unsigned long *bitmap, unsigned int bits,
			     u32 min_id, unsigned long icr)
{
	struct kvm_lapic_irq irq = kvm_make_lapic_irq(icr, 0);
	unsigned int bit;
	int sent = 0;

	irq.level = icr & APIC_INT_ASSERT;
	rcu_read_lock();
	for_each_set_bit(bit, bitmap, bits) {
		struct kvm_lapic *apic = find_apic(vcpu->kvm, min_id + bit);

		if (apic && min_id + bit >= min_id && kvm_lapic_accept(apic, &irq) > 0)
			sent++;
	}
	rcu_read_unlock();
	return sent;
}

/** kvm_lapic_vcpu_by_id - the vcpu with an APIC id, or NULL; vcpus live as long as the VM */
struct kvm_vcpu *kvm_lapic_vcpu_by_id(struct kvm *kvm, u32 apic_id)
{
	struct kvm_lapic *apic;

	rcu_read_lock();
	apic = find_apic(kvm, apic_id);
	rcu_read_unlock();
	return apic ? apic->vcpu : NULL;
}
