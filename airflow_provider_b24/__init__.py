"""Apache Airflow provider for Bitrix24.

Airflow imports this package while it is itself being imported, so nothing is imported here.
"""

__version__ = "0.1.0"
