/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * struct kvm, struct kvm_vcpu and their accessors.
 *
 * gva/gpa/gfn: guest virtual, guest physical, guest frame.  hva/hpa/pfn: host
 * virtual, host physical, host frame.  gpte: a guest's page-table entry;
 * spte: ours.
 *
 * Unless a function's comment says otherwise, @vcpu is loaded on this CPU by its own
 * thread, and @kvm is referenced.  What exit handlers return is in kvm_arch_ops.h.
 */
#ifndef KVM_HOST_H
#define KVM_HOST_H

#include <linux/kvm.h>
#include <linux/types.h>
#include <linux/bits.h>
#include <linux/bitops.h>
#include <linux/errno.h>
#include <linux/fs.h>
#include <linux/interval_tree.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/refcount.h>
#include <linux/rcupdate.h>
#include <linux/rcuwait.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/wait.h>
#include <linux/xarray.h>
#include <asm/desc_defs.h>
#include <asm/fpu/api.h>
#include <asm/fpu/types.h>
#include <asm/msr-index.h>
#include <asm/pgtable_types.h>
#include <asm/processor-flags.h>
#include <asm/trapnr.h>
#include KVM_CPUID_HEADER

#include "kvm_arch_ops.h"
#include "kvm_iodev.h"
#include "kvm_lock.h"

typedef u64 gva_t;
typedef u64 gpa_t;
typedef u64 gfn_t;
typedef unsigned long hva_t;
typedef u64 hpa_t;
typedef u64 kvm_pfn_t;

#define INVALID_PAGE	(~(hpa_t)0)
#define INVALID_GPA	(~(gpa_t)0)

#define KVM_MAX_VCPUS		1024
#define KVM_MAX_VCPU_ID		1024
#define KVM_MEM_SLOTS		1024
#define KVM_MIN_MMU_PAGES	64	/* the least that KVM_SET_NR_MMU_PAGES takes */
#define KVM_NR_ALIASES		4
#define KVM_MAX_CPUID_ENTRIES	256
#define KVM_NR_MCE_BANKS	32
#define KVM_NR_MCI_REGS		4
#define KVM_NR_VAR_MTRR		8
#define KVM_MAX_MSR_ENTRIES	256
#define KVM_DIRTY_LOG_CAPS	(KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET)
/* What departs from the manuals for old VMMs' sake, and can be switched off. */
#define KVM_QUIRKS		(KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS | \
				 KVM_X86_QUIRK_LAPIC_MMIO_HOLE | \
				 KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT | \
				 KVM_X86_QUIRK_FIX_HYPERCALL_INSN)

/* KVM_SET_GUEST_DEBUG's control */
#define KVM_GUESTDBG_INJECT	(KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP)
#define KVM_GUESTDBG_FLAGS	(KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | \
				 KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP | KVM_GUESTDBG_INJECT)

/* The vcpu mapping: kvm_run, the data of KVM_EXIT_IO, the ring of coalesced writes. */
#define KVM_VCPU_MMAP_PAGES	3
#define KVM_PIO_PAGE_OFFSET	1

/* pfn_t values that name no page: what kvm_gfn_to_pfn() says instead. */
#define KVM_PFN_ERR_MASK	(0x7ffULL << 52)
#define KVM_PFN_ERR_FAULT	(KVM_PFN_ERR_MASK)	/* hva not accessible */
#define KVM_PFN_ERR_RO		(KVM_PFN_ERR_MASK + 2)	/* write to a read-only slot or hva */
#define KVM_PFN_ERR_INTR	(KVM_PFN_ERR_MASK + 3)	/* a signal came first */
#define KVM_PFN_ERR_HWPOISON	(KVM_PFN_ERR_MASK + 4)
#define KVM_PFN_ERR_WAIT	(KVM_PFN_ERR_MASK + 5)	/* not without waiting, which was not wanted */

static inline bool is_error_pfn(kvm_pfn_t pfn)
{
	return pfn & KVM_PFN_ERR_MASK;
}

static inline gfn_t gpa_to_gfn(gpa_t gpa) { return gpa >> PAGE_SHIFT; }
static inline gpa_t gfn_to_gpa(gfn_t gfn) { return gfn << PAGE_SHIFT; }

/* Registers of vcpu->regs[], in the hardware's numbering, then the others of regs_avail. */
enum kvm_reg {
	VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX,
	VCPU_REGS_RSP, VCPU_REGS_RBP, VCPU_REGS_RSI, VCPU_REGS_RDI,
	VCPU_REGS_R8, VCPU_REGS_R9, VCPU_REGS_R10, VCPU_REGS_R11,
	VCPU_REGS_R12, VCPU_REGS_R13, VCPU_REGS_R14, VCPU_REGS_R15,
	VCPU_REGS_RIP,
	NR_VCPU_REGS,
	VCPU_EXREG_CR0 = NR_VCPU_REGS,	/* guest-owned bits of CR0 */
	VCPU_EXREG_CR3,
	VCPU_EXREG_CR4,
	VCPU_EXREG_RFLAGS,
	VCPU_EXREG_PDPTR,
};

/* Segment numbers: the hardware's, then TR and LDTR; descriptor tables. */
enum {
	VCPU_SREG_ES, VCPU_SREG_CS, VCPU_SREG_SS, VCPU_SREG_DS,
	VCPU_SREG_FS, VCPU_SREG_GS, VCPU_SREG_TR, VCPU_SREG_LDTR,
	VCPU_SREG_GDTR, VCPU_SREG_IDTR,
};

