// SPDX-License-Identifier: GPL-2.0-only
/* Mode switches: a round trip through all of them, and single steps of it. */
#include <sys/mman.h>
#include "vm.h"
#include "kselftest_harness.h"

extern const u8 mode_guest[], mode_guest_end[];

FIXTURE(modes) {
	struct vm vm;
	u32 *marks;
};

FIXTURE_SETUP(modes)
{
	struct vm *vm = &self->vm;
	u64 *gdt, *pdpt;

	vm_create(vm);
	vm_mode(vm, &vm->vcpu, LONG);		/* for its tables */
	gdt = (u64 *)(vm->mem + GPA_GDT);
	/* 16-bit segments, the code's based where it lies */
	gdt[SEL_CODE16 / 8] = 0x00009b010000ffff;
	pdpt = (u64 *)(vm->mem + 0x9000);
	pdpt[0] = GPA_PD | PTE_P;
	vm_mode(vm, &vm->vcpu, REAL);
	vm_load(vm, GPA_CODE, mode_guest, mode_guest_end);
	self->marks = (u32 *)(vm->mem + GPA_DATA);
}

FIXTURE_TEARDOWN(modes)
{
	vm_destroy(&self->vm);
}

TEST_F(modes, round_trips)
{
	const u32 n = 100;
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2, .rbp = n };

	vcpu_set_regs(&self->vm.vcpu, &r);
	for (u32 i = 1; i <= n; i++) {
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm)) {
			vcpu_dump(&self->vm.vcpu, "round trip");
		}
		ASSERT_EQ(0x12, self->vm.vcpu.run->io.port) {
			vcpu_dump(&self->vm.vcpu, "round trip");
		}
		for (int k = 0; k < 7; k++)
			ASSERT_EQ(i, self->marks[k]);
		/* what userspace sees is what the guest is in */
		struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);
		ASSERT_EQ(0, s.cr0 & (CR0_PE | CR0_PG));
		ASSERT_EQ(0, s.efer);
		ASSERT_EQ(0, s.cr4);
		ASSERT_EQ(GPA_CODE >> 4, s.cs.selector);
		ASSERT_EQ(GPA_CODE, s.cs.base);
		ASSERT_EQ(GPA_DATA, s.ds.base);
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* The state goes out and in again at each instruction: the guest is none the wiser. */
TEST_F(modes, saved_and_restored)
{
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2, .rbp = 3 };
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };
	int exit, steps = 0;

	EXITS_WHILE_STEPPING();
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_GUEST_DEBUG, &d));
	for (;;) {
		struct kvm_sregs s;

		exit = vm_run(&self->vm);
		if (exit != KVM_EXIT_DEBUG && exit != KVM_EXIT_IO)
			break;
		ASSERT_LT(steps++, 1000);
		if (exit == KVM_EXIT_IO)
			continue;
		s = vcpu_sregs(&self->vm.vcpu);
		r = vcpu_regs(&self->vm.vcpu);
		vcpu_set_sregs(&self->vm.vcpu, &s);
		vcpu_set_regs(&self->vm.vcpu, &r);
		/* asked anew, as QEMU does: stock steps on only from the RIP of the call */
		ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_GUEST_DEBUG, &d));
	}
	EXPECT_EQ(KVM_EXIT_HLT, exit) {
		vcpu_dump(&self->vm.vcpu, "steps");
	}
	for (int k = 0; k < 7; k++)
		EXPECT_EQ(3, self->marks[k]);
	EXPECT_GT(steps, 150);
}

/*
 * The segments that protected mode left, kept in real mode: a limit of 4G
 * ("unreal" mode), which boot loaders count on.
 */
GUEST(unreal, 16,
	"lgdtl %cs:0x80\n"
	"mov %cr0, %eax; or $1, %al; mov %eax, %cr0; jmp 1f\n"
	"1: mov $0x10, %bx; mov %bx, %fs\n"
	"and $0xfe, %al; mov %eax, %cr0; jmp 2f\n"
	"2: mov $0x200000, %esi\n"
	"movl $0xcafe, %fs:(%esi)\n"
	"mov %fs:(%esi), %eax\n"
	"hlt\n");

TEST_F(modes, unreal)
{
	GUEST_LOAD(&self->vm, unreal);
	memcpy(self->vm.mem + GPA_CODE + 0x80, "\xff\x07\x00\x10\x00\x00", 6);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm)) {
		vcpu_dump(&self->vm.vcpu, "unreal");
	}
	EXPECT_EQ(0xcafe, vcpu_regs(&self->vm.vcpu).rax);
	EXPECT_EQ(0xcafe, *(u32 *)(self->vm.mem + 0x200000));
}

/* From the reset vector, as firmware starts. */
TEST_F(modes, reset_vector)
{
	struct vm *vm = &self->vm;
	u8 *rom = xmmap(0x10000, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	struct vcpu v;

	/* at fffffff0: jmp far f000:e05b; there: mov al, 5a; out 80h, al; hlt */
	memcpy(rom + 0xfff0, "\xea\x5b\xe0\x00\xf0", 5);
	memcpy(rom + 0xe05b, "\xb0\x5a\xe6\x80\xf4", 5);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0xffff0000, 0x10000, rom));
	memcpy(vm->mem + 0xf0000, rom, 0x10000);
	vcpu_create(vm, &v, 1);
	ASSERT_EQ(KVM_EXIT_IO, vcpu_run(&v));
	EXPECT_EQ(0x80, v.run->io.port);
	EXPECT_EQ(0x5a, *((u8 *)v.run + v.run->io.data_offset));
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
	EXPECT_EQ(0xf000, vcpu_sregs(&v).cs.selector);
	EXPECT_EQ(0xf0000, vcpu_sregs(&v).cs.base);
}

/* Real mode's wrap and limits: SI past 64k, and A20 above 1M. */
GUEST(limits, 16,
	"mov $0xffff, %ax; mov %ax, %es; mov $0x10, %di\n"
	"movw $0xbeef, %es:(%di)\n"		/* linear 100000h */
	"mov $0xffff, %si; mov $1, %cx; cld; xor %ax, %ax; lodsb\n"
	"hlt\n");

TEST_F(modes, real_limits)
{
	self->vm.mem[GPA_DATA + 0xffff] = 0x77;
	GUEST_LOAD(&self->vm, limits);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0xbeef, *(u16 *)(self->vm.mem + 0x100000));
	EXPECT_EQ(0x77, vcpu_regs(&self->vm.vcpu).rax & 0xff);
	EXPECT_EQ(0, vcpu_regs(&self->vm.vcpu).rsi & 0xffff);
}

TEST_HARNESS_MAIN
