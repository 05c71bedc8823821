// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMware's backdoor: ports and RDPMC counters that user mode may use, whatever the guest's kernel
 * says, with kvm.enable_vmware_backdoor; without it they are #GP as all others.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define PORT_VMWARE	0x5658
#define PORT_VMWARE_HB	0x5659
#define GP_VECTOR	13

FIXTURE(vmware) {
	struct vm vm;
	bool on;
};

static bool parameter_is_on(void)
{
	int fd = open("/sys/module/kvm/parameters/enable_vmware_backdoor", O_RDONLY);
	char c = 0;

	if (fd < 0 || read(fd, &c, 1) != 1)
		die("enable_vmware_backdoor");
	close(fd);
	return c == 'Y';
}

FIXTURE_SETUP(vmware)
{
	struct vm *vm = &self->vm;
	struct kvm_sregs s;

	vm_create(vm);
	vm_mode(vm, &vm->vcpu, LONG);
	/* all of memory is a process's, too */
	for (u64 *e = (u64 *)(vm->mem + GPA_PT); e < (u64 *)(vm->mem + GPA_PT + 0x5000); e++)
		*e |= *e ? PTE_U : 0;
	s = vcpu_sregs(&vm->vcpu);
	s.cs.selector = SEL_UCODE64;
	s.ss.selector = SEL_UDATA;
	s.cs.dpl = s.ss.dpl = 3;
	vcpu_set_sregs(&vm->vcpu, &s);
	self->on = parameter_is_on();
}

FIXTURE_TEARDOWN(vmware)
{
	vm_destroy(&self->vm);
}

/* mov %rax, %r8; mov %rdx, %r9, as the handler of exceptions needs these; hlt */
static const u8 tail[] = { 0x49, 0x89, 0xc0, 0x49, 0x89, 0xd1, 0xf4 };
#define HLT_AT(len)	((len) + sizeof(tail) - 1)

/* Code of @len bytes and, behind it, HLT, which is #GP in user mode: the exit. */
static int run_code(struct vm *vm, const void *code, size_t len, struct kvm_regs *regs)
{
	memcpy(vm->mem + GPA_CODE, code, len);
	memcpy(vm->mem + GPA_CODE + len, tail, sizeof(tail));
	regs->rip = GPA_CODE;
	regs->rsp = GPA_STACK;
	regs->rflags |= 2;
	trap(vm)->count = trap(vm)->resume = 0;
	vcpu_set_regs(&vm->vcpu, regs);
	return vm_run(vm);
}

/* The guest has come to a #GP at GPA_CODE + @at, with @error. */
static bool is_gp(struct vm *vm, int exit, size_t at, u64 error)
{
	bool ok = exit == KVM_EXIT_IO && vm->vcpu.run->io.port == PORT_TRAP &&
		  trap(vm)->count == 1 && trap(vm)->vector == GP_VECTOR &&
		  trap(vm)->error == error && trap(vm)->rip == GPA_CODE + at;
	struct kvm_sregs s;

	if (!ok)
		fprintf(stderr, "# exit %s, %llu traps, vector %llu, error %#llx, at %#llx\n",
			exit_name(exit), (unsigned long long)trap(vm)->count,
			(unsigned long long)trap(vm)->vector, (unsigned long long)trap(vm)->error,
			(unsigned long long)trap(vm)->rip);
	/* Back to user mode. */
	s = vcpu_sregs(&vm->vcpu);
	s.cs.selector = SEL_UCODE64;
	s.ss.selector = SEL_UDATA;
	s.cs.dpl = s.ss.dpl = 3;
	vcpu_set_sregs(&vm->vcpu, &s);
	return ok;
}

TEST_F(vmware, ports)
{
	static const struct { u8 size, len; u8 code[2]; } forms[] = {
		{ 1, 1, { 0xec } }, { 2, 2, { 0x66, 0xed } }, { 4, 1, { 0xed } },
		{ 1, 1, { 0xee } }, { 2, 2, { 0x66, 0xef } }, { 4, 1, { 0xef } },
	};
	struct vm *vm = &self->vm;
	struct kvm_run *run = vm->vcpu.run;

	for (u16 port = PORT_VMWARE - 1; port <= PORT_VMWARE_HB + 1; port++) {
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		struct kvm_regs r = { .rax = 0x564d5868, .rbx = 0x123456789, .rcx = 10, .rdx = port };
		bool out = forms[i].code[forms[i].len - 1] & 2;
		int exit = run_code(vm, forms[i].code, forms[i].len, &r);
		const u32 in = 0x11223344;

		if (!self->on || (port != PORT_VMWARE && port != PORT_VMWARE_HB)) {
			EXPECT_TRUE(is_gp(vm, exit, 0, 0)) TH_LOG("port %#x, form %zu", port, i);
			continue;
		}
		ASSERT_EQ(KVM_EXIT_IO, exit);
		EXPECT_EQ(port, run->io.port);
		EXPECT_EQ(out, run->io.direction);
		EXPECT_EQ(forms[i].size, run->io.size);
		EXPECT_EQ(1, run->io.count);
		/* QEMU's vmport looks at all registers. */
		r = vcpu_regs(&vm->vcpu);
		EXPECT_EQ(0x564d5868, r.rax);
		EXPECT_EQ(0x123456789, r.rbx);
		if (out) {
			EXPECT_EQ(0, memcmp((u8 *)run + run->io.data_offset, &r.rax, forms[i].size));
		} else {
			memcpy((u8 *)run + run->io.data_offset, &in, forms[i].size);
		}
		EXPECT_TRUE(is_gp(vm, vm_run(vm), HLT_AT(forms[i].len), 0));
		if (!out)
			EXPECT_EQ(0, memcmp(&in, &(u32) { vcpu_regs(&vm->vcpu).r8 },
					    forms[i].size));
	}}
}

