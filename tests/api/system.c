// SPDX-License-Identifier: GPL-2.0-only
/* Calls on /dev/kvm. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

FIXTURE(sys) {
	int fd;
};

FIXTURE_SETUP(sys)
{
	self->fd = open("/dev/kvm", O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(sys)
{
	close(self->fd);
}

TEST_F(sys, device_node)
{
	struct stat st;

	ASSERT_EQ(0, fstat(self->fd, &st));
	EXPECT_TRUE(S_ISCHR(st.st_mode));
	EXPECT_EQ(makedev(10, 232), st.st_rdev);
}

TEST_F(sys, get_api_version)
{
	EXPECT_EQ(12, ioctl(self->fd, KVM_GET_API_VERSION, 0L));
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_GET_API_VERSION, 1L)));
}

TEST_F(sys, create_vm)
{
	int a, b;

	a = ioctl(self->fd, KVM_CREATE_VM, 0L);
	if (!on_stock())	/* older ones have not this capability, newer ones more types */
		EXPECT_EQ(BIT(KVM_X86_DEFAULT_VM), check_cap(self->fd, KVM_CAP_VM_TYPES));
	if (!on_stock())
		EXPECT_EQ(BIT(KVM_X86_DEFAULT_VM), check_cap(a, KVM_CAP_VM_TYPES));
	b = ioctl(self->fd, KVM_CREATE_VM, 0L);
	EXPECT_GE(a, 0);
	EXPECT_GE(b, 0);
	EXPECT_NE(a, b);
	/* closed with its last fd only, and in any order */
	close(self->fd);
	EXPECT_EQ(0, ioctl(a, KVM_SET_TSS_ADDR, 0xfffbd000L));
	close(a);
	EXPECT_EQ(0, ioctl(b, KVM_SET_TSS_ADDR, 0xfffbd000L));
	close(b);
	self->fd = open("/dev/kvm", O_RDWR);
	/* what the capability does not name */
	for (int type = 1; type < 64 && !on_stock(); type++)
		EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_CREATE_VM, (long)type)));
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_CREATE_VM, BIT(32))));
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_CREATE_VM, ~0UL)));
}

TEST_F(sys, tss_and_identity_map)
{
	static const u64 bad[] = { 0xfffff800, 1, 1ULL << 32, 1ULL << 52, ~0ULL };
	int vm = ioctl(self->fd, KVM_CREATE_VM, 0L), vcpu;
	u64 at = 0xfeffc000;

	for (unsigned int i = 0; i < 5; i++) {
		at = bad[i];
		if (!on_stock()) {
			EXPECT_EQ(EINVAL, err(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &at)));
			EXPECT_EQ(EINVAL, err(ioctl(vm, KVM_SET_TSS_ADDR, at)));
		}
	}
	EXPECT_EQ(EFAULT, err(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, BAD_PTR)));
	at = 0xfeffc000;
	EXPECT_EQ(0, ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &at));
	EXPECT_EQ(0, ioctl(vm, KVM_SET_TSS_ADDR, 0xfeffd000L));
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0L);
	ASSERT_GE(vcpu, 0);
	EXPECT_EQ(EINVAL, err(ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &at)));
	close(vcpu);
	close(vm);
}

TEST_F(sys, create_vm_many)
{
	int fds[64];

	for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = ioctl(self->fd, KVM_CREATE_VM, 0L);
		ASSERT_GE(fds[i], 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
}

static volatile sig_atomic_t ticks;

static void tick(int signal)
{
	ticks++;
}

/*
 * A signal that comes while the VM's mmu notifier is registered calls KVM_CREATE_VM off at
 * its last step, with most of the VM made. The kernel looks for one at each mapping of the
 * process, so that there are many; and the timer is set by when its ticks have come.
 */
TEST_F_TIMEOUT(sys, create_vm_called_off, 90)
{
	enum { MAPPINGS = 1000, TRIES = 200 };
	struct itimerval once = { .it_value.tv_usec = 100 };
	int wanted = is_slow() ? 1 : 4, called_off = 0, fd, before;
	char *area;

	area = mmap(NULL, MAPPINGS * 2 * 4096UL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, area);
	for (size_t i = 0; i < MAPPINGS; i++)
		ASSERT_EQ(0, mprotect(area + i * 8192, 4096, PROT_READ));
	signal(SIGALRM, tick);
	for (int i = 0; i < TRIES && called_off < wanted; i++) {
		ticks = 0;
		ASSERT_EQ(0, setitimer(ITIMER_REAL, &once, NULL));
		before = ticks;
		fd = ioctl(self->fd, KVM_CREATE_VM, 0L);
		ASSERT_TRUE(fd >= 0 || errno == EINTR) TH_LOG("errno %d", errno);
		called_off += fd < 0;
		while (!ticks)
			usleep(100);
		if (fd < 0)
			continue;
		close(fd);
		/* too early, or too late */
		once.it_value.tv_usec = before ? once.it_value.tv_usec * 3 / 2 % 500000 + 1 :
						 once.it_value.tv_usec * 2 / 3 + 1;
	}
	EXPECT_EQ(wanted, called_off);
	munmap(area, MAPPINGS * 2 * 4096UL);
	/* and the next, undisturbed, is whole */
	fd = ioctl(self->fd, KVM_CREATE_VM, 0L);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, ioctl(fd, KVM_SET_TSS_ADDR, 0xfffbd000L));
	close(fd);
}

