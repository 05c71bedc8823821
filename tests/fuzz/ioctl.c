// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctl fuzzer, see Documentation/fuzzing.rst.
 *
 * Makes programs, new ones and mutations of those that reached something new, runs
 * each in a child, and says each before it runs: what brings the kernel down is the
 * last line.  Exits with failure upon a result that cannot be, a child that cannot be
 * killed, and memory that the modules lost; the lab fails upon what the kernel says.
 *
 * timeout: 400
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "ioctl.h"

#define CORPUS_MAX	4096
#define RACES_MAX	256

struct shared *shared;

static struct program corpus[CORPUS_MAX], races[RACES_MAX];
static u32 nr_corpus, nr_races;
static bool have_kcov;
static u64 nr_programs, nr_cut, nr_failed_setups;
static u32 nr_tests, nr_bad;

/* ---- programs as text ---- */

static void print_program(const char *what, u64 nr, const struct program *p)
{
	static char text[64 + 32 * MAX_CALLS];
	char *s = text;

	s += sprintf(s, "# %s %llu %x.%x.%x.%x.%x.%x", what, (unsigned long long)nr, p->threads,
		     p->setup, p->mode, p->perturbed, p->rounds, p->seed);
	for (u32 i = 0; i < p->n; i++)
		s += sprintf(s, ",%x.%x.%x.%x.%x", p->call[i].thread, p->call[i].flags,
			     p->call[i].place, p->call[i].row, p->call[i].seed);
	*s++ = '\n';
	*s = 0;
	fputs(text, stdout);
	fflush(stdout);
}

static bool valid(const struct program *p)
{
	if (!p->threads || p->threads > MAX_THREADS || p->setup >= NR_SETUPS || !p->rounds)
		return false;
	for (u32 i = 0; i < p->n; i++)
		if (p->call[i].row >= nr_rows || p->call[i].flags & ~F_ALL ||
		    p->call[i].place >= NR_PLACES)
			return false;
	return true;
}

static bool parse_program(const char *text, struct program *p)
{
	u32 a[5];
	int len;

	memset(p, 0, sizeof(*p));
	if (sscanf(text, "%x.%x.%x.%x.%x.%x%n", &a[0], &a[1], &a[2], &a[3], &a[4], &p->seed, &len) != 6)
		return false;
	p->threads = a[0];
	p->setup = a[1];
	p->mode = a[2];
	p->perturbed = a[3];
	p->rounds = a[4];
	for (text += len; *text == ',' && p->n < MAX_CALLS; text += len) {
		struct call *c = &p->call[p->n++];

		if (sscanf(text, ",%x.%x.%x.%x.%x%n", &a[0], &a[1], &a[2], &a[3], &c->seed, &len) != 5)
			return false;
		c->thread = a[0];
		c->flags = a[1];
		c->place = a[2];
		c->row = a[3];
	}
	return valid(p);
}

static void explain(const struct program *p)
{
	static const char * const setups[] = { "/dev/kvm", "a VM", "vcpus", "split", "full" };
	static const char * const places[] = { "", " racing", " across a border", " read-only",
					       " faulting", " at a bad address" };
	char name[64];

	printf("%u threads, %s, mode %u, %u rounds%s\n", p->threads, setups[p->setup], p->mode,
	       p->rounds, p->perturbed ? ", perturbed" : "");
	for (u32 i = 0; i < p->n; i++) {
		const struct call *c = &p->call[i];

		if (c->flags & F_MEET)
			printf("all meet\n");
		printf("%*s%u: %s%s%s%s%s, seed %x\n", 4 * (c->thread % p->threads), "",
		       c->thread % p->threads, row_name(c->row, name, sizeof(name)), places[c->place],
		       c->flags & F_COMPAT ? ", 32 bits" : "", c->flags & F_WRONG ? ", wrong" : "",
		       c->flags & F_AGAIN ? ", 8 times" : "", c->seed);
	}
}

/* ---- making programs ---- */

static u16 some_row(struct rng *r, enum subject subject)
{
	u16 row;

	for (u32 i = 0; i < 400; i++) {
		row = below(r, nr_rows);
		if (subject == ANY || rows[row].subject == subject)
			return row;
	}
	return row;
}

