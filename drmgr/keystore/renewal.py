"""One repository password while it is renewed, in the keystore."""

from drmgr.keystore.store import FileKeystore
from drmgr.system.secret import Secret


class PasswordRenewal:
    """Implements interfaces.Renewal for the keystore's entry of that name."""

    def __init__(self, keystore: FileKeystore, entry: str) -> None:
        self._keystore = keystore
        self._entry = entry

    def present(self) -> Secret:
        return Secret(self._keystore.secret(self._entry).hex())

    def begin(self) -> Secret:
        return Secret(self._keystore.begin_renewal(self._entry).hex())

    def complete(self) -> None:
        self._keystore.complete_renewal(self._entry)

    def retired(self) -> Secret | None:
        value = self._keystore.retired(self._entry)
        return None if value is None else Secret(value.hex())

    def forget(self) -> None:
        self._keystore.forget_retired(self._entry)
