// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory slots: where guest memory is in the VMM's address space, dirty logs, and
 * the mmu notifier that keeps the shadow and nested tables true to the host's.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_memslot.h"
#include "kvm_dirty_ring.h"
#include "kvm_mmu.h"
#include "kvm_request.h"

#include <linux/file.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/uaccess.h>

/* No physical address has more bits (APM 2 "Long-Mode Page Translation"). */
#define GFN_LIMIT	BIT_ULL(52 - PAGE_SHIFT)
#define SLOT_MAX_PAGES	((1UL << 31) - 1)
/* Entries of replaced arrays that wait to be freed: half a megabyte. */
#define OLD_SLOTS_MAX	65536
#define SLOT_FLAGS	(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)

/*
 * ---- lookup ----
 */

/* The index of the first slot that begins after gfn. */
static int slot_after(const struct kvm_memslots *slots, gfn_t gfn)
{
	int lo = 0, hi = slots->nr;

	while (lo < hi) {
		int mid = (lo + hi) / 2;

		if (slots->slot[mid]->base_gfn <= gfn)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The index of the slot that holds gfn, or -1. */
static int find_slot(const struct kvm_memslots *slots, gfn_t gfn)
{
	int i = slot_after(slots, gfn) - 1;

	return i >= 0 && kvm_slot_has(slots->slot[i], gfn) ? i : -1;
}

/** kvm_gfn_to_slot - the slot that holds a guest frame, not an alias; NULL: there is no
 * memory. srcu, slots_lock or mmu_lock held, for as long as the slot is used.
 */
struct kvm_memory_slot *kvm_gfn_to_slot(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	int i = find_slot(slots, gfn);

	return i < 0 ? NULL : slots->slot[i];
}

/* For kvm_vcpu_gfn_to_slot(), where it is not the slot found last. */
struct kvm_memory_slot *kvm_find_vcpu_slot(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_memslots *slots = kvm_memslots(vcpu->kvm);
	int i = find_slot(slots, gfn);

	if (i < 0)
		return NULL;
	vcpu->last_slot = i;
	return slots->slot[i];
}

/* For kvm_unalias_gfn(), where the VM has aliases. */
gfn_t kvm_find_alias(const struct kvm_memslots *slots, gfn_t gfn)
{
	int i;

	for (i = 0; i < KVM_NR_ALIASES; i++) {
		const struct kvm_alias *a = &slots->alias[i];

		if (gfn - a->base_gfn < a->npages)
			return gfn - a->base_gfn + a->target_gfn;
	}
	return gfn;
}

/*
 * ---- mmu notifier ----
 *
 * An invalidation is under way from begin to end: meanwhile no fault of that
 * range installs an spte, and one that asked the host for its page before sees
 * notifier_seq moved.  See Documentation/locking.rst.
 */

static void begin_invalidation(struct kvm *kvm, hva_t start, hva_t end)
	__kvm_must_hold(mmu_lock)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	if (!kvm->notifier_count++) {
		kvm->notifier_start = start;
		kvm->notifier_end = end;
		return;
	}
	/* One range that covers all that are under way: some faults retry without need. */
	kvm->notifier_start = min(kvm->notifier_start, start);
	kvm->notifier_end = max(kvm->notifier_end, end);
}

/* Until thaw() all faults on these host addresses retry. */
static void freeze(struct kvm *kvm, hva_t start, hva_t end)
{
	write_lock(&kvm->mmu_lock);
	begin_invalidation(kvm, start, end);
	kvm_mmu_unlock(kvm);
}

/* Ends what freeze(), or the notifier, began. */
static void thaw(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	kvm->notifier_seq++;
	kvm->notifier_count--;
	kvm_mmu_unlock(kvm);
}

typedef bool (*range_fn)(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
			 bool arg);

/* Some slots that have memory of a range. */
#define HVA_SLOTS_MAX	8

struct hva_slots {
	int nr;
	struct kvm_memory_slot *slot[HVA_SLOTS_MAX];
};

/* Those that have memory in [start, end), by the tree.  False: they are too many. */
static bool find_hva_slots(struct kvm *kvm, hva_t start, hva_t end, struct hva_slots *found)
	__kvm_must_hold(mmu_lock)
{
	struct interval_tree_node *node;

	found->nr = 0;
	for (node = interval_tree_iter_first(&kvm->hva_tree, start, end - 1); node;
	     node = interval_tree_iter_next(node, start, end - 1)) {
		if (found->nr == HVA_SLOTS_MAX)
			return false;
		found->slot[found->nr++] = container_of(node, struct kvm_memory_slot, hva_node);
	}
	return true;
}

/* fn for what one slot has of [start, end) of host addresses. */
static bool for_slot_range(struct kvm *kvm, struct kvm_memory_slot *slot, hva_t start, hva_t end,
			   range_fn fn, bool arg)
{
	hva_t first = max(start, slot->userspace_addr);
	hva_t last = min(end, slot->userspace_addr + (slot->npages << PAGE_SHIFT));

	if (first >= last)
		return false;
	first -= slot->userspace_addr;
	last -= slot->userspace_addr;
	return fn(kvm, slot, slot->base_gfn + (first >> PAGE_SHIFT),
		  slot->base_gfn + ((last + PAGE_SIZE - 1) >> PAGE_SHIFT), arg);
}

/*
 * fn for the guest frames behind [start, end) of host addresses.  It may let go of mmu_lock, and
 * the tree change meanwhile: so the slots are found first; srcu, which is held too, keeps them.
 */
static bool for_hva_range(struct kvm *kvm, hva_t start, hva_t end, range_fn fn, bool arg)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	struct hva_slots found;
	bool ret = false;
	int i;

	if (find_hva_slots(kvm, start, end, &found)) {
		for (i = 0; i < found.nr; i++)
			ret |= for_slot_range(kvm, found.slot[i], start, end, fn, arg);
		return ret;
	}
	for (i = 0; i < slots->nr; i++)
		ret |= for_slot_range(kvm, slots->slot[i], start, end, fn, arg);
	return ret;
}

