"""A folder on scratch: the instance into which file trees are restored."""

from pathlib import Path

from drmgr.model import Instance, Recipe


def start_folder(recipe: Recipe, path: Path) -> Instance:
    """An empty folder that only drmgr's account may enter. Raises OSError."""
    path.mkdir(mode=0o700)
    return Instance(engine=recipe.engine, path=path)
