// SPDX-License-Identifier: GPL-2.0-only
/* A round: planned, done by one thread or by many, and compared with the model. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include "mmu.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void fail(const char *fmt, ...)
{
	va_list ap;

	pthread_mutex_lock(&lock);
	if (!fz.failed++)
		printf("# --seed %#lx --case %d differs in round %d, after %ld s:\n", fz.seed, fz.case_nr,
		       fz.round_nr, (long)(time(NULL) - fz.begin));
	if (fz.failed < 20) {
		printf("# ");
		va_start(ap, fmt);
		vprintf(fmt, ap);
		va_end(ap);
		printf("\n");
		fflush(stdout);
	}
	pthread_mutex_unlock(&lock);
}

/* ---- showing ---- */

static void show_list(int v, const struct list *l)
{
	static const char * const names[] = {
		"end", "read", "write", "exec", "invlpg", "cr3", "set4", "set8", "set1", "clear"
	};

	if (!l->n)
		return;
	printf("#   vcpu %d:%s%s%s%s%s%s root %d\n", v, l->bits.user ? " user" : "",
	       l->bits.ac ? " ac" : "", l->bits.wp ? " wp" : "", l->bits.nx ? " nx" : "",
	       l->bits.smep ? " smep" : "", l->bits.smap ? " smap" : "", l->bits.root);
	for (int i = 0; i < l->n; i++)
		printf("#     %s %#lx %#lx: %#x, %#lx\n", names[l->op[i].kind], l->op[i].addr,
		       l->op[i].val, l->op[i].err, l->op[i].out);
}

static void show_round(const struct round *p)
{
	static const char * const names[] = {
		"set", "dontneed", "tag", "replace", "protect", "collapse", "split", "ksm", "fork",
		"slot flags", "slot again", "slot move", "get log", "limit", "alias"
	};

	printf("# round %d%s\n", fz.round_nr, p->check ? ", to check" : "");
	for (int i = 0; i < N_SLOTS; i++)
		printf("#   slot %d: gpa %#x, %#x pages from host page %u, flags %#x\n", i,
		       p->layout[0].slot[i].gpa, p->layout[0].slot[i].npages, p->layout[0].slot[i].page,
		       p->layout[0].slot[i].flags);
	for (int v = 0; v < N_VCPUS; v++)
		show_list(v, &p->list[v]);
	for (int t = 0; t < 2; t++)
		for (int i = 0; i < p->n_vmm[t]; i++)
			printf("#   vmm %d: %s page %u n %#x slot %d gpa %#lx %#lx\n", t,
			       names[p->vmm[t][i].kind], p->vmm[t][i].page, p->vmm[t][i].n,
			       p->vmm[t][i].slot, p->vmm[t][i].gpa, p->vmm[t][i].val);
	fflush(stdout);
}

static void show_walk(const struct round *p, int v, const struct list *l, int i, struct walk *w)
{
	static const char * const modes[] = { "unpaged", "32-bit", "32-bit, 4M pages", "PAE", "64-bit" };

	show_entries = true;
	walk(p, v, l, i, w);
	show_entries = false;
	printf("#   %s, vcpu %d, op %d of %d, fresh %d; allowed:%s%s%s\n", modes[fz.mode], v, i, l->n,
	       l->fresh[i], w->none ? " not present," : "", w->rsvd ? " reserved," : "",
	       w->any ? " anything," : "");
	for (int k = 0; k < w->n; k++) {
		struct places at;

		places_of(p, w->leaf[k].gpa, &at);
		printf("#     gpa %#lx access %d, %s, host page", w->leaf[k].gpa, w->leaf[k].acc,
		       allowed(l, i, w->leaf[k].acc) ? "allowed" : "denied");
		for (int j = 0; j < at.n; j++)
			printf(" %d%s", at.at[j].page, at.at[j].ro ? " (ro)" : "");
		printf("\n");
	}
	for (int k = 0; k < w->depth; k++)
		printf("#     entry at %#x of host page %u: %#lx\n", w->path[k] % PAGE, w->path[k] / PAGE,
		       *(u64 *)host_word(w->path[k]));
	fflush(stdout);
}

/* ---- dirty logs: a write must be in one ---- */

