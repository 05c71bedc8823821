// SPDX-License-Identifier: GPL-2.0-only
/* The 8254: its modes and registers as the guest sees them, its state, its ticks. */
#include <time.h>
#include <unistd.h>
#include "ops.h"
#include "kselftest_harness.h"

#define HZ	1193182

FIXTURE(pit) {
	struct vm vm;
};

FIXTURE_SETUP(pit)
{
	vm_create_full(&self->vm);
	ops_begin(&self->vm);
}

FIXTURE_TEARDOWN(pit)
{
	vm_destroy(&self->vm);
}

static struct kvm_pit_state2 get(struct vm *vm)
{
	struct kvm_pit_state2 s;

	if (ioctl(vm->fd, KVM_GET_PIT2, &s))
		die("KVM_GET_PIT2");
	return s;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

TEST_F(pit, create)
{
	struct kvm_pit_config config = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_pit_state2 s;
	int fd = ioctl(self->vm.sys, KVM_CREATE_VM, 0L);

	EXPECT_EQ(EEXIST, err(ioctl(self->vm.fd, KVM_CREATE_PIT2, &config)));
	EXPECT_EQ(EEXIST, err(ioctl(self->vm.fd, KVM_CREATE_PIT)));
	/* not without the chips that it interrupts by */
	EXPECT_EQ(ENOENT, err(ioctl(fd, KVM_CREATE_PIT2, &config)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_GET_PIT2, &s)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_SET_PIT2, &s)));
	ASSERT_EQ(0, err(ioctl(fd, KVM_CREATE_IRQCHIP)));
	EXPECT_EQ(EFAULT, err(ioctl(fd, KVM_CREATE_PIT2, BAD_PTR)));
	if (!on_stock()) {
		config.flags = 2;
		EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_CREATE_PIT2, &config)));
		config.flags = ~0U;
		EXPECT_EQ(EINVAL, err(ioctl(fd, KVM_CREATE_PIT2, &config)));
	}
	EXPECT_EQ(0, err(ioctl(fd, KVM_CREATE_PIT)));
	EXPECT_EQ(0, err(ioctl(fd, KVM_GET_PIT, &s)));
	EXPECT_EQ(0, err(ioctl(fd, KVM_SET_PIT, &s)));
	close(fd);
}

TEST_F(pit, modes_and_status)
{
	for (u32 mode = 0; mode < 8; mode++) {
		u32 is = mode > 5 ? mode & 3 : mode;

		/* counter 2, word, this mode; read back status before and after the count */
		RUN(&self->vm, { OUT1, 0x43, 0xb0 | mode << 1 }, { OUT1, 0x43, 0xe8 }, { IN1, 0x42 },
		    { OUT1, 0x42, 0 }, { OUT1, 0x42, 0x80 }, { OUT1, 0x43, 0xe8 }, { IN1, 0x42 });
		EXPECT_EQ(0x70 | is << 1, RESULT(&self->vm, 2) & 0x7f);
		EXPECT_EQ(0x30 | is << 1, RESULT(&self->vm, 6) & 0x7f);
		EXPECT_EQ(is, get(&self->vm).channels[2].mode);
		EXPECT_EQ(0x8000, get(&self->vm).channels[2].count);
	}
}

/* Byte by byte: low only, high only, both; latched and not; the latch holds. */
TEST_F(pit, access_modes)
{
	struct vm *vm = &self->vm;

	RUN(vm, { OUT1, 0x43, 0x90 }, { OUT1, 0x42, 0x12 });
	EXPECT_EQ(0x12, get(vm).channels[2].count);
	RUN(vm, { OUT1, 0x43, 0xa0 }, { OUT1, 0x42, 0x12 });
	EXPECT_EQ(0x1200, get(vm).channels[2].count);
	RUN(vm, { OUT1, 0x43, 0xb0 }, { OUT1, 0x42, 0x34 }, { OUT1, 0x42, 0x12 },
	    /* the gate is down: it does not count */
	    { OUT1, 0x43, 0x80 }, { IN1, 0x42 }, { IN1, 0x42 }, { IN1, 0x42 }, { IN1, 0x42 });
	EXPECT_EQ(0x34, RESULT(vm, 4));
	EXPECT_EQ(0x12, RESULT(vm, 5));
	EXPECT_EQ(0x34, RESULT(vm, 6));
	EXPECT_EQ(0x12, RESULT(vm, 7));
	/* status and count latched: the status is read first */
	RUN(vm, { OUT1, 0x43, 0xc8 }, { IN1, 0x42 }, { IN1, 0x42 }, { IN1, 0x42 });
	EXPECT_EQ(0x30, RESULT(vm, 1) & 0x7f);
	EXPECT_EQ(0x34, RESULT(vm, 2));
	EXPECT_EQ(0x12, RESULT(vm, 3));
	/* the control port reads as nothing */
	RUN(vm, { IN1, 0x43 });
}

