// SPDX-License-Identifier: GPL-2.0-only
/*
 * Nested page tables (EPT, NPT): one tree for each VM, from guest frames to host frames.
 * Faults share mmu_lock and put entries in by compare-and-exchange; whoever takes entries
 * away holds it alone.  A table has no description besides itself, and there are no
 * reverse maps: a range of frames is found by walking down to it.
 * Documentation/mmu.rst tells how it works.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "mmu_internal.h"

#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/signal.h>

static bool mmio_caching = true;
module_param(mmio_caching, bool, 0444);
MODULE_PARM_DESC(mmio_caching, "nested tables remember what is no memory, where they can");

/* A fault that finds too many tables evicts so many, and looks at so many to find them. */
#define EVICT_TABLES	16
#define EVICT_STEPS	256

/* Frames that an entry of a table of level maps. */
static gfn_t entry_pages(int level)
{
	return KVM_PAGES_PER_LEVEL(level);
}

static int root_level(void)
{
	return kvm_ops.nested_levels;
}

static u64 *entry_of(u64 *table, gfn_t gfn, int level)
{
	return &table[(gfn >> ((level - 1) * 9)) & (SPTES_PER_PAGE - 1)];
}

/* nested_mmio_entry maps nothing, whatever its P says. */
static bool present(u64 spte)
{
	return spte_present(spte) && spte != kvm_ops.nested_mmio_entry;
}

static bool is_link(u64 spte, int level)
{
	return present(spte) && !spte_leaf(spte, level);
}

static u64 *linked_table(u64 spte)
{
	return pfn_to_table(spte_pfn(spte));
}

/* Faults count at the same time. */
static void stat_add(u64 *stat, s64 n)
{
	atomic64_add(n, (atomic64_t *)stat);
}

/*
 * ---- tables that go ----
 *
 * A subtree is cut off by one write.  What was cut off is chained by page_private(), the
 * level in the low bits, and freed once no TLB and no walk without the lock can have it.
 */

/* The link was taken out. */
static void cut_off(struct kvm *kvm, u64 link, int level)
	__kvm_must_hold(mmu_lock)
{
	u64 *table = linked_table(link);

	set_page_private(virt_to_page(table), kvm->dead_tables);
	kvm->dead_tables = (unsigned long)table | (level - 1);
	kvm->tlbs_dirty = true;
	if (link & SPTE_NX_SPLIT)
		stat_add(&kvm->stat.nx_lpage_splits, -1);
}

/* As /proc/meminfo and the VMM's cgroup have it, "SecPageTables". */
static void account(u64 *table, int n)
{
	mod_lruvec_page_state(virt_to_page(table), NR_SECONDARY_PAGETABLE, n);
}

static void free_table(struct kvm *kvm, u64 *table)
{
	account(table, -1);
	free_page((unsigned long)table);
	atomic_long_dec(&kvm->nested_tables);
	stat_add(&kvm->stat.mmu_shadow_zapped, 1);
}

/* With all below it; no deeper than the tables are. */
static void free_subtree(struct kvm *kvm, u64 *table, int level)
{
	int i;

	for (i = 0; level > PG_LEVEL_4K && i < SPTES_PER_PAGE; i++) {
		u64 spte = table[i];

		if (!present(spte))
			continue;
		if (spte_leaf(spte, level)) {
			stat_add(&kvm->stat.largepages, -1);
			continue;
		}
		if (spte & SPTE_NX_SPLIT)
			stat_add(&kvm->stat.nx_lpage_splits, -1);
		free_subtree(kvm, linked_table(spte), level - 1);
	}
	free_table(kvm, table);
}

static void free_chain(struct kvm *kvm, unsigned long chain, bool may_sleep)
{
	while (chain) {
		u64 *table = (u64 *)(chain & PAGE_MASK);
		int level = chain & ~PAGE_MASK;

		chain = page_private(virt_to_page(table));
		set_page_private(virt_to_page(table), 0);
		free_subtree(kvm, table, level);
		if (may_sleep)
			cond_resched();
	}
}

/* Let mmu_lock go, and free what was cut off meanwhile. */
static void unlock_and_free(struct kvm *kvm, bool may_sleep)
	__kvm_releases(mmu_lock)
{
	unsigned long chain = kvm->dead_tables;

	kvm_mmu_flush(kvm, false);
	kvm->dead_tables = 0;
	kvm_mmu_unlock(kvm);
	free_chain(kvm, chain, may_sleep);
}

/* For kvm_mmu_unlock(). */
void nested_unlock(struct kvm *kvm)
{
	unlock_and_free(kvm, false);
}

/*
 * ---- walks without the lock ----
 *
 * Whoever frees a table has flushed before, which waits for us: interrupts are off, and
 * the mode says that we are to be waited for.
 */

static void lockless_begin(struct kvm_vcpu *vcpu)
{
	local_irq_disable();
	/* Before any entry is read; pairs with that in kvm_make_all_vcpus_request(). */
	smp_store_mb(vcpu->mode, READING_PAGE_TABLES);
}

static void lockless_end(struct kvm_vcpu *vcpu)
{
	/* After all that was read and written. */
	smp_store_release(&vcpu->mode, OUTSIDE_GUEST_MODE);
	local_irq_enable();
}

