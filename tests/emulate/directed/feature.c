// SPDX-License-Identifier: GPL-2.0-only
/* Instructions that a guest may lack, and newer ones. */
#include "pc.h"

/* A guest without a feature: #UD, whatever else were wrong. */
void test_features(void)
{
	static const struct {
		enum x86emul_feature feature;
		const char *bytes;
	} table[] = {
		{ X86EMUL_FEAT_MOVBE, "\x0f\x38\xf0\x03" },
		{ X86EMUL_FEAT_MOVDIRI, "\x0f\x38\xf9\x03" },
		{ X86EMUL_FEAT_MOVDIR64B, "\x66\x0f\x38\xf8\x03" },
		{ X86EMUL_FEAT_SSE42, "\xf2\x0f\x38\xf1\x03" },
		{ X86EMUL_FEAT_POPCNT, "\xf3\x0f\xb8\x03" },
		{ X86EMUL_FEAT_ADX, "\x66\x0f\x38\xf6\x03" },
		{ X86EMUL_FEAT_BMI1, "\xc4\xe2\x70\xf2\x03" },
		{ X86EMUL_FEAT_BMI2, "\xc4\xe2\x73\xf6\x03" },
		{ X86EMUL_FEAT_INVPCID, "\x66\x0f\x38\x82\x03" },
		{ X86EMUL_FEAT_CMPCCXADD, "\xc4\xe2\x71\xe4\x03" },
	};
	unsigned int i, absent = 0, present = 0, n = sizeof(table) / sizeof(table[0]);

	for (i = 0; i < n; i++) {
		reset(P64);
		ctxt.regs[X86_RBX] = ctxt.regs[X86_RAX] = MEM_SIZE - 4096;
		code(table[i].bytes, 5);
		if (table[i].feature == X86EMUL_FEAT_INVPCID)
			ctxt.regs[X86_RAX] = 0;
		present += fault(run(), EXC_PF, table[i].feature == X86EMUL_FEAT_MOVDIRI ||
				 table[i].feature == X86EMUL_FEAT_CMPCCXADD ? 2 : 0);
		lacking = table[i].feature;
		absent += fault(run(), EXC_UD, -1);
	}
	tap_ok(present == n && absent == n, "%u features: #UD without, before memory is touched", n);
}

void test_random(void)
{
	int rc;

	reset(P64);
	CODE_BYTES("\x48\x0f\xc7\xf0");
	ctxt.rflags |= X86_FLAGS_STATUS;
	rc = run();
	tap_ok(!rc && ctxt.regs[0] == 0x1234567812345678 && ctxt.rflags == (2 | X86_FLAG_CF),
	       "rdrand rax");
	reset(P64);
	CODE_BYTES("\x66\x0f\xc7\xff");
	ctxt.regs[X86_RDI] = ~0ull;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RDI] == 0xffffffffffff5eed, "rdseed di");
	reset(P64);
	CODE_BYTES("\x0f\xc7\xf7");
	ctxt.regs[X86_RDI] = ~0ull;
	random_fails = true;
	rc = run();
	tap_ok(!rc && !ctxt.regs[X86_RDI] && ctxt.rflags == 2, "rdrand edi without success: 0");
	lacking = X86EMUL_FEAT_RDRAND;
	tap_ok(fault(RUN(P64, "\xf3\x0f\xc7\xf0"), EXC_UD, -1), "rdrand with F3: #UD");
}

void test_transactions(void)
{
	int rc;

	reset(P32);
	CODE_BYTES("\xc7\xf8\x10\x00\x00\x00");
	ctxt.regs[0] = ~0u;
	rc = run();
	tap_ok(!rc && ctxt.rip == CODE + 0x16 && !ctxt.regs[0], "xbegin aborts at once");
	reset(P64);
	CODE_BYTES("\x66\xc7\xf8\xf0\xff");
	rc = run();
	tap_ok(!rc && ctxt.rip == CODE - 0xb, "64-bit xbegin with 16 bits of offset");
	reset(P32);
	CODE_BYTES("\x66\xc7\xf8\x10\x00");
	rc = run();
	tap_ok(!rc && ctxt.rip == CODE + 0x15, "32-bit xbegin with 16 bits of offset: EIP is not cut");
	tap_ok(!RUN(P64, "\xc6\xf8\x01") && ctxt.rip == CODE + 3, "xabort of none");
	tap_ok(fault(RUN(P64, "\x0f\x01\xd5"), EXC_GP, 0), "xend of none: #GP(0)");
	tap_ok(!RUN(P64, "\x0f\x01\xd6") && ctxt.rflags == (2 | X86_FLAG_ZF), "xtest: there is none");
}

/*
 * A far transfer through memory with REX.W: m16:64 for Intel's processors, m16:32 for AMD's,
 * which ignore the prefix.  Read either way there is a selector behind the offset.
 */