TEST_F(pit, bcd)
{
	struct vm *vm = &self->vm;

	RUN(vm, { OUT1, 0x43, 0xb1 }, { OUT1, 0x42, 0x99 }, { OUT1, 0x42, 0x12 }, { IN1, 0x42 }, { IN1, 0x42 });
	EXPECT_EQ(0x99, RESULT(vm, 3));
	EXPECT_EQ(0x12, RESULT(vm, 4));
	EXPECT_EQ(1, get(vm).channels[2].bcd);
}

/* Counter 2 by its gate and output at port 0x61. */
TEST_F(pit, speaker)
{
	struct vm *vm = &self->vm;

	/* mode 0, about 0.1 s: low, and high after */
	RUN(vm, { OUT1, 0x61, 1 }, { OUT1, 0x43, 0xb0 }, { OUT1, 0x42, 0 }, { OUT1, 0x42, 0xff }, { IN1, 0x61 });
	EXPECT_EQ(0x01, RESULT(vm, 4) & 0x23);
	usleep(70000);
	RUN(vm, { IN1, 0x61 });
	EXPECT_EQ(0x21, RESULT(vm, 0) & 0x23);
	/* mode 1: high until the gate's edge, then low for its time */
	RUN(vm, { OUT1, 0x61, 0 }, { OUT1, 0x43, 0xb2 }, { OUT1, 0x42, 0 }, { OUT1, 0x42, 0xff }, { IN1, 0x61 },
	    { OUT1, 0x61, 3 }, { IN1, 0x61 });
	EXPECT_EQ(0x20, RESULT(vm, 4) & 0x23);
	EXPECT_EQ(0x03, RESULT(vm, 6) & 0x23);
	usleep(70000);
	RUN(vm, { IN1, 0x61 }, { OUT1, 0x61, 0 });
	EXPECT_EQ(0x23, RESULT(vm, 0) & 0x23);
	/* mode 3 without its gate: high, and the count stands still */
	RUN(vm, { OUT1, 0x43, 0xb6 }, { OUT1, 0x42, 0 }, { OUT1, 0x42, 0x10 }, { IN1, 0x42 }, { IN1, 0x42 },
	    { IN1, 0x42 }, { IN1, 0x42 }, { IN1, 0x61 });
	EXPECT_EQ(RESULT(vm, 3), RESULT(vm, 5));
	EXPECT_EQ(RESULT(vm, 4), RESULT(vm, 6));
	EXPECT_EQ(0x20, RESULT(vm, 7) & 0x20);
}

static void pic_on(struct vm *vm)
{
	RUN(vm, { OUT1, 0x20, 0x11 }, { OUT1, 0x21, 0x20 }, { OUT1, 0x21, 4 }, { OUT1, 0x21, 3 }, { OUT1, 0x21, 0xfe });
	/* LINT0 of the only APIC as at reset takes the 8259's interrupts */
	taken(vm);
}

TEST_F(pit, ticks)
{
	struct vm *vm = &self->vm;
	u64 t, ns = 10000000ULL * HZ / 1000000000;

	pic_on(vm);
	/* mode 2, 10 ms; auto-EOI, so each HLT is a tick */
	t = now_ns();
	RUN(vm, { OUT1, 0x43, 0x34 }, { OUT1, 0x40, ns & 0xff }, { OUT1, 0x40, ns >> 8 },
	    { HALT }, { HALT }, { HALT }, { HALT }, { HALT });
	t = now_ns() - t;
	EXPECT_EQ(0x20, trap(vm)->vector);
	EXPECT_LE(5, taken(vm));
	EXPECT_LE(40000000, t);
	/* mode 0: once, after the ticks of mode 2 that a slow host is behind with */
	RUN(vm, { OUT1, 0x43, 0x30 });
	do
		RUN(vm, { WINDOW });
	while (taken(vm));
	RUN(vm, { OUT1, 0x40, ns & 0xff }, { OUT1, 0x40, ns >> 8 }, { HALT });
	EXPECT_EQ(1, taken(vm));
	usleep(30000);
	RUN(vm, { WINDOW });
	EXPECT_EQ(0, taken(vm));
}

/* The shortest period that a guest can ask for: the host goes on, and so does the guest. */
TEST_F(pit, shortest_period)
{
	struct vm *vm = &self->vm;
	struct kvm_reinject_control control = { 0 };
	u64 n;

	ASSERT_EQ(0, ioctl(vm->fd, KVM_REINJECT_CONTROL, &control));
	pic_on(vm);
	for (u32 mode = 2; mode < 4; mode++) {
		u64 t = now_ns();

		RUN(vm, { OUT1, 0x43, 0x10 | mode << 1 }, { OUT1, 0x40, 1 }, { SPIN, 0, 20000 });
		n = taken(vm);
		/* the timer may be the host's other processor's, whose turn in the lab comes later */
		while (!n && now_ns() - t < 5000000000) {
			RUN(vm, { SPIN, 0, 20000 });
			n = taken(vm);
		}
		t = now_ns() - t;
		EXPECT_LE(1, n);
		/* two for each of 100 us: the lab may give one twice */
		EXPECT_GE(2 * t / 100000 + 10, n);
	}
}

