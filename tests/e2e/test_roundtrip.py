"""Random mappings and random documents, hostile ones among them: what stands in PostgreSQL is what the manual promises, to
the byte; what is rejected is what must be, whole; every use of a policy is counted. See lib/roundtrip.py.

More seeds: make soak. One seed, with the smallest example that still fails: DOCROW_SEED=7 pytest tests/e2e/test_roundtrip.py
"""

import os

import pytest

from lib.roundtrip import Roundtrip

SEED = os.environ.get("DOCROW_SEED")
FROM_DUMP = [int(SEED)] if SEED else [3, 15, 17, 22, 26, 37, 41]
FROM_SERVER = [int(SEED)] if SEED else [23, 25, 51]


@pytest.mark.parametrize("seed", FROM_DUMP)
def test_from_a_dump(seed, tmp_path, postgres_servers):
    different = Roundtrip(tmp_path, postgres_servers("debian")).check(seed)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("seed", FROM_SERVER)
def test_from_a_server(seed, tmp_path, postgres_servers, mongo_server):
    different = Roundtrip(tmp_path, postgres_servers("18"), mongo_server).check(seed)
    assert not different, "\n".join(different)
