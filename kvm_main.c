// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/kvm, VM and vcpu file descriptors, ioctl dispatch, vendor registration,
 * and switching virtualization on and off on each CPU.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_caps.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_emulate.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_irq.h"
#include "kvm_lapic.h"
#include "kvm_main.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_request.h"
#include "kvm_stats.h"
#include "kvm_vcpu.h"

#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/cpu.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mman.h>
#include <linux/pid.h>
#include <linux/reboot.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/stat.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/uaccess.h>

#include "compat/cpu.h"

MODULE_AUTHOR("The kvm module's authors");
MODULE_DESCRIPTION("Kernel-based Virtual Machine: core");
MODULE_LICENSE("GPL");
MODULE_VERSION(KVM_MODULE_VERSION);
MODULE_ALIAS_MISCDEV(KVM_MINOR);
MODULE_ALIAS("devname:kvm");

struct kvm_arch_ops kvm_ops;
EXPORT_SYMBOL_GPL(kvm_ops);

#define DEFINE_CALL(op) \
	DEFINE_STATIC_CALL_NULL(kvm_##op, *((struct kvm_arch_ops *)NULL)->op);
KVM_HOT_OPS(DEFINE_CALL)

static struct kmem_cache *kvm_vcpu_cache;
static enum cpuhp_state kvm_cpuhp_state;

/* Protects the usage count; inside cpus_read_lock(). */
static DEFINE_MUTEX(kvm_lock);

/*
 * VMs that keep virtualization switched on.  Written under kvm_lock inside
 * cpus_read_lock(), so the hotplug callbacks may read it bare.
 */
static int kvm_usage_count;
static bool kvm_going_down;		/* reboot: never switch on again */
DEFINE_PER_CPU(bool, kvm_hw_enabled);

/*
 * ---- switching virtualization on and off ----
 */

static int hardware_enable_this_cpu(void)
{
	unsigned long flags;
	int r = 0;

	local_irq_save(flags);
	if (!__this_cpu_read(kvm_hw_enabled)) {
		r = kvm_ops.hardware_enable();
		if (!r) {
			kvm_save_host_tsc_aux();
			__this_cpu_write(kvm_hw_enabled, true);
		}
	}
	local_irq_restore(flags);
	return r;
}

static void hardware_disable_this_cpu(void *unused)
{
	unsigned long flags;

	local_irq_save(flags);
	if (__this_cpu_read(kvm_hw_enabled)) {
		__this_cpu_write(kvm_hw_enabled, false);
		kvm_ops.hardware_disable();
	}
	local_irq_restore(flags);
}

static void hardware_enable_ipi(void *failed)
{
	int r = hardware_enable_this_cpu();

	if (r)
		atomic_cmpxchg((atomic_t *)failed, 0, r);
}

/* One more VM: the first switches every CPU on, or none.  0, -EBUSY, -EIO. */
static int hardware_get(void)
{
	atomic_t failed = ATOMIC_INIT(0);
	int r = 0;

	cpus_read_lock();
	mutex_lock(&kvm_lock);
	if (kvm_going_down) {
		r = -EIO;
	} else if (!kvm_usage_count) {
		on_each_cpu(hardware_enable_ipi, &failed, 1);
		r = atomic_read(&failed);
		if (r)
			on_each_cpu(hardware_disable_this_cpu, NULL, 1);
	}
	if (!r)
		kvm_usage_count++;
	mutex_unlock(&kvm_lock);
	cpus_read_unlock();
	return r;
}

static void hardware_put(void)
{
	cpus_read_lock();
	mutex_lock(&kvm_lock);
	if (!--kvm_usage_count)
		on_each_cpu(hardware_disable_this_cpu, NULL, 1);
	mutex_unlock(&kvm_lock);
	cpus_read_unlock();
}

static int kvm_cpu_online(unsigned int cpu)
{
	int r;

	if (!kvm_usage_count || kvm_going_down)
		return 0;
	r = hardware_enable_this_cpu();
	if (r)
		pr_err("CPU %u has no usable virtualization (%d): no vcpu will run on it\n",
		       cpu, r);
	return 0;
}

static int kvm_cpu_offline(unsigned int cpu)
{
	hardware_disable_this_cpu(NULL);
	return 0;
}

/* The last CPU, interrupts off; hotplug has dealt with the others. */
static int kvm_suspend(void)
{
	hardware_disable_this_cpu(NULL);
	return 0;
}

static void kvm_resume(void)
{
	if (kvm_usage_count && !kvm_going_down && hardware_enable_this_cpu())
		pr_err("no virtualization after resume on CPU %d\n", smp_processor_id());
}

KVM_DEFINE_SYSCORE(kvm_syscore, kvm_suspend, kvm_resume);

/*
 * Firmware and kexec want CPUs without VMX or SVM on.  A vcpu that still runs
 * sees kvm_hw_enabled false before its next entry and stops.
 */
static int kvm_reboot(struct notifier_block *nb, unsigned long val, void *v)
{
	kvm_going_down = true;
	on_each_cpu(hardware_disable_this_cpu, NULL, 1);
	return NOTIFY_OK;
}

static struct notifier_block kvm_reboot_notifier = {
	.notifier_call = kvm_reboot,
};

/*
 * ---- requests and kicks ----
 */

static void ack_kick(void *unused)
{
}

/* True if the vcpu was in guest mode, and so must get an interrupt to leave it. */
static bool vcpu_should_kick(struct kvm_vcpu *vcpu)
{
	return cmpxchg(&vcpu->mode, IN_GUEST_MODE, EXITING_GUEST_MODE) != OUTSIDE_GUEST_MODE;
}

/**
 * kvm_make_all_vcpus_request - give every vcpu of a VM something to do
 * @kvm: the VM
 * @req: KVM_REQ_*
 *
 * On return no vcpu runs guest code that has not seen the request.  May be
 * called under mmu_lock; interrupts must be on.
 */
void kvm_make_all_vcpus_request(struct kvm *kvm, int req)
{
	struct kvm_vcpu *vcpu;
	cpumask_var_t mask;
	unsigned long i;
	bool have_mask, called = false;
	int me, cpu;

	have_mask = zalloc_cpumask_var(&mask, GFP_ATOMIC | __GFP_NOWARN);
	me = get_cpu();
	kvm_for_each_vcpu(i, vcpu, kvm) {
		kvm_make_request(req, vcpu);
		/* Pairs with the barrier after mode = IN_GUEST_MODE. */
		smp_mb__after_atomic();
		cpu = READ_ONCE(vcpu->cpu);
		if (cpu < 0 || cpu == me || !vcpu_should_kick(vcpu))
			continue;
		called = true;
		if (have_mask)
			__cpumask_set_cpu(cpu, mask);
	}
	if (called)
		smp_call_function_many(have_mask ? mask : cpu_online_mask, ack_kick, NULL, true);
	put_cpu();
	if (have_mask)
		free_cpumask_var(mask);
}

/**
 * kvm_flush_remote_tlbs - no vcpu uses a stale translation any more on return
 * @kvm: the VM; mmu_lock may be held
 */
void kvm_flush_remote_tlbs(struct kvm *kvm)
{
	kvm->stat.remote_tlb_flush++;
	kvm_make_all_vcpus_request(kvm, KVM_REQ_TLB_FLUSH);
}

/**
 * kvm_vcpu_kick - make a vcpu look at its requests soon; any context but NMI
 * @vcpu: one that runs gets an interrupt, one that sleeps is woken, and one in
 *	between looks before it does either
 */
void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
	int me, cpu;

	/* Between the request and what tells where the vcpu is. */
	smp_mb();
	if (READ_ONCE(vcpu->mode) == OUTSIDE_GUEST_MODE) {
		if (rcuwait_active(&vcpu->wait))
			rcuwait_wake_up(&vcpu->wait);
		return;
	}
	me = get_cpu();
	cpu = READ_ONCE(vcpu->cpu);
	if (cpu >= 0 && cpu != me && vcpu_should_kick(vcpu))
		smp_send_reschedule(cpu);
	put_cpu();
}

