// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator: one executor for each mnemonic (em_xxx), and what they stand
 * on.  x86_emulate_insn(), at the end, loads the operands that the tables in
 * x86_decode.c name, calls the executor, and stores operand 0.
 *
 * Executors change registers through set_reg(), which can be undone, and
 * segments, control registers and memory, which cannot, only after everything
 * that may fault.
 */
#include "x86_decode.h"

#define CR0_MP (1u << 1)
#define CR0_EM (1u << 2)
#define CR0_TS (1u << 3)
#define CR4_VME (1u << 0)
#define CR4_PVI (1u << 1)
#define CR4_TSD (1u << 2)
#define CR4_DE (1u << 3)
#define CR4_PCE (1u << 8)
#define CR4_OSFXSR (1u << 9)
#define CR4_UMIP (1u << 11)
#define CR4_FSGSBASE (1u << 16)

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

/* ---- exceptions ---- */

int x86_emulate_fault(struct x86_emulate_ctxt *ctxt, u8 vector)
{
	ctxt->exception.valid = true;
	ctxt->exception.vector = vector;
	ctxt->exception.has_error_code = false;
	ctxt->exception.error_code = 0;
	return X86EMUL_PROPAGATE_FAULT;
}

int x86_emulate_fault_code(struct x86_emulate_ctxt *ctxt, u8 vector, u32 code)
{
	x86_emulate_fault(ctxt, vector);
	ctxt->exception.has_error_code = true;
	ctxt->exception.error_code = code;
	return X86EMUL_PROPAGATE_FAULT;
}

int x86_emulate_page_fault(struct x86_emulate_ctxt *ctxt, u64 address, u32 code)
{
	ctxt->exception.address = address;
	return x86_emulate_fault_code(ctxt, EXC_PF, code);
}

static int fault_ud(struct x86_emulate_ctxt *ctxt)
{
	return x86_emulate_fault(ctxt, EXC_UD);
}

static int fault_gp(struct x86_emulate_ctxt *ctxt, u32 code)
{
	return x86_emulate_fault_code(ctxt, EXC_GP, code);
}

/* ---- registers ---- */

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

void x86_emulate_set_reg(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val)
{
	set_reg(ctxt, nr & (X86_NR_GPR - 1), val);
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

static void put_ah(struct x86_emulate_ctxt *ctxt, u8 val)
{
	set_reg(ctxt, X86_RAX, (ctxt->regs[X86_RAX] & ~0xff00ull) | (u64)val << 8);
}

static inline void set_flags(struct x86_emulate_ctxt *ctxt, u32 mask, u32 val)
{
	ctxt->rflags = (ctxt->rflags & ~(u64)mask) | (val & mask);
}

static inline bool flag(const struct x86_emulate_ctxt *ctxt, u32 mask)
{
	return ctxt->rflags & mask;
}

/* ---- modes and privilege ---- */

static inline bool mode64(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->mode == X86EMUL_MODE_PROT64;
}

static inline bool prot_mode(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->mode >= X86EMUL_MODE_PROT16;
}

static unsigned int cpl(struct x86_emulate_ctxt *ctxt)
{
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return 0;
	if (ctxt->mode == X86EMUL_MODE_VM86)
		return 3;
	return ctxt->ops->get_cpl(ctxt);
}

static unsigned int iopl(const struct x86_emulate_ctxt *ctxt)
{
	return ctxt->rflags >> 12 & 3;
}

static bool has_feature(struct x86_emulate_ctxt *ctxt, enum x86emul_feature f)
{
	return !ctxt->ops->has_feature || ctxt->ops->has_feature(ctxt, f);
}

static int get_efer(struct x86_emulate_ctxt *ctxt, u64 *efer)
{
	return ctxt->ops->get_msr(ctxt, MSR_EFER_NR, efer);
}

/* Is this IA-32e mode, compatibility mode included? */
static int long_mode(struct x86_emulate_ctxt *ctxt, bool *active)
{
	u64 efer = 0;
	int rc = X86EMUL_CONTINUE;

	*active = mode64(ctxt);
	if (ctxt->mode == X86EMUL_MODE_PROT16 || ctxt->mode == X86EMUL_MODE_PROT32) {
		rc = get_efer(ctxt, &efer);
		*active = efer & EFER_LMA_BIT;
	}
	return rc;
}

/* ---- memory ---- */

static int seg_fault(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	return x86_emulate_fault_code(ctxt, seg == X86_SEG_SS ? EXC_SS : EXC_GP, 0);
}

/* SDM 3A "Limit Checking" and "Type Checking" */
static bool segment_allows(struct x86_emulate_ctxt *ctxt, const struct x86_seg *s,
			   u64 ea, unsigned int bytes, bool write)
{
	u64 last = ea + bytes - 1;
	bool code = s->type & 8;

	if (prot_mode(ctxt)) {
		if (s->unusable)
			return false;
		if (write && (code || !(s->type & 2)))
			return false;
		if (!write && code && !(s->type & 2))
			return false;
		/* Expand-down: what is above the limit is inside. */
		if (!code && (s->type & 4))
			return ea > s->limit && last <= (s->db ? 0xffffffff : 0xffff);
	}
	return last <= s->limit;
}

static u64 segment_base(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	struct x86_seg s;

	if (mode64(ctxt) && seg < X86_SEG_FS)
		return 0;
	if (ctxt->ops->get_segment_base)
		return ctxt->ops->get_segment_base(ctxt, seg);
	ctxt->ops->get_segment(ctxt, seg, &s);
	return s.base;
}

/*
 * The linear address of bytes at seg:ea.  seg is SS for references by rSP and
 * rBP, whose faults are #SS in 64-bit mode too, where limits are not checked:
 * SDM 1 "Canonical Addressing".
 */
static int linearize(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		     unsigned int bytes, bool write, u64 *linear)
{
	struct x86_seg s;

	if (mode64(ctxt)) {
		if (seg >= X86_SEG_FS) {
			/* AMD's processors want the offset canonical as well. */
			if (ctxt->amd && !x86_canonical(ctxt, ea))
				return seg_fault(ctxt, seg);
			ea += segment_base(ctxt, seg);
		}
		if (!x86_canonical(ctxt, ea) || !x86_canonical(ctxt, ea + bytes - 1))
			return seg_fault(ctxt, seg);
		*linear = ea;
		return X86EMUL_CONTINUE;
	}

	ctxt->ops->get_segment(ctxt, seg, &s);
	if (!segment_allows(ctxt, &s, ea, bytes, write))
		return seg_fault(ctxt, seg);
	*linear = (u32)(s.base + ea);
	/* Processors disagree on what comes after the last byte of 4 GiB. */
	if (*linear + bytes - 1 > 0xffffffff)
		return X86EMUL_UNHANDLEABLE;
	return X86EMUL_CONTINUE;
}

/* MOVAPS and CMPXCHG16B find this out before they look at limits. */
static int check_aligned(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	if ((segment_base(ctxt, ctxt->d.seg) + ctxt->d.ea) & (bytes - 1))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* A read that is replayed on a restart: see x86_emulate.h. */
static int mem_read(struct x86_emulate_ctxt *ctxt, u64 linear, void *val,
		    unsigned int bytes, unsigned int access)
{
	struct x86_read_cache *rc = &ctxt->rc;
	int ret;

	if (bytes > sizeof(rc->data) - rc->pos)
		return X86EMUL_UNHANDLEABLE;
	if (rc->pos < rc->end) {
		if (bytes > (unsigned int)(rc->end - rc->pos))
			return X86EMUL_UNHANDLEABLE;
		memcpy(val, rc->data + rc->pos, bytes);
		rc->pos += bytes;
		return X86EMUL_CONTINUE;
	}
	ret = ctxt->ops->read(ctxt, linear, val, bytes, access);
	if (ret == X86EMUL_CONTINUE) {
		memcpy(rc->data + rc->pos, val, bytes);
		rc->pos += bytes;
		rc->end = rc->pos;
	} else if (ret == X86EMUL_IO_NEEDED) {
		rc->pending = bytes;
		rc->pending_addr = linear;
	}
	return ret;
}

void x86_emulate_read_done(struct x86_emulate_ctxt *ctxt, const void *val,
			   unsigned int bytes)
{
	struct x86_read_cache *rc = &ctxt->rc;

	if (!rc->pending || bytes != rc->pending ||
	    bytes > sizeof(rc->data) - rc->end)
		return;
	memcpy(rc->data + rc->end, val, bytes);
	rc->end += bytes;
	rc->pending = 0;
}

static int mem_write(struct x86_emulate_ctxt *ctxt, u64 linear, const void *val,
		     unsigned int bytes, unsigned int access)
{
	return ctxt->ops->write(ctxt, linear, val, bytes, access);
}

static int read_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		    void *val, unsigned int bytes)
{
	u64 linear;
	int rc;

	rc = linearize(ctxt, seg, ea, bytes, false, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return mem_read(ctxt, linear, val, bytes, 0);
}

static int write_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		     const void *val, unsigned int bytes)
{
	u64 linear;
	int rc;

	rc = linearize(ctxt, seg, ea, bytes, true, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return mem_write(ctxt, linear, val, bytes, 0);
}

/* The memory operand, or what lies offset bytes behind it. */
static int read_ea(struct x86_emulate_ctxt *ctxt, unsigned int offset, void *val,
		   unsigned int bytes)
{
	u64 ea = (ctxt->d.ea + offset) & x86_mask(ctxt->d.ad_bytes);

	return read_seg(ctxt, ctxt->d.seg, ea, val, bytes);
}

/* Is this store's destination good?  Where the store itself comes too late. */
static int probe_write(struct x86_emulate_ctxt *ctxt, u64 linear,
		       unsigned int bytes)
{
	int rc;

	if (!ctxt->ops->probe)
		return X86EMUL_CONTINUE;
	rc = ctxt->ops->probe(ctxt, linear, bytes, X86EMUL_ACC_WRITE);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_CONTINUE : rc;
}

/* ---- the stack ---- */

static unsigned int stack_bytes(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg ss;

	if (mode64(ctxt))
		return 8;
	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	return ss.db ? 4 : 2;
}

static void add_rsp(struct x86_emulate_ctxt *ctxt, u64 delta)
{
	add_reg(ctxt, X86_RSP, delta, stack_bytes(ctxt));
}

static int push(struct x86_emulate_ctxt *ctxt, u64 val, unsigned int bytes)
{
	unsigned int width = stack_bytes(ctxt);
	u64 sp = (ctxt->regs[X86_RSP] - bytes) & x86_mask(width);
	int rc;

	rc = write_seg(ctxt, X86_SEG_SS, sp, &val, bytes);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RSP, sp, width);
	return rc;
}

static int pop(struct x86_emulate_ctxt *ctxt, u64 *val, unsigned int bytes)
{
	unsigned int width = stack_bytes(ctxt);
	u64 sp = get_reg(ctxt, X86_RSP, width);
	int rc;

	*val = 0;
	rc = read_seg(ctxt, X86_SEG_SS, sp, val, bytes);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RSP, sp + bytes, width);
	return rc;
}

/* ---- flags ---- */

static inline u64 msb(unsigned int bytes)
{
	return 1ull << (bytes * 8 - 1);
}

static inline u32 flags_zsp(u64 res, unsigned int bytes)
{
	unsigned int low = res & 0xff;
	u32 f = 0;

	/* Bit n of the constant: is the parity of nibble n even? */
	if (0x9669 >> ((low ^ low >> 4) & 15) & 1)
		f |= X86_FLAG_PF;
	if (!(res & x86_mask(bytes)))
		f |= X86_FLAG_ZF;
	if (res & msb(bytes))
		f |= X86_FLAG_SF;
	return f;
}

static void flags_logic(struct x86_emulate_ctxt *ctxt, u64 res, unsigned int bytes)
{
	set_flags(ctxt, X86_FLAGS_STATUS, flags_zsp(res, bytes));
}

/* Flags of res = a + b (+ carry); carry: each bit's carry out. */
static void flags_add(struct x86_emulate_ctxt *ctxt, u64 a, u64 b, u64 res,
		      unsigned int bytes, u32 mask)
{
	u64 carry = (a & b) | ((a | b) & ~res);
	u32 f = flags_zsp(res, bytes);

	if (carry & msb(bytes))
		f |= X86_FLAG_CF;
	if (carry & 8)
		f |= X86_FLAG_AF;
	if ((a ^ res) & (b ^ res) & msb(bytes))
		f |= X86_FLAG_OF;
	set_flags(ctxt, mask, f);
}

/* Flags of res = a - b (- borrow) */
static void flags_sub(struct x86_emulate_ctxt *ctxt, u64 a, u64 b, u64 res,
		      unsigned int bytes, u32 mask)
{
	u64 borrow = (~a & b) | ((~a | b) & res);
	u32 f = flags_zsp(res, bytes);

	if (borrow & msb(bytes))
		f |= X86_FLAG_CF;
	if (borrow & 8)
		f |= X86_FLAG_AF;
	if ((a ^ b) & (a ^ res) & msb(bytes))
		f |= X86_FLAG_OF;
	set_flags(ctxt, mask, f);
}

/* SDM 2A "EFLAGS Condition Codes": the low four bits of Jcc, SETcc, CMOVcc */
static bool condition(const struct x86_emulate_ctxt *ctxt, unsigned int cc)
{
	bool sf = flag(ctxt, X86_FLAG_SF), of = flag(ctxt, X86_FLAG_OF);
	bool res;

	switch (cc >> 1 & 7) {
	case 0:
		res = of;
		break;
	case 1:
		res = flag(ctxt, X86_FLAG_CF);
		break;
	case 2:
		res = flag(ctxt, X86_FLAG_ZF);
		break;
	case 3:
		res = flag(ctxt, X86_FLAG_CF | X86_FLAG_ZF);
		break;
	case 4:
		res = sf;
		break;
	case 5:
		res = flag(ctxt, X86_FLAG_PF);
		break;
	case 6:
		res = sf != of;
		break;
	default:
		res = sf != of || flag(ctxt, X86_FLAG_ZF);
		break;
	}
	return res != (cc & 1);
}

/* ---- moves and arithmetic ---- */

#define OP0 (ctxt->d.op[0])
#define OP1 (ctxt->d.op[1])
#define OP2 (ctxt->d.op[2])

int em_mov(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = OP1.val;
	return X86EMUL_CONTINUE;
}

static void do_add(struct x86_emulate_ctxt *ctxt, unsigned int carry)
{
	u64 a = OP0.val, b = OP1.val, res = a + b + carry;

	flags_add(ctxt, a, b, res, OP0.bytes, X86_FLAGS_STATUS);
	OP0.val = res;
}

static void do_sub(struct x86_emulate_ctxt *ctxt, unsigned int borrow)
{
	u64 a = OP0.val, b = OP1.val, res = a - b - borrow;

	flags_sub(ctxt, a, b, res, OP0.bytes, X86_FLAGS_STATUS);
	OP0.val = res;
}

