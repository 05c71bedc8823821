/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What `raw-kernel` puts before an uncompressed kernel in place of the code that
 * would decompress it: from the 32-bit boot protocol's entry, which boot loaders
 * put at 1 MB, to the 64-bit one's (Documentation/x86/boot.rst of the kernel). ESI
 * is the boot parameters' address all the way. The kernel follows this code, and
 * is moved to where it is linked for, 16 MB: upwards, over itself, so backwards.
 * As there, five levels of page tables where the processor has them, but "no5lvl"
 * is not looked for.
 */
	.set	BP_SCRATCH, 0x1e4
	.set	XLOADFLAGS, 0x236
	.set	KERNEL, 0x1000000

	.text
	.code32
	.globl	_start
_start:
	cld
	cli
	leal	BP_SCRATCH + 4(%esi), %esp
	call	1f
1:	popl	%ebp
	subl	$1b - _start, %ebp

	/* the first 4 GB where they are, in 2 MB pages */
	leal	pml4 - _start(%ebp), %edi
	leal	0x1007(%edi), %eax
	movl	%eax, (%edi)
	leal	0x1000(%edi), %ebx
	movl	$4, %ecx
2:	addl	$0x1000, %eax
	movl	%eax, (%ebx)
	addl	$8, %ebx
	loop	2b
	leal	0x2000(%edi), %ebx
	movl	$0x183, %eax
	movl	$2048, %ecx
3:	movl	%eax, (%ebx)
	addl	$0x200000, %eax
	addl	$8, %ebx
	loop	3b

	leal	gdt - _start(%ebp), %eax
	movl	%eax, gdt_pointer + 2 - _start(%ebp)
	lgdt	gdt_pointer - _start(%ebp)

	testb	$0x40, XLOADFLAGS(%esi)		/* XLF_5LEVEL_ENABLED */
	jz	4f
	xorl	%eax, %eax
	cpuid
	cmpl	$7, %eax
	jb	4f
	movl	$7, %eax
	xorl	%ecx, %ecx
	cpuid
	andl	$0x10000, %ecx			/* LA57 */
	jz	4f
	leal	0x7(%edi), %eax
	addl	$6 * 4096, %edi
	movl	%eax, (%edi)
	movl	$0x1000, %ecx			/* and its bit in CR4 */
	jmp	5f
4:	xorl	%ecx, %ecx
5:	movl	%cr4, %eax
	orl	$0x20, %eax			/* PAE */
	orl	%ecx, %eax
	movl	%eax, %cr4
	movl	%edi, %cr3
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80000001, %eax		/* PG, PE */
	movl	%eax, %cr0
	leal	long_mode - _start(%ebp), %eax
	pushl	$0x10
	pushl	%eax
	lret

	.code64
long_mode:
	movl	$0x18, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%esi, %edx
	movl	$SIZE, %ecx			/* in quadwords */
	leaq	end - _start - 8(%rbp, %rcx, 8), %rsi
	leaq	KERNEL - 8(, %rcx, 8), %rdi
	std
	rep	movsq
	cld
	movl	%edx, %esi
	movl	$ENTRY, %eax			/* not the first of it in 6.12 */
	jmp	*%rax

	.balign	8
gdt:
	.quad	0, 0
	.quad	0x00af9b000000ffff
	.quad	0x00cf93000000ffff
gdt_pointer:
	.word	. - gdt - 1
	.long	0

	.balign	4096
pml4:
	.fill	6 * 4096			/* itself, a PDPT, four page directories */
	.fill	4096				/* with LA57 the PML5 */
end:
