/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtualization on each CPU (hardware.c). */
#ifndef KVM_HARDWARE_H
#define KVM_HARDWARE_H

#include "kvm_host.h"

DECLARE_PER_CPU(bool, kvm_hw_enabled);	/* read with preemption off */
int  kvm_hardware_get(void);
void kvm_hardware_put(void);
int  kvm_hardware_init(void);
void kvm_hardware_exit(void);

#endif
