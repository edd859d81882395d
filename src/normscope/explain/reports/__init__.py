"""An explanation as it is read: words, pictures and formulas, as text, HTML and SVG."""
