/* SPDX-License-Identifier: GPL-2.0-only */
/* Debug registers and guest debugging (debug.c). */
#ifndef KVM_DEBUG_H
#define KVM_DEBUG_H

#include "kvm_host.h"

#include <asm/debugreg.h>

/* SDM 3B "Debug Registers": bits that the kernel's header has no name for. */
#define DR6_BD		BIT(13)		/* MOV DR was caught by DR7.GD */
#define DR7_GD		BIT(13)		/* general detect: MOV DR traps */
#define DR7_ALWAYS_1	0x400UL		/* bit 10; DR7 after a reset */

unsigned long kvm_get_dr(struct kvm_vcpu *vcpu, int dr);
int  kvm_set_dr(struct kvm_vcpu *vcpu, int dr, unsigned long val);
void kvm_update_dr7(struct kvm_vcpu *vcpu);
int  kvm_handle_mov_dr(struct kvm_vcpu *vcpu, int dr, int reg, bool to_dr);
long kvm_vcpu_get_debugregs(struct kvm_vcpu *vcpu, struct kvm_debugregs *dbg);
long kvm_vcpu_set_debugregs(struct kvm_vcpu *vcpu, const struct kvm_debugregs *dbg);
long kvm_vcpu_set_guest_debug(struct kvm_vcpu *vcpu, const struct kvm_guest_debug *dbg);
int  kvm_debug_exit(struct kvm_vcpu *vcpu, u8 vector, unsigned long dr6);

#endif
