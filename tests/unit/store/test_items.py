"""Importing items, drawing from the pool, searching."""

import random
from functools import partial

from imfl_engine.store import incoming, items, labels, search
from imfl_engine.store.database import Database
from imfl_engine.types import Action, Origin
from imfl_engine.views import ItemFilter


def keys(database: Database, split: str) -> list[str]:
    ids = database.read_now(lambda con: items.ids_of_split(con, split))
    return [item.key for item in database.read_now(lambda con: items.by_ids(con, ids))]


def test_duplicates_and_empty_texts_are_left_out_and_counted(database: Database, add) -> None:
    report = add(
        database,
        [{"text": "one"}, {"text": "one"}, {"text": "  \r\n\t"}, {"text": ""}, {"text": "two"}],
    )
    assert (report["added"], report["duplicates"], report["empty"]) == (2, 1, 2)
    assert add(database, [{"text": "two"}, {"text": "three"}])["added"] == 1
    assert database.read_now(lambda con: items.count(con, "pool")) == 3


def test_a_pool_item_that_is_in_the_test_set_is_never_trained_on(database: Database, add) -> None:
    add(
        database,
        [{"text": "same", "key": "pool"}, {"text": "same", "key": "test", "split": "test"}],
    )
    assert keys(database, "pool") == []
    assert keys(database, "test") == ["test"]


def test_every_test_item_is_kept_even_when_the_set_repeats_itself(database: Database, add) -> None:
    rows = [{"text": "same", "key": k, "split": "test"} for k in ("a", "b")]
    assert add(database, rows)["added"] == 2


def test_a_key_used_twice_for_different_texts_gets_a_suffix(database: Database, add) -> None:
    add(database, [{"text": "one", "key": "k"}, {"text": "two", "key": "k"}])
    add(database, [{"text": "three", "key": "k"}])
    found = keys(database, "pool")
    assert found[0] == "k"
    assert len(set(found)) == 3


def test_labels_outside_the_schema_are_counted_and_dropped(database: Database, add) -> None:
    report = add(
        database,
        [{"text": "a", "gold": "yes"}, {"text": "b", "gold": "maybe?"}, {"text": "c"}],
    )
    assert report["unknown_labels"] == {"maybe?": 1}
    found = database.read_now(lambda con: items.by_ids(con, [1, 2, 3]))
    assert [item.gold for item in found] == ["yes", None, None]


def test_an_abandoned_import_leaves_nothing(database: Database, add) -> None:
    database.write_now(incoming.begin)
    database.write_now(incoming.abandon)
    assert database.read_now(lambda con: items.count(con, "pool")) == 0
    assert add(database, [{"text": "later"}])["added"] == 1


def test_the_sub_sample_does_not_depend_on_the_order_of_the_import(tmp_path, add) -> None:
    rows = [{"text": f"text {number}"} for number in range(200)]
    drawn = []
    for name in ("a", "b"):
        other = Database.create(tmp_path / f"{name}.db")
        random.Random(name).shuffle(rows)
        add(other, rows)
        ids = other.read_now(lambda con: items.draw_sub_sample(con, 20, salt="0:1"))
        found = other.read_now(partial(items.by_ids, ids=ids))
        drawn.append({item.text for item in found})
        other.close()
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 20


def test_another_salt_draws_another_sub_sample(database: Database, add) -> None:
    add(database, [{"text": f"text {number}"} for number in range(200)])
    draws = [
        database.read_now(lambda con, s=salt: items.draw_sub_sample(con, 20, salt=s))
        for salt in ("0:1", "0:2", "0:1")
    ]
    assert draws[0] == draws[2] != draws[1]


def test_what_is_decided_is_not_drawn_again(database: Database, add) -> None:
    add(database, [{"text": f"text {number}"} for number in range(10)])
    database.write_now(
        lambda con: labels.record(
            con, 4, Action.LABEL, label="yes", round=0, origin=Origin.BATCH, annotator="me"
        )
    )
    drawn = database.read_now(lambda con: items.draw_sub_sample(con, 100, salt="x"))
    assert sorted(drawn) == [1, 2, 3, 5, 6, 7, 8, 9, 10]


def test_search_pages_through_matches_in_the_order_of_ids(database: Database, add) -> None:
    add(database, [{"text": f"{'Refill' if n % 2 else 'other'} {n}"} for n in range(10)])
    wanted = ItemFilter(text="refill")
    first = database.read_now(lambda con: search.page(con, wanted, labels=(), after=0, limit=3))
    rest = database.read_now(
        lambda con: search.page(con, wanted, labels=(), after=first[-1].item_id, limit=10)
    )
    assert [row.text for row in first + rest] == [f"Refill {n}" for n in (1, 3, 5, 7, 9)]
    assert database.read_now(lambda con: search.count(con, wanted, labels=())) == 5


def test_a_search_for_sql_or_wildcards_is_just_text(database: Database, add) -> None:
    add(database, [{"text": "100% sure"}, {"text": "'; DROP TABLE items; --"}])
    for text, hits in (("%", 1), ("_", 0), ("'; DROP", 1)):
        wanted = ItemFilter(text=text)
        count = database.read_now(lambda con, w=wanted: search.count(con, w, labels=()))
        assert count == hits


def test_a_mistyped_number_is_no_other_item_where_keys_are_numbers(database: Database, add) -> None:
    add(database, [{"key": str(n), "text": f"text {n}"} for n in range(101, 111)])
    find = lambda word: database.read_now(lambda con: items.find(con, word))  # noqa: E731
    assert find("101") == 1
    assert find("3") is None
    assert find("#3") == 3
    assert find("#99") is None


def test_an_item_without_a_number_for_a_key_goes_by_its_number(database: Database, add) -> None:
    add(database, [{"key": f"mail-{n}", "text": f"text {n}"} for n in range(3)])
    find = lambda word: database.read_now(lambda con: items.find(con, word))  # noqa: E731
    assert (find("mail-2"), find("2"), find("#2"), find("7")) == (3, 2, 2, None)
