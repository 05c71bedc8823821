/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The entries of our page tables, and the shadow page, which describes a table.  The format
 * is the processor's own for shadow and AMD's nested paging: APM 2 "Long-Mode
 * Page Translation", "Nested Paging".  Intel's nested tables have the address,
 * P (as "readable"), W and PS in the same places; what they have elsewhere is
 * in the vendor's table of operations (nested_*_mask).
 */
#ifndef KVM_SPTE_H
#define KVM_SPTE_H

#include <linux/mem_encrypt.h>
#include "kvm_host.h"

#define SPTE_P			BIT_ULL(0)
#define SPTE_W			BIT_ULL(1)
#define SPTE_U			BIT_ULL(2)
#define SPTE_A			BIT_ULL(5)
#define SPTE_D			BIT_ULL(6)
#define SPTE_PS			BIT_ULL(7)
#define SPTE_NX			BIT_ULL(63)
#define SPTE_ADDR_MASK		GENMASK_ULL(51, 12)

/*
 * For software.  Bits 10 and 11 are free in every format: legacy PAE reserves those
 * above the address, and bit 9 is the dirty bit of Intel's nested tables.
 */
#define SPTE_HOST_WRITABLE	BIT_ULL(10)	/* the host's mapping allows writes */
#define SPTE_MMU_WRITABLE	BIT_ULL(11)	/* read-only for the dirty log at most */
/* Only in nested tables, whose formats ignore them. */
#define SPTE_VENDOR_PAGE	BIT_ULL(52)	/* of a leaf: kvm_mmu_map_page() */
#define SPTE_NX_SPLIT		BIT_ULL(53)	/* of a link: for a large page that was executed */

#define SPTES_PER_PAGE		512

/* What a mapping allows; also in struct kvm_mmu_page's role. */
#define ACC_W	BIT(0)
#define ACC_U	BIT(1)
#define ACC_X	BIT(2)
#define ACC_ALL	(ACC_W | ACC_U | ACC_X)

/* Two shadow pages of one guest frame differ in this. */
union mmu_role {
	u32 word;
	struct {
		u32 level	: 4;	/* of the table: 1 holds 4k entries */
		u32 direct	: 1;	/* maps gfn onward, shadows no guest table */
		u32 access	: 3;	/* ACC_*, of all entries above */
		u32 quadrant	: 2;	/* which part of a table of 4-byte gptes */
		u32 gpte32	: 1;
		u32 pae		: 1;	/* legacy PAE's reserved bits */
		u32 nx		: 1;	/* EFER.NXE */
		u32 pse		: 1;	/* CR4.PSE, 4-byte gptes */
		u32 wp		: 1;	/* CR0.WP */
		u32 smep_nowp	: 1;	/* CR4.SMEP with CR0.WP clear */
		u32 smap_nowp	: 1;
		u32 unpaged	: 1;
	};
};

struct kvm_mmu_page {
	/* kvm->active_pages or dead_pages. */
	struct list_head link __kvm_guarded_by(mmu_lock);
	/* kvm->orphans: a direct page that nothing links to. */
	struct list_head orphan __kvm_guarded_by(mmu_lock);
	struct hlist_node hash_link __kvm_guarded_by(mmu_lock);	/* by gfn */
	gfn_t gfn;			/* the guest's table, or the first frame mapped */
	union mmu_role role;
	/* Writes to the guest's table since its last use. */
	u8 written __kvm_guarded_by(mmu_lock);
	/* The guest may write to its table without a fault. */
	bool unsync __kvm_guarded_by(mmu_lock);
	/* In a slot's disallow_lpage[0], and above; or NULL. */
	u32 *accounted __kvm_guarded_by(mmu_lock);
	/* Has been linked, or a root: without, it is as empty as it was made. */
	bool used __kvm_guarded_by(mmu_lock);
	bool invalid __kvm_written_under(mmu_lock);	/* zapped, but some vcpu's root still */
	/* In place of a large page that was executed (mmu_nx.c): on kvm->nx_splits. */
	bool nx_split __kvm_guarded_by(mmu_lock);
	struct list_head nx_link __kvm_guarded_by(mmu_lock);
	int root_count __kvm_guarded_by(mmu_lock);
	u64 *spt __kvm_pt_guarded_by(mmu_lock);
	gfn_t *gfns __kvm_pt_guarded_by(mmu_lock);	/* of each leaf; NULL if direct */
	/* The sptes that point here. */
	struct kvm_rmap_head parents __kvm_guarded_by(mmu_lock);
	/* Present entries that point to lower tables. */
	unsigned int nr_links __kvm_guarded_by(mmu_lock);
	u64 zap_gen __kvm_guarded_by(mmu_lock);
	unsigned int unsync_nr __kvm_written_under(mmu_lock);	/* bits set below */
	/* Entries below which there may be unsync pages. */
	DECLARE_BITMAP(unsync_children, SPTES_PER_PAGE) __kvm_guarded_by(mmu_lock);
};

