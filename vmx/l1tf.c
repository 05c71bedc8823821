// SPDX-License-Identifier: GPL-2.0-only
/*
 * L1TF: a guest with EPT writes its page tables itself, and a processor with this fault
 * reads whatever frame an entry that is not present names, if that is in its L1 data
 * cache.  So this cache is emptied before an entry, always or if there may be something
 * in it that is not the guest's (the kernel's Documentation/admin-guide/hw-vuln/l1tf.rst).
 */
#define pr_fmt(fmt) "kvm_intel: " fmt

#include "vmx.h"

#include <linux/bits.h>
#include <linux/gfp.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/sched/smt.h>
#include <linux/string.h>
#include <asm/barrier.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/processor.h>

/* Twice the cache of the processors that have the fault, as they replace lines not quite in turn. */
#define FILL_ORDER	4
#define FILL_SIZE	(PAGE_SIZE << FILL_ORDER)
#define LINE_SIZE	64

DEFINE_STATIC_KEY_FALSE(vmx_flushes_l1d);

/* What the user wants; AUTO: as the kernel's l1tf= says. */
static enum vmx_l1d_flush_state wanted;
static bool initialised;

/* Memory without secrets that takes the place of all else, where no MSR does it. */
static u8 *fill;

/* The first four are the user's, too. */
static const char *const names[] = {
	[VMENTER_L1D_FLUSH_AUTO]		= "auto",
	[VMENTER_L1D_FLUSH_NEVER]		= "never",
	[VMENTER_L1D_FLUSH_COND]		= "cond",
	[VMENTER_L1D_FLUSH_ALWAYS]		= "always",
	[VMENTER_L1D_FLUSH_EPT_DISABLED]	= "EPT disabled",
	[VMENTER_L1D_FLUSH_NOT_REQUIRED]	= "not required",
};

/*
 * ---- which ----
 */

/* A hypervisor below us empties the cache whenever we enter a guest, and says so. */
static bool flushed_below(void)
{
	u64 cap;

	return boot_cpu_has(X86_FEATURE_ARCH_CAPABILITIES) &&
	       !rdmsrq_safe(MSR_IA32_ARCH_CAPABILITIES, &cap) &&
	       (cap & ARCH_CAP_SKIP_VMENTRY_L1DFLUSH);
}

static enum vmx_l1d_flush_state by_kernel(void)
{
	switch (l1tf_mitigation) {
	case L1TF_MITIGATION_OFF:
		return VMENTER_L1D_FLUSH_NEVER;
	case L1TF_MITIGATION_FULL:
	case L1TF_MITIGATION_FULL_FORCE:
		return VMENTER_L1D_FLUSH_ALWAYS;
	default:
		return VMENTER_L1D_FLUSH_COND;
	}
}

/* Shadow page tables are ours: no entry in them names a frame that is not the guest's. */
static enum vmx_l1d_flush_state choose(void)
{
	if (!boot_cpu_has_bug(X86_BUG_L1TF))
		return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	if (!vmx_ept)
		return VMENTER_L1D_FLUSH_EPT_DISABLED;
	if (flushed_below())
		return VMENTER_L1D_FLUSH_NOT_REQUIRED;
	if (wanted == VMENTER_L1D_FLUSH_AUTO || l1tf_mitigation == L1TF_MITIGATION_FULL_FORCE)
		return by_kernel();
	return wanted;
}

static bool flushes(enum vmx_l1d_flush_state state)
{
	return state == VMENTER_L1D_FLUSH_COND || state == VMENTER_L1D_FLUSH_ALWAYS;
}

/* The state is the kernel's variable, which sysfs shows in vulnerabilities/l1tf. */
static void set_state(enum vmx_l1d_flush_state state)
{
	WRITE_ONCE(l1tf_vmx_mitigation, state);
	if (flushes(state))
		static_branch_enable(&vmx_flushes_l1d);
	else
		static_branch_disable(&vmx_flushes_l1d);
}

/* Under kernel_param_lock(), as get_param() is. */
static int set_param(const char *val, const struct kernel_param *kp)
{
	int i = __sysfs_match_string(names, VMENTER_L1D_FLUSH_ALWAYS + 1, val);

	if (i < 0)
		return i;
	if (initialised && l1tf_mitigation == L1TF_MITIGATION_FULL_FORCE)
		return -EPERM;
	wanted = i;
	if (initialised)
		set_state(choose());
	return 0;
}

static int get_param(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%s\n", names[initialised ? l1tf_vmx_mitigation : wanted]);
}

static const struct kernel_param_ops param_ops = {
	.set = set_param,
	.get = get_param,
};

module_param_cb(vmentry_l1d_flush, &param_ops, NULL, 0644);
__MODULE_PARM_TYPE(vmentry_l1d_flush, "charp");
MODULE_PARM_DESC(vmentry_l1d_flush,
		 "empty the L1 data cache before an entry, against L1TF: never, cond, always, or auto");

/** vmx_l1tf_init - choose, once it is known whether EPT is used: 0 or -ENOMEM */
int __init vmx_l1tf_init(void)
{
	enum vmx_l1d_flush_state state = choose();
	int i;

	if (state < VMENTER_L1D_FLUSH_EPT_DISABLED && !boot_cpu_has(X86_FEATURE_FLUSH_L1D)) {
		fill = (u8 *)__get_free_pages(GFP_KERNEL, FILL_ORDER);
		if (!fill)
			return -ENOMEM;
		/* All different, so that no hypervisor below us makes one page of them. */
		for (i = 0; i < BIT(FILL_ORDER); i++)
			memset(fill + i * PAGE_SIZE, i + 1, PAGE_SIZE);
	}
	kernel_param_lock(THIS_MODULE);
	set_state(choose());
	initialised = true;
	kernel_param_unlock(THIS_MODULE);
	return 0;
}

