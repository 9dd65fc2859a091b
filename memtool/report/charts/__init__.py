"""Charts as data: what a picture shows, before anything draws it. The report's page draws these."""
