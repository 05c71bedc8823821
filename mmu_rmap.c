// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reverse maps: from a guest's frame to the leaves that map it, and what is done
 * to a slot's frames by them.
 */
#include "mmu_internal.h"
#include "kvm_guest_mem.h"

#include <linux/vmalloc.h>

/*
 * ---- lists of sptes: reverse maps, and the parents of a shadow page ----
 *
 * One pointer, or a chain of nodes with bit 0 set.
 */

/*
 * False, and it is not added: there are so many that the caller is to take them all out
 * first.  A guest may map one frame as often as it likes, and removal is linear.
 */
bool rmap_add(struct kvm_vcpu *vcpu, struct kvm_rmap_head *head, u64 *sptep)
{
	struct rmap_list *list = rmap_chain(head), *new;

	if (!head->val) {
		head->val = (unsigned long)sptep;
		return true;
	}
	if (list && list->nr < ARRAY_SIZE(list->sptep)) {
		list->sptep[list->nr++] = sptep;
		return true;
	}
	if (list && list->behind >= RMAP_MAX)
		return false;
	new = cache_take(&vcpu->mmu.desc_cache);
	new->next = list;
	new->behind = list ? list->behind + list->nr : 0;
	new->nr = 0;
	if (!list)
		new->sptep[new->nr++] = (u64 *)head->val;
	new->sptep[new->nr++] = sptep;
	head->val = (unsigned long)new | 1;
	return true;
}

/* From the first node, so that all the others stay full. */
static void rmap_fill_gap(struct kvm_rmap_head *head, u64 **gap)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_list *first = rmap_chain(head);

	*gap = first->sptep[--first->nr];
	if (first->nr)
		return;
	head->val = first->next ? (unsigned long)first->next | 1 : 0;
	kmem_cache_free(rmap_kmem, first);
}

/* False: sptep was not in the list. */
bool rmap_remove(struct kvm_rmap_head *head, const u64 *sptep)
{
	struct rmap_list *list = rmap_chain(head);
	unsigned int i;

	if (!list) {
		if (head->val != (unsigned long)sptep)
			return false;
		head->val = 0;
		return true;
	}
	for (; list; list = list->next) {
		for (i = 0; i < list->nr; i++) {
			if (list->sptep[i] == sptep) {
				rmap_fill_gap(head, &list->sptep[i]);
				return true;
			}
		}
	}
	return false;
}

/*
 * ---- leaves ----
 */

/* The frame that leaf index of sp maps, not an alias. */
gfn_t rmap_leaf_gfn(struct kvm *kvm, const struct kvm_mmu_page *sp, unsigned int index)
{
	if (sp->gfns)
		return sp->gfns[index];
	return kvm_unalias_gfn(kvm, sp->gfn + index * KVM_PAGES_PER_LEVEL(sp->role.level));
}

/* head: its frame's reverse map, or NULL if it is in none. */
static void drop_leaf(struct kvm *kvm, u64 *sptep, struct kvm_rmap_head *head)
	__kvm_must_hold(mmu_lock)
{
	spte_write(sptep, 0);
	kvm->tlbs_dirty = true;
	if (sptep_to_sp(sptep)->role.level > PG_LEVEL_4K)
		kvm->stat.largepages--;
	kvm_vm_bug_on(kvm, head && !rmap_remove(head, sptep));
}

/* Drop a leaf.  The caller flushes, or leaves it to tlbs_dirty. */
void rmap_drop_leaf(struct kvm *kvm, u64 *sptep)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	struct kvm_rmap_head *head = NULL;
	struct kvm_memory_slot *slot;
	gfn_t gfn;

	gfn = rmap_leaf_gfn(kvm, sp, spte_index(sptep));
	slot = kvm_gfn_to_slot(kvm, gfn);
	/* A slot's leaves are dropped before it goes. */
	if (!kvm_vm_bug_on(kvm, !slot))
		head = slot_rmap(slot, gfn, sp->role.level);
	drop_leaf(kvm, sptep, head);
}

/* keep_mmu: it is for the dirty log, so a write fault may make it writable at once. */
static void write_protect(struct kvm *kvm, u64 *sptep, bool keep_mmu)
	__kvm_must_hold(mmu_lock)
{
	u64 old = *sptep, new = old & ~SPTE_W;

	if (!keep_mmu)
		new &= ~SPTE_MMU_WRITABLE;
	if (new == old)
		return;
	spte_write(sptep, new);
	if (old & SPTE_W)
		kvm->tlbs_dirty = true;
}

/*
 * ---- ranges of frames ----
 */

typedef bool (*head_fn)(struct kvm *kvm, struct kvm_rmap_head *head, bool arg);

