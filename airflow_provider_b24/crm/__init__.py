"""The portal's data: what fields there are, what their values mean, and what is written where. Knows no Airflow."""
