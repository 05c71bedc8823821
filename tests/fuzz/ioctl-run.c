// SPDX-License-Identifier: GPL-2.0-only
/*
 * One program, in a process of its own: its VM, its threads, where their arguments
 * lie, and who disturbs them.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "ioctl.h"

struct world world;
__thread u32 this_thread;

/* A thread's arguments: each place holds BUF_SIZE, and ends where a mapping ends. */
static struct {
	u8 buf[2 * BUF_SIZE];	/* where they are made */
	u8 *at_end, *read_only, *read_only_rw, *faulting, *copy;
} memory[MAX_THREADS];

static int uffd = -1;
static const struct program *program;
static pthread_barrier_t start, meet;
static u32 done, stop;

u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void complain(const char *fmt, ...)
{
	va_list ap;

	if (shared->complaint[0])
		return;
	va_start(ap, fmt);
	vsnprintf(shared->complaint, sizeof(shared->complaint), fmt, ap);
	va_end(ap);
}

/* ---- descriptors ---- */

void add_obj(int fd, enum kind kind)
{
	u32 i = __atomic_fetch_add(&world.nr_objs, 1, __ATOMIC_RELAXED);

	if (fd < 0)
		return;
	if (i < MAX_OBJS)
		world.obj[i] = (struct obj){ fd, kind };
	else
		close(fd);
}

/* One of that kind, which may be closed, or seldom any. */
int some_fd(struct rng *r, enum kind kind)
{
	u32 n = __atomic_load_n(&world.nr_objs, __ATOMIC_RELAXED), from;

	n = n < MAX_OBJS ? n : MAX_OBJS;
	if (!n || one_in(r, 200))
		return -1;
	from = below(r, n);
	for (u32 i = 0; i < n; i++) {
		struct obj *o = &world.obj[(from + i) % n];

		if (o->fd > 2 && o->kind == kind)
			return o->fd;
	}
	return -1;
}

/* ---- memory ---- */

/* Below 2G, where 32-bit calls reach it. */
static u8 *low_memory(size_t size, int flags)
{
	u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_32BIT | MAP_ANONYMOUS | flags, -1, 0);

	if (p == MAP_FAILED)
		die("mmap of %zu bytes", size);
	return p;
}

