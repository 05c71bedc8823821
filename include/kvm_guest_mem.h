/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Guest memory: frames, reads and writes by guest physical address (guest_mem.c).
 */
#ifndef KVM_GUEST_MEM_H
#define KVM_GUEST_MEM_H

#include "kvm_host.h"

/* A frame of the host's, as the host's page tables have it. */
struct kvm_host_page {
	kvm_pfn_t pfn;
	int level;		/* PG_LEVEL_* of the mapping */
	bool writable;		/* it may be mapped for writing */
	bool cached;		/* write-back; else it is a device's, or as good as that */
	bool present;		/* of a fault: it was there, and so may be its neighbours */
};

kvm_pfn_t kvm_slot_gfn_to_pfn(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
			      bool write, bool nowait, struct kvm_host_page *page);
bool kvm_slot_gfn_to_pfn_atomic(struct kvm *kvm, const struct kvm_memory_slot *slot, gfn_t gfn,
				bool write, struct kvm_host_page *page);

int  kvm_read_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len);
int  kvm_read_guest_atomic(struct kvm_vcpu *vcpu, gpa_t gpa, void *data, unsigned long len);
int  kvm_write_guest(struct kvm_vcpu *vcpu, gpa_t gpa, const void *data, unsigned long len);
int  kvm_cmpxchg_guest(struct kvm_vcpu *vcpu, gpa_t gpa, void *old, const void *new,
		       unsigned int bytes);
int  kvm_read_gpte(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 *gpte);
int  kvm_cmpxchg_gpte(struct kvm_vcpu *vcpu, gpa_t gpa, unsigned int size, u64 old, u64 new);
const void __user *kvm_gpa_to_user(struct kvm_vcpu *vcpu, gpa_t gpa);
bool kvm_gpa_is_ram(struct kvm_vcpu *vcpu, gpa_t gpa, bool write);

#endif
