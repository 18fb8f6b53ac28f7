"""Wheels from an index or a release, and single files."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Project, config_for
from tests.contract.samples import url as url_samples
from tests.contract.samples.url import PLAIN
from tests.contract.samples.wheel import (
    FROM_INDEX,
    FROM_RELEASE,
    INDEX_WHEEL,
    INDEXED,
    META,
    RELEASE,
    index_web_of,
    release_web_of,
)
from tests.fakes.samples import model, sha256
from tests.fakes.web import FakeWeb, hub_web

from modelset.core.errors import ModelSetError
from modelset.core.layout import InstallWheel, PutFile, Unpack
from modelset.core.types import Artifact, Pin
from modelset.demo.hub import DemoHub
from modelset.model_set import ModelSet
from modelset.settings import load_settings
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
    pin = WHEEL.resolve(FROM_RELEASE, web)
    assert pin.revision == "1.2.0"
    name = "thing_one-1.2.0-py3-none-any.whl"
    assert pin.artifacts == (Artifact(name, RELEASE, 4000, "sha256:" + sha256("one")),)
    assert web.asked == [META, RELEASE]


def test_an_indexed_wheel_is_pinned_as_the_index_says() -> None:
    pin = WHEEL.resolve(FROM_INDEX, index_web_of(INDEX_WHEEL))
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
        ({"spacy": "en_core_web_sm"}, "en_core_web_sm-*.dist-info"),
    ],
)
def test_any_version_of_the_package_is_a_trace(ref: dict[str, object], pattern: str) -> None:
    assert WHEEL.trace(ref) == ("site-packages", pattern)


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ({}, "either `requirement`, `spacy`, or `url`"),
        ({"requirement": "a", "url": RELEASE}, "either `requirement`, `spacy`, or `url`"),
        ({"requirement": "--index-url=http://evil.example"}, "begin with a package name"),
        ({"url": RELEASE}, "ref.meta"),
        ({"url": "https://example.org/model.zip", "meta": META}, "name of a wheel"),
        ({"spacy": "en_core_web_sm", "requirement": "a"}, "either `requirement`, `spacy`"),
        ({"spacy": "../x"}, "ref.spacy: should be the name of a package"),
        ({"spacy": "en-core/web"}, "ref.spacy: should be the name of a package"),
        ({"spacy": ""}, "ref.spacy: should be the name of a package"),
        ({"url": "https://[x/a-1-py3-none-any.whl", "meta": META}, "ref.url"),
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
    web = FakeWeb()
    pin = URL.resolve(url_samples.STATED, web)
    assert web.asked == []
    assert pin.artifacts[0].size == 9
    assert pin.artifacts[0].name == "voice.onnx"


def test_a_size_that_is_not_stated_is_asked_for() -> None:
    web = FakeWeb(sizes={PLAIN: 12})
    pin = URL.resolve(url_samples.ASKED, web)
    assert web.asked == [PLAIN]
    assert pin.artifacts[0].size == 12


def test_the_file_lies_at_its_path() -> None:
    pin = URL.resolve(url_samples.STATED, FakeWeb())
    found = URL.layout(pin)
    assert (found.root, found.folder) == ("piper", "en/voice.onnx")
    assert found.placements == (PutFile("en/voice.onnx", pin.artifacts[0]),)
    assert pin.revision == sha256("voice")[:12]


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "", "a\\b", "C:x", "a/./b"])
def test_a_path_that_leaves_the_root_is_refused(path: str) -> None:
    ref = {**url_samples.STATED.ref, "path": path}
    (problem,) = URL.check_ref(ref)
    assert problem.startswith("ref.path: unsafe file name")


@pytest.mark.parametrize("size", [-1, True, "9", 1.5])
def test_a_size_that_is_no_number_of_bytes_is_refused(size: object) -> None:
    assert URL.check_ref({**url_samples.STATED.ref, "size": size}) == [
        "ref.size: should be a whole number"
    ]


# ---- spaCy's pipelines ---------------------------------------------------------------------

TABLE = {
    "spacy": {
        "3.8": {"en_core_web_sm": ["3.8.0", "3.7.1"], "xx_ent_wiki_sm": ["3.8.0"]},
        "3.7": {"en_core_web_sm": ["3.7.1", "3.7.0"], "en_core_web_trf": ["3.7.3"]},
        "4.0.0.dev3": {"en_core_web_sm": ["4.0.0.dev1"]},
        "2.3": {"en_core_web_sm": []},
    }
}


def spacy_pin(installed: str, package: str = "en_core_web_sm", table: object = TABLE) -> Pin:
    """The pin for an installed spaCy; the web has the meta of every version that there is."""
    versions = ("3.8.0", "3.7.1", "3.7.3", "4.0.0.dev1")
    pages = {f"{SPACY_META}{package}-{one}.json": {"checksum_whl": sha256(one)} for one in versions}
    place = "https://github.com/explosion/spacy-models/releases/download"
    web = FakeWeb(
        json={SPACY_META.removesuffix("meta/") + "compatibility.json": table} | pages,
        sizes={
            f"{place}/{package}-{one}/{package}-{one}-py3-none-any.whl": 7000 for one in versions
        },
        packages={"spacy": installed} if installed else {},
    )
    return WHEEL.resolve(model("wheel", {"spacy": package}), web)


@pytest.mark.parametrize(
    ("installed", "version"),
    [
        ("3.8.7", "3.8.0"),
        ("3.8.0", "3.8.0"),
        ("3.7.5", "3.7.1"),
        ("3.7", "3.7.1"),
        ("4.0.0.dev3", "4.0.0.dev1"),
        ("3.8.0.dev1", "3.8.0"),
        ("", "3.8.0"),
    ],
)
def test_a_pipeline_is_the_first_that_belongs_to_the_installed_spacy(
    installed: str, version: str
) -> None:
    pin = spacy_pin(installed)
    assert pin.revision == version
    name = f"en_core_web_sm-{version}-py3-none-any.whl"
    place = f"https://github.com/explosion/spacy-models/releases/download/en_core_web_sm-{version}/"
    assert pin.artifacts == (Artifact(name, place + name, 7000, "sha256:" + sha256(version)),)
    assert WHEEL.layout(pin).opened == "en_core_web_sm"
    assert WHEEL.layout(pin).folder == f"en_core_web_sm-{version}.dist-info"


@pytest.mark.parametrize(
    ("installed", "package", "minor"),
    [
        ("3.8.7", "en_core_web_trf", "3.8"),
        ("3.6.1", "en_core_web_sm", "3.6"),
        ("2.3.9", "en_core_web_sm", "2.3"),
        ("", "en_no_such_thing", "3.8"),
        ("nonsense", "en_core_web_sm", "nonsense"),
    ],
)
def test_a_pipeline_that_is_not_made_for_this_spacy_is_said(
    installed: str, package: str, minor: str
) -> None:
    with pytest.raises(ModelSetError) as caught:
        spacy_pin(installed, package)
    failure = caught.value.failure
    assert failure.code == "not-found"
    assert failure.message == f"test:thing: spaCy {minor} has no pipeline {package}"
    assert "another spaCy" in failure.hint


def test_the_demo_hubs_pipeline_resolves_over_the_real_wire(configured: Path, hub: DemoHub) -> None:
    with hub_web(configured) as web:
        pin = WHEEL.resolve(model("wheel", {"spacy": "xx_ent_wiki_sm"}), web)
    content = hub.site.wheels["xx_ent_wiki_sm-3.8.0-py3-none-any.whl"].content
    assert pin.revision == "3.8.0"
    assert pin.artifacts[0].digest == "sha256:" + content.sha256


# ---- archives, and files without a digest --------------------------------------------------


def test_what_nobody_publishes_a_digest_of_is_named_by_its_address() -> None:
    web = FakeWeb(sizes={PLAIN: 12})
    pin = URL.resolve(url_samples.FIRST_USE, web)
    (artifact,) = pin.artifacts
    assert artifact.digest == "first-use:" + sha256(PLAIN)
    assert not pin.is_exact
    assert pin.revision == sha256(PLAIN)[:12]
    assert URL.layout(pin).placements == (PutFile("tts/voice.onnx", artifact),)


@pytest.mark.parametrize("strip", ["none", "top", "all"])
def test_an_archive_becomes_the_folder_at_its_path(strip: str) -> None:
    ref = {**url_samples.UNPACKED.ref, "unpack": strip}
    web = FakeWeb(sizes={url_samples.ARCHIVE: 4000})
    pin = URL.resolve(model("url", ref), web)
    (artifact,) = pin.artifacts
    assert artifact.name == "house voice.zip"
    found = URL.layout(pin)
    assert (found.root, found.folder) == ("tts", "voices--house")
    assert found.placements == (Unpack("voices--house", artifact, strip, ("config.json",)),)  # type: ignore[arg-type]
    assert URL.trace(ref) == ("tts", "voices--house")


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.org/a/b.tar.gz", "b.tar.gz"),
        ("https://example.org/b.zip?name=../../c#d", "b.zip"),
        ("https://example.org/a%2F..%2Fb.zip", "b.zip"),
    ],
)
def test_an_archive_is_named_as_its_address_ends(url: str, name: str) -> None:
    ref = {"url": url, "root": "tts", "path": "house", "unpack": "top", "size": 5}
    assert URL.resolve(model("url", ref), FakeWeb()).artifacts[0].name == name


@pytest.mark.parametrize(
    "url", ["https://example.org/", "https://example.org/a%5Cb.zip", "https://example.org/%00"]
)
def test_an_address_that_names_no_archive_is_said(url: str) -> None:
    ref = {"url": url, "root": "tts", "path": "house", "unpack": "top", "size": 5}
    with pytest.raises(ModelSetError, match="unsafe file name"):
        URL.resolve(model("url", ref), FakeWeb())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"unpack": "flat"}, "ref.unpack: should be one of none, top, all"),
        ({"unpack": ["top"]}, "ref.unpack: should be a text"),
        ({"mutable": "config.json"}, "ref.mutable: should be a list of texts"),
        ({"mutable": [1]}, "ref.mutable: should be a list of texts"),
        ({"url": "file:///etc/passwd"}, "ref.url: should be an https address"),
        ({"url": "https://user:pw@example.org/x"}, "ref.url: a user and a password"),
        ({"url": "https://[x/a.zip"}, "ref.url: "),
        ({"root": 5}, "ref.root: should be a text"),
    ],
)
def test_a_wrong_field_of_an_archive_is_named(changes: dict[str, object], words: str) -> None:
    problems = URL.check_ref({**url_samples.UNPACKED.ref, **changes})
    assert problems
    assert problems[0].startswith(words)


@pytest.mark.parametrize("root", ["nowhere", "local", "registry", "downloads", "credentials"])
def test_nothing_is_downloaded_into_a_root_that_is_not_a_librarys(
    project: Project, root: str
) -> None:
    project.config.write_text(f"""
[[model]]
key = "house:voice"
category = "house"
source = "url"
ref = {{ url = "https://example.org/x", root = "{root}", path = "etc/x", size = 1 }}
""")
    with pytest.raises(ModelSetError, match=r"ref\.root: ") as caught:
        _ = ModelSet(load_settings({}, project.environ, project.folder)).catalog
    assert caught.value.failure.code == "catalog-invalid"
