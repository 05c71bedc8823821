// SPDX-License-Identifier: GPL-2.0-only
/* What a guest finds in its processor: FPU, MSRs, CPUID, debug registers, TSC. */
#include <stdio.h>
#include "vm.h"
#include "kselftest_harness.h"

#define DATA	"0x20000"
#define TICK	"out %al, $0x10\n"

FIXTURE(cpu) {
	struct vm vm;
	struct kvm_sregs s;
	u64 *data;
};

FIXTURE_SETUP(cpu)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	self->s = vcpu_sregs(&self->vm.vcpu);
	self->s.cr0 |= CR0_MP;
	self->s.cr4 |= CR4_OSFXSR | BIT(10);
	vcpu_set_sregs(&self->vm.vcpu, &self->s);
	self->data = (u64 *)(self->vm.mem + GPA_DATA);
}

FIXTURE_TEARDOWN(cpu)
{
	vm_destroy(&self->vm);
}

/* From the start, through port 10h's exits, to HLT: their number, or -1. */
static int run(struct vm *vm, struct kvm_regs *r, void (*at_exit)(void))
{
	int n = 0, exit;

	r->rip = GPA_CODE;
	r->rsp = GPA_STACK;
	r->rflags |= 2;
	vcpu_set_regs(&vm->vcpu, r);
	for (;;) {
		exit = vm_run(vm);
		/* CR8 lowered, and the APIC is userspace's */
		if (exit == KVM_EXIT_SET_TPR)
			continue;
		if (exit != KVM_EXIT_IO || vm->vcpu.run->io.port != 0x10)
			break;
		n++;
		if (at_exit)
			at_exit();
	}
	*r = vcpu_regs(&vm->vcpu);
	if (exit == KVM_EXIT_HLT)
		return n;
	vcpu_dump(&vm->vcpu, "run");
	fprintf(stderr, "# trap %lu error %lx rip %lx\n", trap(vm)->vector, trap(vm)->error, trap(vm)->rip);
	return -1;
}

/* ---- FPU ---- */

/* Loads all registers from DATA, exits RCX times, stores them at DATA + 0x800. */
GUEST(fpu, 64,
	"mov $" DATA ", %ebx\n"
	"fxrstor64 (%rbx)\n"
	"1: " TICK "dec %ecx; jnz 1b\n"
	"fxsave64 0x800(%rbx)\n"
	"hlt\n");

/* Userspace uses the registers too. */
static void clobber(void)
{
	asm volatile("fninit; fldpi; fldpi\n"
		     "pcmpeqd %%xmm0, %%xmm0; pcmpeqd %%xmm1, %%xmm1\n"
		     "pcmpeqd %%xmm7, %%xmm7; pcmpeqd %%xmm15, %%xmm15\n"
		     "fninit" : : : "xmm0", "xmm1", "xmm7", "xmm15");
}

TEST_F(cpu, fpu_survives_exits)
{
	struct kvm_regs r = { .rcx = 1000 };
	u8 *area = (u8 *)self->data;

	memset(area, 0, 512);
	*(u16 *)area = 0x27f;
	*(u16 *)(area + 2) = 0;
	area[4] = 0xff;
	*(u32 *)(area + 24) = 0x1f80;
	for (int i = 0; i < 8; i++)
		for (int k = 0; k < 8; k++)
			area[32 + i * 16 + k] = 0x80 | (i * 13 + k);
	for (int i = 0; i < 8; i++)
		*(u16 *)(area + 32 + i * 16 + 8) = 0x3fff + i;
	for (int i = 0; i < 256; i++)
		area[160 + i] = i * 7 + 3;
	GUEST_LOAD(&self->vm, fpu);
	ASSERT_EQ(1000, run(&self->vm, &r, clobber));
	EXPECT_EQ(0, memcmp(area, area + 0x800, 5));
	EXPECT_EQ(*(u32 *)(area + 24), *(u32 *)(area + 0x800 + 24));
	for (int i = 0; i < 8; i++)
		EXPECT_EQ(0, memcmp(area + 32 + i * 16, area + 0x800 + 32 + i * 16, 10));
	EXPECT_EQ(0, memcmp(area + 160, area + 0x800 + 160, 256));
}

