// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadow and nested page tables: one builder for both.  Documentation/mmu.rst
 * tells how it works; the guest's walk and what depends on the size of its
 * entries is in paging_tmpl.h.
 *
 * Everything here that touches an spte, a shadow page or a reverse map holds
 * kvm->mmu_lock.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_guest_mem.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_request.h"
#include "trace.h"
#include "spte.h"

#include <linux/hash.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>

/* Shadow pages that one fault or one root can need: they are made available first. */
#define PAGES_PER_FAULT		8
/* Neighbours that are mapped along with the entry that faulted. */
#define PREFETCH		8
/* So many writes to a table without a use of it between: it is a table no more. */
#define FLOOD			4
#define MIN_SHADOW_PAGES	1024UL

/* What page faults end in, besides exit handlers' 1, 0 and -errno. */
enum {
	PF_RESUME = 1,
	PF_EMULATE,		/* MMIO, or a write that the tables cannot allow */
	PF_EMULATE_TABLE,	/* a write to a guest page table that is shadowed */
};

struct rmap_list {
	struct rmap_list *next;	/* full, as all but the first */
	unsigned int nr;
	u64 *sptep[6];
};

static struct kmem_cache *header_kmem;
static struct kmem_cache *rmap_kmem;

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

/* A fault uses a shadow page a level, with its gfns, and an rmap entry for each spte. */
static int topup(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int r = cache_topup(&mmu->desc_cache, 8 + PREFETCH, ARRAY_SIZE(mmu->desc_cache.objects));

	r = r ?: cache_topup(&mmu->page_cache, 2 * 5, 16);
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

static void *cache_take(struct kvm_mmu_memory_cache *c)
{
	return c->objects[--c->nobjs];
}

/*
 * ---- lists of sptes: reverse maps, and the parents of a shadow page ----
 *
 * One pointer, or a chain of nodes with bit 0 set.
 */

static struct rmap_list *rmap_chain(const struct kvm_rmap_head *head)
{
	return head->val & 1 ? (struct rmap_list *)(head->val & ~1UL) : NULL;
}

static void rmap_add(struct kvm_vcpu *vcpu, struct kvm_rmap_head *head, u64 *sptep)
{
	struct rmap_list *list = rmap_chain(head), *new;

	if (!head->val) {
		head->val = (unsigned long)sptep;
		return;
	}
	if (list && list->nr < ARRAY_SIZE(list->sptep)) {
		list->sptep[list->nr++] = sptep;
		return;
	}
	new = cache_take(&vcpu->mmu.desc_cache);
	new->next = list;
	new->nr = 0;
	if (!list)
		new->sptep[new->nr++] = (u64 *)head->val;
	new->sptep[new->nr++] = sptep;
	head->val = (unsigned long)new | 1;
}

/* The first node fills the gap, so that only it is ever not full. */
static void rmap_fill_gap(struct kvm_rmap_head *head, u64 **gap)
{
	struct rmap_list *first = rmap_chain(head);

	*gap = first->sptep[--first->nr];
	if (first->nr)
		return;
	head->val = first->next ? (unsigned long)first->next | 1 : 0;
	kmem_cache_free(rmap_kmem, first);
}

static void rmap_remove(struct kvm_rmap_head *head, const u64 *sptep)
{
	struct rmap_list *list = rmap_chain(head);
	unsigned int i;

	if (!list) {
		if (head->val == (unsigned long)sptep)
			head->val = 0;
		return;
	}
	for (; list; list = list->next) {
		for (i = 0; i < list->nr; i++) {
			if (list->sptep[i] == sptep) {
				rmap_fill_gap(head, &list->sptep[i]);
				return;
			}
		}
	}
}

static u64 *rmap_first(const struct kvm_rmap_head *head)
{
	struct rmap_list *list = rmap_chain(head);

	return list ? list->sptep[list->nr - 1] : (u64 *)head->val;
}

struct rmap_iter {
	struct rmap_list *list;
	unsigned int i;
};

static u64 *rmap_next(struct rmap_iter *it)
{
	if (it->list && ++it->i >= it->list->nr) {
		it->list = it->list->next;
		it->i = 0;
	}
	return it->list ? it->list->sptep[it->i] : NULL;
}

static u64 *rmap_begin(const struct kvm_rmap_head *head, struct rmap_iter *it)
{
	it->list = rmap_chain(head);
	it->i = 0;
	return it->list ? it->list->sptep[0] : (u64 *)head->val;
}

#define for_each_rmap(head, it, sptep) \
	for (sptep = rmap_begin(head, it); sptep; sptep = rmap_next(it))

static unsigned long level_index(const struct kvm_memory_slot *slot, gfn_t gfn, int level)
{
	int shift = (level - 1) * 9;

	return (gfn >> shift) - (slot->base_gfn >> shift);
}

static struct kvm_rmap_head *slot_rmap(struct kvm_memory_slot *slot, gfn_t gfn, int level)
{
	return &slot->arch.rmap[level - 1][level_index(slot, gfn, level)];
}

/* The frame that leaf index of sp maps, not an alias. */
static gfn_t leaf_gfn(struct kvm *kvm, const struct kvm_mmu_page *sp, unsigned int index)
{
	if (sp->gfns)
		return sp->gfns[index];
	return kvm_unalias_gfn(kvm, sp->gfn + index * KVM_PAGES_PER_LEVEL(sp->role.level));
}

/*
 * ---- flushing ----
 */

/**
 * kvm_mmu_flush - no vcpu's TLB has more than the tables on return
 * @kvm: the VM; mmu_lock held
 * @needed: something was taken away just now
 *
 * What the guest's own flushes let go is not flushed at once, as the guest
 * flushes where it matters to it.  To the host it matters before a page is
 * given back or trusted not to be written: so tlbs_dirty remembers it.
 */
void kvm_mmu_flush(struct kvm *kvm, bool needed)
{
	if (needed || kvm->tlbs_dirty) {
		kvm->tlbs_dirty = false;
		kvm_flush_remote_tlbs(kvm);
	}
}

/*
 * ---- single sptes ----
 */

/* Take a leaf out.  The caller flushes, or leaves it to who must. */
static void drop_leaf(struct kvm *kvm, u64 *sptep)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	struct kvm_memory_slot *slot;
	gfn_t gfn = leaf_gfn(kvm, sp, spte_index(sptep));

	spte_write(sptep, 0);
	kvm->tlbs_dirty = true;
	if (sp->role.level > PG_LEVEL_4K)
		kvm->stat.largepages--;
	slot = kvm_gfn_to_slot(kvm, gfn);
	/* A slot's sptes go before it does, so it is there. */
	if (slot)
		rmap_remove(slot_rmap(slot, gfn, sp->role.level), sptep);
}

static void unset_unsync_child(struct kvm_mmu_page *parent, unsigned int index)
{
	if (__test_and_clear_bit(index, parent->unsync_children))
		parent->unsync_nr--;
}

/* Take a link to a lower table out. */
static void drop_link(u64 *sptep)
{
	struct kvm_mmu_page *child = spte_to_child(*sptep);

	rmap_remove(&child->parents, sptep);
	unset_unsync_child(sptep_to_sp(sptep), spte_index(sptep));
	spte_write(sptep, 0);
}

/* keep_mmu: only for the dirty log, so that a write fault may simply undo it. */
static void write_protect(struct kvm *kvm, u64 *sptep, bool keep_mmu)
{
	u64 old = *sptep, new = old & ~SPTE_W;

	if (!keep_mmu)
		new &= ~SPTE_MMU_WRITABLE;
	/* A processor that logs the dirty bit's setting needs no fault; but no large page. */
	else if (kvm_ops.nested_dirty_log && sptep_to_sp(sptep)->role.level == PG_LEVEL_4K)
		new = old & ~spte_dirty_mask();
	if (new == old)
		return;
	spte_write(sptep, new);
	if (old & SPTE_W)
		kvm->tlbs_dirty = true;
}

static void write_protect_gfn(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn,
			      bool keep_mmu)
{
	struct rmap_iter it;
	u64 *sptep;
	int level;

	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++)
		for_each_rmap(slot_rmap(slot, gfn, level), &it, sptep)
			write_protect(kvm, sptep, keep_mmu);
}

/*
 * ---- shadow pages: finding, linking ----
 */

static struct hlist_head *hash_bucket(struct kvm *kvm, gfn_t gfn)
{
	return &kvm->page_hash[hash_64(gfn, KVM_MMU_HASH_BITS)];
}

#define for_each_sp(kvm, sp, frame) \
	hlist_for_each_entry(sp, hash_bucket(kvm, frame), hash_link) \
		if ((sp)->gfn != (frame)) {} else

/* The same, only shadows of guest tables. */
#define for_each_indirect(kvm, sp, frame) \
	hlist_for_each_entry(sp, hash_bucket(kvm, frame), hash_link) \
		if ((sp)->gfn != (frame) || (sp)->role.direct) {} else

static bool gfn_shadowed(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_mmu_page *sp;

	if (!kvm->n_indirect)
		return false;
	for_each_indirect(kvm, sp, gfn)
		return true;
	return false;
}

/* All tables on the way from any root to sp have its bit set. */
static void mark_unsync_path(struct kvm_mmu_page *sp)
{
	struct rmap_iter it;
	u64 *sptep;

	for_each_rmap(&sp->parents, &it, sptep) {
		struct kvm_mmu_page *p = sptep_to_sp(sptep);

		/* Set already: then it is set all the way up. */
		if (__test_and_set_bit(spte_index(sptep), p->unsync_children))
			continue;
		if (!p->unsync_nr++)
			mark_unsync_path(p);
	}
}

