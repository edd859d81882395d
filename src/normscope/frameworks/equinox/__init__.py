"""Equinox."""
