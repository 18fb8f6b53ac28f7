"""modelset serve: the model set over HTTP, for programs, browsers and Prometheus."""

import argparse

from modelset.cli.download import session
from modelset.cli.options import settings_of
from modelset.cli.screen import Screen, say
from modelset.core.errors import KINDS, ModelSetError
from modelset.core.values import replace
from modelset.engine.guard import Stop
from modelset.settings import Settings
from modelset.store.files import read_text


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of this command."""
    parser.add_argument("--host", metavar="ADDRESS", help="where to listen (127.0.0.1)")
    parser.add_argument("--port", metavar="PORT", help="0 takes any that is free (8000)")
    parser.add_argument(
        "--token-file", metavar="FILE", help="a file with the token that changes need"
    )


def run(options: argparse.Namespace, screen: Screen, stop: Stop) -> int:
    """Serve until a signal comes, and return its exit code."""
    try:
        from modelset.server.app import make_app
        from modelset.server.run import listen, serve
    except ImportError as error:
        raise ModelSetError(
            "usage",
            f"the service needs a library that is not installed: {error.name}",
            "run `./scripts/bootstrap.sh --server`",
        ) from error
    with session(options) as settings:
        own = _with_token(settings)
        with listen(own.serving) as bound:
            app = make_app(lambda: _with_token(settings_of(options)), own)
            serve(app, bound, say)
    return KINDS[stop.code].exit_code if stop.code else 1


def _with_token(settings: Settings) -> Settings:
    serving = settings.serving
    if serving.token_file is None:
        return settings
    token = (read_text(serving.token_file) or "").strip()
    if not token:
        raise ModelSetError(
            "config-invalid",
            f"{serving.token_file} is missing or empty",
            "write the token of the server into it: one line, nothing else",
        )
    return replace(settings, serving=replace(serving, token=token))
