// SPDX-License-Identifier: GPL-2.0-only
/* KVM_CREATE_VCPU, KVM_RUN and its ways to end, and calls out of place. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

GUEST(halt, 64, "hlt; hlt");
GUEST(spin, 64, "sti; mov $0x20000, %ebx; 1: incq (%rbx); jmp 1b");
GUEST(no_idt, 64, "ud2");
GUEST(unknown, 64, "movl $1, %eax; mov $0xd0000000, %ebx; rcpps (%rbx), %xmm0; hlt");

FIXTURE(run) {
	struct vm vm;
};

FIXTURE_SETUP(run)
{
	vm_start(&self->vm, LONG, halt);
}

FIXTURE_TEARDOWN(run)
{
	vm_destroy(&self->vm);
}

TEST_F(run, create)
{
	struct vm *vm = &self->vm;
	int max = check_cap(vm->sys, KVM_CAP_MAX_VCPU_ID);
	int fd;

	if (!max)
		max = check_cap(vm->sys, KVM_CAP_MAX_VCPUS);
	EXPECT_EQ(EEXIST, err(ioctl(vm->fd, KVM_CREATE_VCPU, 0L)));
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_CREATE_VCPU, (long)max)));
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_CREATE_VCPU, (long)max + 1)));
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_CREATE_VCPU, 0x80000000L)));
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_CREATE_VCPU, -1L)));
	fd = ioctl(vm->fd, KVM_CREATE_VCPU, (long)max - 1);
	EXPECT_GE(fd, 0);
	/* an id is not free again when the fd is closed: the vcpu is the VM's */
	close(fd);
	EXPECT_EQ(EEXIST, err(ioctl(vm->fd, KVM_CREATE_VCPU, (long)max - 1)));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(vm));
}

TEST_F(run, create_many)
{
	struct vm *vm = &self->vm;

	for (int i = 1; i < 64; i++) {
		struct vcpu v;

		vcpu_create(vm, &v, i);
		if (i % 8)
			continue;
		vm_mode(vm, &v, LONG);
		ASSERT_EQ(KVM_EXIT_HLT, vcpu_run(&v));
		munmap(v.run, vm->run_size);
	}
}

/* The state of a processor after reset. */
TEST_F(run, reset_state)
{
	struct vcpu v;
	struct kvm_regs r;
	struct kvm_sregs s;

	vcpu_create(&self->vm, &v, 1);
	r = vcpu_regs(&v);
	s = vcpu_sregs(&v);
	EXPECT_EQ(0xfff0, r.rip);
	EXPECT_EQ(2, r.rflags);
	EXPECT_EQ(0xf000, s.cs.selector);
	EXPECT_EQ(0xffff0000, s.cs.base);
	EXPECT_EQ(0xffff, s.cs.limit);
	EXPECT_EQ(0, s.ds.base);
	EXPECT_EQ(0xffff, s.ss.limit);
	EXPECT_EQ(0, s.cr0 & CR0_PE);
	EXPECT_EQ(0x60000010, s.cr0);
	EXPECT_EQ(0, s.cr3);
	EXPECT_EQ(0, s.cr4);
	EXPECT_EQ(0, s.efer);
	EXPECT_EQ(0, s.cr8);
	EXPECT_EQ(0xfee00000, s.apic_base & ~0xfffULL);
	EXPECT_EQ(0xffff, s.idt.limit);
}

