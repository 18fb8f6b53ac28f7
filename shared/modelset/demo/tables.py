"""Tables for the catalog: models of whose address the demo's own digest is a part."""

from __future__ import annotations

from modelset.demo.content import Content
from modelset.demo.files import WHISPER_NAMES, whisper_address, whisper_checkpoint
from modelset.demo.folders import Folders

_TABLE = """\
[[model]]
key = "openai-whisper:{name}"
{aliases}category = "openai-whisper"
tier = "available"
source = "url"
ref.url = "https://{address}"
ref.digest = "sha256:{digest}"
ref.root = "whisper"
ref.path = "{name}.pt"
ref.size = {size}
size_bytes = {size}
licence = "MIT"
library = "openai-whisper"
formats = ["pickle"]
"""

# The library's other names for its models.
_ALIASES = {"large-v3": "large", "large-v3-turbo": "turbo"}


def whisper_tables(folders: Folders) -> str:
    """Return the TOML tables that replace those of the real checkpoints, if there is a demo one."""
    content = whisper_checkpoint(folders)
    if content is None:
        return ""
    return "\n".join(_table(content, name) for name in WHISPER_NAMES)


def _table(content: Content, name: str) -> str:
    alias = _ALIASES.get(name)
    return _TABLE.format(
        name=name,
        aliases=f'aliases = ["openai-whisper:{alias}"]\n' if alias else "",
        address=whisper_address(content, name),
        digest=content.sha256,
        size=content.size,
    )
