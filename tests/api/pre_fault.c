// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_PRE_FAULT_MEMORY: what was mapped ahead of the guest costs it no fault, and is
 * as a read of the guest's would have it.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define AT	0x10000000ULL
#define PAGE	4096UL
#define PAGES	64UL

/* Reads a quadword of each page from RBX on, RCX times, and adds them up; RDX is written to each. */
GUEST(walk, 64,
	"1: xor %eax, %eax\n"
	"2: add (%rbx), %rax\n"
	"test %rdx, %rdx; jz 3f\n"
	"mov %rdx, (%rbx)\n"
	"3: add $0x1000, %rbx; dec %rcx; jnz 2b\n"
	"hlt; jmp 1b\n");

FIXTURE(pre) {
	struct vm vm;
	u8 *p;			/* PAGES pages, in no slot yet */
	bool nested;
};

static u64 faults(struct vm *vm, u64 gpa, u64 n, u64 write, u64 *sum);

FIXTURE_SETUP(pre)
{
	vm_start(&self->vm, LONG, walk);
	if (on_stock() && !check_cap(self->vm.fd, KVM_CAP_PRE_FAULT_MEMORY))
		SKIP(return, "no KVM_CAP_PRE_FAULT_MEMORY");
	self->p = xmmap(PAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	faults(&self->vm, 0x100000, 1, 1, NULL);	/* its code and tables */
	self->nested = nested_paging();
}

FIXTURE_TEARDOWN(pre)
{
	vm_destroy(&self->vm);
}

static int pre_fault(struct vcpu *vcpu, struct kvm_pre_fault_memory *range)
{
	errno = 0;
	return ioctl(vcpu->fd, KVM_PRE_FAULT_MEMORY, range) ? -errno : 0;
}

/* The faults of a guest that reads, or reads and writes, n pages at gpa; the sum of what it read. */
static u64 faults(struct vm *vm, u64 gpa, u64 n, u64 write, u64 *sum)
{
	struct kvm_regs r = vcpu_regs(&vm->vcpu);
	u64 before = stat_of(vm->vcpu.fd, "pf_fixed");

	r.rip = GPA_CODE;
	r.rbx = gpa;
	r.rcx = n;
	r.rdx = write;
	vcpu_set_regs(&vm->vcpu, &r);
	if (vm_run(vm) != KVM_EXIT_HLT)
		die("exit %s", exit_name(vm->vcpu.run->exit_reason));
	if (sum)
		*sum = vcpu_regs(&vm->vcpu).rax;
	return stat_of(vm->vcpu.fd, "pf_fixed") - before;
}

#define NEEDS_NESTED() do {							\
	if (!self->nested)							\
		SKIP(return, "shadow paging: wrong tests that it is refused");	\
} while (0)

