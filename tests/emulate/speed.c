// SPDX-License-Identifier: GPL-2.0-only
/*
 * How many instructions the emulator takes, counted by single steps of a child
 * that runs it: the same on each run, whatever the machine's load.  The ops cost
 * next to nothing here, and what they cost is counted with the rest.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"
#include "decode.h"

static struct x86_emulate_ctxt ctxt;
static u64 device = 0x1122334455667788;

static int op_read(struct x86_emulate_ctxt *c, u64 linear, void *val,
		   unsigned int bytes, unsigned int access)
{
	(void)c;
	(void)linear;
	(void)bytes;
	(void)access;
	*(u32 *)val = device;
	return X86EMUL_CONTINUE;
}

static int op_write(struct x86_emulate_ctxt *c, u64 linear, const void *val,
		    unsigned int bytes, unsigned int access)
{
	(void)c;
	(void)linear;
	(void)bytes;
	(void)access;
	device = *(const u32 *)val;
	return X86EMUL_CONTINUE;
}

static void op_get_segment(struct x86_emulate_ctxt *c, unsigned int seg, struct x86_seg *s)
{
	static const struct x86_seg flat = {
		.limit = 0xffffffff, .type = 3, .s = 1, .present = 1, .db = 1, .g = 1,
	};

	(void)c;
	(void)seg;
	*s = flat;
}

static unsigned int units, calls;

static int op_probe(struct x86_emulate_ctxt *c, u64 linear, unsigned int bytes,
		    unsigned int access)
{
	(void)c;
	(void)linear;
	(void)bytes;
	(void)access;
	return X86EMUL_CONTINUE;
}

static int op_pio_in(struct x86_emulate_ctxt *c, unsigned int size, u16 port, void *buf,
		     unsigned int count)
{
	(void)c;
	(void)port;
	memset(buf, 0x5a, size * count);
	units += count;
	calls++;
	return X86EMUL_CONTINUE;
}

static int op_pio_out(struct x86_emulate_ctxt *c, unsigned int size, u16 port,
		      const void *buf, unsigned int count)
{
	(void)size;
	(void)port;
	(void)buf;
	units += count;
	calls++;
	c->posted = true;
	return X86EMUL_CONTINUE;
}

static int op_string_mem(struct x86_emulate_ctxt *c, u64 linear, void *val,
			 unsigned int bytes, unsigned int access)
{
	(void)c;
	(void)linear;
	(void)access;
	memset(val, 0, bytes);
	return X86EMUL_CONTINUE;
}

static int op_string_write(struct x86_emulate_ctxt *c, u64 linear, const void *val,
			   unsigned int bytes, unsigned int access)
{
	(void)c;
	(void)linear;
	(void)val;
	(void)bytes;
	(void)access;
	return X86EMUL_CONTINUE;
}

static unsigned int op_get_cpl(struct x86_emulate_ctxt *c)
{
	(void)c;
	return 0;
}

static const struct x86_emulate_ops mmio_ops = {
	.read = op_read, .write = op_write, .get_segment = op_get_segment,
	.get_cpl = op_get_cpl,
};

static const struct x86_emulate_ops string_ops = {
	.read = op_string_mem, .write = op_string_write, .probe = op_probe,
	.get_segment = op_get_segment, .get_cpl = op_get_cpl,
	.pio_in = op_pio_in, .pio_out = op_pio_out,
};

/* What is measured: from its first instruction to its last. */
struct measure {
	const char *what;
	enum x86emul_mode mode;
	const char *bytes;
	unsigned int len, limit;
	bool execute;
};

static const struct measure measures[] = {
	{ "mov (%rbx), %eax", X86EMUL_MODE_PROT64, "\x8b\x03", 2, 230, true },
	{ "mov %eax, (%rbx)", X86EMUL_MODE_PROT64, "\x89\x03", 2, 230, true },
	{ "mov 0x20(%rbx), %eax", X86EMUL_MODE_PROT64, "\x8b\x43\x20", 3, 230, true },
	{ "mov %r9d, 0x300(%r8)", X86EMUL_MODE_PROT64, "\x45\x89\x88\x00\x03\x00\x00", 7, 230, true },
	{ "mov (%ebx), %eax, of 32 bits", X86EMUL_MODE_PROT32, "\x8b\x03", 2, 310, true },
	{ "mov %eax, (%ebx), of 32 bits", X86EMUL_MODE_PROT32, "\x89\x03", 2, 310, true },
	{ "movl $1, (%rbx)", X86EMUL_MODE_PROT64, "\xc7\x03\x01\x00\x00\x00", 6, 520, true },
	{ "length of cpuid", X86EMUL_MODE_PROT64, "\x0f\xa2", 2, 60, false },
	{ "length of rdmsr", X86EMUL_MODE_PROT64, "\x0f\x32", 2, 60, false },
	{ "length of in %dx, %al", X86EMUL_MODE_PROT64, "\xec", 1, 60, false },
	{ "length of in $0x70, %al", X86EMUL_MODE_PROT64, "\xe4\x70", 2, 60, false },
	{ "length of out %al, %dx", X86EMUL_MODE_PROT64, "\xee", 1, 60, false },
	{ "length of out %eax, $0x80", X86EMUL_MODE_PROT64, "\xe7\x80", 2, 60, false },
	{ "length of hlt", X86EMUL_MODE_PROT64, "\xf4", 1, 60, false },
	{ "length of hlt, of 16 bits", X86EMUL_MODE_REAL, "\xf4", 1, 60, false },
};

