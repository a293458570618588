"""Mail comes in through the clients that people have: each in plain text from a trusted network, with
a login inside STARTTLS, and with a login inside TLS; and arrives as it was sent."""
import email
import email.policy
import os
import smtplib
import ssl
import subprocess

import pytest
from rig import Service, Sink, Smtp
from servers import Postfix, need, run

USER, SECRET = "app@in.example", "c0rrect-horse-battery"
WAYS = ["plain", "starttls", "tls"]
BODY = "First line.\n.\n..two dots\n" + "x" * 900 + "\nLast line: grüße 你好.\n"


@pytest.fixture
def house(place):
    sink = Sink(place, keep=True)
    with Service(place, smtps=True) as service:
        service.add_relay("main", sink.port)
        service.api.post("/credentials", {"user": USER, "secret": SECRET, "from": ["@in.example"]})
        service.sink, service.place = sink, place
        yield service
        service.stop()


def port_of(house, way):
    return house.smtps_port if way == "tls" else house.port


def letter(house, number="1"):
    path = os.path.join(house.place, "letter")
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write("From: Ann <ann@in.example>\nTo: Bob <bob@out.example>\nSubject: hello %s\n"
                "MIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n"
                "Content-Transfer-Encoding: 8bit\n\n%s" % (number, BODY))
    return path


def check_arrived(house, body=BODY, subject="hello 1", rcpt="bob@out.example"):
    house.sink.wait_count(1)
    [line] = house.sink.lines()
    assert (line[1], line[2]) == ("ann@in.example", rcpt)
    got = email.message_from_bytes(house.sink.kept()[0], policy=email.policy.default)
    assert got["Subject"] == subject
    assert got["Message-ID"] and got["Date"] and got["Received"]
    assert got.get_content().replace("\r\n", "\n").rstrip("\n") == body.rstrip("\n")


@pytest.mark.parametrize("way", WAYS)
def test_swaks(house, way):
    need("swaks")
    args = ["swaks", "--server", "127.0.0.1:%d" % port_of(house, way), "--from", "ann@in.example", "--to",
            "bob@out.example", "--data", "@" + letter(house)]
    if way != "plain":
        args += ["--tls" if way == "starttls" else "--tls-on-connect", "--auth", "LOGIN", "--auth-user", USER,
                 "--auth-password", SECRET]
    done = subprocess.run(args, capture_output=True, text=True, timeout=60)
    if "not available" in done.stdout + done.stderr or "requires Net::SSLeay" in done.stderr:
        pytest.skip("swaks lacks a module: " + done.stderr.strip()[-200:])
    assert done.returncode == 0, done.stdout + done.stderr
    check_arrived(house)


@pytest.mark.parametrize("way, method", [("plain", None)] + [
    (way, method) for way in WAYS[1:] for method in ("plain", "login", "scram-sha-256")])
def test_msmtp(house, way, method):
    need("msmtp")
    args = ["msmtp", "-C", "/dev/null", "--host=127.0.0.1", "--port=%d" % port_of(house, way),
            "--from=ann@in.example"]
    if way != "plain":
        args += ["--tls=on", "--tls-certcheck=off", "--tls-starttls=" + ("on" if way == "starttls" else "off"),
                 "--auth=" + method, "--user=" + USER, "--passwordeval=echo " + SECRET]
    with open(letter(house), "rb") as f:
        done = subprocess.run(args + ["bob@out.example"], stdin=f, capture_output=True, text=True, timeout=60)
    if "not support authentication" in done.stderr or "not available" in done.stderr:
        pytest.skip("this msmtp: " + done.stderr.strip())
    assert done.returncode == 0, done.stderr
    check_arrived(house)


@pytest.mark.parametrize("way", WAYS)
def test_curl(house, way):
    need("curl")
    scheme = "smtps" if way == "tls" else "smtp"
    args = ["curl", "-sS", "%s://127.0.0.1:%d/client.example" % (scheme, port_of(house, way)), "--mail-from",
            "ann@in.example", "--mail-rcpt", "bob@out.example", "--upload-file", letter(house), "--crlf"]
    if way != "plain":
        args += ["--insecure", "--ssl-reqd", "--user", "%s:%s" % (USER, SECRET)]
    run(*args)
    check_arrived(house)


