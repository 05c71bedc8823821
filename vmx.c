// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VMX: what the processor's manual defines and nothing else.
 *
 * "SDM 3C" is the third part of volume 3 of the Intel 64 and IA-32
 * Architectures Software Developer's Manual; sections are named by their
 * titles.  The VMCS is not memory but asked for field by field: registers that
 * it holds are read when somebody wants them (cache_reg), and then remembered
 * until the next exit.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_io.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_regs.h"
#include "kvm_vcpu.h"
#include "vmx/vmx.h"

#include <linux/io.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/smp.h>
#include <asm/apicdef.h>
#include <asm/cpu_device_id.h>
#include <asm/cpu_entry_area.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/mce.h>
#include <asm/mmu_context.h>
#include <asm/reboot.h>
#include <asm/segment.h>
#include <asm/spec-ctrl.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>

MODULE_AUTHOR("The kvm module's authors");
MODULE_DESCRIPTION("Virtual machines by Intel VMX");
MODULE_LICENSE("GPL");
MODULE_VERSION(KVM_MODULE_VERSION);

static const struct x86_cpu_id vmx_cpu_ids[] = {
	X86_MATCH_FEATURE(X86_FEATURE_VMX, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, vmx_cpu_ids);

static bool dump_invalid_vmcs;
module_param(dump_invalid_vmcs, bool, 0644);
MODULE_PARM_DESC(dump_invalid_vmcs, "log the VMCS when the processor refuses to enter a guest");

static unsigned long lazy_regs __ro_after_init;	/* kvm_reg bits to be read on demand */

/* CR0's TS is the guest's own: kernels with lazy FPU switching change it often. */
#define CR0_OWNED	X86_CR0_TS

/* CR4 bits that may be the guest's own: they have no meaning but for the guest. */
#define CR4_MAY_OWN	(X86_CR4_TSD | X86_CR4_DE | X86_CR4_PCE | X86_CR4_OSFXSR | \
			 X86_CR4_OSXMMEXCPT)

/* Exit qualifications, SDM 3C "Exit Qualification for ..." in "Basic VM-Exit Information". */
#define CR_ACCESS_NUM(q)	((q) & 0xf)
#define CR_ACCESS_TYPE(q)	(((q) >> 4) & 3)
#define CR_ACCESS_GPR(q)	(((q) >> 8) & 0xf)
#define CR_ACCESS_MSW(q)	((u16)((q) >> 16))
enum { CR_MOV_TO, CR_MOV_FROM, CR_CLTS, CR_LMSW };
#define IO_SIZE(q)		(((q) & 7) + 1)
#define IO_IN			BIT(3)
#define IO_STRING		BIT(4)
#define IO_PORT(q)		((u16)((q) >> 16))
#define TASK_SWITCH_SOURCE(q)	(((q) >> 30) & 3)
#define TASK_SWITCH_BY_GATE	3
#define QUAL_NMI_UNBLOCKED	BIT(12)		/* by the IRET that faulted */
#define DB_QUAL_BITS		(DR_TRAP_BITS | BIT(13) | BIT(14))

/* Exits that can come in the midst of delivering an event. */
#define VECTORING_REASONS							\
	(BIT_ULL(EXIT_REASON_EXCEPTION_NMI) | BIT_ULL(EXIT_REASON_TASK_SWITCH) | \
	 BIT_ULL(EXIT_REASON_APIC_ACCESS) | BIT_ULL(EXIT_REASON_EPT_VIOLATION) | \
	 BIT_ULL(EXIT_REASON_EPT_MISCONFIG) | BIT_ULL(EXIT_REASON_PML_FULL))

#define X2APIC_MSR(offset)	(APIC_BASE_MSR + ((offset) >> 4))

#define PML_LAST		(PAGE_SIZE / sizeof(u64) - 1)

#define INTR_STATE_SHADOW	(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

static_assert(offsetof(struct kvm_vmx, kvm) == 0);
static_assert(offsetof(struct vcpu_vmx, vcpu) == 0);
static_assert(offsetof(struct vmx_switch, host_rsp) == SWITCH_HOST_RSP);
static_assert(offsetof(struct vmx_switch, guest_spec_ctrl) == SWITCH_GUEST_SPEC_CTRL);
static_assert(offsetof(struct vmx_switch, host_spec_ctrl) == SWITCH_HOST_SPEC_CTRL);
static_assert(offsetof(struct vmx_switch, read_spec_ctrl) == SWITCH_READ_SPEC_CTRL);
static_assert(offsetof(struct vmx_switch, launched) == SWITCH_LAUNCHED);
static_assert(HOST_RSP == VMCS_HOST_RSP);
static_assert(VCPU_REGS_RAX * 8 == REGS_RAX);
static_assert(VCPU_REGS_RCX * 8 == REGS_RCX);
static_assert(VCPU_REGS_RDX * 8 == REGS_RDX);
static_assert(VCPU_REGS_RBX * 8 == REGS_RBX);
static_assert(VCPU_REGS_RBP * 8 == REGS_RBP);
static_assert(VCPU_REGS_RSI * 8 == REGS_RSI);
static_assert(VCPU_REGS_RDI * 8 == REGS_RDI);
static_assert(VCPU_REGS_R8 * 8 == REGS_R8);
static_assert(VCPU_REGS_R15 * 8 == REGS_R15);

/*
 * MSR bitmaps, one for all vcpus (SDM 3C "MSR-Bitmap Address"): the guest's are
 * those that the VMCS switches, and speculation control and what the processor
 * does of an x2APIC by itself, or not; none for a VM whose filter denies one.
 */
enum { MSR_MAP_SPEC_CTRL = BIT(0), MSR_MAP_X2APIC = BIT(1), MSR_MAP_NONE = BIT(2) };
static struct page *msr_map[MSR_MAP_NONE + 1];

/* VPIDs: 0 is the host's. */
static DECLARE_BITMAP(vpids, VMX_NR_VPIDS);
static DEFINE_SPINLOCK(vpid_lock);

static struct kvm_arch_ops vmx_ops __ro_after_init;

void vmx_vmwrite_failed(unsigned long field, unsigned long value)
{
	pr_err_ratelimited("VMWRITE of %#lx to field %#lx failed, error %u\n", value, field,
			   vmcs_read32(VM_INSTRUCTION_ERROR));
}

void vmx_insn_failed(const char *insn, u64 operand)
{
	pr_err_ratelimited("%s of %#llx failed\n", insn, operand);
}

/* Controls that change while the guest runs: written when they do. */
void vmx_set_cpu_ctl(struct vcpu_vmx *vmx, u32 bits, bool on)
{
	u32 val = on ? vmx->cpu_ctl | bits : vmx->cpu_ctl & ~bits;

	if (vmx->cpu_ctl == val)
		return;
	vmx->cpu_ctl = val;
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, val);
}

void vmx_set_cpu2_ctl(struct vcpu_vmx *vmx, u32 bits, bool on)
{
	u32 val = on ? vmx->cpu2_ctl | bits : vmx->cpu2_ctl & ~bits;

	/* None at all if the processor has no second word. */
	if (vmx->cpu2_ctl == val)
		return;
	vmx->cpu2_ctl = val;
	vmcs_write32(SECONDARY_VM_EXEC_CONTROL, val);
}

static void set_entry_ctl(struct vcpu_vmx *vmx, u32 bits, bool on)
{
	u32 val = on ? vmx->entry_ctl | bits : vmx->entry_ctl & ~bits;

	if (vmx->entry_ctl == val)
		return;
	vmx->entry_ctl = val;
	vmcs_write32(VM_ENTRY_CONTROLS, val);
}

/*
 * ---- module ----
 */

static void __init find_lazy_regs(void)
{
	lazy_regs = BIT(VCPU_REGS_RSP) | BIT(VCPU_REGS_RIP) | BIT(VCPU_EXREG_RFLAGS) |
		    BIT(VCPU_EXREG_CR0) | BIT(VCPU_EXREG_CR4);
	if (vmx_ept)
		lazy_regs |= BIT(VCPU_EXREG_CR3) | BIT(VCPU_EXREG_PDPTR);
}

/* The data of the table that depends on the processor; the core reads it after setup. */
static void __init fill_ops(void)
{
	vmx_ops.nested_paging = vmx_ept;
	vmx_ops.nested_levels = 4;
	vmx_ops.max_nested_page_level = vmx_caps.ept_vpid & VMX_EPT_1GB_PAGE_BIT ? PG_LEVEL_1G :
					vmx_caps.ept_vpid & VMX_EPT_2MB_PAGE_BIT ? PG_LEVEL_2M :
									      PG_LEVEL_4K;
	vmx_ops.nested_pdptrs = true;
	vmx_ops.nested_access_mask = VMX_EPT_EXECUTABLE_MASK;
	/* Memory is write-back whatever the guest's PAT says: the host has it so, too. */
	vmx_ops.nested_leaf_mask = VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT | VMX_EPT_IPAT_BIT;
	vmx_ops.nested_accessed_mask = vmx_eptad ? VMX_EPT_ACCESS_BIT : 0;
	vmx_ops.nested_dirty_mask = vmx_eptad ? VMX_EPT_DIRTY_BIT : 0;
	vmx_ops.nested_dirty_log = vmx_pml;
	/* Writable but not readable: SDM 3C "EPT Misconfigurations". */
	vmx_ops.nested_mmio_entry = VMX_EPT_WRITABLE_MASK;
	vmx_ops.has_nx = boot_cpu_has(X86_FEATURE_NX);
	vmx_ops.umip_emulated = false;
	vmx_ops.cr4_guest_reserved = X86_CR4_VMXE | X86_CR4_SMXE | X86_CR4_CET |
				     (u32)~vmx_caps.cr4_fixed1;
	/* Shadow pages know neither keys, nor five levels, nor process contexts. */
	if (!vmx_ept)
		vmx_ops.cr4_guest_reserved |= X86_CR4_PKE | X86_CR4_LA57 | X86_CR4_PCIDE;
}

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

static const u32 switched_msrs[] = {
	MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_SYSENTER_CS, MSR_IA32_SYSENTER_ESP, MSR_IA32_SYSENTER_EIP,
};

static void __init fill_msr_map(struct page *map, int which)
{
	int i;

	memset(page_address(map), 0xff, PAGE_SIZE);
	if (which == MSR_MAP_NONE)
		return;
	for (i = 0; i < ARRAY_SIZE(switched_msrs); i++)
		msr_map_allow(map, switched_msrs[i]);
	if (which & MSR_MAP_SPEC_CTRL)
		msr_map_allow(map, MSR_IA32_SPEC_CTRL);
	if (!(which & MSR_MAP_X2APIC))
		return;
	msr_map_allow(map, X2APIC_MSR(APIC_TASKPRI));
	msr_map_allow_write(map, X2APIC_MSR(APIC_EOI));
	msr_map_allow_write(map, X2APIC_MSR(APIC_SELF_IPI));
}

static void free_maps(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(msr_map); i++) {
		if (msr_map[i])
			__free_page(msr_map[i]);
		msr_map[i] = NULL;
	}
}

static int __init alloc_maps(void)
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

