// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm.nx_huge_pages: large pages that are not executable.  Forced, as hardly any
 * processor of the lab needs it; the parameters are put back as they were.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/capability.h>
#include "vm.h"
#include "kselftest_harness.h"

#define PAGE	4096UL
#define BIG	(2UL << 20)
#define NR	4
#define AT	0x10000000UL		/* where the guest has the region */
#define AT_1G	0x40000000UL
#define MODE	"nx_huge_pages"
#define RATIO	"nx_huge_pages_recovery_ratio"
#define PERIOD	"nx_huge_pages_recovery_period_ms"

/* ---- parameters and statistics ---- */

/* 0 or errno. */
static int set_param(const char *name, const char *value)
{
	char path[100];
	int fd, r;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return errno;
	r = err(write(fd, value, strlen(value)));
	close(fd);
	return r;
}

static char read_param(const char *name)
{
	char path[100], c = 0;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kvm/parameters/%s", name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, &c, 1) != 1)
		c = 0;
	close(fd);
	return c;
}

static long long splits(struct vm *vm)
{
	return (long long)stat_of(vm->fd, "nx_lpage_splits");
}

/* Large leaves; the distribution's module counts them by their size. */
static long long large(struct vm *vm)
{
	return on_stock() ? (long long)stat_of(vm->fd, "pages_2m") + (long long)stat_of(vm->fd, "pages_1g") :
			    (long long)stat_of(vm->fd, "largepages");
}

/* ---- the guest ---- */

/* RBX: where; ECX: 0 reads, 1 writes, 2 calls it. */
GUEST(probe, 64,
	"cmp $1, %ecx; je 1f; ja 2f\n"
	"mov (%rbx), %rax; jmp 9f\n"
	"1: movb $0xc3, (%rbx); jmp 9f\n"
	"2: call *%rbx\n"
	"9: out %al, $0x10\n");

enum op { READ, WRITE, CALL };

static void probe(struct vm *vm, u64 gpa, enum op op)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rbx = gpa, .rcx = op };

	vcpu_set_regs(&vm->vcpu, &r);
	if (vm_run(vm) != KVM_EXIT_IO) {
		vcpu_dump(&vm->vcpu, "probe");
		die("the guest cannot use %#lx", gpa);
	}
}

FIXTURE(nx) {
	struct vm vm;
	u8 *map, *mem;
};

/* PREEMPT_RT has no transparent huge pages, but those of hugetlbfs, of which NR are set aside. */
static void hugetlb_memory(u8 *mem)
{
	FILE *f = fopen("/proc/sys/vm/nr_hugepages", "r+");
	unsigned int had;

	if (!f || fscanf(f, "%u", &had) != 1)
		die("nr_hugepages");
	rewind(f);
	if ((had < NR && fprintf(f, "%d", NR) < 0) || fclose(f))
		die("nr_hugepages");
	if (mmap(mem, NR * BIG, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_FIXED, -1, 0) != mem)
		die("no huge pages");
}

/* Small pages but for the region, whose functions only return. */
static void add_memory(FIXTURE_DATA(nx) *self)
{
	madvise(self->vm.mem, MEM_SIZE, MADV_NOHUGEPAGE);
	vcpu_create(&self->vm, &self->vm.vcpu, 0);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	GUEST_LOAD(&self->vm, probe);
	self->map = xmmap((NR + 1) * BIG, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->mem = (u8 *)(((uintptr_t)self->map + BIG - 1) & ~(BIG - 1));
	if (madvise(self->mem, NR * BIG, MADV_HUGEPAGE))
		hugetlb_memory(self->mem);
	memset(self->mem, 0xc3, NR * BIG);
	if (vm_slot(&self->vm, 1, 0, AT, NR * BIG, self->mem))
		die("the region");
}

static void reset_params(void)
{
	set_param(MODE, "auto");
	set_param(RATIO, "60");
	set_param(PERIOD, "0");
}

FIXTURE_SETUP(nx)
{
	reset_params();
	ASSERT_EQ(0, set_param(MODE, "force"));
	vm_open(&self->vm);
}

FIXTURE_TEARDOWN(nx)
{
	vm_destroy(&self->vm);
	if (self->map)
		munmap(self->map, (NR + 1) * BIG);
	reset_params();
}

#define EXPECT_PAGES(nr_splits, nr_large) do {				\
	EXPECT_EQ(nr_splits, splits(&self->vm));			\
	EXPECT_EQ(nr_large, large(&self->vm));				\
} while (0)

