// SPDX-License-Identifier: GPL-2.0-only
/* Each GET and SET of a vcpu's state, rightly and wrongly. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

GUEST(halt, 64, "1: hlt; jmp 1b");
GUEST(cpuid, 64, "1: cpuid; hlt; jmp 1b");
GUEST(invert, 64,
	".irp r, rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15\n"
	"not %\\r; .endr\n"
	"hlt");

FIXTURE(state) {
	struct vm vm;
	int fd;			/* the vcpu */
};

FIXTURE_SETUP(state)
{
	vm_start(&self->vm, LONG, halt);
	self->fd = self->vm.vcpu.fd;
}

FIXTURE_TEARDOWN(state)
{
	vm_destroy(&self->vm);
}

/* ---- KVM_GET_REGS, KVM_SET_REGS ---- */

TEST_F(state, regs)
{
	struct kvm_regs set, got;
	u64 *f = (u64 *)&set, *g = (u64 *)&got;

	for (size_t i = 0; i < 16; i++)
		f[i] = 0x0123456789abcdefULL * (2 * i + 3);
	set.rip = GPA_CODE;
	set.rflags = 0x46;
	vcpu_set_regs(&self->vm.vcpu, &set);
	got = vcpu_regs(&self->vm.vcpu);
	EXPECT_EQ(0, memcmp(&set, &got, sizeof(set)));
	/* and the guest has them, and gives them back */
	GUEST_LOAD(&self->vm, invert);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	got = vcpu_regs(&self->vm.vcpu);
	for (size_t i = 0; i < 16; i++) {
		EXPECT_EQ(~f[i], g[i])
			TH_LOG("register %zu", i);
	}
	EXPECT_EQ(0x46, got.rflags);
	/* RFLAGS bit 1 is always set */
	set.rflags = 0;
	vcpu_set_regs(&self->vm.vcpu, &set);
	EXPECT_EQ(2, vcpu_regs(&self->vm.vcpu).rflags);
}

/* ---- KVM_GET_SREGS, KVM_SET_SREGS ---- */

TEST_F(state, sregs)
{
	struct kvm_sregs set = vcpu_sregs(&self->vm.vcpu), got;

	set.cr2 = 0xdeadbeef000;
	set.cr8 = 5;
	set.fs.base = 0x12345678000;
	set.gs.base = 0xffff880000000000;
	set.gdt.base = 0xffff800000001000;
	set.gdt.limit = 0x123;
	set.ldt = (struct kvm_segment){ .base = 0x5000, .limit = 0xff, .selector = 0x60, .type = 2, .present = 1 };
	vcpu_set_sregs(&self->vm.vcpu, &set);
	got = vcpu_sregs(&self->vm.vcpu);
#define SAME(f)	do { EXPECT_EQ(set.f, got.f); } while (0)
	SAME(cr0); SAME(cr2); SAME(cr3); SAME(cr4); SAME(cr8); SAME(efer); SAME(apic_base);
	SAME(gdt.base); SAME(gdt.limit); SAME(idt.base); SAME(idt.limit);
#define SEG(s) SAME(s.base); SAME(s.limit); SAME(s.selector); SAME(s.type); SAME(s.present); SAME(s.unusable)
	SEG(cs); SEG(ds); SEG(es); SEG(fs); SEG(gs); SEG(ss); SEG(ldt);
	SAME(tr.base); SAME(tr.limit); SAME(tr.selector); SAME(tr.type);
	SAME(cs.l); SAME(cs.db); SAME(cs.g); SAME(cs.s); SAME(cs.dpl);
	/* the same block set again changes nothing */
	vcpu_set_sregs(&self->vm.vcpu, &got);
	set = vcpu_sregs(&self->vm.vcpu);
	EXPECT_EQ(0, memcmp(&set, &got, sizeof(set)));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* Each segment's attributes, each bit of them. */
TEST_F(state, segment_attributes)
{
	for (int type = 1; type < 8; type += 2) {
		for (int bits = 0; bits < 8; bits++) {
			struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu), got;

			s.fs = (struct kvm_segment){
				.base = 0x1000, .limit = bits & 4 ? 0xfffff : 0xffffffff,
				.selector = 0x10 | (bits & 3), .type = type, .present = 1,
				.s = 1, .dpl = bits & 3, .g = !(bits & 4), .db = bits & 1,
				.avl = bits >> 1 & 1,
			};
			if (type & 8)
				s.fs.l = bits & 1;
			vcpu_set_sregs(&self->vm.vcpu, &s);
			got = vcpu_sregs(&self->vm.vcpu);
			EXPECT_EQ(0, memcmp(&s.fs, &got.fs, sizeof(s.fs)))
				TH_LOG("type %d bits %d", type, bits);
		}
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

TEST_F(state, sregs_interrupt_bitmap)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);

	s.interrupt_bitmap[1] = BIT(3);		/* vector 67 */
	vcpu_set_sregs(&self->vm.vcpu, &s);
	s = vcpu_sregs(&self->vm.vcpu);
	EXPECT_EQ(0, s.interrupt_bitmap[0]);
	EXPECT_EQ(BIT(3), s.interrupt_bitmap[1]);
	r.rflags |= BIT(9);
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(67, trap(&self->vm)->vector);
	s = vcpu_sregs(&self->vm.vcpu);
	EXPECT_EQ(0, s.interrupt_bitmap[1]);
	/* one at most */
	s.interrupt_bitmap[1] = BIT(3) | BIT(4);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_SREGS, &s)));
	s.interrupt_bitmap[1] = BIT(3);
	s.interrupt_bitmap[0] = BIT(33);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_SREGS, &s)));
}

