"""The trial that kills a server can tell what it looks for: see tests/faults/test_t01_kills.py."""

from benchmarks.serving import kill


def test_the_trial_can_tell_a_changed_answer():
    def answer(seq, **scores):
        items = [{"item_id": item, "score": score} for item, score in scores.items()]
        return {"as_of": {"seq": seq}, "items": items}

    assert kill.same(answer(1, a=2.0, b=1.0), answer(1, a=2.0, b=1.0))
    assert kill.same(answer(1, a=2.0, b=2.0), answer(1, b=2.0, a=2.000001))
    assert kill.same(answer(1, a=2.0, b=1.0), answer(1, a=2.0, c=1.000001))  # tied at the end
    assert not kill.same(answer(1, a=2.0, b=1.0), answer(2, a=2.0, b=1.0))
    assert not kill.same(answer(1, a=2.0, b=1.0), answer(1, b=2.0, a=1.0))
    assert not kill.same(answer(1, a=2.0, b=1.0), answer(1, c=2.0, b=1.0))
    assert not kill.same(answer(1, a=2.0), answer(1, a=2.1))


def test_the_trial_can_tell_what_is_lost_doubled_or_misapplied(tmp_path):
    import sqlite3

    store = tmp_path / "events.sqlite"
    with sqlite3.connect(store) as connection:
        connection.execute("CREATE TABLE events (seq, event_id, user_id)")
        rows = [(1, "c-0", "u0"), (2, "c-0", "u0"), (4, "x-9", "u1")]
        connection.executemany("INSERT INTO events VALUES (?, ?, ?)", rows)
    connection.close()
    client = kill.Client("c", 1, acknowledged=["c-0", "c-1"], n_sent=3)
    found = kill.counts(store, [client], {"u0": 5}, {"u0": 7, "u1": 0})
    assert (found["sent"], found["acknowledged"]) == (3, 2)
    assert (found["lost"], found["doubled"], found["misapplied"]) == (2, 2, 1)
    assert found["gaps_in_seq"] == 1
