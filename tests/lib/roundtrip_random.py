"""Random mappings and random documents for them: every type, id rule and policy; fitting, odd and hostile values."""

import struct

from . import raw_bson
from .roundtrip_expect import words_for

ENUMS = [
    {"name": "mood", "labels": ["sad", "ok", "Happy", "Very Happy"]},
    {"name": "Größe", "labels": ["S", "M", "L", "x,y", 'q"uote', "b\\s"]},
]
ID_TYPES = {
    "uuidv7": ["uuid"], "string-uuid": ["uuid"], "objectid-string": ["uuid"], "text": ["text", "varchar(40)"], "bytea": ["bytea"],
    "native": ["bigint", "text", "integer", "numeric", "jsonb"],
}  # fmt: skip
INTERESTING = [0, 1, -1, 2, 7, 127, 128, 255, 32767, 32768, -32768, -32769, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**53,
               2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 10**18, 99999, 100000]  # fmt: skip
DOUBLES = [0.0, -0.0, 1.0, 0.1, 0.1 + 0.2, 1e21, 1e22, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 16777217.0, 16777217.1,
           -2.5, 1e-7, 123456789.125, 3.4028234663852886e38, 3.5e38, 1e15, 1e16, 1e17, 9007199254740993.0, 0.5, 2.0**63, -(2.0**63),
           float("nan"), float("inf"), float("-inf")]  # fmt: skip
DECIMALS = ["0", "-0", "0.00", "1.10", "-1.5", "100", "1E+3", "1E-6176", "9E+6144", "1234567890123456789012345678901234", "NaN",
            "Infinity", "-Infinity", "0.1", "12.34", "-99999.99", "1E-7", "2.50", "9223372036854775807", "9223372036854775808",
            "0.3000000000000000444089209850062616", "-0E+10", "12345.678", "5E+2"]  # fmt: skip
