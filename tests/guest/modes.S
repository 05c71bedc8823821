/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From real mode through protected mode, PAE paging and long mode, and back,
 * BP times.  Loaded at GPA_CODE; each station leaves a mark.
 */
#define CODE	0x10000
#define AT(l)	(CODE + (l) - mode_guest)
#define MARKS	0x20000
#define PML4	0x4000
#define PAE_PDPT 0x9000
#define EFER	0xc0000080

	.section .rodata
	.globl	mode_guest, mode_guest_end
mode_guest:
	.code16
real:
	lgdtl	%cs:(gdtr - mode_guest)
	lidtl	%cs:(idtr - mode_guest)
	incl	0				/* DS is MARKS */
	mov	%cr0, %eax
	or	$1, %al
	mov	%eax, %cr0
	ljmpl	$0x08, $AT(prot)

	.code32
prot:
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0xf000, %esp
	incl	MARKS + 4
	push	$0x12345678
	pop	%eax
	cmp	$0x12345678, %eax
	jne	bad

	/*
	 * PAE paging.  QEMU's nested walks set the accessed bit of a PDPTE,
	 * reserved there: it is cleared for the hypervisor's check.
	 */
	andl	$~0x20, PAE_PDPT
	mov	$PAE_PDPT, %eax
	mov	%eax, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	jmp	1f
1:	incl	MARKS + 8
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0

	/* long mode */
	mov	$PML4, %eax
	mov	%eax, %cr3
	mov	$EFER, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	rdmsr
	test	$0x400, %eax			/* LMA */
	jz	bad
	incl	MARKS + 12			/* compatibility mode */
	ljmp	$0x18, $AT(long)

	.code64
long:
	mov	$0x123456789abcdef0, %r15
	incl	MARKS + 16
	movabs	$0x123456789abcdef0, %rax
	cmp	%rax, %r15
	jne	bad
	/* the registers' upper halves do not survive compatibility mode's writes */
	pushq	$0x08
	pushq	$AT(compat)
	lretq

	.code32
compat:
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	mov	$EFER, %ecx
	rdmsr
	test	$0x400, %eax
	jnz	bad
	and	$~0x100, %eax
	wrmsr
	mov	%cr4, %eax
	and	$~0x20, %eax
	mov	%eax, %cr4
	incl	MARKS + 20
	ljmp	$0x20, $(AT(prot16) - CODE)	/* modes.c bases it at CODE */

	.code16
prot16:
	mov	$0x28, %ax
	mov	%ax, %ds
	mov	%ax, %es
	mov	%ax, %ss
	mov	%cr0, %eax
	and	$~1, %al
	mov	%eax, %cr0
	ljmp	$(CODE >> 4), $(AT(back) - CODE)

back:
	mov	$(MARKS >> 4), %ax
	mov	%ax, %ds
	mov	%ax, %es
	xor	%ax, %ax
	mov	%ax, %ss
	mov	$0xf000, %sp
	incl	24
	out	%al, $0x12
	dec	%bp
	jnz	real
	hlt

	.code32
bad:	out	%al, $0x13
	jmp	bad

	.balign	4
gdtr:	.word	0x7ff
	.long	0x1000
idtr:	.word	0xfff
	.long	0x2000
mode_guest_end:
	.section .note.GNU-stack, "", @progbits
