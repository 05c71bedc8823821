/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Into the guest and out again (APM 2 "VMRUN Instruction").
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/alternative.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

#include "compat/svm.h"
#include "entry.h"

	.text

/*
 * void svm_enter_guest(unsigned long *regs, struct svm_switch *sw)
 *
 * Interrupts off.  VMRUN itself switches RAX, RSP, RIP, RFLAGS, the control
 * registers, CS, SS, DS, ES, GDTR and IDTR; VMLOAD and VMSAVE do FS, GS, TR,
 * LDTR and the syscall MSRs; the rest is ours.  From the first VMLOAD to the
 * last the CPU has the guest's GS and TR, so not even an NMI may come: GIF is
 * clear meanwhile, and what came is taken at STGI, in the host.
 */
SYM_FUNC_START(svm_enter_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi
	push	%rdi

	clgi
	/*
	 * V_INTR_MASKING makes the host's IF at VMRUN decide if a physical
	 * interrupt ends the guest; with GIF clear none is taken here (APM 2
	 * "Virtualizing the INTR").  Early, so that STI's shadow is past.
	 */
	sti

	/* SPEC_CTRL, if the processor does not switch it; no branch where it does. */
	ALTERNATIVE_2 "jmp .Lguest_spec_ctrl_done", \
		"", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lguest_spec_ctrl_done", X86_FEATURE_V_SPEC_CTRL
	mov	SWITCH_GUEST_SPEC_CTRL(%rsi), %rax
	cmp	SWITCH_HOST_SPEC_CTRL(%rsi), %rax
	je	.Lguest_spec_ctrl_done
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lguest_spec_ctrl_done:

	mov	SWITCH_GUEST_PA(%rsi), %rax
	vmload	%rax

	mov	REGS_RCX(%rdi), %rcx
	mov	REGS_RDX(%rdi), %rdx
	mov	REGS_RBX(%rdi), %rbx
	mov	REGS_RBP(%rdi), %rbp
	mov	REGS_RSI(%rdi), %rsi
	mov	REGS_R8(%rdi), %r8
	mov	REGS_R9(%rdi), %r9
	mov	REGS_R10(%rdi), %r10
	mov	REGS_R11(%rdi), %r11
	mov	REGS_R12(%rdi), %r12
	mov	REGS_R13(%rdi), %r13
	mov	REGS_R14(%rdi), %r14
	mov	REGS_R15(%rdi), %r15
	mov	REGS_RDI(%rdi), %rdi

	/* The host's data in the CPU's buffers is not for the guest (clobbers ZF). */
	VM_CLEAR_CPU_BUFFERS

	vmrun	%rax

	/* RAX and RSP are the host's again: RAX the guest's VMCB still. */
	cli
	vmsave	%rax

	pop	%rax
	mov	%rcx, REGS_RCX(%rax)
	mov	%rdx, REGS_RDX(%rax)
	mov	%rbx, REGS_RBX(%rax)
	mov	%rbp, REGS_RBP(%rax)
	mov	%rsi, REGS_RSI(%rax)
	mov	%rdi, REGS_RDI(%rax)
	mov	%r8, REGS_R8(%rax)
	mov	%r9, REGS_R9(%rax)
	mov	%r10, REGS_R10(%rax)
	mov	%r11, REGS_R11(%rax)
	mov	%r12, REGS_R12(%rax)
	mov	%r13, REGS_R13(%rax)
	mov	%r14, REGS_R14(%rax)
	mov	%r15, REGS_R15(%rax)

	pop	%rdi
	mov	SWITCH_HOST_PA(%rdi), %rax
	vmload	%rax

	/* No return address that the guest planted in the RSB is predicted. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT

	/* Nor does the host speculate with values that the guest chose. */
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebx, %ebx
	xor	%ebp, %ebp
	xor	%esi, %esi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	ALTERNATIVE_2 "jmp .Lhost_spec_ctrl_done", \
		"", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lhost_spec_ctrl_done", X86_FEATURE_V_SPEC_CTRL
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	cmpb	$0, SWITCH_READ_SPEC_CTRL(%rdi)
	je	.Lcompare_spec_ctrl
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, SWITCH_GUEST_SPEC_CTRL(%rdi)
.Lcompare_spec_ctrl:
	mov	SWITCH_HOST_SPEC_CTRL(%rdi), %rax
	cmp	SWITCH_GUEST_SPEC_CTRL(%rdi), %rax
	je	.Lhost_spec_ctrl_done
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lhost_spec_ctrl_done:

	SVM_UNTRAIN_RET

	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	stgi
	RET
SYM_FUNC_END(svm_enter_guest)

/* RBP is the guest's for a while: no frame to unwind by, ORC does without. */
STACK_FRAME_NON_STANDARD_FP svm_enter_guest
