"""What other programs have is taken by digest: nothing is fetched, copied or taken away."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.test_detect import KEYS, VOSK, Machine, Origin, found, machine, origin, tree
from tests.conftest import Ran, run_process

from modelset.core.errors import ModelSetError
from modelset.core.found import Candidates
from modelset.core.select import Wishes
from modelset.engine.adopt import Adopt, Manner
from modelset.engine.check import Inspector
from modelset.engine.guard import Stop
from modelset.engine.lock import read_lock
from modelset.engine.task import Terms
from modelset.model_set import ModelSet
from modelset.settings import load_settings
from modelset.sources import SOURCES
from modelset.store.elsewhere import known_places, look, user_home

__all__ = ["machine", "origin"]  # fixtures

_OTHERS = ("vosk:small-vi", "tts:XTTS-v2", "spacy:en_core_web_sm")
LINKED = tuple(key for key in KEYS if key not in _OTHERS)


def results(ran: Ran) -> dict[str, str]:
    assert ran.json is not None, ran.stderr
    return {row["key"]: row["result"] for row in ran.json["data"]["models"]}


def row_of(ran: Ran, key: str) -> Any:
    (row,) = [row for row in ran.json["data"]["models"] if row["key"] == key]
    return row


def test_whole_caches_are_adopted_without_a_byte_fetched_or_copied(
    machine: Machine, origin: Origin
) -> None:
    before = tree(origin.home)
    ran = machine.run("adopt", *LINKED, "--json")
    assert ran.code == 0, ran.stdout + ran.stderr
    assert set(results(ran).values()) == {"adopted"}
    assert ran.json["data"]["bytes_copied"] == 0
    assert origin.hub.requests == []
    for key in LINKED:
        for taken in row_of(ran, key)["taken"]:
            assert taken["way"] == "linked" or taken["size_bytes"] == 0
    for ours, theirs in (
        ("whisper/tiny.pt", ".cache/whisper/tiny.pt"),
        ("nltk_data/sentiment/vader_lexicon.zip", "nltk_data/sentiment/vader_lexicon.zip"),
        (
            "torch/hub/snakers4_silero-vad_master/hubconf.py",
            ".cache/torch/hub/snakers4_silero-vad_master/hubconf.py",
        ),
    ):
        assert (machine.models / ours).samefile(origin.home / theirs)
    blobs = list((machine.models / "ollama" / "blobs").iterdir())
    assert blobs
    assert all(blob.samefile(origin.home / ".ollama/models/blobs" / blob.name) for blob in blobs)
    # Nothing of the user's has changed, not even a time.
    assert tree(origin.home) == before

    checked = machine.run("check", *LINKED, "--deep", "--json")
    assert {row["presence"] for row in checked.json["data"]["models"]} == {"present"}
    assert {row["path"] for row in checked.json["data"]["models"]}
    registry = json.loads((machine.models / "registry" / "registry.json").read_text())
    assert set(registry["models"]) == set(LINKED)
    assert all(len(row["sha256"]) == 64 for one in registry["models"].values()
               for row in one["files"])  # fmt: skip

    again = machine.run("adopt", *LINKED, "--json")
    assert set(results(again).values()) == {"ready"}
    # What was adopted, a download takes for its own: no question, and no second reading.
    models = ModelSet(load_settings({}, machine.environ, machine.folder))
    report = models.download(Wishes(keys=LINKED), Terms())
    assert {row.result for row in report.outcomes} == {"ready"}
    assert origin.hub.requests == []


USE = """
import json, sys
from pathlib import Path
from huggingface_hub import snapshot_download
from faster_whisper import WhisperModel
import torch
theirs = snapshot_download("Systran/faster-whisper-tiny", local_files_only=True)
loaded = [type(WhisperModel(place, device="cpu")).__name__ for place in (theirs, sys.argv[1])]
for hub in (Path.home() / ".cache/torch/hub", Path(sys.argv[2])):
    (weights,) = hub.glob("snakers4_silero-vad_master/**/silero_vad.jit")
    loaded.append(sum(tensor.numel() for tensor in torch.jit.load(weights).state_dict().values()))
