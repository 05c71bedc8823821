// SPDX-License-Identifier: GPL-2.0-only
/*
 * More vcpus than a message of 8 bits can address: the first starts the others by INIT
 * and SIPI, each gets a message from a device, by the extended destination id, and an
 * interrupt from the first.
 * timeout: 600
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define MAX_VCPUS	288

#define GPA_BOOT	0x40000		/* where SIPI sends the others; 16 bits of code */
#define GPA_LONG	0x41000		/* where all go on */
#define GPA_HANDLERS	0x42000		/* 256 bytes for each of the vectors */
#define GPA_STACKS	0x200000	/* 512 bytes each */
#define GPA_COUNTS	0x300000	/* struct counts each */
#define VECTOR_MSI	0x51
#define VECTOR_IPI	0x52
#define VECTOR_SEND	0x53		/* has the first vcpu send VECTOR_IPI to all the others */

struct counts {
	u32 started, msi, ipi, pad[13];
};

/* The first vcpu.  R13: the vcpus' number; wakes the others one after the other. */
GUEST(first, 64,
	"mov $0x1b, %ecx; rdmsr; or $0xc00, %eax; wrmsr\n"
	"mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
	"mov $1, %r12d\n"
	"1: cmp %r13, %r12; jae 3f\n"
	"mov $0x830, %ecx; mov %r12d, %edx; mov $0x4500, %eax; wrmsr\n"
	"mov %r12d, %edx; mov $0x4640, %eax; wrmsr\n"
	"mov %r12, %rbx; shl $6, %rbx; add $0x300000, %rbx\n"
	"sti\n"
	"2: pause; cmpl $0, (%rbx); je 2b\n"
	"cli; inc %r12; jmp 1b\n"
	"3: mov $0x41000, %eax; jmp *%rax\n");

/* From real mode to long mode, with the first one's tables. */
GUEST(boot, 16,
	"boot_start: cli; mov %cs, %ax; mov %ax, %ds\n"
	"lgdtl boot_gdt - boot_start\n"
	"mov $0x20, %eax; mov %eax, %cr4\n"
	"mov $0x4000, %eax; mov %eax, %cr3\n"
	"mov $0xc0000080, %ecx; rdmsr; or $0x100, %eax; wrmsr\n"
	"mov $0x80000011, %eax; mov %eax, %cr0\n"
	"ljmpl $0x18, $0x41000\n"
	"boot_gdt: .word 0xff; .long 0x1000\n");

/* Each vcpu: its APIC, a stack, its interrupts; then it waits.  R15: its counts. */
GUEST(each, 64,
	"each_start: mov $0x10, %eax; mov %eax, %ds; mov %eax, %es; mov %eax, %ss\n"
	"lidt each_idt(%rip)\n"
	"mov $0x1b, %ecx; rdmsr; or $0xc00, %eax; wrmsr\n"
	"mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
	"mov $0x802, %ecx; rdmsr\n"
	"mov %eax, %r15d; shl $6, %r15; add $0x300000, %r15\n"
	"mov %eax, %esp; shl $9, %rsp; add $0x200200, %rsp\n"
	"incl (%r15)\n"
	"sti\n"
	"1: hlt; jmp 1b\n"
	"each_idt: .word 0xfff; .quad 0x2000\n");

#define EOI	"mov $0x80b, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr; iretq\n"
GUEST(on_msi, 64, "incl 4(%r15)\n" EOI);
GUEST(on_ipi, 64, "incl 8(%r15)\n" EOI);
GUEST(on_send, 64,
	"mov $1, %r12d\n"
	"1: mov $0x830, %ecx; mov %r12d, %edx; mov $0x52, %eax; wrmsr\n"
	"inc %r12; cmp %r13, %r12; jb 1b\n"
	EOI);

FIXTURE(many) {
	struct vm vm;
	int n;
	struct vcpu vcpu[MAX_VCPUS];
	pthread_t thread[MAX_VCPUS];
	volatile struct counts *counts;
};

#define many_self FIXTURE_DATA(many)

static void on_signal(int sig)
{
}

static void *run(void *arg)
{
	struct vcpu *vcpu = arg;

	while (!vcpu->run->immediate_exit) {
		int exit = vcpu_run(vcpu);

		if (exit == -EINTR)
			break;
		vcpu_dump(vcpu, "unexpected");
		die("a vcpu left with %s", exit_name(exit));
	}
	return NULL;
}