static void set_link(struct kvm_vcpu *vcpu, u64 *sptep, struct kvm_mmu_page *child)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	u64 user = kvm_ops.nested_paging ? kvm_ops.nested_access_mask : SPTE_U;

	rmap_add(vcpu, &child->parents, sptep);
	spte_write(sptep, __sme_set(__pa(child->spt)) | SPTE_P | SPTE_W | user |
		   spte_accessed_mask());
	if ((child->unsync || child->unsync_nr) &&
	    !__test_and_set_bit(spte_index(sptep), sp->unsync_children) && !sp->unsync_nr++)
		mark_unsync_path(sp);
}

/* Guest tables are never under a large page, which could be written unseen. */
static void account_shadowed(struct kvm *kvm, struct kvm_mmu_page *sp, int delta)
{
	struct kvm_memory_slot *slot = kvm_gfn_to_slot(kvm, sp->gfn);
	int level;

	if (!slot || (delta < 0 && !sp->accounted))
		return;
	sp->accounted = delta > 0;
	for (level = PG_LEVEL_2M; level <= KVM_MAX_LEAF_LEVEL; level++)
		slot->arch.disallow_lpage[level - 2][level_index(slot, sp->gfn, level)] += delta;
	if (delta > 0)
		write_protect_gfn(kvm, slot, sp->gfn, false);
}

static void sync_page(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp);

/* The guest's frame was writable for its last-level shadows: bring them up to date. */
static void sync_gfn(struct kvm_vcpu *vcpu, gfn_t gfn)
{
	struct kvm_mmu_page *sp;

	for_each_indirect(vcpu->kvm, sp, gfn) {
		if (sp->unsync) {
			sync_page(vcpu, sp);
			sp->unsync = false;
		}
	}
}

static struct kvm_mmu_page *new_page(struct kvm_vcpu *vcpu, gfn_t gfn, union mmu_role role)
{
	struct kvm_mmu_page *sp = cache_take(&vcpu->mmu.header_cache);
	struct kvm *kvm = vcpu->kvm;

	memset(sp, 0, sizeof(*sp));
	sp->gfn = gfn;
	sp->role = role;
	sp->spt = cache_take(&vcpu->mmu.page_cache);
	set_page_private(virt_to_page(sp->spt), (unsigned long)sp);
	sp->zap_gen = kvm->mmu_zap_gen;
	if (!role.direct)
		sp->gfns = cache_take(&vcpu->mmu.page_cache);
	hlist_add_head(&sp->hash_link, hash_bucket(kvm, gfn));
	list_add(&sp->link, &kvm->active_pages);
	kvm->n_used_pages++;
	kvm->stat.mmu_cache_miss++;
	return sp;
}

