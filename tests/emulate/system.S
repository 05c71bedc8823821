/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine's firmware that does what no program can: segment loads, far
 * transfers, gates, rings, task switches, virtual-8086 and real mode, on
 * descriptors good and bad.  What came of each goes to port E9 as a record of 16
 * words of 32 bits.  `system` runs it by our emulator, QEMU and Bochs by theirs,
 * and the records must be the same.
 *
 * It is linked at 0x10000, where it copies itself to.  An attempt ends with INT
 * 40 or by an exception; either way the handler writes the record, puts the
 * machine back and goes on to the next.
 */
#define REC		0x5000		/* the record */
#define RECOVER		0x5100		/* ESP and EIP of what goes on */
#define CASE		0x5108
#define FARPTR		0x5110
#define STACKPTR	0x5118
#define GDT		0x6000		/* a copy, made anew for each attempt */
#define IDT		0x7000
#define TSS		0x8000		/* ours, then the others', 0x80 bytes each */
#define STACK0		0xa000		/* of ring 0 when coming from ring 3 */
#define STACK		0xb000
#define STACK3		0xc000
#define STACK_TASK	0xd000
#define LDT		0xe000

#define CODE		0x08
#define DATA		0x10
#define UCODE		0x1b
#define UDATA		0x23
#define MAIN_TSS	0x28

	.text
	.code16
	.globl _start
_start:
	cli
	cld
	xor %ax, %ax
	mov %ax, %es
	mov $0x1000, %ax
	mov %ax, %es
	mov %cs, %ax
	mov %ax, %ds
	xor %si, %si
	xor %di, %di
	mov $0x8000, %cx
	rep movsw
	ljmp $0x1000, $real - _start

/* ---- real mode ---- */

real:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %ss
	mov $0xb000, %esp
	/* The IVT: 32 vectors to stubs, 40 to one of its own. */
	xor %di, %di
	mov %ax, %es
	mov $real_stubs - _start, %bx
	mov $0x50, %cx
1:	mov %bx, %ax
	stosw
	mov $0x1000, %ax
	stosw
	add $4, %bx
	loop 1b
	mov $real_list - _start, %bx
real_next:
	mov %cs:(%bx), %ax
	add $2, %bx
	mov %bx, %cs:real_at - _start
	test %ax, %ax
	jz to_protected
	mov %ax, %bp
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %fs
	mov %ax, %gs
	mov %ax, %ss
	mov $0xb000, %esp
	mov %bp, CASE
	push %bp
	mov $0x12345678, %eax
	mov $0x9abcdef0, %ecx
	mov $0x0badf00d, %edx
	mov $0x00004321, %ebx
	mov $0x0000c100, %esi
	mov $0x0000c200, %edi
	mov $0x0000c080, %ebp
	pushl $2
	popfl
	ret

real_at:	.word 0

real_stubs:
	.rept 0x50
	push %cs
	call real_common
	.endr
/* On the stack: where it was called from, CS, IP, CS, flags. */
real_common:
	cld
	push %ds
	push %bp
	xor %bp, %bp
	mov %bp, %ds
	mov %eax, REC + 8
	mov %ecx, REC + 12
	mov %edx, REC + 16
	mov %ebx, REC + 20
	mov %esi, REC + 24
	mov %edi, REC + 28
	pop %bp
	mov %ebp, REC + 32
	pop %ax
	mov %ax, REC + 36
	mov %es, REC + 38
	pop %ax				/* stub */
	sub $real_stubs - _start + 4, %ax
	shr $2, %ax
	mov %ax, REC + 4
	pop %ax				/* the stub's CS */
	pop %ax
	mov %ax, REC + 40
	pop %ax
	mov %ax, REC + 42
	pop %ax
	mov %ax, REC + 44
	mov %sp, REC + 46
	mov %ss, REC + 48
	mov %fs, REC + 50
	mov %gs, REC + 52
	movw $0, REC + 54
	mov CASE, %eax
	mov %eax, REC
	/* what lies on the stack, and where strings went */
	xor %ax, %ax
	mov %ax, %ds
	mov $0xaf80, %si
	mov $0x40, %cx
	xor %ebx, %ebx
