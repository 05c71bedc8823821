// SPDX-License-Identifier: GPL-2.0-only
/*
 * The instruction emulator under the module, against the processor: an
 * instruction with a memory operand runs once on ordinary memory, natively, and
 * once, at the same address, on a device that userspace plays and that holds the
 * same bytes.  Registers,
 * defined flags, x87 and vector state, memory and exceptions must come out the
 * same.  Each row of the table below is one instruction; what else there is of
 * operand sizes, registers and values is random, from a fixed seed.
 */
#include <sys/mman.h>
#include "vm.h"
#include "kselftest_harness.h"

#define CF	BIT(0)
#define PF	BIT(2)
#define AF	BIT(4)
#define ZF	BIT(6)
#define SF	BIT(7)
#define DF	BIT(10)
#define OF	BIT(11)
#define STATUS	(CF | PF | AF | ZF | SF | OF)

#define AREA		4096
#define AT		0x800		/* of the operand there */
#define PER_ROW		12
#define MAX_CASES	4096

enum feature {
	NONE, SSE3, CX16, SSE42, MOVBE, POPCNT, AVX, LZCNT, BMI1, AVX2, BMI2, ADX, NFEATURES,
};

static const struct { u32 leaf, reg, bit; } feature_bits[NFEATURES] = {
	[SSE3] = { 1, 2, 0 }, [CX16] = { 1, 2, 13 }, [SSE42] = { 1, 2, 20 },
	[MOVBE] = { 1, 2, 22 }, [POPCNT] = { 1, 2, 23 }, [AVX] = { 1, 2, 28 },
	[LZCNT] = { 0x80000001, 2, 5 }, [BMI1] = { 7, 1, 3 }, [AVX2] = { 7, 1, 5 },
	[BMI2] = { 7, 1, 8 }, [ADX] = { 7, 1, 19 },
};

/* Kinds of row */
#define LOCK	1	/* may have LOCK */
#define FIXED	2	/* no 66, no REX.W */
#define BYTE	4	/* of bytes: 66 and REX.W change nothing */
#define STRING	8	/* no ModRM: by rSI and rDI, perhaps with REP */
#define VEX	16
#define L256	32	/* with VEX.L */
#define NO_W	64
#define HAS_W	128
#define ONLY64	256
#define BARE	512	/* no ModRM: XLAT */
#define NOT_TCG	1024	/* QEMU's software emulation has it wrong; the CPU itself has not */

struct row {
	const char *name;
	u8 prefix, map, opcode;
	int reg;		/* ModRM.reg; -1: any */
	int imm;		/* bytes; 4: of the operand size, 4 at most */
	u32 kind;
	u64 undefined;		/* flags */
	enum feature feature;
};

#define ALU(name, base)								\
	{ name " Eb, Gb", 0, 0, base, -1, 0, LOCK | BYTE },			\
	{ name " Ev, Gv", 0, 0, base + 1, -1, 0, LOCK },			\
	{ name " Gb, Eb", 0, 0, base + 2, -1, 0, BYTE },			\
	{ name " Gv, Ev", 0, 0, base + 3, -1, 0, 0 },				\
	{ name " Eb, Ib", 0, 0, 0x80, base / 8, 1, LOCK | BYTE },		\
	{ name " Ev, Iz", 0, 0, 0x81, base / 8, 4, LOCK },			\
	{ name " Ev, Ib", 0, 0, 0x83, base / 8, 1, LOCK }
#define LOGIC(name, base)							\
	{ name " Eb, Gb", 0, 0, base, -1, 0, LOCK | BYTE, AF },			\
	{ name " Ev, Gv", 0, 0, base + 1, -1, 0, LOCK, AF },			\
	{ name " Gv, Ev", 0, 0, base + 3, -1, 0, 0, AF },			\
	{ name " Ev, Iz", 0, 0, 0x81, base / 8, 4, LOCK, AF }
#define SHIFT(name, reg, undefined)						\
	{ name " Eb, 1", 0, 0, 0xd0, reg, 0, BYTE, AF },			\
	{ name " Ev, 1", 0, 0, 0xd1, reg, 0, 0, AF },				\
	{ name " Ev, Ib", 0, 0, 0xc1, reg, 1, 0, undefined },			\
	{ name " Ev, CL", 0, 0, 0xd3, reg, 0, 0, undefined }