TEST_F(pre, wrong)
{
	static const struct kvm_pre_fault_memory bad[] = {
		{ AT, 0 }, { AT, 1 }, { AT, PAGE + 1 }, { AT, PAGE - 1 }, { AT + 1, PAGE },
		{ AT + 0x800, PAGE }, { -PAGE, PAGE }, { -PAGE, 2 * PAGE }, { PAGE, -PAGE },
		{ 0, ~0ULL }, { ~0ULL, ~0ULL }, { ~0ULL, PAGE }, { AT, BIT(63) + 1 },
		{ AT, PAGE, 1 }, { AT, PAGE, BIT(31) }, { AT, PAGE, BIT(63) }, { AT, PAGE, ~0ULL },
		{ AT, PAGE, 0, { 1 } }, { AT, PAGE, 0, { 0, 1 } }, { AT, PAGE, 0, { 0, 0, 1 } },
		{ AT, PAGE, 0, { 0, 0, 0, 1 } }, { AT, PAGE, 0, { 0, 0, 0, 0, BIT(63) } },
	}, absent[] = {
		{ AT + PAGES * PAGE, PAGE }, { AT - PAGE, 2 * PAGE }, { GPA_MMIO, PAGE },
		{ BIT(48), PAGE }, { BIT(51), PAGE }, { BIT(52) - PAGE, PAGE }, { BIT(52), PAGE },
		{ BIT(63), PAGE }, { BIT(52) - PAGE, BIT(62) }, { AT + PAGES * PAGE, BIT(62) },
	};
	struct kvm_pre_fault_memory r;

	EXPECT_EQ(self->nested, check_cap(self->vm.sys, KVM_CAP_PRE_FAULT_MEMORY));
	EXPECT_EQ(self->nested, check_cap(self->vm.fd, KVM_CAP_PRE_FAULT_MEMORY));
	ASSERT_EQ(0, vm_slot(&self->vm, 1, 0, AT, PAGES * PAGE, self->p));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		/* stock looks at no padding */
		if (on_stock() && memcmp(bad[i].padding, bad[0].padding, sizeof(r.padding)))
			continue;
		r = bad[i];
		EXPECT_EQ(-EINVAL, pre_fault(&self->vm.vcpu, &r)) TH_LOG("range %zu", i);
		EXPECT_EQ(0, memcmp(&r, &bad[i], sizeof(r)));
	}
	EXPECT_EQ(-EFAULT, pre_fault(&self->vm.vcpu, BAD_PTR));
	for (size_t i = 0; i < ARRAY_LEN(absent); i++) {
		r = absent[i];
		EXPECT_EQ(self->nested ? -ENOENT : -EOPNOTSUPP, pre_fault(&self->vm.vcpu, &r))
			TH_LOG("absent %zu", i);
		EXPECT_EQ(0, memcmp(&r, &absent[i], sizeof(r)));
	}
	r = (struct kvm_pre_fault_memory){ AT, PAGE };
	EXPECT_EQ(self->nested ? 0 : -EOPNOTSUPP, pre_fault(&self->vm.vcpu, &r));
	EXPECT_EQ(self->nested ? AT + PAGE : AT, r.gpa);
	EXPECT_EQ(KVM_EXIT_HLT, (faults(&self->vm, AT, PAGES, 0, NULL), self->vm.vcpu.run->exit_reason));
}

TEST_F(pre, maps)
{
	struct kvm_pre_fault_memory r = { AT, PAGES * PAGE };
	struct vm *vm = &self->vm;
	u64 sum, want = 0;

	NEEDS_NESTED();
	for (u64 i = 0; i < PAGES; i++)
		want += *(u64 *)(self->p + i * PAGE) = i * i + 1;
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGES * PAGE, self->p));
	/* without the call the guest has to fault, with it no more, nor to write */
	EXPECT_LT(0, faults(vm, AT, PAGES, 0, &sum));
	EXPECT_EQ(want, sum);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGES * PAGE, self->p));
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + PAGES * PAGE, r.gpa);
	EXPECT_EQ(0, r.size);
	EXPECT_EQ(0, faults(vm, AT, PAGES, 0, &sum));
	EXPECT_EQ(want, sum);
	EXPECT_EQ(0, faults(vm, AT, PAGES, 5, NULL));
	EXPECT_EQ(5, *(u64 *)(self->p + (PAGES - 1) * PAGE));
	/* again it is there already; past the end the rest remains */
	r = (struct kvm_pre_fault_memory){ AT + PAGE, 2 * PAGES * PAGE };
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + PAGES * PAGE, r.gpa);
	EXPECT_EQ((PAGES + 1) * PAGE, r.size);
	EXPECT_EQ(-ENOENT, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + PAGES * PAGE, r.gpa);
	/* what the host takes away is gone, and can be had again */
	ASSERT_EQ(0, madvise(self->p, PAGES * PAGE, MADV_DONTNEED));
	r = (struct kvm_pre_fault_memory){ AT, PAGES * PAGE };
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(0, r.size);
	EXPECT_EQ(0, faults(vm, AT, PAGES, 0, &sum));
	EXPECT_EQ(0, sum);
}

