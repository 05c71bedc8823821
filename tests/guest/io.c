// SPDX-License-Identifier: GPL-2.0-only
/*
 * Port and memory-mapped I/O to userspace: every size, direction and string
 * form, in every mode.  The instructions are assembled here byte by byte,
 * because the same ones run in 16, 32 and 64 bits.
 */
#include <stdlib.h>
#include "vm.h"
#include "kselftest_harness.h"

#define M8	BIT(0)
#define M16	BIT(1)
#define M32	BIT(2)
#define M64	BIT(3)
#define ANY	(M8 | M16 | M32 | M64)
#define WIDE	(M16 | M32 | M64)

#define DEV_SIZE	0x4000
#define PORT		0x5678

FIXTURE(io) {
	struct vm vm;
	u64 gpa;		/* of the device */
	u64 di;			/* what the guest's (R)DI holds to reach it */
	u64 data;		/* the same for GPA_DATA, through DS */
	u8 dev[DEV_SIZE];	/* behaves as RAM */
	struct { bool write; u32 len; u64 addr; } log[64];
	int exits;
	u8 code[64];
	int len;
};

FIXTURE_VARIANT(io) {
	enum vm_mode mode;
};

FIXTURE_VARIANT_ADD(io, real) { .mode = REAL };
FIXTURE_VARIANT_ADD(io, prot) { .mode = PROT };
FIXTURE_VARIANT_ADD(io, pg32) { .mode = PG32 };
FIXTURE_VARIANT_ADD(io, pse32) { .mode = PSE32 };
FIXTURE_VARIANT_ADD(io, pae) { .mode = PAE };
FIXTURE_VARIANT_ADD(io, long64) { .mode = LONG };

static u8 pattern(u64 i)
{
	return i * 37 + (i >> 8) + 0x81;
}

FIXTURE_SETUP(io)
{
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, variant->mode);
	self->gpa = GPA_MMIO;
	self->di = GPA_MMIO;
	self->data = GPA_DATA;
	if (variant->mode == REAL) {
		/* the device where real mode can reach it: the old video window */
		struct kvm_sregs s = vcpu_sregs(&self->vm.vcpu);

		ASSERT_EQ(0, vm_slot(&self->vm, 0, 0, 0, 0, NULL));
		ASSERT_EQ(0, vm_slot(&self->vm, 0, 0, 0, 0xa0000, self->vm.mem));
		s.es.selector = 0xa000;
		s.es.base = 0xa0000;
		vcpu_set_sregs(&self->vm.vcpu, &s);
		self->gpa = 0xa0000;
		self->di = 0;
		self->data = 0;
	}
}

FIXTURE_TEARDOWN(io)
{
	vm_destroy(&self->vm);
}

#define io_self FIXTURE_DATA(io)

static void emit(io_self *self, u8 byte)
{
	self->code[self->len++] = byte;
}

/* The operand-size prefix and REX.W that make an instruction SIZE bytes wide. */
static void emit_size(io_self *self, int size)
{
	if ((size == 2 && self->vm.mode != REAL) || (size == 4 && self->vm.mode == REAL))
		emit(self, 0x66);
}

static u64 mask(int size)
{
	return size == 8 ? ~0ULL : BIT(8 * size) - 1;
}

static void load(io_self *self)
{
	memcpy(self->vm.mem + GPA_CODE, self->code, self->len);
	self->vm.mem[GPA_CODE + self->len] = 0xf4;
	self->len = 0;
	self->exits = 0;
	for (u64 i = 0; i < DEV_SIZE; i++)
		self->dev[i] = pattern(i);
}

static void start(io_self *self, struct kvm_regs *r)
{
	r->rip = self->vm.mode == REAL ? 0 : GPA_CODE;
	r->rsp = GPA_STACK;
	r->rflags |= 2;
	vcpu_set_regs(&self->vm.vcpu, r);
}

