// SPDX-License-Identifier: GPL-2.0-only
/*
 * The liberties of implementations: where the manuals leave a choice, or where known
 * processors depart from them without harm, CPU and emulator may differ.  Each rule
 * changes what came of the emulator to the other outcome that is allowed, in the one
 * situation that it is about; all state is compared again then.
 *
 * SDM 3A table "Priority Among Concurrent Events" makes the order of exceptions of one
 * class (faults of decoding, faults of execution) the implementation's.  What a fault
 * leaves behind below is done again when the instruction is restarted, so that no
 * program sees it.
 */
#include <stdio.h>

#include "differential.h"
#include "emulator.h"

#define EXC_OF_ACCESS(trap) ((trap) >= EXC_SS && (trap) <= EXC_PF)

static bool both_fault(void)
{
	return EXC_OF_ACCESS(emu.trap) && EXC_OF_ACCESS(cpu.trap);
}

static bool same_fault(const struct outcome *o)
{
	return o->trap == cpu.trap && o->error == cpu.error && o->cr2 == cpu.cr2;
}

static void set_fault(const struct outcome *from)
{
	emu.trap = from->trap;
	emu.error = from->error;
	emu.cr2 = from->cr2;
}

/* Where a memory operand is */
static u64 operand_linear(unsigned int seg, u64 ea)
{
	u64 linear = x86em_segment_base(&ctxt, seg) + ea;

	return machine->mode == X86EMUL_MODE_PROT64 ? linear : (u32)linear;
}

/* Is the CPU's page fault one of bytes at linear, by an access of this kind? */
static bool faults_within(u64 linear, unsigned int bytes, bool write)
{
	u64 offset = cpu.cr2 - linear;

	if (machine->mode != X86EMUL_MODE_PROT64)
		offset = (u32)offset;
	return cpu.trap == EXC_PF && !(cpu.error & 2) == !write && offset < bytes;
}

static struct outcome other;

/* What the emulator makes of another state and other code. */
static void run_other(const struct state *s, const u8 *code, unsigned int len)
{
	u8 *at = code_alias + (start_rip + machine->code_base - CODE), old_code[64];
	static struct x86_emulate_ctxt old_ctxt;
	struct x86_seg old_segment = faulting_segment;
	unsigned int old_batches = batches;
	static struct outcome old;

	old_ctxt = ctxt;
	old = emu;
	memcpy(old_code, at, sizeof(old_code));
	memcpy(at, code, len);
	memcpy((void *)DATA, pattern, DATA_SIZE);
	emu.trap = -1;
	run_emulator(s);
	memcpy(emu.data, (void *)DATA, DATA_SIZE);
	other = emu;
	emu = old;
	ctxt = old_ctxt;
	faulting_segment = old_segment;
	batches = old_batches;
	memcpy(at, old_code, sizeof(old_code));
}

/* ---- decoding ---- */

static unsigned int prefixes(void)
{
	unsigned int n;

	for (n = 0; n < X86_MAX_INSN_LEN; n++)
		if ((x86_map0[insn[n]].flags & K_MASK) != K_PREFIX &&
		    (machine->mode != X86EMUL_MODE_PROT64 || (insn[n] & 0xf0) != 0x40))
			break;
	return n;
}

/*
 * SDM 3A "Priority Among Concurrent Events": an instruction of more than 15 bytes and
 * an invalid opcode are faults of one class.  Of what has no opcode there is no length;
 * with three prefixes it may be too long (12 bytes: 3 of opcode, ModRM, SIB, 4 of
 * displacement, 4 of an immediate, less one).
 */
static bool too_long_or_undefined(const struct state *in)
{
	(void)in;
	if (ctxt.d.len || cpu.error || emu.error)
		return false;
	if (emu.trap == EXC_GP && cpu.trap == EXC_UD) {
		if (ctxt.fetch_len < X86_MAX_INSN_LEN)
			return false;
	} else if (emu.trap == EXC_UD && cpu.trap == EXC_GP) {
		if (prefixes() < 3 || x86_insn_length(machine->mode, insn, X86_MAX_INSN_LEN) > 0)
			return false;
	} else {
		return false;
	}
	emu.trap = cpu.trap;
	return true;
}

/*
 * Instructions of the host that no guest of ours has: SGX's and TDX's, and those of
 * VMX and SVM while they are on.  In ring 3 they are #GP(0) then, and otherwise #UD.
 * ENCLU alone is ring 3's; it is #PF where EENTER finds no enclave's page.
 */
