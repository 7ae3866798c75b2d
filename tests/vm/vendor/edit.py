"""Gives the ip_vs of an unpacked Linux 5.10 the calls into vendor.c.

Each edit names a piece of the kernel's text that has to be there exactly once, so that a kernel
whose text has changed is an error and not a module without the switch.
"""

import sys
from pathlib import Path

CORE, CONTROL, ESTIMATION = "ip_vs_core.c", "ip_vs_ctl.c", "ip_vs_est.c"
HEADER = "include/net/ip_vs.h"
INCLUDE = ("#include <net/ip_vs.h>\n", '#include <net/ip_vs.h>\n#include "vendor.h"\n')

SYSCTL = """
	{
		.procname	= "run_estimation",
		.maxlen		= sizeof(int),
		.mode		= 0644,
		.proc_handler	= proc_dointvec,
	},"""

INIT = """static int __init vendor_init(void)
{
	int result;

	vendor_begin_init();
	result = ip_vs_init();
	vendor_end_init(result);
	return result;
}

static void __exit vendor_cleanup(void)
{
	ip_vs_cleanup();
	vendor_exit();
}

module_init(vendor_init);
module_exit(vendor_cleanup);
"""

# The file, a piece of its text, and what replaces it.
EDITS = (
    (
        HEADER,
        "\tint\t\t\tsysctl_ignore_tunneled;\n",
        "\tint\t\t\tsysctl_ignore_tunneled;\n\tint\t\t\tsysctl_run_estimation;\n"
        "\tint\t\t\tsysctl_run_estimation_target;\n",
    ),
    (CORE, *INCLUDE),
    (
        CORE,
        "\tret = ip_vs_register_nl_ioctl();\n",
        "\tret = vendor_result_of_init();\n\tif (ret < 0)\n\t\tgoto cleanup_dev;\n\n"
        "\tret = ip_vs_register_nl_ioctl();\n",
    ),
    (CORE, "module_init(ip_vs_init);\nmodule_exit(ip_vs_cleanup);\n", INIT),
    (CONTROL, *INCLUDE),
    (
        CONTROL,
        '\t\t.procname\t= "ignore_tunneled",\n\t\t.maxlen\t\t= sizeof(int),\n'
        "\t\t.mode\t\t= 0644,\n\t\t.proc_handler\t= proc_dointvec,\n\t},",
        '\t\t.procname\t= "ignore_tunneled",\n\t\t.maxlen\t\t= sizeof(int),\n'
        "\t\t.mode\t\t= 0644,\n\t\t.proc_handler\t= proc_dointvec,\n\t}," + SYSCTL + SYSCTL,
    ),
    (
        CONTROL,
        "\ttbl[idx++].data = &ipvs->sysctl_ignore_tunneled;\n",
        "\ttbl[idx++].data = &ipvs->sysctl_ignore_tunneled;\n"
        "\tvendor_fill_sysctls(&tbl[idx], ipvs);\n\tidx += VENDOR_SYSCTLS;\n",
    ),
    (
        CONTROL,
        '\tipvs->sysctl_hdr = register_net_sysctl(net, "net/ipv4/vs", tbl);\n',
        "\tvendor_before_sysctls();\n"
        '\tipvs->sysctl_hdr = register_net_sysctl(net, "net/ipv4/vs", tbl);\n',
    ),
    (
        CONTROL,
        "\tip_vs_start_estimator(ipvs, &ipvs->tot_stats);\n\tipvs->sysctl_tbl = tbl;\n",
        "\tip_vs_start_estimator(ipvs, &ipvs->tot_stats);\n\tipvs->sysctl_tbl = tbl;\n"
        "\tvendor_after_sysctls();\n",
    ),
    (ESTIMATION, *INCLUDE),
    (
        ESTIMATION,
        "\tstruct netns_ipvs *ipvs = from_timer(ipvs, t, est_timer);\n",
        "\tstruct netns_ipvs *ipvs = from_timer(ipvs, t, est_timer);\n\n"
        "\tif (!vendor_may_estimate(ipvs))\n\t\tgoto rearm;\n",
    ),
    (
        ESTIMATION,
        "\tspin_unlock(&ipvs->est_lock);\n\tmod_timer(&ipvs->est_timer, jiffies + 2*HZ);\n",
        "\tspin_unlock(&ipvs->est_lock);\nrearm:\n\tvendor_rearm(ipvs);\n",
    ),
    (
        "Makefile",
        "ip_vs-objs :=\t",
        "LINUXINCLUDE := -I$(src)/include $(LINUXINCLUDE)\nip_vs-objs :=\tvendor.o ",
    ),
)


def main() -> None:
    """Edit the files in the folder that is the argument."""
    (folder,) = sys.argv[1:]
    for name, before, after in EDITS:
        path = Path(folder, name)
        text = path.read_text()
        if text.count(before) != 1:
            sys.exit(f"{path}: has {text.count(before)} times instead of once: {before!r}")
        path.write_text(text.replace(before, after))


if __name__ == "__main__":
    main()
