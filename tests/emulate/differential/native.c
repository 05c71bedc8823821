// SPDX-License-Identifier: GPL-2.0-only
/* The CPU: how a case gets into it, and a signal out of it. */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "differential.h"

static void end_by_signal(int sig, u64 rip)
{
	progress->signal = sig;
	progress->signal_rip = rip;
	_exit(EXIT_SIGNAL);
}

/* Used by the assembly: keep the order. */
struct entry {
	u64 regs[16];
	u64 rflags;
	u64 rsp_saved;
	u64 ds_es, ss;
	u32 eip, cs;
	u64 rip;
	u64 rsp_at_exit;
	u8 pad[8];
	u8 media[XSAVE_BYTES];
} __attribute__((packed));

struct entry native __attribute__((aligned(64)));
void native_enter(void);
void native_exit(void);

/*
 * Set while a case runs.  A signal at any other time is a fault of this program,
 * and returning from its handler could only repeat it.
 */
static volatile sig_atomic_t in_case;

/* A label of each: they differ in how they jump at the end. */
#define ENTER(name, jump) \
	".globl " name "\n" name ":\n" \
	"	push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n" \
	"	mov %rsp, native+136(%rip)\n" \
	"	mov $7, %eax; xor %edx, %edx; xrstor64 native+192(%rip)\n" \
	"	mov native+144(%rip), %rax\n" \
	"	mov %eax, %ds; mov %eax, %es\n" \
	"	pushq native+128(%rip); popfq\n" \
	"	mov native+8(%rip), %rcx; mov native+16(%rip), %rdx\n" \
	"	mov native+24(%rip), %rbx\n" \
	"	mov native+40(%rip), %rbp; mov native+48(%rip), %rsi\n" \
	"	mov native+56(%rip), %rdi; mov native+64(%rip), %r8\n" \
	"	mov native+72(%rip), %r9; mov native+80(%rip), %r10\n" \
	"	mov native+88(%rip), %r11; mov native+96(%rip), %r12\n" \
	"	mov native+104(%rip), %r13; mov native+112(%rip), %r14\n" \
	"	mov native+120(%rip), %r15\n" \
	"	mov native+152(%rip), %rax; mov %eax, %ss\n" \
	"	mov native+32(%rip), %rsp\n" \
	"	mov native+0(%rip), %rax\n" \
	"	" jump "\n"

