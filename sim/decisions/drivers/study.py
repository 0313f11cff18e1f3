"""The points of a sensitivity study: asked for all at once, and what each method says of the outputs there."""

from collections.abc import Sequence
from typing import NamedTuple

from sim.decisions.drivers import tornado
from sim.decisions.drivers.methods import METHODS, Json, told
from sim.decisions.drivers.outputs import Output, sampled
from sim.decisions.drivers.sensitivity_question import Question, asked_of
from sim.decisions.laboratory import Ask, Found, Source
from sim.workload.intensity import Take
from sim.workload.realise import uniforms

__all__ = ["Study"]


class Study(NamedTuple):
    """A question, and where its cells come from."""

    question: Question
    source: Source
    outputs: list[Output]

    def tornado(self) -> Json:
        """Return the tornado."""
        points = self._find(tornado.asked(self.question.inputs), self.question.tornado_runs)
        return tornado.tornado(self.question.inputs, self.outputs, points, self.question.strategies)

    def designs(self, columns: dict[str, list[int]]) -> dict[str, Json]:
        """Return what methods say, each of the inputs of its columns; all their points are asked for at once."""
        inputs, sizes = self.question.inputs, self.question.sizes
        at = {name: METHODS[name].points(len(own), sizes, self._take(name, "points")) for name, own in columns.items()}
        sets = {name: inputs.at(points, columns[name]) for name, points in at.items()}
        points = iter(self._find([one for own in sets.values() for one in own], self.question.runs))
        found: dict[str, Json] = {}
        for name, own in columns.items():
            samples = sampled(self.outputs, [next(points) for _ in sets[name]])
            paths = [inputs.paths[column] for column in own]
            pairs = list(zip(self.outputs, samples, strict=True))
            told_of = told(METHODS[name], paths, at[name], pairs, self._take(name, "resamples"))
            found[name] = {"points": len(at[name]), "inputs": paths, "outputs": list(told_of)}
        return found

    def _find(self, sets: Sequence[tuple[str, ...]], runs: int) -> list[Found]:
        strategies = asked_of(self.question, self.source.base)
        return self.source.find([Ask(one, strategies) for one in sets], range(runs))

    def _take(self, name: str, purpose: str) -> Take:
        return lambda count: uniforms(self.source.seed, 0, f"sensitivity {name}", purpose, count)
