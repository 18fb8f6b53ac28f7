"""Every library's job, on the small models of the demo set, and on models that are not whole."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.trial.conftest import MODELS, Laboratory, demo_model, subject_of

from modelset.core.catalog import parse_catalog
from modelset.sources import check_ref
from modelset.store.catalog import catalog_texts
from modelset.trial.jobs import JOBS, job_for
from modelset.trial.sound import RATE, pcm, tone
from modelset.trial.values import SkipError, Trial


def needs(*modules: str) -> None:
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def assert_passed(trial: Trial, used: str) -> None:
    assert trial.result == "passed", trial
    assert trial.used.partition(" ")[0] == used
    assert trial.load_s > 0
    assert trial.peak_bytes > 10_000_000


def installed(laboratory: Laboratory, pattern: str) -> tuple[Path, Mapping[str, str]]:
    """Unpack a wheel of the demo set; returns its dist-info, and the roots."""
    wheels = list(demo_model("wheels").glob(pattern))
    if not wheels:
        pytest.skip(f"the demo set has no wheel {pattern}")
    with zipfile.ZipFile(wheels[0]) as wheel:
        wheel.extractall(laboratory.libraries)
    (info,) = laboratory.libraries.glob(pattern.partition("-")[0] + "*.dist-info")
    return info, {"site-packages": str(laboratory.libraries)}


# ---- each library --------------------------------------------------------------------------------


def test_faster_whisper(laboratory: Laboratory) -> None:
    needs("faster_whisper")
    trial = laboratory.try_it(subject_of("faster-whisper", demo_model("whisper-tiny-demo")))
    assert_passed(trial, "faster-whisper")
    assert trial.detail == 'heard "modelset demo speech"'


def test_openai_whisper(laboratory: Laboratory) -> None:
    needs("whisper", "torch")
    model = demo_model("openai-whisper/tiny.pt")
    assert_passed(laboratory.try_it(subject_of("openai-whisper", model)), "openai-whisper")


def test_vosk(laboratory: Laboratory) -> None:
    needs("vosk")
    assert_passed(laboratory.try_it(subject_of("vosk", demo_model("vosk"))), "vosk")


def test_silero_vad_out_of_its_wheel(laboratory: Laboratory) -> None:
    needs("torch")
    info, roots = installed(laboratory, "silero_vad-*.whl")
    trial = laboratory.try_it(subject_of("silero-vad", info, source="wheel", roots=roots))
    assert_passed(trial, "silero-vad")
    assert trial.used == f"silero-vad {info.name.removesuffix('.dist-info').partition('-')[2]}"


def test_silero_vad_out_of_torch_hub(laboratory: Laboratory) -> None:
    needs("torch")
    subject = subject_of("silero-vad", demo_model("silero-vad-hub"), source="torchhub")
    assert_passed(laboratory.try_it(subject), "torch")


@pytest.mark.parametrize("size", ["sm", "trf"])
def test_spacy(laboratory: Laboratory, size: str) -> None:
    needs("spacy")
    info, roots = installed(laboratory, f"en_core_web_{size}-*.whl")
    trial = laboratory.try_it(subject_of("spacy", info, source="wheel", roots=roots))
    assert_passed(trial, "spacy")
    assert "found Tim Cook, London" in trial.detail


def test_pyannote_or_what_it_lacks(laboratory: Laboratory) -> None:
    trial = laboratory.try_it(subject_of("pyannote.audio", demo_model("segmentation-3.0")))
    if importlib.util.find_spec("pyannote") is None:
        assert trial.result == "skipped"
        assert "is not installed: pip install" in trial.detail
    elif trial.result == "skipped":  # torchaudio or torchcodec may not fit the machine
        assert "cannot be imported" in trial.detail
    else:
        assert_passed(trial, "pyannote.audio")


@pytest.mark.skipif(sys.platform == "darwin", reason="may be Apple Silicon")
def test_mlx_whisper_is_for_apple(laboratory: Laboratory) -> None:
    trial = laboratory.try_it(subject_of("mlx-whisper", demo_model("mlx-whisper-demo")))
    assert (trial.result, trial.detail) == ("skipped", "mlx-whisper needs Apple Silicon")


def test_silero(laboratory: Laboratory) -> None:
    needs("torch")
    trial = laboratory.try_it(subject_of("silero", demo_model("silero-tts/v4_ru.pt")))
    assert_passed(trial, "torch")
    assert trial.detail.startswith("spoke for ")


def test_piper(laboratory: Laboratory) -> None:
    needs("piper")
    assert_passed(laboratory.try_it(subject_of("piper-tts", demo_model("piper"))), "piper-tts")


COQUI = """
class TTS:
    def __init__(self, model_path, config_path, progress_bar, **more):
        FAULT
        print(model_path, config_path, more)
        self.synthesizer = type("Synthesizer", (), {"output_sample_rate": 22050})
        self.speakers, self.languages = SPEAKERS, LANGUAGES
    def tts(self, text, speaker, language):
        print("speaks", speaker, language)
        return [0.0] * 44100
