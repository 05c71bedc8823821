// SPDX-License-Identifier: GPL-2.0-only
/*
 * Real mode, and a guest's own virtual-8086 mode.  Some of Intel's processors
 * have no real mode for guests, and the module makes it of virtual-8086 mode and
 * emulation: what differs between the two must not show.
 */
#include <stdio.h>
#include "vm.h"
#include "kselftest_harness.h"

#define IF	0x200
#define AC	0x40000
#define VM86	0x20000
#define TRAPS	0x8000		/* struct real_trap, in the data segment */
#define COMMON	0x700		/* its writer, and the stubs behind it, in the code segment */
#define STUB(n)	(0x780 + 8 * (n))

/* What the last event's handler found; it goes on at resume if that is not 0. */
struct real_trap {
	u16 count, vector, ip, cs, flags, resume;
};

GUEST(real_handler, 16,
	"push %bp; mov %sp, %bp; push %ax; push %ds\n"
	"mov $0x2000, %ax; mov %ax, %ds\n"
	"incw 0x8000\n"
	"mov 2(%bp), %ax; mov %ax, 0x8002\n"
	"mov 4(%bp), %ax; mov %ax, 0x8004\n"
	"mov 6(%bp), %ax; mov %ax, 0x8006\n"
	"mov 8(%bp), %ax; mov %ax, 0x8008\n"
	"mov 0x800a, %ax; test %ax, %ax; jz 1f; mov %ax, 4(%bp)\n"
	"1: pop %ds; pop %ax; pop %bp; add $2, %sp; iret\n");

FIXTURE(real) {
	struct vm vm;
	volatile struct real_trap *trap;
};

FIXTURE_SETUP(real)
{
	struct vm *vm = &self->vm;

	vm_create(vm);
	vm_mode(vm, &vm->vcpu, REAL);
	vm_load(vm, GPA_CODE + COMMON, guest_real_handler, guest_real_handler_end);
	for (int i = 0; i < 256; i++) {
		u8 *stub = vm->mem + GPA_CODE + STUB(i);
		int16_t rel = COMMON - (STUB(i) + 6);

		/* push vector (of 16 bits); jmp common */
		memcpy(stub, (u8[]){ 0x68, i, 0, 0xe9, rel, rel >> 8 }, 6);
		((u32 *)vm->mem)[i] = (GPA_CODE >> 4) << 16 | STUB(i);
	}
	self->trap = (void *)(vm->mem + GPA_DATA + TRAPS);
}

FIXTURE_TEARDOWN(real)
{
	vm_destroy(&self->vm);
}

static int run_from(struct vm *vm, u64 rip, u64 rflags)
{
	struct kvm_regs r = vcpu_regs(&vm->vcpu);
	int exit;

	r.rip = rip;
	r.rsp = 0xf000;
	r.rflags = 2 | rflags;
	vcpu_set_regs(&vm->vcpu, &r);
	exit = vm_run(vm);
	if (exit != KVM_EXIT_HLT)
		vcpu_dump(&vm->vcpu, "real mode");
	return exit;
}

/* ---- events ---- */

