"""Who may read what."""

from __future__ import annotations

from modelset.demo.exchange import Ask, Reply, error_reply
from modelset.demo.repos import Repo
from modelset.demo.site import Site

READER = "hf_demo"
NO_LICENCE = "hf_demo_no_licence"
DENIED = "hf_demo_denied"
TOKENS = (READER, NO_LICENCE, DENIED)


def refusal(site: Site, ask: Ask, repo: Repo) -> Reply | None:
    """Return why the files of a repository may not be read, or None if they may."""
    if not (repo.is_gated and site.is_token_needed) or ask.token == READER:
        return None
    if ask.token == NO_LICENCE:
        message = (
            f"Access to model {repo.id} is restricted and you are not in the authorized list. "
            f"Visit https://huggingface.co/{repo.id} to ask for access."
        )
        return error_reply(403, message, "GatedRepo")
    if ask.token == DENIED:
        # The clients tell this case by the exact message; it has no code.
        return error_reply(403, "Access to this resource is disabled.")
    message = (
        f"Access to model {repo.id} is restricted. "
        "You must have access to it and be authenticated to access it. Please log in."
    )
    return error_reply(401, message, "GatedRepo")


def missing_repo(ask: Ask) -> Reply:
    """Refuse a repository that is not here; without a token it might be a private one."""
    if ask.token in TOKENS:
        return error_reply(404, "Repository not found", "RepoNotFound")
    return error_reply(401, "Invalid username or password.", "RepoNotFound")


def whoami(ask: Ask) -> Reply | None:
    """Return the refusal for a token that is not known, or None."""
    if ask.token in TOKENS:
        return None
    return error_reply(401, "Invalid user token." if ask.token else "Invalid username or password.")
