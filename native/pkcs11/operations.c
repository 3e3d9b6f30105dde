/*
 * operations.c: sign, verify, encrypt, decrypt, digest; an init and its operation in one.
 *
 * The first init with a key goes to the daemon. If the daemon then says that it may be folded,
 * the next one that is the same is held here, and goes along with the data when it comes. When
 * the data comes in parts instead, what was held is sent first.
 */
#include "operations.h"

#include <string.h>

#include "call.h"
#include "platform.h"
#include "values.h"

#define MAY_BE_FOLDED 1

struct kind {
	enum call_number once, whole, update, final;
	CK_FLAGS flag; /* in C_SessionCancel */
};

static const struct kind kinds[WHATS] = {
    [WHAT_SIGN] = {CALL_SignOnce, CALL_Sign, CALL_SignUpdate, CALL_SignFinal, CKF_SIGN},
    [WHAT_VERIFY] = {CALL_VerifyOnce, CALL_Verify, CALL_VerifyUpdate, CALL_VerifyFinal,
        CKF_VERIFY},
    [WHAT_ENCRYPT] = {CALL_EncryptOnce, CALL_Encrypt, CALL_EncryptUpdate, CALL_EncryptFinal,
        CKF_ENCRYPT},
    [WHAT_DECRYPT] = {CALL_DecryptOnce, CALL_Decrypt, CALL_DecryptUpdate, CALL_DecryptFinal,
        CKF_DECRYPT},
    [WHAT_DIGEST] = {CALL_DigestOnce, CALL_Digest, CALL_DigestUpdate, CALL_DigestFinal,
        CKF_DIGEST},
};

/* --- what is remembered ---------------------------------------------------------------------- */

static bool
is_same(const struct init *one, const struct init *other)
{
	return one->size > 0 && one->size == other->size && one->what == other->what &&
	    one->key == other->key && memcmp(one->mechanism, other->mechanism, one->size) == 0;
}

static const struct init *
known_init(const struct session *session, const struct init *init)
{
	for (size_t n = 0; n < INITS_KEPT; n++)
		if (is_same(&session->known[n], init))
			return &session->known[n];
	return NULL;
}

static void
learn(struct session *session, const struct init *init)
{
	if (init->size == 0 || known_init(session, init) != NULL)
		return;
	session->known[session->next_known] = *init;
	session->next_known = (session->next_known + 1) % INITS_KEPT;
}

/* Hold it back, if the daemon had one like it and has no operation of this kind going on. */
static CK_RV
hold(CK_SESSION_HANDLE handle, const struct init *init, bool *held)
{
	struct session *session;
	const struct init *known;
	struct operation *operation;
	CK_RV rv = CKR_OK;

	*held = false;
	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	operation = session == NULL ? NULL : &session->operations[init->what];
	if (session == NULL)
		rv = CKR_SESSION_HANDLE_INVALID;
	else if (operation->phase == PHASE_HELD)
		rv = CKR_OPERATION_ACTIVE;
	else if (operation->phase == PHASE_NONE && (known = known_init(session, init)) != NULL) {
		operation->phase = PHASE_HELD;
		operation->init = *known;
		*held = true;
	}
	platform_unlock(&platform_state_lock);
	return rv;
}

static void
note_begun(CK_SESSION_HANDLE handle, const struct init *init, bool foldable)
{
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL) {
		session->operations[init->what].phase = PHASE_SENT;
		session->operations[init->what].init = *init;
		if (foldable)
			learn(session, init);
	}
	platform_unlock(&platform_state_lock);
}

static struct operation
current(CK_SESSION_HANDLE handle, enum what what)
{
	struct operation operation = {.phase = PHASE_NONE};
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL)
		operation = session->operations[what];
	platform_unlock(&platform_state_lock);
	return operation;
}

static void
set_phase(CK_SESSION_HANDLE handle, enum what what, enum phase phase)
{
	struct session *session;

	platform_lock(&platform_state_lock);
	session = session_locked(handle);
	if (session != NULL)
		session->operations[what].phase = phase;
	platform_unlock(&platform_state_lock);
}

/* --- inits ----------------------------------------------------------------------------------- */

