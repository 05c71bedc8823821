/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In place of the kernel's <linux/kvm_para.h>: the numbers of its ABI for guests,
 * without what it has for being one.  In 7.3 that brings in <linux/kvm_types.h>,
 * whose types have the names of ours.
 */
#ifndef KVM_COMPAT_KVM_PARA_H
#define KVM_COMPAT_KVM_PARA_H

#include <linux/errno.h>
#include <linux/types.h>
#include <uapi/asm/kvm_para.h>

/* What a hypercall returns, negated: an ABI, so the same on all architectures. */
#define KVM_ENOSYS			1000
#define KVM_EFAULT			EFAULT
#define KVM_EINVAL			EINVAL
#define KVM_E2BIG			E2BIG
#define KVM_EPERM			EPERM
#define KVM_EOPNOTSUPP			95

#define KVM_HC_VAPIC_POLL_IRQ		1
#define KVM_HC_MMU_OP			2
#define KVM_HC_KICK_CPU			5
#define KVM_HC_CLOCK_PAIRING		9
#define KVM_HC_SEND_IPI			10
#define KVM_HC_SCHED_YIELD		11
#define KVM_HC_MAP_GPA_RANGE		12

#endif
