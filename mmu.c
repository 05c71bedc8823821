// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the MMU offers, and where that leads: to nested tables (mmu_nested.c) or to shadows of
 * the guest's.  Of these: shadow pages, zapping, limits, mappings, and faults of a guest
 * that does not page.
 * Documentation/mmu.rst tells how it works.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "mmu_internal.h"
#include "kvm_guest_mem.h"
#include "kvm_request.h"

#include <linux/module.h>
#include <linux/sched/signal.h>

/* A fault, or the making of a root, needs no more shadow pages than this. */
#define PAGES_PER_FAULT		8
#define MIN_SHADOW_PAGES	1024UL
/* So many pages are zapped, or as much is done, before the lock is let go. */
#define WORK_PER_HOLD		16
/* A fault looks at so many pages to find some to zap, and zaps so many more than it needs. */
#define CLOCK_STEPS		64
#define SPARE_PAGES		16

static struct kmem_cache *header_kmem;
struct kmem_cache *rmap_kmem;

/*
 * ---- preallocation ----
 */

static void *cache_alloc(struct kvm_mmu_memory_cache *c)
{
	if (c->kmem)
		return kmem_cache_alloc(c->kmem, GFP_KERNEL_ACCOUNT);
	return (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
}

static int cache_topup(struct kvm_mmu_memory_cache *c, int min, int want)
{
	if (likely(c->nobjs >= min))
		return 0;
	while (c->nobjs < want) {
		void *obj = cache_alloc(c);

		if (!obj)
			return c->nobjs >= min ? 0 : -ENOMEM;
		c->objects[c->nobjs++] = obj;
	}
	return 0;
}

/* At least n zeroed pages, and for what follows a few more.  Returns 0 or -ENOMEM. */
int mmu_topup_pages(struct kvm_vcpu *vcpu, int n)
{
	return cache_topup(&vcpu->mmu.page_cache, n, n + 4);
}

/* Enough for one fault: a page for each level, with its gfns, and a node for each spte. */
int mmu_topup(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int r = cache_topup(&mmu->desc_cache, 8 + PREFETCH, ARRAY_SIZE(mmu->desc_cache.objects));

	r = r ?: mmu_topup_pages(vcpu, 2 * 5);
	return r ?: cache_topup(&mmu->header_cache, 5, 16);
}

static void cache_drain(struct kvm_mmu_memory_cache *c)
{
	while (c->nobjs) {
		void *obj = c->objects[--c->nobjs];

		if (c->kmem)
			kmem_cache_free(c->kmem, obj);
		else
			free_page((unsigned long)obj);
	}
}

/*
 * ---- flushing ----
 */

/** kvm_mmu_flush - no vcpu's TLB has more than the tables on return. mmu_lock held;
 * waits for vcpus to leave the guest. What the guest's own flushes let go is not
 * flushed at once, as the guest flushes where it matters to it. To the host it matters
 * before a page is given back or trusted not to be written: so tlbs_dirty remembers
 * it. @needed: something was taken away just now.
 */
void kvm_mmu_flush(struct kvm *kvm, bool needed)
{
	lockdep_assert_held_write(&kvm->mmu_lock);
	if (needed || kvm->tlbs_dirty) {
		kvm->tlbs_dirty = false;
		kvm_flush_remote_tlbs(kvm);
	}
}

/*
 * ---- shadow pages: finding, linking ----
 */

/*
 * Take the link at sptep to a lower table out.  The child stays, even if nothing links
 * to it any more: whoever calls may be on its way through it, its siblings or its
 * bucket.  A shadow of a guest table is worth keeping for its next use; a direct page
 * is not, and mmu_finish() zaps it, unless it is linked again before.
 */
static void drop_link(struct kvm *kvm, struct kvm_mmu_page *child, u64 *sptep)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);

	kvm_vm_bug_on(kvm, spte_to_child(*sptep) != child || !sp->nr_links);
	kvm_vm_bug_on(kvm, !rmap_remove(&child->parents, sptep));
	sp->nr_links--;
	unset_unsync_child(sp, spte_index(sptep));
	spte_write(sptep, 0);
	if (child->role.direct && !child->parents.val && !child->root_count && !child->invalid)
		list_move_tail(&child->orphan, &kvm->orphans);
}

