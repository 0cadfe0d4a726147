from itertools import pairwise

import numpy as np
import pytest

from kinmo_annotate.keyframes import FrameEmbeddings, frame_embeddings, select_keyframes, texts_to_embed
from kinmo_annotate.posecodes import PoseCaptions, caption_motions


def made_up(rng, frames, captions=6):
    """Captions at random runs of frames, with random unit vectors that are not too far apart."""
    index = np.repeat(rng.integers(0, captions, frames), rng.integers(1, 9, frames))[:frames].astype(np.int32)
    texts = [f"Text {number}." for number in range(captions)]
    vectors = rng.normal(size=(captions, 5)) + 2.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return PoseCaptions(texts, index, [[text] for text in texts]), FrameEmbeddings(vectors, index)


def walked(embed, threshold, min_gap):
    """The definition, frame by frame."""
    last = len(embed.index) - 1
    vector = np.asarray(embed.vectors)[embed.index]
    chosen = [0]
    for frame in range(1, last):
        if (
            chosen[-1] + min_gap <= frame <= last - min_gap
            and round(vector[chosen[-1]] @ vector[frame], 6) < threshold
        ):
            chosen.append(frame)
    return chosen + [last] * (last > 0)


@pytest.mark.parametrize("seed", range(40))
def test_keyframes_are_those_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    captions, embed = made_up(rng, int(rng.integers(2, 120)))
    threshold, gap = rng.uniform(0.5, 1.0), int(rng.integers(1, 12))
    found = select_keyframes(captions, embed, threshold, gap)
    assert [keyframe.frame for keyframe in found] == walked(embed, threshold, gap)
    for before, after in pairwise(found):
        vectors = embed.vectors[[captions.index[before.frame], captions.index[after.frame]]]
        assert after.similarity == pytest.approx(vectors[0] @ vectors[1], abs=1e-6)
        assert after.caption == captions.frame_caption(after.frame)


def test_first_and_last_frame_always_are():
    captions, embed = made_up(np.random.default_rng(0), 60)
    assert [k.frame for k in select_keyframes(captions, embed, -1.0, 5)] == [0, 59]
    assert [k.frame for k in select_keyframes(captions, embed, 0.9, 500)] == [0, 59]
    one = PoseCaptions(["Still."], np.zeros(1, np.int32), [["Still."]])
    assert [k.frame for k in select_keyframes(one, FrameEmbeddings(np.ones((1, 1)), one.index))] == [0]
    two = PoseCaptions(["Still."], np.zeros(2, np.int32), [["Still."]])
    assert [k.frame for k in select_keyframes(two, FrameEmbeddings(np.ones((1, 1)), two.index))] == [0, 1]


def test_the_gap_holds_everywhere():
    for seed in range(20):
        captions, embed = made_up(np.random.default_rng(seed), 100)
        frames = [keyframe.frame for keyframe in select_keyframes(captions, embed, 0.999, 7)]
        assert np.diff(frames).min() >= 7


def test_texts_are_listed_once_in_order():
    index = np.zeros(4, np.int32)
    one = PoseCaptions(["A. B.", "A. C."], index, [["A.", "B."], ["A.", "C."]])
    two = PoseCaptions(["A. C."], index, [["A.", "C."]])
    assert texts_to_embed([one, two], "caption") == ["A. B.", "A. C."]
    assert texts_to_embed([one, two], "sentence") == ["A.", "B.", "C."]
    for refuse in (lambda: texts_to_embed([one], "word"), lambda: frame_embeddings(one, {}, "word")):
        with pytest.raises(ValueError, match="'caption' or 'sentence'"):
            refuse()


def test_a_frame_is_the_normalised_sum_of_its_sentences():
    known = {"A.": np.array([1, 0, 0], np.float32), "B.": np.array([0, 1, 0], np.float32)}
    captions = PoseCaptions(["A. B.", "B."], np.array([0, 1], np.int32), [["A.", "B."], ["B."]])
    embed = frame_embeddings(captions, known, "sentence")
    assert np.allclose(embed.vectors, [[0.5**0.5, 0.5**0.5, 0], [0, 1, 0]])
    assert embed.similarities()[0, 1] == pytest.approx(1 - embed.stretch * (1 - 0.5**0.5), abs=1e-6)
    assert (np.diag(embed.similarities()) == 1).all()


class Words:
    """Embeds a text by its words: equal texts equally, similar ones similarly."""

    def encode(self, texts):
        rows = [
            np.sum([np.random.default_rng(abs(sum(map(ord, w)))).normal(size=32) for w in t.split()], 0)
            for t in texts
        ]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


@pytest.mark.parametrize("mode", ["caption", "sentence"])
def test_sharing_texts_gives_the_keyframes_of_every_frame(arm_motion, mode):
    """Each distinct text embedded once for all motions, against each frame's own texts embedded anew."""
    captions = caption_motions([arm_motion(number) for number in range(8)], seed=0)
    texts = texts_to_embed(captions, mode)
    known = dict(zip(texts, Words().encode(texts), strict=True))
    for one in captions:
        embed = frame_embeddings(one, known, mode)
        every = [
            one.frame_caption(t) if mode == "caption" else one.sentences[i] for t, i in enumerate(one.index)
        ]
        anew = [Words().encode([e] if mode == "caption" else e).astype(float).sum(0) for e in every]
        anew = np.array([v / np.linalg.norm(v) for v in anew])
        alone = FrameEmbeddings(anew, np.arange(len(anew), dtype=np.int32), embed.stretch)
        for threshold in (0.8, 0.9, 0.95):
            shared = [k.frame for k in select_keyframes(one, embed, threshold)]
            plain = PoseCaptions(
                [one.frame_caption(t) for t in range(len(anew))], alone.index, [[]] * len(anew)
            )
            assert shared == [k.frame for k in select_keyframes(plain, alone, threshold)]


def test_a_motion_that_moves_has_keyframes_between(arm_motion):
    captions = caption_motions([arm_motion(24)], seed=0)
    known = dict(zip(captions[0].texts, Words().encode(captions[0].texts), strict=True))
    assert len(select_keyframes(captions[0], frame_embeddings(captions[0], known, "caption"), 0.95)) > 2
