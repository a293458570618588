"""tests/power/recorder.c, compiled and put in front of the C library of the service."""
import mmap
import os
import re
import shutil
import struct
import subprocess

from .process import program

_source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../power/recorder.c")


def sanitizers():
    """The sanitizers' libraries that the program is linked with; they want to be first."""
    linked = subprocess.run(["ldd", program()], capture_output=True, text=True).stdout
    return re.findall(r"=> (\S*lib[at]san\S*)", linked)


class preload(dict):
    """The environment of a service whose changes below `data` are recorded in `log`.PID, if given,
    and can be refused and slowed down at any time. Files are made in `directory`."""

    def __init__(self, directory, data, log=None):
        library = os.path.join(directory, "recorder.so")
        if not os.path.exists(library):
            cc = os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang") or "cc"
            subprocess.run([cc, "-O1", "-g", "-fPIC", "-shared", "-std=gnu2x", "-o", library, _source,
                            "-ldl", "-lpthread"], check=True)
        control = os.path.join(directory, "recorder.control")
        with open(control, "wb") as f:
            f.write(bytes(8))
        with open(control, "r+b") as f:
            self.control = mmap.mmap(f.fileno(), 8)
        super().__init__(LD_PRELOAD=":".join(sanitizers() + [library]), RECORDER_ROOT=os.path.abspath(data), RECORDER_CONTROL=control)
        if log:
            self["RECORDER_LOG"] = log

    def refuse(self, error):
        """Every change fails with this errno; 0: no more."""
        self.control[0:4] = struct.pack("=i", error)

    def slow_sync(self, ms):
        self.control[4:8] = struct.pack("=i", ms)
