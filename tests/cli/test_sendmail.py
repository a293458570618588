"""The faces of sendmail and mailq, as old programs use them."""
import os
import pwd
import re
import shutil
import stat

import pytest
import rig
from faces import environment, run

EX_OK, EX_USAGE, EX_DATAERR, EX_TEMPFAIL = 0, 64, 65, 75


def sendmail(service, *args, stdin="", status=EX_OK, env=None):
    r = run(*args, data=service.data, stdin=stdin, face="sendmail",
            env=dict({"POSTHOUSE_SMTP": "127.0.0.1:%d" % service.port}, **(env or {})))
    assert r.status == status, r
    assert (r.err == "") == (status == EX_OK), r
    return r


def envelopes(sink, n):
    return {(line[1], line[2]) for line in sink.wait_count(n)}


@pytest.fixture
def relay(service, sink):
    service.add_relay("main", sink.port)
    return service


def test_recipients_come_from_the_header_and_bcc_goes(relay, sink):
    sendmail(relay, "-t", "-oi", "-f", "me@x.example", stdin=(
        "From: me@x.example\nTo: a@y.example,\n b@y.example\nCc: \"C, D\" <c@y.example>\nBcc: d@y.example\n"
        "Subject: report\n\n.\nbody\n"))
    assert envelopes(sink, 4) == {("me@x.example", "%s@y.example" % c) for c in "abcd"}
    text = sink.kept()[0]
    assert b"Bcc" not in text and b"\r\n\r\n.\r\nbody\r\n" in text


def test_recipients_come_from_the_arguments(relay, sink):
    sendmail(relay, "-f", "me@x.example", "a@y.example", "b@y.example,c@y.example", stdin="Subject: s\n\nhi\n")
    assert {e[1] for e in envelopes(sink, 3)} == {"a@y.example", "b@y.example", "c@y.example"}


def test_a_lone_dot_ends_the_message_without_i(relay, sink):
    sendmail(relay, "a@y.example", stdin="Subject: s\n\nseen\n.\nnot seen\n")
    sink.wait_count(1)
    assert b"seen\r\n" in sink.kept()[0] and b"not seen" not in sink.kept()[0]


def test_the_sender_is_the_user_of_this_machine_and_stands_in_from(relay, sink):
    user = pwd.getpwuid(os.getuid()).pw_name
    sendmail(relay, "-F", "Bob Öst", "a@y.example", stdin="no header at all\n")
    (sender, _), = envelopes(sink, 1)
    assert sender.startswith(user + "@")
    text = sink.kept()[0].decode()
    assert re.search(r"^From: .*<%s>\r$" % re.escape(sender), text, re.M)
    assert "\r\n\r\nno header at all\r\n" in text


def test_local_names_get_a_domain(relay, sink):
    sendmail(relay, "root", stdin="Subject: cron\n\nx\n")
    (_, rcpt), = envelopes(sink, 1)
    assert re.fullmatch(r"root@.+", rcpt)


def test_the_null_sender_is_possible(relay, sink):
    sendmail(relay, "-f", "<>", "a@y.example", stdin="Subject: s\n\nx\n")
    (sender, _), = envelopes(sink, 1)
    assert sender in ("", "<>")


def test_odd_line_ends_and_nuls_are_repaired(relay, sink):
    sendmail(relay, "-i", "a@y.example", stdin=b"Subject: s\n\n10%\r20%\rdone\r\nx\0y\n")
    sink.wait_count(1)
    assert sink.kept()[0].endswith(b"\r\n\r\n10%\r\n20%\r\ndone\r\nxy\r\n")


def test_delivery_status_options_travel_with_the_message(relay, sink):
    sendmail(relay, "-N", "success,failure", "-R", "hdrs", "-V", "order=1", "a@y.example", stdin="Subject: s\n\nx\n")
    sink.wait_count(1)


def test_old_options_are_taken_and_mean_nothing(relay, sink):
    sendmail(relay, "-oem", "-odb", "-B8BITMIME", "-v", "-G", "-bm", "-O", "Timeout=1", "-L", "tag", "--",
             "a@y.example", stdin="Subject: s\n\nx\n")
    sink.wait_count(1)


