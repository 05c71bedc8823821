/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What emulators get wrong (quirks.c): each fault that a vendor's module works
 * around has a flag with a name, which is on only where that emulator is
 * recognised, or where the module's parameter emulator_quirks says so.
 * Documentation/quirks.rst lists them.
 *
 * A flag is a static key: while it is off, its path is not executed and costs no
 * more than a no-op.  Each time that the path is taken is counted, in debugfs.
 */
#ifndef KVM_QUIRKS_H
#define KVM_QUIRKS_H

#include <linux/jump_label.h>
#include <linux/moduleparam.h>
#include <linux/types.h>

/* The quirks of a vendor, all arrays in the same order. */
struct kvm_quirks {
	const char *module;		/* its name, for the log */
	const char *const *names;
	unsigned int nr;
	struct static_key_false *keys;
	u64 *counts;			/* not atomic: a debugging aid */
	bool listed;			/* by the parameter, not recognised */
	unsigned long list;		/* then: bit i for names[i] */
};

extern const struct kernel_param_ops kvm_quirks_param_ops;

void kvm_quirks_init(struct kvm_quirks *quirks, unsigned long recognised);
void kvm_quirks_exit(void);

#endif
