/* Made by native.generate.py from src/keyholm/wire/pkcs11/; do not edit. */
/* forms.c: how attributes and parameters of mechanisms cross. */

#include "calls.h"
#include "parameters.h"
#include "values.h"

enum attribute_form
attribute_form(CK_ATTRIBUTE_TYPE type)
{
	switch (type) {
	case CKA_TOKEN:
	case CKA_PRIVATE:
	case CKA_TRUSTED:
	case CKA_SENSITIVE:
	case CKA_ENCRYPT:
	case CKA_DECRYPT:
	case CKA_WRAP:
	case CKA_UNWRAP:
	case CKA_SIGN:
	case CKA_SIGN_RECOVER:
	case CKA_VERIFY:
	case CKA_VERIFY_RECOVER:
	case CKA_DERIVE:
	case CKA_EXTRACTABLE:
	case CKA_LOCAL:
	case CKA_NEVER_EXTRACTABLE:
	case CKA_ALWAYS_SENSITIVE:
	case CKA_MODIFIABLE:
	case CKA_COPYABLE:
	case CKA_DESTROYABLE:
	case CKA_SECONDARY_AUTH:
	case CKA_ALWAYS_AUTHENTICATE:
	case CKA_WRAP_WITH_TRUSTED:
	case CKA_OTP_USER_FRIENDLY_MODE:
	case CKA_RESET_ON_INIT:
	case CKA_HAS_RESET:
	case CKA_COLOR:
	case CKA_X2RATCHET_BOBS1STMSG:
	case CKA_X2RATCHET_ISALICE:
	case CKA_ENCAPSULATE:
	case CKA_DECAPSULATE:
		return FORM_BOOL;
	case CKA_CLASS:
	case CKA_CERTIFICATE_TYPE:
	case CKA_CERTIFICATE_CATEGORY:
	case CKA_JAVA_MIDP_SECURITY_DOMAIN:
	case CKA_NAME_HASH_ALGORITHM:
	case CKA_KEY_TYPE:
	case CKA_MODULUS_BITS:
	case CKA_PRIME_BITS:
	case CKA_SUBPRIME_BITS:
	case CKA_VALUE_BITS:
	case CKA_VALUE_LEN:
	case CKA_KEY_GEN_MECHANISM:
	case CKA_AUTH_PIN_FLAGS:
	case CKA_OTP_FORMAT:
	case CKA_OTP_LENGTH:
	case CKA_OTP_TIME_INTERVAL:
	case CKA_OTP_CHALLENGE_REQUIREMENT:
	case CKA_OTP_TIME_REQUIREMENT:
	case CKA_OTP_COUNTER_REQUIREMENT:
	case CKA_OTP_PIN_REQUIREMENT:
	case CKA_HW_FEATURE_TYPE:
	case CKA_PIXEL_X:
	case CKA_PIXEL_Y:
	case CKA_RESOLUTION:
	case CKA_CHAR_ROWS:
	case CKA_CHAR_COLUMNS:
	case CKA_BITS_PER_PIXEL:
	case CKA_MECHANISM_TYPE:
	case CKA_PROFILE_ID:
	case CKA_X2RATCHET_BAGSIZE:
	case CKA_X2RATCHET_NR:
	case CKA_X2RATCHET_NS:
	case CKA_X2RATCHET_PNS:
	case CKA_HSS_LEVELS:
	case CKA_HSS_LMS_TYPE:
	case CKA_HSS_LMOTS_TYPE:
	case CKA_HSS_KEYS_REMAINING:
	case CKA_PARAMETER_SET:
	case CKA_OBJECT_VALIDATION_FLAGS:
	case CKA_VALIDATION_TYPE:
	case CKA_VALIDATION_LEVEL:
	case CKA_VALIDATION_FLAG:
	case CKA_VALIDATION_AUTHORITY_TYPE:
	case CKA_TRUST_SERVER_AUTH:
	case CKA_TRUST_CLIENT_AUTH:
	case CKA_TRUST_CODE_SIGNING:
	case CKA_TRUST_EMAIL_PROTECTION:
	case CKA_TRUST_IPSEC_IKE:
	case CKA_TRUST_TIME_STAMPING:
	case CKA_TRUST_OCSP_SIGNING:
		return FORM_ULONG;
	case CKA_HSS_LMS_TYPES:
	case CKA_HSS_LMOTS_TYPES:
	case CKA_ALLOWED_MECHANISMS:
		return FORM_ULONGS;
	case CKA_ENCAPSULATE_TEMPLATE:
	case CKA_DECAPSULATE_TEMPLATE:
	case CKA_WRAP_TEMPLATE:
	case CKA_UNWRAP_TEMPLATE:
	case CKA_DERIVE_TEMPLATE:
		return FORM_TEMPLATE;
	case CKA_START_DATE:
	case CKA_END_DATE:
		return FORM_DATE;
	default:
		return FORM_BYTES;
	}
}

