// SPDX-License-Identifier: GPL-2.0
/* Names of running VMs: see names.h. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "machine.h"
#include "names.h"
#include "sock.h"

#define ROOT_FOLDER	"/run/posada"

bool name_is_valid(const char *name)
{
	size_t i, n = strlen(name);

	if (!n || n > NAME_MAX_BYTES || !isalnum((unsigned char)*name))
		return false;
	for (i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) &&
		    !strchr("._-", name[i]))
			return false;
	return true;
}

char *names_folder(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");

	if (!geteuid())
		return xasprintf("%s", ROOT_FOLDER);
	return runtime && *runtime == '/' ? xasprintf("%s/posada", runtime) :
					    NULL;
}

char *names_path(const char *name)
{
	char *folder = names_folder(), *path = NULL;

	if (folder)
		path = xasprintf("%s/%s", folder, name);
	free(folder);
	return path;
}

/* Ours, and nobody else's to write to; /run and its like are made at boot. */
static int make_folder(const char *folder)
{
	struct stat st;

	if (mkdir(folder, 0700) && errno != EEXIST)
		return errno == ENOENT ? -ENOTDIR : -errno;
	if (lstat(folder, &st))
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return -ENOTDIR;
	if (st.st_uid != geteuid() || st.st_mode & 022)
		return -EPERM;
	return 0;
}

int lock_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX))
		if (errno != EINTR)
			break;
	return fd;
}

int names_listen(const char *path)
{
	char *folder = names_folder();
	int ret, lock;

	if (!folder)
		return -ENOTDIR;
	ret = make_folder(folder);
	if (!ret) {
		/* From bind() to listen() the socket looks like a dead one's. */
		lock = lock_folder(folder);
		ret = lock < 0 ? lock : sock_listen_unix(path);
		if (lock >= 0)
			close(lock);
	}
	free(folder);
	return ret;
}

int names_connect(const char *path)
{
	char *folder;
	int lock, fd = sock_connect_unix(path);

	if (fd != -ECONNREFUSED)
		return fd;
	folder = names_folder();
	lock = folder ? lock_folder(folder) : -ENOTDIR;
	free(folder);
	if (lock < 0)
		return fd;
	fd = sock_connect_unix(path);
	if (fd == -ECONNREFUSED)
		unlink(path);
	close(lock);
	return fd;
}
