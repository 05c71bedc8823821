// SPDX-License-Identifier: GPL-2.0-only
#include <fcntl.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fail.h"

/* By eax: 0 load from rdi, 1 OUT to dx, 2 RDMSR, 3 WRMSR, 4 VMMCALL; then all leave. */
GUEST(probe, 64,
	"	cmp $1, %eax\n	je 1f\n"
	"	cmp $2, %eax\n	je 2f\n"
	"	cmp $3, %eax\n	je 4f\n"
	"	cmp $4, %eax\n	je 5f\n"
	"	mov (%rdi), %rbx\n	jmp 3f\n"
	"1:	out %al, %dx\n	jmp 3f\n"
	"2:	rdmsr\n	jmp 3f\n"
	"4:	mov %edi, %eax\n	mov %rdi, %rdx\n	shr $32, %rdx\n	wrmsr\n	jmp 3f\n"
	"5:	mov %rdi, %rax\n	mov $1, %ebx\n	xor %ecx, %ecx\n	xor %edx, %edx\n	mov $0x40, %esi\n"
	"	vmmcall\n	mov %rax, %rbx\n"
	"3:	out %al, $0x10\n	jmp 3b\n");

/*
 * ---- VMs ----
 */

void open_bare(void)
{
	struct vm *vm = &e->vm;

	memset(vm, 0, sizeof(*vm));
	vm->vcpu.fd = -1;
	vm->sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->sys < 0)
		die("/dev/kvm");
}

/* A VM without vcpus, without interrupt controllers. */
void bare(void)
{
	struct vm *vm = &e->vm;

	open_bare();
	vm->fd = ioctl(vm->sys, KVM_CREATE_VM, 0L);
	vm->run_size = ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0L);
	vm->mem = xmmap(MEM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (vm->fd < 0 || vm_slot(vm, 0, 0, 0, MEM_SIZE, vm->mem))
		die("a VM");
}

void with_chips(void)
{
	bare();
	if (ioctl(e->vm.fd, KVM_CREATE_IRQCHIP))
		die("KVM_CREATE_IRQCHIP");
}

void ready(void)
{
	vm_mode(&e->vm, &e->vm.vcpu, LONG);
	GUEST_LOAD(&e->vm, probe);
}

void full(void)
{
	vm_create_full(&e->vm);
	ready();
}

void user(void)
{
	vm_create(&e->vm);
	ready();
}

