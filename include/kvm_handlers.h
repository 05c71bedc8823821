/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Exit handlers that need nothing of the vendor's, and exits to userspace (handlers.c).
 */
#ifndef KVM_HANDLERS_H
#define KVM_HANDLERS_H

#include "kvm_host.h"

int  kvm_internal_error(struct kvm_vcpu *vcpu, u32 suberror, int ndata, const u64 *data);
int  kvm_handle_unexpected_exit(struct kvm_vcpu *vcpu, u64 reason);
int  kvm_fail_entry(struct kvm_vcpu *vcpu, u64 reason);

/* Shared exit handlers, straight in the vendors' tables. */
int  kvm_emulate_halt(struct kvm_vcpu *vcpu);
int  kvm_halt_exit(struct kvm_vcpu *vcpu);
void kvm_halt_behind_step(struct kvm_vcpu *vcpu);
int  kvm_emulate_cpuid(struct kvm_vcpu *vcpu);
int  kvm_emulate_rdmsr(struct kvm_vcpu *vcpu);
int  kvm_emulate_wrmsr(struct kvm_vcpu *vcpu);
int  kvm_emulate_rdtsc(struct kvm_vcpu *vcpu);
int  kvm_emulate_rdpmc(struct kvm_vcpu *vcpu);
int  kvm_emulate_xsetbv(struct kvm_vcpu *vcpu);
int  kvm_emulate_wbinvd(struct kvm_vcpu *vcpu);
int  kvm_emulate_hypercall(struct kvm_vcpu *vcpu);
int  kvm_emulate_nop(struct kvm_vcpu *vcpu);	/* skip only: PAUSE, INVD */
int  kvm_emulate_mwait(struct kvm_vcpu *vcpu);	/* and MONITOR */
int  kvm_emulate_ud(struct kvm_vcpu *vcpu);	/* #UD: instructions the guest does not have */
int  kvm_emulate_invalid_opcode(struct kvm_vcpu *vcpu);	/* #UD that the guest met itself */
int  kvm_emulate_triple_fault(struct kvm_vcpu *vcpu);
int  kvm_emulate_irq_window(struct kvm_vcpu *vcpu);

/* MOV CR and MOV DR exits whose operands the vendor decoded; they skip. */
int  kvm_emulate_mov_to_cr(struct kvm_vcpu *vcpu, int cr, int reg);
int  kvm_emulate_mov_from_cr(struct kvm_vcpu *vcpu, int cr, int reg);

#endif
