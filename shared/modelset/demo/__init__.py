"""An embedded hub that serves tiny real models over the real protocols, on loopback only.

`python -m modelset.demo` runs it as a child process; `modelset.demo.hub` runs it inside one.
"""
