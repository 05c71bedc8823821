/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Interrupt controllers: what the local APIC, the I/O APIC, the PIC, the PIT and the
 * routing between them call of each other.
 *
 * The way of an interrupt: a source (KVM_IRQ_LINE, irqfd, the 8254) -> irq.c's
 * route for its GSI -> i8259.c, ioapic.c or an MSI -> lapic.c -> the vcpu.
 */
#ifndef KVM_IRQ_H
#define KVM_IRQ_H

#include "kvm_host.h"

#include <asm/apicdef.h>

#define KVM_IRQCHIP_NR_IOAPIC_PINS	24
#define KVM_MAX_GSI			4096

/* kvm->irqchip_mode */
enum kvm_irqchip_mode {
	KVM_IRQCHIP_USER,	/* all of it in userspace */
	KVM_IRQCHIP_SPLIT,	/* local APICs here, the rest in userspace */
	KVM_IRQCHIP_FULL,
};

/*
 * A pin is asserted while any source asserts it: bits of its state.  KVM_SET_IRQCHIP does
 * not say which source asserts a pin: it stays so until one speaks for itself.
 */
#define KVM_IRQ_SOURCE_USERSPACE	0
#define KVM_IRQ_SOURCE_PIT		1
#define KVM_IRQ_SOURCE_RESAMPLE		2
#define KVM_IRQ_SOURCE_RESTORED		3

static inline u8 kvm_irq_sources(u8 sources, int source, bool level)
{
	sources &= ~(BIT(KVM_IRQ_SOURCE_RESTORED) | BIT(source));
	return level ? sources | BIT(source) : sources;
}

/* An interrupt message to local APICs (SDM 3A "Interrupt Command Register (ICR)"). */
struct kvm_lapic_irq {
	u32 dest_id;		/* 32 bits as in x2APIC mode; in xAPIC mode 0xff is a broadcast */
	u32 delivery_mode;	/* APIC_DM_* */
	u32 shorthand;		/* 0, or APIC_DEST_SELF, APIC_DEST_ALLINC, APIC_DEST_ALLBUT */
	u8  vector;
	bool logical;
	bool level;		/* asserted (for INIT) */
	bool trigger_level;	/* level-triggered */
	bool msi_redir_hint;
};

/* What an ICR, a redirection entry and an MSI's data have in the same bits. */
static inline struct kvm_lapic_irq kvm_make_lapic_irq(u32 bits, u32 dest_id)
{
	return (struct kvm_lapic_irq){
		.dest_id = dest_id,
		.delivery_mode = bits & APIC_MODE_MASK,
		.vector = bits & APIC_VECTOR_MASK,
		.logical = bits & APIC_DEST_LOGICAL,
		.level = true,
		.trigger_level = bits & APIC_INT_LEVELTRIG,
	};
}

/* ---- lapic.c, lapic_map.c ---- */
int  kvm_lapic_create(struct kvm_vcpu *vcpu);
void kvm_lapic_destroy(struct kvm_vcpu *vcpu);
void kvm_lapic_reset(struct kvm_vcpu *vcpu, bool init_event);
int  kvm_irq_deliver(struct kvm *kvm, struct kvm_vcpu *source, const struct kvm_lapic_irq *irq);
void kvm_msi_to_irq(struct kvm *kvm, u64 address, u32 data, struct kvm_lapic_irq *irq);
bool kvm_lapic_matches(struct kvm_vcpu *vcpu, const struct kvm_lapic_irq *irq);
void kvm_pic_output_changed(struct kvm *kvm);
void kvm_lapic_pit_tick_nmi(struct kvm *kvm);

/* ---- i8259.c ---- */
int  kvm_pic_create(struct kvm *kvm)
	__kvm_must_hold(kvm_lock);
void kvm_pic_destroy(struct kvm *kvm)
	__kvm_unshared;
int  kvm_pic_set_irq(struct kvm *kvm, int pin, int source, bool level);
bool kvm_pic_output(struct kvm *kvm);
int  kvm_pic_read_irq(struct kvm *kvm);
int  kvm_pic_get_state(struct kvm *kvm, int chip, struct kvm_pic_state *state);
int  kvm_pic_set_state(struct kvm *kvm, int chip, const struct kvm_pic_state *state);

/* ---- ioapic.c ---- */
int  kvm_ioapic_create(struct kvm *kvm)
	__kvm_must_hold(kvm_lock);
void kvm_ioapic_destroy(struct kvm *kvm)
	__kvm_unshared;
int  kvm_ioapic_set_irq(struct kvm *kvm, int pin, int source, bool level);
void kvm_ioapic_eoi(struct kvm_vcpu *vcpu, u8 vector, bool trigger_level);
void kvm_ioapic_scan(struct kvm_vcpu *vcpu, unsigned long *eoi_exits);
int  kvm_ioapic_get_state(struct kvm *kvm, struct kvm_ioapic_state *state);
int  kvm_ioapic_set_state(struct kvm *kvm, const struct kvm_ioapic_state *state);

/* ---- i8254.c ---- */
long kvm_vm_create_pit(struct kvm *kvm, const struct kvm_pit_config *config);
long kvm_vm_create_pit2(struct kvm *kvm, const void __user *arg);
long kvm_vm_pit_state(struct kvm *kvm, void __user *arg, unsigned int size, bool set);
long kvm_vm_reinject_control(struct kvm *kvm, const void __user *arg);
void kvm_pit_destroy(struct kvm *kvm)
	__kvm_unshared;
void kvm_pit_acked(struct kvm_pit *pit);
void kvm_pit_unmasked(struct kvm_pit *pit);
bool kvm_pit_wants_acks(const struct kvm_pit *pit);

/* ---- irq.c: GSIs, routes, MSIs ---- */
int  kvm_irq_init_vm(struct kvm *kvm)
	__kvm_unshared;
void kvm_irq_stop_vm(struct kvm *kvm);
void kvm_irq_destroy_vm(struct kvm *kvm)
	__kvm_unshared;
int  kvm_create_irqchip(struct kvm *kvm);
int  kvm_enable_split_irqchip(struct kvm *kvm, u64 nr_pins)
	__kvm_must_hold(kvm_lock);
int  kvm_set_irq(struct kvm *kvm, int source, u32 gsi, bool level);
long kvm_set_gsi_routing(struct kvm *kvm, const struct kvm_irq_routing __user *routing);
long kvm_signal_msi(struct kvm *kvm, const struct kvm_msi *msi);
void kvm_notify_acked_irq(struct kvm *kvm, u32 irqchip, u32 pin);
void kvm_notify_unmasked_irq(struct kvm *kvm, u32 irqchip, u32 pin);
bool kvm_irq_has_ack_listener(struct kvm *kvm, u32 irqchip, u32 pin);
long kvm_vm_irq_line(struct kvm *kvm, struct kvm_irq_level *level);
long kvm_vm_irqchip_state(struct kvm *kvm, struct kvm_irqchip __user *arg, bool set);

/* ---- eventfd.c: irqfd, ioeventfd ---- */
long kvm_irqfd(struct kvm *kvm, const struct kvm_irqfd *args);
void kvm_irqfd_release_all(struct kvm *kvm);
void kvm_irqfd_resample(struct kvm *kvm, u32 gsi);
bool kvm_irqfd_has_resampler(struct kvm *kvm, u32 gsi);
int  kvm_irqfd_module_init(void);
void kvm_irqfd_module_exit(void);
long kvm_ioeventfd(struct kvm *kvm, const struct kvm_ioeventfd *args);
void kvm_ioeventfd_release_all(struct kvm *kvm);

#endif
