"""More faults for a NextCRM sample: those that show between documents (orphans, duplicates, lists that disagree), and
those that the mapping has an answer for (missing fields with a default, values of another type that it accepts).

    sample = nextcrm_sample.make(3000, seed=1, dirt=0.02)
    spoil(sample, seed=1)

A document gets at most one fault of its own, so that what docrow says of it does not depend on which fault it finds
first. How often each was put in: the returned {fault: n}.
"""

import collections
import random

import bson

DEFAULTS = {
    "crm_Leads": ["__v"],
    "crm_Opportunities": ["__v", "budget", "expected_revenue"],
    "crm_Contacts": ["__v", "status"],
    "crm_Contracts": ["status"],
    "MyAccount": ["is_person"],
    "Invoices": ["visibility"],
    "Users": ["__v", "is_account_admin", "is_admin", "userStatus", "userLanguage"],
}
ID_TIMES = {
    "crm_Accounts": "createdAt",
    "crm_Opportunities": "createdAt",
    "Invoices": "date_created",
    "tasksComments": "createdAt",
    "Users": "created_on",
}


class _Spoiler:
    def __init__(self, sample, seed):
        self.sample = sample
        self.random = random.Random(f"dirt {seed}")
        spoilt = {(fault.collection, fault.id) for fault in sample.faults}
        self.clean = {}
        for name, documents in sample.documents.items():
            self.clean[name] = [d for d in documents if (name, d["_id"]) not in spoilt]
            self.random.shuffle(self.clean[name])
        self.done = collections.Counter()

    def take(self, collection, fault):
        """A document without a fault, or None when the collection has no more of them."""
        if not self.clean[collection]:
            return None
        self.done[fault] += 1
        return self.clean[collection].pop()

    def set(self, collection, fault, **fields):
        document = self.take(collection, fault)
        if document is not None:
            document.update(fields)
        return document

    def drop(self, collection, fault, *fields):
        document = self.take(collection, fault)
        if document is not None:
            for field in fields:
                document.pop(field, None)
        return document

    def some_id(self):
        return bson.ObjectId(self.random.randbytes(12))


def _missing_and_null(s):
    for collection, fields in DEFAULTS.items():
        for field in fields:
            s.drop(collection, "default", field)
            s.set(collection, "null of a default", **{field: None})
    for collection, field in ID_TIMES.items():
        s.drop(collection, "id time", field)
    s.drop("Invoices", "last_updated from date_created", "last_updated")
    s.drop("Invoices", "last_updated from the id", "last_updated", "date_created")
    for collection, field in (("Boards", "user"), ("Sections", "board"), ("tasksComments", "task"), ("Tasks", "title")):
        s.drop(collection, "required and missing", field)


def _accepted(s):
    s.set("crm_Accounts", "accepted", createdAt="2022-03-04T05:06:07.089Z")
    s.set("crm_Accounts", "accepted", createdAt=bson.Timestamp(1_650_000_000, 7))
    users = s.sample.ids["Users"]
    s.set("crm_Leads", "accepted", assigned_to=str(s.random.choice(users)))
    s.set("crm_Leads", "accepted", createdBy=str(s.random.choice(users)).upper())
    s.set("Boards", "accepted", user=str(s.random.choice(users)))


def _orphans(s):
    for collection, fields in s.sample.fields.items():
        for field in fields:
            if field.type == "ObjectId" and field.target and field.name != "_id":
                s.set(collection, "id of nothing", **{field.name: s.some_id()})
    tasks = s.sample.ids["crm_Accounts_Tasks"]
    for _ in range(4):
        s.set("tasksComments", "task of an account", task=s.random.choice(tasks), assigned_crm_account_task=None)
    s.set("tasksComments", "task of an account, place taken", task=tasks[0], assigned_crm_account_task=tasks[-1])
    s.drop("tasksComments", "task of an account", "assigned_crm_account_task")["task"] = tasks[1]


def _duplicates(s):
    for copies in (1, 1, 2):
        first = s.take("Users", "e-mail address kept or given twice")
        for _ in range(copies):
            s.set("Users", "e-mail address kept or given twice", email=first["email"])
    task = s.take("Tasks", "twin")
    twin = dict(task, _id=str(task["_id"]), title="the twin")
    s.sample.documents["Tasks"].append(twin)


def _lists(s):
    for collection, fields in s.sample.fields.items():
        for field in fields:
            if field.is_pair:
                _spoil_list(s, collection, field)


def _spoil_list(s, collection, field):
    ids, name = s.sample.ids[field.target], field.name
    pick = s.random.choice
    for fault, change in (
        ("dangling", lambda old: old + [s.some_id()]),
        ("repeated", lambda old: old + [pick(ids)] * 3),
        ("one-sided", lambda old: old + [pick(ids)]),
        ("one-sided", lambda old: old[1:]),
        ("null element", lambda old: [None] + old),
        ("invalid element", lambda old: old + [bson.Int64(5), {"not": "an id"}]),
        ("hex element", lambda old: old + [str(pick(ids))]),
        ("null list", lambda old: None),
    ):
        document = s.take(collection, f"list: {fault}")
        if document is not None:
            document[name] = change(document.get(name) or [])
    s.drop(collection, "list: missing", name)
    document = s.take(collection, "list of a reject")
    if document is not None:
        document[name] = [*(document.get(name) or []), pick(ids), None]
        document["__v"] = "not a number"


def _unmapped(s):
    s.set("Users", "unmapped", legacy=1)
    s.set("Users", "unmapped", legacy={"deep": [1, 2]})
    s.set("crm_Accounts", "unmapped", extra=None)


def spoil(sample, seed=1):
    s = _Spoiler(sample, seed)
    for kind in (_duplicates, _missing_and_null, _accepted, _unmapped, _orphans, _lists):
        kind(s)
    return s.done