/* Clear the entry at sptep of sp, whatever it is. */
void mmu_drop_spte(struct kvm *kvm, struct kvm_mmu_page *sp, u64 *sptep)
{
	if (!spte_present(*sptep))
		return;
	if (spte_leaf(*sptep, sp->role.level))
		rmap_drop_leaf(kvm, sptep);
	else
		drop_link(kvm, spte_to_child(*sptep), sptep);
}

static void drop_parents(struct kvm *kvm, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	u64 *sptep;

	while ((sptep = rmap_first(&sp->parents)))
		drop_link(kvm, sp, sptep);
}

void mmu_set_link(struct kvm_vcpu *vcpu, u64 *sptep, struct kvm_mmu_page *child)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);

	kvm_vm_bug_on(vcpu->kvm, child->role.level + 1 != sp->role.level);
	if (unlikely(!rmap_add(vcpu, &child->parents, sptep))) {
		drop_parents(vcpu->kvm, child);
		rmap_add(vcpu, &child->parents, sptep);
	}
	sp->nr_links++;
	child->used = true;
	list_del_init(&child->orphan);
	spte_write(sptep, __sme_set(__pa(child->spt)) | SPTE_P | SPTE_W | SPTE_U | SPTE_A);
	if ((child->unsync || child->unsync_nr) &&
	    !__test_and_set_bit(spte_index(sptep), sp->unsync_children) && !sp->unsync_nr++)
		shadow_mark_unsync(sp);
}

static struct kvm_mmu_page *new_page(struct kvm_vcpu *vcpu, gfn_t gfn, union mmu_role role)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp = cache_take(&vcpu->mmu.header_cache);
	struct kvm *kvm = vcpu->kvm;

	memset(sp, 0, sizeof(*sp));
	sp->gfn = gfn;
	sp->role = role;
	sp->spt = cache_take(&vcpu->mmu.page_cache);
	mod_lruvec_page_state(virt_to_page(sp->spt), NR_SECONDARY_PAGETABLE, 1);
	set_page_private(virt_to_page(sp->spt), (unsigned long)sp);
	INIT_LIST_HEAD(&sp->orphan);
	sp->zap_gen = kvm->mmu_zap_gen;
	if (!role.direct)
		sp->gfns = cache_take(&vcpu->mmu.page_cache);
	hlist_add_head(&sp->hash_link, hash_bucket(kvm, gfn));
	list_add(&sp->link, &kvm->active_pages);
	kvm->n_used_pages++;
	kvm->stat.mmu_cache_miss++;
	return sp;
}

/* The shadow page of gfn in this role.  If there is none it is made, from the vcpu's caches. */
struct kvm_mmu_page *mmu_get_page(struct kvm_vcpu *vcpu, gfn_t gfn, union mmu_role role)
{
	struct kvm_mmu_page *sp;

	lockdep_assert_held_write(&vcpu->kvm->mmu_lock);
	for_each_sp(vcpu->kvm, sp, gfn) {
		if (sp->role.word == role.word)
			return sp;
	}
	sp = new_page(vcpu, gfn, role);
	if (!role.direct)
		shadow_begin(vcpu, sp);
	return sp;
}

struct kvm_mmu_page *mmu_get_direct(struct kvm_vcpu *vcpu, gfn_t gfn, int level,
				    unsigned int access)
{
	union mmu_role role = { .level = level, .direct = 1, .access = access };

	return mmu_get_page(vcpu, gfn, role);
}

/*
 * ---- shadow pages: zapping ----
 */

/*
 * Take a page out of the tables, the hash and the lists: this one and no other, so that
 * any walk over pages that is safe against the removal of the present one may call it.
 * mmu_finish() frees it, once the last vcpu that holds it as a root has let it go.
 */
