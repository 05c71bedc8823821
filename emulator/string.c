// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's port and string instructions.
 */
#include "emulator.h"

/* ---- ports ---- */

/* Not replayed: a restart within a REP INS or OUTS reads the map anew. */
static int read_tss(struct x86_emulate_ctxt *ctxt, u64 linear, u16 *val)
{
	int rc;

	rc = ctxt->ops->read(ctxt, linear, val, 2, X86EMUL_ACC_SYSTEM);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_UNHANDLEABLE : rc;
}

/*
 * SDM 1 "I/O Permission Bit Map".  Two bytes are read wherever one would do, as
 * the processor does, so the map needs a byte more than its last port's.
 */
static int check_io_bitmap(struct x86_emulate_ctxt *ctxt, u16 port, unsigned int size)
{
	struct x86_seg tr;
	u16 base, bits;
	u32 offset;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
	/* Only a 32-bit (or 64-bit) TSS has a map. */
	if (tr.unusable || !(tr.type & 8) || tr.limit < 103)
		return fault_gp(ctxt, 0);
	TRY(read_tss(ctxt, tr.base + 102, &base));
	offset = (u32)base + port / 8;
	if (offset + 1 > tr.limit)
		return fault_gp(ctxt, 0);
	TRY(read_tss(ctxt, tr.base + offset, &bits));
	if (bits >> (port & 7) & ((1u << size) - 1))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

static int check_io(struct x86_emulate_ctxt *ctxt, u16 port, unsigned int size)
{
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return X86EMUL_CONTINUE;
	if (ctxt->vmware_backdoor &&
	    (port == X86EMUL_VMWARE_PORT || port == X86EMUL_VMWARE_PORT_HB))
		return X86EMUL_CONTINUE;
	if (ctxt->mode != X86EMUL_MODE_VM86 && cpl(ctxt) <= iopl(ctxt))
		return X86EMUL_CONTINUE;
	return check_io_bitmap(ctxt, port, size);
}

int em_in(struct x86_emulate_ctxt *ctxt)
{
	u16 port = OP1.val;

	TRY(check_io(ctxt, port, OP0.bytes));
	OP0.val = 0;
	return ctxt->ops->pio_in(ctxt, OP0.bytes, port, &OP0.val, 1);
}

int em_out(struct x86_emulate_ctxt *ctxt)
{
	u16 port = OP0.val;

	TRY(check_io(ctxt, port, OP1.bytes));
	return ctxt->ops->pio_out(ctxt, OP1.bytes, port, &OP1.val, 1);
}

/* ---- strings ---- */

static unsigned int string_bytes(const struct x86_decode *d)
{
	return d->opcode & 1 ? d->op_bytes : 1;
}

static u64 string_ea(const struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	return get_reg(ctxt, nr, ctxt->d.ad_bytes);
}

/* On to the next element, or count elements further. */
static void string_advance(struct x86_emulate_ctxt *ctxt, unsigned int nr,
			   u64 bytes)
{
	add_reg(ctxt, nr, flag(ctxt, X86_FLAG_DF) ? 0 - bytes : bytes,
		ctxt->d.ad_bytes);
}

/* What has been done stays done: the next fault or restart begins here. */
static void commit_iteration(struct x86_emulate_ctxt *ctxt)
{
	ctxt->undo = 0;
	/* SDM 2A "REP": a fault brings back the flags of the start; not with AMD. */
	if (ctxt->amd)
		ctxt->old_rflags = ctxt->rflags;
	ctxt->rc.pos = 0;
	ctxt->rc.end = 0;
	ctxt->ins_count = 0;
}

/*
 * The REP loop.  step does up to *units elements, and says how many it did;
 * while_zf: CMPS and SCAS, which ZF may end too.
 */
static int rep_string(struct x86_emulate_ctxt *ctxt,
		      int (*step)(struct x86_emulate_ctxt *ctxt, unsigned int *units),
		      bool while_zf)
{
	unsigned int bytes = ctxt->d.ad_bytes, units = 1, done = 0;
	u64 left;
	int rc;

	if (!ctxt->d.rep)
		return step(ctxt, &units);

	for (;;) {
		left = get_reg(ctxt, X86_RCX, bytes);
		if (!left)
			return X86EMUL_CONTINUE;
		if (done >= X86EMUL_BATCH_ITERS || ctxt->posted)
			break;
		units = left < X86EMUL_BATCH_BYTES ? left : X86EMUL_BATCH_BYTES;
		rc = step(ctxt, &units);
		/* Of what is done before, nothing may be reported as undone. */
		if (done && (rc == X86EMUL_UNHANDLEABLE || rc == X86EMUL_RETRY_INSTR))
			break;
		TRY(rc);
		add_reg(ctxt, X86_RCX, 0 - (u64)units, bytes);
		commit_iteration(ctxt);
		done += units;
		if (while_zf && flag(ctxt, X86_FLAG_ZF) != (ctxt->d.rep == 0xf3))
			return X86EMUL_CONTINUE;
	}
	ctxt->more = true;
	ctxt->next_rip = ctxt->rip;
	return X86EMUL_CONTINUE;
}

static int movs_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 val;

	*units = 1;
	TRY(x86em_read_seg(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &val, bytes));
	TRY(x86em_write_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &val, bytes));
	string_advance(ctxt, X86_RSI, bytes);
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

