"""What a strategy runs under: the book's service and terms, the platform's over them, the scenario's over both."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from sim.document import Document, validate
from sim.errors import InputError, Problem
from sim.providers.prices import Book, Terms
from sim.providers.project import ProjectOptions
from sim.providers.resolve import merged
from sim.providers.service import Service

__all__ = ["assumed", "project_of"]


def assumed(
    document: Document, book: Book, project: ProjectOptions, service: Mapping[str, Any], terms: Mapping[str, Any]
) -> tuple[Service, Terms]:
    """Return the book's service and terms under the platform's and those of a scenario; raise every mistake in both.

    A platform that the book does not know changes nothing here; it is a mistake of its own.
    """
    problems: list[Problem] = []
    platform = book.platforms.get(project.platform)
    usual = {**book.terms.model_dump(), **(platform.terms if platform else {}), "free_tier": project.tier == "free"}
    try:
        below = merged(book.service, platform.service if platform else {})
        resolved = validate(document, Service, merged(below, service), ("service",))
    except InputError as error:
        problems += error.problems
    else:
        problems += _endless(document, resolved) if platform else []
    try:
        chosen = validate(document, Terms, {**usual, **terms}, ("terms",))
    except InputError as error:
        problems += error.problems
    if problems:
        raise InputError(problems)
    return resolved, chosen


def project_of(document: Document) -> ProjectOptions:
    """Return the project of a document that may have mistakes in it, which are told elsewhere."""
    try:
        return ProjectOptions.model_validate(document.data.get("project", {}))
    except ValidationError:
        return ProjectOptions()


def _endless(document: Document, service: Service) -> list[Problem]:
    """Return the mistake of a Batch API in which a job may stay pending for ever, if it is made."""
    if not service.batch.endless:
        return []
    what = "jobs may stay pending for ever: a part of the turnaround never ends, and nothing expires"
    return [document.problem(("service", "batch", "expires_after"), what, "expires_after or pending_limit")]
