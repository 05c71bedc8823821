/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a lock protects, and which lock a function needs.  The build ignores these;
 * tests/locks lets clang check them.  A lock is named as in Documentation/locking.rst,
 * kvm->lock is kvm_lock.
 *
 * __kvm_guarded_by: a field, to read or write.  __kvm_written_under: only to write, readers
 * accept any value.  __kvm_must_hold: a function's caller holds it; for what a lock
 * does not tell, __kvm_unshared: nobody else has the object yet, or any more.
 */
#ifndef KVM_LOCK_H
#define KVM_LOCK_H

#ifndef __kvm_guarded_by
#define __kvm_guarded_by(lock)
#define __kvm_pt_guarded_by(lock)
#define __kvm_written_under(lock)
#define __kvm_must_hold(lock)
#define __kvm_must_hold_shared(lock)
#define __kvm_acquires(lock)
#define __kvm_releases(lock)
#define __kvm_unshared
#endif

#endif