/* The frame that the host has at a page, as root may know; 0: none. */
static u64 frame_of(void *page)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	u64 entry = 0;

	if (fd < 0 || pread(fd, &entry, 8, (uintptr_t)page / PAGE * 8) != 8)
		die("pagemap");
	close(fd);
	return entry & BIT(63) ? entry & (BIT(55) - 1) : 0;
}

/* Nothing is written: the zero page stays, the log is empty, a read-only slot will do. */
TEST_F(pre, only_reads)
{
	struct kvm_pre_fault_memory r = { AT, PAGES * PAGE };
	struct vm *vm = &self->vm;
	u64 bits = ~0ULL;
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = &bits };

	NEEDS_NESTED();
	ASSERT_EQ(0, madvise(self->p, PAGES * PAGE, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, vm_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, PAGES * PAGE, self->p));
	EXPECT_EQ(0, frame_of(self->p));
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(0, r.size);
	EXPECT_NE(0, frame_of(self->p));
	EXPECT_EQ(frame_of(self->p), frame_of(self->p + (PAGES - 1) * PAGE));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(0, bits);
	/* the guest's writes are then its own */
	faults(vm, AT + PAGE, 2, 7, NULL);
	EXPECT_NE(frame_of(self->p), frame_of(self->p + PAGE));
	EXPECT_EQ(7, *(u64 *)(self->p + 2 * PAGE));
	EXPECT_EQ(0, *(u64 *)self->p);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	EXPECT_EQ(6, bits);

	ASSERT_EQ(0, vm_slot(vm, 2, KVM_MEM_READONLY, 2 * AT, PAGES * PAGE, self->p));
	r = (struct kvm_pre_fault_memory){ 2 * AT, PAGES * PAGE };
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(0, r.size);
	EXPECT_EQ(0, faults(vm, 2 * AT, PAGES, 0, NULL));
}

/*
 * Pages that were fetched are there when the guest looks. A host short of memory may take a
 * page or a table away in between, but not each time.
 */
static bool are_there(struct vm *vm, u64 gpa, u8 *p, u64 n)
{
	for (int i = 0; i < 3; i++) {
		struct kvm_pre_fault_memory r = { gpa, n * PAGE };

		if (!faults(vm, gpa, n, 0, NULL))
			return true;
		if (madvise(p, n * PAGE, MADV_DONTNEED) || pre_fault(&vm->vcpu, &r))
			break;
	}
	return false;
}

/* Up to where userspace has no memory: then KVM_RUN's error, with nothing changed. */
TEST_F(pre, hole)
{
	struct kvm_pre_fault_memory r = { AT, PAGES * PAGE };
	struct vm *vm = &self->vm;

	NEEDS_NESTED();
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGES * PAGE, self->p));
	ASSERT_EQ(0, munmap(self->p + 9 * PAGE, PAGE));
	ASSERT_EQ(0, mprotect(self->p + 20 * PAGE, PAGE, PROT_NONE));
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + 9 * PAGE, r.gpa);
	EXPECT_EQ((PAGES - 9) * PAGE, r.size);
	EXPECT_EQ(-EFAULT, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + 9 * PAGE, r.gpa);
	r = (struct kvm_pre_fault_memory){ AT + 10 * PAGE, 11 * PAGE };
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + 20 * PAGE, r.gpa);
	EXPECT_EQ(-EFAULT, pre_fault(&vm->vcpu, &r));
	EXPECT_TRUE(are_there(vm, AT, self->p, 9));
}