/* The leaf that maps gfn, or the entry that is not present on the way there. */
static u64 *find_entry(struct kvm *kvm, gfn_t gfn, int *level)
{
	u64 *table = kvm->nested_root, *sptep, spte;

	for (*level = root_level(); ; (*level)--, table = linked_table(spte)) {
		sptep = entry_of(table, gfn, *level);
		spte = READ_ONCE(*sptep);
		if (!is_link(spte, *level))
			return sptep;
	}
}

/* Is it there, and lacks only what the dirty log took away?  Then give it back. */
static bool fix_entry(struct kvm_vcpu *vcpu, gfn_t gpa_gfn, gfn_t gfn, bool write)
{
	struct kvm_memory_slot *slot;
	int level;
	u64 *sptep = find_entry(vcpu->kvm, gpa_gfn, &level), spte = READ_ONCE(*sptep);

	if (!present(spte))
		return false;
	if (!write || (spte & SPTE_W))
		return true;
	if (!(spte & SPTE_HOST_WRITABLE) || !(spte & SPTE_MMU_WRITABLE))
		return false;
	slot = kvm_vcpu_gfn_to_slot(vcpu, gfn);
	if (!slot || (slot->dirty_bitmap && level > PG_LEVEL_4K))
		return false;
	if (!try_cmpxchg64(sptep, &spte, spte | SPTE_W | kvm_ops.nested_dirty_mask))
		return false;
	/* Afterwards: a log taken in between does not protect the page, and the next has it. */
	kvm_mark_page_dirty(vcpu, slot, gfn);
	return true;
}

static bool quick_fix(struct kvm_vcpu *vcpu, const struct mapping *m)
{
	bool fixed;

	lockless_begin(vcpu);
	fixed = fix_entry(vcpu, gpa_to_gfn(m->addr), m->gfn, m->write);
	lockless_end(vcpu);
	return fixed;
}

/*
 * ---- entries ----
 */

static u64 link_to(u64 *table)
{
	return __sme_set(__pa(table)) | SPTE_P | SPTE_W | kvm_ops.nested_access_mask |
	       kvm_ops.nested_accessed_mask;
}

/* Of a page of level that the host has at pfn; writable as far as the host lets it. */
static u64 leaf_of(struct kvm *kvm, const struct kvm_host_page *host, int level)
	__kvm_must_hold_shared(mmu_lock)
{
	kvm_pfn_t pfn = host->pfn & ~(kvm_pfn_t)(entry_pages(level) - 1);
	u64 spte = (pfn << PAGE_SHIFT) | SPTE_P | kvm_ops.nested_access_mask;

	/* Device memory is never encrypted, nor cached; nor is what the host has uncached. */
	if (host->cached) {
		spte = __sme_set(spte) | kvm->nested_leaf_mask;
	} else {
		spte |= kvm_ops.nested_device_mask;
		mmu_note_device_memory(kvm);
	}
	if (level > PG_LEVEL_4K) {
		spte |= SPTE_PS;
		if (mmu_nx_huge_pages(kvm))
			spte = spte_no_exec(spte);
	}
	return host->writable ? spte | SPTE_HOST_WRITABLE | SPTE_MMU_WRITABLE : spte;
}

/* The bits of one that may be written to: at once, or in a log by the write that is seen. */
static u64 writable_bits(const struct kvm_memory_slot *slot, bool write)
{
	if (!slot->dirty_bitmap || write)
		return SPTE_W | kvm_ops.nested_dirty_mask;
	return kvm_ops.nested_dirty_log ? SPTE_W : 0;
}

/* Can one leaf of level map gfn: is all of it in the slot, and aligned alike in the host? */
bool nested_slot_fits(const struct kvm_memory_slot *slot, gfn_t gfn, int level)
{
	gfn_t mask = entry_pages(level) - 1, first = gfn & ~mask;

	return first >= slot->base_gfn && kvm_slot_has(slot, first + mask) &&
	       !((slot->base_gfn ^ (slot->userspace_addr >> PAGE_SHIFT)) & mask);
}

static int leaf_level(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn, int host)
{
	int level = min(host, kvm_ops.max_nested_page_level);

	/* An alias may begin or end anywhere. */
	if (slot->dirty_bitmap || kvm_has_aliases(kvm))
		return PG_LEVEL_4K;
	while (level > PG_LEVEL_4K && !nested_slot_fits(slot, gfn, level))
		level--;
	return level;
}

/* A new table that maps what the large leaf of level does, in smaller pages. */
static void split_leaf(u64 *table, u64 leaf, int level, const struct kvm_memory_slot *slot)
{
	u64 step = entry_pages(level - 1) << PAGE_SHIFT, spte = leaf;
	int i;

	if (level == PG_LEVEL_2M)
		spte = (spte & ~SPTE_PS) | kvm_ops.nested_access_mask;
	if (level == PG_LEVEL_2M && !kvm_ops.nested_exec_mask)
		spte &= ~SPTE_NX;
	/* The log hears of the first write to each. */
	if (slot && slot->dirty_bitmap) {
		spte &= ~(SPTE_W | kvm_ops.nested_dirty_mask);
		if (spte & SPTE_MMU_WRITABLE)
			spte |= writable_bits(slot, false);
	}
	for (i = 0; i < SPTES_PER_PAGE; i++, spte += step)
		table[i] = spte;
}

static void count_table(struct kvm *kvm, u64 *table)
{
	account(table, 1);
	atomic_long_inc(&kvm->nested_tables);
	stat_add(&kvm->stat.mmu_cache_miss, 1);
}

