"""What every normalization of the frameworks really computes: measured, and written as a page.

`python -m catalogue` asks every layer anew and writes `computed.json` and `docs/computed.md`.
"""
