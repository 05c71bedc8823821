// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_CREATE_DEVICE and the VFIO device: which calls are refused, and how; and what an
 * assigned file changes.  VFIO files are of two kinds, by the IOMMU: VFIO_NONCOHERENT and
 * VFIO_COHERENT name one of each, where the lab host has them (tests/lab/t/vfio.sh).
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <linux/vfio.h>

#include "ops.h"
#include "vm.h"
#include "kselftest_harness.h"

#define MSR_PAT		0x277
#define PAT_RESET	0x0007040600070406ULL
#define PAT_OTHER	0x0007010600070106ULL

FIXTURE(vfio) {
	struct vm vm;
};

FIXTURE_SETUP(vfio)
{
	vm_create(&self->vm);
}

FIXTURE_TEARDOWN(vfio)
{
	vm_destroy(&self->vm);
}

/* The distribution's module of 6.1 does not say that it has devices. */
#define NEEDS_VFIO() do {							\
	if (!on_stock() && !check_cap(self->vm.fd, KVM_CAP_DEVICE_CTRL))	\
		SKIP(return, "this kernel has no VFIO");			\
} while (0)

static int create(struct vm *vm, struct kvm_create_device *cd)
{
	return err(ioctl(vm->fd, KVM_CREATE_DEVICE, cd));
}

static int new_device(struct vm *vm)
{
	struct kvm_create_device cd = { .type = KVM_DEV_TYPE_VFIO, .fd = -1 };

	if (create(vm, &cd))
		die("KVM_CREATE_DEVICE");
	return cd.fd;
}

static int attr(int dev, unsigned long call, u32 group, u64 which, void *value)
{
	struct kvm_device_attr a = { .group = group, .attr = which, .addr = (u64)value };

	return err(ioctl(dev, call, &a));
}

static int add(int dev, int file)
{
	return attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, &file);
}

static int del(int dev, int file)
{
	return attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL, &file);
}

TEST_F(vfio, create_device)
{
	struct kvm_create_device cd = { .type = 0 };
	struct vm other;
	int dev;

	NEEDS_VFIO();
	EXPECT_EQ(ENODEV, create(&self->vm, &cd));
	cd = (struct kvm_create_device){ .type = 1000 };
	EXPECT_EQ(ENODEV, create(&self->vm, &cd));
	if (!on_stock()) {
		/* the distribution's does not look at unknown flags */
		cd = (struct kvm_create_device){ .type = KVM_DEV_TYPE_VFIO, .flags = 2 };
		EXPECT_EQ(EINVAL, create(&self->vm, &cd));
	}
	EXPECT_EQ(EFAULT, create(&self->vm, BAD_PTR));
	/* Only asked: nothing comes of it, however often. */
	for (int i = 0; i < 3; i++) {
		cd = (struct kvm_create_device){
			.type = KVM_DEV_TYPE_VFIO, .fd = 1234, .flags = KVM_CREATE_DEVICE_TEST,
		};
		EXPECT_EQ(0, create(&self->vm, &cd));
		EXPECT_EQ(1234, cd.fd);
	}
	dev = new_device(&self->vm);
	EXPECT_EQ(FD_CLOEXEC, fcntl(dev, F_GETFD));
	/* One for a VM; asking is no creation. */
	cd = (struct kvm_create_device){ .type = KVM_DEV_TYPE_VFIO };
	EXPECT_EQ(EBUSY, create(&self->vm, &cd));
	cd.flags = KVM_CREATE_DEVICE_TEST;
	EXPECT_EQ(0, create(&self->vm, &cd));
	vm_create(&other);
	close(new_device(&other));
	vm_destroy(&other);
	if (!on_stock()) {
		/* whose devices of 6.1 stay until the VM goes */
		close(dev);
		dev = new_device(&self->vm);
	}
	close(dev);
}

