"""Hypothesis profiles: `dev` draws anew each time; `ci` draws the same each time, so that only a change can fail it.

`first` is `ci` where it only matters whether any example fails: none is made smaller.
"""

import os

from hypothesis import Phase, settings

settings.register_profile("dev", max_examples=100, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("first", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate], database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") else "dev"))