static void extra_memory(void)
{
	e->extra = xmmap(EXTRA_SIZE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	madvise(e->extra, EXTRA_SIZE, MADV_NOHUGEPAGE);
}

void add_extra(u32 flags)
{
	extra_memory();
	if (vm_slot(&e->vm, 1, flags, GPA_EXTRA, EXTRA_SIZE, e->extra))
		die("slot 1");
}

void full_extra(void)
{
	full();
	add_extra(0);
}

void full_unslotted(void)
{
	full();
	extra_memory();
}

void eventfds(void)
{
	e->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	e->resample = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

void full_eventfds(void)
{
	full();
	eventfds();
}

void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void teardown(void)
{
	struct vm *vm = &e->vm;

	close_fd(&e->fd);
	if (vm->vcpu.run)
		munmap(vm->vcpu.run, vm->run_size);
	close_fd(&vm->vcpu.fd);
	if (vm->fd > 0)
		close(vm->fd);
	close(vm->sys);
	if (vm->mem)
		munmap(vm->mem, MEM_SIZE);
	if (e->extra)
		munmap(e->extra, EXTRA_SIZE);
	e->extra = NULL;
	close_fd(&e->efd);
	close_fd(&e->resample);
}

/*
 * ---- what can be read back ----
 */

/* Run the probe guest: its first exit, and its port; what was pending is completed. */
u64 run_probe(u64 rax, u64 rdi, u64 rcx, u64 rdx)
{
	struct vcpu *v = &e->vm.vcpu;
	struct kvm_regs saved = vcpu_regs(v), r = {
		.rip = GPA_CODE, .rsp = GPA_STACK, .rflags = 2,
		.rax = rax, .rdi = rdi, .rcx = rcx, .rdx = rdx,
	};
	u64 ret;

	vcpu_set_regs(v, &r);
	ret = vcpu_run(v);
	if (ret == KVM_EXIT_IO)
		ret |= (u64)v->run->io.port << 16 | vcpu_regs(v).rbx << 32;
	v->run->immediate_exit = 1;
	vcpu_run(v);
	v->run->immediate_exit = 0;
	vcpu_set_regs(v, &saved);
	return ret;
}

static void read_msrs(int fd, struct msr_values *m)
{
	static struct msr_list list;

	list.head.nmsrs = 256;
	if (ioctl(e->vm.sys, KVM_GET_MSR_INDEX_LIST, &list))
		die("KVM_GET_MSR_INDEX_LIST");
	for (u32 i = 0; i < list.head.nmsrs; i++)
		/* The TSC goes on. */
		if (list.index[i] != 0x10)
			m->entry[m->head.nmsrs++].index = list.index[i];
	if (ioctl(fd, KVM_GET_MSRS, m) != (int)m->head.nmsrs)
		die("KVM_GET_MSRS");
}

static u64 count_files(void)
{
	u64 n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Mappings of the kernel's memory, which some slots have. */
static u64 count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512];
	u64 n = 0;

	while (f && fgets(line, sizeof(line), f))
		n += !!strstr(line, "kvm-memory");
	if (f)
		fclose(f);
	return n;
}

void read_state(struct state *s)
{
	int fd = e->vm.vcpu.fd;

	memset(s, 0, sizeof(*s));
	if (now->probe && e->vm.fd > 0)
		s->probe = now->probe();
	s->files = count_files();
	s->mappings = count_mappings();
	if (e->vm.fd <= 0)
		return;
	s->nr_mmu = ioctl(e->vm.fd, KVM_GET_NR_MMU_PAGES, 0L);
	for (int i = 0; i < 3; i++) {
		s->chips[i].chip_id = i;
		ioctl(e->vm.fd, KVM_GET_IRQCHIP, &s->chips[i]);
	}
	ioctl(e->vm.fd, KVM_GET_PIT2, &s->pit);
	/* Of a counter that stands this goes on. */
	for (int i = 0; i < 3; i++)
		s->pit.channels[i].count_load_time = 0;
	if (fd < 0)
		return;
	s->cpuid.head.nent = 256;
	if (ioctl(fd, KVM_GET_REGS, &s->regs) || ioctl(fd, KVM_GET_SREGS, &s->sregs) ||
	    ioctl(fd, KVM_GET_XSAVE, &s->xsave) || ioctl(fd, KVM_GET_XCRS, &s->xcrs) ||
	    ioctl(fd, KVM_GET_DEBUGREGS, &s->debugregs) || ioctl(fd, KVM_GET_VCPU_EVENTS, &s->events) ||
	    ioctl(fd, KVM_GET_MP_STATE, &s->mp) || ioctl(fd, KVM_GET_CPUID2, &s->cpuid))
		die("a vcpu's state");
	ioctl(fd, KVM_GET_LAPIC, &s->lapic);
	read_msrs(fd, &s->msrs);
	s->khz = ioctl(fd, KVM_GET_TSC_KHZ, 0L);
}

const char *difference(const struct state *a, const struct state *b)
{
#define COMPARE(field)							\
	if (memcmp(&a->field, &b->field, sizeof(a->field)))		\
		return #field;
	COMPARE(regs) COMPARE(sregs) COMPARE(xsave) COMPARE(xcrs) COMPARE(debugregs)
	COMPARE(events) COMPARE(mp) COMPARE(lapic) COMPARE(msrs) COMPARE(cpuid) COMPARE(chips)
	COMPARE(pit) COMPARE(nr_mmu) COMPARE(khz) COMPARE(probe) COMPARE(files) COMPARE(mappings)
	return NULL;
}

