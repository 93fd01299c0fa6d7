"""AdaTask: one set of adaptive moments per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtlsweep.methods.weighting.kinds import TaskOptimizers
from mtlsweep.methods.weighting.registry import WEIGHTINGS
from mtlsweep.methods.weighting.weighting import Facts

_NOT_ADAPTIVE = ("sgd", "signsgd", "lion", "muon")


@WEIGHTINGS.register("adatask")
class AdaTask(TaskOptimizers):
    """theta <- theta - lr sum_t m_t / (sqrt(v_t) + eps), moments m_t and v_t of task t's gradient alone.

    All gradients are taken at one point; each task's optimizer (Adam, RMSprop, SOAP, ...) then makes its own step, so a step
    is about T steps of the base long. With T = 1 it is the base. A task without labels in the batch makes no step, and its
    moments stay.

    Deviations: the official code ignores weight decay. Here decay that is added to the gradient is
    shared out, 1/T of it to each task; AdamW's own shrinks the parameters once.
    """

    facts = Facts(
        paper="Yang, Pan, Gong, et al. 2023, arXiv 2211.15055",
        scale="sum over tasks of the base optimizer's steps",
        heads="the base optimizer on the head's own gradient",
        code="https://github.com/EnnengYang/AdaTask",
    )
    cost = "T backwards, T optimizer steps"
    sequential = False

    @classmethod
    def objection(cls, options: Mapping[str, Any], optimizer: str, tasks: int | Sequence[str]) -> str | None:
        base = optimizer.rpartition(":")[2].lower()  # `torch.optim:SGD` is no other optimizer than `sgd`
        if base in _NOT_ADAPTIVE:
            return (
                f"keeps adaptive moments of each task, and `{optimizer}` does not have them for every parameter; choose adam, "
                "adamw, nadam, rmsprop, adagrad, adafactor or soap"
            )
        if base == "sam":
            return "takes all task gradients at one point, and `sam` needs a second point for each task; choose adam"
        return None