/* Page levels as in PG_LEVEL_*: 1 = 4k, 2 = 2M (4M), 3 = 1G, 4 = root, 5. */
#define KVM_MAX_LEAF_LEVEL	PG_LEVEL_1G
#define KVM_NR_PAGE_SIZES	3
#define KVM_PAGES_PER_LEVEL(level)	(1UL << (((level) - 1) * 9))

/* Page-fault error code (SDM 3A "Page-Fault Error Code"), and NPF's two. */
#define PFERR_PRESENT_MASK	BIT_ULL(0)
#define PFERR_WRITE_MASK	BIT_ULL(1)
#define PFERR_USER_MASK		BIT_ULL(2)
#define PFERR_RSVD_MASK		BIT_ULL(3)
#define PFERR_FETCH_MASK	BIT_ULL(4)
#define PFERR_PK_MASK		BIT_ULL(5)
#define PFERR_GUEST_FINAL_MASK	BIT_ULL(32)	/* the access was to the final gpa */
#define PFERR_GUEST_PAGE_MASK	BIT_ULL(33)	/* ... to a guest page table */
/* Ours, never the hardware's: the walk is for an implicit supervisor access. */
#define PFERR_IMPLICIT_ACCESS	BIT_ULL(48)

/* vcpu->requests: pending work before entry; one load to test. */
enum {
	KVM_REQ_TLB_FLUSH,	/* this vcpu's translations, all */
	KVM_REQ_MMU_RELOAD,	/* the root is gone */
	KVM_REQ_MMU_SYNC,	/* bring unsync shadow pages up to date */
	KVM_REQ_READ_PASS,	/* go on in a new read section (request.c) */
	KVM_REQ_EVENT,		/* look at injection again */
	KVM_REQ_TRIPLE_FAULT,
	KVM_REQ_VM_DEAD,	/* never cleared: no entry any more */
	KVM_REQ_OUTSIDE_GUEST,	/* just leave guest mode */
	KVM_REQ_EXIT_AT_ONCE,	/* an entry for what it injects alone (vcpu.c: deliver_exception()) */
	KVM_REQ_CLOCK_UPDATE,
	KVM_REQ_INTERCEPTS,	/* MSR filters, quirks, PAT's use changed: ops->update_intercepts */
	KVM_REQ_NMI,		/* vcpu->nmi_queued, from other threads */
	KVM_REQ_SCAN_IOAPIC,	/* who must hear of which EOI */
	KVM_REQ_IOAPIC_EOI_EXIT,	/* KVM_EXIT_IOAPIC_EOI of vcpu->eoi_vector */
	KVM_REQ_MIGRATE_TIMER,	/* the APIC's, after the vcpu itself */
	KVM_REQ_TPR_ACCESS,	/* KVM_EXIT_TPR_ACCESS */
	KVM_REQ_STEAL_UPDATE,	/* steal time, after a load */
	KVM_REQ_TSC_MOVED,	/* the host's TSC began again, or is behind on this CPU */
	KVM_REQ_APF_READY,	/* a page that the guest was told to wait for */
	KVM_REQ_DIRTY_RING,	/* it is full, or was (dirty_ring.c) */
	KVM_REQ_NR
};

static_assert(KVM_REQ_NR <= 32);

/* vcpu->mode, for kicks: see Documentation/locking.rst. */
enum {
	OUTSIDE_GUEST_MODE,
	IN_GUEST_MODE,
	READING_PAGE_TABLES,	/* without mmu_lock, interrupts off (mmu_nested.c) */
	EXITING_GUEST_MODE,
};

/* The statistics, one list for the structure, debugfs and KVM_GET_STATS_FD. */
#define KVM_VCPU_STATS(X)		\
	X(pf_fixed) X(pf_guest) X(tlb_flush) X(invlpg)		\
	X(exits) X(io_exits) X(mmio_exits) X(signal_exits)	\
	X(irq_exits) X(irq_window_exits) X(nmi_window_exits)	\
	X(nmi_exits) X(halt_exits) X(request_irq_exits)		\
	X(cpuid_exits) X(msr_exits) X(cr_exits) X(dr_exits)	\
	X(hypercalls) X(insn_emulation) X(insn_emulation_fail)	\
	X(fpu_reload) X(host_state_reload) X(irq_injections) X(nmi_injections) \
	X(halt_successful_poll) X(halt_attempted_poll) X(halt_wakeup)	\
	X(pause_exits) X(directed_yield_attempted) X(directed_yield_successful) \
	X(l1d_flush) X(bus_lock_exits) X(notify_window_exits) \
	X(mmio_signals) X(cache_flushes)
#define KVM_VM_COUNTERS(X)		\
	X(mmu_shadow_zapped) X(mmu_pte_write) X(mmu_cache_miss)	\
	X(mmu_recycled) X(mmu_unsync) X(mmu_flooded)		\
	X(remote_tlb_flush)
/* What there is now: these go down, too. */
#define KVM_VM_GAUGES(X)		\
	X(largepages) X(nx_lpage_splits)
#define KVM_VM_STATS(X)	KVM_VM_COUNTERS(X) KVM_VM_GAUGES(X)

#define KVM_STAT_FIELD(name)	u64 name;
struct kvm_vcpu_stat { KVM_VCPU_STATS(KVM_STAT_FIELD) };
struct kvm_vm_stat { KVM_VM_STATS(KVM_STAT_FIELD) };

