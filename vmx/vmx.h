/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the VMX module share: a vcpu's own part, and real mode on
 * processors that cannot run it (real.c).
 */
#ifndef KVM_VMX_H
#define KVM_VMX_H

#include "kvm_host.h"
#include "kvm_entry.h"
#include "msr_area.h"
#include "vmx_ops.h"

#include <linux/io.h>
#include <linux/jump_label.h>
#include <linux/list.h>
#include <linux/percpu.h>
#include <asm/vmx.h>

#include "compat/vmx.h"

/* Exits that are none of the hardware's: the entry was not made. */
#define EXIT_REASON_NONE	0xffff		/* VMfail, VMX off, or nothing ran yet */
#define EXIT_REASON_INVALID_GUEST	0xfffe		/* invalid guest state: emulate */
#define EXIT_REASON_REAL_EVENT	0xfffd		/* deliver an event of real mode by software */

/* Of an exit reason: the guest locked the bus meanwhile (SDM 3C "Basic VM-Exit Information"). */
#define EXIT_REASON_BUS_LOCKED	BIT(26)

/* CR0's TS is the guest's own: kernels with lazy FPU switching change it often. */
#define CR0_OWNED	X86_CR0_TS
#define INTR_STATE_SHADOW	(GUEST_INTR_STATE_STI | GUEST_INTR_STATE_MOV_SS)

/* What virtual-interrupt delivery is used with; two of the three at a time, by the mode. */
#define VMX_VID_CTLS	(SECONDARY_EXEC_APIC_REGISTER_VIRT | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | \
			 SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)

/* Segment fields of the VMCS, and a bit for each in vcpu_vmx.seg_read. */
enum vmx_seg_field { SEG_SELECTOR, SEG_BASE, SEG_LIMIT, SEG_AR, SEG_NR_FIELDS };
#define VMX_NR_SEGS		8

/* Of a segment whatever the VMCS has; ar: VMX_AR_*. */
struct vmx_seg {
	u16 selector;
	u32 limit;
	u32 ar;
	unsigned long base;
};

/* STAR, LSTAR, CSTAR, SYSCALL_MASK, by index - MSR_STAR. */
#define VMX_NR_SYSCALL_MSRS	4
static_assert(MSR_STAR + VMX_NR_SYSCALL_MSRS - 1 == MSR_SYSCALL_MASK);

struct kvm_vmx {
	struct kvm kvm;			/* first: the core allocates us by it */
	struct page *identity;		/* page table for guests that do not page, or NULL */
	struct page *apic_access;	/* APIC-access page, or NULL */
};

struct vcpu_vmx {
	struct kvm_vcpu vcpu;		/* first: the core allocates us by it */
	unsigned long host_rsp;		/* as in the VMCS: entry.S's */
	bool launched;			/* VMRESUME, no more VMLAUNCH */
	struct page *vmcs;
	struct list_head loaded;	/* vmx_cpu.loaded of loaded_cpu */
	int loaded_cpu;			/* the VMCS may be in its caches; -1: in memory */
	u16 vpid;			/* 0: none, every entry and exit flushes */
	u8 *vapic;			/* page with the registers that do not exit, or NULL */
	u64 *pml;			/* page that the processor logs writes in, or NULL */
	bool intercept_cr8;		/* the core waits for a lower task priority */

	/* The last exit. */
	u32 exit_reason;
	bool bus_locked;		/* the exit says so */
	u32 entry_error;		/* VM-instruction error, if it was none */
	u32 intr_info;			/* of EXCEPTION_NMI */
	bool injected;			/* this entry injects an event */

	/* What the VMCS has, so that it need not be read. */
	u32 pin_ctl, cpu_ctl, cpu2_ctl, exit_ctl, entry_ctl;
	u32 exception_bitmap;
	u32 tpr_threshold;
	u32 ple_window;
	unsigned long host_cr3, host_cr4;
	unsigned long cr4_owned;	/* bits that the guest changes by itself */
	unsigned long rflags;		/* if EXREG_RFLAGS is available */
	u32 seg_read;			/* bit seg * 4 + field: seg_cache has it */
	struct vmx_seg seg_cache[VMX_NR_SEGS];

