// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest programs of which every exit is printed, with registers, what the last
 * exception left, and a sum of memory, as lines "# trace PROGRAM: ...".  What
 * they do is architectural, so the lines have to be the same on both vendors'
 * processors: `make check` compares them (tests/lab/compare-traces).
 */
#include <stdio.h>
#include "vm.h"
#include "kselftest_harness.h"

#define MAX_EXITS	200
#define RF		BIT(16)		/* emulators differ in it */
#define SUMMED		0x2000		/* of GPA_DATA */

/* A look from outside. */
#define LOOK	"out %al, $0x80\n"
/* INSN faults, and the guest goes on behind it. */
#define FAULTS(insn) \
	"lea 1f(%rip), %r15; mov %r15, 0x3040\n" insn "\n1: " LOOK

GUEST(ports, 64,
	"mov $0x5678, %edx; mov $0x1122334455667788, %rax\n"
	"out %al, %dx; out %ax, %dx; out %eax, %dx; out %eax, $0x90\n"
	"in %dx, %al; in %dx, %ax; in %dx, %eax; in $0x91, %al\n"
	"mov $0x20010, %edi; mov $5, %ecx; cld; rep insb\n"
	"mov $3, %ecx; rep insw; mov $2, %ecx; rep insl\n"
	"mov $0x20010, %esi; mov $4, %ecx; rep outsb\n"
	"mov $2, %ecx; rep outsl; std; mov $2, %ecx; rep outsw; cld\n"
	"xor %ecx, %ecx; rep outsb; hlt");

GUEST(mmio, 64,
	"mov $0xd0000000, %ebx; mov $0x0102030405060708, %rax\n"
	"mov %al, (%rbx); mov %ax, 1(%rbx); mov %eax, 4(%rbx); mov %rax, 8(%rbx)\n"
	"mov (%rbx), %cl; movzbl (%rbx), %edx; movswq 2(%rbx), %rsi; mov 8(%rbx), %rdi\n"
	"add %eax, 4(%rbx); orb $0x41, 5(%rbx); xchg %ecx, (%rbx); incl 8(%rbx)\n"
	"cmp $0, %rax; cmpb $3, 1(%rbx); setc %r8b; testl $-1, (%rbx); setnz %r9b\n"
	"movabs $0xd0000020, %rdi; mov $0x20000, %esi; mov $3, %ecx; rep movsl\n"
	"mov $0xd0000000, %esi; mov $0x20100, %edi; mov $9, %ecx; rep movsb\n"
	"mov $0xd0000000, %edi; mov $0x55, %al; mov $4, %ecx; rep stosb\n"
	"push (%rbx); pop %r10; hlt");

GUEST(faults, 64,
	FAULTS("ud2")
	FAULTS("xor %edx, %edx; xor %ecx, %ecx; div %ecx")
	FAULTS("mov 0x40000000, %al")
	FAULTS("movb $1, 0x40000123")
	FAULTS("mov $0x8000000000000000, %rax; mov (%rax), %al")
	FAULTS("mov $0x48, %eax; mov %eax, %ds")
	FAULTS("mov $0xfff8, %eax; mov %eax, %fs")
	FAULTS("mov $0x12345678, %ecx; rdmsr")
	FAULTS("mov %cr0, %rax; btr $0, %eax; mov %rax, %cr0")
	FAULTS("mov %cr4, %rax; bts $31, %rax; mov %rax, %cr4")
	FAULTS("mov %cr4, %rax; btr $5, %rax; mov %rax, %cr4")
	FAULTS("mov $1, %eax; shl $33, %rax; mov %rax, %cr8")
	FAULTS("mov $0x20000, %eax; ljmp *(%rax)")
	"movq $0, 0x3040; int3; " LOOK "int $0x33; " LOOK
	"pushf; orl $0x100, (%rsp); popf; nop; nop\n"
	"pushf; andl $~0x100, (%rsp); popf; nop; " LOOK "hlt");