#define NMEASURES (sizeof(measures) / sizeof(measures[0]))

/* The child stops the count by reaching these; no inlining, and not one alone. */
__attribute__((noinline)) void measure_begin(void)
{
	__asm__ volatile("");
}

__attribute__((noinline)) void measure_end(void)
{
	__asm__ volatile("nop");
}

static int good;

static void run_one(const struct measure *m, const u8 *code)
{
	ctxt.mode = m->mode;
	ctxt.rip = 0x1000;
	ctxt.regs[X86_RBX] = ctxt.regs[X86_R8] = 0xfee00000;
	if (m->execute) {
		measure_begin();
		good = x86_decode_insn(&ctxt, code, 15) == X86EMUL_CONTINUE &&
		       x86_emulate_insn(&ctxt) == X86EMUL_CONTINUE;
		measure_end();
	} else {
		measure_begin();
		good = x86_insn_length(m->mode, code, 15) == (int)m->len;
		measure_end();
	}
	if (!good)
		_exit(1);
}

/* All of them once before, so that no symbol is looked up in what is counted. */
static void child(void)
{
	unsigned int i;

	x86_emulate_init(&ctxt);
	ctxt.ops = &mmio_ops;
	for (i = 0; i < 2 * NMEASURES; i++) {
		const struct measure *m = &measures[i % NMEASURES];
		u8 code[15];

		if (i == NMEASURES) {
			ptrace(PTRACE_TRACEME, 0, NULL, NULL);
			raise(SIGSTOP);
		}

		memset(code, 0x90, sizeof(code));
		memcpy(code, m->bytes, m->len);
		run_one(m, code);
	}
	_exit(0);
}

/* One step of the child: its RIP, 0 at its end. */
static u64 step(pid_t pid)
{
	struct user_regs_struct regs;
	int status;

	if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) || waitpid(pid, &status, 0) < 0 ||
	    !WIFSTOPPED(status) || ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		return 0;
	return regs.rip;
}

static void count_all(void)
{
	pid_t pid = fork();
	unsigned int i;
	int status;
	u64 rip;

	if (!pid)
		child();
	waitpid(pid, &status, 0);
	for (i = 0; i < NMEASURES; i++) {
		unsigned long n = 0;

		do
			rip = step(pid);
		while (rip && rip != (u64)(uintptr_t)measure_begin);
		do {
			rip = step(pid);
			n++;
		} while (rip && rip != (u64)(uintptr_t)measure_end);
		if (!rip) {
			tap_ok(0, "%s", measures[i].what);
			return;
		}
		tap_ok(n <= measures[i].limit, "%s: %lu instructions, of %u",
		       measures[i].what, n, measures[i].limit);
	}
	ptrace(PTRACE_KILL, pid, NULL, NULL);
	waitpid(pid, &status, 0);
}

/* REP INS and OUTS: how much goes with each call, as each may be an exit. */
static void batch(const char *what, const char *bytes, unsigned int len, u64 count)
{
	unsigned int guard = 0;
	int rc;

	x86_emulate_init(&ctxt);
	ctxt.ops = &string_ops;
	ctxt.mode = X86EMUL_MODE_PROT64;
	ctxt.regs[X86_RCX] = count;
	ctxt.regs[X86_RSI] = ctxt.regs[X86_RDI] = 0x10000;
	units = calls = 0;
	do {
		ctxt.rip = 0x1000;
		rc = x86_decode_insn(&ctxt, bytes, len);
		if (rc == X86EMUL_CONTINUE)
			rc = x86_emulate_insn(&ctxt);
	} while (rc == X86EMUL_CONTINUE && ctxt.more && guard++ < 1000);
	tap_ok(rc == X86EMUL_CONTINUE && units == count && units / calls >= 1000,
	       "%s: %u units in %u calls", what, units, calls);
}

int main(void)
{
	count_all();
	batch("rep insb", "\xf3\x6c", 2, 16384);
	batch("rep outsb", "\xf3\x6e", 2, 16384);
	batch("rep insd", "\xf3\x6d", 2, 16384);
	batch("rep outsd", "\xf3\x6f", 2, 16384);
	return tap_done();
}
