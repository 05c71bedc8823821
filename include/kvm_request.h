/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests, kicks and remote flushes: what every file may call (request.c).
 */
#ifndef KVM_REQUEST_H
#define KVM_REQUEST_H

#include "kvm_host.h"

void kvm_flush_remote_tlbs(struct kvm *kvm);
/* Set req on every vcpu and make those in guest mode leave it; waits for them. */
void kvm_make_all_vcpus_request(struct kvm *kvm, int req);
void kvm_vcpu_kick(struct kvm_vcpu *vcpu);
void kvm_vm_dead(struct kvm *kvm);	/* an internal fault: no vcpu enters again */

#endif
