// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's control transfers: near and far, through gates, by interrupts,
 * and system calls.
 */
#include "segment.h"

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

EXECUTOR(jmp_rel, jump_to(ctxt, ctxt->next_rip + OP0.val))
EXECUTOR(jmp_abs, jump_to(ctxt, OP0.val))

EXECUTOR(jcc, x86em_condition(ctxt, ctxt->d.opcode) ? em_jmp_rel(ctxt) : X86EMUL_CONTINUE)

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

EXECUTOR(jcxz, get_reg(ctxt, X86_RCX, ctxt->d.ad_bytes) ? X86EMUL_CONTINUE : em_jmp_rel(ctxt))

/* Would this push succeed? */
static int probe_push(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	u64 sp = (ctxt->regs[X86_RSP] - bytes) & x86_mask(x86em_stack_bytes(ctxt));
	u64 linear;

	TRY(x86em_linearize(ctxt, X86_SEG_SS, sp, bytes, true, &linear));
	return x86em_probe(ctxt, linear, bytes, X86EMUL_ACC_WRITE);
}

/* Where both the stack and the target are bad, AMD faults on the stack. */
static int call_to(struct x86_emulate_ctxt *ctxt, u64 target)
{
	u64 back = ctxt->next_rip;

	if (ctxt->amd)
		TRY(probe_push(ctxt, ctxt->d.op_bytes));
	TRY(jump_to(ctxt, target));
	return x86em_push(ctxt, back, ctxt->d.op_bytes);
}

EXECUTOR(call_rel, call_to(ctxt, ctxt->next_rip + OP0.val))
EXECUTOR(call_abs, call_to(ctxt, OP0.val))

int em_ret(struct x86_emulate_ctxt *ctxt)
{
	u64 target;

	TRY(x86em_pop(ctxt, &target, ctxt->d.op_bytes));
	TRY(jump_to(ctxt, target));
	if (OP0.kind == OPK_IMM)
		x86em_add_rsp(ctxt, OP0.val);
	return X86EMUL_CONTINUE;
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

	TRY(x86em_long_mode(ctxt, &lm));
	x86em_desc_to_seg(desc, selector, cs);
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

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	TRY(x86em_push(ctxt, cs.selector, bytes));
	return x86em_push(ctxt, ctxt->next_rip, bytes);
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

	offset &= x86_mask(bytes);
	if (!prot_mode(ctxt)) {
		TRY(check_cs_real(ctxt, offset));
		if (call)
			TRY(push_cs_ip(ctxt, bytes));
		x86em_load_segment_real(ctxt, X86_SEG_CS, selector);
		ctxt->next_rip = offset;
		return X86EMUL_CONTINUE;
	}

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	TRY(x86em_read_descriptor(ctxt, selector, EXC_GP, &desc));
	if (!desc_s(&desc))
		return far_system(ctxt, selector, &desc, call);
	level = cpl(ctxt);
	if (!(desc_type(&desc) & 8))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(&desc) & 4 ? desc_dpl(&desc) > level :
	    (selector & 3) > level || desc_dpl(&desc) != level)
		return fault_gp(ctxt, selector & 0xfffc);
	TRY(check_cs_common(ctxt, &desc, (selector & ~3u) | level, offset, &cs));
	if (call)
		TRY(push_cs_ip(ctxt, bytes));
	TRY(x86em_write_desc_type(ctxt, &desc, 1));
	cs.type |= 1;
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

/* CALL and JMP, by ARG(FAR_CALL) or not, with the pointer in the instruction */
EXECUTOR(far, far_transfer(ctxt, OP0.val >> 32, (u32)OP0.val, ctxt->d.op_bytes, row_arg(ctxt)))

/* ... and with the pointer in memory */
int em_far_mem(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 offset = 0;
	u16 selector;

	/* m16:64 is Intel's alone; AMD reads m16:32. */
	if (bytes == 8 && ctxt->amd)
		bytes = 4;
	TRY(x86em_read_ea(ctxt, 0, &offset, bytes));
	TRY(x86em_read_ea(ctxt, bytes, &selector, 2));
	return far_transfer(ctxt, selector, offset, bytes, row_arg(ctxt));
}

/* The code segment of a far return or IRET, checked, not yet marked or loaded. */
static int check_return_cs(struct x86_emulate_ctxt *ctxt, u16 selector, u64 offset,
			   struct descriptor *desc, struct x86_seg *cs)
{
	unsigned int rpl = selector & 3;

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	TRY(x86em_read_descriptor(ctxt, selector, EXC_GP, desc));
	if (!desc_s(desc) || !(desc_type(desc) & 8) || rpl < cpl(ctxt))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(desc) & 4 ? desc_dpl(desc) > rpl : desc_dpl(desc) != rpl)
		return fault_gp(ctxt, selector & 0xfffc);
	return check_cs_common(ctxt, desc, selector, offset, cs);
}

