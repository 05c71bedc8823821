/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kvm_arch_ops: the whole boundary between the core (kvm.ko) and a vendor
 * module (kvm-intel.ko, kvm-amd.ko).
 *
 * An op exists only where the two vendors differ.  The core includes no VMX
 * or SVM header; a vendor touches neither user memory nor struct kvm_run
 * beyond the neutral structures of kvm_host.h.
 *
 * Return convention of exit handlers, here and everywhere in the core:
 *   1        handled, resume the guest
 *   0        leave to userspace, kvm_run is filled in
 *   -errno   KVM_RUN fails with it
 */
#ifndef KVM_ARCH_OPS_H
#define KVM_ARCH_OPS_H

#include <linux/static_call.h>
#include <linux/types.h>

/* All three modules' version, and the packages'. */
#define KVM_MODULE_VERSION "0.2"

struct module;
struct kvm;
struct kvm_vcpu;
struct kvm_segment;
struct kvm_dtable;

/* What tracing tools know the two extensions by. */
#define KVM_ISA_VMX	1
#define KVM_ISA_SVM	2

struct kvm_arch_ops {
	/*
	 * What the vendor is, and can.  Constant after hardware_setup(), which may
	 * fill it in: the core copies the table then.
	 */
	const char *name;		/* "kvm_intel" or "kvm_amd" */
	u32 isa;			/* KVM_ISA_VMX or KVM_ISA_SVM */
	u32 microcode_shift;		/* where MSR_IA32_UCODE_REV has the revision */
	size_t vm_size;			/* sizeof its struct around struct kvm */
	size_t vcpu_size;		/* sizeof its struct around struct kvm_vcpu */
	u64 cr4_guest_reserved;		/* CR4 bits that this processor's guests cannot have */
	bool has_tsc_aux;		/* TSC_AUX and its instructions are usable in guests */
	bool has_xsaves;		/* likewise XSAVES */
	bool has_invpcid;		/* likewise INVPCID, under nested paging */
	bool has_bus_lock_exits;	/* the guest's bus locks can exit */
	bool has_notify_exits;		/* exits if the guest takes no event for some time */
	bool has_waitpkg;		/* likewise UMONITOR, UMWAIT, TPAUSE and IA32_UMWAIT_CONTROL */

	/* The format of nested tables (EPT, NPT); nothing of it counts without nested_paging. */
	bool nested_paging;		/* EPT or NPT in use */
	int  nested_levels;		/* levels of the nested root, 4 or 5 */
	int  max_nested_page_level;	/* largest nested leaf, PG_LEVEL_* */
	bool nested_pdptrs;		/* PAE's top entries are registers there, too */
	u64  nested_access_mask;	/* set in every present nested entry */
	u64  nested_exec_mask;		/* of it, what allows to execute; 0: NX forbids it (spte.h) */
	u64  nested_leaf_mask;		/* in leaves that map memory; not in those of devices */
	u64  nested_device_mask;	/* in leaves of devices, and of what the host has uncached */
	u64  nested_ignore_pat;		/* of nested_leaf_mask: the guest's PAT has no say; 0: it has */
	u64  nested_accessed_mask;	/* A and D of nested entries; 0: there are none */
	u64  nested_dirty_mask;
	bool nested_dirty_log;		/* calls kvm_mark_gpa_dirty() for what gets D set */
	u64  nested_mmio_entry;		/* maps nothing, and each access exits as MMIO; 0: none */

	/*
	 * Module.  setup and unsetup run once and may sleep; setup returns 0, or
	 * what insmod shall say (-ENODEV, -EOPNOTSUPP, ...) with nothing left
	 * allocated.  enable and disable run on the CPU concerned, interrupts off,
	 * when the first VM is made and the last is gone, and around hotplug,
	 * suspend and reboot; enable returns 0, or -EBUSY if another hypervisor
	 * holds the extension, with nothing left on.
	 */
	int  (*hardware_setup)(void);
	void (*hardware_unsetup)(void);
	int  (*hardware_enable)(void);
	void (*hardware_disable)(void);

	/* VM, optional.  Once each; may sleep.  init returns 0 or -ENOMEM. */
	int  (*vm_init)(struct kvm *kvm);
	void (*vm_destroy)(struct kvm *kvm);

	/*
	 * Vcpu life.  create and free, once each, may sleep; create returns 0 or
	 * -ENOMEM.  reset, vcpu loaded: the vendor's part of the state after RESET
	 * (init_event false) or INIT; kvm_reset_segments() is called by it, what
	 * the core knows is set by the other operations afterwards.  load and put,
	 * preemption off: the vcpu comes to a CPU or leaves it.
	 * prepare_guest_switch, preemption off, before each entry: saves the host's
	 * state that the guest's is going to replace until put, if that is not done.
	 */
	int  (*vcpu_create)(struct kvm_vcpu *vcpu);
	void (*vcpu_free)(struct kvm_vcpu *vcpu);
	void (*vcpu_reset)(struct kvm_vcpu *vcpu, bool init_event);
	void (*vcpu_load)(struct kvm_vcpu *vcpu, int cpu);
	void (*vcpu_put)(struct kvm_vcpu *vcpu);
	void (*prepare_guest_switch)(struct kvm_vcpu *vcpu);

