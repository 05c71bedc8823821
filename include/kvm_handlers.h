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
int  kvm_handle_host_exit(struct kvm_vcpu *vcpu);
int  kvm_handle_host_irq(struct kvm_vcpu *vcpu);
int  kvm_handle_host_nmi(struct kvm_vcpu *vcpu);
void kvm_machine_check(void);
int  kvm_handle_pause(struct kvm_vcpu *vcpu);
int  kvm_handle_ac(struct kvm_vcpu *vcpu);
int  kvm_handle_halt(struct kvm_vcpu *vcpu);
int  kvm_halt_exit(struct kvm_vcpu *vcpu);
void kvm_halt_behind_step(struct kvm_vcpu *vcpu);
int  kvm_handle_cpuid(struct kvm_vcpu *vcpu);
int  kvm_handle_rdmsr(struct kvm_vcpu *vcpu);
int  kvm_handle_wrmsr(struct kvm_vcpu *vcpu);
int  kvm_handle_rdtsc(struct kvm_vcpu *vcpu);
int  kvm_handle_rdpmc(struct kvm_vcpu *vcpu);
int  kvm_handle_xsetbv(struct kvm_vcpu *vcpu);
int  kvm_handle_wbinvd(struct kvm_vcpu *vcpu);
int  kvm_handle_hypercall(struct kvm_vcpu *vcpu);
int  kvm_handle_nop(struct kvm_vcpu *vcpu);	/* skip only: PAUSE, INVD */
int  kvm_handle_mwait(struct kvm_vcpu *vcpu);	/* and MONITOR */
int  kvm_handle_ud(struct kvm_vcpu *vcpu);	/* #UD: instructions the guest does not have */
int  kvm_handle_invalid_opcode(struct kvm_vcpu *vcpu);	/* #UD that the guest met itself */
int  kvm_handle_triple_fault(struct kvm_vcpu *vcpu);
int  kvm_handle_irq_window(struct kvm_vcpu *vcpu);

/* MOV CR and MOV DR exits whose operands the vendor decoded; they skip. */
int  kvm_handle_mov_to_cr(struct kvm_vcpu *vcpu, int cr, int reg);
int  kvm_handle_mov_from_cr(struct kvm_vcpu *vcpu, int cr, int reg);

#endif