void mmu_zap_page(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	int i;

	lockdep_assert_held_write(&kvm->mmu_lock);
	sp->invalid = true;
	for (i = 0; i < SPTES_PER_PAGE; i++)
		mmu_drop_spte(kvm, sp, &sp->spt[i]);
	drop_parents(kvm, sp);
	hlist_del(&sp->hash_link);
	list_del(&sp->link);
	list_del_init(&sp->orphan);
	kvm_vm_bug_on(kvm, !kvm->n_used_pages);
	kvm->n_used_pages--;
	kvm->n_old_pages -= sp->zap_gen != kvm->mmu_zap_gen;
	if (unlikely(sp->nx_split))
		nx_forget_split(kvm, sp);
	kvm->hold_work++;
	kvm->stat.mmu_shadow_zapped++;
	if (!sp->role.direct) {
		kvm_vm_bug_on(kvm, !kvm->n_indirect);
		kvm->n_indirect--;
		shadow_account(kvm, sp, -1);
	}
	if (!sp->root_count)
		list_add(&sp->link, &kvm->dead_pages);
	else
		roots_zapped(kvm, sp);
}

/* Until all TLBs are flushed a processor may still walk a zapped page. */
static void free_dead(struct kvm *kvm)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp, *n;

	if (list_empty(&kvm->dead_pages))
		return;
	kvm_mmu_flush(kvm, true);
	list_for_each_entry_safe(sp, n, &kvm->dead_pages, link) {
		set_page_private(virt_to_page(sp->spt), 0);
		mod_lruvec_page_state(virt_to_page(sp->spt), NR_SECONDARY_PAGETABLE, -1);
		free_page((unsigned long)sp->spt);
		free_page((unsigned long)sp->gfns);
		kmem_cache_free(header_kmem, sp);
	}
	INIT_LIST_HEAD(&kvm->dead_pages);
}

/*
 * Outside of all walks, and before the lock is let go by whoever zapped: free what was
 * zapped, and some of the orphans.  The others wait for the next fault.
 */
void mmu_finish(struct kvm *kvm)
{
	int n = WORK_PER_HOLD / 2;

	while (n-- && !list_empty(&kvm->orphans))
		mmu_zap_page(kvm, list_first_entry(&kvm->orphans, struct kvm_mmu_page, orphan));
	free_dead(kvm);
}

/** kvm_mmu_resched - in a long loop, after each piece of work: let others have mmu_lock if
 * they want it, and anyway now and then. Sleeps. Returns true if they may have had it:
 * then every walk over shadow pages begins anew.
 */
bool kvm_mmu_resched(struct kvm *kvm)
{
	if (++kvm->hold_work < WORK_PER_HOLD && !need_resched() && !rwlock_needbreak(&kvm->mmu_lock))
		return false;
	mmu_finish(kvm);
	kvm->hold_work = 0;
	kvm_mmu_unlock(kvm);
	cond_resched();
	write_lock(&kvm->mmu_lock);
	return true;
}

/* Zap every shadow page that is there by now, and flush; the lock is let go between pages. */
void mmu_zap_all(struct kvm *kvm)
{
	struct kvm_mmu_page *sp;

	kvm->mmu_zap_gen++;
	kvm->n_old_pages = kvm->n_used_pages;
	while (kvm->n_old_pages && !list_empty(&kvm->active_pages)) {
		sp = list_last_entry(&kvm->active_pages, struct kvm_mmu_page, link);
		if (sp->zap_gen == kvm->mmu_zap_gen)
			list_move(&sp->link, &kvm->active_pages);
		else
			mmu_zap_page(kvm, sp);
		kvm_mmu_resched(kvm);
	}
	mmu_finish(kvm);
	kvm_mmu_flush(kvm, false);
}

/** kvm_mmu_zap_all - zap every table that is there when it is called. srcu held, or no
 * vcpu is left. Sleeps, takes mmu_lock, and lets go of it between pages.
 */
void kvm_mmu_zap_all(struct kvm *kvm)
{
	if (kvm_ops.nested_paging) {
		nested_zap_all(kvm);
		return;
	}
	write_lock(&kvm->mmu_lock);
	mmu_zap_all(kvm);
	kvm_mmu_unlock(kvm);
}

