"""The core of the test suite on the oldest and on the newest packages that pyproject.toml allows."""

import nox

nox.options.default_venv_backend = "uv"

# What another version of JAX, Flax, optax or orbax may break. Both sessions take some minutes on two cores. The
# last entry trains with the real command.
CORE = (
    "tests/cells",
    "tests/probes",
    "tests/test_model.py",
    "tests/training/test_step.py",
    "tests/training/test_program.py::test_members_are_their_solo_runs",
    "tests/outside",
)


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """Python 3.11, and the lowest version of every package that pyproject.toml names."""
    # Old packages call what newer packages, which they do not bound, have deprecated since.
    _test(session, "requirements-oldest.lock", "-W", "ignore::DeprecationWarning")


@nox.session(python="3.13")
def newest(session: nox.Session) -> None:
    """Python 3.13 with the packages of the lock: from Python 3.12 on, it has a newer JAX."""
    _test(session, "requirements.lock")


def _test(session: nox.Session, lock: str, *options: str) -> None:
    session.install("--requirement", lock)
    session.install("--no-deps", "--no-build-isolation", "--editable", ".")
    session.run("pytest", "-n", "2", *options, *(session.posargs or CORE))
