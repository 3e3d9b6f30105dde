/*
 * torture.h: a PKCS#11 module that misbehaves in the call, and in the way, that it is told to.
 *
 * It is SoftHSM2 (or what TORTURE_BEHIND names) with each function wrapped; the wrappers are made
 * by build.py from the table of calls. The folder TORTURE_DIR has its orders and its answers:
 *
 *     order      CALL ACT TIMES NUMBER LABEL     "C_Sign segfault 1 0 -"
 *     targets    what it is to connect to, read or look for, one a line
 *     found      what came of it, one a line
 *
 * TIMES is 1 (the order is taken away before it is obeyed) or 0 (it stays). LABEL is the token
 * that is meant, or -.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include "calls.h"

#define LONGEST_WORD 64
#define LONGEST_LINE 512

struct order {
	char act[LONGEST_WORD];
	unsigned long number;
};

/* Where a function answers; what it does not have is NULL. */
struct answers {
	CK_ULONG *count; /* or a length */
	CK_ULONG *list;  /* handles, slots or mechanisms */
	void *structure;
	size_t size;
	CK_ATTRIBUTE *attributes;
	CK_ULONG attribute_count;
};

/* What a call is about. */
enum subject { NOTHING, SLOT, SESSION };

extern CK_FUNCTION_LIST *behind; /* NULL until it is loaded */
extern CK_FUNCTION_LIST wrapped;

/* Whether there is an order for this call. */
int ordered(struct order *order, const char *call, enum subject subject, CK_ULONG about);

/* Whether the call is answered with *rv instead of being made. */
int before(const struct order *order, CK_RV *rv);
CK_RV after(const struct order *order, CK_RV rv, const struct answers *answers);

/* A line into `found`, as printf has it. */
void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Calls `look` with each line of `targets`. */
void each_target(void (*look)(const char *target));

void try_to_connect(const char *target);
void try_to_read(const char *target);
void look_for_processes(void);

#endif