/* What is not copied back was not created. */
TEST_F(vfio, create_device_read_only)
{
	struct kvm_create_device *cd = xmmap(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int next;

	NEEDS_VFIO();
	if (on_stock())
		SKIP(return, "the distribution's creates it");
	cd->type = KVM_DEV_TYPE_VFIO;
	ASSERT_EQ(0, mprotect(cd, 4096, PROT_READ));
	next = dup(0);
	close(next);
	EXPECT_EQ(EFAULT, create(&self->vm, cd));
	EXPECT_EQ(next, dup(0));
	close(next);
	close(new_device(&self->vm));
	munmap(cd, 4096);
}

TEST_F(vfio, attributes)
{
	int dev, fd = -1;

	NEEDS_VFIO();
	dev = new_device(&self->vm);
	for (u64 which = 0; which < 5; which++) {
		int want = which == KVM_DEV_VFIO_FILE_ADD || which == KVM_DEV_VFIO_FILE_DEL ? 0 : ENXIO;

		EXPECT_EQ(want, attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, which, NULL));
		EXPECT_EQ(ENXIO, attr(dev, KVM_HAS_DEVICE_ATTR, 0, which, NULL));
		EXPECT_EQ(ENXIO, attr(dev, KVM_HAS_DEVICE_ATTR, 2, which, NULL));
		if (want)
			EXPECT_EQ(ENXIO, attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, which, &fd));
		EXPECT_EQ(ENXIO, attr(dev, KVM_SET_DEVICE_ATTR, 2, which, &fd));
	}
	/* None can be read. */
	EXPECT_EQ(EPERM, attr(dev, KVM_GET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, &fd));
	/* And a device has no other calls. */
	EXPECT_EQ(ENOTTY, err(ioctl(dev, KVM_CREATE_VCPU, 1)));
	EXPECT_EQ(ENOTTY, err(ioctl(dev, KVM_RUN, 0)));
	close(dev);
}

/* No file, or none of VFIO's. */
TEST_F(vfio, not_vfio_files)
{
	int dev, null = open("/dev/null", O_RDWR);
	int others[] = { null, self->vm.fd, self->vm.vcpu.fd, self->vm.sys };

	NEEDS_VFIO();
	dev = new_device(&self->vm);
	EXPECT_EQ(EINVAL, add(dev, dev));
	EXPECT_EQ(EBADF, add(dev, -1));
	EXPECT_EQ(EBADF, add(dev, 1000));
	EXPECT_EQ(EBADF, del(dev, -1));
	EXPECT_EQ(EFAULT, attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD,
			       BAD_PTR));
	EXPECT_EQ(EFAULT, attr(dev, KVM_SET_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_DEL,
			       BAD_PTR));
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		EXPECT_EQ(EINVAL, add(dev, others[i]));
		EXPECT_EQ(ENOENT, del(dev, others[i]));
	}
	close(null);
	close(dev);
}

/* The device holds the VM, and the VM is none of the device's. */
TEST_F(vfio, outlives_vm)
{
	struct vm vm;
	int dev;

	NEEDS_VFIO();
	vm_create(&vm);
	dev = new_device(&vm);
	vm_destroy(&vm);
	EXPECT_EQ(0, attr(dev, KVM_HAS_DEVICE_ATTR, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, NULL));
	EXPECT_EQ(EBADF, add(dev, -1));
	close(dev);
}

/* ---- with a file of VFIO's ---- */

static int container = -1;

/* A group of VFIO's own gets a container, as what it says of its DMA depends on that in Linux 6.1. */
static int open_file(const char *name)
{
	const char *path = getenv(name), *of_groups = getenv("VFIO_CONTAINER");
	int fd = path ? open(path, O_RDWR) : -1;

	if (path && fd < 0)
		die("%s", path);
	if (!path || !of_groups)
		return fd;
	container = open(of_groups, O_RDWR);
	if (ioctl(fd, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		die("%s", of_groups);
	return fd;
}

static void close_file(int fd)
{
	if (fd >= 0)
		close(fd);
	if (container >= 0)
		close(container);
	container = -1;
}

/* A WBINVD, and a write to each page of 1M, which is mapped by the PAT's entry 3. */
GUEST(caches, 64,
	"1: wbinvd\n"
	"mov $0x200000, %ebx\n"
	"2: incl (%rbx)\n add $0x1000, %ebx\n cmp $0x300000, %ebx\n jb 2b\n"
	"out %al, $0x10\n"
	"jmp 1b\n");

/* The guest runs once round: how many times its WBINVD did something. */
static u64 flushes(struct __test_metadata *_metadata, struct vm *vm)
{
	u64 before = stat_of(vm->vcpu.fd, "cache_flushes");

	EXPECT_EQ(KVM_EXIT_IO, vm_run(vm));
	return stat_of(vm->vcpu.fd, "cache_flushes") - before;
}

static void start(struct vm *vm)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };

	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, caches);
	vcpu_set_regs(&vm->vcpu, &r);
	((u64 *)(vm->mem + GPA_PD))[1] |= BIT(3) | BIT(4);	/* PWT, PCD */
	memset(vm->mem + 0x200000, 0, 0x100000);
}

