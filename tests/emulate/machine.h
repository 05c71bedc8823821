/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine's segments, tables and control registers, and the ops that do no more
 * than look at them and change them.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include "emulator.h"

extern struct x86_seg segs[8];
extern struct x86_dtable tables[2];	/* by enum x86emul_dtable */
extern u64 crs[9];
extern u64 efer;

void machine_get_segment(struct x86_emulate_ctxt *c, unsigned int seg, struct x86_seg *s);
void machine_set_segment(struct x86_emulate_ctxt *c, unsigned int seg, const struct x86_seg *s);
void machine_get_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable which,
			 struct x86_dtable *val);
void machine_set_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable which,
			 const struct x86_dtable *val);
unsigned int machine_get_cpl(struct x86_emulate_ctxt *c);
u64 machine_get_cr(struct x86_emulate_ctxt *c, unsigned int nr);
int machine_set_cr(struct x86_emulate_ctxt *c, unsigned int nr, u64 val);

#define MACHINE_OPS \
	.get_segment = machine_get_segment, .set_segment = machine_set_segment, \
	.get_dtable = machine_get_dtable, .set_dtable = machine_set_dtable, \
	.get_cpl = machine_get_cpl, .get_cr = machine_get_cr, .set_cr = machine_set_cr

#endif
