/* SPDX-License-Identifier: GPL-2.0-only */
/* Nested entries for what is no memory (svm/mmio.c). */
#ifndef SVM_MMIO_H
#define SVM_MMIO_H

#include <linux/bits.h>
#include <linux/types.h>

#define MMIO_ENTRY_RIGHTS	7	/* P, R/W, U/S: only the reserved bit is in the way */

u64 svm_mmio_entry(int phys_bits, int c_bit);

#endif
