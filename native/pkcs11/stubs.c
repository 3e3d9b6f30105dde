/* Made by native.generate.py from src/keyholm/wire/pkcs11/; do not edit. */
/* stubs.c: functions that are nothing but their arguments and results. */

#include "call.h"
#include "operations.h"

const struct call_form call_forms[CALLS] = {
    [CALL_Initialize] = {"C_Initialize", 0x1, "ayyay", ""},
    [CALL_Finalize] = {"C_Finalize", 0x2, "", ""},
    [CALL_GetInfo] = {"C_GetInfo", 0x3, "", "vsusv"},
    [CALL_GetSlotList] = {"C_GetSlotList", 0x4, "yfu", "au"},
    [CALL_GetSlotInfo] = {"C_GetSlotInfo", 0x5, "u", "ssuvv"},
    [CALL_GetTokenInfo] = {"C_GetTokenInfo", 0x6, "u", "ssssuuuuuuuuuuuvvs"},
    [CALL_GetMechanismList] = {"C_GetMechanismList", 0x7, "ufu", "au"},
    [CALL_GetMechanismInfo] = {"C_GetMechanismInfo", 0x8, "uu", "uuu"},
    [CALL_OpenSession] = {"C_OpenSession", 0xa, "uu", "u"},
    [CALL_CloseSession] = {"C_CloseSession", 0xb, "u", ""},
    [CALL_CloseAllSessions] = {"C_CloseAllSessions", 0xc, "u", ""},
    [CALL_GetSessionInfo] = {"C_GetSessionInfo", 0xd, "u", "uuuu"},
    [CALL_InitPIN] = {"C_InitPIN", 0xe, "uay", ""},
    [CALL_SetPIN] = {"C_SetPIN", 0xf, "uayay", ""},
    [CALL_GetOperationState] = {"C_GetOperationState", 0x10, "ufy", "ay"},
    [CALL_SetOperationState] = {"C_SetOperationState", 0x11, "uayuu", ""},
    [CALL_Login] = {"C_Login", 0x12, "uuay", ""},
    [CALL_Logout] = {"C_Logout", 0x13, "u", ""},
    [CALL_CreateObject] = {"C_CreateObject", 0x14, "uaA", "u"},
    [CALL_CopyObject] = {"C_CopyObject", 0x15, "uuaA", "u"},
    [CALL_DestroyObject] = {"C_DestroyObject", 0x16, "uu", ""},
    [CALL_GetObjectSize] = {"C_GetObjectSize", 0x17, "uu", "u"},
    [CALL_GetAttributeValue] = {"C_GetAttributeValue", 0x18, "uufA", "aAu"},
    [CALL_SetAttributeValue] = {"C_SetAttributeValue", 0x19, "uuaA", ""},
    [CALL_FindObjectsInit] = {"C_FindObjectsInit", 0x1a, "uaA", ""},
    [CALL_FindObjects] = {"C_FindObjects", 0x1b, "ufu", "au"},
    [CALL_FindObjectsFinal] = {"C_FindObjectsFinal", 0x1c, "u", ""},
    [CALL_EncryptInit] = {"C_EncryptInit", 0x1d, "uMu", ""},
    [CALL_Encrypt] = {"C_Encrypt", 0x1e, "uayfy", "ay"},
    [CALL_EncryptUpdate] = {"C_EncryptUpdate", 0x1f, "uayfy", "ay"},
    [CALL_EncryptFinal] = {"C_EncryptFinal", 0x20, "ufy", "ay"},
    [CALL_DecryptInit] = {"C_DecryptInit", 0x21, "uMu", ""},
    [CALL_Decrypt] = {"C_Decrypt", 0x22, "uayfy", "ay"},
    [CALL_DecryptUpdate] = {"C_DecryptUpdate", 0x23, "uayfy", "ay"},
    [CALL_DecryptFinal] = {"C_DecryptFinal", 0x24, "ufy", "ay"},
    [CALL_DigestInit] = {"C_DigestInit", 0x25, "uM", ""},
    [CALL_Digest] = {"C_Digest", 0x26, "uayfy", "ay"},
    [CALL_DigestUpdate] = {"C_DigestUpdate", 0x27, "uay", ""},
    [CALL_DigestKey] = {"C_DigestKey", 0x28, "uu", ""},
    [CALL_DigestFinal] = {"C_DigestFinal", 0x29, "ufy", "ay"},
    [CALL_SignInit] = {"C_SignInit", 0x2a, "uMu", ""},
    [CALL_Sign] = {"C_Sign", 0x2b, "uayfy", "ay"},
    [CALL_SignUpdate] = {"C_SignUpdate", 0x2c, "uay", ""},
    [CALL_SignFinal] = {"C_SignFinal", 0x2d, "ufy", "ay"},
    [CALL_SignRecoverInit] = {"C_SignRecoverInit", 0x2e, "uMu", ""},
    [CALL_SignRecover] = {"C_SignRecover", 0x2f, "uayfy", "ay"},
    [CALL_VerifyInit] = {"C_VerifyInit", 0x30, "uMu", ""},
    [CALL_Verify] = {"C_Verify", 0x31, "uayay", ""},
    [CALL_VerifyUpdate] = {"C_VerifyUpdate", 0x32, "uay", ""},
    [CALL_VerifyFinal] = {"C_VerifyFinal", 0x33, "uay", ""},
    [CALL_VerifyRecoverInit] = {"C_VerifyRecoverInit", 0x34, "uMu", ""},
    [CALL_VerifyRecover] = {"C_VerifyRecover", 0x35, "uayfy", "ay"},
    [CALL_DigestEncryptUpdate] = {"C_DigestEncryptUpdate", 0x36, "uayfy", "ay"},
    [CALL_DecryptDigestUpdate] = {"C_DecryptDigestUpdate", 0x37, "uayfy", "ay"},
    [CALL_SignEncryptUpdate] = {"C_SignEncryptUpdate", 0x38, "uayfy", "ay"},
    [CALL_DecryptVerifyUpdate] = {"C_DecryptVerifyUpdate", 0x39, "uayfy", "ay"},
    [CALL_GenerateKey] = {"C_GenerateKey", 0x3a, "uMaA", "u"},
    [CALL_GenerateKeyPair] = {"C_GenerateKeyPair", 0x3b, "uMaAaA", "uu"},
    [CALL_WrapKey] = {"C_WrapKey", 0x3c, "uMuufy", "ay"},
    [CALL_UnwrapKey] = {"C_UnwrapKey", 0x3d, "uMuayaA", "u"},
    [CALL_DeriveKey] = {"C_DeriveKey", 0x3e, "uMuaA", "u"},
    [CALL_SeedRandom] = {"C_SeedRandom", 0x3f, "uay", ""},
    [CALL_GenerateRandom] = {"C_GenerateRandom", 0x40, "ufy", "ay"},
    [CALL_WaitForSlotEvent] = {"C_WaitForSlotEvent", 0x41, "u", "u"},
    [CALL_LoginUser] = {"C_LoginUser", 0x42, "uuayay", ""},
    [CALL_SessionCancel] = {"C_SessionCancel", 0x43, "uu", ""},
    [CALL_MessageEncryptInit] = {"C_MessageEncryptInit", 0x44, "uMu", ""},
    [CALL_MessageEncryptFinal] = {"C_MessageEncryptFinal", 0x48, "u", ""},
    [CALL_MessageDecryptInit] = {"C_MessageDecryptInit", 0x49, "uMu", ""},
    [CALL_MessageDecryptFinal] = {"C_MessageDecryptFinal", 0x4d, "u", ""},
    [CALL_MessageSignInit] = {"C_MessageSignInit", 0x4e, "uMu", ""},
    [CALL_MessageSignFinal] = {"C_MessageSignFinal", 0x52, "u", ""},
    [CALL_MessageVerifyInit] = {"C_MessageVerifyInit", 0x53, "uMu", ""},
    [CALL_MessageVerifyFinal] = {"C_MessageVerifyFinal", 0x57, "u", ""},
    [CALL_InitToken2] = {"C_InitToken", 0x58, "uays", ""},
    [CALL_SignOnce] = {"C_SignOnce", 0x10001, "uMuayfy", "ay"},
    [CALL_VerifyOnce] = {"C_VerifyOnce", 0x10002, "uMuayay", ""},
    [CALL_EncryptOnce] = {"C_EncryptOnce", 0x10003, "uMuayfy", "ay"},
    [CALL_DecryptOnce] = {"C_DecryptOnce", 0x10004, "uMuayfy", "ay"},
    [CALL_DigestOnce] = {"C_DigestOnce", 0x10005, "uMayfy", "ay"},
    [CALL_Begin] = {"C_Begin", 0x10010, "uuMu", "uu"},
    [CALL_FindObjectsWith] = {"C_FindObjectsWith", 0x10020, "ufuau", "auaA"},
    [CALL_EncapsulateKey] = {"C_EncapsulateKey", 0x10040, "uMuaAfy", "ayu"},
    [CALL_DecapsulateKey] = {"C_DecapsulateKey", 0x10041, "uMuaAay", "u"},
    [CALL_VerifySignatureInit] = {"C_VerifySignatureInit", 0x10042, "uMuay", ""},
    [CALL_VerifySignature] = {"C_VerifySignature", 0x10043, "uay", ""},
    [CALL_VerifySignatureUpdate] = {"C_VerifySignatureUpdate", 0x10044, "uay", ""},
    [CALL_VerifySignatureFinal] = {"C_VerifySignatureFinal", 0x10045, "u", ""},
    [CALL_GetSessionValidationFlags] = {"C_GetSessionValidationFlags", 0x10046, "uu", "u"},
    [CALL_WrapKeyAuthenticated] = {"C_WrapKeyAuthenticated", 0x10047, "uMuuayfy", "Qay"},
    [CALL_UnwrapKeyAuthenticated] = {"C_UnwrapKeyAuthenticated", 0x10048, "uMuayaAay", "u"},
    [CALL_EncryptMessage] = {"C_EncryptMessage", 0x10060, "uQayayfy", "Qay"},
    [CALL_EncryptMessageBegin] = {"C_EncryptMessageBegin", 0x10061, "uQay", "Q"},
    [CALL_EncryptMessageNext] = {"C_EncryptMessageNext", 0x10062, "uQayfyu", "Qay"},
    [CALL_DecryptMessage] = {"C_DecryptMessage", 0x10063, "uQayayfy", "ay"},
    [CALL_DecryptMessageBegin] = {"C_DecryptMessageBegin", 0x10064, "uQay", ""},
    [CALL_DecryptMessageNext] = {"C_DecryptMessageNext", 0x10065, "uQayfyu", "ay"},
    [CALL_SignMessage] = {"C_SignMessage", 0x10066, "uQayfy", "Qay"},
    [CALL_SignMessageBegin] = {"C_SignMessageBegin", 0x10067, "uQ", "Q"},
    [CALL_SignMessageNext] = {"C_SignMessageNext", 0x10068, "uQayyfy", "Qay"},
    [CALL_VerifyMessage] = {"C_VerifyMessage", 0x10069, "uQayay", ""},
    [CALL_VerifyMessageBegin] = {"C_VerifyMessageBegin", 0x1006a, "uQ", ""},
    [CALL_VerifyMessageNext] = {"C_VerifyMessageNext", 0x1006b, "uQayay", ""},
};

CK_RV
C_GetSlotInfo(CK_SLOT_ID slotID, CK_SLOT_INFO_PTR pInfo)
{
	struct call call;

	if (!call_begin(&call, CALL_GetSlotInfo))
		return call.rv;
	call_need(&call, pInfo);
	call_put_ulong(&call, slotID);
	call_run(&call);
	if (call.answered) {
		call_get_spaced(&call, pInfo->slotDescription, 64);
		call_get_spaced(&call, pInfo->manufacturerID, 32);
		call_get_ulong(&call, &pInfo->flags);
		call_get_version(&call, &pInfo->hardwareVersion);
		call_get_version(&call, &pInfo->firmwareVersion);
	}
	return call_end(&call);
}

CK_RV
C_GetTokenInfo(CK_SLOT_ID slotID, CK_TOKEN_INFO_PTR pInfo)
{
	struct call call;

	if (!call_begin(&call, CALL_GetTokenInfo))
		return call.rv;
	call_need(&call, pInfo);
	call_put_ulong(&call, slotID);
	call_run(&call);
	if (call.answered) {
		call_get_spaced(&call, pInfo->label, 32);
		call_get_spaced(&call, pInfo->manufacturerID, 32);
		call_get_spaced(&call, pInfo->model, 16);
		call_get_spaced(&call, pInfo->serialNumber, 16);
		call_get_ulong(&call, &pInfo->flags);
		call_get_ulong(&call, &pInfo->ulMaxSessionCount);
		call_get_ulong(&call, &pInfo->ulSessionCount);
		call_get_ulong(&call, &pInfo->ulMaxRwSessionCount);
		call_get_ulong(&call, &pInfo->ulRwSessionCount);
		call_get_ulong(&call, &pInfo->ulMaxPinLen);
		call_get_ulong(&call, &pInfo->ulMinPinLen);
		call_get_ulong(&call, &pInfo->ulTotalPublicMemory);
		call_get_ulong(&call, &pInfo->ulFreePublicMemory);
		call_get_ulong(&call, &pInfo->ulTotalPrivateMemory);
		call_get_ulong(&call, &pInfo->ulFreePrivateMemory);
		call_get_version(&call, &pInfo->hardwareVersion);
		call_get_version(&call, &pInfo->firmwareVersion);
		call_get_spaced(&call, pInfo->utcTime, 16);
	}
	return call_end(&call);
}

