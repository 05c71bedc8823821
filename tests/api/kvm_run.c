// SPDX-License-Identifier: GPL-2.0-only
/* Every field of struct kvm_run, both ways, and every exit reason there is. */
#include <signal.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

GUEST(halt, 64, "1: hlt\n jmp 1b");
GUEST(flags, 64, "cli\n out %al, $0x10\n sti\n nop\n out %al, $0x10\n nop\n hlt\n");
GUEST(tpr, 64,
      "mov $9, %eax\n mov %rax, %cr8\n out %al, $0x10\n"	/* up: nobody minds */
      "mov %cr8, %rbx\n"
      "mov $3, %eax\n mov %rax, %cr8\n"				/* down: userspace is told */
      "mov %cr8, %rcx\n hlt\n");
GUEST(ports, 64,
      "mov $0x1234, %dx\n mov $0x89abcdef, %eax\n"
      "out %al, %dx\n out %ax, %dx\n out %eax, %dx\n"
      "in %dx, %al\n in %dx, %eax\n hlt\n");
GUEST(strings, 64, "mov $0x20000, %esi\n mov $5, %ecx\n mov $0x99, %dx\n cld\n rep outsw\n hlt\n");
GUEST(mmio, 64, "mov $0xd0000010, %ebx\n movw $0x55aa, (%rbx)\n mov 8(%rbx), %rax\n hlt\n");
GUEST(vmcall, 64, "mov $77, %eax\n vmcall\n hlt\n");
GUEST(vmmcall, 64, "mov $77, %eax\n vmmcall\n hlt\n");
GUEST(triple, 64, "lidt (0x20000)\n ud2\n");
GUEST(nops, 64, "nop\n nop\n hlt\n");
GUEST(spin, 64, "sti; 1: jmp 1b\n");

FIXTURE(run) {
	struct vm vm;
	struct kvm_run *run;
};

FIXTURE_SETUP(run)
{
	vm_start(&self->vm, LONG, halt);
	self->run = self->vm.vcpu.run;
}

FIXTURE_TEARDOWN(run)
{
	vm_destroy(&self->vm);
}

/* ---- fields ---- */

TEST_F(run, if_flag)
{
	GUEST_LOAD(&self->vm, flags);
	self->run->if_flag = 7;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(0, self->run->if_flag);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(1, self->run->if_flag);
	EXPECT_EQ(0, self->run->flags);
}

TEST_F(run, ready_for_interrupt_injection)
{
	struct kvm_interrupt irq = { .irq = 0x60 };

	GUEST_LOAD(&self->vm, flags);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(0, self->run->ready_for_interrupt_injection);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(1, self->run->ready_for_interrupt_injection);
	/* with one queued there is no room for another */
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_INTERRUPT, &irq));
	self->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vm_run(&self->vm));
	EXPECT_EQ(0, self->run->ready_for_interrupt_injection);
	self->run->immediate_exit = 0;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0x60, trap(&self->vm)->vector);
}

TEST_F(run, request_interrupt_window)
{
	NOT_ON_BOCHS_SVM("the emulator's V_IRQ comes late where IF is set");
	GUEST_LOAD(&self->vm, flags);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	self->run->request_interrupt_window = 1;
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vm_run(&self->vm));
	EXPECT_EQ(1, self->run->if_flag);
	EXPECT_EQ(1, self->run->ready_for_interrupt_injection);
	/* any value but 0 is a request; without one there is no exit */
	self->run->request_interrupt_window = 0xff;
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vm_run(&self->vm));
	self->run->request_interrupt_window = 0;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
}

TEST_F(run, cr8)
{
	GUEST_LOAD(&self->vm, tpr);
	self->run->cr8 = 5;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(9, self->run->cr8);
	/* userspace's own value goes to the guest */
	self->run->cr8 = 7;
	ASSERT_EQ(KVM_EXIT_SET_TPR, vm_run(&self->vm));
	EXPECT_EQ(3, self->run->cr8);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(7, vcpu_regs(&self->vm.vcpu).rbx);
	EXPECT_EQ(3, vcpu_regs(&self->vm.vcpu).rcx);
	EXPECT_EQ(3, vcpu_sregs(&self->vm.vcpu).cr8);
	self->run->cr8 = 16;
	if (!on_stock())
		EXPECT_EQ(-EINVAL, vm_run(&self->vm));
}

