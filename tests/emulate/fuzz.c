// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random bytes, random state and ops that return what they like, for the
 * sanitizers to watch.  What the interface promises is checked on the way.
 *
 *	fuzz [cases] [seed]
 *
 * With -DLIBFUZZER, the bytes that all chance comes from are libFuzzer's to
 * choose, by coverage; a promise broken is then a crash.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tap.h"
#include "decode.h"

static u64 seed;

/* What is used first, before the generator. */
static const u8 *stream;
static size_t stream_left;

static u64 rnd(void)
{
	size_t n = stream_left < 8 ? stream_left : 8;
	u64 z = 0;

	if (n) {
		memcpy(&z, stream, n);
		stream += n;
		stream_left -= n;
		return z;
	}
	z = seed += 0x9e3779b97f4a7c15ull;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static struct x86_emulate_ctxt ctxt;
static unsigned int hostility, ops_called;
static bool changed;		/* an op has changed the machine */

static void fill(void *val, unsigned int bytes)
{
	u8 *p = val;

	size_t n = stream_left < bytes ? stream_left : bytes;

	if (n) {
		memcpy(p, stream, n);
		stream += n;
		stream_left -= n;
	}
	for (; n < bytes; n++)
		p[n] = rnd();
}

static int verdict(struct x86_emulate_ctxt *c)
{
	ops_called++;
	if (rnd() % 64 >= hostility)
		return X86EMUL_CONTINUE;
	switch (rnd() % 4) {
	case 0:
		return x86_emulate_page_fault(c, rnd(), rnd() & 31);
	case 1:
		return X86EMUL_UNHANDLEABLE;
	case 2:
		return X86EMUL_IO_NEEDED;
	default:
		return X86EMUL_RETRY_INSTR;
	}
}

static int op_read(struct x86_emulate_ctxt *c, u64 a, void *val, unsigned int bytes,
		   unsigned int access)
{
	(void)a;
	(void)access;
	fill(val, bytes);
	return verdict(c);
}

static int op_write(struct x86_emulate_ctxt *c, u64 a, const void *val,
		    unsigned int bytes, unsigned int access)
{
	static volatile u8 sink __attribute__((unused));
	const u8 *p = val;
	int rc = verdict(c);

	(void)a;
	(void)access;
	while (bytes--)
		sink += *p++;
	if (rc == X86EMUL_CONTINUE) {
		changed = true;
		c->posted = rnd() % 8 == 0;
	}
	return rc;
}

static u8 code[16];

static int op_fetch(struct x86_emulate_ctxt *c, u64 a, void *val, unsigned int bytes)
{
	unsigned int n = c->fetch_len;

	if ((a & 4095) + bytes > 4096 || n + bytes > 15)
		abort();
	memcpy(val, code + n, bytes);
	return verdict(c);
}

static int op_probe(struct x86_emulate_ctxt *c, u64 a, unsigned int bytes, unsigned int access)
{
	(void)access;
	if (bytes > 64 && (a & 4095) + bytes > 4096)
		abort();
	return verdict(c);
}

static int op_cmpxchg(struct x86_emulate_ctxt *c, u64 a, const void *old,
		      const void *new, unsigned int bytes)
{
	(void)old;
	return op_write(c, a, new, bytes, 0);
}

static void op_invlpg(struct x86_emulate_ctxt *c, u64 a)
{
	(void)c;
	(void)a;
	changed = true;
}

static void op_flush_tlb(struct x86_emulate_ctxt *c)
{
	(void)c;
	changed = true;
}

static bool op_random(struct x86_emulate_ctxt *c, bool from_seed, u64 *val)
{
	(void)c;
	(void)from_seed;
	*val = rnd();
	return rnd() & 1;
}

static int op_pio_in(struct x86_emulate_ctxt *c, unsigned int size, u16 port, void *buf,
		     unsigned int count)
{
	(void)port;
	if (size * count > X86EMUL_BATCH_BYTES)
		abort();
	fill(buf, size * count);
	return verdict(c);
}

static int op_pio_out(struct x86_emulate_ctxt *c, unsigned int size, u16 port,
		      const void *buf, unsigned int count)
{
	(void)port;
	return op_write(c, 0, buf, size * count, 0);
}

static void op_get_segment(struct x86_emulate_ctxt *c, unsigned int seg, struct x86_seg *s)
{
	(void)c;
	(void)seg;
	fill(s, sizeof(*s));
	s->type &= 15;
	s->dpl &= 3;
	s->s &= 1;
	s->present &= 1;
	s->l &= 1;
	s->db &= 1;
	s->g &= 1;
	s->unusable = rnd() % 8 == 0;
	if (rnd() & 1)
		s->limit = 0xffffffff;
}

static void op_set_segment(struct x86_emulate_ctxt *c, unsigned int seg,
			   const struct x86_seg *s)
{
	(void)c;
	(void)seg;
	(void)s;
	changed = true;
}

static void op_get_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable w,
			  struct x86_dtable *val)
{
	(void)c;
	(void)w;
	val->base = rnd();
	val->limit = rnd();
}

