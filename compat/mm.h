/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest memory, and the notifier that follows it. */
#ifndef KVM_COMPAT_MM_H
#define KVM_COMPAT_MM_H

/* Let any signal, not only a fatal one, end a wait for a page: since 6.2. */
#ifndef HAVE_FOLL_INTERRUPTIBLE
#define FOLL_INTERRUPTIBLE	0
#endif

/* vm_flags is const and has an accessor since 6.3. */
#ifndef HAVE_VM_FLAGS_SET
#define vm_flags_set(vma, flags)	((vma)->vm_flags |= (flags))
#define vm_flags_clear(vma, flags)	((vma)->vm_flags &= ~(flags))
#endif

/*
 * A shrinker is the kernel's to allocate since 6.7.  One that could not be registered, for want of
 * memory, is as good, but is never asked; the kernel knows that when it is unregistered.
 */
#ifndef HAVE_SHRINKER_ALLOC
#define shrinker_alloc(flags, name)						\
({										\
	struct shrinker *shrinker_ = kzalloc(sizeof(*shrinker_), GFP_KERNEL);	\
										\
	if (shrinker_)								\
		shrinker_->seeks = DEFAULT_SEEKS;				\
	shrinker_;								\
})
#define shrinker_register(shrinker)	((void)register_shrinker(shrinker, "kvm-mmu"))
#define shrinker_free(shrinker)							\
do {										\
	unregister_shrinker(shrinker);						\
	kfree(shrinker);							\
} while (0)
#endif

/* What the notifier's three questions for young pages return: bool since 7.1. */
#ifdef HAVE_YOUNG_BOOL
#define kvm_young_t	bool
#else
#define kvm_young_t	int
#endif

/* A file in memory without any of the flags of a mapping, which have a type since 6.19. */
#ifdef HAVE_VMA_FLAGS_T
#define kvm_shmem_file(name, size)	shmem_file_setup(name, size, EMPTY_VMA_FLAGS)
#else
#define kvm_shmem_file(name, size)	shmem_file_setup(name, size, 0)
#endif

/*
 * May page tables be read in place?  Not where they may lie in high memory;
 * pte_offset_map() would know, but is not there for modules since 6.5.
 */
#define KVM_HOST_TABLES_MAPPED	(!IS_ENABLED(CONFIG_HIGHPTE))

#endif
