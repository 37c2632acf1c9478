"""What the screens decide without a screen: keys, names, batches, jobs, drafts, preferences."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from textual.binding import Binding

import imfl_tui
from imfl_engine.errors import SettingsError
from imfl_engine.events import (
    Annotated,
    Notice,
    Progress,
    StepFinished,
    StepStarted,
    TrainingProgress,
)
from imfl_engine.settings import replace_setting
from imfl_engine.types import Item, Purpose, Reply, ReplyStatus, Step, StepKind
from imfl_engine.views import QueueItem
from imfl_tui import draft_data, drafts
from imfl_tui import jobs as job_states
from imfl_tui.drafts import Draft
from imfl_tui.fuzzy import ranked
from imfl_tui.jobs import Annotation, Jobs, describe
from imfl_tui.keymap import assign_label_keys, check_keymap, key_name
from imfl_tui.lines.annotate import figure_lines
from imfl_tui.preferences import Preferences, load_preferences, save_preferences
from imfl_tui.questions import without_later_answers
from imfl_tui.queue import Batch
from imfl_tui.screens import registry

# keys


def test_labels_get_digits_then_letters_that_no_command_uses():
    labels = [(f"label {n}", "", "") for n in range(12)]
    keys = [key.key for key in assign_label_keys(labels, {"a", "b"})]
    assert keys == [*"123456789", "c", "d", "e"]


def test_a_wished_key_wins_and_binary_labels_keep_their_digits():
    assert [k.key for k in assign_label_keys([("yes", "y", ""), ("no", "n", "")], {"n"})] == [
        "y",
        "1",
    ]
    assert [k.key for k in assign_label_keys([("0", "", ""), ("1", "", "")], ())] == ["0", "1"]


def test_labels_without_a_free_key_have_none():
    keys = assign_label_keys([(str(n) + "x", "", "") for n in range(77)], set("uf"))
    assert sum(1 for key in keys if key.key) == 9 + 24


GROUPS = [
    ("app", [Binding("q", "quit", "Quit", id="app.quit")]),
    (
        "label",
        [
            Binding("space", "skip", "Skip", id="label.skip"),
            Binding("u", "undo", "Undo", id="label.undo"),
        ],
    ),
    ("review", [Binding("a", "keep", "Keep", id="review.keep")]),
]


def test_a_keymap_moves_commands_and_may_swap_them():
    keys, problems = check_keymap({"label.skip": "u", "label.undo": "space,?"}, GROUPS)
    assert keys == {"label.skip": "u", "label.undo": "space,question_mark"}
    assert not problems


@pytest.mark.parametrize(
    ("wish", "word"),
    [
        ({"label.skip": "u"}, "label.undo"),
        ({"label.skip": "q"}, "app.quit"),
        ({"label.skp": "x"}, "no command"),
        ({"label.skip": "ctrl+s"}, "terminals"),
        ({"label.skip": "alt+x"}, "terminals"),
        ({"label.skip": ""}, "no key"),
    ],
)
def test_a_keymap_that_cannot_work_is_refused_with_the_reason(wish: dict[str, str], word: str):
    keys, problems = check_keymap(wish, GROUPS)
    assert not keys
    assert len(problems) == 1
    assert word in problems[0]


def test_a_window_has_its_keys_for_itself_and_its_own_clashes():
    window = [
        (
            "reader",
            [Binding("q", "close", id="reader.close"), Binding("j", "down", id="reader.down")],
        )
    ]
    assert check_keymap({"reader.close": "u"}, GROUPS, window) == ({"reader.close": "u"}, [])
    keys, problems = check_keymap({"reader.close": "j"}, GROUPS, window)
    assert not keys
    assert "reader.down" in problems[0]


def test_the_same_key_on_two_screens_is_no_clash():
    keys, problems = check_keymap({"review.keep": "u"}, GROUPS)
    assert keys == {"review.keep": "u"}
    assert not problems


def test_what_holds_on_a_tall_terminal_holds_on_a_higher_one_too():
    """A breakpoint's class takes the place of the one below it, so its rules must name both."""
    package = Path(imfl_tui.__file__).parent
    selectors = [
        selector.strip()
        for sheet in package.rglob("*.tcss")
        for rule in re.sub(r"/\*.*?\*/", "", sheet.read_text(), flags=re.S).split("}")
        for selector in rule.split("{")[0].split(",")
    ]
    tall = [selector for selector in selectors if ".-tall" in selector]
    assert tall
    assert not [one for one in tall if one.replace(".-tall", ".-high") not in selectors]


