// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dirty rings, the other way to tell userspace what was written (KVM_CAP_DIRTY_LOG_RING): each
 * vcpu has an array of entries that userspace maps, and each page that it dirties becomes
 * one.  Userspace marks an entry when it has seen it, and KVM_RESET_DIRTY_RINGS protects the
 * pages of marked entries again.  Documentation/mmu.rst, "Dirty rings", says why no
 * page is lost on the way.
 *
 * Only the vcpu's own thread adds, only the holder of slots_lock resets.  Both indices are the
 * kernel's; of what is in the entries nothing is trusted.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_dirty_ring.h"
#include "kvm_events.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"

#include <linux/log2.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/vmalloc.h>

#define ENTRY_BYTES	sizeof(struct kvm_dirty_gfn)

/*
 * Entries that are left when the ring counts as full: what one exit can add, by an instruction
 * that is emulated and what is written for the guest in passing; and the processor's own log.
 */
#define SPARE_ENTRIES	64
#define PML_ENTRIES	512

/* A reset takes so many words of pages at a time. */
#define BATCH		32

/*
 * ---- size and place ----
 */

static u32 spare_entries(void)
{
	return SPARE_ENTRIES + (kvm_ops.nested_dirty_log ? PML_ENTRIES : 0);
}

/** kvm_enable_dirty_ring - KVM_ENABLE_CAP of KVM_CAP_DIRTY_LOG_RING, or _ACQ_REL: from now on
 * logged slots have no bitmap for userspace, but each vcpu a ring of @bytes. Returns 0;
 * -E2BIG; -EINVAL: not a power of two, too small to be of use, not the first time, or there
 * is a vcpu.
 */
int kvm_enable_dirty_ring(struct kvm *kvm, u64 bytes)
{
	if (bytes > KVM_DIRTY_RING_MAX_BYTES)
		return -E2BIG;
	if (bytes < PAGE_SIZE || !is_power_of_2(bytes) || bytes / ENTRY_BYTES <= spare_entries())
		return -EINVAL;
	if (kvm->dirty_ring_entries || atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	WRITE_ONCE(kvm->dirty_ring_entries, bytes / ENTRY_BYTES);
	return 0;
}

/** kvm_dirty_ring_create - of a new vcpu, if its VM has rings. Returns 0 or -ENOMEM. */
int kvm_dirty_ring_create(struct kvm_vcpu *vcpu)
{
	u32 n = vcpu->kvm->dirty_ring_entries;

	if (!n)
		return 0;
	vcpu->dirty_ring.entry = __vmalloc(n * ENTRY_BYTES, GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!vcpu->dirty_ring.entry)
		return -ENOMEM;
	vcpu->dirty_ring.soft_limit = n - spare_entries();
	return 0;
}

/** kvm_dirty_ring_destroy - of a vcpu that goes, or of one half made */
void kvm_dirty_ring_destroy(struct kvm_vcpu *vcpu)
{
	vfree(vcpu->dirty_ring.entry);
}

static unsigned long ring_pages(struct kvm_vcpu *vcpu)
{
	return vcpu->kvm->dirty_ring_entries * ENTRY_BYTES >> PAGE_SHIFT;
}

/** kvm_dirty_ring_mmap - mmap() of a vcpu's fd from KVM_DIRTY_LOG_PAGE_OFFSET on: the ring, or a
 * part of it, shared and not executable. Returns 0 or -EINVAL.
 */
int kvm_dirty_ring_mmap(struct kvm_vcpu *vcpu, struct vm_area_struct *vma)
{
	unsigned long first = vma->vm_pgoff - KVM_DIRTY_LOG_PAGE_OFFSET, n = ring_pages(vcpu);

	if (first >= n || vma_pages(vma) > n - first)
		return -EINVAL;
	if (!(vma->vm_flags & VM_SHARED) || (vma->vm_flags & VM_EXEC))
		return -EINVAL;
	vm_flags_set(vma, VM_DONTEXPAND);
	vm_flags_clear(vma, VM_MAYEXEC);
	return 0;
}

/** kvm_dirty_ring_page - the page at @pgoff of a vcpu's mapping, NULL if that is not the ring's */
struct page *kvm_dirty_ring_page(struct kvm_vcpu *vcpu, unsigned long pgoff)
{
	unsigned long i = pgoff - KVM_DIRTY_LOG_PAGE_OFFSET;

	if (i >= ring_pages(vcpu))
		return NULL;
	return vmalloc_to_page((void *)vcpu->dirty_ring.entry + (i << PAGE_SHIFT));
}

/*
 * ---- adding ----
 */

static u32 entries_used(const struct kvm_dirty_ring *ring)
{
	/* Before an entry is used again: pairs with advance(). */
	return ring->dirty_index - smp_load_acquire(&ring->reset_index);
}

static struct kvm_dirty_gfn *entry_at(struct kvm_vcpu *vcpu, u32 index)
{
	return &vcpu->dirty_ring.entry[index & (vcpu->kvm->dirty_ring_entries - 1)];
}

/*
 * Is the newest entry this page's, and not yet reset?  Its page is protected after it was
 * reset, and read by userspace after that: so the write that we are told of is in it.
 */
static bool is_newest(struct kvm_vcpu *vcpu, u16 slot, unsigned long offset)
{
	const struct kvm_dirty_ring *ring = &vcpu->dirty_ring;

	return ring->last_slot == slot && ring->last_offset == offset &&
	       ring->last_generation == kvm_slots_generation(vcpu->kvm) && entries_used(ring);
}

static bool add_entry(struct kvm_vcpu *vcpu, u16 slot, unsigned long offset)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *entry = entry_at(vcpu, ring->dirty_index);
	u32 used = entries_used(ring);

	if (unlikely(used >= vcpu->kvm->dirty_ring_entries))
		return false;
	WRITE_ONCE(entry->slot, slot);
	WRITE_ONCE(entry->offset, offset);
	ring->last_slot = slot;
	ring->last_offset = offset;
	ring->last_generation = kvm_slots_generation(vcpu->kvm);
	/* A reset looks at entries below it: who sees the entry may have it reset at once. */
	smp_store_release(&ring->dirty_index, ring->dirty_index + 1);
	/* Last: userspace looks at the rest only if it is dirty. */
	smp_store_release(&entry->flags, KVM_DIRTY_GFN_F_DIRTY);
	if (unlikely(used + 1 >= ring->soft_limit))
		kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
	return true;
}

