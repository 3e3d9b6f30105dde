/* values.c: see values.h. */
#include "values.h"

#include <string.h>

#include "calls.h"

/* --- out ------------------------------------------------------------------------------------- */

static CK_RV put_attributes(struct writer *, const CK_ATTRIBUTE *, CK_ULONG, unsigned depth);

static CK_ULONG
ulong_at(const void *memory, size_t n)
{
	CK_ULONG value;

	memcpy(&value, (const unsigned char *)memory + n * sizeof(value), sizeof(value));
	return value;
}

static void
put_ulongs(struct writer *writer, const void *values, size_t count)
{
	put_u32(writer, (uint32_t)count);
	for (size_t n = 0; n < count; n++)
		put_ulong(writer, ulong_at(values, n));
}

static CK_RV
put_value(struct writer *writer, const CK_ATTRIBUTE *attribute, unsigned depth)
{
	const void *value = attribute->ulValueLen == 0 ? "" : attribute->pValue;
	CK_ULONG length = attribute->ulValueLen;

	switch (attribute_form(attribute->type)) {
	case FORM_BOOL:
		if (length != sizeof(CK_BBOOL))
			return CKR_ATTRIBUTE_VALUE_INVALID;
		put_byte(writer, *(const CK_BBOOL *)value);
		return CKR_OK;
	case FORM_ULONG:
		if (length != sizeof(CK_ULONG))
			return CKR_ATTRIBUTE_VALUE_INVALID;
		put_ulong(writer, ulong_at(value, 0));
		return CKR_OK;
	case FORM_ULONGS:
		if (length % sizeof(CK_ULONG) != 0)
			return CKR_ATTRIBUTE_VALUE_INVALID;
		put_ulongs(writer, value, length / sizeof(CK_ULONG));
		return CKR_OK;
	case FORM_TEMPLATE:
		if (length % sizeof(CK_ATTRIBUTE) != 0)
			return CKR_ATTRIBUTE_VALUE_INVALID;
		return put_attributes(writer, value, length / sizeof(CK_ATTRIBUTE), depth + 1);
	case FORM_DATE:
		if (length != 0 && length != sizeof(CK_DATE))
			return CKR_ATTRIBUTE_VALUE_INVALID;
		break;
	case FORM_BYTES:
		break;
	}
	put_string(writer, value, length);
	return CKR_OK;
}

static CK_RV
put_attribute(struct writer *writer, const CK_ATTRIBUTE *attribute, unsigned depth)
{
	if (attribute->type > UINT32_MAX)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	if (attribute->ulValueLen > LARGEST_BODY)
		return CKR_ATTRIBUTE_VALUE_INVALID;
	if (attribute->pValue == NULL && attribute->ulValueLen > 0)
		return CKR_ARGUMENTS_BAD;
	put_u32(writer, (uint32_t)attribute->type);
	put_byte(writer, 1);
	put_u32(writer, (uint32_t)attribute->ulValueLen);
	return put_value(writer, attribute, depth);
}

static CK_RV
put_attributes(struct writer *writer, const CK_ATTRIBUTE *attributes, CK_ULONG count, unsigned depth)
{
	if (depth > DEEPEST_TEMPLATE || count > MOST_ATTRIBUTES)
		return CKR_ARGUMENTS_BAD;
	put_u32(writer, (uint32_t)count);
	for (CK_ULONG n = 0; n < count; n++) {
		CK_RV rv = put_attribute(writer, &attributes[n], depth);

		if (rv != CKR_OK)
			return rv;
	}
	return CKR_OK;
}

CK_RV
put_template(struct writer *writer, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	if (attributes == NULL && count > 0)
		return CKR_ARGUMENTS_BAD;
	return put_attributes(writer, attributes, count, 1);
}

static CK_RV put_rooms(struct writer *, const CK_ATTRIBUTE *, CK_ULONG, unsigned depth);

static CK_RV
put_attribute_room(struct writer *writer, const CK_ATTRIBUTE *attribute, unsigned depth)
{
	CK_ULONG room = attribute->ulValueLen;

	if (attribute->type > UINT32_MAX)
		return CKR_ATTRIBUTE_TYPE_INVALID;
	put_u32(writer, (uint32_t)attribute->type);
	if (attribute->pValue == NULL) {
		put_u32(writer, 0);
		return CKR_OK;
	}
	if (room > LARGEST_BODY)
		room = LARGEST_BODY;
	put_u32(writer, room == 0 ? UINT32_MAX : (uint32_t)room);
	if (attribute_form(attribute->type) != FORM_TEMPLATE)
		return CKR_OK;
	return put_rooms(writer, attribute->pValue, room / sizeof(CK_ATTRIBUTE), depth + 1);
}

