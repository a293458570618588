"""Mail goes out to a Postfix with TLS and logins checked by Dovecot: every way to log in, what is
wrong with a password or a certificate, refusals for now and for good, and the bounce that comes back."""
import email
import email.policy
import time

import pytest
from rig import Service, Smtp
from servers import Authority, Dovecot, Postfix, need

USER, SECRET = "house@peer.example", "s3cret-of-the-house"


@pytest.fixture
def world(place):
    need("openssl", "postfix", "dovecot")
    w = World(place)
    yield w
    w.service.stop()
    w.postfix.stop()
    w.dovecot.stop()


class World:
    def __init__(self, place):
        self.authority = Authority(place)
        self.dovecot = Dovecot(place, {USER: SECRET})
        self.postfix = Postfix(place, self.authority.cert("mx.example"), auth=self.dovecot.port)
        self.service = Service(place, "--retry-schedule", "1s").start()
        self.api = self.service.api

    def relay(self, tls="starttls", **more):
        port = self.postfix.smtps if tls == "implicit" else self.postfix.smtp
        options = dict(host="127.0.0.1", tls=tls, tls_name="mx.example", ca_file=self.authority.ca, user=USER,
                       secret=SECRET)
        options.update(more)
        self.service.add_relay("postfix", port, **options)

    def send(self, rcpt="joe@peer.example", subject="hello", sender="ann@peer.example", **more):
        client = Smtp(self.service.port)
        content = "From: %s\r\nTo: %s\r\nSubject: %s\r\n\r\nGood day.\r\n" % (sender, rcpt, subject)
        reply = client.send(sender, [rcpt], content.encode(), **more)
        client.quit()
        return reply.split("Kept as ")[1].split()[0]

    def story(self, message):
        return self.api.get("/emails/" + message)

    def wait_story(self, message, is_it, what, patience=30):
        """The recipient's story, as soon as `is_it` says so."""
        end = time.monotonic() + patience
        while True:
            [rcpt] = self.story(message)["recipients"]
            if is_it(rcpt):
                return rcpt
            assert time.monotonic() < end, "not %s: %s" % (what, rcpt)
            time.sleep(0.1)

    def wait_state(self, message, state):
        return self.wait_story(message, lambda r: r["state"] == state, state)

    def wait_attempt(self, message):
        rcpt = self.wait_story(message, lambda r: r["attempts"], "tried")
        return rcpt, rcpt["attempts"][-1]

    def wait_mails(self, n=1, patience=20):
        end = time.monotonic() + patience
        while len(self.postfix.mails()) < n:
            assert time.monotonic() < end, "%d of %d mails" % (len(self.postfix.mails()), n)
            time.sleep(0.1)
        return [email.message_from_bytes(m, policy=email.policy.default) for m in self.postfix.mails()]

    def wait_relay_stopped(self, *words, patience=30):
        """The status says that the relay is stopped, why, and what to do."""
        end = time.monotonic() + patience
        while True:
            status = self.api.get("/status")
            [relay] = status["relays"]
            if relay["why"]:
                break
            assert time.monotonic() < end, relay
            time.sleep(0.1)
        assert any(w in relay["why"].lower() for w in words), relay
        assert relay["remedy"], relay
        assert status["problems"], status
        return relay


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("auth", [None, "plain", "login", "cram-md5", "scram-sha-256"])
def test_mail_goes_out_with_tls_and_a_login(world, tls, auth):
    world.relay(tls, **({"auth": auth} if auth else {}))
    message = world.send()
    rcpt = world.wait_state(message, "sent")
    [mail] = world.wait_mails()
    assert mail["Subject"] == "hello"
    assert "TLS" in rcpt["attempts"][0]["tls"], rcpt
    if auth:
        assert "sasl_method=" + auth.upper() in world.postfix.log_text()
    assert "sasl_username=" + USER in world.postfix.log_text()


def test_many_mails_go_out_over_few_connections(world):
    world.relay(max_connections=5)
    client = Smtp(world.service.port)
    for i in range(200):
        client.send("ann@peer.example", ["r%d@peer.example" % i, "s%d@peer.example" % i],
                    b"Subject: %d\r\n\r\nx\r\n" % i)
    client.quit()
    assert world.service.wait_idle(60)["sent"] == 400
    log = world.postfix.log_text()
    connections = log.count(": connect from")
    print("400 recipients over %d connections" % connections)
    assert connections < 40


def test_a_wrong_password_stops_the_relay_and_keeps_the_mail(world):
    world.relay(secret="wrong")
    message = world.send()
    world.wait_relay_stopped("login", "password", "secret", "authorization")
    time.sleep(2)
    [rcpt] = world.story(message)["recipients"]
    assert rcpt["state"] == "queued", rcpt
    tries = world.postfix.log_text().count("authentication failed")
    assert 1 <= tries <= 2, "%d tries with a wrong password get a login locked" % tries
    world.api.post("/relays/postfix/secret", {"secret": SECRET})
    world.wait_state(message, "sent")
    world.wait_mails()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_a_certificate_for_another_name_is_refused(world, tls):
    world.relay(tls, tls_name="other.example")
    message = world.send()
    world.wait_relay_stopped("certificate")
    time.sleep(1)
    [rcpt] = world.story(message)["recipients"]
    assert rcpt["state"] == "queued" and not world.postfix.mails(), rcpt
    assert "sasl_username" not in world.postfix.log_text()


