"""The web page and the HTTP endpoints (needs requirements-web.txt)."""
