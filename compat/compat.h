/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that this module builds for.  The sources are
 * written for the newest; the files here, one a subsystem, make older ones look like
 * it, by what probe.mk found in the headers.  Included before everything else, so
 * they are macros only and include nothing.
 */
#ifndef KVM_COMPAT_H
#define KVM_COMPAT_H

#include <linux/version.h>

/*
 * The series that have been tested (Documentation/porting.rst).  Others may build and
 * still be wrong in silence, a mitigation lost for example.  dkms.conf has the same list.
 */
#define KVM_SERIES(major, minor)						\
	(LINUX_VERSION_CODE >= KERNEL_VERSION(major, minor, 0) &&		\
	 LINUX_VERSION_CODE < KERNEL_VERSION(major, minor + 1, 0))
#if !KVM_SERIES(6, 1) && !KVM_SERIES(6, 12) && !KVM_SERIES(7, 2) && !KVM_SERIES(7, 3) && \
	!defined(KVM_UNTESTED)
#error "kvm: tested with Linux 6.1, 6.12, 7.2 and 7.3 only; make UNTESTED=1 builds for others"
#endif
#undef KVM_SERIES

#include "cpu.h"
#include "entry.h"
#include "eventfd.h"
#include "mm.h"
#include "msr.h"
#include "time.h"
#include "workqueue.h"

#endif
