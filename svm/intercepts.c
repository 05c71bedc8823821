// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a guest exits: the intercepts of the VMCB, and the permission maps.
 */
#include "kvm_cpuid.h"
#include "kvm_emulate.h"
#include "kvm_msr.h"
#include "quirks.h"
#include "svm.h"

#include <linux/mm.h>
#include <asm/cpufeature.h>

/*
 * Permission maps, one for all vcpus (APM 2 "I/O Permissions Map", "MSR
 * Intercepts"): no port is the guest's; of the MSRs those that VMLOAD and
 * VMSAVE switch, and by the map's number also speculation control and the barrier of
 * branch predictions; none for a VM whose filter denies one of them.
 */
#define IOPM_ORDER	2
#define MSRPM_ORDER	1
static struct page *iopm;
enum { MSRPM_SPEC_CTRL = BIT(0), MSRPM_IBPB = BIT(1), MSRPM_NONE = BIT(2) };
static struct page *msrpm[MSRPM_NONE + 1];

/* Two bits an MSR, 0x2000 MSRs in 2 kB. */
#define MSRPM_READ	1
#define MSRPM_WRITE	2

static void __init msrpm_allow(struct page *map, u32 msr, u8 bits)
{
	static const struct { u32 base, offset; } ranges[] = {
		{ 0x00000000, 0 }, { 0xc0000000, 0x800 }, { 0xc0010000, 0x1000 },
	};
	u8 *bytes = page_address(map);
	int i;

	for (i = 0; i < ARRAY_SIZE(ranges); i++) {
		u32 index = msr - ranges[i].base;

		if (index >= 0x2000)
			continue;
		bytes[ranges[i].offset + index / 4] &= ~(bits << (index % 4 * 2));
		return;
	}
}

/* Last, with the second map only: SPEC_CTRL. */
static const u32 passthrough_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_STAR, MSR_LSTAR, MSR_CSTAR, MSR_SYSCALL_MASK,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_IA32_SPEC_CTRL,
};

static void __init fill_msrpm(struct page *map, int which)
{
	int i;

	memset(page_address(map), 0xff, PAGE_SIZE << MSRPM_ORDER);
	if (which == MSRPM_NONE)
		return;
	for (i = 0; i < ARRAY_SIZE(passthrough_msrs) - !(which & MSRPM_SPEC_CTRL); i++)
		msrpm_allow(map, passthrough_msrs[i], MSRPM_READ | MSRPM_WRITE);
	/* What it barred is the guest's own; reads are #GP by the exit. */
	if (which & MSRPM_IBPB)
		msrpm_allow(map, MSR_IA32_PRED_CMD, MSRPM_WRITE);
}

/** svm_free_maps - undo svm_alloc_maps(), all of it or half */
void svm_free_maps(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msrpm); i++) {
		if (msrpm[i])
			__free_pages(msrpm[i], MSRPM_ORDER);
		msrpm[i] = NULL;
	}
	if (iopm)
		__free_pages(iopm, IOPM_ORDER);
	iopm = NULL;
}

/** svm_alloc_maps - the permission maps: 0, or -ENOMEM */
int __init svm_alloc_maps(void)
{
	int i;

	iopm = alloc_pages(GFP_KERNEL, IOPM_ORDER);
	if (!iopm)
		return -ENOMEM;
	memset(page_address(iopm), 0xff, PAGE_SIZE << IOPM_ORDER);
	for (i = 0; i < ARRAY_SIZE(msrpm); i++) {
		msrpm[i] = alloc_pages(GFP_KERNEL, MSRPM_ORDER);
		if (!msrpm[i])
			return -ENOMEM;
		fill_msrpm(msrpm[i], i);
	}
	return 0;
}

/*
 * On from the beginning to the end.  Left off on purpose: RDTSC (offset in
 * the VMCB), exceptions not named in update_intercepts(), the descriptor
 * table registers, PUSHF and POPF, software interrupts, FERR_FREEZE (an
 * interrupt ends the freeze), ICEBP.
 */
static const u8 fixed_intercepts[] = {
	/* the host's */
	INTERCEPT_INTR, INTERCEPT_NMI, INTERCEPT_SMI, INTERCEPT_INIT, INTERCEPT_SHUTDOWN,
	/* the guest's machine is not this one */
	INTERCEPT_CPUID, INTERCEPT_IOIO_PROT, INTERCEPT_MSR_PROT, INTERCEPT_RDPMC,
	INTERCEPT_XSETBV,
	/* caches are shared with others */
	INTERCEPT_INVD, INTERCEPT_WBINVD,
	/* control registers whose value here differs, or has consequences */
	INTERCEPT_SELECTIVE_CR0, INTERCEPT_CR4_WRITE,
	/* VMRUN fails without its own intercept; the rest is not offered to guests */
	INTERCEPT_VMRUN, INTERCEPT_VMMCALL, INTERCEPT_VMLOAD, INTERCEPT_VMSAVE,
	INTERCEPT_STGI, INTERCEPT_CLGI, INTERCEPT_SKINIT, INTERCEPT_INVLPGA, INTERCEPT_RSM,
};

