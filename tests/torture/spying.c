/*
 * spying.c: what a module has no business with. Each line of `found` says how far it came.
 */
#include "torture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char *
word(int failed)
{
	return failed ? strerrorname_np(errno) : "ok";
}

/* --- sockets --------------------------------------------------------------------------------- */

/* A path, or @NAME for the abstract one. */
static socklen_t
unix_address(struct sockaddr_un *address, const char *name)
{
	size_t length = strlen(name);

	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	if (length >= sizeof(address->sun_path))
		return 0;
	memcpy(address->sun_path, name, length);
	if (name[0] == '@')
		address->sun_path[0] = 0;
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] != '@'));
}

static void
try_unix(const char *target)
{
	struct sockaddr_un address;
	socklen_t length = unix_address(&address, target);
	int opened = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	tell("connect %s %s", target,
	    word(opened < 0 || connect(opened, (struct sockaddr *)&address, length) < 0));
	(void)close(opened);
}

/* tcp:PORT, of this host. */
static void
try_tcp(const char *target)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	int opened = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	address.sin_port = htons((uint16_t)atoi(target + strlen("tcp:")));
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	tell("connect %s %s", target,
	    word(opened < 0 || connect(opened, (struct sockaddr *)&address, sizeof(address)) < 0));
	(void)close(opened);
}

void
try_to_connect(const char *target)
{
	if (strncmp(target, "tcp:", 4) == 0)
		try_tcp(target);
	else
		try_unix(target);
}

/* --- files ----------------------------------------------------------------------------------- */

void
try_to_read(const char *target)
{
	char some[1];
	int file = open(target, O_RDONLY | O_CLOEXEC);

	/* A folder that can be opened can be listed. */
	tell("read %s %s", target,
	    word(file < 0 || (read(file, some, 1) < 0 && errno != EISDIR)));
	(void)close(file);
}

/* --- other processes ------------------------------------------------------------------------- */

static void
look_at(const char *pid)
{
	char path[LONGEST_WORD], line[LONGEST_LINE / 2];
	ssize_t length;
	int file, memory;

	(void)snprintf(path, sizeof(path), "/proc/%s/cmdline", pid);
	file = open(path, O_RDONLY | O_CLOEXEC);
	length = file < 0 ? -1 : read(file, line, sizeof(line) - 1);
	for (ssize_t n = 0; n < length; n++)
		if (line[n] == 0 || line[n] == '\n')
			line[n] = ' ';
	line[length < 0 ? 0 : length] = 0;
	(void)snprintf(path, sizeof(path), "/proc/%s/mem", pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	tell("process %s memory %s: %s", pid, word(memory < 0), line);
	(void)close(file);
	(void)close(memory);
}

static void
touch(const char *target)
{
	pid_t pid = (pid_t)atoi(target);

	tell("signal %s %s", target, word(kill(pid, 0) < 0));
	tell("trace %s %s", target, word(ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0));
}

void
look_for_processes(void)
{
	DIR *folder = opendir("/proc");
	const struct dirent *entry;

	tell("proc %s", word(folder == NULL));
	while (folder != NULL && (entry = readdir(folder)) != NULL)
		if (atoi(entry->d_name) > 0 && atoi(entry->d_name) != getpid())
			look_at(entry->d_name);
	if (folder != NULL)
		(void)closedir(folder);
	each_target(touch);
}
