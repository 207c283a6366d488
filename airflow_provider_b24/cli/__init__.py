"""Commands of ``airflow`` that this provider adds."""
