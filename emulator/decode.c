// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder: it walks the opcode tables (x86_opcodes.c) in two ways,
 * x86_decode_insn() for execution, and x86_insn_length().
 */
#include "decode.h"

/* REX, opcode, ModRM and a displacement, at most. */
#define QUICK_BYTES 7

/* The default operand size, and the address size with and without 67. */
static const u8 mode_op_bytes[] = {
	[X86EMUL_MODE_REAL] = 2,
	[X86EMUL_MODE_VM86] = 2,
	[X86EMUL_MODE_PROT16] = 2,
	[X86EMUL_MODE_PROT32] = 4,
	[X86EMUL_MODE_PROT64] = 4,
};

static const u8 mode_ad_bytes[][2] = {
	[X86EMUL_MODE_REAL] = { 2, 4 },
	[X86EMUL_MODE_VM86] = { 2, 4 },
	[X86EMUL_MODE_PROT16] = { 2, 4 },
	[X86EMUL_MODE_PROT32] = { 4, 2 },
	[X86EMUL_MODE_PROT64] = { 8, 4 },
};

/*
 * More instruction bytes, at least one: what is left of the page, of the
 * segment and of 15 in one go, since each fetch is a walk of page tables.
 */
static int fetch_more(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = X86_MAX_INSN_LEN - ctxt->fetch_len;
	u64 linear = ctxt->rip + ctxt->fetch_len;
	unsigned int page_left;
	struct x86_seg cs;

	if (!n)
		return x86_emulate_fault_code(ctxt, EXC_GP, 0);
	if (ctxt->mode == X86EMUL_MODE_PROT64) {
		if (!x86_canonical(ctxt, linear))
			return x86_emulate_fault_code(ctxt, EXC_GP, 0);
	} else {
		ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
		if (linear > cs.limit)
			return x86_emulate_fault_code(ctxt, EXC_GP, 0);
		if (n > cs.limit - linear + 1)
			n = cs.limit - linear + 1;
		linear = (u32)(cs.base + linear);
	}
	page_left = 4096 - (linear & 4095);
	if (n > page_left)
		n = page_left;

	TRY(ctxt->ops->fetch(ctxt, linear, ctxt->fetch + ctxt->fetch_len, n));
	ctxt->fetch_len += n;
	return X86EMUL_CONTINUE;
}

static x86_inline int need(struct x86_emulate_ctxt *ctxt, unsigned int n)
{
	while (ctxt->fetch_pos + n > ctxt->fetch_len) {
		TRY(fetch_more(ctxt));
	}
	return X86EMUL_CONTINUE;
}

/* An immediate or displacement, zero-extended. */
static int take(struct x86_emulate_ctxt *ctxt, unsigned int n, u64 *val)
{
	const u8 *p;
	u32 low;

	TRY(need(ctxt, n));
	p = ctxt->fetch + ctxt->fetch_pos;
	ctxt->fetch_pos += n;
	switch (n) {
	case 1:
		*val = *p;
		break;
	case 2:
		*val = p[0] | p[1] << 8;
		break;
	case 4:
		memcpy(&low, p, 4);
		*val = low;
		break;
	default:
		memcpy(val, p, 8);
		break;
	}
	return X86EMUL_CONTINUE;
}

static void note_prefix(struct x86_decode *d, u8 b, bool long_mode)
{
	/* REX counts only right before the opcode. */
	d->rex = 0;
	switch (b) {
	case 0x66:
		d->opsize = 1;
		break;
	case 0x67:
		d->adsize = 1;
		break;
	case 0xf0:
		d->lock = 1;
		break;
	case 0xf2:
	case 0xf3:
		d->rep = b;
		break;
	case 0x64:
		d->seg_override = X86_SEG_FS + 1;
		break;
	case 0x65:
		d->seg_override = X86_SEG_GS + 1;
		break;
	default:
		/* 26, 2E, 36, 3E; in 64-bit mode an FS or GS before them stays */
		if (!long_mode)
			d->seg_override = (b >> 3 & 3) + 1;
		break;
	}
}

