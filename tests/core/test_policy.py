"""Which files can run code, and what a user's policy lets through."""

from __future__ import annotations

import pytest

from modelset.core.errors import ModelSetError, exit_code_of
from modelset.core.formats import format_of, formats_of
from modelset.core.policy import Policy, refuse_by_policy
from modelset.core.types import Artifact, Model, Pin, first_use

URL = "https://example.org/model"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.pt", "pickle"),
        ("a/b/Model.PTH", "pickle"),
        ("last.ckpt", "pickle"),
        ("x.pkl", "pickle"),
        ("x.pickle", "pickle"),
        ("x.joblib", "pickle"),
        ("silero_vad.jit", "pickle"),
        ("pytorch_model.bin", "pickle"),
        ("pytorch_model-00001-of-00002.bin", "pickle"),
        ("sub/training_args.bin", "pickle"),
        ("adapter_model.bin", "pickle"),
        ("optimizer.bin", "pickle"),
        ("model.bin", ""),
        ("vocab.bin", ""),
        ("model.safetensors", "safetensors"),
        ("model-00001.SAFETENSORS", "safetensors"),
        ("x.Q4_K_M.gguf", "gguf"),
        ("v.onnx", "onnx"),
        ("v.onnx.json", ""),
        ("plda.npz", "npz"),
        ("x.npy", "npz"),
        ("config.json", ""),
        ("weights.pt.txt", ""),
        ("folder.pt/config.json", ""),
        ("README", ""),
        ("", ""),
        (".", ""),
    ],
)
def test_the_name_of_a_file_tells_its_kind(name: str, kind: str) -> None:
    assert format_of(name) == kind


def test_a_model_is_made_of_what_the_catalog_says_and_of_what_its_files_tell() -> None:
    model = Model("a:b", "x", "optional", "url", {}, formats=("ctranslate2", "onnx"))
    names = ["model.bin", "a.onnx", "b.pt", "c.safetensors", "d.pt"]
    assert formats_of(model, names) == ("ctranslate2", "onnx", "pickle", "safetensors")
    assert formats_of(model, []) == ("ctranslate2", "onnx")


def model(*formats: str) -> Model:
    return Model("tts:house", "tts", "optional", "url", {}, formats=formats)


def pin(name: str, digest: str = "sha256:" + "0" * 64) -> Pin:
    return Pin("tts:house", "url", {}, "1", (Artifact(name, URL, 1, digest),))


ALLOWED = [Policy(), Policy(first_use=True), Policy("refuse"), Policy("refuse", True)]


@pytest.mark.parametrize("policy", ALLOWED)
@pytest.mark.parametrize("digest", ["sha256:" + "0" * 64, first_use(URL)])
def test_what_is_no_pickle_may_always_come(policy: Policy, digest: str) -> None:
    refuse_by_policy(model("onnx"), pin("voice.onnx", digest), policy)
    refuse_by_policy(model(), pin("model.bin", digest), policy)
    refuse_by_policy(model(), Pin("a:b", "api", {}, "key", ()), policy)


@pytest.mark.parametrize("wish", [model("pickle"), model("text", "pickle")])
@pytest.mark.parametrize("name", ["voice.zip", "voice.pt"])
def test_a_pickle_with_a_known_digest_comes_unless_all_are_refused(wish: Model, name: str) -> None:
    refuse_by_policy(wish, pin(name), Policy())
    refuse_by_policy(wish, pin(name), Policy(first_use=True))
    with pytest.raises(ModelSetError) as caught:
        refuse_by_policy(wish, pin(name), Policy("refuse"))
    assert caught.value.failure.code == "pickle-refused"
    assert "tts:house" in caught.value.failure.message
    assert "[policy]" in caught.value.failure.hint


def test_a_name_alone_makes_a_pickle_of_a_model_that_says_nothing() -> None:
    with pytest.raises(ModelSetError) as caught:
        refuse_by_policy(model("onnx"), pin("voice.pt"), Policy("refuse"))
    assert caught.value.failure.code == "pickle-refused"


def test_a_pickle_that_nobody_publishes_a_digest_of_wants_leave() -> None:
    unknown = pin("voice.pt", first_use(URL))
    refuse_by_policy(model(), unknown, Policy(first_use=True))
    with pytest.raises(ModelSetError) as caught:
        refuse_by_policy(model(), unknown, Policy())
    assert caught.value.failure.code == "digest-unknown"
    assert "--trust-first-use" in caught.value.failure.hint
    assert "ref.digest" in caught.value.failure.hint
    assert exit_code_of(caught.value.failure) == 13


def test_leave_for_a_first_use_does_not_open_what_is_refused() -> None:
    for digest in ("sha256:" + "0" * 64, first_use(URL)):
        with pytest.raises(ModelSetError) as caught:
            refuse_by_policy(model(), pin("voice.pt", digest), Policy("refuse", first_use=True))
        assert caught.value.failure.code == "pickle-refused"


def test_one_pickle_among_many_files_is_enough() -> None:
    rows = [Artifact(name, URL, 1, "sha256:" + "0" * 64) for name in ("a.json", "b.pt", "c.txt")]
    with pytest.raises(ModelSetError):
        refuse_by_policy(model(), Pin("a:b", "x", {}, "1", tuple(rows)), Policy("refuse"))
