// SPDX-License-Identifier: GPL-2.0-only
/*
 * The opcode tables.  They follow the manual's opcode map: SDM 2D "Opcode Map",
 * APM 3 "Opcode and Operand Encodings"; the groups come before the maps, which
 * are x86_map0 (one byte), x86_map1 (0F), x86_map2 (0F 38), and those of VEX.
 *
 * A row's parts are its executor, its operands and its flags.  A row without
 * executor (NI) gives the form for its length's sake; it is not covered, and
 * neither is an opcode without row.  UD is also what no guest can enable: VMX, SVM,
 * SMX, SMM, SGX, CET, protection keys, user interrupts.
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
	[5] = UD,				/* RSTORSSP */
	[6] = I1(em_lmsw, Ew, F_R0 | F_CPL0),
	[7] = I1(em_invlpg, M, F_N0 | F_CPL0),
};

static const struct x86_opcode group7_rm0[8] = {
	[0] = UD,				/* ENCLV */
	[1] = I0(em_hypercall, 0),		/* VMCALL */
	[2] = UD, UD, UD,			/* VMLAUNCH, VMRESUME, VMXOFF */
	[5] = NI_M, NI_M,			/* PCONFIG, WRMSRNS */
	[7] = UD,
};

static const struct x86_opcode group7_rm1[8] = {
	[0] = I0(em_monitor, FEATURE(MWAIT)),
	[1] = I0(em_mwait, FEATURE(MWAIT)),
	[2] = I0(em_clac, 0),
	[3] = I0(em_stac, 0),
	[4] = UD, UD, UD, UD,			/* TDCALL, SEAMRET, SEAMOPS; ENCLS */
};

