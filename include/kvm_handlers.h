/* SPDX-License-Identifier: GPL-2.0-only */
/* Exit handlers that need nothing of the vendor's, and exits to userspace (handlers.c). */
#ifndef KVM_HANDLERS_H
#define KVM_HANDLERS_H

#include "kvm_host.h"

int  kvm_handle_unexpected_exit(struct kvm_vcpu *vcpu, u64 reason);
int  kvm_fail_entry(struct kvm_vcpu *vcpu, u64 reason);

/* Shared exit handlers, straight in the vendors' tables. */
int  kvm_handle_host_exit(struct kvm_vcpu *vcpu);
int  kvm_handle_host_irq(struct kvm_vcpu *vcpu);
int  kvm_handle_host_nmi(struct kvm_vcpu *vcpu);
int  kvm_handle_wbinvd(struct kvm_vcpu *vcpu);
void kvm_write_back_caches(struct kvm_vcpu *vcpu);
u32  kvm_grow_window(u32 window, u32 base, u32 grow, u32 max);
u32  kvm_shrink_window(u32 window, u32 base, u32 shrink);
int  kvm_bus_lock_exit(struct kvm_vcpu *vcpu, int r);
int  kvm_notify_exit(struct kvm_vcpu *vcpu, bool invalid);
void kvm_machine_check(void);
int  kvm_handle_pause(struct kvm_vcpu *vcpu);
int  kvm_handle_ac(struct kvm_vcpu *vcpu);
int  kvm_handle_halt(struct kvm_vcpu *vcpu);
int  kvm_handle_cpuid(struct kvm_vcpu *vcpu);
int  kvm_handle_rdmsr(struct kvm_vcpu *vcpu);
int  kvm_handle_wrmsr(struct kvm_vcpu *vcpu);
int  kvm_handle_xsetbv(struct kvm_vcpu *vcpu);
int  kvm_handle_hypercall(struct kvm_vcpu *vcpu);
int  kvm_handle_nop(struct kvm_vcpu *vcpu);
int  kvm_handle_mwait(struct kvm_vcpu *vcpu);
int  kvm_handle_ud(struct kvm_vcpu *vcpu);
int  kvm_handle_gp(struct kvm_vcpu *vcpu);
int  kvm_handle_gp_exception(struct kvm_vcpu *vcpu, u32 error_code);
int  kvm_handle_rdpmc(struct kvm_vcpu *vcpu);
int  kvm_handle_invalid_opcode(struct kvm_vcpu *vcpu);
int  kvm_handle_triple_fault(struct kvm_vcpu *vcpu);
int  kvm_handle_irq_window(struct kvm_vcpu *vcpu);

/* Exits whose operands the vendor decoded. */
int  kvm_handle_mov_to_cr(struct kvm_vcpu *vcpu, int cr, int reg);
int  kvm_handle_mov_from_cr(struct kvm_vcpu *vcpu, int cr, int reg);

/* Page faults, and accesses that are known to be MMIO. */
int  kvm_handle_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault);
bool kvm_handle_fast_mmio(struct kvm_vcpu *vcpu, gpa_t gpa, int *r);
int  kvm_handle_mmio_fault(struct kvm_vcpu *vcpu, gpa_t gpa);
int  kvm_handle_mmio_access(struct kvm_vcpu *vcpu, const struct kvm_fault *fault);

#endif
