/* SPDX-License-Identifier: GPL-2.0-only */
/* VMs (vm.c). */
#ifndef KVM_VM_H
#define KVM_VM_H

#include "kvm_host.h"

struct kvm *kvm_create_vm(void);
void kvm_put(struct kvm *kvm);
void kvm_for_each_vm(void (*fn)(struct kvm *kvm));	/* may sleep; stats.c has the list */
bool kvm_try_vms(bool (*fn)(struct kvm *kvm, void *arg), void *arg);

#endif
