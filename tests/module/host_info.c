// SPDX-License-Identifier: GPL-2.0-only
/* For host/check and host/bench: capabilities, and the frequency of the TSC. */
#include <fcntl.h>
#include <stdio.h>
#include "vm.h"

int main(void)
{
	int sys = open("/dev/kvm", O_RDWR), vm, vcpu, r;

	if (sys < 0)
		die("/dev/kvm: %m");
	vm = ioctl(sys, KVM_CREATE_VM, 0);
	if (vm < 0)
		die("KVM_CREATE_VM: %m");
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	if (vcpu < 0)
		die("KVM_CREATE_VCPU: %m");
	printf("tsc_khz %d\n", ioctl(vcpu, KVM_GET_TSC_KHZ, 0));
	for (int cap = 0; cap < 300; cap++) {
		r = check_cap(sys, cap);
		if (r > 0)
			printf("cap %d %#x\n", cap, r);
	}
	return 0;
}
