// SPDX-License-Identifier: GPL-2.0-only
/*
 * The first process of a guest that moves: keeps each of its processors busy with what a
 * move may break, and says on the console how far it has come.
 *
 * Each processor's process dirties memory and reads it back, makes and drops mappings and
 * children (page tables come and go), sleeps by timers, and looks at the clock, which must
 * never go back.  Two more write a virtio disk and read it back, and have the gateway of a
 * virtio network card echo packets.  A line "load: WHO round R ok at T ms" each round, where
 * WHO is "cpu N", "disk" or "net"; "load: BAD …" ends it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define WORDS		(4 << 20 >> 3)
#define NAPS		20
#define BLOCK		(64 << 10)
#define BLOCKS		8
#define PINGS		5
#define REST_US		20000
#define PAYLOAD		1200

static int console, cpu;
static char who[16];

static void say(const char *fmt, unsigned long a, unsigned long b)
{
	char line[120];
	int n = snprintf(line, sizeof(line), fmt, who, a, b);

	if (write(console, line, n) != n)
		_exit(1);
}

static void bad(const char *what, unsigned long a, unsigned long b)
{
	char line[120];

	snprintf(line, sizeof(line), "load: BAD %%s: %s %%#lx %%#lx\n", what);
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

static void say_round(uint64_t round)
{
	say("load: %s round %lu ok at %lu ms\n", round, now() / 1000000);
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

	snprintf(who, sizeof(who), "cpu %d", cpu);
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
		say_round(round);
	}
}

static int open_disk(void)
{
	int fd, tries;

	for (tries = 0; tries < 500; tries++) {
		fd = open("/dev/vda", O_RDWR | O_DIRECT);
		if (fd >= 0)
			return fd;
		usleep(10000);
	}
	bad("no disk", errno, 0);
	return -1;
}

/* Blocks in an order that differs each round, past the page cache. */
static void load_disk(void)
{
	const int fd = open_disk();
	uint64_t *buf = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t round;
	int n, i;

	if (buf == MAP_FAILED)
		bad("mmap", 0, 0);
	for (round = 1; ; round++) {
		for (n = 0; n < BLOCKS; n++) {
			off_t at = (n * 5 + round) % BLOCKS * BLOCK;

			for (i = 0; i < BLOCK / 8; i++)
				buf[i] = word(round, at + i);
			if (pwrite(fd, buf, BLOCK, at) != BLOCK)
				bad("a write of the disk", errno, at);
		}
		if (fsync(fd))
			bad("fsync", errno, 0);
		for (n = 0; n < BLOCKS; n++) {
			off_t at = n * BLOCK;

			if (pread(fd, buf, BLOCK, at) != BLOCK)
				bad("a read of the disk", errno, at);
			for (i = 0; i < BLOCK / 8; i++)
				if (buf[i] != word(round, at + i))
					bad("the disk", buf[i], word(round, at + i));
		}
		say_round(round);
		usleep(REST_US);
	}
}

/* eth0 as QEMU's user network wants it, whose gateway is 10.0.2.2. */
static void set_up_net(void)
{
	const int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { .ifr_name = "eth0" };
	struct sockaddr_in *addr = (struct sockaddr_in *)&ifr.ifr_addr;
	int tries;

	addr->sin_family = AF_INET;
	addr->sin_addr.s_addr = inet_addr("10.0.2.15");
	for (tries = 0; ioctl(fd, SIOCSIFADDR, &ifr); tries++) {
		if (tries == 500)
			bad("no network card", errno, 0);
		usleep(10000);
	}
	addr->sin_addr.s_addr = inet_addr("255.255.255.0");
	if (ioctl(fd, SIOCSIFNETMASK, &ifr))
		bad("the network's mask", errno, 0);
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr))
		bad("the network", errno, 0);
	close(fd);
}

static uint16_t sum(const void *data, int bytes)
{
	const uint16_t *p = data;
	uint32_t s = 0;

	for (; bytes > 0; bytes -= 2)
		s += *p++;
	s = (s >> 16) + (s & 0xffff);
	return ~(s + (s >> 16));
}

/* Sends an echo request again until its answer is there: packets may be lost on a move. */
static void ping(int fd, uint16_t seq)
{
	const struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.0.2.2") };
	struct { struct icmphdr head; uint8_t data[PAYLOAD]; } out = {};
	struct { struct iphdr ip; struct icmphdr head; uint8_t data[PAYLOAD]; } in;
	int i;

	out.head.type = ICMP_ECHO;
	out.head.un.echo.id = htons(0x4b56);
	out.head.un.echo.sequence = htons(seq);
	for (i = 0; i < PAYLOAD; i++)
		out.data[i] = seq * 31 + i;
	out.head.checksum = sum(&out, sizeof(out));
	for (;;) {
		/* fails while the card is not ready, which is tried again, too */
		if (sendto(fd, &out, sizeof(out), 0, (const struct sockaddr *)&to, sizeof(to)) < 0)
			usleep(100000);
		while (recv(fd, &in, sizeof(in), 0) == sizeof(in)) {
			if (in.head.type != ICMP_ECHOREPLY || in.head.un.echo.sequence != htons(seq))
				continue;
			if (memcmp(in.data, out.data, PAYLOAD))
				bad("an echo", seq, 0);
			return;
		}
	}
}

static void load_net(void)
{
	const int fd = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
	const struct timeval patience = { .tv_usec = 500000 };
	uint16_t seq = 0;
	uint64_t round;
	int i;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		bad("a socket", errno, 0);
	set_up_net();
	for (round = 1; ; round++) {
		for (i = 0; i < PINGS; i++)
			ping(fd, ++seq);
		say_round(round);
		usleep(REST_US);
	}
}

static void load_modules(void)
{
	FILE *order = fopen("/modules/order", "r");
	char name[100], path[120];
	int fd;

	while (order && fscanf(order, "%99s", name) == 1) {
		snprintf(path, sizeof(path), "/modules/%s", name);
		fd = open(path, O_RDONLY);
		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			bad("a module", errno, 0);
		close(fd);
	}
}

static void start(const char *name, void (*work)(void))
{
	if (!fork()) {
		strcpy(who, name);
		work();
	}
}

int main(void)
{
	int n;

	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	console = open("/dev/ttyS0", O_WRONLY);
	strcpy(who, "init");
	load_modules();
	start("disk", load_disk);
	start("net", load_net);
	n = get_nprocs();
	for (cpu = 1; cpu < n; cpu++)
		if (!fork())
			load();
	cpu = 0;
	load();
}