/* A page of 2 MB is one step, whatever part of it is asked for. */
TEST_F(pre, large_page)
{
	struct kvm_pre_fault_memory r = { AT + 3 * PAGE, PAGE };
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "w");
	struct vm *vm = &self->vm;
	u64 sum;
	u8 *p;

	NEEDS_NESTED();
	ASSERT_NE(NULL, f);
	fprintf(f, "2");
	fclose(f);
	p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	if (p == MAP_FAILED)
		SKIP(return, "the host has no free 2M pages");
	for (u64 i = 0; i < 1024; i++)
		*(u64 *)(p + i * PAGE) = 1;
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, 4 << 20, p));
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(AT + 4 * PAGE, r.gpa);
	EXPECT_EQ(0, r.size);
	EXPECT_EQ(0, faults(vm, AT, 512, 0, &sum));
	EXPECT_EQ(512, sum);
	r = (struct kvm_pre_fault_memory){ AT + 3 * PAGE, (4 << 20) - 3 * PAGE };
	ASSERT_EQ(0, pre_fault(&vm->vcpu, &r));
	EXPECT_EQ(0, r.size);
	EXPECT_EQ(0, faults(vm, AT, 1024, 2, &sum));
	EXPECT_EQ(1024, sum);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	munmap(p, 4 << 20);
	f = fopen("/proc/sys/vm/nr_hugepages", "w");
	fprintf(f, "0");
	fclose(f);
}

static void on_signal(int sig)
{
}

struct sender {
	pid_t thread;
	volatile bool stop;
};

static void *send_signals(void *arg)
{
	struct sender *s = arg;

	while (!s->stop)
		syscall(SYS_tgkill, getpid(), s->thread, SIGUSR1);
	return NULL;
}

/* Signals all the time: each call ends with progress, or with EINTR and none; at last all is there. */
TEST_F_TIMEOUT(pre, interrupted, 120)
{
	const u64 size = 16 << 20;
	struct kvm_pre_fault_memory r = { AT, size };
	struct sigaction sa = { .sa_handler = on_signal };
	struct sender s = { .thread = syscall(SYS_gettid) };
	struct vm *vm = &self->vm;
	u64 some = 0;
	pthread_t thread;
	u8 *p;

	NEEDS_NESTED();
	p = xmmap(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_EQ(0, madvise(p, size, MADV_NOHUGEPAGE));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, size, p));
	sigaction(SIGUSR1, &sa, NULL);
	ASSERT_EQ(0, pthread_create(&thread, NULL, send_signals, &s));
	for (u64 calls = 0; calls < 10000000 && r.size; calls++) {
		u64 before = r.gpa;
		int e = pre_fault(&vm->vcpu, &r);

		ASSERT_TRUE(e == 0 || e == -EINTR) TH_LOG("error %d", e);
		ASSERT_EQ(e == 0, r.gpa > before);
		ASSERT_EQ(AT + size, r.gpa + r.size);
		some += !e;
	}
	s.stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(1, some);
	EXPECT_EQ(0, r.size);
	/* the host may have moved a page of the guest's own meanwhile: of those here it is 512 */
	EXPECT_GE(8, faults(vm, AT, size / PAGE, 0, NULL));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	munmap(p, size);
}

/* A page that does not come until it is let go: who faults on it keeps the vcpu busy. */
static int withhold(u8 *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (u64)page, .len = PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		die("userfaultfd");
	return fd;
}

struct busy {
	struct vcpu *vcpu;
	int uffd, result;
	pid_t waits;
	u8 *page;
};

static void *fault_and_wait(void *arg)
{
	struct kvm_pre_fault_memory r = { AT, PAGE };
	struct busy *b = arg;

	b->result = pre_fault(b->vcpu, &r);
	return NULL;
}

static void *signal_and_let_go(void *arg)
{
	struct busy *b = arg;
	struct uffdio_zeropage zero = { .range = { .start = (u64)b->page, .len = PAGE } };

	usleep(200000);
	syscall(SYS_tgkill, getpid(), b->waits, SIGUSR1);
	usleep(50000);
	if (ioctl(b->uffd, UFFDIO_ZEROPAGE, &zero))
		die("UFFDIO_ZEROPAGE");
	return NULL;
}

