// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a guest that moves: keeps each of its processors busy with what a
 * move may break, and says on the console how far it has come.
 *
 * Each processor's process dirties memory and reads it back, makes and drops mappings and
 * children (page tables come and go), sleeps by timers, and looks at the clock, which must
 * never go back.  A line "load: cpu N round R ok at T ms" each round; "load: BAD …" ends it.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS		(4 << 20 >> 3)
#define NAPS		20

static int console, cpu;

static void say(const char *fmt, unsigned long a, unsigned long b)
{
	char line[120];
	int n = snprintf(line, sizeof(line), fmt, cpu, a, b);

	if (write(console, line, n) != n)
		_exit(1);
}

static void bad(const char *what, unsigned long a, unsigned long b)
{
	char line[120];

	snprintf(line, sizeof(line), "load: BAD cpu %%d: %s %%#lx %%#lx\n", what);
	for (;;) {
		say(line, a, b);
		sleep(1);
	}
}

static uint64_t now(void)
{
	static uint64_t last;
	struct timespec ts;
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ns = ts.tv_sec * 1000000000ULL + ts.tv_nsec;
	if (ns < last)
		bad("the clock went back", last, ns);
	return last = ns;
}

static uint64_t word(uint64_t round, uint64_t i)
{
	return (round << 32 | i) * 0x9e3779b97f4a7c15ULL + cpu;
}

/* A mapping of its own, written, read, and gone; in a child, too. */
static void churn(uint64_t round)
{
	size_t size = 512 << 10;
	uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t child;

	if (p == MAP_FAILED)
		bad("mmap", 0, 0);
	for (size_t i = 0; i < size / 8; i += 512)
		p[i] = word(round, i);
	child = fork();
	for (size_t i = 0; i < size / 8; i += 512) {
		if (p[i] != word(round, i))
			bad("a mapping", p[i], word(round, i));
		p[i]++;
	}
	if (!child)
		_exit(42);
	if (child < 0 || waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 42)
		bad("a child", child, status);
	munmap(p, size);
}

static void load(void)
{
	uint64_t *mem = malloc(WORDS * sizeof(*mem));
	const struct timespec nap = { .tv_nsec = 1000000 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	for (uint64_t round = 1; ; round++) {
		for (uint64_t i = 0; i < WORDS; i += 64)
			mem[i] = word(round, i);
		churn(round);
		for (int i = 0; i < NAPS; i++) {
			now();
			nanosleep(&nap, NULL);
		}
		for (uint64_t i = 0; i < WORDS; i += 64)
			if (mem[i] != word(round, i))
				bad("memory", mem[i], word(round, i));
		say("load: cpu %d round %lu ok at %lu ms\n", round, now() / 1000000);
	}
}

int main(void)
{
	int n;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	console = open("/dev/ttyS0", O_WRONLY);
	n = get_nprocs();
	for (cpu = 1; cpu < n; cpu++)
		if (!fork())
			load();
	cpu = 0;
	load();
}
