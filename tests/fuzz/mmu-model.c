// SPDX-License-Identifier: GPL-2.0-only
/*
 * What guest memory may have in it during a round, and what a walk through the guest's
 * tables may come to by that.
 *
 * A shadow of a guest's table follows what is written to it by the guest, at the
 * address that the table is used by.  What the VMM writes, or the guest at another
 * address of the same host page, need not be seen for as long as nothing else makes the
 * shadow anew: these former values are in `former`, by address.  With nested paging the
 * processor reads the tables themselves, and there are none.
 *
 * A TLB may have what was there since the vcpu's last flush: `stale`.  Never an entry
 * that was not present, but for the four that PAE loads with CR3.
 */
#include <stdio.h>
#include "mmu.h"

#define MAP_BITS	13

struct map {
	u32 key[1 << MAP_BITS];	/* of an aligned word, plus one; 0: free */
	u16 used[1 << MAP_BITS];
	int n;
	struct values val[1 << MAP_BITS];
};

static struct map written, former, stale[N_VCPUS];

static struct values *find(struct map *m, u32 key, bool make)
{
	u32 i = ++key * 2654435761u >> (32 - MAP_BITS);

	for (;; i = (i + 1) & ((1 << MAP_BITS) - 1)) {
		if (m->key[i] == key)
			return &m->val[i];
		if (m->key[i])
			continue;
		if (!make)
			return NULL;
		if (m->n > (1 << MAP_BITS) * 3 / 4)
			die("too many words");
		m->key[i] = key;
		m->used[m->n++] = i;
		memset(&m->val[i], 0, offsetof(struct values, v));
		return &m->val[i];
	}
}

static void clear(struct map *m)
{
	while (m->n)
		m->key[m->used[--m->n]] = 0;
}

static bool add(struct values *s, u64 v)
{
	if (s->any)
		return false;
	for (int i = 0; i < s->n; i++)
		if (s->v[i] == v)
			return false;
	if (s->n == MAX_VALUES)
		s->any = true;
	else
		s->v[s->n++] = v;
	return true;
}

static void add_all(struct values *s, const struct values *from)
{
	if (!from)
		return;
	s->any |= from->any;
	for (int i = 0; i < from->n; i++)
		add(s, from->v[i]);
}

void model_reset(void)
{
	clear(&written);
	clear(&former);
	for (int v = 0; v < N_VCPUS; v++)
		clear(&stale[v]);
}

/* ---- memory ---- */

u8 *host(u32 page)
{
	if (page < CONTROL_PAGES)
		return fz.vm.mem + page * PAGE;
	return fz.backing + (page - CONTROL_PAGES) * PAGE;
}

/* An entry, without its accessed and dirty bits. */
u64 get_word(u32 hw, int size)
{
	u8 *p = host_word(hw);

	return (size == 4 ? *(volatile u32 *)p : *(volatile u64 *)p) & ~(u64)AD;
}

static u64 unalias(const struct layout *l, u64 gpa)
{
	const struct alias *a = &l->alias;

	if (a->npages && gpa >= a->gpa && gpa - a->gpa < (u64)a->npages * PAGE)
		return gpa - a->gpa + a->target;
	return gpa;
}

int layout_page(const struct layout *l, u64 gpa, int *slot)
{
	gpa = unalias(l, gpa);
	for (int i = 0; i < N_SLOTS; i++) {
		const struct slot *s = &l->slot[i];

		if (gpa >= s->gpa && gpa - s->gpa < (u64)s->npages * PAGE) {
			*slot = i;
			return s->page + (gpa - s->gpa) / PAGE;
		}
	}
	return -1;
}

void places_of(const struct round *p, u64 gpa, struct places *out)
{
	out->n = 0;
	for (int k = 0; k < p->n_layouts; k++) {
		int slot = 0, page = layout_page(&p->layout[k], gpa, &slot), i;
		bool ro = page >= 0 && (p->layout[k].slot[slot].flags & KVM_MEM_READONLY);

		for (i = 0; i < out->n; i++)
			if (out->at[i].page == page && out->at[i].ro == ro)
				break;
		if (i < out->n || i == ARRAY_LEN(out->at))
			continue;
		out->at[i].page = page;
		out->at[i].ro = ro;
		out->at[i].slot = slot;
		out->n++;
	}
}