void kvm_vm_dead(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	WRITE_ONCE(kvm->vm_bugged, true);
	kvm_make_all_vcpus_request(kvm, KVM_REQ_VM_DEAD);
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_vcpu_kick(vcpu);
}

/*
 * ---- vcpu: life ----
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
	WRITE_ONCE(vcpu->cpu, -1);
	kvm_pv_sched_out(vcpu);
	if (next && current->on_rq)
		WRITE_ONCE(vcpu->preempted, true);
}

static struct preempt_ops kvm_preempt_ops = {
	.sched_in = kvm_sched_in,
	.sched_out = kvm_sched_out,
};

/* Bind the vcpu to this thread and CPU; the vcpu's mutex is held until put. */
static void vcpu_load(struct kvm_vcpu *vcpu)
{
	int cpu = get_cpu();

	preempt_notifier_register(&vcpu->preempt_notifier);
	kvm_sched_in(&vcpu->preempt_notifier, cpu);
	put_cpu();
}

static void vcpu_put(struct kvm_vcpu *vcpu)
{
	preempt_disable();
	kvm_sched_out(&vcpu->preempt_notifier, NULL);
	preempt_notifier_unregister(&vcpu->preempt_notifier);
	preempt_enable();
}

static void vcpu_destroy(struct kvm_vcpu *vcpu)
{
	kvm_ops.vcpu_free(vcpu);
	kvm_async_pf_destroy(vcpu);
	kvm_lapic_destroy(vcpu);
	put_pid(rcu_dereference_protected(vcpu->pid, true));
	kvm_mmu_destroy(vcpu);
	kvm_emulate_destroy(vcpu);
	kvm_cpuid_free(vcpu);
	kvm_fpu_destroy(vcpu);
	free_page((unsigned long)vcpu->pio.data);
	free_page((unsigned long)vcpu->run);
	kmem_cache_free(kvm_vcpu_cache, vcpu);
}

static struct kvm_vcpu *vcpu_create(struct kvm *kvm, u32 id)
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
	r = kvm_fpu_create(vcpu);
	if (r)
		goto out_pio;
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
out_pio:
	free_page((unsigned long)vcpu->pio.data);
out_run:
	free_page((unsigned long)vcpu->run);
out_vcpu:
	kmem_cache_free(kvm_vcpu_cache, vcpu);
	return ERR_PTR(r);
}

/*
 * ---- vcpu: ioctls ----
 *
 * A table row names the call and its function.  Fixed structures are copied
 * in and out here, as the call number says; variable ones (RAW) get the user
 * pointer.  All run with the vcpu's mutex held, the vcpu loaded, and memslots
 * locked for reading.
 */
struct kvm_vcpu_ioctl {
	unsigned int cmd;
	bool raw;
	long (*fn)(struct kvm_vcpu *vcpu, void *arg);
	long (*raw_fn)(struct kvm_vcpu *vcpu, void __user *arg);
};