static int load_return_cs(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			  struct x86_seg *cs)
{
	TRY(x86em_write_desc_type(ctxt, desc, 1));
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
			x86em_load_null_segment(ctxt, segs[i], 0, 0);
	}
}

/*
 * Load CS, and SS:rSP, which a return pops, extra bytes further: nothing faults after CS.
 */
static int return_with_stack(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			     struct x86_seg *cs, u64 extra, unsigned int from_level)
{
	unsigned int level = cs->selector & 3, bytes = ctxt->d.op_bytes;
	struct x86_seg ss;
	u64 sp, selector;

	TRY(x86em_pop(ctxt, &sp, bytes));
	TRY(x86em_pop(ctxt, &selector, bytes));
	sp += extra;
	TRY(x86em_check_ss(ctxt, selector, level, cs->l, EXC_GP, &ss));
	TRY(load_return_cs(ctxt, desc, cs));
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
	u64 offset, selector, extra = OP0.kind == OPK_IMM ? OP0.val : 0;
	struct descriptor desc;
	struct x86_seg cs;

	TRY(x86em_pop(ctxt, &offset, bytes));
	TRY(x86em_pop(ctxt, &selector, bytes));
	x86em_add_rsp(ctxt, extra);
	if (!prot_mode(ctxt)) {
		TRY(check_cs_real(ctxt, offset));
		x86em_load_segment_real(ctxt, X86_SEG_CS, selector);
		ctxt->next_rip = offset;
		return X86EMUL_CONTINUE;
	}
	level = cpl(ctxt);
	TRY(check_return_cs(ctxt, selector, offset, &desc, &cs));
	TRY((selector & 3) > level ? return_with_stack(ctxt, &desc, &cs, extra, level) :
				     load_return_cs(ctxt, &desc, &cs));
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

/* ---- gates and task switches ---- */

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
	TRY(x86em_mem_read(ctxt, tr.base + offset, &st->sp, bytes, X86EMUL_ACC_SYSTEM));
	if (!lm)
		TRY(x86em_mem_read(ctxt, tr.base + offset + bytes, &selector, 2,
				   X86EMUL_ACC_SYSTEM));
	TRY(x86em_check_ss(ctxt, selector, level, lm, EXC_TS, &st->ss));
	st->width = lm ? 8 : st->ss.db ? 4 : 2;
	st->access = X86EMUL_ACC_SYSTEM;
	st->error_code = selector & 0xfffc;
	if (lm && !x86_canonical(ctxt, st->sp))
		return x86_emulate_fault_code(ctxt, EXC_SS, 0);
	return X86EMUL_CONTINUE;
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

	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	TRY(stack_push(ctxt, st, ss.selector, bytes));
	return stack_push(ctxt, st, ctxt->regs[X86_RSP], bytes);
}

static int push_return(struct x86_emulate_ctxt *ctxt, struct stack *st,
		       unsigned int bytes)
{
	struct x86_seg cs;

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	TRY(stack_push(ctxt, st, cs.selector, bytes));
	return stack_push(ctxt, st, ctxt->next_rip, bytes);
}

/* The code segment that a gate names, for entry at *level, lowered if need be. */
static int check_gate_cs(struct x86_emulate_ctxt *ctxt, const struct gate *gate, bool lm,
			 bool jmp, unsigned int *level, struct x86_seg *cs)
{
	struct descriptor desc;
	bool conforming;

	if (!(gate->selector & 0xfffc))
		return fault_gp(ctxt, 0);
	TRY(x86em_read_descriptor(ctxt, gate->selector, EXC_GP, &desc));
	conforming = desc_type(&desc) & 4;
	if (!desc_s(&desc) || !(desc_type(&desc) & 8) || desc_dpl(&desc) > *level ||
	    (jmp && !conforming && desc_dpl(&desc) != *level))
		return fault_gp(ctxt, gate->selector & 0xfffc);
	x86em_desc_to_seg(&desc, gate->selector, cs);
	if (lm && (!cs->l || cs->db))
		return fault_gp(ctxt, gate->selector & 0xfffc);
	if (!conforming)
		*level = desc_dpl(&desc);
	TRY(check_cs_common(ctxt, &desc, (gate->selector & ~3u) | *level, gate->offset, cs));
	cs->type |= 1;
	return x86em_write_desc_type(ctxt, &desc, 1);
}

