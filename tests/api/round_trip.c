// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every piece of state: random state is set, read, set in another VM and read there. All of it
 * is the same, and both guests go on alike.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "save.h"
#include "kselftest_harness.h"

#define IF		BIT(9)
#define MSR_TSC		0x10
#define REG_ID		0x20
#define REG_LVR		0x30
#define REG_PPR		0xa0
#define REG_APR		0x90
#define REG_TMCCT	0x390

/* Takes what interrupts come, then tells. */
GUEST(window, 64, "sti\n nop\n nop\n cli\n sti\n nop\n nop\n cli\n out %al, $0x10\n jmp guest_window");

enum kind { NO_CHIPS, SPLIT, ALL_CHIPS };

static void create(struct vm *vm, enum kind kind)
{
	switch (kind) {
	case NO_CHIPS:	return vm_create(vm);
	case SPLIT:	return vm_create_split(vm);
	default:	return vm_create_full(vm);
	}
}

/* ---- random state that a processor can be in ---- */

static u64 rnd(void)
{
	static u64 x = 88172645463325252ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static u64 canonical(void)
{
	return (u64)((int64_t)(rnd() << 16) >> 16);
}

static bool one_in(int n)
{
	return rnd() % n == 0;
}

static void put(struct saved_vcpu *s, u32 offset, u32 v)
{
	memcpy(s->lapic.regs + offset, &v, 4);
}

static u32 reg(const struct saved_vcpu *s, u32 offset)
{
	u32 v;

	memcpy(&v, s->lapic.regs + offset, 4);
	return v;
}

static void random_lapic(struct saved_vcpu *s, bool x2)
{
	if (!x2) {
		put(s, REG_ID, rnd() & 0xff000000);
		put(s, 0xd0, rnd() & 0xff000000);		/* LDR */
		put(s, 0xe0, one_in(2) ? ~0U : 0x0fffffff);	/* DFR */
	}
	put(s, 0x80, rnd() & 0xff);			/* TPR */
	s->sregs.cr8 = reg(s, 0x80) >> 4;
	put(s, 0xf0, (rnd() & 0xff) | 0x100);		/* SVR */
	for (u32 i = 0; i < 8; i++) {
		u32 mask = i ? ~0U : 0xffff0000;

		put(s, 0x100 + i * 16, one_in(4) ? rnd() & rnd() & rnd() & mask : 0);
		put(s, 0x180 + i * 16, rnd() & mask);
		put(s, 0x200 + i * 16, one_in(4) ? rnd() & rnd() & rnd() & mask : 0);
	}
	put(s, 0x280, rnd() & 0xef);			/* ESR */
	put(s, 0x300, rnd() & 0xccfff);			/* ICR */
	put(s, 0x310, x2 ? rnd() : rnd() & 0xff000000);
	put(s, 0x320, (rnd() & 0x200ff) | 0x10000);	/* LVTs, masked */
	put(s, 0x330, (rnd() & 0x7ff) | 0x10000);
	put(s, 0x340, (rnd() & 0x7ff) | 0x10000);
	put(s, 0x350, (rnd() & 0xa7ff) | 0x10000);
	put(s, 0x360, (rnd() & 0xa7ff) | 0x10000);
	put(s, 0x370, (rnd() & 0xff) | 0x10000);
	put(s, 0x380, one_in(2) ? 0 : rnd() | 0xf0000000);	/* the timer's count */
	put(s, REG_TMCCT, reg(s, 0x380));
	put(s, 0x3e0, rnd() & 0xb);
}

static void random_msr(struct kvm_msr_entry *e)
{
	static const u8 types[] = { 0, 1, 4, 5, 6 };
	u64 types8 = 0;

	for (int i = 0; i < 8; i++)
		types8 = types8 << 8 | types[rnd() % ARRAY_LEN(types)];
	switch (e->index) {
	case 0x174: case 0x3b: case 0x1fc:
		e->data = e->index == 0x174 ? (u32)rnd() : rnd();
		break;
	case 0x175: case 0x176: case 0xc0000082: case 0xc0000083: case 0xc0000102:
		e->data = canonical();
		break;
	case 0xc0000081:
		e->data = rnd();
		break;
	case 0xc0000084: case 0xc0000103:
		e->data = (u32)rnd();
		break;
	case 0x277: case 0x250: case 0x258: case 0x259: case 0x268 ... 0x26f:
		e->data = types8;
		break;
	case 0x2ff:
		e->data = (rnd() & 0xc00) | types[rnd() % ARRAY_LEN(types)];
		break;
	case 0x200 ... 0x20f:
		e->data = (rnd() & 0xffffff000) |
			  (e->index & 1 ? rnd() & 0x800 : types[rnd() % ARRAY_LEN(types)]);
		break;
	case 0x8b:
		e->data = rnd() & ~0xffffffffULL;
		break;
	case 0x12: case 0x4b564d01: case 0x4b564d03: case 0x4b564d04:
		e->data = 0x50000 + (rnd() & 0xfc0);	/* off, but remembered */
		break;
	case 0x4b564d05:
		e->data = rnd() & 1;
		break;
	case 0x4b564d06:
		e->data = rnd() & 0xff;
		break;
	}
}

static bool on_vmx(void)
{
	const char *module = getenv("LAB_VENDOR_MODULE");

	return module && !strcmp(module, "kvm_intel");
}

static void randomize(struct saved_vcpu *s, enum kind kind)
{
	u64 *r = (u64 *)&s->regs;
	u32 *fx = (u32 *)s->xsave;

	for (int i = 0; i < 16; i++)
		if (r + i != (u64 *)&s->regs.rsp)
			r[i] = rnd();
	s->regs.rflags = 2 | (rnd() & 0xcd5) | (rnd() & IF);	/* all but TF, and system bits */
	s->sregs.fs.base = canonical();
	s->sregs.gs.base = canonical();
	s->sregs.cr2 = rnd();
	if (kind == NO_CHIPS)
		s->sregs.cr8 = rnd() & 15;
	s->sregs.cr4 |= CR4_OSFXSR | (rnd() & CR4_PGE);
	s->sregs.efer |= (rnd() & EFER_SCE);
	s->sregs.ldt = (struct kvm_segment){
		.base = canonical(), .limit = rnd() & 0xffff, .selector = rnd() & 0xfffc & ~4,
		.type = 2, .present = 1,
	};
	for (int i = 0; i < 4; i++)
		s->debug.db[i] = rnd() & 0x7fffffffffff;
	s->debug.dr6 = 0xffff0ff0 | (rnd() & 0xe00f);
	s->debug.dr7 = 0x400 | (rnd() & 0xffff0000);
	fx[0] = 0x37f | (rnd() & 0xc00);		/* FCW: rounding */
	fx[6] = 0x1f80 | (rnd() & 0xe03f);		/* MXCSR */
	for (int i = 40; i < 40 + 64; i++)
		fx[i] = rnd();
	if (s->xcrs.nr_xcrs)
		fx[128] |= 3;
	/* kvm-amd steps to where one can be injected, and an exit from a step ends Bochs. */
	if (!on_bochs_svm()) {
		s->events.nmi.masked = rnd() & 1;
		s->events.nmi.pending = rnd() % 3;
	}
	if (one_in(3)) {
		s->events.interrupt.injected = 1;
		s->events.interrupt.nr = 0x20 + rnd() % 0xe0;
	} else if (one_in(3)) {
		/* SVM does not tell one from the other, VMX does not have both. */
		s->events.interrupt.shadow = KVM_X86_SHADOW_INT_MOV_SS | (on_vmx() ? 0 : KVM_X86_SHADOW_INT_STI);
	}
	for (u32 i = 0; i < s->nmsrs; i++) {
		random_msr(&s->msrs[i]);
		/* these are other state by another name */
		if (s->msrs[i].index == 0xc0000100)
			s->msrs[i].data = s->sregs.fs.base;
		if (s->msrs[i].index == 0xc0000101)
			s->msrs[i].data = s->sregs.gs.base;
		for (u32 j = 0; j < i; j++)
			if ((s->msrs[i].index == 0x4b564d00 && s->msrs[j].index == 0x11) ||
			    (s->msrs[i].index == 0x4b564d01 && s->msrs[j].index == 0x12))
				s->msrs[i].data = s->msrs[j].data;
	}
	if (kind != NO_CHIPS)
		random_lapic(s, false);
}

/* ---- comparison ---- */

static int differences;

static void differ(const char *what, size_t at, u64 a, u64 b)
{
	if (differences++ < 20)
		fprintf(stderr, "# %s, at %#zx: %#lx, then %#lx\n", what, at, a, b);
}

static void compare(const char *what, const void *a, const void *b, size_t size)
{
	const u8 *p = a, *q = b;

	for (size_t i = 0; i < size; i++)
		if (p[i] != q[i])
			differ(what, i, p[i], q[i]);
}

#define COMPARE(field) compare(#field, &a->field, &b->field, sizeof(a->field))

/*
 * b is what was read after a was set to the same vcpu, after a was read and set to another
 * vcpu, or of two vcpus that went on, each in its own time.
 */
enum pair { SET_AND_READ, READ_TWICE, WENT_ON };

static void compare_lapic(const struct saved_vcpu *a, const struct saved_vcpu *b, enum pair pair)
{
	for (u32 i = 0; i < sizeof(a->lapic.regs); i += 16) {
		/* what time changes, and what follows from the others */
		if (i == REG_TMCCT || (pair == SET_AND_READ && (i == REG_PPR || i == REG_APR || i == REG_LVR)))
			continue;
		if (reg(a, i) != reg(b, i))
			differ("lapic", i, reg(a, i), reg(b, i));
	}
	if (pair != WENT_ON && reg(b, REG_TMCCT) > reg(a, REG_TMCCT))
		differ("the APIC timer's count", 0, reg(a, REG_TMCCT), reg(b, REG_TMCCT));
}

static void compare_tsc(const struct saved_vcpu *a, u64 x, u64 y, enum pair pair)
{
	if (pair != WENT_ON && y - x > 60ULL * a->tsc_khz * 1000)
		differ("TSC", 0, x, y);
}

static void compare_vcpus(const struct saved_vcpu *a, const struct saved_vcpu *b, enum pair pair)
{
	COMPARE(events.exception);
	COMPARE(events.interrupt);
	COMPARE(events.nmi);
	COMPARE(mp);
	COMPARE(regs);
	COMPARE(sregs);
	COMPARE(xcrs);
	COMPARE(debug);
	compare("xsave", a->xsave, b->xsave, 512);
	if (pair != SET_AND_READ)
		compare("xsave", a->xsave, b->xsave, sizeof(a->xsave));
	for (u32 i = 0; i < a->nmsrs; i++) {
		u64 x = a->msrs[i].data, y = b->msrs[i].data;

		if (a->msrs[i].index == MSR_TSC)
			compare_tsc(a, x, y, pair);
		else if (x != y)
			differ("MSR", a->msrs[i].index, x, y);
	}
	compare_lapic(a, b, pair);
}

FIXTURE(round_trip) {
	struct vm from, to;
	struct saved_vcpu *in, *a, *b;
};

FIXTURE_VARIANT(round_trip) {
	enum kind kind;
};

FIXTURE_VARIANT_ADD(round_trip, no_chips) { .kind = NO_CHIPS };
FIXTURE_VARIANT_ADD(round_trip, split) { .kind = SPLIT };
FIXTURE_VARIANT_ADD(round_trip, all_chips) { .kind = ALL_CHIPS };

FIXTURE_SETUP(round_trip)
{
	self->in = calloc(3, sizeof(*self->in));
	self->a = self->in + 1;
	self->b = self->in + 2;
}

FIXTURE_TEARDOWN(round_trip)
{
	free(self->in);
}

/* Both vcpus from here to the next exit, KVM_EXIT_IRQ_WINDOW_OPEN and the like not counted. */
static int go_on(struct vm *vm)
{
	int exit;

	do
		exit = vm_run(vm);
	while (exit == KVM_EXIT_SET_TPR || exit == KVM_EXIT_IOAPIC_EOI);
	return exit;
}

TEST_F_TIMEOUT(round_trip, vcpu, 120)
{
	int rounds = is_slow() ? 6 : 60;

	for (int i = 0; i < rounds; i++) {
		create(&self->from, variant->kind);
		vm_mode(&self->from, &self->from.vcpu, LONG);
		GUEST_LOAD(&self->from, window);
		vcpu_save(&self->from, &self->from.vcpu, self->in);
		randomize(self->in, variant->kind);
		vcpu_restore(&self->from, &self->from.vcpu, self->in);
		vcpu_save(&self->from, &self->from.vcpu, self->a);
		compare_vcpus(self->in, self->a, SET_AND_READ);

		create(&self->to, variant->kind);
		memcpy(self->to.mem, self->from.mem, MEM_SIZE);
		self->to.mode = LONG;
		vcpu_restore(&self->to, &self->to.vcpu, self->a);
		vcpu_save(&self->to, &self->to.vcpu, self->b);
		compare_vcpus(self->a, self->b, READ_TWICE);

		/* and on, with what was pending */
		ASSERT_EQ(KVM_EXIT_IO, go_on(&self->from));
		ASSERT_EQ(KVM_EXIT_IO, go_on(&self->to));
		EXPECT_EQ(trap(&self->from)->count, trap(&self->to)->count);
		vcpu_save(&self->from, &self->from.vcpu, self->a);
		vcpu_save(&self->to, &self->to.vcpu, self->b);
		/* Bochs' VMRUN does not load CR2: what the guest leaves there is the host's. */
		if (on_bochs_svm())
			self->b->sregs.cr2 = self->a->sregs.cr2;
		compare_vcpus(self->a, self->b, WENT_ON);
		vm_destroy(&self->from);
		vm_destroy(&self->to);
		ASSERT_EQ(0, differences) TH_LOG("round %d", i);
	}
}

/* The chips of a VM, as two VMs read them. */
TEST(chips)
{
	struct saved_vm in, a, b;
	struct vm from, to;

	for (int i = 0; i < 30; i++) {
		vm_create_full(&from);
		vm_create_full(&to);
		vm_save(&from, &in);
		for (int c = 0; c < 2; c++) {
			struct kvm_pic_state *p = &in.chips[c].chip.pic;

			*p = (struct kvm_pic_state){
				.last_irr = rnd(), .irr = rnd(), .imr = rnd(), .isr = rnd(),
				.priority_add = rnd() & 7, .irq_base = rnd() & 0xf8,
				.read_reg_select = rnd() & 1, .poll = rnd() & 1,
				.special_mask = rnd() & 1, .init_state = rnd() & 3, .auto_eoi = rnd() & 1,
				.rotate_on_auto_eoi = rnd() & 1, .special_fully_nested_mode = rnd() & 1,
				.init4 = rnd() & 1, .elcr = rnd() & p->elcr_mask, .elcr_mask = p->elcr_mask,
			};
		}
		/* the slave's output is the master's line 2 */
		in.chips[1].chip.pic.imr = 0xff;
		in.chips[0].chip.pic.irr &= ~4;
		in.chips[0].chip.pic.last_irr &= ~4;
		in.chips[2].chip.ioapic.ioregsel = rnd() & 0xff;
		in.chips[2].chip.ioapic.id = rnd() & 0xf;
		in.chips[2].chip.ioapic.irr = rnd() & 0xffffff;
		for (int pin = 0; pin < 24; pin++)
			in.chips[2].chip.ioapic.redirtbl[pin].bits =
				(rnd() & 0xff0000000000efff) | 0x10000;
		vm_restore(&from, &in);
		vm_save(&from, &a);
		vm_restore(&to, &a);
		vm_save(&to, &b);
		for (int c = 0; c < 3; c++) {
			compare("chip, set", &in.chips[c], &a.chips[c], sizeof(a.chips[c]));
			compare("chip", &a.chips[c], &b.chips[c], sizeof(a.chips[c]));
		}
		EXPECT_GE(b.clock.clock, a.clock.clock);
		for (int c = 0; c < 3; c++)
			a.pit.channels[c].count_load_time = b.pit.channels[c].count_load_time = 0;
		compare("pit", &a.pit, &b.pit, sizeof(a.pit));
		vm_destroy(&from);
		vm_destroy(&to);
		ASSERT_EQ(0, differences) TH_LOG("round %d", i);
	}
}

TEST_HARNESS_MAIN
