"""What the command line says by itself: help, slips, exit statuses without a service."""
import os
import re

import pytest
from faces import on_terminal, run

COMMANDS = {
    "serve": [], "sink": [], "status": [], "send": [], "stats": [], "config": [], "version": [], "help": [],
    "check": [], "explain": [], "mailbox": ["list", "add", "edit", "check", "remove"],
    "message": ["list", "show", "cancel", "retry", "release"],
    "queue": ["show", "list", "hold", "release", "retry", "cancel", "resolve"],
    "relay": ["list", "show", "add", "edit", "secret", "check", "probe", "pause", "resume", "retire",
              "remove"],
    "route": ["list", "add", "edit", "remove", "test"],
    "changeover": ["plan", "start", "status", "watch", "hold", "resume", "confirm", "revert", "history"],
    "credential": ["list", "show", "add", "edit", "pause", "resume", "remove"],
    "account": ["list", "add", "edit", "remove"],
    "alarm": ["list", "add", "test", "remove"],
}


def test_help_names_every_command():
    r = run("help")
    assert r.status == 0, r
    for noun, verbs in COMMANDS.items():
        assert re.search(r"^  %s " % noun, r.out, re.M), noun
        if verbs:
            assert " | ".join(verbs) in " ".join(r.out.split())
    assert all(len(line) <= 80 for line in r.out.splitlines())


@pytest.mark.parametrize("noun,verb", [(n, v) for n, vs in COMMANDS.items() for v in (vs or [None])])
def test_every_command_explains_itself_with_an_example(noun, verb):
    words = [noun] + ([verb] if verb else [])
    by_help = run("help", *words)
    assert by_help.status == 0, by_help
    assert "Example:\n  posthouse %s" % " ".join(words) in by_help.out
    if noun != "sink":
        by_option = run(*words, "--help")
        assert (by_option.status, by_option.out) == (0, by_help.out)


@pytest.mark.parametrize("words,says", [
    ([], "a command is missing"),
    (["relya", "list"], "did you mean posthouse relay?"),
    (["frobnicate"], "posthouse help lists all"),
    (["relay"], "wants one of: list, show, add"),
    (["relay", "lsit"], "did you mean posthouse relay list?"),
    (["relay", "show"], "write: posthouse relay show NAME"),
    (["relay", "show", "a", "b"], '"b" is one word too many'),
    (["status", "--watsh"], "did you mean --watch?"),
    (["status", "--wait-idle"], "--wait-idle wants a value"),
    (["status", "--wait-idle", "soon"], "a number of seconds"),
    (["message", "list", "--limit", "0"], "--limit 0: a whole number from 1 to 500"),
    (["queue", "list", "--held", "--captured"], "give one of"),
    (["relay", "add", "a"], "--host is missing"),
    (["relay", "add", "a", "--host", "smtps://h.example:465"], "--host h.example --port 465 --tls implicit"),
    (["relay", "add", "a", "--host", "h.example:587"], "--host h.example --port 587 --tls starttls"),
    (["relay", "add", "a", "--host", "h.example", "--tls", "tls"], "can mean two things"),
    (["relay", "add", "a", "--host", "h.example", "--rewrite-from", "x"], "OLD=NEW is wanted"),
    (["relay", "add", "a", "--host", "h.example", "--secret-file", "-"], "add --user"),
    (["relay", "edit", "a"], "say what to change"),
    (["route", "add"], "--relay NAME is missing"),
    (["route", "add", "--relay", "a"], "which mail goes there"),
    (["route", "test"], "give --from"),
    (["send", "--from", "a@b"], "give --from ADDRESS and --to ADDRESS"),
    (["send", "--from", "a@b", "--to", "c@d"], "give the content"),
    (["send", "--file", "/nonexistent"], "/nonexistent cannot be read"),
    (["send", "--file", "x", "--subject", "s"], "leave out --subject"),
    (["alarm", "add"], "give one of --mail"),
    (["alarm", "add", "--mail", "a@b", "--command", "c"], "give one of --mail"),
    (["stats", "--by", "week"], "write hour or day"),
    (["stats", "--since", "yesterday"], "write a span such as 2h"),
    (["account", "edit", "a"], "say what to change"),
    (["credential", "edit", "a"], "say what to change"),
])
def test_wrong_usage_is_explained_in_one_sentence_with_status_2(words, says):
    r = run(*words)
    assert (r.status, r.out) == (2, ""), r
    assert says in r.err
    assert r.err.startswith("posthouse: ") and r.err.count("\n") == 1


def test_without_a_service_the_status_is_3_and_says_how_to_start_it(directory):
    r = run("status", "--data", directory)
    assert (r.status, r.out) == (3, "")
    assert "posthouse serve --data %s" % directory in r.err
    r = run("status", "--url", "http://127.0.0.1:1")
    assert r.status == 3
    assert "check --url" in r.err


def test_config_prints_every_setting_as_a_comment():
    r = run("config")
    assert r.status == 0
    assert re.search(r"^#smtp = 127\.0\.0\.1:2525$", r.out, re.M)


def test_version_is_the_same_by_word_and_by_option():
    r = run("version")
    assert re.fullmatch(r"posthouse \d+\.\d+\.\d+\n", r.out)
    assert run("--version").out == r.out
    assert run("version", "--json").out.startswith('{"version":')


def test_a_secret_cannot_be_given_on_the_command_line(directory):
    r = run("relay", "add", "a", "--host", "h.example", "--user", "u", "--secret", "s")
    assert r.status == 2 and "did you mean --secret-file?" in r.err
    if os.path.exists("/dev/tty"):
        r = run("relay", "add", "a", "--host", "h.example", "--user", "u", "--secret-file", "/nonexistent")
        assert r.status == 2 and "--secret-file: /nonexistent cannot be read" in r.err


def test_colour_is_for_terminals_only(directory):
    assert "\033[" in on_terminal("help").out
    assert "\033[" not in on_terminal("help", env={"NO_COLOR": "1"}).out
    assert "\033[" not in run("help").out
