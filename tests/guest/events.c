// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events: interrupts by KVM_INTERRUPT with their windows, NMIs by KVM_NMI,
 * exceptions that the guest handles.
 */
#include <sys/mman.h>
#include "vm.h"
#include "kselftest_harness.h"

FIXTURE(event) {
	struct vm vm;
	int fd;
};

FIXTURE_VARIANT(event) {
	enum vm_mode mode;
};

FIXTURE_VARIANT_ADD(event, prot) { .mode = PROT };
FIXTURE_VARIANT_ADD(event, pg32) { .mode = PG32 };
FIXTURE_VARIANT_ADD(event, pae) { .mode = PAE };
FIXTURE_VARIANT_ADD(event, long64) { .mode = LONG };

FIXTURE_SETUP(event)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, variant->mode);
	self->fd = self->vm.vcpu.fd;
}

FIXTURE_TEARDOWN(event)
{
	vm_destroy(&self->vm);
}

/* The same bytes in 32 and in 64 bits. */
#define CODE(vm, bytes) memcpy((vm)->mem + GPA_CODE, bytes, sizeof(bytes) - 1)

static int interrupt(int fd, u32 vector)
{
	struct kvm_interrupt irq = { .irq = vector };

	return ioctl(fd, KVM_INTERRUPT, &irq);
}

static void go(struct vm *vm, u64 rflags)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = rflags | 2 };

	vcpu_set_regs(&vm->vcpu, &r);
}

#define IF	BIT(9)

/*
 * How often the handlers ran since asked last.  QEMU's emulation may deliver once
 * more what EVENTINJ has (lab.rst): kvm-amd sees to it that it does not.
 */
static int delivered(struct vm *vm)
{
	int n = trap(vm)->count;

	trap(vm)->count = 0;
	return n;
}

/* ---- Interrupts ---- */

TEST_F(event, every_vector)
{
	for (u32 v = 32; v < 256; v++) {
		CODE(&self->vm, "\x90\xf4");			/* nop; hlt */
		go(&self->vm, IF);
		ASSERT_EQ(0, interrupt(self->fd, v));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		ASSERT_EQ(1, delivered(&self->vm));
		ASSERT_EQ(v, trap(&self->vm)->vector);
		ASSERT_EQ(GPA_CODE, trap(&self->vm)->rip);
		ASSERT_EQ(IF, trap(&self->vm)->rflags & IF);
	}
}

TEST_F(event, window)
{
	struct kvm_run *run = self->vm.vcpu.run;
	u64 rip;

	/* out; sti; nop; nop; out; hlt */
	CODE(&self->vm, "\xe6\x10\xfb\x90\x90\xe6\x10\xf4");
	go(&self->vm, 0);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(0, run->if_flag);
	EXPECT_EQ(0, run->ready_for_interrupt_injection);
	run->request_interrupt_window = 1;
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vm_run(&self->vm));
	EXPECT_EQ(1, run->if_flag);
	EXPECT_EQ(1, run->ready_for_interrupt_injection);
	/*
	 * STI's shadow is one instruction long; QEMU's VMRUN forgets it, so that on
	 * it an exit in between cuts it short.
	 */
	rip = vcpu_regs(&self->vm.vcpu).rip;
	EXPECT_TRUE(rip == GPA_CODE + 4 || (on_tcg() && rip == GPA_CODE + 3));
	EXPECT_EQ(0, trap(&self->vm)->count);
	run->request_interrupt_window = 0;
	ASSERT_EQ(0, interrupt(self->fd, 0x41));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(0x41, trap(&self->vm)->vector);
	EXPECT_EQ(rip, trap(&self->vm)->rip);
	EXPECT_EQ(1, run->ready_for_interrupt_injection);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(1, trap(&self->vm)->count);
}

