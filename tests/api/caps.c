// SPDX-License-Identifier: GPL-2.0-only
/* KVM_ENABLE_CAP, and what each capability that it enables does. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include "vm.h"
#include "kselftest_harness.h"

#define MSR_PLATFORM_INFO	0xce
#define MSR_TSC			0x10
#define MSR_LSTAR		0xc0000082
#define MSR_FS_BASE		0xc0000100
#define MSR_UNKNOWN		0x4b564dff

/* RDMSR of RCX, unless RDI says WRMSR; RAX and RDX as they are. */
GUEST(access, 64,
      "1: test %edi, %edi\n jnz 2f\n rdmsr\n hlt\n jmp 1b\n"
      "2: wrmsr\n hlt\n jmp 1b\n");
GUEST(halt, 64, "1: hlt; jmp 1b");
GUEST(halt_open, 64, "sti; 1: hlt; jmp 1b");
GUEST(mwait, 64, "xor %ecx, %ecx\n xor %edx, %edx\n mov $0x20000, %eax\n monitor\n hlt\n mwait\n hlt\n");

FIXTURE(cap) {
	struct vm vm;
	int fd;
	struct kvm_run *run;
};

FIXTURE_SETUP(cap)
{
	vm_start(&self->vm, LONG, access);
	self->fd = self->vm.vcpu.fd;
	self->run = self->vm.vcpu.run;
}

FIXTURE_TEARDOWN(cap)
{
	vm_destroy(&self->vm);
}

static int enable(struct vm *vm, u32 cap, u64 arg)
{
	struct kvm_enable_cap c = { .cap = cap, .args = { arg } };

	return ioctl(vm->fd, KVM_ENABLE_CAP, &c);
}

TEST_F(cap, enable_cap)
{
	struct kvm_enable_cap c = { .cap = 0xffffff };

	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_ENABLE_CAP, &c)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_ENABLE_CAP, BAD_PTR)));
	c.cap = KVM_CAP_EXCEPTION_PAYLOAD;
	c.flags = 1;
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_ENABLE_CAP, &c)));
	c.flags = 0;
	EXPECT_EQ(0, ioctl(self->vm.fd, KVM_ENABLE_CAP, &c));
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_ENABLE_CAP_VM));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_X86_USER_SPACE_MSR, 8)));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 2)));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 4)));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_DISABLE_QUIRKS2, ~0ULL)));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_DISABLE_QUIRKS, ~0ULL));
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_EXIT_ON_EMULATION_FAILURE));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 2)));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, BIT(63))));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 1));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_EXIT_ON_EMULATION_FAILURE, 0));
}

TEST_F(cap, max_vcpu_id)
{
	int max = check_cap(self->vm.fd, KVM_CAP_MAX_VCPU_ID);

	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_MAX_VCPU_ID, max + 1)));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_MAX_VCPU_ID, 8));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_MAX_VCPU_ID, 9)));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_MAX_VCPU_ID, 8));
	EXPECT_EQ(EINVAL, err(ioctl(self->vm.fd, KVM_CREATE_VCPU, 8L)));
	EXPECT_LE(0, ioctl(self->vm.fd, KVM_CREATE_VCPU, 7L));
}

/* ---- MSRs that userspace answers ---- */

static void set_msr_regs(struct vm *vm, u32 index, bool write, u64 value)
{
	struct kvm_regs r = {
		.rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2, .rcx = index, .rdi = write,
		.rax = (u32)value, .rdx = value >> 32,
	};

	vcpu_set_regs(&vm->vcpu, &r);
}

static int guest_msr(struct vm *vm, u32 index, bool write, u64 value)
{
	trap(vm)->count = 0;
	trap(vm)->resume = 0;
	set_msr_regs(vm, index, write, value);
	return vm_run(vm);
}

