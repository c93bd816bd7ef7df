#!/usr/bin/env python3
"""Counts the demo's documents with pymongo and its rows with SQL, and says whether every document is accounted for.

    demo_check.py FOLDER        the folder of the demo, with its .env

Also reads one ObjectId back out of its UUID. Exit status 1 when anything does not add up.
"""

import pathlib
import sys

import bson
import psycopg
import psycopg.sql
import pymongo
from lib import nextcrm_sample


def read_env(folder):
    lines = (pathlib.Path(folder) / ".env").read_text().splitlines()
    return {name: value.strip("'") for name, _, value in (line.partition("=") for line in lines)}


def count(connection, sql, *parameters):
    return connection.execute(sql, parameters).fetchone()[0]


def check_collection(mongo, pg, collection):
    """Prints a line; returns whether documents = rows + rejects."""
    documents = mongo[collection].count_documents({})
    rows = count(pg, psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(collection)))
    rejects = count(
        pg, "SELECT count(*) FROM docrow.reject WHERE collection = %s AND coalesce(ordinal, -1) < 0", collection
    )
    good = documents == rows + rejects
    print(f"{collection:32} {documents:8} = {rows:8} rows + {rejects:4} rejects   {'ok' if good else 'MISSING'}")
    return good


def check_id(mongo, pg):
    key = mongo["Users"].find_one({}, sort=[("_id", 1)])["_id"]
    uuid, back = pg.execute(
        "SELECT docrow.objectid_to_uuid(%s), docrow.uuid_to_objectid(docrow.objectid_to_uuid(%s))", (str(key), str(key))
    ).fetchone()
    print(f"\nObjectId {key} is {uuid} in PostgreSQL; read back: {back}")
    return bson.ObjectId(back) == key


def main(folder):
    env = read_env(folder)
    with pymongo.MongoClient(env["MONGODB_URI"]) as client, psycopg.connect(env["DATABASE_URL"]) as pg:
        mongo = client.get_default_database()
        good = [check_collection(mongo, pg, collection) for collection in nextcrm_sample.read_facts()]
        good.append(check_id(mongo, pg))
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main(sys.argv[1])
