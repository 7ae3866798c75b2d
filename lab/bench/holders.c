/* Holds as many network namespaces as it is told to, each by a process, until its input ends.
 *
 * Usage: holders COUNT. Prints the process ids, one a line, when all namespaces exist.
 */
#define _GNU_SOURCE
#include <err.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void hold(int ready)
{
	/* The holder may end in any way: its children end with it. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || unshare(CLONE_NEWNET))
		err(1, "a namespace");
	if (write(ready, ".", 1) != 1)
		err(1, "write");
	close(ready);
	close(0);
	close(1);
	for (;;)
		pause();
}

int main(int count, char **arguments)
{
	int wanted = count == 2 ? atoi(arguments[1]) : 0, ready[2], at;
	pid_t *children = calloc(wanted + 1, sizeof *children);
	char byte;

	for (at = 0; at < wanted; at++) {
		if (pipe(ready))
			err(1, "pipe");
		children[at] = fork();
		if (children[at] < 0)
			err(1, "fork");
		if (!children[at]) {
			close(ready[0]);
			hold(ready[1]);
		}
		close(ready[1]);
		if (read(ready[0], &byte, 1) != 1)
			errx(1, "a namespace could not be made");
		close(ready[0]);
	}
	for (at = 0; at < wanted; at++)
		printf("%d\n", children[at]);
	printf("\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (at = 0; at < wanted; at++)
		kill(children[at], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}
