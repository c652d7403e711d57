"""What all tests share."""

from hypothesis import settings

# No test depends on how busy the machine is.
settings.register_profile("linnet", parent=settings.default, deadline=None)
settings.load_profile("linnet")