/* A signal that came before the first page: here while another thread used the vcpu. */
TEST_F(pre, interrupted_at_once)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct vm *vm = &self->vm;
	struct uffd_msg msg;
	int e = 0;

	NEEDS_NESTED();
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGES * PAGE, self->p));
	sigaction(SIGUSR1, &sa, NULL);
	/* the signal may come before the call that it is to interrupt */
	for (int i = 0; i < 10 && e != -EINTR; i++) {
		struct kvm_pre_fault_memory r = { AT + PAGE, (PAGES - 1) * PAGE };
		struct busy b = {
			.vcpu = &vm->vcpu, .page = self->p, .waits = syscall(SYS_gettid),
		};
		pthread_t wait, send;

		ASSERT_EQ(0, madvise(self->p, PAGES * PAGE, MADV_DONTNEED));
		b.uffd = withhold(self->p);
		ASSERT_EQ(0, pthread_create(&wait, NULL, fault_and_wait, &b));
		ASSERT_EQ(sizeof(msg), read(b.uffd, &msg, sizeof(msg)));
		ASSERT_EQ(0, pthread_create(&send, NULL, signal_and_let_go, &b));
		e = pre_fault(&vm->vcpu, &r);
		EXPECT_EQ(AT + (e ? 1 : PAGES) * PAGE, r.gpa);
		EXPECT_EQ(e ? (PAGES - 1) * PAGE : 0, r.size);
		pthread_join(wait, NULL);
		pthread_join(send, NULL);
		close(b.uffd);
		EXPECT_EQ(0, b.result);
		/* now it is done */
		ASSERT_EQ(0, e ? pre_fault(&vm->vcpu, &r) : 0);
		EXPECT_EQ(0, r.size);
	}
	EXPECT_EQ(-EINTR, e);
}

struct helper {
	struct vcpu vcpu;
	volatile bool stop;
	u64 calls;
	int wrong;
};

static void *pre_fault_again(void *arg)
{
	struct helper *h = arg;

	while (!h->stop) {
		struct kvm_pre_fault_memory r = { AT, PAGES * PAGE };
		int e = pre_fault(&h->vcpu, &r);

		h->calls++;
		if (e == -ENOENT)	/* while there is no slot */
			continue;
		else if (e || r.gpa + r.size != AT + PAGES * PAGE)
			h->wrong = e ? e : 1;
	}
	return NULL;
}

/* Two vcpus map, a third runs, while the host takes pages and userspace the slot away. */
TEST_F(pre, side_by_side)
{
	int rounds = is_slow() ? 20 : 200;
	struct helper h[2] = { };
	struct vm *vm = &self->vm;
	pthread_t thread[2];
	u64 sum;

	NEEDS_NESTED();
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGES * PAGE, self->p));
	for (int i = 0; i < 2; i++) {
		vcpu_create(vm, &h[i].vcpu, 1 + i);
		ASSERT_EQ(0, pthread_create(&thread[i], NULL, pre_fault_again, &h[i]));
	}
	for (int i = 0; i < rounds; i++) {
		for (u64 j = 0; j < PAGES; j++)
			*(u64 *)(self->p + j * PAGE) = i + 1;
		faults(vm, AT, PAGES, 0, &sum);
		EXPECT_EQ(PAGES * (i + 1), sum);
		ASSERT_EQ(0, madvise(self->p, PAGES / 2 * PAGE, MADV_DONTNEED));
		faults(vm, AT, PAGES, 0, &sum);
		EXPECT_EQ(PAGES / 2 * (i + 1), sum);
		ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
		ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, PAGES * PAGE, self->p));
	}
	for (int i = 0; i < 2; i++) {
		h[i].stop = true;
		pthread_join(thread[i], NULL);
		EXPECT_EQ(0, h[i].wrong);
		EXPECT_LT(0, h[i].calls);
		munmap(h[i].vcpu.run, vm->run_size);
		close(h[i].vcpu.fd);
	}
}

TEST_HARNESS_MAIN
