"""The branches: nothing is added before training or without a path, something after it with one."""

from __future__ import annotations

from collections.abc import Callable

import torch

from kinmo_models.control.distance import asked_of_features
from kinmo_models.control.model import ControlModel, PathControl, Sight, wanted_of
from kinmo_models.control.paths import JointPath
from kinmo_models.generation.config import SamplingConfig
from kinmo_models.generation.model import GeneratorModel
from kinmo_models.generation.sample import Asked, sample
from kinmo_models.tokenizer.coder import Coder

CONFIG = SamplingConfig(passes=(3, 1, 1))


def trained(branches: ControlModel) -> ControlModel:
    """Give links weights, as training does."""
    torch.manual_seed(7)
    with torch.no_grad():
        for part in (branches.base, branches.residual, branches.decoder):
            for link in getattr(part, "links", None) or [part.link]:
                link.weight.normal_(std=0.5)
                link.bias.normal_(std=0.5)
    return branches


def written(
    generator: GeneratorModel, branches: ControlModel, coder: Coder, asked: Asked, paths: list[JointPath]
) -> tuple[torch.Tensor, PathControl]:
    control = PathControl(branches, Sight(coder), wanted_of(paths, asked.lengths, "cpu"), generator.base.mask)
    return sample(generator, asked, CONFIG, "GJI", control), control


def test_before_training_the_tokens_are_the_generators(
    generator: GeneratorModel,
    branches: ControlModel,
    coder: Coder,
    asked: Asked,
    path: Callable[..., JointPath],
):
    alone = sample(generator, asked, CONFIG, "GJI")
    led, control = written(generator, branches, coder, asked, [path(24, "pelvis"), path(16, "head")])
    torch.testing.assert_close(led, alone)
    assert control.decodes == 5 + 2  # a pass of the base transformer, a residual level


def test_after_training_an_empty_path_changes_nothing_and_another_one_does(
    generator: GeneratorModel,
    branches: ControlModel,
    coder: Coder,
    asked: Asked,
    path: Callable[..., JointPath],
):
    alone = sample(generator, asked, CONFIG, "GJI")
    model = trained(branches)
    led, _ = written(generator, model, coder, asked, [JointPath.empty(24), JointPath.empty(16)])
    torch.testing.assert_close(led, alone)
    mixed, _ = written(generator, model, coder, asked, [JointPath.empty(24), path(16, "head")])
    torch.testing.assert_close(mixed[:6], alone[:6])  # a motion does not depend on those beside it
    assert not torch.equal(mixed[6:], alone[6:])


def test_what_is_decoded_moves_only_after_training_along_a_path_and_where_it_may(
    branches: ControlModel, coder: Coder, path: Callable[..., JointPath]
):
    tokens = torch.randint(16, (10, 3), generator=torch.Generator().manual_seed(0))
    wanted = wanted_of([path(24, "pelvis"), JointPath.empty(16)], torch.tensor([6, 4]), "cpu")
    control = PathControl(branches, Sight(coder), wanted, 16)
    start = Sight(coder).embed(tokens, wanted)
    torch.testing.assert_close(control.settle(tokens), start)
    trained(branches)
    moved = (control.settle(tokens) - start).abs().amax(2)
    assert (moved[0] > 1e-3).all()
    assert not moved[1].any()
    editable = torch.arange(10) < 2
    held = (control.settle(tokens, editable) - start).abs().amax(2)
    assert (held[0, :2] > 1e-3).all()
    assert not held[0, 2:].any()
    assert control.decodes == 3 * 6


def test_a_motion_is_led_alike_whatever_is_beside_it(
    branches: ControlModel, coder: Coder, path: Callable[..., JointPath]
):
    tokens = torch.randint(16, (10, 3), generator=torch.Generator().manual_seed(0))
    trained(branches)

    def settled(rows: torch.Tensor, *paths: JointPath) -> torch.Tensor:
        lengths = torch.tensor([len(one) // 4 for one in paths])
        return PathControl(branches, Sight(coder), wanted_of(paths, lengths, "cpu"), 16).settle(rows)

    both = settled(tokens, path(24, "pelvis"), path(16, "head"))
    torch.testing.assert_close(settled(tokens[6:], path(16, "head"))[0], both[1, :4], rtol=1e-4, atol=1e-5)


def test_a_branch_is_a_copy_that_the_generator_does_not_see(
    generator: GeneratorModel, branches: ControlModel
):
    theirs = dict(generator.base.trunk.layers.named_parameters())
    for name, weight in branches.base.layers.named_parameters():
        torch.testing.assert_close(weight, theirs[name])
        assert weight is not theirs[name]
        assert weight.requires_grad


def test_the_way_to_the_path_is_nothing_where_it_is_met(coder: Coder):
    tokens = torch.randint(16, (10, 3), generator=torch.Generator().manual_seed(0))
    sight, lengths = Sight(coder), torch.tensor([6, 4])
    empty = wanted_of([JointPath.empty(24), JointPath.empty(16)], lengths, "cpu")
    joints = sight.joints(sight.embed(tokens, empty), empty).numpy()
    paths = [JointPath.of(joints[0]), JointPath.of(joints[1, :16])]
    wanted = wanted_of(paths, lengths, "cpu")
    seen = sight.seen(sight.features(sight.embed(tokens, wanted), wanted), wanted)
    for nothing in (seen.way[0], seen.way[1, :16], seen.step):
        assert float(nothing.abs().max()) < 1e-4


def test_the_encoders_step_is_its_answer_to_the_change_that_is_asked(
    coder: Coder, path: Callable[..., JointPath]
):
    sight, wanted = (
        Sight(coder),
        wanted_of([path(16, "head"), path(8, "pelvis")], torch.tensor([4, 2]), "cpu"),
    )
    rows = torch.randn(2, 16, 263, generator=torch.Generator().manual_seed(0))
    seen = sight.seen(rows, wanted)
    changed = rows + asked_of_features(seen.way, wanted.held)
    for row, count in enumerate((4, 2)):
        to, at = (
            coder.encode_latents(coder.statistics.normalise(one[row : row + 1, : 4 * count]))
            for one in (changed, rows)
        )
        torch.testing.assert_close(seen.step[row, :count], (to - at)[0], rtol=1e-3, atol=1e-3)
    assert not seen.step[1, 2:].any()


def test_levels_that_are_not_written_say_nothing(coder: Coder):
    sight, wanted = Sight(coder), wanted_of([JointPath.empty(8)], torch.tensor([2]), "cpu")
    first = torch.tensor([[3], [5]])
    codes = coder.codebooks[0][first[:, 0]]
    torch.testing.assert_close(sight.embed(first, wanted)[0], codes)
    torch.testing.assert_close(sight.padded(codes, wanted)[0], codes)
