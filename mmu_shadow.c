// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shadows of the guest's page tables: write tracking, unsync pages and their
 * synchronization, faults; and the walk of the guest's own tables (paging_tmpl.h),
 * which translates for the emulator under nested paging, too.
 */
#include "mmu_internal.h"
#include "kvm_guest_mem.h"
#include "kvm_request.h"

#include <linux/module.h>
#include <linux/uaccess.h>
#include <asm/pkru.h>

/* After so many writes without a use between, a frame is no page table any more. */
#define FLOOD			4

/*
 * ---- the guest's entries ----
 */

static u64 rsvd_bits(const struct kvm_mmu *mmu, u64 gpte, int level)
{
	bool ps = level > PG_LEVEL_4K && (gpte & SPTE_PS) &&
		  (mmu->root_level > 2 || mmu->pse);

	return gpte & mmu->guest_rsvd_mask[ps][level - 1];
}

static gfn_t gpte_gfn(u64 gpte)
{
	return (gpte & SPTE_ADDR_MASK) >> PAGE_SHIFT;
}

static unsigned int gpte_access(const struct kvm_mmu *mmu, u64 gpte)
{
	unsigned int access = 0;

	if (gpte & SPTE_W)
		access |= ACC_W;
	if (gpte & SPTE_U)
		access |= ACC_U;
	if (!mmu->nx || !(gpte & SPTE_NX))
		access |= ACC_X;
	return access;
}

static unsigned int leaf_access(const struct kvm_mmu *mmu, const struct kvm_mmu_page *sp,
				u64 gpte)
{
	unsigned int access = sp->role.access & gpte_access(mmu, gpte);

	/* The first write faults, so that the guest's dirty bit gets set. */
	return gpte & SPTE_D ? access : access & ~ACC_W;
}

/* May a last-level entry be used as it is? */
static bool gpte_usable(const struct kvm_mmu *mmu, u64 gpte)
{
	return (gpte & SPTE_P) && (gpte & SPTE_A) && !rsvd_bits(mmu, gpte, PG_LEVEL_4K);
}

/*
 * n entries of sp's table, of the last level, from spte i on, without sleeping;
 * mmu_lock held.
 */
static bool read_gptes(struct kvm_vcpu *vcpu, const struct kvm_mmu_page *sp, unsigned int i,
		       unsigned int n, u64 *gptes)
{
	bool short_gptes = sp->role.gpte32;
	unsigned int size = short_gptes ? sizeof(u32) : sizeof(u64);
	unsigned int first = short_gptes ? sp->role.quadrant * SPTES_PER_PAGE : 0;

	if (kvm_read_guest_atomic(vcpu, gfn_to_gpa(sp->gfn) + (first + i) * size, gptes, n * size))
		return false;
	/* Spread the short ones, from the last on, in place. */
	while (short_gptes && n--)
		gptes[n] = ((u32 *)gptes)[n];
	return true;
}

/*
 * ---- write tracking ----
 */

/* Large pages are disallowed over a guest table: a write to one would not be tracked. */
void shadow_account(struct kvm *kvm, struct kvm_mmu_page *sp, int delta)
{
	struct kvm_memory_slot *slot = kvm_gfn_to_slot(kvm, sp->gfn);
	int level;

	/* There may be another slot by now, which knows nothing of it. */
	if (!slot || (delta < 0 && sp->accounted != slot->arch.disallow_lpage[0]))
		return;
	sp->accounted = delta > 0 ? slot->arch.disallow_lpage[0] : NULL;
	for (level = PG_LEVEL_2M; level <= KVM_MAX_LEAF_LEVEL; level++) {
		u32 *disallow = &slot->arch.disallow_lpage[level - 2][level_index(slot, sp->gfn,
										  level)];

		kvm_vm_bug_on(kvm, delta < 0 && !*disallow);
		*disallow += delta;
	}
	if (delta > 0)
		rmap_write_protect(kvm, slot, sp->gfn, false);
}

/* Zap the shadows in one bucket that are of these frames. */
static void zap_bucket(struct kvm *kvm, struct hlist_head *bucket, gfn_t base,
		       unsigned long npages)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;
	struct hlist_node *n;

again:
	hlist_for_each_entry_safe(sp, n, bucket, hash_link) {
		if (sp->role.direct || sp->gfn - base >= npages)
			continue;
		mmu_zap_page(kvm, sp);
		if (kvm_mmu_resched(kvm))
			goto again;
	}
	kvm_mmu_resched(kvm);
}

