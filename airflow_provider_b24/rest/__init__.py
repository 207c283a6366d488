"""The Bitrix24 REST protocol. Knows no Airflow; usable and tested without it."""
