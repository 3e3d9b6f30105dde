"""All targets, as `keyholm enable` lists them."""

from typing import Final

from keyholm.cli.registration import nss, p11_kit, snippets, ssh
from keyholm.cli.registration.target import Target

TARGETS: Final[dict[str, Target]] = {
    target.name: target
    for target in (
        ssh.SSH,
        ssh.GIT,
        p11_kit.P11_KIT,
        nss.FIREFOX,
        nss.THUNDERBIRD,
        nss.CHROMIUM,
        nss.NSS,
        snippets.OPENSSL,
        snippets.CURL,
        snippets.JAVA,
    )
}
