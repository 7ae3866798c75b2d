// SPDX-License-Identifier: GPL-2.0-only
/*
 * What vendors of kernels have added to the ip_vs of 5.10, and what a test needs to know or to slow
 * down. edit.py puts the calls into the kernel's own files.
 *
 * The switch follows mainline 2232642ec3fb (Linux 5.16): at 0 the timer ticks and does nothing.
 */
#include <linux/atomic.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysctl.h>
#include <net/ip_vs.h>

#include "vendor.h"

#ifdef CONFIG_IP_VS_DEBUG
#error "vs_vars[] has an entry behind those of this file, which the end of the table would hide"
#endif

static char *dialect = "mainline";
module_param(dialect, charp, 0444);
MODULE_PARM_DESC(dialect, "mainline: run_estimation; tencentos: estimation_timer_work, 0 by default; "
			  "openeuler: run_estimation and run_estimation_target");

static bool early_add;
module_param(early_add, bool, 0444);
MODULE_PARM_DESC(early_add, "send add before init, as kernels before 5.11 do, and not after it");

static unsigned int delay_ms;
module_param(delay_ms, uint, 0444);
MODULE_PARM_DESC(delay_ms, "time of init before the first sysctls");

static unsigned int before_each_ms;
module_param(before_each_ms, uint, 0444);
MODULE_PARM_DESC(before_each_ms, "time of init before the sysctls of each namespace");

static unsigned int after_first_ms;
module_param(after_first_ms, uint, 0444);
MODULE_PARM_DESC(after_first_ms, "time of init after the sysctls of the first namespace");

static unsigned int after_all_ms;
module_param(after_all_ms, uint, 0444);
MODULE_PARM_DESC(after_all_ms, "time of init after all sysctls");

static bool fail;
module_param(fail, bool, 0444);
MODULE_PARM_DESC(fail, "let init fail after all sysctls were there");

static atomic_long_t worked = ATOMIC_LONG_INIT(0);

static int show_worked(char *buffer, const struct kernel_param *unused)
{
	return sprintf(buffer, "%ld\n", atomic_long_read(&worked));
}

static const struct kernel_param_ops worked_ops = { .get = show_worked };
module_param_cb(worked, &worked_ops, NULL, 0444);
MODULE_PARM_DESC(worked, "how many estimation runs did work since the load, in all namespaces");

static bool in_init;
static bool first_done;

static bool is(const char *name)
{
	return strcmp(dialect, name) == 0;
}

static struct kobject *own_kobject(void)
{
	return &THIS_MODULE->mkobj.kobj;
}

/* msleep(0) waits too, for a tick. */
static void wait_ms(unsigned int duration)
{
	if (duration)
		msleep(duration);
}

void vendor_begin_init(void)
{
	in_init = true;
	if (early_add) {
		/* The kernel's own add, after init, is not to be heard as a second one. */
		kobject_uevent(own_kobject(), KOBJ_ADD);
		own_kobject()->uevent_suppress = 1;
	}
	wait_ms(delay_ms);
}

int vendor_result_of_init(void)
{
	wait_ms(after_all_ms);
	return fail ? -ENODEV : 0;
}

void vendor_end_init(int result)
{
	in_init = false;
	if (result)
		vendor_exit();
}

/* The kernel sends remove by itself for what has sent add (__kobject_del()), if it may. */
void vendor_exit(void)
{
	own_kobject()->uevent_suppress = 0;
}

void vendor_fill_sysctls(struct ctl_table *table, struct netns_ipvs *ipvs)
{
	ipvs->sysctl_run_estimation = !is("tencentos");
	table[0].procname = is("tencentos") ? "estimation_timer_work" : "run_estimation";
	table[0].data = &ipvs->sysctl_run_estimation;
	ipvs->sysctl_run_estimation_target = -1;
	table[1].procname = is("openeuler") ? "run_estimation_target" : NULL;
	table[1].data = &ipvs->sysctl_run_estimation_target;
}

void vendor_before_sysctls(void)
{
	if (in_init)
		wait_ms(before_each_ms);
}

void vendor_after_sysctls(void)
{
	if (in_init && !first_done)
		wait_ms(after_first_ms);
	first_done = true;
}

bool vendor_may_estimate(struct netns_ipvs *ipvs)
{
	if (!READ_ONCE(ipvs->sysctl_run_estimation))
		return false;
	atomic_long_inc(&worked);
	return true;
}

void vendor_rearm(struct netns_ipvs *ipvs)
{
	int target = READ_ONCE(ipvs->sysctl_run_estimation_target);

	ipvs->est_timer.expires = jiffies + 2 * HZ;
	if (target >= 0 && target < nr_cpu_ids && cpu_online(target))
		add_timer_on(&ipvs->est_timer, target);
	else
		add_timer(&ipvs->est_timer);
}
