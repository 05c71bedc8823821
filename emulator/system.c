// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's system registers and tables, and other system instructions.
 */
#include "segment.h"

/* LGDT, LIDT */
int em_load_dtable(struct x86_emulate_ctxt *ctxt)
{
	struct x86_dtable val = { 0, 0 };
	unsigned int bytes = mode64(ctxt) ? 8 : 4;

	TRY(x86em_read_ea(ctxt, 0, &val.limit, 2));
	TRY(x86em_read_ea(ctxt, 2, &val.base, bytes));
	if (!mode64(ctxt) && ctxt->d.op_bytes == 2)
		val.base &= 0xffffff;
	if (!x86_canonical(ctxt, val.base))
		return fault_gp(ctxt, 0);
	ctxt->ops->set_dtable(ctxt, row_arg(ctxt), &val);
	return X86EMUL_CONTINUE;
}

/* CR4.UMIP keeps user code from what these tell about the kernel. */
static int check_umip(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt) && (ctxt->ops->get_cr(ctxt, 4) & CR4_UMIP))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* SGDT, SIDT */
int em_store_dtable(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = mode64(ctxt) ? 8 : 4;
	struct x86_dtable val;
	u8 image[10];

	TRY(check_umip(ctxt));
	ctxt->ops->get_dtable(ctxt, row_arg(ctxt), &val);
	memcpy(image, &val.limit, 2);
	memcpy(image + 2, &val.base, 8);
	return x86em_write_seg(ctxt, ctxt->d.seg, ctxt->d.ea, image, 2 + bytes);
}

/* LLDT, LTR: in IA-32e mode the descriptor has 16 bytes. */
int em_load_system_segment(struct x86_emulate_ctxt *ctxt)
{
	unsigned int seg = row_arg(ctxt);
	bool tss = seg == X86_SEG_TR, lm, found;
	u16 selector = OP0.val;
	struct descriptor desc;
	struct x86_seg s;
	u64 upper = 0;

	TRY(x86em_long_mode(ctxt, &lm));
	if (!(selector & 0xfffc)) {
		if (tss)
			return fault_gp(ctxt, 0);
		x86em_load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	x86em_find_descriptor(ctxt, selector, lm ? 16 : 8, &desc.addr, &found);
	if ((selector & 4) || !found)
		return fault_gp(ctxt, selector & 0xfffc);
	TRY(x86em_mem_read(ctxt, desc.addr, &desc.raw, 8, X86EMUL_ACC_SYSTEM));
	if (lm)
		TRY(x86em_mem_read(ctxt, desc.addr + 8, &upper, 8, X86EMUL_ACC_SYSTEM));
	x86em_desc_to_seg(&desc, selector, &s);
	if (s.s || (tss ? s.type != 9 && (lm || s.type != 1) : s.type != 2))
		return fault_gp(ctxt, selector & 0xfffc);
	if (!s.present)
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (lm) {
		s.base |= upper << 32;
		if (!x86_canonical(ctxt, s.base) || (upper >> 40 & 0x1f))
			return fault_gp(ctxt, selector & 0xfffc);
	}
	if (tss) {
		TRY(x86em_write_desc_type(ctxt, &desc, 2));
		s.type |= 2;
	}
	ctxt->ops->set_segment(ctxt, seg, &s);
	return X86EMUL_CONTINUE;
}

/* SLDT, STR */
int em_store_selector(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg s;

	TRY(check_umip(ctxt));
	ctxt->ops->get_segment(ctxt, row_arg(ctxt), &s);
	store_16(ctxt, s.selector);
	return X86EMUL_CONTINUE;
}

int em_smsw(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_umip(ctxt));
	store_16(ctxt, ctxt->ops->get_cr(ctxt, 0));
	return X86EMUL_CONTINUE;
}

/* It sets PE but does not clear it. */
int em_lmsw(struct x86_emulate_ctxt *ctxt)
{
	u64 cr0 = ctxt->ops->get_cr(ctxt, 0);

	return ctxt->ops->set_cr(ctxt, 0, (cr0 & ~0xeull) | (OP0.val & 0xf));
}

EXECUTOR(clts, ctxt->ops->set_cr(ctxt, 0, ctxt->ops->get_cr(ctxt, 0) & ~(u64)CR0_TS))

/* Neither limit nor canonical form is checked: SDM 2A "INVLPG". */
int em_invlpg(struct x86_emulate_ctxt *ctxt)
{
	u64 linear = ctxt->d.ea + x86em_segment_base(ctxt, ctxt->d.seg);

	if (!mode64(ctxt))
		linear = (u32)linear;
	if (x86_canonical(ctxt, linear))
		ctxt->ops->invlpg(ctxt, linear);
	return X86EMUL_CONTINUE;
}