/* Until HLT; answers MMIO from dev. */
static int run(io_self *self)
{
	struct kvm_run *run = self->vm.vcpu.run;
	int exit;

	while ((exit = vm_run(&self->vm)) == KVM_EXIT_MMIO) {
		u64 at = run->mmio.phys_addr - self->gpa;

		if (at + run->mmio.len > DEV_SIZE || run->mmio.len > 8 || !run->mmio.len)
			break;
		if (self->exits < (int)ARRAY_LEN(self->log)) {
			self->log[self->exits].write = run->mmio.is_write;
			self->log[self->exits].len = run->mmio.len;
			self->log[self->exits].addr = at;
		}
		self->exits++;
		if (run->mmio.is_write)
			memcpy(self->dev + at, run->mmio.data, run->mmio.len);
		else
			memcpy(run->mmio.data, self->dev + at, run->mmio.len);
	}
	if (exit != KVM_EXIT_HLT)
		vcpu_dump(&self->vm.vcpu, "run");
	return exit;
}

/* ---- Single instructions with a memory operand ---- */

#define R0	0x1122334455667718ULL	/* AX holds this before */

static u64 f_reg(u64 m, u64 r, u64 i) { return r; }
static u64 f_mem(u64 m, u64 r, u64 i) { return m; }
static u64 f_imm(u64 m, u64 r, u64 i) { return i; }
static u64 f_add(u64 m, u64 r, u64 i) { return m + r; }
static u64 f_sub(u64 m, u64 r, u64 i) { return m - r; }
static u64 f_rsub(u64 m, u64 r, u64 i) { return r - m; }
static u64 f_and(u64 m, u64 r, u64 i) { return m & r; }
static u64 f_ori(u64 m, u64 r, u64 i) { return m | i; }
static u64 f_xor(u64 m, u64 r, u64 i) { return m ^ r; }
static u64 f_addi(u64 m, u64 r, u64 i) { return m + i; }
static u64 f_inc(u64 m, u64 r, u64 i) { return m + 1; }
static u64 f_dec(u64 m, u64 r, u64 i) { return m - 1; }
static u64 f_not(u64 m, u64 r, u64 i) { return ~m; }
static u64 f_neg(u64 m, u64 r, u64 i) { return -m; }
static u64 f_shl(u64 m, u64 r, u64 i) { return m << i; }
static u64 f_bts(u64 m, u64 r, u64 i) { return m | BIT(i); }
static u64 f_btr(u64 m, u64 r, u64 i) { return m & ~BIT(i); }

/* to: what the result goes to */
enum to { NOWHERE, MEM, REG, BOTH /* result to memory, old memory to AX */ };

