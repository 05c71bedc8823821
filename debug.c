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

/** kvm_set_dr - MOV to a debug register; 4 and 5 are 6 and 7.  Returns 0, or 1 with nothing
 * changed for a bit of the upper half of DR6 or DR7: the guest gets #GP.
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

/** kvm_update_dr7 - choose the breakpoints that the hardware has while the guest runs.  Under
 * KVM_GUESTDBG_USE_HW_BP they are the VMM's, and the guest's own only hold what it wrote.
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

/** kvm_handle_mov_dr - MOV to or from @dr; 4 and 5 are 6 and 7 unless CR4.DE is set */
int kvm_handle_mov_dr(struct kvm_vcpu *vcpu, int dr, int reg, bool to_dr)
{
	/* Outside 64-bit code only the lower halves of registers take part. */
	unsigned long mask = is_64bit_code(vcpu) ? ~0UL : U32_MAX;

	vcpu->stat.dr_exits++;
	if ((dr == 4 || dr == 5) && (kvm_read_cr4(vcpu) & X86_CR4_DE))
		return kvm_handle_ud(vcpu);
	if (kvm_ops.get_cpl(vcpu))
		return kvm_handle_gp(vcpu);
	if (vcpu->dr7 & DR7_GD) {
		kvm_queue_exception_p(vcpu, X86_TRAP_DB, DR6_BD);
		return 1;
	}
	if (!to_dr)
		kvm_reg_write(vcpu, reg, kvm_get_dr(vcpu, dr) & mask);
	else if (kvm_set_dr(vcpu, dr, kvm_reg_read(vcpu, reg) & mask))
		return kvm_handle_gp(vcpu);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_dr);

/*
 * ---- KVM_GET_DEBUGREGS, KVM_SET_DEBUGREGS, KVM_SET_GUEST_DEBUG ----
 */

/** kvm_vcpu_get_debugregs - KVM_GET_DEBUGREGS: the guest's, not the VMM's; returns 0 */
long kvm_vcpu_get_debugregs(struct kvm_vcpu *vcpu, struct kvm_debugregs *dbg)
{
	memset(dbg, 0, sizeof(*dbg));
	memcpy(dbg->db, vcpu->db, sizeof(dbg->db));
	dbg->dr6 = vcpu->dr6;
	dbg->dr7 = vcpu->dr7;
	return 0;
}

/** kvm_vcpu_set_debugregs - KVM_SET_DEBUGREGS: 0, or -EINVAL with nothing changed */
long kvm_vcpu_set_debugregs(struct kvm_vcpu *vcpu, const struct kvm_debugregs *dbg)
{
	if (dbg->flags || memchr_inv(dbg->reserved, 0, sizeof(dbg->reserved)))
		return -EINVAL;
	if (dbg->dr6 >> 32 || dbg->dr7 >> 32)
		return -EINVAL;
	memcpy(vcpu->db, dbg->db, sizeof(dbg->db));
	vcpu->dr6 = dr6_value(vcpu, dbg->dr6);
	vcpu->dr7 = dr7_value(vcpu, dbg->dr7);
	kvm_update_dr7(vcpu);
	return 0;
}

/* DR7.GD would catch the guest's own MOV DR, so it is left out. */
static void set_debugger_breakpoints(struct kvm_vcpu *vcpu, const struct kvm_guest_debug *dbg)
{
	memcpy(vcpu->eff_db, dbg->arch.debugreg, sizeof(vcpu->eff_db));
	vcpu->guest_debug_dr7 = (dbg->arch.debugreg[7] & DR7_WRITABLE & ~DR7_GD) | DR7_ALWAYS_1;
}

/** kvm_vcpu_set_guest_debug - KVM_SET_GUEST_DEBUG: 0, -EINVAL for an unknown flag, -EBUSY if an
 * exception is pending already.  Padding, and registers that no flag requests, are ignored, as
 * QEMU leaves them uninitialised.
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

/** kvm_debug_exit - KVM_EXIT_DEBUG: a #DB or #BP that the VMM's debugger asked for
 * @dr6: what the debugger finds in DR6
 */
int kvm_debug_exit(struct kvm_vcpu *vcpu, u8 vector, unsigned long dr6)
{
	struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
	struct kvm_segment cs;

	kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
	vcpu->run->exit_reason = KVM_EXIT_DEBUG;
	arch->exception = vector;
	arch->pad = 0;
	arch->pc = cs.base + kvm_rip_read(vcpu);
	arch->dr6 = dr6 | DR6_RESERVED;
	arch->dr7 = vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP ? vcpu->guest_debug_dr7 : vcpu->dr7;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_debug_exit);
