// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that moves: whatever KVM_RUN returned for, the state that userspace then reads is
 * all there is, and another VM with it goes on.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "save.h"
#include "kselftest_harness.h"

#define IF		BIT(9)
#define MSR_PV_EOI	0x4b564d04
#define REG_SVR		0xf0
#define REG_ISR		0x100
#define REG_TMR		0x180
#define REG_IRR		0x200
#define VECTOR		0x51

#define GPA_FLAG	(GPA_FREE + 0x0)	/* PV EOI's */
#define GPA_COUNT	(GPA_FREE + 0x40)
#define GPA_HANDLER	(GPA_FREE + 0x1000)

GUEST(window, 64, "sti\n nop\n nop\n cli\n sti\n nop\n nop\n cli\n out %al, $0x10\n jmp guest_window");

/* As Linux ends an interrupt: by the flag if it is set, else by the register. */
GUEST(pv_handler, 64,
	"	btrl $0, 0x40000\n"
	"	jc 1f\n"
	"	mov %rax, 0x40080\n"
	"	mov $0xfee000b0, %eax\n"
	"	movl $0, (%rax)\n"
	"	mov 0x40080, %rax\n"
	"1:	incq 0x40040\n"
	"	iretq");

/* ---- a VM, and the one that it moves to ---- */

static void set_handler(struct vm *vm, int vector, u64 gpa, const u8 *start, const u8 *end)
{
	u64 *gate = (u64 *)(vm->mem + GPA_IDT) + 2 * vector;

	vm_load(vm, gpa, start, end);
	gate[0] = (gpa & 0xffff) | (gpa >> 16 & 0xffff) << 48 | (u64)SEL_CODE64 << 16 |
		  0x8e00ULL << 32;
}

#define COUNT(vm)	(*(volatile u64 *)((vm)->mem + GPA_COUNT))
#define FLAG(vm)	(*(volatile u8 *)((vm)->mem + GPA_FLAG))

static u32 reg(struct vcpu *vcpu, u32 offset)
{
	struct kvm_lapic_state s;
	u32 v;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &s))
		die("KVM_GET_LAPIC");
	memcpy(&v, s.regs + offset, 4);
	return v;
}

static void put_reg(struct vcpu *vcpu, u32 offset, u32 v)
{
	struct kvm_lapic_state s;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &s))
		die("KVM_GET_LAPIC");
	memcpy(s.regs + offset, &v, 4);
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &s))
		die("KVM_SET_LAPIC");
}

static int in_service(struct vcpu *vcpu, u32 vector)
{
	return reg(vcpu, REG_ISR + vector / 32 * 16) >> (vector & 31) & 1;
}

static int msi(struct vm *vm, u32 data)
{
	struct kvm_msi m = { .address_lo = 0xfee00000, .data = data };

	return ioctl(vm->fd, KVM_SIGNAL_MSI, &m);
}

/* What vm is, in a new VM of the same kind. */
static void move(struct vm *from, struct vm *to)
{
	struct saved_vcpu *v = malloc(sizeof(*v));

	vcpu_save(from, &from->vcpu, v);
	vm_create_split(to);
	memcpy(to->mem, from->mem, MEM_SIZE);
	to->mode = from->mode;
	vcpu_restore(to, &to->vcpu, v);
	free(v);
}

static void on_signal(int sig)
{
}

/*
 * A signal that is blocked, but not in KVM_RUN: one that is raised ahead of KVM_RUN calls
 * the first entry off, after the event for it was injected.
 */
static void block_usr1(struct vcpu *vcpu)
{
	struct { struct kvm_signal_mask h; u64 set; } m = { { .len = 8 }, 0 };
	sigset_t set;

	signal(SIGUSR1, on_signal);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (ioctl(vcpu->fd, KVM_SET_SIGNAL_MASK, &m))
		die("KVM_SET_SIGNAL_MASK");
}