/* Open already: the exit is at once, before any instruction. */
TEST_F(event, window_open)
{
	struct kvm_run *run = self->vm.vcpu.run;

	CODE(&self->vm, "\x90\xf4");
	go(&self->vm, IF);
	run->request_interrupt_window = 1;
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vm_run(&self->vm));
	EXPECT_EQ(1, run->ready_for_interrupt_injection);
	EXPECT_LE(vcpu_regs(&self->vm.vcpu).rip, GPA_CODE + 1);
	run->request_interrupt_window = 0;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* Behind an interrupt that is injected with it: the exit is when the handler has returned. */
TEST_F(event, window_behind_interrupt)
{
	struct kvm_run *run = self->vm.vcpu.run;

	CODE(&self->vm, "\x90\xf4");
	go(&self->vm, IF);
	ASSERT_EQ(0, interrupt(self->fd, 0x42));
	run->request_interrupt_window = 1;
	ASSERT_EQ(KVM_EXIT_IRQ_WINDOW_OPEN, vm_run(&self->vm));
	EXPECT_EQ(1, delivered(&self->vm));
	EXPECT_EQ(0x42, trap(&self->vm)->vector);
	EXPECT_LE(vcpu_regs(&self->vm.vcpu).rip, GPA_CODE + 1);
	run->request_interrupt_window = 0;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0, delivered(&self->vm));
}

/* Queued with IF clear, for userspace without windows: waits for STI. */
TEST_F(event, sti_hlt)
{
	struct kvm_run *run = self->vm.vcpu.run;

	CODE(&self->vm, "\xfb\xf4\xf4");			/* sti; hlt; hlt */
	go(&self->vm, 0);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(1, run->if_flag);
	EXPECT_EQ(1, run->ready_for_interrupt_injection);
	EXPECT_EQ(GPA_CODE + 2, vcpu_regs(&self->vm.vcpu).rip);
	ASSERT_EQ(0, interrupt(self->fd, 0x42));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(GPA_CODE + 2, trap(&self->vm)->rip);
	EXPECT_EQ(GPA_CODE + 3, vcpu_regs(&self->vm.vcpu).rip);
}

/*
 * A stack, an IDT or a handler on a page that no one has touched: delivery
 * itself faults into the hypervisor, and is done again, once.
 */
TEST_F(event, delivery_interrupted)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2 | IF };

	CODE(&self->vm, "\x90\xf4");
	for (int i = 0; i < 500; i++) {
		if (i % 128 == 0)
			madvise(self->vm.mem + 0x100000, 0x80000, MADV_DONTNEED);
		r.rsp = 0x101000 + i % 128 * 0x1000;
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(0, interrupt(self->fd, 0x20 + i % 200));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		ASSERT_EQ(1, delivered(&self->vm));
		ASSERT_EQ(0x20 + i % 200, trap(&self->vm)->vector);
	}
}

/* The stack in a slot that comes and goes. */
TEST_F(event, delivery_to_absent_stack)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2 | IF, .rsp = 0x200800 };
	void *p = xmmap(0x1000, MAP_PRIVATE | MAP_ANONYMOUS, -1);

	CODE(&self->vm, "\x90\xf4");
	ASSERT_EQ(0, vm_slot(&self->vm, 0, 0, 0, 0, NULL));
	ASSERT_EQ(0, vm_slot(&self->vm, 0, 0, 0, 0x200000, self->vm.mem));
	for (int i = 0; i < 50; i++) {
		ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, 0x200000, 0x1000, p));
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(0, interrupt(self->fd, 0x60));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		ASSERT_EQ(1, delivered(&self->vm));
		ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, 0, 0, NULL));
	}
}

/* No page of the stack is there, so that pushing to it interrupts the delivery. */
static void absent_stack(struct vm *vm, u64 rflags)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2 | rflags, .rsp = 0x101000 };

	madvise(vm->mem + 0x100000, 0x1000, MADV_DONTNEED);
	vcpu_set_regs(&vm->vcpu, &r);
}

