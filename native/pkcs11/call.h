/*
 * call.h: one call of a program, from its arguments to its CK_RV.
 *
 * A stub reads from top to bottom: begin, put the arguments, run, get the results, end. The
 * first error stays in `rv` and makes what follows do nothing, but for what an answer with a
 * short buffer still tells.
 */
#ifndef KEYHOLM_CALL_H
#define KEYHOLM_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "calls.h"
#include "pkcs11.h"
#include "rpc.h"
#include "state.h"

struct connection;

struct call_form {
	const char *function;
	uint32_t id;
	const char *takes; /* signature of the request */
	const char *gives; /* and of the answer */
};

/* Generated, in the order of enum call_number. */
extern const struct call_form call_forms[];

struct call {
	const struct call_form *form;
	enum call_number number;
	struct connection *connection;
	struct reader answer;
	CK_RV rv;
	bool sent;
	bool answered;
	bool absent; /* there is no daemon */
	CK_SESSION_HANDLE session;
	uint64_t moment;      /* when it was sent; see state_moment */
	uint32_t application; /* that the session belongs to; 0 without one */
};

/* False, with rv set: the library is not initialised. */
bool call_begin(struct call *, enum call_number);
void call_run(struct call *);
CK_RV call_end(struct call *);

void call_fail(struct call *, CK_RV);
/* A pointer to a result that must not be NULL. */
void call_need(struct call *, const void *);

void call_put_session(struct call *, CK_SESSION_HANDLE);
void call_put_byte(struct call *, CK_BBOOL);
void call_put_raw(struct call *, const unsigned char *, size_t);
void call_put_u32(struct call *, uint32_t);
void call_put_ulong(struct call *, CK_ULONG);
void call_put_bytes(struct call *, const CK_BYTE *, CK_ULONG);
void call_put_spaced(struct call *, const CK_UTF8CHAR *, size_t width);
void call_put_room(struct call *, const CK_BYTE *, const CK_ULONG *length);
void call_put_ulong_room(struct call *, const CK_ULONG *, const CK_ULONG *count);
void call_put_template(struct call *, const CK_ATTRIBUTE *, CK_ULONG count);
void call_put_attribute_room(struct call *, const CK_ATTRIBUTE *, CK_ULONG count);
void call_put_mechanism(struct call *, const CK_MECHANISM *);
void call_put_wrap_mechanism(struct call *, const CK_MECHANISM *);
void call_put_message(struct call *, enum message_kind, const void *, CK_ULONG length);

void call_get_ulong(struct call *, CK_ULONG *);
void call_get_version(struct call *, CK_VERSION *);
void call_get_spaced(struct call *, CK_UTF8CHAR *, size_t width);
void call_get_bytes(struct call *, CK_BYTE *, CK_ULONG *length);
void call_get_ulongs(struct call *, CK_ULONG *, CK_ULONG *count);
void call_get_message(struct call *, enum message_kind, void *);
void call_get_wrap_parameter(struct call *, const CK_MECHANISM *);

#endif
