"""A small database that uses nearly everything a mapping can say, for tests of `docrow validate`: values of every type,
policies, rejects, duplicates, orphans, children in two levels, many-to-many tables, ids of every kind."""

import datetime
import random
import uuid

import bson
from bson import Binary, Code, DatetimeMS, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.binary import UuidRepresentation

MAPPING = """
docrow: 1
target: { id: uuidv7 }
policies: { accept: [hex-id] }
enums:
  - { name: mood, labels: [GOOD, BAD, Odd] }
collections:
  - collection: teams
    columns:
      - { name: id,    from: _id, type: uuid, primary_key: true }
      - { name: title, type: text, not_null: true }
      - { name: boss,  type: uuid, references: { table: users, if_orphan: "null" } }
    indexes:
      - { columns: [title], tier: filter }
  - collection: users
    duplicates: reject
    unmapped: { keep: rest }
    columns:
      - { name: id,      from: _id, type: uuid, primary_key: true }
      - { name: name,    type: text, not_null: true }
      - { name: nick,    type: varchar(12), encoding: replace }
      - { name: code,    type: char(6) }
      - { name: email,   type: text }
      - { name: age,     type: integer, if_invalid: null }
      - { name: small,   type: smallint, if_missing: 7 }
      - { name: big,     type: bigint }
      - { name: score,   type: double precision }
      - { name: ratio,   type: real }
      - { name: price,   type: "numeric(12,2)" }
      - { name: exact,   type: numeric }
      - { name: active,  type: boolean, accept: [bool-number] }
      - { name: born,    type: timestamp(3) }
      - { name: seen,    type: timestamptz, accept: [iso-string] }
      - { name: day,     type: date }
      - { name: at,      type: time, accept: [iso-string] }
      - { name: span,    type: interval, accept: [iso-string] }
      - { name: created, type: timestamp(3), not_null: true, if_missing: [{ path: born }, $id_time] }
      - { name: tags,    type: "text[]" }
      - { name: grid,    type: "integer[][]" }
      - { name: data,    type: jsonb }
      - { name: whole,   type: jsonb, json: canonical }
      - { name: plain,   type: jsonb, json: plain }
      - { name: doc,     type: json }
      - { name: raw,     type: bytea }
      - { name: uid,     type: uuid }
      - { name: ip,      type: inet }
      - { name: mood,    type: mood, labels: { fine: GOOD }, fold_case: true }
      - { name: city,    from: address.city, type: text }
      - { name: team,    type: uuid, references: { table: teams, if_orphan: "null", on_delete: set null } }
      - { name: second,  type: uuid, references: { table: teams, if_orphan: reject } }
      - { name: counter, type: bigint, references: { table: counters, constraint: false } }
    indexes:
      - { columns: [email], unique: true, duplicates: reject }
      - { columns: [team], tier: reference }
      - { columns: [data], method: gin, tier: search }
      - { columns: [name], where: active, tier: filter, name: users_active_idx }
    children:
      - from: items
        table: items
        parent: user_id
        ordinal: position
        columns:
          - { name: product, type: text, not_null: true }
          - { name: amount,  type: integer }
      - from: visits
        table: visits
        parent: user_id
        columns:
          - { name: id,    from: _id, type: uuid, primary_key: true }
          - { name: place, type: text }
        children:
          - { from: steps, table: steps, parent: visit_id, ordinal: n, columns: [{ name: step, from: ., type: text }] }
  - collection: counters
    id: native
    columns:
      - { name: id,    from: _id, type: bigint, primary_key: true }
      - { name: value, type: bigint }
  - collection: sessions
    id: string-uuid
    columns:
      - { name: id,   from: _id, type: uuid, primary_key: true }
      - { name: user, type: uuid, references: { table: users, if_orphan: keep } }
  - collection: things
    duplicates: first
    columns:
      - { name: id,    from: _id, type: uuid, primary_key: true }
      - { name: label, type: text }
  - collection: names
    id: text
    columns:
      - { name: id,    from: _id, type: text, primary_key: true }
      - { name: count, type: integer, default: "5" }
junctions:
  - table: members
    left:  { collection: teams, path: member_ids, column: team_id }
    right: { collection: users, path: team_ids, column: user_id }
  - table: friends
    left:  { collection: users, path: friend_ids, column: a }
    right: { collection: users, column: b }
"""

UTC = datetime.timezone.utc
START = datetime.datetime(2021, 3, 4, 5, 6, 7, 89000, tzinfo=UTC)


def oid(n):
    return ObjectId(f"{1600000000 + n:08x}{n:016x}")


