"""The new server goes wrong in the middle of a changeover, in every way we know. Each time: what is told
names the true cause, mail goes on through the old server within ten seconds, nothing is lost, nothing comes
twice but what was in doubt, and nothing bounces for the relay's fault."""
import time

import pytest
from house import Door
from servers import Authority

STEADY = dict(clients=3, pause=0.02)
LOGIN = dict(user="shop", secret="right")


def until_share(house, share=1):
    """The new server takes some of the mail."""
    end = time.monotonic() + 30
    while house.status()["counts"]["new"]["sent"] < 5 or house.status()["share"] < share:
        assert time.monotonic() < end, house.status()
        time.sleep(0.02)


def goes_wrong(house, behind, state="canary", ends=("reverted",), load=STEADY, patience=60):
    """Starts under load, lets `behind` stand behind the new door in the middle; the end of it all."""
    with house.load(**load) as clients:
        clients.wait_more(30)
        assert house.start(schedule=house.lasting if state == "canary" else "fast").returncode == 0
        house.wait_state(state)
        until_share(house)
        house.new.lead_to(behind() if callable(behind) else behind)
        c = house.wait_state(*ends, patience=patience)
        clients.wait_more(30)
    return c


@pytest.fixture(autouse=True)
def schedule(house):
    """A canary that lasts until something happens."""
    house.lasting = house.place + "/schedule"
    with open(house.lasting, "w") as f:
        f.write("50% 5\n50% 60000 10\nfull 10\n")


def why(house):
    return " ".join(house.events()) + " " + house.status()["reason"]


@pytest.mark.parametrize("state", ["canary", "full"])
def test_the_new_server_is_killed(house, state):
    house.relay()
    goes_wrong(house, None, state)
    house.check_accounting()
    assert "connect" in why(house)


def test_the_new_server_says_nothing_any_more(house):
    house.relay()
    with house.load(**STEADY) as load:
        load.wait_more(30)
        house.start(schedule=house.lasting)
        until_share(house)
        house.new.lead_to("silence")
        time.sleep(12)
    house.check_accounting()


def test_our_own_network_is_cut_and_nobody_is_blamed(house):
    house.relay()
    with house.load(**STEADY) as load:
        load.wait_more(30)
        house.start(schedule=house.lasting)
        until_share(house)
        house.new.lead_to(None)
        house.old.lead_to(None)
        cut = time.time()
        c = house.wait_state("held", patience=60)
        assert c["held_from"] in ("canary", "suspect")
        house.new.open_again(house.sinks[1].port)
        house.old.open_again(house.sinks[0].port)
        mended = time.time()
        house.wait_state("canary", patience=60, through=["held"])
    house.check_accounting(longest=mended - cut + 40)


@pytest.mark.parametrize("reply,says", [
    ("dot=550 5.7.60 SMTP; Client does not have permissions to send as this sender", "permissions to send as"),
    ("dot=554 5.7.1 Message rejected: Email address is not verified.", "not verified"),
    ("mail=553 Mail from must equal authorized user", "must equal authorized user"),
    ("rcpt=550 5.7.1 Relaying denied", "elaying denied"),
    ("mail=550 5.7.1 Account suspended", "suspended"),
])
def test_the_new_server_does_not_want_us(house, reply, says):
    house.relay()
    goes_wrong(house, lambda: house.sink("--reply", reply).port)
    house.check_accounting()
    assert says in why(house)


@pytest.mark.parametrize("reply", [
    "mail=550 5.4.5 Daily sending quota exceeded", "dot=554 MI:STC too many messages today",
    "mail=421 4.7.0 Try again later"])
def test_a_quota_moves_nothing_back_and_promotes_nothing(house, reply):
    house.relay()
    with house.load(**STEADY) as load:
        load.wait_more(30)
        house.start(schedule=house.lasting)
        until_share(house)
        house.new.lead_to(house.sink("--reply", reply).port)
        time.sleep(8)
        load.wait_more(20)
        c = house.status()
    assert c["state"] in ("canary", "held"), (c, house.events())
    # connections that the door cut
    assert c["counts"]["new"]["relay_faults"] <= 3 and c["counts"]["new"]["capacity"] > 0
    house.check_accounting()


def test_final_replies_are_lost(house):
    house.relay()
    goes_wrong(house, lambda: house.sink("--drop-after-accept", "100").port)
    doubts = house.status()["counts"]["new"]["in_doubt"]
    assert doubts >= 2 and "without an answer" in why(house)
    totals = house.wait_all_settled(patience=150)
    assert totals["bounced"] == totals["failed"] == 0
    house.check_accounting(doubled=doubts)


@pytest.fixture
def guarded(house):
    """A new server with TLS and a login."""
    house.authority = Authority(house.place)
    house.cert = house.authority.cert("smtp.new.example")
    house.tls = ["--cert", house.cert[0], "--key", house.cert[1], "--auth", "shop:right"]
    return house


def guarded_relay(house, tls):
    sink = house.sink("--tls", tls, *house.tls)
    house.new.lead_to(sink.port)
    house.relay(tls=tls, tls_name="smtp.new.example", ca_file=house.authority.ca, **LOGIN)


def test_mail_moves_to_a_server_with_tls_and_a_login(guarded):
    guarded_relay(guarded, "starttls")
    with guarded.load() as load:
        load.wait_more(30)
        r = guarded.start("--wait")
        assert r.returncode == 0, (r.stdout, r.stderr)
    guarded.check_accounting()


@pytest.mark.parametrize("what,says", [
    ("certificate", "ertificate"), ("password", "refuses our login"), ("auth gone", "AUTH"), ("starttls gone", "STARTTLS")])
def test_the_door_changes_in_the_middle(guarded, what, says):
    h = guarded
    tls = "starttls" if what == "starttls gone" else "implicit"
    guarded_relay(h, tls)

    def other():
        if what == "certificate":
            cert = h.authority.cert("smtp.other.example")
            return h.sink("--tls", tls, "--cert", cert[0], "--key", cert[1], "--auth", "shop:right").port
        if what == "password":
            return h.sink("--tls", tls, *h.tls[:4], "--auth", "shop:changed").port
        if what == "auth gone":
            return h.sink("--tls", tls, *h.tls[:4]).port
        return h.sink("--auth", "shop:right").port

    goes_wrong(h, other)
    h.check_accounting()
    assert says.lower() in why(h).lower()


def test_a_name_with_a_dead_ipv6_address_costs_nobody_time(house):
    """localhost is ::1 as well, where nobody listens."""
    house.relay(host="localhost", port=Door(house.sink().port).port)
    with house.load() as load:
        load.wait_more(30)
        r = house.start("--wait")
        assert r.returncode == 0, (r.stdout, r.stderr)
    house.check_accounting()


def test_a_server_that_rewrites_message_ids_is_not_called_proven(house):
    """Only a probe that comes home could tell."""
    house.new.lead_to(house.sink("--rewrite-message-id").port)
    house.relay()
    with house.load() as load:
        load.wait_more(30)
        r = house.start("--wait")
        assert r.returncode == 0, (r.stdout, r.stderr)
    assert house.status()["unproven"]
    house.check_accounting()
