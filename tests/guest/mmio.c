// SPDX-License-Identifier: GPL-2.0-only
/*
 * What nested tables remember of an address that is no memory: the next access is known for MMIO, a
 * doorbell is rung without emulation, and a slot that comes later is memory.  The same holds
 * where nothing is remembered, only that more is emulated.
 */
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vm.h"
#include "kselftest_harness.h"

FIXTURE(mmio) {
	struct vm vm;
};

FIXTURE_SETUP(mmio)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
}

FIXTURE_TEARDOWN(mmio)
{
	vm_destroy(&self->vm);
}

/* Bits of a physical address, of which AMD's tables need one to be reserved. */
static u32 phys_bits(void)
{
	u32 eax = 0x80000008, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return eax & 0xff;
}

static const char *not_remembered(void)
{
	if (on_stock())
		return "the distribution's has no such count";
	if (module_parameter("kvm", "mmio_caching") != 'Y')
		return "kvm.mmio_caching=0";
	if (!access("/sys/module/kvm_intel", F_OK))
		return nested_paging() ? NULL : "no EPT";
	if (!nested_paging())
		return "no nested paging";
	return phys_bits() >= 51 ? "no bit of a nested entry is reserved" : NULL;
}

static void start(struct vm *vm)
{
	vcpu_set_regs(&vm->vcpu, &(struct kvm_regs){ .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 });
}

/* A doorbell of any length is rung without emulation, but for the first time, which is looked up. */
GUEST(doorbell, 64,
	"mov $0xd0000000, %ebx; mov $25, %ecx\n"
	"1: movb $1, (%rbx); movw %ax, (%rbx); movl %eax, (%rbx); mov %rax, (%rbx)\n"
	"dec %ecx; jnz 1b\n"
	"hlt\n");

TEST_F(mmio, doorbell)
{
	struct kvm_ioeventfd io = { .addr = GPA_MMIO, .fd = eventfd(0, EFD_NONBLOCK) };
	struct vm *vm = &self->vm;
	u64 n = 0, emulated;

	ASSERT_LE(0, io.fd);
	GUEST_LOAD(vm, doorbell);
	start(vm);
	ASSERT_EQ(0, ioctl(vm->fd, KVM_IOEVENTFD, &io));
	emulated = stat_of(vm->vcpu.fd, "insn_emulation");
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
	ASSERT_EQ(sizeof(n), read(io.fd, &n, sizeof(n)));
	EXPECT_EQ(100, n);
	if (!not_remembered()) {
		EXPECT_GE(1, stat_of(vm->vcpu.fd, "insn_emulation") - emulated);
		EXPECT_EQ(99, stat_of(vm->vcpu.fd, "mmio_signals"));
	}
	/* gone: the writes are userspace's */
	io.flags = KVM_IOEVENTFD_FLAG_DEASSIGN;
	ASSERT_EQ(0, ioctl(vm->fd, KVM_IOEVENTFD, &io));
	start(vm);
	EXPECT_EQ(KVM_EXIT_MMIO, vm_run(vm));
	close(io.fd);
	if (not_remembered())
		SKIP(return, "%s: only what the doorbell did was tested", not_remembered());
}

/* Accesses of some lengths beside a doorbell on its page, as an instruction each. */
GUEST(beside, 64,
	"mov $0xd0000000, %ebx\n"
	"1: mov 8(%rbx), %eax; movl $0x11223344, 16(%rbx); mov (%rbx), %edx\n"
	"jmp 1b\n");

TEST_F(mmio, beside_doorbell)
{
	struct kvm_ioeventfd io = { .addr = GPA_MMIO, .fd = eventfd(0, EFD_NONBLOCK) };
	struct vm *vm = &self->vm;
	struct kvm_run *run = vm->vcpu.run;
	u64 n;

	ASSERT_EQ(0, ioctl(vm->fd, KVM_IOEVENTFD, &io));
	GUEST_LOAD(vm, beside);
	start(vm);
	for (u32 i = 0; i < 4; i++) {
		ASSERT_EQ(KVM_EXIT_MMIO, vm_run(vm));
		EXPECT_EQ(GPA_MMIO + 8, run->mmio.phys_addr);
		EXPECT_EQ(0, run->mmio.is_write);
		memcpy(run->mmio.data, &(u32){ 0x5500 + i }, 4);
		ASSERT_EQ(KVM_EXIT_MMIO, vm_run(vm));
		EXPECT_EQ(GPA_MMIO + 16, run->mmio.phys_addr);
		EXPECT_EQ(1, run->mmio.is_write);
		EXPECT_EQ(4, run->mmio.len);
		EXPECT_EQ(0x11223344, *(u32 *)run->mmio.data);
		if (!access("/sys/module/kvm_intel", F_OK) && !not_remembered())
			break;	/* an EPT misconfiguration does not tell a read from a write */
		/* a doorbell that is read is not rung */
		ASSERT_EQ(KVM_EXIT_MMIO, vm_run(vm));
		EXPECT_EQ(GPA_MMIO, run->mmio.phys_addr);
		EXPECT_EQ(0, run->mmio.is_write);
		EXPECT_EQ(0x5500 + i, vcpu_regs(&vm->vcpu).rax);
		EXPECT_EQ(-1, read(io.fd, &n, sizeof(n)));
	}
	close(io.fd);
}

