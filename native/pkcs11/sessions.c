/* sessions.c: opening, closing, logging in; what a session is, without asking the daemon. */
#include <string.h>

#include "call.h"
#include "operations.h"
#include "transport.h"

/* Notify is never called: the standard gives us nothing to say with it (CKN_SURRENDER is gone). */
CK_RV
C_OpenSession(CK_SLOT_ID slotID, CK_FLAGS flags, CK_VOID_PTR pApplication, CK_NOTIFY Notify,
    CK_SESSION_HANDLE_PTR phSession)
{
	CK_SESSION_HANDLE remote = 0;
	struct call call;

	(void)pApplication;
	(void)Notify;
	if (!call_begin(&call, CALL_OpenSession))
		return call.rv;
	call_need(&call, phSession);
	if ((flags & CKF_SERIAL_SESSION) == 0)
		call_fail(&call, CKR_SESSION_PARALLEL_NOT_SUPPORTED);
	call_put_ulong(&call, slotID);
	call_put_ulong(&call, flags);
	call_run(&call);
	call_get_ulong(&call, &remote);
	if (call.answered && !call.answer.failed && call.rv == CKR_OK)
		call_fail(&call, session_add(call.connection->application, remote, slotID, flags,
		    phSession));
	return call_end(&call);
}

/* Gone is gone, whatever the daemon says: it may be the daemon that is gone. */
CK_RV
C_CloseSession(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_CloseSession))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	session_drop(hSession);
	return call_end(&call);
}

CK_RV
C_CloseAllSessions(CK_SLOT_ID slotID)
{
	struct call call;

	if (!call_begin(&call, CALL_CloseAllSessions))
		return call.rv;
	call_put_ulong(&call, slotID);
	call_run(&call);
	if (call.rv == CKR_OK)
		sessions_drop_of(slotID);
	return call_end(&call);
}

/*
 * Programs ask this to learn whether a session still works, so the daemon must at least be
 * there.
 */
CK_RV
C_GetSessionInfo(CK_SESSION_HANDLE hSession, CK_SESSION_INFO_PTR pInfo)
{
	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	if (pInfo == NULL)
		return CKR_ARGUMENTS_BAD;
	transport_check();
	return session_info(hSession, pInfo);
}

static CK_RV
logged_in(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_RV rv)
{
	if (rv == CKR_OK && user != CKU_CONTEXT_SPECIFIC)
		session_logged_in(session, user);
	return rv;
}

/* A PIN that allows one operation means one that the daemon knows of. */
static CK_RV
before_login(CK_SESSION_HANDLE session, CK_USER_TYPE user)
{
	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	return user == CKU_CONTEXT_SPECIFIC ? operations_send_held(session) : CKR_OK;
}

CK_RV
C_Login(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen)
{
	struct call call;
	CK_RV rv = before_login(hSession, userType);

	if (rv != CKR_OK)
		return rv;
	if (!call_begin(&call, CALL_Login))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_ulong(&call, userType);
	call_put_bytes(&call, pPin, ulPinLen);
	call_run(&call);
	return logged_in(hSession, userType, call_end(&call));
}

CK_RV
C_LoginUser(CK_SESSION_HANDLE hSession, CK_USER_TYPE userType, CK_UTF8CHAR_PTR pPin,
    CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pUsername, CK_ULONG ulUsernameLen)
{
	struct call call;
	CK_RV rv = before_login(hSession, userType);

	if (rv != CKR_OK)
		return rv;
	if (!call_begin(&call, CALL_LoginUser))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_ulong(&call, userType);
	call_put_bytes(&call, pPin, ulPinLen);
	call_put_bytes(&call, pUsername, ulUsernameLen);
	call_run(&call);
	return logged_in(hSession, userType, call_end(&call));
}

CK_RV
C_Logout(CK_SESSION_HANDLE hSession)
{
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, CALL_Logout))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	rv = call_end(&call);
	if (rv == CKR_OK)
		session_logged_in(hSession, LOGGED_OUT);
	return rv;
}
