// SPDX-License-Identifier: GPL-2.0-only
/*
 * system ROM OUT [amd]: run a firmware (system.S) from its reset by the emulator alone;
 * what it sends to port E9 goes to OUT, to be compared with other machines'.
 *
 * The emulator leaves the delivery of exceptions to the hardware; here, they take
 * the way of INT1, which no gate's DPL keeps out, and the error code is pushed
 * behind.
 */
#include <stdio.h>
#include <stdlib.h>

#include "machine.h"

#define MEM_SIZE 0x200000
#define ROM_SIZE 0x10000
#define STEPS 50000000ul

static u8 mem[MEM_SIZE];
static struct x86_emulate_ctxt ctxt;
static FILE *out;
static bool ended, amd;

static int op_read(struct x86_emulate_ctxt *c, u64 a, void *val, unsigned int bytes,
		   unsigned int access)
{
	(void)c;
	(void)access;
	memset(val, 0xff, bytes);
	if (a + bytes <= MEM_SIZE)
		memcpy(val, mem + a, bytes);
	return X86EMUL_CONTINUE;
}

static int op_fetch(struct x86_emulate_ctxt *c, u64 a, void *val, unsigned int bytes)
{
	/* The reset vector's place. */
	if (a >= 0xffff0000)
		a = a - 0xffff0000 + 0xf0000;
	return op_read(c, a, val, bytes, 0);
}

static int op_write(struct x86_emulate_ctxt *c, u64 a, const void *val, unsigned int bytes,
		    unsigned int access)
{
	(void)c;
	(void)access;
	if (a + bytes <= MEM_SIZE)
		memcpy(mem + a, val, bytes);
	return X86EMUL_CONTINUE;
}

static int op_probe(struct x86_emulate_ctxt *c, u64 a, unsigned int bytes, unsigned int access)
{
	(void)c;
	(void)a;
	(void)bytes;
	(void)access;
	return X86EMUL_CONTINUE;
}

static int op_cmpxchg(struct x86_emulate_ctxt *c, u64 a, const void *old, const void *new,
		      unsigned int bytes)
{
	(void)old;
	return op_write(c, a, new, bytes, 0);
}

static int op_pio_in(struct x86_emulate_ctxt *c, unsigned int size, u16 port, void *buf,
		     unsigned int count)
{
	(void)c;
	(void)port;
	memset(buf, 0xff, size * count);
	return X86EMUL_CONTINUE;
}

static int op_pio_out(struct x86_emulate_ctxt *c, unsigned int size, u16 port,
		      const void *buf, unsigned int count)
{
	(void)c;
	if (port == 0xe9)
		fwrite(buf, size, count, out);
	if (port == 0xf4)
		ended = true;
	return X86EMUL_CONTINUE;
}

static int op_get_msr(struct x86_emulate_ctxt *c, u32 msr, u64 *val)
{
	(void)c;
	*val = msr == MSR_EFER_NR ? efer : 0;
	return X86EMUL_CONTINUE;
}

static const struct x86_emulate_ops ops = {
	.read = op_read, .write = op_write, .fetch = op_fetch, .probe = op_probe,
	.cmpxchg = op_cmpxchg, .pio_in = op_pio_in, .pio_out = op_pio_out,
	MACHINE_OPS,
	.get_msr = op_get_msr,
};

static void reset(void)
{
	unsigned int i;

	x86_emulate_init(&ctxt);
	ctxt.ops = &ops;
	ctxt.amd = amd;
	for (i = 0; i < 8; i++)
		segs[i] = (struct x86_seg){ .limit = 0xffff, .type = 3, .s = 1, .present = 1 };
	segs[X86_SEG_CS] = (struct x86_seg){ .selector = 0xf000, .base = 0xffff0000,
					     .limit = 0xffff, .type = 0xb, .s = 1, .present = 1 };
	segs[X86_SEG_TR] = (struct x86_seg){ .limit = 0xffff, .type = 0xb, .present = 1 };
	segs[X86_SEG_LDTR] = (struct x86_seg){ .limit = 0xffff, .type = 2, .present = 1 };
	tables[X86EMUL_GDT].limit = tables[X86EMUL_IDT].limit = 0xffff;
	crs[0] = 0x60000010;
	ctxt.rip = 0xfff0;
	ctxt.rflags = 2;
}

static enum x86emul_mode mode_now(void)
{
	if (!(crs[0] & 1))
		return X86EMUL_MODE_REAL;
	if (ctxt.rflags & X86_FLAG_VM)
		return X86EMUL_MODE_VM86;
	if ((efer & EFER_LMA_BIT) && segs[X86_SEG_CS].l)
		return X86EMUL_MODE_PROT64;
	return segs[X86_SEG_CS].db ? X86EMUL_MODE_PROT32 : X86EMUL_MODE_PROT16;
}

/* How wide does vector's gate push?  4 in a task. */
static unsigned int gate_bytes(unsigned int vector)
{
	unsigned int type = mem[tables[X86EMUL_IDT].base + vector * 8 + 5] & 31;

	return type == 6 || type == 7 ? 2 : 4;
}

/* As the processor does: an exception, behind or at the instruction that raised it. */
static bool deliver(const struct x86_exception *x)
{
	struct x86_exception e = *x;
	int rc;

	ctxt.mode = mode_now();
	ctxt.next_rip = ctxt.rip;
	ctxt.rc.pos = ctxt.rc.end = 0;
	x86em_begin(&ctxt);
	rc = x86em_end(&ctxt, x86em_software_int(&ctxt, e.vector, true));
	if (rc != X86EMUL_CONTINUE)
		return false;
	if (!e.has_error_code || !(crs[0] & 1))
		return true;
	ctxt.mode = mode_now();
	ctxt.next_rip = ctxt.rip;
	x86em_begin(&ctxt);
	return x86em_end(&ctxt, x86em_push(&ctxt, e.error_code, gate_bytes(e.vector))) ==
	       X86EMUL_CONTINUE;
}

static bool one_step(void)
{
	int rc;

	ctxt.mode = mode_now();
	rc = x86_decode_insn(&ctxt, NULL, 0);
	if (rc == X86EMUL_CONTINUE)
		rc = x86_emulate_insn(&ctxt);
	if (rc == X86EMUL_PROPAGATE_FAULT)
		return deliver(&ctxt.exception);
	return rc == X86EMUL_CONTINUE;
}

int main(int argc, char **argv)
{
	unsigned long steps = 0;
	FILE *rom;

	amd = argc == 4 && !strcmp(argv[3], "amd");
	rom = argc >= 3 ? fopen(argv[1], "rb") : NULL;
	out = argc >= 3 ? fopen(argv[2], "wb") : NULL;
	if (!rom || !out || fread(mem + 0xf0000, 1, ROM_SIZE, rom) != ROM_SIZE)
		return 2;
	reset();
	while (!ended && steps++ < STEPS)
		if (!one_step()) {
			printf("# stuck at %x:%llx, mode %d\n", segs[X86_SEG_CS].selector,
			       (unsigned long long)ctxt.rip, ctxt.mode);
			break;
		}
	printf("# %lu instructions\n", steps);
	fclose(out);
	return !ended;
}