/* Has a link to sp been used since last asked? */
static bool page_used(struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_iter it;
	bool used = false;
	u64 *sptep;

	for_each_rmap(&sp->parents, &it, sptep) {
		if (!(*sptep & SPTE_A))
			continue;
		used = true;
		clear_bit(ilog2(SPTE_A), (unsigned long *)sptep);
	}
	return used;
}

/*
 * Advance the clock over some pages, and zap those of the lowest tables that were not
 * used since it was there last, down to so many: never one that has tables below.  With force
 * used ones, too.  Returns how many.
 */
static int advance_clock(struct kvm *kvm, unsigned long target, bool force)
	__kvm_must_hold(mmu_lock)
{
	int steps = CLOCK_STEPS, zapped = 0;
	struct kvm_mmu_page *sp;

	while (steps-- && zapped < PAGES_PER_FAULT && !list_empty(&kvm->active_pages) &&
	       kvm->n_used_pages > target) {
		sp = list_last_entry(&kvm->active_pages, struct kvm_mmu_page, link);
		if (sp->nr_links || (page_used(sp) && !force) ||
		    (sp->root_count && (!force || roots_in_use(kvm, sp)))) {
			list_move(&sp->link, &kvm->active_pages);
			continue;
		}
		kvm->stat.mmu_recycled++;
		mmu_zap_page(kvm, sp);
		zapped++;
	}
	return zapped;
}

/*
 * Before a fault adds shadow pages, zap some beyond the limit.  The limit is soft, so
 * that a few pages too many never stop a guest.
 */
void mmu_make_room(struct kvm *kvm)
{
	/* Some more than needed, so that not every fault has to flush. */
	const unsigned long spare = PAGES_PER_FAULT + SPARE_PAGES;
	unsigned long target = kvm->n_max_pages > spare ? kvm->n_max_pages - spare : 0;

	if (likely(kvm->n_used_pages + PAGES_PER_FAULT <= kvm->n_max_pages &&
		   list_empty(&kvm->orphans)))
		return;
	mmu_finish(kvm);
	if (advance_clock(kvm, target, false) < PAGES_PER_FAULT &&
	    kvm->n_used_pages + PAGES_PER_FAULT > kvm->n_max_pages)
		advance_clock(kvm, target, true);
	mmu_finish(kvm);
}

/* For reclaim: some that were not used lately, of those that the clock comes by.  How many. */
unsigned int mmu_evict_unused(struct kvm *kvm)
{
	int zapped;

	write_lock(&kvm->mmu_lock);
	zapped = advance_clock(kvm, 0, false);
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
	return zapped;
}

/** kvm_mmu_set_limit - of shadow pages, for slots of @npages in all, unless userspace
 * set its own.
 */
void kvm_mmu_set_limit(struct kvm *kvm, unsigned long npages)
{
	/* A fiftieth: nested paging with 4k pages needs a five-hundredth. */
	kvm->n_max_pages = kvm->n_asked_pages ?: max(npages / 50, MIN_SHADOW_PAGES);
}

static void shrink(struct kvm *kvm)
{
	unsigned long i, before;

	write_lock(&kvm->mmu_lock);
	/* Until the clock has been all round without finding any. */
	for (i = 0; i <= kvm->n_used_pages && !fatal_signal_pending(current); i += CLOCK_STEPS) {
		before = kvm->n_used_pages;
		mmu_make_room(kvm);
		if (kvm->n_used_pages < before)
			i = 0;
		kvm_mmu_resched(kvm);
	}
	kvm_mmu_unlock(kvm);
}

/** kvm_mmu_set_nr_pages - KVM_SET_NR_MMU_PAGES: a limit of the VMM's own, which stays
 * when slots change. Pages above it go now, but for roots in use; the limit is soft as
 * ever. Takes mmu_lock. Returns 0; -EINVAL for what KVM_GET_NR_MMU_PAGES cannot
 * return, or too few.
 */
int kvm_mmu_set_nr_pages(struct kvm *kvm, unsigned long npages)
{
	if (npages < KVM_MIN_MMU_PAGES || npages > INT_MAX)
		return -EINVAL;
	write_lock(&kvm->mmu_lock);
	kvm->n_asked_pages = npages;
	kvm->n_max_pages = npages;
	kvm_mmu_unlock(kvm);
	if (kvm_ops.nested_paging)
		nested_shrink(kvm);
	else
		shrink(kvm);
	return 0;
}