/* ---- memory slots (memslot.c) ---- */
struct kvm_rmap_head {
	/* 0, one spte pointer, or a list | 1: see mmu_rmap.c */
	unsigned long val __kvm_guarded_by(mmu_lock);
};

struct kvm_memory_slot {
	gfn_t base_gfn;
	unsigned long npages;
	u16 id;
	u32 flags;			/* KVM_MEM_* */
	hva_t userspace_addr;
	struct interval_tree_node hva_node;	/* in kvm->hva_tree: the same, to its last byte */
	struct file *memory;		/* KVM_SET_MEMORY_REGION's; NULL: userspace's memory */
	unsigned long *dirty_bitmap;	/* under KVM_MEM_LOG_DIRTY_PAGES, set_bit_le */
	/* In which 64 words of it there may be a bit; behind it, in the same allocation. */
	unsigned long *dirty_units;
	/* Shared by successive versions of one slot; under mmu_lock. */
	struct kvm_slot_arch {
		/* [level - 1][gfn index at that level]: the leaf sptes of a frame. */
		struct kvm_rmap_head *rmap[KVM_NR_PAGE_SIZES];
		/* [level - 2]: how many reasons forbid a large page there. */
		u32 *disallow_lpage[KVM_NR_PAGE_SIZES - 1];
	} arch __kvm_guarded_by(mmu_lock);
};

/* Published to read sections (request.c), replaced whole, sorted by base_gfn. */
struct kvm_memslots {
	struct kvm_memslots *next;	/* of kvm->old_slots */
	u64 generation;			/* never 0 */
	unsigned long npages;		/* of all slots */
	int nr;
	/* API 12's aliases: gpa windows onto others, published with the slots */
	bool has_aliases;
	struct kvm_alias { gfn_t base_gfn; u64 npages; gfn_t target_gfn; } alias[KVM_NR_ALIASES];
	struct kvm_memory_slot *slot[];
};

/* ---- events ---- */
struct kvm_queued_exception {
	bool pending;		/* raised, not yet in the hardware */
	bool injected;		/* in the hardware, or its delivery was interrupted by an exit */
	u8 vector;
	bool has_error_code;
	bool has_payload;
	u8 insn_len;		/* injected again: as soft.insn_len, of INT3, INTO or INT1; 0: none */
	u32 error_code;
	unsigned long payload;	/* #PF: CR2; #DB: DR6 bits */
};

struct kvm_events {
	struct kvm_queued_exception exception;
	struct {
		bool pending;	/* KVM_INTERRUPT's vector, for when IF is set */
		bool injected;	/* in the hardware, or its delivery was interrupted by an exit */
		bool reinjected;	/* was injected before, and interrupted then */
		u8 nr;
	} irq;
	struct {		/* of INT n, whose delivery an exit interrupted; RIP is at it */
		bool injected;
		u8 nr;
		u8 insn_len;	/* or KVM_INSN_LEN_UNKNOWN */
	} soft;
	unsigned int nmi_pending;	/* 0..2: one to inject, one more latched behind it */
	bool nmi_injected;
};

/* An exception found by a walk or an access; mirrors the emulator's. */
struct kvm_exception {
	u8 vector;
	bool error_code_valid;
	u32 error_code;
	u64 address;		/* #PF: the gva */
};

/* A page fault, as a vendor decoded it, and what the MMU says of it (enum kvm_pf). */
struct kvm_fault {
	gpa_t addr;		/* gpa under nested paging, gva under shadow paging */
	u64 error_code;		/* PFERR_* */
	const u8 *insn;		/* decode assist: the instruction's bytes, or NULL */
	int insn_len;
	bool nowait;		/* PF_WAIT rather than wait for the host's page */
	gfn_t gfn;		/* out: of addr, not an alias */
	hva_t hva;		/* out: where the VMM has it */
	struct kvm_exception ex;	/* out */
};

/* A port access, as the vendors decode it. */
struct kvm_pio {
	bool in;
	bool string;
	u8 size;		/* bytes: 1, 2, 4 */
	u16 port;
};

struct msr_data {
	bool host_initiated;	/* KVM_SET_MSRS, not WRMSR */
	u32 index;
	u64 data;
};

/* ---- MMU state of a vcpu (mmu.c) ---- */
#define KVM_MMU_ROOTS		4	/* PAE shadow roots */

/* Preallocated objects, so that nothing is allocated under mmu_lock. */
struct kvm_mmu_memory_cache {
	int nobjs;
	struct kmem_cache *kmem;	/* NULL: whole zeroed pages */
	void *objects[40];
};

struct kvm_mmu {
	hpa_t root_hpa;			/* INVALID_PAGE: load before entry */
	gpa_t root_pgd;			/* guest CR3 that root_hpa stands for */
	u8 root_level;			/* guest's: 0 unpaged, 2, 3, 4, 5 */
	u8 shadow_root_level;
	bool direct;			/* nested, or guest paging off */
	bool nx, wp, smep, smap, pse, pae, long_mode;
	u64 guest_rsvd_mask[2][5];	/* [PS bit][level - 1] */
	u32 role_word;			/* union mmu_role, what all its pages have in common */
	u64 pdptrs[4];
	/* Three-level shadows: the table that CR3 points to, below 4 GiB. */
	u64 *pae_root;
	/* Shadow pages: pae_root's, or only the first. Others read them under mmu_lock. */
	hpa_t roots[KVM_MMU_ROOTS];
	struct kvm_mmu_old_root *old_roots;	/* of spaces that it comes from: mmu_roots.c */
	unsigned int nr_old_roots;
	u32 root_clock;
	struct kvm_mmu_memory_cache page_cache;		/* spt pages */
	struct kvm_mmu_memory_cache header_cache;	/* struct kvm_mmu_page */
	struct kvm_mmu_memory_cache desc_cache;		/* rmap list nodes */
	/* The last page of MMIO in the guest's address space, to skip the walk. */
	gva_t mmio_gva;
	gfn_t mmio_gfn;
	u64 mmio_generation;		/* of the slots; 0: none */
	u8 mmio_access;			/* ACC_* */
};