/* ---- the walk ---- */

static bool is_pdpte(u64 gpa)
{
	return fz.mode == PPAE && gpa >= GPA_ROOTS && gpa < GPA_CONTROL;
}

/* What an entry may be for vcpu v; *hw: where it is, 0 if that is not certain. */
static void entry_values(const struct round *p, int v, u64 gpa, u8 fresh, struct values *s, u32 *hw)
{
	bool use_stale = fresh == STALE || (fresh == FLUSHED_PAGE && is_pdpte(gpa));

	memset(s, 0, offsetof(struct values, v));
	*hw = 0;
	for (int k = 0; k < p->n_layouts; k++) {
		u64 at = unalias(&p->layout[k], gpa);
		struct values *w;
		int slot, page = layout_page(&p->layout[k], gpa, &slot);
		u32 word = page * PAGE + gpa % PAGE;

		if (page < 0) {
			add(s, 0);
			continue;
		}
		w = find(&written, word, false);
		if (w)
			add_all(s, w);
		else
			add(s, get_word(word, fz.esize));
		/* tables that cannot be read have nothing in them */
		if (p->hidden[page] == UNREADABLE)
			add(s, 0);
		w = find(&former, at, false);
		if (w && w->ad_unknown)
			s->ad_unknown = true;
		add_all(s, w);
		if (use_stale)
			add_all(s, find(&stale[v], at, false));
		if (*hw && *hw != word)
			s->ad_unknown = true;
		*hw = word;
	}
}

enum { ACC_W = 1, ACC_U = 2, ACC_X = 4, ACC_ALL = 7 };

static bool is_leaf(u64 e, int level)
{
	if (level == 1)
		return true;
	return (e & PTE_PS) && fz.mode != P32 && level <= 3;
}

static u64 addr_mask(void)
{
	return fz.esize == 4 ? 0xfffff000u : 0xffffffffff000ull;
}

static bool reserved(const struct bits *b, u64 e, int level)
{
	u64 rsvd = 0;

	if (fz.esize == 4)
		return level == 2 && fz.mode == P32E && (e & PTE_PS) && (e & fz.rsvd32);
	if (fz.mode == PPAE && level == 3)
		return false;
	rsvd |= BIT(51) | BIT(50);
	if (!b->nx)
		rsvd |= PTE_NX;
	if (level == 4 || (level == 3 && !fz.gb))
		rsvd |= PTE_PS;
	if (level > 1 && (e & PTE_PS))
		rsvd |= level == 2 ? 0x1fe000 : 0x3fffe000;
	return e & rsvd;
}

/* PSE-36: bits 20:13 of a 4M page's entry are 39:32 of its address. */
static u64 leaf_gpa(u64 e, u64 va, int level)
{
	u64 mask = (1ull << (12 + fz.index_bits * (level - 1))) - 1;
	u64 gpa = (e & addr_mask() & ~mask) | (va & mask & ~0xfffull);

	if (fz.esize == 4 && level == 2)
		gpa |= (e >> 13 & 0xff) << 32;
	return gpa;
}

static int index_of(u64 va, int level)
{
	return va >> (12 + fz.index_bits * (level - 1)) & ((1 << fz.index_bits) - 1);
}

/* False: there are too many. */
static bool add_leaf(struct leaf *leaf, int *n, u64 gpa, u8 acc)
{
	for (int i = 0; i < *n; i++)
		if (leaf[i].gpa == gpa && leaf[i].acc == acc)
			return true;
	if (*n == MAX_LEAVES)
		return false;
	leaf[(*n)++] = (struct leaf){ gpa, acc };
	return true;
}

/* The tables of one level that the walk may be at. */
struct front {
	int n;
	struct leaf at[MAX_LEAVES];
};

static u8 entry_acc(const struct bits *b, u64 e)
{
	return (e & PTE_W ? ACC_W : 0) | (e & PTE_U ? ACC_U : 0) |
	       (b->nx && (e & PTE_NX) ? 0 : ACC_X);
}

static void walk_entry(struct walk *w, const struct bits *b, u64 va, int level, u64 e, u8 acc,
		       struct front *next)
{
	bool fits;

