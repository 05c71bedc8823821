/* SPDX-License-Identifier: GPL-2.0-only */
/* MSRs that entries and exits load from lists in memory (msr_area.c). */
#ifndef KVM_VMX_MSR_AREA_H
#define KVM_VMX_MSR_AREA_H

#include <linux/types.h>
#include <asm/perf_event.h>
#include <asm/vmx.h>

#define VMX_AREA_MSRS	8	/* at most; the manual recommends no more than 512 */

/* The MSRs whose values differ now: what an entry loads, what an exit loads. */
struct vmx_msr_area {
	struct vmx_msr_entry *guest, *host;	/* halves of one page */
	unsigned int nr;
};

/* What is to be done about the performance counters at an entry. */
struct vmx_perf_plan {
	bool stop_pebs;			/* write 0 to IA32_PEBS_ENABLE before the entry */
	bool ctrl_by_field;		/* IA32_PERF_GLOBAL_CTRL by the VMCS's fields, to these */
	u64 ctrl_guest, ctrl_host;
	bool area_changed;		/* the lists have another length */
};

bool vmx_area_switch(struct vmx_msr_area *area, u32 msr, u64 guest, u64 host);
void vmx_plan_perf(struct vmx_perf_plan *plan, struct vmx_msr_area *area,
		   const struct perf_guest_switch_msr *msrs, int n, bool has_fields);

#endif
