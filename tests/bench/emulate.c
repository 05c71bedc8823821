// SPDX-License-Identifier: GPL-2.0-only
/*
 * For `make bench-emulate`, in a lab host that counts instructions: what an access
 * that is emulated, or taken by an ioeventfd, costs from the guest's instruction to the one behind it.  The
 * guest takes the time-stamp counter, which counts instructions there, around a
 * loop of accesses; the loop itself is a handful.
 */
#include <stdio.h>
#include <sys/eventfd.h>

#include "vm.h"

#define ROUNDS	2000
#define RESULT	(GPA_FREE + 8)

/* RBX: where; R9: how often, first a tenth of it to warm up */
#define LOOP(access)					\
	"	mov $200, %ecx\n"			\
	"1:	" access "\n	dec %ecx\n	jnz 1b\n" \
	"	rdtsc\n	shl $32, %rdx\n	or %rdx, %rax\n	mov %rax, %r8\n" \
	"	mov %r9d, %ecx\n"			\
	"2:	" access "\n	dec %ecx\n	jnz 2b\n" \
	"	rdtsc\n	shl $32, %rdx\n	or %rdx, %rax\n" \
	"	sub %r8, %rax\n"			\
	"	mov %rax, 0x40008\n"			\
	"3:	out %al, $0x10\n	jmp 3b\n"

GUEST(read, 64, LOOP("mov 0x30(%rbx), %edi"));
GUEST(write, 64, LOOP("mov %edi, 0x30(%rbx)"));

/* An ioeventfd that any write signals. */
static void add_doorbell(struct vm *vm, u64 where)
{
	struct kvm_ioeventfd e = { .addr = where, .fd = eventfd(0, 0) };

	if (ioctl(vm->fd, KVM_IOEVENTFD, &e))
		die("KVM_IOEVENTFD");
}

static void bench(const char *what, u64 where, bool split)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rbx = where, .r9 = ROUNDS };
	struct vm vm;
	u64 val = 0;
	int exit;

	if (split)
		vm_create_split(&vm);
	else
		vm_create(&vm);
	vm_mode(&vm, &vm.vcpu, LONG);
	if (!strcmp(what, "doorbell"))
		add_doorbell(&vm, where + 0x30);
	if (strcmp(what, "kernel-read") && strcmp(what, "mmio-read"))
		GUEST_LOAD(&vm, write);
	else
		GUEST_LOAD(&vm, read);
	vcpu_set_regs(&vm.vcpu, &r);
	do
		exit = vm_run(&vm);
	while (exit == KVM_EXIT_MMIO);
	if (exit != KVM_EXIT_IO)
		die("%s: %s", what, exit_name(exit));
	memcpy(&val, vm.mem + RESULT, 8);
	printf("%s %llu\n", what, (unsigned long long)val / ROUNDS);
	vm_destroy(&vm);
}

int main(void)
{
	bench("kernel-read", 0xfee00000, true);		/* the local APIC's version */
	bench("mmio-write", GPA_MMIO, false);
	bench("mmio-read", GPA_MMIO, false);
	bench("doorbell", GPA_MMIO, false);
	return 0;
}
