// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's control transfers, segments, system calls and system registers.
 */
#include "emulator.h"

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

static void null_segment(struct x86_seg *s, u16 selector, unsigned int dpl)
{
	memset(s, 0, sizeof(*s));
	s->selector = selector;
	s->unusable = 1;
	s->dpl = dpl;
}

static void load_null_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			      u16 selector, unsigned int dpl)
{
	struct x86_seg s;

	null_segment(&s, selector, dpl);
	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* SDM 2B "MOV": SS, for privilege level level; checked and marked, not yet loaded */
static int check_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level,
		    bool to64, u8 vector, struct x86_seg *s)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	int rc;

	if (!(selector & 0xfffc)) {
		if (!to64 || level == 3 || rpl != level)
			return x86_emulate_fault_code(ctxt, vector, 0);
		null_segment(s, selector, level);
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
	if (rc == X86EMUL_CONTINUE)
		desc_to_seg(&desc, selector, s);
	return rc;
}

static int load_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level,
		   bool to64, u8 vector)
{
	struct x86_seg s;
	int rc;

	rc = check_ss(ctxt, selector, level, to64, vector, &s);
	if (rc == X86EMUL_CONTINUE)
		ctxt->ops->set_segment(ctxt, X86_SEG_SS, &s);
	return rc;
}

