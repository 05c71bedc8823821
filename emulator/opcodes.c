// SPDX-License-Identifier: GPL-2.0-only
/*
 * The opcode tables.  They follow the manual's opcode map: SDM 2D "Opcode Map",
 * APM 3 "Opcode and Operand Encodings".  The maps are x86_map0 (one byte), x86_map1
 * (0F), x86_map2 (0F 38), and those of VEX.
 *
 * A row's parts are its executor, its operands and its flags.  Groups and choices by
 * prefix stand in their place.  A row without executor (NI) gives the form, by which
 * the length is known; it is not covered, and neither is an opcode without a row.  UD
 * is also what no guest can enable: VMX, SVM, SMX, SMM, SGX, CET, protection keys,
 * user interrupts.
 */
#include "decode.h"

#define CLASS_BIT(class) (1u << (C_##class))
#define MODRM_CLASSES (CLASS_BIT(E) | CLASS_BIT(M) | CLASS_BIT(G) | \
		       CLASS_BIT(SYS) | CLASS_BIT(P) | CLASS_BIT(Q) | \
		       CLASS_BIT(V) | CLASS_BIT(W))

#define FORM1(o) \
	((MODRM_CLASSES >> ((o) >> 4) & 1 ? FM_MODRM : 0) | \
	 ((o) == O_Ib || (o) == O_Sb || (o) == O_Jb ? 1 : 0) | \
	 ((o) == O_Iw || (o) == O_Ap ? 2 : 0) | \
	 ((o) == O_Iz || (o) == O_Jz || (o) == O_Ap ? FM_Z : 0) | \
	 ((o) == O_Iv ? FM_V : 0) | \
	 ((o) == O_Ob || (o) == O_Ov ? FM_A : 0))

/* Of ENTER's Iw, Ib: 3.  No row has two of another kind. */
#define FORM(a, b, c) \
	(((FORM1(a) | FORM1(b) | FORM1(c)) & ~FM_BYTES) | \
	 ((FORM1(a) & FM_BYTES) + (FORM1(b) & FM_BYTES) + (FORM1(c) & FM_BYTES)))