/*
 * A vector that waits for IF, saved and restored: it goes on waiting, and is
 * not lost.  Stock delivers it at once, into a guest that has interrupts off.
 */
TEST_F(state, waiting_interrupt_restored)
{
	struct kvm_interrupt irq = { .irq = 0x55 };
	struct kvm_vcpu_events e;
	struct kvm_sregs s;
	struct kvm_regs r;

	if (on_stock())
		SKIP(return, "KVM_INTERRUPT does not wait for IF there");
	for (int events = 0; events < 2; events++) {
		r = vcpu_regs(&self->vm.vcpu);
		r.rip = GPA_CODE;
		r.rflags = 2;
		vcpu_set_regs(&self->vm.vcpu, &r);
		trap(&self->vm)->count = 0;
		ASSERT_EQ(0, ioctl(self->fd, KVM_INTERRUPT, &irq));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		EXPECT_EQ(0, trap(&self->vm)->count);
		s = vcpu_sregs(&self->vm.vcpu);
		EXPECT_EQ(BIT(0x55 - 64), s.interrupt_bitmap[1]);
		ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
		EXPECT_EQ(0x55, e.interrupt.nr);
		if (events) {
			ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
		} else {
			vcpu_set_sregs(&self->vm.vcpu, &s);
		}
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		EXPECT_EQ(0, trap(&self->vm)->count);
		r.rflags = 0x202;
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		EXPECT_EQ(1, trap(&self->vm)->count);
		EXPECT_EQ(0x55, trap(&self->vm)->vector);
	}
}

TEST_F(state, sregs2)
{
	struct kvm_sregs2 a, b;

	if (!check_cap(self->vm.sys, KVM_CAP_SREGS2))
		SKIP(return, "KVM_CAP_SREGS2 is not offered");
	vm_mode(&self->vm, &self->vm.vcpu, PAE);
	memset(&a, 0, sizeof(a));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_SREGS2, &a));
	EXPECT_EQ(GPA_PDPT, a.cr3);
	if (a.flags & KVM_SREGS2_FLAGS_PDPTRS_VALID) {
		EXPECT_EQ(GPA_PD | PTE_P, a.pdptrs[0]);
		EXPECT_EQ(0, a.pdptrs[1]);
	}
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_SREGS2, &a));
	memset(&b, 0, sizeof(b));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_SREGS2, &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
	a.flags = 0x80;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_SREGS2, &a)));
}

/* ---- KVM_GET_FPU, KVM_SET_FPU, KVM_GET_XSAVE, KVM_SET_XSAVE ---- */

static void fill(void *p, size_t n, u8 seed)
{
	for (size_t i = 0; i < n; i++)
		((u8 *)p)[i] = seed + i * 11;
}

TEST_F(state, fpu)
{
	struct kvm_fpu set, got;

	if (on_stock())
		SKIP(return, "stock 6.1 drops MXCSR, and all that XSTATE_BV does not name");
	memset(&set, 0, sizeof(set));
	memset(&got, 0, sizeof(got));
	fill(set.xmm, sizeof(set.xmm), 1);
	for (int i = 0; i < 8; i++)
		fill(set.fpr[i], 10, i);
	set.fcw = 0x27f;
	set.fsw = 0x1800;
	set.ftwx = 0xf0;
	set.mxcsr = 0x1fa0;
	set.last_opcode = 0x123;
	set.last_ip = 0x456789;
	set.last_dp = 0xabcdef;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_FPU, &set));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_FPU, &got));
	EXPECT_EQ(0, memcmp(set.xmm, got.xmm, sizeof(set.xmm)));
	EXPECT_EQ(0, memcmp(set.fpr, got.fpr, sizeof(set.fpr)));
	SAME(fcw); SAME(fsw); SAME(ftwx); SAME(mxcsr);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_FPU, &got));
	EXPECT_EQ(0, memcmp(set.xmm, got.xmm, sizeof(set.xmm)));
	EXPECT_EQ(0, memcmp(set.fpr, got.fpr, sizeof(set.fpr)));
	SAME(fcw); SAME(fsw); SAME(ftwx); SAME(mxcsr);
}