CK_RV
C_GetMechanismList(CK_SLOT_ID slotID, CK_MECHANISM_TYPE_PTR pMechanismList, CK_ULONG_PTR pulCount)
{
	struct call call;

	if (!call_begin(&call, CALL_GetMechanismList))
		return call.rv;
	call_put_ulong(&call, slotID);
	call_put_ulong_room(&call, pMechanismList, pulCount);
	call_run(&call);
	call_get_ulongs(&call, pMechanismList, pulCount);
	return call_end(&call);
}

CK_RV
C_GetMechanismInfo(CK_SLOT_ID slotID, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR pInfo)
{
	struct call call;

	if (!call_begin(&call, CALL_GetMechanismInfo))
		return call.rv;
	call_need(&call, pInfo);
	call_put_ulong(&call, slotID);
	call_put_ulong(&call, type);
	call_run(&call);
	if (call.answered) {
		call_get_ulong(&call, &pInfo->ulMinKeySize);
		call_get_ulong(&call, &pInfo->ulMaxKeySize);
		call_get_ulong(&call, &pInfo->flags);
	}
	return call_end(&call);
}

CK_RV
C_InitToken(CK_SLOT_ID slotID, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen, CK_UTF8CHAR_PTR pLabel)
{
	struct call call;

	if (!call_begin(&call, CALL_InitToken2))
		return call.rv;
	call_put_ulong(&call, slotID);
	call_put_bytes(&call, pPin, ulPinLen);
	call_put_spaced(&call, pLabel, 32);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_InitPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pPin, CK_ULONG ulPinLen)
{
	struct call call;

	if (!call_begin(&call, CALL_InitPIN))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pPin, ulPinLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_SetPIN(CK_SESSION_HANDLE hSession, CK_UTF8CHAR_PTR pOldPin, CK_ULONG ulOldLen,
    CK_UTF8CHAR_PTR pNewPin, CK_ULONG ulNewLen)
{
	struct call call;

	if (!call_begin(&call, CALL_SetPIN))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pOldPin, ulOldLen);
	call_put_bytes(&call, pNewPin, ulNewLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_CreateObject(CK_SESSION_HANDLE hSession, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount,
    CK_OBJECT_HANDLE_PTR phObject)
{
	struct call call;

	if (!call_begin(&call, CALL_CreateObject))
		return call.rv;
	call_need(&call, phObject);
	call_put_session(&call, hSession);
	call_put_template(&call, pTemplate, ulCount);
	call_run(&call);
	call_get_ulong(&call, phObject);
	if (call.rv == CKR_OK)
		state_note_object();
	return call_end(&call);
}

CK_RV
C_CopyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ATTRIBUTE_PTR pTemplate,
    CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phNewObject)
{
	struct call call;

	if (!call_begin(&call, CALL_CopyObject))
		return call.rv;
	call_need(&call, phNewObject);
	call_put_session(&call, hSession);
	call_put_ulong(&call, hObject);
	call_put_template(&call, pTemplate, ulCount);
	call_run(&call);
	call_get_ulong(&call, phNewObject);
	if (call.rv == CKR_OK)
		state_note_object();
	return call_end(&call);
}

CK_RV
C_DestroyObject(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject)
{
	struct call call;

	if (!call_begin(&call, CALL_DestroyObject))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_ulong(&call, hObject);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_GetObjectSize(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject, CK_ULONG_PTR pulSize)
{
	struct call call;

	if (!call_begin(&call, CALL_GetObjectSize))
		return call.rv;
	call_need(&call, pulSize);
	call_put_session(&call, hSession);
	call_put_ulong(&call, hObject);
	call_run(&call);
	call_get_ulong(&call, pulSize);
	return call_end(&call);
}

CK_RV
C_SetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	struct call call;

	if (!call_begin(&call, CALL_SetAttributeValue))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_ulong(&call, hObject);
	call_put_template(&call, pTemplate, ulCount);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_FindObjectsFinal(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_FindObjectsFinal))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_SignRecoverInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	struct call call;

	if (!call_begin(&call, CALL_SignRecoverInit))
		return call.rv;
	if (pMechanism == NULL) { /* end what goes on */
		(void)call_end(&call);
		return operations_cancel(hSession, CKF_SIGN_RECOVER);
	}
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hKey);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_SignRecover(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
    CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	struct call call;

	if (!call_begin(&call, CALL_SignRecover))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pData, ulDataLen);
	call_put_room(&call, pSignature, pulSignatureLen);
	call_run(&call);
	call_get_bytes(&call, pSignature, pulSignatureLen);
	return call_end(&call);
}