static bool is_of_host(void)
{
	static const struct {
		bool amd, p66;
		u8 from, to;			/* ModRM, of 0F 01 */
	} table[] = {
		{ false, false, 0xc0, 0xc0 },	/* ENCLV */
		{ false, false, 0xc2, 0xc4 },	/* VMLAUNCH, VMRESUME, VMXOFF */
		{ false, false, 0xcf, 0xcf },	/* ENCLS */
		{ false, false, 0xd7, 0xd7 },	/* ENCLU */
		{ false, true, 0xcc, 0xcf },	/* TDCALL, SEAMRET, SEAMOPS, SEAMCALL */
		{ true, false, 0xd8, 0xdf },	/* VMRUN to INVLPGA */
	};
	const u8 *p = insn + prefixes();
	unsigned int i;

	if (prefixes() > X86_MAX_INSN_LEN - 3 || p[0] != 0x0f || p[1] != 0x01 ||
	    (cpu.trap == EXC_PF && p[2] != 0xd7))
		return false;
	for (i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (table[i].amd == ctxt.amd && p[2] >= table[i].from && p[2] <= table[i].to &&
		    (!table[i].p66 || ctxt.d.opsize))
			return true;
	return false;
}

static bool of_host(const struct state *in)
{
	(void)in;
	if (emu.trap != EXC_UD || !is_of_host() || (cpu.trap != EXC_GP && cpu.trap != EXC_PF) ||
	    (cpu.trap == EXC_GP && cpu.error))
		return false;
	set_fault(&cpu);
	return true;
}

/* AMD's processors take LOCK VERW for VERW; APM 3 "LOCK Prefix" makes it #UD. */
bool is_lock_verw(void)
{
	return ctxt.amd && ctxt.d.lock && ctxt.d.map == 1 && !ctxt.d.opcode &&
	       (ctxt.d.modrm & 0x38) == 0x28;
}

static bool lock_verw(const struct state *in)
{
	(void)in;
	if (emu.trap != EXC_UD || cpu.trap == EXC_UD || !is_lock_verw())
		return false;
	set_fault(&cpu);
	emu.s.rip = cpu.s.rip;
	emu.s.rflags ^= (emu.s.rflags ^ cpu.s.rflags) & X86_FLAG_ZF;
	return true;
}

/* ---- segments ---- */

/*
 * SDM 3A "Limit Checking": with a limit of FFFFFFFF, an access that wraps may be
 * a limit's violation or not.  If not, here there is nothing mapped at either end.  No
 * operand is longer than 64 bytes, but the images below.
 */
static bool wraps(const struct outcome *o)
{
	return machine->mode == X86EMUL_MODE_PROT32 && !o->error &&
	       (o->trap == EXC_SS || o->trap == EXC_GP) && cpu.trap == EXC_PF &&
	       (cpu.error & ~2u) == 4 && (u32)(cpu.cr2 + 64) < 128;
}

static bool wrap_at_4gib(const struct state *in)
{
	(void)in;
	if (!wraps(&emu) || faulting_segment.limit != 0xffffffff || faulting_segment.unusable)
		return false;
	set_fault(&cpu);
	return true;
}

/*
 * SDM 2B "PUSH": with an operand size of 32 bits, a segment register is written
 * zero-extended, or as 16 bits with what is above them left.  The latter is what PUSH of
 * 16 bits does from two bytes below.
 */
static bool push_of_segment(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	u64 mask = x86_mask(x86em_stack_bytes(&ctxt));
	u8 code[3];
	unsigned int n = 0;
	struct state s = *in;
	u64 *sp = &s.regs[X86_RSP];

	if (!IS(push_seg) || ctxt.d.op_bytes != 4)
		return false;
	if (machine->mode == X86EMUL_MODE_PROT32)
		code[n++] = 0x66;
	if (ctxt.d.map)
		code[n++] = 0x0f;
	code[n++] = ctxt.d.opcode;
	*sp = (*sp & ~mask) | ((*sp - 2) & mask);
	run_other(&s, code, n);
	if (other.trap != 3)
		return false;
	emu = other;
	emu.s.rip = in->rip + ctxt.d.len;
	return true;
}

/* ---- control ---- */

/*
 * A near CALL's target and its stack may be looked at in either order, and what was
 * pushed may stay when the target faults, below the stack pointer.
 */
static bool call_order(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	unsigned int bytes = ctxt.d.op_bytes, width = x86em_stack_bytes(&ctxt);
	u64 back = in->rip + ctxt.d.len, at;
	/* PUSH of the same size: the stack alone */
	static const u8 push[2] = { 0x66, 0x50 };
	bool prefix = bytes != (machine->mode == X86EMUL_MODE_PROT16 ? 2 : width);

	if (!(IS(call_rel) || IS(call_abs)) || !both_fault())
		return false;
	if (!same_fault(&emu)) {
		run_other(in, push + !prefix, 1 + prefix);
		if (!same_fault(&other))
			return false;
		set_fault(&other);
		return true;
	}
	at = operand_linear(X86_SEG_SS, (in->regs[X86_RSP] - bytes) & x86_mask(width)) - DATA;
	if (emu.trap != EXC_GP || at > DATA_SIZE - bytes || memcmp(cpu.data + at, &back, bytes))
		return false;
	memcpy(emu.data + at, &back, bytes);
	return true;
}

/*
 * SDM 2D "XBEGIN": EAX tells why a transaction was aborted; the emulator gives no
 * reason, a CPU may have one: the INT3 that it came to.
 */
static bool abort_status(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;

	(void)in;
	if (!IS(xbegin) || emu.trap != 3 || emu.s.regs[X86_RAX] || cpu.s.regs[X86_RAX] & ~0x3full)
		return false;
	emu.s.regs[X86_RAX] = cpu.s.regs[X86_RAX];
	return true;
}

/* ---- more than one access ---- */

static bool is_string(unsigned int which)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;

	return IS(string) && row_arg(&ctxt) == which;
}

