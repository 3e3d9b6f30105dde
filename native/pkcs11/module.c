/* module.c: the library itself: its life, its interfaces, its slots. */
#include <string.h>

#include "call.h"
#include "objects.h"
#include "platform.h"
#include "say.h"
#include "transport.h"

/* --- life ------------------------------------------------------------------------------------ */

/*
 * Ours are the system's locks, whatever the program wants: its own are for systems where threads
 * are not the system's, and we start none. So each combination that is well formed is fine.
 */
static CK_RV
check_arguments(const CK_C_INITIALIZE_ARGS *arguments)
{
	int given;

	if (arguments == NULL)
		return CKR_OK;
	if (arguments->pReserved != NULL)
		return CKR_ARGUMENTS_BAD;
	given = (arguments->CreateMutex != NULL) + (arguments->DestroyMutex != NULL) +
	    (arguments->LockMutex != NULL) + (arguments->UnlockMutex != NULL);
	return given == 0 || given == 4 ? CKR_OK : CKR_ARGUMENTS_BAD;
}

CK_RV
C_Initialize(CK_VOID_PTR pInitArgs)
{
	CK_RV rv = check_arguments(pInitArgs);

	if (rv != CKR_OK)
		return rv;
	module_enter();
	if (!transport_start())
		return CKR_CRYPTOKI_ALREADY_INITIALIZED;
	say_reset();
	state_reset_notes();
	objects_forget_habits();
	return CKR_OK;
}

/* `ssh -I` and others say nothing at all when a token has no key for them. */
static void
explain_empty_hands(void)
{
	if (state_searched_in_vain() && !say_has_spoken())
		say_plainly("this program was shown no key%s.", "",
		    "`keyholm list` lists what there is, `keyholm why` tells what was refused.");
}

CK_RV
C_Finalize(CK_VOID_PTR pReserved)
{
	if (pReserved != NULL)
		return CKR_ARGUMENTS_BAD;
	module_enter();
	if (!transport_stop())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	explain_empty_hands();
	return CKR_OK;
}

static void
fill(CK_UTF8CHAR *field, size_t width, const char *text)
{
	memset(field, ' ', width);
	memcpy(field, text, strlen(text));
}

#ifndef KEYHOLM_VERSION
#define KEYHOLM_VERSION 0
#endif

CK_RV
C_GetInfo(CK_INFO_PTR pInfo)
{
	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (pInfo == NULL)
		return CKR_ARGUMENTS_BAD;
	memset(pInfo, 0, sizeof(*pInfo));
	pInfo->cryptokiVersion = (CK_VERSION){3, 2};
	fill(pInfo->manufacturerID, sizeof(pInfo->manufacturerID), "keyholm");
	fill(pInfo->libraryDescription, sizeof(pInfo->libraryDescription), "keyholm");
	pInfo->libraryVersion.major = (CK_BYTE)(KEYHOLM_VERSION >> 24);
	pInfo->libraryVersion.minor = (CK_BYTE)(KEYHOLM_VERSION >> 16);
	return CKR_OK;
}

/* --- interfaces ------------------------------------------------------------------------------ */

#define INTERFACES 3

static CK_UTF8CHAR interface_name[] = "PKCS 11";

/* The newest first: it is the one for a program that does not ask for a version. */
static CK_INTERFACE interfaces[INTERFACES] = {
    {interface_name, &function_list_3_2, CKF_INTERFACE_FORK_SAFE},
    {interface_name, &function_list_3_0, CKF_INTERFACE_FORK_SAFE},
    {interface_name, &function_list_2_40, CKF_INTERFACE_FORK_SAFE},
};

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
	if (ppFunctionList == NULL)
		return CKR_ARGUMENTS_BAD;
	*ppFunctionList = &function_list_2_40;
	return CKR_OK;
}

CK_RV
C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
	CK_ULONG room;

	if (pulCount == NULL)
		return CKR_ARGUMENTS_BAD;
	room = *pulCount;
	*pulCount = INTERFACES;
	if (pInterfacesList == NULL)
		return CKR_OK;
	if (room < INTERFACES)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(pInterfacesList, interfaces, sizeof(interfaces));
	return CKR_OK;
}

static bool
is_wanted(const CK_INTERFACE *interface, const char *name, const CK_VERSION *version, CK_FLAGS flags)
{
	/* Each kind of list begins with its version. */
	const CK_VERSION *ours = interface->pFunctionList;

	if (name != NULL && strcmp(name, (const char *)interface->pInterfaceName) != 0)
		return false;
	if (version != NULL && (version->major != ours->major || version->minor != ours->minor))
		return false;
	return (interface->flags & flags) == flags;
}

/*
 * pkcs11-spy knows no call that came after 2.40, and of the newer lists it hands out ours instead
 * of its own: then it sees nothing of what the program does.
 */
static size_t
first_interface(const CK_VERSION *version)
{
	return version == NULL && platform_is_spied_on() ? INTERFACES - 1 : 0;
}

