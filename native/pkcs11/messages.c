/* messages.c: those calls of message-based cryptography (3.0) that are not mere marshalling. */
#include <stddef.h>

#include "call.h"
#include "operations.h"

static CK_RV
message_init(enum call_number number, enum message_kind kind, CK_FLAGS flag,
    CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, number))
		return call.rv;
	if (mechanism == NULL) { /* end what goes on */
		rv = call_end(&call);
		return rv != CKR_OK ? rv : operations_cancel(session, flag);
	}
	call_put_session(&call, session);
	call_put_mechanism(&call, mechanism);
	call_put_ulong(&call, key);
	call_run(&call);
	rv = call_end(&call);
	/* It tells how the parameters of the messages lie in the program's memory. */
	if (rv == CKR_OK)
		session_set_message_mechanism(session, kind, mechanism->mechanism);
	return rv;
}

CK_RV
C_MessageEncryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return message_init(CALL_MessageEncryptInit, MESSAGE_ENCRYPT, CKF_MESSAGE_ENCRYPT, hSession,
	    pMechanism, hKey);
}

CK_RV
C_MessageDecryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return message_init(CALL_MessageDecryptInit, MESSAGE_DECRYPT, CKF_MESSAGE_DECRYPT, hSession,
	    pMechanism, hKey);
}

CK_RV
C_MessageSignInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return message_init(CALL_MessageSignInit, MESSAGE_SIGN, CKF_MESSAGE_SIGN, hSession,
	    pMechanism, hKey);
}

CK_RV
C_MessageVerifyInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return message_init(CALL_MessageVerifyInit, MESSAGE_VERIFY, CKF_MESSAGE_VERIFY, hSession,
	    pMechanism, hKey);
}

/* Only the last part has a place for the length of the signature. */
CK_RV
C_SignMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	CK_ULONG none = 0;
	CK_ULONG *length = pulSignatureLen == NULL ? &none : pulSignatureLen;
	struct call call;

	if (!call_begin(&call, CALL_SignMessageNext))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_SIGN, pParameter, ulParameterLen);
	call_put_bytes(&call, pData, ulDataLen);
	call_put_byte(&call, pulSignatureLen != NULL);
	call_put_room(&call, pulSignatureLen == NULL ? NULL : pSignature, length);
	call_run(&call);
	call_get_message(&call, MESSAGE_SIGN, pParameter);
	call_get_bytes(&call, pulSignatureLen == NULL ? NULL : pSignature, length);
	return call_end(&call);
}
