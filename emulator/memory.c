// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's memory: segmentation, linear addresses, reads and writes.
 */
#include "emulator.h"

/* Is this IA-32e mode, compatibility mode included? */
int x86em_long_mode(struct x86_emulate_ctxt *ctxt, bool *active)
{
	u64 efer = 0;

	*active = mode64(ctxt);
	if (ctxt->mode == X86EMUL_MODE_PROT16 || ctxt->mode == X86EMUL_MODE_PROT32) {
		TRY(get_efer(ctxt, &efer));
		*active = efer & EFER_LMA_BIT;
	}
	return X86EMUL_CONTINUE;
}

static int seg_fault(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	return x86_emulate_fault_code(ctxt, seg == X86_SEG_SS ? EXC_SS : EXC_GP, 0);
}

/* SDM 3A "Limit Checking" and "Type Checking" */
bool x86em_segment_allows(struct x86_emulate_ctxt *ctxt, const struct x86_seg *s,
			   u64 ea, unsigned int bytes, bool write)
{
	u64 last = ea + bytes - 1;
	bool code = s->type & 8;

	if (prot_mode(ctxt)) {
		if (s->unusable)
			return false;
		if (write && (code || !(s->type & 2)))
			return false;
		if (!write && code && !(s->type & 2))
			return false;
		/* Expand-down: what is above the limit is inside. */
		if (!code && (s->type & 4))
			return ea > s->limit && last <= (s->db ? 0xffffffff : 0xffff);
	}
	return last <= s->limit;
}

u64 x86em_segment_base(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	struct x86_seg s;

	if (mode64(ctxt) && seg < X86_SEG_FS)
		return 0;
	if (ctxt->ops->get_segment_base)
		return ctxt->ops->get_segment_base(ctxt, seg);
	ctxt->ops->get_segment(ctxt, seg, &s);
	return s.base;
}

int x86em_linearize(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea, unsigned int bytes,
		    bool write, u64 *linear)
{
	struct x86_seg s;

	if (mode64(ctxt)) {
		if (seg >= X86_SEG_FS) {
			/* AMD's processors want the offset canonical as well. */
			if (ctxt->amd && !x86_canonical(ctxt, ea))
				return seg_fault(ctxt, seg);
			ea += x86em_segment_base(ctxt, seg);
		}
		if (!x86_canonical(ctxt, ea) || !x86_canonical(ctxt, ea + bytes - 1))
			return seg_fault(ctxt, seg);
		*linear = ea;
		return X86EMUL_CONTINUE;
	}

	ctxt->ops->get_segment(ctxt, seg, &s);
	if (!x86em_segment_allows(ctxt, &s, ea, bytes, write))
		return seg_fault(ctxt, seg);
	*linear = (u32)(s.base + ea);
	/* Processors disagree on what comes after the last byte of 4 GiB. */
	if (*linear + bytes - 1 > 0xffffffff)
		return X86EMUL_UNHANDLEABLE;
	return X86EMUL_CONTINUE;
}

/* MOVAPS and CMPXCHG16B find this out before they look at limits. */
int x86em_check_aligned(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	if ((x86em_segment_base(ctxt, ctxt->d.seg) + ctxt->d.ea) & (bytes - 1))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* A read that was done before the restart. */
static int replay_read(struct x86_read_cache *rc, void *val, unsigned int bytes)
{
	if (bytes > (unsigned int)(rc->end - rc->pos))
		return X86EMUL_UNHANDLEABLE;
	memcpy(val, rc->data + rc->pos, bytes);
	rc->pos += bytes;
	return X86EMUL_CONTINUE;
}

static void remember_read(struct x86_read_cache *rc, const void *val, unsigned int bytes)
{
	memcpy(rc->data + rc->pos, val, bytes);
	rc->pos += bytes;
	rc->end = rc->pos;
}

/* A read that is replayed on a restart: see x86_emulate.h. */
int x86em_mem_read(struct x86_emulate_ctxt *ctxt, u64 linear, void *val,
		   unsigned int bytes, unsigned int access)
{
	struct x86_read_cache *rc = &ctxt->rc;
	int ret;

	if (bytes > sizeof(rc->data) - rc->pos)
		return X86EMUL_UNHANDLEABLE;
	if (rc->pos < rc->end)
		return replay_read(rc, val, bytes);
	ret = ctxt->ops->read(ctxt, linear, val, bytes, access);
	if (ret == X86EMUL_CONTINUE) {
		remember_read(rc, val, bytes);
	} else if (ret == X86EMUL_IO_NEEDED) {
		rc->pending = bytes;
		rc->pending_addr = linear;
	}
	return ret;
}

/**
 * x86_emulate_read_done - before x86_emulate_insn() is called again: what the pending read gives
 * @ctxt: the context whose x86_emulate_insn() returned X86EMUL_IO_NEEDED
 * @val: the data
 * @bytes: how many, which must be ctxt->rc.pending; else nothing is done
 */
void x86_emulate_read_done(struct x86_emulate_ctxt *ctxt, const void *val,
			   unsigned int bytes)
{
	struct x86_read_cache *rc = &ctxt->rc;

	if (!rc->pending || bytes != rc->pending ||
	    bytes > sizeof(rc->data) - rc->end)
		return;
	memcpy(rc->data + rc->end, val, bytes);
	rc->end += bytes;
	rc->pending = 0;
}

int x86em_mem_write(struct x86_emulate_ctxt *ctxt, u64 linear, const void *val,
		    unsigned int bytes, unsigned int access)
{
	return ctxt->ops->write(ctxt, linear, val, bytes, access);
}

int x86em_read_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		   void *val, unsigned int bytes)
{
	u64 linear;

	TRY(linearize(ctxt, seg, ea, bytes, false, &linear));
	return x86em_mem_read(ctxt, linear, val, bytes, 0);
}

int x86em_write_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		    const void *val, unsigned int bytes)
{
	u64 linear;

	TRY(linearize(ctxt, seg, ea, bytes, true, &linear));
	return x86em_mem_write(ctxt, linear, val, bytes, 0);
}

/* The memory operand, or what lies offset bytes behind it. */
int x86em_read_ea(struct x86_emulate_ctxt *ctxt, unsigned int offset, void *val,
		  unsigned int bytes)
{
	u64 ea = (ctxt->d.ea + offset) & x86_mask(ctxt->d.ad_bytes);

	return x86em_read_seg(ctxt, ctxt->d.seg, ea, val, bytes);
}

/* Would this access succeed?  Where the access itself comes too late, or never. */
int x86em_probe(struct x86_emulate_ctxt *ctxt, u64 linear, unsigned int bytes,
		unsigned int access)
{
	int rc;

	if (!ctxt->ops->probe)
		return X86EMUL_CONTINUE;
	rc = ctxt->ops->probe(ctxt, linear, bytes, access);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_CONTINUE : rc;
}