#define ROW(fn, kind, a, b, c, fl) \
	{ { .exec = fn }, { O_##a, O_##b, O_##c }, \
	  FORM(O_##a, O_##b, O_##c), (kind) | (fl) }
#define I(fn, a, b, c, fl) ROW(fn, K_INSN, a, b, c, fl)
#define I2(fn, a, b, fl) I(fn, a, b, __, fl)
#define I1(fn, a, fl) I(fn, a, __, __, fl)
#define I0(fn, fl) I(fn, __, __, __, fl)
/* Not covered, and undefined. */
#define NI(a, b, c) ROW(NULL, K_LACKING, a, b, c, 0)
#define UD { .flags = K_UD }
#define UDM { .flags = K_UD, .form = FM_MODRM }
#define PREFIX { .flags = K_PREFIX }
#define ESCAPE { .flags = K_ESCAPE }
/*
 * A choice: its rows, by ModRM.reg, ModRM.rm, ModRM.mod (memory, register), prefix
 * (none, 66, F3, F2) or mode (others, 64-bit).  The operands here hold where the
 * chosen row has none.
 */
#define CHOICE(kind, t, a, b) \
	{ { .table = t }, { O_##a, O_##b }, FORM(O_##a, O_##b, O___) | \
	  ((kind) == K_MODE ? 0 : FM_MODRM), (kind) }
#define ROWS(n, ...) (const struct x86_opcode[n]){ __VA_ARGS__ }
#define BY_REG(...) CHOICE(K_REG, ROWS(8, __VA_ARGS__), __, __)
#define BY_REG2(a, b, ...) CHOICE(K_REG, ROWS(8, __VA_ARGS__), a, b)
#define BY_GROUP(t, a, b) CHOICE(K_REG, t, a, b)
#define BY_RM(...) CHOICE(K_RM, ROWS(8, __VA_ARGS__), __, __)
#define BY_MOD(...) CHOICE(K_MOD, ROWS(2, __VA_ARGS__), __, __)
#define BY_MOD_OF(t) CHOICE(K_MOD, t, __, __)
#define BY_MODE(...) CHOICE(K_MODE, ROWS(2, __VA_ARGS__), __, __)
#define BY_PFX(...) CHOICE(K_PFX, ROWS(4, __VA_ARGS__), __, __)
#define BY_PFX_BARE(...) { { .table = ROWS(4, __VA_ARGS__) }, .flags = K_PFX }
/* Undefined with any other prefix, or with the other kind of operand. */
#define NP_ONLY(...) BY_PFX(__VA_ARGS__, UD, UD, UD)
#define P66_ONLY(...) BY_PFX(UD, __VA_ARGS__, UD, UD)
#define F3_ONLY(...) BY_PFX(UD, UD, __VA_ARGS__, UD)
#define F2_ONLY(...) BY_PFX(UD, UD, UD, __VA_ARGS__)
#define NP_66(...) BY_PFX([0 ... 1] = __VA_ARGS__, [2 ... 3] = UD)
#define MEM_ONLY(...) BY_MOD(__VA_ARGS__, UD)
#define REG_ONLY(...) BY_MOD(UD, __VA_ARGS__)

/* The six forms of an arithmetic instruction, from its first opcode on. */
#define ARITH(n, fn, memory, reg) \
	[n] = I2(fn, Eb, Gb, memory), [(n) + 1] = I2(fn, Ev, Gv, memory), \
	[(n) + 2] = I2(fn, Gb, Eb, reg), [(n) + 3] = I2(fn, Gv, Ev, reg), \
	[(n) + 4] = I2(fn, AL, Ib, reg), [(n) + 5] = I2(fn, rAX, Iz, reg)

/* Moves of media registers load and store their operands themselves. */
#define M_MOVE (F_N0 | F_N1 | F_MMX)
#define S_MOVE (F_N0 | F_N1 | F_SSE)
#define V_MOVE (F_N0 | F_N1 | F_AVX)

#define NI_M NI(Eb, __, __)		/* ModRM */
#define NI_MB NI(Eb, Ib, __)		/* ModRM, byte */

/* Group 1: 80, 81, 82, 83 */
static const struct x86_opcode group1[8] = {
	[0] = I0(em_add, F_LOCKABLE), [1] = I0(em_or, F_LOCKABLE),
	[2] = I0(em_adc, F_LOCKABLE), [3] = I0(em_sbb, F_LOCKABLE),
	[4] = I0(em_and, F_LOCKABLE), [5] = I0(em_sub, F_LOCKABLE), [6] = I0(em_xor, F_LOCKABLE),
	[7] = I0(em_sub, F_R0),		/* CMP */
};

/* Group 2: C0, C1, D0 to D3 */
static const struct x86_opcode group2[8] = {
	[0] = I0(em_rol, 0), [1] = I0(em_ror, 0), [2] = I0(em_rcl, 0), [3] = I0(em_rcr, 0),
	[4] = I0(em_shl, 0), [5] = I0(em_shr, 0), [6] = I0(em_shl, 0), [7] = I0(em_sar, 0),
};

#define GROUP3(e, imm) BY_REG( \
	[0 ... 1] = I2(em_and, e, imm, F_R0), /* TEST */ \
	[2] = I1(em_not, e, F_LOCKABLE), [3] = I1(em_neg, e, F_LOCKABLE), \
	[4] = I1(em_mul, e, F_R0), [5] = I1(em_imul, e, F_R0), \
	[6] = I1(em_div, e, F_R0), [7] = I1(em_idiv, e, F_R0))

const struct x86_opcode x86_map0[256] = {
	ARITH(0x00, em_add, F_LOCKABLE, 0),
	[0x06] = I0(em_push_seg, F_NO64),
	[0x07] = I0(em_pop_seg, F_NO64),
	ARITH(0x08, em_or, F_LOCKABLE, 0),
	[0x0e] = I0(em_push_seg, F_NO64),
	[0x0f] = ESCAPE,
	ARITH(0x10, em_adc, F_LOCKABLE, 0),
	[0x16] = I0(em_push_seg, F_NO64),
	[0x17] = I0(em_pop_seg, F_NO64),
	ARITH(0x18, em_sbb, F_LOCKABLE, 0),
	[0x1e] = I0(em_push_seg, F_NO64),
	[0x1f] = I0(em_pop_seg, F_NO64),
	ARITH(0x20, em_and, F_LOCKABLE, 0),
	[0x26] = PREFIX,
	[0x27] = I0(em_daa, F_NO64),
	ARITH(0x28, em_sub, F_LOCKABLE, 0),
	[0x2e] = PREFIX,
	[0x2f] = I0(em_daa, F_NO64),
	ARITH(0x30, em_xor, F_LOCKABLE, 0),
	[0x36] = PREFIX,
	[0x37] = I0(em_aaa, F_NO64),
	ARITH(0x38, em_sub, F_R0, F_R0),	/* CMP */
	[0x3e] = PREFIX,
	[0x3f] = I0(em_aaa, F_NO64),
	/* In 64-bit mode, 40 to 4F are REX */
	[0x40 ... 0x47] = I1(em_inc, Zv, 0),
	[0x48 ... 0x4f] = I1(em_dec, Zv, 0),
	[0x50 ... 0x57] = I1(em_push, Zv, F_R0 | F_D64),
	[0x58 ... 0x5f] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x60] = I0(em_pusha, F_NO64),
	[0x61] = I0(em_popa, F_NO64),
	[0x62] = BY_MODE(
		BY_MOD(
			I2(em_bound, Gv, M, F_R0 | F_N1),
			NI_M),				/* EVEX */
		{ .flags = K_LACKING }),		/* EVEX */
	[0x63] = BY_MODE(I2(em_arpl, Ew, Gw, F_W0 | F_PROT),
			 I2(em_movsxd, Gv, Ed, F_W0 | F_N1)),
	[0x64 ... 0x67] = PREFIX,
	[0x68] = I1(em_push, Iz, F_R0 | F_D64),
	[0x69] = I(em_imul_3, Gv, Ev, Iz, F_W0),
	[0x6a] = I1(em_push, Sb, F_R0 | F_D64),
	[0x6b] = I(em_imul_3, Gv, Ev, Sb, F_W0),
	[0x6c ... 0x6d] = I0(em_string, ARG(STRING_INS)),
	[0x6e ... 0x6f] = I0(em_string, ARG(STRING_OUTS)),
	[0x70 ... 0x7f] = I1(em_jcc, Jb, F_F64),
	[0x80] = BY_GROUP(group1, Eb, Ib),
	[0x81] = BY_GROUP(group1, Ev, Iz),
	[0x82] = BY_MODE(BY_GROUP(group1, Eb, Ib), UDM),
	[0x83] = BY_GROUP(group1, Ev, Sb),
	[0x84] = I2(em_and, Eb, Gb, F_R0),		/* TEST */
	[0x85] = I2(em_and, Ev, Gv, F_R0),
	[0x86] = I2(em_xchg, Eb, Gb, F_LOCKABLE),
	[0x87] = I2(em_xchg, Ev, Gv, F_LOCKABLE),
	[0x88] = I2(em_mov, Eb, Gb, F_W0 | F_QUICK),
	[0x89] = I2(em_mov, Ev, Gv, F_W0 | F_QUICK),
	[0x8a] = I2(em_mov, Gb, Eb, F_W0 | F_QUICK),
	[0x8b] = I2(em_mov, Gv, Ev, F_W0 | F_QUICK),
	[0x8c] = I2(em_mov_from_seg, Ev, Sw, F_W0),
	[0x8d] = I2(em_lea, Gv, M, F_W0 | F_N1),
	[0x8e] = I2(em_mov_to_seg, Sw, Ew, F_N0),
	[0x8f] = BY_REG(
		[0] = I1(em_pop, Ev, F_W0 | F_D64 | F_POPEA),
		[1 ... 7] = NI_M),			/* AMD's XOP */
	[0x90 ... 0x97] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x98] = I0(em_cbw, 0),
	[0x99] = I0(em_cwd, 0),
	[0x9a] = I1(em_far, Ap, F_N0 | F_NO64 | ARG(FAR_CALL)),
	[0x9b] = I0(em_wait, 0),
	[0x9c] = I0(em_pushf, F_D64),
	[0x9d] = I0(em_popf, F_D64),
	[0x9e] = I0(em_sahf, 0),
	[0x9f] = I0(em_lahf, 0),
	[0xa0] = I2(em_mov, AL, Ob, F_W0),
	[0xa1] = I2(em_mov, rAX, Ov, F_W0),
	[0xa2] = I2(em_mov, Ob, AL, F_W0),
	[0xa3] = I2(em_mov, Ov, rAX, F_W0),
	[0xa4 ... 0xa5] = I0(em_string, ARG(STRING_MOVS)),
	[0xa6 ... 0xa7] = I0(em_string, ARG(STRING_CMPS)),
	[0xa8] = I2(em_and, AL, Ib, F_R0),		/* TEST */
	[0xa9] = I2(em_and, rAX, Iz, F_R0),
	[0xaa ... 0xab] = I0(em_string, ARG(STRING_STOS)),
	[0xac ... 0xad] = I0(em_string, ARG(STRING_LODS)),
	[0xae ... 0xaf] = I0(em_string, ARG(STRING_SCAS)),
	[0xb0 ... 0xb7] = I2(em_mov, Zb, Ib, F_W0),
	[0xb8 ... 0xbf] = I2(em_mov, Zv, Iv, F_W0),
	[0xc0] = BY_GROUP(group2, Eb, Ib),
	[0xc1] = BY_GROUP(group2, Ev, Ib),
	[0xc2] = I1(em_ret, Iw, F_R0 | F_F64),
	[0xc3] = I0(em_ret, F_F64),
	/* where there is no VEX */
	[0xc4 ... 0xc5] = MEM_ONLY(I2(em_load_far, Gv, M, F_N0 | F_N1)),
	/* Group 11, XABORT and XBEGIN */
	[0xc6] = BY_REG2(Eb, Ib,
		[0] = I0(em_mov, F_W0),
		[1 ... 6] = UD,
		[7] = REG_ONLY(BY_RM([0] = I1(em_nop, Ib, F_R0 | FEATURE(RTM)), [1 ... 7] = UD))),
	[0xc7] = BY_REG2(Ev, Iz,
		[0] = I0(em_mov, F_W0),
		[1 ... 6] = UD,
		[7] = REG_ONLY(BY_RM(
			[0] = I1(em_xbegin, Jz, F_R0 | FEATURE(RTM)),
			[1 ... 7] = UD))),
	[0xc8] = I2(em_enter, Iw, Ib, F_R0 | F_D64),
	[0xc9] = I0(em_leave, F_D64),
	[0xca] = I1(em_ret_far, Iw, F_R0),
	[0xcb] = I0(em_ret_far, 0),
	[0xcc] = I0(em_int3, 0),
	[0xcd] = I1(em_int, Ib, F_R0),
	[0xce] = I0(em_into, F_NO64),
	[0xcf] = I0(em_iret, 0),
	[0xd0] = BY_GROUP(group2, Eb, 1),
	[0xd1] = BY_GROUP(group2, Ev, 1),
	[0xd2] = BY_GROUP(group2, Eb, CL),
	[0xd3] = BY_GROUP(group2, Ev, CL),
	[0xd4] = I1(em_aam, Ib, F_R0 | F_NO64),
	[0xd5] = I1(em_aad, Ib, F_R0 | F_NO64),
	[0xd6] = I0(em_salc, F_NO64),
	[0xd7] = I0(em_xlat, 0),
	/*
	 * x87: with memory, then between registers.  Aliases are in no manual; they are
	 * executed as they are, and not each processor may have them.
	 */
	[0xd8] = BY_MOD(
		BY_REG([0 ... 7] = I1(em_fload, Md, F_N0)),
		BY_REG([0 ... 7] = I0(em_freg, 0))),
	[0xd9] = BY_MOD(
		BY_REG(
			[0] = I1(em_fload, Md, F_N0),
			[1] = UD,
			[2 ... 3] = I1(em_fst, Md, F_N0),	/* FST, FSTP */
			[4] = I1(em_fldenv, M, F_N0),
			[5] = I1(em_fload, Mw, F_N0),
			[6] = I1(em_fnstenv, M, F_N0),
			[7] = I1(em_fnstword, Mw, F_W0)),
		BY_REG(
			[0 ... 1] = I0(em_freg, 0),		/* FLD, FXCH */
			[2] = BY_RM([0] = I0(em_freg, 0), [1 ... 7] = UD),	/* FNOP */
			[3] = NI_M,				/* FSTP, an alias */
			[4] = BY_RM(
				[0 ... 1] = I0(em_freg, 0),	/* FCHS, FABS */
				[2 ... 3] = UD,
				[4 ... 5] = I0(em_freg, 0),	/* FTST, FXAM */
				[6 ... 7] = UD),
			[5] = BY_RM([0 ... 6] = I0(em_freg, 0), [7] = UD),	/* FLD1 to FLDZ */
			[6 ... 7] = I0(em_freg, 0))),		/* F2XM1 to FCOS */
	[0xda] = BY_MOD(
		BY_REG([0 ... 7] = I1(em_fload, Md, F_N0)),
		BY_REG(
			[0 ... 3] = I0(em_freg, 0),		/* FCMOVB to FCMOVU */
			[4] = UD,
			/* FUCOMPP */
			[5] = BY_RM([0] = UD, [1] = I0(em_freg, 0), [2 ... 7] = UD),
			[6 ... 7] = UD)),
	[0xdb] = BY_MOD(
		BY_REG(
			[0] = I1(em_fload, Md, F_N0),		/* FILD */
			[1 ... 3] = I1(em_fst, Md, F_N0),	/* FISTTP, FIST, FISTP */
			[4] = UD,
			[5] = I1(em_fload, Mt, F_N0),
			[6] = UD,
			[7] = I1(em_fst, Mt, F_N0)),		/* FSTP */
		BY_REG(
			[0 ... 3] = I0(em_freg, 0),		/* FCMOVNB to FCMOVNU */
			[4] = BY_RM(
				/* FNENI and FNDISI of the 8087; FNCLEX, FNINIT; FNSETPM */
				[0 ... 4] = I0(em_freg, 0),
				[5 ... 7] = UD),
			[5 ... 6] = I0(em_freg, 0),		/* FUCOMI, FCOMI */
			[7] = UD)),
	[0xdc] = BY_MOD(
		BY_REG([0 ... 7] = I1(em_fload, Mq, F_N0)),
		BY_REG(
			[0 ... 1] = I0(em_freg, 0),		/* FADD, FMUL */
			[2 ... 3] = NI_M,			/* FCOM, FCOMP: aliases */
			[4 ... 7] = I0(em_freg, 0))),		/* FSUBR to FDIV */
	[0xdd] = BY_MOD(
		BY_REG(
			[0] = I1(em_fload, Mq, F_N0),
			[1 ... 3] = I1(em_fst, Mq, F_N0),	/* FISTTP, FST, FSTP */
			[4] = I1(em_fldenv, M, F_N0),
			[5] = UD,
			[6] = I1(em_fnstenv, M, F_N0),
			[7] = I1(em_fnstword, Mw, F_W0)),
		BY_REG(
			[0] = I0(em_freg, 0),			/* FFREE */
			[1] = NI_M,				/* FXCH, an alias */
			[2 ... 5] = I0(em_freg, 0),		/* FST to FUCOMP */
			[6 ... 7] = UD)),
	[0xde] = BY_MOD(
		BY_REG([0 ... 7] = I1(em_fload, Mw, F_N0)),
		BY_REG(
			[0 ... 1] = I0(em_freg, 0),		/* FADDP, FMULP */
			[2] = NI_M,				/* FCOMP, an alias */
			[3] = BY_RM([0] = UD, [1] = I0(em_freg, 0), [2 ... 7] = UD),	/* FCOMPP */
			[4 ... 7] = I0(em_freg, 0))),		/* FSUBRP to FDIVP */
	[0xdf] = BY_MOD(
		BY_REG(
			[0] = I1(em_fload, Mw, F_N0),		/* FILD */
			[1 ... 3] = I1(em_fst, Mw, F_N0),	/* FISTTP, FIST, FISTP */
			[4] = I1(em_fload, Mt, F_N0),		/* FBLD */
			[5] = I1(em_fload, Mq, F_N0),		/* FILD */
			[6] = I1(em_fst, Mt, F_N0),		/* FBSTP */
			[7] = I1(em_fst, Mq, F_N0)),		/* FISTP */
		BY_REG(
			[0 ... 3] = NI_M,			/* FFREEP, FXCH, FSTP: aliases */
			[4] = BY_RM([0] = I1(em_fnstword, AX, F_W0), [1 ... 7] = UD),
			[5 ... 6] = I0(em_freg, 0),		/* FUCOMIP, FCOMIP */
			[7] = UD)),
	[0xe0 ... 0xe2] = I1(em_loop, Jb, F_F64),
	[0xe3] = I1(em_jcxz, Jb, F_F64),
	[0xe4] = I2(em_in, AL, Ib, F_W0),
	[0xe5] = I2(em_in, eAX, Ib, F_W0),
	[0xe6] = I2(em_out, Ib, AL, F_R0),
	[0xe7] = I2(em_out, Ib, eAX, F_R0),
	[0xe8] = I1(em_call_rel, Jz, F_F64),
	[0xe9] = I1(em_jmp_rel, Jz, F_F64),
	[0xea] = I1(em_far, Ap, F_N0 | F_NO64),
	[0xeb] = I1(em_jmp_rel, Jb, F_F64),
	[0xec] = I2(em_in, AL, DX, F_W0),
	[0xed] = I2(em_in, eAX, DX, F_W0),
	[0xee] = I2(em_out, DX, AL, F_R0),
	[0xef] = I2(em_out, DX, eAX, F_R0),
	[0xf0] = PREFIX,
	[0xf1] = I0(em_int1, 0),
	[0xf2 ... 0xf3] = PREFIX,
	[0xf4] = I0(em_hlt, F_CPL0),
	[0xf5] = I0(em_cmc, 0),
	/* Group 3 */
	[0xf6] = GROUP3(Eb, Ib),
	[0xf7] = GROUP3(Ev, Iz),
	[0xf8 ... 0xf9] = I0(em_set_flag, 0),
	[0xfa] = I0(em_cli, 0),
	[0xfb] = I0(em_sti, 0),
	[0xfc ... 0xfd] = I0(em_set_flag, 0),
	/* Groups 4 and 5 */
	[0xfe] = BY_REG(
		[0] = I1(em_inc, Eb, F_LOCKABLE),
		[1] = I1(em_dec, Eb, F_LOCKABLE),
		[2 ... 7] = UD),
	[0xff] = BY_REG(
		[0] = I1(em_inc, Ev, F_LOCKABLE),
		[1] = I1(em_dec, Ev, F_LOCKABLE),
		[2] = I1(em_call_abs, Ev, F_R0 | F_F64),
		[3] = I1(em_far_mem, M, F_N0 | ARG(FAR_CALL)),
		[4] = I1(em_jmp_abs, Ev, F_R0 | F_F64),
		[5] = I1(em_far_mem, M, F_N0),
		[6] = I1(em_push, Ev, F_R0 | F_D64),
		[7] = UD),
};

static const struct x86_opcode mod_0f12[2] = {	/* MOVLPS, MOVHLPS */
	[0] = I2(em_movv_high, Vq, Wq, S_MOVE),
	[1] = I2(em_movhl, Vq, Wq, S_MOVE),
};

const struct x86_opcode x86_map1[256] = {
	/* Group 6 */
	[0x00] = BY_REG(
		[0] = I1(em_store_selector, Ev, F_W0 | F_PROT | ARG(X86_SEG_LDTR)),
		[1] = I1(em_store_selector, Ev, F_W0 | F_PROT | ARG(X86_SEG_TR)),
		[2] = I1(em_load_system_segment, Ew, F_R0 | F_PROT | F_CPL0 | ARG(X86_SEG_LDTR)),
		[3] = I1(em_load_system_segment, Ew, F_R0 | F_PROT | F_CPL0 | ARG(X86_SEG_TR)),
		[4] = I1(em_verr, Ew, F_R0 | F_PROT),
		[5] = I1(em_verw, Ew, F_R0 | F_PROT),
		[6 ... 7] = UD),
	/* Group 7 */
	[0x01] = BY_MOD(
		BY_REG(
			[0] = I1(em_store_dtable, M, F_N0 | ARG(X86EMUL_GDT)),
			[1] = I1(em_store_dtable, M, F_N0 | ARG(X86EMUL_IDT)),
			[2] = I1(em_load_dtable, M, F_N0 | F_CPL0 | ARG(X86EMUL_GDT)),
			[3] = I1(em_load_dtable, M, F_N0 | F_CPL0 | ARG(X86EMUL_IDT)),
			[4] = I1(em_smsw, Ev, F_W0),
			[5] = UD,			/* RSTORSSP */
			[6] = I1(em_lmsw, Ew, F_R0 | F_CPL0),
			[7] = I1(em_invlpg, M, F_N0 | F_CPL0)),
		BY_REG(
			[0] = BY_RM(
				[0] = UD,		/* ENCLV */
				[1] = I0(em_hypercall, 0),	/* VMCALL */
				[2 ... 4] = UD,		/* VMLAUNCH, VMRESUME, VMXOFF */
				[5 ... 6] = NI_M,	/* PCONFIG, WRMSRNS */
				[7] = UD),
			[1] = BY_RM(
				[0] = I0(em_monitor, FEATURE(MWAIT)),
				[1] = I0(em_mwait, FEATURE(MWAIT)),
				[2 ... 3] = I0(em_set_ac, 0),
				[4 ... 7] = UD),	/* TDCALL, SEAMRET, SEAMOPS; ENCLS */
			[2] = BY_RM(
				[0] = NP_ONLY(I0(em_xgetbv, 0)),
				[1] = NP_ONLY(I0(em_xsetbv, 0)),
				[2 ... 4] = UD,		/* 4: VMFUNC */
				[5] = NP_ONLY(I0(em_xend, FEATURE(RTM))),
				[6] = NP_ONLY(I0(em_xtest, FEATURE(RTM))),
				[7] = UD),		/* ENCLU */
			[3] = BY_RM(
				[0] = UD,		/* VMRUN */
				[1] = I0(em_hypercall, 0),	/* VMMCALL */
				/* VMLOAD, VMSAVE, STGI, CLGI, SKINIT, INVLPGA */
				[2 ... 7] = UD),
			[4] = I1(em_smsw, Ev, F_W0),
			[5] = BY_RM(
				[0] = BY_PFX(
					I0(em_nop, FEATURE(SERIALIZE)),
					UD,
					UD,		/* SETSSBSY */
					NI_M),		/* XSUSLDTRK */
				[1] = F2_ONLY(NI_M),
				/* SAVEPREVSSP, UIRET, TESTUI, RDPKRU, WRPKRU, CLUI, STUI */
				[2 ... 7] = UD),
			[6] = I1(em_lmsw, Ew, F_R0 | F_CPL0),
			[7] = BY_RM(
				[0] = I0(em_swapgs, 0),
				[1] = I0(em_rdtscp, FEATURE(RDTSCP)),
				[2 ... 3] = NI_M,	/* MONITORX, MCOMMIT, MWAITX */
				[4] = NP_66(I0(em_clzero, FEATURE(CLZERO))),
				[5 ... 7] = NI_M))),	/* RDPRU, INVLPGB, TLBSYNC */
	[0x02] = I2(em_lar, Gv, Ew, F_W0 | F_PROT),
	[0x03] = I2(em_lsl, Gv, Ew, F_W0 | F_PROT),
	[0x04] = UD,
	[0x05] = I0(em_syscall, 0),
	[0x06] = I0(em_clts, F_CPL0),
	[0x07] = I0(em_sysret, 0),
	[0x08 ... 0x09] = I0(em_wbinvd, F_CPL0),	/* INVD, WBINVD */
	[0x0a ... 0x0c] = UD,				/* 0B: UD2 */
	[0x0d] = I1(em_prefetchw, Ev, F_N0),
	[0x0e] = I0(em_emms, F_MMX | FEATURE(3DNOW)),	/* FEMMS */
	[0x0f] = NI_MB,					/* 3DNow! */
	/* 0F xx by mandatory prefix: none, 66, F3, F2 */
	[0x10] = BY_PFX(				/* MOVUPS MOVUPD MOVSS MOVSD */
		[0 ... 1] = I2(em_movv, Vdq, Wdq, S_MOVE),
		[2] = I2(em_movv_low, Vd, Wd, S_MOVE),
		[3] = I2(em_movv_low, Vq, Wq, S_MOVE)),
	[0x11] = BY_PFX(
		[0 ... 1] = I2(em_movv, Wdq, Vdq, S_MOVE),
		[2] = I2(em_movv_low, Wd, Vd, S_MOVE),
		[3] = I2(em_movv_low, Wq, Vq, S_MOVE)),
	[0x12] = BY_PFX(
		BY_MOD_OF(mod_0f12),
		MEM_ONLY(I2(em_movv_high, Vq, Wq, S_MOVE)),	/* MOVLPD */
		I2(em_movsldup, Vdq, Wdq, S_MOVE | F_ALIGN),
		I2(em_movddup, Vdq, Wq, S_MOVE)),
	[0x13] = NP_66(MEM_ONLY(I2(em_movv_high, Wq, Vq, S_MOVE))),	/* MOVLPS MOVLPD */
	[0x14 ... 0x15] = NI_M,
	[0x16] = BY_PFX(				/* MOVHPS, MOVLHPS, MOVHPD */
		BY_MOD_OF(mod_0f12),
		MEM_ONLY(I2(em_movv_high, Vq, Wq, S_MOVE)),	/* MOVHPD */
		I2(em_movshdup, Vdq, Wdq, S_MOVE | F_ALIGN),
		UD),
	[0x17] = NP_66(MEM_ONLY(I2(em_movv_high, Wq, Vq, S_MOVE))),	/* MOVHPS MOVHPD */
	[0x18 ... 0x1f] = I1(em_nop, Ev, F_N0),		/* 18: PREFETCHh, 1E: ENDBR */
	[0x20] = I2(em_mov_from_cr, En, Cn, F_W0 | F_N1 | F_REGS),
	[0x21] = I2(em_mov_from_dr, En, Dn, F_W0 | F_N1 | F_REGS),
	[0x22] = I2(em_mov_to_cr, Cn, En, F_N0 | F_REGS),
	[0x23] = I2(em_mov_to_dr, Dn, En, F_N0 | F_REGS),
	[0x24 ... 0x27] = UD,
	[0x28] = NP_66(I2(em_movv, Vdq, Wdq, S_MOVE | F_ALIGN)),	/* MOVAPS MOVAPD */
	[0x29] = NP_66(I2(em_movv, Wdq, Vdq, S_MOVE | F_ALIGN)),
	[0x2a] = NI_M,
	[0x2b] = BY_PFX(
		/* MOVNTPS MOVNTPD */
		[0 ... 1] = MEM_ONLY(I2(em_movv, Wdq, Vdq, S_MOVE | F_ALIGN)),
		[2 ... 3] = NI_M),			/* SSE4A */
	[0x2c ... 0x2f] = NI_M,
	[0x30] = I0(em_wrmsr, F_CPL0),
	[0x31] = I0(em_rdtsc, 0),
	[0x32] = I0(em_rdmsr, F_CPL0),
	[0x33] = I0(em_rdpmc, 0),
	[0x34] = I0(em_sysenter, 0),
	[0x35] = I0(em_sysexit, 0),
	[0x36 ... 0x37] = UD,				/* 37: GETSEC */
	[0x38] = ESCAPE,
	[0x39] = UD,
	[0x3a] = ESCAPE,
	[0x3b ... 0x3f] = UD,
	[0x40 ... 0x4f] = I2(em_cmovcc, Gv, Ev, 0),
	[0x50 ... 0x6d] = NI_M,
	[0x6e] = BY_PFX(
		[0] = I2(em_movmd_to, Pq, Ey, F_N0 | F_MMX),
		[1] = I2(em_movd_to, Vdq, Ey, F_N0 | F_SSE),
		[2 ... 3] = UD),
	[0x6f] = BY_PFX(				/* MOVQ MOVDQA MOVDQU */
		I2(em_movm, Pq, Qq, M_MOVE),
		I2(em_movv, Vdq, Wdq, S_MOVE | F_ALIGN),
		I2(em_movv, Vdq, Wdq, S_MOVE),
		UD),
	[0x70 ... 0x73] = NI_MB,
	[0x74 ... 0x76] = NI_M,
	[0x77] = BY_PFX_BARE([0] = I0(em_emms, F_MMX), [1 ... 3] = UD),
	/* VMREAD, EXTRQ, -, INSERTQ: these two with two immediate bytes */
	[0x78] = BY_PFX(UD, { .flags = K_LACKING }, UD, { .flags = K_LACKING }),
	[0x79] = BY_PFX(UD, NI_M, UD, NI_M),		/* VMWRITE, EXTRQ, -, INSERTQ */
	[0x7a ... 0x7b] = UDM,
	[0x7c ... 0x7d] = NI_M,
	[0x7e] = BY_PFX(
		I2(em_movmd_from, Ey, Pq, F_W0 | F_N1 | F_MMX),
		I2(em_movd_from, Ey, Vdq, F_W0 | F_N1 | F_SSE),
		I2(em_movv_low, Vq, Wq, S_MOVE),
		UD),
	[0x7f] = BY_PFX(
		I2(em_movm, Qq, Pq, M_MOVE),
		I2(em_movv, Wdq, Vdq, S_MOVE | F_ALIGN),
		I2(em_movv, Wdq, Vdq, S_MOVE),
		UD),
	[0x80 ... 0x8f] = I1(em_jcc, Jz, F_F64),
	[0x90 ... 0x9f] = I1(em_setcc, Eb, F_W0),
	[0xa0] = I0(em_push_seg, F_D64),
	[0xa1] = I0(em_pop_seg, F_D64),
	[0xa2] = I0(em_cpuid, 0),
	[0xa3] = I2(em_bit, Ev, Gv, F_N0 | ARG(BIT_TEST)),
	[0xa4] = I(em_shld, Ev, Gv, Ib, 0),
	[0xa5] = I(em_shld, Ev, Gv, CL, 0),
	[0xa6 ... 0xa7] = UD,
	[0xa8] = I0(em_push_seg, F_D64),
	[0xa9] = I0(em_pop_seg, F_D64),
	[0xaa] = UD,					/* RSM */
	[0xab] = I2(em_bit, Ev, Gv, F_N0 | F_LOCKABLE | ARG(BIT_SET)),
	[0xac] = I(em_shrd, Ev, Gv, Ib, 0),
	[0xad] = I(em_shrd, Ev, Gv, CL, 0),
	/* Group 15 */
	[0xae] = BY_MOD(
		BY_REG(
			[0] = NP_ONLY(I1(em_fxsave, M, F_N0)),
			[1] = NP_ONLY(I1(em_fxrstor, M, F_N0)),
			[2] = NP_ONLY(I1(em_ldmxcsr, Md, F_N0 | F_SSE)),
			[3] = NP_ONLY(I1(em_stmxcsr, Md, F_N0 | F_SSE)),
			[4] = BY_PFX(NI_M, UD, NI_M, UD),	/* F3: PTWRITE */
			[5] = NP_ONLY(NI_M),
			[6] = BY_PFX(
				[0] = NI_M,		/* XSAVEOPT */
				[1] = I1(em_clflush, M, F_N0 | FEATURE(CLWB)),
				[2 ... 3] = UD),	/* CLRSSBSY */
			[7] = BY_PFX(
				[0] = I1(em_clflush, M, F_N0),
				[1] = I1(em_clflush, M, F_N0 | FEATURE(CLFLUSHOPT)),
				[2 ... 3] = UD)),
		BY_REG(
			[0] = F3_ONLY(I1(em_rdbase, Ey, F_W0 | FEATURE(FSGSBASE))),
			[1] = F3_ONLY(I1(em_rdbase, Ey, F_W0 | FEATURE(FSGSBASE) | ARG(1))),
			[2] = F3_ONLY(I1(em_wrbase, Ey, F_R0 | FEATURE(FSGSBASE))),
			[3] = F3_ONLY(I1(em_wrbase, Ey, F_R0 | FEATURE(FSGSBASE) | ARG(1))),
			[4] = F3_ONLY(NI_M),
			[5] = NP_ONLY(I0(em_nop, 0)),	/* LFENCE; with F3, INCSSP */
			[6] = BY_PFX(
				[0] = I0(em_nop, 0),
				[1 ... 3] = NI_M),	/* TPAUSE, UMONITOR, UMWAIT */
			[7] = NP_ONLY(I0(em_nop, 0)))),	/* SFENCE */
	[0xaf] = I2(em_imul_2, Gv, Ev, 0),
	[0xb0] = I2(em_cmpxchg, Eb, Gb, F_LOCKABLE),
	[0xb1] = I2(em_cmpxchg, Ev, Gv, F_LOCKABLE),
	[0xb2] = I2(em_load_far, Gv, M, F_N0 | F_N1),
	[0xb3] = I2(em_bit, Ev, Gv, F_N0 | F_LOCKABLE | ARG(BIT_RESET)),
	[0xb4 ... 0xb5] = I2(em_load_far, Gv, M, F_N0 | F_N1),
	[0xb6] = I2(em_mov, Gv, Eb, F_W0),		/* MOVZX */
	[0xb7] = I2(em_mov, Gv, Ew, F_W0),
	[0xb8] = F3_ONLY(I2(em_popcnt, Gv, Ev, F_W0 | FEATURE(POPCNT))),
	[0xb9] = UDM,					/* UD1 */
	/* Group 8 */
	[0xba] = BY_REG2(Ev, Ib,
		[0 ... 3] = UD,
		[4] = I0(em_bit, F_R0 | ARG(BIT_TEST)),
		[5] = I0(em_bit, F_LOCKABLE | ARG(BIT_SET)),
		[6] = I0(em_bit, F_LOCKABLE | ARG(BIT_RESET)),
		[7] = I0(em_bit, F_LOCKABLE | ARG(BIT_COMPLEMENT))),
	[0xbb] = I2(em_bit, Ev, Gv, F_N0 | F_LOCKABLE | ARG(BIT_COMPLEMENT)),
	[0xbc] = BY_PFX(
		[0 ... 1] = I2(em_bsf, Gv, Ev, 0), [3] = I2(em_bsf, Gv, Ev, 0),
		[2] = I2(em_tzcnt, Gv, Ev, 0)),
	[0xbd] = BY_PFX(
		[0 ... 1] = I2(em_bsr, Gv, Ev, 0), [3] = I2(em_bsr, Gv, Ev, 0),
		[2] = I2(em_lzcnt, Gv, Ev, 0)),
	[0xbe] = I2(em_movsx, Gv, Eb, F_W0),
	[0xbf] = I2(em_movsx, Gv, Ew, F_W0),
	[0xc0] = I2(em_xadd, Eb, Gb, F_LOCKABLE),
	[0xc1] = I2(em_xadd, Ev, Gv, F_LOCKABLE),
	[0xc2] = NI_MB,
	[0xc3] = NP_ONLY(MEM_ONLY(I2(em_mov, My, Gy, F_W0))),	/* MOVNTI */
	[0xc4 ... 0xc6] = NI_MB,
	/* Group 9 */
	[0xc7] = BY_MOD(
		BY_REG(
			[0] = UD,
			[1] = I1(em_cmpxchg8b, M, F_N0 | F_LOCKABLE),
			[2] = UD,
			[3 ... 5] = NI_M,		/* XRSTORS, XSAVEC, XSAVES */
			[6 ... 7] = UD),		/* VMPTRLD, VMCLEAR, VMXON; VMPTRST */
		BY_REG(
			[0 ... 5] = UD,
			[6] = NP_66(I1(em_random, Ev, F_W0 | FEATURE(RDRAND))), /* F3: SENDUIPI */
			[7] = BY_PFX(
				[0 ... 1] = I1(em_random, Ev, F_W0 | FEATURE(RDSEED) | ARG(1)),
				[2] = I1(em_rdpid, En, F_W0 | FEATURE(RDPID)),
				[3] = UD))),
	[0xc8 ... 0xcf] = I1(em_bswap, Zv, 0),
	[0xd0 ... 0xd5] = NI_M,
	[0xd6] = BY_PFX(
		[0] = UD,
		[1] = I2(em_movv_low, Wq, Vq, S_MOVE),	/* MOVQ */
		[2 ... 3] = NI_M),
	[0xd7 ... 0xe6] = NI_M,
	[0xe7] = BY_PFX(
		MEM_ONLY(I2(em_movm, Qq, Pq, M_MOVE)),	/* MOVNTQ */
		MEM_ONLY(I2(em_movv, Wdq, Vdq, S_MOVE | F_ALIGN)),	/* MOVNTDQ */
		NI_M,
		UD),
	[0xe8 ... 0xef] = NI_M,
	[0xf0] = F2_ONLY(MEM_ONLY(I2(em_movv, Vdq, Wdq, S_MOVE))),
	[0xf1 ... 0xf6] = NI_M,
	[0xf7] = BY_PFX(
		[0] = REG_ONLY(I2(em_maskmov, Pq, Qq, M_MOVE)),
		[1] = REG_ONLY(I2(em_maskmov, Vdq, Wdq, S_MOVE)),
		[2 ... 3] = UD),
	[0xf8 ... 0xfe] = NI_M,
	[0xff] = UDM,					/* UD0 */
};

/* 0F 38: all have a ModRM byte, the missing rows too. */
const struct x86_opcode x86_map2[256] = {
	[0x2a] = P66_ONLY(MEM_ONLY(I2(em_movv, Vdq, Wdq, S_MOVE | F_ALIGN))),	/* MOVNTDQA */
	[0x80 ... 0x81] = BY_PFX([0 ... 3] = UD),	/* INVEPT, INVVPID */
	[0x82] = P66_ONLY(I2(em_invpcid, Gn, Mdq, F_N0 | F_N1 | FEATURE(INVPCID))),
	[0xf0] = BY_PFX(
		[0 ... 1] = MEM_ONLY(I2(em_movbe, Gv, Mv, F_W0 | FEATURE(MOVBE))),
		[2] = UD,
		[3] = I2(em_crc32, Gy, Eb, FEATURE(SSE42))),
	[0xf1] = BY_PFX(
		[0 ... 1] = MEM_ONLY(I2(em_movbe, Mv, Gv, F_W0 | FEATURE(MOVBE))),
		[2] = UD,
		[3] = I2(em_crc32, Gy, Ev, FEATURE(SSE42))),
	[0xf5] = BY_PFX([0 ... 3] = UD),		/* WRUSS */
	[0xf6] = BY_PFX(
		UD,					/* WRSS */
		I2(em_adx, Gy, Ey, FEATURE(ADX)),
		I2(em_adx, Gy, Ey, FEATURE(ADX)),
		UD),
	[0xf8] = BY_PFX(
		[0] = UD,
		[1] = I2(em_movdir64b, Gv, M, F_N0 | F_N1 | FEATURE(MOVDIR64B)),
		[2 ... 3] = NI_M),			/* ENQCMDS, ENQCMD */
	[0xf9] = NP_ONLY(MEM_ONLY(I2(em_mov, My, Gy, F_W0 | FEATURE(MOVDIRI)))),
};

const struct x86_opcode x86_row_0f38 = NI_M;

/* All of 0F 3A have a ModRM byte and an immediate byte, and none is covered. */
const struct x86_opcode x86_row_0f3a = NI_MB;

/* ---- VEX: the maps by VEX.mmmmm, and VEX.pp as the prefix ---- */

static const struct x86_opcode vmod_12[2] = {	/* VMOVLPS, VMOVHLPS; 16: VMOVHPS, VMOVLHPS */
	[0] = I(em_movv_high, Vq, Hdq, Wq, V_MOVE | F_L0),
	[1] = I(em_movhl, Vq, Hdq, Wq, V_MOVE | F_L0),
};

const struct x86_opcode x86_vex_map1[256] = {
	[0x10] = BY_PFX(
		I2(em_movv, Vx, Wx, V_MOVE),		/* VMOVUPS */
		I2(em_movv, Vx, Wx, V_MOVE),		/* VMOVUPD */
		BY_MOD(					/* VMOVSS */
			I2(em_movv_low, Vd, Wd, V_MOVE),
			I(em_movv_low, Vd, Hdq, Wd, V_MOVE)),
		BY_MOD(					/* VMOVSD */
			I2(em_movv_low, Vq, Wq, V_MOVE),
			I(em_movv_low, Vq, Hdq, Wq, V_MOVE))),
	[0x11] = BY_PFX(
		[0 ... 1] = I2(em_movv, Wx, Vx, V_MOVE),
		[2] = BY_MOD(
			I2(em_movv_low, Wd, Vd, V_MOVE),
			I(em_movv_low, Wd, Hdq, Vd, V_MOVE)),
		[3] = BY_MOD(
			I2(em_movv_low, Wq, Vq, V_MOVE),
			I(em_movv_low, Wq, Hdq, Vq, V_MOVE))),
	[0x12] = BY_PFX(
		BY_MOD_OF(vmod_12),
		MEM_ONLY(I(em_movv_high, Vq, Hdq, Wq, V_MOVE | F_L0)),	/* VMOVLPD */
		I2(em_movsldup, Vx, Wx, V_MOVE),
		I2(em_movddup, Vx, Wx, V_MOVE)),
	[0x13] = NP_66(MEM_ONLY(I2(em_movv_high, Wq, Vq, V_MOVE | F_L0))),
	[0x16] = BY_PFX(
		BY_MOD_OF(vmod_12),
		MEM_ONLY(I(em_movv_high, Vq, Hdq, Wq, V_MOVE | F_L0)),	/* VMOVHPD */
		I2(em_movshdup, Vx, Wx, V_MOVE),
		UD),
	[0x17] = NP_66(MEM_ONLY(I2(em_movv_high, Wq, Vq, V_MOVE | F_L0))),
	/* VMOVAPS, VMOVAPD */
	[0x28] = NP_66(I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN)),
	[0x29] = NP_66(I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN)),
	[0x2b] = NP_66(MEM_ONLY(I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN))), /* VMOVNTPS VMOVNTPD */
	[0x6e] = P66_ONLY(I2(em_movd_to, Vdq, Ey, F_N0 | F_AVX | F_L0)),
	[0x6f] = BY_PFX(				/* VMOVDQA, VMOVDQU */
		UD,
		I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN),
		I2(em_movv, Vx, Wx, V_MOVE),
		UD),
	[0x70 ... 0x73] = NI_MB,
	[0x77] = BY_PFX_BARE([0] = I0(em_vzeroupper, F_AVX), [1 ... 3] = UD), /* VZEROALL */
	[0x7e] = BY_PFX(
		UD,
		I2(em_movd_from, Ey, Vdq, F_W0 | F_N1 | F_AVX | F_L0),
		I2(em_movv_low, Vq, Wq, V_MOVE | F_L0),	/* VMOVQ */
		UD),
	[0x7f] = BY_PFX(
		UD,
		I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN),
		I2(em_movv, Wx, Vx, V_MOVE),
		UD),
	[0xae] = BY_REG(
		[0 ... 1] = UD,
		[2] = NP_ONLY(I1(em_ldmxcsr, Md, F_N0 | F_AVX | F_L0)),
		[3] = NP_ONLY(I1(em_stmxcsr, Md, F_N0 | F_AVX | F_L0)),
		[4 ... 7] = UD),
	[0xc2] = NI_MB,
	[0xc4 ... 0xc6] = NI_MB,
	[0xd6] = P66_ONLY(I2(em_movv_low, Wq, Vq, V_MOVE | F_L0)),	/* VMOVQ */
	[0xe7] = P66_ONLY(MEM_ONLY(I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN))),	/* VMOVNTDQ */
	[0xf0] = F2_ONLY(MEM_ONLY(I2(em_movv, Vx, Wx, V_MOVE))),	/* VLDDQU */
	[0xf7] = P66_ONLY(REG_ONLY(I2(em_maskmov, Vdq, Wdq, V_MOVE | F_L0))),	/* VMASKMOVDQU */
};

