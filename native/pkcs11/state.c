/* state.c: see state.h. */
#include "state.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "calls.h"
#include "platform.h"
#include "rpc.h"
#include "say.h"
#include "transport.h"

/* --- the process ----------------------------------------------------------------------------- */

static void sessions_abandon(void);

/* The child of a fork has no thread but this one, and nothing of what its parent had. */
void
module_enter(void)
{
	while (!platform_same_process()) {
		if (!platform_claim_begin()) {
			platform_yield(); /* another thread is at it */
			continue;
		}
		platform_locks_reset();
		transport_abandon();
		sessions_abandon();
		say_reset();
		platform_claim();
	}
}

bool
module_is_initialised(void)
{
	module_enter();
	return transport_runs();
}

/* --- the table of sessions ------------------------------------------------------------------- */

/*
 * A handle is a place in the table and, above it, a serial number that changes each time the
 * place is used: a handle that was closed stays invalid for a long time.
 */
#define PLACE_BITS 16
#define MOST_SESSIONS ((size_t)1 << PLACE_BITS)
#define LAST_SERIAL 0x7fff

static struct session **table;
static size_t table_size;
static size_t first_free; /* no place below it is free */
static CK_ULONG serial;

struct login {
	CK_SLOT_ID slot;
	CK_USER_TYPE user;
	size_t sessions;
};

static struct login *logins;
static size_t login_count;

static atomic_uint_fast64_t moment;
static atomic_bool searched, found_something;

/* The memory of a parent's table may be half changed: it is left lying. */
static void
sessions_abandon(void)
{
	table = NULL;
	table_size = first_free = 0;
	logins = NULL;
	login_count = 0;
}

struct session *
session_locked(CK_SESSION_HANDLE handle)
{
	size_t place = handle & (MOST_SESSIONS - 1);

	if (place >= table_size || table[place] == NULL || table[place]->handle != handle)
		return NULL;
	return table[place];
}

static bool
grow_table(void)
{
	size_t size = table_size == 0 ? 16 : table_size * 2;
	struct session **larger;

	if (table_size >= MOST_SESSIONS)
		return false;
	larger = realloc(table, size * sizeof(*larger));
	if (larger == NULL)
		return false;
	memset(larger + table_size, 0, (size - table_size) * sizeof(*larger));
	table = larger;
	table_size = size;
	return true;
}

static struct login *
login_of(CK_SLOT_ID slot)
{
	for (size_t n = 0; n < login_count; n++)
		if (logins[n].slot == slot)
			return &logins[n];
	return NULL;
}

static struct login *
new_login(CK_SLOT_ID slot)
{
	struct login *more = realloc(logins, (login_count + 1) * sizeof(*more));

	if (more == NULL)
		return NULL;
	logins = more;
	logins[login_count] = (struct login){.slot = slot, .user = LOGGED_OUT};
	return &logins[login_count++];
}

static struct session *
new_session_locked(CK_SLOT_ID slot)
{
	struct login *login = login_of(slot);
	struct session *session;

	if (login == NULL && (login = new_login(slot)) == NULL)
		return NULL;
	while (first_free < table_size && table[first_free] != NULL)
		first_free++;
	if (first_free == table_size && !grow_table())
		return NULL;
	session = calloc(1, sizeof(*session));
	if (session == NULL)
		return NULL;
	serial = serial % LAST_SERIAL + 1;
	session->handle = serial << PLACE_BITS | (CK_ULONG)first_free;
	table[first_free] = session;
	login->sessions++;
	return session;
}

CK_RV
session_add(uint32_t application, CK_SESSION_HANDLE remote, CK_SLOT_ID slot, CK_FLAGS flags,
    CK_SESSION_HANDLE *handle)
{
	struct session *session;
	CK_RV rv = CKR_OK;

	platform_lock(&platform_state_lock);
	if (application != transport_application())
		rv = CKR_DEVICE_ERROR; /* it ended with the daemon before we came here */
	else if ((session = new_session_locked(slot)) == NULL)
		rv = CKR_HOST_MEMORY;
	else {
		session->remote = remote;
		session->slot = slot;
		session->flags = flags;
		*handle = session->handle;
	}
	platform_unlock(&platform_state_lock);
	return rv;
}

bool
session_remote(CK_SESSION_HANDLE handle, CK_SESSION_HANDLE *remote, uint32_t *application)
{
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL) {
		*remote = session->remote;
		*application = transport_application();
	}
	platform_unlock(&platform_state_lock);
	return session != NULL;
}

