// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory: from a slot's frame to the host's, reads and writes by guest
 * physical address.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_guest_mem.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"

#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include <linux/uaccess.h>

/*
 * ---- from guest frame to host frame ----
 */

#define HOST_PRESENT	(_PAGE_PRESENT | _PAGE_USER)

/*
 * A leaf of @level that maps @hva.  A writable entry that is still clean does
 * not count as writable, unless it maps no ordinary page: an access through an
 * spte would not set its dirty bit, and the host would throw the data away.
 * While the entry is dirty it stays so until an invalidation, which takes our
 * spte with it.  All cache bits clear is write-back (SDM 3A "Page Attribute Table").
 */
static bool use_leaf(struct kvm_host_page *m, u64 flags, u64 pfn, unsigned long hva, int level)
{
	unsigned long in_page = (hva >> PAGE_SHIFT) & (KVM_PAGES_PER_LEVEL(level) - 1);
	u64 uncached = _PAGE_PCD | _PAGE_PWT | (level == PG_LEVEL_4K ? _PAGE_PAT : _PAGE_PAT_LARGE);

	if ((flags & HOST_PRESENT) != HOST_PRESENT)
		return false;
	m->pfn = pfn + in_page;
	m->level = level;
	m->cached = !(flags & uncached);
	m->writable = (flags & _PAGE_RW) && (flags & (_PAGE_DIRTY | _PAGE_SPECIAL));
	m->clean = (flags & _PAGE_RW) && !m->writable;
	return true;
}

/*
 * Interrupts are off, which keeps the tables from being freed, as for the
 * kernel's own lockless walk.  What is found counts only if no invalidation
 * has come between: the caller checks notifier_seq, or holds mmu_lock with no
 * invalidation under way.
 */
static bool walk_host_tables(struct mm_struct *mm, unsigned long hva, struct kvm_host_page *m)
{
	pgd_t *pgdp = pgd_offset(mm, hva), pgd = READ_ONCE(*pgdp);
	p4d_t *p4dp, p4d;
	pud_t *pudp, pud;
	pmd_t *pmdp, pmd;
	pte_t pte;

	if (!pgd_present(pgd))
		return false;
	p4dp = p4d_offset_lockless(pgdp, pgd, hva);
	p4d = READ_ONCE(*p4dp);
	if (!p4d_present(p4d))
		return false;
	pudp = pud_offset_lockless(p4dp, p4d, hva);
	pud = READ_ONCE(*pudp);
	if (!pud_present(pud))
		return false;
	if (pud_leaf(pud))
		return use_leaf(m, pud_flags(pud), pud_pfn(pud), hva, PG_LEVEL_1G);
	pmdp = pmd_offset_lockless(pudp, pud, hva);
	pmd = READ_ONCE(*pmdp);
	if (!pmd_present(pmd))
		return false;
	if (pmd_leaf(pmd))
		return use_leaf(m, pmd_flags(pmd), pmd_pfn(pmd), hva, PG_LEVEL_2M);
	pte = READ_ONCE(*pte_offset_kernel(&pmd, hva));
	return use_leaf(m, pte_flags(pte), pte_pfn(pte), hva, PG_LEVEL_4K);
}

static bool host_mapping(struct kvm *kvm, unsigned long hva, struct kvm_host_page *m)
{
	unsigned long flags;
	bool found;

	if (!KVM_HOST_TABLES_MAPPED)
		return false;
	local_irq_save(flags);
	found = walk_host_tables(kvm->mm, hva, m);
	local_irq_restore(flags);
	return found;
}

/** kvm_slot_gfn_to_pfn_atomic - the host frame behind gfn if it is there already.
 * mmu_lock held and no invalidation under way, or notifier_seq is to be checked. Does
 * not sleep. Returns false: the host has it not mapped so (@write: writable) now.
 */
bool kvm_slot_gfn_to_pfn_atomic(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
				bool write, struct kvm_host_page *page)
{
	if (!host_mapping(kvm, kvm_slot_hva(slot, gfn), page))
		return false;
	if (slot->flags & KVM_MEM_READONLY)
		page->writable = false;
	return page->writable || !write;
}

/*
 * The host lets hva be written to, at pfn, only the entry is clean.  Memory that goes to swap at
 * most is made dirty here: as it stays writable there, that is all.  A file's page may be
 * on its way to the disk, and is left to get_user_pages(), which takes the locks for that.
 */
