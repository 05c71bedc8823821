// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes, messages and irqfds: what reaches the guest, what is refused, and
 * every order of taking them down.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#include "ops.h"
#include "kselftest_harness.h"

#define IOAPIC		0xfec00000ULL
#define APIC		0xfee00000ULL
#define EOI		{ WR4, APIC + 0xb0, 0 }
#define REG_WRITE(reg, val)	{ WR4, IOAPIC, reg }, { WR4, IOAPIC + 0x10, val }
#define RESAMPLE	KVM_IRQFD_FLAG_RESAMPLE
#define GONE		KVM_IRQFD_FLAG_DEASSIGN

FIXTURE(irqfd) {
	struct vm vm;
	int efd;
};

FIXTURE_SETUP(irqfd)
{
	vm_create_full(&self->vm);
	ops_begin(&self->vm);
	RUN(&self->vm, { OUT1, 0x21, 0xff }, { OUT1, 0xa1, 0xff }, { WR4, APIC + 0xf0, 0x1ff });
	self->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

FIXTURE_TEARDOWN(irqfd)
{
	close(self->efd);
	vm_destroy(&self->vm);
}

static void signal_fd(int fd)
{
	u64 one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		die("eventfd");
}

static u64 signalled(int fd)
{
	u64 n = 0;

	return read(fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static int irqfd(int vm_fd, int fd, u32 gsi, u32 flags, int resamplefd)
{
	struct kvm_irqfd args = { .fd = fd, .gsi = gsi, .flags = flags, .resamplefd = resamplefd };

	return err(ioctl(vm_fd, KVM_IRQFD, &args));
}

static struct kvm_irq_routing_entry msi_route(u32 gsi, u32 vector)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_MSI, .u.msi = { .address_lo = APIC, .data = vector },
	};
}

static struct kvm_irq_routing_entry pin_route(u32 gsi, u32 chip, u32 pin)
{
	return (struct kvm_irq_routing_entry){
		.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP, .u.irqchip = { .irqchip = chip, .pin = pin },
	};
}

static int set_routes(int vm_fd, const struct kvm_irq_routing_entry *e, u32 nr)
{
	struct kvm_irq_routing *r = calloc(1, sizeof(*r) + nr * sizeof(*e));
	int ret;

	r->nr = nr;
	memcpy(r->entries, e, nr * sizeof(*e));
	ret = err(ioctl(vm_fd, KVM_SET_GSI_ROUTING, r));
	free(r);
	return ret;
}

#define ROUTES(vm, ...) ({						\
	struct kvm_irq_routing_entry e_[] = { __VA_ARGS__ };		\
	set_routes((vm)->fd, e_, ARRAY_LEN(e_));			\
})

TEST_F(irqfd, routes)
{
	struct vm *vm = &self->vm;
	struct kvm_irq_routing head = { .flags = 1 };
	struct kvm_irq_routing_entry e;
	int user = ioctl(vm->sys, KVM_CREATE_VM, 0L);

	EXPECT_EQ(0, ROUTES(vm, msi_route(5, 0x40), pin_route(6, 2, 6), pin_route(6, 0, 6), pin_route(7, 2, 6)));
	EXPECT_EQ(0, ROUTES(vm, msi_route(4095, 0x40)));
	EXPECT_EQ(EINVAL, ROUTES(vm, msi_route(4096, 0x40)));
	EXPECT_EQ(EINVAL, ROUTES(vm, msi_route(1000000, 0x40)));
	EXPECT_EQ(EINVAL, ROUTES(vm, msi_route(~0U, 0x40)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 3, 0)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, ~0U, 0)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 2, 24)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 2, ~0U)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 0, 8)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 1, 8)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 2, 1), pin_route(1, 2, 2)));
	EXPECT_EQ(EINVAL, ROUTES(vm, msi_route(1, 0x40), msi_route(1, 0x41)));
	EXPECT_EQ(EINVAL, ROUTES(vm, pin_route(1, 2, 1), msi_route(1, 0x41)));
	e = msi_route(1, 0x40), e.type = 0;
	EXPECT_EQ(EINVAL, ROUTES(vm, e));
	e = msi_route(1, 0x40), e.type = 77;
	EXPECT_EQ(EINVAL, ROUTES(vm, e));
	e = pin_route(1, 2, 1), e.flags = 1;
	EXPECT_EQ(EINVAL, ROUTES(vm, e));
	e = msi_route(1, 0x40), e.flags = 2;
	EXPECT_EQ(EINVAL, ROUTES(vm, e));
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &head)));
	head.flags = 0, head.nr = 4097;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &head)));
	head.nr = ~0U;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &head)));
	head.nr = 0;
	EXPECT_EQ(0, err(ioctl(vm->fd, KVM_SET_GSI_ROUTING, &head)));
	EXPECT_EQ(EINVAL, err(ioctl(user, KVM_SET_GSI_ROUTING, &head)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_SET_GSI_ROUTING, BAD_PTR)));
	close(user);
}

