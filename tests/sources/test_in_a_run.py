"""Sources through whole runs: first use, archives, keys, and the policy about pickles."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project
from tests.faults.answers import File, Json, Status
from tests.faults.origin import Origin
from tests.faults.origin import origin as running_origin

from modelset.core.lock import parse_lock
from modelset.core.select import Wishes
from modelset.core.types import Outcome
from modelset.engine.task import Terms
from modelset.model_set import ModelSet
from modelset.settings import load_settings

KEY = "house:voice"
BODY = b"voice" * 1000
OTHER = b"VOICE" * 1000
HARMLESS = pickle.dumps({"weights": [1.0, 2.0, 3.0]}, protocol=4)


class Evil:
    """Runs a command when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch evil",)


@dataclass(frozen=True)
class House:
    """A project with one model of its own, and the server that it comes from."""

    project: Project
    origin: Origin

    def table(self, source: str, **ref: object) -> None:
        rows = "\n".join(f"ref.{name} = {_toml(value)}" for name, value in ref.items())
        self.project.config.write_text(
            f'[[model]]\nkey = "{KEY}"\ncategory = "house"\nsource = "{source}"\n{rows}\n'
        )

    def open(self, **variables: str) -> ModelSet:
        environ = {**self.project.environ, **variables}
        return ModelSet(load_settings({}, environ, self.project.folder))

    def bring(self, terms: Terms | None = None, **variables: str) -> Outcome:
        models = self.open(**variables)
        (outcome,) = models.download(Wishes(keys=(KEY,)), terms or Terms()).outcomes
        return outcome

    def check(self, *, deep: bool = True, **variables: str) -> str:
        (status,) = self.open(**variables).check(Wishes(keys=(KEY,)), deep=deep).statuses
        return status.presence

    def pin_digest(self) -> str:
        (artifact,) = parse_lock(self.project.lock.read_text(), where="x")[KEY].artifacts
        return artifact.digest

    def asked(self, path: str) -> int:
        """How many bytes of a file went out."""
        return sum(request.sent for request in self.origin.requests if request.path == path)


def _toml(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value) if isinstance(value, int) else f'"{value}"'


@pytest.fixture
def house(project: Project) -> Iterator[House]:
    with running_origin() as origin:
        yield House(project, origin)


def sha256(body: bytes) -> str:
    return "sha256:" + hashlib.sha256(body).hexdigest()


def failure_of(outcome: Outcome) -> str:
    return outcome.failure.code if outcome.failure is not None else ""


# ---- first use -----------------------------------------------------------------------------


def test_the_first_download_tells_the_digest_that_later_ones_are_measured_by(house: House) -> None:
    url = house.origin.serve("/voice.onnx", File(BODY))
    house.table("url", url=url, root="piper", path="voice.onnx")
    assert house.bring().result == "downloaded"
    assert house.pin_digest() == sha256(BODY)
    assert house.check() == "present"
    sent = house.asked("/voice.onnx")
    assert house.bring(Terms(locked=True)).result == "ready"
    assert house.asked("/voice.onnx") == sent

    placed = house.project.models_root / "piper/voice.onnx"
    placed.unlink()
    house.origin.serve("/voice.onnx", File(OTHER))
    assert failure_of(house.bring()) == "digest-mismatch"
    assert not placed.exists()
    assert house.pin_digest() == sha256(BODY)


def test_a_stated_digest_is_never_learned(house: House) -> None:
    url = house.origin.serve("/voice.onnx", File(OTHER))
    house.table("url", url=url, root="piper", path="voice.onnx", digest=sha256(BODY))
    assert failure_of(house.bring()) == "digest-mismatch"
    assert not (house.project.models_root / "piper/voice.onnx").exists()


# ---- pickles -------------------------------------------------------------------------------


def test_a_pickle_without_a_digest_wants_leave_and_not_a_byte_comes_before(house: House) -> None:
    url = house.origin.serve("/voice.pt", File(HARMLESS))
    house.table("url", url=url, root="silero", path="voice.pt", size=len(HARMLESS))
    outcome = house.bring()
    assert failure_of(outcome) == "digest-unknown"
    assert house.origin.requests == []
    assert not (house.project.models_root / "silero").exists()

    assert house.bring(MODELSET_POLICY_FIRST_USE="true").result == "downloaded"
    assert house.pin_digest() == sha256(HARMLESS)
    # Once it is in the lock, its digest is known: no leave is needed to bring it again.
    (house.project.models_root / "silero/voice.pt").unlink()
    assert house.bring().result == "downloaded"


def test_a_pickle_whose_digest_is_stated_comes_unless_pickles_are_refused(house: House) -> None:
    url = house.origin.serve("/voice.pt", File(HARMLESS))
    house.table("url", url=url, root="silero", path="voice.pt", digest=sha256(HARMLESS))
    refused = house.bring(MODELSET_POLICY_PICKLES="refuse", MODELSET_POLICY_FIRST_USE="true")
    assert failure_of(refused) == "pickle-refused"
    assert house.asked("/voice.pt") <= 1  # of its size, at most
    assert house.bring().result == "downloaded"
    # What is there and whole stays usable under whatever policy: nothing has to come.
    assert house.bring(MODELSET_POLICY_PICKLES="refuse").result == "ready"


