/* SPDX-License-Identifier: GPL-2.0-only */
/* Port and memory-mapped I/O, in-kernel buses (io.c). */
#ifndef KVM_IO_H
#define KVM_IO_H

#include "kvm_host.h"

int  kvm_handle_pio(struct kvm_vcpu *vcpu, const struct kvm_pio *pio);
int  kvm_pio_to_userspace(struct kvm_vcpu *vcpu, const struct kvm_pio *pio, unsigned int count);
int  kvm_mmio_to_userspace(struct kvm_vcpu *vcpu);
bool kvm_mmio_queue_write(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned int len);
int  kvm_mmio_complete_writes(struct kvm_vcpu *vcpu);

#endif
