# SPDX-License-Identifier: GPL-2.0-only
#
# What the kernel's headers have: a HAVE_… for each interface that differs between
# the kernels that this module builds for.  The headers are asked, not the version,
# as interfaces come to stable and to distributions' kernels, too.

# HAVE_$(1) if a line of the headers $(2) matches the expression $(3), or, without an
# expression, if one is there.
kvm-probe = $(if $(shell grep -s -m 1 -E -e '$(or $(3),.)' $(addprefix $(srctree)/,$(2))),-DHAVE_$(1))

compat-flags := -include $(src)/compat/compat.h $(if $(UNTESTED),-DKVM_UNTESTED)

# cpu.h
compat-flags += $(call kvm-probe,CPUHP_KVM_ONLINE,include/linux/cpuhotplug.h,CPUHP_AP_KVM_ONLINE)
compat-flags += $(call kvm-probe,SYSCORE_DATA,include/linux/syscore_ops.h,register_syscore.struct)
# virt.h; what stands in for it is not built where it is there
HAVE_VIRT_REF := $(call kvm-probe,VIRT_REF,arch/x86/include/asm/virt.h,x86_virt_get_ref)
compat-flags += $(HAVE_VIRT_REF)
compat-flags += $(call kvm-probe,CPUID_API,arch/x86/include/asm/cpuid/api.h)
# entry.h
compat-flags += $(call kvm-probe,ENTRY_VIRT,include/linux/entry-virt.h)
# eventfd.h, one file's only
CFLAGS_devices/eventfd.o := $(call kvm-probe,EVENTFD_SIGNAL_ONE,include/linux/eventfd.h,eventfd_signal.struct eventfd_ctx .ctx.$$)
# mm.h
compat-flags += $(call kvm-probe,FOLL_INTERRUPTIBLE,include/linux/mm.h include/linux/mm_types.h,FOLL_INTERRUPTIBLE)
compat-flags += $(call kvm-probe,SHRINKER_ALLOC,include/linux/shrinker.h,shrinker_alloc)
compat-flags += $(call kvm-probe,VM_FLAGS_SET,include/linux/mm.h,void vm_flags_set)
compat-flags += $(call kvm-probe,YOUNG_BOOL,include/linux/mmu_notifier.h,bool .\*clear_young)
compat-flags += $(call kvm-probe,VMA_FLAGS_T,include/linux/shmem_fs.h,shmem_file_setup.*vma_flags_t)
# msr.h
compat-flags += $(call kvm-probe,RDMSRQ,arch/x86/include/asm/msr.h,define rdmsrq)
# vfio.h, one file's only
CFLAGS_devices/vfio.o := $(call kvm-probe,VFIO_FILE_IS_VALID,include/linux/vfio.h,bool vfio_file_is_valid)
# time.h
compat-flags += $(call kvm-probe,HRTIMER_SETUP,include/linux/hrtimer.h,void hrtimer_setup)
compat-flags += $(call kvm-probe,SNAPSHOT_ID,include/linux/timekeeping.h,ktime_get_snapshot_id)
# workqueue.h
compat-flags += $(call kvm-probe,WQ_PERCPU,include/linux/workqueue.h,WQ_PERCPU)
compat-flags += $(call kvm-probe,SYSTEM_DFL_WQ,include/linux/workqueue.h,system_dfl_wq)
# svm.h
compat-flags += $(call kvm-probe,SVM_MISC_CTL,arch/x86/include/asm/svm.h,misc_ctl;)
# vmx.h
compat-flags += $(call kvm-probe,ENTRY_FROM_KVM,arch/x86/include/asm/entry-common.h,x86_entry_from_kvm)
compat-flags += $(call kvm-probe,IRQ_CACHE_FLAG,arch/x86/include/asm/hardirq.h,kvm_get_cpu_l1tf_flush_l1d)
compat-flags += $(call kvm-probe,NMI_KVM_VMX,arch/x86/include/asm/idtentry.h,exc_nmi_kvm_vmx)
