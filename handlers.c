// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit handlers that need nothing of a vendor's.
 */
#include "kvm_handlers.h"
#include "kvm_events.h"
#include "kvm_vcpu.h"

#include <linux/export.h>
#include <asm/mce.h>
#include <asm/ptrace.h>
#include <asm/segment.h>

/*
 * ---- what is the host's ----
 */

/**
 * kvm_handle_host_exit - an event of the host's that needs nothing more
 * @vcpu: the vcpu
 *
 * Return: 1.
 */
int kvm_handle_host_exit(struct kvm_vcpu *vcpu)
{
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_host_exit);

/**
 * kvm_handle_host_irq - an interrupt of the host's, which it has taken already
 * @vcpu: the vcpu
 *
 * Return: 1.
 */
int kvm_handle_host_irq(struct kvm_vcpu *vcpu)
{
	vcpu->stat.irq_exits++;
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_host_irq);

/**
 * kvm_handle_host_nmi - an NMI of the host's, which it has taken already
 * @vcpu: the vcpu
 *
 * Return: 1.
 */
int kvm_handle_host_nmi(struct kvm_vcpu *vcpu)
{
	vcpu->stat.nmi_exits++;
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_host_nmi);

/**
 * kvm_machine_check - a machine check came while a guest ran, or was entered
 *
 * It is the host's.  To the kernel it looks as if the VMM's user code had met it,
 * so that the thread can be killed and the host lives.  Interrupts off.
 */
void kvm_machine_check(void)
{
	struct pt_regs regs = { .cs = __USER_CS, .flags = X86_EFLAGS_IF };

	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}
EXPORT_SYMBOL_GPL(kvm_machine_check);

/*
 * ---- the guest's ----
 */

/**
 * kvm_handle_pause - PAUSE in a loop: the guest waits for another vcpu
 * @vcpu: the vcpu, loaded
 *
 * Return: as exit handlers.
 */
int kvm_handle_pause(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_on_spin(vcpu);
	return kvm_handle_nop(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_pause);

/**
 * kvm_handle_ac - #AC, which is intercepted only against endless delivery
 * @vcpu: the vcpu, loaded
 *
 * Return: 1.
 */
int kvm_handle_ac(struct kvm_vcpu *vcpu)
{
	kvm_queue_exception_e(vcpu, X86_TRAP_AC, 0);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_ac);
