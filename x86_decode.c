// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoder: opcode tables that follow the manual's opcode map (SDM 2D
 * "Opcode Map", APM 3 "Opcode and Operand Encodings"), and the two that walk
 * them: x86_decode_insn(), for execution, and x86_insn_length().
 *
 * A row's parts are its executor, its operands and its flags.  A row without
 * executor (NI) gives the form for its length's sake; it is not covered, and
 * neither is an opcode without row.
 */
#include "x86_decode.h"

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
/* A choice; the operands here hold where the chosen row has none. */
#define TABLE(kind, t, a, b, c) \
	{ { .table = t }, { O_##a, O_##b, O_##c }, \
	  FORM(O_##a, O_##b, O_##c) | \
	  ((kind) == K_MODE || (kind) == K_PFX ? 0 : FM_MODRM), (kind) }
#define BY_REG(t) TABLE(K_REG, t, __, __, __)
#define BY_REG1(t, a) TABLE(K_REG, t, a, __, __)
#define BY_REG2(t, a, b) TABLE(K_REG, t, a, b, __)
#define BY_RM(t) TABLE(K_RM, t, __, __, __)
#define BY_MOD(t) TABLE(K_MOD, t, __, __, __)
#define BY_MODE(t) TABLE(K_MODE, t, __, __, __)
#define BY_PFX(t) { { .table = t }, { 0, 0, 0 }, FM_MODRM, K_PFX }
#define BY_PFX_BARE(t) TABLE(K_PFX, t, __, __, __)

#define NI_M NI(Eb, __, __)		/* ModRM */
#define NI_MB NI(Eb, Ib, __)		/* ModRM, byte */

/* Group 1: 80, 81, 82, 83 */
static const struct x86_opcode group1[8] = {
	[0] = I0(em_add, F_LOCKABLE),
	[1] = I0(em_or, F_LOCKABLE),
	[2] = I0(em_adc, F_LOCKABLE),
	[3] = I0(em_sbb, F_LOCKABLE),
	[4] = I0(em_and, F_LOCKABLE),
	[5] = I0(em_sub, F_LOCKABLE),
	[6] = I0(em_xor, F_LOCKABLE),
	[7] = I0(em_cmp, F_R0),
};

static const struct x86_opcode mode_82[2] = {
	[0] = BY_REG2(group1, Eb, Ib),
	[1] = UDM,
};

static const struct x86_opcode group1a[8] = {
	[0] = I1(em_pop, Ev, F_W0 | F_D64 | F_POPEA),
	[1] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,	/* AMD's XOP */
};

/* Group 2: C0, C1, D0 to D3 */
static const struct x86_opcode group2[8] = {
	[0] = I0(em_rol, 0),
	[1] = I0(em_ror, 0),
	[2] = I0(em_rcl, 0),
	[3] = I0(em_rcr, 0),
	[4] = I0(em_shl, 0),
	[5] = I0(em_shr, 0),
	[6] = I0(em_shl, 0),
	[7] = I0(em_sar, 0),
};

static const struct x86_opcode group3b[8] = {
	[0] = I2(em_test, Eb, Ib, F_R0),
	[1] = I2(em_test, Eb, Ib, F_R0),
	[2] = I1(em_not, Eb, F_LOCKABLE),
	[3] = I1(em_neg, Eb, F_LOCKABLE),
	[4] = I1(em_mul, Eb, F_R0),
	[5] = I1(em_imul, Eb, F_R0),
	[6] = I1(em_div, Eb, F_R0),
	[7] = I1(em_idiv, Eb, F_R0),
};

static const struct x86_opcode group3v[8] = {
	[0] = I2(em_test, Ev, Iz, F_R0),
	[1] = I2(em_test, Ev, Iz, F_R0),
	[2] = I1(em_not, Ev, F_LOCKABLE),
	[3] = I1(em_neg, Ev, F_LOCKABLE),
	[4] = I1(em_mul, Ev, F_R0),
	[5] = I1(em_imul, Ev, F_R0),
	[6] = I1(em_div, Ev, F_R0),
	[7] = I1(em_idiv, Ev, F_R0),
};

static const struct x86_opcode group4[8] = {
	[0] = I1(em_inc, Eb, F_LOCKABLE),
	[1] = I1(em_dec, Eb, F_LOCKABLE),
	[2] = UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode group5[8] = {
	[0] = I1(em_inc, Ev, F_LOCKABLE),
	[1] = I1(em_dec, Ev, F_LOCKABLE),
	[2] = I1(em_call_abs, Ev, F_R0 | F_F64),
	[3] = I1(em_call_far_mem, M, F_N0),
	[4] = I1(em_jmp_abs, Ev, F_R0 | F_F64),
	[5] = I1(em_jmp_far_mem, M, F_N0),
	[6] = I1(em_push, Ev, F_R0 | F_D64),
	[7] = UD,
};

/* Group 6: 0F 00 */
static const struct x86_opcode group6[8] = {
	[0] = I1(em_sldt, Ev, F_W0 | F_PROT),
	[1] = I1(em_str, Ev, F_W0 | F_PROT),
	[2] = I1(em_lldt, Ew, F_R0 | F_PROT | F_CPL0),
	[3] = I1(em_ltr, Ew, F_R0 | F_PROT | F_CPL0),
	[4] = I1(em_verr, Ew, F_R0 | F_PROT),
	[5] = I1(em_verw, Ew, F_R0 | F_PROT),
	[6] = UD, UD,
};

/* Group 7: 0F 01 */
static const struct x86_opcode group7_mem[8] = {
	[0] = I1(em_sgdt, M, F_N0),
	[1] = I1(em_sidt, M, F_N0),
	[2] = I1(em_lgdt, M, F_N0 | F_CPL0),
	[3] = I1(em_lidt, M, F_N0 | F_CPL0),
	[4] = I1(em_smsw, Ev, F_W0),
	[5] = NI_M,
	[6] = I1(em_lmsw, Ew, F_R0 | F_CPL0),
	[7] = I1(em_invlpg, M, F_N0 | F_CPL0),
};

static const struct x86_opcode group7_rm0[8] = {
	[1] = I0(em_hypercall, 0),		/* VMCALL */
};

static const struct x86_opcode group7_rm1[8] = {
	[0] = NI_M,				/* MONITOR, MWAIT: only to skip them */
	[1] = NI_M,
	[2] = I0(em_clac, 0),
	[3] = I0(em_stac, 0),
};

static const struct x86_opcode group7_rm2[8] = {
	[0] = I0(em_xgetbv, 0),
	[1] = I0(em_xsetbv, 0),
};

static const struct x86_opcode group7_rm3[8] = {
	[1] = I0(em_hypercall, 0),		/* VMMCALL */
};

static const struct x86_opcode group7_rm7[8] = {
	[0] = I0(em_swapgs, 0),
	[1] = I0(em_rdtscp, 0),
};

static const struct x86_opcode group7_reg[8] = {
	[0] = BY_RM(group7_rm0),
	[1] = BY_RM(group7_rm1),
	[2] = BY_RM(group7_rm2),
	[3] = BY_RM(group7_rm3),
	[4] = I1(em_smsw, Ev, F_W0),
	[5] = NI_M,
	[6] = I1(em_lmsw, Ew, F_R0 | F_CPL0),
	[7] = BY_RM(group7_rm7),
};

static const struct x86_opcode group7_mod[2] = {
	[0] = BY_REG(group7_mem),
	[1] = BY_REG(group7_reg),
};

/* Group 8: 0F BA */
static const struct x86_opcode group8[8] = {
	[0] = UD, UD, UD, UD,
	[4] = I0(em_bt, F_R0),
	[5] = I0(em_bts, F_LOCKABLE),
	[6] = I0(em_btr, F_LOCKABLE),
	[7] = I0(em_btc, F_LOCKABLE),
};

/* Group 9: 0F C7 */
static const struct x86_opcode group9_mem[8] = {
	[0] = UD,
	[1] = I1(em_cmpxchg8b, M, F_N0 | F_LOCKABLE),
	[2] = UD,
	[3] = NI_M, NI_M, NI_M, NI_M, NI_M,
};

static const struct x86_opcode group9_reg7_pfx[4] = {
	[2] = I1(em_rdpid, En, F_W0),
};

static const struct x86_opcode group9_reg[8] = {
	[0] = UD, UD, UD, UD, UD, UD,
	[6] = NI_M,
	[7] = BY_PFX(group9_reg7_pfx),
};

static const struct x86_opcode group9_mod[2] = {
	[0] = BY_REG(group9_mem),
	[1] = BY_REG(group9_reg),
};

/* Group 11: C6, C7 */
static const struct x86_opcode group11[8] = {
	[0] = I0(em_mov, F_W0),
	[1] = UD, UD, UD, UD, UD, UD,
	[7] = { .flags = K_LACKING },		/* XABORT, XBEGIN */
};

/* Group 15: 0F AE */
static const struct x86_opcode clflush[4] = {
	[0] = I1(em_clflush, M, F_N0),
	[1] = I1(em_clflush, M, F_N0),		/* CLFLUSHOPT */
	[2] = UD, UD,
};

static const struct x86_opcode fxsave[4] = {
	[0] = I1(em_fxsave, M, F_N0),
	[1] = NI_M, NI_M, NI_M,
};

static const struct x86_opcode fxrstor[4] = {
	[0] = I1(em_fxrstor, M, F_N0),
	[1] = NI_M, NI_M, NI_M,
};

static const struct x86_opcode ldmxcsr[4] = {
	[0] = I1(em_ldmxcsr, Md, F_N0 | F_SSE),
	[1] = NI_M, NI_M, NI_M,
};

static const struct x86_opcode stmxcsr[4] = {
	[0] = I1(em_stmxcsr, Md, F_N0 | F_SSE),
	[1] = NI_M, NI_M, NI_M,
};

static const struct x86_opcode clwb[4] = {
	[0] = NI_M,				/* XSAVEOPT */
	[1] = I1(em_clflush, M, F_N0),
	[2] = NI_M, NI_M,
};

static const struct x86_opcode group15_mem[8] = {
	[0] = BY_PFX(fxsave),
	[1] = BY_PFX(fxrstor),
	[2] = BY_PFX(ldmxcsr),
	[3] = BY_PFX(stmxcsr),
	[4] = NI_M,				/* XSAVE */
	[5] = NI_M,				/* XRSTOR */
	[6] = BY_PFX(clwb),
	[7] = BY_PFX(clflush),
};

static const struct x86_opcode group15_r0[4] = {
	[0] = UD, UD,
	[2] = I1(em_rdfsbase, Ey, F_W0),
};

static const struct x86_opcode group15_r1[4] = {
	[0] = UD, UD,
	[2] = I1(em_rdgsbase, Ey, F_W0),
};

static const struct x86_opcode group15_r2[4] = {
	[0] = UD, UD,
	[2] = I1(em_wrfsbase, Ey, F_R0),
};

static const struct x86_opcode group15_r3[4] = {
	[0] = UD, UD,
	[2] = I1(em_wrgsbase, Ey, F_R0),
};

static const struct x86_opcode fence[4] = {
	[0] = I0(em_nop, 0),
};

static const struct x86_opcode group15_reg[8] = {
	[0] = BY_PFX(group15_r0),
	[1] = BY_PFX(group15_r1),
	[2] = BY_PFX(group15_r2),
	[3] = BY_PFX(group15_r3),
	[4] = NI_M,
	[5] = BY_PFX(fence),			/* LFENCE */
	[6] = BY_PFX(fence),			/* MFENCE */
	[7] = BY_PFX(fence),			/* SFENCE */
};

static const struct x86_opcode group15_mod[2] = {
	[0] = BY_REG(group15_mem),
	[1] = BY_REG(group15_reg),
};

/* x87: what touches memory, environments excepted; of the others, FNINIT and FNSTSW */
static const struct x86_opcode x87_d8_mem[8] = {
	[0] = I1(em_farith, Md, F_N0),		/* FADD */
	[1] = I1(em_farith, Md, F_N0),		/* FMUL */
	[2] = I1(em_farith, Md, F_N0),		/* FCOM */
	[3] = I1(em_farith, Md, F_N0),		/* FCOMP */
	[4] = I1(em_farith, Md, F_N0),		/* FSUB */
	[5] = I1(em_farith, Md, F_N0),		/* FSUBR */
	[6] = I1(em_farith, Md, F_N0),		/* FDIV */
	[7] = I1(em_farith, Md, F_N0),		/* FDIVR */
};

static const struct x86_opcode x87_d8[2] = {
	[0] = BY_REG(x87_d8_mem),
	[1] = NI_M,
};

static const struct x86_opcode x87_d9_mem[8] = {
	[0] = I1(em_fld, Md, F_N0),		/* FLD */
	[1] = UD,
	[2] = I1(em_fst, Md, F_N0),		/* FST */
	[3] = I1(em_fst, Md, F_N0),		/* FSTP */
	[4] = NI_M	,		/* FLDENV */
	[5] = I1(em_fldcw, Mw, F_N0),
	[6] = NI_M	,		/* FNSTENV */
	[7] = I1(em_fnstcw, Mw, F_W0),
};

static const struct x86_opcode x87_d9[2] = {
	[0] = BY_REG(x87_d9_mem),
	[1] = NI_M,
};

static const struct x86_opcode x87_da_mem[8] = {
	[0] = I1(em_farith, Md, F_N0),		/* FIADD */
	[1] = I1(em_farith, Md, F_N0),		/* FIMUL */
	[2] = I1(em_farith, Md, F_N0),		/* FICOM */
	[3] = I1(em_farith, Md, F_N0),		/* FICOMP */
	[4] = I1(em_farith, Md, F_N0),		/* FISUB */
	[5] = I1(em_farith, Md, F_N0),		/* FISUBR */
	[6] = I1(em_farith, Md, F_N0),		/* FIDIV */
	[7] = I1(em_farith, Md, F_N0),		/* FIDIVR */
};

static const struct x86_opcode x87_da[2] = {
	[0] = BY_REG(x87_da_mem),
	[1] = NI_M,
};

static const struct x86_opcode x87_db_mem[8] = {
	[0] = I1(em_fld, Md, F_N0),		/* FILD */
	[1] = I1(em_fst, Md, F_N0),		/* FISTTP */
	[2] = I1(em_fst, Md, F_N0),		/* FIST */
	[3] = I1(em_fst, Md, F_N0),		/* FISTP */
	[4] = UD,
	[5] = I1(em_fld, Mt, F_N0),		/* FLD */
	[6] = UD,
	[7] = I1(em_fst, Mt, F_N0),		/* FSTP */
};

static const struct x86_opcode x87_db_rm[8] = {
	[3] = I0(em_fninit, 0),
};

static const struct x86_opcode x87_db_reg[8] = {
	[0] = NI_M, NI_M, NI_M, NI_M,
	[4] = BY_RM(x87_db_rm),
	[5] = NI_M, NI_M, NI_M,
};

static const struct x86_opcode x87_db[2] = {
	[0] = BY_REG(x87_db_mem),
	[1] = BY_REG(x87_db_reg),
};

static const struct x86_opcode x87_dc_mem[8] = {
	[0] = I1(em_farith, Mq, F_N0),		/* FADD */
	[1] = I1(em_farith, Mq, F_N0),		/* FMUL */
	[2] = I1(em_farith, Mq, F_N0),		/* FCOM */
	[3] = I1(em_farith, Mq, F_N0),		/* FCOMP */
	[4] = I1(em_farith, Mq, F_N0),		/* FSUB */
	[5] = I1(em_farith, Mq, F_N0),		/* FSUBR */
	[6] = I1(em_farith, Mq, F_N0),		/* FDIV */
	[7] = I1(em_farith, Mq, F_N0),		/* FDIVR */
};

static const struct x86_opcode x87_dc[2] = {
	[0] = BY_REG(x87_dc_mem),
	[1] = NI_M,
};

static const struct x86_opcode x87_dd_mem[8] = {
	[0] = I1(em_fld, Mq, F_N0),		/* FLD */
	[1] = I1(em_fst, Mq, F_N0),		/* FISTTP */
	[2] = I1(em_fst, Mq, F_N0),		/* FST */
	[3] = I1(em_fst, Mq, F_N0),		/* FSTP */
	[4] = NI_M	,		/* FRSTOR */
	[5] = UD,
	[6] = NI_M	,		/* FNSAVE */
	[7] = I1(em_fnstsw, Mw, F_W0),
};

static const struct x86_opcode x87_dd[2] = {
	[0] = BY_REG(x87_dd_mem),
	[1] = NI_M,
};

static const struct x86_opcode x87_de_mem[8] = {
	[0] = I1(em_farith, Mw, F_N0),		/* FIADD */
	[1] = I1(em_farith, Mw, F_N0),		/* FIMUL */
	[2] = I1(em_farith, Mw, F_N0),		/* FICOM */
	[3] = I1(em_farith, Mw, F_N0),		/* FICOMP */
	[4] = I1(em_farith, Mw, F_N0),		/* FISUB */
	[5] = I1(em_farith, Mw, F_N0),		/* FISUBR */
	[6] = I1(em_farith, Mw, F_N0),		/* FIDIV */
	[7] = I1(em_farith, Mw, F_N0),		/* FIDIVR */
};

static const struct x86_opcode x87_de[2] = {
	[0] = BY_REG(x87_de_mem),
	[1] = NI_M,
};

static const struct x86_opcode x87_df_mem[8] = {
	[0] = I1(em_fld, Mw, F_N0),		/* FILD */
	[1] = I1(em_fst, Mw, F_N0),		/* FISTTP */
	[2] = I1(em_fst, Mw, F_N0),		/* FIST */
	[3] = I1(em_fst, Mw, F_N0),		/* FISTP */
	[4] = I1(em_fld, Mt, F_N0),		/* FBLD */
	[5] = I1(em_fld, Mq, F_N0),		/* FILD */
	[6] = I1(em_fst, Mt, F_N0),		/* FBSTP */
	[7] = I1(em_fst, Mq, F_N0),		/* FISTP */
};

static const struct x86_opcode x87_df_rm[8] = {
	[0] = I1(em_fnstsw, AX, F_W0),
};

static const struct x86_opcode x87_df_reg[8] = {
	[0] = NI_M, NI_M, NI_M, NI_M,
	[4] = BY_RM(x87_df_rm),
	[5] = NI_M, NI_M, NI_M,
};

static const struct x86_opcode x87_df[2] = {
	[0] = BY_REG(x87_df_mem),
	[1] = BY_REG(x87_df_reg),
};

/* Where 64-bit mode means something else */
static const struct x86_opcode mod_62[2] = {
	[0] = I2(em_bound, Gv, M, F_R0 | F_N1),
	[1] = NI_M,				/* EVEX */
};

static const struct x86_opcode mode_62[2] = {
	[0] = BY_MOD(mod_62),
	[1] = { .flags = K_LACKING },		/* EVEX */
};

static const struct x86_opcode mode_63[2] = {
	[0] = I2(em_arpl, Ew, Gw, F_W0 | F_PROT),
	[1] = I2(em_movsxd, Gv, Ed, F_W0),
};

static const struct x86_opcode mod_c4[2] = {
	[0] = I2(em_load_far, Gv, M, F_N0 | F_N1),
	[1] = UD,				/* where there is no VEX */
};

static const struct x86_opcode map0[256] = {
	[0x00] = I2(em_add, Eb, Gb, F_LOCKABLE),
	[0x01] = I2(em_add, Ev, Gv, F_LOCKABLE),
	[0x02] = I2(em_add, Gb, Eb, 0),
	[0x03] = I2(em_add, Gv, Ev, 0),
	[0x04] = I2(em_add, AL, Ib, 0),
	[0x05] = I2(em_add, rAX, Iz, 0),
	[0x06] = I0(em_push_seg, F_NO64),
	[0x07] = I0(em_pop_seg, F_NO64),
	[0x08] = I2(em_or, Eb, Gb, F_LOCKABLE),
	[0x09] = I2(em_or, Ev, Gv, F_LOCKABLE),
	[0x0a] = I2(em_or, Gb, Eb, 0),
	[0x0b] = I2(em_or, Gv, Ev, 0),
	[0x0c] = I2(em_or, AL, Ib, 0),
	[0x0d] = I2(em_or, rAX, Iz, 0),
	[0x0e] = I0(em_push_seg, F_NO64),
	[0x0f] = ESCAPE,
	[0x10] = I2(em_adc, Eb, Gb, F_LOCKABLE),
	[0x11] = I2(em_adc, Ev, Gv, F_LOCKABLE),
	[0x12] = I2(em_adc, Gb, Eb, 0),
	[0x13] = I2(em_adc, Gv, Ev, 0),
	[0x14] = I2(em_adc, AL, Ib, 0),
	[0x15] = I2(em_adc, rAX, Iz, 0),
	[0x16] = I0(em_push_seg, F_NO64),
	[0x17] = I0(em_pop_seg, F_NO64),
	[0x18] = I2(em_sbb, Eb, Gb, F_LOCKABLE),
	[0x19] = I2(em_sbb, Ev, Gv, F_LOCKABLE),
	[0x1a] = I2(em_sbb, Gb, Eb, 0),
	[0x1b] = I2(em_sbb, Gv, Ev, 0),
	[0x1c] = I2(em_sbb, AL, Ib, 0),
	[0x1d] = I2(em_sbb, rAX, Iz, 0),
	[0x1e] = I0(em_push_seg, F_NO64),
	[0x1f] = I0(em_pop_seg, F_NO64),
	[0x20] = I2(em_and, Eb, Gb, F_LOCKABLE),
	[0x21] = I2(em_and, Ev, Gv, F_LOCKABLE),
	[0x22] = I2(em_and, Gb, Eb, 0),
	[0x23] = I2(em_and, Gv, Ev, 0),
	[0x24] = I2(em_and, AL, Ib, 0),
	[0x25] = I2(em_and, rAX, Iz, 0),
	[0x26] = PREFIX,
	[0x27] = I0(em_daa, F_NO64),
	[0x28] = I2(em_sub, Eb, Gb, F_LOCKABLE),
	[0x29] = I2(em_sub, Ev, Gv, F_LOCKABLE),
	[0x2a] = I2(em_sub, Gb, Eb, 0),
	[0x2b] = I2(em_sub, Gv, Ev, 0),
	[0x2c] = I2(em_sub, AL, Ib, 0),
	[0x2d] = I2(em_sub, rAX, Iz, 0),
	[0x2e] = PREFIX,
	[0x2f] = I0(em_das, F_NO64),
	[0x30] = I2(em_xor, Eb, Gb, F_LOCKABLE),
	[0x31] = I2(em_xor, Ev, Gv, F_LOCKABLE),
	[0x32] = I2(em_xor, Gb, Eb, 0),
	[0x33] = I2(em_xor, Gv, Ev, 0),
	[0x34] = I2(em_xor, AL, Ib, 0),
	[0x35] = I2(em_xor, rAX, Iz, 0),
	[0x36] = PREFIX,
	[0x37] = I0(em_aaa, F_NO64),
	[0x38] = I2(em_cmp, Eb, Gb, F_R0),
	[0x39] = I2(em_cmp, Ev, Gv, F_R0),
	[0x3a] = I2(em_cmp, Gb, Eb, F_R0),
	[0x3b] = I2(em_cmp, Gv, Ev, F_R0),
	[0x3c] = I2(em_cmp, AL, Ib, F_R0),
	[0x3d] = I2(em_cmp, rAX, Iz, F_R0),
	[0x3e] = PREFIX,
	[0x3f] = I0(em_aas, F_NO64),
	/* In 64-bit mode, 40 to 4F are REX */
	[0x40] = I1(em_inc, Zv, 0),
	[0x41] = I1(em_inc, Zv, 0),
	[0x42] = I1(em_inc, Zv, 0),
	[0x43] = I1(em_inc, Zv, 0),
	[0x44] = I1(em_inc, Zv, 0),
	[0x45] = I1(em_inc, Zv, 0),
	[0x46] = I1(em_inc, Zv, 0),
	[0x47] = I1(em_inc, Zv, 0),
	[0x48] = I1(em_dec, Zv, 0),
	[0x49] = I1(em_dec, Zv, 0),
	[0x4a] = I1(em_dec, Zv, 0),
	[0x4b] = I1(em_dec, Zv, 0),
	[0x4c] = I1(em_dec, Zv, 0),
	[0x4d] = I1(em_dec, Zv, 0),
	[0x4e] = I1(em_dec, Zv, 0),
	[0x4f] = I1(em_dec, Zv, 0),
	[0x50] = I1(em_push, Zv, F_R0 | F_D64),
	[0x51] = I1(em_push, Zv, F_R0 | F_D64),
	[0x52] = I1(em_push, Zv, F_R0 | F_D64),
	[0x53] = I1(em_push, Zv, F_R0 | F_D64),
	[0x54] = I1(em_push, Zv, F_R0 | F_D64),
	[0x55] = I1(em_push, Zv, F_R0 | F_D64),
	[0x56] = I1(em_push, Zv, F_R0 | F_D64),
	[0x57] = I1(em_push, Zv, F_R0 | F_D64),
	[0x58] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x59] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x5a] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x5b] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x5c] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x5d] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x5e] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x5f] = I1(em_pop, Zv, F_W0 | F_D64),
	[0x60] = I0(em_pusha, F_NO64),
	[0x61] = I0(em_popa, F_NO64),
	[0x62] = BY_MODE(mode_62),
	[0x63] = BY_MODE(mode_63),
	[0x64] = PREFIX,
	[0x65] = PREFIX,
	[0x66] = PREFIX,
	[0x67] = PREFIX,
	[0x68] = I1(em_push, Iz, F_R0 | F_D64),
	[0x69] = I(em_imul_3, Gv, Ev, Iz, F_W0),
	[0x6a] = I1(em_push, Sb, F_R0 | F_D64),
	[0x6b] = I(em_imul_3, Gv, Ev, Sb, F_W0),
	[0x6c] = I0(em_ins, 0),
	[0x6d] = I0(em_ins, 0),
	[0x6e] = I0(em_outs, 0),
	[0x6f] = I0(em_outs, 0),
	[0x70] = I1(em_jcc, Jb, F_F64),
	[0x71] = I1(em_jcc, Jb, F_F64),
	[0x72] = I1(em_jcc, Jb, F_F64),
	[0x73] = I1(em_jcc, Jb, F_F64),
	[0x74] = I1(em_jcc, Jb, F_F64),
	[0x75] = I1(em_jcc, Jb, F_F64),
	[0x76] = I1(em_jcc, Jb, F_F64),
	[0x77] = I1(em_jcc, Jb, F_F64),
	[0x78] = I1(em_jcc, Jb, F_F64),
	[0x79] = I1(em_jcc, Jb, F_F64),
	[0x7a] = I1(em_jcc, Jb, F_F64),
	[0x7b] = I1(em_jcc, Jb, F_F64),
	[0x7c] = I1(em_jcc, Jb, F_F64),
	[0x7d] = I1(em_jcc, Jb, F_F64),
	[0x7e] = I1(em_jcc, Jb, F_F64),
	[0x7f] = I1(em_jcc, Jb, F_F64),
	[0x80] = BY_REG2(group1, Eb, Ib),
	[0x81] = BY_REG2(group1, Ev, Iz),
	[0x82] = BY_MODE(mode_82),
	[0x83] = BY_REG2(group1, Ev, Sb),
	[0x84] = I2(em_test, Eb, Gb, F_R0),
	[0x85] = I2(em_test, Ev, Gv, F_R0),
	[0x86] = I2(em_xchg, Eb, Gb, F_LOCKABLE),
	[0x87] = I2(em_xchg, Ev, Gv, F_LOCKABLE),
	[0x88] = I2(em_mov, Eb, Gb, F_W0 | F_QUICK),
	[0x89] = I2(em_mov, Ev, Gv, F_W0 | F_QUICK),
	[0x8a] = I2(em_mov, Gb, Eb, F_W0 | F_QUICK),
	[0x8b] = I2(em_mov, Gv, Ev, F_W0 | F_QUICK),
	[0x8c] = I2(em_mov_from_seg, Ev, Sw, F_W0),
	[0x8d] = I2(em_lea, Gv, M, F_W0 | F_N1),
	[0x8e] = I2(em_mov_to_seg, Sw, Ew, F_N0),
	[0x8f] = BY_REG(group1a),
	[0x90] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x91] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x92] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x93] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x94] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x95] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x96] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x97] = I2(em_xchg_acc, Zv, rAX, 0),
	[0x98] = I0(em_cbw, 0),
	[0x99] = I0(em_cwd, 0),
	[0x9a] = I1(em_call_far, Ap, F_N0 | F_NO64),
	[0x9b] = I0(em_wait, 0),
	[0x9c] = I0(em_pushf, F_D64),
	[0x9d] = I0(em_popf, F_D64),
	[0x9e] = I0(em_sahf, 0),
	[0x9f] = I0(em_lahf, 0),
	[0xa0] = I2(em_mov, AL, Ob, F_W0),
	[0xa1] = I2(em_mov, rAX, Ov, F_W0),
	[0xa2] = I2(em_mov, Ob, AL, F_W0),
	[0xa3] = I2(em_mov, Ov, rAX, F_W0),
	[0xa4] = I0(em_movs, 0),
	[0xa5] = I0(em_movs, 0),
	[0xa6] = I0(em_cmps, 0),
	[0xa7] = I0(em_cmps, 0),
	[0xa8] = I2(em_test, AL, Ib, F_R0),
	[0xa9] = I2(em_test, rAX, Iz, F_R0),
	[0xaa] = I0(em_stos, 0),
	[0xab] = I0(em_stos, 0),
	[0xac] = I0(em_lods, 0),
	[0xad] = I0(em_lods, 0),
	[0xae] = I0(em_scas, 0),
	[0xaf] = I0(em_scas, 0),
	[0xb0] = I2(em_mov, Zb, Ib, F_W0),
	[0xb1] = I2(em_mov, Zb, Ib, F_W0),
	[0xb2] = I2(em_mov, Zb, Ib, F_W0),
	[0xb3] = I2(em_mov, Zb, Ib, F_W0),
	[0xb4] = I2(em_mov, Zb, Ib, F_W0),
	[0xb5] = I2(em_mov, Zb, Ib, F_W0),
	[0xb6] = I2(em_mov, Zb, Ib, F_W0),
	[0xb7] = I2(em_mov, Zb, Ib, F_W0),
	[0xb8] = I2(em_mov, Zv, Iv, F_W0),
	[0xb9] = I2(em_mov, Zv, Iv, F_W0),
	[0xba] = I2(em_mov, Zv, Iv, F_W0),
	[0xbb] = I2(em_mov, Zv, Iv, F_W0),
	[0xbc] = I2(em_mov, Zv, Iv, F_W0),
	[0xbd] = I2(em_mov, Zv, Iv, F_W0),
	[0xbe] = I2(em_mov, Zv, Iv, F_W0),
	[0xbf] = I2(em_mov, Zv, Iv, F_W0),
	[0xc0] = BY_REG2(group2, Eb, Ib),
	[0xc1] = BY_REG2(group2, Ev, Ib),
	[0xc2] = I1(em_ret, Iw, F_R0 | F_F64),
	[0xc3] = I0(em_ret, F_F64),
	[0xc4] = BY_MOD(mod_c4),
	[0xc5] = BY_MOD(mod_c4),
	[0xc6] = BY_REG2(group11, Eb, Ib),
	[0xc7] = BY_REG2(group11, Ev, Iz),
	[0xc8] = I2(em_enter, Iw, Ib, F_R0 | F_D64),
	[0xc9] = I0(em_leave, F_D64),
	[0xca] = I1(em_ret_far, Iw, F_R0),
	[0xcb] = I0(em_ret_far, 0),
	[0xcc] = I0(em_int3, 0),
	[0xcd] = I1(em_int, Ib, F_R0),
	[0xce] = I0(em_into, F_NO64),
	[0xcf] = I0(em_iret, 0),
	[0xd0] = BY_REG2(group2, Eb, 1),
	[0xd1] = BY_REG2(group2, Ev, 1),
	[0xd2] = BY_REG2(group2, Eb, CL),
	[0xd3] = BY_REG2(group2, Ev, CL),
	[0xd4] = I1(em_aam, Ib, F_R0 | F_NO64),
	[0xd5] = I1(em_aad, Ib, F_R0 | F_NO64),
	[0xd6] = I0(em_salc, F_NO64),
	[0xd7] = I0(em_xlat, 0),
	[0xd8] = BY_MOD(x87_d8),
	[0xd9] = BY_MOD(x87_d9),
	[0xda] = BY_MOD(x87_da),
	[0xdb] = BY_MOD(x87_db),
	[0xdc] = BY_MOD(x87_dc),
	[0xdd] = BY_MOD(x87_dd),
	[0xde] = BY_MOD(x87_de),
	[0xdf] = BY_MOD(x87_df),
	[0xe0] = I1(em_loop, Jb, F_F64),
	[0xe1] = I1(em_loop, Jb, F_F64),
	[0xe2] = I1(em_loop, Jb, F_F64),
	[0xe3] = I1(em_jcxz, Jb, F_F64),
	[0xe4] = I2(em_in, AL, Ib, F_W0),
	[0xe5] = I2(em_in, eAX, Ib, F_W0),
	[0xe6] = I2(em_out, Ib, AL, F_R0),
	[0xe7] = I2(em_out, Ib, eAX, F_R0),
	[0xe8] = I1(em_call_rel, Jz, F_F64),
	[0xe9] = I1(em_jmp_rel, Jz, F_F64),
	[0xea] = I1(em_jmp_far, Ap, F_N0 | F_NO64),
	[0xeb] = I1(em_jmp_rel, Jb, F_F64),
	[0xec] = I2(em_in, AL, DX, F_W0),
	[0xed] = I2(em_in, eAX, DX, F_W0),
	[0xee] = I2(em_out, DX, AL, F_R0),
	[0xef] = I2(em_out, DX, eAX, F_R0),
	[0xf0] = PREFIX,
	[0xf1] = I0(em_int1, 0),
	[0xf2] = PREFIX,
	[0xf3] = PREFIX,
	[0xf4] = I0(em_hlt, F_CPL0),
	[0xf5] = I0(em_cmc, 0),
	[0xf6] = BY_REG(group3b),
	[0xf7] = BY_REG(group3v),
	[0xf8] = I0(em_clc, 0),
	[0xf9] = I0(em_stc, 0),
	[0xfa] = I0(em_cli, 0),
	[0xfb] = I0(em_sti, 0),
	[0xfc] = I0(em_cld, 0),
	[0xfd] = I0(em_std, 0),
	[0xfe] = BY_REG(group4),
	[0xff] = BY_REG(group5),
};

