// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm.audit: the invariants of Documentation/mmu.rst, checked when mmu_lock is let go.
 * For tests and fuzzers: the time that it takes grows with the VM.
 */
#include "mmu_internal.h"

#include <linux/moduleparam.h>

DEFINE_STATIC_KEY_FALSE(kvm_mmu_audit_key);

static unsigned int audit_every;
module_param_named(audit, audit_every, uint, 0444);
MODULE_PARM_DESC(audit, "check all page tables at every Nth change; 0: never (debugging)");

/* Reverse maps of larger slots are not counted. */
#define AUDIT_PAGES	(1UL << 20)

/* What is found, and the first thing that is wrong. */
struct audit {
	struct kvm *kvm;
	const char *wrong;
	unsigned long pages, hashed, indirect, old, roots;
	unsigned long leaves, mapped, links, parents, splits, large;
};

#define check(a, cond)						\
({								\
	bool ok_ = (cond);					\
								\
	if (!ok_ && !(a)->wrong)				\
		(a)->wrong = "audit: not so: " #cond;		\
	ok_;							\
})

static unsigned long count_sptes(struct audit *a, const struct kvm_rmap_head *head)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_list *list = rmap_chain(head);
	unsigned long n = 0;

	if (!list)
		return !!head->val;
	check(a, list->behind <= RMAP_MAX + ARRAY_SIZE(list->sptep));
	check(a, list->nr && list->nr <= ARRAY_SIZE(list->sptep));
	for (n = list->nr; list->next; n += list->nr) {
		check(a, list->behind == list->next->behind + list->next->nr);
		list = list->next;
		check(a, list->nr == ARRAY_SIZE(list->sptep));
	}
	return n;
}

static bool has_spte(const struct kvm_rmap_head *head, const u64 *sptep)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_iter it;
	u64 *p;

	for_each_rmap(head, &it, p)
		if (p == sptep)
			return true;
	return false;
}

static void audit_leaf(struct audit *a, struct kvm_mmu_page *sp, u64 *sptep)
	__kvm_must_hold(mmu_lock)
{
	bool writable = *sptep & (SPTE_W | SPTE_MMU_WRITABLE);
	struct kvm_memory_slot *slot;
	int level = sp->role.level;
	struct kvm_mmu_page *table;
	gfn_t gfn;

	a->leaves++;
	gfn = rmap_leaf_gfn(a->kvm, sp, spte_index(sptep));
	slot = kvm_gfn_to_slot(a->kvm, gfn);
	if (!check(a, slot))
		return;
	check(a, has_spte(slot_rmap(slot, gfn, level), sptep));
	/* Older pages are of before the mitigation was switched. */
	if (level > PG_LEVEL_4K && a->kvm->nx_huge_pages && sp->zap_gen == a->kvm->mmu_zap_gen)
		check(a, *sptep == spte_no_exec(*sptep));
	if (!writable)
		return;
	check(a, *sptep & SPTE_HOST_WRITABLE);
	if (level > PG_LEVEL_4K)
		check(a, !slot->arch.disallow_lpage[level - 2][level_index(slot, gfn, level)]);
	else for_each_indirect(a->kvm, table, gfn)
		check(a, table->unsync);
}

static void audit_link(struct audit *a, struct kvm_mmu_page *sp, u64 *sptep)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *child = spte_to_child(*sptep);
	gfn_t pages = KVM_PAGES_PER_LEVEL(sp->role.level);
	unsigned int i = spte_index(sptep);

	a->links++;
	if (!check(a, child))
		return;
	check(a, child->spt == pfn_to_table(spte_pfn(*sptep)) && !child->invalid);
	check(a, child->role.level + 1 == sp->role.level);
	check(a, has_spte(&child->parents, sptep));
	check(a, list_empty(&child->orphan));
	check(a, test_bit(i, sp->unsync_children) || !(child->unsync || child->unsync_nr));
	check(a, !child->role.direct || !(child->gfn & (pages - 1)));
	check(a, !sp->role.direct || (child->role.direct && child->gfn == sp->gfn + i * pages));
}

static void audit_page(struct audit *a, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	unsigned long links = a->links;
	int i;

	a->pages++;
	a->indirect += !sp->role.direct;
	a->old += sp->zap_gen != a->kvm->mmu_zap_gen;
	a->roots += sp->root_count;
	a->parents += count_sptes(a, &sp->parents);
	a->splits += sp->nx_split;
	check(a, !sp->nx_split || (sp->role.direct && sp->role.level < KVM_MAX_LEAF_LEVEL));
	check(a, !sp->invalid);
	check(a, (sp->gfns != NULL) != sp->role.direct);
	check(a, !sp->unsync || (!sp->role.direct && sp->role.level == PG_LEVEL_4K));
	check(a, sp->unsync_nr == bitmap_weight(sp->unsync_children, SPTES_PER_PAGE));
	for (i = 0; i < SPTES_PER_PAGE && !a->wrong; i++) {
		if (!spte_present(sp->spt[i]))
			continue;
		check(a, sp->used);
		if (spte_leaf(sp->spt[i], sp->role.level))
			audit_leaf(a, sp, &sp->spt[i]);
		else
			audit_link(a, sp, &sp->spt[i]);
	}
	check(a, sp->nr_links == a->links - links);
}

