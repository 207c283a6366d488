"""Operators that bring something from elsewhere into a chat."""