TEST_F(cap, unknown_msr_to_userspace)
{
	struct kvm_regs r;

	/* without the capability it is #GP */
	ASSERT_EQ(KVM_EXIT_IO, guest_msr(&self->vm, MSR_UNKNOWN, false, 0));
	EXPECT_EQ(GP_VECTOR, trap(&self->vm)->vector);
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_X86_USER_SPACE_MSR,
			    KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_INVAL));
	ASSERT_EQ(KVM_EXIT_X86_RDMSR, guest_msr(&self->vm, MSR_UNKNOWN, false, 0));
	EXPECT_EQ(MSR_UNKNOWN, self->run->msr.index);
	EXPECT_EQ(KVM_MSR_EXIT_REASON_UNKNOWN, self->run->msr.reason);
	EXPECT_EQ(0, self->run->msr.error);
	self->run->msr.data = 0x1122334455667788;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	r = vcpu_regs(&self->vm.vcpu);
	EXPECT_EQ(0x55667788, r.rax);
	EXPECT_EQ(0x11223344, r.rdx);
	/* refused there, it is #GP */
	ASSERT_EQ(KVM_EXIT_X86_RDMSR, guest_msr(&self->vm, MSR_UNKNOWN, false, 0));
	self->run->msr.error = 1;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(GP_VECTOR, trap(&self->vm)->vector);
	EXPECT_EQ(GPA_CODE + 4, trap(&self->vm)->rip);
	/* writes */
	ASSERT_EQ(KVM_EXIT_X86_WRMSR, guest_msr(&self->vm, MSR_UNKNOWN, true, 0xabcdef0123456789));
	EXPECT_EQ(0xabcdef0123456789, self->run->msr.data);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	/* a value that is wrong */
	ASSERT_EQ(KVM_EXIT_X86_WRMSR, guest_msr(&self->vm, 0x277, true, ~0ULL));
	EXPECT_EQ(KVM_MSR_EXIT_REASON_INVAL, self->run->msr.reason);
	/* userspace that moves the vcpu away has done with it */
	set_msr_regs(&self->vm, MSR_TSC, false, 0);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

static int set_filter(struct vm *vm, u32 flags, u32 range_flags, u32 base, u32 n, void *bitmap)
{
	struct kvm_msr_filter f = {
		.flags = flags,
		.ranges[0] = { .flags = range_flags, .base = base, .nmsrs = n, .bitmap = bitmap },
	};

	return ioctl(vm->fd, KVM_X86_SET_MSR_FILTER, &f);
}

TEST_F(cap, msr_filter)
{
	u8 bits[8] = { 0 };
	u32 both = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE;

	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_X86_MSR_FILTER));
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_FILTER));
	/* registers that are the guest's own otherwise */
	bits[0] = 0xff & ~BIT(2);
	ASSERT_EQ(0, set_filter(&self->vm, 0, both, 0xc0000080, 64, bits));
	ASSERT_EQ(KVM_EXIT_X86_RDMSR, guest_msr(&self->vm, MSR_LSTAR, false, 0));
	EXPECT_EQ(KVM_MSR_EXIT_REASON_FILTER, self->run->msr.reason);
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	ASSERT_EQ(KVM_EXIT_X86_WRMSR, guest_msr(&self->vm, MSR_LSTAR, true, 5));
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0, vcpu_msr(&self->vm.vcpu, MSR_LSTAR));
	ASSERT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_FS_BASE, true, 0x1234));
	EXPECT_EQ(0x1234, vcpu_msr(&self->vm.vcpu, MSR_FS_BASE));
	/* reads only */
	bits[0] = 0;
	ASSERT_EQ(0, set_filter(&self->vm, 0, KVM_MSR_FILTER_READ, MSR_LSTAR, 1, bits));
	ASSERT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_LSTAR, true, 0x7777));
	EXPECT_EQ(0x7777, vcpu_msr(&self->vm.vcpu, MSR_LSTAR));
	ASSERT_EQ(KVM_EXIT_X86_RDMSR, guest_msr(&self->vm, MSR_LSTAR, false, 0));
	/* all but what is named */
	bits[0] = 1;
	ASSERT_EQ(0, set_filter(&self->vm, KVM_MSR_FILTER_DEFAULT_DENY, both, MSR_LSTAR, 1, bits));
	ASSERT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_LSTAR, false, 0));
	ASSERT_EQ(KVM_EXIT_X86_RDMSR, guest_msr(&self->vm, MSR_FS_BASE, false, 0));
	/* without the exit it is #GP */
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_X86_USER_SPACE_MSR, 0));
	ASSERT_EQ(KVM_EXIT_IO, guest_msr(&self->vm, MSR_FS_BASE, false, 0));
	EXPECT_EQ(GP_VECTOR, trap(&self->vm)->vector);
	/* and none again */
	ASSERT_EQ(0, set_filter(&self->vm, 0, 0, 0, 0, NULL));
	ASSERT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_FS_BASE, false, 0));
}

