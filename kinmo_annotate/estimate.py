"""What a run with a language model would take: requests, tokens and money, before anything is asked.

Motions spread evenly over the listing are taken through the same stages as in a run, up to the request; its
tokens are counted, and so are those of the answer that the kinematic describer would have given in the
model's place. Totals come with the interval that holds the true one in 95 of 100 such samples.
"""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kinmo_annotate import stages
from kinmo_annotate.asking import terms_of
from kinmo_annotate.caches import open_cache
from kinmo_annotate.describe.kinematic import describe_motion
from kinmo_annotate.describe.llm.answers import Answer
from kinmo_annotate.describe.llm.prices import ModelPrice, Prices, load_prices
from kinmo_annotate.describe.llm.probe import probe_requests
from kinmo_annotate.describe.llm.request import Asked, Request
from kinmo_annotate.describe.llm.tokens import RequestTokens, TokenCounter, open_counter
from kinmo_annotate.schema.places import cache_folder
from kinmo_annotate.schema.records import MotionError
from kinmo_annotate.settings import Settings
from kinmo_annotate.sources.base import Entry, MotionSource

SAMPLE: Final = 200
CONFIDENCE: Final = 0.95
_BATCH: Final = 32  # motions captioned at once

Values = NDArray[np.float64]
Probe = Callable[[Sequence[Request]], Sequence[Answer | None]]


@dataclass(frozen=True, slots=True)
class Composed:
    """A request as the run would send it, and the answer that the kinematic describer would have given."""

    request: Request
    answer: str


@dataclass(frozen=True, slots=True)
class Amount:
    """A total and its 95 % interval; the interval is None where one motion alone was seen."""

    value: float
    low: float | None
    high: float | None

    def times(self, factor: float) -> Amount:
        """Scale it."""
        bounds = (None if one is None else one * factor for one in (self.low, self.high))
        return Amount(self.value * factor, *bounds)


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run would take.

    Attributes:
        model: that would be asked.
        motions: of the run.
        listed: motions that the source lists.
        sampled: motions looked at.
        unusable: of those, how many no request could be made for.
        answered: of those, how many have an answer in the cache already, which costs nothing.
        requests: that would be sent.
        input_tokens: all that is sent.
        motion_tokens: the part of it that differs from motion to motion.
        output_tokens: of the answers.
        static_tokens: equal in all requests: prompt, schema and what the chat template adds; per request.
        cached_tokens: of those, how many a provider's prompt cache serves; per request.
        costs: USD by way: standard, batch, cached, batch_cached; empty where no price is known.
        way: how tokens were counted.
        exact: whether that was the model's own tokenizer.
        probed: motions asked for real, by which the counts were corrected.
        prices_as_of: date of the prices.
        warnings: what may keep the run from being a good idea.
        notes: what a reader of the numbers should know.
        seconds: that this took.
    """

    model: str
    motions: int
    listed: int
    sampled: int
    unusable: int
    answered: int
    requests: int
    input_tokens: Amount
    motion_tokens: Amount
    output_tokens: Amount
    static_tokens: float
    cached_tokens: int
    costs: dict[str, Amount]
    way: str
    exact: bool
    probed: int = 0
    prices_as_of: dt.date | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Give the estimate as JSON values."""
        return asdict(self) | {"prices_as_of": str(self.prices_as_of) if self.prices_as_of else None}


def estimate(
    source: MotionSource,
    settings: Settings,
    asked: Asked,
    prices: Prices,
    counter: TokenCounter,
    *,
    sample: int = SAMPLE,
    motions: int | None = None,
    answered: Callable[[str], bool] = lambda key: False,
    probe: Probe | None = None,
    probes: int = 0,
    today: dt.date | None = None,
) -> Estimate:
    """Estimate what annotating a source with a language model takes.

    Args:
        source: the motions.
        settings: of the run; `limit` counts.
        asked: model, prompt and options, as the run would ask.
        prices: of the models.
        counter: of tokens.
        sample: motions to look at; 0 looks at all.
        motions: size of the dataset to scale to; None is that of the source.
        answered: tells whether the answer to a request's key is at hand.
        probe: asks requests for real, which costs money, and gives their answers; None where one failed.
        probes: how many of the sample to ask so.
        today: for warnings; None is today.

    Raises:
        MotionError: no motion is listed, or none of the sample can be used.
    """
    started = time.perf_counter()
    entries = list({entry.motion_id: entry for entry in source.entries()[: settings.limit]}.values())
    chosen = [entries[place] for place in spread(len(entries), sample)]
    composed = list(compose(source, chosen, settings, asked))
    if not composed:
        reason = f"none of the {len(chosen)} motions looked at can be used"
        raise MotionError(source.name, reason, "`kinmo annotate run` with --limit says why of each.")
    today, entry = today or dt.date.today(), prices.of(asked.model)
    counts = _count(composed, counter, entry.output_factor if entry else 1.0)
    left = np.array([not answered(one.request.key) for one in composed])
    corrected = _corrected(composed, counts, probe, probes)
    total = motions or len(entries)
    scale = _Scale(total, len(chosen), population=len(entries))
    return Estimate(
        model=asked.model,
        motions=total,
        listed=len(entries),
        sampled=len(chosen),
        unusable=len(chosen) - len(composed),
        answered=int((~left).sum()),
        requests=round(total * left.sum() / len(chosen)),
        **_totals(counts, left, scale, prices, entry),
        way=counter.way,
        exact=counter.exact,
        probed=corrected,
        prices_as_of=entry.as_of if entry else None,
        warnings=tuple(_warnings(asked.model, counts, entry, prices, today)),
        notes=tuple(_notes(entry, counter, motions, corrected)),
        seconds=time.perf_counter() - started,
    )


