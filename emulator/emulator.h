/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the executors share: registers, flags, modes, and what other files than their
 * own do for them.
 */
#ifndef X86_EMULATOR_H
#define X86_EMULATOR_H

#include "decode.h"

#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR0_NE (1u << 5)
#define CR0_PG (1u << 31)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)
#define CR4_PCIDE (1u << 17)
#define CR4_OSXSAVE (1u << 18)

#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_EFER_NR 0xc0000080
#define MSR_STAR_NR 0xc0000081
#define MSR_LSTAR_NR 0xc0000082
#define MSR_CSTAR_NR 0xc0000083
#define MSR_SFMASK_NR 0xc0000084
#define MSR_FS_BASE_NR 0xc0000100
#define MSR_GS_BASE_NR 0xc0000101
#define MSR_KERNEL_GS_BASE_NR 0xc0000102
#define MSR_TSC_AUX_NR 0xc0000103
#define EFER_SCE_BIT (1u << 0)
#define EFER_LMA_BIT (1u << 10)

#define FLAGS_ALL (X86_FLAGS_STATUS | X86_FLAG_TF | X86_FLAG_IF | X86_FLAG_DF | \
		   X86_FLAG_IOPL | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM | \
		   X86_FLAG_AC | X86_FLAG_VIF | X86_FLAG_VIP | X86_FLAG_ID)

#define OP0 (ctxt->d.op[0])
#define OP1 (ctxt->d.op[1])
#define OP2 (ctxt->d.op[2])

/* An executor that is one expression: what it returns ... */
#define EXECUTOR(name, result) \
	int em_##name(struct x86_emulate_ctxt *ctxt) \
	{ \
		(void)ctxt; \
		return (result); \
	}

/* ... or what operand 0 becomes. */
#define EXECUTOR_VALUE(name, value) \
	int em_##name(struct x86_emulate_ctxt *ctxt) \
	{ \
		OP0.val = (value); \
		return X86EMUL_CONTINUE; \
	}

/* What the row says by ARG() */
static inline unsigned int row_arg(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->d.row->flags >> ARG_SHIFT;
}

static inline int fault_ud(struct x86_emulate_ctxt *ctxt)
{
	return x86_emulate_fault(ctxt, EXC_UD);
}

static inline int fault_gp(struct x86_emulate_ctxt *ctxt, u32 code)
{
	return x86_emulate_fault_code(ctxt, EXC_GP, code);
}

static inline void set_reg(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val)
{
	u32 bit = 1u << nr;

	if (!(ctxt->undo & bit)) {
		ctxt->undo |= bit;
		ctxt->old_regs[nr] = ctxt->regs[nr];
	}
	ctxt->regs_dirty |= bit;
	ctxt->regs[nr] = val;
}

static inline u64 get_reg(const struct x86_emulate_ctxt *ctxt, unsigned int nr,
			  unsigned int bytes)
{
	return ctxt->regs[nr] & x86_mask(bytes);
}

/* A write of 4 bytes clears the upper half, one of 1 or 2 keeps the rest. */
static inline void put_reg(struct x86_emulate_ctxt *ctxt, unsigned int nr,
			   u64 val, unsigned int bytes)
{
	u64 mask = x86_mask(bytes);

	if (bytes < 4)
		val = (ctxt->regs[nr] & ~mask) | (val & mask);
	else
		val &= mask;
	set_reg(ctxt, nr, val);
}

static inline void add_reg(struct x86_emulate_ctxt *ctxt, unsigned int nr,
			   u64 delta, unsigned int bytes)
{
	put_reg(ctxt, nr, ctxt->regs[nr] + delta, bytes);
}

static inline void set_flags(struct x86_emulate_ctxt *ctxt, u32 mask, u32 val)
{
	ctxt->rflags = (ctxt->rflags & ~(u64)mask) | (val & mask);
}

static inline bool flag(const struct x86_emulate_ctxt *ctxt, u32 mask)
{
	return ctxt->rflags & mask;
}

static inline bool mode64(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->mode == X86EMUL_MODE_PROT64;
}

static inline bool prot_mode(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->mode >= X86EMUL_MODE_PROT16;
}

static inline unsigned int cpl(struct x86_emulate_ctxt *ctxt)
{
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return 0;
	if (ctxt->mode == X86EMUL_MODE_VM86)
		return 3;
	return ctxt->ops->get_cpl(ctxt);
}

static inline unsigned int iopl(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->rflags >> 12 & 3;
}

static inline bool has_feature(struct x86_emulate_ctxt *ctxt, enum x86emul_feature f)
{
	return !ctxt->ops->has_feature || ctxt->ops->has_feature(ctxt, f);
}

static inline int get_efer(struct x86_emulate_ctxt *ctxt, u64 *efer)
{
	return ctxt->ops->get_msr(ctxt, MSR_EFER_NR, efer);
}

/* The segment of an operand that is in DS unless a prefix names another. */
static inline unsigned int data_seg(const struct x86_decode *d)
{
	return d->seg_override ? d->seg_override - 1 : X86_SEG_DS;
}