/** kvm_mmu_zap_shadows - zap the shadows of guest page tables in some frames; from 0, ULONG_MAX:
 * all. srcu or slots_lock held. Takes mmu_lock, and lets go of it now and then.
 */
void kvm_mmu_zap_shadows(struct kvm *kvm, gfn_t base, unsigned long npages)
{
	unsigned long i, n = min(npages, 1UL << KVM_MMU_HASH_BITS);

	if (kvm_ops.nested_paging)
		return;
	write_lock(&kvm->mmu_lock);
	for (i = 0; kvm->n_indirect && i < n; i++)
		zap_bucket(kvm, n == npages ? hash_bucket(kvm, base + i) : &kvm->page_hash[i],
			   base, npages);
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
}

/** kvm_mmu_unprotect_gfn - zap what shadows a frame (not an alias): the guest may write
 * to it. Takes mmu_lock.
 */
void kvm_mmu_unprotect_gfn(struct kvm *kvm, gfn_t gfn)
{
	struct kvm_mmu_page *sp;
	struct hlist_node *n;

	write_lock(&kvm->mmu_lock);
	for_each_indirect_safe(kvm, sp, n, gfn)
		mmu_zap_page(kvm, sp);
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
}

/* The gptes that a write touches.  False: no guest writes to a page table like that. */
static bool written_gptes(const struct kvm_mmu_page *sp, gpa_t gpa, int bytes, unsigned int *first,
			  unsigned int *last)
{
	unsigned int size = sp->role.gpte32 ? 4 : 8, offset = offset_in_page(gpa);

	*first = offset / size;
	*last = (offset + bytes - 1) / size;
	return bytes <= 8 && *last - *first < 8 / size;
}

/*
 * Drop the spte at sptep, as its gpte was written.  The guest may think that it had one
 * large page, of which TLBs have many: then its INVLPG of one address is not enough.
 */
static void drop_written(struct kvm *kvm, struct kvm_mmu_page *sp, u64 *sptep)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *child = mmu_linked(sptep, sp->role.level);

	if (child ? child->role.direct : spte_present(*sptep) && sp->role.level > PG_LEVEL_4K)
		kvm_flush_remote_tlbs(kvm);
	mmu_drop_spte(kvm, sp, sptep);
}

/* Drop the sptes that were made of gpte i. */
static void drop_gpte(struct kvm *kvm, struct kvm_mmu_page *sp, unsigned int i)
	__kvm_must_hold(mmu_lock)
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
		drop_written(kvm, sp, &sp->spt[i++]);
}

static void track_page(struct kvm *kvm, struct kvm_mmu_page *sp, gpa_t gpa, int bytes)
	__kvm_must_hold(mmu_lock)
{
	unsigned int first, last;

	if (sp->unsync)
		return;
	if (!written_gptes(sp, gpa, bytes, &first, &last) || ++sp->written >= FLOOD) {
		kvm->stat.mmu_flooded++;
		mmu_zap_page(kvm, sp);
		return;
	}
	kvm->stat.mmu_pte_write++;
	for (; first <= last; first++)
		drop_gpte(kvm, sp, first);
}

/** kvm_mmu_track_write - guest memory was written other than by the guest itself:
 * within one page, @gpa is not an alias. srcu held. Takes mmu_lock if anything is
 * shadowed; does not sleep.
 */
void kvm_mmu_track_write(struct kvm_vcpu *vcpu, gpa_t gpa, int bytes)
{
	struct kvm *kvm = vcpu->kvm;
	struct kvm_mmu_page *sp;
	struct hlist_node *n;

	/* After the write: see shadow_begin(). */
	smp_mb();
	if (likely(!READ_ONCE(kvm->n_indirect)))
		return;
	write_lock(&kvm->mmu_lock);
	for_each_indirect_safe(kvm, sp, n, gpa_to_gfn(gpa))
		track_page(kvm, sp, gpa, bytes);
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
}

/*
 * ---- prefetch ----
 */

/* Map gfn at entry i of a last-level page, if the host has it mapped.  No invalidation runs. */
static void prefetch_leaf(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp, unsigned int i,
			  gfn_t gfn, unsigned int access)
	__kvm_must_hold(mmu_lock)
{
	struct mapping m = { .gfn = kvm_unalias_gfn(vcpu->kvm, gfn), .access = access };

	m.slot = kvm_vcpu_gfn_to_slot(vcpu, m.gfn);
	if (!m.slot || vcpu->mmu.desc_cache.nobjs < 2 ||
	    !kvm_slot_gfn_to_pfn_atomic(vcpu->kvm, m.slot, m.gfn, false, &m.host))
		return;
	mmu_set_leaf(vcpu, &sp->spt[i], &m);
}

