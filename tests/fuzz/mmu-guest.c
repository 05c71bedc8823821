// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VM of a case: its control area and vcpus, the agent's runs, and what the VMM does
 * to guest memory.
 */
#include <linux/memfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "mmu.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE	25
#endif

#define AGENT(what)	(fz.mode == P64 ? fuzz_agent64##what : fuzz_agent32##what)
#define BLOCK(v)	(GPA_BLOCKS + (v) * 0x10000u)
#define TSS_IN_BLOCK	0xa000u
#define STACK_IN_BLOCK	0xfff0u

extern const u8 fuzz_agent32[], fuzz_agent32_next[], fuzz_agent32_end[];
extern const u8 fuzz_agent64[], fuzz_agent64_next[], fuzz_agent64_end[];
extern const u8 fuzz_stubs32[], fuzz_stubs32_end[], fuzz_stubs64[], fuzz_stubs64_end[];

/* ---- memory ---- */

void set_tag(u32 page)
{
	u8 *p = host(page);
	u32 tag = TAG(page);

	*(volatile u32 *)(p + AT_TAG) = tag;
	p[AT_CODE] = 0xb8;				/* mov $tag, %eax; jmp *%ebp */
	memcpy(p + AT_CODE + 1, &tag, 4);
	p[AT_CODE + 5] = 0xff;
	p[AT_CODE + 6] = 0xe5;
}

bool has_tag(u32 page)
{
	u32 tag;

	memcpy(&tag, host(page) + AT_CODE + 1, 4);
	return tag == TAG(page);
}