/* From now on writes to the guest's table are seen. */
static void begin_shadowing(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
{
	struct kvm *kvm = vcpu->kvm;

	kvm->n_indirect++;
	/*
	 * kvm_mmu_track_write() writes, then looks at n_indirect; we count, then
	 * read the guest's table.  One of us sees the other.
	 */
	smp_mb();
	account_shadowed(kvm, sp, 1);
	kvm_mmu_flush(kvm, false);
	sync_gfn(vcpu, sp->gfn);
}

/* The shadow page of gfn in this role, made if there is none; caches are topped up. */
static struct kvm_mmu_page *get_page_in_role(struct kvm_vcpu *vcpu, gfn_t gfn,
					     union mmu_role role)
{
	struct kvm_mmu_page *sp;

	for_each_sp(vcpu->kvm, sp, gfn) {
		if (sp->role.word == role.word)
			return sp;
	}
	sp = new_page(vcpu, gfn, role);
	if (!role.direct)
		begin_shadowing(vcpu, sp);
	return sp;
}

/*
 * Before a page is linked again: while it was out of the tables the guest's
 * flushes did not reach it, nor what is below it.  Unsync pages become what the
 * guest has now; they may stay writable.
 */
static void sync_subtree(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
{
	unsigned int i;

	if (sp->unsync)
		sync_page(vcpu, sp);
	for_each_set_bit(i, sp->unsync_children, SPTES_PER_PAGE)
		sync_subtree(vcpu, spte_to_child(sp->spt[i]));
}

static struct kvm_mmu_page *get_direct(struct kvm_vcpu *vcpu, gfn_t gfn, int level,
				       unsigned int access)
{
	union mmu_role role = { .level = level, .direct = 1, .access = access };

	return get_page_in_role(vcpu, gfn, role);
}

/*
 * ---- shadow pages: zapping ----
 *
 * A zapped page is out of the tables and the hash at once, and freed after a
 * flush: until then a processor may still walk it.
 */

static void zap_page(struct kvm *kvm, struct kvm_mmu_page *sp, struct list_head *dead);

static void drop_spte(struct kvm *kvm, struct kvm_mmu_page *sp, u64 *sptep, struct list_head *dead)
{
	struct kvm_mmu_page *child;
	u64 spte = *sptep;

	if (!spte_present(spte))
		return;
	if (spte_leaf(spte, sp->role.level)) {
		drop_leaf(kvm, sptep);
		return;
	}
	child = spte_to_child(spte);
	drop_link(sptep);
	/* Shadows of tables are worth keeping for their next use; these are not. */
	if (dead && child->role.direct && !child->parents.val && !child->root_count)
		zap_page(kvm, child, dead);
}

static void zap_page(struct kvm *kvm, struct kvm_mmu_page *sp, struct list_head *dead)
{
	u64 *parent;
	int i;

	if (sp->invalid)
		return;
	sp->invalid = true;
	for (i = 0; i < SPTES_PER_PAGE; i++)
		drop_spte(kvm, sp, &sp->spt[i], dead);
	while ((parent = rmap_first(&sp->parents)))
		drop_link(parent);
	hlist_del(&sp->hash_link);
	list_del(&sp->link);
	kvm->n_used_pages--;
	kvm->stat.mmu_shadow_zapped++;
	if (!sp->role.direct) {
		kvm->n_indirect--;
		account_shadowed(kvm, sp, -1);
	}
	if (sp->root_count)
		/* Freed when the last vcpu lets go of it. */
		kvm_make_all_vcpus_request(kvm, KVM_REQ_MMU_RELOAD);
	else
		list_add(&sp->link, dead);
}

static void free_dead(struct kvm *kvm, struct list_head *dead)
{
	struct kvm_mmu_page *sp, *n;

	if (list_empty(dead))
		return;
	kvm_mmu_flush(kvm, true);
	list_for_each_entry_safe(sp, n, dead, link) {
		set_page_private(virt_to_page(sp->spt), 0);
		free_page((unsigned long)sp->spt);
		free_page((unsigned long)sp->gfns);
		kmem_cache_free(header_kmem, sp);
	}
	INIT_LIST_HEAD(dead);
}

/* Let others at the lock in a long loop.  True: it was dropped, begin anew. */
static bool zap_resched(struct kvm *kvm, struct list_head *dead)
{
	if (!need_resched() && !spin_needbreak(&kvm->mmu_lock))
		return false;
	free_dead(kvm, dead);
	kvm_mmu_flush(kvm, false);
	cond_resched_lock(&kvm->mmu_lock);
	return true;
}

/** kvm_mmu_zap_all - every shadow page that is there when it is called */
void kvm_mmu_zap_all(struct kvm *kvm)
{
	struct kvm_mmu_page *sp;
	LIST_HEAD(dead);

	spin_lock(&kvm->mmu_lock);
	kvm->mmu_zap_gen++;
again:
	list_for_each_entry_reverse(sp, &kvm->active_pages, link) {
		if (sp->zap_gen == kvm->mmu_zap_gen)
			continue;
		zap_page(kvm, sp, &dead);
		zap_resched(kvm, &dead);
		/* Others may have gone along with it. */
		goto again;
	}
	free_dead(kvm, &dead);
	kvm_mmu_flush(kvm, false);
	spin_unlock(&kvm->mmu_lock);
}

/** kvm_mmu_zap_shadows - the shadows of guest page tables in these frames */
void kvm_mmu_zap_shadows(struct kvm *kvm, gfn_t base, unsigned long npages)
{
	struct kvm_mmu_page *sp;
	LIST_HEAD(dead);

	spin_lock(&kvm->mmu_lock);
again:
	if (kvm->n_indirect) {
		list_for_each_entry(sp, &kvm->active_pages, link) {
			if (sp->role.direct || sp->gfn - base >= npages)
				continue;
			zap_page(kvm, sp, &dead);
			zap_resched(kvm, &dead);
			goto again;
		}
	}
	free_dead(kvm, &dead);
	spin_unlock(&kvm->mmu_lock);
}

/* Is there something that shadows gfn?  No more. */
static bool unshadow_gfn(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_mmu_page *sp;
	bool any = false;
	LIST_HEAD(dead);

	spin_lock(&kvm->mmu_lock);
again:
	for_each_indirect(kvm, sp, gfn) {
		zap_page(kvm, sp, &dead);
		any = true;
		goto again;
	}
	free_dead(kvm, &dead);
	spin_unlock(&kvm->mmu_lock);
	return any;
}

/*
 * Before a fault: room for what it may need.  The oldest pages go, but roots.
 * The limit is soft, so that a few pages too many never stop a guest.
 */
static void make_room(struct kvm *kvm)
{
	struct kvm_mmu_page *sp;
	int i, roots = 0;
	LIST_HEAD(dead);

	if (likely(kvm->n_used_pages + PAGES_PER_FAULT <= kvm->n_max_pages))
		return;
	for (i = 0; i < 4 * PAGES_PER_FAULT && !list_empty(&kvm->active_pages); i++) {
		sp = list_last_entry(&kvm->active_pages, struct kvm_mmu_page, link);
		if (sp->root_count) {
			list_move(&sp->link, &kvm->active_pages);
			if (++roots > KVM_MAX_VCPUS)
				break;
			continue;
		}
		kvm->stat.mmu_recycled++;
		zap_page(kvm, sp, &dead);
	}
	free_dead(kvm, &dead);
}

/** kvm_mmu_set_limit - how many shadow pages, given so many guest pages */
void kvm_mmu_set_limit(struct kvm *kvm, unsigned long npages)
{
	spin_lock(&kvm->mmu_lock);
	/* A fiftieth: nested paging with 4k pages needs a five-hundredth. */
	kvm->n_max_pages = kvm->n_asked_pages ?: max(npages / 50, MIN_SHADOW_PAGES);
	spin_unlock(&kvm->mmu_lock);
}

/**
 * kvm_mmu_set_nr_pages - KVM_SET_NR_MMU_PAGES: a limit of the VMM's own
 * @kvm: the VM
 * @npages: shadow pages
 *
 * It stays when memory slots change. Pages above it go now, but for roots in
 * use; the limit is soft as ever. Takes mmu_lock.
 *
 * Returns -EINVAL for fewer than KVM_MIN_MMU_PAGES, or more than
 * KVM_GET_NR_MMU_PAGES can return.
 */
int kvm_mmu_set_nr_pages(struct kvm *kvm, unsigned long npages)
{
	unsigned long before;
	bool more;

	if (npages < KVM_MIN_MMU_PAGES || npages > INT_MAX)
		return -EINVAL;
	spin_lock(&kvm->mmu_lock);
	kvm->n_asked_pages = npages;
	kvm->n_max_pages = npages;
	do {
		before = kvm->n_used_pages;
		make_room(kvm);
		more = kvm->n_used_pages < before;
		cond_resched_lock(&kvm->mmu_lock);
	} while (more && !fatal_signal_pending(current));
	spin_unlock(&kvm->mmu_lock);
	return 0;
}

/*
 * ---- out of sync ----
 *
 * The guest may write a last-level table that is shadowed, unseen, until it
 * flushes its TLB: as on a processor, whose TLB would not notice either.
 */

/*
 * May gfn be writable though it is shadowed?  If it is unsync already, or is
 * just written and all its shadows are of the last level.
 */
static bool make_unsync(struct kvm *kvm, gfn_t gfn, bool write)
{
	struct kvm_mmu_page *sp;

	for_each_indirect(kvm, sp, gfn) {
		if (sp->unsync)
			continue;
		if (!write || sp->role.level != PG_LEVEL_4K)
			return false;
	}
	for_each_indirect(kvm, sp, gfn) {
		if (sp->unsync)
			continue;
		sp->unsync = true;
		kvm->stat.mmu_unsync++;
		mark_unsync_path(sp);
	}
	return true;
}

#define SYNC_BATCH	16

/* Collect unsync pages below sp; bits that lead to none are cleared. */
static int gather_unsync(struct kvm_mmu_page *sp, struct kvm_mmu_page **batch, int n)
{
	unsigned int i;

	if (sp->unsync)
		batch[n++] = sp;
	for_each_set_bit(i, sp->unsync_children, SPTES_PER_PAGE) {
		struct kvm_mmu_page *child;

		if (n == SYNC_BATCH)
			break;
		child = spte_to_child(sp->spt[i]);
		if (child->unsync || child->unsync_nr)
			n = gather_unsync(child, batch, n);
		if (!child->unsync && !child->unsync_nr)
			unset_unsync_child(sp, i);
	}
	return n;
}

/* All below a root; writes to what was unsync fault again afterwards. */
static void sync_below(struct kvm_vcpu *vcpu, struct kvm_mmu_page *root)
{
	struct kvm_mmu_page *batch[SYNC_BATCH];
	struct kvm *kvm = vcpu->kvm;
	int i, n;

	while ((n = gather_unsync(root, batch, 0))) {
		for (i = 0; i < n; i++) {
			struct kvm_memory_slot *slot = kvm_gfn_to_slot(kvm, batch[i]->gfn);

			if (slot)
				write_protect_gfn(kvm, slot, batch[i]->gfn, false);
		}
		/* Before the tables are read: nobody writes them any more. */
		kvm_mmu_flush(kvm, false);
		for (i = 0; i < n; i++)
			sync_gfn(vcpu, batch[i]->gfn);
		/* The root is held by this vcpu: it stays. */
		cond_resched_lock(&kvm->mmu_lock);
	}
}

/*
 * ---- roots ----
 */

static struct kvm_mmu_page *root_sp(hpa_t hpa)
{
	return table_to_sp(__va(hpa));
}

static hpa_t hold_root(struct kvm_mmu_page *sp)
{
	sp->root_count++;
	return __pa(sp->spt);
}

static void put_root(hpa_t *hpa, struct list_head *dead)
{
	struct kvm_mmu_page *sp;

	if (*hpa == INVALID_PAGE)
		return;
	sp = root_sp(*hpa);
	if (!--sp->root_count && sp->invalid)
		list_add(&sp->link, dead);
	*hpa = INVALID_PAGE;
}

static bool three_level(const struct kvm_mmu *mmu)
{
	return mmu->shadow_root_level == 3;
}

/** kvm_mmu_unload - the vcpu holds no root any more; the pages stay for its next use */
void kvm_mmu_unload(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;
	LIST_HEAD(dead);
	int i;

	if (mmu->root_hpa == INVALID_PAGE)
		return;
	spin_lock(&kvm->mmu_lock);
	if (!three_level(mmu))
		put_root(&mmu->root_hpa, &dead);
	for (i = 0; i < KVM_MMU_ROOTS; i++)
		put_root(&mmu->pae_sub_root[i], &dead);
	mmu->root_hpa = INVALID_PAGE;
	free_dead(kvm, &dead);
	spin_unlock(&kvm->mmu_lock);
}
EXPORT_SYMBOL_GPL(kvm_mmu_unload);

static gfn_t cr3_gfn(struct kvm_vcpu *vcpu)
{
	u64 cr3 = kvm_read_cr3(vcpu);

	if (!vcpu->mmu.long_mode)
		return (u32)cr3 >> PAGE_SHIFT;
	return (cr3 & SPTE_ADDR_MASK) >> PAGE_SHIFT;
}

/* The page under entry i of a three-level root: one of a guest table, or 1:1. */
static struct kvm_mmu_page *get_pae_sub_root(struct kvm_vcpu *vcpu, int i)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	union mmu_role role = { .word = mmu->role_word };
	gfn_t gfn = cr3_gfn(vcpu);

	if (mmu->direct)
		return get_direct(vcpu, (gfn_t)i << 18, PG_LEVEL_2M, ACC_ALL);
	role.level = PG_LEVEL_2M;
	role.access = ACC_ALL;
	if (mmu->root_level == 3) {
		if (!(mmu->pdptrs[i] & SPTE_P))
			return NULL;
		gfn = (mmu->pdptrs[i] & SPTE_ADDR_MASK) >> PAGE_SHIFT;
	} else {
		role.quadrant = i;
	}
	return get_page_in_role(vcpu, kvm_unalias_gfn(vcpu->kvm, gfn), role);
}

static void alloc_pae_roots(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i;

	for (i = 0; i < KVM_MMU_ROOTS; i++) {
		struct kvm_mmu_page *sp = get_pae_sub_root(vcpu, i);

		/* Only P: the rights' bits are reserved here (APM 2 "PAE Paging"). */
		mmu->pae_root[i] = sp ? __pa(sp->spt) | SPTE_P : 0;
		mmu->pae_sub_root[i] = sp ? hold_root(sp) : INVALID_PAGE;
	}
	mmu->root_hpa = __pa(mmu->pae_root);
}

static void alloc_root(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	union mmu_role role = { .word = mmu->role_word };
	struct kvm_mmu_page *sp;

	if (mmu->direct) {
		sp = get_direct(vcpu, 0, mmu->shadow_root_level, ACC_ALL);
	} else {
		role.level = mmu->shadow_root_level;
		role.access = ACC_ALL;
		sp = get_page_in_role(vcpu, kvm_unalias_gfn(vcpu->kvm, cr3_gfn(vcpu)), role);
	}
	mmu->root_hpa = hold_root(sp);
}

static void sync_roots_locked(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i;

	if (!three_level(mmu)) {
		sync_below(vcpu, root_sp(mmu->root_hpa));
		return;
	}
	for (i = 0; i < KVM_MMU_ROOTS; i++) {
		if (mmu->pae_sub_root[i] != INVALID_PAGE)
			sync_below(vcpu, root_sp(mmu->pae_sub_root[i]));
	}
}

/** kvm_mmu_sync_roots - what the guest wrote to its tables unseen counts from now on */
void kvm_mmu_sync_roots(struct kvm_vcpu *vcpu)
{
	if (vcpu->mmu.direct || vcpu->mmu.root_hpa == INVALID_PAGE)
		return;
	spin_lock(&vcpu->kvm->mmu_lock);
	sync_roots_locked(vcpu);
	spin_unlock(&vcpu->kvm->mmu_lock);
}

static void forget_mmio(struct kvm_vcpu *vcpu)
{
	vcpu->mmu.mmio_generation = 0;
}

/** kvm_mmu_load - before entry: a root for the guest's present mode and CR3 */
int kvm_mmu_load(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;
	int r = topup(vcpu);

	if (r)
		return r;
	spin_lock(&kvm->mmu_lock);
	make_room(kvm);
	mmu->root_pgd = mmu->direct ? 0 : kvm_read_cr3(vcpu);
	if (three_level(mmu))
		alloc_pae_roots(vcpu);
	else
		alloc_root(vcpu);
	if (!mmu->direct)
		sync_roots_locked(vcpu);
	spin_unlock(&kvm->mmu_lock);
	kvm_ops.load_root(vcpu, mmu->root_hpa, mmu->shadow_root_level);
	return 0;
}

/** kvm_mmu_new_cr3 - the guest loaded CR3, which flushes, too */
void kvm_mmu_new_cr3(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	if (mmu->direct)
		return;
	forget_mmio(vcpu);
	if (mmu->root_pgd == kvm_read_cr3(vcpu)) {
		kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
	} else {
		kvm_mmu_unload(vcpu);
	}
}

/** kvm_mmu_guest_tlb_flush - the guest flushes its TLB, global entries included */
void kvm_mmu_guest_tlb_flush(struct kvm_vcpu *vcpu)
{
	forget_mmio(vcpu);
	if (!vcpu->mmu.direct)
		kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
	kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_guest_tlb_flush);

/*
 * ---- one mapping ----
 */

/* A fault on its way: what is to be mapped, and what came of it. */
struct mapping {
	u64 addr;			/* gpa or gva, the address that faulted */
	gfn_t gfn;			/* not an alias */
	struct kvm_memory_slot *slot;
	kvm_pfn_t pfn;
	bool write, host_writable;
	int host_level;
	unsigned int access;
	unsigned long seq;		/* kvm->notifier_seq, before the host was asked */
};

static int signal_poison(hva_t hva)
{
	send_sig_mceerr(BUS_MCEERR_AR, (void __user *)hva, PAGE_SHIFT, current);
	return PF_RESUME;
}

static int pfn_error(struct kvm_vcpu *vcpu, const struct mapping *m)
{
	switch (m->pfn) {
	case KVM_PFN_ERR_RO:
		return PF_EMULATE;
	case KVM_PFN_ERR_HWPOISON:
		return signal_poison(kvm_slot_hva(m->slot, m->gfn));
	case KVM_PFN_ERR_INTR:
		if (!signal_pending(current))
			return PF_RESUME;
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	default:
		return -EFAULT;
	}
}

/* True: the guest goes on with something else until the page is there. */
static bool host_frame(struct kvm_vcpu *vcpu, struct mapping *m)
{
	bool nowait = kvm_async_pf_wanted(vcpu);
	hva_t hva = kvm_slot_hva(m->slot, m->gfn);

	m->pfn = kvm_slot_gfn_to_pfn(vcpu->kvm, m->slot, m->gfn, m->write, nowait,
				     &m->host_writable, &m->host_level);
	if (likely(m->pfn != KVM_PFN_ERR_WAIT))
		return false;
	if (kvm_async_pf_start(vcpu, m->gfn, hva, m->write))
		return true;
	m->pfn = kvm_slot_gfn_to_pfn(vcpu->kvm, m->slot, m->gfn, m->write, false,
				     &m->host_writable, &m->host_level);
	return false;
}

/* The host's frame for m->gfn; PF_RESUME: go on. */
static int find_pfn(struct kvm_vcpu *vcpu, struct mapping *m, bool *found)
{
	struct kvm *kvm = vcpu->kvm;

	*found = false;
	m->slot = kvm_vcpu_gfn_to_slot(vcpu, m->gfn);
	if (!m->slot || (m->write && (m->slot->flags & KVM_MEM_READONLY)))
		return PF_EMULATE;
	m->seq = READ_ONCE(kvm->notifier_seq);
	/* Before the host's tables are looked at. */
	smp_rmb();
	if (host_frame(vcpu, m))
		return PF_RESUME;
	if (is_error_pfn(m->pfn))
		return pfn_error(vcpu, m);
	*found = true;
	return PF_RESUME;
}

static bool root_lost(struct kvm_vcpu *vcpu, u64 addr)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	hpa_t hpa = three_level(mmu) ? mmu->pae_sub_root[(addr >> 30) & 3] : mmu->root_hpa;

	return hpa == INVALID_PAGE || root_sp(hpa)->invalid;
}