static CK_RV
put_rooms(struct writer *writer, const CK_ATTRIBUTE *attributes, CK_ULONG count, unsigned depth)
{
	if (depth > DEEPEST_TEMPLATE || count > MOST_ATTRIBUTES)
		return CKR_ARGUMENTS_BAD;
	put_u32(writer, (uint32_t)count);
	for (CK_ULONG n = 0; n < count; n++) {
		CK_RV rv = put_attribute_room(writer, &attributes[n], depth);

		if (rv != CKR_OK)
			return rv;
	}
	return CKR_OK;
}

CK_RV
put_attribute_rooms(struct writer *writer, const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	if (attributes == NULL && count > 0)
		return CKR_ARGUMENTS_BAD;
	return put_rooms(writer, attributes, count, 1);
}

typedef bool put_fields(struct writer *, CK_MECHANISM_TYPE, const void *, CK_ULONG, CK_RV *);

/* Byte 0: no parameter. 1: its fields. 2: as it lies in memory, for what we have no form for. */
static CK_RV
put_mechanism_with(struct writer *writer, const CK_MECHANISM *mechanism, put_fields *fields)
{
	CK_RV rv = CKR_OK;
	size_t begun, form;

	if (mechanism->mechanism > UINT32_MAX)
		return CKR_MECHANISM_INVALID;
	if (mechanism->pParameter == NULL && mechanism->ulParameterLen > 0)
		return CKR_ARGUMENTS_BAD;
	put_u32(writer, (uint32_t)mechanism->mechanism);
	if (mechanism->ulParameterLen == 0) {
		put_byte(writer, 0);
		return CKR_OK;
	}
	form = writer->length;
	put_byte(writer, 1);
	begun = put_string_begin(writer);
	if (fields(writer, mechanism->mechanism, mechanism->pParameter, mechanism->ulParameterLen,
	        &rv)) {
		put_string_end(writer, begun);
		return rv;
	}
	if (writer->failed)
		return CKR_OK; /* whoever owns the writer sees it */
	writer->length = form;
	put_byte(writer, 2);
	put_string(writer, mechanism->pParameter, mechanism->ulParameterLen);
	return CKR_OK;
}

CK_RV
put_mechanism(struct writer *writer, const CK_MECHANISM *mechanism)
{
	return put_mechanism_with(writer, mechanism, put_parameter);
}

CK_RV
put_wrap_mechanism(struct writer *writer, const CK_MECHANISM *mechanism)
{
	return put_mechanism_with(writer, mechanism, put_wrap_parameter);
}

/* --- in -------------------------------------------------------------------------------------- */

/* A value as it lies in an answer. */
struct value {
	enum attribute_form form;
	const unsigned char *bytes; /* NULL for bytes that were not sent */
	size_t count;               /* of bytes, numbers or attributes */
};

static CK_RV get_nested(struct reader *, const struct value *, CK_ATTRIBUTE *, unsigned depth);

static void
get_value(struct reader *reader, enum attribute_form form, struct value *value)
{
	value->form = form;
	value->count = 1;
	switch (form) {
	case FORM_BOOL:
		value->bytes = get_raw(reader, 1);
		break;
	case FORM_ULONG:
		value->bytes = get_raw(reader, 8);
		break;
	case FORM_ULONGS:
		value->count = get_u32(reader);
		if (value->count > reader->left / 8)
			reader->failed = true;
		value->bytes = reader->failed ? NULL : get_raw(reader, value->count * 8);
		break;
	case FORM_TEMPLATE:
		value->count = get_u32(reader);
		value->bytes = NULL; /* its attributes come next */
		if (value->count > reader->left / 5)
			reader->failed = true;
		break;
	case FORM_DATE:
	case FORM_BYTES:
		value->bytes = get_string(reader, &value->count);
		break;
	}
}