/** kvm_dirty_ring_mark - page @offset of a logged slot was written, or may be from now on, by
 * the vcpu, whose thread this is. srcu, slots_lock or mmu_lock held; any context but NMI. If the
 * ring has no entry left the page waits in the slot's bitmap, and the vcpu exits before it enters
 * the guest again.
 */
void kvm_dirty_ring_mark(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, unsigned long offset)
{
	bool added;

	/* Who schedules us out writes steal time, by the same ring. */
	preempt_disable();
	added = is_newest(vcpu, slot->id, offset) || add_entry(vcpu, slot->id, offset);
	preempt_enable();
	if (likely(added))
		return;
	/* In this order: see add_left(). */
	kvm_set_dirty(slot, offset);
	smp_mb();
	WRITE_ONCE(vcpu->kvm->dirty_left, true);
	kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
}

static bool soft_full(struct kvm_vcpu *vcpu)
{
	return entries_used(&vcpu->dirty_ring) >= vcpu->dirty_ring.soft_limit;
}

/* The pages of one slot's bitmap become entries; true: all of them. */
static bool add_left_of(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot)
{
	unsigned long from = 0;

	while (!soft_full(vcpu)) {
		if (!kvm_take_dirty(slot, &from))
			return true;
		kvm_dirty_ring_mark(vcpu, slot, from);
	}
	return false;
}

/* Pages that found a ring full, whosever, become entries of this vcpu's; true: all of them. */
static bool add_left(struct kvm_vcpu *vcpu)
{
	struct kvm_memslots *slots = kvm_memslots(vcpu->kvm);
	int i;

	if (likely(!READ_ONCE(vcpu->kvm->dirty_left)))
		return true;
	/* Before the bitmaps are looked at: who sets a bit says so afterwards. */
	xchg(&vcpu->kvm->dirty_left, false);
	for (i = 0; i < slots->nr; i++) {
		if (!slots->slot[i]->dirty_bitmap || add_left_of(vcpu, slots->slot[i]))
			continue;
		WRITE_ONCE(vcpu->kvm->dirty_left, true);
		return false;
	}
	return true;
}

/*
 * An exception is about to be delivered: that first, as long as a part of the reserve is there.
 * The next page asks again.  A VMM may stop the vcpu where the ring is full, and move it; and
 * QEMU moves no error codes.  Under shadow paging most of these exits had a #PF on its way.
 */
static bool exception_first(struct kvm_vcpu *vcpu)
{
	return kvm_exception_waits(vcpu) && !READ_ONCE(vcpu->kvm->dirty_left) &&
	       entries_used(&vcpu->dirty_ring) < vcpu->dirty_ring.soft_limit + SPARE_ENTRIES / 2;
}

/** kvm_dirty_ring_request - KVM_REQ_DIRTY_RING: the vcpu's ring is full but for its reserve, or
 * pages of some vcpu's found theirs full. srcu held. Returns 1; 0 with KVM_EXIT_DIRTY_RING_FULL in
 * kvm_run, and so again until there is room.
 */
int kvm_dirty_ring_request(struct kvm_vcpu *vcpu)
{
	if (exception_first(vcpu) || (!soft_full(vcpu) && add_left(vcpu)))
		return 1;
	kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
	vcpu->run->exit_reason = KVM_EXIT_DIRTY_RING_FULL;
	return 0;
}

/*
 * ---- resetting; slots_lock held ----
 */

/* Pages of one slot, in one word of its bitmap. */
struct reset_word {
	u16 slot;
	u64 first;
	unsigned long mask;
};

