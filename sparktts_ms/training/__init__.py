"""Training the language model on recordings: manifest -> encoded utterances -> sequences -> batches -> weights."""
