// SPDX-License-Identifier: GPL-2.0-only
/*
 * The roots of a vcpu: the nested one, which all of a VM's have in common; or those of the
 * shadows of its present address space, and of some that it was in before.  A guest's
 * switch back to one of these takes no lock.
 *
 * roots[] and old_roots[] are the vcpu's own, and it moves roots between them without
 * mmu_lock.  What they hold (root_count) changes under the lock alone.
 */
#include "mmu_internal.h"
#include "kvm_request.h"

/* As many address spaces as a busy guest switches between, and an empty place. */
#define OLD_ROOTS		16

/* The roots of an address space that the vcpu left. */
struct kvm_mmu_old_root {
	bool held;			/* or the place is empty */
	u32 used;			/* mmu->root_clock, as it was left */
	gpa_t pgd;
	u64 pdptrs[4];			/* of a PAE guest */
	hpa_t roots[KVM_MMU_ROOTS];
};

/*
 * ---- holding pages ----
 */

static hpa_t hold_root(struct kvm *kvm, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	sp->root_count++;
	sp->used = true;
	kvm->n_root_holds++;
	list_del_init(&sp->orphan);
	return __pa(sp->spt);
}

static void put_root(struct kvm *kvm, hpa_t *hpa)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;

	if (*hpa == INVALID_PAGE)
		return;
	sp = root_sp(*hpa);
	kvm_vm_bug_on(kvm, sp->root_count <= 0);
	sp->root_count--;
	if (!sp->invalid)
		kvm->n_root_holds--;
	else if (!sp->root_count)
		list_add(&sp->link, &kvm->dead_pages);
	*hpa = INVALID_PAGE;
}

static void put_roots(struct kvm *kvm, hpa_t *roots)
	__kvm_must_hold(mmu_lock)
{
	int i;

	for (i = 0; i < KVM_MMU_ROOTS; i++)
		put_root(kvm, &roots[i]);
}

static bool any_zapped(const hpa_t *roots)
{
	int i;

	for (i = 0; i < KVM_MMU_ROOTS; i++)
		if (roots[i] != INVALID_PAGE && READ_ONCE(root_sp(roots[i])->invalid))
			return true;
	return false;
}

/* Is a page among the roots that some vcpu uses now?  Of old ones it may be all the same. */
bool roots_in_use(struct kvm *kvm, const struct kvm_mmu_page *sp)
{
	hpa_t hpa = __pa(sp->spt);
	struct kvm_vcpu *vcpu;
	unsigned long n;
	int i;

	kvm_for_each_vcpu(n, vcpu, kvm) {
		for (i = 0; i < KVM_MMU_ROOTS; i++)
			if (READ_ONCE(vcpu->mmu.roots[i]) == hpa)
				return true;
	}
	return false;
}

/* A page that vcpus hold was zapped: those that use it load another. */
void roots_zapped(struct kvm *kvm, const struct kvm_mmu_page *sp)
{
	kvm->n_root_holds -= sp->root_count;
	/* Between invalid and the roots: see take_old_root(). */
	smp_mb();
	if (roots_in_use(kvm, sp))
		kvm_make_all_vcpus_request(kvm, KVM_REQ_MMU_RELOAD);
}

/*
 * ---- address spaces that a vcpu left ----
 */

static void put_old_root(struct kvm_vcpu *vcpu, struct kvm_mmu_old_root *old)
	__kvm_must_hold(mmu_lock)
{
	put_roots(vcpu->kvm, old->roots);
	old->held = false;
	vcpu->mmu.nr_old_roots--;
}

/* Those go that were zapped, or all of them; and there is an empty place. */
static void put_old_roots(struct kvm_vcpu *vcpu, bool all)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm_mmu_old_root *old, *oldest = NULL;

	if (!mmu->nr_old_roots)
		return;
	for (old = mmu->old_roots; old < mmu->old_roots + OLD_ROOTS; old++) {
		if (!old->held)
			continue;
		if (all || any_zapped(old->roots))
			put_old_root(vcpu, old);
		else if (!oldest || mmu->root_clock - old->used > mmu->root_clock - oldest->used)
			oldest = old;
	}
	if (mmu->nr_old_roots == OLD_ROOTS)
		put_old_root(vcpu, oldest);
}

static struct kvm_mmu_old_root *empty_place(const struct kvm_mmu *mmu)
{
	struct kvm_mmu_old_root *old = mmu->old_roots;

	while (old->held)
		old++;
	return old;
}

