"""An embedded hub that serves tiny real models over the real protocols, on loopback only.

`python -m modelset.demo` runs it as a child process; `DemoHub` runs it inside one.
"""

from modelset.demo.hub import DemoHub
from modelset.demo.journal import Seen

__all__ = ["DemoHub", "Seen"]