/* How a fixed row's function, typed in kvm_host.h, becomes one of the table. */
#define VCPU_FN(name) \
	static long ioctl_##name(struct kvm_vcpu *vcpu, void *arg) \
	{ return kvm_vcpu_##name(vcpu, arg); }
#define VCPU_RAW_FN(name) \
	static long ioctl_##name(struct kvm_vcpu *vcpu, void __user *arg) \
	{ return kvm_vcpu_##name(vcpu, arg); }

VCPU_FN(get_regs)
VCPU_FN(set_regs)
VCPU_FN(get_sregs)
VCPU_FN(set_sregs)
VCPU_FN(get_sregs2)
VCPU_FN(set_sregs2)
VCPU_FN(get_fpu)
VCPU_FN(set_fpu)
VCPU_FN(get_xsave)
VCPU_FN(set_xsave)
VCPU_FN(get_xcrs)
VCPU_FN(set_xcrs)
VCPU_FN(get_debugregs)
VCPU_FN(set_debugregs)
VCPU_FN(set_guest_debug)
VCPU_FN(translate)
VCPU_FN(set_mce)
VCPU_FN(get_events)
VCPU_FN(set_events)
VCPU_FN(get_mp_state)
VCPU_FN(set_mp_state)
VCPU_FN(interrupt)
VCPU_FN(has_attr)
VCPU_FN(get_attr)
VCPU_FN(set_attr)
VCPU_FN(set_vapic_addr)
VCPU_FN(tpr_access)
VCPU_FN(get_lapic)
VCPU_FN(set_lapic)
VCPU_RAW_FN(get_msrs)
VCPU_RAW_FN(set_msrs)
VCPU_RAW_FN(set_cpuid)
VCPU_RAW_FN(set_cpuid2)
VCPU_RAW_FN(get_cpuid2)

static long ioctl_setup_mce(struct kvm_vcpu *vcpu, void *arg)
{
	return kvm_vcpu_setup_mce(vcpu, *(u64 *)arg);
}

static long ioctl_kvmclock_ctrl(struct kvm_vcpu *vcpu, void __user *arg)
{
	return kvm_vcpu_kvmclock_ctrl(vcpu);
}

static long ioctl_enable_cap(struct kvm_vcpu *vcpu, void *arg)
{
	const struct kvm_enable_cap *cap = arg;

	if (cap->flags || cap->cap != KVM_CAP_ENFORCE_PV_FEATURE_CPUID || cap->args[0] > 1)
		return -EINVAL;
	vcpu->pv.enforce = cap->args[0];
	return 0;
}

static long ioctl_nmi(struct kvm_vcpu *vcpu, void __user *arg)
{
	kvm_inject_nmi(vcpu);
	return 0;
}

/* NULL takes the mask away.  The length is the kernel's sigset, whole. */
static long ioctl_set_signal_mask(struct kvm_vcpu *vcpu, void __user *arg)
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

static long ioctl_get_tsc_khz(struct kvm_vcpu *vcpu, void __user *arg)
{
	return vcpu->virtual_tsc_khz;
}

static long ioctl_get_stats_fd(struct kvm_vcpu *vcpu, void __user *arg)
{
	return kvm_vcpu_get_stats_fd(vcpu);
}

/* Without TSC scaling the guest's rate is the host's, or close enough for NTP. */
static long ioctl_set_tsc_khz(struct kvm_vcpu *vcpu, void __user *arg)
{
	unsigned long khz = (unsigned long)arg;
	unsigned long slack = tsc_khz / 4000;		/* 250 ppm */

	if (khz && (khz + slack < tsc_khz || khz > tsc_khz + slack))
		return -EINVAL;
	return 0;
}

static const struct kvm_vcpu_ioctl vcpu_ioctls[] = {
	{ KVM_GET_REGS, .fn = ioctl_get_regs },
	{ KVM_SET_REGS, .fn = ioctl_set_regs },
	{ KVM_GET_SREGS, .fn = ioctl_get_sregs },
	{ KVM_SET_SREGS, .fn = ioctl_set_sregs },
	{ KVM_GET_SREGS2, .fn = ioctl_get_sregs2 },
	{ KVM_SET_SREGS2, .fn = ioctl_set_sregs2 },
	{ KVM_INTERRUPT, .fn = ioctl_interrupt },
	{ KVM_GET_FPU, .fn = ioctl_get_fpu },
	{ KVM_SET_FPU, .fn = ioctl_set_fpu },
	{ KVM_GET_XSAVE, .fn = ioctl_get_xsave },
	{ KVM_GET_XSAVE2, .fn = ioctl_get_xsave },
	{ KVM_SET_XSAVE, .fn = ioctl_set_xsave },
	{ KVM_GET_XCRS, .fn = ioctl_get_xcrs },
	{ KVM_SET_XCRS, .fn = ioctl_set_xcrs },
	{ KVM_GET_DEBUGREGS, .fn = ioctl_get_debugregs },
	{ KVM_SET_DEBUGREGS, .fn = ioctl_set_debugregs },
	{ KVM_GET_VCPU_EVENTS, .fn = ioctl_get_events },
	{ KVM_SET_VCPU_EVENTS, .fn = ioctl_set_events },
	{ KVM_GET_MP_STATE, .fn = ioctl_get_mp_state },
	{ KVM_SET_MP_STATE, .fn = ioctl_set_mp_state },
	{ KVM_SET_GUEST_DEBUG, .fn = ioctl_set_guest_debug },
	{ KVM_TRANSLATE, .fn = ioctl_translate },
	{ KVM_SET_VAPIC_ADDR, .fn = ioctl_set_vapic_addr },
	{ KVM_TPR_ACCESS_REPORTING, .fn = ioctl_tpr_access },
	{ KVM_GET_LAPIC, .fn = ioctl_get_lapic },
	{ KVM_SET_LAPIC, .fn = ioctl_set_lapic },
	{ KVM_X86_SETUP_MCE, .fn = ioctl_setup_mce },
	{ KVM_X86_SET_MCE, .fn = ioctl_set_mce },
	{ KVM_HAS_DEVICE_ATTR, .fn = ioctl_has_attr },
	{ KVM_GET_DEVICE_ATTR, .fn = ioctl_get_attr },
	{ KVM_SET_DEVICE_ATTR, .fn = ioctl_set_attr },
	{ KVM_ENABLE_CAP, .fn = ioctl_enable_cap },
	{ KVM_KVMCLOCK_CTRL, .raw = true, .raw_fn = ioctl_kvmclock_ctrl },
	{ KVM_NMI, .raw = true, .raw_fn = ioctl_nmi },
	{ KVM_GET_MSRS, .raw = true, .raw_fn = ioctl_get_msrs },
	{ KVM_SET_MSRS, .raw = true, .raw_fn = ioctl_set_msrs },
	{ KVM_SET_CPUID, .raw = true, .raw_fn = ioctl_set_cpuid },
	{ KVM_SET_CPUID2, .raw = true, .raw_fn = ioctl_set_cpuid2 },
	{ KVM_GET_CPUID2, .raw = true, .raw_fn = ioctl_get_cpuid2 },
	{ KVM_SET_SIGNAL_MASK, .raw = true, .raw_fn = ioctl_set_signal_mask },
	{ KVM_GET_TSC_KHZ, .raw = true, .raw_fn = ioctl_get_tsc_khz },
	{ KVM_GET_STATS_FD, .raw = true, .raw_fn = ioctl_get_stats_fd },
	{ KVM_SET_TSC_KHZ, .raw = true, .raw_fn = ioctl_set_tsc_khz },
};

static const struct kvm_vcpu_ioctl *find_vcpu_ioctl(unsigned int cmd)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vcpu_ioctls); i++)
		if (vcpu_ioctls[i].cmd == cmd)
			return &vcpu_ioctls[i];
	return NULL;
}

