/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine's firmware that runs cases of 32- and 16-bit user code for differential,
 * where the processor at hand lets no program run such code.  Blocks of cases are
 * read from the first ATA disk; what came of each goes to port E9.  batch.h has the
 * form of both.
 *
 * Segments, selectors, control registers and mappings are those that differential
 * has of Linux: code at 11000000, data at 10000000, nothing else that user code can
 * reach but a page for the way in, WAY_IN.  The firmware itself is mapped at
 * C0000000, which is its own segments' base, so that its addresses are physical.
 *
 * It is linked at 0x10000, where it copies itself to.
 */
#include "batch.h"

#define PAGE_DIRECTORY	0x1000
#define CODE_TABLE	0x2000
#define DATA_TABLE	0x3000
#define WAY_IN_TABLE	0x4000
#define IDT		0x5000
#define TSS		0x6000
#define STACK		0x9000
#define CODE_AT		0x100000	/* physical */
#define DATA_AT		0x104000
#define WAY_IN_AT	0x106000
#define BLOCK		0x110000
#define MEDIA_OUT	0x120000
#define RESULT		0x130000
#define HIGH		FIRMWARE
/* In the way in's page */
#define WAY_SS		0x100
#define WAY_ESP		0x104
#define WAY_EAX		0x108
#define WAY_FAR		0x10c

#define KERNEL_CODE	0x08
#define KERNEL_DATA	0x10
#define FLAT_CODE	0x18		/* of ring 0, until paging is on */
#define USER_CODE	0x23
#define USER_DATA	0x2b
#define TSS_SELECTOR	0x30
#define LDT_SELECTOR	0x38
#define FLAT_DATA	0x40

	.text
	.code16
	.globl _start
_start:
	cli
	cld
	mov $0x1000, %ax
	mov %ax, %es
	mov %cs, %ax
	mov %ax, %ds
	xor %si, %si
	xor %di, %di
	mov $0x8000, %cx
	rep movsw
	ljmp $0x1000, $1f - _start
1:	mov $0xff, %al
	out %al, $0x21
	out %al, $0xa1
	in $0x92, %al
	or $2, %al
	out %al, $0x92
	lgdtl %cs:low_gdt_pointer - _start
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $FLAT_CODE, $flat

	.balign 8
	.macro DESC base, limit, type, flags
	.word (\limit) & 0xffff, (\base) & 0xffff
	.byte ((\base) >> 16) & 0xff, \type, ((\flags) << 4) | (((\limit) >> 16) & 15), (\base) >> 24
	.endm
gdt:
	.quad 0
	DESC HIGH, 0xfffff, 0x9b, 0xc
	DESC HIGH, 0xfffff, 0x93, 0xc
	DESC 0, 0xfffff, 0x9b, 0xc
	DESC 0, 0xfffff, 0xfb, 0xc		/* 23 */
	DESC 0, 0xfffff, 0xf3, 0xc		/* 2b */
	DESC (HIGH+TSS), 0x67, 0x89, 0
	DESC (HIGH+0x10000+ldt-_start), 15, 0x82, 0
	DESC 0, 0xfffff, 0x93, 0xc
gdt_end:
ldt:
	DESC CASE_CODE, (CASE_CODE_SIZE-1), 0xfb, 0	/* 07 */
	DESC CASE_DATA, CASE_DATA_LIMIT, 0xf3, 0	/* 0f */

	.word 0
low_gdt_pointer:
	.word gdt_end - gdt - 1
	.long gdt
	.word 0
gdt_pointer:
	.word gdt_end - gdt - 1
	.long HIGH + 0x10000 + gdt - _start
	.word 0
idt_pointer:
	.word 32 * 8 - 1
	.long HIGH + IDT

	.code32
flat:
	mov $FLAT_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $STACK, %esp
	xor %eax, %eax
	mov $PAGE_DIRECTORY, %edi
	mov $0x7000 / 4, %ecx
	rep stosl
	/* 4 MiB of the firmware's, for the moment at 0 too; then the three tables. */
	movl $0x83, PAGE_DIRECTORY
	movl $0x83, PAGE_DIRECTORY + (HIGH >> 20)
	movl $CODE_TABLE + 7, PAGE_DIRECTORY + (CASE_CODE >> 20)
	movl $DATA_TABLE + 7, PAGE_DIRECTORY + (CASE_DATA >> 20)
	movl $WAY_IN_TABLE + 7, PAGE_DIRECTORY + (WAY_IN >> 20)
	movl $CODE_AT + 5, CODE_TABLE
	movl $CODE_AT + 0x1005, CODE_TABLE + 4
	movl $CODE_AT + 0x2005, CODE_TABLE + 8
	movl $CODE_AT + 0x3005, CODE_TABLE + 12
	movl $DATA_AT + 7, DATA_TABLE
	movl $DATA_AT + 0x1007, DATA_TABLE + 4
	movl $WAY_IN_AT + 5, WAY_IN_TABLE
	mov $PAGE_DIRECTORY, %eax
	mov %eax, %cr3
	/* PSE, OSFXSR, OSXSAVE; SMEP, by which a page fault tells a fetch. */
	mov $0x140210, %eax
	mov %eax, %cr4
	mov $0x80050033, %eax
	mov %eax, %cr0
	ljmp $KERNEL_CODE, $1f
