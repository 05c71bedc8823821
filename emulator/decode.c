// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder.  walk() finds an instruction's row and length by the opcode tables
 * (opcodes.c), for x86_insn_length() and for x86_decode_insn(), which then takes the
 * operands.
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

/**
 * x86_fetch_more - fetch more bytes of the instruction at RIP
 * @ctxt: its rip, mode and va_bits say from where, fetch_len how many are in fetch[]
 *
 * At least one byte, and in one go what is left of the page, of CS's limit and of 15,
 * since each fetch is a walk of page tables.
 *
 * Return: X86EMUL_CONTINUE, or what ops->fetch returned; X86EMUL_PROPAGATE_FAULT with
 * #GP(0) behind the limit, outside of canonical addresses, and after 15 bytes.
 */
int x86_fetch_more(struct x86_emulate_ctxt *ctxt)
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

static const struct x86_opcode *mode_row(const struct x86_opcode *row,
					 bool long_mode)
{
	if ((row->flags & K_MASK) == K_MODE)
		row = &row->table[long_mode];
	return row;
}

/* SDM 2A "VEX Prefix": p is at C4 or C5, and its two or three bytes are there. */
static void take_vex(struct x86_decode *d, const u8 *p, bool long_mode)
{
	static const u8 reps[] = { 0, 0, 0xf3, 0xf2 };
	u8 last = *p == 0xc5 ? p[1] : p[2];

	d->vex = 1;
	/* With prefixes before VEX it is undefined as by LOCK: the length comes first. */
	d->lock |= d->opsize || d->rep;
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

/* The row of an opcode in a map of VEX; what has none there has a ModRM byte, too. */
static const struct x86_opcode *vex_row(unsigned int map, u8 opcode)
{
	const struct x86_opcode *row;

	switch (map) {
	case 1:
		row = &x86_vex_map1[opcode];
		break;
	case 2:
		row = &x86_vex_map2[opcode];
		break;
	case 3:
		row = &x86_vex_map3[opcode];
		break;
	default:
		return &x86_row_vex;
	}
	if (row->form || row->flags)
		return row;
	return map == 3 ? &x86_row_0f3a : &x86_row_0f38;
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
	while ((row->flags & K_MASK) >= K_REG) {
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
		default:
			row = &row->table[rep == 0xf3 ? 2 : rep == 0xf2 ? 3 : opsize];
			break;
		}
		if (row->op[0])
			*opnds = row;
	}
	return row;
}

/* APM 3 "Operand-Size Override Prefix", "Near Branches in 64-Bit Mode" */
static x86_inline unsigned int operand_size(const struct x86_decode *d, enum x86emul_mode mode,
					    bool amd, u32 flags)
{
	unsigned int bytes = mode_op_bytes[mode];

	if (d->opsize)
		bytes ^= 6;		/* 2 and 4 change places */
	if (mode != X86EMUL_MODE_PROT64)
		return bytes;
	if (d->rex & 8)
		return 8;
	if (!(flags & (F_F64 | F_D64)))
		return bytes;
	/* Near branches: to Intel, 66 is without effect; to AMD it is not. */
	if (!d->opsize || ((flags & F_F64) && !amd))
		return 8;
	return bytes;
}