/* Lock, load, call; what the fixed rows read is in buf already. */
static long call_vcpu_ioctl(struct kvm_vcpu *vcpu, const struct kvm_vcpu_ioctl *row,
			    void *buf, void __user *arg)
{
	long r;

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	vcpu_load(vcpu);
	vcpu->srcu_idx = srcu_read_lock(&vcpu->kvm->srcu);
	r = row->raw ? row->raw_fn(vcpu, arg) : row->fn(vcpu, buf);
	srcu_read_unlock(&vcpu->kvm->srcu, vcpu->srcu_idx);
	vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static long fixed_vcpu_ioctl(struct kvm_vcpu *vcpu, const struct kvm_vcpu_ioctl *row,
			     void __user *arg)
{
	unsigned int size = _IOC_SIZE(row->cmd);
	void *buf = kzalloc(size, GFP_KERNEL_ACCOUNT);
	long r = -EFAULT;

	if (!buf)
		return -ENOMEM;
	if ((_IOC_DIR(row->cmd) & _IOC_WRITE) && copy_from_user(buf, arg, size))
		goto out;
	r = call_vcpu_ioctl(vcpu, row, buf, NULL);
	if (r >= 0 && (_IOC_DIR(row->cmd) & _IOC_READ) && copy_to_user(arg, buf, size))
		r = -EFAULT;
out:
	kfree(buf);
	return r;
}

/* Whose thread others may yield to. */
static void update_vcpu_pid(struct kvm_vcpu *vcpu)
{
	struct pid *old = rcu_dereference_protected(vcpu->pid, lockdep_is_held(&vcpu->mutex));

	if (likely(old == task_pid(current)))
		return;
	rcu_assign_pointer(vcpu->pid, get_task_pid(current, PIDTYPE_PID));
	if (old)
		synchronize_rcu();
	put_pid(old);
}

static long vcpu_run_ioctl(struct kvm_vcpu *vcpu, unsigned long arg)
{
	long r;

	if (arg)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	update_vcpu_pid(vcpu);
	vcpu_load(vcpu);
	r = kvm_vcpu_run(vcpu);
	vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static long kvm_vcpu_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm_vcpu *vcpu = filp->private_data;
	const struct kvm_vcpu_ioctl *row;

	if (vcpu->kvm->mm != current->mm || READ_ONCE(vcpu->kvm->vm_bugged))
		return -EIO;
	if (cmd == KVM_RUN)
		return vcpu_run_ioctl(vcpu, arg);
	row = find_vcpu_ioctl(cmd);
	if (!row)
		return cmd == KVM_DEBUG_GUEST ? -EINVAL : -ENOTTY;
	if (row->raw)
		return call_vcpu_ioctl(vcpu, row, NULL, (void __user *)arg);
	return fixed_vcpu_ioctl(vcpu, row, (void __user *)arg);
}

static vm_fault_t kvm_vcpu_fault(struct vm_fault *vmf)
{
	struct kvm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	void *p;

	if (vmf->pgoff == 0)
		p = vcpu->run;
	else if (vmf->pgoff == KVM_PIO_PAGE_OFFSET)
		p = vcpu->pio.data;
	else if (vmf->pgoff == KVM_COALESCED_MMIO_PAGE_OFFSET)
		p = vcpu->kvm->coalesced_ring;
	else
		return VM_FAULT_SIGBUS;
	vmf->page = virt_to_page(p);
	get_page(vmf->page);
	return 0;
}

static const struct vm_operations_struct kvm_vcpu_vm_ops = {
	.fault = kvm_vcpu_fault,
};

static int kvm_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_pgoff + vma_pages(vma) > KVM_VCPU_MMAP_PAGES)
		return -EINVAL;
	vma->vm_ops = &kvm_vcpu_vm_ops;
	return 0;
}

static int kvm_vcpu_release(struct inode *inode, struct file *filp)
{
	struct kvm_vcpu *vcpu = filp->private_data;

	kvm_put(vcpu->kvm);
	return 0;
}

static struct file_operations kvm_vcpu_fops = {
	.release = kvm_vcpu_release,
	.unlocked_ioctl = kvm_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = kvm_vcpu_mmap,
	.llseek = noop_llseek,
};

/*
 * ---- VM: life ----
 */

static void kvm_destroy_vcpus(struct kvm *kvm)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	/* Roots first: they hold shadow pages of the whole VM. */
	kvm_for_each_vcpu(i, vcpu, kvm)
		kvm_mmu_unload(vcpu);
	kvm_stats_retire(kvm);
	xa_for_each(&kvm->vcpus, i, vcpu) {
		xa_erase(&kvm->vcpus, i);
		vcpu_destroy(vcpu);
	}
	xa_destroy(&kvm->vcpus);
}

static void kvm_destroy_vm(struct kvm *kvm)
{
	struct mm_struct *mm = kvm->mm;

	kvm_slots_stop(kvm);
	kvm_io_stop_vm(kvm);
	kvm_irq_stop_vm(kvm);
	kvm_destroy_vcpus(kvm);
	if (kvm_ops.vm_destroy)
		kvm_ops.vm_destroy(kvm);
	kvm_mmu_destroy_vm(kvm);
	kvm_slots_destroy(kvm);
	kvm_msr_filter_destroy(kvm);
	kvm_irq_destroy_vm(kvm);
	kvm_io_destroy_vm(kvm);
	kvm_lapic_destroy_vm(kvm);
	cleanup_srcu_struct(&kvm->srcu);
	kvfree(kvm);
	hardware_put();
	mmdrop(mm);
}