static void msr_list(struct __test_metadata *_metadata, int fd, unsigned long call)
{
	struct kvm_msr_list probe = { .nmsrs = 0 }, *list;
	u32 n;

	EXPECT_EQ(E2BIG, err(ioctl(fd, call, &probe)));
	n = probe.nmsrs;
	ASSERT_GT(n, 0);
	ASSERT_LE(n, 256);
	list = calloc(1, sizeof(*list) + (n + 1) * sizeof(u32));
	list->nmsrs = n - 1;
	list->indices[0] = 0xabcd0123;
	EXPECT_EQ(E2BIG, err(ioctl(fd, call, list)));
	EXPECT_EQ(n, list->nmsrs);
	EXPECT_EQ(0xabcd0123, list->indices[0]);
	list->nmsrs = n + 1;
	list->indices[n] = 0xabcd0123;
	EXPECT_EQ(0, ioctl(fd, call, list));
	EXPECT_EQ(n, list->nmsrs);
	EXPECT_EQ(0xabcd0123, list->indices[n]);
	for (u32 i = 0; i < n; i++)
		for (u32 j = 0; j < i; j++)
			if (list->indices[i] == list->indices[j])
				TH_LOG("MSR %x twice", list->indices[i]);
	EXPECT_EQ(EFAULT, err(ioctl(fd, call, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(fd, call, NULL)));
	free(list);
}

TEST_F(sys, get_msr_index_list)
{
	msr_list(_metadata, self->fd, KVM_GET_MSR_INDEX_LIST);
}

TEST_F(sys, get_msr_feature_index_list)
{
	if (!check_cap(self->fd, KVM_CAP_GET_MSR_FEATURES))
		SKIP(return, "KVM_CAP_GET_MSR_FEATURES is not offered");
	msr_list(_metadata, self->fd, KVM_GET_MSR_FEATURE_INDEX_LIST);
}

TEST_F(sys, check_extension)
{
	int vm = ioctl(self->fd, KVM_CREATE_VM, 0L);
	static const struct { int cap, min; } want[] = {
		{ KVM_CAP_USER_MEMORY, 1 }, { KVM_CAP_SET_TSS_ADDR, 1 },
		{ KVM_CAP_EXT_CPUID, 1 }, { KVM_CAP_MP_STATE, 1 },
		{ KVM_CAP_SYNC_MMU, 1 }, { KVM_CAP_NR_VCPUS, 1 },
		{ KVM_CAP_MAX_VCPUS, 1 }, { KVM_CAP_NR_MEMSLOTS, 509 },
		{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
		{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
		{ KVM_CAP_IRQ_ROUTING, 2 }, { KVM_CAP_MCE, 10 },
		/* and of what else VMMs need: Documentation/vmm.rst */
		{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 }, { KVM_CAP_ADJUST_CLOCK, 1 },
		{ KVM_CAP_INTERNAL_ERROR_DATA, 1 }, { KVM_CAP_X86_ROBUST_SINGLESTEP, 1 },
		{ KVM_CAP_VCPU_EVENTS, 1 }, { KVM_CAP_DEBUGREGS, 1 }, { KVM_CAP_XSAVE, 1 },
		{ KVM_CAP_SIGNAL_MSI, 1 }, { KVM_CAP_IOEVENTFD, 1 },
		{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 }, { KVM_CAP_IRQCHIP, 1 }, { KVM_CAP_IRQFD, 1 },
		{ KVM_CAP_SPLIT_IRQCHIP, 1 }, { KVM_CAP_PIT2, 1 }, { KVM_CAP_PIT_STATE2, 1 },
		{ KVM_CAP_IRQ_INJECT_STATUS, 1 }, { KVM_CAP_COALESCED_MMIO, 1 }, { KVM_CAP_HLT, 1 },
		{ KVM_CAP_TSC_DEADLINE_TIMER, 1 }, { KVM_CAP_GET_TSC_KHZ, 1 },
		{ KVM_CAP_IMMEDIATE_EXIT, 1 }, { KVM_CAP_USER_NMI, 1 }, { KVM_CAP_READONLY_MEM, 1 },
		{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		EXPECT_GE(check_cap(self->fd, want[i].cap), want[i].min)
			TH_LOG("capability %d", want[i].cap);
	}
	for (size_t i = 0; i < ARRAY_LEN(want); i++)
		EXPECT_EQ(check_cap(self->fd, want[i].cap), check_cap(vm, want[i].cap));
	EXPECT_GE(check_cap(self->fd, KVM_CAP_MAX_VCPUS),
		  check_cap(self->fd, KVM_CAP_NR_VCPUS));
	/* what is not there, is 0 and no error */
	EXPECT_EQ(0, check_cap(self->fd, 4094));
	EXPECT_EQ(0, ioctl(self->fd, KVM_CHECK_EXTENSION, ~0UL));
	EXPECT_EQ(0, ioctl(vm, KVM_CHECK_EXTENSION, ~0UL));
	close(vm);
}

TEST_F(sys, get_vcpu_mmap_size)
{
	int size = ioctl(self->fd, KVM_GET_VCPU_MMAP_SIZE, 0L);
	int page = KVM_COALESCED_MMIO_PAGE_OFFSET;

	/* a page for kvm_run, one for port data, the coalescing ring's if offered */
	EXPECT_GE(size, 2 * 4096);
	EXPECT_EQ(0, size % 4096);
	if (check_cap(self->fd, KVM_CAP_COALESCED_MMIO)) {
		EXPECT_EQ(page, check_cap(self->fd, KVM_CAP_COALESCED_MMIO));
		EXPECT_GE(size, 3 * 4096);
	}
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_GET_VCPU_MMAP_SIZE, 1L)));
}

/* What the processor lacks is not emulated: an empty list, where stock's has MOVBE. */
TEST_F(sys, get_emulated_cpuid)
{
	struct { struct kvm_cpuid2 h; struct kvm_cpuid_entry2 e[64]; } c = { .h.nent = 64 };

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_EMULATED_CPUID, &c));
	if (!on_stock()) {
		EXPECT_EQ(0, c.h.nent);
	}
	EXPECT_GE(64, c.h.nent);
	EXPECT_EQ(EFAULT, err(ioctl(self->fd, KVM_GET_EMULATED_CPUID, BAD_PTR)));
}

