// SPDX-License-Identifier: GPL-2.0-only
/*
 * Statistics: the counters of VMs and vcpus in debugfs, one directory for each
 * VM and totals of all VMs since the module was loaded, and as the files that
 * KVM_GET_STATS_FD opens; and where the tracepoints are defined.
 */
#include "kvm_host.h"
#include "kvm_vm.h"
#include "kvm_request.h"
#include "kvm_stats.h"

#include <linux/anon_inodes.h>
#include <linux/debugfs.h>
#include <linux/file.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

#define CREATE_TRACE_POINTS
#include "trace.h"

struct dentry *kvm_debugfs_dir;

/* All VMs, and the counts of those that are gone. */
static DEFINE_MUTEX(stats_lock);
static struct list_head vms __kvm_guarded_by(stats_lock) = LIST_HEAD_INIT(vms);
static struct kvm_vcpu_stat dead_vcpu_stat __kvm_guarded_by(stats_lock);
static struct kvm_vm_stat dead_vm_stat __kvm_guarded_by(stats_lock);

/*
 * ---- the counters ----
 */

#define NAME_SIZE	48

/* As it is in the file: the name follows its descriptor. */
struct stats_row {
	struct kvm_stats_desc desc;
	char name[NAME_SIZE];
};

static_assert(sizeof(struct stats_row) == sizeof(struct kvm_stats_desc) + NAME_SIZE);

#define ROW(type, field, kind)	{						\
	.desc = {								\
		.flags = KVM_STATS_TYPE_##kind | KVM_STATS_UNIT_NONE |		\
			 KVM_STATS_BASE_POW10,					\
		.size = 1,							\
		.offset = offsetof(struct type, field),				\
	},									\
	.name = #field,								\
},
#define VCPU_ROW(field)	ROW(kvm_vcpu_stat, field, CUMULATIVE)
#define VM_COUNTER(field)	ROW(kvm_vm_stat, field, CUMULATIVE)
#define VM_GAUGE(field)	ROW(kvm_vm_stat, field, INSTANT)

static const struct stats_row vcpu_rows[] = { KVM_VCPU_STATS(VCPU_ROW) };
static const struct stats_row vm_rows[] = { KVM_VM_COUNTERS(VM_COUNTER) KVM_VM_GAUGES(VM_GAUGE) };

static_assert(sizeof(struct kvm_vcpu_stat) == ARRAY_SIZE(vcpu_rows) * sizeof(u64));
static_assert(sizeof(struct kvm_vm_stat) == ARRAY_SIZE(vm_rows) * sizeof(u64));

static bool is_vm_row(const struct stats_row *row)
{
	return row >= vm_rows && row < vm_rows + ARRAY_SIZE(vm_rows);
}

static u64 value_at(const void *stat, const struct stats_row *row)
{
	return READ_ONCE(*(const u64 *)(stat + row->desc.offset));
}

/* A vcpu's counter is summed over the VM. */
static u64 vm_value(struct kvm *kvm, const struct stats_row *row)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	u64 sum = 0;

	if (is_vm_row(row))
		return value_at(&kvm->stat, row);
	kvm_for_each_vcpu(i, vcpu, kvm)
		sum += value_at(&vcpu->stat, row);
	return sum;
}

/** kvm_for_each_vm - call @fn for every VM; it may sleep, and no VM goes away meanwhile */
void kvm_for_each_vm(void (*fn)(struct kvm *kvm))
{
	struct kvm *kvm;

	mutex_lock(&stats_lock);
	list_for_each_entry(kvm, &vms, vm_list)
		fn(kvm);
	mutex_unlock(&stats_lock);
}

/** kvm_try_vms - call @fn for one VM after another, until it returns true for one, which is the
 * last that is asked next time.  For reclaim: returns false at once if it would have to wait for
 * the list.  @fn does not allocate.
 */
bool kvm_try_vms(bool (*fn)(struct kvm *kvm, void *arg), void *arg)
{
	struct kvm *kvm;

	if (!mutex_trylock(&stats_lock))
		return false;
	list_for_each_entry(kvm, &vms, vm_list) {
		if (!fn(kvm, arg))
			continue;
		list_move_tail(&kvm->vm_list, &vms);
		break;
	}
	mutex_unlock(&stats_lock);
	return true;
}

/*
 * ---- debugfs ----
 */

static ssize_t print_value(u64 val, char __user *buf, size_t count, loff_t *pos)
{
	char text[24];
	int n = scnprintf(text, sizeof(text), "%llu\n", val);

	return simple_read_from_buffer(buf, count, pos, text, n);
}

static ssize_t total_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	const struct stats_row *row = file->private_data;
	struct kvm *kvm;
	u64 val;

	mutex_lock(&stats_lock);
	val = is_vm_row(row) ? value_at(&dead_vm_stat, row) : value_at(&dead_vcpu_stat, row);
	list_for_each_entry(kvm, &vms, vm_list)
		val += vm_value(kvm, row);
	mutex_unlock(&stats_lock);
	return print_value(val, buf, count, pos);
}