TEST_F(cap, msr_filter_rules)
{
	u8 bits[8] = { 0 };

	EXPECT_EQ(EINVAL, err(set_filter(&self->vm, 2, 1, 0, 8, bits)));
	EXPECT_EQ(EINVAL, err(set_filter(&self->vm, 0, 4, 0, 8, bits)));
	EXPECT_EQ(EINVAL, err(set_filter(&self->vm, 0, 0, 0, 8, bits)));
	EXPECT_EQ(EINVAL, err(set_filter(&self->vm, KVM_MSR_FILTER_DEFAULT_DENY, 0, 0, 0, NULL)));
	EXPECT_EQ(EINVAL, err(set_filter(&self->vm, 0, 1, 0, 0x600 * 8 + 1, bits)));
	EXPECT_EQ(EINVAL, err(set_filter(&self->vm, 0, 1, 0, ~0, bits)));
	EXPECT_EQ(EFAULT, err(set_filter(&self->vm, 0, 1, 0, 8, BAD_PTR)));
	EXPECT_EQ(EFAULT, err(ioctl(self->vm.fd, KVM_X86_SET_MSR_FILTER, BAD_PTR)));
}

TEST_F(cap, platform_info)
{
	u64 v = vcpu_msr(&self->vm.vcpu, MSR_PLATFORM_INFO);

	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_PLATFORM_INFO, 0xff00));
	ASSERT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_PLATFORM_INFO, false, 0));
	EXPECT_EQ(0xff00, vcpu_regs(&self->vm.vcpu).rax);
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_MSR_PLATFORM_INFO, 0));
	ASSERT_EQ(KVM_EXIT_IO, guest_msr(&self->vm, MSR_PLATFORM_INFO, false, 0));
	EXPECT_EQ(GP_VECTOR, trap(&self->vm)->vector);
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_MSR_PLATFORM_INFO, 1));
	ASSERT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_PLATFORM_INFO, false, 0));
	ASSERT_EQ(KVM_EXIT_IO, guest_msr(&self->vm, MSR_PLATFORM_INFO, true, 0));
	EXPECT_EQ(1, vcpu_set_msr(&self->vm.vcpu, MSR_PLATFORM_INFO, v));
}

/* ---- events ---- */

TEST_F(cap, exception_payload)
{
	struct kvm_vcpu_events e, bad;

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_EQ(0, e.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	bad = e;
	bad.flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VCPU_EVENTS, &bad)));
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_EXCEPTION_PAYLOAD, 1));
	GUEST_LOAD(&self->vm, halt);
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_NE(0, e.flags & KVM_VCPUEVENT_VALID_PAYLOAD);
	/* a page fault that is only pending: CR2 is written when it is delivered */
	e.exception.pending = 1;
	e.exception.nr = 14;
	e.exception.has_error_code = 1;
	e.exception.error_code = 6;
	e.exception_has_payload = 1;
	e.exception_payload = 0xdead000;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	EXPECT_EQ(0, vcpu_sregs(&self->vm.vcpu).cr2);
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &bad));
	EXPECT_EQ(0, memcmp(&e, &bad, sizeof(e)));
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(14, trap(&self->vm)->vector);
	EXPECT_EQ(6, trap(&self->vm)->error);
	if (!on_bochs_svm())	/* whose VMRUN does not load CR2 */
		EXPECT_EQ(0xdead000, trap(&self->vm)->cr2);
	e.exception.nr = 32;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e)));
}

