// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit handlers that need nothing of the vendor's.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_pv.h"
#include "trace.h"

#include <linux/module.h>
#include <linux/sched/signal.h>

/* A write that comes back within so many exits of its vcpu has gained nothing. */
#define RETRY_EXITS	9

/*
 * ---- page faults ----
 */

/* With an asynchronous page fault the guest goes on with another task meanwhile. */
static int resolve_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	int r;

	fault->nowait = vcpu->apf;
	r = kvm_mmu_page_fault(vcpu, fault);
	if (likely(r != PF_WAIT))
		return r;
	if (kvm_async_pf_start(vcpu, fault->gfn, fault->hva, fault->error_code & PFERR_WRITE_MASK))
		return PF_RETRY;
	fault->nowait = false;
	return kvm_mmu_page_fault(vcpu, fault);
}

/* Nested paging tells the gpa of the access, unless it was one to a page table. */
static int emulation_type(const struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	return vcpu->mmu.direct && (fault->error_code & PFERR_GUEST_FINAL_MASK) ? EMULTYPE_GPA : 0;
}

/*
 * The guest writes to one of its page tables, and the shadow must follow.  A
 * REP fills or copies a page: no table any more, or not yet.  That, and what the
 * emulator lacks, is done by the guest itself, once nothing shadows the page.
 * If the same write comes back with nothing gained, the write's own translation
 * goes through the page: then it is emulated, or the VMM hears of it.
 */
static int emulate_table_write(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	bool again = vcpu->unprotected.gfn == fault->gfn &&
		     vcpu->unprotected.rip == kvm_rip_read(vcpu) &&
		     vcpu->stat.exits < vcpu->unprotected.exits;
	int r = -EOPNOTSUPP;

	if (again || !kvm_insn_repeats(vcpu, fault->insn, fault->insn_len))
		r = kvm_emulate_insn(vcpu, fault->addr, again ? 0 : EMULTYPE_NO_ERROR,
				     fault->insn, fault->insn_len);
	if (r != -EOPNOTSUPP)
		return r;
	vcpu->unprotected.gfn = fault->gfn;
	vcpu->unprotected.rip = kvm_rip_read(vcpu);
	vcpu->unprotected.exits = vcpu->stat.exits + RETRY_EXITS;
	kvm_mmu_unprotect_gfn(vcpu->kvm, fault->gfn);
	return 1;
}

/**
 * kvm_handle_page_fault - a fault that the vendor intercepted
 * @vcpu: the vcpu, loaded
 * @fault: its address and error code
 *
 * Return: as exit handlers do.
 */
int kvm_handle_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	int r;

	trace_kvm_page_fault(vcpu, fault->addr, fault->error_code);
	r = resolve_fault(vcpu, fault);
	switch (r) {
	case PF_RETRY:
	case PF_FIXED:
		return 1;
	case PF_EMULATE:
		return kvm_emulate_insn(vcpu, fault->addr, emulation_type(vcpu, fault),
					fault->insn, fault->insn_len);
	case PF_WRITE_TRACKED:
		return emulate_table_write(vcpu, fault);
	case PF_EXCEPTION:
		kvm_inject_page_fault(vcpu, &fault->ex);
		return 1;
	case PF_INTR:
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	case PF_HWPOISON:
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)fault->hva, PAGE_SHIFT, current);
		return 1;
	default:
		return r;
	}
}
EXPORT_SYMBOL_GPL(kvm_handle_page_fault);

/**
 * kvm_handle_mmio_fault - an access to what was no memory when it was last looked at
 * @vcpu: the vcpu, loaded
 * @gpa: the address
 *
 * The vendor knows by ops->nested_mmio_entry, or by its APIC-access page.
 *
 * Return: as exit handlers do.
 */
int kvm_handle_mmio_fault(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	if (likely(!kvm_vcpu_gfn_to_slot(vcpu, kvm_unalias_gfn(vcpu->kvm, gpa_to_gfn(gpa)))))
		return kvm_emulate_insn(vcpu, gpa, 0, NULL, 0);
	kvm_mmu_clear_mmio(vcpu, gpa);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_mmio_fault);
