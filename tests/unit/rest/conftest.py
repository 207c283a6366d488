from __future__ import annotations

from hypothesis import settings

# A machine under load is slow now and then; that is no failure of what is tested.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
