// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a case begins with, and what its rounds do.  Each operation is drawn from numbers
 * of its own, so that it is the same whatever the others do.
 */
#include "mmu.h"

/*
 * Few frames, so that they meet: tables are data, one table is used at two levels, and
 * the first frames of 2M regions are tables and in large pages.  Frames of the arena.
 */
static const u16 home4[][8] = {
	{ 0x001, 0x005, 0x200, 0x602, 0x801, 0x240, 0x000, 0x401 },	/* level 1 */
	{ 0x000, 0x200, 0x400, 0x601, 0x005, 0xa05, 0x205, 0x402 },	/* 2 */
	{ 0x201, 0x002, 0x600, 0x402, 0x000, 0x802, 0x005, 0x400 },	/* 3 */
};
static const u16 in_region[] = { 0, 1, 2, 5, 0x40, 0xc8 };

static const u16 long4[] = { 1, 2, 300 }, long3[] = { 0, 1, 5 }, pae3[] = { 1, 2, 3 };
static const u16 two[] = { 8, 9, 10, 11 }, one[] = { 0, 1, 2, 5, 64, 200 };
static const u16 dir32[] = { 16, 17, 18, 700 }, one32[] = { 0, 1, 2, 5, 64, 200, 513 };

int indices(int level, const u16 **list)
{
	bool half = fz.esize == 4;

	switch (level) {
	case 1:
		*list = half ? one32 : one;
		return half ? ARRAY_LEN(one32) : ARRAY_LEN(one);
	case 2:
		*list = half ? dir32 : two;
		return half ? ARRAY_LEN(dir32) : ARRAY_LEN(two);
	case 3:
		*list = fz.mode == PPAE ? pae3 : long3;
		return 3;
	default:
		*list = long4;
		return 3;
	}
}

/* n members of all, or not all of them. */
static void choose(struct rnd *r, struct subset *s, int all, int n)
{
	for (int i = 0; i < all; i++)
		s->at[i] = i;
	for (int i = 0; i < n; i++) {
		u32 k = i + below(r, all - i);
		u8 at = s->at[k];

		s->at[k] = s->at[i];
		s->at[i] = at;
	}
	s->n = n;
}

static int pick(struct rnd *r, const struct subset *s)
{
	return s->at[below(r, s->n)];
}

void plan_choice(struct rnd *r)
{
	struct choice *c = &fz.choice;
	bool few = percent(r, 60);
	const u16 *list;

	for (int level = 1; level <= fz.levels; level++) {
		int n = indices(level, &list);

		choose(r, &c->index[level - 1], n, few ? 1 + below(r, level < 3 ? 3 : 2) : n);
	}
	for (int i = 0; i < 3; i++)
		choose(r, &c->tables[i], ARRAY_LEN(home4[0]), few ? 1 + below(r, 3) : ARRAY_LEN(home4[0]));
	c->all_regions = !few;
	choose(r, &c->regions, few && percent(r, 75) ? 4 : 8, 1 + below(r, 3));
	c->vmm_percent = percent(r, 40) ? 4 : 19;
	c->slot_percent = percent(r, 40) ? 0 : fz.concurrent ? 45 : 20;
}

static int pick_index(struct rnd *r, int level)
{
	const u16 *list;

	indices(level, &list);
	return list[pick(r, &fz.choice.index[level - 1])];
}

static u32 pick_region(struct rnd *r, u32 most)
{
	if (!fz.choice.all_regions)
		return pick(r, &fz.choice.regions);
	return percent(r, most) ? below(r, 4) : below(r, 8);
}

static u64 pick_page(struct rnd *r)
{
	return ARENA + pick_region(r, 70) * REGION + PICK(r, in_region) * PAGE;
}

/* A page for tables of this level, most times. */
static u64 pick_table(struct rnd *r, int level)
{
	if (level > 3 || percent(r, 6))
		return pick_page(r);
	return ARENA + home4[level - 1][pick(r, &fz.choice.tables[level - 1])] * PAGE;
}

static u64 pick_large(struct rnd *r, int level)
{
	u64 size = 1ull << (12 + fz.index_bits * (level - 1));

	if (level == 3)
		return 0;
	return (ARENA + pick_region(r, 75) * REGION) & ~(size - 1);
}

