// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a Linux guest, and the last: forks and executes itself time and
 * again, says what one of these took by the time-stamp counter, and powers off.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>
#include <x86intrin.h>

#define FORKS	50
#define HEAP	(1 << 20)

static void one(void)
{
	pid_t pid = fork();

	if (!pid) {
		execl("/init", "child", NULL);
		_exit(1);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		puts("fork failed");
}

static unsigned long long forks(void)
{
	unsigned long long since = __rdtsc();

	for (int i = 0; i < FORKS; i++)
		one();
	return (__rdtsc() - since) / FORKS;
}

int main(int argc, char **argv)
{
	char *heap = malloc(HEAP);
	int fd;

	memset(heap, 1, HEAP);
	if (!strcmp(argv[0], "child"))
		return 0;
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	fd = open("/dev/ttyS0", O_RDWR);
	dup2(fd, STDOUT_FILENO);
	setvbuf(stdout, NULL, _IONBF, 0);
	forks();
	printf("\nforks/exec %llu\n", forks());
	reboot(RB_POWER_OFF);
	return 0;
}
