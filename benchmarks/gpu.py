"""Steps on a GPU, trials that share one, and how fast batches reach it.

    python -m benchmarks.gpu step                       # every network, and the products of task gradients alone
    python -m benchmarks.gpu step resnet18 --methods ew pcgrad
    python -m benchmarks.gpu step nyuv2 street celeba   # at the sizes of the paper's suites; 20 GB and more of GPU memory
    python -m benchmarks.gpu packing                    # 1, 2, 4 and 8 processes on one GPU
    python -m benchmarks.gpu packing --mps              # the same under NVIDIA's MPS, which it starts and ends
    python -m benchmarks.gpu loading
    python -m benchmarks.gpu step lenet3 --device cpu   # to try it without a GPU

Floors and options are those of `benchmarks/step_cost.py`, and so are problems but the large ones. Times are wall-clock: use a GPU that nobody else uses.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.step_cost import ADAM, OPTIONS, PROBLEMS, Problem, faces, forward_and_backwards, rooms
from mtlsweep.params.choice import Choice
from mtlsweep.suites.prepared.preparation import prepare
from mtlsweep.suites.prepared.splits import Batch, Split, open_prepared
from mtlsweep.training.step.gramian import float32_products
from mtlsweep.training.step.updater import build_updater

Step = Callable[[], Any]
METHODS = ("ew", "pcgrad", "cagrad", "aligned_mtl")
WAYS: dict[str, dict[str, Any]] = {
    "float32": {},
    "channels last": {"channels_last": True},
    "bfloat16": {"precision": "bfloat16"},
    "both": {"precision": "bfloat16", "channels_last": True},
}
PACKED = (1, 2, 4, 8)
LARGE: dict[str, Callable[[], Problem]] = {
    "nyuv2": lambda: rooms("segnet", 8, (288, 384)),
    "street": lambda: rooms("segnet", 64, (128, 256)),
    "celeba": lambda: faces(512),
}
"""Batches and images of the paper's suites; `street` has one task more than Cityscapes."""


def problem_on(device: torch.device, name: str) -> Problem:
    made = LARGE[name]() if name in LARGE else PROBLEMS[name][0]()
    batch = Batch(
        {column: each.to(device) for column, each in made.batch.inputs.items()},
        {task: each.to(device) for task, each in made.batch.targets.items()},
    )
    return replace(made, network=made.network.to(device), batch=batch)


def step_of(problem: Problem, method: str, precision: Any = "float32", channels_last: bool = False) -> Step:
    names = [task.name for task in problem.tasks]
    choice = Choice(name=method, options=OPTIONS.get(method, lambda tasks: {})(names))
    if channels_last:
        problem.network.memory_format = torch.channels_last
    updater = build_updater(
        problem.network, problem.tasks, choice, ADAM, 1e-5, generator=torch.Generator(), precision=precision
    )
    return lambda: updater.step(problem.batch)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def milliseconds(step: Step, device: torch.device, rounds: int) -> float:
    for _ in range(2):  # kernels are loaded, optimizers make their state
        step()
    wait(device)
    began = time.perf_counter()
    for _ in range(rounds):
        step()
    wait(device)
    return 1e3 * (time.perf_counter() - began) / rounds


# --- a step ---


def steps(names: list[str], methods: list[str], device: torch.device, rounds: int) -> None:
    for name in names:
        problem = problem_on(device, name)
        floor = milliseconds(forward_and_backwards(problem), device, rounds)
        print(f"{name}: one forward, T backwards and Adam take {floor:.2f} ms")
        print(f"  {'ms a step':14}" + "".join(f"{way:>15}" for way in WAYS))
        for method in methods:
            taken = [
                milliseconds(step_of(problem_on(device, name), method, **way), device, rounds) for way in WAYS.values()
            ]
            print(f"  {method:14}" + "".join(f"{each:15.2f}" for each in taken), flush=True)
        products(problem, device, rounds)


def products(problem: Problem, device: torch.device, rounds: int) -> None:
    """Print what the products of the task gradients take by either way, and how far they differ."""
    elements = sum(parameter.numel() for parameter in problem.network.shared_parameters())
    rows = torch.randn(len(problem.tasks), elements, device=device)
    quick = milliseconds(lambda: float32_products(rows, rows), device, rounds)
    exact = milliseconds(lambda: float64_products(rows), device, rounds)
    found, expected = float32_products(rows, rows), float64_products(rows)
    lengths = expected.diagonal().sqrt()
    error = ((found - expected).abs() / lengths / lengths[:, None]).max().item()
    print(f"  products of gradients: {quick:.2f} ms in float32 by blocks, {exact:.2f} ms in float64, error {error:.1e}")