GUEST(system, 64,
	"xor %eax, %eax; cpuid; mov %ebx, 0x20000; mov %edx, 0x20004; mov %ecx, 0x20008\n" LOOK
	"mov $0x80000001, %eax; xor %ecx, %ecx; cpuid; " LOOK
	"mov $0x7777, %eax; xor %ecx, %ecx; cpuid; " LOOK
	"mov $0xc0000100, %ecx; mov $0x1000, %eax; mov $0x7f, %edx; wrmsr; rdmsr; " LOOK
	"mov $0xc0000082, %ecx; mov $0x2000, %eax; wrmsr; xor %eax, %eax; rdmsr; " LOOK
	"mov $0x174, %ecx; mov $0x18, %eax; xor %edx, %edx; wrmsr; xor %eax, %eax; rdmsr; " LOOK
	"mov $0x277, %ecx; rdmsr; mov $0x06, %al; wrmsr; xor %eax, %eax; rdmsr; " LOOK
	"mov $0xc0000080, %ecx; rdmsr; bts $0, %eax; wrmsr; rdmsr; " LOOK
	"mov %cr0, %rax; bts $3, %eax; mov %rax, %cr0; mov %cr0, %rbx; clts; mov %cr0, %rcx; " LOOK
	"smsw %eax; or $0xa, %eax; lmsw %ax; smsw %edx; clts; " LOOK
	"mov $0x1234000, %eax; mov %rax, %cr2; mov %cr2, %rbx; " LOOK
	"mov %cr4, %rax; bts $7, %eax; mov %rax, %cr4; mov %cr4, %rdx; mov %cr3, %rsi; mov %rsi, %cr3; " LOOK
	"mov $5, %eax; mov %rax, %cr8; mov %cr8, %rbx; xor %eax, %eax; mov %rax, %cr8; " LOOK
	"mov $0x20010, %eax; mov %rax, %dr0; mov %dr0, %rbx; mov %dr6, %rcx; mov %dr7, %rdx; " LOOK
	"sgdt 0x20020; sidt 0x20030; sldt %eax; str %ebx; " LOOK
	"invlpg 0x20000; wbinvd; " LOOK "hlt");

GUEST(strings, 64,
	"mov $0x20ff0, %edi; mov $0x1234567890abcdef, %rax; mov $6, %ecx; rep stosq\n"
	"mov $0x20ff1, %esi; mov $0x20100, %edi; mov $40, %ecx; rep movsb\n"
	"mov $0x20108, %esi; mov $0x20100, %edi; mov $8, %ecx; repe cmpsb; setz %r8b\n"
	"mov $0x20100, %edi; mov $0x90, %al; mov $64, %ecx; repne scasb; " LOOK
	"mov $0x20203, %edi; movl $7, (%rdi); mov $7, %eax; mov $9, %ecx; lock cmpxchg %ecx, (%rdi)\n"
	"lock xadd %ecx, (%rdi); lock btsl $4, (%rdi); bswap %rax; cmp %eax, %eax; " LOOK
	"mov $3, %eax; cmp $4, %eax; pushf; pop %r9; adc $-1, %eax; pushf; pop %r10; hlt");

GUEST(real, 16,
	"mov $0x5678, %dx; mov $0xabcd, %ax; out %ax, %dx; in %dx, %al\n"
	"mov $0x2000, %bx; mov %bx, %ds; mov %ax, (4); movw $0x55aa, %es:(6)\n"
	"push %cs; pop %cx; call 1f; jmp 2f; 1: pusha; popa; ret\n"
	"2: out %al, $0x80; smsw %si; mov %cr0, %eax; addr32 mov (%ebx), %di\n"
	"mov $1, %eax; cpuid; out %al, $0x80; mov $3, %cx; xor %di, %di; push %ds; pop %es; rep insw\n"
	"out %al, $0x80; hlt");

GUEST(prot, 32,
	"mov $0x5678, %edx; out %eax, %dx; mov $0x20000, %edi; mov $4, %ecx; rep insw\n"
	"mov $0x28, %eax; mov %eax, %gs; mov %gs:0x123, %bl; lsl %eax, %ecx; setz %dl; lar %eax, %esi\n"
	"out %al, $0x80; lea 1f - guest_prot + 0x10000, %eax; mov %eax, 0x3040; movl $0, 0x3044\n"
	"ud2\n1: out %al, $0x80; mov $0x20040, %esp; pusha; call 2f; 2: pop %ebp; enter $8, $0; leave; popa; hlt");

/* In 32-bit code, and with the name of the guest that it is in. */
#define FAULTS32(guest, n, insn) \
	"lea " #n "f - guest_" #guest " + 0x10000, %ebp; mov %ebp, 0x3040; movl $0, 0x3044\n" \
	insn "\n" #n ": " LOOK

/*
 * Accessed and dirty bits of entries 0x20 to 0x22 of the last table, and rights
 * that go and come; SIZE is an entry's.
 */
