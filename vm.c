// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's life: what each part sets up for it, and takes down in the reverse order.
 */
#include "kvm_host.h"
#include "kvm_clock.h"
#include "kvm_hardware.h"
#include "kvm_irq.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_stats.h"
#include "kvm_vcpu.h"
#include "kvm_vm.h"

#include <linux/sched/mm.h>

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
		kvm_vcpu_destroy(vcpu);
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
	kvm_hardware_put();
	mmdrop(mm);
}

/** kvm_put - one file less: the last takes the VM with it.  Each descriptor of it, its vcpus and
 * their statistics holds it.
 */
void kvm_put(struct kvm *kvm)
{
	if (refcount_dec_and_test(&kvm->users))
		kvm_destroy_vm(kvm);
}

/** kvm_create_vm - a VM of the calling process, without memory or vcpus, held once, or an error
 * pointer: -ENOMEM, -EBUSY, -EIO
 */
struct kvm *kvm_create_vm(void)
{
	struct kvm *kvm = kvzalloc(kvm_ops.vm_size, GFP_KERNEL_ACCOUNT);
	int r;

	if (!kvm)
		return ERR_PTR(-ENOMEM);
	rwlock_init(&kvm->mmu_lock);
	mutex_init(&kvm->slots_lock);
	mutex_init(&kvm->lock);
	mutex_init(&kvm->lapic_map_lock);
	raw_spin_lock_init(&kvm->tsc_lock);
	address_space_init_once(&kvm->mapping);
	refcount_set(&kvm->users, 1);
	atomic64_set(&kvm->read_epoch, 1);
	init_waitqueue_head(&kvm->readers_wait);
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
	r = kvm_hardware_get();
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
	/* Then: a change of the parameter from here on finds the VM. */
	kvm_mmu_update_nx(kvm);
	return kvm;

out_vendor:
	if (kvm_ops.vm_destroy)
		kvm_ops.vm_destroy(kvm);
out_mmu:
	kvm_mmu_destroy_vm(kvm);
out_hardware:
	kvm_hardware_put();
out_srcu:
	cleanup_srcu_struct(&kvm->srcu);
out_io:
	kvm_io_destroy_vm(kvm);
out_kvm:
	mmdrop(kvm->mm);
	kvfree(kvm);
	return ERR_PTR(r);
}
