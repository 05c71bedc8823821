/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the instruction emulator and the vcpu (emulate.c).
 */
#ifndef KVM_EMULATE_H
#define KVM_EMULATE_H

#include "kvm_host.h"

#define EMULTYPE_PF		BIT(0)	/* after a page fault, gpa known */
#define EMULTYPE_SKIP		BIT(1)	/* only decode, and skip */
#define EMULTYPE_UD		BIT(2)	/* after #UD: else reinject it */
/* An instruction that the emulator lacks: -EOPNOTSUPP and nothing changed, no exit. */
#define EMULTYPE_NO_ERROR	BIT(3)
#define EMULTYPE_GPA		BIT(4)	/* with PF: addr is the gpa of the access itself */
int  kvm_emulate_create(struct kvm_vcpu *vcpu);
void kvm_emulate_destroy(struct kvm_vcpu *vcpu);
int  kvm_emulate_insn(struct kvm_vcpu *vcpu, u64 addr, int type, const u8 *insn, int insn_len);
int  kvm_task_switch(struct kvm_vcpu *vcpu, u16 selector, const u32 *error_code);
/* Deliver an event through real mode's vector table; RIP + insn_len is returned to. */
int  kvm_emulate_real_interrupt(struct kvm_vcpu *vcpu, u8 vector, unsigned int insn_len);
/* The length of the instruction at RIP, 1..15, or -errno; nothing changes.  code64: CS.L. */
int  kvm_insn_length(struct kvm_vcpu *vcpu, bool code64);
bool kvm_insn_repeats(struct kvm_vcpu *vcpu, const u8 *insn, int insn_len);

#endif