/* Has what was found without the lock been overtaken? */
static bool stale(struct kvm_vcpu *vcpu, const struct mapping *m)
{
	struct kvm *kvm = vcpu->kvm;
	hva_t hva = kvm_slot_hva(m->slot, m->gfn);

	if (kvm->notifier_count && hva >= kvm->notifier_start && hva < kvm->notifier_end)
		return true;
	return kvm->notifier_seq != m->seq || root_lost(vcpu, m->addr);
}

/* The largest page that the host's mapping, the slot and its shadowed tables allow. */
static int mapping_level(struct kvm_vcpu *vcpu, const struct mapping *m, int max)
{
	int level = min(max, m->host_level);

	/* An alias may begin or end anywhere. */
	if (m->slot->dirty_bitmap || kvm_has_aliases(vcpu->kvm))
		return PG_LEVEL_4K;
	while (level > PG_LEVEL_4K &&
	       m->slot->arch.disallow_lpage[level - 2][level_index(m->slot, m->gfn, level)])
		level--;
	return level;
}

static void use_level(struct mapping *m, int level)
{
	unsigned long mask = KVM_PAGES_PER_LEVEL(level) - 1;

	m->gfn &= ~(gfn_t)mask;
	m->pfn &= ~(kvm_pfn_t)mask;
}

static u64 access_bits(unsigned int access)
{
	u64 bits = 0;

	if (kvm_ops.nested_paging)
		return kvm_ops.nested_access_mask;
	if (access & ACC_U)
		bits |= SPTE_U;
	if (!(access & ACC_X) && kvm_ops.has_nx)
		bits |= SPTE_NX;
	return bits;
}

static u64 leaf_bits(void)
{
	return kvm_ops.nested_paging ? kvm_ops.nested_leaf_mask : 0;
}

/* *table: the frame is a guest page table that must not be written. */
static u64 make_leaf(struct kvm_vcpu *vcpu, const struct mapping *m, int level, bool *table)
{
	u64 spte = (m->pfn << PAGE_SHIFT) | SPTE_P | spte_accessed_mask() |
		   access_bits(m->access);

	*table = false;
	/* Device memory is never encrypted, nor cached. */
	if (pfn_valid(m->pfn))
		spte = __sme_set(spte) | leaf_bits();
	if (level > PG_LEVEL_4K)
		spte |= SPTE_PS;
	if (!m->host_writable)
		return spte;
	spte |= SPTE_HOST_WRITABLE;
	if (!(m->access & ACC_W))
		return spte;
	if (gfn_shadowed(vcpu->kvm, m->gfn) && !make_unsync(vcpu->kvm, m->gfn, m->write)) {
		*table = true;
		return spte;
	}
	spte |= SPTE_MMU_WRITABLE;
	/* A logged page becomes writable, or dirty, by the write that dirties it. */
	if (m->slot->dirty_bitmap && !m->write)
		return kvm_ops.nested_dirty_log ? spte | SPTE_W : spte;
	kvm_mark_page_dirty(vcpu->kvm, m->slot, m->gfn);
	return spte | SPTE_W | spte_dirty_mask();
}

static int set_leaf(struct kvm_vcpu *vcpu, u64 *sptep, const struct mapping *m)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	int level = sp->role.level;
	struct kvm *kvm = vcpu->kvm;
	LIST_HEAD(dead);
	bool table;
	u64 spte = make_leaf(vcpu, m, level, &table), old = *sptep;

	/* Another frame, or a table where there is a large page now. */
	if (spte_present(old) &&
	    (!spte_leaf(old, level) || spte_pfn(old) != m->pfn ||
	     (sp->gfns && sp->gfns[spte_index(sptep)] != m->gfn))) {
		drop_spte(kvm, sp, sptep, &dead);
		free_dead(kvm, &dead);
		old = 0;
	}
	if (!spte_present(old)) {
		if (sp->gfns)
			sp->gfns[spte_index(sptep)] = m->gfn;
		rmap_add(vcpu, slot_rmap(m->slot, m->gfn, level), sptep);
		kvm->stat.largepages += level > PG_LEVEL_4K;
	} else if (spte_reduced(old, spte)) {
		kvm->tlbs_dirty = true;
	}
	spte_write(sptep, spte);
	return table && m->write ? PF_EMULATE_TABLE : PF_RESUME;
}

/*
 * ---- direct: nested paging, and shadows of an unpaged guest ----
 */

static u64 *root_table(struct kvm_vcpu *vcpu, u64 addr, int *level)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	if (three_level(mmu)) {
		*level = PG_LEVEL_2M;
		return __va(mmu->pae_sub_root[(addr >> 30) & 3]);
	}
	*level = mmu->shadow_root_level;
	return __va(mmu->root_hpa);
}

/* The leaf that maps addr, or the entry where the way ends. */
static u64 *find_leaf(struct kvm_vcpu *vcpu, u64 addr, int *level)
{
	u64 *table = root_table(vcpu, addr, level), *sptep;

	for (;; (*level)--) {
		sptep = &table[addr_index(addr, *level)];
		if (!spte_present(*sptep) || spte_leaf(*sptep, *level))
			return sptep;
		table = pfn_to_table(spte_pfn(*sptep));
	}
}

/* Make way for a link at sptep: a large page gives way to smaller ones. */
static void clear_for_link(struct kvm_vcpu *vcpu, u64 *sptep, int level)
{
	if (spte_present(*sptep) && spte_leaf(*sptep, level))
		drop_leaf(vcpu->kvm, sptep);
}

