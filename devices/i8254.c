// SPDX-License-Identifier: GPL-2.0-only
/*
 * The 8254 timer of a PC (PIT): three counters at ports 0x40-0x43, and port 0x61 with
 * counter 2's gate and the speaker.
 *
 * "8254" is Intel's data sheet of the Programmable Interval Timer.  Nothing counts
 * here: a count is computed from the time since it was loaded, and an hrtimer is
 * counter 0's output, which is GSI 0.
 */
#include "kvm_host.h"
#include "kvm_irq.h"
#include "kvm_request.h"

#include <linux/hrtimer.h>
#include <linux/ktime.h>
#include <linux/math64.h>
#include <linux/nospec.h>
#include <linux/uaccess.h>

#define PIT_HZ		1193182
#define COUNTERS	3
#define MAX_COUNT	0x10000		/* what a count of 0 means */
/* The guest may program 838 ns, which would leave the host no time. */
#define MIN_PERIOD_NS	(100 * NSEC_PER_USEC)
/* The most ticks that are reinjected after the guest was stalled. */
#define MAX_PENDING	100000
#define STATE_FLAGS	(KVM_PIT_FLAGS_HPET_LEGACY | KVM_PIT_FLAGS_SPEAKER_DATA_ON)

#define PORT_COUNTERS	0x40
#define PORT_CONTROL	0x43
#define PORT_SPEAKER	0x61
#define REFRESH_NS	15085		/* half a period of the DRAM refresh's signal */

/* counter->s.rw_mode, and read_state and write_state, which have one more */
enum { RW_LATCH, RW_LSB, RW_MSB, RW_WORD, RW_WORD_MSB, RW_STATES };

struct counter {
	struct kvm_pit_channel_state s;	/* count_load_time: CLOCK_MONOTONIC, ns */
	bool untriggered;		/* modes 1 and 5: no edge of the gate yet */
	bool null_count;		/* a mode was written, its count not yet */
	u64 frozen;			/* gate low: ns that had passed until then */
};

struct kvm_pit {
	struct kvm_io_device dev;
	struct kvm *kvm;
	spinlock_t lock;		/* all below; not held while a GSI is asserted */
	struct counter counter[COUNTERS] __kvm_guarded_by(pit_lock);
	u32 flags __kvm_guarded_by(pit_lock);	/* KVM_PIT_FLAGS_* */

	struct hrtimer timer;
	bool running __kvm_guarded_by(pit_lock);	/* the timer is to fire, at expires */
	ktime_t expires __kvm_guarded_by(pit_lock);
	u64 period __kvm_guarded_by(pit_lock);	/* ns; 0: once */

	bool reinject __kvm_guarded_by(pit_lock);	/* missed ticks are made up for */
	bool acked __kvm_guarded_by(pit_lock);	/* the guest has acknowledged the last tick */
	u32 pending __kvm_guarded_by(pit_lock);	/* ticks not acknowledged, the last one included */
};

/*
 * ---- counting ----
 */

static u64 ticks_to_ns(u64 ticks)
{
	return mul_u64_u32_div(ticks, NSEC_PER_SEC, PIT_HZ);
}

static u64 ns_to_ticks(u64 ns)
{
	return mul_u64_u32_div(ns, PIT_HZ, NSEC_PER_SEC);
}

/* Digits above 9, which the guest may write, count as such. */
static u32 from_bcd(u32 raw)
{
	return (raw & 0xf) + ((raw >> 4) & 0xf) * 10 + ((raw >> 8) & 0xf) * 100 +
	       (raw >> 12) * 1000;
}

static u16 to_bcd(u32 val)
{
	return val % 10 | (val / 10 % 10) << 4 | (val / 100 % 10) << 8 | (val / 1000 % 10) << 12;
}

/* The count in ticks, 1 to 65536. */
static u32 initial_count(const struct counter *c)
{
	if (!c->s.bcd)
		return c->s.count ?: MAX_COUNT;
	return c->s.count == MAX_COUNT || !c->s.count ? 10000 : from_bcd(c->s.count);
}

/* 8254 "Gate": in modes 1 and 5 its rising edge starts the count, in others its level enables it. */
static bool gate_is_trigger(const struct counter *c)
{
	return c->s.mode == 1 || c->s.mode == 5;
}

