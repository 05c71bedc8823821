/* SPDX-License-Identifier: GPL-2.0-only */
/* What the parts of the fault injection test share. */
#ifndef TESTS_FAIL_H
#define TESTS_FAIL_H

#include "vm.h"

#define PORT_OK		0x10
#define PORT_DEV	0x5680
#define GPA_EXTRA	MEM_SIZE		/* slot 1 */
#define EXTRA_SIZE	(64UL << 20)
#define PAGE		4096UL
#define LARGE		(2UL << 20)
#define HUGE_SLOT	(5UL << 30)		/* its tables are too large for kmalloc() */
#define GSI		5

#define MSR_CLOCK	0x4b564d01
#define MSR_APF_EN	0x4b564d02
#define MSR_STEAL	0x4b564d03
#define MSR_EOI		0x4b564d04
#define MSR_APF_INT	0x4b564d06

/* What a call is about.  It holds what any of them wants, and is there before it is armed. */
extern struct env {
	struct vm vm;
	int efd, resample, fd;
	u8 *extra;
	long arg;			/* of the ioctl */
	union {
		u8 buf[1 << 18];
		u64 words[4];
		struct kvm_regs regs;
		struct kvm_msrs msrs;
		struct kvm_cpuid2 cpuid;
		struct kvm_irq_routing routing;
		struct kvm_irqchip chip;
		struct kvm_irqfd irqfd;
		struct kvm_ioeventfd ioeventfd;
		struct kvm_enable_cap cap;
		struct kvm_device_attr attr;
		struct kvm_userspace_memory_region region;
		struct kvm_memory_region own_region;
		struct kvm_memory_alias alias;
		struct kvm_dirty_log log;
		struct kvm_clear_dirty_log clear;
		struct kvm_coalesced_mmio_zone zone;
		struct kvm_msr_filter filter;
		struct kvm_pit_config pit;
		struct kvm_reinject_control reinject;
		struct kvm_msi msi;
		struct kvm_irq_level line;
		struct kvm_interrupt interrupt;
		struct kvm_mp_state mp;
		struct kvm_guest_debug debug;
		struct kvm_translation translation;
		struct kvm_vapic_addr vapic;
		struct kvm_tpr_access_ctl tpr;
		struct kvm_x86_mce mce;
		struct kvm_signal_mask mask;
		struct kvm_one_reg one_reg;
	};
	u64 bits[64];			/* bitmaps that arguments point to */
} *e;

enum { DEV, VM, VCPU, OTHER };

enum {
	PURE = 1,		/* allocates nothing */
	REPEATS = 2,		/* changes nothing, so that one VM will do */
	NEW_MM = 4,		/* by a process of its own each time, which has no VM yet */
	MAKES_FD = 8,
	NEVER_RAN = 16,		/* only before the vcpu's first KVM_RUN */
	RUNS = 32,		/* KVM_RUN: goes on until the guest says that it is done */
	NO_ALL = 64,		/* userspace's own page faults are part of it, which never end without memory */
	ALWAYS_OK = 256,	/* succeeds whatever fails */
	NESTED = 1024,		/* allocates with nested paging, and is refused without */
	MAPS = 512,		/* memory of its own: ENOSPC, too, and munmap() itself needs memory */
};

struct call {
	int table;
	const char *name, *about;
	unsigned long cmd;
	void (*setup)(void);
	void (*fill)(void);
	unsigned long get;		/* in place of fill: what the call sets again */
	int flags;
	long (*fn)(void *arg);		/* in place of the ioctl */
	u64 (*probe)(void);		/* what can be read back in another way */
	bool (*check)(void);		/* the call did what it is for */
	long want;			/* what it returns, if more than 0 matters */
};

extern const struct call *now;		/* the one that is tested */
extern const struct call calls[];
extern const unsigned int nr_calls;

/* ---- vms.c: VMs, and what can be read back of them ---- */

void open_bare(void);			/* only /dev/kvm */
void bare(void);			/* a VM without vcpus, without interrupt controllers */
void with_chips(void);
void full(void);			/* with all that a VM has, and the probe guest */
void full_extra(void);			/* and slot 1 */
void full_unslotted(void);		/* and memory for it */
void full_eventfds(void);
void user(void);			/* without interrupt controllers */
void add_extra(u32 flags);
void eventfds(void);
void ready(void);			/* the vcpu for the probe guest */
void close_fd(int *fd);
void teardown(void);

/*
 * The probe guest does something by rax: 0 loads from rdi, 1 writes to port dx, 2 reads
 * an MSR, 3 writes one, 4 makes a hypercall.  Its first exit, the port from bit 16 on, and
 * rbx from bit 32 on; the vcpu's registers are as before.
 */
u64 run_probe(u64 rax, u64 rdi, u64 rcx, u64 rdx);

#define PROBE_OUT(port)	(run_probe(1, 0, 0, port) & 0xffffffff)
#define EXIT_OUT(port)	(KVM_EXIT_IO | (u64)(port) << 16)

struct msr_list {
	struct kvm_msr_list head;
	u32 index[256];
};

struct msr_values {
	struct kvm_msrs head;
	struct kvm_msr_entry entry[256];
};

struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_xsave xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_lapic_state lapic;
	struct msr_values msrs;
	struct {
		struct kvm_cpuid2 head;
		struct kvm_cpuid_entry2 entry[256];
	} cpuid;
	struct kvm_irqchip chips[3];
	struct kvm_pit_state2 pit;
	u64 nr_mmu, khz, probe, files, mappings;
};

void read_state(struct state *s);
/* The first part that differs, or NULL. */
const char *difference(const struct state *a, const struct state *b);

/* ---- run.c: KVM_RUN ---- */

long call_run(void *arg);
void touch_memory(void);		/* the guest has written to slot 1 */
void run_touch(void);
void run_lazy(void);
void run_tables(void);
void run_emulated(void);
void run_sync(void);
void run_pv_clock(void);
void run_pv_steal(void);
void run_pv_eoi(void);
void run_pv_apf(void);
void run_async_pf(void);
void end_async_pf(void);
bool check_touch(void);
bool check_tables(void);
bool check_emulated(void);

#endif