/* Down from table to the leaf of level to, through direct pages from gfn's region on. */
static u64 *descend_direct(struct kvm_vcpu *vcpu, u64 *table, int level, int to, u64 addr,
			   gfn_t gfn, unsigned int access)
{
	struct kvm_mmu_page *sp;
	u64 *sptep;

	for (;; level--) {
		sptep = &table[addr_index(addr, level)];
		if (level == to)
			return sptep;
		clear_for_link(vcpu, sptep, level);
		if (spte_present(*sptep)) {
			sp = spte_to_child(*sptep);
			if (sp->role.direct && sp->role.access == access) {
				table = sp->spt;
				continue;
			}
			drop_link(sptep);
		}
		sp = get_direct(vcpu, gfn & ~(gfn_t)(KVM_PAGES_PER_LEVEL(level) - 1), level - 1,
				access);
		set_link(vcpu, sptep, sp);
		table = sp->spt;
	}
}

static int max_direct_level(void)
{
	return kvm_ops.nested_paging ? kvm_ops.max_nested_page_level : PG_LEVEL_2M;
}

static int map_direct(struct kvm_vcpu *vcpu, struct mapping *m)
{
	int level = mapping_level(vcpu, m, max_direct_level()), root_level, r;
	u64 *table = root_table(vcpu, m->addr, &root_level), *sptep;
	gfn_t gpa_gfn = gpa_to_gfn(m->addr);

	use_level(m, level);
	sptep = descend_direct(vcpu, table, root_level, level, m->addr, gpa_gfn, ACC_ALL);
	r = set_leaf(vcpu, sptep, m);
	/* Nobody but us knows that another page may be in the TLBs. */
	if (kvm_ops.nested_paging)
		kvm_mmu_flush(vcpu->kvm, false);
	vcpu->stat.pf_fixed++;
	return r;
}

/* May the fault be a thing of the past?  Else, does only the dirty log keep it from writing? */
static bool spte_allows(struct kvm_vcpu *vcpu, u64 *sptep, int level, gfn_t gfn, bool write)
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
	spte_write(sptep, spte | SPTE_W | spte_dirty_mask());
	kvm_mark_page_dirty(vcpu->kvm, slot, gfn);
	return true;
}

static bool quick_fix_direct(struct kvm_vcpu *vcpu, u64 addr, gfn_t gfn, bool write)
{
	bool fixed = false;
	u64 *sptep;
	int level;

	spin_lock(&vcpu->kvm->mmu_lock);
	if (!root_lost(vcpu, addr)) {
		sptep = find_leaf(vcpu, addr, &level);
		fixed = spte_allows(vcpu, sptep, level, gfn, write);
	}
	spin_unlock(&vcpu->kvm->mmu_lock);
	return fixed;
}

/* No memory there: from now on the vendor's exit says so, and nothing is looked up. */
static void mark_mmio(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm *kvm = vcpu->kvm;
	u64 *table, *sptep;
	int level;

	spin_lock(&kvm->mmu_lock);
	if (!root_lost(vcpu, gpa)) {
		make_room(kvm);
		table = root_table(vcpu, gpa, &level);
		sptep = descend_direct(vcpu, table, level, PG_LEVEL_4K, gpa, gpa_to_gfn(gpa),
				       ACC_ALL);
		if (!spte_present(*sptep))
			spte_write(sptep, kvm_ops.nested_mmio_entry);
	}
	spin_unlock(&kvm->mmu_lock);
}

static int direct_fault(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	struct kvm *kvm = vcpu->kvm;
	struct mapping m = {
		.addr = fault->addr,
		.gfn = kvm_unalias_gfn(kvm, gpa_to_gfn(fault->addr)),
		.write = fault->error_code & PFERR_WRITE_MASK,
		.access = ACC_ALL,
	};
	bool found;
	int r;

	/* Beyond what the tables can hold there is no memory. */
	if (gpa_to_gfn(fault->addr) >> (9 * vcpu->mmu.shadow_root_level))
		return PF_EMULATE;
	if ((fault->error_code & PFERR_PRESENT_MASK) &&
	    quick_fix_direct(vcpu, m.addr, m.gfn, m.write))
		return PF_RESUME;
	r = topup(vcpu);
	if (r)
		return r;
	r = find_pfn(vcpu, &m, &found);
	if (!m.slot && kvm_ops.nested_paging && kvm_ops.nested_mmio_entry)
		mark_mmio(vcpu, m.addr);
	if (!found)
		return r;
	spin_lock(&kvm->mmu_lock);
	if (!stale(vcpu, &m)) {
		make_room(kvm);
		r = map_direct(vcpu, &m);
	}
	spin_unlock(&kvm->mmu_lock);
	return r;
}

/* A page of the vendor's, under the lock; in no reverse map, whatever slot is there. */
static void map_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page)
{
	struct kvm *kvm = vcpu->kvm;
	u64 *table, *sptep;
	LIST_HEAD(dead);
	int level;

	make_room(kvm);
	table = root_table(vcpu, gpa, &level);
	sptep = descend_direct(vcpu, table, level, PG_LEVEL_4K, gpa, gpa_to_gfn(gpa), ACC_ALL);
	drop_spte(kvm, sptep_to_sp(sptep), sptep, &dead);
	spte_write(sptep, ((u64)page_to_pfn(page) << PAGE_SHIFT) | SPTE_P | SPTE_W |
		   access_bits(ACC_ALL) | leaf_bits() | spte_accessed_mask() | spte_dirty_mask());
	kvm_mmu_flush(kvm, false);
}

/**
 * kvm_mmu_map_page - map a page of the vendor's for the guest
 * @vcpu: the vcpu, nested paging in use
 * @gpa: where; memory of a slot there is hidden, until it is used itself
 * @page: stays until all of the VM's tables are gone
 * Returns as exit handlers do.
 */
int kvm_mmu_map_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page)
{
	struct kvm *kvm = vcpu->kvm;
	int r = topup(vcpu);

	if (r)
		return r;
	spin_lock(&kvm->mmu_lock);
	if (vcpu->mmu.root_hpa != INVALID_PAGE && !root_lost(vcpu, gpa))
		map_page(vcpu, gpa, page);
	spin_unlock(&kvm->mmu_lock);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_mmu_map_page);

/**
 * kvm_mmu_map_apic_page - the processor is to see accesses to the APICs' registers
 * @vcpu: the vcpu, nested paging in use
 * @gpa: an address in the page that kvm->apic_page says
 * @page: what the processor knows them by; as for kvm_mmu_map_page()
 * False: not mapped, as a slot is there, or the registers are no more.
 */
bool kvm_mmu_map_apic_page(struct kvm_vcpu *vcpu, gpa_t gpa, struct page *page)
{
	gfn_t gfn = gpa_to_gfn(gpa);
	struct kvm *kvm = vcpu->kvm;
	bool mapped = false;

	if (topup(vcpu))
		return false;
	spin_lock(&kvm->mmu_lock);
	/* Who changes one of these unmaps afterwards, with the lock. */
	if (kvm->apic_page && gfn == gpa_to_gfn(kvm->apic_page) &&
	    !kvm_gfn_to_slot(kvm, kvm_unalias_gfn(kvm, gfn)) &&
	    vcpu->mmu.root_hpa != INVALID_PAGE && !root_lost(vcpu, gpa)) {
		map_page(vcpu, gpa, page);
		mapped = true;
	}
	spin_unlock(&kvm->mmu_lock);
	return mapped;
}
EXPORT_SYMBOL_GPL(kvm_mmu_map_apic_page);

/** kvm_mmu_unmap_page - undo kvm_mmu_map_apic_page(), or nothing; any context that may take mmu_lock */
void kvm_mmu_unmap_page(struct kvm *kvm, gpa_t gpa)
{
	gfn_t gfn = gpa_to_gfn(gpa), first = gfn & ~(gfn_t)(SPTES_PER_PAGE - 1);
	struct kvm_mmu_page *sp;

	if (!kvm_ops.nested_paging)
		return;
	spin_lock(&kvm->mmu_lock);
	for_each_sp(kvm, sp, first)
		if (sp->role.direct && sp->role.level == PG_LEVEL_4K)
			drop_spte(kvm, sp, &sp->spt[gfn - first], NULL);
	kvm_mmu_flush(kvm, false);
	spin_unlock(&kvm->mmu_lock);
}

/*
 * ---- the guest's paging ----
 */

/*
 * May an access be made through a mapping of these rights?  APM 2 "Page
 * Protection"; SDM 3A "Determination of Access Rights".
 */
static bool access_denied(struct kvm_vcpu *vcpu, unsigned int acc, u64 pferr)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	bool user = pferr & PFERR_USER_MASK;

	if (user && !(acc & ACC_U))
		return true;
	if (pferr & PFERR_FETCH_MASK)
		return !(acc & ACC_X) || (!user && mmu->smep && (acc & ACC_U));
	if (!user && mmu->smap && (acc & ACC_U) &&
	    ((pferr & PFERR_IMPLICIT_ACCESS) || !(kvm_ops.get_rflags(vcpu) & X86_EFLAGS_AC)))
		return true;
	return (pferr & PFERR_WRITE_MASK) && !(acc & ACC_W) && (user || mmu->wp);
}

static void make_page_fault(struct kvm_vcpu *vcpu, struct kvm_exception *ex, u64 gva, u64 access,
			    u32 why)
{
	ex->vector = X86_TRAP_PF;
	ex->error_code_valid = true;
	ex->error_code = why | (access & (PFERR_WRITE_MASK | PFERR_USER_MASK));
	if ((access & PFERR_FETCH_MASK) && (vcpu->mmu.nx || vcpu->mmu.smep))
		ex->error_code |= PFERR_FETCH_MASK;
	ex->address = gva;
}

/* A walk through the guest's tables.  Arrays are by level - 1. */
struct guest_walk {
	int level;			/* of the leaf */
	unsigned int access;		/* of the leaf, with all above */
	bool dirty;			/* it may be mapped writable */
	gfn_t gfn;			/* the 4k frame of the address; may be an alias */
	gfn_t table_gfn[5];		/* likewise */
	gpa_t gpte_gpa[5];
	u64 gpte[5];
	unsigned int table_access[5];	/* what the entries above the table allow */
	struct kvm_exception ex;
};