CK_RV
C_VerifyRecoverInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifyRecoverInit))
		return call.rv;
	if (pMechanism == NULL) { /* end what goes on */
		(void)call_end(&call);
		return operations_cancel(hSession, CKF_VERIFY_RECOVER);
	}
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hKey);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifyRecover(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen,
    CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifyRecover))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pSignature, ulSignatureLen);
	call_put_room(&call, pData, pulDataLen);
	call_run(&call);
	call_get_bytes(&call, pData, pulDataLen);
	return call_end(&call);
}

CK_RV
C_GenerateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_ATTRIBUTE_PTR pTemplate,
    CK_ULONG ulCount, CK_OBJECT_HANDLE_PTR phKey)
{
	struct call call;

	if (!call_begin(&call, CALL_GenerateKey))
		return call.rv;
	call_need(&call, phKey);
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_template(&call, pTemplate, ulCount);
	call_run(&call);
	call_get_ulong(&call, phKey);
	if (call.rv == CKR_OK)
		state_note_object();
	return call_end(&call);
}

CK_RV
C_GenerateKeyPair(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_ATTRIBUTE_PTR pPublicKeyTemplate, CK_ULONG ulPublicKeyAttributeCount,
    CK_ATTRIBUTE_PTR pPrivateKeyTemplate, CK_ULONG ulPrivateKeyAttributeCount,
    CK_OBJECT_HANDLE_PTR phPublicKey, CK_OBJECT_HANDLE_PTR phPrivateKey)
{
	struct call call;

	if (!call_begin(&call, CALL_GenerateKeyPair))
		return call.rv;
	call_need(&call, phPublicKey);
	call_need(&call, phPrivateKey);
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_template(&call, pPublicKeyTemplate, ulPublicKeyAttributeCount);
	call_put_template(&call, pPrivateKeyTemplate, ulPrivateKeyAttributeCount);
	call_run(&call);
	call_get_ulong(&call, phPublicKey);
	call_get_ulong(&call, phPrivateKey);
	if (call.rv == CKR_OK)
		state_note_object();
	return call_end(&call);
}

