"""Send an exported folder to the Hugging Face hub. Nothing here is called unless it is asked for."""

from __future__ import annotations

import re
from pathlib import Path

from quadzoo.errors import ConfigError, QuadzooError
from quadzoo.inference.export import FILES

_REASON = 120  # characters
_REPOSITORY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


def check_push(repo: str) -> None:
    """Check, without the network, that a folder can be sent to a repository OWNER/NAME.

    Raises ConfigError for a name that no repository can have, and where there is no token.
    """
    from huggingface_hub import get_token

    if not _REPOSITORY.fullmatch(repo):
        raise ConfigError(f"`push` {repo[:60]!r}: a repository is OWNER/NAME")
    if not get_token():
        raise ConfigError(
            f"`push` {repo}: there is no token for the Hugging Face hub; log in with `hf auth login`, or set "
            "HF_TOKEN"
        )


def push(folder: Path, repo: str) -> str:
    """Send an exported folder to a repository, which is made, as a private one, where it is not there.

    Return its address. Raises QuadzooError where the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        api.create_repo(repo, private=True, exist_ok=True)
        api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=sorted(FILES), commit_message="quadzoo export"
        )
    except Exception as error:  # the hub's errors, and those of two HTTP clients, have no common base
        reason = " ".join(str(error).split())[:_REASON] or type(error).__name__
        raise QuadzooError(
            f"`push` {repo}: not sent ({reason}); {folder} is written: try again with the same command"
        ) from error
    return f"https://huggingface.co/{repo}"
