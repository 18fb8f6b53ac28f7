"""The catalog: what the built-in tables hold, and how every mistake in a table is named."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

import modelset
from modelset.core.catalog import Catalog, parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.formats import format_of
from modelset.core.types import TIERS
from modelset.core.words import NEED_WORDS
from modelset.sources import check_ref

FOLDER = Path(modelset.__file__).parent / "catalog"

# `_MODELS` of faster_whisper/utils.py, faster-whisper 1.2.1.
FASTER_WHISPER = {
    **{
        name: f"Systran/faster-whisper-{name}"
        for name in (
            "tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium",
            "large-v1", "large-v2", "large-v3",
        )
    },
    "large": "Systran/faster-whisper-large-v3",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
}  # fmt: skip

HOUSE = """
[[model]]
key = "whisper:house"
category = "whisper"
source = "huggingface"
ref = { repo = "acme/whisper-house-ct2" }
"""

SMALL = """
category = "whisper"
title = "Whisper Models"
components = ["asr"]

[[model]]
key = "whisper:base"
tier = "critical"
source = "huggingface"
ref = { repo = "Systran/faster-whisper-base" }
aliases = ["whisper:usual"]
"""


def no_problems(_source: str, _ref: Mapping[str, object]) -> list[str]:
    return []


def built_in_texts() -> dict[str, str]:
    return {
        path.name: path.read_text("utf-8")
        for path in sorted(FOLDER.glob("*.toml"))
        if path.name != "hardware.toml"
    }


@pytest.fixture(scope="module")
def built_in() -> Catalog:
    return parse_catalog(built_in_texts(), check_ref=no_problems)


def problems_of(texts: Mapping[str, str]) -> list[str]:
    with pytest.raises(ModelSetError) as caught:
        parse_catalog(texts, check_ref=no_problems)
    assert caught.value.failure.code == "catalog-invalid"
    return caught.value.failure.message.split("\n")


def house(*lines: str) -> str:
    return HOUSE + "\n".join(lines)


@pytest.mark.parametrize(("name", "repo"), FASTER_WHISPER.items())
def test_every_name_that_faster_whisper_knows_leads_to_its_repository(
    built_in: Catalog, name: str, repo: str
) -> None:
    assert built_in.get(f"whisper:{name}").ref["repo"] == repo


# What `formats` may say.
FORMATS = {
    "ctranslate2", "safetensors", "gguf", "onnx", "npz", "torchscript", "pickle", "kaldi", "spacy",
    "text", "zip",
}  # fmt: skip


def test_every_built_in_table_of_the_default_set_is_complete(built_in: Catalog) -> None:
    for model in built_in.models.values():
        if model.tier != "available":
            assert model.size_bytes > 0, model.key
            assert model.licence, model.key
            assert model.formats, model.key


def test_every_built_in_table_names_its_library_and_what_it_is_made_of(built_in: Catalog) -> None:
    for model in [*built_in.models.values(), *built_in.templates.values()]:
        assert model.library, model.key
        assert model.tier in TIERS, model.key
        assert set(model.needs) - set(model.needed_keys) <= set(NEED_WORDS), model.key
        assert set(model.formats) <= FORMATS, model.key
        assert bool(model.formats) == (model.source != "api"), model.key


def test_every_built_in_ref_is_one_that_its_source_takes(built_in: Catalog) -> None:
    assert parse_catalog(built_in_texts(), check_ref=check_ref).models == built_in.models


def test_what_a_built_in_category_stands_for_is_its_own_and_not_in_the_default_set(
    built_in: Catalog,
) -> None:
    for category in built_in.categories.values():
        models = [built_in.models[key] for key in category.usual]
        assert {model.category for model in models} <= {category.name}
        own = [model for model in built_in.models.values() if model.category == category.name]
        in_default_set = any(model.tier != "available" for model in own)
        assert bool(models) != in_default_set, category.name


def test_built_in_pickles_are_said_to_be_pickles(built_in: Catalog) -> None:
    """By these words a policy refuses them, also where they come in an archive."""
    for model in built_in.models.values():
        names = [str(model.ref.get("path", "")), *map(str, model.ref.get("required", ()))]  # type: ignore[call-overload]
        for name in names:
            if format_of(name) == "pickle":
                assert "pickle" in model.formats or "torchscript" in model.formats, model.key


def test_the_built_in_default_set_is_the_documented_one(built_in: Catalog) -> None:
    tiers = {tier: [k for k, m in built_in.models.items() if m.tier == tier] for tier in TIERS}

    assert tiers["critical"] == ["whisper:base", "vad:silero", "spacy:en_core_web_trf"]
    assert tiers["optional"] == [
        "whisper:large-v3",
        "spacy:en_core_web_sm",
        "pyannote:speaker-diarization-3.1",
        "pyannote:segmentation-3.0",
        "mlx:large-v3-turbo",
    ]


def test_categories_come_in_the_order_that_their_files_give(built_in: Catalog) -> None:
    assert [(row.name, row.title) for row in built_in.categories.values()] == [
        ("whisper", "Whisper Models"),
        ("openai-whisper", "OpenAI Whisper Models"),
        ("vad", "VAD Models"),
        ("ner", "NER Models"),
        ("diarization", "Diarization Models"),
        ("mlx", "Apple Silicon Acceleration"),
        ("vosk", "Vosk Models"),
        ("tts", "TTS Models"),
        ("llm", "Language Models"),
        ("ollama", "Ollama Models"),
        ("embedding", "Embedding Models"),
        ("nlu", "NLU Models"),
        ("api", "API Models"),
    ]
    assert list(dict.fromkeys(model.category for model in built_in.models.values())) == list(
        built_in.categories
    )


def test_sizes_are_the_sums_of_the_recorded_files(built_in: Catalog) -> None:
    base = 2_309 + 145_217_532 + 2_203_239 + 459_861
    large = 2_394 + 3_087_284_237 + 2_480_617 + 1_068_114 + 340
    community = 444 + 5_906_507 + 26_646_242 + 133_852 + 134_376

    assert built_in.get("whisper:base").size_bytes == base
    assert built_in.get("whisper:large-v3").size_bytes == large
    assert built_in.get("pyannote:community-1").size_bytes == community
    assert built_in.get("pyannote:plda").size_bytes == 133_852 + 134_376


def test_a_whisper_ref_asks_for_the_library_s_files_and_insists_on_the_tokenizer(
    built_in: Catalog,
) -> None:
    for key in ("whisper:base", "whisper:distil-large-v3.5"):
        ref = built_in.get(key).ref
        assert ref["allow"] == [
            "config.json",
            "preprocessor_config.json",
            "model.bin",
            "tokenizer.json",
            "vocabulary.*",
        ]
        assert ref["required"] == ["config.json", "model.bin", "tokenizer.json", "vocabulary.*"]


def test_an_mlx_ref_takes_the_whole_repository(built_in: Catalog) -> None:
    for model in built_in.models.values():
        if model.category == "mlx":
            assert "allow" not in model.ref
            assert "config.json" in model.ref["required"]  # type: ignore[operator]
            assert model.needs == ("apple-silicon",)


def test_a_spacy_key_names_its_package(built_in: Catalog) -> None:
    found = [model for key, model in built_in.models.items() if key.startswith("spacy:")]
    assert {"en_core_web_sm", "en_core_web_trf"} <= {model.name for model in found}
    assert all(model.ref == {"spacy": model.name} for model in found)


def test_gates_stand_where_terms_must_be_accepted(built_in: Catalog) -> None:
    gates = {key: model.gate for key, model in built_in.models.items() if model.gate}

    assert gates == {
        "pyannote:speaker-diarization-3.1": (
            "https://huggingface.co/pyannote/speaker-diarization-3.1"
        ),
        "pyannote:segmentation-3.0": "https://huggingface.co/pyannote/segmentation-3.0",
        "pyannote:plda": "https://huggingface.co/pyannote/speaker-diarization-community-1",
        "pyannote:speaker-diarization-community-1": (
            "https://huggingface.co/pyannote/speaker-diarization-community-1"
        ),
    }
    assert all("hf-token" in built_in.get(key).needs for key in gates)


def test_speaker_diarization_needs_everything_the_library_loads(built_in: Catalog) -> None:
    assert built_in.get("pyannote:speaker-diarization-3.1").needed_keys == (
        "pyannote:segmentation-3.0",
        "pyannote:wespeaker-voxceleb-resnet34-LM",
        "pyannote:plda",
    )


@pytest.mark.parametrize(
    ("alias", "key"),
    [
        ("whisper:large", "whisper:large-v3"),
        ("whisper:turbo", "whisper:large-v3-turbo"),
        ("mlx:turbo", "mlx:large-v3-turbo"),
        ("pyannote:community-1", "pyannote:speaker-diarization-community-1"),
    ],
)
def test_an_alias_leads_to_its_model(built_in: Catalog, alias: str, key: str) -> None:
    assert built_in.get(alias).key == key


def test_an_unknown_key_is_answered_with_the_closest_ones(built_in: Catalog) -> None:
    with pytest.raises(ModelSetError) as caught:
        built_in.get("whisper:medum")

    failure = caught.value.failure
    assert (failure.code, failure.message) == ("unknown-model", "unknown model: whisper:medum")
    assert "`whisper:medium`" in failure.hint
    assert "modelset list" in failure.hint


def test_a_name_without_its_family_is_answered_with_the_full_keys(built_in: Catalog) -> None:
    with pytest.raises(ModelSetError) as caught:
        built_in.get("base")

    assert caught.value.failure.hint.startswith(
        "closest: `whisper:base`, `openai-whisper:base`, `mlx:base`; "
    )


def test_a_key_like_nothing_is_answered_with_the_list(built_in: Catalog) -> None:
    with pytest.raises(ModelSetError) as caught:
        built_in.get("§")

    assert caught.value.failure.hint == "`modelset list` shows every model"


def test_a_table_of_one_s_own_joins_its_category() -> None:
    catalog = parse_catalog({"whisper.toml": SMALL, "modelset.toml": HOUSE}, check_ref=no_problems)

    model = catalog.get("whisper:house")
    assert (model.tier, model.size_bytes, model.needs) == ("available", 0, ())
    assert model.ref == {"repo": "acme/whisper-house-ct2"}
    assert list(catalog.categories) == ["whisper"]


def test_a_later_file_replaces_a_table_whole_and_keeps_its_place() -> None:
    more = SMALL + HOUSE.replace("house", "second")
    own = HOUSE.replace("whisper:house", "whisper:base")
    catalog = parse_catalog({"whisper.toml": more, "modelset.toml": own}, check_ref=no_problems)

    assert list(catalog.models) == ["whisper:base", "whisper:second"]
    assert catalog.get("whisper:base").ref == {"repo": "acme/whisper-house-ct2"}
    assert catalog.get("whisper:base").tier == "available"
    assert catalog.aliases == {}


def test_an_unknown_category_becomes_a_new_one_after_the_others() -> None:
    own = HOUSE.replace('category = "whisper"', 'category = "House Models"')
    catalog = parse_catalog({"modelset.toml": own, "whisper.toml": SMALL}, check_ref=no_problems)

    assert [row.title for row in catalog.categories.values()] == ["Whisper Models", "House Models"]
    assert list(catalog.models) == ["whisper:base", "whisper:house"]


def test_other_sections_of_the_settings_file_do_not_matter() -> None:
    text = '[download]\nmax_workers = "?"\n[mirrors]\n"https://x/" = 1\n' + HOUSE
    catalog = parse_catalog({"modelset.toml": text}, check_ref=no_problems)

    assert list(catalog.models) == ["whisper:house"]


def test_no_files_make_an_empty_catalog() -> None:
    assert parse_catalog({}, check_ref=no_problems).models == {}


def test_the_default_of_a_file_fills_its_tables_and_merges_refs() -> None:
    text = """