static const struct op {
	const char *name;
	int len;
	u8 op[2];
	bool w;			/* the last byte's bit 0 is clear for a byte */
	u8 reg;			/* the ModRM field; 0 is AX */
	u8 imm;			/* length of an immediate; 9 is the operand's, 4 at most */
	u64 iv;
	u8 sizes;
	enum to to;
	u64 (*f)(u64 m, u64 r, u64 i);
	u8 lock;
} ops[] = {
	{ "mov m,r", 1, { 0x89 }, 1, 0, 0, 0, ANY, MEM, f_reg },
	{ "mov r,m", 1, { 0x8b }, 1, 0, 0, 0, ANY, REG, f_mem },
	{ "mov m,imm", 1, { 0xc7 }, 1, 0, 9, 0x21436587, ANY, MEM, f_imm },
	{ "add m,r", 1, { 0x01 }, 1, 0, 0, 0, ANY, MEM, f_add },
	{ "add r,m", 1, { 0x03 }, 1, 0, 0, 0, ANY, REG, f_add },
	{ "sub m,r", 1, { 0x29 }, 1, 0, 0, 0, ANY, MEM, f_sub },
	{ "sub r,m", 1, { 0x2b }, 1, 0, 0, 0, ANY, REG, f_rsub },
	{ "and m,r", 1, { 0x21 }, 1, 0, 0, 0, ANY, MEM, f_and },
	{ "and r,m", 1, { 0x23 }, 1, 0, 0, 0, ANY, REG, f_and },
	{ "xor m,r", 1, { 0x31 }, 1, 0, 0, 0, ANY, MEM, f_xor },
	{ "lock xor m,r", 1, { 0x31 }, 1, 0, 0, 0, ANY, MEM, f_xor, 1 },
	{ "or m,imm8", 1, { 0x83 }, 0, 1, 1, 0x5a, WIDE, MEM, f_ori },
	{ "add m,imm", 1, { 0x81 }, 1, 0, 9, 0x12345678, ANY, MEM, f_addi },
	{ "cmp m,r", 1, { 0x39 }, 1, 0, 0, 0, ANY, NOWHERE, f_mem },
	{ "cmp r,m", 1, { 0x3b }, 1, 0, 0, 0, ANY, NOWHERE, f_mem },
	{ "test m,r", 1, { 0x85 }, 1, 0, 0, 0, ANY, NOWHERE, f_mem },
	{ "test m,imm", 1, { 0xf7 }, 1, 0, 9, 0x7f, ANY, NOWHERE, f_mem },
	{ "inc m", 1, { 0xff }, 1, 0, 0, 0, ANY, MEM, f_inc },
	{ "dec m", 1, { 0xff }, 1, 1, 0, 0, ANY, MEM, f_dec },
	{ "not m", 1, { 0xf7 }, 1, 2, 0, 0, ANY, MEM, f_not },
	{ "neg m", 1, { 0xf7 }, 1, 3, 0, 0, ANY, MEM, f_neg },
	{ "shl m,imm8", 1, { 0xc1 }, 1, 4, 1, 3, ANY, MEM, f_shl },
	{ "bts m,imm8", 2, { 0x0f, 0xba }, 0, 5, 1, 9, WIDE, MEM, f_bts },
	{ "btr m,imm8", 2, { 0x0f, 0xba }, 0, 6, 1, 7, WIDE, MEM, f_btr },
	{ "bt m,imm8", 2, { 0x0f, 0xba }, 0, 4, 1, 7, WIDE, NOWHERE, f_mem },
	{ "xchg m,r", 1, { 0x87 }, 1, 0, 0, 0, ANY, BOTH, f_reg },
	{ "xadd m,r", 2, { 0x0f, 0xc1 }, 1, 0, 0, 0, ANY, BOTH, f_add },
	{ "lock xadd m,r", 2, { 0x0f, 0xc1 }, 1, 0, 0, 0, ANY, BOTH, f_add, 1 },
};

static void one_op(struct __test_metadata *_metadata, io_self *self,
		   const struct op *op, int size, u64 off)
{
	bool lm = self->vm.mode == LONG;
	u64 m = 0, got = 0, want, r0 = lm ? R0 : R0 & mask(4), old;
	struct kvm_regs r = { .rax = r0, .rdi = self->di + off };
	int imm = op->imm == 9 ? (size < 4 ? size : 4) : op->imm;
	int exits = op->to == MEM || op->to == BOTH ? 2 : 1;

	if (self->vm.mode == REAL)
		emit(self, 0x26);		/* ES: */
	if (op->lock)
		emit(self, 0xf0);
	emit_size(self, size);
	if (size == 8)
		emit(self, 0x48);
	for (int i = 0; i < op->len; i++)
		emit(self, op->op[i] & (i == op->len - 1 && size == 1 && op->w ? 0xfe : 0xff));
	emit(self, (self->vm.mode == REAL ? 5 : 7) | op->reg << 3);	/* [DI] */
	for (int i = 0; i < imm; i++)
		emit(self, op->iv >> 8 * i);
	load(self);
	for (int i = 0; i < size; i++)
		m |= (u64)self->dev[off + i] << 8 * i;
	start(self, &r);
	ASSERT_EQ(KVM_EXIT_HLT, run(self)) TH_LOG("%s, %d bytes", op->name, size);
	r = vcpu_regs(&self->vm.vcpu);
	want = op->f(m, r0, op->iv) & mask(size);

	for (int i = 0; i < size; i++)
		got |= (u64)self->dev[off + i] << 8 * i;
	EXPECT_EQ(op->to == MEM || op->to == BOTH ? want : m, got)
		TH_LOG("%s, %d bytes: memory", op->name, size);
	old = op->to == BOTH ? m : want;
	if (op->to == MEM || op->to == NOWHERE)
		old = r0;
	else if (size < 4)
		old |= r0 & ~mask(size);
	EXPECT_EQ(old, r.rax) TH_LOG("%s, %d bytes: AX", op->name, size);
	/* an aligned access is one exit of its size; MOV to memory does not read */
	if (op->f == f_reg || op->f == f_imm)
		exits = op->to == BOTH ? 2 : 1;
	if (off % size == 0) {
		EXPECT_EQ(exits, self->exits) TH_LOG("%s, %d bytes: exits", op->name, size);
		for (int i = 0; i < self->exits; i++) {
			EXPECT_EQ(size, self->log[i].len)
				TH_LOG("%s, %d bytes: exit %d", op->name, size, i);
		}
	}
	for (int i = -8; i < 8 + size; i++)
		if (i < 0 || i >= size) {
			EXPECT_EQ(pattern(off + i), self->dev[off + i])
				TH_LOG("%s: byte %d", op->name, i);
		}
}