static const struct {
	const char *what, *code;
	u8 len, vector, ip;		/* what the frame says */
	u32 rflags;
	bool lost;			/* the software emulation checks no limits, and calls INT1 undefined */
} faults[] = {
	{ "div", "\xf6\xf1", 2, 0, 0, 0 },
	{ "int1", "\xf1", 1, 1, 1, 0, true },
	{ "int3", "\xcc", 1, 3, 1, 0 },
	{ "into", "\xce", 1, 4, 1, 0x800 },
	{ "bound", "\x62\x06\x00\x00", 4, 5, 0, 0 },
	{ "ud2", "\x0f\x0b", 2, 6, 0, 0 },
	{ "lldt", "\x0f\x00\xd0", 3, 6, 0, 0 },
	{ "str", "\x0f\x00\xc8", 3, 6, 0, 0 },
	{ "arpl", "\x63\xc0", 2, 6, 0, 0 },
	{ "lock nop", "\xf0\x90", 2, 6, 0, 0 },
	{ "a word at DS:ffff", "\xa1\xff\xff", 3, 13, 0, 0, true },
	{ "a word at SS:ffff", "\xbd\xff\xff\x8b\x46\x00", 6, 12, 3, 0, true },
	{ "a byte at DS:10000", "\x67\xa0\x00\x00\x01\x00", 6, 13, 0, 0, true },
	{ "fld at DS:fffe", "\xd9\x06\xfe\xff", 4, 13, 0, 0, true },
	{ "sysenter", "\x0f\x34", 2, 13, 0, 0 },
	{ "mov cr0, PG", "\x66\xb8\x00\x00\x00\x80\x0f\x22\xc0", 9, 13, 6, 0 },
	{ "rdmsr", "\x66\xb9\x34\x12\x00\x40\x0f\x32", 8, 13, 6, 0 },
	{ "int 42h", "\xcd\x42", 2, 0x42, 2, 0 },
	{ "int 0ffh", "\xcd\xff", 2, 0xff, 2, 0 },
};

TEST_F(real, exceptions)
{
	struct vm *vm = &self->vm;

	vcpu_set_msr(&vm->vcpu, 0x174, 8);	/* SYSENTER_CS */
	for (u32 i = 0; i < ARRAY_LEN(faults); i++) {
		struct kvm_regs r = { .rax = 0xffff };

		if (faults[i].lost && on_tcg())
			continue;
		vcpu_set_regs(&vm->vcpu, &r);
		memcpy(vm->mem + GPA_CODE, faults[i].code, faults[i].len);
		vm->mem[GPA_CODE + faults[i].len] = 0xf4;
		*self->trap = (struct real_trap){ .resume = faults[i].len };
		ASSERT_EQ(KVM_EXIT_HLT, run_from(vm, 0, faults[i].rflags | IF)) {
			TH_LOG("%s", faults[i].what);
		}
		EXPECT_EQ(1, self->trap->count) {
			TH_LOG("%s", faults[i].what);
		}
		EXPECT_EQ(faults[i].vector, self->trap->vector) {
			TH_LOG("%s", faults[i].what);
		}
		EXPECT_EQ(faults[i].ip, self->trap->ip) {
			TH_LOG("%s", faults[i].what);
		}
		EXPECT_EQ(GPA_CODE >> 4, self->trap->cs);
		EXPECT_EQ(IF, self->trap->flags & IF);
		EXPECT_EQ(IF, vcpu_regs(&vm->vcpu).rflags & IF);
		EXPECT_EQ(0xf000, vcpu_regs(&vm->vcpu).rsp);
	}
	EXPECT_EQ(8, vcpu_msr(&vm->vcpu, 0x174));
}

/* Alignment is checked at CPL 3 only, and real mode is not. */
GUEST(unaligned, 16, "mov 1, %ax; mov %eax, 3; hlt\n");

TEST_F(real, alignment)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

	s.cr0 |= CR0_AM;
	vcpu_set_sregs(&self->vm.vcpu, &s);
	GUEST_LOAD(&self->vm, unaligned);
	ASSERT_EQ(KVM_EXIT_HLT, run_from(&self->vm, 0, AC));
	EXPECT_EQ(0, self->trap->count);
}

/* A debugger in the guest: a trap behind each instruction, emulated or not. */
GUEST(steps, 16,
	"pushw $0x302; popfw\n"
	"nop; mov %cr0, %eax; cli; mov $1, %bx; sti; mov $3, %ax; in $0x99, %al\n"
	"int $0x42; inc %bx\n"		/* no trap behind INT, nor in its handler */
	"pushw $2; popfw\n"
	"hlt\n");

