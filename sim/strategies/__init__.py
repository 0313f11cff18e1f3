"""The strategies, one file each: a pure ``decide``, its parameters, and the options that a scenario may write."""

from types import MappingProxyType

from sim.strategies import batch, explicit, flex, hybrid, implicit, none, priority, routed

__all__ = ["STRATEGIES", "AnySpec"]

STRATEGIES = MappingProxyType(
    {
        "none": none.Spec,
        "implicit": implicit.Spec,
        "explicit": explicit.Spec,
        "batch": batch.Spec,
        "hybrid": hybrid.Spec,
        "routed": routed.Spec,
        "flex": flex.Spec,
        "priority": priority.Spec,
    }
)

AnySpec = none.Spec | implicit.Spec | explicit.Spec | batch.Spec | hybrid.Spec | routed.Spec | flex.Spec | priority.Spec
