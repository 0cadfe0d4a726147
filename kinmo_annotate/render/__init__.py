"""Pictures and films of motions, drawn with Pillow."""

from kinmo_annotate.render.comparison import Compared, comparison
from kinmo_annotate.render.figure import GROUP_COLOURS, Camera, draw_scene
from kinmo_annotate.render.film import figure_frames, film
from kinmo_annotate.render.results import Result, results_sheet
from kinmo_annotate.render.sheet import contact_sheet

__all__ = [
    "GROUP_COLOURS",
    "Camera",
    "Compared",
    "Result",
    "comparison",
    "contact_sheet",
    "draw_scene",
    "figure_frames",
    "film",
    "results_sheet",
]
