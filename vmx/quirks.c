// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Bochs 2.7, the one emulator that has VMX, gets wrong, and how it is worked
 * around.  It is known by the name that its firmware has in SMBIOS, and it does
 * not say by CPUID that there is a hypervisor.
 */
#include "kvm_lapic.h"
#include "quirks.h"

#include <linux/dmi.h>
#include <linux/module.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/tsc.h>

DEFINE_STATIC_KEY_ARRAY_FALSE(vmx_quirk_keys, VMX_NR_QUIRKS);
u64 vmx_quirk_counts[VMX_NR_QUIRKS];

static const char *const names[VMX_NR_QUIRKS] = {
	[VMX_QUIRK_GUEST_SLICES]	= "guest_slices",
	[VMX_QUIRK_FALSE_STEPS]		= "false_steps",
	[VMX_QUIRK_STALE_VECTORING]	= "stale_vectoring",
};

static struct kvm_quirks quirks = {
	.module = "kvm_intel",
	.names = names,
	.nr = VMX_NR_QUIRKS,
	.keys = vmx_quirk_keys,
	.counts = vmx_quirk_counts,
};

module_param_cb(emulator_quirks, &kvm_quirks_param_ops, &quirks, 0444);
__MODULE_PARM_TYPE(emulator_quirks, "charp");
MODULE_PARM_DESC(emulator_quirks, "ways round faults of emulators: auto, off, or a list of names");

static bool __init on_bochs(void)
{
	return !boot_cpu_has(X86_FEATURE_HYPERVISOR) &&
	       dmi_match(DMI_BIOS_VENDOR, "The Bochs Project");
}

/** vmx_quirks_init - switch on what this emulator, if it is one, needs */
void __init vmx_quirks_init(void)
{
	unsigned long recognised = 0;
	u64 pin;

	/* The upper half: what may be on. */
	rdmsrq(MSR_IA32_VMX_PINBASED_CTLS, pin);
	pin >>= 32;
	if (on_bochs()) {
		recognised = BIT(VMX_QUIRK_FALSE_STEPS);
		if (pin & PIN_BASED_VMX_PREEMPTION_TIMER)
			recognised |= BIT(VMX_QUIRK_GUEST_SLICES);
		if (vmx_vid)
			recognised |= BIT(VMX_QUIRK_STALE_VECTORING);
	}
	kvm_quirks_init(&quirks, recognised);
	if (static_key_enabled(&vmx_quirk_keys[VMX_QUIRK_GUEST_SLICES]))
		vmx_ctl.pin |= pin & PIN_BASED_VMX_PREEMPTION_TIMER;
}

/*
 * ---- guest_slices ----
 *
 * An interrupt for the host does not end a guest that is entered with IF clear,
 * so no guest is left alone for longer than this, where there is a preemption
 * timer.  The value is never written again: each entry begins with it.
 */
#define GUEST_SLICE_MS	5

/** vmx_init_guest_slices - set the timer in the current VMCS, whose controls have it on */
void vmx_init_guest_slices(void)
{
	u64 misc, ticks;

	rdmsrq(MSR_IA32_VMX_MISC, misc);
	ticks = (u64)tsc_khz * GUEST_SLICE_MS >> vmx_misc_preemption_timer_rate(misc);
	vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, min_t(u64, ticks, U32_MAX));
}

/* Nothing to do: the exit itself lets the host have its interrupt. */
int vmx_handle_guest_slice(struct kvm_vcpu *vcpu)
{
	vmx_quirk(VMX_QUIRK_GUEST_SLICES);
	return 1;
}

/*
 * ---- false_steps ----
 */

/**
 * vmx_clear_false_step - an instruction has exited
 * @vmx: the vcpu
 *
 * Only behind MOV SS does such an exit leave a debug exception pending (SDM 3C
 * "Saving Non-Register State"); Bochs leaves the step of every instruction.
 */
void vmx_clear_false_step(struct vcpu_vmx *vmx)
{
	if (likely(!(hw_rflags(vmx) & X86_EFLAGS_TF)))
		return;
	if (!(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTR_STATE_SHADOW))
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
}

/*
 * ---- stale_vectoring ----
 */

/**
 * vmx_true_vectoring - the event that an exit interrupted, none of those that were injected
 * @vmx: the vcpu
 * @info: IDT-vectoring information, valid
 *
 * For an interrupt that the processor took by itself Bochs has some earlier event
 * there; but it is in service, and the guest still as it was, with interrupts on.
 *
 * Return: what the IDT-vectoring information should be.
 */
u32 vmx_true_vectoring(struct vcpu_vmx *vmx, u32 info)
{
	const struct kvm_lapic *apic = vmx->vcpu.lapic;

	if (!apic || !apic->virtual_delivery || apic->highest_isr < 0 ||
	    !(hw_rflags(vmx) & X86_EFLAGS_IF))
		return info;
	return VECTORING_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | apic->highest_isr;
}