static int __init vmx_hardware_setup(void)
{
	int r = vmx_check_processors();

	if (r)
		return r;
	vmx_find_features();
	r = alloc_maps();
	if (r)
		goto out_maps;
	r = vmx_alloc_cpus();
	if (r)
		goto out_cpus;
	__set_bit(0, vpids);
	find_lazy_regs();
	fill_ops();
	cpu_emergency_register_virt_callback(vmx_emergency_disable);
	pr_info("nested paging %s, unrestricted guests %s\n", vmx_ept ? "on" : "off",
		vmx_unrestricted ? "on" : "off");
	return 0;

out_cpus:
	vmx_free_cpus();
out_maps:
	free_maps();
	return r;
}

static void vmx_hardware_unsetup(void)
{
	cpu_emergency_unregister_virt_callback(vmx_emergency_disable);
	vmx_free_cpus();
	free_maps();
}

/*
 * ---- intercepts ----
 */

static void vmx_watch_cr8(struct kvm_vcpu *vcpu, bool watch)
{
	to_vmx(vcpu)->watch_cr8 = watch;
}

static void set_dr_intercepts(struct vcpu_vmx *vmx, bool on)
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
	if (vmx->vcpu.guest_debug & KVM_GUESTDBG_USE_SW_BP)
		bits |= BIT(X86_TRAP_BP);
	if (kvm_fixes_hypercalls(vmx->vcpu.kvm))
		bits |= BIT(X86_TRAP_UD);
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

/* Only what the guest's CPUID has, so that the rest is still #GP. */
static void update_cr4_owned(struct vcpu_vmx *vmx)
{
	unsigned long owned = CR4_MAY_OWN;

	if (vmx_ept)
		owned |= X86_CR4_PGE;
	owned &= ~vmx->vcpu.cr4_guest_rsvd & ~vmx_caps.cr4_fixed0;
	/* What it has set so far is known to nobody else. */
	kvm_read_cr4(&vmx->vcpu);
	vmx->cr4_owned = owned;
	vmcs_write(CR4_GUEST_HOST_MASK, ~owned);
	vmcs_write(CR4_READ_SHADOW, vmx->vcpu.cr4);
}

static bool msr_passthrough(struct kvm_vcpu *vcpu, u32 index)
{
	return kvm_msr_allowed(vcpu, index, KVM_MSR_FILTER_READ) &&
	       kvm_msr_allowed(vcpu, index, KVM_MSR_FILTER_WRITE);
}

static void update_msr_map(struct vcpu_vmx *vmx)
{
	int i, which = vmx->spec_ctrl_direct ? MSR_MAP_SPEC_CTRL : 0;

	if (!(vmx->cpu_ctl & CPU_BASED_USE_MSR_BITMAPS))
		return;
	if (vmx->cpu2_ctl & SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)
		which |= MSR_MAP_X2APIC;
	for (i = 0; i < ARRAY_SIZE(switched_msrs); i++)
		if (!msr_passthrough(&vmx->vcpu, switched_msrs[i]))
			which = MSR_MAP_NONE;
	if (vmx->spec_ctrl_direct && !msr_passthrough(&vmx->vcpu, MSR_IA32_SPEC_CTRL))
		which = MSR_MAP_NONE;
	vmcs_write64(MSR_BITMAP, page_pa(msr_map[which]));
}

static void vmx_update_intercepts(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	update_exception_intercepts(vmx);
	update_cr4_owned(vmx);
	set_dr_intercepts(vmx, !vcpu->dr_in_guest);

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
	vmx_set_cpu2_ctl(vmx, vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_XSAVES,
			 kvm_guest_has(vcpu, X86_FEATURE_XSAVES));
	vmx_apic_update(vmx);
	update_msr_map(vmx);
}

/*
 * ---- VM and vcpu life ----
 */

static int vmx_vm_init(struct kvm *kvm)
{
	int r = vmx_real_init_vm(kvm);

	if (r)
		return r;
	r = vmx_apic_init_vm(kvm);
	if (r)
		vmx_real_destroy_vm(kvm);
	return r;
}

static void vmx_vm_destroy(struct kvm *kvm)
{
	vmx_apic_destroy_vm(kvm);
	vmx_real_destroy_vm(kvm);
}

static u16 alloc_vpid(void)
{
	unsigned long id = 0;

	if (!vmx_vpid)
		return 0;
	spin_lock(&vpid_lock);
	id = find_first_zero_bit(vpids, VMX_NR_VPIDS);
	if (id < VMX_NR_VPIDS)
		__set_bit(id, vpids);
	else
		id = 0;
	spin_unlock(&vpid_lock);
	return id;
}

static void free_vpid(u16 id)
{
	if (!id)
		return;
	spin_lock(&vpid_lock);
	__clear_bit(id, vpids);
	spin_unlock(&vpid_lock);
}

static int vmx_vcpu_create(struct kvm_vcpu *vcpu)
{
	static atomic64_t ids = ATOMIC64_INIT(0);
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx->vmcs = vmx_alloc_vmcs(NUMA_NO_NODE, GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs)
		return -ENOMEM;
	vmx->msr_areas = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->msr_areas)
		goto out_vmcs;
	if (vcpu->lapic && (vmx_ctl.cpu & CPU_BASED_TPR_SHADOW)) {
		vmx->vapic = (u8 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!vmx->vapic)
			goto out_areas;
	}
	if (vmx_pml) {
		vmx->pml = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
		if (!vmx->pml)
			goto out_vapic;
	}
	vmx->id = atomic64_inc_return(&ids);
	vmx->vpid = alloc_vpid();
	vmx->loaded_cpu = -1;
	vmx->exit_reason = EXIT_REASON_NONE;
	vcpu->regs_avail = ~0UL;
	return 0;

out_vapic:
	free_page((unsigned long)vmx->vapic);
out_areas:
	free_page((unsigned long)vmx->msr_areas);
out_vmcs:
	__free_page(vmx->vmcs);
	return -ENOMEM;
}

static void unload_ipi(void *vmx)
{
	if (((struct vcpu_vmx *)vmx)->loaded_cpu == smp_processor_id())
		vmx_unload_vmcs(vmx);
}

/* Wherever it is; a CPU that goes down unloads what it has by itself. */
static void unload_anywhere(struct vcpu_vmx *vmx)
{
	int cpu = READ_ONCE(vmx->loaded_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, unload_ipi, vmx, 1);
}

static void vmx_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	unload_anywhere(vmx);
	free_vpid(vmx->vpid);
	free_page((unsigned long)vmx->pml);
	free_page((unsigned long)vmx->vapic);
	free_page((unsigned long)vmx->msr_areas);
	__free_page(vmx->vmcs);
}

/*
 * No guest is left alone for longer than this.  An interrupt ends it anyway,
 * but Bochs 2.7 forgets that for a guest that is entered with IF clear; the
 * value is never written again, so it costs nothing.
 */
#define GUEST_SLICE_MS	5

static void init_timer(void)
{
	u64 misc, ticks;

	rdmsrl(MSR_IA32_VMX_MISC, misc);
	ticks = (u64)tsc_khz * GUEST_SLICE_MS >> vmx_misc_preemption_timer_rate(misc);
	vmcs_write32(VMX_PREEMPTION_TIMER_VALUE, min_t(u64, ticks, U32_MAX));
}

static void init_control(struct vcpu_vmx *vmx)
{
	vmx->pin_ctl = vmx_ctl.pin;
	vmx->cpu_ctl = vmx_ctl.cpu;
	vmx->cpu2_ctl = vmx_ctl.cpu2;
	vmx->exit_ctl = vmx_ctl.exit;
	vmx->entry_ctl = vmx_ctl.entry & ~VM_ENTRY_IA32E_MODE;
	if (!vmx->vpid)
		vmx->cpu2_ctl &= ~SECONDARY_EXEC_ENABLE_VPID;
	vmx_apic_init(vmx);
	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, vmx->pin_ctl);
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu_ctl);
	if (vmx->cpu_ctl & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		vmcs_write32(SECONDARY_VM_EXEC_CONTROL, vmx->cpu2_ctl);
	vmcs_write32(VM_EXIT_CONTROLS, vmx->exit_ctl);
	vmcs_write32(VM_ENTRY_CONTROLS, vmx->entry_ctl);
	if (vmx->pin_ctl & PIN_BASED_VMX_PREEMPTION_TIMER)
		init_timer();
	if (vmx->vpid)
		vmcs_write16(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (vmx->pml) {
		vmcs_write64(PML_ADDRESS, __pa(vmx->pml));
		vmcs_write16(GUEST_PML_INDEX, PML_LAST);
	}
	update_msr_map(vmx);
	if (vmx->cpu2_ctl & SECONDARY_EXEC_PAUSE_LOOP_EXITING) {
		vmcs_write32(PLE_GAP, 128);
		vmcs_write32(PLE_WINDOW, 4096);
	}
	if (vmx->cpu2_ctl & SECONDARY_EXEC_ENABLE_XSAVES)
		vmcs_write64(XSS_EXIT_BITMAP, 0);
	vmcs_write64(TSC_OFFSET, vmx->vcpu.tsc_offset);
	vmcs_write64(VMCS_LINK_POINTER, ~0ULL);
	vmcs_write64(VM_ENTRY_MSR_LOAD_ADDR, __pa(&vmx->msr_areas[0]));
	vmcs_write64(VM_EXIT_MSR_LOAD_ADDR, __pa(&vmx->msr_areas[1]));
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, 0);
	vmcs_write32(VM_EXIT_MSR_STORE_COUNT, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write32(CR3_TARGET_COUNT, 0);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmcs_write(CR0_GUEST_HOST_MASK, ~CR0_OWNED);
	vmx->exception_bitmap = exception_intercepts(vmx);
	vmcs_write32(EXCEPTION_BITMAP, vmx->exception_bitmap);
	vmx->efer_by_area = false;
}

/* What is the same at every exit, on whatever CPU. */
static void init_host(struct vcpu_vmx *vmx)
{
	struct desc_ptr idt;

	store_idt(&idt);
	vmx->host_cr3 = __get_current_cr3_fast();
	vmx->host_cr4 = cr4_read_shadow();
	vmx->sw.host_rsp = 0;
	vmcs_write(HOST_CR0, read_cr0());
	vmcs_write(HOST_CR3, vmx->host_cr3);
	vmcs_write(HOST_CR4, vmx->host_cr4);
	vmcs_write16(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write16(HOST_SS_SELECTOR, __KERNEL_DS);
	/* The user's, if they are any, are put back when the thread leaves. */
	vmcs_write16(HOST_DS_SELECTOR, 0);
	vmcs_write16(HOST_ES_SELECTOR, 0);
	vmcs_write16(HOST_FS_SELECTOR, 0);
	vmcs_write16(HOST_GS_SELECTOR, 0);
	vmcs_write16(HOST_TR_SELECTOR, GDT_ENTRY_TSS * 8);
	vmcs_write(HOST_IDTR_BASE, idt.address);
	vmcs_write(HOST_RIP, (unsigned long)vmx_exit_landing);
	vmcs_write32(HOST_IA32_SYSENTER_CS, __KERNEL_CS);
	if (vmx->exit_ctl & VM_EXIT_LOAD_IA32_EFER)
		vmcs_write64(HOST_IA32_EFER, vmx_caps.host_efer);
}

static void init_seg(struct kvm_vcpu *vcpu, int seg, u16 selector, unsigned long base, u8 type,
		     u8 s)
{
	struct kvm_segment var = {
		.selector = selector, .base = base, .limit = 0xffff,
		.type = type, .s = s, .present = 1,
	};

	kvm_ops.set_segment(vcpu, &var, seg);
}

/* SDM 3A "Processor State After Reset"; the core sets what it knows itself. */
static void init_save(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;
	struct kvm_dtable dt = { .limit = 0xffff };

	init_seg(vcpu, VCPU_SREG_CS, 0xf000, 0xffff0000, 0xb, 1);
	init_seg(vcpu, VCPU_SREG_DS, 0, 0, 0x3, 1);
	init_seg(vcpu, VCPU_SREG_ES, 0, 0, 0x3, 1);
	init_seg(vcpu, VCPU_SREG_FS, 0, 0, 0x3, 1);
	init_seg(vcpu, VCPU_SREG_GS, 0, 0, 0x3, 1);
	init_seg(vcpu, VCPU_SREG_SS, 0, 0, 0x3, 1);
	init_seg(vcpu, VCPU_SREG_LDTR, 0, 0, 0x2, 0);
	init_seg(vcpu, VCPU_SREG_TR, 0, 0, 0xb, 0);
	kvm_ops.set_gdt(vcpu, &dt);
	kvm_ops.set_idt(vcpu, &dt);
	vmcs_write(GUEST_CR3, 0);
	vmcs_write(GUEST_DR7, 0x400);
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, 0);
	vmx->nmi_masked = false;
	vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	vmcs_write64(GUEST_IA32_DEBUGCTL, 0);
}

static void vmx_vcpu_reset(struct kvm_vcpu *vcpu, bool init_event)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	/* INIT keeps it. */
	vmcs_write32(GUEST_SYSENTER_CS, vmx_real_sysenter_cs(vmx));
	if (!init_event) {
		vmx->spec_ctrl_direct = false;
		vmx->sw.guest_spec_ctrl = 0;
		vmx->sw.read_spec_ctrl = 0;
		vmx->debugctl = 0;
		vmx->star = vmx->lstar = vmx->cstar = vmx->sfmask = 0;
		vmx->kernel_gs_base = 0;
		vmcs_write32(GUEST_SYSENTER_CS, 0);
		vmcs_write(GUEST_SYSENTER_ESP, 0);
		vmcs_write(GUEST_SYSENTER_EIP, 0);
	}
	memset(&vmx->real, 0, sizeof(vmx->real));
	vmx->seg_read = 0;
	init_control(vmx);
	init_host(vmx);
	init_save(vmx);
	vcpu->dr_in_guest = false;
}