/* 0F xx by mandatory prefix: none, 66, F3, F2 */
static const struct x86_opcode pfx_0f10[4] = {	/* MOVUPS MOVUPD MOVSS MOVSD */
	[0] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE),
	[1] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE),
	[2] = I2(em_movv_low, Vd, Wd, F_N0 | F_N1 | F_SSE),
	[3] = I2(em_movv_low, Vq, Wq, F_N0 | F_N1 | F_SSE),
};

static const struct x86_opcode pfx_0f11[4] = {
	[0] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE),
	[1] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE),
	[2] = I2(em_movv_low, Wd, Vd, F_N0 | F_N1 | F_SSE),
	[3] = I2(em_movv_low, Wq, Vq, F_N0 | F_N1 | F_SSE),
};

static const struct x86_opcode mod_0f12[2] = {	/* MOVLPS, MOVHLPS */
	[0] = I2(em_movv_high, Vq, Wq, F_N0 | F_N1 | F_SSE),
	[1] = I2(em_movhl, Vq, Wq, F_N0 | F_N1 | F_SSE),
};

static const struct x86_opcode mod_0f12_66[2] = {	/* MOVLPD */
	[0] = I2(em_movv_high, Vq, Wq, F_N0 | F_N1 | F_SSE),
	[1] = UD,
};