TEST_F(sys, get_supported_cpuid)
{
	const u32 max = 256;
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + max * sizeof(c->entries[0]));
	u32 n, leaf0 = 0, seen = 0;

	c->nent = 1;
	EXPECT_EQ(E2BIG, err(ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, c)));
	c->nent = 0;
	EXPECT_EQ(E2BIG, err(ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, c)));
	c->nent = max;
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, c));
	n = c->nent;
	/* kvmtool's buffer is 100, old rust-vmm's 80 */
	EXPECT_GT(n, 4);
	EXPECT_LT(n, 100);
	for (u32 i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 *e = &c->entries[i];

		if (e->function == 0)
			leaf0 = e->eax;
		seen |= (e->function == 0) << 0 | (e->function == 1) << 1 |
			(e->function == 0x80000000) << 2 |
			(e->function == 0x80000001) << 3 |
			(e->function == 0x80000008) << 4;
		EXPECT_EQ(0, e->padding[0] | e->padding[1] | e->padding[2]);
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX))
			EXPECT_EQ(0, e->index) TH_LOG("leaf %x", e->function);
	}
	EXPECT_EQ(0x1f, seen);
	EXPECT_GE(leaf0, 1);
	/* exactly as many as there are; one fewer is too few */
	c->nent = n;
	EXPECT_EQ(0, ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, c));
	EXPECT_EQ(n, c->nent);
	c->nent = n - 1;
	EXPECT_EQ(E2BIG, err(ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, c)));
	/* a count past any sense is clamped, not refused and not believed */
	c->nent = 100000;
	EXPECT_EQ(0, ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, c));
	EXPECT_EQ(n, c->nent);
	EXPECT_EQ(EFAULT, err(ioctl(self->fd, KVM_GET_SUPPORTED_CPUID, BAD_PTR)));
	free(c);
}

TEST_F(sys, wrong_calls)
{
	static const unsigned long calls[] = {
		KVM_RUN, KVM_GET_REGS, KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION,
		KVM_SET_TSS_ADDR, KVM_GET_DIRTY_LOG, KVM_SET_CPUID2,
	};
	char buf[4096] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		EXPECT_NE(0, err(ioctl(self->fd, calls[i], buf)))
			TH_LOG("call %#lx", calls[i]);
	}
	/* stock: EINVAL, as its ioctl for a device of its own has it */
	EXPECT_NE(0, err(ioctl(self->fd, _IO(KVMIO, 0xfe), 0L)));
	EXPECT_NE(0, err(ioctl(self->fd, _IO('x', 0x00), 0L)));
	EXPECT_EQ(MAP_FAILED, mmap(NULL, 4096, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(EINVAL, err(read(self->fd, buf, 1)));
}

TEST_HARNESS_MAIN