/* Map what gpte says at entry i of its shadow, of the last level. */
static void prefetch_gpte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp, unsigned int i, u64 gpte)
	__kvm_must_hold(mmu_lock)
{
	if (gpte_usable(&vcpu->mmu, gpte))
		prefetch_leaf(vcpu, sp, i, gpte_gfn(gpte), leaf_access(&vcpu->mmu, sp, gpte));
}

/* Map the neighbours of a leaf just mapped: the guest is likely to use them next. */
void shadow_prefetch_around(struct kvm_vcpu *vcpu, u64 *sptep)
{
	struct kvm_mmu_page *sp = sptep_to_sp(sptep);
	unsigned int i = spte_index(sptep) & ~(PREFETCH - 1), end = i + PREFETCH, first = i;
	u64 gptes[PREFETCH];

	if (sp->role.level != PG_LEVEL_4K || vcpu->kvm->notifier_count)
		return;
	if (!sp->role.direct && !read_gptes(vcpu, sp, first, PREFETCH, gptes))
		return;
	for (; i < end; i++) {
		if (spte_present(sp->spt[i]))
			continue;
		if (sp->role.direct)
			prefetch_leaf(vcpu, sp, i, sp->gfn + i, sp->role.access);
		else
			prefetch_gpte(vcpu, sp, i, gptes[i - first]);
	}
}

/*
 * ---- unsync pages ----
 *
 * The guest may write to a last-level table without a fault, and its shadow need
 * not follow until the guest flushes its TLB: a processor's TLB would not either.
 */

/* Set the bits that lead to sp in all pages above it. */
void shadow_mark_unsync(struct kvm_mmu_page *sp)
{
	struct rmap_iter it;
	u64 *sptep;

	for_each_rmap(&sp->parents, &it, sptep) {
		struct kvm_mmu_page *p = sptep_to_sp(sptep);

		/* Set already: then it is set all the way up. */
		if (__test_and_set_bit(spte_index(sptep), p->unsync_children))
			continue;
		if (!p->unsync_nr++)
			shadow_mark_unsync(p);
	}
}

/*
 * May gfn be writable though it is shadowed?  If it is unsync already, or is
 * just written and all its shadows are of the last level.
 */
bool shadow_make_unsync(struct kvm *kvm, gfn_t gfn, bool write)
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
		shadow_mark_unsync(sp);
	}
	return true;
}

/* The bits of a role that mmu.role_word has, too. */
static u32 role_mode(union mmu_role role)
{
	role.level = 0;
	role.access = 0;
	role.quadrant = 0;
	return role.word;
}

/*
 * What a leaf of gfn gets back, that the guest allows to be written to, and that was
 * read-only: as from make_leaf(), without a write.
 */
static u64 writable_again(struct kvm_vcpu *vcpu, gfn_t gfn)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_slot(vcpu, gfn);

	if (!slot || gfn_shadowed(vcpu->kvm, gfn))
		return 0;
	return slot->dirty_bitmap ? SPTE_MMU_WRITABLE : SPTE_MMU_WRITABLE | SPTE_W | SPTE_D;
}

static void sync_spte(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp, unsigned int i, u64 gpte)
	__kvm_must_hold(mmu_lock)
{
	u64 old = sp->spt[i], new;
	unsigned int access;

	if (!gpte_usable(&vcpu->mmu, gpte) ||
	    kvm_unalias_gfn(vcpu->kvm, gpte_gfn(gpte)) != sp->gfns[i]) {
		rmap_drop_leaf(vcpu->kvm, &sp->spt[i]);
		return;
	}
	access = leaf_access(&vcpu->mmu, sp, gpte);
	new = old & ~(SPTE_W | SPTE_MMU_WRITABLE | SPTE_U | SPTE_NX);
	new |= access_bits(access);
	if (access & ACC_W) {
		new |= old & (SPTE_W | SPTE_MMU_WRITABLE);
		if ((old & SPTE_HOST_WRITABLE) && !(old & SPTE_MMU_WRITABLE))
			new |= writable_again(vcpu, sp->gfns[i]);
	}
	if (new == old)
		return;
	if (spte_reduced(old, new))
		vcpu->kvm->tlbs_dirty = true;
	spte_write(&sp->spt[i], new);
}

#define SYNC_CHUNK	32