/* INT n, INT3, INTO and INT1 whose delivery is interrupted: once, and their handlers return behind them. */
TEST_F(event, software_interrupts)
{
	static const struct { u8 code[8]; int len, vector; bool only32, only_intel; } insn[] = {
		{ { 0xcd, 0x80, 0xf4 }, 2, 0x80 },
		{ { 0x66, 0xcd, 0x81, 0xf4 }, 3, 0x81 },
		{ { 0x2e, 0x66, 0xcd, 0xff, 0xf4 }, 4, 0xff },
		{ { 0xcd, 0x03, 0xf4 }, 2, 3 },
		{ { 0xcd, 0x04, 0xf4 }, 2, 4 },
		{ { 0xcc, 0xf4 }, 1, 3 },
		{ { 0x66, 0xcc, 0xf4 }, 2, 3 },
		{ { 0xce, 0xf4 }, 1, 4, .only32 = true },
		{ { 0xf1, 0xf4 }, 1, 1, .only_intel = true },
	};
	volatile struct trap *t = trap(&self->vm);

	NOT_ON_BOCHS_SVM("when an exit interrupts INT n, EXITINTINFO has an older event");
	for (size_t i = 0; i < ARRAY_LEN(insn); i++) {
		if ((insn[i].only32 && variant->mode == LONG) || (insn[i].only_intel && on_tcg()))
			continue;
		memcpy(self->vm.mem + GPA_CODE, insn[i].code, 8);
		for (int round = 0; round < 4; round++) {
			t->resume = GPA_CODE + insn[i].len;
			absent_stack(&self->vm, IF | BIT(11));
			ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
			EXPECT_EQ(1, delivered(&self->vm)) TH_LOG("instruction %zu", i);
			EXPECT_EQ(insn[i].vector, t->vector) TH_LOG("instruction %zu", i);
			EXPECT_EQ(GPA_CODE + insn[i].len, t->rip) TH_LOG("instruction %zu", i);
		}
	}
}

/*
 * STI holds interrupts back until INT n has called its handler, which is entered with
 * interrupts off: an exit in the midst of it does not let them in.
 */
TEST_F(event, software_interrupt_in_shadow)
{
	volatile struct trap *t = trap(&self->vm);
	int early = 0;

	NOT_ON_BOCHS_SVM("when an exit interrupts INT n, EXITINTINFO has an older event");
	CODE(&self->vm, "\xfb\xcd\x80\xf4");		/* sti; int $0x80; hlt */
	for (int i = 0; i < 20; i++) {
		absent_stack(&self->vm, 0);
		ASSERT_EQ(0, interrupt(self->fd, 0x55));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		EXPECT_EQ(2, delivered(&self->vm));
		EXPECT_EQ(GPA_CODE + 3, t->rip);
		/* Where VMRUN forgets STI's shadow, a physical interrupt may come before INT n. */
		early += on_tcg() && t->vector == 0x80;
		EXPECT_TRUE(t->vector == 0x55 || (on_tcg() && t->vector == 0x80));
	}
	EXPECT_LE(early, 5);
}

/* ---- NMIs ---- */

TEST_F(event, nmi)
{
	CODE(&self->vm, "\x90\xf4");
	for (int i = 1; i < 20; i++) {
		go(&self->vm, 0);				/* IF does not matter */
		ASSERT_EQ(0, ioctl(self->fd, KVM_NMI, 0L));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		ASSERT_EQ(i, trap(&self->vm)->count);
		ASSERT_EQ(2, trap(&self->vm)->vector);
	}
}