/* Reserved MXCSR bits would fault the host's own FXRSTOR. */
TEST_F(state, fpu_bad_mxcsr)
{
	struct kvm_fpu f;

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_FPU, &f));
	f.mxcsr = 0xffffffff;
	err(ioctl(self->fd, KVM_SET_FPU, &f));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_FPU, &f));
	f.mxcsr = 0x1f80;
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_FPU, &f));
}

TEST_F(state, xsave)
{
	struct kvm_xsave *set = calloc(4, sizeof(*set)), *got = calloc(4, sizeof(*got));
	struct kvm_fpu f;

	if (!check_cap(self->vm.sys, KVM_CAP_XSAVE))
		SKIP(return, "KVM_CAP_XSAVE is not offered");
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XSAVE, set));
	fill(&set->region[40], 256, 7);		/* the XMM registers */
	set->region[6] = 0x1fa0;		/* MXCSR */
	if (has_xsave(self->vm.sys))
		set->region[128] |= 3;		/* XSTATE_BV: x87 and SSE */
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_XSAVE, set));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XSAVE, got));
	EXPECT_EQ(0, memcmp(&set->region[40], &got->region[40], 256));
	EXPECT_EQ(0x1fa0, got->region[6]);
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_FPU, &f));
	EXPECT_EQ(0, memcmp(&set->region[40], f.xmm, 256));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XSAVE, got));
	EXPECT_EQ(0, memcmp(&set->region[40], &got->region[40], 256));
	/* a header that the processor would fault upon */
	if (has_xsave(self->vm.sys)) {
		set->region[128] = set->region[129] = ~0;
		EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_XSAVE, set)));
		memset(&set->region[128], 0xff, 64);
		EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_XSAVE, set)));
		ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XSAVE, set));
		EXPECT_EQ(0, memcmp(set, got, sizeof(*got)));
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

TEST_F(state, xsave2)
{
	int size = check_cap(self->vm.fd, KVM_CAP_XSAVE2);
	u8 *buf = calloc(1, 65536);

	if (!size)
		SKIP(return, "KVM_CAP_XSAVE2 is not offered");
	ASSERT_GE(size, 4096);
	ASSERT_LT(size, 65536);
	buf[size] = 0x5a;
	EXPECT_EQ(0, ioctl(self->fd, KVM_GET_XSAVE2, buf));
	EXPECT_EQ(0x5a, buf[size]);
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_XSAVE, buf));
}

TEST_F(state, xcrs)
{
	struct kvm_xcrs x = { 0 }, good;

	if (!check_cap(self->vm.sys, KVM_CAP_XCRS) || !has_xsave(self->vm.sys))
		SKIP(return, "no XSAVE here");
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XCRS, &x));
	EXPECT_EQ(1, x.nr_xcrs);
	EXPECT_EQ(0, x.flags);
	EXPECT_EQ(0, x.xcrs[0].xcr);
	EXPECT_EQ(1, x.xcrs[0].value);		/* the reset value */
	good = x;
	x.xcrs[0].value = 3;
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_XCRS, &x));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XCRS, &x));
	EXPECT_EQ(3, x.xcrs[0].value);
	static const u64 bad[] = { 0, 2, 5, ~0ULL, BIT(63) | 1 };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		x.xcrs[0].value = bad[i];
		EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_XCRS, &x))) TH_LOG("%#lx", bad[i]);
	}
	x = good;
	x.nr_xcrs = KVM_MAX_XCRS + 1;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_XCRS, &x)));
	x = good;
	x.flags = 1;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_XCRS, &x)));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_XCRS, &x));
	EXPECT_EQ(3, x.xcrs[0].value);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* ---- KVM_GET_MSRS, KVM_SET_MSRS ---- */

/* Values that each must keep, when set and read back. */
static const struct { u32 index; u64 value; } msrs[] = {
	{ 0x174, 0x8 }, { 0x175, 0x12345678 }, { 0x176, 0x87654321 },	/* SYSENTER */
	{ 0x277, 0x0007040600070406 },					/* PAT */
	{ 0xc0000081, 0x0023001000000000 }, { 0xc0000082, 0xffffffff81000000 },	/* STAR, LSTAR */
	{ 0xc0000083, 0xffffffff82000000 }, { 0xc0000084, 0x47700 },	/* CSTAR, SFMASK */
	{ 0xc0000100, 0x7f0000001000 }, { 0xc0000101, 0xffff888000000000 },
	{ 0xc0000102, 0x7fff12345000 },					/* KERNEL_GS_BASE */
	{ 0x2ff, 0xc06 }, { 0x200, 0x6 }, { 0x201, 0xff00000800 },	/* MTRRs */
	{ 0x250, 0x0606060606060606 }, { 0x258, 0 }, { 0x268, 0x0606060606060606 },
};