static u8 must[N_SLOTS][CONTROL_PAGES], seen[N_SLOTS][CONTROL_PAGES];

void run_reset(void)
{
	memset(must, 0, sizeof(must));
	memset(seen, 0, sizeof(seen));
}

void check_log(int slot, const u64 *bits)
{
	for (u32 i = 0; i < fz.now.slot[slot].npages; i++)
		if (bits[i / 64] >> (i % 64) & 1)
			seen[slot][i] = 1;
}

static void must_log(const struct round *p, u64 gpa)
{
	for (int i = 1; i < N_SLOTS; i++) {
		const struct slot *s = &p->layout[0].slot[i];

		if (gpa - s->gpa < (u64)s->npages * PAGE && (s->flags & KVM_MEM_LOG_DIRTY_PAGES) &&
		    !p->log_changed[i] && !p->layout[0].alias.npages && p->n_layouts == 1)
			must[i][(gpa - s->gpa) / PAGE] = 1;
	}
}

static void compare_logs(const struct round *p, bool get)
{
	for (int i = 1; i < N_SLOTS; i++) {
		struct vmm_op o = { .kind = VMM_GET_LOG, .slot = i };

		if (p->log_changed[i]) {
			memset(must[i], 0, sizeof(must[i]));
			memset(seen[i], 0, sizeof(seen[i]));
		}
		if (!get || !(fz.now.slot[i].flags & KVM_MEM_LOG_DIRTY_PAGES))
			continue;
		vmm_run(&o);
		for (u32 k = 0; k < fz.now.slot[i].npages; k++)
			if (must[i][k] && !seen[i][k])
				fail("slot %d, page %#x was written, and is not in its dirty log", i, k);
		memset(must[i], 0, sizeof(must[i]));
		memset(seen[i], 0, sizeof(seen[i]));
	}
}

/* ---- what vcpus wrote as data ---- */

enum { UNWRITTEN, KNOWN, UNKNOWN };
static struct last { u8 what, op; u32 val; } last[N_VCPUS][N_PAGES];
static struct { u8 vcpu; u32 page; } noted[4096];
static int n_noted;

static void note(int v, u32 page, u8 what, u32 val, int op)
{
	struct last *l = &last[v][page];

	if (l->what == UNWRITTEN && n_noted < (int)ARRAY_LEN(noted)) {
		noted[n_noted].vcpu = v;
		noted[n_noted++].page = page;
	}
	l->what = what;
	l->val = val;
	l->op = op;
}

static void note_write(const struct round *p, int v, const struct list *l, int i, const struct walk *w)
{
	struct places at;
	bool sure = w->n == 1 && !w->any;

	for (int k = 0; k < w->n; k++) {
		places_of(p, w->leaf[k].gpa, &at);
		for (int j = 0; j < at.n; j++) {
			if (at.at[j].page < 0 || at.at[j].ro || !allowed(l, i, w->leaf[k].acc))
				continue;
			note(v, at.at[j].page, sure && at.n == 1 ? KNOWN : UNKNOWN, l->op[i].val, i);
			if (sure && at.n == 1)
				must_log(p, w->leaf[k].gpa);
		}
	}
}

/* Where it went instead. */
static void show_lost(const struct round *p, int v, const struct last *l)
{
	struct walk w;

	show_walk(p, v, &p->list[v], l->op, &w);
	for (u32 page = 0; page < N_PAGES; page++)
		if (*(volatile u32 *)(host(page) + AT_WORD + 4 * v) == l->val)
			printf("#   it is in host page %u\n", page);
}

static void compare_writes(const struct round *p)
{
	while (n_noted) {
		u32 v = noted[--n_noted].vcpu, page = noted[n_noted].page, now;
		struct last *l = &last[v][page];

		now = *(volatile u32 *)(host(page) + AT_WORD + 4 * v);
		if (l->what == KNOWN && !p->touched[page] && now != l->val) {
			fail("vcpu %u, op %d wrote %#x to host page %u, which has %#x", v, l->op, l->val,
			     page, now);
			show_lost(p, v, l);
		}
		l->what = UNWRITTEN;
	}
}

/* ---- accesses ---- */