/* SDM 2A "INVPCID": of its descriptor, the PCID and the address. */
int em_invpcid(struct x86_emulate_ctxt *ctxt)
{
	bool pcide = ctxt->ops->get_cr(ctxt, 4) & CR4_PCIDE;
	u64 type = get_reg(ctxt, OP0.reg, OP0.bytes), desc[2];

	if (cpl(ctxt) || type > 3)
		return fault_gp(ctxt, 0);
	if (!ctxt->ops->flush_tlb)
		return X86EMUL_UNHANDLEABLE;
	TRY(x86em_read_ea(ctxt, 0, desc, 16));
	if (desc[0] >> 12 || (type < 2 && desc[0] && !pcide) ||
	    (type == 0 && !x86_canonical(ctxt, desc[1])))
		return fault_gp(ctxt, 0);
	ctxt->ops->flush_tlb(ctxt);
	return X86EMUL_CONTINUE;
}

EXECUTOR(wbinvd, ctxt->ops->wbinvd ? ctxt->ops->wbinvd(ctxt) : X86EMUL_UNHANDLEABLE)

/*
 * LAR, LSL, VERR and VERW only ask: *ok is whether the selector's descriptor is
 * there and visible at CPL and RPL.  System types in types (a bit each) count.
 */
static int ask_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, u32 types,
			  struct descriptor *desc, bool *ok)
{
	unsigned int level = cpl(ctxt);

	*ok = false;
	if (!(selector & 0xfffc))
		return X86EMUL_CONTINUE;
	x86em_find_descriptor(ctxt, selector, 8, &desc->addr, ok);
	if (!*ok)
		return X86EMUL_CONTINUE;
	TRY(x86em_mem_read(ctxt, desc->addr, &desc->raw, 8, X86EMUL_ACC_SYSTEM));
	if (!desc_s(desc) && !(types >> desc_type(desc) & 1))
		*ok = false;
	/* Conforming code is visible to all. */
	if (!(desc_s(desc) && (desc_type(desc) & 0xc) == 0xc) &&
	    (desc_dpl(desc) < level || desc_dpl(desc) < (selector & 3u)))
		*ok = false;
	return X86EMUL_CONTINUE;
}

static void set_zf(struct x86_emulate_ctxt *ctxt, bool zf)
{
	set_flags(ctxt, X86_FLAG_ZF, zf ? X86_FLAG_ZF : 0);
	if (!zf)
		ctxt->skip_write = true;
}

/* SDM 2A "LAR", "LSL": the valid system types, as a mask; fewer in IA-32e mode */
static int ask_system(struct x86_emulate_ctxt *ctxt, u32 legacy, u32 ia32e,
		      struct descriptor *desc, bool *ok)
{
	bool lm;

	TRY(x86em_long_mode(ctxt, &lm));
	return ask_descriptor(ctxt, OP1.val, lm ? ia32e : legacy, desc, ok);
}

int em_lar(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;

	TRY(ask_system(ctxt, 0x1a3e, 0x1a04, &desc, &ok));
	set_zf(ctxt, ok);
	if (ok)
		OP0.val = desc.raw >> 32 & 0xffff00;
	return X86EMUL_CONTINUE;
}

int em_lsl(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	struct x86_seg s;
	bool ok;

	TRY(ask_system(ctxt, 0x0a0e, 0x0a04, &desc, &ok));
	set_zf(ctxt, ok);
	if (ok) {
		x86em_desc_to_seg(&desc, 0, &s);
		OP0.val = s.limit;
	}
	return X86EMUL_CONTINUE;
}

static int verify(struct x86_emulate_ctxt *ctxt, unsigned int type, bool equal)
{
	struct descriptor desc;
	bool ok;

	TRY(ask_descriptor(ctxt, OP0.val, 0, &desc, &ok));
	set_zf(ctxt, ok && ((desc_type(&desc) & 0xa) == type) == equal);
	return X86EMUL_CONTINUE;
}

/* Readable: data, and code that says so.  Writable: data that says so. */
EXECUTOR(verr, verify(ctxt, 8, false))
EXECUTOR(verw, verify(ctxt, 2, true))

/* Its operand is loaded as one only read, and stored if it changes. */
int em_arpl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int rpl = OP1.val & 3;

	TRY(x86em_load_operand(ctxt, &OP0, false));
	set_zf(ctxt, (OP0.val & 3) < rpl);
	OP0.val = (OP0.val & ~3ull) | rpl;
	return X86EMUL_CONTINUE;
}

/* CR0, 2, 3, 4 and, in 64-bit mode, 8; a wrong one is #UD at any CPL. */
static int check_cr(struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	if (nr > 8 || !(1u << nr & 0x11d) || (nr == 8 && !mode64(ctxt) && !ctxt->d.lock))
		return fault_ud(ctxt);
	return cpl(ctxt) ? fault_gp(ctxt, 0) : X86EMUL_CONTINUE;
}

