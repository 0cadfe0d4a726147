"""Writing tokens: plans, guidance, seeds, and what must not change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from kinmo_models.generation.config import SamplingConfig
from kinmo_models.generation.model import GeneratorModel, Layout
from kinmo_models.generation.sample import Asked, _Guided, plan_passes, sample

LEVELS, CODES = 4, 24
MakeAsked = Callable[..., Asked]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_passes_are_as_many_at_every_level(depth: int):
    plan = plan_passes(SamplingConfig(passes=(5, 2, 2), remask=(0.6, 0.3)), depth)
    assert len(plan) == 9
    assert sorted({step.depth for step in plan}) == list(range(depth + 1))
    for level, begin in zip(range(depth + 1), (1.0, 0.6, 0.3), strict=False):
        shares = [step.share for step in plan if step.depth == level]
        assert shares[0] == pytest.approx(begin)
        assert shares == sorted(shares, reverse=True)
    assert [step.first for step in plan].count(True) == depth + 1


def test_the_default_makes_no_more_passes_than_momask():
    assert len(plan_passes(SamplingConfig(), 2)) <= 10


@pytest.mark.parametrize("level", ["G", "GJ", "GJI"])
def test_a_short_and_a_long_motion_together_are_as_alone(model: GeneratorModel, asked: MakeAsked, level: str):
    together = sample(model, asked([10, 49]), SamplingConfig(), level).split([10, 49])
    for place, length in enumerate((10, 49)):
        alone = sample(model, asked([length], first=place), SamplingConfig(), level)
        assert torch.equal(together[place], alone)


def test_the_same_seed_writes_the_same_and_another_seed_another(model: GeneratorModel, asked: MakeAsked):
    first, again, other = (
        sample(model, asked([30], seeds=[seed]), SamplingConfig(), "GJI") for seed in (7, 7, 8)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_all_tokens_are_codes(model: GeneratorModel, asked: MakeAsked):
    tokens = sample(model, asked([1, 7, 49]), SamplingConfig(), "GJI")
    assert tokens.shape == (57, LEVELS)
    assert tokens.min() >= 0
    assert tokens.max() < CODES


@pytest.mark.parametrize("seed", range(12))
def test_tokens_outside_of_a_mask_never_change(model: GeneratorModel, asked: MakeAsked, seed: int):
    torch.manual_seed(seed)
    lengths = torch.randint(1, 40, (3,)).tolist()
    known = torch.randint(CODES, (sum(lengths), LEVELS))
    editable = torch.rand(sum(lengths)) < torch.rand(())
    level = ("G", "GJ", "GJI")[seed % 3]
    given = replace(asked(lengths), tokens=known, editable=editable)
    written = sample(model, given, SamplingConfig(), level)
    assert torch.equal(written[~editable], known[~editable])
    assert written.max() < CODES
    if editable.sum() > 5:
        assert not torch.equal(written[editable], known[editable])


def test_what_is_known_is_seen(model: GeneratorModel, asked: MakeAsked):
    """Other tokens around the mask give other tokens inside it."""
    editable = torch.arange(40) < 20
    results = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        given = replace(asked([40]), tokens=torch.randint(CODES, (40, LEVELS)), editable=editable)
        results.append(sample(model, given, SamplingConfig(), "G")[editable])
    assert not torch.equal(*results)


@torch.inference_mode()
@pytest.mark.parametrize("finer", [None, 3.0])
def test_guidance_in_one_forward_is_that_of_separate_ones(
    model: GeneratorModel, asked: MakeAsked, finer: float | None
):
    given, scale, depth = asked([6, 9]), 4.0, 2
    tokens = torch.randint(CODES, (15,))

    def logits(present: torch.Tensor) -> torch.Tensor:
        text = model.base.trunk.text(given.latents, present)
        return model.base(text, tokens, Layout.of(text.counts, given.lengths, torch.device("cpu")))

    caption = torch.zeros_like(given.present)
    caption[:, 0] = True
    none, coarse, fine = (logits(there) for there in (caption & False, caption, given.present))
    if finer is None:
        expected = none + scale * (fine - none)
    else:
        expected = none + scale * (coarse - none) + finer * (fine - coarse)
    guided = _Guided(given, depth, scale, finer)
    text = model.base.trunk.text(guided.latents, guided.present)
    found = guided.mix(model.base(text, tokens.repeat(guided.copies), guided.layout(text)))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_without_guidance_nothing_is_computed_for_it(asked: MakeAsked):
    assert _Guided(asked([5]), 2, 1.0, None).copies == 1
    assert _Guided(asked([5]), 2, 4.0, None).copies == 2
    assert _Guided(asked([5]), 2, 4.0, 2.0).copies == 3


def test_a_level_sees_its_own_text_and_no_finer(model: GeneratorModel, asked: MakeAsked):
    plain, changed = asked([20]), asked([20])
    changed.latents[:, 7:] = torch.randn_like(changed.latents[:, 7:])
    for level, same in (("G", True), ("GJ", True), ("GJI", False)):
        found = [sample(model, one, SamplingConfig(), level) for one in (plain, changed)]
        assert torch.equal(*found) is same


def test_from_the_likeliest_code_alone_chance_does_not_matter(model: GeneratorModel, asked: MakeAsked):
    config = SamplingConfig(top_share=1e-4)
    first, other = (sample(model, asked([20], seeds=[seed]), config, "GJI") for seed in (1, 2))
    assert torch.equal(first, other)
