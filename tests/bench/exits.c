// SPDX-License-Identifier: GPL-2.0-only
/*
 * What exits cost, in a lab host whose TSC counts instructions: the guest reads
 * it around rounds of one instruction, and the cheapest of many rounds, which no
 * interrupt disturbed, is printed for one instruction, the host's and the
 * guest's together.  By the names, limits are in tests/lab/boot-count.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <x86intrin.h>

#include "vm.h"

#define ROUND	100
#define ROUNDS	40
#define PORT_DONE	0x10

/* A round of INSN; what it took to r9.  Registers but r8 to r15 and RSP are its own. */
#define BENCH(name, insn)						\
	GUEST(name, 64,							\
		"mov $100, %r15d\n"					\
		"rdtsc; shl $32, %rdx; or %rax, %rdx; mov %rdx, %r8\n"	\
		"1: " insn "\n"						\
		"dec %r15d; jnz 1b\n"					\
		"rdtsc; shl $32, %rdx; or %rdx, %rax; sub %r8, %rax; mov %rax, %r9\n" \
		"out %al, $0x10\n")

BENCH(nothing, "xor %eax, %eax");
BENCH(cpuid, "xor %eax, %eax; cpuid");
BENCH(rdmsr, "mov $0x277, %ecx; rdmsr");		/* PAT */
BENCH(wrmsr, "mov $0x277, %ecx; mov $0x00070106, %eax; mov $0x00070406, %edx; wrmsr");
BENCH(x2apic, "mov $0x80f, %ecx; rdmsr");		/* SVR */
BENCH(inport, "in $0x21, %al");				/* the 8259's mask */
BENCH(outport, "mov $0xff, %al; out %al, $0x21");
BENCH(apic_read, "mov $0xfee00000, %ebx; mov 0x20(%rbx), %eax");
BENCH(apic_eoi, "mov $0xfee00000, %ebx; movl $0, 0xb0(%rbx)");
BENCH(cr8, "mov %cr8, %rax; mov %rax, %cr8");
BENCH(user, "out %al, $0x80");

struct bench {
	const char *name;
	const u8 *start, *end;
};
#define A_BENCH(n)	{ #n, guest_##n, guest_##n##_end }

static u64 one_round(struct vm *vm, const struct bench *b)
{
	struct kvm_run *run = vm->vcpu.run;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	int exit;

	vcpu_set_regs(&vm->vcpu, &r);
	do {
		exit = vm_run(vm);
	} while (exit == KVM_EXIT_IO && run->io.port == 0x80);
	if (exit != KVM_EXIT_IO || run->io.port != PORT_DONE) {
		vcpu_dump(&vm->vcpu, b->name);
		die("%s", b->name);
	}
	r = vcpu_regs(&vm->vcpu);
	return r.r9;
}

static u64 bench(const struct bench *b)
{
	u64 best = ~0ULL, t;
	struct vm vm;

	vm_create_full(&vm);
	vm_mode(&vm, &vm.vcpu, LONG);
	if (!strcmp(b->name, "x2apic"))
		vcpu_set_msr(&vm.vcpu, 0x1b, 0xfee00000 | BIT(8) | BIT(10) | BIT(11));
	vm_load(&vm, GPA_CODE, b->start, b->end);
	for (int i = 0; i < ROUNDS; i++) {
		t = one_round(&vm, b);
		if (t < best)
			best = t;
	}
	vm_destroy(&vm);
	return best / ROUND;
}

int main(void)
{
	static const struct bench benches[] = {
		A_BENCH(nothing), A_BENCH(cpuid), A_BENCH(rdmsr), A_BENCH(wrmsr), A_BENCH(x2apic),
		A_BENCH(inport), A_BENCH(outport), A_BENCH(apic_read), A_BENCH(apic_eoi),
		A_BENCH(cr8), A_BENCH(user),
	};

	for (size_t i = 0; i < ARRAY_LEN(benches); i++) {
		printf("%s %llu\n", benches[i].name, (unsigned long long)bench(&benches[i]));
		fflush(stdout);
	}
	return 0;
}
