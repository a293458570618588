import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "peers"))

from house import House  # noqa: E402


@pytest.fixture
def house(place):
    h = House(place)
    yield h
    h.close()