static u64 pick_entry(struct rnd *r, int level)
{
	u64 flags = PTE_P | (percent(r, 92) ? PTE_W : 0) | (percent(r, 88) ? PTE_U : 0);
	bool leaf = level == 1 || (level == 2 && percent(r, 50)) || (level == 3 && percent(r, 6));

	if (percent(r, 5))
		return percent(r, 60) ? 0 : rnd(r) & 0xfff & ~(PTE_P | PTE_G);
	if (percent(r, 60))
		flags |= PTE_A | (percent(r, 60) ? PTE_D : 0);
	if (fz.mode == PPAE && level == 3)
		return pick_table(r, 2) | PTE_P;
	if (fz.esize == 8 && percent(r, 3))
		flags |= PTE_NX;
	if (fz.esize == 8 && percent(r, 1))
		flags |= BIT(51);
	if (level == 4 && percent(r, 2))
		flags |= PTE_PS;
	if (fz.mode == P32 && level == 2)
		leaf = false;
	if (!leaf)
		return pick_table(r, level - 1) | flags;
	if (level == 1)
		return pick_page(r) | flags;
	/* not aligned is reserved */
	return pick_large(r, level) | flags | PTE_PS | (percent(r, 1) ? 0x14000 : 0);
}

/* An entry's place: in a root, or in a table of some level. */
static u64 pick_word(struct rnd *r, int *level)
{
	u64 table;

	*level = percent(r, 45) ? 1 : 1 + below(r, fz.levels);
	if (fz.levels > 2 && percent(r, 35))
		*level = 2;
	if (*level == fz.levels)
		table = GPA_ROOTS + below(r, N_ROOTS) * PAGE;
	else
		table = pick_table(r, *level);
	return table + pick_index(r, *level) * fz.esize;
}

u64 walk_va(struct rnd *r)
{
	u64 va = 0;

	if (fz.mode == UNPAGED)
		return pick_page(r);
	for (int level = 1; level <= fz.levels; level++)
		va |= (u64)pick_index(r, level) << (12 + fz.index_bits * (level - 1));
	if (fz.mode == P64 && va & BIT(47))
		va |= 0xffffull << 48;
	return va;
}

/* ---- what a case begins with ---- */

void plan_layout(struct rnd *r)
{
	static const struct slot first[N_SLOTS] = {
		{ 0, 0, CONTROL_PAGES, 0 },
		{ 0, ARENA, 0x400, CONTROL_PAGES },
		{ 0, ARENA + 2 * REGION, 0x200, CONTROL_PAGES },	/* the first 2M again */
		{ 0, ARENA + 3 * REGION, 0x200, CONTROL_PAGES + ANON_PAGES },
		{ 0, ARENA + 4 * REGION, 0x48, CONTROL_PAGES + 0x400 },
		{ 0, ARENA + 5 * REGION + 5 * PAGE, 0x48, CONTROL_PAGES + 0x205 },
	};

	memset(&fz.now, 0, sizeof(fz.now));
	memcpy(fz.now.slot, first, sizeof(first));
	for (int i = 1; i < N_SLOTS; i++)
		if (percent(r, 15))
			fz.now.slot[i].flags = KVM_MEM_LOG_DIRTY_PAGES;
}

static void put(u64 gpa, u64 e)
{
	int slot, page = layout_page(&fz.now, gpa, &slot);

	if (page >= 0)
		memcpy(host(page) + gpa % PAGE, &e, fz.esize);
}

/* All entries of a table at first. */
static void fill(struct rnd *r, u64 table, int level)
{
	const u16 *list;
	int n = indices(level, &list);

	for (int i = 0; i < n; i++)
		put(table + list[i] * fz.esize, pick_entry(r, level));
}

void plan_tables(struct rnd *r)
{
	if (fz.mode == UNPAGED)
		return;
	for (int level = 1; level < fz.levels; level++)
		for (u32 i = 0; i < ARRAY_LEN(home4[0]); i++)
			fill(r, ARENA + home4[level - 1][i] * PAGE, level);
	for (int i = 0; i < N_ROOTS; i++)
		fill(r, GPA_ROOTS + i * PAGE, fz.levels);
}

/* ---- a round ---- */

static void plan_bits(struct rnd *r, struct bits *b)
{
	*b = (struct bits){ .wp = percent(r, 75), .root = below(r, N_ROOTS) };
	b->user = percent(r, 35);
	b->nx = fz.nx && fz.esize == 8 && percent(r, 75);
	b->smep = fz.smep && percent(r, 20);
	b->smap = fz.smap && percent(r, 20);
	b->ac = percent(r, 30);
}