static const struct row rows[] = {
	ALU("add", 0x00), ALU("adc", 0x10), ALU("sbb", 0x18), ALU("sub", 0x28), ALU("cmp", 0x38),
	LOGIC("or", 0x08), LOGIC("and", 0x20), LOGIC("xor", 0x30),
	SHIFT("rol", 0, OF), SHIFT("ror", 1, OF), SHIFT("rcl", 2, OF), SHIFT("rcr", 3, OF),
	SHIFT("shl", 4, OF | AF | CF), SHIFT("shr", 5, OF | AF | CF), SHIFT("sar", 7, OF | AF),
	{ "mov Eb, Gb", 0, 0, 0x88, -1, 0, BYTE },
	{ "mov Ev, Gv", 0, 0, 0x89, -1, 0, 0 },
	{ "mov Gb, Eb", 0, 0, 0x8a, -1, 0, BYTE },
	{ "mov Gv, Ev", 0, 0, 0x8b, -1, 0, 0 },
	{ "mov Eb, Ib", 0, 0, 0xc6, 0, 1, BYTE },
	{ "mov Ev, Iz", 0, 0, 0xc7, 0, 4, 0 },
	{ "mov Ew, Sw", 0, 0, 0x8c, 3, 0, FIXED },
	{ "test Eb, Gb", 0, 0, 0x84, -1, 0, BYTE, AF },
	{ "test Ev, Gv", 0, 0, 0x85, -1, 0, 0, AF },
	{ "test Ev, Iz", 0, 0, 0xf7, 0, 4, 0, AF },
	{ "not Ev", 0, 0, 0xf7, 2, 0, LOCK },
	{ "neg Ev", 0, 0, 0xf7, 3, 0, LOCK },
	{ "mul Ev", 0, 0, 0xf7, 4, 0, 0, SF | ZF | AF | PF },
	{ "imul Ev", 0, 0, 0xf7, 5, 0, 0, SF | ZF | AF | PF },
	{ "div Ev", 0, 0, 0xf7, 6, 0, 0, STATUS },
	{ "idiv Ev", 0, 0, 0xf7, 7, 0, 0, STATUS },
	{ "div Eb", 0, 0, 0xf6, 6, 0, BYTE, STATUS },
	{ "imul Gv, Ev", 0, 1, 0xaf, -1, 0, 0, SF | ZF | AF | PF },
	{ "imul Gv, Ev, Iz", 0, 0, 0x69, -1, 4, 0, SF | ZF | AF | PF },
	{ "imul Gv, Ev, Ib", 0, 0, 0x6b, -1, 1, 0, SF | ZF | AF | PF },
	{ "inc Eb", 0, 0, 0xfe, 0, 0, LOCK | BYTE },
	{ "inc Ev", 0, 0, 0xff, 0, 0, LOCK },
	{ "dec Ev", 0, 0, 0xff, 1, 0, LOCK },
	{ "push Ev", 0, 0, 0xff, 6, 0, FIXED },
	{ "pop Ev", 0, 0, 0x8f, 0, 0, FIXED },
	{ "xchg Eb, Gb", 0, 0, 0x86, -1, 0, LOCK | BYTE },
	{ "xchg Ev, Gv", 0, 0, 0x87, -1, 0, LOCK },
	{ "xadd Ev, Gv", 0, 1, 0xc1, -1, 0, LOCK },
	{ "cmpxchg Eb, Gb", 0, 1, 0xb0, -1, 0, LOCK | BYTE },
	{ "cmpxchg Ev, Gv", 0, 1, 0xb1, -1, 0, LOCK },
	{ "cmpxchg8b", 0, 1, 0xc7, 1, 0, LOCK | NO_W },
	{ "cmpxchg16b", 0, 1, 0xc7, 1, 0, LOCK | HAS_W | ONLY64, 0, CX16 },
	{ "movzx Gv, Eb", 0, 1, 0xb6, -1, 0, 0 },
	{ "movzx Gv, Ew", 0, 1, 0xb7, -1, 0, 0 },
	{ "movsx Gv, Eb", 0, 1, 0xbe, -1, 0, 0 },
	{ "movsx Gv, Ew", 0, 1, 0xbf, -1, 0, 0 },
	{ "movsxd Gv, Ed", 0, 0, 0x63, -1, 0, ONLY64 },
	{ "cmovb Gv, Ev", 0, 1, 0x42, -1, 0, 0 },
	{ "cmovnle Gv, Ev", 0, 1, 0x4f, -1, 0, 0 },
	{ "setbe Eb", 0, 1, 0x96, 0, 0, BYTE },
	{ "setl Eb", 0, 1, 0x9c, 0, 0, BYTE },
	{ "bt Ev, Ib", 0, 1, 0xba, 4, 1, 0, OF | SF | AF | PF },
	{ "bts Ev, Ib", 0, 1, 0xba, 5, 1, LOCK, OF | SF | AF | PF },
	{ "btr Ev, Ib", 0, 1, 0xba, 6, 1, LOCK, OF | SF | AF | PF },
	{ "btc Ev, Ib", 0, 1, 0xba, 7, 1, LOCK, OF | SF | AF | PF },
	{ "bsf Gv, Ev", 0, 1, 0xbc, -1, 0, 0, STATUS & ~ZF },
	{ "bsr Gv, Ev", 0, 1, 0xbd, -1, 0, 0, STATUS & ~ZF },
	{ "tzcnt Gv, Ev", 0xf3, 1, 0xbc, -1, 0, 0, STATUS & ~(ZF | CF), BMI1 },
	{ "lzcnt Gv, Ev", 0xf3, 1, 0xbd, -1, 0, 0, STATUS & ~(ZF | CF), LZCNT },
	{ "popcnt Gv, Ev", 0xf3, 1, 0xb8, -1, 0, 0, 0, POPCNT },
	{ "shld Ev, Gv, 3", 0, 1, 0xa5, -1, 0, FIXED, AF | OF },
	{ "shrd Ev, Gv, CL", 0, 1, 0xad, -1, 0, FIXED, AF | OF },
	{ "movnti", 0, 1, 0xc3, -1, 0, FIXED },
	{ "movbe Gv, Mv", 0, 2, 0xf0, -1, 0, 0, 0, MOVBE },
	{ "movbe Mv, Gv", 0, 2, 0xf1, -1, 0, 0, 0, MOVBE },
	{ "crc32 Gd, Eb", 0xf2, 2, 0xf0, -1, 0, FIXED, 0, SSE42 },
	{ "crc32 Gd, Ed", 0xf2, 2, 0xf1, -1, 0, FIXED, 0, SSE42 },
	{ "adcx", 0x66, 2, 0xf6, -1, 0, FIXED | NOT_TCG, 0, ADX },
	/* Bochs 2.7 gives OF the signed overflow; check-emulate looks at it on the processor */
	{ "adox", 0xf3, 2, 0xf6, -1, 0, FIXED | NOT_TCG, OF, ADX },
	{ "movsb", 0, 0, 0xa4, 0, 0, STRING | FIXED },
	{ "movsd", 0, 0, 0xa5, 0, 0, STRING },
	{ "cmpsb", 0, 0, 0xa6, 0, 0, STRING | FIXED },
	{ "stosb", 0, 0, 0xaa, 0, 0, STRING | FIXED },
	{ "stosd", 0, 0, 0xab, 0, 0, STRING },
	{ "lodsd", 0, 0, 0xad, 0, 0, STRING },
	{ "scasd", 0, 0, 0xaf, 0, 0, STRING },
	{ "xlat", 0, 0, 0xd7, 0, 0, BARE | FIXED },
	{ "andn", 0, 2, 0xf2, -1, 0, VEX, AF | PF, BMI1 },
	{ "blsr", 0, 2, 0xf3, 1, 0, VEX, AF | PF, BMI1 },
	{ "blsmsk", 0, 2, 0xf3, 2, 0, VEX, AF | PF, BMI1 },
	{ "blsi", 0, 2, 0xf3, 3, 0, VEX | NOT_TCG, AF | PF, BMI1 },
	{ "bextr", 0, 2, 0xf7, -1, 0, VEX, AF | PF | SF, BMI1 },
	{ "bzhi", 0, 2, 0xf5, -1, 0, VEX, AF | PF, BMI2 },
	{ "pext", 0xf3, 2, 0xf5, -1, 0, VEX, 0, BMI2 },
	{ "pdep", 0xf2, 2, 0xf5, -1, 0, VEX, 0, BMI2 },
	{ "mulx", 0xf2, 2, 0xf6, -1, 0, VEX, 0, BMI2 },
	{ "shlx", 0x66, 2, 0xf7, -1, 0, VEX, 0, BMI2 },
	{ "sarx", 0xf3, 2, 0xf7, -1, 0, VEX, 0, BMI2 },
	{ "shrx", 0xf2, 2, 0xf7, -1, 0, VEX, 0, BMI2 },
	{ "rorx", 0xf2, 3, 0xf0, -1, 1, VEX, 0, BMI2 },
	{ "movups load", 0, 1, 0x10, -1, 0, FIXED },
	{ "movups store", 0, 1, 0x11, -1, 0, FIXED },
	{ "movss load", 0xf3, 1, 0x10, -1, 0, FIXED },
	{ "movss store", 0xf3, 1, 0x11, -1, 0, FIXED },
	{ "movsd load", 0xf2, 1, 0x10, -1, 0, FIXED },
	{ "movlps load", 0, 1, 0x12, -1, 0, FIXED },
	{ "movhps load", 0, 1, 0x16, -1, 0, FIXED },
	{ "movhps store", 0, 1, 0x17, -1, 0, FIXED },
	{ "movaps load", 0, 1, 0x28, -1, 0, FIXED },
	{ "movaps store", 0, 1, 0x29, -1, 0, FIXED },
	{ "movntps", 0, 1, 0x2b, -1, 0, FIXED },
	{ "movd load", 0x66, 1, 0x6e, -1, 0, FIXED },
	{ "movd store", 0x66, 1, 0x7e, -1, 0, FIXED },
	{ "movq load", 0xf3, 1, 0x7e, -1, 0, FIXED },
	{ "movq store", 0x66, 1, 0xd6, -1, 0, FIXED },
	{ "movdqa load", 0x66, 1, 0x6f, -1, 0, FIXED },
	{ "movdqu store", 0xf3, 1, 0x7f, -1, 0, FIXED },
	{ "movntdq", 0x66, 1, 0xe7, -1, 0, FIXED },
	{ "lddqu", 0xf2, 1, 0xf0, -1, 0, FIXED, 0, SSE3 },
	{ "movddup", 0xf2, 1, 0x12, -1, 0, FIXED, 0, SSE3 },
	{ "movsldup", 0xf3, 1, 0x12, -1, 0, FIXED, 0, SSE3 },
	{ "movshdup", 0xf3, 1, 0x16, -1, 0, FIXED, 0, SSE3 },
	{ "movq mm load", 0, 1, 0x6f, -1, 0, FIXED },
	{ "movq mm store", 0, 1, 0x7f, -1, 0, FIXED },
	{ "stmxcsr", 0, 1, 0xae, 3, 0, FIXED },
	{ "vmovups load", 0, 1, 0x10, -1, 0, VEX | NO_W, 0, AVX },
	{ "vmovups load, 256", 0, 1, 0x10, -1, 0, VEX | NO_W | L256, 0, AVX },
	{ "vmovups store, 256", 0, 1, 0x11, -1, 0, VEX | NO_W | L256, 0, AVX },
	{ "vmovaps load, 256", 0, 1, 0x28, -1, 0, VEX | NO_W | L256, 0, AVX },
	{ "vmovdqu load", 0xf3, 1, 0x6f, -1, 0, VEX | NO_W, 0, AVX },
	{ "vmovdqu store", 0xf3, 1, 0x7f, -1, 0, VEX | NO_W, 0, AVX },
	{ "vmovss load", 0xf3, 1, 0x10, -1, 0, VEX | NO_W, 0, AVX },
	{ "vbroadcastss", 0x66, 2, 0x18, -1, 0, VEX | NO_W, 0, AVX },
	{ "vbroadcastsd, 256", 0x66, 2, 0x19, -1, 0, VEX | NO_W | L256, 0, AVX },
	{ "vpbroadcastb, 256", 0x66, 2, 0x78, -1, 0, VEX | NO_W | L256, 0, AVX2 },
	{ "fld m32", 0, 0, 0xd9, 0, 0, FIXED },
	{ "fst m32", 0, 0, 0xd9, 2, 0, FIXED },
	{ "fldcw", 0, 0, 0xd9, 5, 0, FIXED },
	{ "fnstcw", 0, 0, 0xd9, 7, 0, FIXED },
	{ "fild m32", 0, 0, 0xdb, 0, 0, FIXED },
	{ "fistp m32", 0, 0, 0xdb, 3, 0, FIXED },
	{ "fld m80", 0, 0, 0xdb, 5, 0, FIXED },
	{ "fstp m80", 0, 0, 0xdb, 7, 0, FIXED },
	{ "fadd m64", 0, 0, 0xdc, 0, 0, FIXED },
	{ "fld m64", 0, 0, 0xdd, 0, 0, FIXED },
	{ "fstp m64", 0, 0, 0xdd, 3, 0, FIXED },
	{ "fnstsw", 0, 0, 0xdd, 7, 0, FIXED },
	{ "fnstenv", 0, 0, 0xd9, 6, 0, FIXED },
	{ "fnstenv, 14 bytes", 0x66, 0, 0xd9, 6, 0, FIXED },
	{ "fldenv", 0, 0, 0xd9, 4, 0, FIXED },
	{ "fldenv, 14 bytes", 0x66, 0, 0xd9, 4, 0, FIXED },
	{ "fnsave", 0, 0, 0xdd, 6, 0, FIXED },
	{ "frstor", 0, 0, 0xdd, 4, 0, FIXED },
	{ "fisttp m64", 0, 0, 0xdd, 1, 0, FIXED, 0, SSE3 },
	{ "fild m64", 0, 0, 0xdf, 5, 0, FIXED },
	{ "fistp m64", 0, 0, 0xdf, 7, 0, FIXED },
};

