"""`modelset completion`: a real shell completes what is typed, with the keys of this project."""

from __future__ import annotations

import os
import select
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import Project, run_own

from modelset.cli import main
from modelset.cli.parsers import whole_program

SHELLS = ("bash", "zsh", "fish", "powershell")
needs_bash = pytest.mark.skipif(
    sys.platform == "win32" or shutil.which("bash") is None, reason="no bash here"
)


@dataclass(frozen=True)
class Bash:
    """A bash that has read the script, in a project with the program on its path."""

    project: Project
    script: Path
    path: str

    def complete(self, line: str, *, breaks: str | None = None) -> list[str]:
        own = "" if breaks is None else f"COMP_WORDBREAKS={shlex.quote(breaks)}\n"
        program = (
            f"source {shlex.quote(str(self.script))}\n{own}"
            f"COMP_LINE={shlex.quote(line)}\nCOMP_POINT={len(line)}\n"
            "COMP_WORDS=(modelset) COMP_CWORD=1\n_modelset modelset\n"
            'printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            ["bash", "--norc", "-c", program],
            env={**self.project.environ, "PATH": self.path},
            cwd=self.project.folder,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout.split("\n")[:-1] if done.stdout != "\n" else []


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A search path that begins with the program."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "modelset"
    (folder / "program.py").write_text("from modelset.cli.main import run\n\nrun()\n")
    words = shlex.join([sys.executable, str(folder / "program.py")])
    program.write_text(f'#!/bin/sh\nexec {words} "$@"\n')  # a first line takes no path with spaces
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def script_for(project: Project, shell: str, folder: Path) -> Path:
    """The script of a shell, in a file."""
    ran = run_own(project, "completion", shell)
    assert ran.code == 0, ran.stderr
    script = folder / f"completion.{shell}"
    script.write_text(ran.stdout)
    return script


@pytest.fixture
def bash(project: Project, path: str, tmp_path: Path) -> Bash:
    return Bash(project, script_for(project, "bash", tmp_path), path)


@needs_bash
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("modelset hardw", ["hardware"]),
        ("modelset con", ["config"]),
        ("modelset --v", ["--version"]),
        ("modelset check --de", ["--deep", "--demo", "--debug"]),
        ("modelset status --str", ["--strict"]),
        ("modelset check --only ", ["critical"]),
        ("modelset check --only=c", ["critical"]),
        ("modelset check whisper:large-v3-", ["large-v3-turbo"]),
        ("modelset check --json vad:silero-", ["silero-hub"]),
        ("modelset  check   vad:silero-", ["silero-hub"]),
        ("modelset check --category v", ["vad", "vosk"]),
        ("modelset check --category=va", ["vad"]),
        ("modelset download --components asr va", ["vad"]),
        ("modelset download --whisper-models base large-v3-", ["large-v3-turbo"]),
        ("modelset download --timeout ", []),
        ("modelset download --timeout 5 vad:silero-", ["silero-hub"]),
        ("modelset check -- vad:silero-", ["silero-hub"]),
        ("modelset check -- --de", []),
        ("modelset env --format d", ["dotenv", "docker"]),
        ("modelset config s", ["set"]),
        ("modelset config set download.max", ["download.max_workers"]),
        ("modelset config set download.max_workers ", []),
        ("modelset config --show-origin get policy.p", ["policy.pickles"]),
        ("modelset completion p", ["powershell"]),
        ("modelset nonsense ", []),
        ("modelset check --nonsense vad:silero-", ["silero-hub"]),
        ("modelset check whisper:$(touch", []),
    ],
)
def test_what_is_typed_is_completed(bash: Bash, line: str, found: list[str]) -> None:
    assert bash.complete(line) == found


@needs_bash
def test_every_command_is_offered_at_first(bash: Bash) -> None:
    assert set(bash.complete("modelset ")) == {*main.COMMANDS}


@needs_bash
def test_where_a_colon_cuts_no_word_the_whole_key_comes(bash: Bash) -> None:
    assert bash.complete("modelset check vad:silero-", breaks=" \t\n") == ["vad:silero-hub"]
    assert bash.complete("modelset check --only=c", breaks=" \t\n") == ["--only=critical"]


@needs_bash
def test_files_are_completed_where_a_file_is_wanted(bash: Bash) -> None:
    (bash.project.folder / "my token.txt").write_text("")

    assert bash.complete("modelset check --hf-token-file my") == ["my token.txt"]


@needs_bash
def test_a_model_of_the_users_own_is_offered(bash: Bash) -> None:
    bash.project.config.write_text(
        '[[model]]\nkey = "whisper:house"\ncategory = "whisper"\nsource = "huggingface"\n'
        'ref = { repo = "acme/whisper-house-ct2" }\n'
    )

    assert bash.complete("modelset check whisper:hou") == ["house"]


@needs_bash
def test_a_broken_project_offers_nothing_and_says_nothing(bash: Bash) -> None:
    bash.project.config.write_text("[nonsense")

    assert bash.complete("modelset check whisper:") == []
    assert bash.complete("modelset check --str") == ["--strict"]