def estimate_run(
    source: MotionSource,
    settings: Settings,
    *,
    sample: int = SAMPLE,
    motions: int | None = None,
    probes: int = 0,
    key: str | None = None,
) -> Estimate:
    """Estimate the run that such settings make; see `estimate`.

    Args:
        source: the motions.
        settings: of the run; those of `asking` say which model, prompt and prices.
        sample: motions to look at; 0 looks at all.
        motions: size of the dataset to scale to; None is that of the source.
        probes: how many motions to ask for real, which costs money; their answers stay in the cache.
        key: for the tokenizer of the endpoint at `asking.base_url`, where that is given and wants one.

    Raises:
        MotionError: the prompt, the prices or the motions cannot be used, or the endpoint refuses a probe.
    """
    asking, terms = settings.asking, terms_of(settings.asking)
    prices = load_prices(asking.prices)
    counter, notes = open_counter(asking.model, prices, base_url=asking.base_url, key=key)
    with closing(open_cache(cache_folder(settings.cache_dir, "answers"), "answers")) as cache:
        found = estimate(
            source,
            settings,
            terms.asked,
            prices,
            counter,
            sample=sample,
            motions=motions,
            answered=lambda request_key: request_key.encode() in cache,
            probe=partial(
                probe_requests,
                asked=terms.asked,
                price=terms.price,
                base_url=asking.base_url,
                timeout_s=asking.timeout_s,
                cache_dir=settings.cache_dir,
            ),
            probes=probes,
        )
    if terms.price is not None and asking.base_url:
        notes.append(f"the prices are those of {terms.price.source}, not of {asking.base_url}.")
    if asking.repair:
        notes.append("what --repair asks again is not counted: about one request more per motion it mends.")
    return replace(found, notes=(*notes, *found.notes))


def spread(count: int, sample: int) -> list[int]:
    """Choose so many of `count` places at even distances; all where 0 are asked for or there are no more."""
    if sample <= 0 or sample >= count:
        return list(range(count))
    return [int(place) for place in (np.arange(sample) + 0.5) * count / sample]


# ---------------------------------------------------------------- requests


def compose(
    source: MotionSource, entries: Sequence[Entry], settings: Settings, asked: Asked
) -> Iterator[Composed]:
    """Make the requests of motions as a run would; what fails on the way is left out."""
    from kinmo_annotate.keyframes import open_encoder

    encoder = open_encoder(settings.sbert_model, cache_folder(settings.cache_dir, "embeddings"))
    for start in range(0, len(entries), _BATCH):
        batch = list(enumerate(entries[start : start + _BATCH]))
        prepared = stages.prepare(source, settings, batch)
        vectors = encoder.encode(prepared.texts)
        composed = stages.compose(source, settings, prepared, vectors, asked)
        for place, request in composed.requests.items():
            sentences = describe_motion(prepared.motions[place], seed=settings.seed)
            yield Composed(request, json.dumps(sentences, ensure_ascii=False))


# ---------------------------------------------------------------- tokens


@dataclass(slots=True)
class _Counts:
    """Tokens of each motion of the sample, (N,)."""

    static: float
    motion: Values
    output: Values

    @property
    def sent(self) -> Values:
        """All that is sent for each."""
        return self.static + self.motion


def _count(composed: Sequence[Composed], counter: TokenCounter, output_factor: float) -> _Counts:
    found: list[RequestTokens] = [counter.request(one.request.body) for one in composed]
    static = float(np.mean([one.static + one.schema for one in found]))
    motion = np.array([one.total - static for one in found])
    output = np.array([counter.text(one.answer, "answer") for one in composed]) * output_factor
    return _Counts(static, motion, output)


