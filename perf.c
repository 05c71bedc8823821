// SPDX-License-Identifier: GPL-2.0-only
/*
 * perf asks, in an interrupt or NMI, whether a guest was interrupted, and where: so
 * `perf kvm` tells its samples from the host's.
 */
#include "kvm_host.h"
#include "kvm_perf.h"

#include <linux/perf_event.h>

/*
 * The vcpu whose guest mode the interrupts that are being taken now have ended, or will.
 * On SVM from right before the entry, as an NMI that ended the guest is taken at STGI.
 */
DEFINE_PER_CPU(struct kvm_vcpu *, kvm_interrupted);
EXPORT_PER_CPU_SYMBOL_GPL(kvm_interrupted);

static unsigned int guest_state(void)
{
	struct kvm_vcpu *vcpu = __this_cpu_read(kvm_interrupted);
	unsigned long ip;
	bool user;

	if (!vcpu)
		return 0;
	kvm_ops.sample(vcpu, &ip, &user);
	return PERF_GUEST_ACTIVE | (user ? PERF_GUEST_USER : 0);
}

static unsigned long guest_ip(void)
{
	struct kvm_vcpu *vcpu = __this_cpu_read(kvm_interrupted);
	unsigned long ip = 0;
	bool user;

	if (vcpu)
		kvm_ops.sample(vcpu, &ip, &user);
	return ip;
}

static struct perf_guest_info_callbacks callbacks = {
	.state = guest_state,
	.get_ip = guest_ip,
};

/** kvm_perf_init - a vendor's module is there: perf may ask */
void kvm_perf_init(void)
{
	perf_register_guest_info_callbacks(&callbacks);
}

/** kvm_perf_exit - undo kvm_perf_init(); returns when nobody asks any more */
void kvm_perf_exit(void)
{
	perf_unregister_guest_info_callbacks(&callbacks);
}
