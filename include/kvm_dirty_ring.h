/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Dirty rings: what each vcpu wrote, in memory shared with userspace (dirty_ring.c).
 */
#ifndef KVM_DIRTY_RING_H
#define KVM_DIRTY_RING_H

#include "kvm_host.h"

/* What KVM_CHECK_EXTENSION says, in bytes. */
#define KVM_DIRTY_RING_MAX_BYTES	(65536 * sizeof(struct kvm_dirty_gfn))

int  kvm_enable_dirty_ring(struct kvm *kvm, u64 bytes)
	__kvm_must_hold(kvm_lock);
int  kvm_dirty_ring_create(struct kvm_vcpu *vcpu);
void kvm_dirty_ring_destroy(struct kvm_vcpu *vcpu);
int  kvm_dirty_ring_mmap(struct kvm_vcpu *vcpu, struct vm_area_struct *vma);
struct page *kvm_dirty_ring_page(struct kvm_vcpu *vcpu, unsigned long pgoff);
void kvm_dirty_ring_mark(struct kvm_vcpu *vcpu, struct kvm_memory_slot *slot, unsigned long offset);
int  kvm_dirty_ring_request(struct kvm_vcpu *vcpu);
int  kvm_reset_dirty_rings(struct kvm *kvm);

#endif
