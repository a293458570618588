"""A disk that fills up, turns read-only, breaks or slows down under load, and heals.

Through all of it the service stays up, answers 4xx with a text that says why, forgets no outcome,
and takes mail again as soon as the disk does, without a restart."""
import errno
import os
import subprocess
import time

import pytest
from rig import Load, Service, Sink, all_arrived, preload


@pytest.fixture
def small_disk(place):
    """A file system of its own, of 200 MB."""
    path = os.path.join(place, "small")
    os.mkdir(path)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", path], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip("a small file system cannot be mounted here: " + done.stderr.strip())
    yield path
    subprocess.run(["umount", "-l", path], check=True)


def fill(path):
    """Takes every byte that is left."""
    with open(path, "wb", buffering=0) as f:
        piece = bytes(1 << 20)
        while piece:
            try:
                f.write(piece)
            except OSError as e:
                assert e.errno == errno.ENOSPC
                piece = piece[:len(piece) // 2]


def wait_health(service, accepts):
    """It looks at the disk once a second."""
    end = time.monotonic() + 10
    while service.api.get("/status")["disk"]["accepts"] is not accepts:
        assert time.monotonic() < end, "the status says that mail is %s" % ("refused" if accepts else "taken")
        time.sleep(0.05)


def check_refusals(load, *words):
    assert load.refused, "nothing was refused"
    for text in load.refused:
        assert text.startswith("45") and any(w in text for w in words), text


def check_end(service, load, sink, pid):
    """All that was accepted is at the sink once, the books say so, and it is the same process."""
    service.wait_idle(90)
    assert service.child.pid == pid and service.is_up(), service.child.said()[-2000:]
    totals = service.totals()
    assert totals["sent"] == totals["accepted"] == len(load.accepted), totals
    assert all_arrived(load, sink) == {}
    service.stop()


def start(place, data, *options, env=None, delay_ms=20):
    sink = Sink(place, "--delay", "dot=%d" % delay_ms)
    service = Service(place, "--retry-schedule", "1s", *options, data=data, env=env).start()
    service.add_relay("main", sink.port, max_connections=4)
    return service, sink, service.child.pid


def test_a_disk_that_is_suddenly_full_costs_no_mail(place, small_disk):
    service, sink, pid = start(place, os.path.join(small_disk, "data"), "--min-free-disk", "8M")
    filler = os.path.join(small_disk, "filler")
    with Load(service.port, clients=8, size=20000, pause=0.005) as load:
        load.wait_more(100)
        for _ in range(3):
            fill(filler)
            load.wait_refusals(20)
            wait_health(service, False)
            os.unlink(filler)
            load.wait_more(50)
    check_refusals(load, "disk", "space")
    check_end(service, load, sink, pid)


def test_mail_that_fills_the_disk_is_refused_in_time(place, small_disk):
    """The relay is down, so what is accepted stays; outcomes still find room when it is back."""
    service, sink, pid = start(place, os.path.join(small_disk, "data"), "--min-free-disk", "24M")
    service.api.post("/relays/main/pause", {"why": "test"})
    with Load(service.port, clients=6, size=400000, pause=0) as load:
        load.wait_refusals(20, patience=90)
    check_refusals(load, "disk", "space")
    free = os.statvfs(small_disk)
    assert free.f_bavail * free.f_frsize > 4 << 20, "there was no room left for outcomes"
    service.api.post("/relays/main/resume")
    service.wait_idle(120)
    with Load(service.port, clients=2, size=4000, name="again") as again:
        again.wait_more(20, patience=90)
    load.accepted += again.accepted
    check_end(service, load, sink, pid)


@pytest.mark.parametrize("error", [errno.EROFS, errno.EIO, errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_refuses_every_change_for_a_while(place, error):
    data = os.path.join(place, "data")
    env = preload(place, data)
    service, sink, pid = start(place, data, env=env)
    with Load(service.port, clients=6) as load:
        load.wait_more(100)
        for _ in range(3):
            env.refuse(error)
            load.wait_refusals(20)
            env.refuse(0)
            load.wait_more(50)
    check_refusals(load, "disk", "database", "writing", "space", "try again")
    check_end(service, load, sink, pid)


def test_health_says_what_is_wrong_with_the_disk(place):
    data = os.path.join(place, "data")
    env = preload(place, data)
    service, sink, pid = start(place, data, env=env)
    with Load(service.port) as load:
        load.wait_more(20)
        env.refuse(errno.EROFS)
        load.wait_refusals(5)
        status = service.api.get("/status")
        assert status["disk"]["accepts"] is False and status["problems"], status
        assert all(p["what"] and p["do"] for p in status["problems"]), status
        env.refuse(0)
        load.wait_more(20)
        wait_health(service, True)
    check_end(service, load, sink, pid)


def test_a_slow_disk_is_shared_by_all_who_wait(place):
    """Each sync takes 300 ms; 40 clients still get their answers at the pace of a few."""
    data = os.path.join(place, "data")
    env = preload(place, data)
    service, sink, pid = start(place, data, env=env)
    with Load(service.port, clients=40, pause=0) as load:
        load.wait_more(40)
        env.slow_sync(300)
        before, began = load.count(), time.monotonic()
        load.wait_more(120, patience=60)
        rate = (load.count() - before) / (time.monotonic() - began)
        env.slow_sync(0)
        load.wait_more(40)
    print("with syncs of 300 ms: %.0f messages a second from 40 clients" % rate)
    assert rate > 12, "one sync for each message would be 3 a second or less"
    assert not load.refused and not load.unheard
    check_end(service, load, sink, pid)
