"""Links from a task in Airflow to what it has touched in the portal."""
