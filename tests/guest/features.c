// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM_GET_SUPPORTED_CPUID offers works in a guest: protection keys, PCIDs, INVPCID, the
 * bits of SPEC_CTRL, PRED_CMD, TPAUSE, SERIALIZE.
 */
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define TICK		"out %al, $0x10\n"
#define CR4_PCIDE	BIT(17)
#define CR4_PKE		BIT(22)
#define XCR0_PKRU	BIT(9)
#define PFERR_PK	BIT(5)
#define PAGE		GPA_FREE	/* a user page with key 1 */
#define PLAIN		(GPA_FREE + 0x1000)

FIXTURE(features) {
	struct vm vm;
	struct kvm_sregs s;
	u64 *pt0;
};

FIXTURE_SETUP(features)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	self->s = vcpu_sregs(&self->vm.vcpu);
	self->s.cr4 |= CR4_OSFXSR | BIT(10);
	self->pt0 = (u64 *)(self->vm.mem + GPA_PT0);
	/* all that is above the pages is a user's */
	*(u64 *)(self->vm.mem + GPA_PML4) |= PTE_U;
	*(u64 *)(self->vm.mem + GPA_PDPT) |= PTE_U;
	*(u64 *)(self->vm.mem + GPA_PD) |= PTE_U;
	((u64 *)(self->vm.mem + GPA_PDPT))[3] |= PTE_U;
	((u64 *)(self->vm.mem + GPA_PD_MMIO))[(GPA_MMIO - 0xc0000000) >> 21] |= PTE_U;
}

FIXTURE_TEARDOWN(features)
{
	vm_destroy(&self->vm);
}

static bool offers(struct vm *vm, u32 function, u32 index, int reg, int bit)
{
	return cpuid_reg(vm->sys, function, index, reg) & BIT(bit);
}

static u32 read_host_pkru(void)
{
	u32 pkru, edx;

	asm volatile(".byte 0x0f, 0x01, 0xee" : "=a"(pkru), "=d"(edx) : "c"(0));
	return pkru;
}

static void write_host_pkru(u32 pkru)
{
	asm volatile(".byte 0x0f, 0x01, 0xef" : : "a"(pkru), "c"(0), "d"(0) : "memory");
}

/* From the start to HLT, or what else ends it; port 10h's exits are counted in *ticks. */
static int run(struct vm *vm, struct kvm_regs *r, int *ticks)
{
	int exit;

	r->rip = GPA_CODE;
	r->rsp = GPA_STACK;
	r->rflags |= 2;
	vcpu_set_regs(&vm->vcpu, r);
	for (*ticks = 0;; ++*ticks) {
		exit = vm_run(vm);
		if (exit != KVM_EXIT_IO || vm->vcpu.run->io.port != 0x10)
			break;
	}
	*r = vcpu_regs(&vm->vcpu);
	return exit;
}

/* ---- protection keys ---- */

#define HAS_PKU(vm) do {						\
	if (!offers(vm, 7, 0, 2, 3))					\
		SKIP(return, "no protection keys here");		\
} while (0)

static void use_keys(struct kvm_sregs *s, struct vm *vm, u64 *pt0)
{
	s->cr4 |= CR4_PKE;
	vcpu_set_sregs(&vm->vcpu, s);
	pt0[PAGE >> 12] = PAGE | PTE_P | PTE_W | PTE_U | 1ULL << 59;
	pt0[PLAIN >> 12] = PLAIN | PTE_P | PTE_W | PTE_U;
}

#define SET_PKRU "xor %ecx, %ecx; xor %edx, %edx; .byte 0x0f, 0x01, 0xef\n"
#define GET_PKRU "xor %ecx, %ecx; .byte 0x0f, 0x01, 0xee\n"

/* EAX: PKRU, RBX: an address, ESI: 0 reads, 1 writes; a fault goes on at the HLT. */
GUEST(keyed, 64,
	SET_PKRU
	"test %esi, %esi; jnz 1f\n"
	"mov (%rbx), %rdi; jmp 2f\n"
	"1: mov %rdi, (%rbx)\n"
	"2: hlt\n");
#define KEYED_END (GPA_CODE + (guest_keyed_end - guest_keyed) - 1)