static u64 rsvd_bits(const struct kvm_mmu *mmu, u64 gpte, int level)
{
	bool ps = level > PG_LEVEL_4K && (gpte & SPTE_PS) &&
		  (mmu->root_level > 2 || mmu->pse);

	return gpte & mmu->guest_rsvd_mask[ps][level - 1];
}

/* Under nested paging the processor loads CR3 unseen, so look where it looks. */
static u64 read_pdpte(struct kvm_vcpu *vcpu, int i)
{
	u64 pdpte;

	if (!kvm_ops.nested_paging || kvm_ops.nested_pdptrs)
		return kvm_read_pdptrs(vcpu)[i];
	if (kvm_read_gpte(vcpu, (u32)kvm_read_cr3(vcpu) + i * sizeof(pdpte) -
			  (kvm_read_cr3(vcpu) & 0x1f), sizeof(pdpte), &pdpte))
		return 0;
	return pdpte;
}

static bool is_known_mmio(struct kvm_vcpu *vcpu, u64 gva, u64 access)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	return mmu->mmio_gva == (gva & PAGE_MASK) &&
	       mmu->mmio_generation == kvm_slots_generation(vcpu->kvm) &&
	       !access_denied(vcpu, mmu->mmio_access, access);
}

static void remember_mmio(struct kvm_vcpu *vcpu, u64 gva, gfn_t gfn, unsigned int access)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	mmu->mmio_gva = gva & PAGE_MASK;
	mmu->mmio_gfn = gfn;
	mmu->mmio_access = access;
	mmu->mmio_generation = kvm_slots_generation(vcpu->kvm);
}

/* The mode alone, as in mmu.role_word. */
static u32 role_mode(union mmu_role role)
{
	role.level = 0;
	role.access = 0;
	role.quadrant = 0;
	return role.word;
}

/* Map gfn at entry i of a last-level page, if the host has it ready.  No invalidation runs. */
static void prefetch_leaf(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp, unsigned int i,
			  gfn_t gfn, unsigned int access)
{
	struct mapping m = { .gfn = kvm_unalias_gfn(vcpu->kvm, gfn), .access = access };

	m.slot = kvm_vcpu_gfn_to_slot(vcpu, m.gfn);
	if (!m.slot || vcpu->mmu.desc_cache.nobjs < 2 ||
	    !kvm_slot_gfn_to_pfn_atomic(vcpu->kvm, m.slot, m.gfn, false, &m.pfn,
					&m.host_writable, &m.host_level))
		return;
	set_leaf(vcpu, &sp->spt[i], &m);
}

#define PT_BITS 64
#include "paging_tmpl.h"
#undef PT_BITS

#define PT_BITS 32
#include "paging_tmpl.h"
#undef PT_BITS

/* An entry of a guest table that is unsync, while pages are shadowed in its mode. */
static void sync_page(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
{
	if (sp->role.gpte32)
		pt32_sync_page(vcpu, sp);
	else
		pt64_sync_page(vcpu, sp);
}

/**
 * kvm_mmu_gva_to_gpa - the guest's translation of an address
 * @vcpu: the vcpu, in its VMM's context
 * @gva: the address, canonical
 * @access: PFERR_WRITE, USER, FETCH, IMPLICIT_ACCESS
 * @ex: the page fault that the guest would get
 * Returns INVALID_GPA with @ex filled in, or the gpa.  Sets accessed and dirty bits.
 */
gpa_t kvm_mmu_gva_to_gpa(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_exception *ex)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct guest_walk w;
	bool ok;

	if (!mmu->long_mode)
		gva = (u32)gva;
	if (!mmu->root_level)
		return gva;
	if (is_known_mmio(vcpu, gva, access))
		return gfn_to_gpa(mmu->mmio_gfn) | offset_in_page(gva);
	ok = mmu->root_level == 2 ? pt32_walk(vcpu, &w, gva, access) :
				    pt64_walk(vcpu, &w, gva, access);
	if (ok)
		return gfn_to_gpa(w.gfn) | offset_in_page(gva);
	*ex = w.ex;
	return INVALID_GPA;
}

/**
 * kvm_mmu_trace_walk - by which entries the guest's long-mode tables translate
 * @vcpu: the vcpu, in its VMM's context
 * @gva: an address that it has just used, and for what:
 * @access: as for kvm_mmu_gva_to_gpa()
 * @trace: the entries, from the leaf up, where and what they are, and the gpa
 * Returns how many, 0 if there is no translation or other paging.
 */
int kvm_mmu_trace_walk(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_walk_trace *trace)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct guest_walk w;
	int level, n = 0;

	if (mmu->root_level < 4 || !pt64_walk(vcpu, &w, gva, access))
		return 0;
	trace->gpa = gfn_to_gpa(w.gfn) | offset_in_page(gva);
	for (level = w.level; level <= mmu->root_level; level++, n++) {
		trace->gpte_gpa[n] = w.gpte_gpa[level - 1];
		trace->gpte[n] = w.gpte[level - 1];
	}
	return n;
}

/**
 * kvm_mmu_invlpg - the guest flushes one address
 * @vcpu: the vcpu, loaded
 * @gva: the address
 */
void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;

	vcpu->stat.invlpg++;
	if (kvm_ops.nested_paging) {
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
		return;
	}
	if (!mmu->long_mode)
		gva = (u32)gva;
	forget_mmio(vcpu);
	if (!mmu->direct && mmu->root_hpa != INVALID_PAGE && !is_noncanonical(gva, 48) &&
	    !topup(vcpu)) {
		spin_lock(&kvm->mmu_lock);
		if (!root_lost(vcpu, gva)) {
			if (mmu->root_level == 2)
				pt32_invlpg(vcpu, gva);
			else
				pt64_invlpg(vcpu, gva);
		}
		spin_unlock(&kvm->mmu_lock);
	}
	kvm_ops.tlb_flush_gva(vcpu, gva);
}
EXPORT_SYMBOL_GPL(kvm_mmu_invlpg);

/*
 * ---- writes to guest page tables ----
 */

/* The entries of the guest's table that a write touches: none, if it is no table's write. */
static bool written_gptes(const struct kvm_mmu_page *sp, gpa_t gpa, int bytes, unsigned int *first,
			  unsigned int *last)
{
	unsigned int size = sp->role.gpte32 ? 4 : 8, offset = offset_in_page(gpa);

	*first = offset / size;
	*last = (offset + bytes - 1) / size;
	return bytes <= 8 && *last - *first < 8 / size;
}

/* The sptes of guest entry i. */
static void drop_gpte(struct kvm *kvm, struct kvm_mmu_page *sp, unsigned int i,
		      struct list_head *dead)
{
	unsigned int per_page = SPTES_PER_PAGE, n = 1;

	if (sp->role.gpte32) {
		/* A 4-byte entry above the last level maps twice what ours does. */
		if (sp->role.level > PG_LEVEL_4K) {
			per_page = SPTES_PER_PAGE / 2;
			n = 2;
		}
		if (i / per_page != sp->role.quadrant)
			return;
		i = i % per_page * n;
	}
	while (n--)
		drop_spte(kvm, sp, &sp->spt[i++], dead);
}

static void track_page(struct kvm *kvm, struct kvm_mmu_page *sp, gpa_t gpa, int bytes,
		       struct list_head *dead)
{
	unsigned int first, last;

	if (sp->unsync)
		return;
	if (!written_gptes(sp, gpa, bytes, &first, &last) || ++sp->written >= FLOOD) {
		kvm->stat.mmu_flooded++;
		zap_page(kvm, sp, dead);
		return;
	}
	kvm->stat.mmu_pte_write++;
	for (; first <= last; first++)
		drop_gpte(kvm, sp, first, dead);
}

/**
 * kvm_mmu_track_write - guest memory was written other than by the guest itself
 * @vcpu: the vcpu, srcu held
 * @gpa: where, not an alias, within one page
 * @new: what
 * @bytes: how much
 */
void kvm_mmu_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *new, int bytes)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_mmu_page *sp;
	struct hlist_node *n;
	LIST_HEAD(dead);

	/* After the write: see begin_shadowing(). */
	smp_mb();
	if (likely(!READ_ONCE(kvm->n_indirect)))
		return;
	spin_lock(&kvm->mmu_lock);
again:
	hlist_for_each_entry_safe(sp, n, hash_bucket(kvm, gpa_to_gfn(gpa)), hash_link) {
		if (sp->gfn != gpa_to_gfn(gpa) || sp->role.direct)
			continue;
		track_page(kvm, sp, gpa, bytes, &dead);
		/* Zapping may have taken the next one along. */
		if (sp->invalid)
			goto again;
	}
	free_dead(kvm, &dead);
	spin_unlock(&kvm->mmu_lock);
}

#define INSN_PEEK	4

/* Does the instruction at RIP have a REP prefix?  When in doubt, no. */
static bool insn_repeats(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	u64 linear = kvm_rip_read(vcpu);
	u8 bytes[INSN_PEEK] = {};
	struct kvm_exception ex;
	struct kvm_segment cs;
	gpa_t gpa;
	int i, n;

	if (fault->insn_len >= INSN_PEEK) {
		memcpy(bytes, fault->insn, INSN_PEEK);
	} else {
		if (!is_64bit_code(vcpu)) {
			kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
			linear = (u32)(linear + cs.base);
		}
		gpa = kvm_mmu_gva_to_gpa(vcpu, linear, PFERR_FETCH_MASK |
				(kvm_ops.get_cpl(vcpu) == 3 ? PFERR_USER_MASK : 0), &ex);
		n = min_t(int, INSN_PEEK, PAGE_SIZE - offset_in_page(linear));
		if (gpa == INVALID_GPA || kvm_read_guest(vcpu, gpa, bytes, n))
			return false;
	}
	for (i = 0; i < INSN_PEEK; i++) {
		if (bytes[i] == 0xf3 || bytes[i] == 0xf2)
			return true;
		/* Other prefixes that string instructions have. */
		if (bytes[i] != 0x66 && bytes[i] != 0x67 && (bytes[i] & 0xf0) != 0x40)
			return false;
	}
	return false;
}

