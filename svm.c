// SPDX-License-Identifier: GPL-2.0-only
/*
 * AMD SVM: what the processor's manual defines and nothing else.
 *
 * "APM 2" is the AMD64 Architecture Programmer's Manual, volume 2; sections
 * are named by their titles.  The VMCB is plain memory, so every guest
 * register is current in the vcpu or in the VMCB after an exit: nothing is
 * cached lazily and regs_avail stays all ones.
 */
#define pr_fmt(fmt) "kvm_amd: " fmt

#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_io.h"
#include "kvm_lapic.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_perf.h"
#include "kvm_regs.h"
#include "kvm_request.h"
#include "kvm_vcpu.h"
#include "svm/errata.h"
#include "svm/mmio.h"
#include "svm/quirks.h"
#include "svm/svm.h"

#include <linux/mod_devicetable.h>
#include <linux/module.h>
#include <linux/perf_event.h>
#include <asm/cpu_device_id.h>
#include <asm/cpufeature.h>
#include <asm/debugreg.h>
#include <asm/perf_event.h>
#include <asm/reboot.h>
#include <asm/spec-ctrl.h>
#include <asm/tlbflush.h>

#include "compat/svm.h"
#include "compat/virt.h"

MODULE_AUTHOR("The kvm module's authors");
MODULE_DESCRIPTION("Virtual machines by AMD SVM");
MODULE_LICENSE("GPL");
MODULE_VERSION(KVM_MODULE_VERSION);

static const struct x86_cpu_id svm_cpu_ids[] = {
	X86_MATCH_FEATURE(X86_FEATURE_SVM, NULL),
	{}
};
MODULE_DEVICE_TABLE(x86cpu, svm_cpu_ids);

#define MEM_ENCRYPT_CPUID	0x8000001f	/* APM 3 "Encrypted Memory Capabilities" */

bool svm_npt = true;
module_param_named(npt, svm_npt, bool, 0444);
MODULE_PARM_DESC(npt, "use nested paging where the processor has it");

/* APM 2 "PAUSE Instruction Filtering"; a count that adapts. */
static u16 pause_filter_thresh = 128;
module_param(pause_filter_thresh, ushort, 0444);
MODULE_PARM_DESC(pause_filter_thresh, "the most cycles between two PAUSEs of a loop");

static u16 pause_filter_count = 3000;
module_param(pause_filter_count, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count, "how many PAUSEs a loop may have, at first");

static u16 pause_filter_count_grow = 2;
module_param(pause_filter_count_grow, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count_grow, "each exit multiplies it by this, or adds it if above pause_filter_count");

static u16 pause_filter_count_shrink;
module_param(pause_filter_count_shrink, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count_shrink, "when a preempted vcpu goes on it is divided by this, or less so much; 0: as at first");

static u16 pause_filter_count_max = U16_MAX;
module_param(pause_filter_count_max, ushort, 0444);
MODULE_PARM_DESC(pause_filter_count_max, "the most that it grows to");

/* What this processor has, and the module uses. */
static bool has_nrips __ro_after_init;		/* next RIP saved at exits */
static bool has_decode_assists __ro_after_init;
static bool has_flush_by_asid __ro_after_init;
static bool has_virt_ssbd __ro_after_init;	/* SSBD by LS_CFG or VIRT_SPEC_CTRL */
static u32 max_asid __ro_after_init;

static_assert(offsetof(struct vcpu_svm, vcpu) == 0);

static DEFINE_PER_CPU(struct svm_cpu, svm_cpus);

static struct kvm_arch_ops svm_ops __ro_after_init;

/*
 * SVM may vanish under us when the machine goes down in an emergency; then
 * these instructions are #UD and must do nothing.
 */
static inline void svm_vmsave(unsigned long pa)
{
	asm volatile("1: vmsave %0\n2:\n" _ASM_EXTABLE(1b, 2b) : : "a" (pa) : "memory");
}

static inline void svm_invlpga(unsigned long addr, u32 asid)
{
	asm volatile("1: invlpga %0, %1\n2:\n" _ASM_EXTABLE(1b, 2b) : : "a" (addr), "c" (asid));
}

/*
 * ---- module ----
 */

static int svm_hardware_enable(void)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	int r = kvm_virt_get(X86_FEATURE_SVM);

	if (r) {
		pr_err_ratelimited("CPU %d: %s\n", smp_processor_id(), r == -EBUSY ?
				   "SVM is in use by another hypervisor" : "no SVM");
		return r;
	}
	wrmsrq(MSR_VM_HSAVE_PA, page_pa(sc->hsave));
	/* Translations tagged before SVM went off are stale: the first taken flushes all. */
	sc->asid_generation++;
	sc->next_asid = max_asid + 1;
	svm_compat_predictor_guard(true);
	svm_errata_enable(boot_cpu_data.x86);
	amd_pmu_enable_virt();
	return 0;
}

static void svm_hardware_disable(void)
{
	svm_compat_predictor_guard(false);
	wrmsrq(MSR_VM_HSAVE_PA, 0);
	kvm_virt_put(X86_FEATURE_SVM);
	amd_pmu_disable_virt();
}

static int __init check_processor(void)
{
	u64 vm_cr;

	/* Asked of the processor: the kernel hides what firmware switched off. */
	if (cpuid_eax(0x80000000) < SVM_CPUID_FUNC || !(cpuid_ecx(0x80000001) & BIT(2))) {
		pr_err("this processor has no SVM\n");
		return -ENODEV;
	}
	if (!rdmsrq_safe(MSR_VM_CR, &vm_cr) && (vm_cr & SVM_VM_CR_SVM_DIS_MASK)) {
		pr_err("SVM is switched off by the firmware\n");
		return -ENODEV;
	}
	max_asid = cpuid_ebx(SVM_CPUID_FUNC) - 1;
	if (!max_asid || max_asid == ~0U) {
		pr_err("this processor's SVM has no address space for guests\n");
		return -ENODEV;
	}
	return 0;
}

