/* SPDX-License-Identifier: GPL-2.0-only */
/* Model-specific registers (msr.c), filters (msr_filter.c), machine checks (mce.c). */
#ifndef KVM_MSR_H
#define KVM_MSR_H

#include "kvm_host.h"

int  kvm_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
int  kvm_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
void kvm_msr_module_init(void);
void kvm_msr_create(struct kvm_vcpu *vcpu);
void kvm_msr_reset(struct kvm_vcpu *vcpu, bool init_event);
void kvm_isolate_predictors(struct kvm_vcpu *vcpu);
void kvm_save_host_tsc_aux(void);
void kvm_load_guest_tsc_aux(struct kvm_vcpu *vcpu);
void kvm_put_guest_tsc_aux(struct kvm_vcpu *vcpu);
long kvm_get_msr_index_list(struct kvm_msr_list __user *list);
long kvm_get_msr_feature_index_list(struct kvm_msr_list __user *list);
long kvm_dev_get_msrs(struct kvm_msrs __user *msrs);
long kvm_vcpu_get_msrs(struct kvm_vcpu *vcpu, struct kvm_msrs __user *msrs);
long kvm_vcpu_set_msrs(struct kvm_vcpu *vcpu, struct kvm_msrs __user *msrs);
long kvm_vcpu_get_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);
long kvm_vcpu_set_one_reg(struct kvm_vcpu *vcpu, const struct kvm_one_reg *reg);

long kvm_vcpu_setup_mce(struct kvm_vcpu *vcpu, u64 mcg_cap);
long kvm_vcpu_set_mce(struct kvm_vcpu *vcpu, const struct kvm_x86_mce *mce);
u64  kvm_mce_cap_supported(void);
int  kvm_mce_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
int  kvm_mce_set_msr(struct kvm_vcpu *vcpu, const struct msr_data *msr);

/* HWCR, processor manuals "Hardware Configuration Register": MCi_STATUS may be written. */
#define HWCR_MC_STATUS_WR_EN	BIT_ULL(18)

int  kvm_guest_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
int  kvm_guest_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr);
bool kvm_msr_to_userspace(struct kvm_vcpu *vcpu, const struct msr_data *msr, bool write, int error);
bool kvm_msr_passthrough(struct kvm_vcpu *vcpu, const u32 *indices, unsigned int n);
long kvm_vm_set_msr_filter(struct kvm *kvm, const struct kvm_msr_filter *filter);
long kvm_vm_set_msr_filter_compat(struct kvm *kvm, void __user *arg);
void kvm_msr_filter_destroy(struct kvm *kvm) __kvm_unshared;

/* As a 32-bit process has it. */
struct kvm_msr_filter_compat {
	u32 flags;
	struct { u32 flags, nmsrs, base, bitmap; } ranges[KVM_MSR_FILTER_MAX_RANGES];
};

#endif
