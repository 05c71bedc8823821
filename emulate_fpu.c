// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's callbacks, as struct x86_emulate_ops has them, for x87, MMX, SSE
 * and AVX, and the extended control registers.  The guest's registers are in the CPU
 * while its vcpu runs; a context switch may have put them away, so they are loaded
 * under the FPU's own lock.
 */
#include "kvm_host.h"
#include "kvm_cpuid.h"
#include "kvm_emulate.h"
#include "kvm_fpu.h"
#include "x86_emulate.h"
#include "emulator/x87_insns.h"

#include <asm/fpu/api.h>
#include <asm/fpu/xcr.h>

#define VEC_CASES(insn)							\
	case 0: insn(0); break; case 1: insn(1); break;			\
	case 2: insn(2); break; case 3: insn(3); break;			\
	case 4: insn(4); break; case 5: insn(5); break;			\
	case 6: insn(6); break; case 7: insn(7); break;
#ifdef CONFIG_X86_64
#define VEC_CASES_HIGH(insn)						\
	case 8: insn(8); break; case 9: insn(9); break;			\
	case 10: insn(10); break; case 11: insn(11); break;		\
	case 12: insn(12); break; case 13: insn(13); break;		\
	case 14: insn(14); break; case 15: insn(15); break;
#define FX_INSN(name)	name "64"
#else
#define VEC_CASES_HIGH(insn)
#define FX_INSN(name)	name
#endif

static void guest_fpu_get(void)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
}

#define READ_XMM(n)	asm volatile("movdqu %%xmm" #n ", %0" : "=m"(*buf))
#define WRITE_XMM(n)	asm volatile("movdqu %0, %%xmm" #n : : "m"(*buf))
#define READ_YMM(n)	asm volatile("vmovdqu %%ymm" #n ", %0" : "=m"(*buf))
#define WRITE_YMM(n)	asm volatile("vmovdqu %0, %%ymm" #n : : "m"(*buf))
#define READ_MMX(n)	asm volatile("movq %%mm" #n ", %0" : "=m"(*val))
#define WRITE_MMX(n)	asm volatile("movq %0, %%mm" #n : : "m"(val))

typedef struct { u8 b[16]; } vec128;
typedef struct { u8 b[32]; } vec256;

#define VEC_ACCESSOR(name, type, insn)					\
static void name(unsigned int nr, type *buf)				\
{									\
	switch (nr) {							\
	VEC_CASES(insn)							\
	VEC_CASES_HIGH(insn)						\
	}								\
}
VEC_ACCESSOR(read_xmm, vec128, READ_XMM)
VEC_ACCESSOR(read_ymm, vec256, READ_YMM)
VEC_ACCESSOR(write_xmm, const vec128, WRITE_XMM)
VEC_ACCESSOR(write_ymm, const vec256, WRITE_YMM)