/** vmx_l1tf_exit - undo vmx_l1tf_init(); no VM is left */
void vmx_l1tf_exit(void)
{
	kernel_param_lock(THIS_MODULE);
	initialised = false;
	set_state(VMENTER_L1D_FLUSH_AUTO);
	kernel_param_unlock(THIS_MODULE);
	free_pages((unsigned long)fill, FILL_ORDER);
	fill = NULL;
}

/** vmx_l1tf_init_vm - a VM is made: say once what is left open, if l1tf= does not forbid it */
void vmx_l1tf_init_vm(void)
{
	enum vmx_l1d_flush_state state = READ_ONCE(l1tf_vmx_mitigation);

	if (state >= VMENTER_L1D_FLUSH_EPT_DISABLED || l1tf_mitigation == L1TF_MITIGATION_OFF ||
	    l1tf_mitigation == L1TF_MITIGATION_FLUSH_NOWARN)
		return;
	if (!flushes(state))
		pr_warn_once("L1TF: the L1 data cache is not flushed (vmentry_l1d_flush): guests can read the host's memory from it\n");
	if (sched_smt_active())
		pr_warn_once("L1TF: SMT is on: a guest can read what the other thread of its core uses; nosmt, or the kernel's hw-vuln/l1tf.rst\n");
}

/*
 * ---- emptying it ----
 */

/*
 * Exits that are dealt with by what the vcpu itself and its VM's APICs have.  What goes
 * further on their behalf sets vcpu->l1d_flush: all of the kernel's accesses to guest
 * memory, so the emulator, too, and whoever is loaded on this CPU again.  Interrupts have
 * a flag of their CPU's.
 */
#define QUIET_REASONS								\
	(BIT_ULL(EXIT_REASON_INTERRUPT_WINDOW) | BIT_ULL(EXIT_REASON_NMI_WINDOW) | \
	 BIT_ULL(EXIT_REASON_CPUID) | BIT_ULL(EXIT_REASON_HLT) |		\
	 BIT_ULL(EXIT_REASON_INVD) | BIT_ULL(EXIT_REASON_WBINVD) |		\
	 BIT_ULL(EXIT_REASON_RDPMC) | BIT_ULL(EXIT_REASON_CR_ACCESS) |		\
	 BIT_ULL(EXIT_REASON_DR_ACCESS) | BIT_ULL(EXIT_REASON_MSR_READ) |	\
	 BIT_ULL(EXIT_REASON_MSR_WRITE) | BIT_ULL(EXIT_REASON_PAUSE_INSTRUCTION) | \
	 BIT_ULL(EXIT_REASON_MWAIT_INSTRUCTION) | BIT_ULL(EXIT_REASON_MONITOR_INSTRUCTION) | \
	 BIT_ULL(EXIT_REASON_TPR_BELOW_THRESHOLD) | BIT_ULL(EXIT_REASON_APIC_ACCESS) | \
	 BIT_ULL(EXIT_REASON_APIC_WRITE) | BIT_ULL(EXIT_REASON_EOI_INDUCED) |	\
	 BIT_ULL(EXIT_REASON_EXTERNAL_INTERRUPT) | BIT_ULL(EXIT_REASON_PREEMPTION_TIMER) | \
	 BIT_ULL(EXIT_REASON_XSETBV))

/* May there be something in the cache that is not the guest's?  The answer is given once. */
static bool others_data(struct vcpu_vmx *vmx)
{
	bool loud = vmx->exit_reason > 63 || !(BIT_ULL(vmx->exit_reason) & QUIET_REASONS);
	bool interrupted = vmx_compat_l1d_interrupted();
	bool noted = vmx->vcpu.l1d_flush;

	vmx->vcpu.l1d_flush = false;
	return loud || interrupted || noted;
}

/*
 * Each line once, after each page once: a miss of the TLB in between would bring in
 * lines of page tables.  LFENCE waits for all reads before it.
 */
static void fill_l1d(void)
{
	unsigned int i;

	for (i = 0; i < FILL_SIZE; i += PAGE_SIZE)
		READ_ONCE(fill[i]);
	rmb();
	for (i = 0; i < FILL_SIZE; i += LINE_SIZE)
		READ_ONCE(fill[i]);
	rmb();
}

/**
 * vmx_flush_l1d - empty the L1 data cache, if that is to be done before this entry
 * @vmx: the vcpu
 *
 * Interrupts off, an entry follows.  On a processor with this fault only.
 */
void vmx_flush_l1d(struct vcpu_vmx *vmx)
{
	if (!others_data(vmx) && READ_ONCE(l1tf_vmx_mitigation) == VMENTER_L1D_FLUSH_COND)
		return;
	vmx->vcpu.stat.l1d_flush++;
	if (cpu_feature_enabled(X86_FEATURE_FLUSH_L1D))
		native_wrmsrq(MSR_IA32_FLUSH_CMD, L1D_FLUSH);
	else
		fill_l1d();
}