int em_add(struct x86_emulate_ctxt *ctxt)
{
	do_add(ctxt, 0);
	return X86EMUL_CONTINUE;
}

int em_adc(struct x86_emulate_ctxt *ctxt)
{
	do_add(ctxt, flag(ctxt, X86_FLAG_CF));
	return X86EMUL_CONTINUE;
}

int em_sub(struct x86_emulate_ctxt *ctxt)
{
	do_sub(ctxt, 0);
	return X86EMUL_CONTINUE;
}

int em_sbb(struct x86_emulate_ctxt *ctxt)
{
	do_sub(ctxt, flag(ctxt, X86_FLAG_CF));
	return X86EMUL_CONTINUE;
}

/* Its rows have no destination: operand 0 is not stored. */
int em_cmp(struct x86_emulate_ctxt *ctxt)
{
	do_sub(ctxt, 0);
	return X86EMUL_CONTINUE;
}

int em_or(struct x86_emulate_ctxt *ctxt)
{
	OP0.val |= OP1.val;
	flags_logic(ctxt, OP0.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

int em_and(struct x86_emulate_ctxt *ctxt)
{
	OP0.val &= OP1.val;
	flags_logic(ctxt, OP0.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

int em_xor(struct x86_emulate_ctxt *ctxt)
{
	OP0.val ^= OP1.val;
	flags_logic(ctxt, OP0.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

int em_test(struct x86_emulate_ctxt *ctxt)
{
	flags_logic(ctxt, OP0.val & OP1.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

int em_inc(struct x86_emulate_ctxt *ctxt)
{
	u64 a = OP0.val;

	OP0.val = a + 1;
	flags_add(ctxt, a, 1, a + 1, OP0.bytes, X86_FLAGS_STATUS & ~X86_FLAG_CF);
	return X86EMUL_CONTINUE;
}

int em_dec(struct x86_emulate_ctxt *ctxt)
{
	u64 a = OP0.val;

	OP0.val = a - 1;
	flags_sub(ctxt, a, 1, a - 1, OP0.bytes, X86_FLAGS_STATUS & ~X86_FLAG_CF);
	return X86EMUL_CONTINUE;
}

int em_not(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = ~OP0.val;
	return X86EMUL_CONTINUE;
}

int em_neg(struct x86_emulate_ctxt *ctxt)
{
	u64 a = OP0.val;

	OP0.val = 0 - a;
	flags_sub(ctxt, 0, a, OP0.val, OP0.bytes, X86_FLAGS_STATUS);
	return X86EMUL_CONTINUE;
}

/* Also 0F 38 F6 with 66 and F3, which touch one flag each. */
static int add_with(struct x86_emulate_ctxt *ctxt, u32 flag_bit)
{
	unsigned int carry = flag(ctxt, flag_bit);
	u64 a = OP0.val, b = OP1.val, res = a + b + carry;
	u64 out = (a & b) | ((a | b) & ~res);

	if (!has_feature(ctxt, X86EMUL_FEAT_ADX))
		return fault_ud(ctxt);
	OP0.val = res;
	set_flags(ctxt, flag_bit, out & msb(OP0.bytes) ? flag_bit : 0);
	return X86EMUL_CONTINUE;
}

int em_adcx(struct x86_emulate_ctxt *ctxt)
{
	return add_with(ctxt, X86_FLAG_CF);
}

int em_adox(struct x86_emulate_ctxt *ctxt)
{
	return add_with(ctxt, X86_FLAG_OF);
}

/* Full product of two 64-bit numbers, without help of a 128-bit type. */
static void multiply(u64 a, u64 b, u64 *hi, u64 *lo)
{
	u64 al = (u32)a, ah = a >> 32, bl = (u32)b, bh = b >> 32;
	u64 low = al * bl;
	u64 mid1 = ah * bl + (low >> 32);
	u64 mid2 = al * bh + (u32)mid1;

	*lo = mid2 << 32 | (u32)low;
	*hi = ah * bh + (mid1 >> 32) + (mid2 >> 32);
}

/* The same of signed ones; overflow: it does not fit in bytes. */
static void multiply_signed(u64 a, u64 b, unsigned int bytes, u64 *hi, u64 *lo,
			    bool *overflow)
{
	a = x86_sext(a, bytes);
	b = x86_sext(b, bytes);
	multiply(a, b, hi, lo);
	if ((s64)a < 0)
		*hi -= b;
	if ((s64)b < 0)
		*hi -= a;
	*overflow = x86_sext(*lo, bytes) != *lo ||
		    *hi != (u64)((s64)*lo >> 63);
}

/* The double-width result of MUL, and the operands of DIV: AX, or rDX:rAX. */
static void put_double(struct x86_emulate_ctxt *ctxt, u64 hi, u64 lo,
		       unsigned int bytes)
{
	if (bytes == 1) {
		put_reg(ctxt, X86_RAX, (lo & 0xff) | (hi & 0xff) << 8, 2);
		return;
	}
	put_reg(ctxt, X86_RAX, lo, bytes);
	put_reg(ctxt, X86_RDX, hi, bytes);
}

static void put_product(struct x86_emulate_ctxt *ctxt, u64 hi, u64 lo,
			unsigned int bytes, bool overflow)
{
	if (bytes < 8)
		hi = lo >> (bytes * 8);
	put_double(ctxt, hi, lo, bytes);
	set_flags(ctxt, X86_FLAG_CF | X86_FLAG_OF,
		  overflow ? X86_FLAG_CF | X86_FLAG_OF : 0);
}

int em_mul(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 hi, lo;

	multiply(get_reg(ctxt, X86_RAX, bytes), OP0.val, &hi, &lo);
	put_product(ctxt, hi, lo, bytes, hi || (lo & ~x86_mask(bytes)));
	return X86EMUL_CONTINUE;
}

int em_imul(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	bool overflow;
	u64 hi, lo;

	multiply_signed(ctxt->regs[X86_RAX], OP0.val, bytes, &hi, &lo, &overflow);
	put_product(ctxt, hi, lo, bytes, overflow);
	return X86EMUL_CONTINUE;
}

static int imul_to_op0(struct x86_emulate_ctxt *ctxt, u64 a, u64 b)
{
	bool overflow;
	u64 hi;

	multiply_signed(a, b, OP0.bytes, &hi, &OP0.val, &overflow);
	set_flags(ctxt, X86_FLAG_CF | X86_FLAG_OF,
		  overflow ? X86_FLAG_CF | X86_FLAG_OF : 0);
	return X86EMUL_CONTINUE;
}

int em_imul_2(struct x86_emulate_ctxt *ctxt)
{
	return imul_to_op0(ctxt, OP0.val, OP1.val);
}

int em_imul_3(struct x86_emulate_ctxt *ctxt)
{
	return imul_to_op0(ctxt, OP1.val, OP2.val);
}

/*
 * hi:lo / divisor, each of bits bits and hi < divisor: the schoolbook's way,
 * since a 32-bit kernel has no 64-bit division, let alone one of 128.
 */
static void divide(u64 hi, u64 lo, u64 divisor, unsigned int bits, u64 *quot,
		   u64 *rem)
{
	bool carry;

	*quot = 0;
	while (bits--) {
		carry = hi >> 63;
		hi = hi << 1 | (lo >> bits & 1);
		*quot <<= 1;
		if (carry || hi >= divisor) {
			hi -= divisor;
			*quot |= 1;
		}
	}
	*rem = hi;
}

static void get_double(struct x86_emulate_ctxt *ctxt, u64 *hi, u64 *lo,
		       unsigned int bytes)
{
	*lo = get_reg(ctxt, X86_RAX, bytes);
	if (bytes == 1)
		*hi = ctxt->regs[X86_RAX] >> 8 & 0xff;
	else
		*hi = get_reg(ctxt, X86_RDX, bytes);
}

int em_div(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 hi, lo, quot, rem;

	get_double(ctxt, &hi, &lo, bytes);
	if (hi >= OP0.val)
		return x86_emulate_fault(ctxt, EXC_DE);
	divide(hi, lo, OP0.val, bytes * 8, &quot, &rem);
	put_double(ctxt, rem, quot, bytes);
	return X86EMUL_CONTINUE;
}

int em_idiv(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 mask = x86_mask(bytes), divisor = OP0.val;
	bool neg_dividend, neg_divisor;
	u64 hi, lo, quot, rem;

	get_double(ctxt, &hi, &lo, bytes);
	neg_dividend = hi & msb(bytes);
	neg_divisor = divisor & msb(bytes);
	if (neg_dividend) {
		lo = (0 - lo) & mask;
		hi = (~hi + !lo) & mask;
	}
	if (neg_divisor)
		divisor = (0 - divisor) & mask;
	if (hi >= divisor)
		return x86_emulate_fault(ctxt, EXC_DE);
	divide(hi, lo, divisor, bytes * 8, &quot, &rem);
	if (quot > msb(bytes) - (neg_dividend == neg_divisor))
		return x86_emulate_fault(ctxt, EXC_DE);
	if (neg_dividend != neg_divisor)
		quot = 0 - quot;
	if (neg_dividend)
		rem = 0 - rem;
	put_double(ctxt, rem, quot, bytes);
	return X86EMUL_CONTINUE;
}

/* ---- shifts and rotates ---- */

static unsigned int shift_count(const struct x86_operand *dst, u64 count)
{
	return count & (dst->bytes == 8 ? 63 : 31);
}

static void flags_rotate(struct x86_emulate_ctxt *ctxt, bool cf, bool of)
{
	set_flags(ctxt, X86_FLAG_CF | X86_FLAG_OF,
		  (cf ? X86_FLAG_CF : 0) | (of ? X86_FLAG_OF : 0));
}

int em_rol(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = shift_count(&OP0, OP1.val);
	u64 val = OP0.val;

	if (!n)
		return X86EMUL_CONTINUE;
	n &= bits - 1;
	if (n)
		val = (val << n | val >> (bits - n)) & x86_mask(OP0.bytes);
	OP0.val = val;
	flags_rotate(ctxt, val & 1, (val & 1) != !!(val & msb(OP0.bytes)));
	return X86EMUL_CONTINUE;
}

int em_ror(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = shift_count(&OP0, OP1.val);
	u64 top = msb(OP0.bytes), val = OP0.val;

	if (!n)
		return X86EMUL_CONTINUE;
	n &= bits - 1;
	if (n)
		val = (val >> n | val << (bits - n)) & x86_mask(OP0.bytes);
	OP0.val = val;
	flags_rotate(ctxt, val & top, !(val & top) != !(val & top >> 1));
	return X86EMUL_CONTINUE;
}

int em_rcl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = shift_count(&OP0, OP1.val) % (OP0.bytes * 8 + 1);
	u64 top = msb(OP0.bytes);
	bool cf = flag(ctxt, X86_FLAG_CF), out;

	if (!shift_count(&OP0, OP1.val))
		return X86EMUL_CONTINUE;
	while (n--) {
		out = OP0.val & top;
		OP0.val = OP0.val << 1 | cf;
		cf = out;
	}
	flags_rotate(ctxt, cf, cf != !!(OP0.val & top));
	return X86EMUL_CONTINUE;
}

int em_rcr(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = shift_count(&OP0, OP1.val) % (OP0.bytes * 8 + 1);
	u64 top = msb(OP0.bytes);
	bool cf = flag(ctxt, X86_FLAG_CF), out;

	if (!shift_count(&OP0, OP1.val))
		return X86EMUL_CONTINUE;
	while (n--) {
		out = OP0.val & 1;
		OP0.val = OP0.val >> 1 | (cf ? top : 0);
		cf = out;
	}
	flags_rotate(ctxt, cf, !(OP0.val & top) != !(OP0.val & top >> 1));
	return X86EMUL_CONTINUE;
}

/* AF is undefined; the processors we know clear it. */
static void flags_shift(struct x86_emulate_ctxt *ctxt, u64 res, unsigned int bytes,
			bool cf, bool of)
{
	set_flags(ctxt, X86_FLAGS_STATUS, flags_zsp(res, bytes) |
		  (cf ? X86_FLAG_CF : 0) | (of ? X86_FLAG_OF : 0));
}

int em_shl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = shift_count(&OP0, OP1.val);
	u64 top = msb(OP0.bytes), before;

	if (!n)
		return X86EMUL_CONTINUE;
	before = OP0.val << (n - 1);
	OP0.val = before << 1;
	flags_shift(ctxt, OP0.val, OP0.bytes, before & top,
		    !(before & top) != !(OP0.val & top));
	return X86EMUL_CONTINUE;
}

int em_shr(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = shift_count(&OP0, OP1.val);
	u64 before;

	if (!n)
		return X86EMUL_CONTINUE;
	before = OP0.val >> (n - 1);
	/* OF, defined for a count of 1: the sign was lost. */
	flags_shift(ctxt, before >> 1, OP0.bytes, before & 1,
		    before & msb(OP0.bytes));
	OP0.val = before >> 1;
	return X86EMUL_CONTINUE;
}

int em_sar(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = shift_count(&OP0, OP1.val);
	s64 before;

	if (!n)
		return X86EMUL_CONTINUE;
	before = (s64)x86_sext(OP0.val, OP0.bytes) >> (n - 1);
	OP0.val = (u64)(before >> 1);
	flags_shift(ctxt, OP0.val, OP0.bytes, before & 1, false);
	return X86EMUL_CONTINUE;
}

/*
 * Counts above the operand size (16-bit ones only) are undefined; ours are
 * those of hardware that shifts the pair in round and round.
 */
int em_shld(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = shift_count(&OP0, OP2.val);
	u64 dst = OP0.val, src = OP1.val, top = msb(OP0.bytes), res;
	bool cf;

	if (!n)
		return X86EMUL_CONTINUE;
	if (n > bits) {
		n -= bits;
		cf = src >> (bits - n) & 1;
		res = src << n | dst >> (bits - n);
	} else {
		cf = dst >> (bits - n) & 1;
		res = n == bits ? src : dst << n | src >> (bits - n);
	}
	OP0.val = res;
	flags_shift(ctxt, res, OP0.bytes, cf, !(res & top) != !(dst & top));
	return X86EMUL_CONTINUE;
}

int em_shrd(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = shift_count(&OP0, OP2.val);
	u64 dst = OP0.val, src = OP1.val, top = msb(OP0.bytes), res;
	bool cf;

	if (!n)
		return X86EMUL_CONTINUE;
	if (n > bits) {
		n -= bits;
		cf = src >> (n - 1) & 1;
		res = src >> n | dst << (bits - n);
	} else {
		cf = dst >> (n - 1) & 1;
		res = n == bits ? src : dst >> n | src << (bits - n);
	}
	OP0.val = res;
	flags_shift(ctxt, res, OP0.bytes, cf, !(res & top) != !(dst & top));
	return X86EMUL_CONTINUE;
}

/* ---- operands ---- */

/* A general register or memory; modify: it will be stored to as well. */
static int load_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
			bool modify)
{
	u64 linear;
	int rc;

	if (op->kind == OPK_REG) {
		op->val = ctxt->regs[op->reg] >> (op->high * 8) & x86_mask(op->bytes);
		return X86EMUL_CONTINUE;
	}
	if (op->kind != OPK_MEM)
		return X86EMUL_CONTINUE;
	rc = linearize(ctxt, ctxt->d.seg, ctxt->d.ea, op->bytes, modify, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	op->val = 0;
	rc = mem_read(ctxt, linear, &op->val, op->bytes,
		      modify ? X86EMUL_ACC_WRITE : 0);
	if (modify) {
		ctxt->op0_linear = linear;
		ctxt->op0_old = op->val;
	}
	return rc;
}

static int store_op0(struct x86_emulate_ctxt *ctxt, u64 linear, u64 old, bool locked)
{
	const struct x86_operand *op = &ctxt->d.op[0];

	if (locked)
		return ctxt->ops->cmpxchg(ctxt, linear, &old, &op->val, op->bytes);
	return mem_write(ctxt, linear, &op->val, op->bytes, 0);
}

/* ---- bits and bytes ---- */

enum bit_action { BIT_TEST, BIT_SET, BIT_RESET, BIT_COMPLEMENT };

static u64 bit_apply(struct x86_emulate_ctxt *ctxt, u64 val, unsigned int bit,
		     enum bit_action action)
{
	u64 mask = 1ull << bit;

	set_flags(ctxt, X86_FLAG_CF, val >> bit & 1 ? X86_FLAG_CF : 0);
	switch (action) {
	case BIT_SET:
		return val | mask;
	case BIT_RESET:
		return val & ~mask;
	case BIT_COMPLEMENT:
		return val ^ mask;
	default:
		return val;
	}
}


/*
 * With the bit number in a register, a memory operand is a bit string: the
 * number is signed and may reach 2^63 bits away (SDM 2A "Bit(BitBase, BitOffset)").
 */
static int bit_op(struct x86_emulate_ctxt *ctxt, enum bit_action action)
{
	unsigned int bytes = OP0.bytes;
	u64 linear, ea, old = 0;
	s64 offset;
	int rc;

	if (OP1.kind == OPK_IMM || OP0.kind == OPK_REG) {
		if (OP1.kind != OPK_IMM)
			OP0.val = get_reg(ctxt, OP0.reg, bytes);
		OP0.val = bit_apply(ctxt, OP0.val, OP1.val & (bytes * 8 - 1), action);
		/* The register rows have no generic store. */
		if (OP1.kind != OPK_IMM && action != BIT_TEST)
			put_reg(ctxt, OP0.reg, OP0.val, bytes);
		return X86EMUL_CONTINUE;
	}

	offset = (s64)x86_sext(OP1.val, bytes);
	ea = ctxt->d.ea + ((u64)(offset >> 3) & ~(u64)(bytes - 1));
	ea &= x86_mask(ctxt->d.ad_bytes);
	rc = linearize(ctxt, ctxt->d.seg, ea, bytes, action != BIT_TEST, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = mem_read(ctxt, linear, &old, bytes,
		      action == BIT_TEST ? 0 : X86EMUL_ACC_WRITE);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	OP0.val = bit_apply(ctxt, old, offset & (bytes * 8 - 1), action);
	if (action == BIT_TEST)
		return X86EMUL_CONTINUE;
	return store_op0(ctxt, linear, old, ctxt->d.lock);
}

int em_bt(struct x86_emulate_ctxt *ctxt)
{
	return bit_op(ctxt, BIT_TEST);
}

int em_bts(struct x86_emulate_ctxt *ctxt)
{
	return bit_op(ctxt, BIT_SET);
}

int em_btr(struct x86_emulate_ctxt *ctxt)
{
	return bit_op(ctxt, BIT_RESET);
}

int em_btc(struct x86_emulate_ctxt *ctxt)
{
	return bit_op(ctxt, BIT_COMPLEMENT);
}

static unsigned int lowest_bit(u64 val)
{
	unsigned int n = 0;

	while (!(val & 1)) {
		val >>= 1;
		n++;
	}
	return n;
}

static unsigned int highest_bit(u64 val)
{
	unsigned int n = 0;

	while (val >>= 1)
		n++;
	return n;
}

/* Without a bit set, the destination stays: APM 3 says so, and all do it. */
static int bit_scan(struct x86_emulate_ctxt *ctxt, unsigned int (*find)(u64))
{
	set_flags(ctxt, X86_FLAG_ZF, OP1.val ? 0 : X86_FLAG_ZF);
	if (OP1.val)
		OP0.val = find(OP1.val);
	else
		ctxt->skip_write = true;
	return X86EMUL_CONTINUE;
}

int em_bsf(struct x86_emulate_ctxt *ctxt)
{
	return bit_scan(ctxt, lowest_bit);
}

int em_bsr(struct x86_emulate_ctxt *ctxt)
{
	return bit_scan(ctxt, highest_bit);
}

static int count_zeros(struct x86_emulate_ctxt *ctxt, u64 res)
{
	set_flags(ctxt, X86_FLAG_CF | X86_FLAG_ZF,
		  (OP1.val ? 0 : X86_FLAG_CF) | (res ? 0 : X86_FLAG_ZF));
	OP0.val = res;
	return X86EMUL_CONTINUE;
}

int em_tzcnt(struct x86_emulate_ctxt *ctxt)
{
	if (!has_feature(ctxt, X86EMUL_FEAT_TZCNT))
		return em_bsf(ctxt);
	return count_zeros(ctxt, OP1.val ? lowest_bit(OP1.val) : OP0.bytes * 8);
}

int em_lzcnt(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8;

	if (!has_feature(ctxt, X86EMUL_FEAT_LZCNT))
		return em_bsr(ctxt);
	return count_zeros(ctxt, OP1.val ? bits - 1 - highest_bit(OP1.val) : bits);
}

int em_popcnt(struct x86_emulate_ctxt *ctxt)
{
	u64 val = OP1.val;

	if (!has_feature(ctxt, X86EMUL_FEAT_POPCNT))
		return fault_ud(ctxt);
	for (OP0.val = 0; val; val &= val - 1)
		OP0.val++;
	set_flags(ctxt, X86_FLAGS_STATUS, OP0.val ? 0 : X86_FLAG_ZF);
	return X86EMUL_CONTINUE;
}

int em_movsx(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = x86_sext(OP1.val, OP1.bytes);
	return X86EMUL_CONTINUE;
}

int em_movsxd(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = x86_sext(OP1.val, 4);
	return X86EMUL_CONTINUE;
}

/* CBW, CWDE, CDQE */
int em_cbw(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;

	put_reg(ctxt, X86_RAX, x86_sext(ctxt->regs[X86_RAX], bytes / 2), bytes);
	return X86EMUL_CONTINUE;
}

/* CWD, CDQ, CQO */
int em_cwd(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;

	put_reg(ctxt, X86_RDX, ctxt->regs[X86_RAX] & msb(bytes) ? ~0ull : 0, bytes);
	return X86EMUL_CONTINUE;
}

static void put_operand(struct x86_emulate_ctxt *ctxt,
			const struct x86_operand *op, u64 val)
{
	if (op->high)
		set_reg(ctxt, op->reg, (ctxt->regs[op->reg] & ~0xff00ull) |
			(val & 0xff) << 8);
	else
		put_reg(ctxt, op->reg, val, op->bytes);
}

/* Operand 1 first: with both the same register, operand 0 is the result. */
int em_xchg(struct x86_emulate_ctxt *ctxt)
{
	u64 val = OP0.val;

	OP0.val = OP1.val;
	put_operand(ctxt, &OP1, val);
	return X86EMUL_CONTINUE;
}

/* 90 is no exchange at all: the upper half of RAX stays. */
int em_xchg_acc(struct x86_emulate_ctxt *ctxt)
{
	if (OP0.reg == X86_RAX) {
		ctxt->skip_write = true;
		return X86EMUL_CONTINUE;
	}
	return em_xchg(ctxt);
}

int em_xadd(struct x86_emulate_ctxt *ctxt)
{
	u64 dst = OP0.val;

	do_add(ctxt, 0);
	put_operand(ctxt, &OP1, dst);
	return X86EMUL_CONTINUE;
}

int em_cmpxchg(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 acc = get_reg(ctxt, X86_RAX, bytes), dst = OP0.val;

	flags_sub(ctxt, acc, dst, acc - dst, bytes, X86_FLAGS_STATUS);
	if (acc == dst) {
		OP0.val = OP1.val;
		return X86EMUL_CONTINUE;
	}
	put_reg(ctxt, X86_RAX, dst, bytes);
	ctxt->skip_write = true;
	return X86EMUL_CONTINUE;
}

/* CMPXCHG8B, CMPXCHG16B */
int em_cmpxchg8b(struct x86_emulate_ctxt *ctxt)
{
	unsigned int half = ctxt->d.op_bytes == 8 ? 8 : 4;
	u8 old[16], new[16];
	u64 linear, lo = 0, hi = 0;
	int rc;

	if (half == 8 && !has_feature(ctxt, X86EMUL_FEAT_CX16))
		return fault_ud(ctxt);
	if (half == 8) {
		rc = check_aligned(ctxt, 16);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	rc = linearize(ctxt, ctxt->d.seg, ctxt->d.ea, 2 * half, true, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = mem_read(ctxt, linear, old, 2 * half, X86EMUL_ACC_WRITE);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memcpy(&lo, old, half);
	memcpy(&hi, old + half, half);
	if (lo != get_reg(ctxt, X86_RAX, half) || hi != get_reg(ctxt, X86_RDX, half)) {
		set_flags(ctxt, X86_FLAG_ZF, 0);
		put_reg(ctxt, X86_RAX, lo, half);
		put_reg(ctxt, X86_RDX, hi, half);
		return X86EMUL_CONTINUE;
	}
	set_flags(ctxt, X86_FLAG_ZF, X86_FLAG_ZF);
	memcpy(new, &ctxt->regs[X86_RBX], half);
	memcpy(new + half, &ctxt->regs[X86_RCX], half);
	if (ctxt->d.lock)
		return ctxt->ops->cmpxchg(ctxt, linear, old, new, 2 * half);
	return mem_write(ctxt, linear, new, 2 * half, 0);
}

static u64 swap_bytes(u64 val, unsigned int bytes)
{
	u64 res = 0;

	while (bytes--) {
		res = res << 8 | (val & 0xff);
		val >>= 8;
	}
	return res;
}

int em_bswap(struct x86_emulate_ctxt *ctxt)
{
	/* Of 16 bits it is undefined; all we know of clear them. */
	OP0.val = OP0.bytes == 2 ? 0 : swap_bytes(OP0.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

int em_movbe(struct x86_emulate_ctxt *ctxt)
{
	if (!has_feature(ctxt, X86EMUL_FEAT_MOVBE))
		return fault_ud(ctxt);
	OP0.val = swap_bytes(OP1.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

int em_setcc(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = condition(ctxt, ctxt->d.opcode);
	return X86EMUL_CONTINUE;
}

/* A 32-bit one clears the upper half even if the condition is false. */
int em_cmovcc(struct x86_emulate_ctxt *ctxt)
{
	if (condition(ctxt, ctxt->d.opcode))
		OP0.val = OP1.val;
	return X86EMUL_CONTINUE;
}

int em_lea(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = ctxt->d.ea;
	return X86EMUL_CONTINUE;
}

int em_xlat(struct x86_emulate_ctxt *ctxt)
{
	unsigned int seg = ctxt->d.seg_override ? ctxt->d.seg_override - 1 : X86_SEG_DS;
	u64 ea = (ctxt->regs[X86_RBX] + (ctxt->regs[X86_RAX] & 0xff)) &
		 x86_mask(ctxt->d.ad_bytes);
	u8 val;
	int rc;

	rc = read_seg(ctxt, seg, ea, &val, 1);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RAX, val, 1);
	return rc;
}

int em_bound(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	s64 index = (s64)x86_sext(OP0.val, bytes);
	u64 lower = 0, upper = 0;
	int rc;

	rc = read_ea(ctxt, 0, &lower, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = read_ea(ctxt, bytes, &upper, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (index < (s64)x86_sext(lower, bytes) || index > (s64)x86_sext(upper, bytes))
		return x86_emulate_fault(ctxt, EXC_BR);
	return X86EMUL_CONTINUE;
}

/* ---- decimal arithmetic ---- */

static void adjust_ascii(struct x86_emulate_ctxt *ctxt, u64 delta)
{
	u64 ax = ctxt->regs[X86_RAX];
	bool adjust = (ax & 15) > 9 || flag(ctxt, X86_FLAG_AF);

	if (adjust)
		ax += delta;
	put_reg(ctxt, X86_RAX, ax & 0xff0f, 2);
	set_flags(ctxt, X86_FLAGS_STATUS, flags_zsp(ax & 15, 1) |
		  (adjust ? X86_FLAG_AF | X86_FLAG_CF : 0));
}

int em_aaa(struct x86_emulate_ctxt *ctxt)
{
	adjust_ascii(ctxt, 0x106);
	return X86EMUL_CONTINUE;
}

int em_aas(struct x86_emulate_ctxt *ctxt)
{
	adjust_ascii(ctxt, (u64)-0x106);
	return X86EMUL_CONTINUE;
}

static void adjust_decimal(struct x86_emulate_ctxt *ctxt, bool subtract)
{
	u64 al = ctxt->regs[X86_RAX] & 0xff, res = al;
	bool low = (al & 15) > 9 || flag(ctxt, X86_FLAG_AF);
	bool high = al > 0x99 || flag(ctxt, X86_FLAG_CF);
	bool cf = high;
	u64 delta = (low ? 6 : 0) + (high ? 0x60 : 0);

	res += subtract ? 0 - delta : delta;
	/* DAS also reports the borrow of the low digit's step. */
	if (subtract && low && al < 6)
		cf = true;
	put_reg(ctxt, X86_RAX, res, 1);
	set_flags(ctxt, X86_FLAGS_STATUS, flags_zsp(res, 1) |
		  (low ? X86_FLAG_AF : 0) | (cf ? X86_FLAG_CF : 0));
}

int em_daa(struct x86_emulate_ctxt *ctxt)
{
	adjust_decimal(ctxt, false);
	return X86EMUL_CONTINUE;
}

int em_das(struct x86_emulate_ctxt *ctxt)
{
	adjust_decimal(ctxt, true);
	return X86EMUL_CONTINUE;
}

int em_aam(struct x86_emulate_ctxt *ctxt)
{
	u32 al = ctxt->regs[X86_RAX] & 0xff, base = OP0.val;

	if (!base)
		return x86_emulate_fault(ctxt, EXC_DE);
	put_reg(ctxt, X86_RAX, al / base << 8 | al % base, 2);
	flags_logic(ctxt, al % base, 1);
	return X86EMUL_CONTINUE;
}

int em_aad(struct x86_emulate_ctxt *ctxt)
{
	u32 ax = ctxt->regs[X86_RAX] & 0xffff;
	u32 res = ((ax & 0xff) + (ax >> 8) * (u32)OP0.val) & 0xff;

	put_reg(ctxt, X86_RAX, res, 2);
	flags_logic(ctxt, res, 1);
	return X86EMUL_CONTINUE;
}

int em_salc(struct x86_emulate_ctxt *ctxt)
{
	put_reg(ctxt, X86_RAX, flag(ctxt, X86_FLAG_CF) ? 0xff : 0, 1);
	return X86EMUL_CONTINUE;
}

/* ---- the stack's instructions ---- */

int em_push(struct x86_emulate_ctxt *ctxt)
{
	return push(ctxt, OP0.val, ctxt->d.op_bytes);
}

int em_pop(struct x86_emulate_ctxt *ctxt)
{
	return pop(ctxt, &OP0.val, ctxt->d.op_bytes);
}

int em_pusha(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, nr;
	u64 sp = ctxt->regs[X86_RSP];
	int rc;

	for (nr = X86_RAX; nr <= X86_RDI; nr++) {
		rc = push(ctxt, nr == X86_RSP ? sp : ctxt->regs[nr], bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	return X86EMUL_CONTINUE;
}

int em_popa(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 val;
	int nr, rc;

	for (nr = X86_RDI; nr >= X86_RAX; nr--) {
		rc = pop(ctxt, &val, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		if (nr != X86_RSP)
			put_reg(ctxt, nr, val, bytes);
	}
	return X86EMUL_CONTINUE;
}

/*
 * SDM 3B "Virtual-8086 Mode": what touches IF there needs IOPL 3.  The mode
 * extensions, which redirect it to VIF, are not covered.
 */
static int check_vm86_iopl(struct x86_emulate_ctxt *ctxt)
{
	if (ctxt->mode != X86EMUL_MODE_VM86 || iopl(ctxt) == 3)
		return X86EMUL_CONTINUE;
	if (ctxt->ops->get_cr(ctxt, 4) & CR4_VME)
		return X86EMUL_UNHANDLEABLE;
	return fault_gp(ctxt, 0);
}

int em_pushf(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_vm86_iopl(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return push(ctxt, ctxt->rflags & ~(u64)(X86_FLAG_VM | X86_FLAG_RF),
		    ctxt->d.op_bytes);
}

/* What POPF and IRET may change, VM and the virtual interrupt flags apart. */
static u32 popf_mask(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	u32 mask = X86_FLAGS_STATUS | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT |
		   X86_FLAG_AC | X86_FLAG_ID;
	unsigned int level = cpl(ctxt);

	/* In virtual-8086 mode CPL is 3, and IOPL was found to be 3 too. */
	if (level == 0)
		mask |= X86_FLAG_IOPL;
	if (level <= iopl(ctxt))
		mask |= X86_FLAG_IF;
	return bytes == 2 ? mask & 0xffff : mask;
}

int em_popf(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 val;
	int rc;

	rc = check_vm86_iopl(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = pop(ctxt, &val, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, popf_mask(ctxt, bytes), val);
	if (bytes > 2)
		set_flags(ctxt, X86_FLAG_RF, 0);
	return X86EMUL_CONTINUE;
}

int em_enter(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = OP1.val & 31, i;
	unsigned int width = stack_bytes(ctxt);
	u64 frame, linear, val, bp = ctxt->regs[X86_RBP];
	int rc;

	rc = push(ctxt, bp, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	frame = ctxt->regs[X86_RSP];
	for (i = 1; i < level; i++) {
		bp -= bytes;
		val = 0;
		rc = read_seg(ctxt, X86_SEG_SS, bp & x86_mask(width), &val, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = push(ctxt, val, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	if (level) {
		rc = push(ctxt, frame, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	add_rsp(ctxt, 0 - OP0.val);
	/* The new top of stack must be writable, though nothing is written. */
	rc = linearize(ctxt, X86_SEG_SS, get_reg(ctxt, X86_RSP, width), bytes, true,
		       &linear);
	if (rc == X86EMUL_CONTINUE)
		rc = probe_write(ctxt, linear, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	put_reg(ctxt, X86_RBP, frame, bytes);
	return X86EMUL_CONTINUE;
}

int em_leave(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 val;
	int rc;

	put_reg(ctxt, X86_RSP, ctxt->regs[X86_RBP], stack_bytes(ctxt));
	rc = pop(ctxt, &val, bytes);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RBP, val, bytes);
	return rc;
}

/* ---- descriptors and segments ---- */

struct descriptor {
	u64 raw;
	u64 addr;		/* of its entry, for the accessed and busy bits */
};

static unsigned int desc_type(const struct descriptor *desc)
{
	return desc->raw >> 40 & 15;
}

static bool desc_s(const struct descriptor *desc)
{
	return desc->raw >> 44 & 1;
}

static unsigned int desc_dpl(const struct descriptor *desc)
{
	return desc->raw >> 45 & 3;
}

static bool desc_present(const struct descriptor *desc)
{
	return desc->raw >> 47 & 1;
}

/* SDM 3A "Segment Descriptors" */
static void desc_to_seg(const struct descriptor *desc, u16 selector,
			struct x86_seg *seg)
{
	u64 raw = desc->raw;

	seg->selector = selector;
	seg->base = (raw >> 16 & 0xffffff) | (raw >> 56) << 24;
	seg->limit = (raw & 0xffff) | (raw >> 32 & 0xf0000);
	seg->type = desc_type(desc);
	seg->s = desc_s(desc);
	seg->dpl = desc_dpl(desc);
	seg->present = desc_present(desc);
	seg->avl = raw >> 52 & 1;
	seg->l = raw >> 53 & 1;
	seg->db = raw >> 54 & 1;
	seg->g = raw >> 55 & 1;
	seg->unusable = 0;
	if (seg->g)
		seg->limit = seg->limit << 12 | 0xfff;
}

/* *found: is bytes at selector inside its table?  Then *addr is where. */
static void find_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector,
			    unsigned int bytes, u64 *addr, bool *found)
{
	struct x86_dtable gdt;
	struct x86_seg ldt;
	unsigned int index = selector & ~7u;

	if (selector & 4) {
		ctxt->ops->get_segment(ctxt, X86_SEG_LDTR, &ldt);
		*found = !ldt.unusable && index + bytes - 1 <= ldt.limit;
		*addr = ldt.base + index;
	} else {
		ctxt->ops->get_dtable(ctxt, X86EMUL_GDT, &gdt);
		*found = index + bytes - 1 <= gdt.limit;
		*addr = gdt.base + index;
	}
	if (!mode64(ctxt))
		*addr = (u32)*addr;
}

static int read_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector,
			   u8 vector, struct descriptor *desc)
{
	bool found;

	find_descriptor(ctxt, selector, 8, &desc->addr, &found);
	if (!found)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	return mem_read(ctxt, desc->addr, &desc->raw, 8, X86EMUL_ACC_SYSTEM);
}

/* The accessed bit of a segment, or the busy bit of a TSS, is set in memory. */
static int write_desc_type(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			   unsigned int bits)
{
	u8 byte = desc->raw >> 40 | bits;

	if ((desc_type(desc) & bits) == bits)
		return X86EMUL_CONTINUE;
	desc->raw |= (u64)bits << 40;
	return mem_write(ctxt, desc->addr + 5, &byte, 1, X86EMUL_ACC_SYSTEM);
}

/* SDM 3A "Real-Address Mode Operation": limit and attributes stay as they are. */
static void load_segment_real(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			      u16 selector)
{
	struct x86_seg s;

	ctxt->ops->get_segment(ctxt, seg, &s);
	s.selector = selector;
	s.base = (u32)selector << 4;
	if (ctxt->mode == X86EMUL_MODE_VM86) {
		s.limit = 0xffff;
		s.type = 3;
		s.s = 1;
		s.dpl = 3;
		s.present = 1;
		s.db = s.l = s.g = 0;
	}
	s.unusable = 0;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

static void load_null_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			      u16 selector, unsigned int dpl)
{
	struct x86_seg s;

	memset(&s, 0, sizeof(s));
	s.selector = selector;
	s.unusable = 1;
	s.dpl = dpl;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* SDM 2B "MOV": SS, loaded at (or for a return to) privilege level cpl_new */
static int load_ss(struct x86_emulate_ctxt *ctxt, u16 selector, unsigned int level,
		   bool to64, u8 vector)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	struct x86_seg s;
	int rc;

	if (!(selector & 0xfffc)) {
		if (!to64 || level == 3 || rpl != level)
			return x86_emulate_fault_code(ctxt, vector, 0);
		load_null_segment(ctxt, X86_SEG_SS, selector, level);
		return X86EMUL_CONTINUE;
	}
	rc = read_descriptor(ctxt, selector, vector, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (rpl != level || !desc_s(&desc) || (desc_type(&desc) & 0xa) != 2 ||
	    desc_dpl(&desc) != level)
		return x86_emulate_fault_code(ctxt, vector, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_SS, selector & 0xfffc);
	rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &s);
	return X86EMUL_CONTINUE;
}

/* DS, ES, FS, GS */
static int load_data_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			     u16 selector)
{
	unsigned int level = cpl(ctxt), rpl = selector & 3, type;
	struct descriptor desc;
	struct x86_seg s;
	int rc;

	if (!(selector & 0xfffc)) {
		load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	rc = read_descriptor(ctxt, selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	type = desc_type(&desc);
	if (!desc_s(&desc) || (type & 0xa) == 8)
		return fault_gp(ctxt, selector & 0xfffc);
	/* All but conforming code is guarded by its DPL. */
	if ((type & 0xc) != 0xc &&
	    (rpl > desc_dpl(&desc) || level > desc_dpl(&desc)))
		return fault_gp(ctxt, selector & 0xfffc);
	if (!desc_present(&desc))
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &s);
	ctxt->ops->set_segment(ctxt, seg, &s);
	return X86EMUL_CONTINUE;
}

/* MOV, POP and LxS to a segment register other than CS */
static int load_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector)
{
	if (!prot_mode(ctxt)) {
		load_segment_real(ctxt, seg, selector);
		return X86EMUL_CONTINUE;
	}
	if (seg == X86_SEG_SS)
		return load_ss(ctxt, selector, cpl(ctxt), mode64(ctxt), EXC_GP);
	return load_data_segment(ctxt, seg, selector);
}

/* 06 to 1F have the segment in bits 4:3, 0F A0 to A9 (FS and GS) in bit 3. */
static unsigned int opcode_segment(const struct x86_decode *d)
{
	if (d->map)
		return d->opcode & 8 ? X86_SEG_GS : X86_SEG_FS;
	return d->opcode >> 3 & 3;
}

int em_push_seg(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg s;

	ctxt->ops->get_segment(ctxt, opcode_segment(&ctxt->d), &s);
	return push(ctxt, s.selector, ctxt->d.op_bytes);
}

int em_pop_seg(struct x86_emulate_ctxt *ctxt)
{
	unsigned int seg = opcode_segment(&ctxt->d);
	u64 val;
	int rc;

	rc = pop(ctxt, &val, ctxt->d.op_bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = load_segment(ctxt, seg, val);
	if (rc == X86EMUL_CONTINUE && seg == X86_SEG_SS)
		ctxt->interruptibility = X86EMUL_SHADOW_MOV_SS;
	return rc;
}

/* Stores of a selector (or MSW): 16 bits to memory, the size in force to a register. */
static void store_16(struct x86_emulate_ctxt *ctxt, u64 val)
{
	if (OP0.kind == OPK_MEM)
		OP0.bytes = 2;
	OP0.val = val;
}

int em_mov_from_seg(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg s;

	if (OP1.reg > X86_SEG_GS)
		return fault_ud(ctxt);
	ctxt->ops->get_segment(ctxt, OP1.reg, &s);
	store_16(ctxt, s.selector);
	return X86EMUL_CONTINUE;
}

int em_mov_to_seg(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	if (OP0.reg > X86_SEG_GS || OP0.reg == X86_SEG_CS)
		return fault_ud(ctxt);
	rc = load_segment(ctxt, OP0.reg, OP1.val);
	if (rc == X86EMUL_CONTINUE && OP0.reg == X86_SEG_SS)
		ctxt->interruptibility = X86EMUL_SHADOW_MOV_SS;
	return rc;
}

/* LES, LDS, LSS, LFS, LGS */
int em_load_far(struct x86_emulate_ctxt *ctxt)
{
	static const u8 segs[] = { [2] = X86_SEG_SS, [4] = X86_SEG_FS, [5] = X86_SEG_GS };
	unsigned int bytes = ctxt->d.op_bytes, seg;
	u64 offset = 0;
	u16 selector;
	int rc;

	if (ctxt->d.map)
		seg = segs[ctxt->d.opcode & 7];
	else
		seg = ctxt->d.opcode == 0xc4 ? X86_SEG_ES : X86_SEG_DS;
	rc = read_ea(ctxt, 0, &offset, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = read_ea(ctxt, bytes, &selector, 2);
	if (rc == X86EMUL_CONTINUE)
		rc = load_segment(ctxt, seg, selector);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, OP0.reg, offset, bytes);
	return rc;
}

/* ---- near control transfers ---- */

static int jump_to(struct x86_emulate_ctxt *ctxt, u64 target)
{
	struct x86_seg cs;

	target &= x86_mask(ctxt->d.op_bytes);
	if (mode64(ctxt)) {
		if (!x86_canonical(ctxt, target))
			return fault_gp(ctxt, 0);
	} else {
		ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
		if (target > cs.limit)
			return fault_gp(ctxt, 0);
	}
	ctxt->next_rip = target;
	return X86EMUL_CONTINUE;
}

int em_jmp_rel(struct x86_emulate_ctxt *ctxt)
{
	return jump_to(ctxt, ctxt->next_rip + OP0.val);
}

int em_jmp_abs(struct x86_emulate_ctxt *ctxt)
{
	return jump_to(ctxt, OP0.val);
}

int em_jcc(struct x86_emulate_ctxt *ctxt)
{
	if (!condition(ctxt, ctxt->d.opcode))
		return X86EMUL_CONTINUE;
	return em_jmp_rel(ctxt);
}

/*
 * LOOPNE (E0), LOOPE (E1), LOOP (E2).  On AMD's processors a REPNE or REPE prefix
 * replaces the condition that the opcode's low bit gives.
 */
int em_loop(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.ad_bytes;
	bool zf = ctxt->d.opcode & 1;

	add_reg(ctxt, X86_RCX, (u64)-1, bytes);
	if (!get_reg(ctxt, X86_RCX, bytes))
		return X86EMUL_CONTINUE;
	if (ctxt->d.rep && ctxt->amd)
		zf = ctxt->d.rep == 0xf3;
	if (ctxt->d.opcode != 0xe2 && flag(ctxt, X86_FLAG_ZF) != zf)
		return X86EMUL_CONTINUE;
	return em_jmp_rel(ctxt);
}

int em_jcxz(struct x86_emulate_ctxt *ctxt)
{
	if (get_reg(ctxt, X86_RCX, ctxt->d.ad_bytes))
		return X86EMUL_CONTINUE;
	return em_jmp_rel(ctxt);
}

/* Would this push succeed? */
static int probe_push(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	u64 sp = (ctxt->regs[X86_RSP] - bytes) & x86_mask(stack_bytes(ctxt));
	u64 linear;
	int rc;

	rc = linearize(ctxt, X86_SEG_SS, sp, bytes, true, &linear);
	return rc == X86EMUL_CONTINUE ? probe_write(ctxt, linear, bytes) : rc;
}

/* Where both the stack and the target are bad, AMD faults on the stack. */
static int call_to(struct x86_emulate_ctxt *ctxt, u64 target)
{
	u64 back = ctxt->next_rip;
	int rc = X86EMUL_CONTINUE;

	if (ctxt->amd)
		rc = probe_push(ctxt, ctxt->d.op_bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = jump_to(ctxt, target);
	if (rc == X86EMUL_CONTINUE)
		rc = push(ctxt, back, ctxt->d.op_bytes);
	return rc;
}

int em_call_rel(struct x86_emulate_ctxt *ctxt)
{
	return call_to(ctxt, ctxt->next_rip + OP0.val);
}

int em_call_abs(struct x86_emulate_ctxt *ctxt)
{
	return call_to(ctxt, OP0.val);
}

int em_ret(struct x86_emulate_ctxt *ctxt)
{
	u64 target;
	int rc;

	rc = pop(ctxt, &target, ctxt->d.op_bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = jump_to(ctxt, target);
	if (rc == X86EMUL_CONTINUE && OP0.kind == OPK_IMM)
		add_rsp(ctxt, OP0.val);
	return rc;
}

/* ---- far control transfers ---- */

/* The segment that real and virtual-8086 mode make of a selector, not yet loaded. */
static int check_cs_real(struct x86_emulate_ctxt *ctxt, u64 offset)
{
	struct x86_seg cs;

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	if (offset > (ctxt->mode == X86EMUL_MODE_VM86 ? 0xffff : cs.limit))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* What a code segment asks of an instruction pointer, and of itself. */
static int check_cs_common(struct x86_emulate_ctxt *ctxt, struct descriptor *desc,
			   u16 selector, u64 offset, struct x86_seg *cs)
{
	bool lm;
	int rc;

	rc = long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(desc, selector, cs);
	if (!lm)
		cs->l = 0;
	if (cs->l && cs->db)
		return fault_gp(ctxt, selector & 0xfffc);
	if (!cs->present)
		return x86_emulate_fault_code(ctxt, EXC_NP, selector & 0xfffc);
	if (cs->l ? !x86_canonical(ctxt, offset) : offset > cs->limit)
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

static int push_cs_ip(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	struct x86_seg cs;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	rc = push(ctxt, cs.selector, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = push(ctxt, ctxt->next_rip, bytes);
	return rc;
}

/*
 * SDM 2A "CALL", "JMP": direct far transfers to code segments.  Gates and task
 * switches are not covered.
 */
static int far_transfer(struct x86_emulate_ctxt *ctxt, u16 selector, u64 offset,
			unsigned int bytes, bool call)
{
	struct descriptor desc;
	struct x86_seg cs;
	unsigned int level;
	int rc;

	offset &= x86_mask(bytes);
	if (!prot_mode(ctxt)) {
		rc = check_cs_real(ctxt, offset);
		if (rc == X86EMUL_CONTINUE && call)
			rc = push_cs_ip(ctxt, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		load_segment_real(ctxt, X86_SEG_CS, selector);
		ctxt->next_rip = offset;
		return X86EMUL_CONTINUE;
	}

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	rc = read_descriptor(ctxt, selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(&desc))
		return X86EMUL_UNHANDLEABLE;
	level = cpl(ctxt);
	if (!(desc_type(&desc) & 8))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(&desc) & 4 ? desc_dpl(&desc) > level :
	    (selector & 3) > level || desc_dpl(&desc) != level)
		return fault_gp(ctxt, selector & 0xfffc);
	rc = check_cs_common(ctxt, &desc, (selector & ~3u) | level, offset, &cs);
	if (rc == X86EMUL_CONTINUE && call)
		rc = push_cs_ip(ctxt, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = write_desc_type(ctxt, &desc, 1);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	cs.type |= 1;
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

int em_call_far(struct x86_emulate_ctxt *ctxt)
{
	return far_transfer(ctxt, OP0.val >> 32, (u32)OP0.val, ctxt->d.op_bytes, true);
}

int em_jmp_far(struct x86_emulate_ctxt *ctxt)
{
	return far_transfer(ctxt, OP0.val >> 32, (u32)OP0.val, ctxt->d.op_bytes, false);
}

static int far_mem(struct x86_emulate_ctxt *ctxt, bool call)
{
	unsigned int bytes = ctxt->d.op_bytes;
	u64 offset = 0;
	u16 selector;
	int rc;

	/* m16:64 is Intel's alone; AMD reads m16:32. */
	if (bytes == 8 && ctxt->amd)
		bytes = 4;
	rc = read_ea(ctxt, 0, &offset, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = read_ea(ctxt, bytes, &selector, 2);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return far_transfer(ctxt, selector, offset, bytes, call);
}

int em_call_far_mem(struct x86_emulate_ctxt *ctxt)
{
	return far_mem(ctxt, true);
}

int em_jmp_far_mem(struct x86_emulate_ctxt *ctxt)
{
	return far_mem(ctxt, false);
}

/* The code segment of a far return or IRET, checked and marked, not yet loaded. */
static int check_return_cs(struct x86_emulate_ctxt *ctxt, u16 selector, u64 offset,
			   struct x86_seg *cs)
{
	unsigned int rpl = selector & 3;
	struct descriptor desc;
	int rc;

	if (!(selector & 0xfffc))
		return fault_gp(ctxt, 0);
	rc = read_descriptor(ctxt, selector, EXC_GP, &desc);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!desc_s(&desc) || !(desc_type(&desc) & 8) || rpl < cpl(ctxt))
		return fault_gp(ctxt, selector & 0xfffc);
	if (desc_type(&desc) & 4 ? desc_dpl(&desc) > rpl : desc_dpl(&desc) != rpl)
		return fault_gp(ctxt, selector & 0xfffc);
	rc = check_cs_common(ctxt, &desc, selector, offset, cs);
	if (rc == X86EMUL_CONTINUE)
		rc = write_desc_type(ctxt, &desc, 1);
	cs->type |= 1;
	return rc;
}

/*
 * SDM 3A "Returning from a Called Procedure": segments that the outer level may
 * not use become null.
 */
static void drop_data_segments(struct x86_emulate_ctxt *ctxt, unsigned int level)
{
	static const u8 segs[] = { X86_SEG_ES, X86_SEG_DS, X86_SEG_FS, X86_SEG_GS };
	struct x86_seg s;
	unsigned int i;

	for (i = 0; i < sizeof(segs); i++) {
		ctxt->ops->get_segment(ctxt, segs[i], &s);
		if (!s.unusable && s.dpl < level && (s.type & 0xc) != 0xc)
			load_null_segment(ctxt, segs[i], 0, 0);
	}
}

/* Load SS:rSP popped by a return to level, then CS: nothing faults after SS. */
static int return_with_stack(struct x86_emulate_ctxt *ctxt, const struct x86_seg *cs,
			     u16 ss_selector, u64 sp, unsigned int from_level)
{
	unsigned int level = cs->selector & 3;
	int rc;

	rc = load_ss(ctxt, ss_selector, level, cs->l, EXC_GP);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (cs->l)
		set_reg(ctxt, X86_RSP, sp);
	else
		add_rsp(ctxt, sp - ctxt->regs[X86_RSP]);
	ctxt->ops->set_segment(ctxt, X86_SEG_CS, cs);
	if (level > from_level)
		drop_data_segments(ctxt, level);
	return X86EMUL_CONTINUE;
}

int em_ret_far(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level;
	u64 offset, selector, sp, ss, extra = OP0.kind == OPK_IMM ? OP0.val : 0;
	struct x86_seg cs;
	int rc;

	rc = pop(ctxt, &offset, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = pop(ctxt, &selector, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	add_rsp(ctxt, extra);
	if (!prot_mode(ctxt)) {
		rc = check_cs_real(ctxt, offset);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		load_segment_real(ctxt, X86_SEG_CS, selector);
		ctxt->next_rip = offset;
		return X86EMUL_CONTINUE;
	}
	level = cpl(ctxt);
	rc = check_return_cs(ctxt, selector, offset, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if ((selector & 3) > level) {
		rc = pop(ctxt, &sp, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = pop(ctxt, &ss, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = return_with_stack(ctxt, &cs, ss, sp + extra, level);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	} else {
		ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	}
	ctxt->next_rip = offset;
	return X86EMUL_CONTINUE;
}

/* ---- interrupts and returns from them ---- */

/* SDM 3B "Interrupt and Exception Handling" in real-address mode */
static int int_real(struct x86_emulate_ctxt *ctxt, unsigned int vector)
{
	struct x86_dtable ivt;
	struct x86_seg cs;
	u16 entry[2];
	int rc;

	ctxt->ops->get_dtable(ctxt, X86EMUL_IDT, &ivt);
	if (vector * 4 + 3 > ivt.limit)
		return fault_gp(ctxt, vector * 8 + 2);
	rc = mem_read(ctxt, (u32)(ivt.base + vector * 4), entry, 4,
		      X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->get_segment(ctxt, X86_SEG_CS, &cs);
	if (entry[0] > cs.limit)
		return fault_gp(ctxt, 0);
	rc = push(ctxt, ctxt->rflags, 2);
	if (rc == X86EMUL_CONTINUE)
		rc = push_cs_ip(ctxt, 2);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF, 0);
	load_segment_real(ctxt, X86_SEG_CS, entry[1]);
	ctxt->next_rip = entry[0];
	return X86EMUL_CONTINUE;
}

/* Through a protected-mode IDT: not covered. */
static int software_int(struct x86_emulate_ctxt *ctxt, unsigned int vector)
{
	if (ctxt->mode != X86EMUL_MODE_REAL)
		return X86EMUL_UNHANDLEABLE;
	return int_real(ctxt, vector);
}

int em_int(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_vm86_iopl(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return software_int(ctxt, OP0.val);
}

int em_int1(struct x86_emulate_ctxt *ctxt)
{
	return software_int(ctxt, EXC_DB);
}

int em_int3(struct x86_emulate_ctxt *ctxt)
{
	return software_int(ctxt, EXC_BP);
}

int em_into(struct x86_emulate_ctxt *ctxt)
{
	if (!flag(ctxt, X86_FLAG_OF))
		return X86EMUL_CONTINUE;
	return software_int(ctxt, EXC_OF);
}

static int pop_ip_cs_flags(struct x86_emulate_ctxt *ctxt, u64 *ip, u64 *cs,
			   u64 *flags)
{
	unsigned int bytes = ctxt->d.op_bytes;
	int rc;

	rc = pop(ctxt, ip, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = pop(ctxt, cs, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = pop(ctxt, flags, bytes);
	return rc;
}

static int iret_real(struct x86_emulate_ctxt *ctxt)
{
	u64 ip, cs, flags;
	u32 mask;
	int rc;

	rc = check_vm86_iopl(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = pop_ip_cs_flags(ctxt, &ip, &cs, &flags);
	if (rc == X86EMUL_CONTINUE)
		rc = check_cs_real(ctxt, ip);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	mask = popf_mask(ctxt, ctxt->d.op_bytes);
	if (ctxt->d.op_bytes > 2)
		mask |= X86_FLAG_RF;
	set_flags(ctxt, mask, flags);
	load_segment_real(ctxt, X86_SEG_CS, cs);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

/*
 * SDM 2A "IRET/IRETD/IRETQ".  Returns to virtual-8086 mode and from a nested
 * task are not covered.
 */
static int iret_prot(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = cpl(ctxt);
	u64 ip, cs_selector, flags, sp, ss;
	struct x86_seg cs;
	u32 mask;
	bool lm;
	int rc;

	rc = long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (flag(ctxt, X86_FLAG_NT))
		return lm ? fault_gp(ctxt, 0) : X86EMUL_UNHANDLEABLE;
	rc = pop_ip_cs_flags(ctxt, &ip, &cs_selector, &flags);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!lm && bytes > 2 && (flags & X86_FLAG_VM) && level == 0)
		return X86EMUL_UNHANDLEABLE;
	rc = check_return_cs(ctxt, cs_selector, ip, &cs);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	mask = popf_mask(ctxt, bytes);
	if (bytes > 2)
		mask |= X86_FLAG_RF;
	if (bytes > 2 && level == 0)
		mask |= X86_FLAG_VIF | X86_FLAG_VIP;
	/* In 64-bit mode SS:RSP is always there. */
	if (mode64(ctxt) || (cs_selector & 3) > level) {
		rc = pop(ctxt, &sp, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = pop(ctxt, &ss, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = return_with_stack(ctxt, &cs, ss, sp, level);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	} else {
		ctxt->ops->set_segment(ctxt, X86_SEG_CS, &cs);
	}
	set_flags(ctxt, mask, flags);
	ctxt->next_rip = ip;
	return X86EMUL_CONTINUE;
}

int em_iret(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = prot_mode(ctxt) ? iret_prot(ctxt) : iret_real(ctxt);
	if (rc == X86EMUL_CONTINUE && ctxt->ops->unblock_nmi)
		ctxt->ops->unblock_nmi(ctxt);
	return rc;
}

/* ---- system calls ---- */

/* The flat segments that these instructions load without a descriptor. */
static void set_flat(struct x86_emulate_ctxt *ctxt, unsigned int seg, u16 selector,
		     unsigned int dpl, bool l)
{
	struct x86_seg s;

	memset(&s, 0, sizeof(s));
	s.selector = selector;
	s.limit = 0xffffffff;
	s.type = seg == X86_SEG_CS ? 0xb : 3;
	s.s = 1;
	s.dpl = dpl;
	s.present = 1;
	s.l = l;
	s.db = !l;
	s.g = 1;
	ctxt->ops->set_segment(ctxt, seg, &s);
}

/* EFER.SCE, and Intel's limit to 64-bit mode; *efer for what follows. */
static int check_syscall(struct x86_emulate_ctxt *ctxt, u64 *efer)
{
	int rc;

	if (!prot_mode(ctxt) || !has_feature(ctxt, X86EMUL_FEAT_SYSCALL))
		return fault_ud(ctxt);
	if (!ctxt->amd && !mode64(ctxt))
		return fault_ud(ctxt);
	rc = get_efer(ctxt, efer);
	if (rc == X86EMUL_CONTINUE && !(*efer & EFER_SCE_BIT))
		return fault_ud(ctxt);
	return rc;
}

int em_syscall(struct x86_emulate_ctxt *ctxt)
{
	u64 efer, star, target, mask;
	u16 selector;
	int rc;

	rc = check_syscall(ctxt, &efer);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_STAR_NR, &star);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	selector = star >> 32 & 0xfffc;
	if (efer & EFER_LMA_BIT) {
		rc = ctxt->ops->get_msr(ctxt, mode64(ctxt) ? MSR_LSTAR_NR : MSR_CSTAR_NR,
					&target);
		if (rc == X86EMUL_CONTINUE)
			rc = ctxt->ops->get_msr(ctxt, MSR_SFMASK_NR, &mask);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		set_reg(ctxt, X86_RCX, ctxt->next_rip);
		set_reg(ctxt, X86_R11, ctxt->rflags & ~(u64)X86_FLAG_RF);
		ctxt->rflags &= ~(mask | X86_FLAG_RF);
		ctxt->rflags |= X86_FLAG_FIXED;
	} else {
		target = (u32)star;
		put_reg(ctxt, X86_RCX, ctxt->next_rip, 4);
		set_flags(ctxt, X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF, 0);
	}
	set_flat(ctxt, X86_SEG_SS, selector + 8, 0, false);
	set_flat(ctxt, X86_SEG_CS, selector, 0, efer & EFER_LMA_BIT);
	ctxt->next_rip = target;
	return X86EMUL_CONTINUE;
}

/* APM 3 "SYSRET": AMD loads SS's selector and leaves its hidden part alone. */
static void sysret_ss(struct x86_emulate_ctxt *ctxt, u16 selector)
{
	struct x86_seg ss;

	if (!ctxt->amd) {
		set_flat(ctxt, X86_SEG_SS, selector, 3, false);
		return;
	}
	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	ss.selector = selector;
	ss.dpl = 3;
	ctxt->ops->set_segment(ctxt, X86_SEG_SS, &ss);
}

int em_sysret(struct x86_emulate_ctxt *ctxt)
{
	bool to64 = ctxt->d.op_bytes == 8;
	u64 efer, star, target;
	u16 selector;
	int rc;

	rc = check_syscall(ctxt, &efer);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	target = get_reg(ctxt, X86_RCX, to64 ? 8 : 4);
	if (cpl(ctxt) || (to64 && !ctxt->amd && !x86_canonical(ctxt, target)))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->get_msr(ctxt, MSR_STAR_NR, &star);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	selector = star >> 48;
	if (efer & EFER_LMA_BIT)
		ctxt->rflags = (ctxt->regs[X86_R11] & 0x3c7fd7) | X86_FLAG_FIXED;
	else
		set_flags(ctxt, X86_FLAG_IF, X86_FLAG_IF);
	sysret_ss(ctxt, (selector + 8) | 3);
	set_flat(ctxt, X86_SEG_CS, (selector + (to64 ? 16 : 0)) | 3, 3, to64);
	ctxt->next_rip = target;
	return X86EMUL_CONTINUE;
}

/* AMD has SYSENTER and SYSEXIT in legacy mode only. */
static int check_sysenter(struct x86_emulate_ctxt *ctxt, bool *lm, u64 *selector)
{
	int rc;

	if (!has_feature(ctxt, X86EMUL_FEAT_SYSENTER))
		return fault_ud(ctxt);
	rc = long_mode(ctxt, lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (*lm && ctxt->amd)
		return fault_ud(ctxt);
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->get_msr(ctxt, MSR_SYSENTER_CS, selector);
	*selector &= 0xfffc;
	if (rc == X86EMUL_CONTINUE && !*selector)
		return fault_gp(ctxt, 0);
	return rc;
}

int em_sysenter(struct x86_emulate_ctxt *ctxt)
{
	u64 selector = 0, rip, rsp;
	bool lm;
	int rc;

	rc = check_sysenter(ctxt, &lm, &selector);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_SYSENTER_EIP, &rip);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_SYSENTER_ESP, &rsp);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF, 0);
	set_flat(ctxt, X86_SEG_SS, selector + 8, 0, false);
	set_flat(ctxt, X86_SEG_CS, selector, 0, lm);
	put_reg(ctxt, X86_RSP, rsp, lm ? 8 : 4);
	ctxt->next_rip = rip & x86_mask(lm ? 8 : 4);
	return X86EMUL_CONTINUE;
}

int em_sysexit(struct x86_emulate_ctxt *ctxt)
{
	bool to64 = ctxt->d.op_bytes == 8, lm;
	unsigned int bytes = to64 ? 8 : 4;
	u64 selector = 0, rip, rsp;
	int rc;

	rc = check_sysenter(ctxt, &lm, &selector);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rip = get_reg(ctxt, X86_RDX, bytes);
	rsp = get_reg(ctxt, X86_RCX, bytes);
	if (cpl(ctxt) || (to64 && !(x86_canonical(ctxt, rip) && x86_canonical(ctxt, rsp))))
		return fault_gp(ctxt, 0);
	selector += to64 ? 32 : 16;
	set_flat(ctxt, X86_SEG_SS, (selector + 8) | 3, 3, false);
	set_flat(ctxt, X86_SEG_CS, selector | 3, 3, to64);
	put_reg(ctxt, X86_RSP, rsp, bytes);
	ctxt->next_rip = rip;
	return X86EMUL_CONTINUE;
}

/* ---- flags and odds and ends ---- */

int em_clc(struct x86_emulate_ctxt *ctxt)
{
	set_flags(ctxt, X86_FLAG_CF, 0);
	return X86EMUL_CONTINUE;
}

int em_stc(struct x86_emulate_ctxt *ctxt)
{
	set_flags(ctxt, X86_FLAG_CF, X86_FLAG_CF);
	return X86EMUL_CONTINUE;
}

int em_cmc(struct x86_emulate_ctxt *ctxt)
{
	ctxt->rflags ^= X86_FLAG_CF;
	return X86EMUL_CONTINUE;
}

int em_cld(struct x86_emulate_ctxt *ctxt)
{
	set_flags(ctxt, X86_FLAG_DF, 0);
	return X86EMUL_CONTINUE;
}

int em_std(struct x86_emulate_ctxt *ctxt)
{
	set_flags(ctxt, X86_FLAG_DF, X86_FLAG_DF);
	return X86EMUL_CONTINUE;
}

/* May IF be changed?  The virtual one (VME, PVI) is not covered. */
static int check_if_access(struct x86_emulate_ctxt *ctxt)
{
	u64 cr4;

	if (cpl(ctxt) <= iopl(ctxt))
		return X86EMUL_CONTINUE;
	cr4 = ctxt->ops->get_cr(ctxt, 4);
	if (ctxt->mode == X86EMUL_MODE_VM86 ? cr4 & CR4_VME :
	    (cr4 & CR4_PVI) && cpl(ctxt) == 3)
		return X86EMUL_UNHANDLEABLE;
	return fault_gp(ctxt, 0);
}

int em_cli(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_if_access(ctxt);
	if (rc == X86EMUL_CONTINUE)
		set_flags(ctxt, X86_FLAG_IF, 0);
	return rc;
}

int em_sti(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_if_access(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!flag(ctxt, X86_FLAG_IF))
		ctxt->interruptibility = X86EMUL_SHADOW_STI;
	set_flags(ctxt, X86_FLAG_IF, X86_FLAG_IF);
	return X86EMUL_CONTINUE;
}

#define SAHF_FLAGS (X86_FLAGS_STATUS & ~X86_FLAG_OF)

int em_lahf(struct x86_emulate_ctxt *ctxt)
{
	if (mode64(ctxt) && !has_feature(ctxt, X86EMUL_FEAT_LAHF_LM))
		return fault_ud(ctxt);
	put_ah(ctxt, (ctxt->rflags & SAHF_FLAGS) | X86_FLAG_FIXED);
	return X86EMUL_CONTINUE;
}

int em_sahf(struct x86_emulate_ctxt *ctxt)
{
	if (mode64(ctxt) && !has_feature(ctxt, X86EMUL_FEAT_LAHF_LM))
		return fault_ud(ctxt);
	set_flags(ctxt, SAHF_FLAGS, ctxt->regs[X86_RAX] >> 8);
	return X86EMUL_CONTINUE;
}

int em_clac(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt))
		return fault_ud(ctxt);
	set_flags(ctxt, X86_FLAG_AC, 0);
	return X86EMUL_CONTINUE;
}

int em_stac(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt))
		return fault_ud(ctxt);
	set_flags(ctxt, X86_FLAG_AC, X86_FLAG_AC);
	return X86EMUL_CONTINUE;
}

int em_nop(struct x86_emulate_ctxt *ctxt)
{
	(void)ctxt;
	return X86EMUL_CONTINUE;
}

/* Of a register, it is Intel's NOP and AMD's #UD. */
int em_prefetchw(struct x86_emulate_ctxt *ctxt)
{
	return OP0.kind == OPK_REG && ctxt->amd ? fault_ud(ctxt) : X86EMUL_CONTINUE;
}

/* Nothing is cached here, but the address is checked as a load's. */
int em_clflush(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;
	int rc;

	rc = linearize(ctxt, ctxt->d.seg, ctxt->d.ea, 1, false, &linear);
	if (rc != X86EMUL_CONTINUE || !ctxt->ops->probe)
		return rc;
	rc = ctxt->ops->probe(ctxt, linear, 1, 0);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_CONTINUE : rc;
}

int em_hlt(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->halt ? ctxt->ops->halt(ctxt) : X86EMUL_UNHANDLEABLE;
}

int em_hypercall(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->hypercall ? ctxt->ops->hypercall(ctxt) : X86EMUL_UNHANDLEABLE;
}

/* ---- ports ---- */

/* Not replayed: a restart within a REP INS or OUTS reads the map anew. */
static int read_tss(struct x86_emulate_ctxt *ctxt, u64 linear, u16 *val)
{
	int rc;

	rc = ctxt->ops->read(ctxt, linear, val, 2, X86EMUL_ACC_SYSTEM);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_UNHANDLEABLE : rc;
}

/*
 * SDM 1 "I/O Permission Bit Map".  Two bytes are read wherever one would do, as
 * the processor does, so the map needs a byte more than its last port's.
 */
static int check_io_bitmap(struct x86_emulate_ctxt *ctxt, u16 port, unsigned int size)
{
	struct x86_seg tr;
	u16 base, bits;
	u32 offset;
	int rc;

	ctxt->ops->get_segment(ctxt, X86_SEG_TR, &tr);
	/* Only a 32-bit (or 64-bit) TSS has a map. */
	if (tr.unusable || !(tr.type & 8) || tr.limit < 103)
		return fault_gp(ctxt, 0);
	rc = read_tss(ctxt, tr.base + 102, &base);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	offset = (u32)base + port / 8;
	if (offset + 1 > tr.limit)
		return fault_gp(ctxt, 0);
	rc = read_tss(ctxt, tr.base + offset, &bits);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (bits >> (port & 7) & ((1u << size) - 1))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

static int check_io(struct x86_emulate_ctxt *ctxt, u16 port, unsigned int size)
{
	if (ctxt->mode == X86EMUL_MODE_REAL)
		return X86EMUL_CONTINUE;
	if (ctxt->mode != X86EMUL_MODE_VM86 && cpl(ctxt) <= iopl(ctxt))
		return X86EMUL_CONTINUE;
	return check_io_bitmap(ctxt, port, size);
}

int em_in(struct x86_emulate_ctxt *ctxt)
{
	u16 port = OP1.val;
	int rc;

	rc = check_io(ctxt, port, OP0.bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	OP0.val = 0;
	return ctxt->ops->pio_in(ctxt, OP0.bytes, port, &OP0.val, 1);
}

int em_out(struct x86_emulate_ctxt *ctxt)
{
	u16 port = OP0.val;
	int rc;

	rc = check_io(ctxt, port, OP1.bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return ctxt->ops->pio_out(ctxt, OP1.bytes, port, &OP1.val, 1);
}

/* ---- strings ---- */

static unsigned int string_bytes(const struct x86_decode *d)
{
	return d->opcode & 1 ? d->op_bytes : 1;
}

static unsigned int string_seg(const struct x86_decode *d)
{
	return d->seg_override ? d->seg_override - 1 : X86_SEG_DS;
}

static u64 string_ea(const struct x86_emulate_ctxt *ctxt, unsigned int nr)
{
	return get_reg(ctxt, nr, ctxt->d.ad_bytes);
}

/* On to the next element, or count elements further. */
static void string_advance(struct x86_emulate_ctxt *ctxt, unsigned int nr,
			   u64 bytes)
{
	add_reg(ctxt, nr, flag(ctxt, X86_FLAG_DF) ? 0 - bytes : bytes,
		ctxt->d.ad_bytes);
}

/* What has been done stays done: the next fault or restart begins here. */
static void commit_iteration(struct x86_emulate_ctxt *ctxt)
{
	ctxt->undo = 0;
	/* SDM 2A "REP": a fault brings back the flags of the start; not with AMD. */
	if (ctxt->amd)
		ctxt->old_rflags = ctxt->rflags;
	ctxt->rc.pos = 0;
	ctxt->rc.end = 0;
	ctxt->ins_count = 0;
}

/*
 * The REP loop.  step does up to *units elements, and says how many it did;
 * while_zf: CMPS and SCAS, which ZF may end too.
 */
static int rep_string(struct x86_emulate_ctxt *ctxt,
		      int (*step)(struct x86_emulate_ctxt *ctxt, unsigned int *units),
		      bool while_zf)
{
	unsigned int bytes = ctxt->d.ad_bytes, units = 1, done = 0;
	u64 left;
	int rc;

	if (!ctxt->d.rep)
		return step(ctxt, &units);

	for (;;) {
		left = get_reg(ctxt, X86_RCX, bytes);
		if (!left)
			return X86EMUL_CONTINUE;
		if (done >= X86EMUL_BATCH_ITERS || ctxt->posted)
			break;
		units = left < X86EMUL_BATCH_BYTES ? left : X86EMUL_BATCH_BYTES;
		rc = step(ctxt, &units);
		/* Of what is done before, nothing may be reported as undone. */
		if (done && (rc == X86EMUL_UNHANDLEABLE || rc == X86EMUL_RETRY_INSTR))
			break;
		if (rc != X86EMUL_CONTINUE)
			return rc;
		add_reg(ctxt, X86_RCX, 0 - (u64)units, bytes);
		commit_iteration(ctxt);
		done += units;
		if (while_zf && flag(ctxt, X86_FLAG_ZF) != (ctxt->d.rep == 0xf3))
			return X86EMUL_CONTINUE;
	}
	ctxt->more = true;
	ctxt->next_rip = ctxt->rip;
	return X86EMUL_CONTINUE;
}

static int movs_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 val;
	int rc;

	*units = 1;
	rc = read_seg(ctxt, string_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &val, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = write_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &val, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	string_advance(ctxt, X86_RSI, bytes);
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

static int stos_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	int rc;

	*units = 1;
	rc = write_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI),
		       &ctxt->regs[X86_RAX], bytes);
	if (rc == X86EMUL_CONTINUE)
		string_advance(ctxt, X86_RDI, bytes);
	return rc;
}

static int lods_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 val = 0;
	int rc;

	*units = 1;
	rc = read_seg(ctxt, string_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &val, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	put_reg(ctxt, X86_RAX, val, bytes);
	string_advance(ctxt, X86_RSI, bytes);
	return X86EMUL_CONTINUE;
}

static int scas_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 a = get_reg(ctxt, X86_RAX, bytes), b = 0;
	int rc;

	*units = 1;
	rc = read_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &b, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	flags_sub(ctxt, a, b, a - b, bytes, X86_FLAGS_STATUS);
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

static int cmps_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int bytes = string_bytes(&ctxt->d);
	u64 a = 0, b = 0;
	int rc;

	*units = 1;
	rc = read_seg(ctxt, string_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &a, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = read_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &b, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	flags_sub(ctxt, a, b, a - b, bytes, X86_FLAGS_STATUS);
	string_advance(ctxt, X86_RSI, bytes);
	string_advance(ctxt, X86_RDI, bytes);
	return X86EMUL_CONTINUE;
}

int em_movs(struct x86_emulate_ctxt *ctxt)
{
	return rep_string(ctxt, movs_step, false);
}

int em_stos(struct x86_emulate_ctxt *ctxt)
{
	return rep_string(ctxt, stos_step, false);
}

int em_lods(struct x86_emulate_ctxt *ctxt)
{
	return rep_string(ctxt, lods_step, false);
}

int em_scas(struct x86_emulate_ctxt *ctxt)
{
	return rep_string(ctxt, scas_step, true);
}

int em_cmps(struct x86_emulate_ctxt *ctxt)
{
	return rep_string(ctxt, cmps_step, true);
}

static unsigned int io_string_bytes(const struct x86_decode *d)
{
	unsigned int bytes = string_bytes(d);

	return bytes == 8 ? 4 : bytes;
}

/*
 * How many of units elements from seg:ea go in one batch: those up to the end of
 * the page, of ordinary memory, upwards, that all pass the segment's checks.
 * At least one, which may be a device, cross a page, or fault.
 */
static int io_batch(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		    unsigned int size, unsigned int access, unsigned int *units,
		    u64 *linear)
{
	bool write = access & X86EMUL_ACC_WRITE;
	unsigned int n = *units, room;
	u64 end;
	int rc;

	*units = 1;
	rc = linearize(ctxt, seg, ea, size, write, linear);
	if (rc != X86EMUL_CONTINUE || !ctxt->ops->probe)
		return rc;
	room = (4096 - (unsigned int)(*linear & 4095)) / size;
	if (n > room)
		n = room;
	/* An address that wraps ends the batch too. */
	if (n > 1 && !flag(ctxt, X86_FLAG_DF) &&
	    ea + (u64)n * size - 1 <= x86_mask(ctxt->d.ad_bytes) &&
	    linearize(ctxt, seg, ea, n * size, write, &end) == X86EMUL_CONTINUE) {
		rc = ctxt->ops->probe(ctxt, *linear, n * size, access);
		if (rc == X86EMUL_CONTINUE) {
			*units = n;
			return X86EMUL_CONTINUE;
		}
	}
	ctxt->exception.valid = false;
	rc = ctxt->ops->probe(ctxt, *linear, size, access);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_CONTINUE : rc;
}

/*
 * What a device has given cannot be given back, so memory is probed before.  A
 * restart takes as many units as were asked for.
 */
static int ins_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int size = io_string_bytes(&ctxt->d);
	u64 ea = string_ea(ctxt, X86_RDI), linear;
	int rc;

	if (ctxt->ins_count) {
		*units = ctxt->ins_count;
		rc = linearize(ctxt, X86_SEG_ES, ea, size, true, &linear);
	} else {
		rc = io_batch(ctxt, X86_SEG_ES, ea, size, X86EMUL_ACC_WRITE, units,
			      &linear);
	}
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = ctxt->ops->pio_in(ctxt, size, ctxt->regs[X86_RDX], ctxt->batch, *units);
	if (rc == X86EMUL_IO_NEEDED)
		ctxt->ins_count = *units;
	if (rc == X86EMUL_CONTINUE)
		rc = mem_write(ctxt, linear, ctxt->batch, size * *units, 0);
	if (rc == X86EMUL_CONTINUE)
		string_advance(ctxt, X86_RDI, size * *units);
	return rc;
}

static int outs_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int size = io_string_bytes(&ctxt->d);
	u64 linear;
	int rc;

	rc = io_batch(ctxt, string_seg(&ctxt->d), string_ea(ctxt, X86_RSI), size, 0,
		      units, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (*units == 1)
		rc = mem_read(ctxt, linear, ctxt->batch, size, 0);
	else
		rc = ctxt->ops->read(ctxt, linear, ctxt->batch, size * *units, 0);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->pio_out(ctxt, size, ctxt->regs[X86_RDX], ctxt->batch,
					*units);
	if (rc == X86EMUL_CONTINUE)
		string_advance(ctxt, X86_RSI, size * *units);
	return rc;
}

static int io_string(struct x86_emulate_ctxt *ctxt,
		     int (*step)(struct x86_emulate_ctxt *ctxt, unsigned int *units))
{
	int rc;

	rc = check_io(ctxt, ctxt->regs[X86_RDX], io_string_bytes(&ctxt->d));
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return rep_string(ctxt, step, false);
}

int em_ins(struct x86_emulate_ctxt *ctxt)
{
	return io_string(ctxt, ins_step);
}

int em_outs(struct x86_emulate_ctxt *ctxt)
{
	return io_string(ctxt, outs_step);
}

/* ---- system registers and tables ---- */

static int load_dtable(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which)
{
	struct x86_dtable val = { 0, 0 };
	unsigned int bytes = mode64(ctxt) ? 8 : 4;
	int rc;

	rc = read_ea(ctxt, 0, &val.limit, 2);
	if (rc == X86EMUL_CONTINUE)
		rc = read_ea(ctxt, 2, &val.base, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!mode64(ctxt) && ctxt->d.op_bytes == 2)
		val.base &= 0xffffff;
	if (!x86_canonical(ctxt, val.base))
		return fault_gp(ctxt, 0);
	ctxt->ops->set_dtable(ctxt, which, &val);
	return X86EMUL_CONTINUE;
}

/* CR4.UMIP keeps user code from what these tell about the kernel. */
static int check_umip(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt) && (ctxt->ops->get_cr(ctxt, 4) & CR4_UMIP))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

static int store_dtable(struct x86_emulate_ctxt *ctxt, enum x86emul_dtable which)
{
	unsigned int bytes = mode64(ctxt) ? 8 : 4;
	struct x86_dtable val;
	u8 image[10];
	int rc;

	rc = check_umip(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->get_dtable(ctxt, which, &val);
	memcpy(image, &val.limit, 2);
	memcpy(image + 2, &val.base, 8);
	return write_seg(ctxt, ctxt->d.seg, ctxt->d.ea, image, 2 + bytes);
}

int em_lgdt(struct x86_emulate_ctxt *ctxt)
{
	return load_dtable(ctxt, X86EMUL_GDT);
}

int em_lidt(struct x86_emulate_ctxt *ctxt)
{
	return load_dtable(ctxt, X86EMUL_IDT);
}

int em_sgdt(struct x86_emulate_ctxt *ctxt)
{
	return store_dtable(ctxt, X86EMUL_GDT);
}

int em_sidt(struct x86_emulate_ctxt *ctxt)
{
	return store_dtable(ctxt, X86EMUL_IDT);
}

/* An LDT's or a TSS's descriptor; in IA-32e mode it has 16 bytes. */
static int load_system_segment(struct x86_emulate_ctxt *ctxt, unsigned int seg,
			       u16 selector)
{
	bool tss = seg == X86_SEG_TR, lm, found;
	struct descriptor desc;
	struct x86_seg s;
	u64 upper = 0;
	int rc;

	rc = long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!(selector & 0xfffc)) {
		if (tss)
			return fault_gp(ctxt, 0);
		load_null_segment(ctxt, seg, selector, 0);
		return X86EMUL_CONTINUE;
	}
	find_descriptor(ctxt, selector, lm ? 16 : 8, &desc.addr, &found);
	if ((selector & 4) || !found)
		return fault_gp(ctxt, selector & 0xfffc);
	rc = mem_read(ctxt, desc.addr, &desc.raw, 8, X86EMUL_ACC_SYSTEM);
	if (rc == X86EMUL_CONTINUE && lm)
		rc = mem_read(ctxt, desc.addr + 8, &upper, 8, X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	desc_to_seg(&desc, selector, &s);
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
		rc = write_desc_type(ctxt, &desc, 2);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		s.type |= 2;
	}
	ctxt->ops->set_segment(ctxt, seg, &s);
	return X86EMUL_CONTINUE;
}

int em_lldt(struct x86_emulate_ctxt *ctxt)
{
	return load_system_segment(ctxt, X86_SEG_LDTR, OP0.val);
}

int em_ltr(struct x86_emulate_ctxt *ctxt)
{
	return load_system_segment(ctxt, X86_SEG_TR, OP0.val);
}

static int store_selector(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	struct x86_seg s;
	int rc;

	rc = check_umip(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	ctxt->ops->get_segment(ctxt, seg, &s);
	store_16(ctxt, s.selector);
	return X86EMUL_CONTINUE;
}

int em_sldt(struct x86_emulate_ctxt *ctxt)
{
	return store_selector(ctxt, X86_SEG_LDTR);
}

int em_str(struct x86_emulate_ctxt *ctxt)
{
	return store_selector(ctxt, X86_SEG_TR);
}

int em_smsw(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_umip(ctxt);
	if (rc == X86EMUL_CONTINUE)
		store_16(ctxt, ctxt->ops->get_cr(ctxt, 0));
	return rc;
}

/* It sets PE but does not clear it. */
int em_lmsw(struct x86_emulate_ctxt *ctxt)
{
	u64 cr0 = ctxt->ops->get_cr(ctxt, 0);

	return ctxt->ops->set_cr(ctxt, 0, (cr0 & ~0xeull) | (OP0.val & 0xf));
}

int em_clts(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->set_cr(ctxt, 0, ctxt->ops->get_cr(ctxt, 0) & ~(u64)CR0_TS);
}

/* Neither limit nor canonical form is checked: SDM 2A "INVLPG". */
int em_invlpg(struct x86_emulate_ctxt *ctxt)
{
	u64 linear = ctxt->d.ea + segment_base(ctxt, ctxt->d.seg);

	if (!mode64(ctxt))
		linear = (u32)linear;
	if (x86_canonical(ctxt, linear))
		ctxt->ops->invlpg(ctxt, linear);
	return X86EMUL_CONTINUE;
}

int em_wbinvd(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->wbinvd ? ctxt->ops->wbinvd(ctxt) : X86EMUL_UNHANDLEABLE;
}

/*
 * LAR, LSL, VERR and VERW only ask: *ok is whether the selector's descriptor is
 * there and visible at CPL and RPL.  System types in types (a bit each) count.
 */
static int ask_descriptor(struct x86_emulate_ctxt *ctxt, u16 selector, u32 types,
			  struct descriptor *desc, bool *ok)
{
	unsigned int level = cpl(ctxt);
	int rc;

	*ok = false;
	if (!(selector & 0xfffc))
		return X86EMUL_CONTINUE;
	find_descriptor(ctxt, selector, 8, &desc->addr, ok);
	if (!*ok)
		return X86EMUL_CONTINUE;
	rc = mem_read(ctxt, desc->addr, &desc->raw, 8, X86EMUL_ACC_SYSTEM);
	if (rc != X86EMUL_CONTINUE)
		return rc;
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
	int rc;

	rc = long_mode(ctxt, &lm);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return ask_descriptor(ctxt, OP1.val, lm ? ia32e : legacy, desc, ok);
}

int em_lar(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;
	int rc;

	rc = ask_system(ctxt, 0x1a3e, 0x1a04, &desc, &ok);
	if (rc != X86EMUL_CONTINUE)
		return rc;
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
	int rc;

	rc = ask_system(ctxt, 0x0a0e, 0x0a04, &desc, &ok);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_zf(ctxt, ok);
	if (ok) {
		desc_to_seg(&desc, 0, &s);
		OP0.val = s.limit;
	}
	return X86EMUL_CONTINUE;
}

int em_verr(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;
	int rc;

	rc = ask_descriptor(ctxt, OP0.val, 0, &desc, &ok);
	if (rc == X86EMUL_CONTINUE)
		set_zf(ctxt, ok && (desc_type(&desc) & 0xa) != 8);
	return rc;
}

int em_verw(struct x86_emulate_ctxt *ctxt)
{
	struct descriptor desc;
	bool ok;
	int rc;

	rc = ask_descriptor(ctxt, OP0.val, 0, &desc, &ok);
	if (rc == X86EMUL_CONTINUE)
		set_zf(ctxt, ok && (desc_type(&desc) & 0xa) == 2);
	return rc;
}

/* Its operand is loaded as one only read, and stored if it changes. */
int em_arpl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int rpl = OP1.val & 3;
	int rc;

	rc = load_operand(ctxt, &OP0, false);
	if (rc != X86EMUL_CONTINUE)
		return rc;
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
	int rc;

	rc = check_cr(ctxt, OP1.reg);
	if (rc == X86EMUL_CONTINUE)
		OP0.val = ctxt->ops->get_cr(ctxt, OP1.reg);
	return rc;
}

int em_mov_to_cr(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_cr(ctxt, OP0.reg);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->set_cr(ctxt, OP0.reg, OP1.val) : rc;
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
	int rc;

	rc = check_dr(ctxt, OP1.reg);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->get_dr(ctxt, OP1.reg, &OP0.val) : rc;
}

int em_mov_to_dr(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = check_dr(ctxt, OP0.reg);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->set_dr(ctxt, OP0.reg, OP1.val) : rc;
}

static void put_edx_eax(struct x86_emulate_ctxt *ctxt, u64 val)
{
	put_reg(ctxt, X86_RAX, val, 4);
	put_reg(ctxt, X86_RDX, val >> 32, 4);
}

int em_rdmsr(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	rc = ctxt->ops->get_msr(ctxt, ctxt->regs[X86_RCX], &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_wrmsr(struct x86_emulate_ctxt *ctxt)
{
	u64 val = get_reg(ctxt, X86_RDX, 4) << 32 | get_reg(ctxt, X86_RAX, 4);

	return ctxt->ops->set_msr(ctxt, ctxt->regs[X86_RCX], val);
}

int em_rdtsc(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	if (cpl(ctxt) && (ctxt->ops->get_cr(ctxt, 4) & CR4_TSD))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->rdtsc(ctxt, &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_rdtscp(struct x86_emulate_ctxt *ctxt)
{
	u64 aux;
	int rc;

	if (!has_feature(ctxt, X86EMUL_FEAT_RDTSCP))
		return fault_ud(ctxt);
	rc = em_rdtsc(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &aux);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RCX, aux, 4);
	return rc;
}

int em_rdpid(struct x86_emulate_ctxt *ctxt)
{
	if (!has_feature(ctxt, X86EMUL_FEAT_RDPID))
		return fault_ud(ctxt);
	return ctxt->ops->get_msr(ctxt, MSR_TSC_AUX_NR, &OP0.val);
}

int em_rdpmc(struct x86_emulate_ctxt *ctxt)
{
	u64 val;
	int rc;

	if (cpl(ctxt) && !(ctxt->ops->get_cr(ctxt, 4) & CR4_PCE))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->rdpmc(ctxt, ctxt->regs[X86_RCX], &val);
	if (rc == X86EMUL_CONTINUE)
		put_edx_eax(ctxt, val);
	return rc;
}

int em_cpuid(struct x86_emulate_ctxt *ctxt)
{
	u32 a = ctxt->regs[X86_RAX], b = 0, c = ctxt->regs[X86_RCX], d = 0;
	int rc;

	rc = ctxt->ops->cpuid(ctxt, &a, &b, &c, &d);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	put_reg(ctxt, X86_RAX, a, 4);
	put_reg(ctxt, X86_RBX, b, 4);
	put_reg(ctxt, X86_RCX, c, 4);
	put_reg(ctxt, X86_RDX, d, 4);
	return X86EMUL_CONTINUE;
}

int em_swapgs(struct x86_emulate_ctxt *ctxt)
{
	u64 gs, kernel_gs;
	int rc;

	if (!mode64(ctxt))
		return fault_ud(ctxt);
	if (cpl(ctxt))
		return fault_gp(ctxt, 0);
	rc = ctxt->ops->get_msr(ctxt, MSR_GS_BASE_NR, &gs);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->get_msr(ctxt, MSR_KERNEL_GS_BASE_NR, &kernel_gs);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->set_msr(ctxt, MSR_KERNEL_GS_BASE_NR, gs);
	if (rc == X86EMUL_CONTINUE)
		rc = ctxt->ops->set_msr(ctxt, MSR_GS_BASE_NR, kernel_gs);
	return rc;
}

static int check_fsgsbase(struct x86_emulate_ctxt *ctxt)
{
	if (!mode64(ctxt) || !has_feature(ctxt, X86EMUL_FEAT_FSGSBASE) ||
	    !(ctxt->ops->get_cr(ctxt, 4) & CR4_FSGSBASE))
		return fault_ud(ctxt);
	return X86EMUL_CONTINUE;
}

static int read_base(struct x86_emulate_ctxt *ctxt, u32 msr)
{
	int rc;

	rc = check_fsgsbase(ctxt);
	return rc == X86EMUL_CONTINUE ? ctxt->ops->get_msr(ctxt, msr, &OP0.val) : rc;
}

static int write_base(struct x86_emulate_ctxt *ctxt, u32 msr)
{
	int rc;

	rc = check_fsgsbase(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!x86_canonical(ctxt, OP0.val))
		return fault_gp(ctxt, 0);
	return ctxt->ops->set_msr(ctxt, msr, OP0.val);
}

int em_rdfsbase(struct x86_emulate_ctxt *ctxt)
{
	return read_base(ctxt, MSR_FS_BASE_NR);
}

int em_rdgsbase(struct x86_emulate_ctxt *ctxt)
{
	return read_base(ctxt, MSR_GS_BASE_NR);
}

int em_wrfsbase(struct x86_emulate_ctxt *ctxt)
{
	return write_base(ctxt, MSR_FS_BASE_NR);
}

int em_wrgsbase(struct x86_emulate_ctxt *ctxt)
{
	return write_base(ctxt, MSR_GS_BASE_NR);
}

/* ---- x87 and media moves ---- */

int em_wait(struct x86_emulate_ctxt *ctxt)
{
	u64 cr0 = ctxt->ops->get_cr(ctxt, 0);

	if ((cr0 & (CR0_MP | CR0_TS)) == (CR0_MP | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	/* Whether an x87 exception is pending, we cannot tell. */
	return X86EMUL_UNHANDLEABLE;
}

static int x87(struct x86_emulate_ctxt *ctxt, enum x86emul_x87 what)
{
	u16 val = 0;
	int rc;

	if (!ctxt->ops->x87)
		return X86EMUL_UNHANDLEABLE;
	if (ctxt->ops->get_cr(ctxt, 0) & (CR0_EM | CR0_TS))
		return x86_emulate_fault(ctxt, EXC_NM);
	rc = ctxt->ops->x87(ctxt, what, &val);
	OP0.val = val;
	return rc;
}

int em_fninit(struct x86_emulate_ctxt *ctxt)
{
	return x87(ctxt, X86EMUL_FNINIT);
}

int em_fnstcw(struct x86_emulate_ctxt *ctxt)
{
	return x87(ctxt, X86EMUL_FNSTCW);
}

int em_fnstsw(struct x86_emulate_ctxt *ctxt)
{
	return x87(ctxt, X86EMUL_FNSTSW);
}

/* SDM 2A "Exception Conditions of SIMD instructions" and MMX's, as far as CR0 and CR4 */
static int check_media(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	const struct x86_emulate_ops *ops = ctxt->ops;
	u64 cr0;

	if (flags & F_MMX ? !ops->get_mmx || !ops->put_mmx :
	    !ops->get_vec || !ops->put_vec)
		return X86EMUL_UNHANDLEABLE;
	cr0 = ops->get_cr(ctxt, 0);
	if (cr0 & CR0_EM)
		return fault_ud(ctxt);
	if ((flags & F_SSE) && !(ops->get_cr(ctxt, 4) & CR4_OSFXSR))
		return fault_ud(ctxt);
	if (cr0 & CR0_TS)
		return x86_emulate_fault(ctxt, EXC_NM);
	return X86EMUL_CONTINUE;
}

static int media_address(struct x86_emulate_ctxt *ctxt, unsigned int bytes,
			 bool write, u64 *linear)
{
	int rc;

	if (ctxt->d.row->flags & F_ALIGN) {
		rc = check_aligned(ctxt, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	return linearize(ctxt, ctxt->d.seg, ctxt->d.ea, bytes, write, linear);
}

/* To or from val: bytes of memory, or a whole register (16 bytes for XMM) */
static int media_load(struct x86_emulate_ctxt *ctxt, const struct x86_operand *op,
		      void *val, unsigned int bytes)
{
	u64 linear, mm = 0;
	int rc;

	switch (op->kind) {
	case OPK_XMM:
		return ctxt->ops->get_vec(ctxt, op->reg, val, 16);
	case OPK_MMX:
		rc = ctxt->ops->get_mmx(ctxt, op->reg, &mm);
		memcpy(val, &mm, 8);
		return rc;
	default:
		rc = media_address(ctxt, bytes, false, &linear);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		return mem_read(ctxt, linear, val, bytes, 0);
	}
}

static int media_store(struct x86_emulate_ctxt *ctxt, const struct x86_operand *op,
		       const void *val, unsigned int bytes)
{
	u64 linear, mm;
	int rc;

	switch (op->kind) {
	case OPK_XMM:
		return ctxt->ops->put_vec(ctxt, op->reg, val, 16);
	case OPK_MMX:
		memcpy(&mm, val, 8);
		return ctxt->ops->put_mmx(ctxt, op->reg, mm);
	default:
		rc = media_address(ctxt, bytes, true, &linear);
		if (rc != X86EMUL_CONTINUE)
			return rc;
		return mem_write(ctxt, linear, val, bytes, 0);
	}
}

/* MOVUPS, MOVAPS, MOVDQA, MOVDQU, LDDQU, MOVNTxx: a whole register */
int em_movv(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = media_load(ctxt, &OP1, ctxt->vec, 16);
	if (rc == X86EMUL_CONTINUE)
		rc = media_store(ctxt, &OP0, ctxt->vec, 16);
	return rc;
}

/* MOVSS, MOVSD: from a register, the rest of operand 0 is kept; MOVQ: cleared */
int em_movv_low(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	bool movq = ctxt->d.opcode == 0x7e || ctxt->d.opcode == 0xd6;
	u8 low[16];
	int rc;

	rc = media_load(ctxt, &OP1, low, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memset(ctxt->vec, 0, 16);
	if (OP0.kind == OPK_XMM && OP1.kind == OPK_XMM && !movq) {
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	memcpy(ctxt->vec, low, bytes);
	return media_store(ctxt, &OP0, ctxt->vec, bytes);
}

/* MOVLPS, MOVLPD (12, 13), MOVHPS, MOVHPD (16, 17) */
int em_movv_high(struct x86_emulate_ctxt *ctxt)
{
	unsigned int half = ctxt->d.opcode & 4 ? 8 : 0;
	u8 data[8];
	int rc;

	if (OP0.kind == OPK_MEM) {
		rc = media_load(ctxt, &OP1, ctxt->vec, 16);
		if (rc == X86EMUL_CONTINUE)
			rc = media_store(ctxt, &OP0, ctxt->vec + half, 8);
		return rc;
	}
	rc = media_load(ctxt, &OP1, data, 8);
	if (rc == X86EMUL_CONTINUE)
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memcpy(ctxt->vec + half, data, 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

/* MOVHLPS (12), MOVLHPS (16) */
int em_movhl(struct x86_emulate_ctxt *ctxt)
{
	unsigned int to = ctxt->d.opcode & 4 ? 8 : 0;
	u8 src[16];
	int rc;

	rc = media_load(ctxt, &OP1, src, 16);
	if (rc == X86EMUL_CONTINUE)
		rc = media_load(ctxt, &OP0, ctxt->vec, 16);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	memcpy(ctxt->vec + to, src + (8 - to), 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

/* MOVD, MOVQ between XMM and general registers or memory */
int em_movd_to(struct x86_emulate_ctxt *ctxt)
{
	memset(ctxt->vec, 0, 16);
	memcpy(ctxt->vec, &OP1.val, 8);
	return media_store(ctxt, &OP0, ctxt->vec, 16);
}

int em_movd_from(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = media_load(ctxt, &OP1, ctxt->vec, 16);
	memcpy(&OP0.val, ctxt->vec, 8);
	return rc;
}

/* MMX's MOVQ and MOVNTQ, and MOVD */
int em_movm(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	rc = media_load(ctxt, &OP1, ctxt->vec, 8);
	if (rc == X86EMUL_CONTINUE)
		rc = media_store(ctxt, &OP0, ctxt->vec, 8);
	return rc;
}

int em_movmd_to(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->put_mmx(ctxt, OP0.reg, OP1.val);
}

int em_movmd_from(struct x86_emulate_ctxt *ctxt)
{
	return ctxt->ops->get_mmx(ctxt, OP1.reg, &OP0.val);
}

/* ---- one instruction ---- */

void x86_emulate_init(struct x86_emulate_ctxt *ctxt)
{
	memset(ctxt, 0, sizeof(*ctxt));
	ctxt->va_bits = 48;
}

static int check_privilege(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	if ((flags & F_PROT) && !prot_mode(ctxt))
		return fault_ud(ctxt);
	if ((flags & F_CPL0) && cpl(ctxt))
		return fault_gp(ctxt, 0);
	if (flags & (F_SSE | F_MMX))
		return check_media(ctxt, flags);
	return X86EMUL_CONTINUE;
}

static int load_operands(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	struct x86_decode *d = &ctxt->d;
	int rc = X86EMUL_CONTINUE;

	/* Sources first: none of them is what a locked operation waits for. */
	if (d->op[2].kind != OPK_NONE)
		rc = load_operand(ctxt, &d->op[2], false);
	if (rc == X86EMUL_CONTINUE && d->op[1].kind != OPK_NONE && !(flags & F_N1))
		rc = load_operand(ctxt, &d->op[1], false);
	if (rc == X86EMUL_CONTINUE && !(flags & F_W0))
		rc = load_operand(ctxt, &d->op[0], !(flags & F_R0));
	return rc;
}

static int store_operand(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	const struct x86_decode *d = &ctxt->d;
	const struct x86_operand *op = &d->op[0];

	if (op->kind == OPK_REG) {
		put_operand(ctxt, op, op->val);
		return X86EMUL_CONTINUE;
	}
	if (op->kind != OPK_MEM)
		return X86EMUL_CONTINUE;
	if (flags & F_W0)
		return write_seg(ctxt, d->seg, d->ea, &op->val, op->bytes);
	/* XCHG with memory is locked with and without the prefix. */
	return store_op0(ctxt, ctxt->op0_linear, ctxt->op0_old,
			 d->lock || d->row->exec == em_xchg);
}

static int execute(struct x86_emulate_ctxt *ctxt)
{
	const struct x86_opcode *row = ctxt->d.row;
	u32 flags = row->flags;
	int rc;

	if (flags & (F_PROT | F_CPL0 | F_SSE | F_MMX)) {
		rc = check_privilege(ctxt, flags);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	rc = load_operands(ctxt, flags);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = row->exec(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (!(flags & F_R0) && !ctxt->skip_write)
		return store_operand(ctxt, flags);
	return X86EMUL_CONTINUE;
}

static void undo(struct x86_emulate_ctxt *ctxt)
{
	unsigned int nr;
	u32 bits;

	for (nr = 0, bits = ctxt->undo; bits; nr++, bits >>= 1)
		if (bits & 1)
			ctxt->regs[nr] = ctxt->old_regs[nr];
	ctxt->undo = 0;
	ctxt->rflags = ctxt->old_rflags;
	ctxt->interruptibility = 0;
}

int x86_emulate_insn(struct x86_emulate_ctxt *ctxt)
{
	int rc;

	ctxt->next_rip = ctxt->rip + ctxt->d.len;
	if (!mode64(ctxt))
		ctxt->next_rip = (u32)ctxt->next_rip;
	ctxt->old_rflags = ctxt->rflags;
	ctxt->undo = 0;
	ctxt->interruptibility = 0;
	ctxt->more = false;
	ctxt->posted = false;
	ctxt->skip_write = false;
	ctxt->exception.valid = false;
	ctxt->rc.pos = 0;

	rc = execute(ctxt);
	if (rc != X86EMUL_CONTINUE) {
		undo(ctxt);
		return rc;
	}
	ctxt->rip = ctxt->next_rip;
	return X86EMUL_CONTINUE;
}
