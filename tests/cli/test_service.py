"""Every command against a running service: what it does, says and returns."""
import json
import re
import time

from faces import on_terminal, run

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"


def posthouse(service, *words, status=0, **more):
    r = run(*words, data=service.data, **more)
    assert r.status == status, (words, r)
    assert (r.err == "") == (status == 0), (words, r)
    return r.out if status == 0 else r.err


def send(service, *more, frm="a@x.example", to="b@y.example"):
    out = posthouse(service, "send", "--from", frm, "--to", to, "--subject", "Hello", "--text", "It works.", *more)
    return re.search(UUID, out).group()


def add_relay(service, sink, name="main", *more):
    return posthouse(service, "relay", "add", name, "--host", "127.0.0.1", "--port", str(sink.port),
                     "--tls", "none", *more)


def test_an_empty_service_answers_every_question(service):
    for words, says in [(["status"], "keeping mail, sending none"), (["message", "list"], "No messages."),
                        (["queue", "list"], "Nothing waits."), (["queue", "show"], "transactional"),
                        (["relay", "list"], "There is no relay yet"), (["route", "list"], "There is no route"),
                        (["credential", "list"], "There is no credential"), (["account", "list"], "local"),
                        (["alarm", "list"], "Nobody is told"), (["stats"], "Nothing was sent")]:
        assert says in posthouse(service, *words)
        json.loads(posthouse(service, *words, "--json"))


def test_captured_mail_leaves_by_release_only(service, sink):
    one = send(service)
    assert "captured" in posthouse(service, "message", "list")
    assert one in posthouse(service, "queue", "list", "--captured")
    add_relay(service, sink)
    posthouse(service, "status", "--wait-idle", "20")
    assert sink.lines() == []
    assert "1 recipient released." in posthouse(service, "message", "release", one)
    posthouse(service, "status", "--wait-idle", "20")
    sink.wait_count(1)
    story = posthouse(service, "message", "show", one)
    assert "b@y.example, sent" in story and "through main@1 at 127.0.0.1:%d" % sink.port in story


def test_send_composes_a_message_with_everything(service, sink, directory):
    add_relay(service, sink)
    path = directory + "/report.csv"
    with open(path, "w") as f:
        f.write("a,b\n")
    posthouse(service, "send", "--from", "Shop <a@x.example>", "--to", "b@y.example,c@y.example", "--cc",
              "d@y.example", "--bcc", "e@y.example", "--reply-to", "r@x.example", "--subject", "Grüße",
              "--text", "-", "--html", "<p>hi</p>", "--attach", path, "--header", "X-One: 1", "--tag", "t1",
              stdin="from a pipe\n")
    assert {l[2] for l in sink.wait_count(4)} == {"%s@y.example" % c for c in "bcde"}
    text = sink.kept()[0].decode()
    for part in ("From: Shop <a@x.example>", "Reply-To: r@x.example", "X-One: 1", "from a pipe", "report.csv"):
        assert part in text
    assert "e@y.example" not in text and "\nBcc" not in text
    assert "Grüße" in posthouse(service, "message", "list", "--tag", "t1")


def test_send_takes_a_whole_message_as_it_is(service, sink, directory):
    add_relay(service, sink)
    path = directory + "/message.eml"
    with open(path, "w") as f:
        f.write("From: a@x.example\nTo: b@y.example\nBcc: c@y.example\nSubject: raw\n\n.\nbody\n")
    posthouse(service, "send", "--file", path)
    assert {(l[1], l[2]) for l in sink.wait_count(2)} == {("a@x.example", "b@y.example"), ("a@x.example", "c@y.example")}
    text = sink.kept()[0]
    assert b"\r\n.\r\nbody\r\n" in text and b"Bcc" not in text
    posthouse(service, "send", "--file", path, "--from", "other@x.example", "--to", "d@y.example")
    assert sink.wait_count(3)[2][1:3] == ("other@x.example", "d@y.example")


def test_the_same_idempotency_key_sends_once(service, sink):
    add_relay(service, sink)
    assert send(service, "--idempotency-key", "k1") == send(service, "--idempotency-key", "k1")
    posthouse(service, "status", "--wait-idle", "20")
    assert len(sink.lines()) == 1


def test_scheduled_mail_waits_and_can_be_cancelled(service, sink):
    add_relay(service, sink)
    one = send(service, "--at", "2h")
    assert "in 119 min" in (out := posthouse(service, "queue", "list")) or "in 2 h" in out
    assert posthouse(service, "message", "cancel", one) == "1 recipient cancelled.\n"
    assert "cancelled" in posthouse(service, "message", "show", one)
    assert posthouse(service, "queue", "cancel", "all") == "Nothing that waits matches.\n"


