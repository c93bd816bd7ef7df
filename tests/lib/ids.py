"""Ids of tests that count, and ids as the mapping makes them."""

import bson


def oid(n):
    return bson.ObjectId(f"{n:024x}")


def uuid_of(i):
    """The UUIDv7 that holds an ObjectId: 32 hex digits."""
    n = int(str(i), 16)
    seconds, low = n >> 64, n & (1 << 64) - 1
    high, rest = low >> 52, low & (1 << 52) - 1
    return f"{seconds * 1000 << 80 | 7 << 76 | high << 64 | 2 << 62 | rest << 10 | 0x0DC:032x}"