static int one_reg(struct vcpu *vcpu, bool set, u64 id, void *addr)
{
	struct kvm_one_reg reg = { .id = id, .addr = (uintptr_t)addr };

	return err(ioctl(vcpu->fd, set ? KVM_SET_ONE_REG : KVM_GET_ONE_REG, &reg));
}

/* The same registers by ids; what is no MSR's id, or no MSR, is refused and writes nothing. */
TEST_F(state, one_reg)
{
	struct vcpu *vcpu = &self->vm.vcpu;
	const u64 lstar = KVM_X86_REG_MSR(0xc0000082ULL);
	u64 value = 0x5555, was;

	if (on_stock() && !check_cap(self->vm.fd, KVM_CAP_ONE_REG))
		SKIP(return, "no KVM_CAP_ONE_REG");
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_ONE_REG));
	EXPECT_EQ(0x20300002c0000082ULL, lstar);
	for (size_t i = 0; i < ARRAY_LEN(msrs); i++) {
		u64 id = KVM_X86_REG_MSR((u64)msrs[i].index), old = vcpu_msr(vcpu, msrs[i].index);

		ASSERT_EQ(0, one_reg(vcpu, false, id, &value)) TH_LOG("MSR %x", msrs[i].index);
		EXPECT_EQ(old, value) TH_LOG("MSR %x", msrs[i].index);
		value = msrs[i].value;
		ASSERT_EQ(0, one_reg(vcpu, true, id, &value)) TH_LOG("MSR %x", msrs[i].index);
		EXPECT_EQ(value, vcpu_msr(vcpu, msrs[i].index)) TH_LOG("MSR %x", msrs[i].index);
		EXPECT_EQ(0, one_reg(vcpu, true, id, &old));
	}
	was = vcpu_msr(vcpu, 0xc0000082);
	for (int bit = 32; bit < 64; bit++) {
		value = 0x5555;
		EXPECT_EQ(EINVAL, one_reg(vcpu, false, lstar ^ BIT(bit), &value)) TH_LOG("bit %d", bit);
		EXPECT_EQ(EINVAL, one_reg(vcpu, true, lstar ^ BIT(bit), &value)) TH_LOG("bit %d", bit);
		EXPECT_EQ(0x5555, value);
	}
	/* no such MSR; no shadow stack's pointer; no value of it */
	EXPECT_EQ(EINVAL, one_reg(vcpu, false, KVM_X86_REG_MSR(0x12345678ULL), &value));
	EXPECT_EQ(EINVAL, one_reg(vcpu, true, KVM_X86_REG_MSR(0x12345678ULL), &value));
	EXPECT_EQ(EINVAL, one_reg(vcpu, false, 0x2030000300000000ULL, &value));
	EXPECT_EQ(EINVAL, one_reg(vcpu, true, 0x2030000300000000ULL, &value));
	value = BIT(63);	/* not canonical */
	EXPECT_EQ(EINVAL, one_reg(vcpu, true, lstar, &value));
	EXPECT_EQ(EFAULT, one_reg(vcpu, false, lstar, BAD_PTR));
	EXPECT_EQ(EFAULT, one_reg(vcpu, true, lstar, BAD_PTR));
	EXPECT_EQ(EFAULT, err(ioctl(vcpu->fd, KVM_GET_ONE_REG, BAD_PTR)));
	EXPECT_EQ(was, vcpu_msr(vcpu, 0xc0000082));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

TEST_F(state, msrs)
{
	for (size_t i = 0; i < ARRAY_LEN(msrs); i++) {
		u64 old = vcpu_msr(&self->vm.vcpu, msrs[i].index);

		EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, msrs[i].index, msrs[i].value))
			TH_LOG("MSR %x", msrs[i].index);
		EXPECT_EQ(msrs[i].value, vcpu_msr(&self->vm.vcpu, msrs[i].index))
			TH_LOG("MSR %x", msrs[i].index);
		EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, msrs[i].index, old))
			TH_LOG("MSR %x", msrs[i].index);
		EXPECT_EQ(old, vcpu_msr(&self->vm.vcpu, msrs[i].index)) TH_LOG("MSR %x", msrs[i].index);
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* What is listed can be read, and what was read can be set. */
TEST_F(state, msrs_listed)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 256 * 4);

	list->nmsrs = 256;
	ASSERT_EQ(0, ioctl(self->vm.sys, KVM_GET_MSR_INDEX_LIST, list));
	for (u32 i = 0; i < list->nmsrs; i++) {
		struct { struct kvm_msrs h; struct kvm_msr_entry e; } m = { { .nmsrs = 1 }, { .index = list->indices[i] } };
		int n = ioctl(self->fd, KVM_GET_MSRS, &m);

		EXPECT_EQ(1, n) TH_LOG("GET of MSR %x", list->indices[i]);
		n = ioctl(self->fd, KVM_SET_MSRS, &m);
		/* stock lists 0x4b564d06, and refuses it without an APIC of its own */
		if (on_stock() && list->indices[i] == 0x4b564d06)
			continue;
		EXPECT_EQ(1, n)
			TH_LOG("SET of MSR %x to its value", list->indices[i]);
	}
	free(list);
}

