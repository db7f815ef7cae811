"""TLS 1.3 around a connection, without a socket (Docs/PROTOCOL.md, section 14): bytes in, bytes out."""

import base64
import hashlib
import os
import ssl
import tempfile
import threading
from typing import Optional

from .keys import PrivateKey
from .topology import Server

#: Where a file holds the client's certificate and its key: the same or two.
Certificate = tuple[str, str]


class NotTrusted(Exception):
    """The server is not who it should be, or does not take what we show."""


class Contexts:
    """What connections of one client share: one context for each way to know a server."""

    def __init__(self, certificate: Optional[Certificate], key: Optional[PrivateKey]) -> None:
        self._certificate, self._key = certificate, key
        self._contexts: dict[Optional[str], ssl.SSLContext] = {}
        self._lock = threading.Lock()

    def filter(self, server: Server) -> "TLS":
        return TLS(self.prepare(server), server)

    def prepare(self, server: Server) -> ssl.SSLContext:
        """Raises ValueError for files that cannot be used."""
        with self._lock:
            # A pin says more than an authority, see below.
            ca = None if server.pin else server.ca
            context = self._contexts.get(ca)
            if context is None:
                context = self._contexts[ca] = self._make(ca)
        return context

    def _make(self, ca: Optional[str]) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["simplerpc/1"])
        try:
            if ca is None:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            elif ca.lstrip().startswith("-----BEGIN"):
                context.load_verify_locations(cadata=ca)
            else:
                context.load_verify_locations(ca)
        except (OSError, ssl.SSLError) as error:
            shown = "the authorities" if ca and ca.lstrip().startswith("-----") else f"the authorities '{ca}'"
            raise ValueError(f"{shown} cannot be read: {error.strerror or error}") from None
        if self._certificate is not None:
            try:
                context.load_cert_chain(*self._certificate)
            except (OSError, ssl.SSLError) as error:
                names = "' or '".join(dict.fromkeys(self._certificate))
                raise ValueError(f"the certificate in '{names}' cannot be used: {error.strerror or error}") from None
        elif self._key is not None:
            _load(context, *self._key.certificate())
        return context


def _load(context: ssl.SSLContext, certificate: bytes, key: bytes) -> None:
    """Python takes certificates from files only: this one is its owner's alone, and gone at once."""
    descriptor, path = tempfile.mkstemp()
    try:
        with open(descriptor, "wb") as file:
            file.write(key + certificate)
        context.load_cert_chain(path)
    finally:
        os.unlink(path)


class TLS:
    """One connection. Not for two threads at once."""

    def __init__(self, context: ssl.SSLContext, server: Server) -> None:
        self._server = server
        self._input, self._output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._input, self._output, server_hostname=server.host)
        self._early = bytearray()
        self.is_open = False
        self._handshake()

    def _handshake(self) -> None:
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLCertVerificationError as error:
            raise NotTrusted(f"its certificate is not good: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise NotTrusted(f"the TLS handshake failed: {error.reason or error}") from None
        if self._server.pin:
            found = pin_of(self._object.getpeercert(binary_form=True) or b"")
            if found != self._server.pin:
                raise NotTrusted(f"it has the certificate {found}, expected was {self._server.pin}")
        self.is_open = True
        if self._early:
            early, self._early = bytes(self._early), bytearray()
            self.send(early)

    def receive(self, data: bytes) -> bytes:
        """What was in the records that are whole. Raises NotTrusted, or ConnectionError for records that are none."""
        self._input.write(data)
        if not self.is_open:
            self._handshake()
            if not self.is_open:
                return b""
        plain = bytearray()
        try:
            while True:
                piece = self._object.read(65536)
                if not piece:
                    break
                plain += piece
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError):
            pass
        except ssl.SSLError as error:
            # TLS 1.3 tells of a client's certificate that is not taken after the client thinks that all is well.
            raise NotTrusted(f"TLS ended: {error.reason or error}") from None
        return bytes(plain)

    def send(self, data: bytes) -> None:
        if not self.is_open:
            self._early += data
            return
        view = memoryview(data)
        while view:
            view = view[self._object.write(view) :]

    def output(self) -> bytes:
        return self._output.read()

    def close(self) -> None:
        """Says close_notify; nobody waits for the server's."""
        if self.is_open:
            try:
                self._object.unwrap()
            except ssl.SSLError:
                pass


def pin_of(certificate: bytes) -> str:
    """sha256//BASE64 of the SubjectPublicKeyInfo of a certificate in DER (RFC 5280, section 4.1)."""

    def enter(at: int) -> tuple[int, int]:
        """Where the contents of the element at `at` begin, and where it ends."""
        length, start = certificate[at + 1], at + 2
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(certificate[at + 2 : start], "big")
        return start, start + length

    try:
        at = enter(enter(0)[0])[0]
        if certificate[at] == 0xA0:  # the version
            at = enter(at)[1]
        for _ in ("serial number", "signature", "issuer", "validity", "subject"):
            at = enter(at)[1]
        digest = hashlib.sha256(certificate[at : enter(at)[1]]).digest()
    except IndexError:
        raise NotTrusted("its certificate cannot be read") from None
    return "sha256//" + base64.b64encode(digest).decode()
