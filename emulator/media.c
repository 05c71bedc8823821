// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's x87, MMX, SSE and AVX instructions: moves, loads and stores.
 * Nothing is computed here: x87 instructions are executed natively, by ops->x87, on a
 * copy of their memory operand.
 */
#include "emulator.h"

/* ---- x87 ---- */

#define X87_DD_STSW 0x3f	/* FNSTSW m16, with DD; FNSTCW m16, with D9 */
#define X87_SW_ES 0x80
/* Unmasked exceptions that prevent a store: invalid, overflow, underflow */
#define X87_NO_STORE 0x19

static int x87_word(struct x86_emulate_ctxt *ctxt, u8 opcode, u16 *val)
{
	return ctxt->ops->x87(ctxt, opcode, X87_DD_STSW, val);
}

/* Is an exception waiting for this, the next instruction that looks?  SDM 1 "x87 FPU" */
static int check_pending(struct x86_emulate_ctxt *ctxt)
{
	u16 sw;

	TRY(x87_word(ctxt, 0xdd, &sw));
	if (!(sw & X87_SW_ES))
		return X86EMUL_CONTINUE;
	/* Without CR0.NE it is an interrupt of the board's. */
	if (!(ctxt->ops->get_cr(ctxt, 0) & CR0_NE))
		return X86EMUL_UNHANDLEABLE;
	return x86_emulate_fault(ctxt, EXC_MF);
}

