/* SPDX-License-Identifier: GPL-2.0-only */
/* Faults of AMD's processors that a guest could use against its host (errata.c). */
#ifndef KVM_SVM_ERRATA_H
#define KVM_SVM_ERRATA_H

#include <linux/bits.h>
#include <linux/types.h>

void svm_errata_enable(unsigned int family);
bool svm_guest_machine_check(void);

#endif
