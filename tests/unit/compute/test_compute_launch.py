"""How a team of processes is launched, and on which devices it may be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from imfl_engine.compute import launch
from imfl_engine.compute.devices import Device
from imfl_engine.errors import ComputeError


def test_the_launch_command_names_the_processes_and_keeps_the_current_folder_out() -> None:
    words = launch.command(4, 2, Path("/logs"), ["--device", "cpu"])
    assert words[:4] == [sys.executable, "-P", "-m", "accelerate.commands.launch"]
    assert words[words.index("--num_processes") + 1] == "4"
    assert words[words.index("--num_cpu_threads_per_process") + 1] == "2"
    own = words[words.index("--no_python") + 1 :]
    assert own[:3] == [sys.executable, "-P", "-c"]
    assert "imfl_engine.compute.member" in own[3]
    assert own[4:] == ["--device", "cpu"]


@pytest.mark.parametrize(
    ("device", "processes", "said"),
    [
        ("cuda", 3, "training.processes is 3, but the number of GPUs here is 2"),
        ("cuda:1", 2, "one GPU"),
        ("mps", 2, "cannot be shared"),
    ],
)
def test_more_processes_than_devices_are_refused(
    monkeypatch: pytest.MonkeyPatch, device: str, processes: int, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    wanted = Device(torch.device(device), torch.float32, 1)
    with pytest.raises(ComputeError, match=said):
        launch.check_device(wanted, processes)


@pytest.mark.parametrize(("device", "processes"), [("cuda", 2), ("cpu", 8)])
def test_a_device_for_each_process_is_enough(
    monkeypatch: pytest.MonkeyPatch, device: str, processes: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    launch.check_device(Device(torch.device(device), torch.float32, 1), processes)