TEST_F(vfio, add_and_delete)
{
	int dev, file = open_file("VFIO_NONCOHERENT");

	if (file < 0)
		SKIP(return, "no file of VFIO's without coherent DMA (VFIO_NONCOHERENT)");
	dev = new_device(&self->vm);
	EXPECT_EQ(ENOENT, del(dev, file));
	EXPECT_EQ(0, add(dev, file));
	EXPECT_EQ(EEXIST, add(dev, file));
	EXPECT_EQ(0, del(dev, file));
	EXPECT_EQ(ENOENT, del(dev, file));
	/* It is held until then, and let go. */
	EXPECT_EQ(0, add(dev, file));
	close_file(file);
	close(dev);
	file = open_file("VFIO_NONCOHERENT");
	EXPECT_GE(file, 0);
	close_file(file);
}

TEST_F(vfio, coherent)
{
	int dev, file = open_file("VFIO_COHERENT");

	if (file < 0)
		SKIP(return, "no file of VFIO's with coherent DMA (VFIO_COHERENT)");
	if (on_stock())
		SKIP(return, "the distribution's has no such count");
	dev = new_device(&self->vm);
	start(&self->vm);
	EXPECT_EQ(0, add(dev, file));
	EXPECT_EQ(0, flushes(_metadata, &self->vm));
	EXPECT_EQ(0, del(dev, file));
	EXPECT_EQ(0, flushes(_metadata, &self->vm));
	close(dev);
	close_file(file);
}

TEST_F(vfio, wbinvd)
{
	int dev, file = open_file("VFIO_NONCOHERENT"), coherent = open_file("VFIO_COHERENT");
	u32 rounds = 6;

	if (file < 0)
		SKIP(return, "no file of VFIO's without coherent DMA (VFIO_NONCOHERENT)");
	if (on_stock())
		SKIP(return, "the distribution's has no such count");
	dev = new_device(&self->vm);
	start(&self->vm);
	EXPECT_EQ(0, flushes(_metadata, &self->vm));
	if (coherent >= 0) {
		rounds += 2;
		EXPECT_EQ(0, add(dev, coherent));
		EXPECT_EQ(0, flushes(_metadata, &self->vm));
	}
	EXPECT_EQ(0, add(dev, file));
	EXPECT_EQ(1, flushes(_metadata, &self->vm));
	EXPECT_EQ(1, flushes(_metadata, &self->vm));
	if (coherent >= 0) {
		EXPECT_EQ(0, del(dev, coherent));
		EXPECT_EQ(1, flushes(_metadata, &self->vm));
	}
	EXPECT_EQ(0, del(dev, file));
	EXPECT_EQ(0, flushes(_metadata, &self->vm));
	/* Closing the device is the end of it, too. */
	EXPECT_EQ(0, add(dev, file));
	EXPECT_EQ(1, flushes(_metadata, &self->vm));
	close(dev);
	EXPECT_EQ(0, flushes(_metadata, &self->vm));
	EXPECT_EQ(rounds, *(u32 *)(self->vm.mem + 0x200000));
	close_file(file);
	close_file(coherent);
}

static u64 host_pat(void)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY);
	u64 pat = 0;

	if (fd < 0 || pread(fd, &pat, 8, MSR_PAT) != 8)
		pat = 0;
	close(fd);
	return pat;
}

/*
 * The guest's PAT counts from when a file is there, whatever it is by then or later; the host's
 * is what it was.  With kvm.audit each leaf's memory type is compared with what it should be, when
 * the host takes a page away.
 */
TEST_F(vfio, pat)
{
	static const u64 pats[] = { PAT_RESET, PAT_OTHER, 0, 0x0101010101010101, PAT_RESET };
	int dev, file = open_file("VFIO_NONCOHERENT");
	u64 before = host_pat();

	if (file < 0)
		SKIP(return, "no file of VFIO's without coherent DMA (VFIO_NONCOHERENT)");
	dev = new_device(&self->vm);
	start(&self->vm);
	for (int round = 0; round < 3; round++) {
		if (round == 1)
			EXPECT_EQ(0, add(dev, file));
		if (round == 2)
			EXPECT_EQ(0, del(dev, file));
		for (size_t i = 0; i < ARRAY_LEN(pats); i++) {
			ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_PAT, pats[i]));
			ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
			ASSERT_EQ(0, madvise(self->vm.mem + 0x280000, 0x1000, MADV_DONTNEED));
			ASSERT_EQ(pats[i], vcpu_msr(&self->vm.vcpu, MSR_PAT));
			ASSERT_EQ(before, host_pat());
		}
	}
	EXPECT_EQ(15, *(u32 *)(self->vm.mem + 0x200000));
	close(dev);
	close_file(file);
	if (!before)
		SKIP(return, "the host's PAT cannot be read (/dev/cpu/0/msr)");
}

TEST_HARNESS_MAIN