/* What the host's state at exits has of its CPU. */
static void load_cpu_state(int cpu)
{
	unsigned long esp, gs_base;

	rdmsrl(MSR_GS_BASE, gs_base);
	rdmsrl(MSR_IA32_SYSENTER_ESP, esp);
	vmcs_write(HOST_GS_BASE, gs_base);
	vmcs_write(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_write(HOST_GDTR_BASE, (unsigned long)get_cpu_gdt_ro(cpu));
	vmcs_write(HOST_IA32_SYSENTER_ESP, esp);
	vmcs_write(HOST_IA32_SYSENTER_EIP, native_read_msr(MSR_IA32_SYSENTER_EIP));
}

static void vmx_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long flags;
	bool moved = READ_ONCE(vmx->loaded_cpu) != cpu;

	if (unlikely(moved)) {
		unload_anywhere(vmx);
		/* A new one is made ready by it; for others it is nothing new. */
		vmclear(page_pa(vmx->vmcs));
		/* Hotplug's end of VMX walks the list with interrupts off. */
		local_irq_save(flags);
		vmx->loaded_cpu = cpu;
		list_add_rcu(&vmx->loaded, &vc->loaded);
		local_irq_restore(flags);
	}
	if (vc->current_vmcs != vmx->vmcs) {
		vc->current_vmcs = vmx->vmcs;
		vmptrld(page_pa(vmx->vmcs));
	}
	if (unlikely(moved)) {
		load_cpu_state(cpu);
		/* This CPU may have translations of long ago. */
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
	}
	/* Guests of one process are no less strangers to each other. */
	if (unlikely(vc->last_vcpu != vmx->id)) {
		vc->last_vcpu = vmx->id;
		indirect_branch_prediction_barrier();
	}
}

/* MSRs that the kernel does without until it goes back to user mode. */
static void load_msrs(struct vcpu_vmx *vmx, struct vmx_cpu *vc, bool guest)
{
	if (vmx->star != vc->star)
		wrmsrl(MSR_STAR, guest ? vmx->star : vc->star);
	if (vmx->lstar != vc->lstar)
		wrmsrl(MSR_LSTAR, guest ? vmx->lstar : vc->lstar);
	if (vmx->sfmask != vc->sfmask)
		wrmsrl(MSR_SYSCALL_MASK, guest ? vmx->sfmask : vc->sfmask);
	if (vmx_caps.tsc_aux && (u32)vmx->vcpu.msr.tsc_aux != vc->tsc_aux)
		wrmsrl(MSR_TSC_AUX, guest ? (u32)vmx->vcpu.msr.tsc_aux : vc->tsc_aux);
}

static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx->host.saved)
		return;
	vmx->host.saved = false;
	load_msrs(vmx, this_cpu_ptr(&vmx_cpus), false);
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	if (unlikely(vmx->host.ldt))
		asm volatile("lldt %0" : : "m" (vmx->host.ldt));
	if (unlikely(vmx->host.ds | vmx->host.es)) {
		loadsegment(ds, vmx->host.ds);
		loadsegment(es, vmx->host.es);
	}
	if (unlikely(vmx->host.fs)) {
		loadsegment(fs, vmx->host.fs);
		wrmsrl(MSR_FS_BASE, vmx->host.fs_base);
	}
	if (unlikely(vmx->host.gs))
		load_gs_index(vmx->host.gs);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->host.kernel_gs_base);
	/* SDM 3C "Loading Host Segment and Descriptor-Table Registers": wide limits. */
	invalidate_tss_limit();
	load_fixmap_gdt(raw_smp_processor_id());
}

/* The thread's page tables, and their tag, stay the same until it is scheduled out. */
static void update_host_cr3(struct vcpu_vmx *vmx)
{
	unsigned long cr3 = __get_current_cr3_fast();

	if (vmx->host_cr3 == cr3)
		return;
	vmx->host_cr3 = cr3;
	vmcs_write(HOST_CR3, cr3);
}

static void vmx_prepare_guest_switch(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (likely(vmx->host.saved))
		return;
	savesegment(ds, vmx->host.ds);
	savesegment(es, vmx->host.es);
	savesegment(fs, vmx->host.fs);
	savesegment(gs, vmx->host.gs);
	asm volatile("sldt %0" : "=m" (vmx->host.ldt));
	rdmsrl(MSR_FS_BASE, vmx->host.fs_base);
	rdmsrl(MSR_KERNEL_GS_BASE, vmx->host.kernel_gs_base);
	vmx->host.debugctl = get_debugctlmsr();
	vmcs_write(HOST_FS_BASE, vmx->host.fs_base);
	update_host_cr3(vmx);
	wrmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	load_msrs(vmx, this_cpu_ptr(&vmx_cpus), true);
	vmx->host.saved = true;
	vcpu->stat.host_state_reload++;
}

/*
 * ---- run and exit ----
 */

static unsigned long hw_rflags(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;

	if (!(vcpu->regs_avail & BIT(VCPU_EXREG_RFLAGS))) {
		vcpu->regs_avail |= BIT(VCPU_EXREG_RFLAGS);
		vmx->rflags = vmcs_read(GUEST_RFLAGS);
	}
	return vmx->rflags;
}

/*
 * What an exit interrupted (SDM 3C "Information for VM Exits That Occur During
 * Event Delivery").  INT n, INT3 and INTO have not moved RIP yet and are simply
 * executed again, unless they were events put in by us.
 */
static void requeue_interrupted(struct vcpu_vmx *vmx, u32 info)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;
	const struct kvm_queued_exception *ex = &vcpu->events.exception;
	u8 vector = info & VECTORING_INFO_VECTOR_MASK;
	bool ours = ex->injected && ex->vector == vector;
	bool has_code = info & VECTORING_INFO_DELIVER_CODE_MASK;

	kvm_clear_injected(vcpu);
	if (!(info & VECTORING_INFO_VALID_MASK))
		return;
	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_NMI_INTR:
		/* Its delivery has blocked NMIs, and will again. */
		kvm_ops.set_nmi_mask(vcpu, false);
		kvm_requeue_nmi(vcpu);
		break;
	case INTR_TYPE_EXT_INTR:
		kvm_requeue_irq(vcpu, vector, false);
		break;
	case INTR_TYPE_SOFT_EXCEPTION:
		if (!ours)
			break;
		fallthrough;
	case INTR_TYPE_HARD_EXCEPTION:
		kvm_requeue_exception(vcpu, vector, has_code,
				      has_code ? vmcs_read32(IDT_VECTORING_ERROR_CODE) : 0);
		break;
	}
}

/*
 * The same field, of an entry at which nothing was put in.  For an interrupt that
 * the processor took by itself Bochs 2.7 has some earlier event there; but it is
 * in service, and the guest still as it was, with interrupts on.
 */
static u32 vectoring_info(struct vcpu_vmx *vmx)
{
	const struct kvm_lapic *apic = vmx->vcpu.lapic;
	u32 info = vmcs_read32(IDT_VECTORING_INFO_FIELD);

	if (likely(!vmx_caps.wrong_vectoring || !(info & VECTORING_INFO_VALID_MASK)))
		return info;
	if (!apic || !apic->virtual_delivery || apic->highest_isr < 0 ||
	    !(hw_rflags(vmx) & X86_EFLAGS_IF))
		return info;
	return VECTORING_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | apic->highest_isr;
}

