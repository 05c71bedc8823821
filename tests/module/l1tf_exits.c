// SPDX-License-Identifier: GPL-2.0-only
/*
 * l1tf_exits KIND: a guest with 1000 exits, and one more at its end.  The kernel deals with
 * each itself: of what the vcpu has (cpuid), by a write to the guest's memory (memory), by
 * the emulator (mmio); or it goes to userspace (io, hlt).  irq: none but for the host's ticks.
 */
#include <stdio.h>
#include <string.h>

#include "vm.h"

GUEST(cpuid, 64,
	"mov $1000, %esi\n"
	"1: xor %eax, %eax; cpuid; dec %esi; jnz 1b\n"
	"out %al, $0x10\n");

/* MSR_KVM_WALL_CLOCK_NEW: where it is to be written. */
GUEST(memory, 64,
	"mov $1000, %esi; mov $0x4b564d00, %ecx; mov $0x40000, %eax; xor %edx, %edx\n"
	"1: wrmsr; dec %esi; jnz 1b\n"
	"out %al, $0x10\n");

/* The I/O APIC's index register. */
GUEST(mmio, 64,
	"mov $1000, %esi; mov $0xfec00000, %ebx\n"
	"1: mov (%rbx), %eax; dec %esi; jnz 1b\n"
	"out %al, $0x10\n");

GUEST(io, 64,
	"mov $1000, %esi\n"
	"1: out %al, $0x11; dec %esi; jnz 1b\n"
	"out %al, $0x10\n");

GUEST(hlt, 64,
	"mov $1000, %esi\n"
	"1: hlt; dec %esi; jnz 1b\n"
	"out %al, $0x10\n");

GUEST(irq, 64,
	"mov $20000000, %esi; sti\n"
	"1: dec %esi; jnz 1b\n"
	"out %al, $0x10\n");

#define KIND(name)	{ #name, guest_##name, guest_##name##_end }

int main(int argc, char **argv)
{
	static const struct { const char *name; const u8 *code, *end; } kinds[] = {
		KIND(cpuid), KIND(memory), KIND(mmio), KIND(io), KIND(hlt), KIND(irq),
	};
	static struct vm vm;
	size_t i = 0;
	int exit;

	if (argc != 2)
		die("l1tf_exits KIND");
	while (strcmp(argv[1], kinds[i].name))
		if (++i == sizeof(kinds) / sizeof(kinds[0]))
			die("no such kind");
	/* With APICs in the kernel a halted vcpu stays there. */
	if (kinds[i].code == guest_hlt)
		vm_create(&vm);
	else
		vm_create_full(&vm);
	vm_mode(&vm, &vm.vcpu, LONG);
	vm_load(&vm, GPA_CODE, kinds[i].code, kinds[i].end);
	do {
		exit = vm_run(&vm);
		if (exit != KVM_EXIT_IO && exit != KVM_EXIT_HLT)
			die("the guest exits by %s", exit_name(exit));
	} while (exit == KVM_EXIT_HLT || vm.vcpu.run->io.port != 0x10);
	vm_destroy(&vm);
	return 0;
}
