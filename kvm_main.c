// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/kvm, VM and vcpu file descriptors, the dispatch of their ioctls, module
 * and vendor registration.
 */
#define pr_fmt(fmt) "kvm: " fmt

#include "kvm_host.h"
#include "kvm_caps.h"
#include "kvm_clock.h"
#include "kvm_cpuid.h"
#include "kvm_debug.h"
#include "kvm_dirty_ring.h"
#include "kvm_events.h"
#include "kvm_fpu.h"
#include "kvm_hardware.h"
#include "kvm_irq.h"
#include "kvm_lapic.h"
#include "kvm_memslot.h"
#include "kvm_mmu.h"
#include "kvm_msr.h"
#include "kvm_perf.h"
#include "kvm_pv.h"
#include "kvm_regs.h"
#include "kvm_request.h"
#include "kvm_stats.h"
#include "kvm_vcpu.h"
#include "kvm_vfio.h"
#include "kvm_vm.h"

#include <linux/anon_inodes.h>
#include <linux/compat.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/uaccess.h>

MODULE_AUTHOR("The kvm module's authors");
MODULE_DESCRIPTION("Kernel-based Virtual Machine: core");
MODULE_LICENSE("GPL");
MODULE_VERSION(KVM_MODULE_VERSION);
MODULE_ALIAS_MISCDEV(KVM_MINOR);
MODULE_ALIAS("devname:kvm");

struct kvm_arch_ops kvm_ops;
EXPORT_SYMBOL_GPL(kvm_ops);

