/* SPDX-License-Identifier: GPL-2.0-only */
/* What perf on the host is told about guests (perf.c). */
#ifndef KVM_PERF_H
#define KVM_PERF_H

#include <linux/kconfig.h>
#include <linux/percpu.h>

struct kvm_vcpu;

#if IS_ENABLED(CONFIG_GUEST_PERF_EVENTS)

DECLARE_PER_CPU(struct kvm_vcpu *, kvm_interrupted);

void kvm_perf_init(void);
void kvm_perf_exit(void);

/* Around where the interrupt that ended a guest is taken; NULL: no more.  Preemption off. */
static inline void kvm_perf_interrupted(struct kvm_vcpu *vcpu)
{
	__this_cpu_write(kvm_interrupted, vcpu);
}

#else

static inline void kvm_perf_init(void) { }
static inline void kvm_perf_exit(void) { }
static inline void kvm_perf_interrupted(struct kvm_vcpu *vcpu) { }

#endif
#endif