static int check_x87(struct x86_emulate_ctxt *ctxt, bool waits)
{
	if (!ctxt->ops->x87)
		return X86EMUL_UNHANDLEABLE;
	if (ctxt->ops->get_cr(ctxt, 0) & (CR0_EM | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	return waits ? check_pending(ctxt) : X86EMUL_CONTINUE;
}

int em_wait(struct x86_emulate_ctxt *ctxt)
{
	u64 cr0 = ctxt->ops->get_cr(ctxt, 0);

	if ((cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	return ctxt->ops->x87 ? check_pending(ctxt) : X86EMUL_UNHANDLEABLE;
}

/* FLD, FILD, FBLD, FLDCW and arithmetic with memory */
int em_fload(struct x86_emulate_ctxt *ctxt)
{
	u8 val[16];

	TRY(check_x87(ctxt, true));
	TRY(x86em_read_ea(ctxt, 0, val, OP0.bytes));
	return ctxt->ops->x87(ctxt, ctxt->d.opcode, ctxt->d.modrm, val);
}

/*
 * FST, FSTP, FIST, FISTP, FISTTP, FBSTP.  The value is popped before it is
 * written, so memory is probed first.
 */
int em_fst(struct x86_emulate_ctxt *ctxt)
{
	u16 cw, sw;
	u8 val[16];
	u64 linear;

	TRY(check_x87(ctxt, true));
	TRY(x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, OP0.bytes, true, &linear));
	TRY(x86em_probe(ctxt, linear, OP0.bytes, X86EMUL_ACC_WRITE));
	TRY(ctxt->ops->x87(ctxt, ctxt->d.opcode, ctxt->d.modrm, val));
	TRY(x87_word(ctxt, 0xd9, &cw));
	TRY(x87_word(ctxt, 0xdd, &sw));
	if (sw & ~cw & X87_NO_STORE)
		return X86EMUL_CONTINUE;
	return x86em_mem_write(ctxt, linear, val, OP0.bytes, 0);
}

/* Between registers; E0 to E4 of DB (FNCLEX, FNINIT and others) do not look for exceptions. */
int em_freg(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_x87(ctxt, ctxt->d.opcode != 0xdb || (ctxt->d.modrm & 0xf8) != 0xe0));
	return ctxt->ops->x87(ctxt, ctxt->d.opcode, ctxt->d.modrm, NULL);
}

/* FNSTCW (D9), FNSTSW */
int em_fnstword(struct x86_emulate_ctxt *ctxt)
{
	u16 val = 0;

	TRY(check_x87(ctxt, false));
	TRY(x87_word(ctxt, ctxt->d.opcode == 0xd9 ? 0xd9 : 0xdd, &val));
	OP0.val = val;
	return X86EMUL_CONTINUE;
}

/* ---- FXSAVE's image ---- */

#define FX_MXCSR 24
#define FX_MXCSR_MASK 28
#define FX_TAGS 4
#define FX_BYTES 512

static bool rex_w(const struct x86_emulate_ctxt *ctxt)
{
	return mode64(ctxt) && ctxt->d.rex & 8;
}

/* Tested processors check the last byte first, then the alignment. */
static int check_fx(struct x86_emulate_ctxt *ctxt, u64 *linear, bool write)
{
	u64 last = (ctxt->d.ea + FX_BYTES - 1) & x86_mask(ctxt->d.ad_bytes);

	if (!ctxt->ops->fxsave || !ctxt->ops->fxrstor)
		return X86EMUL_UNHANDLEABLE;
	if (ctxt->ops->get_cr(ctxt, 0) & (CR0_EM | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	TRY(x86em_linearize(ctxt, ctxt->d.seg, last, 1, write, &last));
	TRY(x86em_check_aligned(ctxt, 16));
	TRY(x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, FX_BYTES, write, linear));
	return x86em_probe(ctxt, last, 1, write ? X86EMUL_ACC_WRITE : 0);
}

/* All pages before the first is written; bytes are many, and even. */
static int probe_all(struct x86_emulate_ctxt *ctxt, u64 linear, unsigned int bytes)
{
	unsigned int n;

	for (; bytes; bytes -= n, linear += n) {
		n = bytes < 32 ? bytes : 32;
		TRY(x86em_probe(ctxt, linear, n, X86EMUL_ACC_WRITE));
	}
	return X86EMUL_CONTINUE;
}

static int write_all(struct x86_emulate_ctxt *ctxt, u64 linear, const u8 *image,
		     unsigned int bytes)
{
	unsigned int n;

	for (; bytes; bytes -= n, linear += n, image += n) {
		n = bytes < 64 ? bytes : 64;
		TRY(x86em_mem_write(ctxt, linear, image, n, 0));
	}
	return X86EMUL_CONTINUE;
}

static int read_all(struct x86_emulate_ctxt *ctxt, u64 linear, u8 *image, unsigned int bytes)
{
	unsigned int n;

	for (; bytes; bytes -= n, linear += n, image += n) {
		n = bytes < 64 ? bytes : 64;
		TRY(x86em_mem_read(ctxt, linear, image, n, 0));
	}
	return X86EMUL_CONTINUE;
}

/* What is behind XMM7, or XMM15 in 64-bit mode, is not written. */
int em_fxsave(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = mode64(ctxt) ? 416 : 288;
	u64 linear;

	TRY(check_fx(ctxt, &linear, true));
	TRY(probe_all(ctxt, linear, bytes));
	TRY(ctxt->ops->fxsave(ctxt, ctxt->batch, rex_w(ctxt)));
	return write_all(ctxt, linear, ctxt->batch, bytes);
}

/* A bit of MXCSR that the processor lacks is #GP. */
static int check_mxcsr(struct x86_emulate_ctxt *ctxt, const u8 *image, u32 mxcsr)
{
	u32 mask;

	memcpy(&mask, image + FX_MXCSR_MASK, 4);
	if (!mask)
		mask = 0xffbf;
	return mxcsr & ~mask ? fault_gp(ctxt, 0) : X86EMUL_CONTINUE;
}

int em_fxrstor(struct x86_emulate_ctxt *ctxt)
{
	u8 *now = ctxt->batch, *image = ctxt->batch + FX_BYTES;
	unsigned int used = mode64(ctxt) ? 416 : 288;
	u64 linear;
	u32 mxcsr;

	TRY(check_fx(ctxt, &linear, false));
	TRY(read_all(ctxt, linear, image, FX_BYTES));
	TRY(ctxt->ops->fxsave(ctxt, now, rex_w(ctxt)));
	memcpy(&mxcsr, image + FX_MXCSR, 4);
	TRY(check_mxcsr(ctxt, now, mxcsr));
	memcpy(image + used, now + used, FX_BYTES - used);
	return ctxt->ops->fxrstor(ctxt, image, rex_w(ctxt));
}

/* The state's image, to look at or to change; with 64-bit pointers, so nothing is lost. */
static int get_image(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->fxsave ? ctxt->ops->fxsave(ctxt, ctxt->batch, true) :
				   X86EMUL_UNHANDLEABLE;
}

static int put_image(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->fxrstor ? ctxt->ops->fxrstor(ctxt, ctxt->batch, true) :
				    X86EMUL_UNHANDLEABLE;
}

int em_ldmxcsr(struct x86_emulate_ctxt *ctxt)
{
	u32 val = 0;

	TRY(x86em_read_ea(ctxt, 0, &val, 4));
	TRY(get_image(ctxt));
	TRY(check_mxcsr(ctxt, ctxt->batch, val));
	memcpy(ctxt->batch + FX_MXCSR, &val, 4);
	return put_image(ctxt);
}

int em_stmxcsr(struct x86_emulate_ctxt *ctxt)
{
	TRY(get_image(ctxt));
	return x86em_write_seg(ctxt, ctxt->d.seg, ctxt->d.ea, ctxt->batch + FX_MXCSR, 4);
}

/* The top goes to 0, as by all of MMX, and the tags to empty. */
int em_emms(struct x86_emulate_ctxt *ctxt)
{
	u64 mm;

	TRY(ctxt->ops->fxsave ? ctxt->ops->get_mmx(ctxt, 0, &mm) : X86EMUL_UNHANDLEABLE);
	TRY(get_image(ctxt));
	ctxt->batch[FX_TAGS] = 0;
	return put_image(ctxt);
}

/* ---- the environment that x87 had before there was FXSAVE ---- */

/*
 * SDM 1 "Protected Mode x87 FPU State Image in Memory" and its kin: seven fields of
 * 4 or 2 bytes, and with FNSAVE and FRSTOR eight registers behind them.  ops->x87 has
 * protected mode's, of 4 bytes.
 */
enum { ENV_CW, ENV_SW, ENV_TAGS, ENV_IP, ENV_CS, ENV_DP, ENV_DS, ENV_FIELDS };

#define ENV_REGISTERS 80

struct x87_env {
	u32 field[ENV_FIELDS];
	u8 registers[ENV_REGISTERS];
};

/* Real and virtual-8086 mode: linear addresses, whose upper part is beside the opcode. */
static void env_to_real(u32 *field)
{
	u32 ip = field[ENV_IP] + ((field[ENV_CS] & 0xffff) << 4);
	u32 dp = field[ENV_DP] + ((field[ENV_DS] & 0xffff) << 4);
	u32 opcode = field[ENV_CS] >> 16 & 0x7ff;

	field[ENV_IP] = 0xffff0000 | (ip & 0xffff);
	field[ENV_CS] = ip >> 16 << 12 | opcode;
	field[ENV_DP] = 0xffff0000 | (dp & 0xffff);
	field[ENV_DS] = dp >> 16 << 12;
}

static void env_from_real(u32 *field)
{
	field[ENV_IP] = (field[ENV_IP] & 0xffff) | field[ENV_CS] >> 12 << 16;
	field[ENV_CS] = (field[ENV_CS] & 0x7ff) << 16;
	field[ENV_DP] = (field[ENV_DP] & 0xffff) | field[ENV_DS] >> 12 << 16;
	field[ENV_DS] = 0;
}

static unsigned int env_field_bytes(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->d.op_bytes == 2 ? 2 : 4;
}

/* It is in two pages at most; tested processors check its first field and last byte. */
static int begin_env(struct x86_emulate_ctxt *ctxt, unsigned int bytes, bool write, u64 *linear)
{
	unsigned int access = write ? X86EMUL_ACC_WRITE : 0;

	TRY(check_x87(ctxt, !write));
	TRY(x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, bytes, write, linear));
	TRY(x86em_probe(ctxt, *linear, env_field_bytes(ctxt), access));
	return x86em_probe(ctxt, *linear + bytes - 1, 1, access);
}

/* FNSTENV (D9), FNSAVE (DD) */
int em_fnstenv(struct x86_emulate_ctxt *ctxt)
{
	unsigned int registers = ctxt->d.opcode == 0xdd ? ENV_REGISTERS : 0;
	unsigned int size = env_field_bytes(ctxt), bytes = ENV_FIELDS * size, i;
	struct x87_env env;
	u64 linear;

	TRY(begin_env(ctxt, bytes + registers, true, &linear));
	TRY(ctxt->ops->x87(ctxt, ctxt->d.opcode, ctxt->d.modrm, &env));
	if (!prot_mode(ctxt))
		env_to_real(env.field);
	for (i = 0; i < ENV_FIELDS; i++)
		memcpy(ctxt->batch + i * size, &env.field[i], size);
	memcpy(ctxt->batch + bytes, env.registers, registers);
	return write_all(ctxt, linear, ctxt->batch, bytes + registers);
}

/* FLDENV (D9), FRSTOR (DD) */
int em_fldenv(struct x86_emulate_ctxt *ctxt)
{
	unsigned int registers = ctxt->d.opcode == 0xdd ? ENV_REGISTERS : 0;
	unsigned int size = env_field_bytes(ctxt), bytes = ENV_FIELDS * size, i;
	struct x87_env env = { .field = { 0 } };
	u64 linear;

	TRY(begin_env(ctxt, bytes + registers, false, &linear));
	TRY(read_all(ctxt, linear, ctxt->batch, bytes + registers));
	for (i = 0; i < ENV_FIELDS; i++)
		memcpy(&env.field[i], ctxt->batch + i * size, size);
	memcpy(env.registers, ctxt->batch + bytes, registers);
	if (!prot_mode(ctxt))
		env_from_real(env.field);
	return ctxt->ops->x87(ctxt, ctxt->d.opcode, ctxt->d.modrm, &env);
}

/* ---- media operands ---- */

/* VEX is undefined in real and virtual-8086 mode: the decoder has seen to that. */
static int check_avx(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	u64 xcr0;

	if (!ctxt->ops->get_xcr)
		return X86EMUL_UNHANDLEABLE;
	if (!has_feature(ctxt, flags & F_AVX2 ? X86EMUL_FEAT_AVX2 : X86EMUL_FEAT_AVX) ||
	    !(ctxt->ops->get_cr(ctxt, 4) & CR4_OSXSAVE))
		return fault_ud(ctxt);
	TRY(ctxt->ops->get_xcr(ctxt, 0, &xcr0));
	return (xcr0 & 6) == 6 ? X86EMUL_CONTINUE : fault_ud(ctxt);
}

/* SDM 2A "Exception Conditions of SIMD instructions" and MMX's, as far as CR0 and CR4 */
int x86em_check_media(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	const struct x86_emulate_ops *ops = ctxt->ops;
	u64 cr0;

	if (flags & F_MMX ? !ops->get_mmx || !ops->put_mmx :
	    !ops->get_vec || !ops->put_vec)
		return X86EMUL_UNHANDLEABLE;
	cr0 = ops->get_cr(ctxt, 0);
	if (flags & F_AVX) {
		TRY(check_avx(ctxt, flags));
	} else if (cr0 & CR0_EM) {
		return fault_ud(ctxt);
	}
	if ((flags & F_SSE) && !(ops->get_cr(ctxt, 4) & CR4_OSFXSR))
		return fault_ud(ctxt);
	if (cr0 & CR0_TS)
		return x86_emulate_fault(ctxt, EXC_NM);
	return flags & F_MMX && ops->x87 ? check_pending(ctxt) : X86EMUL_CONTINUE;
}

static int media_address(struct x86_emulate_ctxt *ctxt, unsigned int bytes,
			 bool write, u64 *linear)
{
	/* VEX lets all but the aligned moves be unaligned. */
	if (ctxt->d.row->flags & F_ALIGN)
		TRY(x86em_check_aligned(ctxt, bytes));
	return x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, bytes, write, linear);
}

/* To or from val: bytes of memory, or a whole register (16 or 32 bytes, or MMX's 8) */
static int media_load(struct x86_emulate_ctxt *ctxt, const struct x86_operand *op,
		      void *val, unsigned int bytes)
{
	u64 linear, mm = 0;
	int rc;

	switch (op->kind) {
	case OPK_XMM:
		return ctxt->ops->get_vec(ctxt, op->reg, val, bytes > 16 ? 32 : 16);
	case OPK_MMX:
		rc = ctxt->ops->get_mmx(ctxt, op->reg, &mm);
		memcpy(val, &mm, 8);
		return rc;
	default:
		TRY(media_address(ctxt, bytes, false, &linear));
		return x86em_mem_read(ctxt, linear, val, bytes, 0);
	}
}

/* With VEX, what is above the register's bytes is cleared. */
static int put_xmm(struct x86_emulate_ctxt *ctxt, unsigned int nr, const void *val,
		   unsigned int bytes)
{
	u8 whole[32] = { 0 };

	if (!ctxt->d.vex)
		return ctxt->ops->put_vec(ctxt, nr, val, 16);
	memcpy(whole, val, bytes > 16 ? 32 : 16);
	return ctxt->ops->put_vec(ctxt, nr, whole, 32);
}

static int media_store(struct x86_emulate_ctxt *ctxt, const struct x86_operand *op,
		       const void *val, unsigned int bytes)
{
	u64 linear, mm;

	switch (op->kind) {
	case OPK_XMM:
		return put_xmm(ctxt, op->reg, val, bytes);
	case OPK_MMX:
		memcpy(&mm, val, 8);
		return ctxt->ops->put_mmx(ctxt, op->reg, mm);
	default:
		TRY(media_address(ctxt, bytes, true, &linear));
		return x86em_mem_write(ctxt, linear, val, bytes, 0);
	}
}

/* A VEX form has, between destination and source, what the rest is taken from. */
static const struct x86_operand *media_source(struct x86_emulate_ctxt *ctxt)
{
	return OP2.kind == OPK_NONE ? &OP1 : &OP2;
}

static const struct x86_operand *media_rest(struct x86_emulate_ctxt *ctxt)
{
	return OP2.kind == OPK_NONE ? &OP0 : &OP1;
}

/* ---- moves ---- */

/* MOVUPS, MOVAPS, MOVDQA, MOVDQU, LDDQU, MOVNTxx: a whole register */
int em_movv(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;

	TRY(media_load(ctxt, &OP1, ctxt->vec, bytes));
	return media_store(ctxt, &OP0, ctxt->vec, bytes);
}

/* MOVSS, MOVSD: from a register, the rest of operand 0 is kept; MOVQ: cleared */
int em_movv_low(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	bool movq = ctxt->d.opcode == 0x7e || ctxt->d.opcode == 0xd6;
	const struct x86_operand *src = media_source(ctxt);
	u8 low[16];

	TRY(media_load(ctxt, src, low, bytes));
	memset(ctxt->vec, 0, 16);
	if (OP0.kind == OPK_XMM && src->kind == OPK_XMM && !movq)
		TRY(media_load(ctxt, media_rest(ctxt), ctxt->vec, 16));
	memcpy(ctxt->vec, low, bytes);
	return media_store(ctxt, &OP0, ctxt->vec, bytes);
}

/* MOVLPS, MOVLPD (12, 13), MOVHPS, MOVHPD (16, 17) */
int em_movv_high(struct x86_emulate_ctxt *ctxt)
{
	unsigned int half = ctxt->d.opcode & 4 ? 8 : 0;
	u8 data[8];

	if (OP0.kind == OPK_MEM) {
		TRY(media_load(ctxt, &OP1, ctxt->vec, 16));
		return media_store(ctxt, &OP0, ctxt->vec + half, 8);
	}
	TRY(media_load(ctxt, media_source(ctxt), data, 8));
	TRY(media_load(ctxt, media_rest(ctxt), ctxt->vec, 16));
	memcpy(ctxt->vec + half, data, 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

/* MOVHLPS (12), MOVLHPS (16) */
int em_movhl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int to = ctxt->d.opcode & 4 ? 8 : 0;
	u8 src[16];

	TRY(media_load(ctxt, media_source(ctxt), src, 16));
	TRY(media_load(ctxt, media_rest(ctxt), ctxt->vec, 16));
	memcpy(ctxt->vec + to, src + (8 - to), 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

/* Element from of each group of n elements of size bytes, n times. */
static int spread(struct x86_emulate_ctxt *ctxt, unsigned int load, unsigned int size,
		  unsigned int from)
{
	unsigned int bytes = OP0.bytes, i;
	u8 src[32];

	TRY(media_load(ctxt, &OP1, src, load));
	for (i = 0; i < bytes; i += size)
		memcpy(ctxt->vec + i, src + (i & ~(2 * size - 1)) + from, size);
	return media_store(ctxt, &OP0, ctxt->vec, bytes);
}

/* Of memory, a 128-bit MOVDDUP reads the low half only. */
EXECUTOR(movddup, spread(ctxt, OP0.bytes == 32 ? 32 : 8, 8, 0))
EXECUTOR(movsldup, spread(ctxt, OP0.bytes, 4, 0))
EXECUTOR(movshdup, spread(ctxt, OP0.bytes, 4, 4))

/* MOVD, MOVQ between XMM and general registers or memory */
int em_movd_to(struct x86_emulate_ctxt *ctxt)
{
	memset(ctxt->vec, 0, 16);
	memcpy(ctxt->vec, &OP1.val, 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

int em_movd_from(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = media_load(ctxt, &OP1, ctxt->vec, 16);
	memcpy(&OP0.val, ctxt->vec, 8);
	return rc;
}

/* To look at an MMX register changes x87 state, so what may fault comes before. */
static int probe_op0(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;

	if (OP0.kind != OPK_MEM)
		return X86EMUL_CONTINUE;
	TRY(media_address(ctxt, OP0.bytes, true, &linear));
	return x86em_probe(ctxt, linear, OP0.bytes, X86EMUL_ACC_WRITE);
}

/* MMX's MOVQ and MOVNTQ, and MOVD */
int em_movm(struct x86_emulate_ctxt *ctxt)
{
	TRY(probe_op0(ctxt));
	TRY(media_load(ctxt, &OP1, ctxt->vec, 8));
	return media_store(ctxt, &OP0, ctxt->vec, 8);
}

EXECUTOR(movmd_to, ctxt->ops->put_mmx(ctxt, OP0.reg, OP1.val))

int em_movmd_from(struct x86_emulate_ctxt *ctxt)
{
	TRY(probe_op0(ctxt));
	return ctxt->ops->get_mmx(ctxt, OP1.reg, &OP0.val);
}

/*
 * MASKMOVQ, MASKMOVDQU: the bytes whose mask has its top bit set, to DS:rDI.  What
 * faults with an empty mask, SDM 2B leaves to the processor: tested ones check
 * eight bytes at a time, and all must be writable.
 */
int em_maskmov(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = OP0.kind == OPK_MMX ? 1 : 2, i, j, run;
	unsigned int seg = data_seg(&ctxt->d);
	u64 ea = get_reg(ctxt, X86_RDI, ctxt->d.ad_bytes), linear[2];
	u8 mask[16];

	TRY(media_load(ctxt, &OP1, mask, 16));
	TRY(media_load(ctxt, &OP0, ctxt->vec, 16));
	for (i = 0; i < n; i++) {
		TRY(x86em_linearize(ctxt, seg, (ea + i * 8) & x86_mask(ctxt->d.ad_bytes), 8, true,
				    &linear[i]));
		TRY(x86em_probe(ctxt, linear[i], 8, X86EMUL_ACC_WRITE));
	}
	for (i = 0; i < n * 8; i = j + 1) {
		/* One write for each run of bytes, but not from one eight to the next. */
		for (j = i; mask[j] & 0x80 && j % 8 < 7; j++)
			;
		run = j - i + (mask[j] >> 7);
		if (run)
			TRY(x86em_mem_write(ctxt, linear[i / 8] + i % 8, ctxt->vec + i, run, 0));
	}
	return X86EMUL_CONTINUE;
}

/* ---- AVX's own ---- */

/* VBROADCASTx, VPBROADCASTx; AVX has those of registers since AVX2 only. */
int em_vbroadcast(struct x86_emulate_ctxt *ctxt)
{
	unsigned int size = OP1.bytes, i;
	u8 src[16];

	if (OP1.kind == OPK_XMM && !has_feature(ctxt, X86EMUL_FEAT_AVX2))
		return fault_ud(ctxt);
	TRY(media_load(ctxt, &OP1, src, size));
	for (i = 0; i < OP0.bytes; i += size)
		memcpy(ctxt->vec + i, src, size);
	return media_store(ctxt, &OP0, ctxt->vec, OP0.bytes);
}

/* The linear address of the element of size bytes at offset, which is not one that wraps. */
static int element_address(struct x86_emulate_ctxt *ctxt, unsigned int offset,
			   unsigned int size, bool write, u64 *linear)
{
	return x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea + offset, size, write, linear);
}

static int mask_load(struct x86_emulate_ctxt *ctxt, const u8 *mask, unsigned int size)
{
	unsigned int i;
	u64 linear;

	memset(ctxt->vec, 0, 32);
	for (i = 0; i < OP0.bytes; i += size) {
		if (!(mask[i + size - 1] & 0x80))
			continue;
		TRY(element_address(ctxt, i, size, false, &linear));
		TRY(x86em_mem_read(ctxt, linear, ctxt->vec + i, size, 0));
	}
	return media_store(ctxt, &OP0, ctxt->vec, OP0.bytes);
}

/* All elements are probed before the first is written. */
static int mask_store(struct x86_emulate_ctxt *ctxt, const u8 *mask, unsigned int size)
{
	unsigned int i, pass;
	u64 linear;

	TRY(media_load(ctxt, &OP2, ctxt->vec, OP0.bytes));
	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < OP0.bytes; i += size) {
			if (!(mask[i + size - 1] & 0x80))
				continue;
			TRY(element_address(ctxt, i, size, true, &linear));
			TRY(pass ? x86em_mem_write(ctxt, linear, ctxt->vec + i, size, 0) :
				   x86em_probe(ctxt, linear, size, X86EMUL_ACC_WRITE));
		}
	return X86EMUL_CONTINUE;
}

/* VMASKMOVPS, VMASKMOVPD (2C to 2F), VPMASKMOVD, VPMASKMOVQ (8C, 8E) */
int em_vmaskmov(struct x86_emulate_ctxt *ctxt)
{
	u8 opcode = ctxt->d.opcode;
	unsigned int size = opcode < 0x80 ? (opcode & 1 ? 8 : 4) : (ctxt->d.rex & 8 ? 8 : 4);
	u8 mask[32];

	TRY(media_load(ctxt, &OP1, mask, OP0.bytes));
	return OP0.kind == OPK_MEM ? mask_store(ctxt, mask, size) : mask_load(ctxt, mask, size);
}

/* VEXTRACTF128, VEXTRACTI128 */
int em_vextract128(struct x86_emulate_ctxt *ctxt)
{
	TRY(media_load(ctxt, &OP1, ctxt->vec, 32));
	return media_store(ctxt, &OP0, ctxt->vec + (OP2.val & 1 ? 16 : 0), 16);
}

/* VZEROUPPER, and with VEX.L VZEROALL; outside of 64-bit mode there are eight. */
int em_vzeroupper(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = mode64(ctxt) ? 16 : 8, i;

	for (i = 0; i < n; i++) {
		memset(ctxt->vec, 0, 32);
		if (!ctxt->d.vex_l)
			TRY(ctxt->ops->get_vec(ctxt, i, ctxt->vec, 16));
		TRY(ctxt->ops->put_vec(ctxt, i, ctxt->vec, 32));
	}
	return X86EMUL_CONTINUE;
}