TEST_F(io, mmio_ops)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		for (int s = 0; s < (variant->mode == LONG ? 4 : 3); s++) {
			if (!(ops[i].sizes & BIT(s)))
				continue;
			one_op(_metadata, self, &ops[i], 1 << s, 0x40);
			if (!_metadata->passed)
				return;
		}
	}
}

/* Over the edge of a page, and askew: however many exits, the bytes are right. */
TEST_F(io, mmio_unaligned)
{
	for (int s = 1; s < (variant->mode == LONG ? 4 : 3); s++) {
		one_op(_metadata, self, &ops[0], 1 << s, 0xfff);
		one_op(_metadata, self, &ops[1], 1 << s, 0xfff);
		one_op(_metadata, self, &ops[0], 1 << s, 0x41);
		one_op(_metadata, self, &ops[1], 1 << s, 0x41);
	}
}

TEST_F(io, mmio_extend)
{
	/* opcode, memory's size, whether signed */
	static const struct { u8 op, size; bool sign; } x[] = {
		{ 0xb6, 1, 0 }, { 0xb7, 2, 0 }, { 0xbe, 1, 1 }, { 0xbf, 2, 1 },
	};

	for (size_t i = 0; i < ARRAY_LEN(x); i++) {
		struct kvm_regs r = { .rax = ~0ULL & (variant->mode == LONG ? ~0ULL : mask(4)),
				      .rdi = self->di + 0x40 };
		int64_t m = 0;

		if (variant->mode == REAL)
			emit(self, 0x26);
		emit_size(self, 4);
		emit(self, 0x0f);
		emit(self, x[i].op);
		emit(self, variant->mode == REAL ? 5 : 7);
		load(self);
		memcpy(&m, self->dev + 0x40, x[i].size);
		if (x[i].sign)
			m = m << (64 - 8 * x[i].size) >> (64 - 8 * x[i].size);
		start(self, &r);
		ASSERT_EQ(KVM_EXIT_HLT, run(self));
		r = vcpu_regs(&self->vm.vcpu);
		EXPECT_EQ(m & mask(4), r.rax);
		EXPECT_EQ(1, self->exits);
		EXPECT_EQ(x[i].size, self->log[0].len);
	}
}