	if (!(e & PTE_P)) {
		w->none = true;
		return;
	}
	if (reserved(b, e, level)) {
		w->rsvd = true;
		return;
	}
	if (fz.mode != PPAE || level < 3)
		acc &= entry_acc(b, e);
	if (!is_leaf(e, level))
		fits = add_leaf(next->at, &next->n, e & addr_mask(), acc);
	else
		fits = add_leaf(w->leaf, &w->n, leaf_gpa(e, va, level), acc);
	if (!fits)
		w->any = true;
}

bool show_entries;

static void show_entry(int level, u64 gpa, const struct values *s)
{
	printf("#     level %d, entry at gpa %#lx:", level, gpa);
	for (int i = 0; i < s->n; i++)
		printf(" %#lx", s->v[i]);
	printf("%s%s\n", s->any ? " anything" : "", s->ad_unknown ? ", accessed and dirty bits unknown" : "");
}

/* All that the translation of op i's address may come to. */
void walk(const struct round *p, int v, const struct list *l, int i, struct walk *w)
{
	u64 va = l->op[i].addr, root = GPA_ROOTS + l->roots[i] * PAGE;
	struct front front[2], *now = &front[0], *next = &front[1], *done;

	memset(w, 0, offsetof(struct walk, leaf));
	w->depth = 0;
	w->ad_unknown = false;
	w->one_way = fz.mode != UNPAGED;
	if (fz.mode == UNPAGED) {
		w->n = 1;
		w->leaf[0] = (struct leaf){ va & ~0xfffull, ACC_ALL };
		return;
	}
	now->n = 1;
	now->at[0] = (struct leaf){ root, ACC_ALL };
	for (int level = fz.levels; level && now->n; level--) {
		next->n = 0;
		for (int k = 0; k < now->n; k++) {
			u64 gpa = now->at[k].gpa + index_of(va, level) * fz.esize;
			struct values s;
			u32 hw;

			entry_values(p, v, gpa, l->fresh[i], &s, &hw);
			if (show_entries)
				show_entry(level, gpa, &s);
			w->any |= s.any;
			w->ad_unknown |= s.ad_unknown;
			if (now->n != 1 || s.n != 1 || !hw)
				w->one_way = false;
			else if (s.v[0] & PTE_P && !is_pdpte(gpa))
				w->path[w->depth++] = hw;
			for (int e = 0; e < s.n; e++)
				walk_entry(w, &l->bits, va, level, s.v[e], now->at[k].acc, next);
		}
		done = now;
		now = next;
		next = done;
	}
}

static bool is_write(u32 kind)
{
	return kind == OP_WRITE || kind >= OP_SET4;
}

/* APM 2 "Page Protection", SDM 3A "Determination of Access Rights" */
bool allowed(const struct list *l, int i, u8 acc)
{
	const struct bits *b = &l->bits;
	u32 kind = l->op[i].kind;

	if (fz.mode == UNPAGED)
		return true;
	if (b->user && !(acc & ACC_U))
		return false;
	if (kind == OP_EXEC)
		return (acc & ACC_X) && (b->user || !b->smep || !(acc & ACC_U));
	if (!b->user && b->smap && !b->ac && (acc & ACC_U))
		return false;
	return !is_write(kind) || (acc & ACC_W) || (!b->user && !b->wp);
}

u32 fault_code(const struct list *l, int i)
{
	const struct bits *b = &l->bits;
	u32 kind = l->op[i].kind;

	return is_write(kind) * 2 + b->user * 4 +
	       (kind == OP_EXEC && (b->nx || b->smep)) * 16;
}

/* ---- what a round writes ---- */

static bool changed;

static void write_word(u32 hw, u64 v, u64 gpa)
{
	struct values *s = find(&written, hw, true);

	if (!s->n) {
		add(s, get_word(hw, fz.esize));
		s->gpa = gpa;
		changed = true;
	}
	if (s->gpa != gpa && !s->many)
		s->many = changed = true;
	changed |= add(s, v & ~(u64)AD);
}

