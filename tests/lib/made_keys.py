"""Keys that docrow makes for rows without one, computed anew from what docs/mapping.md says about them."""

import fractions
import hashlib
import struct
import uuid

NAMESPACE = uuid.UUID("6b1f0a94-3c5e-4d7a-9f21-d0c72077e805")  # where a mapping names none


def uuid5(namespace, name):
    """RFC 9562, version 5; name: bytes."""
    digest = bytearray(hashlib.sha1(namespace.bytes + name).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return uuid.UUID(bytes=bytes(digest))


def canonical(value):
    """MongoDB's own equality as bytes: whole numbers, texts, and documents and lists of them."""
    if isinstance(value, str):
        return b"s" + struct.pack(">I", len(value.encode())) + value.encode()
    if isinstance(value, dict):
        return b"{" + b"".join(b"\1" + k.encode() + b"\0" + canonical(v) for k, v in value.items()) + b"\0"
    if isinstance(value, list):
        return b"[" + b"".join(b"\1" + canonical(v) for v in value) + b"\0"
    number = fractions.Fraction(value)
    if number == 0:
        return b"0"
    twos = fives = 0
    while number.denominator % 2 == 0:
        number, twos = number * 2, twos - 1
    n = abs(number.numerator)
    while n % 2 == 0:
        n, twos = n // 2, twos + 1
    while n % 5 == 0:
        n, fives = n // 5, fives + 1
    return (b"-" if number < 0 else b"+") + n.to_bytes(16, "big") + struct.pack(">ii", twos, fives)


def key_bytes(kind, key, mongo_id=None):
    """The key of the row above, of PostgreSQL type kind; of jsonb keys the _id counts."""
    if kind == "jsonb":
        return canonical(mongo_id)
    if kind in ("smallint", "integer", "bigint"):
        return struct.pack(">q", key)
    if isinstance(key, str) and kind == "uuid":
        return uuid.UUID(key).bytes
    if isinstance(key, str) and kind == "bytea":
        return bytes.fromhex(key)
    return key.bytes if isinstance(key, uuid.UUID) else key.encode() if isinstance(key, str) else bytes(key)


def made_key(path, above, position, namespace=NAMESPACE):
    """path: of the array in the row above, dotted or a list of keys; above: bytes of that row's key."""
    keys = path.split(".") if isinstance(path, str) else path
    name = struct.pack(">I", len(keys)) + b"".join(k.encode() + b"\0" for k in keys) + above + struct.pack(">q", position)
    return uuid5(namespace, name)