static void op_set_dtable(struct x86_emulate_ctxt *c, enum x86emul_dtable w,
			  const struct x86_dtable *val)
{
	(void)c;
	(void)w;
	(void)val;
	changed = true;
}

static unsigned int op_get_cpl(struct x86_emulate_ctxt *c)
{
	(void)c;
	return rnd() & 1 ? 0 : rnd() & 3;
}

static u64 op_get_cr(struct x86_emulate_ctxt *c, unsigned int nr)
{
	(void)c;
	return nr == 0 && rnd() & 1 ? 1 : rnd();
}

static int op_set_cr(struct x86_emulate_ctxt *c, unsigned int nr, u64 val)
{
	int rc = verdict(c);

	(void)val;
	if (nr > 8)
		abort();
	changed |= rc == X86EMUL_CONTINUE;
	return rc;
}

static int op_get_u64(struct x86_emulate_ctxt *c, unsigned int nr, u64 *val)
{
	(void)nr;
	*val = rnd();
	return verdict(c);
}

static int op_set_u64(struct x86_emulate_ctxt *c, unsigned int nr, u64 val)
{
	int rc = verdict(c);

	(void)nr;
	(void)val;
	changed |= rc == X86EMUL_CONTINUE;
	return rc;
}

static int op_rdtsc(struct x86_emulate_ctxt *c, u64 *val)
{
	*val = rnd();
	return verdict(c);
}

static int op_cpuid(struct x86_emulate_ctxt *c, u32 *a, u32 *b, u32 *cx, u32 *d)
{
	*a = *b = *cx = *d = rnd();
	return verdict(c);
}

static bool op_has_feature(struct x86_emulate_ctxt *c, enum x86emul_feature f)
{
	(void)c;
	(void)f;
	return rnd() % 8;
}

static int op_action(struct x86_emulate_ctxt *c)
{
	int rc = verdict(c);

	changed |= rc == X86EMUL_CONTINUE;
	return rc;
}

static int op_get_vec(struct x86_emulate_ctxt *c, unsigned int nr, void *val, unsigned int bytes)
{
	if (nr > 15)
		abort();
	fill(val, bytes);
	return verdict(c);
}

static int op_put_vec(struct x86_emulate_ctxt *c, unsigned int nr, const void *val,
		      unsigned int bytes)
{
	return op_write(c, nr, val, bytes, 0);
}

/* What a store may write: an environment, with registers, a word, or ten bytes. */
static unsigned int x87_store_bytes(u8 opcode, unsigned int reg)
{
	if (reg == 6 && opcode == 0xd9)
		return 28;
	if (reg == 6 && opcode == 0xdd)
		return 108;
	return reg == 7 ? 2 : 10;
}

static int op_x87(struct x86_emulate_ctxt *c, u8 opcode, u8 modrm, void *mem)
{
	if ((opcode & 0xf8) != 0xd8 || (!mem && modrm < 0xc0))
		abort();
	if (mem)
		fill(mem, x87_store_bytes(opcode, modrm >> 3 & 7));
	return op_action(c);
}

static int op_fxsave(struct x86_emulate_ctxt *c, void *image, bool rex_w)
{
	(void)rex_w;
	fill(image, 512);
	return verdict(c);
}

static int op_fxrstor(struct x86_emulate_ctxt *c, const void *image, bool rex_w)
{
	return op_write(c, rex_w, image, 512, 0);
}

static const struct x86_emulate_ops ops = {
	.read = op_read, .write = op_write, .fetch = op_fetch, .probe = op_probe,
	.cmpxchg = op_cmpxchg, .invlpg = op_invlpg, .flush_tlb = op_flush_tlb,
	.random = op_random, .pio_in = op_pio_in,
	.pio_out = op_pio_out, .get_segment = op_get_segment,
	.set_segment = op_set_segment, .get_dtable = op_get_dtable,
	.set_dtable = op_set_dtable, .get_cpl = op_get_cpl, .get_cr = op_get_cr,
	.set_cr = op_set_cr, .get_dr = op_get_u64, .set_dr = op_set_u64,
	.get_msr = op_get_u64, .set_msr = op_set_u64, .rdpmc = op_get_u64,
	.rdtsc = op_rdtsc, .cpuid = op_cpuid, .has_feature = op_has_feature,
	.wbinvd = op_action, .halt = op_action,
	.get_vec = op_get_vec, .put_vec = op_put_vec, .get_mmx = op_get_u64,
	.put_mmx = op_set_u64, .x87 = op_x87, .fxsave = op_fxsave,
	.fxrstor = op_fxrstor, .get_xcr = op_get_u64, .set_xcr = op_set_u64,
};