/* One in the handler waits for its IRET. */
TEST_F(event, nmi_blocked)
{
	u8 *idt = self->vm.mem + GPA_IDT;
	int gate = variant->mode == LONG ? 16 : 8;
	struct kvm_vcpu_events e;

	/* main: hlt.  Vector 2, at +16: nop; hlt; iret */
	CODE(&self->vm, "\x90\xf4\xf4");
	memcpy(self->vm.mem + GPA_CODE + 16, variant->mode == LONG ? "\x90\xf4\x48\xcf" : "\x90\xf4\xcf", 4);
	*(u16 *)(idt + 2 * gate) = 16;
	*(u16 *)(idt + 2 * gate + 6) = GPA_CODE >> 16;
	go(&self->vm, 0);
	ASSERT_EQ(0, ioctl(self->fd, KVM_NMI, 0L));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 18, vcpu_regs(&self->vm.vcpu).rip);
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(1, e.nmi.masked);
	ASSERT_EQ(0, ioctl(self->fd, KVM_NMI, 0L));
	/* IRET, the second, its HLT */
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 18, vcpu_regs(&self->vm.vcpu).rip);
	/* IRET, back to main, its HLT */
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 2, vcpu_regs(&self->vm.vcpu).rip);
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(0, e.nmi.masked);
	EXPECT_EQ(0, e.nmi.pending);
}

/* An NMI and an interrupt at once: both come, the NMI's handler first or last. */
TEST_F(event, nmi_and_interrupt)
{
	CODE(&self->vm, "\x90\x90\xf4");
	go(&self->vm, IF);
	ASSERT_EQ(0, interrupt(self->fd, 0x70));
	ASSERT_EQ(0, ioctl(self->fd, KVM_NMI, 0L));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(2, trap(&self->vm)->count);
}

/* ---- Exceptions ---- */

#define PAGED	1	/* needs paging */
#define L64	2	/* long mode only */
#define L32	4	/* not in long mode */
#define TS	8	/* CR0.TS set */
#define OF	16	/* RFLAGS.OF set */
#define NX	32	/* with EFER.NX: the fetch is told from a read */
#define HW	64	/* QEMU's emulation has it wrong: F1 is #UD, RMW reads first, #GP for #SS */

#define NOWHERE32	0x8fff0000
#define NOWHERE64	0x7f1234567000

static const struct {
	const char *name;
	const char *code;
	int len, flags;
	int vector, error;
	int rip;		/* of the frame, from the code's start; -1: RBX */
	bool cr2;		/* is RBX */
} cases[] = {
	{ "div", "\xf7\xf1", 2, 0, DE_VECTOR, 0, 0 },
	{ "ud2", "\x0f\x0b", 2, 0, UD_VECTOR, 0, 0 },
	{ "int3", "\xcc", 1, 0, BP_VECTOR, 0, 1 },
	{ "icebp", "\xf1", 1, HW, DB_VECTOR, 0, 1 },
	{ "into", "\xce", 1, L32 | OF, OF_VECTOR, 0, 1 },
	{ "int 0x80", "\xcd\x80", 2, 0, 0x80, 0, 2 },
	{ "selector past the GDT", "\xb8\xf8\x0f\x00\x00\x8e\xd8", 7, 0, GP_VECTOR, 0xff8, 5 },
	{ "segment not present", "\xb8\x60\x00\x00\x00\x8e\xd8", 7, 0, NP_VECTOR, 0x60, 5 },
	{ "stack not present", "\xb8\x60\x00\x00\x00\x8e\xd0", 7, 0, SS_VECTOR, 0x60, 5 },
	{ "fpu with TS", "\xdb\xe3", 2, TS, NM_VECTOR, 0, 0 },
	{ "read", "\x8b\x03", 2, PAGED, PF_VECTOR, 0, 0, true },
	{ "write", "\x89\x03", 2, PAGED, PF_VECTOR, 2, 0, true },
	{ "read-modify-write", "\x01\x03", 2, PAGED | HW, PF_VECTOR, 2, 0, true },
	{ "jump", "\xff\xe3", 2, PAGED, PF_VECTOR, 0, -1, true },
	{ "jump, with NX", "\xff\xe3", 2, PAGED | NX, PF_VECTOR, 16, -1, true },
	{ "rdmsr", "\xb9\xef\xbe\xad\xde\x0f\x32", 7, 0, GP_VECTOR, 0, 5 },
	{ "wrmsr", "\xb9\xef\xbe\xad\xde\x0f\x30", 7, 0, GP_VECTOR, 0, 5 },
	{ "PG without PE", "\xb8\x00\x00\x00\x80\x0f\x22\xc0", 8, 0, GP_VECTOR, 0, 5 },
	{ "NW without CD", "\xb8\x01\x00\x00\x20\x0f\x22\xc0", 8, L32, GP_VECTOR, 0, 5 },
	{ "reserved bit of CR4", "\xb8\x00\x00\x00\x40\x0f\x22\xe0", 8, 0, GP_VECTOR, 0, 5 },
	{ "PAE off in long mode", "\x31\xc0\x0f\x22\xe0", 5, L64, GP_VECTOR, 0, 2 },
	{ "mov to CR1", "\x0f\x22\xc8", 3, 0, UD_VECTOR, 0, 0 },
	{ "address not canonical", "\x8b\x03", 2, L64, GP_VECTOR, 0, 0 },
	{ "stack not canonical", "\x48\x89\xdd\x8b\x45\x00", 6, L64 | HW, SS_VECTOR, 0, 3 },
	{ "vmrun", "\x0f\x01\xd8", 3, 0, UD_VECTOR, 0, 0 },
	{ "lock nop", "\xf0\x90", 2, 0, UD_VECTOR, 0, 0 },
	{ "ud2 with a prefix", "\x66\x0f\x0b", 3, 0, UD_VECTOR, 0, 0 },
};

