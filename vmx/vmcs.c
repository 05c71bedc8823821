// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMCS: its memory, on which CPU it is, and its fields: the controls, the
 * host's state, the guest's segments, flags and NMI blocking.  It calls no other
 * file of the module.
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "vmx.h"

#include <linux/rculist.h>
#include <linux/smp.h>
#include <asm/cpu_entry_area.h>
#include <asm/debugreg.h>
#include <asm/desc.h>
#include <asm/mmu_context.h>
#include <asm/segment.h>
#include <asm/tlbflush.h>

/** vmx_vmwrite_failed - none should: to the log */
void vmx_vmwrite_failed(unsigned long field, unsigned long value)
{
	pr_err_ratelimited("VMWRITE of %#lx to field %#lx failed, error %u\n", value, field,
			   vmcs_read32(VM_INSTRUCTION_ERROR));
}

/** vmx_insn_failed - the same of another VMX instruction */
void vmx_insn_failed(const char *insn, u64 operand)
{
	pr_err_ratelimited("%s of %#llx failed\n", insn, operand);
}

/*
 * ---- memory ----
 */

/** vmx_alloc_vmcs - or for VMXON: SDM 3C "Format of the VMCS Region".  NULL: no memory */
struct page *vmx_alloc_vmcs(int node, gfp_t gfp)
{
	struct page *page = alloc_pages_node(node, gfp | __GFP_ZERO, 0);

	if (page)
		*(u32 *)page_address(page) = vmx_caps.revision;
	return page;
}

/** vmx_unload_vmcs - VMCLEAR of a VMCS that is loaded on this CPU; interrupts off */
void vmx_unload_vmcs(struct vcpu_vmx *vmx)
{
	struct vmx_cpu *vc = this_cpu_ptr(&vmx_cpus);

	vmclear(page_pa(vmx->vmcs));
	if (vc->current_vmcs == vmx->vmcs)
		vc->current_vmcs = NULL;
	list_del_rcu(&vmx->loaded);
	vmx->launched = false;
	/* Once it is -1 another CPU may load the VMCS. */
	smp_store_release(&vmx->loaded_cpu, -1);
}

static void unload_ipi(void *vmx)
{
	if (((struct vcpu_vmx *)vmx)->loaded_cpu == smp_processor_id())
		vmx_unload_vmcs(vmx);
}

/** vmx_unload_vmcs_anywhere - the same, whatever CPU it is on, if any; interrupts on */
void vmx_unload_vmcs_anywhere(struct vcpu_vmx *vmx)
{
	int cpu = READ_ONCE(vmx->loaded_cpu);

	if (cpu >= 0)
		smp_call_function_single(cpu, unload_ipi, vmx, 1);
}

/*
 * ---- controls ----
 */

/** vmx_set_ctl - bits of controls on or off, if they are not so already; *ctl: what the VMCS has */
void vmx_set_ctl(u32 *ctl, u32 field, u32 bits, bool on)
{
	u32 val = on ? *ctl | bits : *ctl & ~bits;

	if (*ctl == val)
		return;
	*ctl = val;
	vmcs_write32(field, val);
}

/*
 * ---- the host's state ----
 */

/** vmx_init_host_state - the part of the host's state that all CPUs have alike */
void vmx_init_host_state(struct vcpu_vmx *vmx)
{
	struct desc_ptr idt;

	store_idt(&idt);
	vmx->host_cr3 = __get_current_cr3_fast();
	vmx->host_cr4 = cr4_read_shadow();
	vmx->host_rsp = 0;
	vmcs_write(HOST_CR0, read_cr0());
	vmcs_write(HOST_CR3, vmx->host_cr3);
	vmcs_write(HOST_CR4, vmx->host_cr4);
	vmcs_write16(HOST_CS_SELECTOR, __KERNEL_CS);
	vmcs_write16(HOST_SS_SELECTOR, __KERNEL_DS);
	/* The thread's own, if not null, are restored by vmx_vcpu_put(). */
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

/** vmx_load_cpu_state - the part of the host's state that is this CPU's own */
void vmx_load_cpu_state(int cpu)
{
	unsigned long esp, gs_base;

	rdmsrq(MSR_GS_BASE, gs_base);
	rdmsrq(MSR_IA32_SYSENTER_ESP, esp);
	vmcs_write(HOST_GS_BASE, gs_base);
	vmcs_write(HOST_TR_BASE, (unsigned long)&get_cpu_entry_area(cpu)->tss.x86_tss);
	vmcs_write(HOST_GDTR_BASE, (unsigned long)get_cpu_gdt_ro(cpu));
	vmcs_write(HOST_IA32_SYSENTER_ESP, esp);
	vmcs_write(HOST_IA32_SYSENTER_EIP, native_read_msr(MSR_IA32_SYSENTER_EIP));
}

/*
 * ---- the guest's segments and flags ----
 */

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

/** vmx_read_base - a segment's base in the VMCS, read once an exit */
unsigned long vmx_read_base(struct vcpu_vmx *vmx, int seg)
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

/** vmx_read_ar - its access rights, VMX_AR_*, likewise */
u32 vmx_read_ar(struct vcpu_vmx *vmx, int seg)
{
	if (!seg_cached(vmx, seg, SEG_AR))
		vmx->seg_cache[seg].ar = vmcs_read32(SEG_FIELD(GUEST_ES_AR_BYTES, hw_seg(seg)));
	return vmx->seg_cache[seg].ar;
}

/** vmx_read_seg - all of a segment; with vmx->real.vm86 that is not the guest's */
void vmx_read_seg(struct vcpu_vmx *vmx, int seg, struct vmx_seg *s)
{
	s->selector = read_selector(vmx, seg);
	s->base = vmx_read_base(vmx, seg);
	s->limit = read_limit(vmx, seg);
	s->ar = vmx_read_ar(vmx, seg);
}

/** vmx_write_seg - set a segment in the VMCS */
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

/*
 * An interrupt shadow and the flags must agree (SDM 3C "Checks on Guest
 * Non-Register State"): STI casts one only with IF set, but MOV SS always, and
 * a single step that it delays is a pending debug exception.
 */
void vmx_sync_pending_dbg(struct vcpu_vmx *vmx)
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

/** vmx_write_rflags - set the hardware's flags, and what must agree with them */
void vmx_write_rflags(struct vcpu_vmx *vmx, unsigned long rflags)
{
	vmx->rflags = rflags;
	vmx->vcpu.regs_avail |= BIT(VCPU_EXREG_RFLAGS);
	vmcs_write(GUEST_RFLAGS, rflags);
	vmx_sync_pending_dbg(vmx);
}

/*
 * ---- NMI blocking ----
 */

#define NMI_HANDLER_MAX		HZ

/*
 * Are NMIs blocked?  Without virtual NMIs nothing shows that a handler's IRET was
 * executed (SDM 3C "IRET" in "Changes to Instruction Behavior").  Then the handler is
 * assumed to have ended when the guest can take interrupts again, or after a second.
 */
bool vmx_get_nmi_mask(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	if (likely(vmx_vnmi))
		return vmcs_read32(GUEST_INTERRUPTIBILITY_INFO) & GUEST_INTR_STATE_NMI;
	if (vmx->nmi_masked && time_after(jiffies, vmx->nmi_masked_at + NMI_HANDLER_MAX))
		vmx->nmi_masked = false;
	return vmx->nmi_masked;
}

/** vmx_set_nmi_mask - ops->set_nmi_mask */
void vmx_set_nmi_mask(struct kvm_vcpu *vcpu, bool masked)
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
