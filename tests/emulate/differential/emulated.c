// SPDX-License-Identifier: GPL-2.0-only
/* The emulator, on the memory and registers that the CPU has too. */
#include "differential.h"
#include "x87_insns.h"

struct x86_emulate_ctxt ctxt;

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

static struct x86_seg last_segment;

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
	last_segment = *s;
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

void enter_mmx(void)
{
	mmx_image(0);
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

u64 xcr0;

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
bool features[X86EMUL_NR_FEATS];

static bool op_has_feature(struct x86_emulate_ctxt *c, enum x86emul_feature f)
{
	(void)c;
	return features[f];
}

const struct x86_emulate_ops ops = {
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

/* What must not run here: it leaves the process, or depends on more than we know. */
bool is_dangerous(void)
{
	static int (*const execs[])(struct x86_emulate_ctxt *) = {
		em_ret_far, em_iret, em_far_mem, em_far, em_load_far, em_mov_to_seg, em_pop_seg, em_syscall,
		em_sysret, em_sysenter, em_sysexit, em_int, em_int1, em_int3, em_into,
		em_rdtsc, em_rdtscp, em_rdpid, em_rdpmc, em_cpuid, em_hypercall,
		em_lar, em_lsl, em_verr, em_verw, em_store_selector, em_store_dtable,
		em_smsw, em_rdbase, em_wrbase, em_load_system_segment,
	};
	unsigned int i;

	for (i = 0; i < sizeof(execs) / sizeof(execs[0]); i++)
		if (ctxt.d.row->exec == execs[i])
			return true;
	return false;
}

struct x86_seg faulting_segment;
unsigned int batches;

/* Returns an X86EMUL code; the outcome is in emu. */
int run_emulator(const struct state *in)
{
	u8 *at = code_alias + (start_rip + machine->code_base - CODE);
	int rc, len;

	emu.s = *in;
	memcpy(ctxt.regs, in->regs, sizeof(ctxt.regs));
	ctxt.rip = in->rip;
	ctxt.rflags = in->rflags;
	ctxt.mode = machine->mode;
	ctxt.d.len = 0;
	batches = 0;
	rc = x86_decode_insn(&ctxt, NULL, 0);
	if (rc == X86EMUL_CONTINUE) {
		if (is_dangerous())
			return X86EMUL_UNHANDLEABLE;
		/* What follows must stop it: INT3 right behind. */
		memset(at + ctxt.d.len, 0xcc, 16);
		do {
			rc = x86_emulate_insn(&ctxt);
			batches++;
		} while (rc == X86EMUL_CONTINUE && ctxt.more && batches < 100);
		if (ctxt.more)
			return X86EMUL_UNHANDLEABLE;
	} else if (is_lock_verw()) {
		/* Here the emulator stops, and the CPU goes on. */
		len = x86_insn_length(machine->mode, at, X86_MAX_INSN_LEN);
		if (len > 0)
			memset(at + len, 0xcc, 16);
	}
	faulting_segment = last_segment;
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