static void plan_access(struct rnd *r, struct guest_op *o)
{
	o->kind = percent(r, 50) ? OP_READ : percent(r, 75) ? OP_WRITE : OP_EXEC;
	o->addr = walk_va(r);
	o->val = 0x10000 + below(r, 0x40000000);
}

static void plan_write(struct rnd *r, struct guest_op *o, bool user)
{
	int level;
	u64 gpa = pick_word(r, &level), at;

	o->val = pick_entry(r, level);
	o->kind = fz.esize == 4 || percent(r, 8) ? OP_SET4 : OP_SET8;
	o->addr = gpa;
	if (user || percent(r, 35)) {
		/* to where a mapping leads */
		at = percent(r, 50) ? gpa % PAGE : pick_index(r, 1 + below(r, fz.levels)) * (u64)fz.esize;
		o->addr = walk_va(r) + at;
	}
	if (percent(r, 10)) {
		o->kind = OP_SET1;
		o->val = rnd(r) & (PTE_P | PTE_W | PTE_U | AD);
		o->val |= percent(r, 80) ? PTE_P : 0;
		if (level > 1 && percent(r, 30) && (fz.mode != PPAE || level < 3))
			o->val |= PTE_PS;
		if (fz.mode == PPAE && level == 3)
			o->val &= PTE_P;
	} else if (percent(r, 6)) {
		o->kind = OP_CLEAR;
		o->val = 2 * (1 + below(r, 8));
	}
	if (fz.mode == PPAE && level == 3 && o->kind == OP_SET4)
		o->val = (u32)o->val;
}

static void add_op(struct list *l, const struct guest_op *o, u8 fresh)
{
	l->roots[l->n] = l->n ? l->roots[l->n - 1] : l->bits.root;
	if (l->n && l->op[l->n - 1].kind == OP_CR3)
		l->roots[l->n] = (l->op[l->n - 1].val - GPA_ROOTS) / PAGE;
	l->fresh[l->n] = fresh;
	l->op[l->n++] = *o;
}

static void add_cr3(struct list *l, u32 root)
{
	struct guest_op o = { .kind = OP_CR3, .val = GPA_ROOTS + root * PAGE };

	add_op(l, &o, STALE);
}

static void plan_list(struct rnd *r, struct list *l, int n)
{
	struct guest_op o;
	u32 what, accesses = n == 1 ? 10 : 52;

	plan_bits(r, &l->bits);
	l->n = 0;
	while (l->n < n) {
		memset(&o, 0, sizeof(o));
		what = below(r, 100);
		if (what < accesses || fz.mode == UNPAGED) {
			plan_access(r, &o);
			add_op(l, &o, STALE);
		} else if (what < 84 || l->bits.user) {
			plan_write(r, &o, l->bits.user);
			add_op(l, &o, STALE);
		} else if (what < 93) {
			o.kind = OP_INVLPG;
			o.addr = walk_va(r);
			add_op(l, &o, STALE);
		} else {
			add_cr3(l, below(r, N_ROOTS));
		}
	}
}

/* Accesses of which nothing is stale, as often as not. */
static void plan_exact(struct rnd *r, struct list *l)
{
	struct guest_op o = { 0 };
	u8 fresh = STALE;
	int n = 1;

	plan_bits(r, &l->bits);
	l->n = 0;
	plan_access(r, &o);
	if (fz.mode == UNPAGED) {
		fresh = FLUSHED_ALL;
	} else if (!l->bits.user && percent(r, 30)) {
		struct guest_op flush = { .kind = OP_INVLPG, .addr = o.addr };

		fresh = FLUSHED_PAGE;
		add_op(l, &flush, STALE);
	} else if (!l->bits.user && percent(r, 75)) {
		fresh = FLUSHED_ALL;
		add_cr3(l, below(r, N_ROOTS));
		n = 1 + below(r, 6);
	}
	add_op(l, &o, fresh);
	while (--n) {
		plan_access(r, &o);
		add_op(l, &o, fresh);
	}
}

static u32 pick_backing(struct rnd *r)
{
	return CONTROL_PAGES + below(r, 4) * 512 + PICK(r, in_region);
}

