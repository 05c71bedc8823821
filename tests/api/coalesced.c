// SPDX-License-Identifier: GPL-2.0-only
/* Coalesced MMIO and PIO: writes that wait in the ring, and a ring that userspace spoils. */
#include <sys/mman.h>
#include <unistd.h>
#include "ops.h"
#include "kselftest_harness.h"

#define PORT	0x5680
#define MMIO	(GPA_MMIO + 0x2000)

FIXTURE(coalesced) {
	struct vm vm;
	struct kvm_coalesced_mmio_ring *ring;
	u32 max;
};

FIXTURE_SETUP(coalesced)
{
	int page = 0;

	vm_create(&self->vm);
	ops_begin(&self->vm);
	page = check_cap(self->vm.fd, KVM_CAP_COALESCED_MMIO);
	ASSERT_EQ(KVM_COALESCED_MMIO_PAGE_OFFSET, page);
	ASSERT_LE((page + 1) * 4096, self->vm.run_size);
	self->ring = (void *)self->vm.vcpu.run + page * 4096;
	self->max = (4096 - sizeof(*self->ring)) / sizeof(struct kvm_coalesced_mmio);
}

FIXTURE_TEARDOWN(coalesced)
{
	vm_destroy(&self->vm);
}

static int zone(struct vm *vm, bool add, u64 addr, u32 size, u32 pio)
{
	struct kvm_coalesced_mmio_zone z = { .addr = addr, .size = size, .pio = pio };

	return err(ioctl(vm->fd, add ? KVM_REGISTER_COALESCED_MMIO : KVM_UNREGISTER_COALESCED_MMIO,
			 &z));
}

TEST_F(coalesced, mmio)
{
	struct kvm_coalesced_mmio_ring *ring = self->ring;
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, zone(vm, true, MMIO, 0x100, 0));
	RUN(vm, { WR4, MMIO, 0x11223344 }, { WR1, MMIO + 0xff, 0x55 }, { WR8, MMIO + 0xf8, 0x66778899aabbccdd });
	EXPECT_EQ(0, ring->first);
	ASSERT_EQ(3, ring->last);
	EXPECT_EQ(MMIO, ring->coalesced_mmio[0].phys_addr);
	EXPECT_EQ(4, ring->coalesced_mmio[0].len);
	EXPECT_EQ(0, ring->coalesced_mmio[0].pio);
	EXPECT_EQ(0, memcmp("\x44\x33\x22\x11", ring->coalesced_mmio[0].data, 4));
	EXPECT_EQ(MMIO + 0xff, ring->coalesced_mmio[1].phys_addr);
	EXPECT_EQ(1, ring->coalesced_mmio[1].len);
	EXPECT_EQ(8, ring->coalesced_mmio[2].len);
	/* what hangs over the end, and what lies before */
	for (int i = 0; i < 2; i++) {
		struct op op = { WR4, i ? MMIO + 0xfd : MMIO - 4, 1 };

		EXPECT_EQ(KVM_EXIT_MMIO, ops_start(vm, &op, 1));
		EXPECT_EQ(3, ring->last);
		vm_run(vm);
	}
	/* a read is never coalesced */
	EXPECT_EQ(KVM_EXIT_MMIO, ops_start(vm, &(struct op){ RD4, MMIO }, 1));
	vm_run(vm);
	ASSERT_EQ(0, zone(vm, false, MMIO, 0x100, 0));
	EXPECT_EQ(KVM_EXIT_MMIO, ops_start(vm, &(struct op){ WR4, MMIO }, 1));
}

TEST_F(coalesced, pio)
{
	struct vm *vm = &self->vm;

	if (!check_cap(vm->fd, KVM_CAP_COALESCED_PIO))
		SKIP(return, "no coalesced ports");
	ASSERT_EQ(0, zone(vm, true, PORT, 4, 1));
	RUN(vm, { OUT4, PORT, 0x11223344 }, { OUT1, PORT + 3, 0x55 });
	ASSERT_EQ(2, self->ring->last);
	EXPECT_EQ(PORT, self->ring->coalesced_mmio[0].phys_addr);
	EXPECT_EQ(4, self->ring->coalesced_mmio[0].len);
	EXPECT_EQ(1, self->ring->coalesced_mmio[0].pio);
	EXPECT_EQ(0x55, self->ring->coalesced_mmio[1].data[0]);
	EXPECT_EQ(EINVAL, zone(vm, true, PORT, 4, 2));
	EXPECT_EQ(EINVAL, zone(vm, true, PORT, 4, ~0U));
}

/* A full ring: the write comes to userspace, and nothing is lost. */
TEST_F(coalesced, full)
{
	struct vm *vm = &self->vm;
	struct op ops[300];
	u64 sum = 0;
	int exits = 0;

	ASSERT_EQ(0, zone(vm, true, MMIO, 0x100, 0));
	for (int i = 0; i < 300; i++)
		ops[i] = (struct op){ WR4, MMIO, i + 1 };
	ops_start(vm, ops, 300);
	for (;;) {
		for (; self->ring->first != self->ring->last; self->ring->first = (self->ring->first + 1) % self->max)
			sum += *(u32 *)self->ring->coalesced_mmio[self->ring->first].data;
		if (vm->vcpu.run->exit_reason != KVM_EXIT_MMIO)
			break;
		sum += *(u32 *)vm->vcpu.run->mmio.data;
		exits++;
		vm_run(vm);
	}
	ASSERT_TRUE(ops_ended(vm));
	EXPECT_EQ(300 * 301 / 2, sum);
	EXPECT_EQ(300 / self->max, exits);
}

/* Numbers of the ring that cannot be: to userspace, and the kernel is well. */
TEST_F(coalesced, spoilt)
{
	static const u32 bad[] = { 169, 170, 171, 0x7fffffff, 0x80000000, ~0U };
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, zone(vm, true, MMIO, 0x100, 0));
	for (int i = 0; i < ARRAY_LEN(bad); i++) {
		for (int k = 0; k < 3; k++) {
			struct op op = { WR8, MMIO, ~0ULL };

			self->ring->first = k & 1 ? bad[i] : 0;
			self->ring->last = k & 2 ? bad[i] : 0;
			ops_start(vm, &op, 1);
			if (bad[i] >= self->max && (k & 2))
				EXPECT_EQ(KVM_EXIT_MMIO, vm->vcpu.run->exit_reason);
			while (!ops_ended(vm))
				vm_run(vm);
		}
	}
}

TEST_F(coalesced, wrong)
{
	struct vm *vm = &self->vm;
	int i, r = 0;

	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_REGISTER_COALESCED_MMIO, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(vm->fd, KVM_UNREGISTER_COALESCED_MMIO, BAD_PTR)));
	/* none there: nothing to do */
	EXPECT_EQ(0, zone(vm, false, MMIO, 0x100, 0));
	if (!on_stock()) {
		EXPECT_EQ(EINVAL, zone(vm, true, ~0ULL, 2, 0));
		EXPECT_EQ(EINVAL, zone(vm, true, MMIO, 0, 0));
		EXPECT_EQ(EINVAL, zone(vm, true, 0xffff, 2, 1));
	}
	for (i = 0; i < 3000 && !r; i++)
		r = zone(vm, true, MMIO + i * 8, 8, 0);
	EXPECT_EQ(ENOSPC, r);
}

TEST_HARNESS_MAIN