/* KVM_RUN returns for a signal, and leaves it pending. */
static void eat_usr1(void)
{
	const struct timespec now = { 0 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (sigtimedwait(&set, NULL, &now) > 0)
		;
}

static int run_called_off(struct vcpu *vcpu)
{
	int e;

	raise(SIGUSR1);
	e = err(ioctl(vcpu->fd, KVM_RUN, 0L));
	eat_usr1();
	return e;
}

FIXTURE(move) {
	struct vm vm, to;
};

FIXTURE_SETUP(move)
{
	vm_create_split(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	GUEST_LOAD(&self->vm, window);
	set_handler(&self->vm, VECTOR, GPA_HANDLER, guest_pv_handler, guest_pv_handler_end);
	put_reg(&self->vm.vcpu, REG_SVR, 0x1ff);
}

FIXTURE_TEARDOWN(move)
{
	vm_destroy(&self->vm);
}

/* ---- what KVM_RUN may have begun ---- */

/*
 * An interrupt is injected, its EOI offered in the guest's memory, and the entry called off.
 * The offer must not stay: nobody would collect the guest's answer.
 */
TEST_F(move, pv_eoi)
{
	struct vm *vm = &self->vm, *to = &self->to;
	struct kvm_regs r;

	FLAG(vm) = 0;		/* the page is there: no offer waits for one */
	ASSERT_EQ(1, vcpu_set_msr(&vm->vcpu, MSR_PV_EOI, GPA_FLAG | 1));
	ASSERT_EQ(1, msi(vm, VECTOR));
	r = vcpu_regs(&vm->vcpu);
	r.rflags |= IF;
	vcpu_set_regs(&vm->vcpu, &r);
	block_usr1(&vm->vcpu);
	ASSERT_EQ(EINTR, run_called_off(&vm->vcpu));
	EXPECT_EQ(0, COUNT(vm));
	EXPECT_EQ(0, FLAG(vm) & 1);
	move(vm, to);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(to));
	EXPECT_EQ(1, COUNT(to));
	EXPECT_EQ(0, in_service(&to->vcpu, VECTOR));
	/* and one more, of the same priority */
	ASSERT_EQ(1, msi(to, VECTOR));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(to));
	EXPECT_EQ(2, COUNT(to));
	vm_destroy(to);
	/* the old one goes on as well */
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(1, COUNT(vm));
	EXPECT_EQ(0, in_service(&vm->vcpu, VECTOR));
}

/* NMIs that have arrived and that no KVM_RUN has seen. */
TEST_F(move, queued_nmis)
{
	struct vm *vm = &self->vm, *to = &self->to;
	struct kvm_vcpu_events e;

	ASSERT_EQ(1, msi(vm, 0x400));
	ASSERT_EQ(1, msi(vm, 0x400));
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(2, e.nmi.pending);
	move(vm, to);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(to));
	EXPECT_EQ(2, trap(to)->count);
	EXPECT_EQ(2, trap(to)->vector);
	vm_destroy(to);
	/* What has arrived before a state is set is not of that state. */
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(2, trap(vm)->count);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(0, e.nmi.pending);
	ASSERT_EQ(1, msi(vm, 0x400));
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(2, trap(vm)->count);
}

/* INIT and SIPI that have arrived, whichever part of the state is read first. */
TEST_F(move, init_sipi)
{
	struct vm *vm = &self->vm;
	struct kvm_mp_state mp;
	struct kvm_sregs s;
	struct vcpu ap;

	vcpu_create(vm, &ap, 1);
	for (int mp_first = 0; mp_first < 2; mp_first++) {
		struct kvm_msi init = { .address_lo = 0xfee01000, .data = 0x4500 };
		struct kvm_msi sipi = { .address_lo = 0xfee01000, .data = 0x4600 | 0x12 };
		struct kvm_regs r = { .rip = 0x777, .rflags = 2 };

		vcpu_set_regs(&ap, &r);
		ASSERT_EQ(1, ioctl(vm->fd, KVM_SIGNAL_MSI, &init));
		ASSERT_EQ(1, ioctl(vm->fd, KVM_SIGNAL_MSI, &sipi));
		if (mp_first)
			ASSERT_EQ(0, ioctl(ap.fd, KVM_GET_MP_STATE, &mp));
		s = vcpu_sregs(&ap);
		EXPECT_EQ(0x1200, s.cs.selector);
		EXPECT_EQ(0x12000, s.cs.base);
		EXPECT_EQ(0, vcpu_regs(&ap).rip);
		ASSERT_EQ(0, ioctl(ap.fd, KVM_GET_MP_STATE, &mp));
		EXPECT_EQ(KVM_MP_STATE_RUNNABLE, mp.mp_state);
	}
	munmap(ap.run, vm->run_size);
	close(ap.fd);
}

