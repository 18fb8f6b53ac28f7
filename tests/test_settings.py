"""Settings: which place wins, what it is called, and every problem said at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from modelset.cli.env import exports
from modelset.core.errors import ModelSetError
from modelset.core.mirrors import Mirror
from modelset.settings import Settings, find_project, load_settings, wants_color

HUB = "https://huggingface.co"


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Load settings of an empty project; `toml` is its configuration."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def run(environ: Mapping[str, str] | None = None, toml: str = "", **flags: object) -> Settings:
        (tmp_path / "modelset.toml").write_text(toml, encoding="utf-8")
        return load_settings(flags, environ or {}, tmp_path)

    return run


def problems(load: Any, *arguments: Any, **flags: Any) -> list[str]:
    with pytest.raises(ModelSetError) as caught:
        load(*arguments, **flags)
    assert caught.value.failure.code == "config-invalid"
    assert caught.value.failure.hint
    return caught.value.failure.message.splitlines()


def test_an_empty_project_has_the_documented_defaults(load: Any, tmp_path: Path) -> None:
    found = load()
    assert (found.project, found.config) == (tmp_path, tmp_path / "modelset.toml")
    assert (found.lock, found.out) == (tmp_path / "models.lock.json", tmp_path / "out")
    assert found.models_root == tmp_path / ".cache"
    assert found.roots["huggingface"] == tmp_path / ".cache/huggingface/hub"
    assert found.roots["downloads"] == tmp_path / ".cache/downloads"
    assert (found.max_workers, found.timeout_s) == (3, None)
    assert (found.connections, found.transport) == (16, "auto")
    assert not found.limit_rate.is_bounded
    assert (found.token, found.mirrors, found.credentials) == ("", {}, {})
    names = ("config", "lock", "out", "models_root", "max_workers", "timeout", "hf_token")
    assert {found.origins[name] for name in names} == {"default"}


SECTION = "[download]\nmax_workers = 4\ntimeout = 40\n"


@pytest.mark.parametrize(
    ("environ", "toml", "flags", "value", "origin"),
    [
        ({}, "", {}, 3, "default"),
        ({}, SECTION, {}, 4, "modelset.toml"),
        ({"MAX_CONCURRENT_DOWNLOADS": "5"}, SECTION, {}, 5, "MAX_CONCURRENT_DOWNLOADS"),
        (
            {"MAX_CONCURRENT_DOWNLOADS": "5", "MODELSET_DOWNLOAD_MAX_WORKERS": "6"},
            SECTION,
            {},
            6,
            "MODELSET_DOWNLOAD_MAX_WORKERS",
        ),
        (
            {"MODELSET_DOWNLOAD_MAX_WORKERS": "6"},
            SECTION,
            {"max_workers": "7"},
            7,
            "--max-workers",
        ),
        ({"MODELSET_DOWNLOAD_MAX_WORKERS": ""}, SECTION, {}, 4, "modelset.toml"),
    ],
)
def test_flag_environment_file_default_in_this_order(
    load: Any, environ: dict[str, str], toml: str, flags: dict[str, Any], value: int, origin: str
) -> None:
    found = load(environ, toml, **flags)
    assert found.max_workers == value
    assert found.origins["max_workers"] == origin


def test_the_timeout_has_the_names_of_the_seeds_too(load: Any) -> None:
    assert load({"MODEL_DOWNLOAD_TIMEOUT": "12.5"}).timeout_s == 12.5
    assert load({"MODELSET_DOWNLOAD_TIMEOUT": "9", "MODEL_DOWNLOAD_TIMEOUT": "8"}).timeout_s == 9
    assert load({}, SECTION).timeout_s == 40


SPEED = '[download]\nconnections = 8\nlimit_rate = "4M"\ntransport = "http"\n'
SPEED_ENVIRON = {
    "MODELSET_DOWNLOAD_CONNECTIONS": "9",
    "MODELSET_DOWNLOAD_LIMIT_RATE": "5M",
    "MODELSET_DOWNLOAD_TRANSPORT": "xet",
}
SPEED_FLAGS = {"connections": "10", "limit_rate": "6M", "transport": "auto"}


@pytest.mark.parametrize(
    ("environ", "toml", "flags", "values", "origins"),
    [
        ({}, "", {}, (16, 0, "auto"), ["default"] * 3),
        ({}, SPEED, {}, (8, 4e6, "http"), ["modelset.toml"] * 3),
        (SPEED_ENVIRON, SPEED, {}, (9, 5e6, "xet"), list(SPEED_ENVIRON)),
        (
            SPEED_ENVIRON,
            SPEED,
            SPEED_FLAGS,
            (10, 6e6, "auto"),
            ["--connections", "--limit-rate", "--transport"],
        ),
    ],
)
def test_what_bounds_a_download_comes_from_flag_environment_file_default(
    load: Any,
    environ: dict[str, str],
    toml: str,
    flags: dict[str, str],
    values: tuple[int, float, str],
    origins: list[str],
) -> None:
    found = load(environ, toml, **flags)
    assert (found.connections, found.limit_rate.rate_at(0), found.transport) == values
    assert [found.origins[name] for name in SPEED_FLAGS] == origins


def test_a_rate_may_be_a_timetable_a_number_or_off(load: Any) -> None:
    day = load(limit_rate="08:00,5M 19:00,off").limit_rate
    assert [day.rate_at(hour * 60) for hour in (0, 8, 18, 19, 23)] == [0, 5e6, 5e6, 0, 0]
    assert load(limit_rate="20Mi").limit_rate.rate_at(0) == 20 * 2**20
    assert load({}, "[download]\nlimit_rate = 500000\n").limit_rate.rate_at(0) == 500_000
    assert not load({}, SPEED, limit_rate="off").limit_rate.is_bounded


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"limit_rate": "fast"}, "--limit-rate: limit_rate: fast is not a rate such as 500K"),
        ({"limit_rate": ""}, "--limit-rate: limit_rate: empty"),
        ({"limit_rate": "20"}, "20 is less than 1K"),
        ({"limit_rate": "24:00,5M"}, "24:00,5M is not HH:MM,RATE"),
        ({"limit_rate": "08:00,5M 19:00"}, "19:00 is not HH:MM,RATE"),
        ({"limit_rate": "08:00,5M 19:00,slow"}, "slow is not a rate"),
        ({"transport": "ftp"}, "--transport: transport: ftp is none of auto, http, xet"),
        ({"transport": ""}, "--transport: transport:"),
        ({"connections": "0"}, "--connections: connections = '0' is not a number above 0"),
        ({"connections": "2.5"}, "--connections: connections = '2.5' is not a number above 0"),
    ],
)
def test_a_bound_that_means_nothing_is_refused(
    load: Any, flags: dict[str, str], words: str
) -> None:
    (line,) = problems(load, **flags)
    assert words in line


SERVER = """
[server]
host = "10.0.0.7"
port = 9000
token_file = "secrets/token"
hosts = ["Models.Example.org", "models"]
transfers = 2
update_check = "24h"
download_on_start = true
"""


def test_the_service_is_local_and_does_nothing_by_itself_unless_told(load: Any) -> None:
    found = load().serving
    assert (found.host, found.port, found.is_local) == ("127.0.0.1", 8000, True)
    assert (found.token, found.token_file, found.hosts) == ("", None, ())
    assert (found.transfers, found.update_check_s, found.download_on_start) == (1, 0, False)


def test_the_service_is_told_by_the_file_the_environment_and_flags(
    load: Any, tmp_path: Path
) -> None:
    found = load({}, SERVER).serving
    assert (found.host, found.port, found.is_local) == ("10.0.0.7", 9000, False)
    assert found.token_file == tmp_path / "secrets/token"
    assert found.hosts == ("models.example.org", "models")
    assert (found.transfers, found.update_check_s, found.download_on_start) == (2, 86400, True)
    environ = {
        "MODELSET_SERVER_HOST": "::1",
        "MODELSET_SERVER_PORT": "9001",
        "MODELSET_SERVER_HOSTS": "one, TWO three",
        "MODELSET_SERVER_TRANSFERS": "3",
        "MODELSET_SERVER_UPDATE_CHECK": "90s",
        "MODELSET_SERVER_DOWNLOAD_ON_START": "false",
    }
    found = load(environ, SERVER).serving
    assert (found.host, found.port, found.is_local) == ("::1", 9001, True)
    assert found.hosts == ("one", "two", "three")
    assert (found.transfers, found.update_check_s, found.download_on_start) == (3, 90, False)
    flags = {"host": "localhost", "port": "0", "token_file": str(tmp_path / "other")}
    found = load(environ, SERVER, **flags).serving
    assert (found.host, found.port, found.is_local) == ("localhost", 0, True)
    assert found.token_file == tmp_path / "other"


def test_the_token_of_the_service_comes_from_the_environment_only(load: Any) -> None:
    found = load({"MODELSET_SERVER_TOKEN": "hunter2"})
    assert found.serving.token == "hunter2"
    assert "hunter2" not in repr(found)
    (line,) = problems(load, {}, '[server]\ntoken = "hunter2"\n')
    assert "[server] has no token" in line
    assert "hunter2" not in line


@pytest.mark.parametrize(
    ("environ", "toml", "begins"),
    [
        ({"DOWNLOAD_MODELS_ON_START": "true"}, "", True),
        ({"AUTO_DOWNLOAD_MODELS": "1"}, "", True),
        ({"AUTO_DOWNLOAD_MODELS": "true", "DOWNLOAD_MODELS_ON_START": "false"}, "", False),
        ({"AUTO_SETUP_ENABLED": "true"}, "", False),
        ({"AUTO_SETUP_ENABLED": "false"}, SERVER, False),
        ({"AUTO_SETUP_ENABLED": "false", "DOWNLOAD_MODELS_ON_START": "true"}, "", False),
    ],
)
def test_older_names_say_whether_a_download_begins_with_the_service(
    load: Any, environ: dict[str, str], toml: str, begins: bool
) -> None:
    assert load(environ, toml).serving.download_on_start is begins


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("port = -1", "port = -1 is not a whole number from 0 to 65535"),
        ("port = 65536", "port = 65536 is not a whole number"),
        ("port = true", "port = True is not a whole number"),
        ('port = "\u0665"', "is not a whole number"),
        ("transfers = 65", "transfers = 65 is not a whole number from 1 to 64"),
        ("transfers = 2.5", "transfers = 2.5 is not a whole number"),
        ("hosts = [7]", "hosts = [7] should be a list of names"),
        ("hosts = 7", "hosts = 7 should be a list of names"),
        ('update_check = "0h"', "update_check = '0h' is no time such as 24h"),
        ('update_check = "-1h"', "is no time such as 24h"),
        ('update_check = "9999999d"', "is no time such as 24h"),
        ("download_on_start = 2", "download_on_start = 2 should be true or false"),
        ("prt = 8000", "[server] has no prt, did you mean port?"),
    ],
)
def test_a_setting_of_the_service_that_means_nothing_is_refused(
    load: Any, line: str, words: str
) -> None:
    (said,) = problems(load, {}, f"[server]\n{line}\n")
    assert words in said


@pytest.mark.parametrize("prefix", ["MODELSET", "IRENE"])
def test_the_roots_can_be_named_either_way(load: Any, tmp_path: Path, prefix: str) -> None:
    found = load(
        {
            f"{prefix}_MODELS_ROOT": str(tmp_path / "m"),
            f"{prefix}_CACHE_ROOT": str(tmp_path / "c"),
            f"{prefix}_CREDENTIALS_ROOT": str(tmp_path / "k"),
        }
    )
    assert found.models_root == tmp_path / "m"
    assert found.roots["whisper"] == tmp_path / "m/whisper"
    assert found.roots["downloads"] == tmp_path / "c/downloads"
    assert found.roots["credentials"] == tmp_path / "k"
    assert found.origins["models_root"] == f"{prefix}_MODELS_ROOT"
    assert found.origins["roots.downloads"] == f"{prefix}_CACHE_ROOT"


def test_the_projects_own_name_beats_the_seeds(load: Any, tmp_path: Path) -> None:
    environ = {"MODELSET_MODELS_ROOT": str(tmp_path / "a"), "IRENE_MODELS_ROOT": "/b"}
    assert load(environ).models_root == tmp_path / "a"


def test_paths_of_the_file_and_of_the_environment(load: Any, tmp_path: Path) -> None:
    toml = '[paths]\nmodels_root = "/data/models"\nlock = "/data/x.lock"\nout = "~/out"\n'
    found = load({"MODELSET_OUT": "relative/out"}, toml)
    assert found.models_root == Path("/data/models")
    assert found.lock == Path("/data/x.lock")
    assert found.out == Path.cwd() / "relative" / "out"
    assert load({}, toml).out == tmp_path / "home" / "out"
    assert found.origins["lock"] == "modelset.toml"


@pytest.mark.parametrize(
    ("environ", "root", "path"),
    [
        ({"HF_HOME": "/h"}, "huggingface", "/h/hub"),
        ({"HF_HOME": "/h", "HF_HUB_CACHE": "/c"}, "huggingface", "/c"),
        ({"HUGGINGFACE_HUB_CACHE": "/o", "HF_HOME": "/h"}, "huggingface", "/o"),
        ({"TORCH_HOME": "/t"}, "torch", "/t/hub"),
        ({"WHISPER_CACHE_DIR": "/w"}, "whisper", "/w"),
        ({"VOSK_MODEL_PATH": "/v"}, "vosk", "/v"),
        ({"TTS_HOME": "/s"}, "tts", "/s/tts"),
        ({"OLLAMA_MODELS": "/l"}, "ollama", "/l"),
        ({"NLTK_DATA": "/n"}, "nltk", "/n"),
        ({"NLTK_DATA": os.pathsep.join(["", "/n", "/m"])}, "nltk", "/n"),
        ({"MODELSET_SITE_PACKAGES": "/p"}, "site-packages", "/p"),
    ],
)
def test_a_librarys_own_variable_wins_for_its_root(
    load: Any, environ: dict[str, str], root: str, path: str
) -> None:
    found = load({"MODELSET_MODELS_ROOT": "/models", **environ})
    assert found.roots[root] == Path(path)
    assert found.origins[f"roots.{root}"] in environ
    others = [name for name in ("silero", "piper", "llm", "registry") if name != root]
    assert all(str(found.roots[name]).startswith("/models/") for name in others)


def test_a_home_folder_may_be_short_in_every_variable(load: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    write(home / "keys/hf_token", "hf_keys")
    found = load({"HF_HOME": "~/hf", "MODELSET_CREDENTIALS_ROOT": "~/keys"})
    assert found.roots["huggingface"] == home / "hf/hub"
    assert found.roots["credentials"] == home / "keys"
    assert found.token == "hf_keys"
    write(home / "hf/token", "hf_home")
    assert load({"HF_HOME": "~/hf"}).token == "hf_home"
    write(home / "path", "hf_path")
    assert load({"HF_TOKEN_PATH": "~/path"}).token == "hf_path"
    write(home / "caches/huggingface/token", "hf_login")
    assert load({"XDG_CACHE_HOME": "~/caches"}).token == "hf_login"


def test_libraries_are_told_of_every_folder_of_a_list(load: Any) -> None:
    several = os.pathsep.join(["/n", "/m", "/usr/share/nltk_data"])
    assert exports(load({"NLTK_DATA": several}))["NLTK_DATA"] == several
    one = exports(load({"MODELSET_MODELS_ROOT": "/models"}))["NLTK_DATA"]
    assert one == str(load({"MODELSET_MODELS_ROOT": "/models"}).roots["nltk"])


# ---- the token ---------------------------------------------------------------------------------


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_token_is_looked_for_in_the_documented_order(load: Any, tmp_path: Path) -> None:
    home = tmp_path / "home"
    steps: list[tuple[str, dict[str, str], dict[str, object]]] = []
    write(home / ".cache/huggingface/token", "hf_login\n")
    assert (load().token, load().origins["hf_token"]) == ("hf_login", "hf auth login")
    environ = {"HF_HOME": str(tmp_path / "hf")}
    write(tmp_path / "hf/token", "hf_home")
    steps.append(("HF_HOME", dict(environ), {}))
    environ["MODELSET_CREDENTIALS_ROOT"] = str(tmp_path / "keys")
    write(tmp_path / "keys/hf_token", "hf_keys")
    steps.append(("credentials", dict(environ), {}))
    environ["HF_TOKEN_PATH"] = str(write(tmp_path / "path", "hf_path"))
    steps.append(("HF_TOKEN_PATH", dict(environ), {}))
    environ["HUGGING_FACE_HUB_TOKEN"] = "hf_old"
    steps.append(("HUGGING_FACE_HUB_TOKEN", dict(environ), {}))
    environ["HF_TOKEN"] = " hf_environ\n"
    steps.append(("HF_TOKEN", dict(environ), {}))
    file = {"hf_token_file": str(write(tmp_path / "file", "hf_file"))}
    steps.append(("--hf-token-file", dict(environ), file))
    found = {origin: load(given, **flags) for origin, given, flags in steps}
    assert {origin: one.origins["hf_token"] for origin, one in found.items()} == {
        origin: origin for origin in found
    }
    assert [one.token for one in found.values()] == [
        "hf_home", "hf_keys", "hf_path", "hf_old", "hf_environ", "hf_file"
    ]  # fmt: skip
    flagged = load(environ, hf_token="hf_flag")
    assert (flagged.token, flagged.origins["hf_token"]) == ("hf_flag", "--hf-token")


def test_the_token_is_the_hubs_credential_and_never_shown(load: Any) -> None:
    found = load({"HF_TOKEN": "hf_secret"})
    assert found.credentials == {HUB: {"Authorization": "Bearer hf_secret"}}
    assert "hf_secret" not in repr(found)
    assert "hf_secret" not in str(found)
    assert "hf_secret" not in repr(found.origins)


def test_a_token_file_that_was_asked_for_has_to_hold_one(load: Any, tmp_path: Path) -> None:
    empty = write(tmp_path / "empty", "\n")
    for path in (empty, tmp_path / "none"):
        (line,) = problems(load, hf_token_file=str(path))
        assert "--hf-token-file" in line
        assert str(path) in line


def test_files_without_a_token_are_passed_over(load: Any, tmp_path: Path) -> None:
    write(tmp_path / "hf/token", " \n")
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/hf_token").write_bytes(b"\xff\xfe")
    environ = {"HF_HOME": str(tmp_path / "hf"), "MODELSET_CREDENTIALS_ROOT": str(tmp_path / "keys")}
    assert load(environ).token == ""


# ---- mirrors -------------------------------------------------------------------------------------


def test_mirrors_come_from_the_file(load: Any) -> None:
    row = '{ url = "https://hub.example.org/", only = true }'
    toml = f'[mirrors]\n"https://huggingface.co/" = [{row}]\n'
    assert load({}, toml).mirrors == {f"{HUB}/": (Mirror("https://hub.example.org/", only=True),)}


def test_hf_endpoint_replaces_the_hub_whatever_the_file_says(load: Any) -> None:
    toml = '[mirrors]\n"https://huggingface.co/" = [{ url = "https://hub.example.org/" }]\n'
    found = load({"HF_ENDPOINT": "https://hub.internal.example/"}, toml)
    (mirror,) = found.mirrors[f"{HUB}/"]
    assert mirror.url == "https://hub.internal.example/"
    assert mirror.credentials
    assert mirror.only
    plain = load({"HF_ENDPOINT": "http://hub.internal.example"}).mirrors[f"{HUB}/"]
    assert not plain[0].credentials
    assert load({"HF_ENDPOINT": f"{HUB}/"}).mirrors == {}


# ---- what is wrong -----------------------------------------------------------------------------


def test_every_problem_is_said_at_once(load: Any) -> None:
    toml = """
