/* platform_win.c: Windows 10 and later, whose sockets have AF_UNIX; see platform.h. */
#ifdef _WIN32

#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>

#include <windows.h>

#include "platform.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* afunix.h, which older SDKs do not have. */
#define LONGEST_ADDRESS 108
struct unix_address {
	ADDRESS_FAMILY family;
	char path[LONGEST_ADDRESS];
};

#define LARGEST_PIECE (1 << 20) /* lengths of Winsock are ints */

static int
piece(size_t length)
{
	return length > LARGEST_PIECE ? LARGEST_PIECE : (int)length;
}

/* --- connecting ------------------------------------------------------------------------------ */

static bool
start_winsock(void)
{
	static atomic_bool started;
	WSADATA unused;

	if (!atomic_load(&started) && WSAStartup(MAKEWORD(2, 2), &unused) == 0)
		atomic_store(&started, true); /* and never ended: it counts */
	return atomic_load(&started);
}

static enum reach
reach_of(int error)
{
	return error == WSAECONNREFUSED || error == WSAENETDOWN || error == WSAEINVAL ?
	    REACH_ABSENT :
	    REACH_REFUSED;
}

/* Who listens is not asked: the folder of the socket belongs to the user, and Windows checks it. */
enum reach
platform_connect(const char *path, bool of_the_system, struct channel *channel)
{
	struct unix_address address = {.family = AF_UNIX};
	size_t length = strlen(path);
	enum reach reach;
	SOCKET made;

	(void)of_the_system;
	if (length >= sizeof(address.path))
		return REACH_TOO_LONG;
	memcpy(address.path, path, length + 1);
	if (!start_winsock())
		return REACH_REFUSED;
	made = WSASocketW(AF_UNIX, SOCK_STREAM, 0, NULL, 0, WSA_FLAG_NO_HANDLE_INHERIT);
	if (made == INVALID_SOCKET)
		return REACH_REFUSED;
	if (connect(made, (struct sockaddr *)&address, sizeof(address)) != 0) {
		reach = reach_of(WSAGetLastError());
		closesocket(made);
		return reach;
	}
	*channel = (struct channel){.socket = made};
	return REACH_OK;
}

void
platform_disconnect(struct channel *channel)
{
	closesocket(channel->socket);
	channel->socket = INVALID_SOCKET;
}

void
platform_abandon(struct channel *channel)
{
	channel->socket = INVALID_SOCKET;
}

void
platform_interrupt(struct channel *channel)
{
	(void)shutdown(channel->socket, SD_BOTH);
}

/* --- moving bytes ---------------------------------------------------------------------------- */

enum io
platform_send(struct channel *channel, const void *data, size_t length, size_t *sent)
{
	int done = send(channel->socket, data, piece(length), 0);

	*sent = done < 0 ? 0 : (size_t)done;
	return done < 0 ? IO_GONE : IO_OK;
}

enum io
platform_receive(struct channel *channel, void *data, size_t length, size_t *received)
{
	int done = recv(channel->socket, data, piece(length), 0);

	*received = done < 0 ? 0 : (size_t)done;
	return done > 0 ? IO_OK : IO_GONE;
}

/* Winsock has no MSG_DONTWAIT. */
enum io
platform_receive_now(struct channel *channel, void *data, size_t length, size_t *received)
{
	enum io io = platform_wait(channel, 0);

	*received = 0;
	return io == IO_OK ? platform_receive(channel, data, length, received) : io;
}

bool
platform_is_open(struct channel *channel)
{
	return platform_wait(channel, 0) == IO_LATER;
}

enum io
platform_wait(struct channel *channel, int milliseconds)
{
	WSAPOLLFD watched = {.fd = channel->socket, .events = POLLRDNORM};

	return WSAPoll(&watched, 1, milliseconds) == 0 ? IO_LATER : IO_OK;
}

/* --- forks, of which there are none ---------------------------------------------------------- */

bool
platform_same_process(void)
{
	return true;
}

bool
platform_claim_begin(void)
{
	return true;
}

void
platform_claim(void)
{
}

void
platform_yield(void)
{
	(void)SwitchToThread();
}

/* --- locks ----------------------------------------------------------------------------------- */

struct platform_lock {
	SRWLOCK lock;
};

struct platform_lock platform_state_lock = {SRWLOCK_INIT};
struct platform_lock platform_connect_lock = {SRWLOCK_INIT};
static CONDITION_VARIABLE change = CONDITION_VARIABLE_INIT;

void
platform_locks_reset(void)
{
}

void
platform_lock(struct platform_lock *lock)
{
	AcquireSRWLockExclusive(&lock->lock);
}

void
platform_unlock(struct platform_lock *lock)
{
	ReleaseSRWLockExclusive(&lock->lock);
}

void
platform_wait_for_change(void)
{
	(void)SleepConditionVariableSRW(&change, &platform_state_lock.lock, INFINITE, 0);
}

void
platform_tell_change(void)
{
	WakeAllConditionVariable(&change);
}

/* --- surroundings ---------------------------------------------------------------------------- */

uint64_t
platform_microseconds(void)
{
	LARGE_INTEGER frequency, now;

	QueryPerformanceFrequency(&frequency);
	QueryPerformanceCounter(&now);
	return (uint64_t)(now.QuadPart / frequency.QuadPart) * 1000000 +
	    (uint64_t)(now.QuadPart % frequency.QuadPart) * 1000000 / (uint64_t)frequency.QuadPart;
}

uint32_t
platform_process_id(void)
{
	return (uint32_t)GetCurrentProcessId();
}

const char *
platform_environment(const char *name)
{
	const char *value = getenv(name);

	return value == NULL || value[0] == '\0' ? NULL : value;
}

bool
platform_path(unsigned n, char *path, size_t room, bool *of_the_system)
{
	const char *folder;
	int length = -1;

	*of_the_system = false;
	if (n > 0)
		return false;
	if ((folder = platform_environment("KEYHOLM_PKCS11")) != NULL)
		length = snprintf(path, room, "%s", folder);
	else if ((folder = platform_environment("KEYHOLM_HOME")) != NULL)
		length = snprintf(path, room, "%s\\run\\pkcs11", folder);
	else if ((folder = platform_environment("LOCALAPPDATA")) != NULL)
		length = snprintf(path, room, "%s\\keyholm\\run\\pkcs11", folder);
	return length >= 0 && (size_t)length < room;
}

bool
platform_on_battery(void)
{
	SYSTEM_POWER_STATUS status;

	return GetSystemPowerStatus(&status) && status.ACLineStatus == 0;
}

bool
platform_is_probed(void)
{
	return GetModuleHandleA("libp11-kit-0.dll") != NULL ||
	    GetModuleHandleA("p11-kit-proxy.dll") != NULL;
}

bool
platform_is_spied_on(void)
{
	return GetModuleHandleA("pkcs11-spy.dll") != NULL;
}

void
platform_print(const char *text, size_t length)
{
	HANDLE error = GetStdHandle(STD_ERROR_HANDLE);
	DWORD written;

	if (error != NULL && error != INVALID_HANDLE_VALUE)
		(void)WriteFile(error, text, (DWORD)length, &written, NULL);
}

#endif