/* ---- what a vcpu wrote: dirty_ring.c ---- */
struct kvm_dirty_ring {
	struct kvm_dirty_gfn *entry;	/* shared with userspace; NULL: the VM has no rings */
	u32 soft_limit;			/* so many entries are full */
	/* Of the next entry to fill, and to reset; they wrap around later than the ring. */
	u32 dirty_index;
	u32 reset_index __kvm_written_under(slots_lock);
	/* The newest entry, as it was filled in. */
	u16 last_slot;
	unsigned long last_offset;
	u64 last_generation;		/* of the slots */
};

/* ---- a vcpu ---- */
struct x86_emulate_ctxt;
struct kvm_emulate;
struct kvm_lapic;
struct kvm_lapic_map;
struct kvm_apf;
struct kvm_cpuid_key;
struct msr_row;

struct kvm_vcpu {
	/* Hot: entry and exit. */
	unsigned long regs[NR_VCPU_REGS];
	struct {			/* MSR_IA32_SPEC_CTRL; kvm_entry.h has offsets of both */
		u64 guest, host;
		bool passthrough;	/* the guest has used it, so it does not exit */
	} spec_ctrl;
	unsigned long regs_avail;	/* bit: enum kvm_reg is current here */
	unsigned long regs_dirty;	/* bit: differs from the hardware's copy */
	unsigned long requests;		/* KVM_REQ_*; set by anyone, atomic */
	int mode;			/* OUTSIDE_GUEST_MODE ... */
	int cpu;			/* loaded on, -1: none */
	unsigned long quiescent_jiffies;	/* when RCU was last told of a quiescent state */
	bool l1d_flush;			/* the cache may have what is not the guest's (vmx/l1tf.c) */
	struct kvm *kvm;
	struct kvm_run *run;		/* shared with userspace: read once */
	struct kvm_vcpu_stat stat;

	/* Control registers as the guest sees them. */
	unsigned long cr0, cr2, cr3, cr4;
	unsigned long cr8;
	unsigned long cr4_guest_rsvd;	/* by the guest's CPUID */
	u64 efer;
	u64 apic_base;
	u64 xcr0;
	u64 guest_supported_xcr0;
	u64 host_xcr0;			/* to put back after an exit */
	u64 xss;
	u32 pkru, host_pkru;		/* the guest's while the host has its own, and that */

	/* Debug registers. */
	unsigned long db[4], dr6, dr7;
	unsigned long eff_db[4];	/* what the hardware gets */
	unsigned long guest_debug_dr7;
	u32 guest_debug;		/* KVM_GUESTDBG_* */
	bool dr_in_guest;		/* the guest owns DR0-3 until the exit */
	bool guest_tf;			/* the guest's own, while KVM_GUESTDBG_SINGLESTEP */

	struct kvm_events events;
	struct kvm_lapic *lapic;	/* NULL: it is userspace's */
	u32 mp_state;			/* KVM_MP_STATE_* */
	atomic_t nmi_queued;
	u8 eoi_vector;
	bool pv_unhalted;		/* KVM_HC_KICK_CPU: the next HLT, or this, is over */
	struct rcuwait wait;		/* blocked in HLT, or before SIPI */
	unsigned int halt_poll_ns;	/* grows while polling pays */
	bool preempted;			/* put, but would run */
	bool spinning;			/* yields, as the guest spins on what another vcpu holds */
	int last_cpu;			/* loaded on before */
	bool launched;			/* has run once */
	bool bus_lock;			/* to tell in kvm_run->flags: KVM_RUN_X86_BUS_LOCK */
	u64 hflags;

	struct kvm_mmu mmu;
	/* The last write to a shadowed page table that the guest was left to do (handlers.c). */
	struct {
		gfn_t gfn;
		unsigned long rip;
		u64 exits;		/* if it comes back before so many exits: no progress */
	} unprotected;
	int last_slot;			/* index of the last slot found, a hint */
	u64 reading;			/* the epoch that its read section is of; 0: in none */

	struct fpu_guest guest_fpu;
	u64 run_apic_base;		/* what kvm_run last said: a change is userspace's */
	u64 run_cr8;			/* likewise */
	bool cr8_intercepted;		/* ops->update_cr8_intercept is on */

	/* I/O on its way to or from userspace (io.c). */
	struct {
		struct kvm_pio req;
		unsigned int count;
		void *data;		/* the page after kvm_run */
	} pio;
	struct {
		int nr, cur;		/* fragments, the one at userspace */
		bool is_write;
		/* FXSAVE, the longest store, has 52 */
		struct kvm_mmio_fragment { gpa_t gpa; unsigned int len; u8 data[8]; } frag[56];
	} mmio;
	int (*complete_userspace_io)(struct kvm_vcpu *vcpu);
	unsigned long complete_rip;	/* where it began: void if userspace moved RIP */

	struct kvm_emulate *emul;	/* emulate.c's context, allocated once */