TEST_F(real, single_steps)
{
	struct vm *vm = &self->vm;
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2 };

	EXITS_WHILE_STEPPING();
	GUEST_LOAD(vm, steps);
	vcpu_set_regs(&vm->vcpu, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	*((u8 *)vm->vcpu.run + vm->vcpu.run->io.data_offset) = 0x77;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm)) {
		vcpu_dump(&vm->vcpu, "steps");
	}
	/* one of them is lost in the software emulation, under stock modules too */
	EXPECT_EQ(on_tcg() ? 10 : 11, self->trap->count);
	EXPECT_EQ(2, vcpu_regs(&vm->vcpu).rbx & 0xffff);
	EXPECT_EQ(1, self->trap->vector);
	EXPECT_EQ(guest_steps_end - guest_steps - 1, self->trap->ip);
	EXPECT_EQ(0x77, vcpu_regs(&vm->vcpu).rax & 0xff);
}

/* HLT with interrupts on, and one that ends it. */
GUEST(halts, 16, "sti; hlt; mov $5, %bx; cli; hlt\n");

TEST_F(real, halt)
{
	struct vm *vm = &self->vm;
	struct kvm_interrupt irq = { .irq = 0x71 };

	GUEST_LOAD(vm, halts);
	ASSERT_EQ(KVM_EXIT_HLT, run_from(vm, 0, 0));
	EXPECT_EQ(2, vcpu_regs(&vm->vcpu).rip);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_INTERRUPT, &irq));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
	EXPECT_EQ(1, self->trap->count);
	EXPECT_EQ(0x71, self->trap->vector);
	EXPECT_EQ(2, self->trap->ip);
	EXPECT_EQ(5, vcpu_regs(&vm->vcpu).rbx);
	EXPECT_EQ(guest_halts_end - guest_halts, vcpu_regs(&vm->vcpu).rip);
}

/* An interrupt that waits for IF comes behind STI's shadow, wherever IF changes. */
GUEST(waits, 16,
	"xor %cx, %cx; nop; inc %cx; sti; inc %cx; inc %cx; cli; hlt\n");

TEST_F(real, interrupt_window)
{
	struct vm *vm = &self->vm;
	struct kvm_interrupt irq = { .irq = 0x21 };

	GUEST_LOAD(vm, waits);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_INTERRUPT, &irq));
	ASSERT_EQ(KVM_EXIT_HLT, run_from(vm, 0, 0));
	EXPECT_EQ(1, self->trap->count);
	EXPECT_EQ(0x21, self->trap->vector);
	/* before the last INC, or one early where VMRUN forgets STI's shadow */
	EXPECT_TRUE(self->trap->ip == 6 || (on_tcg() && self->trap->ip == 5));
	EXPECT_EQ(3, vcpu_regs(&vm->vcpu).rcx & 0xffff);
}

/* ---- what only CPL 0 may do, and real mode is ---- */

GUEST(system, 16,
	"lgdtl %cs:0x600; sgdtl 0x100\n"
	"lidtl %cs:0x608; sti; cli\n"
	"int $0x42\n"
	"mov %cr0, %eax; or $2, %al; mov %eax, %cr0\n"		/* MP */
	"smsw %ax; mov %ax, 0x110; or $8, %al; lmsw %ax; clts\n"
	"mov %cr0, %eax; mov %eax, 0x114\n"
	"mov %cr4, %eax; or $0xc, %al; mov %eax, %cr4\n"	/* TSD, DE */
	"rdtsc; mov %cr4, %eax; mov %eax, 0x118\n"
	"mov $0x1234567, %eax; mov %eax, %dr0; mov %dr0, %ebx; mov %ebx, 0x11c\n"
	"mov $0x175, %ecx; mov $0x7654321, %eax; xor %edx, %edx; wrmsr\n"
	"xor %eax, %eax; rdmsr; mov %eax, 0x120\n"
	"wbinvd; invd\n"
	"pushf; pop %ax; or $0x4200, %ax; push %ax; popf; pushf; pop %ax; mov %ax, 0x124\n"
	"mov $0x80, %dx; mov $0x44, %al; out %al, %dx\n"
	"fninit; fld1; fistpl 0x128\n"
	"hlt\n");

