// SPDX-License-Identifier: GPL-2.0-only
/*
 * The emulator's moves, arithmetic, shifts, bits and flags.
 */
#include "emulator.h"

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
void x86em_flags_sub(struct x86_emulate_ctxt *ctxt, u64 a, u64 b, u64 res, unsigned int bytes,
		     u32 mask)
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

/* MOV, MOVZX, MOVNTI, MOVDIRI */
EXECUTOR_VALUE(mov, OP1.val)
EXECUTOR_VALUE(movsx, x86_sext(OP1.val, OP1.bytes))
EXECUTOR_VALUE(not, ~OP0.val)
EXECUTOR_VALUE(lea, ctxt->d.ea)

/* Of 16 bits: SDM 2B has MOVSXD r16, r/m16; AMD's processors read 32 bits all the same. */
int em_movsxd(struct x86_emulate_ctxt *ctxt)
{
	if (ctxt->d.op_bytes == 2 && !ctxt->amd)
		OP1.bytes = 2;
	TRY(x86em_load_operand(ctxt, &OP1, false));
	OP0.val = x86_sext(OP1.val, OP1.bytes);
	return X86EMUL_CONTINUE;
}

static int do_add(struct x86_emulate_ctxt *ctxt, u64 b, unsigned int carry, u32 mask)
{
	u64 a = OP0.val, res = a + b + carry;

	flags_add(ctxt, a, b, res, OP0.bytes, mask);
	OP0.val = res;
	return X86EMUL_CONTINUE;
}

static int do_sub(struct x86_emulate_ctxt *ctxt, u64 a, u64 b, unsigned int borrow, u32 mask)
{
	u64 res = a - b - borrow;

	x86em_flags_sub(ctxt, a, b, res, OP0.bytes, mask);
	OP0.val = res;
	return X86EMUL_CONTINUE;
}

/* The rows of CMP, which is a SUB, have no destination: operand 0 is not stored. */
EXECUTOR(add, do_add(ctxt, OP1.val, 0, X86_FLAGS_STATUS))
EXECUTOR(adc, do_add(ctxt, OP1.val, flag(ctxt, X86_FLAG_CF), X86_FLAGS_STATUS))
EXECUTOR(inc, do_add(ctxt, 1, 0, X86_FLAGS_STATUS & ~X86_FLAG_CF))
EXECUTOR(sub, do_sub(ctxt, OP0.val, OP1.val, 0, X86_FLAGS_STATUS))
EXECUTOR(sbb, do_sub(ctxt, OP0.val, OP1.val, flag(ctxt, X86_FLAG_CF), X86_FLAGS_STATUS))
EXECUTOR(dec, do_sub(ctxt, OP0.val, 1, 0, X86_FLAGS_STATUS & ~X86_FLAG_CF))
EXECUTOR(neg, do_sub(ctxt, 0, OP0.val, 0, X86_FLAGS_STATUS))

static int logic(struct x86_emulate_ctxt *ctxt, u64 res)
{
	OP0.val = res;
	flags_logic(ctxt, res, OP0.bytes);
	return X86EMUL_CONTINUE;
}

/* TEST is an AND without a destination. */
EXECUTOR(or, logic(ctxt, OP0.val | OP1.val))
EXECUTOR(and, logic(ctxt, OP0.val & OP1.val))
EXECUTOR(xor, logic(ctxt, OP0.val ^ OP1.val))

