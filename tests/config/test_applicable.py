"""A sweep leaves out, and names, what cannot be trained as configured."""

import pytest

import rnnbench


def test_a_sweep_leaves_out_tasks_whose_data_nobody_named(capsys: pytest.CaptureFixture[str]) -> None:
    configs = rnnbench.compose_sweep("task=glob(*)", "model=lstm")
    trained = {config.task["name"] for config in configs}
    assert {"adding", "parity", "lorenz"} <= trained
    assert not {"mnist", "cifar10", "data", "ner"} & trained
    said = capsys.readouterr().err
    assert "left out: task=mnist: needs data of yours; task.path=... says where it is" in said
    assert "left out: task=ner: needs data of yours; task.train=... says where it is" in said