TEST_F(run, apic_base)
{
	u64 base;

	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	base = vcpu_sregs(&self->vm.vcpu).apic_base;
	EXPECT_EQ(base, self->run->apic_base);
	if (on_stock())
		SKIP(return, "the field is not read there");
	self->run->apic_base = 0xfed00000 | (base & 0xfff);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0xfed00000 | (base & 0xfff), vcpu_sregs(&self->vm.vcpu).apic_base);
	EXPECT_EQ(0xfed00000 | (base & 0xfff), vcpu_msr(&self->vm.vcpu, 0x1b));
	self->run->apic_base = ~0ULL;
	EXPECT_EQ(-EINVAL, vm_run(&self->vm));
	/* refused, it is as it was */
	EXPECT_EQ(0xfed00000 | (base & 0xfff), self->run->apic_base);
	/* what the ioctls set meanwhile is not undone by a value that nobody changed */
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x1b, base));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(base, self->run->apic_base);
}

TEST_F(run, immediate_exit)
{
	GUEST_LOAD(&self->vm, ports);
	self->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE, vcpu_regs(&self->vm.vcpu).rip);
}

/* ---- exits ---- */

/* Nothing ran: the call fails, and tells of no exit that did not happen. */
TEST_F(run, exit_unknown)
{
	EXPECT_EQ(KVM_EXIT_UNKNOWN, self->run->exit_reason);
	self->run->kvm_valid_regs = ~0ULL;
	EXPECT_EQ(-EINVAL, vm_run(&self->vm));
	EXPECT_EQ(KVM_EXIT_UNKNOWN, self->run->exit_reason);
	self->run->kvm_valid_regs = 0;
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* A guest's exceptions are its own. */
TEST_F(run, exit_exception)
{
	memset(self->vm.mem + GPA_CODE, 0x0f, 1);
	memset(self->vm.mem + GPA_CODE + 1, 0x0b, 1);
	trap(&self->vm)->resume = 0;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(PORT_TRAP, self->run->io.port);
	EXPECT_EQ(UD_VECTOR, trap(&self->vm)->vector);
}

TEST_F(run, exit_io)
{
	static const u8 sizes[] = { 1, 2, 4 };
	struct kvm_run *run = self->run;
	void *data;
	u32 v = 0;

	GUEST_LOAD(&self->vm, ports);
	for (int i = 0; i < 3; i++) {
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
		EXPECT_EQ(KVM_EXIT_IO_OUT, run->io.direction);
		EXPECT_EQ(sizes[i], run->io.size);
		EXPECT_EQ(0x1234, run->io.port);
		EXPECT_EQ(1, run->io.count);
		EXPECT_GE(run->io.data_offset + 4, 4);
		EXPECT_LE(run->io.data_offset + 4, self->vm.run_size);
		memcpy(&v, (char *)run + run->io.data_offset, sizes[i]);
		EXPECT_EQ(0x89abcdef & (u32)((1ULL << sizes[i] * 8) - 1), v);
	}
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(KVM_EXIT_IO_IN, run->io.direction);
	EXPECT_EQ(1, run->io.size);
	data = (char *)run + run->io.data_offset;
	*(u8 *)data = 0x42;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(0x89abcd42, vcpu_regs(&self->vm.vcpu).rax);
	data = (char *)run + run->io.data_offset;
	*(u32 *)data = 0x11223344;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0x11223344, vcpu_regs(&self->vm.vcpu).rax);
}

/* Strings: a packed array, in as many exits as it takes. */
TEST_F(run, exit_io_string)
{
	u16 *src = (u16 *)(self->vm.mem + GPA_DATA), got[5];
	u32 n = 0;
	int exit;

	GUEST_LOAD(&self->vm, strings);
	for (int i = 0; i < 5; i++)
		src[i] = 0x1111 * (i + 1);
	while ((exit = vm_run(&self->vm)) == KVM_EXIT_IO) {
		ASSERT_EQ(0x99, self->run->io.port);
		ASSERT_EQ(2, self->run->io.size);
		ASSERT_LE(n + self->run->io.count, 5);
		memcpy(got + n, (char *)self->run + self->run->io.data_offset,
		       2 * self->run->io.count);
		n += self->run->io.count;
	}
	EXPECT_EQ(KVM_EXIT_HLT, exit);
	EXPECT_EQ(5, n);
	EXPECT_EQ(0, memcmp(src, got, sizeof(got)));
}

