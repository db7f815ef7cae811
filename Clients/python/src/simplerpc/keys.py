"""Ed25519 keys as OpenSSH writes them, and what they prove (Docs/PROTOCOL.md, section 5, PROOF).

Signing and verifying is done by the package `cryptography` (the extra `keys`); reading a key needs nothing.
"""

import base64
import binascii
import datetime
import hashlib
import os
import stat
from typing import Any, NoReturn, Union

from .errors import MissingExtra
from .values import pack

ALGORITHM = "ssh-ed25519"
_PRIME = 2**255 - 19
#: y coordinates of the points of small order, for which anybody can sign.
_SMALL = {
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
    )
}
#: A key file is some hundred bytes.
FILE_BYTES_MAX = 1024 * 1024


class BadKey(ValueError):
    """A key that cannot be used; the message says why and what to do."""


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ImportError:
        raise MissingExtra("keys", "keys", "cryptography") from None
    return ed25519


def require() -> None:
    """Raises MissingExtra where keys cannot be proven."""
    _ed25519()


def check_pin(text: str) -> str:
    """A pin as it was given. Raises ValueError."""
    try:
        if text.startswith("sha256//") and len(base64.b64decode(text[8:], validate=True)) == 32:
            return text
    except ValueError:
        pass
    raise ValueError(f"'{text[:64]}' is not a pin; write sha256//BASE64, as 'rpc-server --print-pin' tells it")