static struct {
	unsigned long decoded, done, faults, lacking, waits, broken, lengths;
} stats;

static void broken(const char *what)
{
	unsigned int i;

	if (stats.broken++ >= 10 && !stream)
		return;
	printf("# %s: mode %d:", what, ctxt.mode);
	for (i = 0; i < 15; i++)
		printf(" %02x", code[i]);
	printf("\n");
	if (stream)
		abort();
}

/* Registers a failed instruction has changed; REP strings may have. */
static bool regs_kept(const u64 *before, u64 rip, u64 rflags)
{
	if (ctxt.d.rep || ctxt.switched)
		return true;
	return !memcmp(before, ctxt.regs, sizeof(ctxt.regs)) && ctxt.rip == rip &&
	       ctxt.rflags == rflags;
}

static void check_length(int rc)
{
	int len = x86_insn_length(ctxt.mode, code, 15);

	/* Of what is covered both must say the same; AMD's 66 on branches apart. */
	if (rc != X86EMUL_CONTINUE || ctxt.amd)
		return;
	stats.lengths++;
	if (len != ctxt.d.len)
		broken("lengths differ");
}

static void one_case(void)
{
	u64 before[16], rip, rflags;
	unsigned int i, tries = 0;
	int rc;

	fill(code, sizeof(code));
	if (rnd() & 1) {
		code[0] = 0x0f;
		if (rnd() % 8 == 0)
			code[1] = rnd() & 1 ? 0x38 : 0x00 | (rnd() & 1);
	} else if (rnd() % 8 == 0) {
		code[0] = 0xc4;
		code[1] = 0xe0 | (1 + rnd() % 3);
	}
	fill(ctxt.regs, sizeof(ctxt.regs));
	for (i = 0; i < 16; i++)
		if (rnd() & 1)
			ctxt.regs[i] &= 0xffffffffff;
	ctxt.mode = rnd() % 5;
	ctxt.amd = rnd() & 1;
	ctxt.rip = rnd() & (ctxt.mode == X86EMUL_MODE_PROT64 ? 0x7fffffffffff : 0xffff);
	ctxt.rflags = (rnd() & 0x7ed7) | 2;
	hostility = 0;
	rc = x86_decode_insn(&ctxt, code, rnd() % 4 ? 15 : rnd() % 15);
	if (rc == X86EMUL_CONTINUE || rc == X86EMUL_UNHANDLEABLE)
		check_length(rc);
	hostility = rnd() & 1 ? 0 : rnd() % 24;
	if (rc != X86EMUL_CONTINUE)
		return;
	stats.decoded++;
	if (ctxt.d.len > 15)
		broken("longer than 15 bytes");
	do {
		memcpy(before, ctxt.regs, sizeof(before));
		rip = ctxt.rip;
		rflags = ctxt.rflags;
		changed = false;
		ops_called = 0;
		rc = x86_emulate_insn(&ctxt);
		if (ops_called > 20000)
			broken("too long");
		if (rc != X86EMUL_CONTINUE && !regs_kept(before, rip, rflags))
			broken("registers of a failed instruction changed");
		if (rc == X86EMUL_PROPAGATE_FAULT && !ctxt.exception.valid)
			broken("a fault without exception");
		if (rc == X86EMUL_IO_NEEDED && ctxt.rc.pending) {
			u8 val[64] = { 0 };

			x86_emulate_read_done(&ctxt, val, ctxt.rc.pending);
		}
		if (rc == X86EMUL_IO_NEEDED)
			stats.waits++;
	} while (rc == X86EMUL_IO_NEEDED && tries++ < 8);
	stats.done += rc == X86EMUL_CONTINUE;
	stats.faults += rc == X86EMUL_PROPAGATE_FAULT;
	stats.lacking += rc == X86EMUL_UNHANDLEABLE;
}

#ifdef LIBFUZZER

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (!ctxt.ops) {
		x86_emulate_init(&ctxt);
		ctxt.ops = &ops;
	}
	if (!size)
		return 0;
	seed = 1;
	stream = data;
	stream_left = size;
	one_case();
	return 0;
}

#else

int main(int argc, char **argv)
{
	unsigned long n, cases = argc > 1 ? strtoul(argv[1], NULL, 0) : 300000;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	x86_emulate_init(&ctxt);
	ctxt.ops = &ops;
	for (n = 0; n < cases; n++)
		one_case();
	tap_ok(stats.broken == 0 && stats.done > cases / 20,
	       "%lu cases: %lu decoded, %lu done, %lu faults, %lu waits, %lu lengths compared, %lu promises broken",
	       cases, stats.decoded, stats.done, stats.faults, stats.waits,
	       stats.lengths, stats.broken);
	return tap_done();
}

#endif
