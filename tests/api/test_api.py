"""The admin API against a real service: what it promises in shapes, refusals and effects."""
import threading
import queue
import http.server
import base64
import http.client
import json
import os
import socket
import time

import pytest

from rig import Api, ApiError, NoService, Service, Sink, Smtp, free_port


@pytest.fixture
def service(place):
    port = free_port()
    s = Service(place, "--http", "127.0.0.1:%d" % port)
    s.http_port = port
    with s:
        yield s


@pytest.fixture
def sink(place):
    s = Sink(place, keep=True)
    yield s
    s.kill()


def refused(status, call, *args):
    """The error's body."""
    with pytest.raises(ApiError) as e:
        call(*args)
    assert e.value.status == status, e.value
    assert e.value.body["statusCode"] == status
    assert e.value.body["message"]
    return e.value.body


def send(service, to="b@example.com", **more):
    body = {"from": "Ann <ann@example.com>", "to": to, "subject": "Grüße", "text": "hello"}
    body.update(more)
    return service.api.post("/emails", body)["id"]


def wait_state(service, id, state, patience=20):
    end = time.monotonic() + patience
    while True:
        story = service.api.get("/emails/" + id)
        if story["state"] == state:
            return story
        assert time.monotonic() < end, story
        time.sleep(0.05)


def balance(t):
    rest = ["sent", "bounced", "expired", "failed", "cancelled", "suppressed", "unknown", "captured",
            "queued", "in_doubt"]
    assert t["accepted"] + t["generated"] == sum(t[k] for k in rest), t


# ---- the door


def over_http(service, path, key=None, method="GET", body=None):
    c = http.client.HTTPConnection("127.0.0.1", service.http_port, timeout=10)
    c.request(method, path, body, {"Authorization": "Bearer " + key} if key else {})
    a = c.getresponse()
    text = a.read()
    c.close()
    return a.status, text


def test_tcp_wants_the_admin_key_but_not_for_healthz(service):
    key = open(os.path.join(service.data, "admin.key")).read().strip()
    assert over_http(service, "/healthz")[0] == 200
    status, text = over_http(service, "/status")
    assert status == 401
    assert json.loads(text)["name"] == "unauthorized"
    assert over_http(service, "/status", "ph_" + "x" * 43)[0] == 401
    assert over_http(service, "/status", key)[0] == 200
    assert over_http(service, "/nowhere")[0] == 401
    assert over_http(service, "/nowhere", key)[0] == 404
    assert over_http(service, "/emails", None, "POST", b"x" * 100000)[0] == 401


def test_unknown_paths_and_methods_are_told_apart(service):
    assert refused(404, service.api.get, "/nothing")["name"] == "not_found"
    refused(405, service.api.delete, "/status")


def test_a_body_that_is_no_json_is_refused(service):
    assert "JSON" in refused(422, service.api.call, "POST", "/relays", "{nope")["message"]


def test_status_shows_an_empty_house(service):
    s = service.api.get("/status")
    assert s["captured_mode"] and s["accepting"]
    assert {x["kind"] for x in s["listeners"]} >= {"smtp", "http"}
    assert [x["stream"] for x in s["lanes"]] == ["transactional", "bulk"]
    assert "posthouse relay add" in s["problems"][0]["do"]
    assert service.api.get("/version")["version"] == s["version"]


def test_metrics_are_prometheus_text(service, sink):
    service.add_relay("main", sink.port)
    wait_state(service, send(service), "sent")
    text = service.api.get("/metrics")
    assert 'posthouse_recipients{state="sent"} 1' in text
    assert 'posthouse_relay_usable{relay="main",version="1"} 1' in text
    assert 'posthouse_relay_sent_total{relay="main",version="1"} 1' in text
    assert "posthouse_memory_resident_bytes" in text
    counts = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        name, value = line.rsplit(" ", 1)
        float(value)
        assert name not in counts, name
        counts[name] = value
    buckets = [int(v) for k, v in counts.items() if k.startswith("posthouse_store_commit_seconds_bucket")]
    assert buckets == sorted(buckets) and buckets[-1] == int(counts["posthouse_store_commit_seconds_count"])


# ---- relays


