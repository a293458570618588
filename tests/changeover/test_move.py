"""Mail moves to another server under load: in steps, by evidence, with a person's word at any time, and
nobody notices."""
import time


def test_all_mail_moves_under_load_and_is_confirmed(house):
    house.relay()
    with house.load() as load:
        load.wait_more(50)
        r = house.start("--wait")
        assert r.returncode == 0, (r.stdout, r.stderr)
        load.wait_more(20)
        time.sleep(1)
    assert "confirmed" in r.stdout
    house.check_accounting()
    c = house.status()
    assert c["state"] == "confirmed" and c["share"] == 100 and not c["open"]
    assert c["counts"]["new"]["relay_faults"] == c["counts"]["old"]["relay_faults"] == 0
    assert [r["relay"] for r in house.api.get("/routes")["data"]] == ["new"]
    new = len(house.sinks[1].lines())
    house.api.post("/emails", {"from": "a@load.example", "to": "last@load.example", "subject": "x", "text": "x"})
    house.sinks[1].wait_count(new + 1)


def test_a_new_version_of_the_same_relay_takes_over_all_of_its_routes(house):
    house.api.post("/routes", {"relay": "old", "stream": "bulk"})
    with house.load() as load:
        load.wait_more(20)
        answer = house.api.patch("/relays/old", {"host": house.new.address, "port": house.new.port})
        assert answer["version"] == 2 and answer["hint"] == "posthouse changeover start --to old@2"
        r = house.start("--wait", to="old")
        assert r.returncode == 0, (r.stdout, r.stderr)
    assert len(house.status()["routes"]) == 2
    house.check_accounting()
    assert house.api.get("/relays/old")["current"] == 2


def test_a_person_may_hold_resume_revert_and_confirm(house):
    house.relay()
    with house.load(clients=1, pause=0.05) as load:
        load.wait_more(5)
        assert house.start().returncode == 0
        house.wait_state("canary")
        assert "is held" in house.run("changeover", "hold", "--why", "for a look").stdout
        c = house.status()
        assert c["state"] == "held" and c["held_from"] == "canary" and "for a look" in c["reason"]
        share = c["share"]
        load.wait_more(30)
        assert house.status()["share"] == share
        assert house.run("changeover", "resume").returncode == 0
        house.wait_state("canary", "full")
        assert house.run("changeover", "revert", "--why", "enough seen").returncode == 0
        c = house.wait_state("reverted")
        assert "enough seen" in " ".join(house.events())
        again = house.run("changeover", "revert")
        assert again.returncode == 1 and "reverted" in again.stderr
        assert house.start().returncode == 0
        house.wait_state("full")
        assert house.run("changeover", "confirm").returncode == 0
        house.wait_state("confirmed")
    house.check_accounting()
    actions = [row["what"] for row in house.api.get("/audit", limit=100)["data"]]
    for what in ("start", "hold", "resume", "revert", "confirm"):
        assert "changeover." + what in actions


def test_nothing_that_should_not_be_moved_is_moved(house):
    house.relay()
    for words, status, says in [
            (["--to", "old"], 4, "nothing would change"),
            (["--to", "old@7"], 4, "no version '7'"),
            (["--to", "nobody"], 5, "no relay"),
            (["--to", "new", "--route", "nowhere"], 5, "no route"),
            (["--to", "new", "--schedule", "slow"], 2, "--schedule slow"),
            (["--to", "new", "--emergency", "--warm-up"], 2, "exclude each other"),
            ([], 2, "--to")]:
        r = house.run("changeover", "start", "--yes", *words)
        assert r.returncode == status and says in r.stderr, (words, r)
    house.api.post("/routes", {"relay": "old", "stream": "bulk", "name": "bulk"})
    house.api.patch("/relays/new", {"note": "unused"})
    house.api.patch("/relays/old", {"host": house.new.address, "port": house.new.port})
    if house.api.get("/relays/old")["current"] == 1:
        r = house.run("changeover", "start", "--yes", "--to", "old@2", "--route", "bulk")
        assert r.returncode == 4 and "would move with it" in r.stderr, r
    assert house.start("--route", "default").returncode == 0
    r = house.start("--route", "default")
    assert r.returncode == 4 and "is moving that already" in r.stderr, r
    r = house.run("relay", "retire", "old")
    assert r.returncode == 4


def test_what_waits_moves_with_its_route(house):
    """The old server is dead, and what has piled up goes out through the new one."""
    house.relay()
    house.old.lead_to(None)
    with house.load(clients=4, pause=0) as load:
        load.wait_more(300)
    assert house.service.totals()["sent"] == 0
    began = time.monotonic()
    assert house.start("--emergency").returncode == 0
    house.wait_state("full")
    house.check_accounting(longest=60)
    assert time.monotonic() - began < 30
    assert house.run("changeover", "confirm", "--why", "seen in the inbox").returncode == 0
    assert house.wait_state("confirmed")["counts"]["new"]["sent"] >= 300


def test_plan_says_what_would_happen_and_changes_nothing(house):
    house.relay(**{"from": ["shop@load.example"]})
    with house.load() as load:
        load.wait_more(50)
    house.wait_all_settled()  # what is counted is what has come to its end
    before = house.api.get("/relays/new")
    plan = house.api.post("/changeovers/plan", {"to": "new"})
    assert plan["from"]["relay"] == "old" and plan["to"]["relay"] == "new" and plan["routes"] == ["default"]
    assert plan["schedule"]["steps"] and plan["volume"]["outcomes"] >= 50
    assert {"alarm", "probe"} <= {m["id"] for m in plan["missing"]}
    assert all(m["do"] for m in plan["missing"])
    text = house.run("changeover", "plan", "--to", "new")
    assert text.returncode == 0 and "posthouse alarm add" in text.stdout
    assert house.api.get("/relays/new") == before and house.api.get("/changeovers")["data"] == []
    assert house.run("changeover", "status").returncode == 5


def test_the_change_is_shown_everywhere(house):
    house.relay()
    with house.load(clients=1, pause=0.05) as load:
        load.wait_more(5)
        house.start("--note", "the old contract ends")
        house.wait_state("canary")
        [c] = house.api.get("/status")["changeovers"]
        assert c["state"] == "canary" and c["to"]["relay"] == "new"
        assert "old@1 → new@1" in house.run("status").stdout
        metrics = house.api.get("/metrics")
        assert 'posthouse_changeover_state{changeover="1",state="' in metrics
        assert 'posthouse_changeover_messages_total{changeover="1",side="new",result="sent"}' in metrics
        house.run("changeover", "confirm")
        house.run("changeover", "revert", "--at-once")
    past = house.api.get("/relays/new")["versions"][0]["changeovers"]
    assert past[0]["other"] == "old@1" and past[0]["note"] == "the old contract ends"
    assert "the old contract ends" in " ".join(house.run("relay", "show", "new").stdout.split())
    assert "old@1" in house.run("changeover", "history").stdout
