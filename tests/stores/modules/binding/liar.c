/* liar.c: a module that answers what cannot be, as the environment's LIE says. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "calls.h"

#define CODE_SMALL 0x150UL
#define CODE_CANT_LOCK 0xaUL
#define CODE_ACTIVE 0x90UL
#define CODE_FAILED 6UL
#define LARGE 200000UL
#ifndef CKA_LABEL
#define CKA_LABEL 0x3UL
#endif
#ifndef CKA_MODULUS
#define CKA_MODULUS 0x120UL
#endif

static bool active; /* an operation */
static bool woken;
static unsigned at_once, together;

static bool
lies(const char *about)
{
	const char *lie = getenv("LIE");

	return lie != NULL && strcmp(lie, about) == 0;
}

static CK_RV
liar_initialize(CK_VOID_PTR pInitArgs)
{
	const CK_C_INITIALIZE_ARGS *arguments = pInitArgs;

	if (lies("no locks") && arguments->flags != 0)
		return CODE_CANT_LOCK;
	if (lies("already"))
		return 0x191; /* CKR_CRYPTOKI_ALREADY_INITIALIZED */
	return lies("not initialised") ? 0x54321 : CKR_OK;
}

static CK_RV
liar_get_info(CK_INFO_PTR pInfo)
{
	memset(pInfo, ' ', sizeof(*pInfo));
	if (lies("text")) {
		memcpy(pInfo->manufacturerID, "M\xfcller\0garbage", 15);
		memset(pInfo->libraryDescription, 0xff, 32);
	}
	return CKR_OK;
}

static CK_RV
liar_get_slot_list(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR pSlotList, CK_ULONG_PTR pulCount)
{
	CK_ULONG room = *pulCount;

	(void)tokenPresent;
	*pulCount = 2;
	if (lies("endless"))
		*pulCount = CK_UNAVAILABLE_INFORMATION;
	if (lies("many"))
		*pulCount = room + 5;
	if (pSlotList != NULL && room > 0)
		pSlotList[0] = 1;
	return lies("fewer") ? CODE_SMALL : CKR_OK;
}

static CK_RV
liar_get_slot_info(CK_SLOT_ID slotID, CK_SLOT_INFO_PTR pInfo)
{
	memset(pInfo, ' ', sizeof(*pInfo));
	return slotID; /* whatever is asked for */
}

static CK_RV
liar_open_session(CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify,
    CK_SESSION_HANDLE_PTR phSession)
{
	(void)slotID;
	(void)flags;
	if (pApplication != NULL || Notify != NULL)
		return CKR_ARGUMENTS_BAD;
	*phSession = lies("handle") ? 0 : 5;
	return CKR_OK;
}

static CK_RV
liar_find_objects(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE_PTR phObject,
    CK_ULONG ulMaxObjectCount, CK_ULONG_PTR pulObjectCount)
{
	(void)hSession;
	*pulObjectCount = lies("many") ? ulMaxObjectCount + 1 : 1;
	if (ulMaxObjectCount > 0)
		phObject[0] = lies("handle") ? 0 : 9;
	return CKR_OK;
}

/* The first is invalid; what becomes of the others is the lie. */
static CK_RV
liar_get_attribute_value(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	CK_ATTRIBUTE *inside = pTemplate[0].pValue;

	(void)hSession;
	(void)hObject;
	if (lies("cut template") || lies("long value")) {
		pTemplate[0].ulValueLen = lies("cut template") ? 25 : 1UL << 40;
		return CKR_OK;
	}
	if (lies("deep")) { /* each is a template with one attribute, itself a template */
		pTemplate[0].ulValueLen = sizeof(CK_ATTRIBUTE);
		for (; inside != NULL; inside = inside[0].pValue) {
			inside[0].type = CKA_WRAP_TEMPLATE;
			inside[0].ulValueLen = sizeof(CK_ATTRIBUTE);
		}
		return CKR_OK;
	}
	if (lies("changing")) { /* of another type each time */
		static CK_ATTRIBUTE_TYPE type = CKA_LABEL;

		pTemplate[0].ulValueLen = sizeof(CK_ATTRIBUTE);
		if (inside != NULL) {
			inside[0].type = type++;
			inside[0].ulValueLen = 4;
		}
		return CKR_OK;
	}
	for (CK_ULONG n = 0; n < ulCount; n++) {
		CK_ATTRIBUTE *attribute = &pTemplate[n];

		if (attribute->type == CKA_MODULUS) {
			attribute->ulValueLen = CK_UNAVAILABLE_INFORMATION;
			if (lies("stops"))
				return 0x12; /* CKR_ATTRIBUTE_TYPE_INVALID */
			continue;
		}
		if (attribute->pValue != NULL && attribute->ulValueLen >= 3)
			memcpy(attribute->pValue, "abc", 3);
		attribute->ulValueLen = lies("beyond") ? attribute->ulValueLen + 1 : 3;
		if (lies("pointers")) {
			attribute->type = 0x7777;
			attribute->pValue = (void *)1;
		}
	}
	return CKR_OK;
}