def test_the_first_relay_becomes_the_default_routes(service, sink):
    made = service.api.post("/relays", {"name": "main", "host": "127.0.0.1", "port": sink.port,
                                        "tls": "none", "note": "n", "rate": "10/s"})
    assert made["name"] == "main" and made["current"] == 1 and made["in_use"]
    assert made["versions"][0]["rate"] == "10/s"
    assert made["status"]["state"] == "ok"
    routes = service.api.get("/routes")["data"]
    assert len(routes) == 1 and routes[0]["default"] and routes[0]["relay"] == "main"
    assert not service.api.get("/status")["captured_mode"]
    service.add_relay("other", sink.port)
    assert len(service.api.get("/routes")["data"]) == 1


@pytest.mark.parametrize("body,word", [
    ({"host": "x.example"}, "name"),
    ({"name": "a b", "host": "x.example"}, "name"),
    ({"name": "a"}, "host"),
    ({"name": "a", "host": "x.example", "tls": "maybe"}, "tls"),
    ({"name": "a", "host": "x.example", "port": 70000}, "port"),
    ({"name": "a", "host": "x.example", "rate": "many"}, "rate"),
    ({"name": "a", "host": "x.example", "user": "u"}, "secret"),
    ({"name": "a", "host": "x.example", "colour": "red"}, "colour"),
    ({"name": "a", "host": "x.example", "tls": "none"}, "allow-plaintext"),
    ({"name": "a", "host": "x.example", "from": ["not an address"]}, "address"),
    ({"name": "a", "host": "x.example", "from": 5}, "from"),
])
def test_a_bad_relay_never_lands(service, body, word):
    error = refused(422, service.api.post, "/relays", body)
    text = error["message"].lower().replace("_", "-")
    assert word in text, error
    assert service.api.get("/relays")["data"] == []
    assert service.api.get("/status")["captured_mode"]


def test_a_relays_name_is_taken_once_and_its_secret_never_shown(service, sink):
    body = {"name": "main", "host": "127.0.0.1", "port": sink.port, "tls": "none", "user": "u",
            "secret": "Geheim-42", "allow_plaintext": "test"}
    made = service.api.post("/relays", body)
    assert made["versions"][0]["has_secret"]
    assert "Geheim-42" not in json.dumps(made)
    assert "Geheim-42" not in json.dumps(service.api.get("/relays"))
    assert "Geheim-42" not in json.dumps(service.api.get("/audit"))
    refused(409, service.api.post, "/relays", dict(body, name="MAIN"))
    again = service.api.post("/relays/main/secret", {"secret": "neu"})
    assert again["checked"] is False
    refused(404, service.api.post, "/relays/none/secret", {"secret": "x"})
    refused(422, service.api.post, "/relays/main/secret", {})


def test_limits_take_effect_at_once_and_ways_make_versions(service, sink):
    service.add_relay("main", sink.port)
    one = service.api.patch("/relays/main", {"max_connections": 3, "note": "slower"})
    assert one["current"] == 1 and len(one["versions"]) == 1
    assert one["versions"][0]["max_connections"] == 3 and one["note"] == "slower"
    two = service.api.patch("/relays/main", {"tls_name": "relay.example"})  # nothing was ever sent
    assert two["version"] == 2 and two["current"] == 2 and "hint" not in two
    wait_state(service, send(service), "sent")
    three = service.api.patch("/relays/main", {"port": 26})
    assert three["version"] == 3 and three["current"] == 2
    assert three["hint"] == "posthouse changeover start --to main@3"
    wait_state(service, send(service), "sent")


def test_pausing_holds_mail_back_and_says_so_also_after_a_restart(service, sink):
    service.add_relay("main", sink.port)
    assert service.api.post("/relays/main/pause", {"why": "maintenance"})["paused"]
    id = send(service)
    time.sleep(0.3)
    story = service.api.get("/emails/" + id)
    assert story["state"] == "queued"
    assert "paused" in story["recipients"][0]["words"] and "nothing is lost" in story["recipients"][0]["words"]
    problems = service.api.get("/status")["problems"]
    assert any("main" in p["what"] and "resume" in p["do"] for p in problems), problems
    group = service.api.get("/queue")["groups"][0]
    assert group["relay"] == "main" and not group["open"] and group["queued"] == 1
    service.stop()
    service.start()
    time.sleep(0.5)
    assert service.api.get("/emails/" + id)["state"] == "queued"
    assert not service.api.post("/relays/main/resume")["paused"]
    wait_state(service, id, "sent")