#define DEFINE_CALL(op) \
	DEFINE_STATIC_CALL_NULL(kvm_##op, *((struct kvm_arch_ops *)NULL)->op);
KVM_HOT_OPS(DEFINE_CALL)

/*
 * ---- dispatch ----
 *
 * Three tables of one form, for /dev/kvm, VMs and vcpus.  A row is the call, how
 * its argument comes, and the expression that answers it.  FIXED: the structure
 * whose size and direction the call's number tells is in buf, copied in before
 * and out after.  RAW: the number arg, or argp to what varies in size.
 */
enum ioctl_kind { UNKNOWN, RAW, FIXED };

#define CASE_KIND(cmd, kind, call)						\
	case cmd:								\
		BUILD_BUG_ON((kind) == FIXED && !_IOC_SIZE(cmd));		\
		return kind;
#define DEFINE_KIND(name, ROWS)							\
static enum ioctl_kind name(unsigned int cmd)					\
{										\
	switch (cmd) {								\
	ROWS(CASE_KIND)								\
	}									\
	return UNKNOWN;								\
}
#define CASE_CALL(cmd, kind, call)						\
	case cmd:								\
		return call;

/* Runs a row, with what locks it wants; @buf is a FIXED one's. */
typedef long (*ioctl_fn)(void *obj, unsigned int cmd, void *buf, unsigned long arg);

/* Copy in, call, copy out. */
static long do_ioctl(enum ioctl_kind kind, ioctl_fn fn, void *obj, unsigned int cmd,
		     unsigned long arg)
{
	unsigned int size = _IOC_SIZE(cmd);
	void __user *argp = (void __user *)arg;
	u64 small[16];
	void *buf = small;
	long r = -EFAULT;

	if (kind == UNKNOWN)
		return -ENOTTY;
	if (kind == RAW)
		return fn(obj, cmd, NULL, arg);
	if (size > sizeof(small))
		buf = kmalloc(size, GFP_KERNEL_ACCOUNT);
	if (!buf)
		return -ENOMEM;
	if (!(_IOC_DIR(cmd) & _IOC_WRITE))
		memset(buf, 0, size);
	else if (copy_from_user(buf, argp, size))
		goto out;
	r = fn(obj, cmd, buf, arg);
	if (r >= 0 && (_IOC_DIR(cmd) & _IOC_READ) && copy_to_user(argp, buf, size))
		r = -EFAULT;
out:
	if (buf != small)
		kfree(buf);
	return r;
}

/*
 * ---- vcpus: ioctls ----
 */

/* All with the vcpu's mutex held, the vcpu loaded, and memslots locked for reading. */
#define VCPU_IOCTLS(X)								\
	X(KVM_GET_REGS, FIXED, kvm_vcpu_get_regs(vcpu, buf))			\
	X(KVM_SET_REGS, FIXED, kvm_vcpu_set_regs(vcpu, buf))			\
	X(KVM_GET_SREGS, FIXED, kvm_vcpu_get_sregs(vcpu, buf))			\
	X(KVM_SET_SREGS, FIXED, kvm_vcpu_set_sregs(vcpu, buf))			\
	X(KVM_GET_SREGS2, FIXED, kvm_vcpu_get_sregs2(vcpu, buf))		\
	X(KVM_SET_SREGS2, FIXED, kvm_vcpu_set_sregs2(vcpu, buf))		\
	X(KVM_INTERRUPT, FIXED, kvm_vcpu_interrupt(vcpu, buf))			\
	X(KVM_NMI, RAW, kvm_vcpu_nmi(vcpu))					\
	X(KVM_GET_FPU, FIXED, kvm_vcpu_get_fpu(vcpu, buf))			\
	X(KVM_SET_FPU, FIXED, kvm_vcpu_set_fpu(vcpu, buf))			\
	X(KVM_GET_XSAVE, RAW, kvm_vcpu_get_xsave(vcpu, argp))			\
	X(KVM_GET_XSAVE2, RAW, kvm_vcpu_get_xsave2(vcpu, argp))			\
	X(KVM_SET_XSAVE, RAW, kvm_vcpu_set_xsave(vcpu, argp))			\
	X(KVM_GET_XCRS, FIXED, kvm_vcpu_get_xcrs(vcpu, buf))			\
	X(KVM_SET_XCRS, FIXED, kvm_vcpu_set_xcrs(vcpu, buf))			\
	X(KVM_GET_DEBUGREGS, FIXED, kvm_vcpu_get_debugregs(vcpu, buf))		\
	X(KVM_SET_DEBUGREGS, FIXED, kvm_vcpu_set_debugregs(vcpu, buf))		\
	X(KVM_GET_VCPU_EVENTS, FIXED, kvm_vcpu_get_events(vcpu, buf))		\
	X(KVM_SET_VCPU_EVENTS, FIXED, kvm_vcpu_set_events(vcpu, buf))		\
	X(KVM_GET_MP_STATE, FIXED, kvm_vcpu_get_mp_state(vcpu, buf))		\
	X(KVM_SET_MP_STATE, FIXED, kvm_vcpu_set_mp_state(vcpu, buf))		\
	X(KVM_SET_GUEST_DEBUG, FIXED, kvm_vcpu_set_guest_debug(vcpu, buf))	\
	X(KVM_TRANSLATE, FIXED, kvm_vcpu_translate(vcpu, buf))			\
	X(KVM_PRE_FAULT_MEMORY, FIXED, kvm_vcpu_pre_fault(vcpu, buf))		\
	X(KVM_SET_VAPIC_ADDR, FIXED, kvm_vcpu_set_vapic_addr(vcpu, buf))	\
	X(KVM_TPR_ACCESS_REPORTING, FIXED, kvm_vcpu_tpr_access(vcpu, buf))	\
	X(KVM_GET_LAPIC, FIXED, kvm_vcpu_get_lapic(vcpu, buf))			\
	X(KVM_SET_LAPIC, FIXED, kvm_vcpu_set_lapic(vcpu, buf))			\
	X(KVM_X86_SETUP_MCE, FIXED, kvm_vcpu_setup_mce(vcpu, *(u64 *)buf))	\
	X(KVM_X86_SET_MCE, FIXED, kvm_vcpu_set_mce(vcpu, buf))			\
	X(KVM_HAS_DEVICE_ATTR, FIXED, kvm_vcpu_has_attr(vcpu, buf))		\
	X(KVM_GET_DEVICE_ATTR, FIXED, kvm_vcpu_get_attr(vcpu, buf))		\
	X(KVM_SET_DEVICE_ATTR, FIXED, kvm_vcpu_set_attr(vcpu, buf))		\
	X(KVM_ENABLE_CAP, FIXED, kvm_vcpu_enable_cap(vcpu, buf))		\
	X(KVM_GET_MSRS, RAW, kvm_vcpu_get_msrs(vcpu, argp))			\
	X(KVM_SET_MSRS, RAW, kvm_vcpu_set_msrs(vcpu, argp))			\
	X(KVM_GET_ONE_REG, FIXED, kvm_vcpu_get_one_reg(vcpu, buf))		\
	X(KVM_SET_ONE_REG, FIXED, kvm_vcpu_set_one_reg(vcpu, buf))		\
	X(KVM_SET_CPUID, RAW, kvm_vcpu_set_cpuid(vcpu, argp))			\
	X(KVM_SET_CPUID2, RAW, kvm_vcpu_set_cpuid2(vcpu, argp))			\
	X(KVM_GET_CPUID2, RAW, kvm_vcpu_get_cpuid2(vcpu, argp))			\
	X(KVM_SET_SIGNAL_MASK, RAW, kvm_vcpu_set_signal_mask(vcpu, argp))	\
	X(KVM_GET_TSC_KHZ, RAW, vcpu->virtual_tsc_khz)				\
	X(KVM_SET_TSC_KHZ, RAW, kvm_vcpu_set_tsc_khz(vcpu, arg))		\
	X(KVM_KVMCLOCK_CTRL, RAW, kvm_vcpu_kvmclock_ctrl(vcpu))			\
	X(KVM_GET_STATS_FD, RAW, kvm_vcpu_get_stats_fd(vcpu))

DEFINE_KIND(vcpu_ioctl_kind, VCPU_IOCTLS)

static long vcpu_ioctl_call(struct kvm_vcpu *vcpu, unsigned int cmd, void *buf, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	VCPU_IOCTLS(CASE_CALL)
	}
	return -ENOTTY;
}

