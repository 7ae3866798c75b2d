/* The least that visits to namespaces cost: setns, open, read, write, read back, home again.
 *
 * Usage: visits proc|detached BATCH FILE VALUE <paths
 *
 * FILE is relative to procfs. "proc" opens it below /proc. "detached" opens it below a procfs
 * instance of its own, which is mounted nowhere, and which is closed and made anew after each
 * BATCH visits (0: never). Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_usec(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1e6 + now.tv_nsec / 1e3;
}

static int instance(void)
{
	int context = syscall(SYS_fsopen, "proc", FSOPEN_CLOEXEC), mounted;

	if (context < 0)
		err(1, "fsopen");
	if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		err(1, "fsconfig");
	mounted = syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0);
	if (mounted < 0)
		err(1, "fsmount");
	close(context);
	return mounted;
}

static int shows(int file, const char *value)
{
	char found[64];
	ssize_t size = pread(file, found, sizeof found, 0);

	return size == (ssize_t)strlen(value) + 1 && !memcmp(found, value, size - 1);
}

static int entered(const char *path)
{
	int space = open(path, O_RDONLY | O_CLOEXEC);
	int failed = space < 0 || setns(space, CLONE_NEWNET);

	if (space >= 0)
		close(space);
	return !failed;
}

int main(int count, char **arguments)
{
	char **paths = NULL, *path = NULL;
	size_t visits = 0, at, size = 0, already = 0, set = 0, instances = 0;
	double cpu, wall, drop_cpu = 0, drop_wall = 0, longest = 0;

	if (count != 5)
		errx(2, "usage: visits proc|detached BATCH FILE VALUE <paths");
	int detached = !strcmp(arguments[1], "detached"), procfs = -1;
	size_t batch = strtoul(arguments[2], NULL, 10);
	const char *file = arguments[3], *value = arguments[4];
	int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	while (getline(&path, &size, stdin) > 0) {
		path[strcspn(path, "\n")] = 0;
		paths = realloc(paths, (visits + 1) * sizeof *paths);
		paths[visits++] = strdup(path);
	}
	cpu = now_usec(CLOCK_PROCESS_CPUTIME_ID);
	wall = now_usec(CLOCK_MONOTONIC);
	if (!detached)
		procfs = open("/proc", O_PATH | O_CLOEXEC);
	for (at = 0; at < visits; at++) {
		if (detached && procfs < 0) {
			procfs = instance();
			instances++;
		}
		if (entered(paths[at])) {
			int opened = openat(procfs, file, O_RDWR | O_CLOEXEC);

			if (opened >= 0) {
				already += shows(opened, value);
				if (pwrite(opened, value, strlen(value), 0) > 0)
					set += shows(opened, value);
				close(opened);
			}
		}
		if (at + 1 == visits || (batch && (at + 1) % batch == 0)) {
			setns(home, CLONE_NEWNET);
			if (detached) {
				double cpu_then = now_usec(CLOCK_PROCESS_CPUTIME_ID);
				double then = now_usec(CLOCK_MONOTONIC), took;

				close(procfs);
				procfs = -1;
				took = now_usec(CLOCK_MONOTONIC) - then;
				drop_wall += took;
				longest = took > longest ? took : longest;
				drop_cpu += now_usec(CLOCK_PROCESS_CPUTIME_ID) - cpu_then;
			}
		}
	}
	cpu = now_usec(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	wall = now_usec(CLOCK_MONOTONIC) - wall;
	printf("{\"visits\": %zu, \"already\": %zu, \"set\": %zu, \"cpu_usec\": %.0f, "
	       "\"wall_usec\": %.0f, \"instances\": %zu, \"drop_cpu_usec\": %.0f, "
	       "\"drop_wall_usec\": %.0f, \"longest_drop_usec\": %.0f}\n",
	       visits, already, set, cpu, wall, instances, drop_cpu, drop_wall, longest);
	return 0;
}
