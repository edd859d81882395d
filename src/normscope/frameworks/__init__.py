"""What is known of each framework: one folder for each, and beside them what they share.

No framework is imported before one of its own objects arrives, or is asked for.
"""
