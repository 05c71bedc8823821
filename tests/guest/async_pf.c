// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults: pages that userspace withholds (userfaultfd) are what
 * the guest waits for, so that it is known when they come.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define MSR_BASE	0x1b
#define MSR_EN		0x4b564d02
#define MSR_INT		0x4b564d06
#define MSR_ACK		0x4b564d07
#define MSR_X2_EOI	0x80b
#define MSR_X2_SVR	0x80f

#define EN		BIT(0)
#define ALWAYS		BIT(1)
#define AS_INT		BIT(3)

#define VECTOR		0x50
#define PF		14
#define ALL		0xffffffff

#define GPA_APF		GPA_FREE	/* flags and token */
#define GPA_LAZY	MEM_SIZE
#define PAGES		256
#define PORT_DONE	0x10
#define PF_SIZE		4096

/* By eax: 0 load from rdi, 1 wait for an interrupt, 2 WRMSR; at the end all leave. */
GUEST(steps, 64,
	"	cmp $1, %eax\n	je 1f\n"
	"	cmp $2, %eax\n	je 2f\n"
	"	sti\n	nop\n"
	"	mov (%rdi), %rbx\n"
	"	cli\n	jmp 3f\n"
	"1:	sti\n	hlt\n	cli\n	jmp 3f\n"
	"2:	mov %edi, %eax\n"
	"	mov %rdi, %rdx\n"
	"	shr $32, %rdx\n"
	"	wrmsr\n"
	"3:	out %al, $0x10\n");

FIXTURE(apf) {
	struct vm vm;
	struct vcpu *v;
	volatile u32 *data;		/* flags, token */
	u8 *lazy;
	int uffd;
};

static int watch(u8 *mem)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (u64)mem, .len = PAGES * PF_SIZE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		die("userfaultfd");
	return fd;
}

/* The page comes. */
static void supply(int uffd, u8 *mem, u8 value)
{
	static u8 page[PF_SIZE] __attribute__((aligned(PF_SIZE)));
	struct uffdio_copy copy = { .dst = (u64)mem, .src = (u64)page, .len = PF_SIZE };

	memset(page, value, sizeof(page));
	if (ioctl(uffd, UFFDIO_COPY, &copy))
		die("UFFDIO_COPY");
}

/* Until somebody waits for a page of ours; which. */
static u8 *wanted(int uffd)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	struct uffd_msg msg;

	if (poll(&p, 1, 10000) != 1 || read(uffd, &msg, sizeof(msg)) != sizeof(msg))
		die("nobody waits for a page");
	return (u8 *)(msg.arg.pagefault.address & ~(u64)(PF_SIZE - 1));
}

/* Its last exit's port. */
static int step(struct vcpu *v, u64 what, u64 rdi, u64 rcx)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			      .rax = what, .rdi = rdi, .rcx = rcx };
	int reason;

	vcpu_set_regs(v, &r);
	reason = vcpu_run(v);
	if (reason != KVM_EXIT_IO) {
		vcpu_dump(v, "step");
		die("exit %s", exit_name(reason));
	}
	return v->run->io.port;
}

static int load(struct vcpu *v, u32 page)
{
	return step(v, 0, GPA_LAZY + page * PF_SIZE, 0);
}

static int write_msr(struct vcpu *v, u32 index, u64 value)
{
	return step(v, 2, value, index);
}

FIXTURE_SETUP(apf)
{
	vm_create_split(&self->vm);
	self->v = &self->vm.vcpu;
	vm_mode(&self->vm, self->v, LONG);
	GUEST_LOAD(&self->vm, steps);
	self->data = (volatile u32 *)(self->vm.mem + GPA_APF);
	self->lazy = xmmap(PAGES * PF_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->uffd = watch(self->lazy);
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, GPA_LAZY, PAGES * PF_SIZE, self->lazy));
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_BASE, vcpu_msr(self->v, MSR_BASE) | BIT(10)));
	ASSERT_EQ(PORT_DONE, write_msr(self->v, MSR_X2_SVR, 0x1ff));
	ASSERT_EQ(PORT_DONE, write_msr(self->v, MSR_INT, VECTOR));
	ASSERT_EQ(PORT_DONE, write_msr(self->v, MSR_EN, GPA_APF | EN | ALWAYS | AS_INT));
}

FIXTURE_TEARDOWN(apf)
{
	vm_destroy(&self->vm);
	close(self->uffd);
	munmap(self->lazy, PAGES * PF_SIZE);
}

/* A fault that the guest is told of: its token. */
#define FAULT(page) ({							\
	ASSERT_EQ(PORT_TRAP, load(self->v, page));			\
	ASSERT_EQ(PF, trap(&self->vm)->vector);				\
	EXPECT_EQ(0, trap(&self->vm)->error);				\
	EXPECT_EQ(1, self->data[0]);					\
	self->data[0] = 0;						\
	(u32)trap(&self->vm)->cr2;					\
})

