"""Fine-tuning the language model: manifest -> examples -> batches -> weights."""
