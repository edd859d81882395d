"""An `Audit` as text, HTML and SARIF; JSON is `Audit.to_dict()`. No clock, no paths: stable."""
