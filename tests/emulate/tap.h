/* SPDX-License-Identifier: GPL-2.0-only */
/* Test lines in TAP: ok, not ok, and the plan at the end. */
#ifndef TAP_H
#define TAP_H

#include <stdarg.h>
#include <stdio.h>

static unsigned int tap_count, tap_failed;

static inline __attribute__((format(printf, 2, 3)))
int tap_ok(int good, const char *fmt, ...)
{
	va_list ap;

	printf("%sok %u - ", good ? "" : "not ", ++tap_count);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!good)
		tap_failed++;
	return good;
}

static inline int tap_done(void)
{
	printf("1..%u\n", tap_count);
	return tap_failed != 0;
}

#endif
