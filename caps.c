// SPDX-License-Identifier: GPL-2.0-only
/*
 * What userspace switches on or off for a VM (KVM_ENABLE_CAP), and attributes
 * of vcpus.
 */
#include "kvm_host.h"
#include "kvm_caps.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_irq.h"
#include "kvm_request.h"

#include <linux/uaccess.h>

#define USER_MSR_REASONS (KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			  KVM_MSR_EXIT_REASON_FILTER)

/*
 * ---- KVM_ENABLE_CAP ----
 *
 * Each: 0, or -EINVAL with nothing changed.  kvm->lock held.
 */

static int enable_exception_payload(struct kvm *kvm, u64 arg)
{
	kvm->exception_payload = arg;
	return 0;
}

static int enable_triple_fault_event(struct kvm *kvm, u64 arg)
{
	kvm->triple_fault_event = arg;
	return 0;
}

static int enable_user_msr(struct kvm *kvm, u64 arg)
{
	if (arg & ~(u64)USER_MSR_REASONS)
		return -EINVAL;
	kvm->user_msr_reasons = arg;
	return 0;
}

static int enable_platform_info(struct kvm *kvm, u64 arg)
{
	kvm->no_platform_info = !arg;
	return 0;
}

/* Initially-set alone means nothing. */
static int enable_manual_protect(struct kvm *kvm, u64 arg)
{
	if (arg & ~(u64)KVM_DIRTY_LOG_CAPS)
		return -EINVAL;
	if ((arg & KVM_DIRTY_LOG_INITIALLY_SET) && !(arg & KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE))
		return -EINVAL;
	kvm->dirty_log_manual = arg;
	return 0;
}

/* Once; it then bounds the ids of vcpus to come. */
static int enable_max_vcpu_id(struct kvm *kvm, u64 arg)
{
	if (arg > KVM_MAX_VCPU_ID || (kvm->max_vcpu_id && kvm->max_vcpu_id != arg))
		return -EINVAL;
	kvm->max_vcpu_id = arg;
	return 0;
}

static int disable_quirks(struct kvm *kvm, u64 arg)
{
	if (arg & ~(u64)KVM_QUIRKS)
		return -EINVAL;
	kvm->disabled_quirks = arg;
	/* What is intercepted follows from them. */
	kvm_make_all_vcpus_request(kvm, KVM_REQ_INTERCEPTS);
	return 0;
}

/* The older call: what is unknown was never looked at. */
static int disable_known_quirks(struct kvm *kvm, u64 arg)
{
	return disable_quirks(kvm, arg & KVM_QUIRKS);
}

/* Ids of 32 bits in messages and states; and 0xff an id like others. */
static int enable_x2apic_api(struct kvm *kvm, u64 arg)
{
	if (arg & ~(KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK))
		return -EINVAL;
	if (arg & KVM_X2APIC_API_USE_32BIT_IDS)
		kvm->x2apic_format = true;
	if (arg & KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK)
		kvm->x2apic_no_broadcast = true;
	return 0;
}

static int enable_exit_hypercall(struct kvm *kvm, u64 arg)
{
	if (arg & ~KVM_EXIT_HYPERCALLS)
		return -EINVAL;
	WRITE_ONCE(kvm->exit_hypercalls, arg);
	return 0;
}

/** kvm_supported_disable_exits - KVM_X86_DISABLE_EXITS_* that this processor bears */
u32 kvm_supported_disable_exits(void)
{
	u32 exits = KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE;

	/* A deep sleep must not stop the timer that ends it. */
	if (boot_cpu_has(X86_FEATURE_MWAIT) && boot_cpu_has(X86_FEATURE_ARAT))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

static int disable_exits(struct kvm *kvm, u64 arg)
{
	if ((arg & ~(u64)kvm_supported_disable_exits()) || atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	kvm->disabled_exits = arg;
	return 0;
}

static int enable_halt_poll(struct kvm *kvm, u64 arg)
{
	if (arg > U32_MAX)
		return -EINVAL;
	WRITE_ONCE(kvm->halt_poll_limit, arg);
	/* The limit before that it counts. */
	smp_store_release(&kvm->own_halt_poll_limit, true);
	return 0;
}

static const struct {
	u32 cap;
	int (*fn)(struct kvm *kvm, u64 arg);
} vm_caps[] = {
	{ KVM_CAP_EXCEPTION_PAYLOAD, enable_exception_payload },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, enable_triple_fault_event },
	{ KVM_CAP_X86_USER_SPACE_MSR, enable_user_msr },
	{ KVM_CAP_MSR_PLATFORM_INFO, enable_platform_info },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, enable_manual_protect },
	{ KVM_CAP_MAX_VCPU_ID, enable_max_vcpu_id },
	{ KVM_CAP_DISABLE_QUIRKS, disable_known_quirks },
	{ KVM_CAP_DISABLE_QUIRKS2, disable_quirks },
	{ KVM_CAP_SPLIT_IRQCHIP, kvm_enable_split_irqchip },
	{ KVM_CAP_X2APIC_API, enable_x2apic_api },
	{ KVM_CAP_EXIT_HYPERCALL, enable_exit_hypercall },
	{ KVM_CAP_X86_DISABLE_EXITS, disable_exits },
	{ KVM_CAP_HALT_POLL, enable_halt_poll },
};

/*
 * ---- attributes of /dev/kvm ----
 */

/** kvm_dev_attr - KVM_HAS_DEVICE_ATTR, KVM_GET_DEVICE_ATTR: 0, -ENXIO, -EFAULT */
long kvm_dev_attr(const struct kvm_device_attr __user *arg, bool get)
{
	struct kvm_device_attr attr;

	if (copy_from_user(&attr, arg, sizeof(attr)))
		return -EFAULT;
	if (attr.group || attr.attr != KVM_X86_XCOMP_GUEST_SUPP)
		return -ENXIO;
	return get ? put_user(kvm_supported_xcr0, (u64 __user *)(unsigned long)attr.addr) : 0;
}

/** kvm_vm_enable_cap - KVM_ENABLE_CAP of a VM: 0, or -EINVAL for what cannot be enabled */
long kvm_vm_enable_cap(struct kvm *kvm, void __user *arg)
{
	struct kvm_enable_cap cap;
	long r = -EINVAL;
	int i;

	if (copy_from_user(&cap, arg, sizeof(cap)))
		return -EFAULT;
	if (cap.flags)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	for (i = 0; i < ARRAY_SIZE(vm_caps); i++)
		if (vm_caps[i].cap == cap.cap)
			r = vm_caps[i].fn(kvm, cap.args[0]);
	mutex_unlock(&kvm->lock);
	return r;
}

/*
 * ---- attributes of a vcpu ----
 */

static bool is_tsc_offset(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET;
}

long kvm_vcpu_has_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr)
{
	return is_tsc_offset(attr) ? 0 : -ENXIO;
}

/** kvm_vcpu_get_attr - KVM_GET_DEVICE_ATTR: 0, -ENXIO for one that is not there, -EFAULT */
long kvm_vcpu_get_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr)
{
	if (!is_tsc_offset(attr))
		return -ENXIO;
	return put_user(vcpu->tsc_offset, (u64 __user *)(unsigned long)attr->addr);
}

long kvm_vcpu_set_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr)
{
	u64 offset;

	if (!is_tsc_offset(attr))
		return -ENXIO;
	if (get_user(offset, (u64 __user *)(unsigned long)attr->addr))
		return -EFAULT;
	kvm_set_tsc_offset(vcpu, offset);
	return 0;
}
