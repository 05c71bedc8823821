/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entering a guest and leaving it (SDM 3C "VM Entries", "VM Exits").
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/asm-offsets.h>
#include <asm/ibt.h>
#include <asm/nospec-branch.h>
#include <asm/percpu.h>
#include <asm/segment.h>
#include <asm/unwind_hints.h>

#include "compat/vmx.h"
#include "kvm_entry.h"

	.text

/* The encoding of the VMCS field HOST_RSP, SDM 3D "Field Encoding in VMCS". */
#define HOST_RSP_FIELD	0x6c14

/*
 * bool vmx_enter_guest(struct kvm_vcpu *vcpu, unsigned long *host_rsp, bool launched)
 *
 * True: the instruction failed, nothing was loaded (SDM 3C "Conventions": VMfail).
 * Interrupts off.  The processor itself switches RSP, RIP, RFLAGS, the control
 * registers, segments, descriptor tables and the MSRs that the VMCS has; the
 * general registers are ours.  An exit lands at vmx_exit_landing with RSP as
 * it is at entry; an entry that fails falls through.
 */
SYM_FUNC_START(vmx_enter_guest)
	KVM_PUSH_CALLEE_SAVED
	push	%rdi

	/* The same thread comes by the same way: it seldom changes. */
	cmp	%rsp, (%rsi)
	je	.Lhost_rsp_done
	mov	%rsp, (%rsi)
	mov	$HOST_RSP_FIELD, %eax
.Lwrite_host_rsp:
	vmwrite	%rsp, %rax
.Lhost_rsp_done:

	mov	%edx, %esi
	KVM_LOAD_GUEST_SPEC_CTRL

	/* CF: not launched yet.  Nothing below changes it. */
	cmpb	$1, %sil

	mov	REGS_RAX(%rdi), %rax
	KVM_LOAD_GUEST_REGS

	/* The host's data in the CPU's buffers is not for the guest (clobbers ZF). */
	VMX_CLEAR_CPU_BUFFERS

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
	mov	$1, %ebx
	jmp	.Lhost

SYM_INNER_LABEL(vmx_exit_landing, SYM_L_GLOBAL)
	UNWIND_HINT_RESTORE
	ENDBR
	push	%rax
	mov	8(%rsp), %rax
	pop	REGS_RAX(%rax)
	KVM_SAVE_GUEST_REGS
	pop	%rdi

	/* No return address that the guest left in the RSB is predicted. */
	FILL_RETURN_BUFFER %rax, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, \
		X86_FEATURE_RSB_VMEXIT_LITE
	xor	%ebx, %ebx

.Lhost:
	xor	%eax, %eax
	KVM_CLEAR_GUEST_REGS

	KVM_LOAD_HOST_SPEC_CTRL

	/* Nor is a branch of the host's predicted by the guest's history. */
	CLEAR_BRANCH_HISTORY_VMEXIT

	mov	%ebx, %eax
	KVM_POP_CALLEE_SAVED
	RET

	_ASM_EXTABLE(.Lwrite_host_rsp, .Lhost_rsp_done)
	_ASM_EXTABLE(.Lresume, .Lfailed)
	_ASM_EXTABLE(.Llaunch, .Lfailed)
SYM_FUNC_END(vmx_enter_guest)

/* RBP is the guest's for a while: no frame to unwind by, ORC does without. */
STACK_FRAME_NON_STANDARD_FP vmx_enter_guest

#ifndef HAVE_ENTRY_FROM_KVM
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
#endif