__asm__(".text\n"
	ENTER("native_enter", "jmp *native+168(%rip)")
	ENTER("native_enter_far", "ljmpl *native+160(%rip)")
	".globl native_entered_far\nnative_entered_far:\n"
	".globl native_exit\n"
	"native_exit:\n"
	"	mov %rsp, native+176(%rip)\n"
	"	mov $0x2b, %eax; mov %eax, %ss\n"
	"	mov native+136(%rip), %rsp\n"
	"	xor %eax, %eax; mov %eax, %ds; mov %eax, %es\n"
	"	emms\n"
	"	cld\n"
	"	pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"	ret\n");

static const int greg_of[16] = {
	REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
	REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static void on_signal(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	greg_t *g = uc->uc_mcontext.gregs;
	unsigned int i;

	(void)info;
	if (!in_case)
		end_by_signal(sig, g[REG_RIP]);
	in_case = 0;
	for (i = 0; i < 16; i++)
		cpu.s.regs[i] = g[greg_of[i]];
	cpu.s.rip = g[REG_RIP];
	cpu.s.rflags = g[REG_EFL];
	cpu.trap = g[REG_TRAPNO];
	cpu.error = g[REG_ERR];
	cpu.cr2 = g[REG_CR2];
	memcpy(cpu.s.media, uc->uc_mcontext.fpregs, XSAVE_BYTES);
	/*
	 * Nothing of the case is left to return with: IRET may fault on its RSP, flags
	 * or segments, and that would come back here for ever.
	 */
	uc->uc_mcontext.fpregs->cwd = 0x37f;
	uc->uc_mcontext.fpregs->swd = 0;
	uc->uc_mcontext.fpregs->ftw = 0;
	uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
	for (i = 0; i < 16; i++)
		g[greg_of[i]] = 0;
	g[REG_RSP] = native.rsp_saved;
	g[REG_RIP] = (greg_t)native_exit;
	g[REG_EFL] = 0x202;
	g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000ll) | 0x33 | 0x2bll << 48;
}

static void catch_signals(void)
{
	static char stack[65536];
	stack_t ss = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction sa = { .sa_sigaction = on_signal,
				.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigaltstack(&ss, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGTRAP, &sa, NULL);
}

struct machine machines[] = {
	{ "64-bit", X86EMUL_MODE_PROT64, 0x33, 0, 0x2b, 0, 0, 0xffffffff, 64 },
	{ "32-bit", X86EMUL_MODE_PROT32, 0x23, 0x2b, 0x2b, 0, 0, 0xffffffff, 32 },
	{ "16-bit", X86EMUL_MODE_PROT16, 0x07, 0x0f, 0x0f, CODE, DATA, CASE_DATA_LIMIT, 16 },
};

const struct machine *machine;

int make_ldt(void)
{
	struct user_desc d = { .entry_number = 0, .base_addr = CODE,
			       .limit = CODE_SIZE - 1, .seg_32bit = 0, .contents = 2 };

	if (syscall(SYS_modify_ldt, 1, &d, sizeof(d)))
		return -1;
	d.entry_number = 1;
	d.base_addr = DATA;
	d.limit = CASE_DATA_LIMIT;
	d.contents = 0;
	return syscall(SYS_modify_ldt, 1, &d, sizeof(d)) ? -1 : 0;
}

/* What cpu has of the trap becomes what the emulator says of such an end. */
void understand_trap(const struct state *in)
{
	/* INT3 has been passed. */
	if (cpu.trap == 3)
		cpu.s.rip--;
	/* A fetch fault elsewhere: the jump itself has gone well. */
	if (cpu.trap == 14 && (cpu.error & 0x10) && cpu.s.rip != in->rip) {
		cpu.trap = 3;
		cpu.error = 0;
		cpu.cr2 = 0;
	}
	if (cpu.trap != 14)
		cpu.cr2 = 0;
	/* It stays as it was for what has no error code. */
	if (cpu.trap != 14 && (cpu.trap < 10 || cpu.trap > 13))
		cpu.error = 0;
}

/*
 * The code was written by another address than it is fetched from, so the CPU may have
 * something older of it until a serializing instruction (SDM 3, "Self-Modifying Code";
 * APM 2, "Self-Modifying Code").  IRET is the one that a hypervisor does not intercept.
 */
static void serialize(void)
{
	unsigned long sp;

	__asm__ volatile(
		"mov %%rsp, %0\n"
		"lea -128(%%rsp), %%rsp\n"	/* the red zone */
		"push $0x2b; push %0; pushfq; push $0x33; lea 1f(%%rip), %0; push %0\n"
		"iretq\n"
		"1:"
		: "=&r"(sp) : : "memory", "cc");
}

void run_cpu(const struct state *in)
{
	serialize();
	memcpy(native.regs, in->regs, sizeof(native.regs));
	native.rflags = in->rflags;
	memcpy(native.media, in->media, sizeof(native.media));
	native.ds_es = machine->ds;
	native.ss = machine->ss;
	native.rip = in->rip;
	native.eip = in->rip;
	native.cs = machine->cs;
	in_case = 1;
	if (machine->mode == X86EMUL_MODE_PROT64)
		native_enter();
	else
		native_enter_far();
	if (native.rsp_at_exit != native.rsp_saved)
		stats->bad_returns++;
	understand_trap(in);
}

int set_up(void)
{
	int fd = memfd_create("code", 0);

	if (fd < 0 || ftruncate(fd, CODE_SIZE))
		return -1;
	code_alias = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (code_alias == MAP_FAILED ||
	    mmap((void *)CODE, CODE_SIZE, PROT_READ | PROT_EXEC,
		 MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED ||
	    mmap((void *)DATA, DATA_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED)
		return -1;
	memset(code_alias, 0xcc, CODE_SIZE);
	catch_signals();
	syscall(SYS_arch_prctl, ARCH_SET_GS, GS_BASE);
	x86_emulate_init(&ctxt);
	ctxt.ops = &ops;
	ctxt.amd = amd;
	return 0;
}