def test_the_queue_is_held_and_released_by_selectors(service, sink):
    add_relay(service, sink)
    posthouse(service, "relay", "pause", "main", "--why", "moving")
    send(service, "--stream", "bulk")
    send(service, to="c@z.example")
    assert "Relay main, paused\n" in posthouse(service, "relay", "show", "main")
    assert "closed" in posthouse(service, "queue", "show")
    assert posthouse(service, "queue", "hold", "to=@z.example") == "1 recipient held.\n"
    assert "c@z.example" in posthouse(service, "queue", "list", "--held")
    assert "c@z.example" not in posthouse(service, "queue", "list", "--queued")
    err = posthouse(service, "status", "--wait-idle", "0", status=1)
    assert "1 recipients still wait" in err or "1 recipient still waits" in err
    posthouse(service, "relay", "resume", "main")
    posthouse(service, "status", "--wait-idle", "20")
    assert len(sink.lines()) == 1
    assert posthouse(service, "queue", "release", "state=held") == "1 recipient released.\n"
    sink.wait_count(2)


def test_a_story_tells_a_refusal_and_whose_fault_it_was(service, directory):
    import rig
    bad = rig.Sink(directory, "--reply", "rcpt=550 5.1.1 no such user", name="bad")
    posthouse(service, "relay", "add", "main", "--host", "127.0.0.1", "--port", str(bad.port), "--tls", "none")
    one = send(service)
    posthouse(service, "status", "--wait-idle", "20")
    story = posthouse(service, "message", "show", one)
    assert "b@y.example, bounced" in story
    assert "rcpt: 550 5.1.1 no such user" in story and "recipient's address is at fault" in story
    reports = [m for m in json.loads(posthouse(service, "message", "list", "--json"))["data"] if m["kind"] == "bounce"]
    assert [m["to"] for m in reports] == [["a@x.example"]]
    assert [m[k] for m in reports for k in ("subject", "message_id") if m[k] != m[k].strip()] == []
    bad.stop()


def test_a_person_settles_what_is_in_doubt(service, directory):
    import rig
    odd = rig.Sink(directory, "--drop-after-accept", "100", name="odd")
    posthouse(service, "relay", "add", "main", "--host", "127.0.0.1", "--port", str(odd.port), "--tls", "none")
    one = send(service, "--stream", "bulk")
    end = time.monotonic() + 20
    while one not in posthouse(service, "queue", "list", "--in-doubt") and time.monotonic() < end:
        time.sleep(0.05)
    story = posthouse(service, "message", "show", one)
    assert "b@y.example, in doubt" in story and "posthouse queue resolve %s/1" % one in " ".join(story.split())
    assert "1 in doubt" in posthouse(service, "status")
    assert one in run(data=service.data, face="mailq").out
    assert posthouse(service, "queue", "resolve", one + "/1", "sent") == "%s/1 is settled as sent.\n" % one
    assert "b@y.example, sent" in posthouse(service, "message", "show", one)
    posthouse(service, "queue", "resolve", one + "/1", "sent", status=1)
    posthouse(service, "queue", "resolve", one + "/1", "perhaps", status=2)
    odd.stop()


def test_status_names_a_relay_that_cannot_be_reached(service):
    import rig
    posthouse(service, "relay", "add", "main", "--host", "127.0.0.1", "--port", str(rig.free_port()), "--tls", "none")
    send(service)
    end = time.monotonic() + 20
    while "! " not in (out := posthouse(service, "status")) and time.monotonic() < end:
        time.sleep(0.05)
    assert re.search(r"^! relay main", out, re.M)
    screen = on_terminal("status", data=service.data, env={"NO_COLOR": "1"}).out
    assert len(screen.splitlines()) <= 23 and max(map(len, screen.splitlines())) <= 80


def test_relays_have_versions_limits_and_secrets(service):
    out = posthouse(service, "relay", "add", "main", "--host", "smtp.example.com", "--user", "u@example.com",
                    "--secret-file", "-", "--from", "u@example.com", "--rewrite-from", "*=u@example.com",
                    stdin="first\n")
    assert "smtp.example.com, port 465, TLS implicit" in out
    assert "smtp.example.com:465" in posthouse(service, "relay", "list")
    posthouse(service, "relay", "edit", "main", "--note", "of the shop", "--rate", "10/m")
    shown = posthouse(service, "relay", "show", "main")
    assert "of the shop" in shown and "10/m" in shown and "Version 2" not in shown
    posthouse(service, "relay", "secret", "main", "--secret-file", "-", stdin="second\n")
    assert "first" not in shown and "second" not in posthouse(service, "relay", "show", "main", "--json")
    posthouse(service, "relay", "add", "main", "--host", "other.example.com", status=1)
    posthouse(service, "relay", "show", "nosuch", status=5)
    posthouse(service, "relay", "add", "open", "--host", "192.0.2.1", "--tls", "none", status=2)


