// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VMX: so far only the frame.  It looks at the processor, says what it
 * finds, and does not load.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "kvm_host.h"

#include <linux/module.h>
#include <linux/mod_devicetable.h>
#include <asm/cpu_device_id.h>
#include <asm/cpufeature.h>
#include <asm/processor.h>

MODULE_AUTHOR("The kvm module's authors");
MODULE_DESCRIPTION("Virtual machines by Intel VMX");
MODULE_LICENSE("GPL");
MODULE_VERSION(KVM_MODULE_VERSION);

static const struct x86_cpu_id vmx_cpu_ids[] = {
	X86_MATCH_FEATURE(X86_FEATURE_VMX, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, vmx_cpu_ids);

/* CPUID says what the processor can, whatever the kernel made of it. */
static bool processor_has_vmx(void)
{
	return cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31);
}

/* SDM 3C "Enabling and Entering VMX Operation" */
static bool firmware_allows_vmx(void)
{
	u64 ctl;

	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &ctl))
		return false;
	return !(ctl & FEAT_CTL_LOCKED) || (ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX);
}

static int __init vmx_init(void)
{
	if (!processor_has_vmx())
		pr_err("this processor has no VMX\n");
	else if (!firmware_allows_vmx())
		pr_err("VMX is switched off by the firmware\n");
	else
		pr_err("this version has no support for VMX yet\n");
	return -ENODEV;
}
module_init(vmx_init);

static void __exit vmx_exit(void)
{
}
module_exit(vmx_exit);
