"""Profiles, rules, and what the shipped rules say about every kind of machine."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import get_args

import pytest

from modelset.core.hardware import (
    CPU_TYPES,
    GB,
    Gpu,
    Profile,
    Whisper,
    capabilities,
    parse_rules,
    recommend,
)

TOML = (files("modelset") / "catalog" / "hardware.toml").read_text(encoding="utf-8")
RULES = parse_rules(TOML)

PLAIN = Profile(
    schema_version=1,
    fingerprint="test",
    profiled_at="2026-01-02T03:04:05+00:00",
    system="Linux",
    machine="x86_64",
    python="3.11.7",
    cpu_name="Test CPU",
    cores_physical=8,
    cores_logical=16,
    cpu_flags=("avx2", "sha_ni"),
    memory_bytes=16 * GB,
    disk_free_bytes=100 * GB,
    disk_path="/models",
    gpus=(),
    apple_silicon=False,
    notes=("a note",),
)
CATCH_ALL = {
    "name": "rest",
    "when": {},
    "whisper": "tiny",
    "device": "cpu",
    "compute_type": "int8",
    "batch_size": 1,
    "reason": "everything",
}


def nvidia(gigabytes, capability=(8, 6), driver="550.54.14", name="Card"):
    return Gpu("nvidia", name, int(gigabytes * GB), driver, capability)


def amd(gigabytes):
    return Gpu("amd", "Radeon", int(gigabytes * GB), "", None)


def machine(memory=16, cores=8, gpus=(), **changes):
    changes |= {"memory_bytes": int(memory * GB), "cores_physical": cores, "gpus": tuple(gpus)}
    return replace(PLAIN, **changes)


def rules_with(*tables):
    return {"rule": [*tables, CATCH_ALL]}


def problems_of(source):
    with pytest.raises(ValueError) as caught:
        parse_rules(source)
    return str(caught.value).splitlines()


KINDS_OF_MACHINE = [
    (machine(16, apple_silicon=True), "apple-large", "large-v3-turbo", "cpu"),
    (machine(64, 14, apple_silicon=True), "apple-large", "large-v3-turbo", "cpu"),
    (machine(8, apple_silicon=True), "apple-small", "small", "cpu"),
    (machine(gpus=[nvidia(79.6, (9, 0))]), "nvidia-huge", "large-v3", "cuda"),
    (machine(gpus=[nvidia(23.99, (8, 9))]), "nvidia-large", "large-v3", "cuda"),
    (machine(gpus=[nvidia(10)]), "nvidia-medium", "large-v3", "cuda"),
    (machine(gpus=[nvidia(12, (12, 0))]), "nvidia-medium", "large-v3", "cuda"),
    (machine(gpus=[nvidia(8, (7, 5))]), "nvidia-8gb", "large-v3", "cuda"),
    (machine(gpus=[nvidia(6)]), "nvidia-6gb", "large-v3-turbo", "cuda"),
    (machine(gpus=[nvidia(3.9, (7, 5))]), "nvidia-4gb", "large-v3-turbo", "cuda"),
    (machine(gpus=[nvidia(2, (7, 5))]), "nvidia-2gb", "small", "cuda"),
    (machine(gpus=[nvidia(11, (6, 1))]), "pascal-large", "large-v3", "cuda"),
    (machine(gpus=[nvidia(4, (6, 1))]), "pascal-small", "small", "cuda"),
    (machine(gpus=[nvidia(16, (6, 0))]), "pascal-float32", "large-v3-turbo", "cuda"),
    (machine(gpus=[nvidia(4, (5, 2))]), "nvidia-unused", "small", "cpu"),
    (machine(gpus=[nvidia(24, driver="470.256.02")]), "nvidia-unused", "small", "cpu"),
    (machine(gpus=[nvidia(24, driver="")]), "nvidia-unused", "small", "cpu"),
    (machine(gpus=[nvidia(24, None)]), "nvidia-unused", "small", "cpu"),
    (machine(gpus=[nvidia(24)], machine="aarch64"), "nvidia-unused", "small", "cpu"),
    (machine(gpus=[nvidia(24)], machine="amd64"), "nvidia-large", "large-v3", "cuda"),
    (machine(32, 16, [amd(24)]), "rocm-strong-cpu", "large-v3-turbo", "cpu"),
    (machine(8, 4, [amd(8)]), "rocm-cpu", "small", "cpu"),
    (machine(32, 16), "cpu-strong", "large-v3-turbo", "cpu"),
    (machine(16, 8), "cpu-good", "small", "cpu"),
    (machine(3.8, 4), "cpu-modest", "base", "cpu"),
    (machine(2, 2), "cpu-least", "tiny", "cpu"),
    (machine(64, 1), "cpu-least", "tiny", "cpu"),
]


@pytest.mark.parametrize(("profile", "rule", "whisper", "device"), KINDS_OF_MACHINE)
def test_every_kind_of_machine_gets_its_rule(profile, rule, whisper, device):
    said = recommend(profile, RULES)
    assert (said.rule, said.whisper, said.device) == (rule, whisper, device)
    assert "{" not in said.reason
    if device == "cpu":
        assert said.compute_type in CPU_TYPES


def test_every_shipped_rule_is_reached_by_some_machine():
    assert {row[1] for row in KINDS_OF_MACHINE} == {rule.name for rule in RULES}


def test_whisper_names_are_those_that_faster_whisper_knows():
    library = pytest.importorskip("faster_whisper.utils")
    assert set(get_args(Whisper)) <= set(library.available_models())


@pytest.mark.parametrize(
    ("capability", "compute_type"),
    [((6, 0), "float32"), ((6, 1), "int8"), ((7, 0), "float16"), ((8, 6), "float16")],
)
def test_a_card_is_only_asked_for_a_type_it_computes_in(capability, compute_type):
    assert recommend(machine(gpus=[nvidia(16, capability)]), RULES).compute_type == compute_type


def test_the_reason_names_the_card_and_its_memory():
    said = recommend(machine(gpus=[nvidia(23.99, (8, 9), name="RTX 4090")]), RULES)
    assert said.reason.startswith("RTX 4090 with 24 GB:")


def test_memory_of_two_cards_is_not_added_up_and_the_reason_says_so():
    two = machine(gpus=[nvidia(6, name="Six"), nvidia(10, name="Ten"), nvidia(6)])
    said = recommend(two, RULES)
    assert said.rule == "nvidia-medium"
    assert "Of 3 GPUs only the largest that suits counts (Ten, 10 GB)" in said.reason
    assert "Of" not in recommend(machine(gpus=[nvidia(10)]), RULES).reason


def test_of_two_cards_that_suit_the_larger_is_named():
    two = machine(gpus=[nvidia(10, name="Ten"), nvidia(12, name="Twelve")])
    assert recommend(two, RULES).reason.startswith("Twelve with 12 GB")


def test_a_large_old_card_does_not_hide_a_smaller_new_one():
    said = recommend(machine(gpus=[nvidia(24, (6, 1), name="P40"), nvidia(12, name="3060")]), RULES)
    assert (said.rule, said.compute_type) == ("nvidia-medium", "float16")
    assert said.reason.startswith("3060 with 12 GB")


def test_conditions_on_a_card_must_hold_on_one_and_the_same_card():
    rules = parse_rules(
        rules_with(
            CATCH_ALL
            | {
                "name": "both",
                "when": {"gpu_memory_gb_min": 20, "compute_capability_min": "8.0"},
            }
        )
    )
    assert recommend(machine(gpus=[nvidia(24, (6, 1)), nvidia(8)]), rules).rule == "rest"
    assert recommend(machine(gpus=[nvidia(24)]), rules).rule == "both"


def test_compute_capabilities_compare_as_numbers_and_not_as_text():
    rules = parse_rules(
        rules_with(CATCH_ALL | {"name": "new", "when": {"compute_capability_min": "9.0"}})
    )
    assert recommend(machine(gpus=[nvidia(8, (12, 0))]), rules).rule == "new"


def test_the_first_rule_that_holds_wins():
    first = CATCH_ALL | {"name": "first", "when": {"cores_min": 2}, "whisper": "base"}
    second = CATCH_ALL | {"name": "second", "when": {"cores_min": 4}, "whisper": "small"}
    assert recommend(machine(cores=8), parse_rules(rules_with(first, second))).rule == "first"
    assert recommend(machine(cores=8), parse_rules(rules_with(second, first))).rule == "second"


def test_no_rule_that_holds_is_an_error():
    with pytest.raises(ValueError, match="last rule without conditions is missing"):
        recommend(PLAIN, ())


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        (machine(), set()),
        (machine(apple_silicon=True), {"apple-silicon"}),
        (machine(gpus=[nvidia(8), nvidia(8)]), {"cuda"}),
        (machine(gpus=[amd(8), nvidia(8)]), {"cuda", "rocm"}),
    ],
)
def test_capabilities_are_the_words_a_model_may_need(profile, words):
    assert capabilities(profile) == words


def test_a_profile_survives_json():
    profile = machine(gpus=[nvidia(24, (12, 0)), amd(8)], apple_silicon=True)
    data = json.loads(json.dumps(profile.to_json()))
    assert data["gpus"][0]["compute_capability"] == "12.0"
    assert Profile.from_json(data) == profile


@pytest.mark.parametrize("data", [None, [], "text", 3, {}])
def test_what_is_no_profile_is_refused(data):
    with pytest.raises(ValueError):
        Profile.from_json(data)


@pytest.mark.parametrize("name", list(PLAIN.to_json()))
def test_a_profile_without_a_field_or_with_a_wrong_one_is_refused(name):
    data = PLAIN.to_json()
    with pytest.raises(ValueError, match=name):
        Profile.from_json({key: value for key, value in data.items() if key != name})
    with pytest.raises(ValueError, match=name):
        Profile.from_json(data | {name: {"no": "such"}})
    with pytest.raises(ValueError, match=name):
        Profile.from_json(data | {name: None})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema_version": 2}, "schema_version must be 1, not 2"),
        ({"schema_version": True}, "schema_version must be a whole number"),
        ({"memory_bytes": -1}, "memory_bytes must be a whole number, 0 or more"),
        ({"memory_bytes": 1.5}, "memory_bytes must be a whole number"),
        ({"cores_logical": True}, "cores_logical must be a whole number"),
        ({"profiled_at": "yesterday"}, "yesterday"),
        ({"profiled_at": "2026-01-02T03:04:05"}, "must have a zone"),
        ({"cpu_flags": ["avx2", 3]}, "cpu_flags must be text, not 3"),
        ({"gpus": [{"vendor": "nvidia"}]}, "gpus memory_bytes is missing"),
        ({"gpus": [["nvidia"]]}, "gpus must be a table"),
        ({"extra": 1}, "extra is not known"),
    ],
)
def test_a_malformed_profile_is_refused_in_words(change, words):
    with pytest.raises(ValueError, match=words):
        Profile.from_json(PLAIN.to_json() | change)


@pytest.mark.parametrize("capability", ["8", "8.6.1", "eight", 8.6, [8, 6]])
def test_a_malformed_compute_capability_is_refused(capability):
    data = machine(gpus=[nvidia(8)]).to_json()
    data["gpus"][0]["compute_capability"] = capability
    with pytest.raises(ValueError, match="compute_capability must be text such as"):
        Profile.from_json(data)


def test_all_problems_of_a_rule_file_are_told_at_once():
    found = problems_of(
        {
            "rule": [
                {"name": "a", "extra": 1, "when": {"gpu_vendor": "intel", "cores_min": True}},
                "not a table",
                CATCH_ALL
                | {
                    "name": "a",
                    "when": {"memory_gb_min": -1, "colour": "red"},
                    "whisper": "enormous",
                    "device": "tpu",
                    "compute_type": "int3",
                },
                CATCH_ALL
                | {
                    "when": {"cores_min": 2},
                    "device": "cuda",
                    "batch_size": 0,
                    "reason": "{gpu_name} and {nonsense}",
                },
            ]
        }
    )
    for words in (
        "rule 1 (a): extra is not known",
        "rule 1 (a): when gpu_vendor must be one of amd, nvidia, not 'intel'",
        "rule 1 (a): when cores_min must be a whole number, 0 or more, not True",
        "rule 1 (a): whisper is missing",
        "rule 1 (a): reason is missing",
        "rule 2 (None): must be a table, not 'not a table'",
        "rule 3 (a): name is used twice",
        "rule 3 (a): when memory_gb_min must be a number above 0, not -1",
        "rule 3 (a): when colour is not known",
        "rule 4 (rest): batch_size must be at least 1",
        "rule 4 (rest): device cuda needs when.gpu_vendor nvidia",
        "rule 4 (rest): reason has an unknown {gpu_name}",
        "rule 4 (rest): reason has an unknown {nonsense}",
        "rule 4 (rest): the last rule, and no other, must catch all: when = {}",
    ):
        assert words in found
    for begin in ("whisper must be one of tiny,", "device must be one of", "compute_type must be"):
        assert any(line.startswith(f"rule 3 (a): {begin}") for line in found)


@pytest.mark.parametrize(
    ("tables", "place"),
    [
        ([CATCH_ALL | {"when": {"cores_min": 1}}], 1),
        ([CATCH_ALL, CATCH_ALL | {"name": "hidden"}], 1),
    ],
)
def test_a_catch_all_that_is_missing_or_too_early_is_told(tables, place):
    words = "the last rule, and no other, must catch all: when = {}"
    assert problems_of({"rule": tables}) == [f"rule {place} (rest): {words}"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"compute_type": "float16"}, "a CPU does not compute in float16"),
        ({"reason": "{cores"}, "reason cannot be filled in"),
        ({"reason": "{cores.real}"}, "reason has an unknown {cores.real}"),
        ({"reason": "{}"}, "reason has an unknown {}"),
        ({"reason": "{gpu_memory_gb} GB"}, "reason has an unknown {gpu_memory_gb}"),
    ],
)
def test_rules_that_contradict_themselves_are_told(change, words):
    (line,) = problems_of({"rule": [CATCH_ALL | change]})
    assert words in line


@pytest.mark.parametrize("source", ["", "x = 1", "rule = 3", "rule = []", {"rule": {}}])
def test_a_file_without_rules_is_refused(source):
    assert problems_of(source) == ["must hold [[rule]] tables and nothing else"]


def test_text_that_is_no_toml_is_refused():
    assert problems_of("[[rule]\nname=")[0].startswith("not TOML")


def test_text_and_table_give_the_same_rules():
    import tomllib

    assert parse_rules(tomllib.loads(TOML)) == RULES