static struct kvm *notifier_to_kvm(struct mmu_notifier *mn)
{
	return container_of(mn, struct kvm, notifier);
}

static int notify_invalidate_start(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	struct kvm *kvm = notifier_to_kvm(mn);
	int idx = srcu_read_lock(&kvm->srcu);

	write_lock(&kvm->mmu_lock);
	begin_invalidation(kvm, range->start, range->end);
	/* Faults keep out of the range meanwhile; srcu keeps the slots. */
	kvm_mmu_flush(kvm, for_hva_range(kvm, range->start, range->end, kvm_mmu_unmap_range,
					 mmu_notifier_range_blockable(range)));
	kvm_mmu_unlock(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
	return 0;
}

static void notify_invalidate_end(struct mmu_notifier *mn, const struct mmu_notifier_range *range)
{
	thaw(notifier_to_kvm(mn));
}

static bool age(struct kvm *kvm, hva_t start, hva_t end, bool clear, bool flush)
{
	int idx = srcu_read_lock(&kvm->srcu);
	bool young;

	write_lock(&kvm->mmu_lock);
	young = for_hva_range(kvm, start, end, kvm_mmu_age_range, clear);
	if (flush && young)
		kvm_mmu_flush(kvm, true);
	kvm_mmu_unlock(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
	return young;
}

static kvm_young_t notify_clear_flush_young(struct mmu_notifier *mn, struct mm_struct *mm,
					    unsigned long start, unsigned long end)
{
	return age(notifier_to_kvm(mn), start, end, true, true);
}

/* Without a flush the TLB may hide some accesses: good enough for idle tracking. */
static kvm_young_t notify_clear_young(struct mmu_notifier *mn, struct mm_struct *mm,
				      unsigned long start, unsigned long end)
{
	return age(notifier_to_kvm(mn), start, end, true, false);
}

static kvm_young_t notify_test_young(struct mmu_notifier *mn, struct mm_struct *mm,
				     unsigned long address)
{
	return age(notifier_to_kvm(mn), address, address + 1, false, false);
}

/*
 * The address space goes, all its pages with it.  No vcpu runs any more, as
 * only threads of this address space may run one, and none can begin to.
 */
static void notify_release(struct mmu_notifier *mn, struct mm_struct *mm)
{
	struct kvm *kvm = notifier_to_kvm(mn);
	int idx = srcu_read_lock(&kvm->srcu);

	kvm_mmu_zap_all(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
}

static const struct mmu_notifier_ops notifier_ops = {
	.invalidate_range_start = notify_invalidate_start,
	.invalidate_range_end = notify_invalidate_end,
	.clear_flush_young = notify_clear_flush_young,
	.clear_young = notify_clear_young,
	.test_young = notify_test_young,
	.release = notify_release,
};

/*
 * ---- publishing ----
 */

static struct kvm_memslots *alloc_slots(int nr)
{
	struct kvm_memslots *slots;

	slots = kvmalloc(struct_size(slots, slot, nr), GFP_KERNEL_ACCOUNT);
	if (slots) {
		memset(slots, 0, sizeof(*slots));
		slots->nr = nr;
	}
	return slots;
}

/* Entries [from, to) of one array, to index n of another. */
static void copy_slots(struct kvm_memslots *new, int n, const struct kvm_memslots *old, int from,
		       int to)
{
	memcpy(&new->slot[n], &old->slot[from], (to - from) * sizeof(new->slot[0]));
}

/* A copy of the current array without @out, with @in; either may be NULL. */
static struct kvm_memslots *edit_slots(struct kvm *kvm, const struct kvm_memory_slot *out,
				       struct kvm_memory_slot *in)
{
	struct kvm_memslots *old = kvm_memslots(kvm), *new;
	int without = out ? find_slot(old, out->base_gfn) : old->nr;
	int at = in ? slot_after(old, in->base_gfn) : old->nr;

	new = alloc_slots(old->nr - !!out + !!in);
	if (!new)
		return NULL;
	new->npages = old->npages - (out ? out->npages : 0) + (in ? in->npages : 0);
	new->has_aliases = old->has_aliases;
	memcpy(new->alias, old->alias, sizeof(new->alias));
	if (without < at) {
		/* In front of the new one there is one less. */
		copy_slots(new, 0, old, 0, without);
		copy_slots(new, without, old, without + 1, at);
		copy_slots(new, at - 1 + !!in, old, at, old->nr);
		at--;
	} else {
		copy_slots(new, 0, old, 0, at);
		copy_slots(new, at + !!in, old, at, without);
		if (out)
			copy_slots(new, without + !!in, old, without + 1, old->nr);
	}
	if (in)
		new->slot[at] = in;
	return new;
}

/*
 * Make new the current array, which edit_slots() made without @out and with @in.  Returns
 * the old one, which may still be in use, but not by who has mmu_lock alone.
 */
static struct kvm_memslots *publish(struct kvm *kvm, struct kvm_memslots *new,
				    struct kvm_memory_slot *out, struct kvm_memory_slot *in)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memslots *old = kvm_memslots(kvm);

	lockdep_assert_held(&kvm->slots_lock);
	new->generation = old->generation + 1;
	write_lock(&kvm->mmu_lock);
	rcu_assign_pointer(kvm->memslots, new);
	if (out)
		interval_tree_remove(&out->hva_node, &kvm->hva_tree);
	if (in)
		interval_tree_insert(&in->hva_node, &kvm->hva_tree);
	kvm_mmu_set_limit(kvm, new->npages);
	kvm_mmu_unlock(kvm);
	return old;
}

/* From now on id means slot; NULL: nothing. */
static void set_slot_id(struct kvm *kvm, u16 id, struct kvm_memory_slot *slot)
	__kvm_must_hold(slots_lock)
{
	/* Reserved by set_region(), so this cannot fail. */
	if (slot)
		xa_store(&kvm->slot_ids, id, slot, GFP_NOWAIT);
	else
		xa_erase(&kvm->slot_ids, id);
}

/* Arrays that nobody uses any more. */
static void free_old_slots(struct kvm *kvm)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memslots *old, *next;

	for (old = kvm->old_slots; old; old = next) {
		next = old->next;
		kvfree(old);
	}
	kvm->old_slots = NULL;
	kvm->nr_old_slots = 0;
}

static void retire_slots(struct kvm *kvm, struct kvm_memslots *old)
	__kvm_must_hold(slots_lock)
{
	old->next = kvm->old_slots;
	kvm->old_slots = old;
	kvm->nr_old_slots += old->nr + 1;
}

/* Publish; on return nobody uses the old array, nor what is only in it. */
static void publish_and_wait(struct kvm *kvm, struct kvm_memslots *new,
			     struct kvm_memory_slot *out, struct kvm_memory_slot *in)
	__kvm_must_hold(slots_lock)
{
	retire_slots(kvm, publish(kvm, new, out, in));
	kvm_wait_for_readers(kvm);
	free_old_slots(kvm);
}

/*
 * Nothing was taken away, so whoever uses the old array may go on with it: it is freed by the
 * next who waits.
 */
static void publish_addition(struct kvm *kvm, struct kvm_memslots *new, struct kvm_memory_slot *in)
	__kvm_must_hold(slots_lock)
{
	retire_slots(kvm, publish(kvm, new, NULL, in));
	if (kvm->nr_old_slots < OLD_SLOTS_MAX)
		return;
	kvm_wait_for_readers(kvm);
	free_old_slots(kvm);
}

/*
 * ---- changing slots; slots_lock held ----
 */

/* Whole u64s, as userspace's bitmap is. */
static size_t dirty_bytes(const struct kvm_memory_slot *slot)
{
	return ALIGN(slot->npages, 64) / 8;
}

/* The words of a dirty log whose bits have one bit in slot->dirty_units. */
#define UNIT_WORDS	64UL
#define UNIT_BYTES	(UNIT_WORDS * sizeof(long))
#define UNIT_PAGES	(UNIT_WORDS * BITS_PER_LONG)

static unsigned long nr_units(const struct kvm_memory_slot *slot)
{
	return DIV_ROUND_UP(slot->npages, UNIT_PAGES);
}

/* Initially set, userspace need not fetch a first log to know that it has nothing yet. */
static int alloc_dirty_bitmap(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	size_t units = BITS_TO_LONGS(nr_units(slot)) * sizeof(long);

	slot->dirty_bitmap = kvzalloc(dirty_bytes(slot) + units, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!slot->dirty_bitmap)
		return -ENOMEM;
	slot->dirty_units = slot->dirty_bitmap + dirty_bytes(slot) / sizeof(long);
	if (!kvm->dirty_ring_entries &&
	    (READ_ONCE(kvm->dirty_log_manual) & KVM_DIRTY_LOG_INITIALLY_SET)) {
		bitmap_set(slot->dirty_bitmap, 0, slot->npages);
		bitmap_set(slot->dirty_units, 0, nr_units(slot));
	}
	return 0;
}

/** kvm_set_dirty - set the bit of page @i in a logged slot's bitmap. Any context. */
void kvm_set_dirty(struct kvm_memory_slot *slot, unsigned long i)
{
	/* The bit, then its unit's: who reads the log clears that before he looks at the bits. */
	if (test_bit_le(i, slot->dirty_bitmap))
		return;
	set_bit_le(i, slot->dirty_bitmap);
	smp_mb__after_atomic();
	if (!test_bit(i / UNIT_PAGES, slot->dirty_units))
		set_bit(i / UNIT_PAGES, slot->dirty_units);
}

/* A page of one unit, from @from on: its bit goes.  False: there is none. */
static bool take_from_unit(struct kvm_memory_slot *slot, unsigned long unit, unsigned long *from)
{
	unsigned long i = max(*from, unit * UNIT_PAGES);
	unsigned long end = min((unit + 1) * UNIT_PAGES, slot->npages);

	clear_bit(unit, slot->dirty_units);
	smp_mb__after_atomic();
	for (i = find_next_bit_le(slot->dirty_bitmap, end, i); i < end;
	     i = find_next_bit_le(slot->dirty_bitmap, end, i)) {
		/* Of those behind it nobody else tells. */
		set_bit(unit, slot->dirty_units);
		if (test_and_clear_bit_le(i, slot->dirty_bitmap)) {
			*from = i;
			return true;
		}
	}
	return false;
}

/** kvm_take_dirty - take one page, not before @from, out of a logged slot's bitmap; others may be
 * doing it, too. Returns false if there is none, else @from is the page.
 */
bool kvm_take_dirty(struct kvm_memory_slot *slot, unsigned long *from)
{
	unsigned long unit = *from / UNIT_PAGES;

	for_each_set_bit_from(unit, slot->dirty_units, nr_units(slot))
		if (take_from_unit(slot, unit, from))
			return true;
	return false;
}

/* Add to the log; vcpus may be setting bits at the same time. */
static void add_to_dirty_log(struct kvm *kvm, struct kvm_memory_slot *slot, const unsigned long *log)
{
	unsigned long i;

	for_each_set_bit(i, log, slot->npages)
		kvm_set_dirty(slot, i);
	/* With rings these are what found one full. */
	smp_mb();
	WRITE_ONCE(kvm->dirty_left, true);
}

/*
 * The kernel's own memory goes; its mapping too, unless this is another
 * process, or one whose address space is gone already.
 */
static void free_memory(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	if (!slot->memory)
		return;
	if (current->mm == kvm->mm)
		vm_munmap(slot->userspace_addr, slot->npages << PAGE_SHIFT);
	fput(slot->memory);
}

static void free_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	free_memory(kvm, slot);
	kvm_mmu_slot_free(slot);
	kvfree(slot->dirty_bitmap);
	kfree(slot);
}

