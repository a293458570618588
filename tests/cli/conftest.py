"""Fixtures: a directory, a running service with a sink, and a service that says what it is told."""
import os
import sys

import pytest

here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [here, os.path.dirname(here)]

import rig  # noqa: E402
from fake import Fake  # noqa: E402


@pytest.fixture
def directory():
    with rig.scratch("cli") as path:
        yield path


@pytest.fixture
def service(directory):
    """`posthouse serve` on free ports and an empty data directory, ready; stopped by SIGTERM."""
    s = rig.Service(directory, smtps=True).start()
    yield s
    if s.is_up():
        s.stop()


@pytest.fixture
def sink(directory):
    """`posthouse sink` that takes everything, counts and keeps it."""
    s = rig.Sink(directory, keep=True)
    yield s
    s.stop()


@pytest.fixture
def fake(directory):
    made = []

    def make(answers):
        made.append(Fake(os.path.join(directory, "data"), answers))
        return made[-1]

    yield make
    for f in made:
        f.stop()