static u64 seed;

static u64 rnd(void)
{
	u64 z = seed += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

struct outcome {
	int exit;
	struct kvm_regs regs;
	struct kvm_xsave media;
	u64 vector, error, rip;
	u8 area[AREA];
};

FIXTURE(emulate) {
	struct vm vm;
	u8 *area;		/* what is memory in the one, a device in the other */
	struct outcome *native;
	bool avx;
};

FIXTURE_VARIANT(emulate) {
	enum vm_mode mode;
};

FIXTURE_VARIANT_ADD(emulate, prot) { .mode = PROT };
FIXTURE_VARIANT_ADD(emulate, long64) { .mode = LONG };

static bool has(int sys, enum feature f)
{
	return !f || cpuid_reg(sys, feature_bits[f].leaf, 0, feature_bits[f].reg) & BIT(feature_bits[f].bit);
}

FIXTURE_SETUP(emulate)
{
	struct kvm_xcrs xcrs = { .nr_xcrs = 1, .xcrs[0] = { .value = 7 } };
	struct kvm_sregs s;

	seed = 1;
	self->area = xmmap(AREA, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	self->native = calloc(MAX_CASES, sizeof(*self->native));
	vm_create(&self->vm);
	vm_mode(&self->vm, &self->vm.vcpu, variant->mode);
	self->avx = has_xsave(self->vm.sys) && has(self->vm.sys, AVX);
	s = vcpu_sregs(&self->vm.vcpu);
	s.cr4 |= CR4_OSFXSR | (self->avx ? CR4_OSXSAVE : 0);
	vcpu_set_sregs(&self->vm.vcpu, &s);
	if (self->avx)
		ASSERT_EQ(0, ioctl(self->vm.vcpu.fd, KVM_SET_XCRS, &xcrs));
}

FIXTURE_TEARDOWN(emulate)
{
	vm_destroy(&self->vm);
	free(self->native);
}

struct test_case {
	u8 code[24];
	int len;
	struct kvm_regs regs;
	struct kvm_fpu fpu;
};

/* The instruction of a row, at random; HLT behind it. */
static void assemble(struct test_case *c, const struct row *r, bool lm)
{
	static const u8 pps[] = { [0x66] = 1, [0xf3] = 2, [0xf2] = 3 };
	int reg = r->reg < 0 ? (int)(rnd() & 7) : r->reg, imm = r->imm;
	bool w = lm && (r->kind & HAS_W || (!(r->kind & (FIXED | BYTE | NO_W)) && rnd() & 1));
	u8 *p = c->code;

	if (r->kind & VEX) {
		*p++ = 0xc4;
		*p++ = 0xe0 | r->map;
		/* VEX.vvvv where it is an operand: RDX or R13; for moves there is none. */
		*p++ = (w ? 0x80 : 0) | (r->feature == AVX || r->feature == AVX2 || r->map == 3 ? 0x78 : 0x68) |
		       (r->kind & L256 ? 4 : 0) | pps[r->prefix];
	} else {
		if (r->kind & LOCK && rnd() % 3 == 0 && !(r->opcode == 0x38 || r->opcode == 0x39 ||
							  (r->opcode >= 0x80 && r->opcode <= 0x83 && reg == 7)))
			*p++ = 0xf0;
		/* QEMU's MOVBE takes 66 before REX.W for 16 bits. */
		if (!(r->kind & (FIXED | BYTE | NO_W | HAS_W)) && !(r->map == 2 && w) && rnd() % 4 == 0) {
			*p++ = 0x66;
			imm = imm == 4 && !w ? 2 : imm;
		}
		if (r->kind & STRING && rnd() & 1)
			*p++ = rnd() & 1 ? 0xf2 : 0xf3;
		if (r->prefix)
			*p++ = r->prefix;
		if (w)
			*p++ = 0x48;
		if (r->map)
			*p++ = 0x0f;
		if (r->map == 2)
			*p++ = 0x38;
	}
	*p++ = r->opcode;
	if (!(r->kind & (STRING | BARE))) {
		/* disp8(%rbx) */
		*p++ = 0x43 | reg << 3;
		*p++ = (rnd() & 3) << 5;
	}
	while (imm--)
		*p++ = rnd();
	c->len = p - c->code;
	*p++ = 0xf4;
	*p++ = 0xf4;
}

static void random_case(struct test_case *c, const struct row *r, bool lm)
{
	u64 *g = (u64 *)&c->regs;

	memset(c, 0, sizeof(*c));
	assemble(c, r, lm);
	for (int i = 0; i < (lm ? 16 : 8); i++) {
		g[i] = rnd() >> (rnd() & 63);
		if (!lm)
			g[i] = (u32)g[i];
	}
	c->regs.rcx = rnd() % 20;
	c->regs.rflags = 2 | (rnd() & STATUS);
	c->regs.rip = GPA_CODE;
	c->regs.rsp = GPA_STACK - 64;
	c->fpu.fcw = 0x37f;
	c->fpu.mxcsr = 0x1f80;
	/* Three values on the x87 stack. */
	c->fpu.ftwx = 0xe0;
	c->fpu.fsw = 5 << 11;
	for (int i = 0; i < 3; i++) {
		u64 val = rnd() | BIT(63);
		u16 exp = 0x3fff + rnd() % 60 - 20;

		memcpy(c->fpu.fpr[i], &val, 8);
		memcpy(c->fpu.fpr[i] + 8, &exp, 2);
	}
	for (int i = 0; i < (lm ? 16 : 8); i++)
		for (int j = 0; j < 16; j++)
			c->fpu.xmm[i][j] = rnd();
}

static void answer_mmio(struct vm *vm, u8 *dev)
{
	struct kvm_run *run = vm->vcpu.run;
	u64 at = run->mmio.phys_addr - GPA_MMIO;

	if (at + run->mmio.len > AREA)
		die("MMIO at %llx", (unsigned long long)run->mmio.phys_addr);
	if (run->mmio.is_write)
		memcpy(dev + at, run->mmio.data, run->mmio.len);
	else
		memcpy(run->mmio.data, dev + at, run->mmio.len);
}

/* x87 and SSE state as the case has it, and of AVX's upper halves what XMM has. */
static void set_media(struct vm *vm, const struct kvm_fpu *fpu, bool avx)
{
	struct kvm_xsave xsave = { };
	u8 *image = (u8 *)&xsave;
	u64 xstate_bv = 7;

	if (!avx) {
		if (ioctl(vm->vcpu.fd, KVM_SET_FPU, fpu))
			die("KVM_SET_FPU");
		return;
	}
	memcpy(image, &fpu->fcw, 2);
	memcpy(image + 2, &fpu->fsw, 2);
	image[4] = fpu->ftwx;
	memcpy(image + 24, &fpu->mxcsr, 4);
	memcpy(image + 32, fpu->fpr, 128);
	memcpy(image + 160, fpu->xmm, 256);
	memcpy(image + 512, &xstate_bv, 8);
	memcpy(image + 576, fpu->xmm, 256);
	if (ioctl(vm->vcpu.fd, KVM_SET_XSAVE, &xsave))
		die("KVM_SET_XSAVE");
}

static void run_case(struct vm *vm, const struct test_case *c, u8 *area, bool avx,
		     struct outcome *o)
{
	struct kvm_regs regs = c->regs;

	memcpy(vm->mem + GPA_CODE, c->code, sizeof(c->code));
	memset(vm->mem + GPA_STACK - 256, 0, 256);
	memset((void *)trap(vm), 0, sizeof(struct trap));
	regs.rbx = regs.rsi = regs.rdi = GPA_MMIO + AT;
	regs.rdi += 0x40;
	vcpu_set_regs(&vm->vcpu, &regs);
	set_media(vm, &c->fpu, avx);
	do
		o->exit = vm_run(vm);
	while (o->exit == KVM_EXIT_MMIO && (answer_mmio(vm, area), true));
	o->regs = vcpu_regs(&vm->vcpu);
	o->vector = o->error = o->rip = 0;
	if (o->exit == KVM_EXIT_IO) {
		o->vector = trap(vm)->vector;
		o->error = trap(vm)->error;
		o->rip = trap(vm)->rip;
	}
	memcpy(o->area, area, AREA);
	memset(&o->media, 0, sizeof(o->media));
	if (ioctl(vm->vcpu.fd, avx ? KVM_GET_XSAVE : KVM_GET_FPU, &o->media))
		die("KVM_GET_XSAVE");
}

static const char *differ(const struct outcome *a, const struct outcome *b, u64 undefined, bool avx)
{
	const u64 *ga = (const u64 *)&a->regs, *gb = (const u64 *)&b->regs;
	const u8 *ma = (const u8 *)&a->media, *mb = (const u8 *)&b->media;

	if (a->exit != b->exit)
		return "exit";
	if (memcmp(a->area, b->area, AREA))
		return "memory";
	if (a->exit == KVM_EXIT_IO)
		return a->vector != b->vector || a->error != b->error || a->rip != b->rip ? "exception" : NULL;
	for (int i = 0; i < 16; i++)
		if (ga[i] != gb[i])
			return "register";
	if (a->regs.rip != b->regs.rip)
		return "rip";
	if ((a->regs.rflags ^ b->regs.rflags) & ~undefined)
		return "flags";
	if (!avx)
		return memcmp(ma, mb, 128) || memcmp(ma + 152, mb + 152, 256) ? "media" : NULL;
	/* FCW, FSW, tags; registers without their padding; XMM; the upper halves */
	if (memcmp(ma, mb, 5) || memcmp(ma + 160, mb + 160, 256) || memcmp(ma + 576, mb + 576, 256))
		return "media";
	for (int i = 0; i < 8; i++)
		if (memcmp(ma + 32 + 16 * i, mb + 32 + 16 * i, 10))
			return "x87 register";
	return NULL;
}

/* The hex of an instruction, and where the two went apart. */
static void explain(const struct row *r, const struct test_case *c, const struct outcome *a,
		    const struct outcome *b, const char *what)
{
	static const char *const names[] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags",
	};
	const u64 *in = (const u64 *)&c->regs, *ga = (const u64 *)&a->regs, *gb = (const u64 *)&b->regs;

	printf("# %s: %s differs:", r->name, what);
	for (int i = 0; i < c->len; i++)
		printf(" %02x", c->code[i]);
	printf("\n#   exit %s/%s vector %llu/%llu (native/emulated)\n", exit_name(a->exit),
	       exit_name(b->exit), (unsigned long long)a->vector, (unsigned long long)b->vector);
	for (int i = 0; i < 18; i++)
		if (ga[i] != gb[i])
			printf("#   %s: was %llx, native %llx emulated %llx\n", names[i], (unsigned long long)in[i],
			       (unsigned long long)ga[i], (unsigned long long)gb[i]);
	for (int i = 0; i < AREA; i++)
		if (a->area[i] != b->area[i])
			printf("#   memory %x: %02x/%02x\n", i, a->area[i], b->area[i]);
	for (int i = 0; i < 832; i++)
		if (((u8 *)&a->media)[i] != ((u8 *)&b->media)[i])
			printf("#   media %d: %02x/%02x\n", i, ((u8 *)&a->media)[i], ((u8 *)&b->media)[i]);
}

/* All cases, the same ones each time: one by one, with what came of them, to check(). */
static int run_all(struct vm *vm, u8 *area, bool lm, bool avx,
		   void (*check)(const struct row *r, const struct test_case *c, int n,
				 const struct outcome *o))
{
	static struct outcome o;
	struct test_case c;
	int cases = 0;

	seed = 1;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];

		if ((r->kind & ONLY64 && !lm) || (r->kind & NOT_TCG && on_tcg()) || !has(vm->sys, r->feature) ||
		    ((r->feature == AVX || r->feature == AVX2) && !avx))
			continue;
		for (int n = 0; n < (is_slow() ? PER_ROW / 3 : PER_ROW); n++) {
			random_case(&c, r, lm);
			for (int j = 0; j < AREA; j += 8) {
				u64 val = rnd() >> (rnd() & 63);

				memcpy(area + j, &val, 8);
			}
			run_case(vm, &c, area, avx, &o);
			check(r, &c, cases++, &o);
		}
	}
	return cases;
}

