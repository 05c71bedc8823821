// SPDX-License-Identifier: GPL-2.0-only
/*
 * Intel VMX: what the processor's manual defines and nothing else.
 *
 * "SDM 3C" is the third part of volume 3 of the Intel 64 and IA-32
 * Architectures Software Developer's Manual; sections are named by their
 * titles.  The VMCS is not plain memory: each field is read by an instruction.  So
 * the registers in it are read on demand (cache_reg) and remembered until the next
 * exit.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_handlers.h"
#include "kvm_io.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_perf.h"
#include "kvm_regs.h"
#include "kvm_vcpu.h"
#include "vmx/quirks.h"
#include "vmx/vmx.h"

#include <linux/idr.h>
#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/rculist.h>
#include <asm/cpu_device_id.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/mmu_context.h>
#include <asm/reboot.h>
#include <asm/segment.h>
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
MODULE_PARM_DESC(dump_invalid_vmcs, "log the VMCS when a VM entry fails");

static unsigned long lazy_regs __ro_after_init;	/* kvm_reg bits to be read on demand */

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

#define PML_LAST		(PAGE_SIZE / sizeof(u64) - 1)

static_assert(offsetof(struct kvm_vmx, kvm) == 0);
static_assert(offsetof(struct vcpu_vmx, vcpu) == 0);

static DEFINE_IDA(vpids);

static struct kvm_arch_ops vmx_ops __ro_after_init;

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
	vmx_ops.nested_exec_mask = VMX_EPT_EXECUTABLE_MASK;
	/*
	 * Memory is write-back whatever the guest's PAT says, as the host has it so, too; but
	 * not where a device's DMA does not snoop.  The guest's MTRRs never count: those that
	 * describe its memory say write-back.  A device's memory is uncached, or what the PAT
	 * makes of that, write combining (SDM 3C "Memory Type Used for Translated Guest-Physical
	 * Addresses").
	 */
	vmx_ops.nested_leaf_mask = VMX_EPTP_MT_WB << VMX_EPT_MT_EPTE_SHIFT | VMX_EPT_IPAT_BIT;
	vmx_ops.nested_ignore_pat = vmx_caps.pat_fields ? VMX_EPT_IPAT_BIT : 0;
	vmx_ops.nested_device_mask = vmx_caps.pat_fields ? 0 : VMX_EPT_IPAT_BIT;
	vmx_ops.nested_accessed_mask = vmx_eptad ? VMX_EPT_ACCESS_BIT : 0;
	vmx_ops.nested_dirty_mask = vmx_eptad ? VMX_EPT_DIRTY_BIT : 0;
	vmx_ops.nested_dirty_log = vmx_pml;
	/* Writable but not readable: SDM 3C "EPT Misconfigurations". */
	vmx_ops.nested_mmio_entry = VMX_EPT_WRITABLE_MASK;
	/* SDM 3C "RDTSCP", "RDPID": #UD in a guest without the control. */
	vmx_ops.has_tsc_aux = (vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_RDTSCP) &&
			      (boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID));
	vmx_ops.has_xsaves = vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_XSAVES;
	vmx_ops.has_invpcid = vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_INVPCID;
	vmx_ops.has_bus_lock_exits = vmx_ctl.cpu2 & SECONDARY_EXEC_BUS_LOCK_DETECTION;
	vmx_ops.has_notify_exits = vmx_ctl.cpu2 & SECONDARY_EXEC_NOTIFY_VM_EXITING;
	vmx_ops.has_waitpkg = vmx_ctl.cpu2 & SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE;
	vmx_ops.cr4_guest_reserved = (u32)~vmx_caps.cr4_fixed1;
}

static int __init vmx_hardware_setup(void)
{
	int r = vmx_check_processors();

	if (r)
		return r;
	vmx_find_features();
	r = vmx_alloc_maps();
	if (r)
		goto out_maps;
	r = vmx_init_cpus();
	if (r)
		goto out_maps;
	r = vmx_l1tf_init();
	if (r)
		goto out_cpus;
	vmx_perf_init();
	find_lazy_regs();
	fill_ops();
	vmx_quirks_init();
	pr_info("nested paging %s, unrestricted guests %s\n", vmx_ept ? "on" : "off",
		vmx_unrestricted ? "on" : "off");
	return 0;

out_cpus:
	vmx_free_cpus();
out_maps:
	vmx_free_maps();
	return r;
}

static void vmx_hardware_unsetup(void)
{
	kvm_quirks_exit();
	vmx_perf_exit();
	vmx_l1tf_exit();
	vmx_free_cpus();
	vmx_free_maps();
}

/*
 * ---- VM and vcpu life ----
 */

static int vmx_vm_init(struct kvm *kvm)
{
	int r = vmx_real_init_vm(kvm);

	if (r)
		return r;
	vmx_l1tf_init_vm();
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

/* 0 is the host's, and stands for none. */
static u16 alloc_vpid(void)
{
	int id = vmx_vpid ? ida_alloc_range(&vpids, 1, VMX_NR_VPIDS - 1, GFP_KERNEL) : 0;

	return max(id, 0);
}

static void free_vpid(u16 id)
{
	if (id)
		ida_free(&vpids, id);
}

static int vmx_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx->vmcs = vmx_alloc_vmcs(NUMA_NO_NODE, GFP_KERNEL_ACCOUNT);
	if (!vmx->vmcs)
		return -ENOMEM;
	vmx->area.guest = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vmx->area.guest)
		goto out_vmcs;
	vmx->area.host = vmx->area.guest + VMX_AREA_MSRS;
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
	vmx->vpid = alloc_vpid();
	vmx->loaded_cpu = -1;
	vmx->exit_reason = EXIT_REASON_NONE;
	vcpu->regs_avail = ~0UL;
	return 0;

out_vapic:
	free_page((unsigned long)vmx->vapic);