/* Sptes [i, i + SYNC_CHUNK) of sp.  Those of another mode than the present one go. */
static void sync_chunk(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp, unsigned int i,
		       bool same_mode)
	__kvm_must_hold(mmu_lock)
{
	unsigned int first = i, end = i + SYNC_CHUNK;
	u64 gptes[SYNC_CHUNK];

	while (i < end && !spte_present(sp->spt[i]))
		i++;
	if (i == end)
		return;
	same_mode = same_mode && read_gptes(vcpu, sp, first, SYNC_CHUNK, gptes);
	for (; i < end; i++) {
		if (!spte_present(sp->spt[i]))
			continue;
		if (same_mode)
			sync_spte(vcpu, sp, i, gptes[i - first]);
		else
			rmap_drop_leaf(vcpu->kvm, &sp->spt[i]);
	}
}

/* Make the sptes of a last-level table what the guest has there now, or nothing. */
static void sync_page(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	bool same_mode = role_mode(sp->role) == vcpu->mmu.role_word;
	unsigned int i;

	for (i = 0; i < SPTES_PER_PAGE; i += SYNC_CHUNK)
		sync_chunk(vcpu, sp, i, same_mode);
}

/* Synchronize all unsync shadows of gfn, which is write-protected by now. */
static void sync_gfn(struct kvm_vcpu *vcpu, gfn_t gfn)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;

	for_each_indirect(vcpu->kvm, sp, gfn) {
		if (sp->unsync) {
			sync_page(vcpu, sp);
			sp->unsync = false;
		}
	}
}

/* From now on writes to the guest's table are tracked. */
void shadow_begin(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
{
	struct kvm *kvm = vcpu->kvm;

	kvm->n_indirect++;
	/*
	 * kvm_mmu_track_write() writes, then looks at n_indirect; we count, then
	 * read the guest's table.  One of us sees the other.
	 */
	smp_mb();
	shadow_account(kvm, sp, 1);
	kvm_mmu_flush(kvm, false);
	sync_gfn(vcpu, sp->gfn);
}

/* The page below entry i, whose bit in unsync_children is set. */
static struct kvm_mmu_page *unsync_child(struct kvm *kvm, struct kvm_mmu_page *sp, unsigned int i)
	__kvm_must_hold(mmu_lock)
{
	u64 spte = sp->spt[i];

	if (!kvm_vm_bug_on(kvm, !spte_present(spte) || spte_leaf(spte, sp->role.level)))
		return spte_to_child(spte);
	unset_unsync_child(sp, i);
	return NULL;
}

#define SYNC_BATCH	16
#define SYNC_VISITS	2048

/* Unsync pages to be synchronized. */
struct unsync_batch {
	struct kvm_mmu_page *sp[SYNC_BATCH];
	int n;
	int visits;		/* entries still to look at */
};

/* Collect unsync pages below sp; bits that lead to none are cleared. */
static void gather_unsync(struct kvm *kvm, struct kvm_mmu_page *sp, struct unsync_batch *b)
	__kvm_must_hold(mmu_lock)
{
	unsigned int i;

	if (sp->unsync)
		b->sp[b->n++] = sp;
	for_each_set_bit(i, sp->unsync_children, SPTES_PER_PAGE) {
		struct kvm_mmu_page *child;

		if (b->n == SYNC_BATCH || b->visits <= 0)
			break;
		b->visits--;
		child = unsync_child(kvm, sp, i);
		if (!child)
			continue;
		if (child->unsync || child->unsync_nr)
			gather_unsync(kvm, child, b);
		if (!child->unsync && !child->unsync_nr)
			unset_unsync_child(sp, i);
	}
}

/*
 * Synchronize some of the pages below sp; the guest's next write to each faults again.
 * Returns true if there may be more.
 */
static bool sync_batch(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	struct unsync_batch b = { .visits = SYNC_VISITS };
	struct kvm *kvm = vcpu->kvm;
	int i;

	gather_unsync(kvm, sp, &b);
	for (i = 0; i < b.n; i++) {
		struct kvm_memory_slot *slot = kvm_gfn_to_slot(kvm, b.sp[i]->gfn);

		if (slot)
			rmap_write_protect(kvm, slot, b.sp[i]->gfn, false);
	}
	/* No TLB may let the guest write to the tables while they are read. */
	kvm_mmu_flush(kvm, false);
	for (i = 0; i < b.n; i++)
		sync_gfn(vcpu, b.sp[i]->gfn);
	return b.n == SYNC_BATCH || b.visits <= 0;
}

void shadow_sync_roots(struct kvm_vcpu *vcpu)
{
	int i;

	for (i = 0; i < KVM_MMU_ROOTS; i++) {
		if (vcpu->mmu.roots[i] == INVALID_PAGE)
			continue;
		/* This vcpu holds the root: it stays. */
		while (sync_batch(vcpu, root_sp(vcpu->mmu.roots[i])))
			kvm_mmu_resched(vcpu->kvm);
	}
}

/*
 * Is there anything to synchronize below this vcpu's roots?  Without mmu_lock: a page is
 * unsync before its frame is writable, so before what the guest wrote there; and that the
 * guest has put in order with the flush that asks here.
 */
bool shadow_unsync(const struct kvm_mmu *mmu)
{
	bool any = false;
	int i;

	smp_rmb();
	for (i = 0; i < KVM_MMU_ROOTS; i++)
		if (mmu->roots[i] != INVALID_PAGE)
			any |= READ_ONCE(root_sp(mmu->roots[i])->unsync_nr);
	return any;
}

/** kvm_mmu_sync_roots - what the guest wrote to its tables unseen counts from now on:
 * KVM_REQ_MMU_SYNC's. srcu held; takes mmu_lock now and then.
 */
void kvm_mmu_sync_roots(struct kvm_vcpu *vcpu)
{
	if (vcpu->mmu.direct || vcpu->mmu.root_hpa == INVALID_PAGE || !shadow_unsync(&vcpu->mmu))
		return;
	write_lock(&vcpu->kvm->mmu_lock);
	shadow_sync_roots(vcpu);
	kvm_mmu_unlock(vcpu->kvm);
}

/*
 * If the table of gva is unsync, map what the guest has there now.  False: gva is in no
 * table of the guest's last level, so a TLB may have more of the guest's page than this.
 */
static bool sync_gva(struct kvm_vcpu *vcpu, u64 gva)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;
	unsigned int i;
	u64 *sptep;
	int level;
	u64 gpte;

	sptep = mmu_find_leaf(vcpu, gva, &level);
	sp = sptep_to_sp(sptep);
	if (level != PG_LEVEL_4K || sp->role.direct)
		return false;
	if (!sp->unsync)
		return true;
	i = spte_index(sptep);
	if (!read_gptes(vcpu, sp, i, 1, &gpte)) {
		mmu_drop_spte(vcpu->kvm, sp, sptep);
		return true;
	}
	if (spte_present(*sptep))
		sync_spte(vcpu, sp, i, gpte);
	if (!spte_present(*sptep) && !vcpu->kvm->notifier_count)
		prefetch_gpte(vcpu, sp, i, gpte);
	return true;
}