def test_every_binding_of_every_screen_has_an_id_and_none_uses_a_key_terminals_eat():
    eaten = {"ctrl+s", "ctrl+j", "ctrl+o", "ctrl+b", "ctrl+z"}
    seen: set[str] = set()
    for _, bindings in [*registry.bindings(), *registry.window_bindings()]:
        for binding in bindings:
            assert isinstance(binding, Binding)
            assert binding.id
            for key in binding.key.split(","):
                assert key not in eaten
                assert not key.startswith("alt+")
            assert binding.id == "app.home" or binding.id not in seen
            seen.add(binding.id)


def test_keys_are_written_the_way_people_read_them():
    assert key_name("question_mark") == "?"
    assert key_name("ctrl+p") == "ctrl+p"
    assert key_name("A") == "A"


# names


def test_a_few_letters_find_a_label():
    names = ["card_arrival", "card_payment_fee", "cash_withdrawal", "top_up_failed", "wrong_amount"]
    assert ranked("tu", names)[0] == "top_up_failed"
    assert ranked("cpf", names)[0] == "card_payment_fee"
    assert ranked("fee", names)[0] == "card_payment_fee"
    assert ranked("zz", names) == []


def test_a_space_stands_for_whatever_separates_words():
    names = ["card_payment_wrong_exchange_rate", "card_arrival"]
    assert ranked("card arr", names)[0] == "card_arrival"


def test_among_equals_the_often_used_comes_first():
    assert ranked("", ["a", "b"], weights={"b": 3})[0] == "b"
    assert ranked("ca", ["cash", "card"], weights={"card": 1})[0] == "card"


# the batch


def queue_item(number: int) -> QueueItem:
    return QueueItem(
        Item(number, str(number), "text"), 1, number, 9, "", False, None, None, False, None
    )


def test_a_batch_goes_on_comes_back_and_recalls():
    batch = Batch()
    batch.add(queue_item(n) for n in (1, 2, 3))
    batch.answer("a", 2.0)
    batch.answer("b", 2.0)
    assert batch.current == queue_item(3)
    assert batch.recall(1)
    assert batch.current == queue_item(1)
    assert batch.given(1) is None
    assert batch.given(2) == "b"
    batch.answer("c", 1.0)
    assert batch.current == queue_item(3)


def test_fetched_items_are_not_shown_twice_and_answered_ones_not_again():
    batch = Batch()
    batch.add(queue_item(n) for n in (1, 2))
    batch.answer("a", 1.0)
    batch.add(queue_item(n) for n in (1, 2, 3))
    batch.answer("a", 1.0)
    batch.answer("a", 1.0)
    assert batch.current is None
    batch.add([queue_item(1)])
    assert batch.current is None


def test_the_pace_is_the_median_of_recent_answers():
    batch = Batch()
    batch.add(queue_item(n) for n in range(9))
    for seconds in (2.0, 4.0, 60.0):
        batch.answer("a", seconds)
    assert batch.seconds_left(10) == 40.0


# jobs


def annotated(done: int) -> Annotated:
    reply = Reply(done, 1, Purpose.ANNOTATE, ReplyStatus.OK, "a", "openai:m", "h")
    return Annotated(reply, done, 800, 4, 0, {}, 0.31, 0.02, 5.0, 200.0, 60.0)


def test_the_screen_says_how_replies_ended_and_only_what_there_is():
    counts = {ReplyStatus.OK: 1200, ReplyStatus.REFUSED: 3, ReplyStatus.RATE_LIMITED: 1}
    last = replace(annotated(1204), statuses=counts)
    lines = figure_lines(Annotation(last), 60)
    words = " ".join("".join(span.text for span in part) for part in lines)
    assert all(said in words for said in ("1,200 ok", "3 refused", "1 rate limited"))
    assert "invalid" not in words
    assert all(sum(len(span.text) for span in part) <= 60 for part in lines)