static void test_far_rex_w(unsigned int amd, const char *code, const char *name, u64 pushed)
{
	static const u8 pointer[10] = { 0x45, 0x23, 0x01, 0, 0x08, 0, 0, 0, 0x08, 0 };
	u64 rsp;
	int rc;

	reset_gates(P64, 0);
	ctxt.amd = amd;
	memcpy(mem + CODE, code, 3);
	ctxt.regs[X86_RBX] = DATA;
	memcpy(mem + DATA, pointer, sizeof(pointer));
	rsp = ctxt.regs[X86_RSP];
	rc = run();
	tap_ok(!rc && ctxt.rip == (amd ? 0x12345 : 0x800012345) &&
	       segs[X86_SEG_CS].selector == 8 && ctxt.regs[X86_RSP] == rsp - pushed,
	       "%s: %s far with REX.W reads m16:%u", amd ? "amd" : "intel", name, amd ? 32 : 64);
}

/* What Intel's and AMD's processors do each in its own way. */
void test_vendors(void)
{
	unsigned int amd;
	int rc;

	for (amd = 0; amd < 2; amd++) {
		reset(P64);
		ctxt.amd = amd;
		CODE_BYTES("\xf3\x41\x90");
		ctxt.regs[X86_RAX] = 1;
		ctxt.regs[X86_R8] = 2;
		rc = run();
		tap_ok(!rc && ctxt.regs[X86_RAX] == (amd ? 2 : 1) && ctxt.regs[X86_R8] == (amd ? 1 : 2),
		       "%s: F3 REX.B 90 is %s", amd ? "amd" : "intel", amd ? "xchg r8d, eax" : "pause");

		/* The last word before what cannot be read */
		reset(P64);
		ctxt.amd = amd;
		CODE_BYTES("\x66\x63\x03");
		ctxt.regs[X86_RAX] = ~0ull;
		ctxt.regs[X86_RBX] = MEM_SIZE - 4096 - 2;
		mem[MEM_SIZE - 4096 - 2] = 0x55;
		rc = run();
		tap_ok(amd ? fault(rc, EXC_PF, 0) : !rc && ctxt.regs[X86_RAX] == 0xffffffffffff0055,
		       "%s: movsxd of 16 bits reads %u bytes", amd ? "amd" : "intel", amd ? 4 : 2);
	}
	for (amd = 0; amd < 2; amd++) {
		test_far_rex_w(amd, "\x48\xff\x2b", "jmp", 0);
		test_far_rex_w(amd, "\x48\xff\x1b", "call", amd ? 8 : 16);
	}
	reset(P64);
	CODE_BYTES("\x66\x48\x63\xc3");
	ctxt.regs[X86_RBX] = 0x80000000;
	rc = run();
	tap_ok(!rc && ctxt.regs[X86_RAX] == 0xffffffff80000000, "movsxd rax, ebx, with 66");
}

void test_newer(void)
{
	/* What no guest can enable. */
	static const char *const undefined[] = {
		"\x0f\xaa\x90\x90", "\x0f\x37\x90\x90", "\x0f\x01\xc2\x90", "\x0f\x01\xd8\x90",
		"\x0f\x01\xd4\x90", "\x0f\x01\xee\x90", "\xf3\x0f\xc7\x33", "\x0f\x78\xc0\x90",
		"\x0f\x04\x90\x90", "\xf3\x0f\x01\xe8",
	};
	unsigned int i, good = 0, n = sizeof(undefined) / sizeof(undefined[0]);
	int rc;

	for (i = 0; i < n; i++) {
		reset(P64);
		code(undefined[i], 4);
		good += fault(run(), EXC_UD, -1);
	}
	tap_ok(good == n, "%u instructions of SMM, SMX, VMX, SVM, CET and others: #UD", n);

	reset(P64);
	CODE_BYTES("\x0f\x01\xfc");
	ctxt.regs[0] = MMIO + 0x7f;
	rc = run();
	tap_ok(!rc && mmio_writes == 1 && mmio_log[0].addr == MMIO + 0x40 && mmio_log[0].bytes == 64,
	       "clzero writes a line");
	tap_ok(!RUN(P64, "\x0f\x01\xe8"), "serialize");

	/* CMPZXADD [RBX], EAX, ECX */
	reset(P64);
	CODE_BYTES("\xc4\xe2\x71\xe4\x03");
	ctxt.regs[X86_RBX] = DATA;
	ctxt.regs[X86_RAX] = 7;
	ctxt.regs[X86_RCX] = 5;
	put_dword(DATA, 7);
	rc = run();
	tap_ok(!rc && dword(DATA) == 12 && ctxt.regs[0] == 7 && (ctxt.rflags & X86_FLAG_ZF),
	       "cmpzxadd of what is equal");
	ctxt.rip = CODE;
	rc = run();
	tap_ok(!rc && dword(DATA) == 12 && ctxt.regs[0] == 12 && !(ctxt.rflags & X86_FLAG_ZF),
	       "and of what is not");
	cmpxchg_loses = true;
	ctxt.rip = CODE;
	tap_ok(run() == X86EMUL_RETRY_INSTR && ctxt.regs[0] == 12, "which lost a race: again");
	tap_ok(fault(RUN(P32, "\xc4\xe2\x71\xe4\x03"), EXC_UD, -1), "outside of 64-bit mode: #UD");
}
