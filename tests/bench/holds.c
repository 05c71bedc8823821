// SPDX-License-Identifier: GPL-2.0-only
/*
 * holds MEGABYTES 2m|4k: for lab/bench-holds, a guest of that size makes mmu_lock be
 * held for all that takes long: faults, a dirty log, a lowered limit of tables and
 * eviction, the notifier, a slot's end and the VM's.
 *
 * One 64M file is all of its memory, mapped time and again.  It touches each page of the
 * first 64M, and each 64th of the others, so that there are as many tables as a guest
 * has that touches all.  2m, 4k: the pages of the guest's own tables.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"

#define PAGE	4096UL
#define CHUNK	(64UL << 20)
#define LARGE	(2UL << 20)
#define BASE	(4UL << 30)		/* of slot 1, guest virtual and physical */
#define TABLES	0x100000		/* the guest's, in slot 0 */

/* Adds 1 to a word of rcx pages from rdi on, rsi bytes from each to the next. */
GUEST(walk, 64,
	"1:	incq (%rdi)\n	add %rsi, %rdi\n	dec %rcx\n	jnz 1b\n"
	"2:	out %al, $0x10\n	jmp 2b\n");

static void walk(struct vm *vm, u64 from, u64 bytes, u64 step)
{
	struct kvm_regs r = {
		.rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
		.rdi = BASE + from, .rsi = step, .rcx = bytes / step,
	};

	vcpu_set_regs(&vm->vcpu, &r);
	if (bytes && vm_run(vm) != KVM_EXIT_IO)
		die("the guest");
}

static void touch(struct vm *vm, u64 size)
{
	walk(vm, 0, CHUNK, PAGE);
	walk(vm, CHUNK, size - CHUNK, 64 * PAGE);
}

static u8 *map_memory(u64 size)
{
	u8 *mem = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	int fd = memfd_create("holds", MFD_CLOEXEC);

	if (mem == MAP_FAILED || fd < 0 || ftruncate(fd, CHUNK))
		die("memory");
	for (u64 at = 0; at < size; at += CHUNK)
		if (mmap(mem + at, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			die("mmap");
	close(fd);
	return mem;
}

static void make_tables(struct vm *vm, u64 size, bool small)
{
	u64 *pdpt = (u64 *)(vm->mem + GPA_PDPT), table = TABLES;

	for (u64 at = 0; at < size; at += 1UL << 30) {
		u64 *pd = (u64 *)(vm->mem + table);

		pdpt[(BASE + at) >> 30] = table | PTE_P | PTE_W;
		table += PAGE;
		for (u64 i = 0; i < 512; i++)
			pd[i] = (BASE + at + i * LARGE) | PTE_P | PTE_W | PTE_PS;
		for (u64 i = 0; i < 512 && small && at + i * LARGE < size; i++, table += PAGE) {
			pd[i] = table | PTE_P | PTE_W;
			for (u64 j = 0; j < 512; j++)
				((u64 *)(vm->mem + table))[j] = (BASE + at + i * LARGE + j * PAGE) | PTE_P | PTE_W;
		}
	}
	if (table > MEM_SIZE)
		die("no room for the guest's tables");
}

static void slot(struct vm *vm, u32 flags, u64 size, u8 *mem)
{
	if (vm_slot(vm, 1, flags, BASE, size, mem))
		die("slot 1");
}

int main(int argc, char **argv)
{
	u64 size = argc == 3 ? strtoull(argv[1], NULL, 0) << 20 : 0;
	long limit;
	struct vm vm;
	u8 *mem;

	if (size < 2 * CHUNK || size % CHUNK)
		die("usage: holds MEGABYTES 2m|4k");
	vm_start(&vm, LONG, walk);
	mem = map_memory(size);
	make_tables(&vm, size, !strcmp(argv[2], "4k"));
	slot(&vm, 0, size, mem);

	touch(&vm, size);
	slot(&vm, KVM_MEM_LOG_DIRTY_PAGES, size, mem);
	touch(&vm, size);
	slot(&vm, 0, size, mem);
	touch(&vm, size);
	limit = ioctl(vm.fd, KVM_GET_NR_MMU_PAGES, 0L);
	if (ioctl(vm.fd, KVM_SET_NR_MMU_PAGES, 64L))
		die("KVM_SET_NR_MMU_PAGES");
	touch(&vm, size);
	if (ioctl(vm.fd, KVM_SET_NR_MMU_PAGES, limit))
		die("KVM_SET_NR_MMU_PAGES");
	touch(&vm, size);
	if (madvise(mem, size, MADV_DONTNEED))
		die("madvise");
	touch(&vm, size);
	slot(&vm, 0, 0, NULL);
	slot(&vm, 0, size, mem);
	touch(&vm, size);
	vm_destroy(&vm);
	munmap(mem, size);
	return 0;
}
