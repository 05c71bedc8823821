// SPDX-License-Identifier: GPL-2.0-only
/*
 * For `make bench-vm`, in a lab host that counts instructions: what a VM costs
 * from KVM_CREATE_VM over its vcpu's first entry to the last close, and what a
 * guest's first touch of a page costs with few slots and with many.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "vm.h"

#define PAGE	4096UL
#define NPAGES	4000UL
#define PREFETCH 8U		/* what a fault maps, at most: slots are of whole ones */
#define BASE	0x1000000UL	/* of the pages that the guest touches */

/* Runs whenever nothing else does: the time that it gets is the machine's idle time. */
static pid_t spinner;
static clockid_t spinner_clock;

static void start_spinner(void)
{
	struct sched_param none = { 0 };

	spinner = fork();
	if (spinner < 0)
		die("fork");
	if (!spinner) {
		if (sched_setscheduler(0, SCHED_IDLE, &none))
			_exit(1);
		for (;;)
			__asm__ volatile("" : : : "memory");
	}
	if (clock_getcpuclockid(spinner, &spinner_clock))
		die("clock_getcpuclockid");
}

/* Instructions so far that were not idle ones: of all processes and of the kernel. */
static u64 busy(void)
{
	struct timespec t;

	if (clock_gettime(spinner_clock, &t))
		die("clock_gettime");
	return __rdtsc() - (t.tv_sec * 1000000000ULL + t.tv_nsec);
}

/* What a small VMM does, and no more; real mode at 0. */
static void one_vm(void *mem)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = PAGE, .userspace_addr = (u64)mem,
	};
	int sys = open("/dev/kvm", O_RDWR), fd = ioctl(sys, KVM_CREATE_VM, 0L), vcpu;
	size_t size = ioctl(sys, KVM_GET_VCPU_MMAP_SIZE, 0L);
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	struct kvm_run *run;

	if (fd < 0 || ioctl(fd, KVM_SET_USER_MEMORY_REGION, &slot))
		die("one_vm");
	vcpu = ioctl(fd, KVM_CREATE_VCPU, 0L);
	run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
	if (run == MAP_FAILED || ioctl(vcpu, KVM_GET_SREGS, &sregs))
		die("one_vm: vcpu");
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(vcpu, KVM_SET_SREGS, &sregs) || ioctl(vcpu, KVM_SET_REGS, &regs) ||
	    ioctl(vcpu, KVM_RUN, 0L) || run->exit_reason != KVM_EXIT_HLT)
		die("one_vm: run");
	munmap(run, size);
	close(vcpu);
	close(fd);
	close(sys);
}

static void bench_create(void)
{
	u8 *mem = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const int n = 100;
	u64 start;

	mem[0] = 0xf4;
	for (int i = 0; i < 10; i++)
		one_vm(mem);
	usleep(100000);		/* what the first ones left to others to do */
	start = busy();
	for (int i = 0; i < n; i++)
		one_vm(mem);
	usleep(100000);
	printf("create %llu\n", (unsigned long long)(busy() - start) / n);
}

/* Touches RCX pages in an order that jumps: RBX = BASE + (i * 769 mod RCX) pages. */
GUEST(touch, 64,
	"xor %esi, %esi\n mov %ecx, %edi\n"
	"1: mov %rsi, %rbx\n shl $12, %rbx\n add $0x1000000, %rbx\n"
	"mov (%rbx), %al\n"
	"add $769, %esi\n cmp %edi, %esi\n jb 2f\n sub %edi, %esi\n"
	"2: dec %ecx\n jnz 1b\n"
	"hlt\n");

static void bench_slots(u32 slots)
{
	u32 per = NPAGES / slots / PREFETCH * PREFETCH;
	struct kvm_regs r;
	u64 start, *pd;
	struct vm vm;
	u8 *mem;

	vm_start(&vm, LONG, touch);
	/* 2 MB pages from 16 MB on, where the guest looks; the slots are small all the same */
	pd = (u64 *)(vm.mem + GPA_PD);
	for (u32 i = 8; i < 16; i++)
		pd[i] = (u64)i << 21 | PTE_P | PTE_W | PTE_PS;
	mem = xmmap(NPAGES * PAGE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
	for (u32 i = 0; i < slots; i++)
		if (vm_slot(&vm, i + 1, 0, BASE + i * per * PAGE, per * PAGE, mem + i * per * PAGE))
			die("slot %u", i);
	r = vcpu_regs(&vm.vcpu);
	r.rcx = per * slots;
	vcpu_set_regs(&vm.vcpu, &r);
	start = busy();
	if (vm_run(&vm) != KVM_EXIT_HLT)
		die("touch");
	printf("slots-%u %llu\n", slots, (unsigned long long)(busy() - start) / (per * slots));
	vm_destroy(&vm);
	munmap(mem, NPAGES * PAGE);
}

int main(void)
{
	start_spinner();
	bench_create();
	bench_slots(3);
	bench_slots(30);
	bench_slots(500);
	kill(spinner, SIGKILL);
	waitpid(spinner, NULL, 0);
	return 0;
}
