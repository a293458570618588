"""The kill loop, as long as a run of all tests can afford; `make crash` runs it alone."""
import os
import subprocess
import sys

from rig import program


def test_nothing_accepted_is_lost_or_repeated_unseen_over_thirty_kills(place):
    loop = os.path.join(os.path.dirname(os.path.abspath(__file__)), "kill_loop.py")
    kills = os.environ.get("KILLS", "30")
    child = subprocess.Popen([sys.executable, loop, "--program", program(), "--kills", kills],
                             env=dict(os.environ, TMPDIR=place))
    try:
        status = child.wait(900)
    except subprocess.TimeoutExpired:
        child.terminate()  # it ends its own children
        status = child.wait(60)
    assert status == 0, "see above; the seed and the data directory are printed there"
