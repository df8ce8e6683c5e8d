"""The KServe V2 protocol, as upstream's Triton runtime and Triton's clients speak it."""
