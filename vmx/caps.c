// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the processors' VMX can, the controls that follow from it, and VMX
 * going on and off on each of them.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "vmx.h"
#include "compat/virt.h"

#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/smp.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/reboot.h>
#include <asm/spec-ctrl.h>
#include <asm/tlbflush.h>

#define VMX_PARAM(name, var, does)				\
	bool var = true;					\
	module_param_named(name, var, bool, 0444);		\
	MODULE_PARM_DESC(name, does)

VMX_PARAM(ept, vmx_ept, "use nested paging (EPT) where the processor has it");
VMX_PARAM(unrestricted_guest, vmx_unrestricted,
	  "run real mode natively where the processor can; needs ept");
VMX_PARAM(vpid, vmx_vpid,
	  "keep translations over exits by tags (VPID) where the processor has them");
VMX_PARAM(eptad, vmx_eptad,
	  "use accessed and dirty bits in EPT entries where the processor has them");
VMX_PARAM(vnmi, vmx_vnmi, "let the processor hold back NMIs until a handler's IRET where it can");
VMX_PARAM(pml, vmx_pml, "let the processor log writes (PML) where it can; needs eptad");
VMX_PARAM(enable_apicv, vmx_apicv,
	  "let the processor know the guest's APIC where it can; needs ept");

/* The processor takes and ends the APIC's interrupts itself; follows from the others. */
bool vmx_vid __ro_after_init;

struct vmx_controls vmx_ctl __ro_after_init;
struct vmx_caps vmx_caps __ro_after_init;

DEFINE_PER_CPU(struct vmx_cpu, vmx_cpus);

static bool same_as_first(void);

/*
 * ---- each CPU ----
 */

/*
 * VMX is about to go off on this crashing or rebooting CPU
 *
 * In NMI context maybe.  What VMCSs the CPU has in its caches goes to memory
 * now, not when that belongs to another kernel.
 */
static void vmx_emergency_disable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	struct vcpu_vmx *vmx;

	list_for_each_entry_rcu(vmx, &vc->loaded, loaded, true)
		vmclear(page_pa(vmx->vmcs));
}

/* SDM 3C "Enabling and Entering VMX Operation"; firmware that left it open lets us. */
static int enable_feature_control(void)
{
	u64 ctl, want = FEAT_CTL_LOCKED | FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX;

	if (rdmsrq_safe(MSR_IA32_FEAT_CTL, &ctl))
		return -EOPNOTSUPP;
	if (ctl & FEAT_CTL_LOCKED)
		return ctl & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX ? 0 : -EOPNOTSUPP;
	return wrmsrq_safe(MSR_IA32_FEAT_CTL, ctl | want) ? -EOPNOTSUPP : 0;
}

/** vmx_hardware_enable - VMX on, on this CPU: 0, or -EBUSY, -EOPNOTSUPP with nothing left on */
int vmx_hardware_enable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);
	int i, r;

	if (enable_feature_control()) {
		pr_err_ratelimited("CPU %d: VMX is switched off by the firmware\n",
				   smp_processor_id());
		return -EOPNOTSUPP;
	}
	if (!same_as_first()) {
		pr_err_ratelimited("CPU %d: its VMX differs from the others'\n", smp_processor_id());
		return -EOPNOTSUPP;
	}
	r = kvm_virt_get(X86_FEATURE_VMX);
	if (r) {
		pr_err_ratelimited("CPU %d: %s\n", smp_processor_id(), r == -EBUSY ?
				   "VMX is in use by another hypervisor" : "VMXON failed");
		return -EBUSY;
	}
	vc->current_vmcs = NULL;
	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		rdmsrq(MSR_STAR + i, vc->syscall_msrs[i]);
	if (vmx_caps.tsx_ctrl)
		rdmsrq(MSR_IA32_TSX_CTRL, vc->tsx_ctrl);
	/* Translations tagged before VMX went off are stale. */
	if (vmx_caps.ept_vpid & VMX_EPT_EXTENT_GLOBAL_BIT)
		invept(VMX_EPT_EXTENT_GLOBAL, 0, 0);
	return 0;
}

/** vmx_hardware_disable - VMX off, on this CPU; VMCSs that it has go to memory */
void vmx_hardware_disable(void)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);

	while (!list_empty(&vc->loaded))
		vmx_unload_vmcs(list_first_entry(&vc->loaded, struct vcpu_vmx, loaded));
	kvm_virt_put(X86_FEATURE_VMX);
}