/*
 * SDM 2B "REP": a fault puts back the flags of before a repeated CMPS or SCAS, or of
 * where it was interrupted last.  The emulator's batches are such interruptions.
 */
static bool repeated_flags(const struct state *in)
{
	if (!(is_string(STRING_CMPS) || is_string(STRING_SCAS)) || !both_fault() ||
	    ctxt.amd || batches < 2 || (in->rflags ^ cpu.s.rflags) & X86_FLAGS_STATUS)
		return false;
	emu.s.rflags = in->rflags;
	return true;
}

/*
 * Either operand of CMPS may fault first.  SCAS of the same element has rDI's alone:
 * the registers are those at the fault.
 */
static bool cmps_order(const struct state *in)
{
	unsigned int len = ctxt.d.len;
	u8 code[X86_MAX_INSN_LEN];
	struct state s = emu.s;

	(void)in;
	if (!is_string(STRING_CMPS) || !both_fault())
		return false;
	memcpy(code, insn, len);
	code[len - 1] |= 8;
	run_other(&s, code, len);
	if (!same_fault(&other) && !wraps(&other))
		return false;
	set_fault(&cpu);
	return true;
}

/*
 * In 64-bit mode with 67, a repeated string instruction may clear the upper halves of
 * its registers also where it has not moved them yet: SDM 1 "Address Calculations in
 * 64-Bit Mode" says nothing of that.
 */
static bool repeated_upper_halves(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	u32 used = 1 << X86_RCX;
	bool taken = false;
	unsigned int nr;

	(void)in;
	if (!IS(string) || !ctxt.d.rep || machine->mode != X86EMUL_MODE_PROT64 ||
	    ctxt.d.ad_bytes != 4)
		return false;
	if (!is_string(STRING_STOS) && !is_string(STRING_SCAS) && !is_string(STRING_INS))
		used |= 1 << X86_RSI;
	if (!is_string(STRING_LODS) && !is_string(STRING_OUTS))
		used |= 1 << X86_RDI;
	for (nr = X86_RCX; nr <= X86_RDI; nr++) {
		u64 *reg = &emu.s.regs[nr];

		if (!(used >> nr & 1) || *reg == cpu.s.regs[nr] || (u32)*reg != cpu.s.regs[nr])
			continue;
		*reg = (u32)*reg;
		taken = true;
	}
	return taken;
}

/* What POPA has popped before the fault may stay in its registers. */
static bool popa_part(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	unsigned int bytes = ctxt.d.op_bytes, width = x86em_stack_bytes(&ctxt);
	bool taken = false;
	u64 at, val;
	int nr;

	if (!IS(popa) || !both_fault())
		return false;
	for (nr = X86_RDI; nr >= X86_RAX; nr--) {
		at = (in->regs[X86_RSP] + (X86_RDI - nr) * bytes) & x86_mask(width);
		at = operand_linear(X86_SEG_SS, at) - DATA;
		if (at > DATA_SIZE - bytes)
			break;
		val = in->regs[nr] & ~x86_mask(bytes);
		memcpy(&val, pattern + at, bytes);
		if (nr == X86_RSP || cpu.s.regs[nr] != val || emu.s.regs[nr] == val)
			continue;
		emu.s.regs[nr] = val;
		taken = true;
	}
	return taken;
}