/*
 * Link table at sptep in place of old, which is nothing, or a large leaf that becomes as
 * many smaller ones.  nx: as a large page there must not be executable.  False: somebody
 * was faster, and table is as it was.
 */
static bool add_table(struct kvm *kvm, u64 *sptep, u64 old, int level, u64 *table,
		      const struct kvm_memory_slot *slot, bool nx)
	__kvm_must_hold_shared(mmu_lock)
{
	u64 link = link_to(table) | (nx ? SPTE_NX_SPLIT : 0);

	if (present(old))
		split_leaf(table, old, level, slot);
	if (!try_cmpxchg64(sptep, &old, link)) {
		clear_page(table);
		return false;
	}
	count_table(kvm, table);
	if (present(old))
		stat_add(&kvm->stat.largepages, -1);
	if (nx)
		stat_add(&kvm->stat.nx_lpage_splits, 1);
	return true;
}

/*
 * From the root to the entry of level *to for gfn, by tables of the vcpu's where there are
 * none.  Where large pages are not executable, fetch tells that this one must be: what was
 * split for that stays split, and *to is less.
 */
static u64 *descend(struct kvm_vcpu *vcpu, gfn_t gfn, int *to, const struct kvm_memory_slot *slot,
		    bool fetch)
	__kvm_must_hold_shared(mmu_lock)
{
	struct kvm_mmu_memory_cache *cache = &vcpu->mmu.page_cache;
	bool nx = mmu_nx_huge_pages(vcpu->kvm);
	u64 *table = vcpu->kvm->nested_root, *sptep, spte;
	int level = root_level(), large = *to;

	if (nx && (fetch || !spte_has_nx()))
		*to = PG_LEVEL_4K;
	while (level > *to) {
		sptep = entry_of(table, gfn, level);
		spte = READ_ONCE(*sptep);
		if (!is_link(spte, level)) {
			if (add_table(vcpu->kvm, sptep, spte, level, cache->objects[cache->nobjs - 1],
				      slot, nx && spte_has_nx() && level <= large))
				cache->nobjs--;
			continue;
		}
		if (nx && (spte & SPTE_NX_SPLIT))
			*to = min(*to, level - 1);
		table = linked_table(spte);
		level--;
	}
	return entry_of(table, gfn, level);
}

/*
 * ---- faults ----
 */

/* Map what neighbours of a 4k page the host has ready, in the same table. */
static void map_neighbours(struct kvm_vcpu *vcpu, const struct mapping *m, u64 *sptep)
	__kvm_must_hold_shared(mmu_lock)
{
	unsigned int me = spte_index(sptep) & (PREFETCH - 1), i;
	struct kvm *kvm = vcpu->kvm;
	struct kvm_host_page host;
	u64 spte;

	sptep -= me;
	for (i = 0; i < PREFETCH; i++, sptep++) {
		gfn_t gfn = m->gfn - me + i;

		if (READ_ONCE(*sptep) || !kvm_slot_has(m->slot, gfn) ||
		    !kvm_slot_gfn_to_pfn_atomic(kvm, m->slot, gfn, false, &host))
			continue;
		spte = leaf_of(kvm, &host, PG_LEVEL_4K);
		if (host.writable)
			spte |= SPTE_W | kvm_ops.nested_dirty_mask;
		cmpxchg64(sptep, 0, spte);
	}
}

/* Nothing is in the way if the entry is empty, or maps the same page with less rights. */
static bool can_become(u64 old, u64 new, int level)
{
	return !present(old) ||
	       (spte_leaf(old, level) && !(old & SPTE_VENDOR_PAGE) && !spte_reduced(old, new));
}

/* What the fault found is put in.  False: something in the way is to be taken out first. */
static bool map(struct kvm_vcpu *vcpu, const struct mapping *m)
	__kvm_must_hold_shared(mmu_lock)
{
	gfn_t gpa_gfn = gpa_to_gfn(m->addr);
	struct kvm *kvm = vcpu->kvm;
	int level = leaf_level(kvm, m->slot, m->gfn, m->host.level);
	u64 *sptep = descend(vcpu, gpa_gfn, &level, m->slot, m->exec), old = READ_ONCE(*sptep), new;

	new = leaf_of(kvm, &m->host, level) | kvm_ops.nested_accessed_mask;
	if (m->host.writable)
		new |= writable_bits(m->slot, m->write);
	do {
		/* A fault of another vcpu's may have given more than this one needs. */
		if (present(old) && spte_leaf(old, level) && !spte_reduced(new, old))
			break;
		if (!can_become(old, new, level))
			return false;
	} while (!try_cmpxchg64(sptep, &old, new));
	if (m->write)
		kvm_mark_page_dirty(vcpu, m->slot, m->gfn);
	if (present(old))
		return true;
	if (level > PG_LEVEL_4K)
		stat_add(&kvm->stat.largepages, 1);
	else if (m->host.present && !kvm->notifier_count && !m->slot->dirty_bitmap &&
		 !kvm_has_aliases(kvm))
		map_neighbours(vcpu, m, sptep);
	return true;
}

