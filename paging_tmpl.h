/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What depends on the size of the guest's page-table entries: included by
 * mmu_shadow.c with PT_BITS 64 (long mode, PAE) and 32.  APM 2 "Long-Mode Page
 * Translation", "PAE Paging", "Normal (Non-PAE) Paging".
 *
 * An entry is a u64 in both, and the bits that shadow and guest entries have
 * in common go by the SPTE_ names.
 */
#if PT_BITS == 64
#define PT(name)	pt64_##name
#define GPTE_SIZE	8
#define INDEX_BITS	9
#else
#define PT(name)	pt32_##name
#define GPTE_SIZE	4
#define INDEX_BITS	10
#endif

static gpa_t PT(gpte_gpa)(gfn_t table, u64 gva, int level)
{
	unsigned int i = (gva >> (PAGE_SHIFT + INDEX_BITS * (level - 1))) &
			 ((1U << INDEX_BITS) - 1);

	return gfn_to_gpa(table) + i * GPTE_SIZE;
}

static bool PT(is_leaf)(const struct kvm_mmu *mmu, u64 gpte, int level)
{
	if (level == PG_LEVEL_4K)
		return true;
	return (gpte & SPTE_PS) && (PT_BITS == 64 || mmu->pse);
}

/* The 4k frame of gva in the leaf. */
static gfn_t PT(leaf_gfn)(u64 gpte, u64 gva, int level)
{
	gfn_t in_page = BIT_ULL(INDEX_BITS * (level - 1)) - 1;
	gfn_t gfn = gpte_gfn(gpte);

	/* PSE-36: bits 20:13 are 39:32 of the address. */
	if (PT_BITS == 32 && level > PG_LEVEL_4K)
		gfn |= ((gpte >> 13) & 0xff) << 20;
	return (gfn & ~in_page) | ((gva >> PAGE_SHIFT) & in_page);
}

/* The table where the walk begins; its level, or 0: a PDPTE is not there. */
static int PT(first_table)(struct kvm_vcpu *vcpu, u64 gva, gfn_t *table)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	u64 pdpte;

	*table = cr3_gfn(vcpu);
	if (PT_BITS == 32 || mmu->root_level != 3)
		return mmu->root_level;
	pdpte = read_pdpte(vcpu, (gva >> 30) & 3);
	if (!(pdpte & SPTE_P))
		return 0;
	*table = gpte_gfn(pdpte);
	return 2;
}

/* Down to the leaf.  False: w->ex. */
static bool PT(walk_tables)(struct kvm_vcpu *vcpu, struct guest_walk *w, u64 gva, u64 access)
{
	struct kvm_mmu *mmu = &vcpu->mmu;
	unsigned int allowed = ACC_ALL;
	gfn_t table;
	int level;
	u64 gpte;

	for (level = PT(first_table)(vcpu, gva, &table); level; level--) {
		gpa_t gpa = PT(gpte_gpa)(table, gva, level);

		w->table_gfn[level - 1] = table;
		w->table_access[level - 1] = allowed;
		w->gpte_gpa[level - 1] = gpa;
		/* A table in no memory: as if all its entries were empty. */
		if (kvm_read_gpte(vcpu, gpa, GPTE_SIZE, &gpte) || !(gpte & SPTE_P))
			break;
		w->gpte[level - 1] = gpte;
		if (unlikely(rsvd_bits(mmu, gpte, level))) {
			make_page_fault(vcpu, w->ex, gva, access,
					PFERR_PRESENT_MASK | PFERR_RSVD_MASK);
			return false;
		}
		allowed &= gpte_access(mmu, gpte);
		if (PT(is_leaf)(mmu, gpte, level)) {
			w->level = level;
			w->access = allowed;
			w->gfn = PT(leaf_gfn)(gpte, gva, level);
			return true;
		}
		table = gpte_gfn(gpte);
	}
	make_page_fault(vcpu, w->ex, gva, access, 0);
	return false;
}

/*
 * Accessed bits on the way, dirty in the leaf.  False: an entry changed under
 * us.  Tables in read-only memory keep what they have, and the access goes on.
 */
static bool PT(set_accessed_dirty)(struct kvm_vcpu *vcpu, struct guest_walk *w, bool write)
{
	int level = vcpu->mmu.root_level == 3 ? 2 : vcpu->mmu.root_level;

	for (; level >= w->level; level--) {
		u64 old = w->gpte[level - 1], new = old | SPTE_A;
		int r;

		if (write && level == w->level)
			new |= SPTE_D;
		if (likely(new == old))
			continue;
		r = kvm_cmpxchg_gpte(vcpu, w->gpte_gpa[level - 1], GPTE_SIZE, old, new);
		if (r > 0)
			return false;
		if (!r)
			w->gpte[level - 1] = new;
	}
	w->dirty = write || (w->gpte[w->level - 1] & SPTE_D);
	return true;
}

/* The guest's translation of gva for an access, with all its effects. */
static bool PT(walk)(struct kvm_vcpu *vcpu, struct guest_walk *w, u64 gva, u64 access)
{
	do {
		if (!PT(walk_tables)(vcpu, w, gva, access))
			return false;
		if (access_denied(vcpu, w->access, access)) {
			make_page_fault(vcpu, w->ex, gva, access, PFERR_PRESENT_MASK);
			return false;
		}
		if (unlikely(key_denies(vcpu, w->access, w->gpte[w->level - 1], access))) {
			make_page_fault(vcpu, w->ex, gva, access, PFERR_PRESENT_MASK | PFERR_PK_MASK);
			return false;
		}
	} while (!PT(set_accessed_dirty)(vcpu, w, access & PFERR_WRITE_MASK));
	return true;
}

#undef PT
#undef GPTE_SIZE
#undef INDEX_BITS
