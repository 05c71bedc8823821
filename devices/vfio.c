// SPDX-License-Identifier: GPL-2.0-only
/*
 * KVM_DEV_TYPE_VFIO: the VMM tells which VFIO files (groups, or devices of their own) are
 * assigned to the VM.  What follows from it is about caches: does the IOMMU keep all DMA of
 * these devices coherent?  If not, the guest flushes caches and chooses memory types for
 * its device's sake, and both must work.
 *
 * VFIO is not told of the VM (vfio_file_set_kvm()): what it makes of that is for drivers
 * that know the kernel's own struct kvm, which this module's is not.
 */
#include "kvm_host.h"
#include "kvm_mmu.h"
#include "kvm_vfio.h"
#include "compat/vfio.h"

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

struct assigned_file {
	struct list_head link;
	struct file *file;
};

struct kvm_vfio {
	struct kvm *kvm;
	struct list_head files __kvm_guarded_by(kvm_lock);	/* of struct assigned_file */
};

/*
 * ---- what VFIO says ----
 *
 * A file of VFIO's holds its module; without the module there is no such file.
 */

static bool is_vfio_file(struct file *file)
{
	bool (*is_valid)(struct file *file) = symbol_get(vfio_file_is_valid);
	bool valid;

	if (!is_valid)
		return false;
	valid = is_valid(file);
	symbol_put(vfio_file_is_valid);
	return valid;
}

static bool always_coherent(struct file *file)
{
	bool (*coherent)(struct file *file) = symbol_get(vfio_file_enforced_coherent);
	bool r;

	if (!coherent)
		return false;
	r = coherent(file);
	symbol_put(vfio_file_enforced_coherent);
	return r;
}

/*
 * ---- the files of a VM ----
 */

static struct assigned_file *find_file(struct kvm_vfio *dev, const struct file *file)
	__kvm_must_hold(kvm_lock)
{
	struct assigned_file *p;

	list_for_each_entry(p, &dev->files, link)
		if (p->file == file)
			return p;
	return NULL;
}

/*
 * The files have changed.  All are asked, as before Linux 6.2 a group says that it is coherent until
 * it has a container.  VFIO's locks are taken inside kvm->lock.
 */
static void update_vm(struct kvm_vfio *dev)
	__kvm_must_hold(kvm_lock)
{
	struct assigned_file *p;
	bool noncoherent = false;

	list_for_each_entry(p, &dev->files, link)
		noncoherent |= !always_coherent(p->file);
	kvm_mmu_set_noncoherent_dma(dev->kvm, noncoherent);
}

/* Takes over the reference to the file, if it succeeds. */
static long add_file(struct kvm_vfio *dev, struct file *file)
{
	struct assigned_file *p;
	long r = -EEXIST;

	if (!is_vfio_file(file))
		return -EINVAL;
	p = kzalloc(sizeof(*p), GFP_KERNEL_ACCOUNT);
	if (!p)
		return -ENOMEM;
	p->file = file;
	mutex_lock(&dev->kvm->lock);
	if (!find_file(dev, file)) {
		list_add_tail(&p->link, &dev->files);
		update_vm(dev);
		r = 0;
	}
	mutex_unlock(&dev->kvm->lock);
	if (r)
		kfree(p);
	return r;
}

static long del_file(struct kvm_vfio *dev, const struct file *file)
{
	struct assigned_file *p;

	mutex_lock(&dev->kvm->lock);
	p = find_file(dev, file);
	if (p) {
		list_del(&p->link);
		update_vm(dev);
	}
	mutex_unlock(&dev->kvm->lock);
	if (!p)
		return -ENOENT;
	fput(p->file);
	kfree(p);
	return 0;
}

/*
 * ---- the device ----
 */

/** kvm_vfio_supported - whether this kernel has VFIO at all */
bool kvm_vfio_supported(void)
{
	return IS_ENABLED(CONFIG_VFIO);
}

/** kvm_vfio_create - a VM's VFIO device, which holds the VM, or an error pointer: -EBUSY if it has
 * one, -ENOMEM.  Takes kvm->lock.
 */
struct kvm_vfio *kvm_vfio_create(struct kvm *kvm)
{
	struct kvm_vfio *dev = kzalloc(sizeof(*dev), GFP_KERNEL_ACCOUNT);

	if (!dev)
		return ERR_PTR(-ENOMEM);
	dev->kvm = kvm;
	mutex_lock(&kvm->lock);
	INIT_LIST_HEAD(&dev->files);
	if (kvm->has_vfio) {
		mutex_unlock(&kvm->lock);
		kfree(dev);
		return ERR_PTR(-EBUSY);
	}
	kvm->has_vfio = true;
	refcount_inc(&kvm->users);
	mutex_unlock(&kvm->lock);
	return dev;
}

/** kvm_vfio_destroy - its descriptor is closed: no file is assigned any more, and the caller has
 * the reference to the VM.  Takes kvm->lock.
 */
void kvm_vfio_destroy(struct kvm_vfio *dev)
{
	struct assigned_file *p, *next;
	LIST_HEAD(files);

	mutex_lock(&dev->kvm->lock);
	list_splice_init(&dev->files, &files);
	update_vm(dev);
	dev->kvm->has_vfio = false;
	mutex_unlock(&dev->kvm->lock);
	list_for_each_entry_safe(p, next, &files, link) {
		fput(p->file);
		kfree(p);
	}
	kfree(dev);
}

/** kvm_vfio_vm - whose it is */
struct kvm *kvm_vfio_vm(const struct kvm_vfio *dev)
{
	return dev->kvm;
}

/** kvm_vfio_has_attr - KVM_HAS_DEVICE_ATTR of the VFIO device: 0 or -ENXIO */
long kvm_vfio_has_attr(struct kvm_vfio *dev, const struct kvm_device_attr *attr)
{
	if (attr->group != KVM_DEV_VFIO_FILE)
		return -ENXIO;
	return attr->attr == KVM_DEV_VFIO_FILE_ADD || attr->attr == KVM_DEV_VFIO_FILE_DEL ? 0 : -ENXIO;
}

/** kvm_vfio_get_attr - KVM_GET_DEVICE_ATTR of it: -ENXIO for an unknown one; none can be read: -EPERM */
long kvm_vfio_get_attr(struct kvm_vfio *dev, const struct kvm_device_attr *attr)
{
	return kvm_vfio_has_attr(dev, attr) ?: -EPERM;
}

/** kvm_vfio_set_attr - KVM_SET_DEVICE_ATTR of it: 0, -EFAULT, -EBADF for no descriptor, -ENXIO for an
 * unknown attribute; to add -EINVAL for no file of VFIO's, -EEXIST for one that is there, -ENOMEM;
 * to delete -ENOENT for one that is not.  Takes kvm->lock.
 */
long kvm_vfio_set_attr(struct kvm_vfio *dev, const struct kvm_device_attr *attr)
{
	s32 __user *argp = (s32 __user *)(unsigned long)attr->addr;
	struct file *file;
	long r = kvm_vfio_has_attr(dev, attr);
	s32 fd;

	if (r)
		return r;
	if (get_user(fd, argp))
		return -EFAULT;
	file = fget(fd);
	if (!file)
		return -EBADF;
	if (attr->attr == KVM_DEV_VFIO_FILE_ADD) {
		r = add_file(dev, file);
		if (!r)
			return 0;
	} else {
		r = del_file(dev, file);
	}
	fput(file);
	return r;
}
