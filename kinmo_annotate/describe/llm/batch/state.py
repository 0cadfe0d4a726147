"""What is known of a dataset's batches: `batches/state.json`, small, written whole or not at all, versioned.

A chunk is one file of requests and, once submitted, one batch of the API. The steps of a chunk are written
down before they are taken, so that a run that was killed in between knows what to look for at the endpoint.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from kinmo_annotate.schema.shards import DatasetError, atomic_write
from kinmo_annotate.settings import Asking, Settings

BATCHES_DIR: Final = "batches"
STATE_NAME: Final = "state.json"
VERSION: Final = 1

WRITTEN, UPLOADING, UPLOADED = "written", "uploading", "uploaded"
CREATING, SUBMITTED, COLLECTING = "creating", "submitted", "collecting"
COLLECTED, FAILED = "collected", "failed"
STEPS: Final = (WRITTEN, UPLOADING, UPLOADED, CREATING, SUBMITTED, COLLECTING, COLLECTED, FAILED)
_PENDING: Final = (WRITTEN, UPLOADING, UPLOADED, CREATING)
_UNDER_WAY: Final = (SUBMITTED, COLLECTING)

_PATHS: Final = ("prompt", "prices")


@dataclass(slots=True)
class Chunk:
    """A file of requests on its way through the batch API.

    Attributes:
        tag: 32 hexadecimal digits of its content and number: in the names of its files and its batch's
            metadata.
        number: from 0, in the order in which the dataset's chunks were made.
        model: that all its requests name.
        requests: how many.
        expected_usd: what it will cost by estimate; None where no price is known.
        step: one of `STEPS`: "uploading" and "creating" mean that it is not known how the call ended.
        file_id, batch_id: at the endpoint.
        past: earlier batches of the same file, which the endpoint did not begin.
        status: of the batch as last heard.
        completed, failed, total: lines, as last heard.
        created_at, expires_at: of the batch, seconds since 1970.
        output_file_id, error_file_id: what it brought.
        errors: why it failed as a whole.
    """

    tag: str
    number: int
    model: str
    requests: int
    expected_usd: float | None = None
    step: str = WRITTEN
    file_id: str = ""
    batch_id: str = ""
    past: list[str] = field(default_factory=list)
    status: str = ""
    completed: int = 0
    failed: int = 0
    total: int = 0
    created_at: int = 0
    expires_at: int = 0
    output_file_id: str = ""
    error_file_id: str = ""
    errors: list[str] = field(default_factory=list)

    @property
    def pending(self) -> bool:
        """Tell whether it has yet to be submitted."""
        return self.step in _PENDING

    @property
    def under_way(self) -> bool:
        """Tell whether its batch exists and its answers are not collected."""
        return self.step in _UNDER_WAY


@dataclass(frozen=True, slots=True)
class Again:
    """A first answer that could not be used: why, and what it took.

    Attributes:
        reason: as told to the model.
        share: how much longer the next answer may be.
        input_tokens, output_tokens, cached_tokens, cost_usd: of that answer.
    """

    reason: str
    share: float = 1.0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None


@dataclass(slots=True)
class State:
    """All batches of one dataset.

    Attributes:
        folder: where the state and the chunks' files lie.
        run_id: random; keeps the tags of two datasets apart.
        base_url: of the endpoint that has the batches, without user and password; empty is OpenAI's.
        plan: what is needed to run the pipeline again, as JSON values (`plan_of`).
        chunks: all there were, oldest first.
        again: key -> what was wrong with the first answer, where another was or will be asked for.
        given_up: key -> reason and remedy, where no answer will come.
        tries: key -> how often a batch ended without a word on it, or with an error of the endpoint.
        left_out: values of the requests' bodies that the endpoint does not take.
        paused: nothing new is to be submitted before the user says so, after a cancel or a refusal.
    """

    folder: Path
    run_id: str
    base_url: str = ""
    plan: dict[str, Any] = field(default_factory=dict)
    chunks: list[Chunk] = field(default_factory=list)
    again: dict[str, Again] = field(default_factory=dict)
    given_up: dict[str, list[str]] = field(default_factory=dict)
    tries: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    paused: bool = False

    def save(self) -> None:
        """Write the state.

        Raises:
            DatasetError: it cannot be written.
        """
        content = {"version": VERSION} | asdict(replace(self, folder=Path()))
        del content["folder"]
        text = json.dumps(content, indent=1, sort_keys=True) + "\n"
        atomic_write(self.folder / STATE_NAME, lambda file: file.write(text.encode()))

    @property
    def outstanding(self) -> int:
        """Count the requests that are in a chunk and not collected."""
        return sum(chunk.requests for chunk in self.chunks if chunk.pending or chunk.under_way)

    @property
    def goes_on(self) -> bool:
        """Tell whether there is anything to wait for."""
        pending = any(chunk.pending for chunk in self.chunks) and not self.paused
        return pending or any(chunk.under_way for chunk in self.chunks)

    @property
    def expected_usd(self) -> float:
        """Estimate what is yet to be paid for chunks that are not collected."""
        return sum(chunk.expected_usd or 0.0 for chunk in self.chunks if chunk.pending or chunk.under_way)

    def retry_failures(self) -> None:
        """Forget which requests were given up, so that the next pass asks for them anew."""
        for key in self.given_up:
            self.again.pop(key, None)
            self.tries.pop(key, None)
        self.given_up.clear()

    def settle(self, keys: Iterable[str]) -> None:
        """Forget the troubles of requests that are answered."""
        for key in keys:
            for notes in (self.again, self.given_up, self.tries):
                notes.pop(key, None)


def open_state(out: Path, *, base_url: str | None = None, plan: Mapping[str, Any] | None = None) -> State:
    """Read a dataset's batches, or begin with none. Hold the dataset's lock while you have it.

    Args:
        out: the dataset.
        base_url: of the endpoint to be used; None leaves that as it is.
        plan: see `plan_of`, where the user asks for a run, which ends a pause; None leaves both as they are.

    Raises:
        DatasetError: the state cannot be read, a newer kinmo wrote it, or batches are under way at another
            endpoint.
    """
    folder = out / BATCHES_DIR
    state = load_state(out) or State(folder, os.urandom(8).hex())
    if base_url is not None:
        address = public_address(base_url)
        if state.outstanding and address != state.base_url:
            reason = f"has batches under way at {state.base_url or 'OpenAI'}, not at {address or 'OpenAI'}"
            remedy = f"Collect or cancel them first: kinmo annotate batch collect {out}"
            raise DatasetError(out, reason, remedy)
        state.base_url = address
    if plan is not None:
        state.plan, state.paused = dict(plan), False
    return state


def load_state(out: Path) -> State | None:
    """Read a dataset's batches; None where there never were any.

    Raises:
        DatasetError: the state cannot be read, or a newer kinmo wrote it.
    """
    path = out / BATCHES_DIR / STATE_NAME
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror})", "Check its permissions.") from None
    except ValueError:
        raise _damaged(path) from None
    if not isinstance(content, dict):
        raise _damaged(path)
    if content.get("version") != VERSION:
        reason = f"has version {content.get('version')!r}, and this kinmo knows {VERSION}"
        raise DatasetError(path, reason, "Upgrade with `pip install --upgrade kinmo`.")
    try:
        return _read(path.parent, content)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise _damaged(path) from None


def _read(folder: Path, content: dict[str, Any]) -> State:
    chunks = [Chunk(**chunk) for chunk in content["chunks"]]
    for chunk in chunks:
        if chunk.step not in STEPS or not chunk.tag.isalnum():
            raise ValueError(chunk.step)
    return State(
        folder,
        str(content["run_id"]),
        str(content["base_url"]),
        dict(content["plan"]),
        chunks,
        {key: Again(**again) for key, again in content["again"].items()},
        {key: [str(reason), str(remedy)] for key, (reason, remedy) in content["given_up"].items()},
        {key: int(count) for key, count in content["tries"].items()},
        [str(name) for name in content["left_out"]],
        bool(content["paused"]),
    )


def _damaged(path: Path) -> DatasetError:
    remedy = (
        "Put a copy of it back. Without it, move the folder away and run again; what is under way is then "
        "asked for and paid for a second time."
    )
    return DatasetError(path, "is damaged", remedy)


def public_address(base_url: str) -> str:
    """Take user, password and query out of an address: they may be secrets."""
    try:
        parts = urlsplit(base_url)
    except ValueError:
        return ""
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))


# ---------------------------------------------------------------- what to run again


def plan_of(source: Path, kind: str | None, mapping: Path | None, settings: Settings) -> dict[str, Any]:
    """Write down, as JSON values, what `kinmo annotate run` was given."""
    asking = asdict(settings.asking) | {name: _absolute(getattr(settings.asking, name)) for name in _PATHS}
    asking["base_url"] = settings.asking.base_url and public_address(settings.asking.base_url)
    values = asdict(settings) | {"cache_dir": _absolute(settings.cache_dir), "asking": asking}
    return {"source": _absolute(source), "kind": kind, "mapping": _absolute(mapping), "settings": values}


def settings_of(plan: Mapping[str, Any], where: Path, base_url: str | None = None) -> Settings:
    """Read the settings of a plan back.

    Args:
        plan: from `plan_of`, through JSON.
        where: the dataset, for the error.
        base_url: in place of the one written down, which lacks user and password.

    Raises:
        DatasetError: there are none, or another version of kinmo wrote them.
    """
    try:
        values = dict(plan["settings"])
        asking = dict(values["asking"])
        asking |= {name: Path(asking[name]) for name in _PATHS if asking[name] is not None}
        asking["options"] = tuple((str(name), value) for name, value in asking["options"])
        if base_url:
            asking["base_url"] = base_url
        if values["cache_dir"] is not None:
            values["cache_dir"] = Path(values["cache_dir"])
        return Settings(**values | {"asking": Asking(**asking)})
    except (KeyError, TypeError, ValueError):
        remedy = "Run the same `kinmo annotate run ... --batch` command again: it goes on from there."
        raise DatasetError(where, "does not say how its batches were begun", remedy) from None


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(Path(path).absolute())
