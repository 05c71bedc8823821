// SPDX-License-Identifier: GPL-2.0-only
/* KVM_RUN, with guests that make the module allocate. */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <fcntl.h>
#include <unistd.h>
#include "fail.h"

/* A page in each of 24 large ones, then 64 in a row, twice; rbx counts. */
GUEST(touch, 64,
	"	xor %ebx, %ebx\n	mov $2, %edx\n"
	"1:	mov $0x400000, %edi\n	mov $24, %ecx\n"
	"2:	incq (%rdi)\n	inc %ebx\n	add $0x200000, %rdi\n	loop 2b\n"
	"	mov $0x480000, %edi\n	mov $64, %ecx\n"
	"3:	incq (%rdi)\n	inc %ebx\n	add $0x1000, %rdi\n	loop 3b\n"
	"	dec %edx\n	jnz 1b\n"
	"4:	out %al, $0x10\n	jmp 4b\n");

/*
 * 16 tables of its own at 0x100000, each put into the directory, used, changed and used
 * again, with a new CR3 now and then: what each maps is pages at 0x200000.
 */
GUEST(tables, 64,
	"	xor %ebx, %ebx\n	mov $0x100000, %esi\n	mov $0x6080, %edi\n	mov $0x2000000, %r8d\n"
	"	mov $16, %ecx\n"
	"1:	movq $0x200003, (%rsi)\n	movq $0x201003, 8(%rsi)\n"
	"	lea 3(%rsi), %rax\n	mov %rax, (%rdi)\n	mov %cr3, %rax\n	mov %rax, %cr3\n"
	"	incq (%r8)\n	incq 0x1000(%r8)\n"
	"	movq $0x202003, (%rsi)\n	invlpg (%r8)\n	incq (%r8)\n	add $3, %ebx\n"
	"	add $0x1000, %rsi\n	add $8, %rdi\n	add $0x200000, %r8\n	loop 1b\n"
	"2:	out %al, $0x10\n	jmp 2b\n");

/* Emulated: a string from a port to memory, a copy from MMIO, XCHG with MMIO. */
GUEST(emulated, 64,
	"	mov $0x400ff8, %edi\n	mov $64, %ecx\n	mov $0x80, %edx\n	cld\n	rep insb\n"
	"	mov $0xd0000000, %esi\n	mov $0x5ffffc, %edi\n	mov $4, %ecx\n	rep movsl\n"
	"	xchg %eax, (%rsi)\n"
	"	mov $5, %ebx\n"
	"1:	out %al, $0x10\n	jmp 1b\n");

long call_run(void *arg)
{
	struct vcpu *v = &e->vm.vcpu;

	for (;;) {
		if (ioctl(v->fd, KVM_RUN, 0L) < 0)
			return -1;
		switch (v->run->exit_reason) {
		case KVM_EXIT_IO:
			if (v->run->io.port == PORT_OK || v->run->io.port == PORT_TRAP)
				return v->run->io.port;
			continue;
		case KVM_EXIT_MMIO:
			continue;
		default:
			errno = EIO;
			return -1;
		}
	}
}

/* The guest has run, so that the MMU's first tables are there. */
static void full_warm(void)
{
	full_extra();
	run_probe(1, 0, 0, PORT_OK);
}

static void begin(u64 rax, u64 rdi, u64 rcx)
{
	struct kvm_regs r = { .rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
			      .rax = rax, .rdi = rdi, .rcx = rcx };

	vcpu_set_regs(&e->vm.vcpu, &r);
}

static bool rbx_is(u64 want) { return vcpu_regs(&e->vm.vcpu).rbx == want; }

void touch_memory(void)
{
	GUEST_LOAD(&e->vm, touch);
	begin(0, 0, 0);
	if (vm_run(&e->vm) != KVM_EXIT_IO)
		die("the guest that touches");
	ready();
}

/* One page in each large one is there. */
void run_touch(void)
{
	full_extra();
	GUEST_LOAD(&e->vm, touch);
	for (u64 at = 0; at < EXTRA_SIZE; at += LARGE)
		e->extra[at] = 0;
	for (u64 at = 0x80000; at < 0xc0000; at += PAGE)
		e->extra[at] = 0;
	begin(0, 0, 0);
}