struct reset_batch {
	unsigned int nr;
	struct reset_word word[BATCH];
};

/* False: there is no room for it. */
static bool add_to_batch(struct reset_batch *batch, u32 slot, u64 offset)
{
	u64 first = round_down(offset, (u64)BITS_PER_LONG);
	struct reset_word *word = &batch->word[batch->nr];

	/* There is one address space, so what is no slot's id is no slot. */
	if (slot >= KVM_MEM_SLOTS)
		return true;
	if (!batch->nr || word[-1].slot != slot || word[-1].first != first) {
		if (batch->nr == BATCH)
			return false;
		*word = (struct reset_word) { .slot = slot, .first = first };
		batch->nr++;
		word++;
	}
	word[-1].mask |= BIT(offset - first);
	return true;
}

/* Is the entry marked, and has the batch room?  Then it is free for the vcpu. */
static bool reset_entry(struct kvm_vcpu *vcpu, struct reset_batch *batch)
	__kvm_must_hold(slots_lock)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	struct kvm_dirty_gfn *entry = entry_at(vcpu, ring->reset_index);

	/* Marked by userspace, which may have written anything: read each field once. */
	if (!(smp_load_acquire(&entry->flags) & KVM_DIRTY_GFN_F_RESET))
		return false;
	if (!add_to_batch(batch, READ_ONCE(entry->slot), READ_ONCE(entry->offset)))
		return false;
	WRITE_ONCE(entry->flags, 0);
	/* Ahead of the protection: see is_newest(). */
	smp_store_release(&ring->reset_index, ring->reset_index + 1);
	return true;
}

static bool protect_word(struct kvm *kvm, const struct reset_word *word)
	__kvm_must_hold(mmu_lock)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memory_slot *slot = kvm_slot_by_id(kvm, word->slot);
	unsigned long mask = word->mask, first;

	/* It may have gone since, or been another when the page was written. */
	if (!slot || !slot->dirty_bitmap || word->first >= slot->npages)
		return false;
	first = array_index_nospec(word->first, slot->npages);
	if (slot->npages - first < BITS_PER_LONG)
		mask &= BIT(slot->npages - first) - 1;
	if (!mask)
		return false;
	kvm_mmu_write_protect_masked(kvm, slot, first, mask);
	return true;
}

/* The next write to each page is seen again. TLBs are not flushed. */
static bool protect_batch(struct kvm *kvm, const struct reset_batch *batch)
	__kvm_must_hold(slots_lock)
{
	unsigned int i;
	bool any = false;

	write_lock(&kvm->mmu_lock);
	/* Between reset_index and the tables; pairs with the exchange of a fault's. */
	smp_mb();
	for (i = 0; i < batch->nr; i++) {
		any |= protect_word(kvm, &batch->word[i]);
		kvm_mmu_resched(kvm);
	}
	kvm_mmu_unlock(kvm);
	return any;
}

/* The marked entries of one vcpu's that are there by now.  Returns their number. */
static unsigned int reset_ring(struct kvm_vcpu *vcpu, bool *any)
	__kvm_must_hold(slots_lock)
{
	struct kvm_dirty_ring *ring = &vcpu->dirty_ring;
	u32 end = smp_load_acquire(&ring->dirty_index), begin = ring->reset_index;

	while (ring->reset_index != end && !fatal_signal_pending(current)) {
		struct reset_batch batch = { .nr = 0 };
		u32 before = ring->reset_index;

		while (ring->reset_index != end && reset_entry(vcpu, &batch))
			;
		if (ring->reset_index == before)
			break;
		*any |= protect_batch(vcpu->kvm, &batch);
		cond_resched();
	}
	return ring->reset_index - begin;
}

static int reset_rings(struct kvm *kvm)
	__kvm_must_hold(slots_lock)
{
	struct kvm_vcpu *vcpu;
	bool any = false;
	unsigned long i;
	int n = 0;

	kvm_for_each_vcpu(i, vcpu, kvm)
		n += reset_ring(vcpu, &any);
	write_lock(&kvm->mmu_lock);
	kvm_mmu_flush(kvm, any);
	kvm_mmu_unlock(kvm);
	/* Now there is room. */
	if (n && READ_ONCE(kvm->dirty_left)) {
		kvm_for_each_vcpu(i, vcpu, kvm)
			kvm_make_request(KVM_REQ_DIRTY_RING, vcpu);
	}
	return n;
}

/** kvm_reset_dirty_rings - KVM_RESET_DIRTY_RINGS: the pages of all entries that userspace has
 * marked, up to the first of each ring that it has not, are protected again. Sleeps, takes
 * slots_lock. On return no TLB lets a vcpu write to them unseen. Returns the number of
 * entries; -EINVAL: the VM has no rings.
 */
int kvm_reset_dirty_rings(struct kvm *kvm)
{
	int n;

	if (!READ_ONCE(kvm->dirty_ring_entries))
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	n = reset_rings(kvm);
	mutex_unlock(&kvm->slots_lock);
	return n;
}
