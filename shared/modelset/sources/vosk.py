"""Vosk's speech models, by the list that their publisher keeps.

The list gives each archive's address, size and md5; the library finds a model by the name of its
folder alone (vosk 0.3.45, `Model.get_model_path`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from modelset.core.errors import ModelSetError
from modelset.core.layout import Layout, Unpack
from modelset.core.refs import check_url, ref_problems, value_problems
from modelset.core.types import Artifact, Model, Pin, check_name, first_use

if TYPE_CHECKING:  # a check must start fast
    from modelset.core.ports import Source, Web

LIST = "https://alphacephei.com/vosk/models/model-list.json"


class Vosk:
    """The list at alphacephei.com."""

    def resolve(self, model: Model, web: Web) -> Pin:
        """The archive that the list gives under a name."""
        name = str(model.ref["name"])
        rows = web.get_json(LIST)
        try:
            row = next((row for row in rows if row["name"] == name), None)
            if row is None:
                raise ModelSetError(
                    "not-found",
                    f"{model.key}: {LIST} has no model {name}",
                    "look there for the names that it has",
                )
            url = check_url(row["url"])
            digest = f"md5:{row['md5']}" if row.get("md5") else first_use(url)
            artifact = Artifact(f"{name}.zip", url, row["size"], digest)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ModelSetError("bad-response", f"{model.key}: {LIST} is odd: {error}") from error
        return Pin(model.key, "vosk", dict(model.ref), artifact.hex[:12], (artifact,))

    def layout(self, pin: Pin) -> Layout:
        """The folder of the model's name."""
        name = str(pin.ref["name"])
        return Layout("vosk", (Unpack(name, pin.artifacts[0]),), name)

    def trace(self, ref: Mapping[str, object]) -> tuple[str, str]:
        """The folder itself."""
        return "vosk", str(ref["name"])

    def check_access(self, model: Model, web: Web) -> None:
        """Nothing to ask: the models are open."""

    def check_ref(self, ref: Mapping[str, object]) -> list[str]:
        """Problems of a `ref`, in words."""
        problems = ref_problems("vosk", ref, {"name": str}, ("name",))
        return [*problems, *value_problems(ref, "name", check_name)]


SOURCE: Source = Vosk()