#define PAGING(guest, size)						\
	"mov %cr3, %eax; mov %eax, %cr3\n"				\
	"mov 0x20000, %eax; mov $5, %ebx; mov %ebx, 0x21000\n"		\
	"mov 0x7000 + 0x20 * " size ", %esi; mov 0x7000 + 0x21 * " size ", %edi; " LOOK \
	"andb $~2, 0x7000 + 0x22 * " size "; invlpg 0x22000\n"		\
	FAULTS32(guest, 1, "mov %ebx, 0x22000")				\
	"mov %cr0, %eax; btr $16, %eax; mov %eax, %cr0; mov %ebx, 0x22000\n" \
	"mov 0x7000 + 0x22 * " size ", %esi; " LOOK			\
	"bts $16, %eax; mov %eax, %cr0\n"				\
	FAULTS32(guest, 2, "addl $1, 0x22004")				\
	"andb $~1, 0x7000 + 0x22 * " size "; invlpg 0x22000\n"		\
	FAULTS32(guest, 3, "mov 0x22000, %edx")				\
	"orb $3, 0x7000 + 0x22 * " size "; mov 0x22000, %edx; mov %edx, 0x22008\n" \
	"mov 0x7000 + 0x22 * " size ", %esi; " LOOK			\
	FAULTS32(guest, 4, "mov 0x40000010, %al")			\
	FAULTS32(guest, 5, "mov $0x48, %ecx; mov %cx, %ds") "hlt"

GUEST(pae, 32, PAGING(pae, "8"));
GUEST(pg32, 32, PAGING(pg32, "4"));

/* At CPL 3, with IOPL 3 so that it can be looked at; the last exit is to port 0xfe. */
GUEST(user, 64,
	"orb $4, 0x4000; orb $4, 0x5000; orb $4, 0x6000; xor %ecx, %ecx\n"
	"1: orb $4, 0x7000(,%rcx,8); inc %ecx; cmp $512, %ecx; jb 1b\n"
	"mov %cr3, %rax; mov %rax, %cr3; " LOOK
	"pushq $0x3b; pushq $0x20800; pushq $0x3002; pushq $0x43; lea 2f(%rip), %rax; push %rax; iretq\n"
	"2: mov $0x20040, %edi; mov $7, %eax; stosq; push %rax; pop %rbx; " LOOK
	FAULTS("mov %cr0, %rax") FAULTS("hlt") FAULTS("rdmsr") FAULTS("ud2") FAULTS("lgdt 0x20000")
	FAULTS("mov 0x40000000, %al") FAULTS("movb $1, 0x40000000") FAULTS("clts") FAULTS("syscall")
	FAULTS("mov $0x10, %eax; mov %eax, %ss")
	"movq $0, 0x3040; int $0x33; " LOOK "int3; cli; pushf; pop %r8; sti; " LOOK
	"xor %eax, %eax; cpuid; mov $0x5678, %edx; out %al, %dx; in %dx, %eax; out %al, $0xfe");

/* No table is of use: a fault, a double fault, the end. */
GUEST(shutdown, 64, "lidt 0x20000; " LOOK "ud2");

struct program {
	const char *name;
	enum vm_mode mode;
	const u8 *start, *end;
};

#define PROGRAM(n, mode) { #n, mode, guest_##n, guest_##n##_end }

static u64 sum(const u8 *p, size_t n)
{
	u64 h = 0xcbf29ce484222325;

	while (n--)
		h = (h ^ *p++) * 0x100000001b3;
	return h;
}

/* What no processor differs in. */
static void set_cpuid(struct vm *vm)
{
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 e[4];
	} c = { { .nent = 4 }, {
		{ .function = 0, .eax = 1, .ebx = 0x63617254, .ecx = 0x65636172, .edx = 0x63617254 },
		/* FPU PSE TSC MSR PAE CX8 APIC SEP PGE CMOV PAT FXSR SSE SSE2 */
		{ .function = 1, .eax = 0x611, .edx = 0x0701ab79 & ~BIT(12) },
		{ .function = 0x80000000, .eax = 0x80000001 },
		{ .function = 0x80000001, .edx = BIT(29) | BIT(20) | BIT(11) },
	} };

	if (ioctl(vm->vcpu.fd, KVM_SET_CPUID2, &c))
		die("KVM_SET_CPUID2");
}

static u8 answer;

