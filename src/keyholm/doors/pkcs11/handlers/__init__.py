"""One function a call of PKCS#11: the door's dispatch, by the call's name.

A handler takes the client and the values of the request in the order of `wire.pkcs11.calls`,
and gives those of the answer. A call that has none here is not offered.
"""

from collections.abc import Callable
from typing import Any, Final

from keyholm.core.mechanisms import Verb
from keyholm.doors.pkcs11.handlers import digesting, dual, general, keys, objects, sessions, using
from keyholm.doors.pkcs11.running import Kind

Handler = Callable[..., tuple[Any, ...] | None]

HANDLERS: Final[dict[str, Handler]] = {
    "Initialize": general.initialize,
    "Finalize": general.finalize,
    "GetInfo": general.get_info,
    "GetSlotList": general.get_slot_list,
    "GetSlotInfo": general.get_slot_info,
    "GetTokenInfo": general.get_token_info,
    "WaitForSlotEvent": general.wait_for_slot_event,
    "GetMechanismList": general.get_mechanism_list,
    "GetMechanismInfo": general.get_mechanism_info,
    "InitToken": general.init_token,
    "InitToken2": general.init_token,
    "InitPIN": general.init_pin,
    "SetPIN": general.set_pin,
    "OpenSession": sessions.open_session,
    "CloseSession": sessions.close_session,
    "CloseAllSessions": sessions.close_all_sessions,
    "GetSessionInfo": sessions.get_session_info,
    "SessionCancel": sessions.session_cancel,
    "Login": sessions.login,
    "LoginUser": sessions.login_user,
    "Logout": sessions.logout,
    "GetSessionValidationFlags": sessions.get_session_validation_flags,
    "CreateObject": objects.create_object,
    "CopyObject": objects.copy_object,
    "DestroyObject": objects.destroy_object,
    "GetObjectSize": objects.get_object_size,
    "GetAttributeValue": objects.get_attribute_value,
    "SetAttributeValue": objects.set_attribute_value,
    "FindObjectsInit": objects.find_objects_init,
    "FindObjects": objects.find_objects,
    "FindObjectsWith": objects.find_objects_with,
    "FindObjectsFinal": objects.find_objects_final,
    "EncryptInit": using.init(Kind.ENCRYPT),
    "Encrypt": using.at_once(Kind.ENCRYPT),
    "EncryptUpdate": using.update(Kind.ENCRYPT),
    "EncryptFinal": using.final(Kind.ENCRYPT),
    "EncryptOnce": using.once(Kind.ENCRYPT),
    "DecryptInit": using.init(Kind.DECRYPT),
    "Decrypt": using.at_once(Kind.DECRYPT),
    "DecryptUpdate": using.update(Kind.DECRYPT),
    "DecryptFinal": using.final(Kind.DECRYPT),
    "DecryptOnce": using.once(Kind.DECRYPT),
    "DigestInit": digesting.digest_init,
    "Digest": digesting.digest,
    "DigestUpdate": digesting.digest_update,
    "DigestKey": digesting.digest_key,
    "DigestFinal": digesting.digest_final,
    "DigestOnce": digesting.digest_once,
    "SignInit": using.init(Kind.SIGN),
    "Sign": using.at_once(Kind.SIGN),
    "SignUpdate": using.take(Kind.SIGN),
    "SignFinal": using.final(Kind.SIGN),
    "SignOnce": using.once(Kind.SIGN),
    "VerifyInit": using.init(Kind.VERIFY),
    "Verify": using.verify,
    "VerifyUpdate": using.take(Kind.VERIFY),
    "VerifyFinal": using.verify_final,
    "VerifyOnce": using.verify_once,
    "VerifySignatureInit": using.verify_signature_init,
    "VerifySignature": using.verify_signature,
    "VerifySignatureUpdate": using.take(Kind.VERIFY),
    "VerifySignatureFinal": using.verify_signature_final,
    "Begin": using.begin,
    "DigestEncryptUpdate": dual.digest_encrypt_update,
    "DecryptDigestUpdate": dual.decrypt_digest_update,
    "SignEncryptUpdate": dual.sign_encrypt_update,
    "DecryptVerifyUpdate": dual.decrypt_verify_update,
    "GenerateKey": keys.generate_key,
    "GenerateKeyPair": keys.generate_key_pair,
    "WrapKey": keys.wrap_key,
    "UnwrapKey": keys.unwrap_key,
    "DeriveKey": keys.derive_key,
    "DeriveKey2": keys.derive_key_2,
    "EncapsulateKey": keys.encapsulate_key,
    "DecapsulateKey": keys.decapsulate_key,
    "SeedRandom": digesting.seed_random,
    "GenerateRandom": digesting.generate_random,
}

# What a call does with a key, where errors are called by that.
VERBS: Final[dict[str, Verb]] = {
    **dict.fromkeys(("Decrypt", "DecryptUpdate", "DecryptFinal", "DecryptOnce"), Verb.DECRYPT),
    **dict.fromkeys(("DecryptDigestUpdate", "DecryptVerifyUpdate"), Verb.DECRYPT),
    **dict.fromkeys(("Verify", "VerifyFinal", "VerifyOnce"), Verb.VERIFY),
    **dict.fromkeys(("VerifySignature", "VerifySignatureFinal"), Verb.VERIFY),
    "UnwrapKey": Verb.UNWRAP,
    "DecapsulateKey": Verb.UNWRAP,
}
