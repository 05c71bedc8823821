/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entering a guest and leaving it: what vmx/entry.S and svm/entry.S do alike.
 *
 * Both get the struct kvm_vcpu in RDI.  Offsets into it are checked below, where
 * C includes this.
 */
#ifndef KVM_ENTRY_H
#define KVM_ENTRY_H

/* vcpu->regs[]; the others are in the VMCB or the VMCS. */
#define REGS_RAX		(0 * 8)
#define REGS_RCX		(1 * 8)
#define REGS_RDX		(2 * 8)
#define REGS_RBX		(3 * 8)
#define REGS_RBP		(5 * 8)
#define REGS_RSI		(6 * 8)
#define REGS_RDI		(7 * 8)
#define REGS_R8			(8 * 8)
#define REGS_R9			(9 * 8)
#define REGS_R10		(10 * 8)
#define REGS_R11		(11 * 8)
#define REGS_R12		(12 * 8)
#define REGS_R13		(13 * 8)
#define REGS_R14		(14 * 8)
#define REGS_R15		(15 * 8)

/* vcpu->spec_ctrl */
#define SPEC_CTRL_GUEST		(17 * 8)
#define SPEC_CTRL_HOST		(18 * 8)
#define SPEC_CTRL_PASSTHROUGH	(19 * 8)

#ifdef __ASSEMBLY__

#include <asm/alternative.h>
#include <asm/cpufeatures.h>
#include <asm/msr-index.h>

.macro KVM_PUSH_CALLEE_SAVED
	push	%rbp
	push	%r15
	push	%r14
	push	%r13
	push	%r12
	push	%rbx
.endm

.macro KVM_POP_CALLEE_SAVED
	pop	%rbx
	pop	%r12
	pop	%r13
	pop	%r14
	pop	%r15
	pop	%rbp
.endm

/* All but RAX, from RDI; flags stay. */
.macro KVM_LOAD_GUEST_REGS
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
.endm

/* All but RAX, to the vcpu that RAX points to. */
.macro KVM_SAVE_GUEST_REGS
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
.endm

/*
 * The host does not speculate with values that the guest chose.  RAX and RBX are
 * the caller's to clear; RDI has the vcpu again.
 */
.macro KVM_CLEAR_GUEST_REGS
	xor	%ecx, %ecx
	xor	%edx, %edx
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
.endm

/*
 * SPEC_CTRL, if the processor does not switch it itself; no branch where there is
 * nothing to do.  Clobbers RAX, RCX, RDX.
 */
.macro KVM_LOAD_GUEST_SPEC_CTRL
	ALTERNATIVE_2 "jmp .Lguest_spec_ctrl_done", \
		"", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lguest_spec_ctrl_done", X86_FEATURE_V_SPEC_CTRL
	mov	SPEC_CTRL_GUEST(%rdi), %rax
	cmp	SPEC_CTRL_HOST(%rdi), %rax
	je	.Lguest_spec_ctrl_done
	mov	%rax, %rdx
	shr	$32, %rdx
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
.Lguest_spec_ctrl_done:
.endm

.macro KVM_LOAD_HOST_SPEC_CTRL
	ALTERNATIVE_2 "jmp .Lhost_spec_ctrl_done", \
		"", X86_FEATURE_MSR_SPEC_CTRL, \
		"jmp .Lhost_spec_ctrl_done", X86_FEATURE_V_SPEC_CTRL
	mov	$MSR_IA32_SPEC_CTRL, %ecx
	cmpb	$0, SPEC_CTRL_PASSTHROUGH(%rdi)
	je	.Lcompare_spec_ctrl
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, SPEC_CTRL_GUEST(%rdi)
.Lcompare_spec_ctrl:
	mov	SPEC_CTRL_HOST(%rdi), %rax
	/* IBRS protects only from the first write on that follows the exit. */
	ALTERNATIVE "", "jmp .Lwrite_spec_ctrl", X86_FEATURE_KERNEL_IBRS
	cmp	SPEC_CTRL_GUEST(%rdi), %rax
	je	.Lhost_spec_ctrl_same
.Lwrite_spec_ctrl:
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.Lhost_spec_ctrl_same:
	/* Nothing behind is done, with the guest's value, while the jump is a guess. */
	lfence
.Lhost_spec_ctrl_done:
.endm

#else /* !__ASSEMBLY__ */

#include "kvm_host.h"

#include <linux/context_tracking.h>
#include <linux/percpu.h>
#include <asm/cpufeature.h>
#include <asm/nospec-branch.h>

#define KVM_CHECK_REG(REG)	static_assert(VCPU_REGS_##REG * 8 == REGS_##REG)
static_assert(offsetof(struct kvm_vcpu, regs) == 0);
KVM_CHECK_REG(RAX);
KVM_CHECK_REG(RCX);
KVM_CHECK_REG(RDX);
KVM_CHECK_REG(RBX);
KVM_CHECK_REG(RBP);
KVM_CHECK_REG(RSI);
KVM_CHECK_REG(RDI);
KVM_CHECK_REG(R8);
KVM_CHECK_REG(R15);
#undef KVM_CHECK_REG
static_assert(offsetof(struct kvm_vcpu, spec_ctrl.guest) == SPEC_CTRL_GUEST);
static_assert(offsetof(struct kvm_vcpu, spec_ctrl.host) == SPEC_CTRL_HOST);
static_assert(offsetof(struct kvm_vcpu, spec_ctrl.passthrough) == SPEC_CTRL_PASSTHROUGH);

/* Before an entry: what the exit loads again. */
static inline void kvm_note_host_spec_ctrl(struct kvm_vcpu *vcpu)
{
	if (cpu_feature_enabled(X86_FEATURE_MSR_SPEC_CTRL))
		vcpu->spec_ctrl.host = this_cpu_read(x86_spec_ctrl_current);
}

/* After an exit: the VMM's user code is not to run with the guest's branch predictions. */
static inline void kvm_want_ibpb_to_user(void)
{
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}

/*
 * The innermost part of the boundary to guest mode, interrupts off.  Where CPUs run
 * without ticks (nohz_full), the guest is user mode to RCU, which does not watch
 * from enter to exit: nothing but the vendor's assembly may stand between, which
 * reads no data under RCU, takes no lock and is not traced.
 */
static __always_inline void kvm_guest_context_enter(void)
{
	context_tracking_guest_enter();
}

static __always_inline void kvm_guest_context_exit(void)
{
	context_tracking_guest_exit();
}

#endif /* __ASSEMBLY__ */
#endif