def float64_products(rows: Tensor) -> Tensor:
    pieces = [part.double() for part in rows.split(1 << 20, dim=1)]
    return torch.stack([piece @ piece.T for piece in pieces]).sum(0)


# --- trials that share a GPU ---


def packing(name: str, method: str, device: torch.device, seconds: float) -> None:
    print(f"{name}, {method}: processes that train at once on {device}")
    alone = 0.0
    for count in PACKED:
        rate = steps_per_second(name, method, device, seconds, count)
        alone = alone or rate
        print(f"  {count}: {rate:8.1f} steps a second together, {rate / alone:.2f} times one process", flush=True)


def steps_per_second(name: str, method: str, device: torch.device, seconds: float, count: int) -> float:
    context = get_context("spawn")
    start, rates = context.Barrier(count), context.Queue()
    arguments = (name, method, device, seconds, start, rates)
    processes = [context.Process(target=train, args=arguments) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        return float(sum(rates.get(timeout=300 + seconds) for _ in processes))
    finally:
        for process in processes:
            process.terminate()
            process.join()


def train(name: str, method: str, device: torch.device, seconds: float, start: Any, rates: Any) -> None:
    torch.set_num_threads(1)
    step = step_of(problem_on(device, name), method)
    milliseconds(step, device, 1)
    start.wait()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        step()
        done += 1
    wait(device)
    rates.put(done / (time.perf_counter() - began))


@contextmanager
def mps() -> Iterator[None]:
    """Let processes that are started within share the GPU by MPS, by a daemon of our own."""
    if shutil.which("nvidia-cuda-mps-control") is None:
        raise SystemExit("there is no nvidia-cuda-mps-control on this machine; run without --mps")
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": f"{folder}/pipe", "CUDA_MPS_LOG_DIRECTORY": f"{folder}/log"}
        before = {name: os.environ.get(name) for name in own}
        os.environ.update(own)
        subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True)
        try:
            yield
        finally:
            subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, check=False)
            for variable, value in before.items():
                os.environ.pop(variable) if value is None else os.environ.update({variable: value})


# --- loading ---


def loading(device: torch.device, rows: int, epochs: int) -> None:
    """Print how fast batches of generated rooms reach the device, from its own memory and from the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "rooms"
        prepare(Choice(name="rooms", options={"train": rows, "test": 8}), directory)
        for label, resident in (("on the device", 2**40), ("sent from the host", 0)):
            split = open_prepared(directory, resident_bytes=resident).splits["train"]
            order = torch.randperm(len(split))
            epoch = partial(read_epoch, split, order, device)
            taken = milliseconds(epoch, device, epochs)
            print(f"  {label:20} {1e3 * len(split) / taken:10.0f} rows a second, in batches of 8", flush=True)


def read_epoch(split: Split, order: Tensor, device: torch.device) -> None:
    for _ in split.batches(order, 8, device):
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["step", "packing", "loading"])
    parser.add_argument("problems", nargs="*", help=f"of {', '.join([*PROBLEMS, *LARGE])}")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--rounds", type=int, default=20, help="timed steps, or epochs of loading")
    parser.add_argument("--seconds", type=float, default=10.0, help="of packing")
    parser.add_argument("--rows", type=int, default=256, help="of loading")
    parser.add_argument("--mps", action="store_true")
    parser.add_argument("--device", default="cuda")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    device = torch.device(arguments.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("torch finds no GPU; `--device cpu` tries the benchmark without one")
    print(torch.cuda.get_device_name(device) if device.type == "cuda" else f"no GPU: {device}")
    if arguments.what == "step":
        steps(arguments.problems or list(PROBLEMS), arguments.methods, device, arguments.rounds)
    elif arguments.what == "packing":
        with mps() if arguments.mps else nullcontext():
            for name in arguments.problems or ["lenet3", "segnet_small"]:
                packing(name, arguments.methods[0], device, arguments.seconds)
    else:
        loading(device, arguments.rows, arguments.rounds)


if __name__ == "__main__":
    main()
