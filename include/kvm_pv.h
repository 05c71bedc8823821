/* SPDX-License-Identifier: GPL-2.0-only */
/* Paravirtual features (pv.c) and asynchronous page faults (async_pf.c). */
#ifndef KVM_PV_H
#define KVM_PV_H

#include "kvm_host.h"

void kvm_pv_derive(struct kvm_vcpu *vcpu);
void kvm_pv_reset(struct kvm_vcpu *vcpu);
bool kvm_pv_has(struct kvm_vcpu *vcpu, unsigned int feature);	/* KVM_FEATURE_* */
void kvm_pv_sched_in(struct kvm_vcpu *vcpu);
void kvm_pv_sched_out(struct kvm_vcpu *vcpu);
void kvm_pv_update_steal_time(struct kvm_vcpu *vcpu);
void kvm_vapic_to_guest(struct kvm_vcpu *vcpu);
void kvm_vapic_from_guest(struct kvm_vcpu *vcpu);
long kvm_vcpu_set_vapic_addr(struct kvm_vcpu *vcpu, const struct kvm_vapic_addr *arg);
long kvm_vcpu_tpr_access(struct kvm_vcpu *vcpu, struct kvm_tpr_access_ctl *arg);
void kvm_pv_eoi_offer(struct kvm_vcpu *vcpu, u8 vector);
void kvm_pv_eoi_collect(struct kvm_vcpu *vcpu);
void kvm_pv_write_versioned(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned int len,
			    u32 *version);
int  kvm_pv_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
int  kvm_pv_set_msr(struct kvm_vcpu *vcpu, const struct msr_data *msr);

bool kvm_async_pf_start(struct kvm_vcpu *vcpu, gfn_t gfn, hva_t hva, bool write);
void kvm_async_pf_ready(struct kvm_vcpu *vcpu);
int  kvm_async_pf_set_en(struct kvm_vcpu *vcpu, const struct msr_data *msr);
int  kvm_async_pf_set_int(struct kvm_vcpu *vcpu, u64 data);
int  kvm_async_pf_ack(struct kvm_vcpu *vcpu, u64 data);
void kvm_async_pf_reset(struct kvm_vcpu *vcpu);
void kvm_async_pf_destroy(struct kvm_vcpu *vcpu);
int  kvm_async_pf_module_init(void);
void kvm_async_pf_module_exit(void);

#endif
