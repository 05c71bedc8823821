/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What emulators of VMX get wrong (vmx/quirks.c).
 */
#ifndef KVM_VMX_QUIRKS_H
#define KVM_VMX_QUIRKS_H

#include "kvm_quirks.h"
#include "vmx.h"

/* By the titles in Documentation/lab.rst: */
enum vmx_quirk_nr {
	VMX_QUIRK_GUEST_SLICES,		/* "An interrupt that does not end the guest" */
	VMX_QUIRK_FALSE_STEPS,		/* "A step that was not made" */
	VMX_QUIRK_STALE_VECTORING,	/* "An older event in the vectoring information" */
	VMX_NR_QUIRKS
};

extern struct static_key_false vmx_quirk_keys[VMX_NR_QUIRKS];
extern u64 vmx_quirk_counts[VMX_NR_QUIRKS];

static __always_inline bool vmx_quirk_taken(enum vmx_quirk_nr nr)
{
	vmx_quirk_counts[nr]++;
	return true;
}

/* Whoever asks goes on to take the path. */
static __always_inline bool vmx_quirk(enum vmx_quirk_nr nr)
{
	return static_branch_unlikely(&vmx_quirk_keys[nr]) && vmx_quirk_taken(nr);
}

void vmx_clear_false_step(struct vcpu_vmx *vmx);
u32  vmx_true_vectoring(struct vcpu_vmx *vmx, u32 info);
void vmx_init_guest_slices(void);
int  vmx_handle_guest_slice(struct kvm_vcpu *vcpu);
void vmx_quirks_init(void);

/* Where an instruction has exited: it has not been stepped over. */
static __always_inline void vmx_drop_false_step(struct vcpu_vmx *vmx)
{
	if (vmx_quirk(VMX_QUIRK_FALSE_STEPS))
		vmx_clear_false_step(vmx);
}

/* The same on nearly every exit's way, where the flags have been read before. */
static __always_inline void vmx_drop_skipped_step(struct vcpu_vmx *vmx)
{
	if (static_branch_likely(&vmx_quirk_keys[VMX_QUIRK_FALSE_STEPS]) &&
	    vmx_quirk_taken(VMX_QUIRK_FALSE_STEPS) && unlikely(vmx->rflags & X86_EFLAGS_TF))
		vmx_clear_false_step(vmx);
}

#endif
