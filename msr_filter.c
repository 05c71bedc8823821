// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSR accesses that userspace has a say in: the filter that denies a guest some
 * registers (KVM_X86_SET_MSR_FILTER), and whether userspace answers in the
 * kernel's place (KVM_CAP_X86_USER_SPACE_MSR).
 */
#include "kvm_host.h"
#include "kvm_msr.h"
#include "kvm_request.h"

#include <linux/compat.h>
#include <linux/export.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>
#include <asm/apicdef.h>

/* Published to read sections (request.c), replaced whole. */
struct kvm_msr_filter_set {
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
			return test_bit(array_index_nospec(n, set->range[i].nmsrs),
					set->range[i].bitmap);
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
	set = srcu_dereference_check(kvm->msr_filter, &kvm->srcu,
				     kvm_vcpu_read_lock_held() || lockdep_is_held(&kvm->lock));
	if (!set || index - APIC_BASE_MSR <= 0xff)
		return true;
	return filter_allows(set, index, access);
}

/** kvm_msr_passthrough - may a guest have registers without exits?  True if the VM's filter denies
 * neither reads nor writes of any of them.  In a read section; after a change
 * ops->update_intercepts is called.
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
	/* A guest cannot do without any. */
	if (!r && !set->nr && !set->default_allow)
		r = -EINVAL;
	if (r) {
		free_set(set);
		return ERR_PTR(r);
	}
	return set;
}

/** kvm_vm_set_msr_filter - KVM_X86_SET_MSR_FILTER: 0, -EINVAL, -EFAULT, -ENOMEM
 * @filter: its bitmaps are still in userspace
 */
long kvm_vm_set_msr_filter(struct kvm *kvm, const struct kvm_msr_filter *filter)
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
		kvm_wait_for_readers(kvm);
	free_set(old);
	return 0;
}

#ifdef CONFIG_COMPAT
/** kvm_vm_set_msr_filter_compat - KVM_X86_SET_MSR_FILTER of a 32-bit process: the structure with
 * pointers of 32 bits, and so with a number of its own
 */
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
	r = kvm_vm_set_msr_filter(kvm, filter);
out:
	kfree(filter);
	kfree(in);
	return r;
}
#endif

/** kvm_msr_filter_destroy - free a VM's filter, without readers */
void kvm_msr_filter_destroy(struct kvm *kvm)
{
	free_set(rcu_dereference_protected(kvm->msr_filter, true));
}

/*
 * ---- the guest's accesses ----
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

/** kvm_guest_get_msr - a guest's RDMSR: as kvm_get_msr(), or -EACCES: the filter denies it */
int kvm_guest_get_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	return msr_allowed(vcpu, msr->index, KVM_MSR_FILTER_READ) ?
	       kvm_get_msr(vcpu, msr) : -EACCES;
}

/** kvm_guest_set_msr - a guest's WRMSR: as kvm_set_msr(), or -EACCES: the filter denies it */
int kvm_guest_set_msr(struct kvm_vcpu *vcpu, struct msr_data *msr)
{
	return msr_allowed(vcpu, msr->index, KVM_MSR_FILTER_WRITE) ?
	       kvm_set_msr(vcpu, msr) : -EACCES;
}

/** kvm_msr_to_userspace - let userspace answer for a register
 * @error: what kvm_guest_get_msr() or kvm_guest_set_msr() said
 * Returns true with kvm_run filled in, false if userspace does not want it: #GP.
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