static const struct x86_opcode pfx_0f12[4] = {
	[0] = BY_MOD(mod_0f12),
	[1] = BY_MOD(mod_0f12_66),
	[2] = I2(em_movsldup, Vdq, Wdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[3] = I2(em_movddup, Vdq, Wq, F_N0 | F_N1 | F_SSE),
};

static const struct x86_opcode mod_0f13[2] = {	/* stores of half a register */
	[0] = I2(em_movv_high, Wq, Vq, F_N0 | F_N1 | F_SSE),
	[1] = UD,
};

static const struct x86_opcode pfx_0f13[4] = {
	[0] = BY_MOD(mod_0f13),
	[1] = BY_MOD(mod_0f13),
	[2] = UD, UD,
};

static const struct x86_opcode pfx_0f16[4] = {	/* MOVHPS, MOVLHPS, MOVHPD */
	[0] = BY_MOD(mod_0f12),
	[1] = BY_MOD(mod_0f12_66),
	[2] = I2(em_movshdup, Vdq, Wdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[3] = UD,
};

static const struct x86_opcode pfx_0f28[4] = {	/* MOVAPS MOVAPD */
	[0] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[1] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[2] = UD, UD,
};

static const struct x86_opcode pfx_0f29[4] = {
	[0] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[1] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[2] = UD, UD,
};

static const struct x86_opcode mod_0f2b[2] = {	/* MOVNTPS MOVNTPD */
	[0] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[1] = UD,
};

static const struct x86_opcode pfx_0f2b[4] = {
	[0] = BY_MOD(mod_0f2b),
	[1] = BY_MOD(mod_0f2b),
	[2] = NI_M, NI_M,			/* SSE4A */
};

static const struct x86_opcode pfx_0f6e[4] = {
	[0] = I2(em_movmd_to, Pq, Ey, F_N0 | F_MMX),
	[1] = I2(em_movd_to, Vdq, Ey, F_N0 | F_SSE),
	[2] = UD, UD,
};

static const struct x86_opcode pfx_0f6f[4] = {	/* MOVQ MOVDQA MOVDQU */
	[0] = I2(em_movm, Pq, Qq, F_N0 | F_N1 | F_MMX),
	[1] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[2] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE),
	[3] = UD,
};

static const struct x86_opcode pfx_0f77[4] = {
	[0] = I0(em_emms, F_MMX),
	[1] = UD, UD, UD,
};

static const struct x86_opcode pfx_0f7e[4] = {
	[0] = I2(em_movmd_from, Ey, Pq, F_W0 | F_N1 | F_MMX),
	[1] = I2(em_movd_from, Ey, Vdq, F_W0 | F_N1 | F_SSE),
	[2] = I2(em_movv_low, Vq, Wq, F_N0 | F_N1 | F_SSE),
	[3] = UD,
};

static const struct x86_opcode pfx_0f7f[4] = {
	[0] = I2(em_movm, Qq, Pq, F_N0 | F_N1 | F_MMX),
	[1] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[2] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE),
	[3] = UD,
};