/* What was refused changed nothing. */
TEST_F(irqfd, refused_routes)
{
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, ROUTES(vm, msi_route(50, 0x41)));
	ASSERT_EQ(EINVAL, ROUTES(vm, msi_route(50, 0x42), msi_route(5000, 0x43)));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 50, 0, 0));
	signal_fd(self->efd);
	RUN(vm, { WINDOW }, EOI);
	EXPECT_LE(1, taken(vm));
	EXPECT_EQ(0x41, trap(vm)->vector);
}

TEST_F(irqfd, msi)
{
	struct vm *vm = &self->vm;
	struct kvm_msi msi = { .address_lo = APIC };
	int user = ioctl(vm->sys, KVM_CREATE_VM, 0L);

	for (u32 v = 16; v < 256; v++) {
		/* ours handles exceptions' vectors otherwise */
		if (v < 32)
			continue;
		msi.data = v;
		ASSERT_EQ(1, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
		ASSERT_EQ(0, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
		RUN(vm, { WINDOW }, EOI);
		ASSERT_LE(1, taken(vm));
		ASSERT_EQ(v, trap(vm)->vector);
	}
	/* nobody has this id; below 16 there is no vector */
	msi.address_lo = APIC | 0x77 << 12;
	EXPECT_GE(0, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
	msi.address_lo = APIC;
	for (msi.data = 0; msi.data < 16; msi.data++)
		EXPECT_GE(0, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	msi.flags = 2;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_SIGNAL_MSI, BAD_PTR)));
	msi.flags = 0;
	EXPECT_EQ(EINVAL, err(ioctl(user, KVM_SIGNAL_MSI, &msi)));
	close(user);
}

/* Bits 11:5 of the address count with 32-bit ids, unless bit 4 says that they are an IOMMU's. */
TEST_F(irqfd, extended_destination)
{
	struct kvm_enable_cap ids = {
		.cap = KVM_CAP_X2APIC_API, .args = { KVM_X2APIC_API_USE_32BIT_IDS },
	};
	struct vm *vm = &self->vm;
	struct kvm_msi msi = { .data = 0x55 };

	if (on_stock())
		SKIP(return, "stock leaves these bits to the VMM");
	/* the VMM sets it, whose I/O APIC has a part in it, too */
	EXPECT_EQ(0, cpuid_reg(vm->sys, 0x40000001, 0, 0) & BIT(15));
	for (int bit = 5; bit <= 11; bit++) {
		msi.address_lo = APIC | BIT(bit);
		EXPECT_EQ(1, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)) TH_LOG("bit %d", bit);
		RUN(vm, { WINDOW }, EOI);
		EXPECT_LE(1, taken(vm));
	}
	ASSERT_EQ(0, ioctl(vm->fd, KVM_ENABLE_CAP, &ids));
	for (int bit = 5; bit <= 11; bit++) {
		msi.address_lo = APIC | BIT(bit);
		EXPECT_EQ(0, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)) TH_LOG("bit %d", bit);
		msi.address_lo |= BIT(4);
		EXPECT_EQ(1, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)) TH_LOG("bit %d", bit);
		RUN(vm, { WINDOW }, EOI);
		EXPECT_LE(1, taken(vm));
	}
	/* the upper half's lowest byte stays reserved */
	msi.address_lo = APIC;
	msi.address_hi = 1;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_SIGNAL_MSI, &msi)));
	msi.address_hi = 0x100;
	EXPECT_EQ(0, ioctl(vm->fd, KVM_SIGNAL_MSI, &msi));
}

/* Assigned before its route is there; signalled before it is assigned; both come. */
TEST_F(irqfd, orders)
{
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 60, 0, 0));
	signal_fd(self->efd);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	ASSERT_EQ(0, ROUTES(vm, msi_route(60, 0x44)));
	signal_fd(self->efd);
	RUN(vm, { WINDOW }, EOI);
	EXPECT_LE(1, taken(vm));
	/* what became an interrupt is not there to be read */
	EXPECT_EQ(0, signalled(self->efd));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 60, GONE, 0));
	signal_fd(self->efd);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 60, 0, 0));
	RUN(vm, { WINDOW }, EOI);
	EXPECT_LE(1, taken(vm));
	EXPECT_EQ(0x44, trap(vm)->vector);
}