/* Does b change the next byte's meaning?  Notes it if so. */
static x86_inline bool take_prefix(struct x86_decode *d, u8 b, bool long_mode)
{
	if (long_mode && (b & 0xf0) == 0x40) {
		d->rex = b;
		return true;
	}
	if ((x86_map0[b].flags & K_MASK) != K_PREFIX)
		return false;
	note_prefix(d, b, long_mode);
	return true;
}

/*
 * The first row of an opcode.  NULL for the escapes, which have none.  *next is
 * how many of the bytes at p belong to the opcode.
 */
static const struct x86_opcode *mode_row(const struct x86_opcode *row,
					 bool long_mode)
{
	if ((row->flags & K_MASK) == K_MODE)
		row = &row->table[long_mode];
	return row;
}

/*
 * SDM 2A "VEX Prefix": p is at C4 or C5, and its two or three bytes are there.
 * The row that its map has; NULL where there is no such map.
 */
static const struct x86_opcode *vex_maps(unsigned int map)
{
	switch (map) {
	case 1:
		return x86_vex_map1;
	case 2:
		return x86_vex_map2;
	case 3:
		return x86_vex_map3;
	default:
		return NULL;
	}
}

static void take_vex(struct x86_decode *d, const u8 *p, bool long_mode)
{
	static const u8 reps[] = { 0, 0, 0xf3, 0xf2 };
	u8 last = *p == 0xc5 ? p[1] : p[2];

	d->vex = 1;
	d->map = *p == 0xc5 ? 1 : p[1] & 31;
	/* R, X and B are there inverted; W is REX.W in the place of R. */
	d->rex = 0x40;
	if (*p == 0xc5)
		d->rex |= p[1] & 0x80 ? 0 : 4;
	else
		d->rex |= (~p[1] >> 5 & 7) | (p[2] >> 4 & 8);
	d->vvvv = ~last >> 3 & 15;
	if (!long_mode)
		d->rex &= 0x48;
	d->vex_l = last >> 2 & 1;
	d->opsize = (last & 3) == 1;
	d->rep = reps[last & 3];
}

/* Is C4 or C5 a VEX prefix?  next is the byte behind it. */
static bool is_vex(enum x86emul_mode mode, u8 next)
{
	return mode == X86EMUL_MODE_PROT64 || (mode >= X86EMUL_MODE_PROT16 && next >= 0xc0);
}

static const struct x86_opcode *escape38_row(u8 opcode)
{
	const struct x86_opcode *row = &x86_map2[opcode];

	return row->flags & K_MASK ? row : &x86_row_0f38;
}

/*
 * Follow the tables to the instruction's own row.  *opnds is the row whose
 * operands hold.
 */
static x86_inline const struct x86_opcode *
resolve(const struct x86_opcode *row, u8 modrm, unsigned int rep,
	unsigned int opsize, const struct x86_opcode **opnds)
{
	*opnds = row;
	for (;;) {
		switch (row->flags & K_MASK) {
		case K_REG:
			row = &row->table[modrm >> 3 & 7];
			break;
		case K_RM:
			row = &row->table[modrm & 7];
			break;
		case K_MOD:
			row = &row->table[modrm >= 0xc0];
			break;
		case K_PFX:
			row = &row->table[rep == 0xf3 ? 2 : rep == 0xf2 ? 3 : opsize];
			break;
		default:
			return row;
		}
		if (row->op[0])
			*opnds = row;
	}
}

/* SDM 2A "16-Bit Addressing Forms with the ModR/M Byte" */
static int decode_mem16(struct x86_emulate_ctxt *ctxt)
{
	static const s8 base[8] = {
		X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX
	};
	static const s8 index[8] = {
		X86_RSI, X86_RDI, X86_RSI, X86_RDI, -1, -1, -1, -1
	};
	struct x86_decode *d = &ctxt->d;
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;
	u64 disp = 0, ea = 0;
	int rc = X86EMUL_CONTINUE;

	d->seg = X86_SEG_DS;
	if (mod == 0 && rm == 6) {
		rc = take(ctxt, 2, &disp);
	} else {
		ea = ctxt->regs[base[rm]];
		if (base[rm] == X86_RBP)
			d->seg = X86_SEG_SS;
		if (index[rm] >= 0)
			ea += ctxt->regs[index[rm]];
		if (mod == 1) {
			rc = take(ctxt, 1, &disp);
			disp = (u64)(s64)(s8)disp;
		} else if (mod == 2) {
			rc = take(ctxt, 2, &disp);
		}
	}
	d->ea = (ea + disp) & 0xffff;
	return rc;
}

