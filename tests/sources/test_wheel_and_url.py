"""Wheels from an index or a release, and single files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Project, config_for
from tests.fakes.samples import (
    INDEX_WHEEL,
    INDEXED,
    META,
    PLAIN,
    RELEASE,
    SAMPLES,
    index_web_of,
    model,
    release_web_of,
    sha256,
)
from tests.fakes.web import FakeWeb, hub_web

from modelset.core.errors import ModelSetError
from modelset.core.types import Artifact, InstallWheel, Pin, PutFile
from modelset.demo.hub import DemoHub
from modelset.sources.url import SOURCE as URL
from modelset.sources.wheel import SOURCE as WHEEL

SPACY = "https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-3.8.0/"
SPACY_META = "https://raw.githubusercontent.com/explosion/spacy-models/master/meta/"


@pytest.fixture
def configured(project: Project, hub: DemoHub) -> Path:
    project.config.write_text(config_for(hub))
    return project.config


def test_a_release_wheel_is_pinned_by_its_published_sum() -> None:
    web = release_web_of({"checksum_whl": sha256("one")})
    pin = WHEEL.resolve(SAMPLES["wheel"]["release"].model, web)
    assert pin.revision == "1.2.0"
    name = "thing_one-1.2.0-py3-none-any.whl"
    assert pin.artifacts == (Artifact(name, RELEASE, 4000, "sha256:" + sha256("one")),)
    assert web.asked == [META, RELEASE]


def test_an_indexed_wheel_is_pinned_as_the_index_says() -> None:
    pin = WHEEL.resolve(SAMPLES["wheel"]["index"].model, index_web_of(INDEX_WHEEL))
    assert pin.revision == "2.0"
    assert pin.artifacts[0].url == INDEXED
    assert pin.artifacts[0].digest == INDEX_WHEEL.digest
    assert pin.artifacts[0].size == 5000


def test_a_wheel_is_installed_under_the_name_and_version_of_its_file() -> None:
    url = "https://example.org/some.thing-1.0%2Bcpu-1-py3-none-any.whl?x=y"
    artifact = Artifact("some.thing-1.0+cpu-1-py3-none-any.whl", url, 1, "sha256:" + "0" * 64)
    found = WHEEL.layout(Pin("test:x", "wheel", {}, "1.0+cpu", (artifact,)))
    assert found.root == "site-packages"
    assert found.folder == "some.thing-1.0+cpu.dist-info"
    assert found.placements == (InstallWheel(artifact, "some.thing", "1.0+cpu"),)


def test_a_pin_of_a_file_that_is_no_wheel_is_invalid() -> None:
    artifact = Artifact("thing.zip", "https://example.org/thing.zip", 1, "sha256:" + "0" * 64)
    with pytest.raises(ModelSetError) as caught:
        WHEEL.layout(Pin("test:x", "wheel", {}, "1", (artifact,)))
    assert caught.value.failure.code == "wheel-invalid"


@pytest.mark.parametrize(
    ("ref", "pattern"),
    [
        ({"requirement": "silero-vad"}, "silero_vad-*.dist-info"),
        ({"requirement": "silero-vad==6.2.3"}, "silero_vad-*.dist-info"),
        ({"requirement": "silero-vad[cpu] >= 6; python_version > '3'"}, "silero_vad-*.dist-info"),
        ({"url": RELEASE, "meta": META}, "thing_one-*.dist-info"),
    ],
)
def test_any_version_of_the_package_is_a_trace(ref: dict[str, object], pattern: str) -> None:
    assert WHEEL.trace(ref) == ("site-packages", pattern)


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({}, "either `requirement` or `url`"),
        ({"requirement": "a", "url": RELEASE}, "either `requirement` or `url`"),
        ({"requirement": "--index-url=http://evil.example"}, "begin with a package name"),
        ({"url": RELEASE}, "ref.meta"),
        ({"url": "https://example.org/model.zip", "meta": META}, "name of a wheel"),
    ],
)
def test_a_ref_that_cannot_be_a_wheel_is_refused(ref: dict[str, object], words: str) -> None:
    (problem,) = WHEEL.check_ref(ref)
    assert words in problem


def test_the_demo_hubs_release_resolves_over_the_real_wire(configured: Path, hub: DemoHub) -> None:
    name = "en_core_web_sm-3.8.0-py3-none-any.whl"
    ref = {"url": SPACY + name, "meta": SPACY_META + "en_core_web_sm-3.8.0.json"}
    with hub_web(configured) as web:
        pin = WHEEL.resolve(model("wheel", ref), web)
    content = hub.site.wheels[name].content
    expected = Artifact(name, SPACY + name, content.size, "sha256:" + content.sha256)
    assert pin.artifacts == (expected,)


def test_the_demo_hubs_index_resolves_through_pip(configured: Path, hub: DemoHub) -> None:
    with hub_web(configured) as web:
        pin = WHEEL.resolve(model("wheel", {"requirement": "silero-vad"}), web)
    (wheel,) = [found for found in hub.site.wheels.values() if found.package == "silero_vad"]
    (artifact,) = pin.artifacts
    assert artifact.name == wheel.filename
    assert artifact.digest == "sha256:" + wheel.content.sha256
    assert artifact.size == wheel.content.size
    # The lock outlives the mirror, so its addresses are the canonical ones.
    assert artifact.url.startswith("https://packages.example.org/cdn/")


def test_what_the_index_has_not_got_is_said(configured: Path) -> None:
    with hub_web(configured) as web, pytest.raises(ModelSetError) as caught:
        web.find_wheel("no-such-package")
    assert caught.value.failure.code == "index-failed"
    assert "no-such-package" in caught.value.failure.message


def test_a_stated_size_costs_no_question() -> None:
    sample, web = SAMPLES["url"]["stated"], FakeWeb()
    pin = URL.resolve(sample.model, web)
    assert web.asked == []
    assert pin.artifacts[0].size == 9
    assert pin.artifacts[0].name == "voice.onnx"


def test_a_size_that_is_not_stated_is_asked_for() -> None:
    web = FakeWeb(sizes={PLAIN: 12})
    pin = URL.resolve(SAMPLES["url"]["asked"].model, web)
    assert web.asked == [PLAIN]
    assert pin.artifacts[0].size == 12


def test_the_file_lies_at_its_path() -> None:
    pin = URL.resolve(SAMPLES["url"]["stated"].model, FakeWeb())
    found = URL.layout(pin)
    assert (found.root, found.folder) == ("piper", "en/voice.onnx")
    assert found.placements == (PutFile("en/voice.onnx", pin.artifacts[0]),)
    assert pin.revision == sha256("voice")[:12]


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\\b", "C:x", "a/./b"])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    ref = {**SAMPLES["url"]["stated"].model.ref, "path": path}
    (problem,) = URL.check_ref(ref)
    assert problem.startswith("ref.path: unsafe file name")


@pytest.mark.parametrize("size", [-1, True, "9", 1.5])
def test_a_size_that_is_no_number_of_bytes_is_refused(size: object) -> None:
    assert URL.check_ref({**SAMPLES["url"]["stated"].model.ref, "size": size}) == [
        "ref.size: should be a number of bytes"
    ]
