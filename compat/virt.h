/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one door to a CPU's virtualization: VMX operation or EFER.SVME, on and off.
 * Since 7.1 the kernel has it, and counts those who want it on; before that, vmxon.c
 * and svme.c are its stand-ins, for one who wants it.
 */
#ifndef KVM_COMPAT_VIRT_H
#define KVM_COMPAT_VIRT_H

#include <asm/cpufeatures.h>
#include <asm/reboot.h>

/*
 * kvm_virt_init - before the first get, from a module's init: 0 or -errno
 * @emergency:	what the vendor has to do before virtualization goes off on a crashing or
 *		rebooting CPU, in NMI context maybe; NULL: nothing
 *
 * kvm_virt_get, with interrupts off, switches on on this CPU and returns 0, -EBUSY if
 * another than the kernel's users has it, or another -errno; kvm_virt_put is its end.
 * kvm_virt_in_use says beforehand if another has it.
 */
#ifdef HAVE_VIRT_REF

#include <asm/virt.h>

static inline int kvm_virt_init(cpu_emergency_virt_cb *emergency)
{
	if (emergency)
		x86_virt_register_emergency_callback(emergency);
	return 0;
}

static inline void kvm_virt_exit(cpu_emergency_virt_cb *emergency)
{
	if (emergency)
		x86_virt_unregister_emergency_callback(emergency);
}

#define kvm_virt_get(feature)	x86_virt_get_ref(feature)
#define kvm_virt_put(feature)	x86_virt_put_ref(feature)

static inline bool kvm_virt_in_use(int feature)
{
	int r = x86_virt_get_ref(feature);

	if (!r)
		x86_virt_put_ref(feature);
	return r == -EBUSY;
}

#else

int  kvm_virt_init(cpu_emergency_virt_cb *emergency);
void kvm_virt_exit(cpu_emergency_virt_cb *emergency);
int  kvm_virt_get(int feature);
void kvm_virt_put(int feature);
bool kvm_virt_in_use(int feature);

#endif
#endif