static size_t
size_in_memory(const struct value *value)
{
	switch (value->form) {
	case FORM_BOOL:
		return sizeof(CK_BBOOL);
	case FORM_ULONG:
	case FORM_ULONGS:
		return value->count * sizeof(CK_ULONG);
	case FORM_TEMPLATE:
		return value->count * sizeof(CK_ATTRIBUTE);
	case FORM_DATE:
	case FORM_BYTES:
		break;
	}
	return value->count;
}

static void
copy_ulongs(struct reader *reader, const struct value *value, unsigned char *to)
{
	struct reader numbers = {value->bytes, value->count * 8, false};

	for (size_t n = 0; n < value->count; n++) {
		CK_ULONG number = get_ulong(&numbers);

		memcpy(to + n * sizeof(number), &number, sizeof(number));
	}
	reader->failed = reader->failed || numbers.failed;
}

static void
skip_value(struct reader *reader, enum attribute_form form, unsigned depth)
{
	struct value value;
	CK_ATTRIBUTE_TYPE type;

	get_value(reader, form, &value);
	if (form != FORM_TEMPLATE)
		return;
	if (depth >= DEEPEST_TEMPLATE)
		reader->failed = true;
	for (size_t n = 0; n < value.count && !reader->failed; n++) {
		type = get_u32(reader);
		if (get_byte(reader) == 0)
			continue;
		(void)get_u32(reader);
		skip_value(reader, attribute_form(type), depth + 1);
	}
}

/* `told` is the length that the daemon names: it counts for bytes that it keeps to itself. */
static CK_RV
give_value(struct reader *reader, CK_ATTRIBUTE *to, uint32_t told, unsigned depth)
{
	struct value value;
	size_t size;
	bool unsent;

	get_value(reader, attribute_form(to->type), &value);
	if (reader->failed)
		return CKR_OK;
	unsent = value.bytes == NULL && value.form != FORM_TEMPLATE;
	size = unsent ? told : size_in_memory(&value);
	if (value.form == FORM_TEMPLATE)
		return get_nested(reader, &value, to, depth);
	if (to->pValue == NULL) {
		to->ulValueLen = (CK_ULONG)size;
		return CKR_OK;
	}
	if (to->ulValueLen < size || (unsent && size > 0)) {
		to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	if (value.form == FORM_ULONG || value.form == FORM_ULONGS)
		copy_ulongs(reader, &value, to->pValue);
	else if (size > 0)
		memcpy(to->pValue, value.bytes, size);
	to->ulValueLen = (CK_ULONG)size;
	return CKR_OK;
}

static CK_RV
give_attribute(struct reader *reader, CK_ATTRIBUTE *to, unsigned depth)
{
	uint32_t told;

	if (get_byte(reader) == 0) {
		if (!reader->failed)
			to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_OK;
	}
	told = get_u32(reader);
	return give_value(reader, to, told, depth);
}

/* The program gave an array of attributes, and each of them may have room or not. */
static CK_RV
get_nested(struct reader *reader, const struct value *value, CK_ATTRIBUTE *to, unsigned depth)
{
	CK_ATTRIBUTE *inner = to->pValue;
	size_t size = size_in_memory(value);
	bool fits = inner != NULL && to->ulValueLen >= size;
	CK_RV first = CKR_OK, rv;

	if (depth >= DEEPEST_TEMPLATE)
		reader->failed = true;
	for (size_t n = 0; n < value->count && !reader->failed; n++) {
		CK_ATTRIBUTE unseen = {.type = get_u32(reader)};

		if (fits)
			inner[n].type = unseen.type;
		rv = give_attribute(reader, fits ? &inner[n] : &unseen, depth + 1);
		if (first == CKR_OK)
			first = rv;
	}
	if (reader->failed)
		return CKR_OK;
	if (inner != NULL && !fits) {
		to->ulValueLen = CK_UNAVAILABLE_INFORMATION;
		return CKR_BUFFER_TOO_SMALL;
	}
	to->ulValueLen = (CK_ULONG)size;
	return first;
}

CK_RV
get_attribute(struct reader *reader, CK_ATTRIBUTE *to)
{
	if (get_u32(reader) != to->type)
		reader->failed = true;
	return reader->failed ? CKR_OK : give_attribute(reader, to, 1);
}

void
skip_attribute(struct reader *reader, CK_ATTRIBUTE_TYPE *type, bool *valid)
{
	*type = get_u32(reader);
	*valid = get_byte(reader) != 0;
	if (!*valid)
		return;
	(void)get_u32(reader);
	skip_value(reader, attribute_form(*type), 1);
}