TEST_F(run, exit_mmio)
{
	struct kvm_run *run = self->run;
	u64 v = 0x1122334455667788;

	GUEST_LOAD(&self->vm, mmio);
	ASSERT_EQ(KVM_EXIT_MMIO, vm_run(&self->vm));
	EXPECT_EQ(GPA_MMIO + 0x10, run->mmio.phys_addr);
	EXPECT_EQ(2, run->mmio.len);
	EXPECT_EQ(1, run->mmio.is_write);
	EXPECT_EQ(0x55aa, *(u16 *)run->mmio.data);
	ASSERT_EQ(KVM_EXIT_MMIO, vm_run(&self->vm));
	EXPECT_EQ(GPA_MMIO + 0x18, run->mmio.phys_addr);
	EXPECT_EQ(8, run->mmio.len);
	EXPECT_EQ(0, run->mmio.is_write);
	memcpy(run->mmio.data, &v, 8);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(v, vcpu_regs(&self->vm.vcpu).rax);
}

/* No hypercall goes to userspace: RAX says that there is none. */
TEST_F(run, exit_hypercall)
{
	/* each processor has its own, and #UD for the other's */
	if (cpuid_reg(self->vm.sys, 0, 0, 2) == 0x444d4163)
		GUEST_LOAD(&self->vm, vmmcall);
	else
		GUEST_LOAD(&self->vm, vmcall);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ((u64)-1000, vcpu_regs(&self->vm.vcpu).rax);
}

TEST_F(run, exit_debug)
{
	struct kvm_guest_debug d = { .control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP };

	GUEST_LOAD(&self->vm, nops);
	/* once without: no page fault exits later, which Bochs would not survive */
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_GUEST_DEBUG, &d));
	ASSERT_EQ(KVM_EXIT_DEBUG, vm_run(&self->vm));
	EXPECT_EQ(DB_VECTOR, self->run->debug.arch.exception);
	EXPECT_EQ(GPA_CODE + 1, self->run->debug.arch.pc);
	if (!on_bochs_svm())	/* which writes no bits of an intercepted #DB to DR6 */
		EXPECT_NE(0, self->run->debug.arch.dr6 & BIT(14));
}

TEST_F(run, exit_hlt)
{
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 1, vcpu_regs(&self->vm.vcpu).rip);
}

TEST_F(run, exit_irq_window_open)
{
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);

	r.rflags = 0x202;
	vcpu_set_regs(&self->vm.vcpu, &r);
	self->run->request_interrupt_window = 1;
	GUEST_LOAD(&self->vm, spin);
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vm_run(&self->vm));
}

TEST_F(run, exit_shutdown)
{
	MAY_SHUT_DOWN();
	GUEST_LOAD(&self->vm, triple);
	memset(self->vm.mem + GPA_DATA, 0, 16);
	ASSERT_EQ(KVM_EXIT_SHUTDOWN, vm_run(&self->vm));
}

/* 64-bit code with 32-bit operands: no processor enters that. */
TEST_F(run, exit_fail_entry)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

	s.cs.db = 1;
	if (ioctl(self->vm.vcpu.fd, KVM_SET_SREGS, &s))
		SKIP(return, "such a state is refused before");
	ASSERT_EQ(KVM_EXIT_FAIL_ENTRY, vm_run(&self->vm));
	EXPECT_NE(0, self->run->fail_entry.hardware_entry_failure_reason);
	s.cs.db = 0;
	vcpu_set_sregs(&self->vm.vcpu, &s);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

static void nothing(int sig)
{
}

TEST_F(run, exit_intr)
{
	struct sigaction sa = { .sa_handler = nothing };

	sigaction(SIGALRM, &sa, NULL);
	GUEST_LOAD(&self->vm, spin);
	ualarm(10000, 10000);
	errno = 0;
	EXPECT_EQ(-1, ioctl(self->vm.vcpu.fd, KVM_RUN, 0L));
	EXPECT_EQ(EINTR, errno);
	EXPECT_EQ(KVM_EXIT_INTR, self->run->exit_reason);
	ualarm(0, 0);
}

