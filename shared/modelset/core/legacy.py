"""Settings of older set-ups, such as `[whisper] download_root`, and what they are called now."""

from collections.abc import Callable, Mapping
from typing import Any

# The variable that moves the root which each section was about.
OWN_VARIABLES: Mapping[str, str] = {
    "whisper": "WHISPER_CACHE_DIR",
    "vosk": "VOSK_MODEL_PATH",
    "coqui": "TTS_HOME",
    "ollama": "OLLAMA_MODELS",
}
_ROOT = "MODELSET_MODELS_ROOT"
KEYS = ("download_root", "model_paths", "credentials_path", "api_key_env")


def legacy_sections(document: Mapping[str, Any]) -> tuple[str, ...]:
    """The sections of a settings file that an older set-up wrote."""
    return tuple(
        name
        for name, table in document.items()
        if isinstance(table, Mapping) and any(key in table for key in KEYS)
    )


def legacy_variables(
    document: Mapping[str, Any], absolute: Callable[[str], str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables that say the same, and a line about each old setting that shows the new one.

    `absolute` makes a path of the file one that holds anywhere.
    """
    found: dict[str, str] = {}
    lines: list[str] = []
    paths = document.get("paths")
    has_root = isinstance(paths, Mapping) and "models_root" in paths
    for section in legacy_sections(document):
        for key, value in document[section].items():
            variable, text = _variable(section, key, value)
            if variable == _ROOT and has_root:
                variable = ""
            if variable and key != "api_key_env":
                text = absolute(text)
                found.setdefault(variable, text)
            says = f"is old; write {variable}={text}" if variable else "means nothing any more"
            lines.append(f"[{section}] {key} {says}")
    return found, tuple(lines)


def _variable(section: str, key: str, value: object) -> tuple[str, str]:
    """The variable of an old setting and what it should hold, or empty texts."""
    texts = [text for text in _texts(value) if text]
    if not texts or key not in KEYS:
        return "", ""
    if key == "api_key_env":  # it named the variable that holds the key: that one counts by itself
        return texts[0], "..."
    if key == "credentials_path":
        is_file = texts[0].endswith(".json")
        return (
            "GOOGLE_APPLICATION_CREDENTIALS" if is_file else "MODELSET_CREDENTIALS_ROOT"
        ), texts[0]
    if key == "model_paths":  # the library looks for a model by the name of its folder
        folder = texts[0].rstrip("/").rpartition("/")[0] or "."
        return ("VOSK_MODEL_PATH", folder) if section == "vosk" else ("", "")
    return OWN_VARIABLES.get(section, _ROOT), texts[0]


def _texts(value: object) -> list[str]:
    values = value.values() if isinstance(value, Mapping) else [value]
    return [text for text in values if isinstance(text, str)]
