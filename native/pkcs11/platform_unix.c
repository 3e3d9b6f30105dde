/* platform_unix.c: Linux, macOS and the BSDs; see platform.h. */
#ifndef _WIN32

#define _GNU_SOURCE
#define _DARWIN_C_SOURCE
#include "platform.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <link.h>
#endif

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* macOS: SO_NOSIGPIPE, below */
#endif
#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif

#define SYSTEM_FOLDER "/run/keyholm"

/* --- connecting ------------------------------------------------------------------------------ */

/* 0 to 2 are kept free even if the program closed them: a stray printf must not reach a daemon. */
static int
new_socket(void)
{
	int moved, made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (made < 0)
		return -1;
	if (made <= STDERR_FILENO) {
		moved = fcntl(made, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
		close(made);
		made = moved;
	}
	if (made >= 0 && SOCK_CLOEXEC == 0)
		(void)fcntl(made, F_SETFD, FD_CLOEXEC);
#ifdef SO_NOSIGPIPE
	if (made >= 0) {
		int on = 1;

		(void)setsockopt(made, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
	}
#endif
	return made;
}

static bool
uid_behind(int connected, uid_t *uid)
{
#ifdef SO_PEERCRED
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(connected, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
		return false;
	*uid = peer.uid;
	return true;
#else
	gid_t gid;

	return getpeereid(connected, uid, &gid) == 0;
#endif
}

/*
 * PINs go through here, so it matters who listens: ourselves or root. The system's daemon has a
 * uid of its own; it is the one that root gave the folder of its socket.
 */
static bool
is_trusted(int connected, bool of_the_system)
{
	struct stat folder;
	uid_t uid;

	if (!uid_behind(connected, &uid))
		return false;
	if (uid == 0 || uid == geteuid() || uid == getuid())
		return true;
	return of_the_system && lstat(SYSTEM_FOLDER, &folder) == 0 && S_ISDIR(folder.st_mode) &&
	    (folder.st_mode & (S_IWGRP | S_IWOTH)) == 0 && folder.st_uid == uid;
}

static enum reach
reach_of(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ECONNREFUSED ? REACH_ABSENT :
	                                                                     REACH_REFUSED;
}

static bool
remember(struct channel *channel)
{
	struct stat status;

	if (fstat(channel->socket, &status) != 0)
		return false;
	channel->device = (uint64_t)status.st_dev;
	channel->inode = (uint64_t)status.st_ino;
	return true;
}

enum reach
platform_connect(const char *path, bool of_the_system, struct channel *channel)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int status;

	if (length >= sizeof(address.sun_path))
		return REACH_TOO_LONG;
	memcpy(address.sun_path, path, length + 1);
	channel->socket = new_socket();
	if (channel->socket < 0)
		return REACH_REFUSED;
	do
		status = connect(channel->socket, (struct sockaddr *)&address, sizeof(address));
	while (status != 0 && errno == EINTR);
	if (status != 0 || !remember(channel)) {
		enum reach reach = reach_of(errno);

		close(channel->socket);
		return reach;
	}
	if (!is_trusted(channel->socket, of_the_system)) {
		close(channel->socket);
		return REACH_FOREIGN;
	}
	return REACH_OK;
}

/* A program that closes what it did not open may have given our number to a file of its own. */
static bool
is_still_ours(const struct channel *channel)
{
	struct stat status;

	return fstat(channel->socket, &status) == 0 && S_ISSOCK(status.st_mode) &&
	    (uint64_t)status.st_dev == channel->device &&
	    (uint64_t)status.st_ino == channel->inode;
}

void
platform_abandon(struct channel *channel)
{
	if (is_still_ours(channel))
		close(channel->socket);
	channel->socket = -1;
}

void
platform_disconnect(struct channel *channel)
{
	platform_abandon(channel);
}

void
platform_interrupt(struct channel *channel)
{
	if (is_still_ours(channel))
		(void)shutdown(channel->socket, SHUT_RDWR);
}

/* --- moving bytes ---------------------------------------------------------------------------- */

enum io
platform_send(struct channel *channel, const void *data, size_t length, size_t *sent)
{
	ssize_t done;

	do
		done = send(channel->socket, data, length, MSG_NOSIGNAL);
	while (done < 0 && errno == EINTR);
	*sent = done < 0 ? 0 : (size_t)done;
	return done < 0 ? IO_GONE : IO_OK;
}

static enum io
receive(struct channel *channel, void *data, size_t length, int flags, size_t *received)
{
	ssize_t done;

	do
		done = recv(channel->socket, data, length, flags);
	while (done < 0 && errno == EINTR);
	*received = done < 0 ? 0 : (size_t)done;
	if (done > 0)
		return IO_OK;
	return done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? IO_LATER : IO_GONE;
}

enum io
platform_receive(struct channel *channel, void *data, size_t length, size_t *received)
{
	enum io io = receive(channel, data, length, 0, received);

	/* A descriptor that somebody made non-blocking (it is shared with our parent's children). */
	while (io == IO_LATER) {
		(void)platform_wait(channel, -1);
		io = receive(channel, data, length, 0, received);
	}
	return io;
}

enum io
platform_receive_now(struct channel *channel, void *data, size_t length, size_t *received)
{
	return receive(channel, data, length, MSG_DONTWAIT, received);
}

bool
platform_is_open(struct channel *channel)
{
	char byte;
	size_t received;

	/* Bytes that nobody asked for are no better than an end. */
	return receive(channel, &byte, 1, MSG_DONTWAIT | MSG_PEEK, &received) == IO_LATER;
}

enum io
platform_wait(struct channel *channel, int milliseconds)
{
	struct pollfd watched = {.fd = channel->socket, .events = POLLIN};
	int ready;

	do
		ready = poll(&watched, 1, milliseconds);
	while (ready < 0 && errno == EINTR);
	return ready == 0 ? IO_LATER : IO_OK;
}

/* --- forks ----------------------------------------------------------------------------------- */

/*
 * A page that the kernel empties in a child (Linux 4.14) tells a fork without a system call, and
 * also where child and parent have the same number in different namespaces. Without one, the
 * process id has to do. No pthread_atfork: its handlers outlive us and hang programs.
 */
struct mark {
	atomic_int claimed;
	atomic_int claiming;
};

static struct mark by_number; /* then both hold a process id */
static _Atomic(struct mark *) by_page;

#ifdef __linux__
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

static struct mark *
wiped_page(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return NULL;
	/* Old emulators agree to any advice and follow none: ask for one that does not exist. */
	if (madvise(page, size, -1) == 0 || madvise(page, size, MADV_WIPEONFORK) != 0) {
		munmap(page, size);
		return NULL;
	}
	return page;
}

static void
find_page(void)
{
	struct mark *none = NULL, *page = wiped_page();

	if (page != NULL && !atomic_compare_exchange_strong(&by_page, &none, page))
		munmap(page, (size_t)sysconf(_SC_PAGESIZE));
}
#else
static void
find_page(void)
{
}
#endif

bool
platform_same_process(void)
{
	struct mark *page = atomic_load_explicit(&by_page, memory_order_acquire);

	if (page != NULL)
		return atomic_load_explicit(&page->claimed, memory_order_acquire) != 0;
	return atomic_load_explicit(&by_number.claimed, memory_order_acquire) == (int)getpid();
}

bool
platform_claim_begin(void)
{
	struct mark *page;
	int number = (int)getpid(), seen;

	if (atomic_load(&by_page) == NULL && atomic_load(&by_number.claimed) == 0)
		find_page();
	page = atomic_load(&by_page);
	if (page != NULL) {
		seen = 0;
		return atomic_compare_exchange_strong(&page->claiming, &seen, 1);
	}
	seen = atomic_load(&by_number.claiming);
	return seen != number &&
	    atomic_compare_exchange_strong(&by_number.claiming, &seen, number);
}

void
platform_claim(void)
{
	struct mark *page = atomic_load(&by_page);

	if (page != NULL)
		atomic_store(&page->claimed, 1);
	else
		atomic_store(&by_number.claimed, (int)getpid());
}

/* --- locks ----------------------------------------------------------------------------------- */

struct platform_lock {
	pthread_mutex_t mutex;
};

struct platform_lock platform_state_lock = {PTHREAD_MUTEX_INITIALIZER};
struct platform_lock platform_connect_lock = {PTHREAD_MUTEX_INITIALIZER};
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;

/* After a fork their state is that of threads which do not exist here. */
void
platform_locks_reset(void)
{
	static const pthread_mutex_t free_mutex = PTHREAD_MUTEX_INITIALIZER;
	static const pthread_cond_t free_condition = PTHREAD_COND_INITIALIZER;

	memcpy(&platform_state_lock.mutex, &free_mutex, sizeof(free_mutex));
	memcpy(&platform_connect_lock.mutex, &free_mutex, sizeof(free_mutex));
	memcpy(&change, &free_condition, sizeof(free_condition));
}

void
platform_lock(struct platform_lock *lock)
{
	(void)pthread_mutex_lock(&lock->mutex);
}

void
platform_unlock(struct platform_lock *lock)
{
	(void)pthread_mutex_unlock(&lock->mutex);
}

void
platform_wait_for_change(void)
{
	(void)pthread_cond_wait(&change, &platform_state_lock.mutex);
}

void
platform_tell_change(void)
{
	(void)pthread_cond_broadcast(&change);
}

void
platform_yield(void)
{
	(void)sched_yield();
}

/* --- surroundings ---------------------------------------------------------------------------- */

uint64_t
platform_microseconds(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint32_t
platform_process_id(void)
{
	return (uint32_t)getpid();
}

const char *
platform_environment(const char *name)
{
	const char *value;

#ifdef __linux__
	value = secure_getenv(name);
#else
	value = issetugid() ? NULL : getenv(name);
#endif
	return value == NULL || value[0] == '\0' ? NULL : value;
}

static bool
users_path(char *path, size_t room)
{
	const char *folder;
	int length;

	if ((folder = platform_environment("KEYHOLM_PKCS11")) != NULL)
		length = snprintf(path, room, "%s", folder);
	else if ((folder = platform_environment("KEYHOLM_HOME")) != NULL)
		length = snprintf(path, room, "%s/run/pkcs11", folder);
	else if ((folder = platform_environment("XDG_RUNTIME_DIR")) != NULL)
		length = snprintf(path, room, "%s/keyholm/pkcs11", folder);
	else
		length = snprintf(path, room, "/run/user/%lu/keyholm/pkcs11",
		    (unsigned long)geteuid());
	return length >= 0 && (size_t)length < room;
}

bool
platform_path(unsigned n, char *path, size_t room, bool *of_the_system)
{
	*of_the_system = n == 1;
	if (n == 0)
		return users_path(path, room);
	/* Who names a daemon means that one. */
	if (n > 1 || platform_environment("KEYHOLM_PKCS11") != NULL ||
	    platform_environment("KEYHOLM_HOME") != NULL)
		return false;
	return snprintf(path, room, "%s", SYSTEM_FOLDER "/pkcs11") > 0;
}

#ifdef __linux__
#define SUPPLIES "/sys/class/power_supply"

static bool
supply_says(const char *supply, const char *what, const char *expected)
{
	char path[512], text[16];
	ssize_t length;
	int file;

	if (snprintf(path, sizeof(path), SUPPLIES "/%s/%s", supply, what) >= (int)sizeof(path))
		return false;
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	length = read(file, text, sizeof(text));
	close(file);
	return length >= (ssize_t)strlen(expected) &&
	    memcmp(text, expected, strlen(expected)) == 0;
}

bool
platform_on_battery(void)
{
	bool unplugged = false, plugged = false;
	struct dirent *supply;
	DIR *folder = opendir(SUPPLIES);

	if (folder == NULL)
		return false;
	while ((supply = readdir(folder)) != NULL) {
		if (!supply_says(supply->d_name, "type", "Mains"))
			continue;
		plugged = plugged || supply_says(supply->d_name, "online", "1");
		unplugged = unplugged || supply_says(supply->d_name, "online", "0");
	}
	closedir(folder);
	return unplugged && !plugged;
}
#else
bool
platform_on_battery(void)
{
	return false;
}
#endif

static bool
is_p11_kit(const char *path)
{
	return strstr(path, "/libp11-kit.") != NULL || strstr(path, "/p11-kit-proxy.") != NULL;
}

static bool
is_spy(const char *path)
{
	return strstr(path, "/pkcs11-spy.") != NULL;
}

#ifdef __APPLE__
static bool
is_loaded(bool (*is_wanted)(const char *))
{
	for (uint32_t n = 0; n < _dyld_image_count(); n++) {
		const char *path = _dyld_get_image_name(n);

		if (path != NULL && is_wanted(path))
			return true;
	}
	return false;
}
#else
struct looked_for {
	bool (*is_wanted)(const char *);
};

static int
look_at(struct dl_phdr_info *loaded, size_t size, void *context)
{
	const struct looked_for *looked_for = context;

	(void)size;
	return loaded->dlpi_name != NULL && looked_for->is_wanted(loaded->dlpi_name);
}

static bool
is_loaded(bool (*is_wanted)(const char *))
{
	struct looked_for looked_for = {is_wanted};

	return dl_iterate_phdr(look_at, &looked_for) != 0;
}
#endif

bool
platform_is_probed(void)
{
	return is_loaded(is_p11_kit);
}

bool
platform_is_spied_on(void)
{
	return is_loaded(is_spy);
}

void
platform_print(const char *text, size_t length)
{
	ssize_t done;

	do
		done = write(STDERR_FILENO, text, length);
	while (done < 0 && errno == EINTR);
}

#endif