/* ADCX and, with F3, ADOX: they touch one flag each. */
int em_adx(struct x86_emulate_ctxt *ctxt)
{
	u32 flag_bit = ctxt->d.rep ? X86_FLAG_OF : X86_FLAG_CF;
	unsigned int carry = flag(ctxt, flag_bit);
	u64 a = OP0.val, b = OP1.val, res = a + b + carry;
	u64 out = (a & b) | ((a | b) & ~res);

	OP0.val = res;
	set_flags(ctxt, flag_bit, out & msb(OP0.bytes) ? flag_bit : 0);
	return X86EMUL_CONTINUE;
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

EXECUTOR(imul_2, imul_to_op0(ctxt, OP0.val, OP1.val))
EXECUTOR(imul_3, imul_to_op0(ctxt, OP1.val, OP2.val))

/*
 * hi:lo / divisor, each of bits bits and hi < divisor: long division,
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

static u32 carry_and_overflow(bool cf, bool of)
{
	return (cf ? X86_FLAG_CF : 0) | (of ? X86_FLAG_OF : 0);
}

static void flags_rotate(struct x86_emulate_ctxt *ctxt, bool cf, bool of)
{
	set_flags(ctxt, X86_FLAG_CF | X86_FLAG_OF, carry_and_overflow(cf, of));
}

/* n is less than the number of bits. */
static u64 rotate_right(u64 val, unsigned int n, unsigned int bytes)
{
	return n ? (val >> n | val << (bytes * 8 - n)) & x86_mask(bytes) : val;
}

int em_rol(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = shift_count(&OP0, OP1.val);

	if (!n)
		return X86EMUL_CONTINUE;
	OP0.val = rotate_right(OP0.val, (bits - n) & (bits - 1), OP0.bytes);
	flags_rotate(ctxt, OP0.val & 1, (OP0.val & 1) != !!(OP0.val & msb(OP0.bytes)));
	return X86EMUL_CONTINUE;
}

int em_ror(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bits = OP0.bytes * 8, n = shift_count(&OP0, OP1.val);
	u64 top = msb(OP0.bytes);

	if (!n)
		return X86EMUL_CONTINUE;
	OP0.val = rotate_right(OP0.val, n & (bits - 1), OP0.bytes);
	flags_rotate(ctxt, OP0.val & top, !(OP0.val & top) != !(OP0.val & top >> 1));
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

/* AF is undefined; tested processors clear it. */
static void flags_shift(struct x86_emulate_ctxt *ctxt, u64 res, unsigned int bytes,
			bool cf, bool of)
{
	set_flags(ctxt, X86_FLAGS_STATUS, flags_zsp(res, bytes) | carry_and_overflow(cf, of));
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

/* ---- bits and bytes ---- */

static u64 bit_apply(struct x86_emulate_ctxt *ctxt, u64 val, unsigned int bit,
		     unsigned int action)
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
 * BT, BTS, BTR, BTC.  With the bit number in a register, a memory operand is a bit string:
 * the number is signed and may reach 2^63 bits away (SDM 2A "Bit(BitBase, BitOffset)").
 */
int em_bit(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes, action = row_arg(ctxt);
	u64 linear, ea, old = 0;
	s64 offset;

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
	TRY(x86em_linearize(ctxt, ctxt->d.seg, ea, bytes, action != BIT_TEST, &linear));
	TRY(x86em_mem_read(ctxt, linear, &old, bytes,
			   action == BIT_TEST ? 0 : X86EMUL_ACC_WRITE));
	OP0.val = bit_apply(ctxt, old, offset & (bytes * 8 - 1), action);
	if (action == BIT_TEST)
		return X86EMUL_CONTINUE;
	return x86em_store_op0(ctxt, linear, old, ctxt->d.lock);
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

EXECUTOR(bsf, bit_scan(ctxt, lowest_bit))
EXECUTOR(bsr, bit_scan(ctxt, highest_bit))

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

/* Operand 1 first: with both the same register, operand 0 is the result. */
int em_xchg(struct x86_emulate_ctxt *ctxt)
{
	u64 val = OP0.val;

	OP0.val = OP1.val;
	put_operand(ctxt, &OP1, val);
	return X86EMUL_CONTINUE;
}

/*
 * 90 is no exchange at all: the upper half of RAX stays.  F3 90 is PAUSE; Intel's
 * processors do not look at REX.B then, to AMD's it is XCHG with R8.
 */
int em_xchg_acc(struct x86_emulate_ctxt *ctxt)
{
	bool pause = ctxt->d.opcode == 0x90 && ctxt->d.rep == 0xf3 && !ctxt->amd;

	if (OP0.reg == X86_RAX || pause) {
		ctxt->skip_write = true;
		return X86EMUL_CONTINUE;
	}
	return em_xchg(ctxt);
}

int em_xadd(struct x86_emulate_ctxt *ctxt)
{
	u64 dst = OP0.val;

	do_add(ctxt, OP1.val, 0, X86_FLAGS_STATUS);
	put_operand(ctxt, &OP1, dst);
	return X86EMUL_CONTINUE;
}

int em_cmpxchg(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 acc = get_reg(ctxt, X86_RAX, bytes), dst = OP0.val;

	x86em_flags_sub(ctxt, acc, dst, acc - dst, bytes, X86_FLAGS_STATUS);
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

	if (half == 8 && !has_feature(ctxt, X86EMUL_FEAT_CX16))
		return fault_ud(ctxt);
	if (half == 8)
		TRY(x86em_check_aligned(ctxt, 16));
	TRY(x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, 2 * half, true, &linear));
	TRY(x86em_mem_read(ctxt, linear, old, 2 * half, X86EMUL_ACC_WRITE));
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

/* Of 16 bits BSWAP is undefined; tested processors clear them. */
EXECUTOR_VALUE(bswap, OP0.bytes == 2 ? 0 : swap_bytes(OP0.val, OP0.bytes))
EXECUTOR_VALUE(movbe, swap_bytes(OP1.val, OP0.bytes))

/* 64 bytes, to where the register points to in ES */
int em_movdir64b(struct x86_emulate_ctxt *ctxt)
{
	u64 to = get_reg(ctxt, OP0.reg, ctxt->d.ad_bytes), linear;

	TRY(x86em_read_ea(ctxt, 0, ctxt->vec, 64));
	TRY(x86em_linearize(ctxt, X86_SEG_ES, to, 64, true, &linear));
	if (linear & 63)
		return fault_gp(ctxt, 0);
	return x86em_mem_write(ctxt, linear, ctxt->vec, 64, 0);
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

/* RDRAND and, with ARG(1), RDSEED */
int em_random(struct x86_emulate_ctxt *ctxt)
{
	u64 val = 0;
	bool good;

	if (!ctxt->ops->random)
		return X86EMUL_UNHANDLEABLE;
	good = ctxt->ops->random(ctxt, row_arg(ctxt), &val);
	OP0.val = good ? val : 0;
	set_flags(ctxt, X86_FLAGS_STATUS, good ? X86_FLAG_CF : 0);
	return X86EMUL_CONTINUE;
}

/* ---- BMI1 and BMI2, CMPccXADD: operands by VEX ---- */

static int bmi1(struct x86_emulate_ctxt *ctxt, u64 res, bool cf)
{
	OP0.val = res;
	/* AF and PF are undefined; tested processors clear them. */
	set_flags(ctxt, X86_FLAGS_STATUS, (flags_zsp(res, OP0.bytes) & ~X86_FLAG_PF) |
		  (cf ? X86_FLAG_CF : 0));
	return X86EMUL_CONTINUE;
}

static u64 low_bits(unsigned int n)
{
	return n > 63 ? ~0ull : (1ull << n) - 1;
}

EXECUTOR(andn, bmi1(ctxt, ~OP1.val & OP2.val, false))
EXECUTOR(blsr, bmi1(ctxt, OP1.val & (OP1.val - 1), !OP1.val))
EXECUTOR(blsmsk, bmi1(ctxt, OP1.val ^ (OP1.val - 1), !OP1.val))
EXECUTOR(blsi, bmi1(ctxt, OP1.val & (0 - OP1.val), OP1.val))
EXECUTOR(bzhi, bmi1(ctxt, OP1.val & low_bits(OP2.val & 0xff), (OP2.val & 0xff) >= OP0.bytes * 8u))

int em_bextr(struct x86_emulate_ctxt *ctxt)
{
	unsigned int start = OP2.val & 0xff, n = OP2.val >> 8 & 0xff;

	bmi1(ctxt, start > 63 ? 0 : OP1.val >> start & low_bits(n), false);
	/* SF is undefined, and cleared. */
	set_flags(ctxt, X86_FLAG_SF, 0);
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
	OP0.val = res;
	return X86EMUL_CONTINUE;
}

int em_pext(struct x86_emulate_ctxt *ctxt)
{
	u64 mask = OP2.val, res = 0, bit = 1;

	for (; mask; mask &= mask - 1, bit <<= 1)
		if (OP1.val & mask & (0 - mask))
			res |= bit;
	OP0.val = res;
	return X86EMUL_CONTINUE;
}

/* The rest of BMI2 leaves the flags alone. */
EXECUTOR_VALUE(rorx, rotate_right(OP1.val, OP2.val & (OP0.bytes * 8 - 1), OP0.bytes))
EXECUTOR_VALUE(sarx, (u64)((s64)x86_sext(OP1.val, OP1.bytes) >> shift_count(&OP0, OP2.val)))
EXECUTOR_VALUE(shlx, OP1.val << shift_count(&OP0, OP2.val))
EXECUTOR_VALUE(shrx, OP1.val >> shift_count(&OP0, OP2.val))

/* It is locked without saying so, and writes in each case. */
int em_cmpccxadd(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	u64 linear, old = 0, new;

	if (!mode64(ctxt))
		return fault_ud(ctxt);
	TRY(x86em_linearize(ctxt, ctxt->d.seg, ctxt->d.ea, bytes, true, &linear));
	TRY(x86em_mem_read(ctxt, linear, &old, bytes, X86EMUL_ACC_WRITE));
	x86em_flags_sub(ctxt, old, OP1.val, old - OP1.val, bytes, X86_FLAGS_STATUS);
	new = x86em_condition(ctxt, ctxt->d.opcode) ? old + OP2.val : old;
	put_operand(ctxt, &OP1, old);
	return ctxt->ops->cmpxchg(ctxt, linear, &old, &new, bytes);
}

/* ---- conditions and addresses ---- */

EXECUTOR_VALUE(setcc, x86em_condition(ctxt, ctxt->d.opcode))

/* A 32-bit one clears the upper half even if the condition is false. */
int em_cmovcc(struct x86_emulate_ctxt *ctxt)
{
	if (x86em_condition(ctxt, ctxt->d.opcode))
		OP0.val = OP1.val;
	return X86EMUL_CONTINUE;
}

int em_xlat(struct x86_emulate_ctxt *ctxt)
{
	unsigned int seg = data_seg(&ctxt->d);
	u64 ea = (ctxt->regs[X86_RBX] + (ctxt->regs[X86_RAX] & 0xff)) &
		 x86_mask(ctxt->d.ad_bytes);
	u8 val;

	TRY(x86em_read_seg(ctxt, seg, ea, &val, 1));
	put_reg(ctxt, X86_RAX, val, 1);
	return X86EMUL_CONTINUE;
}

int em_bound(struct x86_emulate_ctxt *ctxt)
{
	unsigned int bytes = OP0.bytes;
	s64 index = (s64)x86_sext(OP0.val, bytes);
	u64 lower = 0, upper = 0;

	TRY(x86em_read_ea(ctxt, 0, &lower, bytes));
	TRY(x86em_read_ea(ctxt, bytes, &upper, bytes));
	if (index < (s64)x86_sext(lower, bytes) || index > (s64)x86_sext(upper, bytes))
		return x86_emulate_fault(ctxt, EXC_BR);
	return X86EMUL_CONTINUE;
}

/* ---- decimal arithmetic ---- */

/* AAA (37), AAS (3F) */
int em_aaa(struct x86_emulate_ctxt *ctxt)
{
	u64 ax = ctxt->regs[X86_RAX];
	bool adjust = (ax & 15) > 9 || flag(ctxt, X86_FLAG_AF);

	if (adjust)
		ax += ctxt->d.opcode & 8 ? -0x106 : 0x106;
	put_reg(ctxt, X86_RAX, ax & 0xff0f, 2);
	set_flags(ctxt, X86_FLAGS_STATUS, flags_zsp(ax & 15, 1) |
		  (adjust ? X86_FLAG_AF | X86_FLAG_CF : 0));
	return X86EMUL_CONTINUE;
}

/* DAA (27), DAS (2F) */
int em_daa(struct x86_emulate_ctxt *ctxt)
{
	bool subtract = ctxt->d.opcode & 8;
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

/* ---- flags and their instructions ---- */

/* CLC (F8), STC (F9), CLD (FC), STD (FD) */
int em_set_flag(struct x86_emulate_ctxt *ctxt)
{
	u32 bit = ctxt->d.opcode & 4 ? X86_FLAG_DF : X86_FLAG_CF;

	set_flags(ctxt, bit, ctxt->d.opcode & 1 ? bit : 0);
	return X86EMUL_CONTINUE;
}

int em_cmc(struct x86_emulate_ctxt *ctxt)
{
	ctxt->rflags ^= X86_FLAG_CF;
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
	TRY(check_if_access(ctxt));
	set_flags(ctxt, X86_FLAG_IF, 0);
	return X86EMUL_CONTINUE;
}

int em_sti(struct x86_emulate_ctxt *ctxt)
{
	TRY(check_if_access(ctxt));
	if (!flag(ctxt, X86_FLAG_IF))
		ctxt->interruptibility = X86EMUL_SHADOW_STI;
	set_flags(ctxt, X86_FLAG_IF, X86_FLAG_IF);
	return X86EMUL_CONTINUE;
}

static void put_ah(struct x86_emulate_ctxt *ctxt, u8 val)
{
	set_reg(ctxt, X86_RAX, (ctxt->regs[X86_RAX] & ~0xff00ull) | (u64)val << 8);
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

/* CLAC (0F 01 CA), STAC (CB) */
int em_set_ac(struct x86_emulate_ctxt *ctxt)
{
	if (cpl(ctxt))
		return fault_ud(ctxt);
	set_flags(ctxt, X86_FLAG_AC, ctxt->d.modrm & 1 ? X86_FLAG_AC : 0);
	return X86EMUL_CONTINUE;
}