/* Fields of VEX that an instruction does not use must be as if they were not there. */
static bool vex_allowed(const struct x86_decode *d, u32 flags, const struct x86_opcode *opnds)
{
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

/*
 * 0, -EINVAL or -EOPNOTSUPP as walk() returns.  Tested processors count the bytes
 * of a group's opcode that there is not, since more than 15 are another fault.
 */
static int check_row(const struct x86_decode *d, u32 flags, const struct x86_opcode *opnds,
		     bool chosen, bool long_mode)
{
	switch (flags & K_MASK) {
	case K_INSN:
		if (d->vex && !vex_allowed(d, flags, opnds))
			return -EINVAL;
		break;
	case K_UD:
		return chosen ? 0 : -EINVAL;
	case K_LACKING:
		/* An empty row says nothing of the form. */
		return opnds->op[0] ? 0 : -EOPNOTSUPP;
	default:
		return -EOPNOTSUPP;
	}
	return (flags & F_NO64) && long_mode ? -EINVAL : 0;
}

/*
 * The bytes behind ModRM of a memory operand: SIB and displacement, by the address size
 * (16 bits or more), ModRM.mod and ModRM.rm.
 */
static const u8 address_bytes[2][3][8] = {
	{
		{ 0, 0, 0, 0, 1, 4, 0, 0 },
		{ 1, 1, 1, 1, 2, 1, 1, 1 },
		{ 4, 4, 4, 4, 5, 4, 4, 4 },
	}, {
		{ 0, 0, 0, 0, 0, 0, 2, 0 },
		{ 1, 1, 1, 1, 1, 1, 1, 1 },
		{ 2, 2, 2, 2, 2, 2, 2, 2 },
	},
};

/* p is behind ModRM. */
static x86_inline unsigned int address_length(u8 modrm, const u8 *p, unsigned int left, bool ad16)
{
	unsigned int n = address_bytes[ad16][modrm >> 6][modrm & 7];

	/* SIB without a base */
	if ((modrm & 0xc7) == 4 && !ad16 && left && (*p & 7) == 5)
		n += 4;
	return n;
}

static x86_inline unsigned int immediate_length(const struct x86_decode *d, unsigned int form,
						enum x86emul_mode mode)
{
	unsigned int n = form & FM_BYTES;

	if (form & FM_Z)
		n += d->op_bytes == 2 ? 2 : 4;
	if (form & FM_V)
		n += d->op_bytes;
	if (form & FM_A)
		n += mode_ad_bytes[mode][d->adsize];
	return n;
}

/*
 * Find the opcode's first row, and where the byte behind it is.  -ENODATA: there are
 * more; -EINVAL: undefined.
 */
static x86_inline int walk_opcode(struct x86_decode *d, enum x86emul_mode mode, const u8 *p,
				  unsigned int len, const struct x86_opcode **row)
{
	bool long_mode = mode == X86EMUL_MODE_PROT64;
	unsigned int pos = 0, n;
	u8 b;

	do {
		if (pos >= len)
			return -ENODATA;
		b = p[pos++];
	} while (take_prefix(d, b, long_mode));

	*row = &x86_map0[b];
	if (b == 0x0f) {
		if (pos >= len)
			return -ENODATA;
		b = p[pos++];
		*row = &x86_map1[b];
		d->map = 1;
		if (b == 0x38 || b == 0x3a) {
			if (pos >= len)
				return -ENODATA;
			d->map = b == 0x38 ? 2 : 3;
			b = p[pos++];
			*row = d->map == 2 ? escape38_row(b) : &x86_row_0f3a;
		}
	} else if ((b & 0xfe) == 0xc4) {
		if (pos >= len)
			return -ENODATA;
		if (is_vex(mode, p[pos])) {
			/* With REX right before VEX, tested processors fetch no further bytes. */
			if (d->rex)
				return -EINVAL;
			/* Its other bytes, and the opcode. */
			n = b == 0xc5 ? 2 : 3;
			if (pos + n > len)
				return -ENODATA;
			take_vex(d, p + pos - 1, long_mode);
			pos += n;
			b = p[pos - 1];
			*row = vex_row(d->map, b);
		}
	}
	d->opcode = b;
	*row = mode_row(*row, long_mode);
	return pos;
}

/*
 * Walk the instruction in p[0..len).  Returns its length; d->row may be one that is not
 * covered, or undefined.  -ENODATA: it has more bytes; -EINVAL: undefined; -EOPNOTSUPP:
 * not covered, and of unknown form.
 */
static x86_inline int walk(struct x86_decode *d, enum x86emul_mode mode, bool amd,
			   const u8 *p, unsigned int len, bool decode)
{
	const struct x86_opcode *first, *row, *opnds;
	bool mem = false;
	u8 modrm = 0;
	int pos, rc;

	pos = walk_opcode(d, mode, p, len, &first);
	if (pos < 0)
		return pos;
	if (first->form & FM_MODRM) {
		if (pos >= (int)len)
			return -ENODATA;
		modrm = p[pos++];
		mem = modrm < 0xc0;
	}
	row = resolve(first, modrm, d->rep, d->opsize, &opnds);
	d->row = row;
	if ((row->flags & (K_MASK | F_NO64)) != K_INSN || d->vex) {
		rc = check_row(d, row->flags, opnds, row != first, mode == X86EMUL_MODE_PROT64);
		if (rc < 0)
			return rc;
	}

	d->modrm = modrm;
	d->opnds = opnds;
	d->disp_at = pos;
	if (decode || mem)
		d->ad_bytes = mode_ad_bytes[mode][d->adsize];
	/* MOV to and from control registers has no memory form. */
	if (mem && !(row->flags & F_REGS)) {
		d->has_mem = 1;
		pos += address_length(modrm, p + pos, len - pos, d->ad_bytes == 2);
	}
	d->imm_at = pos;
	if (decode || (opnds->form & (FM_Z | FM_V)))
		d->op_bytes = operand_size(d, mode, amd, row->flags);
	if (opnds->form & ~FM_MODRM)
		pos += immediate_length(d, opnds->form, mode);
	return pos <= (int)len ? pos : -ENODATA;
}

/* An immediate or displacement, zero-extended; walk() has found all its bytes. */
static x86_inline u64 load_bytes(const u8 *p, unsigned int n)
{
	u32 low;
	u64 val;

	switch (n) {
	case 1:
		return *p;
	case 2:
		return p[0] | p[1] << 8;
	case 4:
		memcpy(&low, p, 4);
		return low;
	default:
		memcpy(&val, p, 8);
		return val;
	}
}

/* The next immediate. */
static u64 take(struct x86_emulate_ctxt *ctxt, unsigned int n)
{
	const u8 *p = ctxt->fetch + ctxt->d.imm_at;

	ctxt->d.imm_at += n;
	return load_bytes(p, n);
}

/* SDM 2A "16-Bit Addressing Forms with the ModR/M Byte"; p is at the displacement. */
static void address16(struct x86_emulate_ctxt *ctxt, const u8 *p)
{
	static const s8 base[8] = {
		X86_RBX, X86_RBX, X86_RBP, X86_RBP, X86_RSI, X86_RDI, X86_RBP, X86_RBX
	};
	static const s8 index[8] = {
		X86_RSI, X86_RDI, X86_RSI, X86_RDI, -1, -1, -1, -1
	};
	struct x86_decode *d = &ctxt->d;
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;

	d->seg = X86_SEG_DS;
	if (mod == 0 && rm == 6) {
		d->ea = load_bytes(p, 2);
		return;
	}
	d->ea = ctxt->regs[base[rm]];
	if (base[rm] == X86_RBP)
		d->seg = X86_SEG_SS;
	if (index[rm] >= 0)
		d->ea += ctxt->regs[index[rm]];
	if (mod)
		d->ea += x86_sext(load_bytes(p, mod), mod);
	d->ea &= 0xffff;
}

/* Base and index of SIB; its base, or 5 where a displacement is in the place of one. */
static unsigned int sib_address(struct x86_emulate_ctxt *ctxt, u8 sib, unsigned int pop_bytes)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int base = sib & 7, index = (sib >> 3 & 7) | (d->rex & 2) << 2;

	d->ea = 0;
	if (base != 5 || d->modrm >> 6) {
		base |= (d->rex & 1) << 3;
		d->ea = ctxt->regs[base];
		if (base == X86_RSP)
			d->ea += pop_bytes;
		if (base == X86_RSP || base == X86_RBP)
			d->seg = X86_SEG_SS;
	}
	if (index != X86_RSP)
		d->ea += ctxt->regs[index] << (sib >> 6);
	return sib & 7;
}