TEST_F(event, exceptions)
{
	bool lm = variant->mode == LONG;
	u64 *gdt = (u64 *)(self->vm.mem + GPA_GDT);

	gdt[0x60 / 8] = 0x00cf13000000ffff;	/* data, not present */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		volatile struct trap *t = trap(&self->vm);
		struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2 };
		struct kvm_sregs s;
		u64 addr = lm ? NOWHERE64 : NOWHERE32;
		u64 cr2;

		if ((cases[i].flags & PAGED && variant->mode < PG32) ||
		    (cases[i].flags & L64 && !lm) || (cases[i].flags & L32 && lm))
			continue;
		if (cases[i].flags & HW && on_tcg())
			continue;
		if (cases[i].flags & NX && (variant->mode < PAE || !has_nx(self->vm.sys)))
			continue;
		vm_mode(&self->vm, &self->vm.vcpu, variant->mode);
		gdt[0x60 / 8] = 0x00cf13000000ffff;
		s = vcpu_sregs(&self->vm.vcpu);
		s.cr2 = cr2 = 0x1000 + i;
		if (cases[i].flags & TS)
			s.cr0 |= CR0_TS;
		if (cases[i].flags & NX)
			s.efer |= EFER_NX;
		vcpu_set_sregs(&self->vm.vcpu, &s);
		if (cases[i].flags & L64 && cases[i].vector != UD_VECTOR)
			addr = 0x800000000000;
		/* the fault goes on at +32: hlt */
		memset(self->vm.mem + GPA_CODE, 0xf4, 64);
		memcpy(self->vm.mem + GPA_CODE, cases[i].code, cases[i].len);
		t->resume = GPA_CODE + 32;
		r.rsp = GPA_STACK;
		r.rbx = addr;
		if (cases[i].flags & OF)
			r.rflags |= BIT(11);
		vcpu_set_regs(&self->vm.vcpu, &r);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm)) {
			TH_LOG("%s", cases[i].name);
			vcpu_dump(&self->vm.vcpu, cases[i].name);
		}
		EXPECT_EQ(1, t->count)
			TH_LOG("%s", cases[i].name);
		EXPECT_EQ(cases[i].vector, t->vector)
			TH_LOG("%s", cases[i].name);
		EXPECT_EQ(cases[i].error, t->error)
			TH_LOG("%s", cases[i].name);
		EXPECT_EQ(cases[i].rip < 0 ? addr : GPA_CODE + (u64)cases[i].rip, t->rip)
			TH_LOG("%s", cases[i].name);
		/* Bochs' VMRUN does not load CR2 */
		if (cases[i].cr2 || !on_bochs_svm())
			EXPECT_EQ(cases[i].cr2 ? addr : cr2, t->cr2)
				TH_LOG("%s", cases[i].name);
	}
}

