"""Freed memory stays for the next step; in processes of their own, since the setting is the process's."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from imfl_engine.compute.allocator import give_back_memory, keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    for _ in range(20):
        blocks = [np.ones(250_000) for _ in range(8)]
        del blocks

if sys.argv[1] == "kept":
    keep_freed_memory()
work()
before = faults()
work()
print(faults() - before)
give_back_memory()
before = faults()
work()
print(faults() - before)
"""


def page_faults(kind: str) -> tuple[int, int]:
    """Pages the system had to clear for 20 steps of 16 MB, and for as many after giving back."""
    command = [sys.executable, "-c", SCRIPT, kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    first, second = done.stdout.split()
    return int(first), int(second)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_what_a_step_frees_is_there_for_the_next_one_until_it_is_given_back() -> None:
    by_default, _ = page_faults("default")
    kept, after_giving_back = page_faults("kept")
    assert kept < by_default / 10
    assert kept + 500 < after_giving_back < by_default