static void __init find_features(void)
{
	has_nrips = boot_cpu_has(X86_FEATURE_NRIPS);
	has_decode_assists = boot_cpu_has(X86_FEATURE_DECODEASSISTS);
	has_flush_by_asid = boot_cpu_has(X86_FEATURE_FLUSHBYASID);
	has_virt_ssbd = boot_cpu_has(X86_FEATURE_LS_CFG_SSBD) ||
			boot_cpu_has(X86_FEATURE_VIRT_SSBD);
	svm_npt = svm_npt && boot_cpu_has(X86_FEATURE_NPT);
}

/* The bit that says that a page is encrypted, whether that is on or not; 0: none. */
static int __init encryption_bit(void)
{
	return boot_cpu_data.extended_cpuid_level >= MEM_ENCRYPT_CPUID ?
	       cpuid_ebx(MEM_ENCRYPT_CPUID) & 0x3f : 0;
}

/* The data of the table that depends on the processor; the core reads it after setup. */
static void __init fill_ops(void)
{
	svm_ops.nested_paging = svm_npt;
	svm_ops.nested_levels = native_read_cr4() & X86_CR4_LA57 ? 5 : 4;
	svm_ops.max_nested_page_level = boot_cpu_has(X86_FEATURE_GBPAGES) ? PG_LEVEL_1G :
									    PG_LEVEL_2M;
	/* NPT looks up guest physical addresses as user accesses. */
	svm_ops.nested_access_mask = _PAGE_USER;
	svm_ops.nested_accessed_mask = _PAGE_ACCESSED;
	svm_ops.nested_dirty_mask = _PAGE_DIRTY;
	svm_ops.nested_mmio_entry = svm_mmio_entry(boot_cpu_data.x86_phys_bits, encryption_bit());
	svm_ops.has_tsc_aux = boot_cpu_has(X86_FEATURE_RDTSCP) || boot_cpu_has(X86_FEATURE_RDPID);
	svm_ops.has_xsaves = true;
	svm_ops.has_invpcid = true;
}

static void free_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);

		if (sc->hsave)
			__free_page(sc->hsave);
		if (sc->host)
			__free_page(sc->host);
		sc->hsave = sc->host = NULL;
	}
}

static int __init alloc_cpus(void)
{
	int cpu;

	for_each_possible_cpu(cpu) {
		struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);
		int node = cpu_to_node(cpu);

		sc->hsave = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		sc->host = alloc_pages_node(node, GFP_KERNEL | __GFP_ZERO, 0);
		if (!sc->hsave || !sc->host)
			return -ENOMEM;
	}
	return 0;
}

static int __init svm_hardware_setup(void)
{
	int r = check_processor();

	if (r)
		return r;
	find_features();
	r = svm_alloc_maps();
	if (r)
		goto out_maps;
	r = alloc_cpus();
	if (r)
		goto out_cpus;
	r = kvm_virt_init(NULL);
	if (r)
		goto out_cpus;
	fill_ops();
	svm_quirks_init();
	pr_info("nested paging %s\n", svm_npt ? "on" : "off");
	return 0;

out_cpus:
	free_cpus();
out_maps:
	svm_free_maps();
	return r;
}

static void svm_hardware_unsetup(void)
{
	kvm_virt_exit(NULL);
	kvm_quirks_exit();
	free_cpus();
	svm_free_maps();
}

/*
 * ---- vcpu life ----
 */

static int svm_vcpu_create(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return -ENOMEM;
	svm->vmcb = page_address(page);
	svm->vmcb_pa = page_pa(page);
	svm->last_cpu = -1;
	vcpu->regs_avail = ~0UL;
	return 0;
}

static void svm_vcpu_free(struct kvm_vcpu *vcpu)
{
	free_page((unsigned long)to_svm(vcpu)->vmcb);
}

static void init_control(struct vcpu_svm *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	memset(control, 0, sizeof(*control));
	svm_init_intercepts(svm);
	control->int_ctl = V_INTR_MASKING_MASK;
	control->tsc_offset = svm->vcpu.hw_tsc_offset;
	if (boot_cpu_has(X86_FEATURE_PAUSEFILTER)) {
		control->pause_filter_count = pause_filter_count;
		if (boot_cpu_has(X86_FEATURE_PFTHRESHOLD))
			control->pause_filter_thresh = pause_filter_thresh;
	}
	if (svm_npt)
		control->misc_ctl = SVM_MISC_ENABLE_NP;
	svm->asid_generation = 0;
}

/* What RESET and INIT set; the core sets what it knows itself. */
static void init_save(struct vcpu_svm *svm)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	kvm_reset_segments(&svm->vcpu);
	save->cr2 = 0;
	save->cr3 = 0;
	save->dr6 = DR6_RESERVED;
	save->rflags = X86_EFLAGS_FIXED;
}

static void svm_vcpu_reset(struct kvm_vcpu *vcpu, bool init_event)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (!init_event)
		memset(&svm->vmcb->save, 0, sizeof(svm->vmcb->save));
	init_control(svm);
	init_save(svm);
	svm->soft_len = 0;
	svm->stepping = false;
}

static void set_pause_filter(struct vcpu_svm *svm, u16 count)
{
	if (svm->vmcb->control.pause_filter_count == count)
		return;
	svm->vmcb->control.pause_filter_count = count;
	mark_dirty(svm, CLEAN_INTERCEPTS);
}