bool check_touch(void)
{
	for (u64 i = 0; i < 24; i++)
		if (e->extra[i * LARGE] != 2)
			return false;
	for (u64 i = 0; i < 64; i++)
		if (e->extra[0x80000 + i * PAGE] != 2)
			return false;
	return rbx_is(2 * (24 + 64));
}

/* None is. */
void run_lazy(void)
{
	full_extra();
	GUEST_LOAD(&e->vm, touch);
	begin(0, 0, 0);
}

void run_tables(void)
{
	full();
	GUEST_LOAD(&e->vm, tables);
	for (u64 at = 0x100000; at < 0x204000; at += PAGE)
		*(volatile u64 *)(e->vm.mem + at) = 0;
	begin(0, 0, 0);
}

bool check_tables(void)
{
	u64 *m = (u64 *)(e->vm.mem + 0x200000);

	return rbx_is(48) && m[0] == 16 && m[512] == 16 && m[1024] == 16;
}

void run_emulated(void)
{
	full_warm();
	GUEST_LOAD(&e->vm, emulated);
	begin(0, 0, 0);
}

bool check_emulated(void) { return rbx_is(5); }

void run_sync(void)
{
	full();
	e->vm.vcpu.run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	begin(0, GPA_FREE, 0);
	if (call_run(NULL) != PORT_OK)
		die("KVM_CAP_SYNC_REGS");
	e->vm.vcpu.run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
	e->vm.vcpu.run->s.regs.regs.rip = GPA_CODE;
}

/* The guest's own writes of paravirtual MSRs, with structures in memory that is not there yet. */
static void run_pv(u32 msr, u64 flags)
{
	full_warm();
	begin(3, GPA_EXTRA | flags, msr);
}

void run_pv_clock(void) { run_pv(MSR_CLOCK, 1); }
void run_pv_steal(void) { run_pv(MSR_STEAL, 1); }
void run_pv_eoi(void) { run_pv(MSR_EOI, 1); }
void run_pv_apf(void) { run_pv(MSR_APF_EN, 9); }

/* A page that userspace withholds for a moment: somebody supplies it. */
static pthread_t supplier;
static int uffd;

static void *supply(void *unused)
{
	static u8 page[PAGE] __attribute__((aligned(PAGE)));
	struct pollfd p[2] = { { .fd = uffd, .events = POLLIN }, { .fd = e->resample, .events = POLLIN } };
	struct uffdio_copy copy = { .dst = (u64)e->extra, .src = (u64)page, .len = PAGE };

	if (poll(p, 2, -1) >= 0 && !p[1].revents) {
		usleep(2000);
		ioctl(uffd, UFFDIO_COPY, &copy);
		poll(&p[1], 1, -1);
	}
	return NULL;
}

void run_async_pf(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct vcpu *v = &e->vm.vcpu;

	vm_create_split(&e->vm);
	ready();
	add_extra(0);
	run_probe(1, 0, 0, PORT_OK);
	eventfds();
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = (u64)e->extra;
	reg.range.len = LARGE;
	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg))
		die("userfaultfd");
	if (vcpu_set_msr(v, 0x1b, vcpu_msr(v, 0x1b) | BIT(10)) != 1 || vcpu_set_msr(v, 0x80f, 0x1ff) != 1 ||
	    vcpu_set_msr(v, MSR_APF_INT, 0x50) != 1 || vcpu_set_msr(v, MSR_APF_EN, GPA_FREE | 0xb) != 1)
		die("the MSRs of asynchronous page faults");
	*(volatile u64 *)(e->vm.mem + GPA_FREE) = 0;
	begin(0, GPA_EXTRA, 0);
	/* It is taken by #PF only with interrupts on. */
	struct kvm_regs r = vcpu_regs(v);
	r.rflags |= BIT(9);
	vcpu_set_regs(v, &r);
	if (pthread_create(&supplier, NULL, supply, NULL))
		die("a thread");
}

void end_async_pf(void)
{
	u64 n = 1;

	if (write(e->resample, &n, sizeof(n)) != sizeof(n))
		die("eventfd");
	pthread_join(supplier, NULL);
	close(uffd);
}

