"""Results of searches as JSON, and back to the bit."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from tvnjax.core.errors import InvalidInputError
from tvnjax.search.base import Candidate, Evaluation, SearchResult, Verdict
from tvnjax.spaces.registry import genotype_from_json


def result_to_json(result: SearchResult) -> dict[str, Any]:
    """Everything a result holds, as plain values."""
    rows = [_candidate_to_json(candidate) for candidate in result.candidates]
    best = None if result.best is None else _candidate_to_json(result.best)
    parts = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    return parts | {"candidates": rows, "best": best, "seconds_by_kind": dict(result.seconds_by_kind)}


def result_from_json(told: Mapping[str, Any]) -> SearchResult:
    """What ``result_to_json`` made.

    Raises:
        InvalidInputError: it made nothing of the kind.
    """
    try:
        best = None if told["best"] is None else _candidate_from_json(told["best"])
        candidates = tuple(map(_candidate_from_json, told["candidates"]))
        # Before 0.2 they were called spent.
        renamed = {("seconds_by_kind" if name == "spent" else name): value for name, value in told.items()}
        return SearchResult(**{**renamed, "candidates": candidates, "best": best})
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(
            f"a run goes on with the software it began with; what one of its searches came to is of another form "
            f"({error}): use the version it was begun with, or begin anew"
        ) from None


def _candidate_to_json(candidate: Candidate) -> dict[str, Any]:
    evaluation = candidate.evaluation
    return {
        "genotype": candidate.genotype.to_json(),
        "verdict": dataclasses.asdict(candidate.verdict),
        "evaluation": None if evaluation is None else dataclasses.asdict(evaluation),
        "charged_s": candidate.charged_s,
        "scoring": candidate.scoring,
        "part": candidate.part,
        "costs": dict(candidate.costs),
    }


def _candidate_from_json(told: Mapping[str, Any]) -> Candidate:
    evaluation = None if told["evaluation"] is None else Evaluation(**told["evaluation"])
    genotype, verdict = genotype_from_json(told["genotype"]), Verdict(**told["verdict"])
    return Candidate(**{**told, "genotype": genotype, "verdict": verdict, "evaluation": evaluation})