/** vmx_free_cpus - undo vmx_init_cpus() */
void vmx_free_cpus(void)
{
	kvm_virt_exit(vmx_emergency_disable);
}

/** vmx_init_cpus - what each CPU needs to switch VMX on */
int __init vmx_init_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu)
		INIT_LIST_HEAD(&per_cpu_ptr(&vmx_cpus, cpu)->loaded);
	return kvm_virt_init(vmx_emergency_disable);
}

/*
 * ---- what the processors have ----
 */

/*
 * SDM 3D "VMX Capability Reporting Facility": the lower half of each MSR says
 * which bits must be 1, the upper which may be.  False: a must is not to be
 * had, or what must not be is forced.
 */
static bool reconcile(u32 msr, u32 required, u32 wanted, u32 forbidden, u32 *ctl)
{
	u32 must, may;

	rdmsr(msr, must, may);
	*ctl = ((required | wanted) & may) | must;
	return !(required & ~*ctl) && !(forbidden & *ctl);
}

#define PIN_REQUIRED	(PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING)
#define PIN_WANTED	PIN_BASED_VIRTUAL_NMIS

/*
 * Left off on purpose: RDTSC (offset in the VMCS), I/O bitmaps (no port is the
 * guest's), interrupt and NMI windows (on while something waits).  TPR shadow
 * takes the place of CR8 exits in guests whose APIC is ours.
 */
#define CPU_REQUIRED							\
	(CPU_BASED_HLT_EXITING | CPU_BASED_CR8_LOAD_EXITING |		\
	 CPU_BASED_CR8_STORE_EXITING | CPU_BASED_UNCOND_IO_EXITING |	\
	 CPU_BASED_MOV_DR_EXITING | CPU_BASED_USE_TSC_OFFSETTING |	\
	 CPU_BASED_MWAIT_EXITING | CPU_BASED_MONITOR_EXITING |		\
	 CPU_BASED_RDPMC_EXITING | CPU_BASED_INVLPG_EXITING |		\
	 CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING)
