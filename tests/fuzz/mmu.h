/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The MMU fuzzer.  A *case* is a VM in one paging mode; a *round* is a plan, made of the
 * seed alone, of what its vcpus and its VMM do: one thing in sequential cases, many at
 * once in concurrent ones.  The model knows before a round what values each word of
 * guest memory may have in it, so a walk through the guest's tables gives the set of
 * results that are allowed.  Documentation/fuzzing.rst.
 */
#ifndef FUZZ_MMU_H
#define FUZZ_MMU_H

#include "vm.h"

#define PAGE		4096u
#define REGION		0x200000u
#define N_VCPUS		3
#define N_ROOTS		3
#define N_SLOTS		6		/* 0: the control area, which stays */

/*
 * Guest memory: the control area (code, lists, tables that nobody changes, roots), and
 * the arena, where slots come and go.  The host's pages are counted through: those of
 * the control area, then the backing of the arena.
 */
#define GPA_AGENT	0x10000u
#define GPA_HANDLERS	0x20000u	/* IDT, stubs a page above */
#define GPA_BLOCKS	0x40000u	/* 64k for each vcpu: list, TSS, stack */
#define GPA_ROOTS	0x100000u
#define GPA_CONTROL	0x110000u	/* the tables of the control area */
#define USER_ALIAS	0x400000u	/* the control area again, for users */
#define ARENA		0x1000000u
#define ARENA_END	0x2000000u
#define CONTROL_PAGES	(MEM_SIZE / PAGE)
#define BACKING_PAGES	2048u
#define ANON_PAGES	1536u		/* of them, the others are a memfd's */
#define N_PAGES		(CONTROL_PAGES + BACKING_PAGES)

/* Each page of the arena: tables' entries, then what accesses use.  No walk gets there. */
#define AT_TAG		0xfc0u		/* the page's number; what is read */
#define AT_WORD		0xfc8u		/* one for each vcpu; what is written */
#define AT_CODE		0xfe0u		/* what is executed: EAX becomes the tag */

#define CODE_SIZE	7u

#define TAG(page)	(0x51000000u | (page))
#define MMIO_TAG(gpa)	(0xe0000000u | (u32)((gpa) >> 12))
#define AD		(PTE_A | PTE_D)

enum mode { UNPAGED, P32, P32E, PPAE, P64, N_MODES };

/* What the agent does (mmu-agent.S), and how the host reads its answer. */
enum guest_kind {
	OP_END, OP_READ, OP_WRITE, OP_EXEC, OP_INVLPG, OP_CR3, OP_SET4, OP_SET8, OP_SET1, OP_CLEAR,
	N_GUEST_KINDS
};

enum vmm_kind {
	VMM_SET, VMM_DONTNEED, VMM_TAG, VMM_REPLACE, VMM_PROTECT, VMM_COLLAPSE, VMM_SPLIT, VMM_KSM,
	VMM_FORK, VMM_SLOT_FLAGS, VMM_SLOT_AGAIN, VMM_SLOT_MOVE, VMM_GET_LOG, VMM_LIMIT, VMM_ALIAS,
	N_VMM_KINDS
};

struct guest_op {
	u64 addr, val;
	u32 kind, err;		/* out: BIT(31), vector, error code */
	u64 out;		/* what was read; CR2 */
};

#define FAULTED		BIT(31)
#define MAX_LIST	48
#define MAX_VMM		16

/* The guest's mode in a list: what is not in the tables. */
struct bits {
	bool user, ac, wp, nx, smep, smap;
	u8 root;
};

enum { STALE, FLUSHED_PAGE, FLUSHED_ALL };

struct list {
	struct bits bits;
	int n;
	u8 roots[MAX_LIST];	/* CR3 at each op */
	u8 fresh[MAX_LIST];	/* flushed just before: FLUSHED_* */
	u64 target[MAX_LIST];	/* the only gpa that a write may go to; 0: there are more */
	u32 leaf[MAX_LIST];	/* of a sequential read: the clean entry that maps it */
	struct guest_op op[MAX_LIST];
};

struct vmm_op {
	enum vmm_kind kind;
	u32 page, n;		/* host pages */
	u64 gpa, val;
	int slot;
	int error;		/* out */
};

struct slot {
	u32 flags;
	u32 gpa, npages;	/* npages 0: none */
	u32 page;		/* the first host page */
};

struct alias {
	u32 gpa, npages, target;
};

/* All of the map from gpa to host page. */
struct layout {
	struct slot slot[N_SLOTS];
	struct alias alias;
};

#define MAX_LAYOUTS	40