int em_mov_from_cr(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_cr(ctxt, OP1.reg));
	OP0.val = ctxt->ops->get_cr(ctxt, OP1.reg);
	return X86EMUL_CONTINUE;
}

int em_mov_to_cr(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_cr(ctxt, OP0.reg));
	return ctxt->ops->set_cr(ctxt, OP0.reg, OP1.val);
}

/* DR4 and DR5 are DR6 and DR7, unless debug extensions are on. */
static int check_dr(struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	if (nr > 7)
		return fault_ud(ctxt);
	if ((nr & 6) == 4 && (ctxt->ops->get_cr(ctxt, 4) & CR4_DE))
		return fault_ud(ctxt);
	return cpl(ctxt) ? fault_gp(ctxt, 0) : X86EMUL_CONTINUE;
}

int em_mov_from_dr(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_dr(ctxt, OP1.reg));
	return ctxt->ops->get_dr(ctxt, OP1.reg, &OP0.val);
}

int em_mov_to_dr(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_dr(ctxt, OP0.reg));
	return ctxt->ops->set_dr(ctxt, OP0.reg, OP1.val);
}

static void put_edx_eax(struct x86_emulate_ctxt *ctxt, u64 val)
{
	put_reg(ctxt, X86_RAX, val, 4);
	put_reg(ctxt, X86_RDX, val >> 32, 4);
}

static u64 get_edx_eax(const struct x86_emulate_ctxt *ctxt)
{
	return get_reg(ctxt, X86_RDX, 4) << 32 | get_reg(ctxt, X86_RAX, 4);
}

int em_rdmsr(struct x86_emulate_ctxt *ctxt)
{
	u64 val;

	TRY(ctxt->ops->get_msr(ctxt, ctxt->regs[X86_RCX], &val));
	put_edx_eax(ctxt, val);
	return X86EMUL_CONTINUE;
}

EXECUTOR(wrmsr, ctxt->ops->set_msr(ctxt, ctxt->regs[X86_RCX], get_edx_eax(ctxt)))

int em_rdtsc(struct x86_emulate_ctxt *ctxt)
{
	u64 val;

	if (cpl(ctxt) && (ctxt->ops->get_cr(ctxt, 4) & CR4_TSD))
		return fault_gp(ctxt, 0);
	TRY(ctxt->ops->rdtsc(ctxt, &val));
	put_edx_eax(ctxt, val);
	return X86EMUL_CONTINUE;
}

int em_rdtscp(struct x86_emulate_ctxt *ctxt)
{
	u64 aux;

	TRY(em_rdtsc(ctxt));
	TRY(ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &aux));
	put_reg(ctxt, X86_RCX, aux, 4);
	return X86EMUL_CONTINUE;
}

EXECUTOR(rdpid, ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &OP0.val))

int em_rdpmc(struct x86_emulate_ctxt *ctxt)
{
	u32 counter = ctxt->regs[X86_RCX];
	bool backdoor = ctxt->vmware_backdoor && counter >= X86EMUL_VMWARE_PMC_HOST_TSC &&
			counter <= X86EMUL_VMWARE_PMC_APPARENT_TIME;
	u64 val;

	if (!backdoor && cpl(ctxt) && !(ctxt->ops->get_cr(ctxt, 4) & CR4_PCE))
		return fault_gp(ctxt, 0);
	TRY(ctxt->ops->rdpmc(ctxt, counter, &val));
	put_edx_eax(ctxt, val);
	return X86EMUL_CONTINUE;
}

int em_cpuid(struct x86_emulate_ctxt *ctxt)
{
	u32 a = ctxt->regs[X86_RAX], b = 0, c = ctxt->regs[X86_RCX], d = 0;

	TRY(ctxt->ops->cpuid(ctxt, &a, &b, &c, &d));
	put_reg(ctxt, X86_RAX, a, 4);
	put_reg(ctxt, X86_RBX, b, 4);
	put_reg(ctxt, X86_RCX, c, 4);
	put_reg(ctxt, X86_RDX, d, 4);
	return X86EMUL_CONTINUE;
}

/* What is monitored is looked at as by a load, without one. */
int em_monitor(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;

	if (cpl(ctxt))
		return fault_ud(ctxt);
	if (get_reg(ctxt, X86_RCX, mode64(ctxt) ? 8 : 4))
		return fault_gp(ctxt, 0);
	TRY(x86em_linearize(ctxt, data_seg(&ctxt->d), get_reg(ctxt, X86_RAX, ctxt->d.ad_bytes),
			    1, false, &linear));
	return x86em_probe(ctxt, linear, 1, 0);
}

