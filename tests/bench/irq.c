// SPDX-License-Identifier: GPL-2.0-only
/*
 * For `make bench-irq`, in a lab host whose TSC counts the instructions of all its
 * processors: what interrupts cost, the host's share and the guest's together.
 * "irq one" is for one processor, "irq two" for two.
 */
#include <linux/kvm.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#include "vm.h"

#define HANDLER		0x18000		/* its code, and vcpu 1's */
#define CODE1		0x14000
#define VECTOR		0x40
#define MSR_BASE	0x1b
#define PORT_EVENT	0x60
#define GPA_LOCK	GPA_DATA
#define GPA_COUNT	(GPA_DATA + 64)
#define GPA_DONE	(GPA_DATA + 128)
#define STORM_VCPUS	8
#define STORM_ROUNDS	"300"
#define STORMS		6

/* R14 counts.  The registers that the code below uses stay. */
GUEST(handler, 64,
	"push %rax\n push %rcx\n push %rdx\n"
	"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	"inc %r14\n pop %rdx\n pop %rcx\n pop %rax\n iretq\n");
/* The same; says when it began, in the host's time, and tells the host. */
GUEST(handler_out, 64,
	"push %rax\n push %rcx\n push %rdx\n"
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, (0x20000)\n"
	"mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n out %al, $0x60\n"
	"inc %r14\n pop %rdx\n pop %rcx\n pop %rax\n iretq\n");

/* RDI rounds of a body; what they took to RBX. */
#define LOOP(body)							\
	"lfence\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r12\n" \
	"1:\n" body " dec %rdi\n jnz 1b\n"				\
	"lfence\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub %r12, %rax\n" \
	"mov %rax, %rbx\n out %al, $0x10\n hlt\n"
#define ICR(dest)	"mov $0x830, %ecx\n mov $0x40, %eax\n mov $" #dest ", %edx\n wrmsr\n"

GUEST(eoi, 64, LOOP("mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"));
GUEST(self_ipi, 64, "sti\n" LOOP("mov $0x83f, %ecx\n mov $0x40, %eax\n xor %edx, %edx\n wrmsr\n nop\n"));
/* a deadline that is over fires at once, so that nobody waits */
GUEST(deadline, 64, "sti\n" LOOP("mov $0x6e0, %ecx\n mov $1, %eax\n xor %edx, %edx\n wrmsr\n nop\n"));
GUEST(ioeventfd, 64, LOOP("out %al, $0x60\n"));
GUEST(port_to_self, 64, "sti\n" LOOP("out %al, $0x60\n nop\n"));
GUEST(ping_halted, 64, LOOP("cli\n mov %r14, %r13\n" ICR(1) "2: sti\n hlt\n cli\n cmp %r13, %r14\n je 2b\n"));
GUEST(pong_halted, 64, "1: sti\n hlt\n cli\n" ICR(0) "jmp 1b\n");
/* PAUSE gives the emulator's other processor its turn */
GUEST(ping_running, 64, "sti\n" LOOP("mov %r14, %r13\n" ICR(1) "2: pause\n cmp %r13, %r14\n je 2b\n"));
GUEST(pong_running, 64, "sti\n 1: pause\n cmp %r13, %r14\n je 1b\n inc %r13\n" ICR(0) "jmp 1b\n");
GUEST(waiter, 64, "1: sti\n hlt\n jmp 1b\n");
/* what a tickless guest's next timer does, 20 ms ahead */
GUEST(tickless, 64, LOOP("cli\n rdtsc\n add $20000000, %eax\n adc $0, %edx\n"
	"mov $0x6e0, %ecx\n wrmsr\n sti\n hlt\n"));
/* A lock that all want, and an interrupt to all the others, RDI times; who is done halts, the first waits. */
GUEST(storm, 64,
	"sti\n rdtsc\n shl $32, %rdx\n or %rdx, %rax\n mov %rax, %r12\n mov $" STORM_ROUNDS ", %edi\n"
	"1: mov $1, %eax\n xchg %eax, (0x20000)\n test %eax, %eax\n jz 3f\n"
	"2: pause\n cmpl $0, (0x20000)\n jne 2b\n jmp 1b\n"
	"3: incl (0x20040)\n movl $0, (0x20000)\n"
	"mov $0x830, %ecx\n mov $0xc0040, %eax\n xor %edx, %edx\n wrmsr\n"
	"dec %edi\n jnz 1b\n"
	"lock incl (0x20080)\n test %r15, %r15\n jz 5f\n"
	"4: hlt\n jmp 4b\n"
	"5: pause\n cmpl $8, (0x20080)\n jne 5b\n"
	"rdtsc\n shl $32, %rdx\n or %rdx, %rax\n sub %r12, %rax\n mov %rax, %rbx\n out %al, $0x10\n hlt\n");

#define CODE(name)	guest_##name, guest_##name##_end

static void x2apic_on(struct vcpu *v)
{
	struct kvm_lapic_state s;
	u32 svr = 0x1ff, lvtt = 0x40000 | VECTOR;	/* TSC deadline */

	if (vcpu_set_msr(v, MSR_BASE, vcpu_msr(v, MSR_BASE) | BIT(10)) != 1)
		die("x2APIC");
	if (ioctl(v->fd, KVM_GET_LAPIC, &s))
		die("KVM_GET_LAPIC");
	memcpy(s.regs + 0xf0, &svr, 4);
	memcpy(s.regs + 0x320, &lvtt, 4);
	if (ioctl(v->fd, KVM_SET_LAPIC, &s))
		die("KVM_SET_LAPIC");
}

static void vcpu_start(struct vm *vm, struct vcpu *v, int id, u64 rip, u64 rounds)
{
	struct kvm_regs r = {
		.rip = rip, .rsp = GPA_FREE + 0x10000 + id * 0x1000, .rflags = 2,
		.rdi = rounds, .r15 = id,
	};

	vm_mode(vm, v, LONG);
	x2apic_on(v);
	vcpu_set_regs(v, &r);
	ioctl(v->fd, KVM_SET_MP_STATE, &(struct kvm_mp_state){ KVM_MP_STATE_RUNNABLE });
}

static void take_interrupts(struct vm *vm, const u8 *start, const u8 *end)
{
	u64 *idt = (u64 *)(vm->mem + GPA_IDT);

	vm_load(vm, HANDLER, start, end);
	idt[2 * VECTOR] = (HANDLER & 0xffff) | (u64)(HANDLER >> 16) << 48 |
			  (u64)SEL_CODE64 << 16 | 0xee00ULL << 32;
	idt[2 * VECTOR + 1] = 0;
}

static void *runner(void *vcpu)
{
	vcpu_run(vcpu);
	return NULL;
}

static void in_background(struct vcpu *v)
{
	pthread_t t;

	if (pthread_create(&t, NULL, runner, v))
		die("pthread_create");
	usleep(20000);
}

static void report(const char *name, u64 total, u64 rounds)
{
	printf("%s %llu\n", name, (unsigned long long)(total / rounds));
	fflush(stdout);
}

/* What the guest measured itself, the second time. */
static u64 measured(struct vm *vm, u64 rounds)
{
	struct kvm_regs r = vcpu_regs(&vm->vcpu);

	for (int i = 0; i < 2; i++) {
		r.rip = GPA_CODE;
		r.rdi = rounds;
		r.rflags = 2;
		vcpu_set_regs(&vm->vcpu, &r);
		if (vm_run(vm) != KVM_EXIT_IO || vm->vcpu.run->io.port != 0x10) {
			vcpu_dump(&vm->vcpu, "bench");
			die("bench");
		}
		r = vcpu_regs(&vm->vcpu);
	}
	return r.rbx;
}

static void one_vcpu(const char *name, const u8 *start, const u8 *end, u64 rounds)
{
	struct vm vm;

	vm_create_split(&vm);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, rounds);
	take_interrupts(&vm, CODE(handler));
	vm_load(&vm, GPA_CODE, start, end);
	report(name, measured(&vm, rounds), rounds);
}