/* The entry did not happen: what was to be injected still is, in vcpu->events. */
static void vmx_cancel_injection(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx->real.event.valid = false;
	if (!vmx->injected)
		return;
	vmx->injected = false;
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/* A fault in the tables of PAE paging is the guest's, by its last MOV to CR. */
static void load_pdptrs(struct vcpu_vmx *vmx)
{
	const u64 *pdptrs = vmx->vcpu.mmu.pdptrs;

	if (!vmx_ept || !is_pae_paging(&vmx->vcpu))
		return;
	vmcs_write64(GUEST_PDPTR0, pdptrs[0]);
	vmcs_write64(GUEST_PDPTR1, pdptrs[1]);
	vmcs_write64(GUEST_PDPTR2, pdptrs[2]);
	vmcs_write64(GUEST_PDPTR3, pdptrs[3]);
}

static void before_entry(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;
	unsigned long cr4 = cr4_read_shadow(), dirty = vcpu->regs_dirty;

	/* Another CPU may have this one change it, for performance counters. */
	if (unlikely(vmx->host_cr4 != cr4)) {
		vmx->host_cr4 = cr4;
		vmcs_write(HOST_CR4, cr4);
	}
	if (dirty & BIT(VCPU_REGS_RIP))
		vmcs_write(GUEST_RIP, vcpu->regs[VCPU_REGS_RIP]);
	if (dirty & BIT(VCPU_REGS_RSP))
		vmcs_write(GUEST_RSP, vcpu->regs[VCPU_REGS_RSP]);
	if (unlikely(dirty & BIT(VCPU_EXREG_PDPTR)))
		load_pdptrs(vmx);
	vcpu->regs_dirty = 0;
	if (vmx->vapic)
		vmx_apic_before_entry(vmx);
	if (unlikely(vcpu->dr_in_guest))
		set_debugreg(vcpu->dr6, 6);
	if (native_read_cr2() != vcpu->cr2)
		native_write_cr2(vcpu->cr2);
	if (cpu_feature_enabled(X86_FEATURE_MSR_SPEC_CTRL))
		vmx->sw.host_spec_ctrl = this_cpu_read(x86_spec_ctrl_current);
}

/* What is the host's, however the guest ended. */
static void restore_host(struct vcpu_vmx *vmx)
{
	/* VM exits clear it. */
	if (unlikely(vmx->host.debugctl))
		update_debugctlmsr(vmx->host.debugctl);
	/* The VMM's user code must not run on what the guest taught the predictors. */
	if (cpu_feature_enabled(X86_FEATURE_IBPB_EXIT_TO_USER))
		this_cpu_write(x86_ibpb_exit_to_user, true);
}

/*
 * The addresses that the processor set dirty bits for, from the last entry down (SDM
 * 3C "Page-Modification Logging").  The index is that of the next; wrapped around
 * when all are used.
 */
static void collect_pml(struct vcpu_vmx *vmx)
{
	unsigned int i = vmcs_read16(GUEST_PML_INDEX);

	if (likely(i == PML_LAST))
		return;
	for (i = i > PML_LAST ? 0 : i + 1; i <= PML_LAST; i++)
		kvm_mark_gpa_dirty(&vmx->vcpu, vmx->pml[i]);
	vmcs_write16(GUEST_PML_INDEX, PML_LAST);
}

/* NMIs are blocked until the handler's IRET: nothing that could fault comes before it. */
static void copy_exit(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;

	vcpu->cr2 = native_read_cr2();
	vmx->exit_reason = vmcs_read32(VM_EXIT_REASON);
	if (vmx->exit_reason == EXIT_REASON_EXCEPTION_NMI) {
		vmx->intr_info = vmcs_read32(VM_EXIT_INTR_INFO);
		if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
			vmx_call_nmi();
	}
	vcpu->regs_avail &= ~lazy_regs;
	vmx->seg_read = 0;
}

/* Without virtual NMIs: none is blocked but by us, and one that waits is asked for at each exit. */
static void soft_vnmi(struct vcpu_vmx *vmx)
{
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);

	if (state & GUEST_INTR_STATE_NMI)
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~GUEST_INTR_STATE_NMI);
	if (vmx->vcpu.events.nmi_pending)
		kvm_make_request(KVM_REQ_EVENT, &vmx->vcpu);
}

/* Nothing ran.  With VMX gone off under us there is no error number either. */
static void entry_failed(struct vcpu_vmx *vmx)
{
	vmx->exit_reason = EXIT_REASON_NONE;
	vmx->entry_error = vmcs_read32(VM_INSTRUCTION_ERROR);
	vmx_cancel_injection(&vmx->vcpu);
}

static void vmx_run(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool failed;

	if (unlikely(!vmx_unrestricted) && vmx_real_no_entry(vmx))
		return;
	before_entry(vmx);
	failed = vmx_enter_guest(vcpu->regs, &vmx->sw);
	restore_host(vmx);
	if (vmx->vapic)
		vmx_apic_after_exit(vmx);
	if (unlikely(failed)) {
		entry_failed(vmx);
		return;
	}
	copy_exit(vmx);
	if (unlikely(vmx->exit_reason & VMX_EXIT_REASONS_FAILED_VMENTRY)) {
		vmx_cancel_injection(vcpu);
		return;
	}
	vmx->sw.launched = true;
	if (vmx->pml)
		collect_pml(vmx);
	if (unlikely(!vmx_vnmi))
		soft_vnmi(vmx);
	if (vmx->injected) {
		vmx->injected = false;
		requeue_interrupted(vmx, vmcs_read32(IDT_VECTORING_INFO_FIELD));
	} else if (BIT_ULL(vmx->exit_reason & 63) & VECTORING_REASONS) {
		requeue_interrupted(vmx, vectoring_info(vmx));
	}
}

static bool in_64bit_code(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu) && is_64bit_code(vcpu);
}

/* Before an event, which ends it: VM entry refuses the two together. */
static void clear_shadow(void)
{
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);

	if (unlikely(state & INTR_STATE_SHADOW))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~INTR_STATE_SHADOW);
}

/*
 * An instruction that exits has not been stepped over, and only behind MOV SS
 * does an exit leave a debug exception pending (SDM 3C "Saving Non-Register
 * State").  Bochs 2.7 leaves the step of every instruction that exits.
 */
void vmx_drop_false_step(struct vcpu_vmx *vmx)
{
	if (likely(!(hw_rflags(vmx) & X86_EFLAGS_TF)))
		return;
	if (!(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTR_STATE_SHADOW))
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
}

/* Every exit's way: without the detour through the core. */
static unsigned long read_rip(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->regs_avail & BIT(VCPU_REGS_RIP)))
		return vcpu->regs[VCPU_REGS_RIP];
	return vmcs_read(GUEST_RIP);
}

static int vmx_skip_insn(struct kvm_vcpu *vcpu)
{
	unsigned long rip = read_rip(vcpu), next;
	u32 state;
	int len;

	/* The processor's answer is about the RIP of the exit only. */
	if (likely(!(vcpu->regs_dirty & BIT(VCPU_REGS_RIP))))
		len = vmcs_read32(VM_EXIT_INSTRUCTION_LEN);
	else
		len = kvm_insn_length(vcpu, in_64bit_code(vcpu));
	if (unlikely(len <= 0))
		return 0;
	next = rip + len;
	if (unlikely((u64)(next ^ rip) >> 32) && !in_64bit_code(vcpu))
		next = (u32)next;
	kvm_rip_write(vcpu, next);
	state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);
	if (unlikely(state & INTR_STATE_SHADOW))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~INTR_STATE_SHADOW);
	vmx_drop_false_step(to_vmx(vcpu));
	return 1;
}

static void vmx_exit_info(struct kvm_vcpu *vcpu, u64 *reason, u64 *info1, u64 *info2)
{
	*reason = to_vmx(vcpu)->exit_reason;
	*info1 = vmcs_read(EXIT_QUALIFICATION);
	*info2 = vmcs_read32(VM_EXIT_INTR_INFO);
}

/*
 * ---- exit handlers: 1 resume, 0 to userspace, -errno ----
 */

/* Nothing to do: what came is the host's, and it has had it. */
static int host_exit(struct kvm_vcpu *vcpu)
{
	return 1;
}

static int intr_exit(struct kvm_vcpu *vcpu)
{
	vcpu->stat.irq_exits++;
	return 1;
}

static int nmi_exit(struct kvm_vcpu *vcpu)
{
	vcpu->stat.nmi_exits++;
	return 1;
}

/*
 * An IRET that faulted has unblocked NMIs, and is going to be executed again
 * (SDM 3C "Information About NMI Unblocking Due to IRET").
 */
static void block_nmis_again(struct vcpu_vmx *vmx, bool unblocked)
{
	if (unblocked && vmx_vnmi && !(vmcs_read32(IDT_VECTORING_INFO_FIELD) & VECTORING_INFO_VALID_MASK))
		kvm_ops.set_nmi_mask(&vmx->vcpu, true);
}

/* #PF, under shadow paging. */
static int page_fault_exit(struct kvm_vcpu *vcpu)
{
	struct kvm_fault fault = {
		.addr = vmcs_read(EXIT_QUALIFICATION),
		.error_code = vmcs_read32(VM_EXIT_INTR_ERROR_CODE),
	};

	return kvm_handle_page_fault(vcpu, &fault);
}

/* SDM 3C "Exit Qualification for EPT Violations" */
static int ept_violation_exit(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	struct kvm_fault fault = {
		.addr = vmcs_read64(GUEST_PHYSICAL_ADDRESS),
	};

	int r;

	if (unlikely(qual & QUAL_NMI_UNBLOCKED))
		block_nmis_again(to_vmx(vcpu), true);
	vmx_drop_false_step(to_vmx(vcpu));
	if (unlikely(to_vmx(vcpu)->real.identity) &&
	    vmx_real_map_identity(to_vmx(vcpu), fault.addr, &r))
		return r;
	if (unlikely(vmx_apic_map(vcpu, fault.addr)))
		return 1;
	if (qual & EPT_VIOLATION_ACC_WRITE)
		fault.error_code |= PFERR_WRITE_MASK;
	if (qual & EPT_VIOLATION_ACC_INSTR)
		fault.error_code |= PFERR_FETCH_MASK;
	if (qual & (VMX_EPT_RWX_MASK << 3))
		fault.error_code |= PFERR_PRESENT_MASK;
	fault.error_code |= qual & EPT_VIOLATION_GVA_TRANSLATED ? PFERR_GUEST_FINAL_MASK :
								  PFERR_GUEST_PAGE_MASK;
	return kvm_handle_page_fault(vcpu, &fault);
}

/* The log has been read already, as after each exit. */
static int pml_full_exit(struct kvm_vcpu *vcpu)
{
	if (vmcs_read(EXIT_QUALIFICATION) & QUAL_NMI_UNBLOCKED)
		block_nmis_again(to_vmx(vcpu), true);
	return 1;
}

/* Of our making: nested_mmio_entry. */
static int ept_misconfig_exit(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS);
	int r;

	vmx_drop_false_step(to_vmx(vcpu));
	/* Where the guest itself has looked, while it did page. */
	if (unlikely(to_vmx(vcpu)->real.identity) &&
	    vmx_real_map_identity(to_vmx(vcpu), gpa, &r))
		return r;
	if (unlikely(vmx_apic_map(vcpu, gpa)))
		return 1;
	return kvm_handle_mmio_fault(vcpu, gpa);
}

static int db_exit(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long bits = vmcs_read(EXIT_QUALIFICATION) & DB_QUAL_BITS;

	/* A debugger's next step is not held back by the last one's shadow. */
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) {
		clear_shadow();
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	}
	/* INT1 is behind itself when its handler runs. */
	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vmx_skip_insn(vcpu);
	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return kvm_debug_exit(vcpu, X86_TRAP_DB, bits);
	/* The exit has left DR6 and DR7.GD to us (SDM 3C "Architectural State Before a VM Exit"). */
	kvm_queue_exception_p(vcpu, X86_TRAP_DB, bits);
	return 1;
}