static void make_backing(struct rnd *r)
{
	u8 *raw = xmmap((BACKING_PAGES + 512) * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	u8 *b = (u8 *)(((uintptr_t)raw + REGION - 1) & ~(uintptr_t)(REGION - 1));
	u32 shared = (BACKING_PAGES - ANON_PAGES) * PAGE;
	int fd = syscall(SYS_memfd_create, "fuzz", 0);

	munmap(raw, b - raw);
	munmap(b + BACKING_PAGES * PAGE, raw + 512 * PAGE - b);
	fz.backing = b;
	if (fd < 0 || ftruncate(fd, shared) ||
	    mmap(b + ANON_PAGES * PAGE, shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		 0) == MAP_FAILED)
		die("the shared part of guest memory");
	close(fd);
	for (u32 i = 0; i < ANON_PAGES; i += 512)
		madvise(b + i * PAGE, REGION, percent(r, 60) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	for (u32 i = 0; i < BACKING_PAGES; i++) {
		b[i * PAGE] = 0;			/* there at all */
		if (i % 512 <= 0x48)
			set_tag(CONTROL_PAGES + i);
	}
}

/* ---- the control area ---- */

static void put(u64 gpa, u64 e)
{
	memcpy(fz.vm.mem + gpa, &e, fz.esize);
}

/* The tables of the first 4M, and of the same for users. */
static void map_small(u64 table, u64 flags)
{
	for (u32 i = 0; i < CONTROL_PAGES; i++)
		put(table + i * fz.esize, i * PAGE | flags);
}

/* The arena's window, by large pages or by small ones. */
static void map_window(u64 dir, u64 tables)
{
	u64 size = fz.esize == 4 ? 0x400000 : 0x200000, flags = PTE_P | PTE_W;

	for (u64 at = ARENA; at < ARENA_END; at += size) {
		u64 entry = dir + at / size * fz.esize;

		if (fz.window_large) {
			put(entry, at | flags | PTE_PS);
			continue;
		}
		put(entry, tables | flags);
		for (u32 i = 0; i < size / PAGE; i++)
			put(tables + i * fz.esize, (at + i * PAGE) | flags);
		tables += PAGE;
	}
}

static void make_control(void)
{
	const u64 rw = PTE_P | PTE_W, user = rw | PTE_U;
	u64 dir = GPA_CONTROL, pdpt = GPA_CONTROL + PAGE, s = GPA_CONTROL + 2 * PAGE;
	u64 u = s + 2 * PAGE;

	memset(fz.vm.mem + GPA_ROOTS, 0, 0x100000);
	if (fz.mode == UNPAGED)
		return;
	map_small(s, rw);
	map_small(u, user);
	if (fz.esize == 4) {
		for (u32 i = 0; i < N_ROOTS; i++) {
			dir = GPA_ROOTS + i * PAGE;
			put(dir, s | rw);
			put(dir + 4, u | user);
			map_window(dir, u + 2 * PAGE);
		}
		return;
	}
	for (u32 i = 0; i < 2; i++) {
		put(dir + i * 8, (s + i * PAGE) | rw);
		put(dir + 16 + i * 8, (u + i * PAGE) | user);
	}
	map_window(dir, u + 2 * PAGE);
	put(pdpt, dir | user);
	for (u32 i = 0; i < N_ROOTS; i++)
		put(GPA_ROOTS + i * PAGE, fz.mode == P64 ? pdpt | user : dir | PTE_P);
}

static void make_handlers(void)
{
	u32 to = GPA_HANDLERS + PAGE;
	bool lm = fz.mode == P64;

	if (lm)
		vm_load(&fz.vm, to, fuzz_stubs64, fuzz_stubs64_end);
	else
		vm_load(&fz.vm, to, fuzz_stubs32, fuzz_stubs32_end);
	for (u32 i = 0; i < 32; i++, to += 16) {
		u64 gate = (to & 0xffff) | (u64)(to >> 16) << 48 | 0x8e00ull << 32 |
			   (u64)(lm ? SEL_CODE64 : SEL_CODE32) << 16;

		*(u64 *)(fz.vm.mem + GPA_HANDLERS + i * (lm ? 16 : 8)) = gate;
		if (lm)
			*(u64 *)(fz.vm.mem + GPA_HANDLERS + i * 16 + 8) = 0;
	}
	vm_load(&fz.vm, GPA_AGENT, AGENT(), AGENT(_end));
}

static void make_vcpu(int v)
{
	static const enum vm_mode like[] = { PROT, PG32, PSE32, PAE, LONG };
	struct kvm_sregs *s = &fz.sregs[v];
	u8 *tss = fz.vm.mem + BLOCK(v) + TSS_IN_BLOCK;

	if (v)
		vcpu_create(&fz.vm, &fz.vcpu[v], v);
	else
		fz.vcpu[0] = fz.vm.vcpu;
	vm_mode(&fz.vm, &fz.vcpu[v], like[fz.mode]);
	*s = vcpu_sregs(&fz.vcpu[v]);
	memset(tss, 0, 0x68);
	*(u32 *)(tss + 4) = BLOCK(v) + STACK_IN_BLOCK;
	if (fz.mode != P64)
		*(u32 *)(tss + 8) = SEL_DATA;
	*(u16 *)(tss + 0x66) = 0x68;
	s->tr.base = BLOCK(v) + TSS_IN_BLOCK;
	s->idt.base = GPA_HANDLERS;
	s->idt.limit = 32 * (fz.mode == P64 ? 16 : 8) - 1;
	s->ds.selector = SEL_UDATA;
	s->ds.dpl = 3;
	s->es = s->fs = s->gs = s->ds;
	if (fz.mode != UNPAGED)
		s->cr3 = GPA_ROOTS;
	if (fz.mode == P32)
		s->cr4 = 0;
}

static void set_slot(int i, const struct slot *s)
{
	if (vm_slot(&fz.vm, i, s->flags, s->gpa, (u64)s->npages * PAGE, host(s->page)))
		fail("slot %d at %#x, %u pages: errno %d", i, s->gpa, s->npages, errno);
}

void guest_begin(struct rnd *r)
{
	vm_create(&fz.vm);
	make_backing(r);
	for (int v = 0; v < N_VCPUS; v++)
		make_vcpu(v);
	make_control();
	make_handlers();
	plan_layout(r);
	for (int i = 1; i < N_SLOTS; i++)
		set_slot(i, &fz.now.slot[i]);
	if (percent(r, 30))
		vm_slot(&fz.vm, 0, KVM_MEM_LOG_DIRTY_PAGES, 0, MEM_SIZE, fz.vm.mem);
	if (percent(r, 30))
		ioctl(fz.vm.fd, KVM_SET_NR_MMU_PAGES, 64l);
	plan_tables(r);
}

void guest_end(void)
{
	for (int v = 1; v < N_VCPUS; v++) {
		munmap(fz.vcpu[v].run, fz.vm.run_size);
		close(fz.vcpu[v].fd);
	}
	vm_destroy(&fz.vm);
	munmap(fz.backing, BACKING_PAGES * PAGE);
}

/* ---- a run ---- */

/* An emulator sets the accessed bits of PDPTEs, where they are reserved. */
static void clean_pdptes(void)
{
	for (u32 gpa = GPA_ROOTS; fz.mode == PPAE && gpa < GPA_CONTROL; gpa += 8)
		*(volatile u64 *)(fz.vm.mem + gpa) &= ~(u64)AD;
}

static void set_bits(int v, const struct bits *b)
{
	struct kvm_sregs s = fz.sregs[v];
	int tries = 0;

	s.cs.selector = b->user ? (fz.mode == P64 ? SEL_UCODE64 : SEL_UCODE32) :
			(fz.mode == P64 ? SEL_CODE64 : SEL_CODE32);
	s.ss.selector = b->user ? SEL_UDATA : SEL_DATA;
	s.cs.dpl = s.ss.dpl = b->user * 3;
	s.cr0 = b->wp ? s.cr0 | CR0_WP : s.cr0 & ~CR0_WP;
	s.cr4 |= (b->smep ? CR4_SMEP : 0) | (b->smap ? CR4_SMAP : 0);
	s.efer |= b->nx ? EFER_NX : 0;
	if (fz.mode != UNPAGED)
		s.cr3 = GPA_ROOTS + b->root * PAGE;
	do
		clean_pdptes();
	while (ioctl(fz.vcpu[v].fd, KVM_SET_SREGS, &s) && fz.mode == PPAE && ++tries < 1000);
	if (tries == 1000)
		fail("vcpu %d: KVM_SET_SREGS: errno %d", v, errno);
}

/* One of the VMM's threads does not use what another has taken away for a moment. */
static pthread_rwlock_t rights = PTHREAD_RWLOCK_INITIALIZER;
static pthread_mutex_t slots = PTHREAD_MUTEX_INITIALIZER;

/* Memory, to which the emulator of instructions had no rights just now: the VMM uses it itself. */
static bool answer_memory(struct kvm_run *run)
{
	u64 gpa = run->mmio.phys_addr;
	int slot, page;
	u8 *p;

	pthread_mutex_lock(&slots);
	page = layout_page(&fz.now, gpa, &slot);
	if (page >= 0 && run->mmio.is_write && (fz.now.slot[slot].flags & KVM_MEM_READONLY))
		page = -1;
	pthread_mutex_unlock(&slots);
	if (page < 0)
		return false;
	p = host(page) + gpa % PAGE;
	pthread_rwlock_rdlock(&rights);
	if (run->mmio.is_write)
		memcpy(p, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, p, run->mmio.len);
	pthread_rwlock_unlock(&rights);
	return true;
}

static void answer_mmio(struct kvm_run *run)
{
	u32 tag = MMIO_TAG(run->mmio.phys_addr);

	COUNT(mmio);
	if (answer_memory(run) || run->mmio.is_write)
		return;
	memset(run->mmio.data, 0, 8);
	if (run->mmio.phys_addr % PAGE >= AT_TAG)
		memcpy(run->mmio.data, &tag, 4);
}

/* Why the modules killed the VM: the audit, most likely. */
static void show_death(void)
{
	static char log[0x10000];
	int n = klogctl(3, log, sizeof(log) - 1);	/* read all */
	char *last = NULL;

	log[n < 0 ? 0 : n] = 0;
	for (char *p = log; (p = strstr(p, "is dead, ")); p++)
		last = p;
	if (last)
		fail("the VM %.*s", (int)strcspn(last, "\n"), last);
}

/* Until the list has ended.  EFAULT: the VMM has taken a page's rights for a moment. */
static void run_agent(int v)
{
	struct vcpu *vcpu = &fz.vcpu[v];
	time_t begin = time(NULL);
	int exit;

	for (;;) {
		exit = ioctl(vcpu->fd, KVM_RUN, 0l) ? -errno : (int)vcpu->run->exit_reason;
		if (exit == KVM_EXIT_IO && vcpu->run->io.port == 0x11)
			return;
		if (exit == KVM_EXIT_MMIO)
			answer_mmio(vcpu->run);
		else if (exit == -EFAULT)
			usleep(100);
		else if (exit != -EINTR && exit != -EAGAIN)
			break;
		if (time(NULL) - begin > 60 * (getenv("LAB_FACTOR") ? atoi(getenv("LAB_FACTOR")) : 100) / 100)
			break;
	}
	fail("vcpu %d: its run ended by %s", v, exit_name(exit));
	if (exit == -EIO)
		show_death();
	vcpu_dump(vcpu, "the end of a run");
}

void list_run(int v, struct list *l)
{
	u64 alias = l->bits.user && fz.mode != UNPAGED ? USER_ALIAS : 0;
	struct guest_op *ops = (struct guest_op *)(fz.vm.mem + BLOCK(v));
	struct kvm_regs r = {
		.rip = GPA_AGENT + alias, .rsp = BLOCK(v) + STACK_IN_BLOCK, .rsi = BLOCK(v) + alias,
		.rbp = GPA_AGENT + alias + (AGENT(_next) - AGENT()),
		.rflags = 0x3202 | (l->bits.ac ? BIT(18) : 0),
	};

	memcpy(ops, l->op, l->n * sizeof(*ops));
	memset(ops + l->n, 0, sizeof(*ops));
	set_bits(v, &l->bits);
	if (ioctl(fz.vcpu[v].fd, KVM_SET_REGS, &r))
		fail("vcpu %d: KVM_SET_REGS: errno %d", v, errno);
	else
		run_agent(v);
	memcpy(l->op, ops, l->n * sizeof(*ops));
}

/* ---- the VMM ---- */

static void protect(const struct vmm_op *o)
{
	int prot = o->val & 2 ? PROT_READ : PROT_NONE;

	if (mprotect(host(o->page), o->n * PAGE, prot))
		fail("mprotect: errno %d", errno);
	if (fz.concurrent)
		usleep(o->val >> 8 & 0x7f);
	if (mprotect(host(o->page), o->n * PAGE, PROT_READ | PROT_WRITE))
		fail("mprotect back: errno %d", errno);
}

/* Another page in its place, with the same in it. */
static void replace(const struct vmm_op *o)
{
	u8 *p = host(o->page), *copy;

	copy = xmmap(PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memcpy(copy, p, PAGE);
	if (o->page >= CONTROL_PAGES + ANON_PAGES) {
		munmap(copy, PAGE);
		madvise(p, PAGE, MADV_DONTNEED);
	} else if (mremap(copy, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p) != p) {
		fail("mremap: errno %d", errno);
	}
}

/* A child shares all pages for a moment, so each write copies. */
static void fork_for(u32 us)
{
	pid_t pid = fork();

	if (!pid) {
		usleep(us);
		_exit(0);
	}
	if (pid > 0 && !fz.concurrent)
		waitpid(pid, NULL, 0);
}

static void get_log(const struct vmm_op *o)
{
	u64 bits[CONTROL_PAGES / 64];
	struct kvm_dirty_log log = { .slot = o->slot, .dirty_bitmap = bits };

	if (ioctl(fz.vm.fd, KVM_GET_DIRTY_LOG, &log))
		return;
	check_log(o->slot, bits);
}

static void set_alias(const struct vmm_op *o)
{
	struct kvm_memory_alias a = {
		.slot = 0, .guest_phys_addr = o->gpa, .memory_size = (u64)o->n * PAGE,
		.target_phys_addr = o->val,
	};

	if (ioctl(fz.vm.fd, KVM_SET_MEMORY_ALIAS, &a))
		fail("KVM_SET_MEMORY_ALIAS: errno %d", errno);
}

/* What the plan has said of slots is the present state, as one thread changes them. */
static void change_slot(struct vmm_op *o)
{
	static struct slot none;
	struct slot *s = &fz.now.slot[o->slot];

	if (o->kind == VMM_SLOT_AGAIN)
		set_slot(o->slot, &none);
	pthread_mutex_lock(&slots);
	switch (o->kind) {
	case VMM_SLOT_FLAGS:
		s->flags ^= KVM_MEM_LOG_DIRTY_PAGES;
		break;
	case VMM_SLOT_AGAIN:
		s->flags = o->val;
		break;
	default:
		s->gpa = o->gpa;
		break;
	}
	pthread_mutex_unlock(&slots);
	set_slot(o->slot, s);
	COUNT(slots);
}

static void split(const struct vmm_op *o, u32 region)
{
	madvise(host(region), REGION, MADV_NOHUGEPAGE);
	mprotect(host(o->page), PAGE, PROT_READ);
	mprotect(host(o->page), PAGE, PROT_READ | PROT_WRITE);
}

static void change_memory(struct vmm_op *o)
{
	u32 region = o->page & ~511u;

	switch (o->kind) {
	case VMM_SET:
		if (fz.esize == 4)
			*(volatile u32 *)(host(o->page) + o->n) = o->val;
		else
			*(volatile u64 *)(host(o->page) + o->n) = o->val;
		break;
	case VMM_DONTNEED:
		if (madvise(host(o->page), o->n * PAGE, MADV_DONTNEED))
			fail("madvise: errno %d", errno);
		break;
	case VMM_TAG:
		set_tag(o->page);
		break;
	case VMM_REPLACE:
		replace(o);
		break;
	case VMM_PROTECT:
		protect(o);
		break;
	case VMM_COLLAPSE:
		madvise(host(region), REGION, MADV_HUGEPAGE);
		madvise(host(region), REGION, MADV_COLLAPSE);
		break;
	case VMM_SPLIT:
		split(o, region);
		break;
	case VMM_KSM:
		madvise(host(region), REGION, o->val & 3 ? MADV_MERGEABLE : MADV_UNMERGEABLE);
		break;
	default:
		break;
	}
}

void vmm_run(struct vmm_op *o)
{
	COUNT(vmm);
	switch (o->kind) {
	case VMM_FORK:
		fork_for(o->val & 0xfff);
		break;
	case VMM_SLOT_FLAGS:
	case VMM_SLOT_AGAIN:
	case VMM_SLOT_MOVE:
		change_slot(o);
		break;
	case VMM_GET_LOG:
		get_log(o);
		break;
	case VMM_LIMIT:
		ioctl(fz.vm.fd, KVM_SET_NR_MMU_PAGES, (long)(o->val & 1 ? 64 : 1000));
		break;
	case VMM_ALIAS:
		set_alias(o);
		break;
	case VMM_PROTECT:
	case VMM_SPLIT:
	case VMM_REPLACE:
		pthread_rwlock_wrlock(&rights);
		change_memory(o);
		pthread_rwlock_unlock(&rights);
		break;
	default:
		pthread_rwlock_rdlock(&rights);
		change_memory(o);
		pthread_rwlock_unlock(&rights);
		break;
	}
}
