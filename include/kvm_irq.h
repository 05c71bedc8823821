/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupt controllers: what the local APIC, the I/O APIC, the 8259 pair, the
 * 8254 and the routing between them ask of each other.
 *
 * The way of an interrupt: a source (KVM_IRQ_LINE, irqfd, the 8254) -> irq.c's
 * route for its GSI -> i8259.c, ioapic.c or an MSI -> lapic.c -> the vcpu.
 */
#ifndef KVM_IRQ_H
#define KVM_IRQ_H

#include <linux/types.h>
#include <linux/kvm.h>

struct kvm;
struct kvm_vcpu;
struct kvm_lapic;
struct kvm_pic;
struct kvm_ioapic;
struct kvm_pit;

#define KVM_IRQCHIP_NR_IOAPIC_PINS	24
#define KVM_MAX_GSI			4096

/* kvm->irqchip_mode */
enum kvm_irqchip_mode {
	KVM_IRQCHIP_USER,	/* all of it in userspace */
	KVM_IRQCHIP_SPLIT,	/* local APICs here, the rest in userspace */
	KVM_IRQCHIP_FULL,
};

/* Who holds a line up, so that each may let go of it alone: bits of a pin's state. */
#define KVM_IRQ_SOURCE_USERSPACE	0
#define KVM_IRQ_SOURCE_PIT		1
#define KVM_IRQ_SOURCE_RESAMPLE		2

/* An interrupt message on its way to local APICs (SDM 3A "Interrupt Command Register", "Message Address Register Format"). */
struct kvm_lapic_irq {
	u32 dest_id;		/* x2APIC's width; in xAPIC format 0xff is everyone */
	u8  vector;
	u8  delivery_mode;	/* APIC_DM_* >> 8: 0 fixed, 1 lowest, 2 SMI, 4 NMI, 5 INIT, 6 start-up, 7 ExtINT */
	u8  shorthand;		/* 0 none, 1 self, 2 all, 3 others */
	bool logical;
	bool level;		/* asserted (for INIT) */
	bool trigger_level;	/* level-triggered */
	bool msi_redir_hint;
};

/*
 * ---- lapic.c ----
 */
int  kvm_lapic_create(struct kvm_vcpu *vcpu);
void kvm_lapic_destroy(struct kvm_vcpu *vcpu);
void kvm_lapic_reset(struct kvm_vcpu *vcpu, bool init_event);
/*
 * Deliver to all that the destination names; @source is the sending vcpu, or
 * NULL for devices.  Any context but NMI.  > 0: so many took it; 0: taken by
 * none since it was pending already; -1: no such destination, or masked there.
 */
int  kvm_irq_deliver(struct kvm *kvm, struct kvm_vcpu *source, const struct kvm_lapic_irq *irq);
/* An MSI's address and data as an interrupt message (x2APIC format with KVM_X2APIC_API_USE_32BIT_IDS). */
void kvm_msi_to_irq(struct kvm *kvm, u64 address, u32 data, struct kvm_lapic_irq *irq);
/* Would @irq reach @vcpu? For the I/O APIC's scan of who must tell it of an EOI. */
bool kvm_lapic_matches(struct kvm_vcpu *vcpu, const struct kvm_lapic_irq *irq);
/* The 8259's output rose: wake and kick whoever takes ExtINT by LINT0. */
void kvm_pic_output_changed(struct kvm *kvm);
/* LINT0's NMI watchdog use of the 8254 */
void kvm_lapic_pit_tick_nmi(struct kvm *kvm);

/*
 * ---- i8259.c ----
 */
int  kvm_pic_create(struct kvm *kvm);
void kvm_pic_destroy(struct kvm *kvm);
/* -1 masked, 0 coalesced, 1 delivered; @source: KVM_IRQ_SOURCE_*. */
int  kvm_pic_set_irq(struct kvm *kvm, int pin, int source, bool level);
bool kvm_pic_output(struct kvm *kvm);		/* INTR is up: one load, no lock */
int  kvm_pic_read_irq(struct kvm *kvm);		/* interrupt acknowledge cycle: the vector */
int  kvm_pic_get_state(struct kvm *kvm, int chip, struct kvm_pic_state *state);
int  kvm_pic_set_state(struct kvm *kvm, int chip, const struct kvm_pic_state *state);

