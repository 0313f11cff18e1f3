"""Prompt parts that are no text: how many pictures, seconds of film and of sound, and what a model makes of them."""

from typing import Annotated, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from sim.document import Strict
from sim.providers.media import Media, Resolution
from sim.trace import Ints
from sim.workload.intensity import Draw
from sim.workload.laws import SizeLaw
from sim.workload.sizes import quantile, smallest

__all__ = ["RESOLUTIONS", "Content", "PartsSpec", "image_tokens", "least", "parts_content", "sound_tokens", "text"]

RESOLUTIONS: tuple[Resolution, ...] = ("low", "medium", "high")  # as the columns of `Media` are ordered

Side = Annotated[int, Field(strict=True, ge=1, le=100_000)]  # px


class PartsSpec(Strict):
    """Pictures, film and sound of each question, or of each document."""

    images: SizeLaw | None = None  # pictures
    image_px: Annotated[list[Side], Field(min_length=2, max_length=2)] = [768, 768]  # width and height of each
    resolution: Resolution = "medium"  # at which the model looks at pictures and film
    video_s: SizeLaw | None = None  # whole seconds of film
    sound: Annotated[bool, Field(strict=True)] = True  # whether the film has a sound track
    audio_s: SizeLaw | None = None  # whole seconds of sound

    @model_validator(mode="after")
    def _has_a_part(self) -> Self:
        if not self.laws:
            raise ValueError("no part is given; one or more of images, video_s, audio_s")
        return self

    @property
    def laws(self) -> dict[str, SizeLaw]:
        """Return the laws that are given, by the purpose of their draws."""
        every = {"images": self.images, "video_s": self.video_s, "audio_s": self.audio_s}
        return {purpose: law for purpose, law in every.items() if law is not None}


class Content(NamedTuple):
    """Some pieces of prompts, in tokens."""

    tokens: Ints  # (n,) of all kinds
    audio: Ints  # (n,) of these that are audio

    def at(self, rows: npt.NDArray[Any]) -> "Content":
        """Return the pieces of some rows, by number or by mask."""
        return Content(self.tokens[rows], self.audio[rows])

    def plus(self, other: "Content") -> "Content":
        """Return the (n,) sums of pieces, one by one."""
        return Content(self.tokens + other.tokens, self.audio + other.audio)


def text(tokens: Ints) -> Content:
    """Return pieces of which nothing is audio."""
    return Content(tokens, np.zeros_like(tokens))


def image_tokens(media: Media, width: int, height: int, resolution: Resolution) -> int:
    """Return the tokens of one picture of a size in px.

    A generation that cuts pictures into tiles counts one tile up to a small size, else every tile that is begun.
    Source: "Multimodal token counts" of Google's token guide.

    >>> tiled = Media((258, 258, 258), 384, 768, (263, 263, 263), 32)
    >>> [image_tokens(tiled, w, h, "medium") for w, h in ((384, 384), (385, 384), (769, 768))]
    [258, 258, 516]
    >>> whole = Media((280, 560, 1120), 0, 768, (70, 70, 280), 32)
    >>> [image_tokens(whole, 4_000, 3_000, resolution) for resolution in RESOLUTIONS]
    [280, 560, 1120]
    """
    one = media.image[RESOLUTIONS.index(resolution)]
    if media.image_small_px == 0 or max(width, height) <= media.image_small_px:
        return one
    across, down = (-(-side // media.image_tile_px) for side in (width, height))
    return across * down * one


def video_tokens(media: Media, seconds: Ints, resolution: Resolution) -> Ints:
    """Return the (n,) tokens of the pictures of films, one a second.

    >>> whole = Media((280, 560, 1120), 0, 768, (70, 70, 280), 32)
    >>> video_tokens(whole, np.array([0, 10]), "high").tolist()
    [0, 2800]
    """
    return seconds * media.video[RESOLUTIONS.index(resolution)]


def sound_tokens(media: Media, seconds: Ints) -> Ints:
    """Return the (n,) tokens of sound.

    >>> sound_tokens(Media((258, 258, 258), 384, 768, (263, 263, 263), 32), np.array([60])).tolist()
    [1920]
    """
    return seconds * media.audio


def parts_content(parts: PartsSpec, media: Media, draw: Draw, count: int) -> Content:
    """Return the content of the parts of ``count`` questions or documents; each law has a purpose of its own."""
    drawn = {purpose: quantile(law, draw(purpose)(count)) for purpose, law in parts.laws.items()}
    none = np.zeros(count, np.int64)
    images, film, sound = (drawn.get(purpose, none) for purpose in ("images", "video_s", "audio_s"))
    width, height = parts.image_px
    seen = images * image_tokens(media, width, height, parts.resolution) + video_tokens(media, film, parts.resolution)
    heard = sound_tokens(media, sound + film if parts.sound else sound)
    return Content(seen + heard, heard)


def least(parts: PartsSpec | None) -> int:
    """Return the fewest pictures and seconds, all together, that parts can have."""
    return 0 if parts is None else sum(smallest(law) for law in parts.laws.values())