const struct x86_opcode x86_vex_map2[256] = {
	/* VBROADCASTSS, VBROADCASTSD, VBROADCASTF128 */
	[0x18] = P66_ONLY(I2(em_vbroadcast, Vx, Wd, V_MOVE | F_VW0)),
	[0x19] = P66_ONLY(I2(em_vbroadcast, Vx, Wq, V_MOVE | F_VW0 | F_L1)),
	[0x1a] = P66_ONLY(I2(em_vbroadcast, Vx, Mdq, V_MOVE | F_VW0 | F_L1)),
	/* VMOVNTDQA */
	[0x2a] = P66_ONLY(MEM_ONLY(I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN))),
	/* VMASKMOVPS, VMASKMOVPD */
	[0x2c ... 0x2d] = P66_ONLY(I(em_vmaskmov, Vx, Hx, Mx, V_MOVE | F_VW0)),
	[0x2e ... 0x2f] = P66_ONLY(I(em_vmaskmov, Mx, Hx, Vx, V_MOVE | F_VW0)),
	/* VPBROADCASTD, VPBROADCASTQ, VBROADCASTI128, VPBROADCASTB, VPBROADCASTW */
	[0x58] = P66_ONLY(I2(em_vbroadcast, Vx, Wd, V_MOVE | F_VW0 | F_AVX2)),
	[0x59] = P66_ONLY(I2(em_vbroadcast, Vx, Wq, V_MOVE | F_VW0 | F_AVX2)),
	[0x5a] = P66_ONLY(I2(em_vbroadcast, Vx, Mdq, V_MOVE | F_VW0 | F_AVX2 | F_L1)),
	[0x78] = P66_ONLY(I2(em_vbroadcast, Vx, Wb, V_MOVE | F_VW0 | F_AVX2)),
	[0x79] = P66_ONLY(I2(em_vbroadcast, Vx, Ww, V_MOVE | F_VW0 | F_AVX2)),
	/* VPMASKMOVD, VPMASKMOVQ */
	[0x8c] = P66_ONLY(I(em_vmaskmov, Vx, Hx, Mx, V_MOVE | F_AVX2)),
	[0x8e] = P66_ONLY(I(em_vmaskmov, Mx, Hx, Vx, V_MOVE | F_AVX2)),
	[0xe0 ... 0xef] = P66_ONLY(I(em_cmpccxadd, My, Gy, By, F_N0 | F_L0 | FEATURE(CMPCCXADD))),
	[0xf2] = NP_ONLY(I(em_andn, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI1))),
	[0xf3] = NP_ONLY(BY_REG(
		[0] = UD,
		[1] = I2(em_blsr, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
		[2] = I2(em_blsmsk, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
		[3] = I2(em_blsi, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
		[4 ... 7] = UD)),
	[0xf5] = BY_PFX(
		I(em_bzhi, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
		UD,
		I(em_pext, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI2)),
		I(em_pdep, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI2))),
	[0xf6] = F2_ONLY(I(em_mulx, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI2))),
	[0xf7] = BY_PFX(
		I(em_bextr, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI1)),
		I(em_shlx, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
		I(em_sarx, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
		I(em_shrx, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2))),
};

/* All of map 3 have a ModRM byte and an immediate byte, the missing rows too. */
const struct x86_opcode x86_vex_map3[256] = {
	/* VEXTRACTF128 */
	[0x19] = P66_ONLY(I(em_vextract128, Wdq, Vx, Ib, V_MOVE | F_VW0 | F_L1)),
	/* VEXTRACTI128 */
	[0x39] = P66_ONLY(I(em_vextract128, Wdq, Vx, Ib, V_MOVE | F_VW0 | F_L1 | F_AVX2)),
	[0xf0] = F2_ONLY(I(em_rorx, Gy, Ey, Ib, F_W0 | F_L0 | FEATURE(BMI2))),
};

/* In a map of VEX that there is not, too, a ModRM byte follows the opcode. */
const struct x86_opcode x86_row_vex = BY_MOD(UD, UD);