static const struct x86_opcode xgetbv[4] = {
	[0] = I0(em_xgetbv, 0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode xsetbv[4] = {
	[0] = I0(em_xsetbv, 0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode xend[4] = {
	[0] = I0(em_xend, FEATURE(RTM)),
	[1] = UD, UD, UD,
};

static const struct x86_opcode xtest[4] = {
	[0] = I0(em_xtest, FEATURE(RTM)),
	[1] = UD, UD, UD,
};

static const struct x86_opcode group7_rm2[8] = {
	[0] = BY_PFX(xgetbv),
	[1] = BY_PFX(xsetbv),
	[2] = UD, UD,
	[4] = UD,				/* VMFUNC */
	[5] = BY_PFX(xend),
	[6] = BY_PFX(xtest),
	[7] = UD,				/* ENCLU */
};

static const struct x86_opcode group7_rm3[8] = {
	[0] = UD,				/* VMRUN */
	[1] = I0(em_hypercall, 0),		/* VMMCALL */
	[2] = UD, UD, UD, UD, UD, UD,		/* VMLOAD, VMSAVE, STGI, CLGI, SKINIT, INVLPGA */
};

static const struct x86_opcode serialize[4] = {
	[0] = I0(em_nop, FEATURE(SERIALIZE)),
	[1] = UD,
	[2] = UD,				/* SETSSBSY */
	[3] = NI_M,				/* XSUSLDTRK */
};

static const struct x86_opcode xresldtrk[4] = {
	[0] = UD, UD, UD,
	[3] = NI_M,
};

static const struct x86_opcode group7_rm5[8] = {
	[0] = BY_PFX(serialize),
	[1] = BY_PFX(xresldtrk),
	[2] = UD, UD, UD, UD,			/* SAVEPREVSSP; UIRET, TESTUI */
	[6] = UD, UD,				/* RDPKRU, WRPKRU, CLUI, STUI */
};

static const struct x86_opcode clzero[4] = {
	[0] = I0(em_clzero, FEATURE(CLZERO)),
	[1] = I0(em_clzero, FEATURE(CLZERO)),
	[2] = UD, UD,
};

static const struct x86_opcode group7_rm7[8] = {
	[0] = I0(em_swapgs, 0),
	[1] = I0(em_rdtscp, FEATURE(RDTSCP)),
	[2] = NI_M, NI_M,			/* MONITORX, MCOMMIT, MWAITX */
	[4] = BY_PFX(clzero),
	[5] = NI_M, NI_M, NI_M,			/* RDPRU, INVLPGB, TLBSYNC */
};

static const struct x86_opcode group7_reg[8] = {
	[0] = BY_RM(group7_rm0),
	[1] = BY_RM(group7_rm1),
	[2] = BY_RM(group7_rm2),
	[3] = BY_RM(group7_rm3),
	[4] = I1(em_smsw, Ev, F_W0),
	[5] = BY_RM(group7_rm5),
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
	[3] = NI_M, NI_M, NI_M,			/* XRSTORS, XSAVEC, XSAVES */
	[6] = UD, UD,				/* VMPTRLD, VMCLEAR, VMXON; VMPTRST */
};

static const struct x86_opcode rdrand[4] = {
	[0] = I1(em_rdrand, Ev, F_W0 | FEATURE(RDRAND)),
	[1] = I1(em_rdrand, Ev, F_W0 | FEATURE(RDRAND)),
	[2] = UD, UD,				/* SENDUIPI */
};

static const struct x86_opcode rdseed[4] = {
	[0] = I1(em_rdseed, Ev, F_W0 | FEATURE(RDSEED)),
	[1] = I1(em_rdseed, Ev, F_W0 | FEATURE(RDSEED)),
	[2] = I1(em_rdpid, En, F_W0 | FEATURE(RDPID)),
	[3] = UD,
};

static const struct x86_opcode group9_reg[8] = {
	[0] = UD, UD, UD, UD, UD, UD,
	[6] = BY_PFX(rdrand),
	[7] = BY_PFX(rdseed),
};

static const struct x86_opcode group9_mod[2] = {
	[0] = BY_REG(group9_mem),
	[1] = BY_REG(group9_reg),
};

/* Group 11: C6, C7 */
static const struct x86_opcode xabort[8] = {
	[0] = I1(em_nop, Ib, F_R0 | FEATURE(RTM)),
	[1] = UD, UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode xbegin[8] = {
	[0] = I1(em_xbegin, Jz, F_R0 | FEATURE(RTM)),
	[1] = UD, UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode xabort_mod[2] = {
	[0] = UD,
	[1] = BY_RM(xabort),
};

static const struct x86_opcode xbegin_mod[2] = {
	[0] = UD,
	[1] = BY_RM(xbegin),
};

static const struct x86_opcode group11b[8] = {
	[0] = I0(em_mov, F_W0),
	[1] = UD, UD, UD, UD, UD, UD,
	[7] = BY_MOD(xabort_mod),
};

static const struct x86_opcode group11v[8] = {
	[0] = I0(em_mov, F_W0),
	[1] = UD, UD, UD, UD, UD, UD,
	[7] = BY_MOD(xbegin_mod),
};

/* Group 15: 0F AE */
static const struct x86_opcode clflush[4] = {
	[0] = I1(em_clflush, M, F_N0),
	[1] = I1(em_clflush, M, F_N0 | FEATURE(CLFLUSHOPT)),
	[2] = UD, UD,
};

static const struct x86_opcode fxsave[4] = {
	[0] = I1(em_fxsave, M, F_N0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode fxrstor[4] = {
	[0] = I1(em_fxrstor, M, F_N0),
	[1] = UD, UD, UD,
};

static const struct x86_opcode ldmxcsr[4] = {
	[0] = I1(em_ldmxcsr, Md, F_N0 | F_SSE),
	[1] = UD, UD, UD,
};

static const struct x86_opcode stmxcsr[4] = {
	[0] = I1(em_stmxcsr, Md, F_N0 | F_SSE),
	[1] = UD, UD, UD,
};

static const struct x86_opcode xsave[4] = {
	[0] = NI_M,
	[1] = UD,
	[2] = NI_M,				/* PTWRITE */
	[3] = UD,
};

static const struct x86_opcode xrstor[4] = {
	[0] = NI_M,
	[1] = UD, UD, UD,
};

static const struct x86_opcode clwb[4] = {
	[0] = NI_M,				/* XSAVEOPT */
	[1] = I1(em_clflush, M, F_N0 | FEATURE(CLWB)),
	[2] = UD, UD,				/* CLRSSBSY */
};

static const struct x86_opcode group15_mem[8] = {
	[0] = BY_PFX(fxsave),
	[1] = BY_PFX(fxrstor),
	[2] = BY_PFX(ldmxcsr),
	[3] = BY_PFX(stmxcsr),
	[4] = BY_PFX(xsave),
	[5] = BY_PFX(xrstor),
	[6] = BY_PFX(clwb),
	[7] = BY_PFX(clflush),
};

static const struct x86_opcode group15_r0[4] = {
	[0] = UD, UD,
	[2] = I1(em_rdfsbase, Ey, F_W0 | FEATURE(FSGSBASE)),
	[3] = UD,
};

static const struct x86_opcode group15_r1[4] = {
	[0] = UD, UD,
	[2] = I1(em_rdgsbase, Ey, F_W0 | FEATURE(FSGSBASE)),
	[3] = UD,
};

static const struct x86_opcode group15_r2[4] = {
	[0] = UD, UD,
	[2] = I1(em_wrfsbase, Ey, F_R0 | FEATURE(FSGSBASE)),
	[3] = UD,
};

static const struct x86_opcode group15_r3[4] = {
	[0] = UD, UD,
	[2] = I1(em_wrgsbase, Ey, F_R0 | FEATURE(FSGSBASE)),
	[3] = UD,
};

static const struct x86_opcode ptwrite[4] = {
	[0] = UD, UD,
	[2] = NI_M,
	[3] = UD,
};

static const struct x86_opcode fence[4] = {
	[0] = I0(em_nop, 0),
	[1] = UD,
	[2] = UD,				/* INCSSP */
	[3] = UD,
};

static const struct x86_opcode mfence[4] = {
	[0] = I0(em_nop, 0),
	[1] = NI_M, NI_M, NI_M,			/* TPAUSE, UMONITOR, UMWAIT */
};

static const struct x86_opcode group15_reg[8] = {
	[0] = BY_PFX(group15_r0),
	[1] = BY_PFX(group15_r1),
	[2] = BY_PFX(group15_r2),
	[3] = BY_PFX(group15_r3),
	[4] = BY_PFX(ptwrite),
	[5] = BY_PFX(fence),			/* LFENCE */
	[6] = BY_PFX(mfence),
	[7] = BY_PFX(fence),			/* SFENCE */
};

static const struct x86_opcode group15_mod[2] = {
	[0] = BY_REG(group15_mem),
	[1] = BY_REG(group15_reg),
};

/*
 * x87, by opcode: with memory, then between registers.  Aliases are in no manual: they
 * are executed as they are, and who knows whether each processor has them.
 */
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

static const struct x86_opcode x87_d8_reg[8] = {
	[0] = I0(em_freg, 0),			/* FADD */
	[1] = I0(em_freg, 0),			/* FMUL */
	[2] = I0(em_freg, 0),			/* FCOM */
	[3] = I0(em_freg, 0),			/* FCOMP */
	[4] = I0(em_freg, 0),			/* FSUB */
	[5] = I0(em_freg, 0),			/* FSUBR */
	[6] = I0(em_freg, 0),			/* FDIV */
	[7] = I0(em_freg, 0),			/* FDIVR */
};

static const struct x86_opcode x87_d8[2] = {
	[0] = BY_REG(x87_d8_mem),
	[1] = BY_REG(x87_d8_reg),
};

static const struct x86_opcode x87_d9_mem[8] = {
	[0] = I1(em_fld, Md, F_N0),		/* FLD */
	[1] = UD,
	[2] = I1(em_fst, Md, F_N0),		/* FST */
	[3] = I1(em_fst, Md, F_N0),		/* FSTP */
	[4] = I1(em_fldenv, M, F_N0),
	[5] = I1(em_fldcw, Mw, F_N0),
	[6] = I1(em_fnstenv, M, F_N0),
	[7] = I1(em_fnstcw, Mw, F_W0),
};

static const struct x86_opcode x87_d9_rm2[8] = {
	[0] = I0(em_freg, 0),			/* FNOP */
	[1] = UD, UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode x87_d9_rm4[8] = {
	[0] = I0(em_freg, 0),			/* FCHS */
	[1] = I0(em_freg, 0),			/* FABS */
	[2] = UD, UD,
	[4] = I0(em_freg, 0),			/* FTST */
	[5] = I0(em_freg, 0),			/* FXAM */
	[6] = UD, UD,
};

static const struct x86_opcode x87_d9_rm5[8] = {
	[0] = I0(em_freg, 0),			/* FLD1 */
	[1] = I0(em_freg, 0),			/* FLDL2T */
	[2] = I0(em_freg, 0),			/* FLDL2E */
	[3] = I0(em_freg, 0),			/* FLDPI */
	[4] = I0(em_freg, 0),			/* FLDLG2 */
	[5] = I0(em_freg, 0),			/* FLDLN2 */
	[6] = I0(em_freg, 0),			/* FLDZ */
	[7] = UD,
};

static const struct x86_opcode x87_d9_reg[8] = {
	[0] = I0(em_freg, 0),			/* FLD */
	[1] = I0(em_freg, 0),			/* FXCH */
	[2] = BY_RM(x87_d9_rm2),
	[3] = NI_M,				/* FSTP, an alias */
	[4] = BY_RM(x87_d9_rm4),
	[5] = BY_RM(x87_d9_rm5),
	[6] = I0(em_freg, 0),			/* FXTRACT, FSQRT and others */
	[7] = I0(em_freg, 0),			/* FPREM, FSIN and others */
};

static const struct x86_opcode x87_d9[2] = {
	[0] = BY_REG(x87_d9_mem),
	[1] = BY_REG(x87_d9_reg),
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

static const struct x86_opcode x87_da_rm5[8] = {
	[0] = UD,
	[1] = I0(em_freg, 0),			/* FUCOMPP */
	[2] = UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode x87_da_reg[8] = {
	[0] = I0(em_freg, 0),			/* FCMOVB */
	[1] = I0(em_freg, 0),			/* FCMOVE */
	[2] = I0(em_freg, 0),			/* FCMOVBE */
	[3] = I0(em_freg, 0),			/* FCMOVU */
	[4] = UD,
	[5] = BY_RM(x87_da_rm5),
	[6] = UD,
	[7] = UD,
};

static const struct x86_opcode x87_da[2] = {
	[0] = BY_REG(x87_da_mem),
	[1] = BY_REG(x87_da_reg),
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

static const struct x86_opcode x87_db_rm4[8] = {
	[0] = I0(em_freg, 0),			/* FNENI, of the 8087 */
	[1] = I0(em_freg, 0),			/* FNDISI, the same */
	[2] = I0(em_freg, 0),			/* FNCLEX */
	[3] = I0(em_fninit, 0),
	[4] = I0(em_freg, 0),			/* FNSETPM, of the 80287 */
	[5] = UD, UD, UD,
};

static const struct x86_opcode x87_db_reg[8] = {
	[0] = I0(em_freg, 0),			/* FCMOVNB */
	[1] = I0(em_freg, 0),			/* FCMOVNE */
	[2] = I0(em_freg, 0),			/* FCMOVNBE */
	[3] = I0(em_freg, 0),			/* FCMOVNU */
	[4] = BY_RM(x87_db_rm4),
	[5] = I0(em_freg, 0),			/* FUCOMI */
	[6] = I0(em_freg, 0),			/* FCOMI */
	[7] = UD,
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

static const struct x86_opcode x87_dc_reg[8] = {
	[0] = I0(em_freg, 0),			/* FADD */
	[1] = I0(em_freg, 0),			/* FMUL */
	[2] = NI_M,				/* FCOM, an alias */
	[3] = NI_M,				/* FCOMP, an alias */
	[4] = I0(em_freg, 0),			/* FSUBR */
	[5] = I0(em_freg, 0),			/* FSUB */
	[6] = I0(em_freg, 0),			/* FDIVR */
	[7] = I0(em_freg, 0),			/* FDIV */
};

static const struct x86_opcode x87_dc[2] = {
	[0] = BY_REG(x87_dc_mem),
	[1] = BY_REG(x87_dc_reg),
};

static const struct x86_opcode x87_dd_mem[8] = {
	[0] = I1(em_fld, Mq, F_N0),		/* FLD */
	[1] = I1(em_fst, Mq, F_N0),		/* FISTTP */
	[2] = I1(em_fst, Mq, F_N0),		/* FST */
	[3] = I1(em_fst, Mq, F_N0),		/* FSTP */
	[4] = I1(em_frstor, M, F_N0),
	[5] = UD,
	[6] = I1(em_fnsave, M, F_N0),
	[7] = I1(em_fnstsw, Mw, F_W0),
};

static const struct x86_opcode x87_dd_reg[8] = {
	[0] = I0(em_freg, 0),			/* FFREE */
	[1] = NI_M,				/* FXCH, an alias */
	[2] = I0(em_freg, 0),			/* FST */
	[3] = I0(em_freg, 0),			/* FSTP */
	[4] = I0(em_freg, 0),			/* FUCOM */
	[5] = I0(em_freg, 0),			/* FUCOMP */
	[6] = UD,
	[7] = UD,
};

static const struct x86_opcode x87_dd[2] = {
	[0] = BY_REG(x87_dd_mem),
	[1] = BY_REG(x87_dd_reg),
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

static const struct x86_opcode x87_de_rm3[8] = {
	[0] = UD,
	[1] = I0(em_freg, 0),			/* FCOMPP */
	[2] = UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode x87_de_reg[8] = {
	[0] = I0(em_freg, 0),			/* FADDP */
	[1] = I0(em_freg, 0),			/* FMULP */
	[2] = NI_M,				/* FCOMP, an alias */
	[3] = BY_RM(x87_de_rm3),
	[4] = I0(em_freg, 0),			/* FSUBRP */
	[5] = I0(em_freg, 0),			/* FSUBP */
	[6] = I0(em_freg, 0),			/* FDIVRP */
	[7] = I0(em_freg, 0),			/* FDIVP */
};

static const struct x86_opcode x87_de[2] = {
	[0] = BY_REG(x87_de_mem),
	[1] = BY_REG(x87_de_reg),
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

static const struct x86_opcode x87_df_rm4[8] = {
	[0] = I1(em_fnstsw, AX, F_W0),
	[1] = UD, UD, UD, UD, UD, UD, UD,
};

static const struct x86_opcode x87_df_reg[8] = {
	[0] = NI_M,				/* FFREEP, an alias */
	[1] = NI_M,				/* FXCH, an alias */
	[2] = NI_M,				/* FSTP, an alias */
	[3] = NI_M,				/* FSTP, an alias */
	[4] = BY_RM(x87_df_rm4),
	[5] = I0(em_freg, 0),			/* FUCOMIP */
	[6] = I0(em_freg, 0),			/* FCOMIP */
	[7] = UD,
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

const struct x86_opcode x86_map0[256] = {
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
	[0xc6] = BY_REG2(group11b, Eb, Ib),
	[0xc7] = BY_REG2(group11v, Ev, Iz),
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

static const struct x86_opcode pfx_0f78[4] = {
	[0] = UD,				/* VMREAD */
	[1] = { .flags = K_LACKING },		/* EXTRQ, with two immediate bytes */
	[2] = UD,
	[3] = { .flags = K_LACKING },		/* INSERTQ, the same */
};

static const struct x86_opcode pfx_0f79[4] = {
	[0] = UD,				/* VMWRITE */
	[1] = NI_M,				/* EXTRQ */
	[2] = UD,
	[3] = NI_M,				/* INSERTQ */
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
	[2] = I2(em_popcnt, Gv, Ev, F_W0 | FEATURE(POPCNT)),
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

const struct x86_opcode x86_map1[256] = {
	[0x00] = BY_REG(group6),
	[0x01] = BY_MOD(group7_mod),
	[0x02] = I2(em_lar, Gv, Ew, F_W0 | F_PROT),
	[0x03] = I2(em_lsl, Gv, Ew, F_W0 | F_PROT),
	[0x04] = UD,
	[0x05] = I0(em_syscall, 0),
	[0x06] = I0(em_clts, F_CPL0),
	[0x07] = I0(em_sysret, 0),
	[0x08] = I0(em_wbinvd, F_CPL0),		/* INVD */
	[0x09] = I0(em_wbinvd, F_CPL0),
	[0x0a] = UD,
	[0x0b] = UD,				/* UD2 */
	[0x0c] = UD,
	[0x0d] = I1(em_prefetchw, Ev, F_N0),
	[0x0e] = I0(em_emms, F_MMX | FEATURE(3DNOW)),	/* FEMMS */
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
	[0x37] = UD,				/* GETSEC */
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
	[0x78] = BY_PFX(pfx_0f78),
	[0x79] = BY_PFX(pfx_0f79),
	[0x7a] = UDM,
	[0x7b] = UDM,
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
	[0xaa] = UD,				/* RSM */
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

static const struct x86_opcode pfx_vmx[4] = {	/* INVEPT, INVVPID */
	[0] = UD, UD, UD, UD,
};

static const struct x86_opcode pfx_0f3882[4] = {
	[0] = UD,
	[1] = I2(em_invpcid, Gn, Mdq, F_N0 | F_N1 | FEATURE(INVPCID)),
	[2] = UD, UD,
};

static const struct x86_opcode pfx_0f38f5[4] = {	/* WRUSS */
	[0] = UD, UD, UD, UD,
};

static const struct x86_opcode mod_0f38f0[2] = {
	[0] = I2(em_movbe, Gv, Mv, F_W0 | FEATURE(MOVBE)),
	[1] = UD,
};

static const struct x86_opcode pfx_0f38f0[4] = {
	[0] = BY_MOD(mod_0f38f0),
	[1] = BY_MOD(mod_0f38f0),
	[2] = UD,
	[3] = I2(em_crc32, Gy, Eb, FEATURE(SSE42)),
};

static const struct x86_opcode mod_0f38f1[2] = {
	[0] = I2(em_movbe, Mv, Gv, F_W0 | FEATURE(MOVBE)),
	[1] = UD,
};

static const struct x86_opcode pfx_0f38f1[4] = {
	[0] = BY_MOD(mod_0f38f1),
	[1] = BY_MOD(mod_0f38f1),
	[2] = UD,
	[3] = I2(em_crc32, Gy, Ev, FEATURE(SSE42)),
};

static const struct x86_opcode pfx_0f38f6[4] = {
	[0] = UD,				/* WRSS */
	[1] = I2(em_adcx, Gy, Ey, FEATURE(ADX)),
	[2] = I2(em_adox, Gy, Ey, FEATURE(ADX)),
	[3] = UD,
};

static const struct x86_opcode mod_movdiri[2] = {
	[0] = I2(em_mov, My, Gy, F_W0 | FEATURE(MOVDIRI)),
	[1] = UD,
};

static const struct x86_opcode pfx_0f38f9[4] = {
	[0] = BY_MOD(mod_movdiri),
	[1] = UD, UD, UD,
};

static const struct x86_opcode pfx_0f38f8[4] = {
	[0] = UD,
	[1] = I2(em_movdir64b, Gv, M, F_N0 | F_N1 | FEATURE(MOVDIR64B)),
	[2] = NI_M, NI_M,			/* ENQCMDS, ENQCMD */
};

/* 0F 38: all have a ModRM byte, the missing rows too. */
const struct x86_opcode x86_map2[256] = {
	[0x2a] = BY_PFX(pfx_0f382a),
	[0x80] = BY_PFX(pfx_vmx),
	[0x81] = BY_PFX(pfx_vmx),
	[0x82] = BY_PFX(pfx_0f3882),
	[0xf0] = BY_PFX(pfx_0f38f0),
	[0xf1] = BY_PFX(pfx_0f38f1),
	[0xf5] = BY_PFX(pfx_0f38f5),
	[0xf6] = BY_PFX(pfx_0f38f6),
	[0xf8] = BY_PFX(pfx_0f38f8),
	[0xf9] = BY_PFX(pfx_0f38f9),
};

const struct x86_opcode x86_row_0f38 = NI_M;

/* All of 0F 3A have a ModRM byte and an immediate byte, and none is covered. */
const struct x86_opcode x86_row_0f3a = NI_MB;

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

const struct x86_opcode x86_vex_map1[256] = {
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

static const struct x86_opcode vpfx_cmpccxadd[4] = {
	[0] = UD,
	[1] = I(em_cmpccxadd, My, Gy, By, F_N0 | F_L0 | FEATURE(CMPCCXADD)),
	[2] = UD, UD,
};

static const struct x86_opcode vpfx_38f2[4] = {
	[0] = I(em_andn, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
	[1] = UD, UD, UD,
};

static const struct x86_opcode vgroup17[8] = {
	[0] = UD,
	[1] = I2(em_blsr, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
	[2] = I2(em_blsmsk, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
	[3] = I2(em_blsi, By, Ey, F_W0 | F_L0 | FEATURE(BMI1)),
	[4] = UD, UD, UD, UD,
};

static const struct x86_opcode vpfx_38f3[4] = {
	[0] = BY_REG(vgroup17),
	[1] = UD, UD, UD,
};

static const struct x86_opcode vpfx_38f5[4] = {
	[0] = I(em_bzhi, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
	[1] = UD,
	[2] = I(em_pext, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI2)),
	[3] = I(em_pdep, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI2)),
};

static const struct x86_opcode vpfx_38f6[4] = {
	[0] = UD, UD, UD,
	[3] = I(em_mulx, Gy, By, Ey, F_W0 | F_L0 | FEATURE(BMI2)),
};

static const struct x86_opcode vpfx_38f7[4] = {
	[0] = I(em_bextr, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI1)),
	[1] = I(em_shlx, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
	[2] = I(em_sarx, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
	[3] = I(em_shrx, Gy, Ey, By, F_W0 | F_L0 | FEATURE(BMI2)),
};

const struct x86_opcode x86_vex_map2[256] = {
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
	[0xe0] = BY_PFX(vpfx_cmpccxadd),
	[0xe1] = BY_PFX(vpfx_cmpccxadd),
	[0xe2] = BY_PFX(vpfx_cmpccxadd),
	[0xe3] = BY_PFX(vpfx_cmpccxadd),
	[0xe4] = BY_PFX(vpfx_cmpccxadd),
	[0xe5] = BY_PFX(vpfx_cmpccxadd),
	[0xe6] = BY_PFX(vpfx_cmpccxadd),
	[0xe7] = BY_PFX(vpfx_cmpccxadd),
	[0xe8] = BY_PFX(vpfx_cmpccxadd),
	[0xe9] = BY_PFX(vpfx_cmpccxadd),
	[0xea] = BY_PFX(vpfx_cmpccxadd),
	[0xeb] = BY_PFX(vpfx_cmpccxadd),
	[0xec] = BY_PFX(vpfx_cmpccxadd),
	[0xed] = BY_PFX(vpfx_cmpccxadd),
	[0xee] = BY_PFX(vpfx_cmpccxadd),
	[0xef] = BY_PFX(vpfx_cmpccxadd),
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
	[3] = I(em_rorx, Gy, Ey, Ib, F_W0 | F_L0 | FEATURE(BMI2)),
};

const struct x86_opcode x86_vex_map3[256] = {
	[0x19] = BY_PFX(vpfx_3a19),
	[0x39] = BY_PFX(vpfx_3a39),
	[0xf0] = BY_PFX(vpfx_3af0),
};

/* In a map of VEX that there is not, too, a ModRM byte follows the opcode. */
static const struct x86_opcode vex_undefined[2] = { UD, UD };

const struct x86_opcode x86_row_vex = BY_MOD(vex_undefined);
