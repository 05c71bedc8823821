/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the MMU's files share: mmu.c, mmu_nested.c, mmu_nx.c, mmu_rmap.c, mmu_roots.c, mmu_shadow.c,
 * paging_tmpl.h, mmu_audit.c.
 * Everything here that touches an spte, a shadow page or a reverse map holds
 * kvm->mmu_lock.
 */
#ifndef MMU_INTERNAL_H
#define MMU_INTERNAL_H

#include "kvm_guest_mem.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_request.h"
#include "spte.h"

#include <linux/hash.h>

/* So many leaves, aligned, are mapped by one fault if the host has their pages ready. */
#define PREFETCH		8

/* No list of sptes gets much longer. */
#define RMAP_MAX		1000

static inline void *cache_take(struct kvm_mmu_memory_cache *c)
{
	return c->objects[--c->nobjs];
}

/* A node of a chain of sptes: see mmu_rmap.c. */
struct rmap_list {
	struct rmap_list *next;	/* full, as all but the first */
	unsigned int nr;
	unsigned int behind;	/* how many sptes the nodes behind this one have */
	u64 *sptep[6];
};

static inline struct rmap_list *rmap_chain(const struct kvm_rmap_head *head)
	__kvm_must_hold(mmu_lock)
{
	return head->val & 1 ? (struct rmap_list *)(head->val & ~1UL) : NULL;
}

static inline u64 *rmap_first(const struct kvm_rmap_head *head)
	__kvm_must_hold(mmu_lock)
{
	struct rmap_list *list = rmap_chain(head);

	return list ? list->sptep[list->nr - 1] : (u64 *)head->val;
}

struct rmap_iter {
	struct rmap_list *list;
	unsigned int i;
};

static inline u64 *rmap_next(struct rmap_iter *it)
{
	if (it->list && ++it->i >= it->list->nr) {
		it->list = it->list->next;
		it->i = 0;
	}
	return it->list ? it->list->sptep[it->i] : NULL;
}

static inline u64 *rmap_begin(const struct kvm_rmap_head *head, struct rmap_iter *it)
	__kvm_must_hold(mmu_lock)
{
	it->list = rmap_chain(head);
	it->i = 0;
	return it->list ? it->list->sptep[0] : (u64 *)head->val;
}

#define for_each_rmap(head, it, sptep) \
	for (sptep = rmap_begin(head, it); sptep; sptep = rmap_next(it))

/* The index of gfn in a slot's tables for pages of level. */
static inline unsigned long level_index(const struct kvm_memory_slot *slot, gfn_t gfn, int level)
{
	int shift = (level - 1) * 9;

	return (gfn >> shift) - (slot->base_gfn >> shift);
}

static inline struct kvm_rmap_head *slot_rmap(struct kvm_memory_slot *slot, gfn_t gfn, int level)
	__kvm_must_hold(mmu_lock)
{
	return &slot->arch.rmap[level - 1][level_index(slot, gfn, level)];
}

static inline void unset_unsync_child(struct kvm_mmu_page *parent, unsigned int index)
	__kvm_must_hold(mmu_lock)
{
	if (__test_and_clear_bit(index, parent->unsync_children))
		parent->unsync_nr--;
}

/* Shadow pages are in a hash by gfn. */
static inline struct hlist_head *hash_bucket(struct kvm *kvm, gfn_t gfn)
	__kvm_must_hold(mmu_lock)
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

/* The present one may be zapped. */
#define for_each_indirect_safe(kvm, sp, n, frame) \
	hlist_for_each_entry_safe(sp, n, hash_bucket(kvm, frame), hash_link) \
		if ((sp)->gfn != (frame) || (sp)->role.direct) {} else

/* Does a frame hold a guest table that has a shadow? */
static inline bool gfn_shadowed(struct kvm *kvm, gfn_t gfn)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;

	if (!kvm->n_indirect)
		return false;
	for_each_indirect(kvm, sp, gfn)
		return true;
	return false;
}

static inline struct kvm_mmu_page *root_sp(hpa_t hpa)
{
	return table_to_sp(__va(hpa));
}

/* Shadows of guests outside long mode: CR3 points to four PDPTEs. */
static inline bool three_level(const struct kvm_mmu *mmu)
{
	return mmu->shadow_root_level == 3;
}

static inline gfn_t cr3_gfn(struct kvm_vcpu *vcpu)
{
	u64 cr3 = kvm_read_cr3(vcpu);

	if (!vcpu->mmu.long_mode)
		return (u32)cr3 >> PAGE_SHIFT;
	return (cr3 & SPTE_ADDR_MASK) >> PAGE_SHIFT;
}