CK_RV
C_WrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hWrappingKey,
    CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen)
{
	struct call call;

	if (!call_begin(&call, CALL_WrapKey))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hWrappingKey);
	call_put_ulong(&call, hKey);
	call_put_room(&call, pWrappedKey, pulWrappedKeyLen);
	call_run(&call);
	call_get_bytes(&call, pWrappedKey, pulWrappedKeyLen);
	return call_end(&call);
}

CK_RV
C_UnwrapKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey, CK_ULONG ulWrappedKeyLen,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey)
{
	struct call call;

	if (!call_begin(&call, CALL_UnwrapKey))
		return call.rv;
	call_need(&call, phKey);
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hUnwrappingKey);
	call_put_bytes(&call, pWrappedKey, ulWrappedKeyLen);
	call_put_template(&call, pTemplate, ulAttributeCount);
	call_run(&call);
	call_get_ulong(&call, phKey);
	return call_end(&call);
}

CK_RV
C_DeriveKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hBaseKey,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_OBJECT_HANDLE_PTR phKey)
{
	struct call call;

	if (!call_begin(&call, CALL_DeriveKey))
		return call.rv;
	call_need(&call, phKey);
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hBaseKey);
	call_put_template(&call, pTemplate, ulAttributeCount);
	call_run(&call);
	call_get_ulong(&call, phKey);
	return call_end(&call);
}

CK_RV
C_SeedRandom(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSeed, CK_ULONG ulSeedLen)
{
	struct call call;

	if (!call_begin(&call, CALL_SeedRandom))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pSeed, ulSeedLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_EncryptMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pPlaintext,
    CK_ULONG ulPlaintextLen, CK_BYTE_PTR pCiphertext, CK_ULONG_PTR pulCiphertextLen)
{
	struct call call;

	if (!call_begin(&call, CALL_EncryptMessage))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_ENCRYPT, pParameter, ulParameterLen);
	call_put_bytes(&call, pAssociatedData, ulAssociatedDataLen);
	call_put_bytes(&call, pPlaintext, ulPlaintextLen);
	call_put_room(&call, pCiphertext, pulCiphertextLen);
	call_run(&call);
	call_get_message(&call, MESSAGE_ENCRYPT, pParameter);
	call_get_bytes(&call, pCiphertext, pulCiphertextLen);
	return call_end(&call);
}

CK_RV
C_EncryptMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen)
{
	struct call call;

	if (!call_begin(&call, CALL_EncryptMessageBegin))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_ENCRYPT, pParameter, ulParameterLen);
	call_put_bytes(&call, pAssociatedData, ulAssociatedDataLen);
	call_run(&call);
	call_get_message(&call, MESSAGE_ENCRYPT, pParameter);
	return call_end(&call);
}

CK_RV
C_EncryptMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pPlaintextPart, CK_ULONG ulPlaintextPartLen, CK_BYTE_PTR pCiphertextPart,
    CK_ULONG_PTR pulCiphertextPartLen, CK_FLAGS flags)
{
	struct call call;

	if (!call_begin(&call, CALL_EncryptMessageNext))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_ENCRYPT, pParameter, ulParameterLen);
	call_put_bytes(&call, pPlaintextPart, ulPlaintextPartLen);
	call_put_room(&call, pCiphertextPart, pulCiphertextPartLen);
	call_put_ulong(&call, flags);
	call_run(&call);
	call_get_message(&call, MESSAGE_ENCRYPT, pParameter);
	call_get_bytes(&call, pCiphertextPart, pulCiphertextPartLen);
	return call_end(&call);
}

CK_RV
C_MessageEncryptFinal(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_MessageEncryptFinal))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_DecryptMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pCiphertext,
    CK_ULONG ulCiphertextLen, CK_BYTE_PTR pPlaintext, CK_ULONG_PTR pulPlaintextLen)
{
	struct call call;

	if (!call_begin(&call, CALL_DecryptMessage))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_DECRYPT, pParameter, ulParameterLen);
	call_put_bytes(&call, pAssociatedData, ulAssociatedDataLen);
	call_put_bytes(&call, pCiphertext, ulCiphertextLen);
	call_put_room(&call, pPlaintext, pulPlaintextLen);
	call_run(&call);
	call_get_bytes(&call, pPlaintext, pulPlaintextLen);
	return call_end(&call);
}