static u16 row_of(enum kind on, u32 cmd)
{
	u16 row = 0;

	while (rows[row].on != on || rows[row].cmd != cmd)
		row++;
	return row;
}

static struct call some_call(struct rng *r, u32 threads, enum subject subject)
{
	struct call c = { .thread = below(r, threads), .row = some_row(r, subject), .seed = rnd(r) };

	if (subject == ANY && one_in(r, 6))
		c.row = row_of(VCPU, KVM_RUN);
	if (one_in(r, 4))
		c.place = below(r, NR_PLACES);
	if (one_in(r, 12))
		c.flags |= F_COMPAT;
	if (one_in(r, 20))
		c.flags |= F_WRONG;
	if (one_in(r, 12))
		c.flags |= F_AGAIN;
	if (one_in(r, 12))
		c.flags |= F_MEET;
	return c;
}

static struct program new_program(struct rng *r)
{
	struct program p = {
		.threads = 2 + below(r, 3), .setup = below(r, NR_SETUPS + 2), .mode = below(r, 6),
		.perturbed = one_in(r, 3), .rounds = 1, .seed = rnd(r), .n = 4 + below(r, 36),
	};

	if (p.setup >= NR_SETUPS)
		p.setup = VCPUS + below(r, 3);
	for (u32 i = 0; i < p.n; i++)
		p.call[i] = some_call(r, p.threads, ANY);
	return p;
}

/* What a VM gets once, and what another thread does to the VM meanwhile. */
static void add_birth(struct rng *r, struct program *p)
{
	static const u32 once[] = {
		KVM_CREATE_IRQCHIP, KVM_CREATE_VCPU, KVM_CREATE_PIT2, KVM_CREATE_PIT, KVM_ENABLE_CAP,
	};
	u32 cmd = once[below(r, ARRAY_LEN(once))];

	p->setup = BARE_VM;
	if (cmd == KVM_CREATE_PIT || cmd == KVM_CREATE_PIT2)
		p->call[p->n++].row = row_of(VM, KVM_CREATE_IRQCHIP);
	p->call[p->n++] = (struct call){ .flags = F_MEET, .row = row_of(VM, cmd), .seed = rnd(r) };
}

/* Calls on the same at the same time, one of them again and again, on new VMs. */
static struct program new_race(struct rng *r)
{
	enum subject subject = 1 + below(r, LIFE);
	struct program p = {
		.threads = 2 + one_in(r, 4), .setup = 1 + below(r, NR_SETUPS - 1), .mode = below(r, 6),
		.perturbed = !one_in(r, 8), .rounds = FEW_ROUNDS, .seed = rnd(r),
	};

	if (one_in(r, 2)) {
		subject = one_in(r, 3) ? LIFE : IRQ;
		add_birth(r, &p);
	} else {
		p.call[p.n] = some_call(r, 1, subject);
		p.call[p.n++].flags |= F_MEET;
	}
	for (u32 i = 1; i < p.threads; i++) {
		struct call *c = &p.call[p.n++];

		do
			*c = some_call(r, 1, one_in(r, 8) ? 1 + below(r, LIFE) : subject);
		while (p.setup == BARE_VM && rows[c->row].on == VCPU);
		c->thread = i;
		c->flags = (c->flags & ~(F_WRONG | F_MEET)) | F_AGAIN;
	}
	return p;
}

static void insert(struct program *p, u32 at, struct call c)
{
	if (p->n == MAX_CALLS)
		return;
	memmove(&p->call[at + 1], &p->call[at], (p->n - at) * sizeof(c));
	p->call[at] = c;
	p->n++;
}

