// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers, as the guest changes them and as userspace reads and writes
 * them, and guest debugging: KVM_SET_GUEST_DEBUG.
 */
#include "kvm_host.h"
#include "kvm_debug.h"
#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_regs.h"

#include <linux/export.h>
#include <linux/nospec.h>

/* RTM's bits exist with the feature only. */
#define DR6_RTM		BIT(16)		/* 0 inside a transactional region */
#define DR6_WRITABLE	(DR_TRAP_BITS | DR6_BD | DR_STEP | DR_SWITCH)
#define DR7_RTM		BIT(11)
#define DR7_WRITABLE	(0xffff0000UL | DR7_GD | DR_LOCAL_SLOWDOWN | DR_GLOBAL_SLOWDOWN | \
			 DR_LOCAL_ENABLE_MASK | DR_GLOBAL_ENABLE_MASK)

/*
 * ---- debug registers ----
 */

static unsigned long dr6_value(struct kvm_vcpu *vcpu, unsigned long val)
{
	unsigned long writable = DR6_WRITABLE, fixed = DR6_RESERVED;

	if (vcpu->guest_caps & KVM_GUEST_HAS_RTM) {
		writable |= DR6_RTM;
		fixed &= ~DR6_RTM;
	}
	return (val & writable) | fixed;
}

static unsigned long dr7_value(struct kvm_vcpu *vcpu, unsigned long val)
{
	unsigned long writable = DR7_WRITABLE;

	if (vcpu->guest_caps & KVM_GUEST_HAS_RTM)
		writable |= DR7_RTM;
	return (val & writable) | DR7_ALWAYS_1;
}

/** kvm_get_dr - a debug register as the guest reads it; 4 and 5 are 6 and 7 */
unsigned long kvm_get_dr(struct kvm_vcpu *vcpu, int dr)
{
	switch (dr) {
	case 0 ... 3:
		return vcpu->db[array_index_nospec(dr, 4)];
	case 4:
	case 6:
		return vcpu->dr6;
	default:
		return vcpu->dr7;
	}
}

/**
 * kvm_set_dr - MOV to a debug register
 * @vcpu: the vcpu, loaded
 * @dr: 0 to 7; 4 and 5 are 6 and 7
 * @val: the value
 *
 * Return: 0, or 1 with nothing changed for a bit of the upper half of DR6 or DR7:
 * the guest gets #GP.
 */
int kvm_set_dr(struct kvm_vcpu *vcpu, int dr, unsigned long val)
{
	if (dr > 3 && (u64)val >> 32)
		return 1;
	switch (dr) {
	case 0 ... 3:
		vcpu->db[array_index_nospec(dr, 4)] = val;
		break;
	case 4:
	case 6:
		vcpu->dr6 = dr6_value(vcpu, val);
		return 0;
	default:
		vcpu->dr7 = dr7_value(vcpu, val);
		break;
	}
	kvm_update_dr7(vcpu);
	return 0;
}

/**
 * kvm_update_dr7 - choose the breakpoints that the hardware has while the guest runs
 * @vcpu: the vcpu, loaded
 *
 * Under KVM_GUESTDBG_USE_HW_BP they are the VMM's, and the guest's own debug
 * registers only hold what it wrote.
 */
void kvm_update_dr7(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)) {
		kvm_ops.set_dr7(vcpu, vcpu->guest_debug_dr7);
		return;
	}
	memcpy(vcpu->eff_db, vcpu->db, sizeof(vcpu->eff_db));
	kvm_ops.set_dr7(vcpu, vcpu->dr7);
}
EXPORT_SYMBOL_GPL(kvm_update_dr7);

/**
 * kvm_handle_mov_dr - the exit of MOV to or from a debug register
 * @vcpu: the vcpu, loaded
 * @dr: 0 to 7; 4 and 5 are 6 and 7 unless CR4.DE is set
 * @reg: the general register's number
 * @to_dr: the direction
 *
 * Return: as exit handlers do.
 */
