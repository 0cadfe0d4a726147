"""From differences to six plus fifteen sentences."""

from kinmo_annotate.describe.kinematic import describe_motion

__all__ = ["describe_motion"]