static struct outcome *natives;
static int bad;
static bool compare_avx;

static void keep(const struct row *r, const struct test_case *c, int n, const struct outcome *o)
{
	natives[n] = *o;
}

static void compare(const struct row *r, const struct test_case *c, int n, const struct outcome *o)
{
	const char *what = differ(&natives[n], o, r->undefined, compare_avx);

	if (what && bad++ < 10)
		explain(r, c, &natives[n], o, what);
}

TEST_F_TIMEOUT(emulate, as_the_processor, 300)
{
	bool lm = variant->mode == LONG;
	struct vm *vm = &self->vm;
	int cases;

	natives = self->native;
	compare_avx = self->avx;
	ASSERT_EQ(0, vm_slot(vm, 1, 0, GPA_MMIO, AREA, self->area));
	cases = run_all(vm, self->area, lm, self->avx, keep);
	ASSERT_EQ(0, vm_slot(vm, 1, 0, GPA_MMIO, 0, self->area));
	EXPECT_EQ(cases, run_all(vm, self->area, lm, self->avx, compare));
	printf("# %d cases, %d divergences\n", cases, bad);
	fflush(stdout);
	EXPECT_EQ(0, bad);
	EXPECT_GT(cases, is_slow() ? 300 : 1000);
}

/* Of the last x87 instruction: where it was, and its operand. */
static void x87_pointers(struct vm *vm, u8 *area, u32 *env)
{
	static const u8 code[] = {
		0xdb, 0xe3, 0xd9, 0x43, 0x10,	/* FNINIT; FLD DWORD [RBX + 10] */
		0xe6, 0x80,			/* OUT 80, AL */
		0xd9, 0x36, 0xf4,		/* FNSTENV [RSI]; HLT */
	};
	struct kvm_regs regs = { .rip = GPA_CODE, .rflags = 2, .rbx = GPA_MMIO,
				 .rsi = GPA_STACK - 256, .rsp = GPA_STACK };
	int exit;

	memcpy(vm->mem + GPA_CODE, code, sizeof(code));
	vcpu_set_regs(&vm->vcpu, &regs);
	while ((exit = vm_run(vm)) == KVM_EXIT_MMIO || exit == KVM_EXIT_IO)
		if (exit == KVM_EXIT_MMIO)
			answer_mmio(vm, area);
	memcpy(env, vm->mem + GPA_STACK - 256, 28);
}

