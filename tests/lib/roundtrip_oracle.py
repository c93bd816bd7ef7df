"""What docs/values.md and docs/mapping.md promise, worked out a second time: one BSON value (see raw_bson.py) and one column
of a mapping → the PostgreSQL value, or the faults that may refuse it. Shares nothing with the program.

A PostgreSQL value is what `SHOWN` in roundtrip.py reads back: numbers of floating point as the bytes that the server sends,
numeric and uuid as text, times as microseconds, json as parsed JSON, arrays as (dimensions, elements).
"""

import base64
import collections
import datetime
import decimal
import fractions
import ipaddress
import math
import re
import struct
import uuid

from .raw_bson import NOTHING, equal_form, read_decimal128

decimal.getcontext().prec = 20000
decimal.getcontext().Emax = 10**6
decimal.getcontext().Emin = -(10**6)

INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
TEXTS = ("text", "varchar", "char", "name")
UUID_RULES = ("uuidv7", "string-uuid", "objectid-string")
POSTGRES_EPOCH_MS = 946684800000
FIRST_MS = -210866803200000  # 4714-11-24 BC
END_MS = 9224318016000000  # 294277-01-01
END_OF_DATE_MS = 185331707078400000  # 5874898-01-01
FLT_MAX = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]


class Fault(Exception):
    """The value does not go in; names: every fault that may be given as the reason."""

    def __init__(self, *names):
        super().__init__(*names)
        self.names = set(names)


class NumberText:
    """Text of a number: any spelling with exactly these digits."""

    def __init__(self, number, is_double):
        self.number, self.is_double = number, is_double

    def __eq__(self, other):
        if not self.is_double:
            return isinstance(other, bytes) and decimal.Decimal(other.decode()).as_tuple() == self.number.as_tuple()
        return isinstance(other, bytes) and decimal.Decimal(other.decode()) == decimal.Decimal(repr(self.number))

    def __repr__(self):
        return f"text of {self.number!r}"


class Name5:
    """A UUIDv5; which one is not foretold, but the same for equal values and another for different ones."""

    def __init__(self, value):
        self.form = equal_form(value)

    def __repr__(self):
        return f"UUIDv5 of {self.form!r}"


class Made:
    """A key that docrow makes; known once the key of the row above is."""

    def __init__(self, path, position):
        self.path, self.position, self.key = path, position, None

    def __repr__(self):
        return f"made key {self.path} {self.position}: {self.key}"


class Json:
    """Parsed JSON; objects are lists of pairs, numbers Decimals. In jsonb the order of keys does not count."""

    def __init__(self, tree, ordered):
        self.tree = tree if ordered else sort_keys(tree)

    def __eq__(self, other):
        return isinstance(other, Json) and same_json(self.tree, other.tree)

    def __repr__(self):
        return f"JSON {self.tree!r}"


class Pairs(list):
    pass


def sort_keys(tree):
    """Without recursion in depth there would be no deep documents; Python's own limit is enough for tests."""
    if isinstance(tree, Pairs):
        return Pairs(sorted(((k, sort_keys(v)) for k, v in tree), key=lambda p: p[0]))
    if isinstance(tree, list):
        return [sort_keys(x) for x in tree]
    return tree


def same_json(a, b):
    return type(a) is type(b) and a == b


# --- ids ---


def v7(oid):
    n = int.from_bytes(oid, "big")
    seconds, rest = n >> 64, n & (2**64 - 1)
    bits = seconds * 1000 << 80 | 7 << 76 | (rest >> 52) << 64 | 2 << 62 | (rest & (2**52 - 1)) << 10 | 0x0DC
    return str(uuid.UUID(int=bits))


def uuid_of_text(raw):
    text = raw.decode("ascii", "replace").lower()
    return text if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) else None


def oid_of_text(raw):
    return bytes.fromhex(raw.decode()) if re.fullmatch(rb"[0-9a-fA-F]{24}", raw) else None


def uuid_of_binary(payload, order):
    subtype, raw = payload
    if len(raw) != 16 or subtype not in (3, 4) or (subtype == 3 and order is None):
        return None
    if subtype == 3 and order == "java":
        raw = raw[7::-1] + raw[:7:-1]
    elif subtype == 3 and order == "csharp":
        return str(uuid.UUID(bytes_le=raw))
    return str(uuid.UUID(bytes=raw))