1:	mov $KERNEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	movl $0, PAGE_DIRECTORY
	mov %cr3, %eax
	mov %eax, %cr3
	lgdt gdt_pointer
	lidt idt_pointer
	movl $STACK, TSS + 4
	movl $KERNEL_DATA, TSS + 8
	movl $0x680000, TSS + 100
	mov $TSS_SELECTOR, %eax
	ltr %ax
	mov $LDT_SELECTOR, %eax
	lldt %ax
	mov $7, %eax
	xor %edx, %edx
	xor %ecx, %ecx
	xsetbv
	/* INT3's gate is for user code too. */
	mov $stubs, %ebx
	mov $IDT, %edi
	mov $32, %ecx
1:	mov %ebx, %eax
	and $0xffff, %eax
	or $KERNEL_CODE << 16, %eax
	stosl
	mov %ebx, %eax
	mov $0x8e00, %ax
	stosl
	add $8, %ebx
	loop 1b
	movb $0xee, IDT + 3 * 8 + 5
	/* All of the code is INT3, but for what a case has. */
	mov $CODE_AT, %edi
	mov $0xcccccccc, %eax
	mov $CASE_CODE_SIZE / 4, %ecx
	rep stosl
	mov $way_in, %esi
	mov $WAY_IN_AT, %edi
	mov $way_in_end - way_in, %ecx
	rep movsb
	mov $marker, %esi
	mov $BATCH_MARKER_BYTES, %ecx
	mov $0xe9, %edx
	rep outsb

/* ---- cases ---- */

next_block:
	call read_block
	mov BLOCK, %eax
	mov %eax, left
	movl $BLOCK + BATCH_CASES_AT, at
	test %eax, %eax
	jz finish
next_case:
	mov $BLOCK + BATCH_PATTERN_AT, %esi
	mov $DATA_AT, %edi
	mov $CASE_DATA_SIZE / 4, %ecx
	rep movsl
	mov $CODE_AT + 0x1fc0, %edi
	mov $0xcccccccc, %eax
	mov $0x100 / 4, %ecx
	rep stosl
	mov at, %ebp
	mov %ebp, %esi
	mov BATCH_CASE_CODE_AT(%ebp), %edi
	add $CODE_AT, %edi
	mov $BATCH_CASE_CODE_BYTES / 4, %ecx
	rep movsl
	/* What the way in takes from its page */
	mov BATCH_CASE_REGS(%ebp), %eax
	mov %eax, WAY_IN_AT + WAY_EAX
	mov BATCH_CASE_REGS + 16(%ebp), %eax
	mov %eax, WAY_IN_AT + WAY_ESP
	mov BATCH_CASE_EIP(%ebp), %eax
	mov %eax, WAY_IN_AT + WAY_FAR
	movl $USER_CODE, WAY_IN_AT + WAY_FAR + 4
	mov $USER_DATA, %ebx
	cmpl $0, BLOCK + BATCH_IS_16BIT_AT
	je 1f
	movl $0x07, WAY_IN_AT + WAY_FAR + 4
	mov $0x0f, %ebx
1:	mov %ebx, WAY_IN_AT + WAY_SS
	mov $7, %eax
	xor %edx, %edx
	xrstor BLOCK + BATCH_MEDIA_AT
	pushl $USER_DATA
	pushl $WAY_IN + 0xff0
	pushl BATCH_CASE_EFLAGS(%ebp)
	pushl $USER_CODE
	pushl $WAY_IN
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs
	mov %ebx, %ds
	mov %ebx, %es
	/* By EBP, and so of the stack's segment */
	mov BATCH_CASE_REGS + 4(%ebp), %ecx
	mov BATCH_CASE_REGS + 8(%ebp), %edx
	mov BATCH_CASE_REGS + 12(%ebp), %ebx
	mov BATCH_CASE_REGS + 24(%ebp), %esi
	mov BATCH_CASE_REGS + 28(%ebp), %edi
	mov BATCH_CASE_REGS + 20(%ebp), %ebp
	iretl

/*
 * In ring 3, at WAY_IN: IRET would leave the upper half of ESP where the stack is one
 * of 16 bits.
 */
way_in:
	mov %cs:WAY_IN + WAY_SS, %eax
	mov %eax, %ss
	mov %cs:WAY_IN + WAY_ESP, %esp
	mov %cs:WAY_IN + WAY_EAX, %eax
	ljmp *%cs:WAY_IN + WAY_FAR
