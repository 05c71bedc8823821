/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What C and vmx/entry.S both know.  The offsets are checked against the
 * C structures by vmx.c.
 */
#ifndef VMX_ENTRY_H
#define VMX_ENTRY_H

/* struct vmx_switch, by offset. */
#define SWITCH_HOST_RSP		0
#define SWITCH_LAUNCHED		8

#define VMCS_HOST_RSP		0x6c14

#ifndef __ASSEMBLY__
#include <linux/types.h>

struct kvm_vcpu;

/* What entry and exit load and store beside the guest's general registers. */
struct vmx_switch {
	unsigned long host_rsp;		/* as in the VMCS */
	u8 launched;			/* VMRESUME, no more VMLAUNCH */
};

/* True: the instruction failed, nothing was loaded (SDM 3C "Conventions": VMfail). */
bool vmx_enter_guest(struct kvm_vcpu *vcpu, struct vmx_switch *sw);
void vmx_exit_landing(void);		/* where exits land: HOST_RIP, never called */
void vmx_call_nmi(void);
#endif

#endif