TEST_F(real, privileged)
{
	struct vm *vm = &self->vm;
	u8 *data = vm->mem + GPA_DATA;
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2 };
	struct kvm_sregs s;

	GUEST_LOAD(vm, system);
	ASSERT_LE(guest_system_end - guest_system, 0x600);
	memcpy(vm->mem + GPA_CODE + 0x600, "\xff\x07\x00\x10\x00\x00", 6);
	/* the vectors, moved */
	memcpy(vm->mem + GPA_CODE + 0x608, "\xff\x03\x00\x00\x04\x00", 6);
	memcpy(vm->mem + GPA_FREE, vm->mem, 0x400);
	memset(vm->mem, 0, 0x400);
	vcpu_set_regs(&vm->vcpu, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm)) {
		vcpu_dump(&vm->vcpu, "privileged");
	}
	EXPECT_EQ(0x44, *((u8 *)vm->vcpu.run + vm->vcpu.run->io.data_offset));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm)) {
		vcpu_dump(&vm->vcpu, "privileged");
	}
	/* of an INT that a page fault exit interrupts, Bochs reports an older event as interrupted */
	EXPECT_TRUE(self->trap->count == 1 || (on_bochs_svm() && self->trap->count == 2));
	EXPECT_EQ(0x42, self->trap->vector);
	EXPECT_EQ(0, memcmp(data + 0x100, "\xff\x07\x00\x10\x00\x00", 6));
	EXPECT_EQ(2, *(u16 *)(data + 0x110) & 0xf);
	EXPECT_EQ(2, *(u32 *)(data + 0x114) & 0xf);
	EXPECT_EQ(0xc, *(u32 *)(data + 0x118));
	EXPECT_EQ(0x1234567, *(u32 *)(data + 0x11c));
	EXPECT_EQ(0x7654321, *(u32 *)(data + 0x120));
	EXPECT_EQ(0x4200, *(u16 *)(data + 0x124) & 0x4200);
	EXPECT_EQ(1, *(u32 *)(data + 0x128));
	s = vcpu_sregs(&vm->vcpu);
	EXPECT_EQ(GPA_FREE, s.idt.base);
	EXPECT_EQ(0x3ff, s.idt.limit);
	EXPECT_EQ(GPA_GDT, s.gdt.base);
	EXPECT_EQ(0xc, s.cr4);
}

/* ---- "big" real mode ---- */

/*
 * DS and ES are 4G long: what the emulator does not have works all the same, as
 * long as it stays below 64 kB, and what it has goes beyond.
 */
GUEST(big, 16,
	"lgdtl %cs:0x600\n"
	"mov %cr0, %eax; or $1, %al; mov %eax, %cr0; jmp 1f\n"
	"1: mov $0x10, %bx; mov %bx, %ds; mov %bx, %es\n"
	"and $0xfe, %al; mov %eax, %cr0\n"
	"ljmp $0x1000, $2f - guest_big\n"
	"2: mov $0x2000, %ax; mov %ax, %ds; xor %ax, %ax; mov %ax, %es\n"
	"fninit; fldpi; fldpi; fsubp; fld1; faddp; fistpl 0x128\n"
	"mov $0x40, %ecx; mov $0x200000, %edi; mov $0x5a, %al; cld\n"
	"addr32 rep stosb\n"
	"mov $0x1000, %cx; 3: loop 3b\n"
	"addr32 movzbl %es:-1(%edi), %ebx\n"
	"int $0x42\n"
	"addr32 mov %es:0x20003f, %dl\n"
	"hlt\n");

