// SPDX-License-Identifier: GPL-2.0-only
/*
 * What emulators of SVM get wrong, and how it is worked around.
 *
 * QEMU's is known by the signature that its CPUID has for hypervisors: other
 * hypervisors, whose guest's SVM is the processor's, have another.  Bochs' SVM
 * has faults, too, but none that is worked around here.
 */
#include "kvm_events.h"
#include "quirks.h"

#include <linux/module.h>
#include <linux/string.h>
#include <asm/processor.h>

DEFINE_STATIC_KEY_ARRAY_FALSE(svm_quirk_keys, SVM_NR_QUIRKS);
u64 svm_quirk_counts[SVM_NR_QUIRKS];

static const char *const names[SVM_NR_QUIRKS] = {
	[SVM_QUIRK_VIRQ_INJECTION]	= "virq_injection",
	[SVM_QUIRK_EXIT_AFTER_EVENTINJ]	= "exit_after_eventinj",
	[SVM_QUIRK_CR8_EXITS]		= "cr8_exits",
	[SVM_QUIRK_AVAILABLE_TSS]	= "available_tss",
};

static struct kvm_quirks quirks = {
	.module = "kvm_amd",
	.names = names,
	.nr = SVM_NR_QUIRKS,
	.keys = svm_quirk_keys,
	.counts = svm_quirk_counts,
};

module_param_cb(emulator_quirks, &kvm_quirks_param_ops, &quirks, 0444);
__MODULE_PARM_TYPE(emulator_quirks, "charp");
MODULE_PARM_DESC(emulator_quirks, "ways round faults of emulators: auto, off, or a list of names");

#define CPUID_HYPERVISOR	0x40000000

static bool __init on_qemu(void)
{
	u32 eax, signature[3];

	cpuid(CPUID_HYPERVISOR, &eax, &signature[0], &signature[1], &signature[2]);
	return !memcmp(signature, "TCGTCGTCGTCG", sizeof(signature));
}

/** svm_quirks_init - switch on what this emulator, if it is one, needs */
void __init svm_quirks_init(void)
{
	kvm_quirks_init(&quirks, on_qemu() ? GENMASK(SVM_NR_QUIRKS - 1, 0) : 0);
}

/*
 * ---- virq_injection: V_IRQ in place of EVENTINJ ----
 *
 * A virtual interrupt is delivered before the guest's next instruction, so it does
 * for those that the guest can take at once.
 */

/** svm_inject_virq - inject an interrupt that the guest can take now; V_IRQ is free */
void svm_inject_virq(struct vcpu_svm *svm, u8 vector)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	svm_quirk_counts[SVM_QUIRK_VIRQ_INJECTION]++;
	svm->virq = true;
	control->int_vector = vector;
	control->int_ctl |= V_IRQ_INJECTION_BITS_MASK;
	mark_dirty(svm, CLEAN_INTR);
}

/** svm_withdraw_virq - undo svm_inject_virq(): int_vector has the vector still */
void svm_withdraw_virq(struct vcpu_svm *svm)
{
	svm->virq = false;
	svm->vmcb->control.int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	mark_dirty(svm, CLEAN_INTR);
}

/*
 * Not taken yet, or its delivery interrupted: QEMU leaves V_IRQ set and calls the
 * interrupt an exception then, the manual has it clear and the type right.
 */
static bool virq_delivered(const struct vmcb_control_area *control)
{
	u32 info = control->exit_int_info;

	return !(control->int_ctl & V_IRQ_MASK) &&
	       !((info & SVM_EXITINTINFO_VALID) &&
		 (info & SVM_EXITINTINFO_VEC_MASK) == control->int_vector);
}

/**
 * svm_requeue_virq - after an exit: was the injected V_IRQ delivered?
 * @svm: the vcpu
 *
 * Return: true if it was not, and is to be injected again; EXITINTINFO says
 * nothing beyond that then.
 */
bool svm_requeue_virq(struct vcpu_svm *svm)
{
	const struct vmcb_control_area *control = &svm->vmcb->control;

	svm->virq = false;
	if (virq_delivered(control))
		return false;
	svm_withdraw_virq(svm);
	kvm_requeue_irq(&svm->vcpu, control->int_vector);
	return true;
}