	/* CPUID and what follows from it (cpuid.c). */
	struct kvm_cpuid_entry2 *cpuid;	/* as userspace gave them */
	struct kvm_cpuid_key *cpuid_keys;	/* sorted; same allocation */
	u16 cpuid_nent, cpuid_nkeys;
	u16 cpuid_hint;			/* the key found last */
	u8 maxphyaddr;
	u64 rsvd_gpa_bits;
	u64 guest_caps;			/* KVM_GUEST_HAS_*: CPUID bits asked often */

	/* MSRs that are only memory (msr.c). */
	struct {
		u64 pat, mtrr_def_type;
		u64 mtrr_fixed[11];
		struct { u64 base, mask; } mtrr_var[KVM_NR_VAR_MTRR];
		u64 misc_enable, platform_info, tsc_adjust, arch_capabilities;
		u64 ucode_rev, smbase, feature_control;
		u64 mcg_cap, mcg_status, mcg_ctl;
		u64 mce_banks[KVM_NR_MCE_BANKS][KVM_NR_MCI_REGS];	/* CTL, STATUS, ADDR, MISC */
		u64 wall_clock, system_time, steal_time, poll_control;
		u64 k7_hwcr, osvw_length, osvw_status, tsc_aux, virt_spec_ctrl;
		u64 misc_features, power_ctl, debugctl, tsx_ctrl, umwait_control;
	} msr;
	const struct msr_row *msr_row;	/* used last, a hint */
	u64 unique_id;			/* never used again by another vcpu */
	bool tsc_aux_loaded;		/* the CPU has msr.tsc_aux, not the host's */

	/* Paravirtual features (pv.c). */
	struct {
		u32 features;			/* of the guest's CPUID */
		bool enforce;			/* KVM_CAP_ENFORCE_PV_FEATURE_CPUID */
		bool eoi_offered;		/* the guest's flag may stand for an EOI */
		bool guest_stopped;		/* KVM_KVMCLOCK_CTRL, to be told */
		u64 eoi, migration_control;	/* MSRs */
		u64 apf_en, apf_int;		/* MSR_KVM_ASYNC_PF_EN, MSR_KVM_ASYNC_PF_INT */
		u64 vapic_addr;			/* KVM_SET_VAPIC_ADDR; 0: none */
		unsigned long clock_jiffies;	/* of the last update */
		u64 last_run_delay;		/* accounted as stolen so far */
	} pv;
	struct kvm_apf *apf;		/* async_pf.c; NULL: never switched on */
	struct kvm_dirty_ring dirty_ring;

	/* Time. */
	u64 tsc_offset;			/* to a host TSC that never begins again (clock.c) */
	u64 hw_tsc_offset;		/* to the host's as it is: what the hardware adds */
	u64 put_tsc;			/* when it was put */
	unsigned int resumes;		/* of the host, that it has seen */
	u32 virtual_tsc_khz;

	sigset_t sigset;
	bool sigset_active;
	struct mutex mutex;		/* one ioctl at a time */
	struct pid __rcu *pid __kvm_guarded_by(vcpu_mutex);	/* the thread that runs it */
	struct preempt_notifier preempt_notifier;
	int vcpu_id;
	int vcpu_idx;
};

/* vcpu->guest_caps */
#define KVM_GUEST_HAS_LM	BIT_ULL(0)
#define KVM_GUEST_HAS_NX	BIT_ULL(1)
#define KVM_GUEST_HAS_GBPAGES	BIT_ULL(2)
#define KVM_GUEST_HAS_PSE36	BIT_ULL(3)
#define KVM_GUEST_HAS_XSAVE	BIT_ULL(4)
#define KVM_GUEST_HAS_RDTSCP	BIT_ULL(5)
#define KVM_GUEST_HAS_RTM	BIT_ULL(6)
#define KVM_GUEST_HAS_XSAVES	BIT_ULL(8)
#define KVM_GUEST_IS_AMD	BIT_ULL(7)	/* AMD's or Hygon's vendor string */

/* vcpu->hflags */
#define HF_NMI_MASK		BIT_ULL(0)	/* until IRET */
#define HF_IRET_PENDING		BIT_ULL(1)	/* IRET intercepted, not yet executed */

/* ---- a VM ---- */
#define KVM_MMU_HASH_BITS	12

struct kvm_io_bus;
struct kvm_irq_routes;
struct kvm_pic;
struct kvm_ioapic;
struct kvm_pit;

struct kvm {
	/* Shadow pages, rmaps, slot->arch, notifier counts; nested faults share it. */
	rwlock_t mmu_lock;
	struct mutex slots_lock;	/* memslot updates, dirty logs */
	struct mutex lock;		/* vcpu creation, VM-wide settings */
	/* Readers of memslots: others than vcpus' threads, and these (request.c). */
	struct srcu_struct srcu;
	atomic64_t read_epoch;		/* from 1 on */
	wait_queue_head_t readers_wait;
	struct kvm_memslots __rcu *memslots __kvm_guarded_by(slots_lock);
	/* Replaced arrays, for the next grace period to free, and their entries. */
	struct kvm_memslots *old_slots __kvm_guarded_by(slots_lock);
	unsigned int nr_old_slots __kvm_guarded_by(slots_lock);
	struct xarray slot_ids __kvm_guarded_by(slots_lock);	/* slots by id */
	/* Slots by host address: those of memslots. */
	struct rb_root_cached hva_tree __kvm_guarded_by(mmu_lock);
	struct address_space mapping;	/* what is mapped through the VM fd */
	struct mm_struct *mm;
	struct mmu_notifier notifier;
	/* Faults retry when it moved. */
	unsigned long notifier_seq __kvm_written_under(mmu_lock);
	long notifier_count __kvm_guarded_by(mmu_lock);	/* invalidations under way */
	hva_t notifier_start __kvm_guarded_by(mmu_lock);
	hva_t notifier_end __kvm_guarded_by(mmu_lock);