static long vcpu_ioctl_locked(void *obj, unsigned int cmd, void *buf, unsigned long arg)
{
	struct kvm_vcpu *vcpu = obj;
	long r;

	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	kvm_vcpu_load(vcpu);
	kvm_vcpu_read_lock(vcpu);
	kvm_vcpu_settle(vcpu);
	r = vcpu_ioctl_call(vcpu, cmd, buf, arg);
	kvm_vcpu_read_unlock(vcpu);
	kvm_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return r;
}

/* The thread that others may yield to. */
static void update_vcpu_pid(struct kvm_vcpu *vcpu)
	__kvm_must_hold(vcpu_mutex)
{
	struct pid *old = rcu_dereference_protected(vcpu->pid, lockdep_is_held(&vcpu->mutex));

	if (likely(old == task_pid(current)))
		return;
	rcu_assign_pointer(vcpu->pid, get_task_pid(current, PIDTYPE_PID));
	if (old)
		synchronize_rcu();
	put_pid(old);
}

static long vcpu_run_ioctl(struct kvm_vcpu *vcpu, unsigned long arg)
{
	long r;

	if (arg)
		return -EINVAL;
	if (mutex_lock_killable(&vcpu->mutex))
		return -EINTR;
	update_vcpu_pid(vcpu);
	kvm_vcpu_load(vcpu);
	r = kvm_vcpu_run(vcpu);
	kvm_vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return r;
}

static long kvm_vcpu_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm_vcpu *vcpu = filp->private_data;

	if (vcpu->kvm->mm != current->mm || READ_ONCE(vcpu->kvm->dead))
		return -EIO;
	if (cmd == KVM_RUN)
		return vcpu_run_ioctl(vcpu, arg);
	if (cmd == KVM_DEBUG_GUEST)
		return -EINVAL;
	return do_ioctl(vcpu_ioctl_kind(cmd), vcpu_ioctl_locked, vcpu, cmd, arg);
}

static vm_fault_t kvm_vcpu_fault(struct vm_fault *vmf)
{
	struct kvm_vcpu *vcpu = vmf->vma->vm_file->private_data;
	struct page *page;

	if (vmf->pgoff == 0)
		page = virt_to_page(vcpu->run);
	else if (vmf->pgoff == KVM_PIO_PAGE_OFFSET)
		page = virt_to_page(vcpu->pio.data);
	else if (vmf->pgoff == KVM_COALESCED_MMIO_PAGE_OFFSET)
		page = virt_to_page(vcpu->kvm->coalesced_ring);
	else
		page = kvm_dirty_ring_page(vcpu, vmf->pgoff);
	if (!page)
		return VM_FAULT_SIGBUS;
	get_page(page);
	vmf->page = page;
	return 0;
}

static const struct vm_operations_struct kvm_vcpu_vm_ops = {
	.fault = kvm_vcpu_fault,
};

static int kvm_vcpu_mmap(struct file *file, struct vm_area_struct *vma)
{
	int r = 0;

	if (vma->vm_pgoff >= KVM_DIRTY_LOG_PAGE_OFFSET)
		r = kvm_dirty_ring_mmap(file->private_data, vma);
	else if (vma->vm_pgoff + vma_pages(vma) > KVM_VCPU_MMAP_PAGES)
		r = -EINVAL;
	if (r)
		return r;
	vma->vm_ops = &kvm_vcpu_vm_ops;
	return 0;
}