/*
 * The vcpu leaves its address space, whose roots it keeps for the way back.  Before the
 * next time new ones are loaded, which makes room.  Takes mmu_lock, if the guest does not page.
 */
void roots_leave(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm_mmu_old_root *old;
	int i;

	if (mmu->root_hpa == INVALID_PAGE)
		return;
	if (mmu->direct) {
		kvm_mmu_unload(vcpu);
		return;
	}
	old = empty_place(mmu);
	old->held = true;
	old->used = ++mmu->root_clock;
	old->pgd = mmu->root_pgd;
	memcpy(old->pdptrs, mmu->pdptrs, sizeof(old->pdptrs));
	memcpy(old->roots, mmu->roots, sizeof(old->roots));
	for (i = 0; i < KVM_MMU_ROOTS; i++)
		WRITE_ONCE(mmu->roots[i], INVALID_PAGE);
	mmu->root_hpa = INVALID_PAGE;
	mmu->nr_old_roots++;
}

/* The one of the guest's present CR3, or NULL. */
static struct kvm_mmu_old_root *find_old_root(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	gpa_t pgd = kvm_read_cr3(vcpu);
	struct kvm_mmu_old_root *old;

	if (!mmu->nr_old_roots)
		return NULL;
	for (old = mmu->old_roots; old < mmu->old_roots + OLD_ROOTS; old++) {
		if (old->held && old->pgd == pgd &&
		    (mmu->root_level != 3 ||
		     !memcmp(old->pdptrs, mmu->pdptrs, sizeof(old->pdptrs))))
			return old;
	}
	return NULL;
}

/* Of roots[], what the processor gets. */
static void set_root_hpa(struct kvm_mmu *mmu)
{
	int i;

	/* Only P: the rights' bits are reserved here (APM 2 "PAE Paging"). */
	for (i = 0; three_level(mmu) && i < KVM_MMU_ROOTS; i++)
		mmu->pae_root[i] = mmu->roots[i] == INVALID_PAGE ? 0 : mmu->roots[i] | SPTE_P;
	mmu->root_hpa = three_level(mmu) ? __pa(mmu->pae_root) : mmu->roots[0];
}

/* Use what the vcpu left before, unless it has been zapped. */
static bool take_old_root(struct kvm_vcpu *vcpu, struct kvm_mmu_old_root *old)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i;

	for (i = 0; i < KVM_MMU_ROOTS; i++)
		WRITE_ONCE(mmu->roots[i], old->roots[i]);
	/* Who zaps one from here on sees that it is in use: see roots_zapped(). */
	smp_mb();
	if (any_zapped(old->roots)) {
		/* Held by the old place as before, until roots are loaded. */
		for (i = 0; i < KVM_MMU_ROOTS; i++)
			WRITE_ONCE(mmu->roots[i], INVALID_PAGE);
		return false;
	}
	old->held = false;
	mmu->nr_old_roots--;
	mmu->root_pgd = old->pgd;
	set_root_hpa(mmu);
	return true;
}

/*
 * ---- the present ones ----
 */

/** kvm_mmu_unload - the vcpu holds no root any more, of the present address space or of
 * others; the pages stay for their next use. Takes mmu_lock.
 */
void kvm_mmu_unload(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;

	if (kvm_ops.nested_paging) {
		mmu->root_hpa = INVALID_PAGE;
		return;
	}
	if (mmu->root_hpa == INVALID_PAGE && !mmu->nr_old_roots)
		return;
	write_lock(&kvm->mmu_lock);
	put_roots(kvm, mmu->roots);
	put_old_roots(vcpu, true);
	mmu->root_hpa = INVALID_PAGE;
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
}
EXPORT_SYMBOL_GPL(kvm_mmu_unload);

/** kvm_mmu_drop_zapped_roots - KVM_REQ_MMU_RELOAD: a root that some vcpu uses was zapped, this
 * one's or another's. Takes mmu_lock.
 */
void kvm_mmu_drop_zapped_roots(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;

	write_lock(&kvm->mmu_lock);
	if (any_zapped(mmu->roots)) {
		put_roots(kvm, mmu->roots);
		mmu->root_hpa = INVALID_PAGE;
	}
	put_old_roots(vcpu, false);
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
}