/*
 * ---- one mapping ----
 */

static int pfn_error(struct kvm_fault *fault, const struct mapping *m)
{
	fault->hva = kvm_slot_hva(m->slot, m->gfn);
	switch (m->host.pfn) {
	case KVM_PFN_ERR_RO:
		return PF_EMULATE;
	case KVM_PFN_ERR_WAIT:
		return PF_WAIT;
	case KVM_PFN_ERR_HWPOISON:
		return PF_HWPOISON;
	case KVM_PFN_ERR_INTR:
		return signal_pending(current) ? PF_INTR : PF_RETRY;
	default:
		return -EFAULT;
	}
}

/* Find the slot and the host's frame of m->gfn.  Returns 0, or what the fault ends in. */
int mmu_find_pfn(struct kvm_vcpu *vcpu, struct kvm_fault *fault, struct mapping *m)
{
	struct kvm *kvm = vcpu->kvm;

	m->slot = kvm_vcpu_gfn_to_slot(vcpu, m->gfn);
	if (!m->slot || (m->write && (m->slot->flags & KVM_MEM_READONLY)))
		return PF_EMULATE;
	m->seq = READ_ONCE(kvm->notifier_seq);
	/* Before the host's tables are looked at. */
	smp_rmb();
	m->host.pfn = kvm_slot_gfn_to_pfn(kvm, m->slot, m->gfn, m->write, fault->nowait, &m->host);
	return is_error_pfn(m->host.pfn) ? pfn_error(fault, m) : 0;
}

/* Has an invalidation overtaken what was found without the lock? */
bool mmu_overtaken(struct kvm *kvm, const struct mapping *m)
{
	if (unlikely(kvm->notifier_count)) {
		/* All of the host's page, as all of it may become one leaf. */
		hva_t size = KVM_PAGES_PER_LEVEL(m->host.level) << PAGE_SHIFT;
		hva_t hva = kvm_slot_hva(m->slot, m->gfn) & ~(size - 1);

		if (hva + size > kvm->notifier_start && hva < kvm->notifier_end)
			return true;
	}
	return kvm->notifier_seq != m->seq;
}

/* The same, or has the root been zapped? */
bool mmu_stale(struct kvm_vcpu *vcpu, const struct mapping *m)
{
	return mmu_overtaken(vcpu->kvm, m) || root_lost(vcpu, m->addr);
}

/*
 * Map the largest page that the host's mapping, the slot and its shadowed tables
 * allow, of max at most: m becomes that page.  Returns its level.
 */
int mmu_use_level(struct kvm_vcpu *vcpu, struct mapping *m, int max)
{
	int level = min(max, m->host.level);
	gfn_t mask;

	/* An alias may begin or end anywhere. */
	if (m->slot->dirty_bitmap || kvm_has_aliases(vcpu->kvm))
		level = PG_LEVEL_4K;
	while (level > PG_LEVEL_4K &&
	       m->slot->arch.disallow_lpage[level - 2][level_index(m->slot, m->gfn, level)])
		level--;
	mask = KVM_PAGES_PER_LEVEL(level) - 1;
	m->gfn &= ~mask;
	m->host.pfn &= ~mask;
	return level;
}

