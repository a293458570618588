import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from relay import Relay  # noqa: E402


@pytest.fixture
def relay():
    """Makes relays that end with the test."""
    made = []

    def make(**before):
        made.append(Relay(**before))
        return made[-1]

    yield make
    for r in made:
        r.close()