"""


MODELS_OF_COQUI = {
    "tts_models": {"en": {"x": {"y": {"default_vocoder": "vocoder_models/en/x/hifi"}, "z": {}}}}
}


def coqui(laboratory: Laboratory, kind: str, name: str = "z", **words: object) -> Path:
    """A library with the calls of the real one, and a voice; returns the voice's folder."""
    package = laboratory.libraries / "TTS"
    (package / "utils").mkdir(parents=True)
    words = {"SPEAKERS": None, "LANGUAGES": None, "FAULT": ""} | words
    text = COQUI
    for word, value in words.items():
        text = text.replace(word, str(value))
    manager = f"class ModelManager:\n    models_dict = {MODELS_OF_COQUI!r}\n"
    for path, lines in (("__init__", ""), ("api", text), ("utils/manage", manager)):
        (package / f"{path}.py").write_text(lines)
    voice = laboratory.folder / f"tts_models--en--x--{name}"
    voice.mkdir()
    (voice / "config.json").write_text(json.dumps({"model": kind}))
    for file in ("model_file.pth", "dvae.pth", "speakers.pth"):
        (voice / file).write_text("")
    return voice


@pytest.mark.parametrize(
    ("kind", "speakers", "languages", "model"),
    [
        ("vits", None, None, "model_file.pth"),
        ("xtts", ["Ana"], ["de", "en"], ""),
        ("your_tts", ["Bo"], ["de"], "model_file.pth"),
    ],
)
def test_coqui_is_called_as_its_source_says(
    laboratory: Laboratory,
    kind: str,
    speakers: list[str] | None,
    languages: list[str] | None,
    model: str,
) -> None:
    voice = coqui(laboratory, kind, SPEAKERS=speakers, LANGUAGES=languages)
    trial = laboratory.try_it(subject_of("coqui-tts", voice))
    assert_passed(trial, "coqui-tts")
    assert trial.detail == "spoke for 2.0 s"
    path = str(voice / model) if model else str(voice)
    assert f"{path} {voice / 'config.json'} {{}}" in laboratory.words
    language = None if languages is None else "en" if "en" in languages else "de"
    speaker = None if speakers is None else speakers[0]
    assert f"speaks {speaker} {language}" in laboratory.words


def test_a_voice_of_coqui_speaks_with_its_vocoder(laboratory: Laboratory) -> None:
    voice = coqui(laboratory, "glow_tts", "y")
    subject = subject_of("coqui-tts", voice, roots={"tts": str(laboratory.folder)})
    trial = laboratory.try_it(subject)
    assert trial.result == "failed"
    assert "no model_file.pth" in trial.detail
    vocoder = laboratory.folder / "vocoder_models--en--x--hifi"
    vocoder.mkdir()
    (vocoder / "model_file.pth.tar").write_text("")
    assert_passed(laboratory.try_it(subject), "coqui-tts")
    assert f"'vocoder_path': '{vocoder / 'model_file.pth.tar'}'" in laboratory.words
    assert f"'vocoder_config_path': '{vocoder / 'config.json'}'" in laboratory.words


def test_a_machine_without_espeak_is_not_the_fault_of_a_voice(laboratory: Laboratory) -> None:
    fault = "raise Exception('No espeak backend found.')"
    voice = coqui(laboratory, "vits", FAULT=fault)
    trial = laboratory.try_it(subject_of("coqui-tts", voice))
    assert trial.result == "skipped"
    assert "needs espeak-ng" in trial.detail