	/* The guest's, where the VMCS has no place for them. */
	u64 syscall_msrs[VMX_NR_SYSCALL_MSRS], kernel_gs_base;
	bool nmi_masked;		/* without virtual NMIs: our own idea of it ... */
	unsigned long nmi_masked_at;	/* ... since then, in jiffies */

	/* The host's, switched once for many entries. */
	struct {
		bool saved;
		u16 fs, gs, ds, es, ldt;
		unsigned long fs_base, kernel_gs_base;
		u64 debugctl;
		bool umwait_saved;
		u64 umwait_control;
	} host;

	struct vmx_msr_area area;	/* EFER and others, where the VMCS has no field for them */
	u64 perf_ctrl_guest, perf_ctrl_host;	/* in the VMCS's fields */

	/* Without unrestricted guests (real.c). */
	struct {
		bool identity;		/* CR3 is our map's, as the guest does not page */
		bool vm86;		/* the guest is in real mode, the CPU in virtual-8086 */
		bool check;		/* invalid_guest_state is to be found anew */
		bool invalid_guest_state;	/* VM entry would fail its checks */
		struct { bool valid; u8 vector; u8 insn_len; } event;
		unsigned long iopl;	/* the guest's IOPL and VM */
		u32 sysenter_cs;	/* in the MSR, if vm86 */
		struct vmx_seg seg[VMX_NR_SEGS];	/* as the guest has them */
		struct kvm_dtable idt;
	} real;
};

/* The fields of one kind of all segments follow each other, in the hardware's order. */
#define SEG_FIELD(first, seg)	((first) + 2 * (seg))

/* The controls, by the capability MSRs: what is on in every VMCS at the beginning. */
struct vmx_controls {
	u32 pin, cpu, cpu2, exit, entry;
};

/* What this processor has, and the module uses. */
struct vmx_caps {
	u64 ept_vpid;			/* MSR_IA32_VMX_EPT_VPID_CAP */
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
	u64 host_efer;
	u32 revision;			/* of the VMCS */
	u32 entry_may, exit_may;	/* controls that can be on */
	bool perf_fields;		/* IA32_PERF_GLOBAL_CTRL's fields may be used */
	bool pat_fields;		/* entries can load IA32_PAT, and exits the host's */
	u64 host_pat;
	bool tsx_ctrl;			/* IA32_TSX_CTRL is there, and TSX */
};

/* A CPU's share; touched on that CPU only, preemption off. */
struct vmx_cpu {
	struct page *current_vmcs;	/* VMPTRLD's last */
	struct list_head loaded;	/* VMCSs that may be in the processor's caches */
	u64 syscall_msrs[VMX_NR_SYSCALL_MSRS];	/* the host's; they never change */
	u64 tsx_ctrl;			/* likewise */
};

/* entry.S */
bool vmx_enter_guest(struct kvm_vcpu *vcpu, unsigned long *host_rsp, bool launched);
void vmx_exit_landing(void);		/* where exits land: HOST_RIP, never called */

/* caps.c */
extern struct vmx_controls vmx_ctl;
extern struct vmx_caps vmx_caps;
extern bool vmx_ept, vmx_unrestricted, vmx_vpid, vmx_eptad, vmx_pml, vmx_vnmi,
	    vmx_apicv, vmx_vid;
DECLARE_PER_CPU(struct vmx_cpu, vmx_cpus);

int  vmx_check_processors(void);
void vmx_find_features(void);
int  vmx_init_cpus(void);
void vmx_free_cpus(void);
int  vmx_hardware_enable(void);
void vmx_hardware_disable(void);

/* vmx.c */
unsigned int vmx_ple_gap(void);
void vmx_init_ple(struct vcpu_vmx *vmx);
void vmx_shrink_ple_window(struct vcpu_vmx *vmx);
int vmx_handle_pause(struct kvm_vcpu *vcpu);

