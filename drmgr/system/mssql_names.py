"""Names and devices as SQL Server's statements write them."""

from dataclasses import dataclass


def bracketed(*names: str) -> str:
    """An identifier in the server's own quotes; several are joined by dots."""
    return ".".join("[" + name.replace("]", "]]") + "]" for name in names)


def literal(text: str) -> str:
    """A text as a Unicode literal."""
    return "N'" + text.replace("'", "''") + "'"


def join(folder: str, name: str) -> str:
    """A file in a folder of the server's own kind of paths."""
    windows = "\\" in folder or folder[1:2] == ":"
    separator = "\\" if windows else "/"
    return folder.rstrip("\\/") + separator + name


def folder_of(path: str) -> str:
    """The folder that a file of the server lies in, with the separator at its end."""
    return path[: max(path.rfind("\\"), path.rfind("/")) + 1]


@dataclass(frozen=True)
class Device:
    """Where one backup lies, as BACKUP and RESTORE name it (``text``).

    ``writing`` are options that every BACKUP to it has, ``compressing`` those of compressed ones, ``reading`` those of
    every RESTORE from it.
    """

    text: str
    writing: tuple[str, ...]
    compressing: tuple[str, ...] = ()
    reading: tuple[str, ...] = ()
