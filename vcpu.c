// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vcpu: its life, RESET, INIT and SIPI, and the run loop: requests, event
 * injection, entry and exit.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_dirty_ring.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_handlers.h"
#include "kvm_lapic.h"
#include "kvm_hardware.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_perf.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_request.h"
#include "kvm_vcpu.h"
#include "trace.h"

#include KVM_ENTRY_HEADER
#include <linux/jiffies.h>
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/static_call.h>
#include <linux/uaccess.h>
#include <linux/vtime.h>
#include <asm/pkru.h>

static struct kmem_cache *kvm_vcpu_cache;

/** kvm_vcpu_module_init - a vendor module is there, with the size of its vcpus: 0 or -ENOMEM */
int kvm_vcpu_module_init(void)
{
	kvm_vcpu_cache = kmem_cache_create("kvm_vcpu", kvm_ops.vcpu_size,
					   __alignof__(struct kvm_vcpu), SLAB_ACCOUNT, NULL);
	return kvm_vcpu_cache ? 0 : -ENOMEM;
}

/** kvm_vcpu_module_exit - the vendor module goes */
void kvm_vcpu_module_exit(void)
{
	kmem_cache_destroy(kvm_vcpu_cache);
}

/*
 * ---- life ----
 */

static void kvm_sched_in(struct preempt_notifier *pn, int cpu)
{
	struct kvm_vcpu *vcpu = container_of(pn, struct kvm_vcpu, preempt_notifier);

	kvm_call(vcpu_load)(vcpu, cpu);
	WRITE_ONCE(vcpu->cpu, cpu);
	WRITE_ONCE(vcpu->preempted, false);
	kvm_pv_sched_in(vcpu);
	kvm_clock_sched_in(vcpu, vcpu->last_cpu != cpu);
	if (vcpu->last_cpu == cpu)
		return;
	vcpu->last_cpu = cpu;
	if (vcpu->lapic)
		kvm_make_request(KVM_REQ_MIGRATE_TIMER, vcpu);
}

static void kvm_sched_out(struct preempt_notifier *pn, struct task_struct *next)
{
	struct kvm_vcpu *vcpu = container_of(pn, struct kvm_vcpu, preempt_notifier);

	kvm_call(vcpu_put)(vcpu);
	/* Scheduled out by the very interrupt that ended the guest. */
	kvm_perf_interrupted(NULL);
	WRITE_ONCE(vcpu->cpu, -1);
	kvm_pv_sched_out(vcpu);
	if (unlikely(!READ_ONCE(vcpu->kvm->clock.master)))
		kvm_clock_sched_out(vcpu);
	if (next && current->on_rq)
		WRITE_ONCE(vcpu->preempted, true);
}

static struct preempt_ops kvm_preempt_ops = {
	.sched_in = kvm_sched_in,
	.sched_out = kvm_sched_out,
};

/** kvm_vcpu_load - bind a vcpu to this thread and CPU, its mutex held until kvm_vcpu_put(); a
 * preempt notifier moves it along with the thread
 */
void kvm_vcpu_load(struct kvm_vcpu *vcpu)
{
	int cpu = get_cpu();

	preempt_notifier_register(&vcpu->preempt_notifier);
	kvm_sched_in(&vcpu->preempt_notifier, cpu);
	put_cpu();
}

/** kvm_vcpu_put - the reverse of kvm_vcpu_load() */
void kvm_vcpu_put(struct kvm_vcpu *vcpu)
{
	preempt_disable();
	kvm_sched_out(&vcpu->preempt_notifier, NULL);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	preempt_enable();
}

/** kvm_vcpu_destroy - free a vcpu that nobody can reach any more, its MMU unloaded */
void kvm_vcpu_destroy(struct kvm_vcpu *vcpu)
{
	kvm_ops.vcpu_free(vcpu);
	kvm_async_pf_destroy(vcpu);
	kvm_lapic_destroy(vcpu);
	put_pid(rcu_dereference_protected(vcpu->pid, true));
	kvm_mmu_destroy(vcpu);
	kvm_emulate_destroy(vcpu);
	kvm_cpuid_free(vcpu);
	kvm_fpu_destroy(vcpu);
	kvm_dirty_ring_destroy(vcpu);
	free_page((unsigned long)vcpu->pio.data);
	free_page((unsigned long)vcpu->run);
	kmem_cache_free(kvm_vcpu_cache, vcpu);
}