static bool
put_rsa_pkcs_oaep_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_RSA_PKCS_OAEP_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->hashAlg);
	put_ulong(writer, from->mgf);
	put_ulong(writer, from->source);
	if (!put_member(writer, from->pSourceData, from->ulSourceDataLen))
		return false;
	return true;
}

static bool
put_rsa_pkcs_pss_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_RSA_PKCS_PSS_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->hashAlg);
	put_ulong(writer, from->mgf);
	put_ulong(writer, from->sLen);
	return true;
}

static bool
put_rsa_aes_key_wrap_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_RSA_AES_KEY_WRAP_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->ulAESKeyBits);
	size_t begun = put_string_begin(writer);
	if (from->pOAEPParams == NULL ||
	    !put_rsa_pkcs_oaep_params(writer, from->pOAEPParams, sizeof(*from->pOAEPParams)))
		return false;
	put_string_end(writer, begun);
	return true;
}

static bool
put_ecdh1_derive_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_ECDH1_DERIVE_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->kdf);
	if (!put_member(writer, from->pSharedData, from->ulSharedDataLen))
		return false;
	if (!put_member(writer, from->pPublicData, from->ulPublicDataLen))
		return false;
	return true;
}

static bool
put_ecdh_aes_key_wrap_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_ECDH_AES_KEY_WRAP_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->ulAESKeyBits);
	put_ulong(writer, from->kdf);
	if (!put_member(writer, from->pSharedData, from->ulSharedDataLen))
		return false;
	return true;
}

static bool
put_eddsa_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_EDDSA_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_byte(writer, from->phFlag);
	if (!put_member(writer, from->pContextData, from->ulContextDataLen))
		return false;
	return true;
}

static bool
put_sign_additional_context(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_SIGN_ADDITIONAL_CONTEXT *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->hedgeVariant);
	if (!put_member(writer, from->pContext, from->ulContextLen))
		return false;
	return true;
}

static bool
put_hash_sign_additional_context(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_HASH_SIGN_ADDITIONAL_CONTEXT *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->hedgeVariant);
	if (!put_member(writer, from->pContext, from->ulContextLen))
		return false;
	put_ulong(writer, from->hash);
	return true;
}

static bool
put_bytes_16(struct writer *writer, const void *parameter, CK_ULONG length)
{
	return length == 16 && put_member(writer, parameter, length);
}

static bool
put_bytes_8(struct writer *writer, const void *parameter, CK_ULONG length)
{
	return length == 8 && put_member(writer, parameter, length);
}

static bool
put_bytes(struct writer *writer, const void *parameter, CK_ULONG length)
{
	return put_member(writer, parameter, length);
}

static bool
put_aes_ctr_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_AES_CTR_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->ulCounterBits);
	if (!put_member(writer, from->cb, 16))
		return false;
	return true;
}

static bool
put_gcm_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_GCM_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->pIv, from->ulIvLen))
		return false;
	put_ulong(writer, from->ulIvBits);
	if (!put_member(writer, from->pAAD, from->ulAADLen))
		return false;
	put_ulong(writer, from->ulTagBits);
	return true;
}

static bool
put_ccm_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_CCM_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->ulDataLen);
	if (!put_member(writer, from->pNonce, from->ulNonceLen))
		return false;
	if (!put_member(writer, from->pAAD, from->ulAADLen))
		return false;
	put_ulong(writer, from->ulMACLen);
	return true;
}

static bool
put_chacha20_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_CHACHA20_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_bits(writer, from->pBlockCounter, from->blockCounterBits))
		return false;
	if (!put_bits(writer, from->pNonce, from->ulNonceBits))
		return false;
	return true;
}

static bool
put_salsa20_chacha20_poly1305_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_SALSA20_CHACHA20_POLY1305_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->pNonce, from->ulNonceLen))
		return false;
	if (!put_member(writer, from->pAAD, from->ulAADLen))
		return false;
	return true;
}

