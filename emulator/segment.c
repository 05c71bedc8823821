// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's descriptors and segment registers.
 */
#include "segment.h"

/* SDM 3A "Segment Descriptors" */
void x86em_desc_to_seg(const struct descriptor *desc, u16 selector, struct x86_seg *seg)
{
	u64 raw = desc->raw;

	*seg = (struct x86_seg){
		.selector = selector, .base = (raw >> 16 & 0xffffff) | (raw >> 56) << 24,
		.limit = (raw & 0xffff) | (raw >> 32 & 0xf0000), .type = desc_type(desc),
		.s = desc_s(desc), .dpl = desc_dpl(desc), .present = desc_present(desc),
		.avl = raw >> 52 & 1, .l = raw >> 53 & 1, .db = raw >> 54 & 1, .g = raw >> 55 & 1,
	};
	if (seg->g)
		seg->limit = seg->limit << 12 | 0xfff;
}

/* *found: is bytes at selector inside its table?  Then *addr is where. */
void x86em_find_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int bytes,
			   u64 *addr, bool *found)
{
	struct x86_dtable gdt;
	struct x86_seg ldt;
	unsigned int index = selector & ~7u;

	if (selector & 4) {
		ctxt->ops->get_segment(ctxt, X86_SEG_LDTR, &ldt);
		*found = !ldt.unusable && index + bytes - 1 <= ldt.limit;
		*addr = ldt.base + index;
	} else {
		ctxt->ops->get_dtable(ctxt, X86EMUL_GDT, &gdt);
		*found = index + bytes - 1 <= gdt.limit;
		*addr = gdt.base + index;
	}
	if (!mode64(ctxt))
		*addr = (u32)*addr;
}

int x86em_read_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, u8 vector,
			  struct descriptor *desc)
{
	bool found;

	x86em_find_descriptor(ctxt, selector, 8, &desc->addr, &found);
	if (!found)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	return x86em_mem_read(ctxt, desc->addr, &desc->raw, 8, X86EMUL_ACC_SYSTEM);
}

/* The accessed bit of a segment, or the busy bit of a TSS, is set in memory. */
int x86em_write_desc_type(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			  unsigned int bits)
{
	u8 byte = desc->raw >> 40 | bits;

	if ((desc_type(desc) & bits) == bits)
		return X86EMUL_CONTINUE;
	desc->raw |= (u64)bits << 40;
	return x86em_mem_write(ctxt, desc->addr + 5, &byte, 1, X86EMUL_ACC_SYSTEM);
}

/* SDM 3A "Real-Address Mode Operation": limit and attributes stay as they are. */
void x86em_load_segment_real(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector)
{
	struct x86_seg s;

	ctxt->ops->get_segment(ctxt, seg, &s);
	s.selector = selector;
	s.base = (u32)selector << 4;
	if (ctxt->mode == X86EMUL_MODE_VM86) {
		s.limit = 0xffff;
		s.type = s.dpl = 3;
		s.s = s.present = 1;
		s.db = s.l = s.g = 0;
	}
	s.unusable = 0;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

static void null_segment(struct x86_seg *s, u16 selector, unsigned int dpl)
{
	*s = (struct x86_seg){ .selector = selector, .unusable = 1, .dpl = dpl };
}

void x86em_load_null_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector,
			     unsigned int dpl)
{
	struct x86_seg s;

	null_segment(&s, selector, dpl);
	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* SDM 2B "MOV": SS, for privilege level level; checked and marked, not yet loaded */
int x86em_check_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level, bool to64,
		   u8 vector, struct x86_seg *s)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;

	if (!(selector & 0xfffc)) {
		if (!to64 || level == 3 || rpl != level)
			return x86_emulate_fault_code(ctxt, vector, 0);
		null_segment(s, selector, level);
		return X86EMUL_CONTINUE;
	}
	TRY(x86em_read_descriptor(ctxt, selector, vector, &desc));
	if (rpl != level || !desc_s(&desc) || (desc_type(&desc) & 0xa) != 2 ||
	    desc_dpl(&desc) != level)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_SS, selector & 0xfffc);
	TRY(x86em_write_desc_type(ctxt, &desc, 1));
	x86em_desc_to_seg(&desc, selector, s);
	return X86EMUL_CONTINUE;
}