/** kvm_vcpu_create - a vcpu that nobody else sees yet, before its reset; the VM's lock held
 * @id: userspace's number for it, and its APIC id
 * Returns it, or an error pointer: -ENOMEM or what the vendor says.
 */
struct kvm_vcpu *kvm_vcpu_create(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu = kmem_cache_zalloc(kvm_vcpu_cache, GFP_KERNEL_ACCOUNT);
	int r = -ENOMEM;

	if (!vcpu)
		return ERR_PTR(-ENOMEM);
	mutex_init(&vcpu->mutex);
	preempt_notifier_init(&vcpu->preempt_notifier, &kvm_preempt_ops);
	vcpu->kvm = kvm;
	vcpu->cpu = -1;
	vcpu->vcpu_id = id;
	vcpu->last_cpu = -1;
	rcuwait_init(&vcpu->wait);
	/* The others wait for the first one's INIT and SIPI. */
	vcpu->mp_state = kvm->irqchip_mode == KVM_IRQCHIP_USER || id == kvm->bsp_vcpu_id ?
			 KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;

	vcpu->run = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->run)
		goto out_vcpu;
	vcpu->pio.data = (void *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!vcpu->pio.data)
		goto out_run;
	r = kvm_dirty_ring_create(vcpu);
	if (r)
		goto out_pio;
	r = kvm_fpu_create(vcpu);
	if (r)
		goto out_ring;
	kvm_msr_create(vcpu);
	r = kvm_emulate_create(vcpu);
	if (r)
		goto out_fpu;
	r = kvm_mmu_create(vcpu);
	if (r)
		goto out_emulate;
	r = kvm_lapic_create(vcpu);
	if (r)
		goto out_mmu;
	r = kvm_ops.vcpu_create(vcpu);
	if (r)
		goto out_lapic;
	return vcpu;

out_lapic:
	kvm_lapic_destroy(vcpu);
out_mmu:
	kvm_mmu_destroy(vcpu);
out_emulate:
	kvm_emulate_destroy(vcpu);
out_fpu:
	kvm_fpu_destroy(vcpu);
out_ring:
	kvm_dirty_ring_destroy(vcpu);
out_pio:
	free_page((unsigned long)vcpu->pio.data);
out_run:
	free_page((unsigned long)vcpu->run);
out_vcpu:
	kmem_cache_free(kvm_vcpu_cache, vcpu);
	return ERR_PTR(r);
}

/*
 * ---- RESET, INIT and SIPI ----
 */

