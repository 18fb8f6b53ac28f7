"""What every route works with, in one place."""

import asyncio
from typing import cast

from starlette.requests import Request

from modelset.core.values import dataclass
from modelset.server.access import Access
from modelset.server.command import Command
from modelset.server.jobs import Jobs
from modelset.server.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class Service:
    """One running service. `closing` is set as soon as it is asked to end."""

    snapshot: Snapshot
    jobs: Jobs
    command: Command
    access: Access
    closing: asyncio.Event


def service_of(request: Request) -> Service:
    """The service that answers a request."""
    return cast(Service, request.app.state.service)
