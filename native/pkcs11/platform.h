/*
 * platform.h: what differs between systems, and nothing else.
 *
 * platform_unix.c and platform_win.c give the same functions.
 */
#ifndef KEYHOLM_PLATFORM_H
#define KEYHOLM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
typedef uintptr_t platform_socket;
#else
typedef int platform_socket;
#endif

/* A connected stream, with enough to know whether its descriptor is still ours. */
struct channel {
	platform_socket socket;
	uint64_t device;
	uint64_t inode;
};

enum reach {
	REACH_OK,
	REACH_ABSENT,   /* nothing there, or nobody listens */
	REACH_TOO_LONG, /* the path does not fit a socket's address */
	REACH_FOREIGN,  /* somebody else's process listens there */
	REACH_REFUSED   /* no permission, no descriptors left, ... */
};

enum reach platform_connect(const char *path, bool of_the_system, struct channel *);
void platform_disconnect(struct channel *);
/* Close the descriptor and leave the connection itself alone: it is our parent's. */
void platform_abandon(struct channel *);
/* Wake who waits on it in another thread. */
void platform_interrupt(struct channel *);
/* Has the other side not hung up? Costs one system call. */
bool platform_is_open(struct channel *);

enum io {
	IO_OK,
	IO_LATER, /* only platform_receive_now and platform_wait: nothing there yet */
	IO_GONE
};

enum io platform_send(struct channel *, const void *, size_t, size_t *sent);
enum io platform_receive(struct channel *, void *, size_t, size_t *received);
enum io platform_receive_now(struct channel *, void *, size_t, size_t *received);
enum io platform_wait(struct channel *, int milliseconds);

/* Is this still the process that last called platform_claim()? A fork makes it false. */
bool platform_same_process(void);
void platform_claim(void);
/* Take the right to reset after a fork; false if another thread of this process has it. */
bool platform_claim_begin(void);
void platform_yield(void);

struct platform_lock;
extern struct platform_lock platform_state_lock;
extern struct platform_lock platform_connect_lock;
void platform_locks_reset(void);
void platform_lock(struct platform_lock *);
void platform_unlock(struct platform_lock *);
/* Both with platform_state_lock held. */
void platform_wait_for_change(void);
void platform_tell_change(void);

uint64_t platform_microseconds(void);
uint32_t platform_process_id(void);
/* NULL in a program that has more rights than who started it. */
const char *platform_environment(const char *name);
/* The n-th path where a daemon may listen; false when there are no more. */
bool platform_path(unsigned n, char *path, size_t room, bool *of_the_system);
bool platform_on_battery(void);
/* Did libp11-kit, which loads every module everywhere, load us? */
bool platform_is_probed(void);
/* Is OpenSC's pkcs11-spy between the program and us? */
bool platform_is_spied_on(void);
void platform_print(const char *, size_t);

#endif
