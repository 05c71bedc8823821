// SPDX-License-Identifier: GPL-2.0-only
/*
 * What Intel's processors spare us: exits that do not come, counted.  Each is
 * left out where the processor, or the module's options, do not have it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define PIN_CTLS	0x481
#define CPU_CTLS	0x482
#define CPU2_CTLS	0x48b
#define TRACEFS		"/sys/kernel/tracing/"

FIXTURE(intel) {
	struct vm vm;
};

/* Whether a control may be set, by the capability MSR's upper half. */
static bool has_ctl(u32 msr, int bit)
{
	int fd = open("/dev/cpu/0/msr", O_RDONLY);
	u64 val = 0;

	if (fd < 0 && !system("modprobe msr 2>/dev/null"))
		fd = open("/dev/cpu/0/msr", O_RDONLY);
	if (fd >= 0 && pread(fd, &val, 8, msr) != 8)
		val = 0;
	close(fd);
	return val >> 32 & BIT(bit);
}

static bool option(const char *name)
{
	char path[128], c = 'N';
	int fd;

	snprintf(path, sizeof(path), "/sys/module/kvm_intel/parameters/%s", name);
	fd = open(path, O_RDONLY);
	if (fd >= 0 && read(fd, &c, 1) != 1)
		c = 'N';
	close(fd);
	return c == 'Y';
}

/* Whether the module works around a fault of the emulator, Documentation/quirks.rst. */
static bool quirk(const char *name)
{
	char names[256] = "";
	int fd = open("/sys/module/kvm_intel/parameters/emulator_quirks", O_RDONLY);

	if (fd >= 0 && read(fd, names, sizeof(names) - 1) < 0)
		names[0] = 0;
	close(fd);
	return strstr(names, name);
}

FIXTURE_SETUP(intel)
{
	if (access("/sys/module/kvm_intel", F_OK) || on_stock())
		SKIP(return, "kvm-intel's own");
	memset(&self->vm, 0, sizeof(self->vm));
}

FIXTURE_TEARDOWN(intel)
{
	if (self->vm.mem)
		vm_destroy(&self->vm);
}

GUEST(cr8, 64,
	"mov $1000, %ecx\n"
	"1: mov %ecx, %eax; and $15, %eax; mov %rax, %cr8; mov %cr8, %rbx\n"
	"cmp %eax, %ebx; jne 2f; dec %ecx; jnz 1b\n"
	"2: out %al, $0x10\n");

TEST_F(intel, tpr_shadow)
{
	struct vm *vm = &self->vm;

	if (!has_ctl(CPU_CTLS, 21))
		SKIP(return, "no TPR shadow");
	vm_create_split(vm);
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, cr8);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(0, vcpu_regs(&vm->vcpu).rcx);
	EXPECT_EQ(1, vm->vcpu.run->cr8);
	EXPECT_EQ(0, stat_of(vm->vcpu.fd, "cr_exits"));
	EXPECT_GT(100, stat_of(vm->vcpu.fd, "exits"));
}

GUEST(eois, 64,
	"mov $0xfee00000, %ebx; mov $1000, %ecx\n"
	"1: movl $0, 0xb0(%rbx); dec %ecx; jnz 1b\n"
	"out %al, $0x10\n");

/* The task priority by memory: all eight bits of it. */
GUEST(tprs, 64,
	"mov $0xfee00000, %ebx; mov $1000, %ecx\n"
	"1: movzx %cl, %eax; mov %eax, 0x80(%rbx); mov 0x80(%rbx), %edx\n"
	"cmp %eax, %edx; jne 2f; dec %ecx; jnz 1b\n"
	"2: out %al, $0x10\n");

TEST_F(intel, apic_accesses)
{
	struct vm *vm = &self->vm;
	struct kvm_lapic_state s;
	u64 before;

	if (!option("enable_apicv"))
		SKIP(return, "the processor does not know APICs");
	vm_create_full(vm);
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, eois);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	/* an exit each, but no decoding; the first may find no mapping */
	EXPECT_GT(10, stat_of(vm->vcpu.fd, "insn_emulation"));
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, tprs);
	before = stat_of(vm->vcpu.fd, "exits");
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(0, vcpu_regs(&vm->vcpu).rcx);
	EXPECT_GT(100, stat_of(vm->vcpu.fd, "exits") - before);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(1, s.regs[0x80]);
}