/* ---- splits ---- */

TEST_F(nx, fetch_splits)
{
	struct vm *vm = &self->vm;

	add_memory(self);
	probe(vm, AT + PAGE, READ);
	EXPECT_PAGES(0, 1);
	probe(vm, AT + 2 * PAGE, CALL);
	EXPECT_PAGES(1, 0);
	/*
	 * data beside it does not make it large again, to be split by the next fetch; under shadow
	 * paging the first write takes another table, and another fault frees the old one
	 */
	probe(vm, AT + 3 * PAGE, READ);
	probe(vm, AT + 4 * PAGE, WRITE);
	probe(vm, GPA_FREE + 0x80000, READ);
	EXPECT_PAGES(1, 0);
	probe(vm, AT + 4 * PAGE, CALL);
	EXPECT_PAGES(1, 0);
	/* other pages stay large */
	probe(vm, AT + BIG, READ);
	probe(vm, AT + 2 * BIG, WRITE);
	EXPECT_PAGES(1, 2);
	/* a fetch at first */
	probe(vm, AT + 3 * BIG, CALL);
	EXPECT_PAGES(2, 2);
	probe(vm, AT + 2 * BIG, CALL);
	EXPECT_PAGES(3, 1);
}

TEST_F(nx, off)
{
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, set_param(MODE, "off"));
	add_memory(self);
	probe(vm, AT + PAGE, READ);
	probe(vm, AT + 2 * PAGE, CALL);
	probe(vm, AT + BIG, CALL);
	EXPECT_PAGES(0, 2);
}

/*
 * A page of 1G in the host's memory and in the guest's tables.  The lab has one with
 * --mem 4G --append "hugepagesz=1G hugepages=1".
 */
TEST_F(nx, one_gigabyte)
{
	const char *nr = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";
	struct vm *vm = &self->vm;
	int fd = open(nr, O_WRONLY), before;
	u8 *p;

	add_memory(self);
	if (fd < 0 || write(fd, "1", 1) != 1)
		SKIP(return, "the host has no pages of 1G");
	p = mmap(NULL, 1UL << 30, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | 30 << MAP_HUGE_SHIFT, -1, 0);
	if (p == MAP_FAILED) {
		close(fd);
		SKIP(return, "the host has no free page of 1G");
	}
	for (u64 i = 0; i < 4 * BIG; i += PAGE)
		p[i] = 0xc3;
	ASSERT_EQ(0, vm_slot(vm, 2, 0, AT_1G, 1UL << 30, p));
	((u64 *)(vm->mem + GPA_PDPT))[1] = AT_1G | PTE_P | PTE_W | PTE_PS;
	probe(vm, AT_1G + PAGE, READ);
	EXPECT_PAGES(0, 1);
	probe(vm, AT_1G + BIG, READ);
	before = large(vm);		/* 1: it is one leaf */
	probe(vm, AT_1G + PAGE, CALL);
	/* from 1G to 2M, and one of these to 4k; with tables of 2M only the latter */
	EXPECT_PAGES(before == 1 ? 2 : 1, before - 1);
	probe(vm, AT_1G + BIG, READ);
	EXPECT_PAGES(before == 1 ? 2 : 1, 1);
	probe(vm, AT_1G + 2 * BIG, READ);
	EXPECT_PAGES(before == 1 ? 2 : 1, 2);
	probe(vm, AT_1G + BIG, CALL);
	EXPECT_PAGES(before == 1 ? 3 : 2, 1);
	ASSERT_EQ(0, vm_slot(vm, 2, 0, AT_1G, 0, NULL));
	munmap(p, 1UL << 30);
	EXPECT_EQ(1, pwrite(fd, "0", 1, 0));
	close(fd);
}