1:	lodsw
	movzwl %ax, %eax
	rol $1, %ebx
	add %eax, %ebx
	loop 1b
	mov %ebx, REC + 56
	mov $0xc000, %si
	mov $0x180, %cx
	xor %ebx, %ebx
1:	lodsw
	movzwl %ax, %eax
	rol $1, %ebx
	add %eax, %ebx
	loop 1b
	mov %ebx, REC + 60
	mov $REC, %si
	mov $64, %cx
	mov $0xe9, %dx
	rep outsb
	mov %cs:real_at - _start, %bx
	cli
	cld
	jmp real_next

#define REAL(code...) .word 9f - _start; .pushsection .text, 1; .code16; 9: code; int $0x40; .popsection

real_list:
	REAL(nop)
	REAL(push %ds; pop %es; push $0x1234; pop %fs; mov %fs, %ax)
	REAL(push %cs; push $1f - _start; lret; 1:)
	REAL(push %cs; push $1f - _start; lret $4; 1:)
	REAL(pushf; push %cs; push $1f - _start; iret; 1:)
	REAL(pushfl; pushl $0x1000; pushl $1f - _start; iretl; 1:)
	REAL(lcall $0x1000, $1f - _start; 1:)
	REAL(ljmp $0x1000, $1f - _start; 1:)
	REAL(lcall $0x0fff, $1f - _start + 0x10; 1:)
	REAL(call 1f; 1: pop %ax)
	REAL(pusha; popa)
	REAL(pushal; popal)
	REAL(enter $16, $0; leave)
	REAL(enter $16, $3; leave)
	REAL(enter $0, $31)
	REAL(int $0x30)
	REAL(int3)
	REAL(mov $0x7fff, %ax; inc %ax; into)
	REAL(xor %ax, %ax; div %al)
	REAL(mov $1, %bl; mov $0x1234, %ax; div %bl)
	REAL(movl $0x00200010, 0xc000; bound %ax, 0xc000)
	REAL(movl $0x00200010, 0xc000; mov $0x18, %ax; bound %ax, 0xc000)
	REAL(ud2)
	REAL(movl $0x10000, %ebx; mov (%ebx), %al)
	REAL(mov $0xffff, %bx; mov (%bx), %ax)
	REAL(mov $0xffff, %bp; mov (%bp), %ax)
	REAL(smsw %ax; smsw %ebx)
	REAL(sldt %ax)
	REAL(ltr %ax)
	REAL(lar %ax, %bx)
	REAL(arpl %ax, %bx)
	REAL(sgdt 0xc000; sidt 0xc010)
	REAL(mov %cr0, %eax; and $0x1f, %eax)
	REAL(mov %cr8, %eax)
	REAL(mov $0x10, %cx; mov $0xc100, %di; rep stosw)
	REAL(mov $5, %cx; rep movsb)
	REAL(mov $5, %cx; std; rep movsl)
	REAL(mov $6, %cx; repe cmpsb)
	REAL(mov $0x78, %al; mov $0x30, %cx; repne scasb)
	REAL(lds 0xc000, %bx; les 0xc004, %si)
	REAL(lss 0xc000, %bx; mov %ss, %ax)
	REAL(lfs 0xc000, %bx; lgs 0xc004, %cx)
	REAL(mov $0xffff, %ax; mov %ax, %es; mov %es:0x10, %eax)
	REAL(pushf; pop %ax; or $0x7000, %ax; push %ax; popf; pushf; pop %bx)
	REAL(pushl $0x00247ed7; popfl; pushfl; pop %eax)
	REAL(sti; cli; pushf; pop %ax)
	REAL(aam; aad; daa; das; aaa; aas; test %sp, %sp)
	REAL(aam $0)
	REAL(mov $0xc000, %bx; xlat)
	REAL(lahf; xor $0xd5, %ah; sahf; pushf)
	REAL(cwtl; cltd; cwtd)
	REAL(mov $3, %cx; 1: inc %ax; loop 1b)
	REAL(xor %cx, %cx; jcxz 1f; inc %ax; 1:)
	REAL(lock; inc %ax)
	REAL(lock incw 0xc000)
	REAL(movw $0x1234, 0xc000; rolw $5, 0xc000; btsw $17, 0xc000)
	REAL(shld $4, %ax, %bx; shrd %cl, %ax, %dx)
	REAL(bswap %eax; cmpxchg %ecx, %edx; xadd %eax, %ebx)
	REAL(jmp *%cs:1f - _start; 1: .word 2f - _start; 2:)
	.word 0

