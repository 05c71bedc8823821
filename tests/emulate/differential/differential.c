// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random instructions with random state, run by the emulator and by the CPU this
 * stands on: 64-bit code, 32-bit code through the compatibility segment, and
 * 16-bit code through segments of an LDT.  Registers, defined flags, memory and
 * faults are compared.
 *
 *	differential [cases for each mode] [seed] [processes] [what to plant]
 *	differential emit|check FILE 32-bit|16-bit CASES SEED
 *
 * The second form is for 32- and 16-bit code where the CPU at hand does not run it:
 * it writes the cases to a disk for another machine (cases.S), then compares what
 * that has said of them (see stand-in).
 *
 * A process that makes no progress is ended, and its case named.  A mode that this
 * machine has no way into is skipped.
 *
 * First come all one-byte and 0F opcodes with all ModRM bytes and the prefixes
 * that choose among them, then random ones.  A divergence is printed with a row
 * for regressions.h, whose cases are run before all others.
 *
 * A test's code lies in a sea of INT3, so that wherever it goes on, a signal
 * says where.
 */
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "batch.h"
#include "../tap.h"
#include "decode.h"
#include "x87_insns.h"

#define CODE ((u64)CASE_CODE)
#define CODE_SIZE ((u64)CASE_CODE_SIZE)
#define START (CODE + 0x2000)		/* of the instruction, or a little before a page's end */
#define DATA ((u64)CASE_DATA)
#define DATA_SIZE ((u64)CASE_DATA_SIZE)
#define GS_BASE (DATA + 0x800)
#define UNUSED_SELECTOR 0x3b		/* nothing is there in Linux's GDT */

/*
 * x87, SSE and AVX state is an XSAVE image of the standard form: the CPU takes it
 * from there, and a signal's frame holds one.
 */
#define XSAVE_BYTES CASE_MEDIA_BYTES
#define IMAGE_SW 2
#define IMAGE_TAGS 4
#define IMAGE_OPCODE 6
#define IMAGE_IP 8
#define IMAGE_DP 16
#define IMAGE_MXCSR 24
#define IMAGE_ST(n) (32 + 16 * (n))
#define IMAGE_XMM(n) (160 + 16 * (n))
#define IMAGE_XSTATE_BV 512
#define IMAGE_YMM_HIGH(n) (576 + 16 * (n))

struct state {
	u64 regs[16];
	u64 rip;
	u64 rflags;
	u8 media[XSAVE_BYTES] __attribute__((aligned(64)));
};

/* A case as regressions.h has it: memory and media registers by pattern. */
struct regression {
	u8 mode;
	u8 insn[15];
	u64 rip, rflags, pattern;
	u64 regs[16];
};

/* What a process is at, where the one that watches it sees it. */
struct progress {
	unsigned long count;		/* grows with each case */
	const char *mode;
	const char *list;		/* which the case is of */
	unsigned long index;
	struct regression row;
	int signal;			/* that came outside of a case */
	u64 signal_rip;
};

struct stats {
	unsigned long compared, lacking, faults, skipped, diverged, bad_returns, unanswered;
	unsigned char rows[8][256];		/* map; 4 + map by VEX */
};

static struct progress *progress;
static struct stats *stats;

#define EXIT_SIGNAL 4

static void end_by_signal(int sig, u64 rip)
{
	progress->signal = sig;
	progress->signal_rip = rip;
	_exit(EXIT_SIGNAL);
}

struct outcome {
	struct state s;
	u8 data[DATA_SIZE];
	int trap;		/* 3: went on; else the vector */
	u32 error;
	u64 cr2;
};

static struct outcome cpu, emu;
static u8 pattern[DATA_SIZE];
static u8 *code_alias;
static bool amd;

/* ---- randomness ---- */

static u64 seed;