/* DS, ES, FS, GS */
static int load_data_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			     u16 selector, u8 vector)
{
	unsigned int level = cpl(ctxt), rpl = selector & 3, type;
	struct descriptor desc;
	struct x86_seg s;
	int rc;

	if (!(selector & 0xfffc)) {
		load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	rc = read_descriptor(ctxt, selector, vector, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	type = desc_type(&desc);
	if (!desc_s(&desc) || (type & 0xa) == 8)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	/* All but conforming code is guarded by its DPL. */
	if ((type & 0xc) != 0xc &&
	    (rpl > desc_dpl(&desc) || level > desc_dpl(&desc)))
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
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
	return load_data_segment(ctxt, seg, selector, EXC_GP);
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

static int far_system(struct x86_emulate_ctxt *ctxt, u16 selector,
		      struct descriptor *desc, bool call);

/* SDM 2A "CALL", "JMP" */
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
		return far_system(ctxt, selector, &desc, call);
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

/* The code segment of a far return or IRET, checked, not yet marked or loaded. */
static int check_return_cs(struct x86_emulate_ctxt *ctxt, u16 selector, u64 offset,
			   struct descriptor *desc, struct x86_seg *cs)
{
	unsigned int rpl = selector & 3;
	int rc;

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	rc = read_descriptor(ctxt, selector, EXC_GP, desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(desc) || !(desc_type(desc) & 8) || rpl < cpl(ctxt))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(desc) & 4 ? desc_dpl(desc) > rpl : desc_dpl(desc) != rpl)
		return fault_gp(ctxt, selector & 0xfffc);
	return check_cs_common(ctxt, desc, selector, offset, cs);
}

static int load_return_cs(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			  struct x86_seg *cs)
{
	int rc;

	rc = write_desc_type(ctxt, desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	cs->type |= 1;
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, cs);
	return X86EMUL_CONTINUE;
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

/* Load CS, and SS:rSP popped by a return: nothing faults after CS. */
static int return_with_stack(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			     struct x86_seg *cs, u16 ss_selector, u64 sp,
			     unsigned int from_level)
{
	unsigned int level = cs->selector & 3;
	struct x86_seg ss;
	int rc;

	rc = check_ss(ctxt, ss_selector, level, cs->l, EXC_GP, &ss);
	if (rc == X86EMUL_CONTINUE)
		rc = load_return_cs(ctxt, desc, cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &ss);
	if (cs->l)
		set_reg(ctxt, X86_RSP, sp);
	else
		x86em_add_rsp(ctxt, sp - ctxt->regs[X86_RSP]);
	if (level > from_level)
		drop_data_segments(ctxt, level);
	return X86EMUL_CONTINUE;
}

int em_ret_far(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level;
	u64 offset, selector, sp, ss, extra = OP0.kind == OPK_IMM ? OP0.val : 0;
	struct descriptor desc;
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
	rc = check_return_cs(ctxt, selector, offset, &desc, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if ((selector & 3) > level) {
		rc = x86em_pop(ctxt, &sp, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = x86em_pop(ctxt, &ss, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = return_with_stack(ctxt, &desc, &cs, ss, sp + extra, level);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	} else {
		rc = load_return_cs(ctxt, &desc, &cs);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

/* ---- gates and task switches ---- */

#define FLAGS_ALL (X86_FLAGS_STATUS | X86_FLAG_TF | X86_FLAG_IF | X86_FLAG_DF | \
		   X86_FLAG_IOPL | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM | \
		   X86_FLAG_AC | X86_FLAG_VIF | X86_FLAG_VIP | X86_FLAG_ID)

enum {
	SYS_TSS16 = 1, SYS_LDT = 2, SYS_CALL16 = 4, SYS_TASK_GATE = 5, SYS_TSS32 = 9,
	SYS_CALL32 = 12, SYS_BUSY = 2,
};

/* SDM 3A "Call Gates", "IDT Descriptors" */
struct gate {
	u64 offset;
	u16 selector;
	u8 count;		/* of parameters; of an IDT's: the stack's number */
	u8 bytes;		/* of what is pushed */
};

static void parse_gate(u64 raw, u64 upper, bool lm, struct gate *gate)
{
	gate->selector = raw >> 16;
	gate->count = raw >> 32 & (lm ? 7 : 31);
	gate->offset = (raw & 0xffff) | (raw >> 48) << 16;
	gate->bytes = raw >> 43 & 1 ? 4 : 2;
	if (gate->bytes == 2)
		gate->offset &= 0xffff;
	if (lm) {
		gate->offset |= upper << 32;
		gate->bytes = 8;
	}
}

/* A stack that is not SS:rSP yet. */
struct stack {
	struct x86_seg ss;
	u64 sp;
	unsigned int width;
	unsigned int access;
	u16 error_code;
};

static int stack_push(struct x86_emulate_ctxt *ctxt, struct stack *st, u64 val,
		      unsigned int bytes)
{
	u64 sp = (st->sp - bytes) & x86_mask(st->width), linear;
	int rc;

	linear = st->width == 8 ? sp : (u32)(st->ss.base + sp);
	if (st->width == 8 ? !x86_canonical(ctxt, sp) :
	    !x86em_segment_allows(ctxt, &st->ss, sp, bytes, true))
		return x86_emulate_fault_code(ctxt, EXC_SS, st->error_code);
	if (st->width < 8 && linear + bytes - 1 > 0xffffffff)
		return X86EMUL_UNHANDLEABLE;
	rc = x86em_mem_write(ctxt, linear, &val, bytes, st->access);
	st->sp = sp;
	return rc;
}

static void current_stack(struct x86_emulate_ctxt *ctxt, bool lm, struct stack *st)
{
	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &st->ss);
	st->width = lm ? 8 : x86em_stack_bytes(ctxt);
	st->sp = get_reg(ctxt, X86_RSP, mode64(ctxt) ? 8 : st->width == 8 ? 4 : st->width);
	st->access = 0;
	st->error_code = 0;
}

/* SDM 3A "Stack Switching": the TSS's stack for level, or its IST's. */
static int inner_stack(struct x86_emulate_ctxt *ctxt, unsigned int level, bool lm,
		       unsigned int ist, struct stack *st)
{
	struct x86_seg tr;
	unsigned int offset, bytes;
	u16 selector = level;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
	if (lm)
		bytes = 8;
	else
		bytes = tr.type & 8 ? 4 : 2;
	offset = bytes == 2 ? level * 4 + 2 : level * 8 + 4;
	if (ist)
		offset = ist * 8 + 28;
	if (tr.unusable || offset + (lm ? 8 : bytes + 2) - 1 > tr.limit)
		return x86_emulate_fault_code(ctxt, EXC_TS, tr.selector & 0xfffc);
	st->sp = 0;
	rc = x86em_mem_read(ctxt, tr.base + offset, &st->sp, bytes, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE && !lm)
		rc = x86em_mem_read(ctxt, tr.base + offset + bytes, &selector, 2,
				    X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = check_ss(ctxt, selector, level, lm, EXC_TS, &st->ss);
	st->width = lm ? 8 : st->ss.db ? 4 : 2;
	st->access = X86EMUL_ACC_SYSTEM;
	st->error_code = selector & 0xfffc;
	if (rc == X86EMUL_CONTINUE && lm && !x86_canonical(ctxt, st->sp))
		return x86_emulate_fault_code(ctxt, EXC_SS, 0);
	return rc;
}

static void use_stack(struct x86_emulate_ctxt *ctxt, const struct stack *st)
{
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &st->ss);
	put_reg(ctxt, X86_RSP, st->sp, st->width);
}

static int push_old_stack(struct x86_emulate_ctxt *ctxt, struct stack *st,
			  unsigned int bytes)
{
	struct x86_seg ss;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	rc = stack_push(ctxt, st, ss.selector, bytes);
	return rc == X86EMUL_CONTINUE ?
	       stack_push(ctxt, st, ctxt->regs[X86_RSP], bytes) : rc;
}

static int push_return(struct x86_emulate_ctxt *ctxt, struct stack *st,
		       unsigned int bytes)
{
	struct x86_seg cs;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	rc = stack_push(ctxt, st, cs.selector, bytes);
	return rc == X86EMUL_CONTINUE ? stack_push(ctxt, st, ctxt->next_rip, bytes) : rc;
}

/* The code segment that a gate names, for entry at *level, lowered if need be. */
static int check_gate_cs(struct x86_emulate_ctxt *ctxt, const struct gate *gate, bool lm,
			 bool jmp, unsigned int *level, struct x86_seg *cs)
{
	struct descriptor desc;
	bool conforming;
	int rc;

	if (!(gate->selector & 0xfffc))
		return fault_gp(ctxt, 0);
	rc = read_descriptor(ctxt, gate->selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	conforming = desc_type(&desc) & 4;
	if (!desc_s(&desc) || !(desc_type(&desc) & 8) || desc_dpl(&desc) > *level ||
	    (jmp && !conforming && desc_dpl(&desc) != *level))
		return fault_gp(ctxt, gate->selector & 0xfffc);
	desc_to_seg(&desc, gate->selector, cs);
	if (lm && (!cs->l || cs->db))
		return fault_gp(ctxt, gate->selector & 0xfffc);
	if (!conforming)
		*level = desc_dpl(&desc);
	rc = check_cs_common(ctxt, &desc, (gate->selector & ~3u) | *level, gate->offset, cs);
	if (rc == X86EMUL_CONTINUE)
		rc = write_desc_type(ctxt, &desc, 1);
	cs->type |= 1;
	return rc;
}

/* Parameters go from the old stack to the new one, the last first. */
static int copy_parameters(struct x86_emulate_ctxt *ctxt, struct stack *st,
			   const struct gate *gate)
{
	u64 mask = x86_mask(x86em_stack_bytes(ctxt)), val;
	unsigned int i;
	int rc;

	for (i = gate->count; i--; ) {
		val = 0;
		rc = x86em_read_seg(ctxt, X86_SEG_SS,
				    (ctxt->regs[X86_RSP] + i * gate->bytes) & mask, &val,
				    gate->bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = stack_push(ctxt, st, val, gate->bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	return X86EMUL_CONTINUE;
}

/* SDM 3A "Accessing a Code Segment Through a Call Gate" */
static int call_gate(struct x86_emulate_ctxt *ctxt, const struct gate *gate, bool lm,
		     bool call)
{
	unsigned int level = cpl(ctxt), from = level;
	struct x86_seg cs;
	struct stack st;
	int rc;

	rc = check_gate_cs(ctxt, gate, lm, !call, &level, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (call) {
		if (level < from) {
			rc = inner_stack(ctxt, level, lm, 0, &st);
			if (rc == X86EMUL_CONTINUE)
				rc = push_old_stack(ctxt, &st, gate->bytes);
			if (rc == X86EMUL_CONTINUE && !lm)
				rc = copy_parameters(ctxt, &st, gate);
			if (rc != X86EMUL_CONTINUE)
				return rc;
		} else {
			current_stack(ctxt, lm, &st);
		}
		rc = push_return(ctxt, &st, gate->bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		use_stack(ctxt, &st);
	}
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	ctxt->next_rip = gate->offset;
	return X86EMUL_CONTINUE;
}

/* SDM 3A "Task-State Segment": where the two formats have what */
struct tss_layout {
	u8 limit;
	u8 ip, flags, gprs, segs, ldt;
	u8 bytes;		/* of a register, and of a selector's place */
	u8 nr_segs;
};

static const struct tss_layout tss16 = {
	.limit = 0x2b, .ip = 14, .flags = 16, .gprs = 18, .segs = 34, .ldt = 42,
	.bytes = 2, .nr_segs = 4,
};

static const struct tss_layout tss32 = {
	.limit = 0x67, .ip = 32, .flags = 36, .gprs = 40, .segs = 72, .ldt = 96,
	.bytes = 4, .nr_segs = 6,
};

#define TSS_CR3 28
#define TSS_TRAP 100

/* The outgoing task's registers, to its TSS. */
static int save_task(struct x86_emulate_ctxt *ctxt, const struct x86_seg *tr, u32 flags)
{
	const struct tss_layout *lay = tr->type & 8 ? &tss32 : &tss16;
	u8 image[40];
	struct x86_seg s;
	unsigned int i;
	int rc;

	if (tr->limit < lay->limit)
		return x86_emulate_fault_code(ctxt, EXC_TS, tr->selector & 0xfffc);
	memcpy(image, &ctxt->next_rip, lay->bytes);
	memcpy(image + lay->bytes, &flags, lay->bytes);
	for (i = 0; i < 8; i++)
		memcpy(image + (2 + i) * lay->bytes, &ctxt->regs[i], lay->bytes);
	rc = x86em_mem_write(ctxt, tr->base + lay->ip, image, 10 * lay->bytes,
			     X86EMUL_ACC_SYSTEM);
	for (i = 0; i < lay->nr_segs && rc == X86EMUL_CONTINUE; i++) {
		ctxt->ops->get_segment(ctxt, i, &s);
		rc = x86em_mem_write(ctxt, tr->base + lay->segs + i * lay->bytes,
				     &s.selector, 2, X86EMUL_ACC_SYSTEM);
	}
	return rc;
}

/* The busy bit of a TSS in its descriptor. */
static int set_busy(struct x86_emulate_ctxt *ctxt, u16 selector, bool busy)
{
	struct descriptor desc;
	int rc;
	u8 byte;

	rc = read_descriptor(ctxt, selector, EXC_TS, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	byte = desc.raw >> 40;
	byte = busy ? byte | SYS_BUSY : byte & ~SYS_BUSY;
	return x86em_mem_write(ctxt, desc.addr + 5, &byte, 1, X86EMUL_ACC_SYSTEM);
}

static u64 tss_field(const u8 *image, unsigned int offset, unsigned int bytes)
{
	u64 val = 0;

	memcpy(&val, image + offset, bytes);
	return val;
}

static int load_task_ldt(struct x86_emulate_ctxt *ctxt, u16 selector)
{
	struct descriptor desc;
	struct x86_seg s;
	int rc;

	load_null_segment(ctxt, X86_SEG_LDTR, selector, 0);
	if (!(selector & 0xfffc))
		return X86EMUL_CONTINUE;
	if (selector & 4)
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	rc = read_descriptor(ctxt, selector, EXC_TS, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (desc_s(&desc) || desc_type(&desc) != SYS_LDT || !desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, X86_SEG_LDTR, &s);
	return X86EMUL_CONTINUE;
}

static int load_task_cs(struct x86_emulate_ctxt *ctxt, u16 selector)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	struct x86_seg cs;
	int rc;

	if (!(selector & 0xfffc))
		return x86_emulate_fault_code(ctxt, EXC_TS, 0);
	rc = read_descriptor(ctxt, selector, EXC_TS, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(&desc) || !(desc_type(&desc) & 8) ||
	    (desc_type(&desc) & 4 ? desc_dpl(&desc) > rpl : desc_dpl(&desc) != rpl))
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &cs);
	cs.l = 0;
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	if (ctxt->next_rip > cs.limit)
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* The new task's segments; what faults here, faults in the new task. */
static int load_task_segments(struct x86_emulate_ctxt *ctxt, const u8 *image,
			      const struct tss_layout *lay)
{
	static const u8 data[] = { X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	u16 sel[6] = { 0 };
	unsigned int i;
	int rc;

	for (i = 0; i < lay->nr_segs; i++)
		sel[i] = tss_field(image, lay->segs + i * lay->bytes, 2);
	if (flag(ctxt, X86_FLAG_VM)) {
		ctxt->mode = X86EMUL_MODE_VM86;
		load_null_segment(ctxt, X86_SEG_LDTR, 0, 0);
		for (i = 0; i < 6; i++)
			load_segment_real(ctxt, i, sel[i]);
		return load_task_ldt(ctxt, tss_field(image, lay->ldt, 2));
	}
	for (i = 0; i < sizeof(data); i++)
		load_null_segment(ctxt, data[i], sel[data[i]], 0);
	ctxt->mode = X86EMUL_MODE_PROT32;
	rc = load_task_ldt(ctxt, tss_field(image, lay->ldt, 2));
	if (rc == X86EMUL_CONTINUE)
		rc = load_ss(ctxt, sel[X86_SEG_SS], sel[X86_SEG_CS] & 3, false, EXC_TS);
	if (rc == X86EMUL_CONTINUE)
		rc = load_task_cs(ctxt, sel[X86_SEG_CS]);
	for (i = 0; i < sizeof(data) && rc == X86EMUL_CONTINUE; i++)
		rc = load_data_segment(ctxt, data[i], sel[data[i]], EXC_TS);
	return rc;
}

/* The new task's TSS: is it one, and in the state that why wants? */
static int check_task(struct x86_emulate_ctxt *ctxt, u16 selector, enum x86emul_task why,
		      struct x86_seg *tr)
{
	u8 vector = why == X86EMUL_TASK_IRET ? EXC_TS : EXC_GP;
	struct descriptor desc;
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (lm || (selector & 4) || !(selector & 0xfffc))
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	rc = read_descriptor(ctxt, selector, vector, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, tr);
	if (tr->s || ((tr->type & ~SYS_BUSY) != SYS_TSS32 && (tr->type & ~SYS_BUSY) != SYS_TSS16) ||
	    !(tr->type & SYS_BUSY) != (why != X86EMUL_TASK_IRET))
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	if (!tr->present)
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (tr->limit < (tr->type & 8 ? tss32.limit : tss16.limit))
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	tr->type |= SYS_BUSY;
	return X86EMUL_CONTINUE;
}

/* Memory's part of a switch: registers are saved, both TSSs marked. */
static int leave_task(struct x86_emulate_ctxt *ctxt, const struct x86_seg *old,
		      const struct x86_seg *new, enum x86emul_task why)
{
	bool nested = why == X86EMUL_TASK_CALL || why == X86EMUL_TASK_GATE;
	u32 flags = ctxt->rflags;
	int rc;

	if (why == X86EMUL_TASK_IRET)
		flags &= ~X86_FLAG_NT;
	rc = save_task(ctxt, old, flags);
	if (rc == X86EMUL_CONTINUE && !nested)
		rc = set_busy(ctxt, old->selector, false);
	if (rc == X86EMUL_CONTINUE && nested)
		rc = x86em_mem_write(ctxt, new->base, &old->selector, 2, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE && why != X86EMUL_TASK_IRET)
		rc = set_busy(ctxt, new->selector, true);
	return rc;
}

/* From here on there is no way back: what fails, fails in the new task. */
static int enter_task(struct x86_emulate_ctxt *ctxt, const struct x86_seg *tr,
		      const u8 *image, bool nested)
{
	const struct tss_layout *lay = tr->type & 8 ? &tss32 : &tss16;
	unsigned int i, n = lay->bytes;
	int rc = X86EMUL_CONTINUE;

	ctxt->ops->set_segment(ctxt, X86_SEG_TR, tr);
	if (lay == &tss32 && (ctxt->ops->get_cr(ctxt, 0) & CR0_PG))
		rc = ctxt->ops->set_cr(ctxt, 3, tss_field(image, TSS_CR3, 4));
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->set_cr(ctxt, 0, ctxt->ops->get_cr(ctxt, 0) | CR0_TS);
	ctxt->rflags = (tss_field(image, lay->flags, n) & FLAGS_ALL) | X86_FLAG_FIXED;
	if (nested)
		ctxt->rflags |= X86_FLAG_NT;
	for (i = 0; i < 8; i++)
		put_reg(ctxt, i, tss_field(image, lay->gprs + i * n, n), 4);
	ctxt->next_rip = tss_field(image, lay->ip, n);
	ctxt->rip = ctxt->next_rip;
	ctxt->old_rflags = ctxt->rflags;
	ctxt->undo = 0;
	ctxt->switched = true;
	return load_task_segments(ctxt, image, lay);
}

/* SDM 3A "Task Switching" */
static int task_switch(struct x86_emulate_ctxt *ctxt, u16 selector, enum x86emul_task why)
{
	bool nested = why == X86EMUL_TASK_CALL || why == X86EMUL_TASK_GATE;
	struct x86_seg old, new;
	u8 image[104] = { 0 };
	unsigned int bytes;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &old);
	if (old.unusable)
		return x86_emulate_fault_code(ctxt, EXC_TS, old.selector & 0xfffc);
	rc = check_task(ctxt, selector, why, &new);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	bytes = new.type & 8 ? 64 : tss16.limit + 1;
	rc = x86em_mem_read(ctxt, new.base, image, bytes, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE && bytes == 64)
		rc = x86em_mem_read(ctxt, new.base + 64, image + 64, 40, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE)
		rc = leave_task(ctxt, &old, &new, why);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = enter_task(ctxt, &new, image, nested);
	/* Nobody can answer for a device where descriptors should be. */
	return rc == X86EMUL_IO_NEEDED || rc == X86EMUL_RETRY_INSTR ?
	       X86EMUL_UNHANDLEABLE : rc;
}

/* SDM 3A "Task Gate Descriptor" */
static int task_gate(struct x86_emulate_ctxt *ctxt, const struct gate *gate,
		     enum x86emul_task why)
{
	return task_switch(ctxt, gate->selector, why);
}

/* Far CALL and JMP to what is no code: gates and TSSs. */
static int far_system(struct x86_emulate_ctxt *ctxt, u16 selector,
		      struct descriptor *desc, bool call)
{
	enum x86emul_task why = call ? X86EMUL_TASK_CALL : X86EMUL_TASK_JMP;
	unsigned int level = cpl(ctxt), type = desc_type(desc);
	struct gate gate;
	u64 upper = 0;
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (lm ? type != SYS_CALL32 : !(1u << type & (1u << SYS_TSS16 | 1u << SYS_TSS32 |
	    1u << SYS_CALL16 | 1u << SYS_CALL32 | 1u << SYS_TASK_GATE)))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_dpl(desc) < level || desc_dpl(desc) < (selector & 3u))
		return fault_gp(ctxt, selector & 0xfffc);
	if (!desc_present(desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (lm) {
		rc = x86em_mem_read(ctxt, desc->addr + 8, &upper, 8, X86EMUL_ACC_SYSTEM);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		if (upper >> 40 & 0x1f)
			return fault_gp(ctxt, selector & 0xfffc);
	}
	if (type == SYS_TSS16 || type == SYS_TSS32)
		return task_switch(ctxt, selector, why);
	parse_gate(desc->raw, upper, lm, &gate);
	if (type == SYS_TASK_GATE)
		return task_gate(ctxt, &gate, why);
	return call_gate(ctxt, &gate, lm, call);
}

/* IRET of a nested task: to the one that the TSS links to. */
static int iret_task(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg tr;
	u16 link;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
	rc = x86em_mem_read(ctxt, tr.base, &link, 2, X86EMUL_ACC_SYSTEM);
	return rc == X86EMUL_CONTINUE ? task_switch(ctxt, link, X86EMUL_TASK_IRET) : rc;
}

int x86_emulate_task_switch(struct x86_emulate_ctxt *ctxt, u16 selector,
			    enum x86emul_task why, const u32 *error_code)
{
	struct x86_seg tr;
	int rc;

	x86em_begin(ctxt);
	ctxt->rc.end = 0;
	ctxt->next_rip = ctxt->rip;
	rc = task_switch(ctxt, selector, why);
	if (rc == X86EMUL_CONTINUE && error_code) {
		ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
		rc = x86em_push(ctxt, *error_code, tr.type & 8 ? 4 : 2);
	}
	if (rc == X86EMUL_IO_NEEDED || rc == X86EMUL_RETRY_INSTR)
		rc = X86EMUL_UNHANDLEABLE;
	return x86em_end(ctxt, rc);
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

/* Of VM86's segments, CPL 0 gets null ones. */
static int push_vm86_segments(struct x86_emulate_ctxt *ctxt, struct stack *st,
			      unsigned int bytes)
{
	static const u8 order[] = { X86_SEG_GS, X86_SEG_FS, X86_SEG_DS, X86_SEG_ES };
	struct x86_seg s;
	unsigned int i;
	int rc = X86EMUL_CONTINUE;

	for (i = 0; i < sizeof(order) && rc == X86EMUL_CONTINUE; i++) {
		ctxt->ops->get_segment(ctxt, order[i], &s);
		rc = stack_push(ctxt, st, s.selector, bytes);
	}
	return rc;
}

static void drop_vm86_segments(struct x86_emulate_ctxt *ctxt)
{
	load_null_segment(ctxt, X86_SEG_ES, 0, 0);
	load_null_segment(ctxt, X86_SEG_DS, 0, 0);
	load_null_segment(ctxt, X86_SEG_FS, 0, 0);
	load_null_segment(ctxt, X86_SEG_GS, 0, 0);
}

/* SDM 3A "Exception- or Interrupt-Handler Procedures" */
static int enter_handler(struct x86_emulate_ctxt *ctxt, const struct gate *gate, bool lm,
			 bool keep_if)
{
	bool vm86 = ctxt->mode == X86EMUL_MODE_VM86;
	unsigned int level = cpl(ctxt), from = level;
	struct x86_seg cs;
	struct stack st;
	int rc;

	rc = check_gate_cs(ctxt, gate, lm, false, &level, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (vm86 && level)
		return fault_gp(ctxt, gate->selector & 0xfffc);
	if (level < from || (lm && gate->count))
		rc = inner_stack(ctxt, level, lm, lm ? gate->count : 0, &st);
	else
		current_stack(ctxt, lm, &st);
	if (lm)
		st.sp &= ~15ull;
	if (rc == X86EMUL_CONTINUE && vm86)
		rc = push_vm86_segments(ctxt, &st, gate->bytes);
	if (rc == X86EMUL_CONTINUE && (level < from || lm))
		rc = push_old_stack(ctxt, &st, gate->bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = stack_push(ctxt, &st, ctxt->rflags & ~(u64)X86_FLAG_RF, gate->bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = push_return(ctxt, &st, gate->bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM |
		  (keep_if ? 0 : X86_FLAG_IF), 0);
	if (vm86)
		drop_vm86_segments(ctxt);
	use_stack(ctxt, &st);
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	ctxt->next_rip = gate->offset;
	return X86EMUL_CONTINUE;
}

/* icebp: INT1, which no gate's DPL keeps out. */
static int int_prot(struct x86_emulate_ctxt *ctxt, unsigned int vector, bool icebp)
{
	u32 code = vector * 8 + 2 + icebp;
	struct x86_dtable idt;
	struct gate gate;
	unsigned int bytes, type;
	u64 raw, upper = 0;
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	bytes = lm ? 16 : 8;
	ctxt->ops->get_dtable(ctxt, X86EMUL_IDT, &idt);
	if ((vector + 1) * bytes - 1 > idt.limit)
		return fault_gp(ctxt, code);
	rc = x86em_mem_read(ctxt, idt.base + vector * bytes, &raw, 8, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE && lm)
		rc = x86em_mem_read(ctxt, idt.base + vector * bytes + 8, &upper, 8,
				    X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	/* With the S bit: 6, 7, E, F, and the task gate, 5. */
	type = raw >> 40 & 31;
	if ((type & ~1u) != 14 && (lm || ((type & ~1u) != 6 && type != SYS_TASK_GATE)))
		return fault_gp(ctxt, code);
	if (!icebp && (raw >> 45 & 3) < cpl(ctxt))
		return fault_gp(ctxt, code);
	if (!(raw >> 47 & 1))
		return x86_emulate_fault_code(ctxt, EXC_NP, code);
	parse_gate(raw, upper, lm, &gate);
	if (type == SYS_TASK_GATE)
		return task_gate(ctxt, &gate, X86EMUL_TASK_GATE);
	return enter_handler(ctxt, &gate, lm, type & 1);
}

static int software_int(struct x86_emulate_ctxt *ctxt, unsigned int vector, bool icebp)
{
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return int_real(ctxt, vector);
	return int_prot(ctxt, vector, icebp);
}

int em_int(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = x86em_check_vm86_iopl(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return software_int(ctxt, OP0.val, false);
}

int em_int1(struct x86_emulate_ctxt *ctxt)
{
	return software_int(ctxt, EXC_DB, true);
}

int em_int3(struct x86_emulate_ctxt *ctxt)
{
	return software_int(ctxt, EXC_BP, false);
}

int em_into(struct x86_emulate_ctxt *ctxt)
{
	if (!flag(ctxt, X86_FLAG_OF))
		return X86EMUL_CONTINUE;
	return software_int(ctxt, EXC_OF, false);
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

/* SDM 2A "IRET": RETURN-TO-VIRTUAL-8086-MODE */
static int iret_to_vm86(struct x86_emulate_ctxt *ctxt, u64 ip, u16 cs, u32 flags)
{
	static const u8 order[] = { X86_SEG_SS, X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	u64 sp, selectors[sizeof(order)];
	unsigned int i;
	int rc;

	rc = x86em_pop(ctxt, &sp, 4);
	for (i = 0; i < sizeof(order) && rc == X86EMUL_CONTINUE; i++)
		rc = x86em_pop(ctxt, &selectors[i], 4);
	if (rc == X86EMUL_CONTINUE && ip > 0xffff)
		rc = fault_gp(ctxt, 0);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, ~X86_FLAG_FIXED, flags & FLAGS_ALL);
	ctxt->mode = X86EMUL_MODE_VM86;
	load_segment_real(ctxt, X86_SEG_CS, cs);
	for (i = 0; i < sizeof(order); i++)
		load_segment_real(ctxt, order[i], selectors[i]);
	put_reg(ctxt, X86_RSP, sp, 4);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

/* SDM 2A "IRET/IRETD/IRETQ" */
static int iret_prot(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = cpl(ctxt);
	u64 ip, cs_selector, flags, sp, ss;
	struct descriptor desc;
	struct x86_seg cs;
	u32 mask;
	bool lm;
	int rc;

	rc = x86em_long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (flag(ctxt, X86_FLAG_NT))
		return lm ? fault_gp(ctxt, 0) : iret_task(ctxt);
	rc = pop_ip_cs_flags(ctxt, &ip, &cs_selector, &flags);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!lm && bytes > 2 && (flags & X86_FLAG_VM) && level == 0)
		return iret_to_vm86(ctxt, ip, cs_selector, flags);
	rc = check_return_cs(ctxt, cs_selector, ip, &desc, &cs);
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
			rc = return_with_stack(ctxt, &desc, &cs, ss, sp, level);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	} else {
		rc = load_return_cs(ctxt, &desc, &cs);
		if (rc != X86EMUL_CONTINUE)
			return rc;
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

/* SDM 2A "INVPCID": of its descriptor, the PCID and the address. */
int em_invpcid(struct x86_emulate_ctxt *ctxt)
{
	bool pcide = ctxt->ops->get_cr(ctxt, 4) & CR4_PCIDE;
	u64 type = get_reg(ctxt, OP0.reg, OP0.bytes), desc[2];
	int rc;

	if (cpl(ctxt) || type > 3)
		return fault_gp(ctxt, 0);
	if (!ctxt->ops->flush_tlb)
		return X86EMUL_UNHANDLEABLE;
	rc = x86em_read_ea(ctxt, 0, desc, 16);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (desc[0] >> 12 || (type < 2 && desc[0] && !pcide) ||
	    (type == 0 && !x86_canonical(ctxt, desc[1])))
		return fault_gp(ctxt, 0);
	ctxt->ops->flush_tlb(ctxt);
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

	rc = em_rdtsc(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &aux);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RCX, aux, 4);
	return rc;
}

int em_rdpid(struct x86_emulate_ctxt *ctxt)
{
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

/* What is monitored is looked at as by a load, without one. */
int em_monitor(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;
	int rc;

	if (cpl(ctxt))
		return fault_ud(ctxt);
	if (get_reg(ctxt, X86_RCX, mode64(ctxt) ? 8 : 4))
		return fault_gp(ctxt, 0);
	rc = x86em_linearize(ctxt, data_seg(&ctxt->d),
			     get_reg(ctxt, X86_RAX, ctxt->d.ad_bytes), 1, false, &linear);
	if (rc != X86EMUL_CONTINUE || !ctxt->ops->probe)
		return rc;
	rc = ctxt->ops->probe(ctxt, linear, 1, 0);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_CONTINUE : rc;
}

/* The store that it waits for may have come already.  ECX bit 0: interrupts wake it too */
int em_mwait(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt))
		return fault_ud(ctxt);
	return get_reg(ctxt, X86_RCX, mode64(ctxt) ? 8 : 4) > 1 ? fault_gp(ctxt, 0) :
								  X86EMUL_CONTINUE;
}

/* The cache line, of 64 bytes, that has the byte at rAX */
int em_clzero(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;
	int rc;

	rc = x86em_linearize(ctxt, data_seg(&ctxt->d),
			     get_reg(ctxt, X86_RAX, ctxt->d.ad_bytes), 1, true, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memset(ctxt->vec, 0, 64);
	return x86em_mem_write(ctxt, linear & ~63ull, ctxt->vec, 64, 0);
}

/*
 * A transaction may abort at once, without a reason: EAX 0.  So there is never one
 * for XEND, XTEST and XABORT.
 */
int em_xbegin(struct x86_emulate_ctxt *ctxt)
{
	/* The immediate's size; RIP is cut to it outside of 64-bit mode only. */
	if (mode64(ctxt))
		ctxt->d.op_bytes = 8;
	put_reg(ctxt, X86_RAX, 0, 4);
	return em_jmp_rel(ctxt);
}

int em_xend(struct x86_emulate_ctxt *ctxt)
{
	return fault_gp(ctxt, 0);
}

int em_xtest(struct x86_emulate_ctxt *ctxt)
{
	set_flags(ctxt, X86_FLAGS_STATUS, X86_FLAG_ZF);
	return X86EMUL_CONTINUE;
}

static int check_xcr(struct x86_emulate_ctxt *ctxt)
{
	if (!ctxt->ops->get_xcr || !ctxt->ops->set_xcr)
		return X86EMUL_UNHANDLEABLE;
	if (!(ctxt->ops->get_cr(ctxt, 4) & CR4_OSXSAVE))
		return fault_ud(ctxt);
	return X86EMUL_CONTINUE;
}

int em_xgetbv(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	rc = check_xcr(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_xcr(ctxt, ctxt->regs[X86_RCX], &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_xsetbv(struct x86_emulate_ctxt *ctxt)
{
	u64 val = get_reg(ctxt, X86_RDX, 4) << 32 | get_reg(ctxt, X86_RAX, 4);
	int rc;

	rc = check_xcr(ctxt);
	if (rc == X86EMUL_CONTINUE && cpl(ctxt))
		rc = fault_gp(ctxt, 0);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->set_xcr(ctxt, ctxt->regs[X86_RCX], val) : rc;
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
	if (!mode64(ctxt) || !(ctxt->ops->get_cr(ctxt, 4) & CR4_FSGSBASE))
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