/* A mechanism that is too long to be remembered leaves a size of 0. */
static CK_RV
make_init(struct init *init, enum what what, const CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
	struct writer writer;
	CK_RV rv;

	memset(init, 0, sizeof(*init));
	init->what = what;
	init->key = key;
	init->length = LENGTH_UNKNOWN;
	writer_fixed(&writer, init->mechanism, sizeof(init->mechanism));
	rv = put_mechanism(&writer, mechanism);
	init->size = writer.failed ? 0 : writer.length;
	return rv;
}

/* `mechanism` is NULL for an init that was held, and so is remembered. */
static CK_RV
begin(CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism, struct init *init)
{
	CK_ULONG length = 0, flags = 0;
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, CALL_Begin))
		return call.rv;
	call_put_session(&call, session);
	call_put_ulong(&call, init->what);
	if (mechanism != NULL)
		call_put_mechanism(&call, mechanism);
	else
		call_put_raw(&call, init->mechanism, init->size);
	call_put_ulong(&call, init->key);
	call_run(&call);
	call_get_ulong(&call, &length);
	call_get_ulong(&call, &flags);
	rv = call_end(&call);
	if (rv != CKR_OK) {
		session_forget_inits(session);
		return rv;
	}
	init->length = length == CK_UNAVAILABLE_INFORMATION ? LENGTH_UNKNOWN : length;
	note_begun(session, init, (flags & MAY_BE_FOLDED) != 0);
	return CKR_OK;
}

static CK_RV
operation_init(enum what what, CK_SESSION_HANDLE session, const CK_MECHANISM *mechanism,
    CK_OBJECT_HANDLE key)
{
	struct init init;
	bool held;
	CK_RV rv;

	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	/* From 3.0 on, no mechanism means: end what goes on. */
	if (mechanism == NULL)
		return operations_cancel(session, kinds[what].flag);
	rv = make_init(&init, what, mechanism, key);
	if (rv == CKR_OK)
		rv = hold(session, &init, &held);
	if (rv != CKR_OK || held)
		return rv;
	return begin(session, mechanism, &init);
}

static CK_RV
send_if_held(CK_SESSION_HANDLE session, enum what what)
{
	struct operation operation = current(session, what);
	CK_RV rv;

	if (operation.phase != PHASE_HELD)
		return CKR_OK;
	rv = begin(session, NULL, &operation.init);
	if (rv != CKR_OK)
		set_phase(session, what, PHASE_NONE);
	return rv;
}

CK_RV
operations_send_held(CK_SESSION_HANDLE session)
{
	CK_RV rv = CKR_OK;

	for (int what = 0; what < WHATS && rv == CKR_OK; what++)
		rv = send_if_held(session, (enum what)what);
	return rv;
}

static CK_RV
cancel_at_daemon(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
	struct call call;

	if (!call_begin(&call, CALL_SessionCancel))
		return call.rv;
	call_put_session(&call, session);
	call_put_ulong(&call, flags);
	call_run(&call);
	return call_end(&call);
}

/* A held one ends here; the daemon need not hear of what it never knew. */
CK_RV
operations_cancel(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
	CK_FLAGS at_daemon = flags;
	CK_RV rv;

	for (int what = 0; what < WHATS; what++)
		if ((flags & kinds[what].flag) != 0 &&
		    current(session, (enum what)what).phase == PHASE_HELD) {
			set_phase(session, (enum what)what, PHASE_NONE);
			at_daemon &= ~kinds[what].flag;
		}
	if (at_daemon == 0 && flags != 0)
		return CKR_OK;
	rv = cancel_at_daemon(session, at_daemon);
	for (int what = 0; what < WHATS && rv == CKR_OK; what++)
		if ((at_daemon & kinds[what].flag) != 0)
			set_phase(session, (enum what)what, PHASE_NONE);
	return rv;
}

/* --- what ends an operation ------------------------------------------------------------------ */

/*
 * Every error but a short buffer ends it, and success does if `completes`. An error that the
 * daemon has not seen must end it there as well.
 */
static CK_RV
settle(const struct call *call, enum what what, CK_RV rv, bool completes)
{
	CK_SESSION_HANDLE session = call->session;

	if (rv == CKR_BUFFER_TOO_SMALL || (rv == CKR_OK && !completes))
		return rv;
	if (rv == CKR_ARGUMENTS_BAD || rv == CKR_DATA_LEN_RANGE)
		if (!call->sent && current(session, what).phase == PHASE_SENT)
			(void)cancel_at_daemon(session, kinds[what].flag);
	set_phase(session, what, PHASE_NONE);
	if (rv != CKR_OK)
		session_forget_inits(session);
	return rv;
}