/** kvm_put - one file less: the last takes the VM with it */
void kvm_put(struct kvm *kvm)
{
	if (refcount_dec_and_test(&kvm->users))
		kvm_destroy_vm(kvm);
}

static struct kvm *kvm_create_vm(void)
{
	struct kvm *kvm = kvzalloc(kvm_ops.vm_size, GFP_KERNEL_ACCOUNT);
	int r;

	if (!kvm)
		return ERR_PTR(-ENOMEM);
	spin_lock_init(&kvm->mmu_lock);
	mutex_init(&kvm->slots_lock);
	mutex_init(&kvm->lock);
	mutex_init(&kvm->lapic_map_lock);
	raw_spin_lock_init(&kvm->tsc_lock);
	address_space_init_once(&kvm->mapping);
	refcount_set(&kvm->users, 1);
	xa_init(&kvm->vcpus);
	kvm->creator = task_pid_nr(current);
	kvm->mm = current->mm;
	mmgrab(kvm->mm);
	kvm_clock_init_vm(kvm);

	kvm_irq_init_vm(kvm);
	r = kvm_io_init_vm(kvm);
	if (r)
		goto out_kvm;
	r = init_srcu_struct(&kvm->srcu);
	if (r)
		goto out_io;
	r = hardware_get();
	if (r)
		goto out_srcu;
	r = kvm_mmu_init_vm(kvm);
	if (r)
		goto out_hardware;
	if (kvm_ops.vm_init) {
		r = kvm_ops.vm_init(kvm);
		if (r)
			goto out_mmu;
	}
	/* Last: from here on the mmu notifier may call. */
	r = kvm_slots_init(kvm);
	if (r)
		goto out_vendor;
	kvm_stats_add(kvm);
	return kvm;

out_vendor:
	if (kvm_ops.vm_destroy)
		kvm_ops.vm_destroy(kvm);
out_mmu:
	kvm_mmu_destroy_vm(kvm);
out_hardware:
	hardware_put();
out_srcu:
	cleanup_srcu_struct(&kvm->srcu);
out_io:
	kvm_io_destroy_vm(kvm);
out_kvm:
	mmdrop(kvm->mm);
	kvfree(kvm);
	return ERR_PTR(r);
}

/*
 * ---- VM: ioctls ----
 */

static bool vcpu_id_taken(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	xa_for_each(&kvm->vcpus, i, vcpu)
		if (vcpu->vcpu_id == id)
			return true;
	return false;
}

/* Publish a finished vcpu: its fd, its place in the VM.  kvm->lock held. */
static long vcpu_install(struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	char name[24];
	struct file *file;
	int fd, r;

	vcpu->vcpu_idx = atomic_read(&kvm->online_vcpus);
	r = xa_reserve(&kvm->vcpus, vcpu->vcpu_idx, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		r = fd;
		goto out_slot;
	}
	snprintf(name, sizeof(name), "kvm-vcpu:%d", vcpu->vcpu_id);
	file = anon_inode_getfile(name, &kvm_vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		goto out_fd;
	}
	refcount_inc(&kvm->users);
	xa_store(&kvm->vcpus, vcpu->vcpu_idx, vcpu, GFP_KERNEL_ACCOUNT);
	/* Readers walk up to online_vcpus. */
	smp_wmb();
	atomic_inc(&kvm->online_vcpus);
	if (vcpu->lapic)
		kvm_lapic_update_map(kvm);
	fd_install(fd, file);
	return fd;

out_fd:
	put_unused_fd(fd);
out_slot:
	xa_release(&kvm->vcpus, vcpu->vcpu_idx);
	return r;
}