/* A state that is set is not reset by an INIT that came before it. */
TEST_F(move, init_before_restore)
{
	struct vm *vm = &self->vm;
	struct saved_vcpu *v = malloc(sizeof(*v));

	vcpu_save(vm, &vm->vcpu, v);
	ASSERT_EQ(1, msi(vm, 0x4500));
	vcpu_restore(vm, &vm->vcpu, v);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(0x10, vm->vcpu.run->io.port);
	free(v);
}

/*
 * ---- page tables that userspace writes ----
 */

#define VA	0x80000
#define PA	0x90000
#define GPA_NEW	0x100000		/* other tables: PT, PD, PDPT */

GUEST(load, 64, "1: mov (%rbx), %rax\n out %al, $0x10\n jmp 1b");

static u64 load(struct vcpu *vcpu)
{
	if (vcpu_run(vcpu) != KVM_EXIT_IO)
		die("the load of a word");
	return vcpu_regs(vcpu).rax;
}

/*
 * As loadvm does: userspace rewrites a table that is in use, of any level, and sets the
 * registers, to what they were.  Each vcpu then uses what the tables say.
 */
TEST_F(move, tables_rewritten)
{
	static const u64 table[] = { GPA_PT0, GPA_PD, GPA_PDPT, GPA_PML4 };
	struct vm *vm = &self->vm;
	struct vcpu v[2] = { vm->vcpu };
	struct kvm_mp_state runs = { KVM_MP_STATE_RUNNABLE };
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2, .rbx = VA };

	vcpu_create(vm, &v[1], 1);
	ASSERT_EQ(0, ioctl(v[1].fd, KVM_SET_MP_STATE, &runs));
	for (int level = 0; level < 4; level++) {
		u64 *entry = (u64 *)(vm->mem + table[level]) + (level ? 0 : VA >> 12);

		for (int i = 0; i < 2; i++) {
			vm_mode(vm, &v[i], LONG);
			vcpu_set_regs(&v[i], &r);
		}
		GUEST_LOAD(vm, load);
		*(u64 *)(vm->mem + VA) = 0x11;
		*(u64 *)(vm->mem + PA) = 0x22;
		EXPECT_EQ(0x11, load(&v[0]));
		EXPECT_EQ(0x11, load(&v[1]));
		for (int l = 0; l < level; l++) {
			u64 *new = (u64 *)(vm->mem + GPA_NEW + l * 0x1000);

			memcpy(new, vm->mem + table[l], 0x1000);
			if (l)
				new[0] = (GPA_NEW + (l - 1) * 0x1000) | PTE_P | PTE_W;
			else
				new[VA >> 12] = PA | PTE_P | PTE_W;
		}
		*entry = (level ? GPA_NEW + (level - 1) * 0x1000 : PA) | PTE_P | PTE_W;
		for (int i = 0; i < 2; i++) {
			struct kvm_sregs s = vcpu_sregs(&v[i]);

			vcpu_set_sregs(&v[i], &s);
		}
		EXPECT_EQ(0x22, load(&v[0])) TH_LOG("level %d", level + 1);
		EXPECT_EQ(0x22, load(&v[1])) TH_LOG("level %d", level + 1);
	}
	munmap(v[1].run, vm->run_size);
	close(v[1].fd);
}

