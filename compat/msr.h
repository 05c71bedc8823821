/* SPDX-License-Identifier: GPL-2.0-only */
/* Model-specific registers, 64 bits at a time: renamed in 6.16. */
#ifndef KVM_COMPAT_MSR_H
#define KVM_COMPAT_MSR_H

#ifndef HAVE_RDMSRQ
#define rdmsrq(msr, val)	rdmsrl(msr, val)
#define rdmsrq_safe(msr, val)	rdmsrl_safe(msr, val)
#define wrmsrq(msr, val)	wrmsrl(msr, val)
#define native_wrmsrq(msr, val)	native_wrmsrl(msr, val)
#define wrmsrq_safe(msr, val)	wrmsrl_safe(msr, val)
#endif

#endif
