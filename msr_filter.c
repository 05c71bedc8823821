// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSR accesses that userspace has a say in: the filter that denies a guest some
 * registers (KVM_X86_SET_MSR_FILTER), and the exits by which userspace answers
 * in the kernel's place (KVM_CAP_X86_USER_SPACE_MSR).
 */
#include "kvm_host.h"
#include "kvm_events.h"
#include "kvm_handlers.h"
#include "kvm_msr.h"
#include "kvm_request.h"
#include "trace.h"

#include <linux/compat.h>
#include <linux/export.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>

/* Published under kvm->srcu, replaced whole. */
struct kvm_msr_filter_set {
	struct rcu_head rcu;
	bool default_allow;
	int nr;
	struct {
		u32 flags, base, nmsrs;
		unsigned long *bitmap;
	} range[KVM_MSR_FILTER_MAX_RANGES];
};

#define FILTER_ACCESS	(KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE)

/*
 * ---- the filter ----
 */

static bool filter_allows(const struct kvm_msr_filter_set *set, u32 index, u32 access)
{
	int i;

	for (i = 0; i < set->nr; i++) {
		u32 n = index - set->range[i].base;

		if (n < set->range[i].nmsrs && (set->range[i].flags & access))
			return test_bit(n, set->range[i].bitmap);
	}
	return set->default_allow;
}

/* The registers of the x2APIC are never denied. */
static bool msr_allowed(struct kvm_vcpu *vcpu, u32 index, u32 access)
{
	struct kvm *kvm = vcpu->kvm;
	const struct kvm_msr_filter_set *set;

	/* Bare: only whether there is one. */
	if (likely(!rcu_access_pointer(kvm->msr_filter)))
		return true;
	set = srcu_dereference_check(kvm->msr_filter, &kvm->srcu, lockdep_is_held(&kvm->lock));
	if (!set || index - APIC_BASE_MSR <= 0xff)
		return true;
	return filter_allows(set, index, access);
}

/**
 * kvm_msr_passthrough - may a guest have registers without exits?
 * @vcpu: the vcpu, in an SRCU section
 * @indices: the registers
 * @n: how many
 *
 * After a change ops->update_intercepts is called.
 * Return: true if the VM's filter denies neither reads nor writes of any of them.
 */
bool kvm_msr_passthrough(struct kvm_vcpu *vcpu, const u32 *indices, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (!msr_allowed(vcpu, indices[i], KVM_MSR_FILTER_READ) ||
		    !msr_allowed(vcpu, indices[i], KVM_MSR_FILTER_WRITE))
			return false;
	return true;
}
EXPORT_SYMBOL_GPL(kvm_msr_passthrough);

static void free_set(struct kvm_msr_filter_set *set)
{
	int i;

	for (i = 0; set && i < set->nr; i++)
		kfree(set->range[i].bitmap);
	kfree(set);
}

static void free_set_rcu(struct rcu_head *rcu)
{
	free_set(container_of(rcu, struct kvm_msr_filter_set, rcu));
}

static int add_msr_range(struct kvm_msr_filter_set *set, const struct kvm_msr_filter_range *in)
{
	size_t bytes;
	void *bitmap;

	if (in->flags & ~FILTER_ACCESS)
		return -EINVAL;
	if (!in->nmsrs)
		return 0;
	bytes = BITS_TO_LONGS((size_t)in->nmsrs) * sizeof(long);
	if (!in->flags || bytes > KVM_MSR_FILTER_MAX_BITMAP_SIZE)
		return -EINVAL;
	bitmap = memdup_user((void __user *)in->bitmap, bytes);
	if (IS_ERR(bitmap))
		return PTR_ERR(bitmap);
	set->range[set->nr].flags = in->flags;
	set->range[set->nr].base = in->base;
	set->range[set->nr].nmsrs = in->nmsrs;
	set->range[set->nr++].bitmap = bitmap;
	return 0;
}

static struct kvm_msr_filter_set *make_set(const struct kvm_msr_filter *filter)
{
	struct kvm_msr_filter_set *set = kzalloc(sizeof(*set), GFP_KERNEL_ACCOUNT);
	int i, r = 0;

	if (!set)
		return ERR_PTR(-ENOMEM);
	set->default_allow = !(filter->flags & KVM_MSR_FILTER_DEFAULT_DENY);
	for (i = 0; i < ARRAY_SIZE(filter->ranges) && !r; i++)
		r = add_msr_range(set, &filter->ranges[i]);
	/* To deny all is to deny what a guest cannot do without. */
	if (!r && !set->nr && !set->default_allow)
		r = -EINVAL;
	if (r) {
		free_set(set);
		return ERR_PTR(r);
	}
	return set;
}

