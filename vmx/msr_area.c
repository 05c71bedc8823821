// SPDX-License-Identifier: GPL-2.0-only
/*
 * MSRs that entries and exits load from lists in memory (SDM 3C "VM-Entry Controls for
 * MSRs"): those that the VMCS has no field for, as long as the guest's value is not the
 * host's; and what is to be done about the host's performance counters.
 *
 * Nothing here touches the processor: tests/unit/msr_area.c runs it.
 */
#include "msr_area.h"

#include <asm/msr-index.h>

static unsigned int find_msr(const struct vmx_msr_area *area, u32 msr)
{
	unsigned int i = 0;

	while (i < area->nr && area->guest[i].index != msr)
		i++;
	return i;
}

static void put_msr(struct vmx_msr_area *area, unsigned int i, u32 msr, u64 guest, u64 host)
{
	area->guest[i] = (struct vmx_msr_entry){ .index = msr, .value = guest };
	area->host[i] = (struct vmx_msr_entry){ .index = msr, .value = host };
}

/** vmx_area_switch - a guest's value of an MSR, and the host's: in the lists while they differ, and
 * not in them while they do not.  Returns whether the lists' length changed.
 */
bool vmx_area_switch(struct vmx_msr_area *area, u32 msr, u64 guest, u64 host)
{
	unsigned int i = find_msr(area, msr);

	if (guest == host) {
		if (i == area->nr)
			return false;
		area->nr--;
		area->guest[i] = area->guest[area->nr];
		area->host[i] = area->host[area->nr];
		return true;
	}
	if (i < area->nr) {
		put_msr(area, i, msr, guest, host);
		return false;
	}
	if (i == VMX_AREA_MSRS)
		return false;
	put_msr(area, i, msr, guest, host);
	area->nr++;
	return true;
}

/**
 * vmx_plan_perf - what the host's performance counters need at this entry
 * @plan: out
 * @area: brought up to date
 * @msrs: what perf says: IA32_PERF_GLOBAL_CTRL, of which guests must not have the
 *	counters that are for the host alone or write records (PEBS) to the host's addresses;
 *	IA32_PEBS_ENABLE on processors that write a record even after that
 * @n: how many of them
 * @has_fields: the VMCS has fields for IA32_PERF_GLOBAL_CTRL
 */
void vmx_plan_perf(struct vmx_perf_plan *plan, struct vmx_msr_area *area,
		   const struct perf_guest_switch_msr *msrs, int n, bool has_fields)
{
	int i;

	*plan = (struct vmx_perf_plan){};
	for (i = 0; i < n; i++) {
		bool differs = msrs[i].guest != msrs[i].host;

		if (msrs[i].msr == MSR_CORE_PERF_GLOBAL_CTRL && has_fields) {
			plan->ctrl_by_field = differs;
			plan->ctrl_guest = msrs[i].guest;
			plan->ctrl_host = msrs[i].host;
			continue;
		}
		/*
		 * A record on its way is written some time after PEBS goes off: a list of the
		 * entry's would be too late, and it would go to the guest's memory.
		 */
		if (msrs[i].msr == MSR_IA32_PEBS_ENABLE && differs)
			plan->stop_pebs = true;
		plan->area_changed |= vmx_area_switch(area, msrs[i].msr, msrs[i].guest, msrs[i].host);
	}
}