/* The i-th root page; NULL if the guest's PDPTE is not present. */
static struct kvm_mmu_page *get_root(struct kvm_vcpu *vcpu, int i)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	union mmu_role role = { .word = mmu->role_word };
	int level = three_level(mmu) ? PG_LEVEL_2M : mmu->shadow_root_level;
	gfn_t gfn = cr3_gfn(vcpu);

	if (mmu->direct)
		return mmu_get_direct(vcpu, (gfn_t)i << 18, level, ACC_ALL);
	role.level = level;
	role.access = ACC_ALL;
	if (mmu->root_level == 3) {
		if (!(mmu->pdptrs[i] & SPTE_P))
			return NULL;
		gfn = (mmu->pdptrs[i] & SPTE_ADDR_MASK) >> PAGE_SHIFT;
	} else {
		role.quadrant = i;
	}
	return mmu_get_page(vcpu, kvm_unalias_gfn(vcpu->kvm, gfn), role);
}

static void alloc_roots(struct kvm_vcpu *vcpu)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i, n = three_level(mmu) ? KVM_MMU_ROOTS : 1;

	for (i = 0; i < n; i++) {
		struct kvm_mmu_page *sp = get_root(vcpu, i);

		WRITE_ONCE(mmu->roots[i], sp ? hold_root(vcpu->kvm, sp) : INVALID_PAGE);
	}
	set_root_hpa(mmu);
}

static int load_shadow_roots(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;
	int r = mmu_topup(vcpu);

	if (r)
		return r;
	write_lock(&kvm->mmu_lock);
	put_old_roots(vcpu, false);
	mmu_finish(kvm);
	mmu_make_room(kvm);
	mmu->root_pgd = mmu->direct ? 0 : kvm_read_cr3(vcpu);
	alloc_roots(vcpu);
	if (!mmu->direct)
		shadow_sync_roots(vcpu);
	kvm_mmu_unlock(kvm);
	return 0;
}

/** kvm_mmu_load - a root for the guest's present mode and CR3, or the nested one. srcu held;
 * sleeps, takes mmu_lock. Returns 0 or -ENOMEM.
 */
int kvm_mmu_load(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	int r = 0;

	if (kvm_ops.nested_paging)
		mmu->root_hpa = __pa(vcpu->kvm->nested_root);
	else
		r = load_shadow_roots(vcpu);
	if (r)
		return r;
	kvm_ops.load_root(vcpu, mmu->root_hpa, mmu->shadow_root_level);
	return 0;
}

/** kvm_mmu_new_cr3 - the guest loaded CR3 (vcpu->cr3), which flushes, too. */
void kvm_mmu_new_cr3(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm_mmu_old_root *old;

	if (mmu->direct)
		return;
	if (mmu->root_hpa != INVALID_PAGE && mmu->root_pgd == kvm_read_cr3(vcpu)) {
		kvm_mmu_guest_tlb_flush(vcpu);
		return;
	}
	clear_mmio_cache(vcpu);
	roots_leave(vcpu);
	old = find_old_root(vcpu);
	if (!old || !take_old_root(vcpu, old))
		return;
	if (shadow_unsync(mmu))
		kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
	kvm_ops.load_root(vcpu, mmu->root_hpa, mmu->shadow_root_level);
}

/** kvm_mmu_guest_tlb_flush - the guest flushes its TLB, global entries included: done
 * before the next entry.
 */
void kvm_mmu_guest_tlb_flush(struct kvm_vcpu *vcpu)
{
	clear_mmio_cache(vcpu);
	if (!vcpu->mmu.direct)
		kvm_make_request(KVM_REQ_MMU_SYNC, vcpu);
	kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
}

/*
 * ---- life ----
 */

/* They are unloaded. */
void roots_destroy(struct kvm_mmu *mmu)
{
	free_page((unsigned long)mmu->pae_root);
	kfree(mmu->old_roots);
}

/* Of a new vcpu.  Returns 0 or -ENOMEM. */
int roots_create(struct kvm_mmu *mmu)
{
	struct page *page;
	int i;

	mmu->root_hpa = INVALID_PAGE;
	for (i = 0; i < KVM_MMU_ROOTS; i++)
		mmu->roots[i] = INVALID_PAGE;
	if (kvm_ops.nested_paging)
		return 0;
	mmu->old_roots = kcalloc(OLD_ROOTS, sizeof(*mmu->old_roots), GFP_KERNEL_ACCOUNT);
	/* CR3 has 32 bits outside long mode. */
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_DMA32 | __GFP_ZERO);
	if (page)
		mmu->pae_root = page_address(page);
	if (page && mmu->old_roots)
		return 0;
	roots_destroy(mmu);
	return -ENOMEM;
}