/* BOUND may find the lower bound violated before it looks at the upper one. */
static bool bound_order(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	unsigned int bytes = ctxt.d.op_bytes;
	u64 at = operand_linear(ctxt.d.seg, ctxt.d.ea) - DATA, low = 0;
	u64 index = in->regs[ctxt.d.modrm >> 3 & 7];

	if (!IS(bound) || cpu.trap != EXC_BR || !EXC_OF_ACCESS(emu.trap) || at > DATA_SIZE - bytes)
		return false;
	memcpy(&low, pattern + at, bytes);
	if ((s64)x86_sext(index, bytes) >= (s64)x86_sext(low, bytes))
		return false;
	set_fault(&cpu);
	return true;
}

/* ---- images ---- */

/*
 * FXSAVE's and FXRSTOR's image, and x87's environment, are many accesses: which part
 * of them faults, and whether before FXSAVE's alignment is looked at, is not said.
 */
static bool image_order(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	bool fx = IS(fxsave) || IS(fxrstor), write = IS(fxsave) || IS(fnstenv);
	unsigned int bytes = fx ? 512 : 108;
	u64 linear = operand_linear(ctxt.d.seg, ctxt.d.ea), end;
	static struct x86_emulate_ctxt c;

	(void)in;
	if (!(fx || is_environment()) || !both_fault())
		return false;
	c = ctxt;
	if (cpu.trap == EXC_PF && !faults_within(linear, bytes, write))
		return false;
	/* A page fault came first here: there must be a reason for the other. */
	if (cpu.trap != EXC_PF && emu.trap == EXC_PF && !(fx && linear & 15) &&
	    x86em_linearize(&c, ctxt.d.seg, ctxt.d.ea, bytes, write, &end) == X86EMUL_CONTINUE)
		return false;
	if (cpu.trap != EXC_PF && cpu.error)
		return false;
	set_fault(&cpu);
	return true;
}

/* ---- x87 and MMX ---- */

/* FST and its kin, to where there is memory; the bytes are at DATA then. */
static bool store_elsewhere(const struct state *in)
{
	bool bits16 = machine->mode == X86EMUL_MODE_PROT16;
	u8 code[2] = { ctxt.d.opcode, (ctxt.d.modrm & 0x38) | (bits16 ? 7 : 3) };
	struct state s = *in;

	s.regs[X86_RBX] = DATA - machine->data_base;
	run_other(&s, code, 2);
	return other.trap == 3;
}

/*
 * SDM 1 "Unmasked Response": with an invalid operation, overflow or underflow
 * unmasked, nothing is stored; whether the address is looked at all the same is not
 * said.  The exception waits for the next x87 instruction: ES is set.
 */
static bool store_of_nothing(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;

	if (!IS(fst) || !EXC_OF_ACCESS(emu.trap) || cpu.trap != 3 ||
	    !(cpu.s.media[IMAGE_SW] & 0x80))
		return false;
	if (!store_elsewhere(in) || memcmp(other.data, pattern, DATA_SIZE))
		return false;
	emu = other;
	emu.s.regs[X86_RBX] = in->regs[X86_RBX];
	emu.s.rip = in->rip + ctxt.d.len;
	return true;
}

/*
 * Ten bytes are two accesses: the first eight may fault before the last two are
 * looked at, and may be written when the last two fault.
 */
static bool ten_bytes(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	u64 linear = operand_linear(ctxt.d.seg, ctxt.d.ea), at = linear - DATA;

	if (!(IS(fst) || IS(fload)) || ctxt.d.op[0].bytes != 10 || !both_fault())
		return false;
	if (emu.trap != EXC_PF && faults_within(linear, 8, IS(fst))) {
		set_fault(&cpu);
		return true;
	}
	if (!IS(fst) || at > DATA_SIZE - 8 || !store_elsewhere(in) ||
	    memcmp(cpu.data + at, other.data, 8))
		return false;
	memcpy(emu.data + at, other.data, 8);
	return true;
}

/*
 * SDM 1 "Transitions Between x87 FPU and MMX Code": MMX instructions make all
 * registers valid, and the top 0; either may have been done when the memory faults.
 */
static bool mmx_before_fault(const struct state *in)
{
	if (!(ctxt.d.row->flags & F_MMX) || !both_fault() || cpu.s.media[IMAGE_SW + 1] & 0x38)
		return false;
	enter_mmx();
	if (cpu.s.media[IMAGE_TAGS] == in->media[IMAGE_TAGS])
		emu.s.media[IMAGE_TAGS] = in->media[IMAGE_TAGS];
	return true;
}

