"""What others see of a server: health, metrics, request ids and traces."""