/* XCR0 by XSETBV, and the upper halves of the YMM registers. */
GUEST(avx, 64,
	"xor %ecx, %ecx; xgetbv; mov %eax, %esi\n"
	"mov $7, %eax; xor %edx, %edx; xsetbv\n"
	"mov $" DATA ", %ebx\n"
	"vmovdqu (%rbx), %ymm0; vmovdqu 32(%rbx), %ymm15\n"
	"mov $200, %edi\n"
	"1: " TICK "dec %edi; jnz 1b\n"
	"vmovdqu %ymm0, 64(%rbx); vmovdqu %ymm15, 96(%rbx)\n"
	"xgetbv; hlt\n");

TEST_F(cpu, avx_survives_exits)
{
	struct kvm_regs r = { 0 };
	struct kvm_xcrs x;

	if (!(cpuid_reg(self->vm.sys, 1, 0, 2) & BIT(28)))
		SKIP(return, "no AVX here");
	if (on_tcg())
		SKIP(return, "#UD under the emulator's VMRUN, stock modules too");
	self->s.cr4 |= CR4_OSXSAVE;
	vcpu_set_sregs(&self->vm.vcpu, &self->s);
	for (int i = 0; i < 8; i++)
		self->data[i] = 0x0101010101010101ULL * (i + 3);
	GUEST_LOAD(&self->vm, avx);
	ASSERT_EQ(200, run(&self->vm, &r, clobber));
	EXPECT_EQ(1, r.rsi);
	EXPECT_EQ(7, r.rax);
	EXPECT_EQ(0, memcmp(self->data, self->data + 8, 64));
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_GET_XCRS, &x));
	EXPECT_EQ(7, x.xcrs[0].value);
	/* the processor's own CPUID follows CR4.OSXSAVE */
	GUEST(osxsave, 64, "mov $1, %eax; cpuid; mov %ecx, %esi\n"
		"mov %cr4, %rax; btr $18, %rax; mov %rax, %cr4\n"
		"mov $1, %eax; cpuid; hlt\n");
	GUEST_LOAD(&self->vm, osxsave);
	ASSERT_EQ(0, run(&self->vm, &r, NULL));
	EXPECT_EQ(BIT(27), r.rsi & BIT(27));
	EXPECT_EQ(0, r.rcx & BIT(27));
}

/* ---- MSRs ---- */

/* ECX: the MSR; EDX:EAX is written, read back into EDX:EAX. */
GUEST(msr, 64, "wrmsr; " TICK "xor %eax, %eax; xor %edx, %edx; rdmsr; hlt");
GUEST(rdmsr, 64, "rdmsr; hlt");

TEST_F(cpu, msrs)
{
	static const struct { u32 index; u64 value; } m[] = {
		{ 0x174, 0x18 }, { 0x175, 0x12345678 }, { 0x176, 0x23456789 },
		{ 0x277, 0x0007010600070106 }, { 0xc0000080, EFER_LME | EFER_LMA | EFER_SCE },
		{ 0xc0000080, EFER_LME | EFER_LMA | EFER_SCE | EFER_NX },
		{ 0xc0000081, 0x0033001800000000 }, { 0xc0000082, 0xffffffff81234567 },
		{ 0xc0000083, 0xffffffff82345678 }, { 0xc0000084, 0x47700 },
		{ 0xc0000100, 0x7fff87654321 }, { 0xc0000101, 0xffff888012345678 },
		{ 0xc0000102, 0xffff888087654321 }, { 0x2ff, 0xc06 },
		{ 0x200, 0x6 }, { 0x250, 0x0606060606060606 },
	};

	for (size_t i = 0; i < ARRAY_LEN(m); i++) {
		struct kvm_regs r = { .rcx = m[i].index, .rax = (u32)m[i].value, .rdx = m[i].value >> 32 };

		GUEST_LOAD(&self->vm, msr);
		ASSERT_EQ(1, run(&self->vm, &r, NULL))
			TH_LOG("MSR %x", m[i].index);
		EXPECT_EQ(m[i].value, r.rdx << 32 | r.rax)
			TH_LOG("MSR %x, the guest's", m[i].index);
		EXPECT_EQ(m[i].value, vcpu_msr(&self->vm.vcpu, m[i].index))
			TH_LOG("MSR %x, userspace's", m[i].index);
		/* and the other way about */
		if (m[i].index == 0xc0000080)
			continue;
		EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, m[i].index, 0))
			TH_LOG("MSR %x", m[i].index);
		r.rcx = m[i].index;
		GUEST_LOAD(&self->vm, rdmsr);
		ASSERT_EQ(0, run(&self->vm, &r, NULL));
		EXPECT_EQ(0, r.rdx << 32 | r.rax)
			TH_LOG("MSR %x, set by userspace", m[i].index);
	}
}

