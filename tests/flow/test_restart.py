"""What was waiting goes on where it stood, whatever it waited for, and however the last run ended."""
import os
import threading
import time

from rig import Service, Smtp

MAIL = b"From: a@a.example\r\nSubject: x\r\nMessage-ID: <%s@a.example>\r\n\r\nHi\r\n"


def send(service, to, extra=b""):
    client = Smtp(service.port)
    client.send("a@a.example", [to], extra + MAIL % to.encode())
    client.quit()


def again(service, how):
    """Ends it by `how`, "stop" or "kill", and starts it anew."""
    getattr(service, how)()
    return service.start()


def until(service, patience=20, **wanted):
    """Waits until the totals are so; returns them."""
    end = time.monotonic() + patience
    while True:
        totals = service.totals()
        if all(totals[k] == v for k, v in wanted.items()):
            return totals
        assert time.monotonic() < end, (wanted, totals)
        time.sleep(0.02)


def test_captured_mail_stays_captured(place):
    for how in ("stop", "kill"):
        os.makedirs(place + "/" + how)
        service = Service(place + "/" + how).start()
        send(service, "r@b.example")
        again(service, how)
        assert service.totals()["captured"] == 1
        service.stop()


def test_scheduled_mail_waits_on(place, relay):
    to = relay()
    service = Service(place).start()
    service.add_relay("main", to.port)
    send(service, "later@b.example", b"X-Posthouse-Send-At: 3600s\r\n")
    send(service, "soon@b.example", b"X-Posthouse-Send-At: 2s\r\n")
    again(service, "kill")
    to.wait_until(lambda r: len(r.taken) == 1)
    assert to.taken[0][1] == ("soon@b.example",)
    until(service, sent=1, queued=1)
    service.stop()


def test_a_deadline_counts_while_it_is_down(place, relay):
    to = relay(greeting=threading.Event())
    service = Service(place).start()
    service.add_relay("main", to.port)
    send(service, "r@b.example", b"X-Posthouse-Deadline: 1s\r\n")
    to.wait_reached("greeting")
    service.kill()
    to.before.pop("greeting").set()
    threading.Event().wait(1.2)  # the deadline is a time of day
    service.start()
    service.wait_idle()
    totals = service.totals()
    assert totals["expired"] == 1 and totals["generated"] == 1
    assert [t[0] for t in to.taken] == [""]  # the report
    service.stop()


def test_a_kill_with_the_dot_out_is_a_doubt_and_no_second_copy_by_itself(place, relay):
    to = relay(dot=threading.Event())
    service = Service(place).start()
    service.add_relay("main", to.port)
    send(service, "r@b.example", b"X-Posthouse-Doubt: at-most-once\r\n")
    to.wait_reached("dot")
    again(service, "kill")
    totals = service.totals()
    assert totals["in_doubt"] == 1
    again(service, "stop")
    assert service.totals()["in_doubt"] == 1
    assert len(to.taken) == 1
    service.stop()


def test_the_same_transaction_after_a_kill_is_taken_once(place):
    service = Service(place).start()
    client = Smtp(service.port)
    first = client.send("a@a.example", ["r@b.example"], MAIL % b"1")
    client.close()  # before the next command: the client may not have read the reply
    again(service, "kill")
    client = Smtp(service.port)
    second = client.send("a@a.example", ["r@b.example"], MAIL % b"1")
    third = client.send("a@a.example", ["r@b.example"], MAIL % b"1")
    client.quit()

    def id_of(reply):
        return next(word for word in reply.split() if word.count("-") == 4)
    assert id_of(first) == id_of(second)
    assert id_of(third) != id_of(second)
    assert service.totals()["captured"] == 2
    service.stop()