/* ---- masked moves ---- */

/* SDM 2B "MASKMOVDQU": what of the 16 bytes faults is the implementation's. */
static bool maskmov_order(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	u64 mask = x86_mask(ctxt.d.ad_bytes), ea = in->regs[X86_RDI] & mask;
	unsigned int seg = data_seg(&ctxt.d);

	if (!IS(maskmov) || !both_fault() ||
	    !(faults_within(operand_linear(seg, ea), 8, true) ||
	      faults_within(operand_linear(seg, (ea + 8) & mask), 8, true)))
		return false;
	set_fault(&cpu);
	return true;
}

/* Of VMASKMOV's and VPMASKMOV's elements, those that the mask has may fault in any order. */
static bool element_order(const struct state *in)
{
	int (*exec)(struct x86_emulate_ctxt *) = ctxt.d.row->exec;
	bool write = ctxt.d.op[0].kind == OPK_MEM;
	unsigned int bytes = ctxt.d.op[0].bytes, size, at;
	u64 linear = operand_linear(ctxt.d.seg, ctxt.d.ea), end;
	static struct x86_emulate_ctxt c;
	u8 mask[32];

	(void)in;
	if (!IS(vmaskmov) || !both_fault())
		return false;
	c = ctxt;
	if (cpu.trap == EXC_PF) {
		if (!faults_within(linear, bytes, write))
			return false;
		size = ctxt.d.opcode & (ctxt.d.opcode < 0x80 ? 1 : 0) || ctxt.d.rex & 8 ? 8 : 4;
		at = (unsigned int)(cpu.cr2 - linear) & ~(size - 1);
		ops.get_vec(&c, ctxt.d.op[1].reg, mask, 32);
		if (!(mask[at + size - 1] & 0x80))
			return false;
	} else if (cpu.error || x86em_linearize(&c, ctxt.d.seg, ctxt.d.ea, bytes, write, &end) ==
			X86EMUL_CONTINUE) {
		return false;
	}
	set_fault(&cpu);
	return true;
}

/* Those that change registers or flags before those that look at the fault. */
static const struct {
	const char *what;
	bool (*take)(const struct state *in);
	bool undecoded;
} liberties[LIBERTIES] = {
	{ "instructions of the host", of_host, true },
	{ "too long or undefined", too_long_or_undefined, true },
	{ "LOCK VERW", lock_verw, true },
	{ "16 bits of PUSH of a segment register", push_of_segment, false },
	{ "flags of a repeated comparison of many batches", repeated_flags, false },
	{ "upper halves in repeated string instructions with 67", repeated_upper_halves, false },
	{ "what POPA had popped before its fault", popa_part, false },
	{ "MMX state at a fault", mmx_before_fault, false },
	{ "ten bytes as eight and two", ten_bytes, false },
	{ "x87 stores of nothing", store_of_nothing, false },
	{ "XBEGIN's abort status", abort_status, false },
	{ "wrap at 4 GiB", wrap_at_4gib, false },
	{ "order of CMPS's operands", cmps_order, false },
	{ "order of near CALL's target and stack", call_order, false },
	{ "order of BOUND's bounds", bound_order, false },
	{ "order within images", image_order, false },
	{ "order within MASKMOVQ's and MASKMOVDQU's operand", maskmov_order, false },
	{ "order of VMASKMOV's elements", element_order, false },
};

/* Is cpu what emu may be as well?  Then the rules that say so are counted. */
bool is_allowed(const struct state *in)
{
	static struct outcome before, last;
	u32 taken = 0;
	unsigned int i;

	before = last = emu;
	for (i = 0; i < LIBERTIES; i++) {
		if (!ctxt.d.len && !liberties[i].undecoded)
			continue;
		if (!liberties[i].take(in) || !memcmp(&emu, &last, sizeof(emu)))
			continue;
		taken |= 1u << i;
		if (same())
			break;
		last = emu;
	}
	if (i == LIBERTIES) {
		emu = before;
		return false;
	}
	for (i = 0; i < LIBERTIES; i++)
		stats->liberties[i] += taken >> i & 1;
	stats->allowed++;
	return true;
}

void print_liberties(const char *mode, const struct stats *sum)
{
	unsigned int i;

	for (i = 0; i < LIBERTIES; i++)
		if (sum->liberties[i])
			printf("# %s: %lu by %s\n", mode, sum->liberties[i], liberties[i].what);
}