static bool make_dirty(unsigned long hva, kvm_pfn_t pfn)
{
	struct folio *folio;
	struct page *page;
	bool ours;

	if (!get_user_page_fast_only(hva, FOLL_WRITE, &page))
		return false;
	folio = page_folio(page);
	ours = page_to_pfn(page) == pfn && folio_test_swapbacked(folio);
	if (ours)
		folio_mark_dirty(folio);
	put_page(page);
	return ours;
}

/* Mappings without struct pages (PFNMAP): the device's own fault handler. */
static int fault_in_pfnmap(struct kvm *kvm, unsigned long hva, bool write)
{
	struct vm_area_struct *vma;
	bool unlocked = false;
	int r = -EFAULT;

	mmap_read_lock(kvm->mm);
	vma = vma_lookup(kvm->mm, hva);
	if (vma && (vma->vm_flags & (VM_IO | VM_PFNMAP)))
		r = fixup_user_fault(kvm->mm, hva, write ? FAULT_FLAG_WRITE : 0, &unlocked);
	mmap_read_unlock(kvm->mm);
	return r;
}

static kvm_pfn_t fault_in_error(long r)
{
	switch (r) {
	case -EHWPOISON:
		return KVM_PFN_ERR_HWPOISON;
	case -EINTR:
	case -EAGAIN:
	case -ERESTARTSYS:
		return KVM_PFN_ERR_INTR;
	default:
		return KVM_PFN_ERR_FAULT;
	}
}

/*
 * Have the host map hva, as an access from the VMM would.  This also marks the
 * page dirty for a write, whatever its table entry says afterwards.
 */
static kvm_pfn_t fault_in(struct kvm *kvm, unsigned long hva, bool write, bool nowait)
{
	unsigned int flags = FOLL_HWPOISON | (nowait ? FOLL_NOWAIT : FOLL_INTERRUPTIBLE) |
			     (write ? FOLL_WRITE : 0);
	struct page *page;
	kvm_pfn_t pfn;
	long r;

	r = get_user_pages_unlocked(hva, 1, &page, flags);
	if (r == 1) {
		pfn = page_to_pfn(page);
		put_page(page);
		return pfn;
	}
	if (nowait && (!r || r == -EAGAIN || r == -EBUSY))
		return KVM_PFN_ERR_WAIT;
	if (r != -EFAULT)
		return fault_in_error(r);
	/* No page there: the caller finds the frame in the host's tables. */
	return fault_in_pfnmap(kvm, hva, write) ? KVM_PFN_ERR_FAULT : 0;
}

/** kvm_slot_gfn_to_pfn - the host frame behind gfn, faulted in. Its own mm is current,
 * srcu held; sleeps. The page is NOT referenced on return: check notifier_seq, read
 * before the call, under mmu_lock before an spte is installed. A read never breaks
 * copy-on-write: a page merged or not yet written comes read-only. @nowait:
 * KVM_PFN_ERR_WAIT rather than wait for disk or for userspace. Returns the frame, or
 * KVM_PFN_ERR_*.
 */
kvm_pfn_t kvm_slot_gfn_to_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
			      bool write, bool nowait, struct kvm_host_page *page)
{
	unsigned long hva = kvm_slot_hva(slot, gfn);
	kvm_pfn_t faulted;

	if (write && (slot->flags & KVM_MEM_READONLY))
		return KVM_PFN_ERR_RO;
	page->clean = false;
	page->present = kvm_slot_gfn_to_pfn_atomic(kvm, slot, gfn, write, page);
	if (page->present)
		return page->pfn;
	if (write && page->clean && make_dirty(hva, page->pfn)) {
		page->writable = true;
		return page->pfn;
	}
	faulted = fault_in(kvm, hva, write, nowait);
	if (is_error_pfn(faulted))
		return faulted;
	if (kvm_slot_gfn_to_pfn_atomic(kvm, slot, gfn, write, page))
		return page->pfn;
	/*
	 * Clean in the tables though just faulted in for writing (the page
	 * itself is dirty), or not readable in place; or gone again, which
	 * notifier_seq shows.  A frame without a page has no other source.
	 */
	if (!faulted)
		return KVM_PFN_ERR_INTR;
	*page = (struct kvm_host_page) {
		.pfn = faulted, .writable = write, .cached = true, .level = PG_LEVEL_4K,
	};
	return faulted;
}

