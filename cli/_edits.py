"""What `kinmo edit` is asked for: the motion, where in it, and the texts that it shall follow."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ._common import WRONG_USAGE, fail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ONE_WAY = "Leave out all but one."


@dataclass(frozen=True)
class Asked:
    """Which motion, and where in it.

    Attributes:
        source: a motion file.
        row: a dataset and the id of its motion, in the place of a file.
        span: from and to, seconds; None where the option was not given.
        prepend: what is written before.
        append: what is written afterwards.
        blend: a motion file that follows.
        seconds: length of what is added.
    """

    source: Path | None
    row: tuple[Path, str] | None = None
    span: tuple[float | None, float | None] = (None, None)
    prepend: str = ""
    append: str = ""
    blend: Path | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Texts:
    """What the motion shall follow.

    Attributes:
        prompt: the caption; "" where there is none.
        file: sentences in YAML.
        given: NAME=SENTENCE, as on the command line.
        instruction: for the reasoner.
        reasoner: where that is.
        sentences: by field, of all these together, once they are read.
        changed: fields whose sentences are not those of the source.
    """

    prompt: str
    file: Path | None = None
    given: tuple[str, ...] = ()
    instruction: str = ""
    reasoner: str = ""
    sentences: dict[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Opened:
    """A motion to edit.

    Attributes:
        name: what it is called.
        features: (T, 263), not normalised.
        caption: what a row says of it; "" of a file.
        sentences: those of a row by field.
        path: the file, if it is one.
    """

    name: str
    features: NDArray[np.float32]
    caption: str = ""
    sentences: dict[str, str] = field(default_factory=dict)
    path: Path | None = None


def check_usage(
    asked: Asked, said: Texts, model: str, out: Path | None, hold: str, refine: int, prompt: str
) -> Path:
    """Refuse options that are missing or do not go together, before anything slow is done; give `out`."""
    if not model or out is None:
        fail("name the model and what to write", "Add --model RUN --out clip.mp4.", WRONG_USAGE)
    if (asked.source is None) == (asked.row is None):
        fail("give a motion file, or --row DATASET ID", "One of both: kinmo edit walk.bvh ...", WRONG_USAGE)
    ways = {
        "--from and --to": asked.span != (None, None),
        "--prepend": bool(asked.prepend),
        "--append": bool(asked.append),
        "--blend": asked.blend is not None,
    }
    chosen = [name for name, there in ways.items() if there]
    if len(chosen) > 1:
        fail(f"{' and '.join(chosen)} do not go together", _ONE_WAY, WRONG_USAGE)
    if prompt and (asked.prepend or asked.append):
        fail(f"{chosen[0]} says what is written, and so does --prompt", _ONE_WAY, WRONG_USAGE)
    adds = bool(asked.prepend or asked.append or asked.blend)
    if asked.seconds is not None and not adds:
        remedy = "Say with --from and --to where a motion is written anew."
        fail("--seconds is the length of what is added, and nothing is", remedy, WRONG_USAGE)
    if hold and adds:
        fail(
            f"--hold and {chosen[0]} do not go together", "What is added has no source to hold.", WRONG_USAGE
        )
    if bool(said.instruction) != bool(said.reasoner):
        remedy = 'Give both: --instruction "raise the left hand" --reasoner RUN.'
        fail("an instruction needs a reasoner, and a reasoner an instruction", remedy, WRONG_USAGE)
    if said.instruction and (said.prompt or said.file or said.given):
        reason = "--instruction has the reasoner write the texts, and there are others"
        fail(reason, "Leave out the instruction, or --prompt, --fields and --field.", WRONG_USAGE)
    if refine and not hold:
        remedy = "Name the groups that stay with --hold, or leave --refine out."
        fail("--refine goes with --hold, and nothing is held", remedy, WRONG_USAGE)
    return out


def open_source(asked: Asked, mapping: Path | None) -> Opened:
    """Read the motion.

    Raises:
        MotionError: there is no such file, or it holds no usable motion.
        DatasetError: the dataset cannot be read, or has no such motion.
    """
    from kinmo_annotate.schema.features import joints_to_features

    if asked.source is not None:
        from kinmo_annotate.sources import load_motion

        joints = load_motion(asked.source, mapping).joints
        rows = joints_to_features(_enough(joints, str(asked.source)), str(asked.source))
        return Opened(asked.source.name, rows, path=asked.source)
    if mapping is not None:
        fail("--mapping is for BVH files, and this is a dataset", "Leave it out.", WRONG_USAGE)
    dataset, motion_id = asked.row or (Path(), "")
    return _open_row(dataset, motion_id)


def _open_row(dataset: Path, motion_id: str) -> Opened:
    from kinmo_annotate.dataset import find
    from kinmo_annotate.schema.features import joints_to_features
    from kinmo_annotate.schema.records import MotionError

    from ._prompts import from_row

    found, said = find(dataset, motion_id), from_row(dataset, motion_id)
    if found.features is None and found.joints is None:
        remedy = "Put the motions of your own copy back first: `kinmo dataset join`."
        raise MotionError(motion_id, "carries no joints, so there is nothing to edit", remedy)
    if found.features is not None:
        rows = found.features
    else:
        rows = joints_to_features(_enough(found.joints, motion_id), motion_id)
    return Opened(motion_id, rows, said.caption, dict(said.fields))


def _enough(joints: NDArray[np.float32] | None, where: str) -> NDArray[np.float32]:
    """Refuse a motion without a single difference between frames, which gives no features."""
    from kinmo_annotate.schema.records import MotionError

    if joints is None or len(joints) < 5:
        reason = f"has {0 if joints is None else len(joints)} frames, and a motion token stands for 4"
        raise MotionError(where, reason, "Give a motion of at least 5 frames.")
    return joints


def read_texts(said: Texts, opened: Opened) -> Texts:
    """Read what the motion shall follow: the row's texts with those changed that were given.

    Raises:
        typer.Exit: there is no text at all, or one that cannot be used.
        TrainingError: there is no such reasoner.
    """
    if said.instruction:
        prompt, sentences = _reasoned(said, opened)
        changed = tuple(name for name, text in sentences.items() if opened.sentences.get(name, "") != text)
        return replace(said, prompt=prompt, sentences=sentences, changed=changed)
    given = _given(said)
    prompt = said.prompt.strip() or ("" if given else opened.caption)
    if not prompt and not given:
        reason = "there is no text to write the motion under"
        remedy = 'Say what shall happen, such as --prompt "a person waves", or --field left_arm="..."'
        fail(reason, remedy, WRONG_USAGE)
    # A prompt of its own says what the whole of the motion is; sentences of the row would speak against it.
    known = {} if said.prompt else opened.sentences
    return replace(said, prompt=prompt, sentences={**known, **given}, changed=tuple(given))


def _given(said: Texts) -> dict[str, str]:
    """Read the sentences of the file, and those of the command line over them."""
    from kinmo_annotate.schema.skeleton import FIELDS

    from ._prompts import read_fields, refuse_field

    found = read_fields(said.file) if said.file is not None else {}
    for one in said.given:
        name, sign, sentence = one.partition("=")
        if name not in FIELDS:
            refuse_field(name, "--field", FIELDS)
        if not sign or not sentence.strip():
            remedy = f'Give it like {name}="The person does something."'
            fail(f"--field {one}: has no sentence", remedy, WRONG_USAGE)
        found[name] = " ".join(sentence.split())
    return found


def _reasoned(said: Texts, opened: Opened) -> tuple[str, dict[str, str]]:
    """Have the reasoner edit the texts of the source."""
    if not opened.caption:
        reason = f"{opened.name}: nothing says what it does, so that no instruction can change that"
        remedy = "Edit a row of a dataset with --row, or give the new texts with --prompt and --field."
        fail(reason, remedy, WRONG_USAGE)
    from kinmo_models.reasoner.reasoner import Reasoner

    asked = (opened.caption, opened.sentences, said.instruction)
    caption, sentences = Reasoner.from_pretrained(said.reasoner).edit([asked])[0]
    return caption, {name: text for name, text in sentences.items() if text.strip()}


def held_groups(hold: str, texts: Texts) -> tuple[str, ...]:
    """Read the groups that stay: names, or `others` for those that no changed sentence speaks of.

    Raises:
        typer.Exit: an unknown group, none or all of them.
    """
    from kinmo_annotate.schema.skeleton import GROUP_NAMES

    names = [name.strip() for name in hold.split(",") if name.strip()]
    if names == ["others"]:
        moving = {name for name in texts.changed if name in GROUP_NAMES}
        if not moving:
            remedy = 'Give its sentence, such as --field left_arm="The left arm waves.", or name the groups.'
            fail("--hold others: no sentence of a group changes", remedy, WRONG_USAGE)
        names = [name for name in GROUP_NAMES if name not in moving]
    for name in names:
        if name not in GROUP_NAMES:
            known = ", ".join(GROUP_NAMES)
            fail(f"--hold {hold}: there is no group {name!r}", f"The groups are {known}.", WRONG_USAGE)
    if len(set(names)) == len(GROUP_NAMES):
        fail(
            f"--hold {hold}: all six groups are held, so that nothing can change", "Hold fewer.", WRONG_USAGE
        )
    return tuple(name for name in GROUP_NAMES if name in names)