static void mutate(struct rng *r, struct program *p)
{
	u32 i = p->n ? below(r, p->n) : 0;
	struct call *c = &p->call[i];
	struct program *other;

	switch (p->n ? below(r, 12) : 0) {
	case 0:
	case 1:
		insert(p, i, some_call(r, p->threads, p->n && !one_in(r, 3) ? rows[c->row].subject : ANY));
		break;
	case 2:	/* with other arguments */
	case 3:
		c->seed = rnd(r);
		break;
	case 4:
		c->row = some_row(r, rows[c->row].subject);
		break;
	case 5:
		memmove(c, c + 1, (p->n - i - 1) * sizeof(*c));
		p->n--;
		break;
	case 6:	/* the same at the same time */
		insert(p, i, *c);
		p->call[i].flags |= F_MEET;
		p->call[i + 1 < p->n ? i + 1 : i].thread++;
		break;
	case 7:
		c->thread = below(r, MAX_THREADS);
		break;
	case 8:
		c->place = below(r, NR_PLACES);
		c->flags ^= 1 << below(r, 4);
		break;
	case 9:
		p->setup = below(r, NR_SETUPS);
		p->mode = below(r, 6);
		break;
	case 10:
		p->perturbed = !p->perturbed;
		p->seed = rnd(r);
		p->threads = 2 + below(r, 3);
		break;
	case 11:	/* the rest of another */
		other = &corpus[below(r, nr_corpus)];
		for (u32 k = below(r, other->n + 1); k < other->n && p->n < MAX_CALLS; k++)
			p->call[p->n++] = other->call[k];
	}
}

#define PART	40	/* calls of a program of the sweep */

static u32 nr_swept;

/* The first programs make every call on each kind of VM, with arguments where they belong. */
static u32 sweep_length(void)
{
	return (nr_rows + PART - 1) / PART * NR_SETUPS;
}

static struct program sweep_program(struct rng *r)
{
	u32 row = nr_swept / NR_SETUPS * PART, setup = NR_SETUPS - 1 - nr_swept % NR_SETUPS;
	struct program p = { .threads = 2, .setup = setup, .mode = LONG, .rounds = 1, .seed = rnd(r) };

	for (; row < nr_rows && p.n < PART; row++, p.n++)
		p.call[p.n] = (struct call){ .thread = p.n & 1, .row = row, .seed = rnd(r) };
	nr_swept++;
	return p;
}

static struct program next_program(struct rng *r)
{
	struct program p;

	if (nr_swept < sweep_length())
		return sweep_program(r);
	if (nr_races && one_in(r, 4)) {
		p = races[below(r, nr_races)];
		p.seed = rnd(r);
		return p;
	}
	if (nr_corpus && one_in(r, 2)) {
		u32 recent = nr_corpus < 32 ? nr_corpus : 32;

		p = corpus[one_in(r, 3) ? nr_corpus - 1 - below(r, recent) : below(r, nr_corpus)];
		for (u32 n = 1 + below(r, 4); n--; )
			mutate(r, &p);
		return p;
	}
	return one_in(r, 2) ? new_race(r) : new_program(r);
}

/* ---- running them ---- */

static bool wait_child(pid_t pid, u64 ms, int *status)
{
	u64 until = now_ns() + ms * 1000000 * percent() / 100;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, status, WNOHANG) != pid) {
		u64 now = now_ns();
		struct timespec t = { 0, 100000000 };

		if (now >= until)
			return false;
		sigtimedwait(&set, NULL, &t);
	}
	return true;
}

static void print_file(const char *path)
{
	char line[256];
	FILE *f = fopen(path, "r");

	while (f && fgets(line, sizeof(line), f))
		printf("#     %s", line);
	if (f)
		fclose(f);
}

/* Which call each thread is in. */
static void print_calls(void)
{
	char name[64];

	for (u32 i = 0; i < MAX_THREADS; i++)
		if (shared->now[i].row >= 0)
			printf("#   thread %u: %s for %llu ms\n", i,
			       row_name(shared->now[i].row, name, sizeof(name)),
			       (now_ns() - shared->now[i].since) / 1000000ULL);
}

/* And where in the kernel. */
static void print_hang(pid_t pid)
{
	char command[160];

	print_calls();
	snprintf(command, sizeof(command), "tail -n 40 /proc/%d/task/*/stack /proc/%d/task/*/syscall | sed 's/^/#   /'",
		 pid, pid);
	fflush(stdout);
	if (system(command))
		print_file("/proc/sched_debug");
}