def test_a_relay_is_removed_only_when_nothing_needs_it(service, sink):
    service.add_relay("main", sink.port)
    service.add_relay("spare", sink.port)
    assert "route" in refused(409, service.api.delete, "/relays/main")["message"]
    service.api.delete("/relays/spare")
    refused(404, service.api.get, "/relays/spare")


# ---- routes


def test_routes_choose_by_sender_and_test_says_why(service, sink, place):
    service.add_relay("main", sink.port)
    service.add_relay("shop", sink.port, **{"from": ["@shop.example"], "rewrite_from": {"*": "a@shop.example"}})
    made = service.api.post("/routes", {"relay": "shop", "from": "@shop.example"})
    assert made["from"] == "@shop.example" and not made["default"]
    ask = {"from": "x@shop.example", "to": "y@else.example"}
    assert service.api.post("/routes/test", ask)["relay"] == "shop"
    assert service.api.post("/routes/test", dict(ask, **{"from": "x@else.example"}))["relay"] == "main"
    refused(422, service.api.post, "/routes/test", {"from": "nobody", "to": "y@else.example"})
    refused(422, service.api.post, "/routes", {"relay": "shop", "from": "@shop.example"})
    refused(422, service.api.post, "/routes", {"relay": "none"})
    service.api.patch("/routes/%d" % made["id"], {"relay": "main"})
    assert service.api.post("/routes/test", ask)["relay"] == "main"
    service.api.delete("/routes/%d" % made["id"])
    assert len(service.api.get("/routes")["data"]) == 1
    refused(404, service.api.delete, "/routes/999")


def test_a_route_that_would_move_waiting_mail_is_refused_with_the_command_that_does_it(service, sink):
    service.add_relay("main", sink.port)
    service.add_relay("other", sink.port)
    service.api.post("/relays/main/pause")
    send(service)
    route = service.api.get("/routes")["data"][0]
    error = refused(403, service.api.patch, "/routes/%d" % route["id"], {"relay": "other"})
    assert error["hint"] == "posthouse changeover start --to other"
    refused(403, service.api.post, "/routes", {"relay": "other", "from": "@example.com"})
    elsewhere = service.api.post("/routes", {"relay": "other", "from": "@elsewhere.example"})
    service.api.delete("/routes/%d" % elsewhere["id"])
    refused(409, service.api.delete, "/relays/main")
    service.api.post("/relays/main/resume")
    service.wait_idle()
    service.api.patch("/routes/%d" % route["id"], {"relay": "other"})
    assert service.api.get("/routes")["data"][0]["relay"] == "other"


def test_without_the_first_route_there_is_nothing_to_route(service):
    test = service.api.post("/routes/test", {"from": "a@example.com", "to": "b@example.com"})
    assert test["refusal"] == "capture" and test["why"]


# ---- accounts and credentials


def test_accounts_come_and_go(service, sink):
    assert [a["name"] for a in service.api.get("/accounts")["data"]] == ["local"]
    assert service.api.post("/accounts", {"name": "shop"})["name"] == "shop"
    assert {a["name"] for a in service.api.get("/accounts")["data"]} == {"local", "shop"}
    refused(409, service.api.post, "/accounts", {"name": "Shop"})
    refused(422, service.api.post, "/accounts", {"name": ""})
    assert service.api.patch("/accounts/shop", {"paused": True})["paused"]
    assert service.api.patch("/accounts/shop", {"name": "store"})["name"] == "store"
    refused(422, service.api.patch, "/accounts/local", {"name": "home"})
    service.api.post("/credentials", {"user": "u", "account": "store"})
    assert "credentials" in refused(409, service.api.delete, "/accounts/store")["message"]
    service.api.delete("/credentials/u")
    service.add_relay("main", sink.port)
    route = service.api.post("/routes", {"relay": "main", "account": "store"})
    assert route["account"] == "store"
    assert "route" in refused(409, service.api.delete, "/accounts/store")["message"]
    service.api.delete("/routes/%d" % route["id"])
    service.api.delete("/accounts/store")
    refused(404, service.api.delete, "/accounts/store")
    refused(409, service.api.delete, "/accounts/local")


