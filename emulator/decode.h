/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the opcode tables, the decoder and the executors share; private to them.
 *
 * An operand code is the manual's letter pair, as in SDM 2D "Opcode Map" and
 * APM 3 "Opcode and Operand Encodings": a class (where it is) and a size.
 */
#ifndef X86_DECODE_H
#define X86_DECODE_H

#include "x86_emulate.h"

/* On hot paths: inlined whatever the compiler thinks of the size. */
#define x86_inline inline __attribute__((__always_inline__))

/* Return the result of call unless it is X86EMUL_CONTINUE. */
#define TRY(call) \
	do { \
		int rc_ = (call); \
		if (rc_ != X86EMUL_CONTINUE) \
			return rc_; \
	} while (0)

enum operand_class {
	C_NONE,		/* with a size: see O_CL and following */
	C_E,		/* ModRM.rm: general register or memory */
	C_M,		/* ModRM.rm: memory only */
	C_G,		/* ModRM.reg: general register */
	C_Z,		/* general register in the opcode's low three bits */
	C_I,		/* immediate; sign-extended from 32 to 64 bits */
	C_S,		/* immediate, sign-extended to the operand size */
	C_J,		/* immediate, relative to the next instruction */
	C_O,		/* memory at an immediate offset */
	C_A,		/* the accumulator */
	C_SYS,		/* ModRM.reg: segment, control or debug register */
	C_P,		/* ModRM.reg: MMX */
	C_Q,		/* ModRM.rm: MMX or memory */
	C_V,		/* ModRM.reg: XMM */
	C_W,		/* ModRM.rm: XMM or memory */
	C_H,		/* VEX.vvvv: XMM; with size y, general register */
};

enum operand_size {
	SZ_0,
	SZ_b, SZ_w, SZ_d, SZ_q, SZ_dq,
	SZ_t,		/* 10 */
	SZ_v,		/* the operand size: 2, 4, 8 */
	SZ_z,		/* 2, 4, 4 */
	SZ_y,		/* 4, 4, 8 */
	/* What depends on more than the operand size. */
	SZ_x,		/* 16 or, by VEX.L, 32 */
	SZ_n,		/* 8 in 64-bit mode, else 4 */
};

#define OPND(class, size) ((C_##class) << 4 | (SZ_##size))

enum operand_code {
	O___ = 0,
	O_Eb = OPND(E, b), O_Ew = OPND(E, w), O_Ed = OPND(E, d),
	O_Ev = OPND(E, v), O_Ey = OPND(E, y), O_En = OPND(E, n),
	O_M = OPND(M, 0), O_Mw = OPND(M, w), O_Md = OPND(M, d),
	O_Mq = OPND(M, q), O_Mv = OPND(M, v), O_My = OPND(M, y), O_Mdq = OPND(M, dq),
	O_Mt = OPND(M, t), O_Mx = OPND(M, x),
	O_Gb = OPND(G, b), O_Gw = OPND(G, w),
	O_Gv = OPND(G, v), O_Gy = OPND(G, y), O_Gn = OPND(G, n),
	O_Zb = OPND(Z, b), O_Zv = OPND(Z, v),
	O_Ib = OPND(I, b), O_Iw = OPND(I, w), O_Iz = OPND(I, z), O_Iv = OPND(I, v),
	O_Sb = OPND(S, b),
	O_Jb = OPND(J, b), O_Jz = OPND(J, z),
	O_Ob = OPND(O, b), O_Ov = OPND(O, v),
	O_AL = OPND(A, b), O_AX = OPND(A, w), O_rAX = OPND(A, v), O_eAX = OPND(A, z),
	O_CL = OPND(NONE, b), O_DX = OPND(NONE, w), O_1 = OPND(NONE, d),
	O_Ap = OPND(NONE, z),	/* far pointer in the instruction */
	O_Sw = OPND(SYS, w), O_Cn = OPND(SYS, n), O_Dn = OPND(SYS, q),
	O_Pq = OPND(P, q), O_Qq = OPND(Q, q),
	O_Vd = OPND(V, d), O_Vq = OPND(V, q), O_Vdq = OPND(V, dq),
	O_Vx = OPND(V, x),
	O_Wb = OPND(W, b), O_Ww = OPND(W, w),
	O_Wd = OPND(W, d), O_Wq = OPND(W, q), O_Wdq = OPND(W, dq), O_Wx = OPND(W, x),
	O_Hdq = OPND(H, dq), O_Hx = OPND(H, x), O_By = OPND(H, y),
};

enum operand_kind {
	OPK_NONE,
	OPK_REG,
	OPK_MEM,
	OPK_IMM,
	OPK_SYS,
	OPK_MMX,
	OPK_XMM,
};

