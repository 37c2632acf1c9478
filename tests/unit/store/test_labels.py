"""The event log: the last decision counts, and undo takes any of them back."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imfl_engine.store import labels, reports
from imfl_engine.store.database import Database
from imfl_engine.types import Action, LabelEvent, Origin


def act(
    database: Database,
    item_id: int,
    action: Action,
    label: str | None = None,
    origin: Origin = Origin.BATCH,
    round: int = 1,
    **more: object,
) -> LabelEvent:
    return database.write_now(
        lambda con: labels.record(
            con, item_id, action, label=label, round=round, origin=origin, annotator="me", **more
        )
    )


def undo(database: Database) -> LabelEvent | None:
    return database.write_now(lambda con: labels.undo(con, annotator="me"))


def current(database: Database) -> dict[int, str]:
    return database.read_now(labels.human_labels)


def test_the_last_label_counts_and_undo_brings_the_one_before_back(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes")
    act(database, 1, Action.LABEL, "no")
    assert current(database) == {1: "no"}
    undo(database)
    assert current(database) == {1: "yes"}
    undo(database)
    assert current(database) == {}
    assert undo(database) is None


def test_undo_goes_on_after_a_restart(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes")
    act(database, 2, Action.SKIP)
    path = database.path
    database.close()
    again = Database.open(path)
    assert undo(again).item_id == 2
    assert undo(again).item_id == 1
    again.close()


def test_a_bulk_action_is_undone_as_one(database: Database) -> None:
    act(database, 9, Action.LABEL, "yes")
    database.write_now(
        lambda con: labels.record_many(
            con,
            [1, 2, 3],
            Action.ACCEPT_BULK,
            round=1,
            origin=Origin.REVIEW,
            annotator="me",
            batch_id="b",
        )
    )
    assert len(database.read_now(labels.decided_actions)) == 4
    undo(database)
    assert database.read_now(labels.decided_actions) == {9: "label"}


def test_imported_labels_are_no_keystrokes_to_undo(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes", origin=Origin.IMPORT)
    assert undo(database) is None
    assert current(database) == {1: "yes"}


def test_flags_and_notes_do_not_touch_the_label(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes")
    act(database, 1, Action.FLAG)
    act(database, 1, Action.NOTE, comment="odd")
    assert current(database) == {1: "yes"}
    assert database.read_now(labels.flagged_ids) == {1}
    act(database, 1, Action.UNFLAG)
    assert database.read_now(labels.flagged_ids) == set()
    assert database.read_now(labels.comments) == {1: "odd"}


def test_the_newest_answers_are_found_behind_any_number_of_notes(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes")
    act(database, 2, Action.SKIP)
    for item_id in (1, 1, 3, 3):
        act(database, item_id, Action.NOTE, comment="odd")

    def actions(**wanted: object) -> list[str]:
        found = database.read_now(lambda con: labels.history(con, limit=4, **wanted))
        return [event.action.value for event in found]

    assert actions(of=(Action.LABEL, Action.SKIP)) == ["skip", "label"]
    assert actions(of=(Action.LABEL, Action.NOTE), item_id=1) == ["note", "note", "label"]
    assert actions() == ["note"] * 4


def test_time_is_counted_even_when_the_work_was_undone(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes", seconds=30.0)
    undo(database)
    assert database.read_now(labels.minutes_spent) == 0.5


STEPS = st.lists(
    st.tuples(st.sampled_from(["label", "undo"]), st.integers(1, 3), st.sampled_from("ab")),
    max_size=12,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_any_sequence_of_labels_and_undos_equals_a_stack(
    tmp_path_factory, steps: list[tuple[str, int, str]]
) -> None:
    database = Database.create(tmp_path_factory.mktemp("undo") / "p.db")
    stack: list[tuple[int, str]] = []
    for kind, item_id, label in steps:
        if kind == "label":
            act(database, item_id, Action.LABEL, label)
            stack.append((item_id, label))
        else:
            undo(database)
            del stack[-1:]
        expected: dict[int, str] = {}
        for stacked_id, stacked_label in stack:
            expected[stacked_id] = stacked_label
        assert current(database) == expected
    database.close()


def test_the_floor_without_a_test_set_is_that_of_the_control_slice(database: Database) -> None:
    def draw(first: int, last: int) -> None:
        database.write_now(
            lambda con: con.execute(
                "INSERT INTO selections (round, item_id, role, rank, control) "
                "SELECT 1, i, 'human', i, true FROM range(?, ?) r(i)",
                [first, last + 1],
            )
        )

    for item_id in range(1, 21):
        act(database, item_id, Action.LABEL, "yes" if item_id in (1, 2, 3, 5) else "no")
    draw(1, 4)
    assert database.read_now(reports.majority) is None  # of four labels a share says nothing
    draw(5, 5)
    assert database.read_now(reports.majority) == ("yes", 0.8)


def test_minutes_are_counted_by_round(database: Database) -> None:
    act(database, 1, Action.LABEL, "yes", seconds=30.0, round=1)
    act(database, 2, Action.LABEL, "yes", seconds=60.0, round=2)
    act(database, 3, Action.LABEL, "yes", seconds=60.0, round=2, origin=Origin.IMPORT)
    assert database.read_now(reports.minutes_by_round) == {1: 0.5, 2: 1.0}
