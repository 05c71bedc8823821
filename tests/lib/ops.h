/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest that does what a list says, with ports and memory: for tests of
 * devices.  It ends by a write to port PORT_END.
 */
#ifndef TESTS_OPS_H
#define TESTS_OPS_H

#include "vm.h"

#define GPA_OPS		GPA_FREE
#define MAX_OPS		2048
#define PORT_END	0x10

/*
 * Sizes are 1 to 8 by the name's digit.  HALT, WINDOW and SPIN (val rounds) let
 * interrupts in; WINDOW twice, as in Bochs' SVM an exit in STI's shadow puts an
 * interrupt off until IF changes again.  What is read comes to val.
 */
enum { END, OUT1, OUT2, OUT4, IN1, IN2, IN4, WR1, WR2, WR4, WR8, RD1, RD4, RD8, HALT, WINDOW, SPIN };

struct op { u64 what, addr, val; };

GUEST(ops, 64,
	"1:	mov (%rsi), %eax\n"
	"	mov 8(%rsi), %rdx\n"
	"	mov 16(%rsi), %rdi\n"
	"	add $24, %rsi\n"
	"	lea 2f(%rip), %rcx\n"
	"	mov (%rcx, %rax, 8), %rax\n"
	"	lea 1b(%rip), %rcx\n"
	"	add %rcx, %rax\n"
	"	jmp *%rax\n"
	".balign 8\n"
	"2:	.quad 10f-1b, 11f-1b, 12f-1b, 13f-1b, 14f-1b, 15f-1b, 16f-1b, 17f-1b, 18f-1b\n"
	"	.quad 19f-1b, 20f-1b, 21f-1b, 22f-1b, 23f-1b, 24f-1b, 25f-1b, 26f-1b\n"
	"10:	out %al, $0x10\n	jmp 1b\n"
	"11:	mov %edi, %eax\n	out %al, %dx\n	jmp 1b\n"
	"12:	mov %edi, %eax\n	out %ax, %dx\n	jmp 1b\n"
	"13:	mov %edi, %eax\n	out %eax, %dx\n	jmp 1b\n"
	"14:	xor %eax, %eax\n	in %dx, %al\n	jmp 9f\n"
	"15:	xor %eax, %eax\n	in %dx, %ax\n	jmp 9f\n"
	"16:	in %dx, %eax\n	jmp 9f\n"
	"17:	mov %dil, (%rdx)\n	jmp 1b\n"
	"18:	mov %di, (%rdx)\n	jmp 1b\n"
	"19:	mov %edi, (%rdx)\n	jmp 1b\n"
	"20:	mov %rdi, (%rdx)\n	jmp 1b\n"
	"21:	movzbl (%rdx), %eax\n	jmp 9f\n"
	"22:	mov (%rdx), %eax\n	jmp 9f\n"
	"23:	mov (%rdx), %rax\n	jmp 9f\n"
	"24:	sti\n	hlt\n	cli\n	jmp 1b\n"
	"25:	sti\n	nop\n	nop\n	cli\n	sti\n	nop\n	nop\n	cli\n	jmp 1b\n"
	"26:	sti\n"
	"3:	pause\n	dec %rdi\n	jnz 3b\n	cli\n	jmp 1b\n"
	"9:	mov %rax, -8(%rsi)\n	jmp 1b\n");

static inline void ops_begin(struct vm *vm)
{
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, ops);
}

/* The list from its start; returns the first exit, which need not be the end. */
static inline int ops_start(struct vm *vm, const struct op *ops, int n)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rsi = GPA_OPS };

	memcpy(vm->mem + GPA_OPS, ops, n * sizeof(*ops));
	memset(vm->mem + GPA_OPS + n * sizeof(*ops), 0, sizeof(*ops));
	vcpu_set_regs(&vm->vcpu, &r);
	return vm_run(vm);
}

static inline bool ops_ended(struct vm *vm)
{
	return vm->vcpu.run->exit_reason == KVM_EXIT_IO && vm->vcpu.run->io.port == PORT_END;
}

static inline void ops_run(struct vm *vm, const struct op *ops, int n)
{
	ops_start(vm, ops, n);
	if (!ops_ended(vm)) {
		vcpu_dump(&vm->vcpu, "ops");
		die("the guest did not end");
	}
}

#define RUN(vm, ...) do {						\
	struct op list_[] = { __VA_ARGS__ };				\
	ops_run(vm, list_, ARRAY_LEN(list_));				\
} while (0)
#define RESULT(vm, i)	(((struct op *)((vm)->mem + GPA_OPS))[i].val)

/* Interrupts taken since asked last; the lab's emulator may give one twice. */
static inline u64 taken(struct vm *vm)
{
	u64 n = trap(vm)->count;

	trap(vm)->count = 0;
	return n;
}

#endif
