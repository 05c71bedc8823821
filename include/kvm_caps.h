/* SPDX-License-Identifier: GPL-2.0-only */
/* Capabilities: reported and enabled (caps.c). */
#ifndef KVM_CAPS_H
#define KVM_CAPS_H

#include "kvm_host.h"

#define KVM_EXIT_HYPERCALLS	BIT_ULL(12)	/* KVM_HC_MAP_GPA_RANGE */

long kvm_check_extension(unsigned long cap);
long kvm_vm_enable_cap(struct kvm *kvm, const struct kvm_enable_cap *cap);
long kvm_vcpu_enable_cap(struct kvm_vcpu *vcpu, const struct kvm_enable_cap *cap);
long kvm_dev_has_attr(const struct kvm_device_attr *attr);
long kvm_dev_get_attr(const struct kvm_device_attr *attr);
long kvm_vcpu_has_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr);
long kvm_vcpu_get_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr);
long kvm_vcpu_set_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr);

#endif