TEST_F(cap, triple_fault_event)
{
	struct kvm_vcpu_events e, bad;

	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	bad = e;
	bad.flags |= KVM_VCPUEVENT_VALID_TRIPLE_FAULT;
	EXPECT_EQ(EINVAL, err(ioctl(self->fd, KVM_SET_VCPU_EVENTS, &bad)));
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &e));
	EXPECT_NE(0, e.flags & KVM_VCPUEVENT_VALID_TRIPLE_FAULT);
	e.triple_fault.pending = 1;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_VCPU_EVENTS, &bad));
	EXPECT_EQ(1, bad.triple_fault.pending);
	/* taken away again */
	e.triple_fault.pending = 0;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	EXPECT_EQ(KVM_EXIT_HLT, guest_msr(&self->vm, MSR_TSC, false, 0));
	e.triple_fault.pending = 1;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_VCPU_EVENTS, &e));
	EXPECT_EQ(KVM_EXIT_SHUTDOWN, vm_run(&self->vm));
}

/* ---- hypercalls that userspace answers ---- */

#define HC_MAP_GPA_RANGE	12

/* By RDI VMCALL, else VMMCALL. */
GUEST(call, 64, "test %edi, %edi\n jnz 1f\n vmmcall\n hlt\n 1: vmcall\n hlt\n");

static int map_gpa_range(struct vm *vm, u64 gpa, u64 npages)
{
	u32 eax = 0, ebx, ecx = 0, edx;
	struct kvm_regs r = { .rip = GPA_CODE, .rflags = 2, .rsp = GPA_STACK,
			      .rax = HC_MAP_GPA_RANGE, .rbx = gpa, .rcx = npages, .rdx = 0x12 };

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	r.rdi = ebx == 0x756e6547;
	vcpu_set_regs(&vm->vcpu, &r);
	return vm_run(vm);
}

TEST_F(cap, exit_hypercall)
{
	u64 bits = check_cap(self->vm.fd, KVM_CAP_EXIT_HYPERCALL);

	GUEST_LOAD(&self->vm, call);
	EXPECT_EQ(BIT(HC_MAP_GPA_RANGE), bits);
	EXPECT_EQ(KVM_EXIT_HLT, map_gpa_range(&self->vm, 0x3000, 2));
	EXPECT_EQ(-1000, (long)vcpu_regs(&self->vm.vcpu).rax);
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_EXIT_HYPERCALL, 1)));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_EXIT_HYPERCALL, ~0ULL)));
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_EXIT_HYPERCALL, bits));
	ASSERT_EQ(KVM_EXIT_HYPERCALL, map_gpa_range(&self->vm, 0x3000, 2));
	EXPECT_EQ(HC_MAP_GPA_RANGE, self->run->hypercall.nr);
	EXPECT_EQ(0x3000, self->run->hypercall.args[0]);
	EXPECT_EQ(2, self->run->hypercall.args[1]);
	EXPECT_EQ(0x12, self->run->hypercall.args[2]);
	EXPECT_EQ(1, self->run->hypercall.longmode);
	self->run->hypercall.ret = 0x123456789aULL;
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0x123456789aULL, vcpu_regs(&self->vm.vcpu).rax);
	/* what cannot be does not bother userspace */
	EXPECT_EQ(KVM_EXIT_HLT, map_gpa_range(&self->vm, 0x3001, 2));
	EXPECT_EQ(-EINVAL, (long)vcpu_regs(&self->vm.vcpu).rax);
	EXPECT_EQ(KVM_EXIT_HLT, map_gpa_range(&self->vm, 0x3000, 0));
	EXPECT_EQ(KVM_EXIT_HLT, map_gpa_range(&self->vm, ~0xfffULL, ~0ULL));
	EXPECT_EQ(-EINVAL, (long)vcpu_regs(&self->vm.vcpu).rax);
	/* userspace goes elsewhere meanwhile */
	ASSERT_EQ(KVM_EXIT_HYPERCALL, map_gpa_range(&self->vm, 0x3000, 2));
	EXPECT_EQ(KVM_EXIT_HLT, map_gpa_range(&self->vm, 0x3000, 0));
	EXPECT_EQ(-EINVAL, (long)vcpu_regs(&self->vm.vcpu).rax);
}