/* As userspace may inject it: with an error code or without, whatever the vector. */
static void inject(struct vm *vm, u32 vector, bool code)
{
	struct kvm_vcpu_events e = { .exception = { .injected = 1, .nr = vector,
						    .has_error_code = code, .error_code = 0xffff1234 } };

	if (ioctl(vm->vcpu.fd, KVM_SET_VCPU_EVENTS, &e))
		abort();
}

/* The vector says whether there is an error code, and no entry fails. */
TEST_F(event, injected_by_userspace)
{
	const u32 with_code = BIT(8) | 0x1f << 10 | BIT(17);

	memset(self->vm.mem + GPA_CODE, 0xf4, 64);
	/* 31 is not an exception's to SVM (APM 2 "Event Injection") */
	for (u32 i = 0; i < 62; i++) {
		u32 v = i / 2, code = i % 2;
		u64 error = with_code & BIT(v) && code ? 0x1234 : 0;

		/* the NMI; #CP, whose handler takes a code that only processors with CET push */
		if (v == 2 || v == 21)
			continue;
		trap(&self->vm)->resume = GPA_CODE + 32;
		go(&self->vm, 0);
		inject(&self->vm, v, code);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm))
			TH_LOG("vector %u, code %u", v, code);
		EXPECT_EQ(1, delivered(&self->vm));
		EXPECT_EQ(v, trap(&self->vm)->vector);
		EXPECT_EQ(error, (u16)trap(&self->vm)->error)
			TH_LOG("vector %u, code %u", v, code);
		EXPECT_EQ(GPA_STACK, vcpu_regs(&self->vm.vcpu).rsp);
	}
}

/* An exception while another is delivered: double fault, its own handler. */
TEST_F(event, double_fault)
{
	u8 *idt = self->vm.mem + GPA_IDT;
	int gate = variant->mode == LONG ? 16 : 8;

	/* #UD's gate not present: #NP during #UD is #NP; #GP's: #NP during #GP is #DF */
	idt[GP_VECTOR * gate + 5] &= 0x7f;
	idt[NP_VECTOR * gate + 5] &= 0x7f;
	CODE(&self->vm, "\xb9\xef\xbe\xad\xde\x0f\x32");	/* rdmsr of none */
	self->vm.mem[GPA_CODE + 32] = 0xf4;
	trap(&self->vm)->resume = GPA_CODE + 32;
	go(&self->vm, 0);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(DF_VECTOR, trap(&self->vm)->vector);
	EXPECT_EQ(0, trap(&self->vm)->error);
	/* a benign one first: delivered as the second */
	idt[NP_VECTOR * gate + 5] |= 0x80;
	idt[UD_VECTOR * gate + 5] &= 0x7f;
	CODE(&self->vm, "\x0f\x0b");
	go(&self->vm, 0);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(NP_VECTOR, trap(&self->vm)->vector);
	/* IDT's bit; EXT or not by the processor's own mind; the emulator's index is twice */
	if (!on_tcg()) {
		EXPECT_EQ(UD_VECTOR * 8 + 2, trap(&self->vm)->error & ~1ULL);
	}
}

/* With no gate for #DF either. */
TEST_F(event, shutdown)
{
	u8 *idt = self->vm.mem + GPA_IDT;
	int gate = variant->mode == LONG ? 16 : 8;

	MAY_SHUT_DOWN();
	idt[GP_VECTOR * gate + 5] &= 0x7f;
	idt[DF_VECTOR * gate + 5] &= 0x7f;
	idt[NP_VECTOR * gate + 5] &= 0x7f;
	CODE(&self->vm, "\xb9\xef\xbe\xad\xde\x0f\x32");
	go(&self->vm, 0);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vm_run(&self->vm));
}