def test_events_fold_into_one_snapshot_for_the_header():
    jobs = job_states.start(Jobs(), "rounds")
    jobs = job_states.fold(jobs, "rounds", StepStarted(Step(StepKind.ANNOTATE, 1)))
    jobs = job_states.fold(jobs, "rounds", annotated(412))
    assert describe(jobs, "rounds") == "LLM 412/800 $0.31"
    jobs = job_states.fold(jobs, "rounds", StepFinished(Step(StepKind.ANNOTATE, 1)))
    jobs = job_states.fold(jobs, "rounds", StepStarted(Step(StepKind.TRAIN, 1)))
    jobs = job_states.fold(jobs, "rounds", TrainingProgress(63, 100, 1.0, 0.5, 70.0, 30.0, "cpu"))
    assert describe(jobs, "rounds") == "training 63 % 30 s"
    jobs = job_states.mark(jobs, "rounds", paused=True)
    assert describe(jobs, "rounds").endswith("(paused)")
    done = job_states.finish(jobs, "rounds")
    assert not done.busy
    assert done.training is not None
    assert not done.training.running


def test_a_flood_of_events_keeps_the_snapshot_small():
    jobs = job_states.start(Jobs(), "rounds")
    for n in range(5_000):
        jobs = job_states.fold(
            jobs, "rounds", TrainingProgress(n, 5_000, 1.0, 0.5, 70.0, None, "cpu")
        )
    for n in range(400):
        jobs = job_states.fold(jobs, "rounds", annotated(n))
    jobs = job_states.fold(jobs, "rounds", Notice("info", "hm"))
    assert jobs.training is not None
    assert len(jobs.training.losses) <= job_states.KEPT_POINTS
    assert jobs.annotation is not None
    assert len(jobs.annotation.replies) == job_states.KEPT_REPLIES


def test_other_jobs_show_their_progress():
    jobs = job_states.start(Jobs(), "prefetch")
    jobs = job_states.fold(jobs, "prefetch", Progress("embed", 612, 2_000))
    assert describe(jobs, "prefetch") == "embedding ahead 612/2,000"


# preferences


def test_preferences_survive_a_round_trip_with_what_is_not_known(tmp_path: Path):
    path = tmp_path / "deep" / "settings.toml"
    wanted = Preferences(
        "ansi-dark", True, {"label.skip": "x"}, {"future": {"a": [1, "b"]}, "n": 3}
    )
    save_preferences(path, wanted)
    assert load_preferences(path) == wanted
    assert [file.name for file in path.parent.iterdir()] == ["settings.toml"]


def test_missing_preferences_are_the_defaults(tmp_path: Path):
    assert load_preferences(tmp_path / "none.toml") == Preferences()


@pytest.mark.parametrize("text", ["theme = 3", "[keys]\na = 1", "not toml", "keys = 'x'"])
def test_wrong_preferences_name_the_file(tmp_path: Path, text: str):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"settings\.toml"):
        load_preferences(path)


# drafts


def test_a_draft_is_kept_and_taken_up(tmp_path: Path):
    path = drafts.draft_path(tmp_path, tmp_path / "p.db")
    assert drafts.load_draft(path) is None
    drafts.save_draft(path, Draft(data="a.csv", human="50"))
    assert drafts.load_draft(path) == Draft(data="a.csv", human="50")
    drafts.forget_draft(path)
    assert drafts.load_draft(path) is None


def test_a_plan_becomes_settings():
    plan = drafts.plan_settings(
        Draft(
            labels="yes, no,yes",
            human="1,000",
            money="$2,50",
            minutes="",
            annotator="openai",
            model="m",
        )
    )
    assert plan.task.label_names == ("yes", "no")
    assert plan.budget.human == 1000
    assert plan.budget.money_usd == 2.5
    assert plan.budget.minutes is None
    assert plan.annotator.spec == "openai:m"


