// SPDX-License-Identifier: GPL-2.0-only
/*
 * A module that names itself ip_vs and announces itself before it has anything to show, as every
 * module did before Linux 5.11 (38dc717e9715 "module: delay kobject uevent until after module init
 * call"): listeners hear "add" while the state is "coming" and the sysctl is not there yet.
 *
 * It sends "add" for its own kobject first and then suppresses further events of that kobject, so
 * that the "add" which newer kernels send after a successful init is not heard as a second one.
 *
 * When init fails, the kernel deletes the kobject and sends "remove" by itself for every kobject
 * that has sent "add" (__kobject_del() in lib/kobject.c), provided that events are not suppressed.
 * So the failing path and the exit both lift the suppression and leave the "remove" to the kernel:
 * old kernels do the same, "add" and then "remove" around a failed init.
 */
#include <linux/delay.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>

static unsigned int delay_ms = 300;
module_param(delay_ms, uint, 0444);
MODULE_PARM_DESC(delay_ms, "time between the add event and the appearance of the sysctl");

static bool fail;
module_param(fail, bool, 0444);
MODULE_PARM_DESC(fail, "let init fail after the delay, without a sysctl");

static int run_estimation = 1;
static struct ctl_table_header *header;

static struct ctl_table table[] = {
	{
		.procname	= "run_estimation",
		.data		= &run_estimation,
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec,
	},
	{ }
};

static struct kobject *own_kobject(void)
{
	return &THIS_MODULE->mkobj.kobj;
}

static int __init early_add_init(void)
{
	kobject_uevent(own_kobject(), KOBJ_ADD);
	own_kobject()->uevent_suppress = 1;
	msleep(delay_ms);
	if (!fail)
		header = register_net_sysctl(&init_net, "net/ipv4/vs", table);
	if (header)
		return 0;
	own_kobject()->uevent_suppress = 0;
	return fail ? -ENODEV : -ENOMEM;
}

static void __exit early_add_exit(void)
{
	unregister_net_sysctl_table(header);
	own_kobject()->uevent_suppress = 0;
}

module_init(early_add_init);
module_exit(early_add_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("ip_vs stand-in that sends its add event before its init, like kernels before 5.11");
