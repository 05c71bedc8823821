// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmm: run a guest that never ends, saying "running" once it does.
 * vmm N: N times over, start such a VMM and kill it with SIGKILL in mid-run.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm.h"

/* Says hello by a port, then goes on writing to a megabyte of memory. */
GUEST(busy, 64,
	"mov $0x80, %dx\n\t"
	"out %al, %dx\n\t"
	"sti\n"
	"1:\n\t"
	"mov $0x100000, %edi\n\t"
	"mov $0x20000, %ecx\n\t"
	"rep stosq\n\t"
	"jmp 1b\n");

static void run_forever(int out)
{
	static struct vm vm;
	int reason;

	vm_start(&vm, LONG, busy);
	reason = vm_run(&vm);
	if (reason != KVM_EXIT_IO)
		die("the guest's first exit is %s", exit_name(reason));
	if (write(out, "running\n", 8) != 8)
		die("write: %m");
	for (;;)
		vm_run(&vm);
}

/* Kill at moments that differ, some of them still in the set-up. */
static bool kill_one(int round)
{
	int fds[2], status;
	char buf[8];
	pid_t pid;

	if (pipe(fds))
		die("pipe: %m");
	pid = fork();
	if (pid < 0)
		die("fork: %m");
	if (pid == 0)
		run_forever(fds[1]);
	close(fds[1]);
	if (round % 8 && read(fds[0], buf, sizeof(buf)) != sizeof(buf))
		die("round %d: the VMM ended by itself", round);
	usleep(round * 997 % 20000);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	close(fds[0]);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 0;

	if (!rounds)
		run_forever(STDOUT_FILENO);

	for (int i = 0; i < rounds; i++)
		if (!kill_one(i))
			die("round %d: not killed by SIGKILL", i);
	return 0;
}