TEST_F(io, mmio_push_pop)
{
	int size = variant->mode == REAL ? 2 : variant->mode == LONG ? 8 : 4;
	struct kvm_regs r = { .rdi = self->di + 0x40 };
	u64 m = 0, got = 0;

	for (int i = 0; i < 2; i++) {		/* push [di]; pop [di+n] */
		if (variant->mode == REAL)
			emit(self, 0x26);
		emit(self, i ? 0x8f : 0xff);
		emit(self, (variant->mode == REAL ? 5 : 7) | (i ? 0x40 : 0x30));
		if (i)
			emit(self, 0x10);
	}
	load(self);
	memcpy(&m, self->dev + 0x40, size);
	start(self, &r);
	ASSERT_EQ(KVM_EXIT_HLT, run(self));
	memcpy(&got, self->dev + 0x50, size);
	EXPECT_EQ(m, got);
	EXPECT_EQ(GPA_STACK, vcpu_regs(&self->vm.vcpu).rsp);
	memcpy(&got, self->vm.mem + GPA_STACK - size, size);
	EXPECT_EQ(m, got);
}

/* CMPXCHG, hit and miss; ZF tells which. */
TEST_F(io, mmio_cmpxchg)
{
	for (int hit = 0; hit < 2; hit++) {
		for (int s = 0; s < (variant->mode == LONG ? 4 : 3); s++) {
			int size = 1 << s;
			struct kvm_regs r = { .rdi = self->di + 0x40, .rbx = 0x55667788 };
			u64 m = 0, got = 0;

			if (variant->mode == REAL)
				emit(self, 0x26);
			emit(self, 0xf0);
			emit_size(self, size);
			if (size == 8)
				emit(self, 0x48);
			emit(self, 0x0f);
			emit(self, size == 1 ? 0xb0 : 0xb1);
			emit(self, (variant->mode == REAL ? 5 : 7) | 3 << 3);
			load(self);
			memcpy(&m, self->dev + 0x40, size);
			r.rax = hit ? m : (m ^ 1);
			start(self, &r);
			ASSERT_EQ(KVM_EXIT_HLT, run(self)) TH_LOG("%d bytes", size);
			r = vcpu_regs(&self->vm.vcpu);
			memcpy(&got, self->dev + 0x40, size);
			EXPECT_EQ(hit ? r.rbx & mask(size) : m, got) TH_LOG("%d bytes, hit %d", size, hit);
			EXPECT_EQ(m, r.rax & mask(size)) TH_LOG("%d bytes, hit %d", size, hit);
			EXPECT_EQ(hit, !!(r.rflags & BIT(6)));
		}
	}
}

/* ---- Strings to and from the device ---- */

TEST_F(io, mmio_strings)
{
	/* opcode of the wide form; whether SI and DI point to the device */
	static const struct { const char *name; u8 op; bool si, di; } str[] = {
		{ "movs to device", 0xa5, false, true },
		{ "movs from device", 0xa5, true, false },
		{ "movs within device", 0xa5, true, true },
		{ "stos", 0xab, false, true },
		{ "lods", 0xad, true, false },
	};
	const int count = 5;

	for (size_t i = 0; i < ARRAY_LEN(str); i++) {
	for (int s = 0; s < (variant->mode == LONG ? 4 : 3); s++) {
	for (int down = 0; down < 2; down++) {
		int size = 1 << s, step = down ? -size : size;
		bool movs = str[i].op == 0xa5, stos = str[i].op == 0xab;
		struct kvm_regs r = { .rcx = count, .rflags = down ? BIT(10) : 0,
			.rax = variant->mode == LONG ? R0 : R0 & mask(4) };
		struct kvm_sregs sr = vcpu_sregs(&self->vm.vcpu);
		u8 *data = self->vm.mem + GPA_DATA;
		u8 want[64], *to;
		u64 src_off = 0x100, dst_off = 0x200;
		u64 src, dst;

		/* real mode: DS or ES to the device as the case needs */
		if (variant->mode == REAL) {
			struct kvm_segment dev = sr.cs, ram = sr.cs;

			dev.base = 0xa0000;
			dev.selector = 0xa000;
			ram.base = GPA_DATA;
			ram.selector = GPA_DATA >> 4;
			dev.type = ram.type = 3;
			sr.ds = str[i].si ? dev : ram;
			sr.es = str[i].di ? dev : ram;
			vcpu_set_sregs(&self->vm.vcpu, &sr);
		}
		src = (str[i].si ? self->di : self->data) + src_off;
		dst = (str[i].di ? self->di : self->data) + dst_off;
		r.rsi = src + (down ? (count - 1) * size : 0);
		r.rdi = dst + (down ? (count - 1) * size : 0);
		emit(self, 0xf3);
		emit_size(self, size);
		if (size == 8)
			emit(self, 0x48);
		emit(self, str[i].op & (size == 1 ? 0xfe : 0xff));
		load(self);
		for (int k = 0; k < 0x400; k++)
			data[k] = pattern(k + 1000);
		for (int k = 0; k < count * size; k++)
			want[k] = stos ? r.rax >> 8 * (k % size) :
				  str[i].si ? self->dev[src_off + k] : data[src_off + k];
		start(self, &r);
		ASSERT_EQ(KVM_EXIT_HLT, run(self)) TH_LOG("%s, %d bytes", str[i].name, size);
		to = str[i].di ? self->dev + dst_off : data + dst_off;
		r = vcpu_regs(&self->vm.vcpu);
		EXPECT_EQ(0, r.rcx);
		if (movs || stos) {
			EXPECT_EQ(0, memcmp(want, to, count * size)) TH_LOG("%s, %d bytes, down %d", str[i].name, size, down);
			EXPECT_EQ(dst + (down ? (count - 1) * size : 0) + count * step,
				  variant->mode == REAL ? r.rdi & 0xffff : r.rdi);
		} else {
			u64 last = 0;

			memcpy(&last, want + (down ? 0 : (count - 1) * size), size);
			EXPECT_EQ(last, r.rax & mask(size));
		}
		if (!stos) {
			EXPECT_EQ(src + (down ? (count - 1) * size : 0) + count * step,
				  variant->mode == REAL ? r.rsi & 0xffff : r.rsi);
		}
	}}}
}