/* Call fn for the non-empty reverse maps of frames [start, end).  True if one said so. */
static bool for_each_head(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
			  head_fn fn, bool arg)
	__kvm_must_hold(mmu_lock)
{
	bool any = false;
	int level;

	lockdep_assert_held_write(&kvm->mmu_lock);
	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		struct kvm_rmap_head *head = slot_rmap(slot, start, level);
		struct kvm_rmap_head *last = slot_rmap(slot, end - 1, level);

		for (; head <= last; head++)
			if (head->val)
				any |= fn(kvm, head, arg);
	}
	return any;
}

/* Drop all leaves of a frame. */
void rmap_unmap(struct kvm *kvm, struct kvm_rmap_head *head)
{
	u64 *sptep;

	while ((sptep = rmap_first(head)))
		drop_leaf(kvm, sptep, head);
}

static bool unmap_head(struct kvm *kvm, struct kvm_rmap_head *head, bool unused)
	__kvm_must_hold(mmu_lock)
{
	rmap_unmap(kvm, head);
	return true;
}

static bool write_protect_head(struct kvm *kvm, struct kvm_rmap_head *head, bool keep_mmu)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_iter it;
	u64 *sptep;

	for_each_rmap(head, &it, sptep)
		write_protect(kvm, sptep, keep_mmu);
	return true;
}

static bool age_head(struct kvm *kvm, struct kvm_rmap_head *head, bool clear)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_iter it;
	bool young = false;
	u64 *sptep;

	for_each_rmap(head, &it, sptep) {
		if (!(*sptep & SPTE_A))
			continue;
		young = true;
		if (clear)
			clear_bit(ilog2(SPTE_A), (unsigned long *)sptep);
	}
	return young;
}

/* Write-protect a frame in all leaves that map it; keep_mmu: as for write_protect(). */
void rmap_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, bool keep_mmu)
{
	for_each_head(kvm, slot, gfn, gfn + 1, write_protect_head, keep_mmu);
}

/** kvm_mmu_unmap_range - frames [start, end) lose all leaves. mmu_lock held; with
 * @may_yield it is let go now and then, outside of 2M. Returns whether there were any:
 * then the caller flushes.
 */
bool kvm_mmu_unmap_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
			 bool may_yield)
{
	bool any = false;
	gfn_t next;

	if (kvm_ops.nested_paging)
		return nested_unmap_range(kvm, start, end, may_yield);
	for (; start < end; start = next) {
		next = min(end, ALIGN(start + 1, KVM_PAGES_PER_LEVEL(PG_LEVEL_2M)));
		any |= for_each_head(kvm, slot, start, next, unmap_head, false);
		if (may_yield && next < end)
			kvm_mmu_resched(kvm);
	}
	return any;
}

/** kvm_mmu_age_range - was one of [start, end) used since last asked? @clear: as if
 * not, from now on. mmu_lock held; the caller flushes if it must know exactly next
 * time.
 */
bool kvm_mmu_age_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
		       bool clear)
{
	if (kvm_ops.nested_paging)
		return nested_age(kvm, start, end, clear);
	return for_each_head(kvm, slot, start, end, age_head, clear);
}

/** kvm_mmu_write_protect_masked - the next write to each page of @mask, from page
 * @gfn_offset of the logged @slot on, is seen. mmu_lock held, the caller flushes.
 */
void kvm_mmu_write_protect_masked(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn_offset,
				  unsigned long mask)
{
	unsigned int i;

	if (kvm_ops.nested_paging) {
		nested_write_protect_masked(kvm, slot->base_gfn + gfn_offset, mask);
		return;
	}
	for_each_set_bit(i, &mask, BITS_PER_LONG)
		rmap_write_protect(kvm, slot, slot->base_gfn + gfn_offset + i, true);
}

/*
 * ---- slots ----
 */