def test_a_secret_in_an_address_is_not_kept_with_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = tmp_path / "draft.json"
    monkeypatch.setenv("OPENAI_API_KEY", "the-key-hunter2")
    for address in ("http://me:hunter2@host/v1", "http://host/the-key-hunter2/v1"):
        drafts.save_draft(path, Draft(base_url=address, human="50"))
        assert "hunter2" not in path.read_text()
    drafts.save_draft(path, Draft(base_url="http://host/v1", human="50"))
    assert "http://host/v1" in path.read_text()


def test_every_wrong_answer_is_named_at_once():
    with pytest.raises(SettingsError) as error:
        drafts.plan_settings(Draft(labels="a,b", human="many", price="1", annotator="openai"))
    for word in ("your labels", "price", "model"):
        assert word in error.value.message


@pytest.mark.parametrize(
    ("written", "kept"),
    [("1 2", (1.0, 2.0, None)), ("$1 2 0,5", (1.0, 2.0, 0.5)), ("", (None,) * 3)],
)
def test_a_third_price_is_that_of_cached_tokens(written: str, kept: tuple[float | None, ...]):
    asked = drafts.plan_settings(Draft(labels="a,b", price=written)).annotator
    assert (asked.price_input, asked.price_output, asked.price_cached) == kept


def test_a_budget_that_is_left_blank_is_asked_for():
    with pytest.raises(SettingsError) as error:
        drafts.plan_settings(Draft(labels="a,b", human=" ", llm="", rounds=""))
    for word in ("your labels", "LLM labels", "rounds"):
        assert word in error.value.message


async def test_the_sample_data_is_understood_without_help(sample_data: Path):
    draft = Draft(data=str(sample_data / "clinic-inbox" / "train.jsonl"), test="0.1")
    sources = draft_data.open_data(draft, guess=True)
    draft = draft_data.with_columns(draft, sources[0])
    assert (draft.text, draft.label, draft.identity) == ("text", "label", "id")
    labels = draft_data.suggested_labels(sources[0].label_counts())
    assert len(drafts.label_names(labels)) == 5
    plan = drafts.plan_settings(Draft(labels=labels))
    assert (await draft_data.plan_price(plan, sources[0])).money_high == 0.0


async def test_the_set_up_has_a_price_without_a_key_and_counts_the_examples(
    sample_data: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    data = str(sample_data / "clinic-inbox" / "train.jsonl")
    draft = Draft(data=data, labels="a, b", annotator="openai", model="m", price="1 2", llm="100")
    sources = draft_data.open_data(draft, guess=True)
    with_examples = await draft_data.plan_price(drafts.plan_settings(draft), sources[0])
    assert with_examples.calls == 100 + 200
    assert 0 < with_examples.money_low < with_examples.money_high < 4 * with_examples.money_low
    settings = replace_setting(drafts.plan_settings(draft), "retrieval.method", "zero-shot")
    without = await draft_data.plan_price(settings, sources[0])
    assert without.input_tokens_high < with_examples.input_tokens_high / 2


def test_the_set_up_refuses_what_cannot_be_meant_in_its_own_words():
    with pytest.raises(SettingsError, match=r"target .*did you mean minilm") as told:
        drafts.plan_settings(Draft(labels="a,b", target="minilmm"))
    assert "PROJECT.db" not in told.value.hint
    with pytest.raises(SettingsError, match=r"^labels .* needs at least two labels"):
        drafts.plan_settings(Draft(labels="a"))
    with pytest.raises(SettingsError, match="your labels should be"):
        drafts.plan_settings(Draft(labels="a,b", human="-3"))


@pytest.mark.parametrize("title", ["labels", "annotator"])
def test_a_wrong_answer_of_a_later_step_keeps_nobody_from_getting_there(title: str):
    draft = Draft(labels="yes, no", money="5.00abc", human="", rounds="many")
    drafts.plan_settings(without_later_answers(draft, title))
    with pytest.raises(SettingsError):
        drafts.plan_settings(without_later_answers(draft, "budget"))
    wrong_price = Draft(labels="yes, no", price="x")
    if title == "labels":
        drafts.plan_settings(without_later_answers(wrong_price, title))
    else:
        with pytest.raises(SettingsError):
            drafts.plan_settings(without_later_answers(wrong_price, title))
