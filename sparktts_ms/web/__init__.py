"""The page and the clients' endpoints: everything that visitors reach through a browser or HTTP (needs requirements-web.txt)."""