static int decode_sib(struct x86_emulate_ctxt *ctxt, unsigned int mod, u64 *ea,
		      bool *disp32, unsigned int pop_bytes)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int base, index;
	u64 sib;

	TRY(take(ctxt, 1, &sib));
	base = sib & 7;
	index = (sib >> 3 & 7) | (d->rex & 2) << 2;
	if (base == 5 && mod == 0) {
		*disp32 = true;
	} else {
		base |= (d->rex & 1) << 3;
		*ea = ctxt->regs[base];
		if (base == X86_RSP)
			*ea += pop_bytes;
		if (base == X86_RSP || base == X86_RBP)
			d->seg = X86_SEG_SS;
	}
	if (index != X86_RSP)
		*ea += ctxt->regs[index] << (sib >> 6);
	return X86EMUL_CONTINUE;
}

/*
 * SDM 2A "32-Bit Addressing Forms with the ModR/M Byte", APM 1 "Effective
 * Addresses".  *rip_relative: next_rip has to be added once it is known.
 */
static x86_inline int decode_mem32(struct x86_emulate_ctxt *ctxt, unsigned int pop_bytes,
			bool *rip_relative)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;
	bool disp32 = mod == 2;
	u64 ea = 0, disp = 0;
	int rc = X86EMUL_CONTINUE;

	d->seg = X86_SEG_DS;
	if (rm == 4) {
		TRY(decode_sib(ctxt, mod, &ea, &disp32, pop_bytes));
	} else if (rm == 5 && mod == 0) {
		disp32 = true;
		*rip_relative = ctxt->mode == X86EMUL_MODE_PROT64;
	} else {
		rm |= (d->rex & 1) << 3;
		ea = ctxt->regs[rm];
		if (rm == X86_RBP)
			d->seg = X86_SEG_SS;
	}
	if (disp32) {
		rc = take(ctxt, 4, &disp);
		disp = (u64)(s64)(s32)disp;
	} else if (mod == 1) {
		rc = take(ctxt, 1, &disp);
		disp = (u64)(s64)(s8)disp;
	}
	d->ea = ea + disp;
	return rc;
}

/* By operand size (2, 4, 8 bytes: index 0 to 2) and size code; n is 8 in 64-bit mode. */
static const u8 size_bytes[3][SZ_n + 1] = {
	{ 0, 1, 2, 4, 8, 16, 10, 16, 2, 2, 4, 4 },
	{ 0, 1, 2, 4, 8, 16, 10, 16, 4, 4, 4, 4 },
	{ 0, 1, 2, 4, 8, 16, 10, 16, 8, 4, 8, 4 },
};

static x86_inline unsigned int operand_bytes(const struct x86_emulate_ctxt *ctxt,
					     unsigned int size)
{
	if (size == SZ_n || size == SZ_x) {
		if (size == SZ_n && ctxt->mode == X86EMUL_MODE_PROT64)
			return 8;
		if (size == SZ_x && ctxt->d.vex_l)
			return 32;
	}
	return size_bytes[ctxt->d.op_bytes >> 2][size];
}

static x86_inline void operand_reg(struct x86_emulate_ctxt *ctxt,
			       struct x86_operand *op, unsigned int reg)
{
	op->kind = OPK_REG;
	/* AH, CH, DH, BH are those of an instruction without REX. */
	if (op->bytes == 1 && reg >= 4 && reg < 8 && !ctxt->d.rex) {
		op->high = 1;
		reg -= 4;
	}
	op->reg = reg;
}

static int decode_imm(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
		      unsigned int class)
{
	unsigned int bytes = op->bytes;
	u64 val = 0;
	int rc;

	op->kind = OPK_IMM;
	/* An operand of 8 bytes has 4 in the instruction, but in MOV Zv, Iv. */
	rc = take(ctxt, bytes, &val);
	if (class == C_S || class == C_J)
		val = x86_sext(val, bytes);
	if (class == C_I && bytes == 4 && ctxt->d.op_bytes == 8)
		val = x86_sext(val, bytes);
	if (class == C_S)
		val &= x86_mask(ctxt->d.op_bytes);
	op->val = val;
	return rc;
}