print(json.dumps(loaded))
"""


def test_real_libraries_load_the_originals_and_what_was_adopted(
    machine: Machine, origin: Origin
) -> None:
    pytest.importorskip("faster_whisper")
    pytest.importorskip("torch")
    assert machine.run("adopt", "whisper:tiny", "vad:silero-hub").code == 0
    (ours,) = machine.models.glob(
        "huggingface/hub/models--Systran--faster-whisper-tiny/snapshots/*"
    )
    before = tree(origin.home)
    ran = run_process(
        [sys.executable, "-W", "ignore", "-c", USE, ours, machine.models / "torch" / "hub"],
        env=machine.environ | {"HF_HUB_OFFLINE": "1"},
        cwd=machine.folder,
        timeout_s=180,
    )
    assert ran.code == 0, ran.stderr
    assert ran.json[:2] == ["WhisperModel", "WhisperModel"]
    assert ran.json[2] == ran.json[3] > 0
    kept = {name: row for name, row in tree(origin.home).items() if name in before}
    files = {name for name in before if (origin.home / name).is_file()}
    assert {name: kept[name] for name in files} == {name: before[name] for name in files}


def test_what_a_library_rewrites_is_copied(machine: Machine, origin: Origin) -> None:
    ran = machine.run("adopt", "tts:XTTS-v2", "--json")
    assert results(ran) == {"tts:XTTS-v2": "adopted"}, ran.stderr
    ways = {row["name"]: row["way"] for row in row_of(ran, "tts:XTTS-v2")["taken"]}
    assert ways.pop("config.json") in ("copied", "cloned")
    assert set(ways.values()) == {"linked"}
    folder = "huggingface/hub/models--tts-hub--XTTS-v2/snapshots"
    (config,) = (machine.models / folder).glob("*/config.json")
    (theirs,) = (origin.home / ".cache" / folder).glob("*/config.json")
    assert config.read_bytes() == theirs.read_bytes()
    config.resolve().write_text("{}")
    assert theirs.read_text() != "{}"


def test_an_archive_is_adopted_but_a_folder_alone_proves_nothing(
    machine: Machine, origin: Origin, tmp_path: Path
) -> None:
    ran = machine.run("adopt", "vosk:small-vi", "--json")
    assert (ran.code, results(ran)) == (4, {"vosk:small-vi": "nothing"})
    assert row_of(ran, "vosk:small-vi")["lacks"] == [f"{VOSK}.zip"]
    elsewhere = tmp_path / "downloads"
    elsewhere.mkdir()
    archive = origin.archive(elsewhere, "vosk:small-vi")
    before = archive.stat()
    for place in (elsewhere, archive):
        shutil.rmtree(machine.models, ignore_errors=True)
        ran = machine.run("adopt", "vosk:small-vi", "--from", str(place), "--json")
        assert (ran.code, results(ran)) == (0, {"vosk:small-vi": "adopted"}), ran.stderr
        assert ran.json["data"]["bytes_copied"] == 0
    assert (machine.models / "vosk" / VOSK / "am" / "final.mdl").is_file()
    assert (archive.stat().st_ino, archive.stat().st_nlink) == (before.st_ino, 1)
    assert origin.hub.requests == []
    assert list((machine.models / "downloads").iterdir()) == []


def test_a_wheel_is_installed_and_then_known_as_installed(
    machine: Machine, origin: Origin, tmp_path: Path
) -> None:
    key, wheels = "spacy:en_core_web_sm", tmp_path / "wheels"
    wheels.mkdir()
    wheel = origin.archive(wheels, key)
    before = wheel.stat()
    assert results(machine.run("adopt", key, "--json")) == {key: "nothing"}
    ran = machine.run("adopt", key, "--from", str(wheels), "--json")
    assert (ran.code, results(ran)) == (0, {key: "adopted"}), ran.stderr
    assert (wheel.stat().st_ino, wheel.stat().st_nlink) == (before.st_ino, 1)
    again = machine.run("adopt", key, "--json")
    assert row_of(again, key)["detail"] == "installed"
    assert origin.hub.requests == []


def test_a_dry_run_reads_but_changes_nothing(machine: Machine, origin: Origin) -> None:
    before = tree(origin.home)
    ran = machine.run("adopt", "openai-whisper:tiny", "--dry-run", "--json")
    assert (ran.code, results(ran)) == (0, {"openai-whisper:tiny": "adopted"})
    assert not machine.models.exists()
    assert tree(origin.home) == before
    assert "Can be adopted" in machine.run("adopt", "openai-whisper:tiny", "--dry-run").stdout


def test_wrong_bytes_of_the_same_size_are_not_taken(
    machine: Machine, origin: Origin, tmp_path: Path
) -> None:
    home = tmp_path / "wrong"
    (home / ".cache" / "whisper").mkdir(parents=True)
    whole = (origin.home / ".cache/whisper/tiny.pt").read_bytes()
    (home / ".cache/whisper/tiny.pt").write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    wrong = Machine(home, machine.folder)
    ran = wrong.run("adopt", "openai-whisper:tiny", "--json")
    assert (ran.code, results(ran)) == (4, {"openai-whisper:tiny": "nothing"})
    assert not (machine.models / "whisper").exists()
    # The right one under another name is found behind the wrong one.
    (home / ".cache/whisper/renamed.pt").write_bytes(whole)
    ran = wrong.run("adopt", "openai-whisper:tiny", "--json")
    assert (ran.code, results(ran)) == (0, {"openai-whisper:tiny": "adopted"})
    assert (machine.models / "whisper/tiny.pt").samefile(home / ".cache/whisper/renamed.pt")


def test_what_is_found_in_part_is_kept_for_the_download(
    machine: Machine, origin: Origin, tmp_path: Path
) -> None:
    home = tmp_path / "part"
    hub = Path(".cache/huggingface/hub")
    shutil.copytree(origin.home / hub, home / hub, symlinks=True)
    model = home / hub / "models--Systran--faster-whisper-tiny"
    (tokens,) = model.glob("snapshots/*/config.json")
    tokens.resolve().write_bytes(b"{}")
    ran = Machine(home, machine.folder).run("adopt", "whisper:tiny", "--json")
    assert (ran.code, results(ran)) == (4, {"whisper:tiny": "partly"})
    assert row_of(ran, "whisper:tiny")["lacks"] == ["config.json"]
    ours = machine.models / "huggingface/hub/models--Systran--faster-whisper-tiny"
    # Neither link nor ref: no library takes the half for whole.
    assert not (ours / "refs").exists()
    assert not (ours / "snapshots").exists()
    models = ModelSet(load_settings({}, machine.environ, machine.folder))
    (outcome,) = models.download(Wishes(keys=("whisper:tiny",)), Terms()).outcomes
    assert (outcome.result, outcome.failure) == ("downloaded", None)
    assert outcome.bytes_moved < 5000


def test_a_damaged_file_of_ours_is_replaced_and_theirs_is_not_touched(
    machine: Machine, origin: Origin
) -> None:
    assert machine.run("adopt", "openai-whisper:tiny").code == 0
    ours, theirs = machine.models / "whisper/tiny.pt", origin.home / ".cache/whisper/tiny.pt"
    ours.unlink()
    ours.write_bytes(b"\0" * theirs.stat().st_size)
    assert machine.run("check", "openai-whisper:tiny", "--deep").code == 8
    ours.write_bytes(b"short")
    ran = machine.run("adopt", "openai-whisper:tiny", "--json")
    assert (ran.code, results(ran)) == (0, {"openai-whisper:tiny": "adopted"})
    assert ours.samefile(theirs)


def test_what_the_lock_does_not_name_is_left(machine: Machine) -> None:
    (machine.folder / "models.lock.json").unlink()
    ran = machine.run("adopt", "openai-whisper:tiny")
    assert ran.code == 9
    assert "Not locked" in ran.stdout
    assert "`modelset lock`" in ran.stdout
    assert not (machine.models / "whisper").exists()


def test_mistakes_are_said(machine: Machine) -> None:
    ran = machine.run("adopt", "--from", str(machine.folder / "nowhere"))
    assert ran.code == 2
    assert "there is no such folder" in ran.stderr
    assert machine.run("adopt", "nothing:here").code == 2


def test_pickles_that_the_policy_refuses_are_not_taken(machine: Machine) -> None:
    config = machine.folder / "modelset.toml"
    config.write_text(config.read_text().replace("[policy]", '[policy]\npickles = "refuse"'))
    ran = machine.run("adopt", "openai-whisper:tiny", "--json")
    assert ran.code == 13, ran.stderr
    assert row_of(ran, "openai-whisper:tiny")["failure"]["code"] == "pickle-refused"
    assert not (machine.models / "whisper").exists()


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second volume to write to")
def test_another_volume_is_copied_from(machine: Machine, origin: Origin) -> None:
    far = Path("/dev/shm") / f"modelset-{os.getpid()}"
    try:
        shutil.copytree(origin.home / ".cache/whisper", far)
        ran = machine.run("adopt", "openai-whisper:tiny", "--from", str(far), "--json")
        assert ran.json["data"]["bytes_copied"] == (far / "tiny.pt").stat().st_size
        assert (machine.models / "whisper/tiny.pt").read_bytes() == (far / "tiny.pt").read_bytes()
    finally:
        shutil.rmtree(far)


def test_a_folder_of_100_000_files_with_traps_is_searched_to_its_end(
    machine: Machine, origin: Origin, tmp_path: Path
) -> None:
    heap = tmp_path / "heap"
    heap.mkdir()
    for number in range(100_000):
        (heap / f"{number}.txt").touch()
    os.mkfifo(heap / "tiny.pt")
    (heap / "loop").symlink_to(heap)
    (heap / "out").symlink_to(origin.home)
    (heap / "link.pt").symlink_to(origin.home / ".cache/whisper/tiny.pt")
    ran = machine.run("adopt", "openai-whisper:tiny", "--from", str(heap), "--json")
    assert (ran.code, results(ran)) == (4, {"openai-whisper:tiny": "nothing"})
    shutil.copyfile(origin.home / ".cache/whisper/tiny.pt", heap / "deep.bin")
    ran = machine.run("adopt", "openai-whisper:tiny", "--from", str(heap), "--json")
    assert (ran.code, results(ran)) == (0, {"openai-whisper:tiny": "adopted"})
    assert ran.json["data"]["notes"] == []


def test_a_stop_ends_it_and_keeps_what_was_done(machine: Machine) -> None:
    models = ModelSet(load_settings({}, machine.environ, machine.folder))
    stop, emitted = Stop(), []
    own = models.settings
    listings = [look(place, own.roots) for place in known_places(
        own.environ, user_home(own.environ), (), own.roots)]  # fmt: skip

    def now() -> str:
        emitted.append("one")
        stop.ask("stopped")  # once the first model is whole
        return "2030-01-01T00:00:00+00:00"

    choices = models.select(Wishes(keys=("openai-whisper:tiny", "whisper:tiny"))).choices
    run = Adopt(Inspector(SOURCES, own.roots), Candidates(listings), Manner(own.policy, stop, now))
    with pytest.raises(ModelSetError) as caught:
        run.run(choices, read_lock(own.lock))
    assert caught.value.failure.code == "stopped"
    registry = json.loads((machine.models / "registry" / "registry.json").read_text())
    assert len(registry["models"]) == len(emitted) == 1


def test_people_see_what_came_from_where(machine: Machine, origin: Origin) -> None:
    shown = machine.run("adopt", "openai-whisper:tiny", "vosk:small-vi")
    assert f"linked from {origin.home}/.cache/whisper)" in shown.stdout
    assert f"Nothing found of {VOSK}.zip; {origin.home}/.cache/vosk/{VOSK}" in shown.stdout
    assert "--trust-first-use takes it as it is" in shown.stdout
    assert "hint: `modelset download` brings what lacks, and only that" in shown.stdout


def test_a_name_that_no_document_can_hold_does_no_harm(
    machine: Machine, origin: Origin, tmp_path: Path
) -> None:
    raw = os.fsencode(tmp_path) + b"/\xff\x1b[31m"
    os.mkdir(raw)
    body = (origin.home / ".cache/whisper/tiny.pt").read_bytes()
    with open(raw + b"/\xfe.pt", "wb") as stream:
        stream.write(body)
    for output in ("--json", "--dry-run", "--quiet"):
        ran = machine.run("adopt", "openai-whisper:tiny", "--from", str(tmp_path), output)
        assert ran.code == 0, ran.stderr
        assert "\x1b" not in ran.stdout + ran.stderr
    assert (machine.models / "whisper/tiny.pt").read_bytes() == body


def test_detect_calls_the_adopted_here(machine: Machine) -> None:
    assert machine.run("adopt", "openai-whisper:tiny").code == 0
    row = found(machine.run("detect", "--json"))["openai-whisper tiny.pt"]
    assert (row["state"], row["wanted"]) == ("here", True)
