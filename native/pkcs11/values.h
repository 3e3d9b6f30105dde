/* values.h: attributes and mechanisms, between the program's memory and the wire. */
#ifndef KEYHOLM_VALUES_H
#define KEYHOLM_VALUES_H

#include "pkcs11.h"
#include "rpc.h"

/* Nothing that a program means has more; it bounds what we read of its memory. */
#define MOST_ATTRIBUTES 4096
#define DEEPEST_TEMPLATE 4

enum attribute_form {
	FORM_BYTES,
	FORM_BOOL,
	FORM_ULONG,
	FORM_ULONGS,
	FORM_DATE,
	FORM_TEMPLATE
};

/* Generated: how the value of an attribute crosses. */
enum attribute_form attribute_form(CK_ATTRIBUTE_TYPE);
/*
 * Generated: the fields of a mechanism's parameter. False: there is no form for it. An error,
 * that it does not have the form, comes in the CK_RV.
 */
bool put_parameter(struct writer *, CK_MECHANISM_TYPE, const void *, CK_ULONG length, CK_RV *);
bool put_wrap_parameter(struct writer *, CK_MECHANISM_TYPE, const void *, CK_ULONG, CK_RV *);
bool put_message_parameter(struct writer *, CK_MECHANISM_TYPE, bool encrypts, const void *,
    CK_ULONG, CK_RV *);
/* Generated: what the daemon wrote into a parameter that put_... sent. */
bool get_wrap_parameter(struct reader *, CK_MECHANISM_TYPE, void *);
bool get_message_parameter(struct reader *, CK_MECHANISM_TYPE, void *);

CK_RV put_template(struct writer *, const CK_ATTRIBUTE *, CK_ULONG count);
CK_RV put_attribute_rooms(struct writer *, const CK_ATTRIBUTE *, CK_ULONG count);
CK_RV put_mechanism(struct writer *, const CK_MECHANISM *);
/* Of C_WrapKeyAuthenticated and its reverse, where a mechanism has another parameter. */
CK_RV put_wrap_mechanism(struct writer *, const CK_MECHANISM *);

/*
 * One attribute of an answer into the program's. The reader fails if it is another type. Gives
 * CKR_BUFFER_TOO_SMALL, with the length set to "unavailable", as the standard wants.
 */
CK_RV get_attribute(struct reader *, CK_ATTRIBUTE *);
/* Pass over one attribute; its type, and whether its value is there. */
void skip_attribute(struct reader *, CK_ATTRIBUTE_TYPE *, bool *valid);

#endif