/* Parameters go from the old stack to the new one, the last first. */
static int copy_parameters(struct x86_emulate_ctxt *ctxt, struct stack *st,
			   const struct gate *gate)
{
	u64 mask = x86_mask(x86em_stack_bytes(ctxt)), val;
	unsigned int i;

	for (i = gate->count; i--; ) {
		val = 0;
		TRY(x86em_read_seg(ctxt, X86_SEG_SS, (ctxt->regs[X86_RSP] + i * gate->bytes) & mask,
				   &val, gate->bytes));
		TRY(stack_push(ctxt, st, val, gate->bytes));
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

	TRY(check_gate_cs(ctxt, gate, lm, !call, &level, &cs));
	if (call) {
		if (level < from) {
			TRY(inner_stack(ctxt, level, lm, 0, &st));
			TRY(push_old_stack(ctxt, &st, gate->bytes));
			if (!lm)
				TRY(copy_parameters(ctxt, &st, gate));
		} else {
			current_stack(ctxt, lm, &st);
		}
		TRY(push_return(ctxt, &st, gate->bytes));
		use_stack(ctxt, &st);
	}
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	ctxt->next_rip = gate->offset;
	return X86EMUL_CONTINUE;
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

	TRY(x86em_long_mode(ctxt, &lm));
	if (lm ? type != SYS_CALL32 : !(1u << type & (1u << SYS_TSS16 | 1u << SYS_TSS32 |
	    1u << SYS_CALL16 | 1u << SYS_CALL32 | 1u << SYS_TASK_GATE)))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_dpl(desc) < level || desc_dpl(desc) < (selector & 3u))
		return fault_gp(ctxt, selector & 0xfffc);
	if (!desc_present(desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (lm) {
		TRY(x86em_mem_read(ctxt, desc->addr + 8, &upper, 8, X86EMUL_ACC_SYSTEM));
		if (upper >> 40 & 0x1f)
			return fault_gp(ctxt, selector & 0xfffc);
	}
	if (type == SYS_TSS16 || type == SYS_TSS32)
		return x86em_task_switch(ctxt, selector, why);
	parse_gate(desc->raw, upper, lm, &gate);
	if (type == SYS_TASK_GATE)
		return x86em_task_switch(ctxt, gate.selector, why);
	return call_gate(ctxt, &gate, lm, call);
}

/* ---- interrupts and returns from them ---- */

/* SDM 3B "Interrupt and Exception Handling" in real-address mode */
static int int_real(struct x86_emulate_ctxt *ctxt, unsigned int vector)
{
	struct x86_dtable ivt;
	struct x86_seg cs;
	u16 entry[2];

	ctxt->ops->get_dtable(ctxt, X86EMUL_IDT, &ivt);
	if (vector * 4 + 3 > ivt.limit)
		return fault_gp(ctxt, vector * 8 + 2);
	TRY(x86em_mem_read(ctxt, (u32)(ivt.base + vector * 4), entry, 4, X86EMUL_ACC_SYSTEM));
	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	if (entry[0] > cs.limit)
		return fault_gp(ctxt, 0);
	TRY(x86em_push(ctxt, ctxt->rflags, 2));
	TRY(push_cs_ip(ctxt, 2));
	set_flags(ctxt, X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF, 0);
	x86em_load_segment_real(ctxt, X86_SEG_CS, entry[1]);
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

	for (i = 0; i < sizeof(order); i++) {
		ctxt->ops->get_segment(ctxt, order[i], &s);
		TRY(stack_push(ctxt, st, s.selector, bytes));
	}
	return X86EMUL_CONTINUE;
}

static void drop_vm86_segments(struct x86_emulate_ctxt *ctxt)
{
	x86em_load_null_segment(ctxt, X86_SEG_ES, 0, 0);
	x86em_load_null_segment(ctxt, X86_SEG_DS, 0, 0);
	x86em_load_null_segment(ctxt, X86_SEG_FS, 0, 0);
	x86em_load_null_segment(ctxt, X86_SEG_GS, 0, 0);
}

/* SDM 3A "Exception- or Interrupt-Handler Procedures" */
static int enter_handler(struct x86_emulate_ctxt *ctxt, const struct gate *gate, bool lm,
			 bool keep_if)
{
	bool vm86 = ctxt->mode == X86EMUL_MODE_VM86;
	unsigned int level = cpl(ctxt), from = level;
	struct x86_seg cs;
	struct stack st;

	TRY(check_gate_cs(ctxt, gate, lm, false, &level, &cs));
	if (vm86 && level)
		return fault_gp(ctxt, gate->selector & 0xfffc);
	if (level < from || (lm && gate->count))
		TRY(inner_stack(ctxt, level, lm, lm ? gate->count : 0, &st));
	else
		current_stack(ctxt, lm, &st);
	if (lm)
		st.sp &= ~15ull;
	if (vm86)
		TRY(push_vm86_segments(ctxt, &st, gate->bytes));
	if (level < from || lm)
		TRY(push_old_stack(ctxt, &st, gate->bytes));
	TRY(stack_push(ctxt, &st, ctxt->rflags & ~(u64)X86_FLAG_RF, gate->bytes));
	TRY(push_return(ctxt, &st, gate->bytes));
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

	TRY(x86em_long_mode(ctxt, &lm));
	bytes = lm ? 16 : 8;
	ctxt->ops->get_dtable(ctxt, X86EMUL_IDT, &idt);
	if ((vector + 1) * bytes - 1 > idt.limit)
		return fault_gp(ctxt, code);
	TRY(x86em_mem_read(ctxt, idt.base + vector * bytes, &raw, 8, X86EMUL_ACC_SYSTEM));
	if (lm)
		TRY(x86em_mem_read(ctxt, idt.base + vector * bytes + 8, &upper, 8,
				   X86EMUL_ACC_SYSTEM));
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
		return x86em_task_switch(ctxt, gate.selector, X86EMUL_TASK_GATE);
	return enter_handler(ctxt, &gate, lm, type & 1);
}

int x86em_software_int(struct x86_emulate_ctxt *ctxt, unsigned int vector, bool icebp)
{
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return int_real(ctxt, vector);
	return int_prot(ctxt, vector, icebp);
}

int em_int(struct x86_emulate_ctxt *ctxt)
{
	TRY(x86em_check_vm86_iopl(ctxt));
	return x86em_software_int(ctxt, OP0.val, false);
}

EXECUTOR(int1, x86em_software_int(ctxt, EXC_DB, true))
EXECUTOR(int3, x86em_software_int(ctxt, EXC_BP, false))
EXECUTOR(into, flag(ctxt, X86_FLAG_OF) ? x86em_software_int(ctxt, EXC_OF, false) : X86EMUL_CONTINUE)

static int pop_ip_cs_flags(struct x86_emulate_ctxt *ctxt, u64 *ip, u64 *cs, u64 *flags)
{
	unsigned int bytes = ctxt->d.op_bytes;

	TRY(x86em_pop(ctxt, ip, bytes));
	TRY(x86em_pop(ctxt, cs, bytes));
	return x86em_pop(ctxt, flags, bytes);
}

static int iret_real(struct x86_emulate_ctxt *ctxt)
{
	u64 ip, cs, flags;
	u32 mask;

	TRY(x86em_check_vm86_iopl(ctxt));
	TRY(pop_ip_cs_flags(ctxt, &ip, &cs, &flags));
	TRY(check_cs_real(ctxt, ip));
	mask = x86em_popf_mask(ctxt, ctxt->d.op_bytes);
	if (ctxt->d.op_bytes > 2)
		mask |= X86_FLAG_RF;
	set_flags(ctxt, mask, flags);
	x86em_load_segment_real(ctxt, X86_SEG_CS, cs);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

/* SDM 2A "IRET": RETURN-TO-VIRTUAL-8086-MODE */
static int iret_to_vm86(struct x86_emulate_ctxt *ctxt, u64 ip, u16 cs, u32 flags)
{
	static const u8 order[] = { X86_SEG_SS, X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	u64 sp, selectors[sizeof(order)];
	unsigned int i;

	TRY(x86em_pop(ctxt, &sp, 4));
	for (i = 0; i < sizeof(order); i++)
		TRY(x86em_pop(ctxt, &selectors[i], 4));
	if (ip > 0xffff)
		return fault_gp(ctxt, 0);
	set_flags(ctxt, ~X86_FLAG_FIXED, flags & FLAGS_ALL);
	ctxt->mode = X86EMUL_MODE_VM86;
	x86em_load_segment_real(ctxt, X86_SEG_CS, cs);
	for (i = 0; i < sizeof(order); i++)
		x86em_load_segment_real(ctxt, order[i], selectors[i]);
	put_reg(ctxt, X86_RSP, sp, 4);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

/* SDM 2A "IRET/IRETD/IRETQ" */
static int iret_prot(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = cpl(ctxt);
	u64 ip, cs_selector, flags;
	struct descriptor desc;
	struct x86_seg cs;
	u32 mask;
	bool lm;

	TRY(x86em_long_mode(ctxt, &lm));
	if (flag(ctxt, X86_FLAG_NT))
		return lm ? fault_gp(ctxt, 0) : x86em_iret_task(ctxt);
	TRY(pop_ip_cs_flags(ctxt, &ip, &cs_selector, &flags));
	if (!lm && bytes > 2 && (flags & X86_FLAG_VM) && level == 0)
		return iret_to_vm86(ctxt, ip, cs_selector, flags);
	TRY(check_return_cs(ctxt, cs_selector, ip, &desc, &cs));
	mask = x86em_popf_mask(ctxt, bytes);
	if (bytes > 2)
		mask |= X86_FLAG_RF;
	if (bytes > 2 && level == 0)
		mask |= X86_FLAG_VIF | X86_FLAG_VIP;
	/* In 64-bit mode SS:RSP is always there. */
	TRY(mode64(ctxt) || (cs_selector & 3) > level ?
	    return_with_stack(ctxt, &desc, &cs, 0, level) : load_return_cs(ctxt, &desc, &cs));
	set_flags(ctxt, mask, flags);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

int em_iret(struct x86_emulate_ctxt *ctxt)
{
	TRY(prot_mode(ctxt) ? iret_prot(ctxt) : iret_real(ctxt));
	if (ctxt->ops->unblock_nmi)
		ctxt->ops->unblock_nmi(ctxt);
	return X86EMUL_CONTINUE;
}

/* ---- system calls ---- */

/* The flat segments that these instructions load without a descriptor. */
static __attribute__((__noinline__)) void
set_flat(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector, unsigned int dpl, bool l)
{
	struct x86_seg s = {
		.selector = selector, .limit = 0xffffffff, .type = seg == X86_SEG_CS ? 0xb : 3,
		.s = 1, .dpl = dpl, .present = 1, .l = l, .db = !l, .g = 1,
	};

	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* EFER.SCE, and Intel's limit to 64-bit mode; *efer for what follows. */
static int check_syscall(struct x86_emulate_ctxt *ctxt, u64 *efer)
{
	if (!prot_mode(ctxt) || !has_feature(ctxt, X86EMUL_FEAT_SYSCALL))
		return fault_ud(ctxt);
	if (!ctxt->amd && !mode64(ctxt))
		return fault_ud(ctxt);
	TRY(get_efer(ctxt, efer));
	if (!(*efer & EFER_SCE_BIT))
		return fault_ud(ctxt);
	return X86EMUL_CONTINUE;
}

int em_syscall(struct x86_emulate_ctxt *ctxt)
{
	u64 efer, star, target, mask;
	u16 selector;

	TRY(check_syscall(ctxt, &efer));
	TRY(ctxt->ops->get_msr(ctxt, MSR_STAR_NR, &star));
	selector = star >> 32 & 0xfffc;
	if (efer & EFER_LMA_BIT) {
		TRY(ctxt->ops->get_msr(ctxt, mode64(ctxt) ? MSR_LSTAR_NR : MSR_CSTAR_NR,
				       &target));
		TRY(ctxt->ops->get_msr(ctxt, MSR_SFMASK_NR, &mask));
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

	TRY(check_syscall(ctxt, &efer));
	target = get_reg(ctxt, X86_RCX, to64 ? 8 : 4);
	if (cpl(ctxt) || (to64 && !ctxt->amd && !x86_canonical(ctxt, target)))
		return fault_gp(ctxt, 0);
	TRY(ctxt->ops->get_msr(ctxt, MSR_STAR_NR, &star));
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
	if (!has_feature(ctxt, X86EMUL_FEAT_SYSENTER))
		return fault_ud(ctxt);
	TRY(x86em_long_mode(ctxt, lm));
	if (*lm && ctxt->amd)
		return fault_ud(ctxt);
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return fault_gp(ctxt, 0);
	TRY(ctxt->ops->get_msr(ctxt, MSR_SYSENTER_CS, selector));
	*selector &= 0xfffc;
	if (!*selector)
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

int em_sysenter(struct x86_emulate_ctxt *ctxt)
{
	u64 selector = 0, rip, rsp;
	bool lm;

	TRY(check_sysenter(ctxt, &lm, &selector));
	TRY(ctxt->ops->get_msr(ctxt, MSR_SYSENTER_EIP, &rip));
	TRY(ctxt->ops->get_msr(ctxt, MSR_SYSENTER_ESP, &rsp));
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

	TRY(check_sysenter(ctxt, &lm, &selector));
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
