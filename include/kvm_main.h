/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * /dev/kvm, VMs, virtualization on each CPU (kvm_main.c).
 */
#ifndef KVM_MAIN_H
#define KVM_MAIN_H

#include "kvm_host.h"

DECLARE_PER_CPU(bool, kvm_hw_enabled);
void kvm_for_each_vm(void (*fn)(struct kvm *kvm));	/* may sleep */

void kvm_put(struct kvm *kvm);

#endif