static void svm_vcpu_load(struct kvm_vcpu *vcpu, int cpu)
{
	struct svm_cpu *sc = per_cpu_ptr(&svm_cpus, cpu);
	struct vcpu_svm *svm = to_svm(vcpu);

	if (unlikely(svm->last_cpu != cpu)) {
		/* Neither this CPU's copy of the VMCB nor an ASID of another CPU is valid. */
		svm->vmcb->control.clean = 0;
		svm->asid_generation = 0;
		svm->host_pa = page_pa(sc->host);
		svm->last_cpu = cpu;
	}
	/* It may have spun because of who is running now. */
	if (unlikely(vcpu->preempted) && boot_cpu_has(X86_FEATURE_PAUSEFILTER))
		set_pause_filter(svm, kvm_shrink_window(svm->vmcb->control.pause_filter_count,
							pause_filter_count, pause_filter_count_shrink));
	kvm_isolate_predictors(vcpu);
}

static void svm_vcpu_put(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (!svm->host_saved)
		return;
	kvm_put_guest_tsc_aux(vcpu);
	svm->host_saved = false;
}

static void svm_prepare_guest_switch(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (likely(svm->host_saved))
		return;
	svm_vmsave(svm->host_pa);
	kvm_load_guest_tsc_aux(vcpu);
	svm->host_saved = true;
	vcpu->stat.host_state_reload++;
}

/*
 * ---- run and exit ----
 */

/*
 * ASIDs tag what the TLB holds.  Each CPU gives them out one after the other and,
 * when they are used up, flushes all and begins a new generation; so a vcpu can
 * flush its own translations by taking the next.
 */
static void alloc_asid(struct vcpu_svm *svm, struct svm_cpu *sc)
{
	if (sc->next_asid > max_asid) {
		sc->asid_generation++;
		sc->next_asid = 1;
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ALL_ASID;
	}
	svm->asid_generation = sc->asid_generation;
	svm->vmcb->control.asid = sc->next_asid++;
	mark_dirty(svm, CLEAN_ASID);
}

/*
 * What an exit interrupted (APM 2 "Event Injection", EXITINTINFO).  INT n, INT3 and INTO
 * have not moved RIP yet, unless we did when we injected them as events; nothing tells
 * their length.  INT1 is an exception as others.
 */
static void requeue_interrupted(struct vcpu_svm *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;
	struct kvm_vcpu *vcpu = &svm->vcpu;
	u32 info = control->exit_int_info;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;
	u8 len = svm->soft_len;

	svm->soft_len = 0;
	kvm_clear_injected(vcpu);
	if (svm_virq_injected(svm) && svm_requeue_virq(svm))
		return;
	if (!(info & SVM_EXITINTINFO_VALID))
		return;
	switch (info & SVM_EXITINTINFO_TYPE_MASK) {
	case SVM_EXITINTINFO_TYPE_NMI:
		kvm_requeue_nmi(vcpu);
		break;
	case SVM_EXITINTINFO_TYPE_INTR:
		kvm_requeue_irq(vcpu, vector);
		break;
	case SVM_EXITINTINFO_TYPE_SOFT:
		if (len)
			kvm_rip_write(vcpu, svm->soft_rip);
		kvm_requeue_soft_irq(vcpu, vector, len ?: KVM_INSN_LEN_UNKNOWN);
		break;
	case SVM_EXITINTINFO_TYPE_EXEPT:
		if (vector == X86_TRAP_BP || vector == X86_TRAP_OF) {
			if (len)
				kvm_rip_write(vcpu, svm->soft_rip);
			kvm_requeue_soft_exception(vcpu, vector, len ?: KVM_INSN_LEN_UNKNOWN);
			break;
		}
		kvm_requeue_exception(vcpu, vector, info & SVM_EXITINTINFO_VALID_ERR,
				      control->exit_int_info_err);
		break;
	}
}

/* There was no entry: the event is still in vcpu->events. */
static void svm_cancel_injection(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm->vmcb->control.event_inj = 0;
	if (svm_virq_injected(svm))
		svm_withdraw_virq(svm);
	if (svm->soft_len)
		kvm_rip_write(vcpu, svm->soft_rip);
	svm->soft_len = 0;
}

static void end_step(struct vcpu_svm *svm)
{
	svm->stepping = false;
	/* An IRET that was executed has popped flags of its own. */
	if (svm->step_iret && kvm_rip_read(&svm->vcpu) != svm->step_rip)
		return;
	if (!svm->step_guest_tf)
		svm->vmcb->save.rflags &= ~X86_EFLAGS_TF;
}

/* Past the intercepted IRET: NMIs are unmasked again. */
static void finish_iret(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;

	if (kvm_rip_read(vcpu) == svm->iret_rip)
		return;
	if (svm->stepping && svm->vmcb->control.exit_code != SVM_EXIT_EXCP_BASE + X86_TRAP_DB)
		end_step(svm);
	vcpu->hflags &= ~(HF_NMI_MASK | HF_IRET_PENDING);
	if (vcpu->events.nmi_pending)
		kvm_make_request(KVM_REQ_EVENT, vcpu);
}

