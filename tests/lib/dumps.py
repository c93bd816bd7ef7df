"""What mongodump and mongoexport write, made here out of documents: folders, archives, JSON exports.

An archive's format: src/source/archive.h. This writer shares no code with the reader, down to the check sum; neither is
the real mongodump, which is not at hand where the tests run.
"""

import ctypes
import gzip
import json
import random
import struct
import urllib.parse

import bson
import bson.codec_options
import bson.json_util
import bson.raw_bson

SUFFIXES = {"plain": "", "gz": ".gz", "zst": ".zst"}
TERMINATOR = struct.pack("<i", -1)


def zstd(data):
    """With the library that docrow itself is linked to: Python 3.11 has none."""
    library = ctypes.CDLL("libzstd.so.1")
    for function in (library.ZSTD_compressBound, library.ZSTD_compress):
        function.restype = ctypes.c_size_t
    room = ctypes.create_string_buffer(library.ZSTD_compressBound(ctypes.c_size_t(len(data))))
    size = library.ZSTD_compress(room, ctypes.c_size_t(len(room)), data, ctypes.c_size_t(len(data)), 3)
    return room.raw[:size]


def pack(data, kind):
    if kind == "gz":
        return gzip.compress(data, 1)
    if kind == "zst":
        return zstd(data)
    return data


def raw_documents(database):
    """{collection: [BSON bytes, ...]} of a pymongo database, in natural order."""
    codec = bson.CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
    return {
        name: [d.raw for d in database.get_collection(name, codec_options=codec).find()]
        for name in database.list_collection_names()
    }


def metadata_of(name):
    return json.dumps({"options": {}, "indexes": [], "uuid": "", "collectionName": name, "type": "collection"}).encode()


def write_folder(documents, place, kind="plain"):
    """As mongodump lays it out: <database>/<collection>.bson and .metadata.json, compressed or not."""
    place.mkdir(parents=True)
    for name, raw in documents.items():
        file = urllib.parse.quote(name, safe="")
        (place / f"{file}.bson{SUFFIXES[kind]}").write_bytes(pack(b"".join(raw), kind))
        (place / f"{file}.metadata.json{SUFFIXES[kind]}").write_bytes(pack(metadata_of(name), kind))
    return place


# --- archives ---


def _crc64_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ 0xC96C5795D7870F42 if value & 1 else value >> 1
        table.append(value)
    return table


CRC64_TABLE = _crc64_table()


def crc64(data, crc=0):
    """CRC-64/XZ: Go's hash/crc64 with the table ECMA."""
    crc ^= 0xFFFFFFFFFFFFFFFF
    for byte in data:
        crc = CRC64_TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFFFFFFFFFF


def signed(value):
    return value - (1 << 64) if value >= 1 << 63 else value


class Archive:
    """Writes an archive piece by piece, so that a test can spoil any of them."""

    def __init__(self, namespaces, oplog=False, metadata=metadata_of, types=None):
        """namespaces: [(database, collection), ...]"""
        types = types or {}
        self.data = bytearray(struct.pack("<I", 0x8199E26D))
        self.crc = {}
        self.put({"concurrent_collections": 4, "version": "0.1", "server_version": "6.0.5", "tool_version": "100.9.4"})
        for database, name in namespaces:
            entry = {"db": database, "collection": name, "metadata": metadata(name).decode(), "size": 0}
            self.put(entry | {"type": types.get((database, name), "collection")})
        if oplog:
            self.put({"db": "", "collection": "oplog", "metadata": "", "size": 0, "type": ""})
        self.data += TERMINATOR

    def put(self, document):
        self.data += bson.encode(document)

    def block(self, database, name, documents):
        self.put({"db": database, "collection": name, "EOF": False, "CRC": bson.Int64(0)})
        body = b"".join(documents)
        self.data += body + TERMINATOR
        self.crc[database, name] = crc64(body, self.crc.get((database, name), 0))

    def end(self, database, name, crc=None):
        crc = self.crc.get((database, name), 0) if crc is None else crc
        self.put({"db": database, "collection": name, "EOF": True, "CRC": bson.Int64(signed(crc))})
        self.data += TERMINATOR


def archive(databases, seed=0, largest=40, oplog=False, types=None):
    """The bytes of an archive of {database: {collection: [BSON bytes, ...]}}; blocks of up to `largest` documents of all
    collections are interleaved at random, as those of parallel writers are."""
    left = {(d, c): list(raw) for d, collections in databases.items() for c, raw in collections.items()}
    if oplog:
        left["", "oplog"] = [bson.encode({"ts": bson.Timestamp(1, 1), "op": "n", "ns": "", "o": {}})]
    written = Archive([space for space in left if space[0]], oplog, types=types)
    chance = random.Random(seed)
    while left:
        space = chance.choice(sorted(left))
        if left[space]:
            n = chance.randint(1, largest)
            written.block(*space, left[space][:n])
            del left[space][:n]
        else:
            written.end(*space)
            del left[space]
    return bytes(written.data)


# --- exports ---

JSON_MODES = {
    "canonical": bson.json_util.CANONICAL_JSON_OPTIONS,
    "relaxed": bson.json_util.RELAXED_JSON_OPTIONS,
    "version 1": bson.json_util.LEGACY_JSON_OPTIONS,
}
ANY_DATE = bson.CodecOptions(
    tz_aware=True, datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO, document_class=bson.SON
)


def survives(raw, mode="canonical"):
    """Can PyMongo decode a document, write it as JSON and read that without losing anything?"""
    options = JSON_MODES[mode].with_options(
        tz_aware=True, document_class=bson.SON, datetime_conversion=ANY_DATE.datetime_conversion
    )
    try:
        text = bson.json_util.dumps(bson.decode(raw, ANY_DATE), json_options=options)
        return bson.encode(bson.json_util.loads(text, json_options=options)) == raw
    except (bson.errors.BSONError, ValueError, TypeError, OverflowError):
        return False


def export(documents, mode="canonical", array=False):
    """As mongoexport writes it, by PyMongo's writer of Extended JSON: a line a document, or one array."""
    lines = [bson.json_util.dumps(bson.decode(raw, ANY_DATE), json_options=JSON_MODES[mode]) for raw in documents]
    text = "[" + ",\n".join(lines) + "]\n" if array else "".join(line + "\n" for line in lines)
    return text.encode()


def write_exports(documents, place, mode="canonical", array=False, kind="plain"):
    place.mkdir(parents=True)
    for name, raw in documents.items():
        (place / f"{name}.json{SUFFIXES[kind]}").write_bytes(pack(export(raw, mode, array), kind))
    return place