CK_RV
C_DecryptMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pAssociatedData, CK_ULONG ulAssociatedDataLen)
{
	struct call call;

	if (!call_begin(&call, CALL_DecryptMessageBegin))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_DECRYPT, pParameter, ulParameterLen);
	call_put_bytes(&call, pAssociatedData, ulAssociatedDataLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_DecryptMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pCiphertextPart, CK_ULONG ulCiphertextPartLen, CK_BYTE_PTR pPlaintextPart,
    CK_ULONG_PTR pulPlaintextPartLen, CK_FLAGS flags)
{
	struct call call;

	if (!call_begin(&call, CALL_DecryptMessageNext))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_DECRYPT, pParameter, ulParameterLen);
	call_put_bytes(&call, pCiphertextPart, ulCiphertextPartLen);
	call_put_room(&call, pPlaintextPart, pulPlaintextPartLen);
	call_put_ulong(&call, flags);
	call_run(&call);
	call_get_bytes(&call, pPlaintextPart, pulPlaintextPartLen);
	return call_end(&call);
}

CK_RV
C_MessageDecryptFinal(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_MessageDecryptFinal))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_SignMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	struct call call;

	if (!call_begin(&call, CALL_SignMessage))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_SIGN, pParameter, ulParameterLen);
	call_put_bytes(&call, pData, ulDataLen);
	call_put_room(&call, pSignature, pulSignatureLen);
	call_run(&call);
	call_get_message(&call, MESSAGE_SIGN, pParameter);
	call_get_bytes(&call, pSignature, pulSignatureLen);
	return call_end(&call);
}

CK_RV
C_SignMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen)
{
	struct call call;

	if (!call_begin(&call, CALL_SignMessageBegin))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_SIGN, pParameter, ulParameterLen);
	call_run(&call);
	call_get_message(&call, MESSAGE_SIGN, pParameter);
	return call_end(&call);
}

CK_RV
C_MessageSignFinal(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_MessageSignFinal))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifyMessage(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifyMessage))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_VERIFY, pParameter, ulParameterLen);
	call_put_bytes(&call, pData, ulDataLen);
	call_put_bytes(&call, pSignature, ulSignatureLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifyMessageBegin(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifyMessageBegin))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_VERIFY, pParameter, ulParameterLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifyMessageNext(CK_SESSION_HANDLE hSession, CK_VOID_PTR pParameter, CK_ULONG ulParameterLen,
    CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifyMessageNext))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_message(&call, MESSAGE_VERIFY, pParameter, ulParameterLen);
	call_put_bytes(&call, pData, ulDataLen);
	call_put_bytes(&call, pSignature, ulSignatureLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_MessageVerifyFinal(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_MessageVerifyFinal))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_EncapsulateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_OBJECT_HANDLE hPublicKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount,
    CK_BYTE_PTR pCiphertext, CK_ULONG_PTR pulCiphertextLen, CK_OBJECT_HANDLE_PTR phKey)
{
	struct call call;

	if (!call_begin(&call, CALL_EncapsulateKey))
		return call.rv;
	call_need(&call, phKey);
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hPublicKey);
	call_put_template(&call, pTemplate, ulAttributeCount);
	call_put_room(&call, pCiphertext, pulCiphertextLen);
	call_run(&call);
	call_get_bytes(&call, pCiphertext, pulCiphertextLen);
	call_get_ulong(&call, phKey);
	return call_end(&call);
}

CK_RV
C_DecapsulateKey(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_OBJECT_HANDLE hPrivateKey, CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount,
    CK_BYTE_PTR pCiphertext, CK_ULONG ulCiphertextLen, CK_OBJECT_HANDLE_PTR phKey)
{
	struct call call;

	if (!call_begin(&call, CALL_DecapsulateKey))
		return call.rv;
	call_need(&call, phKey);
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hPrivateKey);
	call_put_template(&call, pTemplate, ulAttributeCount);
	call_put_bytes(&call, pCiphertext, ulCiphertextLen);
	call_run(&call);
	call_get_ulong(&call, phKey);
	return call_end(&call);
}

CK_RV
C_VerifySignatureInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifySignatureInit))
		return call.rv;
	if (pMechanism == NULL) { /* end what goes on */
		(void)call_end(&call);
		return operations_cancel(hSession, CKF_VERIFY);
	}
	call_put_session(&call, hSession);
	call_put_mechanism(&call, pMechanism);
	call_put_ulong(&call, hKey);
	call_put_bytes(&call, pSignature, ulSignatureLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifySignature(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifySignature))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pData, ulDataLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifySignatureUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifySignatureUpdate))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pPart, ulPartLen);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_VerifySignatureFinal(CK_SESSION_HANDLE hSession)
{
	struct call call;

	if (!call_begin(&call, CALL_VerifySignatureFinal))
		return call.rv;
	call_put_session(&call, hSession);
	call_run(&call);
	return call_end(&call);
}

CK_RV
C_GetSessionValidationFlags(CK_SESSION_HANDLE hSession, CK_SESSION_VALIDATION_FLAGS_TYPE type,
    CK_FLAGS *pFlags)
{
	struct call call;

	if (!call_begin(&call, CALL_GetSessionValidationFlags))
		return call.rv;
	call_need(&call, pFlags);
	call_put_session(&call, hSession);
	call_put_ulong(&call, type);
	call_run(&call);
	call_get_ulong(&call, pFlags);
	return call_end(&call);
}