# --- numbers ---


def number_of(value):
    """Decimal of a BSON number; NaN, infinities and -0 included."""
    kind, x = value
    if kind in ("int32", "int64"):
        return decimal.Decimal(x)
    if kind == "double":
        return decimal.Decimal(x)
    return read_decimal128(x)


def whole_number(column, number, note):
    if not number.is_finite():
        raise Fault("range")
    if number.is_zero():
        if number.is_signed():
            note("negative_zero")
        return 0
    size = INTEGERS[column.base]
    inside = -size <= number < size
    if number != number.to_integral_value():
        raise Fault("inexact", *([] if inside else ["range"]))
    if not inside:
        raise Fault("range")
    return int(number)


def float_bits(column, number):
    """number: a float, or a Decimal that must equal one."""
    if isinstance(number, decimal.Decimal):
        if number.is_finite():
            try:
                x = float(number)
            except OverflowError:
                raise Fault("inexact", "range") from None
            if math.isinf(x) or fractions.Fraction(x) != fractions.Fraction(number):
                raise Fault("inexact", "range")
            number = math.copysign(x, -1 if number.is_signed() else 1)
        else:
            number = float(number)
    if column.base == "double precision":
        return "nan" if math.isnan(number) else struct.pack(">d", number).hex()
    if math.isfinite(number):
        if abs(number) > FLT_MAX:
            raise Fault("range")
        if struct.unpack("<f", struct.pack("<f", number))[0] != number:
            raise Fault("inexact")
    return "nan" if math.isnan(number) else struct.pack(">f", number).hex()


def numeric_text(column, number, keep_scale, note):
    if number.is_nan():
        return "NaN"
    if number.is_infinite():
        if column.precision is not None:
            raise Fault("range")
        return "-Infinity" if number.is_signed() else "Infinity"
    if number.is_zero() and number.is_signed():
        note("negative_zero")
    number = abs(number) if number.is_zero() else number
    bare = number.normalize() if not number.is_zero() else decimal.Decimal(0)
    if column.precision is not None:
        faults = []
        if -bare.as_tuple().exponent > column.scale:
            faults.append("inexact")
        if abs(bare) >= decimal.Decimal(10) ** (column.precision - column.scale):
            faults.append("range")
        if faults:
            raise Fault(*faults)
        return f"{bare.quantize(decimal.Decimal(1).scaleb(-column.scale)):f}"
    if -bare.as_tuple().exponent > 16383 or bare.adjusted() >= 131072:
        raise Fault("range")
    return f"{number if keep_scale else bare:f}"


NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def number_in_text(raw):
    bare = raw.lower().lstrip(b"+-") if raw[:1] in b"+-" and len(raw) > 1 and raw[1:2] not in b"+-" else raw.lower()
    if bare == b"infinity" or raw.lower() == b"nan":
        return decimal.Decimal(raw.decode())
    if not NUMBER.fullmatch(raw):
        raise Fault("format")
    return decimal.Decimal(raw.decode())


def shortest_of_real(x):
    texts = (f"{x:.{digits}e}" for digits in range(9))
    return next(t for t in texts if struct.pack("<f", float(t)) == struct.pack("<f", x))


def float_of_text(column, raw):
    """The nearest one, if its shortest digits are those of the text."""
    number = number_in_text(raw)
    if not number.is_finite():
        return float_bits(column, float(number))
    x = float(number)
    if math.isinf(x) or (x == 0) != number.is_zero():
        raise Fault("range", "inexact")
    if column.base == "real":
        short = struct.unpack("<f", struct.pack("<f", x))[0] if abs(x) <= FLT_MAX else math.inf
        if len(number.normalize().as_tuple().digits) <= 6 and math.isfinite(short) and (short == 0) == number.is_zero():
            if decimal.Decimal(shortest_of_real(short)) != number:
                raise Fault("inexact")
            return struct.pack(">f", short).hex()
    if decimal.Decimal(repr(x)) != number and decimal.Decimal(x) != number:
        raise Fault("inexact", "range")
    return float_bits(column, x)


