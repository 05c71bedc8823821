/* SPDX-License-Identifier: GPL-2.0-only */
/* What guests are told of speculation, and may control of it (speculation.c). */
#ifndef KVM_SPECULATION_H
#define KVM_SPECULATION_H

#include <linux/types.h>

u64 kvm_spec_ctrl_bits(void);
u64 kvm_pred_cmd_bits(void);
u64 kvm_arch_capabilities(void);

#endif