/* What the VM fd's mappings show of these frames is looked up again. */
static void forget_mapped(struct kvm *kvm, gfn_t gfn, unsigned long npages)
{
	unmap_mapping_range(&kvm->mapping, gfn_to_gpa(gfn), (loff_t)npages << PAGE_SHIFT, 1);
}

static bool overlaps(struct kvm *kvm, const struct kvm_memory_slot *new,
		     const struct kvm_memory_slot *except)
{
	struct kvm_memslots *slots = kvm_memslots(kvm);
	int i;

	/* From the last that begins within it, or before, downwards. */
	for (i = slot_after(slots, new->base_gfn + new->npages - 1) - 1; i >= 0; i--) {
		const struct kvm_memory_slot *s = slots->slot[i];

		if (s->base_gfn + s->npages <= new->base_gfn)
			return false;
		if (s != except)
			return true;
	}
	return false;
}

/* A slot was added: drop what was made because there was none. */
static void zap_new_slot(struct kvm *kvm, const struct kvm_memory_slot *new)
{
	gpa_t apic_page = READ_ONCE(kvm->apic_page);

	/* Shadows of page tables outside any slot are empty. */
	kvm_mmu_zap_shadows(kvm, new->base_gfn, new->npages);
	if (apic_page && gpa_to_gfn(apic_page) - new->base_gfn < new->npages)
		kvm_mmu_unmap_page(kvm, apic_page);
}

