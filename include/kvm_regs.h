/* SPDX-License-Identifier: GPL-2.0-only */
/* General, control and segment registers (regs.c). */
#ifndef KVM_REGS_H
#define KVM_REGS_H

#include "kvm_host.h"

int  kvm_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
int  kvm_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3);
int  kvm_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
int  kvm_set_cr8(struct kvm_vcpu *vcpu, unsigned long cr8);
int  kvm_set_efer(struct kvm_vcpu *vcpu, u64 efer, bool host_initiated);
unsigned long kvm_get_rflags(struct kvm_vcpu *vcpu);
void kvm_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags);
unsigned long kvm_hw_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
u64  kvm_hw_efer(u64 efer);
void kvm_reset_segments(struct kvm_vcpu *vcpu);
void kvm_lmsw(struct kvm_vcpu *vcpu, unsigned long msw);
bool is_64bit_code(struct kvm_vcpu *vcpu);
long kvm_vcpu_get_regs(struct kvm_vcpu *vcpu, struct kvm_regs *regs);
long kvm_vcpu_set_regs(struct kvm_vcpu *vcpu, const struct kvm_regs *regs);
long kvm_vcpu_get_sregs(struct kvm_vcpu *vcpu, struct kvm_sregs *sregs);
long kvm_vcpu_set_sregs(struct kvm_vcpu *vcpu, const struct kvm_sregs *sregs);
long kvm_vcpu_get_sregs2(struct kvm_vcpu *vcpu, struct kvm_sregs2 *sregs);
long kvm_vcpu_set_sregs2(struct kvm_vcpu *vcpu, const struct kvm_sregs2 *sregs);
long kvm_vcpu_translate(struct kvm_vcpu *vcpu, struct kvm_translation *tr);

#endif
