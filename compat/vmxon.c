// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMX operation of each CPU, for kernels before 7.1, which leave it to the hypervisor
 * (SDM 3C "Enabling and Entering VMX Operation").
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/perf_event.h>
#include <linux/topology.h>
#include <asm/msr.h>
#include <asm/perf_event.h>
#include <asm/tlbflush.h>

#include "virt.h"
#include "vmx/vmx_ops.h"

/* The processor's own while VMX is on. */
static DEFINE_PER_CPU(struct page *, vmxon_page);

static cpu_emergency_virt_cb *vendors_emergency;

static void emergency(void)
{
	if (!(__read_cr4() & X86_CR4_VMXE))
		return;
	vendors_emergency();
	vmxoff();
	cr4_clear_bits(X86_CR4_VMXE);
}

static void free_pages_of_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		if (per_cpu(vmxon_page, cpu))
			__free_page(per_cpu(vmxon_page, cpu));
		per_cpu(vmxon_page, cpu) = NULL;
	}
}

int kvm_virt_init(cpu_emergency_virt_cb *vendors)
{
	u64 basic;
	int cpu;

	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	for_each_possible_cpu(cpu) {
		struct page *page = alloc_pages_node(cpu_to_node(cpu), GFP_KERNEL | __GFP_ZERO, 0);

		if (!page) {
			free_pages_of_cpus();
			return -ENOMEM;
		}
		*(u32 *)page_address(page) = (u32)basic;
		per_cpu(vmxon_page, cpu) = page;
	}
	vendors_emergency = vendors;
	cpu_emergency_register_virt_callback(emergency);
	return 0;
}

void kvm_virt_exit(cpu_emergency_virt_cb *vendors)
{
	cpu_emergency_unregister_virt_callback(emergency);
	free_pages_of_cpus();
}

int kvm_virt_get(int feature)
{
	if (__read_cr4() & X86_CR4_VMXE)
		return -EBUSY;
	cr4_set_bits(X86_CR4_VMXE);
	/* Processors whose traces (Intel PT) do not go together with VMX: the kernel stops them. */
	intel_pt_handle_vmx(1);
	if (vmxon(page_to_phys(__this_cpu_read(vmxon_page))))
		return 0;
	intel_pt_handle_vmx(0);
	cr4_clear_bits(X86_CR4_VMXE);
	return -EIO;
}

void kvm_virt_put(int feature)
{
	vmxoff();
	intel_pt_handle_vmx(0);
	cr4_clear_bits(X86_CR4_VMXE);
}

bool kvm_virt_in_use(int feature)
{
	return __read_cr4() & X86_CR4_VMXE;
}