struct round {
	bool check;		/* after a concurrent round: nothing changes */
	int n_lists, n_vmm[2];
	struct list list[N_VCPUS];
	struct vmm_op vmm[2][MAX_VMM];
	/* the model's */
	struct layout layout[MAX_LAYOUTS];
	int n_layouts;
	u8 touched[N_PAGES];	/* by the VMM: may be zero, or get its tag again */
	u8 hidden[N_PAGES];	/* rights taken for a moment: UNWRITABLE, UNREADABLE */
	bool log_changed[N_SLOTS];
};

enum { UNWRITABLE = 1, UNREADABLE };

/* Values that a word may have; at most so many, then anything. */
#define MAX_VALUES	24
struct values {
	u8 n;
	bool any;
	bool ad_unknown;	/* accessed and dirty bits need not be set */
	/* of a word written in this round */
	bool many;		/* by the VMM, or through several addresses */
	bool done;		/* through this one, for sure */
	u32 gpa;
	u64 v[MAX_VALUES];	/* the first: before the round */
};

/* Some of n, of which to choose. */
struct subset {
	u8 n, at[8];
};

/*
 * What a case chooses from: all, or so little that the same few entries, tables and
 * large pages are linked, changed and linked again, in many ways.
 */
struct choice {
	struct subset tables[3], index[4], regions;
	bool all_regions;
	u8 vmm_percent, slot_percent;
};

struct fuzz {
	struct vm vm;
	struct vcpu vcpu[N_VCPUS];
	struct kvm_sregs sregs[N_VCPUS];
	enum mode mode;
	int levels, esize, index_bits;
	bool concurrent, shadow, smep, smap, nx, gb, tcg, window_large;
	u32 rsvd32;		/* of a 4M page's entry */
	u8 *backing;
	u64 seed;
	time_t begin;
	int case_nr, round_nr;
	struct choice choice;
	struct layout now;
	int failed;		/* differences in this case */
	struct round r;
};

extern struct fuzz fz;
extern bool trace;

/* Counts of what was done, for the result. */
struct counts {
	u64 cases, rounds, accesses, faults, exact, sets, flushes, vmm, slots, mmio, unsure;
};
extern struct counts counts[N_MODES];
#define COUNT(what)	__atomic_add_fetch(&counts[fz.mode].what, 1, __ATOMIC_RELAXED)

/* ---- a PRNG, by which everything goes ---- */

struct rnd { u64 s; };

static inline u64 rnd(struct rnd *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

static inline struct rnd rnd_of(u64 a, u64 b, u64 c)
{
	struct rnd r = { a };

	r.s = rnd(&r) ^ b;
	r.s = rnd(&r) ^ c;
	return r;
}

static inline u32 below(struct rnd *r, u32 n)
{
	return rnd(r) % n;
}

static inline bool percent(struct rnd *r, u32 n)
{
	return below(r, 100) < n;
}

#define PICK(r, array)	((array)[below(r, ARRAY_LEN(array))])

/* ---- mmu-plan.c: what to do ---- */

void plan_choice(struct rnd *r);
void plan_layout(struct rnd *r);
void plan_tables(struct rnd *r);
void plan_round(struct round *p);
u64 walk_va(struct rnd *r);
/* The indices that are used in tables of a level; their number. */
int indices(int level, const u16 **list);

/* ---- mmu-model.c: what may come of it ---- */

#define MAX_LEAVES	96

struct leaf {
	u64 gpa;		/* of the access's page */
	u8 acc;
};

struct walk {
	bool none, rsvd, any;	/* may be not present; reserved; unknown */
	int n;
	struct leaf leaf[MAX_LEAVES];
	/* the way, if there is but one: host words, from the root down */
	bool one_way, ad_unknown;
	int depth;
	u32 path[4];
};

u8 *host(u32 page);
static inline u8 *host_word(u32 hw)
{
	return host(hw / PAGE) + hw % PAGE;
}

/* Host pages at a gpa in any of the round's layouts: -1 is none. */
struct places {
	int n;
	struct { int page; bool ro; u8 slot; } at[8];
};

void places_of(const struct round *p, u64 gpa, struct places *out);
int layout_page(const struct layout *l, u64 gpa, int *slot);
extern bool show_entries;	/* of walks, with all that they may be */
void walk(const struct round *p, int v, const struct list *l, int i, struct walk *w);
bool in_control(const struct round *p, const struct walk *w);
bool allowed(const struct list *l, int i, u8 acc);
u32 fault_code(const struct list *l, int i);
void model_reset(void);
void model_plan(struct round *p);
void model_commit(struct round *p);
u64 get_word(u32 hw, int size);

/* ---- mmu-guest.c: the VM, and how things are done in it ---- */

void guest_begin(struct rnd *r);
void guest_end(void);
void list_run(int v, struct list *l);
void vmm_run(struct vmm_op *o);
void set_tag(u32 page);
bool has_tag(u32 page);

/* ---- mmu-run.c: a round, and what came of it ---- */

void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void round_run(struct round *p);
void check_log(int slot, const u64 *bits);
void run_reset(void);

#endif