static bool
put_mac_general_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	if (length != sizeof(CK_MAC_GENERAL_PARAMS))
		return false;
	put_ulong(writer, *(const CK_MAC_GENERAL_PARAMS *)parameter);
	return true;
}

static bool
put_object_handle(struct writer *writer, const void *parameter, CK_ULONG length)
{
	if (length != sizeof(CK_OBJECT_HANDLE))
		return false;
	put_ulong(writer, *(const CK_OBJECT_HANDLE *)parameter);
	return true;
}

static bool
put_key_derivation_string_data(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_KEY_DERIVATION_STRING_DATA *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->pData, from->ulLen))
		return false;
	return true;
}

static bool
put_extract_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	if (length != sizeof(CK_EXTRACT_PARAMS))
		return false;
	put_ulong(writer, *(const CK_EXTRACT_PARAMS *)parameter);
	return true;
}

static bool
put_aes_cbc_encrypt_data_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_AES_CBC_ENCRYPT_DATA_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->iv, 16))
		return false;
	if (!put_member(writer, from->pData, from->length))
		return false;
	return true;
}

static bool
put_des_cbc_encrypt_data_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_DES_CBC_ENCRYPT_DATA_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->iv, 8))
		return false;
	if (!put_member(writer, from->pData, from->length))
		return false;
	return true;
}

static bool
put_hkdf_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_HKDF_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_byte(writer, from->bExtract);
	put_byte(writer, from->bExpand);
	put_ulong(writer, from->prfHashMechanism);
	put_ulong(writer, from->ulSaltType);
	if (!put_member(writer, from->pSalt, from->ulSaltLen))
		return false;
	put_ulong(writer, from->hSaltKey);
	if (!put_member(writer, from->pInfo, from->ulInfoLen))
		return false;
	return true;
}

static bool
put_pkcs5_pbkd2_params2(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_PKCS5_PBKD2_PARAMS2 *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->saltSource);
	if (!put_member(writer, from->pSaltSourceData, from->ulSaltSourceDataLen))
		return false;
	put_ulong(writer, from->iterations);
	put_ulong(writer, from->prf);
	if (!put_member(writer, from->pPrfData, from->ulPrfDataLen))
		return false;
	if (!put_member(writer, from->pPassword, from->ulPasswordLen))
		return false;
	return true;
}

static bool
put_sp800_108_kdf_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_SP800_108_KDF_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->prfType);
	if (!put_data_params(writer, from->pDataParams, from->ulNumberOfDataParams))
		return false;
	put_ulong(writer, from->ulAdditionalDerivedKeys);
	return true;
}

static bool
put_sp800_108_feedback_kdf_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_SP800_108_FEEDBACK_KDF_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->prfType);
	if (!put_data_params(writer, from->pDataParams, from->ulNumberOfDataParams))
		return false;
	if (!put_member(writer, from->pIV, from->ulIVLen))
		return false;
	put_ulong(writer, from->ulAdditionalDerivedKeys);
	return true;
}

static bool
put_gcm_wrap_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_GCM_WRAP_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->pIv, from->ulIvLen))
		return false;
	put_ulong(writer, from->ulIvFixedBits);
	put_ulong(writer, from->ivGenerator);
	if (!put_member(writer, from->pAAD, from->ulAADLen))
		return false;
	put_ulong(writer, from->ulTagBits);
	return true;
}

static bool
put_ccm_wrap_params(struct writer *writer, const void *parameter, CK_ULONG length)
{
	const CK_CCM_WRAP_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->ulDataLen);
	if (!put_member(writer, from->pNonce, from->ulNonceLen))
		return false;
	put_ulong(writer, from->ulNonceFixedBits);
	put_ulong(writer, from->nonceGenerator);
	if (!put_member(writer, from->pAAD, from->ulAADLen))
		return false;
	put_ulong(writer, from->ulMACLen);
	return true;
}

static bool
put_gcm_message_params(struct writer *writer, bool encrypts, const void *parameter,
    CK_ULONG length)
{
	const CK_GCM_MESSAGE_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->pIv, from->ulIvLen))
		return false;
	put_ulong(writer, from->ulIvFixedBits);
	put_ulong(writer, from->ivGenerator);
	put_ulong(writer, from->ulTagBits);
	if (!put_tag_bits(writer, encrypts, from->pTag, from->ulTagBits))
		return false;
	return true;
}