/** kvm_vcpu_reset - RESET or INIT; APM 2 "Processor Initialization State" */
void kvm_vcpu_reset(struct kvm_vcpu *vcpu, bool init_event)
{
	memset(&vcpu->events, 0, sizeof(vcpu->events));
	memset(vcpu->regs, 0, sizeof(vcpu->regs));
	vcpu->regs_avail = ~0UL;
	vcpu->regs_dirty = ~0UL;
	vcpu->hflags = 0;
	vcpu->complete_userspace_io = NULL;
	vcpu->pio.count = 0;
	vcpu->mmio.nr = 0;
	memset(vcpu->db, 0, sizeof(vcpu->db));
	vcpu->dr6 = DR6_RESERVED;
	vcpu->dr7 = DR7_ALWAYS_1;
	vcpu->dr_in_guest = false;
	vcpu->cr2 = 0;
	vcpu->cr3 = 0;
	vcpu->cr8 = 0;
	if (!init_event) {
		vcpu->xcr0 = XFEATURE_MASK_FP;
		kvm_fpu_reset(vcpu);
		vcpu->apic_base = APIC_DEFAULT_PHYS_BASE | MSR_IA32_APICBASE_ENABLE |
			(vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id ? MSR_IA32_APICBASE_BSP : 0);
	}
	kvm_msr_reset(vcpu, init_event);
	kvm_lapic_reset(vcpu, init_event);
	vcpu->cr0 = X86_CR0_ET | X86_CR0_NW | X86_CR0_CD;
	vcpu->cr4 = 0;
	vcpu->efer = 0;
	kvm_rip_write(vcpu, 0xfff0);
	kvm_rdx_write(vcpu, 0x600);
	kvm_ops.vcpu_reset(vcpu, init_event);
	kvm_ops.set_efer(vcpu, vcpu->efer);
	kvm_ops.set_cr0(vcpu, vcpu->cr0);
	kvm_ops.set_cr4(vcpu, vcpu->cr4);
	kvm_ops.set_rflags(vcpu, X86_EFLAGS_FIXED);
	kvm_update_dr7(vcpu);
	kvm_ops.update_intercepts(vcpu);
	/* The vendor's reset forgot the root that is loaded, of whatever mode. */
	kvm_mmu_unload(vcpu);
	kvm_mmu_reset_context(vcpu);
	kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* SDM 3A "Processor State After Reset": an application processor begins at its SIPI's page. */
static void start_at_sipi(struct kvm_vcpu *vcpu)
{
	u8 vector = vcpu->lapic->sipi_vector;
	struct kvm_segment cs;

	kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
	cs.selector = vector << 8;
	cs.base = (u64)vector << 12;
	kvm_ops.set_segment(vcpu, &cs, VCPU_SREG_CS);
	kvm_rip_write(vcpu, 0);
	vcpu->mp_state = KVM_MP_STATE_RUNNABLE;
}

/* INIT and SIPI that have arrived.  A vcpu that does not wait for a SIPI ignores it. */
static void accept_init_sipi(struct kvm_vcpu *vcpu)
{
	unsigned long *events = &vcpu->lapic->pending_events;

	if (test_and_clear_bit(LAPIC_INIT, events)) {
		kvm_vcpu_reset(vcpu, true);
		vcpu->mp_state = vcpu->vcpu_id == vcpu->kvm->bsp_vcpu_id ?
				 KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_INIT_RECEIVED;
	}
	if (test_and_clear_bit(LAPIC_SIPI, events)) {
		/* The vector is written before the event. */
		smp_rmb();
		if (vcpu->mp_state == KVM_MP_STATE_INIT_RECEIVED)
			start_at_sipi(vcpu);
	}
}

static void take_nmis(struct kvm_vcpu *vcpu)
{
	int n = atomic_xchg(&vcpu->nmi_queued, 0);

	while (n-- > 0)
		kvm_inject_nmi(vcpu);
}

/** kvm_vcpu_settle - INIT, SIPI and NMIs that have arrived become part of the vcpu's state, before
 * userspace reads any of it, as nothing else tells of them, and before it sets any, as they are
 * of the state before that; vcpu loaded
 */
void kvm_vcpu_settle(struct kvm_vcpu *vcpu)
{
	if (kvm_check_request(KVM_REQ_NMI, vcpu))
		take_nmis(vcpu);
	if (vcpu->lapic && READ_ONCE(vcpu->lapic->pending_events))
		accept_init_sipi(vcpu);
}

/*
 * ---- KVM_GET_MP_STATE, KVM_SET_MP_STATE ----
 */

/** kvm_vcpu_get_mp_state - KVM_GET_MP_STATE; returns 0 */
long kvm_vcpu_get_mp_state(struct kvm_vcpu *vcpu, struct kvm_mp_state *mp)
{
	mp->mp_state = vcpu->mp_state;
	if (mp->mp_state == KVM_MP_STATE_HALTED && READ_ONCE(vcpu->pv_unhalted))
		mp->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

/** kvm_vcpu_set_mp_state - KVM_SET_MP_STATE: 0 or -EINVAL; without an APIC always runnable */
long kvm_vcpu_set_mp_state(struct kvm_vcpu *vcpu, const struct kvm_mp_state *mp)
{
	u32 state = mp->mp_state;

	if (state != KVM_MP_STATE_RUNNABLE && !vcpu->lapic)
		return -EINVAL;
	switch (state) {
	case KVM_MP_STATE_SIPI_RECEIVED:
		/* Its vector is KVM_SET_VCPU_EVENTS'. */
		vcpu->mp_state = KVM_MP_STATE_INIT_RECEIVED;
		set_bit(LAPIC_SIPI, &vcpu->lapic->pending_events);
		break;
	case KVM_MP_STATE_RUNNABLE:
	case KVM_MP_STATE_UNINITIALIZED:
	case KVM_MP_STATE_INIT_RECEIVED:
	case KVM_MP_STATE_HALTED:
		vcpu->mp_state = state;
		WRITE_ONCE(vcpu->pv_unhalted, false);
		break;
	default:
		return -EINVAL;
	}
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 0;
}

/*
 * ---- KVM_CAP_SYNC_REGS: registers in kvm_run ----
 *
 * Userspace may change kvm_run at any moment, so its registers are copied before
 * they are checked.  Not inline, which would cost the run loop its registers.
 */

/* Does userspace name only sets of registers that exist? */
static bool sync_regs_valid(struct kvm_vcpu *vcpu)
{
	u64 asked = READ_ONCE(vcpu->run->kvm_valid_regs) | READ_ONCE(vcpu->run->kvm_dirty_regs);

	return !(asked & ~(u64)KVM_SYNC_X86_VALID_FIELDS);
}

/* Set the registers that userspace marked dirty: 0, -EINVAL, -ENOMEM. */
static noinline int load_sync_regs(struct kvm_vcpu *vcpu)
{
	struct kvm_sync_regs *in = kmemdup(&vcpu->run->s.regs, sizeof(*in), GFP_KERNEL_ACCOUNT);
	u64 dirty = READ_ONCE(vcpu->run->kvm_dirty_regs);
	int r = 0;

	if (!in)
		return -ENOMEM;
	if (dirty & KVM_SYNC_X86_REGS)
		kvm_vcpu_set_regs(vcpu, &in->regs);
	if (dirty & KVM_SYNC_X86_SREGS)
		r = kvm_vcpu_set_sregs(vcpu, &in->sregs);
	if (!r && (dirty & KVM_SYNC_X86_EVENTS))
		r = kvm_vcpu_set_events(vcpu, &in->events);
	kfree(in);
	if (!r)
		vcpu->run->kvm_dirty_regs = 0;
	return r;
}

static noinline void store_sync_regs(struct kvm_vcpu *vcpu)
{
	u64 valid = READ_ONCE(vcpu->run->kvm_valid_regs);
	struct kvm_sync_regs *out = &vcpu->run->s.regs;

	if (valid & KVM_SYNC_X86_REGS)
		kvm_vcpu_get_regs(vcpu, &out->regs);
	if (valid & KVM_SYNC_X86_SREGS)
		kvm_vcpu_get_sregs(vcpu, &out->sregs);
	if (valid & KVM_SYNC_X86_EVENTS)
		kvm_vcpu_get_events(vcpu, &out->events);
}

/*
 * ---- the run loop ----
 */

static int ioapic_eoi_exit(struct kvm_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_IOAPIC_EOI;
	vcpu->run->eoi.vector = vcpu->eoi_vector;
	return 0;
}

/* The interrupt controllers' requests.  As exit handlers. */
static int handle_apic_requests(struct kvm_vcpu *vcpu)
{
	if (READ_ONCE(vcpu->lapic->pending_events)) {
		accept_init_sipi(vcpu);
		if (vcpu->mp_state != KVM_MP_STATE_RUNNABLE)
			return 1;
	}
	if (kvm_check_request(KVM_REQ_SCAN_IOAPIC, vcpu))
		kvm_lapic_scan(vcpu->lapic);
	if (kvm_check_request(KVM_REQ_APF_READY, vcpu))
		kvm_async_pf_ready(vcpu);
	if (kvm_check_request(KVM_REQ_MIGRATE_TIMER, vcpu))
		kvm_lapic_migrate_timer(vcpu->lapic);
	if (kvm_check_request(KVM_REQ_IOAPIC_EOI_EXIT, vcpu))
		return ioapic_eoi_exit(vcpu);
	if (kvm_check_request(KVM_REQ_TPR_ACCESS, vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_TPR_ACCESS;
		return 0;
	}
	return 1;
}

/* Everything in vcpu->requests but events.  As exit handlers. */
static int handle_requests(struct kvm_vcpu *vcpu)
{
	if (test_bit(KVM_REQ_VM_DEAD, &vcpu->requests))
		return -EIO;
	if (kvm_check_request(KVM_REQ_NMI, vcpu))
		take_nmis(vcpu);
	if (kvm_check_request(KVM_REQ_READ_PASS, vcpu))
		kvm_vcpu_read_pass(vcpu);
	if (kvm_check_request(KVM_REQ_MMU_RELOAD, vcpu))
		kvm_mmu_drop_zapped_roots(vcpu);
	if (kvm_check_request(KVM_REQ_MMU_SYNC, vcpu))
		kvm_mmu_sync_roots(vcpu);
	/* Before the flush, which it may request. */
	if (kvm_check_request(KVM_REQ_STEAL_UPDATE, vcpu))
		kvm_pv_update_steal_time(vcpu);
	if (kvm_check_request(KVM_REQ_TLB_FLUSH, vcpu)) {
		vcpu->stat.tlb_flush++;
		kvm_ops.tlb_flush(vcpu);
	}
	if (kvm_check_request(KVM_REQ_TRIPLE_FAULT, vcpu))
		return kvm_handle_triple_fault(vcpu);
	if (kvm_check_request(KVM_REQ_INTERCEPTS, vcpu))
		kvm_ops.update_intercepts(vcpu);
	kvm_check_request(KVM_REQ_OUTSIDE_GUEST, vcpu);
	if (kvm_check_request(KVM_REQ_DIRTY_RING, vcpu) && !kvm_dirty_ring_request(vcpu))
		return 0;
	/* Before the update, which it requests. */
	if (kvm_check_request(KVM_REQ_TSC_MOVED, vcpu))
		kvm_clock_tsc_moved(vcpu);
	if (kvm_check_request(KVM_REQ_CLOCK_UPDATE, vcpu))
		kvm_clock_update_guest(vcpu);
	return vcpu->lapic ? handle_apic_requests(vcpu) : 1;
}

/* The guest's FPU registers and XCR0, whatever the thread did since. */
static void load_guest_fpu(struct kvm_vcpu *vcpu)
{
	if (test_thread_flag(TIF_NEED_FPU_LOAD)) {
		vcpu->stat.fpu_reload++;
		switch_fpu_return();
	}
	kvm_load_guest_xstate(vcpu);
}

/* Breakpoints of the guest or its debugger in the hardware, only while it runs. */
static void load_guest_debug_regs(struct kvm_vcpu *vcpu)
{
	if (likely(!(vcpu->dr7 & DR_GLOBAL_ENABLE_MASK) && !(vcpu->dr7 & DR_LOCAL_ENABLE_MASK) &&
		   !(vcpu->guest_debug & KVM_GUESTDBG_USE_HW_BP) && !vcpu->dr_in_guest))
		return;
	set_debugreg(0, 7);
	set_debugreg(vcpu->eff_db[0], 0);
	set_debugreg(vcpu->eff_db[1], 1);
	set_debugreg(vcpu->eff_db[2], 2);
	set_debugreg(vcpu->eff_db[3], 3);
}

static void put_guest_debug_regs(struct kvm_vcpu *vcpu)
{
	if (unlikely(vcpu->dr_in_guest)) {
		get_debugreg(vcpu->db[0], 0);
		get_debugreg(vcpu->db[1], 1);
		get_debugreg(vcpu->db[2], 2);
		get_debugreg(vcpu->db[3], 3);
		vcpu->dr_in_guest = false;
		kvm_ops.sync_debug_regs(vcpu);
		kvm_update_dr7(vcpu);
	}
	if (unlikely(hw_breakpoint_active()))
		hw_breakpoint_restore();
}

static bool entry_called_off(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) || xfer_to_guest_mode_work_pending();
}

static bool exits_at_once(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(vcpu->requests) == BIT(KVM_REQ_EXIT_AT_ONCE);
}

/*
 * Nothing of RCU's is in use in a guest.  Where RCU can be preempted, the tick that
 * ends a guest sees that for itself; else it is told, once a jiffy.  Interrupts off.
 */
static void note_quiescent_state(struct kvm_vcpu *vcpu)
{
	unsigned long now = jiffies;

	if (likely(vcpu->quiescent_jiffies == now))
		return;
	vcpu->quiescent_jiffies = now;
	rcu_note_context_switch(false);
}

/*
 * The one boundary to guest mode.  1: the guest ran, until an exit; 0: the entry was
 * called off; -EIO: no virtualization on this CPU.
 */
static int enter_guest(struct kvm_vcpu *vcpu)
{
	bool hw_enabled;

	preempt_disable();
	kvm_call(prepare_guest_switch)(vcpu);
	local_irq_disable();
	WRITE_ONCE(vcpu->mode, IN_GUEST_MODE);
	/*
	 * Whoever makes a request reads the mode after it: either it sees
	 * IN_GUEST_MODE and interrupts us, or we see the request here.
	 */
	smp_mb();
	hw_enabled = __this_cpu_read(kvm_hw_enabled);
	if (entry_called_off(vcpu) || !hw_enabled) {
		if (!hw_enabled || !exits_at_once(vcpu)) {
			WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
			local_irq_enable();
			preempt_enable();
			return hw_enabled ? 0 : -EIO;
		}
		/* It waits already, and is taken behind the exception put in. */
		kvm_self_interrupt();
	}
	load_guest_fpu(vcpu);
	load_guest_debug_regs(vcpu);

	trace_kvm_entry(vcpu);
	vtime_account_guest_enter();
	kvm_call(run)(vcpu);
	WRITE_ONCE(vcpu->mode, OUTSIDE_GUEST_MODE);
	vcpu->stat.exits++;
	trace_kvm_exit(vcpu);

	put_guest_debug_regs(vcpu);
	kvm_load_host_xstate(vcpu);
	kvm_call(handle_exit_irqoff)(vcpu);
	/*
	 * Let the tick that ended this guest time be accounted to the guest, with
	 * preemption on, as else it is no quiescent state of RCU's.
	 */
	kvm_perf_interrupted(vcpu);
	preempt_enable();
	local_irq_enable();
	local_irq_disable();
	kvm_perf_interrupted(NULL);
	vtime_account_guest_exit();
	if (!IS_ENABLED(CONFIG_PREEMPT_RCU))
		note_quiescent_state(vcpu);
	local_irq_enable();
	return 1;
}

/* Halted, or waiting for SIPI.  As exit handlers. */
static int vcpu_wait(struct kvm_vcpu *vcpu)
{
	if (kvm_vm_bug_on(vcpu->kvm, !vcpu->lapic))
		return -EIO;
	kvm_vcpu_wait(vcpu);
	return READ_ONCE(vcpu->requests) ? handle_requests(vcpu) : 1;
}

static int vcpu_enter_guest(struct kvm_vcpu *vcpu)
{
	int r;

	if (READ_ONCE(vcpu->requests)) {
		r = handle_requests(vcpu);
		if (r <= 0 || unlikely(vcpu->mp_state != KVM_MP_STATE_RUNNABLE))
			return r;
	}
	if (unlikely(vcpu->mmu.root_hpa == INVALID_PAGE)) {
		r = kvm_mmu_load(vcpu);
		if (r < 0)
			return r;
	}
	if (unlikely(vcpu->pv.vapic_addr))
		kvm_vapic_to_guest(vcpu);
	/* With preemption on: it takes the 8259's lock, on which PREEMPT_RT sleeps. */
	if (kvm_check_request(KVM_REQ_EVENT, vcpu))
		kvm_inject_events(vcpu);
	r = enter_guest(vcpu);
	if (unlikely(vcpu->pv.eoi_offered))
		kvm_pv_eoi_collect(vcpu);
	if (unlikely(r <= 0)) {
		kvm_ops.cancel_injection(vcpu);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		return r ?: 1;
	}
	if (unlikely(vcpu->pv.vapic_addr))
		kvm_vapic_from_guest(vcpu);
	return kvm_call(handle_exit)(vcpu);
}

/*
 * KVM_RUN is to end with an exception on its way to the guest.  The fault is often one of
 * the guest's under shadow paging, and a VMM may lose it when it saves the vcpu (QEMU 7.2
 * its error code); so the guest is given it first, and next to no instruction of its own.
 * Delivery may exit in its turn, for the IDT's page, the GDT's, the TSS's, the stack's two.
 * 1, or what an exit handler returns.
 */
static int deliver_exception(struct kvm_vcpu *vcpu)
{
	unsigned int entries = 8;
	int r = 1;

	while (kvm_exception_waits(vcpu) && vcpu->mp_state == KVM_MP_STATE_RUNNABLE &&
	       entries-- && r > 0) {
		kvm_make_request(KVM_REQ_EXIT_AT_ONCE, vcpu);
		r = vcpu_enter_guest(vcpu);
		kvm_check_request(KVM_REQ_EXIT_AT_ONCE, vcpu);
	}
	return r;
}

/*
 * What only an exit can tell userspace.  It comes ahead of a signal, upon which userspace
 * may save the vcpu.
 */
#define EXIT_REQUESTS	(BIT(KVM_REQ_IOAPIC_EOI_EXIT) | BIT(KVM_REQ_TPR_ACCESS) |	\
			 BIT(KVM_REQ_TRIPLE_FAULT))

/*
 * Signals, rescheduling, and work on the way to user mode.  The kernel's own
 * helper for this writes into its struct kvm_vcpu, which ours is not; nor does
 * it export how to do a task's work from a module.  So for that KVM_RUN goes
 * the way of a system call that a signal without a handler interrupted: out,
 * where the work is done, and in again, unseen by userspace (-EINTR if a
 * handler did come between).
 */
static int handle_thread_work(struct kvm_vcpu *vcpu)
{
	/* Read once: a signal that comes later waits for the next exit, and what that brings. */
	bool leave = signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME);

	if (leave && unlikely(kvm_exception_waits(vcpu))) {
		int r = deliver_exception(vcpu);

		if (r <= 0)
			return r;
	}
	if (unlikely(READ_ONCE(vcpu->requests) & EXIT_REQUESTS)) {
		int r = handle_requests(vcpu);

		if (r <= 0)
			return r;
	}
	if (leave && signal_pending(current)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		vcpu->stat.signal_exits++;
		return -EINTR;
	}
	if (leave && test_thread_flag(TIF_NOTIFY_RESUME)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -ERESTARTNOHAND;
	}
	kvm_vcpu_read_unlock(vcpu);
	cond_resched();
	kvm_vcpu_read_lock(vcpu);
	return 1;
}