/*
 * SDM 2A "32-Bit Addressing Forms with the ModR/M Byte", APM 1 "Effective
 * Addresses"; p is behind ModRM.  pop_bytes: what rSP counts from, for POP.
 */
static x86_inline void address32(struct x86_emulate_ctxt *ctxt, const u8 *p,
				 unsigned int pop_bytes, unsigned int len)
{
	struct x86_decode *d = &ctxt->d;
	unsigned int mod = d->modrm >> 6, rm = d->modrm & 7;

	d->seg = X86_SEG_DS;
	if (rm == 4) {
		rm = sib_address(ctxt, *p++, pop_bytes);
	} else if (rm == 5 && mod == 0) {
		d->ea = ctxt->mode == X86EMUL_MODE_PROT64 ? ctxt->rip + len : 0;
	} else {
		rm |= (d->rex & 1) << 3;
		d->ea = ctxt->regs[rm];
		if (rm == X86_RBP)
			d->seg = X86_SEG_SS;
	}
	if (mod == 1)
		d->ea += (u64)(s64)(s8)*p;
	else if (mod == 2 || (mod == 0 && (rm & 7) == 5))
		d->ea += x86_sext(load_bytes(p, 4), 4);
}

/* By operand size (2, 4, 8 bytes: index 0 to 2) and size code; n is 8 in 64-bit mode. */
static const u8 size_bytes[3][SZ_n + 1] = {
	{ 0, 1, 2, 4, 8, 16, 10, 2, 2, 4, 16, 4 },
	{ 0, 1, 2, 4, 8, 16, 10, 4, 4, 4, 16, 4 },
	{ 0, 1, 2, 4, 8, 16, 10, 8, 4, 8, 16, 4 },
};

