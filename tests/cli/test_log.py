"""`keyholm log`: what it prints of a trail, with and without a terminal, and how it ends."""

import hashlib
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.audit.trails import SELDOM, Hands, operation

from keyholm.core.audit.folder import segment_name
from keyholm.core.audit.pool import open_trail
from keyholm.core.audit.records import Destination, Management, Outcome, Session

KEYHOLM = (sys.executable, "-m", "keyholm.cli.main")
LAPTOP, WORK = "ab" * 32, "cd" * 32


@pytest.fixture
def trail(tmp_path: Path) -> Path:
    hands = Hands()
    folder = tmp_path / "trail"
    with open_trail(folder, "serve", settings=SELDOM, clock=hands.clock) as trail:
        ssh = trail.append(Session(1, "agent", "direct", 1000, 1000, 7, exe="/usr/bin/ssh"))
        evil = Session(2, "agent", "forwarded", 1000, 1000, 8, exe="/tmp/\x1b[31mred\a")
        other = trail.append(evil)
        detail = {"label": "laptop", "algorithm": "ed25519"}
        made = Management(ssh, "control", "generate", "disk/main", "intent", detail=detail)
        trail.append(Outcome(trail.append(made), key=LAPTOP))
        where = Destination("SHA256:host", "host.example")
        for _ in range(3):
            hands.turn(60)
            trail.append(operation(ssh, purpose="ssh-userauth", user="root", destination=where))
        trail.append(operation(other, purpose="sshsig", namespace="git"))
        trail.append(operation(other, result="refused", error="PolicyForbids", what="No."))
    return folder


def run(*words: object, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "KEYHOLM_HOME": "/nonexistent", "TZ": "UTC", **(env or {})}
    command = [*KEYHOLM, "log", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def damage(trail: Path) -> None:
    path = trail / "serve-0" / segment_name(0)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"user":"root"', b'"user":"rooz"', 1))


def test_the_table_says_who_did_what_with_which_key(trail: Path) -> None:
    done = run("--trail", trail)
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, "")
    assert lines[0].split() == ["RECORD", "TIME", "WHAT", "KEY", "BY", "RESULT", "ABOUT"]
    assert [line.split()[3] for line in lines[1:4]] == ["start", "generate", "sign"]
    assert lines[3].split(maxsplit=7) == [
        "serve-0/6", "2026-09-21", "14:14:20", "sign", "laptop", "/usr/bin/ssh", "ok",
        "log in as root, on host.example",
    ]  # fmt: skip
    assert "signature for git" in lines[6]
    assert "PolicyForbids: No." in lines[7]


def test_an_announced_act_is_shown_once_it_has_ended_and_else_as_it_is(trail: Path) -> None:
    assert run("--trail", trail).stdout.count("generate") == 1
    with open_trail(trail, "serve", settings=SELDOM) as again:
        again.append(Management(0, "control", "export", "disk/main/x", "intent"))
    assert "intent" in run("--trail", trail).stdout


def test_what_clients_call_themselves_cannot_steer_the_terminal(trail: Path) -> None:
    for words in ((), ("--graph",), ("--client", "red")):
        done = run("--trail", trail, *words)
        assert "\x1b" not in done.stdout
        assert "\a" not in done.stdout


def test_filters(trail: Path) -> None:
    def rows(*words: str) -> int:
        return max(0, len(run("--trail", trail, *words).stdout.splitlines()) - 1)

    assert rows("--key", "laptop") == 6
    assert rows("--client", "/usr/bin/ssh") == 4
    assert rows("--host", "host.example") == 3
    assert rows("--result", "refused") == 1
    assert rows("-n", "2") == 2
    assert rows("--since", "2026-09-21 14:15:00", "--until", "2026-09-21 14:16:00") == 1
    assert rows("--all") == 11
    assert rows("--key", "nothing") == 0


def test_json_is_one_object_a_line_with_the_caller(trail: Path) -> None:
    found = [json.loads(line) for line in run("--trail", trail, "--json").stdout.splitlines()]
    uses = [each for each in found if each["event"] == "operation"]
    assert [each["trail"] for each in uses] == ["serve-0"] * 5
    assert uses[0]["caller"]["exe"] == "/usr/bin/ssh"
    assert uses[0]["destination"]["host"] == "host.example"


def test_the_graph_has_a_line_a_key_and_one_for_refusals(trail: Path) -> None:
    lines = run("--trail", trail, "--graph", env={"PYTHONIOENCODING": "utf-8"}).stdout.splitlines()
    assert lines[0].split() == ["laptop", lines[0].split()[1], *lines[0].split()[2:]]
    assert lines[0].endswith("4")
    assert lines[1].startswith("refused")
    assert "a column is" in lines[2]
    assert any(block in lines[0] for block in "▁▂▃▄▅▆▇█")


def test_the_graph_is_plain_where_the_terminal_is(trail: Path) -> None:
    done = run("--trail", trail, "--graph", env={"PYTHONIOENCODING": "ascii"})
    assert done.stdout.isascii()
    assert "@" in done.stdout


def test_the_graph_as_json_counts_every_use(trail: Path) -> None:
    graph = json.loads(run("--trail", trail, "--graph", "--json").stdout)
    counts = {line["name"] or "refused": sum(line["counts"]) for line in graph["lines"]}
    assert counts == {"laptop": 4, "refused": 1}


