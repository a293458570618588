"""What the screens make of an answer, whatever is in it: sizes, strangers' text, exit statuses."""
import datetime
import json
import re

import pytest
from faces import on_terminal, run


def ago(seconds):
    t = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(seconds=seconds)
    return t.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def relay(i, **more):
    return dict({"name": "relay%d" % i, "version": 1, "host": "smtp%d.example.com" % i, "port": 465,
                 "state": "ok", "why": None, "remedy": None, "since": None, "connections": 2,
                 "connection_cap": 10, "sent_today": 12345, "in_use": True, "latency_p50_ms": 12.5,
                 "latency_p95_ms": 80.2}, **more)


def status(**more):
    return dict({
        "version": "1.0", "hostname": "mail.example.com", "started_at": ago(7300),
        "listeners": [{"address": "127.0.0.1:2525", "kind": "smtp"},
                      {"address": "/data/control.sock", "kind": "control"}],
        "accepting": True, "captured_mode": False,
        "totals": {"accepted": 1234567, "generated": 1, "sent": 1234000, "bounced": 3, "expired": 0,
                   "failed": 0, "cancelled": 0, "suppressed": 0, "unknown": 0, "captured": 0,
                   "queued": 564, "held": 4, "in_doubt": 1},
        "rates": {"received_per_minute": 120, "sent_per_minute": 118.5},
        "lanes": [{"stream": "transactional", "queued": 4, "oldest_at": ago(40)},
                  {"stream": "bulk", "queued": 560, "oldest_at": ago(4000)}],
        "relays": [relay(1)], "disk": {"free_bytes": 1 << 40, "accepts": True}, "problems": []}, **more)


def plain(text):
    return re.sub("\033\\[[0-9;]*[mHJ]", "", text)


def test_status_says_what_comes_in_what_waits_and_what_goes_out(fake, directory):
    f = fake({"GET /status": (200, status())})
    r = run("status", data=f.data)
    assert r.status == 0, r
    assert "posthouse 1.0 on mail.example.com, up 2 h: running" in r.out
    assert "1,234,567 recipients accepted" in r.out
    assert "564 (transactional 4, oldest 40 s ago, bulk 560, oldest 66 min ago)" in r.out
    assert "4 held, 1 in doubt" in r.out
    assert "1,234,000 sent in all, 3 bounced" in r.out
    assert re.search(r"^relay1@1 +smtp1\.example\.com:465 +ok +2/10 +12,345 +80 ms$", r.out, re.M)
    assert "Nothing is wrong." in r.out
    assert "control.sock" not in r.out


def test_status_fits_a_screen_of_24_lines_and_80_columns(fake):
    problems = [{"what": "Relay relay%d refuses our login since the morning, which is a long story" % i,
                 "since": ago(300), "do": "Give it a new secret: posthouse relay secret relay%d" % i}
                for i in range(3)]
    f = fake({"GET /status": (200, status(relays=[relay(i) for i in range(40)], problems=problems))})
    r = on_terminal("status", data=f.data)
    lines = plain(r.out).splitlines()
    assert len(lines) <= 23, r.out
    assert max(map(len, lines)) <= 80, r.out
    assert "posthouse relay secret relay2" in r.out
    assert "more: posthouse relay list" in r.out


def test_status_says_what_is_wrong_and_what_to_do(fake):
    f = fake({"GET /status": (200, status(
        accepting=False, relays=[relay(1, state="login refused")],
        problems=[{"what": "The disk is full.", "since": ago(180), "do": "Make room on /var."}]))})
    out = run("status", data=f.data).out
    assert "refusing new mail" in out
    assert "! The disk is full. (since 3 min ago)\n    Make room on /var.\n" in out
    assert "login refused" in out