/* Run a program to its end.  False: something is wrong, which was printed. */
static bool run(const struct program *p)
{
	int status;
	pid_t pid;

	for (u32 i = 0; i < MAX_THREADS; i++)
		shared->now[i].row = -1;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		die("fork");
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		run_program(p);
	}
	setpgid(pid, pid);
	nr_programs++;
	if (!wait_child(pid, 8000, &status)) {
		nr_cut++;
		printf("# takes long, and is killed:\n");
		print_calls();
		fflush(stdout);
		kill(-pid, SIGKILL);
		if (!wait_child(pid, 60000, &status)) {
			printf("# the program does not end when it is killed\n");
			print_hang(pid);
			return false;
		}
	}
	kill(-pid, SIGKILL);	/* what it forked */
	if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
		nr_failed_setups++;
	for (u32 i = 0; have_kcov && i < MAX_THREADS; i++)
		kcov_end(i);
	if (shared->complaint[0]) {
		printf("# %s\n", shared->complaint);
		return false;
	}
	return true;
}

static void keep(const struct program *p)
{
	if (nr_corpus < CORPUS_MAX) {
		corpus[nr_corpus++] = *p;
	} else {
		corpus[nr_programs % CORPUS_MAX] = *p;
	}
	print_program("keep", nr_programs, p);
}

/* Calls that were seen to meet, to be made at the same time many times. */
static void keep_race(const struct program *p)
{
	u32 i = nr_races < RACES_MAX ? nr_races++ : nr_programs % RACES_MAX;

	races[i] = *p;
	races[i].rounds = MANY_ROUNDS;
	races[i].perturbed = 1;
}

/* Run it; what reached something new is kept. */
static bool try_program(const struct program *p)
{
	print_program("program", nr_programs, p);
	shared->new_pcs = shared->new_edges = shared->new_results = shared->met = 0;
	if (!run(p))
		return false;
	if (shared->met && p->rounds == FEW_ROUNDS)
		keep_race(p);
	if (shared->new_pcs || shared->new_edges > 4 || (!have_kcov && shared->new_results))
		keep(p);
	return true;
}

static void progress(u64 begin)
{
	printf("# %llu s: %llu programs, %llu calls, %llu PCs, %u kept, %u races, %llu cut\n",
	       (now_ns() - begin) / 1000000000ULL, (unsigned long long)nr_programs,
	       (unsigned long long)shared->calls, (unsigned long long)shared->pcs, nr_corpus,
	       nr_races, (unsigned long long)nr_cut);
	fflush(stdout);
}

static bool fuzz(u64 seed, u64 seconds)
{
	u64 begin = now_ns(), said = begin;
	struct rng r = { seed };
	struct program p;

	while (nr_swept < sweep_length() || now_ns() - begin < seconds * 1000000000ULL) {
		p = next_program(&r);
		if (!try_program(&p))
			return false;
		if (now_ns() - said > 30000000000ULL) {
			said = now_ns();
			progress(begin);
		}
	}
	progress(begin);
	return true;
}

static void read_corpus(const char *path)
{
	static char line[4096];
	FILE *f = fopen(path, "r");
	struct program p;

	if (!f)
		die("%s", path);
	while (fgets(line, sizeof(line), f)) {
		char *text = strrchr(line, ' ');

		if (parse_program(text ? text + 1 : line, &p) && nr_corpus < CORPUS_MAX)
			corpus[nr_corpus++] = p;
	}
	fclose(f);
	printf("# %u programs from %s\n", nr_corpus, path);
}

/* Learn what the corpus reaches. */
static bool run_corpus(void)
{
	for (u32 i = 0; i < nr_corpus; i++) {
		print_program("program", nr_programs, &corpus[i]);
		if (!run(&corpus[i]))
			return false;
	}
	return true;
}

/* ---- results ---- */

static void result(bool ok, const char *name)
{
	nr_tests++;
	nr_bad += !ok;
	printf("%s %u %s\n", ok ? "ok" : "not ok", nr_tests, name);
}

static void print_never(void)
{
	char name[64];

	printf("# never successful:");
	for (u32 i = 0; i < nr_rows; i++)
		if (!shared->count[i].succeeded)
			printf(" %s (%llu);", row_name(i, name, sizeof(name)),
			       (unsigned long long)shared->count[i].made);
	printf("\n");
}

static bool all_made(void)
{
	char name[64];
	bool all = true;

	for (u32 i = 0; i < nr_rows; i++) {
		if (shared->count[i].made)
			continue;
		printf("# never made: %s\n", row_name(i, name, sizeof(name)));
		all = false;
	}
	return all;
}

