/*
 * platform_fuzz.c: platform.h without a system: the daemon's bytes are those of the fuzzer.
 *
 * One process, one thread, no clock. What is sent goes nowhere, but for the number of the
 * request, which the answer must repeat.
 */
#include "platform_fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "../pkcs11/platform.h"

struct platform_lock {
	int unused;
};

struct platform_lock platform_state_lock, platform_connect_lock;

static const unsigned char hello[] = {
    0x80, 0, 0, 0, 32,                              /* as long as it must be */
    0, 0, 0, 0, 0, 0, 0, 0,                         /* features */
    0, 1, 0, 0,                                     /* version */
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, /* application */
    4, 0, 0, 0,                                     /* largest body */
};

/* What comes next: the hello, then what the program gave, then the fuzzer's bytes. */
static struct {
	const unsigned char *at;
	size_t left;
} parts[3];

static unsigned char code[4];
static size_t code_left;
static size_t frame_left; /* a daemon answers once a request, however long it says that is */
static bool in_hello;

void
fuzz_answers(const unsigned char *first, size_t first_size, const unsigned char *rest,
    size_t rest_size)
{
	parts[1].at = first;
	parts[1].left = first_size;
	parts[2].at = rest;
	parts[2].left = rest_size;
}

enum reach
platform_connect(const char *path, bool of_the_system, struct channel *channel)
{
	(void)path;
	(void)of_the_system;
	memset(channel, 0, sizeof(*channel));
	parts[0].at = hello;
	parts[0].left = sizeof(hello);
	in_hello = true;
	return REACH_OK;
}

void
platform_disconnect(struct channel *channel)
{
	(void)channel;
	parts[0].left = 0;
	code_left = 0;
}

void
platform_abandon(struct channel *channel)
{
	(void)channel;
}

void
platform_interrupt(struct channel *channel)
{
	(void)channel;
}

bool
platform_is_open(struct channel *channel)
{
	(void)channel;
	return true;
}

static size_t
number_at(const unsigned char *at)
{
	return (size_t)at[0] << 24 | (size_t)at[1] << 16 | (size_t)at[2] << 8 | at[3];
}

/* What the next frame says of itself, as far as there is any of it. */
static size_t
next_frame(void)
{
	size_t n = parts[1].left > 0 ? 1 : 2;

	if (parts[n].left < 8)
		return parts[n].left;
	return 8 + number_at(parts[n].at) + number_at(parts[n].at + 4);
}

enum io
platform_send(struct channel *channel, const void *data, size_t length, size_t *sent)
{
	(void)channel;
	if (!in_hello && length >= sizeof(code)) {
		memcpy(code, data, sizeof(code));
		code_left = sizeof(code);
		frame_left = next_frame();
	}
	in_hello = false;
	*sent = length;
	return IO_OK;
}

static size_t
give(unsigned char *to, size_t room, const unsigned char *from, size_t size)
{
	size_t given = size < room ? size : room;

	if (given > 0)
		memcpy(to, from, given);
	return given;
}

/* A frame comes in several pieces, so that the module has to ask again. */
enum io
platform_receive(struct channel *channel, void *data, size_t length, size_t *received)
{
	size_t n = parts[0].left > 0 ? 0 : parts[1].left > 0 ? 1 : 2;
	size_t room = length < 12 ? length : 12 + (length - 12) / 2;

	(void)channel;
	if (n > 0 && code_left > 0) {
		*received = give(data, length, code + sizeof(code) - code_left, code_left);
		code_left -= *received;
		return IO_OK;
	}
	if (n > 0 && room > frame_left)
		room = frame_left;
	*received = give(data, room, parts[n].at, parts[n].left);
	parts[n].at += *received;
	parts[n].left -= *received;
	frame_left -= n > 0 ? *received : 0;
	return *received > 0 ? IO_OK : IO_GONE;
}

enum io
platform_receive_now(struct channel *channel, void *data, size_t length, size_t *received)
{
	return platform_receive(channel, data, length, received);
}

enum io
platform_wait(struct channel *channel, int milliseconds)
{
	(void)channel;
	(void)milliseconds;
	return IO_OK;
}

bool
platform_same_process(void)
{
	return true;
}

void
platform_claim(void)
{
}

bool
platform_claim_begin(void)
{
	return true;
}

void
platform_yield(void)
{
}

void
platform_locks_reset(void)
{
}

void
platform_lock(struct platform_lock *lock)
{
	(void)lock;
}

void
platform_unlock(struct platform_lock *lock)
{
	(void)lock;
}

/* With one thread nobody would ever wake us. */
void
platform_wait_for_change(void)
{
	abort();
}

void
platform_tell_change(void)
{
}

uint64_t
platform_microseconds(void)
{
	return 0;
}

uint32_t
platform_process_id(void)
{
	return 1;
}

const char *
platform_environment(const char *name)
{
	return strcmp(name, "KEYHOLM_VERBOSE") == 0 ? "1" : NULL;
}

bool
platform_path(unsigned n, char *path, size_t room, bool *of_the_system)
{
	*of_the_system = false;
	if (n > 0 || room < 2)
		return false;
	memcpy(path, "/", 2);
	return true;
}

bool
platform_on_battery(void)
{
	return false;
}

bool
platform_is_spied_on(void)
{
	return false;
}

bool
platform_is_probed(void)
{
	return false;
}

void
platform_print(const char *text, size_t length)
{
	/* Each byte is read, so that a sanitizer sees a length that is wrong. */
	volatile unsigned char sum = 0;

	for (size_t n = 0; n < length; n++)
		sum = (unsigned char)(sum + (unsigned char)text[n]);
}