def test_a_paused_local_account_may_not_send(service, sink):
    service.add_relay("main", sink.port)
    service.api.patch("/accounts/local", {"paused": True})
    assert "paused" in refused(403, service.api.post, "/emails",
                               {"from": "a@example.com", "to": "b@example.com", "text": "x"})["message"]
    service.api.patch("/accounts/local", {"paused": False})
    send(service)


def codes(service, user, secret):
    """The replies to AUTH and to MAIL."""
    smtp = Smtp(service.port)
    token = base64.b64encode(("\0%s\0%s" % (user, secret)).encode()).decode()
    smtp.sock.sendall(("AUTH PLAIN " + token + "\r\n").encode())
    auth = int(smtp.reply()[:3])
    smtp.sock.sendall(b"MAIL FROM:<a@example.com>\r\n")
    mail = int(smtp.reply()[:3])
    smtp.sock.close()
    return auth, mail


def login(service, user, secret):
    return codes(service, user, secret)[0]


def may_send(service, user, secret):
    return codes(service, user, secret)[1]


def test_a_generated_secret_is_shown_once_and_logs_in(service):
    made = service.api.post("/credentials", {"user": "app@example.com", "from": ["@example.com"],
                                             "networks": ["127.0.0.0/8"], "options": ["stream", "tag"]})
    assert made["secret"] and made["account"] == "local" and made["options"] == ["stream", "tag"]
    assert login(service, "app@example.com", made["secret"]) == 235
    assert login(service, "app@example.com", "wrong") == 535
    assert "secret" not in service.api.get("/credentials/app@example.com")
    refused(409, service.api.post, "/credentials", {"user": "APP@example.com"})
    assert service.api.patch("/credentials/app@example.com", {"stream": "bulk"})["stream"] == "bulk"


def test_a_given_secret_is_taken_over(service):
    made = service.api.post("/credentials", {"user": "old", "secret": "as it always was"})
    assert "secret" not in made
    assert login(service, "old", "as it always was") == 235
    service.api.patch("/credentials/old", {"secret": "another"})
    assert login(service, "old", "another") == 235


def test_a_paused_credential_sends_no_more(service):
    service.api.post("/credentials", {"user": "u", "secret": "s3cret"})
    assert service.api.post("/credentials/u/pause", {"why": "stolen"})["paused_why"] == "stolen"
    assert may_send(service, "u", "s3cret") == 535
    assert not service.api.post("/credentials/u/resume")["paused"]
    assert may_send(service, "u", "s3cret") == 250


@pytest.mark.parametrize("body,word", [
    ({}, "user"),
    ({"user": "a b"}, "user"),
    ({"user": "a", "account": "none"}, "account"),
    ({"user": "a", "networks": ["10.0.0.1/8"]}, "10.0.0.1/8"),
    ({"user": "a", "options": ["wings"]}, "wings"),
    ({"user": "a", "stream": "slow"}, "stream"),
    ({"user": "a", "secret": ""}, "secret"),
])
def test_a_bad_credential_never_lands(service, body, word):
    assert word in refused(422, service.api.post, "/credentials", body)["message"]
    assert service.api.get("/credentials")["data"] == []


# ---- messages


def test_a_message_by_its_fields_arrives_whole(service, sink):
    service.add_relay("main", sink.port)
    id = send(service, to=["Bob <b@example.com>", "c@example.com"], cc="d@example.com", bcc=["e@example.com"],
              reply_to="r@example.com", html="<b>hello</b>", headers={"X-Mine": "yes"}, tag="welcome",
              attachments=[{"filename": "a.txt", "content": base64.b64encode(b"attached").decode()}])
    story = wait_state(service, id, "sent")
    assert story["from"] == "ann@example.com" and story["tag"] == "welcome" and story["stream"] == "transactional"
    assert story["to"] == ["b@example.com", "c@example.com", "d@example.com", "e@example.com"]
    assert [r["id"] for r in story["recipients"]] == ["%s/%d" % (id, i) for i in (1, 2, 3, 4)]
    attempt = story["recipients"][0]["attempts"][-1]
    assert attempt["relay"] == "main" and attempt["version"] == 1 and attempt["code"] == 250
    assert attempt["attribution"] is None
    assert story["recipients"][0]["words"].startswith("Sent at ")
    assert "through main@1: 250" in story["recipients"][0]["words"]
    mail = sink.kept()[0]
    assert b"X-Mine: yes" in mail and b"e@example.com" not in mail and b"X-Posthouse" not in mail
    assert b"multipart/mixed" in mail and base64.b64encode(b"attached") in mail