/* vmcs.c */
struct page *vmx_alloc_vmcs(int node, gfp_t gfp);
void vmx_unload_vmcs(struct vcpu_vmx *vmx);
void vmx_unload_vmcs_anywhere(struct vcpu_vmx *vmx);
void vmx_set_ctl(u32 *ctl, u32 field, u32 bits, bool on);
void vmx_init_host_state(struct vcpu_vmx *vmx);
void vmx_load_cpu_state(int cpu);
unsigned long vmx_read_base(struct vcpu_vmx *vmx, int seg);
u32  vmx_read_ar(struct vcpu_vmx *vmx, int seg);
void vmx_read_seg(struct vcpu_vmx *vmx, int seg, struct vmx_seg *s);
void vmx_write_seg(struct vcpu_vmx *vmx, int seg, const struct vmx_seg *s);
void vmx_sync_pending_dbg(struct vcpu_vmx *vmx);
void vmx_write_rflags(struct vcpu_vmx *vmx, unsigned long rflags);
bool vmx_get_nmi_mask(struct kvm_vcpu *vcpu);
void vmx_set_nmi_mask(struct kvm_vcpu *vcpu, bool masked);

/* intercepts.c */
int  vmx_alloc_maps(void);
void vmx_free_maps(void);
void vmx_update_cr8_intercept(struct kvm_vcpu *vcpu, bool on);
void vmx_set_dr_intercepts(struct vcpu_vmx *vmx, bool on);
void vmx_update_intercepts(struct kvm_vcpu *vcpu);

/* regs.c */
void vmx_cache_reg(struct kvm_vcpu *vcpu, int reg);
void vmx_get_segment(struct kvm_vcpu *vcpu, struct kvm_segment *var, int seg);
void vmx_set_segment(struct kvm_vcpu *vcpu, const struct kvm_segment *var, int seg);
int  vmx_get_cpl(struct kvm_vcpu *vcpu);
void vmx_get_dtable(struct kvm_vcpu *vcpu, struct kvm_dtable *dt, int seg);
void vmx_set_dtable(struct kvm_vcpu *vcpu, const struct kvm_dtable *dt, int seg);
void vmx_set_cr0(struct kvm_vcpu *vcpu, unsigned long cr0);
void vmx_set_cr3(struct kvm_vcpu *vcpu, unsigned long cr3);
void vmx_set_cr4(struct kvm_vcpu *vcpu, unsigned long cr4);
void vmx_set_efer(struct kvm_vcpu *vcpu, u64 efer);
unsigned long vmx_get_rflags(struct kvm_vcpu *vcpu);
void vmx_set_rflags(struct kvm_vcpu *vcpu, unsigned long rflags);
void vmx_set_dr7(struct kvm_vcpu *vcpu, unsigned long dr7);
void vmx_sync_debug_regs(struct kvm_vcpu *vcpu);

/* apic.c */
int  vmx_apic_init_vm(struct kvm *kvm);
void vmx_apic_destroy_vm(struct kvm *kvm);
void vmx_apic_init(struct vcpu_vmx *vmx);
bool vmx_apic_map(struct kvm_vcpu *vcpu, gpa_t gpa);
void vmx_apic_update(struct vcpu_vmx *vmx);
void vmx_apic_before_entry(struct vcpu_vmx *vmx);
void vmx_apic_after_exit(struct vcpu_vmx *vmx);
int  vmx_handle_apic_access(struct kvm_vcpu *vcpu);
int  vmx_handle_eoi_induced(struct kvm_vcpu *vcpu);
int  vmx_handle_apic_write(struct kvm_vcpu *vcpu);

/* l1tf.c */
DECLARE_STATIC_KEY_FALSE(vmx_flushes_l1d);
int  vmx_l1tf_init(void);
void vmx_l1tf_exit(void);
void vmx_l1tf_init_vm(void);
void vmx_flush_l1d(struct vcpu_vmx *vmx);