/*
 * Which vendor's MSRs there are is said by the guest's CPUID, not the host's processor: as
 * with QEMU's vendor=.  RDX:RAX is written if EBX is 1, else read.
 */
GUEST(access_msr, 64,
	"cmp $1, %ebx; je 1f\n"
	"rdmsr; hlt\n"
	"1: wrmsr; hlt\n"
	"2: mov $0xdead, %esi; hlt");
#define ACCESS_FAULTED	(GPA_CODE + (guest_access_msr_end - guest_access_msr) - 6)

static void set_vendor(struct vcpu *vcpu, int sys, const char *vendor)
{
	struct kvm_cpuid2 *c = supported_cpuid(sys);

	for (u32 i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 0 || e->function == 0x80000000) {
			memcpy(&e->ebx, vendor, 4);
			memcpy(&e->edx, vendor + 4, 4);
			memcpy(&e->ecx, vendor + 8, 4);
		}
		if (e->function == 0x80000001)
			e->ecx |= BIT(9);		/* OSVW */
	}
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, c))
		die("KVM_SET_CPUID2");
	free(c);
}

TEST(vendors_msrs)
{
	static const char *const vendors[] = { "AuthenticAMD", "HygonGenuine", "GenuineIntel" };
	static const struct { u32 index; bool amd, read_only; u64 value; } m[] = {
		{ 0xc0010000, true }, { 0xc0010003, true }, { 0xc0010004, true }, { 0xc0010007, true },
		{ 0xc0010010, true }, { 0xc0010015, true }, { 0xc001001f, true },
		{ 0xc0010055, true }, { 0xc0010114, true }, { 0xc0011022, true },
		{ 0xc0010140, true, true, 4 }, { 0xc0010141, true, true },
		{ 0xc0011029, true, false, 2 },		/* LFENCE serializes */
		{ 0x17, false, true }, { 0x2a, false }, { 0x3a, false }, { 0x140, false },
	};

	for (size_t v = 0; v < ARRAY_LEN(vendors); v++) {
		struct vm vm;

		vm_create(&vm);
		set_vendor(&vm.vcpu, vm.sys, vendors[v]);
		vm_mode(&vm, &vm.vcpu, LONG);
		for (size_t i = 0; i < ARRAY_LEN(m); i++) {
			bool has = m[i].amd == (v < 2);
			u64 value = 0;

			for (int write = 0; write < 2; write++) {
				struct kvm_regs r = { .rcx = m[i].index, .rbx = write, .rax = value };

				trap(&vm)->resume = ACCESS_FAULTED;
				GUEST_LOAD(&vm, access_msr);
				ASSERT_EQ(0, run(&vm, &r, NULL));
				EXPECT_EQ(has && !(write && m[i].read_only) ? 0 : 0xdead, r.rsi)
					TH_LOG("%s: MSR %x, write %d", vendors[v], m[i].index, write);
				if (!has || write)
					continue;
				value = (u32)r.rax;
				EXPECT_EQ(m[i].value, value) TH_LOG("MSR %x", m[i].index);
			}
			/* userspace saves and restores without asking */
			value = vcpu_msr(&vm.vcpu, m[i].index);
			EXPECT_EQ(1, vcpu_set_msr(&vm.vcpu, m[i].index, value));
		}
		vm_destroy(&vm);
	}
}

/* FS and GS bases are the segments', SWAPGS swaps. */
GUEST(bases, 64,
	"mov %gs:8, %rax\n"
	"swapgs; mov %gs:8, %rdx; swapgs\n"
	"mov %fs:8, %rsi\n"
	"hlt\n");