static u64 rnd(void)
{
	/* splitmix64 */
	u64 z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

/* Of memory and media registers: their own, so that a case can be named by it. */
static u64 pattern_seed;

static bool chance(unsigned int one_in)
{
	return rnd() % one_in == 0;
}

/* ---- the CPU's side ---- */

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
void native_enter_far(void);
void native_entered_far(void);
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

/* ---- modes ---- */

struct machine {
	const char *name;
	enum x86emul_mode mode;
	u16 cs, ds, ss;
	u64 code_base, data_base;
	u32 data_limit;
	unsigned int addr_bits;
};

static struct machine machines[] = {
	{ "64-bit", X86EMUL_MODE_PROT64, 0x33, 0, 0x2b, 0, 0, 0xffffffff, 64 },
	{ "32-bit", X86EMUL_MODE_PROT32, 0x23, 0x2b, 0x2b, 0, 0, 0xffffffff, 32 },
	{ "16-bit", X86EMUL_MODE_PROT16, 0x07, 0x0f, 0x0f, CODE, DATA, CASE_DATA_LIMIT, 16 },
};

static const struct machine *machine;

static int make_ldt(void)
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

/* ---- the emulator's side ---- */

static struct x86_emulate_ctxt ctxt;

/* The first of bytes that cannot be had; code can be read, data written too. */
static int check_access(u64 addr, unsigned int bytes, bool write)
{
	unsigned int i;

	for (i = 0; i < bytes; i++) {
		u64 a = addr + i;
		u32 code = 4 | (write ? 2 : 0);

		if (a - DATA < DATA_SIZE)
			continue;
		/* Linux does not let a program know what the kernel has mapped. */
		if (a >= 0x7ffffffff000)
			code |= 1;
		if (a - CODE < CODE_SIZE) {
			if (!write)
				continue;
			code |= 1;
		}
		return x86_emulate_page_fault(&ctxt, a, code);
	}
	return X86EMUL_CONTINUE;
}

static int op_read(struct x86_emulate_ctxt *c, u64 linear, void *val,
		   unsigned int bytes, unsigned int access)
{
	int rc = check_access(linear, bytes, access & X86EMUL_ACC_WRITE);

	(void)c;
	if (rc == X86EMUL_CONTINUE)
		memcpy(val, (void *)(uintptr_t)linear, bytes);
	return rc;
}

static int op_write(struct x86_emulate_ctxt *c, u64 linear, const void *val,
		    unsigned int bytes, unsigned int access)
{
	int rc = check_access(linear, bytes, true);

	(void)c;
	(void)access;
	if (rc == X86EMUL_CONTINUE)
		memcpy((void *)(uintptr_t)linear, val, bytes);
	return rc;
}

static int op_probe(struct x86_emulate_ctxt *c, u64 linear, unsigned int bytes,
		    unsigned int access)
{
	(void)c;
	return check_access(linear, bytes, access & X86EMUL_ACC_WRITE);
}

static int op_fetch(struct x86_emulate_ctxt *c, u64 linear, void *val,
		    unsigned int bytes)
{
	(void)c;
	if (linear - CODE >= CODE_SIZE || linear + bytes - CODE > CODE_SIZE)
		return x86_emulate_page_fault(&ctxt, linear, 0x14);
	memcpy(val, (void *)(uintptr_t)linear, bytes);
	return X86EMUL_CONTINUE;
}

static int op_cmpxchg(struct x86_emulate_ctxt *c, u64 linear, const void *old,
		      const void *new, unsigned int bytes)
{
	int rc = check_access(linear, bytes, true);

	(void)c;
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (memcmp((void *)(uintptr_t)linear, old, bytes))
		return X86EMUL_RETRY_INSTR;
	memcpy((void *)(uintptr_t)linear, new, bytes);
	return X86EMUL_CONTINUE;
}

static void op_get_segment(struct x86_emulate_ctxt *c, unsigned int seg,
			   struct x86_seg *s)
{
	(void)c;
	memset(s, 0, sizeof(*s));
	s->s = s->present = 1;
	s->dpl = 3;
	s->type = 3;
	s->limit = machine->data_limit;
	s->base = machine->data_base;
	s->db = machine->mode != X86EMUL_MODE_PROT16;
	switch (seg) {
	case X86_SEG_CS:
		s->type = 0xb;
		s->selector = machine->cs;
		s->base = machine->code_base;
		s->limit = machine->code_base ? CODE_SIZE - 1 : 0xffffffff;
		break;
	case X86_SEG_SS:
		s->selector = machine->ss;
		break;
	case X86_SEG_DS:
	case X86_SEG_ES:
		s->selector = machine->ds;
		break;
	case X86_SEG_GS:
		s->selector = 0;
		s->base = GS_BASE;
		s->unusable = machine->mode != X86EMUL_MODE_PROT64;
		break;
	default:
		s->unusable = 1;
		break;
	}
}

static unsigned int op_get_cpl(struct x86_emulate_ctxt *c)
{
	(void)c;
	return 3;
}

static u64 op_get_cr(struct x86_emulate_ctxt *c, unsigned int nr)
{
	(void)c;
	return nr == 0 ? 0x80050033 : nr == 4 ? 0x40200 : 0;
}

static int op_get_msr(struct x86_emulate_ctxt *c, u32 msr, u64 *val)
{
	(void)c;
	(void)msr;
	*val = 0xd01;
	return X86EMUL_CONTINUE;
}

static int op_get_vec(struct x86_emulate_ctxt *c, unsigned int nr, void *val,
		      unsigned int bytes)
{
	(void)c;
	memcpy(val, emu.s.media + IMAGE_XMM(nr), 16);
	if (bytes == 32)
		memcpy((u8 *)val + 16, emu.s.media + IMAGE_YMM_HIGH(nr), 16);
	return X86EMUL_CONTINUE;
}

static int op_put_vec(struct x86_emulate_ctxt *c, unsigned int nr, const void *val,
		      unsigned int bytes)
{
	(void)c;
	memcpy(emu.s.media + IMAGE_XMM(nr), val, 16);
	if (bytes == 32)
		memcpy(emu.s.media + IMAGE_YMM_HIGH(nr), (const u8 *)val + 16, 16);
	return X86EMUL_CONTINUE;
}

/* An MMX register is a physical one; all become valid, and the top is 0. */
static u8 *mmx_image(unsigned int nr)
{
	unsigned int top = emu.s.media[IMAGE_SW + 1] >> 3 & 7, i;
	u8 st[8][16];

	for (i = 0; i < 8; i++)
		memcpy(st[i], emu.s.media + IMAGE_ST((i - top) & 7), 16);
	memcpy(emu.s.media + IMAGE_ST(0), st, sizeof(st));
	emu.s.media[IMAGE_SW + 1] &= ~0x38;
	emu.s.media[IMAGE_TAGS] = 0xff;
	return emu.s.media + IMAGE_ST(nr);
}

static int op_get_mmx(struct x86_emulate_ctxt *c, unsigned int nr, u64 *val)
{
	(void)c;
	memcpy(val, mmx_image(nr), 8);
	return X86EMUL_CONTINUE;
}

static int op_put_mmx(struct x86_emulate_ctxt *c, unsigned int nr, u64 val)
{
	u8 *st = mmx_image(nr);

	(void)c;
	memcpy(st, &val, 8);
	memset(st + 8, 0xff, 2);
	return X86EMUL_CONTINUE;
}

static int op_x87(struct x86_emulate_ctxt *c, u8 opcode, u8 modrm, void *mem)
{
	static struct { u8 bytes[XSAVE_BYTES]; } image __attribute__((aligned(64)));

	/* By XRSTOR: FXRSTOR need not load where the last instruction was. */
	memcpy(&image, emu.s.media, XSAVE_BYTES);
	__asm__ volatile("xrstor64 %0" : : "m"(image), "a"(1), "d"(0));
	if (mem)
		x87_with_memory(opcode, modrm, mem);
	else
		c->rflags = (c->rflags & ~(u64)X87_STATUS_FLAGS) |
			    x87_with_registers(opcode, modrm, c->rflags);
	__asm__ volatile("fxsave64 %0\n fninit" : "=m"(image));
	/* Where the instruction was is compared nowhere. */
	memcpy(emu.s.media, &image, 5);
	memcpy(emu.s.media + IMAGE_ST(0), image.bytes + IMAGE_ST(0), 128);
	return X86EMUL_CONTINUE;
}

static int op_fxsave(struct x86_emulate_ctxt *c, void *image, bool rex_w)
{
	static struct { u8 bytes[XSAVE_BYTES]; } state __attribute__((aligned(64)));
	static struct { u8 bytes[512]; } __attribute__((aligned(64))) mine, its;

	(void)c;
	(void)rex_w;
	/* Nor need FXSAVE store that. */
	memcpy(&state, emu.s.media, XSAVE_BYTES);
	__asm__ volatile("fxsave64 %0\n xrstor64 %2\n fxsave64 %1\n fxrstor64 %0"
			 : "+m"(mine), "=m"(its) : "m"(state), "a"(3), "d"(0));
	memcpy(image, &its, 512);
	return X86EMUL_CONTINUE;
}

static int op_fxrstor(struct x86_emulate_ctxt *c, const void *image, bool rex_w)
{
	static struct { u8 bytes[512]; } __attribute__((aligned(64))) mine, its;

	(void)c;
	(void)rex_w;
	/* Reserved bits do not come back, and the status word's summaries follow. */
	memcpy(&its, image, 512);
	__asm__ volatile("fxsave64 %0\n fxrstor64 %1\n fxsave64 %1\n fxrstor64 %0"
			 : "+m"(mine), "+m"(its));
	memcpy(emu.s.media, &its, 416);
	emu.s.media[5] = 0;
	return X86EMUL_CONTINUE;
}

static u64 xcr0;

/* XCR1 is what XGETBV has of the state in use, whatever that is just then. */
static int op_get_xcr(struct x86_emulate_ctxt *c, u32 nr, u64 *val)
{
	*val = xcr0;
	if (nr > 1)
		return x86_emulate_fault_code(c, EXC_GP, 0);
	return nr ? X86EMUL_UNHANDLEABLE : X86EMUL_CONTINUE;
}

static int op_set_xcr(struct x86_emulate_ctxt *c, u32 nr, u64 val)
{
	(void)c;
	(void)nr;
	(void)val;
	return X86EMUL_UNHANDLEABLE;
}

/* Taken from the CPU afterwards: see same_random(). */
static bool op_random(struct x86_emulate_ctxt *c, bool from_seed, u64 *val)
{
	(void)c;
	(void)from_seed;
	*val = 0;
	return true;
}

/* What of it the CPU has that this stands on. */
static bool features[X86EMUL_NR_FEATS];

static bool op_has_feature(struct x86_emulate_ctxt *c, enum x86emul_feature f)
{
	(void)c;
	return features[f];
}

static const struct x86_emulate_ops ops = {
	.read = op_read,
	.write = op_write,
	.probe = op_probe,
	.fetch = op_fetch,
	.cmpxchg = op_cmpxchg,
	.get_segment = op_get_segment,
	.get_cpl = op_get_cpl,
	.get_cr = op_get_cr,
	.get_msr = op_get_msr,
	.get_vec = op_get_vec,
	.put_vec = op_put_vec,
	.get_mmx = op_get_mmx,
	.put_mmx = op_put_mmx,
	.x87 = op_x87,
	.fxsave = op_fxsave,
	.fxrstor = op_fxrstor,
	.get_xcr = op_get_xcr,
	.set_xcr = op_set_xcr,
	.random = op_random,
	.has_feature = op_has_feature,
};

/* ---- one case ---- */

static u8 insn[X86_MAX_INSN_LEN + 1];
static u64 start_rip;

/* What must not run here: it leaves the process, or depends on more than we know. */
static bool is_dangerous(void)
{
	static int (*const execs[])(struct x86_emulate_ctxt *) = {
		em_ret_far, em_iret, em_far_mem, em_far, em_load_far, em_mov_to_seg, em_pop_seg, em_syscall,
		em_sysret, em_sysenter, em_sysexit, em_int, em_int1, em_int3, em_into,
		em_rdtsc, em_rdtscp, em_rdpid, em_rdpmc, em_cpuid,
		em_lar, em_lsl, em_verr, em_verw, em_store_selector, em_store_dtable,
		em_smsw, em_rdbase, em_wrbase, em_load_system_segment,
	};
	unsigned int i;

	for (i = 0; i < sizeof(execs) / sizeof(execs[0]); i++)
		if (ctxt.d.row->exec == execs[i])
			return true;
	return false;
}

#define IS(fn) (exec == em_##fn)

/* Flags that the manual leaves undefined for what was just decoded. */
static u32 undefined_flags(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	const struct x86_operand *op = ctxt.d.op;
	unsigned int bits = op[0].bytes * 8, n;

	if (IS(and) || IS(or) || IS(xor) || IS(test))
		return X86_FLAG_AF;
	if (IS(mul) || IS(imul) || IS(imul_2) || IS(imul_3))
		return X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_AF | X86_FLAG_PF;
	if (IS(div) || IS(idiv))
		return X86_FLAGS_STATUS;
	if (IS(bit))
		return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
	if (IS(bsf) || IS(bsr))
		return X86_FLAGS_STATUS & ~X86_FLAG_ZF;
	if (IS(tzcnt) || IS(lzcnt))
		return X86_FLAGS_STATUS & ~(X86_FLAG_ZF | X86_FLAG_CF);
	if (IS(aaa))
		return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_PF;
	if (IS(daa))
		return X86_FLAG_OF;
	if (IS(aam) || IS(aad))
		return X86_FLAG_OF | X86_FLAG_AF | X86_FLAG_CF;
	if (IS(shld) || IS(shrd)) {
		n = op[2].val & (bits == 64 ? 63 : 31);
		return (n ? X86_FLAG_AF : 0) | (n > 1 ? X86_FLAG_OF : 0);
	}
	if (IS(rol) || IS(ror) || IS(rcl) || IS(rcr)) {
		n = op[1].val & (bits == 64 ? 63 : 31);
		return n > 1 ? X86_FLAG_OF : 0;
	}
	if (IS(andn) || IS(blsr) || IS(blsmsk) || IS(blsi) || IS(bzhi))
		return X86_FLAG_AF | X86_FLAG_PF;
	if (IS(bextr))
		return X86_FLAG_AF | X86_FLAG_PF | X86_FLAG_SF;
	if (IS(shl) || IS(shr) || IS(sar)) {
		n = op[1].val & (bits == 64 ? 63 : 31);
		return (n ? X86_FLAG_AF : 0) | (n > 1 ? X86_FLAG_OF : 0) |
		       (n > bits && !IS(sar) ? X86_FLAG_CF : 0);
	}
	return 0;
}

static bool undefined_result(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	const struct x86_operand *op = ctxt.d.op;

	if (IS(bswap) && op[0].bytes == 2)
		return true;
	return (IS(shld) || IS(shrd)) && op[0].bytes == 2 && (op[2].val & 31) > 16;
}

/* Returns an X86EMUL code; the outcome is in emu. */
static int run_emulator(const struct state *in)
{
	unsigned int guard = 0;
	int rc;

	emu.s = *in;
	memcpy(ctxt.regs, in->regs, sizeof(ctxt.regs));
	ctxt.rip = in->rip;
	ctxt.rflags = in->rflags;
	ctxt.mode = machine->mode;
	ctxt.d.len = 0;
	rc = x86_decode_insn(&ctxt, NULL, 0);
	if (rc == X86EMUL_CONTINUE) {
		if (is_dangerous())
			return X86EMUL_UNHANDLEABLE;
		/* What follows must stop it: INT3 right behind. */
		memset(code_alias + (start_rip + machine->code_base - CODE) + ctxt.d.len,
		       0xcc, 16);
		do
			rc = x86_emulate_insn(&ctxt);
		while (rc == X86EMUL_CONTINUE && ctxt.more && ++guard < 100);
		if (ctxt.more)
			return X86EMUL_UNHANDLEABLE;
	}
	memcpy(emu.s.regs, ctxt.regs, sizeof(ctxt.regs));
	emu.s.rip = ctxt.rip;
	emu.s.rflags = ctxt.rflags;
	emu.trap = 3;
	emu.error = 0;
	emu.cr2 = 0;
	if (rc == X86EMUL_PROPAGATE_FAULT) {
		emu.trap = ctxt.exception.vector;
		emu.error = ctxt.exception.error_code;
		if (emu.trap == 14)
			emu.cr2 = ctxt.exception.address;
	}
	return rc;
}

/* What cpu has of the trap becomes what the emulator says of such an end. */
static void understand_trap(const struct state *in)
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

static void run_cpu(const struct state *in)
{
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

static u32 ignored_flags;

static bool same_media(void)
{
	const u8 *a = cpu.s.media, *b = emu.s.media;
	unsigned int i;

	for (i = 0; i < 8; i++)
		if (memcmp(a + IMAGE_ST(i), b + IMAGE_ST(i), 10))
			return false;
	return !memcmp(a, b, IMAGE_TAGS + 1) &&
	       !memcmp(a + IMAGE_MXCSR, b + IMAGE_MXCSR, 4) &&
	       !memcmp(a + IMAGE_XMM(0), b + IMAGE_XMM(0), 256) &&
	       !memcmp(a + IMAGE_YMM_HIGH(0), b + IMAGE_YMM_HIGH(0), 256);
}

static void print_row(const struct regression *r)
{
	unsigned int i;

	printf("# { %u, {", r->mode);
	for (i = 0; i < 15; i++)
		printf(" 0x%02x,", r->insn[i]);
	printf(" },\n#   0x%llx, 0x%llx, 0x%llx, {", (unsigned long long)r->rip,
	       (unsigned long long)r->rflags, (unsigned long long)r->pattern);
	for (i = 0; i < 16; i++)
		printf(" 0x%llx,", (unsigned long long)r->regs[i]);
	printf(" } },\n");
}

static void report_media(const struct state *in)
{
	unsigned int i;

	for (i = 0; i < XSAVE_BYTES; i += 16)
		if (memcmp(cpu.s.media + i, emu.s.media + i, 16))
			printf("#   media[%u]: was %016llx%016llx, cpu %016llx%016llx emulator %016llx%016llx\n",
			       i, *(const unsigned long long *)(in->media + i + 8),
			       *(const unsigned long long *)(in->media + i),
			       *(const unsigned long long *)(cpu.s.media + i + 8),
			       *(const unsigned long long *)(cpu.s.media + i),
			       *(const unsigned long long *)(emu.s.media + i + 8),
			       *(const unsigned long long *)(emu.s.media + i));
}

/* Only the CPU knows what it came to: the emulator's bits of it are made the same. */
static void same_random(void)
{
	const struct x86_operand *op = &ctxt.d.op[0];
	u64 mask = x86_mask(op->bytes), val = cpu.s.regs[op->reg] & mask;

	emu.s.regs[op->reg] = (emu.s.regs[op->reg] & ~mask) | val;
	if (!val)
		emu.s.rflags ^= (emu.s.rflags ^ cpu.s.rflags) & X86_FLAG_CF;
}

static bool same(void)
{
	u32 ignore = ignored_flags | X86_FLAG_RF;
	unsigned int i, n = machine->mode == X86EMUL_MODE_PROT64 ? 16 : 8;
	u64 mask = machine->mode == X86EMUL_MODE_PROT64 ? ~0ull : 0xffffffff;

	for (i = 0; i < n; i++)
		if ((cpu.s.regs[i] ^ emu.s.regs[i]) & mask)
			return false;
	if (cpu.trap != emu.trap || cpu.error != emu.error || cpu.cr2 != emu.cr2)
		return false;
	if (cpu.s.rip != emu.s.rip || ((cpu.s.rflags ^ emu.s.rflags) & ~(u64)ignore))
		return false;
	if (!same_media())
		return false;
	return !memcmp(cpu.data, emu.data, DATA_SIZE);
}

static void report(const struct state *in)
{
	static const char *const names[16] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	unsigned int i, shown = 0;

	printf("# %s:", machine->name);
	for (i = 0; i < 15; i++)
		printf(" %02x", insn[i]);
	printf(" (len %u)\n# trap %d/%d error %x/%x cr2 %llx/%llx (cpu/emulator)\n",
	       ctxt.d.len, cpu.trap, emu.trap, cpu.error, emu.error,
	       (unsigned long long)cpu.cr2, (unsigned long long)emu.cr2);
	for (i = 0; i < 16; i++)
		printf("%s%s=%llx%s", i % 8 ? " " : "#   ", names[i],
		       (unsigned long long)in->regs[i], i % 8 == 7 ? "\n" : "");
	for (i = 0; i < 16; i++)
		if (cpu.s.regs[i] != emu.s.regs[i])
			printf("#   %s: cpu %llx emulator %llx\n", names[i],
			       (unsigned long long)cpu.s.regs[i],
			       (unsigned long long)emu.s.regs[i]);
	printf("#   rip %llx/%llx/%llx flags %llx/%llx/%llx (in/cpu/emulator)\n",
	       (unsigned long long)in->rip, (unsigned long long)cpu.s.rip,
	       (unsigned long long)emu.s.rip, (unsigned long long)in->rflags,
	       (unsigned long long)cpu.s.rflags, (unsigned long long)emu.s.rflags);
	if (!same_media())
		report_media(in);
	for (i = 0; i < DATA_SIZE && shown < 8; i++)
		if (cpu.data[i] != emu.data[i]) {
			printf("#   data[%x]: was %02x, cpu %02x emulator %02x\n", i,
			       pattern[i], cpu.data[i], emu.data[i]);
			shown++;
		}
	print_row(&progress->row);
}

/* ---- generators ---- */

static u64 random_value(void)
{
	static const u64 edges[] = {
		0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
		0x80000000, 0xffffffff, 0x7fffffffffffffff, 0x8000000000000000,
		0xffffffffffffffff, 0x0000800000000000, 0x00007fffffffffff,
		0xffff800000000000, 0x99, 0x0a, 0xfffffffffffffff8,
	};

	switch (rnd() % 8) {
	case 0:
		return edges[rnd() % (sizeof(edges) / sizeof(edges[0]))];
	case 1:
		return rnd() % 300;
	case 2:
		return 0 - rnd() % 300;
	case 3:
	case 4:
	case 5:
		return DATA - machine->data_base + rnd() % (DATA_SIZE + 64) - 32;
	default:
		return rnd() >> (rnd() % 64);
	}
}

static void random_state(struct state *s)
{
	unsigned int i;

	for (i = 0; i < 16; i++)
		s->regs[i] = random_value();
	if (!chance(16))
		s->regs[X86_RSP] = DATA - machine->data_base + 0x400 + rnd() % 0x1000;
	if (!chance(4))
		s->regs[X86_RSP] &= ~7ull;
	if (!chance(4))
		s->regs[X86_RCX] = rnd() % 40;
	/* As FXRSTOR and aligned moves want it. */
	if (chance(8))
		for (i = X86_RDX; i < 16; i++)
			s->regs[i] &= ~15ull;
	if (machine->mode != X86EMUL_MODE_PROT64)
		for (i = 0; i < 16; i++)
			s->regs[i] = i < 8 ? (u32)s->regs[i] : 0;
	s->rflags = 0x202 | (rnd() & (X86_FLAGS_STATUS | X86_FLAG_DF));
	if (!chance(4))
		s->rflags &= ~(u64)X86_FLAG_DF;
	s->rip = start_rip;
}

static u32 mxcsr_mask;

/* What registers the pattern fills. */
static void media_state(struct state *s)
{
	const u8 *p = pattern + 0x100;
	u16 cw = 0x37f, sw = 0;
	unsigned int i;
	u64 bv = 7;

	memset(s->media, 0, sizeof(s->media));
	memcpy(s->media + IMAGE_ST(0), p, IMAGE_XMM(16) - IMAGE_ST(0));
	memcpy(s->media + IMAGE_YMM_HIGH(0), p + 0x200, 256);
	for (i = 0; i < 8; i++)
		memset(s->media + IMAGE_ST(i) + 10, 0, 6);
	if (machine->mode != X86EMUL_MODE_PROT64) {
		memset(s->media + IMAGE_XMM(8), 0, 128);
		memset(s->media + IMAGE_YMM_HIGH(8), 0, 128);
	}
	/* Sometimes exceptions are unmasked, or waiting, or the top is elsewhere. */
	if (p[0x300] < 64)
		cw = 0x40 | (p[0x301] >> 3 & 0x1f) | (p[0x308] & 0x20) | (p[0x302] >> 3 & 15) << 8;
	if (p[0x303] < 64)
		sw = p[0x304] >> 3 | (p[0x308] & 0x60) | (p[0x305] >> 3) << 8 | (p[0x309] & 0x60) << 8;
	if (p[0x303] >= 16)
		sw &= ~(0x3f & ~cw);
	if (sw & ~cw & 0x3f)
		sw |= 0x8080;
	memcpy(s->media, &cw, 2);
	memcpy(s->media + IMAGE_SW, &sw, 2);
	memcpy(s->media + IMAGE_IP, p + 0x310, 4);
	memcpy(s->media + IMAGE_DP, p + 0x318, 4);
	s->media[IMAGE_OPCODE] = p[0x314];
	s->media[IMAGE_OPCODE + 1] = p[0x315] & 7;
	s->media[IMAGE_TAGS] = p[0x306] < 64 ? 0xff : p[0x306] < 128 ? 0 : p[0x307];
	s->media[IMAGE_MXCSR] = 0x80;
	s->media[IMAGE_MXCSR + 1] = 0x1f;
	memcpy(s->media + IMAGE_MXCSR + 4, &mxcsr_mask, 4);
	memcpy(s->media + IMAGE_XSTATE_BV, &bv, 8);
}

/* Values that x87 makes something of: floating-point ones of middling size. */
static void tame_x87(void)
{
	unsigned int i, exponent;

	for (i = 0; i < 8; i++) {
		exponent = 0x3fff - 40 + rnd() % 80;
		if (chance(3))
			continue;
		pattern[0x100 + i * 16 + 7] |= 0x80;
		pattern[0x100 + i * 16 + 8] = exponent;
		pattern[0x100 + i * 16 + 9] = exponent >> 8 | (rnd() & 0x80);
	}
}

static const u8 choosing[] = { 0, 0x66, 0xf3, 0xf2, 0x48 };

#define ENUMERATED (sizeof(choosing) * 3 * 65536ul)

/* All of one-byte, 0F and 0F 38 opcode, ModRM and choosing prefix; returns the length. */
static unsigned int enumerated_insn(unsigned long nr)
{
	unsigned int n = 0, map = nr >> 16, which = map / 3;

	map %= 3;
	if (choosing[which] && !(choosing[which] == 0x48 &&
				 machine->mode != X86EMUL_MODE_PROT64))
		insn[n++] = choosing[which];
	if (map)
		insn[n++] = 0x0f;
	if (map == 2)
		insn[n++] = 0x38;
	insn[n++] = nr >> 8;
	insn[n++] = nr;
	return n;
}

/* Opcodes of VEX that are covered, in the maps from 1 on. */
static const u8 vex_opcodes[3][26] = {
	{ 0x10, 0x11, 0x12, 0x13, 0x16, 0x17, 0x28, 0x29, 0x2b, 0x6e, 0x6f, 0x77, 0x7e,
	  0x7f, 0xae, 0xd6, 0xe7, 0xf0, 0xf7 },
	{ 0x18, 0x19, 0x1a, 0x2a, 0x2c, 0x2d, 0x2e, 0x2f, 0x58, 0x59, 0x5a, 0x78, 0x79,
	  0x8c, 0x8e, 0xf2, 0xf3, 0xf3, 0xf5, 0xf5, 0xf5, 0xf6, 0xf7, 0xf7, 0xf7, 0xf7 },
	{ 0x19, 0x39, 0xf0 },
};

static unsigned int random_vex(unsigned int n)
{
	static const u8 counts[3] = { 19, 26, 3 };
	bool mode64 = machine->mode == X86EMUL_MODE_PROT64, two = chance(3);
	unsigned int map = two ? 0 : rnd() % 3;
	/* Often without other prefixes, without vvvv, and of 128 bits. */
	u8 last = rnd() & 3;

	if (!chance(8))
		n = 0;
	last |= (chance(2) ? 15 : rnd() & 15) << 3 | (chance(3) ? 4 : 0);
	if (two) {
		insn[n++] = 0xc5;
		insn[n++] = last | (mode64 ? rnd() & 0x80 : 0xc0);
	} else {
		insn[n++] = 0xc4;
		insn[n++] = (map + 1) | (mode64 ? rnd() & 0xe0 : 0xc0 | (rnd() & 0x20));
		insn[n++] = last | (rnd() & 0x80);
	}
	insn[n++] = chance(64) ? rnd() : vex_opcodes[map][rnd() % counts[map]];
	return n;
}

static unsigned int random_prefixes(void)
{
	unsigned int n = 0;

	if (chance(4))
		insn[n++] = 0x66;
	if (chance(6))
		insn[n++] = 0x67;
	if (chance(12))
		insn[n++] = chance(2) ? 0xf2 : 0xf3;
	if (chance(16))
		insn[n++] = 0xf0;
	if (chance(16))
		insn[n++] = 0x65;
	if (chance(24))
		insn[n++] = 0x26 | (rnd() & 0x18);
	if (machine->mode == X86EMUL_MODE_PROT64 && chance(2))
		insn[n++] = 0x40 | (rnd() & 15);
	switch (rnd() % 16) {
	case 0 ... 5:
		break;
	case 6 ... 12:
		insn[n++] = 0x0f;
		break;
	case 13:
		insn[n++] = 0x0f;
		insn[n++] = 0x38;
		insn[n++] = 0xf0 | (rnd() & 7);
		break;
	case 14:
		n = random_vex(n);
		break;
	default:
		insn[n++] = 0xd8 | (rnd() & 7);
		break;
	}
	return n;
}

static void random_insn(unsigned long nr)
{
	unsigned int n, i;

	n = nr < ENUMERATED ? enumerated_insn(nr) : random_prefixes();
	for (i = n; i < sizeof(insn); i++)
		insn[i] = rnd();
	/* After the opcode and ModRM, often a small displacement. */
	if (chance(2))
		for (i = n + 3; i < n + 6 && i < sizeof(insn); i++)
			insn[i] = 0;
	/* FS is the C library's. */
	for (i = 0; i < sizeof(insn); i++)
		if (insn[i] == 0x64)
			insn[i] = 0x65;
	insn[15] = 0xcc;
}

static void fill_pattern(u64 from)
{
	u64 saved = seed;
	unsigned int i;

	pattern_seed = seed = from;
	for (i = 0; i < DATA_SIZE; i += 8) {
		u64 val = rnd();

		memcpy(pattern + i, &val, 8);
	}
	/* Here and there, addresses for what returns and jumps. */
	for (i = 0; i < DATA_SIZE; i += 8 << rnd() % 6) {
		u64 val = random_value();

		if (chance(2))
			val = START - machine->code_base + rnd() % 64 + 16;
		memcpy(pattern + i, &val, 8);
	}
	tame_x87();
	/* In one of eight, all that may be FXRSTOR's MXCSR is good. */
	for (i = 8; i < DATA_SIZE && !(from & 7); i += 16)
		pattern[i + 2] = pattern[i + 3] = 0;
	/* POPF would take AC from the stack, and signal handlers would then fault. */
	for (i = 2; i < DATA_SIZE; i++)
		pattern[i] &= ~4;
	seed = saved;
}

/* Where the emulator sees nothing, this process may have its stack or libc. */
static bool mapped_here(u64 addr)
{
	unsigned char present;

	/* A stack grows to where it is touched. */
	if (addr >= 0x7ff000000000 && addr < 0x7ffffffff000)
		return true;
	return addr < 0x7ffffffff000 &&
	       mincore((void *)(addr & ~0xfffull), 1, &present) == 0;
}

static bool is_environment(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;

	return IS(fnstenv) || IS(fldenv);
}

static void note_case(const struct state *in, const char *list, unsigned long index)
{
	struct regression *r = &progress->row;

	r->mode = machine->mode;
	memcpy(r->insn, insn, 15);
	r->rip = in->rip;
	r->rflags = in->rflags;
	r->pattern = pattern_seed;
	memcpy(r->regs, in->regs, sizeof(r->regs));
	progress->mode = machine->name;
	progress->list = list;
	progress->index = index;
	progress->count++;
}

/* ---- another machine that stands in for the CPU ---- */

static enum { NOBODY, EMIT, CHECK } standing_in;
static struct batch batch;
static FILE *batch_answers;
static struct batch_result answer;

/* What that machine cannot be asked for: it has something else there than Linux. */
static bool is_beyond_stand_in(void)
{
	u64 rip = emu.s.rip + machine->code_base;

	/* MOVDIRI's opcode with a prefix that makes it none: Bochs goes on right behind it. */
	if (emu.trap == EXC_UD && ctxt.d.map == 2 && ctxt.d.opcode == 0xf9)
		return true;
	if (emu.trap == 14)
		return emu.cr2 - WAY_IN < 0x1000 + 64 || emu.cr2 - FIRMWARE < 0x400000 + 64;
	if (emu.trap != 3)
		return false;
	return rip - DATA < DATA_SIZE || rip - WAY_IN < 0x1000 || rip - FIRMWARE < 0x400000;
}

#define TOP_OF_4GIB 0xfffffe00		/* and less than the longest operand before it */

/* With a memory operand: x87's stores, environments and ten bytes. */
static bool bochs_differs_in_x87(void)
{
	const struct x86_decode *d = &ctxt.d;
	bool memory = d->modrm < 0xc0, fault = emu.trap >= 12 && emu.trap <= 14;

	if (d->map || d->opcode < 0xd8 || d->opcode > 0xdf)
		return false;
	/* With an exception unmasked it stores nothing, and does not look where to. */
	if (memory && fault && cpu.trap == 3 && (cpu.s.media[IMAGE_SW] & 0x80))
		return true;
	/* Where among its many accesses the fault is; C1 has been cleared by then. */
	if (memory && fault && cpu.trap == emu.trap && (is_environment() || d->op[0].bytes == 10))
		return true;
	/* Transcendental functions are what each maker makes them. */
	return !memory && d->opcode == 0xd9 &&
	       (d->modrm <= 0xf3 ? d->modrm >= 0xf0 : d->modrm == 0xf9 || d->modrm == 0xfb ||
		d->modrm >= 0xfe);
}

static bool has_64bit_vex(void)
{
	unsigned int i;

	/* Prefixes before it are not C4. */
	for (i = 0; i < 13; i++)
		if (insn[i] == 0xc4)
			return (insn[i + 2] & 0x80) || !(insn[i + 2] & 0x40);
	return false;
}

/*
 * Where Bochs 2.7 departs from the manual, or the manual leaves a choice.  All of
 * this is compared wherever a processor runs such code.
 */
static bool bochs_differs(void)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	const struct x86_decode *d = &ctxt.d;

	/* Of flat segments, an operand that wraps at 4 GiB is no limit's violation. */
	if ((emu.trap == 12 || emu.trap == 13) && cpu.trap == 14 && cpu.cr2 >= TOP_OF_4GIB)
		return true;
	/* ARPL's read is one for writing. */
	if (IS(arpl) && cpu.trap == 14 && emu.trap == 14 && cpu.error == (emu.error | 2))
		return true;
	/* Flags are not put back when a repeated comparison, CMPS or SCAS, faults. */
	if (IS(string) && (d->opcode & 0xf6) == 0xa6 && d->rep && cpu.trap == emu.trap && emu.trap != 3)
		return true;
	/* A near call pushes before it looks at CS's limit. */
	if ((IS(call_rel) || IS(call_abs)) && emu.trap == 13 && (cpu.trap == 12 || cpu.trap == 13))
		return true;
	/* VEX.W and VEX.vvvv's highest bit, which count in 64-bit code only. */
	if (d->vex && has_64bit_vex())
		return true;
	/* FXRSTOR's image may be looked at from its end. */
	if ((IS(fxsave) || IS(fxrstor)) && cpu.trap == 14 && emu.trap == 14 &&
	    cpu.cr2 - emu.cr2 + 512 < 1024)
		return true;
	/* Masked moves look at their elements in another order. */
	if (d->vex && d->map == 2 && ((d->opcode & 0xfc) == 0x2c || (d->opcode & 0xfd) == 0x8c) &&
	    cpu.trap == 14 && emu.trap == 14 && cpu.cr2 - emu.cr2 + 32 < 64)
		return true;
	/* ADOX's carry is taken for an overflow. */
	if (IS(adx) && d->rep && !((cpu.s.rflags ^ emu.s.rflags) & ~(u64)(X86_FLAG_OF | X86_FLAG_RF)))
		return true;
	return bochs_differs_in_x87();
}

/* PUSH of a segment register may write 16 bits of 32. */
static void same_push_of_segment(void)
{
	u64 sp = emu.s.regs[X86_RSP] & (machine->mode == X86EMUL_MODE_PROT16 ? 0xffff : 0xffffffff);
	u64 at = sp + machine->data_base - DATA + 2;

	if (ctxt.d.row->exec == em_push_seg && ctxt.d.op_bytes == 4 && emu.trap == 3 &&
	    at < DATA_SIZE - 1)
		memcpy(emu.data + at, cpu.data + at, 2);
}

/* An empty source and a full destination at once: C1 says one or the other. */
static void same_stack_fault(void)
{
	u8 *a = emu.s.media + IMAGE_SW, *b = cpu.s.media + IMAGE_SW;

	if ((a[0] & b[0] & 0x40) && (a[1] ^ b[1]) == 2)
		a[1] ^= 2;
}

static bool emit(const struct state *in)
{
	struct batch_case c = { .eip = in->rip, .eflags = in->rflags };
	unsigned int i;

	c.code_at = in->rip + machine->code_base - CODE;
	memcpy(c.code, code_alias + c.code_at, sizeof(c.code));
	for (i = 0; i < 8; i++)
		c.regs[i] = in->regs[i];
	if (!batch_add(&batch, machine->mode == X86EMUL_MODE_PROT16, pattern, in->media, &c))
		exit(2);
	stats->compared++;
	return false;
}

/* What that machine says of the same case; false: it says no more. */
static bool stand_in(const struct state *in)
{
	unsigned int i;

	if (standing_in == EMIT)
		return emit(in);
	if (!batch_answers || !batch_next(batch_answers, &answer)) {
		stats->unanswered++;
		return false;
	}
	cpu.s = *in;
	for (i = 0; i < 8; i++)
		cpu.s.regs[i] = answer.regs[i];
	cpu.s.rip = answer.eip;
	cpu.s.rflags = answer.eflags;
	cpu.trap = answer.trap;
	cpu.error = answer.error;
	cpu.cr2 = answer.cr2;
	memcpy(cpu.data, pattern, DATA_SIZE);
	for (i = 0; i < answer.count; i++) {
		u32 at = answer.changed[i].nr * 4;

		if (at < DATA_SIZE)
			memcpy(cpu.data + at, &answer.changed[i].val, 4);
		else if (at - DATA_SIZE < XSAVE_BYTES)
			memcpy(cpu.s.media + (at - DATA_SIZE), &answer.changed[i].val, 4);
	}
	understand_trap(in);
	return true;
}

/* The case in insn, in and start_rip, with memory from the pattern. */
static void one_case(struct state *in, unsigned int tries)
{
	unsigned int len;
	int rc;

	media_state(in);
	memset(code_alias + 0x1fc0, 0xcc, 0x100);
	memcpy(code_alias + (start_rip + machine->code_base - CODE), insn, 15);
	memcpy((void *)DATA, pattern, DATA_SIZE);
	rc = run_emulator(in);
	memcpy(emu.data, (void *)DATA, DATA_SIZE);
	if (rc == X86EMUL_UNHANDLEABLE) {
		stats->lacking++;
		return;
	}
	len = rc == X86EMUL_CONTINUE || ctxt.d.len ? ctxt.d.len : 0;
	if (rc == X86EMUL_CONTINUE) {
		/* Into itself: it would not end. */
		if (emu.s.rip - start_rip < len || undefined_result()) {
			stats->skipped++;
			return;
		}
		/* Jumping to outside of the sea of INT3 must fault at once. */
		if (emu.s.rip + machine->code_base >= 0x12000000 &&
		    emu.s.rip - start_rip > 64 && emu.s.rip < 0x7ffffffff000) {
			stats->skipped++;
			return;
		}
	}
	/* The CPU at hand leaves what POPA had popped before the fault. */
	if (rc != X86EMUL_CONTINUE && ctxt.d.len && ctxt.d.row->exec == em_popa) {
		stats->skipped++;
		return;
	}
	/* The CPU at hand takes LOCK VERW for VERW; we hold with the manual. */
	if (ctxt.d.lock && ctxt.d.map == 1 && ctxt.d.opcode == 0) {
		stats->skipped++;
		return;
	}
	/* EFER.SVME is set where there are virtual machines in virtual machines. */
	if (ctxt.d.map == 1 && ctxt.d.opcode == 1 && ctxt.d.modrm >= 0xd8 &&
	    ctxt.d.modrm <= 0xdf) {
		stats->skipped++;
		return;
	}
	/* Ten bytes that wrap at 4 GiB: the CPU at hand looks at eight of them first. */
	if (rc != X86EMUL_CONTINUE && ctxt.d.len && ctxt.d.op[0].bytes == 10 &&
	    emu.trap != 14) {
		stats->skipped++;
		return;
	}
	/* In which order FXSAVE's microcode looks at its image's ends and alignment. */
	if (rc != X86EMUL_CONTINUE && (emu.trap == 12 || emu.trap == 13) && ctxt.d.len &&
	    (ctxt.d.row->exec == em_fxsave || ctxt.d.row->exec == em_fxrstor)) {
		stats->skipped++;
		return;
	}
	/* x87's environment is many accesses to the CPU, and one to us. */
	if (rc != X86EMUL_CONTINUE && emu.trap != 14 && ctxt.d.len && is_environment() &&
	    (u32)(ctxt.d.ea + 107) < (u32)ctxt.d.ea) {
		stats->skipped++;
		return;
	}
	if (emu.trap == 14 && (mapped_here(emu.cr2) || mapped_here(emu.cr2 + 63))) {
		stats->skipped++;
		return;
	}
	ignored_flags = rc == X86EMUL_CONTINUE ? undefined_flags() : 0;
	if (standing_in) {
		if (is_beyond_stand_in()) {
			stats->skipped++;
			return;
		}
		if (!stand_in(in))
			return;
	} else {
		memcpy((void *)DATA, pattern, DATA_SIZE);
		run_cpu(in);
		memcpy(cpu.data, (void *)DATA, DATA_SIZE);
	}
	if (rc == X86EMUL_CONTINUE &&
	    ctxt.d.row->exec == em_random)
		same_random();
	/*
	 * Where the last x87 instruction was need not outlive a context switch, on
	 * either side.
	 */
	if (tries && is_environment() && !same()) {
		one_case(in, tries - 1);
		return;
	}
	if (standing_in) {
		same_push_of_segment();
		same_stack_fault();
	}
	if (standing_in && ctxt.d.len && !same() && bochs_differs()) {
		stats->skipped++;
		return;
	}
	stats->compared++;
	stats->faults += rc != X86EMUL_CONTINUE;
	/* VEX has no other maps. */
	if (!ctxt.d.vex || (ctxt.d.map && ctxt.d.map < 4))
		stats->rows[(ctxt.d.map & 3) | (ctxt.d.vex ? 4 : 0)][ctxt.d.opcode] = 1;
	if (same())
		return;
	if (stats->diverged++ < 10)
		report(in);
}

static const struct regression regressions[] = {
#include "regressions.h"
};

static void run_regressions(void)
{
	struct state in;
	unsigned int i;

	for (i = 0; i < sizeof(regressions) / sizeof(regressions[0]); i++) {
		const struct regression *r = &regressions[i];

		if (r->mode != machine->mode)
			continue;
		memset(&in, 0, sizeof(in));
		memcpy(in.regs, r->regs, sizeof(in.regs));
		memcpy(insn, r->insn, 15);
		in.rflags = r->rflags;
		in.rip = start_rip = r->rip;
		fill_pattern(r->pattern);
		note_case(&in, "regression", i);
		one_case(&in, standing_in ? 0 : 3);
	}
}

/* For tests of this program itself: what goes wrong in the first process, and where. */
#define PLANT_AT 100

static const char *planted = "";

static bool is_planted(const char *what)
{
	return strstr(planted, what);
}

static void run_planted(const struct state *in)
{
	if (is_planted("hang")) {
		insn[0] = 0xeb;		/* JMP to itself */
		insn[1] = 0xfe;
		note_case(in, "case", PLANT_AT);
		memcpy(code_alias + (start_rip + machine->code_base - CODE), insn, 15);
		run_cpu(in);
	}
	if (is_planted("signal"))
		raise(SIGSEGV);
}

static void run_cases(unsigned long cases, unsigned int worker, unsigned int workers)
{
	unsigned long n, enumerated = worker;
	static struct state in;

	run_regressions();
	for (n = 0; n < cases; n++) {
		if (n % 64 == 0) {
			fill_pattern(rnd());
			/* At a page's end every few rounds. */
			start_rip = START - machine->code_base - (chance(4) ? rnd() % 16 : 0);
		}
		random_insn(enumerated);
		enumerated += workers;
		random_state(&in);
		note_case(&in, "case", n);
		if (n == PLANT_AT && worker == 0)
			run_planted(&in);
		one_case(&in, standing_in ? 0 : 3);
	}
}

#define MODES 3
#define MAX_WORKERS 16

/* Where all processes see it. */
static struct {
	struct progress progress[MAX_WORKERS];
	struct stats stats[MODES][MAX_WORKERS];
	struct {
		bool entered;
		char why_not[160];
	} modes[MODES];
} *shared;

static int set_up(void)
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

/* A hypervisor may hide from CPUID what the CPU executes all the same. */
static bool cpu_has(const char *bytes, unsigned int n)
{
	static struct state in;

	machine = &machines[0];
	in.rip = START;
	in.rflags = 0x202;
	in.regs[X86_RAX] = in.regs[X86_RSP] = DATA;
	fill_pattern(1);
	media_state(&in);
	memcpy(code_alias + (START - CODE), bytes, n);
	run_cpu(&in);
	memset(code_alias, 0xcc, CODE_SIZE);
	return cpu.trap != EXC_UD;
}

/* Something of each, with RAX as the address; no #UD: it is there. */
static const struct {
	u8 feature, len;
	const char *bytes;
} tried[] = {
	{ X86EMUL_FEAT_MOVDIRI, 4, "\x0f\x38\xf9\x00" },
	{ X86EMUL_FEAT_MOVDIR64B, 5, "\x66\x0f\x38\xf8\x00" },
	{ X86EMUL_FEAT_RDRAND, 3, "\x0f\xc7\xf0" },
	{ X86EMUL_FEAT_RDSEED, 3, "\x0f\xc7\xf8" },
	{ X86EMUL_FEAT_RDPID, 4, "\xf3\x0f\xc7\xf8" },
	{ X86EMUL_FEAT_INVPCID, 5, "\x66\x0f\x38\x82\x00" },
	{ X86EMUL_FEAT_CLFLUSHOPT, 4, "\x66\x0f\xae\x38" },
	{ X86EMUL_FEAT_CLWB, 4, "\x66\x0f\xae\x30" },
	{ X86EMUL_FEAT_CLZERO, 3, "\x0f\x01\xfc" },
	{ X86EMUL_FEAT_SERIALIZE, 3, "\x0f\x01\xe8" },
	{ X86EMUL_FEAT_RTM, 3, "\x0f\x01\xd6" },
	{ X86EMUL_FEAT_CMPCCXADD, 5, "\xc4\xe2\x71\xe0\x00" },
	{ X86EMUL_FEAT_3DNOW, 2, "\x0f\x0e" },
};

/*
 * Is there a way into machines[i]?  Not into 32-bit code where the kernel has been
 * told to do without, nor into 16-bit code where it has no modify_ldt.
 */
static void try_mode(unsigned int i)
{
	u64 far = (u64)native_enter_far, far_end = (u64)native_entered_far;
	char *why = shared->modes[i].why_not;
	static struct state in;

	machine = &machines[i];
	progress->mode = machine->name;
	progress->list = "trying to enter";
	progress->count++;
	if (is_planted(machine->name))
		machines[i].cs = UNUSED_SELECTOR;
	if (machine->mode == X86EMUL_MODE_PROT16 && make_ldt()) {
		snprintf(why, sizeof(shared->modes[i].why_not), "this kernel has no modify_ldt");
		return;
	}
	in.rip = START - machine->code_base;
	in.rflags = 0x202;
	in.regs[X86_RSP] = DATA - machine->data_base + 0x400;
	fill_pattern(1);
	media_state(&in);
	code_alias[START - CODE] = 0x90;
	run_cpu(&in);
	memset(code_alias, 0xcc, CODE_SIZE);
	if (cpu.trap == 3 && cpu.s.rip == in.rip + 1)
		shared->modes[i].entered = true;
	else if (machine->mode != X86EMUL_MODE_PROT64 && cpu.s.rip - far < far_end - far)
		snprintf(why, sizeof(shared->modes[i].why_not),
			 "this kernel lets no program run it: exception %d, error code %x on the way in",
			 cpu.trap, cpu.error);
	else
		printf("# %s: exception %d, error code %x at %llx from the first instruction\n",
		       machine->name, cpu.trap, cpu.error, (unsigned long long)cpu.s.rip);
}

static int try_modes(void)
{
	unsigned int i;

	progress = &shared->progress[0];
	stats = &shared->stats[0][0];
	if (set_up())
		return 2;
	for (i = 0; i < MODES; i++)
		try_mode(i);
	return 0;
}

static int work(unsigned long cases, unsigned int worker, unsigned int workers)
{
	unsigned int i;

	progress = &shared->progress[worker];
	stats = &shared->stats[0][worker];
	if (set_up())
		return 2;
	progress->mode = machines[0].name;
	progress->list = "looking for features";
	for (i = 0; i < sizeof(tried) / sizeof(tried[0]); i++) {
		progress->count++;
		features[tried[i].feature] = cpu_has(tried[i].bytes, tried[i].len);
	}
	seed += (u64)worker << 32;
	for (i = 0; i < MODES; i++) {
		if (!shared->modes[i].entered)
			continue;
		machine = &machines[i];
		if (machine->mode == X86EMUL_MODE_PROT16 && make_ldt())
			return 3;
		stats = &shared->stats[i][worker];
		run_cases(cases / workers, worker, workers);
	}
	return 0;
}

/* ---- the process that watches the others ---- */

/* Processor time counts, not time: the machine may be busy with something else. */
#define STUCK_CPU_SECONDS 5
#define STUCK_SECONDS 300

struct watched {
	pid_t pid;
	unsigned long count;
	double cpu, since;
};

static double seconds(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static double cpu_seconds(pid_t pid)
{
	clockid_t clock;

	return clock_getcpuclockid(pid, &clock) ? 0 : seconds(clock);
}

static bool is_stuck(struct watched *w, const struct progress *p)
{
	double cpu = cpu_seconds(w->pid), now = seconds(CLOCK_MONOTONIC);
	unsigned long count = __atomic_load_n(&p->count, __ATOMIC_RELAXED);

	if (count != w->count) {
		w->count = count;
		w->cpu = cpu;
		w->since = now;
	}
	return cpu - w->cpu > STUCK_CPU_SECONDS || now - w->since > STUCK_SECONDS;
}

static void name_case(const struct progress *p, unsigned int worker, const char *what)
{
	unsigned int i;

	printf("# process %u %s: seed %llu, %s, %s %lu:", worker, what,
	       (unsigned long long)seed, p->mode ? p->mode : "not begun",
	       p->list ? p->list : "", p->index);
	for (i = 0; i < 15; i++)
		printf(" %02x", p->row.insn[i]);
	printf("\n");
	print_row(&p->row);
}

static pid_t start(int (*fn)(void *), void *arg)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	/* Whatever ends the parent, and however, ends its children. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(2);
	exit(fn(arg));		/* not _exit(): gcov has its say */
}

/* Until all have ended, by themselves or from here; returns how many did not well. */
static unsigned int watch(struct watched *w, unsigned int n)
{
	unsigned int i, left = n, broken = 0;
	char what[80];
	int status;

	while (left) {
		usleep(20000);
		for (i = 0; i < n; i++) {
			if (w[i].pid <= 0)
				continue;
			if (waitpid(w[i].pid, &status, WNOHANG) == 0) {
				if (!is_stuck(&w[i], &shared->progress[i]))
					continue;
				name_case(&shared->progress[i], i, "makes no progress and is ended");
				kill(w[i].pid, SIGKILL);
				waitpid(w[i].pid, &status, 0);
			} else if (status) {
				snprintf(what, sizeof(what), "ended with status %x, signal %d at %llx",
					 status, shared->progress[i].signal,
					 (unsigned long long)shared->progress[i].signal_rip);
				name_case(&shared->progress[i], i, what);
			}
			broken += status != 0;
			w[i].pid = 0;
			left--;
		}
	}
	return broken;
}

static void print_results(const struct machine *m, const struct stats *all,
			  unsigned int workers, unsigned long cases)
{
	struct stats sum = { 0 };
	unsigned int rows = 0, w, i;

	for (w = 0; w < workers; w++) {
		sum.compared += all[w].compared;
		sum.faults += all[w].faults;
		sum.skipped += all[w].skipped;
		sum.lacking += all[w].lacking;
		sum.diverged += all[w].diverged;
		sum.bad_returns += all[w].bad_returns;
		sum.unanswered += all[w].unanswered;
		for (i = 0; i < sizeof(sum.rows); i++)
			((u8 *)sum.rows)[i] |= ((const u8 *)all[w].rows)[i];
	}
	for (i = 0; i < sizeof(sum.rows); i++)
		rows += ((u8 *)sum.rows)[i];
	if (sum.unanswered)
		printf("# %lu cases are without an answer\n", sum.unanswered);
	if (sum.bad_returns)
		printf("# %lu times the case's stack pointer was returned with\n", sum.bad_returns);
	tap_ok(sum.diverged == 0 && sum.bad_returns == 0 && sum.unanswered == 0 &&
	       sum.compared > cases / 4,
	       "%s: %lu cases compared, %lu of them faults, %u opcodes, %lu divergences (%lu not covered, %lu skipped)",
	       m->name, sum.compared, sum.faults, rows, sum.diverged,
	       sum.lacking, sum.skipped);
}

static void find_features(void)
{
	static u8 image[512] __attribute__((aligned(16)));
	u32 low, high;

	__asm__ volatile("fxsave64 %0" : "=m"(image));
	memcpy(&mxcsr_mask, image + IMAGE_MXCSR + 4, 4);
	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	xcr0 = (u64)high << 32 | low;
	memset(features, true, sizeof(features));
	features[X86EMUL_FEAT_BMI1] = __builtin_cpu_supports("bmi");
	features[X86EMUL_FEAT_BMI2] = __builtin_cpu_supports("bmi2");
	features[X86EMUL_FEAT_AVX] = __builtin_cpu_supports("avx");
	features[X86EMUL_FEAT_AVX2] = __builtin_cpu_supports("avx2");
}

static bool is_amd(void)
{
	u32 a = 0, b, c, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
	return c == 0x444d4163;		/* AuthenticAMD */
}

struct job {
	unsigned long cases;
	unsigned int worker, workers;
};

static int work_of(void *arg)
{
	const struct job *j = arg;

	return work(j->cases, j->worker, j->workers);
}

static int try_modes_of(void *arg)
{
	(void)arg;
	return try_modes();
}

static unsigned int find_modes(void)
{
	struct watched w = { .pid = start(try_modes_of, NULL) };
	unsigned int broken = w.pid < 0 ? 1 : watch(&w, 1);

	memset(shared->progress, 0, sizeof(shared->progress));
	memset(shared->stats, 0, sizeof(shared->stats));
	return broken;
}

static unsigned int run_workers(unsigned long cases, unsigned int workers)
{
	struct watched w[MAX_WORKERS] = { 0 };
	struct job job = { .cases = cases, .workers = workers };
	unsigned int broken = 0;

	for (job.worker = 0; job.worker < workers; job.worker++) {
		w[job.worker].since = seconds(CLOCK_MONOTONIC);
		w[job.worker].pid = start(work_of, &job);
		broken += w[job.worker].pid < 0;
	}
	return broken + watch(w, workers);
}

/* Bochs' corei7_skylake_x: what it has of all that there is. */
static void stand_in_features(void)
{
	memset(features, true, sizeof(features));
	features[X86EMUL_FEAT_MOVDIRI] = features[X86EMUL_FEAT_MOVDIR64B] = false;
	features[X86EMUL_FEAT_RDPID] = features[X86EMUL_FEAT_CLZERO] = false;
	features[X86EMUL_FEAT_SERIALIZE] = features[X86EMUL_FEAT_RTM] = false;
	features[X86EMUL_FEAT_CMPCCXADD] = features[X86EMUL_FEAT_3DNOW] = false;
	ctxt.amd = false;
	mxcsr_mask = 0xffff;
	xcr0 = 7;
}

/* Half of the cases are enumerated ones, from all of them alike. */
static int run_stand_in(int argc, char **argv)
{
	unsigned long cases = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;
	unsigned int i = 1 + (argc > 3 && !strcmp(argv[3], machines[2].name));

	standing_in = !strcmp(argv[1], "emit") ? EMIT : CHECK;
	if (argc != 6 || strcmp(argv[3], machines[i].name) || !cases || set_up())
		return 2;
	seed = strtoull(argv[5], NULL, 0);
	progress = &shared->progress[0];
	stats = &shared->stats[i][0];
	stand_in_features();
	machine = &machines[i];
	if (standing_in == EMIT && !batch_create(&batch, argv[2]))
		return 2;
	if (standing_in == CHECK)
		batch_answers = batch_results(argv[2]);
	run_cases(cases, 0, ENUMERATED / (cases / 2 + 1) | 1);
	if (standing_in == EMIT)
		return batch_close(&batch) ? 0 : 2;
	print_results(machine, stats, 1, cases);
	return tap_done();
}

int main(int argc, char **argv)
{
	unsigned long cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 300000;
	long workers = argc > 3 ? atol(argv[3]) : sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int i, broken;

	setvbuf(stdout, NULL, _IOLBF, 0);
	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	planted = argc > 4 ? argv[4] : "";
	amd = is_amd();
	find_features();
	if (workers < 1 || workers > MAX_WORKERS)
		workers = workers < 1 ? 1 : MAX_WORKERS;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 2;
	if (argc > 1 && (!strcmp(argv[1], "emit") || !strcmp(argv[1], "check")))
		return run_stand_in(argc, argv);
	broken = find_modes();
	broken += run_workers(cases, workers);
	tap_ok(!broken, "%ld processes, %u of them broken", workers, broken);
	for (i = 0; i < MODES; i++) {
		if (shared->modes[i].why_not[0])
			tap_skip(machines[i].name, "%s; Bochs stands in for it (tests/emulate/stand-in)",
				 shared->modes[i].why_not);
		else
			print_results(&machines[i], shared->stats[i], workers, cases);
	}
	return tap_done();
}