# --- text ---


def check_utf8(raw):
    """None, or the fault."""
    if b"\0" in raw:
        return "nul"
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return "utf8"
    return None


def character_at(raw, i):
    """Bytes of the character that begins at i; 0: none does, or it is NUL."""
    for n in (1, 2, 3, 4):
        try:
            raw[i : i + n].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return 0 if raw[i] == 0 else n
    return 0


def mend(raw, encoding):
    """NUL, and every byte that is no part of a character, by itself."""
    out, i = bytearray(), 0
    while i < len(raw):
        n = character_at(raw, i)
        out += raw[i : i + n] if n else "\ufffd".encode() if encoding == "replace" else b""
        i += n or 1
    return bytes(out)


def clean_text(column, raw, note):
    wrong = check_utf8(raw)
    if wrong is None:
        return raw
    if column.encoding == "reject":
        raise Fault("nul", "utf8") if b"\0" in raw else Fault(wrong)
    note("encoding")
    return mend(raw, column.encoding)


def fit_text(column, raw):
    if column.base == "name" and len(raw) > 63:
        raise Fault("too_long")
    if column.length is not None and len(raw.decode()) > column.length:
        raise Fault("too_long")
    if column.base == "char" and raw.endswith(b" "):
        raise Fault("inexact")
    if column.base == "char":
        return raw + b" " * ((column.length or 1) - len(raw.decode()))
    return raw


# --- times ---


def instant(column, ms, us=0):
    """ms since 1970 and microseconds beyond them."""
    if column.base == "date":
        if not FIRST_MS <= ms < END_OF_DATE_MS:
            raise Fault("range")
        if ms % 86400000 or us:
            raise Fault("inexact")
        return (ms - POSTGRES_EPOCH_MS) // 86400000
    if not FIRST_MS <= ms < END_MS:
        raise Fault("range")
    stamp = (ms - POSTGRES_EPOCH_MS) * 1000 + us
    if stamp % 10 ** (6 - column.time_precision):
        raise Fault("inexact")
    return stamp


ISO = re.compile(
    r"(?:(\d{4}|[+-]\d{6})-(\d\d)-(\d\d))?(?:(?:(?<=\d)[T ]|^)(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?(Z|[+-]\d\d(?::?\d\d)?)?"
)


def days_of(year, month, day):
    """Days since 1970 in the Gregorian calendar, which comes round every 400 years."""
    cycles, year = divmod(year - 1, 400)
    return cycles * 146097 + datetime.date(year + 1, month, day).toordinal() - 719163