/* Where there was no memory there is some, and is none again. */
GUEST(increments, 64,
	"mov $0xd0000000, %ebx\n"
	"1: incl (%rbx); out %al, $0x10; jmp 1b\n");

TEST_F(mmio, slot_comes_and_goes)
{
	u32 *mem = xmmap(0x1000, MAP_PRIVATE | MAP_ANONYMOUS, -1), slot_flags[] = { 0, KVM_MEM_LOG_DIRTY_PAGES, 0 };
	struct vm *vm = &self->vm;
	struct kvm_run *run = vm->vcpu.run;

	GUEST_LOAD(vm, increments);
	start(vm);
	for (size_t i = 0; i < ARRAY_LEN(slot_flags); i++) {
		/* read and write, twice: the second time it is remembered */
		for (int j = 0; j < 2; j++) {
			ASSERT_EQ(KVM_EXIT_MMIO, vm_run(vm));
			EXPECT_EQ(0, run->mmio.is_write);
			memcpy(run->mmio.data, &(u32){ 41 }, 4);
			ASSERT_EQ(KVM_EXIT_MMIO, vm_run(vm));
			EXPECT_EQ(1, run->mmio.is_write);
			EXPECT_EQ(42, *(u32 *)run->mmio.data);
			ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
		}
		mem[0] = 7;
		ASSERT_EQ(0, vm_slot(vm, 1, slot_flags[i], GPA_MMIO, 0x1000, mem));
		for (int j = 0; j < 2; j++)
			ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
		EXPECT_EQ(9, mem[0]);
		ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	}
	munmap(mem, 0x1000);
}

/*
 * A page table of the guest's where no memory is: it reads as not present, whether the address is
 * known for MMIO or not, and AMD's processors tell that it is not the doorbell there that is rung.
 */
GUEST(walk, 64, "mov (%rbx), %eax; hlt\n");
GUEST(touch, 64, "mov $0xd0000000, %ebx; mov %eax, (%rbx); hlt\n");

TEST_F(mmio, page_table)
{
	struct kvm_ioeventfd io = { .addr = GPA_MMIO, .fd = eventfd(0, EFD_NONBLOCK) };
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rbx = 0x400000 };
	struct vm *vm = &self->vm;
	u64 n;

	LOADS_CR2();
	if (!access("/sys/module/kvm_intel", F_OK))
		r.rbx += 0x1000;	/* by an entry beside the doorbell */
	((u64 *)(vm->mem + GPA_PD))[2] = GPA_MMIO | PTE_P | PTE_W | PTE_U | PTE_A;
	for (int known = 0; known < 2; known++) {
		GUEST_LOAD(vm, walk);
		vcpu_set_regs(&vm->vcpu, &r);
		EXPECT_EQ(KVM_EXIT_IO, vm_run(vm));
		EXPECT_EQ(PORT_TRAP, vm->vcpu.run->io.port);
		EXPECT_EQ(14, trap(vm)->vector);
		EXPECT_EQ(r.rbx, trap(vm)->cr2);
		if (known)
			break;
		ASSERT_EQ(0, ioctl(vm->fd, KVM_IOEVENTFD, &io));
		GUEST_LOAD(vm, touch);
		start(vm);
		EXPECT_EQ(KVM_EXIT_HLT, vm_run(vm));
		EXPECT_EQ(sizeof(n), read(io.fd, &n, sizeof(n)));
		EXPECT_EQ(1, n);
	}
	EXPECT_EQ(-1, read(io.fd, &n, sizeof(n)));
	close(io.fd);
}

TEST_HARNESS_MAIN
