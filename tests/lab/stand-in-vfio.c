// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel module for tests/lab/t/vfio.sh, where the lab host has no IOMMU: two files of
 * which it says what VFIO says of its own, /dev/vfio-coherent and /dev/vfio-noncoherent.
 */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/vfio.h>

static const struct file_operations coherent_fops = { .owner = THIS_MODULE };
static const struct file_operations noncoherent_fops = { .owner = THIS_MODULE };

static struct miscdevice coherent_dev = {
	.minor = MISC_DYNAMIC_MINOR, .name = "vfio-coherent", .fops = &coherent_fops,
};
static struct miscdevice noncoherent_dev = {
	.minor = MISC_DYNAMIC_MINOR, .name = "vfio-noncoherent", .fops = &noncoherent_fops,
};

/* misc_open() leaves the device in private_data. */
static struct miscdevice *device_of(struct file *file)
{
	if (file->f_op != &coherent_fops && file->f_op != &noncoherent_fops)
		return NULL;
	return file->private_data;
}

bool vfio_file_is_group(struct file *file)
{
	return device_of(file);
}
EXPORT_SYMBOL_GPL(vfio_file_is_group);

/* 6.1 has no such function, nor a declaration. */
bool vfio_file_is_valid(struct file *file);
bool vfio_file_is_valid(struct file *file)
{
	return device_of(file);
}
EXPORT_SYMBOL_GPL(vfio_file_is_valid);

bool vfio_file_enforced_coherent(struct file *file)
{
	return device_of(file) == &coherent_dev;
}
EXPORT_SYMBOL_GPL(vfio_file_enforced_coherent);

static int __init stand_in_init(void)
{
	int r = misc_register(&coherent_dev);

	if (r)
		return r;
	r = misc_register(&noncoherent_dev);
	if (r)
		misc_deregister(&coherent_dev);
	return r;
}
module_init(stand_in_init);

static void __exit stand_in_exit(void)
{
	misc_deregister(&noncoherent_dev);
	misc_deregister(&coherent_dev);
}
module_exit(stand_in_exit);

MODULE_DESCRIPTION("Stands in for VFIO, for a test");
MODULE_LICENSE("GPL");
