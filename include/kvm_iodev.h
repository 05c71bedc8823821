/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices that are emulated in the kernel, on two buses: I/O ports and memory-mapped
 * registers.  io.c has the buses; the devices are the interrupt controllers, the PIT,
 * ioeventfds and coalesced zones.
 */
#ifndef KVM_IODEV_H
#define KVM_IODEV_H

#include <linux/types.h>

#include "kvm_lock.h"

struct kvm;
struct kvm_vcpu;
struct kvm_io_device;

enum kvm_bus {
	KVM_MMIO_BUS,
	KVM_PIO_BUS,
	KVM_FAST_MMIO_BUS,	/* what an access of any length signals, whatever its data */
	KVM_NR_BUSES,
};

#define KVM_MAX_IO_RANGES	1000

/*
 * Called under RCU, so they do not sleep; @len is 1 to 8.  False: the access is not
 * this device's, and the next one, finally userspace, is tried.
 */
struct kvm_io_ops {
	bool (*read)(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len, u8 *val);
	bool (*write)(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 addr, int len,
		      const u8 *val);
};

struct kvm_io_device {
	const struct kvm_io_ops *ops;
};

int  kvm_io_register(struct kvm *kvm, enum kvm_bus bus, u64 addr, u64 len,
		     struct kvm_io_device *dev)
	__kvm_must_hold(io_lock);
void kvm_io_unregister(struct kvm *kvm, enum kvm_bus bus, struct kvm_io_device *dev)
	__kvm_must_hold(io_lock);
bool kvm_io_read(struct kvm_vcpu *vcpu, enum kvm_bus bus, u64 addr, int len, void *val);
bool kvm_io_write(struct kvm_vcpu *vcpu, enum kvm_bus bus, u64 addr, int len, const void *val);
unsigned int kvm_pio_read_units(struct kvm_vcpu *vcpu, u16 port, int size, void *val,
				unsigned int count);
unsigned int kvm_pio_write_units(struct kvm_vcpu *vcpu, u16 port, int size, const void *val,
				 unsigned int count);

int  kvm_io_init_vm(struct kvm *kvm)
	__kvm_unshared;
void kvm_io_stop_vm(struct kvm *kvm);
void kvm_io_destroy_vm(struct kvm *kvm);
long kvm_vm_coalesced_mmio(struct kvm *kvm, const struct kvm_coalesced_mmio_zone *zone, bool add);

#endif