	struct xarray vcpus;		/* by index; published last */
	atomic_t online_vcpus;
	int last_boosted;		/* index of the vcpu that a spinning one let go on, a hint */
	bool dead;			/* an internal error: every call but close fails with EIO */
	refcount_t users;		/* the VM fd and each vcpu fd */

	/*
	 * Nested tables (mmu_nested.c): the root stays; its entries, and those below, change
	 * under mmu_lock, shared by who only adds some.
	 */
	u64 *nested_root;
	atomic_long_t nested_tables;	/* without the root */
	/* Cut off, to be freed when the lock is let go: a chain. */
	unsigned long dead_tables __kvm_guarded_by(mmu_lock);
	/* Of leaves that map memory: kvm_ops.nested_leaf_mask, or without nested_ignore_pat. */
	u64 nested_leaf_mask __kvm_guarded_by(mmu_lock);
	/* Clocks: the frame to be looked at next. */
	gfn_t evict_hand __kvm_guarded_by(mmu_lock);
	gfn_t nx_hand __kvm_guarded_by(mmu_lock);

	/* shadow pages (mmu.c), all under mmu_lock */
	struct hlist_head *page_hash __kvm_guarded_by(mmu_lock);
	/* New and used ones are put first: a clock. */
	struct list_head active_pages __kvm_guarded_by(mmu_lock);
	/* Of them, direct pages to be zapped: no link is left. */
	struct list_head orphans __kvm_guarded_by(mmu_lock);
	/* Zapped, to free before the lock is let go. */
	struct list_head dead_pages __kvm_guarded_by(mmu_lock);
	/* Pieces, since the lock was let go in a long loop. */
	unsigned int hold_work __kvm_guarded_by(mmu_lock);
	unsigned long n_used_pages __kvm_guarded_by(mmu_lock);
	unsigned long n_max_pages __kvm_guarded_by(mmu_lock);
	/* By KVM_SET_NR_MMU_PAGES; 0: never. */
	unsigned long n_asked_pages __kvm_guarded_by(mmu_lock);
	/* Of them, those that shadow guest page tables. */
	unsigned long n_indirect __kvm_written_under(mmu_lock);
	u64 mmu_zap_gen __kvm_guarded_by(mmu_lock);
	/* Of an earlier mmu_zap_gen: kvm_mmu_zap_all() is not done. */
	unsigned long n_old_pages __kvm_guarded_by(mmu_lock);
	/* By vcpus, on pages that are not zapped. */
	unsigned long n_root_holds __kvm_guarded_by(mmu_lock);
	/* A leaf was dropped, and some TLB may still have it. */
	bool tlbs_dirty __kvm_guarded_by(mmu_lock);
	/* No large page is executable (mmu_nx.c); but in pages of an earlier mmu_zap_gen. */
	bool nx_huge_pages __kvm_guarded_by(mmu_lock);
	/* KVM_CAP_VM_DISABLE_NX_HUGE_PAGES */
	bool nx_disabled __kvm_guarded_by(mmu_lock);
	/* Tables that stand for large pages as these were executed; the oldest first. */
	struct list_head nx_splits __kvm_guarded_by(mmu_lock);

	/* KVM_ENABLE_CAP, under lock */
	u64 disabled_quirks __kvm_written_under(kvm_lock);	/* KVM_X86_QUIRK_* */
	/* KVM_MSR_EXIT_REASON_* that go to userspace. */
	u32 user_msr_reasons __kvm_written_under(kvm_lock);
	u32 max_vcpu_id __kvm_written_under(kvm_lock);	/* 0: KVM_MAX_VCPU_ID */
	u32 dirty_log_manual __kvm_written_under(kvm_lock);	/* KVM_DIRTY_LOG_* */
	/* KVM_CAP_DIRTY_LOG_RING, before the first vcpu; 0: bitmaps. */
	u32 dirty_ring_entries __kvm_written_under(kvm_lock);
	bool dirty_left;		/* a slot's bitmap may have what found a ring full */
	/* KVM_X86_DISABLE_EXITS_*, before the first vcpu. */
	u32 disabled_exits __kvm_written_under(kvm_lock);
	/* Bits: KVM_HC_* that go to userspace. */
	u32 exit_hypercalls __kvm_written_under(kvm_lock);
	u32 halt_poll_limit __kvm_written_under(kvm_lock);	/* ns */
	/* KVM_CAP_HALT_POLL; else the parameter's. */
	bool own_halt_poll_limit __kvm_written_under(kvm_lock);
	/* KVM_CAP_X86_NOTIFY_VMEXIT, before the first vcpu: KVM_X86_NOTIFY_VMEXIT_*, and a time. */
	u32 notify_flags __kvm_written_under(kvm_lock);
	u32 notify_window __kvm_written_under(kvm_lock);
	/* KVM_CAP_X86_BUS_LOCK_EXIT, before the first vcpu. */
	bool bus_lock_exits __kvm_written_under(kvm_lock);
	bool exception_payload __kvm_written_under(kvm_lock);
	bool triple_fault_event __kvm_written_under(kvm_lock);
	/* KVM_CAP_EXIT_ON_EMULATION_FAILURE: of user mode's code, too. */
	bool exit_on_emulation_failure __kvm_written_under(kvm_lock);
	/* MSR_PLATFORM_INFO is #GP to the guest. */
	bool no_platform_info __kvm_written_under(kvm_lock);
	struct kvm_msr_filter_set __rcu *msr_filter __kvm_guarded_by(kvm_lock);
	/* interrupt controllers: lock, and before the first vcpu */
	u8 irqchip_mode __kvm_written_under(kvm_lock);	/* enum kvm_irqchip_mode */
	/* KVM_CAP_X86_APIC_BUS_CYCLES_NS, before the first vcpu; 0: APIC_BUS_CYCLE_NS */
	u32 apic_bus_cycle_ns __kvm_written_under(kvm_lock);
	bool x2apic_format __kvm_written_under(kvm_lock);	/* KVM_X2APIC_API_USE_32BIT_IDS */
	/* KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK */
	bool x2apic_no_broadcast __kvm_written_under(kvm_lock);
	u32 bsp_vcpu_id __kvm_written_under(kvm_lock);
	struct mutex lapic_map_lock;	/* updates of lapic_map */
	struct kvm_lapic_map __rcu *lapic_map __kvm_guarded_by(lapic_map_lock);
	/* The APIC-access page of all vcpus; 0: they differ. */
	gpa_t apic_page __kvm_written_under(lapic_map_lock);
	/* These three: published once, freed with the VM. */
	struct kvm_pic *pic __kvm_written_under(kvm_lock);
	struct kvm_ioapic *ioapic __kvm_written_under(kvm_lock);
	struct kvm_pit *pit __kvm_written_under(kvm_lock);