static bool fault_fits(const struct list *l, int i, const struct walk *w)
{
	const struct guest_op *o = &l->op[i];
	u32 code = fault_code(l, i), got = o->err & 0xffff;
	u64 addr = fz.mode == P64 ? o->addr : (u32)o->addr;
	u32 size = o->kind == OP_CLEAR ? o->val * 4 : o->kind == OP_SET8 ? 8 :
		   o->kind == OP_EXEC ? CODE_SIZE : 1;

	if ((o->err & ~0xffffu) != (FAULTED | 14 << 16))
		return false;
	/* stored in parts, or executed in two instructions, of which a later one may fault */
	if (o->out - addr >= size)
		return false;
	if (w->none && got == code)
		return true;
	/* QEMU's own walks do not say that the entry was present */
	if (w->rsvd && (got | (fz.tcg ? 1 : 0)) == (code | 9))
		return true;
	for (int k = 0; k < w->n; k++)
		if (!allowed(l, i, w->leaf[k].acc) && got == (code | 1))
			return true;
	return false;
}

static bool value_fits(const struct round *p, u32 kind, u64 gpa, u64 val)
{
	struct places at;

	places_of(p, gpa, &at);
	for (int j = 0; j < at.n; j++) {
		int page = at.at[j].page;

		if (page < 0) {
			if (kind == OP_READ && (u32)val == MMIO_TAG(gpa))
				return true;
			continue;
		}
		if (kind == OP_EXEC ? (u32)val == TAG(page) :
		    (u32)val == *(volatile u32 *)(host(page) + AT_TAG))
			return true;
		if (p->touched[page] && ((u32)val == TAG(page) || !val))
			return true;
	}
	return false;
}

static bool access_fits(const struct round *p, const struct list *l, int i, const struct walk *w)
{
	const struct guest_op *o = &l->op[i];

	if (w->any)
		return true;
	if (o->err)
		return fault_fits(l, i, w);
	for (int k = 0; k < w->n; k++) {
		if (!allowed(l, i, w->leaf[k].acc))
			continue;
		if ((o->kind != OP_READ && o->kind != OP_EXEC) ||
		    value_fits(p, o->kind, w->leaf[k].gpa, o->out))
			return true;
	}
	return false;
}

static bool read_only(const struct round *p, u32 page)
{
	for (int k = 0; k < p->n_layouts; k++)
		for (int i = 0; i < N_SLOTS; i++)
			if (page - p->layout[k].slot[i].page < p->layout[k].slot[i].npages &&
			    (p->layout[k].slot[i].flags & KVM_MEM_READONLY))
				return true;
	return false;
}

/* After a sure way: accessed bits all along, and the dirty bit only by a write. */
static void check_ad(const struct round *p, int v, const struct list *l, int i, struct walk *w)
{
	bool write = l->op[i].kind == OP_WRITE || l->op[i].kind >= OP_SET4;
	u64 e = 0;

	if (!w->one_way || w->ad_unknown || l->fresh[i] == STALE || w->n != 1 || l->op[i].err)
		return;
	for (int k = 0; k < w->depth; k++) {
		if (read_only(p, w->path[k] / PAGE))
			return;
		e = *(u64 *)host_word(w->path[k]);
		if (e & PTE_A)
			continue;
		fail("vcpu %d went through an entry without setting its accessed bit", v);
		show_walk(p, v, l, i, w);
		return;
	}
	if (write ? e & PTE_D : !l->leaf[i] || !(e & PTE_D))
		return;
	fail("vcpu %d: %s", v, write ? "a write did not set the dirty bit" : "a read set the dirty bit");
	show_walk(p, v, l, i, w);
}

static void check_op(const struct round *p, int v, struct list *l, int i)
{
	struct guest_op *o = &l->op[i];
	struct walk w;

	if (o->kind == OP_INVLPG || o->kind == OP_CR3 || (o->kind >= OP_SET4 && l->target[i] == o->addr)) {
		if (o->err)
			fail("vcpu %d, op %d: kind %u ended with %#x", v, i, o->kind, o->err);
		if (o->kind >= OP_SET4)
			COUNT(sets);
		else
			COUNT(flushes);
		return;
	}
	walk(p, v, l, i, &w);
	COUNT(accesses);
	if (o->err)
		COUNT(faults);
	if (w.any)
		COUNT(unsure);
	if (w.n + w.none + w.rsvd == 1)
		COUNT(exact);
	if (!access_fits(p, l, i, &w)) {
		fail("vcpu %d, op %d at %#lx: kind %u ended with %#x, %#lx", v, i, o->addr, o->kind,
		     o->err, o->out);
		show_walk(p, v, l, i, &w);
		return;
	}
	if (o->kind == OP_WRITE && !o->err)
		note_write(p, v, l, i, &w);
	if (!fz.concurrent || p->check)
		check_ad(p, v, l, i, &w);
}

