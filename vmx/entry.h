/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vmx.c and vmx_entry.S both know.  The offsets are checked against the
 * C structures by vmx.c.
 */
#ifndef VMX_ENTRY_H
#define VMX_ENTRY_H

/* struct vmx_switch, by offset. */
#define SWITCH_HOST_RSP		0
#define SWITCH_GUEST_SPEC_CTRL	8
#define SWITCH_HOST_SPEC_CTRL	16
#define SWITCH_READ_SPEC_CTRL	24
#define SWITCH_LAUNCHED		25

#define VMCS_HOST_RSP		0x6c14

/* vcpu->regs[], by offset; RSP travels in the VMCS. */
#define REGS_RAX	(0 * 8)
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
struct vmx_switch {
	unsigned long host_rsp;		/* as in the VMCS */
	u64 guest_spec_ctrl;
	u64 host_spec_ctrl;
	u8 read_spec_ctrl;		/* the guest writes the MSR itself */
	u8 launched;			/* VMRESUME, no more VMLAUNCH */
};

/* True: the instruction failed, nothing was loaded (SDM 3C "Conventions": VMfail). */
bool vmx_enter_guest(unsigned long *regs, struct vmx_switch *sw);
void vmx_exit_landing(void);		/* where exits land: HOST_RIP, never called */
void vmx_call_nmi(void);
#endif

#endif