out_areas:
	free_page((unsigned long)vmx->area.guest);
out_vmcs:
	__free_page(vmx->vmcs);
	return -ENOMEM;
}

static void vmx_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx_unload_vmcs_anywhere(vmx);
	free_vpid(vmx->vpid);
	free_page((unsigned long)vmx->pml);
	free_page((unsigned long)vmx->vapic);
	free_page((unsigned long)vmx->area.guest);
	__free_page(vmx->vmcs);
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
	if (!vmx->vcpu.kvm->bus_lock_exits)
		vmx->cpu2_ctl &= ~SECONDARY_EXEC_BUS_LOCK_DETECTION;
	if (!(vmx->vcpu.kvm->notify_flags & KVM_X86_NOTIFY_VMEXIT_ENABLED))
		vmx->cpu2_ctl &= ~SECONDARY_EXEC_NOTIFY_VM_EXITING;
	vmx_apic_init(vmx);
	vmcs_write32(PIN_BASED_VM_EXEC_CONTROL, vmx->pin_ctl);
	vmcs_write32(CPU_BASED_VM_EXEC_CONTROL, vmx->cpu_ctl);
	if (vmx->cpu_ctl & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
		vmcs_write32(SECONDARY_VM_EXEC_CONTROL, vmx->cpu2_ctl);
	vmcs_write32(VM_EXIT_CONTROLS, vmx->exit_ctl);
	vmcs_write32(VM_ENTRY_CONTROLS, vmx->entry_ctl);
	if (vmx->pin_ctl & PIN_BASED_VMX_PREEMPTION_TIMER)
		vmx_init_guest_slices();
	if (vmx->vpid)
		vmcs_write16(VIRTUAL_PROCESSOR_ID, vmx->vpid);
	if (vmx->pml) {
		vmcs_write64(PML_ADDRESS, __pa(vmx->pml));
		vmcs_write16(GUEST_PML_INDEX, PML_LAST);
	}
	vmx_init_ple(vmx);
	if (vmx->cpu2_ctl & SECONDARY_EXEC_ENABLE_XSAVES)
		vmcs_write64(XSS_EXIT_BITMAP, 0);
	if (vmx->cpu2_ctl & SECONDARY_EXEC_NOTIFY_VM_EXITING)
		vmcs_write32(NOTIFY_WINDOW, vmx->vcpu.kvm->notify_window);
	/* Every leaf: the host's enclaves are not the guest's. */
	if (vmx->cpu2_ctl & SECONDARY_EXEC_ENCLS_EXITING)
		vmcs_write64(ENCLS_EXITING_BITMAP, ~0ULL);
	if (vmx->cpu2_ctl & SECONDARY_EXEC_ENCLV_EXITING)
		vmcs_write64(ENCLV_EXITING_BITMAP, ~0ULL);
	vmcs_write64(TSC_OFFSET, vmx->vcpu.hw_tsc_offset);
	vmcs_write64(VMCS_LINK_POINTER, ~0ULL);
	vmcs_write64(VM_ENTRY_MSR_LOAD_ADDR, __pa(vmx->area.guest));
	vmcs_write64(VM_EXIT_MSR_LOAD_ADDR, __pa(vmx->area.host));
	vmx->area.nr = 0;
	vmx_write_area_counts(vmx);
	vmcs_write32(VM_EXIT_MSR_STORE_COUNT, 0);
	if (vmx_caps.perf_fields) {
		vmx->perf_ctrl_guest = vmx->perf_ctrl_host = 0;
		vmcs_write64(GUEST_IA32_PERF_GLOBAL_CTRL, 0);
		vmcs_write64(HOST_IA32_PERF_GLOBAL_CTRL, 0);
	}
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MASK, 0);
	vmcs_write32(PAGE_FAULT_ERROR_CODE_MATCH, 0);
	vmcs_write32(CR3_TARGET_COUNT, 0);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
	vmcs_write(CR0_GUEST_HOST_MASK, ~CR0_OWNED);
}

/* What RESET and INIT set; the core sets what it knows itself. */
static void init_save(struct vcpu_vmx *vmx)
{
	kvm_reset_segments(&vmx->vcpu);
	vmcs_write(GUEST_CR3, 0);
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
		memset(vmx->syscall_msrs, 0, sizeof(vmx->syscall_msrs));
		vmx->kernel_gs_base = 0;
		vmcs_write32(GUEST_SYSENTER_CS, 0);
		vmcs_write(GUEST_SYSENTER_ESP, 0);
		vmcs_write(GUEST_SYSENTER_EIP, 0);
	}
	memset(&vmx->real, 0, sizeof(vmx->real));
	vmx->seg_read = 0;
	init_control(vmx);
	vmx_init_host_state(vmx);
	init_save(vmx);
}

static void vmx_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct vmx_cpu *vc = per_cpu_ptr(&vmx_cpus, cpu);
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long flags;
	bool moved = READ_ONCE(vmx->loaded_cpu) != cpu;

	if (unlikely(moved)) {
		vmx_unload_vmcs_anywhere(vmx);
		/* It initializes a new VMCS, and does no harm to another. */
		vmclear(page_pa(vmx->vmcs));
		/* CPU hotplug walks the list with interrupts off. */
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
		vmx_load_cpu_state(cpu);
		/* The TLB may have translations with this tag from the vcpu's last stay. */
		kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
	}
	/* It may have spun because of who is running now. */
	if (unlikely(vcpu->preempted))
		vmx_shrink_ple_window(vmx);
	kvm_isolate_predictors(vcpu);
	vcpu->l1d_flush = true;
}

/*
 * MSRs that the kernel needs only for system calls of user mode.  CSTAR has no effect
 * on Intel's processors, as there is no SYSCALL in compatibility mode: it is not loaded.
 */