/* ---- Ports ---- */

TEST_F(io, port)
{
	struct kvm_run *run = self->vm.vcpu.run;

	for (int dir = 0; dir < 2; dir++) {
	for (int s = 0; s < 3; s++) {
	for (int imm = 0; imm < 2; imm++) {
		int size = 1 << s;
		struct kvm_regs r = { .rax = R0 & mask(4), .rdx = PORT };
		u64 in = 0x99aabbcc;
		void *data = (u8 *)run + KVM_PIO_PAGE_OFFSET * 4096;

		emit_size(self, size);
		emit(self, (imm ? 0xe4 : 0xec) | dir << 1 | (size > 1));
		if (imm)
			emit(self, 0x80);
		load(self);
		start(self, &r);
		ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
		EXPECT_EQ(dir, run->io.direction);
		EXPECT_EQ(size, run->io.size);
		EXPECT_EQ(imm ? 0x80 : PORT, run->io.port);
		EXPECT_EQ(1, run->io.count);
		ASSERT_LE(run->io.data_offset + size, self->vm.run_size);
		data = (u8 *)run + run->io.data_offset;
		if (!dir)
			memcpy(data, &in, size);
		EXPECT_EQ(0, memcmp(data, dir ? (void *)&r.rax : &in, size));
		ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
		in = (in & mask(size)) | (size < 4 ? r.rax & ~mask(size) : 0);
		EXPECT_EQ(dir ? r.rax : in, vcpu_regs(&self->vm.vcpu).rax);
	}}}
}