TEST_F(state, msrs_count)
{
	struct { struct kvm_msrs h; struct kvm_msr_entry e[4]; } m = { { .nmsrs = 4 }, {
		{ .index = 0x174, .data = 8 }, { .index = 0x175, .data = 0x1000 },
		{ .index = 0xdeadbeef, .data = 1 }, { .index = 0x176, .data = 0x2000 } } };

	/* up to the first that fails; those before are done, those after not */
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x176, 0x3000));
	EXPECT_EQ(2, ioctl(self->fd, KVM_SET_MSRS, &m));
	EXPECT_EQ(0x1000, vcpu_msr(&self->vm.vcpu, 0x175));
	EXPECT_EQ(0x3000, vcpu_msr(&self->vm.vcpu, 0x176));
	m.e[0].data = m.e[1].data = 0;
	EXPECT_EQ(2, ioctl(self->fd, KVM_GET_MSRS, &m));
	EXPECT_EQ(8, m.e[0].data);
	EXPECT_EQ(0x1000, m.e[1].data);
	m.h.nmsrs = 0;
	EXPECT_EQ(0, ioctl(self->fd, KVM_GET_MSRS, &m));
	m.h.nmsrs = 100000;
	EXPECT_EQ(E2BIG, err(ioctl(self->fd, KVM_GET_MSRS, &m)));
	EXPECT_EQ(E2BIG, err(ioctl(self->fd, KVM_SET_MSRS, &m)));
	m.h.nmsrs = ~0;
	EXPECT_EQ(E2BIG, err(ioctl(self->fd, KVM_GET_MSRS, &m)));
}

TEST_F(state, msrs_bad_values)
{
	static const struct { u32 index; u64 value; } bad[] = {
		{ 0x277, 0x02 },			/* PAT type 2 */
		{ 0xc0000080, BIT(1) | BIT(63) },	/* EFER */
		{ 0xc0000082, 0x8000000000000000 },	/* LSTAR, not canonical */
		{ 0xc0000100, 0x0000900000000000 },	/* FS base, not canonical */
		{ 0x2ff, 0x7 },				/* MTRR type 7 */
		{ 0xdeadbeef, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(0, vcpu_set_msr(&self->vm.vcpu, bad[i].index, bad[i].value))
			TH_LOG("MSR %x", bad[i].index);
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* Reset state as QEMU writes it: one refused aborts it. */
TEST_F(state, msrs_of_qemu)
{
	static const struct { u32 from, to; u64 value; } at_reset[] = {
		{ 0x174, 0x176, 0 }, { 0x277, 0x277, 0x0007040600070406 },
		{ 0xc0000082, 0xc0000084, 0 }, { 0xc0000102, 0xc0000102, 0 },
		{ 0x10, 0x12, 0 }, { 0x2ff, 0x2ff, 0 }, { 0x250, 0x250, 0 },
		{ 0x258, 0x259, 0 }, { 0x268, 0x26f, 0 }, { 0x200, 0x20f, 0 },
	};

	for (size_t i = 0; i < ARRAY_LEN(at_reset); i++)
		for (u32 m = at_reset[i].from; m <= at_reset[i].to; m++) {
			EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, m, at_reset[i].value))
				TH_LOG("MSR %x", m);
		}
}

TEST_F(state, mce)
{
	u64 cap = 0, setup;

	ASSERT_EQ(0, ioctl(self->vm.sys, KVM_X86_GET_MCE_CAP_SUPPORTED, &cap));
	setup = (cap & ~0xffULL) | 10;
	EXPECT_EQ(0, ioctl(self->fd, KVM_X86_SETUP_MCE, &setup));
	EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x17a, 0));
	if (cap & BIT(8)) {
		EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x17b, ~0ULL));
	}
	for (u32 i = 0; i < 40; i++) {
		EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x400 + i, i % 4 ? 0 : ~0ULL))
			TH_LOG("MSR %x", 0x400 + i);
	}
	setup = 0xff | BIT(40);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_X86_SETUP_MCE, &setup)));
}

#define MCI_VAL		(1ULL << 63)
#define MCI_OVER	(1ULL << 62)
#define MCI_UC		(1ULL << 61)

