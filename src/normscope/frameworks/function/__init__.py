"""Any callable, with what it holds."""
