/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entering a guest and leaving it (APM 2 "VMRUN Instruction").
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>

#include "compat/svm.h"
#include "kvm_entry.h"

	.text

/*
 * void svm_enter_guest(struct kvm_vcpu *vcpu, unsigned long guest_pa,
 *			unsigned long host_pa)
 *
 * Interrupts off.  VMRUN itself switches RAX, RSP, RIP, RFLAGS, the control
 * registers, CS, SS, DS, ES, GDTR and IDTR; VMLOAD and VMSAVE do FS, GS, TR,
 * LDTR and the syscall MSRs; the rest is ours.  From the first VMLOAD to the
 * last the CPU has the guest's GS and TR, so not even an NMI may come: GIF is
 * clear meanwhile, and what came is taken at STGI, in the host.
 */
SYM_FUNC_START(svm_enter_guest)
	KVM_PUSH_CALLEE_SAVED
	push	%rdx
	push	%rdi

	clgi
	/*
	 * V_INTR_MASKING makes the host's IF at VMRUN decide if a physical
	 * interrupt ends the guest; with GIF clear none is taken here (APM 2
	 * "Virtualizing the INTR").  Early, so that STI's shadow is past.
	 */
	sti

	KVM_LOAD_GUEST_SPEC_CTRL

	mov	%rsi, %rax
	vmload	%rax

	KVM_LOAD_GUEST_REGS

	/* The host's data in the CPU's buffers is not for the guest (clobbers ZF). */
	SVM_CLEAR_CPU_BUFFERS

	vmrun	%rax

	/* RAX and RSP are the host's again: RAX the guest's VMCB still. */
	cli
	vmsave	%rax

	pop	%rax
	KVM_SAVE_GUEST_REGS
	mov	%rax, %rdi

	pop	%rax
	vmload	%rax

	/* No return address that the guest left in the RSB is predicted. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT

	xor	%ebx, %ebx
	KVM_CLEAR_GUEST_REGS

	KVM_LOAD_HOST_SPEC_CTRL

	SVM_UNTRAIN_RET

	KVM_POP_CALLEE_SAVED
	stgi
	RET
SYM_FUNC_END(svm_enter_guest)

/* RBP is the guest's for a while: no frame to unwind by, ORC does without. */
STACK_FRAME_NON_STANDARD_FP svm_enter_guest