static int kvm_vcpu_release(struct inode *inode, struct file *filp)
{
	struct kvm_vcpu *vcpu = filp->private_data;

	kvm_put(vcpu->kvm);
	return 0;
}

static struct file_operations kvm_vcpu_fops = {
	.release = kvm_vcpu_release,
	.unlocked_ioctl = kvm_vcpu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = kvm_vcpu_mmap,
	.llseek = noop_llseek,
};

/*
 * ---- devices: ioctls ----
 */

#define DEVICE_IOCTLS(X)							\
	X(KVM_HAS_DEVICE_ATTR, FIXED, kvm_vfio_has_attr(dev, buf))		\
	X(KVM_GET_DEVICE_ATTR, FIXED, kvm_vfio_get_attr(dev, buf))		\
	X(KVM_SET_DEVICE_ATTR, FIXED, kvm_vfio_set_attr(dev, buf))

DEFINE_KIND(device_ioctl_kind, DEVICE_IOCTLS)

static long device_ioctl_call(void *obj, unsigned int cmd, void *buf, unsigned long arg)
{
	struct kvm_vfio *dev = obj;

	switch (cmd) {
	DEVICE_IOCTLS(CASE_CALL)
	}
	return -ENOTTY;
}

static long kvm_device_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = kvm_vfio_vm(filp->private_data);

	if (kvm->mm != current->mm || READ_ONCE(kvm->dead))
		return -EIO;
	return do_ioctl(device_ioctl_kind(cmd), device_ioctl_call, filp->private_data, cmd, arg);
}

static int kvm_device_release(struct inode *inode, struct file *filp)
{
	struct kvm *kvm = kvm_vfio_vm(filp->private_data);

	kvm_vfio_destroy(filp->private_data);
	kvm_put(kvm);
	return 0;
}

static struct file_operations kvm_device_fops = {
	.release = kvm_device_release,
	.unlocked_ioctl = kvm_device_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

/* The descriptor, with its file, or -errno. */
static int open_device(struct kvm *kvm, struct file **file)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct kvm_vfio *dev;

	if (fd < 0)
		return fd;
	dev = kvm_vfio_create(kvm);
	if (IS_ERR(dev)) {
		put_unused_fd(fd);
		return PTR_ERR(dev);
	}
	*file = anon_inode_getfile("kvm-vfio", &kvm_device_fops, dev, O_RDWR);
	if (IS_ERR(*file)) {
		put_unused_fd(fd);
		kvm_vfio_destroy(dev);
		kvm_put(kvm);
		return PTR_ERR(*file);
	}
	return fd;
}

/* KVM_CREATE_DEVICE: there is one type. */
static long kvm_vm_create_device(struct kvm *kvm, struct kvm_create_device __user *argp)
{
	struct kvm_create_device cd;
	struct file *file;
	int fd;

	if (copy_from_user(&cd, argp, sizeof(cd)))
		return -EFAULT;
	if (cd.flags & ~KVM_CREATE_DEVICE_TEST)
		return -EINVAL;
	if (cd.type != KVM_DEV_TYPE_VFIO || !kvm_vfio_supported())
		return -ENODEV;
	if (cd.flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	fd = open_device(kvm, &file);
	if (fd < 0)
		return fd;
	if (put_user(fd, &argp->fd)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return 0;
}

/*
 * ---- VM: ioctls ----
 */

static bool vcpu_id_taken(struct kvm *kvm, u32 id)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	xa_for_each(&kvm->vcpus, i, vcpu)
		if (vcpu->vcpu_id == id)
			return true;
	return false;
}

/* Publish a finished vcpu: its fd, its place in the VM.  kvm->lock held. */
static long vcpu_install(struct kvm *kvm, struct kvm_vcpu *vcpu)
{
	char name[24];
	struct file *file;
	int fd, r;

	vcpu->vcpu_idx = atomic_read(&kvm->online_vcpus);
	r = xa_reserve(&kvm->vcpus, vcpu->vcpu_idx, GFP_KERNEL_ACCOUNT);
	if (r)
		return r;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0) {
		r = fd;
		goto out_slot;
	}
	snprintf(name, sizeof(name), "kvm-vcpu:%d", vcpu->vcpu_id);
	file = anon_inode_getfile(name, &kvm_vcpu_fops, vcpu, O_RDWR);
	if (IS_ERR(file)) {
		r = PTR_ERR(file);
		goto out_fd;
	}
	refcount_inc(&kvm->users);
	xa_store(&kvm->vcpus, vcpu->vcpu_idx, vcpu, GFP_KERNEL_ACCOUNT);
	/* Readers walk up to online_vcpus. */
	smp_wmb();
	atomic_inc(&kvm->online_vcpus);
	/* What all were told of before it was one of them. */
	kvm_make_request(KVM_REQ_INTERCEPTS, vcpu);
	if (vcpu->lapic)
		kvm_lapic_update_map(kvm);
	fd_install(fd, file);
	return fd;

out_fd:
	put_unused_fd(fd);
out_slot:
	xa_release(&kvm->vcpus, vcpu->vcpu_idx);
	return r;
}