/* Take out what map() found in its way: a table that has become a page, or another page. */
static void clear_way(struct kvm *kvm, const struct mapping *m)
{
	gfn_t gfn = gpa_to_gfn(m->addr);
	int level = leaf_level(kvm, m->slot, m->gfn, m->host.level);
	gfn_t first = gfn & ~(entry_pages(level) - 1);

	write_lock(&kvm->mmu_lock);
	nested_zap(kvm, first, first + entry_pages(level), true);
	unlock_and_free(kvm, true);
}

/* No slot is there: from now on an access is a misconfiguration exit, which needs no lookup. */
static void mark_mmio(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	int level = PG_LEVEL_4K;
	u64 *sptep;

	read_lock(&vcpu->kvm->mmu_lock);
	sptep = descend(vcpu, gfn, &level, NULL, false);
	cmpxchg64(sptep, 0, kvm_ops.nested_mmio_entry);
	read_unlock(&vcpu->kvm->mmu_lock);
}

/** kvm_mmu_clear_mmio - a slot has come where nested_mmio_entry is: the next access
 * faults as for memory. Shares mmu_lock.
 */
void kvm_mmu_clear_mmio(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	u64 *sptep, spte;
	int level;

	read_lock(&vcpu->kvm->mmu_lock);
	sptep = find_entry(vcpu->kvm, gpa_to_gfn(gpa), &level);
	spte = READ_ONCE(*sptep);
	if (!present(spte))
		cmpxchg64(sptep, spte, 0);
	read_unlock(&vcpu->kvm->mmu_lock);
}

static int topup(struct kvm_vcpu *vcpu)
{
	return mmu_topup_pages(vcpu, root_level());
}

/* kvm_mmu_page_fault() under nested paging. */
int nested_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	gfn_t gpa_gfn = gpa_to_gfn(fault->addr);
	struct kvm *kvm = vcpu->kvm;
	struct mapping m = {
		.addr = fault->addr,
		.gfn = kvm_unalias_gfn(kvm, gpa_gfn),
		.write = fault->error_code & PFERR_WRITE_MASK,
	};
	bool in_the_way = false;
	int r;

	fault->gfn = m.gfn;
	/* An address that the tables cannot map is in no slot. */
	if (gpa_gfn >> (9 * root_level()))
		return PF_EMULATE;
	if (static_branch_unlikely(&mmu_nx_key))
		m.exec = fault->error_code & PFERR_FETCH_MASK;
	/* What is present may be not executable: then it is to be split. */
	if ((fault->error_code & PFERR_PRESENT_MASK) && !m.exec && quick_fix(vcpu, &m))
		return PF_FIXED;
	if (unlikely(nested_too_many(kvm)))
		nested_evict(kvm);
	r = topup(vcpu);
	if (r)
		return r;
	r = mmu_find_pfn(vcpu, fault, &m);
	if (!m.slot && kvm_ops.nested_mmio_entry && mmio_caching)
		mark_mmio(vcpu, gpa_gfn);
	if (r)
		return r;
	r = PF_RETRY;
	read_lock(&kvm->mmu_lock);
	if (!mmu_overtaken(kvm, &m)) {
		in_the_way = !map(vcpu, &m);
		r = PF_FIXED;
	}
	read_unlock(&kvm->mmu_lock);
	if (unlikely(in_the_way)) {
		clear_way(kvm, &m);
		return PF_RETRY;
	}
	vcpu->stat.pf_fixed += r == PF_FIXED;
	return r;
}

/*
 * ---- KVM_PRE_FAULT_MEMORY: faults ahead of the guest's ----
 */

/*
 * The level of what maps gfn; 0: nothing does.  What was put in ahead of the guest is not
 * accessed until it is.
 */
static int mapped_level(struct kvm_vcpu *vcpu, gfn_t gfn, bool unused)
{
	u64 *sptep, spte;
	int level;

	lockless_begin(vcpu);
	sptep = find_entry(vcpu->kvm, gfn, &level);
	spte = READ_ONCE(*sptep);
	if (!present(spte))
		level = 0;
	else if (unused)
		try_cmpxchg64(sptep, &spte, spte & ~kvm_ops.nested_accessed_mask);
	lockless_end(vcpu);
	return level;
}

/* As the guest's read would.  0 with the leaf's level, 0 for it: again; or -errno. */
static int pre_fault_page(struct kvm_vcpu *vcpu, gpa_t gpa, int *level)
{
	struct kvm_fault fault = { .addr = gpa };
	gfn_t gfn = gpa_to_gfn(gpa);
	int r;

	if (!kvm_vcpu_gfn_to_slot(vcpu, kvm_unalias_gfn(vcpu->kvm, gfn)) ||
	    gfn >> (9 * root_level()))
		return -ENOENT;
	*level = mapped_level(vcpu, gfn, false);
	if (*level)
		return 0;
	r = nested_page_fault(vcpu, &fault);
	switch (r) {
	case PF_FIXED:
		*level = mapped_level(vcpu, gfn, true);
		return 0;
	case PF_RETRY:
		return 0;
	case PF_EMULATE:	/* the slot has gone */
		return -ENOENT;
	case PF_INTR:
		return -EINTR;
	case PF_HWPOISON:
		return -EHWPOISON;
	default:
		return r;
	}
}

static void pre_faulted(struct kvm_pre_fault_memory *range, int level)
{
	u64 page = (u64)entry_pages(level) << PAGE_SHIFT;
	u64 done = min_t(u64, range->size, page - (range->gpa & (page - 1)));

	range->gpa += done;
	range->size -= done;
}

