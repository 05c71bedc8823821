// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's task switches.
 */
#include "segment.h"

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

	if (tr->limit < lay->limit)
		return x86_emulate_fault_code(ctxt, EXC_TS, tr->selector & 0xfffc);
	memcpy(image, &ctxt->next_rip, lay->bytes);
	memcpy(image + lay->bytes, &flags, lay->bytes);
	for (i = 0; i < 8; i++)
		memcpy(image + (2 + i) * lay->bytes, &ctxt->regs[i], lay->bytes);
	TRY(x86em_mem_write(ctxt, tr->base + lay->ip, image, 10 * lay->bytes,
			    X86EMUL_ACC_SYSTEM));
	for (i = 0; i < lay->nr_segs; i++) {
		ctxt->ops->get_segment(ctxt, i, &s);
		TRY(x86em_mem_write(ctxt, tr->base + lay->segs + i * lay->bytes, &s.selector, 2,
				    X86EMUL_ACC_SYSTEM));
	}
	return X86EMUL_CONTINUE;
}

/* The busy bit of a TSS in its descriptor. */
static int set_busy(struct x86_emulate_ctxt *ctxt, u16 selector, bool busy)
{
	struct descriptor desc;
	u8 byte;

	TRY(x86em_read_descriptor(ctxt, selector, EXC_TS, &desc));
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

	x86em_load_null_segment(ctxt, X86_SEG_LDTR, selector, 0);
	if (!(selector & 0xfffc))
		return X86EMUL_CONTINUE;
	if (selector & 4)
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	TRY(x86em_read_descriptor(ctxt, selector, EXC_TS, &desc));
	if (desc_s(&desc) || desc_type(&desc) != SYS_LDT || !desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	x86em_desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, X86_SEG_LDTR, &s);
	return X86EMUL_CONTINUE;
}

static int load_task_cs(struct x86_emulate_ctxt *ctxt, u16 selector)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	struct x86_seg cs;

	if (!(selector & 0xfffc))
		return x86_emulate_fault_code(ctxt, EXC_TS, 0);
	TRY(x86em_read_descriptor(ctxt, selector, EXC_TS, &desc));
	if (!desc_s(&desc) || !(desc_type(&desc) & 8) ||
	    (desc_type(&desc) & 4 ? desc_dpl(&desc) > rpl : desc_dpl(&desc) != rpl))
		return x86_emulate_fault_code(ctxt, EXC_TS, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	TRY(x86em_write_desc_type(ctxt, &desc, 1));
	x86em_desc_to_seg(&desc, selector, &cs);
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

	for (i = 0; i < lay->nr_segs; i++)
		sel[i] = tss_field(image, lay->segs + i * lay->bytes, 2);
	if (flag(ctxt, X86_FLAG_VM)) {
		ctxt->mode = X86EMUL_MODE_VM86;
		x86em_load_null_segment(ctxt, X86_SEG_LDTR, 0, 0);
		for (i = 0; i < 6; i++)
			x86em_load_segment_real(ctxt, i, sel[i]);
		return load_task_ldt(ctxt, tss_field(image, lay->ldt, 2));
	}
	for (i = 0; i < sizeof(data); i++)
		x86em_load_null_segment(ctxt, data[i], sel[data[i]], 0);
	ctxt->mode = X86EMUL_MODE_PROT32;
	TRY(load_task_ldt(ctxt, tss_field(image, lay->ldt, 2)));
	TRY(x86em_load_ss(ctxt, sel[X86_SEG_SS], sel[X86_SEG_CS] & 3, false, EXC_TS));
	TRY(load_task_cs(ctxt, sel[X86_SEG_CS]));
	for (i = 0; i < sizeof(data); i++)
		TRY(x86em_load_data_segment(ctxt, data[i], sel[data[i]], EXC_TS));
	return X86EMUL_CONTINUE;
}

/* The new task's TSS: is it one, and in the state that why wants? */
static int check_task(struct x86_emulate_ctxt *ctxt, u16 selector, enum x86emul_task why,
		      struct x86_seg *tr)
{
	u8 vector = why == X86EMUL_TASK_IRET ? EXC_TS : EXC_GP;
	struct descriptor desc;
	bool lm;