/* *table: the frame holds a guest page table that must stay write-protected. */
static u64 make_leaf(struct kvm_vcpu *vcpu, const struct mapping *m, int level, bool *table)
	__kvm_must_hold(mmu_lock)
{
	u64 spte = (m->host.pfn << PAGE_SHIFT) | SPTE_P | SPTE_A | access_bits(m->access);

	*table = false;
	/* Device memory is never encrypted, nor cached; nor is what the host has uncached. */
	if (m->host.cached)
		spte = __sme_set(spte);
	else
		mmu_note_device_memory(vcpu->kvm);
	if (level > PG_LEVEL_4K) {
		spte |= SPTE_PS;
		if (mmu_nx_huge_pages(vcpu->kvm))
			spte = spte_no_exec(spte);
	}
	if (!m->host.writable)
		return spte;
	spte |= SPTE_HOST_WRITABLE;
	if (!(m->access & ACC_W))
		return spte;
	if (gfn_shadowed(vcpu->kvm, m->gfn) && !shadow_make_unsync(vcpu->kvm, m->gfn, m->write)) {
		*table = true;
		return spte;
	}
	spte |= SPTE_MMU_WRITABLE;
	/* A logged page becomes writable by the write that dirties it. */
	if (m->slot->dirty_bitmap && !m->write)
		return spte;
	kvm_mark_page_dirty(vcpu, m->slot, m->gfn);
	return spte | SPTE_W | SPTE_D;
}

int mmu_set_leaf(struct kvm_vcpu *vcpu, u64 *sptep, const struct mapping *m)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	int level = sp->role.level;
	struct kvm_rmap_head *head;
	struct kvm *kvm = vcpu->kvm;
	bool table;
	u64 spte = make_leaf(vcpu, m, level, &table), old = *sptep;

	lockdep_assert_held_write(&vcpu->kvm->mmu_lock);
	/* It maps another frame, or links to a table where a large page fits now. */
	if (spte_present(old) &&
	    (!spte_leaf(old, level) || spte_pfn(old) != m->host.pfn ||
	     (sp->gfns && sp->gfns[spte_index(sptep)] != m->gfn))) {
		mmu_drop_spte(kvm, sp, sptep);
		old = 0;
	}
	if (!spte_present(old)) {
		if (sp->gfns)
			sp->gfns[spte_index(sptep)] = m->gfn;
		head = slot_rmap(m->slot, m->gfn, level);
		if (unlikely(!rmap_add(vcpu, head, sptep))) {
			rmap_unmap(kvm, head);
			rmap_add(vcpu, head, sptep);
		}
		kvm->stat.largepages += level > PG_LEVEL_4K;
	} else if (spte_reduced(old, spte)) {
		kvm->tlbs_dirty = true;
	}
	spte_write(sptep, spte);
	return table && m->write ? PF_WRITE_TRACKED : PF_FIXED;
}

/*
 * ---- direct: shadows of an unpaged guest, and of its large pages ----
 */

/* The leaf that maps addr, or the entry that is not present on the way there. */
u64 *mmu_find_leaf(struct kvm_vcpu *vcpu, u64 addr, int *level)
{
	u64 *table = root_table(vcpu, addr, level), *sptep;

	for (;; (*level)--) {
		sptep = &table[addr_index(addr, *level)];
		if (!spte_present(*sptep) || spte_leaf(*sptep, *level))
			return sptep;
		table = pfn_to_table(spte_pfn(*sptep));
	}
}

/* The table that the entry at sptep of level links to; NULL if to none, or it is a leaf. */
struct kvm_mmu_page *mmu_linked(u64 *sptep, int level)
{
	if (!spte_present(*sptep) || spte_leaf(*sptep, level))
		return NULL;
	return spte_to_child(*sptep);
}

/* From table down to the entry of level to for addr, by direct pages that map gfn's region. */
u64 *mmu_descend_direct(struct kvm_vcpu *vcpu, u64 *table, int level, int to, u64 addr,
			gfn_t gfn, unsigned int access)
{
	struct kvm_mmu_page *sp;
	u64 *sptep;
	gfn_t first;

	for (;; level--, table = sp->spt) {
		sptep = &table[addr_index(addr, level)];
		if (level == to)
			return sptep;
		first = gfn & ~(gfn_t)(KVM_PAGES_PER_LEVEL(level) - 1);
		sp = mmu_linked(sptep, level);
		if (sp && sp->gfn == first && sp->role.direct && sp->role.access == access)
			continue;
		/* A large page is replaced by smaller ones, a table by that of now. */
		mmu_drop_spte(vcpu->kvm, table_to_sp(table), sptep);
		sp = mmu_get_direct(vcpu, first, level - 1, access);
		mmu_set_link(vcpu, sptep, sp);
	}
}

