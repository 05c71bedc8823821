/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Descriptors and segment registers, for what loads them: segment.c, control.c,
 * task.c, system.c.
 */
#ifndef X86_SEGMENT_H
#define X86_SEGMENT_H

#include "emulator.h"

struct descriptor {
	u64 raw;
	u64 addr;		/* of its entry, for the accessed and busy bits */
};

static inline unsigned int desc_type(const struct descriptor *desc)
{
	return desc->raw >> 40 & 15;
}

static inline bool desc_s(const struct descriptor *desc)
{
	return desc->raw >> 44 & 1;
}

static inline unsigned int desc_dpl(const struct descriptor *desc)
{
	return desc->raw >> 45 & 3;
}

static inline bool desc_present(const struct descriptor *desc)
{
	return desc->raw >> 47 & 1;
}

enum {
	SYS_TSS16 = 1, SYS_LDT = 2, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_TSS32 = 9,
	SYS_CALL32 = 12, SYS_BUSY = 2,
};

void x86em_desc_to_seg(const struct descriptor *desc, u16 selector, struct x86_seg *seg);
void x86em_find_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int bytes,
			   u64 *addr, bool *found);
int x86em_read_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, u8 vector,
			  struct descriptor *desc);
int x86em_write_desc_type(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			  unsigned int bits);
void x86em_load_segment_real(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector);
void x86em_load_null_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector,
			     unsigned int dpl);
int x86em_check_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level, bool to64,
		   u8 vector, struct x86_seg *s);
int x86em_load_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level, bool to64,
		  u8 vector);
int x86em_load_data_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector,
			    u8 vector);

/* task.c */
int x86em_task_switch(struct x86_emulate_ctxt *ctxt, u16 selector, enum x86emul_task why);
int x86em_iret_task(struct x86_emulate_ctxt *ctxt);

#endif