static void before_entry(struct vcpu_svm *svm)
{
	struct svm_cpu *sc = this_cpu_ptr(&svm_cpus);
	struct vmcb *vmcb = svm->vmcb;
	struct kvm_vcpu *vcpu = &svm->vcpu;
	unsigned long dr6 = unlikely(vcpu->guest_debug) ? DR6_RESERVED : vcpu->dr6;

	if (unlikely(svm->asid_generation != sc->asid_generation))
		alloc_asid(svm, sc);
	/* An interrupt that waits already is taken behind the event put in. */
	if (unlikely(svm->force_exit))
		kvm_self_interrupt();
	svm->force_exit = false;
	/* An LDT may have come or moved since the host's state was saved. */
	if (svm_compat_host_ldt())
		svm_vmsave(svm->host_pa);
	vmcb->save.rax = vcpu->regs[VCPU_REGS_RAX];
	vmcb->save.rsp = vcpu->regs[VCPU_REGS_RSP];
	vmcb->save.rip = vcpu->regs[VCPU_REGS_RIP];
	if ((vmcb->control.int_ctl & V_TPR_MASK) != vcpu->cr8) {
		vmcb->control.int_ctl = (vmcb->control.int_ctl & ~V_TPR_MASK) | vcpu->cr8;
		mark_dirty(svm, CLEAN_INTR);
	}
	if (vmcb->save.cr2 != vcpu->cr2) {
		vmcb->save.cr2 = vcpu->cr2;
		mark_dirty(svm, CLEAN_CR2);
	}
	if (vmcb->save.dr6 != dr6) {
		vmcb->save.dr6 = dr6;
		mark_dirty(svm, CLEAN_DR);
	}
	if (vmcb->save.g_pat != vcpu->msr.pat) {
		vmcb->save.g_pat = vcpu->msr.pat;
		mark_dirty(svm, CLEAN_NPT);
	}
	kvm_note_host_spec_ctrl(vcpu);
	if (cpu_feature_enabled(X86_FEATURE_V_SPEC_CTRL))
		vmcb->save.spec_ctrl = vcpu->spec_ctrl.guest;
	if (has_virt_ssbd)
		x86_virt_spec_ctrl(svm->vcpu.msr.virt_spec_ctrl, true);
}

/* The host's state that VMRUN's exit does not restore. */
static void restore_host(struct vcpu_svm *svm)
{
	if (has_virt_ssbd)
		x86_virt_spec_ctrl(svm->vcpu.msr.virt_spec_ctrl, false);
	if (cpu_feature_enabled(X86_FEATURE_V_SPEC_CTRL))
		svm->vcpu.spec_ctrl.guest = svm->vmcb->save.spec_ctrl;
	kvm_want_ibpb_to_user();
}

static void copy_exit(struct vcpu_svm *svm)
{
	struct vmcb *vmcb = svm->vmcb;
	struct kvm_vcpu *vcpu = &svm->vcpu;
	const unsigned long guest_cr0_bits = X86_CR0_TS | X86_CR0_MP;

	vcpu->regs[VCPU_REGS_RAX] = vmcb->save.rax;
	vcpu->regs[VCPU_REGS_RSP] = vmcb->save.rsp;
	vcpu->regs[VCPU_REGS_RIP] = vmcb->save.rip;
	vcpu->cr2 = vmcb->save.cr2;
	if (unlikely((vmcb->control.int_ctl & V_TPR_MASK) != vcpu->cr8))
		kvm_lapic_set_cr8(vcpu, vmcb->control.int_ctl & V_TPR_MASK);
	vcpu->cr0 = (vcpu->cr0 & ~guest_cr0_bits) | (vmcb->save.cr0 & guest_cr0_bits);
	if (svm_npt)
		vcpu->cr3 = vmcb->save.cr3;
	vmcb->control.event_inj = 0;
	vmcb->control.tlb_ctl = TLB_CONTROL_DO_NOTHING;
	vmcb->control.clean = BIT(CLEAN_NR) - 1;
}

/* VMRUN failed its consistency checks: nothing ran, and the VMCB has no exit state. */
static void entry_failed(struct vcpu_svm *svm)
{
	svm_cancel_injection(&svm->vcpu);
	svm->vmcb->control.clean = 0;
	svm->asid_generation = 0;
}

static void svm_run(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	bool injected = control->event_inj || svm_virq_injected(svm);

	before_entry(svm);
	kvm_perf_interrupted(vcpu);
	kvm_guest_context_enter();
	svm_enter_guest(vcpu, svm->vmcb_pa, svm->host_pa);
	kvm_guest_context_exit();
	kvm_perf_interrupted(NULL);
	restore_host(svm);
	if (unlikely(control->exit_code == (u32)SVM_EXIT_ERR)) {
		entry_failed(svm);
		return;
	}
	copy_exit(svm);
	if (injected || unlikely(control->exit_int_info & SVM_EXITINTINFO_VALID))
		requeue_interrupted(svm);
	if (unlikely(vcpu->hflags & HF_IRET_PENDING))
		finish_iret(svm);
}

static bool in_64bit_code(struct vcpu_svm *svm)
{
	return is_long_mode(&svm->vcpu) && (svm->vmcb->save.cs.attrib & BIT(SEG_L_SHIFT));
}

static int svm_skip_insn(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct vmcb_control_area *control = &svm->vmcb->control;
	unsigned long rip = vcpu->regs[VCPU_REGS_RIP], next = 0;

	/* The processor's answer is about the RIP of the exit only. */
	if (rip == svm->vmcb->save.rip) {
		if (control->exit_code == SVM_EXIT_IOIO)
			next = control->exit_info_2;
		else if (has_nrips)
			next = control->next_rip;
	}
	if (!next) {
		int len = kvm_insn_length(vcpu, in_64bit_code(svm));

		if (len <= 0)
			return 0;
		next = rip + len;
	}
	vcpu->regs[VCPU_REGS_RIP] = in_64bit_code(svm) ? next : (u32)next;
	control->int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
	return 1;
}

/* The host's that cannot wait. */
static void svm_handle_exit_irqoff(struct kvm_vcpu *vcpu)
{
	if (likely(to_svm(vcpu)->vmcb->control.exit_code != SVM_EXIT_EXCP_BASE + X86_TRAP_MC))
		return;
	if (svm_guest_machine_check()) {
		pr_err_ratelimited("a guest met erratum 383 and is shut down\n");
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		return;
	}
	kvm_machine_check();
}

