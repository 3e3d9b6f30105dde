"""What ssh-agent's command line, or the configuration, says about this door."""

from msgspec import Struct


class Options(Struct, frozen=True):
    default_lifetime: float | None = None  # seconds; -t
    providers: str = "/usr/lib*/*,/usr/local/lib*/*"  # patterns of middleware; -P
    remote_providers: bool = False  # -O allow-remote-pkcs11
    websafe: str = "ssh:*"  # patterns of FIDO applications that may sign anything
    restrict_websafe: bool = True  # -O no-restrict-websafe