static long kvm_vm_create_vcpu(struct kvm *kvm, unsigned long id)
{
	struct kvm_vcpu *vcpu;
	long r;

	if (id >= KVM_MAX_VCPU_ID)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	r = -EINVAL;
	if (atomic_read(&kvm->online_vcpus) >= KVM_MAX_VCPUS ||
	    (kvm->max_vcpu_id && id >= kvm->max_vcpu_id))
		goto out;
	r = -EEXIST;
	if (vcpu_id_taken(kvm, id))
		goto out;
	vcpu = kvm_vcpu_create(kvm, id);
	r = PTR_ERR(vcpu);
	if (IS_ERR(vcpu))
		goto out;
	kvm_vcpu_load(vcpu);
	kvm_vcpu_reset(vcpu, false);
	kvm_vcpu_put(vcpu);
	r = vcpu_install(kvm, vcpu);
	if (r < 0)
		kvm_vcpu_destroy(vcpu);
out:
	mutex_unlock(&kvm->lock);
	return r;
}

/* Three pages below 4 GiB that real-mode emulation on VMX may use. */
static long kvm_vm_set_tss_addr(struct kvm *kvm, unsigned long addr)
{
	if (addr > U32_MAX + 1UL - 3 * PAGE_SIZE || (addr & ~PAGE_MASK))
		return -EINVAL;
	mutex_lock(&kvm->lock);
	kvm->tss_addr = addr;
	mutex_unlock(&kvm->lock);
	return 0;
}

static long kvm_vm_set_identity_map(struct kvm *kvm, u64 addr)
{
	long r = 0;

	if (addr > U32_MAX || (addr & ~PAGE_MASK))
		return -EINVAL;
	mutex_lock(&kvm->lock);
	if (atomic_read(&kvm->online_vcpus))
		r = -EINVAL;
	else
		kvm->identity_map_addr = addr;
	mutex_unlock(&kvm->lock);
	return r;
}

/* KVM_SET_BOOT_CPU_ID: which vcpu needs no SIPI; before there is any. */
static long kvm_vm_set_boot_cpu(struct kvm *kvm, unsigned long id)
{
	long r = 0;

	if (id >= KVM_MAX_VCPU_ID)
		return -EINVAL;
	mutex_lock(&kvm->lock);
	if (atomic_read(&kvm->online_vcpus))
		r = -EBUSY;
	else
		kvm->bsp_vcpu_id = id;
	mutex_unlock(&kvm->lock);
	return r;
}

/* Of a 32-bit process only half of the logs' field is the pointer. */
static long kvm_vm_get_dirty_log(struct kvm *kvm, struct kvm_dirty_log *log)
{
	if (in_compat_syscall())
		log->padding2 = (u32)log->padding2;
	return kvm_get_dirty_log(kvm, log);
}

static long kvm_vm_clear_dirty_log(struct kvm *kvm, const void __user *arg)
{
	struct kvm_clear_dirty_log log;

	if (copy_from_user(&log, arg, sizeof(log)))
		return -EFAULT;
	if (in_compat_syscall())
		log.padding2 = (u32)log.padding2;
	return kvm_clear_dirty_log(kvm, &log);
}

/* KVM_CREATE_PIT has no argument; its PIT answers at port 0x61, too. */
static const struct kvm_pit_config old_pit = { .flags = KVM_PIT_SPEAKER_DUMMY };