/* perf.c */
DECLARE_STATIC_KEY_FALSE(vmx_host_perf);
void vmx_perf_init(void);
void vmx_perf_exit(void);
void vmx_switch_perf(struct vcpu_vmx *vmx);

/* dump.c */
void vmx_dump(struct vcpu_vmx *vmx);

/* real.c */
int  vmx_real_init_vm(struct kvm *kvm);
void vmx_real_destroy_vm(struct kvm *kvm);
bool vmx_real_map_identity(struct vcpu_vmx *vmx, gpa_t gpa, int *r);
void vmx_real_get_seg(struct vcpu_vmx *vmx, int seg, struct vmx_seg *s);
void vmx_real_set_seg(struct vcpu_vmx *vmx, int seg, const struct vmx_seg *s);
unsigned long vmx_real_rflags(struct vcpu_vmx *vmx, unsigned long hw);
unsigned long vmx_real_set_rflags(struct vcpu_vmx *vmx, unsigned long rflags);
u32  vmx_real_sysenter_cs(struct vcpu_vmx *vmx);
void vmx_real_set_sysenter_cs(struct vcpu_vmx *vmx, u32 val);
unsigned long vmx_real_cr4(struct vcpu_vmx *vmx, unsigned long hw);
bool vmx_real_switch(struct vcpu_vmx *vmx, unsigned long cr0);
bool vmx_real_no_entry(struct vcpu_vmx *vmx);
int  vmx_real_emulate(struct vcpu_vmx *vmx);
void vmx_real_inject(struct vcpu_vmx *vmx, u8 vector, unsigned int insn_len);
int  vmx_real_deliver(struct vcpu_vmx *vmx);
bool vmx_real_can_inject(struct vcpu_vmx *vmx);
int  vmx_real_exception(struct vcpu_vmx *vmx, u8 vector);

static inline u64 page_pa(struct page *page)
{
	return page_to_phys(page);
}

static inline struct kvm_vmx *to_kvm_vmx(struct kvm *kvm)
{
	return container_of(kvm, struct kvm_vmx, kvm);
}

static inline struct vcpu_vmx *to_vmx(struct kvm_vcpu *vcpu)
{
	return container_of(vcpu, struct vcpu_vmx, vcpu);
}

static inline void vmx_set_cpu_ctl(struct vcpu_vmx *vmx, u32 bits, bool on)
{
	vmx_set_ctl(&vmx->cpu_ctl, CPU_BASED_VM_EXEC_CONTROL, bits, on);
}

/* bits: 0 if the processor has no such word. */
static inline void vmx_set_cpu2_ctl(struct vcpu_vmx *vmx, u32 bits, bool on)
{
	vmx_set_ctl(&vmx->cpu2_ctl, SECONDARY_VM_EXEC_CONTROL, bits, on);
}

static inline void vmx_write_area_counts(struct vcpu_vmx *vmx)
{
	vmcs_write32(VM_ENTRY_MSR_LOAD_COUNT, vmx->area.nr);
	vmcs_write32(VM_EXIT_MSR_LOAD_COUNT, vmx->area.nr);
}

static inline unsigned long hw_rflags(struct vcpu_vmx *vmx)
{
	struct kvm_vcpu *vcpu = &vmx->vcpu;

	if (!(vcpu->regs_avail & BIT(VCPU_EXREG_RFLAGS))) {
		vcpu->regs_avail |= BIT(VCPU_EXREG_RFLAGS);
		vmx->rflags = vmcs_read(GUEST_RFLAGS);
	}
	return vmx->rflags;
}

/* VM entry fails with both a shadow and an event, which would end the shadow anyway. */
static inline void clear_shadow(void)
{
	u32 state = vmcs_read32(GUEST_INTERRUPTIBILITY_INFO);

	if (unlikely(state & INTR_STATE_SHADOW))
		vmcs_write32(GUEST_INTERRUPTIBILITY_INFO, state & ~INTR_STATE_SHADOW);
}

#endif
