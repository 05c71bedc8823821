/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Into the guest and out again (SDM 3C "VM Entries", "VM Exits").
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/alternative.h>
#include <asm/ibt.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include "compat/vmx.h"
#include "entry.h"

	.text

/*
 * bool vmx_enter_guest(unsigned long *regs, struct vmx_switch *sw)
 *
 * Interrupts off.  The processor itself switches RSP, RIP, RFLAGS, the control
 * registers, segments, descriptor tables and the MSRs that the VMCS has; the
 * general registers are ours.  An exit lands at vmx_exit_landing with RSP as
 * it is at entry; an entry that fails falls through.
 */
SYM_FUNC_START(vmx_enter_guest)
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
	push	%rsi
	push	%rdi

	/* The same thread comes by the same way: it seldom changes. */
	cmp	%rsp, SWITCH_HOST_RSP(%rsi)
	je	.Lhost_rsp_done
	mov	%rsp, SWITCH_HOST_RSP(%rsi)
	mov	$VMCS_HOST_RSP, %eax
.Lwrite_host_rsp:
	vmwrite	%rsp, %rax
.Lhost_rsp_done:

	/* SPEC_CTRL; no branch where it is done with. */
	ALTERNATIVE "jmp .Lguest_spec_ctrl_done", "", X86_FEATURE_MSR_SPEC_CTRL
	mov	SWITCH_GUEST_SPEC_CTRL(%rsi), %rax
	cmp	SWITCH_HOST_SPEC_CTRL(%rsi), %rax
	je	.Lguest_spec_ctrl_done
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lguest_spec_ctrl_done:

	/* CF: not launched yet.  Nothing below changes it. */
	cmpb	$1, SWITCH_LAUNCHED(%rsi)

	mov	REGS_RAX(%rdi), %rax
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
	CLEAR_CPU_BUFFERS

	UNWIND_HINT_SAVE
	jc	.Llaunch
.Lresume:
	vmresume
	jmp	.Lfailed
.Llaunch:
	vmlaunch

	/*
	 * Still here: it failed, or VMX went off under us (#UD).  Registers are
	 * the guest's all the same, and unchanged.
	 */
.Lfailed:
	pop	%rdi
	pop	%rsi
	mov	$1, %ebx
	jmp	.Lhost

SYM_INNER_LABEL(vmx_exit_landing, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	pop	REGS_RAX(%rax)
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
	pop	%rax
	pop	%rsi

	/* No return address that the guest planted in the RSB is predicted. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
		X86_FEATURE_RSB_VMEXIT_LITE
	xor	%ebx, %ebx

.Lhost:
	/* Nor does the host speculate with values that the guest chose. */
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%ebp, %ebp
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d

	ALTERNATIVE "jmp .Lhost_spec_ctrl_done", "", X86_FEATURE_MSR_SPEC_CTRL
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	cmpb	$0, SWITCH_READ_SPEC_CTRL(%rsi)
	je	.Lcompare_spec_ctrl
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, SWITCH_GUEST_SPEC_CTRL(%rsi)
.Lcompare_spec_ctrl:
	mov	SWITCH_HOST_SPEC_CTRL(%rsi), %rax
	/* IBRS guards only from the write on that follows the exit. */
	ALTERNATIVE "", "jmp .Lwrite_spec_ctrl", X86_FEATURE_KERNEL_IBRS
	cmp	SWITCH_GUEST_SPEC_CTRL(%rsi), %rax
	je	.Lhost_spec_ctrl_done
.Lwrite_spec_ctrl:
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lhost_spec_ctrl_done:

	/* Nor is a branch of the host's predicted by the guest's history. */
	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%ebx, %eax
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
	RET

	_ASM_EXTABLE(.Lwrite_host_rsp, .Lhost_rsp_done)
	_ASM_EXTABLE(.Lresume, .Lfailed)
	_ASM_EXTABLE(.Llaunch, .Lfailed)
SYM_FUNC_END(vmx_enter_guest)

/* RBP is the guest's for a while: no frame to unwind by, ORC does without. */
STACK_FRAME_NON_STANDARD_FP vmx_enter_guest

/*
 * void vmx_call_nmi(void)
 *
 * An NMI ended the guest, and NMIs stay blocked until an IRET: the kernel's
 * handler is called with a frame as the processor would have made it, and its
 * IRET comes back here.
 */
SYM_FUNC_START(vmx_call_nmi)
	push	%rbp
	mov	%rsp, %rbp
	and	$-16, %rsp
	push	$__KERNEL_DS
	push	%rbp
	pushf
	push	$__KERNEL_CS
	call	VMX_COMPAT_NMI_ENTRY
	/* RSP is RBP again. */
	pop	%rbp
	RET
SYM_FUNC_END(vmx_call_nmi)

/* The call is returned from by IRET. */
STACK_FRAME_NON_STANDARD vmx_call_nmi
