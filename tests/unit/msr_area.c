// SPDX-License-Identifier: GPL-2.0-only
/* vmx/msr_area.c: which MSRs an entry and an exit load, for what perf may say. */
#include "mock.h"
#include "../../vmx/msr_area.c"

static struct vmx_msr_entry guest[VMX_AREA_MSRS + 1], host[VMX_AREA_MSRS + 1];
static struct vmx_msr_area area = { guest, host };
static struct vmx_perf_plan plan;

static bool listed(u32 msr, u64 g, u64 h)
{
	for (unsigned int i = 0; i < area.nr; i++)
		if (guest[i].index == msr)
			return host[i].index == msr && guest[i].value == g && host[i].value == h;
	return false;
}

static void lists(void)
{
	ok(!vmx_area_switch(&area, 1, 5, 5) && !area.nr, "equal: nothing to switch");
	ok(vmx_area_switch(&area, 1, 5, 6) && listed(1, 5, 6), "different: in the lists");
	ok(!vmx_area_switch(&area, 1, 7, 6) && listed(1, 7, 6) && area.nr == 1, "another value: as long as before");
	vmx_area_switch(&area, 2, 1, 2);
	vmx_area_switch(&area, 3, 3, 4);
	ok(vmx_area_switch(&area, 1, 6, 6) && area.nr == 2 && listed(2, 1, 2) && listed(3, 3, 4),
	   "equal again: gone, and the others stay");
	ok(!vmx_area_switch(&area, 1, 6, 6) && area.nr == 2, "gone already");
	for (u32 i = 10; i < 10 + 2 * VMX_AREA_MSRS; i++)
		vmx_area_switch(&area, i, 0, 1);
	ok(area.nr == VMX_AREA_MSRS && !guest[VMX_AREA_MSRS].index, "no more than there is room for");
	memset(guest, 0, sizeof(guest));
	memset(host, 0, sizeof(host));
	area.nr = 0;
}

#define PLAN(fields, ...) do {						\
	const struct perf_guest_switch_msr msrs[] = { __VA_ARGS__ };	\
	vmx_plan_perf(&plan, &area, msrs, ARRAY_SIZE(msrs), fields);	\
} while (0)

#define CTRL(h, g) { MSR_CORE_PERF_GLOBAL_CTRL, h, g }
#define PEBS(h, g) { MSR_IA32_PEBS_ENABLE, h, g }

static void counters(void)
{
	vmx_plan_perf(&plan, &area, NULL, 0, true);
	ok(!plan.ctrl_by_field && !plan.stop_pebs && !plan.area_changed, "perf says nothing");
	PLAN(true, CTRL(0xf, 0xf));
	ok(!plan.ctrl_by_field && !area.nr, "no counter of one side only: nothing to switch");
	PLAN(true, CTRL(0x70000000f, 0x70000000e));
	ok(plan.ctrl_by_field && plan.ctrl_host == 0x70000000f && plan.ctrl_guest == 0x70000000e && !area.nr,
	   "a counter of the host's alone: by the VMCS's fields");
	PLAN(false, CTRL(0xf, 0xe));
	ok(!plan.ctrl_by_field && plan.area_changed && listed(MSR_CORE_PERF_GLOBAL_CTRL, 0xe, 0xf),
	   "or, without fields, by the lists");
	PLAN(false, CTRL(0xf, 0xf));
	ok(plan.area_changed && !area.nr, "until it is gone");
	/* without isolation: perf wants IA32_PEBS_ENABLE to be 0 in guests */
	PLAN(true, CTRL(0xf, 0xe), PEBS(1, 0));
	ok(plan.stop_pebs && listed(MSR_IA32_PEBS_ENABLE, 0, 1),
	   "PEBS is stopped before the entry, and goes on at the exit");
	PLAN(true, CTRL(0xf, 0xf), PEBS(0, 0));
	ok(!plan.stop_pebs && plan.area_changed && !area.nr, "no PEBS: not stopped, not listed");
}

int main(void)
{
	lists();
	counters();
	printf("1..%d\n", number);
	return failed;
}