static const struct x86_opcode pfx_0fb8[4] = {
	[0] = UD, UD,
	[2] = I2(em_popcnt, Gv, Ev, F_W0),
	[3] = UD,
};

static const struct x86_opcode pfx_0fbc[4] = {
	[0] = I2(em_bsf, Gv, Ev, 0),
	[1] = I2(em_bsf, Gv, Ev, 0),
	[2] = I2(em_tzcnt, Gv, Ev, 0),
	[3] = I2(em_bsf, Gv, Ev, 0),
};

static const struct x86_opcode pfx_0fbd[4] = {
	[0] = I2(em_bsr, Gv, Ev, 0),
	[1] = I2(em_bsr, Gv, Ev, 0),
	[2] = I2(em_lzcnt, Gv, Ev, 0),
	[3] = I2(em_bsr, Gv, Ev, 0),
};

static const struct x86_opcode mod_0fc3[2] = {
	[0] = I2(em_mov, My, Gy, F_W0),		/* MOVNTI */
	[1] = UD,
};

static const struct x86_opcode pfx_0fc3[4] = {
	[0] = BY_MOD(mod_0fc3),
	[1] = UD, UD, UD,
};

static const struct x86_opcode mod_0fd6[2] = {	/* MOVQ */
	[0] = I2(em_movv_low, Wq, Vq, F_N0 | F_N1 | F_SSE),
	[1] = I2(em_movv_low, Wq, Vq, F_N0 | F_N1 | F_SSE),
};