TEST_F(state, set_mce)
{
	struct kvm_x86_mce m = { .status = MCI_VAL | 0x150, .addr = 0x1234000, .bank = 3 };
	struct vcpu *v = &self->vm.vcpu;
	struct kvm_vcpu_events ev;
	u64 setup = 10;
	struct kvm_sregs s;

	ASSERT_EQ(0, ioctl(self->fd, KVM_X86_SETUP_MCE, &setup));
	for (u32 i = 0; i < 10; i++)
		ASSERT_EQ(1, vcpu_set_msr(v, 0x400 + 4 * i, ~0ULL));
	m.bank = 10;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_X86_SET_MCE, &m)));
	m.bank = 3;
	m.status &= ~MCI_VAL;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_X86_SET_MCE, &m)));

	/* a corrected error is logged, the next says that one was lost */
	m.status |= MCI_VAL;
	ASSERT_EQ(0, ioctl(self->fd, KVM_X86_SET_MCE, &m));
	EXPECT_EQ(m.status, vcpu_msr(v, 0x40d));
	EXPECT_EQ(m.addr, vcpu_msr(v, 0x40e));
	ASSERT_EQ(0, ioctl(self->fd, KVM_X86_SET_MCE, &m));
	EXPECT_EQ(m.status | MCI_OVER, vcpu_msr(v, 0x40d));

	/* one that is not is #MC for who has CR4.MCE, and the end for who has not */
	m.status |= MCI_UC;
	m.mcg_status = 4;
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_SREGS, &s));
	s.cr4 |= 1 << 6;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_SREGS, &s));
	ASSERT_EQ(0, ioctl(self->fd, KVM_X86_SET_MCE, &m));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &ev));
	EXPECT_EQ(18, ev.exception.nr);
	EXPECT_EQ(1, ev.exception.injected || ev.exception.pending);
	EXPECT_EQ(4, vcpu_msr(v, 0x17a));
	ASSERT_EQ(0, ioctl(self->fd, KVM_X86_SET_MCE, &m));
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vcpu_run(v));
}

/* ---- KVM_SET_CPUID2, KVM_GET_CPUID2, KVM_SET_CPUID ---- */

TEST_F(state, cpuid2)
{
	struct kvm_cpuid2 *c = supported_cpuid(self->vm.sys);
	struct kvm_cpuid2 *g = calloc(1, sizeof(*g) + 256 * sizeof(g->entries[0]));
	struct vcpu v;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	vcpu_create(&self->vm, &v, 1);
	/* one of our own, so that no host could answer by chance */
	for (u32 i = 0; i < c->nent; i++)
		if (c->entries[i].function == 0) {
			c->entries[i].ebx = 0x11223344;
			c->entries[i].edx = 0x55667788;
		}
	ASSERT_EQ(0, ioctl(v.fd, KVM_SET_CPUID2, c));
	g->nent = 256;
	ASSERT_EQ(0, ioctl(v.fd, KVM_GET_CPUID2, g));
	/* stock 6.1 fills the entries and leaves nent as it was */
	if (!on_stock()) {
		EXPECT_EQ(c->nent, g->nent);
	}
	g->nent = c->nent - 1;
	EXPECT_EQ(E2BIG, err(ioctl(v.fd, KVM_GET_CPUID2, g)));
	c->nent = 10000;
	EXPECT_EQ(E2BIG, err(ioctl(v.fd, KVM_SET_CPUID2, c)));
	EXPECT_EQ(EFAULT, err(ioctl(v.fd, KVM_GET_CPUID2, BAD_PTR)));
	vm_mode(&self->vm, &v, LONG);
	GUEST_LOAD(&self->vm, cpuid);
	vcpu_set_regs(&v, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
	r = vcpu_regs(&v);
	EXPECT_EQ(0x11223344, r.rbx);
	EXPECT_EQ(0x55667788, r.rdx);
	free(c);
	free(g);
}

/* Bits that follow CR4 and XCR0 are given as the guest would read them. */
TEST_F(state, cpuid2_follows)
{
	struct kvm_cpuid2 *c = supported_cpuid(self->vm.sys);
	struct kvm_cpuid_entry2 *e;
	struct kvm_sregs s;
	struct vcpu v;

	vcpu_create(&self->vm, &v, 1);
	ASSERT_EQ(0, ioctl(v.fd, KVM_SET_CPUID2, c));
	vm_mode(&self->vm, &v, LONG);
	for (int on = 1; on >= 0; on--) {
		ASSERT_EQ(0, ioctl(v.fd, KVM_GET_SREGS, &s));
		s.cr4 = on ? s.cr4 | 1U << 18 : s.cr4 & ~(1ULL << 18);
		if (ioctl(v.fd, KVM_SET_SREGS, &s))
			SKIP(return, "no XSAVE");
		ASSERT_EQ(0, ioctl(v.fd, KVM_GET_CPUID2, c));
		for (e = c->entries; e < c->entries + c->nent && e->function != 1; e++)
			;
		ASSERT_LT(e, c->entries + c->nent);
		EXPECT_EQ(on, e->ecx >> 27 & 1);
		/* what was got may be set again, even now that the vcpu has run */
		vcpu_set_regs(&v, &(struct kvm_regs){ .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 });
		GUEST_LOAD(&self->vm, halt);
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
		e->ecx ^= on << 27;
		EXPECT_EQ(0, ioctl(v.fd, KVM_SET_CPUID2, c));
	}
	e->eax ^= 1;
	EXPECT_EQ(EINVAL, err(ioctl(v.fd, KVM_SET_CPUID2, c)));
	free(c);
}

/* The old call, with no index: the same answers, the leaf alone. */
TEST_F(state, cpuid)
{
	struct { struct kvm_cpuid h; struct kvm_cpuid_entry e[3]; } c = { { .nent = 3 }, {
		{ .function = 0, .eax = 2, .ebx = 0x61616161, .ecx = 0x62626262, .edx = 0x63636363 },
		{ .function = 1, .eax = 0x663, .edx = 0x0781abfd },
		{ .function = 2, .eax = 0x1234, .ebx = 0x5678 } } };
	struct kvm_regs r = { .rip = 0, .rax = 2, .rflags = 2 };
	struct vcpu v;

	v.fd = ioctl(self->vm.fd, KVM_CREATE_VCPU, 1L);
	ASSERT_GE(v.fd, 0);
	v.run = xmmap(self->vm.run_size, MAP_SHARED, v.fd);
	ASSERT_EQ(0, ioctl(v.fd, KVM_SET_CPUID, &c));
	vm_mode(&self->vm, &v, REAL);
	memcpy(self->vm.mem + GPA_CODE, "\x0f\xa2\xf4", 3);
	vcpu_set_regs(&v, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
	r = vcpu_regs(&v);
	EXPECT_EQ(0x1234, r.rax);
	EXPECT_EQ(0x5678, r.rbx);
	c.h.nent = 10000;
	EXPECT_EQ(E2BIG, err(ioctl(v.fd, KVM_SET_CPUID, &c)));
	EXPECT_EQ(EFAULT, err(ioctl(v.fd, KVM_SET_CPUID, BAD_PTR)));
}

/* ---- KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS ---- */

TEST_F(state, debugregs)
{
	struct kvm_debugregs set = { .db = { 0x1000, 0x2000, 0x3000, 0x4000 },
		.dr6 = 0xffff0ff0, .dr7 = 0x400 }, got;

	if (!check_cap(self->vm.sys, KVM_CAP_DEBUGREGS))
		SKIP(return, "KVM_CAP_DEBUGREGS is not offered");
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_DEBUGREGS, &set));
	memset(&got, 0xff, sizeof(got));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_DEBUGREGS, &got));
	EXPECT_EQ(0, memcmp(set.db, got.db, sizeof(set.db)));
	SAME(dr6); SAME(dr7); SAME(flags);
	set.flags = 1;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_DEBUGREGS, &set)));
	set.flags = 0;
	set.dr6 = BIT(32);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_DEBUGREGS, &set)));
	set.dr6 = 0xffff0ff0;
	set.dr7 = BIT(40);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_DEBUGREGS, &set)));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_DEBUGREGS, &got));
	EXPECT_EQ(0x400, got.dr7);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* ---- KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS ---- */