	/*
	 * Run and exit, vcpu loaded.  run, interrupts off: enters the guest and
	 * returns after the exit, with the exit in the vendor's fields and what it
	 * interrupted requeued by kvm_requeue_*().  An entry that fails is such an
	 * exit, too.  handle_exit_irqoff, interrupts still off: what the host must
	 * see at once.  handle_exit, preemption on: as exit handlers.
	 * skip_insn: past the instruction that exited and its interrupt shadow; 1,
	 * or 0 with nothing changed if its length could not be found.  Only
	 * kvm_skip_emulated_instruction() calls it, which does the single-step
	 * trap.  exit_info: the exit's code and qualifications, for tracing.
	 */
	void (*run)(struct kvm_vcpu *vcpu);
	void (*handle_exit_irqoff)(struct kvm_vcpu *vcpu);
	int  (*handle_exit)(struct kvm_vcpu *vcpu);
	int  (*skip_insn)(struct kvm_vcpu *vcpu);
	void (*exit_info)(struct kvm_vcpu *vcpu, u64 *reason, u64 *info1, u64 *info2);

	/*
	 * For perf, in an interrupt or NMI after an exit of a vcpu loaded on this CPU: where
	 * the guest was.  Changes nothing, not even what is remembered of the VMCS.
	 */
	void (*sample)(struct kvm_vcpu *vcpu, unsigned long *ip, bool *user);

	/*
	 * Registers, vcpu loaded; seg is VCPU_SREG_*, of dtables _GDTR or _IDTR.
	 * cache_reg: brings an enum kvm_reg that is not in vcpu->regs_avail into the
	 * vcpu.  set_cr0, set_cr3, set_cr4, set_efer: the
	 * core has checked the value against the architecture and stored it in the
	 * vcpu; the hardware gets what it needs for it (CR3 under nested paging
	 * only: shadow roots go by load_root).  get_rflags and set_rflags: what the
	 * hardware has while the guest runs, a debugger's TF included.
	 */
	void (*cache_reg)(struct kvm_vcpu *vcpu, int reg);
	void (*get_segment)(struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg);
	void (*set_segment)(struct kvm_vcpu *vcpu, const struct kvm_segment *var, int seg);
	int  (*get_cpl)(struct kvm_vcpu *vcpu);
	void (*get_dtable)(struct kvm_vcpu *vcpu, struct kvm_dtable *dt, int seg);
	void (*set_dtable)(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt, int seg);
	void (*set_cr0)(struct kvm_vcpu *vcpu, unsigned long cr0);
	void (*set_cr3)(struct kvm_vcpu *vcpu, unsigned long cr3);
	void (*set_cr4)(struct kvm_vcpu *vcpu, unsigned long cr4);
	void (*set_efer)(struct kvm_vcpu *vcpu, u64 efer);
	unsigned long (*get_rflags)(struct kvm_vcpu *vcpu);
	void (*set_rflags)(struct kvm_vcpu *vcpu, unsigned long rflags);

	/*
	 * Debug registers.  set_dr7: for the next entry; DR0 to DR3 are loaded by
	 * the core.  sync_debug_regs, interrupts off, at an exit of a guest that had
	 * them all (vcpu->dr_in_guest): stores DR6 and DR7 in the vcpu, and has
	 * MOV DR exit again.
	 */
	void (*set_dr7)(struct kvm_vcpu *vcpu, unsigned long dr7);
	void (*sync_debug_regs)(struct kvm_vcpu *vcpu);

	/*
	 * Intercepts, vcpu loaded, in its read section: guest debugging, CPUID, the
	 * MSR filter, quirks, the APIC's mode, SPEC_CTRL's passthrough, the guest's PAT or
	 * whether that matters changed.
	 */
	void (*update_intercepts)(struct kvm_vcpu *vcpu);

	/*
	 * Model-specific registers that are switched with the guest, vcpu loaded:
	 * STAR, LSTAR, CSTAR, SYSCALL_MASK, FS_BASE, GS_BASE, KERNEL_GS_BASE and
	 * SYSENTER_*, no others.  The core has checked the value.
	 */
	u64  (*get_msr)(struct kvm_vcpu *vcpu, u32 index);
	void (*set_msr)(struct kvm_vcpu *vcpu, u32 index, u64 data);

