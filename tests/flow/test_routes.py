"""Routes that change while mail waits: each message takes the way that holds when it goes."""
import subprocess

from rig import Service, Smtp
from rig.process import program

MAIL = b"From: %s\r\nSubject: x\r\n\r\nHi\r\n"


def posthouse(service, *words):
    r = subprocess.run([program(), *words, "--data", service.data], capture_output=True, text=True,
                       timeout=60)
    assert r.returncode == 0, (words, r.stdout, r.stderr)
    return r.stdout


def send(service, sender, to):
    client = Smtp(service.port)
    client.send(sender, [to], MAIL % sender.encode())
    client.quit()


def add_relay(service, name, relay, *more):
    posthouse(service, "relay", "add", name, "--host", "127.0.0.1", "--port", str(relay.port),
              "--tls", "none", *more)


def test_captured_mail_takes_the_routes_of_its_release(place, relay):
    one, two = relay(), relay()
    service = Service(place).start()
    for n in range(3):
        send(service, "x@a.example", "x%d@b.example" % n)
        send(service, "y@a.example", "y%d@b.example" % n)
    add_relay(service, "one", one)
    add_relay(service, "two", two)
    posthouse(service, "route", "add", "--relay", "two", "--from", "x@a.example")
    posthouse(service, "queue", "release", "all")
    service.wait_idle()
    assert sorted(t[1][0][:1] for t in one.taken) == ["y"] * 3
    assert sorted(t[1][0][:1] for t in two.taken) == ["x"] * 3
    service.stop()


def test_a_route_is_kept_to_from_the_moment_it_is_added(place, relay):
    one, two = relay(), relay()
    service = Service(place).start()
    add_relay(service, "one", one)
    add_relay(service, "two", two)
    client = Smtp(service.port)

    def send_both(numbers):
        for n in numbers:
            client.send("x@a.example", ["x%d@b.example" % n], MAIL % b"x@a.example")
            client.send("y@a.example", ["y%d@b.example" % n], MAIL % b"y@a.example")

    send_both(range(50))
    service.wait_idle()
    assert two.taken == []
    posthouse(service, "route", "add", "--relay", "two", "--from", "x@a.example")
    send_both(range(50, 150))
    client.quit()
    service.wait_idle()
    assert sorted(t[1][0] for t in two.taken) == sorted("x%d@b.example" % n for n in range(50, 150))
    assert len(one.taken) == 200
    service.stop()