TEST_F(run, mapping)
{
	struct vm *vm = &self->vm;
	struct kvm_run *again;
	u8 *p;

	again = xmmap(vm->run_size, MAP_SHARED, vm->vcpu.fd);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
	EXPECT_EQ(KVM_EXIT_HLT, again->exit_reason);
	/* past the end is SIGBUS, not the kernel's memory; size is mmap's to check */
	p = mmap(NULL, vm->run_size + 64 * 4096, PROT_READ, MAP_SHARED, vm->vcpu.fd, 0);
	if (p != MAP_FAILED) {
		pid_t pid = fork();
		int status;

		if (!pid) {
			signal(SIGBUS, SIG_DFL);
			_exit(*(volatile u8 *)(p + vm->run_size + 32 * 4096) ? 1 : 2);
		}
		ASSERT_EQ(pid, waitpid(pid, &status, 0));
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	munmap(again, vm->run_size);
}

TEST_F(run, hlt)
{
	struct kvm_run *run = self->vm.vcpu.run;

	memset(run, 0, sizeof(*run));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 1, vcpu_regs(&self->vm.vcpu).rip);
	EXPECT_EQ(0, run->if_flag);
	EXPECT_EQ(0, run->ready_for_interrupt_injection);
	EXPECT_EQ(0, run->cr8);
	EXPECT_EQ(vcpu_sregs(&self->vm.vcpu).apic_base, run->apic_base);
	EXPECT_EQ(0, run->flags);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE + 2, vcpu_regs(&self->vm.vcpu).rip);
}

TEST_F(run, immediate_exit)
{
	self->vm.vcpu.run->immediate_exit = 1;
	EXPECT_EQ(-EINTR, vm_run(&self->vm));
	EXPECT_EQ(GPA_CODE, vcpu_regs(&self->vm.vcpu).rip);
	self->vm.vcpu.run->immediate_exit = 0;
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

static void on_signal(int sig)
{
}

static void arm(int sig, long usec)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };
	struct itimerspec it = { .it_value.tv_nsec = usec * 1000 };
	timer_t t;

	sigaction(sig, &sa, NULL);
	if (timer_create(CLOCK_MONOTONIC, &ev, &t) || timer_settime(t, 0, &it, NULL))
		die("timer");
}

TEST_F(run, signal)
{
	struct vm *vm = &self->vm;
	u64 *count = (u64 *)(vm->mem + GPA_DATA), before;

	GUEST_LOAD(vm, spin);
	arm(SIGUSR1, 100000);
	EXPECT_EQ(EINTR, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
	EXPECT_EQ(KVM_EXIT_INTR, vm->vcpu.run->exit_reason);
	EXPECT_GT(*count, 0);
	before = *count;
	/* and goes on where it was */
	arm(SIGUSR1, 100000);
	EXPECT_EQ(EINTR, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
	EXPECT_GT(*count, before);
}

struct mask {
	struct kvm_signal_mask head;
	u64 set;
} __attribute__((packed));

static int set_mask(struct vm *vm, u32 len, u64 set)
{
	struct mask m = { { .len = len }, .set = set };

	return ioctl(vm->vcpu.fd, KVM_SET_SIGNAL_MASK, &m);
}

TEST_F(run, set_signal_mask)
{
	struct vm *vm = &self->vm;
	sigset_t block, pending;

	EXPECT_EQ(EINVAL, err(set_mask(vm, 4, 0)));
	EXPECT_EQ(EINVAL, err(set_mask(vm, 128, 0)));
	EXPECT_EQ(EINVAL, err(set_mask(vm, 0, 0)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->vcpu.fd, KVM_SET_SIGNAL_MASK, BAD_PTR)));
	/* blocked for the thread, let through in KVM_RUN: ends it, stays pending */
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &block, NULL));
	ASSERT_EQ(0, set_mask(vm, 8, ~BIT(SIGUSR1 - 1)));
	raise(SIGUSR1);
	EXPECT_EQ(EINTR, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
	sigpending(&pending);
	EXPECT_TRUE(sigismember(&pending, SIGUSR1));
	EXPECT_EQ(GPA_CODE, vcpu_regs(&vm->vcpu).rip);
	/* masked in KVM_RUN too: runs */
	ASSERT_EQ(0, set_mask(vm, 8, ~0ULL));
	EXPECT_EQ(0, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
	EXPECT_EQ(KVM_EXIT_HLT, vm->vcpu.run->exit_reason);
	/* no mask at all: the thread's own again */
	EXPECT_EQ(0, ioctl(vm->vcpu.fd, KVM_SET_SIGNAL_MASK, NULL));
	EXPECT_EQ(0, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
}

static void *compete(void *stop)
{
	while (!*(volatile bool *)stop)
		;
	return NULL;
}

/*
 * A vcpu thread that is preempted has work to do on its way to user mode
 * (rseq's), for which KVM_RUN goes out and in again: never seen by userspace.
 */
TEST_F(run, preempted_with_signal_mask)
{
	struct vm *vm = &self->vm;
	cpu_set_t one;
	pthread_t thread;
	sigset_t usr1;
	bool stop = false;

	/* for KVM_RUN alone: newer kernels give a timer's signal to the running thread */
	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	ASSERT_EQ(0, sigprocmask(SIG_BLOCK, &usr1, NULL));
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	ASSERT_EQ(0, sched_setaffinity(0, sizeof(one), &one));
	ASSERT_EQ(0, pthread_create(&thread, NULL, compete, &stop));
	GUEST_LOAD(vm, spin);
	ASSERT_EQ(0, set_mask(vm, 8, BIT(SIGUSR2 - 1)));
	arm(SIGUSR1, 300000);
	EXPECT_EQ(EINTR, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
	*(volatile bool *)&stop = true;
	pthread_join(thread, NULL);
}

TEST_F(run, triple_fault)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

	MAY_SHUT_DOWN();
	s.idt.limit = 0;
	vcpu_set_sregs(&self->vm.vcpu, &s);
	GUEST_LOAD(&self->vm, no_idt);
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vm_run(&self->vm));
	/* the VM is whole: given its IDT back, the vcpu runs */
	s.idt.limit = 0xfff;
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	GUEST_LOAD(&self->vm, halt);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* An instruction on a device that no emulator knows: told, with its bytes. */
TEST_F(run, emulation_failure)
{
	struct kvm_run *run = self->vm.vcpu.run;
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);
	static const u8 insn[] = { 0x0f, 0x53, 0x03 };
	u64 rip;

	s.cr4 |= CR4_OSFXSR;
	vcpu_set_sregs(&self->vm.vcpu, &s);
	GUEST_LOAD(&self->vm, unknown);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, vm_run(&self->vm));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->internal.suberror);
	rip = vcpu_regs(&self->vm.vcpu).rip;
	EXPECT_EQ(GPA_CODE + 10, rip);
	if (run->emulation_failure.ndata >= 3 &&
	    run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES) {
		EXPECT_GE(run->emulation_failure.insn_size, 3);
		EXPECT_EQ(0, memcmp(insn, run->emulation_failure.insn_bytes, 3));
	}
	/* skipped by userspace, the guest goes on */
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);
	r.rip += 3;
	vcpu_set_regs(&self->vm.vcpu, &r);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* Code where there is no memory: nothing to fetch, so nothing to emulate. */