/* Logged, moved, its memory taken: what is executed is never large. */
TEST_F(nx, slots_change)
{
	const u64 to = AT + 8 * BIG;
	struct vm *vm = &self->vm;
	u8 log[NR * BIG / PAGE / 8];
	struct kvm_dirty_log dirty = { .slot = 1, .dirty_bitmap = log };

	add_memory(self);
	probe(vm, AT, READ);
	probe(vm, AT + BIG, CALL);
	EXPECT_PAGES(1, 1);
	ASSERT_EQ(0, vm_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, AT, NR * BIG, self->mem));
	probe(vm, AT, CALL);
	probe(vm, AT, WRITE);
	probe(vm, AT + 2 * BIG, CALL);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &dirty));
	EXPECT_EQ(1, log[0]);
	EXPECT_EQ(0, large(vm));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, AT, NR * BIG, self->mem));
	/* logging had them in 4k pages anyway, so they are no splits: and large again */
	probe(vm, AT, READ);
	probe(vm, AT + 2 * BIG, READ);
	EXPECT_PAGES(1, 2);
	probe(vm, AT, CALL);
	probe(vm, AT + 2 * BIG, CALL);
	EXPECT_PAGES(3, 0);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, to, NR * BIG, self->mem));
	probe(vm, to + BIG, READ);
	EXPECT_EQ(1, large(vm));
	probe(vm, to + BIG, CALL);
	EXPECT_EQ(0, large(vm));
	ASSERT_EQ(0, madvise(self->mem, NR * BIG, MADV_DONTNEED));
	memset(self->mem, 0xc3, NR * BIG);
	probe(vm, to + BIG, CALL);
	EXPECT_EQ(0, large(vm));
	ASSERT_EQ(0, vm_slot(vm, 1, 0, to, 0, NULL));
	EXPECT_EQ(0, large(vm));
}

/* ---- recovery ---- */

/* Until so many splits are left, at most. */
static bool wait_for_splits(struct vm *vm, int n)
{
	for (int i = 0; i < 2000 && splits(vm) > n; i++)
		usleep(10000);
	return splits(vm) <= n;
}

TEST_F(nx, recovery)
{
	struct vm *vm = &self->vm;

	add_memory(self);
	ASSERT_EQ(0, set_param(RATIO, "0"));
	ASSERT_EQ(0, set_param(PERIOD, "10"));
	probe(vm, AT, CALL);
	probe(vm, AT + BIG, CALL);
	usleep(200000);
	EXPECT_PAGES(2, 0);
	/* all of them each time */
	ASSERT_EQ(0, set_param(RATIO, "1"));
	EXPECT_TRUE(wait_for_splits(vm, 0));
	ASSERT_EQ(0, set_param(RATIO, "0"));
	probe(vm, AT, READ);
	probe(vm, AT + BIG, READ);
	EXPECT_PAGES(0, 2);
	probe(vm, AT, CALL);
	EXPECT_PAGES(1, 1);
}

/* Which of three has become large again, if it is read. */
static int recovered(struct vm *vm)
{
	int i;

	for (i = 0; i < 3; i++) {
		probe(vm, AT + i * BIG, READ);
		if (large(vm))
			return i;
	}
	return -1;
}

/* A part of them, each in its turn: what was split again comes after those that still are. */
TEST_F(nx, recovery_in_turn)
{
	struct vm *vm = &self->vm;
	int turn, i, seen = 0;

	add_memory(self);
	ASSERT_EQ(0, set_param(RATIO, "0"));
	probe(vm, AT + 2 * BIG, CALL);
	probe(vm, AT, CALL);
	probe(vm, AT + BIG, CALL);
	ASSERT_EQ(0, set_param(PERIOD, "500"));
	for (turn = 0; turn < 3; turn++) {
		ASSERT_EQ(0, set_param(RATIO, "60"));
		EXPECT_TRUE(wait_for_splits(vm, 2));
		ASSERT_EQ(0, set_param(RATIO, "0"));
		EXPECT_PAGES(2, 0);
		i = recovered(vm);
		EXPECT_PAGES(2, 1);
		ASSERT_LE(0, i);
		EXPECT_FALSE(seen & 1 << i);
		seen |= 1 << i;
		probe(vm, AT + i * BIG, CALL);
		EXPECT_PAGES(3, 0);
	}
}

/* ---- who decides ---- */

static int set_effective(bool boot)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return errno;
	d[0].effective &= ~(1U << CAP_SYS_BOOT);
	if (boot)
		d[0].effective |= 1U << CAP_SYS_BOOT;
	return err(syscall(SYS_capset, &h, d));
}

TEST_F(nx, disabled_for_a_vm)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES };
	struct vm *vm = &self->vm;

	EXPECT_EQ(1, check_cap(vm->fd, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES));
	cap.args[0] = 1;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_ENABLE_CAP, &cap)));
	cap.args[0] = 0;
	cap.flags = 1;
	EXPECT_EQ(EINVAL, err(ioctl(vm->fd, KVM_ENABLE_CAP, &cap)));
	cap.flags = 0;
	ASSERT_EQ(0, set_effective(false));
	EXPECT_EQ(EPERM, err(ioctl(vm->fd, KVM_ENABLE_CAP, &cap)));
	ASSERT_EQ(0, set_effective(true));
	EXPECT_EQ(0, ioctl(vm->fd, KVM_ENABLE_CAP, &cap));
	add_memory(self);
	probe(vm, AT, READ);
	probe(vm, AT, CALL);
	EXPECT_PAGES(0, 1);
	/* the parameter has no say */
	ASSERT_EQ(0, set_param(MODE, "off"));
	ASSERT_EQ(0, set_param(MODE, "force"));
	probe(vm, AT, CALL);
	EXPECT_PAGES(0, 1);
}