/* The store that it waits for may have come already.  Bit 0 of ECX: interrupts wake it too. */
int em_mwait(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt))
		return fault_ud(ctxt);
	if (get_reg(ctxt, X86_RCX, mode64(ctxt) ? 8 : 4) > 1)
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* The cache line, of 64 bytes, that has the byte at rAX */
int em_clzero(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;

	TRY(x86em_linearize(ctxt, data_seg(&ctxt->d), get_reg(ctxt, X86_RAX, ctxt->d.ad_bytes),
			    1, true, &linear));
	memset(ctxt->vec, 0, 64);
	return x86em_mem_write(ctxt, linear & ~63ull, ctxt->vec, 64, 0);
}

/*
 * A transaction may abort at once, without a reason: EAX 0.  So there is never one
 * for XEND, XTEST and XABORT.
 */
int em_xbegin(struct x86_emulate_ctxt *ctxt)
{
	/* 66 makes the offset one of 16 bits, but RIP is not cut to it: SDM 2D "XBEGIN". */
	ctxt->d.op_bytes = mode64(ctxt) ? 8 : 4;
	put_reg(ctxt, X86_RAX, 0, 4);
	return em_jmp_rel(ctxt);
}

EXECUTOR(xend, fault_gp(ctxt, 0))

int em_xtest(struct x86_emulate_ctxt *ctxt)
{
	set_flags(ctxt, X86_FLAGS_STATUS, X86_FLAG_ZF);
	return X86EMUL_CONTINUE;
}

static int check_xcr(struct x86_emulate_ctxt *ctxt)
{
	if (!ctxt->ops->get_xcr || !ctxt->ops->set_xcr)
		return X86EMUL_UNHANDLEABLE;
	if (!(ctxt->ops->get_cr(ctxt, 4) & CR4_OSXSAVE))
		return fault_ud(ctxt);
	return X86EMUL_CONTINUE;
}

int em_xgetbv(struct x86_emulate_ctxt *ctxt)
{
	u64 val;

	TRY(check_xcr(ctxt));
	TRY(ctxt->ops->get_xcr(ctxt, ctxt->regs[X86_RCX], &val));
	put_edx_eax(ctxt, val);
	return X86EMUL_CONTINUE;
}

int em_xsetbv(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_xcr(ctxt));
	if (cpl(ctxt))
		return fault_gp(ctxt, 0);
	return ctxt->ops->set_xcr(ctxt, ctxt->regs[X86_RCX], get_edx_eax(ctxt));
}

int em_swapgs(struct x86_emulate_ctxt *ctxt)
{
	u64 gs, kernel_gs;

	if (!mode64(ctxt))
		return fault_ud(ctxt);
	if (cpl(ctxt))
		return fault_gp(ctxt, 0);
	TRY(ctxt->ops->get_msr(ctxt, MSR_GS_BASE_NR, &gs));
	TRY(ctxt->ops->get_msr(ctxt, MSR_KERNEL_GS_BASE_NR, &kernel_gs));
	TRY(ctxt->ops->set_msr(ctxt, MSR_KERNEL_GS_BASE_NR, gs));
	return ctxt->ops->set_msr(ctxt, MSR_GS_BASE_NR, kernel_gs);
}

static int check_fsgsbase(struct x86_emulate_ctxt *ctxt)
{
	if (!mode64(ctxt) || !(ctxt->ops->get_cr(ctxt, 4) & CR4_FSGSBASE))
		return fault_ud(ctxt);
	return X86EMUL_CONTINUE;
}

/* RDFSBASE and, with ARG(1), RDGSBASE; the MSRs follow each other. */
int em_rdbase(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_fsgsbase(ctxt));
	return ctxt->ops->get_msr(ctxt, MSR_FS_BASE_NR + row_arg(ctxt), &OP0.val);
}

int em_wrbase(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_fsgsbase(ctxt));
	if (!x86_canonical(ctxt, OP0.val))
		return fault_gp(ctxt, 0);
	return ctxt->ops->set_msr(ctxt, MSR_FS_BASE_NR + row_arg(ctxt), OP0.val);
}

/* ---- caches and hints ---- */

EXECUTOR(nop, X86EMUL_CONTINUE)

/* Of a register, it is Intel's NOP and AMD's #UD. */
EXECUTOR(prefetchw, OP0.kind == OPK_REG && ctxt->amd ? fault_ud(ctxt) : X86EMUL_CONTINUE)

/* Nothing is cached here, but the address is checked as a load's. */
int em_clflush(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;

	TRY(x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, 1, false, &linear));
	return x86em_probe(ctxt, linear, 1, 0);
}

EXECUTOR(hlt, ctxt->ops->halt ? ctxt->ops->halt(ctxt) : X86EMUL_UNHANDLEABLE)

/* VMCALL, VMMCALL: hypercalls are for the exit's handler; an emulated one is not covered. */
EXECUTOR(hypercall, X86EMUL_UNHANDLEABLE)