/* ---- to protected mode ---- */

to_protected:
	xor %ax, %ax
	mov %ax, %ds
	lgdtl %cs:gdt_pointer - _start
	lidtl %cs:idt_pointer - _start
	/* The first copy of the GDT, from the image at 0x10000. */
	mov $0x1000, %ax
	mov %ax, %ds
	xor %ax, %ax
	mov %ax, %es
	mov $gdt - _start, %si
	mov $GDT, %di
	mov $(gdt_end - gdt) / 2, %cx
	rep movsw
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $CODE, $protected

	.balign 4
	.word 0
gdt_pointer:
	.word gdt_end - gdt - 1
	.long GDT
	.word 0
idt_pointer:
	.word 0x41 * 8 - 1 + 8
	.long IDT

	.balign 8
	.macro DESC base, limit, type, flags
	.word (\limit) & 0xffff, (\base) & 0xffff
	.byte ((\base) >> 16) & 0xff, \type, ((\flags) << 4) | (((\limit) >> 16) & 15), (\base) >> 24
	.endm
	.macro GATE selector, offset, type, count=0
	.word (\offset) & 0xffff, \selector
	.byte \count, \type
	.word (\offset) >> 16
	.endm

	/* An address here is 0x10000 and what the assembler knows. */
#define AT(label)	(0x10000 + (label) - _start)

gdt:
	.quad 0
	DESC 0, 0xfffff, 0x9b, 0xc	/* 08 code */
	DESC 0, 0xfffff, 0x93, 0xc	/* 10 data */
	DESC 0, 0xfffff, 0xfb, 0xc	/* 18 code, ring 3 */
	DESC 0, 0xfffff, 0xf3, 0xc	/* 20 data, ring 3 */
	DESC TSS, 0x67, 0x89, 0		/* 28 our TSS */
	DESC TSS + 0x80, 0x67, 0x89, 0	/* 30 another */
	DESC TSS + 0x100, 0x67, 0xe9, 0	/* 38 one of ring 3 */
	DESC TSS + 0x180, 0x66, 0x89, 0	/* 40 one too short */
	DESC TSS + 0x200, 0x67, 0x09, 0	/* 48 one not present */
	DESC TSS + 0x80, 0x67, 0x8b, 0	/* 50 one busy */
	DESC TSS + 0x280, 0x2b, 0x81, 0	/* 58 one of 16 bits */
	DESC LDT, 0x0f, 0x82, 0		/* 60 LDT */
	DESC LDT, 0x0f, 0x02, 0		/* 68 LDT, not present */
	DESC 0, 0xfffff, 0x90, 0xc	/* 70 data, read-only, not accessed */
	DESC 0, 0xfffff, 0x92, 0xc	/* 78 data, not accessed */
	DESC 0, 0xfffff, 0x12, 0xc	/* 80 data, not present */
	DESC 0, 0x00fff, 0x96, 0x4	/* 88 data, expand-down */
	DESC 0, 0xfffff, 0x98, 0xc	/* 90 code, execute-only */
	DESC 0, 0xfffff, 0x9e, 0xc	/* 98 code, conforming */
	DESC 0, 0xfffff, 0xfe, 0xc	/* a0 code, conforming, ring 3 */
	DESC 0, 0xfffff, 0x1a, 0xc	/* a8 code, not present */
	DESC 0, 0x00fff, 0x9a, 0x4	/* b0 code, too short */
	DESC 0, 0xfffff, 0x9a, 0x8	/* b8 code of 16 bits */
	DESC 0, 0xfffff, 0xb2, 0xc	/* c0 data of ring 1 */
	DESC 0, 0xfffff, 0x80, 0	/* c8 reserved type */
	DESC 0, 0xfffff, 0x8d, 0	/* d0 reserved type */
	GATE CODE, AT(target), 0x8c	/* d8 call gate */
	GATE CODE, AT(target), 0xec	/* e0 ring 3's */
	GATE CODE, AT(target), 0xec, 3	/* e8 with parameters */
	GATE CODE, AT(target), 0x6c	/* f0 not present */
	GATE DATA, AT(target), 0xec	/* f8 to data */
	GATE 0x98, AT(target), 0xec	/* 100 to conforming code */
	GATE 0, AT(target), 0xec	/* 108 to nothing */
	GATE UCODE, AT(target), 0xec	/* 110 to ring 3 */
	GATE CODE, 0x4000, 0xe4, 2	/* 118 of 16 bits */
	GATE 0x30, 0, 0x85		/* 120 task gate */
	GATE 0x30, 0, 0xe5		/* 128 ring 3's */
	GATE 0x38, 0, 0xe5		/* 130 */
	GATE CODE, AT(target), 0x8e	/* 138 interrupt gate */
	GATE 0xa8, AT(target), 0xec	/* 140 call gate to code not present */
	GATE 0xb0, AT(target), 0xec	/* 148 call gate beyond the limit */
	GATE 0x1f0, AT(target), 0xec	/* 150 call gate beyond the table */
	DESC 0, 0xfffff, 0xf2, 0xc	/* 158 data of ring 3, not accessed */
	DESC 0, 0xfffff, 0x92, 0x8	/* 160 stack of 16 bits */