def test_a_vocoder_of_coqui_is_not_tried_alone(laboratory: Laboratory) -> None:
    vocoder = laboratory.folder / "vocoder_models--en--x--y"
    vocoder.mkdir()
    trial = laboratory.try_it(subject_of("coqui-tts", vocoder))
    assert trial.result == "skipped"
    assert "test the voice" in trial.detail


def test_sentence_transformers(laboratory: Laboratory) -> None:
    needs("sentence_transformers")
    trial = laboratory.try_it(subject_of("sentence-transformers", demo_model("all-MiniLM-L6-v2")))
    assert_passed(trial, "sentence-transformers")


def test_transformers(laboratory: Laboratory) -> None:
    needs("transformers", "torch")
    trial = laboratory.try_it(subject_of("transformers", demo_model("distilbert-sst2")))
    assert_passed(trial, "transformers")
    assert trial.detail.startswith("found POSITIVE (")


def test_vader_out_of_its_wheel(laboratory: Laboratory) -> None:
    info, roots = installed(laboratory, "vaderSentiment-*.whl")
    trial = laboratory.try_it(subject_of("vaderSentiment", info, source="wheel", roots=roots))
    assert_passed(trial, "vaderSentiment")


def lexicon(folder: Path, text: str) -> Path:
    path = folder / "nltk_data" / "sentiment" / "vader_lexicon.zip"
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("vader_lexicon/vader_lexicon.txt", text)
    # NLTK does not trust what others may change.
    for one in (path.parent.parent, path.parent):
        one.chmod(0o755)
    path.chmod(0o644)
    return path


def test_vader_of_nltk(laboratory: Laboratory) -> None:
    needs("nltk")
    path = lexicon(laboratory.folder, "good\t1.9\t0.9\t[2]\nhappy\t2.7\t0.9\t[2]")
    roots = {"nltk": str(path.parent.parent)}
    trial = laboratory.try_it(subject_of("nltk", path, key="nltk:vader_lexicon", roots=roots))
    assert_passed(trial, "nltk")
    path.unlink()
    lost = laboratory.try_it(subject_of("nltk", path, key="nltk:vader_lexicon", roots=roots))
    assert lost.result == "failed"


def test_a_lexicon_that_is_not_whole_is_noticed(laboratory: Laboratory) -> None:
    needs("nltk")
    path = lexicon(laboratory.folder, "bad\t-1.9\t0.9\t[2]")
    roots = {"nltk": str(path.parent.parent)}
    trial = laboratory.try_it(subject_of("nltk", path, key="nltk:vader_lexicon", roots=roots))
    assert trial.result == "failed"
    assert "the lexicon is not whole" in trial.detail


# ---- llama.cpp, Ollama, and weights of no known library ------------------------------------------


