"""Forty healthy models: what the audit says of them must be right, each warning with a reason.

Errors there must not be; of warnings, `warnings.json` says why each is deserved.
"""
