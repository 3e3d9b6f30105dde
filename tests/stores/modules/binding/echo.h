/* echo.h: a module that writes down what each of its functions was given. */
#ifndef ECHO_H
#define ECHO_H

#include <string.h>

#include "calls.h"
#include "parameters.h"
#include "values.h"

/* A call that is being written down, in the bytes that the native module would send of it. */
void echo_bytes(struct writer *, const void *, CK_ULONG length);
void echo_message(struct writer *, bool encrypts, const void *, CK_ULONG length);
void echo_mechanism(struct writer *, const CK_MECHANISM *, bool authenticated);
void echo_told(const char *name, struct writer *);

/* What the functions give. */
CK_RV echo_result(CK_BYTE *, CK_ULONG *length);
CK_RV echo_list(CK_ULONG *, CK_ULONG *count);
void echo_scribble(void *message);

#endif