/* The length is fixed and known: no need to ask, neither for it nor with too little room. */
static bool
answers_length(const struct operation *operation, const CK_BYTE *result, CK_ULONG *length, CK_RV *rv)
{
	CK_ULONG needed;

	if (operation->phase == PHASE_NONE || length == NULL ||
	    operation->init.length > LARGEST_BODY)
		return false;
	needed = (CK_ULONG)operation->init.length;
	if (result != NULL && *length >= needed)
		return false;
	*length = needed;
	*rv = result == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
	return true;
}

static bool
begin_whole(struct call *call, enum what what, CK_SESSION_HANDLE session,
    const struct operation *operation)
{
	bool once = operation->phase == PHASE_HELD;

	if (!call_begin(call, once ? kinds[what].once : kinds[what].whole))
		return false;
	call_put_session(call, session);
	if (!once)
		return true;
	call_put_raw(call, operation->init.mechanism, operation->init.size);
	if (what != WHAT_DIGEST)
		call_put_ulong(call, operation->init.key);
	return true;
}

/* --- data in one piece ----------------------------------------------------------------------- */

static CK_RV
whole(enum what what, CK_SESSION_HANDLE session, const CK_BYTE *data, CK_ULONG data_length,
    CK_BYTE *result, CK_ULONG *length)
{
	struct operation operation;
	struct call call;
	CK_RV rv;

	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	operation = current(session, what);
	if (answers_length(&operation, result, length, &rv))
		return rv;
	if (!begin_whole(&call, what, session, &operation))
		return call.rv;
	call_put_bytes(&call, data, data_length);
	call_put_room(&call, result, length);
	call_run(&call);
	call_get_bytes(&call, result, length);
	rv = call_end(&call);
	return settle(&call, what, rv, result != NULL);
}

static CK_RV
verify_whole(CK_SESSION_HANDLE session, const CK_BYTE *data, CK_ULONG data_length,
    const CK_BYTE *signature, CK_ULONG signature_length)
{
	struct operation operation;
	struct call call;

	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	operation = current(session, WHAT_VERIFY);
	if (!begin_whole(&call, WHAT_VERIFY, session, &operation))
		return call.rv;
	call_put_bytes(&call, data, data_length);
	call_put_bytes(&call, signature, signature_length);
	call_run(&call);
	return settle(&call, WHAT_VERIFY, call_end(&call), true);
}

/* --- data in parts --------------------------------------------------------------------------- */

/* The call comes with its session in it; false, with rv set, if it cannot be made. */
static bool
begin_part(struct call *call, enum what what, enum call_number number, CK_SESSION_HANDLE session)
{
	CK_RV rv;

	memset(call, 0, sizeof(*call));
	if (module_is_initialised() && (rv = send_if_held(session, what)) != CKR_OK) {
		call->rv = rv;
		return false;
	}
	if (!call_begin(call, number))
		return false;
	call_put_session(call, session);
	return true;
}

static CK_RV
update(enum what what, CK_SESSION_HANDLE session, const CK_BYTE *part, CK_ULONG part_length)
{
	struct call call;

	if (!begin_part(&call, what, kinds[what].update, session))
		return call.rv;
	call_put_bytes(&call, part, part_length);
	call_run(&call);
	return settle(&call, what, call_end(&call), false);
}

static CK_RV
update_with_result(enum what what, CK_SESSION_HANDLE session, const CK_BYTE *part,
    CK_ULONG part_length, CK_BYTE *result, CK_ULONG *length)
{
	struct call call;

	if (!begin_part(&call, what, kinds[what].update, session))
		return call.rv;
	call_put_bytes(&call, part, part_length);
	call_put_room(&call, result, length);
	call_run(&call);
	call_get_bytes(&call, result, length);
	return settle(&call, what, call_end(&call), false);
}

static CK_RV
final(enum what what, CK_SESSION_HANDLE session, CK_BYTE *result, CK_ULONG *length)
{
	struct call call;

	if (!begin_part(&call, what, kinds[what].final, session))
		return call.rv;
	call_put_room(&call, result, length);
	call_run(&call);
	call_get_bytes(&call, result, length);
	return settle(&call, what, call_end(&call), result != NULL);
}

