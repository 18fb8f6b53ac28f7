"""Partial files: one owner at a time, resumed after any end, never more than a journal vouches."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact
from modelset.store.claim import claim, sweep
from modelset.store.journal import bytes_here
from modelset.store.partial import FLUSH_BYTES, Partial, aside, tidy

BODY = b"0123456789" * 100
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()
ARTIFACT = Artifact("model.bin", "https://example.org/model.bin", len(BODY), DIGEST)
STEM = DIGEST.replace(":", "-")

# Claims the artifact, writes, says so, and waits to be killed.
OWNER = """
import sys
from dataclasses import replace
from pathlib import Path
from modelset.core.types import Artifact
from modelset.store.claim import claim
folder, digest, size, kept, more = sys.argv[1:]
artifact = Artifact("model.bin", "https://example.org/model.bin", int(size), digest)
partial = claim(Path(folder), artifact)
print("claimed" if partial else "refused", flush=True)
if partial:
    partial.came_from("https://example.org", '"tag"')
    part = partial.parts.take(artifact.size)
    partial.write(part, [b"0123456789" * (int(kept) // 10)])
    if int(kept): partial.note()
    partial.write(part, [b"?" * int(more)])
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "downloads"


class Owner:
    """Another process that holds the claim."""

    def __init__(self, folder: Path, *, kept: int = 0, more: int = 0) -> None:
        command = [sys.executable, "-c", OWNER, str(folder), DIGEST, str(len(BODY)), str(kept)]
        self.process = subprocess.Popen(
            [*command, str(more)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().strip()
        if self.said == "claimed":
            assert self.process.stdout.readline() == "written\n"

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.end()

    def end(self) -> None:
        self.process.communicate(timeout=10)


@pytest.fixture
def owner(folder: Path) -> Iterator[type[Owner]]:
    made: list[Owner] = []

    class Started(Owner):
        def __init__(self, *, kept: int = 0, more: int = 0) -> None:
            super().__init__(folder, kept=kept, more=more)
            made.append(self)

    yield Started
    for one in made:
        if one.process.poll() is None:
            one.kill()


def add(partial: Partial, data: bytes) -> None:
    """Write the next bytes that are lacking."""
    part = partial.parts.take(len(data))
    assert part is not None
    partial.write(part, [data])
    partial.parts.drop(part)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_claim_is_empty_and_names_its_owner(folder: Path) -> None:
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert (partial.kept, partial.validator, partial.origin) == (0, "", "")
    journal, part = names(folder)
    assert part == f"{STEM}.part"
    assert f"-{os.getpid()}-" in journal
    partial.forget()
    assert names(folder) == []


def test_what_was_released_is_resumed_with_where_it_came_from(folder: Path) -> None:
    first = claim(folder, ARTIFACT)
    assert first is not None
    first.came_from("https://example.org", '"tag"')
    add(first, BODY[:300])
    first.release()
    assert names(folder) == [f"{STEM}.free.json", f"{STEM}.part"]
    second = claim(folder, ARTIFACT)
    assert second is not None
    assert (second.kept, second.validator, second.origin) == (300, '"tag"', "https://example.org")
    add(second, BODY[300:])
    second.finish()
    assert second.path.read_bytes() == BODY
    second.forget()
    assert names(folder) == []


def test_a_release_without_bytes_leaves_nothing(folder: Path) -> None:
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    partial.release()
    assert names(folder) == []


def test_two_in_one_process_do_not_share_a_file(folder: Path) -> None:
    first = claim(folder, ARTIFACT)
    assert first is not None
    assert claim(folder, ARTIFACT) is None
    first.forget()
    second = claim(folder, ARTIFACT)
    assert second is not None
    second.forget()


def test_another_process_keeps_its_claim_until_it_dies(folder: Path, owner: type[Owner]) -> None:
    other = owner(kept=300)
    assert claim(folder, ARTIFACT) is None
    before = names(folder)
    sweep(folder)
    assert names(folder) == before
    other.kill()
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert partial.kept == 300
    partial.forget()


def test_the_other_process_is_refused_as_well(folder: Path, owner: type[Owner]) -> None:
    mine = claim(folder, ARTIFACT)
    assert mine is not None
    other = owner()
    assert other.said == "refused"
    other.end()
    mine.forget()


def test_after_a_kill_only_what_the_journal_vouches_for_counts(
    folder: Path, owner: type[Owner]
) -> None:
    other = owner(kept=300, more=77)
    other.kill()
    assert (folder / f"{STEM}.part").stat().st_size == 377
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert (partial.kept, partial.validator) == (300, '"tag"')
    assert partial.path.stat().st_size == 300
    add(partial, BODY[300:])
    partial.finish()
    assert partial.path.read_bytes() == BODY
    partial.forget()


def test_a_kill_before_the_first_journal_costs_the_bytes_and_not_the_file(
    folder: Path, owner: type[Owner]
) -> None:
    owner(more=50).kill()
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert (partial.kept, partial.validator) == (0, "")
    partial.forget()


def test_a_long_stream_is_journalled_often_enough(folder: Path) -> None:
    partial = claim(folder, replace(ARTIFACT, size=2 * FLUSH_BYTES))
    assert partial is not None
    for _ in range(3):
        add(partial, b"x" * (FLUSH_BYTES // 2))
    (journal,) = folder.glob("*.json")
    assert json.loads(journal.read_text())["spans"] == [[0, FLUSH_BYTES]]
    assert FLUSH_BYTES <= 8 * 1024 * 1024
    partial.forget()


def test_where_bytes_come_fast_the_journal_rests_but_never_beyond_what_is_promised(
    folder: Path,
) -> None:
    partial = claim(folder, replace(ARTIFACT, size=16 * FLUSH_BYTES))
    assert partial is not None
    (journal,) = folder.glob("*.json")
    first, second = (partial.parts.take(8 * FLUSH_BYTES) for _ in range(2))
    assert first is not None
    assert second is not None

    def noted() -> int:
        return sum(end - start for start, end in json.loads(journal.read_text()).get("spans", ()))

    piece = b"x" * FLUSH_BYTES
    partial.write(first, [piece])
    assert noted() == 0
    partial.note_in_time(1.0)
    assert noted() == FLUSH_BYTES
    partial.write(second, [piece])
    partial.note_in_time(1.001)
    assert noted() == FLUSH_BYTES, "it was written just now"
    partial.write(first, [piece])
    assert noted() == 3 * FLUSH_BYTES, "of each of two connections, so much is not in it"
    partial.write(first, [piece])
    partial.note_in_time(2.0)
    assert noted() == 4 * FLUSH_BYTES
    partial.write(first, [b"x"])
    partial.note_in_time(3.0)
    assert noted() == 4 * FLUSH_BYTES, "so little is not worth it"
    partial.forget()


def test_a_restart_forgets_bytes_and_their_origin(folder: Path) -> None:
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    partial.came_from("https://example.org", '"tag"')
    add(partial, b"wrong")
    partial.restart()
    assert (partial.kept, partial.validator, partial.origin) == (0, "", "")
    add(partial, BODY)
    partial.finish()
    assert partial.path.read_bytes() == BODY
    partial.forget()


def test_wrong_bytes_are_set_aside_until_the_right_ones_are_here(folder: Path) -> None:
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    add(partial, b"wrong bytes")
    partial.quarantine()
    assert partial.kept == 0
    assert (folder / "quarantine" / STEM).read_bytes() == b"wrong bytes"
    assert bytes_here(folder) == {DIGEST: 0}
    add(partial, BODY)
    partial.finish()
    partial.forget()
    assert names(folder) == []


def test_a_claim_that_somebody_took_over_writes_no_journal(folder: Path) -> None:
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    add(partial, b"x")
    (journal,) = folder.glob("*.json")
    journal.rename(folder / f"{STEM}.other.json")
    with pytest.raises(ModelSetError) as caught:
        partial.note()
    assert caught.value.failure.code == "partial-taken"
    partial.release()
    assert f"{STEM}.other.json" in names(folder)
    assert f"{STEM}.part" in names(folder)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema_version": 3, "spans": [[0, 5]]}',
        '{"schema_version": 2, "spans": [[-5, 5]]}',
        '{"schema_version": 2, "spans": [["a", 5]]}',
        '{"schema_version": 2, "spans": 5}',
        '{"schema_version": 2}',
        "\xff",
    ],
)
def test_a_journal_that_says_nothing_means_from_the_start(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / f"{STEM}.free.json").write_bytes(text.encode("latin-1"))
    (folder / f"{STEM}.part").write_bytes(BODY)
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert partial.kept == 0
    assert partial.path.stat().st_size == 0
    partial.forget()


def test_a_journal_never_vouches_for_more_than_is_there(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{STEM}.free.json").write_text('{"schema_version": 2, "spans": [[0, 900]]}')
    (folder / f"{STEM}.part").write_bytes(BODY[:200])
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert partial.kept == 200
    partial.forget()


def test_a_sweep_takes_what_no_claim_will_find_and_nothing_else(folder: Path) -> None:
    mine = claim(folder, ARTIFACT)
    assert mine is not None
    kept = names(folder)
    other = "sha256-" + "1" * 64
    waiting = [f"{other}.free.json", f"{other}.part"]
    lost = ["md5-" + "2" * 32 + ".free.json", "md5-" + "3" * 32 + ".x.tmp"]
    lost.append("md5-" + "4" * 32 + ".part.copy")
    for name in (*waiting, *lost):
        (folder / name).write_text("{}")
    sweep(folder)
    assert names(folder) == sorted([*kept, *waiting])
    mine.forget()


def test_a_sweep_of_nothing_is_no_error(tmp_path: Path) -> None:
    sweep(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    assert bytes_here(tmp_path / "none") == {}


def test_the_bytes_that_wait_are_counted_by_digest(folder: Path) -> None:
    folder.mkdir()
    (folder / "git-sha1-abc.part").write_bytes(b"123")
    (folder / "git-sha1-abc.free.json").write_text(
        '{"schema_version": 2, "spans": [[0, 1], [5, 7]]}'
    )
    (folder / "sha256-def.part").write_bytes(b"1")
    (folder / "sha256-def.free.json").write_text("{}")
    assert bytes_here(folder) == {"git-sha1:abc": 3, "sha256:def": 0}


def test_spans_out_of_order_are_kept_and_the_gap_is_what_is_asked_for(folder: Path) -> None:
    first = claim(folder, ARTIFACT)
    assert first is not None
    low, high = first.parts.take(300), first.parts.take(300)
    assert low is not None
    assert high is not None
    first.write(high, [BODY[300:450], BODY[450:600]])
    first.write(low, [BODY[:100]])
    first.release()
    second = claim(folder, ARTIFACT)
    assert second is not None
    assert second.parts.spans() == [(0, 100), (300, 600)]
    assert second.kept == 400
    gap = second.parts.take(len(BODY))
    assert gap is not None
    assert (gap.start, gap.end) == (100, 300)
    second.forget()


def test_bytes_of_another_machine_count_only_when_its_disk_had_them(folder: Path) -> None:
    folder.mkdir()
    known = {"schema_version": 2, "spans": [[0, 900]], "durable": [[0, 400]]}
    journal = folder / f"{STEM}.feedfacecafe-1-1-0.json"
    journal.write_text(json.dumps(known))
    os.utime(journal, (1.0, 1.0))
    (folder / f"{STEM}.part").write_bytes(BODY)
    partial = claim(folder, ARTIFACT)
    assert partial is not None
    assert partial.kept == 400
    partial.forget()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelSetError) as caught:
        claim(tmp_path / "file" / "downloads", ARTIFACT)
    assert caught.value.failure.code == "store-not-writable"


def test_wrong_bytes_are_set_aside_though_the_end_of_another_file_removes_the_empty_folder(
    tmp_path: Path,
) -> None:
    part = tmp_path / "sha256-abc.part"
    part.write_bytes(b"wrong")
    tries = []

    def put(place: Path) -> None:
        tries.append(place)
        if len(tries) == 1:
            tidy(
                tmp_path, "sha256-of-another"
            )  # which finds nothing of its own, and an empty folder
        part.rename(place)

    aside(part, put)
    assert len(tries) == 2
    assert (tmp_path / "quarantine" / "sha256-abc").read_bytes() == b"wrong"
