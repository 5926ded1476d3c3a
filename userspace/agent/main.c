// SPDX-License-Identifier: GPL-2.0
/*
 * The agent's loop. It waits for the port and for connections by vsock, both
 * of which may come late: the kernel tells of new devices.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/vm_sockets.h>

#include "agent.h"

#define PORTS	"/sys/class/virtio-ports"

/* What the loop waits for, besides links and sessions. */
enum { SIGNALS, DEVICES, VSOCK, FIXED };

#define MAX_FDS	(FIXED + MAX_LINKS + MAX_SESSIONS * AGENT_STREAMS)

static int port_fd = -1;
static bool is_init;

/* ---- the port ---- */

static bool has_our_name(const char *device)
{
	char path[300], name[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), PORTS "/%s/name", device);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	return !strcmp(name, AGENT_PORT_NAME);
}

static void open_port(void)
{
	DIR *dir = opendir(PORTS);
	struct dirent *entry;
	char path[300];

	while (dir && port_fd < 0 && (entry = readdir(dir))) {
		if (!has_our_name(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
		port_fd = open(path, O_RDWR | O_CLOEXEC);
		if (port_fd >= 0)
			link_add(port_fd);
	}
	if (dir)
		closedir(dir);
}

/* ---- vsock ---- */

static int listen_vsock(void)
{
	struct sockaddr_vm sa = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY,
		.svm_port = AGENT_VSOCK_PORT,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (!bind(fd, (struct sockaddr *)&sa, sizeof(sa)) && !listen(fd, 8))
		return fd;
	close(fd);
	return -1;
}

/* The host's only: whoever connects is root here. */
static void take_connection(int listen_fd)
{
	struct sockaddr_vm sa = { 0 };
	socklen_t bytes = sizeof(sa);
	int fd = accept4(listen_fd, (struct sockaddr *)&sa, &bytes,
			 SOCK_CLOEXEC);

	if (fd < 0)
		return;
	if (sa.svm_cid == VMADDR_CID_HOST)
		link_add(fd);
	else
		close(fd);
}

/* ---- events ---- */

/* The kernel's messages about devices come here, those of udev do not. */
static int watch_devices(void)
{
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa))) {
		perror("posada-agent: cannot watch devices");
		return -1;
	}
	return fd;
}

static void look_for_devices(struct pollfd *fixed)
{
	char message[4096];

	while (recv(fixed[DEVICES].fd, message, sizeof(message), 0) > 0)
		;
	if (port_fd < 0)
		open_port();
	if (fixed[VSOCK].fd < 0)
		fixed[VSOCK].fd = listen_vsock();
}

static int watch_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void reap(int fd)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		session_child_ended(pid, status);
}

/* ---- the loop ---- */

static void fill(struct pollfd *fds)
{
	struct pollfd *p = fds + FIXED;
	unsigned int stream;
	size_t i;

	for (i = 0; i < MAX_LINKS; i++)
		*p++ = (struct pollfd){ .fd = links[i].fd, .events = POLLIN };
	for (i = 0; i < MAX_SESSIONS; i++)
		for (stream = 0; stream < AGENT_STREAMS; stream++) {
			short events = session_wants(&sessions[i], stream);

			p->fd = events ? sessions[i].fd[stream] : -1;
			p++->events = events;
		}
}

/* A frame may end a session, or start one, whose descriptors were not asked
 * for: those are looked at in the next turn.
 */
static void serve(const struct pollfd *fds)
{
	const struct pollfd *p = fds + FIXED + MAX_LINKS;
	unsigned int stream;
	size_t i;

	for (i = 0; i < MAX_SESSIONS; i++)
		for (stream = 0; stream < AGENT_STREAMS; stream++, p++)
			if (p->fd >= 0 && p->revents &&
			    p->fd == sessions[i].fd[stream])
				session_ready(&sessions[i], stream);
	for (i = 0; i < MAX_LINKS; i++) {
		p = &fds[FIXED + i];
		if (p->fd < 0 || !p->revents)
			continue;
		if (!link_read(&links[i]) && p->fd == port_fd) {
			port_fd = -1;
			open_port();
		}
	}
}

static void run(void)
{
	static struct pollfd fds[MAX_FDS];

	fds[SIGNALS] = (struct pollfd){ .fd = watch_signals(), .events = POLLIN };
	fds[DEVICES] = (struct pollfd){ .fd = watch_devices(), .events = POLLIN };
	fds[VSOCK] = (struct pollfd){ .fd = -1, .events = POLLIN };
	look_for_devices(fds);
	while (!is_init || !session_first_over()) {
		fill(fds);
		if (poll(fds, MAX_FDS, -1) < 0)
			continue;
		serve(fds);
		if (fds[SIGNALS].revents)
			reap(fds[SIGNALS].fd);
		if (fds[DEVICES].revents)
			look_for_devices(fds);
		if (fds[VSOCK].fd >= 0 && fds[VSOCK].revents)
			take_connection(fds[VSOCK].fd);
	}
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc > 1 && getpid() != 1) {
		fprintf(stderr, "usage: %s\n\nRun commands for `posada exec` on the host; posada(1).\n",
			argv[0]);
		return 2;
	}
	for (i = 0; i < MAX_LINKS; i++)
		links[i].fd = -1;
	is_init = getpid() == 1;
	if (is_init)
		init_start();
	run();
	init_end();
}