CK_RV
C_WrapKeyAuthenticated(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_OBJECT_HANDLE hWrappingKey, CK_OBJECT_HANDLE hKey, CK_BYTE_PTR pAssociatedData,
    CK_ULONG ulAssociatedDataLen, CK_BYTE_PTR pWrappedKey, CK_ULONG_PTR pulWrappedKeyLen)
{
	struct call call;

	if (!call_begin(&call, CALL_WrapKeyAuthenticated))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_wrap_mechanism(&call, pMechanism);
	call_put_ulong(&call, hWrappingKey);
	call_put_ulong(&call, hKey);
	call_put_bytes(&call, pAssociatedData, ulAssociatedDataLen);
	call_put_room(&call, pWrappedKey, pulWrappedKeyLen);
	call_run(&call);
	call_get_wrap_parameter(&call, pMechanism);
	call_get_bytes(&call, pWrappedKey, pulWrappedKeyLen);
	return call_end(&call);
}

CK_RV
C_UnwrapKeyAuthenticated(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism,
    CK_OBJECT_HANDLE hUnwrappingKey, CK_BYTE_PTR pWrappedKey, CK_ULONG ulWrappedKeyLen,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulAttributeCount, CK_BYTE_PTR pAssociatedData,
    CK_ULONG ulAssociatedDataLen, CK_OBJECT_HANDLE_PTR phKey)
{
	struct call call;

	if (!call_begin(&call, CALL_UnwrapKeyAuthenticated))
		return call.rv;
	call_need(&call, phKey);
	call_put_session(&call, hSession);
	call_put_wrap_mechanism(&call, pMechanism);
	call_put_ulong(&call, hUnwrappingKey);
	call_put_bytes(&call, pWrappedKey, ulWrappedKeyLen);
	call_put_template(&call, pTemplate, ulAttributeCount);
	call_put_bytes(&call, pAssociatedData, ulAssociatedDataLen);
	call_run(&call);
	call_get_ulong(&call, phKey);
	return call_end(&call);
}

CK_FUNCTION_LIST function_list_2_40 = {
    {2, 40},
    C_Initialize,
    C_Finalize,
    C_GetInfo,
    C_GetFunctionList,
    C_GetSlotList,
    C_GetSlotInfo,
    C_GetTokenInfo,
    C_GetMechanismList,
    C_GetMechanismInfo,
    C_InitToken,
    C_InitPIN,
    C_SetPIN,
    C_OpenSession,
    C_CloseSession,
    C_CloseAllSessions,
    C_GetSessionInfo,
    C_GetOperationState,
    C_SetOperationState,
    C_Login,
    C_Logout,
    C_CreateObject,
    C_CopyObject,
    C_DestroyObject,
    C_GetObjectSize,
    C_GetAttributeValue,
    C_SetAttributeValue,
    C_FindObjectsInit,
    C_FindObjects,
    C_FindObjectsFinal,
    C_EncryptInit,
    C_Encrypt,
    C_EncryptUpdate,
    C_EncryptFinal,
    C_DecryptInit,
    C_Decrypt,
    C_DecryptUpdate,
    C_DecryptFinal,
    C_DigestInit,
    C_Digest,
    C_DigestUpdate,
    C_DigestKey,
    C_DigestFinal,
    C_SignInit,
    C_Sign,
    C_SignUpdate,
    C_SignFinal,
    C_SignRecoverInit,
    C_SignRecover,
    C_VerifyInit,
    C_Verify,
    C_VerifyUpdate,
    C_VerifyFinal,
    C_VerifyRecoverInit,
    C_VerifyRecover,
    C_DigestEncryptUpdate,
    C_DecryptDigestUpdate,
    C_SignEncryptUpdate,
    C_DecryptVerifyUpdate,
    C_GenerateKey,
    C_GenerateKeyPair,
    C_WrapKey,
    C_UnwrapKey,
    C_DeriveKey,
    C_SeedRandom,
    C_GenerateRandom,
    C_GetFunctionStatus,
    C_CancelFunction,
    C_WaitForSlotEvent,
};