/** kvm_mmu_invlpg - the guest flushes one address. srcu held; sleeps, takes mmu_lock. */
void kvm_mmu_invlpg(struct kvm_vcpu *vcpu, gva_t gva)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;
	bool exact = true;

	vcpu->stat.invlpg++;
	if (kvm_ops.nested_paging) {
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
		return;
	}
	if (!mmu->long_mode)
		gva = (u32)gva;
	clear_mmio_cache(vcpu);
	if (!mmu->direct && !is_noncanonical(gva, 48)) {
		if (mmu_topup(vcpu)) {
			kvm_mmu_guest_tlb_flush(vcpu);
			return;
		}
		write_lock(&kvm->mmu_lock);
		exact = !root_lost(vcpu, gva) && sync_gva(vcpu, gva);
		kvm_mmu_unlock(kvm);
	}
	if (exact)
		kvm_ops.tlb_flush_gva(vcpu, gva);
	else
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_mmu_invlpg);

/*
 * ---- the guest's walk ----
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

/*
 * Protection keys of user pages, for data (SDM 3A "Protection Keys"; APM 2 "Memory Protection
 * Keys").  Only where PKRU is the guest's now, or was at the exit.
 */
static bool key_denies(struct kvm_vcpu *vcpu, unsigned int acc, u64 gpte, u64 pferr)
{
	u16 key = (gpte >> 59) & 0xf;

	if (!(vcpu->cr4 & X86_CR4_PKE) || !vcpu->mmu.long_mode || !(acc & ACC_U) ||
	    (pferr & PFERR_FETCH_MASK))
		return false;
	if (!__pkru_allows_read(vcpu->pkru, key))
		return true;
	return (pferr & PFERR_WRITE_MASK) && !__pkru_allows_write(vcpu->pkru, key) &&
	       ((pferr & PFERR_USER_MASK) || vcpu->mmu.wp);
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
	struct kvm_exception *ex;	/* out: what the guest gets if it ends before the leaf */
};

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

/* In mmio_access, beside ACC_*: so is the guest's entry. */
#define MMIO_DIRTY	BIT(7)