static bool
put_ccm_message_params(struct writer *writer, bool encrypts, const void *parameter,
    CK_ULONG length)
{
	const CK_CCM_MESSAGE_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	put_ulong(writer, from->ulDataLen);
	if (!put_member(writer, from->pNonce, from->ulNonceLen))
		return false;
	put_ulong(writer, from->ulNonceFixedBits);
	put_ulong(writer, from->nonceGenerator);
	put_ulong(writer, from->ulMACLen);
	if (!put_tag(writer, encrypts, from->pMAC, from->ulMACLen))
		return false;
	return true;
}

static bool
put_salsa20_chacha20_poly1305_msg_params(struct writer *writer, bool encrypts,
    const void *parameter, CK_ULONG length)
{
	const CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS *from = parameter;

	if (length != sizeof(*from))
		return false;
	if (!put_member(writer, from->pNonce, from->ulNonceLen))
		return false;
	if (!put_tag(writer, encrypts, from->pTag, 16))
		return false;
	return true;
}

static void
get_gcm_wrap_params(struct reader *fields, void *parameter)
{
	CK_GCM_WRAP_PARAMS *to = parameter;

	get_member(fields, to->pIv, to->ulIvLen);
	(void)get_u64(fields);
	(void)get_u64(fields);
	skip_member(fields);
	(void)get_u64(fields);
}

static void
get_ccm_wrap_params(struct reader *fields, void *parameter)
{
	CK_CCM_WRAP_PARAMS *to = parameter;

	(void)get_u64(fields);
	get_member(fields, to->pNonce, to->ulNonceLen);
	(void)get_u64(fields);
	(void)get_u64(fields);
	skip_member(fields);
	(void)get_u64(fields);
}

static void
get_gcm_message_params(struct reader *fields, void *parameter)
{
	CK_GCM_MESSAGE_PARAMS *to = parameter;

	get_member(fields, to->pIv, to->ulIvLen);
	(void)get_u64(fields);
	(void)get_u64(fields);
	(void)get_u64(fields);
	get_tag_bits(fields, to->pTag, to->ulTagBits);
}

static void
get_ccm_message_params(struct reader *fields, void *parameter)
{
	CK_CCM_MESSAGE_PARAMS *to = parameter;

	(void)get_u64(fields);
	get_member(fields, to->pNonce, to->ulNonceLen);
	(void)get_u64(fields);
	(void)get_u64(fields);
	(void)get_u64(fields);
	get_tag(fields, to->pMAC, to->ulMACLen);
}

static void
get_salsa20_chacha20_poly1305_msg_params(struct reader *fields, void *parameter)
{
	CK_SALSA20_CHACHA20_POLY1305_MSG_PARAMS *to = parameter;

	get_member(fields, to->pNonce, to->ulNonceLen);
	get_tag(fields, to->pTag, 16);
}

