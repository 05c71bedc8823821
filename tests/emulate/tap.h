/* SPDX-License-Identifier: GPL-2.0-only */
/* Test lines in TAP: ok, not ok, and the plan at the end. */
#ifndef TAP_H
#define TAP_H

/* One line, "not ok" unless good; returns good. */
__attribute__((format(printf, 2, 3)))
int tap_ok(int good, const char *fmt, ...);

__attribute__((format(printf, 2, 3)))
void tap_skip(const char *name, const char *fmt, ...);

/* The plan; returns the program's status. */
int tap_done(void);

#endif
