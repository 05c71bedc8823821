/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine's segments, tables and control registers, and the ops that do no more
 * than look at them and change them.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "emulator.h"

static struct x86_seg segs[8];
static struct x86_dtable tables[2];	/* by enum x86emul_dtable */
static u64 crs[9];
static u64 efer;

static void op_get_segment(struct x86_emulate_ctxt *c, unsigned int seg, struct x86_seg *s)
{
	(void)c;
	*s = segs[seg];
}

static void op_set_segment(struct x86_emulate_ctxt *c, unsigned int seg, const struct x86_seg *s)
{
	(void)c;
	segs[seg] = *s;
}

static void op_get_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable which,
			  struct x86_dtable *val)
{
	(void)c;
	*val = tables[which];
}

static void op_set_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable which,
			  const struct x86_dtable *val)
{
	(void)c;
	tables[which] = *val;
}

static unsigned int op_get_cpl(struct x86_emulate_ctxt *c)
{
	if (!(crs[0] & 1))
		return 0;
	return c->rflags & X86_FLAG_VM ? 3 : segs[X86_SEG_SS].dpl;
}

static u64 op_get_cr(struct x86_emulate_ctxt *c, unsigned int nr)
{
	(void)c;
	return crs[nr];
}

static int op_set_cr(struct x86_emulate_ctxt *c, unsigned int nr, u64 val)
{
	(void)c;
	crs[nr] = val;
	return X86EMUL_CONTINUE;
}

#define MACHINE_OPS \
	.get_segment = op_get_segment, .set_segment = op_set_segment, \
	.get_dtable = op_get_dtable, .set_dtable = op_set_dtable, \
	.get_cpl = op_get_cpl, .get_cr = op_get_cr, .set_cr = op_set_cr

#endif
