// SPDX-License-Identifier: GPL-2.0-only
/*
 * Alarms, the limit of kselftest's harness for each test among them, are for hangs:
 * they come later where LAB_FACTOR, in percent, says that all takes longer.
 */
#include <stdlib.h>
#include <unistd.h>

unsigned int __real_alarm(unsigned int seconds);
unsigned int __wrap_alarm(unsigned int seconds);

unsigned int __wrap_alarm(unsigned int seconds)
{
	const char *factor = getenv("LAB_FACTOR");
	unsigned int percent = factor ? atoi(factor) : 100;

	return __real_alarm(seconds * percent / 100);
}
