"""``recency keys``: made once, listed without secrets, replaced, revoked, and all written down."""

import json

import pytest


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "shop"
    made.mkdir()
    return made


def facts(ran):
    assert ran.code == 0, ran.err
    return json.loads(ran.out)


def test_the_life_of_a_key(run, folder):
    made = facts(run("keys", "make", folder, "page", "--scope", "events:write", "--json"))
    assert made["key"].startswith("rcy_") and made["scopes"] == ["events:write"]
    both = run("keys", "make", folder, "back", "--scope", "recommend:read", "--scope",
               "catalog:write", "--rate", 20, "--json")  # fmt: skip
    assert facts(both)["scopes"] == ["catalog:write", "recommend:read"]
    rotated = run("keys", "rotate", folder, "page")
    assert rotated.out.strip().startswith("rcy_") and "Shown only now" in rotated.err
    listed = facts(run("keys", "list", folder, "--json"))["keys"]
    assert [(one["name"], one["rate"]) for one in listed] == [
        ("page", None), ("back", 20.0), ("page", None)
    ]  # fmt: skip
    assert all(one["made"].endswith("Z") for one in listed)
    gone = facts(run("keys", "revoke", folder, made["id"], "--json"))
    assert gone == {"revoked": made["id"], "name": "page"}
    table = run("keys", "list", folder).out
    assert made["id"] not in table and "requests a second" in table
    for kept in folder.rglob("*"):
        if kept.is_file():
            assert (
                made["key"] not in kept.read_text() and rotated.out.strip() not in kept.read_text()
            )
    audit = [
        json.loads(line) for line in (folder / "serve" / "audit.jsonl").read_text().splitlines()
    ]
    assert [one["action"] for one in audit[1:]] == [
        "make-key", "make-key", "rotate-key", "revoke-key"
    ]  # fmt: skip
    assert audit[-1]["key"] == made["id"] and audit[-1]["name"] == "page"


def test_there_may_be_none(run, folder):
    assert run("keys", "list", folder).out == "There are no keys.\n"
    assert not (folder / "serve").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["make", "FOLDER", "a", "--scope", "all"], "scopes of events:write, recommend:read"),
        (["make", "FOLDER", "a"], "Missing option '--scope'"),
        (
            ["make", "nowhere", "a", "--scope", "admin"],
            "expected the folder of a model, found none",
        ),
        (["rotate", "FOLDER", "a"], "there is no key of the name 'a'; known are none."),
        (["revoke", "FOLDER", "a"], "expected one key of the id or name 'a', found none"),
    ],
)
def test_calls_at_fault_end_with_2(run, folder, arguments, said):
    ran = run("keys", *[folder if one == "FOLDER" else one for one in arguments])
    assert ran.code == 2 and said in ran.err, ran.err
