// SPDX-License-Identifier: GPL-2.0-only
/*
 * Large pages that are not executable, against iTLB multihit: a processor with that
 * erratum may stop with a machine check if a guest fetches instructions by a page whose
 * size it changes.  An instruction fetch from a large page splits it: only 4k pages are
 * executable.  Documentation/mmu.rst tells how it works.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "mmu_internal.h"
#include "kvm_vm.h"

#include <linux/cpu.h>
#include <linux/moduleparam.h>
#include <linux/workqueue.h>

/* The kernel's, for sysfs; not every version has a header for it. */
extern bool itlb_multihit_kvm_mitigation;

DEFINE_STATIC_KEY_FALSE(mmu_nx_key);

/*
 * ---- splits ----
 */

/*
 * The level of the leaf for m below table, where to is possible: 4k for a fetch; and what was
 * split stays so, or accesses to its data and fetches would take it from each other for ever.
 */
static int nx_level(u64 *table, int level, int to, const struct mapping *m)
	__kvm_must_hold(mmu_lock)
{
	struct kvm_mmu_page *sp;

	if (m->exec || !spte_has_nx())
		return PG_LEVEL_4K;
	for (; level > PG_LEVEL_4K; level--, table = sp->spt) {
		sp = mmu_linked(&table[addr_index(m->addr, level)], level);
		if (!sp)
			break;
		if (sp->nx_split)
			to = min(to, level - 1);
	}
	return to;
}

static void note_split(struct kvm *kvm, struct kvm_mmu_page *sp)
	__kvm_must_hold(mmu_lock)
{
	if (sp->nx_split)
		return;
	sp->nx_split = true;
	list_add_tail(&sp->nx_link, &kvm->nx_splits);
	kvm->stat.nx_lpage_splits++;
}

/* A page is zapped that stood for a split. */
void nx_forget_split(struct kvm *kvm, struct kvm_mmu_page *sp)
{
	kvm_vm_bug_on(kvm, !kvm->stat.nx_lpage_splits);
	sp->nx_split = false;
	list_del(&sp->nx_link);
	kvm->stat.nx_lpage_splits--;
}

/*
 * As mmu_descend_direct() from table of level, for the fault of m, which
 * mmu_use_level() made a page of level to: it becomes smaller if it must not be
 * executable, and the tables that stand for larger pages from now on are noted.
 */
u64 *nx_descend(struct kvm_vcpu *vcpu, u64 *table, int level, int to, struct mapping *m,
		gfn_t gfn, unsigned int access)
{
	int leaf = nx_level(table, level, to, m);
	/* Within a page the address has the frame's bits. */
	gfn_t offset = (m->addr >> PAGE_SHIFT) & (KVM_PAGES_PER_LEVEL(to) - 1) &
		       ~(gfn_t)(KVM_PAGES_PER_LEVEL(leaf) - 1);
	u64 *sptep;

	m->gfn |= offset;
	m->host.pfn |= offset;
	sptep = mmu_descend_direct(vcpu, table, level, leaf, m->addr, gfn, access);
	/* New ones, too, in place of such with other rights.  Without NX nothing is to be recovered. */
	for (; level > leaf && spte_has_nx(); level--) {
		struct kvm_mmu_page *sp = mmu_linked(&table[addr_index(m->addr, level)], level);

		if (level <= to)
			note_split(vcpu->kvm, sp);
		table = sp->spt;
	}
	return sptep;
}

/*
 * ---- the parameter ----
 *
 * The kernel writes a module's parameters one at a time; kernel_param_lock().
 */

enum { NX_AUTO, NX_OFF, NX_FORCE, NX_NEVER };

static const struct {
	const char *name;
	int mode;
} modes[] = {
	{ "auto", NX_AUTO }, { "off", NX_OFF }, { "force", NX_FORCE }, { "never", NX_NEVER },
	/* What a read says can be written, too. */
	{ "N", NX_OFF }, { "Y", NX_FORCE }, { "0", NX_OFF }, { "1", NX_FORCE },
};

static int nx_mode;
static bool nx_on;			/* what new VMs get */
static bool nx_live;			/* the module is neither being loaded nor going */
static unsigned int recovery_ratio = 60;
static unsigned int recovery_period_ms;

static void recover_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(recovery, recover_fn);

/* 0: no recovery. */
static unsigned long recovery_period(void)
{
	unsigned int ratio = READ_ONCE(recovery_ratio), ms = READ_ONCE(recovery_period_ms);

	if (!READ_ONCE(nx_on) || !ratio)
		return 0;
	/* A split lives for an hour, more or less; but no more work than each second. */
	if (!ms)
		ms = max(3600 * MSEC_PER_SEC / ratio, MSEC_PER_SEC);
	return max(msecs_to_jiffies(ms), 1UL);
}

static void restart_recovery(void)
{
	unsigned long period = recovery_period();

	if (period)
		mod_delayed_work(system_dfl_wq, &recovery, period);
	else
		cancel_delayed_work_sync(&recovery);
}

static bool nx_wanted(void)
{
	if (nx_mode == NX_AUTO)
		return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
	return nx_mode == NX_FORCE;
}

/* All VMs go by the parameter.  What sysfs says is never better than what is. */
static void apply(void)
{
	bool on = nx_wanted();

	itlb_multihit_kvm_mitigation &= on;
	if (on)
		static_branch_enable(&mmu_nx_key);
	WRITE_ONCE(nx_on, on);
	kvm_for_each_vm(kvm_mmu_update_nx);
	if (!on)
		static_branch_disable(&mmu_nx_key);
	itlb_multihit_kvm_mitigation = on;
	restart_recovery();
}

