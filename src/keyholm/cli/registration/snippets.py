"""Programs that want to be pointed at a file of ours each time: Java, OpenSSL, curl.

Nothing that they read by themselves is changed, so nobody else's TLS breaks.
"""

import glob
import os
import re
from collections.abc import Sequence
from typing import Final

from keyholm.cli.registration.target import Edit, Target, Wish, whole
from keyholm.core.errors import BadRequest

MARK: Final = "# Written by `keyholm enable {0}`; `keyholm disable {0}` takes it away.\n"
PROVIDERS: Final = ("/usr/lib/*/ossl-modules/pkcs11.so", "/usr/lib*/ossl-modules/pkcs11.so")
ENGINES: Final = ("/usr/lib/*/engines-3/pkcs11.so", "/usr/lib*/engines-3/pkcs11.so")
JAVA_SECURITY: Final = ("/usr/lib/jvm/*/conf/security/java.security",)
USUAL_NUMBER: Final = 12  # of SunPKCS11 in OpenJDK 17 and 21 on Linux


def _place(wish: Wish, name: str) -> str:
    return os.path.join(wish.folder, name)


def _first(patterns: Sequence[str]) -> str:
    return next((path for pattern in patterns for path in sorted(glob.glob(pattern))), "")


# --- OpenSSL and curl ----------------------------------------------------------------


def openssl_configuration(name: str, module: str, *, provider: str, engine: str) -> str:
    if provider:
        return MARK.format(name) + _PROVIDER.format(provider=provider, module=module)
    if engine:
        return MARK.format(name) + _ENGINE.format(engine=engine, module=module)
    raise BadRequest(
        "OpenSSL has neither a provider nor an engine for PKCS#11 here.",
        remedy="apt-get install pkcs11-provider, or libengine-pkcs11-openssl",
    )


_PROVIDER: Final = """\
openssl_conf = keyholm_init

[keyholm_init]
providers = keyholm_providers

[keyholm_providers]
default = keyholm_default
pkcs11 = keyholm_pkcs11

[keyholm_default]
activate = 1

[keyholm_pkcs11]
module = {provider}
pkcs11-module-path = {module}
activate = 1
"""
_ENGINE: Final = """\
openssl_conf = keyholm_init

[keyholm_init]
engines = keyholm_engines

[keyholm_engines]
pkcs11 = keyholm_pkcs11

[keyholm_pkcs11]
engine_id = pkcs11
dynamic_path = {engine}
MODULE_PATH = {module}
init = 1
"""


def _openssl(wish: Wish, name: str) -> str:
    module = wish.needs_module()
    return openssl_configuration(name, module, provider=_first(PROVIDERS), engine=_first(ENGINES))


def openssl_edits(wish: Wish) -> Sequence[Edit]:
    content = _openssl(wish, "openssl")
    return [Edit(_place(wish, "openssl.cnf"), whole(content))]


def openssl_usage(wish: Wish) -> Sequence[str]:
    engine = "" if _first(PROVIDERS) else " -engine pkcs11 -keyform engine"
    return (
        f"export OPENSSL_CONF={_place(wish, 'openssl.cnf')}",
        f"openssl pkeyutl{engine} -sign -inkey 'pkcs11:object=KEY;type=private' -in DIGEST -out SIGNATURE",
    )


def curl_edits(wish: Wish) -> Sequence[Edit]:
    content = _openssl(wish, "curl")
    options = MARK.format("curl") + "engine = pkcs11\nkey-type = ENG\n"
    return [
        Edit(_place(wish, "curl.cnf"), whole(content)),
        Edit(_place(wish, "curlrc"), whole(options)),
    ]


def curl_usage(wish: Wish) -> Sequence[str]:
    return (
        f"OPENSSL_CONF={_place(wish, 'curl.cnf')} curl -K {_place(wish, 'curlrc')} "
        "--cert CERTIFICATE.pem --key 'pkcs11:object=KEY;type=private' https://HOST/",
    )


# --- Java ----------------------------------------------------------------------------


def provider_number() -> int:
    """Where a Java of this machine has SunPKCS11: the numbers must have no gap."""
    path = _first(JAVA_SECURITY)
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            found = re.search(
                r"^security\.provider\.(\d{1,3})=SunPKCS11\s*$", file.read(), re.MULTILINE
            )
    except OSError:
        found = None
    return int(found[1]) if found else USUAL_NUMBER


def java_edits(wish: Wish) -> Sequence[Edit]:
    module, path = wish.needs_module(), _place(wish, "java.cfg")
    if any(letter in module + path for letter in '\n\r"'):
        raise BadRequest("Java cannot be given a path with quotes or line breaks.")
    content = (
        MARK.format("java")
        + f'name = keyholm\nlibrary = "{module}"\nslotListIndex = 0\nattributes = compatibility\n'
    )
    escaped = path.replace("\\", "\\\\")
    security = MARK.format("java") + f"security.provider.{provider_number()}=SunPKCS11 {escaped}\n"
    return [
        Edit(path, whole(content)),
        Edit(_place(wish, "java.security"), whole(security)),
    ]


def java_usage(wish: Wish) -> Sequence[str]:
    configuration, security = _place(wish, "java.cfg"), _place(wish, "java.security")
    return (
        "keytool -list -keystore NONE -storetype PKCS11 -providerClass "
        f"sun.security.pkcs11.SunPKCS11 -providerArg {configuration}",
        f"java -Djava.security.properties={security} ...",
    )


OPENSSL: Final = Target(
    "openssl", "by its provider or engine, where OPENSSL_CONF says so", "", openssl_edits,
    openssl_usage,
)  # fmt: skip
CURL: Final = Target("curl", "client certificates", "", curl_edits, curl_usage)
JAVA: Final = Target("java", "keytool, jarsigner, SunPKCS11", "", java_edits, java_usage)
