import numpy as np
import pytest

from kinmo_annotate.posecodes.aggregate import Claim, _both_of, _flip, kept, statements
from kinmo_annotate.posecodes.facts import FACTS, INDEX, part


def numbers(*keys):
    return tuple(sorted(INDEX[key] for key in keys))


def told(statement):
    """Every (subject, relation, object) that a statement claims, "both" spelt out."""
    result = set()
    for subject in statement.subjects:
        for claim in statement.predicates:
            for side in ("left", "right") if subject.side == "both" else (subject.side,):
                obj = claim.object
                if obj is not None and obj.side in ("own", "opposite"):
                    other = {"left": "right", "right": "left"}[side]
                    obj = part(f"{side if obj.side == 'own' else other}_{obj.name}")
                name = f"{side}_{subject.name}" if side else subject.name
                result.add((name, claim.relation, obj.key if obj else ""))
    return result


def normal(fact_told):
    """One form for a comparison of left with right, whichever way round and however it is told."""
    subject, relation, obj = fact_told
    inverse = {"above": "below", "below": "above", "front": "behind", "behind": "front",
               "left_of": "right_of", "right_of": "left_of"}  # fmt: skip
    if subject.startswith("right") and obj == subject.replace("right", "left"):
        return (obj, inverse.get(relation, relation), subject)
    if relation in ("close", "shoulder_width", "spread", "wide") and not obj:
        name = subject.split("_")[1]
        return (f"left_{name}", relation, f"right_{name}")
    return fact_told


@pytest.mark.parametrize("seed", range(5))
def test_statements_claim_the_facts_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    arms = [n for n, fact in enumerate(FACTS) if fact.subject.name in ("hand", "elbow", "shoulder")]
    for _ in range(200):
        chosen = tuple(sorted(rng.choice(arms, 8, replace=False).tolist()))
        facts = {
            (f.subject.key, f.relation, f.object.key if f.object else "") for f in (FACTS[n] for n in chosen)
        }
        claims = {normal(one) for statement in statements(seed, chosen) for one in told(statement)}
        whole = {c for c in claims if c[2].endswith(("_arm", "_leg"))}
        for subject, relation, obj in whole:  # thigh and shin become leg, upper arm and forearm become arm
            segments = ("thigh", "shin") if obj.endswith("leg") else ("upperarm", "forearm")
            claims |= {(subject, relation, f"{obj.split('_')[0]}_{segment}") for segment in segments}
        assert claims - whole == {normal(one) for one in facts}


def test_both_needs_a_left_and_a_right():
    """Upstream merges the left hand's two knees into "the hands are close to the knees"."""
    left, right = (Claim(part("left_hand"), "close", part(f"{side}_knee")) for side in ("left", "right"))
    assert _both_of(left, right) is None
    crossed = _both_of(left, Claim(part("right_hand"), "close", part("right_knee")))
    assert crossed.subject.side == "both"
    assert crossed.object.side == "own"
    assert _both_of(left, Claim(part("right_hand"), "close", part("left_knee"))).object.side == "left"
    assert _both_of(right, Claim(part("right_hand"), "close", part("left_knee"))).object.side == "opposite"


def test_flipping_keeps_the_meaning():
    claim = Claim(part("left_hand"), "above", part("right_hand"))
    flips = {_flip(seed, claim) for seed in range(40)}
    assert flips == {claim, Claim(part("right_hand"), "below", part("left_hand"))}
    assert _flip(0, Claim(part("left_hand"), "above", part("neck"))).relation == "above"


def test_only_alignments_are_ever_skipped():
    everything = tuple(range(len(FACTS)))
    for seed in range(20):
        gone = set(everything) - set(kept(seed, everything))
        assert gone
        assert all(FACTS[n].relation.startswith("aligned") for n in gone)


def test_statements_do_not_depend_on_what_other_limbs_do():
    arm = numbers("left_elbow straight", "left_hand above neck")
    assert statements(3, arm) == statements(3, arm)
    assert len(statements(3, numbers("left_elbow straight", "right_elbow straight"))) == 1