def _corrected(composed: Sequence[Composed], counts: _Counts, probe: Probe | None, probes: int) -> int:
    """Ask some of the sample for real and scale the counts to what was reported; give how many answered."""
    if probe is None or probes <= 0:
        return 0
    chosen = spread(len(composed), probes)
    answers = probe([composed[i].request for i in chosen])
    told = [(i, one) for i, one in zip(chosen, answers, strict=True) if one and one.input_tokens]
    if told:
        at = [i for i, _ in told]
        sent = sum(one.input_tokens for _, one in told) / counts.sent[at].sum()
        counts.output *= sum(one.output_tokens for _, one in told) / counts.output[at].sum()
        counts.static, counts.motion = counts.static * sent, counts.motion * sent
    return len(told)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From a sample to a total.

    Attributes:
        total: motions of the run.
        sampled: motions looked at, those that cannot be used included.
        population: motions that the sample was drawn from.
    """

    total: int
    sampled: int
    population: int

    def amount(self, values: Values) -> Amount:
        """Scale what was found for each motion; those without a value count as zero."""
        from scipy.special import stdtrit

        every = np.zeros(self.sampled)
        every[: len(values)] = values
        mean = float(every.mean())
        if self.sampled < 2:
            return Amount(mean * self.total, None, None)
        # a sample that is the whole of what it stands for leaves nothing open
        open_share = 1 - self.sampled / self.population if self.total == self.population else 1.0
        error = float(every.std(ddof=1)) * np.sqrt(open_share / self.sampled)
        reach = float(stdtrit(self.sampled - 1, (1 + CONFIDENCE) / 2) * error)
        return Amount(mean, max(mean - reach, 0.0), mean + reach).times(self.total)


def _totals(
    counts: _Counts, left: NDArray[np.bool_], scale: _Scale, prices: Prices, entry: ModelPrice | None
) -> dict[str, Any]:
    cached = prices.caching.cached(counts.static)
    if entry is not None and entry.cached_input is None:
        cached = 0
    ways = _costs(counts, cached, entry) if entry else {}
    return {
        "input_tokens": scale.amount(counts.sent * left),
        "motion_tokens": scale.amount(counts.motion * left),
        "output_tokens": scale.amount(counts.output * left),
        "static_tokens": counts.static,
        "cached_tokens": cached,
        "costs": {name: scale.amount(values * left) for name, values in ways.items()},
    }


def _costs(counts: _Counts, cached: int, entry: ModelPrice) -> dict[str, Values]:
    """Price each motion in four ways, USD."""

    def cost(hits: int, batch: bool) -> Values:
        # what the cache did not have, it writes; only newer models charge for that
        writes = counts.sent - hits if hits and (entry.batch_caching or not batch) else 0.0
        pairs = zip(counts.sent, np.broadcast_to(writes, counts.sent.shape), counts.output, strict=True)
        return np.array([entry.cost(sent, hits, out, batch, written) for sent, written, out in pairs])

    return {
        "standard": cost(0, batch=False),
        "batch": cost(0, batch=True),
        "cached": cost(cached, batch=False),
        "batch_cached": cost(cached, batch=True),
    }


# ---------------------------------------------------------------- what to say with it


def _warnings(
    model: str, counts: _Counts, entry: ModelPrice | None, prices: Prices, today: dt.date
) -> Iterator[str]:
    if entry is None:
        yield (
            f"no price is known for {model}: the cost is not known. For a model that costs something, "
            "give its price with --prices FILE."
        )
        return
    for said in (entry.warning(today), prices.note(today, model)):
        if said:
            yield said
    longest = float((counts.sent + counts.output).max())
    if entry.context is not None and longest > entry.context:
        yield f"a request and its answer of {longest:.0f} tokens do not fit into {model} ({entry.context})."


def _notes(
    entry: ModelPrice | None, counter: TokenCounter, motions: int | None, probed: int
) -> Iterator[str]:
    if motions is not None:
        yield f"scaled to {motions} motions that are taken to be like those looked at."
    if not probed:
        yield "the answers are taken to be as long as the kinematic describer's; --probe N asks for real."
    yield "answers that must be asked for again are not counted."
    if entry is not None and not entry.batch_caching:
        yield f"{entry.name} has no prompt caching through the batch API."
    if entry is not None and entry.cache_write is not None:
        yield "with prompt caching, what the cache has not got is billed at the price of writing into it."
    if not counter.exact:
        yield "tokens are counted without the tokenizer; a llama.cpp or vLLM at --base-url counts its own."
