/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What emulators of SVM get wrong (svm/quirks.c).
 */
#ifndef KVM_SVM_QUIRKS_H
#define KVM_SVM_QUIRKS_H

#include "kvm_quirks.h"
#include "svm.h"

/* By the titles in Documentation/lab.rst: */
enum svm_quirk_nr {
	SVM_QUIRK_VIRQ_INJECTION,	/* "An interrupt delivered twice" */
	SVM_QUIRK_EXIT_AFTER_EVENTINJ,	/* "An interrupt delivered twice" */
	SVM_QUIRK_CR8_EXITS,		/* "A CR8 write that ends the emulator" */
	SVM_QUIRK_AVAILABLE_TSS,	/* "A busy TSS that ends the emulator" */
	SVM_NR_QUIRKS
};

extern struct static_key_false svm_quirk_keys[SVM_NR_QUIRKS];
extern u64 svm_quirk_counts[SVM_NR_QUIRKS];

static __always_inline bool svm_quirk_on(enum svm_quirk_nr nr)
{
	return static_branch_unlikely(&svm_quirk_keys[nr]);
}

/* Whoever asks goes on to take the path. */
static __always_inline bool svm_quirk(enum svm_quirk_nr nr)
{
	if (!svm_quirk_on(nr))
		return false;
	svm_quirk_counts[nr]++;
	return true;
}

/* The interrupt that is injected is V_IRQ, not EVENTINJ. */
static __always_inline bool svm_virq_injected(const struct vcpu_svm *svm)
{
	return static_branch_likely(&svm_quirk_keys[SVM_QUIRK_VIRQ_INJECTION]) && svm->virq;
}

static inline u16 svm_tr_attrib(u16 attrib)
{
	return svm_quirk(SVM_QUIRK_AVAILABLE_TSS) ? attrib & ~SEG_TSS_BUSY : attrib;
}

void svm_quirks_init(void);
void svm_inject_virq(struct vcpu_svm *svm, u8 vector);
void svm_withdraw_virq(struct vcpu_svm *svm);
bool svm_requeue_virq(struct vcpu_svm *svm);

#endif