static long set_filter(struct kvm *kvm, const struct kvm_msr_filter *filter)
{
	struct kvm_msr_filter_set *set, *old;

	if (filter->flags & ~KVM_MSR_FILTER_DEFAULT_DENY)
		return -EINVAL;
	set = make_set(filter);
	if (IS_ERR(set))
		return PTR_ERR(set);
	mutex_lock(&kvm->lock);
	old = rcu_replace_pointer(kvm->msr_filter, set, lockdep_is_held(&kvm->lock));
	kvm_make_all_vcpus_request(kvm, KVM_REQ_INTERCEPTS);
	mutex_unlock(&kvm->lock);
	if (old)
		call_srcu(&kvm->srcu, &old->rcu, free_set_rcu);
	return 0;
}

/** kvm_vm_set_msr_filter - KVM_X86_SET_MSR_FILTER */
long kvm_vm_set_msr_filter(struct kvm *kvm, void __user *arg)
{
	struct kvm_msr_filter *filter = memdup_user(arg, sizeof(*filter));
	long r;

	if (IS_ERR(filter))
		return PTR_ERR(filter);
	r = set_filter(kvm, filter);
	kfree(filter);
	return r;
}

#ifdef CONFIG_COMPAT
/* The pointers in it make it another structure, and another number, in 32 bits. */
long kvm_vm_set_msr_filter_compat(struct kvm *kvm, void __user *arg)
{
	struct kvm_msr_filter_compat *in = memdup_user(arg, sizeof(*in));
	struct kvm_msr_filter *filter;
	long r = -ENOMEM;
	int i;

	if (IS_ERR(in))
		return PTR_ERR(in);
	filter = kzalloc(sizeof(*filter), GFP_KERNEL_ACCOUNT);
	if (!filter)
		goto out;
	filter->flags = in->flags;
	for (i = 0; i < ARRAY_SIZE(in->ranges); i++) {
		filter->ranges[i].flags = in->ranges[i].flags;
		filter->ranges[i].nmsrs = in->ranges[i].nmsrs;
		filter->ranges[i].base = in->ranges[i].base;
		filter->ranges[i].bitmap = (__force u8 *)compat_ptr(in->ranges[i].bitmap);
	}
	r = set_filter(kvm, filter);
out:
	kfree(filter);
	kfree(in);
	return r;
}
#endif

/* No reader is left, but for those of filters that were replaced. */
void kvm_msr_filter_destroy(struct kvm *kvm)
{
	srcu_barrier(&kvm->srcu);
	free_set(rcu_dereference_protected(kvm->msr_filter, true));
}

/*
 * ---- RDMSR and WRMSR ----
 */

static u32 exit_reason_of(int error)
{
	switch (error) {
	case -EACCES:
		return KVM_MSR_EXIT_REASON_FILTER;
	case -ENOENT:
		return KVM_MSR_EXIT_REASON_UNKNOWN;
	default:
		return KVM_MSR_EXIT_REASON_INVAL;
	}
}

/**
 * kvm_guest_get_msr - RDMSR: as kvm_get_msr(), or -EACCES for the filter
 * @vcpu: the vcpu, loaded
 * @msr: index in, data out
 */
int kvm_guest_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	return msr_allowed(vcpu, msr->index, KVM_MSR_FILTER_READ) ?
	       kvm_get_msr(vcpu, msr) : -EACCES;
}

int kvm_guest_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	return msr_allowed(vcpu, msr->index, KVM_MSR_FILTER_WRITE) ?
	       kvm_set_msr(vcpu, msr) : -EACCES;
}

/**
 * kvm_msr_to_userspace - let userspace answer for a register
 * @vcpu: the vcpu, loaded
 * @msr: the access that failed
 * @write: WRMSR
 * @error: what kvm_guest_get_msr() or kvm_guest_set_msr() said
 *
 * True: kvm_run is filled in.  False: userspace does not want it, so #GP.
 */
bool kvm_msr_to_userspace(struct kvm_vcpu *vcpu, const struct msr_data *msr, bool write, int error)
{
	u32 reason = exit_reason_of(error);
	struct kvm_run *run = vcpu->run;

	if (!(READ_ONCE(vcpu->kvm->user_msr_reasons) & reason))
		return false;
	run->exit_reason = write ? KVM_EXIT_X86_WRMSR : KVM_EXIT_X86_RDMSR;
	memset(&run->msr, 0, sizeof(run->msr));
	run->msr.reason = reason;
	run->msr.index = msr->index;
	run->msr.data = write ? msr->data : 0;
	return true;
}

/* Userspace has answered; unless it moved the vcpu elsewhere, the instruction ends. */
static int complete_msr(struct kvm_vcpu *vcpu, bool read)
{
	if (kvm_rip_read(vcpu) != vcpu->complete_rip)
		return 1;
	if (READ_ONCE(vcpu->run->msr.error)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
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
	if (!kvm_msr_to_userspace(vcpu, msr, write, error)) {
		kvm_inject_gp(vcpu, 0);
		return 1;
	}
	vcpu->complete_rip = kvm_rip_read(vcpu);
	vcpu->complete_userspace_io = write ? complete_wrmsr : complete_rdmsr;
	return 0;
}

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