[download]
max_workers = 0
timeout = "soon"
stall_timeout = -5
[mirrors]
"https://huggingface.co" = [{ url = "nowhere", olny = true }]
"""
    lines = problems(load, {"MODELSET_DOWNLOAD_TIMEOUT": "never"}, toml, max_workers="many")
    said = "\n".join(lines)
    assert "--max-workers: max_workers = 'many'" in said
    assert "MODELSET_DOWNLOAD_TIMEOUT: timeout = 'never'" in said
    assert "modelset.toml: stall_timeout = -5" in said
    assert "a prefix ends with /" in said
    assert "olny is not a field of a mirror" in said
    assert "url should be an http address" in said
    assert len(lines) == 6


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1e99", "x", "", " ", "1,5", "0x10"])
def test_a_number_that_is_none_is_refused(load: Any, value: str) -> None:
    (line,) = problems(load, timeout=value)
    assert line == f"--timeout: timeout = {value!r} is not a number above 0"


@pytest.mark.parametrize(
    "toml", ["[download", "a = ", "a = 1\na = 2", "x = " + "[" * 50_000, f"x = {'9' * 5000}", "\0"]
)
def test_a_file_that_is_no_toml_is_said_with_its_name(load: Any, tmp_path: Path, toml: str) -> None:
    (line, *_) = problems(load, {}, toml)
    assert line.startswith(str(tmp_path / "modelset.toml"))


@pytest.mark.parametrize("toml", ["download = 5", "paths = []", "download = 'x'\npaths = 'y'"])
def test_a_section_that_is_no_table_is_said(load: Any, toml: str) -> None:
    lines = problems(load, {}, toml)
    assert len(lines) == len(toml.splitlines())
    assert all(line.endswith("] should be a table") for line in lines)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "modelset.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelSetError) as caught:
        load_settings({}, {}, tmp_path)
    assert str(tmp_path / "modelset.toml") in caught.value.failure.message


def test_a_configuration_that_was_asked_for_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ModelSetError) as caught:
        load_settings({}, {"MODELSET_CONFIG": str(tmp_path / "none.toml")}, tmp_path)
    assert caught.value.failure.code == "config-invalid"
    assert "none.toml does not exist" in caught.value.failure.message
    assert load_settings({}, {}, tmp_path).origins["config"] == "default"


def test_the_users_own_tables_are_handed_on_as_text(load: Any) -> None:
    toml = '[[model]]\nkey = "a:b"\n'
    assert load({}, toml).catalog_text == toml


@pytest.mark.parametrize(
    ("environ", "welcome"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_left_out_where_they_are_not_welcome(
    environ: dict[str, str], welcome: bool
) -> None:
    assert wants_color(environ) is welcome


def test_the_project_of_a_checkout_is_the_checkout() -> None:
    assert find_project() == Path(__file__).resolve().parents[1]


def test_the_example_is_valid_as_it_stands_and_with_its_examples(load: Any) -> None:
    text = (Path(__file__).resolve().parents[1] / "modelset.example.toml").read_text("utf-8")
    assert load({}, text).max_workers == 3
    assert load({}, text).connections == 16
    used = "\n".join(
        line[1:] if line.startswith("#") and not line.startswith("# ") else line
        for line in text.splitlines()
    )
    found = load({}, used)
    assert set(found.mirrors) == {f"{HUB}/", "https://github.com/"}
    assert "whisper:house" in found.catalog_text
    assert found.limit_rate.rate_at(12 * 60) == 5e6
    assert found.transport == "auto"
