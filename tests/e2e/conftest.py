"""Fixtures of more than one file here."""

import pytest

from lib import nextcrm_dirt, nextcrm_sample, program
from lib.databases import MongoDatabase, PostgresDatabase
from lib.program import account_of


@pytest.fixture(scope="session")
def dirty_nextcrm(mongo_server, postgres_servers, tmp_path_factory):
    """A dirty NextCRM database, and the account of what came of it from the live server."""
    sample = nextcrm_sample.make(1500, seed=8, dirt=0.03)
    nextcrm_dirt.spoil(sample, seed=8)
    mongo = MongoDatabase(mongo_server)
    sample.insert(mongo.db)
    pg = PostgresDatabase(postgres_servers("debian"))
    job = program.Docrow(tmp_path_factory.mktemp("live"), mongo, pg)
    job.run("migrate", "--mapping", program.ROOT / "mappings" / "nextcrm.yaml", "--batch-size", "100", status=1)
    yield mongo, account_of(pg)
    pg.drop()
    mongo.drop()


@pytest.fixture(scope="module")
def nextcrm_source(mongo_server):
    """A dirty NextCRM database for tables that are there already."""
    sample = nextcrm_sample.make(1500, seed=7, dirt=0.04)
    nextcrm_dirt.spoil(sample, seed=7)
    mongo = MongoDatabase(mongo_server)
    sample.insert(mongo.db)
    yield mongo
    mongo.drop()


@pytest.fixture(scope="module")
def nextcrm_owned(nextcrm_source, postgres_servers, tmp_path_factory):
    """The same database, moved into tables that docrow makes."""
    pg = PostgresDatabase(postgres_servers("debian"))
    mapping = program.ROOT / "mappings" / "nextcrm.yaml"
    program.Docrow(tmp_path_factory.mktemp("owned"), nextcrm_source, pg).run("migrate", "--mapping", mapping, status=1)
    yield pg
    pg.drop()