static int run_loop(struct kvm_vcpu *vcpu)
{
	int r;

	for (;;) {
		if (likely(vcpu->mp_state == KVM_MP_STATE_RUNNABLE))
			r = vcpu_enter_guest(vcpu);
		else
			r = vcpu_wait(vcpu);
		if (r <= 0)
			return r;
		if (unlikely(READ_ONCE(vcpu->run->request_interrupt_window)) &&
		    kvm_irq_window_exit(vcpu))
			return 0;
		if (unlikely(__xfer_to_guest_mode_work_pending())) {
			r = handle_thread_work(vcpu);
			if (r <= 0)
				return r;
		}
	}
}

/* kvm_run's inputs.  They are userspace's: read once, checked, then used. */
static int read_run_inputs(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 apic_base = READ_ONCE(run->apic_base), cr8 = READ_ONCE(run->cr8);

	if (!sync_regs_valid(vcpu))
		return -EINVAL;
	if (unlikely(READ_ONCE(run->kvm_dirty_regs))) {
		int r = load_sync_regs(vcpu);

		if (r)
			return r;
	}
	/* The priority of an APIC in the kernel is not undone by an old value in kvm_run. */
	if ((!vcpu->lapic || cr8 != vcpu->run_cr8) && kvm_set_cr8(vcpu, cr8))
		return -EINVAL;
	if (apic_base != vcpu->run_apic_base) {
		struct msr_data msr = {
			.host_initiated = true, .index = MSR_IA32_APICBASE, .data = apic_base,
		};

		if (kvm_set_msr(vcpu, &msr))
			return -EINVAL;
	}
	return 0;
}

