/*
 * say.h: what reaches the user who looks at the terminal.
 *
 * PKCS#11 has numbers only, and programs print "provider returned no slots" or nothing. So the
 * sentence goes to stderr, but rarely: never under libp11-kit, which loads every module into
 * every program, and otherwise only where the program itself could not tell. KEYHOLM_VERBOSE
 * wants them all.
 */
#ifndef KEYHOLM_SAY_H
#define KEYHOLM_SAY_H

#include <stdbool.h>
#include <stddef.h>

#include "pkcs11.h"

struct sentence {
	const char *text; /* not terminated; may be NULL */
	size_t length;
};

struct sentence sentence_of(const char *terminated);

void say_reset(void);
/* Something that stands in the way of everything. */
void say_plainly(const char *format, const char *argument, const char *remedy);
/* The daemon's own words about an error of a call. */
void say_error(const char *function, CK_RV, struct sentence what, struct sentence remedy);
/* Was anything said since C_Initialize? */
bool say_has_spoken(void);

#endif
