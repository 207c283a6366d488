"""Policies of tasks."""