/* The directory knows the VM; debugfs keeps it from going while we read. */
static ssize_t vm_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct kvm *kvm = d_inode(file->f_path.dentry->d_parent)->i_private;

	return print_value(vm_value(kvm, file->private_data), buf, count, pos);
}

/* For tests: the VM whose directory is named dies as it would of an internal error. */
static ssize_t die_write(struct file *file, const char __user *buf, size_t count, loff_t *pos)
{
	ssize_t r = -ENOENT;
	char name[32] = {};
	struct kvm *kvm;

	if (count >= sizeof(name) || copy_from_user(name, buf, count))
		return -EINVAL;
	mutex_lock(&stats_lock);
	list_for_each_entry(kvm, &vms, vm_list) {
		const struct dentry *dir = smp_load_acquire(&kvm->debugfs_dentry);

		if (!dir || strcmp(dir->d_name.name, strim(name)))
			continue;
		kvm_vm_dead(kvm, "asked to, in debugfs");
		r = count;
	}
	mutex_unlock(&stats_lock);
	return r;
}

static const struct file_operations die_fops = {
	.open = simple_open,
	.write = die_write,
	.llseek = noop_llseek,
};

static const struct file_operations total_fops = {
	.open = simple_open,
	.read = total_read,
	.llseek = default_llseek,
};

static const struct file_operations vm_fops = {
	.open = simple_open,
	.read = vm_read,
	.llseek = default_llseek,
};

static void create_files(struct dentry *dir, const struct file_operations *fops)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(vcpu_rows); i++)
		debugfs_create_file(vcpu_rows[i].name, 0444, dir, (void *)&vcpu_rows[i], fops);
	for (i = 0; i < ARRAY_SIZE(vm_rows); i++)
		debugfs_create_file(vm_rows[i].name, 0444, dir, (void *)&vm_rows[i], fops);
}

/** kvm_stats_publish - a VM's directory in debugfs, named by @fd, until kvm_stats_retire() */
void kvm_stats_publish(struct kvm *kvm, int fd)
{
	char name[32];
	struct dentry *dir;

	snprintf(name, sizeof(name), "%d-%d", task_pid_nr(current), fd);
	/* Another's, whose file is closed and whose vcpus' are not, has it still. */
	dir = debugfs_lookup(name, kvm_debugfs_dir);
	if (dir) {
		dput(dir);
		return;
	}
	dir = debugfs_create_dir(name, kvm_debugfs_dir);
	if (IS_ERR(dir))
		return;
	d_inode(dir)->i_private = kvm;
	create_files(dir, &vm_fops);
	smp_store_release(&kvm->debugfs_dentry, dir);
}

/** kvm_stats_add - a VM counts in the totals from here on */
void kvm_stats_add(struct kvm *kvm)
{
	mutex_lock(&stats_lock);
	list_add(&kvm->vm_list, &vms);
	mutex_unlock(&stats_lock);
}

/** kvm_stats_retire - a VM goes, its vcpus still there; its counts stay in the totals */
void kvm_stats_retire(struct kvm *kvm)
{
	int i;

	mutex_lock(&stats_lock);
	list_del(&kvm->vm_list);
	for (i = 0; i < ARRAY_SIZE(vcpu_rows); i++)
		((u64 *)&dead_vcpu_stat)[i] += vm_value(kvm, &vcpu_rows[i]);
	for (i = 0; i < ARRAY_SIZE(vm_rows); i++)
		((u64 *)&dead_vm_stat)[i] += vm_value(kvm, &vm_rows[i]);
	mutex_unlock(&stats_lock);
	/* After that: who walks the list reads the directory's name. */
	debugfs_remove(kvm->debugfs_dentry);
}

/** kvm_stats_init - the module is loaded: its directory in debugfs */
void kvm_stats_init(void)
{
	kvm_debugfs_dir = debugfs_create_dir("kvm", NULL);
	create_files(kvm_debugfs_dir, &total_fops);
	debugfs_create_file("die", 0200, kvm_debugfs_dir, NULL, &die_fops);
}

/** kvm_stats_exit - the module goes */
void kvm_stats_exit(void)
{
	debugfs_remove(kvm_debugfs_dir);
}

/*
 * ---- KVM_GET_STATS_FD ----
 *
 * A header; the name of whom it is about; the descriptors; the values.
 */

static const struct kvm_stats_header vm_header = {
	.name_size = NAME_SIZE,
	.num_desc = ARRAY_SIZE(vm_rows),
	.id_offset = sizeof(struct kvm_stats_header),
	.desc_offset = sizeof(struct kvm_stats_header) + NAME_SIZE,
	.data_offset = sizeof(struct kvm_stats_header) + NAME_SIZE + sizeof(vm_rows),
};