static inline bool spte_present(u64 spte)
{
	return spte & SPTE_P;
}

static inline bool spte_leaf(u64 spte, int level)
{
	return level == PG_LEVEL_4K || (spte & SPTE_PS);
}

static inline kvm_pfn_t spte_pfn(u64 spte)
{
	return __sme_clr(spte & SPTE_ADDR_MASK) >> PAGE_SHIFT;
}

static inline u64 access_bits(unsigned int access)
{
	u64 bits = 0;

	if (access & ACC_U)
		bits |= SPTE_U;
	if (!(access & ACC_X) && boot_cpu_has(X86_FEATURE_NX))
		bits |= SPTE_NX;
	return bits;
}

/* Can an entry forbid to execute?  EFER.NX is on where the host has NX, in guest mode, too. */
static inline bool spte_has_nx(void)
{
	return (kvm_ops.nested_paging && kvm_ops.nested_exec_mask) ||
	       boot_cpu_has(X86_FEATURE_NX);
}

static inline u64 spte_no_exec(u64 spte)
{
	if (kvm_ops.nested_paging && kvm_ops.nested_exec_mask)
		return spte & ~kvm_ops.nested_exec_mask;
	return spte | SPTE_NX;
}

/* Can a TLB filled from old allow what new does not? */
static inline bool spte_reduced(u64 old, u64 new)
{
	return (old & ~new & (SPTE_P | SPTE_W | SPTE_U)) || (new & ~old & SPTE_NX) ||
	       ((old ^ new) & SPTE_ADDR_MASK);
}

static inline u64 *pfn_to_table(kvm_pfn_t pfn)
{
	return __va((phys_addr_t)pfn << PAGE_SHIFT);
}

static inline struct kvm_mmu_page *table_to_sp(u64 *table)
{
	return (struct kvm_mmu_page *)page_private(virt_to_page(table));
}

static inline struct kvm_mmu_page *sptep_to_sp(const u64 *sptep)
{
	return table_to_sp((u64 *)((unsigned long)sptep & PAGE_MASK));
}

static inline struct kvm_mmu_page *spte_to_child(u64 spte)
{
	return table_to_sp(pfn_to_table(spte_pfn(spte)));
}

static inline unsigned int spte_index(const u64 *sptep)
{
	return offset_in_page(sptep) / sizeof(u64);
}

/* The index of addr (gva or gpa) in a table of level. */
static inline unsigned int addr_index(u64 addr, int level)
{
	return (addr >> (PAGE_SHIFT + (level - 1) * 9)) & (SPTES_PER_PAGE - 1);
}

/*
 * The processor may read an entry at any time: never half of one.  On 32-bit
 * hosts the half with the present bit is written last, or cleared first.
 */
static inline void spte_write(u64 *sptep, u64 val)
	__kvm_must_hold(mmu_lock)
{
#ifdef CONFIG_X86_64
	WRITE_ONCE(*sptep, val);
#else
	u32 *half = (u32 *)sptep;

	WRITE_ONCE(half[0], 0);
	smp_wmb();
	WRITE_ONCE(half[1], val >> 32);
	smp_wmb();
	WRITE_ONCE(half[0], val);
#endif
}

#endif
