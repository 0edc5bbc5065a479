"""Another program's QUIC client (aioquic) at our door: refused with the exact code, and the server goes on serving.

Usage: strangers.py ADDRESS     of a running server, as `--listen` prints it: 127.0.0.1:4433
"""

import asyncio
import os
import socket
import ssl
import sys

from aioquic.asyncio import QuicConnectionProtocol, connect
from aioquic.buffer import Buffer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicPacketType, pull_quic_header

CRYPTO_ERROR = 0x100  # RFC 9001 §4.8: a TLS alert as a QUIC error code
HANDSHAKE_FAILURE = 40  # RFC 8446 §6.2
NO_APPLICATION_PROTOCOL = 120
QUIC_V1 = 1


class Watched(QuicConnectionProtocol):
    """Keeps how the connection ended."""

    ended: ConnectionTerminated | None = None

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            self.ended = event
        super().quic_event_received(event)


async def knock(host: str, port: int, protocol: str) -> ConnectionTerminated | None:
    """Tries to connect, speaking this protocol and believing any certificate; how it ended, None if it did not."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=[protocol], verify_mode=ssl.CERT_NONE)
    made = []

    def make(*arguments, **more) -> Watched:
        made.append(Watched(*arguments, **more))
        return made[0]

    try:
        async with asyncio.timeout(10), connect(host, port, configuration=configuration, create_protocol=make):
            return None
    except ConnectionError:
        return made[0].ended


def check_alert(host: str, port: int, protocol: str, alert: int) -> None:
    ended = asyncio.run(knock(host, port, protocol))
    assert ended is not None and ended.error_code == CRYPTO_ERROR + alert, f"{protocol}: {ended}"
    print(f"aioquic, {protocol}: refused with TLS alert {alert} (QUIC error {ended.error_code:#x})")


def check_version_negotiation(host: str, port: int) -> None:
    """RFC 9000 §6.1: a long enough packet of an unknown version is answered with the versions there are."""
    destination, source = os.urandom(8), os.urandom(8)
    ids = bytes([8]) + destination + bytes([8]) + source
    first = bytes([0xC0]) + bytes.fromhex("1a2a3a4a") + ids
    answer = ask(host, port, first.ljust(1200, b"\0"))
    header = pull_quic_header(Buffer(data=answer))
    assert header.packet_type == QuicPacketType.VERSION_NEGOTIATION, header
    assert header.destination_cid == source and header.source_cid == destination, header
    # §15: versions of the form 0x?a?a?a?a are there to be ignored.
    real = [version for version in header.supported_versions if version & 0x0F0F0F0F != 0x0A0A0A0A]
    assert real == [QUIC_V1], header
    # §14.1: a short one is not, so that nobody makes the server send more than it was sent.
    assert ask(host, port, first) is None, "a short packet was answered"
    print("aioquic, an unknown version: told version 1; a short packet is told nothing")


def ask(host: str, port: int, datagram: bytes) -> bytes | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10 if len(datagram) >= 1200 else 0.3)
        sock.sendto(datagram, (host, port))
        try:
            return sock.recv(2048)
        except TimeoutError:
            return None


def check(address: str) -> None:
    host, port = address.rsplit(":", 1)
    check_alert(host, int(port), "h3", NO_APPLICATION_PROTOCOL)
    # Our protocol, but certificates instead of raw public keys (RFC 7250 §4.2).
    check_alert(host, int(port), "bhyt/1", HANDSHAKE_FAILURE)
    check_version_negotiation(host, int(port))


if __name__ == "__main__":
    check(sys.argv[1])