def test_before_the_first_relay_mail_is_captured_and_leaves_only_when_released(service, sink):
    id = send(service)
    story = service.api.get("/emails/" + id)
    assert story["state"] == "captured"
    assert "Captured" in story["recipients"][0]["words"]
    service.add_relay("main", sink.port)
    time.sleep(0.3)
    assert service.api.get("/emails/" + id)["state"] == "captured"
    assert any("captured" in p["what"] for p in service.api.get("/status")["problems"])
    assert service.api.post("/emails/%s/release" % id) == {"matched": 1, "done": 1, "busy": 0}
    wait_state(service, id, "sent")
    balance(service.totals())


def test_a_raw_message_goes_as_it_is_with_its_lines_mended(service, sink):
    service.add_relay("main", sink.port)
    raw = b"From: a@example.com\nTo: b@example.com\nSubject: raw\nMessage-ID: <1@x>\n\nline\nlast"
    id = service.api.call("POST", "/emails?from=a%40example.com&to=b%40example.com&to=c%40example.com", raw,
                          {"Content-Type": "message/rfc822"})["id"]
    story = wait_state(service, id, "sent")
    assert story["to"] == ["b@example.com", "c@example.com"] and story["message_id"] == "<1@x>"
    assert b"line\r\nlast" in sink.kept()[0]


