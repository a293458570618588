"""Every test gets `place`, a directory of its own, which stays when the test fails."""
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
_failed = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed


@pytest.fixture
def place(request):
    path = tempfile.mkdtemp(prefix="posthouse-api-")
    yield path
    if request.node.stash.get(_failed, False):
        print("kept for a look: " + path)
    else:
        shutil.rmtree(path, ignore_errors=True)