static bool in_mmio_cache(struct kvm_vcpu *vcpu, u64 gva, u64 access)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	return mmu->mmio_gva == (gva & PAGE_MASK) &&
	       mmu->mmio_generation == kvm_slots_generation(vcpu->kvm) &&
	       /* the first write sets the guest's dirty bit */
	       ((mmu->mmio_access & MMIO_DIRTY) || !(access & PFERR_WRITE_MASK)) &&
	       !access_denied(vcpu, mmu->mmio_access, access);
}

static void fill_mmio_cache(struct kvm_vcpu *vcpu, u64 gva, const struct guest_walk *w)
{
	struct kvm_mmu *mmu = &vcpu->mmu;

	/* The key would have to be remembered, too. */
	if (unlikely(vcpu->cr4 & X86_CR4_PKE) && (w->access & ACC_U))
		return;
	mmu->mmio_gva = gva & PAGE_MASK;
	/* The address that the guest used: where an alias leads concerns slots alone. */
	mmu->mmio_gfn = w->gfn;
	mmu->mmio_access = w->access | (w->dirty ? MMIO_DIRTY : 0);
	mmu->mmio_generation = kvm_slots_generation(vcpu->kvm);
}

#define PT_BITS 64
#include "paging_tmpl.h"
#undef PT_BITS

#define PT_BITS 32
#include "paging_tmpl.h"
#undef PT_BITS

/* Walk the guest's tables.  False: w->ex. */
static bool walk_guest(struct kvm_vcpu *vcpu, struct guest_walk *w, u64 gva, u64 access)
{
	if (vcpu->mmu.root_level == 2)
		return pt32_walk(vcpu, w, gva, access);
	return pt64_walk(vcpu, w, gva, access);
}

/** kvm_mmu_gva_to_gpa - the guest's translation of a canonical address, with accessed
 * and dirty bits set. In its VMM's context, srcu held; sleeps. @access:
 * PFERR_WRITE_MASK, USER_MASK, FETCH_MASK; PFERR_IMPLICIT_ACCESS. Returns the gpa, or
 * INVALID_GPA, and @ex is the page fault that the guest would get.
 */
gpa_t kvm_mmu_gva_to_gpa(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_exception *ex)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct guest_walk w;

	if (!mmu->long_mode)
		gva = (u32)gva;
	if (!mmu->root_level)
		return gva;
	if (in_mmio_cache(vcpu, gva, access))
		return gfn_to_gpa(mmu->mmio_gfn) | offset_in_page(gva);
	w.ex = ex;
	if (!walk_guest(vcpu, &w, gva, access))
		return INVALID_GPA;
	return gfn_to_gpa(w.gfn) | offset_in_page(gva);
}

/** kvm_mmu_trace_walk - by which entries the guest's long-mode tables translate an
 * address that it has just used, from the leaf up. In its VMM's context, srcu held;
 * sleeps. @access: as for kvm_mmu_gva_to_gpa(). Returns how many entries; 0: no
 * translation, or other paging.
 */
int kvm_mmu_trace_walk(struct kvm_vcpu *vcpu, gva_t gva, u64 access, struct kvm_walk_trace *trace)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm_exception ex;
	struct guest_walk w;
	int level, n = 0;

	w.ex = &ex;
	if (mmu->root_level < 4 || !pt64_walk(vcpu, &w, gva, access))
		return 0;
	trace->gpa = gfn_to_gpa(w.gfn) | offset_in_page(gva);
	for (level = w.level; level <= mmu->root_level; level++, n++) {
		trace->gpte_gpa[n] = w.gpte_gpa[level - 1];
		trace->gpte[n] = w.gpte[level - 1];
	}
	return n;
}

/*
 * ---- faults ----
 */

/*
 * The walk was made without mmu_lock.  Has another vcpu changed the entry
 * since, and maybe flushed already?
 */
static bool gpte_changed(struct kvm_vcpu *vcpu, const struct guest_walk *w, int level)
{
	u64 now;
	int r;

	pagefault_disable();
	r = kvm_read_gpte(vcpu, w->gpte_gpa[level - 1],
			  vcpu->mmu.root_level == 2 ? sizeof(u32) : sizeof(u64), &now);
	pagefault_enable();
	return r || now != w->gpte[level - 1];
}

/*
 * A link to sp is about to be made.  Without any until now the guest did not use this
 * table, and others may have written to the frame unseen: a device, if it was a buffer.
 */
static void refresh_unlinked(struct kvm_vcpu *vcpu, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	int i;

	if (sp->parents.val || sp->root_count || !sp->used)
		return;
	if (sp->role.level == PG_LEVEL_4K) {
		sync_page(vcpu, sp);
		return;
	}
	for (i = 0; i < SPTES_PER_PAGE; i++)
		mmu_drop_spte(vcpu->kvm, sp, &sp->spt[i]);
}

