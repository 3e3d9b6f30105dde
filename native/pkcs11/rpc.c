/* rpc.c: see rpc.h. */
#include "rpc.h"

#include <stdlib.h>
#include <string.h>

#define NO_STRING UINT32_MAX

void
wipe(void *memory, size_t length)
{
	static void *(*const volatile set)(void *, int, size_t) = memset;

	if (length > 0)
		set(memory, 0, length);
}

void
writer_fixed(struct writer *writer, unsigned char *memory, size_t room)
{
	writer->data = memory;
	writer->length = 0;
	writer->room = room;
	writer->limit = room;
	writer->failed = false;
}

/* Not realloc: it would leave a copy of what was written in memory that is given back. */
static bool
grow(struct writer *writer, size_t wanted)
{
	size_t room = writer->room < 1024 ? 1024 : writer->room;
	unsigned char *data;

	while (room < wanted)
		room *= 2;
	if (room > writer->limit)
		room = writer->limit;
	data = malloc(room);
	if (data == NULL)
		return false;
	if (writer->length > 0)
		memcpy(data, writer->data, writer->length);
	wipe(writer->data, writer->length);
	free(writer->data);
	writer->data = data;
	writer->room = room;
	return true;
}

bool
writer_reserve(struct writer *writer, size_t more)
{
	if (writer->failed)
		return false;
	if (more <= writer->room - writer->length)
		return true;
	if (more > writer->limit - writer->length || !grow(writer, writer->length + more))
		writer->failed = true;
	return !writer->failed;
}

void
writer_wipe(struct writer *writer)
{
	wipe(writer->data, writer->length);
	writer->length = 0;
	writer->failed = false;
}

void
writer_free(struct writer *writer)
{
	writer_wipe(writer);
	free(writer->data);
	writer->data = NULL;
	writer->room = 0;
}

void
put_raw(struct writer *writer, const void *data, size_t length)
{
	if (!writer_reserve(writer, length))
		return;
	if (length > 0)
		memcpy(writer->data + writer->length, data, length);
	writer->length += length;
}

void
put_byte(struct writer *writer, unsigned value)
{
	unsigned char byte = (unsigned char)value;

	put_raw(writer, &byte, 1);
}

static void
store_u32(unsigned char *to, uint32_t value)
{
	to[0] = (unsigned char)(value >> 24);
	to[1] = (unsigned char)(value >> 16);
	to[2] = (unsigned char)(value >> 8);
	to[3] = (unsigned char)value;
}

void
put_u32(struct writer *writer, uint32_t value)
{
	unsigned char bytes[4];

	store_u32(bytes, value);
	put_raw(writer, bytes, sizeof(bytes));
}

void
put_u64(struct writer *writer, uint64_t value)
{
	put_u32(writer, (uint32_t)(value >> 32));
	put_u32(writer, (uint32_t)value);
}

/* "Unavailable" is all ones in either width. */
void
put_ulong(struct writer *writer, CK_ULONG value)
{
	put_u64(writer, value == CK_UNAVAILABLE_INFORMATION ? UINT64_MAX : (uint64_t)value);
}

void
put_string(struct writer *writer, const void *data, size_t length)
{
	if (data == NULL) {
		put_u32(writer, NO_STRING);
		return;
	}
	if (length >= NO_STRING) {
		writer->failed = true;
		return;
	}
	put_u32(writer, (uint32_t)length);
	put_raw(writer, data, length);
}

size_t
put_string_begin(struct writer *writer)
{
	put_u32(writer, 0);
	return writer->length;
}

void
put_string_end(struct writer *writer, size_t begun)
{
	if (!writer->failed)
		set_u32(writer, begun - 4, (uint32_t)(writer->length - begun));
}

void
set_u32(struct writer *writer, size_t position, uint32_t value)
{
	if (!writer->failed && writer->length >= 4 && position <= writer->length - 4)
		store_u32(writer->data + position, value);
	else
		writer->failed = true;
}

const unsigned char *
get_raw(struct reader *reader, size_t length)
{
	const unsigned char *data = reader->at;

	if (reader->failed || length > reader->left) {
		reader->failed = true;
		return NULL;
	}
	reader->at += length;
	reader->left -= length;
	return data;
}

unsigned
get_byte(struct reader *reader)
{
	const unsigned char *bytes = get_raw(reader, 1);

	return bytes == NULL ? 0 : bytes[0];
}

uint32_t
get_u32(struct reader *reader)
{
	const unsigned char *bytes = get_raw(reader, 4);

	if (bytes == NULL)
		return 0;
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 |
	    (uint32_t)bytes[3];
}

uint64_t
get_u64(struct reader *reader)
{
	uint64_t high = get_u32(reader);

	return high << 32 | get_u32(reader);
}

CK_ULONG
get_ulong(struct reader *reader)
{
	uint64_t value = get_u64(reader);

	if (value == UINT64_MAX)
		return CK_UNAVAILABLE_INFORMATION;
	/* Where a CK_ULONG has 32 bits, a larger number cannot be told to the program. */
	if (value > CK_UNAVAILABLE_INFORMATION)
		reader->failed = true;
	return reader->failed ? 0 : (CK_ULONG)value;
}

const unsigned char *
get_string(struct reader *reader, size_t *length)
{
	uint32_t told = get_u32(reader);
	const unsigned char *data;

	*length = 0;
	if (reader->failed || told == NO_STRING)
		return NULL;
	data = get_raw(reader, told);
	if (data != NULL)
		*length = told;
	return data;
}