static u64 fault_of(struct vm *vm, u32 pkru, u64 at, bool write)
{
	struct kvm_regs r = { .rax = pkru, .rbx = at, .rsi = write };
	int ticks;

	trap(vm)->count = 0;
	trap(vm)->resume = KEYED_END;
	if (run(vm, &r, &ticks) != KVM_EXIT_HLT)
		return ~0ULL;
	return trap(vm)->count ? trap(vm)->error | BIT(63) : 0;
}

TEST_F(features, keys_deny_access)
{
	HAS_PKU(&self->vm);
	use_keys(&self->s, &self->vm, self->pt0);
	GUEST_LOAD(&self->vm, keyed);
	EXPECT_EQ(0, fault_of(&self->vm, 0, PAGE, false));
	EXPECT_EQ(0, fault_of(&self->vm, 0, PAGE, true));
	/* access disabled for key 1, writes disabled, all but key 1 disabled */
	EXPECT_EQ(BIT(63) | PFERR_PK | 1, fault_of(&self->vm, 4, PAGE, false));
	EXPECT_EQ(BIT(63) | PFERR_PK | 3, fault_of(&self->vm, 4, PAGE, true));
	EXPECT_EQ(0, fault_of(&self->vm, 8, PAGE, false));
	EXPECT_EQ(0, fault_of(&self->vm, 0xfffffff0, PAGE, true));
	EXPECT_EQ(0, fault_of(&self->vm, 4, PLAIN, true));
	EXPECT_EQ(BIT(63) | PFERR_PK | 3, fault_of(&self->vm, 1, PLAIN, true));
}

/* CR0.WP holds for the supervisor's writes, too. */
TEST_F(features, keys_and_wp)
{
	HAS_PKU(&self->vm);
	self->s.cr0 |= CR0_WP;
	use_keys(&self->s, &self->vm, self->pt0);
	GUEST_LOAD(&self->vm, keyed);
	EXPECT_EQ(0, fault_of(&self->vm, 8, PAGE, false));
	EXPECT_EQ(BIT(63) | PFERR_PK | 3, fault_of(&self->vm, 8, PAGE, true));
}

/* The emulator's second operand: MOVS from MMIO to a page whose key denies the write. */
GUEST(keyed_movs, 64,
	SET_PKRU
	"mov $0xd0000000, %esi; mov $0x40000, %edi; movsl\n"
	"hlt\n");
#define KEYED_MOVS_END (GPA_CODE + (guest_keyed_movs_end - guest_keyed_movs) - 1)

TEST_F(features, keys_in_the_emulator)
{
	struct kvm_regs r = { .rax = 8 };
	int ticks, exit;

	HAS_PKU(&self->vm);
	self->s.cr0 |= CR0_WP;
	use_keys(&self->s, &self->vm, self->pt0);
	GUEST_LOAD(&self->vm, keyed_movs);
	trap(&self->vm)->resume = KEYED_MOVS_END;
	exit = run(&self->vm, &r, &ticks);
	if (exit == KVM_EXIT_MMIO)
		exit = vm_run(&self->vm);
	EXPECT_EQ(KVM_EXIT_HLT, exit);
	EXPECT_EQ(14, trap(&self->vm)->vector);
	EXPECT_EQ(PFERR_PK | 3, trap(&self->vm)->error);
	EXPECT_EQ(PAGE, trap(&self->vm)->cr2);
	/* and with the key's rights it is made */
	r = (struct kvm_regs){ .rax = 0 };
	trap(&self->vm)->count = 0;
	exit = run(&self->vm, &r, &ticks);
	ASSERT_EQ(KVM_EXIT_MMIO, exit);
	*(u32 *)self->vm.vcpu.run->mmio.data = 0x12345678;
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0x12345678, *(u32 *)(self->vm.mem + PAGE));
}

/* PKRU is each one's own: the guest's over exits, the VMM's over KVM_RUN. */
GUEST(pkru, 64,
	SET_PKRU
	"mov $200, %edi\n"
	"1: " TICK "dec %edi; jnz 1b\n"
	GET_PKRU
	"hlt\n");

GUEST(get_pkru, 64, GET_PKRU "hlt\n");