static void plan_slot_op(struct rnd *r, struct vmm_op *o)
{
	static const enum vmm_kind kinds[] = {
		VMM_SLOT_FLAGS, VMM_SLOT_FLAGS, VMM_SLOT_AGAIN, VMM_SLOT_MOVE, VMM_GET_LOG,
		VMM_GET_LOG, VMM_ALIAS,
	};

	o->kind = PICK(r, kinds);
	o->slot = 1 + below(r, N_SLOTS - 1);
	switch (o->kind) {
	case VMM_SLOT_AGAIN:
		o->val = percent(r, 20) ? KVM_MEM_LOG_DIRTY_PAGES : percent(r, 30) ? KVM_MEM_READONLY : 0;
		break;
	case VMM_SLOT_MOVE:
		o->gpa = ARENA + below(r, 8) * REGION;
		if (percent(r, 30))
			o->gpa += PAGE * below(r, 8);
		break;
	case VMM_ALIAS:
		o->gpa = ARENA + 7 * REGION;
		o->n = percent(r, 40) ? 0x48 : 0;
		o->val = ARENA + below(r, 4) * REGION;
		break;
	default:
		break;
	}
}

static void plan_vmm(struct rnd *r, struct vmm_op *o, bool slots)
{
	static const enum vmm_kind kinds[] = {
		VMM_SET, VMM_SET, VMM_SET, VMM_DONTNEED, VMM_DONTNEED, VMM_TAG, VMM_TAG, VMM_REPLACE,
		VMM_PROTECT, VMM_COLLAPSE, VMM_SPLIT, VMM_KSM, VMM_LIMIT,
	};
	int level, slot, page;
	u64 gpa;

	memset(o, 0, sizeof(*o));
	if (slots && percent(r, fz.choice.slot_percent)) {
		plan_slot_op(r, o);
		return;
	}
	o->kind = percent(r, 2) ? VMM_FORK : PICK(r, kinds);
	o->page = pick_backing(r);
	o->val = rnd(r);
	o->n = 1;
	if (o->kind == VMM_DONTNEED && percent(r, 25))
		o->n = percent(r, 50) ? 8 : 512 - (o->page - CONTROL_PAGES) % 512;
	if (o->kind == VMM_PROTECT && percent(r, 40)) {
		o->page -= (o->page - CONTROL_PAGES) % 512;
		o->n = 512;
	}
	if (o->kind == VMM_SET) {
		if (fz.mode == UNPAGED) {
			o->kind = VMM_TAG;
			return;
		}
		do {
			gpa = pick_word(r, &level);
			page = layout_page(&fz.now, gpa, &slot);
		} while (page < 0);
		o->page = page;
		o->n = gpa % PAGE;
		o->val = pick_entry(r, level);
	}
}

static void plan_check(struct rnd *r, struct list *l)
{
	struct guest_op o;
	int n = 12 + below(r, 20);

	plan_bits(r, &l->bits);
	l->bits.user = false;
	l->n = 0;
	if (fz.mode != UNPAGED)
		add_cr3(l, below(r, N_ROOTS));
	while (l->n < n) {
		memset(&o, 0, sizeof(o));
		plan_access(r, &o);
		add_op(l, &o, FLUSHED_ALL);
	}
}

void plan_round(struct round *p)
{
	struct rnd r = rnd_of(fz.seed, fz.case_nr, fz.round_nr);

	for (int v = 0; v < N_VCPUS; v++)
		p->list[v].n = 0;
	p->n_vmm[0] = p->n_vmm[1] = 0;
	if (p->check) {
		for (int v = 0; v < N_VCPUS; v++)
			plan_check(&r, &p->list[v]);
	} else if (fz.concurrent) {
		for (int v = 0; v < N_VCPUS; v++)
			plan_list(&r, &p->list[v], 4 + below(&r, MAX_LIST - 6));
		for (int t = 0; t < 2; t++) {
			p->n_vmm[t] = below(&r, MAX_VMM / 2);
			for (int i = 0; i < p->n_vmm[t]; i++)
				plan_vmm(&r, &p->vmm[t][i], t == 0);
		}
	} else if (percent(&r, fz.choice.vmm_percent)) {
		p->n_vmm[0] = 1;
		plan_vmm(&r, &p->vmm[0][0], true);
	} else if (percent(&r, 55)) {
		plan_exact(&r, &p->list[below(&r, N_VCPUS)]);
	} else {
		plan_list(&r, &p->list[below(&r, N_VCPUS)], 1);
	}
}
