"""The stage: a timeline of authored phases that drive the body's channels, frame by frame.

An action asks the stage to hold, to move to a pose, or to play tracks of its own (steps, jumps, waves). Each
call appends frames to every channel and notes one `Phase`. The phases are what the truth is read from: they
say when something was authored, how many cycles it had, and which words it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from scipy.interpolate import CubicSpline

from kinmo_annotate.schema.skeleton import FIELDS, FPS
from kinmo_annotate.sources.procedural.body import (
    CHANNELS,
    SIDES,
    Array,
    Channels,
    home_toe,
    pose_body,
)  # fmt: skip

ALL_FIELDS: Final = frozenset(FIELDS)
# Channel values by name, numbers or (3,) arrays; passed on as keyword arguments, hence loosely typed.
Goals = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Word:
    """An authored word: what a field does in a phase, how often; `action` is of the vocabulary."""

    field: str
    action: str
    count: int = 1
    amount: float = 0.0
    salient: bool = True


@dataclass(frozen=True, slots=True)
class Phase:
    """One authored stretch of the timeline.

    Attributes:
        start: first frame (the pose before the phase).
        end: last frame, inclusive.
        cyclic: its changes repeat, and are counted rather than listed one by one.
        quiet: fields whose measured changes are consequences here, never salient.
        words: authored words (steps, waves, jumps, ...).
        only: the measured quantities this phase speaks for (all if empty).
        mute: the measured quantities that another phase speaks for.
    """

    start: int
    end: int
    cyclic: bool = False
    quiet: frozenset[str] = frozenset()
    words: tuple[Word, ...] = ()
    only: tuple[str, ...] = ()
    mute: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ArmPose:
    """Where a hand is and where its elbow points, from the shoulder: (out, up, forward), in arm lengths."""

    hand: tuple[float, float, float]
    elbow: tuple[float, float, float]

    def toward(self, other: ArmPose, share: float) -> ArmPose:
        """The pose that lies `share` of the way to `other` (0 this one, 1 the other)."""
        hand = hand_path(np.array([self.hand, other.hand]), np.array([share]))[0]
        elbow = (1 - share) * np.array(self.elbow) + share * np.array(other.elbow)
        return ArmPose(_triple(hand), _triple(elbow))

    def moved(self, out: float = 0.0, up: float = 0.0, forward: float = 0.0) -> ArmPose:
        """The pose with its hand displaced, in arm lengths."""
        return replace(self, hand=_triple(np.array(self.hand) + np.array([out, up, forward])))


def _triple(vector: Array) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])


def other(side: str) -> str:
    """The other side."""
    return SIDES[1 - SIDES.index(side)]


def ease(share: Array) -> Array:
    """Minimum-jerk progress from 0 to 1 (Flash and Hogan 1985); flat outside."""
    s = np.clip(share, 0.0, 1.0)
    return s**3 * (10 - 15 * s + 6 * s**2)


def bump(share: Array) -> Array:
    """A smooth hill: 0 at share 0 and 1, 1 halfway; 0 outside."""
    s = np.clip(share, 0.0, 1.0)
    return 64 * (s * (1 - s)) ** 3


def glide(share: Array) -> Array:
    """Progress from 0 to 1 at an even pace but for gentle ends: peak speed 1.45, minimum jerk has 1.9."""
    grid = np.linspace(0.0, 1.0, 201)
    speed = ease(grid / 0.31) * ease((1 - grid) / 0.31)
    done = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    return np.interp(share, grid, done / done[-1])


def through(values: Iterable[float], times: Array, at: Array) -> Array:
    """Go from value to value by minimum-jerk moves that rest at each: values at `times`, read `at` (N,)."""
    keys = np.array(list(values), dtype=float)
    index = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(keys) - 2)
    share = (at - times[index]) / (times[index + 1] - times[index])
    return keys[index] + (keys[index + 1] - keys[index]) * ease(share)


def hand_path(hands: Array, share: Array) -> Array:
    """Hand positions (N, 3) along a path round the shoulder through `hands` (K, 3); share 0 to 1, (N,).

    Directions run along a great circle (a spline through three or more), the reach changes linearly, so that
    a hand never takes the short cut through the trunk.
    """
    reach = np.linalg.norm(hands, axis=-1)
    directions = hands / reach[:, None]
    angles = np.arccos(np.clip((directions[1:] * directions[:-1]).sum(-1), -1, 1))
    knots = np.concatenate([[0.0], np.cumsum(np.maximum(angles, 1e-3))])
    at = share * knots[-1]
    if len(hands) == 2:
        angle = max(float(angles[0]), 1e-6)
        weights = np.stack([np.sin(angle - share * angle), np.sin(share * angle)], axis=-1) / np.sin(angle)
        path = weights @ directions
    else:
        path = CubicSpline(knots, directions)(at)
    path /= np.linalg.norm(path, axis=-1, keepdims=True)
    return path * np.interp(at, knots, reach)[:, None]


class Stage:
    """Where one motion is authored.

    Attributes:
        rng: the motion's own generator.
        side: the side that a one-sided action uses.
        tempo: how long everything takes (1 usual, more is slower).
        size: how big gestures are, 0 to 1.
        width: half the stance, metres.
        rest: how each arm hangs.
        state: every channel's present value.
        phases: what has been authored so far.
    """

    def __init__(self, rng: np.random.Generator, side: str | None = None) -> None:
        self.rng = rng
        drawn = SIDES[int(rng.integers(2))]
        self.side = side or drawn
        self.other = other(self.side)
        self.tempo = self.pick(0.82, 1.22)
        self.size = self.pick(0.0, 1.0)
        self.width = self.pick(0.075, 0.105)
        hang = ArmPose((self.pick(0.10, 0.18), -0.955, self.pick(0.04, 0.14)), (0.25, 0.0, -1.0))
        self.rest = {
            self.side: hang,
            self.other: hang.moved(out=self.pick(-0.02, 0.02), forward=self.pick(-0.03, 0.03)),
        }
        self.state: dict[str, Array | float] = dict.fromkeys(CHANNELS, 0.0)
        self.state["pitch"] = np.deg2rad(self.pick(-1.0, 5.0))
        self.state["head_pitch"] = np.deg2rad(self.pick(-4.0, 6.0))
        self.upright = float(self.state["pitch"])
        self.level = float(self.state["head_pitch"])
        for name in SIDES:
            self.state |= arm(name, self.rest[name])
            self.state[f"{name}_toe"] = home_toe(name, self.width)
        self.phases: list[Phase] = []
        self._tracks: dict[str, list[Array]] | None = None

    # --- choices ---
    def pick(self, low: float, high: float) -> float:
        """A number between, evenly."""
        return float(self.rng.uniform(low, high))

    def sized(self, low: float, high: float) -> float:
        """A number that grows with the motion's size, with a little chance in it."""
        return low + (high - low) * float(np.clip(0.8 * self.size + self.pick(0.0, 0.2), 0, 1))

    def times(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def chance(self, share: float = 0.5) -> bool:
        """True that often."""
        return bool(self.rng.random() < share)

    # --- time ---
    @property
    def frame(self) -> int:
        """The last frame authored."""
        return 0 if self._tracks is None else sum(map(len, self._tracks["x"])) - 1

    def frames(self, seconds: float) -> int:
        """Frames that `seconds` take at this motion's tempo, at least three."""
        return max(3, round(seconds * self.tempo * FPS))

    # --- authoring ---
    def begin(self, **pose: Array | float) -> None:
        """Start with these channels changed; what was held so far is held in that pose."""
        self.state |= pose
        if self._tracks is not None:
            for name, value in pose.items():
                self._tracks[name] = [np.repeat(np.asarray(value, float)[None], self.frame + 1, axis=0)]

    def play(self, frames: int, tracks: Channels, **phase: object) -> Phase:
        """Append frames: these tracks ((N,) or (N, 3) each), everything else held; note the phase."""
        if self._tracks is None:
            self._tracks = {name: [np.asarray(self.state[name], float)[None]] for name in CHANNELS}
        start = self.frame
        for name, done in self._tracks.items():
            track = tracks.get(name)
            if track is None:
                track = np.repeat(np.asarray(self.state[name], float)[None], frames, axis=0)
            done.append(np.asarray(track, float))
            self.state[name] = done[-1][-1]
        noted = Phase(start, start + frames, **phase)  # type: ignore[arg-type]
        self.phases.append(noted)
        return noted

    def hold(self, seconds: float) -> None:
        """Stand still in the present pose."""
        self.play(self.frames(seconds), {})

    def move(self, seconds: float, via: dict[str, ArmPose] | None = None, **targets: Array | float) -> None:
        """Move the named channels to targets at minimum jerk; hands go round the shoulder, through `via`."""
        frames = self.frames(seconds)
        self.play(frames, self.tracks_to(frames, targets, via or {}))

    def tracks_to(self, frames: int, targets: Goals, via: dict[str, ArmPose]) -> Channels:
        """Minimum-jerk tracks from the present state to `targets`."""
        share = ease(np.arange(1, frames + 1) / frames)
        tracks: Channels = {}
        for name, target in targets.items():
            now = np.asarray(self.state[name], float)
            side = name.partition("_")[0]
            if name.endswith("_hand"):
                middle = [np.array(via[side].hand)] if side in via else []
                tracks[name] = hand_path(np.array([now, *middle, np.asarray(target)]), share)
            else:
                weight = share.reshape(-1, *([1] * now.ndim))
                tracks[name] = (1 - weight) * now + weight * np.asarray(target, float)
        return tracks

    def cycle(
        self, seconds: float, count: int, words: Iterable[Word], loud: bool = False, **peaks: Array | float
    ) -> None:
        """Go to the peaks and back `count` times, smoothly, starting and ending in the present pose.

        Args:
            seconds: of one cycle.
            count: cycles.
            words: what the cycles are called.
            loud: whether the measured changes may be salient besides the words.
            **peaks: channel values half-way through each cycle.
        """
        frames = self.frames(seconds) * count
        swing = (1 - np.cos(2 * np.pi * count * np.arange(1, frames + 1) / frames)) / 2
        tracks: Channels = {}
        for name, peak in peaks.items():
            now = np.asarray(self.state[name], float)
            if name.endswith("_hand"):
                tracks[name] = hand_path(np.array([now, np.asarray(peak)]), swing)
            else:
                weight = swing.reshape(-1, *([1] * now.ndim))
                tracks[name] = (1 - weight) * now + weight * np.asarray(peak, float)
        self.play(frames, tracks, cyclic=True, quiet=frozenset() if loud else ALL_FIELDS, words=tuple(words))

    # --- results ---
    def channels(self) -> Channels:
        """Every channel over all frames."""
        if self._tracks is None:
            return {name: np.asarray(self.state[name], float)[None] for name in CHANNELS}
        return {name: np.concatenate(parts) for name, parts in self._tracks.items()}

    def joints(self, idle: float = 0.0) -> Array:
        """Joint positions (T, 22, 3); `idle` scales breathing and sway (0 none, 1 usual)."""
        channels = self.channels()
        if idle > 0:
            channels = with_idle(channels, self.rng, idle)
        return pose_body(channels, self.width)


# How far a standing person drifts and breathes, far below anything notable (radians, metres, arm lengths).
_IDLE: Final = {
    "pitch": 0.0105,
    "roll": 0.0070,
    "twist": 0.0122,
    "head_pitch": 0.0175,
    "head_roll": 0.0122,
    "shift_left": 0.004,
    "shift_forward": 0.003,
    "left_hand": 0.008,
    "right_hand": 0.008,
}


def with_idle(channels: Channels, rng: np.random.Generator, amount: float) -> Channels:
    """Add slow sway and breathing to copies of the channels; toes stay where they are."""
    seconds = np.arange(len(channels["x"])) / FPS
    moved = dict(channels)
    for name, amplitude in _IDLE.items():
        shape = channels[name].shape[1:]
        rate = rng.uniform(0.15, 0.45, size=(2, *shape))
        shift = rng.uniform(0, 2 * np.pi, size=(2, *shape))
        clock = seconds.reshape(-1, *([1] * len(shape)))
        moved[name] = channels[name] + amount * amplitude * sum(
            np.sin(2 * np.pi * rate[k] * (k + 1) * clock + shift[k]) / (k + 1) for k in range(2)
        )
    return moved


def arm(side: str, pose: ArmPose) -> Goals:
    """The channels that put one arm in a pose."""
    return {f"{side}_hand": np.array(pose.hand), f"{side}_elbow": np.array(pose.elbow)}


def arms(pose: ArmPose) -> Goals:
    """The channels that put both arms in the same pose, mirrored."""
    return arm("left", pose) | arm("right", pose)