static const struct x86_opcode pfx_0fd6[4] = {
	[0] = UD,
	[1] = BY_MOD(mod_0fd6),
	[2] = NI_M, NI_M,
};

static const struct x86_opcode mod_0fe7[2] = {
	[0] = I2(em_movm, Qq, Pq, F_N0 | F_N1 | F_MMX),	/* MOVNTQ */
	[1] = UD,
};

static const struct x86_opcode mod_0fe7_66[2] = {
	[0] = I2(em_movv, Wdq, Vdq, F_N0 | F_N1 | F_SSE | F_ALIGN),	/* MOVNTDQ */
	[1] = UD,
};

static const struct x86_opcode pfx_0fe7[4] = {
	[0] = BY_MOD(mod_0fe7),
	[1] = BY_MOD(mod_0fe7_66),
	[2] = NI_M, UD,
};

static const struct x86_opcode mod_lddqu[2] = {
	[0] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE),
	[1] = UD,
};

static const struct x86_opcode pfx_0ff0[4] = {
	[0] = UD, UD, UD,
	[3] = BY_MOD(mod_lddqu),
};

static const struct x86_opcode mod_maskmovq[2] = {
	[0] = UD,
	[1] = I2(em_maskmov, Pq, Qq, F_N0 | F_N1 | F_MMX),
};

static const struct x86_opcode mod_maskmovdqu[2] = {
	[0] = UD,
	[1] = I2(em_maskmov, Vdq, Wdq, F_N0 | F_N1 | F_SSE),
};

static const struct x86_opcode pfx_0ff7[4] = {
	[0] = BY_MOD(mod_maskmovq),
	[1] = BY_MOD(mod_maskmovdqu),
	[2] = UD, UD,
};

static const struct x86_opcode map1[256] = {
	[0x00] = BY_REG(group6),
	[0x01] = BY_MOD(group7_mod),
	[0x02] = I2(em_lar, Gv, Ew, F_W0 | F_PROT),
	[0x03] = I2(em_lsl, Gv, Ew, F_W0 | F_PROT),
	[0x05] = I0(em_syscall, 0),
	[0x06] = I0(em_clts, F_CPL0),
	[0x07] = I0(em_sysret, 0),
	[0x08] = I0(em_wbinvd, F_CPL0),		/* INVD */
	[0x09] = I0(em_wbinvd, F_CPL0),
	[0x0a] = UD,
	[0x0b] = UD,				/* UD2 */
	[0x0c] = UD,
	[0x0d] = I1(em_prefetchw, Ev, F_N0),
	[0x0e] = { .flags = K_LACKING },	/* FEMMS */
	[0x0f] = NI_MB,				/* 3DNow! */
	[0x10] = BY_PFX(pfx_0f10),
	[0x11] = BY_PFX(pfx_0f11),
	[0x12] = BY_PFX(pfx_0f12),
	[0x13] = BY_PFX(pfx_0f13),
	[0x14] = NI_M,
	[0x15] = NI_M,
	[0x16] = BY_PFX(pfx_0f16),
	[0x17] = BY_PFX(pfx_0f13),
	[0x18] = I1(em_nop, Ev, F_N0),		/* PREFETCHh */
	[0x19] = I1(em_nop, Ev, F_N0),
	[0x1a] = I1(em_nop, Ev, F_N0),
	[0x1b] = I1(em_nop, Ev, F_N0),
	[0x1c] = I1(em_nop, Ev, F_N0),
	[0x1d] = I1(em_nop, Ev, F_N0),
	[0x1e] = I1(em_nop, Ev, F_N0),		/* ENDBR */
	[0x1f] = I1(em_nop, Ev, F_N0),
	[0x20] = I2(em_mov_from_cr, En, Cn, F_W0 | F_N1 | F_REGS),
	[0x21] = I2(em_mov_from_dr, En, Dn, F_W0 | F_N1 | F_REGS),
	[0x22] = I2(em_mov_to_cr, Cn, En, F_N0 | F_REGS),
	[0x23] = I2(em_mov_to_dr, Dn, En, F_N0 | F_REGS),
	[0x24] = UD,
	[0x25] = UD,
	[0x26] = UD,
	[0x27] = UD,
	[0x28] = BY_PFX(pfx_0f28),
	[0x29] = BY_PFX(pfx_0f29),
	[0x2a] = NI_M,
	[0x2b] = BY_PFX(pfx_0f2b),
	[0x2c] = NI_M,
	[0x2d] = NI_M,
	[0x2e] = NI_M,
	[0x2f] = NI_M,
	[0x30] = I0(em_wrmsr, F_CPL0),
	[0x31] = I0(em_rdtsc, 0),
	[0x32] = I0(em_rdmsr, F_CPL0),
	[0x33] = I0(em_rdpmc, 0),
	[0x34] = I0(em_sysenter, 0),
	[0x35] = I0(em_sysexit, 0),
	[0x36] = UD,
	[0x37] = { .flags = K_LACKING },	/* GETSEC */
	[0x38] = ESCAPE,
	[0x39] = UD,
	[0x3a] = ESCAPE,
	[0x3b] = UD,
	[0x3c] = UD,
	[0x3d] = UD,
	[0x3e] = UD,
	[0x3f] = UD,
	[0x40] = I2(em_cmovcc, Gv, Ev, 0),
	[0x41] = I2(em_cmovcc, Gv, Ev, 0),
	[0x42] = I2(em_cmovcc, Gv, Ev, 0),
	[0x43] = I2(em_cmovcc, Gv, Ev, 0),
	[0x44] = I2(em_cmovcc, Gv, Ev, 0),
	[0x45] = I2(em_cmovcc, Gv, Ev, 0),
	[0x46] = I2(em_cmovcc, Gv, Ev, 0),
	[0x47] = I2(em_cmovcc, Gv, Ev, 0),
	[0x48] = I2(em_cmovcc, Gv, Ev, 0),
	[0x49] = I2(em_cmovcc, Gv, Ev, 0),
	[0x4a] = I2(em_cmovcc, Gv, Ev, 0),
	[0x4b] = I2(em_cmovcc, Gv, Ev, 0),
	[0x4c] = I2(em_cmovcc, Gv, Ev, 0),
	[0x4d] = I2(em_cmovcc, Gv, Ev, 0),
	[0x4e] = I2(em_cmovcc, Gv, Ev, 0),
	[0x4f] = I2(em_cmovcc, Gv, Ev, 0),
	[0x50] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0x58] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0x60] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0x68] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0x6e] = BY_PFX(pfx_0f6e),
	[0x6f] = BY_PFX(pfx_0f6f),
	[0x70] = NI_MB, NI_MB, NI_MB, NI_MB, NI_M, NI_M, NI_M,
	[0x77] = BY_PFX_BARE(pfx_0f77),
	[0x78] = NI_M,
	[0x79] = NI_M,
	[0x7c] = NI_M,
	[0x7d] = NI_M,
	[0x7e] = BY_PFX(pfx_0f7e),
	[0x7f] = BY_PFX(pfx_0f7f),
	[0x80] = I1(em_jcc, Jz, F_F64),
	[0x81] = I1(em_jcc, Jz, F_F64),
	[0x82] = I1(em_jcc, Jz, F_F64),
	[0x83] = I1(em_jcc, Jz, F_F64),
	[0x84] = I1(em_jcc, Jz, F_F64),
	[0x85] = I1(em_jcc, Jz, F_F64),
	[0x86] = I1(em_jcc, Jz, F_F64),
	[0x87] = I1(em_jcc, Jz, F_F64),
	[0x88] = I1(em_jcc, Jz, F_F64),
	[0x89] = I1(em_jcc, Jz, F_F64),
	[0x8a] = I1(em_jcc, Jz, F_F64),
	[0x8b] = I1(em_jcc, Jz, F_F64),
	[0x8c] = I1(em_jcc, Jz, F_F64),
	[0x8d] = I1(em_jcc, Jz, F_F64),
	[0x8e] = I1(em_jcc, Jz, F_F64),
	[0x8f] = I1(em_jcc, Jz, F_F64),
	[0x90] = I1(em_setcc, Eb, F_W0),
	[0x91] = I1(em_setcc, Eb, F_W0),
	[0x92] = I1(em_setcc, Eb, F_W0),
	[0x93] = I1(em_setcc, Eb, F_W0),
	[0x94] = I1(em_setcc, Eb, F_W0),
	[0x95] = I1(em_setcc, Eb, F_W0),
	[0x96] = I1(em_setcc, Eb, F_W0),
	[0x97] = I1(em_setcc, Eb, F_W0),
	[0x98] = I1(em_setcc, Eb, F_W0),
	[0x99] = I1(em_setcc, Eb, F_W0),
	[0x9a] = I1(em_setcc, Eb, F_W0),
	[0x9b] = I1(em_setcc, Eb, F_W0),
	[0x9c] = I1(em_setcc, Eb, F_W0),
	[0x9d] = I1(em_setcc, Eb, F_W0),
	[0x9e] = I1(em_setcc, Eb, F_W0),
	[0x9f] = I1(em_setcc, Eb, F_W0),
	[0xa0] = I0(em_push_seg, F_D64),
	[0xa1] = I0(em_pop_seg, F_D64),
	[0xa2] = I0(em_cpuid, 0),
	[0xa3] = I2(em_bt, Ev, Gv, F_N0),
	[0xa4] = I(em_shld, Ev, Gv, Ib, 0),
	[0xa5] = I(em_shld, Ev, Gv, CL, 0),
	[0xa6] = UD,
	[0xa7] = UD,
	[0xa8] = I0(em_push_seg, F_D64),
	[0xa9] = I0(em_pop_seg, F_D64),
	[0xaa] = { .flags = K_LACKING },	/* RSM */
	[0xab] = I2(em_bts, Ev, Gv, F_N0 | F_LOCKABLE),
	[0xac] = I(em_shrd, Ev, Gv, Ib, 0),
	[0xad] = I(em_shrd, Ev, Gv, CL, 0),
	[0xae] = BY_MOD(group15_mod),
	[0xaf] = I2(em_imul_2, Gv, Ev, 0),
	[0xb0] = I2(em_cmpxchg, Eb, Gb, F_LOCKABLE),
	[0xb1] = I2(em_cmpxchg, Ev, Gv, F_LOCKABLE),
	[0xb2] = I2(em_load_far, Gv, M, F_N0 | F_N1),
	[0xb3] = I2(em_btr, Ev, Gv, F_N0 | F_LOCKABLE),
	[0xb4] = I2(em_load_far, Gv, M, F_N0 | F_N1),
	[0xb5] = I2(em_load_far, Gv, M, F_N0 | F_N1),
	[0xb6] = I2(em_mov, Gv, Eb, F_W0),	/* MOVZX */
	[0xb7] = I2(em_mov, Gv, Ew, F_W0),
	[0xb8] = BY_PFX(pfx_0fb8),
	[0xb9] = UDM,				/* UD1 */
	[0xba] = BY_REG2(group8, Ev, Ib),
	[0xbb] = I2(em_btc, Ev, Gv, F_N0 | F_LOCKABLE),
	[0xbc] = BY_PFX(pfx_0fbc),
	[0xbd] = BY_PFX(pfx_0fbd),
	[0xbe] = I2(em_movsx, Gv, Eb, F_W0),
	[0xbf] = I2(em_movsx, Gv, Ew, F_W0),
	[0xc0] = I2(em_xadd, Eb, Gb, F_LOCKABLE),
	[0xc1] = I2(em_xadd, Ev, Gv, F_LOCKABLE),
	[0xc2] = NI_MB,
	[0xc3] = BY_PFX(pfx_0fc3),
	[0xc4] = NI_MB, NI_MB, NI_MB,
	[0xc7] = BY_MOD(group9_mod),
	[0xc8] = I1(em_bswap, Zv, 0),
	[0xc9] = I1(em_bswap, Zv, 0),
	[0xca] = I1(em_bswap, Zv, 0),
	[0xcb] = I1(em_bswap, Zv, 0),
	[0xcc] = I1(em_bswap, Zv, 0),
	[0xcd] = I1(em_bswap, Zv, 0),
	[0xce] = I1(em_bswap, Zv, 0),
	[0xcf] = I1(em_bswap, Zv, 0),
	[0xd0] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0xd6] = BY_PFX(pfx_0fd6),
	[0xd7] = NI_M,
	[0xd8] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0xe0] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0xe7] = BY_PFX(pfx_0fe7),
	[0xe8] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0xf0] = BY_PFX(pfx_0ff0),
	[0xf1] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0xf7] = BY_PFX(pfx_0ff7),
	[0xf8] = NI_M, NI_M, NI_M, NI_M, NI_M, NI_M, NI_M,
	[0xff] = UDM,				/* UD0 */
};