/* The guest flushed: the last page of MMIO may be another. */
static inline void clear_mmio_cache(struct kvm_vcpu *vcpu)
{
	vcpu->mmu.mmio_generation = 0;
}

/* What a fault is to map. */
struct mapping {
	u64 addr;			/* gpa or gva, the address that faulted */
	gfn_t gfn;			/* not an alias */
	struct kvm_memory_slot *slot;
	struct kvm_host_page host;
	bool write;
	bool exec;			/* an instruction fetch; only told while mmu_nx_key is on */
	unsigned int access;
	unsigned long seq;		/* kvm->notifier_seq, before the host was asked */
};

/* The root page on the way to addr. */
static inline hpa_t root_of(const struct kvm_mmu *mmu, u64 addr)
{
	return mmu->roots[three_level(mmu) ? (addr >> 30) & 3 : 0];
}

static inline bool root_lost(struct kvm_vcpu *vcpu, u64 addr)
	__kvm_must_hold(mmu_lock)
{
	hpa_t hpa = root_of(&vcpu->mmu, addr);

	return hpa == INVALID_PAGE || root_sp(hpa)->invalid;
}

static inline u64 *root_table(struct kvm_vcpu *vcpu, u64 addr, int *level)
{
	*level = three_level(&vcpu->mmu) ? PG_LEVEL_2M : vcpu->mmu.shadow_root_level;
	return __va(root_of(&vcpu->mmu, addr));
}

/* A leaf maps what the host has uncached: from now on the guest's PAT and WBINVD matter. */
static inline void mmu_note_device_memory(struct kvm *kvm)
{
	if (likely(READ_ONCE(kvm->device_memory)))
		return;
	WRITE_ONCE(kvm->device_memory, true);
	kvm_make_all_vcpus_request(kvm, KVM_REQ_INTERCEPTS);
}

/*
 * ---- mmu.c ----
 */

int mmu_topup_pages(struct kvm_vcpu *vcpu, int n);
int mmu_topup(struct kvm_vcpu *vcpu);
void mmu_set_link(struct kvm_vcpu *vcpu, u64 *sptep, struct kvm_mmu_page *child)
	__kvm_must_hold(mmu_lock);
struct kvm_mmu_page *mmu_get_page(struct kvm_vcpu *vcpu, gfn_t gfn, union mmu_role role)
	__kvm_must_hold(mmu_lock);
struct kvm_mmu_page *mmu_get_direct(struct kvm_vcpu *vcpu, gfn_t gfn, int level,
				    unsigned int access)
	__kvm_must_hold(mmu_lock);
void mmu_drop_spte(struct kvm *kvm, struct kvm_mmu_page *sp, u64 *sptep)
	__kvm_must_hold(mmu_lock);
void mmu_zap_page(struct kvm *kvm, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock);
void mmu_zap_all(struct kvm *kvm)
	__kvm_must_hold(mmu_lock);
void mmu_finish(struct kvm *kvm)
	__kvm_must_hold(mmu_lock);
void mmu_make_room(struct kvm *kvm)
	__kvm_must_hold(mmu_lock);
unsigned int mmu_evict_unused(struct kvm *kvm);
int mmu_find_pfn(struct kvm_vcpu *vcpu, struct kvm_fault *fault, struct mapping *m);
bool mmu_overtaken(struct kvm *kvm, const struct mapping *m)
	__kvm_must_hold_shared(mmu_lock);
bool mmu_stale(struct kvm_vcpu *vcpu, const struct mapping *m)
	__kvm_must_hold(mmu_lock);
int mmu_use_level(struct kvm_vcpu *vcpu, struct mapping *m, int max)
	__kvm_must_hold(mmu_lock);
int mmu_set_leaf(struct kvm_vcpu *vcpu, u64 *sptep, const struct mapping *m)
	__kvm_must_hold(mmu_lock);
u64 *mmu_find_leaf(struct kvm_vcpu *vcpu, u64 addr, int *level)
	__kvm_must_hold(mmu_lock);
struct kvm_mmu_page *mmu_linked(u64 *sptep, int level)
	__kvm_must_hold(mmu_lock);
u64 *mmu_descend_direct(struct kvm_vcpu *vcpu, u64 *table, int level, int to, u64 addr,
			gfn_t gfn, unsigned int access)
	__kvm_must_hold(mmu_lock);

/*
 * ---- mmu_nx.c ----
 */

