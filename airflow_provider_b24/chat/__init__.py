"""What one does in a dialog, on top of the REST core. Knows no Airflow."""
