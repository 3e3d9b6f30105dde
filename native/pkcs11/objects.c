/*
 * objects.c: searches, and reading what they found.
 *
 * Programs find objects and then read a few attributes of each, one call an object. Once it has
 * seen which ones, the module asks for them with the search, and answers the readings itself:
 * each value once, and only while no other call came in between, so that nothing old is shown.
 */
#include "objects.h"

#include <stdlib.h>
#include <string.h>

#include "call.h"
#include "platform.h"
#include "values.h"

#define SMALLEST_ATTRIBUTE 5 /* its type, and that there is no value */

/* What this program reads of objects; guarded by the state lock. */
static CK_ATTRIBUTE_TYPE wanted[MOST_WANTED];
static size_t wanted_count;

/* --- learning -------------------------------------------------------------------------------- */

static bool
is_wanted(CK_ATTRIBUTE_TYPE type)
{
	for (size_t n = 0; n < wanted_count; n++)
		if (wanted[n] == type)
			return true;
	return false;
}

void
objects_forget_habits(void)
{
	platform_lock(&platform_state_lock);
	wanted_count = 0;
	platform_unlock(&platform_state_lock);
}

/* Attributes of attributes are left to the daemon. */
static void
learn(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	platform_lock(&platform_state_lock);
	for (CK_ULONG n = 0; n < count && wanted_count < MOST_WANTED; n++)
		if (!is_wanted(attributes[n].type) && attributes[n].type <= UINT32_MAX &&
		    attribute_form(attributes[n].type) != FORM_TEMPLATE)
			wanted[wanted_count++] = attributes[n].type;
	platform_unlock(&platform_state_lock);
}

static size_t
copy_wanted(CK_ATTRIBUTE_TYPE *types)
{
	size_t count;

	platform_lock(&platform_state_lock);
	count = wanted_count;
	memcpy(types, wanted, sizeof(wanted));
	platform_unlock(&platform_state_lock);
	return count;
}

/* --- keeping --------------------------------------------------------------------------------- */

static struct batch *
new_batch(size_t count, size_t size)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	if (batch == NULL)
		return NULL;
	batch->objects = calloc(count, sizeof(*batch->objects));
	batch->offsets = calloc(count, sizeof(*batch->offsets));
	batch->bytes = malloc(size);
	if (batch->objects != NULL && batch->offsets != NULL && batch->bytes != NULL)
		return batch;
	free(batch->objects);
	free(batch->offsets);
	free(batch->bytes);
	free(batch);
	return NULL;
}

static void
add_batch_locked(struct found *found, struct batch *batch, uint64_t moment)
{
	if (found->moment != moment)
		found_drop_locked(found);
	found->moment = moment;
	found->kept += batch->size;
	if (found->last == NULL)
		found->first = found->hint = batch;
	else
		found->last->next = batch;
	found->last = batch;
}

/* Where object n's attributes begin, after it was seen that they are what was asked for. */
static bool
index_batch(struct batch *batch, const CK_ATTRIBUTE_TYPE *types)
{
	struct reader reader = {batch->bytes, batch->size, false};
	CK_ATTRIBUTE_TYPE type;
	bool valid;

	for (size_t n = 0; n < batch->count; n++) {
		/* One more, since 0 is that of an object that was read already. */
		batch->offsets[n] = (uint32_t)(batch->size - reader.left) + 1;
		for (size_t k = 0; k < batch->wanted && !reader.failed; k++) {
			skip_attribute(&reader, &type, &valid);
			if (type != types[k])
				reader.failed = true;
		}
	}
	return !reader.failed && reader.left == 0;
}