/* The last session with a token takes the login with it (PKCS#11, C_CloseSession). */
static void
drop_place(size_t place)
{
	struct session *session = table[place];
	struct login *login = login_of(session->slot);

	table[place] = NULL;
	if (place < first_free)
		first_free = place;
	if (login != NULL && --login->sessions == 0)
		login->user = LOGGED_OUT;
	found_drop_locked(&session->found);
	wipe(session, sizeof(*session));
	free(session);
}

void
session_drop(CK_SESSION_HANDLE handle)
{
	platform_lock(&platform_state_lock);
	if (session_locked(handle) != NULL)
		drop_place(handle & (MOST_SESSIONS - 1));
	platform_unlock(&platform_state_lock);
}

void
sessions_drop_of(CK_SLOT_ID slot)
{
	platform_lock(&platform_state_lock);
	for (size_t place = 0; place < table_size; place++)
		if (table[place] != NULL && table[place]->slot == slot)
			drop_place(place);
	platform_unlock(&platform_state_lock);
}

void
sessions_forget_all(void)
{
	for (size_t place = 0; place < table_size; place++)
		if (table[place] != NULL)
			drop_place(place);
	free(table);
	free(logins);
	sessions_abandon();
}

/* --- what a session is ----------------------------------------------------------------------- */

static CK_STATE
state_of(CK_USER_TYPE user, CK_FLAGS flags)
{
	bool writes = (flags & CKF_RW_SESSION) != 0;

	if (user == CKU_SO)
		return CKS_RW_SO_FUNCTIONS;
	if (user == CKU_USER)
		return writes ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
	return writes ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
}

CK_RV
session_info(CK_SESSION_HANDLE handle, CK_SESSION_INFO *info)
{
	struct session *session;
	struct login *login;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL) {
		login = login_of(session->slot);
		info->slotID = session->slot;
		info->state = state_of(login == NULL ? LOGGED_OUT : login->user, session->flags);
		info->flags = session->flags;
		info->ulDeviceError = 0;
	}
	platform_unlock(&platform_state_lock);
	return session == NULL ? CKR_SESSION_HANDLE_INVALID : CKR_OK;
}

void
session_logged_in(CK_SESSION_HANDLE handle, CK_USER_TYPE user)
{
	struct session *session;
	struct login *login;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL && (login = login_of(session->slot)) != NULL)
		login->user = user;
	platform_unlock(&platform_state_lock);
}

static void
forget_inits(struct session *session)
{
	for (size_t n = 0; n < INITS_KEPT; n++)
		session->known[n].size = 0;
}

void
session_forget_inits(CK_SESSION_HANDLE handle)
{
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL)
		forget_inits(session);
	platform_unlock(&platform_state_lock);
}

void
sessions_forget_inits(void)
{
	platform_lock(&platform_state_lock);
	for (size_t place = 0; place < table_size; place++)
		if (table[place] != NULL)
			forget_inits(table[place]);
	platform_unlock(&platform_state_lock);
}

void
session_set_message_mechanism(CK_SESSION_HANDLE handle, enum message_kind kind,
    CK_MECHANISM_TYPE mechanism)
{
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL)
		session->message_mechanisms[kind] = mechanism;
	platform_unlock(&platform_state_lock);
}

CK_MECHANISM_TYPE
session_message_mechanism(CK_SESSION_HANDLE handle, enum message_kind kind)
{
	struct session *session;
	CK_MECHANISM_TYPE mechanism = CK_UNAVAILABLE_INFORMATION;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL)
		mechanism = session->message_mechanisms[kind];
	platform_unlock(&platform_state_lock);
	return mechanism;
}

/* --- searches -------------------------------------------------------------------------------- */

void
state_note_change(void)
{
	atomic_fetch_add(&moment, 1);
}

uint64_t
state_moment(void)
{
	return atomic_load(&moment);
}

void
batch_free(struct batch *batch)
{
	free(batch->objects);
	free(batch->offsets);
	free(batch->bytes);
	free(batch);
}

void
found_drop_locked(struct found *found)
{
	while (found->first != NULL) {
		struct batch *batch = found->first;

		found->first = batch->next;
		batch_free(batch);
	}
	found->last = found->hint = NULL;
	found->hint_index = 0;
	found->kept = 0;
}

void
state_note_object(void)
{
	atomic_store(&found_something, true);
}

void
state_note_search(void)
{
	atomic_store(&searched, true);
}

bool
state_searched_in_vain(void)
{
	return atomic_load(&searched) && !atomic_load(&found_something);
}

void
state_reset_notes(void)
{
	atomic_store(&searched, false);
	atomic_store(&found_something, false);
}