/*
 * ---- EOIs that userspace's I/O APIC waits for ----
 */

#define LEVELS		24

/* Ends all interrupts in service, one after the other. */
GUEST(eois, 64,
	"1:	mov $24, %ecx\n"
	"	mov $0xfee000b0, %edx\n"
	"2:	movl $0, (%rdx)\n"
	"	dec %ecx\n"
	"	jnz 2b\n"
	"	out %al, $0x10\n"
	"	jmp 1b");

GUEST(one_eoi, 64, "mov $0xfee000b0, %edx; movl $0, (%rdx); out %al, $0x10");

static void route_levels(struct vm *vm)
{
	struct { struct kvm_irq_routing h; struct kvm_irq_routing_entry e[LEVELS]; } r = {
		{ .nr = LEVELS } };

	for (u32 i = 0; i < LEVELS; i++)
		r.e[i] = (struct kvm_irq_routing_entry){
			.gsi = i, .type = KVM_IRQ_ROUTING_MSI,
			.u.msi = { .address_lo = 0xfee00000, .data = 0xc000 | (0x40 + i) },
		};
	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &r))
		die("KVM_SET_GSI_ROUTING");
}

static void serve_levels(struct vcpu *vcpu)
{
	struct kvm_lapic_state s;
	u32 bits = (1 << LEVELS) - 1;

	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &s))
		die("KVM_GET_LAPIC");
	memcpy(s.regs + REG_ISR + 0x20, &bits, 4);
	memcpy(s.regs + REG_TMR + 0x20, &bits, 4);
	if (ioctl(vcpu->fd, KVM_SET_LAPIC, &s))
		die("KVM_SET_LAPIC");
}

/* A pin is given another processor, or another vector, with its interrupt requested or in service. */
TEST_F(move, eoi_of_retargeted_pin)
{
	struct vm *vm = &self->vm;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	struct { struct kvm_irq_routing h; struct kvm_irq_routing_entry e; } route = {
		{ .nr = 1 }, { .gsi = 4, .type = KVM_IRQ_ROUTING_MSI } };
	static const struct { u32 address, data; } to[] = {
		{ 0xfee00000, 0xc000 | VECTOR }, { 0xfee01000, 0xc000 | VECTOR },
		{ 0xfee00000, 0xc000 | (VECTOR + 16) }, { 0xfee00000, VECTOR },
	};

	for (size_t i = 0; i < 2 * ARRAY_LEN(to); i++) {
		struct kvm_irq_level l = { .irq = 4, .level = 1 };
		int told = 0;

		route.e.u.msi.address_lo = to[0].address;
		route.e.u.msi.data = to[0].data;
		ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_GSI_ROUTING, &route));
		ASSERT_EQ(0, ioctl(vm->fd, KVM_IRQ_LINE, &l));
		if (i & 1) {		/* in service */
			put_reg(&vm->vcpu, REG_IRR + VECTOR / 32 * 16, 0);
			put_reg(&vm->vcpu, REG_ISR + VECTOR / 32 * 16, 1 << VECTOR % 32);
			GUEST_LOAD(vm, one_eoi);
		} else {
			GUEST_LOAD(vm, window);
		}
		route.e.u.msi.address_lo = to[i / 2].address;
		route.e.u.msi.data = to[i / 2].data;
		ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_GSI_ROUTING, &route));
		vcpu_set_regs(&vm->vcpu, &r);
		while (vm_run(vm) == KVM_EXIT_IOAPIC_EOI) {
			EXPECT_EQ(VECTOR, vm->vcpu.run->eoi.vector);
			told++;
		}
		EXPECT_EQ(KVM_EXIT_IO, vm->vcpu.run->exit_reason);
		EXPECT_EQ(1, told) TH_LOG("%s, route %zu", i & 1 ? "in service" : "requested", i / 2);
	}
}

struct storm {
	pthread_t target;
	volatile bool stop;
};

