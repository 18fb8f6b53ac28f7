"""The documents of the service, as its OpenAPI description shows them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

# The grammar of a model's key, with what the catalog allows behind it (`@REVISION`).
KEY = r"^[A-Za-z0-9][A-Za-z0-9._-]*:[A-Za-z0-9][A-Za-z0-9._/:@-]*$"
Key = Annotated[str, Field(pattern=KEY, max_length=200)]
Keys = Annotated[list[Key], Field(max_length=200)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=50)]
Size = Annotated[str, Field(pattern=r"^[0-9]{1,9}(\.[0-9]{1,3})? ?([KMGT]i?)?B?$")]

Presence = Literal["present", "partial", "missing", "corrupt", "unpinned", "skipped"]
State = Literal["queued", "running", "succeeded", "failed", "stopped"]
Tier = Literal["critical", "optional", "available"]


class Problem(BaseModel):
    """An error (RFC 9457); `code` is one of docs/errors.md."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    hint: str
    retryable: bool


class Shape(BaseModel):
    """A document of an answer; later versions may add fields."""

    model_config = ConfigDict(extra="allow")


class ModelRow(Shape):
    """A model of the set, and what the disk holds of it; sizes in bytes."""

    key: str
    category: str
    tier: Tier
    presence: Presence
    bytes_have: int
    bytes_want: int
    revision: str
    path: str
    detail: str
    formats: list[str]
    problems: list[str]
    source: str
    licence: str
    note: str


class CategoryRow(Shape):
    """A category, how many of its models are wanted and present, and their bytes."""

    name: str
    title: str
    models: int
    present: int
    bytes: int


class LeftOutRow(Shape):
    """A model that is not for this machine, and why."""

    key: str
    why: str


class ModelList(Shape):
    """The set as it is on the disk."""

    ready: bool
    total_bytes: int
    categories: list[CategoryRow]
    models: list[ModelRow]
    left_out: list[LeftOutRow]


class CatalogRow(Shape):
    """A model that exists."""

    key: str
    category: str
    tier: Tier
    source: str
    size_bytes: int
    licence: str


class CatalogList(Shape):
    """Everything that exists."""

    models: list[CatalogRow]


class HardwareView(Shape):
    """What the machine is, and what it should run."""

    profile: dict[str, Any]
    recommendation: dict[str, Any]


class PlanView(Shape):
    """What a download would do."""

    selected: list[dict[str, Any]]
    compatible: list[str]
    incompatible: list[dict[str, Any]]
    bytes_to_move: int
    free_bytes: int


class FailureView(Shape):
    """Why a job failed."""

    code: str
    message: str
    hint: str


class JobView(Shape):
    """A job; moments are seconds since 1970. `result` is what its command said."""

    id: str
    action: Literal["download", "verify", "clean", "update", "test"]
    options: dict[str, Any]
    state: State
    created: float
    started: float | None
    ended: float | None
    exit_code: int | None
    failure: FailureView | None
    result: dict[str, Any] | None


class JobBrief(Shape):
    """A job without its result."""

    id: str
    action: str
    options: dict[str, Any]
    state: State


class JobList(Shape):
    """Jobs, the newest first."""

    jobs: list[JobBrief]


class Health(Shape):
    """Whether the service lives, or the critical models are here."""

    status: Literal["ok", "not ready"]


class Progress(Health):
    """What is missing, and what is being done about it."""

    missing: list[str]
    bytes_have: int
    bytes_want: int
    jobs: list[str]


class Work(BaseModel):
    """What a job is asked to do; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", strict=True)

    keys: Keys = []


class Download(Work):
    """Bring every missing model: of the set, or those that are named."""

    action: Literal["download"]
    components: Annotated[list[Name], Field(max_length=50)] = []
    category: Name | None = None
    only: Literal["critical"] | None = None
    locked: bool = False
    frozen: bool = False


class Verify(Work):
    """Read and hash every file; with `repair`, fetch the broken ones again."""

    action: Literal["verify"]
    fast: bool = False
    repair: bool = False


def _whole(value: object) -> object:
    """For JSON, 2.0 is a whole number too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


class Clean(Work):
    """What nothing needs any more; removed with `yes`, otherwise only shown."""

    action: Literal["clean"]
    yes: bool = False
    keep: Annotated[int, Field(ge=0, le=1000), BeforeValidator(_whole)] = 2
    older_than: Annotated[int, Field(ge=0, le=36500), BeforeValidator(_whole)] = 0
    max_size: Size | None = None
    orphans: bool = False
    partials: bool = False
    caches: bool = False


class Update(Work):
    """Compare the lock with the sources, and bring what is newer unless `check` is set."""

    action: Literal["update"]
    check: bool = False


class Test(Work):
    """Load models in their libraries, without a network."""

    action: Literal["test"]
    all: bool = False


AnyWork = Annotated[Download | Verify | Clean | Update | Test, Field(discriminator="action")]


class Credentials(BaseModel):
    """What opens a session of the page."""

    model_config = ConfigDict(extra="forbid", strict=True)

    token: Annotated[str, Field(max_length=1000)]