TEST_F(emulate, x87_pointers)
{
	u32 native[7], emulated[7];
	struct vm *vm = &self->vm;

	ASSERT_EQ(0, vm_slot(vm, 1, 0, GPA_MMIO, AREA, self->area));
	x87_pointers(vm, self->area, native);
	ASSERT_EQ(KVM_EXIT_HLT, vm->vcpu.run->exit_reason);
	if (native[3] != GPA_CODE + 2)
		SKIP(return, "the host's switches of the FPU lose them");
	ASSERT_EQ(0, vm_slot(vm, 1, 0, GPA_MMIO, 0, self->area));
	x87_pointers(vm, self->area, emulated);
	EXPECT_EQ(KVM_EXIT_HLT, vm->vcpu.run->exit_reason);
	EXPECT_EQ(native[3], emulated[3]);
	EXPECT_EQ(native[5], emulated[5]);
	if (variant->mode == PROT) {
		EXPECT_EQ((u16)native[4], (u16)emulated[4]);
		EXPECT_EQ((u16)native[6], (u16)emulated[6]);
	}
}

/* What the emulator lacks goes to userspace with its bytes, and changes nothing. */
TEST_F(emulate, lacking)
{
	static const u8 addps[] = { 0x0f, 0x58, 0x03, 0xf4 };
	struct vm *vm = &self->vm;
	struct kvm_run *run = vm->vcpu.run;
	struct kvm_regs regs = { .rip = GPA_CODE, .rflags = 2, .rbx = GPA_MMIO, .rsp = GPA_STACK };

	memcpy(vm->mem + GPA_CODE, addps, sizeof(addps));
	vcpu_set_regs(&vm->vcpu, &regs);
	ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, vm_run(vm));
	EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->internal.suberror);
	EXPECT_EQ(GPA_CODE, vcpu_regs(&vm->vcpu).rip);
	EXPECT_EQ(0, memcmp(run->emulation_failure.insn_bytes, addps, 3));
}

