"""One process of a team that fine-tunes, started by `accelerate launch` for `launch`.

Does what the compute process would do, by the same code. Every process reads the job from a file;
rank 0 reports on fd 1, any other says only who it is and what went wrong. All of them end at the end of the
standard input that they share, so none outlives the compute process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from imfl_engine.compute.child import Link, Message, be_nice, claim_standard_streams, perform
from imfl_engine.compute.job import Job
from imfl_engine.errors import ComputeError

if TYPE_CHECKING:
    from imfl_engine.compute.models import Workshop


def main() -> None:
    """Do the job and end."""
    parser = argparse.ArgumentParser(prog="imfl-compute-member")
    parser.add_argument("--device", choices=("cpu", "cuda"), required=True)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--request", type=Path, required=True)
    options = parser.parse_args()
    link = Link(*claim_standard_streams())
    threading.Thread(target=link.read_forever, name="reader", daemon=True).start()
    be_nice()
    is_first = os.environ["RANK"] == "0"
    link.send({"event": "member", "pid": os.getpid()})
    request = json.loads(options.request.read_text(encoding="utf-8"))
    job = Job(request["job"], options.request.parent, link.send if is_first else _keep_quiet)
    last = perform(job, request, lambda: open_workshop(options))
    if is_first or last["event"] == "failed":
        link.send(last)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(last["event"] == "failed"))  # the others are not waited for


def open_workshop(options: argparse.Namespace) -> Workshop:
    """Meet the others, each on a device of its own; raises `ComputeError` if that does not work."""
    from imfl_engine.compute.models import Workshop
    from imfl_engine.compute.team import join

    wanted = options.device
    if wanted == "cuda":
        wanted = f"cuda:{os.environ['LOCAL_RANK']}"
    workshop = Workshop.open(wanted, options.threads, options.work)
    if workshop.device.fallback:
        raise ComputeError(workshop.device.fallback, "Set training.processes lower.")
    import torch

    workshop.team = join(cpu=options.device == "cpu")
    # Each would measure for itself which number format is faster, and they might disagree.
    dtype = getattr(torch, options.dtype)
    workshop.device = replace(workshop.device, dtype=dtype, processes=workshop.team.size)
    return workshop


def _keep_quiet(message: Message) -> None:
    """Rank 0 says the same."""


if __name__ == "__main__":
    main()