static x86_inline unsigned int operand_bytes(const struct x86_emulate_ctxt *ctxt,
					     unsigned int size)
{
	if (size >= SZ_x) {
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

static void decode_imm(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
		       unsigned int class)
{
	unsigned int bytes = op->bytes;
	u64 val = take(ctxt, bytes);

	op->kind = OPK_IMM;
	if (class == C_S || class == C_J)
		val = x86_sext(val, bytes);
	/* An operand of 8 bytes has 4 in the instruction, but in MOV Zv, Iv. */
	if (class == C_I && bytes == 4 && ctxt->d.op_bytes == 8)
		val = x86_sext(val, bytes);
	if (class == C_S)
		val &= x86_mask(ctxt->d.op_bytes);
	op->val = val;
}

static void decode_fixed(struct x86_emulate_ctxt *ctxt, struct x86_operand *op)
{
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
		op->val = take(ctxt, op->bytes);
		op->val |= take(ctxt, 2) << 32;
		break;
	}
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
		decode_imm(ctxt, op, class);
		break;
	case C_O:
		op->kind = OPK_MEM;
		d->has_mem = 1;
		d->seg = d->seg_override ? d->seg_override - 1 : X86_SEG_DS;
		d->ea = take(ctxt, d->ad_bytes);
		break;
	case C_NONE:
		decode_fixed(ctxt, op);
		break;
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

static x86_inline int decode_operands(struct x86_emulate_ctxt *ctxt, unsigned int len)
{
	struct x86_decode *d = &ctxt->d;
	const struct x86_opcode *opnds = d->opnds;
	unsigned int i;

	if (d->has_mem) {
		const u8 *p = ctxt->fetch + d->disp_at;

		if (d->ad_bytes == 2)
			address16(ctxt, p);
		else
			address32(ctxt, p, d->row->flags & F_POPEA ? d->op_bytes : 0, len);
		if (d->ad_bytes == 4)
			d->ea = (u32)d->ea;
		if (d->seg_override)
			d->seg = d->seg_override - 1;
	}
	for (i = 0; i < 3; i++) {
		if (opnds->op[i])
			TRY(decode_operand(ctxt, &d->op[i], opnds->op[i]));
		else
			d->op[i].kind = OPK_NONE;
	}
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
 * Nearly all accesses to devices are of this form: MOV between a register and memory
 * at a register and a displacement, no prefix but REX, 32- or 64-bit mode, fetched
 * at once.  The result is that of decode_long(); the tests compare both.
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

/* With prefixes before VEX, what is not covered is undefined, too. */
static bool lacking(const struct x86_decode *d)
{
	return (d->row->flags & K_MASK) == K_LACKING && !(d->vex && d->lock);
}

static __attribute__((__noinline__)) int decode_long(struct x86_emulate_ctxt *ctxt)
{
	struct x86_decode *d = &ctxt->d;
	int len;

	/* Twice at most, as what is fetched reaches to the page's end. */
	while ((len = walk(d, ctxt->mode, ctxt->amd, ctxt->fetch, ctxt->fetch_len, true)) < 0) {
		if (len == -EOPNOTSUPP)
			return X86EMUL_UNHANDLEABLE;
		if (len == -EINVAL)
			return x86_emulate_fault(ctxt, EXC_UD);
		TRY(x86_fetch_more(ctxt));
		memset(d, 0, offsetof(struct x86_decode, op_bytes));
	}
	if ((d->row->flags & K_MASK) != K_INSN)
		return lacking(d) ? X86EMUL_UNHANDLEABLE : x86_emulate_fault(ctxt, EXC_UD);
	TRY(decode_operands(ctxt, len));
	if (d->lock && !lock_allowed(ctxt))
		return x86_emulate_fault(ctxt, EXC_UD);
	d->len = len;
	return X86EMUL_CONTINUE;
}

/* Those that the hardware has given, or what there is to the page's end. */
static __attribute__((__noinline__)) int first_bytes(struct x86_emulate_ctxt *ctxt,
						     const void *insn, unsigned int len)
{
	ctxt->fetch_len = len;
	if (!len)
		return x86_fetch_more(ctxt);
	memcpy(ctxt->fetch, insn, len);
	return X86EMUL_CONTINUE;
}

/**
 * x86_decode_insn - decode the instruction at RIP
 * @ctxt: its mode, rip, rflags and regs are the guest's
 * @insn: the instruction's bytes where the hardware has given them
 * @len: how many there are; 0, or less than the whole: the rest is fetched
 *
 * Return: X86EMUL_CONTINUE, and ctxt->d.len is the length; X86EMUL_PROPAGATE_FAULT or
 * X86EMUL_UNHANDLEABLE as the header of x86_emulate.h has them.
 */
int x86_decode_insn(struct x86_emulate_ctxt *ctxt, const void *insn, unsigned int len)
{
	memset(&ctxt->d, 0, offsetof(struct x86_decode, op_bytes));
	ctxt->exception.valid = false;
	memset(&ctxt->rc, 0, offsetof(struct x86_read_cache, pending_addr));
	ctxt->ins_count = 0;
	ctxt->regs_dirty = 0;
	if (len >= X86_MAX_INSN_LEN) {
		memcpy(ctxt->fetch, insn, X86_MAX_INSN_LEN);
		ctxt->fetch_len = X86_MAX_INSN_LEN;
	} else if (len == sizeof(u64)) {
		/* What emulate.c keeps of an instruction that exits again and again. */
		memcpy(ctxt->fetch, insn, sizeof(u64));
		ctxt->fetch_len = sizeof(u64);
	} else {
		TRY(first_bytes(ctxt, insn, len));
	}
	return decode_quick(ctxt) ? X86EMUL_CONTINUE : decode_long(ctxt);
}

/*
 * Nearly all that exits has neither prefix nor ModRM byte: its row's form is its
 * length.  Returns 0 for all others.
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
long_length(enum x86emul_mode mode, const void *bytes, unsigned int len)
{
	struct x86_decode d;
	int n;

	if (len > X86_MAX_INSN_LEN)
		len = X86_MAX_INSN_LEN;
	memset(&d, 0, offsetof(struct x86_decode, op_bytes));
	n = walk(&d, mode, false, bytes, len, false);
	if (n == -ENODATA && len < X86_MAX_INSN_LEN)
		return -ENODATA;
	if (n < 0 || (d.row->flags & K_MASK) == K_UD)
		return -EINVAL;
	return n;
}

/**
 * x86_insn_length - how long is an instruction?
 * @mode: what it is executed in
 * @bytes: it, and what may follow
 * @len: how many bytes there are
 *
 * 66 with a near branch counts as on Intel's processors.
 *
 * Return: 1 to 15; -EINVAL for none (undefined, of unknown form, too long); -ENODATA
 * when it is longer than @len.
 */
int x86_insn_length(enum x86emul_mode mode, const void *bytes, unsigned int len)
{
	unsigned int n = len ? quick_length(bytes, len) : 0;

	return n ? (int)n : long_length(mode, bytes, len);
}