/* Whatever may fail: tables and log of new, and the array that has it in place of old. */
static int prepare_slot(struct kvm *kvm, const struct kvm_memory_slot *old,
			struct kvm_memory_slot *new, struct kvm_memslots **slots)
{
	int r;

	if (overlaps(kvm, new, old))
		return -EEXIST;
	r = kvm_mmu_slot_alloc(new);
	if (r)
		return r;
	if ((new->flags & KVM_MEM_LOG_DIRTY_PAGES) && alloc_dirty_bitmap(kvm, new))
		goto out_arch;
	*slots = edit_slots(kvm, old, new);
	if (*slots)
		return 0;
	kvfree(new->dirty_bitmap);
out_arch:
	kvm_mmu_slot_free(new);
	return -ENOMEM;
}

static int create_slot(struct kvm *kvm, struct kvm_memory_slot *new)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memslots *slots;
	int r = prepare_slot(kvm, NULL, new, &slots);

	if (r)
		return r;
	publish_addition(kvm, slots, new);
	set_slot_id(kvm, new->id, new);
	zap_new_slot(kvm, new);
	return 0;
}

/*
 * The slot's sptes go while it can still be found, so that the notifier misses
 * none; and while it is frozen, so that none comes back before it is gone.
 */
static void replace_slot(struct kvm *kvm, struct kvm_memory_slot *old, struct kvm_memory_slot *new,
			 struct kvm_memslots *slots)
	__kvm_must_hold(slots_lock)
{
	freeze(kvm, old->userspace_addr, old->userspace_addr + (old->npages << PAGE_SHIFT));
	kvm_mmu_zap_slot(kvm, old);
	publish_and_wait(kvm, slots, old, new);
	/* Roots may have been made meanwhile, and counted in the tables of the old slot. */
	kvm_mmu_zap_shadows(kvm, old->base_gfn, old->npages);
	thaw(kvm);
}

static int delete_slot(struct kvm *kvm, struct kvm_memory_slot *old)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memslots *slots = edit_slots(kvm, old, NULL);

	if (!slots)
		return -ENOMEM;
	replace_slot(kvm, old, NULL, slots);
	set_slot_id(kvm, old->id, NULL);
	forget_mapped(kvm, old->base_gfn, old->npages);
	free_slot(kvm, old);
	return 0;
}

static int move_slot(struct kvm *kvm, struct kvm_memory_slot *old, struct kvm_memory_slot *new)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memslots *slots;
	int r = prepare_slot(kvm, old, new, &slots);

	if (r)
		return r;
	replace_slot(kvm, old, new, slots);
	set_slot_id(kvm, new->id, new);
	zap_new_slot(kvm, new);
	/* The log counts from the slot's beginning: what it had goes along. */
	if (old->dirty_bitmap && new->dirty_bitmap)
		add_to_dirty_log(kvm, new, old->dirty_bitmap);
	forget_mapped(kvm, old->base_gfn, old->npages);
	old->memory = NULL;
	free_slot(kvm, old);
	return 0;
}

/* Of two versions of a slot: mmu_lock guards what is in the tables, not where they are. */
static void share_tables(struct kvm_memory_slot *new, const struct kvm_memory_slot *old)
	__kvm_unshared
{
	new->arch = old->arch;
}