/* A guest's write to the entry of one place. */
static void set_at(u32 hw, u64 gpa, u32 kind, u64 val)
{
	u64 first = hw & ~(u32)(fz.esize - 1);
	struct values old;

	if (kind == OP_SET8 && fz.mode == PPAE)
		write_word(hw, val & ~0xffffffffull, gpa);
	if (kind == OP_SET8 || (kind == OP_SET4 && fz.esize == 4)) {
		write_word(hw, val, gpa);
		if (fz.mode == P64)
			return;
	}
	write_word(first, get_word(first, fz.esize), gpa);
	old = *find(&written, first, true);
	for (int i = 0; i < old.n; i++) {
		u64 high = old.v[i] & ~0xffffffffull;

		if (kind == OP_SET1)
			write_word(first, (old.v[i] & ~0xffull) | (val & 0xff), gpa);
		else if (kind == OP_CLEAR)
			write_word(first, 0, gpa);
		if (kind == OP_CLEAR && fz.esize == 8)
			write_word(first, high, gpa);
		/* in two halves, between which others may write theirs */
		if (kind == OP_SET8) {
			write_word(first, high, gpa);
			write_word(first, high | (u32)val, gpa);
			write_word(first, (val & ~0xffffffffull) | (u32)old.v[i], gpa);
		}
		if (kind == OP_SET4 && fz.esize == 8)
			write_word(first, high | (u32)val, gpa);
	}
}

static void set_gpa(const struct round *p, u64 gpa, u32 kind, u64 val)
{
	int n = kind == OP_CLEAR ? val * 4 : 1;

	for (int k = 0; k < p->n_layouts; k++) {
		const struct layout *l = &p->layout[k];
		int slot, page = layout_page(l, gpa, &slot);

		if (page < 0 || (l->slot[slot].flags & KVM_MEM_READONLY))
			continue;
		for (int off = 0; off < n; off += fz.esize)
			set_at(page * PAGE + gpa % PAGE + off, unalias(l, gpa) + off, kind, val);
	}
}

/* The control area, and the window to the arena: mapped as they are, always. */
static bool direct(u64 addr)
{
	return fz.mode == UNPAGED || addr < USER_ALIAS || (addr >= ARENA && addr < ARENA_END);
}

/* May it be in the control area, where lists and handlers are? */
bool in_control(const struct round *p, const struct walk *w)
{
	struct places at;

	for (int k = 0; k < w->n; k++) {
		places_of(p, w->leaf[k].gpa, &at);
		for (int j = 0; j < at.n; j++)
			if (at.at[j].page >= 0 && at.at[j].page < (int)CONTROL_PAGES)
				return true;
	}
	return w->any;
}

static void plan_set(struct round *p, int v, struct list *l, int i)
{
	struct guest_op *o = &l->op[i];
	struct walk w;

	l->target[i] = 0;
	if (direct(o->addr)) {
		l->target[i] = o->addr;
		set_gpa(p, o->addr, o->kind, o->val);
		return;
	}
	walk(p, v, l, i, &w);
	if (in_control(p, &w)) {
		o->kind = OP_READ;
		o->addr &= ~0xfffull;
		return;
	}
	if (w.n == 1)
		l->target[i] = w.leaf[0].gpa + o->addr % PAGE;
	for (int k = 0; k < w.n; k++)
		if (allowed(l, i, w.leaf[k].acc))
			set_gpa(p, w.leaf[k].gpa + o->addr % PAGE, o->kind, o->val);
}

/* Do something with all words of a page that walks may come to. */
static void for_words(struct round *p, u32 page, bool arg,
		      void (*fn)(struct round *p, u32 hw, bool arg))
{
	for (int level = 1; level <= fz.levels; level++) {
		const u16 *list;
		int n = indices(level, &list);

		for (int i = 0; i < n; i++) {
			fn(p, page * PAGE + list[i] * fz.esize, arg);
		}
	}
}

static void touch_word(struct round *p, u32 hw, bool zero)
{
	u64 v = get_word(hw, fz.esize);

	if (v || find(&written, hw, false))
		write_word(hw, zero ? 0 : v, ~0u);
}

/* All of a page may become zero, or what it is. */
static void touch(struct round *p, u32 page, bool zero)
{
	p->touched[page] = true;
	if (page % 512 <= 0xc8)
		for_words(p, page, zero, touch_word);
}