CK_RV
C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion,
    CK_INTERFACE_PTR_PTR ppInterface, CK_FLAGS flags)
{
	if (ppInterface == NULL)
		return CKR_ARGUMENTS_BAD;
	for (size_t n = first_interface(pVersion); n < INTERFACES; n++)
		if (is_wanted(&interfaces[n], (const char *)pInterfaceName, pVersion, flags)) {
			*ppInterface = &interfaces[n];
			return CKR_OK;
		}
	return CKR_FUNCTION_FAILED;
}

/* --- slots ----------------------------------------------------------------------------------- */

/* Without a daemon there are no slots, and that is no error: p11-kit loads us everywhere. */
CK_RV
C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR pSlotList, CK_ULONG_PTR pulCount)
{
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, CALL_GetSlotList))
		return call.rv;
	call_put_byte(&call, tokenPresent != CK_FALSE);
	call_put_ulong_room(&call, pSlotList, pulCount);
	call_run(&call);
	call_get_ulongs(&call, pSlotList, pulCount);
	rv = call_end(&call);
	if (call.absent) {
		*pulCount = 0;
		return CKR_OK;
	}
	if (rv == CKR_OK && *pulCount == 0)
		say_plainly("there is no token that this program may see%s.", "",
		    "`keyholm status` tells what there is.");
	return rv;
}

/*
 * Without a daemon nothing comes or goes. NSS then looks at the slots from time to time by
 * itself, and so finds a daemon that is started later.
 */
CK_RV
C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR pSlot, CK_VOID_PTR pReserved)
{
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, CALL_WaitForSlotEvent))
		return call.rv;
	call_need(&call, pSlot);
	if (pReserved != NULL)
		call_fail(&call, CKR_ARGUMENTS_BAD);
	call_put_ulong(&call, flags);
	call_run(&call);
	call_get_ulong(&call, pSlot);
	rv = call_end(&call);
	if (!call.absent)
		return rv;
	return (flags & CKF_DONT_BLOCK) != 0 ? CKR_NO_EVENT : CKR_FUNCTION_NOT_SUPPORTED;
}

/* --- random numbers -------------------------------------------------------------------------- */

#define RANDOM_AT_ONCE 65536

/* Fewer than were asked for must never look like success. */
static CK_RV
random_piece(CK_SESSION_HANDLE session, CK_BYTE *to, CK_ULONG length)
{
	CK_ULONG given = length;
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, CALL_GenerateRandom))
		return call.rv;
	call_put_session(&call, session);
	call_put_room(&call, to, &given);
	call_run(&call);
	call_get_bytes(&call, to, &given);
	rv = call_end(&call);
	return (rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL) && given != length ? CKR_DEVICE_ERROR :
	                                                                         rv;
}

CK_RV
C_GenerateRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pRandomData, CK_ULONG ulRandomLen)
{
	CK_RV rv;

	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (pRandomData == NULL)
		return CKR_ARGUMENTS_BAD;
	do {
		CK_ULONG piece = ulRandomLen < RANDOM_AT_ONCE ? ulRandomLen : RANDOM_AT_ONCE;

		rv = random_piece(hSession, pRandomData, piece);
		pRandomData += piece;
		ulRandomLen -= piece;
	} while (rv == CKR_OK && ulRandomLen > 0);
	return rv;
}

/* --- what PKCS#11 had once, or has for others ------------------------------------------------ */

static CK_RV
refuse(CK_SESSION_HANDLE session, CK_RV refusal)
{
	CK_SESSION_HANDLE remote;
	uint32_t application;

	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (!session_remote(session, &remote, &application))
		return CKR_SESSION_HANDLE_INVALID;
	return refusal;
}

CK_RV
C_GetFunctionStatus(CK_SESSION_HANDLE hSession)
{
	return refuse(hSession, CKR_FUNCTION_NOT_PARALLEL);
}

CK_RV
C_CancelFunction(CK_SESSION_HANDLE hSession)
{
	return refuse(hSession, CKR_FUNCTION_NOT_PARALLEL);
}

CK_RV
C_AsyncComplete(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName,
    CK_ASYNC_DATA_PTR pResult)
{
	(void)pFunctionName;
	(void)pResult;
	return refuse(hSession, CKR_SESSION_ASYNC_NOT_SUPPORTED);
}

CK_RV
C_AsyncGetID(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName, CK_ULONG_PTR pulID)
{
	(void)pFunctionName;
	(void)pulID;
	return refuse(hSession, CKR_SESSION_ASYNC_NOT_SUPPORTED);
}

CK_RV
C_AsyncJoin(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pFunctionName, CK_ULONG ulID,
    CK_BYTE_PTR pData, CK_ULONG ulData)
{
	(void)pFunctionName;
	(void)ulID;
	(void)pData;
	(void)ulData;
	return refuse(hSession, CKR_SESSION_ASYNC_NOT_SUPPORTED);
}