static int decode_fixed(struct x86_emulate_ctxt *ctxt, struct x86_operand *op)
{
	u64 selector;
	int rc = X86EMUL_CONTINUE;

	switch (op->code) {
	case O_CL:
		operand_reg(ctxt, op, X86_RCX);
		break;
	case O_DX:
		operand_reg(ctxt, op, X86_RDX);
		break;
	case O_1:
		op->kind = OPK_IMM;
		op->val = 1;
		break;
	default:
		/* Ap: offset, then selector; kept as selector << 32 | offset */
		op->kind = OPK_IMM;
		rc = take(ctxt, op->bytes, &op->val);
		if (rc == X86EMUL_CONTINUE)
			rc = take(ctxt, 2, &selector);
		if (rc == X86EMUL_CONTINUE)
			op->val |= selector << 32;
		break;
	}
	return rc;
}

static int decode_other_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
				unsigned int code)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int class = code >> 4;

	switch (class) {
	case C_M:
		if (!d->has_mem)
			return x86_emulate_fault(ctxt, EXC_UD);
		op->kind = OPK_MEM;
		break;
	case C_Z:
		operand_reg(ctxt, op, (d->opcode & 7) | (d->rex & 1) << 3);
		break;
	case C_A:
		operand_reg(ctxt, op, X86_RAX);
		break;
	case C_I:
	case C_S:
	case C_J:
		return decode_imm(ctxt, op, class);
	case C_O:
		op->kind = OPK_MEM;
		d->has_mem = 1;
		d->seg = d->seg_override ? d->seg_override - 1 : X86_SEG_DS;
		return take(ctxt, d->ad_bytes, &d->ea);
	case C_NONE:
		return decode_fixed(ctxt, op);
	case C_H:
		op->kind = code == O_By ? OPK_REG : OPK_XMM;
		op->reg = d->vvvv & (ctxt->mode == X86EMUL_MODE_PROT64 ? 15 : 7);
		break;
	case C_SYS:
		op->kind = OPK_SYS;
		op->reg = d->modrm >> 3 & 7;
		if (code != O_Sw)
			op->reg |= (d->rex & 4) << 1;
		break;
	default:
		/* P and Q ignore REX.R and REX.B: there are eight. */
		op->kind = class == C_V || class == C_W ? OPK_XMM : OPK_MMX;
		if (class == C_P || class == C_V)
			op->reg = d->modrm >> 3 & 7;
		else
			op->reg = d->modrm & 7;
		if (class == C_V)
			op->reg |= (d->rex & 4) << 1;
		if (class == C_W)
			op->reg |= (d->rex & 1) << 3;
		if ((class == C_Q || class == C_W) && d->has_mem)
			op->kind = OPK_MEM;
		break;
	}
	return X86EMUL_CONTINUE;
}

/* The two most frequent classes here, the others above. */
static x86_inline int decode_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
				     unsigned int code)
{
	struct x86_decode *d = &ctxt->d;

	op->code = code;
	op->high = 0;
	op->bytes = operand_bytes(ctxt, code & 15);
	if (code >> 4 == C_G)
		operand_reg(ctxt, op, (d->modrm >> 3 & 7) | (d->rex & 4) << 1);
	else if (code >> 4 != C_E)
		return decode_other_operand(ctxt, op, code);
	else if (d->has_mem)
		op->kind = OPK_MEM;
	else
		operand_reg(ctxt, op, (d->modrm & 7) | (d->rex & 1) << 3);
	return X86EMUL_CONTINUE;
}

/* APM 3 "Operand-Size Override Prefix", "Near Branches in 64-Bit Mode" */
static x86_inline unsigned int operand_size(const struct x86_emulate_ctxt *ctxt, u32 flags)
{
	const struct x86_decode *d = &ctxt->d;
	unsigned int bytes = mode_op_bytes[ctxt->mode];

	if (d->opsize)
		bytes ^= 6;		/* 2 and 4 change places */
	if (ctxt->mode != X86EMUL_MODE_PROT64)
		return bytes;
	if (d->rex & 8)
		return 8;
	if (!(flags & (F_F64 | F_D64)))
		return bytes;
	/* Near branches: to Intel, 66 is without effect; to AMD it is not. */
	if (!d->opsize || ((flags & F_F64) && !ctxt->amd))
		return 8;
	return bytes;
}

