"""How many tokens a model makes of pictures, sound and film: facts of its generation."""

from typing import Annotated, Literal, NamedTuple, TypeAlias

from pydantic import Field

from sim.document import Strict
from sim.providers.facts import Confidence
from sim.units import Whole

__all__ = ["Media", "MediaTable", "Resolution"]

Resolution: TypeAlias = Literal["low", "medium", "high"]


class Media(NamedTuple):
    """Whole tokens of one image, of one second of film and of one second of sound, in a model's eyes."""

    image: tuple[int, int, int]  # by resolution: low, medium, high; of a tiled image: of one tile
    image_small_px: int  # an image with both sides up to this is one tile; 0: images are not tiled
    image_tile_px: int  # side of the tiles that a larger one is cut into
    video: tuple[int, int, int]  # a second (one frame), by resolution
    audio: int  # a second


class MediaTable(Strict):
    """``[media.GENERATION]`` of a price book."""

    image: Annotated[list[Whole], Field(min_length=3, max_length=3)]
    image_small_px: Whole = 0
    image_tile_px: Annotated[Whole, Field(ge=1)] = 768
    video_per_s: Annotated[list[Whole], Field(min_length=3, max_length=3)]
    audio_per_s: Whole
    confidence: Confidence
    source: str

    @property
    def media(self) -> Media:
        """Return the figures alone."""
        low, medium, high = self.image
        still, usual, fine = self.video_per_s
        return Media(
            image=(low, medium, high),
            image_small_px=self.image_small_px,
            image_tile_px=self.image_tile_px,
            video=(still, usual, fine),
            audio=self.audio_per_s,
        )
