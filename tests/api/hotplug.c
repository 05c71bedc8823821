// SPDX-License-Identifier: GPL-2.0-only
/*
 * A processor goes and comes back while virtual machines use it: their vcpus
 * run on elsewhere, and on it again.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define ONLINE	"/sys/devices/system/cpu/cpu1/online"
#define COUNTER	GPA_DATA

/* Counts until told to end, with interrupts on; an exit now and then. */
GUEST(count, 64,
	"sti\n"
	"1: mov $1000, %ecx\n"
	"2: incq 0x20000; dec %ecx; jnz 2b\n"
	"xor %eax, %eax; cpuid\n"
	"cmpq $0, 0x20008; je 1b\n"
	"hlt\n");

FIXTURE(hotplug) {
	struct vm vm, other;
	volatile u64 *count, *end;
	pthread_t thread;
};

static bool set_online(bool on)
{
	int fd = open(ONLINE, O_WRONLY);
	bool ok = fd >= 0 && write(fd, on ? "1" : "0", 1) == 1;

	close(fd);
	return ok;
}

static bool pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

FIXTURE_SETUP(hotplug)
{
	vm_start(&self->vm, LONG, count);
	vm_start(&self->other, LONG, count);
	self->count = (u64 *)(self->vm.mem + COUNTER);
	self->end = self->count + 1;
}

FIXTURE_TEARDOWN(hotplug)
{
	vm_destroy(&self->vm);
	vm_destroy(&self->other);
}

static void *run_on_cpu1(void *arg)
{
	FIXTURE_DATA(hotplug) *self = arg;

	/* without it, anywhere: the kernel moves the thread when the processor goes */
	pin(1);
	return (void *)(long)vm_run(&self->vm);
}

/* It counts on. */
static bool counts(FIXTURE_DATA(hotplug) *self)
{
	u64 before = *self->count;

	for (int i = 0; i < 5000 && *self->count == before; i++)
		usleep(1000);
	return *self->count != before;
}

/* The other VM's vcpu runs for a moment on this processor, and is left there. */
static int run_other(FIXTURE_DATA(hotplug) *self)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	((u64 *)(self->other.mem + COUNTER))[1] = 1;
	vcpu_set_regs(&self->other.vcpu, &r);
	return vm_run(&self->other);
}

TEST_F_TIMEOUT(hotplug, processor_goes, 300)
{
	void *exit;

	if (access(ONLINE, W_OK))
		SKIP(return, "there is no second processor that could go");
	ASSERT_TRUE(pin(1));
	EXPECT_EQ(KVM_EXIT_HLT, run_other(self));
	ASSERT_TRUE(pin(0));
	ASSERT_EQ(0, pthread_create(&self->thread, NULL, run_on_cpu1, self));
	EXPECT_TRUE(counts(self));
	for (int i = 0; i < 3; i++) {
		EXPECT_TRUE(set_online(false));
		EXPECT_TRUE(counts(self)) TH_LOG("round %d: without it", i);
		EXPECT_EQ(KVM_EXIT_HLT, run_other(self));
		EXPECT_TRUE(set_online(true));
		EXPECT_TRUE(counts(self)) TH_LOG("round %d: with it", i);
		ASSERT_TRUE(pin(1));
		EXPECT_EQ(KVM_EXIT_HLT, run_other(self));
		ASSERT_TRUE(pin(0));
	}
	*self->end = 1;
	ASSERT_EQ(0, pthread_join(self->thread, &exit));
	EXPECT_EQ(KVM_EXIT_HLT, (long)exit);
}

TEST_HARNESS_MAIN