/* BUF_SIZE with nothing behind. */
static u8 *guarded(void)
{
	u8 *p = low_memory(BUF_SIZE + 4096, MAP_PRIVATE);

	munmap(p + BUF_SIZE, 4096);
	/* Taken, so that no other mapping begins there. */
	mmap(p + BUF_SIZE, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return p;
}

static void make_read_only(u32 i)
{
	int fd = memfd_create("read-only", MFD_CLOEXEC);
	u8 *p = guarded();

	if (fd < 0 || ftruncate(fd, BUF_SIZE))
		die("memfd");
	memory[i].read_only_rw = xmmap(BUF_SIZE, MAP_SHARED, fd);
	memory[i].read_only = mmap(p, BUF_SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0);
	close(fd);
}

static void register_fault(void *p, size_t size)
{
	struct uffdio_register reg = {
		.range = { (uintptr_t)p, size }, .mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (uffd >= 0)
		ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static u8 zero_page[4096] __attribute__((aligned(4096)));

/* The page that a fault waits for; of an argument the copy that place() left. */
static u8 *page_for(u64 addr)
{
	for (u32 i = 0; i < MAX_THREADS; i++) {
		u64 from = (uintptr_t)memory[i].faulting;

		if (addr >= from && addr < from + BUF_SIZE)
			return memory[i].copy + (addr - from);
	}
	return zero_page;
}

/* Every fault takes a moment, in which others go on. */
static void *handle_faults(void *arg)
{
	struct rng r = { 1 };
	struct uffd_msg msg;

	while (read(uffd, &msg, sizeof(msg)) == sizeof(msg)) {
		u64 addr = msg.arg.pagefault.address & ~0xfffULL;
		struct uffdio_copy copy = { addr, (uintptr_t)page_for(addr), 4096, 0, 0 };

		if (msg.event != UFFD_EVENT_PAGEFAULT)
			continue;
		usleep(below(&r, 800));
		ioctl(uffd, UFFDIO_COPY, &copy);
	}
	return NULL;
}

/* Memory of all kinds, for slots, bitmaps and what else is pointed at. */
static void make_arena(struct rng *r)
{
	u8 *p = low_memory(ARENA_SIZE, MAP_PRIVATE);
	const size_t part = ARENA_SIZE / 4;

	world.arena = p;
	for (u32 i = 0; i < 16; i++)
		mprotect(p + part + below(r, part >> 12) * 4096UL, 4096, below(r, 4));
	for (u32 i = 0; i < 8; i++)
		munmap(p + part + below(r, part >> 12) * 4096UL, 4096);
	mmap(p + 2 * part, part, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	register_fault(p + 3 * part, part / 2);
	madvise(p + 3 * part + part / 2, part / 2, MADV_HUGEPAGE);
}

static void make_memory(struct rng *r)
{
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	if (uffd >= 0 && ioctl(uffd, UFFDIO_API, &(struct uffdio_api){ .api = UFFD_API })) {
		close(uffd);
		uffd = -1;
	}
	for (u32 i = 0; i < MAX_THREADS; i++) {
		memory[i].at_end = guarded();
		memory[i].faulting = guarded();
		memory[i].copy = low_memory(BUF_SIZE, MAP_PRIVATE);
		make_read_only(i);
		register_fault(memory[i].faulting, BUF_SIZE);
	}
	world.racing = guarded();
	make_arena(r);
}

u64 some_address(struct rng *r)
{
	static const u64 bad[] = {
		0, 8, 0x1000, 0x7fffffffe000, 0x7ffffffff000, 0x7fffffffffff, 0x800000000000,
		0xffff800000000000, 0xffff888000000000, 0xffffffff81000000, 0xfffffffffffff000, ~0ULL,
	};
	u8 *p = world.arena + below(r, ARENA_SIZE);

	switch (below(r, 12)) {
	case 0:
		p = world.racing + below(r, BUF_SIZE);
		break;
	case 1:
		p = memory[this_thread].at_end + BUF_SIZE - below(r, 512);
		break;
	case 2:
		p = memory[this_thread].faulting + below(r, BUF_SIZE);
		break;
	case 3:
		return bad[below(r, ARRAY_LEN(bad))];
	case 4:
	case 5:
		p = world.vm.mem ? world.vm.mem + below(r, MEM_SIZE) : p;
		break;
	case 6:
		p = world.map[below(r, ARRAY_LEN(world.map))].p ?: p;
	}
	return (uintptr_t)p;
}

/* Put an argument where it shall lie, and tell where that is. */
static u64 place(struct rng *r, enum place at, const u8 *buf, size_t len)
{
	u32 t = this_thread;
	u8 *p;

	if (len > BUF_SIZE)
		len = BUF_SIZE;
	switch (at) {
	case RACING:
		p = world.racing + BUF_SIZE - len;
		break;
	case ACROSS:	/* its end is not there */
		p = memory[t].at_end + BUF_SIZE - (len > 1 ? below(r, len) : 0);
		memcpy(p, buf, memory[t].at_end + BUF_SIZE - p);
		return (uintptr_t)p;
	case READ_ONLY:
		memcpy(memory[t].read_only_rw + BUF_SIZE - len, buf, len);
		return (uintptr_t)memory[t].read_only + BUF_SIZE - len;
	case FAULTING:
		if (uffd >= 0) {
			memcpy(memory[t].copy + BUF_SIZE - len, buf, len);
			madvise(memory[t].faulting, BUF_SIZE, MADV_DONTNEED);
			return (uintptr_t)memory[t].faulting + BUF_SIZE - len;
		}
		/* fall through */
	default:
		p = memory[t].at_end + BUF_SIZE - len;
		break;
	case BAD:
		return some_address(r);
	}
	memcpy(p, buf, len);
	return (uintptr_t)p;
}

/* ---- what may touch memory that is gone ---- */

static __thread sigjmp_buf fault_jump;
static __thread bool may_fault;

static void on_fault(int sig)
{
	if (!may_fault)
		_exit(2);
	may_fault = false;
	siglongjmp(fault_jump, 1);
}

void touch(struct rng *r, void (*touch)(struct rng *r))
{
	if (sigsetjmp(fault_jump, 1))
		return;
	may_fault = true;
	touch(r);
	may_fault = false;
}

static void on_kick(int sig)
{
}

static void catch_signals(void)
{
	struct sigaction fault = { .sa_handler = on_fault, .sa_flags = SA_NODEFER };
	struct sigaction kick = { .sa_handler = on_kick };

	sigaction(SIGSEGV, &fault, NULL);
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGUSR1, &kick, NULL);
	sigaction(SIGUSR2, &kick, NULL);
	signal(SIGCHLD, SIG_IGN);
}

/* ---- calls ---- */

/* As a 32-bit process makes it. */
static long ioctl_32(int fd, u32 cmd, u64 arg)
{
	int result;

	asm volatile("int $0x80" : "=a"(result)
		     : "a"(54), "b"(fd), "c"(cmd), "d"((u32)arg)
		     : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result >= -4095) {
		errno = -result;
		return -1;
	}
	return result;
}

/* A number that is none, or another's, or one with another size. */
static u32 wrong_number(struct rng *r, u32 cmd)
{
	switch (below(r, 4)) {
	case 0:
		return cmd ^ BIT(16 + below(r, 14));
	case 1:
		return cmd ^ BIT(30 + below(r, 2));
	case 2:
		return (cmd & ~0xffU) | below(r, 256);
	}
	return cmd;
}

static void note_fd(u32 cmd, int fd, u64 arg)
{
	switch (cmd) {
	case KVM_CREATE_VM:
		add_obj(fd, VM);
		break;
	case KVM_CREATE_VCPU:
		add_obj(fd, VCPU);
		break;
	case KVM_GET_STATS_FD:
		add_obj(fd, STATS);
		break;
	case KVM_CREATE_DEVICE:
		/* Another thread may have overwritten what is in memory by now. */
		fd = ((volatile struct kvm_create_device *)(uintptr_t)arg)->fd;
		if (fd > 2)
			add_obj(fd, DEVICE);
	}
}

/* What no call may answer, whatever it was asked. */
static void check_result(const struct row *row, long result)
{
	if (result < -1 || (result == -1 && (errno <= 0 || errno > 133)))
		complain("%s returned %ld, errno %d", row->name, result, errno);
	/* The VM is its own, so it died: an invariant of the modules was broken. */
	if (result < 0 && errno == EIO && (row->on == VM || row->on == VCPU || row->on == DEVICE))
		complain("the VM is dead: %s returned EIO", row->name);
}

bool say_calls;

/* For who reads a replay. */
static void print_call(const struct row *row, const struct arg *arg)
{
	char text[3 * 80 + 1] = "";

	for (size_t i = 0; i < arg->len && i < 80; i++)
		sprintf(text + strlen(text), "%s%02x", i % 8 ? "" : " ", arg->buf[i]);
	printf("# %u: %s on %d: %#llx%s\n", this_thread, row->name, arg->fd,
	       (unsigned long long)arg->value, text);
	fflush(stdout);
}

/*
 * A slot has eight bytes in the kernel for each of its pages, at once: terabytes would
 * take all memory of the lab host, and a minute.  No size may change under way, either.
 */
static enum place limit_slot(u32 cmd, u8 *buf, enum place at)
{
	u64 size;

	if (cmd != KVM_SET_USER_MEMORY_REGION && cmd != KVM_SET_MEMORY_REGION &&
	    cmd != KVM_SET_MEMORY_ALIAS)
		return at;
	memcpy(&size, buf + 16, sizeof(size));	/* memory_size of all three */
	if (size > BIT(32) && size < BIT(44))
		size &= BIT(32) - 1;
	memcpy(buf + 16, &size, sizeof(size));
	return at == RACING ? AT_END : at;
}

static long make_ioctl(struct rng *r, const struct row *row, const struct call *c)
{
	struct arg arg = { .fd = some_fd(r, row->on), .buf = memory[this_thread].buf };
	u32 cmd = row->cmd;
	long result;

	row->make(r, row, &arg);
	if (arg.len) {
		if (one_in(r, 2))
			perturb(r, arg.buf, arg.len < 512 || one_in(r, 2) ? arg.len : 512);
		arg.value = place(r, limit_slot(cmd, arg.buf, c->place), arg.buf, arg.len);
	}
	if (c->flags & F_WRONG) {
		arg.fd = one_in(r, 2) ? arg.fd : some_fd(r, below(r, NR_KINDS));
		cmd = wrong_number(r, cmd);
	}
	if (say_calls)
		print_call(row, &arg);
	errno = 0;
	result = c->flags & F_COMPAT ? ioctl_32(arg.fd, cmd, arg.value) : ioctl(arg.fd, cmd, arg.value);
	check_result(row, result);
	if (result > 2 || (!result && cmd == KVM_CREATE_DEVICE))
		note_fd(cmd, result, arg.value);
	return result;
}

/* Did it succeed? */
static bool make_call(const struct call *c)
{
	const struct row *row = &rows[c->row];
	u32 t = this_thread;
	struct rng r = { c->seed };
	struct kvm_run *run;
	long result;

	shared->now[t].since = now_ns();
	__atomic_store_n(&shared->now[t].row, c->row, __ATOMIC_RELEASE);
	kcov_begin(t);
	result = row->act ? row->act(&r) : make_ioctl(&r, row, c);
	kcov_end(t);
	__atomic_store_n(&shared->now[t].row, -1, __ATOMIC_RELEASE);

	__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&shared->count[c->row].made, 1, __ATOMIC_RELAXED);
	if (result >= 0)
		__atomic_fetch_add(&shared->count[c->row].succeeded, 1, __ATOMIC_RELAXED);
	note_result(c->row, result < 0 ? -errno : 0);
	if (row->cmd == KVM_RUN && !result && world.map[0].p) {
		__atomic_fetch_add(&shared->guests_left, 1, __ATOMIC_RELAXED);
		run = (void *)world.map[0].p;
		if (sigsetjmp(fault_jump, 1))
			return true;
		may_fault = true;
		note_result(c->row, 1000 + run->exit_reason);
		may_fault = false;
	}
	return result >= 0;
}

/*
 * A call that failed and now succeeds, with the same arguments, waited for what another
 * thread did: the two work on the same, and are worth many more tries.
 */
static void make_calls(const struct call *c)
{
	bool failed = false;

	for (u32 n = 0; n < (c->flags & F_AGAIN ? 8 : 1); n++) {
		if (!make_call(c))
			failed = true;
		else if (failed)
			__atomic_store_n(&shared->met, 1, __ATOMIC_RELAXED);
	}
}

/* ---- threads ---- */

static void *thread_main(void *arg)
{
	this_thread = (uintptr_t)arg;
	world.tid[this_thread] = gettid();
	kcov_enable(this_thread);
	for (u32 round = 0; round < program->rounds; round++) {
		pthread_barrier_wait(&start);
		for (u32 i = 0; i < program->n; i++) {
			const struct call *c = &program->call[i];

			if (c->flags & F_MEET)
				pthread_barrier_wait(&meet);
			if (c->thread % program->threads == this_thread)
				make_calls(c);
		}
		__atomic_fetch_add(&done, 1, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void set_priority(pid_t tid, int prio)
{
	struct sched_param p = { prio };

	sched_setscheduler(tid, prio ? SCHED_FIFO : SCHED_OTHER, &p);
}

static void pin(pid_t tid, u32 cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(tid, sizeof(set), &set);
}

/*
 * All threads on one processor, and whose turn it is changes at any moment, also
 * in the kernel where that can be preempted: the one goes through all of its call
 * between two instructions of another's.  So a window of a few instructions is hit
 * even where processors take turns for a tenth of a second each.
 */
static void *perturb_schedule(void *arg)
{
	struct rng r = { now_ns() };
	const struct timespec *t;

	pin(0, program->seed % sysconf(_SC_NPROCESSORS_ONLN));
	prctl(PR_SET_TIMERSLACK, 1);
	set_priority(0, 50);
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		t = &(struct timespec){ 0, 2000 + below(&r, one_in(&r, 4) ? 500000 : 60000) };
		nanosleep(t, NULL);
		for (u32 i = 0; i < world.threads; i++)
			if (world.tid[i])
				set_priority(world.tid[i], 1 + below(&r, 8));
	}
	return NULL;
}

static void *scribble(void *arg)
{
	struct rng r = { 2 };

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		perturb(&r, world.racing + BUF_SIZE - 256, 256);
		usleep(below(&r, 300));
	}
	return NULL;
}

static bool any(enum place at)
{
	for (u32 i = 0; i < program->n; i++)
		if (program->call[i].place == at)
			return true;
	return false;
}

/* ---- a round ---- */

/* Instructions that exit, or nearly do: the same bytes in every mode. */
static const struct { u8 len; u8 byte[4]; } code[] = {
	{ 2, { 0x0f, 0xa2 } },		/* cpuid */
	{ 1, { 0xf4 } },		/* hlt */
	{ 1, { 0xec } }, { 1, { 0xee } }, { 1, { 0xed } }, { 1, { 0xef } },	/* in, out DX */
	{ 2, { 0xe4, 0x61 } }, { 2, { 0xe6, 0x43 } }, { 2, { 0xe6, 0x20 } }, { 2, { 0xe6, 0x80 } },
	{ 2, { 0x0f, 0x32 } }, { 2, { 0x0f, 0x30 } }, { 2, { 0x0f, 0x31 } },	/* rdmsr, wrmsr, rdtsc */
	{ 1, { 0xfb } }, { 1, { 0xfa } }, { 1, { 0x9c } },	/* sti, cli, pushf */
	{ 2, { 0x88, 0x03 } }, { 2, { 0x8a, 0x03 } }, { 2, { 0x89, 0x07 } }, { 2, { 0x8b, 0x06 } },	/* mov */
	{ 3, { 0xf0, 0xff, 0x03 } },	/* lock inc */
	{ 2, { 0xf3, 0x6e } }, { 2, { 0xf3, 0x6c } }, { 2, { 0xf3, 0xa4 } }, { 2, { 0xf3, 0xaa } },
	{ 3, { 0x0f, 0x01, 0xd9 } }, { 3, { 0x0f, 0x01, 0xc1 } },	/* vmmcall, vmcall */
	{ 2, { 0xcd, 0x21 } }, { 1, { 0xcc } }, { 2, { 0x0f, 0x0b } },	/* int, int3, ud2 */
	{ 3, { 0x0f, 0x20, 0xc0 } }, { 3, { 0x0f, 0x22, 0xc0 } }, { 3, { 0x0f, 0x22, 0xd8 } },	/* mov cr */
	{ 3, { 0x0f, 0x20, 0xd8 } }, { 3, { 0x0f, 0x22, 0xe0 } }, { 3, { 0x0f, 0x21, 0xf8 } },
	{ 2, { 0x0f, 0x09 } }, { 2, { 0xb0, 0x36 } }, { 2, { 0xb2, 0x40 } }, { 2, { 0xf3, 0x90 } },
};

static void make_guest(struct rng *r, u8 *p)
{
	u8 *begin = p;

	*p++ = 0xfb;	/* a guest that loops begins with STI (vm.h) */
	for (u32 i = 0, n = 3 + below(r, 20); i < n; i++) {
		u32 k = below(r, ARRAY_LEN(code));

		memcpy(p, code[k].byte, code[k].len);
		p += code[k].len;
	}
	*p++ = 0xeb;
	*p = begin - (p + 1);
}

static void make_vcpu(struct rng *r, struct vcpu *vcpu, int id)
{
	static const u32 places[] = { GPA_DATA, GPA_MMIO, GPA_FREE, 0xfee00080, 0xfee00300, 0xfec00000,
				      GPA_PT0, 0xffe };
	static const u16 ports[] = { 0x20, 0x21, 0x40, 0x43, 0x61, 0xa0, 0x80, 0, 4, 0x4d0, 0xcf8 };
	static const u32 msrs[] = { 0x10, 0x1b, 0x830, 0x80b, 0x6e0, 0xc0000080, 0x4b564d01, 0x4b564d02, 3 };
	struct kvm_regs regs;

	vcpu_create(&world.vm, vcpu, id);
	add_obj(vcpu->fd, VCPU);
	world.map[world.nr_maps++] = (struct mapping){ (u8 *)vcpu->run, world.vm.run_size };
	vm_mode(&world.vm, vcpu, program->mode % (LONG + 1));
	regs = vcpu_regs(vcpu);
	regs.rip += id * 128;
	regs.rbx = places[below(r, ARRAY_LEN(places))];
	regs.rsi = places[below(r, ARRAY_LEN(places))];
	regs.rdi = places[below(r, ARRAY_LEN(places))];
	regs.rdx = one_in(r, 2) ? ports[below(r, ARRAY_LEN(ports))] : 0;
	regs.rcx = msrs[below(r, ARRAY_LEN(msrs))];
	regs.rax = odd_value(r) & 0xffffffff;
	vcpu_set_regs(vcpu, &regs);
	make_guest(r, world.vm.mem + GPA_CODE + id * 128);
}

static void make_vm(void)
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_enable_cap ring = { .cap = KVM_CAP_DIRTY_LOG_RING, .args = { 16384 } };
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct vm *vm = &world.vm;

	vm->fd = ioctl(vm->sys, KVM_CREATE_VM, 0L);
	if (vm->fd < 0)
		die("KVM_CREATE_VM");
	add_obj(vm->fd, VM);
	vm->run_size = ioctl(vm->sys, KVM_GET_VCPU_MMAP_SIZE, 0L);
	vm->mem = xmmap(MEM_SIZE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	if (ioctl(vm->fd, KVM_SET_TSS_ADDR, 0xfeffd000L) ||
	    vm_slot(vm, 0, program->seed & 3 ? KVM_MEM_LOG_DIRTY_PAGES : 0, 0, MEM_SIZE, vm->mem))
		die("a slot");
	/* Only ahead of the first vcpu. */
	if (program->seed % 3 == 0 && ioctl(vm->fd, KVM_ENABLE_CAP, &ring))
		die("KVM_CAP_DIRTY_LOG_RING");
	if (program->setup == SPLIT && ioctl(vm->fd, KVM_ENABLE_CAP, &split))
		die("KVM_CAP_SPLIT_IRQCHIP");
	if (program->setup == FULL &&
	    (ioctl(vm->fd, KVM_CREATE_IRQCHIP) || ioctl(vm->fd, KVM_CREATE_PIT2, &pit)))
		die("KVM_CREATE_IRQCHIP");
}

static void begin_round(void)
{
	struct rng r = { program->seed };
	struct vcpu second;

	world.vm = (struct vm){ .fd = -1, .vcpu.fd = -1 };
	world.nr_objs = world.nr_maps = 0;
	memset(world.obj, 0xff, sizeof(world.obj));
	memset(world.map, 0, sizeof(world.map));
	world.vm.sys = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (world.vm.sys < 0)
		die("/dev/kvm");
	add_obj(world.vm.sys, DEV);
	for (u32 i = 0; i < 3; i++)
		add_obj(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), EVENT);
	if (program->setup == NOTHING)
		return;
	make_vm();
	if (program->setup == BARE_VM)
		return;
	make_vcpu(&r, &world.vm.vcpu, 0);
	make_vcpu(&r, &second, 1);
}

static void end_round(void)
{
	u32 n = world.nr_objs < MAX_OBJS ? world.nr_objs : MAX_OBJS;

	for (u32 i = 0; i < n; i++)
		if (world.obj[i].fd > 2)
			close(world.obj[i].fd);
	for (u32 i = 0; i < ARRAY_LEN(world.map); i++)
		if (world.map[i].p)
			munmap(world.map[i].p, world.map[i].size);
	if (world.vm.mem)
		munmap(world.vm.mem, MEM_SIZE);
}

/* Until all threads are through, signals end the calls that take long. */
static void wait_for_threads(void)
{
	const u64 long_ns = 80000ULL * percent();

	while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) < program->threads) {
		u64 now = now_ns();

		usleep(program->perturbed ? 1000 : 4000);
		for (u32 i = 0; i < program->threads; i++)
			if (__atomic_load_n(&shared->now[i].row, __ATOMIC_ACQUIRE) >= 0 &&
			    now > shared->now[i].since + long_ns)
				syscall(SYS_tgkill, getpid(), world.tid[i], SIGUSR1);
	}
}

static void start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;

	if (pthread_create(&t, NULL, fn, arg))
		die("pthread_create");
}

void run_program(const struct program *p)
{
	struct rng r = { p->seed };

	program = p;
	world.threads = p->threads;
	catch_signals();
	make_memory(&r);
	pthread_barrier_init(&start, NULL, p->threads + 1);
	pthread_barrier_init(&meet, NULL, p->threads);
	if (uffd >= 0)
		start_thread(handle_faults, NULL);
	if (any(RACING))
		start_thread(scribble, NULL);
	for (u32 i = 0; i < p->threads; i++)
		start_thread(thread_main, (void *)(uintptr_t)i);
	if (p->perturbed) {
		set_priority(0, 60);
		start_thread(perturb_schedule, NULL);
	}
	for (u32 round = 0; round < p->rounds; round++) {
		__atomic_store_n(&done, 0, __ATOMIC_RELAXED);
		begin_round();
		if (p->perturbed && !round)
			for (u32 i = 0; i < p->threads; i++)
				if (world.tid[i])
					pin(world.tid[i], p->seed % sysconf(_SC_NPROCESSORS_ONLN));
		pthread_barrier_wait(&start);
		wait_for_threads();
		end_round();
	}
	_exit(0);
}