static int map_direct(struct kvm_vcpu *vcpu, struct mapping *m)
	__kvm_must_hold(mmu_lock)
{
	int level = mmu_use_level(vcpu, m, PG_LEVEL_2M), top, r;
	u64 *table = root_table(vcpu, m->addr, &top), *sptep;

	if (mmu_nx_huge_pages(vcpu->kvm))
		sptep = nx_descend(vcpu, table, top, level, m, gpa_to_gfn(m->addr), ACC_ALL);
	else
		sptep = mmu_descend_direct(vcpu, table, top, level, m->addr,
					   gpa_to_gfn(m->addr), ACC_ALL);
	r = mmu_set_leaf(vcpu, sptep, m);
	shadow_prefetch_around(vcpu, sptep);
	vcpu->stat.pf_fixed++;
	return r;
}

/* Does the spte allow the access by now?  If only the dirty log forbids it, make it so. */
static bool spte_allows(struct kvm_vcpu *vcpu, u64 *sptep, int level, gfn_t gfn, bool write)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_memory_slot *slot;
	u64 spte = *sptep;

	if (!spte_present(spte))
		return false;
	if (!write || (spte & SPTE_W))
		return true;
	if (!(spte & SPTE_HOST_WRITABLE) || !(spte & SPTE_MMU_WRITABLE))
		return false;
	slot = kvm_vcpu_gfn_to_slot(vcpu, gfn);
	if (!slot || (slot->dirty_bitmap && level > PG_LEVEL_4K))
		return false;
	spte_write(sptep, spte | SPTE_W | SPTE_D);
	kvm_mark_page_dirty(vcpu, slot, gfn);
	return true;
}

static bool quick_fix_direct(struct kvm_vcpu *vcpu, u64 addr, gfn_t gfn, bool write)
{
	bool fixed = false;
	u64 *sptep;
	int level;

	write_lock(&vcpu->kvm->mmu_lock);
	if (!root_lost(vcpu, addr)) {
		sptep = mmu_find_leaf(vcpu, addr, &level);
		fixed = spte_allows(vcpu, sptep, level, gfn, write);
	}
	kvm_mmu_unlock(vcpu->kvm);
	return fixed;
}

static int direct_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	struct mapping m = {
		.addr = fault->addr,
		.gfn = kvm_unalias_gfn(kvm, gpa_to_gfn(fault->addr)),
		.write = fault->error_code & PFERR_WRITE_MASK,
		.access = ACC_ALL,
	};
	int r;

	fault->gfn = m.gfn;
	/* An address that the tables cannot map is in no slot. */
	if (gpa_to_gfn(fault->addr) >> (9 * vcpu->mmu.shadow_root_level))
		return PF_EMULATE;
	if (static_branch_unlikely(&mmu_nx_key))
		m.exec = fault->error_code & PFERR_FETCH_MASK;
	/* What is present may be not executable: then it is to be split. */
	if ((fault->error_code & PFERR_PRESENT_MASK) && !m.exec &&
	    quick_fix_direct(vcpu, m.addr, m.gfn, m.write))
		return PF_FIXED;
	r = mmu_topup(vcpu);
	if (r)
		return r;
	r = mmu_find_pfn(vcpu, fault, &m);
	if (r)
		return r;
	r = PF_RETRY;
	write_lock(&kvm->mmu_lock);
	if (!mmu_stale(vcpu, &m)) {
		mmu_make_room(kvm);
		r = map_direct(vcpu, &m);
	}
	kvm_mmu_unlock(kvm);
	return r;
}

/** kvm_mmu_page_fault - map what the guest lacks, or say what is in the way. srcu held;
 * sleeps, takes mmu_lock. Returns enum kvm_pf, or -ENOMEM; -EFAULT: the VMM has no
 * access to the page either.
 */
int kvm_mmu_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	if (unlikely(vcpu->mmu.root_hpa == INVALID_PAGE))
		return PF_RETRY;
	if (kvm_ops.nested_paging)
		return nested_page_fault(vcpu, fault);
	return vcpu->mmu.direct ? direct_fault(vcpu, fault) : shadow_page_fault(vcpu, fault);
}