	TRY(x86em_long_mode(ctxt, &lm));
	if (lm || (selector & 4) || !(selector & 0xfffc))
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	TRY(x86em_read_descriptor(ctxt, selector, vector, &desc));
	x86em_desc_to_seg(&desc, selector, tr);
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

	if (why == X86EMUL_TASK_IRET)
		flags &= ~X86_FLAG_NT;
	TRY(save_task(ctxt, old, flags));
	if (!nested)
		TRY(set_busy(ctxt, old->selector, false));
	if (nested)
		TRY(x86em_mem_write(ctxt, new->base, &old->selector, 2, X86EMUL_ACC_SYSTEM));
	if (why != X86EMUL_TASK_IRET)
		TRY(set_busy(ctxt, new->selector, true));
	return X86EMUL_CONTINUE;
}

/* From here on there is no way back: what fails, fails in the new task. */
static int enter_task(struct x86_emulate_ctxt *ctxt, const struct x86_seg *tr,
		      const u8 *image, bool nested)
{
	const struct tss_layout *lay = tr->type & 8 ? &tss32 : &tss16;
	unsigned int i, n = lay->bytes;

	ctxt->ops->set_segment(ctxt, X86_SEG_TR, tr);
	if (lay == &tss32 && (ctxt->ops->get_cr(ctxt, 0) & CR0_PG))
		TRY(ctxt->ops->set_cr(ctxt, 3, tss_field(image, TSS_CR3, 4)));
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
int x86em_task_switch(struct x86_emulate_ctxt *ctxt, u16 selector, enum x86emul_task why)
{
	bool nested = why == X86EMUL_TASK_CALL || why == X86EMUL_TASK_GATE;
	struct x86_seg old, new;
	u8 image[104] = { 0 };
	unsigned int bytes;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &old);
	if (old.unusable)
		return x86_emulate_fault_code(ctxt, EXC_TS, old.selector & 0xfffc);
	TRY(check_task(ctxt, selector, why, &new));
	bytes = new.type & 8 ? 64 : tss16.limit + 1;
	TRY(x86em_mem_read(ctxt, new.base, image, bytes, X86EMUL_ACC_SYSTEM));
	if (bytes == 64)
		TRY(x86em_mem_read(ctxt, new.base + 64, image + 64, 40, X86EMUL_ACC_SYSTEM));
	TRY(leave_task(ctxt, &old, &new, why));
	rc = enter_task(ctxt, &new, image, nested);
	/* Nobody can answer for a device where descriptors should be. */
	return rc == X86EMUL_IO_NEEDED || rc == X86EMUL_RETRY_INSTR ?
	       X86EMUL_UNHANDLEABLE : rc;
}

/* IRET of a nested task: to the one that the TSS links to. */
int x86em_iret_task(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg tr;
	u16 link;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
	TRY(x86em_mem_read(ctxt, tr.base, &link, 2, X86EMUL_ACC_SYSTEM));
	return x86em_task_switch(ctxt, link, X86EMUL_TASK_IRET);
}

/**
 * x86_emulate_task_switch - a task switch that the hardware has intercepted
 * @ctxt: its rip is where the old task will continue
 * @selector: of the new task's TSS
 * @why: what switches
 * @error_code: NULL, or what to push onto the new task's stack
 *
 * SDM 3A "Task Switching".
 *
 * Return: as x86_emulate_insn(), X86EMUL_IO_NEEDED and X86EMUL_RETRY_INSTR excepted.
 */
int x86_emulate_task_switch(struct x86_emulate_ctxt *ctxt, u16 selector,
			    enum x86emul_task why, const u32 *error_code)
{
	struct x86_seg tr;
	int rc;

	x86em_begin(ctxt);
	ctxt->rc.end = 0;
	ctxt->next_rip = ctxt->rip;
	rc = x86em_task_switch(ctxt, selector, why);
	if (rc == X86EMUL_CONTINUE && error_code) {
		ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
		rc = x86em_push(ctxt, *error_code, tr.type & 8 ? 4 : 2);
	}
	if (rc == X86EMUL_IO_NEEDED || rc == X86EMUL_RETRY_INSTR)
		rc = X86EMUL_UNHANDLEABLE;
	return x86em_end(ctxt, rc);
}