	/*
	 * Events, vcpu loaded, preemption on.  inject_*: have the next entry
	 * deliver the event of vcpu->events.  *_allowed: the guest could take one
	 * now.  enable_*_window: exit as soon as it can.  The NMI mask is set from
	 * an NMI's delivery to the handler's IRET.
	 * cancel_injection: the entry is called off; requeue what was injected.
	 * update_cr8_intercept: with the local APIC in the kernel, whether writes
	 * of CR8 must exit; else the vendor keeps vcpu->cr8 and the hardware's
	 * alike.
	 */
	u32  (*get_interrupt_shadow)(struct kvm_vcpu *vcpu);
	void (*set_interrupt_shadow)(struct kvm_vcpu *vcpu, u32 mask);
	void (*inject_exception)(struct kvm_vcpu *vcpu);
	void (*inject_irq)(struct kvm_vcpu *vcpu);
	void (*inject_nmi)(struct kvm_vcpu *vcpu);
	bool (*irq_allowed)(struct kvm_vcpu *vcpu);
	bool (*nmi_allowed)(struct kvm_vcpu *vcpu);
	bool (*get_nmi_mask)(struct kvm_vcpu *vcpu);
	void (*set_nmi_mask)(struct kvm_vcpu *vcpu, bool masked);
	void (*enable_irq_window)(struct kvm_vcpu *vcpu);
	void (*enable_nmi_window)(struct kvm_vcpu *vcpu);
	void (*cancel_injection)(struct kvm_vcpu *vcpu);
	void (*update_cr8_intercept)(struct kvm_vcpu *vcpu, bool on);

	/*
	 * MMU, vcpu loaded.  load_root: the root that the next entry uses (nested
	 * root, or shadow root as the hardware's CR3), with a flush.  tlb_flush:
	 * everything of this vcpu, by the next entry at the latest.
	 * tlb_flush_gva: one address, under shadow paging only.
	 */
	void (*load_root)(struct kvm_vcpu *vcpu, u64 root_hpa, int level);
	void (*tlb_flush)(struct kvm_vcpu *vcpu);
	void (*tlb_flush_gva)(struct kvm_vcpu *vcpu, u64 gva);

	/* Time, vcpu loaded: guest TSC = host TSC + offset. */
	void (*set_tsc_offset)(struct kvm_vcpu *vcpu, u64 offset);
};

/* What both vendors have, for their tables: .run = vendor_run and so on. */
#define KVM_VENDOR_OPS(X)							\
	X(hardware_setup) X(hardware_unsetup) X(hardware_enable) X(hardware_disable) \
	X(vcpu_create) X(vcpu_free) X(vcpu_reset) X(vcpu_load) X(vcpu_put)	\
	X(prepare_guest_switch) X(run) X(handle_exit_irqoff) X(handle_exit)	\
	X(skip_insn) X(exit_info) X(sample)					\
	X(cache_reg) X(get_segment) X(set_segment) X(get_cpl) X(get_dtable) X(set_dtable) \
	X(set_cr0) X(set_cr3) X(set_cr4) X(set_efer) X(get_rflags) X(set_rflags) \
	X(set_dr7) X(sync_debug_regs) X(update_intercepts) X(get_msr) X(set_msr) \
	X(get_interrupt_shadow) X(set_interrupt_shadow) X(inject_exception)	\
	X(inject_irq) X(inject_nmi) X(irq_allowed) X(nmi_allowed)		\
	X(get_nmi_mask) X(set_nmi_mask) X(enable_irq_window) X(enable_nmi_window) \
	X(cancel_injection) X(update_cr8_intercept)				\
	X(load_root) X(tlb_flush) X(tlb_flush_gva) X(set_tsc_offset)

extern struct kvm_arch_ops kvm_ops;	/* a copy, filled by kvm_init_arch() */

/*
 * What every entry and exit calls goes by direct calls, patched in when the
 * vendor registers: an indirect one costs a retpoline on the hosts that need it.
 * kvm_call(run)(vcpu) is kvm_ops.run(vcpu); within kvm.ko only.
 */
#define KVM_HOT_OPS(X)						\
	X(vcpu_load) X(vcpu_put) X(prepare_guest_switch)	\
	X(run) X(handle_exit_irqoff) X(handle_exit)		\
	X(skip_insn) X(get_rflags) X(irq_allowed)

#define KVM_DECLARE_CALL(op) \
	DECLARE_STATIC_CALL(kvm_##op, *((struct kvm_arch_ops *)NULL)->op);
KVM_HOT_OPS(KVM_DECLARE_CALL)
#define kvm_call(op)	static_call(kvm_##op)

int kvm_init_arch(const struct kvm_arch_ops *ops, struct module *owner);
void kvm_exit_arch(void);

#endif
