// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator: one executor for each mnemonic (em_xxx), and what they stand
 * on.  x86_emulate_insn(), at the end, loads the operands that the tables in
 * x86_opcodes.c name, calls the executor, and stores operand 0.
 *
 * Executors change registers through set_reg(), which can be undone, and
 * segments, control registers and memory, which cannot, only after everything
 * that may fault.
 */
#include "emulator/emulator.h"

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



/* ---- registers ---- */

void x86_emulate_set_reg(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val)
{
	set_reg(ctxt, nr & (X86_NR_GPR - 1), val);
}

static void put_ah(struct x86_emulate_ctxt *ctxt, u8 val)
{
	set_reg(ctxt, X86_RAX, (ctxt->regs[X86_RAX] & ~0xff00ull) | (u64)val << 8);
}



/* ---- modes and privilege ---- */

/* Is this IA-32e mode, compatibility mode included? */
int x86em_long_mode(struct x86_emulate_ctxt *ctxt, bool *active)
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
bool x86em_segment_allows(struct x86_emulate_ctxt *ctxt, const struct x86_seg *s,
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

u64 x86em_segment_base(struct x86_emulate_ctxt *ctxt, unsigned int seg)
{
	struct x86_seg s;

	if (mode64(ctxt) && seg < X86_SEG_FS)
		return 0;
	if (ctxt->ops->get_segment_base)
		return ctxt->ops->get_segment_base(ctxt, seg);
	ctxt->ops->get_segment(ctxt, seg, &s);
	return s.base;
}

static int linearize_all(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
			 unsigned int bytes, bool write, u64 *linear)
{
	struct x86_seg s;

	if (mode64(ctxt)) {
		if (seg >= X86_SEG_FS) {
			/* AMD's processors want the offset canonical as well. */
			if (ctxt->amd && !x86_canonical(ctxt, ea))
				return seg_fault(ctxt, seg);
			ea += x86em_segment_base(ctxt, seg);
		}
		if (!x86_canonical(ctxt, ea) || !x86_canonical(ctxt, ea + bytes - 1))
			return seg_fault(ctxt, seg);
		*linear = ea;
		return X86EMUL_CONTINUE;
	}

	ctxt->ops->get_segment(ctxt, seg, &s);
	if (!x86em_segment_allows(ctxt, &s, ea, bytes, write))
		return seg_fault(ctxt, seg);
	*linear = (u32)(s.base + ea);
	/* Processors disagree on what comes after the last byte of 4 GiB. */
	if (*linear + bytes - 1 > 0xffffffff)
		return X86EMUL_UNHANDLEABLE;
	return X86EMUL_CONTINUE;
}

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
	return linearize_all(ctxt, seg, ea, bytes, write, linear);
}

int x86em_linearize(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		    unsigned int bytes, bool write, u64 *linear)
{
	return linearize(ctxt, seg, ea, bytes, write, linear);
}