static void write_run_outputs(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	run->if_flag = !!(kvm_get_rflags(vcpu) & X86_EFLAGS_IF);
	run->cr8 = vcpu->run_cr8 = vcpu->cr8;
	run->apic_base = vcpu->run_apic_base = vcpu->apic_base;
	run->ready_for_interrupt_injection = vcpu->kvm->irqchip_mode == KVM_IRQCHIP_FULL ||
					     kvm_ready_for_interrupt(vcpu);
	run->flags = vcpu->bus_lock ? KVM_RUN_X86_BUS_LOCK : 0;
	vcpu->bus_lock = false;
	if (unlikely(READ_ONCE(run->kvm_valid_regs)))
		store_sync_regs(vcpu);
}

static int complete_io_and_run(struct kvm_vcpu *vcpu)
{
	int (*complete)(struct kvm_vcpu *vcpu) = vcpu->complete_userspace_io;
	int r = 1;

	if (complete) {
		bool waited = kvm_exception_waits(vcpu);

		vcpu->complete_userspace_io = NULL;
		r = complete(vcpu);
		if (unlikely(r > 0 && !waited && READ_ONCE(vcpu->run->immediate_exit)))
			r = deliver_exception(vcpu);
		if (r <= 0)
			return r;
	}
	/* The last exit stays in kvm_run: userspace may complete it before it looks. */
	if (READ_ONCE(vcpu->run->immediate_exit))
		return -EINTR;
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	return run_loop(vcpu);
}

