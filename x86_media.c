// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's x87, MMX and SSE instructions: moves, loads and stores.
 */
#include "x86_emulate_priv.h"

/* ---- x87 and media moves ---- */

int em_wait(struct x86_emulate_ctxt *ctxt)
{
	u64 cr0 = ctxt->ops->get_cr(ctxt, 0);

	if ((cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	/* Whether an x87 exception is pending, we cannot tell. */
	return X86EMUL_UNHANDLEABLE;
}

static int x87(struct x86_emulate_ctxt *ctxt, enum x86emul_x87 what)
{
	u16 val = 0;
	int rc;

	if (!ctxt->ops->x87)
		return X86EMUL_UNHANDLEABLE;
	if (ctxt->ops->get_cr(ctxt, 0) & (CR0_EM | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	rc = ctxt->ops->x87(ctxt, what, &val);
	OP0.val = val;
	return rc;
}

int em_fninit(struct x86_emulate_ctxt *ctxt)
{
	return x87(ctxt, X86EMUL_FNINIT);
}

int em_fnstcw(struct x86_emulate_ctxt *ctxt)
{
	return x87(ctxt, X86EMUL_FNSTCW);
}

int em_fnstsw(struct x86_emulate_ctxt *ctxt)
{
	return x87(ctxt, X86EMUL_FNSTSW);
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
	if (cr0 & CR0_EM)
		return fault_ud(ctxt);
	if ((flags & F_SSE) && !(ops->get_cr(ctxt, 4) & CR4_OSFXSR))
		return fault_ud(ctxt);
	if (cr0 & CR0_TS)
		return x86_emulate_fault(ctxt, EXC_NM);
	return X86EMUL_CONTINUE;
}

static int media_address(struct x86_emulate_ctxt *ctxt, unsigned int bytes,
			 bool write, u64 *linear)
{
	int rc;

	if (ctxt->d.row->flags & F_ALIGN) {
		rc = x86em_check_aligned(ctxt, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	return x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, bytes, write, linear);
}

/* To or from val: bytes of memory, or a whole register (16 bytes for XMM) */
static int media_load(struct x86_emulate_ctxt *ctxt, const struct x86_operand *op,
		      void *val, unsigned int bytes)
{
	u64 linear, mm = 0;
	int rc;

	switch (op->kind) {
	case OPK_XMM:
		return ctxt->ops->get_vec(ctxt, op->reg, val, 16);
	case OPK_MMX:
		rc = ctxt->ops->get_mmx(ctxt, op->reg, &mm);
		memcpy(val, &mm, 8);
		return rc;
	default:
		rc = media_address(ctxt, bytes, false, &linear);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		return x86em_mem_read(ctxt, linear, val, bytes, 0);
	}
}

static int media_store(struct x86_emulate_ctxt *ctxt, const struct x86_operand *op,
		       const void *val, unsigned int bytes)
{
	u64 linear, mm;
	int rc;

	switch (op->kind) {
	case OPK_XMM:
		return ctxt->ops->put_vec(ctxt, op->reg, val, 16);
	case OPK_MMX:
		memcpy(&mm, val, 8);
		return ctxt->ops->put_mmx(ctxt, op->reg, mm);
	default:
		rc = media_address(ctxt, bytes, true, &linear);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		return x86em_mem_write(ctxt, linear, val, bytes, 0);
	}
}

/* MOVUPS, MOVAPS, MOVDQA, MOVDQU, LDDQU, MOVNTxx: a whole register */
int em_movv(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = media_load(ctxt, &OP1, ctxt->vec, 16);
	if (rc == X86EMUL_CONTINUE)
		rc = media_store(ctxt, &OP0, ctxt->vec, 16);
	return rc;
}

/* MOVSS, MOVSD: from a register, the rest of operand 0 is kept; MOVQ: cleared */
int em_movv_low(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	bool movq = ctxt->d.opcode == 0x7e || ctxt->d.opcode == 0xd6;
	u8 low[16];
	int rc;

	rc = media_load(ctxt, &OP1, low, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memset(ctxt->vec, 0, 16);
	if (OP0.kind == OPK_XMM && OP1.kind == OPK_XMM && !movq) {
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	memcpy(ctxt->vec, low, bytes);
	return media_store(ctxt, &OP0, ctxt->vec, bytes);
}

/* MOVLPS, MOVLPD (12, 13), MOVHPS, MOVHPD (16, 17) */
int em_movv_high(struct x86_emulate_ctxt *ctxt)
{
	unsigned int half = ctxt->d.opcode & 4 ? 8 : 0;
	u8 data[8];
	int rc;

	if (OP0.kind == OPK_MEM) {
		rc = media_load(ctxt, &OP1, ctxt->vec, 16);
		if (rc == X86EMUL_CONTINUE)
			rc = media_store(ctxt, &OP0, ctxt->vec + half, 8);
		return rc;
	}
	rc = media_load(ctxt, &OP1, data, 8);
	if (rc == X86EMUL_CONTINUE)
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memcpy(ctxt->vec + half, data, 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

/* MOVHLPS (12), MOVLHPS (16) */
int em_movhl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int to = ctxt->d.opcode & 4 ? 8 : 0;
	u8 src[16];
	int rc;

	rc = media_load(ctxt, &OP1, src, 16);
	if (rc == X86EMUL_CONTINUE)
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memcpy(ctxt->vec + to, src + (8 - to), 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

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

/* MMX's MOVQ and MOVNTQ, and MOVD */
int em_movm(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = media_load(ctxt, &OP1, ctxt->vec, 8);
	if (rc == X86EMUL_CONTINUE)
		rc = media_store(ctxt, &OP0, ctxt->vec, 8);
	return rc;
}

int em_movmd_to(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->put_mmx(ctxt, OP0.reg, OP1.val);
}

int em_movmd_from(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->get_mmx(ctxt, OP1.reg, &OP0.val);
}

/*
 * MASKMOVQ, MASKMOVDQU: the bytes whose mask has its top bit set, to DS:rDI.  What
 * faults with an empty mask, SDM 2B leaves to the processor: the one at hand looks
 * at eight bytes at a time, and all must be writable.
 */
int em_maskmov(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = OP0.kind == OPK_MMX ? 1 : 2, i, j, run;
	unsigned int seg = ctxt->d.seg_override ? ctxt->d.seg_override - 1 : X86_SEG_DS;
	u64 ea = get_reg(ctxt, X86_RDI, ctxt->d.ad_bytes), linear[2];
	u8 mask[16];
	int rc;

	rc = media_load(ctxt, &OP1, mask, 16);
	if (rc == X86EMUL_CONTINUE)
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
	for (i = 0; i < n && rc == X86EMUL_CONTINUE; i++) {
		rc = x86em_linearize(ctxt, seg, (ea + i * 8) & x86_mask(ctxt->d.ad_bytes), 8,
				     true, &linear[i]);
		if (rc == X86EMUL_CONTINUE)
			rc = x86em_probe_write(ctxt, linear[i], 8);
	}
	for (i = 0; i < n * 8 && rc == X86EMUL_CONTINUE; i = j + 1) {
		/* One write for each run of bytes, but not from one eight to the next. */
		for (j = i; mask[j] & 0x80 && j % 8 < 7; j++)
			;
		run = j - i + (mask[j] >> 7);
		if (run)
			rc = x86em_mem_write(ctxt, linear[i / 8] + i % 8, ctxt->vec + i,
					     run, 0);
	}
	return rc;
}