static long kvm_vm_create_vcpu(struct kvm *kvm, unsigned long id)
{
	struct kvm_vcpu *vcpu;
	long r;

	if (id >= KVM_MAX_VCPU_ID)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	r = -EINVAL;
	if (atomic_read(&kvm->online_vcpus) >= KVM_MAX_VCPUS ||
	    (kvm->max_vcpu_id && id >= kvm->max_vcpu_id))
		goto out;
	r = -EEXIST;
	if (vcpu_id_taken(kvm, id))
		goto out;
	vcpu = vcpu_create(kvm, id);
	r = PTR_ERR(vcpu);
	if (IS_ERR(vcpu))
		goto out;
	vcpu_load(vcpu);
	kvm_vcpu_reset(vcpu, false);
	vcpu_put(vcpu);
	r = vcpu_install(kvm, vcpu);
	if (r < 0)
		vcpu_destroy(vcpu);
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/* Three pages below 4 GiB that real-mode emulation on VMX may use. */
static long kvm_vm_set_tss_addr(struct kvm *kvm, unsigned long addr)
{
	if (addr > U32_MAX + 1UL - 3 * PAGE_SIZE || (addr & ~PAGE_MASK))
		return -EINVAL;
	mutex_lock(&kvm->lock);
	kvm->tss_addr = addr;
	mutex_unlock(&kvm->lock);
	return 0;
}

static long kvm_vm_set_identity_map(struct kvm *kvm, void __user *arg)
{
	u64 addr;
	long r = 0;

	if (copy_from_user(&addr, arg, sizeof(addr)))
		return -EFAULT;
	if (addr > U32_MAX || (addr & ~PAGE_MASK))
		return -EINVAL;
	mutex_lock(&kvm->lock);
	if (atomic_read(&kvm->online_vcpus))
		r = -EINVAL;
	else
		kvm->identity_map_addr = addr;
	mutex_unlock(&kvm->lock);
	return r;
}

static long kvm_vm_clock_ioctl(struct kvm *kvm, unsigned int cmd, void __user *arg)
{
	struct kvm_clock_data data;
	long r;

	if (cmd == KVM_GET_CLOCK) {
		r = kvm_vm_get_clock(kvm, &data);
		return !r && copy_to_user(arg, &data, sizeof(data)) ? -EFAULT : r;
	}
	if (copy_from_user(&data, arg, sizeof(data)))
		return -EFAULT;
	return kvm_vm_set_clock(kvm, &data);
}

/* KVM_SET_BOOT_CPU_ID: which vcpu needs no SIPI; before there is any. */
static long kvm_vm_set_boot_cpu(struct kvm *kvm, unsigned long id)
{
	long r = 0;

	if (id >= KVM_MAX_VCPU_ID)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	if (atomic_read(&kvm->online_vcpus))
		r = -EBUSY;
	else
		kvm->bsp_vcpu_id = id;
	mutex_unlock(&kvm->lock);
	return r;
}

/* KVM_CAP_*: one list for /dev/kvm and VM fds.  Only what works is here. */
static long kvm_check_extension(struct kvm *kvm, unsigned long cap)
{
	switch (cap) {
	case KVM_CAP_HLT:
	case KVM_CAP_USER_MEMORY:
	case KVM_CAP_SET_TSS_ADDR:
	case KVM_CAP_EXT_CPUID:
	case KVM_CAP_MP_STATE:
	case KVM_CAP_SYNC_MMU:
	case KVM_CAP_DESTROY_MEMORY_REGION_WORKS:
	case KVM_CAP_JOIN_MEMORY_REGIONS_WORKS:
	case KVM_CAP_USER_NMI:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_SET_IDENTITY_MAP_ADDR:
	case KVM_CAP_MMU_SHADOW_CACHE_CONTROL:
	case KVM_CAP_INTERNAL_ERROR_DATA:
	case KVM_CAP_VCPU_EVENTS:
	case KVM_CAP_DEBUGREGS:
	case KVM_CAP_X86_ROBUST_SINGLESTEP:
	case KVM_CAP_XSAVE:
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_CHECK_EXTENSION_VM:
	case KVM_CAP_IMMEDIATE_EXIT:
	case KVM_CAP_EXT_EMUL_CPUID:
	case KVM_CAP_GET_TSC_KHZ:
	case KVM_CAP_NOP_IO_DELAY:
	case KVM_CAP_ENABLE_CAP_VM:
	case KVM_CAP_GET_MSR_FEATURES:
	case KVM_CAP_BINARY_STATS_FD:
	case KVM_CAP_SREGS2:
	case KVM_CAP_EXCEPTION_PAYLOAD:
	case KVM_CAP_X86_TRIPLE_FAULT_EVENT:
	case KVM_CAP_X86_USER_SPACE_MSR:
	case KVM_CAP_X86_MSR_FILTER:
	case KVM_CAP_MSR_PLATFORM_INFO:
	case KVM_CAP_VCPU_ATTRIBUTES:
	case KVM_CAP_DISABLE_QUIRKS:
	case KVM_CAP_IRQCHIP:
	case KVM_CAP_PIT:
	case KVM_CAP_PIT2:
	case KVM_CAP_PIT_STATE2:
	case KVM_CAP_REINJECT_CONTROL:
	case KVM_CAP_IRQ_INJECT_STATUS:
	case KVM_CAP_IRQFD:
	case KVM_CAP_IRQFD_RESAMPLE:
	case KVM_CAP_SIGNAL_MSI:
	case KVM_CAP_IOAPIC_POLARITY_IGNORED:
	case KVM_CAP_SPLIT_IRQCHIP:
	case KVM_CAP_TSC_DEADLINE_TIMER:
	case KVM_CAP_IOEVENTFD:
	case KVM_CAP_IOEVENTFD_NO_LENGTH:
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
	case KVM_CAP_COALESCED_PIO:
	case KVM_CAP_SET_BOOT_CPU_ID:
	case KVM_CAP_CLOCKSOURCE:
	case KVM_CAP_VAPIC:
	case KVM_CAP_KVMCLOCK_CTRL:
	case KVM_CAP_HALT_POLL:
	case KVM_CAP_INTR_SHADOW:
	case KVM_CAP_SYS_ATTRIBUTES:
	case KVM_CAP_ASYNC_PF:
	case KVM_CAP_ASYNC_PF_INT:
	case KVM_CAP_ENFORCE_PV_FEATURE_CPUID:
	case KVM_CAP_ENABLE_CAP:
		return 1;
	case KVM_CAP_SYNC_REGS:
		return KVM_SYNC_X86_VALID_FIELDS;
	case KVM_CAP_DISABLE_QUIRKS2:
		return KVM_QUIRKS;
	case KVM_CAP_EXIT_HYPERCALL:
		return KVM_EXIT_HYPERCALLS;
	case KVM_CAP_X86_DISABLE_EXITS:
		return kvm_supported_disable_exits();
	case KVM_CAP_SET_GUEST_DEBUG2:
		return KVM_GUESTDBG_FLAGS;
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
		return KVM_DIRTY_LOG_CAPS;
	case KVM_CAP_XSAVE2:
		/* No component that must be asked for is offered. */
		return sizeof(struct kvm_xsave);
	case KVM_CAP_ADJUST_CLOCK:
		return KVM_CLOCK_TSC_STABLE | KVM_CLOCK_REALTIME | KVM_CLOCK_HOST_TSC;
	case KVM_CAP_STEAL_TIME:
		return sched_info_on();
	case KVM_CAP_X2APIC_API:
		return KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
	case KVM_CAP_COALESCED_MMIO:
		return KVM_COALESCED_MMIO_PAGE_OFFSET;
	case KVM_CAP_XCRS:
		return boot_cpu_has(X86_FEATURE_XSAVE);
	case KVM_CAP_NR_MEMSLOTS:
		return KVM_MEM_SLOTS;
	case KVM_CAP_NR_VCPUS:
		return min_t(int, num_online_cpus(), KVM_MAX_VCPUS);
	case KVM_CAP_MAX_VCPUS:
		return KVM_MAX_VCPUS;
	case KVM_CAP_MAX_VCPU_ID:
		return KVM_MAX_VCPU_ID;
	case KVM_CAP_MCE:
		return KVM_NR_MCE_BANKS;
	case KVM_CAP_IRQ_ROUTING:
		/* QEMU wants it even with its own interrupt controllers. */
		return 4096;
	default:
		return 0;
	}
}

/* Of a 32-bit process only half of the field is the pointer. */
static void compat_pointers(unsigned int cmd, struct kvm_dirty_log *log,
			    struct kvm_clear_dirty_log *clear)
{
	if (cmd == KVM_GET_DIRTY_LOG)
		log->padding2 = (u32)log->padding2;
	else if (cmd == KVM_CLEAR_DIRTY_LOG)
		clear->padding2 = (u32)clear->padding2;
}

/*
 * Variable and fixed structures of the VM's calls.  memslot.c's functions take
 * slots_lock themselves.
 */
static long kvm_vm_memory_ioctl(struct kvm *kvm, unsigned int cmd, void __user *arg)
{
	union {
		struct kvm_userspace_memory_region user;
		struct kvm_memory_region region;
		struct kvm_memory_alias alias;
		struct kvm_dirty_log log;
		struct kvm_clear_dirty_log clear;
	} u;

	if (copy_from_user(&u, arg, _IOC_SIZE(cmd)))
		return -EFAULT;
	if (in_compat_syscall())
		compat_pointers(cmd, &u.log, &u.clear);
	switch (cmd) {
	case KVM_SET_USER_MEMORY_REGION:
		return kvm_set_user_memory_region(kvm, &u.user);
	case KVM_SET_MEMORY_REGION:
		return kvm_set_memory_region(kvm, &u.region);
	case KVM_SET_MEMORY_ALIAS:
		return kvm_set_memory_alias(kvm, &u.alias);
	case KVM_CLEAR_DIRTY_LOG:
		return kvm_clear_dirty_log(kvm, &u.clear);
	default:
		return kvm_get_dirty_log(kvm, &u.log);
	}
}

static long kvm_vm_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = filp->private_data;
	long r;

	if (kvm->mm != current->mm || READ_ONCE(kvm->vm_bugged))
		return -EIO;
	switch (cmd) {
	case KVM_CREATE_VCPU:
		return kvm_vm_create_vcpu(kvm, arg);
	case KVM_SET_USER_MEMORY_REGION:
	case KVM_SET_MEMORY_REGION:
	case KVM_SET_MEMORY_ALIAS:
	case KVM_GET_DIRTY_LOG:
	case KVM_CLEAR_DIRTY_LOG:
		return kvm_vm_memory_ioctl(kvm, cmd, (void __user *)arg);
	case KVM_SET_TSS_ADDR:
		return kvm_vm_set_tss_addr(kvm, arg);
	case KVM_GET_CLOCK:
	case KVM_SET_CLOCK:
		return kvm_vm_clock_ioctl(kvm, cmd, (void __user *)arg);
	case KVM_SET_BOOT_CPU_ID:
		return kvm_vm_set_boot_cpu(kvm, arg);
	case KVM_SET_IDENTITY_MAP_ADDR:
		return kvm_vm_set_identity_map(kvm, (void __user *)arg);
	case KVM_SET_NR_MMU_PAGES:
		return kvm_mmu_set_nr_pages(kvm, arg);
	case KVM_GET_NR_MMU_PAGES:
		return READ_ONCE(kvm->n_max_pages);
	case KVM_GET_STATS_FD:
		return kvm_vm_get_stats_fd(kvm);
	case KVM_ENABLE_CAP:
		return kvm_vm_enable_cap(kvm, (void __user *)arg);
	case KVM_X86_SET_MSR_FILTER:
		return kvm_vm_set_msr_filter(kvm, (void __user *)arg);
	case KVM_CHECK_EXTENSION:
		return kvm_check_extension(kvm, arg);
	default:
		r = kvm_irq_ioctl(kvm, cmd, arg);
		return r == -ENOTTY ? kvm_io_ioctl(kvm, cmd, (void __user *)arg) : r;
	}
}

