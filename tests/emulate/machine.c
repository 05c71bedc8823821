// SPDX-License-Identifier: GPL-2.0-only
#include "machine.h"

struct x86_seg segs[8];
struct x86_dtable tables[2];	/* by enum x86emul_dtable */
u64 crs[9];
u64 efer;

void machine_get_segment(struct x86_emulate_ctxt *c, unsigned int seg, struct x86_seg *s)
{
	(void)c;
	*s = segs[seg];
}

void machine_set_segment(struct x86_emulate_ctxt *c, unsigned int seg, const struct x86_seg *s)
{
	(void)c;
	segs[seg] = *s;
}

void machine_get_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable which,
			 struct x86_dtable *val)
{
	(void)c;
	*val = tables[which];
}

void machine_set_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable which,
			 const struct x86_dtable *val)
{
	(void)c;
	tables[which] = *val;
}

unsigned int machine_get_cpl(struct x86_emulate_ctxt *c)
{
	if (!(crs[0] & 1))
		return 0;
	return c->rflags & X86_FLAG_VM ? 3 : segs[X86_SEG_SS].dpl;
}

u64 machine_get_cr(struct x86_emulate_ctxt *c, unsigned int nr)
{
	(void)c;
	return crs[nr];
}

int machine_set_cr(struct x86_emulate_ctxt *c, unsigned int nr, u64 val)
{
	(void)c;
	crs[nr] = val;
	return X86EMUL_CONTINUE;
}