TEST_F(run, exit_set_tpr)
{
	GUEST_LOAD(&self->vm, tpr);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	ASSERT_EQ(KVM_EXIT_SET_TPR, vm_run(&self->vm));
	EXPECT_EQ(3, self->run->cr8);
}

/* Reported of the kernel's own APIC only. */
TEST_F(run, exit_tpr_access)
{
	struct kvm_tpr_access_ctl c = { .enabled = 1 };

	if (!check_cap(self->vm.sys, KVM_CAP_VAPIC))
		EXPECT_NE(0, err(ioctl(self->vm.vcpu.fd, KVM_TPR_ACCESS_REPORTING, &c)));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* An instruction that is not emulated, on memory that is not there. */
TEST_F(run, exit_internal_error)
{
	static const u8 rcpps[] = { 0x0f, 0x53, 0x03 };	/* rcpps (%rbx), %xmm0: arithmetic */
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);

	s.cr4 |= CR4_OSFXSR;
	vcpu_set_sregs(&self->vm.vcpu, &s);
	r.rbx = GPA_MMIO;
	vcpu_set_regs(&self->vm.vcpu, &r);
	memcpy(self->vm.mem + GPA_CODE, rcpps, sizeof(rcpps));
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, vm_run(&self->vm));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, self->run->internal.suberror);
	EXPECT_EQ(GPA_CODE, vcpu_regs(&self->vm.vcpu).rip);
}

/* No guest has a guest: the flag is cleared at each exit, whatever userspace has left there. */
TEST_F(run, guest_mode)
{
	if (on_stock() && !check_cap(self->vm.fd, KVM_CAP_X86_GUEST_MODE))
		SKIP(return, "no KVM_CAP_X86_GUEST_MODE");
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_X86_GUEST_MODE));
	self->run->flags = 0xffff;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0, self->run->flags & KVM_RUN_X86_GUEST_MODE);
	self->run->flags = 0xffff;
	self->run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vm_run(&self->vm));
	EXPECT_EQ(0, self->run->flags & KVM_RUN_X86_GUEST_MODE);
	self->run->immediate_exit = 0;
	/* and neither vendor's instructions are announced to it */
	EXPECT_EQ(0, on_stock() ? 0 : cpuid_reg(self->vm.sys, 1, 0, 2) & BIT(5));
	EXPECT_EQ(0, on_stock() ? 0 : cpuid_reg(self->vm.sys, 0x80000001, 0, 2) & BIT(2));
}

GUEST(rep_ins, 64, "1: rep insb\n hlt\n jmp 1b\n");

/* Userspace changes RCX at the exit of REP INS: up, down, and to nothing. */
TEST(rep_ins_count_changed)
{
	static const u64 to[] = { 1, 2, 3, 8, 100, 8192, 0 };
	struct vm vm;

	vm_start(&vm, LONG, rep_ins);
	for (unsigned int i = 0; i < 7; i++) {
		struct kvm_regs r = {
			.rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			.rdx = 0x80, .rdi = GPA_DATA, .rcx = 3,
		};
		struct kvm_run *run = vm.vcpu.run;
		int exits = 0;

		vcpu_set_regs(&vm.vcpu, &r);
		while (vm_run(&vm) == KVM_EXIT_IO && ++exits < 8192) {
			ASSERT_EQ(0x80, run->io.port);
			/* bytes beyond those asked for are never handed out */
			memset((u8 *)run + run->io.data_offset, 0xee, 4096);
			memset((u8 *)run + run->io.data_offset, 0x5a, run->io.count);
			if (exits == 1) {
				r = vcpu_regs(&vm.vcpu);
				EXPECT_EQ(3, r.rcx);
				r.rcx = to[i];
				vcpu_set_regs(&vm.vcpu, &r);
			}
		}
		ASSERT_EQ(KVM_EXIT_HLT, run->exit_reason);
		r = vcpu_regs(&vm.vcpu);
		EXPECT_EQ(0, r.rcx);
		EXPECT_EQ(GPA_DATA + to[i], r.rdi);
		for (u64 k = 0; k < to[i]; k++)
			ASSERT_EQ(0x5a, ((u8 *)vm.mem)[GPA_DATA + k]);
	}
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