gdt_end:

	.code32
protected:
	mov $DATA, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $STACK, %esp
	/* IDT: exceptions to stubs, 40 for all rings */
	mov $stubs, %ebx
	mov $IDT, %edi
	mov $0x42, %ecx
1:	mov %ebx, %eax
	and $0xffff, %eax
	or $CODE << 16, %eax
	stosl
	mov %ebx, %eax
	mov $0x8e00, %ax
	cmp $2, %ecx
	ja 2f
	mov $0xee00, %ax
2:	stosl
	add $8, %ebx
	loop 1b
	movb $0xcd, 0x4000		/* the 16-bit gate's target: INT 40 */
	movb $0x40, 0x4001
	mov $selectors, %esi
next_selector:
	lodsl
	cmp $-1, %eax
	je virtual_mode
	mov %eax, %ebp			/* flags << 16 | selector */
	mov $operations, %edi
next_operation:
	mov (%edi), %eax
	add $4, %edi
	test %eax, %eax
	jz next_selector
	mov %eax, %ebx
	xor %edx, %edx			/* ring 0 */
	call attempt
	mov $3, %edx
	call attempt
	jmp next_operation

/* Try EBX with the selector BP in ring DL. */
attempt:
	pushal
	mov %esp, RECOVER
	movl $recovered, RECOVER + 4
	call reset_tables
	mov %ebp, %eax
	shl $16, %eax
	mov %bx, %ax
	shl $1, %eax
	or %edx, %eax
	mov %eax, CASE
	movl $target, FARPTR
	mov %bp, FARPTR + 4
	movw $0, FARPTR + 6
	movl $STACK - 256, STACKPTR
	mov %bp, STACKPTR + 4
	mov %ebp, %ecx
	test %edx, %edx
	jnz 1f
	sub $64, %esp			/* what an attempt may take off the stack */
	push %ebx
	mov %ebp, %ebx
	call clear_registers
	pushl $2
	popfl
	ret
1:	pushl $UDATA
	pushl $STACK3
	pushl $2
	pushl $UCODE
	push %ebx
	mov $UDATA, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %fs
	mov %eax, %gs
	mov %ebp, %ebx
	call clear_registers
	iretl
recovered:
	popal
	ret

clear_registers:
	mov $0x11111111, %eax
	mov $0x22222222, %ecx
	mov $0x33333333, %edx
	mov $0x55555555, %esi
	mov $0x66666666, %edi
	mov $0x77777777, %ebp
	ret

/* The GDT and the tasks, as they are at the start of each attempt; TR and LDTR too. */
reset_tables:
	pushal
	mov $gdt, %esi
	mov $GDT, %edi
	mov $(gdt_end - gdt) / 4, %ecx
	rep movsl
	xor %eax, %eax
	mov $TSS, %edi
	mov $0x400 / 4, %ecx
	rep stosl
	mov $6, %ecx
	mov $TSS, %edi