static CK_RV
verify_final(CK_SESSION_HANDLE session, const CK_BYTE *signature, CK_ULONG length)
{
	struct call call;

	if (!begin_part(&call, WHAT_VERIFY, CALL_VerifyFinal, session))
		return call.rv;
	call_put_bytes(&call, signature, length);
	call_run(&call);
	return settle(&call, WHAT_VERIFY, call_end(&call), true);
}

static CK_RV
dual_update(enum call_number number, enum what first, enum what second, CK_SESSION_HANDLE session,
    const CK_BYTE *part, CK_ULONG part_length, CK_BYTE *result, CK_ULONG *length)
{
	struct call call;
	CK_RV rv = CKR_OK;

	if (module_is_initialised())
		rv = send_if_held(session, first);
	if (rv != CKR_OK)
		return rv;
	if (!begin_part(&call, second, number, session))
		return call.rv;
	call_put_bytes(&call, part, part_length);
	call_put_room(&call, result, length);
	call_run(&call);
	call_get_bytes(&call, result, length);
	rv = settle(&call, first, call_end(&call), false);
	return settle(&call, second, rv, false);
}

/* --- the functions --------------------------------------------------------------------------- */

CK_RV
C_SignInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return operation_init(WHAT_SIGN, hSession, pMechanism, hKey);
}

CK_RV
C_Sign(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature,
    CK_ULONG_PTR pulSignatureLen)
{
	return whole(WHAT_SIGN, hSession, pData, ulDataLen, pSignature, pulSignatureLen);
}

CK_RV
C_SignUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	return update(WHAT_SIGN, hSession, pPart, ulPartLen);
}

CK_RV
C_SignFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG_PTR pulSignatureLen)
{
	return final(WHAT_SIGN, hSession, pSignature, pulSignatureLen);
}

CK_RV
C_VerifyInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return operation_init(WHAT_VERIFY, hSession, pMechanism, hKey);
}

CK_RV
C_Verify(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pSignature,
    CK_ULONG ulSignatureLen)
{
	return verify_whole(hSession, pData, ulDataLen, pSignature, ulSignatureLen);
}

CK_RV
C_VerifyUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	return update(WHAT_VERIFY, hSession, pPart, ulPartLen);
}

CK_RV
C_VerifyFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pSignature, CK_ULONG ulSignatureLen)
{
	return verify_final(hSession, pSignature, ulSignatureLen);
}

CK_RV
C_EncryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return operation_init(WHAT_ENCRYPT, hSession, pMechanism, hKey);
}

CK_RV
C_Encrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen,
    CK_BYTE_PTR pEncryptedData, CK_ULONG_PTR pulEncryptedDataLen)
{
	return whole(WHAT_ENCRYPT, hSession, pData, ulDataLen, pEncryptedData,
	    pulEncryptedDataLen);
}

CK_RV
C_EncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
    CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
	return update_with_result(WHAT_ENCRYPT, hSession, pPart, ulPartLen, pEncryptedPart,
	    pulEncryptedPartLen);
}

CK_RV
C_EncryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastEncryptedPart,
    CK_ULONG_PTR pulLastEncryptedPartLen)
{
	return final(WHAT_ENCRYPT, hSession, pLastEncryptedPart, pulLastEncryptedPartLen);
}

CK_RV
C_DecryptInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism, CK_OBJECT_HANDLE hKey)
{
	return operation_init(WHAT_DECRYPT, hSession, pMechanism, hKey);
}

CK_RV
C_Decrypt(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedData, CK_ULONG ulEncryptedDataLen,
    CK_BYTE_PTR pData, CK_ULONG_PTR pulDataLen)
{
	return whole(WHAT_DECRYPT, hSession, pEncryptedData, ulEncryptedDataLen, pData, pulDataLen);
}

CK_RV
C_DecryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart, CK_ULONG ulEncryptedPartLen,
    CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen)
{
	return update_with_result(WHAT_DECRYPT, hSession, pEncryptedPart, ulEncryptedPartLen, pPart,
	    pulPartLen);
}

CK_RV
C_DecryptFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pLastPart, CK_ULONG_PTR pulLastPartLen)
{
	return final(WHAT_DECRYPT, hSession, pLastPart, pulLastPartLen);
}

CK_RV
C_DigestInit(CK_SESSION_HANDLE hSession, CK_MECHANISM_PTR pMechanism)
{
	return operation_init(WHAT_DIGEST, hSession, pMechanism, 0);
}

