"""Whatever happens to a download, in any order: the real command against a server that lives.

CI plays a few examples, always the same ones. `FAULTS_MACHINE=200` plays so many, and
`FAULTS_MACHINE_SEED=7` others; the same seed plays the same again.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.faults.answers import MIB, File, Ration, Rationed, bytes_of
from tests.faults.origin import Origin
from tests.faults.project import REGISTRY, Project, Ran, await_true

# More than one part of 8 MiB, so that ranges and journals have something to do.
PINNED = bytes_of("machine", 9 * MIB + 12_345)
SIZE = len(PINNED)
OTHERS = {
    "same size": bytes_of("machine, other", SIZE),
    "longer": bytes_of("machine, longer", SIZE + 4567),
    "shorter": bytes_of("machine, shorter", SIZE // 2),
}
JOURNALS = {
    "empty": "",
    "half": '{"schema_version": 2, "spans": [[0,',
    "no object": "[]",
    "newer": '{"schema_version": 99, "spans": [[0, 1000]]}',
    "nonsense": '{"schema_version": 2, "spans": [["a", null]], "validator": 7}',
    "lie": json.dumps({"schema_version": 2, "spans": [[0, SIZE]], "validator": '"one"'}),
}
KEY = "house:m"
FEW, STEPS = 5, 8
SIGNALS = {signal.SIGKILL: -signal.SIGKILL, signal.SIGTERM: 143, signal.SIGINT: 130}


class Life(RuleBasedStateMachine):
    """A project, its server, and everything that may befall them."""

    folder: Path
    warm: Project
    count = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).count += 1
        self.root = self.folder / f"life{self.count}"
        self.project = Project(self.root)
        self.project.env["PYTHONPYCACHEPREFIX"] = self.warm.env["PYTHONPYCACHEPREFIX"]
        shutil.copy(self.warm.profile, self.project.profile)
        self.origin = Origin().open()
        self.data, self.etag = PINNED, '"one"'
        self.ranges = self.if_range = True
        self.project.model("m", f"{self.origin.url}/m", PINNED)

    def teardown(self) -> None:
        """However it went, an honest server mends it."""
        try:
            self.data, self.etag, self.ranges, self.if_range = PINNED, '"one"', True, True
            self.fetch("16")
        finally:
            self.project.close()
            self.origin.close()
            shutil.rmtree(self.root)

    # -- what the user does --------------------------------------------------------------------

    @rule(connections=st.sampled_from(["1", "3", "16"]))
    def fetch(self, connections: str) -> None:
        """Run to the end; afterwards the model is deleted, so that there is more to do."""
        self.serve()
        ran = self.project.run(KEY, "--json", "--connections", connections)
        if self.data is PINNED:
            assert ran.code == 0, ran.stdout
            assert ran.outcomes[KEY]["result"] == "downloaded"
            self.project.assert_clean(m=PINNED)
            self.project.path(KEY).unlink()
        else:
            assert ran.code == 8, ran.stdout
            assert ran.failure(KEY)["code"] in (
                "size-mismatch", "digest-mismatch", "object-changed",
            )  # fmt: skip
            assert not self.project.path(KEY).exists()

    @rule(
        after=st.integers(1, SIZE),
        number=st.sampled_from(sorted(SIGNALS)),
        connections=st.sampled_from(["1", "3", "16"]),
    )
    def interrupt(self, after: int, number: signal.Signals, connections: str) -> None:
        """Kill or stop it when so many more bytes went out."""
        before = self.origin.sent("/m")
        self.serve(ration=Ration(after))
        running = self.project.start(KEY, "--json", "--connections", connections)
        await_true(
            f"{after} bytes or an end",
            lambda: running.process.poll() is not None or self.origin.sent("/m") - before >= after,
        )
        running.send(number)
        ran: Ran = running.end()
        # The last when it had ended, and Python was shutting down.
        assert ran.code in (0, 8, SIGNALS[number], -number), ran.stderr
        assert "Traceback" not in ran.stderr
        if self.project.path(KEY).exists():
            assert self.project.path(KEY).read_bytes() == PINNED
            self.project.path(KEY).unlink()

    # -- what befalls the disk -----------------------------------------------------------------

    @property
    def part(self) -> Path:
        return self.project.part(PINNED)

    @precondition(lambda self: self.project.part_size(PINNED))
    @rule(at=st.integers(0, SIZE))
    def flip(self, at: int) -> None:
        """Turn a byte of the partial file over."""
        at %= self.project.part_size(PINNED)
        with open(self.part, "r+b") as stream:
            stream.seek(at)
            byte = stream.read(1)[0]
            stream.seek(at)
            stream.write(bytes([byte ^ 0xFF]))

    @precondition(lambda self: self.project.part_size(PINNED))
    @rule(to=st.integers(0, SIZE))
    def truncate(self, to: int) -> None:
        """Shorten the partial file."""
        os.truncate(self.part, to % self.project.part_size(PINNED))

    @precondition(lambda self: self.project.part_size(PINNED))
    @rule(kind=st.sampled_from(sorted(JOURNALS)))
    def corrupt_journal(self, kind: str) -> None:
        """Write something else into the journal."""
        (journal,) = self.project.downloads.glob(f"{self.part.stem}.*.json")
        journal.write_text(JOURNALS[kind], encoding="ascii")

    # -- what befalls the server ---------------------------------------------------------------

    @rule(kind=st.sampled_from(sorted(OTHERS)))
    def change(self, kind: str) -> None:
        """Give the server another file under the same name."""
        self.data, self.etag = OTHERS[kind], f'"{kind}"'

    @rule()
    def restore(self) -> None:
        """Give it the right one again."""
        self.data, self.etag = PINNED, '"one"'

    @rule(ranges=st.booleans(), if_range=st.booleans())
    def configure(self, ranges: bool, if_range: bool) -> None:
        """Let it ignore Range, or If-Range."""
        self.ranges, self.if_range = ranges, if_range

    def serve(self, ration: Ration | None = None) -> None:
        """Answer from now on as the server is."""
        known = {"etag": self.etag, "ranges": self.ranges, "if_range": self.if_range}
        file = File(self.data, **known)  # type: ignore[arg-type]
        if ration is not None:
            file = Rationed(self.data, ration=ration, **known)  # type: ignore[arg-type]
        self.origin.serve("/m", file)

    # -- what holds at any time ----------------------------------------------------------------

    @invariant()
    def nothing_but_the_pinned_bytes_has_the_name(self) -> None:
        path = self.project.path(KEY)
        assert not path.exists() or path.read_bytes() == PINNED

    @invariant()
    def the_partial_file_is_no_longer_than_the_file(self) -> None:
        assert self.project.part_size(PINNED) <= SIZE

    @invariant()
    def nothing_lies_where_it_does_not_belong(self) -> None:
        top = {"home", "tmp", "out", "models", "modelset.toml", "models.lock.json"}
        assert {path.name for path in self.root.iterdir()} <= top
        if self.project.models.exists():
            for name in self.project.files() - REGISTRY - {"whisper/m.bin"}:
                assert name.startswith(("downloads/sha256-", "downloads/quarantine/sha256-")), name
        digest = self.part.stem
        if self.project.downloads.exists():
            assert all(digest in path.name for path in self.project.downloads.glob("*.*"))


def test_whatever_happens_in_any_order_an_honest_server_ends_it_well(
    warm: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Life, "folder", tmp_path, raising=False)
    monkeypatch.setattr(Life, "warm", warm, raising=False)
    monkeypatch.setattr(Life, "count", 0)
    seed = os.environ.get("FAULTS_MACHINE_SEED")
    examples = int(os.environ.get("FAULTS_MACHINE", FEW))
    machine = hypothesis.seed(int(seed))(Life) if seed else Life
    settings = hypothesis.settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=not seed,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
        # Shrinking runs the command hundreds of times; the steps that failed are printed anyway.
        phases=[hypothesis.Phase.generate],
    )
    run_state_machine_as_test(machine, settings=settings)
    assert Life.count >= min(examples, 2), "too few lives were lived"