/* ---- exits that the VMM gives up ---- */

static void on_alarm(int sig)
{
}

/* A VM whose capabilities are still to be set: no vcpu. */
static void open_vm(struct vm *vm, struct vm *like)
{
	memset(vm, 0, sizeof(*vm));
	vm->sys = dup(like->sys);
	vm->fd = ioctl(vm->sys, KVM_CREATE_VM, 0L);
	vm->run_size = like->run_size;
	vm->mem = xmmap(MEM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfffbd000L) || vm_slot(vm, 0, 0, 0, MEM_SIZE, vm->mem))
		die("KVM_CREATE_VM");
}

TEST_F(cap, disable_exits)
{
	struct itimerval in_50_ms = { .it_value.tv_usec = 50000 };
	struct sigaction sa = { .sa_handler = on_alarm };
	int exits = check_cap(self->vm.fd, KVM_CAP_X86_DISABLE_EXITS);
	struct kvm_cpuid2 *c = supported_cpuid(self->vm.sys);
	struct vm vm;

	EXPECT_EQ(KVM_X86_DISABLE_EXITS_HLT | KVM_X86_DISABLE_EXITS_PAUSE,
		  exits & ~KVM_X86_DISABLE_EXITS_MWAIT);
	/* too late */
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_X86_DISABLE_EXITS, KVM_X86_DISABLE_EXITS_HLT)));
	open_vm(&vm, &self->vm);
	EXPECT_EQ(EINVAL, err(enable(&vm, KVM_CAP_X86_DISABLE_EXITS, 0x10)));
	EXPECT_EQ(EINVAL, err(enable(&vm, KVM_CAP_X86_DISABLE_EXITS, ~0ULL)));
	ASSERT_EQ(0, enable(&vm, KVM_CAP_X86_DISABLE_EXITS, exits));
	vcpu_create(&vm, &vm.vcpu, 0);
	ASSERT_EQ(0, ioctl(vm.vcpu.fd, KVM_SET_CPUID2, c));
	vm_mode(&vm, &vm.vcpu, LONG);
	GUEST_LOAD(&vm, halt_open);
	/* The guest halts, and only the signal ends that. */
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &in_50_ms, NULL);
	EXPECT_EQ(-1, ioctl(vm.vcpu.fd, KVM_RUN, 0L));
	EXPECT_EQ(EINTR, errno);
	vm_destroy(&vm);
	free(c);
}

TEST_F(cap, halt_poll)
{
	EXPECT_EQ(1, check_cap(self->vm.fd, KVM_CAP_HALT_POLL));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_HALT_POLL, 0));
	EXPECT_EQ(0, enable(&self->vm, KVM_CAP_HALT_POLL, 0xffffffff));
	EXPECT_EQ(EINVAL, err(enable(&self->vm, KVM_CAP_HALT_POLL, 0x100000000ULL)));
}

/* ---- attributes of /dev/kvm ---- */

TEST_F(cap, xcomp_attribute)
{
	u64 xcr0 = 0;
	struct kvm_device_attr a = { .attr = KVM_X86_XCOMP_GUEST_SUPP, .addr = (u64)&xcr0 };
	int sys = self->vm.sys;

	EXPECT_EQ(1, check_cap(sys, KVM_CAP_SYS_ATTRIBUTES));
	EXPECT_EQ(0, ioctl(sys, KVM_HAS_DEVICE_ATTR, &a));
	ASSERT_EQ(0, ioctl(sys, KVM_GET_DEVICE_ATTR, &a));
	EXPECT_EQ(cpuid_reg(sys, 0xd, 0, 0) | (u64)cpuid_reg(sys, 0xd, 0, 3) << 32, xcr0);
	a.addr = (u64)BAD_PTR;
	EXPECT_EQ(EFAULT, err(ioctl(sys, KVM_GET_DEVICE_ATTR, &a)));
	a.attr = 1;
	EXPECT_EQ(ENXIO, err(ioctl(sys, KVM_HAS_DEVICE_ATTR, &a)));
	EXPECT_EQ(ENXIO, err(ioctl(sys, KVM_GET_DEVICE_ATTR, &a)));
	EXPECT_EQ(EFAULT, err(ioctl(sys, KVM_GET_DEVICE_ATTR, BAD_PTR)));
}