/*
 * An IPI to itself that is taken, read in ISR, and ended: 500 times.  As xAPIC, rbx
 * has the registers; as x2APIC they are MSRs, of which ISR's still exits.
 */
GUEST(xapic_ipis, 64,
	"mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%rbx); mov $500, %ecx\n"
	"1: movl $0x40077, 0x300(%rbx); sti; nop; nop; cli\n"
	"mov 0x130(%rbx), %eax; cmp $0x800000, %eax; jne 2f\n"
	"movl $0, 0xb0(%rbx); mov 0x130(%rbx), %eax; test %eax, %eax; jnz 2f\n"
	"mov 0x20(%rbx), %eax; mov 0x300(%rbx), %edx; cmp $0x40077, %edx; jne 2f\n"
	"dec %ecx; jnz 1b\n"
	"2: out %al, $0x10\n");
GUEST(x2apic_ipis, 64,
	"mov $500, %ebx; mov $0x80f, %ecx; mov $0x1ff, %eax; xor %edx, %edx; wrmsr\n"
	"1: mov $0x83f, %ecx; mov $0x77, %eax; xor %edx, %edx; wrmsr; sti; nop; nop; cli\n"
	"mov $0x80b, %ecx; xor %eax, %eax; wrmsr\n"
	"mov $0x808, %ecx; mov $0x34, %eax; wrmsr; rdmsr; cmp $0x34, %eax; jne 2f\n"
	"dec %ebx; jnz 1b\n"
	"2: mov %ebx, %ecx; out %al, $0x10\n");

/* Delivery and EOI by the processor: no exits, and an APIC that is right afterwards. */
TEST_F(intel, virtual_interrupts)
{
	struct kvm_lapic_state s;
	struct vm *vm = &self->vm;
	u64 before;

	if (!option("enable_apicv") || !option("unrestricted_guest") || !has_ctl(CPU2_CTLS, 9))
		SKIP(return, "no virtual-interrupt delivery");
	vm_create_full(vm);
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, xapic_ipis);
	before = stat_of(vm->vcpu.fd, "exits");
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(0, vcpu_regs(&vm->vcpu).rcx);
	EXPECT_EQ(500, trap(vm)->count);
	EXPECT_EQ(0x77, trap(vm)->vector);
	EXPECT_GT(100, stat_of(vm->vcpu.fd, "exits") - before);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(0x40077, *(u32 *)(s.regs + 0x300));

	ASSERT_EQ(1, vcpu_set_msr(&vm->vcpu, 0x1b, vcpu_msr(&vm->vcpu, 0x1b) | BIT(10)));
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, x2apic_ipis);
	before = stat_of(vm->vcpu.fd, "exits");
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	EXPECT_EQ(0, vcpu_regs(&vm->vcpu).rcx);
	EXPECT_EQ(500, trap(vm)->count);
	EXPECT_GT(100, stat_of(vm->vcpu.fd, "exits") - before);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(0x34, s.regs[0x80]);
}

/* What waits and what is in service at an exit is in KVM_GET_LAPIC, and goes on with KVM_SET_LAPIC. */
GUEST(two_ipis, 64,
	"mov $0xfee00000, %ebx; movl $0x1ff, 0xf0(%rbx)\n"
	"movl $0x40071, 0x300(%rbx); sti; nop; nop; cli\n"
	"movl $0x40069, 0x300(%rbx); movl $0x40081, 0x300(%rbx)\n"
	"out %al, $0x11\n"
	"sti; nop; nop; cli; mov 0x140(%rbx), %ecx; movl $0, 0xb0(%rbx)\n"
	"movl $0, 0xb0(%rbx); sti; nop; nop; cli; movl $0, 0xb0(%rbx)\n"
	"mov 0x130(%rbx), %edx; or 0x140(%rbx), %edx; or 0x230(%rbx), %edx\n"
	"out %al, $0x10\n");