TEST_F(real, big)
{
	struct vm *vm = &self->vm;

	GUEST_LOAD(vm, big);
	memcpy(vm->mem + GPA_CODE + 0x600, "\xff\x07\x00\x10\x00\x00", 6);
	((u64 *)(vm->mem + GPA_GDT))[2] = 0x00cf93000000ffff;
	ASSERT_EQ(KVM_EXIT_HLT, run_from(vm, 0, 0));
	EXPECT_EQ(1, *(u32 *)(vm->mem + GPA_DATA + 0x128));
	EXPECT_EQ(0x5a, vm->mem[0x200000]);
	EXPECT_EQ(0x5a, vm->mem[0x20003f]);
	EXPECT_EQ(0, vm->mem[0x200040]);
	EXPECT_EQ(0x5a, vcpu_regs(&vm->vcpu).rbx);
	EXPECT_EQ(0x5a, vcpu_regs(&vm->vcpu).rdx & 0xff);
	EXPECT_EQ(0x42, self->trap->vector);
	EXPECT_EQ(0xffffffff, vcpu_sregs(&vm->vcpu).ds.limit);
	EXPECT_EQ(0xffff, vcpu_sregs(&vm->vcpu).ss.limit);
}

/* ---- protected mode ---- */

FIXTURE(prot) {
	struct vm vm;
};

FIXTURE_SETUP(prot)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, PROT);
}

FIXTURE_TEARDOWN(prot)
{
	vm_destroy(&self->vm);
}

/* Bits of CR4 that the guest may change by itself stay when CR0 is changed. */
GUEST(cr4_kept, 32,
	"mov %cr4, %eax; or $0x20c, %eax; mov %eax, %cr4\n"
	"mov %cr0, %eax; xor $2, %eax; mov %eax, %cr0\n"
	"mov %cr4, %ebx\n"
	"movups 0x20000, %xmm0\n"
	"hlt\n");

TEST_F(prot, cr4_kept)
{
	GUEST_LOAD(&self->vm, cr4_kept);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm)) {
		vcpu_dump(&self->vm.vcpu, "cr4");
	}
	EXPECT_EQ(0x20c, vcpu_regs(&self->vm.vcpu).rbx);
	EXPECT_EQ(0x20c, vcpu_sregs(&self->vm.vcpu).cr4);
}

/* Virtual-8086 mode of the guest's own, from IRET to the #GP of its HLT. */
GUEST(to_vm86, 32,
	"pushl $0; pushl $0; pushl $0x2000; pushl $0x2000; pushl $0; pushl $0xe000\n"
	"pushl $0x23002; pushl $0x1000; pushl $0x200\n"
	"iretl\n");
GUEST(in_vm86, 16,
	"mov $0x1234, %ax; mov %ax, 0x300; mov %ax, %fs; pushf; pop %bx; sti; cli\n"
	"hlt\n");

TEST_F(prot, vm86)
{
	struct vm *vm = &self->vm;

	NOT_ON_BOCHS_SVM("an exit from virtual-8086 mode would end the emulator");
	GUEST_LOAD(vm, to_vm86);
	vm_load(vm, GPA_CODE + 0x200, guest_in_vm86, guest_in_vm86_end);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm)) {
		vcpu_dump(&vm->vcpu, "vm86");
	}
	EXPECT_EQ(PORT_TRAP, vm->vcpu.run->io.port);
	EXPECT_EQ(13, trap(vm)->vector);
	EXPECT_EQ(0, trap(vm)->error);
	EXPECT_EQ(0x1000, trap(vm)->cs & 0xffff);
	EXPECT_EQ(0x200 + (guest_in_vm86_end - guest_in_vm86) - 1, trap(vm)->rip);
	EXPECT_EQ(VM86 | 0x3002, trap(vm)->rflags & (VM86 | 0x3202));
	EXPECT_EQ(0xe000, trap(vm)->rsp);
	EXPECT_EQ(0x1234, *(u16 *)(vm->mem + GPA_DATA + 0x300));
	EXPECT_EQ(0, vcpu_regs(&vm->vcpu).rflags & VM86);
	EXPECT_EQ(SEL_CODE32, vcpu_sregs(&vm->vcpu).cs.selector);
}

TEST_HARNESS_MAIN
