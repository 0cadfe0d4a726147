"""One chunk and the files that its batch brought: joined by key, kept, and what is missing asked again.

A chunk is collected in this order, so that a kill at any moment loses nothing and pays for nothing twice: its
files are downloaded; each answer goes into the archive and the cache; what is to be asked again is written
into new chunks; then one write of the state says all of that at once. A collection that was cut off begins
anew, and passes over the answers that it finds kept.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

from kinmo_annotate.describe.llm.answers import ARCHIVE_DIR, Answer, Answers, read_archive
from kinmo_annotate.describe.llm.ask import ESSENTIAL, LONGER
from kinmo_annotate.describe.llm.batch.api import Api, BatchError
from kinmo_annotate.describe.llm.batch.chunks import (
    ChunkWriter,
    expected_usd,
    read_bodies,
    read_owners,
    result_path,
)
from kinmo_annotate.describe.llm.batch.lines import CANCELLED, Line, has_choices, read_results
from kinmo_annotate.describe.llm.batch.report import Report
from kinmo_annotate.describe.llm.batch.state import COLLECTED, COLLECTING, Again, Chunk, State
from kinmo_annotate.describe.llm.batch.submit import asked_again
from kinmo_annotate.describe.llm.client import Outcome, Reply, status_reply
from kinmo_annotate.describe.llm.form import AnswerError, parse_answer
from kinmo_annotate.describe.llm.prices import ModelPrice
from kinmo_annotate.describe.llm.prompt import Prompt
from kinmo_annotate.describe.llm.request import AGAIN, Request
from kinmo_annotate.describe.llm.response import answer_text, finish_reason, usage_of
from kinmo_annotate.schema.shards import DatasetError

MOST_TRIES: Final = 5  # of a request that batches end without answering
_FILES_KEPT_S: Final = 30 * 86400  # by OpenAI, after a batch has ended
_UNFIT_REMEDY: Final = "Leave the motion out, or choose another model."


class Join:
    """The collection of one chunk."""

    def __init__(
        self,
        state: State,
        chunk: Chunk,
        answers: Answers,
        prompt: Prompt,
        price: ModelPrice | None,
        writer: ChunkWriter,
        budget_usd: float | None,
    ) -> None:
        self._budget_usd = math.inf if budget_usd is None else budget_usd
        self._state, self._chunk, self._answers = state, chunk, answers
        self._prompt, self._price, self._writer = prompt, price, writer
        self._report = Report(batches=1)
        self._owners: dict[str, tuple[str, str]] = {}
        self._archived: set[tuple[str, str]] = set()  # unusable answers kept before a kill
        self._requeued: set[str] = set()
        self._refused: list[tuple[str, Reply]] = []
        # What is to change in the state, all at once at the end.
        self._again: dict[str, Again] = {}
        self._given_up: dict[str, list[str]] = {}
        self._tries: dict[str, int] = {}
        self._left_out: set[str] = set()
        self._settled: set[str] = set()

    def collect(self, api: Api) -> Report:
        """Download, join, and write down what came of it."""
        cut_off = self._chunk.step == COLLECTING
        self._owners = self._read_owners()
        self._chunk.step = COLLECTING
        self._state.save()
        paths = self._download(api)
        if cut_off:
            self._archived = _archived_unusable(self._state.folder.parent)
        seen: set[str] = set()
        for path in paths:
            for line in read_results(path, api.scrub):
                self._count(line, seen)
        for key in self._owners.keys() - seen:
            self._not_answered(key)
        self._settle_refused()
        self._requeue()
        self._write_down()
        return self._report

    def _read_owners(self) -> dict[str, tuple[str, str]]:
        try:
            return read_owners(self._state.folder, self._chunk.tag)
        except DatasetError:
            if self._chunk.status == "cancelled":  # the user gave it up
                return {}
            raise

    def _download(self, api: Api) -> list[Path]:
        """Fetch the output first: a good answer counts before an error of the same request.

        A file that the endpoint has thrown away for its age brings nothing, and its requests are asked again.
        """
        paths = []
        for kind, file_id in (("output", self._chunk.output_file_id), ("errors", self._chunk.error_file_id)):
            if file_id:
                path = result_path(self._state.folder, self._chunk.tag, kind)
                try:
                    api.download(file_id, path)
                except BatchError as error:
                    if error.kind != "gone" or time.time() - self._chunk.created_at < _FILES_KEPT_S:
                        raise
                else:
                    paths.append(path)
        return paths

    def _count(self, line: Line | None, seen: set[str]) -> None:
        """Read one line, unless it says nothing, or nothing new."""
        if line is None:
            self._report.garbage += 1
        elif line.key not in self._owners:
            self._report.unknown += 1
        elif line.key in seen:
            self._report.doubled += 1
        else:
            seen.add(line.key)
            self._read(line)

    def _read(self, line: Line) -> None:
        if line.status == 0:
            if line.code == CANCELLED:
                self._report.dropped += 1
            else:
                self._try_again(line.key, ": ".join(filter(None, (line.code, line.message))))
        elif line.status == 200:
            if has_choices(line.body):
                self._read_answer(line)
            else:
                self._try_again(line.key, "the endpoint's answer has no choices")
        else:
            self._read_error(line.key, status_reply(line.status, json.dumps(line.body), {}))

    def _read_error(self, key: str, reply: Reply) -> None:
        if reply.outcome in (Outcome.RATE_LIMITED, Outcome.BROKEN):
            self._try_again(key, reply.reason)
        elif reply.outcome is Outcome.UNFIT:
            self._give_up(key, reply.reason, _UNFIT_REMEDY)
        elif reply.parameter and reply.parameter not in ESSENTIAL:
            self._left_out.add(reply.parameter)
            self._requeued.add(key)
        else:
            self._refused.append((key, reply))

    def _settle_refused(self) -> None:
        """Where others were answered it is the motion that is refused, else it is all requests."""
        for key, reply in self._refused:
            if reply.status in (400, 422) and self._report.answered:
                self._give_up(key, reply.reason, _UNFIT_REMEDY)
            else:
                self._report.dropped += 1
                self._report.stop = (reply.reason, reply.remedy)

    def _not_answered(self, key: str) -> None:
        """Neither file says anything of a request."""
        if self._chunk.status == "cancelled":
            self._report.dropped += 1
        else:
            self._report.missing += 1
            self._try_again(key, f"the batch {self._chunk.status} without a word on it")

    def _try_again(self, key: str, reason: str) -> None:
        tries = self._state.tries.get(key, 0) + 1
        if tries >= MOST_TRIES:
            self._give_up(key, f"{reason}, {tries} times", AGAIN)
        else:
            self._tries[key] = tries
            self._requeued.add(key)

    def _give_up(self, key: str, reason: str, remedy: str) -> None:
        self._report.given_up += 1
        self._given_up[key] = [reason, remedy]

    # ------------------------------------------------------------ answers

    def _read_answer(self, line: Line) -> None:
        """Keep a good answer; ask once more, with the reason, for one that cannot be used."""
        if self._answers.get(line.key) is not None:  # kept before a kill
            self._report.answered += 1
            self._settled.add(line.key)
            return
        answer, paid_usd = self._priced(line)
        try:
            text = answer_text(line.body)
            parse_answer(text)
        except AnswerError as error:
            self._unusable(line, answer, str(error), paid_usd)
            return
        self._answers.put(replace(answer, text=text), line.body, paid_usd)
        self._report.answered += 1
        self._settled.add(line.key)

    def _unusable(self, line: Line, answer: Answer, reason: str, paid_usd: float | None) -> None:
        self._report.unusable += 1
        if (line.key, str(line.body.get("id"))) not in self._archived:
            self._answers.put_unusable(answer, reason, line.body, paid_usd)
        if line.key in self._state.again:
            self._give_up(line.key, f"the model's answer cannot be used: {reason}", AGAIN)
            return
        share = LONGER if finish_reason(line.body) == "length" else 1.0
        tokens = answer.input_tokens, answer.output_tokens, answer.cached_tokens
        self._again[line.key] = Again(reason, share, *tokens, answer.cost_usd)
        self._requeued.add(line.key)

    def _priced(self, line: Line) -> tuple[Answer, float | None]:
        """Price a response, and add tokens and cost of the answer before it to the motion's."""
        tokens_in, tokens_out, cached = usage_of(line.body)
        usd = None
        if self._price is not None:
            usd = self._price.cost(tokens_in, cached, tokens_out, batch=True)
            if not tokens_in and not tokens_out:  # it does not tell: as estimated
                usd = (self._chunk.expected_usd or 0.0) / self._chunk.requests
        before = self._state.again.get(line.key) or Again("", cost_usd=0.0)
        total = None if usd is None or before.cost_usd is None else before.cost_usd + usd
        motion_id, version = self._owners[line.key]
        answer = Answer(
            line.key, motion_id, self._chunk.model, version, "", before.input_tokens + tokens_in,
            before.output_tokens + tokens_out, before.cached_tokens + cached, total,
        )  # fmt: skip
        return answer, usd

    # ------------------------------------------------------------ what comes of it

    def _requeue(self) -> None:
        """Write what is to be asked again into new chunks; what is lost the next pass composes."""
        new = [name for name in self._left_out if name not in self._state.left_out]
        self._state.left_out += sorted(new)
        others_usd = self._state.expected_usd - (self._chunk.expected_usd or 0.0)
        left_usd = self._budget_usd - self._answers.spent_usd - others_usd
        bodies = read_bodies(self._state.folder, self._chunk.tag, self._requeued)
        for key, body in bodies:
            left_usd -= expected_usd(body, self._price) or 0.0
            if left_usd < 0:
                break
            motion_id, version = self._owners[key]
            if key in self._again:
                request = Request(key, motion_id, version, body)
                body = asked_again(request, self._again[key], self._prompt).body
            self._writer.add(key, motion_id, version, body)

    def _write_down(self) -> None:
        self._report.again = self._writer.requests
        state = self._state
        new = self._writer.finish()
        state.settle([*self._settled, *self._given_up])
        state.again |= self._again
        state.tries |= self._tries
        state.given_up |= self._given_up
        self._chunk.step = COLLECTED
        state.chunks += new
        state.save()


def _archived_unusable(out: Path) -> set[tuple[str, str]]:
    """Find the unusable answers that a collection kept before it was cut off: their keys and the ids."""
    records = read_archive(out / ARCHIVE_DIR)
    return {(one["key"], str((one.get("raw") or {}).get("id"))) for one in records}
