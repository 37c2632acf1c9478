"""The paper's experiments through the same Project and loop, gold labels being the person."""

from imfl_engine.replay.arms import PAPER_ARMS, Arm, parse_arm, parse_arms
from imfl_engine.replay.oracle import Noise, SimulatedAnnotator, parse_noise
from imfl_engine.replay.rows import ReplayRow, read_rows, write_rows
from imfl_engine.replay.run import ReplayConfig, RowFinished, replay
from imfl_engine.replay.tables import Table, poster_tables, summary_table

__all__ = [
    "PAPER_ARMS",
    "Arm",
    "Noise",
    "ReplayConfig",
    "ReplayRow",
    "RowFinished",
    "SimulatedAnnotator",
    "Table",
    "parse_arm",
    "parse_arms",
    "parse_noise",
    "poster_tables",
    "read_rows",
    "replay",
    "summary_table",
    "write_rows",
]