/** kvm_mmu_set_noncoherent_dma - whether the VM has a device whose DMA does not snoop caches: then
 * WBINVD writes them back, and memory has the type that the guest's PAT says, not write-back
 * whatever that says. Sleeps, takes mmu_lock.
 */
void kvm_mmu_set_noncoherent_dma(struct kvm *kvm, bool on)
{
	if (kvm->noncoherent_dma == on)
		return;
	WRITE_ONCE(kvm->noncoherent_dma, on);
	/* The processor's PAT is the guest's before an entry says that it counts. */
	kvm_make_all_vcpus_request(kvm, KVM_REQ_INTERCEPTS);
	if (kvm_ops.nested_paging && kvm_ops.nested_ignore_pat)
		nested_set_leaf_mask(kvm, kvm_ops.nested_leaf_mask &
				     ~(on ? kvm_ops.nested_ignore_pat : 0));
}

/*
 * ---- life ----
 */

/** kvm_mmu_init_vm - of a new VM. Returns 0 or -ENOMEM. */
int kvm_mmu_init_vm(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->active_pages);
	INIT_LIST_HEAD(&kvm->orphans);
	INIT_LIST_HEAD(&kvm->dead_pages);
	INIT_LIST_HEAD(&kvm->nx_splits);
	kvm->n_max_pages = MIN_SHADOW_PAGES;
	if (kvm_ops.nested_paging)
		return nested_init_vm(kvm);
	kvm->page_hash = kvcalloc(1UL << KVM_MMU_HASH_BITS, sizeof(*kvm->page_hash),
				  GFP_KERNEL_ACCOUNT);
	return kvm->page_hash ? 0 : -ENOMEM;
}

/** kvm_mmu_destroy_vm - all tables go. No vcpu is left, the slots still are. */
void kvm_mmu_destroy_vm(struct kvm *kvm)
{
	if (kvm_ops.nested_paging) {
		nested_destroy_vm(kvm);
		return;
	}
	kvm_mmu_zap_all(kvm);
	kvm_vm_bug_on(kvm, kvm->n_root_holds);
	kvfree(kvm->page_hash);
}

/** kvm_mmu_create - of a new vcpu. Returns 0 or -ENOMEM. */
int kvm_mmu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	mmu->header_cache.kmem = header_kmem;
	mmu->desc_cache.kmem = rmap_kmem;
	mmu->role_word = ~0U;
	mmu->direct = true;
	mmu->shadow_root_level = kvm_ops.nested_paging ? kvm_ops.nested_levels : 3;
	return roots_create(mmu);
}

/** kvm_mmu_destroy - of a vcpu that goes, or of one half made. Takes mmu_lock. */
void kvm_mmu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	kvm_mmu_unload(vcpu);
	cache_drain(&mmu->page_cache);
	cache_drain(&mmu->header_cache);
	cache_drain(&mmu->desc_cache);
	roots_destroy(mmu);
}

/** kvm_mmu_module_init - the caches of all VMs. Returns 0 or -ENOMEM. */
int kvm_mmu_module_init(void)
{
	int r;

	header_kmem = kmem_cache_create("kvm_mmu_page", sizeof(struct kvm_mmu_page), 0,
					SLAB_ACCOUNT, NULL);
	if (!header_kmem)
		return -ENOMEM;
	rmap_kmem = kmem_cache_create("kvm_rmap", sizeof(struct rmap_list), 0, SLAB_ACCOUNT, NULL);
	if (!rmap_kmem) {
		kmem_cache_destroy(header_kmem);
		return -ENOMEM;
	}
	r = mmu_shrink_init();
	if (r) {
		kmem_cache_destroy(rmap_kmem);
		kmem_cache_destroy(header_kmem);
		return r;
	}
	mmu_audit_init();
	nx_module_init();
	return 0;
}

/** kvm_mmu_module_exit - no VM is left. */
void kvm_mmu_module_exit(void)
{
	nx_module_exit();
	mmu_shrink_exit();
	kmem_cache_destroy(rmap_kmem);
	kmem_cache_destroy(header_kmem);
}