1:	call make_task
	add $0x80, %edi
	loop 1b
	movl $0x00cf9a00, LDT + 4
	movl $0x0000ffff, LDT
	movl $0x00cf9200, LDT + 12
	movl $0x0000ffff, LDT + 8
	mov $MAIN_TSS, %eax
	ltr %ax
	xor %eax, %eax
	lldt %ax
	clts
	mov $STACK3 - 64, %edi
	mov $16, %ecx
	mov $0x0f0f0f0f, %eax
	rep stosl
	popal
	ret

/* A TSS at EDI */
make_task:
	movl $STACK0, 4(%edi)
	movl $DATA, 8(%edi)
	movl $target, 32(%edi)
	movl $2, 36(%edi)
	movl $0xaaaa0001, 40(%edi)
	movl $0xaaaa0002, 44(%edi)
	movl $STACK_TASK, 56(%edi)
	movl $DATA, 72(%edi)
	movl $CODE, 76(%edi)
	movl $DATA, 80(%edi)
	movl $DATA, 84(%edi)
	movl $0x680000, 100(%edi)
	ret

/* INT 40 is the same in 16-bit code. */
target:
	int $0x40

	.balign 8
stubs:
	.set vector, 0
	.rept 0x42
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
/* On the stack: vector, error code, EIP, CS, EFLAGS, and perhaps ESP, SS. */
common:
	push %eax
	push %ds
	mov $DATA, %eax
	mov %eax, %ds
	pop %eax
	mov %ax, REC + 32		/* DS */
	mov %es, REC + 34
	mov %fs, REC + 36
	mov %gs, REC + 38
	pop %eax
	mov %eax, REC + 16
	mov %ecx, REC + 20
	mov %ebp, REC + 24
	mov %ebx, REC + 28
	mov $DATA, %eax
	mov %eax, %es
	mov CASE, %eax
	mov %eax, REC
	pop %eax
	mov %al, REC + 4
	mov %ss, REC + 6
	movb $0, REC + 5
	pop REC + 8			/* error code */
	pop REC + 12			/* EIP */
	pop REC + 40			/* CS, EFLAGS */
	mov REC + 40, %eax
	movzwl %ax, %eax
	mov %eax, REC + 40
	pop %eax
	/* RF is not what this is about, and processors differ. */
	and $~0x10000, %eax
	mov %eax, REC + 44
	mov %esp, REC + 48
	xor %eax, %eax
	str %ax
	mov %ax, REC + 52
	sldt %ax
	mov %ax, REC + 54
	/* The tables, and the stacks' ends */
	mov $GDT, %esi
	mov $(gdt_end - gdt) / 4, %ecx
	call sum
	mov %ebx, REC + 56
	mov $TSS, %esi
	mov $0x300 / 4, %ecx
	call sum
	mov $STACK3 - 64, %esi
	mov $16, %ecx
	call sum_more
	mov $STACK_TASK - 64, %esi
	mov $16, %ecx
	call sum_more
	mov %cr0, %eax
	and $0x1f, %eax
	add %eax, %ebx
	mov %ebx, REC + 60
	mov $REC, %esi
	mov $64, %ecx
	mov $0xe9, %edx
	cld
	rep outsb
	/* Back to the loop, from whatever it is now. */
	mov $DATA, %eax
	mov %eax, %ss
	mov RECOVER, %esp
	pushl $2
	popfl
	ljmp $CODE, $1f
1:	jmp *RECOVER + 4

sum:
	xor %ebx, %ebx
sum_more:
	lodsl
	rol $1, %ebx
	add %eax, %ebx
	loop sum_more
	ret

#define OP(code...) .long 9f; .pushsection .text, 2; .code32; 9: code; int $0x40; .popsection

operations:
	OP(mov %bx, %ds)
	OP(mov %bx, %es)
	OP(mov %bx, %ss)
	OP(push %ebx; pop %fs)
	OP(lgs FARPTR, %eax)
	OP(lss STACKPTR, %esp)
	OP(lar %ebx, %ecx)
	OP(lsl %ebx, %ecx)
	OP(verr %bx)
	OP(verw %bx)
	OP(mov %ebx, %ecx; mov $1, %eax; arpl %ax, %cx)
	OP(ljmp *FARPTR)
	OP(lcall *FARPTR)
	OP(push %ebx; push $target; lret)
	OP(push %ebx; push $target; lret $8)
	OP(pushl $UDATA; pushl $STACK3; push %ebx; push $target; lret)
	OP(push $2; push %ebx; push $target; iret)
	OP(pushl $UDATA; pushl $STACK3; push $0x3002; push %ebx; push $target; iret)
	OP(lldt %bx)
	OP(ltr %bx)
	OP(mov %bx, %ds; mov %ds:0xc000, %ecx)
	OP(mov %bx, %es; mov %ecx, %es:0xc000)
	OP(mov %bx, %gs; mov %gs:0x800, %ecx)
	OP(lldt %bx; mov $12, %eax; mov %eax, %es; mov %es:0, %ecx)
	.long 0