def test_wait_idle_ends_when_only_held_recipients_are_left(fake):
    f = fake({"GET /status": (200, status())})
    r = run("status", "--wait-idle", "0.1s", data=f.data)
    assert r.status == 2
    r = run("status", "--wait-idle", "0", data=f.data)
    assert r.status == 1 and "560 recipients still wait" in r.err
    idle = status()
    idle["totals"]["queued"] = idle["totals"]["held"]
    f.answers["GET /status"] = (200, idle)
    r = run("status", "--wait-idle", "10", "--json", data=f.data)
    assert r.status == 0 and json.loads(r.out) == idle


def test_json_is_what_the_service_answers(fake):
    text = b'{"object":"list","has_more":false,"data":[{"a":1.50,"b":"\xc3\xa9"}]}'
    f = fake({"GET /emails": (200, text)})
    r = run("message", "list", "--json", data=f.data)
    assert r.status == 0 and r.out.encode() == text + b"\n"


@pytest.mark.parametrize("status,exit", [(422, 2), (400, 2), (403, 4), (404, 5), (409, 1), (503, 1), (401, 1)])
def test_refusals_become_exit_statuses_and_keep_their_sentence(fake, status, exit):
    f = fake({"GET /relays/a": (status, {"statusCode": status, "name": "n", "message": "do it so"})})
    for more in ([], ["--json"]):
        r = run("relay", "show", "a", *more, data=f.data)
        assert (r.status, r.out) == (exit, "")
        assert r.err == "posthouse: do it so\n" if status != 401 else "--key" in r.err


def test_a_hint_is_part_of_the_sentence(fake):
    f = fake({"PATCH /routes/1": (403, {"statusCode": 403, "name": "refused_by_policy",
                                       "message": "it would move waiting mail",
                                       "hint": "posthouse changeover start --to b"})})
    r = run("route", "edit", "1", "--relay", "b", data=f.data)
    assert r.status == 4
    assert r.err == "posthouse: it would move waiting mail: posthouse changeover start --to b\n"


def test_an_answer_that_is_no_json_is_not_trusted(fake):
    f = fake({"GET /relays": (200, b"<html>")})
    r = run("relay", "list", data=f.data)
    assert r.status == 1 and "does another program listen there" in r.err


def test_text_of_strangers_cannot_rewrite_the_terminal(fake):
    f = fake({"GET /emails/x": (200, {
        "id": "x", "from": "a@b\u001b[2J", "to": ["c@d"], "subject": "hi\u202eevil\u0007\nsecond line",
        "state": "sent", "recipients": [{
            "id": "x/1", "address": "c@d", "state": "sent", "words": "Sent\u009b2J",
            "attempts": [{"at": ago(60), "duration_ms": 12, "relay": "main", "version": 2, "stage": "dot",
                          "code": 250, "enhanced": "2.0.0", "text": "Ok\u001b]0;owned\u0007",
                          "attribution": None, "remote": "192.0.2.1:25", "tls": "TLSv1.3"}]}]})})
    out = on_terminal("message", "show", "x", data=f.data, env={"NO_COLOR": "1"}).out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out), repr(out)
    assert "through main@2 at 192.0.2.1:25, TLSv1.3, took 12 ms" in out
    assert "dot: 250 2.0.0 Ok" in out


def test_tables_keep_to_the_terminal_and_count_wide_characters(fake):
    rows = [{"id": "0193-%d" % i, "created_at": ago(200), "state": "sent", "from": "someone@example.com",
             "to": ["reader%d@example.org" % i], "recipients": 3, "subject": "订单确认 " * 9}
            for i in range(3)]
    f = fake({"GET /emails": (200, {"object": "list", "has_more": True, "data": rows})})
    out = plain(on_terminal("message", "list", data=f.data).out)
    for line in out.splitlines():
        assert sum(2 if ord(ch) > 0x2e80 else 1 for ch in line) <= 80, line
    assert "…" in out and "There are more: --after 0193-2" in out
    assert "…" not in run("message", "list", data=f.data).out
    assert "reader1@example.org and 2 more" in run("message", "list", data=f.data).out


