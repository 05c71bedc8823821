// SPDX-License-Identifier: GPL-2.0-only
/*
 * PAUSE-loop exiting (SDM 3C "PAUSE-Loop Exiting"): a guest that spins leaves, after a
 * window, in the TSC's ticks, that adapts.
 */
#include "kvm_handlers.h"
#include "vmx.h"

#include <linux/moduleparam.h>

static unsigned int ple_gap = 128;
module_param(ple_gap, uint, 0444);
MODULE_PARM_DESC(ple_gap, "the most between two PAUSEs of a loop; 0: no exits");

/** vmx_ple_gap - for the controls */
unsigned int vmx_ple_gap(void)
{
	return ple_gap;
}

static unsigned int ple_window = 4096;
module_param(ple_window, uint, 0444);
MODULE_PARM_DESC(ple_window, "how long a loop may last, at first");

static unsigned int ple_window_grow = 2;
module_param(ple_window_grow, uint, 0444);
MODULE_PARM_DESC(ple_window_grow, "each exit multiplies it by this, or adds it if above ple_window");

static unsigned int ple_window_shrink;
module_param(ple_window_shrink, uint, 0444);
MODULE_PARM_DESC(ple_window_shrink, "when a preempted vcpu goes on it is divided by this, or less so much; 0: as at first");

static unsigned int ple_window_max = UINT_MAX;
module_param(ple_window_max, uint, 0444);
MODULE_PARM_DESC(ple_window_max, "the most that it grows to");

static void set_window(struct vcpu_vmx *vmx, u32 window)
{
	if (vmx->ple_window == window)
		return;
	vmx->ple_window = window;
	vmcs_write32(PLE_WINDOW, window);
}

/** vmx_init_ple - the fields of a new VMCS, which is loaded */
void vmx_init_ple(struct vcpu_vmx *vmx)
{
	if (!(vmx->cpu2_ctl & SECONDARY_EXEC_PAUSE_LOOP_EXITING))
		return;
	vmcs_write32(PLE_GAP, ple_gap);
	vmcs_write32(PLE_WINDOW, ple_window);
	vmx->ple_window = ple_window;
}

/** vmx_shrink_ple_window - the vcpu was preempted, and may have spun because of who ran */
void vmx_shrink_ple_window(struct vcpu_vmx *vmx)
{
	if (vmx->cpu2_ctl & SECONDARY_EXEC_PAUSE_LOOP_EXITING)
		set_window(vmx, kvm_shrink_window(vmx->ple_window, ple_window, ple_window_shrink));
}

/** vmx_handle_pause - who goes on spinning gains nothing by more exits */
int vmx_handle_pause(struct kvm_vcpu *vcpu)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	set_window(vmx, kvm_grow_window(vmx->ple_window, ple_window, ple_window_grow, ple_window_max));
	return kvm_handle_pause(vcpu);
}