static void svm_exit_info(struct kvm_vcpu *vcpu, u64 *reason, u64 *info1, u64 *info2)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	*reason = control->exit_code;
	*info1 = control->exit_info_1;
	*info2 = control->exit_info_2;
}

static void svm_sample(struct kvm_vcpu *vcpu, unsigned long *ip, bool *user)
{
	const struct vmcb_save_area *save = &to_svm(vcpu)->vmcb->save;

	*ip = save->rip;
	*user = save->cpl == 3;
}

/*
 * ---- model-specific registers ----
 */

/* All are of those that VMLOAD and VMSAVE switch. */
static u64 *switched_msr(struct vcpu_svm *svm, u32 index)
{
	struct vmcb_save_area *save = &svm->vmcb->save;

	switch (index) {
	case MSR_STAR:			return &save->star;
	case MSR_LSTAR:			return &save->lstar;
	case MSR_CSTAR:			return &save->cstar;
	case MSR_SYSCALL_MASK:		return &save->sfmask;
	case MSR_KERNEL_GS_BASE:	return &save->kernel_gs_base;
	case MSR_FS_BASE:		return &save->fs.base;
	case MSR_GS_BASE:		return &save->gs.base;
	case MSR_IA32_SYSENTER_CS:	return &save->sysenter_cs;
	case MSR_IA32_SYSENTER_ESP:	return &save->sysenter_esp;
	default:			return &save->sysenter_eip;
	}
}

static u64 svm_get_msr(struct kvm_vcpu *vcpu, u32 index)
{
	return *switched_msr(to_svm(vcpu), index);
}

static void svm_set_msr(struct kvm_vcpu *vcpu, u32 index, u64 data)
{
	*switched_msr(to_svm(vcpu), index) = data;
}

/*
 * ---- events ----
 */

/* One bit stands for both kinds of shadow. */
static u32 svm_get_interrupt_shadow(struct kvm_vcpu *vcpu)
{
	if (to_svm(vcpu)->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK)
		return KVM_X86_SHADOW_INT_STI | KVM_X86_SHADOW_INT_MOV_SS;
	return 0;
}

static void svm_set_interrupt_shadow(struct kvm_vcpu *vcpu, u32 mask)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;

	if (mask)
		control->int_state |= SVM_INTERRUPT_SHADOW_MASK;
	else
		control->int_state &= ~SVM_INTERRUPT_SHADOW_MASK;
}

/* SVM itself does not mask NMIs until IRET; the IRET intercept tells. */
static void svm_set_nmi_mask(struct kvm_vcpu *vcpu, bool masked)
{
	vcpu->hflags &= ~(HF_NMI_MASK | HF_IRET_PENDING);
	if (masked)
		vcpu->hflags |= HF_NMI_MASK;
	set_intercept(to_svm(vcpu), INTERCEPT_IRET, masked);
}

static bool svm_get_nmi_mask(struct kvm_vcpu *vcpu)
{
	return vcpu->hflags & HF_NMI_MASK;
}

/*
 * INT n, #BP and #OF push the address after their instruction; but injection pushes RIP
 * as it is, or, on processors that save it, the next RIP (APM 2 "Event Injection").
 */
static void step_over(struct vcpu_svm *svm, u8 len)
{
	unsigned long next;

	svm->soft_rip = kvm_rip_read(&svm->vcpu);
	svm->soft_len = len;
	next = svm->soft_rip + len;
	if (!in_64bit_code(svm))
		next = (u32)next;
	kvm_rip_write(&svm->vcpu, next);
	svm->vmcb->control.next_rip = next;
}

/*
 * An event comes before the IRET that was to unmask NMIs, or the step: the
 * IRET must be caught again, and the event not push our TF.
 */
static void put_off_nmi_window(struct vcpu_svm *svm)
{
	if (svm->stepping)
		end_step(svm);
	if (svm->vcpu.hflags & HF_IRET_PENDING)
		svm_set_nmi_mask(&svm->vcpu, true);
}

static void svm_inject_exception(struct kvm_vcpu *vcpu)
{
	const struct kvm_queued_exception *ex = &vcpu->events.exception;
	struct vcpu_svm *svm = to_svm(vcpu);
	u32 event = ex->vector | SVM_EVTINJ_TYPE_EXEPT | SVM_EVTINJ_VALID;

	put_off_nmi_window(svm);
	if (ex->vector == X86_TRAP_BP || ex->vector == X86_TRAP_OF)
		step_over(svm, ex->insn_len ?: 1);
	if (ex->has_error_code)
		event |= SVM_EVTINJ_VALID_ERR;
	svm->vmcb->control.event_inj = event;
	svm->vmcb->control.event_inj_err = ex->error_code;
}

static bool svm_irq_allowed(struct kvm_vcpu *vcpu)
{
	const struct vmcb *vmcb = to_svm(vcpu)->vmcb;

	return (vmcb->save.rflags & X86_EFLAGS_IF) &&
	       !(vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK);
}

static void clear_irq_window(struct vcpu_svm *svm)
{
	set_intercept(svm, INTERCEPT_VINTR, false);
	if (svm_quirk(SVM_QUIRK_CR8_EXITS))
		svm_set_cr8_intercepts(svm);
	svm->vmcb->control.int_ctl &= ~V_IRQ_INJECTION_BITS_MASK;
	mark_dirty(svm, CLEAN_INTR);
}

