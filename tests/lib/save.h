/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All state that KVM has of a VM, read and written as a VMM does it that moves one: see
 * Documentation/migration.rst for the order.
 */
#ifndef TESTS_SAVE_H
#define TESTS_SAVE_H

#include "vm.h"

#define SAVED_MSRS	256
#define SAVED_XSAVE	16384

struct saved_vcpu {
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	struct kvm_sregs2 sregs;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic;
	long tsc_khz;
	u32 nmsrs;
	struct kvm_msr_entry msrs[SAVED_MSRS];
	u8 xsave[SAVED_XSAVE] __attribute__((aligned(64)));
};

struct saved_vm {
	struct kvm_clock_data clock;
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
};

/* Each dies with a message upon a failure.  What the VM has not is left alone. */
void vcpu_save(struct vm *vm, struct vcpu *vcpu, struct saved_vcpu *out);
void vcpu_restore(struct vm *vm, struct vcpu *vcpu, const struct saved_vcpu *in);
void vm_save(struct vm *vm, struct saved_vm *out);
void vm_restore(struct vm *vm, const struct saved_vm *in);

#endif
