// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's control transfers, segments, system calls and system registers.
 */
#include "x86_emulate_priv.h"

/* ---- descriptors and segments ---- */

struct descriptor {
	u64 raw;
	u64 addr;		/* of its entry, for the accessed and busy bits */
};

static unsigned int desc_type(const struct descriptor *desc)
{
	return desc->raw >> 40 & 15;
}

static bool desc_s(const struct descriptor *desc)
{
	return desc->raw >> 44 & 1;
}

static unsigned int desc_dpl(const struct descriptor *desc)
{
	return desc->raw >> 45 & 3;
}

static bool desc_present(const struct descriptor *desc)
{
	return desc->raw >> 47 & 1;
}

/* SDM 3A "Segment Descriptors" */
static void desc_to_seg(const struct descriptor *desc, u16 selector,
			struct x86_seg *seg)
{
	u64 raw = desc->raw;

	seg->selector = selector;
	seg->base = (raw >> 16 & 0xffffff) | (raw >> 56) << 24;
	seg->limit = (raw & 0xffff) | (raw >> 32 & 0xf0000);
	seg->type = desc_type(desc);
	seg->s = desc_s(desc);
	seg->dpl = desc_dpl(desc);
	seg->present = desc_present(desc);
	seg->avl = raw >> 52 & 1;
	seg->l = raw >> 53 & 1;
	seg->db = raw >> 54 & 1;
	seg->g = raw >> 55 & 1;
	seg->unusable = 0;
	if (seg->g)
		seg->limit = seg->limit << 12 | 0xfff;
}

/* *found: is bytes at selector inside its table?  Then *addr is where. */
static void find_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector,
			    unsigned int bytes, u64 *addr, bool *found)
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

static int read_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector,
			   u8 vector, struct descriptor *desc)
{
	bool found;

	find_descriptor(ctxt, selector, 8, &desc->addr, &found);
	if (!found)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	return x86em_mem_read(ctxt, desc->addr, &desc->raw, 8, X86EMUL_ACC_SYSTEM);
}

/* The accessed bit of a segment, or the busy bit of a TSS, is set in memory. */
static int write_desc_type(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			   unsigned int bits)
{
	u8 byte = desc->raw >> 40 | bits;

	if ((desc_type(desc) & bits) == bits)
		return X86EMUL_CONTINUE;
	desc->raw |= (u64)bits << 40;
	return x86em_mem_write(ctxt, desc->addr + 5, &byte, 1, X86EMUL_ACC_SYSTEM);
}

/* SDM 3A "Real-Address Mode Operation": limit and attributes stay as they are. */
static void load_segment_real(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			      u16 selector)
{
	struct x86_seg s;

	ctxt->ops->get_segment(ctxt, seg, &s);
	s.selector = selector;
	s.base = (u32)selector << 4;
	if (ctxt->mode == X86EMUL_MODE_VM86) {
		s.limit = 0xffff;
		s.type = 3;
		s.s = 1;
		s.dpl = 3;
		s.present = 1;
		s.db = s.l = s.g = 0;
	}
	s.unusable = 0;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

static void load_null_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			      u16 selector, unsigned int dpl)
{
	struct x86_seg s;

	memset(&s, 0, sizeof(s));
	s.selector = selector;
	s.unusable = 1;
	s.dpl = dpl;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* SDM 2B "MOV": SS, loaded at (or for a return to) privilege level cpl_new */
static int load_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level,
		   bool to64, u8 vector)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	struct x86_seg s;
	int rc;

	if (!(selector & 0xfffc)) {
		if (!to64 || level == 3 || rpl != level)
			return x86_emulate_fault_code(ctxt, vector, 0);
		load_null_segment(ctxt, X86_SEG_SS, selector, level);
		return X86EMUL_CONTINUE;
	}
	rc = read_descriptor(ctxt, selector, vector, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (rpl != level || !desc_s(&desc) || (desc_type(&desc) & 0xa) != 2 ||
	    desc_dpl(&desc) != level)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_SS, selector & 0xfffc);
	rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &s);
	return X86EMUL_CONTINUE;
}

