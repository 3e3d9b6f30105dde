/*
 * answers.c: whatever a daemon answers, the module must not fall over.
 *
 * The first byte chooses what the program does; the rest are the answers that it gets, frame
 * after frame, each without its number. For libFuzzer, or with standalone.c for any compiler.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../pkcs11/calls.h"
#include "../pkcs11/parameters.h"
#include "platform_fuzz.h"

/* Numbers that the module itself has no use for. */
#define CKA_LABEL 0x3UL
#define CKM_ECDSA 0x1041UL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* To C_OpenSession: session 1. */
static const unsigned char opened[] = {
    0, 0, 0, 0, 0, 0, 0, 17, /* no options, a body of 17 bytes */
    0, 0, 0, 10, 0, 0, 0, 1, 'u', 0, 0, 0, 0, 0, 0, 0, 1,
};

static CK_SESSION_HANDLE session;
static CK_BYTE memory[256];
static CK_ULONG numbers[8], count;

static void
slots(void)
{
	CK_SLOT_INFO slot;
	CK_TOKEN_INFO token;

	count = 8;
	C_GetSlotList(CK_TRUE, numbers, &count);
	count = 8;
	C_GetMechanismList(0, numbers, &count);
	C_GetSlotInfo(0, &slot);
	C_GetTokenInfo(0, &token);
}

static void
read_attributes(CK_OBJECT_HANDLE object)
{
	/* Those of the corpus. Each has memory of its own, so that a sanitizer sees a byte too many. */
	CK_ULONG number, inner_number, mechanisms[4];
	CK_BYTE label[16], inner_label[16];
	CK_BBOOL yes;
	CK_ATTRIBUTE inner[2] = {
	    {0, &inner_number, sizeof(inner_number)},
	    {0, inner_label, sizeof(inner_label)},
	};
	CK_ATTRIBUTE wanted[] = {
	    {CKA_LABEL, label, sizeof(label)},
	    {CKA_CLASS, &number, sizeof(number)},
	    {CKA_ALLOWED_MECHANISMS, mechanisms, sizeof(mechanisms)},
	    {CKA_TOKEN, &yes, sizeof(yes)},
	    {CKA_WRAP_TEMPLATE, inner, sizeof(inner)},
	};

	C_GetAttributeValue(session, object, wanted, sizeof(wanted) / sizeof(wanted[0]));
}

/* The first reading teaches the module what to ask for with the search. */
static void
find(void)
{
	CK_OBJECT_HANDLE found[4];
	CK_BYTE text[16];
	CK_ATTRIBUTE label = {CKA_LABEL, text, sizeof(text)};

	C_GetAttributeValue(session, 1, &label, 1);
	C_FindObjectsInit(session, NULL, 0);
	for (int n = 0; n < 2; n++)
		if (C_FindObjects(session, found, 4, &count) == CKR_OK)
			for (CK_ULONG k = 0; k < count; k++) {
				label.ulValueLen = sizeof(text);
				C_GetAttributeValue(session, found[k], &label, 1);
			}
	C_FindObjectsFinal(session);
}

static void
sign(void)
{
	CK_MECHANISM mechanism = {CKM_ECDSA, NULL, 0};
	CK_BYTE signature[64];

	for (int n = 0; n < 3; n++) {
		C_SignInit(session, &mechanism, 1);
		count = n == 1 ? 0 : sizeof(signature);
		C_Sign(session, memory, 32, n == 1 ? NULL : signature, &count);
	}
	C_SignInit(session, &mechanism, 1);
	C_SignUpdate(session, memory, 8);
	count = sizeof(signature);
	C_SignFinal(session, signature, &count);
}

static void
encrypt_message(void)
{
	CK_BYTE nonce[12] = {0}, tag[12] = {0}, ciphertext[16];
	CK_GCM_MESSAGE_PARAMS parameter = {nonce, sizeof(nonce), 0, 1, tag, 96};
	CK_MECHANISM mechanism = {CKM_AES_GCM, NULL, 0};

	C_MessageEncryptInit(session, &mechanism, 1);
	count = sizeof(ciphertext);
	C_EncryptMessage(session, &parameter, sizeof(parameter), NULL, 0, memory, 32, ciphertext,
	    &count);
}

static void
wrap(void)
{
	CK_BYTE nonce[12] = {0}, wrapped[16];
	CK_GCM_WRAP_PARAMS parameter = {nonce, sizeof(nonce), 0, 1, NULL, 0, 128};
	CK_MECHANISM mechanism = {CKM_AES_GCM, &parameter, sizeof(parameter)};

	count = sizeof(wrapped);
	C_WrapKeyAuthenticated(session, &mechanism, 1, 2, NULL, 0, wrapped, &count);
}

static void
random_bytes(void)
{
	C_GenerateRandom(session, memory, sizeof(memory));
}

static void
attributes(void)
{
	read_attributes(1);
}

static void (*const programs[])(void) = {
    slots, attributes, find, sign, encrypt_message, wrap, random_bytes,
};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	fuzz_answers(opened, sizeof(opened), data + 1, size - 1);
	if (C_Initialize(NULL) != CKR_OK ||
	    C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, &session) != CKR_OK)
		abort();
	programs[data[0] % (sizeof(programs) / sizeof(programs[0]))]();
	if (C_Finalize(NULL) != CKR_OK)
		abort();
	return 0;
}
