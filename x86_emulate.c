// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator: x86_emulate_insn() executes one instruction.  It loads the operands that
 * the row of emulator/opcodes.c names, calls the row's executor (em_xxx, by concept in
 * emulator/), and stores operand 0.
 *
 * Executors change registers through set_reg(), which can be undone, and
 * segments, control registers and memory, which cannot, only after everything
 * that may fault.
 */
#include "emulator/emulator.h"

/* ---- exceptions ---- */

/** x86_emulate_fault - note an exception without error code, for ops, too: PROPAGATE_FAULT */
int x86_emulate_fault(struct x86_emulate_ctxt *ctxt, u8 vector)
{
	ctxt->exception.valid = true;
	ctxt->exception.vector = vector;
	ctxt->exception.has_error_code = false;
	ctxt->exception.error_code = 0;
	return X86EMUL_PROPAGATE_FAULT;
}

/** x86_emulate_fault_code - the same with an error code */
int x86_emulate_fault_code(struct x86_emulate_ctxt *ctxt, u8 vector, u32 code)
{
	x86_emulate_fault(ctxt, vector);
	ctxt->exception.has_error_code = true;
	ctxt->exception.error_code = code;
	return X86EMUL_PROPAGATE_FAULT;
}

/** x86_emulate_page_fault - the same of a page fault, at what CR2 will be */
int x86_emulate_page_fault(struct x86_emulate_ctxt *ctxt, u64 address, u32 code)
{
	ctxt->exception.address = address;
	return x86_emulate_fault_code(ctxt, EXC_PF, code);
}

/* ---- operands ---- */

/* Memory; modify: it will be stored to as well. */
static x86_inline int load_memory(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
				  bool modify)
{
	u64 linear;

	TRY(linearize(ctxt, ctxt->d.seg, ctxt->d.ea, op->bytes, modify, &linear));
	TRY(read_small(ctxt, linear, &op->val, op->bytes, modify ? X86EMUL_ACC_WRITE : 0));
	if (modify) {
		ctxt->op0_linear = linear;
		ctxt->op0_old = op->val;
	}
	return X86EMUL_CONTINUE;
}

static x86_inline int load_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
				   bool modify)
{
	if (op->kind == OPK_MEM)
		return load_memory(ctxt, op, modify);
	if (op->kind == OPK_REG)
		op->val = ctxt->regs[op->reg] >> (op->high * 8) & x86_mask(op->bytes);
	return X86EMUL_CONTINUE;
}

/* A general register or memory, unless it is an immediate that is there already. */
int x86em_load_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op, bool modify)
{
	return load_operand(ctxt, op, modify);
}

int x86em_store_op0(struct x86_emulate_ctxt *ctxt, u64 linear, u64 old, bool locked)
{
	const struct x86_operand *op = &ctxt->d.op[0];

	if (locked)
		return ctxt->ops->cmpxchg(ctxt, linear, &old, &op->val, op->bytes);
	return x86em_mem_write(ctxt, linear, &op->val, op->bytes, 0);
}

/* ---- one instruction ---- */

/** x86_emulate_init - begin the life of a context; then set ops, priv, va_bits and amd */
void x86_emulate_init(struct x86_emulate_ctxt *ctxt)
{
	memset(ctxt, 0, sizeof(*ctxt));
	ctxt->va_bits = 48;
}

static int check_privilege(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	if ((flags & FEATURES) && !has_feature(ctxt, (flags & FEATURES) >> FEATURE_SHIFT))
		return fault_ud(ctxt);
	if ((flags & F_PROT) && !prot_mode(ctxt))
		return fault_ud(ctxt);
	if ((flags & F_CPL0) && cpl(ctxt))
		return fault_gp(ctxt, 0);
	if (flags & (F_SSE | F_MMX | F_AVX))
		return x86em_check_media(ctxt, flags);
	return X86EMUL_CONTINUE;
}

/* Sources first: none of them is what a locked operation waits for. */
static x86_inline int load_operands(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	struct x86_decode *d = &ctxt->d;

	if (!(flags & F_N1)) {
		if (d->op[2].kind != OPK_NONE)
			TRY(x86em_load_operand(ctxt, &d->op[2], false));
		TRY(load_operand(ctxt, &d->op[1], false));
	}
	if (flags & F_W0)
		return X86EMUL_CONTINUE;
	return x86em_load_operand(ctxt, &d->op[0], !(flags & F_R0));
}

static int store_memory(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	const struct x86_decode *d = &ctxt->d;
	const struct x86_operand *op = &d->op[0];
	u64 linear;

	if (op->kind != OPK_MEM)
		return X86EMUL_CONTINUE;
	if (flags & F_W0) {
		TRY(linearize(ctxt, d->seg, d->ea, op->bytes, true, &linear));
		return ctxt->ops->write(ctxt, linear, &op->val, op->bytes, 0);
	}
	/* XCHG with memory is locked with and without the prefix. */
	return x86em_store_op0(ctxt, ctxt->op0_linear, ctxt->op0_old, d->lock ||
			       d->row->exec == em_xchg);
}