#define CPU_WANTED							\
	(CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_TPR_SHADOW |		\
	 CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
/* With EPT translations are the guest's own affair. */
#define CPU_NOT_WITH_EPT						\
	(CPU_BASED_INVLPG_EXITING | CPU_BASED_CR3_LOAD_EXITING | CPU_BASED_CR3_STORE_EXITING)

#define CPU2_WANTED							\
	(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_UNRESTRICTED_GUEST | \
	 SECONDARY_EXEC_ENABLE_VPID | SECONDARY_EXEC_WBINVD_EXITING |	\
	 SECONDARY_EXEC_ENABLE_RDTSCP | SECONDARY_EXEC_ENABLE_INVPCID |	\
	 SECONDARY_EXEC_ENABLE_XSAVES | SECONDARY_EXEC_PAUSE_LOOP_EXITING | \
	 SECONDARY_EXEC_ENABLE_PML | SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES | VMX_VID_CTLS | \
	 SECONDARY_EXEC_ENCLS_EXITING | SECONDARY_EXEC_ENCLV_EXITING |	\
	 SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE | SECONDARY_EXEC_BUS_LOCK_DETECTION | \
	 SECONDARY_EXEC_NOTIFY_VM_EXITING)

#define EXIT_REQUIRED	(VM_EXIT_SAVE_DEBUG_CONTROLS | VM_EXIT_HOST_ADDR_SPACE_SIZE)
#define ENTRY_REQUIRED	VM_ENTRY_LOAD_DEBUG_CONTROLS

/*
 * All controls, by what is needed and what the processor has.  PAT is switched only where
 * the guest's matters (vmx_update_intercepts()): else EPT entries say "ignore PAT".  Shadow
 * entries select the first of the host's types.
 */
static bool find_controls(struct vmx_controls *c)
{
	u64 basic;
	u32 t;

	rdmsrq(MSR_IA32_VMX_BASIC, basic);
	/* The "true" MSRs say which of the bits that must once be 1 need not. */
	t = basic & VMX_BASIC_TRUE_CTLS ?
		MSR_IA32_VMX_TRUE_PINBASED_CTLS - MSR_IA32_VMX_PINBASED_CTLS : 0;
	memset(c, 0, sizeof(*c));
	if (!reconcile(MSR_IA32_VMX_PINBASED_CTLS + t, PIN_REQUIRED, PIN_WANTED, 0, &c->pin) ||
	    !reconcile(MSR_IA32_VMX_PROCBASED_CTLS + t, CPU_REQUIRED, CPU_WANTED, 0, &c->cpu) ||
	    !reconcile(MSR_IA32_VMX_EXIT_CTLS + t, EXIT_REQUIRED, VM_EXIT_LOAD_IA32_EFER,
		       VM_EXIT_ACK_INTR_ON_EXIT, &c->exit) ||
	    !reconcile(MSR_IA32_VMX_ENTRY_CTLS + t, ENTRY_REQUIRED, VM_ENTRY_LOAD_IA32_EFER,
		       VM_ENTRY_SMM, &c->entry))
		return false;
	if (!(c->cpu & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS))
		return true;
	return reconcile(MSR_IA32_VMX_PROCBASED_CTLS2, 0, CPU2_WANTED, 0, &c->cpu2);
}

/* What must be alike on all CPUs, those that come later too. */
struct vmx_hw {
	u64 basic, misc, ept_vpid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	struct vmx_controls ctl;
};

static struct vmx_hw first __ro_after_init;

static bool read_hw(struct vmx_hw *hw)
{
	bool enough;

	memset(hw, 0, sizeof(*hw));
	enough = find_controls(&hw->ctl);
	rdmsrq(MSR_IA32_VMX_BASIC, hw->basic);
	rdmsrq(MSR_IA32_VMX_MISC, hw->misc);
	if (hw->ctl.cpu2 & (SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID))
		rdmsrq(MSR_IA32_VMX_EPT_VPID_CAP, hw->ept_vpid);
	rdmsrq(MSR_IA32_VMX_CR0_FIXED0, hw->cr0_fixed0);
	rdmsrq(MSR_IA32_VMX_CR0_FIXED1, hw->cr0_fixed1);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED0, hw->cr4_fixed0);
	rdmsrq(MSR_IA32_VMX_CR4_FIXED1, hw->cr4_fixed1);
	return enough;
}

static bool same_as_first(void)
{
	struct vmx_hw hw;

	return read_hw(&hw) && !memcmp(&hw, &first, sizeof(hw));
}

/* Asked on each CPU before anything is set up: 0, or what insmod shall say. */
static void check_this_cpu(void *failed)
{
	int r = 0;

	/* Asked of the processor: the kernel hides what firmware switched off. */
	if (!(cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31)))
		r = -ENODEV;
	else if (kvm_virt_in_use(X86_FEATURE_VMX))
		r = -EBUSY;
	else if (enable_feature_control())
		r = -EOPNOTSUPP;
	else if (!same_as_first())
		r = -ENXIO;
	if (r)
		atomic_cmpxchg((atomic_t *)failed, 0, r);
}

/** vmx_check_processors - VMX on all of them, alike, and free: 0, or what insmod shall say */
int __init vmx_check_processors(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	bool enough = true;
	int r;

	if ((cpuid_ecx(1) & BIT(X86_FEATURE_VMX & 31)) && !enable_feature_control())
		enough = read_hw(&first);
	vmx_ctl = first.ctl;
	on_each_cpu(check_this_cpu, &failed, 1);
	r = atomic_read(&failed);
	if (r == -ENODEV)
		pr_err("this processor has no VMX\n");
	else if (r == -EBUSY)
		pr_err("VMX is in use by another hypervisor\n");
	else if (r == -EOPNOTSUPP)
		pr_err("VMX is switched off by the firmware\n");
	else if (!enough || r == -ENXIO)
		pr_err("%s\n", enough ? "the processors differ in what their VMX can" :
			       "this processor's VMX lacks what a virtual machine needs");
	if (!enough || r == -ENXIO)
		return -EOPNOTSUPP;
	return r;
}

