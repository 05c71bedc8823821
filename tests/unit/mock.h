/* SPDX-License-Identifier: GPL-2.0-only */
/* What of the kernel the files under test use, about a processor that the test describes. */
#ifndef UNIT_MOCK_H
#define UNIT_MOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <asm/cpufeatures.h>

typedef uint64_t u64;
typedef uint32_t u32;
typedef uint16_t u16;
typedef uint8_t u8;

#define BIT(n)		(1UL << (n))
#define BIT_ULL(n)	(1ULL << (n))
#define GENMASK(h, l)	((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL(h, l) GENMASK(h, l)
#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

static struct {
	bool has[40 * 32];		/* X86_FEATURE_*, X86_BUG_* */
	bool given[40 * 32];		/* to guests, KVM_FEATURE_*, too */
	struct { u32 index; u64 value; } msr[8];
} cpu;

static bool boot_cpu_has(unsigned int feature) { return cpu.has[feature]; }
#define boot_cpu_has_bug(bug) boot_cpu_has(bug)

static int rdmsrq_safe(u32 index, u64 *value)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(cpu.msr); i++)
		if (cpu.msr[i].index == index) {
			*value = cpu.msr[i].value;
			return 0;
		}
	return -1;
}

/* <asm/perf_event.h>, <asm/vmx.h> */
struct perf_guest_switch_msr {
	unsigned int msr;
	u64 host, guest;
};

struct vmx_msr_entry {
	u32 index, reserved;
	u64 value;
};

static int wrmsrq_safe(u32 index, u64 value)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(cpu.msr); i++)
		if (cpu.msr[i].index == index) {
			cpu.msr[i].value = value;
			return 0;
		}
	return -1;
}

/* <asm/mce.h>, <asm/tlbflush.h> */
#define MCI_STATUS_OVER		BIT_ULL(62)
#define MCG_STATUS_MCIP		BIT_ULL(2)
void __flush_tlb_all(void);

static int number, failed;

static void ok(bool good, const char *name)
{
	printf("%s %d %s\n", good ? "ok" : "not ok", ++number, name);
	failed |= !good;
}

static void is(u64 got, u64 want, const char *name)
{
	ok(got == want, name);
	if (got != want)
		printf("# %#llx, not %#llx\n", (unsigned long long)got, (unsigned long long)want);
}

#endif