FIXTURE_SETUP(many)
{
	struct sigaction sa = { .sa_handler = on_signal };

	sigaction(SIGUSR1, &sa, NULL);
	self->n = is_slow() ? 260 : MAX_VCPUS;
	vm_open(&self->vm);
	self->counts = (void *)(self->vm.mem + GPA_COUNTS);
}

FIXTURE_TEARDOWN(many)
{
	for (int i = 0; i < self->n; i++) {
		self->vcpu[i].run->immediate_exit = 1;
		pthread_kill(self->thread[i], SIGUSR1);
	}
	for (int i = 0; i < self->n; i++) {
		pthread_join(self->thread[i], NULL);
		if (!i)
			continue;
		munmap(self->vcpu[i].run, self->vm.run_size);
		close(self->vcpu[i].fd);
	}
	self->vm.vcpu = self->vcpu[0];
	vm_destroy(&self->vm);
}

static void set_gate(struct vm *vm, u8 vector, const u8 *start, const u8 *end)
{
	u64 to = GPA_HANDLERS + (vector & 0xf) * 0x100;
	u64 *gate = (u64 *)(vm->mem + GPA_IDT) + 2 * vector;

	vm_load(vm, to, start, end);
	gate[0] = (to & 0xffff) | (u64)SEL_CODE64 << 16 | 0x8eULL << 40 | (to >> 16 & 0xffff) << 48;
	gate[1] = 0;
}

static void start(many_self *self)
{
	struct kvm_enable_cap ids = { .cap = KVM_CAP_X2APIC_API, .args = {
		KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK } };
	struct vm *vm = &self->vm;
	struct kvm_regs r;

	if (ioctl(vm->fd, KVM_ENABLE_CAP, &ids))
		die("KVM_CAP_X2APIC_API");
	vm->cpuid_1_ecx = BIT(21);
	for (int i = 0; i < self->n; i++)
		vcpu_create(vm, &self->vcpu[i], i);
	vm_mode(vm, &self->vcpu[0], LONG);
	set_gate(vm, VECTOR_MSI, guest_on_msi, guest_on_msi_end);
	set_gate(vm, VECTOR_IPI, guest_on_ipi, guest_on_ipi_end);
	set_gate(vm, VECTOR_SEND, guest_on_send, guest_on_send_end);
	GUEST_LOAD(vm, first);
	vm_load(vm, GPA_BOOT, guest_boot, guest_boot_end);
	vm_load(vm, GPA_LONG, guest_each, guest_each_end);
	r = vcpu_regs(&self->vcpu[0]);
	r.r13 = self->n;
	vcpu_set_regs(&self->vcpu[0], &r);
	for (int i = 0; i < self->n; i++)
		if (pthread_create(&self->thread[i], NULL, run, &self->vcpu[i]))
			die("pthread_create");
}

/* Wait until a count is there; false: it does not come. */
static bool reaches(volatile u32 *count, u32 want)
{
	for (int ms = 0; ms < 60000 && *count < want; ms++)
		usleep(1000);
	return *count == want;
}

static u32 sum_of_msis(many_self *self)
{
	u32 sum = 0;

	for (int i = 0; i < self->n; i++)
		sum += self->counts[i].msi;
	return sum;
}

#define low_address(id)	(0xfee00000 | ((id) & 0xff) << 12 | (id) >> 8 << 5)

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

/* All start; each gets its message and its interrupt, and nobody gets another's. */
#define EXPECT_ALL_REACHED() do {								\
	double begin = now();									\
												\
	for (int i = 0; i < self->n; i++) {							\
		ASSERT_TRUE(reaches(&self->counts[i].started, 1)) TH_LOG("vcpu %d does not start", i); \
	}											\
	printf("# %d vcpus started in %.1f s\n", self->n, now() - begin);			\
	begin = now();										\
	for (int i = 0; i < self->n; i++) {							\
		struct kvm_msi msi = { .address_lo = low_address(i), .data = VECTOR_MSI };	\
												\
		ASSERT_EQ(1, ioctl(self->vm.fd, KVM_SIGNAL_MSI, &msi)) TH_LOG("vcpu %d", i);	\
		ASSERT_TRUE(reaches(&self->counts[i].msi, 1)) TH_LOG("vcpu %d", i);		\
		ASSERT_EQ(i + 1, sum_of_msis(self));						\
	}											\
	{											\
		struct kvm_msi msi = { .address_lo = low_address(0), .data = VECTOR_SEND };	\
												\
		ASSERT_EQ(1, ioctl(self->vm.fd, KVM_SIGNAL_MSI, &msi));				\
	}											\
	for (int i = 1; i < self->n; i++) {							\
		ASSERT_TRUE(reaches(&self->counts[i].ipi, 1)) TH_LOG("vcpu %d", i);		\
	}											\
	EXPECT_EQ(0, self->counts[0].ipi);							\
	EXPECT_EQ((u32)self->n, sum_of_msis(self));						\
	printf("# each got a message and an interrupt in %.1f s\n", now() - begin);		\
} while (0)

