"""The catalog: what the built-in tables hold, and how every mistake in a table is named."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

import modelset
from modelset.core.catalog import NEED_WORDS, Catalog, parse_catalog
from modelset.core.errors import ModelSetError
from modelset.core.types import TIERS

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


def test_every_built_in_table_is_complete(built_in: Catalog) -> None:
    for model in built_in.models.values():
        assert model.size_bytes > 0, model.key
        assert model.licence, model.key
        assert model.library, model.key
        assert model.tier in TIERS, model.key
        assert set(model.needs) - set(model.needed_keys) <= set(NEED_WORDS), model.key


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
        ("vad", "VAD Models"),
        ("ner", "NER Models"),
        ("diarization", "Diarization Models"),
        ("mlx", "Apple Silicon Acceleration"),
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


def test_a_spacy_key_names_its_package_and_the_wheel_of_3_8_0(built_in: Catalog) -> None:
    for size in ("sm", "md", "lg", "trf"):
        model = built_in.get(f"spacy:en_core_web_{size}")
        wheel = f"{model.name}-3.8.0"
        assert str(model.ref["url"]).endswith(f"/{wheel}/{wheel}-py3-none-any.whl")
        assert str(model.ref["meta"]).endswith(f"/meta/{wheel}.json")


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

    assert caught.value.failure.hint.startswith("closest: `whisper:base`, `mlx:base`; ")


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
    assert set(with_house.models) - set(plain.models) == {"whisper:house"}
    assert list(tomllib.loads(used)["mirrors"]) == [
        "https://huggingface.co/",
        "https://github.com/",
    ]
