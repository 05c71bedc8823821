// SPDX-License-Identifier: GPL-2.0-only
/*
 * limited SECONDS COMMAND...: run a command, and end it with all its descendants when
 * its time is over, when it has ended itself, or when this process is asked to end.
 * Its status is the command's, or 124 where the limit struck, as timeout(1) has it.
 *
 * Descendants whose parent has ended become this process's children, whatever session
 * or process group they are in, so none is missed.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t parent_of(pid_t pid)
{
	char path[32], line[512], *rest = NULL;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return 0;
	/* The name, in parentheses, may hold anything. */
	if (fgets(line, sizeof(line), f))
		for (char *p = line; *p; p++)
			if (*p == ')')
				rest = p + 1;
	if (rest && sscanf(rest, " %*c %d", &parent) != 1)
		parent = 0;
	fclose(f);
	return parent;
}

/* Those of /proc whose parent this process is. */
static unsigned int kill_children(void)
{
	unsigned int killed = 0;
	struct dirent *e;
	DIR *proc = opendir("/proc");

	while (proc && (e = readdir(proc))) {
		pid_t pid = atoi(e->d_name);

		if (pid > 0 && parent_of(pid) == getpid() && kill(pid, SIGKILL) == 0)
			killed++;
	}
	if (proc)
		closedir(proc);
	return killed;
}

/* Each that dies leaves its children to this process. */
static void kill_descendants(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	do {
		kill_children();
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		nanosleep(&pause, NULL);
	} while (waitpid(-1, NULL, WNOHANG) >= 0 || errno != ECHILD);
}

static pid_t start(char **command, const sigset_t *mask)
{
	pid_t parent = getpid(), pid = fork();

	if (pid)
		return pid;
	/* Where this process is killed, and can do nothing more. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

/* Has pid ended?  Others that have are forgotten. */
static bool has_ended(pid_t pid, int *status)
{
	pid_t ended;
	int s;

	while ((ended = waitpid(-1, &s, WNOHANG)) > 0)
		if (ended == pid) {
			*status = WIFEXITED(s) ? WEXITSTATUS(s) : 128 + WTERMSIG(s);
			return true;
		}
	return false;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* The command's status, or why it has to end before. */
static int wait_for(pid_t pid, double limit, const sigset_t *signals)
{
	double end = now() + limit, left;
	int sig, status = 0;

	while (!has_ended(pid, &status)) {
		struct timespec t;

		left = end - now();
		if (left <= 0) {
			fprintf(stderr, "# did not end within %g seconds\n", limit);
			return 124;
		}
		t.tv_sec = left;
		t.tv_nsec = (left - t.tv_sec) * 1e9;
		sig = sigtimedwait(signals, NULL, &t);
		if (sig > 0 && sig != SIGCHLD)
			return 128 + sig;
	}
	return status;
}

int main(int argc, char **argv)
{
	sigset_t signals, before;
	int status;
	pid_t pid;

	if (argc < 3)
		return 125;
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGQUIT);
	sigprocmask(SIG_BLOCK, &signals, &before);
	/* Whoever started this is gone: nobody wants the result. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = start(argv + 2, &before);
	status = pid < 0 ? 125 : wait_for(pid, atof(argv[1]), &signals);
	kill_descendants();
	return status;
}
