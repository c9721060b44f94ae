"""Limits that Linux puts on the memory of a group of processes, such as a container.

A group lies in other groups. Each of them may have a limit, and the least that one of
them leaves counts. Version 1 of control groups has a tree of folders for memory alone,
version 2 has one tree for everything; a machine may have both.
"""

from pathlib import Path, PurePosixPath

#: Files of a group by version: limit, use, and the use that the kernel can reclaim at
#: once: pages of files, which it drops when it needs memory.
_FILES = {
    "cgroup2": ("memory.max", "memory.current", ("inactive_file", "active_file")),
    "cgroup": (
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        ("total_inactive_file", "total_active_file"),
    ),
}


def memory_left(root="/"):
    """Return the bytes that control groups leave to this process; None for no limit.

    Parameters
    ----------
    root : str or Path, default="/"
        Folder that holds ``proc`` and what is mounted.
    """
    root = Path(root)
    try:
        groups = _groups((root / "proc/self/cgroup").read_text())
        mounts = (root / "proc/self/mountinfo").read_text().splitlines()
    except OSError:  # not Linux
        return None
    left = []
    for kind, mounted, place in _trees(mounts):
        # Only a part of the tree may be mounted, as in a container.
        group = PurePosixPath(groups.get(kind, "/"))
        inside = group.relative_to(mounted) if group.is_relative_to(mounted) else ""
        folder = PurePosixPath(place, inside)
        for each in (folder, *folder.parents):
            if each.is_relative_to(place):
                left.append(_left_in(root / each.relative_to("/"), *_FILES[kind]))
    return min((each for each in left if each is not None), default=None)


def _groups(text):
    """Path of the process's group by version, of ``number:controllers:path``."""
    groups = {}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            groups["cgroup2"] = path
        elif "memory" in controllers.split(","):
            groups["cgroup"] = path
    return groups


def _trees(lines):
    """Version, mounted part and place of each tree that may limit memory."""
    for line in lines:
        before, _, after = line.partition(" - ")
        mounted, place = before.split()[3:5]
        kind, _, options = after.split(" ", 2)
        is_tree = kind == "cgroup2" or (
            kind == "cgroup" and "memory" in options.split(",")
        )
        if is_tree:
            yield kind, mounted, place


def _left_in(folder, limit, use, reclaimable):
    try:
        limit = (folder / limit).read_text().strip()
        if limit == "max":
            return None
        used = int((folder / use).read_text())
        lines = (folder / "memory.stat").read_text().splitlines()
        pairs = map(str.split, lines)
        reclaimed = sum(int(value) for name, value in pairs if name in reclaimable)
        return max(0, int(limit) - max(0, used - reclaimed))
    except (OSError, ValueError):  # the tree's root has none of the files
        return None