/** kvm_vcpu_pre_fault - KVM_PRE_FAULT_MEMORY: map guest memory as the guest's reads would, from
 * the range's beginning on. In its VMM's context, srcu held, and let go of between pages;
 * sleeps, shares mmu_lock. @range becomes what is left. Returns 0 if there is progress, else
 * -EINVAL for what is no range; -EOPNOTSUPP: the tables are not of guest physical addresses;
 * -ENOENT: no slot; -EINTR; -EFAULT, -EHWPOISON: the host has no page; -ENOMEM.
 */
long kvm_vcpu_pre_fault(struct kvm_vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	u64 begin = range->gpa;
	int r = 0, level = 0;

	if (range->flags || memchr_inv(range->padding, 0, sizeof(range->padding)) ||
	    !range->size || ((range->gpa | range->size) & ~PAGE_MASK) ||
	    range->gpa + range->size <= range->gpa)
		return -EINVAL;
	if (!kvm_ops.nested_paging)
		return -EOPNOTSUPP;
	while (range->size) {
		if (signal_pending(current)) {
			r = -EINTR;
			break;
		}
		r = pre_fault_page(vcpu, range->gpa, &level);
		if (r)
			break;
		if (level)
			pre_faulted(range, level);
		/* Who changes the slots waits for one page at most. */
		kvm_vcpu_read_unlock(vcpu);
		cond_resched();
		kvm_vcpu_read_lock(vcpu);
	}
	return range->gpa != begin ? 0 : r;
}

/*
 * ---- pages of the vendor's ----
 */

/* Map a page of the vendor's, whatever is there. */
static void map_page(struct kvm_vcpu *vcpu, gfn_t gfn, struct page *page)
	__kvm_must_hold(mmu_lock)
{
	int level = PG_LEVEL_4K;
	u64 *sptep = descend(vcpu, gfn, &level, NULL, false);

	xchg(sptep, ((u64)page_to_pfn(page) << PAGE_SHIFT) | SPTE_P | SPTE_W | SPTE_VENDOR_PAGE |
	     kvm_ops.nested_access_mask | kvm_ops.nested_leaf_mask | kvm_ops.nested_accessed_mask | kvm_ops.nested_dirty_mask);
	kvm_mmu_flush(vcpu->kvm, true);
}

/** kvm_mmu_map_page - map a page of the vendor's, which stays until the VM's tables are
 * gone. Memory of a slot there is hidden, until it is used itself. Nested paging only.
 * Sleeps, takes mmu_lock. Returns 0 or -ENOMEM.
 */
int kvm_mmu_map_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page)
{
	struct kvm *kvm = vcpu->kvm;
	int r = topup(vcpu);

	if (r)
		return r;
	write_lock(&kvm->mmu_lock);
	map_page(vcpu, gpa_to_gfn(gpa), page);
	kvm_mmu_unlock(kvm);
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_mmu_map_page);

/** kvm_mmu_map_apic_page - the processor is to see accesses to the APICs' registers in
 * the page of @gpa, which kvm->apic_page says. As kvm_mmu_map_page(). Returns false if
 * a slot is there, or the registers are there no more.
 */
bool kvm_mmu_map_apic_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct kvm *kvm = vcpu->kvm;
	bool mapped = false;

	if (topup(vcpu))
		return false;
	write_lock(&kvm->mmu_lock);
	/* Whoever changes one of these calls kvm_mmu_unmap_page() afterwards. */
	if (kvm->apic_page && gfn == gpa_to_gfn(kvm->apic_page) &&
	    !kvm_gfn_to_slot(kvm, kvm_unalias_gfn(kvm, gfn))) {
		map_page(vcpu, gfn, page);
		mapped = true;
	}
	kvm_mmu_unlock(kvm);
	return mapped;
}
EXPORT_SYMBOL_GPL(kvm_mmu_map_apic_page);

/** kvm_mmu_unmap_page - undo kvm_mmu_map_apic_page(), or nothing. Takes mmu_lock. */
void kvm_mmu_unmap_page(struct kvm *kvm, gpa_t gpa)
{
	if (!kvm_ops.nested_paging)
		return;
	write_lock(&kvm->mmu_lock);
	nested_zap(kvm, gpa_to_gfn(gpa), gpa_to_gfn(gpa) + 1, true);
	unlock_and_free(kvm, true);
}

/*
 * ---- ranges of frames ----
 *
 * Walks visit what is present below an entry, and no deeper than they must.
 */

/* What is done to the entries of a walk. */
struct walk {
	struct kvm *kvm;
	/* Of an entry of which all frames are in the range; false: then of those below it. */
	bool (*entry)(struct walk *w, u64 *sptep, int level);
	bool vendor;		/* the vendor's pages, too */
	bool clear;		/* accessed bits, that is */
	bool any;
};

static void walk_table(struct walk *w, u64 *table, int level, gfn_t start, gfn_t end)
	__kvm_must_hold(mmu_lock)
{
	gfn_t size = entry_pages(level), first, next;
	u64 *sptep, spte;

	for (; start < end; start = next) {
		first = start & ~(size - 1);
		next = min(end, first + size);
		sptep = entry_of(table, start, level);
		spte = READ_ONCE(*sptep);
		if (!present(spte))
			continue;
		/* Of a large page a part is as good as all of it. */
		if (spte_leaf(spte, level) || (first == start && first + size == next)) {
			if (w->entry(w, sptep, level))
				continue;
		}
		if (is_link(spte, level))
			walk_table(w, linked_table(spte), level - 1, start, next);
	}
}