/* EPT, and what rests on it, by what the processor has and the user wants. */
static void __init find_paging(void)
{
	const u64 ept_must = VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_INVEPT_BIT;
	const u64 extents = VMX_EPT_EXTENT_CONTEXT_BIT | VMX_EPT_EXTENT_GLOBAL_BIT;
	const u64 vpid_must = VMX_VPID_INVVPID_BIT | VMX_VPID_EXTENT_SINGLE_CONTEXT_BIT;

	if (!(vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_EPT) ||
	    (vmx_caps.ept_vpid & ept_must) != ept_must || !(vmx_caps.ept_vpid & extents))
		vmx_ept = false;
	if (!vmx_ept || !(vmx_ctl.cpu2 & SECONDARY_EXEC_UNRESTRICTED_GUEST))
		vmx_unrestricted = false;
	if (!(vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_VPID) ||
	    ((vmx_caps.ept_vpid >> 32) & vpid_must) != vpid_must)
		vmx_vpid = false;
	if (!vmx_ept || !(vmx_caps.ept_vpid & VMX_EPT_AD_BIT))
		vmx_eptad = false;

	if (!vmx_eptad || !(vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_PML))
		vmx_pml = false;

	if (vmx_ept)
		vmx_ctl.cpu &= ~CPU_NOT_WITH_EPT;
	else
		vmx_ctl.cpu2 &= ~(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_INVPCID);
	if (!vmx_unrestricted)
		vmx_ctl.cpu2 &= ~SECONDARY_EXEC_UNRESTRICTED_GUEST;
	if (!vmx_vpid)
		vmx_ctl.cpu2 &= ~SECONDARY_EXEC_ENABLE_VPID;
	if (!vmx_pml)
		vmx_ctl.cpu2 &= ~SECONDARY_EXEC_ENABLE_PML;
}

/*
 * The APIC, by what the processor has and the user wants.  Under shadow paging the
 * APIC-access page would have no reverse map by which to zap its entries.
 */
static void __init find_apic(void)
{
	if (!vmx_ept || !(vmx_ctl.cpu & CPU_BASED_TPR_SHADOW) ||
	    !(vmx_ctl.cpu2 & SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES))
		vmx_apicv = false;
	/* Without unrestricted guests software delivers real mode's events. */
	vmx_vid = vmx_apicv && vmx_unrestricted && (vmx_ctl.cpu2 & VMX_VID_CTLS) == VMX_VID_CTLS;
	if (!vmx_apicv)
		vmx_ctl.cpu2 &= ~SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES;
	if (!vmx_vid)
		vmx_ctl.cpu2 &= ~VMX_VID_CTLS;
}

static u32 __init may_be_on(u32 msr)
{
	u64 ctl;

	rdmsrq(msr, ctl);
	return ctl >> 32;
}

/** vmx_find_features - fill vmx_caps, and take from vmx_ctl what the user does not want */
void __init vmx_find_features(void)
{
	vmx_caps.revision = vmx_basic_vmcs_revision_id(first.basic);
	vmx_caps.ept_vpid = first.ept_vpid;
	vmx_caps.cr0_fixed0 = first.cr0_fixed0;
	vmx_caps.cr0_fixed1 = first.cr0_fixed1;
	vmx_caps.cr4_fixed0 = first.cr4_fixed0;
	vmx_caps.cr4_fixed1 = first.cr4_fixed1;
	rdmsrq(MSR_EFER, vmx_caps.host_efer);
	vmx_caps.entry_may = may_be_on(MSR_IA32_VMX_ENTRY_CTLS);
	vmx_caps.exit_may = may_be_on(MSR_IA32_VMX_EXIT_CTLS);
	vmx_caps.pat_fields = (vmx_caps.entry_may & VM_ENTRY_LOAD_IA32_PAT) &&
			      (vmx_caps.exit_may & VM_EXIT_LOAD_IA32_PAT);
	rdmsrq(MSR_IA32_CR_PAT, vmx_caps.host_pat);
	vmx_caps.tsx_ctrl = boot_cpu_has(X86_FEATURE_RTM) && boot_cpu_has(X86_FEATURE_MSR_TSX_CTRL);
	if (!vmx_vnmi || !(vmx_ctl.pin & PIN_BASED_VIRTUAL_NMIS))
		vmx_vnmi = false;
	if (!vmx_vnmi)
		vmx_ctl.pin &= ~PIN_BASED_VIRTUAL_NMIS;
	if (!vmx_ple_gap())
		vmx_ctl.cpu2 &= ~SECONDARY_EXEC_PAUSE_LOOP_EXITING;
	find_paging();
	find_apic();
}