/* A process must not stop the VM: it gets #UD, unless the VMM has asked for the exit. */
TEST(lacking_in_user_mode)
{
	static const u8 addps[] = { 0x0f, 0x58, 0x03, 0xf4 };
	struct kvm_regs regs = { .rip = GPA_CODE, .rflags = 2, .rbx = GPA_MMIO, .rsp = GPA_STACK };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE };
	struct kvm_run *run;
	struct kvm_sregs s;
	struct vm vm;

	vm_create(&vm);
	vm_mode(&vm, &vm.vcpu, LONG);
	/* all of GPA_PT's tables: also a process's */
	for (u64 *e = (u64 *)(vm.mem + GPA_PT); e < (u64 *)(vm.mem + GPA_PT + 0x5000); e++)
		*e |= *e ? PTE_U : 0;
	memcpy(vm.mem + GPA_CODE, addps, sizeof(addps));
	run = vm.vcpu.run;
	s = vcpu_sregs(&vm.vcpu);
	s.cr4 |= CR4_OSFXSR;
	s.cs.selector = SEL_UCODE64;
	s.ss.selector = SEL_UDATA;
	s.cs.dpl = s.ss.dpl = 3;
	for (u64 ask = 0; ask <= 2; ask++) {
		vcpu_set_sregs(&vm.vcpu, &s);
		vcpu_set_regs(&vm.vcpu, &regs);
		cap.args[0] = ask & 1;
		ASSERT_EQ(0, ioctl(vm.fd, KVM_ENABLE_CAP, &cap));
		trap(&vm)->count = trap(&vm)->resume = 0;
		if (!cap.args[0]) {
			ASSERT_EQ(KVM_EXIT_IO, vm_run(&vm));
			EXPECT_EQ(PORT_TRAP, run->io.port);
			EXPECT_EQ(UD_VECTOR, trap(&vm)->vector);
			EXPECT_EQ(1, trap(&vm)->count);
			EXPECT_EQ(GPA_CODE, trap(&vm)->rip);
			EXPECT_EQ(SEL_UCODE64, trap(&vm)->cs);
			continue;
		}
		ASSERT_EQ(KVM_EXIT_INTERNAL_ERROR, vm_run(&vm));
		EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION, run->emulation_failure.suberror);
		EXPECT_EQ(3, run->emulation_failure.ndata);
		EXPECT_EQ(KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES,
			  run->emulation_failure.flags);
		EXPECT_LE(3, run->emulation_failure.insn_size);
		EXPECT_EQ(0, memcmp(run->emulation_failure.insn_bytes, addps, 3));
		EXPECT_EQ(GPA_CODE, vcpu_regs(&vm.vcpu).rip);
	}
	vm_destroy(&vm);
}

TEST_HARNESS_MAIN