static void print_exit(const char *name, int exit, struct kvm_run *run)
{
	u8 *data;

	printf("# trace %s: %s", name, exit_name(exit));
	if (exit == KVM_EXIT_IO) {
		data = (u8 *)run + run->io.data_offset;
		printf(" %s port %x size %u count %u", run->io.direction ? "out" : "in",
		       run->io.port, run->io.size, run->io.count);
		if (run->io.direction)
			printf(" sum %llx", (unsigned long long)sum(data, run->io.size * run->io.count));
		else
			for (u32 i = 0; i < run->io.size * run->io.count; i++)
				data[i] = answer += 0x1d;
	} else if (exit == KVM_EXIT_MMIO) {
		printf(" %s %llx len %u", run->mmio.is_write ? "write" : "read",
		       run->mmio.phys_addr, run->mmio.len);
		if (run->mmio.is_write)
			printf(" sum %llx", (unsigned long long)sum(run->mmio.data, run->mmio.len));
		else
			for (int i = 0; i < 8; i++)
				run->mmio.data[i] = answer += 0x1d;
	}
	putchar('\n');
}

static void print_state(const char *name, struct vm *vm)
{
	struct kvm_regs r = vcpu_regs(&vm->vcpu);
	struct kvm_sregs s = vcpu_sregs(&vm->vcpu);
	volatile struct trap *t = trap(vm);

	printf("# trace %s:  rip %llx flags %llx a %llx b %llx c %llx d %llx si %llx di %llx bp %llx sp %llx 8 %llx 9 %llx 10 %llx\n",
	       name, r.rip, r.rflags & ~RF, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9, r.r10);
	printf("# trace %s:  cs %x:%llx ds %x:%llx es %x:%llx cr0 %llx cr2 %llx cr3 %llx cr4 %llx cr8 %llx efer %llx\n",
	       name, s.cs.selector, s.cs.base, s.ds.selector, s.ds.base, s.es.selector, s.es.base,
	       s.cr0, s.cr2, s.cr3, s.cr4, s.cr8, s.efer);
	printf("# trace %s:  traps %lu vector %lu error %lx at %lx:%lx flags %llx sp %lx cr2 %lx; memory %lx\n",
	       name, t->count, t->vector, t->error, t->cs, t->rip, t->rflags & ~RF, t->rsp, t->cr2,
	       sum(vm->mem + GPA_DATA, SUMMED));
}

static bool ended(struct vm *vm, int exit)
{
	return exit == KVM_EXIT_HLT || exit == KVM_EXIT_SHUTDOWN ||
	       (exit == KVM_EXIT_IO && vm->vcpu.run->io.port == 0xfe);
}

/* Run it to its end; false if it has none. */
static bool run_program(const struct program *p)
{
	struct vm vm;
	int exit = -1, exits = 0;
	bool ok;

	answer = 0;
	vm_create(&vm);
	set_cpuid(&vm);
	vm_mode(&vm, &vm.vcpu, p->mode);
	vm_load(&vm, GPA_CODE, p->start, p->end);
	while (!ended(&vm, exit) && exits++ < MAX_EXITS) {
		exit = vm_run(&vm);
		print_exit(p->name, exit, vm.vcpu.run);
		/* after a triple fault the registers are anyone's */
		if (exit != KVM_EXIT_SHUTDOWN)
			print_state(p->name, &vm);
		if (exit < 0 || exit == KVM_EXIT_INTERNAL_ERROR || exit == KVM_EXIT_FAIL_ENTRY)
			exits = MAX_EXITS;
	}
	fflush(stdout);
	ok = ended(&vm, exit);
	vm_destroy(&vm);
	return ok;
}

TEST(trace)
{
	static const struct program programs[] = {
		PROGRAM(ports, LONG), PROGRAM(mmio, LONG), PROGRAM(faults, LONG),
		PROGRAM(system, LONG), PROGRAM(strings, LONG), PROGRAM(real, REAL),
		PROGRAM(prot, PROT), PROGRAM(pae, PAE), PROGRAM(pg32, PG32),
		PROGRAM(user, LONG),
	};

	for (size_t i = 0; i < ARRAY_LEN(programs); i++)
		EXPECT_TRUE(run_program(&programs[i]));
}

TEST(shutdown)
{
	static const struct program program = PROGRAM(shutdown, LONG);

	MAY_SHUT_DOWN();
	EXPECT_TRUE(run_program(&program));
}

TEST_HARNESS_MAIN
