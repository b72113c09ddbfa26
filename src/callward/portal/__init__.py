"""The portal: the HTTP API and the web pages, assembled from the rooms to its right."""
