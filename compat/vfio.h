/* SPDX-License-Identifier: GPL-2.0-only */
/* VFIO, whose functions are found by symbol_get(): the module need not be loaded. */
#ifndef KVM_COMPAT_VFIO_H
#define KVM_COMPAT_VFIO_H

#include <linux/vfio.h>

/* Before 6.6 only groups have files, and devices' own are none that VFIO tells of. */
#ifndef HAVE_VFIO_FILE_IS_VALID
#define vfio_file_is_valid vfio_file_is_group
#endif

#endif
