// SPDX-License-Identifier: GPL-2.0-only
/*
 * When the host is short of memory, the tables of VMs go that their vcpus have not used for
 * some time: a fault makes them again.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "mmu_internal.h"
#include "kvm_vm.h"

#include <linux/shrinker.h>

/* What a VM keeps: it would be back at once. */
#define TABLES_KEPT	64UL

static struct shrinker *shrinker;

static unsigned long tables_to_spare(struct kvm *kvm)
{
	unsigned long n = kvm_ops.nested_paging ? atomic_long_read(&kvm->nested_tables) :
						  READ_ONCE(kvm->n_used_pages);

	return n > TABLES_KEPT ? n - TABLES_KEPT : 0;
}

static bool count_tables(struct kvm *kvm, void *sum)
{
	*(unsigned long *)sum += tables_to_spare(kvm);
	return false;
}

static unsigned long count(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long sum = 0;

	kvm_try_vms(count_tables, &sum);
	return sum ?: SHRINK_EMPTY;
}

/* Bounded work, of one VM; the next call begins with another. */
static bool evict_tables(struct kvm *kvm, void *evicted)
{
	if (!tables_to_spare(kvm))
		return false;
	*(unsigned long *)evicted = kvm_ops.nested_paging ? nested_evict_unused(kvm) :
							    mmu_evict_unused(kvm);
	return true;
}

static unsigned long scan(struct shrinker *s, struct shrink_control *sc)
{
	unsigned long evicted = 0;

	/* False: somebody is at the list, whom reclaim must not wait for. */
	return kvm_try_vms(evict_tables, &evicted) ? evicted : SHRINK_STOP;
}

/** mmu_shrink_init - the module is loaded. Returns 0 or -ENOMEM. */
int mmu_shrink_init(void)
{
	shrinker = shrinker_alloc(0, "kvm-mmu");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count;
	shrinker->scan_objects = scan;
	shrinker_register(shrinker);
	return 0;
}

/** mmu_shrink_exit - no VM is left. */
void mmu_shrink_exit(void)
{
	shrinker_free(shrinker);
}