/* C4 or C5 has been taken; LOCK, 66, F2, F3 and REX before it are undefined. */
static int decode_vex(struct x86_emulate_ctxt *ctxt, const struct x86_opcode **prow)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int first = ctxt->fetch_pos - 1, n = ctxt->fetch[first] == 0xc5 ? 2 : 3;
	bool bad = d->lock || d->opsize || d->rep;
	const struct x86_opcode *map;

	*prow = NULL;
	/* With REX right before it, the processor at hand looks no further. */
	if (d->rex)
		return x86_emulate_fault(ctxt, EXC_UD);

	/* Its other bytes, and the opcode. */
	TRY(need(ctxt, n));
	take_vex(d, ctxt->fetch + first, ctxt->mode == X86EMUL_MODE_PROT64);
	ctxt->fetch_pos += n;
	map = vex_maps(d->map);
	d->opcode = ctxt->fetch[ctxt->fetch_pos - 1];
	*prow = map ? &map[d->opcode] : &x86_row_vex;
	if (!((*prow)->flags & K_MASK))
		return bad ? x86_emulate_fault(ctxt, EXC_UD) : X86EMUL_UNHANDLEABLE;
	/* With other prefixes it is undefined as by LOCK: the length comes first. */
	d->lock = bad;
	return X86EMUL_CONTINUE;
}

/* What of VEX an instruction does without must be as for none. */
static bool vex_allowed(const struct x86_decode *d, const struct x86_opcode *opnds)
{
	u32 flags = d->row->flags;
	unsigned int i;

	if ((flags & F_L0 && d->vex_l) || (flags & F_L1 && !d->vex_l) ||
	    (flags & F_VW0 && d->rex & 8))
		return false;
	for (i = 0; i < 3; i++)
		if (opnds->op[i] >> 4 == C_H)
			return true;
	/* All four bits, even where there are eight registers. */
	return d->vvvv == 0;
}

static x86_inline int decode_opcode(struct x86_emulate_ctxt *ctxt,
				    const struct x86_opcode **prow)
{
	struct x86_decode *d = &ctxt->d;
	bool long_mode = ctxt->mode == X86EMUL_MODE_PROT64;
	const struct x86_opcode *row;
	u8 b;

	do {
		TRY(need(ctxt, 1));
		b = ctxt->fetch[ctxt->fetch_pos++];
	} while (take_prefix(d, b, long_mode));

	row = &x86_map0[b];
	if ((b & 0xfe) == 0xc4) {
		TRY(need(ctxt, 1));
		if (is_vex(ctxt->mode, ctxt->fetch[ctxt->fetch_pos]))
			return decode_vex(ctxt, prow);
	}
	if (b == 0x0f) {
		TRY(need(ctxt, 1));
		b = ctxt->fetch[ctxt->fetch_pos++];
		row = &x86_map1[b];
		d->map = 1;
		if (b == 0x38 || b == 0x3a) {
			d->map = b == 0x38 ? 2 : 3;
			TRY(need(ctxt, 1));
			b = ctxt->fetch[ctxt->fetch_pos++];
			row = d->map == 2 ? escape38_row(b) : &x86_row_0f3a;
		}
	}
	d->opcode = b;
	*prow = mode_row(row, long_mode);
	return X86EMUL_CONTINUE;
}

static x86_inline int decode_operands(struct x86_emulate_ctxt *ctxt,
			   const struct x86_opcode *opnds)
{
	struct x86_decode *d = &ctxt->d;
	const struct x86_opcode *row = d->row;
	bool rip_relative = false;
	unsigned int i;
	int rc;

	if ((opnds->form & FM_MODRM) && d->modrm < 0xc0 && !(row->flags & F_REGS)) {
		d->has_mem = 1;
		if (d->ad_bytes == 2)
			rc = decode_mem16(ctxt);
		else
			rc = decode_mem32(ctxt, row->flags & F_POPEA ?
					  d->op_bytes : 0, &rip_relative);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		if (d->seg_override)
			d->seg = d->seg_override - 1;
	}
	for (i = 0; i < 3; i++)
		d->op[i].kind = OPK_NONE;
	for (i = 0; i < 3 && opnds->op[i]; i++) {
		TRY(decode_operand(ctxt, &d->op[i], opnds->op[i]));
	}
	if (rip_relative)
		d->ea += ctxt->rip + ctxt->fetch_pos;
	if (d->ad_bytes == 4)
		d->ea = (u32)d->ea;
	return X86EMUL_CONTINUE;
}

