/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of differential share. */
#ifndef DIFFERENTIAL_H
#define DIFFERENTIAL_H

#include "batch.h"
#include "../tap.h"
#include "decode.h"

#define CODE ((u64)CASE_CODE)
#define CODE_SIZE ((u64)CASE_CODE_SIZE)
#define START (CODE + 0x2000)		/* of the instruction, or a little before a page's end */
#define DATA ((u64)CASE_DATA)
#define DATA_SIZE ((u64)CASE_DATA_SIZE)
#define GS_BASE (DATA + 0x800)
#define MODES 3
#define MAX_WORKERS 16
#define UNUSED_SELECTOR 0x3b		/* nothing is there in Linux's GDT */

/*
 * x87, SSE and AVX state is an XSAVE image of the standard form: the CPU takes it
 * from there, and a signal's frame holds one.
 */
#define XSAVE_BYTES CASE_MEDIA_BYTES
#define IMAGE_SW 2
#define IMAGE_TAGS 4
#define IMAGE_OPCODE 6
#define IMAGE_IP 8
#define IMAGE_DP 16
#define IMAGE_MXCSR 24
#define IMAGE_ST(n) (32 + 16 * (n))
#define IMAGE_XMM(n) (160 + 16 * (n))
#define IMAGE_XSTATE_BV 512
#define IMAGE_YMM_HIGH(n) (576 + 16 * (n))

struct state {
	u64 regs[16];
	u64 rip;
	u64 rflags;
	u8 media[XSAVE_BYTES] __attribute__((aligned(64)));
};

/* A case as regressions.h has it: memory and media registers by pattern. */
struct regression {
	u8 mode;
	u8 insn[15];
	u64 rip, rflags, pattern;
	u64 regs[16];
};

/* What a process is at, where the one that watches it sees it. */
struct progress {
	unsigned long count;		/* grows with each case */
	const char *mode;
	const char *list;		/* which the case is of */
	unsigned long index;
	struct regression row;
	int signal;			/* that came outside of a case */
	u64 signal_rip;
};

#define EXIT_SIGNAL 4

struct outcome {
	struct state s;
	u8 data[DATA_SIZE];
	int trap;		/* 3: went on; else the vector */
	u32 error;
	u64 cr2;
};

#define LIBERTIES 18		/* rules of latitude.c */

struct stats {
	unsigned long compared, lacking, faults, skipped, diverged, interrupted, bad_returns,
		      unanswered;
	unsigned long allowed, liberties[LIBERTIES];
	unsigned char rows[8][256];		/* map; 4 + map by VEX */
	/* The first that diverged: cpu, emulator */
	struct regression first;
	struct outcome first_outcomes[2];
};

extern struct progress *progress;
extern struct stats *stats;

extern struct outcome cpu, emu;
extern u8 pattern[DATA_SIZE];		/* of memory, at the beginning */
extern u8 *code_alias;
extern bool amd;

#define IS(fn) (exec == em_##fn)

/* generate.c */
extern u64 seed;
/* Of memory and media registers: their own, so that a case can be named by it. */
extern u64 pattern_seed;
extern u32 mxcsr_mask;

/* One-byte, 0F and 0F 38 opcodes, ModRM bytes and the prefixes that choose among them */
#define ENUMERATED (5 * 3 * 65536ul)

u64 rnd(void);
bool chance(unsigned int one_in);
u64 random_value(void);
void random_state(struct state *s);
void media_state(struct state *s);
void random_insn(unsigned long nr);
void fill_pattern(u64 from);

/* native.c */
struct machine {
	const char *name;
	enum x86emul_mode mode;
	u16 cs, ds, ss;
	u64 code_base, data_base;
	u32 data_limit;
	unsigned int addr_bits;
};

extern struct machine machines[MODES];
extern const struct machine *machine;
void native_enter_far(void);
void native_entered_far(void);

int make_ldt(void);
void run_cpu(const struct state *in);
void understand_trap(const struct state *in);
int set_up(void);

/* emulated.c */
extern struct x86_emulate_ctxt ctxt;
extern const struct x86_emulate_ops ops;
extern u64 xcr0;
extern bool features[X86EMUL_NR_FEATS];
/* Of the emulator's last run: the segment that it has asked for last, and its batches */
extern struct x86_seg faulting_segment;
extern unsigned int batches;

bool is_dangerous(void);
void enter_mmx(void);
int run_emulator(const struct state *in);

/* compare.c */
extern u32 ignored_flags;

u32 undefined_flags(void);
bool undefined_result(void);
void print_row(const struct regression *r);
void same_random(void);
bool same(void);
void report(const struct state *in);
void print_first(const char *mode, const struct stats *s);

/* latitude.c */
bool is_allowed(const struct state *in);
bool is_lock_verw(void);
void print_liberties(const char *mode, const struct stats *sum);

/* stand_in.c */
enum standing_in { NOBODY, EMIT, CHECK };

extern enum standing_in standing_in;

bool is_beyond_stand_in(void);
bool stand_in(const struct state *in);
bool bochs_differs(void);
void same_c1(void);
int run_stand_in(int argc, char **argv);

/* cases.c */
#define PLANT_AT 100		/* case of the first process */

extern u8 insn[X86_MAX_INSN_LEN + 1];
extern u64 start_rip;
/* For tests of this program itself: what goes wrong. */
extern const char *planted;

bool is_environment(void);
void run_cases(unsigned long cases, unsigned int worker, unsigned int workers);
bool is_planted(const char *what);
void note_case(const struct state *in, const char *list, unsigned long index);

/* differential.c: where all processes see it */
struct shared {
	struct progress progress[MAX_WORKERS];
	struct stats stats[MODES][MAX_WORKERS];
	struct {
		bool entered;
		char why_not[160];
	} modes[MODES];
};

extern struct shared *shared;

void print_results(const struct machine *m, const struct stats *all,
		   unsigned int workers, unsigned long cases);

#endif