TEST_F(nx, disabled_too_late)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_VM_DISABLE_NX_HUGE_PAGES };

	add_memory(self);
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_ENABLE_CAP, &cap)));
	probe(&self->vm, AT, CALL);
	EXPECT_PAGES(1, 0);
}

TEST_F(nx, parameters)
{
	char said[64] = "";
	FILE *f;

	EXPECT_EQ('Y', read_param(MODE));
	EXPECT_EQ(EINVAL, set_param(MODE, "nonsense"));
	EXPECT_EQ(EINVAL, set_param(MODE, "forced"));
	EXPECT_EQ(EINVAL, set_param(MODE, "\n"));
	EXPECT_EQ('Y', read_param(MODE));
	EXPECT_EQ(EINVAL, set_param(RATIO, "x"));
	EXPECT_EQ(EINVAL, set_param(PERIOD, "-1"));
	f = fopen("/sys/devices/system/cpu/vulnerabilities/itlb_multihit", "r");
	if (f && fgets(said, sizeof(said), f) && strncmp(said, "Not", 3))
		EXPECT_EQ(0, strcmp(said, "KVM: Mitigation: Split huge pages\n")) TH_LOG("%s", said);
	if (f)
		fclose(f);
	EXPECT_EQ(0, set_param(MODE, "off\n"));
	EXPECT_EQ('N', read_param(MODE));
	/* what it says can be written */
	EXPECT_EQ(0, set_param(MODE, "Y\n"));
	EXPECT_EQ('Y', read_param(MODE));
	EXPECT_EQ(0, set_param(MODE, "N\n"));
	EXPECT_EQ('N', read_param(MODE));
}

/* ---- switched while a guest runs ---- */

/* Calls and reads the region's pages in turn, until the byte at GPA_DATA says it is enough. */
GUEST(busy, 64,
	"sti\n"
	"1: mov $0x10000000, %ebx\n"
	"2: mov 0x2000(%rbx), %rax; call *%rbx; add $0x200000, %rbx\n"
	"cmp $0x10800000, %rbx; jb 2b\n"
	"incl 0x20004\n"
	"cmpb $0, 0x20000; je 1b\n"
	"out %al, $0x10\n");

static void *run(void *vm)
{
	return (void *)(long)vm_run(vm);
}

/* The guest has come round, with what has been changed before. */
static bool comes_round(struct vm *vm)
{
	volatile u32 *rounds = (volatile u32 *)(vm->mem + GPA_DATA + 4), before = *rounds;

	for (int i = 0; i < 3000 && *rounds - before < 2; i++)
		usleep(10000);
	return *rounds - before >= 2;
}

TEST_F_TIMEOUT(nx, switched_under_a_guest, 120)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	struct vm *vm = &self->vm;
	pthread_t thread;
	void *reason;

	add_memory(self);
	GUEST_LOAD(vm, busy);
	vcpu_set_regs(&vm->vcpu, &r);
	ASSERT_EQ(0, set_param(PERIOD, "10"));
	ASSERT_EQ(0, set_param(RATIO, "2"));
	ASSERT_EQ(0, pthread_create(&thread, NULL, run, vm));
	for (int i = 0; i < (is_slow() ? 3 : 20); i++) {
		ASSERT_EQ(0, set_param(MODE, "off"));
		ASSERT_TRUE(comes_round(vm));
		EXPECT_PAGES(0, NR);
		ASSERT_EQ(0, set_param(MODE, "force"));
		ASSERT_TRUE(comes_round(vm));
	}
	ASSERT_EQ(0, set_param(RATIO, "0"));
	ASSERT_TRUE(comes_round(vm));
	EXPECT_PAGES(NR, 0);
	vm->mem[GPA_DATA] = 1;
	pthread_join(thread, &reason);
	EXPECT_EQ(KVM_EXIT_IO, (long)reason);
}

TEST_HARNESS_MAIN
