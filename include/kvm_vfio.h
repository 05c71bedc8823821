/* SPDX-License-Identifier: GPL-2.0-only */
/* KVM_DEV_TYPE_VFIO: which VFIO files belong to a VM (devices/vfio.c). */
#ifndef KVM_VFIO_H
#define KVM_VFIO_H

#include "kvm_host.h"

struct kvm_vfio;

bool kvm_vfio_supported(void);
struct kvm_vfio *kvm_vfio_create(struct kvm *kvm);
void kvm_vfio_destroy(struct kvm_vfio *dev);
struct kvm *kvm_vfio_vm(const struct kvm_vfio *dev);
long kvm_vfio_has_attr(struct kvm_vfio *dev, const struct kvm_device_attr *attr);
long kvm_vfio_get_attr(struct kvm_vfio *dev, const struct kvm_device_attr *attr);
long kvm_vfio_set_attr(struct kvm_vfio *dev, const struct kvm_device_attr *attr);

#endif
