"""People's own tools on our bytes: QR pictures read by zxing-cpp, cards and proofs verified by cbor2 and cwt, from
docs/formats.md alone; and another program's QUIC client at our door. Runs the release programs in a temporary folder, with a synthetic member on loopback.

Usage: check.py [--programs FOLDER]     (default: target/release)
"""

import argparse
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import zlib

import PIL.Image
import token_status_list
import zxingcpp

import bhyt_formats as formats
import strangers

MEMBER = "9900000017"
NUMBER = "DN4999900000017"
NAME = "Nguyễn Thị Thử"
LISTED = {"DN4999900000025": ("withdraw", 1), "HT2999900000025": ("hold", 2)}  # card: what becomes of it, status
PHONES = {"phone": "ed25519", "phone-p256": "p256"}  # data folder, kind of presentation key


class World:
    """A server, a phone and a terminal in one folder."""

    def __init__(self, programs: pathlib.Path, folder: pathlib.Path):
        self.programs, self.folder = programs, folder
        self.init = self.json("bhyt-server", "init", "--data", "data", "--root-keys", "roots", "--json")
        ready = folder / "ready"
        self.server = subprocess.Popen(
            [self.program("bhyt-server"), "serve", "--data", "data", "--listen", "127.0.0.1:0", "--ready-file", "ready"],
            cwd=folder,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(200):
            if ready.exists() and ready.read_text().strip():
                break
            assert self.server.poll() is None, "the server has stopped"
            time.sleep(0.05)
        self.address = ready.read_text().strip()

    def program(self, name: str) -> str:
        return str(self.programs / name)

    def run(self, name: str, *arguments: str, stdin: str | None = None, ok=(0,)) -> str:
        done = subprocess.run(
            [self.program(name), *arguments], cwd=self.folder, input=stdin, capture_output=True, text=True, timeout=60
        )
        assert done.returncode in ok, f"{name} {' '.join(arguments)}: exit {done.returncode}\n{done.stderr}"
        return done.stdout

    def json(self, name: str, *arguments: str, **more):
        return json.loads(self.run(name, *arguments, **more))

    def admin(self, *arguments: str):
        trust, key = self.init["trust"], self.init["operator_key"]
        connection = ("--server", self.address, "--trust", trust, "--key", key, "--json")
        return self.json("bhyt-server", "admin", *connection, *arguments)

    def stop_server(self) -> None:
        self.server.send_signal(signal.SIGTERM)
        assert self.server.wait(timeout=20) == 0, "the server shuts down cleanly"


def issue_and_activate(world: World) -> None:
    rows = "member_id,full_name,birth_date,sex,personal_id,phone,address\n"
    (world.folder / "members.csv").write_text(f"{rows}{MEMBER},{NAME},05/03/1994,F,,,\n")
    assert world.admin("member", "import", "members.csv")["ok"] == 1
    issue = ["card", "issue", "--member", MEMBER, "--number", NUMBER, "--level", "4", "--facility", "99024"]
    world.admin(*issue, "--from", "2026-01-01", "--five-years", "2025-06-01", "--area", "K1")
    world.indexes = list_two_cards(world)
    trust = world.init["trust"]
    connection = ("--server", world.address, "--trust", trust)
    for phone, kind in PHONES.items():
        code = world.admin("device", "code", "--member", MEMBER)["code"]
        activate = ("activate", *connection, "--member", MEMBER, "--code", code, "--presentation-key", kind)
        world.run("bhyt-wallet", "--data", phone, *activate)
        assert world.json("bhyt-wallet", "--data", phone, "status", "--json")["presentation_key"] == kind
    token = world.admin("terminal", "enrol", "--facility", "99024")["token"]
    world.run("bhyt-terminal", "--data", "desk", "enrol", *connection, "--token", token)
    world.run("bhyt-terminal", "--data", "desk", "sync")


def list_two_cards(world: World) -> dict:
    """Another member, whose cards do not stand any more; the status index of each."""
    rows = "member_id,full_name,birth_date,sex,personal_id,phone,address\n9900000025,Trần Văn Mẫu,1980,M,,,\n"
    (world.folder / "others.csv").write_text(rows)
    assert world.admin("member", "import", "others.csv")["ok"] == 1
    indexes = {}
    for number, (change, _) in LISTED.items():
        issue = ["card", "issue", "--member", "9900000025", "--number", number, "--level", "4", "--facility", "99024"]
        world.admin(*issue, "--from", "2026-01-01")
        world.admin("card", change, "--number", number)
        indexes[number] = world.admin("card", "show", number)["status_index"]
    return indexes


def check_claims(claims: dict) -> None:
    card = claims[formats.CARD_MAP]
    assert claims[1] == "BHXH" and claims[2] == NUMBER and 4 not in claims
    assert formats.day_of(claims[5]) == "2026-01-01 00:00:00"
    assert card[2] == NAME and formats.day(card[3]) == "1994-03-05" and card[4] == 2
    assert card[5] == "99024" and formats.day(card[6]) == "2025-06-01" and card[7] == "K1" and card[8] == 4
    assert 1 not in card, "the insurance number is the end of the card number"


def check_pictures(world: World, phone: str, issuer_key: bytes) -> None:
    for name, live in (("live.png", True), ("paper.png", False)):
        printed = () if live else ("--print",)
        world.run("bhyt-wallet", "--data", phone, "qr", *printed, "--out", name)
        [code] = zxingcpp.read_barcodes(PIL.Image.open(world.folder / name))
        assert code.format == zxingcpp.BarcodeFormat.QRCode, code.format
        card, proof = formats.read_presentation(code.text)
        claims = formats.read_card(card, issuer_key)
        check_claims(claims)
        assert (proof is not None) == live
        if live:
            formats.check_proof(card, claims, proof)
        level = code.ec_level if hasattr(code, "ec_level") else "?"
        print(f"{phone}, {name}: zxing-cpp reads {len(code.text)} characters, error correction {level}; card {len(card)} bytes")


def check_forgery_is_noticed(world: World, phone: str, issuer_key: bytes) -> None:
    text = world.run("bhyt-wallet", "--data", phone, "qr", "--out", "-").strip()
    card, proof = formats.read_presentation(text)
    claims = formats.read_card(card, issuer_key)
    for attempt in (
        lambda: formats.read_card(card[:-1] + bytes([card[-1] ^ 1]), issuer_key),
        lambda: formats.check_proof(card, claims, [proof[0] + 1, *proof[1:]]),
        lambda: formats.check_proof(card + b"x", claims, proof),
    ):
        try:
            attempt()
        except Exception:
            continue
        raise AssertionError("a forgery passed the stock libraries")
    print(f"{phone}: forged card, shifted proof and moved proof are refused by cwt")


def check_verdict(world: World, phone: str) -> None:
    text = world.run("bhyt-wallet", "--data", phone, "qr", "--out", "-")
    verdict = json.loads(world.run("bhyt-terminal", "--data", "desk", "verify", "-", "--json", stdin=text))
    assert (verdict["outcome"], verdict["portal_code"], verdict["holder"]) == ("accept", "000", "proven"), verdict
    again = json.loads(world.run("bhyt-terminal", "--data", "desk", "verify", "-", "--json", stdin=text))
    assert again["holder_reason"] == "proof_seen_before", again
    world.run("bhyt-wallet", "--data", phone, "qr", "--out", "desk.png")
    picture = world.run("bhyt-terminal", "--data", "desk", "verify", "--image", "desk.png", "--json")
    assert json.loads(picture)["holder"] == "proven", picture
    print(f"{phone}: the terminal agrees: accept 000, proven; again: seen before; from the picture: proven")


def check_token_status_list(world: World) -> None:
    """The list as others read it: cwt checks the signature, token-status-list the statuses of every index."""
    renew = ("--root-key", *world.init["root_keys"][:2], "--add-key", "token-status")
    renewed = world.json("bhyt-server", "trust", "renew", "--data", "data", *renew, "--json")
    export = ("--status", "desk/status/status", "--uri", "https://bhyt.example/status", "--out", "www")
    report = world.json("bhyt-server", "status", "export", "--data", "data", *export, "--json")
    assert [key["key_id"] for key in renewed["added"]] == [report["key_id"]]
    [token] = report["tokens"]
    data = (world.folder / token["file"]).read_bytes()
    claims = formats.read_token(data, bytes.fromhex(report["public_key"]))
    assert claims[2] == token["uri"] and claims[6] == report["time"] and claims[4] == report["expires"]
    statuses = token_status_list.BitArray(claims[65533]["bits"], zlib.decompress(claims[65533]["lst"]))
    assert len(statuses) == token["indexes"] == 65536
    listed = {index: statuses[index] for index in range(len(statuses)) if statuses[index]}
    assert listed == {world.indexes[number]: status for number, (_, status) in LISTED.items()}, listed
    try:
        formats.read_token(data[:-1] + bytes([data[-1] ^ 1]), bytes.fromhex(report["public_key"]))
    except Exception:
        pass
    else:
        raise AssertionError("a forged token passed cwt")
    print(f"token status list: {token['bytes']} bytes; cwt takes the signature, token-status-list finds {listed}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, default=pathlib.Path("target/release"))
    programs = parser.parse_args().programs.resolve()
    with tempfile.TemporaryDirectory() as folder:
        world = World(programs, pathlib.Path(folder))
        try:
            issue_and_activate(world)
            issuer_key = bytes.fromhex(world.init["issuer_key"])
            strangers.check(world.address)
            assert world.admin("status")["cards"] > 0, "the server goes on serving"
            world.stop_server()
            for phone in PHONES:
                check_pictures(world, phone, issuer_key)
                check_forgery_is_noticed(world, phone, issuer_key)
                check_verdict(world, phone)
            check_token_status_list(world)
        finally:
            world.server.kill()
    return 0


if __name__ == "__main__":
    sys.exit(main())