int kvm_handle_mov_dr(struct kvm_vcpu *vcpu, int dr, int reg, bool to_dr)
{
	/* Outside 64-bit code only the lower halves of registers take part. */
	unsigned long mask = is_64bit_code(vcpu) ? ~0UL : U32_MAX;

	vcpu->stat.dr_exits++;
	if ((dr == 4 || dr == 5) && (kvm_read_cr4(vcpu) & X86_CR4_DE))
		return kvm_handle_ud(vcpu);
	if (kvm_ops.get_cpl(vcpu)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	if (vcpu->dr7 & DR7_GD) {
		kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR6_BD);
		return 1;
	}
	if (!to_dr) {
		kvm_reg_write(vcpu, reg, kvm_get_dr(vcpu, dr) & mask);
	} else if (kvm_set_dr(vcpu, dr, kvm_reg_read(vcpu, reg) & mask)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_dr);

/*
 * ---- KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_SET_GUEST_DEBUG ----
 */

/** kvm_vcpu_get_debugregs - KVM_GET_DEBUGREGS: the guest's, not the VMM's; returns 0 */
long kvm_vcpu_get_debugregs(struct kvm_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	int i;

	memset(dbg, 0, sizeof(*dbg));
	for (i = 0; i < ARRAY_SIZE(dbg->db); i++)
		dbg->db[i] = vcpu->db[i];
	dbg->dr6 = vcpu->dr6;
	dbg->dr7 = vcpu->dr7;
	return 0;
}

/** kvm_vcpu_set_debugregs - KVM_SET_DEBUGREGS: 0, or -EINVAL with nothing changed */
long kvm_vcpu_set_debugregs(struct kvm_vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	int i;

	if (dbg->flags || memchr_inv(dbg->reserved, 0, sizeof(dbg->reserved)))
		return -EINVAL;
	if (dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(dbg->db); i++)
		vcpu->db[i] = dbg->db[i];
	vcpu->dr6 = dr6_value(vcpu, dbg->dr6);
	vcpu->dr7 = dr7_value(vcpu, dbg->dr7);
	kvm_update_dr7(vcpu);
	return 0;
}

/* DR7.GD would catch the guest's own MOV DR, so it is left out. */
static void set_debugger_breakpoints(struct kvm_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vcpu->eff_db); i++)
		vcpu->eff_db[i] = dbg->arch.debugreg[i];
	vcpu->guest_debug_dr7 = (dbg->arch.debugreg[7] & DR7_WRITABLE & ~DR7_GD) | DR7_ALWAYS_1;
}

/**
 * kvm_vcpu_set_guest_debug - KVM_SET_GUEST_DEBUG
 * @vcpu: the vcpu, loaded
 * @dbg: the settings; padding, and registers that no flag requests, are ignored, as
 *	 QEMU leaves them uninitialised
 *
 * Return: 0, -EINVAL for an unknown flag, -EBUSY if an exception is pending already.
 */
long kvm_vcpu_set_guest_debug(struct kvm_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	unsigned long rflags;

	if (dbg->control & ~KVM_GUESTDBG_FLAGS)
		return -EINVAL;
	if ((dbg->control & KVM_GUESTDBG_USE_HW_BP) && dbg->arch.debugreg[7] >> 32)
		return -EINVAL;
	if ((dbg->control & KVM_GUESTDBG_INJECT) && vcpu->events.exception.pending)
		return -EBUSY;
	if (dbg->control & KVM_GUESTDBG_INJECT_DB)
		kvm_queue_exception(vcpu, X86_TRAP_DB);
	else if (dbg->control & KVM_GUESTDBG_INJECT_BP)
		kvm_queue_exception(vcpu, X86_TRAP_BP);

	/* Read under the old settings of single-stepping, written under the new. */
	rflags = kvm_get_rflags(vcpu);
	vcpu->guest_debug = dbg->control & KVM_GUESTDBG_ENABLE ? dbg->control & ~KVM_GUESTDBG_INJECT : 0;
	if (vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP)
		set_debugger_breakpoints(vcpu, dbg);
	kvm_update_dr7(vcpu);
	kvm_set_rflags(vcpu, rflags);
	kvm_ops.update_intercepts(vcpu);
	return 0;
}