/* On AMD, LOCK MOV CR0 is a MOV of CR8 that needs no REX: APM 3 "MOV CRn". */
static bool lock_allowed(struct x86_emulate_ctxt *ctxt)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int i;

	if ((d->row->flags & F_LOCKABLE) && d->op[0].kind == OPK_MEM)
		return true;
	if (!ctxt->amd || d->map != 1)
		return false;
	if (d->opcode != 0x20 && d->opcode != 0x22)
		return false;
	i = d->opcode == 0x20;
	if (d->op[i].reg)
		return false;
	d->op[i].reg = 8;
	return true;
}

/*
 * The way of nearly all that accesses a device: MOV between a register and memory
 * at a register and a displacement, no prefix but REX, 32- or 64-bit mode, fetched
 * at once.  It comes to what decode_long() would.  The tests run both.
 */
static x86_inline bool decode_quick(struct x86_emulate_ctxt *ctxt)
{
	struct x86_decode *d = &ctxt->d;
	struct x86_operand *reg, *mem;
	const u8 *p = ctxt->fetch;
	unsigned int bytes, nr;
	u64 disp = 0;
	u8 modrm;

	if (ctxt->mode < X86EMUL_MODE_PROT32 || ctxt->fetch_len < QUICK_BYTES)
		return false;
	if (ctxt->mode == X86EMUL_MODE_PROT64 && (*p & 0xf0) == 0x40)
		d->rex = *p++;
	d->row = &x86_map0[*p];
	modrm = p[1];
	nr = modrm & 7;
	if (!(d->row->flags & F_QUICK) || modrm >= 0xc0 || nr == X86_RSP ||
	    (modrm & 0xc7) == 5) {
		d->rex = 0;
		return false;
	}
	d->opcode = *p;
	d->modrm = modrm;
	d->has_mem = 1;
	p += 2;
	if (modrm & 0x80) {
		disp = (u64)(s64)(s32)(p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24);
		p += 4;
	} else if (modrm & 0x40) {
		disp = (u64)(s64)(s8)*p++;
	}
	d->len = p - ctxt->fetch;
	d->op_bytes = d->rex & 8 ? 8 : 4;
	d->ad_bytes = 4;
	nr |= (d->rex & 1) << 3;
	d->ea = ctxt->regs[nr] + disp;
	if (ctxt->mode == X86EMUL_MODE_PROT64)
		d->ad_bytes = 8;
	else
		d->ea = (u32)d->ea;
	d->seg = nr == X86_RBP ? X86_SEG_SS : X86_SEG_DS;

	mem = &d->op[d->opcode >> 1 & 1];
	reg = &d->op[!(d->opcode >> 1 & 1)];
	bytes = d->opcode & 1 ? d->op_bytes : 1;
	mem->kind = OPK_MEM;
	mem->bytes = reg->bytes = bytes;
	reg->high = 0;
	operand_reg(ctxt, reg, (modrm >> 3 & 7) | (d->rex & 4) << 1);
	return true;
}

static int decode_long(struct x86_emulate_ctxt *ctxt);

int x86_decode_insn(struct x86_emulate_ctxt *ctxt, const void *insn,
		    unsigned int len)
{
	struct x86_decode *d = &ctxt->d;

	memset(d, 0, offsetof(struct x86_decode, op_bytes));
	ctxt->exception.valid = false;
	memset(&ctxt->rc, 0, offsetof(struct x86_read_cache, pending_addr));
	ctxt->ins_count = 0;
	ctxt->regs_dirty = 0;
	ctxt->fetch_pos = 0;
	if (len >= X86_MAX_INSN_LEN) {
		memcpy(ctxt->fetch, insn, X86_MAX_INSN_LEN);
		ctxt->fetch_len = X86_MAX_INSN_LEN;
	} else {
		ctxt->fetch_len = len;
		if (len)
			memcpy(ctxt->fetch, insn, len);
		TRY(need(ctxt, 1));
	}
	return decode_quick(ctxt) ? X86EMUL_CONTINUE : decode_long(ctxt);
}