/* memslot.c's functions take slots_lock themselves. */
#define VM_IOCTLS(X)								\
	X(KVM_IRQ_LINE, FIXED, kvm_vm_irq_line(kvm, buf))			\
	X(KVM_IRQ_LINE_STATUS, FIXED, kvm_vm_irq_line(kvm, buf))		\
	X(KVM_SIGNAL_MSI, FIXED, kvm_signal_msi(kvm, buf))			\
	X(KVM_CREATE_VCPU, RAW, kvm_vm_create_vcpu(kvm, arg))			\
	X(KVM_CREATE_DEVICE, RAW, kvm_vm_create_device(kvm, argp))		\
	X(KVM_SET_USER_MEMORY_REGION, FIXED, kvm_set_user_memory_region(kvm, buf)) \
	X(KVM_SET_USER_MEMORY_REGION2, FIXED, kvm_set_user_memory_region2(kvm, buf)) \
	X(KVM_SET_MEMORY_REGION, FIXED, kvm_set_memory_region(kvm, buf))	\
	X(KVM_SET_MEMORY_ALIAS, FIXED, kvm_set_memory_alias(kvm, buf))		\
	X(KVM_GET_DIRTY_LOG, FIXED, kvm_vm_get_dirty_log(kvm, buf))		\
	X(KVM_CLEAR_DIRTY_LOG, RAW, kvm_vm_clear_dirty_log(kvm, argp))		\
	X(KVM_RESET_DIRTY_RINGS, RAW, kvm_reset_dirty_rings(kvm))		\
	X(KVM_SET_NR_MMU_PAGES, RAW, kvm_mmu_set_nr_pages(kvm, arg))		\
	X(KVM_GET_NR_MMU_PAGES, RAW, READ_ONCE(kvm->n_max_pages))		\
	X(KVM_SET_TSS_ADDR, RAW, kvm_vm_set_tss_addr(kvm, arg))			\
	X(KVM_SET_IDENTITY_MAP_ADDR, FIXED, kvm_vm_set_identity_map(kvm, *(u64 *)buf)) \
	X(KVM_SET_BOOT_CPU_ID, RAW, kvm_vm_set_boot_cpu(kvm, arg))		\
	X(KVM_GET_CLOCK, FIXED, kvm_vm_get_clock(kvm, buf))			\
	X(KVM_SET_CLOCK, FIXED, kvm_vm_set_clock(kvm, buf))			\
	X(KVM_CREATE_IRQCHIP, RAW, kvm_create_irqchip(kvm))			\
	X(KVM_GET_IRQCHIP, RAW, kvm_vm_irqchip_state(kvm, argp, false))		\
	X(KVM_SET_IRQCHIP, RAW, kvm_vm_irqchip_state(kvm, argp, true))		\
	X(KVM_SET_GSI_ROUTING, RAW, kvm_set_gsi_routing(kvm, argp))		\
	X(KVM_CREATE_PIT, RAW, kvm_vm_create_pit(kvm, &old_pit))		\
	X(KVM_CREATE_PIT2, RAW, kvm_vm_create_pit2(kvm, argp))			\
	X(KVM_GET_PIT, RAW, kvm_vm_pit_state(kvm, argp, sizeof(struct kvm_pit_state), false)) \
	X(KVM_SET_PIT, RAW, kvm_vm_pit_state(kvm, argp, sizeof(struct kvm_pit_state), true)) \
	X(KVM_GET_PIT2, RAW, kvm_vm_pit_state(kvm, argp, sizeof(struct kvm_pit_state2), false)) \
	X(KVM_SET_PIT2, RAW, kvm_vm_pit_state(kvm, argp, sizeof(struct kvm_pit_state2), true)) \
	X(KVM_REINJECT_CONTROL, RAW, kvm_vm_reinject_control(kvm, argp))	\
	X(KVM_IRQFD, FIXED, kvm_irqfd(kvm, buf))				\
	X(KVM_IOEVENTFD, FIXED, kvm_ioeventfd(kvm, buf))			\
	X(KVM_REGISTER_COALESCED_MMIO, FIXED, kvm_vm_coalesced_mmio(kvm, buf, true)) \
	X(KVM_UNREGISTER_COALESCED_MMIO, FIXED, kvm_vm_coalesced_mmio(kvm, buf, false)) \
	X(KVM_X86_SET_MSR_FILTER, FIXED, kvm_vm_set_msr_filter(kvm, buf))	\
	X(KVM_CHECK_EXTENSION, RAW, kvm_check_extension(arg))			\
	X(KVM_ENABLE_CAP, FIXED, kvm_vm_enable_cap(kvm, buf))			\
	X(KVM_GET_STATS_FD, RAW, kvm_vm_get_stats_fd(kvm))

DEFINE_KIND(vm_ioctl_kind, VM_IOCTLS)

static long vm_ioctl_call(void *obj, unsigned int cmd, void *buf, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	struct kvm *kvm = obj;

	switch (cmd) {
	VM_IOCTLS(CASE_CALL)
	}
	return -ENOTTY;
}