static void ping_pong(const char *name, const u8 *ping, const u8 *ping_end,
		      const u8 *pong, const u8 *pong_end, u64 rounds)
{
	struct vcpu other;
	struct vm vm;

	vm_create_split(&vm);
	vcpu_create(&vm, &other, 1);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, rounds);
	vcpu_start(&vm, &other, 1, CODE1, 0);
	take_interrupts(&vm, CODE(handler));
	vm_load(&vm, GPA_CODE, ping, ping_end);
	vm_load(&vm, CODE1, pong, pong_end);
	in_background(&other);
	report(name, measured(&vm, rounds), rounds);
}

static int event_at_port(struct vm *vm)
{
	struct kvm_ioeventfd e = {
		.addr = PORT_EVENT, .len = 1, .fd = eventfd(0, 0), .flags = KVM_IOEVENTFD_FLAG_PIO,
	};

	if (ioctl(vm->fd, KVM_IOEVENTFD, &e))
		die("KVM_IOEVENTFD");
	return e.fd;
}

static void bench_ioeventfd(void)
{
	struct vm vm;

	vm_create_split(&vm);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, 1000);
	vm_load(&vm, GPA_CODE, CODE(ioeventfd));
	event_at_port(&vm);
	report("ioeventfd", measured(&vm, 1000), 1000);
}

static void host_time(struct vcpu *v)
{
	u64 offset = 0;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (u64)&offset,
	};

	if (ioctl(v->fd, KVM_SET_DEVICE_ATTR, &attr))
		die("KVM_VCPU_TSC_OFFSET");
}