def user(n, r, teams):
    moment = START + datetime.timedelta(hours=n, milliseconds=n)
    return {
        "_id": oid(100 + n),
        "name": f"Name {n} é",
        "nick": f"nick {n}",
        "code": f"c{n}",
        "email": f"u{n}@example.org",
        "age": 20 + n,
        "small": n,
        "big": Int64(2**53 + n),
        "score": n + 0.1,
        "ratio": n + 0.5,
        "price": n + 0.25,
        "exact": Decimal128(f"{n}.10"),
        "active": n % 2 if n % 3 == 0 else n % 2 == 0,
        "born": moment,
        "seen": moment.isoformat(),
        "day": datetime.datetime(1990, 1, 1 + n % 28, tzinfo=UTC),
        "at": f"08:{n:02d}:01.5",
        "span": f"P1Y{n}DT2H",
        "tags": ["a", f"t{n}", None, "b"],
        "grid": [[n, 1], [2, 3]],
        "data": {"five": 5, "half": 5.0, "list": [1, 2, 3], "n": n, "deep": {"when": moment, "id": oid(n)}},
        "whole": {"i": n, "l": Int64(n), "d": 1.0, "x": Decimal128("1E+3"), "t": Timestamp(5, n), "b": b"\x01\x02"},
        "plain": {"when": moment, "id": oid(n), "n": Decimal128("1.50"), "u": Binary(bytes(range(16)), 4)},
        "doc": {"z": 1, "a": [True, None, Regex("x", "i"), Code("f()")], "text": 'quote " and \u00e9'},
        "raw": bytes([n, 0, 255]),
        "uid": Binary.from_uuid(uuid.UUID(int=10**30 + n), UuidRepresentation.STANDARD),
        "ip": f"10.0.0.{n}/24" if n % 2 else "::1",
        "mood": ["GOOD", "bad", "fine", "Odd"][n % 4],
        "address": {"city": "Brno", "zip": f"{60000 + n}"},
        "team": teams[n % len(teams)],
        "second": teams[(n + 1) % len(teams)],
        "counter": n % 5,
        "items": [{"product": f"p{i}", "amount": i * n} for i in range(n % 4)],
        "visits": [{"_id": oid(10000 + 10 * n + i), "place": f"x{i}", "steps": ["s", f"t{i}"]} for i in range(n % 3)],
        "team_ids": [teams[n % len(teams)]],
        "friend_ids": [oid(100 + (n + 1) % 20), oid(100 + (n + 7) % 20)],
        "note": f"kept {n}",
    }


def fill(db):
    """Inserts it, dirt included. What is rejected, dropped or replaced is in docs of users 20 and up."""
    r = random.Random(5)
    teams = [oid(n) for n in range(4)]
    users = [user(n, r, teams) for n in range(20)]
    users[3].pop("small")
    users[4].pop("created", None)
    users[5].pop("born")
    users[6] |= {"nick": None, "tags": [], "data": None, "score": float("nan"), "exact": Decimal128("NaN")}
    users[7] |= {"score": float("inf"), "data": {"nan": float("nan"), "big": 1e21, "tiny": 5e-324}, "active": None}
    users[8] |= {"age": "forty", "team": oid(999)}  # invalid → NULL, orphan → NULL; both are listed
    users[9] |= {"friend_ids": [oid(100), "not an id", None, oid(100)]}
    users[10] |= {"items": [{"product": "ok"}, {"amount": 1}, {"product": "last"}]}  # the middle one is a reject
    users[11] |= {"big": None, "born": DatetimeMS(-1), "day": DatetimeMS(86400000)}
    users[12]["team_ids"] = [teams[0], teams[1], oid(998)]  # one-sided, and an orphan pair
    users[13] |= {"team": str(teams[1])}
    bad = [user(n, r, teams) for n in range(20, 26)]
    bad[0]["price"] = 1.001  # inexact: reject
    bad[1]["email"] = users[0]["email"]  # duplicate: reject
    bad[2]["second"] = oid(997)  # orphan: reject
    bad[3].pop("name")  # missing: reject
    bad[4]["address"] = "Brno"  # shape: reject
    bad[5]["items"] = {"product": "no list"}  # shape: reject
    db.users.insert_many(users + bad)
    db.teams.insert_many(
        {"_id": t, "title": f"Team {i}", "boss": users[i]["_id"], "member_ids": [u["_id"] for u in users if t in u["team_ids"]]}
        for i, t in enumerate(teams)
    )
    db.counters.insert_many({"_id": Int64(n) if n % 2 else n, "value": Int64(n * n)} for n in range(12))
    db.sessions.insert_many(
        {"_id": str(uuid.UUID(int=n + 1)), "user": users[n]["_id"] if n < 8 else oid(996)} for n in range(9)
    )
    db.things.insert_many(
        [{"_id": n, "label": f"thing {n}"} for n in (1, 2, 3)]
        + [{"_id": k, "label": str(k)} for k in ("text", oid(5), 2.5)]
        + [{"_id": {"a": 1, "b": "x"}, "label": "document"}]
    )
    db.names.insert_many([{"_id": f"name {n}", "count": n} for n in range(5)] + [{"_id": oid(77), "count": 77}])