static int exception_exit(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 info = vmx->intr_info;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		return nmi_exit(vcpu);
	vmx_drop_false_step(vmx);
	if (unlikely(info & INTR_INFO_UNBLOCK_NMI) &&
	    (info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF)
		block_nmis_again(vmx, true);
	switch (info & INTR_INFO_VECTOR_MASK) {
	case X86_TRAP_PF:
		return page_fault_exit(vcpu);
	case X86_TRAP_DB:
		return db_exit(vcpu);
	case X86_TRAP_MC:
		return host_exit(vcpu);
	case X86_TRAP_BP:
		if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
			return kvm_debug_exit(vcpu, X86_TRAP_BP, 0);
		break;
	case X86_TRAP_AC:
		if (vmx->real.vm86)
			break;
		kvm_queue_exception_e(vcpu, X86_TRAP_AC, 0);
		return 1;
	case X86_TRAP_UD:
		if (vmx->real.vm86)
			break;
		return kvm_handle_invalid_opcode(vcpu);
	}
	if (vmx->real.vm86)
		return vmx_real_exception(vmx, info & INTR_INFO_VECTOR_MASK);
	return kvm_handle_unexpected_exit(vcpu, vmx->exit_reason);
}

/*
 * A machine check that came while the guest ran, or was entered, is the host's
 * affair.  To the kernel it looks as if the VMM's user code had met it, so that
 * the thread can be killed and the host live.
 */
static noinline void machine_check(void)
{
	struct pt_regs regs = { .cs = __USER_CS, .flags = X86_EFLAGS_IF };

	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}

static void vmx_handle_exit_irqoff(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (likely(vmx->exit_reason != EXIT_REASON_EXCEPTION_NMI ||
		   (vmx->intr_info & INTR_INFO_VECTOR_MASK) != X86_TRAP_MC) &&
	    likely((u16)vmx->exit_reason != EXIT_REASON_MCE_DURING_VMENTRY))
		return;
	machine_check();
}

static int irq_window_exit(struct kvm_vcpu *vcpu)
{
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_INTR_WINDOW_EXITING, false);
	to_vmx(vcpu)->nmi_masked = false;
	return kvm_handle_irq_window(vcpu);
}

static int nmi_window_exit(struct kvm_vcpu *vcpu)
{
	vcpu->stat.nmi_window_exits++;
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_NMI_WINDOW_EXITING, false);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

/* MOV to CR8 has been done: what waited for it may come. */
static int tpr_below_exit(struct kvm_vcpu *vcpu)
{
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

static int pause_exit(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_on_spin(vcpu);
	return kvm_handle_nop(vcpu);
}

static int cr_exit(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	int cr = CR_ACCESS_NUM(qual), reg = CR_ACCESS_GPR(qual);

	switch (CR_ACCESS_TYPE(qual)) {
	case CR_MOV_TO:
		return kvm_handle_mov_to_cr(vcpu, cr, reg);
	case CR_MOV_FROM:
		return kvm_handle_mov_from_cr(vcpu, cr, reg);
	case CR_LMSW:
		kvm_lmsw(vcpu, CR_ACCESS_MSW(qual));
		return kvm_skip_emulated_instruction(vcpu);
	default:
		kvm_set_cr0(vcpu, kvm_read_cr0(vcpu) & ~X86_CR0_TS);
		return kvm_skip_emulated_instruction(vcpu);
	}
}

/*
 * Debug registers are rarely used, and then many at once: the first access
 * gives them all to the guest until its next exit.
 */
static int dr_exit(struct kvm_vcpu *vcpu)
{
	unsigned long qual;

	if (!vcpu->guest_debug) {
		vcpu->stat.dr_exits++;
		vcpu->dr_in_guest = true;
		set_dr_intercepts(to_vmx(vcpu), false);
		return 1;
	}
	qual = vmcs_read(EXIT_QUALIFICATION);
	return kvm_handle_mov_dr(vcpu, qual & DEBUG_REG_ACCESS_NUM, DEBUG_REG_ACCESS_REG(qual),
				  !(qual & DEBUG_REG_ACCESS_TYPE));
}

/* SDM 3C "Exit Qualification for I/O Instructions" */
static int io_exit(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	struct kvm_pio pio = {
		.in = qual & IO_IN,
		.string = qual & IO_STRING,
		.size = IO_SIZE(qual),
		.port = IO_PORT(qual),
	};

	if (pio.string)
		vmx_drop_false_step(to_vmx(vcpu));
	return kvm_handle_pio(vcpu, &pio);
}

static int invlpg_exit(struct kvm_vcpu *vcpu)
{
	kvm_mmu_invlpg(vcpu, vmcs_read(EXIT_QUALIFICATION));
	return kvm_skip_emulated_instruction(vcpu);
}

/*
 * No guest switches tasks by itself.  RIP is at the instruction that asks for
 * it, which the emulator does as a whole; an event's way through a task gate has
 * no instruction.
 */
static int task_switch_exit(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	u32 info = vmcs_read32(IDT_VECTORING_INFO_FIELD), error_code;
	u32 type = info & VECTORING_INFO_TYPE_MASK;

	if (TASK_SWITCH_SOURCE(qual) != TASK_SWITCH_BY_GATE ||
	    !(info & VECTORING_INFO_VALID_MASK) || type == INTR_TYPE_SOFT_INTR ||
	    type == INTR_TYPE_SOFT_EXCEPTION || type == INTR_TYPE_PRIV_SW_EXCEPTION)
		return kvm_emulate_insn(vcpu, 0, 0, NULL, 0);
	error_code = vmcs_read32(IDT_VECTORING_ERROR_CODE);
	kvm_clear_injected(vcpu);
	return kvm_task_switch(vcpu, qual,
			       info & VECTORING_INFO_DELIVER_CODE_MASK ? &error_code : NULL);
}

static int (*const exit_handlers[])(struct kvm_vcpu *vcpu) = {
	[EXIT_REASON_EXCEPTION_NMI]	= exception_exit,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = intr_exit,
	[EXIT_REASON_TRIPLE_FAULT]	= kvm_handle_triple_fault,
	[EXIT_REASON_INIT_SIGNAL]	= host_exit,
	[EXIT_REASON_SIPI_SIGNAL]	= host_exit,
	[EXIT_REASON_INTERRUPT_WINDOW]	= irq_window_exit,
	[EXIT_REASON_NMI_WINDOW]	= nmi_window_exit,
	[EXIT_REASON_TASK_SWITCH]	= task_switch_exit,
	[EXIT_REASON_CPUID]		= kvm_handle_cpuid,
	[EXIT_REASON_GETSEC]		= kvm_handle_ud,
	[EXIT_REASON_HLT]		= kvm_handle_halt,
	[EXIT_REASON_INVD]		= kvm_handle_nop,
	[EXIT_REASON_INVLPG]		= invlpg_exit,
	[EXIT_REASON_RDPMC]		= kvm_handle_rdpmc,
	[EXIT_REASON_RSM]		= kvm_handle_ud,
	[EXIT_REASON_VMCALL]		= kvm_handle_hypercall,
	[EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON] = kvm_handle_ud,
	[EXIT_REASON_CR_ACCESS]		= cr_exit,
	[EXIT_REASON_DR_ACCESS]		= dr_exit,
	[EXIT_REASON_IO_INSTRUCTION]	= io_exit,
	[EXIT_REASON_MSR_READ]		= kvm_handle_rdmsr,
	[EXIT_REASON_MSR_WRITE]		= kvm_handle_wrmsr,
	[EXIT_REASON_MWAIT_INSTRUCTION]	= kvm_handle_mwait,
	[EXIT_REASON_MONITOR_INSTRUCTION] = kvm_handle_mwait,
	[EXIT_REASON_PAUSE_INSTRUCTION]	= pause_exit,
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = tpr_below_exit,
	[EXIT_REASON_APIC_ACCESS]	= vmx_apic_access_exit,
	[EXIT_REASON_EOI_INDUCED]	= vmx_apic_eoi_exit,
	[EXIT_REASON_APIC_WRITE]	= vmx_apic_write_exit,
	[EXIT_REASON_EPT_VIOLATION]	= ept_violation_exit,
	[EXIT_REASON_EPT_MISCONFIG]	= ept_misconfig_exit,
	[EXIT_REASON_INVEPT]		= kvm_handle_ud,
	[EXIT_REASON_PREEMPTION_TIMER]	= host_exit,
	[EXIT_REASON_INVVPID]		= kvm_handle_ud,
	[EXIT_REASON_PML_FULL]		= pml_full_exit,
	[EXIT_REASON_WBINVD]		= kvm_handle_wbinvd,
	[EXIT_REASON_XSETBV]		= kvm_handle_xsetbv,
};

/* No entry was made: VMLAUNCH failed, or the guest's state is not allowed. */
static int vmentry_failed(struct vcpu_vmx *vmx, u64 reason)
{
	if (READ_ONCE(dump_invalid_vmcs))
		vmx_dump(vmx);
	return kvm_fail_entry(&vmx->vcpu, reason);
}

static int vmx_handle_exit(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 reason = vmx->exit_reason;

	if (likely(reason < ARRAY_SIZE(exit_handlers) && exit_handlers[reason]))
		return exit_handlers[reason](vcpu);
	switch (reason) {
	case EXIT_REASON_NONE:
		/* With VMX gone off the run loop finds out. */
		return vmx->entry_error ? vmentry_failed(vmx, vmx->entry_error) : -EIO;
	case EXIT_REASON_BAD_STATE:
		return vmx_real_emulate(vmx);
	case EXIT_REASON_REAL_EVENT:
		return vmx_real_deliver(vmx);
	}
	if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
		return vmentry_failed(vmx, reason);
	return kvm_handle_unexpected_exit(vcpu, reason);
}

/*
 * ---- registers ----
 */

static void vmx_cache_reg(struct kvm_vcpu *vcpu, int reg)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vcpu->regs_avail |= BIT(reg);
	switch (reg) {
	case VCPU_REGS_RSP:
		vcpu->regs[VCPU_REGS_RSP] = vmcs_read(GUEST_RSP);
		break;
	case VCPU_REGS_RIP:
		vcpu->regs[VCPU_REGS_RIP] = vmcs_read(GUEST_RIP);
		break;
	case VCPU_EXREG_CR0:
		vcpu->cr0 = (vcpu->cr0 & ~CR0_OWNED) | (vmcs_read(GUEST_CR0) & CR0_OWNED);
		break;
	case VCPU_EXREG_CR3:
		if (likely(!vmx->real.identity))
			vcpu->cr3 = vmcs_read(GUEST_CR3);
		break;
	case VCPU_EXREG_CR4:
		vcpu->cr4 = (vcpu->cr4 & ~vmx->cr4_owned) |
			    (vmcs_read(GUEST_CR4) & vmx->cr4_owned);
		break;
	case VCPU_EXREG_PDPTR:
		if (!vmx_ept || !is_pae_paging(vcpu))
			break;
		vcpu->mmu.pdptrs[0] = vmcs_read64(GUEST_PDPTR0);
		vcpu->mmu.pdptrs[1] = vmcs_read64(GUEST_PDPTR1);
		vcpu->mmu.pdptrs[2] = vmcs_read64(GUEST_PDPTR2);
		vcpu->mmu.pdptrs[3] = vmcs_read64(GUEST_PDPTR3);
		break;
	}
}

