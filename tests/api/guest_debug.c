// SPDX-License-Identifier: GPL-2.0-only
/* KVM_SET_GUEST_DEBUG: single steps, software and hardware breakpoints. */
#include "vm.h"
#include "kselftest_harness.h"

#define DATA	"0x20000"

/* Offsets are in the comments: the tests count on them. */
GUEST(steps, 64,
	"xor %eax, %eax\n"		/* 0 */
	"xor %ecx, %ecx\n"		/* 2 */
	"cpuid\n"			/* 4 */
	"nop\n"				/* 6 */
	"out %al, $0x10\n"		/* 7 */
	"mov $0x20000, %ebx\n"		/* 9 */
	"mov %rax, (%rbx)\n"		/* 14 */
	"nop\n"				/* 17 */
	"int3\n"			/* 18 */
	"nop\n"				/* 19 */
	"hlt\n");			/* 20 */

static const u8 step_at[] = { 0, 2, 4, 6, 7, 9, 14, 17 };

FIXTURE(debug) {
	struct vm vm;
	struct kvm_run *run;
};

FIXTURE_SETUP(debug)
{
	vm_start(&self->vm, LONG, steps);
	self->run = self->vm.vcpu.run;
}

FIXTURE_TEARDOWN(debug)
{
	vm_destroy(&self->vm);
}

static int set_debug(struct vm *vm, u32 control, u64 dr0, u64 dr7)
{
	struct kvm_guest_debug d = {
		.control = control ? control | KVM_GUESTDBG_ENABLE : 0,
		.arch.debugreg = { [0] = dr0, [7] = dr7 },
	};

	return ioctl(vm->vcpu.fd, KVM_SET_GUEST_DEBUG, &d);
}

/* Until something other than port output. */
static int run(struct vm *vm)
{
	int exit;

	do {
		exit = vm_run(vm);
	} while (exit == KVM_EXIT_IO && vm->vcpu.run->io.port == 0x10);
	return exit;
}

TEST_F(debug, single_step)
{
	EXITS_WHILE_STEPPING();
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_SINGLESTEP, 0, 0));
	for (size_t i = 1; i < ARRAY_LEN(step_at); i++) {
		ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm))
			TH_LOG("step %zu", i);
		EXPECT_EQ(DB_VECTOR, self->run->debug.arch.exception);
		EXPECT_EQ(GPA_CODE + step_at[i], self->run->debug.arch.pc)
			TH_LOG("step %zu", i);
		EXPECT_EQ(BIT(14), self->run->debug.arch.dr6 & BIT(14));
		/* the trap flag is the debugger's, the guest's RFLAGS have none */
		EXPECT_EQ(0, vcpu_regs(&self->vm.vcpu).rflags & BIT(8));
	}
	ASSERT_EQ(0, set_debug(&self->vm, 0, 0, 0));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
	/* without the debugger INT3 was the guest's own */
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(BP_VECTOR, trap(&self->vm)->vector);
}

/* The guest's own trap flag is there before, during and after. */
TEST_F(debug, guests_own_trap_flag)
{
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);

	EXITS_WHILE_STEPPING();
	r.rflags |= BIT(8);
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_SINGLESTEP, 0, 0));
	EXPECT_EQ(BIT(8), vcpu_regs(&self->vm.vcpu).rflags & BIT(8));
	ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
	ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
	EXPECT_EQ(BIT(8), vcpu_regs(&self->vm.vcpu).rflags & BIT(8));
	EXPECT_EQ(0, trap(&self->vm)->count);
	ASSERT_EQ(0, set_debug(&self->vm, 0, 0, 0));
	EXPECT_EQ(BIT(8), vcpu_regs(&self->vm.vcpu).rflags & BIT(8));
	/* one that userspace clears meanwhile stays clear */
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_SINGLESTEP, 0, 0));
	r = vcpu_regs(&self->vm.vcpu);
	r.rflags &= ~BIT(8);
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
	ASSERT_EQ(0, set_debug(&self->vm, 0, 0, 0));
	EXPECT_EQ(0, vcpu_regs(&self->vm.vcpu).rflags & BIT(8));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
}

/* POPF ends the flag, not the steps. */
GUEST(popf, 64,
	"mov $0xf000, %esp\n"		/* 0 */
	"push $2\n"			/* 5 */
	"popf\n"			/* 7 */
	"nop\n"			/* 8 */
	"nop\n"			/* 9 */
	"hlt\n");			/* 10 */

TEST_F(debug, steps_over_popf)
{
	static const u8 at[] = { 5, 7, 8, 9, 10 };

	GUEST_LOAD(&self->vm, popf);
	/* once without: no page fault exits later, which Bochs would not survive */
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_SINGLESTEP, 0, 0));
	for (size_t i = 0; i < ARRAY_LEN(at); i++) {
		ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
		EXPECT_EQ(GPA_CODE + at[i], self->run->debug.arch.pc);
	}
}

