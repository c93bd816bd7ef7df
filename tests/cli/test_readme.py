"""What the README shows works as it stands there."""

import re

import bson
from lib.program import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_mapping_of_the_readme(mongo, docrow, pg15):
    (text,) = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (docrow.folder / "m.yaml").write_text(text)
    industry = bson.ObjectId()
    mongo["crm_Industry_Type"].insert_one({"_id": industry, "name": "Shipping"})
    mongo["crm_Accounts"].insert_many(
        [{"name": "one", "industry": industry}, {"name": "two", "industry": bson.ObjectId()}]
    )
    docrow.run("migrate", "--mapping", "./m.yaml", status=0)
    assert pg15.query(
        'SELECT a.name, i.name, docrow.uuid_to_objectid(i.id) FROM "crm_Accounts" a LEFT JOIN "crm_Industry_Type" i'
        " ON i.id = a.industry ORDER BY 1"
    ) == [("one", "Shipping", str(industry)), ("two", None, None)]


def test_the_commands_of_the_readme_exist(docrow):
    for command in set(re.findall(r"`docrow (\w+)", README)):
        docrow.run("help", command, status=0)


def test_the_id_of_the_readme(docrow):
    (hex_id,) = set(re.findall(r"docrow id (\w{24})", README))
    uuid = re.search(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", docrow.run("id", hex_id, status=0).stdout)[0]
    assert hex_id in docrow.run("id", uuid, status=0).stdout
