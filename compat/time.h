/* SPDX-License-Identifier: GPL-2.0-only */
/* Timers and clocks. */
#ifndef KVM_COMPAT_TIME_H
#define KVM_COMPAT_TIME_H

/* The function is an argument since 6.13. */
#ifndef HAVE_HRTIMER_SETUP
#define hrtimer_setup(timer, fn, clock, mode) do {	\
	hrtimer_init(timer, clock, mode);		\
	(timer)->function = (fn);			\
} while (0)
#endif

/* A snapshot of the real-time clock: of any, with other names, since 7.2. */
#ifndef HAVE_SNAPSHOT_ID
#define ktime_get_snapshot_id(id, snapshot)	ktime_get_snapshot(snapshot)
#define monoraw	raw
#define systime	real
#endif

#endif
