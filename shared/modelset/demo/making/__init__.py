"""How the demo models are made.

Run by `scripts/make_demo_models.py`; the demo hub itself never imports it. The
libraries it needs (numpy, torch, spaCy, CTranslate2) are loaded by name, for the
package does not depend on them.
"""
