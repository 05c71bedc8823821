// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM that died of an internal error: its vcpus leave, every call on it fails
 * with EIO, it can be closed, and nobody else is any the worse.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define DIE	"/sys/kernel/debug/kvm/die"
#define COUNTER	GPA_DATA

/* Counts for ever, with interrupts on and without an exit. */
GUEST(count, 64, "sti\n 1: incq 0x20000\n jmp 1b");
GUEST(exits, 64, "1: cpuid\n incq 0x20000\n jmp 1b");
GUEST(halt, 64, "incq 0x20000\n sti\n 1: hlt\n jmp 1b");
GUEST(answer, 64, "mov $42, %al\n out %al, $0x10\n hlt");

FIXTURE(dead) {
	struct vm vm, other;
	pthread_t thread;
};

FIXTURE_SETUP(dead)
{
	vm_start(&self->other, LONG, answer);
	vm_start(&self->vm, LONG, count);
}

FIXTURE_TEARDOWN(dead)
{
	vm_destroy(&self->vm);
	/* the other one neither notices the death nor the burial */
	EXPECT_EQ(KVM_EXIT_IO, vm_run(&self->other));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->other));
	vm_destroy(&self->other);
}

static bool write_die(const char *text)
{
	int fd = open(DIE, O_WRONLY);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	int saved = errno;

	close(fd);
	errno = saved;
	return ok;
}

/* By the name of its directory in debugfs. */
static bool kill_vm(struct vm *vm)
{
	char name[32];

	snprintf(name, sizeof(name), "%d-%d\n", getpid(), vm->fd);
	return write_die(name);
}

#define NEEDS_DEBUGFS() do {							\
	if (access(DIE, W_OK))							\
		SKIP(return, "no debugfs here in which a VM can be made to die");	\
} while (0)

static void *run_thread(void *vm)
{
	return (void *)(long)vm_run(vm);
}

/* Wait until the guest has been there. */
static bool counted(struct vm *vm)
{
	volatile u64 *count = (u64 *)(vm->mem + COUNTER);

	for (int i = 0; i < 3000 && !*count; i++)
		usleep(10000);
	return *count;
}

/* Its vcpu is in KVM_RUN, whatever it does there, and has to leave. */
static bool dies_in_run(struct vm *vm, long *result)
{
	pthread_t thread;
	void *r;

	if (pthread_create(&thread, NULL, run_thread, vm) || !counted(vm) || !kill_vm(vm) ||
	    pthread_join(thread, &r))
		return false;
	*result = (long)r;
	return true;
}

TEST_F_TIMEOUT(dead, running, 120)
{
	long result;

	NEEDS_DEBUGFS();
	ASSERT_TRUE(dies_in_run(&self->vm, &result));
	EXPECT_EQ(-EIO, result);
	EXPECT_EQ(-EIO, vm_run(&self->vm));
}

TEST_F_TIMEOUT(dead, exiting, 120)
{
	long result;

	NEEDS_DEBUGFS();
	GUEST_LOAD(&self->vm, exits);
	ASSERT_TRUE(dies_in_run(&self->vm, &result));
	EXPECT_EQ(-EIO, result);
}