	/* routes (irq.c) and irqfds (eventfd.c) */
	struct mutex irq_lock;		/* updates of routes; coming and going of irqfds */
	struct kvm_irq_routes __rcu *irq_routes __kvm_guarded_by(irq_lock);
	/* Pins of userspace's I/O APIC: the first GSIs. */
	spinlock_t irqfd_lock;		/* irqfds; inside an eventfd's wait queue lock */
	struct list_head irqfds __kvm_guarded_by(irqfd_lock);
	unsigned int nr_irqfds __kvm_guarded_by(irqfd_lock);
	struct list_head resamplers __kvm_guarded_by(irq_lock);	/* read under RCU */

	/* buses in the kernel (io.c) */
	struct mutex io_lock;		/* updates of buses, ioeventfds, zones */
	struct kvm_io_bus __rcu *bus[KVM_NR_BUSES] __kvm_guarded_by(io_lock);
	struct list_head ioeventfds __kvm_guarded_by(io_lock);
	struct list_head coalesced_zones __kvm_guarded_by(io_lock);
	struct kvm_coalesced_mmio_ring *coalesced_ring;	/* shared with userspace */
	spinlock_t ring_lock;		/* writers of the ring */

	unsigned long tss_addr __kvm_written_under(kvm_lock);
	u64 identity_map_addr __kvm_written_under(kvm_lock);
	u64 kvmclock_offset __kvm_guarded_by(tsc_lock);	/* to the host's raw monotonic time */
	struct {
		/* Host TSC and raw time of one moment. */
		bool master __kvm_guarded_by(tsc_lock);
		u64 tsc __kvm_guarded_by(tsc_lock);
		u64 ns __kvm_guarded_by(tsc_lock);
		u32 mul;		/* ticks to ns */
		s8 shift;
	} clock;
	bool tsc_unequal __kvm_written_under(tsc_lock);	/* vcpus' TSC offsets differ */
	u64 tsc_write_data __kvm_guarded_by(tsc_lock);
	u64 tsc_write_ns __kvm_guarded_by(tsc_lock);
	u64 tsc_write_offset __kvm_guarded_by(tsc_lock);
	raw_spinlock_t tsc_lock;
	bool device_memory;		/* a guest has had a device's, or other uncached memory */
	/* A device is assigned whose DMA does not snoop caches. */
	bool noncoherent_dma __kvm_written_under(kvm_lock);
	bool has_vfio __kvm_guarded_by(kvm_lock);	/* devices/vfio.c's device is there */
	struct kvm_vm_stat stat;
	struct list_head vm_list __kvm_guarded_by(stats_lock);	/* stats.c's */
	pid_t creator;
	struct dentry *debugfs_dentry;
};

/* ---- small accessors ---- */
static inline unsigned long kvm_reg_read(struct kvm_vcpu *vcpu, int reg)
{
	if (!(vcpu->regs_avail & BIT(reg)))
		kvm_ops.cache_reg(vcpu, reg);
	return vcpu->regs[reg];
}

static inline void kvm_reg_write(struct kvm_vcpu *vcpu, int reg, unsigned long val)
{
	vcpu->regs[reg] = val;
	vcpu->regs_avail |= BIT(reg);
	vcpu->regs_dirty |= BIT(reg);
}

static inline unsigned long kvm_rip_read(struct kvm_vcpu *vcpu)
{
	return kvm_reg_read(vcpu, VCPU_REGS_RIP);
}

static inline void kvm_rip_write(struct kvm_vcpu *vcpu, unsigned long val)
{
	kvm_reg_write(vcpu, VCPU_REGS_RIP, val);
}

