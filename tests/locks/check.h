/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's locks as capabilities of clang's -Wthread-safety.  Included before our
 * sources, of which `prepare` has made a copy: there a lock is named by its class, as
 * in the annotations, for example mmu_lock, or kvm_lock for &kvm->lock.  Only for the
 * check: nothing of this is ever executed.
 *
 * clang knows no lock of one object in C, so two VMs' mmu_locks are the same here.
 */
#include <linux/kvm.h>
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/entry-kvm.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/hash.h>
#include <linux/highmem.h>
#include <linux/hrtimer.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/mmu_notifier.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/perf_event.h>
#include <linux/poll.h>
#include <linux/preempt.h>
#include <linux/rculist.h>
#include <linux/rcupdate.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/srcu.h>
#include <linux/syscalls.h>
#include <linux/trace_events.h>
#include <linux/tracepoint.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#define CAP(...)	__attribute__((__VA_ARGS__))

/* ---- annotations: see include/kvm_lock.h ---- */
#define __kvm_guarded_by(lock)		CAP(guarded_by(class_##lock))
#define __kvm_pt_guarded_by(lock)	CAP(pt_guarded_by(class_##lock))
#define __kvm_written_under(lock)	CAP(guarded_by(class_##lock))
#define __kvm_must_hold(lock)		CAP(requires_capability(class_##lock))
#define __kvm_must_hold_shared(lock)	CAP(requires_shared_capability(class_##lock))
#define __kvm_acquires(lock)		CAP(acquire_capability(class_##lock))
#define __kvm_releases(lock)		CAP(release_capability(class_##lock))
#define __kvm_unshared			CAP(no_thread_safety_analysis)

struct CAP(capability("lock")) lock_class { int dummy; };

/* Outermost first: Documentation/locking.rst. */
#define AFTER(lock)	CAP(acquired_after(class_##lock))
#define CLASS(lock)	extern struct lock_class class_##lock
CLASS(cpus);
CLASS(usage_lock) AFTER(cpus);
CLASS(stats_lock);
CLASS(kvm_lock);
CLASS(vcpu_mutex);
CLASS(slots_lock);
CLASS(irq_lock) AFTER(kvm_lock);
CLASS(io_lock) AFTER(kvm_lock);
CLASS(lapic_map_lock) AFTER(kvm_lock) AFTER(vcpu_mutex);
CLASS(mmap_lock) AFTER(kvm_lock) AFTER(slots_lock) AFTER(vcpu_mutex);
CLASS(mmu_lock) AFTER(slots_lock) AFTER(lapic_map_lock) AFTER(mmap_lock) AFTER(kvm_lock)
	AFTER(vcpu_mutex);
CLASS(tsc_lock) AFTER(stats_lock) AFTER(kvm_lock);
CLASS(wqh_lock) AFTER(irq_lock);
CLASS(irqfd_lock) AFTER(irq_lock) AFTER(wqh_lock);
CLASS(ioapic_lock) AFTER(irqfd_lock) AFTER(wqh_lock) AFTER(kvm_lock);
CLASS(pic_lock) AFTER(irqfd_lock) AFTER(wqh_lock) AFTER(kvm_lock);
CLASS(pit_lock) AFTER(kvm_lock);
CLASS(ring_lock);
CLASS(apf_lock);
CLASS(rcu);

/* ---- what takes and releases them ---- */
#define LOCK_FN(name, attr)	void check_##name(struct lock_class *c) CAP(attr(*c))
LOCK_FN(lock, acquire_capability);
LOCK_FN(unlock, release_capability);
LOCK_FN(lock_shared, acquire_shared_capability);
LOCK_FN(unlock_shared, release_shared_capability);
LOCK_FN(held, requires_capability);
LOCK_FN(held_shared, requires_shared_capability);
/* Those that sleep, some only under PREEMPT_RT. */
LOCK_FN(sleeping_lock, acquire_capability);
LOCK_FN(sleeping_lock_shared, acquire_shared_capability);
int check_sleeping_trylock(struct lock_class *c) CAP(try_acquire_capability(0, *c));

