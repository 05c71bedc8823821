/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest clocks and the TSC (clock.c). */
#ifndef KVM_CLOCK_H
#define KVM_CLOCK_H

#include "kvm_host.h"

void kvm_clock_module_init(void);
void kvm_clock_module_exit(void);
void kvm_clock_init_vm(struct kvm *kvm)
	__kvm_unshared;
void kvm_clock_suspend(void);
void kvm_clock_resume(void);
void kvm_clock_tsc_moved(struct kvm_vcpu *vcpu);
void kvm_clock_tsc_written(struct kvm_vcpu *vcpu);
void kvm_clock_sched_in(struct kvm_vcpu *vcpu, bool moved);
void kvm_clock_sched_out(struct kvm_vcpu *vcpu);
void kvm_clock_update_guest(struct kvm_vcpu *vcpu);
void kvm_clock_set_system_time(struct kvm_vcpu *vcpu, u64 data);
void kvm_clock_set_wall_clock(struct kvm_vcpu *vcpu, u64 gpa);
long kvm_clock_pairing(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned long type);
long kvm_vm_get_clock(struct kvm *kvm, struct kvm_clock_data *data);
long kvm_vm_set_clock(struct kvm *kvm, const struct kvm_clock_data *data);
long kvm_vcpu_kvmclock_ctrl(struct kvm_vcpu *vcpu);

u64  kvm_read_guest_tsc(struct kvm_vcpu *vcpu);
void kvm_write_guest_tsc(struct kvm_vcpu *vcpu, u64 tsc, bool host_initiated);
u64  kvm_get_tsc_offset(const struct kvm_vcpu *vcpu);
void kvm_set_tsc_offset(struct kvm_vcpu *vcpu, u64 offset);
void kvm_tsc_reset(struct kvm_vcpu *vcpu);
long kvm_vcpu_set_tsc_khz(struct kvm_vcpu *vcpu, unsigned long khz);

#endif
