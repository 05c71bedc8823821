// SPDX-License-Identifier: GPL-2.0-only
/*
 * Capabilities: what KVM_CHECK_EXTENSION reports, and what KVM_ENABLE_CAP
 * changes in a VM or a vcpu; attributes of /dev/kvm and of vcpus.
 */
#include "kvm_host.h"
#include "kvm_caps.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_dirty_ring.h"
#include "kvm_irq.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "kvm_request.h"
#include "kvm_vfio.h"

#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/sched/stat.h>
#include <linux/uaccess.h>

#define USER_MSR_REASONS (KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN | \
			  KVM_MSR_EXIT_REASON_FILTER)

/*
 * ---- KVM_ENABLE_CAP of a VM ----
 *
 * Each: 0, or -EINVAL (-EPERM, -E2BIG, -ENXIO) with nothing changed.  kvm->lock held.
 */

static int enable_exception_payload(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	kvm->exception_payload = arg;
	return 0;
}

static int enable_triple_fault_event(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	kvm->triple_fault_event = arg;
	return 0;
}

static int enable_exit_on_emulation_failure(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (arg > 1)
		return -EINVAL;
	WRITE_ONCE(kvm->exit_on_emulation_failure, arg);
	return 0;
}

static int enable_user_msr(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (arg & ~(u64)USER_MSR_REASONS)
		return -EINVAL;
	kvm->user_msr_reasons = arg;
	return 0;
}

static int enable_platform_info(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	kvm->no_platform_info = !arg;
	return 0;
}