TEXTS = [b"", b"a", b"Gr\xc3\xbc\xc3\x9fe", "🙂🙃".encode(), b"ok", b"  two blanks  ", b"tab\tnewline\n", b'quo"te\\', b"null", b"\\N", b"{}",
         b"[1,2]", b"x" * 40, "ß".encode() * 12, b"2026-11-25", b"true", b"0", b"12.5", b"507f1f77bcf86cd799439011",
         b"\xe2\x80\xa8", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\x01\x1f\x7f", b"a,b", b"{a}", b"'", b"$oid", b"1 "]  # fmt: skip
BAD_TEXTS = [b"a\0b", b"\0", b"hi\xff!", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"ok\xc3", b"\xff\0\xfe"]
DATES = [0, -1, 1, 999, 86400000, -86400000, 1700000000123, 1700000000000, 253402300799999, 253402300800000, -62135596800000,
         -62135596800001, -62198755200000, 9224318015999999, 9224318016000000, -210866803200000, -210866803200001,
         9223372036854775807, -9223372036854775808, 9223372036854775, 9223372036854776, 946684800000]  # fmt: skip
ISO_TEXTS = [b"2026-11-25", b"2026-11-25T12:34:56Z", b"2026-11-25T12:34:56.789Z", b"2026-11-25T12:34:56.123456+02:00", b"2026-11-25 12:34",
             b"2024-02-29", b"2023-02-29", b"-000044-03-15T00:00:00Z", b"+012026-01-01T00:00:00Z", b"2026-13-01", b"yesterday", b"",
             b"2026-11-25T12:34:56.1234567Z", b"2026-11-25T23:30:00-01:30", b"1969-12-31T23:59:59.999Z", b"0000-01-01"]  # fmt: skip
CLOCK_TEXTS = [b"12:34", b"12:34:56", b"00:00:00.001", b"23:59:59.999999", b"24:00:00", b"12:34:56.1234567", b"noon", b"12:60"]
SPAN_TEXTS = [b"P1D", b"PT2H30M", b"P1Y2M3DT4H5M6.7S", b"PT0.000001S", b"P-1D", b"P2W", b"P", b"1 day", b"PT-0.5S", b"P178956971Y"]
NUMBER_TEXTS = [b"0", b"31", b"-5", b"1.10", b"1e3", b"+7", b"0.1", b"9007199254740993", b"12.345", b"", b" 1", b"1x", b"NaN", b"Infinity",
                b"-infinity", b"1e400", b"99999999999999999999", b".5", b"5.", b"0x10", b"-0", b"1e-400", b"3.4e38"]  # fmt: skip
INETS = [b"10.0.0.1", b"192.168.0.0/16", b"::1", b"2001:db8::/32", b"::ffff:1.2.3.4", b"256.1.1.1", b"10.0.0", b"", b"10.0.0.1/33", b"fe80::1/64"]


class Maker:
    def __init__(self, rng, live):
        self.rng, self.live, self.oids = rng, live, 0

    def chance(self, p):
        return self.rng.random() < p

    def pick(self, *of):
        return self.rng.choice(of)

    # --- values ---

    def oid(self):
        self.oids += 1
        return struct.pack(">I", self.rng.choice([0, 1, 2**31, 2**32 - 1, 1700000000 + self.oids])) + self.rng.randbytes(
            5
        ) + struct.pack(">I", self.oids)[1:]

    def text(self):
        if self.chance(0.05):
            return self.rng.choice(BAD_TEXTS)
        if self.chance(0.2):
            return bytes("".join(self.rng.choice("aBc é🙂,\"\\\n") for _ in range(self.rng.randrange(30))).encode())
        return self.rng.choice(TEXTS)

    def key(self):
        if self.chance(0.85):
            return self.pick(b"a", b"b", b"c", b"k1", b"long key with blanks")
        return self.pick(b"", b"$x", b"a.b", "é".encode(), b"\xff", b"\xfe", b"$oid", b"A" * 70, b'q"', b"\\", b"\n")

    def number(self):
        kind = self.pick("int32", "int64", "double", "decimal")
        if kind == "int32":
            return kind, self.rng.choice([n for n in INTERESTING if -(2**31) <= n < 2**31])
        if kind == "int64":
            return kind, self.rng.choice([*INTERESTING, self.rng.randrange(-(2**63), 2**63)])
        if kind == "double":
            odd = struct.unpack("<d", self.rng.randbytes(8))[0]
            return kind, self.rng.choice([*DOUBLES, float(self.rng.choice(INTERESTING)), odd, self.rng.uniform(-1000, 1000)])
        return kind, raw_bson.decimal128(self.decimal_text())

    def decimal_text(self):
        if self.chance(0.6):
            return self.rng.choice(DECIMALS)
        return f"{self.rng.randrange(-10**9, 10**9)}E{self.rng.randrange(-20, 20)}"

    def date(self):
        if self.chance(0.5):
            return self.rng.choice(DATES)
        return self.rng.randrange(-62135596800, 253402300800) * 1000 + self.rng.choice([0, 0, 1, 500, 999])

    def binary(self):
        subtype = self.rng.choice([0, 0, 2, 3, 4, 4, 5, 0x80])
        return subtype, self.rng.randbytes(16 if subtype in (3, 4) and self.chance(0.9) else self.rng.choice([0, 1, 5, 16, 40]))

    def document(self, depth=0):
        fields, seen = [], set()
        for _ in range(self.rng.randrange(4)):
            key = self.key()
            if key in seen and not self.chance(0.1):
                continue
            seen.add(key)
            fields.append((key, self.any(depth + 1)))
        return fields

    def any(self, depth=0):
        kinds = ["number"] * 4 + ["string"] * 3 + [
            "bool", "date", "objectid", "binary", "null", "undefined", "regex", "dbpointer", "code", "symbol", "codewscope",
            "timestamp", "minkey", "maxkey"]  # fmt: skip
        if depth < 3:
            kinds += ["document", "document", "array", "array", "oid-document", "dbref"]
        return self.of_kind(self.rng.choice(kinds), depth)

    def of_kind(self, kind, depth=0):
        if kind == "number":
            return self.number()
        if kind in ("string", "symbol", "code"):
            return kind, self.text()
        if kind == "document":
            return kind, self.document(depth)
        if kind == "array":
            return kind, [self.any(depth + 1) for _ in range(self.rng.randrange(4))]
        if kind == "oid-document":
            text = ("string", self.oid().hex().encode() if self.chance(0.8) else b"no")
            return "document", [(self.pick(b"$oid", b"_str"), text)]
        if kind == "dbref":
            return "document", [(b"$ref", ("string", b"c0")), (b"$id", self.pick(("objectid", self.oid()), ("int32", 5)))]
        plain = {
            "bool": lambda: self.chance(0.5),
            "date": self.date,
            "objectid": self.oid,
            "binary": self.binary,
            "regex": lambda: (self.pick(b"^a", b"\\d+", b"\xff" if self.chance(0.1) else b""), self.pick(b"", b"i", b"imx")),
            "dbpointer": lambda: (b"db.c", self.oid()),
            "codewscope": lambda: (self.text(), self.document(2)),
            # the server puts its own time in place of (0, 0)
            "timestamp": lambda: (self.pick(1, 1700000000, 2**32 - 1), self.rng.randrange(1, 5)),
            "minkey": lambda: None, "maxkey": lambda: None, "null": lambda: None, "undefined": lambda: None,
        }  # fmt: skip
        return kind, plain[kind]()

    def fitting(self, given):
        """A value that has a fair chance to go into the column."""
        text = given["type"]
        if "[]" in text:
            element = {**given, "type": text[: text.index("[")]}
            if text.endswith("[][]"):
                width = self.rng.randrange(4)
                rows = self.rng.randrange(3)
                return "array", [("array", [self.fitting(element) for _ in range(width)]) for _ in range(rows)]
            if "scalar-array" in given.get("accept", ()) and self.chance(0.3):
                return self.fitting(element)
            items = [self.fitting(element) if self.chance(0.9) else ("null", None) for _ in range(self.rng.randrange(4))]
            return "array", items
        base = text.split("(")[0]
        value = self.by_word(given.get("accept", ()), base)
        return value if value is not None else self.natural(base, text)

    def by_word(self, accept, base):
        if not accept or self.chance(0.5):
            return None
        word = self.rng.choice(sorted(accept))
        pools = {
            "hex-id": [("string", self.oid().hex().encode()), ("string", self.oid().hex().upper().encode())],
            "uuid-string": [("string", b"12345678-1234-5678-ABCD-567812345678")],
            "oid-document": [self.of_kind("oid-document")],
            "dbref": [self.of_kind("dbref"), self.of_kind("dbpointer")],
            "iso-string": [("string", self.rng.choice(CLOCK_TEXTS if base == "time" else SPAN_TEXTS if base == "interval" else ISO_TEXTS))],
            "epoch-ms": [("int64", self.date()), ("double", float(self.rng.choice(INTERESTING))), ("double", 1.5)],
            "epoch-s": [("int32", 1700000000), ("int64", self.rng.choice(INTERESTING)), ("double", 1700000000.25)],
            "timestamp": [self.of_kind("timestamp")],
            "numeric-string": [("string", self.rng.choice(NUMBER_TEXTS))],
            "bool-string": [("string", self.pick(b"true", b"FALSE", b"yes", b""))],
            "bool-number": [("int32", self.pick(0, 1, 2)), ("double", self.pick(0.0, 1.0, -0.0, 0.5)), ("bool", True),
                            ("decimal", raw_bson.decimal128(self.pick("1", "0", "1.0", "-1")))],
            "number-text": [self.number(), ("bool", False), ("date", self.date()), ("symbol", b"s"), ("binary", self.binary())],
            "json-text": [self.any()],
            "any-id": [self.any()],
        }  # fmt: skip
        return self.rng.choice(pools[word]) if word in pools else None

    def natural(self, base, text):
        if base in ("smallint", "integer", "bigint", "real", "double precision", "numeric"):
            small = [("int32", self.rng.randrange(-99, 99)), ("double", float(self.rng.randrange(-99, 99))), ("double", 0.5),
                     ("decimal", raw_bson.decimal128(self.pick("1.10", "12", "-3", "0.25", "-0")))]  # fmt: skip
            return self.rng.choice(small) if self.chance(0.75) else self.number()
        if base in ("text", "varchar", "char", "name"):
            return ("string", self.text()) if self.chance(0.9) else ("objectid", self.oid())
        if base in ("date", "timestamp", "timestamptz"):
            ms = self.date()
            return "date", ms - ms % 86400000 if base == "date" and self.chance(0.8) and abs(ms) < 2**62 else ms
        if base == "vector":
            n = int(text[7:-1]) if self.chance(0.9) else self.rng.randrange(4)
            return "array", [("double", self.rng.uniform(-9, 9)) if self.chance(0.7) else ("int32", 3) for _ in range(n)]
        kinds = {
            "boolean": lambda: self.of_kind("bool"),
            "uuid": lambda: self.pick(("objectid", self.oid()), ("binary", (4, self.rng.randbytes(16))),
                                      ("string", b"12345678-1234-5678-1234-567812345678"), ("binary", (3, self.rng.randbytes(16)))),
            "bytea": lambda: ("binary", self.binary()),
            "json": self.any, "jsonb": self.any,
            "inet": lambda: ("string", self.rng.choice(INETS)),
            "time": lambda: ("string", self.rng.choice(CLOCK_TEXTS)),
            "interval": lambda: ("string", self.rng.choice(SPAN_TEXTS)),
        }  # fmt: skip
        if base in kinds:
            return kinds[base]()
        labels = next(e["labels"] for e in ENUMS if e["name"] == base)
        label = self.rng.choice(labels).encode()
        return "string", self.pick(label, label, label.upper(), b"fine", b"none of them", label + b"\0")

    # --- mappings ---

    def type(self):
        base = self.pick(
            "boolean", "smallint", "integer", "bigint", "real", "double precision", "numeric", "numeric(10,2)", "numeric(5,0)",
            "numeric(38,10)", "text", "text", "varchar(12)", "char(5)", "name", "uuid", "bytea", "date", "time", "time(3)", "timestamp",
            "timestamp(3)", "timestamp(0)", "timestamptz", "timestamptz(3)", "interval", "json", "jsonb", "jsonb", "inet", "mood",
            "Größe")  # fmt: skip
        if self.chance(0.2) and base not in ("json", "inet", "interval"):
            return base + self.pick("[]", "[]", "[][]")
        return base

    def literal(self, text):
        base = text.split("(")[0]
        if "[]" in text:
            return "{}"
        pools = {
            "boolean": ["true", "false"], "smallint": ["0", "-7"], "integer": ["0", "2147483647"], "bigint": ["-1"], "real": ["0.5"],
            "double precision": ["1e300", "-0.25"], "numeric": ["1.5" if text != "numeric(5,0)" else "2"], "text": ["", "it's", "ü"],
            "varchar": ["short"], "char": ["ab"], "name": ["n"], "uuid": ["12345678-1234-5678-1234-567812345678"], "bytea": ["\\x00ff"],
            "date": ["2020-02-29"], "timestamp": ["2026-11-25T12:34:56Z"], "timestamptz": ["2026-11-25T12:34:56+01:00"],
            "time": ["12:34:56"], "json": ['{"a": [1, null]}'], "jsonb": ['{"a": [1.50, null]}'],
            "mood": ["ok"], "Größe": ["x,y"],
        }  # fmt: skip
        return self.rng.choice(pools[base]) if base in pools else None

    def chain(self, given, others):
        """A value of if_missing, if_null or if_invalid."""
        choices = []
        nullable = not given.get("not_null")
        if self.chance(0.3) and others:
            choices.append({"path": self.rng.choice(others)})
        if self.chance(0.2) and given["type"] in (
            "date", "timestamp", "timestamp(3)", "timestamp(0)", "timestamptz", "timestamptz(3)"
        ):  # fmt: skip
            choices.append("$id_time")
        last = self.pick("null" if nullable else "reject", "reject", "literal", "literal")
        if last == "literal":
            text = self.literal(given["type"])
            last = {"literal": text} if text is not None else "reject"
        return [*choices, last] if choices else last

    def column(self, name, path, others, bare=False):
        given = {"name": name, "from": path, "type": self.type()}
        base = given["type"].split("(")[0].split("[")[0]
        words = sorted(words_for(given["type"]))
        if words and self.chance(0.5):
            chosen = self.rng.sample(words, self.rng.randrange(1, len(words) + 1))
            if "epoch-ms" in chosen and "epoch-s" in chosen:
                chosen.remove("epoch-s")
            if given["type"].split("[")[0] not in ("text",):
                chosen = [w for w in chosen if w not in ("json-text", "number-text")]
            if chosen:
                given["accept"] = chosen
        if self.chance(0.15):
            given["not_null"] = True
        for key, p in (("if_missing", 0.2), ("if_null", 0.2), ("if_invalid", 0.35)):
            if self.chance(p):
                given[key] = self.chain(given, others)
        is_text = base in ("text", "varchar", "char", "name", "json", "jsonb")
        if is_text and self.chance(0.5):
            given["encoding"] = self.pick("strip", "replace", "reject")
        if base in ("json", "jsonb") or "json-text" in given.get("accept", ()):
            given["json"] = self.pick("relaxed", "canonical", "plain")
            given["duplicate_keys"] = self.pick("reject", "first", "last")
        if base == "uuid" and self.chance(0.5):
            given["uuid_order"] = self.pick("standard", "java", "csharp", "python")
        if base in ("mood", "Größe"):
            if self.chance(0.5):
                given["labels"] = {"fine": self.rng.choice(next(e["labels"] for e in ENUMS if e["name"] == base))}
            if self.chance(0.4):
                given["fold_case"] = True
        elif base == "text" and self.chance(0.1):
            given["labels"] = {"null": "nothing", "a": "b"}
        return given

    def path(self, i, arrays):
        field = f"f{i}"
        if self.chance(0.3):
            return f"s{self.rng.randrange(2)}.{field}"
        if self.chance(0.1):
            return f"s0.t.{field}"
        if self.chance(0.07):
            return f"list{i}.{self.rng.randrange(3)}"
        if self.chance(0.05):
            return [f"dot.{i}", "$v"]
        return field

    def columns(self, n, first=0):
        columns, paths = [], []
        for i in range(first, first + n):
            path = self.path(i, True)
            columns.append(self.column(f"c{i}", path, [p for p in paths if isinstance(p, str)]))
            paths.append(path)
        return columns

    def child(self, prefix, root, depth=0):
        """root: the type of the documents' key."""
        given = {"from": f"{prefix}items" if self.chance(0.8) else f"s1.{prefix}items", "table": f"{prefix}_items", "parent": "up",
                 "ordinal": "pos"}  # fmt: skip
        if self.chance(0.25):
            element = self.column("v", ".", [])
            given["columns"] = [element]
        else:
            given["columns"] = self.columns(self.rng.randrange(1, 4), 50)
            if self.chance(0.5 if depth < 2 else 0.2):
                if self.chance(0.5) and root != "numeric":
                    given["key"] = "made"
                else:
                    given["columns"].insert(0, {"name": "key", "from": "_id", "type": "uuid", "primary_key": True})
                given["children"] = [self.child(prefix + "x", "uuid", depth + 1)] if depth < 2 else []
            if self.chance(0.3):
                given["unmapped"] = self.pick("keep", {"keep": "other"}, "reject", "report")
        return given

    def collection(self, i, wide):
        rule = self.rng.choice(list(ID_TYPES))
        key = {"name": "id", "from": "_id", "type": self.rng.choice(ID_TYPES[rule]), "primary_key": True}
        words = sorted(words_for(key["type"], True) & {"hex-id", "oid-document", "dbref", "uuid-string"})
        if rule != "native" and words and self.chance(0.3):
            key["accept"] = self.rng.sample(words, self.rng.randrange(1, len(words) + 1))
        given = {"collection": f"k{i}", "table": f"t{i}", "id": rule, "columns": [key]}
        given["columns"].append({"name": "n", "type": "integer", "not_null": True})
        given["columns"] += self.columns(self.rng.randrange(3, wide))
        if rule in ("uuidv7", "string-uuid") and self.chance(0.4):
            given["uuid_order"] = self.pick("standard", "java", "csharp", "python")
        if self.chance(0.5):
            given["children"] = [self.child(f"k{i}{x}", key["type"]) for x in "ab"[: self.rng.randrange(1, 3)]]
        if self.chance(0.4):
            given["unmapped"] = self.pick("keep", {"keep": "rest"}, "reject", "report")
        if self.chance(0.3):
            given["policies"] = self.policies()
        return given

    def policies(self):
        out = {}
        if self.chance(0.5):
            out["accept"] = self.rng.sample(["bool-number", "iso-string", "numeric-string", "uuid-string", "timestamp"], 2)
        for key, of in (("encoding", ["strip", "replace"]), ("json", ["canonical", "plain"]), ("duplicate_keys", ["first", "last"]),
                        ("if_invalid", ["null"]), ("if_missing", ["null"]), ("fold_case", [True]), ("uuid_order", ["java"]), ("labels", [{"gone": "L", "fine": "ok"}])):  # fmt: skip
            if self.chance(0.3):
                out[key] = self.rng.choice(of)
        return out

    def mapping(self, collections, wide):
        given = {"docrow": 1, "enums": ENUMS, "collections": [self.collection(i, wide) for i in range(collections)]}
        if self.chance(0.3):
            given["policies"] = self.policies()
        if self.chance(0.2):
            given["unmapped"] = self.pick("keep", "reject")
        self.references(given)
        self.junctions(given)
        return given

    def references(self, given):
        for c in given["collections"]:
            for r in range(self.rng.randrange(3)):
                to = self.rng.choice(given["collections"])
                if to["columns"][0]["type"] == "jsonb":
                    continue
                column = {"name": f"r{r}", "from": f"ref{r}", "type": to["columns"][0]["type"]}
                column["references"] = {"table": to["table"], "if_orphan": self.pick("reject", "null", "null", "keep")}
                c["columns"].append(column)

    def junctions(self, given):
        out = []
        for j in range(self.rng.randrange(3)):
            left, right = self.rng.choice(given["collections"]), self.rng.choice(given["collections"])
            if "jsonb" in (left["columns"][0]["type"], right["columns"][0]["type"]):
                continue
            sides = {
                "left": {"collection": left["collection"], "path": f"l{j}", "column": "left_id"},
                "right": {"collection": right["collection"], "path": f"r{j}s", "column": "right_id"},
            }
            if self.chance(0.4):
                del sides[self.pick("left", "right")]["path"]
            if self.chance(0.3):
                side = sides[self.pick("left", "right")]
                if "path" in side:
                    side["accept"] = ["scalar-array"]
            how = self.pick("union", "union", "intersect", "left", "right") if all("path" in s for s in sides.values()) else "union"
            out.append({"table": f"j{j}", **sides, "sides": how, "if_orphan": self.pick("reject", "keep")})
        if out:
            given["junctions"] = out

    # --- documents ---

    def key_value(self, given):
        rule, kind = given["id"], given["columns"][0]["type"].split("(")[0]
        if rule == "native":
            if kind in ("bigint", "integer"):
                return self.pick(("int32", self.rng.randrange(10**6)), ("int64", self.rng.randrange(10**9)), ("double", float(self.rng.randrange(10**6))))
            if kind == "numeric":
                return self.number()
            if kind == "jsonb":
                return self.pick(("string", self.rng.randbytes(4).hex().encode()), ("document", [(b"a", ("int32", self.rng.randrange(999)))]))
            return "string", self.rng.randbytes(6).hex().encode()
        if self.chance(0.7):
            return "objectid", self.oid()
        return self.pick(
            ("string", self.oid().hex().encode()), ("string", self.oid().hex().upper().encode()), ("binary", (4, self.rng.randbytes(16))),
            ("binary", (3, self.rng.randbytes(16))), ("string", b"%08X-1234-5678-1234-567812345678" % self.rng.randrange(2**32)),
            ("string", self.text()), self.number(), ("date", self.date()), ("bool", True), ("document", [(b"a", self.number())]),
            ("null", None), ("minkey", None), ("symbol", b"s"), ("document", [(b"_str", ("string", self.oid().hex().encode()))]),
        )  # fmt: skip

    def element(self, table):
        if self.chance(0.05):
            return self.any()
        column = table["columns"][0]
        if column["from"] == ".":
            return self.fitting(column)
        return "document", self.fields(table, [])

    def place(self, fields, path, value):
        """Sets value at path in a list of fields, making documents on the way."""
        key = path[0].encode()
        if len(path) == 1:
            fields.append((key, value))
            return
        if path[1].isdigit():
            items = [self.any(2) for _ in range(int(path[1]))] + [value] + [self.any(2)] * self.rng.randrange(2)
            fields.append((key, ("array", items)))
            return
        for k, v in fields:
            if k == key and v[0] == "document":
                self.place(v[1], path[1:], value)
                return
        inner = []
        fields.append((key, ("document", inner)))
        self.place(inner, path[1:], value)

    def value(self, column):
        x = self.rng.random()
        if x < 0.05:
            return "null", None
        if x < 0.06:
            return "undefined", None
        return self.any() if x < 0.09 else self.fitting(column)

    def fields(self, given, fields):
        for column in given["columns"]:
            path = column.get("from", column["name"])
            if path in ("_id", ".") and column.get("primary_key") and "collection" in given or column["name"] == "n":
                continue
            if self.chance(0.08):
                continue
            # of two equal keys one row goes, which is another test's matter
            key = ("objectid", self.oid()) if self.chance(0.97) else ("bool", True)
            value = key if path == "_id" else self.value(column)
            self.place(fields, path.split(".") if isinstance(path, str) else path, value)
        for child in given.get("children", ()):
            if self.chance(0.8):
                items = [self.element(child) for _ in range(self.rng.randrange(4))]
                self.place(fields, child["from"].split("."), ("array", items) if self.chance(0.97) else self.any())
        if self.chance(0.2):
            key = self.pick(b"extra", b"more", b"x.y", b"other")
            fields.append((key, self.any()))
        if self.chance(0.03) and fields:
            fields.append((self.rng.choice(fields)[0], self.any()))
        if self.chance(0.03):
            fields.append((self.pick(b"s0", b"s1"), self.pick(("string", b"no document"), ("null", None), ("array", []), ("document", []))))
        if self.chance(0.1):
            for k, v in fields:
                if v[0] == "document" and k in (b"s0", b"s1"):
                    v[1].append((b"unknown", self.any()))
        self.rng.shuffle(fields)
        return fields

    def documents(self, mapping, keys_of, n):
        """keys_of(collection, fields): a form of its key, so that no key comes twice; None: none."""
        out, ids = {}, {}
        for c in mapping["collections"]:
            seen, out[c["collection"]] = set(), []
            ids[c["collection"]] = []
            for _ in range(n):
                key = self.key_value(c)
                forms = keys_of(c["collection"], key)
                if seen & forms:
                    continue
                seen |= forms
                ids[c["collection"]].append(key)
                fields = self.fields(c, [])
                position = len(out[c["collection"]])
                out[c["collection"]].append([(b"_id", key), (b"n", ("int32", position)), *fields])
        self.link(mapping, out, ids)
        return out

    def link(self, mapping, documents, ids):
        by_table = {c["table"]: c["collection"] for c in mapping["collections"]}
        for c in mapping["collections"]:
            for column in c["columns"]:
                if "references" not in column:
                    continue
                for fields in documents[c["collection"]]:
                    fields[:] = [f for f in fields if f[0] != column["from"].encode()]
                    if self.chance(0.8):
                        value = self.some_id(ids[by_table[column["references"]["table"]]])
                        fields.append((column["from"].encode(), value))
        for j in mapping.get("junctions", ()):
            for side, other in ((j["left"], j["right"]), (j["right"], j["left"])):
                if "path" not in side:
                    continue
                for fields in documents[side["collection"]]:
                    items = [self.some_id(ids[other["collection"]]) for _ in range(self.rng.randrange(4))]
                    value = items[0] if items and self.chance(0.05) else ("array", items)
                    if self.chance(0.9):
                        fields.append((side["path"].encode(), value))

    def some_id(self, ids):
        if ids and self.chance(0.85):
            return self.rng.choice(ids)
        return self.any() if self.chance(0.2) else ("objectid", self.oid())
