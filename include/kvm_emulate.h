/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Between the instruction emulator and the vcpu: emulate.c and, for x87, MMX, SSE and
 * AVX, emulate_fpu.c.
 */
#ifndef KVM_EMULATE_H
#define KVM_EMULATE_H

#include "kvm_host.h"

/* An instruction that the emulator lacks: -EOPNOTSUPP and nothing changed, no exit. */
#define EMULTYPE_NO_ERROR	BIT(0)
#define EMULTYPE_GPA		BIT(1)	/* addr is the gpa of the access itself */
/* It was #GP: it stays so, unless VMware's backdoor is what it asks for. */
#define EMULTYPE_VMWARE_GP	BIT(2)

extern bool kvm_vmware_backdoor;

int  kvm_emulate_create(struct kvm_vcpu *vcpu);
void kvm_emulate_destroy(struct kvm_vcpu *vcpu);
int  kvm_emulate_insn(struct kvm_vcpu *vcpu, u64 addr, int type, const u8 *insn, int insn_len);
int  kvm_task_switch(struct kvm_vcpu *vcpu, u16 selector, const u32 *error_code);
int  kvm_emulate_real_interrupt(struct kvm_vcpu *vcpu, u8 vector, unsigned int insn_len);
int  kvm_insn_length(struct kvm_vcpu *vcpu, bool code64);
int  kvm_software_int_length(struct kvm_vcpu *vcpu, u8 vector);
bool kvm_insn_repeats(struct kvm_vcpu *vcpu, const u8 *insn, int insn_len);

/* emulate_fpu.c: callbacks as struct x86_emulate_ops has them */
struct x86_emulate_ctxt;
int  kvm_emulate_get_vec(struct x86_emulate_ctxt *ctxt, unsigned int nr, void *val,
			 unsigned int bytes);
int  kvm_emulate_put_vec(struct x86_emulate_ctxt *ctxt, unsigned int nr, const void *val,
			 unsigned int bytes);
int  kvm_emulate_get_mmx(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 *val);
int  kvm_emulate_put_mmx(struct x86_emulate_ctxt *ctxt, unsigned int nr, u64 val);
int  kvm_emulate_x87(struct x86_emulate_ctxt *ctxt, u8 opcode, u8 modrm, void *mem);
int  kvm_emulate_fxsave(struct x86_emulate_ctxt *ctxt, void *image, bool rex_w);
int  kvm_emulate_fxrstor(struct x86_emulate_ctxt *ctxt, const void *image, bool rex_w);
int  kvm_emulate_get_xcr(struct x86_emulate_ctxt *ctxt, u32 nr, u64 *val);
int  kvm_emulate_set_xcr(struct x86_emulate_ctxt *ctxt, u32 nr, u64 val);

#endif
