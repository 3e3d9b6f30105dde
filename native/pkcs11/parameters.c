/* parameters.c: see parameters.h. */
#include "parameters.h"

#include <string.h>

#include "calls.h"

#define MOST_DATA_PARAMS 1024

bool
put_member(struct writer *writer, const void *member, CK_ULONG length)
{
	if ((member == NULL && length > 0) || length > LARGEST_BODY)
		return false;
	put_string(writer, length == 0 ? "" : member, length);
	return true;
}

static CK_ULONG
bytes_of(CK_ULONG bits)
{
	return bits / 8 + (bits % 8 != 0);
}

bool
put_bits(struct writer *writer, const void *member, CK_ULONG bits)
{
	return put_member(writer, member, bytes_of(bits));
}

bool
put_tag(struct writer *writer, bool encrypts, const void *tag, CK_ULONG length)
{
	if (encrypts || tag == NULL)
		length = 0;
	return put_member(writer, tag, length);
}

bool
put_tag_bits(struct writer *writer, bool encrypts, const void *tag, CK_ULONG bits)
{
	return put_tag(writer, encrypts, tag, bytes_of(bits));
}

static bool
put_counter(struct writer *writer, const CK_PRF_DATA_PARAM *param)
{
	const CK_SP800_108_COUNTER_FORMAT *format = param->pValue;

	if (format == NULL) /* the iteration variable may go without */
		return param->ulValueLen == 0;
	if (param->ulValueLen != sizeof(*format))
		return false;
	put_byte(writer, format->bLittleEndian);
	put_ulong(writer, format->ulWidthInBits);
	return true;
}

static bool
put_key_length(struct writer *writer, const CK_PRF_DATA_PARAM *param)
{
	const CK_SP800_108_DKM_LENGTH_FORMAT *format = param->pValue;

	if (format == NULL || param->ulValueLen != sizeof(*format))
		return false;
	put_ulong(writer, format->dkmLengthMethod);
	put_byte(writer, format->bLittleEndian);
	put_ulong(writer, format->ulWidthInBits);
	return true;
}

static bool
put_key_handle(struct writer *writer, const CK_PRF_DATA_PARAM *param)
{
	if (param->pValue == NULL || param->ulValueLen != sizeof(CK_OBJECT_HANDLE))
		return false;
	put_ulong(writer, *(const CK_OBJECT_HANDLE *)param->pValue);
	return true;
}

static bool
put_plain(struct writer *writer, const CK_PRF_DATA_PARAM *param)
{
	if ((param->pValue == NULL && param->ulValueLen > 0) || param->ulValueLen > LARGEST_BODY)
		return false;
	put_raw(writer, param->pValue, param->ulValueLen);
	return true;
}

static bool
put_data_param(struct writer *writer, const CK_PRF_DATA_PARAM *param)
{
	switch (param->type) {
	case CK_SP800_108_ITERATION_VARIABLE:
	case CK_SP800_108_COUNTER:
		return put_counter(writer, param);
	case CK_SP800_108_DKM_LENGTH:
		return put_key_length(writer, param);
	case CK_SP800_108_KEY_HANDLE:
		return put_key_handle(writer, param);
	default:
		return put_plain(writer, param);
	}
}

bool
put_data_params(struct writer *writer, const CK_PRF_DATA_PARAM *params, CK_ULONG count)
{
	size_t begun;

	if ((params == NULL && count > 0) || count > MOST_DATA_PARAMS)
		return false;
	put_u32(writer, (uint32_t)count);
	for (CK_ULONG n = 0; n < count; n++) {
		put_ulong(writer, params[n].type);
		begun = put_string_begin(writer);
		if (!put_data_param(writer, &params[n]))
			return false;
		put_string_end(writer, begun);
	}
	return true;
}

void
get_member(struct reader *reader, void *member, CK_ULONG length)
{
	size_t size;
	const unsigned char *bytes = get_string(reader, &size);

	if (size != length || (member == NULL && size > 0))
		reader->failed = true;
	else if (size > 0)
		memcpy(member, bytes, size);
}

void
get_bits(struct reader *reader, void *member, CK_ULONG bits)
{
	get_member(reader, member, bytes_of(bits));
}

void
get_tag(struct reader *reader, void *member, CK_ULONG length)
{
	struct reader before = *reader;
	size_t size;

	(void)get_string(reader, &size);
	if (size == 0)
		return;
	*reader = before;
	get_member(reader, member, length);
}

void
get_tag_bits(struct reader *reader, void *member, CK_ULONG bits)
{
	get_tag(reader, member, bytes_of(bits));
}

void
skip_member(struct reader *reader)
{
	size_t size;

	(void)get_string(reader, &size);
}