static void audit_lists(struct audit *a)
	__kvm_must_hold(mmu_lock)
{
	struct kvm *kvm = a->kvm;
	struct kvm_mmu_page *sp;
	unsigned long splits = 0;
	int i;

	list_for_each_entry(sp, &kvm->active_pages, link)
		audit_page(a, sp);
	list_for_each_entry(sp, &kvm->nx_splits, nx_link)
		splits += check(a, sp->nx_split && !sp->invalid);
	check(a, splits == a->splits && splits == kvm->stat.nx_lpage_splits);
	for (i = 0; i < 1 << KVM_MMU_HASH_BITS; i++) {
		hlist_for_each_entry(sp, &kvm->page_hash[i], hash_link) {
			check(a, hash_bucket(kvm, sp->gfn) == &kvm->page_hash[i]);
			a->hashed++;
		}
	}
	list_for_each_entry(sp, &kvm->orphans, orphan)
		check(a, sp->role.direct && !sp->parents.val && !sp->root_count && !sp->invalid);
	check(a, list_empty(&kvm->dead_pages));
}

/* False: too large to be counted. */
static bool audit_slot(struct audit *a, struct kvm_memory_slot *slot)
	__kvm_must_hold(mmu_lock)
{
	int level;

	if (slot->npages > AUDIT_PAGES)
		return false;
	for (level = PG_LEVEL_4K; level <= KVM_MAX_LEAF_LEVEL; level++) {
		struct kvm_rmap_head *head = slot_rmap(slot, slot->base_gfn, level);
		struct kvm_rmap_head *last = slot_rmap(slot, slot->base_gfn + slot->npages - 1,
						       level);

		for (; head <= last; head++)
			a->mapped += count_sptes(a, head);
	}
	return true;
}

static void audit_slots(struct audit *a)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_memslots *slots = kvm_memslots(a->kvm);
	bool all = true;
	int i;

	for (i = 0; slots && i < slots->nr; i++)
		all &= audit_slot(a, slots->slot[i]);
	check(a, a->leaves == a->mapped || !all);
}

/*
 * ---- nested tables ----
 */

static void audit_nested_leaf(struct audit *a, u64 spte, int level, gfn_t gpa_gfn)
	__kvm_must_hold(mmu_lock)
{
	bool writable = spte & (SPTE_W | SPTE_MMU_WRITABLE);
	gfn_t gfn = kvm_unalias_gfn(a->kvm, gpa_gfn);
	u64 types = kvm_ops.nested_leaf_mask | kvm_ops.nested_device_mask;
	struct kvm_memory_slot *slot;

	if (spte & SPTE_VENDOR_PAGE) {
		check(a, level == PG_LEVEL_4K);
		return;
	}
	check(a, (spte & types) == a->kvm->nested_leaf_mask ||
		 ((spte & types) == kvm_ops.nested_device_mask && a->kvm->device_memory));
	slot = kvm_gfn_to_slot(a->kvm, gfn);
	if (!check(a, slot))
		return;
	check(a, !(spte & SPTE_W) || (spte & SPTE_MMU_WRITABLE));
	check(a, !writable || (spte & SPTE_HOST_WRITABLE));
	check(a, !writable || !(slot->flags & KVM_MEM_READONLY));
	if (level == PG_LEVEL_4K)
		return;
	a->large++;
	check(a, nested_slot_fits(slot, gfn, level) && !kvm_has_aliases(a->kvm));
}

static void audit_nested_table(struct audit *a, u64 *table, int level, gfn_t gfn)
	__kvm_must_hold(mmu_lock)
{
	int i;

	for (i = 0; i < SPTES_PER_PAGE && !a->wrong; i++, gfn += KVM_PAGES_PER_LEVEL(level)) {
		/* The processor sets bits, and a vcpu gives a logged page back its W. */
		u64 spte = READ_ONCE(table[i]);

		if (!spte_present(spte) || spte == kvm_ops.nested_mmio_entry) {
			check(a, !spte || (level == PG_LEVEL_4K &&
					   spte == kvm_ops.nested_mmio_entry));
		} else if (spte_leaf(spte, level)) {
			audit_nested_leaf(a, spte, level, gfn);
		} else {
			a->pages++;
			a->splits += !!(spte & SPTE_NX_SPLIT);
			audit_nested_table(a, pfn_to_table(spte_pfn(spte)), level - 1, gfn);
		}
	}
}

static void audit_nested(struct audit *a)
	__kvm_must_hold(mmu_lock)
{
	struct kvm *kvm = a->kvm;

	audit_nested_table(a, kvm->nested_root, kvm_ops.nested_levels, 0);
	/* Others may be freeing what was cut off. */
	check(a, a->pages <= atomic_long_read(&kvm->nested_tables));
	check(a, a->large <= kvm->stat.largepages);
	check(a, a->splits <= kvm->stat.nx_lpage_splits);
}

static void audit_shadows(struct audit *a)
	__kvm_must_hold(mmu_lock)
{
	struct kvm *kvm = a->kvm;

	audit_lists(a);
	check(a, a->pages == kvm->n_used_pages);
	check(a, a->hashed == kvm->n_used_pages);
	check(a, a->indirect == kvm->n_indirect);
	check(a, a->old == kvm->n_old_pages);
	check(a, a->links == a->parents);
	audit_slots(a);
	check(a, a->roots == a->kvm->n_root_holds);
}

/* Kills the VM on any difference.  mmu_lock held, nothing under way. */
void kvm_mmu_audit(struct kvm *kvm)
{
	static atomic_t ops = ATOMIC_INIT(0);
	struct audit a = { .kvm = kvm };

	if (kvm->dead || (unsigned int)atomic_inc_return(&ops) % audit_every)
		return;
	if (kvm_ops.nested_paging)
		audit_nested(&a);
	else
		audit_shadows(&a);
	if (a.wrong)
		kvm_vm_dead(kvm, a.wrong);
}

void mmu_audit_init(void)
{
	if (audit_every)
		static_branch_enable(&kvm_mmu_audit_key);
}