/* Dirty logging on or off: another version of the slot with the same tables. */
static int change_flags(struct kvm *kvm, struct kvm_memory_slot *old, struct kvm_memory_slot *new)
	__kvm_must_hold(slots_lock)
{
	bool log = new->flags & KVM_MEM_LOG_DIRTY_PAGES;
	struct kvm_memslots *slots;

	share_tables(new, old);
	if (log && alloc_dirty_bitmap(kvm, new))
		return -ENOMEM;
	slots = edit_slots(kvm, old, new);
	if (!slots) {
		kvfree(new->dirty_bitmap);
		return -ENOMEM;
	}
	publish_and_wait(kvm, slots, old, new);
	set_slot_id(kvm, new->id, new);
	/* Faults see the log since the grace period; write-protect what was mapped before. */
	if (log)
		kvm_mmu_slot_write_protect(kvm, new);
	else
		kvm_mmu_slot_merge(kvm, new);
	kvfree(old->dirty_bitmap);
	kfree(old);
	return 0;
}

static int change_slot(struct kvm *kvm, struct kvm_memory_slot *old, struct kvm_memory_slot *new)
	__kvm_must_hold(slots_lock)
{
	if (new->npages != old->npages || new->userspace_addr != old->userspace_addr ||
	    new->memory != old->memory || ((new->flags ^ old->flags) & KVM_MEM_READONLY))
		return -EINVAL;
	if (new->base_gfn != old->base_gfn)
		return move_slot(kvm, old, new);
	if (new->flags != old->flags)
		return change_flags(kvm, old, new);
	kfree(new);
	return 0;
}

/** kvm_slot_by_id - userspace's slot @id, NULL: there is none. slots_lock held. */
struct kvm_memory_slot *kvm_slot_by_id(struct kvm *kvm, u16 id)
{
	return xa_load(&kvm->slot_ids, id);
}

/* The checks that need no look at other slots. */
static bool region_valid(const struct kvm_userspace_memory_region *mem)
{
	u64 gfn = mem->guest_phys_addr >> PAGE_SHIFT, npages = mem->memory_size >> PAGE_SHIFT;

	/* Address spaces other than 0 are in the upper bits. */
	if (mem->slot >= KVM_MEM_SLOTS || (mem->flags & ~SLOT_FLAGS))
		return false;
	if ((mem->memory_size | mem->guest_phys_addr | mem->userspace_addr) & ~PAGE_MASK)
		return mem->memory_size == 0;
	if (npages > SLOT_MAX_PAGES || gfn >= GFN_LIMIT || npages > GFN_LIMIT - gfn)
		return mem->memory_size == 0;
	return mem->userspace_addr <= TASK_SIZE_MAX &&
	       mem->memory_size <= TASK_SIZE_MAX - mem->userspace_addr;
}

static void set_hva(struct kvm_memory_slot *slot, hva_t hva)
{
	slot->userspace_addr = hva;
	slot->hva_node.start = hva;
	slot->hva_node.last = hva + (slot->npages << PAGE_SHIFT) - 1;
}

static struct kvm_memory_slot *make_slot(const struct kvm_userspace_memory_region *mem)
{
	struct kvm_memory_slot *new = kzalloc(sizeof(*new), GFP_KERNEL_ACCOUNT);

	if (!new)
		return NULL;
	new->id = mem->slot;
	new->flags = mem->flags;
	new->base_gfn = mem->guest_phys_addr >> PAGE_SHIFT;
	new->npages = mem->memory_size >> PAGE_SHIFT;
	set_hva(new, mem->userspace_addr);
	return new;
}

/*
 * ---- memory that the kernel provides ----
 *
 * A file of its own in memory for each slot, mapped into the VMM's address
 * space: from there on the slot is as any other.  If the VMM unmaps it there the
 * guest has lost it.
 */

