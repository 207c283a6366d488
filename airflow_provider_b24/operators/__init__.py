"""Operators; one that performs one REST method is named after it."""