#ifdef CONFIG_COMPAT
#define KVM_X86_SET_MSR_FILTER_COMPAT	_IOW(KVMIO, 0xc6, struct kvm_msr_filter_compat)

static long kvm_vm_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = filp->private_data;

	if (cmd != KVM_X86_SET_MSR_FILTER_COMPAT)
		return kvm_vm_ioctl(filp, cmd, (unsigned long)compat_ptr(arg));
	if (kvm->mm != current->mm || READ_ONCE(kvm->vm_bugged))
		return -EIO;
	return kvm_vm_set_msr_filter_compat(kvm, compat_ptr(arg));
}
#else
#define kvm_vm_compat_ioctl NULL
#endif

static int kvm_vm_release(struct inode *inode, struct file *filp)
{
	/* An eventfd must not bring interrupts any more, though vcpus may live on. */
	kvm_irqfd_release_all(filp->private_data);
	kvm_put(filp->private_data);
	return 0;
}

static int kvm_vm_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kvm *kvm = file->private_data;

	if (kvm->mm != current->mm)
		return -EIO;
	return kvm_vm_mmap(kvm, vma);
}

static struct file_operations kvm_vm_fops = {
	.release = kvm_vm_release,
	.unlocked_ioctl = kvm_vm_ioctl,
	.compat_ioctl = kvm_vm_compat_ioctl,
	.mmap = kvm_vm_file_mmap,
	.llseek = noop_llseek,
};

/*
 * ---- /dev/kvm ----
 */

static long kvm_dev_create_vm(unsigned long type)
{
	struct kvm *kvm;
	struct file *file;
	int fd;

	if (type)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	kvm = kvm_create_vm();
	if (IS_ERR(kvm)) {
		put_unused_fd(fd);
		return PTR_ERR(kvm);
	}
	file = anon_inode_getfile("kvm-vm", &kvm_vm_fops, kvm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kvm_put(kvm);
		return PTR_ERR(file);
	}
	/* Its own: anonymous inodes share one, whose mappings are not all ours to unmap. */
	kvm->mapping.host = file_inode(file);
	kvm->mapping.a_ops = &empty_aops;
	file->f_mapping = &kvm->mapping;
	kvm_stats_publish(kvm, fd);
	fd_install(fd, file);
	return fd;
}