/* The VMCS has LDTR before TR; the rest is in the hardware's order. */
static unsigned int hw_seg(int seg)
{
	return seg < VCPU_SREG_TR ? seg : seg ^ 1;
}

static bool seg_cached(struct vcpu_vmx *vmx, int seg, enum vmx_seg_field field)
{
	u32 bit = BIT(seg * SEG_NR_FIELDS + field);

	if (vmx->seg_read & bit)
		return true;
	vmx->seg_read |= bit;
	return false;
}

static u16 read_selector(struct vcpu_vmx *vmx, int seg)
{
	if (!seg_cached(vmx, seg, SEG_SELECTOR))
		vmx->seg_cache[seg].selector =
			vmcs_read16(SEG_FIELD(GUEST_ES_SELECTOR, hw_seg(seg)));
	return vmx->seg_cache[seg].selector;
}

static unsigned long read_base(struct vcpu_vmx *vmx, int seg)
{
	if (!seg_cached(vmx, seg, SEG_BASE))
		vmx->seg_cache[seg].base = vmcs_read(SEG_FIELD(GUEST_ES_BASE, hw_seg(seg)));
	return vmx->seg_cache[seg].base;
}

static u32 read_limit(struct vcpu_vmx *vmx, int seg)
{
	if (!seg_cached(vmx, seg, SEG_LIMIT))
		vmx->seg_cache[seg].limit = vmcs_read32(SEG_FIELD(GUEST_ES_LIMIT, hw_seg(seg)));
	return vmx->seg_cache[seg].limit;
}

static u32 read_ar(struct vcpu_vmx *vmx, int seg)
{
	if (!seg_cached(vmx, seg, SEG_AR))
		vmx->seg_cache[seg].ar = vmcs_read32(SEG_FIELD(GUEST_ES_AR_BYTES, hw_seg(seg)));
	return vmx->seg_cache[seg].ar;
}

/* As it is in the VMCS, whatever the guest has. */
void vmx_read_seg(struct vcpu_vmx *vmx, int seg, struct vmx_seg *s)
{
	s->selector = read_selector(vmx, seg);
	s->base = read_base(vmx, seg);
	s->limit = read_limit(vmx, seg);
	s->ar = read_ar(vmx, seg);
}

void vmx_write_seg(struct vcpu_vmx *vmx, int seg, const struct vmx_seg *s)
{
	unsigned int i = hw_seg(seg);

	vmx->seg_cache[seg] = *s;
	vmx->seg_read |= GENMASK(SEG_NR_FIELDS - 1, 0) << (seg * SEG_NR_FIELDS);
	vmcs_write16(SEG_FIELD(GUEST_ES_SELECTOR, i), s->selector);
	vmcs_write(SEG_FIELD(GUEST_ES_BASE, i), s->base);
	vmcs_write32(SEG_FIELD(GUEST_ES_LIMIT, i), s->limit);
	vmcs_write32(SEG_FIELD(GUEST_ES_AR_BYTES, i), s->ar);
}

static void vmx_get_segment(struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct vmx_seg s;

	if (unlikely(vmx->real.vm86))
		vmx_real_get_seg(vmx, seg, &s);
	else
		vmx_read_seg(vmx, seg, &s);
	var->base = s.base;
	var->limit = s.limit;
	var->selector = s.selector;
	var->type = s.ar & VMX_AR_TYPE_MASK;
	var->s = !!(s.ar & VMX_AR_S_MASK);
	var->dpl = VMX_AR_DPL(s.ar);
	var->unusable = !!(s.ar & VMX_AR_UNUSABLE_MASK);
	var->present = !!(s.ar & VMX_AR_P_MASK) && !var->unusable;
	var->avl = (s.ar >> 12) & 1;
	var->l = !!(s.ar & VMX_AR_L_MASK);
	var->db = !!(s.ar & VMX_AR_DB_MASK);
	var->g = !!(s.ar & VMX_AR_G_MASK);
}

/*
 * VM entry is strict about what is loaded: a loaded segment is accessed, a
 * loaded TSS busy, and a limit is one that its granularity can say (SDM 3C
 * "Checks on Guest Segment Registers").
 */
static u32 make_ar(const struct kvm_segment *var, int seg, bool long_mode)
{
	u32 ar = (var->type & 0xf) | (var->s & 1) << 4 | (var->dpl & 3) << VMX_AR_DPL_SHIFT |
		 (var->avl & 1) << 12 | (var->l ? VMX_AR_L_MASK : 0) |
		 (var->db ? VMX_AR_DB_MASK : 0);

	if (var->unusable || !var->present)
		return ar | VMX_AR_UNUSABLE_MASK;
	ar |= VMX_AR_P_MASK;
	if (var->limit > 0xfffff || (var->g && (var->limit & 0xfff) == 0xfff))
		ar |= VMX_AR_G_MASK;
	if (var->s)
		ar |= VMX_AR_TYPE_ACCESSES_MASK;
	else if (seg == VCPU_SREG_TR)
		ar |= long_mode ? VMX_AR_TYPE_BUSY_64_TSS : VMX_AR_TYPE_BUSY_16_TSS;
	return ar;
}

static void vmx_set_segment(struct kvm_vcpu *vcpu, const struct kvm_segment *var, int seg)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	struct vmx_seg s = {
		.selector = var->selector,
		.base = var->base,
		.limit = var->limit,
		.ar = make_ar(var, seg, is_long_mode(vcpu)),
	};

	vmx->real.check = true;
	if (unlikely(vmx->real.vm86))
		vmx_real_set_seg(vmx, seg, &s);
	else
		vmx_write_seg(vmx, seg, &s);
}

static int vmx_get_cpl(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(vmx->real.vm86))
		return 0;
	return VMX_AR_DPL(read_ar(vmx, VCPU_SREG_SS));
}

static void vmx_get_idt(struct kvm_vcpu *vcpu, struct kvm_dtable *dt)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(vmx->real.vm86)) {
		*dt = vmx->real.idt;
		return;
	}
	dt->base = vmcs_read(GUEST_IDTR_BASE);
	dt->limit = vmcs_read32(GUEST_IDTR_LIMIT);
}

static void vmx_set_idt(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(vmx->real.vm86)) {
		vmx->real.idt = *dt;
		return;
	}
	vmcs_write(GUEST_IDTR_BASE, dt->base);
	vmcs_write32(GUEST_IDTR_LIMIT, dt->limit);
}

static void vmx_get_gdt(struct kvm_vcpu *vcpu, struct kvm_dtable *dt)
{
	dt->base = vmcs_read(GUEST_GDTR_BASE);
	dt->limit = vmcs_read32(GUEST_GDTR_LIMIT);
}

static void vmx_set_gdt(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt)
{
	vmcs_write(GUEST_GDTR_BASE, dt->base);
	vmcs_write32(GUEST_GDTR_LIMIT, dt->limit);
}

static u64 eptp(u64 root_hpa)
{
	return root_hpa | VMX_EPTP_PWL_4 | VMX_EPTP_MT_WB |
	       (vmx_eptad ? VMX_EPTP_AD_ENABLE_BIT : 0);
}

/* INVEPT drops what the EPT's translations were combined to, whatever the VPID. */
static void vmx_tlb_flush(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	preempt_disable();
	if (!vmx_ept) {
		if (vmx->vpid)
			invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vmx->vpid, 0);
	} else if (!(vmx_caps.ept_vpid & VMX_EPT_EXTENT_CONTEXT_BIT)) {
		invept(VMX_EPT_EXTENT_GLOBAL, 0, 0);
	} else if (vcpu->mmu.root_hpa != INVALID_PAGE) {
		invept(VMX_EPT_EXTENT_CONTEXT, eptp(vcpu->mmu.root_hpa), 0);
	}
	preempt_enable();
}

/*
 * The guest's CR4 but for: VMXE and what else VMX insists on; MCE, without
 * which the host's machine checks would shut the processor down; and under
 * shadow paging PAE, the format of our tables, without the supervisor-mode
 * guards while the guest does not page, since all its pages are user pages then.
 */
static void vmx_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long hw = cr4 | (cr4_read_shadow() & X86_CR4_MCE) | vmx_caps.cr4_fixed0;

	if (!vmx_ept) {
		hw |= X86_CR4_PAE;
		if (!(vcpu->cr0 & X86_CR0_PG))
			hw &= ~(X86_CR4_SMEP | X86_CR4_SMAP);
	}
	if (!vmx_unrestricted)
		hw = vmx_real_cr4(vmx, hw);
	vmcs_write(GUEST_CR4, hw);
	vmcs_write(CR4_READ_SHADOW, cr4);
}

/* Without the VMCS field EFER goes by the MSR areas, if it differs from the host's. */
static void switch_efer(struct vcpu_vmx *vmx, u64 efer)
{
	const u64 mode = EFER_LME | EFER_LMA;
	bool differs = (efer ^ vmx_caps.host_efer) & ~mode;

	/* These two follow the entry and exit controls (SDM 3C "Loading Guest Control ..."). */
	vmx->msr_areas[0] = (struct vmx_msr_entry){ .index = MSR_EFER, .value = efer };
	vmx->msr_areas[1] = (struct vmx_msr_entry){
		.index = MSR_EFER, .value = vmx_caps.host_efer,
	};
	if (differs == vmx->efer_by_area)
		return;
	vmx->efer_by_area = differs;
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, differs);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, differs);
}

/*
 * The guest's EFER but for, under shadow paging: NXE, which our tables use, and
 * LME, which hardware paging would take for long mode before the guest pages.
 */
static void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool long_mode = efer & EFER_LMA;
	struct kvm_segment tr;

	if (!vmx_ept && vmx_ops.has_nx)
		efer |= EFER_NX;
	/* VM entry wants the two alike wherever it loads a paging CR0. */
	if (!long_mode && !vmx_unrestricted)
		efer &= ~EFER_LME;
	set_entry_ctl(vmx, VM_ENTRY_IA32E_MODE, long_mode);
	if (vmx->entry_ctl & VM_ENTRY_LOAD_IA32_EFER)
		vmcs_write64(GUEST_IA32_EFER, efer);
	else
		switch_efer(vmx, efer);
	vmx->real.check = true;
	if (!long_mode)
		return;
	/* The guest may have any TSS until it loads one; VM entry allows one kind. */
	vmx_get_segment(vcpu, &tr, VCPU_SREG_TR);
	if (tr.type != VMX_AR_TYPE_BUSY_64_TSS)
		vmx_set_segment(vcpu, &tr, VCPU_SREG_TR);
}

/*
 * The guest's CR0 but for NE, which VMX insists on (an external FPU interrupt
 * is userspace's loss); under shadow paging also PG and WP, which our tables
 * need, and without unrestricted guests PE and PG.  CD and NW are not loaded.
 */
