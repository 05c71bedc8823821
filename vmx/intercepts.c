// SPDX-License-Identifier: GPL-2.0-only
/*
 * What of a guest exits, as far as it changes: exceptions, CR4, MSRs, and what
 * depends on the VMM's wishes and the guest's CPUID.  The rest is in caps.c.
 */
#include "kvm_cpuid.h"
#include "kvm_emulate.h"
#include "kvm_msr.h"
#include "vmx.h"

#include <asm/apicdef.h>
#include <asm/cpufeature.h>

/* CR4 bits that may be the guest's own: they have no meaning but for the guest. */
#define CR4_MAY_OWN	(X86_CR4_TSD | X86_CR4_DE | X86_CR4_PCE | X86_CR4_OSFXSR | \
			 X86_CR4_OSXMMEXCPT)

#define X2APIC_MSR(offset)	(APIC_BASE_MSR + ((offset) >> 4))

/*
 * MSR bitmaps, one for all vcpus (SDM 3C "MSR-Bitmap Address"): the guest's are
 * those that the VMCS switches, and speculation control and what the processor
 * does of an x2APIC by itself, or not; none for a VM whose filter denies one.
 */
enum {
	MSR_MAP_SPEC_CTRL = BIT(0), MSR_MAP_X2APIC = BIT(1), MSR_MAP_IBPB = BIT(2),
	MSR_MAP_NONE = BIT(3),
};
static struct page *msr_map[MSR_MAP_NONE + 1];

/* A bit an MSR, reads of two ranges, then writes, 0x2000 MSRs in 1 kB. */
static void __init msr_map_allow_write(struct page *map, u32 msr)
{
	unsigned int offset = msr >= 0xc0000000 ? 0xc00 : 0x800;

	__clear_bit(msr & 0x1fff, page_address(map) + offset);
}

static void __init msr_map_allow(struct page *map, u32 msr)
{
	unsigned int offset = msr >= 0xc0000000 ? 0x400 : 0;

	__clear_bit(msr & 0x1fff, page_address(map) + offset);
	msr_map_allow_write(map, msr);
}

/* Last, if the guest uses it: SPEC_CTRL. */
static const u32 passthrough_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
	MSR_IA32_SPEC_CTRL,
};

static void __init fill_msr_map(struct page *map, int which)
{
	int i;

	memset(page_address(map), 0xff, PAGE_SIZE);
	if (which == MSR_MAP_NONE)
		return;
	for (i = 0; i < ARRAY_SIZE(passthrough_msrs) - !(which & MSR_MAP_SPEC_CTRL); i++)
		msr_map_allow(map, passthrough_msrs[i]);
	/* What it barred is the guest's own; SDM 4: write-only, so that reads are #GP by the exit. */
	if (which & MSR_MAP_IBPB)
		msr_map_allow_write(map, MSR_IA32_PRED_CMD);
	if (!(which & MSR_MAP_X2APIC))
		return;
	msr_map_allow(map, X2APIC_MSR(APIC_TASKPRI));
	msr_map_allow_write(map, X2APIC_MSR(APIC_EOI));
	msr_map_allow_write(map, X2APIC_MSR(APIC_SELF_IPI));
}

/** vmx_free_maps - undo vmx_alloc_maps(), all of it or half */
void vmx_free_maps(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msr_map); i++) {
		if (msr_map[i])
			__free_page(msr_map[i]);
		msr_map[i] = NULL;
	}
}

/** vmx_alloc_maps - the MSR bitmaps: 0, or -ENOMEM */
int __init vmx_alloc_maps(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msr_map); i++) {
		msr_map[i] = alloc_page(GFP_KERNEL);
		if (!msr_map[i])
			return -ENOMEM;
		fill_msr_map(msr_map[i], i);
	}
	return 0;
}

/** vmx_update_cr8_intercept - ops->update_cr8_intercept, by the TPR threshold */
void vmx_update_cr8_intercept(struct kvm_vcpu *vcpu, bool on)
{
	to_vmx(vcpu)->intercept_cr8 = on;
}

/** vmx_set_dr_intercepts - whether MOV DR exits */
void vmx_set_dr_intercepts(struct vcpu_vmx *vmx, bool on)
{
	vmx_set_cpu_ctl(vmx, CPU_BASED_MOV_DR_EXITING, on);
}

