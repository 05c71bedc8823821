// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exit handlers that need nothing of the vendor's: CPUID, HLT, MOV CR, RDMSR,
 * XSETBV, hypercalls, page faults, and what ends in userspace as an error.
 */
#include "kvm_host.h"
#include "kvm_caps.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_guest_mem.h"
#include "kvm_handlers.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_request.h"
#include "kvm_vcpu.h"
#include "trace.h"

#include <linux/export.h>
#include <linux/kvm_para.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <asm/apicdef.h>
#include <asm/cpu.h>
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/ptrace.h>
#include <asm/segment.h>
#include <asm/smp.h>

bool kvm_vmware_backdoor;
EXPORT_SYMBOL_GPL(kvm_vmware_backdoor);
module_param_named(enable_vmware_backdoor, kvm_vmware_backdoor, bool, 0444);
MODULE_PARM_DESC(enable_vmware_backdoor, "guests' user mode reaches VMware's ports and counters");

/* A write that comes back within so many exits of its vcpu has gained nothing. */
#define RETRY_EXITS	9

/*
 * ---- exits that end in userspace, shared by both vendors ----
 */

/** kvm_handle_unexpected_exit - no handler: KVM_EXIT_INTERNAL_ERROR with the exit's number */
int kvm_handle_unexpected_exit(struct kvm_vcpu *vcpu, u64 reason)
{
	u64 data[] = { reason, vcpu->cpu };

	return kvm_internal_error(vcpu, KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON,
				  ARRAY_SIZE(data), data);
}
EXPORT_SYMBOL_GPL(kvm_handle_unexpected_exit);

/** kvm_fail_entry - the hardware refused to enter the guest: KVM_EXIT_FAIL_ENTRY with its reason */
int kvm_fail_entry(struct kvm_vcpu *vcpu, u64 reason)
{
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	vcpu->run->fail_entry.hardware_entry_failure_reason = reason;
	vcpu->run->fail_entry.cpu = vcpu->cpu;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_fail_entry);

/*
 * ---- what is the host's ----
 */

/** kvm_handle_host_exit - an event of the host's that needs nothing more */
int kvm_handle_host_exit(struct kvm_vcpu *vcpu)
{
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_host_exit);

/** kvm_handle_host_irq - an interrupt of the host's, which it has taken already */
int kvm_handle_host_irq(struct kvm_vcpu *vcpu)
{
	vcpu->stat.irq_exits++;
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_host_irq);

/** kvm_handle_host_nmi - an NMI of the host's, which it has taken already */
int kvm_handle_host_nmi(struct kvm_vcpu *vcpu)
{
	vcpu->stat.nmi_exits++;
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_host_nmi);

/**
 * kvm_machine_check - a machine check came while a guest ran, or was entered
 *
 * It is the host's.  To the kernel it looks as if the VMM's user code had met it,
 * so that the thread can be killed and the host lives.  Interrupts off.
 */
void kvm_machine_check(void)
{
	struct pt_regs regs = { .cs = __USER_CS, .flags = X86_EFLAGS_IF };

	if (IS_ENABLED(CONFIG_X86_MCE))
		do_machine_check(&regs);
}
EXPORT_SYMBOL_GPL(kvm_machine_check);

/** kvm_grow_window - how long a loop of PAUSEs may last from now on, after an exit
 * @base: at first
 * @grow: a factor, or, above @base, what is added; 0: it stays
 */
u32 kvm_grow_window(u32 window, u32 base, u32 grow, u32 max)
{
	u64 next = window;

	if (!grow)
		return base;
	if (grow < base)
		next *= grow;
	else
		next += grow;
	return min_t(u64, next, max);
}
EXPORT_SYMBOL_GPL(kvm_grow_window);

/** kvm_shrink_window - the same after a preemption; @shrink 0: back to @base, below which it never is */
u32 kvm_shrink_window(u32 window, u32 base, u32 shrink)
{
	if (!shrink)
		return base;
	if (shrink < base)
		window /= shrink;
	else
		window -= min(shrink, window);
	return max(window, base);
}
EXPORT_SYMBOL_GPL(kvm_shrink_window);