TEST_F(run, code_in_mmio)
{
	struct kvm_regs r = vcpu_regs(&self->vm.vcpu);
	int exit;

	r.rip = GPA_MMIO;
	vcpu_set_regs(&self->vm.vcpu, &r);
	exit = vm_run(&self->vm);
	EXPECT_TRUE(exit == KVM_EXIT_INTERNAL_ERROR || exit == KVM_EXIT_MMIO ||
		    exit == KVM_EXIT_SHUTDOWN) TH_LOG("%s", exit_name(exit));
}

/* State that no processor could be in: refused, or an exit that says so. */
TEST_F(run, impossible_state)
{
	struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu), good = s;
	static const struct { const char *name; u64 cr0, cr4, efer; } bad[] = {
		{ "PG without PE", CR0_PG, 0, 0 },
		{ "NW without CD", CR0_PE | CR0_NW, 0, 0 },
		{ "long mode without PAE", CR0_PE | CR0_PG, 0, EFER_LME | EFER_LMA },
		{ "LMA without LME and PG", CR0_PE, CR4_PAE, EFER_LMA },
		{ "reserved bits of CR4", CR0_PE, BIT(63), 0 },
		{ "upper half of CR0", CR0_PE | BIT(40), 0, 0 },
		{ "reserved bits of EFER", CR0_PE, 0, BIT(2) | BIT(3) },
		{ "everything", ~0ULL, ~0ULL, ~0ULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		int exit;

		s = good;
		s.cr0 = bad[i].cr0;
		s.cr4 = bad[i].cr4;
		s.efer = bad[i].efer;
		if (ioctl(self->vm.vcpu.fd, KVM_SET_SREGS, &s)) {
			EXPECT_EQ(EINVAL, errno) TH_LOG("%s", bad[i].name);
			/* refused is unchanged */
			s = vcpu_sregs(&self->vm.vcpu);
			EXPECT_EQ(good.cr0, s.cr0) TH_LOG("%s", bad[i].name);
			EXPECT_EQ(good.cr4, s.cr4) TH_LOG("%s", bad[i].name);
			EXPECT_EQ(good.efer, s.efer) TH_LOG("%s", bad[i].name);
			continue;
		}
		alarm(5);
		exit = vm_run(&self->vm);
		EXPECT_TRUE(exit == KVM_EXIT_FAIL_ENTRY || exit == KVM_EXIT_INTERNAL_ERROR ||
			    exit == KVM_EXIT_SHUTDOWN || exit == KVM_EXIT_HLT)
			TH_LOG("%s: %s", bad[i].name, exit_name(exit));
		vm_mode(&self->vm, &self->vm.vcpu, LONG);
	}
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

static const unsigned long vcpu_calls[] = {
	KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
	KVM_TRANSLATE, KVM_INTERRUPT, KVM_SET_CPUID2, KVM_SET_SIGNAL_MASK,
	KVM_GET_FPU, KVM_SET_FPU, KVM_GET_MP_STATE, KVM_SET_MP_STATE, KVM_NMI,
	KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_GET_DEBUGREGS,
	KVM_SET_DEBUGREGS, KVM_GET_XSAVE, KVM_SET_XSAVE, KVM_GET_XCRS, KVM_SET_XCRS,
	KVM_SET_GUEST_DEBUG,
}, vm_calls[] = {
	KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG,
	KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_SET_MEMORY_ALIAS,
	KVM_SET_MEMORY_REGION,
}, sys_calls[] = {
	KVM_GET_API_VERSION, KVM_CREATE_VM, KVM_GET_MSR_INDEX_LIST,
	KVM_GET_VCPU_MMAP_SIZE, KVM_GET_SUPPORTED_CPUID,
};

/*
 * Stock kernels say EINVAL to an unknown call on a vcpu, so only failure and
 * unchanged state are asked for there; on a VM it is ENOTTY.
 */
TEST_F(run, wrong_fd)
{
	struct vm *vm = &self->vm;
	char buf[8192] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(vcpu_calls); i++) {
		int e = err(ioctl(vm->fd, vcpu_calls[i], buf));

		EXPECT_TRUE(e == ENOTTY || e == EINVAL) TH_LOG("vcpu call %zu: %d", i, e);
	}
	for (size_t i = 0; i < ARRAY_LEN(sys_calls); i++) {
		EXPECT_NE(0, err(ioctl(vm->fd, sys_calls[i], buf))) TH_LOG("system call %zu", i);
		EXPECT_NE(0, err(ioctl(vm->vcpu.fd, sys_calls[i], buf))) TH_LOG("system call %zu", i);
	}
	for (size_t i = 0; i < ARRAY_LEN(vm_calls); i++) {
		EXPECT_NE(0, err(ioctl(vm->vcpu.fd, vm_calls[i], buf)))
			TH_LOG("VM call %zu", i);
	}
	EXPECT_EQ(ENOTTY, err(ioctl(vm->fd, _IO(KVMIO, 0xfe), 0L)));
	EXPECT_NE(0, err(ioctl(vm->vcpu.fd, _IO(KVMIO, 0xfe), 0L)));
	EXPECT_NE(0, err(ioctl(vm->vcpu.fd, _IO('x', 0x80), 0L)));
	/* a right number with another size is another call */
	EXPECT_NE(0, err(ioctl(vm->vcpu.fd, _IOR(KVMIO, 0x81, char), buf)));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(vm));
	/* nothing else is an fd of ours */
	EXPECT_NE(0, err(ioctl(0, KVM_RUN, 0L)));
	EXPECT_EQ(EINVAL, err(ioctl(vm->vcpu.fd, KVM_RUN, 1L)));
}