/*
 * ---- ioapic.c ----
 */
int  kvm_ioapic_create(struct kvm *kvm);
void kvm_ioapic_destroy(struct kvm *kvm);
int  kvm_ioapic_set_irq(struct kvm *kvm, int pin, int source, bool level);
/* A local APIC ends @vector (and broadcasts it, or it is a directed EOI). */
void kvm_ioapic_eoi(struct kvm_vcpu *vcpu, u8 vector, bool trigger_level);
/*
 * Vectors (256 bits) whose EOI by @vcpu the I/O APIC, userspace's with split, or a
 * resampling irqfd must hear of; recomputed at KVM_REQ_SCAN_IOAPIC.
 */
void kvm_ioapic_scan(struct kvm_vcpu *vcpu, unsigned long *eoi_exits);	/* irq.c */
void kvm_ioapic_scan_pins(struct kvm_vcpu *vcpu, unsigned long *eoi_exits);
int  kvm_ioapic_get_state(struct kvm *kvm, struct kvm_ioapic_state *state);
int  kvm_ioapic_set_state(struct kvm *kvm, const struct kvm_ioapic_state *state);

/*
 * ---- i8254.c ----
 */
int  kvm_pit_create(struct kvm *kvm, const struct kvm_pit_config *config);
void kvm_pit_destroy(struct kvm *kvm);
int  kvm_pit_get_state(struct kvm *kvm, struct kvm_pit_state2 *state);
int  kvm_pit_set_state(struct kvm *kvm, const struct kvm_pit_state2 *state);
long kvm_vm_create_pit(struct kvm *kvm, const struct kvm_pit_config *config);
long kvm_vm_create_pit2(struct kvm *kvm, const void __user *arg);
long kvm_vm_pit_state(struct kvm *kvm, void __user *arg, unsigned int size, bool set);
long kvm_vm_reinject_control(struct kvm *kvm, const void __user *arg);
int  kvm_pit_reinject_control(struct kvm *kvm, const struct kvm_reinject_control *control);
void kvm_pit_acked(struct kvm_pit *pit);
void kvm_pit_unmasked(struct kvm_pit *pit);
bool kvm_pit_wants_acks(const struct kvm_pit *pit);

/*
 * ---- irq.c: GSIs, routes, MSIs, irqfd ----
 */
int  kvm_irq_init_vm(struct kvm *kvm);
void kvm_irq_stop_vm(struct kvm *kvm);
void kvm_irq_destroy_vm(struct kvm *kvm);
int  kvm_create_irqchip(struct kvm *kvm);
int  kvm_enable_split_irqchip(struct kvm *kvm, u64 nr_pins);
/* As KVM_IRQ_LINE_STATUS: < 0 masked or none, 0 coalesced, > 0 delivered. */
int  kvm_set_irq(struct kvm *kvm, int source, u32 gsi, bool level);
long kvm_set_gsi_routing(struct kvm *kvm, const struct kvm_irq_routing __user *routing);
long kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi);
long kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args);
long kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args);
void kvm_irqfd_release_all(struct kvm *kvm);
/* An acknowledge (EOI) came for a chip's pin: resampling irqfds hear of it. */
void kvm_notify_acked_irq(struct kvm *kvm, u32 irqchip, u32 pin);
/* ... a mask went: what the 8254 counted meanwhile is not made up for. */
void kvm_notify_unmasked_irq(struct kvm *kvm, u32 irqchip, u32 pin);
/* Does anyone want kvm_notify_acked_irq() for this pin? */
bool kvm_irq_has_ack_listener(struct kvm *kvm, u32 irqchip, u32 pin);
long kvm_vm_irq_line(struct kvm *kvm, struct kvm_irq_level *level);
long kvm_vm_irqchip_state(struct kvm *kvm, struct kvm_irqchip __user *arg, bool set);
int  kvm_irq_module_init(void);
void kvm_irq_module_exit(void);

#endif
