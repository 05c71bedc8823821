/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Measures how long mmu_lock is held by those who do not share it.  lab/bench-holds has it included before the
 * sources that take the lock: whoever takes the lock notes the TSC, whoever lets it go looks
 * how far that has come, and a hold that is longer than all before by who took it is
 * logged once the lock is free.
 */
#ifndef KVM_BENCH_HOLDS_H
#define KVM_BENCH_HOLDS_H

/* As the sources have it that come after. */
#define pr_fmt(fmt)	"kvm: " fmt

#include <linux/printk.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <asm/tsc.h>

#define HOLDERS	64

struct kvm_holder {
	const char *name;
	u64 longest;
};

/* Weak: one of each in a module, whichever source had it first. */
struct kvm_holder __weak kvm_holders[HOLDERS];
const char __weak *kvm_holder_now;
u64 __weak kvm_held_since;

static inline void kvm_hold_begins(const char *name)
{
	kvm_holder_now = name;
	kvm_held_since = rdtsc_ordered();
}

/* The holder's, if this was its longest hold; the lock is still held. */
static inline struct kvm_holder *kvm_hold_ends(void)
{
	u64 length = rdtsc_ordered() - kvm_held_since;
	struct kvm_holder *h;

	for (h = kvm_holders; h < kvm_holders + HOLDERS; h++) {
		if (h->name && strcmp(h->name, kvm_holder_now))
			continue;
		h->name = kvm_holder_now;
		if (length <= h->longest)
			return NULL;
		h->longest = length;
		return h;
	}
	return NULL;
}

static inline void kvm_hold_tell(const struct kvm_holder *h)
{
	if (h)
		pr_info("kvm-hold: %s %llu\n", h->name, h->longest);
}

#define KVM_IS_MMU_LOCK(text)	__builtin_strstr(text, "mmu_lock")

#undef write_lock
#undef write_unlock

#define write_lock(lock) do {						\
	_raw_write_lock(lock);						\
	if (KVM_IS_MMU_LOCK(#lock))					\
		kvm_hold_begins(__func__);				\
} while (0)

#define write_unlock(lock) do {						\
	struct kvm_holder *h_ = KVM_IS_MMU_LOCK(#lock) ? kvm_hold_ends() : NULL; \
									\
	_raw_write_unlock(lock);					\
	kvm_hold_tell(h_);						\
} while (0)

#endif