static bool host_has_keys(void)
{
	u32 eax = 7, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx & BIT(4);
}

TEST_F(features, pkru_survives_exits)
{
	struct kvm_regs r = { .rax = 0x12340c };
	u32 mine = 0x55555550;
	int ticks;

	HAS_PKU(&self->vm);
	ASSERT_TRUE(host_has_keys());
	use_keys(&self->s, &self->vm, self->pt0);
	GUEST_LOAD(&self->vm, pkru);
	write_host_pkru(mine);
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(mine, read_host_pkru());
	EXPECT_EQ(200, ticks);
	EXPECT_EQ(0x12340c, (u32)r.rax);
}

/* KVM_GET_XSAVE and KVM_SET_XSAVE have PKRU, at the offset that CPUID says. */
TEST_F(features, pkru_in_xsave)
{
	struct kvm_xsave *x = calloc(1, sizeof(*x));
	u8 *bytes = (u8 *)x;
	struct kvm_regs r = { .rax = 0xabc };
	struct kvm_xcrs xcrs = { .nr_xcrs = 1 };
	u32 offset = cpuid_reg(self->vm.sys, 0xd, 9, 1);
	int ticks;

	HAS_PKU(&self->vm);
	ASSERT_NE(0, cpuid_reg(self->vm.sys, 0xd, 0, 0) & XCR0_PKRU);
	self->s.cr4 |= CR4_OSXSAVE;
	use_keys(&self->s, &self->vm, self->pt0);
	xcrs.xcrs[0].value = 1 | XCR0_PKRU;
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_XCRS, &xcrs));
	GUEST_LOAD(&self->vm, pkru);
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(0xabc, (u32)r.rax);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_GET_XSAVE, x));
	EXPECT_EQ(XCR0_PKRU, *(u64 *)(bytes + 512) & XCR0_PKRU);
	EXPECT_EQ(0xabc, *(u32 *)(bytes + offset));
	*(u32 *)(bytes + offset) = 0x30;
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_XSAVE, x));
	GUEST_LOAD(&self->vm, get_pkru);
	r = (struct kvm_regs){ 0 };
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(0x30, (u32)r.rax);
	/* not written: 0 */
	*(u64 *)(bytes + 512) &= ~XCR0_PKRU;
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_XSAVE, x));
	r = (struct kvm_regs){ 0 };
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(0, (u32)r.rax);
	free(x);
}

/* Without CR4.PKE its instructions are #UD, and without the feature CR4.PKE is #GP. */
TEST_F(features, keys_need_cr4)
{
	struct kvm_regs r = { 0 };
	int ticks;

	HAS_PKU(&self->vm);
	vcpu_set_sregs(&self->vm.vcpu, &self->s);
	GUEST_LOAD(&self->vm, get_pkru);
	trap(&self->vm)->resume = GPA_CODE + (guest_get_pkru_end - guest_get_pkru) - 1;
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(6, trap(&self->vm)->vector);
}

/* ---- PCIDs ---- */

/*
 * RBX is read by PCID 1's tables, then by PCID 2's, where it is another page; back by
 * MOV CR3 with bit 63, which leaves PCID 1's translations as they are.  INVPCID drops
 * what was changed meanwhile.
 */
GUEST(pcid, 64,
	"mov $0x4001, %eax; mov %rax, %cr3; mov (%rbx), %r8\n"
	"mov $0x50002, %eax; mov %rax, %cr3; mov (%rbx), %r9\n"
	"mov $0x4001, %eax; bts $63, %rax; mov %rax, %cr3; mov (%rbx), %r10\n"
	"mov %cr3, %r11\n"
	/* point PCID 1's entry elsewhere, drop the one address, and look again */
	"mov %rdi, (%rsi)\n"
	"lea -32(%rsp), %rdx; movq $1, (%rdx); mov %rbx, 8(%rdx)\n"
	"test %rbp, %rbp; jz 1f\n"
	"xor %ecx, %ecx; invpcid (%rdx), %rcx; jmp 2f\n"
	"1: invlpg (%rbx)\n"
	"2: mov (%rbx), %r12\n"
	"hlt\n");