static inline u64 msb(unsigned int bytes)
{
	return 1ull << (bytes * 8 - 1);
}

/* Stores of a selector (or MSW): 16 bits to memory, the size in force to a register. */
static inline void store_16(struct x86_emulate_ctxt *ctxt, u64 val)
{
	if (OP0.kind == OPK_MEM)
		OP0.bytes = 2;
	OP0.val = val;
}

/* memory.c */
int x86em_long_mode(struct x86_emulate_ctxt *ctxt, bool *active);
bool x86em_segment_allows(struct x86_emulate_ctxt *ctxt, const struct x86_seg *s, u64 ea,
			  unsigned int bytes, bool write);
u64 x86em_segment_base(struct x86_emulate_ctxt *ctxt, unsigned int seg);
int x86em_linearize(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea, unsigned int bytes,
		    bool write, u64 *linear);
int x86em_check_aligned(struct x86_emulate_ctxt *ctxt, unsigned int bytes);
int x86em_mem_read(struct x86_emulate_ctxt *ctxt, u64 linear, void *val, unsigned int bytes,
		   unsigned int access);
int x86em_mem_write(struct x86_emulate_ctxt *ctxt, u64 linear, const void *val,
		    unsigned int bytes, unsigned int access);
int x86em_read_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea, void *val,
		   unsigned int bytes);
int x86em_write_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea, const void *val,
		    unsigned int bytes);
int x86em_read_ea(struct x86_emulate_ctxt *ctxt, unsigned int offset, void *val,
		  unsigned int bytes);
int x86em_probe(struct x86_emulate_ctxt *ctxt, u64 linear, unsigned int bytes,
		unsigned int access);

/* stack.c */
unsigned int x86em_stack_bytes(struct x86_emulate_ctxt *ctxt);
void x86em_add_rsp(struct x86_emulate_ctxt *ctxt, u64 delta);
int x86em_push(struct x86_emulate_ctxt *ctxt, u64 val, unsigned int bytes);
int x86em_pop(struct x86_emulate_ctxt *ctxt, u64 *val, unsigned int bytes);
int x86em_check_vm86_iopl(struct x86_emulate_ctxt *ctxt);
u32 x86em_popf_mask(struct x86_emulate_ctxt *ctxt, unsigned int bytes);

/* alu.c */
void x86em_flags_sub(struct x86_emulate_ctxt *ctxt, u64 a, u64 b, u64 res, unsigned int bytes,
		     u32 mask);
bool x86em_condition(const struct x86_emulate_ctxt *ctxt, unsigned int cc);

/* control.c; icebp: INT1, which no gate's DPL keeps out */
int x86em_software_int(struct x86_emulate_ctxt *ctxt, unsigned int vector, bool icebp);

/* media.c */
int x86em_check_media(struct x86_emulate_ctxt *ctxt, u32 flags);

/* x86_emulate.c */
int x86em_load_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op, bool modify);
int x86em_store_op0(struct x86_emulate_ctxt *ctxt, u64 linear, u64 old, bool locked);
void x86em_begin(struct x86_emulate_ctxt *ctxt);
int x86em_end(struct x86_emulate_ctxt *ctxt, int rc);

/*
 * The linear address of bytes at seg:ea.  seg is SS for references by rSP and
 * rBP, whose faults are #SS in 64-bit mode too, where limits are not checked:
 * SDM 1 "Canonical Addressing".
 */
static x86_inline int linearize(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
				unsigned int bytes, bool write, u64 *linear)
{
	u64 last = ea + bytes - 1;

	/* Low addresses, of the segments without a base: the common case. */
	if (mode64(ctxt) && seg < X86_SEG_FS && !((ea | last) >> 47)) {
		*linear = ea;
		return X86EMUL_CONTINUE;
	}
	return x86em_linearize(ctxt, seg, ea, bytes, write, linear);
}

/* Up to 8 bytes, zero-extended; the first read of an instruction, as a rule. */
static x86_inline int read_small(struct x86_emulate_ctxt *ctxt, u64 linear, u64 *val,
				 unsigned int bytes, unsigned int access)
{
	struct x86_read_cache *rc = &ctxt->rc;
	int ret;

	*val = 0;
	if (rc->end)
		return x86em_mem_read(ctxt, linear, val, bytes, access);
	ret = ctxt->ops->read(ctxt, linear, val, bytes, access);
	if (ret == X86EMUL_CONTINUE) {
		memcpy(rc->data, val, 8);
		rc->pos = rc->end = bytes;
	} else if (ret == X86EMUL_IO_NEEDED) {
		rc->pending = bytes;
		rc->pending_addr = linear;
	}
	return ret;
}

static x86_inline void put_operand(struct x86_emulate_ctxt *ctxt,
				   const struct x86_operand *op, u64 val)
{
	if (op->high)
		set_reg(ctxt, op->reg, (ctxt->regs[op->reg] & ~0xff00ull) |
			(val & 0xff) << 8);
	else
		put_reg(ctxt, op->reg, val, op->bytes);
}

#endif