/*
 * ---- reads and writes ----
 */

/* The user address of gpa, NULL if there is no memory, or it is read-only. */
static void __user *gpa_to_user(struct kvm_vcpu *vcpu, gpa_t gpa, bool write,
				struct kvm_memory_slot **slotp, gfn_t *gfnp)
{
	gfn_t gfn = kvm_unalias_gfn(vcpu->kvm, gpa_to_gfn(gpa));
	struct kvm_memory_slot *slot = kvm_vcpu_gfn_to_slot(vcpu, gfn);

	if (!slot || (write && (slot->flags & KVM_MEM_READONLY)))
		return NULL;
	/* The access may fault, and the host then do anything. */
	vcpu->l1d_flush = true;
	*slotp = slot;
	*gfnp = gfn;
	return (void __user *)(kvm_slot_hva(slot, gfn) + offset_in_page(gpa));
}

/** kvm_gpa_to_user - where guest memory is in the VMM's address space, for reading,
 * until the page's end; NULL: no memory. srcu held.
 */
const void __user *kvm_gpa_to_user(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct kvm_memory_slot *slot;
	gfn_t gfn;

	return gpa_to_user(vcpu, gpa, false, &slot, &gfn);
}

static unsigned long in_this_page(gpa_t gpa, unsigned long len)
{
	return min_t(unsigned long, len, PAGE_SIZE - offset_in_page(gpa));
}

/** kvm_read_guest - read guest memory, which may cross pages. In its VMM's context,
 * srcu held; sleeps. Returns 0; -EFAULT: there is no memory, or userspace took it
 * away; the first part may have been read.
 */