static void load_msrs(struct vcpu_vmx *vmx, struct vmx_cpu *vc, bool guest)
{
	int i;

	for (i = 0; i < VMX_NR_SYSCALL_MSRS; i++)
		if (MSR_STAR + i != MSR_CSTAR && vmx->syscall_msrs[i] != vc->syscall_msrs[i])
			wrmsrq(MSR_STAR + i, guest ? vmx->syscall_msrs[i] : vc->syscall_msrs[i]);
}

/*
 * TSX_CTRL as the processor shall have it: what CPUID says is ours to answer, and a guest
 * that is not to have TSX has none, whatever the processor could do.
 */
static u64 hw_tsx_ctrl(struct vcpu_vmx *vmx)
{
	u64 host = this_cpu_ptr(&vmx_cpus)->tsx_ctrl;

	return (host & TSX_CTRL_CPUID_CLEAR) | (vmx->vcpu.msr.tsx_ctrl & TSX_CTRL_RTM_DISABLE) |
	       (vmx->vcpu.guest_caps & KVM_GUEST_HAS_RTM ? 0 : TSX_CTRL_RTM_DISABLE);
}

/* MSRs that the kernel itself does without, user mode does not. */
static void load_user_msrs(struct vcpu_vmx *vmx)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);

	if (vmx_caps.tsx_ctrl && hw_tsx_ctrl(vmx) != vc->tsx_ctrl)
		wrmsrq(MSR_IA32_TSX_CTRL, hw_tsx_ctrl(vmx));
	if (!(vmx->cpu2_ctl & SECONDARY_EXEC_ENABLE_USR_WAIT_PAUSE))
		return;
	/* The administrator may have changed it. */
	rdmsrq(MSR_IA32_UMWAIT_CONTROL, vmx->host.umwait_control);
	if (vmx->vcpu.msr.umwait_control != vmx->host.umwait_control)
		wrmsrq(MSR_IA32_UMWAIT_CONTROL, vmx->vcpu.msr.umwait_control);
	vmx->host.umwait_saved = true;
}

static void put_user_msrs(struct vcpu_vmx *vmx)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);

	if (vmx_caps.tsx_ctrl && hw_tsx_ctrl(vmx) != vc->tsx_ctrl)
		wrmsrq(MSR_IA32_TSX_CTRL, vc->tsx_ctrl);
	if (!vmx->host.umwait_saved)
		return;
	vmx->host.umwait_saved = false;
	if (vmx->vcpu.msr.umwait_control != vmx->host.umwait_control)
		wrmsrq(MSR_IA32_UMWAIT_CONTROL, vmx->host.umwait_control);
}

static void vmx_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (!vmx->host.saved)
		return;
	vmx->host.saved = false;
	load_msrs(vmx, this_cpu_ptr(&vmx_cpus), false);
	put_user_msrs(vmx);
	kvm_put_guest_tsc_aux(vcpu);
	rdmsrq(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	if (unlikely(vmx->host.ldt))
		asm volatile("lldt %0" : : "m" (vmx->host.ldt));
	if (unlikely(vmx->host.ds | vmx->host.es)) {
		loadsegment(ds, vmx->host.ds);
		loadsegment(es, vmx->host.es);
	}
	if (unlikely(vmx->host.fs)) {
		loadsegment(fs, vmx->host.fs);
		wrmsrq(MSR_FS_BASE, vmx->host.fs_base);
	}
	if (unlikely(vmx->host.gs))
		load_gs_index(vmx->host.gs);
	wrmsrq(MSR_KERNEL_GS_BASE, vmx->host.kernel_gs_base);
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
	rdmsrq(MSR_FS_BASE, vmx->host.fs_base);
	rdmsrq(MSR_KERNEL_GS_BASE, vmx->host.kernel_gs_base);
	vmx->host.debugctl = get_debugctlmsr();
	vmcs_write(HOST_FS_BASE, vmx->host.fs_base);
	update_host_cr3(vmx);
	wrmsrq(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	load_msrs(vmx, this_cpu_ptr(&vmx_cpus), true);
	load_user_msrs(vmx);
	kvm_load_guest_tsc_aux(vcpu);
	vmx->host.saved = true;
	vcpu->stat.host_state_reload++;
}

/*
 * ---- run and exit ----
 */

/*
 * What an exit interrupted (SDM 3C "Information for VM Exits That Occur During
 * Event Delivery").  INT n, INT3, INTO and INT1 have not moved RIP yet; the exit tells their
 * length, also if we injected them as events.
 */
static void requeue_interrupted(struct vcpu_vmx *vmx, u32 info)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;
	u8 vector = info & VECTORING_INFO_VECTOR_MASK;
	bool has_code = info & VECTORING_INFO_DELIVER_CODE_MASK;

	kvm_clear_injected(vcpu);
	if (!(info & VECTORING_INFO_VALID_MASK))
		return;
	switch (info & VECTORING_INFO_TYPE_MASK) {
	case INTR_TYPE_NMI_INTR:
		/* Its delivery has blocked NMIs, and will again. */
		vmx_set_nmi_mask(vcpu, false);
		kvm_requeue_nmi(vcpu);
		break;
	case INTR_TYPE_EXT_INTR:
		kvm_requeue_irq(vcpu, vector);
		break;
	case INTR_TYPE_SOFT_INTR:
		kvm_requeue_soft_irq(vcpu, vector, vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
		break;
	case INTR_TYPE_SOFT_EXCEPTION:
	case INTR_TYPE_PRIV_SW_EXCEPTION:
		kvm_requeue_soft_exception(vcpu, vector, vmcs_read32(VM_EXIT_INSTRUCTION_LEN));
		break;
	case INTR_TYPE_HARD_EXCEPTION:
		kvm_requeue_exception(vcpu, vector, has_code,
				      has_code ? vmcs_read32(IDT_VECTORING_ERROR_CODE) : 0);
		break;
	}
}

/* The same field, of an entry at which nothing was injected. */
static u32 vectoring_info(struct vcpu_vmx *vmx)
{
	u32 info = vmcs_read32(IDT_VECTORING_INFO_FIELD);

	if (unlikely(info & VECTORING_INFO_VALID_MASK) && vmx_quirk(VMX_QUIRK_STALE_VECTORING))
		return vmx_true_vectoring(vmx, info);
	return info;
}

/* There was no entry: the event is still in vcpu->events. */
static void vmx_cancel_injection(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	vmx->real.event.valid = false;
	if (!vmx->injected)
		return;
	vmx->injected = false;
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, 0);
}