/** kvm_emulate_get_vec - ops->get_vec: 32 bytes only where the guest, and so the host, has AVX */
int kvm_emulate_get_vec(struct x86_emulate_ctxt *ctxt, unsigned int nr, void *val,
			unsigned int bytes)
{
	guest_fpu_get();
	if (bytes == sizeof(vec128))
		read_xmm(nr, val);
	else
		read_ymm(nr, val);
	fpregs_unlock();
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_put_vec - ops->put_vec */
int kvm_emulate_put_vec(struct x86_emulate_ctxt *ctxt, unsigned int nr, const void *val,
			unsigned int bytes)
{
	guest_fpu_get();
	if (bytes == sizeof(vec128))
		write_xmm(nr, val);
	else
		write_ymm(nr, val);
	fpregs_unlock();
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_get_mmx - ops->get_mmx */
int kvm_emulate_get_mmx(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 *val)
{
	guest_fpu_get();
	switch (nr) {
	VEC_CASES(READ_MMX)
	}
	fpregs_unlock();
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_put_mmx - ops->put_mmx */
int kvm_emulate_put_mmx(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val)
{
	guest_fpu_get();
	switch (nr) {
	VEC_CASES(WRITE_MMX)
	}
	fpregs_unlock();
	return X86EMUL_CONTINUE;
}

#define X87_ERROR_SUMMARY 0x80

/* SDM 1 "Protected Mode x87 FPU State Image in Memory" */
struct x87_pointers {
	u32 cw, sw, tags;
	u32 ip;
	u16 cs, opcode;
	u32 dp, ds;
};

static void guest_x87_pointers(struct x86_emulate_ctxt *ctxt, struct x87_pointers *p)
{
	struct x86_seg cs, ds;

	p->ip = ctxt->rip;
	p->dp = ctxt->d.ea;
	p->opcode = (ctxt->d.opcode & 7) << 8 | ctxt->d.modrm;
	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	p->cs = cs.selector;
	if (!ctxt->d.has_mem)
		return;
	ctxt->ops->get_segment(ctxt, ctxt->d.seg, &ds);
	p->ds = ds.selector;
}

/*
 * The guest must find its own pointers there, and none of the host's.  AMD's FXRSTOR
 * may leave them as they are, FLDENV does not; but it has no more than 32 bits.
 */
static void set_x87_pointers(struct x86_emulate_ctxt *ctxt, const struct x87_pointers *p)
{
	struct fxregs_state *fx = (struct fxregs_state *)ctxt->batch;
	struct x87_pointers now;
	bool data;

	asm volatile("fnstenv %0" : "=m"(now));
	now.ip = p->ip;
	now.cs = p->cs;
	now.opcode = p->opcode;
	/*
	 * What has no memory operand leaves that of the one before; on newer processors
	 * so does what raises no exception.
	 */
	data = ctxt->d.has_mem &&
	       (now.sw & X87_ERROR_SUMMARY || !boot_cpu_has(X86_FEATURE_FDP_EXCPTN_ONLY));
	if (data) {
		now.dp = p->dp;
		now.ds = p->ds;
	}
	asm volatile("fldenv %0" : : "m"(now));
	if (ctxt->mode != X86EMUL_MODE_PROT64)
		return;
	asm volatile(FX_INSN("fxsave") " %0" : "=m"(*fx));
	fx->rip = ctxt->rip;
	if (data)
		fx->rdp = ctxt->d.ea;
	asm volatile(FX_INSN("fxrstor") " %0" : : "m"(*fx));
}

/*
 * FLDENV to FNSTCW, FRSTOR to FNSTSW, FNCLEX and FNINIT: control instructions do not
 * change the pointers.
 */
static bool x87_controls(u8 opcode, u8 modrm, bool mem)
{
	if (!mem)
		return opcode == 0xdb && (modrm & 0xf8) == 0xe0;
	return (opcode == 0xd9 || opcode == 0xdd) && (modrm >> 3 & 7) >= 4;
}

/** kvm_emulate_x87 - ops->x87; of ModRM with a memory operand only reg counts */
int kvm_emulate_x87(struct x86_emulate_ctxt *ctxt, u8 opcode, u8 modrm, void *mem)
{
	bool computes = !x87_controls(opcode, modrm, mem);
	struct x87_pointers p;
	unsigned int flags = 0;

	/*
	 * No exception is waiting when an instruction comes here that would look for it,
	 * and what it raises itself waits for the guest's next.  The first processors
	 * with virtualization have no LAHF for 64-bit code.
	 */
	if (IS_ENABLED(CONFIG_X86_64) && computes && !mem && !boot_cpu_has(X86_FEATURE_LAHF_LM))
		return X86EMUL_UNHANDLEABLE;
	if (computes)
		guest_x87_pointers(ctxt, &p);
	guest_fpu_get();
	if (mem)
		x87_with_memory(opcode, modrm, mem);
	else
		flags = x87_with_registers(opcode, modrm, ctxt->rflags);
	if (computes)
		set_x87_pointers(ctxt, &p);
	fpregs_unlock();
	if (!mem)
		ctxt->rflags = (ctxt->rflags & ~(u64)X87_STATUS_FLAGS) | flags;
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_fxsave - ops->fxsave */
int kvm_emulate_fxsave(struct x86_emulate_ctxt *ctxt, void *image, bool rex_w)
{
	struct fxregs_state *fx = image;

	guest_fpu_get();
	if (rex_w)
		asm volatile(FX_INSN("fxsave") " %0" : "=m"(*fx));
	else
		asm volatile("fxsave %0" : "=m"(*fx));
	fpregs_unlock();
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_fxrstor - ops->fxrstor, of an MXCSR that the CPU takes */
int kvm_emulate_fxrstor(struct x86_emulate_ctxt *ctxt, const void *image, bool rex_w)
{
	const struct fxregs_state *fx = image;

	guest_fpu_get();
	if (rex_w)
		asm volatile(FX_INSN("fxrstor") " %0" : : "m"(*fx));
	else
		asm volatile("fxrstor %0" : : "m"(*fx));
	fpregs_unlock();
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_get_xcr - ops->get_xcr, XGETBV: #GP(0) where the guest has no such register */
int kvm_emulate_get_xcr(struct x86_emulate_ctxt *ctxt, u32 nr, u64 *val)
{
	struct kvm_vcpu *vcpu = ctxt->priv;

	if (nr > 1 || (nr && !kvm_guest_has(vcpu, X86_FEATURE_XGETBV1)))
		return x86_emulate_fault_code(ctxt, X86_TRAP_GP, 0);
	*val = vcpu->xcr0;
	/* SDM 1 "XGETBV": with ECX 1, which of them are in use */
	if (nr && boot_cpu_has(X86_FEATURE_XGETBV1)) {
		guest_fpu_get();
		*val &= xgetbv(1);
		fpregs_unlock();
	}
	return X86EMUL_CONTINUE;
}

/** kvm_emulate_set_xcr - ops->set_xcr, XSETBV: #GP(0) for what it may not hold */
int kvm_emulate_set_xcr(struct x86_emulate_ctxt *ctxt, u32 nr, u64 val)
{
	if (kvm_set_xcr(ctxt->priv, nr, val))
		return x86_emulate_fault_code(ctxt, X86_TRAP_GP, 0);
	return X86EMUL_CONTINUE;
}
