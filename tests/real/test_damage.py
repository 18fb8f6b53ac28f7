"""Damage at random over all families: verify finds it and nothing else, a repair brings only it."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from tests.real.conftest import _OWN_TABLE, KEYS, Placed, placing
from tests.real.test_families import KEYS as MORE

ALL = tuple(dict.fromkeys((*KEYS, *MORE)))
KINDS = ("flipped", "cut", "emptied", "deleted", "swapped")
SHARE = 0.01
LEAST_OF_EACH = 2


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Placed]:
    """A project with a model of every family."""
    with placing(tmp_path_factory.mktemp("damage"), ALL, _OWN_TABLE) as found:
        yield found


@dataclass(frozen=True)
class Piece:
    """A file on the disk, and the file of the lock that brings it."""

    path: str
    artifact: str
    size: int
    list_of: str = ""

    @property
    def is_list(self) -> bool:
        return self.path == self.list_of


def pieces_of(house: Placed) -> list[Piece]:
    """Every verified file, from what the registry and the lock say."""
    lock = json.loads((house.folder / "models.lock.json").read_text())["models"]
    registry = json.loads((house.folder / "models/registry/registry.json").read_text())["models"]
    found: dict[str, Piece] = {}
    for key in lock:
        files = [(row["digest"], row["size"]) for row in lock[key]["files"]]
        sizes = dict(files)
        rows = registry[key]["files"]
        lists = [row["path"] for row in rows if row["path"].endswith((".record", "info/RECORD"))]
        for row in rows:
            if lists:  # an archive or a wheel comes whole
                ((digest, size),) = files
                piece = Piece(row["path"], digest, size, lists[0])
            else:
                digest = digest_in_lock(row, sizes)
                piece = Piece(row["path"], digest, sizes[digest])
            found.setdefault(os.path.realpath(row["path"]), piece)
    return [piece for path, piece in sorted(found.items()) if os.path.getsize(path) > 2]


def names_of(house: Placed) -> dict[str, set[str]]:
    """The last parts of the addresses of each digest of the lock."""
    lock = json.loads((house.folder / "models.lock.json").read_text())["models"]
    found: dict[str, set[str]] = {}
    for row in (row for entry in lock.values() for row in entry["files"]):
        found.setdefault(row["digest"], set()).add(last_part(row["url"]))
    return found


def asked_files(house: Placed) -> set[str]:
    """What was asked of the hub, without the addresses that it led on to."""
    paths = [seen.path for seen in house.hub.requests]
    return {last_part(path) for path in paths if not path.startswith(("/objects/", "/hf/api/"))}


def last_part(url: str) -> str:
    return unquote(urlsplit(url).path).rpartition("/")[2]


def digest_in_lock(row: dict[str, Any], sizes: dict[str, int]) -> str:
    data = Path(row["path"]).read_bytes()
    for kind, text in (
        ("sha256", hashlib.sha256(data)),
        ("git-sha1", hashlib.sha1(b"blob %d\0" % len(data) + data)),
        ("md5", hashlib.md5(data)),
        ("sha1", hashlib.sha1(data)),
    ):
        if f"{kind}:{text.hexdigest()}" in sizes:
            return f"{kind}:{text.hexdigest()}"
    raise AssertionError(row["path"])


def draw(pieces: list[Piece], dice: random.Random) -> list[tuple[str, Piece]]:
    """Which file is damaged how; a damaged list hides what else is wrong in its archive."""
    each = max(LEAST_OF_EACH, round(len(pieces) * SHARE / len(KINDS)))
    chosen: list[tuple[str, Piece]] = []
    for piece in dice.sample(pieces, len(pieces)):
        spoilt = {other.list_of for _, other in chosen if other.is_list}
        touched = {other.list_of for _, other in chosen if other.list_of}
        if piece.list_of in spoilt or (piece.is_list and piece.list_of in touched):
            continue
        count = len(chosen)
        if count == each * (len(KINDS) + 1):  # what is swapped comes in pairs
            break
        chosen.append((KINDS[min(count // each, len(KINDS) - 1)], piece))
    return chosen


def damage(chosen: list[tuple[str, Piece]], dice: random.Random) -> None:
    swapped = []
    for kind, piece in chosen:
        path = Path(os.path.realpath(piece.path))
        data = bytearray(path.read_bytes())
        path.chmod(0o644)
        if kind == "flipped":
            data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            path.write_bytes(data)
        elif kind == "cut":
            os.truncate(path, dice.randrange(1, len(data)))
        elif kind == "emptied":
            os.truncate(path, 0)
        elif kind == "deleted":
            path.unlink()
        else:
            swapped.append((path, data))
    for (path, _), (_, other) in zip(swapped, [*swapped[1:], swapped[0]], strict=True):
        assert path.read_bytes() != other
        path.write_bytes(other)


def verify(house: Placed, *more: str) -> Any:
    return house.modelset("verify", *ALL, *more, "--json", timeout_s=120)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_all_damage_is_found_and_nothing_else_and_only_that_is_fetched(
    house: Placed, seed: int
) -> None:
    sound = verify(house)
    assert (sound.code, sound.json["data"]["files"]) == (0, []), sound.stderr
    pieces = pieces_of(house)
    assert len(pieces) > 100
    dice = random.Random(seed)
    chosen = draw(pieces, dice)
    assert {kind for kind, _ in chosen} == set(KINDS)
    assert len(chosen) >= len(pieces) * SHARE
    damage(chosen, dice)

    house.hub.forget_requests()
    ran = verify(house)
    assert ran.code == 8 or ran.code == 4
    assert house.hub.requests == [], "offline"
    bad = {os.path.realpath(row["path"]) for row in ran.json["data"]["files"]}
    assert bad == {os.path.realpath(piece.path) for _, piece in chosen}
    for row in ran.json["data"]["files"]:
        assert row["expected"] != row["actual"]
        assert row["mend"] == f"modelset verify {row['key']} --repair"

    fast = verify(house, "--fast")
    assert {os.path.realpath(row["path"]) for row in fast.json["data"]["files"]} == bad
    assert fast.json["data"]["bytes_read"] < ran.json["data"]["bytes_read"]

    house.hub.forget_requests()
    mended = verify(house, "--repair")
    assert mended.code == 0, mended.stdout + mended.stderr
    moved = sum(row["bytes_moved"] for row in mended.json["data"]["outcomes"])
    # The same bytes may be broken in two models: then each brings them, or one for both.
    once = {piece.artifact: piece.size for _, piece in chosen}
    each = {(piece.list_of or piece.path): piece.size for _, piece in chosen}
    assert sum(once.values()) <= moved <= sum(each.values())
    assert len(each) > len(once) or moved == sum(each.values())
    asked, names = asked_files(house), names_of(house)
    broken = [names[piece.artifact] for _, piece in chosen]
    assert asked <= set().union(*broken), "nothing else is fetched"
    assert all(asked & one for one in broken)
    again = verify(house)
    assert (again.code, again.json["data"]["files"]) == (0, [])
    assert pieces_of(house) == pieces