TEST_F(features, pcid)
{
	const u64 va = 0x41000, tables = 0x50000;
	bool invpcid = offers(&self->vm, 7, 0, 1, 10);
	u64 *second = (u64 *)(self->vm.mem + tables);
	struct kvm_regs r = {
		.rbx = va, .rbp = invpcid, .rdi = 0x44000 | PTE_P | PTE_W,
		.rsi = GPA_PT0 + (va >> 12) * 8,
	};
	int ticks;

	if (!offers(&self->vm, 1, 0, 2, 17))
		SKIP(return, "no PCIDs here");
	self->s.cr4 |= CR4_PCIDE;
	vcpu_set_sregs(&self->vm.vcpu, &self->s);
	/* second tables: the same but for va, down to a page table of their own */
	memcpy(second, self->vm.mem + GPA_PML4, 0x4000);
	second[0] = (tables + 0x1000) | PTE_P | PTE_W;
	second[512] = (tables + 0x2000) | PTE_P | PTE_W;
	second[1024] = (tables + 0x3000) | PTE_P | PTE_W;
	self->pt0[va >> 12] = 0x42000 | PTE_P | PTE_W;
	second[1536 + (va >> 12)] = 0x43000 | PTE_P | PTE_W;
	*(u64 *)(self->vm.mem + 0x42000) = 0x1111;
	*(u64 *)(self->vm.mem + 0x43000) = 0x2222;
	*(u64 *)(self->vm.mem + 0x44000) = 0x3333;
	GUEST_LOAD(&self->vm, pcid);
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	ASSERT_EQ(0, trap(&self->vm)->count);
	EXPECT_EQ(0x1111, r.r8);
	EXPECT_EQ(0x2222, r.r9);
	EXPECT_EQ(0x1111, r.r10);
	EXPECT_EQ(0x4001, r.r11);
	EXPECT_EQ(0x3333, r.r12);
}

/* CR4.PCIDE wants long mode and PCID 0, and CR0.PG stays while it is set. */
GUEST(pcide, 64,
	"mov %cr4, %rax; bts $17, %rax\n"
	"mov %cr3, %rbx; or $1, %rbx; mov %rbx, %cr3\n"
	"mov %rax, %cr4\n"
	"hlt\n");

TEST_F(features, pcide_rules)
{
	struct kvm_regs r = { 0 };
	int ticks;

	if (!offers(&self->vm, 1, 0, 2, 17))
		SKIP(return, "no PCIDs here");
	vcpu_set_sregs(&self->vm.vcpu, &self->s);
	GUEST_LOAD(&self->vm, pcide);
	trap(&self->vm)->resume = GPA_CODE + (guest_pcide_end - guest_pcide) - 1;
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(13, trap(&self->vm)->vector);
	self->s.cr4 |= CR4_PCIDE;
	self->s.cr0 &= ~CR0_PG;
	self->s.efer &= ~EFER_LMA;
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.vcpu.fd, KVM_SET_SREGS, &self->s)));
}

/* ---- speculation ---- */

#define MSR_SPEC_CTRL	0x48
#define MSR_PRED_CMD	0x49

/* Each bit that CPUID offers, by itself: the guest writes it and reads it back. */
GUEST(msr, 64,
	"wrmsr; rdmsr; mov %eax, %ebx\n"
	"hlt\n");

TEST_F(features, spec_ctrl)
{
	static const struct { u32 leaf, index; u8 reg, bit, ctrl; } bits[] = {
		{ 7, 0, 3, 26, 0 }, { 0x80000008, 0, 1, 14, 0 }, { 7, 0, 3, 27, 1 },
		{ 0x80000008, 0, 1, 15, 1 }, { 7, 0, 3, 31, 2 }, { 0x80000008, 0, 1, 24, 2 },
		{ 7, 2, 3, 1, 3 }, { 7, 2, 3, 1, 4 }, { 7, 2, 3, 2, 5 }, { 7, 2, 3, 2, 6 },
		{ 7, 2, 3, 0, 7 }, { 0x80000008, 0, 1, 28, 7 }, { 7, 2, 3, 3, 8 }, { 7, 2, 3, 4, 10 },
	};
	struct kvm_regs r;
	int ticks, n = 0;

	GUEST_LOAD(&self->vm, msr);
	for (int i = 0; i < ARRAY_LEN(bits); i++) {
		if (!offers(&self->vm, bits[i].leaf, bits[i].index, bits[i].reg, bits[i].bit))
			continue;
		n++;
		r = (struct kvm_regs){ .rcx = MSR_SPEC_CTRL, .rax = BIT(bits[i].ctrl) };
		EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
		EXPECT_EQ(BIT(bits[i].ctrl), r.rbx);
		EXPECT_EQ(0, vcpu_set_msr(&self->vm.vcpu, MSR_SPEC_CTRL, 0));
	}
	if (!n)
		SKIP(return, "no bit of SPEC_CTRL is offered here");
}

