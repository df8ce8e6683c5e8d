"""Recordings that come with a request, or from an address that it names."""