/*
 * The guest writes to one of its page tables, and the shadow must follow.  A
 * REP fills or copies a page: no table any more, or not yet.  That, and what the
 * emulator lacks, is done by the guest itself, once nothing shadows the page.
 * If the same write comes back with nothing gained, the write's own translation
 * goes through the page: then it is emulated, or the VMM hears of it.
 */
static int emulate_table_write(struct kvm_vcpu *vcpu, const struct kvm_fault *fault, gfn_t gfn)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	bool again = mmu->failed_gpa == gfn_to_gpa(gfn) &&
		     mmu->failed_rip == kvm_rip_read(vcpu) &&
		     vcpu->stat.exits - mmu->failed_exits <= 8;
	int r = -EOPNOTSUPP;

	if (again || !insn_repeats(vcpu, fault))
		r = kvm_emulate_insn(vcpu, fault->addr,
				     EMULTYPE_PF | (again ? 0 : EMULTYPE_NO_ERROR),
				     fault->insn, fault->insn_len);
	if (r != -EOPNOTSUPP)
		return r;
	mmu->failed_gpa = gfn_to_gpa(gfn);
	mmu->failed_rip = kvm_rip_read(vcpu);
	mmu->failed_exits = vcpu->stat.exits;
	unshadow_gfn(vcpu->kvm, gfn);
	return PF_RESUME;
}

/* Nested paging tells the gpa of the access, unless it was one to a page table. */
static int emulation_type(const struct kvm_mmu *mmu, const struct kvm_fault *fault)
{
	if (mmu->direct && fault->error_code & PFERR_GUEST_FINAL_MASK)
		return EMULTYPE_PF | EMULTYPE_GPA;
	return EMULTYPE_PF;
}

/**
 * kvm_mmu_page_fault - a fault that the vendor intercepted
 * @vcpu: the vcpu, loaded
 * @fault: its address and error code
 * Returns as exit handlers do.
 */
int kvm_mmu_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	gfn_t gfn = gpa_to_gfn(fault->addr);
	int r;

	trace_kvm_page_fault(vcpu, fault->addr, fault->error_code);
	if (unlikely(mmu->root_hpa == INVALID_PAGE))
		return PF_RESUME;
	if (mmu->direct)
		r = direct_fault(vcpu, fault);
	else if (mmu->root_level == 2)
		r = pt32_page_fault(vcpu, fault, &gfn);
	else
		r = pt64_page_fault(vcpu, fault, &gfn);

	switch (r) {
	case PF_EMULATE:
		return kvm_emulate_insn(vcpu, fault->addr, emulation_type(mmu, fault),
					fault->insn, fault->insn_len);
	case PF_EMULATE_TABLE:
		return emulate_table_write(vcpu, fault, gfn);
	default:
		return r;
	}
}
EXPORT_SYMBOL_GPL(kvm_mmu_page_fault);

/* A slot has come since the entry was made: the next access faults as for memory. */
static void unmark_mmio(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	u64 *sptep;
	int level;

	spin_lock(&vcpu->kvm->mmu_lock);
	if (!root_lost(vcpu, gpa)) {
		sptep = find_leaf(vcpu, gpa, &level);
		if (!spte_present(*sptep))
			spte_write(sptep, 0);
	}
	spin_unlock(&vcpu->kvm->mmu_lock);
}

/**
 * kvm_mmu_mmio_fault - an exit because of ops->nested_mmio_entry
 * @vcpu: the vcpu, loaded
 * @gpa: the address
 * Returns as exit handlers do.
 */
int kvm_mmu_mmio_fault(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	if (likely(!kvm_vcpu_gfn_to_slot(vcpu, kvm_unalias_gfn(vcpu->kvm, gpa_to_gfn(gpa)))))
		return kvm_emulate_insn(vcpu, gpa, EMULTYPE_PF, NULL, 0);
	if (vcpu->mmu.root_hpa != INVALID_PAGE)
		unmark_mmio(vcpu, gpa);
	return PF_RESUME;
}
EXPORT_SYMBOL_GPL(kvm_mmu_mmio_fault);

/*
 * ---- the guest's mode ----
 */

#define rsvd_range(high, low)	((high) < (low) ? 0 : GENMASK_ULL(high, low))

static void set_rsvd(struct kvm_mmu *mmu, int level, u64 table, u64 large)
{
	mmu->guest_rsvd_mask[0][level - 1] = table;
	mmu->guest_rsvd_mask[1][level - 1] = large;
}

/* APM 2 "Normal (Non-PAE) Paging": bits 20:13 of a 4M entry are PSE-36's. */
static void set_rsvd_32(struct kvm_vcpu *vcpu, int maxphyaddr)
{
	u64 large = rsvd_range(21, 13);

	if (vcpu->guest_caps & KVM_GUEST_HAS_PSE36)
		large = BIT_ULL(21) | rsvd_range(20, 13 + clamp(maxphyaddr, 32, 40) - 32);
	set_rsvd(&vcpu->mmu, 1, 0, 0);
	set_rsvd(&vcpu->mmu, 2, 0, large);
}

/* APM 2 "PAE Paging", "Long-Mode Page Translation" */
static void set_rsvd_64(struct kvm_vcpu *vcpu, int maxphyaddr)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	u64 all = rsvd_range(51, maxphyaddr), gb;
	/* G has no meaning above the last table, and AMD reserves it there. */
	u64 global = vcpu->guest_caps & KVM_GUEST_IS_AMD ? BIT_ULL(8) : 0;

	if (!mmu->nx)
		all |= BIT_ULL(63);
	if (!mmu->long_mode)
		all |= rsvd_range(62, 52);
	gb = vcpu->guest_caps & KVM_GUEST_HAS_GBPAGES ? rsvd_range(29, 13) : SPTE_PS;
	set_rsvd(mmu, 1, all, all);
	set_rsvd(mmu, 2, all, all | rsvd_range(20, 13));
	set_rsvd(mmu, 3, all | global, all | gb);
	set_rsvd(mmu, 4, all | global, all | SPTE_PS);
	set_rsvd(mmu, 5, all | global, all | SPTE_PS);
}

static void set_guest_mode(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	unsigned long cr0 = kvm_read_cr0(vcpu), cr4 = kvm_read_cr4(vcpu);
	int maxphyaddr = vcpu->maxphyaddr ?: 36;

	mmu->long_mode = is_long_mode(vcpu) && (cr0 & X86_CR0_PG);
	mmu->pae = cr4 & X86_CR4_PAE;
	mmu->pse = cr4 & X86_CR4_PSE;
	mmu->nx = mmu->pae && (vcpu->efer & EFER_NX);
	mmu->wp = cr0 & X86_CR0_WP;
	mmu->smep = cr4 & X86_CR4_SMEP;
	mmu->smap = cr4 & X86_CR4_SMAP;
	if (!(cr0 & X86_CR0_PG))
		mmu->root_level = 0;
	else if (mmu->long_mode)
		mmu->root_level = cr4 & X86_CR4_LA57 ? 5 : 4;
	else
		mmu->root_level = mmu->pae ? 3 : 2;
	if (mmu->root_level == 2)
		set_rsvd_32(vcpu, maxphyaddr);
	else
		set_rsvd_64(vcpu, maxphyaddr);
}

/* Everything that makes a shadow different for the same guest tables. */
static union mmu_role shadow_role(const struct kvm_mmu *mmu)
{
	union mmu_role role = {};

	if (!mmu->root_level) {
		role.unpaged = 1;
		return role;
	}
	role.gpte32 = mmu->root_level == 2;
	role.pae = mmu->root_level == 3;
	role.nx = mmu->nx;
	role.pse = role.gpte32 && mmu->pse;
	role.wp = mmu->wp;
	role.smep_nowp = mmu->smep && !mmu->wp;
	role.smap_nowp = mmu->smap && !mmu->wp;
	return role;
}

/** kvm_mmu_reset_context - the guest's paging mode may have changed, or its CPUID */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	union mmu_role role;

	set_guest_mode(vcpu);
	forget_mmio(vcpu);
	if (kvm_ops.nested_paging)
		return;
	role = shadow_role(mmu);
	if (role.word != mmu->role_word || (!role.unpaged && mmu->root_pgd != kvm_read_cr3(vcpu)))
		kvm_mmu_unload(vcpu);
	mmu->role_word = role.word;
	mmu->direct = role.unpaged;
	mmu->shadow_root_level = mmu->long_mode ? 4 : 3;
}

/** kvm_mmu_set_pdptrs - as kvm_mmu_load_pdptrs(), from where userspace has them */
bool kvm_mmu_set_pdptrs(struct kvm_vcpu *vcpu, const u64 *pdptrs)
{
	u64 rsvd = rsvd_range(63, vcpu->maxphyaddr ?: 36) | 0x1e6;
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i;

	for (i = 0; i < ARRAY_SIZE(mmu->pdptrs); i++) {
		if ((pdptrs[i] & SPTE_P) && (pdptrs[i] & rsvd))
			return false;
	}
	/* What the hardware has may be another, if it loads them itself. */
	vcpu->regs_avail |= BIT(VCPU_EXREG_PDPTR);
	vcpu->regs_dirty |= BIT(VCPU_EXREG_PDPTR);
	if (memcmp(pdptrs, mmu->pdptrs, sizeof(mmu->pdptrs))) {
		memcpy(mmu->pdptrs, pdptrs, sizeof(mmu->pdptrs));
		if (!kvm_ops.nested_paging)
			kvm_mmu_unload(vcpu);
	}
	return true;
}