bool
put_parameter(struct writer *writer, CK_MECHANISM_TYPE type, const void *parameter,
    CK_ULONG length, CK_RV *rv)
{
	bool good;

	switch (type) {
	case CKM_RSA_PKCS_PSS:
	case CKM_SHA1_RSA_PKCS_PSS:
	case CKM_SHA256_RSA_PKCS_PSS:
	case CKM_SHA384_RSA_PKCS_PSS:
	case CKM_SHA512_RSA_PKCS_PSS:
	case CKM_SHA224_RSA_PKCS_PSS:
	case CKM_SHA3_256_RSA_PKCS_PSS:
	case CKM_SHA3_384_RSA_PKCS_PSS:
	case CKM_SHA3_512_RSA_PKCS_PSS:
	case CKM_SHA3_224_RSA_PKCS_PSS:
		good = put_rsa_pkcs_pss_params(writer, parameter, length);
		break;
	case CKM_RSA_PKCS_OAEP:
		good = put_rsa_pkcs_oaep_params(writer, parameter, length);
		break;
	case CKM_RSA_AES_KEY_WRAP:
		good = put_rsa_aes_key_wrap_params(writer, parameter, length);
		break;
	case CKM_ECDH1_DERIVE:
	case CKM_ECDH1_COFACTOR_DERIVE:
		good = put_ecdh1_derive_params(writer, parameter, length);
		break;
	case CKM_ECDH_AES_KEY_WRAP:
	case CKM_ECDH_X_AES_KEY_WRAP:
	case CKM_ECDH_COF_AES_KEY_WRAP:
		good = put_ecdh_aes_key_wrap_params(writer, parameter, length);
		break;
	case CKM_EDDSA:
		good = put_eddsa_params(writer, parameter, length);
		break;
	case CKM_ML_DSA:
	case CKM_HASH_ML_DSA_SHA224:
	case CKM_HASH_ML_DSA_SHA256:
	case CKM_HASH_ML_DSA_SHA384:
	case CKM_HASH_ML_DSA_SHA512:
	case CKM_HASH_ML_DSA_SHA3_224:
	case CKM_HASH_ML_DSA_SHA3_256:
	case CKM_HASH_ML_DSA_SHA3_384:
	case CKM_HASH_ML_DSA_SHA3_512:
	case CKM_HASH_ML_DSA_SHAKE128:
	case CKM_HASH_ML_DSA_SHAKE256:
	case CKM_SLH_DSA:
	case CKM_HASH_SLH_DSA_SHA224:
	case CKM_HASH_SLH_DSA_SHA256:
	case CKM_HASH_SLH_DSA_SHA384:
	case CKM_HASH_SLH_DSA_SHA512:
	case CKM_HASH_SLH_DSA_SHA3_224:
	case CKM_HASH_SLH_DSA_SHA3_256:
	case CKM_HASH_SLH_DSA_SHA3_384:
	case CKM_HASH_SLH_DSA_SHA3_512:
	case CKM_HASH_SLH_DSA_SHAKE128:
	case CKM_HASH_SLH_DSA_SHAKE256:
		good = put_sign_additional_context(writer, parameter, length);
		break;
	case CKM_HASH_ML_DSA:
	case CKM_HASH_SLH_DSA:
		good = put_hash_sign_additional_context(writer, parameter, length);
		break;
	case CKM_AES_XTS:
	case CKM_AES_CBC:
	case CKM_AES_CBC_PAD:
	case CKM_AES_CTS:
	case CKM_AES_OFB:
	case CKM_AES_CFB64:
	case CKM_AES_CFB8:
	case CKM_AES_CFB128:
	case CKM_AES_CFB1:
		good = put_bytes_16(writer, parameter, length);
		break;
	case CKM_DES_CBC:
	case CKM_DES_CBC_PAD:
	case CKM_DES3_CBC:
	case CKM_DES3_CBC_PAD:
	case CKM_DES_OFB64:
	case CKM_DES_OFB8:
	case CKM_DES_CFB64:
	case CKM_DES_CFB8:
		good = put_bytes_8(writer, parameter, length);
		break;
	case CKM_DH_PKCS_DERIVE:
	case CKM_AES_GMAC:
	case CKM_AES_KEY_WRAP:
	case CKM_AES_KEY_WRAP_PAD:
	case CKM_AES_KEY_WRAP_KWP:
	case CKM_AES_KEY_WRAP_PKCS7:
		good = put_bytes(writer, parameter, length);
		break;
	case CKM_AES_CTR:
		good = put_aes_ctr_params(writer, parameter, length);
		break;
	case CKM_AES_GCM:
		good = put_gcm_params(writer, parameter, length);
		break;
	case CKM_AES_CCM:
		good = put_ccm_params(writer, parameter, length);
		break;
	case CKM_CHACHA20:
		good = put_chacha20_params(writer, parameter, length);
		break;
	case CKM_CHACHA20_POLY1305:
		good = put_salsa20_chacha20_poly1305_params(writer, parameter, length);
		break;
	case CKM_SHA512_224_HMAC_GENERAL:
	case CKM_SHA512_256_HMAC_GENERAL:
	case CKM_DES_MAC_GENERAL:
	case CKM_DES3_MAC_GENERAL:
	case CKM_DES3_CMAC_GENERAL:
	case CKM_MD5_HMAC_GENERAL:
	case CKM_SHA_1_HMAC_GENERAL:
	case CKM_RIPEMD160_HMAC_GENERAL:
	case CKM_SHA256_HMAC_GENERAL:
	case CKM_SHA224_HMAC_GENERAL:
	case CKM_SHA384_HMAC_GENERAL:
	case CKM_SHA512_HMAC_GENERAL:
	case CKM_SHA3_256_HMAC_GENERAL:
	case CKM_SHA3_224_HMAC_GENERAL:
	case CKM_SHA3_384_HMAC_GENERAL:
	case CKM_SHA3_512_HMAC_GENERAL:
	case CKM_AES_MAC_GENERAL:
	case CKM_AES_CMAC_GENERAL:
		good = put_mac_general_params(writer, parameter, length);
		break;
	case CKM_CONCATENATE_BASE_AND_KEY:
		good = put_object_handle(writer, parameter, length);
		break;
	case CKM_CONCATENATE_BASE_AND_DATA:
	case CKM_CONCATENATE_DATA_AND_BASE:
	case CKM_XOR_BASE_AND_DATA:
	case CKM_DES_ECB_ENCRYPT_DATA:
	case CKM_DES3_ECB_ENCRYPT_DATA:
	case CKM_AES_ECB_ENCRYPT_DATA:
		good = put_key_derivation_string_data(writer, parameter, length);
		break;
	case CKM_EXTRACT_KEY_FROM_KEY:
		good = put_extract_params(writer, parameter, length);
		break;
	case CKM_AES_CBC_ENCRYPT_DATA:
		good = put_aes_cbc_encrypt_data_params(writer, parameter, length);
		break;
	case CKM_DES_CBC_ENCRYPT_DATA:
	case CKM_DES3_CBC_ENCRYPT_DATA:
		good = put_des_cbc_encrypt_data_params(writer, parameter, length);
		break;
	case CKM_HKDF_DERIVE:
	case CKM_HKDF_DATA:
		good = put_hkdf_params(writer, parameter, length);
		break;
	case CKM_PKCS5_PBKD2:
		good = put_pkcs5_pbkd2_params2(writer, parameter, length);
		break;
	case CKM_SP800_108_COUNTER_KDF:
	case CKM_SP800_108_DOUBLE_PIPELINE_KDF:
		good = put_sp800_108_kdf_params(writer, parameter, length);
		break;
	case CKM_SP800_108_FEEDBACK_KDF:
		good = put_sp800_108_feedback_kdf_params(writer, parameter, length);
		break;
	default:
		return false;
	}
	if (!good)
		*rv = CKR_MECHANISM_PARAM_INVALID;
	return true;
}