TEST_F(pit, state)
{
	struct kvm_pit_state2 s = get(&self->vm), t, bad;

	s.channels[0].mode = 2;
	s.channels[0].count = 0x10000;
	s.channels[0].count_load_time = now_ns();
	s.channels[1].mode = 3;
	s.channels[1].count = 18;
	s.channels[1].rw_mode = 1;
	s.channels[2].mode = 3;
	s.channels[2].bcd = 1;
	s.flags = KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_PIT2, &s));
	t = get(&self->vm);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(s.channels[i].mode, t.channels[i].mode);
		EXPECT_EQ(s.channels[i].bcd, t.channels[i].bcd);
		EXPECT_EQ(s.channels[i].gate, t.channels[i].gate);
		EXPECT_EQ(s.channels[i].rw_mode, t.channels[i].rw_mode);
	}
	EXPECT_EQ(s.flags, t.flags);
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_SET_PIT2, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_GET_PIT2, BAD_PTR)));
	if (on_stock())
		return;
#define BAD(field, val) do {						\
	bad = s;							\
	bad.field = val;						\
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_SET_PIT2, &bad)));	\
} while (0)
	for (int i = 0; i < 3; i++) {
		BAD(channels[i].count, 0x10001);
		BAD(channels[i].count, ~0U);
		BAD(channels[i].mode, 8);
		BAD(channels[i].mode, 255);
		BAD(channels[i].rw_mode, 4);
		BAD(channels[i].read_state, 5);
		BAD(channels[i].write_state, 255);
		BAD(channels[i].count_latched, 4);
		BAD(channels[i].status_latched, 2);
		BAD(channels[i].bcd, 2);
		BAD(channels[i].gate, 2);
	}
	BAD(channels[0].gate, 0);
	BAD(flags, 4);
	BAD(flags, ~0U);
	BAD(reserved[8], 1);
}

/* Load times of any kind, and the smallest counts: bounded work, and the guest still reads it. */
TEST_F(pit, load_times)
{
	static const int64_t times[] = { 0, 1, -1, INT64_MAX, INT64_MIN, INT64_MIN + 1 };
	struct kvm_pit_state2 s = get(&self->vm);

	for (int i = 0; i < ARRAY_LEN(times); i++) {
		for (int mode = 0; mode < 8; mode++) {
			for (int count = 0; count < 3; count++) {
				for (int k = 0; k < 3; k++) {
					s.channels[k].count_load_time = times[i];
					s.channels[k].mode = mode;
					s.channels[k].count = count;
					s.channels[k].rw_mode = 3;
					s.channels[k].read_state = 3;
				}
				ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_PIT2, &s));
				RUN(&self->vm, { OUT1, 0x43, 0xce }, { IN4, 0x40 }, { IN1, 0x61 }, { IN1, 0x40 });
			}
		}
	}
}

TEST_F(pit, reinject_control)
{
	struct kvm_reinject_control control = { .pit_reinject = 1 };
	int fd = ioctl(self->vm.sys, KVM_CREATE_VM, 0L);

	EXPECT_EQ(0, err(ioctl(self->vm.fd, KVM_REINJECT_CONTROL, &control)));
	control.pit_reinject = 0;
	EXPECT_EQ(0, err(ioctl(self->vm.fd, KVM_REINJECT_CONTROL, &control)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_REINJECT_CONTROL, BAD_PTR)));
	EXPECT_EQ(ENXIO, err(ioctl(fd, KVM_REINJECT_CONTROL, &control)));
	close(fd);
}

/* Ticks that the guest did not take in time come after; without reinjection they do not. */
TEST_F(pit, reinjection)
{
	struct vm *vm = &self->vm;
	u64 ns = 5000000ULL * HZ / 1000000000;

	for (int reinject = 1; reinject >= 0; reinject--) {
		struct kvm_reinject_control control = { .pit_reinject = reinject };
		struct op late[16] = { { OUT1, 0x20, 0x20 } };

		ASSERT_EQ(0, ioctl(vm->fd, KVM_REINJECT_CONTROL, &control));
		/* no auto-EOI: an EOI for each */
		RUN(vm, { OUT1, 0x20, 0x11 }, { OUT1, 0x21, 0x20 }, { OUT1, 0x21, 4 }, { OUT1, 0x21, 1 }, { OUT1, 0x21, 0xfe },
		    { OUT1, 0x43, 0x34 }, { OUT1, 0x40, ns & 0xff }, { OUT1, 0x40, ns >> 8 }, { HALT });
		usleep(100000);
		/* stop it: what is due stays due */
		RUN(vm, { OUT1, 0x43, 0x34 });
		taken(vm);
		for (int i = 0; i < 15; i++)
			late[i] = (struct op){ i & 1 ? WINDOW : OUT1, 0x20, 0x20 };
		ops_run(vm, late, 15);
		if (reinject) {
			EXPECT_LE(5, taken(vm));
		} else {
			/* the one in service, the one requested, and what the lab gives twice */
			EXPECT_GE(4, taken(vm));
		}
	}
}

TEST_HARNESS_MAIN