static void interrupt_by(struct vm *vm, int fd)
{
	struct { struct kvm_irq_routing h; struct kvm_irq_routing_entry e; } routes = {
		.h.nr = 1,
		.e = { .gsi = 5, .type = KVM_IRQ_ROUTING_MSI,
		       .u.msi = { .address_lo = 0xfee00000, .data = VECTOR } },
	};
	struct kvm_irqfd irqfd = { .gsi = 5, .fd = fd };

	if (ioctl(vm->fd, KVM_SET_GSI_ROUTING, &routes) || ioctl(vm->fd, KVM_IRQFD, &irqfd))
		die("irqfd");
}

/* An eventfd that is both: the guest's write to a port is an interrupt of its own. */
static void bench_irqfd(void)
{
	struct vm vm;

	vm_create_split(&vm);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, 0);
	take_interrupts(&vm, CODE(handler));
	vm_load(&vm, GPA_CODE, CODE(port_to_self));
	interrupt_by(&vm, event_at_port(&vm));
	report("irqfd", measured(&vm, 1000), 1000);
}

/*
 * From an eventfd's writing to the handler in a guest that was halted, the
 * scheduler's part included.  It answers by another eventfd.
 */
static void bench_irqfd_halted(void)
{
	int fd = eventfd(0, 0);
	const u64 rounds = 300, one = 1;
	volatile u64 *began;
	u64 got, start, total = 0;
	struct vm vm;
	int answer;

	vm_create_split(&vm);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, 0);
	take_interrupts(&vm, CODE(handler_out));
	vm_load(&vm, GPA_CODE, CODE(waiter));
	host_time(&vm.vcpu);
	began = (u64 *)(vm.mem + GPA_DATA);
	answer = event_at_port(&vm);
	interrupt_by(&vm, fd);
	in_background(&vm.vcpu);
	for (u64 i = 0; i < 2 * rounds; i++) {
		start = __rdtsc();
		if (write(fd, &one, 8) != 8 || read(answer, &got, 8) != 8)
			die("eventfd");
		if (i >= rounds)
			total += *began - start;
	}
	report("irqfd-halted", total, rounds);
}

/* Who gets the lock when is chance, so one alone says little: @total is of several. */
static void bench_storm(u64 *total)
{
	struct vcpu others[STORM_VCPUS];
	struct vm vm;

	vm_create_split(&vm);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, 0);
	for (int i = 1; i < STORM_VCPUS; i++) {
		vcpu_create(&vm, &others[i], i);
		vcpu_start(&vm, &others[i], i, GPA_CODE, 0);
	}
	take_interrupts(&vm, CODE(handler));
	vm_load(&vm, GPA_CODE, CODE(storm));
	for (int i = 1; i < STORM_VCPUS; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, runner, &others[i]))
			die("pthread_create");
	}
	if (vm_run(&vm) != KVM_EXIT_IO)
		die("storm");
	*total += vcpu_regs(&vm.vcpu).rbx;
}

/* How often the host wakes for a guest that has one timer in 20 ms. */
static void bench_idle(void)
{
	struct rusage before, after;
	const u64 rounds = 50;
	struct vm vm;

	vm_create_split(&vm);
	vcpu_start(&vm, &vm.vcpu, 0, GPA_CODE, rounds);
	take_interrupts(&vm, CODE(handler));
	vm_load(&vm, GPA_CODE, CODE(tickless));
	getrusage(RUSAGE_SELF, &before);
	measured(&vm, rounds);
	getrusage(RUSAGE_SELF, &after);
	report("idle-wakeups", after.ru_nvcsw - before.ru_nvcsw, 1);
}

/* Each in a process of its own: its threads and its VM end with it. */
#define RUN(call) do {							\
	pid_t child = fork();						\
	int status;							\
									\
	if (!child) {							\
		call;							\
		_exit(0);						\
	}								\
	if (waitpid(child, &status, 0) != child || status)		\
		die(#call);						\
} while (0)

int main(int argc, char **argv)
{
	u64 *total;

	if (argc != 2)
		die("irq one|two");
	if (!strcmp(argv[1], "one")) {
		RUN(one_vcpu("eoi", CODE(eoi), 1000));
		RUN(one_vcpu("self-ipi", CODE(self_ipi), 1000));
		RUN(one_vcpu("tsc-deadline", CODE(deadline), 1000));
		RUN(ping_pong("ipi-halted", CODE(ping_halted), CODE(pong_halted), 200));
		RUN(bench_ioeventfd());
		RUN(bench_irqfd());
		RUN(bench_irqfd_halted());
		RUN(bench_idle());
	} else {
		RUN(ping_pong("ipi-running", CODE(ping_running), CODE(pong_running), 200));
		total = xmmap(sizeof(*total), MAP_SHARED | MAP_ANONYMOUS, -1);
		for (int i = 0; i < STORMS; i++)
			RUN(bench_storm(total));
		report("storm", *total, STORMS);
	}
	return 0;
}
