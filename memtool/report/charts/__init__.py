"""Charts as data, independent of drawing. The report's page draws them."""
