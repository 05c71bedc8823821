/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints, by the names and with the fields that perf kvm stat and
 * trace-cmd look for.  Each is a no-op in the code until it is switched on.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#if !defined(KVM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define KVM_TRACE_H

#include <linux/tracepoint.h>

#define KVM_TRACE_PIO_IN	0
#define KVM_TRACE_PIO_OUT	1

#define KVM_TRACE_MMIO_READ_UNSATISFIED	0	/* userspace is to answer */
#define KVM_TRACE_MMIO_READ		1
#define KVM_TRACE_MMIO_WRITE		2

TRACE_EVENT(kvm_entry,
	TP_PROTO(struct kvm_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id) __field(unsigned long, rip)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->vcpu_id;
		__entry->rip = kvm_rip_read(vcpu);
	),
	TP_printk("vcpu %u, rip 0x%lx", __entry->vcpu_id, __entry->rip)
);

TRACE_EVENT(kvm_exit,
	TP_PROTO(struct kvm_vcpu *vcpu),
	TP_ARGS(vcpu),
	TP_STRUCT__entry(
		__field(unsigned int, exit_reason) __field(unsigned long, guest_rip)
		__field(u32, isa) __field(u64, info1) __field(u64, info2)
		__field(unsigned int, vcpu_id)
	),
	TP_fast_assign(
		u64 reason;

		kvm_ops.exit_info(vcpu, &reason, &__entry->info1, &__entry->info2);
		__entry->exit_reason = reason;
		__entry->guest_rip = kvm_rip_read(vcpu);
		__entry->isa = kvm_ops.isa;
		__entry->vcpu_id = vcpu->vcpu_id;
	),
	TP_printk("vcpu %u reason 0x%x rip 0x%lx info1 0x%016llx info2 0x%016llx",
		  __entry->vcpu_id, __entry->exit_reason, __entry->guest_rip,
		  __entry->info1, __entry->info2)
);

TRACE_EVENT(kvm_page_fault,
	TP_PROTO(struct kvm_vcpu *vcpu, u64 fault_address, u64 error_code),
	TP_ARGS(vcpu, fault_address, error_code),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu_id) __field(unsigned long, guest_rip)
		__field(u64, fault_address) __field(u64, error_code)
	),
	TP_fast_assign(
		__entry->vcpu_id = vcpu->vcpu_id;
		__entry->guest_rip = kvm_rip_read(vcpu);
		__entry->fault_address = fault_address;
		__entry->error_code = error_code;
	),
	TP_printk("vcpu %u rip 0x%lx address 0x%016llx error_code 0x%llx",
		  __entry->vcpu_id, __entry->guest_rip, __entry->fault_address,
		  __entry->error_code)
);

TRACE_EVENT(kvm_inj_virq,
	TP_PROTO(unsigned int vector, bool soft, bool reinjected),
	TP_ARGS(vector, soft, reinjected),
	TP_STRUCT__entry(
		__field(unsigned int, vector) __field(bool, soft) __field(bool, reinjected)
	),
	TP_fast_assign(
		__entry->vector = vector;
		__entry->soft = soft;
		__entry->reinjected = reinjected;
	),
	TP_printk("%s 0x%x%s", __entry->soft ? "Soft/INTn" : "IRQ", __entry->vector,
		  __entry->reinjected ? " [reinjected]" : "")
);

TRACE_EVENT(kvm_pio,
	TP_PROTO(unsigned int rw, unsigned int port, unsigned int size, unsigned int count,
		 const void *data),
	TP_ARGS(rw, port, size, count, data),
	TP_STRUCT__entry(
		__field(unsigned int, rw) __field(unsigned int, port)
		__field(unsigned int, size) __field(unsigned int, count)
		__field(unsigned int, val)
	),
	TP_fast_assign(
		__entry->rw = rw;
		__entry->port = port;
		__entry->size = size;
		__entry->count = count;
		__entry->val = 0;
		memcpy(&__entry->val, data, min_t(unsigned int, size, sizeof(__entry->val)));
	),
	TP_printk("pio_%s at 0x%x size %u count %u val 0x%x%s",
		  __entry->rw ? "write" : "read", __entry->port, __entry->size,
		  __entry->count, __entry->val, __entry->count > 1 ? "(...)" : "")
);

TRACE_EVENT(kvm_mmio,
	TP_PROTO(int type, int len, u64 gpa, const void *data),
	TP_ARGS(type, len, gpa, data),
	TP_STRUCT__entry(
		__field(u32, type) __field(u32, len) __field(u64, gpa) __field(u64, val)
	),
	TP_fast_assign(
		__entry->type = type;
		__entry->len = len;
		__entry->gpa = gpa;
		__entry->val = 0;
		if (data)
			memcpy(&__entry->val, data, min_t(u32, len, sizeof(__entry->val)));
	),
	TP_printk("mmio %s len %u gpa 0x%llx val 0x%llx",
		  __print_symbolic(__entry->type,
				   { KVM_TRACE_MMIO_READ_UNSATISFIED, "unsatisfied-read" },
				   { KVM_TRACE_MMIO_READ, "read" },
				   { KVM_TRACE_MMIO_WRITE, "write" }),
		  __entry->len, __entry->gpa, __entry->val)
);

TRACE_EVENT(kvm_msr,
	TP_PROTO(unsigned int write, u32 ecx, u64 data, bool exception),
	TP_ARGS(write, ecx, data, exception),
	TP_STRUCT__entry(
		__field(unsigned int, write) __field(u32, ecx) __field(u64, data)
		__field(u8, exception)
	),
	TP_fast_assign(
		__entry->write = write;
		__entry->ecx = ecx;
		__entry->data = data;
		__entry->exception = exception;
	),
	TP_printk("msr_%s %x = 0x%llx%s", __entry->write ? "write" : "read", __entry->ecx,
		  __entry->data, __entry->exception ? " (#GP)" : "")
);

TRACE_EVENT(kvm_cpuid,
	TP_PROTO(u32 function, u32 index, unsigned long rax, unsigned long rbx,
		 unsigned long rcx, unsigned long rdx, bool found),
	TP_ARGS(function, index, rax, rbx, rcx, rdx, found),
	TP_STRUCT__entry(
		__field(unsigned int, function) __field(unsigned int, index)
		__field(unsigned long, rax) __field(unsigned long, rbx)
		__field(unsigned long, rcx) __field(unsigned long, rdx) __field(bool, found)
	),
	TP_fast_assign(
		__entry->function = function;
		__entry->index = index;
		__entry->rax = rax;
		__entry->rbx = rbx;
		__entry->rcx = rcx;
		__entry->rdx = rdx;
		__entry->found = found;
	),
	TP_printk("func %x idx %x rax %lx rbx %lx rcx %lx rdx %lx, cpuid entry %s",
		  __entry->function, __entry->index, __entry->rax, __entry->rbx,
		  __entry->rcx, __entry->rdx, __entry->found ? "found" : "not found")
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
