"""The phrase bank: what each relation of a posecode is called, and what the parts are called.

Every phrase fits after "is" or "are" and after "with the left hand", for one subject or several; `{o}` is the
object. Our own wording throughout.
"""

from __future__ import annotations

from typing import Final

ALONE: Final[dict[str, tuple[str, ...]]] = {
    "fully_bent": ("tightly folded", "fully bent", "completely flexed", "folded all the way"),
    "sharply_bent": ("sharply bent", "strongly flexed", "bent well past a right angle", "tightly bent"),
    "square_bend": ("bent at a right angle", "bent at about ninety degrees", "flexed into an L shape",
                    "bent roughly square"),
    "partly_bent": ("half bent", "moderately bent", "bent halfway", "partly flexed"),
    "slightly_bent": ("slightly bent", "a little bent", "softly bent", "almost straight"),
    "straight": ("straight", "fully extended", "held straight", "completely straight"),
    "vertical": ("vertical", "upright", "in a vertical line", "plumb vertical"),
    "horizontal": ("horizontal", "parallel to the floor", "level with the floor", "held out flat"),
    "on_ground": ("on the ground", "on the floor", "touching the floor", "down on the ground"),
    "bent_back": ("bent far backward", "arched deeply backward", "leaning steeply backward"),
    "slightly_back": ("leaning back a little", "slightly arched backward", "tipped slightly backward"),
    "slightly_forward": ("bent slightly forward", "leaning forward a little", "inclined slightly forward"),
    "bent_forward": ("bent far forward", "bent deeply forward", "leaning steeply forward"),
    "twist_left": ("twisted far to the left", "turned strongly to the left at the waist"),
    "slight_twist_left": ("twisted slightly to the left", "turned a little to the left at the waist"),
    "slight_twist_right": ("twisted slightly to the right", "turned a little to the right at the waist"),
    "twist_right": ("twisted far to the right", "turned strongly to the right at the waist"),
    "lean_right": ("leaning far to the right", "tipped strongly to the right side"),
    "slight_lean_right": ("leaning a little to the right", "tipped slightly to the right side"),
    "slight_lean_left": ("leaning a little to the left", "tipped slightly to the left side"),
    "lean_left": ("leaning far to the left", "tipped strongly to the left side"),
    "head_back": ("tipped back", "tilted backward", "lifted, facing upward"),
    "head_forward": ("bowed", "lowered forward", "dropped toward the chest"),
    "head_right": ("tilted to the right", "tipped toward the right shoulder", "cocked to the right"),
    "head_left": ("tilted to the left", "tipped toward the left shoulder", "cocked to the left"),
    "kneel_left": ("kneeling on the left knee", "down on the left knee"),
    "kneel_right": ("kneeling on the right knee", "down on the right knee"),
    "kneel": ("kneeling", "kneeling on both knees", "down on both knees"),
    # two parts of a kind, told of both
    "close": ("close together", "near each other", "next to each other", "held close together"),
    "shoulder_width": ("shoulder-width apart", "about as far apart as the shoulders",
                       "a shoulder width apart"),
    "spread": ("apart", "spread apart", "some way apart"),
    "wide": ("far apart", "wide apart", "spread wide"),
}  # fmt: skip

WITH_OBJECT: Final[dict[str, tuple[str, ...]]] = {
    "close": ("close to {o}", "near {o}", "next to {o}", "right by {o}"),
    "shoulder_width": ("a shoulder width from {o}", "about a shoulder's width away from {o}"),
    "spread": ("apart from {o}", "some way from {o}", "at some distance from {o}"),
    "wide": ("far from {o}", "far away from {o}", "at a wide distance from {o}"),
    "right_of": ("to the right of {o}", "on the right side of {o}", "further right than {o}"),
    "left_of": ("to the left of {o}", "on the left side of {o}", "further left than {o}"),
    "below": ("below {o}", "lower than {o}", "further down than {o}"),
    "above": ("above {o}", "higher than {o}", "up above {o}"),
    "behind": ("behind {o}", "further back than {o}", "to the rear of {o}"),
    "front": ("in front of {o}", "ahead of {o}", "further forward than {o}"),
    "aligned_depth": ("in line with {o} from front to back", "straight in front of or behind {o}"),
    "aligned_height": ("on one vertical line with {o}", "straight above or below {o}"),
    "aligned_side": ("level with {o}", "level with {o}, straight to the side"),
}

# Said where the object is the torso and can be left out.
TORSO: Final[dict[str, tuple[str, ...]]] = {
    "behind": ("behind {o}", "further back than {o}", "back behind {o}"),
    "front": ("in front of {o}", "out in front", "further forward than {o}"),
}

# (determiner, the person as a subject), as often as they should be drawn.
VOICES: Final = (
    ("the", "the person"), ("the", "the person"), ("the", "the person"), ("the", "someone"),
    ("the", "the figure"),
    ("their", "the person"), ("their", "the person"), ("their", "someone"),
    ("his", "he"), ("her", "she"),
)  # fmt: skip

NAMES: Final[dict[str, str]] = {"upperarm": "upper arm"}
PLURALS: Final[dict[str, str]] = {"foot": "feet"}
OPENERS: Final = (". ", ". ", ". ", " and ", " while ", ", with ", ", with ")
NEUTRAL: Final = (
    "The person is in a neutral pose.",
    "Nothing stands out in the pose.",
    "The pose is plain and neutral.",
)
NEUTRAL_PART: Final = ("Nothing stands out about {o}.", "There is nothing special to say about {o}.")
OWN_SIDE: Final[dict[str, tuple[str, ...]]] = {
    "own": ("the {o} on the same side", "the same-side {o}"),
    "opposite": ("the {o} on the opposite side", "the opposite {o}"),
}
