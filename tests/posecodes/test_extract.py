from itertools import pairwise

import numpy as np
import pytest

from kinmo_annotate.posecodes import extract
from kinmo_annotate.posecodes.extract import HOLD, about, gates, held, plan, posecodes, signatures, unpack
from kinmo_annotate.posecodes.facts import FACTS, INDEX, MARGIN, mirror_key
from kinmo_annotate.posecodes.measure import measure
from kinmo_annotate.posecodes.points import named_points, smooth
from kinmo_annotate.schema.skeleton import FIELDS, JOINT, mirror_joints


def said(motion, fields=None):
    """(T, F): what the held signatures say."""
    stretches = signatures([motion], fields)[0]
    table = np.zeros((len(motion), len(FACTS)), bool)
    for number, (first, code) in enumerate(stretches):
        last = stretches[number + 1][0] if number + 1 < len(stretches) else len(motion)
        table[first:last, list(unpack(code))] = True
    return table


def holds(motion, slack):
    """(F, T): facts whose every cut is met within `slack` dead bands (negative: met by that much)."""
    values = measure(named_points(smooth(motion, np.array([0, len(motion)]))), plan().measures)
    row = {name: values[number] for number, name in enumerate(plan().measures)}

    def met(cut):
        margin = slack * MARGIN[cut.measure[0]]
        low = row[cut.measure] > cut.low - margin if cut.low is not None else True
        return low & (row[cut.measure] <= cut.high + margin if cut.high is not None else True)

    return np.array([np.any([np.all([met(c) for c in r], axis=0) for r in f.recipes], axis=0) for f in FACTS])


def check_truth(motion):
    """Each stated fact is true, up to its dead band, within half a hold of every frame it is stated for."""
    near = holds(motion, 1.0001)
    reach = np.zeros_like(near)
    for shift in range(-(HOLD // 2), HOLD // 2 + 1):
        a, b = max(shift, 0), min(shift, 0)
        reach[:, a : len(motion) + b] |= near[:, -b or 0 : len(motion) - a]
    wrong = said(motion).T & ~reach
    assert not wrong.any(), [FACTS[n].key for n in np.flatnonzero(wrong.any(axis=1))]


@pytest.mark.parametrize("number", range(6))
def test_captions_say_what_is_true_of_the_pose(arm_motion, number):
    check_truth(arm_motion(number))


def test_captions_say_what_is_true_of_wild_poses():
    rng = np.random.default_rng(0)
    key_poses = rng.normal(scale=0.5, size=(12, 22, 3))
    steps = np.linspace(0, 11, 150)
    motion = np.stack([np.interp(steps, np.arange(12), c) for c in key_poses.reshape(12, -1).T], axis=1)
    check_truth(motion.reshape(-1, 22, 3).astype(np.float32))


def test_captions_say_what_is_true_of_real_motions(shared_data):
    for path in sorted((shared_data / "mocap/new_joints").glob("*.npy"))[::200]:
        check_truth(np.load(path))


def test_what_clearly_holds_for_long_is_said_or_implied(arm_motion):
    motion = arm_motion(1)
    clear = holds(motion, -1)
    facts = posecodes(motion, np.array([0, len(motion)]))
    lasting = clear[:, 10:-10].all(axis=1)
    assert facts[lasting][:, 10:-10].all()
    assert lasting.sum() >= 3


def test_triggers_hold_inside_the_dead_band_and_stay_in_order():
    p = plan()
    rng = np.random.default_rng(0)
    size = np.array([[15.0 if m[0] in ("angle", "upright", "body") else 0.15] for m in p.measures])
    walk = np.cumsum(rng.normal(size=(len(p.measures), 400)) * size, axis=1).astype(np.float32)
    first = np.zeros(400, bool)
    first[[0, 150]] = True
    state = gates(walk, first)[:-2]
    signal = walk[p.source] - p.threshold
    expected = np.zeros_like(state)
    for t in range(400):
        on, off = signal[:, t] > p.margin[:, 0], signal[:, t] < -p.margin[:, 0]
        expected[:, t] = signal[:, t] > 0 if first[t] else np.where(on | off, on, expected[:, t - 1])
    assert (state == expected).all()
    for low in range(len(state)):
        for high in np.flatnonzero(p.source == p.source[low]):
            if p.threshold[high] > p.threshold[low]:
                assert not (state[high] & ~state[low]).any()


def test_trembling_at_a_threshold_changes_nothing(arm_motion):
    still = np.repeat(arm_motion(1)[12:13], 200, axis=0)
    tremble = np.random.default_rng(0).normal(scale=0.002, size=still.shape)
    assert len({code for _, code in signatures([(still + tremble).astype(np.float32)])[0]}) == 1


def test_a_signature_is_held():
    codes = np.array([0, 0, 1, 2, 3, 3, 3, 3, 3, 0, 3, 3, 3, 3, 3, 3], np.uint8)[:, None]
    changed = np.r_[True, np.diff(codes[:, 0]) != 0]
    stretches = held(codes, changed)
    assert [first for first, _ in stretches] == [0, 5]  # the flicker at frame 9 is held over
    assert all(b - a >= HOLD for (a, _), (b, _) in pairwise(stretches))
    for number, (first, code) in enumerate(stretches):
        assert code[0] == codes[min(first + HOLD // 2, len(codes) - 1), 0]
        last = stretches[number + 1][0] if number + 1 < len(stretches) else len(codes)
        assert all(codes[t, 0] == code[0] for t in range(first + HOLD, last))


def test_a_motion_is_captioned_alike_alone_and_in_company(arm_motion):
    motions = [arm_motion(number) for number in range(5)]
    assert signatures(motions) == [signatures([motion])[0] for motion in motions]
    assert signatures([]) == []


def test_batches_hold_whole_motions_and_lose_none(arm_motion):
    motions = [arm_motion(number % 7) for number in range(300)]
    batches = extract.batches(motions)
    assert len(batches) > 1
    assert [id(m) for batch in batches for m in batch] == [id(m) for m in motions]


def test_a_mirrored_motion_has_mirrored_facts(arm_motion):
    motion = arm_motion(3)
    starts = np.array([0, len(motion)])
    mirror = [INDEX[mirror_key(fact.key)] for fact in FACTS]
    there, here = posecodes(mirror_joints(motion).astype(np.float32), starts), posecodes(motion, starts)
    assert (there == here[mirror]).mean() > 0.9995  # ties at a threshold may fall to either side


def test_a_jump_touches_no_ground(arm_motion):
    crouch = arm_motion(1)[:6].copy()
    crouch[:, [JOINT["left_wrist"], JOINT["right_wrist"]], 1] = 0.03
    on_ground = [INDEX[f"{side}_hand on_ground"] for side in ("left", "right")]
    starts = np.array([0, 6])
    assert posecodes(crouch, starts)[on_ground].all()
    crouch[..., 1] += 0.4
    assert not posecodes(crouch, starts)[on_ground].any()


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_takes_only_facts_about_it(field):
    names = set(field.split("__"))
    for number in np.flatnonzero(about((field,))):
        assert names <= FACTS[number].groups
        assert len(names) == 1 or names == FACTS[number].groups


def test_a_very_long_motion_needs_wide_stamps(arm_motion):
    motion = np.resize(arm_motion(1), (17000, 22, 3))
    reference = said(motion[:3000])
    assert (said(motion)[:2900] == reference[:2900]).all()