/*
 * The shadow of the guest's next lower table.  NULL: some of what is below is current
 * again, as the guest's flushes did not reach it while nothing linked to it; try again.
 */
static struct kvm_mmu_page *get_child(struct kvm_vcpu *vcpu, const struct guest_walk *w, u64 gva,
				      int level)
	__kvm_must_hold(mmu_lock)
{
	union mmu_role role = { .word = vcpu->mmu.role_word };
	struct kvm_mmu_page *sp;

	role.level = level;
	role.access = w->table_access[level - 1];
	/* Two of ours for a table of 1024 entries. */
	if (role.gpte32)
		role.quadrant = (gva >> (PAGE_SHIFT + 9 * level)) & 1;
	sp = mmu_get_page(vcpu, kvm_unalias_gfn(vcpu->kvm, w->table_gfn[level - 1]), role);
	refresh_unlinked(vcpu, sp);
	/* One page stays unsync: the guest writes to it now. */
	if (sp->unsync)
		sync_page(vcpu, sp);
	else if (sp->unsync_nr && sync_batch(vcpu, sp))
		return NULL;
	return sp;
}

/*
 * Down our tables beside the guest's, to the table of the guest's leaf; NULL: the
 * guest's tables have changed since they were walked.
 */
static u64 *descend_shadow(struct kvm_vcpu *vcpu, const struct guest_walk *w, u64 gva)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;
	u64 *table, *sptep;
	int level;

	for (table = root_table(vcpu, gva, &level); ; table = sp->spt, level--) {
		table_to_sp(table)->written = 0;
		sptep = &table[addr_index(gva, level)];
		if (level == w->level)
			return table;
		sp = mmu_linked(sptep, level);
		if (sp && !sp->role.direct &&
		    sp->gfn == kvm_unalias_gfn(vcpu->kvm, w->table_gfn[level - 2]) &&
		    sp->role.access == w->table_access[level - 2])
			continue;
		mmu_drop_spte(vcpu->kvm, table_to_sp(table), sptep);
		sp = get_child(vcpu, w, gva, level - 1);
		/* The guest's table is write-protected: what is read now stays so. */
		if (!sp || gpte_changed(vcpu, w, level))
			return NULL;
		mmu_set_link(vcpu, sptep, sp);
	}
}

static int map_walked(struct kvm_vcpu *vcpu, const struct guest_walk *w, struct mapping *m)
	__kvm_must_hold(mmu_lock)
{
	u64 *table = descend_shadow(vcpu, w, m->addr), *sptep;
	int level, r;

	if (!table || gpte_changed(vcpu, w, w->level))
		return PF_RETRY;
	/* Only now, as a table above may lie in this very page, and is shadowed since. */
	level = mmu_use_level(vcpu, m, min_t(int, w->level, PG_LEVEL_2M));
	if (mmu_nx_huge_pages(vcpu->kvm))
		sptep = nx_descend(vcpu, table, w->level, level, m, w->gfn, m->access);
	else
		sptep = mmu_descend_direct(vcpu, table, w->level, level, m->addr, w->gfn,
					   m->access);
	r = mmu_set_leaf(vcpu, sptep, m);
	shadow_prefetch_around(vcpu, sptep);
	vcpu->stat.pf_fixed++;
	return r;
}

/*
 * What the mapping may allow.  With CR0.WP clear a supervisor's write to a
 * read-only page is mapped for supervisors alone: a user's access faults then
 * and maps it the other way round.  SMEP would not forbid to execute from a
 * supervisor's page, so that is mapped non-executable.
 */
static unsigned int map_access(const struct kvm_mmu *mmu, const struct guest_walk *w, bool write)
{
	unsigned int access = w->access;

	if (write && !(access & ACC_W)) {
		access = (access | ACC_W) & ~ACC_U;
		return mmu->smep && (w->access & ACC_U) ? access & ~ACC_X : access;
	}
	return w->dirty ? access : access & ~ACC_W;
}