TEST_F(features, prediction_barrier)
{
	struct kvm_regs r = { .rcx = MSR_PRED_CMD, .rax = 1 };
	int ticks;

	if (!offers(&self->vm, 7, 0, 3, 26) && !offers(&self->vm, 0x80000008, 0, 1, 12))
		SKIP(return, "no IBPB here");
	GUEST(barrier, 64, "wrmsr; hlt\n");
	GUEST_LOAD(&self->vm, barrier);
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	/* write-only */
	GUEST_LOAD(&self->vm, msr);
	r = (struct kvm_regs){ .rcx = MSR_PRED_CMD };
	trap(&self->vm)->resume = GPA_CODE + (guest_msr_end - guest_msr) - 1;
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(13, trap(&self->vm)->vector);
}

/* ARCH_CAPABILITIES are what the module says, to the guest and to its VMM alike. */
GUEST(arch_cap, 64, "mov $0x10a, %ecx; rdmsr; hlt\n");

TEST_F(features, arch_capabilities)
{
	struct kvm_regs r = { 0 };
	int ticks;

	if (!offers(&self->vm, 7, 0, 3, 29))
		SKIP(return, "no ARCH_CAPABILITIES here");
	GUEST_LOAD(&self->vm, arch_cap);
	ASSERT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(vcpu_msr(&self->vm.vcpu, 0x10a), (r.rdx << 32 | (u32)r.rax));
	printf("# ARCH_CAPABILITIES %llx\n", r.rdx << 32 | (u32)r.rax);
}

/* ---- waiting in user mode, SERIALIZE ---- */

GUEST(tpause, 64,
	"rdtsc; add $100000, %eax; adc $0, %edx; xor %edi, %edi\n"
	".byte 0x66, 0x0f, 0xae, 0xf7\n"
	"hlt\n");

TEST_F(features, tpause)
{
	struct kvm_regs r = { 0 };
	int ticks;

	if (!offers(&self->vm, 7, 0, 2, 5))
		SKIP(return, "no TPAUSE here");
	GUEST_LOAD(&self->vm, tpause);
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	/* IA32_UMWAIT_CONTROL */
	GUEST_LOAD(&self->vm, msr);
	r = (struct kvm_regs){ .rcx = 0xe1, .rax = 0x10001 };
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(0x10001, r.rbx);
}

TEST_F(features, serialize)
{
	struct kvm_regs r = { 0 };
	int ticks;

	if (!offers(&self->vm, 7, 0, 3, 14))
		SKIP(return, "no SERIALIZE here");
	GUEST(serialize, 64, ".byte 0x0f, 0x01, 0xe8; hlt\n");
	GUEST_LOAD(&self->vm, serialize);
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
}

/* ---- caches ---- */

/* A page of some device's, or NULL: a BAR that the kernel lets map. */
static void *map_device(void)
{
	glob_t found;
	void *p = MAP_FAILED;

	if (glob("/sys/bus/pci/devices/*/resource[0-5]", 0, NULL, &found))
		return NULL;
	for (size_t i = 0; i < found.gl_pathc && p == MAP_FAILED; i++) {
		int fd = open(found.gl_pathv[i], O_RDWR);

		if (fd < 0)
			continue;
		p = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		close(fd);
	}
	globfree(&found);
	return p == MAP_FAILED ? NULL : p;
}

/* WBINVD; reads RBX, if it is not 0; WBINVD. */
GUEST(wbinvd, 64, "wbinvd; test %rbx, %rbx; jz 1f; mov (%rbx), %eax; 1: wbinvd; hlt\n");