/* The entries were checked when the guest loaded them by MOV CR: VM entry takes these. */
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

	/* An IPI may have changed it, for performance counters. */
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
	kvm_note_host_spec_ctrl(vcpu);
}

/* The host's state that VM exits do not restore. */
static void restore_host(struct vcpu_vmx *vmx)
{
	/* VM exits clear it. */
	if (unlikely(vmx->host.debugctl))
		update_debugctlmsr(vmx->host.debugctl);
	kvm_want_ibpb_to_user();
}

/*
 * The addresses that the processor set dirty bits for, the first of them in the last entry
 * (SDM 3C "Page-Modification Logging").  The index is that of the next; wrapped around
 * when all are used.
 */
static void collect_pml(struct vcpu_vmx *vmx)
{
	unsigned int next = vmcs_read16(GUEST_PML_INDEX), first, i;

	if (likely(next == PML_LAST))
		return;
	first = next > PML_LAST ? 0 : next + 1;
	for (i = PML_LAST + 1; i-- > first; )
		kvm_mark_gpa_dirty(&vmx->vcpu, vmx->pml[i]);
	vmcs_write16(GUEST_PML_INDEX, PML_LAST);
}

/* After an NMI exit NMIs are blocked until the handler's IRET: nothing before it may fault. */
static void copy_exit(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;

	vcpu->cr2 = native_read_cr2();
	vmx->exit_reason = vmcs_read32(VM_EXIT_REASON);
	if (unlikely(vmx->exit_reason & EXIT_REASON_BUS_LOCKED)) {
		vmx->exit_reason &= ~EXIT_REASON_BUS_LOCKED;
		vmx->bus_locked = true;
	}
	if (vmx->exit_reason == EXIT_REASON_EXCEPTION_NMI) {
		vmx->intr_info = vmcs_read32(VM_EXIT_INTR_INFO);
		if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR) {
			kvm_perf_interrupted(vcpu);
			vmx_call_nmi();
			kvm_perf_interrupted(NULL);
		}
	}
	vcpu->regs_avail &= ~lazy_regs;
	vmx->seg_read = 0;
}

/* Without virtual NMIs only software blocks them; one that is pending is tried after each exit. */
static void soft_vnmi(struct vcpu_vmx *vmx)
{
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);

	if (state & GUEST_INTR_STATE_NMI)
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~GUEST_INTR_STATE_NMI);
	if (vmx->vcpu.events.nmi_pending)
		kvm_make_request(KVM_REQ_EVENT, &vmx->vcpu);
}

/* Nothing ran.  The error number is 0 if VMX went off in an emergency. */
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
	u32 info;

	if (unlikely(!vmx_unrestricted) && vmx_real_no_entry(vmx))
		return;
	before_entry(vmx);
	if (static_branch_unlikely(&vmx_host_perf)) {
		/* By an interrupt perf may have begun to record branches. */
		vmx->host.debugctl = get_debugctlmsr();
		vmx_switch_perf(vmx);
	}
	if (static_branch_unlikely(&vmx_flushes_l1d))
		vmx_flush_l1d(vmx);
	vmx_compat_clear_stale_mmio();
	kvm_guest_context_enter();
	failed = vmx_enter_guest(vcpu, &vmx->host_rsp, vmx->launched);
	kvm_guest_context_exit();
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
	vmx->launched = true;
	if (vmx->pml)
		collect_pml(vmx);
	if (unlikely(!vmx_vnmi))
		soft_vnmi(vmx);
	if (vmx->injected) {
		vmx->injected = false;
		requeue_interrupted(vmx, vmcs_read32(IDT_VECTORING_INFO_FIELD));
	} else if (BIT_ULL(vmx->exit_reason & 63) & VECTORING_REASONS) {
		/* Nothing was injected, so without an event there is nothing to forget either. */
		info = vectoring_info(vmx);
		if (unlikely(info & VECTORING_INFO_VALID_MASK))
			requeue_interrupted(vmx, info);
	}
}

static bool in_64bit_code(struct kvm_vcpu *vcpu)
{
	return is_long_mode(vcpu) && is_64bit_code(vcpu);
}

/*
 * The instruction in the shadow is done.  A step that was pending behind MOV SS
 * (SDM 3C "Saving Non-Register State") is the one that the core now raises.
 */
static noinline void end_shadow(u32 state)
{
	unsigned long pending = vmcs_read(GUEST_PENDING_DBG_EXCEPTIONS);

	vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~INTR_STATE_SHADOW);
	if (pending & DR_STEP)
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, pending & ~DR_STEP);
}

/* Each exit that skips comes here: kvm_rip_read() would call back through kvm_ops. */
static __always_inline unsigned long read_rip(struct kvm_vcpu *vcpu)
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
		end_shadow(state);
	vmx_drop_skipped_step(to_vmx(vcpu));
	return 1;
}

/* The host's that cannot wait. */
static void vmx_handle_exit_irqoff(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u8 vector = vmx->intr_info & INTR_INFO_VECTOR_MASK;

	if (likely(vmx->exit_reason != EXIT_REASON_EXCEPTION_NMI)) {
		if (likely((u16)vmx->exit_reason != EXIT_REASON_MCE_DURING_VMENTRY))
			return;
	} else if (vector == X86_TRAP_NM) {
		kvm_save_xfd_err(vcpu);
		return;
	} else if (vector != X86_TRAP_MC) {
		return;
	}
	kvm_machine_check();
}