def test_a_dangerous_pickle_is_refused_whatever_its_digest(house: House) -> None:
    body = pickle.dumps(Evil())
    url = house.origin.serve("/voice.pt", File(body))
    house.table("url", url=url, root="silero", path="voice.pt", digest=sha256(body))
    assert failure_of(house.bring(MODELSET_POLICY_FIRST_USE="true")) == "pickle-refused"
    assert not (house.project.models_root / "silero").exists()
    assert house.check() == "missing"  # set aside, where nothing takes it for a part of the model
    (aside,) = (house.project.models_root / "downloads" / "quarantine").iterdir()
    assert aside.read_bytes() == body
    assert not Path("evil").exists()


# ---- archives ------------------------------------------------------------------------------


def archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        for name, body in files.items():
            packed.writestr(zipfile.ZipInfo(name), body)
    return stream.getvalue()


def test_an_archive_becomes_a_folder_and_its_library_may_write_what_is_mutable(
    house: House,
) -> None:
    packed = archive({"top/config.json": b"{}", "top/deep/weights.onnx": BODY})
    url = house.origin.serve("/voice.zip", File(packed))
    house.table("url", url=url, root="tts", path="voice", unpack="all", mutable=["config.json"])
    assert house.bring().result == "downloaded"
    assert house.pin_digest() == sha256(packed)
    folder = house.project.models_root / "tts/voice"
    assert (folder / "weights.onnx").read_bytes() == BODY
    assert house.open().path(KEY) == folder
    sent = house.asked("/voice.zip")

    (folder / "config.json").write_bytes(b'{"path": "somewhere"}')
    assert house.check() == "present"
    assert house.bring().result == "ready"
    assert house.asked("/voice.zip") == sent

    (folder / "weights.onnx").write_bytes(bytes(len(BODY)))
    assert house.check() == "corrupt"
    assert house.bring().result == "downloaded"
    assert (folder / "weights.onnx").read_bytes() == BODY
    assert house.check() == "present"
    assert os.listdir(folder.parent) == ["voice"]


def test_a_dangerous_pickle_in_an_archive_leaves_no_folder(house: House) -> None:
    packed = archive({"top/a.onnx": BODY, "top/b.pth": pickle.dumps(Evil())})
    url = house.origin.serve("/voice.zip", File(packed))
    house.table("url", url=url, root="tts", path="voice", unpack="top", digest=sha256(packed))
    assert failure_of(house.bring()) == "pickle-refused"
    assert not (house.project.models_root / "tts/voice").exists()
    assert not Path("evil").exists()


def test_an_archive_that_is_a_page_is_said_and_not_learned(house: House) -> None:
    url = house.origin.serve("/voice.zip", File(b"no archive at all"))
    house.table("url", url=url, root="tts", path="voice", unpack="top")
    assert failure_of(house.bring()) == "archive-invalid"
    lock = house.project.lock
    assert not lock.exists() or KEY not in parse_lock(lock.read_text(), where="x")


# ---- keys ----------------------------------------------------------------------------------

SECRET = "sk-5ecret-0123456789"


def test_a_key_is_ready_when_it_is_there_and_is_written_nowhere(house: House) -> None:
    check = house.origin.serve("/v1/models", Json({"data": []}))
    house.table("api", service="House", variable="HOUSE_KEY", file="house", check=check)
    missing = house.bring()
    assert failure_of(missing) == "credential-missing"
    assert house.check() in ("missing", "unpinned")

    assert house.bring(HOUSE_KEY=SECRET).result in ("ready", "downloaded")
    assert house.check(HOUSE_KEY=SECRET) == "present"
    assert house.check() == "missing"
    written = [path for path in house.project.folder.rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if SECRET.encode() in path.read_bytes()]


def test_verify_asks_the_provider_with_the_key_and_says_what_it_answers(house: House) -> None:
    check = house.origin.serve("/v1/models", Json({"data": []}))
    house.table(
        "api", service="House", variable="HOUSE_KEY", file="house", check=check, header="x-key",
        prefix="",
    )  # fmt: skip
    house.bring(HOUSE_KEY=SECRET)
    before = len(house.origin.requests)
    report = house.open(HOUSE_KEY=SECRET).verify(Wishes(keys=(KEY,)))
    assert [one.presence for one in report.statuses] == ["present"]
    asked = house.origin.requests[before:]
    assert [request.headers.get("x-key") for request in asked] == [SECRET]

    house.origin.serve("/v1/models", Status(401, {"X-Error-Message": f"not {SECRET}"}))
    report = house.open(HOUSE_KEY=SECRET).verify(Wishes(keys=(KEY,)))
    (status,) = report.statuses
    assert status.presence == "corrupt"
    assert "HOUSE_KEY" in status.problems[0]
    assert SECRET not in repr(report)
