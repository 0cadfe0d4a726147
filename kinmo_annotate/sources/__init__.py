"""Where motions come from: HumanML3D folders, BVH, AMASS, plain arrays, and the procedural demo motions."""

from __future__ import annotations

from pathlib import Path

from kinmo_annotate.schema.records import Motion, MotionError
from kinmo_annotate.sources.base import Entry, MotionSource

KINDS = ("humanml3d", "bvh", "amass", "arrays")
_MOTION_FILES = (".bvh", ".npy", ".npz")

__all__ = ["KINDS", "Entry", "MotionSource", "detect_kind", "load_motion", "open_source"]


def open_source(
    path: Path, *, mapping: Path | None = None, kind: str | None = None, skip_s: float = 0.0
) -> MotionSource:
    """Open a file or folder of motions.

    Args:
        path: a HumanML3D folder, or a file or folder (to any depth) of .bvh, AMASS .npz, .npy or .npz.
        mapping: for BVH, a YAML file that maps its joint names to the SMPL joints.
        kind: one of `KINDS`; None tells it from the files.
        skip_s: for BVH, seconds to leave out at the start of every file (CMU files begin with a T-pose).

    Raises:
        MotionError: there is nothing there, or nothing of a known kind.
    """
    kind = kind or detect_kind(path)
    if kind not in KINDS:
        raise MotionError(
            str(path), f"there is no source kind {kind!r}", f"Choose one of: {', '.join(KINDS)}."
        )
    if not path.exists():
        raise MotionError(str(path), "does not exist", "Check the path.")
    if kind != "bvh" and (mapping is not None or skip_s):
        raise MotionError(
            str(path), f"a mapping and a skip are for BVH, and this is {kind}", "Leave them out."
        )
    return _open(path, kind, mapping, skip_s)


def load_motion(path: Path, mapping: Path | None = None) -> Motion:
    """Read the motion of one file: .bvh, AMASS .npz, or .npy or .npz of joints or HumanML3D vectors.

    Args:
        path: the file.
        mapping: for BVH, a YAML file that maps its joint names to the SMPL joints.

    Raises:
        MotionError: there is no such file, or it holds no usable motion.
    """
    if path.is_dir():
        remedy = "Give one .bvh, .npy or .npz file; of a dataset, its folder and the id of a motion."
        raise MotionError(str(path), "is a folder, and one motion is needed", remedy)
    if path.exists() and path.suffix.lower() not in _MOTION_FILES:
        known = ", ".join(_MOTION_FILES)
        raise MotionError(str(path), f"is a file of another kind than {known}", "Convert it to BVH first.")
    source = open_source(path, mapping=mapping)
    for failed in source.failures():  # a name that cannot be an id
        raise MotionError(failed.path, failed.reason, failed.remedy)
    return source.load(source.entries()[0])


def _open(path: Path, kind: str, mapping: Path | None, skip_s: float) -> MotionSource:
    if kind == "humanml3d":
        from kinmo_annotate.sources.humanml3d import HumanML3DSource

        return HumanML3DSource(path)
    if kind == "bvh":
        from kinmo_annotate.sources.bvh import BvhSource

        return BvhSource(path, mapping, skip_s)
    if kind == "amass":
        from kinmo_annotate.sources.amass import AmassSource

        return AmassSource(path)
    from kinmo_annotate.sources.arrays import ArraySource

    return ArraySource(path)


def detect_kind(path: Path) -> str:
    """Tell what kind of source a path is from the names of its files, and for .npz from the arrays in one.

    Raises:
        MotionError: nothing there, nothing known, or files of several kinds.
    """
    from kinmo_annotate.sources.files import list_files, npz_names
    from kinmo_annotate.sources.humanml3d import is_humanml3d

    if not path.exists():
        raise MotionError(str(path), "does not exist", "Check the path.")
    if is_humanml3d(path):
        return "humanml3d"
    files = list_files(path, (".bvh", ".npz", ".npy"))
    kinds = {"bvh" if file.suffix.lower() == ".bvh" else "arrays" for file in files}
    if kinds == {"arrays"} and any({"poses", "pose_body"} & npz_names(file) for file in files[:20]):
        return "amass"
    if len(kinds) == 1:
        return kinds.pop()
    if kinds:
        raise MotionError(
            str(path), "holds both .bvh and array files", "Say which to read: --kind bvh or arrays."
        )
    remedy = "Give a HumanML3D folder, or a folder or file of .bvh, .npy or .npz motions."
    raise MotionError(str(path), "holds no motion files", remedy)
