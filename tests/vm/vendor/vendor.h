/* SPDX-License-Identifier: GPL-2.0-only */
/* What edit.py adds to ip_vs; see vendor.c. */
#ifndef _VENDOR_H
#define _VENDOR_H

struct ctl_table;
struct netns_ipvs;

#define VENDOR_SYSCTLS 2 /* entries at the end of vs_vars[] */

void vendor_begin_init(void);
int vendor_result_of_init(void);
void vendor_end_init(int result);
void vendor_exit(void);

void vendor_fill_sysctls(struct ctl_table *table, struct netns_ipvs *ipvs);
void vendor_before_sysctls(void);
void vendor_after_sysctls(void);

bool vendor_may_estimate(struct netns_ipvs *ipvs);
void vendor_rearm(struct netns_ipvs *ipvs);

#endif
