// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel module for tests/lab/t/intel-refused.sh: as long as it is loaded,
 * each processor's CR4 says that a hypervisor has VMX.
 */
#include <linux/module.h>
#include <linux/smp.h>
#include <asm/tlbflush.h>

static void set_vmxe(void *on)
{
	if (on)
		cr4_set_bits(X86_CR4_VMXE);
	else
		cr4_clear_bits(X86_CR4_VMXE);
}

static int __init hold_vmx_init(void)
{
	on_each_cpu(set_vmxe, (void *)1, 1);
	return 0;
}
module_init(hold_vmx_init);

static void __exit hold_vmx_exit(void)
{
	on_each_cpu(set_vmxe, NULL, 1);
}
module_exit(hold_vmx_exit);

MODULE_DESCRIPTION("Holds VMX, for a test");
MODULE_LICENSE("GPL");
