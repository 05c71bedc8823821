// SPDX-License-Identifier: GPL-2.0-only
/*
 * perf on the host: its samples say whether a guest was interrupted, at which address and
 * in which mode; and counters of the host alone do not count guests.
 */
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define RING_PAGES	16
#define ENOUGH		100

/* Runs until the VMM's alarm; STI is for Bochs. */
GUEST(spin, 64, "sti\n1: pause; jmp 1b\n");

/* The same at CPL 3, by IRETQ. */
GUEST(user_spin, 64,
	"push $0x3b; push $0xe000; push $0x3202; push $0x43; lea 1f(%rip), %rax; push %rax; iretq\n"
	"1: pause; jmp 1b\n");

struct sample {
	struct perf_event_header header;
	u64 ip;
};

FIXTURE(perf) {
	struct vm vm;
	int fd;
	struct perf_event_mmap_page *ring;
	int in_guest, guest_user, host, at_loop;	/* samples */
};

FIXTURE_SETUP(perf)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	self->fd = -1;
}

FIXTURE_TEARDOWN(perf)
{
	if (self->fd >= 0)
		close(self->fd);
	vm_destroy(&self->vm);
}

static void ignore(int sig)
{
}

static int open_event(u32 type, u64 config, bool sampling, bool exclude_guest)
{
	struct perf_event_attr attr = {
		.type = type, .size = sizeof(attr), .config = config,
		.sample_period = sampling ? 1000000 : 0,	/* of cpu-clock: 1 ms */
		.sample_type = PERF_SAMPLE_IP,
		.exclude_guest = exclude_guest,
	};

	return syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
}

#define perf_self FIXTURE_DATA(perf)

static void read_samples(perf_self *self)
{
	u8 *data = (u8 *)self->ring + getpagesize();
	u64 size = RING_PAGES * getpagesize(), at;

	for (at = self->ring->data_tail; at < self->ring->data_head;) {
		struct sample *s = (void *)(data + at % size);
		u16 mode = s->header.misc & PERF_RECORD_MISC_CPUMODE_MASK;
		bool guest = mode == PERF_RECORD_MISC_GUEST_KERNEL || mode == PERF_RECORD_MISC_GUEST_USER;

		at += s->header.size;
		if (s->header.type != PERF_RECORD_SAMPLE)
			continue;
		self->in_guest += guest;
		self->guest_user += mode == PERF_RECORD_MISC_GUEST_USER;
		self->host += !guest;
		self->at_loop += guest && s->ip >= GPA_CODE && s->ip < GPA_CODE + 0x40;
	}
	self->ring->data_tail = at;
}

/* The guest, sampled every millisecond, for 200 ms, or on a busy machine until it was seen often. */
static void sample_guest(perf_self *self)
{
	struct sigaction act = { .sa_handler = ignore };
	struct itimerval when = { .it_value.tv_usec = 200000, .it_interval.tv_usec = 200000 };
	struct itimerval never = { 0 };

	self->ring = mmap(NULL, (1 + RING_PAGES) * getpagesize(), PROT_READ | PROT_WRITE,
			  MAP_SHARED, self->fd, 0);
	if (self->ring == MAP_FAILED)
		die("mmap of the event: %m");
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &when, NULL);
	for (int i = 0; i < 50 && self->in_guest < ENOUGH; i++) {
		while (!err(ioctl(self->vm.vcpu.fd, KVM_RUN, 0)))
			;
		read_samples(self);
	}
	setitimer(ITIMER_REAL, &never, NULL);
	ioctl(self->fd, PERF_EVENT_IOC_DISABLE, 0);
	read_samples(self);
	printf("# samples: %d of the guest, %d at its loop, %d of its user mode; %d of the host\n",
	       self->in_guest, self->at_loop, self->guest_user, self->host);
	munmap(self->ring, (1 + RING_PAGES) * getpagesize());
}

static void start_at(struct vm *vm)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	vcpu_set_regs(&vm->vcpu, &r);
}

TEST_F(perf, samples_in_the_guest)
{
	self->fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true, false);
	if (self->fd < 0)
		SKIP(return, "no perf events here");
	GUEST_LOAD(&self->vm, spin);
	start_at(&self->vm);
	sample_guest(self);
	EXPECT_LE(ENOUGH, self->in_guest);
	EXPECT_EQ(self->in_guest, self->at_loop);
	EXPECT_EQ(0, self->guest_user);
}

TEST_F(perf, samples_in_the_guests_user_mode)
{
	self->fd = open_event(PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true, false);
	if (self->fd < 0)
		SKIP(return, "no perf events here");
	for (u64 gpa = GPA_PML4; gpa <= GPA_PD; gpa += 0x1000)
		*(u64 *)(self->vm.mem + gpa) |= PTE_U;
	*(u64 *)(self->vm.mem + GPA_PT0 + (GPA_CODE >> 12) * 8) |= PTE_U;
	GUEST_LOAD(&self->vm, user_spin);
	start_at(&self->vm);
	sample_guest(self);
	/* But for its first instructions. */
	EXPECT_LT(self->in_guest * 3 / 4, self->guest_user);
}

/* On a processor with counters: cycles of the host alone, and of both. */
TEST_F(perf, counters_of_the_host_alone)
{
	struct sigaction act = { .sa_handler = ignore };
	struct itimerval when = { .it_value.tv_usec = 200000, .it_interval.tv_usec = 200000 };
	struct itimerval never = { 0 };
	int alone = open_event(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false, true), both;
	u64 n_alone = 0, n_both = 0;

	if (alone < 0)
		SKIP(return, "no hardware counters here");
	both = open_event(PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS, false, false);
	ASSERT_LE(0, both);
	GUEST_LOAD(&self->vm, spin);
	start_at(&self->vm);
	sigaction(SIGALRM, &act, NULL);
	setitimer(ITIMER_REAL, &when, NULL);
	while (!err(ioctl(self->vm.vcpu.fd, KVM_RUN, 0)))
		;
	setitimer(ITIMER_REAL, &never, NULL);
	ASSERT_EQ(sizeof(n_alone), read(alone, &n_alone, sizeof(n_alone)));
	ASSERT_EQ(sizeof(n_both), read(both, &n_both, sizeof(n_both)));
	printf("# instructions: %lu of the host, %lu with the guest's\n", n_alone, n_both);
	EXPECT_NE(0, n_alone);
	EXPECT_LT(4 * n_alone, n_both);
	close(alone);
	close(both);
}

TEST_HARNESS_MAIN