def test_a_certificate_of_an_unknown_authority_is_refused(world):
    world.relay(ca_file=None)
    message = world.send()
    world.wait_relay_stopped("certificate")
    [rcpt] = world.story(message)["recipients"]
    assert rcpt["state"] == "queued" and not world.postfix.mails(), rcpt
    assert "sasl_username" not in world.postfix.log_text()


def test_a_relay_without_starttls_gets_no_mail(world, place):
    bare = Postfix(place, name="bare")
    world.service.add_relay("bare", bare.smtp, host="127.0.0.1", tls="starttls", tls_name="mx.example",
                            ca_file=world.authority.ca)
    message = world.send()
    world.wait_relay_stopped("starttls")
    [rcpt] = world.story(message)["recipients"]
    assert rcpt["state"] == "queued" and not bare.mails(), rcpt
    bare.stop()


def test_a_refusal_for_now_waits_and_a_later_try_is_taken(world):
    world.postfix.access["later@peer.example"] = "450 4.2.0 Mailbox is being moved just now"
    world.relay()
    message = world.send("later@peer.example")
    rcpt, attempt = world.wait_attempt(message)
    assert (attempt["code"], attempt["enhanced"], attempt["stage"]) == (450, "4.2.0", "rcpt"), attempt
    assert "being moved" in attempt["text"]
    assert rcpt["state"] == "queued" and rcpt["due_at"] and rcpt["words"], rcpt
    world.postfix.access.clear()
    world.wait_state(message, "sent")
    world.wait_mails()


def test_a_refusal_for_good_bounces_and_the_bounce_can_be_read(world):
    world.postfix.access["nobody@peer.example"] = "550 5.1.1 No mailbox of that name"
    world.relay()
    message = world.send("nobody@peer.example", subject="to nobody")
    rcpt = world.wait_state(message, "bounced")
    assert rcpt["attempts"][-1]["attribution"] == "recipient", rcpt
    [bounce] = world.wait_mails()
    check_bounce(bounce, "nobody@peer.example", "5.1.1", "No mailbox of that name")
    assert bounce["To"] and "ann@peer.example" in str(bounce["To"])
    assert bounce["Return-Path"] == "<>"


def check_bounce(bounce, rcpt, status, reason):
    """RFC 3464, and words that a person understands."""
    assert bounce.get_content_type() == "multipart/report"
    assert bounce.get_param("report-type") == "delivery-status"
    text, report, original = bounce.iter_parts()
    assert rcpt in text.get_content() and reason in text.get_content(), text.get_content()
    assert report.get_content_type() == "message/delivery-status"
    fields = [dict(part.items()) for part in report.get_payload()]
    assert "Reporting-MTA" in fields[0]
    assert fields[1]["Final-Recipient"].endswith(rcpt)
    assert fields[1]["Action"].lower() == "failed"
    assert fields[1]["Status"].startswith(status)
    assert reason in fields[1]["Diagnostic-Code"]
    assert original.get_content_type() in ("message/rfc822", "text/rfc822-headers")
    assert "to nobody" in original.as_string()


def test_one_bad_recipient_does_not_harm_the_others(world):
    world.postfix.access["nobody@peer.example"] = "550 5.1.1 No mailbox of that name"
    world.relay()
    client = Smtp(world.service.port)
    reply = client.send("ann@peer.example", ["a@peer.example", "nobody@peer.example", "b@peer.example"],
                        b"Subject: three\r\n\r\nx\r\n")
    client.quit()
    world.service.wait_idle(30)
    story = world.story(reply.split("Kept as ")[1].split()[0])
    assert [r["state"] for r in story["recipients"]] == ["sent", "bounced", "sent"], story


def test_mail_that_the_relay_will_not_relay_waits_and_names_the_relay(world):
    """"Relay access denied" is the relay's fault or ours, never the recipient's."""
    world.relay(user=None, secret=None)
    message = world.send("joe@elsewhere.example")
    _, attempt = world.wait_attempt(message)
    assert attempt["attribution"] == "relay" and attempt["code"] == 554, attempt
    time.sleep(1)
    [rcpt] = world.story(message)["recipients"]
    assert rcpt["state"] == "queued", rcpt
    world.wait_relay_stopped("relay", "for us", "log in", "login")
    assert not world.postfix.mails(), "a bounce went out for the relay's fault"


def test_a_postfix_that_goes_away_in_the_middle_loses_nothing(world):
    world.relay(max_connections=4)
    client = Smtp(world.service.port)
    for i in range(100):
        client.send("ann@peer.example", ["r%d@peer.example" % i], b"Subject: %d\r\n\r\nx\r\n" % i)
        if i == 30:
            world.postfix.stop()
    client.quit()
    world.postfix.again()
    end = time.monotonic() + 120
    while True:
        t = world.service.totals()
        if t["queued"] == 0 and t["in_doubt"] == 0:
            break
        assert time.monotonic() < end, t
        time.sleep(0.5)
    subjects = [m["Subject"] for m in world.wait_mails(100)]
    assert {str(i) for i in range(100)} <= set(subjects)
    assert t["sent"] + t["unknown"] == 100, t
