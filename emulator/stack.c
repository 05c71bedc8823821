// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's stack, and the instructions that use it.
 */
#include "emulator.h"

unsigned int x86em_stack_bytes(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg ss;

	if (mode64(ctxt))
		return 8;
	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	return ss.db ? 4 : 2;
}

void x86em_add_rsp(struct x86_emulate_ctxt *ctxt, u64 delta)
{
	add_reg(ctxt, X86_RSP, delta, x86em_stack_bytes(ctxt));
}

int x86em_push(struct x86_emulate_ctxt *ctxt, u64 val, unsigned int bytes)
{
	unsigned int width = x86em_stack_bytes(ctxt);
	u64 sp = (ctxt->regs[X86_RSP] - bytes) & x86_mask(width);

	TRY(x86em_write_seg(ctxt, X86_SEG_SS, sp, &val, bytes));
	put_reg(ctxt, X86_RSP, sp, width);
	return X86EMUL_CONTINUE;
}

int x86em_pop(struct x86_emulate_ctxt *ctxt, u64 *val, unsigned int bytes)
{
	unsigned int width = x86em_stack_bytes(ctxt);
	u64 sp = get_reg(ctxt, X86_RSP, width);

	*val = 0;
	TRY(x86em_read_seg(ctxt, X86_SEG_SS, sp, val, bytes));
	put_reg(ctxt, X86_RSP, sp + bytes, width);
	return X86EMUL_CONTINUE;
}

EXECUTOR(push, x86em_push(ctxt, OP0.val, ctxt->d.op_bytes))
EXECUTOR(pop, x86em_pop(ctxt, &OP0.val, ctxt->d.op_bytes))

int em_pusha(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, nr;
	u64 sp = ctxt->regs[X86_RSP];

	for (nr = X86_RAX; nr <= X86_RDI; nr++)
		TRY(x86em_push(ctxt, nr == X86_RSP ? sp : ctxt->regs[nr], bytes));
	return X86EMUL_CONTINUE;
}

int em_popa(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 val;
	int nr;

	for (nr = X86_RDI; nr >= X86_RAX; nr--) {
		TRY(x86em_pop(ctxt, &val, bytes));
		if (nr != X86_RSP)
			put_reg(ctxt, nr, val, bytes);
	}
	return X86EMUL_CONTINUE;
}

/*
 * SDM 3B "Virtual-8086 Mode": what touches IF there needs IOPL 3.  The mode
 * extensions, which redirect it to VIF, are not covered.
 */
int x86em_check_vm86_iopl(struct x86_emulate_ctxt *ctxt)
{
	if (ctxt->mode != X86EMUL_MODE_VM86 || iopl(ctxt) == 3)
		return X86EMUL_CONTINUE;
	if (ctxt->ops->get_cr(ctxt, 4) & CR4_VME)
		return X86EMUL_UNHANDLEABLE;
	return fault_gp(ctxt, 0);
}

int em_pushf(struct x86_emulate_ctxt *ctxt)
{
	TRY(x86em_check_vm86_iopl(ctxt));
	return x86em_push(ctxt, ctxt->rflags & ~(u64)(X86_FLAG_VM | X86_FLAG_RF),
			  ctxt->d.op_bytes);
}

/* What POPF and IRET may change, VM and the virtual interrupt flags apart. */
u32 x86em_popf_mask(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	u32 mask = X86_FLAGS_STATUS | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT |
		   X86_FLAG_AC | X86_FLAG_ID;
	unsigned int level = cpl(ctxt);

	/* In virtual-8086 mode CPL is 3, and IOPL was found to be 3 too. */
	if (level == 0)
		mask |= X86_FLAG_IOPL;
	if (level <= iopl(ctxt))
		mask |= X86_FLAG_IF;
	return bytes == 2 ? mask & 0xffff : mask;
}

int em_popf(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 val;

	TRY(x86em_check_vm86_iopl(ctxt));
	TRY(x86em_pop(ctxt, &val, bytes));
	set_flags(ctxt, x86em_popf_mask(ctxt, bytes), val);
	if (bytes > 2)
		set_flags(ctxt, X86_FLAG_RF, 0);
	return X86EMUL_CONTINUE;
}

int em_enter(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = OP1.val & 31, i;
	unsigned int width = x86em_stack_bytes(ctxt);
	u64 frame, linear, val, bp = ctxt->regs[X86_RBP];

	TRY(x86em_push(ctxt, bp, bytes));
	frame = ctxt->regs[X86_RSP];
	for (i = 1; i < level; i++) {
		bp -= bytes;
		val = 0;
		TRY(x86em_read_seg(ctxt, X86_SEG_SS, bp & x86_mask(width), &val, bytes));
		TRY(x86em_push(ctxt, val, bytes));
	}
	if (level)
		TRY(x86em_push(ctxt, frame, bytes));
	x86em_add_rsp(ctxt, 0 - OP0.val);
	/* The new top of stack must be writable, though nothing is written. */
	TRY(x86em_linearize(ctxt, X86_SEG_SS, get_reg(ctxt, X86_RSP, width), bytes, true,
			    &linear));
	TRY(x86em_probe(ctxt, linear, bytes, X86EMUL_ACC_WRITE));
	put_reg(ctxt, X86_RBP, frame, bytes);
	return X86EMUL_CONTINUE;
}

int em_leave(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 val;

	put_reg(ctxt, X86_RSP, ctxt->regs[X86_RBP], x86em_stack_bytes(ctxt));
	TRY(x86em_pop(ctxt, &val, bytes));
	put_reg(ctxt, X86_RBP, val, bytes);
	return X86EMUL_CONTINUE;
}