static void vmx_exit_info(struct kvm_vcpu *vcpu, u64 *reason, u64 *info1, u64 *info2)
{
	*reason = to_vmx(vcpu)->exit_reason;
	*info1 = vmcs_read(EXIT_QUALIFICATION);
	*info2 = vmcs_read32(VM_EXIT_INTR_INFO);
}

static void vmx_sample(struct kvm_vcpu *vcpu, unsigned long *ip, bool *user)
{
	*ip = vmcs_read(GUEST_RIP);
	*user = VMX_AR_DPL(vmcs_read32(GUEST_SS_AR_BYTES)) == 3;
}

/*
 * ---- model-specific registers ----
 */

/* The hardware has the guest's from prepare_guest_switch to put, and SWAPGS changes it. */
static u64 get_kernel_gs_base(struct vcpu_vmx *vmx)
{
	preempt_disable();
	if (vmx->host.saved)
		rdmsrq(MSR_KERNEL_GS_BASE, vmx->kernel_gs_base);
	preempt_enable();
	return vmx->kernel_gs_base;
}

static u32 syscall_index(u32 index)
{
	return array_index_nospec(index - MSR_STAR, MSR_SYSCALL_MASK - MSR_STAR + 1);
}

static u64 vmx_get_msr(struct kvm_vcpu *vcpu, u32 index)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (index) {
	case MSR_FS_BASE:
		return vmx_read_base(vmx, VCPU_SREG_FS);
	case MSR_GS_BASE:
		return vmx_read_base(vmx, VCPU_SREG_GS);
	case MSR_KERNEL_GS_BASE:
		return get_kernel_gs_base(vmx);
	case MSR_STAR ... MSR_SYSCALL_MASK:
		return vmx->syscall_msrs[syscall_index(index)];
	case MSR_IA32_SYSENTER_CS:
		return vmx_real_sysenter_cs(vmx);
	case MSR_IA32_SYSENTER_ESP:
		return vmcs_read(GUEST_SYSENTER_ESP);
	default:
		return vmcs_read(GUEST_SYSENTER_EIP);
	}
}

static void set_base(struct vcpu_vmx *vmx, int seg, u64 base)
{
	struct vmx_seg s;

	vmx_read_seg(vmx, seg, &s);
	s.base = base;
	vmx_write_seg(vmx, seg, &s);
}

/* The hardware has the guest's from prepare_guest_switch to put. */
static void set_switched(struct vcpu_vmx *vmx, u32 index, u64 *field, u64 data)
{
	preempt_disable();
	*field = data;
	if (vmx->host.saved && index != MSR_CSTAR)
		wrmsrq(index, data);
	preempt_enable();
}

/* Of load_user_msrs()'s; the vcpu has the new value already. */
static void set_user_msr(struct vcpu_vmx *vmx, u32 index)
{
	preempt_disable();
	if (vmx->host.saved && index == MSR_IA32_TSX_CTRL && vmx_caps.tsx_ctrl)
		wrmsrq(MSR_IA32_TSX_CTRL, hw_tsx_ctrl(vmx));
	if (vmx->host.umwait_saved && index == MSR_IA32_UMWAIT_CONTROL)
		wrmsrq(MSR_IA32_UMWAIT_CONTROL, vmx->vcpu.msr.umwait_control);
	preempt_enable();
}

static void vmx_set_msr(struct kvm_vcpu *vcpu, u32 index, u64 data)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	switch (index) {
	case MSR_FS_BASE:
		set_base(vmx, VCPU_SREG_FS, data);
		break;
	case MSR_GS_BASE:
		set_base(vmx, VCPU_SREG_GS, data);
		break;
	case MSR_KERNEL_GS_BASE:
		set_switched(vmx, index, &vmx->kernel_gs_base, data);
		break;
	case MSR_STAR ... MSR_SYSCALL_MASK:
		set_switched(vmx, index, &vmx->syscall_msrs[syscall_index(index)], data);
		break;
	case MSR_IA32_TSX_CTRL:
	case MSR_IA32_UMWAIT_CONTROL:
		set_user_msr(vmx, index);
		break;
	case MSR_IA32_SYSENTER_CS:
		vmx_real_set_sysenter_cs(vmx, data);
		break;
	case MSR_IA32_SYSENTER_ESP:
		vmcs_write(GUEST_SYSENTER_ESP, data);
		break;
	default:
		vmcs_write(GUEST_SYSENTER_EIP, data);
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

/* VM entry allows only one of the two (SDM 3C "Checks on Guest Non-Register State"). */
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
	vmx_sync_pending_dbg(to_vmx(vcpu));
}

static void vmx_enable_irq_window(struct kvm_vcpu *vcpu)
{
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_INTR_WINDOW_EXITING, true);
}

/* Behind another event, too.  For processors without virtual NMIs see vmx_get_nmi_mask(). */
static void vmx_enable_nmi_window(struct kvm_vcpu *vcpu)
{
	vmx_set_cpu_ctl(to_vmx(vcpu), vmx_vnmi ? CPU_BASED_NMI_WINDOW_EXITING :
						 CPU_BASED_INTR_WINDOW_EXITING, true);
}

static void inject(struct vcpu_vmx *vmx, u32 info)
{
	vmx->injected = true;
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, info | INTR_INFO_VALID_MASK);
}

