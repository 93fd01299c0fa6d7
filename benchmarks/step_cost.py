"""What a training step costs, relative to the minimum: one forward and as many backwards as needed.

    python benchmarks/step_cost.py                      # every network, every method
    python benchmarks/step_cost.py lenet3 --methods pcgrad cagrad
    python benchmarks/step_cost.py --solvers            # weights from the Gramian alone
    python benchmarks/step_cost.py --memory             # peak memory of a step, a process for each

The floor of a gradient weighting is one forward, T separate `backward()` calls and the optimizer's
step; that of a loss weighting is the step of equal weights. Methods that need other passes by definition have a floor of
these passes: `two samples` (SDMGrad, MoDo), `look-ahead` (Auto-Lambda), `aligned heads` (ConsMTL). Each round runs the floor, then ours, then
each peer's, and the table shows the median over rounds, and over networks built anew, of the ratio to
the floor of the round: CPU time of this one thread, so that other processes have little influence.

TorchJD's aggregators (behind its `mtl_backward`, one task at a time) and LibMTL's classes (with the
steps of its trainer) are run beside ours where they can be imported: TorchJD needs its extra `full`
for some, LibMTL a checkout on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import time
import types
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from mtlsweep.methods.weighting import (
    WEIGHTINGS,
    GramianWeighting,
    HeadAligningWeighting,
    LookAheadWeighting,
    LossWeighting,
    TwoSampleWeighting,
    Weighting,
)
from mtlsweep.params.choice import Choice
from mtlsweep.suites.inputs import Feature, InputShape
from mtlsweep.suites.networks import NETWORKS, MultiTaskNetwork, create_network
from mtlsweep.suites.prepared.splits import Batch
from mtlsweep.suites.tasks import Task, task_from_definition
from mtlsweep.testing import matrices
from mtlsweep.training.step.updater import build_updater

Step = Callable[[], Any]
ADAM = Choice(name="adam")
OPTIONS: dict[str, Callable[[list[str]], dict[str, Any]]] = {
    "scalar": lambda tasks: dict.fromkeys(tasks, 0.5),
    "pivrg": lambda tasks: {"reference": {task: {"metric": 1.0} for task in tasks}},
}


@dataclass(frozen=True)
class Problem:
    network: MultiTaskNetwork
    tasks: list[Task]
    batch: Batch

    def losses(self) -> list[Tensor]:
        outputs = self.network(self.batch.inputs)
        return [task.loss(outputs[task.name], self.batch.targets[task.name]) for task in self.tasks]


def digits(tasks: int, rows: int, downsampling: str = "pool") -> Problem:
    made = [_task("classification", f"task{index}", classes=10) for index in range(tasks)]
    network = NETWORKS.create(Choice(name="lenet", options={"downsampling": downsampling}), made, (1, 36, 36))
    targets = {task.name: torch.randint(0, 10, (rows,)) for task in made}
    return Problem(network, made, Batch({"image": torch.randn(rows, 1, 36, 36)}, targets))


def rooms(network: str, rows: int, size: tuple[int, int] = (64, 96)) -> Problem:
    made = [_task("segmentation", "semantics", classes=13), _task("depth", "depth"), _task("normals", "normals")]
    targets = {
        "semantics": torch.randint(0, 13, (rows, *size)),
        "depth": torch.rand(rows, *size) + 0.5,
        "normals": torch.nn.functional.normalize(torch.randn(rows, 3, *size), dim=1),
    }
    return Problem(
        NETWORKS.create(Choice(name=network), made, (3, *size)),
        made,
        Batch({"image": torch.rand(rows, 3, *size)}, targets),
    )


def faces(rows: int) -> Problem:
    made = [_task("attribute", f"task{index}") for index in range(40)]
    targets = {task.name: torch.randint(0, 2, (rows,)) for task in made}
    return Problem(
        NETWORKS.create(Choice(name="resnet18"), made, (3, 64, 64)),
        made,
        Batch({"image": torch.rand(rows, 3, 64, 64)}, targets),
    )


def table(rows: int) -> Problem:
    made = [_task("regression", "visits"), _task("attribute", "spent"), _task("classification", "health", classes=4)]
    features = [Feature(f"number{index}") for index in range(14)]
    features += [Feature(f"category{index}", categories=10) for index in range(3)]
    row = torch.cat([torch.randn(rows, 14), torch.randint(0, 10, (rows, 3)).float()], dim=1)
    targets = {
        "visits": torch.randn(rows),
        "spent": torch.randint(0, 2, (rows,)),
        "health": torch.randint(0, 4, (rows,)),
    }
    network = create_network(NETWORKS.resolve(Choice(name="mlp")), made, {"row": InputShape((17,), features)})
    return Problem(network, made, Batch({"row": row}, targets))


def _task(kind: str, name: str, **options: Any) -> Task:
    return task_from_definition({"kind": kind, "name": name, "options": options})


PROBLEMS: dict[str, tuple[Callable[[], Problem], int]] = {
    "lenet3": (lambda: digits(3, 32), 20),
    "lenet9": (lambda: digits(9, 32), 15),
    "mlp": (lambda: table(256), 20),
    "segnet_small": (lambda: rooms("segnet_small", 8), 4),
    "segnet": (lambda: rooms("segnet", 8), 1),
    "resnet18": (lambda: faces(32), 1),
}
"""How each network is built, and the rounds per build."""

REBUILDS = 3
"""The position of networks and batches in memory changes times by several percent, so each is built several times."""


# --- floors ---


def forward_and_backwards(problem: Problem) -> Step:
    optimizer = torch.optim.Adam(problem.network.parameters(), 1e-5, weight_decay=1e-5, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        losses = problem.losses()
        for index, loss in enumerate(losses):
            loss.backward(retain_graph=index < len(losses) - 1)
        optimizer.step()

    return step


def two_samples(problem: Problem) -> Step:
    """Two forwards with T backwards each; a third with one backward of each head and one of the backbone."""
    optimizer = torch.optim.Adam(problem.network.parameters(), 1e-5, weight_decay=1e-5, fused=True)

    def step() -> None:
        for _ in range(2):
            optimizer.zero_grad()
            losses = problem.losses()
            for index, loss in enumerate(losses):
                loss.backward(retain_graph=index < len(losses) - 1)
        optimizer.zero_grad()
        features, leaf, losses = _cut(problem)
        for loss in losses:
            loss.backward()
        features.backward(leaf.grad)
        optimizer.step()

    return step


def look_ahead(problem: Problem) -> Step:
    """A forward and two backwards of the weighted sum; a forward and a backward elsewhere; two forwards without gradients."""
    optimizer = torch.optim.Adam(problem.network.parameters(), 1e-5, weight_decay=1e-5, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        losses = problem.losses()
        torch.autograd.backward(losses, retain_graph=True)
        optimizer.zero_grad()
        torch.autograd.backward(problem.losses())
        with torch.no_grad():
            problem.losses()
            problem.losses()
        optimizer.zero_grad()
        torch.autograd.backward(losses)
        optimizer.step()

    return step


def aligned_heads(problem: Problem) -> Step:
    """A forward, T backwards of the backbone, a backward of each head and one more through that."""
    network = problem.network
    optimizer = torch.optim.Adam(network.parameters(), 1e-5, weight_decay=1e-5, fused=True)
    heads = [network.head_parameters(task.name) for task in problem.tasks]

    def step() -> None:
        optimizer.zero_grad()
        features, leaf, losses = _cut(problem)
        slopes = [
            torch.autograd.grad(loss, [leaf, *head], create_graph=True)
            for loss, head in zip(losses, heads, strict=True)
        ]
        for slope in slopes:
            features.backward(slope[0].detach(), retain_graph=slope is not slopes[-1])
        joint = sum(slope[0].detach() for slope in slopes)
        for slope, head in zip(slopes, heads, strict=True):
            pulls = torch.autograd.grad((slope[0] * joint).sum(), head, materialize_grads=True)
            for parameter, own, pull in zip(head, slope[1:], pulls, strict=True):
                parameter.grad = own.detach() + pull
        optimizer.step()

    return step


def _cut(problem: Problem) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the representation, a leaf in its place, and the losses as functions of the leaf."""
    network, batch = problem.network, problem.batch
    features = network.representation(batch.inputs)
    assert isinstance(features, Tensor)
    leaf = features.detach().requires_grad_()
    losses = [task.loss(network.heads[task.name](leaf), batch.targets[task.name]) for task in problem.tasks]
    return features, leaf, losses