TEST_F(state, vcpu_events)
{
	struct kvm_vcpu_events e, good;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(0, e.exception.injected);
	EXPECT_EQ(0, e.interrupt.injected);
	EXPECT_EQ(0, e.nmi.pending | e.nmi.injected | e.nmi.masked);
	good = e;
	/* unknown flags, and a vector that is no exception */
	e.flags |= BIT(31);
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e)));
	e = good;
	e.exception.injected = 1;
	e.exception.nr = 32;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e)));
	e.exception.nr = 2;			/* NMI is none either */
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e)));
	/* an exception with an error code, delivered by the next entry */
	e = good;
	e.exception.injected = 1;
	e.exception.nr = GP_VECTOR;
	e.exception.has_error_code = 1;
	e.exception.error_code = 0x18;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(1, e.exception.injected);
	EXPECT_EQ(GP_VECTOR, e.exception.nr);
	trap(&self->vm)->resume = GPA_CODE;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(GP_VECTOR, trap(&self->vm)->vector);
	EXPECT_EQ(0x18, trap(&self->vm)->error);
	/* an interrupt */
	r.rflags |= BIT(9);
	e = good;
	e.interrupt.injected = 1;
	e.interrupt.nr = 77;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(77, trap(&self->vm)->vector);
	/* an NMI pending while masked waits */
	e = good;
	e.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
	e.nmi.pending = 1;
	e.nmi.masked = 1;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(77, trap(&self->vm)->vector);
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(1, e.nmi.pending);
	EXPECT_EQ(1, e.nmi.masked);
	e.nmi.masked = 0;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(2, trap(&self->vm)->vector);
}

/* The shadow of MOV SS or STI is kept, and ends with an instruction. */
TEST_F(state, interrupt_shadow)
{
	struct kvm_vcpu_events e;

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	e.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	e.flags |= KVM_VCPUEVENT_VALID_SHADOW;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_NE(0, e.interrupt.shadow);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(0, e.interrupt.shadow);
}

/* ---- The rest ---- */