@pytest.mark.parametrize("args,stdin,status,says", [
    ([], "x\n", EX_USAGE, "no recipient"),
    (["-t"], "Subject: s\n\nx\n", EX_USAGE, "names no recipient"),
    (["-t"], "To: <<\n\nx\n", EX_DATAERR, "To field"),
    (["-Z", "a@y.example"], "x\n", EX_USAGE, "no option -Z"),
    (["-f"], "x\n", EX_USAGE, "-f wants a value"),
    (["-bd"], "", EX_USAGE, "posthouse serve"),
    (["-bv", "a@y.example"], "", EX_USAGE, "means nothing here"),
])
def test_wrong_usage_has_the_statuses_of_sysexits(service, args, stdin, status, says):
    assert says in sendmail(service, *args, stdin=stdin, status=status).err


def test_without_a_service_the_caller_is_told_to_try_later(directory):
    nowhere = directory + "/none"
    r = run("a@y.example", data=nowhere, face="sendmail", stdin="x\n")
    assert r.status == EX_TEMPFAIL
    assert r.err == ("sendmail: no service answers at %s/control.sock; start it with: posthouse serve --data %s\n"
                     % (nowhere, nowhere))
    assert run(data=nowhere, face="mailq").status == EX_TEMPFAIL
    r = run("-bs", data=nowhere, face="sendmail", env={"POSTHOUSE_SMTP": "127.0.0.1:1"})
    assert r.status == EX_TEMPFAIL and r.out.startswith("421 ")


def test_bs_speaks_smtp_for_a_script(relay, sink):
    r = sendmail(relay, "-bs", stdin="EHLO x\nMAIL FROM:<me@x.example>\nRCPT TO:<a@y.example>\nDATA\n"
                                     "Subject: s\n\nDATA\n..dot\n.\nQUIT\n")
    codes = re.findall(r"^(\d{3}) ", r.out, re.M)
    assert codes == ["220", "250", "250", "250", "354", "250", "221"], r.out
    sink.wait_count(1)
    assert sink.kept()[0].endswith(b"\r\n\r\nDATA\r\n.dot\r\n")


def test_the_settings_file_says_where_the_service_is(relay, sink, directory):
    conf = directory + "/posthouse.conf"
    with open(conf, "w") as f:
        f.write("# settings\ndata = %s\n" % relay.data)
    r = run("a@y.example", face="sendmail", stdin="Subject: s\n\nx\n", env={"POSTHOUSE_CONFIG": conf})
    assert r.status == EX_OK, r
    sink.wait_count(1)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_user_who_may_not_use_the_socket_is_served_by_smtp(relay, sink, directory):
    import subprocess
    assert stat.S_IMODE(os.stat(relay.data).st_mode) == 0o700
    program = shutil.copy(rig.program(), directory + "/posthouse")
    os.chmod(program, 0o755)
    nobody = pwd.getpwnam("nobody")
    env = environment(relay.data, POSTHOUSE_SMTP="127.0.0.1:%d" % relay.port)
    args = ["sendmail", "-t", "-f", "web@x.example"]
    done = subprocess.run(args, executable=program, user=nobody.pw_uid, group=nobody.pw_gid, env=env, cwd="/",
                          input=b"To: a@y.example\nSubject: s\n\n.\nh\xc3\xa9\n", capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (EX_OK, b"")
    assert envelopes(sink, 1) == {("web@x.example", "a@y.example")}


def test_mailq_prints_the_queue_as_scripts_expect_it(service):
    assert run(data=service.data, face="mailq").out == "Mail queue is empty\n"
    sendmail(service, "-f", "me@x.example", "a@y.example", "b@y.example", stdin="Subject: s\n\nx\n")
    sendmail(service, "-f", "<>", "c@y.example", stdin="Subject: s\n\nx\n")
    r = run(data=service.data, face="mailq")
    lines = r.out.splitlines()
    assert lines[0] == "-Queue ID-  --Size-- ----Arrival Time---- -Sender/Recipient-------"
    entries = [l for l in lines if re.match(r"[0-9a-f]{8}-", l)]
    assert [l.split()[-1] for l in entries] == ["me@x.example", "MAILER-DAEMON"]
    assert all(re.match(r"\S{36}! +\d+ \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d  \S+$", l) for l in entries), r.out
    assert " " * 41 + "b@y.example" in lines
    assert re.fullmatch(r"-- \d+ Kbytes in 2 Requests\.", lines[-1])
    assert sendmail(service, "-bp").out == r.out
