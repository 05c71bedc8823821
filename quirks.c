// SPDX-License-Identifier: GPL-2.0-only
/*
 * Quirks of emulators: the parameter emulator_quirks of both vendors' modules,
 * and the counters in debugfs.  What the quirks are is the vendors' own.
 */
#include "kvm_host.h"
#include "kvm_quirks.h"
#include "kvm_stats.h"

#include <linux/bitops.h>
#include <linux/debugfs.h>
#include <linux/slab.h>
#include <linux/string.h>

static struct dentry *dir;

/*
 * ---- the parameter: "auto", "off", or names separated by commas ----
 */

/* Room for all names, which are few and short. */
#define LIST_SIZE	256

/* What is on, however that came. */
static int print_list(const struct kvm_quirks *quirks, char *buf)
{
	unsigned int i;
	int n = 0;

	for (i = 0; i < quirks->nr; i++)
		if (static_key_enabled(&quirks->keys[i]))
			n += scnprintf(buf + n, LIST_SIZE - n, "%s%s", n ? "," : "",
				       quirks->names[i]);
	return n;
}

static int parse_list(struct kvm_quirks *quirks, char *names)
{
	char *name;
	int i;

	while ((name = strsep(&names, ","))) {
		i = match_string(quirks->names, quirks->nr, name);
		if (i < 0) {
			pr_err("%s: emulator_quirks: there is no quirk '%s'\n", quirks->module, name);
			return -EINVAL;
		}
		__set_bit(i, &quirks->list);
	}
	return 0;
}

/* Before the module is initialised: nothing is switched yet. */
static int set_param(const char *val, const struct kernel_param *kp)
{
	struct kvm_quirks *quirks = kp->arg;
	char *names;
	int r;

	quirks->listed = strcmp(val, "auto");
	quirks->list = 0;
	if (!quirks->listed || !strcmp(val, "off"))
		return 0;
	names = kstrdup(val, GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	r = parse_list(quirks, names);
	kfree(names);
	return r;
}

static int get_param(char *buf, const struct kernel_param *kp)
{
	int n = print_list(kp->arg, buf);

	return n + scnprintf(buf + n, PAGE_SIZE - n, "%s\n", n ? "" : "off");
}

const struct kernel_param_ops kvm_quirks_param_ops = {
	.set = set_param,
	.get = get_param,
};
EXPORT_SYMBOL_GPL(kvm_quirks_param_ops);

/*
 * ---- switching ----
 */

/**
 * kvm_quirks_init - switch a vendor's quirks on, as its parameter says
 * @quirks: the vendor's; they stay until kvm_quirks_exit()
 * @recognised: bit i: the processor is an emulator that has the i-th
 *
 * While the vendor's module is loaded, before there is a VM.  The log names what is
 * on, and debugfs counts how often each path is taken.
 */
void kvm_quirks_init(struct kvm_quirks *quirks, unsigned long recognised)
{
	unsigned long on = quirks->listed ? quirks->list : recognised;
	char list[LIST_SIZE];
	unsigned int i;

	dir = debugfs_create_dir("quirks", kvm_debugfs_dir);
	for (i = 0; i < quirks->nr; i++) {
		debugfs_create_u64(quirks->names[i], 0444, dir, &quirks->counts[i]);
		if (on & BIT(i))
			static_branch_enable(&quirks->keys[i]);
	}
	if (print_list(quirks, list))
		pr_info("%s: emulator quirks: %s\n", quirks->module, list);
}
EXPORT_SYMBOL_GPL(kvm_quirks_init);

/** kvm_quirks_exit - undo kvm_quirks_init(); the vendor's module goes */
void kvm_quirks_exit(void)
{
	debugfs_remove(dir);
}
EXPORT_SYMBOL_GPL(kvm_quirks_exit);