static long kvm_vm_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = filp->private_data;

	if (kvm->mm != current->mm || READ_ONCE(kvm->dead))
		return -EIO;
	return do_ioctl(vm_ioctl_kind(cmd), vm_ioctl_call, kvm, cmd, arg);
}

#ifdef CONFIG_COMPAT
#define KVM_X86_SET_MSR_FILTER_COMPAT	_IOW(KVMIO, 0xc6, struct kvm_msr_filter_compat)

static long kvm_vm_compat_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	struct kvm *kvm = filp->private_data;

	if (cmd != KVM_X86_SET_MSR_FILTER_COMPAT)
		return kvm_vm_ioctl(filp, cmd, (unsigned long)compat_ptr(arg));
	if (kvm->mm != current->mm || READ_ONCE(kvm->dead))
		return -EIO;
	return kvm_vm_set_msr_filter_compat(kvm, compat_ptr(arg));
}
#else
#define kvm_vm_compat_ioctl NULL
#endif

static int kvm_vm_release(struct inode *inode, struct file *filp)
{
	/* An eventfd must not bring interrupts any more, though vcpus may live on. */
	kvm_irqfd_release_all(filp->private_data);
	kvm_put(filp->private_data);
	return 0;
}

static int kvm_vm_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct kvm *kvm = file->private_data;

	if (kvm->mm != current->mm)
		return -EIO;
	return kvm_vm_mmap(kvm, vma);
}

static struct file_operations kvm_vm_fops = {
	.release = kvm_vm_release,
	.unlocked_ioctl = kvm_vm_ioctl,
	.compat_ioctl = kvm_vm_compat_ioctl,
	.mmap = kvm_vm_file_mmap,
	.llseek = noop_llseek,
};

/*
 * ---- /dev/kvm ----
 */

static long kvm_dev_create_vm(unsigned long type)
{
	struct kvm *kvm;
	struct file *file;
	int fd;

	if (type != KVM_X86_DEFAULT_VM)
		return -EINVAL;
	fd = get_unused_fd_flags(O_CLOEXEC);
	if (fd < 0)
		return fd;
	kvm = kvm_create_vm();
	if (IS_ERR(kvm)) {
		put_unused_fd(fd);
		return PTR_ERR(kvm);
	}
	file = anon_inode_getfile("kvm-vm", &kvm_vm_fops, kvm, O_RDWR);
	if (IS_ERR(file)) {
		put_unused_fd(fd);
		kvm_put(kvm);
		return PTR_ERR(file);
	}
	/* Its own: anonymous inodes share one, whose mappings are not all ours to unmap. */
	kvm->mapping.host = file_inode(file);
	kvm->mapping.a_ops = &empty_aops;
	file->f_mapping = &kvm->mapping;
	kvm_stats_publish(kvm, fd);
	fd_install(fd, file);
	return fd;
}

static long kvm_dev_get_mce_cap(u64 *cap)
{
	*cap = kvm_mce_cap_supported();
	return 0;
}

#define DEV_IOCTLS(X)								\
	X(KVM_GET_API_VERSION, RAW, arg ? -EINVAL : KVM_API_VERSION)		\
	X(KVM_CREATE_VM, RAW, kvm_dev_create_vm(arg))				\
	X(KVM_CHECK_EXTENSION, RAW, kvm_check_extension(arg))			\
	X(KVM_GET_VCPU_MMAP_SIZE, RAW, arg ? -EINVAL : KVM_VCPU_MMAP_PAGES * PAGE_SIZE) \
	X(KVM_GET_MSR_INDEX_LIST, RAW, kvm_get_msr_index_list(argp))		\
	X(KVM_GET_MSR_FEATURE_INDEX_LIST, RAW, kvm_get_msr_feature_index_list(argp)) \
	X(KVM_GET_MSRS, RAW, kvm_dev_get_msrs(argp))				\
	X(KVM_GET_SUPPORTED_CPUID, RAW, kvm_get_supported_cpuid(argp, false))	\
	X(KVM_GET_EMULATED_CPUID, RAW, kvm_get_supported_cpuid(argp, true))	\
	X(KVM_X86_GET_MCE_CAP_SUPPORTED, FIXED, kvm_dev_get_mce_cap(buf))	\
	X(KVM_HAS_DEVICE_ATTR, FIXED, kvm_dev_has_attr(buf))			\
	X(KVM_GET_DEVICE_ATTR, FIXED, kvm_dev_get_attr(buf))