def test_credential_add_shows_the_secret_once_with_all_settings(fake):
    f = fake({"POST /credentials": (201, {"user": "shop", "secret": "abcd-efgh"}),
              "GET /status": (200, status(listeners=[
                  {"address": "0.0.0.0:587", "kind": "smtp"}, {"address": "127.0.0.1:465", "kind": "smtps"}]))})
    r = run("credential", "add", "shop", "--from", "@a.example, b@c.example", "--from", "d@e.example",
            "--network", "10.0.0.0/8", data=f.data)
    assert r.status == 0, r
    assert f.body("POST", "/credentials") == {
        "user": "shop", "from": ["@a.example", "b@c.example", "d@e.example"], "networks": ["10.0.0.0/8"]}
    assert r.out.count("abcd-efgh") == 1
    assert "mail.example.com, port 587, encryption STARTTLS" in r.out
    assert "127.0.0.1, port 465, encryption SSL/TLS (implicit)" in r.out


def test_relay_add_sends_what_the_options_say(fake):
    f = fake({"POST /relays": (201, {"name": "main"})})
    r = run("relay", "add", "main", "--host", "smtp.example.com", "--tls", "ssl", "--user", "u@example.com",
            "--secret-file", "-", "--from", "u@example.com", "--rewrite-from", "*=u@example.com",
            "--max-connections", "5", "--rate", "10/s", "--note", "first", data=f.data, stdin="s3cret\n")
    assert r.status == 0, r
    assert f.body("POST", "/relays") == {
        "name": "main", "host": "smtp.example.com", "port": 465, "tls": "implicit", "user": "u@example.com",
        "from": ["u@example.com"], "rewrite_from": {"*": "u@example.com"}, "max_connections": 5,
        "rate": "10/s", "note": "first", "secret": "s3cret"}
    assert "s3cret" not in r.out


def test_a_secret_is_asked_for_on_a_terminal_without_showing_it(fake):
    f = fake({"POST /relays/main/secret": (200, {"name": "main"})})
    r = on_terminal("relay", "secret", "main", data=f.data, typed=b"hush hush\n")
    assert r.status == 0, r
    assert f.body("POST", "/relays/main/secret") == {"secret": "hush hush"}
    assert "hush hush" not in r.out


def test_cancelling_everything_asks_on_a_terminal(fake):
    f = fake({"POST /queue/cancel": (200, {"matched": 3, "done": 2, "busy": 1})})
    r = on_terminal("queue", "cancel", "all", data=f.data, typed=b"n\n")
    assert r.status == 1 and f.asked == []
    r = on_terminal("queue", "cancel", "all", data=f.data, typed=b"y\n")
    assert r.status == 0 and "2 recipients cancelled, 1 just being sent and left alone." in r.out
    r = run("queue", "cancel", "from=@a.example", "stream=bulk", data=f.data)
    assert f.body("POST", "/queue/cancel") == {"selector": "from=@a.example stream=bulk"}


def test_names_are_encoded_into_paths(fake):
    f = fake({})
    assert run("relay", "show", "a/b?c d", data=f.data).status == 5
    assert f.asked[0][1] == "/relays/a%2Fb%3Fc%20d"


def test_a_key_goes_with_a_url_only(fake, directory):
    f = fake({"GET /accounts": (200, {"object": "list", "has_more": False, "data": []})})
    run("account", "list", data=f.data, env={"POSTHOUSE_KEY": "ph_secret"})
    assert "Authorization" not in f.asked[0][4]


def test_a_failed_write_is_a_failure(fake):
    import subprocess
    import rig
    from faces import environment
    with open("/dev/full", "w") as full:
        p = subprocess.run([rig.program(), "help"], stdout=full, stderr=subprocess.PIPE, env=environment())
    assert p.returncode == 1 and b"standard output cannot be written" in p.stderr