/* The i-th window to frames [start, end): they themselves, then what an alias has of them. */
static bool window(struct kvm *kvm, int i, gfn_t start, gfn_t end, gfn_t *from, gfn_t *to)
{
	const struct kvm_alias *a;

	if (!i) {
		*from = start;
		*to = end;
		return true;
	}
	a = &kvm_memslots(kvm)->alias[i - 1];
	start = max(start, a->target_gfn);
	end = min(end, a->target_gfn + a->npages);
	*from = start - a->target_gfn + a->base_gfn;
	*to = end - a->target_gfn + a->base_gfn;
	return start < end;
}

static bool walk_range(struct walk *w, gfn_t start, gfn_t end)
	__kvm_must_hold(mmu_lock)
{
	int i, n = kvm_has_aliases(w->kvm) ? KVM_NR_ALIASES : 0;
	gfn_t limit = 1ULL << (9 * root_level()), from, to;

	lockdep_assert_held_write(&w->kvm->mmu_lock);
	for (i = 0; i <= n; i++) {
		if (window(w->kvm, i, start, end, &from, &to))
			walk_table(w, w->kvm->nested_root, root_level(), from, min(to, limit));
	}
	return w->any;
}

/* Take an entry out, with all below it. */
static void zap_entry(struct kvm *kvm, u64 *sptep, int level)
	__kvm_must_hold(mmu_lock)
{
	u64 old = xchg(sptep, 0);

	kvm->tlbs_dirty = true;
	if (is_link(old, level))
		cut_off(kvm, old, level);
	else if (level > PG_LEVEL_4K)
		stat_add(&kvm->stat.largepages, -1);
}

static bool zap_walk(struct walk *w, u64 *sptep, int level)
	__kvm_must_hold(mmu_lock)
{
	if ((*sptep & SPTE_VENDOR_PAGE) && !w->vendor)
		return true;
	zap_entry(w->kvm, sptep, level);
	w->any = true;
	return true;
}

/*
 * Frames [start, end) lose their leaves, and tables that map nothing else; the vendor's
 * pages, too, or only with such a table.  True if there was any: then the caller flushes.
 */
bool nested_zap(struct kvm *kvm, gfn_t start, gfn_t end, bool vendor)
{
	struct walk w = { .kvm = kvm, .entry = zap_walk, .vendor = vendor };

	return walk_range(&w, start, end);
}

static bool young_walk(struct walk *w, u64 *sptep, int level)
	__kvm_must_hold(mmu_lock)
{
	u64 accessed = kvm_ops.nested_accessed_mask;

	if (!spte_leaf(*sptep, level))
		return false;
	/* Without accessed bits what is mapped counts as used, and is unmapped to see the next use. */
	if (!accessed) {
		w->any = true;
		return w->clear ? zap_walk(w, sptep, level) : true;
	}
	if (!(*sptep & accessed))
		return true;
	w->any = true;
	if (w->clear)
		clear_bit(ilog2(accessed), (unsigned long *)sptep);
	return true;
}

/* kvm_mmu_age_range() under nested paging. */
bool nested_age(struct kvm *kvm, gfn_t start, gfn_t end, bool clear)
{
	struct walk w = { .kvm = kvm, .entry = young_walk, .clear = clear };

	return walk_range(&w, start, end);
}

/* The next write to what the leaf maps is seen: by a fault, or by PML, which logs 4k pages. */
static void protect(struct kvm *kvm, u64 *sptep, int level)
	__kvm_must_hold(mmu_lock)
{
	u64 taken = SPTE_W, old = READ_ONCE(*sptep);

	if (kvm_ops.nested_dirty_log && level == PG_LEVEL_4K)
		taken = kvm_ops.nested_dirty_mask;
	if ((old & SPTE_VENDOR_PAGE) || !(old & taken))
		return;
	while (!try_cmpxchg64(sptep, &old, old & ~taken))
		;
	kvm->tlbs_dirty = true;
}

static bool protect_walk(struct walk *w, u64 *sptep, int level)
	__kvm_must_hold(mmu_lock)
{
	if (!spte_leaf(*sptep, level))
		return false;
	protect(w->kvm, sptep, level);
	return true;
}

/* kvm_mmu_write_protect_masked() under nested paging. */
void nested_write_protect_masked(struct kvm *kvm, gfn_t first, unsigned long mask)
{
	struct walk w = { .kvm = kvm, .entry = protect_walk };
	unsigned int from, to;

	for_each_set_bitrange(from, to, &mask, BITS_PER_LONG)
		walk_range(&w, first + from, first + to);
}

/* kvm_mmu_unmap_range() under nested paging: the lock is let go between gigabytes. */
bool nested_unmap_range(struct kvm *kvm, gfn_t start, gfn_t end, bool may_yield)
{
	bool any = false;
	gfn_t next;

	for (; start < end; start = next) {
		next = min(end, ALIGN(start + 1, entry_pages(PG_LEVEL_1G)));
		any |= nested_zap(kvm, start, next, false);
		if (may_yield && next < end)
			kvm_mmu_resched(kvm);
	}
	return any;
}