/* The interrupt that says that a page is there: its token. */
#define READY() ({							\
	ASSERT_EQ(PORT_DONE, step(self->v, 1, 0, 0));			\
	ASSERT_EQ(VECTOR, trap(&self->vm)->vector);			\
	ASSERT_EQ(PORT_DONE, write_msr(self->v, MSR_X2_EOI, 0));	\
	self->data[1];							\
})

static void acknowledge(struct vcpu *v, volatile u32 *data)
{
	data[1] = 0;
	write_msr(v, MSR_ACK, 1);
}

TEST_F(apf, one_page)
{
	u32 token;

	LOADS_CR2();
	token = FAULT(3);
	EXPECT_NE(0, token);
	EXPECT_NE(ALL, token);
	EXPECT_EQ(self->lazy + 3 * PF_SIZE, wanted(self->uffd));
	EXPECT_EQ(0, self->data[1]);
	supply(self->uffd, self->lazy + 3 * PF_SIZE, 0x5a);
	EXPECT_EQ(token, READY());
	acknowledge(self->v, self->data);
	EXPECT_EQ(PORT_DONE, load(self->v, 3));
	EXPECT_EQ(0x5a5a5a5a5a5a5a5aULL, vcpu_regs(self->v).rbx);
	EXPECT_EQ(0, self->data[0]);
}

/* The next token only after the last was acknowledged, and its word is 0 again. */
TEST_F(apf, one_token_at_a_time)
{
	u32 token[3], first, second;

	LOADS_CR2();
	for (int i = 0; i < 3; i++) {
		token[i] = FAULT(i);
		EXPECT_EQ(self->lazy + i * PF_SIZE, wanted(self->uffd));
	}
	supply(self->uffd, self->lazy + 2 * PF_SIZE, 2);
	EXPECT_EQ(token[2], READY());
	supply(self->uffd, self->lazy, 0);
	supply(self->uffd, self->lazy + PF_SIZE, 1);
	trap(&self->vm)->count = 0;
	usleep(20000);
	write_msr(self->v, MSR_X2_EOI, 0);
	EXPECT_EQ(token[2], self->data[1]);
	/* acknowledged, but not taken */
	write_msr(self->v, MSR_ACK, 1);
	write_msr(self->v, MSR_X2_EOI, 0);
	EXPECT_EQ(token[2], self->data[1]);
	EXPECT_EQ(0, trap(&self->vm)->count);
	acknowledge(self->v, self->data);
	first = READY();
	acknowledge(self->v, self->data);
	second = READY();
	EXPECT_TRUE((first == token[0] && second == token[1]) ||
		    (first == token[1] && second == token[0]));
}

struct late { int uffd; u8 *mem; };

static void *supply_late(void *arg)
{
	struct late *l = arg;

	wanted(l->uffd);
	usleep(20000);
	supply(l->uffd, l->mem, 7);
	return NULL;
}

/* Nothing is told, and the access waits for its page. */
static bool waits(struct vm *vm, int uffd, u8 *lazy, u32 page)
{
	struct late l = { uffd, lazy + page * PF_SIZE };
	pthread_t t;
	int port;

	trap(vm)->count = 0;
	pthread_create(&t, NULL, supply_late, &l);
	port = load(&vm->vcpu, page);
	pthread_join(t, NULL);
	return port == PORT_DONE && !trap(vm)->count && vcpu_regs(&vm->vcpu).rbx == 0x707070707070707ULL;
}

#define WAITS(page)	waits(&self->vm, self->uffd, self->lazy, page)

TEST_F(apf, not_told)
{
	/* the kernel of the guest, which does not want it there */
	write_msr(self->v, MSR_EN, GPA_APF | EN | AS_INT);
	EXPECT_TRUE(WAITS(0));
	/* ready by another #PF is a thing of the past */
	write_msr(self->v, MSR_EN, GPA_APF | EN | ALWAYS);
	EXPECT_TRUE(WAITS(1));
	write_msr(self->v, MSR_EN, GPA_APF | ALWAYS | AS_INT);
	EXPECT_TRUE(WAITS(2));
	/* no memory there */
	write_msr(self->v, MSR_EN, 0x80000000 | EN | ALWAYS | AS_INT);
	EXPECT_TRUE(WAITS(3));
	/* the last one was not looked at */
	write_msr(self->v, MSR_EN, GPA_APF | EN | ALWAYS | AS_INT);
	self->data[0] = 1;
	EXPECT_TRUE(WAITS(4));
	self->data[0] = 0;
	/* and the APIC is off */
	write_msr(self->v, MSR_X2_SVR, 0xff);
	EXPECT_TRUE(WAITS(5));
}

