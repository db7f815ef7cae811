"""TLS for simplerpc.py, standard library only: section 14 of Docs/PROTOCOL.md."""

import base64
import hashlib
import socket
import ssl
import threading


class Secure:
    """TLS 1.3 around a connected socket, for one thread that reads and one at a time that writes: an SSLSocket may not
    be used by two at once."""

    def __init__(self, plain, host, certificate, ca):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["simplerpc/1"])
        if certificate:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin says more, see below
        else:
            context.load_verify_locations(ca)
        self._plain, self._lock, self._input, self._output = plain, threading.Lock(), ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._input, self._output, server_hostname=host)
        self.fileno, self.close, self.setsockopt = plain.fileno, plain.close, plain.setsockopt
        self.settimeout = plain.settimeout
        try:
            self._handshake(certificate)
        except BaseException:
            plain.close()
            raise

    def _handshake(self, certificate):
        """Raises PermissionError for a server that is not trusted."""
        while True:
            try:
                self._tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._plain.sendall(self._output.read())
            except ssl.SSLError as error:
                self._plain.sendall(self._output.read())
                raise PermissionError(f"the TLS handshake failed: {error}") from None
            if not (data := self._plain.recv(65536)):
                raise ConnectionError("the server ended the connection within the TLS handshake")
            self._input.write(data)
        self._plain.sendall(self._output.read())
        if certificate and (found := pin(self._tls.getpeercert(binary_form=True))) != certificate:
            raise PermissionError(f"the server has the certificate {found}, expected was {certificate}")

    def recv(self, count):
        """What came; b"" at the end, None where what came is no whole record."""
        data = self._plain.recv(count)
        with self._lock:
            self._input.write(data) if data else self._input.write_eof()
            plain = bytearray()
            try:
                while piece := self._tls.read(count):
                    plain += piece
            except ssl.SSLWantReadError:
                return bytes(plain) or None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                pass
        return bytes(plain)

    def sendall(self, data):
        with self._lock:
            while data:
                data = data[self._tls.write(data) :]
            records = self._output.read()
        self._plain.sendall(records)

    def shutdown(self, how):
        with self._lock:
            try:
                self._tls.unwrap()  # says close_notify, and would wait for the server's
            except ssl.SSLError:
                pass
            if records := self._output.read():
                self._plain.send(records, socket.MSG_DONTWAIT)
        self._plain.shutdown(how)


def pin(certificate):
    """sha256//BASE64 of the SubjectPublicKeyInfo of a certificate in DER (RFC 5280, section 4.1)."""

    def enter(at):
        """Where the contents of the element at `at` begin, and where it ends."""
        length, start = certificate[at + 1], at + 2
        if length >= 0x80:
            start += length & 0x7F
            length = int.from_bytes(certificate[at + 2 : start], "big")
        return start, start + length

    at = enter(enter(0)[0])[0]
    if certificate[at] == 0xA0:  # the version
        at = enter(at)[1]
    for _ in ("serial number", "signature", "issuer", "validity", "subject"):
        at = enter(at)[1]
    digest = hashlib.sha256(certificate[at : enter(at)[1]]).digest()
    return "sha256//" + base64.b64encode(digest).decode()