/* The line stays up until the EOI, which signals the other eventfd. */
TEST_F(irqfd, resample)
{
	struct vm *vm = &self->vm;
	int re = eventfd(0, EFD_NONBLOCK);

	RUN(vm, REG_WRITE(0x10 + 2 * 10, 0x8000 | 0x50));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 10, RESAMPLE, re));
	for (int i = 0; i < 10; i++) {
		signal_fd(self->efd);
		RUN(vm, { WINDOW });
		EXPECT_LE(1, taken(vm));
		EXPECT_EQ(0x50, trap(vm)->vector);
		EXPECT_EQ(0, signalled(re));
		RUN(vm, EOI, { WINDOW });
		EXPECT_EQ(0, taken(vm));
		EXPECT_EQ(1, signalled(re));
	}
	/* taken away while the line is up: down it goes */
	signal_fd(self->efd);
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 10, GONE, 0));
	RUN(vm, { WINDOW }, EOI, { WINDOW });
	EXPECT_GE(2, taken(vm));
	EXPECT_EQ(0, signalled(re));
	close(re);
}

/* The resampling eventfd is the irqfd itself, and a ring of two: each EOI the next interrupt, and no more. */
TEST_F(irqfd, resample_loop)
{
	struct vm *vm = &self->vm;
	int other = eventfd(0, EFD_NONBLOCK);

	RUN(vm, REG_WRITE(0x10 + 2 * 10, 0x8000 | 0x50), REG_WRITE(0x10 + 2 * 11, 0x8000 | 0x51));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 10, RESAMPLE, self->efd));
	signal_fd(self->efd);
	for (int i = 0; i < 5; i++) {
		RUN(vm, { WINDOW }, EOI);
		EXPECT_LE(1, taken(vm));
	}
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 10, GONE, 0));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 10, RESAMPLE, other));
	ASSERT_EQ(0, irqfd(vm->fd, other, 11, RESAMPLE, self->efd));
	signal_fd(self->efd);
	for (int i = 0; i < 6; i++)
		RUN(vm, { WINDOW }, EOI);
	EXPECT_LE(4, taken(vm));
	close(other);
}

/* An ioeventfd that is an irqfd: the guest's write is its interrupt. */
TEST_F(irqfd, self_service)
{
	struct vm *vm = &self->vm;
	struct kvm_ioeventfd e = { .addr = 0x5680, .len = 1, .fd = self->efd, .flags = KVM_IOEVENTFD_FLAG_PIO };

	ASSERT_EQ(0, ROUTES(vm, msi_route(60, 0x45)));
	ASSERT_EQ(0, irqfd(vm->fd, self->efd, 60, 0, 0));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_IOEVENTFD, &e));
	for (int i = 0; i < 5; i++) {
		RUN(vm, { OUT1, 0x5680, 1 }, { WINDOW }, EOI);
		EXPECT_LE(1, taken(vm));
		EXPECT_EQ(0x45, trap(vm)->vector);
	}
}

TEST_F(irqfd, wrong)
{
	struct vm *vm = &self->vm;
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	int user = ioctl(vm->sys, KVM_CREATE_VM, 0L), plain = open("/dev/null", O_RDONLY);

	EXPECT_EQ(EINVAL, irqfd(vm->fd, self->efd, 5, 4, 0));
	EXPECT_EQ(EINVAL, irqfd(vm->fd, self->efd, 5, 1U << 31, 0));
	EXPECT_EQ(EINVAL, irqfd(vm->fd, plain, 5, 0, 0));
	EXPECT_EQ(EBADF, irqfd(vm->fd, 999, 5, 0, 0));
	EXPECT_EQ(EBADF, irqfd(vm->fd, -1, 5, 0, 0));
	EXPECT_EQ(EBADF, irqfd(vm->fd, self->efd, 5, RESAMPLE, 999));
	EXPECT_EQ(EINVAL, irqfd(vm->fd, self->efd, 5, RESAMPLE, plain));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_IRQFD, BAD_PTR)));
	EXPECT_EQ(0, irqfd(vm->fd, self->efd, 5, 0, 0));
	EXPECT_EQ(EBUSY, irqfd(vm->fd, self->efd, 5, 0, 0));
	EXPECT_EQ(EBUSY, irqfd(vm->fd, self->efd, 6, RESAMPLE, self->efd));
	EXPECT_EQ(0, irqfd(vm->fd, self->efd, 5, GONE, 0));
	EXPECT_EQ(0, irqfd(vm->fd, self->efd, 5, GONE, 0));
	EXPECT_EQ(EINVAL, irqfd(user, self->efd, 5, 0, 0));
	if (!on_stock())
		EXPECT_EQ(EINVAL, irqfd(vm->fd, self->efd, 1000000, 0, 0));
	/* with the chips in userspace no acknowledge is heard here */
	ASSERT_EQ(0, ioctl(user, KVM_ENABLE_CAP, &split));
	EXPECT_EQ(EINVAL, irqfd(user, self->efd, 5, RESAMPLE, self->efd));
	EXPECT_EQ(0, irqfd(user, self->efd, 5, 0, 0));
	close(user);
	close(plain);
}

