/* The fastest reader of uevents: waits for the event of ip_vs, writes 0, and nothing else. */
#include <fcntl.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int main(void)
{
	static const char loaded[] = "add@/module/ip_vs";
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	char event[8192];
	int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);

	if (events < 0 || bind(events, (struct sockaddr *)&kernel, sizeof kernel))
		return 1;
	for (;;) {
		ssize_t size = recv(events, event, sizeof event - 1, 0);

		if (size < (ssize_t)sizeof loaded || memcmp(event, loaded, sizeof loaded))
			continue;
		int value = open("/proc/sys/net/ipv4/vs/run_estimation", O_WRONLY | O_CLOEXEC);

		if (value < 0)
			continue;
		if (write(value, "0", 1) != 1)
			return 1;
		close(value);
	}
}