/* Like them for the general registers that hardware does not keep: always here. */
#define KVM_REG_ACCESSORS(name, NAME)						\
static inline unsigned long kvm_##name##_read(struct kvm_vcpu *vcpu)		\
{ return kvm_reg_read(vcpu, VCPU_REGS_##NAME); }				\
static inline void kvm_##name##_write(struct kvm_vcpu *vcpu, unsigned long v)	\
{ kvm_reg_write(vcpu, VCPU_REGS_##NAME, v); }
KVM_REG_ACCESSORS(rax, RAX)
KVM_REG_ACCESSORS(rbx, RBX)
KVM_REG_ACCESSORS(rcx, RCX)
KVM_REG_ACCESSORS(rdx, RDX)
KVM_REG_ACCESSORS(rsp, RSP)

/* EDX:EAX as RDMSR, WRMSR, RDTSC and XSETBV use them. */
static inline u64 kvm_edx_eax_read(struct kvm_vcpu *vcpu)
{
	return (u32)kvm_rax_read(vcpu) | ((u64)(u32)kvm_rdx_read(vcpu) << 32);
}

static inline void kvm_edx_eax_write(struct kvm_vcpu *vcpu, u64 val)
{
	kvm_rax_write(vcpu, (u32)val);
	kvm_rdx_write(vcpu, (u32)(val >> 32));
}

static inline unsigned long kvm_read_cr0(struct kvm_vcpu *vcpu)
{
	if (!(vcpu->regs_avail & BIT(VCPU_EXREG_CR0)))
		kvm_ops.cache_reg(vcpu, VCPU_EXREG_CR0);
	return vcpu->cr0;
}

static inline unsigned long kvm_read_cr3(struct kvm_vcpu *vcpu)
{
	if (!(vcpu->regs_avail & BIT(VCPU_EXREG_CR3)))
		kvm_ops.cache_reg(vcpu, VCPU_EXREG_CR3);
	return vcpu->cr3;
}

static inline unsigned long kvm_read_cr4(struct kvm_vcpu *vcpu)
{
	if (!(vcpu->regs_avail & BIT(VCPU_EXREG_CR4)))
		kvm_ops.cache_reg(vcpu, VCPU_EXREG_CR4);
	return vcpu->cr4;
}

static inline const u64 *kvm_read_pdptrs(struct kvm_vcpu *vcpu)
{
	if (!(vcpu->regs_avail & BIT(VCPU_EXREG_PDPTR)))
		kvm_ops.cache_reg(vcpu, VCPU_EXREG_PDPTR);
	return vcpu->mmu.pdptrs;
}

static inline bool is_protmode(struct kvm_vcpu *vcpu) { return kvm_read_cr0(vcpu) & X86_CR0_PE; }
static inline bool is_paging(struct kvm_vcpu *vcpu) { return kvm_read_cr0(vcpu) & X86_CR0_PG; }
static inline bool is_pae(struct kvm_vcpu *vcpu) { return kvm_read_cr4(vcpu) & X86_CR4_PAE; }
static inline bool is_long_mode(struct kvm_vcpu *vcpu) { return vcpu->efer & EFER_LMA; }
static inline bool is_pae_paging(struct kvm_vcpu *vcpu)
{
	return is_paging(vcpu) && is_pae(vcpu) && !is_long_mode(vcpu);
}

static inline bool is_noncanonical(u64 la, int bits)
{
	return ((s64)(la << (64 - bits)) >> (64 - bits)) != (s64)la;
}

static inline int vcpu_virt_bits(struct kvm_vcpu *vcpu)
{
	return kvm_read_cr4(vcpu) & X86_CR4_LA57 ? 57 : 48;
}

static inline void kvm_make_request(int req, struct kvm_vcpu *vcpu)
{
	/* Whatever the request is about is written before it is seen. */
	smp_wmb();
	set_bit(req, &vcpu->requests);
}

static inline bool kvm_check_request(int req, struct kvm_vcpu *vcpu)
{
	if (!test_bit(req, &vcpu->requests))
		return false;
	clear_bit(req, &vcpu->requests);
	smp_mb__after_atomic();
	return true;
}

/* For lockdep: is this thread in a vcpu's read section (request.c)? */
#ifdef CONFIG_DEBUG_LOCK_ALLOC
extern struct lockdep_map kvm_vcpu_read_map;
static inline bool kvm_vcpu_read_lock_held(void)
{
	return lock_is_held(&kvm_vcpu_read_map);
}
#else
static inline bool kvm_vcpu_read_lock_held(void)
{
	return true;
}
#endif

#define kvm_for_each_vcpu(idx, vcpu, kvm) \
	xa_for_each_range(&(kvm)->vcpus, idx, vcpu, 0, \
			  (unsigned long)atomic_read(&(kvm)->online_vcpus) - 1)

/* KVM_X86_DISABLE_EXITS_*: the guest executes it itself. */
static inline bool kvm_exit_disabled(const struct kvm *kvm, u32 which)
{
	return kvm->disabled_exits & which;
}

/* The guest's PAT, and its WBINVD, have an effect: somebody else may see its memory uncached. */
static inline bool kvm_guest_caching_matters(const struct kvm *kvm)
{
	return READ_ONCE(kvm->device_memory) || READ_ONCE(kvm->noncoherent_dma);
}

/* Then #UD is intercepted. */
static inline bool kvm_fixes_hypercalls(const struct kvm *kvm)
{
	return !(kvm->disabled_quirks & KVM_X86_QUIRK_FIX_HYPERCALL_INSN);
}

#endif