static u32 exception_intercepts(struct vcpu_vmx *vmx)
{
	/* A guest whose #DB or #AC handler faults again never leaves the CPU otherwise. */
	u32 bits = BIT(X86_TRAP_DB) | BIT(X86_TRAP_AC) | BIT(X86_TRAP_MC);

	/* Virtual-8086 mode stands for real mode, whose handlers are elsewhere. */
	if (vmx->real.vm86)
		return ~0U;
	if (!vmx_ept)
		bits |= BIT(X86_TRAP_PF);
	if (vmx->vcpu.guest_fpu.fpstate->xfd)
		bits |= BIT(X86_TRAP_NM);
	if (vmx->vcpu.guest_debug & KVM_GUESTDBG_USE_SW_BP)
		bits |= BIT(X86_TRAP_BP);
	if (kvm_fixes_hypercalls(vmx->vcpu.kvm))
		bits |= BIT(X86_TRAP_UD);
	if (kvm_vmware_backdoor)
		bits |= BIT(X86_TRAP_GP);
	return bits;
}

static void update_exception_intercepts(struct vcpu_vmx *vmx)
{
	u32 bits = exception_intercepts(vmx);

	if (vmx->exception_bitmap != bits) {
		vmx->exception_bitmap = bits;
		vmcs_write32(EXCEPTION_BITMAP, bits);
	}
}

/* Only bits that the guest's CPUID has, so that the others exit, to be #GP. */
static void update_cr4_owned(struct vcpu_vmx *vmx)
{
	unsigned long owned = CR4_MAY_OWN;

	if (vmx_ept)
		owned |= X86_CR4_PGE;
	owned &= ~vmx->vcpu.cr4_guest_rsvd & ~vmx_caps.cr4_fixed0;
	/* The bits that it owned so far are only in the VMCS. */
	kvm_read_cr4(&vmx->vcpu);
	vmx->cr4_owned = owned;
	vmcs_write(CR4_GUEST_HOST_MASK, ~owned);
	vmcs_write(CR4_READ_SHADOW, vmx->vcpu.cr4);
}

static void update_msr_map(struct vcpu_vmx *vmx)
{
	const bool spec_ctrl = vmx->vcpu.spec_ctrl.passthrough;
	int which = spec_ctrl ? MSR_MAP_SPEC_CTRL : 0;

	if (!(vmx->cpu_ctl & CPU_BASED_USE_MSR_BITMAPS))
		return;
	if (vmx->cpu2_ctl & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
		which |= MSR_MAP_X2APIC;
	if (kvm_guest_has_ibpb(&vmx->vcpu))
		which |= MSR_MAP_IBPB;
	if (!kvm_msr_passthrough(&vmx->vcpu, passthrough_msrs,
				 ARRAY_SIZE(passthrough_msrs) - !spec_ctrl))
		which = MSR_MAP_NONE;
	vmcs_write64(MSR_BITMAP, page_pa(msr_map[which]));
}

/* The guest's PAT is the processor's where EPT entries do not say "ignore PAT". */
static void update_pat(struct vcpu_vmx *vmx)
{
	bool on = vmx_ept && vmx_caps.pat_fields && kvm_guest_caching_matters(vmx->vcpu.kvm);

	if (on) {
		vmcs_write64(GUEST_IA32_PAT, vmx->vcpu.msr.pat);
		vmcs_write64(HOST_IA32_PAT, vmx_caps.host_pat);
	}
	vmx_set_ctl(&vmx->entry_ctl, VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_IA32_PAT, on);
	vmx_set_ctl(&vmx->exit_ctl, VM_EXIT_CONTROLS, VM_EXIT_LOAD_IA32_PAT, on);
}

/** vmx_update_intercepts - ops->update_intercepts */
void vmx_update_intercepts(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	update_pat(vmx);
	update_exception_intercepts(vmx);
	update_cr4_owned(vmx);
	vmx_set_dr_intercepts(vmx, !vcpu->dr_in_guest);

	/* What the VMM may leave to the guest: KVM_CAP_X86_DISABLE_EXITS. */
	vmx_set_cpu_ctl(vmx, CPU_BASED_HLT_EXITING,
			!kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT));
	vmx_set_cpu_ctl(vmx, CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING,
			!kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_MWAIT));
	vmx_set_cpu2_ctl(vmx, vmx_ctl.cpu2 & SECONDARY_EXEC_PAUSE_LOOP_EXITING,
			 !kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_PAUSE));

	/* Instructions that the CPU has and the guest has not. */
	vmx_set_cpu2_ctl(vmx, vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_RDTSCP,
			 kvm_guest_has(vcpu, X86_FEATURE_RDTSCP) ||
			 kvm_guest_has(vcpu, X86_FEATURE_RDPID));
	vmx_set_cpu2_ctl(vmx, vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_INVPCID,
			 kvm_guest_has(vcpu, X86_FEATURE_INVPCID));
	vmx_set_cpu2_ctl(vmx, vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE,
			 kvm_guest_has(vcpu, X86_FEATURE_WAITPKG));
	vmx_set_cpu2_ctl(vmx, vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_XSAVES,
			 kvm_guest_has(vcpu, X86_FEATURE_XSAVES));
	vmx_apic_update(vmx);
	update_msr_map(vmx);
}