static void *alloc_table(unsigned long n, size_t size)
{
	/* kvcalloc() warns of sizes beyond this. */
	if (n * size > INT_MAX)
		return __vcalloc(n, size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	return kvcalloc(n, size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

/* No large page where the slot ends within it, or the host's address is not aligned alike. */
static void forbid_large_pages(struct kvm_memory_slot *slot, int level, unsigned long n)
	__kvm_unshared
{
	unsigned long mask = KVM_PAGES_PER_LEVEL(level) - 1, i;
	u32 *disallow = slot->arch.disallow_lpage[level - 2];

	if (slot->base_gfn & mask)
		disallow[0]++;
	if ((slot->base_gfn + slot->npages) & mask)
		disallow[n - 1]++;
	if (!((slot->base_gfn ^ (slot->userspace_addr >> PAGE_SHIFT)) & mask))
		return;
	for (i = 0; i < n; i++)
		disallow[i]++;
}

/** kvm_mmu_slot_free - the tables of a slot that goes, or never came. No leaf maps its
 * frames any more.
 */
void kvm_mmu_slot_free(struct kvm_memory_slot *slot)
{
	int i;

	for (i = 0; i < KVM_NR_PAGE_SIZES; i++)
		kvfree(slot->arch.rmap[i]);
	for (i = 0; i < KVM_NR_PAGE_SIZES - 1; i++)
		kvfree(slot->arch.disallow_lpage[i]);
	memset(&slot->arch, 0, sizeof(slot->arch));
}

/** kvm_mmu_slot_alloc - tables for a slot not yet published: base_gfn, npages,
 * userspace_addr are set. Sleeps. Returns 0 or -ENOMEM.
 */
int kvm_mmu_slot_alloc(struct kvm_memory_slot *slot)
{
	int level;

	/* Nested tables are found by walking down. */
	if (kvm_ops.nested_paging)
		return 0;
	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		unsigned long n = level_index(slot, slot->base_gfn + slot->npages - 1, level) + 1;

		slot->arch.rmap[level - 1] = alloc_table(n, sizeof(struct kvm_rmap_head));
		if (!slot->arch.rmap[level - 1])
			goto out_free;
		if (level == PG_LEVEL_4K)
			continue;
		slot->arch.disallow_lpage[level - 2] = alloc_table(n, sizeof(u32));
		if (!slot->arch.disallow_lpage[level - 2])
			goto out_free;
		forbid_large_pages(slot, level, n);
	}
	return 0;

out_free:
	kvm_mmu_slot_free(slot);
	return -ENOMEM;
}

/* Call fn for each 2M of slot; others may have the lock between. */
static void for_slot_chunks(struct kvm *kvm, struct kvm_memory_slot *slot,
			    void (*fn)(struct kvm *kvm, struct kvm_memory_slot *slot,
				       gfn_t start, gfn_t end))
{
	gfn_t end = slot->base_gfn + slot->npages, gfn, next;

	write_lock(&kvm->mmu_lock);
	for (gfn = slot->base_gfn; gfn < end; gfn = next) {
		next = min(end, ALIGN(gfn + 1, KVM_PAGES_PER_LEVEL(PG_LEVEL_2M)));
		fn(kvm, slot, gfn, next);
		kvm_mmu_resched(kvm);
	}
	kvm_mmu_flush(kvm, false);
	kvm_mmu_unlock(kvm);
}

static void unmap_chunk(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
	__kvm_must_hold(mmu_lock)
{
	kvm_mmu_unmap_range(kvm, slot, start, end, false);
}

/** kvm_mmu_zap_slot - a slot goes: its leaves, and the shadows of tables in it. It is
 * still published, and frozen (memslot.c). slots_lock held; takes mmu_lock now and
 * then. All TLBs are flushed on return.
 */
void kvm_mmu_zap_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	if (kvm_ops.nested_paging) {
		write_lock(&kvm->mmu_lock);
		kvm_mmu_flush(kvm, nested_unmap_range(kvm, slot->base_gfn,
						      slot->base_gfn + slot->npages, true));
		kvm_mmu_unlock(kvm);
		return;
	}
	for_slot_chunks(kvm, slot, unmap_chunk);
	kvm_mmu_zap_shadows(kvm, slot->base_gfn, slot->npages);
}

static void protect_chunk(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
	__kvm_must_hold(mmu_lock)
{
	for_each_head(kvm, slot, start, end, write_protect_head, true);
}

/** kvm_mmu_slot_write_protect - logging began: the next write to each page is seen.
 * slots_lock held; nobody uses a version that is not logged. Takes mmu_lock now and
 * then. All TLBs are flushed on return.
 */
void kvm_mmu_slot_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	if (kvm_ops.nested_paging)
		nested_slot_write_protect(kvm, slot);
	else
		for_slot_chunks(kvm, slot, protect_chunk);
}

static void merge_chunk(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_host_page host;

	if (!slot->arch.disallow_lpage[0][level_index(slot, start, PG_LEVEL_2M)] &&
	    rmap_first(slot_rmap(slot, start, PG_LEVEL_4K)) &&
	    kvm_slot_gfn_to_pfn_atomic(kvm, slot, start, false, &host) &&
	    host.level > PG_LEVEL_4K)
		unmap_chunk(kvm, slot, start, end);
}

/** kvm_mmu_slot_merge - logging ended: where the host has large pages, map them so
 * again. slots_lock held; nobody uses a version that is logged. Takes mmu_lock now and
 * then.
 */
void kvm_mmu_slot_merge(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	if (kvm_ops.nested_paging)
		nested_slot_merge(kvm, slot);
	else
		for_slot_chunks(kvm, slot, merge_chunk);
}