DEFINE_KIND(dev_ioctl_kind, DEV_IOCTLS)

static long dev_ioctl_call(void *obj, unsigned int cmd, void *buf, unsigned long arg)
{
	void __user *argp = (void __user *)arg;

	switch (cmd) {
	DEV_IOCTLS(CASE_CALL)
	}
	return -ENOTTY;
}

static long kvm_dev_ioctl(struct file *filp, unsigned int cmd, unsigned long arg)
{
	return do_ioctl(dev_ioctl_kind(cmd), dev_ioctl_call, NULL, cmd, arg);
}

static struct file_operations kvm_dev_fops = {
	.unlocked_ioctl = kvm_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.llseek = noop_llseek,
};

static struct miscdevice kvm_dev = {
	.minor = KVM_MINOR,
	.name = "kvm",
	.fops = &kvm_dev_fops,
};

/*
 * ---- vendor registration ----
 */

static void set_fops_owner(struct module *owner)
{
	kvm_dev_fops.owner = owner;
	kvm_vm_fops.owner = owner;
	kvm_vcpu_fops.owner = owner;
	kvm_device_fops.owner = owner;
	kvm_stats_set_owner(owner);
}

static void update_calls(void)
{
#define UPDATE_CALL(op)	static_call_update(kvm_##op, kvm_ops.op);
	KVM_HOT_OPS(UPDATE_CALL)
}

/** kvm_init_arch - a vendor module offers its operations; /dev/kvm appears
 * @ops: copied; what they point at stays until kvm_exit_arch()
 * @owner: the vendor's module, which open file descriptors hold
 * Returns 0, -EEXIST if the other vendor's is loaded, or what hardware_setup() says (-ENODEV,
 * -EOPNOTSUPP, ...).
 */
int kvm_init_arch(const struct kvm_arch_ops *ops, struct module *owner)
{
	int r;

	if (kvm_ops.name) {
		pr_err("%s is loaded already\n", kvm_ops.name);
		return -EEXIST;
	}
	kvm_ops = *ops;
	r = kvm_ops.hardware_setup();
	if (r)
		goto out_ops;
	/* What setup found out about the processor is in the vendor's table. */
	kvm_ops = *ops;
	update_calls();
	r = kvm_vcpu_module_init();
	if (r)
		goto out_hardware;
	kvm_cpuid_module_init();
	kvm_msr_module_init();
	r = kvm_hardware_init();
	if (r)
		goto out_cache;
	set_fops_owner(owner);
	kvm_perf_init();
	/* Patches the scheduler's code: with each first VM that would be costly. */
	preempt_notifier_inc();
	r = misc_register(&kvm_dev);
	if (r)
		goto out_notifiers;
	return 0;

out_notifiers:
	preempt_notifier_dec();
	kvm_perf_exit();
	kvm_hardware_exit();
out_cache:
	kvm_vcpu_module_exit();
out_hardware:
	kvm_ops.hardware_unsetup();
out_ops:
	memset(&kvm_ops, 0, sizeof(kvm_ops));
	return r;
}
EXPORT_SYMBOL_GPL(kvm_init_arch);

/** kvm_exit_arch - the vendor module goes; no VM is left, as its descriptors held the module */
void kvm_exit_arch(void)
{
	misc_deregister(&kvm_dev);
	preempt_notifier_dec();
	kvm_perf_exit();
	kvm_hardware_exit();
	kvm_vcpu_module_exit();
	kvm_ops.hardware_unsetup();
	memset(&kvm_ops, 0, sizeof(kvm_ops));
}
EXPORT_SYMBOL_GPL(kvm_exit_arch);

static int __init kvm_init(void)
{
	int r = kvm_mmu_module_init();

	if (r)
		return r;
	r = kvm_irqfd_module_init();
	if (r)
		goto out_mmu;
	r = kvm_async_pf_module_init();
	if (r)
		goto out_irq;
	kvm_clock_module_init();
	kvm_stats_init();
	pr_info("version " KVM_MODULE_VERSION "\n");
	return 0;

out_irq:
	kvm_irqfd_module_exit();
out_mmu:
	kvm_mmu_module_exit();
	return r;
}

static void __exit kvm_exit(void)
{
	kvm_stats_exit();
	kvm_clock_module_exit();
	kvm_async_pf_module_exit();
	kvm_irqfd_module_exit();
	kvm_mmu_module_exit();
}

module_init(kvm_init);
module_exit(kvm_exit);