/* MOVAPS and CMPXCHG16B find this out before they look at limits. */
int x86em_check_aligned(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
{
	if ((x86em_segment_base(ctxt, ctxt->d.seg) + ctxt->d.ea) & (bytes - 1))
		return fault_gp(ctxt, 0);
	return X86EMUL_CONTINUE;
}

/* A read that was done before the restart. */
static int replay_read(struct x86_read_cache *rc, void *val, unsigned int bytes)
{
	if (bytes > (unsigned int)(rc->end - rc->pos))
		return X86EMUL_UNHANDLEABLE;
	memcpy(val, rc->data + rc->pos, bytes);
	rc->pos += bytes;
	return X86EMUL_CONTINUE;
}

static void remember_read(struct x86_read_cache *rc, const void *val, unsigned int bytes)
{
	memcpy(rc->data + rc->pos, val, bytes);
	rc->pos += bytes;
	rc->end = rc->pos;
}

/* A read that is replayed on a restart: see x86_emulate.h. */
int x86em_mem_read(struct x86_emulate_ctxt *ctxt, u64 linear, void *val,
		   unsigned int bytes, unsigned int access)
{
	struct x86_read_cache *rc = &ctxt->rc;
	int ret;

	if (bytes > sizeof(rc->data) - rc->pos)
		return X86EMUL_UNHANDLEABLE;
	if (rc->pos < rc->end)
		return replay_read(rc, val, bytes);
	ret = ctxt->ops->read(ctxt, linear, val, bytes, access);
	if (ret == X86EMUL_CONTINUE) {
		remember_read(rc, val, bytes);
	} else if (ret == X86EMUL_IO_NEEDED) {
		rc->pending = bytes;
		rc->pending_addr = linear;
	}
	return ret;
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

int x86em_mem_write(struct x86_emulate_ctxt *ctxt, u64 linear, const void *val,
		    unsigned int bytes, unsigned int access)
{
	return ctxt->ops->write(ctxt, linear, val, bytes, access);
}

int x86em_read_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		   void *val, unsigned int bytes)
{
	u64 linear;
	int rc;

	rc = x86em_linearize(ctxt, seg, ea, bytes, false, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return x86em_mem_read(ctxt, linear, val, bytes, 0);
}

int x86em_write_seg(struct x86_emulate_ctxt *ctxt, unsigned int seg, u64 ea,
		    const void *val, unsigned int bytes)
{
	u64 linear;
	int rc;

	rc = x86em_linearize(ctxt, seg, ea, bytes, true, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return x86em_mem_write(ctxt, linear, val, bytes, 0);
}

/* The memory operand, or what lies offset bytes behind it. */
int x86em_read_ea(struct x86_emulate_ctxt *ctxt, unsigned int offset, void *val,
		  unsigned int bytes)
{
	u64 ea = (ctxt->d.ea + offset) & x86_mask(ctxt->d.ad_bytes);

	return x86em_read_seg(ctxt, ctxt->d.seg, ea, val, bytes);
}

/* Is this store's destination good?  Where the store itself comes too late. */
int x86em_probe_write(struct x86_emulate_ctxt *ctxt, u64 linear,
		      unsigned int bytes)
{
	int rc;

	if (!ctxt->ops->probe)
		return X86EMUL_CONTINUE;
	rc = ctxt->ops->probe(ctxt, linear, bytes, X86EMUL_ACC_WRITE);
	return rc == X86EMUL_IO_NEEDED ? X86EMUL_CONTINUE : rc;
}

/* ---- the stack ---- */

unsigned int x86em_stack_bytes(struct x86_emulate_ctxt *ctxt)
{
	struct x86_seg ss;

	if (mode64(ctxt))
		return 8;
	ctxt->ops->get_segment(ctxt, X86_SEG_SS, &ss);
	return ss.db ? 4 : 2;
}

void x86em_add_rsp(struct x86_emulate_ctxt *ctxt, u64 delta)
{
	add_reg(ctxt, X86_RSP, delta, x86em_stack_bytes(ctxt));
}

int x86em_push(struct x86_emulate_ctxt *ctxt, u64 val, unsigned int bytes)
{
	unsigned int width = x86em_stack_bytes(ctxt);
	u64 sp = (ctxt->regs[X86_RSP] - bytes) & x86_mask(width);
	int rc;

	rc = x86em_write_seg(ctxt, X86_SEG_SS, sp, &val, bytes);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RSP, sp, width);
	return rc;
}

int x86em_pop(struct x86_emulate_ctxt *ctxt, u64 *val, unsigned int bytes)
{
	unsigned int width = x86em_stack_bytes(ctxt);
	u64 sp = get_reg(ctxt, X86_RSP, width);
	int rc;

	*val = 0;
	rc = x86em_read_seg(ctxt, X86_SEG_SS, sp, val, bytes);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RSP, sp + bytes, width);
	return rc;
}

/* ---- flags ---- */

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
bool x86em_condition(const struct x86_emulate_ctxt *ctxt, unsigned int cc)
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

/* Memory; modify: it will be stored to as well. */
static x86_inline int load_memory(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
				  bool modify)
{
	u64 linear;
	int rc;

	rc = linearize(ctxt, ctxt->d.seg, ctxt->d.ea, op->bytes, modify, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = read_small(ctxt, linear, &op->val, op->bytes, modify ? X86EMUL_ACC_WRITE : 0);
	if (modify) {
		ctxt->op0_linear = linear;
		ctxt->op0_old = op->val;
	}
	return rc;
}

static x86_inline int load_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
				   bool modify)
{
	if (op->kind == OPK_MEM)
		return load_memory(ctxt, op, modify);
	if (op->kind == OPK_REG)
		op->val = ctxt->regs[op->reg] >> (op->high * 8) & x86_mask(op->bytes);
	return X86EMUL_CONTINUE;
}

/* A general register or memory, unless it is an immediate that is there already. */
int x86em_load_operand(struct x86_emulate_ctxt *ctxt, struct x86_operand *op,
		       bool modify)
{
	return load_operand(ctxt, op, modify);
}

static int store_op0(struct x86_emulate_ctxt *ctxt, u64 linear, u64 old, bool locked)
{
	const struct x86_operand *op = &ctxt->d.op[0];

	if (locked)
		return ctxt->ops->cmpxchg(ctxt, linear, &old, &op->val, op->bytes);
	return x86em_mem_write(ctxt, linear, &op->val, op->bytes, 0);
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
	rc = x86em_linearize(ctxt, ctxt->d.seg, ea, bytes, action != BIT_TEST, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = x86em_mem_read(ctxt, linear, &old, bytes,
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

static x86_inline void put_operand(struct x86_emulate_ctxt *ctxt,
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
		rc = x86em_check_aligned(ctxt, 16);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	rc = x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, 2 * half, true, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = x86em_mem_read(ctxt, linear, old, 2 * half, X86EMUL_ACC_WRITE);
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
	return x86em_mem_write(ctxt, linear, new, 2 * half, 0);
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
	OP0.val = swap_bytes(OP1.val, OP0.bytes);
	return X86EMUL_CONTINUE;
}

/* 64 bytes, to where the register points to in ES */
int em_movdir64b(struct x86_emulate_ctxt *ctxt)
{
	u64 to = get_reg(ctxt, OP0.reg, ctxt->d.ad_bytes), linear;
	int rc;

	rc = x86em_read_ea(ctxt, 0, ctxt->vec, 64);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_linearize(ctxt, X86_SEG_ES, to, 64, true, &linear);
	if (rc == X86EMUL_CONTINUE && (linear & 63))
		rc = fault_gp(ctxt, 0);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_mem_write(ctxt, linear, ctxt->vec, 64, 0);
	return rc;
}

/* SDM 2A "CRC32": the polynomial 11EDC6F41, reflected */
int em_crc32(struct x86_emulate_ctxt *ctxt)
{
	u32 crc = OP0.val;
	unsigned int i;

	for (i = 0; i < OP1.bytes * 8; i++)
		crc = crc >> 1 ^ (((crc ^ OP1.val >> i) & 1) ? 0x82f63b78 : 0);
	OP0.val = crc;
	return X86EMUL_CONTINUE;
}

static int random_number(struct x86_emulate_ctxt *ctxt, bool seed)
{
	u64 val = 0;
	bool good;

	if (!ctxt->ops->random)
		return X86EMUL_UNHANDLEABLE;
	good = ctxt->ops->random(ctxt, seed, &val);
	OP0.val = good ? val : 0;
	set_flags(ctxt, X86_FLAGS_STATUS, good ? X86_FLAG_CF : 0);
	return X86EMUL_CONTINUE;
}

int em_rdrand(struct x86_emulate_ctxt *ctxt)
{
	return random_number(ctxt, false);
}

int em_rdseed(struct x86_emulate_ctxt *ctxt)
{
	return random_number(ctxt, true);
}

/* ---- BMI1 and BMI2, CMPccXADD: operands by VEX ---- */

static int bmi1(struct x86_emulate_ctxt *ctxt, u64 res, bool cf)
{
	OP0.val = res;
	/* AF and PF are undefined; the processors we know clear them. */
	set_flags(ctxt, X86_FLAGS_STATUS, (flags_zsp(res, OP0.bytes) & ~X86_FLAG_PF) |
		  (cf ? X86_FLAG_CF : 0));
	return X86EMUL_CONTINUE;
}

int em_andn(struct x86_emulate_ctxt *ctxt)
{
	return bmi1(ctxt, ~OP1.val & OP2.val, false);
}

int em_blsr(struct x86_emulate_ctxt *ctxt)
{
	return bmi1(ctxt, OP1.val & (OP1.val - 1), !OP1.val);
}

int em_blsmsk(struct x86_emulate_ctxt *ctxt)
{
	return bmi1(ctxt, OP1.val ^ (OP1.val - 1), !OP1.val);
}

int em_blsi(struct x86_emulate_ctxt *ctxt)
{
	return bmi1(ctxt, OP1.val & (0 - OP1.val), OP1.val);
}

static u64 low_bits(unsigned int n)
{
	return n > 63 ? ~0ull : (1ull << n) - 1;
}

int em_bextr(struct x86_emulate_ctxt *ctxt)
{
	unsigned int start = OP2.val & 0xff, n = OP2.val >> 8 & 0xff;
	u64 res = start > 63 ? 0 : OP1.val >> start & low_bits(n);

	bmi1(ctxt, res, false);
	/* SF is undefined, and cleared. */
	set_flags(ctxt, X86_FLAG_SF, 0);
	return X86EMUL_CONTINUE;
}

int em_bzhi(struct x86_emulate_ctxt *ctxt)
{
	unsigned int n = OP2.val & 0xff;

	OP0.val = OP1.val & low_bits(n);
	set_flags(ctxt, X86_FLAGS_STATUS, (flags_zsp(OP0.val, OP0.bytes) & ~X86_FLAG_PF) |
		  (n >= OP0.bytes * 8u ? X86_FLAG_CF : 0));
	return X86EMUL_CONTINUE;
}

/* The rest of BMI2 leaves the flags alone. */
static int bmi2(struct x86_emulate_ctxt *ctxt, u64 res)
{
	OP0.val = res;
	return X86EMUL_CONTINUE;
}

/* The high half goes to operand 0, last, the low one to operand 1. */
int em_mulx(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 hi, lo;

	multiply(get_reg(ctxt, X86_RDX, bytes), OP2.val, &hi, &lo);
	put_reg(ctxt, OP1.reg, lo, bytes);
	OP0.val = bytes == 8 ? hi : lo >> 32;
	return X86EMUL_CONTINUE;
}

int em_pdep(struct x86_emulate_ctxt *ctxt)
{
	u64 src = OP1.val, mask = OP2.val, res = 0;

	for (; mask; mask &= mask - 1, src >>= 1)
		if (src & 1)
			res |= mask & (0 - mask);
	return bmi2(ctxt, res);
}

int em_pext(struct x86_emulate_ctxt *ctxt)
{
	u64 mask = OP2.val, res = 0, bit = 1;

	for (; mask; mask &= mask - 1, bit <<= 1)
		if (OP1.val & mask & (0 - mask))
			res |= bit;
	return bmi2(ctxt, res);
}

int em_rorx(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = OP2.val & (bits - 1);

	return bmi2(ctxt, n ? OP1.val >> n | OP1.val << (bits - n) : OP1.val);
}

int em_sarx(struct x86_emulate_ctxt *ctxt)
{
	s64 val = (s64)x86_sext(OP1.val, OP1.bytes);

	return bmi2(ctxt, (u64)(val >> shift_count(&OP0, OP2.val)));
}

int em_shlx(struct x86_emulate_ctxt *ctxt)
{
	return bmi2(ctxt, OP1.val << shift_count(&OP0, OP2.val));
}

int em_shrx(struct x86_emulate_ctxt *ctxt)
{
	return bmi2(ctxt, OP1.val >> shift_count(&OP0, OP2.val));
}

/* It is locked without saying so, and writes in each case. */
int em_cmpccxadd(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 linear, old = 0, new;
	int rc;

	if (!mode64(ctxt))
		return fault_ud(ctxt);
	rc = x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, bytes, true, &linear);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_mem_read(ctxt, linear, &old, bytes, X86EMUL_ACC_WRITE);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	flags_sub(ctxt, old, OP1.val, old - OP1.val, bytes, X86_FLAGS_STATUS);
	new = x86em_condition(ctxt, ctxt->d.opcode) ? old + OP2.val : old;
	put_operand(ctxt, &OP1, old);
	return ctxt->ops->cmpxchg(ctxt, linear, &old, &new, bytes);
}

/* ---- conditions and addresses ---- */

int em_setcc(struct x86_emulate_ctxt *ctxt)
{
	OP0.val = x86em_condition(ctxt, ctxt->d.opcode);
	return X86EMUL_CONTINUE;
}

/* A 32-bit one clears the upper half even if the condition is false. */
int em_cmovcc(struct x86_emulate_ctxt *ctxt)
{
	if (x86em_condition(ctxt, ctxt->d.opcode))
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
	unsigned int seg = data_seg(&ctxt->d);
	u64 ea = (ctxt->regs[X86_RBX] + (ctxt->regs[X86_RAX] & 0xff)) &
		 x86_mask(ctxt->d.ad_bytes);
	u8 val;
	int rc;

	rc = x86em_read_seg(ctxt, seg, ea, &val, 1);
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

	rc = x86em_read_ea(ctxt, 0, &lower, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_read_ea(ctxt, bytes, &upper, bytes);
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
	return x86em_push(ctxt, OP0.val, ctxt->d.op_bytes);
}

int em_pop(struct x86_emulate_ctxt *ctxt)
{
	return x86em_pop(ctxt, &OP0.val, ctxt->d.op_bytes);
}

int em_pusha(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, nr;
	u64 sp = ctxt->regs[X86_RSP];
	int rc;

	for (nr = X86_RAX; nr <= X86_RDI; nr++) {
		rc = x86em_push(ctxt, nr == X86_RSP ? sp : ctxt->regs[nr], bytes);
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
		rc = x86em_pop(ctxt, &val, bytes);
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
int x86em_check_vm86_iopl(struct x86_emulate_ctxt *ctxt)
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

	rc = x86em_check_vm86_iopl(ctxt);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return x86em_push(ctxt, ctxt->rflags & ~(u64)(X86_FLAG_VM | X86_FLAG_RF),
			  ctxt->d.op_bytes);
}

/* What POPF and IRET may change, VM and the virtual interrupt flags apart. */
u32 x86em_popf_mask(struct x86_emulate_ctxt *ctxt, unsigned int bytes)
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

	rc = x86em_check_vm86_iopl(ctxt);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_pop(ctxt, &val, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	set_flags(ctxt, x86em_popf_mask(ctxt, bytes), val);
	if (bytes > 2)
		set_flags(ctxt, X86_FLAG_RF, 0);
	return X86EMUL_CONTINUE;
}

int em_enter(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = ctxt->d.op_bytes, level = OP1.val & 31, i;
	unsigned int width = x86em_stack_bytes(ctxt);
	u64 frame, linear, val, bp = ctxt->regs[X86_RBP];
	int rc;

	rc = x86em_push(ctxt, bp, bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	frame = ctxt->regs[X86_RSP];
	for (i = 1; i < level; i++) {
		bp -= bytes;
		val = 0;
		rc = x86em_read_seg(ctxt, X86_SEG_SS, bp & x86_mask(width), &val, bytes);
		if (rc == X86EMUL_CONTINUE)
			rc = x86em_push(ctxt, val, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	if (level) {
		rc = x86em_push(ctxt, frame, bytes);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	x86em_add_rsp(ctxt, 0 - OP0.val);
	/* The new top of stack must be writable, though nothing is written. */
	rc = x86em_linearize(ctxt, X86_SEG_SS, get_reg(ctxt, X86_RSP, width), bytes, true,
			     &linear);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_probe_write(ctxt, linear, bytes);
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

	put_reg(ctxt, X86_RSP, ctxt->regs[X86_RBP], x86em_stack_bytes(ctxt));
	rc = x86em_pop(ctxt, &val, bytes);
	if (rc == X86EMUL_CONTINUE)
		put_reg(ctxt, X86_RBP, val, bytes);
	return rc;
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

	rc = x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, 1, false, &linear);
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

int x86em_check_io(struct x86_emulate_ctxt *ctxt, u16 port, unsigned int size)
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

	rc = x86em_check_io(ctxt, port, OP0.bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	OP0.val = 0;
	return ctxt->ops->pio_in(ctxt, OP0.bytes, port, &OP0.val, 1);
}

int em_out(struct x86_emulate_ctxt *ctxt)
{
	u16 port = OP0.val;
	int rc;

	rc = x86em_check_io(ctxt, port, OP1.bytes);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return ctxt->ops->pio_out(ctxt, OP1.bytes, port, &OP1.val, 1);
}

/* ---- strings ---- */

static unsigned int string_bytes(const struct x86_decode *d)
{
	return d->opcode & 1 ? d->op_bytes : 1;
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
	rc = x86em_read_seg(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &val, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_write_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &val, bytes);
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
	rc = x86em_write_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI),
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
	rc = x86em_read_seg(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &val, bytes);
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
	rc = x86em_read_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &b, bytes);
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
	rc = x86em_read_seg(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), &a, bytes);
	if (rc == X86EMUL_CONTINUE)
		rc = x86em_read_seg(ctxt, X86_SEG_ES, string_ea(ctxt, X86_RDI), &b, bytes);
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
	rc = x86em_linearize(ctxt, seg, ea, size, write, linear);
	if (rc != X86EMUL_CONTINUE || !ctxt->ops->probe)
		return rc;
	room = (4096 - (unsigned int)(*linear & 4095)) / size;
	if (n > room)
		n = room;
	/* An address that wraps ends the batch too. */
	if (n > 1 && !flag(ctxt, X86_FLAG_DF) &&
	    ea + (u64)n * size - 1 <= x86_mask(ctxt->d.ad_bytes) &&
	    x86em_linearize(ctxt, seg, ea, n * size, write, &end) == X86EMUL_CONTINUE) {
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
 * restart takes the units that were asked for.
 */
static int ins_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int size = io_string_bytes(&ctxt->d);
	u64 ea = string_ea(ctxt, X86_RDI), linear;
	int rc;

	if (ctxt->ins_count) {
		/* Userspace may have lowered RCX in between. */
		if (*units > ctxt->ins_count)
			*units = ctxt->ins_count;
		rc = x86em_linearize(ctxt, X86_SEG_ES, ea, size, true, &linear);
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
		rc = x86em_mem_write(ctxt, linear, ctxt->batch, size * *units, 0);
	if (rc == X86EMUL_CONTINUE)
		string_advance(ctxt, X86_RDI, size * *units);
	return rc;
}

static int outs_step(struct x86_emulate_ctxt *ctxt, unsigned int *units)
{
	unsigned int size = io_string_bytes(&ctxt->d);
	u64 linear;
	int rc;

	rc = io_batch(ctxt, data_seg(&ctxt->d), string_ea(ctxt, X86_RSI), size, 0,
		      units, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (*units == 1)
		rc = x86em_mem_read(ctxt, linear, ctxt->batch, size, 0);
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

	rc = x86em_check_io(ctxt, ctxt->regs[X86_RDX], io_string_bytes(&ctxt->d));
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

/* ---- one instruction ---- */

void x86_emulate_init(struct x86_emulate_ctxt *ctxt)
{
	memset(ctxt, 0, sizeof(*ctxt));
	ctxt->va_bits = 48;
}

static int check_privilege(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	if ((flags & FEATURES) && !has_feature(ctxt, flags >> FEATURE_SHIFT))
		return fault_ud(ctxt);
	if ((flags & F_PROT) && !prot_mode(ctxt))
		return fault_ud(ctxt);
	if ((flags & F_CPL0) && cpl(ctxt))
		return fault_gp(ctxt, 0);
	if (flags & (F_SSE | F_MMX | F_AVX))
		return x86em_check_media(ctxt, flags);
	return X86EMUL_CONTINUE;
}

/* Sources first: none of them is what a locked operation waits for. */
static x86_inline int load_operands(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	struct x86_decode *d = &ctxt->d;
	int rc;

	if (!(flags & F_N1)) {
		if (d->op[2].kind != OPK_NONE) {
			rc = x86em_load_operand(ctxt, &d->op[2], false);
			if (rc != X86EMUL_CONTINUE)
				return rc;
		}
		rc = load_operand(ctxt, &d->op[1], false);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	if (flags & F_W0)
		return X86EMUL_CONTINUE;
	return x86em_load_operand(ctxt, &d->op[0], !(flags & F_R0));
}

static int store_memory(struct x86_emulate_ctxt *ctxt, u32 flags)
{
	const struct x86_decode *d = &ctxt->d;
	const struct x86_operand *op = &d->op[0];

	if (op->kind != OPK_MEM)
		return X86EMUL_CONTINUE;
	if (flags & F_W0)
		return x86em_write_seg(ctxt, d->seg, d->ea, &op->val, op->bytes);
	/* XCHG with memory is locked with and without the prefix. */
	return store_op0(ctxt, ctxt->op0_linear, ctxt->op0_old,
			 d->lock || d->row->exec == em_xchg);
}

/*
 * The register of a MOV from memory.  Behind its one read nothing fails: there is
 * neither a read to remember for a restart, nor a value to put back.
 */
static x86_inline int load_quick(struct x86_emulate_ctxt *ctxt)
{
	struct x86_read_cache *cache = &ctxt->rc;
	u64 linear, val = 0;
	int rc;

	rc = linearize(ctxt, ctxt->d.seg, ctxt->d.ea, OP1.bytes, false, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (cache->end)
		rc = x86em_mem_read(ctxt, linear, &val, OP1.bytes, 0);
	else
		rc = ctxt->ops->read(ctxt, linear, &val, OP1.bytes, 0);
	if (rc == X86EMUL_IO_NEEDED) {
		cache->pending = OP1.bytes;
		cache->pending_addr = linear;
	}
	if (rc != X86EMUL_CONTINUE)
		return rc;
	if (OP0.bytes < 4) {
		put_operand(ctxt, &OP0, val);
	} else {
		ctxt->regs_dirty |= 1u << OP0.reg;
		ctxt->regs[OP0.reg] = val;
	}
	return X86EMUL_CONTINUE;
}

/* MOV between a register and memory: see decode_quick(). */
static x86_inline int execute_quick(struct x86_emulate_ctxt *ctxt)
{
	u64 linear;
	int rc;

	if (OP0.kind == OPK_REG)
		return load_quick(ctxt);
	OP0.val = ctxt->regs[OP1.reg] >> (OP1.high * 8);
	rc = linearize(ctxt, ctxt->d.seg, ctxt->d.ea, OP0.bytes, true, &linear);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	return ctxt->ops->write(ctxt, linear, &OP0.val, OP0.bytes, 0);
}

static __attribute__((__noinline__)) int execute(struct x86_emulate_ctxt *ctxt)
{
	const struct x86_opcode *row = ctxt->d.row;
	u32 flags = row->flags;
	int rc;

	if (flags & (F_PROT | F_CPL0 | F_SSE | F_MMX | F_AVX | FEATURES)) {
		rc = check_privilege(ctxt, flags);
		if (rc != X86EMUL_CONTINUE)
			return rc;
	}
	rc = load_operands(ctxt, flags);
	if (rc != X86EMUL_CONTINUE)
		return rc;
	rc = row->exec(ctxt);
	if (rc != X86EMUL_CONTINUE || (flags & F_R0) || ctxt->skip_write)
		return rc;
	if (OP0.kind != OPK_REG)
		return store_memory(ctxt, flags);
	put_operand(ctxt, &OP0, OP0.val);
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

/* Begin and end of one instruction, and of an intercepted task switch. */
void x86em_begin(struct x86_emulate_ctxt *ctxt)
{
	ctxt->old_rflags = ctxt->rflags;
	ctxt->undo = 0;
	ctxt->interruptibility = 0;
	ctxt->more = false;
	ctxt->switched = false;
	ctxt->posted = false;
	ctxt->skip_write = false;
	ctxt->exception.valid = false;
	ctxt->rc.pos = 0;
}

int x86em_end(struct x86_emulate_ctxt *ctxt, int rc)
{
	if (rc == X86EMUL_CONTINUE)
		ctxt->rip = ctxt->next_rip;
	else
		undo(ctxt);
	return rc;
}

int x86_emulate_insn(struct x86_emulate_ctxt *ctxt)
{
	ctxt->next_rip = ctxt->rip + ctxt->d.len;
	if (!mode64(ctxt))
		ctxt->next_rip = (u32)ctxt->next_rip;
	x86em_begin(ctxt);
	if ((ctxt->d.row->flags & F_QUICK) && OP0.kind != OP1.kind)
		return x86em_end(ctxt, execute_quick(ctxt));
	return x86em_end(ctxt, execute(ctxt));
}

bool x86_emulate_one_access(const struct x86_emulate_ctxt *ctxt)
{
	return (ctxt->d.row->flags & F_QUICK) && ctxt->d.has_mem;
}