int kvm_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len)
{
	while (len) {
		unsigned long n = in_this_page(gpa, len);
		const void __user *user = kvm_gpa_to_user(vcpu, gpa);

		if (!user || copy_from_user(data, user, n))
			return -EFAULT;
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

/** kvm_read_guest_atomic - the same without sleeping, within one page; mmu_lock or srcu
 * held. -EFAULT, too, where the page would have to be faulted in.
 */
int kvm_read_guest_atomic(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len)
{
	const void __user *user = kvm_gpa_to_user(vcpu, gpa);
	unsigned long left;

	if (!user)
		return -EFAULT;
	pagefault_disable();
	left = __copy_from_user_inatomic(data, user, len);
	pagefault_enable();
	return left ? -EFAULT : 0;
}

/** kvm_read_gpte - read one aligned guest page-table entry of 4 or 8 bytes. In its
 * VMM's context, srcu held. Sleeps, or, between pagefault_disable() and _enable(),
 * fails instead. Returns 0 or -EFAULT.
 */
int kvm_read_gpte(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 *gpte)
{
	const void __user *user = kvm_gpa_to_user(vcpu, gpa);
	u32 gpte32;

	if (!user)
		return -EFAULT;
	if (size == sizeof(u64))
		return get_user(*gpte, (u64 __user *)user);
	if (get_user(gpte32, (u32 __user *)user))
		return -EFAULT;
	*gpte = gpte32;
	return 0;
}

/** kvm_write_guest - write guest memory; logs write what was written, shadows follow.
 * As kvm_read_guest(); takes mmu_lock. -EFAULT, too, for read-only memory.
 */
int kvm_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned long len)
{
	struct kvm_memory_slot *slot;
	gfn_t gfn;

	while (len) {
		unsigned long n = in_this_page(gpa, len);
		void __user *user = gpa_to_user(vcpu, gpa, true, &slot, &gfn);

		if (!user || copy_to_user(user, data, n))
			return -EFAULT;
		kvm_mark_page_dirty(vcpu, slot, gfn);
		kvm_mmu_track_write(vcpu, gfn_to_gpa(gfn) + offset_in_page(gpa), n);
		gpa += n;
		data += n;
		len -= n;
	}
	return 0;
}

#define DEFINE_CMPXCHG_USER(type)						\
static int cmpxchg_user_##type(void __user *user, void *old, const void *new)	\
{										\
	bool done;								\
										\
	if (!user_access_begin(user, sizeof(type)))				\
		return -EFAULT;							\
	done = unsafe_try_cmpxchg_user((type __user *)user, (type *)old,	\
				       *(const type *)new, fault);		\
	user_access_end();							\
	return !done;								\
fault:										\
	user_access_end();							\
	return -EFAULT;								\
}
DEFINE_CMPXCHG_USER(u8)
DEFINE_CMPXCHG_USER(u16)
DEFINE_CMPXCHG_USER(u32)
DEFINE_CMPXCHG_USER(u64)

#ifdef CONFIG_X86_64
/* The kernel has no CMPXCHG16B on user addresses: on its own view of the page. */
static int cmpxchg_user_16(void __user *user, u64 *old, const u64 *new)
{
	unsigned long hva = (unsigned long)user;
	struct page *page;
	void *map;
	bool done;

	if (get_user_pages_unlocked(hva & PAGE_MASK, 1, &page, FOLL_WRITE) != 1)
		return -EFAULT;
	map = kmap_local_page(page);
	asm volatile("lock cmpxchg16b %[mem]"
		     : "=@ccz"(done), [mem] "+m"(*(u64 (*)[2])(map + offset_in_page(hva))),
		       "+a"(old[0]), "+d"(old[1])
		     : "b"(new[0]), "c"(new[1]) : "memory");
	kunmap_local(map);
	if (done)
		set_page_dirty_lock(page);
	put_page(page);
	return !done;
}

static bool have_cmpxchg16b(void)
{
	return boot_cpu_has(X86_FEATURE_CX16);
}
#else
static int cmpxchg_user_16(void __user *user, u64 *old, const u64 *new)
{
	return -EFAULT;
}

static bool have_cmpxchg16b(void)
{
	return false;
}
#endif

static int cmpxchg_user(void __user *user, void *old, const void *new, unsigned int bytes)
{
	switch (bytes) {
	case 1:
		return cmpxchg_user_u8(user, old, new);
	case 2:
		return cmpxchg_user_u16(user, old, new);
	case 4:
		return cmpxchg_user_u32(user, old, new);
	case 8:
		return cmpxchg_user_u64(user, old, new);
	case 16:
		return have_cmpxchg16b() ? cmpxchg_user_16(user, old, new) : -EFAULT;
	default:
		return -EFAULT;
	}
}

static int cmpxchg_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *old, const void *new,
			 unsigned int bytes, gpa_t *written)
{
	struct kvm_memory_slot *slot;
	void __user *user;
	gfn_t gfn;
	int r;

	if ((gpa & (L1_CACHE_BYTES - 1)) + bytes > L1_CACHE_BYTES || (bytes == 16 && (gpa & 15)))
		return -EFAULT;
	user = gpa_to_user(vcpu, gpa, true, &slot, &gfn);
	if (!user)
		return -EFAULT;
	r = cmpxchg_user(user, old, new, bytes);
	if (!r)
		kvm_mark_page_dirty(vcpu, slot, gfn);
	*written = gfn_to_gpa(gfn) + offset_in_page(gpa);
	return r;
}

/** kvm_cmpxchg_guest - compare and exchange 1, 2, 4, 8 or 16 bytes, atomic on the
 * guest's memory. In its VMM's context, srcu held; sleeps, takes mmu_lock. Must not
 * straddle a cache line: the host may forbid split locks. Returns 0: done; 1: it was
 * another, now in @old; -EFAULT: it cannot be done so.
 */
int kvm_cmpxchg_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *old, const void *new,
		      unsigned int bytes)
{
	gpa_t written;
	int r = cmpxchg_guest(vcpu, gpa, old, new, bytes, &written);

	if (!r)
		kvm_mmu_track_write(vcpu, written, bytes);
	return r;
}

/** kvm_cmpxchg_gpte - set accessed and dirty bits of an aligned guest page-table entry
 * of 4 or 8 bytes. No shadow has to follow, as none is made of an entry that lacks
 * them. In its VMM's context, srcu held; sleeps. Returns 0: done; 1: the entry is
 * another now; -EFAULT.
 */
int kvm_cmpxchg_gpte(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 old, u64 new)
{
	gpa_t written;

	return cmpxchg_guest(vcpu, gpa, &old, &new, size, &written);
}

/** kvm_gpa_is_ram - would an access be memory, not MMIO? @write: read-only memory does
 * not count. srcu held.
 */
bool kvm_gpa_is_ram(struct kvm_vcpu *vcpu, gpa_t gpa, bool write)
{
	struct kvm_memory_slot *slot;
	gfn_t gfn;

	return gpa_to_user(vcpu, gpa, write, &slot, &gfn);
}