TEST_F(debug, software_breakpoint)
{
	struct kvm_regs r;

	if (on_tcg())
		SKIP(return, "the emulator does not intercept #BP of INT3");
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_USE_SW_BP, 0, 0));
	ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
	EXPECT_EQ(BP_VECTOR, self->run->debug.arch.exception);
	EXPECT_EQ(GPA_CODE + 18, self->run->debug.arch.pc);
	EXPECT_EQ(0, trap(&self->vm)->count);
	r = vcpu_regs(&self->vm.vcpu);
	EXPECT_EQ(GPA_CODE + 18, r.rip);
	/* the debugger puts the instruction back and goes on */
	self->vm.mem[GPA_CODE + 18] = 0x90;
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
	EXPECT_EQ(0, trap(&self->vm)->count);
}

/* Bochs writes no bits of an intercepted #DB to DR6, where APM 2 has them. */
static u64 dr6_of(u64 bits)
{
	return on_bochs_svm() ? 0 : bits;
}

TEST_F(debug, hardware_breakpoint)
{
	if (on_tcg())
		SKIP(return, "the emulator's VMRUN does not arm the breakpoints of DR7");
	for (size_t i = 1; i < ARRAY_LEN(step_at); i++) {
		vm_mode(&self->vm, &self->vm.vcpu, LONG);
		ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_USE_HW_BP, GPA_CODE + step_at[i], 0x402));
		ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm))
			TH_LOG("at %u", step_at[i]);
		EXPECT_EQ(DB_VECTOR, self->run->debug.arch.exception);
		EXPECT_EQ(GPA_CODE + step_at[i], self->run->debug.arch.pc);
		EXPECT_EQ(dr6_of(1), self->run->debug.arch.dr6 & 0xf);
		EXPECT_EQ(0x402, self->run->debug.arch.dr7 & ~BIT(10) & ~BIT(0) ? 0x402 : 0);
		ASSERT_EQ(0, set_debug(&self->vm, 0, 0, 0));
		ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
	}
}

TEST_F(debug, watchpoint)
{
	if (on_tcg())
		SKIP(return, "the emulator's VMRUN does not arm the breakpoints of DR7");
	/* DR0: 8 bytes, on writes */
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_USE_HW_BP, GPA_DATA, 0x402 | 1 << 16 | 2 << 18));
	ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
	EXPECT_EQ(GPA_CODE + 17, self->run->debug.arch.pc);
	EXPECT_EQ(dr6_of(1), self->run->debug.arch.dr6 & 0xf);
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
}

/* The guest's own debug registers are not the debugger's. */
TEST_F(debug, guest_registers_kept)
{
	struct kvm_debugregs set = { .db = { 0x1111, 0x2222, 0x3333, 0x4444 },
		.dr6 = 0xffff0ff0, .dr7 = 0x400 }, got;

	if (on_tcg())
		SKIP(return, "the emulator's VMRUN does not arm the breakpoints of DR7");
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_DEBUGREGS, &set));
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_USE_HW_BP, GPA_CODE + 6, 0x402));
	ASSERT_EQ(KVM_EXIT_DEBUG, run(&self->vm));
	ASSERT_EQ(0, set_debug(&self->vm, 0, 0, 0));
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_GET_DEBUGREGS, &got));
	EXPECT_EQ(0, memcmp(set.db, got.db, sizeof(set.db)));
	EXPECT_EQ(0x400, got.dr7);
}

TEST_F(debug, inject)
{
	self->vm.mem[GPA_CODE] = 0xf4;
	ASSERT_EQ(0, set_debug(&self->vm, KVM_GUESTDBG_INJECT_DB, 0, 0));
	/* delivered before the first instruction, though debugging has ended */
	ASSERT_EQ(0, set_debug(&self->vm, 0, 0, 0));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(DB_VECTOR, trap(&self->vm)->vector);
	EXPECT_EQ(GPA_CODE, trap(&self->vm)->rip);
}

TEST_F(debug, bad_calls)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | 0x8 };

	EXPECT_EQ(EFAULT, err(ioctl(self->vm.vcpu.fd, KVM_SET_GUEST_DEBUG, BAD_PTR)));
	/* stock 6.1 takes any bits */
	if (!on_stock()) {
		EXPECT_EQ(EINVAL, err(ioctl(self->vm.vcpu.fd, KVM_SET_GUEST_DEBUG, &d)));
		d.control = ~0;
		EXPECT_EQ(EINVAL, err(ioctl(self->vm.vcpu.fd, KVM_SET_GUEST_DEBUG, &d)));
	}
	/* the removed call fails */
	struct kvm_debug_guest old = { .enabled = 1 };
	EXPECT_NE(0, err(ioctl(self->vm.vcpu.fd, KVM_DEBUG_GUEST, &old)));
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm));
}

TEST_HARNESS_MAIN