static void plan_vmm(struct round *p, struct vmm_op *o)
{
	switch (o->kind) {
	case VMM_SET:
		write_word(o->page * PAGE + o->n, o->val, ~0u);
		break;
	case VMM_DONTNEED:
		for (u32 i = 0; i < o->n; i++)
			touch(p, o->page + i, o->page < CONTROL_PAGES + ANON_PAGES);
		break;
	case VMM_REPLACE:
		touch(p, o->page, false);
		break;
	case VMM_TAG:
		p->touched[o->page] = true;
		break;
	case VMM_PROTECT:
		/* nobody is there to see it but in a concurrent round */
		for (u32 i = 0; i < o->n && fz.concurrent; i++)
			if (p->hidden[o->page + i] != UNREADABLE)
				p->hidden[o->page + i] = o->val & 2 ? UNWRITABLE : UNREADABLE;
		break;
	default:
		break;
	}
}

/* ---- slots ---- */

static bool overlaps(const struct layout *l, int except, u64 gpa, u64 npages)
{
	if (gpa < ARENA || gpa + npages * PAGE > ARENA_END)
		return true;
	for (int i = 0; i < N_SLOTS; i++) {
		const struct slot *s = &l->slot[i];

		if (i != except && s->npages && gpa < s->gpa + (u64)s->npages * PAGE &&
		    s->gpa < gpa + npages * PAGE)
			return true;
	}
	return false;
}

static struct layout *next_layout(struct round *p)
{
	struct layout *l = &p->layout[p->n_layouts];

	if (p->n_layouts == MAX_LAYOUTS)
		die("too many layouts");
	*l = l[-1];
	p->n_layouts++;
	return l;
}

/* One that cannot be done becomes one that changes nothing. */
static void plan_slot(struct round *p, struct vmm_op *o)
{
	struct slot s = p->layout[p->n_layouts - 1].slot[o->slot];

	switch (o->kind) {
	case VMM_SLOT_FLAGS:
		s.flags ^= KVM_MEM_LOG_DIRTY_PAGES;
		next_layout(p)->slot[o->slot] = s;
		break;
	case VMM_SLOT_AGAIN:
		next_layout(p)->slot[o->slot] = (struct slot){ 0 };
		s.flags = o->val;
		next_layout(p)->slot[o->slot] = s;
		break;
	case VMM_SLOT_MOVE:
		if (overlaps(&p->layout[p->n_layouts - 1], o->slot, o->gpa, s.npages) || s.gpa == o->gpa) {
			o->kind = VMM_GET_LOG;
			return;
		}
		next_layout(p)->slot[o->slot] = (struct slot){ 0 };
		s.gpa = o->gpa;
		next_layout(p)->slot[o->slot] = s;
		break;
	case VMM_ALIAS:
		next_layout(p)->alias = (struct alias){ o->gpa, o->n, o->val };
		return;
	default:
		return;
	}
	p->log_changed[o->slot] = true;
}

void model_plan(struct round *p)
{
	int rounds = 0;

	clear(&written);
	p->layout[0] = fz.now;
	p->n_layouts = 1;
	memset(p->touched, 0, sizeof(p->touched));
	memset(p->hidden, 0, sizeof(p->hidden));
	memset(p->log_changed, 0, sizeof(p->log_changed));
	for (int t = 0; t < 2; t++)
		for (int i = 0; i < p->n_vmm[t]; i++)
			plan_slot(p, &p->vmm[t][i]);
	do {
		changed = false;
		for (int t = 0; t < 2; t++)
			for (int i = 0; i < p->n_vmm[t]; i++)
				plan_vmm(p, &p->vmm[t][i]);
		for (int v = 0; v < N_VCPUS; v++)
			for (int i = 0; i < p->list[v].n; i++)
				if (p->list[v].op[i].kind >= OP_SET4)
					plan_set(p, v, &p->list[v], i);
	} while (changed && ++rounds < 50);
}

/* ---- after a round ---- */

/* Which words were written for sure, through which address. */
static void mark_done(struct round *p, const struct list *l, int i)
{
	const struct guest_op *o = &l->op[i];
	struct places at;
	int n = o->kind == OP_CLEAR ? o->val * 4 : 1;

	if (o->kind < OP_SET4 || o->err || !l->target[i])
		return;
	places_of(p, l->target[i], &at);
	if (at.n != 1 || at.at[0].page < 0 || at.at[0].ro)
		return;
	for (int off = 0; off < n; off += fz.esize) {
		u32 hw = (at.at[0].page * PAGE + l->target[i] % PAGE + off) & ~(u32)(fz.esize - 1);
		struct values *s = find(&written, hw, false);

		if (s)
			s->done = true;
	}
}