/* ---- quirks ---- */

TEST_F(cap, quirk_mwait)
{
	struct kvm_cpuid2 *c = supported_cpuid(self->vm.sys);

	GUEST_LOAD(&self->vm, mwait);
	for (u32 i = 0; i < c->nent; i++)
		if (c->entries[i].function == 1)
			c->entries[i].ecx &= ~8;
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_CPUID2, c));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS));
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	EXPECT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	EXPECT_EQ(UD_VECTOR, trap(&self->vm)->vector);
	/* and CPUID's bit follows the register */
	ASSERT_EQ(0, enable(&self->vm, KVM_CAP_DISABLE_QUIRKS2, KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS |
			    KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT));
	ASSERT_EQ(1, vcpu_set_msr(&self->vm.vcpu, 0x1a0, BIT(18)));
	vm_mode(&self->vm, &self->vm.vcpu, LONG);
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	free(c);
}

/* ---- KVM_VCPU_TSC_CTRL ---- */

TEST_F(cap, tsc_offset_attribute)
{
	u64 offset = 0, tsc;
	struct kvm_device_attr a = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (u64)&offset,
	};

	EXPECT_EQ(0, ioctl(self->fd, KVM_HAS_DEVICE_ATTR, &a));
	ASSERT_EQ(0, ioctl(self->fd, KVM_GET_DEVICE_ATTR, &a));
	offset += 1ULL << 40;
	tsc = vcpu_msr(&self->vm.vcpu, MSR_TSC);
	ASSERT_EQ(0, ioctl(self->fd, KVM_SET_DEVICE_ATTR, &a));
	EXPECT_LT(tsc + (1ULL << 39), vcpu_msr(&self->vm.vcpu, MSR_TSC));
	a.addr = 0x10;
	EXPECT_EQ(EFAULT, err(ioctl(self->fd, KVM_SET_DEVICE_ATTR, &a)));
	EXPECT_EQ(EFAULT, err(ioctl(self->fd, KVM_GET_DEVICE_ATTR, &a)));
	a.attr = 1;
	EXPECT_EQ(ENXIO, err(ioctl(self->fd, KVM_HAS_DEVICE_ATTR, &a)));
	a.attr = 0;
	a.group = 7;
	EXPECT_EQ(ENXIO, err(ioctl(self->fd, KVM_GET_DEVICE_ATTR, &a)));
	EXPECT_EQ(ENXIO, err(ioctl(self->fd, KVM_SET_DEVICE_ATTR, &a)));
}

/* ---- KVM_CAP_SYNC_REGS: events and system registers, too ---- */

TEST_F(cap, sync_regs)
{
	struct kvm_run *run = self->run;

	GUEST_LOAD(&self->vm, halt);
	run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	run->s.regs.sregs.apic_base = 0xfee00000 | 0x900;
	run->s.regs.sregs.cr2 = 0x5555;
	run->s.regs.events.interrupt.nr = 0x44;
	run->s.regs.events.interrupt.injected = 1;
	run->s.regs.regs.rflags |= 0x200;
	run->kvm_dirty_regs = KVM_SYNC_X86_VALID_FIELDS;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	if (!on_bochs_svm())	/* whose VMRUN does not load CR2 */
		EXPECT_EQ(0x5555, vcpu_sregs(&self->vm.vcpu).cr2);
	EXPECT_EQ(0x44, trap(&self->vm)->vector);
	EXPECT_EQ(0, run->kvm_dirty_regs);
	/* impossible: nothing runs */
	run->s.regs.sregs.cr0 = ~0ULL;
	run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
	EXPECT_EQ(-EINVAL, vm_run(&self->vm));
	run->kvm_dirty_regs = 0;
	run->kvm_valid_regs = 0;
	EXPECT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
}

TEST_HARNESS_MAIN