def time_of_text(column, raw):
    m = ISO.fullmatch(raw.decode("ascii", "replace"))
    if not m or not raw or (m[4] is None and m[8]):
        raise Fault("format")
    us, finer = 0, False
    if m[4] is not None:
        h, minute, s = int(m[4]), int(m[5]), int(m[6] or 0)
        if h > 23 or minute > 59 or s > 59:
            raise Fault("format")
        digits = (m[7] or "").ljust(6, "0")
        finer = bool(digits[6:].strip("0"))
        us = ((h * 60 + minute) * 60 + s) * 1000000 + int(digits[:6])
    zone = (m[8] or "Z").replace(":", "").ljust(5, "0") if m[8] and m[8] != "Z" else None
    east = (-1 if zone[0] == "-" else 1) * (int(zone[1:3]) * 60 + int(zone[3:5])) if zone else 0
    if column.base == "time":
        if m[1] or m[4] is None or east:
            raise Fault("format")
        if finer or us % 10 ** (6 - column.time_precision):
            raise Fault("inexact")
        return us
    if not m[1]:
        raise Fault("format")
    try:
        days = days_of(int(m[1]), int(m[2]), int(m[3]))
    except ValueError:
        raise Fault("format") from None
    if finer:
        raise Fault("inexact", "range")
    us -= east * 60000000
    return instant(column, days * 86400000 + us // 1000, us % 1000)


INTERVAL = re.compile(
    r"P(?:(-?\d+)Y)?(?:(-?\d+)M)?(?:(-?\d+)W)?(?:(-?\d+)D)?(?:T(?:(-?\d+)H)?(?:(-?\d+)M)?(?:(-?\d+)(?:\.(\d{1,6}))?S)?)?"
)


def interval_of_text(column, raw):
    m = INTERVAL.fullmatch(raw.decode("ascii", "replace"))
    if not m or not any(m.groups()):
        raise Fault("format")
    y, mo, w, d, h, mi, s = (int(g or 0) for g in m.groups()[:7])
    us = int((m[8] or "").ljust(6, "0"))
    us = (h * 3600 + mi * 60 + s) * 1000000 + (-us if (m[7] or "").startswith("-") else us)
    months, days = y * 12 + mo, w * 7 + d
    if not (-(2**31) <= months < 2**31 and -(2**31) <= days < 2**31 and -(2**63) <= us < 2**63):
        raise Fault("format", "range")
    if us % 10 ** (6 - column.time_precision):
        raise Fault("inexact")
    return (us, days, months)


def iso_text(ms, always_ms):
    """As JavaScript writes it."""
    days, ms = divmod(ms, 86400000)
    cycles, days = divmod(days + 719162, 146097)
    day = datetime.date.fromordinal(days + 1)
    year = day.year + 400 * cycles
    text = f"{year:04d}" if 0 <= year <= 9999 else f"{'-' if year < 0 else '+'}{abs(year):0{6 if abs(year) <= 999999 else 9}d}"
    fraction = f".{ms % 1000:03d}" if always_ms or ms % 1000 else ""
    return f"{text}-{day.month:02d}-{day.day:02d}T{ms // 3600000:02d}:{ms // 60000 % 60:02d}:{ms // 1000 % 60:02d}{fraction}Z"


# --- JSON ---


class JsonWriter:
    def __init__(self, column, note):
        self.mode, self.encoding, self.duplicates = column.json, column.encoding, column.duplicate_keys
        self.note = note
        self.faults, self.mended, self.negative_zero, self.left_out = set(), False, False, False

    def text(self, raw):
        wrong = check_utf8(raw)
        if wrong is None:
            return raw.decode()
        if self.encoding == "reject":
            self.faults |= {"nul", "utf8"} if b"\0" in raw else {wrong}
            return ""
        self.mended = True
        return mend(raw, self.encoding).decode()

    def object(self, fields):
        named = [(self.text(key), value) for key, value in fields]
        if len({k for k, _ in named}) < len(named):
            self.left_out = True
            if self.duplicates == "reject":
                self.faults.add("duplicate_key")
        seen = {}
        for key, value in named if self.duplicates != "last" else reversed(named):
            seen.setdefault(key, value)
        order = [(k, v) for k, v in named if seen.get(k) is v]
        return Pairs((k, self.value(v)) for k, v in order)

    def wrap(self, name, content):
        return Pairs([(name, content)])

    def value(self, value):
        kind, x = value
        plain, canonical = self.mode == "plain", self.mode == "canonical"
        if kind == "document":
            return self.object(x)
        if kind == "array":
            return [self.value(v) for v in x]
        if kind == "string":
            return self.text(x)
        if kind == "bool":
            return bool(x)
        if kind == "null":
            return None
        if kind in ("int32", "int64"):
            return self.wrap("$numberInt" if kind == "int32" else "$numberLong", str(x)) if canonical else decimal.Decimal(x)
        if kind == "double":
            return self.double(x)
        if kind == "decimal":
            d = read_decimal128(x)
            if plain and d.is_finite():
                self.negative_zero |= d.is_zero() and d.is_signed()
                return d
            return self.wrap("$numberDecimal", DecimalText(d))
        if kind == "date":
            if plain:
                return iso_text(x, False)
            inside = self.mode == "relaxed" and 0 <= x < 253402300800000
            return self.wrap("$date", iso_text(x, False) if inside else self.wrap("$numberLong", str(x)))
        if kind == "objectid":
            return x.hex() if plain else self.wrap("$oid", x.hex())
        if kind == "symbol":
            return self.text(x) if plain else self.wrap("$symbol", self.text(x))
        return self.rest(kind, x)

    def double(self, x):
        if not math.isfinite(x):
            return self.wrap("$numberDouble", "NaN" if math.isnan(x) else "Infinity" if x > 0 else "-Infinity")
        if self.mode == "canonical":
            return self.wrap("$numberDouble", DoubleText(x))
        self.negative_zero |= x == 0 and math.copysign(1, x) < 0
        return decimal.Decimal(repr(x))

    def rest(self, kind, x):
        if kind == "binary":
            if self.mode == "plain" and x[0] == 4 and len(x[1]) == 16:
                return str(uuid.UUID(bytes=x[1]))
            content = Pairs([("base64", base64.b64encode(x[1]).decode()), ("subType", f"{x[0]:02x}")])
            return self.wrap("$binary", content)
        if kind == "undefined":
            return self.wrap("$undefined", True)
        if kind == "regex":
            content = Pairs([("pattern", self.text(x[0])), ("options", self.text(x[1]))])
            return self.wrap("$regularExpression", content)
        if kind == "dbpointer":
            oid = x[1].hex() if self.mode == "plain" else self.wrap("$oid", x[1].hex())
            return self.wrap("$dbPointer", Pairs([("$ref", self.text(x[0])), ("$id", oid)]))
        if kind == "code":
            return self.wrap("$code", self.text(x))
        if kind == "codewscope":
            return Pairs([("$code", self.text(x[0])), ("$scope", self.object(x[1]))])
        if kind == "timestamp":
            return self.wrap("$timestamp", Pairs([("t", decimal.Decimal(x[0])), ("i", decimal.Decimal(x[1]))]))
        assert kind in ("minkey", "maxkey"), kind
        return self.wrap("$minKey" if kind == "minkey" else "$maxKey", decimal.Decimal(1))


class DecimalText(str):
    """Text of a Decimal128: any spelling with these digits and this exponent."""

    def __new__(cls, number):
        self = super().__new__(cls, str(number))
        self.number = number
        return self

    def __eq__(self, other):
        try:
            d = decimal.Decimal(str(other))
        except decimal.InvalidOperation:
            return False
        return d.is_nan() if self.number.is_nan() else d.as_tuple() == self.number.as_tuple()

    __hash__ = str.__hash__


class DoubleText(str):
    def __new__(cls, number):
        self = super().__new__(cls, repr(number))
        self.number = number
        return self

    def __eq__(self, other):
        try:
            return struct.pack("<d", float(other)) == struct.pack("<d", self.number) and decimal.Decimal(
                str(other)
            ) == decimal.Decimal(repr(self.number))
        except ValueError:
            return False

    __hash__ = str.__hash__


def json_tree(column, value, note):
    writer = JsonWriter(column, note)
    tree = writer.value(value)
    if writer.faults:
        raise Fault(*writer.faults)
    if writer.mended:
        note("encoding")
    if writer.left_out:
        note("duplicate_keys")
    if writer.negative_zero and column.base == "jsonb":
        note("negative_zero")
    return tree


# --- one value into one type ---


class Column:
    """A column of the mapping with what the conversions ask for worked out."""

    def __init__(self, given, id_rule=None, is_id=False, is_reference=False):
        self.given = given
        self.name = given["name"]
        text = given["type"]
        self.dims = text.count("[]")
        m = re.fullmatch(r"([^(\[]+?)(?:\((\d+)(?:,(\d+))?\))?((?:\[\])*)", text)
        self.base = m[1]
        first, second = m[2] and int(m[2]), m[3] and int(m[3])
        self.length = first if self.base in ("varchar", "char") else None
        self.precision = first if self.base == "numeric" and first is not None else None
        self.scale = (second or 0) if self.precision is not None else None
        self.dimensions = first if self.base == "vector" else None
        self.time_precision = 6 if first is None else first
        if self.base == "char" and self.length is None:
            self.length = 1
        self.accept = set(given.get("accept", ()))
        self.encoding = given.get("encoding", "reject")
        self.json = given.get("json", "relaxed")
        self.duplicate_keys = given.get("duplicate_keys", "reject")
        self.uuid_order = given.get("uuid_order")
        self.labels = given.get("labels", {})
        self.fold_case = given.get("fold_case", False)
        self.enum = given.get("enum")
        self.nullable = not given.get("not_null") and not given.get("primary_key")
        self.id_rule, self.is_id, self.is_reference = id_rule, is_id, is_reference
        path = given.get("from", given["name"])
        self.path = ["."] if path == "." else path.split(".") if isinstance(path, str) else path


def accepted(note, value):
    note("accepted")
    return value


def put_bool(column, value, note):
    kind, x = value
    if kind == "bool":
        return bool(x)
    if kind in ("int32", "int64", "double", "decimal") and "bool-number" in column.accept:
        number = number_of(value)
        if number.is_nan() or number not in (0, 1):
            raise Fault("range")
        return accepted(note, number == 1)
    if kind == "string" and "bool-string" in column.accept:
        if x.lower() not in (b"true", b"false"):
            raise Fault("format")
        return accepted(note, x.lower() == b"true")
    raise Fault("type")


def put_number(column, value, note):
    kind, x = value
    if kind in ("int32", "int64", "double", "decimal"):
        if column.base in INTEGERS:
            return whole_number(column, number_of(value), note)
        if column.base == "numeric":
            number = decimal.Decimal(repr(x)) if kind == "double" else number_of(value)
            return numeric_text(column, number, kind != "double", note)
        return float_bits(column, x if kind == "double" else number_of(value))
    if kind == "bool" and "bool-number" in column.accept:
        note("accepted")
        return put_number(column, ("int32", int(x)), note)
    if kind == "string" and "numeric-string" in column.accept:
        if column.base in INTEGERS:
            got = whole_number(column, number_in_text(x), note)
        elif column.base == "numeric":
            got = numeric_text(column, number_in_text(x), True, note)
        else:
            got = float_of_text(column, x)
        return accepted(note, got)
    return put_dbref(column, value, note)


def put_dbref(column, value, note):
    """{$ref, $id} in a key or reference."""
    if value[0] == "document" and "dbref" in column.accept:
        ids = [v for k, v in value[1] if k == b"$id"]
        if ids:
            if ids[0][0] in NOTHING or ids[0][0] == "document":
                raise Fault("format")
            note("accepted")
            return put_scalar(column, ids[0], note)
        raise Fault("format")
    raise Fault("type")


def labelled(column, raw, note):
    """The text by the column's labels, or None. A label itself is not counted."""
    labels = {k.encode(): v.encode() for k, v in column.labels.items()}
    own = [label.encode() for label in column.enum or ()]
    if raw in labels:
        if labels[raw] != raw:
            note("labelled")
        return labels[raw]
    if raw in own:
        return raw
    if column.fold_case:
        for source, target in list(labels.items()) + [(o, o) for o in own]:
            if source.lower() == raw.lower():
                note("folded")
                return target
    return None


def mended_label(column, raw, note):
    """The same for a text that has none as it is, but may have one when it is mended."""
    if check_utf8(raw) is None or column.encoding == "reject":
        return None
    got = labelled(column, mend(raw, column.encoding), note)
    if got is not None:
        note("encoding")
    return got


def put_text(column, value, note):
    kind, x = value
    if kind == "string":
        if column.labels:
            other = labelled(column, x, note) or mended_label(column, x, note)
            if other is not None:
                return fit_text(column, other)
        oid = oid_of_text(x)
        if "hex-id" in column.accept and oid:
            return accepted(note, oid.hex().encode())
        return fit_text(column, clean_text(column, x, note))
    if kind == "objectid":
        return fit_text(column, x.hex().encode())
    if (column.is_id or column.is_reference) and column.id_rule == "text" and kind == "binary":
        text = uuid_of_binary(x, column.uuid_order)
        if text is None:
            raise Fault("type")
        return fit_text(column, text.encode())
    if "number-text" in column.accept:
        got = number_text(column, value, note)
        if got is not None:
            return got
    if kind in ("document", "dbpointer") and column.accept & {"dbref", "oid-document"}:
        return put_id(column, value, note)
    if "json-text" in column.accept:
        return accepted(note, Json(json_tree(column, value, note), True))
    raise Fault("type")


def number_text(column, value, note):
    kind, x = value
    if kind == "bool":
        return accepted(note, fit_text(column, b"true" if x else b"false"))
    if kind in ("symbol", "code"):
        return accepted(note, fit_text(column, clean_text(column, x, note)))
    if kind == "date":
        return accepted(note, fit_text(column, iso_text(x, True).encode()))
    if kind == "binary":
        text = uuid_of_binary(x, column.uuid_order)
        if text is None:
            return None
        return accepted(note, fit_text(column, text.encode()))
    if kind in ("int32", "int64", "double", "decimal"):
        if column.length is not None:
            return None  # whether the text fits depends on its spelling; the generator makes no such column
        number = number_of(value)
        if not number.is_finite():
            return accepted(note, b"NaN" if number.is_nan() else b"-Infinity" if number.is_signed() else b"Infinity")
        return accepted(note, NumberText(x if kind == "double" else number, kind == "double"))
    return None


def put_enum(column, value, note):
    if value[0] != "string":
        raise Fault("type")
    got = labelled(column, value[1], note)
    got = mended_label(column, value[1], note) if got is None else got
    if got is None:
        raise Fault("label")
    return got.decode()


def put_bytes(column, value, note):
    kind, x = value
    if kind == "binary":
        return x[1].hex()
    if kind == "objectid":
        return x.hex()
    if kind == "string" and "hex-id" in column.accept:
        if oid_of_text(x) is None:
            raise Fault("format")
        return accepted(note, oid_of_text(x).hex())
    if kind in ("document", "dbpointer") and column.accept & {"dbref", "oid-document"}:
        return put_id(column, value, note)
    raise Fault("type")


def put_time(column, value, note):
    kind, x = value
    if kind == "date" and column.base not in ("time", "interval"):
        return instant(column, x)
    if kind == "string" and "iso-string" in column.accept:
        got = interval_of_text(column, x) if column.base == "interval" else time_of_text(column, x)
        return accepted(note, got)
    if kind == "timestamp" and "timestamp" in column.accept:
        return accepted(note, instant(column, x[0] * 1000))
    words = column.accept & {"epoch-ms", "epoch-s"}
    if kind in ("int32", "int64", "double", "decimal") and words:
        number = decimal.Decimal(repr(x)) if kind == "double" else number_of(value)
        if not number.is_finite():
            raise Fault("range")
        ms = number * (1 if "epoch-ms" in words else 1000)
        if ms != ms.to_integral_value():
            raise Fault("inexact", "range")
        return accepted(note, instant(column, int(ms)))
    raise Fault("type")


def put_inet(column, value, note):
    if value[0] != "string":
        raise Fault("type")
    try:
        text = value[1].decode("ascii")
        address = ipaddress.ip_interface(text)
    except ValueError:
        raise Fault("format") from None
    if "%" in text or re.search(r"/.*[^0-9]|/$|/0\d", text):
        raise Fault("format")
    return str(address)


def put_vector(column, value, note):
    kind, x = value
    if kind != "array":
        if kind not in ("int32", "int64", "double", "decimal") or "scalar-array" not in column.accept:
            raise Fault("type")
        note("accepted")
        x = [value]
    if not x or len(x) > 16000 or (column.dimensions is not None and len(x) != column.dimensions):
        raise Fault("shape")
    out, faults, rounded = [], set(), False
    for item in x:
        if item[0] not in ("int32", "int64", "double", "decimal"):
            faults.add("shape")
            continue
        number = number_of(item)
        if not number.is_finite() or abs(number) > decimal.Decimal(FLT_MAX):
            faults.add("range")
            continue
        out.append(struct.unpack("<f", struct.pack("<f", float(number)))[0])
        rounded |= fractions.Fraction(out[-1]) != fractions.Fraction(number)
    if faults:
        raise Fault(*faults)
    if rounded:
        note("rounded")
    return tuple(out)


def put_id(column, value, note):
    """Into a column of UUIDs (or, of documents, into any key column)."""
    kind, x = value
    if kind == "objectid":
        return put_oid(column, x, note)
    if kind == "document":
        return put_id_document(column, value, note)
    if kind == "dbpointer" and "dbref" in column.accept:
        note("accepted")
        return put_oid(column, x[1], note)
    if kind == "binary":
        got = uuid_of_binary(x, column.uuid_order)
        if got is not None:
            return got
    if kind == "string":
        got = id_of_text(column, x, note)
        if got is not None:
            return got
    if takes_any(column):
        return name5(column, value, note)
    raise Fault("format", "type") if kind == "string" else Fault("type")


def takes_any(column):
    return (column.is_id and column.id_rule in UUID_RULES) or "any-id" in column.accept


def name5(column, value, note):
    note("id_mapped" if column.is_id else "accepted")
    return Name5(value)


def id_of_text(column, raw, note):
    """By the id rule, which needs no word; or by a word of accept."""
    plain = not column.is_id and not column.is_reference
    oid, text = oid_of_text(raw), uuid_of_text(raw)
    by_rule = column.id_rule == "objectid-string"
    if oid and (by_rule or "hex-id" in column.accept):
        if not by_rule:
            note("accepted")
        return put_oid(column, oid, note)
    by_rule = plain or column.id_rule == "string-uuid"
    if text and (by_rule or "uuid-string" in column.accept):
        if not by_rule:
            note("accepted")
        return text
    return None


def put_oid(column, oid, note):
    if column.base == "uuid":
        return v7(oid)
    return oid.hex() if column.base == "bytea" else fit_text(column, oid.hex().encode())


def put_id_document(column, value, note):
    fields = value[1]
    texts = [v for k, v in fields if k == b"$oid"] or [v for k, v in fields if k == b"_str"]
    if "oid-document" in column.accept and texts and texts[0][0] == "string" and oid_of_text(texts[0][1]):
        note("accepted")
        return put_oid(column, oid_of_text(texts[0][1]), note)
    ids = [v for k, v in fields if k == b"$id"]
    if "dbref" in column.accept and ids:
        if ids[0][0] in NOTHING or ids[0][0] == "document":
            raise Fault("format")
        note("accepted")
        return put_scalar(column, ids[0], note)
    if column.base == "uuid" and takes_any(column):
        return name5(column, value, note)
    raise Fault("format", "type")


def put_json(column, value, note):
    return Json(json_tree(column, value, note), column.base == "json")


PUT = {
    "boolean": put_bool,
    **dict.fromkeys([*INTEGERS, "real", "double precision", "numeric"], put_number),
    **dict.fromkeys(TEXTS, put_text),
    "uuid": put_id,
    "bytea": put_bytes,
    **dict.fromkeys(["date", "time", "timestamp", "timestamptz", "interval"], put_time),
    "json": put_json,
    "jsonb": put_json,
    "inet": put_inet,
    "vector": put_vector,
}


def put_scalar(column, value, note):
    return PUT.get(column.base, put_enum)(column, value, note)


def put_array(column, value, note):
    if value[0] != "array":
        if "scalar-array" in column.accept and column.dims == 1:
            got = put_scalar(column, value, note)
            note("accepted")
            return ((1,), [got])
        raise Fault("type")
    shape, leaves, level = [], [], [value]
    for _ in range(column.dims):
        if any(v[0] != "array" for v in level):
            raise Fault("shape")
        sizes = {len(v[1]) for v in level}
        if len(sizes) > 1:
            raise Fault("shape")
        shape.append(sizes.pop() if sizes else 0)
        level = [x for v in level for x in v[1]]
    if shape[0] == 0:
        return ((), [])
    if 0 in shape:
        raise Fault("shape")
    faults = set()
    for v in level:
        try:
            leaves.append(put_element(column, v, note))
        except Fault as f:
            faults |= f.names
    if faults:
        raise Fault(*faults)
    return (tuple(shape), leaves)


def put_element(column, value, note):
    if value[0] in NOTHING:
        if value[0] == "undefined":
            note("undefined")
        return None
    if value[0] == "array" and column.base not in ("json", "jsonb", "vector") and not column.accept & {"json-text", "any-id"}:
        raise Fault("shape", "type")
    return put_scalar(column, value, note)


def put(column, value):
    """(PostgreSQL value, Counter of what is counted) or Fault."""
    counts = collections.Counter()

    def note(kind):
        counts[kind] += 1

    return (put_array if column.dims else put_scalar)(column, value, note), counts