TEST_F(state, mp_state)
{
	struct kvm_mp_state m;

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_MP_STATE, &m));
	EXPECT_EQ(KVM_MP_STATE_RUNNABLE, m.mp_state);
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_MP_STATE, &m));
	m.mp_state = 1000;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_MP_STATE, &m)));
	m.mp_state = ~0;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_MP_STATE, &m)));
	/* without the kernel's interrupt controller it knows of no INIT */
	m.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_MP_STATE, &m)));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

TEST_F(state, translate)
{
	static const enum vm_mode modes[] = { REAL, PROT, PG32, PSE32, PAE, LONG };

	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		u64 *pt0 = (u64 *)(self->vm.mem + GPA_PT0);
		struct kvm_translation t = { .linear_address = 0x5123 };

		vm_mode(&self->vm, &self->vm.vcpu, modes[i]);
		ASSERT_EQ(0, ioctl(self->fd, KVM_TRANSLATE, &t));
		EXPECT_EQ(0x5123, t.physical_address) TH_LOG("mode %d", modes[i]);
		EXPECT_EQ(1, t.valid);
		if (modes[i] < PG32)
			continue;
		t.linear_address = GPA_MMIO + 0x7654;
		ASSERT_EQ(0, ioctl(self->fd, KVM_TRANSLATE, &t));
		EXPECT_EQ(GPA_MMIO + 0x7654, t.physical_address) TH_LOG("mode %d", modes[i]);
		/* mapped to elsewhere, and not at all */
		if (modes[i] == PG32)
			((u32 *)pt0)[5] = 0x77000 | PTE_P | PTE_W;
		else if (modes[i] >= PAE)
			pt0[5] = 0x77000 | PTE_P | PTE_W;
		else
			continue;
		t.linear_address = 0x5123;
		ASSERT_EQ(0, ioctl(self->fd, KVM_TRANSLATE, &t));
		EXPECT_EQ(0x77123, t.physical_address) TH_LOG("mode %d", modes[i]);
		t.linear_address = modes[i] == LONG ? 0x7f0000000000 : 0x8fff0000;
		ASSERT_EQ(0, ioctl(self->fd, KVM_TRANSLATE, &t));
		EXPECT_EQ(0, t.valid) TH_LOG("mode %d", modes[i]);
	}
}

TEST_F(state, interrupt)
{
	struct kvm_interrupt irq = { .irq = 256 };

	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_INTERRUPT, &irq)));
	irq.irq = ~0;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_INTERRUPT, &irq)));
	irq.irq = 0x55;
	EXPECT_EQ(0, ioctl(self->fd, KVM_INTERRUPT, &irq));
	/* one at a time, the first is not yet in the guest: stock lets the second
	 * take its place, where the document has EEXIST
	 */
	if (!on_stock()) {
		EXPECT_EQ(EEXIST, err(ioctl(self->fd, KVM_INTERRUPT, &irq)));
	}
}

TEST_F(state, sync_regs)
{
	int valid = check_cap(self->vm.sys, KVM_CAP_SYNC_REGS);
	struct kvm_run *run = self->vm.vcpu.run;

	if (!valid)
		SKIP(return, "KVM_CAP_SYNC_REGS is not offered");
	EXPECT_EQ(7, valid);
	run->kvm_valid_regs = valid;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 1, run->s.regs.regs.rip);
	EXPECT_EQ(GPA_PML4, run->s.regs.sregs.cr3);
	run->s.regs.regs.rax = 0x1234;
	run->s.regs.regs.rip = GPA_CODE;
	run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0x1234, vcpu_regs(&self->vm.vcpu).rax);
	EXPECT_EQ(0, run->kvm_dirty_regs);
	run->kvm_valid_regs = ~0ULL;
	EXPECT_EQ(-EINVAL, vm_run(&self->vm));
}

TEST_F(state, tsc_khz)
{
	int khz = ioctl(self->fd, KVM_GET_TSC_KHZ, 0L);

	if (!check_cap(self->vm.sys, KVM_CAP_GET_TSC_KHZ))
		SKIP(return, "KVM_CAP_GET_TSC_KHZ is not offered");
	EXPECT_GT(khz, 0);
	/* there is no scaling: the host's own rate, and nothing far from it */
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_TSC_KHZ, (long)khz));
	EXPECT_EQ(khz, ioctl(self->fd, KVM_GET_TSC_KHZ, 0L));
	EXPECT_EQ(0, ioctl(self->fd, KVM_SET_TSC_KHZ, 0L));
	if (check_cap(self->vm.sys, KVM_CAP_TSC_CONTROL))
		return;
	EXPECT_NE(0, ioctl(self->fd, KVM_SET_TSC_KHZ, khz / 2L));
	EXPECT_NE(0, ioctl(self->fd, KVM_SET_TSC_KHZ, 0xffffffffL));
	EXPECT_EQ(khz, ioctl(self->fd, KVM_GET_TSC_KHZ, 0L));
}

TEST_HARNESS_MAIN