/* The whole word: of one that is almost "force" the first letter must not count as "false". */
static int parse_mode(const char *val)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(modes); i++)
		if (sysfs_streq(val, modes[i].name))
			return modes[i].mode;
	return -EINVAL;
}

static int set_mode(const char *val, const struct kernel_param *kp)
{
	int mode = parse_mode(val);

	if (mode < 0)
		return mode;
	if (nx_mode == NX_NEVER && mode != NX_NEVER)
		return -EPERM;
	nx_mode = mode;
	if (nx_live)
		apply();
	return 0;
}

static int get_mode(char *buf, const struct kernel_param *kp)
{
	if (nx_mode == NX_NEVER)
		return sysfs_emit(buf, "never\n");
	return sysfs_emit(buf, "%c\n", nx_on ? 'Y' : 'N');
}

static const struct kernel_param_ops mode_ops = {
	.set = set_mode,
	.get = get_mode,
};

module_param_cb(nx_huge_pages, &mode_ops, NULL, 0644);
__MODULE_PARM_TYPE(nx_huge_pages, "charp");
MODULE_PARM_DESC(nx_huge_pages, "large pages are not executable (iTLB multihit): auto, force, off, never");

static int set_recovery(const char *val, const struct kernel_param *kp)
{
	int r = param_set_uint(val, kp);

	if (!r && nx_live)
		restart_recovery();
	return r;
}

static const struct kernel_param_ops recovery_ops = {
	.set = set_recovery,
	.get = param_get_uint,
};

module_param_cb(nx_huge_pages_recovery_ratio, &recovery_ops, &recovery_ratio, 0644);
__MODULE_PARM_TYPE(nx_huge_pages_recovery_ratio, "uint");
MODULE_PARM_DESC(nx_huge_pages_recovery_ratio, "which part of split large pages is joined in a period: 1/N; 0: none");
module_param_cb(nx_huge_pages_recovery_period_ms, &recovery_ops, &recovery_period_ms, 0644);
__MODULE_PARM_TYPE(nx_huge_pages_recovery_period_ms, "uint");
MODULE_PARM_DESC(nx_huge_pages_recovery_period_ms, "that period; 0: such that a split lives for an hour");

/*
 * ---- VMs ----
 */

/** kvm_mmu_update_nx - a VM goes by the parameter as it is now: if that makes a difference all
 * its tables are zapped. The VM is listed. Sleeps, takes mmu_lock.
 */
void kvm_mmu_update_nx(struct kvm *kvm)
{
	int idx = srcu_read_lock(&kvm->srcu);
	bool on, changed;

	write_lock(&kvm->mmu_lock);
	on = READ_ONCE(nx_on) && !kvm->nx_disabled;
	changed = kvm->nx_huge_pages != on;
	kvm->nx_huge_pages = on;
	/* No shadow page of now is of before. */
	if (changed && !kvm_ops.nested_paging)
		mmu_zap_all(kvm);
	kvm_mmu_unlock(kvm);
	if (changed && kvm_ops.nested_paging)
		nested_zap_all(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
}

/** kvm_mmu_disable_nx - a VM, without vcpus, gets executable large pages whatever the parameter
 * says. Sleeps, takes mmu_lock.
 */
void kvm_mmu_disable_nx(struct kvm *kvm)
{
	write_lock(&kvm->mmu_lock);
	kvm->nx_disabled = true;
	kvm_mmu_unlock(kvm);
	kvm_mmu_update_nx(kvm);
}

/** kvm_mmu_page_size_safe - no change of a page's size can cause a machine check: the processor
 * has no such erratum, or it is out of guests' reach.
 */
bool kvm_mmu_page_size_safe(void)
{
	return !boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) || READ_ONCE(nx_on);
}

/*
 * ---- recovery ----
 */

/* The oldest splits may become large pages again; where they are executed they are split anew. */
static void recover(struct kvm *kvm)
{
	unsigned int ratio = READ_ONCE(recovery_ratio);
	int idx = srcu_read_lock(&kvm->srcu);
	unsigned long n;

	n = ratio ? DIV_ROUND_UP(READ_ONCE(kvm->stat.nx_lpage_splits), ratio) : 0;
	if (kvm_ops.nested_paging) {
		nested_recover_nx(kvm, n);
		srcu_read_unlock(&kvm->srcu, idx);
		return;
	}
	write_lock(&kvm->mmu_lock);
	for (; n && !list_empty(&kvm->nx_splits); n--) {
		mmu_zap_page(kvm, list_first_entry(&kvm->nx_splits, struct kvm_mmu_page, nx_link));
		kvm_mmu_resched(kvm);
	}
	mmu_finish(kvm);
	kvm_mmu_unlock(kvm);
	srcu_read_unlock(&kvm->srcu, idx);
}

static void recover_fn(struct work_struct *work)
{
	unsigned long period;

	kvm_for_each_vm(recover);
	period = recovery_period();
	if (period)
		queue_delayed_work(system_dfl_wq, &recovery, period);
}

/*
 * ---- the module ----
 */

void nx_module_init(void)
{
	kernel_param_lock(THIS_MODULE);
	nx_live = true;
	apply();
	kernel_param_unlock(THIS_MODULE);
}

/* No VM is left; but whoever has a parameter open may still write it. */
void nx_module_exit(void)
{
	kernel_param_lock(THIS_MODULE);
	nx_live = false;
	cancel_delayed_work_sync(&recovery);
	itlb_multihit_kvm_mitigation = false;
	kernel_param_unlock(THIS_MODULE);
}