@pytest.mark.parametrize("way", WAYS)
def test_nodemailer(house, way):
    need("node")
    if not os.path.isdir("/usr/share/nodejs/nodemailer"):
        pytest.skip("nodemailer is not installed")
    script = """
const transport = require('/usr/share/nodejs/nodemailer').createTransport({
  host: '127.0.0.1', port: %d, secure: %s, requireTLS: %s, tls: {rejectUnauthorized: false}, auth: %s});
transport.sendMail({from: 'Ann <ann@in.example>', to: 'bob@out.example', subject: 'hello 1',
  text: process.env.BODY}, (e, info) => { if (e) { console.error(e); process.exit(1); } console.log(info.response); });
""" % (port_of(house, way), "true" if way == "tls" else "false", "true" if way == "starttls" else "false",
       "undefined" if way == "plain" else "{user: '%s', pass: '%s'}" % (USER, SECRET))
    run("node", "-e", script, env=dict(os.environ, BODY=BODY))
    check_arrived(house)


@pytest.mark.parametrize("way", WAYS)
def test_python_smtplib(house, way):
    context = ssl._create_unverified_context()
    if way == "tls":
        client = smtplib.SMTP_SSL("127.0.0.1", house.smtps_port, context=context)
    else:
        client = smtplib.SMTP("127.0.0.1", house.port)
    with client:
        if way == "starttls":
            client.starttls(context=context)
        if way != "plain":
            client.login(USER, SECRET)
        with open(letter(house), "rb") as f:
            content = f.read().replace(b"\n", b"\r\n")
        client.sendmail("ann@in.example", ["bob@out.example"], content, mail_options=["BODY=8BITMIME"])
    check_arrived(house)


def test_python_smtplib_with_an_address_beyond_ascii(house):
    message = email.message.EmailMessage()
    message["From"], message["To"], message["Subject"] = "ann@in.example", "用户@out.example", "hello 1"
    message.set_content(BODY)
    with smtplib.SMTP("127.0.0.1", house.port) as client:
        client.send_message(message)
    check_arrived(house, rcpt="用户@out.example")


def test_a_wrong_secret_and_a_foreign_sender_are_refused(house):
    with smtplib.SMTP_SSL("127.0.0.1", house.smtps_port, context=ssl._create_unverified_context()) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login(USER, "wrong")
    with smtplib.SMTP_SSL("127.0.0.1", house.smtps_port, context=ssl._create_unverified_context()) as client:
        client.login(USER, SECRET)
        with pytest.raises(smtplib.SMTPSenderRefused) as no:
            client.sendmail("eve@elsewhere.example", ["bob@out.example"], "Subject: x\r\n\r\nx\r\n")
        assert b"elsewhere.example" in no.value.smtp_error or b"sender" in no.value.smtp_error.lower()


def test_smtp_source(house):
    need("smtp-source")
    run("smtp-source", "-c", "-s", "10", "-m", "500", "-l", "4000", "-r", "2", "-N", "-f", "ann@in.example", "-t",
        "bob@out.example", "127.0.0.1:%d" % house.port, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
    house.sink.wait_count(1000, 60)
    assert house.wait_idle(30)["sent"] == 1000


def test_postfix_as_a_client(house, place):
    """A Postfix that hands everything to Posthouse, with many messages at a time."""
    postfix = Postfix(place, relayhost="[127.0.0.1]:%d" % house.port)
    run("smtp-source", "-s", "5", "-m", "100", "-l", "3000", "-f", "ann@in.example", "-t", "bob@out.example",
        "127.0.0.1:%d" % postfix.smtp, env=dict(os.environ, PATH=os.environ["PATH"] + ":/usr/sbin"))
    house.sink.wait_count(100, 60)
    house.wait_idle(30)
    assert {line[2] for line in house.sink.lines()} == {"bob@out.example"}
    assert len(house.sink.lines()) == 100
    assert postfix.log_text().count("status=sent (250 2.0.0 Kept as ") == 100
    postfix.stop()


def test_a_client_that_knows_only_helo(house):
    client = Smtp(house.port)
    for line, code in (("HELO old.example", 250), ("MAIL FROM:<ann@in.example>", 250),
                       ("RCPT TO:<bob@out.example>", 250), ("DATA", 354)):
        client.command(line, code)
    client.write(b"Subject: hello 1\r\n\r\n" + b"old\r\n.\r\n")
    assert client.reply().startswith("250 ")
    client.quit()
    check_arrived(house, body="old\n")
