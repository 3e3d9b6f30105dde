/*
 * transport.h: connections to the daemon, and whole frames over them.
 *
 * A call takes a connection for itself, so that threads never wait for each other's answers. A
 * program with one thread has one connection; there are as many as calls were ever under way
 * at once. All connections of a process are one application to the daemon, which ends with the
 * last of them: then every session is gone, and `transport_application` is another number.
 */
#ifndef KEYHOLM_TRANSPORT_H
#define KEYHOLM_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "platform.h"
#include "rpc.h"

struct connection {
	bool busy;
	bool open;
	uint32_t application; /* which one it belongs to, while open */
	uint32_t run;         /* which C_Initialize it was taken under */
	struct channel channel;
	size_t largest; /* body that the daemon takes */
	uint32_t code;  /* of the last request */
	struct writer request;
	struct writer answer;
	/* When waiting with open eyes paid, and when it did not. */
	bool crowded;
	unsigned misses;
	unsigned rest; /* calls to come that do not spin */
	unsigned next_rest;
};

/* Bytes of a frame before its body. */
#define FRAME_HEAD 12

bool transport_start(void); /* false: it runs already */
bool transport_stop(void);  /* false: it did not run */
bool transport_runs(void);
void transport_abandon(void);

/* NULL: not running. The request is empty but for room for a frame's head. */
struct connection *transport_take(bool counts);
void transport_give_back(struct connection *, bool counts);

/* With the state lock held: the number of the application; 0 while there is none. */
uint32_t transport_application(void);

bool transport_open(struct connection *);
void transport_close(struct connection *);
/* Ask the kernel whether the daemon hung up, where no call would show it. */
void transport_check(void);

enum delivery {
	DELIVERED,
	UNTOUCHED, /* the daemon had hung up before, and cannot have seen a byte of it */
	LOST
};

enum delivery transport_send(struct connection *);
/* The body of the answer, which stays where it is until the next request. */
bool transport_receive(struct connection *, bool may_spin, struct reader *body);

#endif