/**
 * kvm_mmu_load_pdptrs - load the PDPTEs of a PAE guest
 * @vcpu: the vcpu
 * @cr3: where they are
 * Returns false, and loads nothing, if reserved bits are set.
 * Source: APM 2 "PAE Paging"; SDM 3A "PDPTE Registers".
 */
bool kvm_mmu_load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	u64 pdptrs[4];

	if (kvm_read_guest(vcpu, (u32)cr3 & ~0x1fU, pdptrs, sizeof(pdptrs)))
		return false;
	return kvm_mmu_set_pdptrs(vcpu, pdptrs);
}
EXPORT_SYMBOL_GPL(kvm_mmu_load_pdptrs);

/*
 * ---- slots ----
 */

static void *alloc_table(unsigned long n, size_t size)
{
	/* kvcalloc() says aloud what it cannot do. */
	if (n * size > INT_MAX)
		return __vcalloc(n, size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	return kvcalloc(n, size, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
}

/* No large page where the slot ends within it, or the host's address is not aligned alike. */
static void forbid_large_pages(struct kvm_memory_slot *slot, int level, unsigned long n)
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

void kvm_mmu_slot_free(struct kvm_memory_slot *slot)
{
	int i;

	for (i = 0; i < KVM_NR_PAGE_SIZES; i++)
		kvfree(slot->arch.rmap[i]);
	for (i = 0; i < KVM_NR_PAGE_SIZES - 1; i++)
		kvfree(slot->arch.disallow_lpage[i]);
	memset(&slot->arch, 0, sizeof(slot->arch));
}

int kvm_mmu_slot_alloc(struct kvm_memory_slot *slot)
{
	int level;

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

/*
 * Frames [start, end) of slot lose all their sptes.  True if there were any:
 * the caller flushes.  mmu_lock held.
 */
bool kvm_mmu_unmap_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	bool any = false;
	u64 *sptep;
	int level;

	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		unsigned long i = level_index(slot, start, level);
		unsigned long last = level_index(slot, end - 1, level);

		for (; i <= last; i++) {
			while ((sptep = rmap_first(&slot->arch.rmap[level - 1][i]))) {
				drop_leaf(kvm, sptep);
				any = true;
			}
		}
	}
	return any;
}

static bool age_head(const struct kvm_rmap_head *head, bool clear)
{
	u64 accessed = spte_accessed_mask();
	struct rmap_iter it;
	bool young = false;
	u64 *sptep;

	for_each_rmap(head, &it, sptep) {
		if (!(*sptep & accessed))
			continue;
		young = true;
		if (clear)
			clear_bit(ilog2(accessed), (unsigned long *)sptep);
	}
	return young;
}

/* Tables without accessed bits: a page is in use if it is mapped; next time it will tell. */
static bool age_unmarked(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
			 bool clear)
{
	bool young = false;
	int level;

	if (clear)
		return kvm_mmu_unmap_range(kvm, slot, start, end);
	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		unsigned long i = level_index(slot, start, level);
		unsigned long last = level_index(slot, end - 1, level);

		for (; i <= last; i++)
			young |= slot->arch.rmap[level - 1][i].val != 0;
	}
	return young;
}

/** kvm_mmu_age_range - were frames [start, end) used since last asked?  mmu_lock held */
bool kvm_mmu_age_range(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end,
		       bool clear)
{
	bool young = false;
	int level;

	if (!spte_accessed_mask())
		return age_unmarked(kvm, slot, start, end, clear);
	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		unsigned long i = level_index(slot, start, level);
		unsigned long last = level_index(slot, end - 1, level);

		for (; i <= last; i++)
			young |= age_head(&slot->arch.rmap[level - 1][i], clear);
	}
	return young;
}

/* fn for each 2M of slot, with the lock let go between. */
static void for_slot_chunks(struct kvm *kvm, struct kvm_memory_slot *slot,
			    void (*fn)(struct kvm *kvm, struct kvm_memory_slot *slot,
				       gfn_t start, gfn_t end))
{
	gfn_t end = slot->base_gfn + slot->npages, gfn, next;

	spin_lock(&kvm->mmu_lock);
	for (gfn = slot->base_gfn; gfn < end; gfn = next) {
		next = min(end, ALIGN(gfn + 1, KVM_PAGES_PER_LEVEL(PG_LEVEL_2M)));
		fn(kvm, slot, gfn, next);
		if (need_resched() || spin_needbreak(&kvm->mmu_lock)) {
			kvm_mmu_flush(kvm, false);
			cond_resched_lock(&kvm->mmu_lock);
		}
	}
	kvm_mmu_flush(kvm, false);
	spin_unlock(&kvm->mmu_lock);
}

static void unmap_chunk(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	kvm_mmu_unmap_range(kvm, slot, start, end);
}

/** kvm_mmu_zap_slot - a slot goes: its sptes, and the shadows of tables in it */
void kvm_mmu_zap_slot(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	for_slot_chunks(kvm, slot, unmap_chunk);
	kvm_mmu_zap_shadows(kvm, slot->base_gfn, slot->npages);
}

static void protect_chunk(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	struct rmap_iter it;
	u64 *sptep;
	int level;

	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		unsigned long i = level_index(slot, start, level);
		unsigned long last = level_index(slot, end - 1, level);

		for (; i <= last; i++)
			for_each_rmap(&slot->arch.rmap[level - 1][i], &it, sptep)
				write_protect(kvm, sptep, true);
	}
}

/** kvm_mmu_slot_write_protect - logging began: the next write of each page is seen */
void kvm_mmu_slot_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	for_slot_chunks(kvm, slot, protect_chunk);
}

static void merge_chunk(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t start, gfn_t end)
{
	bool writable;
	kvm_pfn_t pfn;
	int level;

	if (slot->arch.disallow_lpage[0][level_index(slot, start, PG_LEVEL_2M)] ||
	    !rmap_first(slot_rmap(slot, start, PG_LEVEL_4K)) ||
	    !kvm_slot_gfn_to_pfn_atomic(kvm, slot, start, false, &pfn, &writable, &level) ||
	    level == PG_LEVEL_4K)
		return;
	kvm_mmu_unmap_range(kvm, slot, start, end);
}

/** kvm_mmu_slot_merge - logging ended: where the host has large pages, map them so again */
void kvm_mmu_slot_merge(struct kvm *kvm, struct kvm_memory_slot *slot)
{
	for_slot_chunks(kvm, slot, merge_chunk);
}

/*
 * A page of mask, counted from gfn_offset, is to be seen when next written.
 * mmu_lock held; the caller flushes.
 */
void kvm_mmu_write_protect_masked(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn_offset,
				  unsigned long mask)
{
	unsigned int i;

	for_each_set_bit(i, &mask, BITS_PER_LONG)
		write_protect_gfn(kvm, slot, slot->base_gfn + gfn_offset + i, true);
}

/*
 * ---- life ----
 */

int kvm_mmu_init_vm(struct kvm *kvm)
{
	INIT_LIST_HEAD(&kvm->active_pages);
	kvm->n_max_pages = MIN_SHADOW_PAGES;
	kvm->page_hash = kvcalloc(1UL << KVM_MMU_HASH_BITS, sizeof(*kvm->page_hash),
				  GFP_KERNEL_ACCOUNT);
	return kvm->page_hash ? 0 : -ENOMEM;
}

void kvm_mmu_destroy_vm(struct kvm *kvm)
{
	kvm_mmu_zap_all(kvm);
	kvfree(kvm->page_hash);
}

static int alloc_pae_root(struct kvm_mmu *mmu)
{
	/* CR3 has 32 bits outside long mode. */
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_DMA32 | __GFP_ZERO);

	if (!page)
		return -ENOMEM;
	mmu->pae_root = page_address(page);
	return 0;
}

int kvm_mmu_create(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i;

	mmu->root_hpa = INVALID_PAGE;
	for (i = 0; i < KVM_MMU_ROOTS; i++)
		mmu->pae_sub_root[i] = INVALID_PAGE;
	mmu->header_cache.kmem = header_kmem;
	mmu->desc_cache.kmem = rmap_kmem;
	mmu->failed_gpa = INVALID_GPA;
	mmu->role_word = ~0U;
	mmu->direct = true;
	mmu->shadow_root_level = kvm_ops.nested_paging ? kvm_ops.nested_levels : 3;
	return kvm_ops.nested_paging ? 0 : alloc_pae_root(mmu);
}

void kvm_mmu_destroy(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	kvm_mmu_unload(vcpu);
	cache_drain(&mmu->page_cache);
	cache_drain(&mmu->header_cache);
	cache_drain(&mmu->desc_cache);
	free_page((unsigned long)mmu->pae_root);
}

int kvm_mmu_module_init(void)
{
	header_kmem = kmem_cache_create("kvm_mmu_page", sizeof(struct kvm_mmu_page), 0,
					SLAB_ACCOUNT, NULL);
	if (!header_kmem)
		return -ENOMEM;
	rmap_kmem = kmem_cache_create("kvm_rmap", sizeof(struct rmap_list), 0, SLAB_ACCOUNT, NULL);
	if (!rmap_kmem) {
		kmem_cache_destroy(header_kmem);
		return -ENOMEM;
	}
	return 0;
}

void kvm_mmu_module_exit(void)
{
	kmem_cache_destroy(rmap_kmem);
	kmem_cache_destroy(header_kmem);
}