TEST_F(intel, interrupts_in_service)
{
	struct kvm_lapic_state s;
	struct vm *vm = &self->vm;
	struct kvm_regs r;

	vm_create_full(vm);
	vm_mode(vm, &vm->vcpu, LONG);
	GUEST_LOAD(vm, two_ipis);
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_GET_LAPIC, &s));
	EXPECT_EQ(BIT(0x71 % 32), *(u32 *)(s.regs + 0x130));
	EXPECT_EQ(BIT(0x69 % 32), *(u32 *)(s.regs + 0x230));
	EXPECT_EQ(BIT(0x81 % 32), *(u32 *)(s.regs + 0x240));
	EXPECT_EQ(1, trap(vm)->count);
	ASSERT_EQ(0, ioctl(vm->vcpu.fd, KVM_SET_LAPIC, &s));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(vm));
	r = vcpu_regs(&vm->vcpu);
	EXPECT_EQ(BIT(0x81 % 32), r.rcx);
	EXPECT_EQ(0, r.rdx);
	EXPECT_EQ(3, trap(vm)->count);
	EXPECT_EQ(0x69, trap(vm)->vector);
}

/* Spinning at CPL 0 exits, and goes on; not where each round takes longer than the gap. */
GUEST(spin, 64,
	"mov $20000, %ecx\n"
	"1: pause; dec %ecx; jnz 1b\n"
	"hlt\n");

TEST_F(intel, pause_loop)
{
	struct vm *vm = &self->vm;

	if (!has_ctl(CPU2_CTLS, 10))
		SKIP(return, "no PAUSE-loop exiting");
	vm_start(vm, LONG, spin);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
	EXPECT_EQ(0, vcpu_regs(&vm->vcpu).rcx);
	/* The window grows with each exit: 4096 ticks, 8192, ... of a loop of some 60,000. */
	EXPECT_LT(1, stat_of(vm->vcpu.fd, "pause_exits"));
	EXPECT_GT(8, stat_of(vm->vcpu.fd, "pause_exits"));
}

/* A list of gpas to write to, ended by 0. */
GUEST(writer, 64,
	"mov $0x40000, %esi\n"
	"1: lodsq; test %rax, %rax; jz 2f; incq (%rax); jmp 1b\n"
	"2: hlt\n");

/* Writes to logged pages, 1500 of them: more than the processor's log takes. */
TEST_F(intel, page_modification_log)
{
	const u64 at = 0x10000000, n = 1500;
	u64 *list, before, bits[(1500 + 63) / 64];
	struct kvm_dirty_log log = { .slot = 1, .dirty_bitmap = bits };
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	struct vm *vm = &self->vm;

	if (!option("pml"))
		SKIP(return, "no page-modification logging");
	vm_start(vm, LONG, writer);
	ASSERT_EQ(0, vm_slot(vm, 1, KVM_MEM_LOG_DIRTY_PAGES, at, n * 0x1000,
			     xmmap(n * 0x1000, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1)));
	list = (u64 *)(vm->mem + GPA_FREE);
	for (u64 i = 0; i < n; i++)
		list[i] = at + i * 0x1000 + i % 500 * 8;
	list[n] = 0;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
	ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
	for (int round = 0; round < 3; round++) {
		list[n] = 0;
		before = stat_of(vm->vcpu.fd, "exits");
		vcpu_set_regs(&vm->vcpu, &r);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
		/* the log's end twice, and the host's clock */
		EXPECT_GT(100, stat_of(vm->vcpu.fd, "exits") - before);
		ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
		for (u64 i = 0; i < n; i++) {
			ASSERT_EQ(1, bits[i / 64] >> i % 64 & 1)
				TH_LOG("page %d, round %d", (int)i, round);
		}
		/* and now some */
		list[n / 2] = 0;
		vcpu_set_regs(&vm->vcpu, &r);
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
		ASSERT_EQ(0, ioctl(vm->fd, KVM_GET_DIRTY_LOG, &log));
		for (u64 i = 0; i < n; i++) {
			ASSERT_EQ(i < n / 2, bits[i / 64] >> i % 64 & 1)
				TH_LOG("page %d, round %d, some", (int)i, round);
		}
		list[n / 2] = at + n / 2 * 0x1000;
	}
}