/*
 * ---- slots ----
 */

/* The entry of level for gfn, or NULL if there is no table with it; *next is as far as that goes. */
static u64 *find_level(struct kvm *kvm, gfn_t gfn, int want, gfn_t *next)
{
	u64 *table = kvm->nested_root, *sptep, spte;
	int level;

	for (level = root_level(); ; level--, table = linked_table(spte)) {
		sptep = entry_of(table, gfn, level);
		*next = (gfn | (entry_pages(level) - 1)) + 1;
		spte = READ_ONCE(*sptep);
		if (level == want)
			return sptep;
		if (!is_link(spte, level))
			return present(spte) ? sptep : NULL;
	}
}

/* New tables for one step, taken without the lock. */
struct spare_tables {
	u64 *table[2];
	unsigned int nr;
};

static void get_spare(struct spare_tables *spare)
{
	while (spare->nr < ARRAY_SIZE(spare->table)) {
		u64 *table = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT | __GFP_NOWARN);

		/* Without one the leaf stays large, and the first write to it splits it. */
		if (!table)
			return;
		spare->table[spare->nr++] = table;
	}
}

static void put_spare(struct spare_tables *spare)
{
	while (spare->nr)
		free_page((unsigned long)spare->table[--spare->nr]);
}

/* Of the 2M of gfn, in a slot that is logged: a large leaf becomes small ones.  To 4k pages. */
static gfn_t split_at(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
		      struct spare_tables *spare)
	__kvm_must_hold(mmu_lock)
{
	int level = kvm_ops.max_nested_page_level;
	gfn_t next = gfn + 1;

	for (; level > PG_LEVEL_4K; level--) {
		u64 *sptep = find_level(kvm, gfn, level, &next);
		u64 spte = sptep ? READ_ONCE(*sptep) : 0;

		if (!present(spte))
			return next;
		if (!spte_leaf(spte, level))
			continue;
		if (!spare->nr)
			return next;
		/* It loses W before it is split: no page that was written is missed. */
		protect(kvm, sptep, level);
		spare->nr--;
		/* The processor may set a bit just now. */
		while (!add_table(kvm, sptep, READ_ONCE(*sptep), level, spare->table[spare->nr], slot,
				  false))
			;
	}
	return next;
}

/* kvm_mmu_slot_write_protect() under nested paging. */
void nested_slot_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages, gfn, next;
	struct walk w = { .kvm = kvm, .entry = protect_walk };
	struct spare_tables spare = { };

	for (gfn = slot->base_gfn; gfn < end; gfn = next) {
		get_spare(&spare);
		write_lock(&kvm->mmu_lock);
		next = min(end, split_at(kvm, slot, gfn, &spare));
		walk_range(&w, gfn, next);
		kvm_mmu_unlock(kvm);
		cond_resched();
	}
	put_spare(&spare);
	write_lock(&kvm->mmu_lock);
	kvm_mmu_flush(kvm, false);
	kvm_mmu_unlock(kvm);
}

/* Does the host have in one page what a table maps?  Then map it so again. */
static bool merge_at(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, u64 *sptep, int level)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_host_page host;
	u64 new;

	if (kvm->notifier_count || (*sptep & SPTE_NX_SPLIT) || kvm_has_aliases(kvm) ||
	    !nested_slot_fits(slot, gfn, level) ||
	    !kvm_slot_gfn_to_pfn_atomic(kvm, slot, gfn, false, &host) || host.level < level)
		return false;
	new = leaf_of(kvm, &host, level) | kvm_ops.nested_accessed_mask;
	if (host.writable)
		new |= SPTE_W | kvm_ops.nested_dirty_mask;
	cut_off(kvm, xchg(sptep, new), level);
	stat_add(&kvm->stat.largepages, 1);
	return true;
}

/* kvm_mmu_slot_merge() under nested paging. */
void nested_slot_merge(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	gfn_t end = slot->base_gfn + slot->npages, gfn, next;
	u64 *sptep;
	int level;

	write_lock(&kvm->mmu_lock);
	for (gfn = slot->base_gfn; gfn < end; gfn = next) {
		next = end;
		for (level = kvm_ops.max_nested_page_level; level > PG_LEVEL_4K; level--) {
			sptep = find_level(kvm, gfn, level, &next);
			if (!sptep || !is_link(*sptep, level) ||
			    merge_at(kvm, slot, gfn, sptep, level))
				break;
		}
		kvm_mmu_resched(kvm);
	}
	unlock_and_free(kvm, true);
}

/*
 * ---- how many tables there are ----
 */

/* More than the VMM wants: soft, as each vcpu may be about to add some. */
bool nested_too_many(struct kvm *kvm)
{
	return atomic_long_read(&kvm->nested_tables) + root_level() > READ_ONCE(kvm->n_max_pages);
}

/* The end of the highest slot: what is above is not worth a walk. */
static gfn_t frames_end(struct kvm *kvm)
	__kvm_must_hold(mmu_lock)
{
	const struct kvm_memslots *slots = kvm_memslots(kvm);
	const struct kvm_memory_slot *last = slots->nr ? slots->slot[slots->nr - 1] : NULL;

	return last ? last->base_gfn + last->npages : 0;
}

static bool table_empty(const u64 *table)
{
	return !memchr_inv(table, 0, PAGE_SIZE);
}

