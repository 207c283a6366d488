"""Plugins for Airflow."""