#undef mutex_lock
#undef mutex_unlock
#undef mutex_lock_killable
#undef mutex_trylock
#undef spin_lock
#undef spin_lock_irq
#undef spin_lock_irqsave
#undef spin_unlock
#undef spin_unlock_irq
#undef spin_unlock_irqrestore
#undef raw_spin_lock_irqsave
#undef raw_spin_unlock_irqrestore
#undef read_lock
#undef read_unlock
#undef write_lock
#undef write_unlock
#undef rwlock_needbreak
#undef rwlock_init
#undef spin_needbreak
#undef mutex_init
#undef spin_lock_init
#undef raw_spin_lock_init
#undef DEFINE_MUTEX
#undef lockdep_assert_held
#undef lockdep_assert_held_write
#undef lockdep_is_held
#define mutex_lock(c)			check_sleeping_lock(&class_##c)
#define mutex_unlock(c)			check_unlock(&class_##c)
#define mutex_lock_killable(c)		check_sleeping_trylock(&class_##c)
#define mutex_trylock(c)		(!check_sleeping_trylock(&class_##c))
#define spin_lock(c)			check_sleeping_lock(&class_##c)
#define spin_lock_irq(c)		check_sleeping_lock(&class_##c)
#define spin_lock_irqsave(c, flags)	do { (flags) = 0; check_sleeping_lock(&class_##c); } while (0)
#define spin_unlock(c)			check_unlock(&class_##c)
#define spin_unlock_irq(c)		check_unlock(&class_##c)
#define spin_unlock_irqrestore(c, flags) do { (void)(flags); check_unlock(&class_##c); } while (0)
#define raw_spin_lock_irqsave(c, flags)	\
	do { (flags) = 0; check_preempt_off(); check_lock(&class_##c); } while (0)
#define raw_spin_unlock_irqrestore(c, flags) \
	do { (void)(flags); check_unlock(&class_##c); check_preempt_on(); } while (0)
#define spin_needbreak(c)		check_needbreak()
#define read_lock(c)			check_sleeping_lock_shared(&class_##c)
#define read_unlock(c)			check_unlock_shared(&class_##c)
#define write_lock(c)			check_sleeping_lock(&class_##c)
#define write_unlock(c)			check_unlock(&class_##c)
#define rwlock_needbreak(c)		check_needbreak()
#define rwlock_init(c)			((void)0)
#define mutex_init(c)			((void)0)
#define spin_lock_init(c)		((void)0)
#define raw_spin_lock_init(c)		((void)0)
#define DEFINE_MUTEX(name)		void check_no_mutex(void)
/* What is asserted at run time is annotated, too. */
#define lockdep_assert_held(c)		check_held(&class_##c)
#define lockdep_assert_held_write(c)	check_held(&class_##c)
#define lockdep_is_held(c)		1
int check_needbreak(void);

#define mmap_read_lock(mm)		((void)(mm), check_sleeping_lock_shared(&class_mmap_lock))
#define mmap_read_unlock(mm)		((void)(mm), check_unlock_shared(&class_mmap_lock))
#undef cpus_read_lock
#undef cpus_read_unlock
#define cpus_read_lock()		check_sleeping_lock_shared(&class_cpus)
#define cpus_read_unlock()		check_unlock_shared(&class_cpus)

/* These are accesses, too; READ_ONCE() is one that needs no lock. */
#undef WRITE_ONCE
#undef smp_store_release
#define WRITE_ONCE(x, v)		((x) = (v))
#define smp_store_release(x, v)		((x) = (v))

/* ---- RCU: pointers are read in a section, and replaced under the lock that guards them ---- */
#undef rcu_read_lock
#undef rcu_read_unlock
#undef rcu_dereference
#undef rcu_dereference_protected
#undef rcu_assign_pointer
#undef rcu_replace_pointer
#define rcu_read_lock()			check_lock_shared(&class_rcu)
#define rcu_read_unlock()		check_unlock_shared(&class_rcu)
#define rcu_dereference(p)		(check_held_shared(&class_rcu), READ_ONCE(p))
#define rcu_dereference_protected(p, c)	((void)(c), (p))
#define rcu_assign_pointer(p, v)	((p) = (v))
#define rcu_replace_pointer(p, v, c)	({ __typeof__(p) old_ = (p); (void)(c); (p) = (v); old_; })

/* ---- preemption: for the graph of calls ---- */
void check_preempt_off(void);
void check_preempt_on(void);
#undef preempt_disable
#undef preempt_enable
#undef get_cpu
#undef put_cpu
#undef local_irq_disable
#undef local_irq_enable
#undef local_irq_save
#undef local_irq_restore
#define preempt_disable()		check_preempt_off()
#define preempt_enable()		check_preempt_on()
#define get_cpu()			({ check_preempt_off(); raw_smp_processor_id(); })
#define put_cpu()			check_preempt_on()
#define local_irq_disable()		check_preempt_off()
#define local_irq_enable()		check_preempt_on()
#define local_irq_save(flags)		do { (flags) = 0; check_preempt_off(); } while (0)
#define local_irq_restore(flags)	do { (void)(flags); check_preempt_on(); } while (0)

/* &object->field of a guarded field: clang looks at what is read or written only. */
#define GUARDED(x)			(({ (void)(x); }), &(x))
#define TOUCHED(x)			(*({ (void)(x)[0]; &(x); }))
