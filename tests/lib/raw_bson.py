"""BSON written by hand, so that documents can hold what no driver makes: bad UTF-8, keys that stand twice, old types.

A value is a tuple (kind, payload), a document's payload a list of (key bytes, value):

    ("document", [(b"_id", ("int32", 1)), (b"a", ("string", b"\\xff")), (b"a", ("null", None))])
"""

import decimal
import math
import struct

KINDS = {
    "double": 0x01, "string": 0x02, "document": 0x03, "array": 0x04, "binary": 0x05, "undefined": 0x06, "objectid": 0x07,
    "bool": 0x08, "date": 0x09, "null": 0x0A, "regex": 0x0B, "dbpointer": 0x0C, "code": 0x0D, "symbol": 0x0E,
    "codewscope": 0x0F, "int32": 0x10, "timestamp": 0x11, "int64": 0x12, "decimal": 0x13, "minkey": 0xFF, "maxkey": 0x7F,
}  # fmt: skip

NOTHING = {"missing", "null", "undefined"}


def _text(raw):
    return struct.pack("<i", len(raw) + 1) + raw + b"\0"


def _binary(payload):
    subtype, raw = payload
    if subtype == 2:
        raw = struct.pack("<i", len(raw)) + raw
    return struct.pack("<iB", len(raw), subtype) + raw


def _codewscope(payload):
    code, scope = payload
    body = _text(code) + document(scope)
    return struct.pack("<i", len(body) + 4) + body


_PAYLOADS = {
    "double": lambda x: struct.pack("<d", x),
    "string": _text,
    "code": _text,
    "symbol": _text,
    "document": lambda fields: document(fields),
    "array": lambda items: document([(str(i).encode(), x) for i, x in enumerate(items)]),
    "binary": _binary,
    "objectid": bytes,
    "bool": lambda x: bytes([x]),
    "date": lambda x: struct.pack("<q", x),
    "regex": lambda x: x[0] + b"\0" + x[1] + b"\0",
    "dbpointer": lambda x: _text(x[0]) + x[1],
    "codewscope": _codewscope,
    "int32": lambda x: struct.pack("<i", x),
    "int64": lambda x: struct.pack("<q", x),
    "timestamp": lambda x: struct.pack("<II", x[1], x[0]),
    "decimal": bytes,
}


def field(key, value):
    kind, payload = value
    put = _PAYLOADS.get(kind)
    return bytes([KINDS[kind]]) + key + b"\0" + (put(payload) if put else b"")


def document(fields):
    body = b"".join(field(key, value) for key, value in fields)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


# --- Decimal128 (IEEE 754-2008, binary integer decimal) ---


def decimal128(text):
    """The 16 bytes of a text such as -1.10, 9E+6144, NaN, -Infinity; at most 34 digits."""
    d = decimal.Decimal(text)
    sign, digits, exponent = d.as_tuple()
    high = sign << 63
    if exponent == "F":
        return struct.pack("<QQ", 0, high | 0x7800000000000000)
    if exponent in ("n", "N"):
        return struct.pack("<QQ", 0, high | 0x7C00000000000000)
    number = int("".join(map(str, digits)))
    if exponent > 6111:  # 9E+6144: zeros of the coefficient make up for it
        number, exponent = number * 10 ** (exponent - 6111), 6111
    assert number < 10**34 and -6176 <= exponent <= 6111, text
    return struct.pack("<QQ", number & (2**64 - 1), high | (exponent + 6176) << 49 | number >> 64)


def read_decimal128(raw):
    """decimal.Decimal of 16 bytes; what is no canonical number is 0, as IEEE 754 has it."""
    low, high = struct.unpack("<QQ", raw)
    sign = high >> 63
    top = high >> 58 & 0x1F
    if top == 0x1F:
        return decimal.Decimal("NaN")
    if top == 0x1E:
        return decimal.Decimal((sign, (0,), "F"))
    if high >> 61 & 3 == 3:
        return decimal.Decimal((sign, (0,), (high >> 47 & 0x3FFF) - 6176))
    number = (high & (2**49 - 1)) << 64 | low
    if number >= 10**34:
        number = 0
    return decimal.Decimal((sign, tuple(map(int, str(number))), (high >> 49 & 0x3FFF) - 6176))


# --- MongoDB's equality ---


def equal_form(value):
    """Equal for values that MongoDB holds equal (in an index of _id), different for all others."""
    kind, x = value
    if kind in ("int32", "int64"):
        return ("number", decimal.Decimal(x).normalize())
    if kind == "double":
        return ("number", "nan") if math.isnan(x) else ("number", _normal(decimal.Decimal(x)))
    if kind == "decimal":
        d = read_decimal128(x)
        return ("number", "nan") if d.is_nan() else ("number", _normal(d))
    if kind in ("string", "symbol"):
        return ("text", x)
    if kind == "document":
        return ("document", tuple((k, equal_form(v)) for k, v in x))
    if kind == "array":
        return ("array", tuple(equal_form(v) for v in x))
    if kind == "codewscope":
        return (kind, x[0], equal_form(("document", x[1])))
    return (kind, x)


def _normal(d):
    with decimal.localcontext(decimal.Context(prec=2000, Emax=10**6, Emin=-(10**6))):
        return d.normalize() + 0 if d.is_finite() else d
