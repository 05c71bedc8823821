// SPDX-License-Identifier: GPL-2.0-only
/*
 * tsc FILE COMMAND...: run COMMAND, and leave in FILE by how much the time-stamp
 * counter moved, and how many nanoseconds of that the machine was idle. In a lab
 * host under --icount both are counts of instructions: the difference was spent
 * doing something.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

static unsigned long long idle(void)
{
	unsigned long long user, nice, system, idle, iowait, hz = sysconf(_SC_CLK_TCK);
	FILE *stat = fopen("/proc/stat", "r");
	int n = 0;

	if (stat) {
		n = fscanf(stat, "cpu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait);
		fclose(stat);
	}
	return n == 5 ? (idle + iowait) * (1000000000 / hz) : 0;
}

int main(int argc, char **argv)
{
	unsigned long long start = __rdtsc(), idled = idle();
	int status = 127 << 8;
	pid_t pid;
	FILE *out;

	if (argc < 3)
		return 2;

	pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, &status, 0);

	out = fopen(argv[1], "w");
	if (out) {
		fprintf(out, "%llu %llu\n", __rdtsc() - start, idle() - idled);
		fclose(out);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