def test_an_intact_trail_says_what_it_is_worth(trail: Path) -> None:
    done = run("verify", trail)
    assert done.returncode == 0
    assert "Intact: 12 records." in done.stdout
    assert "chained: finds accidents" in done.stdout


def test_a_damaged_trail_is_named_and_the_status_tells(trail: Path) -> None:
    damage(trail)
    done = run("verify", trail)
    assert done.returncode == 65
    assert f"serve-0/{segment_name(0)}, byte " in done.stdout
    assert ", record 6: this is no record" in done.stdout
    assert "DAMAGED: 1 place is not as written." in done.stdout
    shown = run("--trail", trail)
    assert "bytes that are no record" in shown.stderr
    assert "do: keyholm log verify" in shown.stderr


def test_verify_as_json(trail: Path) -> None:
    good = json.loads(run("verify", trail, "--json").stdout)
    assert good["intact"] is True
    assert good["trails"][0]["name"] == "serve-0"
    assert good["trails"][0]["signed"] == good["records"] == 12
    damage(trail)
    bad = json.loads(run("verify", trail, "--json").stdout)
    assert bad["intact"] is False
    assert bad["findings"][0]["record"] == 6


def test_a_witness_is_read_from_a_file_or_standard_input(trail: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.write_bytes(b"log line\n" + (trail / "serve-0" / "checkpoint").read_bytes())
    assert "witnessed" in run("verify", trail, "--witness", copy).stdout
    command = [*KEYHOLM, "log", "verify", str(trail), "--witness", "-"]
    done = subprocess.run(command, input=copy.read_bytes(), capture_output=True, timeout=60)
    assert b"witnessed" in done.stdout
    assert run("verify", trail, "--witness", tmp_path / "none").returncode == 64


def test_a_proof_is_printed_and_checked(trail: Path, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    proof.write_text(run("prove", "--trail", trail, "serve-0/6").stdout)
    checked = run("prove", "--trail", trail, "--check", proof)
    assert json.loads(checked.stdout)["seq"] == 6
    elsewhere = run(
        "prove", "--check", proof, "--vkey", (trail / "serve-0/vkey").read_text().strip()
    )
    assert elsewhere.stdout == checked.stdout
    proof.write_text(proof.read_text().replace("index 6", "index 7"))
    assert run("prove", "--trail", trail, "--check", proof).returncode == 65


def test_a_record_that_is_not_there_is_told(trail: Path) -> None:
    for record in ("600", "agent-0/6", "x"):
        done = run("prove", "--trail", trail, record)
        assert done.returncode == 64
        assert done.stderr.startswith("keyholm: ")
        assert done.stdout == ""


def test_an_export_verifies_with_nothing_but_a_loop(trail: Path) -> None:
    last = "0" * 64
    lines = run("export", trail, "--format", "jsonl").stdout.splitlines()
    assert len(lines) == 12
    for number, line in enumerate(lines):
        record = json.loads(line)
        assert (record["seq"], record["prev"]) == (number, last)
        last = hashlib.sha256(b"\0" + line.encode()).hexdigest()


@pytest.mark.parametrize("words", [("--since", "soon"), ("-n", "0"), ("--result", "maybe")])
def test_what_makes_no_sense_is_refused(trail: Path, words: tuple[str, str]) -> None:
    done = run("--trail", trail, *words)
    assert done.returncode == 64
    assert done.stderr.startswith("keyholm: ")


def test_a_home_without_a_trail_is_told(tmp_path: Path) -> None:
    home = {"KEYHOLM_HOME": str(tmp_path)}
    assert run(env=home).stdout == "Nothing was recorded.\n"
    assert run("verify", env=home).stdout == "There is no trail yet.\n"
    assert run("--trail", tmp_path / "none").returncode == 64


def test_following_prints_what_comes_until_it_is_interrupted(tmp_path: Path) -> None:
    with open_trail(tmp_path, "serve", settings=SELDOM) as trail:
        command = [*KEYHOLM, "log", "-f", "--json", "--trail", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as follower:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["event"] == "opened"
            trail.append(operation(latency=42))
            assert json.loads(follower.stdout.readline())["latency"] == 42
            follower.send_signal(signal.SIGINT)
            assert follower.wait(20) == 130


def test_a_reader_that_has_enough_is_no_error(trail: Path) -> None:
    line = f"{' '.join(KEYHOLM)} log export {trail} | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", line], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def on_a_terminal(columns: int, *words: object, env: dict[str, str] | None = None) -> str:
    """What is printed to a terminal of that width."""
    main, other = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), **(env or {})}
    environment.pop("NO_COLOR", None) if not env else None
    command = [*KEYHOLM, "log", *map(str, words)]
    with subprocess.Popen(command, stdout=other, stderr=other, env=environment) as process:
        os.close(other)
        printed = b""
        while True:
            try:
                part = os.read(main, 4096)
            except OSError:  # EIO: nobody holds the other end any more
                break
            if not part:
                break
            printed += part
        process.wait(60)
    os.close(main)
    return printed.decode()


def test_the_table_fits_the_terminal_and_has_colour_there(trail: Path) -> None:
    import re

    for columns in (60, 80, 120):
        printed = on_a_terminal(columns, "--trail", trail)
        plain = re.sub(r"\x1b\[[0-9;]*m", "", printed)
        assert max(map(len, plain.splitlines())) <= columns
        assert "\x1b[32mok" in printed
    assert "\x1b" not in on_a_terminal(80, "--trail", trail, env={"NO_COLOR": "1"})