static void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long fixed = vmx_caps.cr0_fixed0, hw;

	if (vmx_unrestricted)
		fixed &= ~(X86_CR0_PE | X86_CR0_PG);
	else
		vmx_real_switch(vmx, cr0);
	hw = (cr0 | fixed) & vmx_caps.cr0_fixed1;
	if (!vmx_ept)
		hw |= X86_CR0_PG | X86_CR0_WP;
	/* Alignment is checked at CPL 3: not in real mode, but in what stands for it. */
	if (vmx->real.vm86)
		hw &= ~X86_CR0_AM;
	vmcs_write(GUEST_CR0, hw);
	vmcs_write(CR0_READ_SHADOW, cr0);
	vmx->real.check = true;
	if (!vmx_ept || !vmx_unrestricted) {
		vmx_set_cr4(vcpu, kvm_read_cr4(vcpu));
		vmx_set_efer(vcpu, vcpu->efer);
	}
}

static void vmx_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx_ept)
		return;
	if (likely(!vmx->real.identity))
		vmcs_write(GUEST_CR3, cr3);
}

static unsigned long vmx_get_rflags(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long rflags = hw_rflags(vmx);

	return unlikely(vmx->real.vm86) ? vmx_real_rflags(vmx, rflags) : rflags;
}

/*
 * An interrupt shadow and the flags must agree (SDM 3C "Checks on Guest
 * Non-Register State"): STI casts one only with IF set, but MOV SS always, and
 * a step that waits behind it is a pending debug exception.
 */
static void sync_pending_dbg(struct vcpu_vmx *vmx)
{
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);
	unsigned long pending;

	if (likely(!(state & INTR_STATE_SHADOW)))
		return;
	/* A pending step would be one without an instruction. */
	if (vmx->vcpu.guest_debug & KVM_GUESTDBG_SINGLESTEP) {
		clear_shadow();
		return;
	}
	if ((state & GUEST_INTR_STATE_STI) && !(hw_rflags(vmx) & X86_EFLAGS_IF))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
			     (state & ~GUEST_INTR_STATE_STI) | GUEST_INTR_STATE_MOV_SS);
	pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS) & ~DR_STEP;
	if (hw_rflags(vmx) & X86_EFLAGS_TF)
		pending |= DR_STEP;
	vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, pending);
}

static void vmx_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(!vmx_unrestricted))
		rflags = vmx_real_set_rflags(vmx, rflags);
	vmx->rflags = rflags;
	vcpu->regs_avail |= BIT(VCPU_EXREG_RFLAGS);
	vmcs_write(GUEST_RFLAGS, rflags);
	sync_pending_dbg(vmx);
}

static void vmx_set_dr7(struct kvm_vcpu *vcpu, unsigned long dr7)
{
	vmcs_write(GUEST_DR7, dr7);
}

static void vmx_sync_debug_regs(struct kvm_vcpu *vcpu)
{
	get_debugreg(vcpu->db[0], 0);
	get_debugreg(vcpu->db[1], 1);
	get_debugreg(vcpu->db[2], 2);
	get_debugreg(vcpu->db[3], 3);
	get_debugreg(vcpu->dr6, 6);
	set_debugreg(DR6_RESERVED, 6);
	vcpu->dr7 = vmcs_read(GUEST_DR7);
	vcpu->dr_in_guest = false;
	set_dr_intercepts(to_vmx(vcpu), true);
}

/*
 * ---- model-specific registers ----
 */

static bool vmx_has_msr(u32 index)
{
	switch (index) {
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_KERNEL_GS_BASE:
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
	case MSR_IA32_DEBUGCTLMSR:
		return true;
	case MSR_TSC_AUX:
		return vmx_caps.tsc_aux;
	case MSR_IA32_SPEC_CTRL:
		return vmx_caps.spec_ctrl_bits;
	case MSR_IA32_PRED_CMD:
		return boot_cpu_has(X86_FEATURE_IBPB);
	default:
		return false;
	}
}

static bool guest_has_spec_ctrl(struct kvm_vcpu *vcpu)
{
	return kvm_guest_has(vcpu, X86_FEATURE_SPEC_CTRL) ||
	       kvm_guest_has(vcpu, X86_FEATURE_INTEL_STIBP) ||
	       kvm_guest_has(vcpu, X86_FEATURE_SPEC_CTRL_SSBD);
}

/* Those that not every guest has; userspace may save and restore them all the same. */
static bool msr_offered(struct kvm_vcpu *vcpu, const struct msr_data *msr)
{
	if (!vmx_has_msr(msr->index))
		return false;
	if (msr->host_initiated)
		return true;
	switch (msr->index) {
	case MSR_TSC_AUX:
		return kvm_guest_has(vcpu, X86_FEATURE_RDTSCP) ||
		       kvm_guest_has(vcpu, X86_FEATURE_RDPID);
	case MSR_IA32_SPEC_CTRL:
		return guest_has_spec_ctrl(vcpu);
	case MSR_IA32_PRED_CMD:
		return kvm_guest_has(vcpu, X86_FEATURE_SPEC_CTRL);
	}
	return true;
}

/* The guest's own while its host's state is switched. */
static u64 get_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->host.saved)
		rdmsrl(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	preempt_enable();
	return vmx->kernel_gs_base;
}

static int vmx_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx_has_msr(msr->index))
		return 1;
	if (!msr_offered(vcpu, msr))
		return -EINVAL;
	switch (msr->index) {
	case MSR_FS_BASE:
		msr->data = read_base(vmx, VCPU_SREG_FS);
		break;
	case MSR_GS_BASE:
		msr->data = read_base(vmx, VCPU_SREG_GS);
		break;
	case MSR_KERNEL_GS_BASE:
		msr->data = get_kernel_gs_base(vmx);
		break;
	case MSR_STAR:
		msr->data = vmx->star;
		break;
	case MSR_LSTAR:
		msr->data = vmx->lstar;
		break;
	case MSR_CSTAR:
		msr->data = vmx->cstar;
		break;
	case MSR_SYSCALL_MASK:
		msr->data = vmx->sfmask;
		break;
	case MSR_IA32_SYSENTER_CS:
		msr->data = vmx_real_sysenter_cs(vmx);
		break;
	case MSR_IA32_SYSENTER_ESP:
		msr->data = vmcs_read(GUEST_SYSENTER_ESP);
		break;
	case MSR_IA32_SYSENTER_EIP:
		msr->data = vmcs_read(GUEST_SYSENTER_EIP);
		break;
	case MSR_TSC_AUX:
		msr->data = vcpu->msr.tsc_aux;
		break;
	case MSR_IA32_SPEC_CTRL:
		msr->data = vmx->sw.guest_spec_ctrl;
		break;
	case MSR_IA32_PRED_CMD:
		/* write-only */
		msr->data = 0;
		return msr->host_initiated ? 0 : -EINVAL;
	case MSR_IA32_DEBUGCTLMSR:
		msr->data = vmx->debugctl;
		break;
	}
	return 0;
}

static bool must_be_canonical(u32 index)
{
	switch (index) {
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_KERNEL_GS_BASE:
	case MSR_FS_BASE:
	case MSR_GS_BASE:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
		return true;
	default:
		return false;
	}
}

static void set_base(struct vcpu_vmx *vmx, int seg, u64 base)
{
	struct vmx_seg s;

	vmx_read_seg(vmx, seg, &s);
	s.base = base;
	vmx_write_seg(vmx, seg, &s);
}

/* Those that are in the hardware from prepare_guest_switch to put. */
static void set_switched(struct vcpu_vmx *vmx, u32 index, u64 *field, u64 data)
{
	preempt_disable();
	*field = data;
	if (vmx->host.saved)
		wrmsrl(index, data);
	preempt_enable();
}

/* Once used it is used at every turn of the guest's kernel: no more exits then. */
static int set_spec_ctrl(struct vcpu_vmx *vmx, const struct msr_data *msr)
{
	if (msr->data & ~vmx_caps.spec_ctrl_bits)
		return -EINVAL;
	vmx->sw.guest_spec_ctrl = msr->data;
	if (!msr->data || vmx->spec_ctrl_direct ||
	    !(vmx->cpu_ctl & CPU_BASED_USE_MSR_BITMAPS))
		return 0;
	vmx->spec_ctrl_direct = true;
	vmx->sw.read_spec_ctrl = 1;
	update_msr_map(vmx);
	return 0;
}

static int set_pred_cmd(const struct msr_data *msr)
{
	if (msr->data & ~PRED_CMD_IBPB)
		return -EINVAL;
	if (msr->data && !msr->host_initiated)
		wrmsrl(MSR_IA32_PRED_CMD, PRED_CMD_IBPB);
	return 0;
}

/* Branch recording and stepping by branches are not virtualized: the bits only read back. */
static int set_debugctl(struct vcpu_vmx *vmx, u64 data)
{
	if (data & ~(u64)(DEBUGCTLMSR_LBR | DEBUGCTLMSR_BTF))
		return -EINVAL;
	vmx->debugctl = data;
	return 0;
}

static int vmx_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u64 tsc_aux, data = msr->data;

	if (!vmx_has_msr(msr->index))
		return 1;
	if (!msr_offered(vcpu, msr))
		return -EINVAL;
	if (must_be_canonical(msr->index) && is_noncanonical(data, vcpu_virt_bits(vcpu)))
		return -EINVAL;
	switch (msr->index) {
	case MSR_FS_BASE:
		set_base(vmx, VCPU_SREG_FS, data);
		return 0;
	case MSR_GS_BASE:
		set_base(vmx, VCPU_SREG_GS, data);
		return 0;
	case MSR_KERNEL_GS_BASE:
		set_switched(vmx, msr->index, &vmx->kernel_gs_base, data);
		return 0;
	case MSR_STAR:
		set_switched(vmx, msr->index, &vmx->star, data);
		return 0;
	case MSR_LSTAR:
		set_switched(vmx, msr->index, &vmx->lstar, data);
		return 0;
	case MSR_CSTAR:
		/* Without effect on Intel's processors. */
		vmx->cstar = data;
		return 0;
	case MSR_SYSCALL_MASK:
		/* The upper half is reserved (SDM 4). */
		if (data >> 32)
			return -EINVAL;
		set_switched(vmx, msr->index, &vmx->sfmask, data);
		return 0;
	case MSR_IA32_SYSENTER_CS:
		vmx_real_set_sysenter_cs(vmx, data);
		return 0;
	case MSR_IA32_SYSENTER_ESP:
		vmcs_write(GUEST_SYSENTER_ESP, data);
		return 0;
	case MSR_IA32_SYSENTER_EIP:
		vmcs_write(GUEST_SYSENTER_EIP, data);
		return 0;
	case MSR_TSC_AUX:
		if (data >> 32)
			return -EINVAL;
		set_switched(vmx, msr->index, &tsc_aux, data);
		vcpu->msr.tsc_aux = data;
		return 0;
	case MSR_IA32_SPEC_CTRL:
		return set_spec_ctrl(vmx, msr);
	case MSR_IA32_PRED_CMD:
		return set_pred_cmd(msr);
	default:
		return set_debugctl(vmx, data);
	}
}