static void inject_by_event(struct vcpu_svm *svm, u8 vector)
{
	svm->vmcb->control.event_inj = vector | SVM_EVTINJ_TYPE_INTR | SVM_EVTINJ_VALID;
	if (svm_quirk(SVM_QUIRK_EXIT_AFTER_EVENTINJ))
		svm->force_exit = true;
}

static void svm_inject_irq(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	put_off_nmi_window(svm);
	if (unlikely(vcpu->events.soft.injected)) {
		step_over(svm, vcpu->events.soft.insn_len);
		svm->vmcb->control.event_inj = vcpu->events.soft.nr | SVM_EVTINJ_TYPE_SOFT |
					       SVM_EVTINJ_VALID;
		return;
	}
	if (svm_quirk_on(SVM_QUIRK_VIRQ_INJECTION) && svm_irq_allowed(vcpu)) {
		/* A window that still stands was for this one. */
		if (intercepted(svm, INTERCEPT_VINTR))
			clear_irq_window(svm);
		svm_inject_virq(svm, vcpu->events.irq.nr);
		return;
	}
	inject_by_event(svm, vcpu->events.irq.nr);
}

/* What V_IRQ would inject goes by EVENTINJ: V_IRQ has another use, or comes too late. */
static void free_virq(struct vcpu_svm *svm)
{
	if (!svm_virq_injected(svm))
		return;
	svm_withdraw_virq(svm);
	inject_by_event(svm, svm->vmcb->control.int_vector);
}

static void svm_inject_nmi(struct kvm_vcpu *vcpu)
{
	to_svm(vcpu)->vmcb->control.event_inj = X86_TRAP_NMI | SVM_EVTINJ_TYPE_NMI |
						SVM_EVTINJ_VALID;
	put_off_nmi_window(to_svm(vcpu));
	svm_set_nmi_mask(vcpu, true);
}

static bool svm_nmi_allowed(struct kvm_vcpu *vcpu)
{
	return !(vcpu->hflags & HF_NMI_MASK) &&
	       !(to_svm(vcpu)->vmcb->control.int_state & SVM_INTERRUPT_SHADOW_MASK);
}

/*
 * A virtual interrupt of highest priority that is never delivered: its
 * intercept comes first, as soon as the guest could take it.
 */
static void svm_enable_irq_window(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (intercepted(svm, INTERCEPT_VINTR))
		return;
	free_virq(svm);
	set_intercept(svm, INTERCEPT_VINTR, true);
	if (svm_quirk(SVM_QUIRK_CR8_EXITS))
		svm_set_cr8_intercepts(svm);
	svm->vmcb->control.int_vector = 0;
	svm->vmcb->control.int_ctl |= V_IRQ_INJECTION_BITS_MASK;
	mark_dirty(svm, CLEAN_INTR);
}

/*
 * While NMIs are masked the IRET intercept opens the window.  If another event is
 * injected, an exit is forced right after its delivery.  Right before the IRET, or
 * in an interrupt shadow, one instruction must pass, and only TF can make it exit.
 * (Should that instruction fault, the guest sees TF in the
 * flags that the fault pushes.)
 */
static void svm_enable_nmi_window(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm->stepping || (vcpu->hflags & (HF_NMI_MASK | HF_IRET_PENDING)) == HF_NMI_MASK)
		return;
	free_virq(svm);
	if (svm->vmcb->control.event_inj & SVM_EVTINJ_VALID) {
		svm->force_exit = true;
		return;
	}
	svm->step_guest_tf = svm->vmcb->save.rflags & X86_EFLAGS_TF;
	svm->step_rip = kvm_rip_read(vcpu);
	svm->step_iret = vcpu->hflags & HF_IRET_PENDING;
	svm->vmcb->save.rflags |= X86_EFLAGS_TF;
	svm->stepping = true;
}

/*
 * ---- MMU ----
 */

/** svm_tlb_flush - ops->tlb_flush */
void svm_tlb_flush(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (has_flush_by_asid)
		svm->vmcb->control.tlb_ctl = TLB_CONTROL_FLUSH_ASID;
	else
		svm->asid_generation = 0;
}

static void svm_tlb_flush_gva(struct kvm_vcpu *vcpu, u64 gva)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	preempt_disable();
	/* An ASID of another generation has nothing in this TLB. */
	if (svm->asid_generation == this_cpu_ptr(&svm_cpus)->asid_generation)
		svm_invlpga(gva, svm->vmcb->control.asid);
	preempt_enable();
}

/* VMRUN flushes nothing by itself, whatever root it loads. */
static void svm_load_root(struct kvm_vcpu *vcpu, u64 root_hpa, int level)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (svm_npt) {
		svm->vmcb->control.nested_cr3 = __sme_set(root_hpa);
		mark_dirty(svm, CLEAN_NPT);
	} else {
		/* CR3 has no room for the encryption bit when it has 32. */
		svm->vmcb->save.cr3 = level >= 4 ? __sme_set(root_hpa) : root_hpa;
		mark_dirty(svm, CLEAN_CR);
	}
	svm_tlb_flush(vcpu);
}

/*
 * ---- time ----
 */

static void svm_set_tsc_offset(struct kvm_vcpu *vcpu, u64 offset)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	svm->vmcb->control.tsc_offset = offset;
	mark_dirty(svm, CLEAN_INTERCEPTS);
}

/*
 * ---- exit handlers: 1 resume, 0 to userspace, -errno ----
 */

static int emulate(struct kvm_vcpu *vcpu)
{
	return kvm_emulate_insn(vcpu, 0, 0, NULL, 0);
}

static int handle_gp_exception(struct kvm_vcpu *vcpu)
{
	return kvm_handle_gp_exception(vcpu, to_svm(vcpu)->vmcb->control.exit_info_1);
}