/* REP INS and OUTS; the count of each exit is the module's to choose. */
TEST_F(io, port_strings)
{
	static const int counts[] = { 0, 1, 7, 3000 };
	static const int most_down[] = { 1100, 2200, 1100 };	/* by size: each is an exit */
	struct kvm_run *run = self->vm.vcpu.run;
	u8 *ram = self->vm.mem + GPA_DATA;
	static u8 seen[16384];

	for (int dir = 0; dir < 2; dir++) {
	for (int s = 0; s < 3; s++) {
	for (size_t c = 0; c < ARRAY_LEN(counts); c++) {
	for (int down = 0; down < 2; down++) {
		int count = down && c == ARRAY_LEN(counts) - 1 ? most_down[s] : counts[c];
		int size = 1 << s, total = count * size, n = 0, exit;
		u64 first = down && total ? total - size : 0;
		struct kvm_regs r = { .rcx = count, .rdx = PORT,
			.rsi = self->data + 8 + first, .rdi = self->data + 8 + first,
			.rflags = down ? BIT(10) : 0 };
		struct kvm_sregs sr = vcpu_sregs(&self->vm.vcpu);
		u64 end;

		if (variant->mode == REAL) {
			sr.es = sr.ds;
			vcpu_set_sregs(&self->vm.vcpu, &sr);
		}
		emit(self, 0xf3);
		emit_size(self, size);
		emit(self, (dir ? 0x6e : 0x6c) | (size > 1));
		load(self);
		for (int i = 0; i < total + 16; i++)
			ram[i] = dir ? pattern(i) : 0xee;
		start(self, &r);
		while ((exit = vm_run(&self->vm)) == KVM_EXIT_IO) {
			u32 bytes = run->io.count * run->io.size;
			u8 *data = (u8 *)run + run->io.data_offset;

			ASSERT_EQ(dir, run->io.direction);
			ASSERT_EQ(size, run->io.size);
			ASSERT_EQ(PORT, run->io.port);
			ASSERT_GT(run->io.count, 0);
			ASSERT_LE(run->io.data_offset + bytes, self->vm.run_size);
			ASSERT_LE(n + bytes, total);
			for (u32 i = 0; i < bytes; i++, n++) {
				if (dir)
					seen[n] = data[i];
				else
					data[i] = pattern(n + 5);
			}
		}
		ASSERT_EQ(KVM_EXIT_HLT, exit);
		ASSERT_EQ(total, n);
		for (int i = 0; i < total; i++) {
			/* element by element, the last in memory first if down */
			int at = down ? total - size - i / size * size + i % size : i;

			ASSERT_EQ(dir ? pattern(at + 8) : pattern(i + 5), dir ? seen[i] : ram[8 + at])
				TH_LOG("byte %d, size %d", i, size);
		}
		if (!dir) {
			EXPECT_EQ(0xee, ram[7]);
			EXPECT_EQ(0xee, ram[8 + total]);
		}
		r = vcpu_regs(&self->vm.vcpu);
		EXPECT_EQ(0, r.rcx);
		end = self->data + 8 + (down ? first - total : total);
		if (variant->mode == REAL)
			end &= 0xffff;
		EXPECT_EQ(end, dir ? r.rsi : r.rdi) TH_LOG("size %d count %d down %d", size, count, down);
	}}}}
}

/* The state that userspace sees at an exit is of the instruction itself. */
TEST_F(io, port_exit_state)
{
	struct kvm_regs r = { .rax = 1, .rdx = PORT }, at;
	u64 rip;

	emit(self, 0xec);			/* in al, dx */
	load(self);
	start(self, &r);
	rip = r.rip;
	ASSERT_EQ(KVM_EXIT_IO, vm_run(&self->vm));
	at = vcpu_regs(&self->vm.vcpu);
	/* either is right: before the instruction, or past it */
	EXPECT_TRUE(at.rip == rip || at.rip == rip + 1);
	EXPECT_EQ(1, at.rax);
	*((u8 *)self->vm.vcpu.run + self->vm.vcpu.run->io.data_offset) = 0x77;
	/* immediate_exit completes the instruction, and runs nothing */
	self->vm.vcpu.run->immediate_exit = 1;
	ASSERT_EQ(-EINTR, vm_run(&self->vm));
	at = vcpu_regs(&self->vm.vcpu);
	EXPECT_EQ(rip + 1, at.rip);
	EXPECT_EQ(0x77, at.rax);
	self->vm.vcpu.run->immediate_exit = 0;
	ASSERT_EQ(KVM_EXIT_HLT, vm_run(&self->vm));
	EXPECT_EQ(0x77, vcpu_regs(&self->vm.vcpu).rax);
}

TEST_HARNESS_MAIN