category = "whisper"
[default]
source = "huggingface"
licence = "MIT"
ref.allow = ["model.bin"]
[[model]]
key = "whisper:a"
ref.repo = "x/a"
[[model]]
key = "whisper:b"
licence = "Apache-2.0"
ref = { repo = "x/b", allow = ["*"] }
"""
    catalog = parse_catalog({"whisper.toml": text}, check_ref=no_problems)

    first, second = catalog.models.values()
    assert (first.licence, first.ref) == ("MIT", {"allow": ["model.bin"], "repo": "x/a"})
    assert (second.licence, second.ref) == ("Apache-2.0", {"allow": ["*"], "repo": "x/b"})


def test_all_problems_of_all_files_are_reported_at_once() -> None:
    texts = {
        "broken.toml": 'key = "x\n',
        "whisper.toml": SMALL + 'size_byte = 5\nlicense = "MIT"\n[[model]]\nkey = "whisper"\n',
        "modelset.toml": house('tier = "must"', "size_bytes = -1", 'gate = "http://x.org"'),
    }
    problems = problems_of(texts)

    assert len(problems) == 9
    assert problems[0].startswith("broken.toml: not valid TOML: ")
    assert "line 1" in problems[0]
    assert problems[1:] == [
        "whisper.toml:6: whisper:base: size_byte: unknown field; did you mean `size_bytes`?",
        "whisper.toml:6: whisper:base: license: unknown field; did you mean `licence`?",
        (
            "whisper.toml:14: model 2: key: 'whisper' is not `family:name`: letters, digits, `.`, "
            "`_`, `-`, in the name also `:` `/`"
        ),
        "whisper.toml:14: model 2: source: missing",
        "whisper.toml:14: model 2: ref: missing",
        (
            "modelset.toml:2: whisper:house: tier: unknown tier 'must'; "
            "one of critical, optional, available"
        ),
        "modelset.toml:2: whisper:house: size_bytes: negative: -1",
        "modelset.toml:2: whisper:house: gate: expected an https address, got 'http://x.org'",
    ]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('size_bytes = "145 MB"', "size_bytes: expected a whole number, got '145 MB'"),
        ("size_bytes = true", "size_bytes: expected a whole number, got True"),
        ("licence = 3", "licence: expected a text, got 3"),
        ('needs = "hf-token"', "needs: expected a list of texts, got 'hf-token'"),
        ("needs = [1]", "needs: expected a list of texts, got [1]"),
        ('needs = ["hf-tokn"]', "needs: unknown word 'hf-tokn'; did you mean `hf-token`?"),
        (
            'needs = ["whisper:hous"]',
            "needs: unknown model whisper:hous; did you mean `whisper:house`?",
        ),
        ('gate = "https://"', "gate: expected an https address, got 'https://'"),
        (
            'aliases = ["house"]',
            (
                "aliases: 'house' is not `family:name`: letters, digits, `.`, `_`, `-`, "
                "in the name also `:` `/`"
            ),
        ),
        (
            'aliases = ["whisper:house"]',
            "aliases: whisper:house is already a name of whisper:house",
        ),
        ('flavour = "x"', "flavour: unknown field"),
        ("memory = 1", "memory: expected a text, got 1"),
        ('speed = ["16x"]', "speed: expected a text, got ['16x']"),
        ("note = true", "note: expected a text, got True"),
        ('formats = "gguf"', "formats: expected a list of texts, got 'gguf'"),
        ('formats = [["gguf"]]', "formats: expected a list of texts, got [['gguf']]"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_wrong(line: str, problem: str) -> None:
    assert problems_of({"modelset.toml": house(line)}) == [
        f"modelset.toml:2: whisper:house: {problem}"
    ]


@pytest.mark.parametrize("field", ["key", "category", "source", "ref"])
def test_a_missing_field_is_named(field: str) -> None:
    text = "\n".join(line for line in HOUSE.splitlines() if not line.startswith(field))

    assert problems_of({"modelset.toml": text})[0].endswith(f"{field}: missing")


@pytest.mark.parametrize(
    "key", ["base", ":base", "whisper:", "whisper:a b", "w:../x", "w:a//b", "é:x"]
)
def test_a_key_that_is_not_family_and_name_is_refused(key: str) -> None:
    (problem,) = problems_of({"modelset.toml": HOUSE.replace("whisper:house", key)})

    assert "model 1: key: " in problem


@pytest.mark.parametrize(
    "key", ["ollama:gemma2:9b", "hf:acme/whisper-v3.5_b", "vosk:small-vi", "spacy:en_core_web_sm"]
)
def test_a_name_may_hold_further_colons_and_slashes(key: str) -> None:
    text = HOUSE.replace("whisper:house", key)

    assert parse_catalog({"modelset.toml": text}, check_ref=no_problems).get(key).key == key


def test_a_key_twice_in_one_file_is_a_problem() -> None:
    assert problems_of({"modelset.toml": HOUSE + HOUSE}) == [
        "modelset.toml:8: whisper:house: key: appears twice in this file, first as model 1"
    ]


def test_a_name_that_two_models_share_is_laid_at_the_later_file() -> None:
    own = HOUSE.replace("whisper:house", "whisper:usual")
    assert problems_of({"whisper.toml": SMALL, "modelset.toml": own}) == [
        "modelset.toml:2: whisper:usual: key: whisper:usual is already a name of whisper:base"
    ]

    own = house('aliases = ["whisper:usual"]')
    assert problems_of({"whisper.toml": SMALL, "modelset.toml": own}) == [
        "modelset.toml:2: whisper:house: aliases: whisper:usual is already a name of whisper:base"
    ]


def test_the_head_of_a_category_file_is_checked() -> None:
    texts = {
        "a.toml": 'category = "a"\ntitel = "A"\ncomponents = "x"\n',
        "b.toml": 'category = "a"\norder = "first"\nmodel = 5\n',
    }

    assert problems_of(texts) == [
        "a.toml: titel: unknown field; did you mean `title`?",
        "a.toml: components: expected a list of texts, got 'x'",
        "b.toml: model: expected `[[model]]` tables",
        "b.toml: order: expected a whole number, got 'first'",
        "b.toml: category: a is already declared in a.toml",
    ]


def test_what_a_source_says_about_a_ref_is_reported_with_the_table() -> None:
    asked: list[tuple[str, object]] = []

    def check_ref(source: str, ref: Mapping[str, object]) -> list[str]:
        asked.append((source, ref))
        return [f"unknown source {source}", "ref.repo: should be `owner/name`"]

    with pytest.raises(ModelSetError) as caught:
        parse_catalog({"modelset.toml": HOUSE}, check_ref=check_ref)

    assert asked == [("huggingface", {"repo": "acme/whisper-house-ct2"})]
    assert caught.value.failure.message == (
        "modelset.toml:2: whisper:house: ref: unknown source huggingface\n"
        "modelset.toml:2: whisper:house: ref.repo: should be `owner/name`"
    )


def test_a_broken_file_does_not_make_what_it_held_unknown() -> None:
    texts = {"whisper.toml": "[[model\n", "modelset.toml": house('needs = ["whisper:base"]')}

    (problem,) = problems_of(texts)
    assert problem.startswith("whisper.toml: not valid TOML: ")


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 5000, "a = 1\na = 2", "\x00"])
def test_no_text_breaks_the_reader(text: str) -> None:
    assert problems_of({"modelset.toml": text})[0].startswith("modelset.toml: not valid TOML: ")


def test_a_table_without_a_line_of_its_own_is_still_named() -> None:
    text = 'model = [{ key = "a:b", category = "c", source = "url", ref = { url = "x" }, x = 1 }]'

    assert problems_of({"modelset.toml": text}) == ["modelset.toml: a:b: x: unknown field"]


def test_the_example_settings_file_is_valid_with_and_without_its_examples() -> None:
    text = (Path(__file__).parents[2] / "modelset.example.toml").read_text("utf-8")
    used = re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)
    texts = built_in_texts()

    plain = parse_catalog(texts | {"modelset.toml": text}, check_ref=no_problems)
    with_house = parse_catalog(texts | {"modelset.toml": used}, check_ref=no_problems)
    assert set(with_house.models) - set(plain.models) == {
        "whisper:house",
        "local:intents",
    }
    assert list(tomllib.loads(used)["mirrors"]) == [
        "https://huggingface.co/",
        "https://github.com/",
    ]


def test_an_unknown_kind_of_file_is_named() -> None:
    """A slip in the one word that a policy goes by would let everything through."""
    (problem,) = problems_of({"modelset.toml": house('formats = ["pickel"]')})
    assert problem.startswith("modelset.toml:2: whisper:house: formats: ")
    assert "pickel" in problem


def test_what_people_read_about_a_model_is_kept() -> None:
    lines = ('memory = "about 1 GB"', 'speed = "about 16x"', 'note = "Words."')
    text = house(*lines, 'formats = ["ctranslate2", "text"]')
    model = parse_catalog({"modelset.toml": text}, check_ref=no_problems).get("whisper:house")
    assert (model.memory, model.speed, model.note) == ("about 1 GB", "about 16x", "Words.")
    assert model.formats == ("ctranslate2", "text")


# ---- what a category stands for ------------------------------------------------------------


def test_a_category_says_what_is_usual_in_it() -> None:
    text = 'usual = ["whisper:base"]\n' + SMALL
    catalog = parse_catalog({"whisper.toml": text}, check_ref=no_problems)
    assert catalog.categories["whisper"].usual == ("whisper:base",)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('usual = "whisper:base"', "usual: expected a list of texts, got 'whisper:base'"),
        ("usual = [1]", "usual: expected a list of texts, got [1]"),
        (
            'usual = ["whisper:bse"]',
            "usual: unknown model 'whisper:bse'; did you mean `whisper:base`?",
        ),
        ('usual = ["x"]', "usual: unknown model 'x'"),
    ],
)
def test_what_is_usual_is_checked(line: str, problem: str) -> None:
    assert problems_of({"whisper.toml": f"{line}\n{SMALL}"}) == [f"whisper.toml: {problem}"]


def test_what_is_usual_may_be_in_another_file() -> None:
    texts = {"whisper.toml": 'usual = ["whisper:house"]\n' + SMALL, "modelset.toml": HOUSE}
    catalog = parse_catalog(texts, check_ref=no_problems)
    assert catalog.categories["whisper"].usual == ("whisper:house",)


def test_a_template_is_no_model_that_could_be_usual() -> None:
    text = 'usual = ["whisper:*"]\n' + SMALL + HOUSE.replace("whisper:house", "whisper:*")
    (problem,) = problems_of({"whisper.toml": text})
    assert problem.startswith("whisper.toml: usual: ")


def test_a_template_is_no_model_that_could_be_needed() -> None:
    text = SMALL + HOUSE.replace("whisper:house", "whisper:*")
    own = house('needs = ["whisper:*"]')
    (problem,) = problems_of({"whisper.toml": text, "modelset.toml": own})
    assert problem.startswith("modelset.toml:2: whisper:house: needs: ")


# ---- templates, and other revisions --------------------------------------------------------

TEMPLATE = """
category = "llm"
[[model]]
key = "ollama:*"
source = "ollama"
ref = { name = "*" }
library = "ollama"
formats = ["gguf"]
licence = "its own"
tier = "critical"
[[model]]
key = "ollama:gemma2:9b"
source = "ollama"
ref = { name = "gemma2:9b" }
size_bytes = 5
aliases = ["ollama:usual"]
[[model]]
key = "voice:*"
source = "huggingface"
ref = { repo = "acme/voices", revision = "v-*", allow = ["*/*.onnx", "x"], depth = 3 }
"""


@pytest.fixture
def families() -> Catalog:
    return parse_catalog({"llm.toml": TEMPLATE}, check_ref=no_problems)


def test_a_template_is_no_model_of_its_own(families: Catalog) -> None:
    assert list(families.models) == ["ollama:gemma2:9b"]
    assert list(families.templates) == ["ollama", "voice"]
    assert list(families.categories) == ["llm"]
    with pytest.raises(ModelSetError):
        families.get("ollama:*")


@pytest.mark.parametrize("name", ["mistral", "llama3.1:8b", "acme/thing:q4_K_M", "hf.co/a/b:Q8_0"])
def test_a_name_that_no_table_has_is_made_of_the_template(families: Catalog, name: str) -> None:
    model = families.get(f"ollama:{name}")
    assert (model.key, model.name, model.ref) == (f"ollama:{name}", name, {"name": name})
    assert (model.library, model.formats, model.licence) == ("ollama", ("gguf",), "its own")
    assert model.tier == "available"
    assert model.aliases == ()


def test_a_table_wins_over_the_template(families: Catalog) -> None:
    assert families.get("ollama:gemma2:9b").size_bytes == 5
    assert families.get("ollama:usual").key == "ollama:gemma2:9b"


def test_a_name_fills_every_text_of_the_ref_and_nothing_else(families: Catalog) -> None:
    assert families.get("voice:anna").ref == {
        "repo": "acme/voices",
        "revision": "v-anna",
        "allow": ["anna/anna.onnx", "x"],
        "depth": 3,
    }


@pytest.mark.parametrize(
    "key", ["ollama:", "ollama:../x", "ollama:a b", "ollama:a//b", "ollama:-x", "ollama:a\n", "x:y"]
)
def test_no_odd_name_is_made_of_a_template(families: Catalog, key: str) -> None:
    with pytest.raises(ModelSetError) as caught:
        families.get(key)
    assert caught.value.failure.code == "unknown-model"


def test_the_source_has_a_word_about_what_is_made() -> None:
    def check(source: str, ref: Mapping[str, object]) -> list[str]:
        return [f"ref.name: {ref['name']} is odd"] if "odd" in str(ref.get("name")) else []

    catalog = parse_catalog({"llm.toml": TEMPLATE}, check_ref=check)
    assert catalog.get("ollama:even").ref == {"name": "even"}
    with pytest.raises(ModelSetError, match=r"ollama:odd: ref\.name: odd is odd") as caught:
        catalog.get("ollama:odd")
    assert caught.value.failure.code == "unknown-model"


def test_a_template_that_its_source_does_not_take_is_a_problem_at_once() -> None:
    text = TEMPLATE.replace('ref = { name = "*" }', "ref = { naem = 5 }")
    with pytest.raises(ModelSetError, match=r"ollama:\*: ref\.naem: not a field of ollama"):
        parse_catalog({"llm.toml": text}, check_ref=check_ref)


def test_the_real_sources_take_a_template(built_in: Catalog) -> None:
    text = TEMPLATE[: TEMPLATE.index('[[model]]\nkey = "voice:*"')]
    catalog = parse_catalog({"llm.toml": text}, check_ref=check_ref)
    assert catalog.get("ollama:mistral:7b").ref == {"name": "mistral:7b"}
    with pytest.raises(ModelSetError, match=r"ref\.name"):
        catalog.get("ollama:a/b/c/d:e")


@pytest.mark.parametrize("key", ["*:x", "x:*y", "x:y*", "*", "x:*:y", "x:**", ":*"])
def test_only_the_whole_name_can_be_open(key: str) -> None:
    (problem,) = problems_of({"modelset.toml": HOUSE.replace("whisper:house", key)})
    assert "model 1: key: " in problem


def test_a_later_template_replaces_an_earlier_one() -> None:
    own = HOUSE.replace("whisper:house", "ollama:*")
    texts = {"llm.toml": TEMPLATE, "modelset.toml": own}
    catalog = parse_catalog(texts, check_ref=no_problems)
    assert catalog.get("ollama:mistral").source == "huggingface"


def test_another_revision_is_another_model_of_the_same_table(built_in: Catalog) -> None:
    base, other = built_in.get("whisper:base"), built_in.get("whisper:base@v2")
    assert other.key == "whisper:base@v2"
    assert other.ref == {**base.ref, "revision": "v2"}
    assert (other.tier, other.aliases) == ("available", ())
    assert (other.category, other.library, other.formats) == (
        base.category,
        base.library,
        base.formats,
    )
    assert "revision" not in base.ref


@pytest.mark.parametrize(
    "revision", ["main", "refs/pr/1", "714eb0f", "0" * 40, "v1.0", "release/a:b", "feature@2"]
)
def test_a_revision_is_whatever_stands_after_the_key(built_in: Catalog, revision: str) -> None:
    model = built_in.get(f"whisper:tiny@{revision}")
    assert model.ref["revision"] == revision
    assert model.ref["repo"] == built_in.get("whisper:tiny").ref["repo"]


def test_a_revision_of_an_alias_is_one_of_the_model(built_in: Catalog) -> None:
    assert built_in.get("whisper:large@v2") == built_in.get("whisper:large-v3@v2")


@pytest.mark.parametrize("key", ["whisper:base@", "@v2", "whisper:bse@v2", "@", "whisper:@v2"])
def test_a_revision_of_nothing_is_an_unknown_model(built_in: Catalog, key: str) -> None:
    with pytest.raises(ModelSetError) as caught:
        built_in.get(key)
    assert caught.value.failure.code == "unknown-model"


@pytest.fixture(scope="module")
def checked() -> Catalog:
    return parse_catalog(built_in_texts(), check_ref=check_ref)


@pytest.mark.parametrize(
    "key", ["whisper:base@../x", "whisper:base@/etc", "whisper:base@a\\b", "whisper:base@a\nb"]
)
def test_a_revision_that_leads_elsewhere_is_refused(checked: Catalog, key: str) -> None:
    with pytest.raises(ModelSetError, match=r"ref\.revision: unsafe") as caught:
        checked.get(key)
    assert caught.value.failure.code == "unknown-model"


@pytest.mark.parametrize(
    "key", ["ollama:gemma2:9b@x", "vosk:small-en@x", "tts:tacotron2-DDC@x", "api:anthropic@x"]
)
def test_a_source_without_revisions_says_so(checked: Catalog, key: str) -> None:
    with pytest.raises(ModelSetError, match=r"ref\.revision: not a field of"):
        checked.get(key)


def test_what_lies_flat_in_a_folder_has_one_revision_at_a_time(checked: Catalog) -> None:
    with pytest.raises(ModelSetError, match="only one revision of tts:piper") as caught:
        checked.get("tts:piper-en_US-lessac-medium@v1.0.0")
    assert caught.value.failure.code == "unknown-model"


def test_another_revision_keeps_off_the_names_of_the_first_one(checked: Catalog) -> None:
    """A library that asks for `main` or a short commit must go on finding the model itself."""
    base, other = checked.get("nlu:distilbert-sst2"), checked.get("nlu:distilbert-sst2@v2")
    names = {"main", *base.ref.get("refs", ())}  # type: ignore[misc]
    assert not names & {str(other.ref["revision"]), *other.ref.get("refs", ())}  # type: ignore[misc]
