/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest of the MMU fuzzer, for 32 and for 64 bits: it does what a list says, and
 * leaves in each entry what came of it (struct guest_op in mmu.h).  The code is mapped
 * twice, for supervisors and for users, and so does not know where it is:
 *
 *	SI	the entry
 *	BP	where it goes on after each, set by the VMM
 *	SP	the stack of this vcpu, in its block of 64k
 */
	.section .rodata

	.macro agent bits ax bx cx di si bp
	.code\bits
	.balign 16
	.globl fuzz_agent\bits, fuzz_agent\bits\()_next, fuzz_agent\bits\()_end
fuzz_agent\bits:
1:	mov 16(%\si), %eax
	mov (%\si), %\bx
	mov 8(%\si), %\cx
	cmp $1, %eax
	je 11f
	cmp $2, %eax
	je 12f
	cmp $3, %eax
	je 13f
	cmp $4, %eax
	je 14f
	cmp $5, %eax
	je 15f
	cmp $6, %eax
	je 16f
	cmp $7, %eax
	je 17f
	cmp $8, %eax
	je 18f
	cmp $9, %eax
	je 19f
	out %al, $0x11
	jmp 1b
11:	mov (%\bx), %eax			/* OP_READ */
	jmp 2f
12:	mov %ecx, (%\bx)			/* OP_WRITE */
	jmp 2f
13:	jmp *%\bx				/* OP_EXEC: sets EAX, goes to BP */
14:	invlpg (%\bx)				/* OP_INVLPG */
	jmp 2f
15:	mov %\cx, %cr3				/* OP_CR3 */
	jmp 2f
16:	mov %ecx, (%\bx)			/* OP_SET4 */
	jmp 2f
17:						/* OP_SET8 */
	.if \bits == 64
	mov %\cx, (%\bx)
	.else
	movl $0, (%\bx)
	mov 12(%\si), %eax
	mov %eax, 4(%\bx)
	mov %ecx, (%\bx)
	.endif
	jmp 2f
18:	mov %cl, (%\bx)				/* OP_SET1 */
	jmp 2f
19:	mov %\bx, %\di				/* OP_CLEAR */
	xor %eax, %eax
	rep stosl
fuzz_agent\bits\()_next:
2:	cmpl $0, 20(%\si)
	jne 3f
	mov %eax, 24(%\si)
3:	add $32, %\si
	jmp 1b
fuzz_agent\bits\()_end:
	.endm

	agent 32 eax ebx ecx edi esi ebp
	agent 64 rax rbx rcx rdi rsi rbp

/*
 * Handlers: the vector and the error code to the entry, as supervisors have it mapped;
 * and on at BP.
 */
	.macro handlers bits w push iret ax bx cx sp bp
	.code\bits
	.balign 16
	.globl fuzz_stubs\bits, fuzz_stubs\bits\()_end
fuzz_stubs\bits:
	n = 0
	.rept 32
	.balign 16
	.if n <> 8 && (n < 10 || n > 14) && n <> 17 && n <> 21
	\push $0
	.endif
	\push $n
	jmp 1f
	n = n + 1
	.endr
1:	push %\ax
	push %\bx
	mov %\sp, %\bx
	and $-0x10000, %\bx
	movzwl %si, %eax
	add %\ax, %\bx
	movzbl 2*\w(%\sp), %eax
	shl $16, %eax
	or 3*\w(%\sp), %eax
	or $0x80000000, %eax
	mov %eax, 20(%\bx)
	mov %cr2, %\ax
	mov %\ax, 24(%\bx)
	mov %\bp, 4*\w(%\sp)
	pop %\bx
	pop %\ax
	add $2*\w, %\sp
	\iret
fuzz_stubs\bits\()_end:
	.endm

	handlers 32 4 pushl iretl eax ebx ecx esp ebp
	handlers 64 8 push iretq rax rbx rcx rsp rbp
	.code64
	.section .note.GNU-stack, "", @progbits