/* Initially-set alone means nothing. */
static int enable_manual_protect(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
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
	__kvm_must_hold(kvm_lock)
{
	if (arg > KVM_MAX_VCPU_ID || (kvm->max_vcpu_id && kvm->max_vcpu_id != arg))
		return -EINVAL;
	kvm->max_vcpu_id = arg;
	return 0;
}

static int disable_quirks(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (arg & ~(u64)KVM_QUIRKS)
		return -EINVAL;
	kvm->disabled_quirks = arg;
	/* What is intercepted follows from them. */
	kvm_make_all_vcpus_request(kvm, KVM_REQ_INTERCEPTS);
	return 0;
}

/* The older call never looked at unknown bits. */
static int disable_known_quirks(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	return disable_quirks(kvm, arg & KVM_QUIRKS);
}

/* Ids of 32 bits in messages and states; and 0xff an id like others. */
static int enable_x2apic_api(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
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
	__kvm_must_hold(kvm_lock)
{
	if (arg & ~KVM_EXIT_HYPERCALLS)
		return -EINVAL;
	WRITE_ONCE(kvm->exit_hypercalls, arg);
	return 0;
}

/* KVM_X86_DISABLE_EXITS_* that this processor can do without. */
static u32 supported_disable_exits(void)
{
	u32 exits = KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE;

	/* A deep sleep must not stop the timer that ends it. */
	if (boot_cpu_has(X86_FEATURE_MWAIT) && boot_cpu_has(X86_FEATURE_ARAT))
		exits |= KVM_X86_DISABLE_EXITS_MWAIT;
	return exits;
}

static int disable_exits(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if ((arg & ~(u64)supported_disable_exits()) || atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	kvm->disabled_exits = arg;
	return 0;
}

/* A VM that is trusted not to stop the host: who says so may stop it anyway. */
static int disable_nx_huge_pages(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (arg)
		return -EINVAL;
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	if (atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	kvm_mmu_disable_nx(kvm);
	return 0;
}

static u32 supported_bus_lock(void)
{
	return kvm_ops.has_bus_lock_exits ? KVM_BUS_LOCK_DETECTION_OFF | KVM_BUS_LOCK_DETECTION_EXIT : 0;
}

/* One of the two. */
static int enable_bus_lock_exit(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (!arg || (arg & ~(u64)supported_bus_lock()) || (arg & (arg - 1)) ||
	    atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	kvm->bus_lock_exits = arg == KVM_BUS_LOCK_DETECTION_EXIT;
	return 0;
}

static u32 supported_notify(void)
{
	return kvm_ops.has_notify_exits ? KVM_X86_NOTIFY_VMEXIT_ENABLED | KVM_X86_NOTIFY_VMEXIT_USER : 0;
}

/* The time, in the TSC's ticks, is the upper half. */
static int enable_notify(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (((u32)arg & ~supported_notify()) || !(arg & KVM_X86_NOTIFY_VMEXIT_ENABLED) ||
	    atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	kvm->notify_flags = (u32)arg;
	kvm->notify_window = arg >> 32;
	return 0;
}

static int set_apic_bus_cycle(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (!arg || arg > APIC_BUS_CYCLE_NS_MAX)
		return -EINVAL;
	if (kvm->irqchip_mode == KVM_IRQCHIP_USER)
		return -ENXIO;
	if (atomic_read(&kvm->online_vcpus))
		return -EINVAL;
	kvm->apic_bus_cycle_ns = arg;
	return 0;
}

static int enable_halt_poll(struct kvm *kvm, u64 arg)
	__kvm_must_hold(kvm_lock)
{
	if (arg > U32_MAX)
		return -EINVAL;
	WRITE_ONCE(kvm->halt_poll_limit, arg);
	/* The limit before that it counts. */
	smp_store_release(&kvm->own_halt_poll_limit, true);
	return 0;
}

/*
 * ---- the capabilities ----
 */

struct kvm_cap {
	u32 cap;
	u32 value;		/* what KVM_CHECK_EXTENSION reports */
	int (*enable)(struct kvm *kvm, u64 arg);	/* KVM_ENABLE_CAP of a VM */
};

/* Only what works is here, and in kvm_check_extension(). */
static const struct kvm_cap caps[] = {
	{ KVM_CAP_HLT, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_VM_TYPES, BIT(KVM_X86_DEFAULT_VM) },
	{ KVM_CAP_USER_MEMORY2, 1 },
	{ KVM_CAP_MEMORY_FAULT_INFO, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_MMU_SHADOW_CACHE_CONTROL, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_EXT_EMUL_CPUID, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_NOP_IO_DELAY, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_GET_MSR_FEATURES, 1 },
	{ KVM_CAP_ONE_REG, 1 },
	{ KVM_CAP_BINARY_STATS_FD, 1 },
	{ KVM_CAP_SREGS2, 1 },
	{ KVM_CAP_EXCEPTION_PAYLOAD, 1, .enable = enable_exception_payload },
	{ KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1, .enable = enable_triple_fault_event },
	{ KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1, .enable = enable_exit_on_emulation_failure },
	{ KVM_CAP_X86_USER_SPACE_MSR, 1, .enable = enable_user_msr },
	{ KVM_CAP_X86_MSR_FILTER, 1 },
	{ KVM_CAP_MSR_PLATFORM_INFO, 1, .enable = enable_platform_info },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_DISABLE_QUIRKS, 1, .enable = disable_known_quirks },
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_PIT, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_REINJECT_CONTROL, 1 },
	{ KVM_CAP_IRQ_INJECT_STATUS, 1 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_IOAPIC_POLARITY_IGNORED, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1, .enable = kvm_enable_split_irqchip },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	/* What kvm_run says is the state of the guest itself: there are no guests of guests. */
	{ KVM_CAP_X86_GUEST_MODE, 1 },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, APIC_BUS_CYCLE_NS, .enable = set_apic_bus_cycle },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_COALESCED_PIO, 1 },
	{ KVM_CAP_SET_BOOT_CPU_ID, 1 },
	{ KVM_CAP_CLOCKSOURCE, 1 },
	{ KVM_CAP_VAPIC, 1 },
	{ KVM_CAP_KVMCLOCK_CTRL, 1 },
	{ KVM_CAP_HALT_POLL, 1, .enable = enable_halt_poll },
	{ KVM_CAP_INTR_SHADOW, 1 },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },
	{ KVM_CAP_ASYNC_PF, 1 },
	{ KVM_CAP_ASYNC_PF_INT, 1 },
	{ KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1 },
	{ KVM_CAP_ENABLE_CAP, 1 },
	{ KVM_CAP_SYNC_REGS, KVM_SYNC_X86_VALID_FIELDS },
	{ KVM_CAP_DISABLE_QUIRKS2, KVM_QUIRKS, .enable = disable_quirks },
	{ KVM_CAP_VM_DISABLE_NX_HUGE_PAGES, 1, .enable = disable_nx_huge_pages },
	{ KVM_CAP_EXIT_HYPERCALL, KVM_EXIT_HYPERCALLS, .enable = enable_exit_hypercall },
	{ KVM_CAP_X86_DISABLE_EXITS, .enable = disable_exits },
	{ KVM_CAP_X86_BUS_LOCK_EXIT, .enable = enable_bus_lock_exit },
	{ KVM_CAP_X86_NOTIFY_VMEXIT, .enable = enable_notify },
	{ KVM_CAP_SET_GUEST_DEBUG2, KVM_GUESTDBG_FLAGS },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, KVM_DIRTY_LOG_CAPS, .enable = enable_manual_protect },
	{ KVM_CAP_DIRTY_LOG_RING, KVM_DIRTY_RING_MAX_BYTES, .enable = kvm_enable_dirty_ring },
	{ KVM_CAP_DIRTY_LOG_RING_ACQ_REL, KVM_DIRTY_RING_MAX_BYTES, .enable = kvm_enable_dirty_ring },
	{ KVM_CAP_ADJUST_CLOCK, KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC },
	{ KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK,
	  .enable = enable_x2apic_api },
	{ KVM_CAP_COALESCED_MMIO, KVM_COALESCED_MMIO_PAGE_OFFSET },
	{ KVM_CAP_NR_MEMSLOTS, KVM_MEM_SLOTS },
	{ KVM_CAP_MAX_VCPUS, KVM_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, KVM_MAX_VCPU_ID, .enable = enable_max_vcpu_id },
	{ KVM_CAP_MCE, KVM_NR_MCE_BANKS },
	/* QEMU wants it even with its own interrupt controllers. */
	{ KVM_CAP_IRQ_ROUTING, 4096 },
};