static void add_insn_bytes(const struct vmcb_control_area *control, struct kvm_fault *fault)
{
	if (!has_decode_assists)
		return;
	fault->insn = control->insn_bytes;
	fault->insn_len = min_t(int, control->insn_len & 0xf, sizeof(control->insn_bytes));
}

/* A reserved bit, which only nested_mmio_entry has, and no page table of the guest's. */
#define MMIO_ERROR	(PFERR_RSVD_MASK | PFERR_GUEST_FINAL_MASK)

static int handle_mmio(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	int r;

	/* The next RIP is told for intercepted instructions only (APM 2 "State Saved on Exit"). */
	to_svm(vcpu)->vmcb->control.next_rip = 0;
	if ((fault->error_code & PFERR_WRITE_MASK) && kvm_handle_fast_mmio(vcpu, fault->addr, &r))
		return r;
	return kvm_handle_mmio_access(vcpu, fault);
}

/* #PF under shadow paging, NPF under nested: the same two registers tell. */
static int handle_page_fault(struct kvm_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	struct kvm_fault fault = {
		.addr = control->exit_info_2,
		.error_code = svm_npt ? control->exit_info_1 : (u32)control->exit_info_1,
	};

	add_insn_bytes(control, &fault);
	if (svm_npt && (fault.error_code & MMIO_ERROR) == MMIO_ERROR)
		return handle_mmio(vcpu, &fault);
	return kvm_handle_page_fault(vcpu, &fault);
}

static int handle_db(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	unsigned long dr6 = svm->vmcb->save.dr6;
	bool our_step = svm->stepping && !svm->step_guest_tf;

	if (svm->stepping)
		end_step(svm);
	/* Only the step that waits for the NMI window: nothing for the guest. */
	if (our_step && !(dr6 & ~vcpu->dr6 & (DR_TRAP_BITS | BIT(13)))) {
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		return 1;
	}
	if (vcpu->guest_debug & (KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_USE_HW_BP))
		return kvm_debug_exit(vcpu, X86_TRAP_DB, dr6);
	/* The processor has set DR6 already (APM 2 "#DB (Debug)" of the intercepts). */
	vcpu->dr6 = dr6;
	kvm_queue_exception(vcpu, X86_TRAP_DB);
	return 1;
}

static int handle_bp(struct kvm_vcpu *vcpu)
{
	return kvm_debug_exit(vcpu, X86_TRAP_BP, 0);
}

static int handle_irq_window(struct kvm_vcpu *vcpu)
{
	clear_irq_window(to_svm(vcpu));
	return kvm_handle_irq_window(vcpu);
}