/*
 * From the clock's hand on: the next of the lowest tables, if it was not used since the hand
 * was there last, or force; and the one above it, if it is empty by that.  Returns whether
 * one was evicted.
 */
static bool evict_one(struct kvm *kvm, bool force)
	__kvm_must_hold(mmu_lock)
{
	u64 accessed = kvm_ops.nested_accessed_mask, *sptep, spte;
	gfn_t gfn = kvm->evict_hand, next;

	sptep = find_level(kvm, gfn, PG_LEVEL_2M, &next);
	kvm->evict_hand = next >= frames_end(kvm) ? 0 : next;
	spte = sptep ? *sptep : 0;
	if (!is_link(spte, PG_LEVEL_2M))
		return false;
	if ((spte & accessed) && !force) {
		clear_bit(ilog2(accessed), (unsigned long *)sptep);
		return false;
	}
	zap_entry(kvm, sptep, PG_LEVEL_2M);
	sptep = find_level(kvm, gfn, PG_LEVEL_1G, &next);
	if (sptep && is_link(*sptep, PG_LEVEL_1G) && table_empty(linked_table(*sptep)))
		zap_entry(kvm, sptep, PG_LEVEL_1G);
	stat_add(&kvm->stat.mmu_recycled, 1);
	return true;
}

static unsigned int evict(struct kvm *kvm, bool force)
	__kvm_must_hold(mmu_lock)
{
	unsigned int steps, evicted = 0;

	for (steps = 0; steps < EVICT_STEPS && evicted < EVICT_TABLES; steps++)
		evicted += evict_one(kvm, force);
	return evicted;
}

/* Before a fault adds tables, some beyond the limit go. */
void nested_evict(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	if (!evict(kvm, false))
		evict(kvm, true);
	unlock_and_free(kvm, true);
}

/* For reclaim: some that were not used lately, of those that the clock comes by.  How many. */
unsigned int nested_evict_unused(struct kvm *kvm)
{
	unsigned int evicted;

	write_lock(&kvm->mmu_lock);
	evicted = evict(kvm, false);
	unlock_and_free(kvm, true);
	return evicted;
}

/* KVM_SET_NR_MMU_PAGES: until the clock has been all round without finding any. */
void nested_shrink(struct kvm *kvm)
{
	unsigned int idle = 0;

	while (nested_too_many(kvm) && idle < 2 && !fatal_signal_pending(current)) {
		gfn_t hand;

		write_lock(&kvm->mmu_lock);
		hand = kvm->evict_hand;
		if (evict(kvm, true))
			idle = 0;
		/* It has passed the end. */
		else if (kvm->evict_hand <= hand)
			idle++;
		unlock_and_free(kvm, true);
		cond_resched();
	}
}

/*
 * ---- large pages that are not executable: see mmu_nx.c ----
 */

static void recover_split(struct kvm *kvm, u64 *sptep, int level, unsigned long *n)
	__kvm_must_hold(mmu_lock)
{
	if (!sptep || !is_link(*sptep, level) || !(*sptep & SPTE_NX_SPLIT) || !*n)
		return;
	zap_entry(kvm, sptep, level);
	--*n;
}

/* The next n splits from the hand on may become large pages again. */
void nested_recover_nx(struct kvm *kvm, unsigned long n)
{
	gfn_t gfn, next, walked = 0;

	write_lock(&kvm->mmu_lock);
	for (; n && walked < frames_end(kvm); walked += next - gfn) {
		gfn = kvm->nx_hand;
		recover_split(kvm, find_level(kvm, gfn, PG_LEVEL_1G, &next), PG_LEVEL_1G, &n);
		recover_split(kvm, find_level(kvm, gfn, PG_LEVEL_2M, &next), PG_LEVEL_2M, &n);
		kvm->nx_hand = next >= frames_end(kvm) ? 0 : next;
		kvm_mmu_resched(kvm);
	}
	unlock_and_free(kvm, true);
}

/*
 * ---- life ----
 */

/* All tables but the root are cut off by its entries: however many there are. */
static void cut_off_all(struct kvm *kvm)
	__kvm_must_hold(mmu_lock)
{
	struct walk w = { .kvm = kvm, .entry = zap_walk, .vendor = true };

	/* Aliases' windows are in it, too; and the slots may never have come to be. */
	walk_table(&w, kvm->nested_root, root_level(), 0, 1ULL << (9 * root_level()));
}

/* All tables but the root go. Sleeps. */
void nested_zap_all(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	cut_off_all(kvm);
	unlock_and_free(kvm, true);
}

/* The type of memory is another from now on: no leaf stays that has the former. Sleeps. */
void nested_set_leaf_mask(struct kvm *kvm, u64 mask)
{
	write_lock(&kvm->mmu_lock);
	kvm->nested_leaf_mask = mask;
	cut_off_all(kvm);
	unlock_and_free(kvm, true);
}

/* Of a new VM. */
int nested_init_vm(struct kvm *kvm)
{
	kvm->nested_leaf_mask = kvm_ops.nested_leaf_mask;
	kvm->nested_root = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	return kvm->nested_root ? 0 : -ENOMEM;
}

/* No vcpu is left. */
void nested_destroy_vm(struct kvm *kvm)
{
	nested_zap_all(kvm);
	kvm_vm_bug_on(kvm, atomic_long_read(&kvm->nested_tables));
	free_page((unsigned long)kvm->nested_root);
}