static u64 elapsed_ns(const struct counter *c)
{
	s64 ns = ktime_get_ns() - c->s.count_load_time;

	if (!c->s.gate && !gate_is_trigger(c))
		return c->frozen;
	return ns > 0 ? ns : 0;
}

static u16 current_count(const struct counter *c)
{
	u32 count = initial_count(c), left, round = c->s.bcd ? 10000 : MAX_COUNT;
	u64 d = ns_to_ticks(elapsed_ns(c)), cycle;

	switch (c->s.mode) {
	case 2:
		div64_u64_rem(d, count, &cycle);
		left = count - cycle;
		break;
	case 3:
		/* It decrements by two, twice in a period. */
		div64_u64_rem(2 * d, count, &cycle);
		left = (count - cycle) & ~1U;
		break;
	default:
		/* After 0 it continues from the highest count. */
		div64_u64_rem(d, round, &cycle);
		left = (count + round - cycle) % round;
		break;
	}
	return c->s.bcd ? to_bcd(left % round) : left;
}

/* 8254 "Mode Definitions" */
static bool output(const struct counter *c)
{
	u32 count = initial_count(c);
	u64 d = ns_to_ticks(elapsed_ns(c)), cycle;

	switch (c->s.mode) {
	case 0:
		return !c->null_count && d >= count;
	case 1:
		return c->untriggered || d >= count;
	case 2:
		div64_u64_rem(d, count, &cycle);
		return !c->s.gate || cycle != count - 1;
	case 3:
		div64_u64_rem(d, count, &cycle);
		return !c->s.gate || cycle < (count + 1) / 2;
	default:
		return c->null_count || c->untriggered || d != count;
	}
}

/*
 * ---- the timer of counter 0 ----
 */

/* Lock held.  The handler may be running; then it finds that running is false. */
static void stop_timer(struct kvm_pit *pit)
	__kvm_must_hold(pit_lock)
{
	pit->running = false;
	hrtimer_try_to_cancel(&pit->timer);
}

/* Lock held.  By counter 0's state and its load time. */
static void start_timer(struct kvm_pit *pit)
	__kvm_must_hold(pit_lock)
{
	const struct counter *c = &pit->counter[0];
	u64 cycle = ticks_to_ns(initial_count(c)), passed = elapsed_ns(c), n = 0;
	bool periodic = c->s.mode == 2 || c->s.mode == 3;

	lockdep_assert_held(&pit->lock);
	stop_timer(pit);
	/* Counter 0's gate is tied high: in modes 1 and 5 there is no edge to start it. */
	if ((pit->flags & KVM_PIT_FLAGS_HPET_LEGACY) || c->null_count || gate_is_trigger(c))
		return;
	if (periodic)
		cycle = max_t(u64, cycle, MIN_PERIOD_NS);
	else if (passed >= cycle)
		return;
	if (passed >= cycle)
		n = div64_u64(passed, cycle);
	pit->period = periodic ? cycle : 0;
	pit->expires = ktime_add_ns(ktime_get(), (n + 1) * cycle - passed);
	pit->running = true;
	hrtimer_start(&pit->timer, pit->expires, HRTIMER_MODE_ABS);
}

/* Lock held. */
static void forget_ticks(struct kvm_pit *pit)
	__kvm_must_hold(pit_lock)
{
	pit->acked = true;
	pit->pending = 0;
}