/* The walk, and the mapping of what it finds. */
static int map_gva(struct kvm_vcpu *vcpu, struct kvm_fault *fault, u64 gva, u64 access)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	struct kvm *kvm = vcpu->kvm;
	struct mapping m = { .addr = gva, .write = access & PFERR_WRITE_MASK };
	struct guest_walk w;
	int r;

	w.ex = &fault->ex;
	if (!walk_guest(vcpu, &w, gva, access))
		return PF_EXCEPTION;
	r = mmu_topup(vcpu);
	if (r)
		return r;
	if (static_branch_unlikely(&mmu_nx_key))
		m.exec = access & PFERR_FETCH_MASK;
	fault->gfn = m.gfn = kvm_unalias_gfn(kvm, w.gfn);
	m.access = map_access(mmu, &w, m.write);
	r = mmu_find_pfn(vcpu, fault, &m);
	if (r) {
		if (!m.slot)
			fill_mmio_cache(vcpu, gva, &w);
		return r;
	}
	/* Mapped as a supervisor's page it would not be protected by SMAP. */
	if (mmu->smap && !(w.access & ACC_W) && m.write && (w.access & ACC_U))
		return PF_EMULATE;
	r = PF_RETRY;
	write_lock(&kvm->mmu_lock);
	if (!mmu_stale(vcpu, &m)) {
		mmu_make_room(kvm);
		r = map_walked(vcpu, &w, &m);
	}
	kvm_mmu_unlock(kvm);
	return r;
}

/* kvm_mmu_page_fault() of a guest that pages, without nested paging. */
int shadow_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	u64 access = fault->error_code & (PFERR_WRITE_MASK | PFERR_USER_MASK | PFERR_FETCH_MASK);
	struct kvm_mmu *mmu = &vcpu->mmu;
	u64 gva = mmu->long_mode ? fault->addr : (u32)fault->addr;

	/* The processor reads its own tables (GDT, TSS) with supervisor rights at any CPL. */
	if (mmu->smap && !(access & PFERR_USER_MASK) && kvm_ops.get_cpl(vcpu) == 3)
		access |= PFERR_IMPLICIT_ACCESS;
	if (in_mmio_cache(vcpu, gva, access))
		return PF_EMULATE;
	return map_gva(vcpu, fault, gva, access);
}

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

/* All of the guest's mode that makes other sptes of the same gptes. */
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

/** kvm_mmu_reset_context - the guest's paging mode may have changed: CR0.PG and WP,
 * CR4, EFER, or what CPUID says of reserved bits. Takes mmu_lock.
 */
void kvm_mmu_reset_context(struct kvm_vcpu *vcpu)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	union mmu_role role;

	set_guest_mode(vcpu);
	clear_mmio_cache(vcpu);
	if (kvm_ops.nested_paging)
		return;
	role = shadow_role(mmu);
	if (role.word != mmu->role_word || (!role.unpaged && mmu->root_pgd != kvm_read_cr3(vcpu)))
		kvm_mmu_unload(vcpu);
	mmu->role_word = role.word;
	mmu->direct = role.unpaged;
	mmu->shadow_root_level = mmu->long_mode ? 4 : 3;
}

/** kvm_mmu_set_pdptrs - as kvm_mmu_load_pdptrs(), from where userspace has them.
 * Returns false, and nothing is loaded, if reserved bits are set.
 */
bool kvm_mmu_set_pdptrs(struct kvm_vcpu *vcpu, const u64 *pdptrs)
{
	u64 rsvd = rsvd_range(63, vcpu->maxphyaddr ?: 36) | 0x1e6;
	struct kvm_mmu *mmu = &vcpu->mmu;
	int i;

	for (i = 0; i < ARRAY_SIZE(mmu->pdptrs); i++) {
		if ((pdptrs[i] & SPTE_P) && (pdptrs[i] & rsvd))
			return false;
	}
	/* Hardware that loads PDPTEs itself may have others. */
	vcpu->regs_avail |= BIT(VCPU_EXREG_PDPTR);
	vcpu->regs_dirty |= BIT(VCPU_EXREG_PDPTR);
	if (memcmp(pdptrs, mmu->pdptrs, sizeof(mmu->pdptrs))) {
		/* With what it goes by. */
		if (!kvm_ops.nested_paging)
			roots_leave(vcpu);
		memcpy(mmu->pdptrs, pdptrs, sizeof(mmu->pdptrs));
	}
	return true;
}

/** kvm_mmu_load_pdptrs - load the PDPTEs of a PAE guest (APM 2 "PAE Paging"; SDM 3A
 * "PDPTE Registers"). In its VMM's context, srcu held; sleeps. Returns false, and
 * nothing is loaded, if reserved bits are set or there is no memory.
 */
bool kvm_mmu_load_pdptrs(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	u64 pdptrs[4];

	if (kvm_read_guest(vcpu, (u32)cr3 & ~0x1fU, pdptrs, sizeof(pdptrs)))
		return false;
	return kvm_mmu_set_pdptrs(vcpu, pdptrs);
}