/* With shadow paging: what changes or shows translations, or needs the guest's CR3. */
static const u8 shadow_intercepts[] = {
	INTERCEPT_CR3_READ, INTERCEPT_CR3_WRITE, INTERCEPT_INVLPG, INTERCEPT_TASK_SWITCH,
};

/*
 * CR8 is V_TPR while the APIC is ours, but for writes that could let in an
 * interrupt.  Where userspace holds the APIC, V_TPR is not used.
 */
void svm_set_cr8_intercepts(struct vcpu_svm *svm)
{
	bool ours = svm->vcpu.lapic;

	set_intercept(svm, INTERCEPT_CR8_READ, !ours);
	set_intercept(svm, INTERCEPT_CR8_WRITE,
		      !ours || svm->intercept_cr8 ||
		      (svm_quirk_on(SVM_QUIRK_CR8_EXITS) && intercepted(svm, INTERCEPT_VINTR)));
}

/** svm_update_cr8_intercept - ops->update_cr8_intercept */
void svm_update_cr8_intercept(struct kvm_vcpu *vcpu, bool on)
{
	to_svm(vcpu)->intercept_cr8 = on;
	svm_set_cr8_intercepts(to_svm(vcpu));
}

/** svm_set_dr_intercepts - whether MOV DR exits */
void svm_set_dr_intercepts(struct vcpu_svm *svm, bool on)
{
	u32 all = on ? 0x00ff00ff : 0;

	if (svm->vmcb->control.intercepts[INTERCEPT_DR] != all) {
		svm->vmcb->control.intercepts[INTERCEPT_DR] = all;
		mark_dirty(svm, CLEAN_INTERCEPTS);
	}
}

static void update_msrpm(struct vcpu_svm *svm)
{
	const bool spec_ctrl = svm->vcpu.spec_ctrl.passthrough;
	int which = (spec_ctrl ? MSRPM_SPEC_CTRL : 0) |
		    (kvm_guest_has_ibpb(&svm->vcpu) ? MSRPM_IBPB : 0);

	if (!kvm_msr_passthrough(&svm->vcpu, passthrough_msrs,
				 ARRAY_SIZE(passthrough_msrs) - !spec_ctrl))
		which = MSRPM_NONE;
	svm->vmcb->control.msrpm_base_pa = page_pa(msrpm[which]);
	mark_dirty(svm, CLEAN_PERM_MAPS);
}

/** svm_update_intercepts - ops->update_intercepts */
void svm_update_intercepts(struct kvm_vcpu *vcpu)
{
	bool mwait_exits = !kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_MWAIT);
	struct vcpu_svm *svm = to_svm(vcpu);

	/* A guest whose #DB or #AC handler faults again never leaves the CPU otherwise. */
	set_exception_intercept(svm, X86_TRAP_DB, true);
	set_exception_intercept(svm, X86_TRAP_AC, true);
	set_exception_intercept(svm, X86_TRAP_MC, true);
	set_exception_intercept(svm, X86_TRAP_PF, !svm_npt);
	set_exception_intercept(svm, X86_TRAP_GP, kvm_vmware_backdoor);
	set_exception_intercept(svm, X86_TRAP_UD, kvm_fixes_hypercalls(vcpu->kvm));
	set_exception_intercept(svm, X86_TRAP_BP, vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP);
	svm_set_dr_intercepts(svm, !vcpu->dr_in_guest);

	/* What the VMM may leave to the guest: KVM_CAP_X86_DISABLE_EXITS. */
	set_intercept(svm, INTERCEPT_HLT, !kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT));
	set_intercept(svm, INTERCEPT_MONITOR, mwait_exits);
	set_intercept(svm, INTERCEPT_MWAIT, mwait_exits);
	set_intercept(svm, INTERCEPT_PAUSE, boot_cpu_has(X86_FEATURE_PAUSEFILTER) &&
		      !kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_PAUSE));

	/* Instructions that the CPU has and the guest has not. */
	set_intercept(svm, INTERCEPT_RDTSCP, boot_cpu_has(X86_FEATURE_RDTSCP) &&
		      !kvm_guest_has(vcpu, X86_FEATURE_RDTSCP));
	set_intercept(svm, INTERCEPT_RDPRU, boot_cpu_has(X86_FEATURE_RDPRU));
	set_intercept(svm, INTERCEPT_INVPCID, boot_cpu_has(X86_FEATURE_INVPCID) &&
		      (!svm_npt || !kvm_guest_has(vcpu, X86_FEATURE_INVPCID)));
	update_msrpm(svm);
}

/** svm_init_intercepts - what does not change, in a VMCB that is reset */
void svm_init_intercepts(struct vcpu_svm *svm)
{
	int i;

	memset(svm->vmcb->control.intercepts, 0, sizeof(svm->vmcb->control.intercepts));
	for (i = 0; i < ARRAY_SIZE(fixed_intercepts); i++)
		set_intercept(svm, fixed_intercepts[i], true);
	for (i = 0; !svm_npt && i < ARRAY_SIZE(shadow_intercepts); i++)
		set_intercept(svm, shadow_intercepts[i], true);
	svm_set_cr8_intercepts(svm);
	svm->vmcb->control.iopm_base_pa = page_pa(iopm);
	mark_dirty(svm, CLEAN_INTERCEPTS);
}
