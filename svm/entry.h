/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What svm.c and svm_entry.S both know.  The offsets are checked against the
 * C structures by svm.c.
 */
#ifndef SVM_ENTRY_H
#define SVM_ENTRY_H

/* struct svm_switch, by offset. */
#define SWITCH_GUEST_PA		0
#define SWITCH_HOST_PA		8
#define SWITCH_GUEST_SPEC_CTRL	16
#define SWITCH_HOST_SPEC_CTRL	24
#define SWITCH_READ_SPEC_CTRL	32

/* vcpu->regs[], by offset; RAX and RSP travel in the VMCB. */
#define REGS_RCX	(1 * 8)
#define REGS_RDX	(2 * 8)
#define REGS_RBX	(3 * 8)
#define REGS_RBP	(5 * 8)
#define REGS_RSI	(6 * 8)
#define REGS_RDI	(7 * 8)
#define REGS_R8		(8 * 8)
#define REGS_R9		(9 * 8)
#define REGS_R10	(10 * 8)
#define REGS_R11	(11 * 8)
#define REGS_R12	(12 * 8)
#define REGS_R13	(13 * 8)
#define REGS_R14	(14 * 8)
#define REGS_R15	(15 * 8)

#ifndef __ASSEMBLY__
#include <linux/types.h>

/* What entry and exit load and store beside the guest's general registers. */
struct svm_switch {
	unsigned long guest_pa;		/* the vcpu's VMCB */
	unsigned long host_pa;		/* this CPU's: FS, GS, TR, LDTR, syscall MSRs */
	u64 guest_spec_ctrl;
	u64 host_spec_ctrl;
	u8 read_spec_ctrl;		/* the guest writes the MSR itself */
};

void svm_enter_guest(unsigned long *regs, struct svm_switch *sw);
#endif

#endif
