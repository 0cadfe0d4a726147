import subprocess
import sys

from kinmo_annotate.posecodes.choice import choose, happens, shuffled, stable_unit


def test_a_draw_never_changes():
    """Fixed numbers: a dataset made today must get the same words tomorrow, on any machine and Python."""
    assert stable_unit(0, "skip", "left_hand above neck") == 0.5969207832646231
    assert shuffled(("head", "torso", "left_hip"), 3, "order") == shuffled(
        ("left_hip", "torso", "head"), 3, "order"
    )


def test_draws_are_uniform_and_depend_on_seed_and_key():
    draws = [stable_unit(seed, "key", str(number)) for seed in range(20) for number in range(200)]
    assert len(set(draws)) == len(draws)
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02
    assert abs(sum(happens(0.15, 1, str(n)) for n in range(4000)) / 4000 - 0.15) < 0.02
    assert {choose(("a", "b", "c"), seed, "k") for seed in range(30)} == {"a", "b", "c"}


def test_captions_do_not_depend_on_the_hash_seed():
    program = (
        "from kinmo_annotate.posecodes.wording import word_pose;"
        "print([word_pose(s, tuple(range(0, 276, 7))).text for s in range(4)])"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(texts) == 1
    assert len(texts.pop()) > 400
