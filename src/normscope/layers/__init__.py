"""Layers for the frameworks, one package each; the package of a framework needs that framework."""
