/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the kernels that this module builds for.  Force-included
 * before everything else; no LINUX_VERSION_CODE anywhere else.
 */
#ifndef KVM_COMPAT_H
#define KVM_COMPAT_H

#include <linux/version.h>

#endif
