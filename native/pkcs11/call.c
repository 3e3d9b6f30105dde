/* call.c: see call.h. */
#include "call.h"

#include <string.h>

#include "platform.h"
#include "say.h"
#include "transport.h"
#include "values.h"

/* A buffer of no bytes that is not NULL; 0 is the room of NULL. */
#define EMPTY_ROOM UINT32_MAX

static bool
waits_for_events(const struct call *call)
{
	return call->number == CALL_WaitForSlotEvent;
}

static bool
only_reads(enum call_number number)
{
	switch (number) {
	case CALL_FindObjectsInit:
	case CALL_FindObjects:
	case CALL_FindObjectsWith:
	case CALL_FindObjectsFinal:
	case CALL_GetAttributeValue:
		return true;
	default:
		return false;
	}
}

/* After these a key may be another one, or no longer be usable (docs/protocols/pkcs11-rpc.md). */
static bool
changes_keys(enum call_number number)
{
	switch (number) {
	case CALL_InitToken2:
	case CALL_InitPIN:
	case CALL_SetPIN:
	case CALL_Login:
	case CALL_LoginUser:
	case CALL_Logout:
	case CALL_CloseSession:
	case CALL_CloseAllSessions:
	case CALL_SetAttributeValue:
	case CALL_DestroyObject:
		return true;
	default:
		return false;
	}
}

bool
call_begin(struct call *call, enum call_number number)
{
	struct writer *request;

	memset(call, 0, sizeof(*call));
	call->form = &call_forms[number];
	call->number = number;
	module_enter();
	call->connection = transport_take(!waits_for_events(call));
	if (call->connection == NULL) {
		call->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
		return false;
	}
	request = &call->connection->request;
	put_u32(request, call->form->id);
	put_string(request, call->form->takes, strlen(call->form->takes));
	return true;
}

void
call_fail(struct call *call, CK_RV rv)
{
	if (call->rv == CKR_OK)
		call->rv = rv;
}

void
call_need(struct call *call, const void *result)
{
	if (result == NULL)
		call_fail(call, CKR_ARGUMENTS_BAD);
}

/* --- arguments ------------------------------------------------------------------------------- */

static struct writer *
request_of(struct call *call)
{
	return &call->connection->request;
}

void
call_put_session(struct call *call, CK_SESSION_HANDLE session)
{
	CK_SESSION_HANDLE remote = 0;

	call->session = session;
	if (!session_remote(session, &remote, &call->application))
		call_fail(call, CKR_SESSION_HANDLE_INVALID);
	put_ulong(request_of(call), remote);
}

void
call_put_byte(struct call *call, CK_BBOOL value)
{
	put_byte(request_of(call), value);
}

void
call_put_raw(struct call *call, const unsigned char *encoded, size_t length)
{
	put_raw(request_of(call), encoded, length);
}

void
call_put_u32(struct call *call, uint32_t value)
{
	put_u32(request_of(call), value);
}

void
call_put_ulong(struct call *call, CK_ULONG value)
{
	put_ulong(request_of(call), value);
}

void
call_put_bytes(struct call *call, const CK_BYTE *bytes, CK_ULONG length)
{
	if (bytes == NULL && length > 0)
		call_fail(call, CKR_ARGUMENTS_BAD);
	if (length > LARGEST_BODY)
		call_fail(call, CKR_DATA_LEN_RANGE);
	if (call->rv != CKR_OK)
		return;
	put_byte(request_of(call), 1);
	put_string(request_of(call), bytes, length);
}

void
call_put_spaced(struct call *call, const CK_UTF8CHAR *text, size_t width)
{
	call_need(call, text);
	if (call->rv == CKR_OK)
		put_string(request_of(call), text, width);
}

static uint32_t
room_of(const void *buffer, CK_ULONG room)
{
	if (buffer == NULL)
		return 0;
	if (room == 0)
		return EMPTY_ROOM;
	return room > LARGEST_BODY ? (uint32_t)LARGEST_BODY : (uint32_t)room;
}

void
call_put_room(struct call *call, const CK_BYTE *buffer, const CK_ULONG *length)
{
	call_need(call, length);
	if (call->rv == CKR_OK)
		put_u32(request_of(call), room_of(buffer, *length));
}

void
call_put_ulong_room(struct call *call, const CK_ULONG *buffer, const CK_ULONG *count)
{
	call_need(call, count);
	if (call->rv == CKR_OK)
		put_u32(request_of(call), room_of(buffer, *count));
}

void
call_put_template(struct call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	if (call->rv == CKR_OK)
		call_fail(call, put_template(request_of(call), attributes, count));
}

void
call_put_attribute_room(struct call *call, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	if (call->rv == CKR_OK)
		call_fail(call, put_attribute_rooms(request_of(call), attributes, count));
}