static int stos_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);

	*units = 1;
	TRY(x86em_write_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &ctxt->regs[X86_RAX],
			    bytes));
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

static int lods_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 val = 0;

	*units = 1;
	TRY(x86em_read_seg(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &val, bytes));
	put_reg(ctxt, X86_RAX, val, bytes);
	string_advance(ctxt, X86_RSI, bytes);
	return X86EMUL_CONTINUE;
}

static int scas_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 a = get_reg(ctxt, X86_RAX, bytes), b = 0;

	*units = 1;
	TRY(x86em_read_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &b, bytes));
	x86em_flags_sub(ctxt, a, b, a - b, bytes, X86_FLAGS_STATUS);
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

static int cmps_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 a = 0, b = 0;

	*units = 1;
	TRY(x86em_read_seg(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &a, bytes));
	TRY(x86em_read_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &b, bytes));
	x86em_flags_sub(ctxt, a, b, a - b, bytes, X86_FLAGS_STATUS);
	string_advance(ctxt, X86_RSI, bytes);
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

static unsigned int io_string_bytes(const struct x86_decode *d)
{
	unsigned int bytes = string_bytes(d);

	return bytes == 8 ? 4 : bytes;
}

/*
 * How many of units elements from seg:ea go in one batch: those up to the end of
 * the page, of ordinary memory, upwards, that all pass the segment's checks.
 * At least one, which may be a device, cross a page, or fault.
 */
static int io_batch(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		    unsigned int size, unsigned int access, unsigned int *units,
		    u64 *linear)
{
	bool write = access & X86EMUL_ACC_WRITE;
	unsigned int n = *units, room;
	u64 end;

	*units = 1;
	TRY(x86em_linearize(ctxt, seg, ea, size, write, linear));
	if (!ctxt->ops->probe)
		return X86EMUL_CONTINUE;
	room = (4096 - (unsigned int)(*linear & 4095)) / size;
	if (n > room)
		n = room;
	/* An address that wraps ends the batch too. */
	if (n > 1 && !flag(ctxt, X86_FLAG_DF) &&
	    ea + (u64)n * size - 1 <= x86_mask(ctxt->d.ad_bytes) &&
	    x86em_linearize(ctxt, seg, ea, n * size, write, &end) == X86EMUL_CONTINUE &&
	    ctxt->ops->probe(ctxt, *linear, n * size, access) == X86EMUL_CONTINUE) {
		*units = n;
		return X86EMUL_CONTINUE;
	}
	ctxt->exception.valid = false;
	return x86em_probe(ctxt, *linear, size, access);
}

/*
 * What a device has given cannot be given back, so memory is probed before.  A
 * restart takes the units that were asked for.
 */
static int ins_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int size = io_string_bytes(&ctxt->d);
	u64 ea = string_ea(ctxt, X86_RDI), linear;
	int rc;

	if (ctxt->ins_count) {
		/* Userspace may have lowered RCX in between. */
		if (*units > ctxt->ins_count)
			*units = ctxt->ins_count;
		TRY(x86em_linearize(ctxt, X86_SEG_ES, ea, size, true, &linear));
	} else {
		TRY(io_batch(ctxt, X86_SEG_ES, ea, size, X86EMUL_ACC_WRITE, units, &linear));
	}
	rc = ctxt->ops->pio_in(ctxt, size, ctxt->regs[X86_RDX], ctxt->batch, *units);
	if (rc == X86EMUL_IO_NEEDED)
		ctxt->ins_count = *units;
	TRY(rc);
	TRY(x86em_mem_write(ctxt, linear, ctxt->batch, size * *units, 0));
	string_advance(ctxt, X86_RDI, size * *units);
	return X86EMUL_CONTINUE;
}

static int outs_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int size = io_string_bytes(&ctxt->d);
	u64 linear;

	TRY(io_batch(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), size, 0, units,
		     &linear));
	if (*units == 1)
		TRY(x86em_mem_read(ctxt, linear, ctxt->batch, size, 0));
	else
		TRY(ctxt->ops->read(ctxt, linear, ctxt->batch, size * *units, 0));
	TRY(ctxt->ops->pio_out(ctxt, size, ctxt->regs[X86_RDX], ctxt->batch, *units));
	string_advance(ctxt, X86_RSI, size * *units);
	return X86EMUL_CONTINUE;
}

/* SDM 2B "MOVS" and so on, with REP or without */
int em_string(struct x86_emulate_ctxt *ctxt)
{
	static int (*const steps[])(struct x86_emulate_ctxt *ctxt, unsigned int *units) = {
		[STRING_MOVS] = movs_step, [STRING_CMPS] = cmps_step, [STRING_STOS] = stos_step,
		[STRING_LODS] = lods_step, [STRING_SCAS] = scas_step, [STRING_INS] = ins_step,
		[STRING_OUTS] = outs_step,
	};
	unsigned int which = row_arg(ctxt);

	if (which == STRING_INS || which == STRING_OUTS)
		TRY(check_io(ctxt, ctxt->regs[X86_RDX], io_string_bytes(&ctxt->d)));
	return rep_string(ctxt, steps[which], which == STRING_CMPS || which == STRING_SCAS);
}