def floor_of(method: type[Weighting]) -> tuple[str, Callable[[Problem], Step]]:
    """Return the floor of a method's step, and its name."""
    if issubclass(method, LookAheadWeighting):
        return "look-ahead", look_ahead
    if issubclass(method, TwoSampleWeighting):
        return "two samples", two_samples
    if issubclass(method, HeadAligningWeighting):
        return "aligned heads", aligned_heads
    if issubclass(method, LossWeighting):
        return "ew", partial(ours, name="ew")
    return "floor", forward_and_backwards


# --- our steps and those of peers ---


def ours(problem: Problem, name: str, **options: Any) -> Step:
    options |= OPTIONS.get(name, lambda tasks: {})([task.name for task in problem.tasks])
    choice = Choice(name=name, options=options)
    updater = build_updater(problem.network, problem.tasks, choice, ADAM, 1e-5, generator=torch.Generator())
    return lambda: updater.step(problem.batch)


def torchjd(problem: Problem, name: str) -> Step:
    from torchjd import aggregation
    from torchjd.autojac import jac_to_grad, mtl_backward

    count = len(problem.tasks)
    aggregator = {
        "pcgrad": lambda: aggregation.PCGrad(),
        "cagrad": lambda: aggregation.CAGrad(c=0.5),
        "imtl_g": lambda: aggregation.IMTLG(),
        "aligned_mtl": lambda: aggregation.AlignedMTL(),
        "mgda": lambda: aggregation.MGDA(),
        "nash_mtl": lambda: aggregation.NashMTL(n_tasks=count),
        "upgrad": lambda: aggregation.UPGrad(),
        "fairgrad": lambda: aggregation.FairGrad(alpha=1.0),
        "gradvac": lambda: aggregation.GradVac(),
        "config": lambda: aggregation.ConFIG(),
        "graddrop": lambda: aggregation.GradDrop(),
    }[name]()
    network, batch = problem.network, problem.batch
    shared = network.shared_parameters()
    heads = [network.head_parameters(task.name) for task in problem.tasks]
    optimizer = torch.optim.Adam(network.parameters(), 1e-5, weight_decay=1e-5, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        features = network.representation(batch.inputs)
        losses = [task.loss(network.heads[task.name](features), batch.targets[task.name]) for task in problem.tasks]
        mtl_backward(losses, features=features, tasks_params=heads, shared_params=shared, parallel_chunk_size=1)
        jac_to_grad(shared, aggregator)
        optimizer.step()

    return step


def libmtl(problem: Problem, name: str) -> Step:
    """LibMTL's class on this network, with what its trainer does in a step (1.1.5)."""
    sys.modules.setdefault("torch_geometric", types.ModuleType("torch_geometric"))  # its trainer imports it for graphs
    import LibMTL.weighting as classes

    theirs = {
        "ew": "EW", "uw": "UW", "rlw": "RLW", "gls": "GLS", "pcgrad": "PCGrad", "cagrad": "CAGrad", "imtl": "IMTL",
        "mgda": "MGDA", "nash_mtl": "Nash_MTL", "upgrad": "UPGrad", "fairgrad": "FairGrad", "gradvac": "GradVac",
        "db_mtl": "DB_MTL", "famo": "FAMO",
    }[name]  # fmt: skip
    arguments = {
        "calpha": 0.5, "rescale": 1, "mgda_gn": "none", "update_weights_every": 1, "optim_niter": 20, "max_norm": 1.0,
        "UPGrad_norm_eps": 1e-4, "UPGrad_reg_eps": 1e-4, "FairGrad_alpha": 1.0, "GradVac_beta": 0.5,
        "GradVac_group_type": 0, "DB_beta": 0.9, "DB_beta_sigma": 0.0, "FAMO_w_lr": 0.025, "FAMO_w_gamma": 1e-3,
    }  # fmt: skip
    network = problem.network
    weighting = getattr(classes, theirs)()
    weighting.task_num, weighting.device, weighting.rep_grad = len(problem.tasks), torch.device("cpu"), False
    weighting.task_name = [task.name for task in problem.tasks]
    weighting.get_share_params = network.backbone.parameters
    weighting.zero_grad_share_params = lambda: network.backbone.zero_grad(set_to_none=False)
    weighting.epoch = 0
    weighting.init_param()
    optimizer = torch.optim.Adam([*network.parameters(), *weighting.parameters()], 1e-5, weight_decay=1e-5)

    def losses() -> Tensor:
        outputs = network(problem.batch.inputs)
        together = torch.zeros(len(problem.tasks))
        for index, task in enumerate(problem.tasks):
            together[index] = task.loss(outputs[task.name], problem.batch.targets[task.name])
        return together

    def step() -> None:
        before = losses()
        optimizer.zero_grad(set_to_none=False)
        weighting.backward(before, **arguments)
        optimizer.step()
        if theirs == "FAMO":
            with torch.no_grad():
                weighting.update_w(losses())

    return step


PEERS: dict[str, Callable[[Problem, str], Step]] = {"TorchJD": torchjd, "LibMTL": libmtl}


# --- tables ---


def timed(step: Step) -> float:
    start = time.thread_time()
    step()
    return time.thread_time() - start


@dataclass(frozen=True)
class Ratios:
    """Steps of one method: `ratios` to the floor by who made them (`ours` first), and the floor itself."""

    ratios: dict[str, list[float]]
    floor: str
    floor_milliseconds: list[float]


def measure(make: Callable[[], Problem], rounds: int, name: str, peers: list[str]) -> Ratios:
    base, floor_step = floor_of(WEIGHTINGS.get(name))
    ratios: dict[str, list[float]] = {who: [] for who in ("ours", *peers)}
    milliseconds: list[float] = []
    for _ in range(REBUILDS):
        problem = make()
        floor = floor_step(problem)
        steps = {"ours": ours(problem, name)} | peer_steps(problem, name, peers)
        for round_number in range(rounds + 1):
            least = timed(floor)
            taken = {who: timed(step) for who, step in steps.items()}
            if round_number:  # the first round warms up
                milliseconds.append(1e3 * least)
                for who, seconds in taken.items():
                    ratios[who].append(seconds / least)
    return Ratios(ratios, base, milliseconds)


def compare(make: Callable[[], Problem], rounds: int, methods: list[str], peers: list[str]) -> None:
    for name in methods:
        found = measure(make, rounds, name, peers)
        cells = "".join(f"{f'{statistics.median(one):.3f}' if one else '-':>10}" for one in found.ratios.values())
        print(
            f"  {name:14}{cells}   of {found.floor}, {statistics.median(found.floor_milliseconds):.2f} ms", flush=True
        )


def peer_steps(problem: Problem, name: str, peers: list[str]) -> dict[str, Step]:
    """Return the step of each peer that can be imported, has the method and does not fail at it; the others get a dash."""
    steps = {}
    for peer in peers:
        with suppress(Exception):
            step = PEERS[peer](problem, name)
            step()
            steps[peer] = step
    return steps


def solvers(rounds: int = 200) -> None:
    """Print milliseconds from Gramian to weights, over the bank of matrices."""
    from torchjd import aggregation

    theirs: dict[str, Callable[[], Any]] = {
        "pcgrad": lambda: aggregation.PCGradWeighting(),
        "cagrad": lambda: aggregation.CAGradWeighting(c=0.5),
        "imtl_g": lambda: aggregation.IMTLGWeighting(),
        "aligned_mtl": lambda: aggregation.AlignedMTLWeighting(),
        "mgda": lambda: aggregation.MGDAWeighting(),
        "upgrad": lambda: aggregation.UPGradWeighting(),
        "fairgrad": lambda: aggregation.FairGradWeighting(alpha=1.0),
        "gradvac": lambda: aggregation.GradVacWeighting(),
    }
    print(f"  {'':14}{'T = 3':>10}{'TorchJD':>10}{'T = 40':>10}{'TorchJD':>10}   ms, median over random gradients")
    for name in WEIGHTINGS.names():
        if not issubclass(WEIGHTINGS.get(name), GramianWeighting):
            continue
        cells = ""
        for tasks in (3, 40):
            names = [str(index) for index in range(tasks)]
            choice = Choice(name=name, options=OPTIONS.get(name, lambda tasks: {})(names))
            method = WEIGHTINGS.create(choice, names, torch.Generator())
            assert isinstance(method, GramianWeighting)
            gramians = [
                rows @ rows.T
                for seed in range(3)
                for kind, rows in matrices(tasks, seed)
                if kind in ("random", "conflicting")
            ]
            losses = torch.ones(tasks, dtype=torch.float64)
            cells += _milliseconds(partial(method.weigh, losses), gramians, rounds)
            cells += _milliseconds(_or_none(theirs.get(name)), gramians, rounds // 20)
        print(f"  {name:14}{cells}")


def _or_none(make: Callable[[], Any] | None) -> Callable[[Tensor], Any] | None:
    try:
        weighting = make() if make else None
        if weighting is not None:
            weighting(torch.eye(2, dtype=torch.float64))
        return weighting
    except Exception:  # an optional dependency of TorchJD is missing: the table shows a dash
        return None


def _milliseconds(weigh: Callable[[Tensor], Any] | None, gramians: list[Tensor], rounds: int) -> str:
    if weigh is None:
        return f"{'-':>10}"
    times = [timed(partial(weigh, gramian)) for gramian in gramians for _ in range(max(rounds // len(gramians), 2))]
    return f"{1e3 * statistics.median(times):10.3f}"


def memory(names: list[str]) -> None:
    for name in names:
        print(name)
        for who, method in (("floor", "-"), ("ours", "pcgrad"), ("TorchJD", "pcgrad"), ("LibMTL", "pcgrad")):
            run = subprocess.run(
                [sys.executable, __file__, name, "--peak-of", who, method], capture_output=True, text=True
            )
            print(f"  {who:10}{run.stdout.strip() or '-':>10} MB at the peak of three steps with {method}")


def peak_of(name: str, who: str, method: str) -> None:
    problem = PROBLEMS[name][0]()
    builders: dict[str, Callable[[], Step]] = {
        "floor": lambda: forward_and_backwards(problem),
        "ours": lambda: ours(problem, method),
        **{peer: partial(build, problem, method) for peer, build in PEERS.items()},
    }
    step = builders[who]()
    for _ in range(3):
        step()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", default=list(PROBLEMS), help=f"of {', '.join(PROBLEMS)}")
    parser.add_argument("--methods", nargs="+", default=WEIGHTINGS.names())
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--rounds", type=int, help="instead of each problem's own number")
    parser.add_argument("--solvers", action="store_true")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")  # peers' solvers give many warnings
    if arguments.peak_of:
        peak_of(arguments.problems[0], *arguments.peak_of)
    elif arguments.memory:
        memory(arguments.problems)
    elif arguments.solvers:
        solvers()
    else:
        for name in arguments.problems:
            make, rounds = PROBLEMS[name]
            print(f"{name}\n  {'':14}" + "".join(f"{who:>10}" for who in ("ours", *arguments.peers)), flush=True)
            compare(make, arguments.rounds or rounds, arguments.methods, arguments.peers)


if __name__ == "__main__":
    main()
