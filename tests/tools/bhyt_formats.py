"""Readers of docs/formats.md, written from that page alone with stock libraries: cbor2 for CBOR, cwt for COSE. Nothing
here is generated from, or calls, the project's own code."""

import datetime
import hashlib
import io

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cwt import COSE, COSEKey

ALGORITHM_ED25519 = -19
ALGORITHM_EDDSA = -8
ALGORITHM_ES256 = -7  # what ESP256 (-9) was called before RFC 9864 named the curve too; cwt knows this number
CARD_MAP = -65537
BASE45 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def base45_decode(text: str) -> bytes:
    """RFC 9285 section 4."""
    values = [BASE45.index(character) for character in text]
    out = bytearray()
    for at in range(0, len(values), 3):
        group = values[at : at + 3]
        number = sum(value * 45**place for place, value in enumerate(group))
        out += number.to_bytes(2 if len(group) == 3 else 1, "big")
    return bytes(out)


def public_key(x: bytes) -> COSEKey:
    """A COSE_Key of an Ed25519 public key, its algorithm pinned."""
    return COSEKey.new({1: 1, -1: 6, -2: x, 3: ALGORITHM_ED25519, 2: key_id(x)})


def key_id(x: bytes) -> bytes:
    """Formats, 1 rule 5: the first eight bytes of the RFC 9679 thumbprint."""
    cose_key = cbor2.dumps({1: 1, -1: 6, -2: x}, canonical=True)
    return hashlib.sha256(cose_key).digest()[:8]


def is_deterministic(data: bytes) -> bool:
    """Formats, 1 rule 1: the bytes re-encode to themselves."""
    stream = io.BytesIO(data)
    value = cbor2.CBORDecoder(stream).decode()
    return stream.read() == b"" and encode_deterministic(value) == data


def encode_deterministic(value) -> bytes:
    """RFC 8949 section 4.2.1: keys by their encoded bytes (cbor2's canonical mode sorts by length first)."""
    if isinstance(value, cbor2.CBORTag):
        return head(6, value.tag) + encode_deterministic(value.value)
    if isinstance(value, dict):
        entries = sorted((encode_deterministic(k), encode_deterministic(v)) for k, v in value.items())
        return head(5, len(entries)) + b"".join(k + v for k, v in entries)
    if isinstance(value, (list, tuple)):
        return head(4, len(value)) + b"".join(encode_deterministic(item) for item in value)
    return cbor2.dumps(value, canonical=True)


def head(major: int, argument: int) -> bytes:
    data = bytearray(cbor2.dumps(argument, canonical=True))
    data[0] |= major << 5
    return bytes(data)


def read_presentation(text: str):
    """Formats, 3: the card credential's bytes, and the proof or None."""
    assert text.startswith("BHYT1:"), text[:8]
    data = base45_decode(text.removeprefix("BHYT1:"))
    assert is_deterministic(data)
    card, proof = cbor2.loads(data)
    return card, proof


def read_card(card: bytes, issuer_key: bytes) -> dict:
    """Formats, 2: the claims of a card credential whose signature holds."""
    assert is_deterministic(card)
    protected, unprotected, payload, _ = cbor2.loads(card).value
    assert cbor2.loads(protected) == {1: ALGORITHM_ED25519, 4: key_id(issuer_key)}
    assert unprotected == {}
    verified = COSE.new().decode(card, keys=[public_key(issuer_key)], external_aad=b"bhyt/card/v1")
    assert verified == payload and is_deterministic(payload)
    return cbor2.loads(payload)


def check_proof(card: bytes, claims: dict, proof: list) -> None:
    """Formats, 3: the proof is by the key of cnf, over this card. Raises when it is not."""
    time, nonce, signature, *challenge = proof
    payload = cbor2.dumps([hashlib.sha256(card).digest(), time, nonce, challenge[0] if challenge else None])
    message = cbor2.dumps(["Signature1", b"", b"bhyt/present/v1", payload])
    holder_key(claims[8][1]).verify(message, signature)


def holder_key(cose_key: dict) -> COSEKey:
    """Formats, 2: the key of cnf, Ed25519 or P-256 with the parity of y."""
    if cose_key[1] == 1:
        assert set(cose_key) == {1, -1, -2} and cose_key[-1] == 6
        return public_key(cose_key[-2])
    assert set(cose_key) == {1, -1, -2, -3} and cose_key[1] == 2 and cose_key[-1] == 1
    assert isinstance(cose_key[-3], bool) and len(cose_key[-2]) == 32
    point = bytes([2 + cose_key[-3]]) + cose_key[-2]
    y = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point).public_numbers().y
    return COSEKey.new({1: 2, -1: 1, -2: cose_key[-2], -3: y.to_bytes(32, "big"), 3: ALGORITHM_ES256})


def read_token(token: bytes, key: bytes) -> dict:
    """Formats, 5: the claims of a token status list whose signature holds. No tag, and no external_aad."""
    assert is_deterministic(token)
    protected, unprotected, payload, _ = cbor2.loads(token)
    header = {1: ALGORITHM_EDDSA, 4: key_id(key), 16: "application/statuslist+cwt"}
    assert cbor2.loads(protected) == header and unprotected == {}
    # cwt asks for the tag that the draft leaves out; it says nothing that the media type does not.
    verified = COSE.new().decode(b"\xd2" + token, keys=[public_key(key)])
    assert verified == payload and is_deterministic(payload)
    return cbor2.loads(payload)


def day(days: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(days=days)).isoformat()


def day_of(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(
        seconds, tz=datetime.timezone(datetime.timedelta(hours=7))
    ).strftime("%Y-%m-%d %H:%M:%S")
