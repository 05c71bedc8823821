/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the directed tests share: a machine of 2 MiB whose bytes at MMIO belong to a
 * device, and the means to put code into it, run it, and look at what came of it.
 */
#ifndef PC_H
#define PC_H

#include "../machine.h"
#include "../tap.h"

#define MEM_SIZE 0x200000
#define MMIO 0xd0000
#define MMIO_END 0xe0000
#define CODE 0x10000
#define DATA 0x20000
#define STACK 0x30000
#define GDT 0x1000
#define TSS 0x3000

#define REAL X86EMUL_MODE_REAL
#define P16 X86EMUL_MODE_PROT16
#define P32 X86EMUL_MODE_PROT32
#define P64 X86EMUL_MODE_PROT64

extern u8 *mem;
extern u64 msr_value;
extern struct x86_emulate_ctxt ctxt;

/* The device: reads it was asked for, writes it saw. */
struct mmio_write {
	u64 addr, val;
	unsigned int bytes;
};

extern unsigned int mmio_reads, mmio_writes;
extern bool mmio_answered;		/* the next read is, by the op */
extern struct mmio_write mmio_log[64];

/* Ports: the last access, and what is read next. */
extern unsigned int pio_calls, pio_count, pio_size, pio_port;
extern bool pio_ready;
extern u8 pio_data[4096];

/* x87's environment as the processor has it in protected mode, and its registers. */
struct x87_image {
	u32 field[7];
	u8 registers[80];
};

extern struct x87_image x87;
extern u16 x87_sw;
extern u8 fx_image[512];
extern u8 xmm[16][16];

extern unsigned int nmi_unblocked, halted, flushes;
extern bool cmpxchg_loses, random_fails;
extern enum x86emul_feature lacking;	/* of the guest's CPUID */

/* Memory and registers as they are before a test. */
void reset(enum x86emul_mode mode);
void set_seg(unsigned int nr, u16 selector, u64 base, u32 limit, u8 type, bool db);
void put_desc(unsigned int selector, u64 raw);
void put_dword(u64 addr, u32 val);
u16 word(u64 addr);
u32 dword(u64 addr);

/*
 * For what goes through gates, coming from CPL `from`.  GDT: 8, 10: CPL 0; 20, 28:
 * CPL 3; 18: the TSS; its stack for CPL 0 is at 40000.
 */
void reset_gates(enum x86emul_mode mode, unsigned int from);
u64 gate(u16 selector, u64 offset, u8 attributes, u8 count);
void put_idt(unsigned int vector, unsigned int entry, u64 raw);

void code(const char *bytes, unsigned int n);
int decode(void);
int run(void);
unsigned int ring(void);

/* Did it end with this exception?  An error code below 0: with none. */
bool fault(int rc, u8 vector, int error);

/* CODE_BYTES("\x90") */
#define CODE_BYTES(s) code(s, sizeof(s) - 1)
#define RUN(mode, s) (reset(mode), CODE_BYTES(s), run())

void test_lengths(void);
void test_real_mode(void);
void test_mode_switch(void);
void test_iret(void);
void test_privilege(void);
void test_int(void);
void test_vm86(void);
void test_call_gates(void);
void test_tasks(void);
void test_mmio(void);
void test_strings(void);
void test_io_strings(void);
void test_features(void);
void test_random(void);
void test_invpcid(void);
void test_mwait(void);
void test_transactions(void);
void test_vendors(void);
void test_newer(void);
void test_cmpxchg8b(void);
void test_fsgsbase(void);
void test_environment(void);
void test_fxrstor(void);
void test_canonical(void);
void test_fetch(void);

#endif