static void vmx_inject_exception(struct kvm_vcpu *vcpu)
{
	const struct kvm_queued_exception *ex = &vcpu->events.exception;
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 info = ex->vector, len = ex->insn_len;

	/* #BP and #OF push the address after their instruction, which has one byte or more. */
	if (!len && (ex->vector == X86_TRAP_BP || ex->vector == X86_TRAP_OF))
		len = 1;
	if (unlikely(vmx->real.vm86)) {
		vmx_real_inject(vmx, ex->vector, len);
		return;
	}
	if (len) {
		info |= ex->vector == X86_TRAP_DB ? INTR_TYPE_PRIV_SW_EXCEPTION :
						    INTR_TYPE_SOFT_EXCEPTION;
		vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, len);
	} else {
		info |= INTR_TYPE_HARD_EXCEPTION;
	}
	if (ex->has_error_code) {
		info |= INTR_INFO_DELIVER_CODE_MASK;
		/* VM entry wants zeros above, as there are in every error code of Intel's. */
		vmcs_write32(VM_ENTRY_EXCEPTION_ERROR_CODE, (u16)ex->error_code);
	}
	clear_shadow();
	/* SDM 3C "Checks on Guest Non-Register State": few events enter a halted guest. */
	if (unlikely(kvm_exit_disabled(vcpu->kvm, KVM_X86_DISABLE_EXITS_HLT)))
		vmcs_write32(GUEST_ACTIVITY_STATE, GUEST_ACTIVITY_ACTIVE);
	inject(vmx, info);
}

static void vmx_inject_irq(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const struct kvm_events *ev = &vcpu->events;

	if (unlikely(vmx->real.vm86)) {
		vmx_real_inject(vmx, ev->soft.injected ? ev->soft.nr : ev->irq.nr,
				ev->soft.injected ? ev->soft.insn_len : 0);
		return;
	}
	if (unlikely(ev->soft.injected)) {
		vmcs_write32(VM_ENTRY_INSTRUCTION_LEN, ev->soft.insn_len);
		clear_shadow();
		inject(vmx, ev->soft.nr | INTR_TYPE_SOFT_INTR);
		return;
	}
	/* VM entry needs IF set, even if userspace says that the interrupt was acknowledged. */
	if (unlikely(!(vmx_get_rflags(vcpu) & X86_EFLAGS_IF))) {
		vmx_enable_irq_window(vcpu);
		return;
	}
	clear_shadow();
	inject(vmx, vcpu->events.irq.nr | INTR_TYPE_EXT_INTR);
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
	/* The entry blocks NMIs, and fails if they are blocked already. */
	vmx_set_nmi_mask(vcpu, !vmx_vnmi);
	inject(vmx, X86_TRAP_NMI | INTR_TYPE_NMI_INTR);
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
	       !vmx_get_nmi_mask(vcpu) && vmx_real_can_inject(to_vmx(vcpu));
}

/*
 * ---- MMU ----
 */

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

static void vmx_tlb_flush_gva(struct kvm_vcpu *vcpu, u64 gva)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	const u64 cap = (u64)VMX_VPID_EXTENT_INDIVIDUAL_ADDR_BIT << 32;

	/* Without VPIDs every entry and exit flushes. */
	if (!vmx->vpid)
		return;
	preempt_disable();
	if ((vmx_caps.ept_vpid & cap) && !is_noncanonical(gva, 48))
		invvpid(VMX_VPID_EXTENT_INDIVIDUAL_ADDR, vmx->vpid, gva);
	else
		invvpid(VMX_VPID_EXTENT_SINGLE_CONTEXT, vmx->vpid, 0);
	preempt_enable();
}

/* With VPIDs a VM entry flushes nothing, whatever root it loads. */
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

/*
 * ---- exit handlers: 1 resume, 0 to userspace, -errno ----
 */

/*
 * An IRET that faulted has unblocked NMIs, and is going to be executed again
 * (SDM 3C "Information About NMI Unblocking Due to IRET").
 */
static void block_nmis_again(struct vcpu_vmx *vmx)
{
	if (vmx_vnmi && !(vmcs_read32(IDT_VECTORING_INFO_FIELD) & VECTORING_INFO_VALID_MASK))
		vmx_set_nmi_mask(&vmx->vcpu, true);
}

/* #PF, under shadow paging. */
static int handle_page_fault(struct kvm_vcpu *vcpu)
{
	struct kvm_fault fault = {
		.addr = vmcs_read(EXIT_QUALIFICATION),
		.error_code = vmcs_read32(VM_EXIT_INTR_ERROR_CODE),
	};

	return kvm_handle_page_fault(vcpu, &fault);
}

/* SDM 3C "Exit Qualification for EPT Violations" */
static int handle_ept_violation(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);
	struct kvm_fault fault = {
		.addr = vmcs_read64(GUEST_PHYSICAL_ADDRESS),
	};

	int r;

	if (unlikely(qual & QUAL_NMI_UNBLOCKED))
		block_nmis_again(to_vmx(vcpu));
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

/* The guest took no event for too long; SDM 3C "Exit Qualification for Notify". */
static int handle_notify(struct kvm_vcpu *vcpu)
{
	unsigned long qual = vmcs_read(EXIT_QUALIFICATION);

	if (qual & QUAL_NMI_UNBLOCKED)
		block_nmis_again(to_vmx(vcpu));
	return kvm_notify_exit(vcpu, qual & NOTIFY_VM_CONTEXT_INVALID);
}

/* The log has been read already, as after each exit. */
static int handle_pml_full(struct kvm_vcpu *vcpu)
{
	if (vmcs_read(EXIT_QUALIFICATION) & QUAL_NMI_UNBLOCKED)
		block_nmis_again(to_vmx(vcpu));
	return 1;
}

/* Only nested_mmio_entry is one. */
static int handle_ept_misconfig(struct kvm_vcpu *vcpu)
{
	gpa_t gpa = vmcs_read64(GUEST_PHYSICAL_ADDRESS);
	int r;

	vmx_drop_false_step(to_vmx(vcpu));
	/* While it paged, the guest may have accessed what is now the identity map's frame. */
	if (unlikely(to_vmx(vcpu)->real.identity) &&
	    vmx_real_map_identity(to_vmx(vcpu), gpa, &r))
		return r;
	if (unlikely(vmx_apic_map(vcpu, gpa)))
		return 1;
	/*
	 * Have vmx_skip_insn() decode it: the length is not told here (SDM 3C "Information for VM
	 * Exits Due to Instruction Execution").
	 */
	kvm_rip_write(vcpu, read_rip(vcpu));
	if (kvm_handle_fast_mmio(vcpu, gpa, &r))
		return r;
	return kvm_handle_mmio_fault(vcpu, gpa);
}