GUEST(mmio, 64,
	"mov $0xd0000000, %ebx; mov $100, %ecx\n"
	"1: mov %ecx, (%rbx); dec %ecx; jnz 1b\n"
	"hlt\n");

static void trace_faults(bool on)
{
	int fd = open(TRACEFS "events/kvm/kvm_page_fault/enable", O_WRONLY);

	if (fd < 0 || write(fd, on ? "1" : "0", 1) != 1)
		die("kvm_page_fault");
	close(fd);
	if (on)
		close(open(TRACEFS "trace", O_WRONLY | O_TRUNC));
}

static int traced(const char *what)
{
	FILE *f = fopen(TRACEFS "trace", "r");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += line[0] != '#' && strstr(line, what);
	if (f)
		fclose(f);
	return n;
}

/* The first access to a page without memory is looked up, the others are not. */
TEST_F(intel, mmio_by_misconfiguration)
{
	struct vm *vm = &self->vm;
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2 };
	volatile u32 *p;
	int n = 0, exit;

	if (!option("ept"))
		SKIP(return, "no EPT");
	vm_start(vm, LONG, mmio);
	trace_faults(true);
	while ((exit = vm_run(vm)) == KVM_EXIT_MMIO)
		n++;
	trace_faults(false);
	ASSERT_EQ(KVM_EXIT_HLT, exit);
	EXPECT_EQ(100, n);
	EXPECT_EQ(1, traced("address 0x00000000d0000000"));
	/* memory there makes it memory, and none makes it MMIO again */
	p = xmmap(0x1000, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0xd0000000, 0x1000, (void *)p));
	vcpu_set_regs(&vm->vcpu, &r);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(vm));
	EXPECT_EQ(1, *p);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, 0, 0, NULL));
	vcpu_set_regs(&vm->vcpu, &r);
	ASSERT_EQ(KVM_EXIT_MMIO, vm_run(vm));
	EXPECT_EQ(100, *(u32 *)vm->vcpu.run->mmio.data);
}

/* No guest has SGX or TDX; where the host has, each of these exits. */
TEST_F(intel, no_sgx_no_tdx)
{
	static const struct { const char *name; u8 code[4]; } insns[] = {
		{ "encls", { 0x0f, 0x01, 0xcf } },
		{ "enclv", { 0x0f, 0x01, 0xc0 } },
		{ "seamcall", { 0x66, 0x0f, 0x01, 0xcf } },
		{ "tdcall", { 0x66, 0x0f, 0x01, 0xcc } },
	};
	struct vm *vm = &self->vm;

	vm_create(vm);
	for (size_t i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
		vm_mode(vm, &vm->vcpu, LONG);
		vm_load(vm, GPA_CODE, insns[i].code, insns[i].code + sizeof(insns[i].code));
		trap(vm)->count = 0;
		ASSERT_EQ(KVM_EXIT_IO, vm_run(vm)) TH_LOG("%s", insns[i].name);
		EXPECT_EQ(PORT_TRAP, vm->vcpu.run->io.port) TH_LOG("%s", insns[i].name);
		EXPECT_EQ(6, trap(vm)->vector) TH_LOG("%s", insns[i].name);
		EXPECT_EQ(GPA_CODE, trap(vm)->rip) TH_LOG("%s", insns[i].name);
	}
}

/* No exit, no interrupts: the quirk ends it in this emulator, the host's interrupts elsewhere. */
GUEST(loop, 64, "1: jmp 1b");

static void on_alarm(int sig)
{
}

TEST_F(intel, no_way_out)
{
	struct sigaction act = { .sa_handler = on_alarm };
	struct vm *vm = &self->vm;

	if (on_bochs() && !(on_stock() ? has_ctl(PIN_CTLS, 6) : quirk("guest_slices")))
		SKIP(return, "no preemption timer, or no guest_slices: the emulator would never end this");
	vm_start(vm, LONG, loop);
	sigaction(SIGALRM, &act, NULL);
	ualarm(50000, 0);
	EXPECT_EQ(EINTR, err(ioctl(vm->vcpu.fd, KVM_RUN, 0L)));
	EXPECT_EQ(GPA_CODE, vcpu_regs(&vm->vcpu).rip);
}

TEST_HARNESS_MAIN
