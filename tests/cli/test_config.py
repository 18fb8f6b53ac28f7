"""`modelset config`: every setting as it holds; and one changed without harm to the rest."""

from __future__ import annotations

import stat
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import Project, run_own

from modelset.cli.setting_rows import IN_FILE, bare, rate_text, rows_of
from modelset.core.rate import parse_timetable
from modelset.lookup import Lookup
from modelset.settings import load_settings

EXAMPLE = (Path(__file__).resolve().parents[2] / "modelset.example.toml").read_text("utf-8")
SECRET = "hf_hunter2secret"
# A good value of each kind that is no plain number, for the names that need a special one.
GOOD = {
    "download.limit_rate": "20M",
    "download.transport": "http",
    "policy.pickles": "refuse",
    "policy.first_use": "yes",
    "download.on_start": "false",
    "server.port": "7",
    "server.transfers": "7",
    "server.update_check": "24h",
    "server.download_on_start": "yes",
}


def names(project: Project) -> list[str]:
    return sorted(path.name for path in project.folder.iterdir())


def in_file(project: Project, name: str) -> Any:
    section, _, key = name.partition(".")
    return tomllib.loads(project.config.read_text("utf-8")).get(section, {}).get(key)


# ---- what is shown ------------------------------------------------------------------------------


def test_the_names_are_those_that_the_settings_look_up(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    looked: dict[str, set[str]] = {}

    def note(self: Lookup, others: object) -> None:
        looked.update(self._known)

    monkeypatch.setattr(Lookup, "refuse_unknown", note)
    load_settings({}, {}, tmp_path)

    assert {f"{section}.{key}" for section, keys in looked.items() for key in keys} == set(IN_FILE)


def test_every_setting_is_shown_with_where_it_came_from(project: Project) -> None:
    project.config.write_text("[download]\nconnections = 9\n")
    env = {"MAX_CONCURRENT_DOWNLOADS": "5", "HTTPS_PROXY": "http://u:hunter2@proxy.example:8080"}

    ran = run_own(project, "config", "--json", env=env)

    assert ran.code == 0, ran.stderr
    assert ran.json["command"] == "config"
    found = ran.json["data"]["settings"]
    assert set(IN_FILE) <= set(found)
    assert found["download.connections"] == {"value": 9, "from": "modelset.toml"}
    assert found["download.max_workers"] == {"value": 5, "from": "MAX_CONCURRENT_DOWNLOADS"}
    assert found["download.timeout"] == {"value": None, "from": "default"}
    assert found["paths.lock"]["from"] == "MODELSET_LOCK"
    assert found["https_proxy"] == {"value": "proxy.example:8080", "from": "HTTPS_PROXY"}
    shown = run_own(project, "config", "--show-origin", env=env).stdout
    assert "MAX_CONCURRENT_DOWNLOADS" in shown
    assert "hunter2" not in ran.stdout + shown
    assert "MAX_CONCURRENT" not in run_own(project, "config", env=env).stdout


def test_no_secret_is_shown(project: Project) -> None:
    project.config.write_text(
        '[download]\nindex_url = "https://u:hunter2@packages.example.org/simple/"\n'
        '[mirrors]\n"https://huggingface.co/" = [{ url = "https://u:hunter2@hub.example.org/" }]\n'
    )
    env = {
        **dict.fromkeys(("HF_TOKEN", "GITHUB_TOKEN", "MODELSET_SERVER_TOKEN"), SECRET),
        "ALL_PROXY": "socks5://u:hunter2@p.example",
    }
    for words in (
        ["--json"],
        ["--show-origin"],
        ["get", "hf_token"],
        ["get", "hf_token", "--json"],
        ["get", "server_token"],
    ):
        ran = run_own(project, "config", *words, env=env)
        assert ran.code == 0, ran.stderr
        assert "hunter2" not in ran.stdout + ran.stderr
        assert "set" in ran.stdout
    assert run_own(project, "config", "get", "github_token").stdout == "not set\n"
    found = run_own(project, "config", "--json", env=env).json["data"]["settings"]
    assert found["hf_token"] == {"value": "set", "from": "HF_TOKEN"}
    assert found["server_token"] == {"value": "set", "from": "MODELSET_SERVER_TOKEN"}
    assert found["download.index_url"]["value"] == "https://packages.example.org/simple/"
    mirror = found['mirrors."https://huggingface.co/"']
    assert mirror == {"value": "https://hub.example.org/", "from": "modelset.toml"}


def test_the_hub_that_a_variable_names_is_a_mirror_from_there(tmp_path: Path) -> None:
    rows = rows_of(load_settings({}, {"HF_ENDPOINT": "https://hub.example.org"}, tmp_path))

    (row,) = [row for row in rows if row.name.startswith("mirrors")]
    assert (row.value, row.origin) == ("https://hub.example.org/", "HF_ENDPOINT")


def test_a_setting_that_another_one_takes_away_is_shown(project: Project) -> None:
    project.config.write_text("[server]\ndownload_on_start = true\n")
    env = {"AUTO_SETUP_ENABLED": "false"}

    ran = run_own(project, "config", "get", "server.download_on_start", env=env)

    assert (ran.code, ran.stdout) == (0, "false\n")


def test_one_value_is_all_that_get_writes(project: Project) -> None:
    project.config.write_text("[download]\nmax_workers = 4\n")

    assert run_own(project, "config", "get", "download.max_workers").stdout == "4\n"
    ran = run_own(project, "config", "get", "download.max_workers", "--json")
    assert ran.json["data"] == {
        "name": "download.max_workers",
        "value": 4,
        "from": "modelset.toml",
    }


@pytest.mark.parametrize(
    "url", ["https://u:p/hunter2@h.example/", "http://[u:hunter2@h", "u:hunter2@h.example"]
)
def test_an_address_that_is_none_shows_no_password(url: str) -> None:
    assert "hunter2" not in bare(url)


@pytest.mark.parametrize(
    "text", ["off", "500K", "20M", "1G", "20Mi", "1Ki", "1.5M", "1234567", "08:00,5M 19:00,off"]
)
def test_a_rate_is_shown_as_one_that_is_understood(text: str) -> None:
    timetable = parse_timetable(text)

    assert parse_timetable(rate_text(timetable)) == timetable


@pytest.mark.parametrize("text", ["off", "90s", "45m", "36h", "24h", "7d"])
def test_a_time_is_shown_as_one_that_means_the_same(text: str, tmp_path: Path) -> None:
    def of(value: str) -> tuple[int, str]:
        settings = load_settings({}, {"MODELSET_SERVER_UPDATE_CHECK": value}, tmp_path)
        (row,) = [row for row in rows_of(settings) if row.name == "server.update_check"]
        return settings.serving.update_check_s, row.text

    seconds, shown = of(text)

    assert of(shown) == (seconds, shown)
    assert shown == {"24h": "1d"}.get(text, text)


# ---- what is changed ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", IN_FILE)
def test_every_setting_can_be_changed_and_taken_out(project: Project, name: str) -> None:
    project.config.write_text(EXAMPLE)
    value = GOOD.get(name, "7" if name.startswith("download") else "folder")

    ran = run_own(project, "config", "set", name, value, "--json")

    assert ran.code == 0, ran.stderr
    assert ran.json["data"]["name"] == name
    assert str(in_file(project, name)).lower() == {"yes": "true"}.get(value, value).lower()
    lines = project.config.read_text().splitlines()
    assert [
        line for line in EXAMPLE.splitlines() if line.startswith("#") and line not in lines
    ] == []
    assert run_own(project, "config", "unset", name).code == 0
    assert in_file(project, name) is None
    assert names(project) == ["modelset.toml"]


def test_the_kinds_of_values_are_those_of_the_file(project: Project) -> None:
    for name, value in (
        ("download.max_workers", "4"),
        ("download.timeout", "12.5"),
        ("policy.first_use", "TRUE"),
        ("download.limit_rate", "500000"),
    ):
        assert run_own(project, "config", "set", name, value).code == 0

    assert project.config.read_text().split("\n") == [
        "[download]",
        "max_workers = 4",
        "timeout = 12.5",
        'limit_rate = "500000"',
        "",
        "[policy]",
        "first_use = true",
        "",
    ]


def test_a_file_that_is_not_there_is_made(project: Project) -> None:
    project.config.unlink()

    ran = run_own(project, "config", "set", "download.max_workers", "4")

    assert ran.code == 0, ran.stderr
    assert project.config.read_text() == "[download]\nmax_workers = 4\n"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("download.max_workers", "soon", "max_workers = 'soon' is not a number above 0"),
        ("download.max_workers", "0", "max_workers = 0 is not a number above 0"),
        ("download.max_workers", "2.5", "is not a number above 0"),
        ("download.timeout", "nan", "is not a number above 0"),
        ("download.timeout", "9" * 5000, "is not a number above 0"),
        ("download.limit_rate", "5", "5 is less than 1K"),
        ("download.transport", "ftp", "ftp is none of auto, http, xet"),
        ("policy.pickles", "maybe", "none of pinned, refuse"),
        ("policy.first_use", "maybe", "should be true or false"),
        ("paths.lock", "a\nb", "not a text that can be kept"),
        ("server.port", "65536", "port = 65536 is not a whole number from 0 to 65535"),
        ("server.port", "http", "port = 'http' is not a whole number from 0 to 65535"),
        ("server.transfers", "0", "transfers = 0 is not a whole number from 1 to 64"),
        ("server.update_check", "daily", "update_check = 'daily' is no time such as 24h"),
        ("server.download_on_start", "maybe", "should be true or false"),
        ("server.token", SECRET, "did you mean `server.token_file`?"),
        ("download.max_wrkers", "3", "did you mean `download.max_workers`?"),
        ("max_workers", "3", "did you mean `download.max_workers`?"),
        ("paths.model_root", "x", "did you mean `paths.models_root`?"),
        ("hf_token", SECRET, "no token is kept in modelset.toml"),
        ("mirrors.x", "y", "by hand"),
        ("", "y", "there is no setting"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_lost(
    project: Project, name: str, value: str, words: str
) -> None:
    project.config.write_text(EXAMPLE)

    ran = run_own(project, "config", "set", name, value)

    assert ran.code == 2
    assert words in ran.stderr
    assert "hint: " in ran.stderr
    assert SECRET not in ran.stderr
    assert ".tmp" not in ran.stderr
    assert project.config.read_text() == EXAMPLE
    assert names(project) == ["modelset.toml"]


@pytest.mark.parametrize(
    "words",
    [
        ["set"],
        ["set", "download.max_workers"],
        ["get"],
        ["get", "download.max_workers", "4"],
        ["unset"],
        ["unset", "download.max_workers", "4"],
        ["put", "download.max_workers", "4"],
        ["set", "download.max_workers", "4", "--demo"],
    ],
)
def test_a_wrong_number_of_words_is_a_usage_error(project: Project, words: list[str]) -> None:
    ran = run_own(project, "config", *words)

    assert ran.code == 2
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")
    assert project.config.read_text() == ""


def test_a_bad_value_in_the_file_can_be_mended_by_the_command(project: Project) -> None:
    project.config.write_text("[download]\nmax_workers = 0 # why\ntimeout = -1\n")

    assert run_own(project, "config").code == 2
    ran = run_own(project, "config", "set", "download.max_workers", "4")

    assert ran.code == 0, ran.stderr
    assert project.config.read_text() == "[download]\nmax_workers = 4 # why\ntimeout = -1\n"
    assert run_own(project, "config", "unset", "download.timeout").code == 0
    assert run_own(project, "config").code == 0


def test_a_file_that_is_no_toml_stays_as_it_is(project: Project) -> None:
    project.config.write_text("[download\n")

    ran = run_own(project, "config", "set", "download.max_workers", "4")

    assert ran.code == 2
    assert str(project.config) in ran.stderr
    assert project.config.read_text() == "[download\n"


def test_a_bad_value_is_refused_although_a_variable_hides_it(project: Project) -> None:
    env = {"MODELSET_DOWNLOAD_MAX_WORKERS": "5"}

    bad = run_own(project, "config", "set", "download.max_workers", "0", env=env)
    good = run_own(project, "config", "set", "download.max_workers", "4", env=env)

    assert bad.code == 2
    assert good.code == 0
    assert "MODELSET_DOWNLOAD_MAX_WORKERS wins over the file, so 5 holds here" in good.stderr


def test_a_value_may_be_anything_that_a_path_may_be(project: Project) -> None:
    value = """a "b" 'c' \\ # {} [x] ключ 語"""

    assert run_own(project, "config", "set", "paths.out", value).code == 0
    assert in_file(project, "paths.out") == value


@pytest.mark.skipif(sys.platform == "win32", reason="has no such rights")
def test_a_file_with_a_password_stays_private(project: Project) -> None:
    project.config.write_text('[download]\nindex_url = "https://u:hunter2@packages.example.org/"\n')
    project.config.chmod(0o600)

    assert run_own(project, "config", "set", "download.max_workers", "4").code == 0
    assert stat.S_IMODE(project.config.stat().st_mode) == 0o600


def test_quiet_says_nothing_when_all_is_well(project: Project) -> None:
    for words in ([], ["set", "download.max_workers", "4"], ["get", "download.max_workers"]):
        ran = run_own(project, "config", *words, "--quiet")

        assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")