/** kvm_handle_pause - PAUSE in a loop: the guest waits for another vcpu */
int kvm_handle_pause(struct kvm_vcpu *vcpu)
{
	kvm_vcpu_on_spin(vcpu);
	return kvm_handle_nop(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_pause);

/* Would the guest's own state make an unaligned access #AC?  SDM 3A "Alignment Check Exception". */
static bool checks_alignment(struct kvm_vcpu *vcpu)
{
	return (kvm_read_cr0(vcpu) & X86_CR0_AM) && (kvm_get_rflags(vcpu) & X86_EFLAGS_AC) &&
	       kvm_ops.get_cpl(vcpu) == 3;
}

/** kvm_handle_ac - #AC, which is intercepted against endless delivery; and where the host forbids
 * split locks one of the guest's is dealt with as the host's user mode is (split_lock_detect=):
 * the thread is warned of, and goes on without the check, or gets SIGBUS.
 */
int kvm_handle_ac(struct kvm_vcpu *vcpu)
{
	if (!boot_cpu_has(X86_FEATURE_SPLIT_LOCK_DETECT) || checks_alignment(vcpu)) {
		kvm_queue_exception_e(vcpu, X86_TRAP_AC, 0);
		return 1;
	}
	if (handle_guest_split_lock(kvm_rip_read(vcpu)))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_EXCEPTION;
	vcpu->run->ex.exception = X86_TRAP_AC;
	vcpu->run->ex.error_code = 0;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_handle_ac);

/** kvm_bus_lock_exit - the guest locked the bus, which the VMM wants to know of: it gets
 * KVM_EXIT_X86_BUS_LOCK, or a flag with what it gets anyway
 * @r: what the handler of the exit that told of it returned
 */
int kvm_bus_lock_exit(struct kvm_vcpu *vcpu, int r)
{
	vcpu->bus_lock = true;
	vcpu->stat.bus_lock_exits++;
	if (r <= 0)
		return r;
	vcpu->run->exit_reason = KVM_EXIT_X86_BUS_LOCK;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_bus_lock_exit);

/** kvm_notify_exit - the guest took no event for longer than KVM_CAP_X86_NOTIFY_VMEXIT allows
 * @invalid: its state is not to be trusted any more, so that it cannot go on
 */
int kvm_notify_exit(struct kvm_vcpu *vcpu, bool invalid)
{
	vcpu->stat.notify_window_exits++;
	if (!invalid && !(vcpu->kvm->notify_flags & KVM_X86_NOTIFY_VMEXIT_USER))
		return 1;
	vcpu->run->exit_reason = KVM_EXIT_NOTIFY;
	vcpu->run->notify.flags = invalid ? KVM_NOTIFY_CONTEXT_INVALID : 0;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_notify_exit);

/*
 * ---- exit handlers that need nothing of the vendor's ----
 */

/** kvm_handle_halt - HLT */
int kvm_handle_halt(struct kvm_vcpu *vcpu)
{
	int r = kvm_skip_emulated_instruction(vcpu);

	if (r == 0 && vcpu->run->exit_reason == KVM_EXIT_DEBUG)
		kvm_halt_behind_step(vcpu);
	return r <= 0 ? r : kvm_halt_exit(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_halt);

/** kvm_handle_cpuid - CPUID */
int kvm_handle_cpuid(struct kvm_vcpu *vcpu)
{
	u32 eax = kvm_rax_read(vcpu), ebx, ecx = kvm_rcx_read(vcpu), edx;
	u32 function = eax, index = ecx;

	vcpu->stat.cpuid_exits++;
	kvm_cpuid(vcpu, &eax, &ebx, &ecx, &edx);
	kvm_rax_write(vcpu, eax);
	kvm_rbx_write(vcpu, ebx);
	kvm_rcx_write(vcpu, ecx);
	kvm_rdx_write(vcpu, edx);
	if (trace_kvm_cpuid_enabled())
		trace_kvm_cpuid(function, index, eax, ebx, ecx, edx,
				kvm_find_cpuid(vcpu, function, index));
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_cpuid);

/** kvm_handle_xsetbv - XSETBV, whose CPL SVM leaves to us */
int kvm_handle_xsetbv(struct kvm_vcpu *vcpu)
{
	if (kvm_ops.get_cpl(vcpu) ||
	    kvm_set_xcr(vcpu, kvm_rcx_read(vcpu), kvm_edx_eax_read(vcpu)))
		return kvm_handle_gp(vcpu);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_xsetbv);

/** kvm_write_back_caches - what the guest's WBINVD and WBNOINVD are for: caches are coherent, but for
 * what a device does that is assigned to the VM and does not snoop.  There is one by what the VMM
 * says (devices/vfio.c), or may be one, if the guest has uncached memory: then all processors'
 * caches are written back, as the guest's data may be in any of them.
 */
void kvm_write_back_caches(struct kvm_vcpu *vcpu)
{
	if (likely(!kvm_guest_caching_matters(vcpu->kvm)))
		return;
	vcpu->stat.cache_flushes++;
	wbinvd_on_all_cpus();
}

/** kvm_handle_wbinvd - WBINVD and WBNOINVD */
int kvm_handle_wbinvd(struct kvm_vcpu *vcpu)
{
	kvm_write_back_caches(vcpu);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_wbinvd);

/** kvm_handle_nop - an instruction that does nothing here: PAUSE, and INVD, which would lose what
 * others have in the cache
 */
int kvm_handle_nop(struct kvm_vcpu *vcpu)
{
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_nop);

/** kvm_handle_mwait - MONITOR, MWAIT: #UD without their CPUID bit, or by a quirk they do nothing */
int kvm_handle_mwait(struct kvm_vcpu *vcpu)
{
	if ((vcpu->kvm->disabled_quirks & KVM_X86_QUIRK_MWAIT_NEVER_UD_FAULTS) &&
	    !kvm_guest_has_mwait(vcpu))
		return kvm_handle_ud(vcpu);
	return kvm_handle_nop(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mwait);

/** kvm_handle_ud - an instruction that the guest does not have: #UD */
int kvm_handle_ud(struct kvm_vcpu *vcpu)
{
	kvm_queue_exception(vcpu, X86_TRAP_UD);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_ud);

/** kvm_handle_gp - an instruction that is #GP */
int kvm_handle_gp(struct kvm_vcpu *vcpu)
{
	kvm_inject_gp(vcpu, 0);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_gp);

/** kvm_handle_rdpmc - RDPMC: #GP, as no counters are offered but those of VMware's backdoor */
int kvm_handle_rdpmc(struct kvm_vcpu *vcpu)
{
	return kvm_vmware_backdoor ? kvm_emulate_insn(vcpu, 0, 0, NULL, 0) : kvm_handle_gp(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_rdpmc);

/** kvm_handle_gp_exception - #GP, intercepted for VMware's backdoor: its ports and counters have no
 * privilege, so the processor refuses them where the emulator does not
 * @error_code: the exception's; that of IN, OUT and RDPMC is 0
 */
int kvm_handle_gp_exception(struct kvm_vcpu *vcpu, u32 error_code)
{
	const struct kvm_events *events = &vcpu->events;

	/* Of an event's delivery, not of an instruction. */
	if (error_code || events->exception.injected || events->irq.injected ||
	    events->soft.injected || events->nmi_injected) {
		kvm_inject_gp(vcpu, error_code);
		return 1;
	}
	return kvm_emulate_insn(vcpu, 0, EMULTYPE_VMWARE_GP, NULL, 0);
}
EXPORT_SYMBOL_GPL(kvm_handle_gp_exception);

/** kvm_handle_triple_fault - shutdown; what was being delivered is gone with it */
int kvm_handle_triple_fault(struct kvm_vcpu *vcpu)
{
	kvm_clear_injected(vcpu);
	vcpu->events.exception.pending = false;
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}
EXPORT_SYMBOL_GPL(kvm_handle_triple_fault);

/** kvm_handle_irq_window - the guest can take an interrupt now: inject it, or tell userspace */
int kvm_handle_irq_window(struct kvm_vcpu *vcpu)
{
	vcpu->stat.irq_window_exits++;
	kvm_make_request(KVM_REQ_EVENT, vcpu);
	return 1;
}
EXPORT_SYMBOL_GPL(kvm_handle_irq_window);

/*
 * ---- MOV CR ----
 */

/* Outside 64-bit code only the lower halves of registers take part. */
static unsigned long read_operand(struct kvm_vcpu *vcpu, int reg)
{
	unsigned long val = kvm_reg_read(vcpu, reg);

	return is_64bit_code(vcpu) ? val : (u32)val;
}

static void write_operand(struct kvm_vcpu *vcpu, int reg, unsigned long val)
{
	kvm_reg_write(vcpu, reg, is_64bit_code(vcpu) ? val : (u32)val);
}

/*
 * A lower task priority may unmask an interrupt of userspace's APIC, which must
 * hear of it.
 */
static int mov_to_cr8(struct kvm_vcpu *vcpu, unsigned long val)
{
	unsigned long old = vcpu->cr8;
	int r;

	if (kvm_set_cr8(vcpu, val))
		return kvm_handle_gp(vcpu);
	r = kvm_skip_emulated_instruction(vcpu);
	if (r <= 0 || vcpu->cr8 >= old || vcpu->lapic)
		return r;
	vcpu->run->exit_reason = KVM_EXIT_SET_TPR;
	return 0;
}

/** kvm_handle_mov_to_cr - MOV to control register @cr from @reg, its CPL checked by hardware */
int kvm_handle_mov_to_cr(struct kvm_vcpu *vcpu, int cr, int reg)
{
	unsigned long val = read_operand(vcpu, reg);
	int bad;

	vcpu->stat.cr_exits++;
	switch (cr) {
	case 0:
		bad = kvm_set_cr0(vcpu, val);
		break;
	case 3:
		bad = kvm_set_cr3(vcpu, val);
		break;
	case 4:
		bad = kvm_set_cr4(vcpu, val);
		break;
	case 8:
		return mov_to_cr8(vcpu, val);
	default:
		return kvm_handle_ud(vcpu);
	}
	if (bad)
		return kvm_handle_gp(vcpu);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_to_cr);

/** kvm_handle_mov_from_cr - MOV from control register @cr to @reg, its CPL checked by hardware */
int kvm_handle_mov_from_cr(struct kvm_vcpu *vcpu, int cr, int reg)
{
	unsigned long val;

	vcpu->stat.cr_exits++;
	switch (cr) {
	case 0:
		val = kvm_read_cr0(vcpu);
		break;
	case 2:
		val = vcpu->cr2;
		break;
	case 3:
		val = kvm_read_cr3(vcpu);
		break;
	case 4:
		val = kvm_read_cr4(vcpu);
		break;
	case 8:
		val = vcpu->cr8;
		break;
	default:
		return kvm_handle_ud(vcpu);
	}
	write_operand(vcpu, reg, val);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_mov_from_cr);

/*
 * ---- RDMSR and WRMSR ----
 */

/* Userspace has answered; unless it moved the vcpu elsewhere, the instruction ends. */
static int complete_msr(struct kvm_vcpu *vcpu, bool read)
{
	if (kvm_rip_read(vcpu) != vcpu->complete_rip)
		return 1;
	if (READ_ONCE(vcpu->run->msr.error))
		return kvm_handle_gp(vcpu);
	if (read)
		kvm_edx_eax_write(vcpu, READ_ONCE(vcpu->run->msr.data));
	return kvm_skip_emulated_instruction(vcpu);
}

static int complete_rdmsr(struct kvm_vcpu *vcpu)
{
	return complete_msr(vcpu, true);
}

static int complete_wrmsr(struct kvm_vcpu *vcpu)
{
	return complete_msr(vcpu, false);
}

static int access_failed(struct kvm_vcpu *vcpu, const struct msr_data *msr, bool write, int error)
{
	if (!kvm_msr_to_userspace(vcpu, msr, write, error))
		return kvm_handle_gp(vcpu);
	vcpu->complete_rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = write ? complete_wrmsr : complete_rdmsr;
	return 0;
}

/** kvm_handle_rdmsr - RDMSR, its CPL checked by hardware.
 * Userspace may answer what the filter denies or no one knows.
 */
int kvm_handle_rdmsr(struct kvm_vcpu *vcpu)
{
	struct msr_data msr = { .index = kvm_rcx_read(vcpu) };
	int r;

	vcpu->stat.msr_exits++;
	r = kvm_guest_get_msr(vcpu, &msr);
	trace_kvm_msr(0, msr.index, msr.data, r);
	if (unlikely(r))
		return access_failed(vcpu, &msr, false, r);
	kvm_edx_eax_write(vcpu, msr.data);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_rdmsr);

/** kvm_handle_wrmsr - WRMSR; as kvm_handle_rdmsr() */
int kvm_handle_wrmsr(struct kvm_vcpu *vcpu)
{
	struct msr_data msr = {
		.index = kvm_rcx_read(vcpu),
		.data = kvm_edx_eax_read(vcpu),
	};
	int r;

	vcpu->stat.msr_exits++;
	r = kvm_guest_set_msr(vcpu, &msr);
	trace_kvm_msr(1, msr.index, msr.data, r);
	if (unlikely(r))
		return access_failed(vcpu, &msr, true, r);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_wrmsr);

/*
 * ---- hypercalls ----
 */

/* KVM_HC_KICK_CPU: its HLT ends, or its next one will. */
static long kick_cpu(struct kvm_vcpu *vcpu, u32 apic_id)
{
	struct kvm_vcpu *target = kvm_lapic_vcpu_by_id(vcpu->kvm, apic_id);

	if (target) {
		WRITE_ONCE(target->pv_unhalted, true);
		kvm_vcpu_kick(target);
	}
	return 0;
}

static long send_ipi(struct kvm_vcpu *vcpu, const unsigned long *a, bool long_mode)
{
	DECLARE_BITMAP(bitmap, 128) = {};
	unsigned int bits = long_mode ? 64 : 32;
	u64 words[2] = { a[0], a[1] };

	if (a[3] & (APIC_DEST_LOGICAL | APIC_DEST_ALLBUT))
		return -KVM_EINVAL;
	if (!long_mode) {
		words[0] = (u32)a[0] | (u64)a[1] << 32;
		words[1] = 0;
	}
	bitmap_from_arr32(bitmap, (const u32 *)words, 128);
	return kvm_lapic_send_to_bitmap(vcpu, bitmap, 2 * bits, a[2], a[3]);
}

/* KVM_HC_SCHED_YIELD: the caller spins for that vcpu, which was preempted. */
static long sched_yield_to(struct kvm_vcpu *vcpu, u32 apic_id)
{
	struct kvm_vcpu *target = kvm_lapic_vcpu_by_id(vcpu->kvm, apic_id);

	if (target && target != vcpu && READ_ONCE(target->preempted))
		kvm_vcpu_yield_to(vcpu, target);
	return 0;
}

/*
 * KVM_HC_MAP_GPA_RANGE: whether memory is encrypted is agreed between the guest
 * and userspace.  As exit handlers.
 */
static int complete_hypercall(struct kvm_vcpu *vcpu)
{
	u64 ret = READ_ONCE(vcpu->run->hypercall.ret);

	/* Unless userspace moved the vcpu elsewhere, the instruction ends. */
	if (kvm_rip_read(vcpu) != vcpu->complete_rip)
		return 1;
	kvm_rax_write(vcpu, is_64bit_code(vcpu) ? ret : (u32)ret);
	return kvm_skip_emulated_instruction(vcpu);
}

static_assert(KVM_EXIT_HYPERCALLS == BIT_ULL(KVM_HC_MAP_GPA_RANGE));

static bool wants_map_gpa_range(struct kvm_vcpu *vcpu, unsigned long nr)
{
	return nr == KVM_HC_MAP_GPA_RANGE && !kvm_ops.get_cpl(vcpu) &&
	       (READ_ONCE(vcpu->kvm->exit_hypercalls) & BIT(KVM_HC_MAP_GPA_RANGE)) &&
	       kvm_pv_has(vcpu, KVM_FEATURE_HC_MAP_GPA_RANGE);
}

static bool range_valid(u64 gpa, u64 npages)
{
	return !offset_in_page(gpa) && npages && gpa_to_gfn(gpa) + npages > gpa_to_gfn(gpa);
}

static int map_gpa_range(struct kvm_vcpu *vcpu, const unsigned long *a, bool lm)
{
	struct kvm_run *run = vcpu->run;
	int i;

	run->exit_reason = KVM_EXIT_HYPERCALL;
	memset(&run->hypercall, 0, sizeof(run->hypercall));
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	for (i = 0; i < 3; i++)
		run->hypercall.args[i] = a[i];
	run->hypercall.longmode = lm;
	vcpu->complete_rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = complete_hypercall;
	return 0;
}

static long hypercall(struct kvm_vcpu *vcpu, unsigned long nr, const unsigned long *a, bool lm)
{
	switch (nr) {
	case KVM_HC_VAPIC_POLL_IRQ:
		/* That it exited was what it wanted. */
		return 0;
	case KVM_HC_KICK_CPU:
		if (!vcpu->lapic || !kvm_pv_has(vcpu, KVM_FEATURE_PV_UNHALT))
			break;
		return kick_cpu(vcpu, a[1]);
	case KVM_HC_CLOCK_PAIRING:
		return kvm_clock_pairing(vcpu, a[0], a[1]);
	case KVM_HC_SEND_IPI:
		if (!vcpu->lapic || !kvm_pv_has(vcpu, KVM_FEATURE_PV_SEND_IPI))
			break;
		return send_ipi(vcpu, a, lm);
	case KVM_HC_SCHED_YIELD:
		if (!vcpu->lapic || !kvm_pv_has(vcpu, KVM_FEATURE_PV_SCHED_YIELD))
			break;
		return sched_yield_to(vcpu, a[0]);
	case KVM_HC_MAP_GPA_RANGE:
		/* What userspace would answer is sorted out before. */
		if (wants_map_gpa_range(vcpu, nr))
			return -KVM_EINVAL;
		break;
	}
	return -KVM_ENOSYS;
}

/** kvm_handle_hypercall - VMCALL, VMMCALL: number in RAX, arguments in RBX, RCX, RDX, RSI, result
 * to RAX
 */
int kvm_handle_hypercall(struct kvm_vcpu *vcpu)
{
	unsigned long nr = kvm_rax_read(vcpu), ret;
	unsigned long a[4] = {
		kvm_rbx_read(vcpu), kvm_rcx_read(vcpu), kvm_rdx_read(vcpu),
		kvm_reg_read(vcpu, VCPU_REGS_RSI),
	};
	bool lm = is_64bit_code(vcpu);
	int i;

	vcpu->stat.hypercalls++;
	for (i = 0; !lm && i < ARRAY_SIZE(a); i++)
		a[i] = (u32)a[i];
	if (wants_map_gpa_range(vcpu, lm ? nr : (u32)nr) && range_valid(a[0], a[1]))
		return map_gpa_range(vcpu, a, lm);
	ret = kvm_ops.get_cpl(vcpu) ? -KVM_EPERM : hypercall(vcpu, lm ? nr : (u32)nr, a, lm);
	kvm_rax_write(vcpu, lm ? ret : (u32)ret);
	return kvm_skip_emulated_instruction(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_hypercall);

/*
 * The other vendor's hypercall instruction: of a guest that comes from its
 * processors, or that did not look.  It is patched in the guest's memory, if that
 * can be written; only the last byte differs, so that no other vcpu sees half of each.
 */
#define INSN_VMCALL	0xc1010f
#define INSN_VMMCALL	0xd9010f
#define INSN_LEN	3

static gpa_t code_gpa(struct kvm_vcpu *vcpu, unsigned int offset, u64 access)
{
	u64 linear = kvm_rip_read(vcpu) + offset;
	struct kvm_exception ex;
	struct kvm_segment cs;

	if (!is_64bit_code(vcpu)) {
		kvm_ops.get_segment(vcpu, &cs, VCPU_SREG_CS);
		linear = (u32)(cs.base + linear);
	}
	return kvm_mmu_gva_to_gpa(vcpu, linear, access, &ex);
}

static bool fix_hypercall(struct kvm_vcpu *vcpu)
{
	u32 ours = kvm_ops.isa == KVM_ISA_VMX ? INSN_VMCALL : INSN_VMMCALL, insn = 0;
	u8 last = ours >> 16;
	gpa_t gpa;
	int i;

	/* A byte at a time: they may be in two pages. */
	for (i = 0; i < INSN_LEN; i++) {
		gpa = code_gpa(vcpu, i, PFERR_FETCH_MASK);
		if (gpa == INVALID_GPA || kvm_read_guest(vcpu, gpa, (u8 *)&insn + i, 1))
			return false;
	}
	if (insn != (ours ^ INSN_VMCALL ^ INSN_VMMCALL))
		return false;
	gpa = code_gpa(vcpu, INSN_LEN - 1, PFERR_WRITE_MASK);
	return gpa != INVALID_GPA && !kvm_write_guest(vcpu, gpa, &last, 1);
}

/** kvm_handle_invalid_opcode - #UD, intercepted for KVM_X86_QUIRK_FIX_HYPERCALL_INSN */
int kvm_handle_invalid_opcode(struct kvm_vcpu *vcpu)
{
	if (kvm_fixes_hypercalls(vcpu->kvm) && !kvm_ops.get_cpl(vcpu) && fix_hypercall(vcpu))
		return 1;
	return kvm_handle_ud(vcpu);
}
EXPORT_SYMBOL_GPL(kvm_handle_invalid_opcode);

/*
 * ---- page faults ----
 */

/* With an asynchronous page fault the guest goes on with another task meanwhile. */
static int resolve_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	int r;

	fault->nowait = vcpu->apf;
	r = kvm_mmu_page_fault(vcpu, fault);
	if (likely(r != PF_WAIT))
		return r;
	if (kvm_async_pf_start(vcpu, fault->gfn, fault->hva, fault->error_code & PFERR_WRITE_MASK))
		return PF_RETRY;
	fault->nowait = false;
	return kvm_mmu_page_fault(vcpu, fault);
}

/* Nested paging tells the gpa of the access, unless it was one to a page table. */
static int emulation_type(const struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	return vcpu->mmu.direct && (fault->error_code & PFERR_GUEST_FINAL_MASK) ? EMULTYPE_GPA : 0;
}

/*
 * The guest writes to one of its page tables, and the shadow must follow.  A
 * REP fills or copies a page: no table any more, or not yet.  That, and what the
 * emulator lacks, is done by the guest itself, once nothing shadows the page.
 * If the same write comes back with nothing gained, the write's own translation
 * goes through the page: then it is emulated, or the VMM hears of it.
 */
static int emulate_table_write(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	bool again = vcpu->unprotected.gfn == fault->gfn &&
		     vcpu->unprotected.rip == kvm_rip_read(vcpu) &&
		     vcpu->stat.exits < vcpu->unprotected.exits;
	int r = -EOPNOTSUPP;

	if (again || !kvm_insn_repeats(vcpu, fault->insn, fault->insn_len))
		r = kvm_emulate_insn(vcpu, fault->addr, again ? 0 : EMULTYPE_NO_ERROR,
				     fault->insn, fault->insn_len);
	if (r != -EOPNOTSUPP)
		return r;
	vcpu->unprotected.gfn = fault->gfn;
	vcpu->unprotected.rip = kvm_rip_read(vcpu);
	vcpu->unprotected.exits = vcpu->stat.exits + RETRY_EXITS;
	kvm_mmu_unprotect_gfn(vcpu->kvm, fault->gfn);
	return 1;
}

/* There is a slot, but nothing behind it that the VMM itself could access so.  Beside -EFAULT. */
static void tell_memory_fault(struct kvm_run *run, gfn_t gfn)
{
	run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	run->memory_fault.flags = 0;
	run->memory_fault.gpa = gfn_to_gpa(gfn);
	run->memory_fault.size = PAGE_SIZE;
}

/** kvm_handle_page_fault - a fault that the vendor intercepted */
int kvm_handle_page_fault(struct kvm_vcpu *vcpu, struct kvm_fault *fault)
{
	int r;

	trace_kvm_page_fault(vcpu, fault->addr, fault->error_code);
	r = resolve_fault(vcpu, fault);
	switch (r) {
	case PF_RETRY:
	case PF_FIXED:
		return 1;
	case PF_EMULATE:
		return kvm_emulate_insn(vcpu, fault->addr, emulation_type(vcpu, fault),
					fault->insn, fault->insn_len);
	case PF_WRITE_TRACKED:
		return emulate_table_write(vcpu, fault);
	case PF_EXCEPTION:
		kvm_inject_page_fault(vcpu, &fault->ex);
		return 1;
	case PF_INTR:
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	case PF_HWPOISON:
		send_sig_mceerr(BUS_MCEERR_AR, (void __user *)fault->hva, PAGE_SHIFT, current);
		return 1;
	case -EFAULT:
		tell_memory_fault(vcpu->run, fault->gfn);
		return r;
	default:
		return r;
	}
}
EXPORT_SYMBOL_GPL(kvm_handle_page_fault);

/** kvm_handle_fast_mmio - an access to what was no memory when it was last looked at: is it one
 * that an ioeventfd of any length is signalled by, whatever the instruction?  Then nothing has to
 * be emulated, and the handler's answer is in @r.  What of a page is a doorbell is not read.
 */
bool kvm_handle_fast_mmio(struct kvm_vcpu *vcpu, gpa_t gpa, int *r)
{
	if (!kvm_io_write(vcpu, KVM_FAST_MMIO_BUS, gpa, 0, NULL))
		return false;
	vcpu->stat.mmio_signals++;
	*r = kvm_skip_emulated_instruction(vcpu);
	return true;
}
EXPORT_SYMBOL_GPL(kvm_handle_fast_mmio);

static __always_inline int mmio_fault(struct kvm_vcpu *vcpu, gpa_t gpa, int type, const u8 *insn,
				      int insn_len)
{
	if (likely(!kvm_vcpu_gfn_to_slot(vcpu, kvm_unalias_gfn(vcpu->kvm, gpa_to_gfn(gpa)))))
		return kvm_emulate_insn(vcpu, gpa, type, insn, insn_len);
	kvm_mmu_clear_mmio(vcpu, gpa);
	return 1;
}

/** kvm_handle_mmio_fault - an access to what was no memory when it was last looked at; the vendor
 * knows by ops->nested_mmio_entry, or by its APIC-access page
 */
int kvm_handle_mmio_fault(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	return mmio_fault(vcpu, gpa, 0, NULL, 0);
}
EXPORT_SYMBOL_GPL(kvm_handle_mmio_fault);

/** kvm_handle_mmio_access - the same where the processor says that @fault is the access itself, not a
 * walk of the guest's page tables, and maybe which instruction it was
 */
int kvm_handle_mmio_access(struct kvm_vcpu *vcpu, const struct kvm_fault *fault)
{
	return mmio_fault(vcpu, fault->addr, EMULTYPE_GPA, fault->insn, fault->insn_len);
}
EXPORT_SYMBOL_GPL(kvm_handle_mmio_access);