/* A row's form: the bytes that follow the opcode. */
enum {
	FM_BYTES = 0x07,	/* immediate bytes of fixed count */
	FM_Z = 0x10,		/* plus an immediate of 2 or 4 bytes */
	FM_V = 0x20,		/* plus one of 2, 4 or 8 */
	FM_A = 0x40,		/* plus one of the address size */
	FM_MODRM = 0x80,
};

/* A row's flags: its kind, then what the executor may take for granted. */
enum {
	K_LACKING,		/* not covered: UNHANDLEABLE */
	K_INSN,
	K_UD,			/* undefined: #UD */
	K_PREFIX,
	K_ESCAPE,
	K_MODE,			/* table by mode: others, 64-bit */
	/* From here on resolve() chooses. */
	K_REG,			/* table by ModRM.reg */
	K_RM,			/* table by ModRM.rm */
	K_MOD,			/* table by ModRM.mod: memory, register */
	K_PFX,			/* table by prefix: none, 66, F3, F2 */
	K_MASK = 0xf,

	F_LOCKABLE = 1 << 4,	/* LOCK is allowed, on memory */
	F_W0 = 1 << 5,		/* operand 0 is written, not read */
	F_R0 = 1 << 6,		/* operand 0 is read, not written */
	F_N0 = F_W0 | F_R0,	/* operand 0 is loaded and stored by the executor */
	F_N1 = 1 << 7,		/* so are operands 1 and 2 */
	F_D64 = 1 << 8,		/* 64-bit mode: operand size 64 or, by 66, 16 */
	F_F64 = 1 << 9,		/* 64-bit mode: 64 always (66: see operand_size()) */
	F_NO64 = 1 << 10,	/* #UD in 64-bit mode */
	F_CPL0 = 1 << 11,	/* #GP(0) unless CPL is 0 */
	F_PROT = 1 << 12,	/* #UD in real and virtual-8086 mode */
	F_REGS = 1 << 13,	/* ModRM.mod is ignored: always a register */
	F_POPEA = 1 << 14,	/* an address by rSP counts from after the pop */
	F_SSE = 1 << 15,	/* #UD and #NM by CR0.EM, CR0.TS, CR4.OSFXSR */
	F_MMX = 1 << 16,
	F_ALIGN = 1 << 17,	/* #GP(0) unless the memory operand is aligned */
	F_AVX = 1 << 18,	/* #UD and #NM by CR4.OSXSAVE, XCR0, CR0.TS */
	F_L0 = 1 << 19,		/* #UD unless VEX.L is 0 */
	F_L1 = 1 << 20,		/* ... 1 */
	F_VW0 = 1 << 21,	/* #UD unless VEX.W is 0 */
	F_AVX2 = 1 << 22,	/* of AVX2, not of AVX */
	F_QUICK = 1 << 23,	/* a register and memory, see decode_quick() */
};

/* Above the flags: a CPUID feature; in a guest without it the instruction is #UD. */
#define FEATURE_SHIFT 24
#define FEATURE(name) ((u32)X86EMUL_FEAT_##name << FEATURE_SHIFT)
#define FEATURES (31u << FEATURE_SHIFT)

/* Above that: an argument for an executor of several instructions, see row_arg(). */
#define ARG_SHIFT 29
#define ARG(n) ((u32)(n) << ARG_SHIFT)

enum { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };
enum { STRING_MOVS, STRING_CMPS, STRING_STOS, STRING_LODS, STRING_SCAS, STRING_INS, STRING_OUTS };
enum { FAR_CALL = 1 };

struct x86_opcode {
	union {
		int (*exec)(struct x86_emulate_ctxt *ctxt);
		const struct x86_opcode *table;
	};
	u8 op[3];
	u8 form;
	u32 flags;
};

/* opcodes.c: one byte, 0F, 0F 38, and those of VEX.mmmmm */
extern const struct x86_opcode x86_map0[256], x86_map1[256], x86_map2[256];
extern const struct x86_opcode x86_vex_map1[256], x86_vex_map2[256], x86_vex_map3[256];
/* What 0F 38 has where its map has none, all of 0F 3A, and VEX without a map. */
extern const struct x86_opcode x86_row_0f38, x86_row_0f3a, x86_row_vex;

#define X86_FLAG_CF (1u << 0)
#define X86_FLAG_FIXED (1u << 1)
#define X86_FLAG_PF (1u << 2)
#define X86_FLAG_AF (1u << 4)
#define X86_FLAG_ZF (1u << 6)
#define X86_FLAG_SF (1u << 7)
#define X86_FLAG_TF (1u << 8)
#define X86_FLAG_IF (1u << 9)
#define X86_FLAG_DF (1u << 10)
#define X86_FLAG_OF (1u << 11)
#define X86_FLAG_IOPL (3u << 12)
#define X86_FLAG_NT (1u << 14)
#define X86_FLAG_RF (1u << 16)
#define X86_FLAG_VM (1u << 17)
#define X86_FLAG_AC (1u << 18)
#define X86_FLAG_VIF (1u << 19)
#define X86_FLAG_VIP (1u << 20)
#define X86_FLAG_ID (1u << 21)
#define X86_FLAGS_STATUS (X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | \
			  X86_FLAG_ZF | X86_FLAG_SF | X86_FLAG_OF)