static void commit_at(u64 gpa, const struct values *s)
{
	struct values *f = find(&former, gpa, true), *st;
	bool exact = s->done && !s->many && s->gpa == (gpa & ~(u64)(fz.esize - 1));
	struct values old = *s;

	add_all(&old, f);
	for (int v = 0; v < N_VCPUS; v++) {
		st = find(&stale[v], gpa, true);
		st->any |= old.any;
		for (int i = 0; i < old.n; i++)
			if ((old.v[i] & PTE_P) || is_pdpte(gpa))
				add(st, old.v[i]);
	}
	if (exact || !fz.shadow) {
		f->n = 0;
		f->any = f->ad_unknown = false;
	} else {
		add_all(f, &old);
		f->ad_unknown = true;
	}
}

/* Call fn for each gpa that a host word has in the round. */
static void for_gpas(const struct round *p, u32 hw, const struct values *s,
		     void (*fn)(u64 gpa, const struct values *s))
{
	u64 seen[MAX_LAYOUTS * N_SLOTS];
	int n = 0, i;

	for (int k = 0; k < p->n_layouts; k++) {
		for (int j = 0; j < N_SLOTS; j++) {
			const struct slot *sl = &p->layout[k].slot[j];
			u64 gpa = sl->gpa + ((u64)hw - (u64)sl->page * PAGE);

			if (hw / PAGE - sl->page >= sl->npages)
				continue;
			for (i = 0; i < n && seen[i] != gpa; i++)
				;
			if (i < n)
				continue;
			seen[n++] = gpa;
			fn(gpa, s);
		}
	}
}

/* Accessed and dirty bits may have been impossible to set. */
static void forget_ad(u64 gpa, const struct values *s)
{
	find(&former, gpa, true)->ad_unknown = true;
	(void)s;
}

static void commit_hidden(struct round *p, u32 hw, bool arg)
{
	if (get_word(hw, fz.esize))
		for_gpas(p, hw, NULL, forget_ad);
}

/* A slot that went took the shadows of its tables along. */
static void forget(const struct slot *s)
{
	for (int i = 0; i < former.n; i++) {
		u32 k = former.used[i];

		if (former.key[k] - 1 - s->gpa < s->npages * PAGE) {
			former.val[k].n = 0;
			former.val[k].any = former.val[k].ad_unknown = false;
		}
	}
}

static void commit_layouts(const struct round *p)
{
	static const struct slot all = { .npages = ~0u / PAGE };

	for (int k = 1; k < p->n_layouts; k++) {
		const struct layout *a = &p->layout[k - 1], *b = &p->layout[k];

		if (memcmp(&a->alias, &b->alias, sizeof(a->alias)))
			forget(&all);
		for (int j = 0; j < N_SLOTS; j++)
			if (a->slot[j].gpa != b->slot[j].gpa || a->slot[j].npages != b->slot[j].npages)
				forget(&a->slot[j]);
	}
	fz.now = p->layout[p->n_layouts - 1];
}

void model_commit(struct round *p)
{
	for (int v = 0; v < N_VCPUS; v++) {
		struct list *l = &p->list[v];

		for (int i = 0; i < l->n; i++)
			mark_done(p, l, i);
		for (int i = 0; i < l->n; i++) {
			if (l->op[i].kind == OP_CR3 && (!fz.concurrent || p->check)) {
				clear(&stale[v]);
				break;
			}
		}
	}
	commit_layouts(p);
	for (int i = 0; i < written.n; i++) {
		u32 k = written.used[i];
		struct values *s = &written.val[k];
		u32 hw = written.key[k] - 1;
		u64 now = get_word(hw, fz.esize);
		int j;

		for (j = 0; j < s->n && s->v[j] != now; j++)
			;
		if (j == s->n && !s->any)
			fail("word %#x of host page %u is %#lx, which nobody wrote",
			     hw % PAGE, hw / PAGE, now);
		for_gpas(p, hw, s, commit_at);
	}
	for (u32 i = CONTROL_PAGES; i < N_PAGES && fz.concurrent && !p->check; i++)
		if (p->hidden[i] && i % 512 <= 0xc8)
			for_words(p, i, false, commit_hidden);
}
