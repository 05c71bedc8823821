/* SPDX-License-Identifier: GPL-2.0-only */
/* CPU hotplug, suspend and inter-processor interrupts. */
#ifndef KVM_COMPAT_CPU_H
#define KVM_COMPAT_CPU_H

#include <linux/cpuhotplug.h>
#include <linux/smp.h>
#include <linux/syscore_ops.h>
#include <linux/version.h>

/* The state below which no user task runs on the CPU. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define KVM_CPUHP_STATE	CPUHP_AP_KVM_ONLINE
#else
#define KVM_CPUHP_STATE	CPUHP_AP_KVM_STARTING	/* interrupts off, cannot fail */
#endif

/* smp_send_reschedule() is a macro around a tracepoint since 6.4. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include <trace/events/ipi.h>
#endif

/*
 * struct syscore_ops became const with an argument in stable releases too, so
 * Kbuild looks at the header and says which it is.
 */
#ifdef KVM_HAVE_SYSCORE_DATA
#define KVM_DEFINE_SYSCORE(name, suspend_fn, resume_fn)				\
static int name##_suspend(void *data) { return suspend_fn(); }			\
static void name##_resume(void *data) { resume_fn(); }				\
static const struct syscore_ops name##_ops = {					\
	.suspend = name##_suspend, .resume = name##_resume,			\
};										\
static struct syscore name = { .ops = &name##_ops }
#define kvm_register_syscore(name)	register_syscore(name)
#define kvm_unregister_syscore(name)	unregister_syscore(name)
#else
#define KVM_DEFINE_SYSCORE(name, suspend_fn, resume_fn)				\
static struct syscore_ops name = { .suspend = suspend_fn, .resume = resume_fn }
#define kvm_register_syscore(name)	register_syscore_ops(name)
#define kvm_unregister_syscore(name)	unregister_syscore_ops(name)
#endif

#endif