static CK_RV
liar_sign_init(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	(void)hSession;
	(void)pMechanism;
	(void)hKey;
	if (active)
		return CODE_ACTIVE;
	active = true;
	return CKR_OK;
}

static CK_RV
liar_sign(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature,
    CK_ULONG_PTR pulSignatureLen)
{
	CK_ULONG room = *pulSignatureLen;

	(void)hSession;
	(void)pData;
	if (lies("stays") && ulDataLen == 0)
		return CODE_FAILED; /* and the operation is still there */
	if (lies("never") || (lies("unsaid") && room < LARGE))
		return CODE_SMALL;
	if (lies("large") && room < LARGE) {
		*pulSignatureLen = LARGE;
		return CODE_SMALL;
	}
	*pulSignatureLen = lies("large") || lies("unsaid") ? LARGE : 4;
	if (lies("length"))
		*pulSignatureLen = room + 1;
	if (lies("endless"))
		*pulSignatureLen = CK_UNAVAILABLE_INFORMATION;
	if (pSignature != NULL && *pulSignatureLen <= room) {
		memset(pSignature, 's', *pulSignatureLen);
		active = false;
	}
	return CKR_OK;
}

static CK_RV
liar_sign_final(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	(void)hSession;
	(void)pSignature;
	(void)pulSignatureLen;
	active = false;
	return CODE_FAILED;
}

/* Until somebody asks for random bytes. */
static CK_RV
liar_wait_for_slot_event(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved)
{
	const struct timespec while_waiting = {.tv_nsec = 1000000};

	if (pReserved != NULL)
		return CKR_ARGUMENTS_BAD;
	if (flags & CKF_DONT_BLOCK)
		return 8; /* CKR_NO_EVENT */
	while (!__atomic_load_n(&woken, __ATOMIC_SEQ_CST))
		nanosleep(&while_waiting, NULL);
	*pSlot = 3;
	return CKR_OK;
}

/* How many are in here at the same time, at most. */
static CK_RV
liar_seed_random(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen)
{
	unsigned now = __atomic_add_fetch(&at_once, 1, __ATOMIC_SEQ_CST);

	(void)hSession;
	(void)pSeed;
	(void)ulSeedLen;
	for (volatile unsigned long n = 0; n < 20000000; n++)
		if (__atomic_load_n(&at_once, __ATOMIC_SEQ_CST) > now)
			break;
	if (__atomic_load_n(&at_once, __ATOMIC_SEQ_CST) > 1)
		together = 1;
	__atomic_sub_fetch(&at_once, 1, __ATOMIC_SEQ_CST);
	return CKR_OK;
}

static CK_RV
liar_generate_random(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pRandomData, CK_ULONG ulRandomLen)
{
	(void)hSession;
	__atomic_store_n(&woken, true, __ATOMIC_SEQ_CST);
	memset(pRandomData, (int)together, ulRandomLen);
	return CKR_OK;
}

static CK_FUNCTION_LIST list = {
    .version = {2, 40},
    .C_Initialize = liar_initialize,
    .C_GetInfo = liar_get_info,
    .C_GetSlotList = liar_get_slot_list,
    .C_GetSlotInfo = liar_get_slot_info,
    .C_OpenSession = liar_open_session,
    .C_FindObjects = liar_find_objects,
    .C_GetAttributeValue = liar_get_attribute_value,
    .C_SignInit = liar_sign_init,
    .C_Sign = liar_sign,
    .C_SignFinal = liar_sign_final,
    .C_SeedRandom = liar_seed_random,
    .C_GenerateRandom = liar_generate_random,
    .C_WaitForSlotEvent = liar_wait_for_slot_event,
};

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
	if (lies("no list"))
		return CODE_FAILED;
	if (lies("list of nothing"))
		*ppFunctionList = NULL;
	else
		*ppFunctionList = &list;
	if (lies("version"))
		list.version.major = 9;
	if (lies("nothing in it"))
		memset((char *)&list + sizeof(void *), 0, sizeof(list) - sizeof(void *));
	return CKR_OK;
}
