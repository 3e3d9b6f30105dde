/* echo.c: see echo.h. The functions themselves are made by echo.py from the table of calls. */
#include "echo.h"

#include <stdio.h>
#include <stdlib.h>

void
echo_bytes(struct writer *writer, const void *bytes, CK_ULONG length)
{
	put_byte(writer, 1);
	if (bytes == NULL)
		put_u32(writer, UINT32_MAX);
	else
		put_string(writer, bytes, length);
}

void
echo_message(struct writer *writer, bool encrypts, const void *parameter, CK_ULONG length)
{
	CK_RV rv = CKR_OK;
	size_t begun;

	put_byte(writer, parameter != NULL);
	if (parameter == NULL)
		return;
	begun = put_string_begin(writer);
	if (!put_message_parameter(writer, CKM_AES_GCM, encrypts, parameter, length, &rv))
		abort();
	put_string_end(writer, begun);
}

void
echo_mechanism(struct writer *writer, const CK_MECHANISM *mechanism, bool authenticated)
{
	CK_RV rv;

	if (mechanism == NULL) {
		put_u32(writer, UINT32_MAX);
		put_byte(writer, 0);
		return;
	}
	rv = (authenticated ? put_wrap_mechanism : put_mechanism)(writer, mechanism);
	if (rv != CKR_OK)
		put_u64(writer, rv);
}

void
echo_told(const char *name, struct writer *writer)
{
	FILE *told = fopen(getenv("ECHO_FILE"), "a");

	if (told == NULL || writer->failed)
		abort();
	fprintf(told, "%s ", name);
	for (size_t n = 0; n < writer->length; n++)
		fprintf(told, "%02x", writer->data[n]);
	fputc('\n', told);
	fclose(told);
	writer_free(writer);
}

CK_RV
echo_result(CK_BYTE *to, CK_ULONG *length)
{
	static const char result[] = "result";
	CK_ULONG room;

	if (length == NULL)
		return CKR_OK;
	room = *length;
	*length = sizeof(result) - 1;
	if (to == NULL)
		return CKR_OK;
	if (room < *length)
		return CKR_BUFFER_TOO_SMALL;
	memcpy(to, result, *length);
	return CKR_OK;
}

CK_RV
echo_list(CK_ULONG *to, CK_ULONG *count)
{
	CK_ULONG room = *count;

	*count = 2;
	if (to == NULL)
		return CKR_OK;
	if (room < *count)
		return CKR_BUFFER_TOO_SMALL;
	to[0] = 7;
	to[1] = 8;
	return CKR_OK;
}

void
echo_scribble(void *message)
{
	CK_GCM_MESSAGE_PARAMS *gcm = message;

	if (gcm == NULL)
		return;
	memset(gcm->pIv, 0xaa, gcm->ulIvLen);
	memset(gcm->pTag, 0xbb, gcm->ulTagBits / 8);
}

CK_RV
C_Initialize(CK_VOID_PTR pInitArgs)
{
	const CK_C_INITIALIZE_ARGS *arguments = pInitArgs;
	struct writer told = {.limit = LARGEST_BODY};

	put_ulong(&told, arguments->flags);
	put_byte(&told, arguments->CreateMutex != NULL);
	if (arguments->pReserved != NULL)
		put_raw(&told, arguments->pReserved, strlen(arguments->pReserved));
	echo_told("C_Initialize", &told);
	return CKR_OK;
}

CK_RV
C_Finalize(CK_VOID_PTR pReserved)
{
	return pReserved == NULL ? CKR_OK : CKR_ARGUMENTS_BAD;
}

CK_RV
C_GetAttributeValue(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hObject,
    CK_ATTRIBUTE_PTR pTemplate, CK_ULONG ulCount)
{
	(void)hSession;
	(void)hObject;
	for (CK_ULONG n = 0; n < ulCount; n++)
		pTemplate[n].ulValueLen = CK_UNAVAILABLE_INFORMATION;
	return CKR_ATTRIBUTE_TYPE_INVALID;
}

CK_RV
C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR ppFunctionList)
{
	*ppFunctionList = &function_list_2_40;
	return CKR_OK;
}

CK_RV
C_GetInterfaceList(CK_INTERFACE_PTR pInterfacesList, CK_ULONG_PTR pulCount)
{
	static CK_INTERFACE all[] = {
	    {(CK_UTF8CHAR *)"Vendor of ours", &function_list_2_40, 0},
	    {(CK_UTF8CHAR *)"PKCS 11", &function_list_2_40, 0},
	    {(CK_UTF8CHAR *)"PKCS 11", &function_list_3_2, 0},
	    {(CK_UTF8CHAR *)"PKCS 11", &function_list_3_0, 0},
	};

	if (pInterfacesList != NULL)
		memcpy(pInterfacesList, all, sizeof(all));
	*pulCount = sizeof(all) / sizeof(all[0]);
	return CKR_OK;
}

CK_RV
C_GetInterface(CK_UTF8CHAR_PTR pInterfaceName, CK_VERSION_PTR pVersion,
    CK_INTERFACE_PTR_PTR ppInterface, CK_FLAGS flags)
{
	(void)pInterfaceName;
	(void)pVersion;
	(void)ppInterface;
	(void)flags;
	return CKR_ARGUMENTS_BAD;
}
