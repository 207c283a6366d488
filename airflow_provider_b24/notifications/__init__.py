"""What Airflow calls when something happens to a task or a run."""