/* Where the guest has a device's memory WBINVD writes back caches, and does nothing elsewhere. */
TEST_F(features, wbinvd)
{
	struct kvm_regs r = { 0 };
	void *device = map_device();
	int ticks;

	GUEST_LOAD(&self->vm, wbinvd);
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(0, stat_of(self->vm.vcpu.fd, "cache_flushes"));
	if (!device)
		SKIP(return, "no device's memory to map");
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, GPA_MMIO, 0x1000, device));
	r = (struct kvm_regs){ .rbx = GPA_MMIO };
	EXPECT_EQ(KVM_EXIT_HLT, run(&self->vm, &r, &ticks));
	EXPECT_EQ(1, stat_of(self->vm.vcpu.fd, "cache_flushes"));
}

/* ---- split locks ---- */

/* Locks a line and the next. */
GUEST(split, 64,
	"mov $0x4003e, %ebx\n"
	"lock; addl $1, (%rbx)\n"
	"hlt\n");

#define KVM_RUN_BUS_LOCK BIT(1)

TEST_F(features, bus_lock_exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_BUS_LOCK_EXIT };
	struct kvm_regs r = { 0 };
	struct vm vm;
	int ticks, offered = check_cap(self->vm.sys, KVM_CAP_X86_BUS_LOCK_EXIT);

	vm_open(&vm);
	cap.args[0] = 3;
	EXPECT_EQ(EINVAL, err(ioctl(vm.fd, KVM_ENABLE_CAP, &cap)));
	cap.args[0] = 2;
	EXPECT_EQ(offered ? 0 : EINVAL, err(ioctl(vm.fd, KVM_ENABLE_CAP, &cap)));
	if (offered) {
		vcpu_create(&vm, &vm.vcpu, 0);
		vm_mode(&vm, &vm.vcpu, LONG);
		GUEST_LOAD(&vm, split);
		EXPECT_EQ(KVM_EXIT_X86_BUS_LOCK, run(&vm, &r, &ticks));
		EXPECT_EQ(KVM_RUN_BUS_LOCK, vm.vcpu.run->flags & KVM_RUN_BUS_LOCK);
		EXPECT_EQ(KVM_EXIT_HLT, vm_run(&vm));
	}
	vm_destroy(&vm);
	if (!offered)
		SKIP(return, "no exits by bus locks here");
}

/* Where the host forbids them a guest's is dealt with, too: it goes on, or its VMM is told. */
TEST_F(features, split_lock)
{
	struct kvm_regs r = { 0 };
	int ticks, exit;

	GUEST_LOAD(&self->vm, split);
	*(u32 *)(self->vm.mem + 0x4003e) = 0x10;
	exit = run(&self->vm, &r, &ticks);
	EXPECT_EQ(0, trap(&self->vm)->count);
	if (exit == KVM_EXIT_EXCEPTION)
		SKIP(return, "split_lock_detect=fatal");
	EXPECT_EQ(KVM_EXIT_HLT, exit);
	EXPECT_EQ(0x11, *(u32 *)(self->vm.mem + 0x4003e));
}

TEST_F(features, notify_exits)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_NOTIFY_VMEXIT };
	int offered = check_cap(self->vm.sys, KVM_CAP_X86_NOTIFY_VMEXIT);
	struct vm vm;

	vm_open(&vm);
	cap.args[0] = 1ULL << 32 | 4;
	EXPECT_EQ(EINVAL, err(ioctl(vm.fd, KVM_ENABLE_CAP, &cap)));
	cap.args[0] = 100000ULL << 32 | KVM_X86_NOTIFY_VMEXIT_ENABLED;
	EXPECT_EQ(offered ? 0 : EINVAL, err(ioctl(vm.fd, KVM_ENABLE_CAP, &cap)));
	vcpu_create(&vm, &vm.vcpu, 0);
	/* too late */
	EXPECT_EQ(EINVAL, err(ioctl(vm.fd, KVM_ENABLE_CAP, &cap)));
	vm_destroy(&vm);
	if (!offered)
		SKIP(return, "no notify exits here");
}

TEST_HARNESS_MAIN