enum {
	EXC_DE = 0, EXC_DB = 1, EXC_BP = 3, EXC_OF = 4, EXC_BR = 5, EXC_UD = 6,
	EXC_NM = 7, EXC_TS = 10, EXC_NP = 11, EXC_SS = 12, EXC_GP = 13,
	EXC_PF = 14, EXC_MF = 16,
};

static inline u64 x86_mask(unsigned int bytes)
{
	return bytes == 8 ? ~0ull : (1ull << (bytes * 8)) - 1;
}

static inline u64 x86_sext(u64 val, unsigned int bytes)
{
	unsigned int shift = 64 - bytes * 8;

	return (u64)((s64)(val << shift) >> shift);
}

static inline bool x86_canonical(const struct x86_emulate_ctxt *ctxt, u64 addr)
{
	unsigned int shift = 64 - ctxt->va_bits;

	return (u64)((s64)(addr << shift) >> shift) == addr;
}

/* Executors: alu.c, stack.c, segment.c, control.c, system.c, string.c, media.c */
#define EXECUTORS(X) \
	X(mov) X(add) X(or) X(adc) X(sbb) X(and) X(sub) X(xor) \
	X(inc) X(dec) X(not) X(neg) X(mul) X(imul) X(imul_2) X(imul_3) X(div) X(idiv) \
	X(rol) X(ror) X(rcl) X(rcr) X(shl) X(shr) X(sar) X(shld) X(shrd) \
	X(bit) X(bsf) X(bsr) X(tzcnt) X(lzcnt) X(popcnt) \
	X(movsx) X(movsxd) X(cbw) X(cwd) X(xchg) X(xchg_acc) X(xadd) X(cmpxchg) \
	X(cmpxchg8b) X(bswap) X(movbe) X(crc32) X(random) \
	X(setcc) X(cmovcc) X(lea) X(adx) \
	X(aaa) X(daa) X(aam) X(aad) \
	X(push) X(pop) X(pusha) X(popa) X(pushf) X(popf) X(enter) X(leave) \
	X(push_seg) X(pop_seg) X(mov_from_seg) X(mov_to_seg) X(load_far) \
	X(jmp_rel) X(jcc) X(loop) X(jcxz) X(jmp_abs) X(call_rel) X(call_abs) \
	X(ret) X(far) X(far_mem) \
	X(ret_far) X(int) X(int1) X(int3) X(into) X(iret) \
	X(sysenter) X(sysexit) X(syscall) X(sysret) \
	X(set_flag) X(cmc) X(cli) X(sti) X(lahf) X(sahf) X(salc) \
	X(hlt) X(nop) X(prefetchw) X(clflush) X(bound) X(xlat) X(wait) \
	X(in) X(out) X(string) \
	X(load_dtable) X(store_dtable) X(load_system_segment) X(store_selector) \
	X(lmsw) X(smsw) X(clts) X(invlpg) X(invpcid) X(wbinvd) X(verr) X(verw) X(lar) X(lsl) \
	X(arpl) X(mov_from_cr) X(mov_to_cr) X(mov_from_dr) X(mov_to_dr) \
	X(rdmsr) X(wrmsr) X(rdtsc) X(rdtscp) X(rdpid) X(rdpmc) X(cpuid) \
	X(monitor) X(mwait) X(clzero) X(hypercall) X(swapgs) X(set_ac) \
	X(rdbase) X(wrbase) \
	X(xgetbv) X(xsetbv) X(xbegin) X(xend) X(xtest) X(movdir64b) \
	X(andn) X(bextr) X(blsr) X(blsmsk) X(blsi) X(bzhi) X(mulx) X(pdep) X(pext) \
	X(rorx) X(sarx) X(shlx) X(shrx) X(cmpccxadd) \
	X(fload) X(fst) X(freg) X(fnstword) \
	X(fnstenv) X(fldenv) \
	X(emms) X(fxsave) X(fxrstor) X(ldmxcsr) X(stmxcsr) \
	X(movv) X(movv_low) X(movv_high) X(movhl) X(movd_to) X(movd_from) \
	X(movddup) X(movsldup) X(movshdup) \
	X(movm) X(movmd_to) X(movmd_from) X(maskmov) \
	X(vbroadcast) X(vmaskmov) X(vextract128) X(vzeroupper)

#define X(name) int em_##name(struct x86_emulate_ctxt *ctxt);
EXECUTORS(X)
#undef X

#endif
