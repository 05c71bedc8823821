/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The x86 instruction decoder and emulator: the interface.
 *
 * The emulator knows nothing of KVM.  It sees registers in a context, and
 * everything else of the machine through struct x86_emulate_ops; it builds as
 * it stands in the kernel and in userspace, where it is tested against the CPU.
 *
 * One instruction:
 *
 *	x86_emulate_init(ctxt);		 once in the life of a context
 *	ctxt->mode, regs, rip, rflags	 filled in by the caller ("the glue")
 *	x86_decode_insn(ctxt, bytes, len)
 *	x86_emulate_insn(ctxt)
 *	ctxt->regs (regs_dirty says which), rip, rflags, interruptibility
 *					 copied back by the glue
 *
 * What the return codes promise:
 *
 *  CONTINUE	    Done.  regs, rip and rflags hold the new state.  When ->more
 *		    is set, a REP instruction has completed some iterations
 *		    only: rip still points at it, and the glue may deliver
 *		    interrupts, re-enter the guest, or call again.
 *  PROPAGATE_FAULT ->exception holds what to inject.  regs, rip and rflags are
 *		    as architecture leaves them for a fault (for all but REP
 *		    strings and task switches: unchanged).
 *  UNHANDLEABLE    The emulator lacks this.  Nothing has been changed.
 *  IO_NEEDED	    An op needs an exit to userspace; see below.
 *  RETRY_INSTR	    Somebody else changed memory under a locked access: the
 *		    state is unchanged, enter the guest again at the same rip.
 *
 * Reads that only userspace can answer: ops->read (or pio_in) remembers the
 * access and returns IO_NEEDED; x86_emulate_insn() undoes this instruction's
 * (this REP iteration's) register changes and returns it.  When the answer is
 * there, the glue calls x86_emulate_insn() AGAIN ON THE SAME DECODED CONTEXT.
 * All reads that had succeeded are replayed, in order, from ctxt->rc and not
 * asked for twice.  The one that was pending is either answered by the glue
 * with x86_emulate_read_done() before calling again, or asked for once more
 * with the same arguments and then answered by ops->read.
 *
 * An access may be up to 64 bytes, unaligned, and may cross a page: the glue
 * splits it as it needs, and must fault before it changes anything.
 *
 * Writes are posted: ops->write, cmpxchg and pio_out of what only userspace can
 * take remember the data, set ctxt->posted and return CONTINUE; the glue goes to
 * userspace when x86_emulate_insn() has returned.  A REP loop ends its batch at
 * the first iteration that finds ->posted set, so a glue needs room for the
 * writes of one instruction (PUSHA and ENTER being the longest) and not more.
 */
#ifndef X86_EMULATE_H
#define X86_EMULATE_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/string.h>
#include <linux/errno.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <errno.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#endif

struct x86_emulate_ctxt;

enum {
	X86EMUL_CONTINUE,
	X86EMUL_PROPAGATE_FAULT,
	X86EMUL_UNHANDLEABLE,
	X86EMUL_IO_NEEDED,
	X86EMUL_RETRY_INSTR,
};

enum x86emul_mode {
	X86EMUL_MODE_REAL,	/* CR0.PE clear */
	X86EMUL_MODE_VM86,	/* EFLAGS.VM set */
	X86EMUL_MODE_PROT16,	/* protected or compatibility mode, CS.D clear */
	X86EMUL_MODE_PROT32,	/* protected or compatibility mode, CS.D set */
	X86EMUL_MODE_PROT64,	/* EFER.LMA and CS.L set */
};

/* Register numbers as in ModRM. */
enum {
	X86_RAX, X86_RCX, X86_RDX, X86_RBX, X86_RSP, X86_RBP, X86_RSI, X86_RDI,
	X86_R8, X86_R9, X86_R10, X86_R11, X86_R12, X86_R13, X86_R14, X86_R15,
	X86_NR_GPR,
};

enum {
	X86_SEG_ES, X86_SEG_CS, X86_SEG_SS, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS,
	X86_SEG_TR, X86_SEG_LDTR,
};

/* A segment register with its hidden part; limit is in bytes, whatever g says. */
struct x86_seg {
	u64 base;
	u32 limit;
	u16 selector;
	u8 type;		/* the descriptor's 4 bits, accessed bit included */
	u8 s;			/* 1: code or data; 0: system */
	u8 dpl;
	u8 present;
	u8 avl;
	u8 l;
	u8 db;
	u8 g;
	u8 unusable;
};

struct x86_dtable {
	u64 base;
	u16 limit;
};

struct x86_exception {
	bool valid;
	bool has_error_code;
	u8 vector;
	u32 error_code;
	u64 address;		/* CR2, for vector 14 */
};

/* How memory is accessed (the 'access' argument of the memory ops). */
enum {
	X86EMUL_ACC_SYSTEM = 1,	/* as CPL 0 whatever the CPL: descriptor tables, TSS */
	X86EMUL_ACC_WRITE = 2,	/* read: will be written too, so fault as a write does */
};

enum x86emul_dtable { X86EMUL_GDT, X86EMUL_IDT };

/* What a guest's CPUID decides about an opcode's meaning. */
enum x86emul_feature {
	X86EMUL_FEAT_LZCNT = 1,	/* without: F3 0F BD is BSR */
	X86EMUL_FEAT_TZCNT,	/* without: F3 0F BC is BSF */
	X86EMUL_FEAT_SSE42,	/* CRC32 */
	X86EMUL_FEAT_POPCNT, X86EMUL_FEAT_MOVBE, X86EMUL_FEAT_CX16, X86EMUL_FEAT_LAHF_LM,
	X86EMUL_FEAT_ADX, X86EMUL_FEAT_BMI1, X86EMUL_FEAT_BMI2, X86EMUL_FEAT_AVX,
	X86EMUL_FEAT_AVX2, X86EMUL_FEAT_3DNOW, X86EMUL_FEAT_MOVDIRI, X86EMUL_FEAT_MOVDIR64B,
	X86EMUL_FEAT_CLFLUSHOPT, X86EMUL_FEAT_CLWB, X86EMUL_FEAT_CLZERO, X86EMUL_FEAT_CMPCCXADD,
	X86EMUL_FEAT_RDRAND, X86EMUL_FEAT_RDSEED, X86EMUL_FEAT_RTM, X86EMUL_FEAT_SERIALIZE,
	X86EMUL_FEAT_RDTSCP, X86EMUL_FEAT_RDPID, X86EMUL_FEAT_FSGSBASE, X86EMUL_FEAT_SYSCALL,
	X86EMUL_FEAT_SYSENTER, X86EMUL_FEAT_INVPCID, X86EMUL_FEAT_MWAIT,
	X86EMUL_NR_FEATS,
};

/*
 * The machine, apart from registers.  Ops that return int return X86EMUL_*, and
 * with PROPAGATE_FAULT have filled ctxt->exception.  Addresses are linear;
 * segment checks and canonicality are done before.  Optional ops say so; without
 * one, what needs it is UNHANDLEABLE.
 */
struct x86_emulate_ops {
	/*
	 * Memory.  At most 64 bytes, but: after a successful probe() of
	 * ordinary memory, up to a page at once, never across a page's end.
	 * fetch never crosses a page's end.
	 */
	int (*read)(struct x86_emulate_ctxt *ctxt, u64 linear, void *val,
		    unsigned int bytes, unsigned int access);
	int (*write)(struct x86_emulate_ctxt *ctxt, u64 linear, const void *val,
		     unsigned int bytes, unsigned int access);
	int (*fetch)(struct x86_emulate_ctxt *ctxt, u64 linear, void *val,
		     unsigned int bytes);
	/*
	 * Would this access succeed?  CONTINUE: yes, and it is ordinary memory;
	 * IO_NEEDED: yes, but a device is there; PROPAGATE_FAULT: no.  Nothing
	 * is remembered or changed.
	 */
	int (*probe)(struct x86_emulate_ctxt *ctxt, u64 linear,
		     unsigned int bytes, unsigned int access);
	/*
	 * Atomically: if memory equals *old, store *new.  1, 2, 4, 8 or 16
	 * bytes.  RETRY_INSTR when it differed.  On a device: a plain write.
	 */
	int (*cmpxchg)(struct x86_emulate_ctxt *ctxt, u64 linear, const void *old,
		       const void *new, unsigned int bytes);
	void (*invlpg)(struct x86_emulate_ctxt *ctxt, u64 linear);
	/* Optional: all of them, which is what is done for INVPCID of any type. */
	void (*flush_tlb)(struct x86_emulate_ctxt *ctxt);

	/* Ports: count units of size (1, 2, 4) bytes; permission is checked before. */
	int (*pio_in)(struct x86_emulate_ctxt *ctxt, unsigned int size, u16 port,
		      void *buf, unsigned int count);
	int (*pio_out)(struct x86_emulate_ctxt *ctxt, unsigned int size, u16 port,
		       const void *buf, unsigned int count);

	/* Segments, tables, control state. */
	void (*get_segment)(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			    struct x86_seg *val);
	void (*set_segment)(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			    const struct x86_seg *val);
	/* Optional: the base alone, all that 64-bit mode wants of FS and GS. */
	u64 (*get_segment_base)(struct x86_emulate_ctxt *ctxt, unsigned int seg);
	void (*get_dtable)(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which,
			   struct x86_dtable *val);
	void (*set_dtable)(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which,
			   const struct x86_dtable *val);
	unsigned int (*get_cpl)(struct x86_emulate_ctxt *ctxt);
	/* nr is 0, 2, 3, 4 or 8; a bad value is the op's to refuse, with #GP. */
	u64 (*get_cr)(struct x86_emulate_ctxt *ctxt, unsigned int nr);
	int (*set_cr)(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val);
	/* nr is 0..7, 4 and 5 only without CR4.DE; #DB by DR7.GD is the op's. */
	int (*get_dr)(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 *val);
	int (*set_dr)(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val);
	/* Privilege is checked before; an unknown MSR is the op's #GP. */
	int (*get_msr)(struct x86_emulate_ctxt *ctxt, u32 msr, u64 *val);
	int (*set_msr)(struct x86_emulate_ctxt *ctxt, u32 msr, u64 val);
	int (*rdpmc)(struct x86_emulate_ctxt *ctxt, u32 counter, u64 *val);
	int (*rdtsc)(struct x86_emulate_ctxt *ctxt, u64 *val);
	/* In: eax and ecx; out: all four. */
	int (*cpuid)(struct x86_emulate_ctxt *ctxt, u32 *eax, u32 *ebx,
		     u32 *ecx, u32 *edx);
	/* Optional: RDRAND or, with seed, RDSEED.  False: there is none just now. */
	bool (*random)(struct x86_emulate_ctxt *ctxt, bool seed, u64 *val);
	/* Optional: a guest without it; absent: the guest has everything. */
	bool (*has_feature)(struct x86_emulate_ctxt *ctxt, enum x86emul_feature f);

	/* Actions; all but the last optional. */
	int (*wbinvd)(struct x86_emulate_ctxt *ctxt);
	int (*halt)(struct x86_emulate_ctxt *ctxt);
	/* IRET has completed: NMIs are open again. */
	void (*unblock_nmi)(struct x86_emulate_ctxt *ctxt);

	/*
	 * Media registers, optional.  get/put_vec: bytes is 16 (XMM; the rest of
	 * the register is kept) or 32 (YMM; the rest is cleared); get/put_mmx also
	 * leave MMX state as MMX does.
	 */
	int (*get_vec)(struct x86_emulate_ctxt *ctxt, unsigned int nr, void *val,
		       unsigned int bytes);
	int (*put_vec)(struct x86_emulate_ctxt *ctxt, unsigned int nr,
		       const void *val, unsigned int bytes);
	int (*get_mmx)(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 *val);
	int (*put_mmx)(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val);
	/*
	 * Optional: execute an x87 instruction as it stands, but with mem as its
	 * memory operand; NULL: between registers, with the status flags in
	 * ctxt->rflags, which FCMOVcc reads and FCOMI writes.  opcode is D8 to DF.
	 * Environments (FNSTENV, FLDENV, FNSAVE, FRSTOR) are of protected mode and
	 * 4-byte fields, 28 or 108 bytes, whatever the mode.
	 */
	int (*x87)(struct x86_emulate_ctxt *ctxt, u8 opcode, u8 modrm, void *mem);
	/* Optional: FXSAVE and FXRSTOR of 512 bytes, aligned; rex_w: 64-bit pointers */
	int (*fxsave)(struct x86_emulate_ctxt *ctxt, void *image, bool rex_w);
	int (*fxrstor)(struct x86_emulate_ctxt *ctxt, const void *image, bool rex_w);
	/* Extended control registers; optional: without, no AVX. */
	int (*get_xcr)(struct x86_emulate_ctxt *ctxt, u32 nr, u64 *val);
	int (*set_xcr)(struct x86_emulate_ctxt *ctxt, u32 nr, u64 val);
};

#define X86_MAX_INSN_LEN	15
#define X86EMUL_BATCH_BYTES	4096
#define X86EMUL_BATCH_ITERS	1024

/* What the opcode tables call an operand, once decoded. */
struct x86_operand {
	u8 kind;		/* enum operand_kind in emulator/decode.h */
	u8 code;		/* enum operand_code: the manual's Ev, Gb, ... */
	u8 bytes;
	u8 reg;			/* register number, of whichever file kind says */
	u8 high;		/* AH, CH, DH, BH */
	u64 val;		/* zero-extended from bytes */
};

/*
 * What decoding finds.  The first part is cleared for each instruction, so keep
 * it small; the rest is written before it is read.
 */
struct x86_decode {
	u8 rex;
	u8 lock;
	u8 rep;			/* 0, 0xf2 or 0xf3: the last one */
	u8 opsize;		/* a 66 prefix was there */
	u8 adsize;
	u8 seg_override;	/* segment + 1 */
	u8 has_mem;
	u8 map;			/* 0: one byte, 1: 0F, 2: 0F 38, 3: 0F 3A */
	u8 vex;			/* by a VEX prefix; rex, opsize and rep are its too */
	u8 vex_l;		/* 256 bits */
	u8 vvvv;
	u8 opcode;
	u8 modrm;

	u8 op_bytes;		/* 2, 4, 8 */
	u8 ad_bytes;
	u8 seg;			/* of the memory operand */
	u8 len;
	u64 ea;			/* offset of the memory operand, in ad_bytes */
	u8 disp_at;		/* where in the instruction the byte behind ModRM is, and */
	u8 imm_at;		/* where the next immediate is */
	const struct x86_opcode *row;
	const struct x86_opcode *opnds;	/* the row whose operands hold */
	struct x86_operand op[3];
};

/* Reads of this instruction that are done, for a restart; in order, packed. */
struct x86_read_cache {
	u16 pos;		/* replayed so far */
	u16 end;		/* valid */
	u8 pending;		/* bytes of the read that returned IO_NEEDED */
	u64 pending_addr;
	u8 data[512];
};

/* Guest interruptibility an instruction asks for; numbered as in KVM's ABI. */
enum {
	X86EMUL_SHADOW_MOV_SS = 1,
	X86EMUL_SHADOW_STI = 2,
};

/* VMware's backdoor: two ports, and counters of RDPMC's, which no privilege is needed for. */
enum {
	X86EMUL_VMWARE_PORT = 0x5658,
	X86EMUL_VMWARE_PORT_HB = 0x5659,	/* high bandwidth, by REP INS and OUTS */
	X86EMUL_VMWARE_PMC_HOST_TSC = 0x10000,
	X86EMUL_VMWARE_PMC_REAL_TIME = 0x10001,		/* ns */
	X86EMUL_VMWARE_PMC_APPARENT_TIME = 0x10002,	/* ns */
};

struct x86_emulate_ctxt {
	/* The glue's, set once. */
	const struct x86_emulate_ops *ops;
	void *priv;
	u8 va_bits;		/* 48 or 57 */
	bool amd;		/* where the vendors differ, behave as AMD does */
	bool vmware_backdoor;	/* its ports and counters are there for everybody */

	/* In and out of each instruction. */
	enum x86emul_mode mode;	/* in only: as of the start of the instruction */
	u64 rip;
	u64 rflags;
	u64 regs[X86_NR_GPR];

	/* Out only. */
	u32 regs_dirty;		/* a bit for each register the instruction wrote */
	/* In this order: the compiler clears from here to skip_write in one go. */
	u32 undo;		/* the emulator's own: whose old value is kept */
	u8 interruptibility;
	bool more;		/* REP not finished, rip unchanged */
	bool switched;		/* to another task, which a fault then belongs to */
	bool posted;		/* set by ops: userspace must be visited */
	bool skip_write;	/* the executor wants operand 0 left alone */
	struct x86_exception exception;

	/* The emulator's own. */
	u64 next_rip;
	u64 op0_linear;		/* of operand 0, when that is memory that was read */
	u64 op0_old;		/* its value then */
	u64 old_rflags;
	u64 old_regs[X86_NR_GPR];	/* of those in undo */
	u8 fetch_len;		/* bytes in fetch[] */
	u8 fetch[X86_MAX_INSN_LEN + 1];
	struct x86_decode d;
	struct x86_read_cache rc;
	u16 ins_count;		/* units the pending pio_in was asked for */
	u8 vec[64];		/* a media operand */
	/* REP INS and OUTS; FXSAVE's image; ops->x87 may use it */
	u8 batch[X86EMUL_BATCH_BYTES] __attribute__((aligned(64)));
};

/* Who switches tasks. */
enum x86emul_task { X86EMUL_TASK_CALL, X86EMUL_TASK_JMP, X86EMUL_TASK_IRET, X86EMUL_TASK_GATE };

void x86_emulate_init(struct x86_emulate_ctxt *ctxt);
int x86_decode_insn(struct x86_emulate_ctxt *ctxt, const void *insn, unsigned int len);
int x86_emulate_insn(struct x86_emulate_ctxt *ctxt);
bool x86_emulate_is_io(const struct x86_emulate_ctxt *ctxt);
bool x86_emulate_one_access(const struct x86_emulate_ctxt *ctxt);
int x86_emulate_task_switch(struct x86_emulate_ctxt *ctxt, u16 selector,
			    enum x86emul_task why, const u32 *error_code);
void x86_emulate_read_done(struct x86_emulate_ctxt *ctxt, const void *val, unsigned int bytes);
int x86_fetch_more(struct x86_emulate_ctxt *ctxt);
int x86_insn_length(enum x86emul_mode mode, const void *bytes, unsigned int len);
int x86_emulate_fault(struct x86_emulate_ctxt *ctxt, u8 vector);
int x86_emulate_fault_code(struct x86_emulate_ctxt *ctxt, u8 vector, u32 code);
int x86_emulate_page_fault(struct x86_emulate_ctxt *ctxt, u64 address, u32 code);

#endif