/* The same page again, and more than may be under way. */
TEST_F(apf, bounded)
{
	int told = 0;

	for (u32 i = 0; i < 64; i++) {
		FAULT(i);
		told++;
	}
	EXPECT_EQ(64, told);
	for (u32 i = 0; i < 64; i++)
		wanted(self->uffd);
	EXPECT_TRUE(WAITS(100));
	supply(self->uffd, self->lazy + 5 * PF_SIZE, 1);
	READY();
	acknowledge(self->v, self->data);
	FAULT(101);
	wanted(self->uffd);
}

TEST_F(apf, msr_rules)
{
	static const u64 bad[] = { GPA_APF | 0x10, GPA_APF | 0x20, GPA_APF | 0x3f };

	for (u32 i = 0; i < ARRAY_LEN(bad); i++) {
		EXPECT_EQ(PORT_TRAP, write_msr(self->v, MSR_EN, bad[i]));
		EXPECT_EQ(0, vcpu_set_msr(self->v, MSR_EN, bad[i]));
	}
	EXPECT_EQ(GPA_APF | EN | ALWAYS | AS_INT, vcpu_msr(self->v, MSR_EN));
	EXPECT_EQ(PORT_TRAP, write_msr(self->v, MSR_INT, 0x100));
	EXPECT_EQ(PORT_TRAP, write_msr(self->v, MSR_ACK, 2));
	EXPECT_EQ(VECTOR, vcpu_msr(self->v, MSR_INT));
	EXPECT_EQ(0, vcpu_msr(self->v, MSR_ACK));
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_ASYNC_PF));
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_ASYNC_PF_INT));
	EXPECT_EQ(BIT(4) | BIT(14), cpuid_reg(self->vm.sys, 0x40000001, 0, 0) & (BIT(4) | BIT(14)));
}

/* On another host nobody knows the tokens of the first: everyone looks again. */
TEST_F(apf, after_migration)
{
	FAULT(0);
	wanted(self->uffd);
	ASSERT_EQ(1, vcpu_set_msr(self->v, MSR_EN, vcpu_msr(self->v, MSR_EN)));
	EXPECT_EQ(ALL, READY());
	acknowledge(self->v, self->data);
	/* the first one's page is nobody's news any more */
	trap(&self->vm)->count = 0;
	supply(self->uffd, self->lazy, 1);
	usleep(20000);
	write_msr(self->v, MSR_X2_EOI, 0);
	EXPECT_EQ(0, self->data[1]);
	EXPECT_EQ(0, trap(&self->vm)->count);
}

/* Where userspace has the APIC, all may be switched on, and faults wait. */
TEST(userspace_apic)
{
	u8 *lazy = xmmap(PAGES * PF_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int uffd = watch(lazy);
	struct vm vm;

	vm_start(&vm, LONG, steps);
	ASSERT_EQ(0, vm_slot(&vm, 1, 0, GPA_LAZY, PAGES * PF_SIZE, lazy));
	EXPECT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_INT, 0));
	EXPECT_EQ(1, vcpu_set_msr(&vm.vcpu, MSR_EN, 0));
	EXPECT_EQ(PORT_DONE, write_msr(&vm.vcpu, MSR_INT, VECTOR));
	EXPECT_EQ(PORT_DONE, write_msr(&vm.vcpu, MSR_EN, GPA_APF | EN | ALWAYS | AS_INT));
	EXPECT_EQ(PORT_DONE, write_msr(&vm.vcpu, MSR_ACK, 1));
	EXPECT_TRUE(waits(&vm, uffd, lazy, 0));
	vm_destroy(&vm);
	close(uffd);
	munmap(lazy, PAGES * PF_SIZE);
}

/*
 * The pages go, but their addresses stay taken: who still fetches one of them for a VM that
 * ended does not fetch one of the next VM's.
 */
static void unmap(u8 *mem)
{
	if (mmap(mem, PAGES * PF_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	    (void *)mem)
		die("mmap of nothing");
}

/* A VM ends while its pages are on their way, and before or after what they wait for. */
TEST_F_TIMEOUT(apf, vm_ends_first, 120)
{
	for (int i = 0; i < 100; i++) {
		for (u32 page = 0; page < 4; page++)
			FAULT(page);
		if (i & 1)
			wanted(self->uffd);
		if (i & 2)
			supply(self->uffd, self->lazy, 1);
		if (i & 4)
			unmap(self->lazy);
		if (i & 8)
			close(self->uffd);
		vm_destroy(&self->vm);
		if (!(i & 8))
			close(self->uffd);
		if (!(i & 4))
			unmap(self->lazy);
		apf_setup(_metadata, self, NULL);
		if (!_metadata->passed)
			return;
	}
}

TEST_HARNESS_MAIN