static __attribute__((__noinline__)) int decode_long(struct x86_emulate_ctxt *ctxt)
{
	struct x86_decode *d = &ctxt->d;
	const struct x86_opcode *first, *row, *opnds;
	bool undefined = false;

	TRY(decode_opcode(ctxt, &first));
	if (first->form & FM_MODRM) {
		TRY(need(ctxt, 1));
		d->modrm = ctxt->fetch[ctxt->fetch_pos++];
	}
	row = resolve(first, d->modrm, d->rep, d->opsize, &opnds);
	d->row = row;
	switch (row->flags & K_MASK) {
	case K_INSN:
		break;
	case K_UD:
		/*
		 * The processor at hand counts the bytes of a group's opcode that there
		 * is not: more than 15 are another fault.
		 */
		undefined = true;
		if (row != first)
			break;
		return x86_emulate_fault(ctxt, EXC_UD);
	default:
		return X86EMUL_UNHANDLEABLE;
	}
	if ((row->flags & F_NO64) && ctxt->mode == X86EMUL_MODE_PROT64)
		return x86_emulate_fault(ctxt, EXC_UD);
	if (d->vex && !undefined && !vex_allowed(d, opnds))
		return x86_emulate_fault(ctxt, EXC_UD);

	d->op_bytes = operand_size(ctxt, row->flags);
	d->ad_bytes = mode_ad_bytes[ctxt->mode][d->adsize];
	TRY(decode_operands(ctxt, opnds));
	if (undefined || (d->lock && !lock_allowed(ctxt)))
		return x86_emulate_fault(ctxt, EXC_UD);
	d->len = ctxt->fetch_pos;
	return X86EMUL_CONTINUE;
}

/* The bytes of ModRM, SIB and displacement; 0 when they are not all there. */
static unsigned int modrm_length(const u8 *p, unsigned int left, bool ad16)
{
	unsigned int mod, rm, n = 1;

	if (!left)
		return 0;
	mod = *p >> 6;
	rm = *p & 7;
	if (mod == 3)
		return 1;
	if (ad16) {
		n += mod;
		if (mod == 0 && rm == 6)
			n += 2;
	} else {
		if (rm == 4) {
			if (left < 2)
				return 0;
			rm = p[1] & 7;
			n++;
		}
		if (mod == 1)
			n += 1;
		else if (mod == 2 || rm == 5)
			n += 4;
	}
	return n <= left ? n : 0;
}

/* The bytes of immediates; op16 and ad_bytes are the sizes in force. */
static unsigned int immediate_length(const struct x86_opcode *opnds, u32 flags,
				     const struct x86_decode *d,
				     enum x86emul_mode mode)
{
	bool op16 = (mode_op_bytes[mode] == 2) != d->opsize && !(d->rex & 8);
	unsigned int n = opnds->form & FM_BYTES;

	if (mode == X86EMUL_MODE_PROT64 && (flags & F_F64))
		op16 = false;
	if (opnds->form & FM_Z)
		n += op16 ? 2 : 4;
	if (opnds->form & FM_V)
		n += d->rex & 8 ? 8 : op16 ? 2 : 4;
	if (opnds->form & FM_A)
		n += mode_ad_bytes[mode][d->adsize];
	return n;
}

