// SPDX-License-Identifier: GPL-2.0-only
/*
 * Virtualization switched on and off on each CPU: on with the first VM, off
 * with the last; CPU hotplug, suspend, reboot.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_hardware.h"
#include "kvm_msr.h"

#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/reboot.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>

static enum cpuhp_state kvm_cpuhp_state;

/* Protects the usage count; inside cpus_read_lock(). */
static DEFINE_MUTEX(usage_lock);

/*
 * VMs that keep virtualization switched on.  Written under usage_lock inside
 * cpus_read_lock(), so the hotplug callbacks may read it bare.
 */
static int kvm_usage_count __kvm_written_under(usage_lock);
static bool kvm_going_down __kvm_written_under(usage_lock);		/* reboot: never switch on again */
DEFINE_PER_CPU(bool, kvm_hw_enabled);

/*
 * ---- switching virtualization on and off ----
 */

static int hardware_enable_this_cpu(void)
{
	unsigned long flags;
	int r = 0;

	local_irq_save(flags);
	if (!__this_cpu_read(kvm_hw_enabled)) {
		r = kvm_ops.hardware_enable();
		if (!r) {
			kvm_save_host_tsc_aux();
			__this_cpu_write(kvm_hw_enabled, true);
		}
	}
	local_irq_restore(flags);
	return r;
}

static void hardware_disable_this_cpu(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_read(kvm_hw_enabled)) {
		__this_cpu_write(kvm_hw_enabled, false);
		kvm_ops.hardware_disable();
	}
	local_irq_restore(flags);
}

static void hardware_enable_ipi(void *failed)
{
	int r = hardware_enable_this_cpu();

	if (r)
		atomic_cmpxchg((atomic_t *)failed, 0, r);
}

/**
 * kvm_hardware_get - one more VM: the first switches virtualization on, on every CPU or on none
 *
 * May sleep.  Return: 0, -EBUSY if another hypervisor has it, -EIO on the way to a
 * reboot.
 */
int kvm_hardware_get(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int r = 0;

	cpus_read_lock();
	mutex_lock(&usage_lock);
	if (kvm_going_down) {
		r = -EIO;
	} else if (!kvm_usage_count) {
		on_each_cpu(hardware_enable_ipi, &failed, 1);
		r = atomic_read(&failed);
		if (r)
			on_each_cpu(hardware_disable_this_cpu, NULL, 1);
	}
	if (!r)
		kvm_usage_count++;
	mutex_unlock(&usage_lock);
	cpus_read_unlock();
	return r;
}

/** kvm_hardware_put - one VM less: the last switches virtualization off */
void kvm_hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&usage_lock);
	if (!--kvm_usage_count)
		on_each_cpu(hardware_disable_this_cpu, NULL, 1);
	mutex_unlock(&usage_lock);
	cpus_read_unlock();
}

static int kvm_cpu_online(unsigned int cpu)
{
	int r;

	if (!kvm_usage_count || kvm_going_down)
		return 0;
	r = hardware_enable_this_cpu();
	if (r)
		pr_err("CPU %u has no usable virtualization (%d): no vcpu will run on it\n",
		       cpu, r);
	return 0;
}

static int kvm_cpu_offline(unsigned int cpu)
{
	hardware_disable_this_cpu(NULL);
	return 0;
}

/* The last CPU, interrupts off; hotplug has dealt with the others. */
static int kvm_suspend(void)
{
	hardware_disable_this_cpu(NULL);
	kvm_clock_suspend();
	return 0;
}

static void kvm_resume(void)
{
	kvm_clock_resume();
	if (kvm_usage_count && !kvm_going_down && hardware_enable_this_cpu())
		pr_err("no virtualization after resume on CPU %d\n", smp_processor_id());
}

KVM_DEFINE_SYSCORE(kvm_syscore, kvm_suspend, kvm_resume);

/*
 * Firmware and kexec want CPUs without VMX or SVM on.  A vcpu that still runs
 * sees kvm_hw_enabled false before its next entry and stops.
 */
static int kvm_reboot(struct notifier_block *nb, unsigned long val, void *v)
{
	/* Whoever switches on at this moment has done so before we switch off. */
	mutex_lock(&usage_lock);
	kvm_going_down = true;
	mutex_unlock(&usage_lock);
	on_each_cpu(hardware_disable_this_cpu, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block kvm_reboot_notifier = {
	.notifier_call = kvm_reboot,
};

/** kvm_hardware_init - a vendor module is there: follow hotplug, suspend and reboot; 0 or -errno */
int kvm_hardware_init(void)
{
	int r = cpuhp_setup_state_nocalls(KVM_CPUHP_STATE, "kvm:online", kvm_cpu_online,
					  kvm_cpu_offline);

	if (r < 0)
		return r;
	kvm_cpuhp_state = r > 0 ? r : KVM_CPUHP_STATE;
	register_reboot_notifier(&kvm_reboot_notifier);
	kvm_register_syscore(&kvm_syscore);
	return 0;
}

/** kvm_hardware_exit - the vendor module goes, no VM is left */
void kvm_hardware_exit(void)
{
	kvm_unregister_syscore(&kvm_syscore);
	unregister_reboot_notifier(&kvm_reboot_notifier);
	cpuhp_remove_state_nocalls(kvm_cpuhp_state);
}
