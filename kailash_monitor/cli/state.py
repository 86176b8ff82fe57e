"""The state folder: where the command line keeps what belongs to this user and this machine."""

import errno
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["is_ours", "make_private", "state_folder"]

NAME: Final = "kailash-monitor"

OWNER_ONLY: Final = 0o700


def state_folder(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """Give the folder, which need not be there yet: in XDG_STATE_HOME where that is set, else where the system has it.

    https://specifications.freedesktop.org/basedir-spec/latest/, which has relative paths ignored. An OSError where no home
    folder is known.
    """
    stated = environment.get("XDG_STATE_HOME", "")
    if os.path.isabs(stated):
        return Path(stated) / NAME
    try:
        home = Path.home()
    except RuntimeError:
        raise FileNotFoundError(errno.ENOENT, "no home folder is known; set XDG_STATE_HOME") from None
    below = ("Library", "Application Support") if platform == "darwin" else (".local", "state")
    return home.joinpath(*below, NAME)


def make_private(folder: Path) -> None:
    """Make the folder and what it lies in, and let nobody but its owner in; an OSError where it is somebody else's."""
    folder.parent.mkdir(OWNER_ONLY, parents=True, exist_ok=True)
    folder.mkdir(OWNER_ONLY, exist_ok=True)
    status = folder.stat()
    if not is_ours(status):
        raise PermissionError(errno.EPERM, "it belongs to another user", str(folder))
    if status.st_mode & 0o077:
        folder.chmod(OWNER_ONLY)


def is_ours(status: os.stat_result) -> bool:
    """Whether what this is the status of belongs to the user who runs us."""
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()
