"""What only PKCS#11 can get wrong."""

from keyholm.wire.pkcs11.constants import CKR


class Wrong(Exception):
    """A call that PKCS#11 does not allow: a handle, a state, a template."""

    def __init__(self, code: int, what: str = "", *, remedy: str = "") -> None:
        super().__init__(what or CKR.name(code))
        self.code, self.what, self.remedy = code, what, remedy
