// SPDX-License-Identifier: GPL-2.0-only
/* What shadow paging makes of what a guest does with its own page tables. */
#include <stdio.h>
#include <sys/mman.h>

#include "mmu.h"

#define RW	(PTE_P | PTE_W | PTE_A | PTE_D)
#define USER	(1ULL << 39)		/* where spaces have their own pages */
#define PAGES	512			/* of one table */
#define SPACE_PAGES	64

static u64 *table_at(struct bench *b, u64 gpa)
{
	return (u64 *)(gpa < MEM_SIZE ? b->vm.mem + gpa : b->mem + (gpa - b->base));
}

/* An address space at gpa, of four tables: the kernel's pages, and its own from USER on. */
static void make_space(struct bench *b, u64 gpa, u64 first_page, u64 pages)
{
	table_at(b, gpa)[0] = GPA_PDPT | RW;
	table_at(b, gpa)[USER >> 39] = (gpa + PAGE) | RW;
	table_at(b, gpa + PAGE)[0] = (gpa + 2 * PAGE) | RW;
	table_at(b, gpa + 2 * PAGE)[0] = (gpa + 3 * PAGE) | RW;
	for (u64 i = 0; i < pages; i++)
		table_at(b, gpa + 3 * PAGE)[i] = (first_page + i * PAGE) | RW;
}

#define SPACE	(4 * PAGE)

/* ---- Protection ---- */

/*
 * RDI: the table; RSI: where it maps; RCX: pages; R8: rounds.  All pages become
 * read-only, all writable again, and each is written.
 */
GUEST(protect, 64,
	"0:	xor %ebx, %ebx\n"
	"1:	andq $~2, (%rdi, %rbx, 8)\n	inc %ebx\n	cmp %ecx, %ebx\n	jb 1b\n"
	"	mov %cr3, %rax\n	mov %rax, %cr3\n"
	"	xor %ebx, %ebx\n"
	"1:	orq $2, (%rdi, %rbx, 8)\n	inc %ebx\n	cmp %ecx, %ebx\n	jb 1b\n"
	"	mov %rax, %cr3\n"
	"	xor %ebx, %ebx\n	mov %rsi, %rdx\n"
	"1:	incq (%rdx)\n	add $0x1000, %rdx\n	inc %ebx\n	cmp %ecx, %ebx\n	jb 1b\n"
	"	dec %r8\n	jnz 0b\n	out %al, $0x10\n");

/* The same; R9: the first page's entry.  Each page is mapped, written, unmapped, and flushed. */
GUEST(remap, 64,
	"0:	xor %ebx, %ebx\n	mov %rsi, %rdx\n	mov %r9, %rax\n"
	"1:	mov %rax, (%rdi, %rbx, 8)\n	incq (%rdx)\n"
	"	movq $0, (%rdi, %rbx, 8)\n	invlpg (%rdx)\n"
	"	add $0x1000, %rax\n	add $0x1000, %rdx\n	inc %ebx\n	cmp %ecx, %ebx\n	jb 1b\n"
	"	dec %r8\n	jnz 0b\n	out %al, $0x10\n");

#define ROUNDS	10

static void use_space(struct bench *b, u64 gpa)
{
	struct kvm_sregs s = vcpu_sregs(&b->vm.vcpu);

	s.cr3 = gpa;
	vcpu_set_sregs(&b->vm.vcpu, &s);
}

static void in_one_table(const char *name, const u8 *start, const u8 *end)
{
	struct kvm_regs r = { .rdi = PRIVATE + 3 * PAGE, .rsi = USER, .rcx = PAGES, .r8 = 2, .r9 = BASE | RW };
	struct bench b;

	bench_start(&b, PAGES * PAGE, SMALL, GUEST_2M);
	make_space(&b, PRIVATE, BASE, PAGES);
	use_space(&b, PRIVATE);
	run_guest(&b, start, end, r);
	r.r8 = ROUNDS;
	emit(name, (double)run_guest(&b, start, end, r) / (ROUNDS * PAGES));
	bench_end(&b);
}

static void protect(void)
{
	in_one_table("cycle", guest_protect, guest_protect_end);
	in_one_table("remap", guest_remap, guest_remap_end);
}

/* ---- Address spaces ---- */

/* RDI: a list of RSI + 1 spaces; RCX: switches; RDX: what each touches then. */
GUEST(switch, 64,
	"	xor %ebx, %ebx\n"
	"1:	mov (%rdi, %rbx, 8), %rax\n	mov %rax, %cr3\n	mov (%rdx), %rax\n"
	"	inc %ebx\n	and %esi, %ebx\n	dec %rcx\n	jnz 1b\n	out %al, $0x10\n");

#define SWITCHES	4000

