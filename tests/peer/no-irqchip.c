// SPDX-License-Identifier: GPL-2.0-only
/*
 * A preloaded ioctl(): the selftests' library makes the interrupt controllers
 * of the kernel for every VM, though few tests use them. Where the kernel has
 * none, let it believe that it has, and see how far the test comes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stddef.h>

int ioctl(int fd, unsigned long cmd, ...)
{
	static int (*real)(int fd, unsigned long cmd, ...);
	va_list args;
	void *arg;
	int r;

	va_start(args, cmd);
	arg = va_arg(args, void *);
	va_end(args);
	if (!real)
		real = dlsym(RTLD_NEXT, "ioctl");
	r = real(fd, cmd, arg);
	if (r < 0 && errno == ENOTTY && cmd == KVM_CREATE_IRQCHIP)
		return 0;
	return r;
}