int x86em_load_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level, bool to64,
		  u8 vector)
{
	struct x86_seg s;

	TRY(x86em_check_ss(ctxt, selector, level, to64, vector, &s));
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &s);
	return X86EMUL_CONTINUE;
}

/* DS, ES, FS, GS */
int x86em_load_data_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector,
			    u8 vector)
{
	unsigned int level = cpl(ctxt), rpl = selector & 3, type;
	struct descriptor desc;
	struct x86_seg s;

	if (!(selector & 0xfffc)) {
		x86em_load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	TRY(x86em_read_descriptor(ctxt, selector, vector, &desc));
	type = desc_type(&desc);
	if (!desc_s(&desc) || (type & 0xa) == 8)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	/* All but conforming code is guarded by its DPL. */
	if ((type & 0xc) != 0xc && (rpl > desc_dpl(&desc) || level > desc_dpl(&desc)))
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	TRY(x86em_write_desc_type(ctxt, &desc, 1));
	x86em_desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, seg, &s);
	return X86EMUL_CONTINUE;
}

/* MOV, POP and LxS to a segment register other than CS */
static int load_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector)
{
	if (!prot_mode(ctxt)) {
		x86em_load_segment_real(ctxt, seg, selector);
		return X86EMUL_CONTINUE;
	}
	if (seg == X86_SEG_SS)
		return x86em_load_ss(ctxt, selector, cpl(ctxt), mode64(ctxt), EXC_GP);
	return x86em_load_data_segment(ctxt, seg, selector, EXC_GP);
}

/* 06 to 1F have the segment in bits 4:3, 0F A0 to A9 (FS and GS) in bit 3. */
static unsigned int opcode_segment(const struct x86_decode *d)
{
	if (d->map)
		return d->opcode & 8 ? X86_SEG_GS : X86_SEG_FS;
	return d->opcode >> 3 & 3;
}

int em_push_seg(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg s;

	ctxt->ops->get_segment(ctxt, opcode_segment(&ctxt->d), &s);
	return x86em_push(ctxt, s.selector, ctxt->d.op_bytes);
}

int em_pop_seg(struct x86_emulate_ctxt *ctxt)
{
	unsigned int seg = opcode_segment(&ctxt->d);
	u64 val;

	TRY(x86em_pop(ctxt, &val, ctxt->d.op_bytes));
	TRY(load_segment(ctxt, seg, val));
	if (seg == X86_SEG_SS)
		ctxt->interruptibility = X86EMUL_SHADOW_MOV_SS;
	return X86EMUL_CONTINUE;
}

int em_mov_from_seg(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg s;

	if (OP1.reg > X86_SEG_GS)
		return fault_ud(ctxt);
	ctxt->ops->get_segment(ctxt, OP1.reg, &s);
	store_16(ctxt, s.selector);
	return X86EMUL_CONTINUE;
}

int em_mov_to_seg(struct x86_emulate_ctxt *ctxt)
{
	if (OP0.reg > X86_SEG_GS || OP0.reg == X86_SEG_CS)
		return fault_ud(ctxt);
	TRY(load_segment(ctxt, OP0.reg, OP1.val));
	if (OP0.reg == X86_SEG_SS)
		ctxt->interruptibility = X86EMUL_SHADOW_MOV_SS;
	return X86EMUL_CONTINUE;
}

/* LES, LDS, LSS, LFS, LGS */
int em_load_far(struct x86_emulate_ctxt *ctxt)
{
	static const u8 segs[] = { [2] = X86_SEG_SS, [4] = X86_SEG_FS, [5] = X86_SEG_GS };
	unsigned int bytes = ctxt->d.op_bytes, seg;
	u64 offset = 0;
	u16 selector;

	if (ctxt->d.map)
		seg = segs[ctxt->d.opcode & 7];
	else
		seg = ctxt->d.opcode == 0xc4 ? X86_SEG_ES : X86_SEG_DS;
	TRY(x86em_read_ea(ctxt, 0, &offset, bytes));
	TRY(x86em_read_ea(ctxt, bytes, &selector, 2));
	TRY(load_segment(ctxt, seg, selector));
	put_reg(ctxt, OP0.reg, offset, bytes);
	return X86EMUL_CONTINUE;
}
