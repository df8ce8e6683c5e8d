"""Fine-tuning of the language model: manifest -> encoded recordings -> examples -> batches -> weights."""