static void between(const char *name, u64 spaces)
{
	struct kvm_regs r = { .rdi = GPA_FREE, .rsi = spaces - 1, .rcx = 10 * spaces, .rdx = USER };
	struct bench b;

	bench_start(&b, spaces * SPACE_PAGES * PAGE, SMALL, GUEST_2M);
	for (u64 i = 0; i < spaces; i++) {
		table_at(&b, GPA_FREE)[i] = PRIVATE + i * SPACE;
		make_space(&b, PRIVATE + i * SPACE, BASE + i * SPACE_PAGES * PAGE, SPACE_PAGES);
	}
	run_guest(&b, guest_switch, guest_switch_end, r);
	r.rcx = SWITCHES;
	emit(name, (double)run_guest(&b, guest_switch, guest_switch_end, r) / SWITCHES);
	bench_end(&b);
}

static void cr3(void)
{
	between("2", 2);
	between("8", 8);
}

/*
 * RDI: tables; RCX: spaces; R8: the first page's entry; R9: the kernel's space.  Makes
 * each space as a kernel does: clears four tables, fills them in, goes there, writes to
 * the 64 pages, and goes back.
 */
GUEST(spaces, 64,
	"	cld\n"
	"1:	mov %rdi, %rbx\n	mov %rcx, %r10\n	xor %eax, %eax\n	mov $2048, %ecx\n	rep stosq\n"
	"	mov (%r9), %rax\n	mov %rax, (%rbx)\n"
	"	lea 0x1063(%rbx), %rax\n	mov %rax, 8(%rbx)\n"
	"	lea 0x2063(%rbx), %rax\n	mov %rax, 0x1000(%rbx)\n"
	"	lea 0x3063(%rbx), %rax\n	mov %rax, 0x2000(%rbx)\n"
	"	mov %r8, %rax\n	xor %edx, %edx\n"
	"2:	mov %rax, 0x3000(%rbx, %rdx, 8)\n	add $0x1000, %rax\n	inc %edx\n	cmp $64, %edx\n	jb 2b\n"
	"	mov %rbx, %cr3\n"
	"	mov $0x8000000000, %rsi\n	mov $64, %edx\n"
	"3:	incq (%rsi)\n	add $0x1000, %rsi\n	dec %edx\n	jnz 3b\n"
	"	mov %r9, %cr3\n	mov %r10, %rcx\n	dec %rcx\n	jnz 1b\n"
	"	out %al, $0x10\n");

#define NEW_SPACES	64

/* Where no table was before, and then where there was one. */
static void space(void)
{
	struct kvm_regs r = {
		.rdi = BASE + SPACE_PAGES * PAGE, .rcx = NEW_SPACES, .r8 = BASE | RW, .r9 = GPA_PML4,
	};
	struct bench b;

	bench_start(&b, 2 * MB, SMALL, GUEST_4K);
	walk(&b, WRITE, 0, PAGE, b.size / PAGE);
	emit("new", (double)run_guest(&b, guest_spaces, guest_spaces_end, r) / NEW_SPACES);
	emit("again", (double)run_guest(&b, guest_spaces, guest_spaces_end, r) / NEW_SPACES);
	bench_end(&b);
}

/* ---- The end of many tables ---- */

/* Slot 1 has nothing but the guest's tables, slot 2 one page for each that it maps. */
static u8 *many_tables(struct bench *b, u64 tables)
{
	u64 data = BASE + tables * PAGE, *pd;
	u8 *mem;

	bench_start(b, tables * PAGE, SMALL, GUEST_2M);
	if (ioctl(b->vm.fd, KVM_SET_NR_MMU_PAGES, 3 * tables))
		die("KVM_SET_NR_MMU_PAGES");
	mem = map_memory(b->size, SMALL);
	if (vm_slot(&b->vm, 2, 0, data, b->size, mem))
		die("slot 2");
	table_at(b, GPA_PML4)[USER >> 39] = PRIVATE | RW;
	for (u64 i = 0; i < tables; i++) {
		if (i % 512 == 0)
			table_at(b, PRIVATE)[i / 512] = (PRIVATE + (i / 512 + 1) * PAGE) | RW;
		pd = table_at(b, PRIVATE + (i / 512 + 1) * PAGE);
		pd[i % 512] = (BASE + i * PAGE) | RW;
		memset(b->mem + i * PAGE, 0, PAGE);
		*(u64 *)(b->mem + i * PAGE) = (data + i * PAGE) | RW;
	}
	touch(b, USER, LARGE, tables);
	return mem;
}

static void delete_with(const char *name, u64 tables, u32 slot)
{
	struct bench b;
	u8 *mem;

	mem = many_tables(&b, tables);
	emit(name, (double)COST_SETTLED(vm_slot(&b.vm, slot, 0, 0, 0, NULL)) / tables);
	bench_end(&b);
	unmap_memory(mem);
}

static void tables(void)
{
	delete_with("1000", 1000, 1);
	delete_with("4000", 4000, 1);
	delete_with("mapped", 4000, 2);
}

const struct group shadow_groups[] = {
	{ "protect", protect, 3 },
	{ "cr3", cr3, 3 },
	{ "space", space, 3 },
	{ "tables", tables, 3 },
	{ }
};