@pytest.mark.parametrize("change,word", [
    ({"from": None}, "from"),
    ({"to": None}, "to"),
    ({"to": "nobody at all"}, "to"),
    ({"text": None}, "text"),
    ({"subject": "two\r\nBcc: x@example.com"}, "subject"),
    ({"headers": {"X-A": "b\r\nBcc: x@example.com"}}, "headers"),
    ({"stream": "fast"}, "stream"),
    ({"scheduled_at": "tomorrow-ish"}, "Send-At"),
    ({"attachments": [{"filename": "x", "content": "!!"}]}, "attachments[0]"),
    ({"colour": "red"}, "colour"),
])
def test_a_bad_message_is_refused_with_the_fields_name(service, change, word):
    body = {"from": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"}
    body.update(change)
    body = {k: v for k, v in body.items() if v is not None}
    assert word.lower() in refused(422, service.api.post, "/emails", body)["message"].lower()
    assert service.totals()["accepted"] == 0


def test_a_sender_that_no_relay_carries_is_refused_at_once(service, sink):
    service.add_relay("main", sink.port, **{"from": ["@carried.example"]})
    refused(403, service.api.post, "/emails", {"from": "a@else.example", "to": "b@example.com", "text": "x"})


def test_a_repeated_idempotency_key_keeps_one_message(service, sink):
    service.add_relay("main", sink.port)
    body = json.dumps({"from": "a@example.com", "to": "b@example.com", "subject": "s", "text": "t"})
    ids = {service.api.call("POST", "/emails", body, {"Idempotency-Key": "k1"})["id"] for _ in range(3)}
    other = service.api.call("POST", "/emails", body, {"Idempotency-Key": "k2"})["id"]
    assert len(ids) == 1 and other not in ids
    service.wait_idle()
    assert len(sink.lines()) == 2


def test_scheduled_mail_waits_for_its_time(service, sink):
    service.add_relay("main", sink.port)
    id = send(service, scheduled_at="10m")
    story = service.api.get("/emails/" + id)
    assert story["state"] == "queued" and story["scheduled_at"]
    assert story["recipients"][0]["words"].startswith("Scheduled")
    assert service.api.post("/emails/%s/cancel" % id)["done"] == 1
    assert service.api.get("/emails/" + id)["state"] == "cancelled"
    refused(409, service.api.post, "/emails/%s/cancel" % id)


def test_the_list_is_newest_first_in_pages_and_filters(service, sink):
    service.add_relay("main", sink.port)
    ids = [send(service, to="b%d@example.com" % i, tag="even" if i % 2 == 0 else "odd") for i in range(7)]
    service.wait_idle()
    page = service.api.get("/emails", limit=3)
    assert [m["id"] for m in page["data"]] == ids[:-4:-1] and page["has_more"]
    page = service.api.get("/emails", limit=3, after=page["data"][-1]["id"])
    assert [m["id"] for m in page["data"]] == ids[3:0:-1] and page["has_more"]
    page = service.api.get("/emails", limit=3, after=page["data"][-1]["id"])
    assert [m["id"] for m in page["data"]] == ids[:1] and not page["has_more"]
    assert [m["id"] for m in service.api.every("/emails", tag="even")] == ids[::-2]
    assert [m["id"] for m in service.api.every("/emails", to="b3@example.com")] == [ids[3]]
    assert len(list(service.api.every("/emails", state="sent"))) == 7
    assert list(service.api.every("/emails", state="bounced")) == []
    refused(422, service.api.get, "/emails?state=nonsense")
    refused(422, service.api.get, "/emails?limit=501")
    refused(404, service.api.get, "/emails/not-an-id")
    refused(404, service.api.get, "/emails/00000000-0000-7000-8000-000000000000")


def test_a_refusal_for_good_is_told_with_its_reason(service, place):
    sink = Sink(place, "--reply", "rcpt=550 5.1.1 no such user", name="strict")
    service.add_relay("main", sink.port)
    story = wait_state(service, send(service), "bounced")
    attempt = story["recipients"][0]["attempts"][-1]
    assert attempt["stage"] == "rcpt" and attempt["code"] == 550 and attempt["enhanced"] == "5.1.1"
    assert attempt["attribution"] == "recipient"
    assert "550 5.1.1 no such user" in story["recipients"][0]["words"]
    rows = service.api.get("/stats")["data"]
    assert sum(r["bounced"] for r in rows) >= 1 and rows[0]["relay"] == "main"  # the report bounces too
    assert sum(r["refused"].get("recipient", 0) for r in rows) == sum(r["bounced"] for r in rows)
    assert service.api.get("/stats", by="day", relay="main", since="1h")["data"]
    refused(422, service.api.get, "/stats?by=year")
    refused(404, service.api.get, "/stats?relay=none")


# ---- the queue


def test_selectors_hold_release_and_cancel_what_they_name(service, sink):
    service.add_relay("main", sink.port)
    service.api.post("/relays/main/pause")
    a = [send(service, to="x%d@a.example" % i) for i in range(3)]
    b = [send(service, to="x%d@b.example" % i, stream="bulk") for i in range(2)]
    assert service.api.post("/queue/hold", {"selector": "to=@a.example"})["done"] == 3
    assert service.totals()["held"] == 3 and service.totals()["queued"] == 5
    held = service.api.get("/queue/recipients", state="held")["data"]
    assert {r["address"] for r in held} == {"x0@a.example", "x1@a.example", "x2@a.example"}
    assert held[0]["id"].split("/")[0] in a
    assert service.api.post("/queue/release", {"selector": "state=held"})["done"] == 3
    assert service.api.post("/queue/cancel", {"selector": "stream=bulk relay=main"})["done"] == 2
    assert service.api.get("/emails/" + b[0])["state"] == "cancelled"
    assert service.api.post("/queue/cancel", {"selector": "tag=none"}) == {"matched": 0, "done": 0, "busy": 0}
    for bad in ("", "colour=red", "state=sent", "hello"):
        refused(422, service.api.post, "/queue/cancel", {"selector": bad})
    refused(404, service.api.post, "/queue/cancel", {"selector": "relay=none"})
    service.api.post("/relays/main/resume")
    service.wait_idle()
    balance(service.totals())
    assert len(sink.lines()) == 3


def test_one_recipient_can_be_cancelled_by_its_id(service, sink):
    service.add_relay("main", sink.port)
    service.api.post("/relays/main/pause")
    id = send(service, to=["b@example.com", "c@example.com"])
    assert service.api.post("/emails/%s/2/cancel" % id)["done"] == 1
    states = [r["state"] for r in service.api.get("/emails/" + id)["recipients"]]
    assert states == ["queued", "cancelled"]
    refused(404, service.api.post, "/emails/%s/9/cancel" % id)


def test_queue_pages_go_on_where_they_ended(service, sink):
    service.add_relay("main", sink.port)
    service.api.post("/relays/main/pause")
    for i in range(5):
        send(service, to="x%d@example.com" % i)
    seen, after = [], None
    while True:
        page = service.api.get("/queue/recipients", limit=2, after=after)
        seen += [r["address"] for r in page["data"]]
        if not page["has_more"]:
            break
        after = page["next"]
    assert sorted(seen) == ["x%d@example.com" % i for i in range(5)]


def test_doubt_waits_for_a_person_and_is_settled_by_one(service, place):
    sink = Sink(place, "--drop-after-accept", "100", name="forgetful")
    service.add_relay("main", sink.port)
    ids = [send(service, to="x%d@example.com" % i, stream="bulk") for i in range(3)]
    for id in ids:
        story = wait_state(service, id, "in_doubt")
        assert "In doubt" in story["recipients"][0]["words"]
    assert service.totals()["in_doubt"] == 3
    end = time.monotonic() + 10
    while not any("doubt" in p["what"] for p in service.api.get("/status")["problems"]):
        assert time.monotonic() < end
    assert len(service.api.get("/queue/recipients", state="in_doubt")["data"]) == 3
    assert service.api.post("/queue/resolve", {"id": ids[0] + "/1", "as": "sent"})["done"] == 1
    assert service.api.post("/queue/resolve", {"id": ids[1], "as": "unknown"})["done"] == 1
    refused(422, service.api.post, "/queue/resolve", {"id": ids[2], "as": "maybe"})
    refused(409, service.api.post, "/queue/resolve", {"id": ids[0], "as": "sent"})
    wait_state(service, ids[0], "sent")
    wait_state(service, ids[1], "unknown")
    balance(service.totals())


# ---- alarms and the audit


def test_an_alarms_command_gets_the_text_and_the_subject(service, place):
    out = os.path.join(place, "alarm.out")
    command = "cat > %s; echo \"$POSTHOUSE_ALARM\" >> %s" % (out, out)
    made = service.api.post("/alarms", {"kind": "command", "target": command})
    assert service.api.post("/alarms/test")["alarms"] == 1
    end = time.monotonic() + 10
    while not (os.path.exists(out) and "this is a test" in open(out).read()):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert "Nothing is wrong." in open(out).read()
    assert service.api.get("/alarms")["data"][0]["target"] == command
    service.api.delete("/alarms/%d" % made["id"])
    refused(404, service.api.delete, "/alarms/%d" % made["id"])
    refused(422, service.api.post, "/alarms", {"kind": "url", "target": "ftp://x"})
    refused(422, service.api.post, "/alarms", {"kind": "mail", "target": "nobody"})


def test_an_alarm_is_posted_to_a_url(service):
    got = queue.Queue()

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            got.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = "http://127.0.0.1:%d/alarm" % server.server_port
        service.api.post("/alarms", {"kind": "url", "target": url})
        assert service.api.post("/alarms/test")["alarms"] == 1
        alarm = got.get(timeout=10)
        assert "test" in alarm["text"] and alarm["subject"]
    finally:
        server.shutdown()
        server.server_close()


def test_an_alarm_goes_out_as_mail(service, sink):
    service.add_relay("main", sink.port)
    service.api.post("/alarms", {"kind": "mail", "target": "ops@example.com"})
    service.api.post("/alarms/test")
    sink.wait_count(1)
    assert sink.lines()[0][2] == "ops@example.com"
    assert b"this is a test" in sink.kept()[0]


def test_trouble_that_begins_and_ends_is_told(service, sink, place):
    out = os.path.join(place, "alarm.out")
    service.add_relay("main", sink.port)
    service.api.post("/alarms", {"kind": "command", "target": "cat >> " + out})
    time.sleep(11)
    service.api.post("/relays/main/pause", {"why": "maintenance"})
    end = time.monotonic() + 30
    while not (os.path.exists(out) and "maintenance" in open(out).read()):
        assert time.monotonic() < end
        time.sleep(0.1)
    service.api.post("/relays/main/resume")
    while "over: " not in open(out).read():
        assert time.monotonic() < end + 30
        time.sleep(0.1)


def test_every_change_is_in_the_audit(service, sink):
    service.add_relay("main", sink.port)
    service.api.post("/accounts", {"name": "shop"})
    rows = service.api.get("/audit")["data"]
    assert [(r["what"], r["target"]) for r in rows] == [("account.add", "shop"), ("relay.add", "main")]
    assert rows[0]["who"] == "control socket uid %d" % os.getuid()


def test_a_service_that_ends_answers_or_hangs_up(service, sink):
    service.add_relay("main", sink.port)
    send(service)
    service.stop()
    with pytest.raises(NoService):
        Api(service.api.path).get("/status")
