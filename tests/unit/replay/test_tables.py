"""Rows survive their file, and tables say what they show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imfl_engine.errors import DataError
from imfl_engine.replay import ReplayRow, poster_tables, read_rows, summary_table, write_rows

ROW = ReplayRow(
    dataset="fpb",
    arm="eeq",
    seed=0,
    accuracy=0.8,
    accuracy_low=0.77,
    accuracy_high=0.82,
    macro_f1=0.7,
    calibration_error=0.05,
    llm_accuracy=0.75,
    control_accuracy=0.7,
    control_low=0.5,
    control_high=0.85,
    expected_errors=210.0,
    true_errors=200,
    human=200,
    llm=800,
    cost_usd=0.0,
    seconds=5.0,
    training_seconds=1.0,
    simulated=True,
    annotator="simulated:0.75",
    target="probe",
    embedder="minilm",
    query="eeq",
    loss="label-model",
    schedule="variable",
    retrieval="similar",
    training="retrain",
    rounds=5,
    test_size=966,
    curve=[0.6, 0.8],
)


def test_rows_come_back_as_they_were_written(tmp_path):
    rows = [ROW, replace(ROW, seed=1, llm_accuracy=None, true_errors=None, curve=[])]
    write_rows(tmp_path / "r.parquet", rows)
    assert read_rows(tmp_path / "r.parquet") == rows
    assert read_rows(tmp_path / "none.parquet") == []


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "r.parquet").write_text("hello")
    with pytest.raises(DataError):
        read_rows(tmp_path / "r.parquet")


def test_tables_give_mean_and_spread_over_seeds_and_say_that_the_llm_is_simulated():
    rows = [ROW, replace(ROW, seed=1, accuracy=0.82), replace(ROW, arm="random", query="random")]
    fidelity, batches, labels = poster_tables(rows)
    assert fidelity.rows[0][-1] == "81.00 ± 1.41 (2)"
    assert fidelity.rows[1][-1] == "80.00 (1)"
    assert batches.rows[0][2:6] == ("200 + 800", "5", "variable", "similar")
    assert labels.rows[0][:2] == ("simulated:0.75", "similar")
    for table in (fidelity, batches, labels, summary_table(rows)):
        assert "simulated" in table.note
        assert all(len(row) == len(table.columns) for row in table.rows)


def test_a_single_batch_has_no_size():
    rows = [replace(ROW, schedule="one-batch", arm="eeq+one-batch")]
    assert poster_tables(rows)[1].rows[0][3:5] == ("1", "–")


def test_an_arm_of_another_routing_is_not_averaged_with_the_paper_s():
    rows = [ROW, replace(ROW, arm="eeq+routed", routing="gain", accuracy=0.1)]
    fidelity, batches, _ = poster_tables(rows)
    assert [line[-1] for line in fidelity.rows] == ["80.00 (1)"]
    assert [line[-1] for line in batches.rows] == ["80.00 (1)"]
    assert len(summary_table(rows).rows) == 2


def test_settings_changed_for_a_replay_stand_beside_the_target():
    rows = [ROW, replace(ROW, changes="training.frozen_layers=3")]
    assert [line[0] for line in summary_table(rows).rows] == [
        "probe",
        "probe, training.frozen_layers=3",
    ]


def test_continued_training_is_a_line_of_its_own():
    rows = [ROW, replace(ROW, arm="eeq+continue", training="continue", accuracy=0.1)]
    fidelity, _, _ = poster_tables(rows)
    assert [(line[4], line[-1]) for line in fidelity.rows] == [
        ("label-model", "80.00 (1)"),
        ("label-model, continued", "10.00 (1)"),
    ]


def test_a_budget_is_never_averaged_with_another():
    small = replace(ROW, human=60, llm=240, accuracy=0.1)
    for table in (*poster_tables([ROW, small])[:2], summary_table([ROW, small])):
        assert len(table.rows) == 2


def test_a_budget_that_was_not_used_up_stays_the_same_system():
    cut = replace(ROW, seed=1, human_budget=200, llm_budget=800, llm=790)
    for table in (*poster_tables([ROW, cut])[:2], summary_table([ROW, cut])):
        assert len(table.rows) == 1


def test_labels_of_one_kind_count_once_and_each_way_of_asking_by_itself():
    alone = replace(ROW, arm="llm-1000", human=0, llm=1000, query="random", schedule="one-batch")
    rows = [
        alone,
        replace(alone, seed=1, accuracy=0.6),
        replace(alone, arm="llm-1000+zero-shot", retrieval="zero-shot", accuracy=0.3),
        replace(alone, arm="llm-1000+equal", schedule="equal", accuracy=0.2),
        replace(ROW, arm="human-1000+eeq", human=1000, llm=0, annotator="none"),
    ]
    fidelity, _, _ = poster_tables(rows)
    assert [(line[5], line[-1]) for line in fidelity.rows] == [
        ("simulated:0.75", "70.00 ± 14.14 (2)"),
        ("simulated:0.75, zero-shot", "30.00 (1)"),
        ("–", "80.00 (1)"),
    ]
