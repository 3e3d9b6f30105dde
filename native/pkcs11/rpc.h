/*
 * rpc.h: bytes of the protocol and back, with every bound checked here and nowhere else.
 *
 * Both are sticky: after the first thing that does not fit, nothing more is read or written and
 * `failed` stays set, so that callers check once, at the end.
 */
#ifndef KEYHOLM_RPC_H
#define KEYHOLM_RPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pkcs11.h"

/* More than this the module neither sends nor takes, whatever a daemon offers. */
#define LARGEST_BODY ((size_t)64 << 20)

struct writer {
	unsigned char *data;
	size_t length;
	size_t room;
	size_t limit; /* may grow up to this; equal to room for memory that cannot grow */
	bool failed;
};

void writer_fixed(struct writer *, unsigned char *memory, size_t room);
bool writer_reserve(struct writer *, size_t more);
void writer_wipe(struct writer *);
void writer_free(struct writer *);

void put_byte(struct writer *, unsigned);
void put_u32(struct writer *, uint32_t);
void put_u64(struct writer *, uint64_t);
void put_ulong(struct writer *, CK_ULONG);
void put_raw(struct writer *, const void *, size_t);
void put_string(struct writer *, const void *, size_t);
/* A string whose length is known only when its end is written. */
size_t put_string_begin(struct writer *);
void put_string_end(struct writer *, size_t begun);
void set_u32(struct writer *, size_t position, uint32_t);

struct reader {
	const unsigned char *at;
	size_t left;
	bool failed;
};

unsigned get_byte(struct reader *);
uint32_t get_u32(struct reader *);
uint64_t get_u64(struct reader *);
CK_ULONG get_ulong(struct reader *);
const unsigned char *get_raw(struct reader *, size_t);
/* NULL with a length of 0 for the string that is none (0xffffffff), and if it failed. */
const unsigned char *get_string(struct reader *, size_t *length);

/* A memset that the compiler may not leave out: PINs and plaintexts pass through our buffers. */
void wipe(void *, size_t);

#endif
