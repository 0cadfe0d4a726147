"""A trained reasoner, to write the 21 sentences of captions and to edit them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from kinmo_annotate.schema.skeleton import FIELDS
from kinmo_models.data.cache import Progress
from kinmo_models.reasoner.config import ReasonerConfig, SamplingConfig
from kinmo_models.reasoner.decode import Line, Question, Writer
from kinmo_models.reasoner.form import (
    CAPTION,
    as_sentence,
    caption_question,
    clean,
    clean_caption,
    edit_question,
)
from kinmo_models.reasoner.model import load_model
from kinmo_models.reasoner.sides import fields_in_mirror, in_mirror, right_first
from kinmo_models.reasoner.tokens import TextTokens
from kinmo_models.training.checkpoint import resolve_model
from kinmo_models.training.config import from_yaml
from kinmo_models.training.folder import CONFIG
from kinmo_models.training.pretrained import best_device, read_meta

KIND: Final = "reasoner"
_AT_ONCE: Final = 32  # answers written together


class Reasoner:
    """Writes the sentences of the 21 fields from a caption, and edits caption and sentences.

    `Reasoner.from_pretrained("RUN").reason(["a person waves"])[0]["left_arm"]`

    Attributes:
        name: the folder or the name on the hub that it was opened by.
        meta: what its meta.json says: dataset, seed, validation, ...
        config: the settings that it was trained with.
    """

    def __init__(self, name: str, folder: Path, device: str) -> None:
        self.name = name
        self.meta = read_meta(folder, KIND)
        self.config = from_yaml(ReasonerConfig, folder / CONFIG)
        model = load_model(folder, self.config.model).to(device).eval()
        self._writer = Writer(model, TextTokens.load(folder), device)

    @classmethod
    def from_pretrained(cls, model: str | Path, *, device: str | None = None) -> Reasoner:
        """Load a trained reasoner.

        Args:
            model: a RUN folder (its best checkpoint), a checkpoint's folder, or a name on the hub.
            device: "cpu", "cuda", ...; None is a GPU where there is one.

        Raises:
            TrainingError: there is no such model, it is damaged, or it is of another kind.
        """
        return cls(str(model), resolve_model(model), best_device(device))

    def reason(
        self,
        captions: Sequence[str],
        seed: int = 0,
        *,
        given: Sequence[Mapping[str, str]] | None = None,
        sampling: SamplingConfig | None = None,
        progress: Progress | None = None,
    ) -> list[dict[str, str]]:
        """Write the 21 sentences of captions.

        Args:
            captions: any texts; marks that are none of a sentence are not read.
            seed: of all chance, where `sampling` has a temperature. An answer does not depend on the captions
                beside its own.
            given: of each caption the sentences that are known; they stay as they are, and the sentences that
                are written after them follow them.
            sampling: temperature, longest sentence; None is that of the model.
            progress: told of what is done.

        Returns:
            Of each caption a sentence for each of `FIELDS`.

        Raises:
            ValueError: a caption without a word, or an unknown field.
        """
        known = [_known(one) for one in given or [{}] * len(captions)]
        said = [self._caption(caption) for caption in captions]
        turned = [right_first(one) for one in said]
        questions = []
        for caption, texts, turn in zip(said, known, turned, strict=True):
            asked = caption_question(in_mirror(caption) if turn else caption)
            there = fields_in_mirror(texts) if turn else texts
            lines = [Line(name, clean(there[name]) if name in there else None) for name in FIELDS]
            questions.append(Question(asked, lines, seed))
        answers = self._answers(questions, sampling, progress)
        found = []
        for texts, answer, turn in zip(known, answers, turned, strict=True):
            written = {name: as_sentence(text or "") for name, text in zip(FIELDS, answer, strict=True)}
            found.append((fields_in_mirror(written) if turn else written) | texts)
        return found

    def edit(
        self,
        edits: Sequence[tuple[str, Mapping[str, str], str]],
        seed: int = 0,
        *,
        sampling: SamplingConfig | None = None,
        progress: Progress | None = None,
    ) -> list[tuple[str, dict[str, str]]]:
        """Edit captions with their sentences as instructions say.

        Args:
            edits: (caption, sentences by field, instruction); fields that are missing or empty are written
                from the caption first.
            seed: as in `reason`.
            sampling: as in `reason`.
            progress: told of what is done.

        Returns:
            Of each the edited caption, and a sentence for each of `FIELDS`; those that the instruction does
            not change stand as they were given.

        Raises:
            ValueError: a caption or an instruction without a word, or an unknown field.
        """
        before = self._completed(edits, seed, sampling)
        said = [(self._caption(caption), self._caption(instruction)) for caption, _, instruction in edits]
        turned = [right_first(f"{instruction} {caption}") for caption, instruction in said]
        questions = []
        for (caption, instruction), fields, turn in zip(said, before, turned, strict=True):
            there = {name: clean(text) for name, text in fields.items()}
            if turn:
                caption, instruction = in_mirror(caption), in_mirror(instruction)
                there = fields_in_mirror(there)
            asked = edit_question(caption, there, instruction, self.config.data.source)
            lines = [Line(CAPTION), *(Line(name, may_stay=True) for name in FIELDS)]
            questions.append(Question(asked, lines, seed))
        edited = []
        answers = self._answers(questions, sampling, progress)
        for (after, *sentences), fields, turn in zip(answers, before, turned, strict=True):
            changed = {
                name: as_sentence(text)
                for name, text in zip(FIELDS, sentences, strict=True)
                if text is not None
            }
            sentence = as_sentence(after or "")
            if turn:
                sentence, changed = in_mirror(sentence), fields_in_mirror(changed)
            edited.append((sentence, fields | changed))
        return edited

    def _completed(
        self,
        edits: Sequence[tuple[str, Mapping[str, str], str]],
        seed: int,
        sampling: SamplingConfig | None,
    ) -> list[dict[str, str]]:
        """Give the sentences of texts that are to be edited; those that are missing are written."""
        found = [_known(fields) for _, fields, _ in edits]
        lacking = [place for place, fields in enumerate(found) if len(fields) < len(FIELDS)]
        captions = [edits[place][0] for place in lacking]
        if lacking:
            given = [found[place] for place in lacking]
            written = self.reason(captions, seed, given=given, sampling=sampling)
            for place, fields in zip(lacking, written, strict=True):
                found[place] = fields
        return found

    def _caption(self, text: str) -> str:
        """Give a caption or an instruction as the model reads it."""
        said = clean_caption(text, self.config.data.caption_words)
        if not any(letter.isalnum() for letter in said):
            raise ValueError("a caption or an instruction is empty")
        return said

    def _answers(
        self, questions: Sequence[Question], sampling: SamplingConfig | None, progress: Progress | None
    ) -> list[list[str | None]]:
        found: list[list[str | None]] = []
        for start in range(0, len(questions), _AT_ONCE):
            part = questions[start : start + _AT_ONCE]
            found += self._writer.write(part, sampling or self.config.sampling)
            if progress is not None:
                progress(len(found), len(questions))
        return found


def _known(fields: Mapping[str, str]) -> dict[str, str]:
    """Give the sentences that are there, in the order of `FIELDS`.

    Raises:
        ValueError: an unknown field.
    """
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise ValueError(f"unknown fields {', '.join(unknown)}; there are {', '.join(FIELDS)}")
    said = {name: " ".join((fields.get(name) or "").split()) for name in FIELDS}
    return {name: text for name, text in said.items() if any(letter.isalnum() for letter in text)}
