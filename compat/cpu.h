/* SPDX-License-Identifier: GPL-2.0-only */
/* CPU hotplug, suspend, CPUID, and whose virtualization is. */
#ifndef KVM_COMPAT_CPU_H
#define KVM_COMPAT_CPU_H

/* The state below which no user task runs on the CPU: a later, better one since 6.6. */
#ifdef HAVE_CPUHP_KVM_ONLINE
#define KVM_CPUHP_STATE	CPUHP_AP_KVM_ONLINE
#else
#define KVM_CPUHP_STATE	CPUHP_AP_KVM_STARTING	/* interrupts off, cannot fail */
#endif

/* cpuid_eax() and its kin have a header of their own since 6.16. */
#ifdef HAVE_CPUID_API
#define KVM_CPUID_HEADER	"asm/cpuid/api.h"
#else
#define KVM_CPUID_HEADER	"asm/processor.h"
#endif

/* struct syscore_ops became const with an argument, in stable releases, too. */
#ifdef HAVE_SYSCORE_DATA
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