static const struct kvm_stats_header vcpu_header = {
	.name_size = NAME_SIZE,
	.num_desc = ARRAY_SIZE(vcpu_rows),
	.id_offset = sizeof(struct kvm_stats_header),
	.desc_offset = sizeof(struct kvm_stats_header) + NAME_SIZE,
	.data_offset = sizeof(struct kvm_stats_header) + NAME_SIZE + sizeof(vcpu_rows),
};

/* The part of @size bytes that lies at @at of the file, as far as it is asked for. */
static int read_part(const void *part, size_t at, size_t size, char __user *buf, size_t count,
		     loff_t pos, size_t *done)
{
	size_t from = pos + *done - at, n;

	if (*done == count || pos + *done < at || from >= size)
		return 0;
	n = min(count - *done, size - from);
	if (copy_to_user(buf + *done, part + from, n))
		return -EFAULT;
	*done += n;
	return 0;
}

static ssize_t read_stats(const struct kvm_stats_header *head, const char *id,
			  const struct stats_row *rows, const void *stat,
			  char __user *buf, size_t count, loff_t *pos)
{
	const struct { const void *p; size_t at, size; } parts[] = {
		{ head, 0, sizeof(*head) },
		{ id, head->id_offset, NAME_SIZE },
		{ rows, head->desc_offset, head->num_desc * sizeof(*rows) },
		{ stat, head->data_offset, head->num_desc * sizeof(u64) },
	};
	size_t done = 0;
	int i;

	if (*pos < 0)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(parts); i++)
		if (read_part(parts[i].p, parts[i].at, parts[i].size, buf, count, *pos, &done))
			return -EFAULT;
	*pos += done;
	return done;
}

static ssize_t vm_stats_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct kvm *kvm = file->private_data;
	struct kvm_vm_stat stat = kvm->stat;
	char id[NAME_SIZE] = {};

	snprintf(id, sizeof(id), "kvm-%d", kvm->creator);
	return read_stats(&vm_header, id, vm_rows, &stat, buf, count, pos);
}

static ssize_t vcpu_stats_read(struct file *file, char __user *buf, size_t count, loff_t *pos)
{
	struct kvm_vcpu *vcpu = file->private_data;
	/* A copy: nothing of the vcpu itself goes to userspace. */
	struct kvm_vcpu_stat stat = vcpu->stat;
	char id[NAME_SIZE] = {};

	snprintf(id, sizeof(id), "kvm-%d/vcpu-%d", vcpu->kvm->creator, vcpu->vcpu_id);
	return read_stats(&vcpu_header, id, vcpu_rows, &stat, buf, count, pos);
}

static int vm_stats_release(struct inode *inode, struct file *file)
{
	kvm_put(file->private_data);
	return 0;
}

static int vcpu_stats_release(struct inode *inode, struct file *file)
{
	struct kvm_vcpu *vcpu = file->private_data;

	kvm_put(vcpu->kvm);
	return 0;
}

static struct file_operations vm_stats_fops = {
	.read = vm_stats_read,
	.release = vm_stats_release,
	.llseek = noop_llseek,
};

static struct file_operations vcpu_stats_fops = {
	.read = vcpu_stats_read,
	.release = vcpu_stats_release,
	.llseek = noop_llseek,
};

/* The file holds the VM, and so all its vcpus. */
static long open_stats(struct kvm *kvm, const char *name, const struct file_operations *fops,
		       void *private)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;

	if (fd < 0)
		return fd;
	file = anon_inode_getfile(name, fops, private, O_RDONLY);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		return PTR_ERR(file);
	}
	file->f_mode |= FMODE_PREAD;
	refcount_inc(&kvm->users);
	fd_install(fd, file);
	return fd;
}

/** kvm_vm_get_stats_fd - KVM_GET_STATS_FD of a VM, which it holds, or -EMFILE, -ENOMEM */
long kvm_vm_get_stats_fd(struct kvm *kvm)
{
	return open_stats(kvm, "kvm-vm-stats", &vm_stats_fops, kvm);
}

/** kvm_vcpu_get_stats_fd - KVM_GET_STATS_FD of a vcpu, whose VM it holds, or -EMFILE, -ENOMEM */
long kvm_vcpu_get_stats_fd(struct kvm_vcpu *vcpu)
{
	return open_stats(vcpu->kvm, "kvm-vcpu-stats", &vcpu_stats_fops, vcpu);
}

/** kvm_stats_set_owner - which module the descriptors of KVM_GET_STATS_FD hold: the vendor's */
void kvm_stats_set_owner(struct module *owner)
{
	vm_stats_fops.owner = owner;
	vcpu_stats_fops.owner = owner;
}