static void *send_signals(void *arg)
{
	struct storm *storm = arg;

	for (u32 n = 1; !storm->stop; n = n * 1103515245 + 12345) {
		for (u32 i = n >> 20; i; i--)
			asm volatile("");
		pthread_kill(storm->target, SIGUSR1);
	}
	return NULL;
}

/*
 * A signal comes with an EOI.  The exit that tells userspace of the EOI comes first: if the VM
 * is saved upon the signal, nothing else would tell of it, and userspace's pin would wait for ever.
 */
TEST_F_TIMEOUT(move, eoi_ahead_of_signal, 120)
{
	struct vm *vm = &self->vm;
	struct storm storm = { .target = pthread_self() };
	int rounds = is_slow() ? 30 : 1000, interrupted = 0, between = 0, lost = 0;
	pthread_t thread;

	GUEST_LOAD(vm, eois);
	route_levels(vm);
	block_usr1(&vm->vcpu);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_signals, &storm));
	for (int i = 0; i < rounds; i++) {
		int serving = LEVELS, told = 0;

		serve_levels(&vm->vcpu);
		for (;;) {
			int e = err(ioctl(vm->vcpu.fd, KVM_RUN, 0L));

			if (e == EINTR) {
				eat_usr1();
				serving = __builtin_popcount(reg(&vm->vcpu, REG_ISR + 0x20));
				interrupted++;
				between += serving && serving < LEVELS;
				lost += LEVELS - serving != told;
				continue;
			}
			ASSERT_EQ(0, e);
			if (vm->vcpu.run->exit_reason != KVM_EXIT_IOAPIC_EOI)
				break;
			told++;
		}
		ASSERT_EQ(KVM_EXIT_IO, vm->vcpu.run->exit_reason);
		EXPECT_EQ(LEVELS, told);
	}
	storm.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, lost)
		TH_LOG("%d of %d signals, %d of them between EOIs", lost, interrupted, between);
	EXPECT_LT(0, between);
	TH_LOG("%d signals, %d of them between EOIs", interrupted, between);
}

/* RDMSR of an MSR that there is not is #GP, whose handler goes on behind it: EBX rounds. */
GUEST(faults, 64,
	"	mov $0x4b4d5fff, %ecx\n"
	"1:	rdmsr\n"
	"	dec %ebx\n"
	"	jnz 1b\n"
	"	out %al, $0x10");
GUEST(skip_fault, 64,
	"	add $8, %rsp\n"
	"	addq $2, (%rsp)\n"
	"	inc %esi\n"
	"	iretq");

/*
 * A signal comes with an exception that is yet to be delivered.  A VMM that saves the vcpu then
 * may lose what belongs to it (QEMU 7.2 the error code): the guest is given it first.
 */
TEST_F_TIMEOUT(move, exception_ahead_of_signal, 120)
{
	struct vm *vm = &self->vm;
	struct storm storm = { .target = pthread_self() };
	int rounds = is_slow() ? 10 : 200, interrupted = 0, waiting = 0;
	struct kvm_regs r;
	pthread_t thread;

	NOT_ON_BOCHS_SVM("the emulator exits for an interrupt that waits before the event that VMRUN injects");
	GUEST_LOAD(vm, faults);
	set_handler(vm, 13, GPA_HANDLER + 0x100, guest_skip_fault, guest_skip_fault_end);
	block_usr1(&vm->vcpu);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_signals, &storm));
	for (int i = 0; i < rounds; i++) {
		r = (struct kvm_regs){ .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rbx = 500 };
		vcpu_set_regs(&vm->vcpu, &r);
		for (;;) {
			struct kvm_vcpu_events ev;
			int e = err(ioctl(vm->vcpu.fd, KVM_RUN, 0L));

			if (e != EINTR) {
				ASSERT_EQ(0, e);
				break;
			}
			eat_usr1();
			interrupted++;
			ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_VCPU_EVENTS, &ev));
			waiting += ev.exception.injected || ev.exception.pending;
		}
		ASSERT_EQ(KVM_EXIT_IO, vm->vcpu.run->exit_reason);
		ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_REGS, &r));
		EXPECT_EQ(500, r.rsi);
	}
	storm.stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, waiting);
	EXPECT_LT(0, interrupted);
	TH_LOG("%d signals, %d of them ahead of an exception", interrupted, waiting);
}

