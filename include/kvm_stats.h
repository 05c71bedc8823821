/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Statistics (stats.c).
 */
#ifndef KVM_STATS_H
#define KVM_STATS_H

#include "kvm_host.h"

extern struct dentry *kvm_debugfs_dir;	/* /sys/kernel/debug/kvm */

void kvm_stats_init(void);
void kvm_stats_exit(void);
void kvm_stats_set_owner(struct module *owner);
void kvm_stats_add(struct kvm *kvm);
void kvm_stats_publish(struct kvm *kvm, int fd);
void kvm_stats_retire(struct kvm *kvm);
long kvm_vm_get_stats_fd(struct kvm *kvm);
long kvm_vcpu_get_stats_fd(struct kvm_vcpu *vcpu);

#endif