/** kvm_vcpu_run - KVM_RUN: the guest runs until userspace must act; the vcpu's mutex held.
 * Returns 0 with kvm_run filled in, -EINTR for a signal or immediate_exit, -EINVAL for impossible
 * inputs in kvm_run, -EFAULT for guest memory without a mapping, -EIO for a dead VM, or without
 * virtualization on this CPU.
 */
int kvm_vcpu_run(struct kvm_vcpu *vcpu)
{
	sigset_t saved;
	int r;

	lockdep_assert_held(&vcpu->mutex);
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &vcpu->sigset, &saved);
	kvm_vcpu_read_lock(vcpu);
	vcpu->host_pkru = read_pkru();
	fpu_swap_kvm_fpstate(&vcpu->guest_fpu, true);
	vcpu->launched = true;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	/* A guest's POPF that cleared TF must not end the debugger's steps. */
	if (unlikely(vcpu->guest_debug & KVM_GUESTDBG_SINGLESTEP))
		kvm_set_rflags(vcpu, kvm_get_rflags(vcpu));
	r = read_run_inputs(vcpu);
	if (!r)
		r = complete_io_and_run(vcpu);
	write_run_outputs(vcpu);
	fpu_swap_kvm_fpstate(&vcpu->guest_fpu, false);
	kvm_vcpu_read_unlock(vcpu);
	if (vcpu->sigset_active)
		sigprocmask(SIG_SETMASK, &saved, NULL);
	/* Last: a change of the mask clears the flag if there is no signal. */
	if (r == -ERESTARTNOHAND)
		set_thread_flag(TIF_SIGPENDING);
	return r;
}

/** kvm_vcpu_set_signal_mask - KVM_SET_SIGNAL_MASK: the signals that KVM_RUN blocks
 * @arg: the mask, as long as the kernel's sigset; NULL: KVM_RUN changes none
 * Returns 0, -EFAULT, -EINVAL for another length.
 */
long kvm_vcpu_set_signal_mask(struct kvm_vcpu *vcpu, const void __user *arg)
{
	struct kvm_signal_mask mask;
	sigset_t sigset;

	if (!arg) {
		vcpu->sigset_active = false;
		return 0;
	}
	if (copy_from_user(&mask, arg, sizeof(mask)))
		return -EFAULT;
	if (mask.len != sizeof(sigset))
		return -EINVAL;
	if (copy_from_user(&sigset, arg + sizeof(mask), sizeof(sigset)))
		return -EFAULT;
	sigdelsetmask(&sigset, sigmask(SIGKILL) | sigmask(SIGSTOP));
	vcpu->sigset = sigset;
	vcpu->sigset_active = true;
	return 0;
}