TEST_F(cpu, segment_bases)
{
	struct kvm_regs r = { 0 };

	self->data[1] = 0x1111;
	self->data[3] = 0x3333;
	self->data[5] = 0x5555;
	self->s.gs.base = GPA_DATA;
	self->s.fs.base = GPA_DATA + 16;
	vcpu_set_sregs(&self->vm.vcpu, &self->s);
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0xc0000102, GPA_DATA + 32));
	GUEST_LOAD(&self->vm, bases);
	ASSERT_EQ(0, run(&self->vm, &r, NULL));
	EXPECT_EQ(0x1111, r.rax);
	EXPECT_EQ(0x5555, r.rdx);
	EXPECT_EQ(0x3333, r.rsi);
}

/* SYSCALL lands where LSTAR says, with STAR's selectors and FMASK's flags. */
GUEST(syscall, 64,
	"1: syscall\n"
	"ud2\n"
	".org 1b + 0x100\n"
	"mov %cs, %eax; mov %ss, %edx; pushf; pop %rsi; hlt\n");

TEST_F(cpu, syscall)
{
	struct kvm_regs r = { .rflags = BIT(0) | BIT(10) };

	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0xc0000080, EFER_LME | EFER_LMA | EFER_SCE));
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0xc0000081, (u64)SEL_CODE64 << 32));
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0xc0000082, GPA_CODE + 0x100));
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0xc0000084, BIT(10)));
	GUEST_LOAD(&self->vm, syscall);
	ASSERT_EQ(0, run(&self->vm, &r, NULL));
	EXPECT_EQ(SEL_CODE64, r.rax & 0xffff);
	EXPECT_EQ(SEL_CODE64 + 8, r.rdx & 0xffff);
	EXPECT_EQ(GPA_CODE + 2, r.rcx);
	EXPECT_EQ(BIT(10), r.r11 & BIT(10));
	EXPECT_EQ(0, r.rsi & BIT(10));
}

/* ---- CPUID ---- */

GUEST(cpuid, 64, "cpuid; hlt");

TEST_F(cpu, cpuid)
{
	struct kvm_cpuid2 *c = supported_cpuid(self->vm.sys);
	static const u32 leaves[] = { 0, 1, 7, 0xd, 0x80000000, 0x80000001, 0x80000002, 0x80000008 };
	struct vcpu v;

	/* answers that no processor gives, in a table of our own */
	for (u32 i = 0; i < c->nent; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 0x80000002) {
			e->eax = 0x11111111;
			e->ebx = 0x22222222;
			e->ecx = 0x33333333;
			e->edx = 0x44444444;
		}
	}
	vcpu_create(&self->vm, &v, 1);
	ASSERT_EQ(0, ioctl(v.fd, KVM_SET_CPUID2, c));
	vm_mode(&self->vm, &v, LONG);
	GUEST_LOAD(&self->vm, cpuid);
	for (size_t i = 0; i < ARRAY_LEN(leaves); i++) {
		struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			.rax = leaves[i] | 0xffffffff00000000, .rcx = 0xffffffff00000000 };
		bool found = false;

		vcpu_set_regs(&v, &r);
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
		r = vcpu_regs(&v);
		for (u32 k = 0; k < c->nent; k++) {
			struct kvm_cpuid_entry2 *e = &c->entries[k];

			if (e->function != leaves[i] || e->index)
				continue;
			found = true;
			EXPECT_EQ(e->eax, r.rax)
				TH_LOG("leaf %x", leaves[i]);
			/* XSAVE's area follows XCR0; OSXSAVE and OSPKE follow CR4; the APIC's id is the vcpu's */
			if (leaves[i] != 0xd && leaves[i] != 1) {
				EXPECT_EQ(e->ebx, r.rbx)
					TH_LOG("leaf %x", leaves[i]);
			}
			EXPECT_EQ(e->ecx & ~(u32)(BIT(27) | BIT(4)), r.rcx & ~(BIT(27) | BIT(4)))
				TH_LOG("leaf %x", leaves[i]);
			EXPECT_EQ(e->edx & ~(u32)BIT(9), r.rdx & ~BIT(9))
				TH_LOG("leaf %x", leaves[i]);
		}
		EXPECT_TRUE(found || leaves[i] == 0xd);
	}
	/* past the last leaf of an AMD: zeros */
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rax = 0x8fffffff };
	vcpu_set_regs(&v, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
	free(c);
}

/* ---- Debug registers ---- */

