"""Haiku."""
