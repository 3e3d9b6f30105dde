/*
 * state.h: what the module remembers between calls.
 *
 * The daemon knows everything; this is what spares trips to it. Program and daemon have
 * different numbers for a session: after the daemon was started again it counts from the
 * beginning, and a number that the program kept must not name another session then.
 *
 * Functions that end in _locked are called with platform_state_lock held.
 */
#ifndef KEYHOLM_STATE_H
#define KEYHOLM_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11.h"

/* False, in a program that has not called C_Initialize since it started or was forked. */
bool module_is_initialised(void);
/* Before C_Initialize: what a parent left is dropped. */
void module_enter(void);

/* --- operations ------------------------------------------------------------------------------ */

/* The numbers of Begin's `what`. */
enum what { WHAT_SIGN, WHAT_VERIFY, WHAT_ENCRYPT, WHAT_DECRYPT, WHAT_DIGEST, WHATS };
enum message_kind { MESSAGE_ENCRYPT, MESSAGE_DECRYPT, MESSAGE_SIGN, MESSAGE_VERIFY, MESSAGE_KINDS };

#define LONGEST_MECHANISM 96
#define LENGTH_UNKNOWN UINT64_MAX
#define INITS_KEPT 4

/* An init as it goes to the daemon, and what the daemon said about the length of its result. */
struct init {
	enum what what;
	CK_OBJECT_HANDLE key; /* 0 for digests */
	uint64_t length;
	size_t size; /* of the mechanism; 0: there is no init here */
	unsigned char mechanism[LONGEST_MECHANISM];
};

enum phase {
	PHASE_NONE,
	PHASE_HELD, /* the module answered the init, and the daemon does not know of it */
	PHASE_SENT  /* the daemon has an operation of this kind */
};

struct operation {
	enum phase phase;
	struct init init; /* of size 0 if it was too long to be kept */
};

/* --- what a search found --------------------------------------------------------------------- */

#define MOST_WANTED 16
#define MOST_KEPT ((size_t)4 << 20) /* bytes of attributes, in one session */

/* One answer of FindObjectsWith, as it came; object n's attributes begin at offsets[n]. */
struct batch {
	struct batch *next;
	size_t count;
	CK_OBJECT_HANDLE *objects;
	uint32_t *offsets; /* 0: they were read already */
	size_t wanted;     /* types of each object */
	size_t size;
	unsigned char *bytes;
};

struct found {
	uint64_t moment; /* number of the calls that could have changed it */
	size_t kept;
	struct batch *first, *last;
	struct batch *hint; /* programs read in the order in which they found */
	size_t hint_index;
};

/* --- sessions -------------------------------------------------------------------------------- */

struct session {
	CK_SESSION_HANDLE handle;
	CK_SESSION_HANDLE remote;
	CK_SLOT_ID slot;
	CK_FLAGS flags;
	struct operation operations[WHATS];
	struct init known[INITS_KEPT]; /* inits that the daemon said may be folded */
	size_t next_known;
	CK_MECHANISM_TYPE message_mechanisms[MESSAGE_KINDS];
	struct found found;
};

/* NULL if there is none of that number. */
struct session *session_locked(CK_SESSION_HANDLE);
/* The daemon's number, and the application that it belongs to. */
bool session_remote(CK_SESSION_HANDLE, CK_SESSION_HANDLE *remote, uint32_t *application);
CK_RV session_add(uint32_t application, CK_SESSION_HANDLE remote, CK_SLOT_ID, CK_FLAGS,
    CK_SESSION_HANDLE *);
void session_drop(CK_SESSION_HANDLE);
void sessions_drop_of(CK_SLOT_ID);
CK_RV session_info(CK_SESSION_HANDLE, CK_SESSION_INFO *);
/* CKU_SO, CKU_USER, or LOGGED_OUT */
#define LOGGED_OUT (~(CK_ULONG)0)
void session_logged_in(CK_SESSION_HANDLE, CK_USER_TYPE);
void sessions_forget_all(void); /* locked */

void session_forget_inits(CK_SESSION_HANDLE);
void sessions_forget_inits(void);

void session_set_message_mechanism(CK_SESSION_HANDLE, enum message_kind, CK_MECHANISM_TYPE);
CK_MECHANISM_TYPE session_message_mechanism(CK_SESSION_HANDLE, enum message_kind);

/* Every call but those that read objects makes what was read along stale. */
void state_note_change(void);
uint64_t state_moment(void);
void batch_free(struct batch *);
void found_drop_locked(struct found *);

/* Did this program see or make an object since C_Initialize, and did it look for any? */
void state_note_object(void);
void state_note_search(void);
bool state_searched_in_vain(void);
void state_reset_notes(void);

#endif