/* ---- before ---- */

/* Executed is only what has code in it for sure, and written only the arena. */
static void tame(const struct round *p, int v, struct list *l, int i)
{
	struct places at;
	struct walk w;

	walk(p, v, l, i, &w);
	w.any = in_control(p, &w);
	for (int k = 0; k < w.n && !w.any && l->op[i].kind == OP_EXEC; k++) {
		places_of(p, w.leaf[k].gpa, &at);
		for (int j = 0; j < at.n; j++) {
			int page = at.at[j].page;

			if (page < 0 || p->touched[page] || !has_tag(page))
				w.any = true;
		}
	}
	if (w.any)
		l->op[i].kind = OP_READ;
}

static void prepare(struct round *p)
{
	struct walk w;

	for (int v = 0; v < N_VCPUS; v++) {
		struct list *l = &p->list[v];
		bool clean = !fz.concurrent;	/* nobody sets a dirty bit */

		for (int i = 0; i < l->n; i++)
			clean &= l->op[i].kind != OP_WRITE;

		for (int i = 0; i < l->n; i++) {
			if (l->op[i].kind == OP_EXEC || l->op[i].kind == OP_WRITE)
				tame(p, v, l, i);
			if (l->op[i].kind == OP_WRITE)
				l->op[i].addr += AT_WORD + 4 * v;
			else if (l->op[i].kind == OP_READ)
				l->op[i].addr += AT_TAG;
			else if (l->op[i].kind == OP_EXEC)
				l->op[i].addr += AT_CODE;
			l->leaf[i] = 0;
			if (!clean || l->op[i].kind != OP_READ)
				continue;
			walk(p, v, l, i, &w);
			if (w.one_way && w.n == 1 && w.depth && !(*(u64 *)host_word(w.path[w.depth - 1]) & PTE_D))
				l->leaf[i] = w.path[w.depth - 1];
		}
	}
}

/* ---- a round ---- */

static struct round *running;

static void *vcpu_thread(void *arg)
{
	long v = (long)arg;

	list_run(v, &running->list[v]);
	return NULL;
}

static void *vmm_thread(void *arg)
{
	long t = (long)arg;

	for (int i = 0; i < running->n_vmm[t]; i++)
		vmm_run(&running->vmm[t][i]);
	return NULL;
}

static void run_concurrently(struct round *p)
{
	pthread_t thread[N_VCPUS + 2];
	int n = 0;

	running = p;
	for (long v = 0; v < N_VCPUS; v++)
		if (p->list[v].n && pthread_create(&thread[n++], NULL, vcpu_thread, (void *)v))
			die("pthread_create");
	for (long t = 0; t < 2; t++)
		if (p->n_vmm[t] && pthread_create(&thread[n++], NULL, vmm_thread, (void *)t))
			die("pthread_create");
	while (n)
		pthread_join(thread[--n], NULL);
}

static void run_one(struct round *p)
{
	running = p;
	for (long v = 0; v < N_VCPUS; v++)
		if (p->list[v].n)
			vcpu_thread((void *)v);
	vmm_thread((void *)0);
}

void round_run(struct round *p)
{
	struct rnd r = rnd_of(fz.seed, ~fz.case_nr, fz.round_nr);

	plan_round(p);
	model_plan(p);
	prepare(p);
	if (trace)
		show_round(p);
	if (fz.concurrent)
		run_concurrently(p);
	else
		run_one(p);
	for (int v = 0; v < N_VCPUS; v++)
		for (int i = 0; i < p->list[v].n; i++)
			check_op(p, v, &p->list[v], i);
	compare_writes(p);
	model_commit(p);
	compare_logs(p, percent(&r, fz.concurrent ? 40 : 8));
	COUNT(rounds);
	if (fz.failed)
		show_round(p);
}