/* By a route, once by KVM_IRQ_LINE and once by an irqfd; and by userspace's form of the address. */
#define EXPECT_ROUTED(id) do {									\
	struct {										\
		struct kvm_irq_routing r;							\
		struct kvm_irq_routing_entry e[2];						\
	} t = { { .nr = 2 } };									\
	struct kvm_irqfd fd = { .fd = eventfd(0, 0), .gsi = 100 };				\
	struct kvm_irq_level line = { .irq = 100, .level = 1 };					\
	u32 had = self->counts[id].msi, sum = sum_of_msis(self);				\
	u64 one = 1;										\
												\
	for (int i = 0; i < 2; i++) {								\
		t.e[i].gsi = 100 + i;								\
		t.e[i].type = KVM_IRQ_ROUTING_MSI;						\
		t.e[i].u.msi.data = VECTOR_MSI;							\
		t.e[i].u.msi.address_lo = i ? 0xfee00000 | ((id) & 0xff) << 12 : low_address(id); \
		t.e[i].u.msi.address_hi = i ? (id) & ~0xff : 0;					\
	}											\
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_GSI_ROUTING, &t));				\
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_IRQ_LINE, &line));					\
	ASSERT_TRUE(reaches(&self->counts[id].msi, had + 1));					\
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_IRQFD, &fd));					\
	ASSERT_EQ(8, write(fd.fd, &one, 8));							\
	ASSERT_TRUE(reaches(&self->counts[id].msi, had + 2));					\
	line.irq = 101;										\
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_IRQ_LINE, &line));					\
	ASSERT_TRUE(reaches(&self->counts[id].msi, had + 3));					\
	EXPECT_EQ(sum + 3, sum_of_msis(self));							\
	fd.flags = KVM_IRQFD_FLAG_DEASSIGN;							\
	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_IRQFD, &fd));					\
	close(fd.fd);										\
} while (0)

TEST_F_TIMEOUT(many, split, 500)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };

	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &split));
	start(self);
	EXPECT_ALL_REACHED();
	EXPECT_ROUTED(257);
	EXPECT_ROUTED(255);
	EXPECT_ROUTED(1);
}

/* With the kernel's I/O APIC: its entries have the same bits, and keep them. */
TEST_F_TIMEOUT(many, full, 500)
{
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };
	struct kvm_irq_level line = { .irq = 20, .level = 1 };
	static const int ids[] = { 0, 1, 254, 255, 256, 258 };

	ASSERT_EQ(0, ioctl(self->vm.fd, KVM_CREATE_IRQCHIP));
	start(self);
	EXPECT_ALL_REACHED();
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		u64 entry = VECTOR_MSI | (u64)(ids[i] & 0xff) << 56 | (u64)(ids[i] >> 8) << 49;
		u32 had = self->counts[ids[i]].msi, sum = sum_of_msis(self);

		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_IRQCHIP, &chip));
		chip.chip.ioapic.redirtbl[20].bits = entry | BIT(48);
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_SET_IRQCHIP, &chip));
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_GET_IRQCHIP, &chip));
		EXPECT_EQ(entry, chip.chip.ioapic.redirtbl[20].bits);
		line.level = 1;
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_IRQ_LINE, &line));
		line.level = 0;
		ASSERT_EQ(0, ioctl(self->vm.fd, KVM_IRQ_LINE, &line));
		ASSERT_TRUE(reaches(&self->counts[ids[i]].msi, had + 1)) TH_LOG("vcpu %d", ids[i]);
		EXPECT_EQ(sum + 1, sum_of_msis(self));
	}
	EXPECT_ROUTED(259);
}

TEST_HARNESS_MAIN