/* Not under the lock.  An edge of GSI 0. */
static void tick(struct kvm_pit *pit)
{
	int r = kvm_set_irq(pit->kvm, KVM_IRQ_SOURCE_PIT, 0, true);
	unsigned long flags;

	kvm_set_irq(pit->kvm, KVM_IRQ_SOURCE_PIT, 0, false);
	kvm_lapic_pit_tick_nmi(pit->kvm);
	if (r >= 0)
		return;
	/* It was not accepted, so it will not be acknowledged, and is not reinjected. */
	spin_lock_irqsave(&pit->lock, flags);
	forget_ticks(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
}

/* Lock held.  Ticks are due; true: one can be injected now. */
static bool note_ticks(struct kvm_pit *pit, u64 ticks)
	__kvm_must_hold(pit_lock)
{
	if (!pit->reinject)
		return true;
	pit->pending = min_t(u64, pit->pending + ticks, MAX_PENDING);
	if (!pit->acked)
		return false;
	pit->acked = false;
	return true;
}

static enum hrtimer_restart timer_fires(struct hrtimer *timer)
{
	struct kvm_pit *pit = container_of(timer, struct kvm_pit, timer);
	unsigned long flags;
	bool now = false;
	u64 ticks = 1;
	s64 late;

	spin_lock_irqsave(&pit->lock, flags);
	late = ktime_to_ns(ktime_sub(ktime_get(), pit->expires));
	/* Stopped, or started anew, while this waited for the lock. */
	if (!pit->running || late < 0)
		goto out;
	pit->running = pit->period;
	if (pit->period) {
		ticks += div64_u64(late, pit->period);
		pit->expires = ktime_add_ns(pit->expires, ticks * pit->period);
		hrtimer_start(&pit->timer, pit->expires, HRTIMER_MODE_ABS);
	}
	now = note_ticks(pit, ticks);
out:
	spin_unlock_irqrestore(&pit->lock, flags);
	if (now)
		tick(pit);
	return HRTIMER_NORESTART;
}

/** kvm_pit_acked - the guest acknowledged a tick: reinject one, if any was missed */
void kvm_pit_acked(struct kvm_pit *pit)
{
	unsigned long flags;
	bool now = false;

	spin_lock_irqsave(&pit->lock, flags);
	pit->acked = true;
	if (pit->reinject && pit->pending && --pit->pending) {
		pit->acked = false;
		now = true;
	}
	spin_unlock_irqrestore(&pit->lock, flags);
	if (now)
		tick(pit);
}

/** kvm_pit_unmasked - the pin was unmasked: ticks before that are not reinjected */
void kvm_pit_unmasked(struct kvm_pit *pit)
{
	unsigned long flags;

	spin_lock_irqsave(&pit->lock, flags);
	forget_ticks(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
}

/** kvm_pit_wants_acks - does the PIT need kvm_pit_acked(), to reinject ticks? */
bool kvm_pit_wants_acks(const struct kvm_pit *pit)
{
	return READ_ONCE(pit->reinject);
}

/*
 * ---- registers; lock held ----
 */

static void load_count(struct kvm_pit *pit, struct counter *c, u16 raw)
	__kvm_must_hold(pit_lock)
{
	c->s.count = raw ?: MAX_COUNT;
	c->null_count = false;
	/* In modes 1 and 5 the gate's next edge starts it. */
	if (gate_is_trigger(c))
		return;
	c->s.count_load_time = ktime_get_ns();
	c->frozen = 0;
	if (c == &pit->counter[0])
		start_timer(pit);
}

static void set_gate(struct counter *c, bool gate)
{
	if (gate == c->s.gate)
		return;
	if (!gate) {
		c->frozen = elapsed_ns(c);
	} else if (c->s.mode == 0 || c->s.mode == 4) {
		c->s.count_load_time = ktime_get_ns() - c->frozen;
	} else {
		c->s.count_load_time = ktime_get_ns();
		c->untriggered = false;
	}
	c->s.gate = gate;
}

static void latch_count(struct counter *c)
{
	if (c->s.count_latched)
		return;
	c->s.latched_count = current_count(c);
	c->s.count_latched = c->s.rw_mode;
}

static void latch_status(struct counter *c)
{
	if (c->s.status_latched)
		return;
	c->s.status = output(c) << 7 | c->null_count << 6 | c->s.rw_mode << 4 | c->s.mode << 1 |
		      c->s.bcd;
	c->s.status_latched = 1;
}

/* 8254 "Read-Back Command": bits of counters are active high, those of count and status low. */
static void read_back(struct kvm_pit *pit, u8 val)
	__kvm_must_hold(pit_lock)
{
	int n;

	for (n = 0; n < COUNTERS; n++) {
		if (!(val & (2 << n)))
			continue;
		if (!(val & 0x20))
			latch_count(&pit->counter[n]);
		if (!(val & 0x10))
			latch_status(&pit->counter[n]);
	}
}

/* 8254 "Control Word Format" */
static void write_control(struct kvm_pit *pit, u8 val)
	__kvm_must_hold(pit_lock)
{
	u8 rw = (val >> 4) & 3, mode = (val >> 1) & 7;
	struct counter *c;

	if (val >> 6 == COUNTERS) {
		read_back(pit, val);
		return;
	}
	c = &pit->counter[array_index_nospec(val >> 6, COUNTERS)];
	if (rw == RW_LATCH) {
		latch_count(c);
		return;
	}
	c->s.rw_mode = c->s.read_state = c->s.write_state = rw;
	c->s.mode = mode > 5 ? mode & 3 : mode;
	c->s.bcd = val & 1;
	c->s.count_latched = c->s.status_latched = 0;
	c->null_count = true;
	c->untriggered = gate_is_trigger(c);
	if (val >> 6 == 0)
		stop_timer(pit);
}

static void write_count(struct kvm_pit *pit, struct counter *c, u8 val)
	__kvm_must_hold(pit_lock)
{
	switch (c->s.write_state) {
	case RW_LSB:
		load_count(pit, c, val);
		break;
	case RW_MSB:
		load_count(pit, c, val << 8);
		break;
	case RW_WORD:
		c->s.write_latch = val;
		c->s.write_state = RW_WORD_MSB;
		break;
	case RW_WORD_MSB:
		c->s.write_state = RW_WORD;
		load_count(pit, c, c->s.write_latch | val << 8);
		break;
	}
}

static u8 read_latched(struct counter *c)
{
	switch (c->s.count_latched) {
	case RW_LSB:
		c->s.count_latched = 0;
		return c->s.latched_count;
	case RW_MSB:
		c->s.count_latched = 0;
		return c->s.latched_count >> 8;
	default:
		c->s.count_latched = RW_MSB;
		return c->s.latched_count;
	}
}

static u8 read_count(struct counter *c)
{
	u16 count;

	if (c->s.status_latched) {
		c->s.status_latched = 0;
		return c->s.status;
	}
	if (c->s.count_latched)
		return read_latched(c);
	count = current_count(c);
	switch (c->s.read_state) {
	case RW_MSB:
		return count >> 8;
	case RW_WORD:
		c->s.read_state = RW_WORD_MSB;
		return count;
	case RW_WORD_MSB:
		c->s.read_state = RW_WORD;
		return count >> 8;
	default:
		return count;
	}
}

static u8 read_speaker(struct kvm_pit *pit)
	__kvm_must_hold(pit_lock)
{
	struct counter *c = &pit->counter[2];
	u8 refresh = div_u64(ktime_get_ns(), REFRESH_NS) & 1;

	return c->s.gate | !!(pit->flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON) << 1 |
	       refresh << 4 | output(c) << 5;
}

static void write_speaker(struct kvm_pit *pit, u8 val)
	__kvm_must_hold(pit_lock)
{
	set_gate(&pit->counter[2], val & 1);
	pit->flags &= ~KVM_PIT_FLAGS_SPEAKER_DATA_ON;
	if (val & 2)
		pit->flags |= KVM_PIT_FLAGS_SPEAKER_DATA_ON;
}

/*
 * ---- ports ----
 */

static struct counter *port_counter(struct kvm_pit *pit, u64 port)
	__kvm_must_hold(pit_lock)
{
	return &pit->counter[array_index_nospec(port - PORT_COUNTERS, COUNTERS)];
}

static u8 read_port(struct kvm_pit *pit, u64 port)
	__kvm_must_hold(pit_lock)
{
	switch (port) {
	case PORT_SPEAKER:
		return read_speaker(pit);
	case PORT_CONTROL:
		return 0;
	default:
		return read_count(port_counter(pit, port));
	}
}

static void write_port(struct kvm_pit *pit, u64 port, u8 val)
	__kvm_must_hold(pit_lock)
{
	switch (port) {
	case PORT_SPEAKER:
		write_speaker(pit, val);
		break;
	case PORT_CONTROL:
		write_control(pit, val);
		break;
	default:
		write_count(pit, port_counter(pit, port), val);
	}
}

/* The ports are 8 bits wide: wider accesses are split, as on the ISA bus. */
static bool pit_read(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 port, int len, u8 *val)
{
	struct kvm_pit *pit = container_of(dev, struct kvm_pit, dev);
	unsigned long flags;
	int i;

	spin_lock_irqsave(&pit->lock, flags);
	for (i = 0; i < len; i++)
		val[i] = read_port(pit, port + i);
	spin_unlock_irqrestore(&pit->lock, flags);
	return true;
}

static bool pit_write(struct kvm_vcpu *vcpu, struct kvm_io_device *dev, u64 port, int len,
		      const u8 *val)
{
	struct kvm_pit *pit = container_of(dev, struct kvm_pit, dev);
	unsigned long flags;
	int i;

	spin_lock_irqsave(&pit->lock, flags);
	for (i = 0; i < len; i++)
		write_port(pit, port + i, val[i]);
	spin_unlock_irqrestore(&pit->lock, flags);
	return true;
}

static const struct kvm_io_ops pit_ops = {
	.read = pit_read,
	.write = pit_write,
};

/*
 * ---- userspace's view ----
 */

static void get_state(struct kvm_pit *pit, struct kvm_pit_state2 *state)
{
	unsigned long flags;
	int n;

	memset(state, 0, sizeof(*state));
	spin_lock_irqsave(&pit->lock, flags);
	for (n = 0; n < COUNTERS; n++) {
		struct counter *c = &pit->counter[n];

		state->channels[n] = c->s;
		/* The load time of a stopped counter moves along, so that its count does not change. */
		if (!c->s.gate && !gate_is_trigger(c))
			state->channels[n].count_load_time = ktime_get_ns() - c->frozen;
	}
	state->flags = pit->flags;
	spin_unlock_irqrestore(&pit->lock, flags);
}

static bool counter_valid(const struct kvm_pit_channel_state *s)
{
	return s->count <= MAX_COUNT && s->count_latched <= RW_WORD && s->status_latched <= 1 &&
	       s->read_state < RW_STATES && s->write_state < RW_STATES && s->rw_mode <= RW_WORD &&
	       s->mode <= 7 && s->bcd <= 1 && s->gate <= 1;
}

static bool state_valid(const struct kvm_pit_state2 *state)
{
	int n;

	for (n = 0; n < COUNTERS; n++)
		if (!counter_valid(&state->channels[n]))
			return false;
	/* The gates of counters 0 and 1 are tied high. */
	return state->channels[0].gate && state->channels[1].gate &&
	       !(state->flags & ~STATE_FLAGS) &&
	       !memchr_inv(state->reserved, 0, sizeof(state->reserved));
}

static void load_counter(struct counter *c, const struct kvm_pit_channel_state *s)
{
	s64 passed = ktime_get_ns() - (u64)s->count_load_time;

	c->s = *s;
	c->s.mode = s->mode > 5 ? s->mode & 3 : s->mode;
	c->untriggered = c->null_count = false;
	/* A load time in the future is taken for now. */
	if (passed < 0) {
		c->s.count_load_time = ktime_get_ns();
		passed = 0;
	}
	c->frozen = passed;
}

static int set_state(struct kvm_pit *pit, const struct kvm_pit_state2 *state)
{
	unsigned long flags;
	int n;

	if (!state_valid(state))
		return -EINVAL;
	spin_lock_irqsave(&pit->lock, flags);
	for (n = 0; n < COUNTERS; n++)
		load_counter(&pit->counter[n], &state->channels[n]);
	pit->flags = state->flags;
	forget_ticks(pit);
	start_timer(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	return 0;
}

/*
 * ---- creation and end ----
 */

static int register_ports(struct kvm *kvm, struct kvm_pit *pit, bool speaker)
{
	int r;

	mutex_lock(&kvm->io_lock);
	r = kvm_io_register(kvm, KVM_PIO_BUS, PORT_COUNTERS, COUNTERS + 1, &pit->dev);
	if (!r && speaker)
		r = kvm_io_register(kvm, KVM_PIO_BUS, PORT_SPEAKER, 1, &pit->dev);
	if (r)
		kvm_io_unregister(kvm, KVM_PIO_BUS, &pit->dev);
	mutex_unlock(&kvm->io_lock);
	return r;
}

/* The state before firmware has programmed anything. */
static void reset_counters(struct kvm_pit *pit)
	__kvm_must_hold(pit_lock)
{
	int n;

	for (n = 0; n < COUNTERS; n++) {
		struct counter *c = &pit->counter[n];

		c->s.mode = 0;
		c->s.gate = n != 2;
		c->s.count = MAX_COUNT;
		c->null_count = true;
	}
}

/* kvm->lock held. */
static struct kvm_pit *new_pit(struct kvm *kvm)
	__kvm_unshared
{
	struct kvm_pit *pit = kzalloc(sizeof(*pit), GFP_KERNEL_ACCOUNT);

	if (!pit)
		return NULL;
	spin_lock_init(&pit->lock);
	hrtimer_setup(&pit->timer, timer_fires, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	pit->kvm = kvm;
	pit->dev.ops = &pit_ops;
	pit->reinject = true;
	pit->acked = true;
	reset_counters(pit);
	return pit;
}

static int create(struct kvm *kvm, const struct kvm_pit_config *config)
	__kvm_must_hold(kvm_lock)
{
	struct kvm_pit *pit;
	int r;

	if (config->flags & ~KVM_PIT_SPEAKER_DUMMY)
		return -EINVAL;
	pit = new_pit(kvm);
	if (!pit)
		return -ENOMEM;
	r = register_ports(kvm, pit, config->flags & KVM_PIT_SPEAKER_DUMMY);
	if (r) {
		kfree(pit);
		return r;
	}
	smp_store_release(&kvm->pit, pit);
	kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
	return 0;
}

/** kvm_pit_destroy - free the PIT, if there is one; no vcpu runs any more */
void kvm_pit_destroy(struct kvm *kvm)
{
	struct kvm_pit *pit = kvm->pit;
	unsigned long flags;

	if (!pit)
		return;
	mutex_lock(&kvm->io_lock);
	kvm_io_unregister(kvm, KVM_PIO_BUS, &pit->dev);
	mutex_unlock(&kvm->io_lock);
	spin_lock_irqsave(&pit->lock, flags);
	stop_timer(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	hrtimer_cancel(&pit->timer);
	kvm->pit = NULL;
	kfree(pit);
}

/*
 * ---- the VM's calls ----
 */

/** kvm_vm_create_pit - KVM_CREATE_PIT, with KVM_PIT_SPEAKER_DUMMY: 0, -EEXIST, -ENOENT unless all
 * interrupt controllers are in the kernel, -EINVAL, -ENOMEM, -ENOSPC
 */
long kvm_vm_create_pit(struct kvm *kvm, const struct kvm_pit_config *config)
{
	long r;

	mutex_lock(&kvm->lock);
	if (kvm->pit)
		r = -EEXIST;
	else if (kvm->irqchip_mode != KVM_IRQCHIP_FULL)
		r = -ENOENT;
	else
		r = create(kvm, config);
	mutex_unlock(&kvm->lock);
	return r;
}

/** kvm_vm_create_pit2 - KVM_CREATE_PIT2: as kvm_vm_create_pit(), or -EFAULT */
long kvm_vm_create_pit2(struct kvm *kvm, const void __user *arg)
{
	struct kvm_pit_config config;

	if (copy_from_user(&config, arg, sizeof(config)))
		return -EFAULT;
	return kvm_vm_create_pit(kvm, &config);
}

/** kvm_vm_pit_state - KVM_GET_PIT2, KVM_SET_PIT2, and the old calls without flags
 * @arg: a struct kvm_pit_state2, of which struct kvm_pit_state is the beginning
 * @size: of either
 * @set: userspace's state is taken; ticks that are pending are dropped
 * Returns 0, -ENXIO without a PIT, -EFAULT, -EINVAL with nothing changed.
 */
long kvm_vm_pit_state(struct kvm *kvm, void __user *arg, unsigned int size, bool set)
{
	struct kvm_pit_state2 state;

	if (!smp_load_acquire(&kvm->pit))
		return -ENXIO;
	get_state(kvm->pit, &state);
	if (!set)
		return copy_to_user(arg, &state, size) ? -EFAULT : 0;
	if (copy_from_user(&state, arg, size))
		return -EFAULT;
	return set_state(kvm->pit, &state);
}

/** kvm_vm_reinject_control - KVM_REINJECT_CONTROL: 0, -ENXIO without a PIT, -EFAULT */
long kvm_vm_reinject_control(struct kvm *kvm, const void __user *arg)
{
	struct kvm_reinject_control control;
	struct kvm_pit *pit = smp_load_acquire(&kvm->pit);
	unsigned long flags;

	if (copy_from_user(&control, arg, sizeof(control)))
		return -EFAULT;
	if (!pit)
		return -ENXIO;
	spin_lock_irqsave(&pit->lock, flags);
	WRITE_ONCE(pit->reinject, control.pit_reinject);
	forget_ticks(pit);
	spin_unlock_irqrestore(&pit->lock, flags);
	kvm_make_all_vcpus_request(kvm, KVM_REQ_SCAN_IOAPIC);
	return 0;
}
