"""docrow validate on good moves: NextCRM clean and dirty, by samples and in full, with and without the state."""

import json

import pytest

from lib import nextcrm_dirt, nextcrm_sample, program
from lib.databases import MongoDatabase, PostgresDatabase

DOCUMENTS = 2000
MAPPING = program.ROOT / "mappings" / "nextcrm.yaml"


@pytest.fixture(scope="module", params=["clean", "dirty"])
def moved(request, mongo_server, postgres_servers, tmp_path_factory):
    dirt = 0.04 if request.param == "dirty" else 0.0
    sample = nextcrm_sample.make(DOCUMENTS, seed=11, dirt=dirt)
    if dirt:
        nextcrm_dirt.spoil(sample, seed=11)
    mongo, pg = MongoDatabase(mongo_server), PostgresDatabase(postgres_servers("18"))
    sample.insert(mongo.db)
    job = program.Docrow(tmp_path_factory.mktemp(request.param), mongo, pg)
    job.run("migrate", "--mapping", MAPPING, status=1 if dirt else 0)
    yield job
    mongo.drop()
    pg.drop()


@pytest.mark.parametrize("how", [[], ["--full"]])
def test_a_good_move_passes(moved, how):
    result = moved.run("validate", *how, "--findings", "20", "--log-values", status=None)
    print(result.stdout, result.stderr)
    assert result.status == 0, result.stdout