bool
put_wrap_parameter(struct writer *writer, CK_MECHANISM_TYPE type, const void *parameter,
    CK_ULONG length, CK_RV *rv)
{
	bool good;

	switch (type) {
	case CKM_AES_GCM:
		good = put_gcm_wrap_params(writer, parameter, length);
		break;
	case CKM_AES_CCM:
		good = put_ccm_wrap_params(writer, parameter, length);
		break;
	default:
		return put_parameter(writer, type, parameter, length, rv);
	}
	if (!good)
		*rv = CKR_MECHANISM_PARAM_INVALID;
	return true;
}

bool
put_message_parameter(struct writer *writer, CK_MECHANISM_TYPE type, bool encrypts,
    const void *parameter, CK_ULONG length, CK_RV *rv)
{
	bool good;

	switch (type) {
	case CKM_AES_GCM:
		good = put_gcm_message_params(writer, encrypts, parameter, length);
		break;
	case CKM_AES_CCM:
		good = put_ccm_message_params(writer, encrypts, parameter, length);
		break;
	case CKM_CHACHA20_POLY1305:
		good = put_salsa20_chacha20_poly1305_msg_params(writer, encrypts, parameter, length);
		break;
	default:
		return false;
	}
	if (!good)
		*rv = CKR_MECHANISM_PARAM_INVALID;
	return true;
}

bool
get_wrap_parameter(struct reader *fields, CK_MECHANISM_TYPE type, void *parameter)
{
	switch (type) {
	case CKM_AES_GCM:
		get_gcm_wrap_params(fields, parameter);
		return true;
	case CKM_AES_CCM:
		get_ccm_wrap_params(fields, parameter);
		return true;
	default:
		return false;
	}
}

bool
get_message_parameter(struct reader *fields, CK_MECHANISM_TYPE type, void *parameter)
{
	switch (type) {
	case CKM_AES_GCM:
		get_gcm_message_params(fields, parameter);
		return true;
	case CKM_AES_CCM:
		get_ccm_message_params(fields, parameter);
		return true;
	case CKM_CHACHA20_POLY1305:
		get_salsa20_chacha20_poly1305_msg_params(fields, parameter);
		return true;
	default:
		return false;
	}
}