CK_FUNCTION_LIST_3_0 function_list_3_0 = {
    {3, 0},
    C_Initialize,
    C_Finalize,
    C_GetInfo,
    C_GetFunctionList,
    C_GetSlotList,
    C_GetSlotInfo,
    C_GetTokenInfo,
    C_GetMechanismList,
    C_GetMechanismInfo,
    C_InitToken,
    C_InitPIN,
    C_SetPIN,
    C_OpenSession,
    C_CloseSession,
    C_CloseAllSessions,
    C_GetSessionInfo,
    C_GetOperationState,
    C_SetOperationState,
    C_Login,
    C_Logout,
    C_CreateObject,
    C_CopyObject,
    C_DestroyObject,
    C_GetObjectSize,
    C_GetAttributeValue,
    C_SetAttributeValue,
    C_FindObjectsInit,
    C_FindObjects,
    C_FindObjectsFinal,
    C_EncryptInit,
    C_Encrypt,
    C_EncryptUpdate,
    C_EncryptFinal,
    C_DecryptInit,
    C_Decrypt,
    C_DecryptUpdate,
    C_DecryptFinal,
    C_DigestInit,
    C_Digest,
    C_DigestUpdate,
    C_DigestKey,
    C_DigestFinal,
    C_SignInit,
    C_Sign,
    C_SignUpdate,
    C_SignFinal,
    C_SignRecoverInit,
    C_SignRecover,
    C_VerifyInit,
    C_Verify,
    C_VerifyUpdate,
    C_VerifyFinal,
    C_VerifyRecoverInit,
    C_VerifyRecover,
    C_DigestEncryptUpdate,
    C_DecryptDigestUpdate,
    C_SignEncryptUpdate,
    C_DecryptVerifyUpdate,
    C_GenerateKey,
    C_GenerateKeyPair,
    C_WrapKey,
    C_UnwrapKey,
    C_DeriveKey,
    C_SeedRandom,
    C_GenerateRandom,
    C_GetFunctionStatus,
    C_CancelFunction,
    C_WaitForSlotEvent,
    C_GetInterfaceList,
    C_GetInterface,
    C_LoginUser,
    C_SessionCancel,
    C_MessageEncryptInit,
    C_EncryptMessage,
    C_EncryptMessageBegin,
    C_EncryptMessageNext,
    C_MessageEncryptFinal,
    C_MessageDecryptInit,
    C_DecryptMessage,
    C_DecryptMessageBegin,
    C_DecryptMessageNext,
    C_MessageDecryptFinal,
    C_MessageSignInit,
    C_SignMessage,
    C_SignMessageBegin,
    C_SignMessageNext,
    C_MessageSignFinal,
    C_MessageVerifyInit,
    C_VerifyMessage,
    C_VerifyMessageBegin,
    C_VerifyMessageNext,
    C_MessageVerifyFinal,
};

CK_FUNCTION_LIST_3_2 function_list_3_2 = {
    {3, 2},
    C_Initialize,
    C_Finalize,
    C_GetInfo,
    C_GetFunctionList,
    C_GetSlotList,
    C_GetSlotInfo,
    C_GetTokenInfo,
    C_GetMechanismList,
    C_GetMechanismInfo,
    C_InitToken,
    C_InitPIN,
    C_SetPIN,
    C_OpenSession,
    C_CloseSession,
    C_CloseAllSessions,
    C_GetSessionInfo,
    C_GetOperationState,
    C_SetOperationState,
    C_Login,
    C_Logout,
    C_CreateObject,
    C_CopyObject,
    C_DestroyObject,
    C_GetObjectSize,
    C_GetAttributeValue,
    C_SetAttributeValue,
    C_FindObjectsInit,
    C_FindObjects,
    C_FindObjectsFinal,
    C_EncryptInit,
    C_Encrypt,
    C_EncryptUpdate,
    C_EncryptFinal,
    C_DecryptInit,
    C_Decrypt,
    C_DecryptUpdate,
    C_DecryptFinal,
    C_DigestInit,
    C_Digest,
    C_DigestUpdate,
    C_DigestKey,
    C_DigestFinal,
    C_SignInit,
    C_Sign,
    C_SignUpdate,
    C_SignFinal,
    C_SignRecoverInit,
    C_SignRecover,
    C_VerifyInit,
    C_Verify,
    C_VerifyUpdate,
    C_VerifyFinal,
    C_VerifyRecoverInit,
    C_VerifyRecover,
    C_DigestEncryptUpdate,
    C_DecryptDigestUpdate,
    C_SignEncryptUpdate,
    C_DecryptVerifyUpdate,
    C_GenerateKey,
    C_GenerateKeyPair,
    C_WrapKey,
    C_UnwrapKey,
    C_DeriveKey,
    C_SeedRandom,
    C_GenerateRandom,
    C_GetFunctionStatus,
    C_CancelFunction,
    C_WaitForSlotEvent,
    C_GetInterfaceList,
    C_GetInterface,
    C_LoginUser,
    C_SessionCancel,
    C_MessageEncryptInit,
    C_EncryptMessage,
    C_EncryptMessageBegin,
    C_EncryptMessageNext,
    C_MessageEncryptFinal,
    C_MessageDecryptInit,
    C_DecryptMessage,
    C_DecryptMessageBegin,
    C_DecryptMessageNext,
    C_MessageDecryptFinal,
    C_MessageSignInit,
    C_SignMessage,
    C_SignMessageBegin,
    C_SignMessageNext,
    C_MessageSignFinal,
    C_MessageVerifyInit,
    C_VerifyMessage,
    C_VerifyMessageBegin,
    C_VerifyMessageNext,
    C_MessageVerifyFinal,
    C_EncapsulateKey,
    C_DecapsulateKey,
    C_VerifySignatureInit,
    C_VerifySignature,
    C_VerifySignatureUpdate,
    C_VerifySignatureFinal,
    C_GetSessionValidationFlags,
    C_AsyncComplete,
    C_AsyncGetID,
    C_AsyncJoin,
    C_WrapKeyAuthenticated,
    C_UnwrapKeyAuthenticated,
};