static void vmx_supported_cpuid(struct kvm_cpuid_entry2 *entry)
{
	bool invpcid = vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_INVPCID;

	switch (entry->function) {
	case 1:
		if (!vmx_ept)
			entry->ecx &= ~BIT(X86_FEATURE_PCID & 31);
		break;
	case 7:
		if (entry->index)
			break;
		if (!invpcid)
			entry->ebx &= ~BIT(X86_FEATURE_INVPCID & 31);
		if (!vmx_ept)
			entry->ecx &= ~(BIT(X86_FEATURE_PKU & 31) |
					BIT(X86_FEATURE_OSPKE & 31) |
					BIT(X86_FEATURE_LA57 & 31));
		break;
	case 0xd:
		if (entry->index == 1 && !(vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_XSAVES))
			entry->eax &= ~BIT(X86_FEATURE_XSAVES & 31);
		break;
	}
}

/*
 * ---- events ----
 */

static u32 vmx_get_interrupt_shadow(struct kvm_vcpu *vcpu)
{
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO), shadow = 0;

	if (state & GUEST_INTR_STATE_STI)
		shadow |= KVM_X86_SHADOW_INT_STI;
	if (state & GUEST_INTR_STATE_MOV_SS)
		shadow |= KVM_X86_SHADOW_INT_MOV_SS;
	return shadow;
}

/* Both at once is more than VM entry allows, and MOV SS is the stronger. */
static void vmx_set_interrupt_shadow(struct kvm_vcpu *vcpu, u32 mask)
{
	u32 old = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO), state = old & ~INTR_STATE_SHADOW;

	if (mask & KVM_X86_SHADOW_INT_MOV_SS)
		state |= GUEST_INTR_STATE_MOV_SS;
	else if (mask & KVM_X86_SHADOW_INT_STI)
		state |= GUEST_INTR_STATE_STI;
	if (state == old)
		return;
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state);
	sync_pending_dbg(to_vmx(vcpu));
}

/*
 * Without virtual NMIs an IRET says nothing to anybody (SDM 3C "IRET" in
 * "Changes to Instruction Behavior").  Then an NMI's handler is taken to be at
 * its end when the guest can take interrupts again, or after a second.
 */
#define NMI_HANDLER_MAX		HZ

static bool nmi_masked(struct vcpu_vmx *vmx)
{
	if (likely(vmx_vnmi))
		return vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_NMI;
	if (vmx->nmi_masked && time_after(jiffies, vmx->nmi_masked_at + NMI_HANDLER_MAX))
		vmx->nmi_masked = false;
	return vmx->nmi_masked;
}

static void vmx_set_nmi_mask(struct kvm_vcpu *vcpu, bool masked)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 state;

	if (unlikely(!vmx_vnmi)) {
		vmx->nmi_masked = masked;
		vmx->nmi_masked_at = jiffies;
		return;
	}
	state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & ~GUEST_INTR_STATE_NMI;
	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO,
		     masked ? state | GUEST_INTR_STATE_NMI : state);
}

static bool vmx_get_nmi_mask(struct kvm_vcpu *vcpu)
{
	return nmi_masked(to_vmx(vcpu));
}

static void put_in(struct vcpu_vmx *vmx, u32 info)
{
	vmx->injected = true;
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info | INTR_INFO_VALID_MASK);
}

static void vmx_inject_exception(struct kvm_vcpu *vcpu)
{
	const struct kvm_queued_exception *ex = &vcpu->events.exception;
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 info = ex->vector;

	if (unlikely(vmx->real.vm86)) {
		vmx_real_inject(vmx, ex->vector,
				ex->vector == X86_TRAP_BP || ex->vector == X86_TRAP_OF);
		return;
	}
	/* The return address of #BP and #OF lies behind their instruction, of one byte. */
	if (ex->vector == X86_TRAP_BP || ex->vector == X86_TRAP_OF) {
		info |= INTR_TYPE_SOFT_EXCEPTION;
		vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, 1);
	} else {
		info |= INTR_TYPE_HARD_EXCEPTION;
	}
	if (ex->has_error_code) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, ex->error_code);
	}
	clear_shadow();
	/* SDM 3C "Checks on Guest Non-Register State": few events enter a halted guest. */
	if (unlikely(kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT)))
		vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	put_in(vmx, info);
}

static void vmx_inject_irq(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	/* INT n: RIP is still there, so the guest executes it again. */
	if (unlikely(vcpu->events.irq.soft)) {
		vcpu->events.irq.injected = false;
		return;
	}
	if (unlikely(vmx->real.vm86)) {
		vmx_real_inject(vmx, vcpu->events.irq.nr, 0);
		return;
	}
	/* What userspace says was acknowledged must wait all the same. */
	if (unlikely(!(vmx_get_rflags(vcpu) & X86_EFLAGS_IF))) {
		kvm_ops.enable_irq_window(vcpu);
		return;
	}
	clear_shadow();
	put_in(vmx, vcpu->events.irq.nr | INTR_TYPE_EXT_INTR);
}

static void vmx_inject_nmi(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (unlikely(vmx->real.vm86)) {
		vmx_set_nmi_mask(vcpu, true);
		vmx_real_inject(vmx, X86_TRAP_NMI, 0);
		return;
	}
	clear_shadow();
	/* The entry blocks NMIs, and must not find them so. */
	vmx_set_nmi_mask(vcpu, !vmx_vnmi);
	put_in(vmx, X86_TRAP_NMI | INTR_TYPE_NMI_INTR);
}

static bool vmx_irq_allowed(struct kvm_vcpu *vcpu)
{
	return (vmx_get_rflags(vcpu) & X86_EFLAGS_IF) &&
	       !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTR_STATE_SHADOW) &&
	       vmx_real_can_inject(to_vmx(vcpu));
}

static bool vmx_nmi_allowed(struct kvm_vcpu *vcpu)
{
	return !(vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & INTR_STATE_SHADOW) &&
	       !nmi_masked(to_vmx(vcpu)) && vmx_real_can_inject(to_vmx(vcpu));
}

static void vmx_enable_irq_window(struct kvm_vcpu *vcpu)
{
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_INTR_WINDOW_EXITING, true);
}

/* Behind another event, too.  For processors without virtual NMIs see nmi_masked(). */
static void vmx_enable_nmi_window(struct kvm_vcpu *vcpu)
{
	vmx_set_cpu_ctl(to_vmx(vcpu), vmx_vnmi ? CPU_BASED_NMI_WINDOW_EXITING :
						 CPU_BASED_INTR_WINDOW_EXITING, true);
}

/*
 * ---- MMU ----
 */

static void vmx_tlb_flush_gva(struct kvm_vcpu *vcpu, u64 gva)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const u64 cap = (u64)VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT << 32;

	/* Without a tag, every exit flushes. */
	if (!vmx->vpid)
		return;
	preempt_disable();
	if ((vmx_caps.ept_vpid & cap) && !is_noncanonical(gva, 48))
		invvpid(VMX_VPID_EXTENT_INDIVIDUAL_ADDR, vmx->vpid, gva);
	else
		invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vmx->vpid, 0);
	preempt_enable();
}

/* VM entry keeps what the tags have in the TLB, whatever root it loads. */
static void vmx_load_root(struct kvm_vcpu *vcpu, u64 root_hpa, int level)
{
	if (vmx_ept)
		vmcs_write64(EPT_POINTER, eptp(root_hpa));
	else
		vmcs_write(GUEST_CR3, root_hpa);
	vmx_tlb_flush(vcpu);
}

/*
 * ---- time ----
 */

static void vmx_set_tsc_offset(struct kvm_vcpu *vcpu, u64 offset)
{
	vmcs_write64(TSC_OFFSET, offset);
}

static struct kvm_arch_ops vmx_ops __ro_after_init = {
	.name = "kvm_intel",
	.isa = KVM_ISA_VMX,
	.microcode_shift = 32,	/* AMD has it in the lower half */
	.vm_size = sizeof(struct kvm_vmx),
	.vcpu_size = sizeof(struct vcpu_vmx),

	.hardware_setup = vmx_hardware_setup,
	.hardware_unsetup = vmx_hardware_unsetup,
	.hardware_enable = vmx_hardware_enable,
	.hardware_disable = vmx_hardware_disable,

	.vm_init = vmx_vm_init,
	.vm_destroy = vmx_vm_destroy,

	.vcpu_create = vmx_vcpu_create,
	.vcpu_free = vmx_vcpu_free,
	.vcpu_reset = vmx_vcpu_reset,
	.vcpu_load = vmx_vcpu_load,
	.vcpu_put = vmx_vcpu_put,
	.prepare_guest_switch = vmx_prepare_guest_switch,

	.run = vmx_run,
	.handle_exit_irqoff = vmx_handle_exit_irqoff,
	.handle_exit = vmx_handle_exit,
	.skip_insn = vmx_skip_insn,
	.exit_info = vmx_exit_info,

	.cache_reg = vmx_cache_reg,
	.get_segment = vmx_get_segment,
	.set_segment = vmx_set_segment,
	.get_cpl = vmx_get_cpl,
	.get_idt = vmx_get_idt,
	.set_idt = vmx_set_idt,
	.get_gdt = vmx_get_gdt,
	.set_gdt = vmx_set_gdt,
	.set_cr0 = vmx_set_cr0,
	.set_cr3 = vmx_set_cr3,
	.set_cr4 = vmx_set_cr4,
	.set_efer = vmx_set_efer,
	.get_rflags = vmx_get_rflags,
	.set_rflags = vmx_set_rflags,
	.set_dr7 = vmx_set_dr7,
	.sync_debug_regs = vmx_sync_debug_regs,
	.update_intercepts = vmx_update_intercepts,

	.get_msr = vmx_get_msr,
	.set_msr = vmx_set_msr,
	.has_msr = vmx_has_msr,
	.supported_cpuid = vmx_supported_cpuid,

	.get_interrupt_shadow = vmx_get_interrupt_shadow,
	.set_interrupt_shadow = vmx_set_interrupt_shadow,
	.inject_exception = vmx_inject_exception,
	.inject_irq = vmx_inject_irq,
	.inject_nmi = vmx_inject_nmi,
	.irq_allowed = vmx_irq_allowed,
	.nmi_allowed = vmx_nmi_allowed,
	.get_nmi_mask = vmx_get_nmi_mask,
	.set_nmi_mask = vmx_set_nmi_mask,
	.enable_irq_window = vmx_enable_irq_window,
	.enable_nmi_window = vmx_enable_nmi_window,
	.cancel_injection = vmx_cancel_injection,
	.watch_cr8 = vmx_watch_cr8,

	.load_root = vmx_load_root,
	.tlb_flush = vmx_tlb_flush,
	.tlb_flush_gva = vmx_tlb_flush_gva,

	.set_tsc_offset = vmx_set_tsc_offset,
};

static int __init vmx_init(void)
{
	return kvm_init_arch(&vmx_ops, THIS_MODULE);
}
module_init(vmx_init);

static void __exit vmx_exit(void)
{
	kvm_exit_arch();
}
module_exit(vmx_exit);