/* ---- taking down ---- */

static volatile bool stop, rests;	/* between two salvos */
static volatile unsigned long fired;	/* salvos at all four */

/* Those of these threads that never rest fill the time that the test's own leaves. */
static void give_way(void)
{
	setpriority(PRIO_PROCESS, 0, 10);
}

/* Until each has been fired at since now, but where that is all that ever happens. */
static void let_fire(void)
{
	if (!rests)
		return;
	for (unsigned long from = fired; fired < from + 2;)
		usleep(20);
}

static void *fire(void *arg)
{
	int *fds = arg;
	u64 one = 1;

	give_way();
	while (!stop) {
		for (int i = 0; i < 4; i++)
			if (write(fds[i], &one, sizeof(one)) < 0)
				continue;
		fired++;
		if (rests)
			usleep(20);
	}
	return NULL;
}

/* Never rests, or halts after each while GPA_DATA says so. */
GUEST(eoi_storm, 64, "mov $0xfee000b0, %ebx; mov $" "0x20000" ", %esi\n"
	"1: movl $0, (%rbx); sti; cmpb $0, (%rsi); je 1b; hlt; jmp 1b");

static void on_kick(int sig)
{
}

static void *run_guest(void *arg)
{
	struct sigaction kick = { .sa_handler = on_kick };
	struct vm *vm = arg;

	sigaction(SIGUSR1, &kick, NULL);
	give_way();
	while (!stop)
		ioctl(vm->vcpu.fd, KVM_RUN, 0);
	return NULL;
}

static void *end_guest(pthread_t thread, struct vm *vm)
{
	stop = true;
	vm->vcpu.run->immediate_exit = 1;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	return NULL;
}

/*
 * A tenth of them but where ROUNDS= asks for all, as make check does in one of its boots;
 * fewer in Bochs, which is slow and has but one processor.
 */
static int all_rounds(void)
{
	const char *rounds = getenv("ROUNDS");

	return rounds ? atoi(rounds) : on_bochs() ? 200 : 1000;
}

/* LAB_ROUNDS= is the percentage of them that the machine has time for. */
static int many_rounds(void)
{
	const char *percent = getenv("LAB_ROUNDS");

	return all_rounds() * (percent ? atoi(percent) : 100) / 100;
}

/*
 * The lab's processors take turns: each step of this thread waits a tick for one that
 * never rests.  So in most of ten thousand rounds they do, and what is fired in between
 * is counted; where the rounds are fewer, and races looked for, never.
 */
static bool may_rest(int round)
{
	return all_rounds() > 1000 && round % 16 != 0;
}

/*
 * irqfds assigned, signalled by another thread, and taken away, or their
 * eventfds closed, in every order, while the guest takes interrupts and EOIs.
 * timeout: 900
 */
