// SPDX-License-Identifier: GPL-2.0-only
/*
 * rcu_wait ROUNDS: how many microseconds synchronize_rcu() takes, for which
 * membarrier() stands in, while a vcpu on another processor executes a loop
 * without an exit of its own: the median of so many.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/membarrier.h>

#include "vm.h"

GUEST(spin, 64,
	"sti\n\t"
	"out %al, $0x10\n"
	"1: jmp 1b\n");

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("no processor %d: %m", cpu);
}

static void *run_vcpu(void *vm)
{
	on_cpu(1);
	vm_run(vm);
	return NULL;
}

static long once(void)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		die("membarrier: %m");
	clock_gettime(CLOCK_MONOTONIC, &b);
	return (b.tv_sec - a.tv_sec) * 1000000 + (b.tv_nsec - a.tv_nsec) / 1000;
}

static int compare(const void *a, const void *b)
{
	return *(const long *)a < *(const long *)b ? -1 : 1;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 1;
	long *us = calloc(rounds, sizeof(*us));
	static struct vm vm;
	pthread_t thread;

	on_cpu(0);
	vm_start(&vm, LONG, spin);
	if (vm_run(&vm) != KVM_EXIT_IO)
		die("the guest did not begin");
	if (pthread_create(&thread, NULL, run_vcpu, &vm))
		die("pthread_create");
	usleep(100000);
	for (int i = 0; i < rounds; i++)
		us[i] = once();
	qsort(us, rounds, sizeof(*us), compare);
	printf("%ld\n", us[rounds / 2]);
	return 0;
}