void
call_put_mechanism(struct call *call, const CK_MECHANISM *mechanism)
{
	call_need(call, mechanism);
	if (call->rv == CKR_OK)
		call_fail(call, put_mechanism(request_of(call), mechanism));
}

void
call_put_wrap_mechanism(struct call *call, const CK_MECHANISM *mechanism)
{
	call_need(call, mechanism);
	if (call->rv == CKR_OK)
		call_fail(call, put_wrap_mechanism(request_of(call), mechanism));
}

/* Byte 0: none. Byte 1: a string with the fields, which only the mechanism of the init tells. */
void
call_put_message(struct call *call, enum message_kind kind, const void *parameter, CK_ULONG length)
{
	CK_MECHANISM_TYPE mechanism = session_message_mechanism(call->session, kind);
	struct writer *request = request_of(call);
	CK_RV rv = CKR_OK;
	size_t begun;

	if (parameter == NULL && length > 0)
		call_fail(call, CKR_ARGUMENTS_BAD);
	if (call->rv != CKR_OK)
		return;
	if (parameter == NULL) {
		put_byte(request, 0);
		return;
	}
	put_byte(request, 1);
	begun = put_string_begin(request);
	if (!put_message_parameter(request, mechanism, kind == MESSAGE_ENCRYPT, parameter, length,
	        &rv))
		rv = CKR_MECHANISM_PARAM_INVALID;
	put_string_end(request, begun);
	call_fail(call, rv);
}

/* --- there and back -------------------------------------------------------------------------- */

/* A connection of an application that has ended says nothing more to us. */
static void
drop_if_stale(struct connection *connection)
{
	bool stale;

	platform_lock(&platform_state_lock);
	stale = connection->open && connection->application != transport_application();
	platform_unlock(&platform_state_lock);
	if (stale)
		transport_close(connection);
}

static bool
connect_for(struct call *call)
{
	struct connection *connection = call->connection;

	drop_if_stale(connection);
	if (!connection->open && !transport_open(connection)) {
		call->absent = true;
		call_fail(call, call->application == 0 ? CKR_DEVICE_REMOVED :
		                                        CKR_SESSION_HANDLE_INVALID);
		return false;
	}
	/* The session went with the daemon that had it, and another one may have its number. */
	if (call->application != 0 && call->application != connection->application)
		call_fail(call, CKR_SESSION_HANDLE_INVALID);
	else if (connection->request.length - FRAME_HEAD > connection->largest)
		call_fail(call, CKR_DATA_LEN_RANGE);
	return call->rv == CKR_OK;
}

static bool
send_request(struct call *call)
{
	struct connection *connection = call->connection;
	enum delivery delivery;
	bool was_open;

	do {
		was_open = connection->open;
		if (!connect_for(call))
			return false;
		delivery = transport_send(connection);
		if (delivery == DELIVERED)
			return true;
		transport_close(connection);
		/* It can be sent again only if nobody saw it, and over a new connection, once. */
	} while (delivery == UNTOUCHED && was_open);
	call_fail(call, CKR_DEVICE_ERROR);
	return false;
}

static void
distrust(struct call *call)
{
	transport_close(call->connection);
	call->answered = false;
	call->rv = CKR_DEVICE_ERROR;
}

static struct sentence
get_sentence(struct reader *reader)
{
	struct sentence sentence;

	sentence.text = (const char *)get_string(reader, &sentence.length);
	return sentence;
}

static void
take_error(struct call *call, bool with_sentence)
{
	struct reader *answer = &call->answer;
	uint64_t code = get_u64(answer);
	struct sentence what = {NULL, 0}, remedy = {NULL, 0};

	if (with_sentence) {
		what = get_sentence(answer);
		remedy = get_sentence(answer);
	}
	if (answer->failed || answer->left > 0 || code == CKR_OK || code > UINT32_MAX) {
		distrust(call);
		return;
	}
	call->rv = (CK_RV)code;
	say_error(call->form->function, call->rv, what, remedy);
}

static bool
is_text(const unsigned char *bytes, size_t length, const char *text)
{
	return length == strlen(text) && (length == 0 || memcmp(bytes, text, length) == 0);
}

static void
take_answer(struct call *call)
{
	struct reader *answer = &call->answer;
	uint32_t id = get_u32(answer);
	size_t length;
	const unsigned char *signature = get_string(answer, &length);

	if (answer->failed || signature == NULL)
		distrust(call);
	else if (id == 0 && is_text(signature, length, "uzz"))
		take_error(call, true);
	else if (id == 0 && is_text(signature, length, "u"))
		take_error(call, false);
	else if (id == call->form->id && is_text(signature, length, call->form->gives))
		call->answered = true;
	else
		distrust(call);
}