def test_routes_decide_and_explain(service, sink):
    add_relay(service, sink)
    add_relay(service, sink, "bulk")
    assert "stream bulk goes through bulk" in posthouse(service, "route", "add", "--relay", "bulk", "--stream", "bulk")
    listed = posthouse(service, "route", "list")
    assert re.search(r"everything else +main", listed) and re.search(r"stream bulk +bulk", listed)
    assert "Goes through bulk@1" in posthouse(service, "route", "test", "--from", "a@x.example", "--to",
                                              "b@y.example", "--stream", "bulk")
    assert "Goes through main@1" in posthouse(service, "route", "test", "--from", "a@x.example", "--to", "b@y.example")
    posthouse(service, "relay", "remove", "bulk", status=1)
    posthouse(service, "route", "remove", "2")
    posthouse(service, "relay", "remove", "bulk")
    posthouse(service, "route", "remove", "99", status=5)


def test_moving_waiting_mail_by_a_route_is_refused_with_the_command_that_does_it(service, sink):
    add_relay(service, sink)
    add_relay(service, sink, "other")
    posthouse(service, "relay", "pause", "main")
    send(service)
    err = posthouse(service, "route", "edit", "1", "--relay", "other", status=4)
    assert "posthouse changeover start --to other" in err


def test_credentials_open_the_door_until_they_are_paused(service):
    import smtplib
    out = posthouse(service, "credential", "add", "shop", "--from", "@x.example")
    secret = re.search(r"Password +(\S+)", out).group(1)
    assert "port %d, encryption STARTTLS" % service.port in out
    assert "port %d, encryption SSL/TLS" % service.smtps_port in out

    def may_send(password):
        with smtplib.SMTP("127.0.0.1", service.port) as s:
            s.starttls()
            try:
                s.login("shop", password)
                return s.mail("a@x.example")[0] == 250
            except smtplib.SMTPAuthenticationError:
                return False

    assert may_send(secret)
    posthouse(service, "credential", "pause", "shop", "--why", "lost")
    assert "paused: lost" in posthouse(service, "credential", "list")
    assert not may_send(secret)
    posthouse(service, "credential", "resume", "shop")
    assert may_send(secret)
    posthouse(service, "credential", "edit", "shop", "--secret-file", "-", stdin="taken over 123\n")
    assert may_send("taken over 123")
    assert secret not in posthouse(service, "credential", "show", "shop", "--json")
    posthouse(service, "credential", "remove", "shop")
    posthouse(service, "credential", "show", "shop", status=5)


def test_accounts_are_added_paused_and_removed(service):
    posthouse(service, "account", "add", "tenant")
    posthouse(service, "account", "edit", "tenant", "--paused", "yes")
    assert re.search(r"tenant +paused", posthouse(service, "account", "list"))
    posthouse(service, "credential", "add", "t", "--account", "tenant")
    posthouse(service, "account", "remove", "tenant", status=1)
    posthouse(service, "credential", "remove", "t")
    posthouse(service, "account", "remove", "tenant")


def test_alarms_run_a_command(service, directory):
    told = directory + "/told"
    posthouse(service, "alarm", "add", "--command", "cat > %s.new && mv %s.new %s" % (told, told, told))
    posthouse(service, "alarm", "test")
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            with open(told) as f:
                assert "test of the alarms" in f.read()
            break
        except FileNotFoundError:
            time.sleep(0.02)
    else:
        raise AssertionError("the command did not run")
    posthouse(service, "alarm", "remove", "1")
    assert "Nobody is told" in posthouse(service, "alarm", "list")


def test_stats_count_by_relay(service, sink):
    add_relay(service, sink)
    send(service)
    posthouse(service, "status", "--wait-idle", "20")
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:00 +main@1 +1 ", posthouse(service, "stats", "--since", "1h"), re.M)
    assert re.search(r"^\d{4}-\d\d-\d\d +main@1 +1 ", posthouse(service, "stats", "--by", "day"), re.M)
    posthouse(service, "stats", "--relay", "nosuch", status=5)


def test_the_service_is_reached_over_the_network_with_its_key(directory):
    import rig
    port = rig.free_port()
    with rig.Service(directory, "--http", "127.0.0.1:%d" % port) as s:
        with open(s.data + "/admin.key") as f:
            key = f.read().strip()
        url = "http://127.0.0.1:%d" % port
        assert run("account", "list", "--url", url, "--key", key).status == 0
        assert run("account", "list", env={"POSTHOUSE_URL": url, "POSTHOUSE_KEY": key}).status == 0
        r = run("account", "list", "--url", url, "--key", "ph_wrong")
        assert r.status == 1 and "does not accept the key" in r.err
        s.stop()


def test_watch_shows_the_screen_again(service):
    import os
    import signal
    import subprocess

    import rig
    from faces import environment
    p = subprocess.Popen([rig.program(), "status", "--watch"], stdout=subprocess.PIPE, env=environment(service.data))
    seen = b""
    while seen.count(b"posthouse ") < 2:
        seen += os.read(p.stdout.fileno(), 65536)
    p.send_signal(signal.SIGINT)
    assert p.wait(10) == -signal.SIGINT
