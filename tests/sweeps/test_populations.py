"""Which runs are trained together, as one program."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from rnnbench.config import identity
from rnnbench.config.parse import parse_members
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.sweeps.populations import populations
from rnnbench.training import runner
from rnnbench.training.checkpoints import Checkpoints

Compose = Callable[..., Config]
RUNS = ((0, 1e-3), (0, 1e-2), (1, 1e-3))


def seeds(config: Config, numbers: range) -> list[Config]:
    return [dataclasses.replace(config, seed=seed) for seed in numbers]


def numbers(jobs: list[list[Config]]) -> list[list[int]]:
    return [[config.seed for config in job] for job in jobs]


def test_runs_that_differ_in_numbers_share_a_program(compose: Compose, tmp_path: Path) -> None:
    gru, lstm = (compose(f"output={tmp_path}", f"model={model}") for model in ("gru", "lstm"))
    longer = dataclasses.replace(compose(f"output={tmp_path}", "model=gru", "train.steps=12"), seed=7)
    elsewhere = compose(f"output={tmp_path}/other", "model=gru")
    mixed = [*seeds(gru, range(2)), *seeds(lstm, range(3)), longer, elsewhere, *seeds(gru, range(1, 4))]
    jobs = populations(mixed)
    assert numbers(jobs) == [[0, 1, 2, 3], [0, 1, 2], [7], [0]], "a run that is asked for twice is trained once"
    assert [(job[0].model.name, job[0].train.steps, job[0].output) for job in jobs] == [
        ("gru", 8, str(tmp_path)),
        ("lstm", 8, str(tmp_path)),
        ("gru", 12, str(tmp_path)),
        ("gru", 8, f"{tmp_path}/other"),
    ]


def test_a_run_is_asked_for_one_number_of_steps(compose: Compose) -> None:
    with pytest.raises(UserError, match=r"train\.steps: .* got 8 and 12 for .*; ask for 12 alone"):
        populations([compose("train.steps=12"), compose("train.steps=8")])


def test_a_population_is_the_job_that_the_command_line_makes(compose: Compose, tmp_path: Path) -> None:
    """Its records are enough to train or probe each of its runs again."""
    configs = [compose(f"output={tmp_path}", f"seed={n}", f"optimizer.learning_rate={rate}") for n, rate in RUNS]
    other = compose(f"output={tmp_path}", "model=rnn")
    job, alone = populations([*configs, other])
    table = {"seed": [0, 0, 1], "optimizer.learning_rate": [1e-3, 1e-2, 1e-3]}
    assert [config.population.members for config in job] == [table] * 3
    assert [config.population.place for config in (*job, *alone)] == ["1/2", "1/2", "1/2", "2/2"]
    assert alone[0].population.members is None
    recorded = OmegaConf.create(identity.recorded(job[0]))
    assert [identity.run_id(config) for config in parse_members(recorded)] == [identity.run_id(c) for c in configs]
    assert populations([other])[0][0].population.place is None, "one job needs no place"


@pytest.mark.parametrize(("most", "expected"), [(3, [[0, 1, 2], [3, 4]]), (1, [[0], [1], [2], [3], [4]])])
def test_the_size_of_a_program_is_bounded(
    compose: Compose, tmp_path: Path, most: int, expected: list[list[int]]
) -> None:
    config = compose(f"output={tmp_path}", f"population.max_size={most}")
    assert numbers(populations(seeds(config, range(5)))) == expected


def test_what_is_complete_is_left_out_and_what_was_interrupted_stays_together(
    compose: Compose, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = compose(f"output={tmp_path}")
    runner.train(*seeds(config, range(2)))

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    interrupted = seeds(config, range(3, 5))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", interrupt)
        with pytest.raises(KeyboardInterrupt):
            runner.train(*interrupted)
    assert numbers(populations(seeds(config, range(6)))) == [[3, 4], [2, 5]]
    assert numbers(populations(seeds(config, range(4)))) == [[2, 3]], "only a part of the job is asked for"
    again = dataclasses.replace(config, overwrite=True)
    assert numbers(populations(seeds(again, range(3)))) == [[0, 1, 2]]