void
call_run(struct call *call)
{
	if (call->rv == CKR_OK && request_of(call)->failed)
		call_fail(call, CKR_HOST_MEMORY);
	if (call->rv != CKR_OK)
		return;
	if (!only_reads(call->number))
		state_note_change();
	call->moment = state_moment();
	if (!send_request(call))
		return;
	call->sent = true;
	if (transport_receive(call->connection, !waits_for_events(call), &call->answer))
		take_answer(call);
	else
		distrust(call);
	if (changes_keys(call->number))
		sessions_forget_inits();
}

CK_RV
call_end(struct call *call)
{
	struct connection *connection = call->connection;

	if (call->answered && (call->answer.failed || call->answer.left > 0))
		distrust(call);
	transport_give_back(connection, !waits_for_events(call));
	/* Where C_Finalize came in between, the connection was cut under us. */
	if (call->rv == CKR_DEVICE_ERROR && !transport_runs())
		call->rv = CKR_CRYPTOKI_NOT_INITIALIZED;
	return call->rv;
}

/* --- results --------------------------------------------------------------------------------- */

/*
 * What is written here may turn out to be cut off later: programs look at results only after
 * CKR_OK.
 */
void
call_get_ulong(struct call *call, CK_ULONG *to)
{
	CK_ULONG value;

	if (!call->answered)
		return;
	value = get_ulong(&call->answer);
	if (call->rv == CKR_OK && !call->answer.failed)
		*to = value;
}

void
call_get_version(struct call *call, CK_VERSION *to)
{
	if (!call->answered)
		return;
	to->major = (CK_BYTE)get_byte(&call->answer);
	to->minor = (CK_BYTE)get_byte(&call->answer);
}

void
call_get_spaced(struct call *call, CK_UTF8CHAR *to, size_t width)
{
	const unsigned char *text;
	size_t length;

	if (!call->answered)
		return;
	text = get_string(&call->answer, &length);
	if (text == NULL || length != width)
		call->answer.failed = true;
	else
		memcpy(to, text, width);
}

/* The needed length goes to the program in any case; CKR_OK if it only asked for that. */
static bool
fits(struct call *call, const void *buffer, CK_ULONG *room, size_t needed, bool sent)
{
	bool enough = buffer != NULL && sent && needed <= *room;

	if (buffer != NULL && !enough)
		call_fail(call, CKR_BUFFER_TOO_SMALL);
	*room = (CK_ULONG)needed;
	return enough;
}

void
call_get_bytes(struct call *call, CK_BYTE *buffer, CK_ULONG *length)
{
	const unsigned char *bytes = NULL;
	size_t needed;
	bool sent;

	if (!call->answered)
		return;
	sent = get_byte(&call->answer) != 0;
	if (sent)
		bytes = get_string(&call->answer, &needed);
	else
		needed = get_u32(&call->answer);
	if (!call->answer.failed && fits(call, buffer, length, needed, sent) && needed > 0)
		memcpy(buffer, bytes, needed);
}

void
call_get_ulongs(struct call *call, CK_ULONG *buffer, CK_ULONG *count)
{
	struct reader *answer = &call->answer;
	bool sent, wanted;
	size_t needed;

	if (!call->answered)
		return;
	sent = get_byte(answer) != 0;
	needed = get_u32(answer);
	if (sent && needed > answer->left / 8)
		answer->failed = true;
	if (answer->failed)
		return;
	wanted = fits(call, buffer, count, needed, sent);
	for (size_t n = 0; sent && n < needed; n++) {
		CK_ULONG value = get_ulong(answer);

		if (wanted)
			buffer[n] = value;
	}
}

/* Byte 0: nothing was written. Byte 1: a string with all fields of the parameter. */
static bool
get_written(struct call *call, struct reader *fields)
{
	if (!call->answered || get_byte(&call->answer) == 0)
		return false;
	fields->failed = false;
	fields->at = get_string(&call->answer, &fields->left);
	return fields->at != NULL;
}

void
call_get_message(struct call *call, enum message_kind kind, void *parameter)
{
	CK_MECHANISM_TYPE mechanism = session_message_mechanism(call->session, kind);
	struct reader fields;

	if (!get_written(call, &fields))
		return;
	if (parameter == NULL || !get_message_parameter(&fields, mechanism, parameter) ||
	    fields.failed || fields.left > 0)
		call->answer.failed = true;
}

void
call_get_wrap_parameter(struct call *call, const CK_MECHANISM *mechanism)
{
	struct reader fields;

	if (!get_written(call, &fields))
		return;
	if (mechanism->pParameter == NULL ||
	    !get_wrap_parameter(&fields, mechanism->mechanism, mechanism->pParameter) ||
	    fields.failed || fields.left > 0)
		call->answer.failed = true;
}