class PublicKey:
    """Who its owner is to everybody else; written as OpenSSH writes it, `ssh-ed25519 AAAA…`."""

    __slots__ = ("bytes",)

    def __init__(self, data: bytes) -> None:
        if len(data) != 32:
            raise BadKey(f"an Ed25519 public key has 32 bytes, not {len(data)}")
        y = int.from_bytes(data, "little") & ((1 << 255) - 1)
        if y >= _PRIME:
            raise BadKey("the key is no point of the curve")
        if y in _SMALL:
            raise BadKey("the key is of small order: anybody could sign for it")
        self.bytes = bytes(data)

    @classmethod
    def parse(cls, text: str) -> "PublicKey":
        """Reads the line of a .pub file."""
        words = text.split()
        if not words or words[0] != ALGORITHM:
            if "PRIVATE KEY" in text:
                raise BadKey("this is a private key; the public one is beside it in FILE.pub")
            raise BadKey(f"'{' '.join(words)[:32]}' is not a public key; write {ALGORITHM} AAAA…, the line of a .pub file")
        try:
            blob = base64.b64decode(words[1] if len(words) > 1 else "", validate=True)
            reader = _Reader(blob)
            if reader.string() != ALGORITHM.encode():
                raise BadKey("another algorithm")
            key = reader.string()
            if reader.rest():
                raise BadKey("something follows")
        except (binascii.Error, BadKey):
            raise BadKey(f"what follows {ALGORITHM} is not such a key: copy the line of the .pub file as it is") from None
        return cls(key)

    @property
    def blob(self) -> bytes:
        return b"".join(len(part).to_bytes(4, "big") + part for part in (ALGORITHM.encode(), self.bytes))

    @property
    def fingerprint(self) -> str:
        """What `ssh-keygen -l` shows."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def verifies(self, signature: bytes, statement: list[Any]) -> bool:
        ed25519 = _ed25519()
        from cryptography.exceptions import InvalidSignature

        try:
            ed25519.Ed25519PublicKey.from_public_bytes(self.bytes).verify(signature, pack(statement))
        except (InvalidSignature, ValueError):
            return False
        return True

    def __str__(self) -> str:
        return f"{ALGORITHM} {base64.b64encode(self.blob).decode()}"

    def __repr__(self) -> str:
        return f"PublicKey.parse('{self}')"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.bytes == other.bytes

    def __hash__(self) -> int:
        return hash(self.bytes)


class PrivateKey:
    """Proves who its owner is. `PrivateKey.load(FILE)` reads what `ssh-keygen -t ed25519 -N '' -f FILE` makes."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != 32:
            raise BadKey(f"an Ed25519 private key has 32 bytes, not {len(seed)}")
        self._key = _ed25519().Ed25519PrivateKey.from_private_bytes(seed)
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        self.public = PublicKey(self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    @classmethod
    def load(cls, path: Union[str, "os.PathLike[str]"]) -> "PrivateKey":
        """Reads a file that only its owner may read."""
        path = os.fspath(path)
        try:
            # A pipe that nobody writes to must not hold us up.
            with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:
                status = os.fstat(file.fileno())
                if not stat.S_ISREG(status.st_mode):
                    raise BadKey("it is not a file")
                if status.st_mode & 0o077:
                    raise BadKey(f"others than its owner may read it: chmod 600 '{path}'")
                data = file.read(FILE_BYTES_MAX + 1)
                if len(data) > FILE_BYTES_MAX:
                    raise BadKey(f"it is longer than {FILE_BYTES_MAX} bytes")
            return cls.parse(data.decode("utf-8", "replace"))
        except OSError as error:
            raise BadKey(f"the key '{path}' cannot be read: {error.strerror}") from None
        except BadKey as error:
            raise BadKey(f"the key '{path}': {error}") from None

    @classmethod
    def parse(cls, text: str) -> "PrivateKey":
        lines = text.split()
        if text.startswith(ALGORITHM):
            raise BadKey("this is a public key; the private one is in the file without .pub")
        if len(lines) < 9 or " ".join(lines[:4]) != "-----BEGIN OPENSSH PRIVATE KEY-----":
            raise BadKey("this is not an OpenSSH private key: ssh-keygen -t ed25519 -N '' -f FILE makes one")
        try:
            blob = base64.b64decode("".join(lines[4:-4]), validate=True)
        except binascii.Error:
            raise BadKey("the key is damaged: its Base64 is not whole") from None
        if not blob.startswith(b"openssh-key-v1\0"):
            raise BadKey("the key is of a version that is not known here")
        reader = _Reader(blob[15:])
        cipher, _, _ = reader.string(), reader.string(), reader.string()
        if cipher != b"none":
            raise BadKey("the key has a passphrase, for which nobody can be asked here: ssh-keygen -p -N '' -f FILE takes it away")
        if reader.number() != 1:
            raise BadKey("the file has several keys, not one")
        published = _Reader(reader.string())
        secret = _Reader(reader.string())
        if secret.number() != secret.number():
            raise BadKey("the key is damaged")
        algorithm = secret.string().decode("ascii", "replace")
        if algorithm != ALGORITHM:
            raise BadKey(f"keys are of the kind {ALGORITHM}, not {algorithm[:32]}: ssh-keygen -t ed25519 makes one")
        public, pair = secret.string(), secret.string()
        if len(pair) != 64 or pair[32:] != public:
            raise BadKey("the key is damaged: its halves do not belong together")
        key = cls(pair[:32])
        if key.public.bytes != public or published.string() != ALGORITHM.encode() or published.string() != public:
            raise BadKey("the key is damaged: its halves do not belong together")
        return key

    def sign(self, statement: list[Any]) -> bytes:
        signature: bytes = self._key.sign(pack(statement))
        return signature

    def certificate(self) -> tuple[bytes, bytes]:
        """A certificate of this key for TLS, and the key itself, in PEM: inside TLS a server knows the client by that."""
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
        from cryptography.x509.oid import NameOID

        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simplerpc")])
        # RFC 5280, section 4.1.2.5: no date after which it would not be good.
        begin, end = datetime.datetime(2020, 1, 1), datetime.datetime(9999, 12, 31, 23, 59, 59)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .sign(self._key, None)
        )
        private = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return certificate.public_bytes(Encoding.PEM), private

    def __repr__(self) -> str:
        return f"<private key of {self.public.fingerprint}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key does not travel")


class _Reader:
    """What OpenSSH keeps in its key files: numbers of 4 bytes, and strings behind their length (RFC 4251, section 5)."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self) -> int:
        return int.from_bytes(self._take(4), "big")

    def string(self) -> bytes:
        return self._take(self.number())

    def rest(self) -> bytes:
        return self._data[self._at :]

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise BadKey("the key is cut short")
        self._at += count
        return taken


def server_statement(nonce: bytes, server_key: bytes, channel: bytes) -> list[Any]:
    """What a server signs."""
    return ["SimpleRPC server 1", nonce, server_key, channel]


def client_statement(
    challenge: bytes, key: bytes, server: str, ip: bytes, port: int, server_key: bytes, channel: bytes
) -> list[Any]:
    """What a client signs."""
    return ["SimpleRPC proof 2", challenge, key, server, ip, port, server_key, channel]