static const struct kvm_cap *find_cap(unsigned long cap)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(caps); i++)
		if (caps[i].cap == cap)
			return &caps[i];
	return NULL;
}

/** kvm_check_extension - KVM_CHECK_EXTENSION of /dev/kvm and of VMs: what the capability's
 * description says, 0 for one that is not there
 */
long kvm_check_extension(unsigned long cap)
{
	const struct kvm_cap *row;

	switch (cap) {
	/* What depends on the host. */
	case KVM_CAP_X86_DISABLE_EXITS:
		return supported_disable_exits();
	case KVM_CAP_X86_BUS_LOCK_EXIT:
		return supported_bus_lock();
	case KVM_CAP_X86_NOTIFY_VMEXIT:
		return supported_notify();
	case KVM_CAP_DEVICE_CTRL:
		return kvm_vfio_supported();
	case KVM_CAP_XSAVE2:
		return kvm_xsave_size();
	case KVM_CAP_PRE_FAULT_MEMORY:
		return kvm_ops.nested_paging;
	case KVM_CAP_STEAL_TIME:
		return sched_info_on();
	case KVM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case KVM_CAP_NR_VCPUS:
		return min_t(u32, num_online_cpus(), KVM_MAX_VCPUS);
	}
	row = find_cap(cap);
	return row ? row->value : 0;
}

/** kvm_vm_enable_cap - KVM_ENABLE_CAP of a VM: 0, or with nothing changed -EINVAL; -EPERM for
 * what the caller may not; -E2BIG for too large a ring; -ENXIO for what needs interrupt
 * controllers
 */
long kvm_vm_enable_cap(struct kvm *kvm, const struct kvm_enable_cap *cap)
{
	const struct kvm_cap *row = find_cap(cap->cap);
	long r;

	if (cap->flags || !row || !row->enable)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	r = row->enable(kvm, cap->args[0]);
	mutex_unlock(&kvm->lock);
	return r;
}

/** kvm_vcpu_enable_cap - KVM_ENABLE_CAP of a vcpu: 0 or -EINVAL; there is only one */
long kvm_vcpu_enable_cap(struct kvm_vcpu *vcpu, const struct kvm_enable_cap *cap)
{
	if (cap->flags || cap->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID || cap->args[0] > 1)
		return -EINVAL;
	vcpu->pv.enforce = cap->args[0];
	return 0;
}

/*
 * ---- attributes of /dev/kvm ----
 */

/** kvm_dev_has_attr - KVM_HAS_DEVICE_ATTR of /dev/kvm: 0 or -ENXIO */
long kvm_dev_has_attr(const struct kvm_device_attr *attr)
{
	return attr->group || attr->attr != KVM_X86_XCOMP_GUEST_SUPP ? -ENXIO : 0;
}

/** kvm_dev_get_attr - KVM_GET_DEVICE_ATTR of /dev/kvm: 0, -EFAULT, -ENXIO for an unknown one */
long kvm_dev_get_attr(const struct kvm_device_attr *attr)
{
	return kvm_dev_has_attr(attr) ?:
	       put_user(kvm_supported_xcr0, (u64 __user *)(unsigned long)attr->addr);
}

/*
 * ---- attributes of a vcpu ----
 */

static bool is_tsc_offset(const struct kvm_device_attr *attr)
{
	return attr->group == KVM_VCPU_TSC_CTRL && attr->attr == KVM_VCPU_TSC_OFFSET;
}

/** kvm_vcpu_has_attr - KVM_HAS_DEVICE_ATTR of a vcpu: 0 or -ENXIO */
long kvm_vcpu_has_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr)
{
	return is_tsc_offset(attr) ? 0 : -ENXIO;
}

/** kvm_vcpu_get_attr - KVM_GET_DEVICE_ATTR of a vcpu: 0, -EFAULT, -ENXIO for an unknown one */
long kvm_vcpu_get_attr(struct kvm_vcpu *vcpu, const struct kvm_device_attr *attr)
{
	if (!is_tsc_offset(attr))
		return -ENXIO;
	return put_user(kvm_get_tsc_offset(vcpu), (u64 __user *)(unsigned long)attr->addr);
}

/** kvm_vcpu_set_attr - KVM_SET_DEVICE_ATTR of a vcpu: 0, -EFAULT, -ENXIO for an unknown one */
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
