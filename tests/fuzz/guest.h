/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The guest fuzzer's parts: guest.c runs cases and judges them, guest-state.c makes
 * machines and states of them, guest-code.c instructions.
 */
#ifndef TESTS_FUZZ_GUEST_H
#define TESTS_FUZZ_GUEST_H

#include "vm.h"

/*
 * ---- random numbers: all that a case does follows from its number and the seed ----
 */

struct rng { u64 s; };

/* SplitMix64 (Steele, Lea, Flood 2014). */
static inline u64 rnd(struct rng *r)
{
	u64 z = r->s += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static inline u32 below(struct rng *r, u32 n)
{
	return (rnd(r) >> 32) % n;
}

static inline bool one_in(struct rng *r, u32 n)
{
	return !below(r, n);
}

/* A stream of its own for each of a case's parts. */
static inline struct rng rng_for(u64 seed, u64 case_nr, u64 part, u64 sub)
{
	struct rng r = { seed };

	r.s = rnd(&r) ^ case_nr;
	r.s = rnd(&r) ^ (part << 32 | sub);
	rnd(&r);
	return r;
}

#define PICK(r, array)	((array)[below(r, ARRAY_LEN(array))])

/*
 * ---- guest memory ----
 *
 * RAM with a hole for MMIO and a ROM where a PC has them, each vcpu's region below
 * the hole; RAM above 1M; at GPA_ODD a slot whose dirty pages are logged, with pages
 * that userspace has not mapped, and MMIO right behind it.
 */
#define GPA_SIPI	0x8000		/* code for SIPI's vectors 8 to 15 */
#define GPA_REGION(v)	(0x20000 + (v) * REGION_SIZE)
#define REGION_SIZE	0x20000
#define MAX_VCPUS	4
#define GPA_VGA		0xa0000		/* MMIO: the end of the last region borders on it */
#define GPA_ROM		0xf0000
#define ROM_SIZE	0x10000
#define GPA_HIGH	0x100000	/* to MEM_SIZE */
#define GPA_ODD		0x600000
#define ODD_SIZE	0x20000
#define GPA_HOLE	(GPA_ODD + 0x10000)	/* two pages */
#define GPA_APIC	0xfee00000
#define GPA_IOAPIC	0xfec00000

/* Offsets in a region. */
#define R_GDT		0x0000
#define R_LDT		0x0800
#define R_TSS		0x1000		/* four of 0x100, the first with an I/O bitmap up to 0x3200 */
#define R_IDT		0x4000
#define R_PT		0x5000		/* 7 pages; see make_tables() */
#define R_STUBS		0xc000
#define R_STACK		0xf000		/* top */
#define R_CODE		0x10000
#define R_CODE_END	0x14000
#define R_DATA		0x14000
#define R_BORDER	0x1f000		/* mapped to MMIO where there is paging */

/* The selectors of each region's GDT that are more than noise. */
enum {
	D_CODE32 = 1, D_DATA, D_CODE64, D_CODE16, D_DATA16, D_UCODE32, D_UDATA, D_UCODE64,
	D_UCODE16, D_TSS, D_TSS_B = 12, D_TSS16 = 14, D_LDT = 16, D_GATE32 = 18, D_GATE16,
	D_GATE64, D_TASK = 22, D_CONFORMING, D_ABSENT, D_DOWN, D_MMIO, D_NOISE, D_END = 64
};

enum fuzz_mode { F_REAL, F_UNREAL, F_PROT16, F_PROT32, F_V86, F_PG32, F_PSE32, F_PAE, F_V86PG,
		 F_COMPAT16, F_COMPAT32, F_LONG, F_MODES };

#define MAX_UNITS	48

/* One vcpu's state and program: what an episode starts, and starts over from. */
struct episode {
	enum fuzz_mode mode;
	int bits;			/* of the code */
	u8 cpl;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	u64 code_gpa, code_rip;		/* of the first unit */
	u32 units, start[MAX_UNITS + 1];	/* offsets from code_gpa */
	u8 code[1024];			/* as written to code_gpa */
};

struct machine {
	struct vm vm;			/* vm.vcpu is the first */
	int nr;
	struct vcpu vcpu[MAX_VCPUS];
	u8 *rom, *odd;
	bool irqchip, x2apic_api;
	int stats_fd[MAX_VCPUS];
};

/*
 * A guest with EFER.LME, but neither paging nor CR4.PAE, takes its host along in QEMU (7.2):
 * #VMEXIT loads the host's CR0 before its CR4, and gives up on CR0.PG when PAE is not there
 * (Documentation/fuzzing.rst).  So guests enter and leave long mode by userspace only there.
 */
static inline bool spare_long_mode(void)
{
	return on_tcg();
}

void machine_create(struct machine *m, struct rng *r);
void machine_destroy(struct machine *m);
u8 *machine_mem(struct machine *m, u64 gpa, u32 len);
u64 pick_gpa(struct rng *r, int v);

void episode_make(struct machine *m, int v, struct rng *r, struct episode *e);
int episode_enter(struct machine *m, int v, struct rng *r, struct episode *e);
void episode_restart(struct machine *m, int v, struct rng *r, struct episode *e, u32 unit);
bool machine_settle(struct machine *m);

void code_make(struct machine *m, int v, struct rng *r, struct episode *e);
u32 pick_msr(struct rng *r);
u64 pick_value(struct rng *r, int v);

#endif
