"""SIGTERM at every moment of a message's life: it ends in good order, and nothing is lost or doubled."""
import collections
import socket
import threading
import time

import pytest

from rig import Service, Sink, Smtp
from rig.api import Api, ApiError, NoService
from rig.smtp import Refused, Unheard, stuffed

MAIL = b"From: a@a.example\r\nSubject: %d\r\nMessage-ID: <%d@a.example>\r\n\r\nHi\r\n"


def send(service, n=1, to="r@b.example"):
    client = Smtp(service.port)
    client.send("a@a.example", [to], MAIL % (n, n))
    client.quit()


def start(place, relay, *options):
    service = Service(place, *options).start()
    service.add_relay("main", relay.port)
    return service


def ends(service, patience=30):
    """Waits for the end after SIGTERM; status and the seconds it took."""
    began = time.monotonic()
    status = service.child.process.wait(patience)
    return status, time.monotonic() - began


def terminate(service):
    service.child.process.terminate()


def test_a_thousand_idle_clients_are_told_and_do_not_hold_it_up(place):
    service = Service(place).start()
    clients = [Smtp(service.port) for _ in range(1000)]
    terminate(service)
    said = collections.Counter(c.reply()[:3] for c in clients)
    assert said == {"421": 1000}
    status, took = ends(service)
    assert status == 0
    assert took < 15


def test_a_client_in_the_middle_of_a_message_gets_its_answer(place, relay):
    to = relay()
    service = start(place, to)
    client = Smtp(service.port)
    client.command("MAIL FROM:<a@a.example>", 250)
    client.command("RCPT TO:<r@b.example>", 250)
    client.command("DATA", 354)
    data = stuffed(MAIL % (1, 1))
    client.write(data[:20])
    terminate(service)
    service.child.wait_for("serve.stopping")
    client.write(data[20:])
    assert client.reply().startswith("250")
    assert client.reply().startswith("421")
    assert ends(service)[0] == 0
    service.start()
    service.wait_idle()
    assert [t[1] for t in to.taken] == [("r@b.example",)]
    service.stop()


def test_new_clients_are_refused_at_once(place, relay):
    hold = threading.Event()
    to = relay(dot=hold)
    service = start(place, to)
    send(service)
    to.wait_reached("dot")
    terminate(service)
    service.child.wait_for("serve.stopping")
    with pytest.raises((Unheard, Refused)):
        for _ in range(100):
            Smtp(service.port).close()
            time.sleep(0.01)
    hold.set()
    assert ends(service)[0] == 0


def test_a_relay_that_does_not_greet_does_not_hold_it_up(place, relay):
    to = relay(greeting=threading.Event())
    service = start(place, to)
    send(service)
    to.wait_reached("greeting")
    terminate(service)
    status, took = ends(service)
    assert status == 0
    assert took < 15
    to.before.pop("greeting").set()
    service.start()
    service.wait_idle()
    assert len(to.taken) == 1
    assert service.totals()["in_doubt"] == 0
    service.stop()


def test_a_relay_that_cannot_be_reached_does_not_hold_it_up(place):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    service = Service(place).start()
    service.add_relay("main", port)
    send(service)
    terminate(service)
    status, took = ends(service)
    assert status == 0
    assert took < 15
    service.start()
    assert service.totals()["queued"] == 1
    service.stop()


def test_content_that_has_begun_is_finished(place, relay):
    hold = threading.Event()
    to = relay(**{"354": hold})
    service = start(place, to)
    send(service)
    to.wait_reached("354")
    terminate(service)
    service.child.wait_for("serve.stopping")
    hold.set()
    assert ends(service)[0] == 0
    service.start()
    assert service.totals()["sent"] == 1
    assert len(to.taken) == 1
    service.stop()


def test_the_reply_to_a_dot_is_waited_for(place, relay):
    hold = threading.Event()
    to = relay(dot=hold)
    service = start(place, to)
    send(service)
    to.wait_reached("dot")
    terminate(service)
    service.child.wait_for("serve.stopping")
    assert service.is_up()
    hold.set()
    assert ends(service)[0] == 0
    service.start()
    totals = service.totals()
    assert totals["sent"] == 1 and totals["in_doubt"] == 0
    assert len(to.taken) == 1
    service.stop()


def test_a_dot_that_is_never_answered_is_in_doubt_after_the_timeout(place, relay):
    to = relay(dot=threading.Event())
    service = start(place, to, "--shutdown-timeout", "1s")
    client = Smtp(service.port)
    client.send("a@a.example", ["r@b.example"], b"X-Posthouse-Doubt: at-most-once\r\n" + MAIL % (1, 1))
    client.quit()
    to.wait_reached("dot")
    terminate(service)
    status, took = ends(service)
    assert status == 1
    assert took < 10
    to.before.pop("dot").set()
    service.start()
    totals = service.totals()
    assert totals["in_doubt"] == 1 and totals["queued"] == 0
    assert len(to.taken) == 1
    service.stop()


def test_a_second_signal_ends_it_at_once(place, relay):
    to = relay(dot=threading.Event())
    service = start(place, to)
    send(service)
    to.wait_reached("dot")
    terminate(service)
    service.child.wait_for("serve.stopping")
    terminate(service)
    status, took = ends(service)
    assert status == 1
    assert took < 5


def test_stopped_again_and_again_under_load_it_sends_everything_once(place):
    sink = Sink(place)
    service = start(place, sink, "--loops", "2")
    accepted = []
    over = threading.Event()

    def client(number):
        n = 0
        while not over.is_set():
            try:
                session = Smtp(service.port, timeout=20)
                for _ in range(50):
                    n += 1
                    rcpt = "r%d-%d@b.example" % (number, n)
                    session.send("a@a.example", [rcpt], MAIL % (n, number * 1000000 + n))
                    accepted.append(rcpt)
                session.quit()
            except (Unheard, Refused):
                time.sleep(0.01)

    threads = [threading.Thread(target=client, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for _ in range(5):
        time.sleep(0.5)  # load, not a wait for an event
        service.stop()
        service.start()
    over.set()
    for t in threads:
        t.join()
    service.wait_idle()
    totals = service.totals()
    assert totals["in_doubt"] == 0 and totals["unknown"] == 0
    arrived = collections.Counter(line[2] for line in sink.lines())
    assert set(accepted) <= set(arrived)
    assert max(arrived.values()) == 1
    assert len(accepted) > 100
    service.stop()


def test_what_the_api_says_at_the_end_is_what_was_kept(place):
    service = Service(place).start()
    heard = collections.Counter()
    mail = {"from": "a@a.example", "to": "r@b.example", "subject": "x", "text": "Hi"}

    def client():
        api = Api(service.api.path)
        while True:
            try:
                api.post("/emails", mail)
                heard["kept"] += 1
            except ApiError as e:
                heard["refused"] += 1
                assert e.status == 503
                return
            except NoService:
                heard["unheard"] += 1
                return

    threads = [threading.Thread(target=client) for _ in range(8)]
    for t in threads:
        t.start()
    time.sleep(1)  # load, not a wait for an event
    terminate(service)
    assert ends(service)[0] == 0
    for t in threads:
        t.join()
    service.start()
    captured = service.totals()["captured"]
    assert heard["kept"] > 50
    assert heard["kept"] <= captured <= heard["kept"] + heard["unheard"]
    service.stop()