/* The attributes that came with the objects; the reader of the answer ends where they do. */
static void
keep(struct call *call, const CK_OBJECT_HANDLE *objects, size_t count,
    const CK_ATTRIBUTE_TYPE *types, size_t type_count)
{
	struct reader *answer = &call->answer;
	struct session *session;
	struct batch *batch;
	size_t size;
	const unsigned char *bytes;

	if (get_u32(answer) != count * type_count)
		answer->failed = true;
	size = answer->left;
	bytes = get_raw(answer, size);
	if (size / SMALLEST_ATTRIBUTE < count * type_count)
		answer->failed = true;
	if (answer->failed || count == 0)
		return;
	batch = new_batch(count, size);
	if (batch == NULL)
		return; /* they will be asked for again */
	batch->count = count;
	batch->wanted = type_count;
	batch->size = size;
	memcpy(batch->bytes, bytes, size);
	memcpy(batch->objects, objects, count * sizeof(*objects));
	if (!index_batch(batch, types))
		answer->failed = true;
	platform_lock(&platform_state_lock);
	session = session_locked(call->session);
	if (session == NULL || answer->failed || session->found.kept + size > MOST_KEPT)
		batch_free(batch);
	else
		add_batch_locked(&session->found, batch, call->moment);
	platform_unlock(&platform_state_lock);
}

/* --- finding --------------------------------------------------------------------------------- */

static void
drop_found(CK_SESSION_HANDLE handle)
{
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL)
		found_drop_locked(&session->found);
	platform_unlock(&platform_state_lock);
}

CK_RV
C_FindObjectsInit(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	struct call call;

	if (!call_begin(&call, CALL_FindObjectsInit))
		return call.rv;
	drop_found(hSession);
	call_put_session(&call, hSession);
	call_put_template(&call, pTemplate, ulCount);
	call_run(&call);
	if (call.answered)
		state_note_search();
	return call_end(&call);
}

static void
put_types(struct call *call, const CK_ATTRIBUTE_TYPE *types, size_t count)
{
	if (count == 0)
		return; /* FindObjects */
	call_put_byte(call, 1);
	call_put_u32(call, (uint32_t)count);
	for (size_t n = 0; n < count; n++)
		call_put_ulong(call, types[n]);
}

CK_RV
C_FindObjects(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE_PTR phObject, CK_ULONG ulMaxObjectCount,
    CK_ULONG_PTR pulObjectCount)
{
	CK_ATTRIBUTE_TYPE types[MOST_WANTED];
	size_t type_count = copy_wanted(types);
	CK_ULONG count = ulMaxObjectCount;
	struct call call;

	if (!call_begin(&call, type_count > 0 ? CALL_FindObjectsWith : CALL_FindObjects))
		return call.rv;
	call_need(&call, phObject);
	call_need(&call, pulObjectCount);
	call_put_session(&call, hSession);
	call_put_ulong_room(&call, phObject, &count);
	put_types(&call, types, type_count);
	call_run(&call);
	call_get_ulongs(&call, phObject, &count);
	if (call.rv == CKR_BUFFER_TOO_SMALL)
		call.answer.failed = true; /* more than we asked for */
	if (call.answered && !call.answer.failed && type_count > 0)
		keep(&call, phObject, count, types, type_count);
	if (call.answered && !call.answer.failed) {
		*pulObjectCount = count;
		if (count > 0)
			state_note_object();
	}
	return call_end(&call);
}

/* --- reading --------------------------------------------------------------------------------- */

/* Programs read in the order in which they found, so the next one is tried first. */
static bool
find_kept(struct found *found, CK_OBJECT_HANDLE object, struct batch **in, size_t *index)
{
	struct batch *batch = found->hint;

	if (batch != NULL && found->hint_index < batch->count &&
	    batch->objects[found->hint_index] == object) {
		*in = batch;
		*index = found->hint_index;
		return true;
	}
	for (batch = found->first; batch != NULL; batch = batch->next)
		for (size_t n = 0; n < batch->count; n++)
			if (batch->objects[n] == object) {
				*in = batch;
				*index = n;
				return true;
			}
	return false;
}

static void
move_hint(struct found *found, struct batch *batch, size_t index, bool onward)
{
	found->hint = batch;
	found->hint_index = onward ? index + 1 : index;
	if (found->hint_index == batch->count && batch->next != NULL) {
		found->hint = batch->next;
		found->hint_index = 0;
	}
}