GUEST(drs, 64,
	"mov %rax, %dr0; mov %rbx, %dr1; mov %rcx, %dr2; mov %rdx, %dr3\n"
	TICK
	"mov %dr3, %rax; mov %dr2, %rbx; mov %dr1, %rcx; mov %dr0, %rdx\n"
	"mov %dr6, %rsi; mov %dr7, %rdi\n"
	"hlt\n");

TEST_F(cpu, debug_registers)
{
	struct kvm_regs r = { .rax = 0x1000, .rbx = 0x2000, .rcx = 0x3000, .rdx = 0x7fff00004000 };
	struct kvm_debugregs d;

	GUEST_LOAD(&self->vm, drs);
	ASSERT_EQ(1, run(&self->vm, &r, NULL));
	EXPECT_EQ(0x7fff00004000, r.rax);
	EXPECT_EQ(0x3000, r.rbx);
	EXPECT_EQ(0x2000, r.rcx);
	EXPECT_EQ(0x1000, r.rdx);
	EXPECT_EQ(0xffff0ff0, r.rsi);
	EXPECT_EQ(0x400, r.rdi);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_GET_DEBUGREGS, &d));
	EXPECT_EQ(0x1000, d.db[0]);
	EXPECT_EQ(0x7fff00004000, d.db[3]);
}

/* The host's own debug registers and DR7 are not the guest's. */
GUEST(dr7, 64,
	"mov $0x123456, %eax; mov %rax, %dr0\n"
	"mov $0x402, %eax; mov %rax, %dr7\n"
	TICK
	"mov %dr7, %rax; hlt\n");

TEST_F(cpu, dr7)
{
	struct kvm_regs r = { 0 };

	GUEST_LOAD(&self->vm, dr7);
	ASSERT_EQ(1, run(&self->vm, &r, NULL));
	EXPECT_EQ(0x402, r.rax);
}

/* ---- Time ---- */

GUEST(tsc, 64,
	"xor %esi, %esi; mov $2000, %edi\n"
	"1: rdtsc; shl $32, %rdx; or %rdx, %rax\n"
	"cmp %rsi, %rax; jb 2f\n"
	"mov %rax, %rsi\n"
	"test $3, %edi; jnz 3f; " TICK
	"3: dec %edi; jnz 1b\n"
	"hlt\n"
	"2: ud2\n");

TEST_F(cpu, tsc_monotonic)
{
	struct kvm_regs r = { 0 };
	u64 before, after;

	GUEST_LOAD(&self->vm, tsc);
	ASSERT_EQ(500, run(&self->vm, &r, NULL));
	before = r.rsi;
	/* userspace's view is the guest's, and goes on */
	after = vcpu_msr(&self->vm.vcpu, 0x10);
	EXPECT_GT(after, before);
}

TEST_F(cpu, tsc_set)
{
	struct kvm_regs r = { 0 };

	GUEST(rdtsc, 64, "rdtsc; shl $32, %rdx; or %rdx, %rax; hlt");
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x10, BIT(50)));
	GUEST_LOAD(&self->vm, rdtsc);
	ASSERT_EQ(0, run(&self->vm, &r, NULL));
	EXPECT_GE(r.rax, BIT(50));
	EXPECT_LT(r.rax, BIT(50) + BIT(40));
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x10, BIT(45)));
	ASSERT_EQ(0, run(&self->vm, &r, NULL));
	EXPECT_GE(r.rax, BIT(45));
	EXPECT_LT(r.rax, BIT(45) + BIT(40));
}

/* ---- Control registers ---- */

GUEST(crs, 64,
	"mov %cr0, %rax; mov %cr3, %rbx; mov %cr4, %rcx\n"
	"mov $0x7, %edx; mov %rdx, %cr8; mov %cr8, %rsi; xor %edx, %edx; mov %rdx, %cr8\n"
	"mov %rax, %rdi; or $8, %rdi; mov %rdi, %cr0\n"	/* TS */
	"smsw %edi; clts; smsw %edx\n"
	"hlt\n");

TEST_F(cpu, control_registers)
{
	struct kvm_regs r = { 0 };

	GUEST_LOAD(&self->vm, crs);
	ASSERT_GE(run(&self->vm, &r, NULL), 0);
	EXPECT_EQ(self->s.cr0, r.rax);
	EXPECT_EQ(GPA_PML4, r.rbx);
	EXPECT_EQ(self->s.cr4, r.rcx);
	EXPECT_EQ(7, r.rsi);
	EXPECT_EQ(CR0_TS, r.rdi & CR0_TS);
	EXPECT_EQ(0, r.rdx & CR0_TS);
	EXPECT_EQ(self->s.cr0, vcpu_sregs(&self->vm.vcpu).cr0);
}