TEST_F_TIMEOUT(irqfd, ten_thousand_rounds, 800)
{
	struct vm *vm = &self->vm;
	pthread_t firing, guest;
	int fds[4], re[4];

	stop = false;
	RUN(vm, REG_WRITE(0x10 + 2 * 10, 0x8000 | 0x50), REG_WRITE(0x10 + 2 * 11, 0x51),
	    REG_WRITE(0x10 + 2 * 12, 0x8000 | 0x52), REG_WRITE(0x10 + 2 * 13, 0x53));
	GUEST_LOAD(vm, eoi_storm);
	vcpu_set_regs(&vm->vcpu, &(struct kvm_regs){ .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 });
	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	for (int i = 0; i < 4; i++)
		re[i] = eventfd(0, EFD_NONBLOCK);
	pthread_create(&firing, NULL, fire, fds);
	pthread_create(&guest, NULL, run_guest, vm);
	printf("# rounds: %d of %d\n", many_rounds(), all_rounds());
	fflush(stdout);
	for (int round = 0; round < many_rounds(); round++) {
		int i = round % 4, fd;

		rests = may_rest(round);
		vm->mem[GPA_DATA] = rests;
		ASSERT_EQ(0, irqfd(vm->fd, fds[i], 10 + i, i & 1 ? 0 : RESAMPLE, re[i]));
		let_fire();
		switch (round / 4 % 3) {
		case 0:
			ASSERT_EQ(0, irqfd(vm->fd, fds[i], 10 + i, GONE, 0));
			break;
		case 1:
			/* the eventfd's last reference goes, by dup2 in one step */
			fd = eventfd(0, EFD_NONBLOCK);
			dup2(fd, fds[i]);
			close(fd);
			break;
		default:
			close(re[i]);
			re[i] = eventfd(0, EFD_NONBLOCK);
			ASSERT_EQ(0, irqfd(vm->fd, fds[i], 10 + i, GONE, 0));
			break;
		}
	}
	end_guest(guest, vm);
	pthread_join(firing, NULL);
	for (int i = 0; i < 4; i++) {
		close(fds[i]);
		close(re[i]);
	}
}

enum { VM, VCPU, IRQFD, IOEVENTFD, ENDS };

/* The n-th order of them. */
static void order(int n, int *ends)
{
	for (int i = 0; i < ENDS; i++)
		ends[i] = i;
	for (int i = ENDS - 1; i > 0; i--) {
		int j = n % (i + 1), t = ends[i];

		n /= i + 1;
		ends[i] = ends[j];
		ends[j] = t;
	}
}

/* The eventfd's last reference of this number goes, in one step: it stays one to write to. */
static void replace(int fd)
{
	int other = eventfd(0, EFD_NONBLOCK);

	dup2(other, fd);
	close(other);
}

/*
 * VMs that go with irqfds and ioeventfds on them, which another thread fires all
 * the while: VM, vcpu and eventfds end in every order. timeout: 900
 */
TEST_F_TIMEOUT(irqfd, vm_close, 800)
{
	pthread_t firing;
	int fds[4];

	stop = false;
	for (int i = 0; i < 4; i++)
		fds[i] = eventfd(0, EFD_NONBLOCK);
	pthread_create(&firing, NULL, fire, fds);
	for (int round = 0; round < many_rounds(); round++) {
		int vm = ioctl(self->vm.sys, KVM_CREATE_VM, 0L), vcpu, ends[ENDS];
		struct kvm_ioeventfd e = { .addr = 0x100, .len = 1, .fd = fds[0] };

		rests = may_rest(round);
		ASSERT_EQ(0, ioctl(vm, KVM_CREATE_IRQCHIP));
		vcpu = ioctl(vm, KVM_CREATE_VCPU, 0L);
		for (int i = 0; i < 4; i++)
			ASSERT_EQ(0, irqfd(vm, fds[i], 4 + i, i & 1 ? 0 : RESAMPLE, fds[i ^ 1]));
		ASSERT_EQ(0, ioctl(vm, KVM_IOEVENTFD, &e));
		let_fire();
		order(round % 24, ends);
		for (int i = 0; i < ENDS; i++) {
			switch (ends[i]) {
			case VM:
				close(vm);
				break;
			case VCPU:
				close(vcpu);
				break;
			case IRQFD:
				replace(fds[1]);
				replace(fds[2]);
				break;
			default:
				replace(fds[0]);
				break;
			}
		}
	}
	stop = true;
	pthread_join(firing, NULL);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

/* Routes replaced while interrupts go by them. */
TEST_F_TIMEOUT(irqfd, routes_under_fire, 300)
{
	struct vm *vm = &self->vm;
	pthread_t firing, guest;
	int fds[4];

	stop = rests = false;
	GUEST_LOAD(vm, eoi_storm);
	vcpu_set_regs(&vm->vcpu, &(struct kvm_regs){ .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 });
	for (int i = 0; i < 4; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		ASSERT_EQ(0, irqfd(vm->fd, fds[i], 100 + i, 0, 0));
	}
	pthread_create(&firing, NULL, fire, fds);
	pthread_create(&guest, NULL, run_guest, vm);
	for (int i = 0; i < 2000; i++)
		ASSERT_EQ(0, ROUTES(vm, msi_route(100, 0x60 + i % 16), msi_route(101, 0x70), pin_route(102, 2, i % 24),
				    pin_route(103, 0, i % 8)));
	end_guest(guest, vm);
	pthread_join(firing, NULL);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}

TEST_HARNESS_MAIN