static const struct x86_opcode mod_0f382a[2] = {	/* MOVNTDQA */
	[0] = I2(em_movv, Vdq, Wdq, F_N0 | F_N1 | F_SSE | F_ALIGN),
	[1] = UD,
};

static const struct x86_opcode pfx_0f382a[4] = {
	[0] = UD,
	[1] = BY_MOD(mod_0f382a),
	[2] = UD, UD,
};

static const struct x86_opcode mod_0f38f0[2] = {
	[0] = I2(em_movbe, Gv, Mv, F_W0),
	[1] = UD,
};

static const struct x86_opcode pfx_0f38f0[4] = {
	[0] = BY_MOD(mod_0f38f0),
	[1] = BY_MOD(mod_0f38f0),
	[2] = UD,
	[3] = I2(em_crc32, Gy, Eb, 0),
};

static const struct x86_opcode mod_0f38f1[2] = {
	[0] = I2(em_movbe, Mv, Gv, F_W0),
	[1] = UD,
};

static const struct x86_opcode pfx_0f38f1[4] = {
	[0] = BY_MOD(mod_0f38f1),
	[1] = BY_MOD(mod_0f38f1),
	[2] = UD,
	[3] = I2(em_crc32, Gy, Ev, 0),
};

static const struct x86_opcode pfx_0f38f6[4] = {
	[0] = NI_M,				/* WRSS */
	[1] = I2(em_adcx, Gy, Ey, 0),
	[2] = I2(em_adox, Gy, Ey, 0),
	[3] = UD,
};

static const struct x86_opcode mod_movdiri[2] = {
	[0] = I2(em_movdiri, My, Gy, F_W0),
	[1] = UD,
};

static const struct x86_opcode pfx_0f38f9[4] = {
	[0] = BY_MOD(mod_movdiri),
	[1] = UD, UD, UD,
};

static const struct x86_opcode pfx_0f38f8[4] = {
	[0] = UD,
	[1] = I2(em_movdir64b, Gv, M, F_N0 | F_N1),
	[2] = NI_M, NI_M,			/* ENQCMDS, ENQCMD */
};

/* 0F 38: all have a ModRM byte, the missing rows too. */
static const struct x86_opcode map2[256] = {
	[0x2a] = BY_PFX(pfx_0f382a),
	[0xf0] = BY_PFX(pfx_0f38f0),
	[0xf1] = BY_PFX(pfx_0f38f1),
	[0xf6] = BY_PFX(pfx_0f38f6),
	[0xf8] = BY_PFX(pfx_0f38f8),
	[0xf9] = BY_PFX(pfx_0f38f9),
};

/* All of 0F 3A have a ModRM byte and an immediate byte, and none is covered. */
static const struct x86_opcode row_0f3a = NI_MB;
static const struct x86_opcode row_0f38 = NI_M;

/* ---- VEX: the maps by VEX.mmmmm, and VEX.pp as the prefix ---- */

#define V_MOVE (F_N0 | F_N1 | F_AVX)

static const struct x86_opcode vmod_10_f3[2] = {	/* VMOVSS */
	[0] = I2(em_movv_low, Vd, Wd, V_MOVE),
	[1] = I(em_movv_low, Vd, Hdq, Wd, V_MOVE),
};

static const struct x86_opcode vmod_10_f2[2] = {	/* VMOVSD */
	[0] = I2(em_movv_low, Vq, Wq, V_MOVE),
	[1] = I(em_movv_low, Vq, Hdq, Wq, V_MOVE),
};

static const struct x86_opcode vpfx_10[4] = {
	[0] = I2(em_movv, Vx, Wx, V_MOVE),	/* VMOVUPS */
	[1] = I2(em_movv, Vx, Wx, V_MOVE),	/* VMOVUPD */
	[2] = BY_MOD(vmod_10_f3),
	[3] = BY_MOD(vmod_10_f2),
};

static const struct x86_opcode vmod_11_f3[2] = {
	[0] = I2(em_movv_low, Wd, Vd, V_MOVE),
	[1] = I(em_movv_low, Wd, Hdq, Vd, V_MOVE),
};

static const struct x86_opcode vmod_11_f2[2] = {
	[0] = I2(em_movv_low, Wq, Vq, V_MOVE),
	[1] = I(em_movv_low, Wq, Hdq, Vq, V_MOVE),
};

static const struct x86_opcode vpfx_11[4] = {
	[0] = I2(em_movv, Wx, Vx, V_MOVE),
	[1] = I2(em_movv, Wx, Vx, V_MOVE),
	[2] = BY_MOD(vmod_11_f3),
	[3] = BY_MOD(vmod_11_f2),
};