def gguf(path: Path) -> Path:
    """A GGUF file without a tokenizer: its header is all that can be read."""
    needs("gguf", "numpy")
    import gguf as library
    import numpy

    writer = library.GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_tensor("token_embd.weight", numpy.zeros((64, 32), numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def has_llama() -> bool:
    return any(importlib.util.find_spec(name) for name in ("llama_cpp", "xllamacpp"))


def test_llama_cpp_writes(laboratory: Laboratory) -> None:
    if not has_llama():
        pytest.skip("there is no llama.cpp")
    model = demo_model("gguf/tiny-llama.gguf")
    trial = laboratory.try_it(subject_of("llama.cpp", model))
    assert trial.result == "passed", laboratory.words
    assert "wrote" in trial.detail
    assert trial.used.split()[0] in ("llama-cpp-python", "xllamacpp")


def test_llama_cpp_refuses_a_model_that_lacks_a_tokenizer(laboratory: Laboratory) -> None:
    if not has_llama():
        pytest.skip("there is no llama.cpp")
    trial = laboratory.try_it(subject_of("llama.cpp", gguf(laboratory.folder / "x.gguf")))
    assert trial.result == "failed", trial


def test_without_llama_cpp_the_header_is_read_and_that_is_said(laboratory: Laboratory) -> None:
    path = gguf(laboratory.folder / "x.gguf")
    laboratory.hide("llama_cpp", "xllamacpp")
    trial = laboratory.try_it(subject_of("llama.cpp", path))
    assert_passed(trial, "gguf")
    assert trial.detail == "header only: llama, 8192 bytes of tensors"


def test_of_several_models_in_one_folder_the_named_one_is_tried(laboratory: Laboratory) -> None:
    folder = laboratory.folder / "repository"
    folder.mkdir()
    gguf(folder / "b.Q4.gguf")
    (folder / "a.Q4.gguf").write_text("of another model")
    laboratory.hide("llama_cpp", "xllamacpp")
    for ref in ({"allow": ["deep/b.Q4.gguf"]}, {"required": ["b.*"], "allow": ["*"]}):
        assert_passed(laboratory.try_it(subject_of("llama.cpp", folder, ref=ref)), "gguf")
    assert laboratory.try_it(subject_of("llama.cpp", folder)).result == "failed"


def test_a_voice_whose_path_is_that_of_its_settings_is_found(laboratory: Laboratory) -> None:
    needs("piper")
    folder = laboratory.folder / "piper"
    shutil.copytree(demo_model("piper"), folder)
    (folder / "another.onnx").write_text("of another model")
    ref = {"allow": ["en/voice.onnx", "en/voice.onnx.json"]}
    trial = laboratory.try_it(subject_of("piper-tts", folder / "voice.onnx.json", ref=ref))
    assert_passed(trial, "piper-tts")


def test_what_lies_beside_a_model_is_not_tried_for_it(laboratory: Laboratory) -> None:
    folder = laboratory.folder / "repository"
    folder.mkdir()
    gguf(folder / "tiny-Q4.gguf")
    (folder / "mmproj-f16.gguf").write_text("pictures")
    laboratory.hide("llama_cpp", "xllamacpp")
    trial = laboratory.try_it(subject_of("llama.cpp", folder))
    assert_passed(trial, "gguf")


def ollama(folder: Path, blob: Path, media: str) -> dict[str, str]:
    digest = "sha256:" + "0" * 64
    manifest = folder / "ollama/manifests/registry.ollama.ai/library/tiny/1b"
    manifest.parent.mkdir(parents=True)
    layers = [{"mediaType": media, "digest": digest, "size": 1}]
    manifest.write_text(json.dumps({"schemaVersion": 2, "layers": layers}))
    (folder / "ollama/blobs").mkdir()
    shutil.copy(blob, folder / "ollama/blobs" / digest.replace(":", "-"))
    return {"ollama": str(folder / "ollama")}


@pytest.mark.parametrize("path", ["ollama", "ollama/manifests/registry.ollama.ai/library/tiny/1b"])
def test_ollama_needs_no_daemon(laboratory: Laboratory, path: str) -> None:
    blob = gguf(laboratory.folder / "x.gguf")
    roots = ollama(laboratory.folder, blob, "application/vnd.ollama.image.model")
    laboratory.hide("llama_cpp", "xllamacpp")
    subject = subject_of(
        "ollama", laboratory.folder / path, key="ollama:tiny:1b", source="ollama", roots=roots
    )
    trial = laboratory.try_it(subject)
    assert_passed(trial, "gguf")


def test_an_ollama_model_in_many_blobs_is_skipped(laboratory: Laboratory) -> None:
    blob = gguf(laboratory.folder / "x.gguf")
    roots = ollama(laboratory.folder, blob, "application/vnd.ollama.image.tensor")
    subject = subject_of("ollama", laboratory.folder, key="ollama:tiny:1b", roots=roots)
    trial = laboratory.try_it(subject)
    assert trial.result == "skipped"
    assert "no weights in one file" in trial.detail


def test_weights_of_no_known_library_are_opened_by_their_kind(laboratory: Laboratory) -> None:
    needs("safetensors", "numpy")
    folder = demo_model("mlx-whisper-demo")
    trial = laboratory.try_it(subject_of("", folder, key="local:x", source="local"))
    assert_passed(trial, "safetensors")
    assert trial.detail.startswith("header only: ")
    path = gguf(laboratory.folder / "x.gguf")
    trial = laboratory.try_it(subject_of("", path, key="local:x", source="local"))
    assert_passed(trial, "gguf")


def test_a_network_of_no_known_library_is_made_ready(laboratory: Laboratory) -> None:
    needs("onnxruntime")
    model = demo_model("piper/voice.onnx")
    trial = laboratory.try_it(subject_of("", model, key="local:x", source="local"))
    assert_passed(trial, "onnxruntime")
    assert "input" in trial.detail


def test_a_folder_without_weights_is_skipped(laboratory: Laboratory) -> None:
    trial = laboratory.try_it(subject_of("", laboratory.libraries, key="local:x"))
    assert trial.result == "skipped"
    assert "names no library" in trial.detail


# ---- models that are not whole -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("library", "module", "model", "file"),
    [
        ("faster-whisper", "faster_whisper", "whisper-tiny-demo", "model.bin"),
        ("", "safetensors", "mlx-whisper-demo", "weights.safetensors"),
        ("vosk", "vosk", "vosk", "am/final.mdl"),
        ("silero-vad", "torch", "silero-vad-hub", "hubconf.py"),
    ],
)
def test_half_a_model_fails(
    laboratory: Laboratory, library: str, module: str, model: str, file: str
) -> None:
    needs(module)
    whole = demo_model(model)
    broken = laboratory.folder / "broken"
    shutil.copytree(whole, broken)
    path = broken / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    source = "torchhub" if model == "silero-vad-hub" else "huggingface"
    trial = laboratory.try_it(subject_of(library, broken, source=source))
    assert trial.result == "failed", trial
    assert trial.detail


@pytest.mark.parametrize("library", ["openai-whisper", "piper-tts", "llama.cpp"])
def test_a_folder_without_the_file_fails(laboratory: Laboratory, library: str) -> None:
    needs({"openai-whisper": "whisper", "piper-tts": "piper", "llama.cpp": "gguf"}[library])
    trial = laboratory.try_it(subject_of(library, laboratory.libraries))
    assert trial.result == "failed"
    assert f"in {laboratory.libraries}" in trial.detail


def test_another_package_of_the_same_name_is_not_tried_instead(laboratory: Laboratory) -> None:
    needs("spacy")
    info, _ = installed(laboratory, "en_core_web_sm-*.whl")
    roots = {"site-packages": str(laboratory.folder / "elsewhere")}
    trial = laboratory.try_it(subject_of("spacy", info, source="wheel", roots=roots))
    assert trial.result == "failed"
    assert "Python finds another en_core_web_sm first" in trial.detail


def test_a_placed_package_that_python_does_not_find_fails(laboratory: Laboratory) -> None:
    needs("spacy")
    info = laboratory.folder / "en_nowhere_sm-1.0.dist-info"
    roots = {"site-packages": str(laboratory.folder)}
    trial = laboratory.try_it(subject_of("spacy", info, source="wheel", roots=roots))
    assert trial.result == "failed"
    assert "Python does not find en_nowhere_sm" in trial.detail


# ---- which job -----------------------------------------------------------------------------------


def test_every_library_of_the_catalog_has_a_job() -> None:
    catalog = parse_catalog(catalog_texts(), check_ref=check_ref)
    named = {
        model.library
        for model in catalog.models.values()
        if model.library and "api" not in (model.source, model.library)
    }
    assert len(named) >= 5
    assert named <= set(JOBS)


def test_a_library_that_nobody_knows_is_skipped(laboratory: Laboratory) -> None:
    trial = laboratory.try_it(subject_of("nonesuch", MODELS))
    assert (trial.result, trial.detail) == ("skipped", "no trial for library nonesuch")


@pytest.mark.parametrize(("source", "library"), [("api", ""), ("api", "openai"), ("url", "api")])
def test_an_api_needs_the_network(source: str, library: str) -> None:
    with pytest.raises(SkipError, match="needs the network: modelset verify some:model"):
        job_for(subject_of(library, "", source=source))


def test_the_sound_is_one_second_of_something() -> None:
    assert len(tone()) == RATE == len(pcm()) // 2
    assert tone() == tone()
    assert 0.1 < sum(map(abs, tone())) / RATE < 0.4
    assert max(map(abs, tone())) < 1