/* CR8 both ways in kvm_run. */
GUEST(cr8, 64, "mov %cr8, %rax; mov $9, %ebx; mov %rbx, %cr8; " TICK "hlt");

TEST_F(cpu, cr8_in_run)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	struct kvm_run *run = self->vm.vcpu.run;
	int exit;

	GUEST_LOAD(&self->vm, cr8);
	vcpu_set_regs(&self->vm.vcpu, &r);
	run->cr8 = 5;
	do {
		exit = vm_run(&self->vm);
	} while (exit == KVM_EXIT_SET_TPR);
	ASSERT_EQ(KVM_EXIT_IO, exit);
	EXPECT_EQ(5, vcpu_regs(&self->vm.vcpu).rax);
	EXPECT_EQ(9, run->cr8);
	EXPECT_EQ(9, vcpu_sregs(&self->vm.vcpu).cr8);
}

/* ---- Code that changes itself ---- */

GUEST(smc, 64,
	"mov $256, %ecx; xor %esi, %esi\n"
	"1: movb %cl, 2f + 1(%rip)\n"
	"2: mov $0, %al\n"
	"movzbl %al, %eax; add %eax, %esi\n"
	"loop 1b\n"
	"hlt\n");

TEST_F(cpu, self_modifying)
{
	struct kvm_regs r = { 0 };
	u32 sum = 0;

	GUEST_LOAD(&self->vm, smc);
	ASSERT_EQ(0, run(&self->vm, &r, NULL));
	for (int i = 1; i <= 256; i++)
		sum += i & 0xff;
	EXPECT_EQ(sum, r.rsi);
}

/* Userspace changes the code between two runs of it. */
TEST_F(cpu, modified_by_userspace)
{
	for (int i = 0; i < 50; i++) {
		struct kvm_regs r = { 0 };
		u8 code[] = { 0xb0, i, 0xf4 };

		memcpy(self->vm.mem + GPA_CODE, code, sizeof(code));
		ASSERT_EQ(0, run(&self->vm, &r, NULL));
		ASSERT_EQ(i, r.rax);
	}
}

/* ---- Instructions that a guest tries upon its processor ---- */

TEST_F(cpu, odd_instructions)
{
	/* vector: what they end in; -1 nothing */
	static const struct { const char *name, *code; int len, vector; } c[] = {
		{ "wbinvd", "\x0f\x09", 2, -1 }, { "invd", "\x0f\x08", 2, -1 },
		{ "pause", "\xf3\x90", 2, -1 }, { "rdpmc", "\xb9\xff\xff\x00\x00\x0f\x33", 7, GP_VECTOR },
		{ "vmload", "\x0f\x01\xda", 3, UD_VECTOR },
		{ "skinit", "\x0f\x01\xde", 3, UD_VECTOR },
		{ "invlpg", "\x0f\x01\x38", 3, -1 }, { "sgdt", "\x0f\x01\x04\x25\x00\x00\x02\x00", 8, -1 },
		{ "str", "\x0f\x00\xc8", 3, -1 }, { "sldt", "\x0f\x00\xc0", 3, -1 },
		{ "xsetbv off", "\x0f\x01\xd1", 3, UD_VECTOR },
	};

	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		volatile struct trap *t = trap(&self->vm);
		struct kvm_regs r = { 0 };

		memset(self->vm.mem + GPA_CODE, 0xf4, 32);
		memcpy(self->vm.mem + GPA_CODE, c[i].code, c[i].len);
		t->resume = GPA_CODE + 24;
		t->count = 0;
		ASSERT_EQ(0, run(&self->vm, &r, NULL))
			TH_LOG("%s", c[i].name);
		EXPECT_EQ(c[i].vector >= 0, t->count)
			TH_LOG("%s", c[i].name);
		if (c[i].vector >= 0) {
			EXPECT_EQ(c[i].vector, t->vector)
				TH_LOG("%s", c[i].name);
		}
	}
}

TEST_HARNESS_MAIN
