// SPDX-License-Identifier: GPL-2.0-only
/*
 * EFER.SVME of each CPU, for kernels before 7.1, which leave it to the hypervisor
 * (APM 2 "Enabling SVM").
 */
#include <linux/errno.h>
#include <asm/msr.h>

#include "virt.h"

static bool svme(u64 *efer)
{
	rdmsrq(MSR_EFER, *efer);
	return *efer & EFER_SVME;
}

/* INIT must get through, so GIF is set first. */
static void emergency(void)
{
	u64 efer;

	if (!svme(&efer))
		return;
	asm volatile("stgi");
	wrmsrq(MSR_EFER, efer & ~EFER_SVME);
}

/* Before SVM goes off there is nothing that the vendor has to do. */
int kvm_virt_init(cpu_emergency_virt_cb *none)
{
	cpu_emergency_register_virt_callback(emergency);
	return 0;
}

void kvm_virt_exit(cpu_emergency_virt_cb *none)
{
	cpu_emergency_unregister_virt_callback(emergency);
}

int kvm_virt_get(int feature)
{
	u64 efer;

	if (svme(&efer))
		return -EBUSY;
	wrmsrq(MSR_EFER, efer | EFER_SVME);
	return 0;
}

void kvm_virt_put(int feature)
{
	u64 efer;

	if (svme(&efer))
		wrmsrq(MSR_EFER, efer & ~EFER_SVME);
}

bool kvm_virt_in_use(int feature)
{
	u64 efer;

	return svme(&efer);
}