static int alloc_memory(struct kvm_memory_slot *new)
{
	unsigned long size = new->npages << PAGE_SHIFT, addr;
	struct file *file = kvm_shmem_file("kvm-memory", size);

	if (IS_ERR(file))
		return PTR_ERR(file);
	addr = vm_mmap(file, 0, size, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
	if (IS_ERR_VALUE(addr)) {
		fput(file);
		return addr;
	}
	new->memory = file;
	set_hva(new, addr);
	return 0;
}

static int create_region(struct kvm *kvm, struct kvm_memory_slot *new)
	__kvm_must_hold(slots_lock)
{
	int r = alloc_memory(new);

	if (r)
		return r;
	r = create_slot(kvm, new);
	if (r)
		free_memory(kvm, new);
	return r;
}

/*
 * ---- regions ----
 */

/* own: the kernel provides the memory. */
static int set_region(struct kvm *kvm, const struct kvm_userspace_memory_region *mem, bool own)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memory_slot *old = kvm_slot_by_id(kvm, mem->slot), *new;
	int r;

	if (!mem->memory_size)
		return old ? delete_slot(kvm, old) : -EINVAL;
	/* A slot of userspace's memory does not become one of the kernel's. */
	if (own && old && !old->memory)
		return -EINVAL;
	r = xa_reserve(&kvm->slot_ids, mem->slot, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;
	new = make_slot(mem);
	if (!new) {
		xa_release(&kvm->slot_ids, mem->slot);
		return -ENOMEM;
	}
	if (own && old) {
		new->memory = old->memory;
		set_hva(new, old->userspace_addr);
	}
	if (old)
		r = change_slot(kvm, old, new);
	else
		r = own ? create_region(kvm, new) : create_slot(kvm, new);
	if (r) {
		xa_release(&kvm->slot_ids, mem->slot);
		kfree(new);
	}
	return r;
}

/** kvm_set_user_memory_region - KVM_SET_USER_MEMORY_REGION. Its own mm is current.
 * Sleeps, takes slots_lock. Returns 0; -EINVAL for what the API forbids (a slot that
 * is not there to delete, too), -EEXIST for an overlap, -ENOMEM. On an error nothing
 * changed.
 */
int kvm_set_user_memory_region(struct kvm *kvm, const struct kvm_userspace_memory_region *mem)
{
	int r;

	if (!region_valid(mem))
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	r = set_region(kvm, mem, false);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/** kvm_set_user_memory_region2 - KVM_SET_USER_MEMORY_REGION2: the same with room for
 * what this module has not: there are no guest_memfds, whose flag is -EINVAL as an
 * unknown one is, and whose fields mean nothing without it.
 */
int kvm_set_user_memory_region2(struct kvm *kvm, const struct kvm_userspace_memory_region2 *mem)
{
	const struct kvm_userspace_memory_region region = {
		.slot = mem->slot,
		.flags = mem->flags,
		.guest_phys_addr = mem->guest_phys_addr,
		.memory_size = mem->memory_size,
		.userspace_addr = mem->userspace_addr,
	};

	if (mem->pad1 || memchr_inv(mem->pad2, 0, sizeof(mem->pad2)))
		return -EINVAL;
	return kvm_set_user_memory_region(kvm, &region);
}

/** kvm_set_memory_region - KVM_SET_MEMORY_REGION: a slot of the kernel's memory, zero
 * at first, and kept when the slot moves or changes its flags. As
 * kvm_set_user_memory_region(); -EINVAL too for another size, or a slot of userspace's
 * memory.
 */
int kvm_set_memory_region(struct kvm *kvm, const struct kvm_memory_region *region)
{
	struct kvm_userspace_memory_region mem = {
		.slot = region->slot,
		.flags = region->flags,
		.guest_phys_addr = region->guest_phys_addr,
		.memory_size = region->memory_size,
	};
	int r;

	if ((mem.flags & ~KVM_MEM_LOG_DIRTY_PAGES) || !region_valid(&mem))
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	r = set_region(kvm, &mem, true);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/*
 * The page is mapped while the slot cannot go: who takes the slot away waits
 * for us, and unmaps afterwards.
 */
static vm_fault_t map_frame(struct kvm *kvm, struct vm_area_struct *vma, unsigned long addr,
			    gfn_t gfn)
{
	struct kvm_memory_slot *slot = kvm_gfn_to_slot(kvm, gfn);
	struct page *page;
	vm_fault_t r;

	if (!slot || !slot->memory)
		return VM_FAULT_SIGBUS;
	page = shmem_read_mapping_page(slot->memory->f_mapping, gfn - slot->base_gfn);
	if (IS_ERR(page))
		return vmf_error(PTR_ERR(page));
	r = vmf_insert_page(vma, addr, page);
	put_page(page);
	return r;
}

static vm_fault_t vm_file_fault(struct vm_fault *vmf)
{
	struct kvm *kvm = vmf->vma->vm_file->private_data;
	int idx = srcu_read_lock(&kvm->srcu);
	vm_fault_t r;

	r = map_frame(kvm, vmf->vma, vmf->address & PAGE_MASK, kvm_unalias_gfn(kvm, vmf->pgoff));
	srcu_read_unlock(&kvm->srcu, idx);
	return r;
}

static const struct vm_operations_struct vm_file_vm_ops = {
	.fault = vm_file_fault,
};

/** kvm_vm_mmap - mmap() of a VM fd: the kernel's memory, by guest physical address.
 * @vma is shared; where there is no such memory an access is SIGBUS. Returns 0 or
 * -EINVAL.
 */
int kvm_vm_mmap(struct kvm *kvm, struct vm_area_struct *vma)
{
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (vma->vm_pgoff >= GFN_LIMIT || vma_pages(vma) > GFN_LIMIT - vma->vm_pgoff)
		return -EINVAL;
	vm_flags_set(vma, VM_MIXEDMAP | VM_DONTEXPAND);
	vma->vm_ops = &vm_file_vm_ops;
	return 0;
}

/*
 * ---- aliases ----
 */

static int set_alias(struct kvm *kvm, unsigned int i, const struct kvm_alias *alias)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memslots *slots = edit_slots(kvm, NULL, NULL);
	int j;

	if (!slots)
		return -ENOMEM;
	slots->alias[i] = *alias;
	slots->has_aliases = false;
	for (j = 0; j < KVM_NR_ALIASES; j++)
		slots->has_aliases |= slots->alias[j].npages != 0;

	/* Reverse maps are kept by target frame: all go before it changes. */
	freeze(kvm, 0, ~0UL);
	kvm_mmu_zap_all(kvm);
	publish_and_wait(kvm, slots, NULL, NULL);
	/* Shadows made meanwhile were made by the old aliases. */
	kvm_mmu_zap_all(kvm);
	thaw(kvm);
	unmap_mapping_range(&kvm->mapping, 0, 0, 1);
	return 0;
}

/** kvm_set_memory_alias - KVM_SET_MEMORY_ALIAS: a window of gpa onto another; size 0
 * takes it away. Its own mm is current. Sleeps, takes slots_lock. Returns 0, -EINVAL
 * or -ENOMEM.
 */
int kvm_set_memory_alias(struct kvm *kvm, const struct kvm_memory_alias *mem)
{
	struct kvm_alias alias = {
		.base_gfn = mem->guest_phys_addr >> PAGE_SHIFT,
		.npages = mem->memory_size >> PAGE_SHIFT,
		.target_gfn = mem->target_phys_addr >> PAGE_SHIFT,
	};
	int r;

	if (mem->slot >= KVM_NR_ALIASES || mem->flags)
		return -EINVAL;
	if ((mem->memory_size | mem->guest_phys_addr | mem->target_phys_addr) & ~PAGE_MASK)
		return -EINVAL;
	if (alias.base_gfn >= GFN_LIMIT || alias.target_gfn >= GFN_LIMIT ||
	    mem->memory_size >> PAGE_SHIFT > GFN_LIMIT - max(alias.base_gfn, alias.target_gfn))
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	r = set_alias(kvm, mem->slot, &alias);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/*
 * ---- dirty logs ----
 */

/** kvm_mark_page_dirty - the dirty log, or the vcpu's ring, hears of a write to @gfn, not an
 * alias, by the vcpu or for it. srcu, slots_lock or mmu_lock held; @slot is current, or was at
 * the grace period.
 */
void kvm_mark_page_dirty(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, gfn_t gfn)
{
	unsigned long i;

	if (likely(!slot->dirty_bitmap))
		return;
	i = array_index_nospec(gfn - slot->base_gfn, slot->npages);
	if (unlikely(vcpu->dirty_ring.entry))
		kvm_dirty_ring_mark(vcpu, slot, i);
	else
		kvm_set_dirty(slot, i);
}

/** kvm_mark_gpa_dirty - likewise, by the vendor: the processor has noted a write. Just
 * out of guest mode, srcu held.
 */
void kvm_mark_gpa_dirty(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	gfn_t gfn = kvm_unalias_gfn(vcpu->kvm, gpa_to_gfn(gpa));
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_slot(vcpu, gfn);

	if (slot)
		kvm_mark_page_dirty(vcpu, slot, gfn);
}
EXPORT_SYMBOL_GPL(kvm_mark_gpa_dirty);

/*
 * Take those bits of mask that are set, from page i on, and protect their pages: a
 * bit that is set after the exchange belongs to the next log, and its page
 * faults again once the TLBs are flushed.
 */
static unsigned long take_dirty_word(struct kvm *kvm, struct kvm_memory_slot *slot,
				     unsigned long i, unsigned long mask)
	__kvm_must_hold(mmu_lock)
{
	atomic_long_t *word;

	i = array_index_nospec(i, slot->npages);
	word = (atomic_long_t *)&slot->dirty_bitmap[i / BITS_PER_LONG];
	if (i + BITS_PER_LONG > slot->npages)
		mask &= BIT(slot->npages - i) - 1;
	mask &= mask ? atomic_long_fetch_andnot(mask, word) : 0;
	if (mask)
		kvm_mmu_write_protect_masked(kvm, slot, i, mask);
	return mask;
}

/* The words [i, end) of one unit, into log. */
static bool take_dirty_unit(struct kvm *kvm, struct kvm_memory_slot *slot, unsigned long *log,
			    unsigned long i, unsigned long end)
	__kvm_must_hold(mmu_lock)
{
	unsigned long any = 0;

	for (; i < end; i++) {
		log[i] = 0;
		if (!slot->dirty_bitmap[i])
			continue;
		log[i] = take_dirty_word(kvm, slot, i * BITS_PER_LONG, ~0UL);
		any |= log[i];
		kvm_mmu_resched(kvm);
	}
	return any;
}

static void take_dirty_log(struct kvm *kvm, struct kvm_memory_slot *slot, unsigned long *log)
{
	unsigned long unit, i, end, n = dirty_bytes(slot) / sizeof(long);
	bool any = false;

	write_lock(&kvm->mmu_lock);
	for (unit = 0; unit < nr_units(slot); unit++) {
		i = unit * UNIT_WORDS;
		end = min(i + UNIT_WORDS, n);
		if (test_and_clear_bit(unit, slot->dirty_units))
			any |= take_dirty_unit(kvm, slot, log, i, end);
		else
			memset(&log[i], 0, (end - i) * sizeof(long));
	}
	kvm_mmu_flush(kvm, any);
	kvm_mmu_unlock(kvm);
}

/* May a unit have a set bit?  If not its own goes. */
static bool unit_dirty(struct kvm_memory_slot *slot, unsigned long unit, size_t bytes)
{
	const void *words = slot->dirty_bitmap + unit * UNIT_WORDS;

	if (!test_bit(unit, slot->dirty_units))
		return false;
	if (memchr_inv(words, 0, bytes))
		return true;
	clear_bit(unit, slot->dirty_units);
	smp_mb__after_atomic();
	if (!memchr_inv(words, 0, bytes))
		return false;
	set_bit(unit, slot->dirty_units);
	return true;
}

/* As it is, for KVM_CLEAR_DIRTY_LOG to clear and protect. */
static int show_dirty_log(struct kvm_memory_slot *slot, void __user *user)
{
	unsigned long unit;
	size_t at, bytes;

	for (unit = 0; unit < nr_units(slot); unit++) {
		at = unit * UNIT_BYTES;
		bytes = min(UNIT_BYTES, dirty_bytes(slot) - at);
		if (unit_dirty(slot, unit, bytes) ?
		    copy_to_user(user + at, (void *)slot->dirty_bitmap + at, bytes) :
		    clear_user(user + at, bytes))
			return -EFAULT;
	}
	return 0;
}

static int get_dirty_log(struct kvm *kvm, u16 id, void __user *user)
	__kvm_must_hold(slots_lock)
{
	struct kvm_memory_slot *slot = kvm_slot_by_id(kvm, id);
	unsigned long *log;
	int r = 0;

	if (!slot || !slot->dirty_bitmap)
		return -ENOENT;
	/* Processors' page-modification logs are read when they leave the guest. */
	if (kvm_ops.nested_dirty_log)
		kvm_make_all_vcpus_request(kvm, KVM_REQ_OUTSIDE_GUEST);
	if (READ_ONCE(kvm->dirty_log_manual))
		return show_dirty_log(slot, user);
	if (bitmap_empty(slot->dirty_units, nr_units(slot)))
		return clear_user(user, dirty_bytes(slot)) ? -EFAULT : 0;
	log = kvmalloc(dirty_bytes(slot), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!log)
		return -ENOMEM;
	take_dirty_log(kvm, slot, log);
	if (copy_to_user(user, log, dirty_bytes(slot))) {
		/* Userspace did not get the log: put its bits back. */
		add_to_dirty_log(kvm, slot, log);
		r = -EFAULT;
	}
	kvfree(log);
	return r;
}

/** kvm_get_dirty_log - KVM_GET_DIRTY_LOG: what was written since the last call. Sleeps,
 * takes slots_lock. Returns 0; -ENXIO: the VM has rings instead; -EINVAL: no such slot
 * can be; -ENOENT: it is not there, or not logged; -ENOMEM; -EFAULT.
 */
int kvm_get_dirty_log(struct kvm *kvm, const struct kvm_dirty_log *log)
{
	int r;

	if (READ_ONCE(kvm->dirty_ring_entries))
		return -ENXIO;
	if (log->slot >= KVM_MEM_SLOTS)
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	r = get_dirty_log(kvm, log->slot, log->dirty_bitmap);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

static int clear_dirty_log(struct kvm *kvm, struct kvm_memory_slot *slot,
			   const struct kvm_clear_dirty_log *log)
{
	unsigned long i, n = DIV_ROUND_UP(log->num_pages, BITS_PER_LONG), *bits;
	bool any = false;

	bits = kvcalloc(n, sizeof(long), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!bits)
		return -ENOMEM;
	if (copy_from_user(bits, log->dirty_bitmap, DIV_ROUND_UP(log->num_pages, 8))) {
		kvfree(bits);
		return -EFAULT;
	}
	write_lock(&kvm->mmu_lock);
	for (i = 0; i < n; i++) {
		any |= take_dirty_word(kvm, slot, log->first_page + i * BITS_PER_LONG, bits[i]);
		kvm_mmu_resched(kvm);
	}
	kvm_mmu_flush(kvm, any);
	kvm_mmu_unlock(kvm);
	kvfree(bits);
	return 0;
}

/** kvm_clear_dirty_log - KVM_CLEAR_DIRTY_LOG: userspace has dealt with these pages,
 * whole words of the bitmap but for the slot's end. Sleeps, takes slots_lock. Returns
 * 0; -ENXIO: the VM has rings instead; -EINVAL: no such range can be; -ENOENT: no such
 * slot, or not logged; -ENOMEM; -EFAULT.
 */
int kvm_clear_dirty_log(struct kvm *kvm, const struct kvm_clear_dirty_log *log)
{
	struct kvm_memory_slot *slot;
	int r;

	if (READ_ONCE(kvm->dirty_ring_entries))
		return -ENXIO;
	if (log->slot >= KVM_MEM_SLOTS || (log->first_page & 63))
		return -EINVAL;
	mutex_lock(&kvm->slots_lock);
	slot = kvm_slot_by_id(kvm, log->slot);
	if (!slot || !slot->dirty_bitmap)
		r = -ENOENT;
	else if (log->first_page > slot->npages ||
		 log->num_pages > slot->npages - log->first_page ||
		 ((log->num_pages & 63) && log->num_pages < slot->npages - log->first_page))
		r = -EINVAL;
	else
		r = clear_dirty_log(kvm, slot, log);
	mutex_unlock(&kvm->slots_lock);
	return r;
}

/*
 * ---- life ----
 */

/** kvm_slots_init - of a new VM, whose mm is current: no slots, and the mmu notifier.
 * Returns 0 or -errno.
 */
int kvm_slots_init(struct kvm *kvm)
{
	struct kvm_memslots *slots = alloc_slots(0);
	int r;

	if (!slots)
		return -ENOMEM;
	xa_init(&kvm->slot_ids);
	kvm->hva_tree = RB_ROOT_CACHED;
	slots->generation = 1;
	rcu_assign_pointer(kvm->memslots, slots);
	kvm->notifier.ops = &notifier_ops;
	r = mmu_notifier_register(&kvm->notifier, kvm->mm);
	if (r) {
		RCU_INIT_POINTER(kvm->memslots, NULL);
		kvfree(slots);
	}
	return r;
}

/** kvm_slots_stop - the mmu notifier's end. No vcpu runs any more. Sleeps. On return no
 * notifier call is under way or comes any more; all was zapped.
 */
void kvm_slots_stop(struct kvm *kvm)
{
	mmu_notifier_unregister(&kvm->notifier, kvm->mm);
}

/** kvm_slots_destroy - all slots go; nothing else of the VM is left. Sleeps. */
void kvm_slots_destroy(struct kvm *kvm)
{
	struct kvm_memslots *slots = rcu_dereference_protected(kvm->memslots, true);
	int i;

	free_old_slots(kvm);
	for (i = 0; i < slots->nr; i++)
		free_slot(kvm, slots->slot[i]);
	kvfree(slots);
	xa_destroy(&kvm->slot_ids);
}