static long kvm_dev_mce_cap(void __user *arg)
{
	u64 cap = kvm_mce_cap_supported();

	return copy_to_user(arg, &cap, sizeof(cap)) ? -EFAULT : 0;
}

static long kvm_dev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	case KVM_GET_API_VERSION:
		return arg ? -EINVAL : KVM_API_VERSION;
	case KVM_CREATE_VM:
		return kvm_dev_create_vm(arg);
	case KVM_CHECK_EXTENSION:
		return kvm_check_extension(NULL, arg);
	case KVM_GET_VCPU_MMAP_SIZE:
		return arg ? -EINVAL : KVM_VCPU_MMAP_PAGES * PAGE_SIZE;
	case KVM_GET_MSR_INDEX_LIST:
		return kvm_get_msr_index_list(argp);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return kvm_get_msr_feature_index_list(argp);
	case KVM_GET_MSRS:
		return kvm_dev_get_msrs(argp);
	case KVM_GET_SUPPORTED_CPUID:
		return kvm_get_supported_cpuid(argp, false);
	case KVM_GET_EMULATED_CPUID:
		return kvm_get_supported_cpuid(argp, true);
	case KVM_X86_GET_MCE_CAP_SUPPORTED:
		return kvm_dev_mce_cap(argp);
	case KVM_HAS_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
		return kvm_dev_attr(argp, cmd == KVM_GET_DEVICE_ATTR);
	default:
		return -ENOTTY;
	}
}

static struct file_operations kvm_dev_fops = {
	.unlocked_ioctl = kvm_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice kvm_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &kvm_dev_fops,
};

/*
 * ---- vendor registration ----
 */

static void set_fops_owner(struct module *owner)
{
	kvm_dev_fops.owner = owner;
	kvm_vm_fops.owner = owner;
	kvm_vcpu_fops.owner = owner;
	kvm_stats_set_owner(owner);
}

static void update_calls(void)
{
#define UPDATE_CALL(op)	static_call_update(kvm_##op, kvm_ops.op);
	KVM_HOT_OPS(UPDATE_CALL)
}

/**
 * kvm_init_arch - a vendor module offers its operations; /dev/kvm appears
 * @ops: copied; what they point at stays until kvm_exit_arch()
 * @owner: the vendor's module, which open file descriptors hold
 *
 * Returns 0, -EEXIST if the other vendor's is loaded, or what hardware_setup()
 * says (-ENODEV, -EOPNOTSUPP, ...).
 */
int kvm_init_arch(const struct kvm_arch_ops *ops, struct module *owner)
{
	int r;

	if (kvm_ops.name) {
		pr_err("%s is loaded already\n", kvm_ops.name);
		return -EEXIST;
	}
	kvm_ops = *ops;
	r = kvm_ops.hardware_setup();
	if (r)
		goto out_ops;
	/* What setup found out about the processor is in the vendor's table. */
	kvm_ops = *ops;
	update_calls();
	r = -ENOMEM;
	kvm_vcpu_cache = kmem_cache_create("kvm_vcpu", kvm_ops.vcpu_size,
					   __alignof__(struct kvm_vcpu), SLAB_ACCOUNT, NULL);
	if (!kvm_vcpu_cache)
		goto out_hardware;
	kvm_cpuid_module_init();
	kvm_msr_module_init();

	r = cpuhp_setup_state_nocalls(KVM_CPUHP_STATE, "kvm:online", kvm_cpu_online,
				      kvm_cpu_offline);
	if (r < 0)
		goto out_cache;
	kvm_cpuhp_state = r > 0 ? r : KVM_CPUHP_STATE;
	register_reboot_notifier(&kvm_reboot_notifier);
	kvm_register_syscore(&kvm_syscore);
	set_fops_owner(owner);
	/* Patches the scheduler's code: with each first VM that would be costly. */
	preempt_notifier_inc();
	r = misc_register(&kvm_dev);
	if (r)
		goto out_notifiers;
	return 0;

out_notifiers:
	preempt_notifier_dec();
	kvm_unregister_syscore(&kvm_syscore);
	unregister_reboot_notifier(&kvm_reboot_notifier);
	cpuhp_remove_state_nocalls(kvm_cpuhp_state);
out_cache:
	kmem_cache_destroy(kvm_vcpu_cache);
out_hardware:
	kvm_ops.hardware_unsetup();
out_ops:
	memset(&kvm_ops, 0, sizeof(kvm_ops));
	return r;
}
EXPORT_SYMBOL_GPL(kvm_init_arch);

/** kvm_exit_arch - the vendor module goes; no VM is left, its fds held it */
void kvm_exit_arch(void)
{
	misc_deregister(&kvm_dev);
	preempt_notifier_dec();
	kvm_unregister_syscore(&kvm_syscore);
	unregister_reboot_notifier(&kvm_reboot_notifier);
	cpuhp_remove_state_nocalls(kvm_cpuhp_state);
	kmem_cache_destroy(kvm_vcpu_cache);
	kvm_ops.hardware_unsetup();
	memset(&kvm_ops, 0, sizeof(kvm_ops));
}
EXPORT_SYMBOL_GPL(kvm_exit_arch);

static int __init kvm_init(void)
{
	int r = kvm_mmu_module_init();

	if (r)
		return r;
	r = kvm_irqfd_module_init();
	if (r)
		goto out_mmu;
	r = kvm_async_pf_module_init();
	if (r)
		goto out_irq;
	kvm_clock_module_init();
	kvm_stats_init();
	return 0;

out_irq:
	kvm_irqfd_module_exit();
out_mmu:
	kvm_mmu_module_exit();
	return r;
}

static void __exit kvm_exit(void)
{
	kvm_stats_exit();
	kvm_clock_module_exit();
	kvm_async_pf_module_exit();
	kvm_irqfd_module_exit();
	kvm_mmu_module_exit();
}

module_init(kvm_init);
module_exit(kvm_exit);