way_in_end:

	.balign 8
stubs:
	.set vector, 0
	.rept 32
	.if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
	push $vector
	.byte 0xe9
	.long common - . - 4
	.byte 0x90
	.else
	push $vector
	.byte 0xe9
	.long common_no_code - . - 4
	.byte 0x90
	.endif
	.set vector, vector + 1
	.endr

common_no_code:
	push (%esp)
	movl $0, %ss:4(%esp)
/* On the stack: vector, error code, EIP, CS, EFLAGS, ESP, SS */
common:
	cld
	push %eax
	mov $KERNEL_DATA, %eax
	mov %eax, %ds
	mov %eax, %es
	pop RESULT + BATCH_RESULT_REGS
	mov %ecx, RESULT + BATCH_RESULT_REGS + 4
	mov %edx, RESULT + BATCH_RESULT_REGS + 8
	mov %ebx, RESULT + BATCH_RESULT_REGS + 12
	mov %ebp, RESULT + BATCH_RESULT_REGS + 20
	mov %esi, RESULT + BATCH_RESULT_REGS + 24
	mov %edi, RESULT + BATCH_RESULT_REGS + 28
	pop RESULT + BATCH_RESULT_TRAP
	pop RESULT + BATCH_RESULT_ERROR
	pop RESULT + BATCH_RESULT_EIP
	pop %eax
	pop RESULT + BATCH_RESULT_EFLAGS
	/* The firmware itself has failed: what is read will end too early. */
	test $3, %al
	jz finish
	pop RESULT + BATCH_RESULT_REGS + 16
	mov $STACK, %esp
	mov %cr2, %eax
	mov %eax, RESULT + BATCH_RESULT_CR2
	mov $BLOCK + BATCH_MEDIA_AT, %esi
	mov $MEDIA_OUT, %edi
	mov $CASE_MEDIA_BYTES / 4, %ecx
	rep movsl
	mov $7, %eax
	xor %edx, %edx
	xsave MEDIA_OUT
	/* All that is not as it was. */
	mov $RESULT + BATCH_RESULT_BYTES, %ebp
	mov $BLOCK + BATCH_PATTERN_AT, %esi
	mov $DATA_AT, %edi
	mov $CASE_DATA_SIZE / 4, %ecx
	xor %ebx, %ebx
	call differences
	mov $BLOCK + BATCH_MEDIA_AT, %esi
	mov $MEDIA_OUT, %edi
	mov $CASE_MEDIA_BYTES / 4, %ecx
	mov $CASE_DATA_SIZE / 4, %ebx
	call differences
	mov %ebp, %ecx
	sub $RESULT, %ecx
	lea -BATCH_RESULT_BYTES(%ecx), %eax
	shr $3, %eax
	mov %eax, RESULT + BATCH_RESULT_COUNT
	mov $RESULT, %esi
	mov $0xe9, %edx
	rep outsb
	addl $BATCH_CASE_BYTES, at
	decl left
	jnz next_case
	jmp next_block

/* ECX words at ESI and EDI, numbered from EBX: number and what is at EDI, to EBP on. */
differences:
	add %ecx, %ebx
1:	jecxz 2f
	repe cmpsl
	je 2f
	mov %ebx, %eax
	sub %ecx, %eax
	dec %eax
	mov %eax, (%ebp)
	mov -4(%edi), %eax
	mov %eax, 4(%ebp)
	add $8, %ebp
	jmp 1b
2:	ret

/* The next BATCH_SECTORS of the disk */
read_block:
	mov $0x3f6, %edx
	mov $2, %al
	out %al, %dx
	mov $BLOCK, %edi
	mov $BATCH_SECTORS, %ebx
1:	mov sector, %eax
	mov $0x1f3, %edx
	out %al, %dx
	inc %edx
	shr $8, %eax
	out %al, %dx
	inc %edx
	shr $8, %eax
	out %al, %dx
	inc %edx
	shr $8, %eax
	or $0xe0, %al
	out %al, %dx
	mov $0x1f2, %edx
	mov $1, %al
	out %al, %dx
	mov $0x1f7, %edx
	mov $0x20, %al
	out %al, %dx
2:	in %dx, %al
	test $0x80, %al
	jnz 2b
	test $0x08, %al
	jz 2b
	mov $0x1f0, %edx
	mov $256, %ecx
	rep insw
	incl sector
	dec %ebx
	jnz 1b
	ret

finish:
	/* QEMU ends by the first, Bochs by the second. */
	mov $0xf4, %edx
	out %al, %dx
	mov $shutdown, %esi
	mov $8, %ecx
	mov $0x8900, %edx
	rep outsb
1:	hlt
	jmp 1b

	.balign 4
sector:	.long 0
left:	.long 0
at:	.long 0
marker:
	.ascii BATCH_MARKER
shutdown:
	.ascii "Shutdown"
