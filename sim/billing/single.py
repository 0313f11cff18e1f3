"""The price of one request, and the size of a context from which filling it up to the minimum pays."""

import numpy as np

from sim.billing.bill import Bill
from sim.billing.rating import rate
from sim.ledger import Ledger, Mode, Source, Status
from sim.providers.prices import Book, Terms

__all__ = ["padding_pays_from", "price_request"]


def price_request(  # noqa: PLR0913 - a request has as many quantities
    book: Book,
    model: str,
    mode: Mode,
    at_ms: int,
    *,
    prompt: int,
    cached: int = 0,
    audio: int = 0,
    cached_audio: int = 0,
    output: int = 0,
    terms: Terms | None = None,
) -> Bill:
    """Return what one request costs when its service starts at an instant, billed by the model that serves it then.

    ``audio`` tokens are a part of the prompt, ``cached_audio`` tokens a part of the cached ones and of the audio.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> bill = price_request(book, "gemini-2.5-pro", Mode.STANDARD, book.checked_ms, prompt=100_000, output=1_000)
    >>> bill.exact
    '0.135'
    """
    served = book.served(model, at_ms)
    source = Source.EXPLICIT if cached else Source.NONE
    one = {"model": 0, "mode": mode, "source": source, "status": Status.DONE, "attempts": 1, "job": -1}
    one |= {"prompt": prompt, "cached": cached, "audio": audio, "cached_audio": cached_audio, "output": output}
    one |= {"arrived": 0, "sent": 0, "done": 0}
    columns = {
        name: np.array([one[name]] if name in one else [], dtype=np.int64)
        for name in Ledger._fields
        if name not in ("models", "start_ms")
    }
    return rate(Ledger(**columns, models=(served,), start_ms=at_ms), book, terms)


def padding_pays_from(book: Book, model: str, at_ms: int, minimum: int) -> int:
    """Return the tokens from which filling a context up to the minimum is cheaper than reading it uncached.

    ``minimum`` cached tokens cost less than ``k`` fresh ones for ``k > minimum * cached / input``. Creation and storage
    are left out: they are paid once, reads each time.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> padding_pays_from(book, "gemini-2.5-flash", book.checked_ms, 2_048)
    205
    """
    entry = book.entry(model, at_ms)
    return minimum * entry.price("cached") // entry.price("input") + 1
