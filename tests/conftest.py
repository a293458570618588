"""Every whole-program test gets `place`, a directory of its own, which stays when the test fails."""
import os
import shutil
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
_failed = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    item.stash[_failed] = item.stash.get(_failed, False) or report.failed


@pytest.fixture
def place(request):
    path = tempfile.mkdtemp(prefix="posthouse-test-")
    os.chmod(path, 0o755)  # other servers, under their own users, look for their files in it
    yield path
    from rig import end_children
    end_children()
    if request.node.stash.get(_failed, False):
        print("kept for a look: " + path)
    else:
        shutil.rmtree(path, ignore_errors=True)