static struct reader
kept_attributes(const struct batch *batch, size_t index)
{
	size_t begin = batch->offsets[index] - 1;

	return (struct reader){batch->bytes + begin, batch->size - begin, false};
}

/* Stand before the attribute of this type; false if it was not asked for, or has no value. */
static bool
seek(struct reader *reader, const struct batch *batch, CK_ATTRIBUTE_TYPE type)
{
	CK_ATTRIBUTE_TYPE found;
	struct reader before;
	bool valid;

	for (size_t n = 0; n < batch->wanted; n++) {
		before = *reader;
		skip_attribute(reader, &found, &valid);
		if (reader->failed)
			return false;
		if (found == type) {
			*reader = before;
			return valid;
		}
	}
	return false;
}

static bool
has_all(const struct batch *batch, size_t index, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	for (CK_ULONG n = 0; n < count; n++) {
		struct reader reader = kept_attributes(batch, index);

		/* Why one has no value, the daemon will say. */
		if (!seek(&reader, batch, attributes[n].type))
			return false;
	}
	return true;
}

static CK_RV
read_kept(struct batch *batch, size_t index, CK_ATTRIBUTE *attributes, CK_ULONG count, bool *used)
{
	CK_RV first = CKR_OK, rv;

	*used = false;
	for (CK_ULONG n = 0; n < count; n++) {
		struct reader reader = kept_attributes(batch, index);

		(void)seek(&reader, batch, attributes[n].type);
		*used = *used || attributes[n].pValue != NULL;
		rv = get_attribute(&reader, &attributes[n]);
		if (first == CKR_OK)
			first = rv;
	}
	return first;
}

/* True if it could be answered from what came along with the search. */
static bool
answer_kept(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes,
    CK_ULONG count, CK_RV *rv)
{
	struct session *session;
	struct batch *batch;
	size_t index;
	bool answered = false, used;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL && session->found.first != NULL) {
		struct found *found = &session->found;

		if (found->moment != state_moment())
			found_drop_locked(found);
		else if (find_kept(found, object, &batch, &index) && batch->offsets[index] != 0 &&
		    has_all(batch, index, attributes, count)) {
			*rv = read_kept(batch, index, attributes, count, &used);
			if (used)
				batch->offsets[index] = 0;
			move_hint(found, batch, index, used);
			answered = true;
		}
	}
	platform_unlock(&platform_state_lock);
	return answered;
}

/* What may be said beside the values; anything else is an error of the whole call. */
static bool
is_status(CK_RV status)
{
	return status == CKR_OK || status == CKR_ATTRIBUTE_SENSITIVE ||
	    status == CKR_ATTRIBUTE_TYPE_INVALID || status == CKR_BUFFER_TOO_SMALL;
}

static void
get_attributes(struct call *call, CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	CK_RV short_buffer = CKR_OK, rv;
	CK_ULONG status = CKR_OK;

	if (!call->answered)
		return;
	if (get_u32(&call->answer) != count)
		call->answer.failed = true;
	for (CK_ULONG n = 0; n < count && !call->answer.failed; n++) {
		rv = get_attribute(&call->answer, &attributes[n]);
		if (short_buffer == CKR_OK)
			short_buffer = rv;
	}
	call_get_ulong(call, &status);
	if (!is_status(status))
		call->answer.failed = true;
	call_fail(call, status);
	call_fail(call, short_buffer);
}

CK_RV
C_GetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	struct call call;
	CK_RV rv;

	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (pTemplate == NULL || ulCount > MOST_ATTRIBUTES)
		return CKR_ARGUMENTS_BAD;
	if (answer_kept(hSession, hObject, pTemplate, ulCount, &rv))
		return rv;
	if (!call_begin(&call, CALL_GetAttributeValue))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_ulong(&call, hObject);
	call_put_attribute_room(&call, pTemplate, ulCount);
	call_run(&call);
	if (call.answered)
		learn(pTemplate, ulCount);
	get_attributes(&call, pTemplate, ulCount);
	return call_end(&call);
}