static int handle_db(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	unsigned long bits = vmcs_read(EXIT_QUALIFICATION) & DB_QUAL_BITS;

	/* A debugger's next step is not held back by the last one's shadow. */
	if (vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP) {
		clear_shadow();
		vmcs_write(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	}
	/* INT1 is a trap: what its handler returns to follows it. */
	if ((vmx->intr_info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_PRIV_SW_EXCEPTION)
		vmx_skip_insn(vcpu);
	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return kvm_debug_exit(vcpu, X86_TRAP_DB, bits);
	/* The exit has left DR6 and DR7.GD to us (SDM 3C "Architectural State Before a VM Exit"). */
	kvm_queue_exception_p(vcpu, X86_TRAP_DB, bits);
	return 1;
}

static int handle_exception_nmi(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	u32 info = vmx->intr_info;

	if ((info & INTR_INFO_INTR_TYPE_MASK) == INTR_TYPE_NMI_INTR)
		return kvm_handle_host_nmi(vcpu);
	vmx_drop_false_step(vmx);
	if (unlikely(info & INTR_INFO_UNBLOCK_NMI) &&
	    (info & INTR_INFO_VECTOR_MASK) != X86_TRAP_DF)
		block_nmis_again(vmx);
	switch (info & INTR_INFO_VECTOR_MASK) {
	case X86_TRAP_PF:
		return handle_page_fault(vcpu);
	case X86_TRAP_DB:
		return handle_db(vcpu);
	case X86_TRAP_MC:
		return kvm_handle_host_exit(vcpu);
	case X86_TRAP_BP:
		if (vcpu->guest_debug & KVM_GUESTDBG_USE_SW_BP)
			return kvm_debug_exit(vcpu, X86_TRAP_BP, 0);
		break;
	case X86_TRAP_NM:
		if (vmx->real.vm86)
			break;
		kvm_queue_exception(vcpu, X86_TRAP_NM);
		return 1;
	case X86_TRAP_AC:
		if (vmx->real.vm86)
			break;
		return kvm_handle_ac(vcpu);
	case X86_TRAP_UD:
		if (vmx->real.vm86)
			break;
		return kvm_handle_invalid_opcode(vcpu);
	}
	if (vmx->real.vm86)
		return vmx_real_exception(vmx, info & INTR_INFO_VECTOR_MASK);
	return kvm_handle_unexpected_exit(vcpu, vmx->exit_reason);
}

static int handle_irq_window(struct kvm_vcpu *vcpu)
{
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_INTR_WINDOW_EXITING, false);
	to_vmx(vcpu)->nmi_masked = false;
	return kvm_handle_irq_window(vcpu);
}

static int handle_nmi_window(struct kvm_vcpu *vcpu)
{
	vcpu->stat.nmi_window_exits++;
	vmx_set_cpu_ctl(to_vmx(vcpu), CPU_BASED_NMI_WINDOW_EXITING, false);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

/* The MOV to CR8 is done: an interrupt of that priority may be injected now. */
static int handle_tpr_below_threshold(struct kvm_vcpu *vcpu)
{
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

static int handle_cr(struct kvm_vcpu *vcpu)
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
static int handle_dr(struct kvm_vcpu *vcpu)
{
	unsigned long qual;

	if (!vcpu->guest_debug) {
		vcpu->stat.dr_exits++;
		vcpu->dr_in_guest = true;
		vmx_set_dr_intercepts(to_vmx(vcpu), false);
		return 1;
	}
	qual = vmcs_read(EXIT_QUALIFICATION);
	return kvm_handle_mov_dr(vcpu, qual & DEBUG_REG_ACCESS_NUM, DEBUG_REG_ACCESS_REG(qual),
				  !(qual & DEBUG_REG_ACCESS_TYPE));
}

/* SDM 3C "Exit Qualification for I/O Instructions" */
static int handle_io(struct kvm_vcpu *vcpu)
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

static int handle_invlpg(struct kvm_vcpu *vcpu)
{
	kvm_mmu_invlpg(vcpu, vmcs_read(EXIT_QUALIFICATION));
	return kvm_skip_emulated_instruction(vcpu);
}

/*
 * No guest switches tasks by itself.  RIP is at the instruction that asks for
 * it, which the emulator does as a whole; an event's way through a task gate has
 * no instruction.
 */
static int handle_task_switch(struct kvm_vcpu *vcpu)
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

/* A trap: the instruction is done. */
static int handle_bus_lock(struct kvm_vcpu *vcpu)
{
	return kvm_bus_lock_exit(vcpu, 1);
}

static int (*const exit_handlers[])(struct kvm_vcpu *vcpu) = {
	[EXIT_REASON_EXCEPTION_NMI]	= handle_exception_nmi,
	[EXIT_REASON_EXTERNAL_INTERRUPT] = kvm_handle_host_irq,
	[EXIT_REASON_TRIPLE_FAULT]	= kvm_handle_triple_fault,
	[EXIT_REASON_INIT_SIGNAL]	= kvm_handle_host_exit,
	[EXIT_REASON_SIPI_SIGNAL]	= kvm_handle_host_exit,
	[EXIT_REASON_INTERRUPT_WINDOW]	= handle_irq_window,
	[EXIT_REASON_NMI_WINDOW]	= handle_nmi_window,
	[EXIT_REASON_TASK_SWITCH]	= handle_task_switch,
	[EXIT_REASON_CPUID]		= kvm_handle_cpuid,
	[EXIT_REASON_GETSEC]		= kvm_handle_ud,
	[EXIT_REASON_HLT]		= kvm_handle_halt,
	[EXIT_REASON_INVD]		= kvm_handle_nop,
	[EXIT_REASON_INVLPG]		= handle_invlpg,
	[EXIT_REASON_RDPMC]		= kvm_handle_gp,
	[EXIT_REASON_RSM]		= kvm_handle_ud,
	[EXIT_REASON_VMCALL]		= kvm_handle_hypercall,
	[EXIT_REASON_VMCLEAR ... EXIT_REASON_VMON] = kvm_handle_ud,
	[EXIT_REASON_CR_ACCESS]		= handle_cr,
	[EXIT_REASON_DR_ACCESS]		= handle_dr,
	[EXIT_REASON_IO_INSTRUCTION]	= handle_io,
	[EXIT_REASON_MSR_READ]		= kvm_handle_rdmsr,
	[EXIT_REASON_MSR_WRITE]		= kvm_handle_wrmsr,
	[EXIT_REASON_MWAIT_INSTRUCTION]	= kvm_handle_mwait,
	[EXIT_REASON_MONITOR_INSTRUCTION] = kvm_handle_mwait,
	[EXIT_REASON_PAUSE_INSTRUCTION]	= vmx_handle_pause,
	[EXIT_REASON_TPR_BELOW_THRESHOLD] = handle_tpr_below_threshold,
	[EXIT_REASON_APIC_ACCESS]	= vmx_handle_apic_access,
	[EXIT_REASON_EOI_INDUCED]	= vmx_handle_eoi_induced,
	[EXIT_REASON_APIC_WRITE]	= vmx_handle_apic_write,
	[EXIT_REASON_EPT_VIOLATION]	= handle_ept_violation,
	[EXIT_REASON_EPT_MISCONFIG]	= handle_ept_misconfig,
	[EXIT_REASON_INVEPT]		= kvm_handle_ud,
	[EXIT_REASON_PREEMPTION_TIMER]	= vmx_handle_guest_slice,
	[EXIT_REASON_INVVPID]		= kvm_handle_ud,
	[EXIT_REASON_PML_FULL]		= handle_pml_full,
	[EXIT_REASON_WBINVD]		= kvm_handle_wbinvd,
	[EXIT_REASON_XSETBV]		= kvm_handle_xsetbv,
	[EXIT_REASON_BUS_LOCK]		= handle_bus_lock,
	[EXIT_REASON_NOTIFY]		= handle_notify,
	/* No guest has SGX or TDX (SDM 3D "ENCLS", "SEAMCALL" ...), whatever the host has. */
	[EXIT_REASON_ENCLS]		= kvm_handle_ud,
	[EXIT_REASON_ENCLV]		= kvm_handle_ud,
	[EXIT_REASON_SEAMCALL]		= kvm_handle_ud,
	[EXIT_REASON_TDCALL]		= kvm_handle_ud,
};

/* Delivery through a protected-mode IDT is the processor's, and it cannot enter. */
static int handle_invalid_guest_state(struct vcpu_vmx *vmx)
{
	if (!vmx->injected)
		return vmx_real_emulate(vmx);
	vmx_cancel_injection(&vmx->vcpu);
	return kvm_internal_error(&vmx->vcpu, KVM_INTERNAL_ERROR_DELIVERY_EV, 0, NULL);
}

/* VMLAUNCH or VMRESUME failed, or the guest's state did not pass VM entry's checks. */
static int vmentry_failed(struct vcpu_vmx *vmx, u64 reason)
{
	if (READ_ONCE(dump_invalid_vmcs))
		vmx_dump(vmx);
	return kvm_fail_entry(&vmx->vcpu, reason);
}

/* Failed entries, what software does in place of an entry, reasons without a handler. */
static noinline int handle_other_exit(struct vcpu_vmx *vmx, u32 reason)
{
	switch (reason) {
	case EXIT_REASON_NONE:
		/* 0: VMX went off in an emergency. */
		return vmx->entry_error ? vmentry_failed(vmx, vmx->entry_error) : -EIO;
	case EXIT_REASON_INVALID_GUEST:
		return handle_invalid_guest_state(vmx);
	case EXIT_REASON_REAL_EVENT:
		return vmx_real_deliver(vmx);
	}
	if (reason & VMX_EXIT_REASONS_FAILED_VMENTRY)
		return vmentry_failed(vmx, reason);
	return kvm_handle_unexpected_exit(&vmx->vcpu, reason);
}

static __always_inline int handle_reason(struct kvm_vcpu *vcpu)
{
	u32 reason = to_vmx(vcpu)->exit_reason;

	if (likely(reason < ARRAY_SIZE(exit_handlers) && exit_handlers[reason]))
		return exit_handlers[reason](vcpu);
	return handle_other_exit(to_vmx(vcpu), reason);
}

/* Another exit, and the guest had locked the bus before. */
static noinline int handle_with_bus_lock(struct kvm_vcpu *vcpu)
{
	to_vmx(vcpu)->bus_locked = false;
	return kvm_bus_lock_exit(vcpu, handle_reason(vcpu));
}

static int vmx_handle_exit(struct kvm_vcpu *vcpu)
{
	if (unlikely(to_vmx(vcpu)->bus_locked))
		return handle_with_bus_lock(vcpu);
	return handle_reason(vcpu);
}

#define VMX_OP(op) .op = vmx_##op,

static struct kvm_arch_ops vmx_ops __ro_after_init = {
	.name = "kvm_intel",
	.isa = KVM_ISA_VMX,
	.microcode_shift = 32,	/* AMD has it in the lower half */
	.vm_size = sizeof(struct kvm_vmx),
	.vcpu_size = sizeof(struct vcpu_vmx),
	.vm_init = vmx_vm_init,
	.vm_destroy = vmx_vm_destroy,
	KVM_VENDOR_OPS(VMX_OP)
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