static const struct x86_opcode vmod_12[2] = {	/* VMOVLPS, VMOVHLPS; 16: VMOVHPS, VMOVLHPS */
	[0] = I(em_movv_high, Vq, Hdq, Wq, V_MOVE | F_L0),
	[1] = I(em_movhl, Vq, Hdq, Wq, V_MOVE | F_L0),
};

static const struct x86_opcode vmod_12_66[2] = {	/* VMOVLPD, VMOVHPD */
	[0] = I(em_movv_high, Vq, Hdq, Wq, V_MOVE | F_L0),
	[1] = UD,
};

static const struct x86_opcode vpfx_12[4] = {
	[0] = BY_MOD(vmod_12),
	[1] = BY_MOD(vmod_12_66),
	[2] = I2(em_movsldup, Vx, Wx, V_MOVE),
	[3] = I2(em_movddup, Vx, Wx, V_MOVE),
};

static const struct x86_opcode vmod_13[2] = {
	[0] = I2(em_movv_high, Wq, Vq, V_MOVE | F_L0),
	[1] = UD,
};

static const struct x86_opcode vpfx_13[4] = {	/* and 17 */
	[0] = BY_MOD(vmod_13),
	[1] = BY_MOD(vmod_13),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_16[4] = {
	[0] = BY_MOD(vmod_12),
	[1] = BY_MOD(vmod_12_66),
	[2] = I2(em_movshdup, Vx, Wx, V_MOVE),
	[3] = UD,
};

static const struct x86_opcode vpfx_28[4] = {	/* VMOVAPS, VMOVAPD */
	[0] = I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN),
	[1] = I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_29[4] = {
	[0] = I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN),
	[1] = I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN),
	[2] = UD, UD,
};

static const struct x86_opcode vmod_2b[2] = {	/* VMOVNTPS, VMOVNTPD */
	[0] = I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN),
	[1] = UD,
};