/*
 * The register of a MOV from memory.  Behind its one read nothing fails: there is
 * neither a read to remember for a restart, nor a value to put back.
 */
static x86_inline int load_quick(struct x86_emulate_ctxt *ctxt)
{
	struct x86_read_cache *cache = &ctxt->rc;
	u64 linear, val = 0;
	int rc;

	TRY(linearize(ctxt, ctxt->d.seg, ctxt->d.ea, OP1.bytes, false, &linear));
	if (cache->end)
		rc = x86em_mem_read(ctxt, linear, &val, OP1.bytes, 0);
	else
		rc = ctxt->ops->read(ctxt, linear, &val, OP1.bytes, 0);
	if (rc == X86EMUL_IO_NEEDED) {
		cache->pending = OP1.bytes;
		cache->pending_addr = linear;
	}
	TRY(rc);
	if (OP0.bytes < 4) {
		put_operand(ctxt, &OP0, val);
	} else {
		ctxt->regs_dirty |= 1u << OP0.reg;
		ctxt->regs[OP0.reg] = val;
	}
	return X86EMUL_CONTINUE;
}

/* MOV between a register and memory: see decode_quick(). */
static x86_inline int execute_quick(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;

	if (OP0.kind == OPK_REG)
		return load_quick(ctxt);
	OP0.val = ctxt->regs[OP1.reg] >> (OP1.high * 8);
	TRY(linearize(ctxt, ctxt->d.seg, ctxt->d.ea, OP0.bytes, true, &linear));
	return ctxt->ops->write(ctxt, linear, &OP0.val, OP0.bytes, 0);
}

static __attribute__((__noinline__)) int execute(struct x86_emulate_ctxt *ctxt)
{
	const struct x86_opcode *row = ctxt->d.row;
	u32 flags = row->flags;

	if (flags & (F_PROT | F_CPL0 | F_SSE | F_MMX | F_AVX | FEATURES))
		TRY(check_privilege(ctxt, flags));
	TRY(load_operands(ctxt, flags));
	TRY(row->exec(ctxt));
	if ((flags & F_R0) || ctxt->skip_write)
		return X86EMUL_CONTINUE;
	if (OP0.kind != OPK_REG)
		return store_memory(ctxt, flags);
	put_operand(ctxt, &OP0, OP0.val);
	return X86EMUL_CONTINUE;
}

static void undo(struct x86_emulate_ctxt *ctxt)
{
	unsigned int nr;
	u32 bits;

	for (nr = 0, bits = ctxt->undo; bits; nr++, bits >>= 1)
		if (bits & 1)
			ctxt->regs[nr] = ctxt->old_regs[nr];
	ctxt->undo = 0;
	ctxt->rflags = ctxt->old_rflags;
	ctxt->interruptibility = 0;
}

/* Begin and end of one instruction, and of an intercepted task switch. */
void x86em_begin(struct x86_emulate_ctxt *ctxt)
{
	ctxt->old_rflags = ctxt->rflags;
	ctxt->undo = 0;
	ctxt->interruptibility = 0;
	ctxt->more = false;
	ctxt->switched = false;
	ctxt->posted = false;
	ctxt->skip_write = false;
	ctxt->exception.valid = false;
	ctxt->rc.pos = 0;
}

int x86em_end(struct x86_emulate_ctxt *ctxt, int rc)
{
	if (rc == X86EMUL_CONTINUE)
		ctxt->rip = ctxt->next_rip;
	else
		undo(ctxt);
	return rc;
}

/** x86_emulate_insn - execute what x86_decode_insn() has decoded: see x86_emulate.h */
int x86_emulate_insn(struct x86_emulate_ctxt *ctxt)
{
	ctxt->next_rip = ctxt->rip + ctxt->d.len;
	if (!mode64(ctxt))
		ctxt->next_rip = (u32)ctxt->next_rip;
	x86em_begin(ctxt);
	if ((ctxt->d.row->flags & F_QUICK) && OP0.kind != OP1.kind)
		return x86em_end(ctxt, execute_quick(ctxt));
	return x86em_end(ctxt, execute(ctxt));
}

/** x86_emulate_is_io - is it IN, OUT, INS, OUTS or RDPMC? */
bool x86_emulate_is_io(const struct x86_emulate_ctxt *ctxt)
{
	const struct x86_decode *d = &ctxt->d;

	if (d->vex)
		return false;
	if (d->map == 1)
		return d->opcode == 0x33;
	return d->map == 0 && ((d->opcode & 0xf4) == 0xe4 || (d->opcode & 0xfc) == 0x6c);
}

/** x86_emulate_one_access - is it a MOV, all of whose accesses are to one linear address? */
bool x86_emulate_one_access(const struct x86_emulate_ctxt *ctxt)
{
	return (ctxt->d.row->flags & F_QUICK) && ctxt->d.has_mem;
}
