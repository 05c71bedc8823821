/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counts how many instructions locks are held for exclusively.  lab/bench-mmu has it
 * included before the sources of the MMU: /sys/module/kvm/parameters/exclusive is the sum,
 * of spinlocks and of rwlocks that are held for writing, whatever their name.  A lock
 * that is taken under another one is not counted twice; a vcpu's own are not counted, as
 * nobody waits for these.
 */
#ifndef BENCH_MMU_EXCLUSIVE_H
#define BENCH_MMU_EXCLUSIVE_H

/* as the sources have it, which come after the first use here */
#define pr_fmt(fmt)	"kvm: " fmt

#include <linux/module.h>
#include <linux/spinlock.h>
#include <asm/tsc.h>

/* Weak: one of each in the module, whichever source had it first. */
unsigned long long __weak kvm_exclusive;
unsigned int __weak kvm_exclusive_depth;
u64 __weak kvm_exclusive_since;

#ifdef KVM_EXCLUSIVE_PARAMETER
module_param_named(exclusive, kvm_exclusive, ullong, 0444);
#endif

/* The lock is held: preemption is off, and there is one processor where this is counted. */
static inline void kvm_exclusive_begins(void)
{
	if (!kvm_exclusive_depth++)
		kvm_exclusive_since = rdtsc_ordered();
}

static inline void kvm_exclusive_ends(void)
{
	if (!--kvm_exclusive_depth)
		kvm_exclusive += rdtsc_ordered() - kvm_exclusive_since;
}

#define KVM_IS_SHARED(text)	(!__builtin_strstr(text, "vcpu->") || __builtin_strstr(text, "kvm->"))

#define KVM_LOCKED(text, lock) do {					\
	lock;								\
	if (KVM_IS_SHARED(text))					\
		kvm_exclusive_begins();					\
} while (0)

#define KVM_UNLOCKED(text, unlock) do {					\
	if (KVM_IS_SHARED(text))					\
		kvm_exclusive_ends();					\
	unlock;								\
} while (0)

#define KVM_TRIED(text, trylock) ({					\
	int locked_ = (trylock);					\
									\
	if (locked_ && KVM_IS_SHARED(text))				\
		kvm_exclusive_begins();					\
	locked_;							\
})

#define spin_lock(lock)		KVM_LOCKED(#lock, (spin_lock)(lock))
#define spin_unlock(lock)	KVM_UNLOCKED(#lock, (spin_unlock)(lock))
#define spin_trylock(lock)	KVM_TRIED(#lock, (spin_trylock)(lock))

#undef write_lock
#undef write_unlock
#undef write_trylock
#define write_lock(lock)	KVM_LOCKED(#lock, _raw_write_lock(lock))
#define write_unlock(lock)	KVM_UNLOCKED(#lock, _raw_write_unlock(lock))
#define write_trylock(lock)	KVM_TRIED(#lock, _raw_write_trylock(lock))

#endif