/* The length of what has a VEX prefix at p[pos]; behind it, no form has exceptions. */
static int vex_length(enum x86emul_mode mode, const u8 *p, unsigned int pos, unsigned int len)
{
	unsigned int behind = pos + (p[pos] == 0xc5 ? 3 : 4), map, i, n;
	bool ad16 = mode_ad_bytes[mode][0] == 2;

	for (i = 0; i < pos; i++)
		if (p[i] == 0x67)
			ad16 = mode_ad_bytes[mode][1] == 2;
	if (behind > len)
		goto short_of_bytes;
	map = p[pos] == 0xc5 ? 1 : p[pos + 1] & 31;
	if (!vex_maps(map))
		return -EINVAL;
	if (map == 1 && p[behind - 1] == 0x77)
		return behind;
	n = modrm_length(p + behind, len - behind, ad16);
	if (!n)
		goto short_of_bytes;
	n += behind + (map == 3);
	/* 0F 70 to 73, C2, C4 to C6: an immediate byte */
	if (map == 1 && ((p[behind - 1] & 0xfc) == 0x70 || p[behind - 1] == 0xc2 ||
			 (p[behind - 1] >= 0xc4 && p[behind - 1] <= 0xc6)))
		n++;
	if (n <= len)
		return n;
short_of_bytes:
	return len < X86_MAX_INSN_LEN ? -ENODATA : -EINVAL;
}

/*
 * Nearly all that exits has neither prefix nor ModRM byte: its row's form is its
 * length.  0: it takes the long way.
 */
static x86_inline unsigned int quick_length(const u8 *p, unsigned int len)
{
	const struct x86_opcode *row = &x86_map0[*p];
	unsigned int n = 1;

	/* 40 to 4F are REX in 64-bit mode. */
	if ((*p & 0xf0) == 0x40)
		return 0;
	if (*p == 0x0f && len > 1) {
		row = &x86_map1[p[1]];
		n = 2;
	}
	if ((row->flags & (K_MASK | F_NO64)) != K_INSN || (row->form & ~FM_BYTES))
		return 0;
	n += row->form & FM_BYTES;
	return n <= len ? n : 0;
}

static __attribute__((__noinline__)) int
long_length(enum x86emul_mode mode, const void *bytes, unsigned int len);

int x86_insn_length(enum x86emul_mode mode, const void *bytes, unsigned int len)
{
	unsigned int n = len ? quick_length(bytes, len) : 0;

	return n ? (int)n : long_length(mode, bytes, len);
}

static __attribute__((__noinline__)) int
long_length(enum x86emul_mode mode, const void *bytes, unsigned int len)
{
	bool long_mode = mode == X86EMUL_MODE_PROT64;
	const struct x86_opcode *row, *opnds;
	struct x86_decode d;
	const u8 *p = bytes;
	unsigned int n, pos = 0;
	u8 b, modrm = 0;

	if (len > X86_MAX_INSN_LEN)
		len = X86_MAX_INSN_LEN;
	d.rex = d.rep = d.opsize = d.adsize = 0;
	do {
		if (pos >= len)
			goto short_of_bytes;
		b = p[pos++];
	} while (take_prefix(&d, b, long_mode));

	row = &x86_map0[b];
	if ((b & 0xfe) == 0xc4) {
		if (pos >= len)
			goto short_of_bytes;
		if (is_vex(mode, p[pos]))
			return vex_length(mode, p, pos - 1, len);
	} else if (b == 0x0f) {
		if (pos >= len)
			goto short_of_bytes;
		b = p[pos++];
		row = &x86_map1[b];
		if (b == 0x38 || b == 0x3a) {
			if (pos >= len)
				goto short_of_bytes;
			row = b == 0x38 ? escape38_row(p[pos]) : &x86_row_0f3a;
			pos++;
		}
	}
	row = mode_row(row, long_mode);
	if (row->form & FM_MODRM) {
		/* MOV to and from control registers has no memory form. */
		if (row->flags & F_REGS)
			n = pos < len;
		else
			n = modrm_length(p + pos, len - pos,
					 mode_ad_bytes[mode][d.adsize] == 2);
		if (!n)
			goto short_of_bytes;
		modrm = p[pos];
		pos += n;
	}
	row = resolve(row, modrm, d.rep, d.opsize, &opnds);
	switch (row->flags & K_MASK) {
	case K_INSN:
		break;
	case K_LACKING:
		/* An empty row says nothing of the form. */
		if (opnds->op[0])
			break;
		return -EINVAL;
	default:
		return -EINVAL;
	}
	if ((row->flags & F_NO64) && long_mode)
		return -EINVAL;
	if (opnds->form & ~FM_MODRM)
		pos += immediate_length(opnds, row->flags, &d, mode);
	if (pos <= len)
		return pos;
short_of_bytes:
	return len < X86_MAX_INSN_LEN ? -ENODATA : -EINVAL;
}