static const struct x86_opcode vpfx_2b[4] = {
	[0] = BY_MOD(vmod_2b),
	[1] = BY_MOD(vmod_2b),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_6e[4] = {
	[0] = UD,
	[1] = I2(em_movd_to, Vdq, Ey, F_N0 | F_AVX | F_L0),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_6f[4] = {	/* VMOVDQA, VMOVDQU */
	[0] = UD,
	[1] = I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN),
	[2] = I2(em_movv, Vx, Wx, V_MOVE),
	[3] = UD,
};

static const struct x86_opcode vpfx_77[4] = {
	[0] = I0(em_vzeroupper, F_AVX),		/* and VZEROALL */
	[1] = UD, UD, UD,
};

static const struct x86_opcode vpfx_7e[4] = {
	[0] = UD,
	[1] = I2(em_movd_from, Ey, Vdq, F_W0 | F_N1 | F_AVX | F_L0),
	[2] = I2(em_movv_low, Vq, Wq, V_MOVE | F_L0),	/* VMOVQ */
	[3] = UD,
};

static const struct x86_opcode vpfx_7f[4] = {
	[0] = UD,
	[1] = I2(em_movv, Wx, Vx, V_MOVE | F_ALIGN),
	[2] = I2(em_movv, Wx, Vx, V_MOVE),
	[3] = UD,
};

static const struct x86_opcode vldmxcsr[4] = {
	[0] = I1(em_ldmxcsr, Md, F_N0 | F_AVX | F_L0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode vstmxcsr[4] = {
	[0] = I1(em_stmxcsr, Md, F_N0 | F_AVX | F_L0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode vgroup15[8] = {
	[0] = UD, UD,
	[2] = BY_PFX(vldmxcsr),
	[3] = BY_PFX(vstmxcsr),
	[4] = UD, UD, UD, UD,
};

static const struct x86_opcode vpfx_d6[4] = {
	[0] = UD,
	[1] = I2(em_movv_low, Wq, Vq, V_MOVE | F_L0),	/* VMOVQ */
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_e7[4] = {	/* VMOVNTDQ */
	[0] = UD,
	[1] = BY_MOD(vmod_2b),
	[2] = UD, UD,
};

static const struct x86_opcode vmod_f0[2] = {	/* VLDDQU */
	[0] = I2(em_movv, Vx, Wx, V_MOVE),
	[1] = UD,
};

static const struct x86_opcode vpfx_f0[4] = {
	[0] = UD, UD, UD,
	[3] = BY_MOD(vmod_f0),
};

static const struct x86_opcode vmod_f7[2] = {	/* VMASKMOVDQU */
	[0] = UD,
	[1] = I2(em_maskmov, Vdq, Wdq, V_MOVE | F_L0),
};

static const struct x86_opcode vpfx_f7[4] = {
	[0] = UD,
	[1] = BY_MOD(vmod_f7),
	[2] = UD, UD,
};

static const struct x86_opcode vex_map1[256] = {
	[0x10] = BY_PFX(vpfx_10),
	[0x11] = BY_PFX(vpfx_11),
	[0x12] = BY_PFX(vpfx_12),
	[0x13] = BY_PFX(vpfx_13),
	[0x16] = BY_PFX(vpfx_16),
	[0x17] = BY_PFX(vpfx_13),
	[0x28] = BY_PFX(vpfx_28),
	[0x29] = BY_PFX(vpfx_29),
	[0x2b] = BY_PFX(vpfx_2b),
	[0x6e] = BY_PFX(vpfx_6e),
	[0x6f] = BY_PFX(vpfx_6f),
	[0x77] = BY_PFX_BARE(vpfx_77),
	[0x7e] = BY_PFX(vpfx_7e),
	[0x7f] = BY_PFX(vpfx_7f),
	[0xae] = BY_REG(vgroup15),
	[0xd6] = BY_PFX(vpfx_d6),
	[0xe7] = BY_PFX(vpfx_e7),
	[0xf0] = BY_PFX(vpfx_f0),
	[0xf7] = BY_PFX(vpfx_f7),
};

#define VBROADCAST(name, src, fl) \
static const struct x86_opcode name[4] = { \
	[0] = UD, \
	[1] = I2(em_vbroadcast, Vx, src, V_MOVE | F_VW0 | (fl)), \
	[2] = UD, UD, \
}

VBROADCAST(vpfx_3818, Wd, 0);			/* VBROADCASTSS */
VBROADCAST(vpfx_3819, Wq, F_L1);		/* VBROADCASTSD */
VBROADCAST(vpfx_381a, Mdq, F_L1);		/* VBROADCASTF128 */
VBROADCAST(vpfx_3858, Wd, F_AVX2);		/* VPBROADCASTD */
VBROADCAST(vpfx_3859, Wq, F_AVX2);		/* VPBROADCASTQ */
VBROADCAST(vpfx_385a, Mdq, F_AVX2 | F_L1);	/* VBROADCASTI128 */
VBROADCAST(vpfx_3878, Wb, F_AVX2);		/* VPBROADCASTB */
VBROADCAST(vpfx_3879, Ww, F_AVX2);		/* VPBROADCASTW */

static const struct x86_opcode vmod_382a[2] = {	/* VMOVNTDQA */
	[0] = I2(em_movv, Vx, Wx, V_MOVE | F_ALIGN),
	[1] = UD,
};

static const struct x86_opcode vpfx_382a[4] = {
	[0] = UD,
	[1] = BY_MOD(vmod_382a),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_maskload[4] = {	/* VMASKMOVPS, VMASKMOVPD */
	[0] = UD,
	[1] = I(em_vmaskmov, Vx, Hx, Mx, V_MOVE | F_VW0),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_maskstore[4] = {
	[0] = UD,
	[1] = I(em_vmaskmov, Mx, Hx, Vx, V_MOVE | F_VW0),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_388c[4] = {	/* VPMASKMOVD, VPMASKMOVQ */
	[0] = UD,
	[1] = I(em_vmaskmov, Vx, Hx, Mx, V_MOVE | F_AVX2),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_388e[4] = {
	[0] = UD,
	[1] = I(em_vmaskmov, Mx, Hx, Vx, V_MOVE | F_AVX2),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_38f2[4] = {
	[0] = I(em_andn, Gy, By, Ey, F_W0 | F_L0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode vgroup17[8] = {
	[0] = UD,
	[1] = I2(em_blsr, By, Ey, F_W0 | F_L0),
	[2] = I2(em_blsmsk, By, Ey, F_W0 | F_L0),
	[3] = I2(em_blsi, By, Ey, F_W0 | F_L0),
	[4] = UD, UD, UD, UD,
};

static const struct x86_opcode vpfx_38f3[4] = {
	[0] = BY_REG(vgroup17),
	[1] = UD, UD, UD,
};

static const struct x86_opcode vpfx_38f5[4] = {
	[0] = I(em_bzhi, Gy, Ey, By, F_W0 | F_L0),
	[1] = UD,
	[2] = I(em_pext, Gy, By, Ey, F_W0 | F_L0),
	[3] = I(em_pdep, Gy, By, Ey, F_W0 | F_L0),
};

static const struct x86_opcode vpfx_38f6[4] = {
	[0] = UD, UD, UD,
	[3] = I(em_mulx, Gy, By, Ey, F_W0 | F_L0),
};

static const struct x86_opcode vpfx_38f7[4] = {
	[0] = I(em_bextr, Gy, Ey, By, F_W0 | F_L0),
	[1] = I(em_shlx, Gy, Ey, By, F_W0 | F_L0),
	[2] = I(em_sarx, Gy, Ey, By, F_W0 | F_L0),
	[3] = I(em_shrx, Gy, Ey, By, F_W0 | F_L0),
};

static const struct x86_opcode vex_map2[256] = {
	[0x18] = BY_PFX(vpfx_3818),
	[0x19] = BY_PFX(vpfx_3819),
	[0x1a] = BY_PFX(vpfx_381a),
	[0x2a] = BY_PFX(vpfx_382a),
	[0x2c] = BY_PFX(vpfx_maskload),
	[0x2d] = BY_PFX(vpfx_maskload),
	[0x2e] = BY_PFX(vpfx_maskstore),
	[0x2f] = BY_PFX(vpfx_maskstore),
	[0x58] = BY_PFX(vpfx_3858),
	[0x59] = BY_PFX(vpfx_3859),
	[0x5a] = BY_PFX(vpfx_385a),
	[0x78] = BY_PFX(vpfx_3878),
	[0x79] = BY_PFX(vpfx_3879),
	[0x8c] = BY_PFX(vpfx_388c),
	[0x8e] = BY_PFX(vpfx_388e),
	[0xf2] = BY_PFX(vpfx_38f2),
	[0xf3] = BY_PFX(vpfx_38f3),
	[0xf5] = BY_PFX(vpfx_38f5),
	[0xf6] = BY_PFX(vpfx_38f6),
	[0xf7] = BY_PFX(vpfx_38f7),
};

/* All of map 3 have a ModRM byte and an immediate byte, the missing rows too. */
static const struct x86_opcode vpfx_3a19[4] = {	/* VEXTRACTF128 */
	[0] = UD,
	[1] = I(em_vextract128, Wdq, Vx, Ib, V_MOVE | F_VW0 | F_L1),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_3a39[4] = {	/* VEXTRACTI128 */
	[0] = UD,
	[1] = I(em_vextract128, Wdq, Vx, Ib, V_MOVE | F_VW0 | F_L1 | F_AVX2),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_3af0[4] = {
	[0] = UD, UD, UD,
	[3] = I(em_rorx, Gy, Ey, Ib, F_W0 | F_L0),
};

static const struct x86_opcode vex_map3[256] = {
	[0x19] = BY_PFX(vpfx_3a19),
	[0x39] = BY_PFX(vpfx_3a39),
	[0xf0] = BY_PFX(vpfx_3af0),
};

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
	int rc;

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

	rc = ctxt->ops->fetch(ctxt, linear, ctxt->fetch + ctxt->fetch_len, n);
	if (rc == X86EMUL_CONTINUE)
		ctxt->fetch_len += n;
	return rc;
}

static x86_inline int need(struct x86_emulate_ctxt *ctxt, unsigned int n)
{
	int rc;

	while (ctxt->fetch_pos + n > ctxt->fetch_len) {
		rc = fetch_more(ctxt);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	return X86EMUL_CONTINUE;
}

/* An immediate or displacement, zero-extended. */
static int take(struct x86_emulate_ctxt *ctxt, unsigned int n, u64 *val)
{
	const u8 *p;
	u32 low;
	int rc;

	rc = need(ctxt, n);
	if (rc != X86EMUL_CONTINUE)
		return rc;
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
	if ((map0[b].flags & K_MASK) != K_PREFIX)
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
		return vex_map1;
	case 2:
		return vex_map2;
	case 3:
		return vex_map3;
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
	const struct x86_opcode *row = &map2[opcode];

	return row->flags & K_MASK ? row : &row_0f38;
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
	int rc;

	rc = take(ctxt, 1, &sib);
	if (rc != X86EMUL_CONTINUE)
		return rc;
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
		rc = decode_sib(ctxt, mod, &ea, &disp32, pop_bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
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
	bool bad = d->lock || d->opsize || d->rep || d->rex;
	const struct x86_opcode *map;
	int rc;

	*prow = NULL;

	/* Its other bytes, and the opcode. */
	rc = need(ctxt, n);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	take_vex(d, ctxt->fetch + first, ctxt->mode == X86EMUL_MODE_PROT64);
	ctxt->fetch_pos += n;
	map = vex_maps(d->map);
	if (!map)
		return x86_emulate_fault(ctxt, EXC_UD);
	d->opcode = ctxt->fetch[ctxt->fetch_pos - 1];
	*prow = &map[d->opcode];
	if (!((*prow)->flags & K_MASK))
		return bad ? x86_emulate_fault(ctxt, EXC_UD) : X86EMUL_UNHANDLEABLE;
	/* Undefined as LOCK is, but the length comes first. */
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
	int rc;
	u8 b;

	do {
		rc = need(ctxt, 1);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		b = ctxt->fetch[ctxt->fetch_pos++];
	} while (take_prefix(d, b, long_mode));

	row = &map0[b];
	if ((b & 0xfe) == 0xc4) {
		rc = need(ctxt, 1);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		if (is_vex(ctxt->mode, ctxt->fetch[ctxt->fetch_pos]))
			return decode_vex(ctxt, prow);
	}
	if (b == 0x0f) {
		rc = need(ctxt, 1);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		b = ctxt->fetch[ctxt->fetch_pos++];
		row = &map1[b];
		d->map = 1;
		if (b == 0x38 || b == 0x3a) {
			d->map = b == 0x38 ? 2 : 3;
			rc = need(ctxt, 1);
			if (rc != X86EMUL_CONTINUE)
				return rc;
			b = ctxt->fetch[ctxt->fetch_pos++];
			row = d->map == 2 ? escape38_row(b) : &row_0f3a;
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
		rc = decode_operand(ctxt, &d->op[i], opnds->op[i]);
		if (rc != X86EMUL_CONTINUE)
			return rc;
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
	d->row = &map0[*p];
	modrm = p[1];
	nr = modrm & 7;
	if (!(d->row->flags & F_QUICK) || modrm >= 0xc0 || nr == X86_RSP ||
	    (modrm & 0xc7) == 5) {
		d->rex = 0;
		return false;
	}
	d->opcode = *p;
	d->modrm = modrm;
	d->has_modrm = d->has_mem = 1;
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
	d->op[2].kind = OPK_NONE;
	mem->kind = OPK_MEM;
	mem->bytes = reg->bytes = bytes;
	mem->high = reg->high = 0;
	operand_reg(ctxt, reg, (modrm >> 3 & 7) | (d->rex & 4) << 1);
	return true;
}

static int decode_long(struct x86_emulate_ctxt *ctxt);

int x86_decode_insn(struct x86_emulate_ctxt *ctxt, const void *insn,
		    unsigned int len)
{
	struct x86_decode *d = &ctxt->d;
	int rc;

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
		rc = need(ctxt, 1);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	return decode_quick(ctxt) ? X86EMUL_CONTINUE : decode_long(ctxt);
}

static __attribute__((__noinline__)) int decode_long(struct x86_emulate_ctxt *ctxt)
{
	struct x86_decode *d = &ctxt->d;
	const struct x86_opcode *row, *opnds;
	int rc;

	rc = decode_opcode(ctxt, &row);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (row->form & FM_MODRM) {
		rc = need(ctxt, 1);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		d->modrm = ctxt->fetch[ctxt->fetch_pos++];
		d->has_modrm = 1;
	}
	row = resolve(row, d->modrm, d->rep, d->opsize, &opnds);
	d->row = row;
	switch (row->flags & K_MASK) {
	case K_INSN:
		break;
	case K_UD:
		return x86_emulate_fault(ctxt, EXC_UD);
	default:
		return X86EMUL_UNHANDLEABLE;
	}
	if ((row->flags & F_NO64) && ctxt->mode == X86EMUL_MODE_PROT64)
		return x86_emulate_fault(ctxt, EXC_UD);
	if (d->vex && !vex_allowed(d, opnds))
		return x86_emulate_fault(ctxt, EXC_UD);

	d->op_bytes = operand_size(ctxt, row->flags);
	d->ad_bytes = mode_ad_bytes[ctxt->mode][d->adsize];
	rc = decode_operands(ctxt, opnds);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (d->lock && !lock_allowed(ctxt))
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
	const struct x86_opcode *row = &map0[*p];
	unsigned int n = 1;

	/* 40 to 4F are REX in 64-bit mode. */
	if ((*p & 0xf0) == 0x40)
		return 0;
	if (*p == 0x0f && len > 1) {
		row = &map1[p[1]];
		n = 2;
	}
	if ((row->flags & (K_MASK | F_NO64)) != K_INSN || (row->form & ~FM_BYTES))
		return 0;
	n += row->form & FM_BYTES;
	return n <= len ? n : 0;
}

static __attribute__((__noinline__)) int long_length(enum x86emul_mode mode, const void *bytes, unsigned int len);

int x86_insn_length(enum x86emul_mode mode, const void *bytes, unsigned int len)
{
	unsigned int n = len ? quick_length(bytes, len) : 0;

	return n ? (int)n : long_length(mode, bytes, len);
}

static __attribute__((__noinline__)) int long_length(enum x86emul_mode mode, const void *bytes, unsigned int len)
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

	row = &map0[b];
	if ((b & 0xfe) == 0xc4) {
		if (pos >= len)
			goto short_of_bytes;
		if (is_vex(mode, p[pos]))
			return vex_length(mode, p, pos - 1, len);
	} else if (b == 0x0f) {
		if (pos >= len)
			goto short_of_bytes;
		b = p[pos++];
		row = &map1[b];
		if (b == 0x38 || b == 0x3a) {
			if (pos >= len)
				goto short_of_bytes;
			row = b == 0x38 ? escape38_row(p[pos]) : &row_0f3a;
			pos++;
		}
	}
	row = mode_row(row, long_mode);
	if (row->form & FM_MODRM) {
		n = modrm_length(p + pos, len - pos, mode_ad_bytes[mode][d.adsize] == 2);
		if (!n)
			goto short_of_bytes;
		modrm = p[pos];
		/* MOV to and from control registers has no memory form. */
		pos += row->flags & F_REGS ? 1 : n;
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