/* DS, ES, FS, GS */
static int load_data_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			     u16 selector)
{
	unsigned int level = cpl(ctxt), rpl = selector & 3, type;
	struct descriptor desc;
	struct x86_seg s;
	int rc;

	if (!(selector & 0xfffc)) {
		load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	rc = read_descriptor(ctxt, selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	type = desc_type(&desc);
	if (!desc_s(&desc) || (type & 0xa) == 8)
		return fault_gp(ctxt, selector & 0xfffc);
	/* All but conforming code is guarded by its DPL. */
	if ((type & 0xc) != 0xc &&
	    (rpl > desc_dpl(&desc) || level > desc_dpl(&desc)))
		return fault_gp(ctxt, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, seg, &s);
	return X86EMUL_CONTINUE;
}

/* MOV, POP and LxS to a segment register other than CS */
static int load_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector)
{
	if (!prot_mode(ctxt)) {
		load_segment_real(ctxt, seg, selector);
		return X86EMUL_CONTINUE;
	}
	if (seg == X86_SEG_SS)
		return load_ss(ctxt, selector, cpl(ctxt), mode64(ctxt), EXC_GP);
	return load_data_segment(ctxt, seg, selector);
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
	int rc;

	rc = x86em_pop(ctxt, &val, ctxt->d.op_bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = load_segment(ctxt, seg, val);
	if (rc == X86EMUL_CONTINUE && seg == X86_SEG_SS)
		ctxt->interruptibility = X86EMUL_SHADOW_MOV_SS;
	return rc;
}

/* Stores of a selector (or MSW): 16 bits to memory, the size in force to a register. */
static void store_16(struct x86_emulate_ctxt *ctxt, u64 val)
{
	if (OP0.kind == OPK_MEM)
		OP0.bytes = 2;
	OP0.val = val;
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
	int rc;

	if (OP0.reg > X86_SEG_GS || OP0.reg == X86_SEG_CS)
		return fault_ud(ctxt);
	rc = load_segment(ctxt, OP0.reg, OP1.val);
	if (rc == X86EMUL_CONTINUE && OP0.reg == X86_SEG_SS)
		ctxt->interruptibility = X86EMUL_SHADOW_MOV_SS;
	return rc;
}

/* LES, LDS, LSS, LFS, LGS */
int em_load_far(struct x86_emulate_ctxt *ctxt)
{
	static const u8 segs[] = { [2] = X86_SEG_SS, [4] = X86_SEG_FS, [5] = X86_SEG_GS };
	unsigned int bytes = ctxt->d.op_bytes, seg;
	u64 offset = 0;
	u16 selector;
	int rc;

	if (ctxt->d.map)
		seg = segs[ctxt->d.opcode & 7];
	else
		seg = ctxt->d.opcode == 0xc4 ? X86_SEG_ES : X86_SEG_DS;
	rc = x86em_read_ea(ctxt, 0, &offset, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_read_ea(ctxt, bytes, &selector, 2);
	if (rc == X86EMUL_CONTINUE)
		rc = load_segment(ctxt, seg, selector);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, OP0.reg, offset, bytes);
	return rc;
}

/* ---- near control transfers ---- */

static int jump_to(struct x86_emulate_ctxt *ctxt, u64 target)
{
	struct x86_seg cs;

	target &= x86_mask(ctxt->d.op_bytes);
	if (mode64(ctxt)) {
		if (!x86_canonical(ctxt, target))
			return fault_gp(ctxt, 0);
	} else {
		ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
		if (target > cs.limit)
			return fault_gp(ctxt, 0);
	}
	ctxt->next_rip = target;
	return X86EMUL_CONTINUE;
}

int em_jmp_rel(struct x86_emulate_ctxt *ctxt)
{
	return jump_to(ctxt, ctxt->next_rip + OP0.val);
}

int em_jmp_abs(struct x86_emulate_ctxt *ctxt)
{
	return jump_to(ctxt, OP0.val);
}

int em_jcc(struct x86_emulate_ctxt *ctxt)
{
	if (!x86em_condition(ctxt, ctxt->d.opcode))
		return X86EMUL_CONTINUE;
	return em_jmp_rel(ctxt);
}

/*
 * LOOPNE (E0), LOOPE (E1), LOOP (E2).  On AMD's processors a REPNE or REPE prefix
 * replaces the condition that the opcode's low bit gives.
 */
int em_loop(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.ad_bytes;
	bool zf = ctxt->d.opcode & 1;

	add_reg(ctxt, X86_RCX, (u64)-1, bytes);
	if (!get_reg(ctxt, X86_RCX, bytes))
		return X86EMUL_CONTINUE;
	if (ctxt->d.rep && ctxt->amd)
		zf = ctxt->d.rep == 0xf3;
	if (ctxt->d.opcode != 0xe2 && flag(ctxt, X86_FLAG_ZF) != zf)
		return X86EMUL_CONTINUE;
	return em_jmp_rel(ctxt);
}

int em_jcxz(struct x86_emulate_ctxt *ctxt)
{
	if (get_reg(ctxt, X86_RCX, ctxt->d.ad_bytes))
		return X86EMUL_CONTINUE;
	return em_jmp_rel(ctxt);
}

/* Would this push succeed? */
static int probe_push(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	u64 sp = (ctxt->regs[X86_RSP] - bytes) & x86_mask(x86em_stack_bytes(ctxt));
	u64 linear;
	int rc;

	rc = x86em_linearize(ctxt, X86_SEG_SS, sp, bytes, true, &linear);
	return rc == X86EMUL_CONTINUE ? x86em_probe_write(ctxt, linear, bytes) : rc;
}

/* Where both the stack and the target are bad, AMD faults on the stack. */
static int call_to(struct x86_emulate_ctxt *ctxt, u64 target)
{
	u64 back = ctxt->next_rip;
	int rc = X86EMUL_CONTINUE;

	if (ctxt->amd)
		rc = probe_push(ctxt, ctxt->d.op_bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = jump_to(ctxt, target);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_push(ctxt, back, ctxt->d.op_bytes);
	return rc;
}

int em_call_rel(struct x86_emulate_ctxt *ctxt)
{
	return call_to(ctxt, ctxt->next_rip + OP0.val);
}

int em_call_abs(struct x86_emulate_ctxt *ctxt)
{
	return call_to(ctxt, OP0.val);
}

int em_ret(struct x86_emulate_ctxt *ctxt)
{
	u64 target;
	int rc;

	rc = x86em_pop(ctxt, &target, ctxt->d.op_bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = jump_to(ctxt, target);
	if (rc == X86EMUL_CONTINUE && OP0.kind == OPK_IMM)
		x86em_add_rsp(ctxt, OP0.val);
	return rc;
}

/* ---- far control transfers ---- */

/* The segment that real and virtual-8086 mode make of a selector, not yet loaded. */
static int check_cs_real(struct x86_emulate_ctxt *ctxt, u64 offset)
{
	struct x86_seg cs;

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	if (offset > (ctxt->mode == X86EMUL_MODE_VM86 ? 0xffff : cs.limit))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* What a code segment asks of an instruction pointer, and of itself. */
static int check_cs_common(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			   u16 selector, u64 offset, struct x86_seg *cs)
{
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(desc, selector, cs);
	if (!lm)
		cs->l = 0;
	if (cs->l && cs->db)
		return fault_gp(ctxt, selector & 0xfffc);
	if (!cs->present)
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (cs->l ? !x86_canonical(ctxt, offset) : offset > cs->limit)
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

static int push_cs_ip(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	struct x86_seg cs;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	rc = x86em_push(ctxt, cs.selector, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_push(ctxt, ctxt->next_rip, bytes);
	return rc;
}

/*
 * SDM 2A "CALL", "JMP": direct far transfers to code segments.  Gates and task
 * switches are not covered.
 */
static int far_transfer(struct x86_emulate_ctxt *ctxt, u16 selector, u64 offset,
			unsigned int bytes, bool call)
{
	struct descriptor desc;
	struct x86_seg cs;
	unsigned int level;
	int rc;

	offset &= x86_mask(bytes);
	if (!prot_mode(ctxt)) {
		rc = check_cs_real(ctxt, offset);
		if (rc == X86EMUL_CONTINUE && call)
			rc = push_cs_ip(ctxt, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		load_segment_real(ctxt, X86_SEG_CS, selector);
		ctxt->next_rip = offset;
		return X86EMUL_CONTINUE;
	}

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	rc = read_descriptor(ctxt, selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(&desc))
		return X86EMUL_UNHANDLEABLE;
	level = cpl(ctxt);
	if (!(desc_type(&desc) & 8))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(&desc) & 4 ? desc_dpl(&desc) > level :
	    (selector & 3) > level || desc_dpl(&desc) != level)
		return fault_gp(ctxt, selector & 0xfffc);
	rc = check_cs_common(ctxt, &desc, (selector & ~3u) | level, offset, &cs);
	if (rc == X86EMUL_CONTINUE && call)
		rc = push_cs_ip(ctxt, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	cs.type |= 1;
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

int em_call_far(struct x86_emulate_ctxt *ctxt)
{
	return far_transfer(ctxt, OP0.val >> 32, (u32)OP0.val, ctxt->d.op_bytes, true);
}

int em_jmp_far(struct x86_emulate_ctxt *ctxt)
{
	return far_transfer(ctxt, OP0.val >> 32, (u32)OP0.val, ctxt->d.op_bytes, false);
}

static int far_mem(struct x86_emulate_ctxt *ctxt, bool call)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 offset = 0;
	u16 selector;
	int rc;

	/* m16:64 is Intel's alone; AMD reads m16:32. */
	if (bytes == 8 && ctxt->amd)
		bytes = 4;
	rc = x86em_read_ea(ctxt, 0, &offset, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_read_ea(ctxt, bytes, &selector, 2);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return far_transfer(ctxt, selector, offset, bytes, call);
}

int em_call_far_mem(struct x86_emulate_ctxt *ctxt)
{
	return far_mem(ctxt, true);
}

int em_jmp_far_mem(struct x86_emulate_ctxt *ctxt)
{
	return far_mem(ctxt, false);
}

/* The code segment of a far return or IRET, checked and marked, not yet loaded. */
static int check_return_cs(struct x86_emulate_ctxt *ctxt, u16 selector, u64 offset,
			   struct x86_seg *cs)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	int rc;

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	rc = read_descriptor(ctxt, selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(&desc) || !(desc_type(&desc) & 8) || rpl < cpl(ctxt))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(&desc) & 4 ? desc_dpl(&desc) > rpl : desc_dpl(&desc) != rpl)
		return fault_gp(ctxt, selector & 0xfffc);
	rc = check_cs_common(ctxt, &desc, selector, offset, cs);
	if (rc == X86EMUL_CONTINUE)
		rc = write_desc_type(ctxt, &desc, 1);
	cs->type |= 1;
	return rc;
}

/*
 * SDM 3A "Returning from a Called Procedure": segments that the outer level may
 * not use become null.
 */
static void drop_data_segments(struct x86_emulate_ctxt *ctxt, unsigned int level)
{
	static const u8 segs[] = { X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	struct x86_seg s;
	unsigned int i;

	for (i = 0; i < sizeof(segs); i++) {
		ctxt->ops->get_segment(ctxt, segs[i], &s);
		if (!s.unusable && s.dpl < level && (s.type & 0xc) != 0xc)
			load_null_segment(ctxt, segs[i], 0, 0);
	}
}

/* Load SS:rSP popped by a return to level, then CS: nothing faults after SS. */
static int return_with_stack(struct x86_emulate_ctxt *ctxt, const struct x86_seg *cs,
			     u16 ss_selector, u64 sp, unsigned int from_level)
{
	unsigned int level = cs->selector & 3;
	int rc;

	rc = load_ss(ctxt, ss_selector, level, cs->l, EXC_GP);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (cs->l)
		set_reg(ctxt, X86_RSP, sp);
	else
		x86em_add_rsp(ctxt, sp - ctxt->regs[X86_RSP]);
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, cs);
	if (level > from_level)
		drop_data_segments(ctxt, level);
	return X86EMUL_CONTINUE;
}

int em_ret_far(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level;
	u64 offset, selector, sp, ss, extra = OP0.kind == OPK_IMM ? OP0.val : 0;
	struct x86_seg cs;
	int rc;

	rc = x86em_pop(ctxt, &offset, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_pop(ctxt, &selector, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	x86em_add_rsp(ctxt, extra);
	if (!prot_mode(ctxt)) {
		rc = check_cs_real(ctxt, offset);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		load_segment_real(ctxt, X86_SEG_CS, selector);
		ctxt->next_rip = offset;
		return X86EMUL_CONTINUE;
	}
	level = cpl(ctxt);
	rc = check_return_cs(ctxt, selector, offset, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if ((selector & 3) > level) {
		rc = x86em_pop(ctxt, &sp, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = x86em_pop(ctxt, &ss, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = return_with_stack(ctxt, &cs, ss, sp + extra, level);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	} else {
		ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	}
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

/* ---- interrupts and returns from them ---- */

/* SDM 3B "Interrupt and Exception Handling" in real-address mode */
static int int_real(struct x86_emulate_ctxt *ctxt, unsigned int vector)
{
	struct x86_dtable ivt;
	struct x86_seg cs;
	u16 entry[2];
	int rc;

	ctxt->ops->get_dtable(ctxt, X86EMUL_IDT, &ivt);
	if (vector * 4 + 3 > ivt.limit)
		return fault_gp(ctxt, vector * 8 + 2);
	rc = x86em_mem_read(ctxt, (u32)(ivt.base + vector * 4), entry, 4,
			    X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	if (entry[0] > cs.limit)
		return fault_gp(ctxt, 0);
	rc = x86em_push(ctxt, ctxt->rflags, 2);
	if (rc == X86EMUL_CONTINUE)
		rc = push_cs_ip(ctxt, 2);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF, 0);
	load_segment_real(ctxt, X86_SEG_CS, entry[1]);
	ctxt->next_rip = entry[0];
	return X86EMUL_CONTINUE;
}

/* Through a protected-mode IDT: not covered. */
static int software_int(struct x86_emulate_ctxt *ctxt, unsigned int vector)
{
	if (ctxt->mode != X86EMUL_MODE_REAL)
		return X86EMUL_UNHANDLEABLE;
	return int_real(ctxt, vector);
}

int em_int(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = x86em_check_vm86_iopl(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return software_int(ctxt, OP0.val);
}

int em_int1(struct x86_emulate_ctxt *ctxt)
{
	return software_int(ctxt, EXC_DB);
}

int em_int3(struct x86_emulate_ctxt *ctxt)
{
	return software_int(ctxt, EXC_BP);
}

int em_into(struct x86_emulate_ctxt *ctxt)
{
	if (!flag(ctxt, X86_FLAG_OF))
		return X86EMUL_CONTINUE;
	return software_int(ctxt, EXC_OF);
}

static int pop_ip_cs_flags(struct x86_emulate_ctxt *ctxt, u64 *ip, u64 *cs,
			   u64 *flags)
{
	unsigned int bytes = ctxt->d.op_bytes;
	int rc;

	rc = x86em_pop(ctxt, ip, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_pop(ctxt, cs, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_pop(ctxt, flags, bytes);
	return rc;
}

static int iret_real(struct x86_emulate_ctxt *ctxt)
{
	u64 ip, cs, flags;
	u32 mask;
	int rc;

	rc = x86em_check_vm86_iopl(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = pop_ip_cs_flags(ctxt, &ip, &cs, &flags);
	if (rc == X86EMUL_CONTINUE)
		rc = check_cs_real(ctxt, ip);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	mask = x86em_popf_mask(ctxt, ctxt->d.op_bytes);
	if (ctxt->d.op_bytes > 2)
		mask |= X86_FLAG_RF;
	set_flags(ctxt, mask, flags);
	load_segment_real(ctxt, X86_SEG_CS, cs);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

/*
 * SDM 2A "IRET/IRETD/IRETQ".  Returns to virtual-8086 mode and from a nested
 * task are not covered.
 */
static int iret_prot(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = cpl(ctxt);
	u64 ip, cs_selector, flags, sp, ss;
	struct x86_seg cs;
	u32 mask;
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (flag(ctxt, X86_FLAG_NT))
		return lm ? fault_gp(ctxt, 0) : X86EMUL_UNHANDLEABLE;
	rc = pop_ip_cs_flags(ctxt, &ip, &cs_selector, &flags);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!lm && bytes > 2 && (flags & X86_FLAG_VM) && level == 0)
		return X86EMUL_UNHANDLEABLE;
	rc = check_return_cs(ctxt, cs_selector, ip, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	mask = x86em_popf_mask(ctxt, bytes);
	if (bytes > 2)
		mask |= X86_FLAG_RF;
	if (bytes > 2 && level == 0)
		mask |= X86_FLAG_VIF | X86_FLAG_VIP;
	/* In 64-bit mode SS:RSP is always there. */
	if (mode64(ctxt) || (cs_selector & 3) > level) {
		rc = x86em_pop(ctxt, &sp, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = x86em_pop(ctxt, &ss, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = return_with_stack(ctxt, &cs, ss, sp, level);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	} else {
		ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	}
	set_flags(ctxt, mask, flags);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

int em_iret(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = prot_mode(ctxt) ? iret_prot(ctxt) : iret_real(ctxt);
	if (rc == X86EMUL_CONTINUE && ctxt->ops->unblock_nmi)
		ctxt->ops->unblock_nmi(ctxt);
	return rc;
}

/* ---- system calls ---- */

/* The flat segments that these instructions load without a descriptor. */
static void set_flat(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector,
		     unsigned int dpl, bool l)
{
	struct x86_seg s;

	memset(&s, 0, sizeof(s));
	s.selector = selector;
	s.limit = 0xffffffff;
	s.type = seg == X86_SEG_CS ? 0xb : 3;
	s.s = 1;
	s.dpl = dpl;
	s.present = 1;
	s.l = l;
	s.db = !l;
	s.g = 1;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* EFER.SCE, and Intel's limit to 64-bit mode; *efer for what follows. */
static int check_syscall(struct x86_emulate_ctxt *ctxt, u64 *efer)
{
	int rc;

	if (!prot_mode(ctxt) || !has_feature(ctxt, X86EMUL_FEAT_SYSCALL))
		return fault_ud(ctxt);
	if (!ctxt->amd && !mode64(ctxt))
		return fault_ud(ctxt);
	rc = get_efer(ctxt, efer);
	if (rc == X86EMUL_CONTINUE && !(*efer & EFER_SCE_BIT))
		return fault_ud(ctxt);
	return rc;
}

int em_syscall(struct x86_emulate_ctxt *ctxt)
{
	u64 efer, star, target, mask;
	u16 selector;
	int rc;

	rc = check_syscall(ctxt, &efer);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_STAR_NR, &star);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	selector = star >> 32 & 0xfffc;
	if (efer & EFER_LMA_BIT) {
		rc = ctxt->ops->get_msr(ctxt, mode64(ctxt) ? MSR_LSTAR_NR : MSR_CSTAR_NR,
					&target);
		if (rc == X86EMUL_CONTINUE)
			rc = ctxt->ops->get_msr(ctxt, MSR_SFMASK_NR, &mask);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		set_reg(ctxt, X86_RCX, ctxt->next_rip);
		set_reg(ctxt, X86_R11, ctxt->rflags & ~(u64)X86_FLAG_RF);
		ctxt->rflags &= ~(mask | X86_FLAG_RF);
		ctxt->rflags |= X86_FLAG_FIXED;
	} else {
		target = (u32)star;
		put_reg(ctxt, X86_RCX, ctxt->next_rip, 4);
		set_flags(ctxt, X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF, 0);
	}
	set_flat(ctxt, X86_SEG_SS, selector + 8, 0, false);
	set_flat(ctxt, X86_SEG_CS, selector, 0, efer & EFER_LMA_BIT);
	ctxt->next_rip = target;
	return X86EMUL_CONTINUE;
}

/* APM 3 "SYSRET": AMD loads SS's selector and leaves its hidden part alone. */
static void sysret_ss(struct x86_emulate_ctxt *ctxt, u16 selector)
{
	struct x86_seg ss;

	if (!ctxt->amd) {
		set_flat(ctxt, X86_SEG_SS, selector, 3, false);
		return;
	}
	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	ss.selector = selector;
	ss.dpl = 3;
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &ss);
}

int em_sysret(struct x86_emulate_ctxt *ctxt)
{
	bool to64 = ctxt->d.op_bytes == 8;
	u64 efer, star, target;
	u16 selector;
	int rc;

	rc = check_syscall(ctxt, &efer);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	target = get_reg(ctxt, X86_RCX, to64 ? 8 : 4);
	if (cpl(ctxt) || (to64 && !ctxt->amd && !x86_canonical(ctxt, target)))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->get_msr(ctxt, MSR_STAR_NR, &star);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	selector = star >> 48;
	if (efer & EFER_LMA_BIT)
		ctxt->rflags = (ctxt->regs[X86_R11] & 0x3c7fd7) | X86_FLAG_FIXED;
	else
		set_flags(ctxt, X86_FLAG_IF, X86_FLAG_IF);
	sysret_ss(ctxt, (selector + 8) | 3);
	set_flat(ctxt, X86_SEG_CS, (selector + (to64 ? 16 : 0)) | 3, 3, to64);
	ctxt->next_rip = target;
	return X86EMUL_CONTINUE;
}

/* AMD has SYSENTER and SYSEXIT in legacy mode only. */
static int check_sysenter(struct x86_emulate_ctxt *ctxt, bool *lm, u64 *selector)
{
	int rc;

	if (!has_feature(ctxt, X86EMUL_FEAT_SYSENTER))
		return fault_ud(ctxt);
	rc = x86em_long_mode(ctxt, lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (*lm && ctxt->amd)
		return fault_ud(ctxt);
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->get_msr(ctxt, MSR_SYSENTER_CS, selector);
	*selector &= 0xfffc;
	if (rc == X86EMUL_CONTINUE && !*selector)
		return fault_gp(ctxt, 0);
	return rc;
}

int em_sysenter(struct x86_emulate_ctxt *ctxt)
{
	u64 selector = 0, rip, rsp;
	bool lm;
	int rc;

	rc = check_sysenter(ctxt, &lm, &selector);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_SYSENTER_EIP, &rip);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_SYSENTER_ESP, &rsp);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF, 0);
	set_flat(ctxt, X86_SEG_SS, selector + 8, 0, false);
	set_flat(ctxt, X86_SEG_CS, selector, 0, lm);
	put_reg(ctxt, X86_RSP, rsp, lm ? 8 : 4);
	ctxt->next_rip = rip & x86_mask(lm ? 8 : 4);
	return X86EMUL_CONTINUE;
}

int em_sysexit(struct x86_emulate_ctxt *ctxt)
{
	bool to64 = ctxt->d.op_bytes == 8, lm;
	unsigned int bytes = to64 ? 8 : 4;
	u64 selector = 0, rip, rsp;
	int rc;

	rc = check_sysenter(ctxt, &lm, &selector);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rip = get_reg(ctxt, X86_RDX, bytes);
	rsp = get_reg(ctxt, X86_RCX, bytes);
	if (cpl(ctxt) || (to64 && !(x86_canonical(ctxt, rip) && x86_canonical(ctxt, rsp))))
		return fault_gp(ctxt, 0);
	selector += to64 ? 32 : 16;
	set_flat(ctxt, X86_SEG_SS, (selector + 8) | 3, 3, false);
	set_flat(ctxt, X86_SEG_CS, selector | 3, 3, to64);
	put_reg(ctxt, X86_RSP, rsp, bytes);
	ctxt->next_rip = rip;
	return X86EMUL_CONTINUE;
}

/* ---- system registers and tables ---- */

static int load_dtable(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which)
{
	struct x86_dtable val = { 0, 0 };
	unsigned int bytes = mode64(ctxt) ? 8 : 4;
	int rc;

	rc = x86em_read_ea(ctxt, 0, &val.limit, 2);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_read_ea(ctxt, 2, &val.base, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!mode64(ctxt) && ctxt->d.op_bytes == 2)
		val.base &= 0xffffff;
	if (!x86_canonical(ctxt, val.base))
		return fault_gp(ctxt, 0);
	ctxt->ops->set_dtable(ctxt, which, &val);
	return X86EMUL_CONTINUE;
}

/* CR4.UMIP keeps user code from what these tell about the kernel. */
static int check_umip(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt) && (ctxt->ops->get_cr(ctxt, 4) & CR4_UMIP))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

static int store_dtable(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which)
{
	unsigned int bytes = mode64(ctxt) ? 8 : 4;
	struct x86_dtable val;
	u8 image[10];
	int rc;

	rc = check_umip(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->get_dtable(ctxt, which, &val);
	memcpy(image, &val.limit, 2);
	memcpy(image + 2, &val.base, 8);
	return x86em_write_seg(ctxt, ctxt->d.seg, ctxt->d.ea, image, 2 + bytes);
}

int em_lgdt(struct x86_emulate_ctxt *ctxt)
{
	return load_dtable(ctxt, X86EMUL_GDT);
}

int em_lidt(struct x86_emulate_ctxt *ctxt)
{
	return load_dtable(ctxt, X86EMUL_IDT);
}

int em_sgdt(struct x86_emulate_ctxt *ctxt)
{
	return store_dtable(ctxt, X86EMUL_GDT);
}

int em_sidt(struct x86_emulate_ctxt *ctxt)
{
	return store_dtable(ctxt, X86EMUL_IDT);
}

/* An LDT's or a TSS's descriptor; in IA-32e mode it has 16 bytes. */
static int load_system_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			       u16 selector)
{
	bool tss = seg == X86_SEG_TR, lm, found;
	struct descriptor desc;
	struct x86_seg s;
	u64 upper = 0;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!(selector & 0xfffc)) {
		if (tss)
			return fault_gp(ctxt, 0);
		load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	find_descriptor(ctxt, selector, lm ? 16 : 8, &desc.addr, &found);
	if ((selector & 4) || !found)
		return fault_gp(ctxt, selector & 0xfffc);
	rc = x86em_mem_read(ctxt, desc.addr, &desc.raw, 8, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE && lm)
		rc = x86em_mem_read(ctxt, desc.addr + 8, &upper, 8, X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &s);
	if (s.s || (tss ? s.type != 9 && (lm || s.type != 1) : s.type != 2))
		return fault_gp(ctxt, selector & 0xfffc);
	if (!s.present)
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (lm) {
		s.base |= upper << 32;
		if (!x86_canonical(ctxt, s.base) || (upper >> 40 & 0x1f))
			return fault_gp(ctxt, selector & 0xfffc);
	}
	if (tss) {
		rc = write_desc_type(ctxt, &desc, 2);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		s.type |= 2;
	}
	ctxt->ops->set_segment(ctxt, seg, &s);
	return X86EMUL_CONTINUE;
}

int em_lldt(struct x86_emulate_ctxt *ctxt)
{
	return load_system_segment(ctxt, X86_SEG_LDTR, OP0.val);
}

int em_ltr(struct x86_emulate_ctxt *ctxt)
{
	return load_system_segment(ctxt, X86_SEG_TR, OP0.val);
}

static int store_selector(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	struct x86_seg s;
	int rc;

	rc = check_umip(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->get_segment(ctxt, seg, &s);
	store_16(ctxt, s.selector);
	return X86EMUL_CONTINUE;
}

int em_sldt(struct x86_emulate_ctxt *ctxt)
{
	return store_selector(ctxt, X86_SEG_LDTR);
}

int em_str(struct x86_emulate_ctxt *ctxt)
{
	return store_selector(ctxt, X86_SEG_TR);
}

int em_smsw(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_umip(ctxt);
	if (rc == X86EMUL_CONTINUE)
		store_16(ctxt, ctxt->ops->get_cr(ctxt, 0));
	return rc;
}

/* It sets PE but does not clear it. */
int em_lmsw(struct x86_emulate_ctxt *ctxt)
{
	u64 cr0 = ctxt->ops->get_cr(ctxt, 0);

	return ctxt->ops->set_cr(ctxt, 0, (cr0 & ~0xeull) | (OP0.val & 0xf));
}

int em_clts(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->set_cr(ctxt, 0, ctxt->ops->get_cr(ctxt, 0) & ~(u64)CR0_TS);
}

/* Neither limit nor canonical form is checked: SDM 2A "INVLPG". */
int em_invlpg(struct x86_emulate_ctxt *ctxt)
{
	u64 linear = ctxt->d.ea + x86em_segment_base(ctxt, ctxt->d.seg);

	if (!mode64(ctxt))
		linear = (u32)linear;
	if (x86_canonical(ctxt, linear))
		ctxt->ops->invlpg(ctxt, linear);
	return X86EMUL_CONTINUE;
}

int em_wbinvd(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->wbinvd ? ctxt->ops->wbinvd(ctxt) : X86EMUL_UNHANDLEABLE;
}

/*
 * LAR, LSL, VERR and VERW only ask: *ok is whether the selector's descriptor is
 * there and visible at CPL and RPL.  System types in types (a bit each) count.
 */
static int ask_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, u32 types,
			  struct descriptor *desc, bool *ok)
{
	unsigned int level = cpl(ctxt);
	int rc;

	*ok = false;
	if (!(selector & 0xfffc))
		return X86EMUL_CONTINUE;
	find_descriptor(ctxt, selector, 8, &desc->addr, ok);
	if (!*ok)
		return X86EMUL_CONTINUE;
	rc = x86em_mem_read(ctxt, desc->addr, &desc->raw, 8, X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(desc) && !(types >> desc_type(desc) & 1))
		*ok = false;
	/* Conforming code is visible to all. */
	if (!(desc_s(desc) && (desc_type(desc) & 0xc) == 0xc) &&
	    (desc_dpl(desc) < level || desc_dpl(desc) < (selector & 3u)))
		*ok = false;
	return X86EMUL_CONTINUE;
}

static void set_zf(struct x86_emulate_ctxt *ctxt, bool zf)
{
	set_flags(ctxt, X86_FLAG_ZF, zf ? X86_FLAG_ZF : 0);
	if (!zf)
		ctxt->skip_write = true;
}

/* SDM 2A "LAR", "LSL": the valid system types, as a mask; fewer in IA-32e mode */
static int ask_system(struct x86_emulate_ctxt *ctxt, u32 legacy, u32 ia32e,
		      struct descriptor *desc, bool *ok)
{
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return ask_descriptor(ctxt, OP1.val, lm ? ia32e : legacy, desc, ok);
}

int em_lar(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;
	int rc;

	rc = ask_system(ctxt, 0x1a3e, 0x1a04, &desc, &ok);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_zf(ctxt, ok);
	if (ok)
		OP0.val = desc.raw >> 32 & 0xffff00;
	return X86EMUL_CONTINUE;
}

int em_lsl(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	struct x86_seg s;
	bool ok;
	int rc;

	rc = ask_system(ctxt, 0x0a0e, 0x0a04, &desc, &ok);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_zf(ctxt, ok);
	if (ok) {
		desc_to_seg(&desc, 0, &s);
		OP0.val = s.limit;
	}
	return X86EMUL_CONTINUE;
}

int em_verr(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;
	int rc;

	rc = ask_descriptor(ctxt, OP0.val, 0, &desc, &ok);
	if (rc == X86EMUL_CONTINUE)
		set_zf(ctxt, ok && (desc_type(&desc) & 0xa) != 8);
	return rc;
}

int em_verw(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;
	int rc;

	rc = ask_descriptor(ctxt, OP0.val, 0, &desc, &ok);
	if (rc == X86EMUL_CONTINUE)
		set_zf(ctxt, ok && (desc_type(&desc) & 0xa) == 2);
	return rc;
}

/* Its operand is loaded as one only read, and stored if it changes. */
int em_arpl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int rpl = OP1.val & 3;
	int rc;

	rc = x86em_load_operand(ctxt, &OP0, false);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_zf(ctxt, (OP0.val & 3) < rpl);
	OP0.val = (OP0.val & ~3ull) | rpl;
	return X86EMUL_CONTINUE;
}

/* CR0, 2, 3, 4 and, in 64-bit mode, 8; a wrong one is #UD at any CPL. */
static int check_cr(struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	if (nr > 8 || !(1u << nr & 0x11d) || (nr == 8 && !mode64(ctxt) && !ctxt->d.lock))
		return fault_ud(ctxt);
	return cpl(ctxt) ? fault_gp(ctxt, 0) : X86EMUL_CONTINUE;
}

int em_mov_from_cr(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_cr(ctxt, OP1.reg);
	if (rc == X86EMUL_CONTINUE)
		OP0.val = ctxt->ops->get_cr(ctxt, OP1.reg);
	return rc;
}

int em_mov_to_cr(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_cr(ctxt, OP0.reg);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->set_cr(ctxt, OP0.reg, OP1.val) : rc;
}

/* DR4 and DR5 are DR6 and DR7, unless debug extensions are on. */
static int check_dr(struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	if (nr > 7)
		return fault_ud(ctxt);
	if ((nr & 6) == 4 && (ctxt->ops->get_cr(ctxt, 4) & CR4_DE))
		return fault_ud(ctxt);
	return cpl(ctxt) ? fault_gp(ctxt, 0) : X86EMUL_CONTINUE;
}

int em_mov_from_dr(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_dr(ctxt, OP1.reg);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->get_dr(ctxt, OP1.reg, &OP0.val) : rc;
}

int em_mov_to_dr(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_dr(ctxt, OP0.reg);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->set_dr(ctxt, OP0.reg, OP1.val) : rc;
}

static void put_edx_eax(struct x86_emulate_ctxt *ctxt, u64 val)
{
	put_reg(ctxt, X86_RAX, val, 4);
	put_reg(ctxt, X86_RDX, val >> 32, 4);
}

int em_rdmsr(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	rc = ctxt->ops->get_msr(ctxt, ctxt->regs[X86_RCX], &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_wrmsr(struct x86_emulate_ctxt *ctxt)
{
	u64 val = get_reg(ctxt, X86_RDX, 4) << 32 | get_reg(ctxt, X86_RAX, 4);

	return ctxt->ops->set_msr(ctxt, ctxt->regs[X86_RCX], val);
}

int em_rdtsc(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	if (cpl(ctxt) && (ctxt->ops->get_cr(ctxt, 4) & CR4_TSD))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->rdtsc(ctxt, &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_rdtscp(struct x86_emulate_ctxt *ctxt)
{
	u64 aux;
	int rc;

	if (!has_feature(ctxt, X86EMUL_FEAT_RDTSCP))
		return fault_ud(ctxt);
	rc = em_rdtsc(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &aux);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RCX, aux, 4);
	return rc;
}

int em_rdpid(struct x86_emulate_ctxt *ctxt)
{
	if (!has_feature(ctxt, X86EMUL_FEAT_RDPID))
		return fault_ud(ctxt);
	return ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &OP0.val);
}

int em_rdpmc(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	if (cpl(ctxt) && !(ctxt->ops->get_cr(ctxt, 4) & CR4_PCE))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->rdpmc(ctxt, ctxt->regs[X86_RCX], &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_cpuid(struct x86_emulate_ctxt *ctxt)
{
	u32 a = ctxt->regs[X86_RAX], b = 0, c = ctxt->regs[X86_RCX], d = 0;
	int rc;

	rc = ctxt->ops->cpuid(ctxt, &a, &b, &c, &d);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	put_reg(ctxt, X86_RAX, a, 4);
	put_reg(ctxt, X86_RBX, b, 4);
	put_reg(ctxt, X86_RCX, c, 4);
	put_reg(ctxt, X86_RDX, d, 4);
	return X86EMUL_CONTINUE;
}

int em_swapgs(struct x86_emulate_ctxt *ctxt)
{
	u64 gs, kernel_gs;
	int rc;

	if (!mode64(ctxt))
		return fault_ud(ctxt);
	if (cpl(ctxt))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->get_msr(ctxt, MSR_GS_BASE_NR, &gs);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_KERNEL_GS_BASE_NR, &kernel_gs);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->set_msr(ctxt, MSR_KERNEL_GS_BASE_NR, gs);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->set_msr(ctxt, MSR_GS_BASE_NR, kernel_gs);
	return rc;
}

static int check_fsgsbase(struct x86_emulate_ctxt *ctxt)
{
	if (!mode64(ctxt) || !has_feature(ctxt, X86EMUL_FEAT_FSGSBASE) ||
	    !(ctxt->ops->get_cr(ctxt, 4) & CR4_FSGSBASE))
		return fault_ud(ctxt);
	return X86EMUL_CONTINUE;
}

static int read_base(struct x86_emulate_ctxt *ctxt, u32 msr)
{
	int rc;

	rc = check_fsgsbase(ctxt);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->get_msr(ctxt, msr, &OP0.val) : rc;
}

static int write_base(struct x86_emulate_ctxt *ctxt, u32 msr)
{
	int rc;

	rc = check_fsgsbase(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!x86_canonical(ctxt, OP0.val))
		return fault_gp(ctxt, 0);
	return ctxt->ops->set_msr(ctxt, msr, OP0.val);
}

int em_rdfsbase(struct x86_emulate_ctxt *ctxt)
{
	return read_base(ctxt, MSR_FS_BASE_NR);
}

int em_rdgsbase(struct x86_emulate_ctxt *ctxt)
{
	return read_base(ctxt, MSR_GS_BASE_NR);
}

int em_wrfsbase(struct x86_emulate_ctxt *ctxt)
{
	return write_base(ctxt, MSR_FS_BASE_NR);
}

int em_wrgsbase(struct x86_emulate_ctxt *ctxt)
{
	return write_base(ctxt, MSR_GS_BASE_NR);
}