/* Asleep in the kernel, as its local APIC is there. */
TEST_F_TIMEOUT(dead, halted, 120)
{
	long result;

	NEEDS_DEBUGFS();
	vm_destroy(&self->vm);
	vm_create_split(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	GUEST_LOAD(&self->vm, halt);
	ASSERT_TRUE(dies_in_run(&self->vm, &result));
	EXPECT_EQ(-EIO, result);
}

/* Of two vcpus the second was never run, and is as dead. */
TEST_F_TIMEOUT(dead, all_vcpus, 120)
{
	struct vcpu second;
	long result;

	NEEDS_DEBUGFS();
	vcpu_create(&self->vm, &second, 1);
	ASSERT_TRUE(dies_in_run(&self->vm, &result));
	EXPECT_EQ(-EIO, result);
	EXPECT_EQ(-EIO, vcpu_run(&second));
	munmap(second.run, self->vm.run_size);
	close(second.fd);
}

TEST_F(dead, calls)
{
	static const unsigned long vcpu_calls[] = {
		KVM_RUN, KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS, KVM_SET_SREGS,
		KVM_GET_FPU, KVM_GET_XSAVE, KVM_GET_XCRS, KVM_GET_DEBUGREGS,
		KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, KVM_GET_MP_STATE, KVM_TRANSLATE,
		KVM_INTERRUPT, KVM_NMI, KVM_GET_LAPIC, KVM_GET_MSRS, KVM_SET_MSRS,
		KVM_SET_CPUID2, KVM_GET_CPUID2, KVM_SET_SIGNAL_MASK, KVM_SET_GUEST_DEBUG,
		KVM_GET_TSC_KHZ, KVM_KVMCLOCK_CTRL, KVM_ENABLE_CAP, KVM_GET_STATS_FD,
		KVM_DEBUG_GUEST, _IO(KVMIO, 0xfe),
	};
	static const unsigned long vm_calls[] = {
		KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION, KVM_GET_DIRTY_LOG,
		KVM_CLEAR_DIRTY_LOG, KVM_CREATE_IRQCHIP, KVM_CREATE_PIT2, KVM_IRQ_LINE,
		KVM_SIGNAL_MSI, KVM_SET_GSI_ROUTING, KVM_IRQFD, KVM_IOEVENTFD, KVM_GET_CLOCK,
		KVM_SET_TSS_ADDR, KVM_SET_IDENTITY_MAP_ADDR, KVM_X86_SET_MSR_FILTER,
		KVM_CHECK_EXTENSION, KVM_ENABLE_CAP, KVM_GET_NR_MMU_PAGES, KVM_GET_STATS_FD,
		KVM_REGISTER_COALESCED_MMIO, _IO(KVMIO, 0xfe),
	};

	NEEDS_DEBUGFS();
	ASSERT_TRUE(kill_vm(&self->vm));
	for (size_t i = 0; i < ARRAY_LEN(vcpu_calls); i++) {
		EXPECT_EQ(EIO, err(ioctl(self->vm.vcpu.fd, vcpu_calls[i], 0L)))
			TH_LOG("vcpu's call %#lx", vcpu_calls[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(vm_calls); i++) {
		EXPECT_EQ(EIO, err(ioctl(self->vm.fd, vm_calls[i], 0L)))
			TH_LOG("VM's call %#lx", vm_calls[i]);
	}
	/* /dev/kvm has nothing to do with it */
	EXPECT_EQ(1, check_cap(self->vm.sys, KVM_CAP_USER_MEMORY));
}

/* Death comes once, and goes with the VM. */
TEST_F(dead, once_and_gone)
{
	NEEDS_DEBUGFS();
	ASSERT_TRUE(kill_vm(&self->vm));
	EXPECT_TRUE(kill_vm(&self->vm));
	EXPECT_EQ(-EIO, vm_run(&self->vm));
	vm_destroy(&self->vm);
	EXPECT_FALSE(kill_vm(&self->vm));
	EXPECT_EQ(ENOENT, errno);
	/* a new one under the same name lives */
	vm_start(&self->vm, LONG, answer);
	EXPECT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
}

TEST_F(dead, nobody)
{
	NEEDS_DEBUGFS();
	EXPECT_FALSE(write_die("1-1"));
	EXPECT_EQ(ENOENT, errno);
	EXPECT_FALSE(write_die("a name that is longer than any directory's"));
	EXPECT_EQ(EINVAL, errno);
	GUEST_LOAD(&self->vm, answer);
	EXPECT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
}

/* What the VM counted can still be read. */
TEST_F(dead, statistics)
{
	int fd = ioctl(self->vm.fd, KVM_GET_STATS_FD, 0L);
	struct kvm_stats_header h;

	ASSERT_LE(0, fd);
	NEEDS_DEBUGFS();
	ASSERT_TRUE(kill_vm(&self->vm));
	EXPECT_EQ((ssize_t)sizeof(h), pread(fd, &h, sizeof(h), 0));
	close(fd);
}

TEST_HARNESS_MAIN