/* The IRET ends the NMI's mask, but only when it is done: see finish_iret(). */
static int handle_iret(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	vcpu->stat.nmi_window_exits++;
	set_intercept(svm, INTERCEPT_IRET, false);
	vcpu->hflags |= HF_IRET_PENDING;
	svm->iret_rip = kvm_rip_read(vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}

static int handle_cr(struct kvm_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	int cr = control->exit_code & 0xf;
	int reg = control->exit_info_1 & CR_INFO_GPR;

	/* CLTS, LMSW and SMSW exit here too, and name no register. */
	if (!has_decode_assists || !(control->exit_info_1 & CR_INFO_MOV))
		return emulate(vcpu);
	if (control->exit_code >= SVM_EXIT_WRITE_CR0)
		return kvm_handle_mov_to_cr(vcpu, cr, reg);
	return kvm_handle_mov_from_cr(vcpu, cr, reg);
}

/*
 * Debug registers are rarely used, and then many at once: the first access
 * gives them all to the guest until its next exit.
 */
static int handle_dr(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	const struct vmcb_control_area *control = &svm->vmcb->control;

	if (!vcpu->guest_debug) {
		vcpu->stat.dr_exits++;
		vcpu->dr_in_guest = true;
		svm_set_dr_intercepts(svm, false);
		return 1;
	}
	if (!has_decode_assists)
		return emulate(vcpu);
	return kvm_handle_mov_dr(vcpu, control->exit_code & 7, control->exit_info_1 & CR_INFO_GPR,
				  control->exit_code >= SVM_EXIT_WRITE_DR0);
}

static int handle_msr(struct kvm_vcpu *vcpu)
{
	return to_svm(vcpu)->vmcb->control.exit_info_1 ? kvm_handle_wrmsr(vcpu) :
							 kvm_handle_rdmsr(vcpu);
}

/* APM 2 "Task Switches", EXITINFO2 */
#define TASK_SWITCH_HAS_ERROR	BIT_ULL(44)

/* APM 2 "IN and OUT Behavior" */
static int handle_io(struct kvm_vcpu *vcpu)
{
	u64 info = to_svm(vcpu)->vmcb->control.exit_info_1;
	struct kvm_pio pio = {
		.in = info & SVM_IOIO_TYPE_MASK,
		.string = info & SVM_IOIO_STR_MASK,
		.size = (info & SVM_IOIO_SIZE_MASK) >> SVM_IOIO_SIZE_SHIFT,
		.port = info >> 16,
	};

	return kvm_handle_pio(vcpu, &pio);
}

static int handle_invlpg(struct kvm_vcpu *vcpu)
{
	if (!has_decode_assists)
		return emulate(vcpu);
	kvm_mmu_invlpg(vcpu, to_svm(vcpu)->vmcb->control.exit_info_1);
	return kvm_skip_emulated_instruction(vcpu);
}

/*
 * Only under shadow paging; the processor switches tasks itself under nested.
 * RIP is at the instruction that asks for it, which the emulator does as a whole;
 * an event's way through a task gate has no instruction.  (INT3 and INTO, too,
 * are called exceptions.)
 */
static int handle_task_switch(struct kvm_vcpu *vcpu)
{
	const struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	u32 info = control->exit_int_info, error_code = control->exit_info_2;
	u32 type = info & SVM_EXITINTINFO_TYPE_MASK;
	u8 vector = info & SVM_EXITINTINFO_VEC_MASK;

	if (!(info & SVM_EXITINTINFO_VALID) || type == SVM_EXITINTINFO_TYPE_SOFT ||
	    (type == SVM_EXITINTINFO_TYPE_EXEPT &&
	     (vector == X86_TRAP_BP || vector == X86_TRAP_OF)))
		return emulate(vcpu);
	kvm_clear_injected(vcpu);
	return kvm_task_switch(vcpu, control->exit_info_1,
			       control->exit_info_2 & TASK_SWITCH_HAS_ERROR ? &error_code : NULL);
}

/*
 * Triple fault.  What the VMCB holds now is undefined (APM 2 "Shutdown
 * Intercept"), so it begins anew, with what the core knows.
 */
static int handle_shutdown(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	init_control(svm);
	init_save(svm);
	svm_update_intercepts(vcpu);
	kvm_update_dr7(vcpu);
	svm_set_efer(vcpu, vcpu->efer);
	svm_set_cr0(vcpu, vcpu->cr0);
	svm_set_cr4(vcpu, vcpu->cr4);
	svm_set_cr3(vcpu, vcpu->cr3);
	kvm_mmu_unload(vcpu);
	return kvm_handle_triple_fault(vcpu);
}

/* Who goes on spinning gains nothing by more exits. */
static int handle_pause(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	set_pause_filter(svm, kvm_grow_window(svm->vmcb->control.pause_filter_count, pause_filter_count,
					      pause_filter_count_grow, pause_filter_count_max));
	return kvm_handle_pause(vcpu);
}

static int (*const exit_handlers[])(struct kvm_vcpu *vcpu) = {
	[SVM_EXIT_READ_CR0 ... SVM_EXIT_WRITE_CR8] = handle_cr,
	[SVM_EXIT_CR0_SEL_WRITE] = emulate,	/* names no register */
	[SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7] = handle_dr,
	[SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7] = handle_dr,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_DB] = handle_db,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_BP] = handle_bp,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_UD] = kvm_handle_invalid_opcode,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_GP] = handle_gp_exception,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_PF] = handle_page_fault,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_AC] = kvm_handle_ac,
	[SVM_EXIT_EXCP_BASE + X86_TRAP_MC] = kvm_handle_host_exit,
	[SVM_EXIT_INTR]		= kvm_handle_host_irq,
	[SVM_EXIT_NMI]		= kvm_handle_host_nmi,
	[SVM_EXIT_SMI]		= kvm_handle_host_exit,
	[SVM_EXIT_INIT]		= kvm_handle_host_exit,
	[SVM_EXIT_VINTR]	= handle_irq_window,
	[SVM_EXIT_RDPMC]	= kvm_handle_rdpmc,
	[SVM_EXIT_CPUID]	= kvm_handle_cpuid,
	[SVM_EXIT_RSM]		= kvm_handle_ud,
	[SVM_EXIT_IRET]		= handle_iret,
	[SVM_EXIT_INVD]		= kvm_handle_nop,
	[SVM_EXIT_PAUSE]	= handle_pause,
	[SVM_EXIT_HLT]		= kvm_handle_halt,
	[SVM_EXIT_INVLPG]	= handle_invlpg,
	[SVM_EXIT_INVLPGA]	= kvm_handle_ud,
	[SVM_EXIT_IOIO]		= handle_io,
	[SVM_EXIT_MSR]		= handle_msr,
	[SVM_EXIT_TASK_SWITCH]	= handle_task_switch,
	[SVM_EXIT_SHUTDOWN]	= handle_shutdown,
	[SVM_EXIT_VMRUN]	= kvm_handle_ud,
	[SVM_EXIT_VMMCALL]	= kvm_handle_hypercall,
	[SVM_EXIT_VMLOAD ... SVM_EXIT_RDTSCP] = kvm_handle_ud,
	[SVM_EXIT_WBINVD]	= kvm_handle_wbinvd,
	[SVM_EXIT_MONITOR]	= kvm_handle_mwait,
	[SVM_EXIT_MWAIT]	= kvm_handle_mwait,
	[SVM_EXIT_XSETBV]	= kvm_handle_xsetbv,
	[SVM_EXIT_RDPRU]	= kvm_handle_ud,
	[SVM_EXIT_INVPCID]	= kvm_handle_ud,
};

static int svm_handle_exit(struct kvm_vcpu *vcpu)
{
	u32 code = to_svm(vcpu)->vmcb->control.exit_code;

	if (code == SVM_EXIT_NPF)
		return handle_page_fault(vcpu);
	if (likely(code < ARRAY_SIZE(exit_handlers) && exit_handlers[code]))
		return exit_handlers[code](vcpu);
	/* APM 2 "Canonicalization and Consistency Checks" */
	if (code == (u32)SVM_EXIT_ERR)
		return kvm_fail_entry(vcpu, code);
	return kvm_handle_unexpected_exit(vcpu, code);
}

#define SVM_OP(op) .op = svm_##op,

static struct kvm_arch_ops svm_ops __ro_after_init = {
	.name = "kvm_amd",
	.isa = KVM_ISA_SVM,
	.vm_size = sizeof(struct kvm),
	.vcpu_size = sizeof(struct vcpu_svm),
	KVM_VENDOR_OPS(SVM_OP)
};

static int __init svm_init(void)
{
	return kvm_init_arch(&svm_ops, THIS_MODULE);
}
module_init(svm_init);

static void __exit svm_exit(void)
{
	kvm_exit_arch();
}
module_exit(svm_exit);