/*
 * ---- pins of the I/O APIC ----
 */

static struct kvm_irqchip ioapic(struct vm *vm)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	if (ioctl(vm->fd, KVM_GET_IRQCHIP, &chip))
		die("KVM_GET_IRQCHIP");
	return chip;
}

static void set_pin(struct vm *vm, int pin, u64 bits)
{
	struct kvm_irqchip chip = ioapic(vm);

	chip.chip.ioapic.redirtbl[pin].bits = bits;
	if (ioctl(vm->fd, KVM_SET_IRQCHIP, &chip))
		die("KVM_SET_IRQCHIP");
}

static void line(struct vm *vm, u32 gsi, u32 level)
{
	struct kvm_irq_level l = { .irq = gsi, .level = level };

	if (ioctl(vm->fd, KVM_IRQ_LINE, &l))
		die("KVM_IRQ_LINE");
}

FIXTURE(pins) {
	struct vm vm;
};

FIXTURE_SETUP(pins)
{
	vm_create_full(&self->vm);
	put_reg(&self->vm.vcpu, REG_SVR, 0x1ff);
}

FIXTURE_TEARDOWN(pins)
{
	vm_destroy(&self->vm);
}

/* An edge that was delivered is not delivered again, and the next one is. */
TEST_F(pins, edge_once)
{
	struct vm *vm = &self->vm;
	struct vcpu *vcpu = &vm->vcpu;
	struct kvm_irqchip chip;

	set_pin(vm, 4, VECTOR);
	line(vm, 4, 1);
	EXPECT_EQ(1 << (VECTOR & 31), reg(vcpu, REG_IRR + VECTOR / 32 * 16));
	/* the guest takes it, while its source goes on asserting the pin */
	put_reg(vcpu, REG_IRR + VECTOR / 32 * 16, 0);
	chip = ioapic(vm);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	EXPECT_EQ(0, reg(vcpu, REG_IRR + VECTOR / 32 * 16));
	line(vm, 4, 0);
	line(vm, 4, 1);
	EXPECT_EQ(1 << (VECTOR & 31), reg(vcpu, REG_IRR + VECTOR / 32 * 16));
}

/* A pin that is restored as asserted is its source's to lower, be it a resampling irqfd. */
TEST_F(pins, restored_is_lowered)
{
	struct vm *vm = &self->vm;
	struct kvm_irqfd fd = { .gsi = 9, .flags = KVM_IRQFD_FLAG_RESAMPLE,
				.fd = eventfd(0, 0), .resamplefd = eventfd(0, 0) };
	struct kvm_irqchip chip, pic = { .chip_id = KVM_IRQCHIP_PIC_SLAVE };
	u64 one = 1;

	set_pin(vm, 9, 0x8000 | VECTOR);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_IRQFD, &fd));
	ASSERT_EQ(8, write(fd.fd, &one, 8));
	chip = ioapic(vm);
	EXPECT_EQ(BIT(9), chip.chip.ioapic.irr);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_IRQCHIP, &pic));
	EXPECT_EQ(BIT(1), pic.chip.pic.last_irr);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_IRQCHIP, &chip));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_SET_IRQCHIP, &pic));
	fd.flags = KVM_IRQFD_FLAG_DEASSIGN;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_IRQFD, &fd));
	EXPECT_EQ(0, ioapic(vm).chip.ioapic.irr);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_IRQCHIP, &pic));
	EXPECT_EQ(0, pic.chip.pic.last_irr);
	close(fd.fd);
	close(fd.resamplefd);
}

TEST_HARNESS_MAIN