# How each shell begins without the user's own settings, and what it needs before the script.
PROMPTS = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], "PS1='ready> '"),
    "zsh": (["zsh", "-f", "-i"], "PS1='ready> '; autoload -U compinit; compinit -D -u"),
}


@pytest.mark.skipif(sys.platform == "win32", reason="no terminals of this kind")
@pytest.mark.parametrize("shell", PROMPTS)
def test_a_tab_at_a_real_prompt_completes_a_key(
    project: Project, path: str, tmp_path: Path, shell: str
) -> None:
    import pty

    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} here")
    script = script_for(project, shell, tmp_path)
    command, prepare = PROMPTS[shell]
    leader, follower = pty.openpty()
    home = {"HOME": str(tmp_path), "ZDOTDIR": str(tmp_path), "TERM": "dumb"}
    with subprocess.Popen(
        command,
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env={**project.environ, **home, "PATH": path},
        cwd=project.folder,
        start_new_session=True,
    ) as process:
        os.close(follower)

        def until(text: str) -> None:
            shown, end = "", time.monotonic() + 20
            while text not in shown and time.monotonic() < end:
                if select.select([leader], [], [], 0.5)[0]:
                    shown += os.read(leader, 65536).decode(errors="replace")
            assert text in shown

        try:
            loading = f"{prepare}; source {shlex.quote(str(script))}; echo lo''aded\n"
            os.write(leader, loading.encode())
            until("loaded\r\n")
            for typed, completed in (
                ("modelset check vad:silero-h", "vad:silero-hub"),
                ("modelset check --only=c", "--only=critical"),
            ):
                os.write(leader, b"\x15" + typed.encode() + b"\t")
                until(completed)
        finally:
            process.kill()
    os.close(leader)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("modelset hardw", ["hardware"]),
        ("modelset --v", ["--version"]),
        ("modelset check --de", ["--debug", "--deep", "--demo"]),
        ("modelset check --only ", ["critical"]),
        ("modelset check --only=c", ["--only=critical"]),
        ("modelset check --category v", ["vad", "vosk"]),
        ("modelset status vad:silero-", ["vad:silero-hub"]),
        ("modelset download --timeout ", []),
        ("modelset env --format d", ["docker", "dotenv"]),
        ("modelset config set download.max", ["download.max_workers"]),
        ("modelset nonsense ", []),
    ],
)
def test_fish_completes_what_is_typed(
    project: Project, path: str, tmp_path: Path, line: str, found: list[str]
) -> None:
    if shutil.which("fish") is None:
        pytest.skip("no fish here")
    script = script_for(project, "fish", tmp_path)
    program = f"source {shlex.quote(str(script))}; complete -C {shlex.quote(line)}"
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        env={**project.environ, "PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"},
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.stderr == ""
    # A tab ends the word; what it means follows.
    assert sorted(row.partition("\t")[0] for row in done.stdout.splitlines()) == found


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_option_is_in_the_script(project: Project, shell: str) -> None:
    ran = run_own(project, "completion", shell)

    assert ran.code == 0, ran.stderr
    assert ran.json is None
    assert run_own(project, "completion", shell, "--json").json["data"] == {
        "shell": shell,
        "script": ran.stdout,
    }
    for command in whole_program().commands:
        assert command.name in ran.stdout
        for option in command.options:
            for name in option.names:
                spelled = f" {'-l' if name[:2] == '--' else '-s'} {name.lstrip('-')} "
                assert (spelled if shell == "fish" else name) in ran.stdout


@pytest.mark.parametrize("kind", ["keys", "categories", "components", "whisper", "settings"])
def test_words_are_asked_of_the_program_one_a_line(project: Project, kind: str) -> None:
    ran = run_own(project, "completion", "--words", kind)
    listed = run_own(project, "completion", "--words", kind, "--json").json["data"]["words"]

    assert ran.code == 0
    assert ran.stdout.splitlines() == listed == sorted(set(listed))
    known = {
        "keys": "whisper:base",
        "categories": "vad",
        "components": "asr",
        "whisper": "large-v3",
        "settings": "download.max_workers",
    }
    assert known[kind] in listed
    if kind != "keys":
        assert not any(":" in word for word in listed)


def test_without_a_shell_it_says_how_to_use_it(project: Project) -> None:
    ran = run_own(project, "completion")

    assert ran.code == 0
    assert all(f"modelset completion {shell}" in ran.stdout for shell in SHELLS)
    assert run_own(project, "completion", "tcsh").code == 2


def test_the_whole_program_is_what_the_parser_takes() -> None:
    for command in whole_program().commands:
        parser, _ = main._parser([command.name])
        (commands,) = [one for one in parser._actions if isinstance(one.choices, dict)]
        assert commands.choices is not None
        own = commands.choices[command.name]._actions
        named = {name for action in own for name in action.option_strings}
        assert {name for option in command.options for name in option.names} <= named
        assert command.aliases == tuple(main.COMMANDS[command.name][1])
        assert not any("%" in option.words for option in command.options)
