"""`benchmarks/gpu.py` runs the product's steps; without a GPU it is tried on the CPU."""

import subprocess

import pytest
import torch

from benchmarks import gpu

CPU = torch.device("cpu")


def test_steps_and_products_are_measured_in_every_way(capsys):
    gpu.steps(["mlp"], ["pcgrad"], CPU, 1)
    shown = capsys.readouterr().out
    assert all(way in shown for way in gpu.WAYS)
    assert "products of gradients" in shown and "error" in shown


def test_what_is_measured_in_bfloat16_is_a_step_in_bfloat16():
    problem, seen = gpu.problem_on(CPU, "mlp"), []
    problem.network.backbone.register_forward_hook(lambda _m, _i, output: seen.append(output.dtype))
    gpu.step_of(problem, "pcgrad", **gpu.WAYS["both"])()
    assert seen == [torch.bfloat16] and problem.network.memory_format == torch.channels_last


def test_without_the_tool_mps_is_a_sentence(monkeypatch):
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    with pytest.raises(SystemExit, match="no nvidia-cuda-mps-control"), gpu.mps():
        pass


def test_mps_ends_with_what_needs_it(monkeypatch):
    asked = []
    monkeypatch.setattr(gpu.shutil, "which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: asked.append((command, options.get("input"))))
    monkeypatch.delenv("CUDA_MPS_PIPE_DIRECTORY", raising=False)
    with gpu.mps():
        assert gpu.os.environ["CUDA_MPS_PIPE_DIRECTORY"]
    assert asked == [(["nvidia-cuda-mps-control", "-d"], None), (["nvidia-cuda-mps-control"], "quit\n")]
    assert "CUDA_MPS_PIPE_DIRECTORY" not in gpu.os.environ