CK_RV
C_Digest(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pData, CK_ULONG ulDataLen, CK_BYTE_PTR pDigest,
    CK_ULONG_PTR pulDigestLen)
{
	return whole(WHAT_DIGEST, hSession, pData, ulDataLen, pDigest, pulDigestLen);
}

CK_RV
C_DigestUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen)
{
	return update(WHAT_DIGEST, hSession, pPart, ulPartLen);
}

CK_RV
C_DigestKey(CK_SESSION_HANDLE hSession, CK_OBJECT_HANDLE hKey)
{
	struct call call;

	if (!begin_part(&call, WHAT_DIGEST, CALL_DigestKey, hSession))
		return call.rv;
	call_put_ulong(&call, hKey);
	call_run(&call);
	return settle(&call, WHAT_DIGEST, call_end(&call), false);
}

CK_RV
C_DigestFinal(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pDigest, CK_ULONG_PTR pulDigestLen)
{
	return final(WHAT_DIGEST, hSession, pDigest, pulDigestLen);
}

CK_RV
C_DigestEncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
    CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
	return dual_update(CALL_DigestEncryptUpdate, WHAT_DIGEST, WHAT_ENCRYPT, hSession, pPart,
	    ulPartLen, pEncryptedPart, pulEncryptedPartLen);
}

CK_RV
C_DecryptDigestUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
    CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen)
{
	return dual_update(CALL_DecryptDigestUpdate, WHAT_DECRYPT, WHAT_DIGEST, hSession,
	    pEncryptedPart, ulEncryptedPartLen, pPart, pulPartLen);
}

CK_RV
C_SignEncryptUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pPart, CK_ULONG ulPartLen,
    CK_BYTE_PTR pEncryptedPart, CK_ULONG_PTR pulEncryptedPartLen)
{
	return dual_update(CALL_SignEncryptUpdate, WHAT_SIGN, WHAT_ENCRYPT, hSession, pPart,
	    ulPartLen, pEncryptedPart, pulEncryptedPartLen);
}

CK_RV
C_DecryptVerifyUpdate(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pEncryptedPart,
    CK_ULONG ulEncryptedPartLen, CK_BYTE_PTR pPart, CK_ULONG_PTR pulPartLen)
{
	return dual_update(CALL_DecryptVerifyUpdate, WHAT_DECRYPT, WHAT_VERIFY, hSession,
	    pEncryptedPart, ulEncryptedPartLen, pPart, pulPartLen);
}

CK_RV
C_SessionCancel(CK_SESSION_HANDLE hSession, CK_FLAGS flags)
{
	if (!module_is_initialised())
		return CKR_CRYPTOKI_NOT_INITIALIZED;
	return operations_cancel(hSession, flags);
}

CK_RV
C_GetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState,
    CK_ULONG_PTR pulOperationStateLen)
{
	struct call call;
	CK_RV rv = CKR_OK;

	if (module_is_initialised())
		rv = operations_send_held(hSession);
	if (rv != CKR_OK)
		return rv;
	if (!call_begin(&call, CALL_GetOperationState))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_room(&call, pOperationState, pulOperationStateLen);
	call_run(&call);
	call_get_bytes(&call, pOperationState, pulOperationStateLen);
	return call_end(&call);
}

/* What the state holds is the daemon's to know: until told otherwise, it has one of each kind. */
CK_RV
C_SetOperationState(CK_SESSION_HANDLE hSession, CK_BYTE_PTR pOperationState,
    CK_ULONG ulOperationStateLen, CK_OBJECT_HANDLE hEncryptionKey,
    CK_OBJECT_HANDLE hAuthenticationKey)
{
	struct init unknown = {.length = LENGTH_UNKNOWN};
	struct call call;
	CK_RV rv;

	if (!call_begin(&call, CALL_SetOperationState))
		return call.rv;
	call_put_session(&call, hSession);
	call_put_bytes(&call, pOperationState, ulOperationStateLen);
	call_put_ulong(&call, hEncryptionKey);
	call_put_ulong(&call, hAuthenticationKey);
	call_run(&call);
	rv = call_end(&call);
	for (int what = 0; what < WHATS && rv == CKR_OK; what++) {
		unknown.what = (enum what)what;
		note_begun(hSession, &unknown, false);
	}
	return rv;
}