TEST_F(run, bad_pointers)
{
	for (size_t i = 1; i < ARRAY_LEN(vcpu_calls); i++) {
		int e;

		if (_IOC_DIR(vcpu_calls[i]) == _IOC_NONE)
			continue;
		e = err(ioctl(self->vm.vcpu.fd, vcpu_calls[i], BAD_PTR));
		EXPECT_EQ(EFAULT, e) TH_LOG("call %zu", i);
		/* the last bytes of a structure on an absent page */
		u8 *p = xmmap(2 * 4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		munmap(p + 4096, 4096);
		if (_IOC_SIZE(vcpu_calls[i]) >= 16) {
			e = err(ioctl(self->vm.vcpu.fd, vcpu_calls[i],
				      p + 4096 - _IOC_SIZE(vcpu_calls[i]) % 4096 / 2 - 4));
			if (vcpu_calls[i] != KVM_SET_CPUID2) {
				EXPECT_EQ(EFAULT, e) TH_LOG("call %zu, straddling", i);
			}
		}
		munmap(p, 4096);
	}
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

/* Another process's address space: neither vcpu nor VM answers there. */
TEST_F(run, other_process)
{
	pid_t pid = fork();
	int status;

	ASSERT_GE(pid, 0);
	if (!pid) {
		struct kvm_regs r;

		if (err(ioctl(self->vm.vcpu.fd, KVM_RUN, 0L)) != EIO)
			_exit(1);
		if (err(ioctl(self->vm.vcpu.fd, KVM_GET_REGS, &r)) != EIO)
			_exit(2);
		if (err(vm_slot(&self->vm, 0, 0, 0, 0, NULL)) != EIO)
			_exit(3);
		if (err(ioctl(self->vm.fd, KVM_CREATE_VCPU, 1L)) != EIO)
			_exit(4);
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

static void *run_in_thread(void *arg)
{
	return (void *)(long)err(ioctl(((struct vm *)arg)->vcpu.fd, KVM_RUN, 0L));
}

/* From another thread of the same process it runs. */
TEST_F(run, other_thread)
{
	pthread_t t;
	void *e;

	ASSERT_EQ(0, pthread_create(&t, NULL, run_in_thread, &self->vm));
	ASSERT_EQ(0, pthread_join(t, &e));
	EXPECT_EQ(NULL, e);
	EXPECT_EQ(KVM_EXIT_HLT, self->vm.vcpu.run->exit_reason);
}

/* The fds closed in every order: a vcpu outlives the VM's fd. */
TEST_F(run, close_order)
{
	struct vm vm;

	vm_start(&vm, LONG, halt);
	close(vm.sys);
	close(vm.fd);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&vm));
	munmap(vm.vcpu.run, vm.run_size);
	close(vm.vcpu.fd);

	vm_start(&vm, LONG, halt);
	close(vm.vcpu.fd);
	close(vm.fd);
	/* the mapping is the last to go */
	EXPECT_EQ(0, vm.vcpu.run->immediate_exit);
	munmap(vm.vcpu.run, vm.run_size);
	close(vm.sys);
}

TEST_F(run, two_vcpus)
{
	struct vm *vm = &self->vm;
	volatile u64 *count = (volatile u64 *)(vm->mem + GPA_DATA);
	struct vcpu v;
	sigset_t set;
	pthread_t t;
	u64 before;

	GUEST_LOAD(vm, spin);
	vcpu_create(vm, &v, 1);
	vm_mode(vm, &v, LONG);
	/* the timer's signal is for this thread */
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ASSERT_EQ(0, pthread_create(&t, NULL, run_in_thread, vm));
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	while (!*count)
		usleep(100);
	before = *count;
	arm(SIGUSR1, 200000);
	EXPECT_EQ(EINTR, err(ioctl(v.fd, KVM_RUN, 0L)));
	EXPECT_GT(*count, before);
	vm->vcpu.run->immediate_exit = 1;
	signal(SIGUSR2, on_signal);
	pthread_kill(t, SIGUSR2);
	ASSERT_EQ(0, pthread_join(t, NULL));
}

TEST_HARNESS_MAIN