/* A single step of the guest's own. */
TEST_F(event, trap_flag)
{
	EXITS_WHILE_STEPPING();
	/* nop; nop; out 10h, al: not HLT, which a pending trap wakes */
	CODE(&self->vm, "\x90\x90\xe6\x10");
	go(&self->vm, BIT(8));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	ASSERT_EQ(0x10, self->vm.vcpu.run->io.port);
	EXPECT_GE(trap(&self->vm)->count, 2);
	EXPECT_EQ(DB_VECTOR, trap(&self->vm)->vector);
}

/* ... also over an instruction that exits. */
TEST_F(event, trap_flag_over_exit)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 0x102, .rdx = 0x10 };

	EXITS_WHILE_STEPPING();
	/* cpuid; out 10h, al; nop; out 11h, al */
	CODE(&self->vm, "\x0f\xa2\xe6\x10\x90\xe6\x11");
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(1, trap(&self->vm)->count);
	EXPECT_EQ(GPA_CODE + 2, trap(&self->vm)->rip);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	ASSERT_EQ(0x11, self->vm.vcpu.run->io.port);
	EXPECT_GE(trap(&self->vm)->count, 3);
}

/* ---- Real mode ---- */

FIXTURE(real) {
	struct vm vm;
};

FIXTURE_SETUP(real)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, REAL);
	/* each vector, at 1000:100: inc word [8000h]; iret */
	for (int i = 0; i < 256; i++)
		((u32 *)self->vm.mem)[i] = 0x1000 << 16 | 0x100;
	memcpy(self->vm.mem + GPA_CODE + 0x100, "\xff\x06\x00\x80\xcf", 5);
}

FIXTURE_TEARDOWN(real)
{
	vm_destroy(&self->vm);
}

/* No error codes in real mode. */
TEST_F(real, injected_by_userspace)
{
	u16 *count = (u16 *)(self->vm.mem + GPA_DATA + 0x8000);
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2 };

	memset(self->vm.mem + GPA_CODE, 0xf4, 16);
	for (u32 v = 0; v < 31; v++) {
		if (v == 2)	/* the NMI */
			continue;
		*count = 0;
		vcpu_set_regs(&self->vm.vcpu, &r);
		inject(&self->vm, v, true);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm))
			TH_LOG("vector %u", v);
		EXPECT_EQ(1, *count)
			TH_LOG("vector %u", v);
		EXPECT_EQ(0xf000, vcpu_regs(&self->vm.vcpu).rsp)
			TH_LOG("vector %u", v);
	}
}

TEST_F(real, events)
{
	u16 *count = (u16 *)(self->vm.mem + GPA_DATA + 0x8000);
	struct kvm_regs r = { .rsp = 0xf000, .rflags = 2 | IF };
	struct kvm_interrupt irq = { .irq = 0x33 };

	CODE(&self->vm, "\x90\xf4");
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_INTERRUPT, &irq));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(1, *count);
	*count = 1;
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_NMI, 0L));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(2, *count);
	/* int 21h; int3; hlt */
	CODE(&self->vm, "\xcd\x21\xcc\xf4");
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(4, *count);
	EXPECT_EQ(0xf000, vcpu_regs(&self->vm.vcpu).rsp);
	EXPECT_EQ(IF, vcpu_regs(&self->vm.vcpu).rflags & IF);
	/* #UD: a fault, so the frame has its address; the handler skips it */
	memcpy(self->vm.mem + GPA_CODE + 0x100, "\xff\x06\x00\x80\x55\x89\xe5\x83\x46\x02\x02\x5d\xcf", 13);
	CODE(&self->vm, "\x0f\x0b\xf4");
	vcpu_set_regs(&self->vm.vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(5, *count);
}

TEST_HARNESS_MAIN