/* Some VM may have kvm->nx_huge_pages. */
DECLARE_STATIC_KEY_FALSE(mmu_nx_key);

static inline bool mmu_nx_huge_pages(const struct kvm *kvm)
	__kvm_must_hold_shared(mmu_lock)
{
	return static_branch_unlikely(&mmu_nx_key) && kvm->nx_huge_pages;
}

u64 *nx_descend(struct kvm_vcpu *vcpu, u64 *table, int level, int to, struct mapping *m,
		gfn_t gfn, unsigned int access)
	__kvm_must_hold(mmu_lock);
void nx_forget_split(struct kvm *kvm, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock);
void nx_module_init(void);
void nx_module_exit(void);

/*
 * ---- mmu_nested.c ----
 */

bool nested_slot_fits(const struct kvm_memory_slot *slot, gfn_t gfn, int level);
int nested_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault);
bool nested_zap(struct kvm *kvm, gfn_t start, gfn_t end, bool vendor)
	__kvm_must_hold(mmu_lock);
bool nested_unmap_range(struct kvm *kvm, gfn_t start, gfn_t end, bool may_yield)
	__kvm_must_hold(mmu_lock);
bool nested_age(struct kvm *kvm, gfn_t start, gfn_t end, bool clear)
	__kvm_must_hold(mmu_lock);
void nested_write_protect_masked(struct kvm *kvm, gfn_t first, unsigned long mask)
	__kvm_must_hold(mmu_lock);
void nested_slot_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot);
void nested_slot_merge(struct kvm *kvm, struct kvm_memory_slot *slot);
bool nested_too_many(struct kvm *kvm);
void nested_evict(struct kvm *kvm);
unsigned int nested_evict_unused(struct kvm *kvm);
void nested_shrink(struct kvm *kvm);
void nested_recover_nx(struct kvm *kvm, unsigned long n);
void nested_zap_all(struct kvm *kvm);
void nested_set_leaf_mask(struct kvm *kvm, u64 mask);
int nested_init_vm(struct kvm *kvm)
	__kvm_unshared;
void nested_destroy_vm(struct kvm *kvm);

/*
 * ---- mmu_shrink.c ----
 */

int mmu_shrink_init(void);
void mmu_shrink_exit(void);

/*
 * ---- mmu_rmap.c ----
 */

extern struct kmem_cache *rmap_kmem;

bool rmap_add(struct kvm_vcpu *vcpu, struct kvm_rmap_head *head, u64 *sptep)
	__kvm_must_hold(mmu_lock);
void rmap_unmap(struct kvm *kvm, struct kvm_rmap_head *head)
	__kvm_must_hold(mmu_lock);
bool rmap_remove(struct kvm_rmap_head *head, const u64 *sptep)
	__kvm_must_hold(mmu_lock);
gfn_t rmap_leaf_gfn(struct kvm *kvm, const struct kvm_mmu_page *sp, unsigned int index)
	__kvm_must_hold(mmu_lock);
void rmap_drop_leaf(struct kvm *kvm, u64 *sptep)
	__kvm_must_hold(mmu_lock);
void rmap_write_protect(struct kvm *kvm, struct kvm_memory_slot *slot, gfn_t gfn, bool keep_mmu)
	__kvm_must_hold(mmu_lock);

/*
 * ---- mmu_roots.c ----
 */

bool roots_in_use(struct kvm *kvm, const struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock);
void roots_zapped(struct kvm *kvm, const struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock);
void roots_leave(struct kvm_vcpu *vcpu);
int roots_create(struct kvm_mmu *mmu);
void roots_destroy(struct kvm_mmu *mmu);

/*
 * ---- mmu_audit.c ----
 */

#ifdef KVM_AUDIT
void mmu_audit_init(void);
#else
static inline void mmu_audit_init(void) { }
#endif

/*
 * ---- mmu_shadow.c ----
 */

void shadow_mark_unsync(struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock);
void shadow_account(struct kvm *kvm, struct kvm_mmu_page *sp, int delta)
	__kvm_must_hold(mmu_lock);
void shadow_begin(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock);
bool shadow_make_unsync(struct kvm *kvm, gfn_t gfn, bool write)
	__kvm_must_hold(mmu_lock);
void shadow_prefetch_around(struct kvm_vcpu *vcpu, u64 *sptep)
	__kvm_must_hold(mmu_lock);
bool shadow_unsync(const struct kvm_mmu *mmu);
void shadow_sync_roots(struct kvm_vcpu *vcpu)
	__kvm_must_hold(mmu_lock);
int shadow_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault);

#endif
