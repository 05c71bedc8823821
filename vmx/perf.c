// SPDX-License-Identifier: GPL-2.0-only
/*
 * The host's performance counters while a guest runs: they count what perf was asked to
 * count, and write no record (PEBS) to guest memory.
 */
#include "vmx.h"

#include <linux/jump_label.h>
#include <linux/perf_event.h>
#include <asm/cpufeature.h>
#include <asm/perf_event.h>

/* The host's perf has something to say before each entry. */
DEFINE_STATIC_KEY_FALSE(vmx_host_perf);

/*
 * Processors on which the VMCS's fields for IA32_PERF_GLOBAL_CTRL lose bits of it: errata
 * AAK155, AAP115, AAT100, BC86 (AAY89, BD102), BA97; models of family 6.
 */
static bool __init fields_broken(void)
{
	static const u8 models[] = { 26, 30, 37, 44, 46 };
	int i;

	for (i = 0; boot_cpu_data.x86 == 6 && i < ARRAY_SIZE(models); i++)
		if (boot_cpu_data.x86_model == models[i])
			return true;
	return false;
}

/** vmx_perf_init - find out what entries have to do; after vmx_find_features() */
void __init vmx_perf_init(void)
{
	int n;

	vmx_caps.perf_fields = (vmx_caps.entry_may & VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL) &&
			       (vmx_caps.exit_may & VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) &&
			       !fields_broken();
	preempt_disable();
	perf_guest_get_msrs(&n, NULL);
	preempt_enable();
	if (n)
		static_branch_enable(&vmx_host_perf);
}

/** vmx_perf_exit - undo vmx_perf_init() */
void vmx_perf_exit(void)
{
	static_branch_disable(&vmx_host_perf);
}

/* The fields have what they had at the last entry. */
static void write_ctrl(struct vcpu_vmx *vmx, const struct vmx_perf_plan *plan)
{
	vmx_set_ctl(&vmx->entry_ctl, VM_ENTRY_CONTROLS, VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL,
		    plan->ctrl_by_field);
	vmx_set_ctl(&vmx->exit_ctl, VM_EXIT_CONTROLS, VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL,
		    plan->ctrl_by_field);
	if (!plan->ctrl_by_field)
		return;
	if (vmx->perf_ctrl_guest != plan->ctrl_guest) {
		vmx->perf_ctrl_guest = plan->ctrl_guest;
		vmcs_write64(GUEST_IA32_PERF_GLOBAL_CTRL, plan->ctrl_guest);
	}
	if (vmx->perf_ctrl_host != plan->ctrl_host) {
		vmx->perf_ctrl_host = plan->ctrl_host;
		vmcs_write64(HOST_IA32_PERF_GLOBAL_CTRL, plan->ctrl_host);
	}
}

/** vmx_switch_perf - have this entry and its exit switch the host's counters; interrupts off */
void vmx_switch_perf(struct vcpu_vmx *vmx)
{
	struct vmx_perf_plan plan;
	const struct perf_guest_switch_msr *msrs;
	int n;

	msrs = perf_guest_get_msrs(&n, NULL);
	vmx_plan_perf(&plan, &vmx->area, msrs, msrs ? n : 0, vmx_caps.perf_fields);
	if (unlikely(plan.stop_pebs))
		wrmsrq(MSR_IA32_PEBS_ENABLE, 0);
	if (unlikely(plan.area_changed))
		vmx_write_area_counts(vmx);
	write_ctrl(vmx, &plan);
}
