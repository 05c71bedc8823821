// SPDX-License-Identifier: GPL-2.0-only
/*
 * tsc FILE COMMAND...: run COMMAND, and leave in FILE by how much the time-stamp
 * counter moved. In a lab host under --icount that is a count of instructions.
 */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

int main(int argc, char **argv)
{
	unsigned long long start = __rdtsc();
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
		fprintf(out, "%llu\n", __rdtsc() - start);
		fclose(out);
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