/* Messages go by REP OUTSB and INSB. */
TEST_F(vmware, strings)
{
	static const u8 outs[] = { 0xf3, 0x6e }, ins[] = { 0xf3, 0x6c };
	struct vm *vm = &self->vm;
	struct kvm_run *run = vm->vcpu.run;
	const char text[] = "log a message";
	u8 *data = vm->mem + GPA_DATA;

	for (int in = 0; in < 2; in++) {
		struct kvm_regs r = { .rcx = sizeof(text), .rdx = PORT_VMWARE_HB,
			.rsi = GPA_DATA, .rdi = GPA_DATA };
		size_t done = 0;
		int exit;

		memcpy(data, text, sizeof(text));
		if (in)
			memset(data, 0, sizeof(text));
		exit = run_code(vm, in ? ins : outs, 2, &r);
		while (exit == KVM_EXIT_IO && run->io.port == PORT_VMWARE_HB) {
			size_t n = run->io.count * run->io.size;

			ASSERT_TRUE(self->on);
			ASSERT_LE(done + n, sizeof(text));
			if (in) {
				memcpy((u8 *)run + run->io.data_offset, text + done, n);
			} else {
				EXPECT_EQ(0, memcmp((u8 *)run + run->io.data_offset, text + done, n));
			}
			done += n;
			exit = vm_run(vm);
		}
		EXPECT_TRUE(is_gp(vm, exit, self->on ? HLT_AT(2) : 0, 0));
		EXPECT_EQ(self->on ? sizeof(text) : 0, done);
		if (self->on)
			EXPECT_EQ(0, memcmp(data, text, sizeof(text)));
	}
}

TEST_F(vmware, counters)
{
	static const u8 rdpmc[] = { 0x0f, 0x33 };
	struct vm *vm = &self->vm;
	u64 last[3] = {};

	for (int round = 0; round < 2; round++) {
	for (u64 n = 0; n <= 4; n++) {
		struct kvm_regs r = { .rax = 1, .rdx = 1, .rcx = n == 4 ? 0 : 0x10000 + n };
		bool there = self->on && n < 3;
		int exit = run_code(vm, rdpmc, sizeof(rdpmc), &r);
		u64 value;

		EXPECT_TRUE(is_gp(vm, exit, there ? HLT_AT(sizeof(rdpmc)) : 0, 0)) TH_LOG("counter %#llx", r.rcx);
		if (!there)
			continue;
		r = vcpu_regs(&vm->vcpu);
		EXPECT_EQ(0, (r.r8 | r.r9) >> 32);
		value = r.r9 << 32 | r.r8;
		EXPECT_GT(value, last[n]);
		last[n] = value;
	}}
}

/* What has nothing to do with it stays what it is. */
TEST_F(vmware, other_faults)
{
	static const struct { const char *name; u8 len; u8 code[10]; u64 error; } cases[] = {
		{ "hlt", 1, { 0xf4 }, 0 },
		{ "rdmsr", 2, { 0x0f, 0x32 }, 0 },
		{ "mov cr0", 3, { 0x0f, 0x20, 0xc0 }, 0 },
		{ "vmcall's neighbour clts", 2, { 0x0f, 0x06 }, 0 },
		{ "not canonical", 2, { 0x8b, 0x03 }, 0 },
		{ "movaps, not aligned", 3, { 0x0f, 0x28, 0x06 }, 0 },
		{ "a selector beyond the GDT", 2, { 0x8e, 0xdf }, 0xff8 },
	};
	struct vm *vm = &self->vm;
	struct kvm_sregs s = vcpu_sregs(&vm->vcpu);

	s.cr4 |= CR4_OSFXSR;
	vcpu_set_sregs(&vm->vcpu, &s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct kvm_regs r = { .rdx = PORT_VMWARE, .rcx = 0x10000, .rbx = 0x800000000000,
			.rsi = GPA_DATA + 1, .rdi = 0xff8 };
		int exit = run_code(vm, cases[i].code, cases[i].len, &r);

		EXPECT_TRUE(is_gp(vm, exit, 0, cases[i].error)) TH_LOG("%s", cases[i].name);
	}
}

/* A kernel needs no such permission for ports; its RDPMC is as a process's. */
TEST_F(vmware, kernel)
{
	static const u8 code[] = { 0xed, 0x0f, 0x33 };
	struct vm *vm = &self->vm;
	struct kvm_regs r = { .rdx = PORT_VMWARE, .rcx = 0x10001 };

	vm_mode(vm, &vm->vcpu, LONG);
	ASSERT_EQ(KVM_EXIT_IO, run_code(vm, code, sizeof(code), &r));
	EXPECT_EQ(PORT_VMWARE, vm->vcpu.run->io.port);
	if (self->on) {
		EXPECT_EQ(KVM_EXIT_HLT, vm_run(vm));
	} else {
		EXPECT_TRUE(is_gp(vm, vm_run(vm), 1, 0));
	}
}

TEST_HARNESS_MAIN