#define LEAKS	"/sys/kernel/debug/kmemleak"

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		printf("# %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

/* Objects that nothing points at any more, with our modules among who allocated them. */
static bool no_leaks(void)
{
	static char object[16384];
	char line[256];
	bool clean = true, ours = false;
	FILE *f;

	sleep(6);	/* RCU's callbacks; kmemleak passes over what is younger than 5 s */
	write_file(LEAKS, "scan");
	sleep(1);
	write_file(LEAKS, "scan");
	f = fopen(LEAKS, "r");
	for (;;) {
		bool more = f && fgets(line, sizeof(line), f);

		if (!more || !strncmp(line, "unreferenced", 12)) {
			if (ours)
				fputs(object, stdout);
			clean = clean && !ours;
			ours = false;
			object[0] = 0;
		}
		if (!more)
			break;
		if (strlen(object) + strlen(line) + 8 < sizeof(object))
			strcat(strcat(object, "#   "), line);
		ours = ours || strstr(line, "[kvm") || strstr(line, "kvm_");
	}
	if (f)
		fclose(f);
	return clean;
}

static void check_leaks(void)
{
	if (access(LEAKS, W_OK)) {
		nr_tests++;
		printf("ok %u kmemleak # SKIP this kernel has none\n", nr_tests);
		return;
	}
	result(no_leaks(), "kmemleak: nothing of the modules");
}

static void open_shared(void)
{
	sigset_t set;

	shared = xmmap(sizeof(*shared), MAP_SHARED | MAP_ANONYMOUS, -1);
	have_kcov = kcov_open();
	results_open();
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* No line for each of our own faults. */
	write_file("/proc/sys/debug/exception-trace", "0");
	if (!access(LEAKS, W_OK))
		write_file(LEAKS, "clear");
}

static int replay(const char *text, u32 times)
{
	struct program p;

	if (!parse_program(text, &p))
		die("not a program: %s", text);
	explain(&p);
	open_shared();
	for (u32 i = 0; i < times; i++)
		if (!run(&p)) {
			printf("not ok 1 replay %u\n", i);
			return 1;
		}
	check_leaks();
	return nr_bad > 0;
}

static u64 number(const char *name, u64 other)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : other;
}

int main(int argc, char **argv)
{
	u64 seed = number("SEED", 1), seconds = number("SECONDS", 0), times = 1;
	const char *program = NULL, *corpus_file = NULL;
	bool ok;
	int o;

	if (argc > 1 && !strcmp(argv[1], "--exit"))
		return 0;
	while ((o = getopt(argc, argv, "s:t:p:n:c:x:v")) != -1) {
		struct program p;

		switch (o) {
		case 's':
			seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			seconds = strtoull(optarg, NULL, 0);
			break;
		case 'p':
			program = optarg;
			break;
		case 'n':
			times = strtoull(optarg, NULL, 0);
			break;
		case 'c':
			corpus_file = optarg;
			break;
		case 'v':
			say_calls = true;
			break;
		case 'x':
			if (!parse_program(optarg, &p))
				die("not a program: %s", optarg);
			explain(&p);
			return 0;
		default:
			return 2;
		}
	}
	if (program)
		return replay(program, times);
	printf("TAP version 13\n");
	open_shared();
	if (!seconds)
		seconds = have_kcov ? 60 : 20;
	printf("# seed %#llx, %llu seconds\n", (unsigned long long)seed, (unsigned long long)seconds);
	if (corpus_file)
		read_corpus(corpus_file);
	ok = run_corpus() && fuzz(seed, seconds);
	result(ok, "programs end, with results that can be");
	print_never();
	printf("# %llu programs, %llu calls, %llu exits of guests, %llu distinct PCs of the modules, %llu cut, %llu without a VM\n",
	       (unsigned long long)nr_programs, (unsigned long long)shared->calls,
	       (unsigned long long)shared->guests_left, (unsigned long long)shared->pcs,
	       (unsigned long long)nr_cut, (unsigned long long)nr_failed_setups);
	result(all_made(), "every call was made");
	if (have_kcov)
		result(shared->pcs > 1000, "the modules are instrumented");
	check_leaks();
	printf("1..%u\n", nr_tests);
	return nr_bad > 0;
}