selectors:
	.long 0, 3, 0x08, 0x09, 0x0b, 0x10, 0x13, 0x18, 0x1b, 0x20, 0x23, 0x28, 0x30, 0x33
	.long 0x38, 0x3b, 0x40, 0x48, 0x50, 0x60, 0x63, 0x68, 0x70, 0x73, 0x78, 0x80
	.long 0x88, 0x90, 0x93, 0x98, 0x9b, 0xa0, 0xa3, 0xa8, 0xb0, 0xb8, 0xc0, 0xc1, 0xc8, 0xd0
	.long 0xd8, 0xdb, 0xe0, 0xe3, 0xe8, 0xf0, 0xf8, 0x100, 0x108, 0x110, 0x118, 0x120
	.long 0x123, 0x128, 0x12b, 0x130, 0x138, 0x140, 0x148, 0x150, 0x158, 0x15b, 0x160
	.long 4, 0x0c, 0xfff8, -1

/* ---- virtual-8086 mode ---- */

virtual_mode:
	mov $v86_list, %esi
1:	lodsl
	test %eax, %eax
	jz finish
	mov %eax, %ebx
	xor %edx, %edx
	call v86_attempt
	mov $0x3000, %edx
	call v86_attempt
	jmp 1b

v86_attempt:
	pushal
	mov %esp, RECOVER
	movl $recovered, RECOVER + 4
	call reset_tables
	lea (%edx, %ebx), %eax
	mov %eax, CASE
	push $0x0c00			/* GS, FS, DS, ES */
	push $0x0b00
	push $0
	push $0
	push $0
	pushl $STACK3
	or $0x20002, %edx
	push %edx
	push $0x1000
	sub $_start, %ebx
	push %ebx
	mov $0x1234, %ebx
	call clear_registers
	mov $0xc100, %esi
	mov $0xc200, %edi
	iretl

#define V86(code...) .long 9f; .pushsection .text, 3; .code16; 9: code; int $0x40; .popsection

v86_list:
	V86(nop)
	V86(cli)
	V86(sti)
	V86(pushf)
	V86(pushfl)
	V86(pushl $0x247ed7; popfl; pushfl; popl %eax)
	V86(push $0x7ed7; popf; pushfl; popl %eax)
	V86(int $0x30)
	V86(int3)
	V86(pushf; push %cs; push $1f - _start; iret; 1:)
	V86(hlt)
	V86(in $0x70, %al)
	V86(mov $0x1234, %ax; mov %ax, %ds; mov %ds, %bx)
	V86(push %cs; push $1f - _start; lret; 1:)
	V86(lcall $0x1000, $1f - _start; 1:)
	V86(ud2)
	V86(sldt %ax)
	V86(smsw %ax)
	V86(mov %cr0, %eax)
	V86(clts)
	V86(movl $0x10000, %ebx; mov (%ebx), %al)
	V86(mov $0xffff, %bp; mov (%bp), %ax)
	V86(les 0xc000, %bx; mov %es, %ax)
	V86(pusha; popa)
	V86(mov $4, %cx; rep stosw)
	.long 0

	.code32
finish:
	mov $REC, %edi
	mov $16, %ecx
	mov $-1, %eax
	rep stosl
	mov $REC, %esi
	mov $64, %ecx
	mov $0xe9, %edx
	rep outsb
	/* QEMU ends by the first, Bochs by the second. */
	mov $0xf4, %dx
	out %al, %dx
	mov $shutdown, %esi
	mov $8, %ecx
	mov $0x8900, %edx
	rep outsb
1:	hlt
	jmp 1b
shutdown:
	.ascii "Shutdown"
