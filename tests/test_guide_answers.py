"""The script that asks about the guide's scenarios runs, in small, and prints what its documents say."""

import importlib.util
import json
from functools import partial

import sim
from sim.scenario import shipped


def script():
    """Return ``scenarios/guide_answers.py`` as a module."""
    path = shipped()["quickstart"].parent / "guide_answers.py"
    spec = importlib.util.spec_from_file_location("guide_answers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_prints_what_its_documents_say(tmp_path, monkeypatch, capsys):
    """Its first scenario, with fewer runs: the choice, the guide's, the loads and the map are those that were saved."""
    asked = script()
    name, axes = next(iter(asked.SCENARIOS.items()))
    monkeypatch.setattr(asked, "SCENARIOS", {name: axes})
    fewer = {"advise": {"replications": 10}, "sensitivity": {"trajectories": 2}, "capacity": {"load": "1..2"}}
    for function, options in {**fewer, "break_even": {"grid": 3, "refine": 0, "replications": 2}}.items():
        monkeypatch.setattr(sim, function, partial(getattr(sim, function), **options))
    asked.main(str(tmp_path))
    printed = capsys.readouterr().out
    saved = {}
    for path in tmp_path.glob("*/*/summary.json"):
        document = json.loads(path.read_text())
        saved[document["schema"]] = document
    assert set(saved) == {"gcsim.advise/1", "gcsim.capacity/1", "gcsim.sensitivity/1", "gcsim.break-even/1"}
    advice = saved["gcsim.advise/1"]
    assert (
        f"{name}: take {advice['answer']['strategy']} (undecided), ${advice['answer']['cost_usd']['mean']:.4g}"
        in printed
    )
    assert f"the guide's {advice['guide']['strategy']}, ${advice['guide']['cost_usd']['mean']:.4g}" in printed
    for one in saved["gcsim.capacity/1"]["capacities"]:
        assert f"tier {one['tier']}, {one['strategy']}: up to {one['capacity'] or 0:.3g} x; what binds: " in printed
    for one in saved["gcsim.sensitivity/1"]["drivers"]:
        assert f"{one['measure']} of {one['strategy']} hangs on {', '.join(one['inputs'])}" in printed
    sim.show(saved["gcsim.break-even/1"], assumptions=False)
    assert capsys.readouterr().out in printed
